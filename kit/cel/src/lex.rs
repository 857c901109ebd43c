//! Text to tokens. Source: the grammar of the CEL specification (`doc/langdef.md`, "Syntax").

use std::iter::Peekable;
use std::str::CharIndices;

/// A word of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A name.
    Ident(String),
    /// A whole number.
    Int(i64),
    /// One with a `u`.
    Uint(u64),
    /// A number with a fraction.
    Double(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// An operator or a bracket.
    Sign(&'static str),
    /// The end.
    End,
}

impl Token {
    /// As messages show it.
    pub fn shown(&self, text: &str) -> String {
        match self {
            Token::End => "<EOF>".into(),
            _ => text.into(),
        }
    }
}

/// A token, and from where to where it stands, in bytes.
pub type Placed = (Token, usize, usize);

/// The longer ones first.
const SIGNS: [&str; 26] = [
    "==", "!=", "<=", ">=", "&&", "||", "[?", ".?", "(", ")", "[", "]", "{", "}", ".", ",", ":", "?", "<", ">", "+",
    "-", "*", "/", "%", "!",
];

/// All tokens of a text, with an end.
///
/// # Errors
///
/// Where the text is no token, and why.
pub fn tokens(text: &str) -> Result<Vec<Placed>, (usize, String)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c.is_whitespace() {
            at += c.len_utf8();
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else {
            let (token, long) = token(rest, c).map_err(|why| (at, why))?;
            found.push((token, at, at + long));
            at += long;
        }
    }
    found.push((Token::End, at, at));
    Ok(found)
}

fn token(rest: &str, first: char) -> Result<(Token, usize), String> {
    if let Some(found) = literal(rest)? {
        return Ok(found);
    }
    let next_is_digit = rest[1.min(rest.len() - first.len_utf8())..].starts_with(|c: char| c.is_ascii_digit());
    if first.is_ascii_digit() || (first == '.' && next_is_digit) {
        return number(rest);
    }
    if first == '_' || first.is_ascii_alphabetic() {
        let long = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        return Ok((Token::Ident(rest[..long].into()), long));
    }
    let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
    // `a ? .5 : 1` and `a[?x]` are told apart by what follows; an optional selection has a name.
    let sign = match sign {
        Some(".?") if !rest[2..].starts_with(|c: char| c == '_' || c.is_ascii_alphabetic()) => Some("."),
        sign => sign,
    };
    match sign {
        Some(sign) => Ok((Token::Sign(sign), sign.len())),
        None => Err(format!("Syntax error: token recognition error at: '{first}'")),
    }
}

fn number(rest: &str) -> Result<(Token, usize), String> {
    let wrong = |what: &str, text: &str| format!("invalid {what} literal: {text}");
    if let Some(hex) = rest.strip_prefix("0x") {
        let long = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
        let (digits, unsigned) = (&hex[..long], hex[long..].starts_with(['u', 'U']));
        let token = match unsigned {
            true => u64::from_str_radix(digits, 16).map(Token::Uint).map_err(|_| wrong("uint", digits)),
            false => i64::from_str_radix(digits, 16).map(Token::Int).map_err(|_| wrong("int", digits)),
        };
        return Ok((token?, 2 + long + usize::from(unsigned)));
    }
    let digits = |from: usize| from + rest[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - from);
    let mut end = digits(0);
    let mut fraction = false;
    if rest[end..].starts_with('.') && digits(end + 1) > end + 1 {
        (end, fraction) = (digits(end + 1), true);
    }
    if rest[end..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
        if digits(end + 1 + sign) > end + 1 + sign {
            (end, fraction) = (digits(end + 1 + sign), true);
        }
    }
    let text = &rest[..end];
    if fraction {
        return Ok((Token::Double(text.parse().map_err(|_| wrong("double", text))?), end));
    }
    if rest[end..].starts_with(['u', 'U']) {
        return Ok((Token::Uint(text.parse().map_err(|_| wrong("uint", text))?), end + 1));
    }
    // The smallest number is written with a minus, which comes before.
    let value: u64 = text.parse().map_err(|_| wrong("int", text))?;
    let value = if value == 1 << 63 { i64::MIN } else { i64::try_from(value).map_err(|_| wrong("int", text))? };
    Ok((Token::Int(value), end))
}

/// A text or bytes, if here is one.
fn literal(rest: &str) -> Result<Option<(Token, usize)>, String> {
    let head = rest.len() - rest.trim_start_matches(['r', 'R', 'b', 'B']).len();
    let (prefix, body) = rest.split_at(head);
    if head > 2 || !body.starts_with(['"', '\'']) {
        return Ok(None);
    }
    let (raw, bytes) = (prefix.contains(['r', 'R']), prefix.contains(['b', 'B']));
    let quote = &body[..1];
    let triple = quote.repeat(3);
    let quote = if body.starts_with(&triple) { triple.as_str() } else { quote };
    let mut out = Vec::new();
    let mut chars = body[quote.len()..].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let here = &body[quote.len() + at..];
        if here.starts_with(quote) {
            let long = head + quote.len() + at + quote.len();
            let token = match bytes {
                true => Token::Bytes(out),
                false => Token::Text(String::from_utf8(out).map_err(|_| "invalid string literal".to_string())?),
            };
            return Ok(Some((token, long)));
        }
        match c {
            '\n' if quote.len() == 1 => break,
            '\\' if !raw => escape(&mut chars, bytes, &mut out)?,
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err(format!("Syntax error: token recognition error at: '{}'", rest.lines().next().unwrap_or_default()))
}

fn escape(chars: &mut Peekable<CharIndices<'_>>, bytes: bool, out: &mut Vec<u8>) -> Result<(), String> {
    let wrong = || "unable to unescape string".to_string();
    let (_, c) = chars.next().ok_or_else(wrong)?;
    let (digits, radix, first) = match c {
        'x' | 'X' => (2, 16, None),
        'u' => (4, 16, None),
        'U' => (8, 16, None),
        '0'..='3' => (2, 8, Some(c)),
        _ => {
            let plain = match c {
                'a' => 7,
                'b' => 8,
                'f' => 12,
                'n' => b'\n',
                'r' => b'\r',
                't' => b'\t',
                'v' => 11,
                '\\' | '\'' | '"' | '`' | '?' => c as u8,
                _ => return Err(wrong()),
            };
            out.push(plain);
            return Ok(());
        }
    };
    let mut number: String = first.into_iter().collect();
    for _ in 0..digits {
        number.push(chars.next().ok_or_else(wrong)?.1);
    }
    let code = u32::from_str_radix(&number, radix).map_err(|_| wrong())?;
    match bytes && !matches!(c, 'u' | 'U') {
        true => out.push(u8::try_from(code).map_err(|_| wrong())?),
        false => {
            let c = char::from_u32(code).ok_or_else(wrong)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Ok(())
}
