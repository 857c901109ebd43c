//! The formats of texts that upstream knows.
//!
//! Sources: `apiextensions-apiserver/pkg/apiserver/validation/formats.go` for the list and
//! `kube-openapi/pkg/validation/strfmt` for what they mean. Formats that aren't here mean nothing.

use base64::Engine as _;
use kit_api::jiff::civil::Date;
use std::net::Ipv6Addr;

const KNOWN: [&str; 24] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
];

/// A format that is known, else nothing. `date-time` and `datetime` are the same.
pub fn known(format: &str) -> &str {
    if KNOWN.contains(&format.replace('-', "").as_str()) { format } else { "" }
}

/// Whether a text has a format.
pub fn fits(format: &str, text: &str) -> bool {
    let hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    match format.replace('-', "").as_str() {
        "bsonobjectid" => text.len() == 24 && hex(text),
        "uri" => uri(text),
        "email" => email(text),
        "hostname" => hostname(text),
        "ipv4" => ipv4(text),
        "ipv6" => text.contains(':') && text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => cidr(text),
        "mac" => mac(text),
        "uuid" => uuid(text, None),
        "uuid3" => uuid(text, Some('3')),
        "uuid4" => uuid(text, Some('4')),
        "uuid5" => uuid(text, Some('5')),
        "isbn" => isbn10(text) || isbn13(text),
        "isbn10" => isbn10(text),
        "isbn13" => isbn13(text),
        "creditcard" => credit_card(text),
        "ssn" => {
            let digits = |text: &str, len| text.len() == len && text.chars().all(|c| c.is_ascii_digit());
            let parts: Vec<&str> = text.split(['-', ' ']).collect();
            match parts[..] {
                [all] => digits(all, 9),
                [a, b, c] => digits(a, 3) && digits(b, 2) && digits(c, 4),
                [a, b] => (digits(a, 3) && digits(b, 6)) || (digits(a, 5) && digits(b, 4)),
                _ => false,
            }
        }
        "hexcolor" => {
            let text = text.strip_prefix('#').unwrap_or(text);
            [3, 6].contains(&text.len()) && hex(text)
        }
        "rgbcolor" => rgb(text),
        "byte" => byte(text),
        "date" => text.len() == 10 && text.parse::<Date>().is_ok(),
        "datetime" => date_time(text),
        "duration" => duration(text),
        _ => true,
    }
}

/// A URI as a request names it: absolute, or a path (`url.ParseRequestURI`).
fn uri(text: &str) -> bool {
    let plain = !text.chars().any(|c| c.is_ascii_control() || c == ' ' && !text.starts_with('/'));
    let scheme = |text: &str| {
        let mut chars = text.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic())
            && chars.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let escapes = text
        .match_indices('%')
        .all(|(at, _)| text.get(at + 1..at + 3).is_some_and(|two| two.chars().all(|c| c.is_ascii_hexdigit())));
    let absolute = text.split_once(':').is_some_and(|(head, _)| scheme(head));
    plain && escapes && (text.starts_with('/') || absolute)
}

/// An address of mail, with or without a name before it (`mail.ParseAddress`, without its quoted forms).
fn email(text: &str) -> bool {
    let text = text.trim();
    let text = match text.rsplit_once('<') {
        Some((_, address)) => address.strip_suffix('>').unwrap_or(""),
        None => text,
    };
    let atom = |text: &str| {
        !text.is_empty()
            && text.split('.').all(|part| {
                !part.is_empty()
                    && part.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii())
            })
    };
    text.rsplit_once('@').is_some_and(|(local, domain)| atom(local) && atom(domain))
}

/// One word with at most one dash in it, behind its first letter; or labels with dots between them, of which the last is
/// of letters only. Symbols count as letters.
fn hostname(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || "$+<=>^`|~".contains(c) || !c.is_ascii();
    let label = |label: &str| {
        label.chars().all(|c| letter(c) || c == '-') && label.starts_with(letter) && label.ends_with(letter)
    };
    let labels: Vec<&str> = text.split('.').collect();
    let fits = match labels[..] {
        [word] => {
            let rest = word.strip_prefix(letter);
            rest.is_some_and(|rest| rest.strip_prefix('-').unwrap_or(rest).chars().all(letter))
        }
        [ref labels @ .., top] => {
            let letters = |c: char| c.is_ascii_alphabetic() || (!c.is_ascii() && c.is_alphabetic());
            labels.iter().all(|part| label(part)) && top.chars().all(letters) && top.chars().count() >= 2
        }
        [] => false,
    };
    fits && text.len() <= 255 && labels.iter().all(|part| part.len() <= 63)
}

/// Zeros before a number are allowed, as they have always been (`ParseIPSloppy`).
fn ipv4(text: &str) -> bool {
    let number = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()) && part.parse::<u32>().is_ok_and(|n| n <= 255)
    };
    let parts: Vec<&str> = text.split('.').collect();
    (parts.len() == 4 && parts.iter().all(|part| number(part)))
        || (text.contains(':') && text.contains('.') && text.parse::<Ipv6Addr>().is_ok())
}

fn cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match (ipv4(address) && !address.contains(':'), address.parse::<Ipv6Addr>().is_ok()) {
        (true, _) => 32,
        (false, true) => 128,
        _ => return false,
    };
    let digits = !bits.is_empty() && bits.chars().all(|c| c.is_ascii_digit());
    digits && bits.parse::<u32>().is_ok_and(|bits| bits <= most)
}

/// Six, eight or twenty bytes, in pairs by `:` or `-`, or in fours by `.` (`net.ParseMAC`).
fn mac(text: &str) -> bool {
    let groups = |separator: char, len: usize, counts: [usize; 3]| {
        let parts: Vec<&str> = text.split(separator).collect();
        let fits = |part: &&str| part.len() == len && part.chars().all(|c| c.is_ascii_hexdigit());
        counts.contains(&parts.len()) && parts.iter().all(fits)
    };
    groups(':', 2, [6, 8, 20]) || groups('-', 2, [6, 8, 20]) || groups('.', 4, [3, 4, 10])
}

fn uuid(text: &str, version: Option<char>) -> bool {
    // A dash may stand between the parts, or not.
    let mut rest = text;
    for (index, len) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some(part) = rest.get(..len).filter(|part| part.chars().all(|c| c.is_ascii_hexdigit())) else {
            return false;
        };
        let variant = "89abAB".contains(&part[..1]);
        match (index, version) {
            (2, Some(version)) if !part.starts_with(version) => return false,
            (3, Some('4' | '5')) if !variant => return false,
            _ => {}
        }
        rest = &rest[len..];
    }
    rest.is_empty()
}

fn digits_of(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect()
}

fn isbn10(text: &str) -> bool {
    let text = digits_of(text);
    let value = |(at, c): (usize, char)| match c {
        'X' if at == 9 => Some(10 * 10),
        c => c.to_digit(10).map(|digit| digit * (at as u32 + 1)),
    };
    let all: Option<Vec<u32>> = text.chars().enumerate().map(value).collect();
    all.is_some_and(|all| all.len() == 10 && all.iter().sum::<u32>() % 11 == 0)
}

fn isbn13(text: &str) -> bool {
    let text = digits_of(text);
    let value = |(at, c): (usize, char)| c.to_digit(10).map(|digit| digit * if at % 2 == 0 { 1 } else { 3 });
    let all: Option<Vec<u32>> = text.chars().enumerate().map(value).collect();
    all.is_some_and(|all| all.len() == 13 && all.iter().sum::<u32>() % 10 == 0)
}

/// The last digit is right (Luhn), and the first ones belong to a known issuer.
fn credit_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let start = |len: usize| digits.iter().take(len).fold(0, |number, digit| number * 10 + digit);
    let issuer = match digits.len() {
        13 => start(1) == 4,
        14 => (300..=305).contains(&start(3)) || start(2) == 36 || start(2) == 38,
        15 => [34, 37].contains(&start(2)) || [2131, 1800].contains(&start(4)),
        16 => start(1) == 4 || (51..=55).contains(&start(2)) || start(4) == 6011 || start(2) == 65 || start(2) == 35,
        _ => false,
    };
    let weighed = digits.iter().rev().enumerate().map(|(at, digit)| match at % 2 {
        0 => *digit,
        _ if *digit > 4 => digit * 2 - 9,
        _ => digit * 2,
    });
    issuer && weighed.sum::<u32>() % 10 == 0
}

fn rgb(text: &str) -> bool {
    let inner = text.strip_prefix("rgb(").and_then(|text| text.strip_suffix(')')).unwrap_or_default();
    let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
    let plain = |part: &&str| part.chars().all(|c| c.is_ascii_digit()) && part.parse::<u32>().is_ok_and(|n| n <= 255);
    parts.len() == 3 && parts.iter().all(plain)
}

fn byte(text: &str) -> bool {
    !text.is_empty() && base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

/// A day, a `T`, a time and a zone; a fraction of seconds has up to nine digits.
fn date_time(text: &str) -> bool {
    let Some((day, time)) = text.split_once(['T', 't']) else { return false };
    let split = time.find(['Z', 'z', '+', '-']);
    let Some((clock, zone)) = split.map(|at| time.split_at(at)) else { return false };
    let two = |part: &str, most: u32| {
        part.len() == 2 && part.chars().all(|c| c.is_ascii_digit()) && part.parse::<u32>().is_ok_and(|n| n <= most)
    };
    let (whole, fraction) = clock.split_once('.').map_or((clock, "0"), |(whole, fraction)| (whole, fraction));
    let parts: Vec<&str> = whole.split(':').collect();
    let clock_fits = matches!(parts[..], [h, m, s] if two(h, 23) && two(m, 59) && two(s, 59));
    let zone_fits = match zone.strip_prefix(['+', '-']) {
        Some(zone) => zone.split_once(':').is_some_and(|(h, m)| two(h, 23) && two(m, 59)),
        None => zone.len() == 1,
    };
    let fraction_fits = !fraction.is_empty() && fraction.len() <= 9 && fraction.chars().all(|c| c.is_ascii_digit());
    fits("date", day) && clock_fits && zone_fits && fraction_fits
}

/// As Go writes durations (`1h30m`), or in words (`22 ns`, `3 days`).
fn duration(text: &str) -> bool {
    const UNITS: [&str; 7] = ["ns", "us", "µs", "ms", "s", "m", "h"];
    let number = |text: &str| {
        let parts = text.split_once('.').map_or((text, "0"), |(whole, part)| (whole, part));
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        digits(parts.0) && digits(parts.1) && !text.is_empty() && text != "."
    };
    if text == "0" {
        return true;
    }
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let go = loop {
        let Some(end) = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0) else {
            break false;
        };
        let unit_end = rest[end..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |at| at + end);
        if !number(&rest[..end]) || !UNITS.contains(&&rest[end..unit_end]) {
            break false;
        }
        rest = &rest[unit_end..];
        if rest.is_empty() {
            break true;
        }
    };
    go || words(text)
}

/// Whether anywhere in a text a number stands before a word for a span of time.
fn words(text: &str) -> bool {
    const SHORT: [&str; 13] = ["ns", "us", "µs", "ms", "s", "m", "h", "hr", "d", "w", "wk", "sec", "min"];
    const LONG: [&str; 8] = ["nano", "micro", "milli", "sec", "min", "hour", "day", "week"];
    let is_unit = |unit: &str| SHORT.contains(&unit) || LONG.iter().any(|long| unit.starts_with(long));
    let after_number = text.char_indices().filter(|(_, c)| c.is_ascii_digit()).map(|(at, _)| &text[at + 1..]);
    after_number.map(str::trim_start).any(|rest| {
        let unit: String = rest.chars().take_while(|c| c.is_ascii_alphabetic() || *c == 'µ').collect();
        !unit.is_empty() && is_unit(&unit.to_lowercase())
    })
}
