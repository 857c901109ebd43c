//! Fresh scenarios of `objects/quantity`: texts of every family, at the edges of each suffix, and some that mean nothing.

use crate::fresh::{Generator, question, several};
use kit_api::Quantity;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

/// Digits with or without a point: short ones, long ones, and those that the next suffix begins with.
fn digits() -> impl Strategy<Value = String> {
    let whole = prop_oneof![
        6 => (0_u64..2000).prop_map(|n| n.to_string()),
        3 => select(vec!["0", "00", "1", "9", "10", "99", "100", "999", "1000", "1023", "1024", "1025", "1048576", "1000000", "007"])
            .prop_map(str::to_string),
        1 => (0_u64..1 << 62).prop_map(|n| n.to_string()),
    ];
    let fraction = prop_oneof![
        8 => Just(None),
        4 => "[0-9]{0,3}".prop_map(Some),
        2 => select(vec!["5", "50", "001", "0001", "999999999", "9999999999", "0000000001", "0000000009", "125", "0009765625"])
            .prop_map(|text| Some(text.to_string())),
        // Much more than a nano needs, but a suffix makes it more than that again.
        2 => (0_usize..20, 1_u32..1000).prop_map(|(zeros, n)| Some(format!("{}{n}", "0".repeat(zeros)))),
    ];
    (whole, fraction, 0..8_u8).prop_map(|(whole, fraction, bare)| match fraction {
        Some(fraction) if bare == 0 && !fraction.is_empty() => format!(".{fraction}"),
        Some(fraction) => format!("{whole}.{fraction}"),
        None => whole,
    })
}

/// The suffix, with about as many digits before it as are still less than 2^63 units.
const SUFFIXES: [&str; 34] = [
    "", "", "", "m", "m", "u", "n", "k", "M", "G", "T", "P", "Ki", "Ki", "Mi", "Gi", "Ti", "Pi", "e0", "e3", "E3",
    "e-3", "E-9", "e+2", "e1", "e-10", "E", "Ei", "e03", "E+3", "e-06", "E00", "e+0", "e06",
];

fn amount() -> impl Strategy<Value = String> {
    let sign = select(vec!["", "", "", "", "", "-", "+"]);
    (sign, digits(), select(&SUFFIXES[..])).prop_filter_map("at most 2^62 units", |(sign, digits, suffix)| {
        let text = format!("{sign}{digits}{suffix}");
        // With all its digits, and then in nanos, it has a place in 128 bits.
        let after = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i32);
        let exact = size(&text) * 10_f64.powi(after + 9) < 1e37;
        (exact && text.len() <= 30 && size(&text) < (1_i64 << 62) as f64).then_some(text)
    })
}

/// How many units, without the sign.
fn size(text: &str) -> f64 {
    text.parse::<Quantity>().map_or(f64::INFINITY, |amount| amount.approximate_f64().abs())
}

/// What is none, or hardly one.
fn odd() -> impl Strategy<Value = String> {
    let odd = [
        "", " ", "1 ", " 1", "+", "-", ".", "1.", ".5", "-.5", "+.", "1.2.3", "1e", "1E", "1e+", "e3", "1K", "1ki",
        "1mi", "1MI", "1mm", "1kk", "--1", "+-1", "1,5", "0x10", "1_000", "1Ei", "1e3m", "1Kim", "1E3", "1e03", "1e-0",
        "1.5Ki", "0.1m", "1i", "NaN", "inf", "１", "1\u{0}", "1µ", "1B", "5GB", "1KB", "1MiB", "1b", "1000Ki",
    ];
    // As long and as far from 1 as a text may be.
    let far = [
        "1e-15",
        "-1e-15",
        "0e18",
        "0e-15",
        "9e18",
        "0.5e18",
        "000000000000000000000000000001",
        "0.0000000000000000000000000001",
    ];
    select([&odd[..], &far[..]].concat()).prop_map(str::to_string)
}

/// Amounts that come to a few bytes, or a few more than a suffix stands for.
fn close() -> impl Strategy<Value = (String, String)> {
    let rest = select(vec![-1024_i64, -1000, -1, 0, 1, 999, 1000, 1023, 1024, 1025, 2000, 1_000_000, 1 << 20]);
    (1_i64..5, rest, select(vec!["", "e0", "000m"]))
        .prop_map(|(kibi, rest, suffix)| (format!("{kibi}Ki"), format!("{}{suffix}", (kibi << 10) - rest)))
}

/// Amounts that differ by little or by nothing, also where floating point would have no place for what is between them.
fn neighbours() -> impl Strategy<Value = (String, String)> {
    let base = prop_oneof![
        1 => 0_i64..5000,
        1 => select(vec![1_i64 << 20, 1 << 31, 1 << 53, (1 << 53) + 1, 1 << 60, (1 << 62) - 2, 1_000_000_007]),
        1 => 1_i64 << 53..1 << 62,
    ];
    let unit = select(vec!["", "m", "n", "e0", "e-3"]);
    let same = select(vec!["", ".0", ".000", ".0000000001", ".001", ".5"]);
    let all = (base, select(vec![-1_i64, 0, 0, 1]), unit, same, any::<bool>());
    all.prop_filter_map("at most 30 characters", |(base, more, unit, same, negative)| {
        let sign = if negative { "-" } else { "" };
        let other = format!("{sign}{}{same}{unit}", (base + more).max(0));
        (other.len() <= 30).then(|| (format!("{sign}{base}{unit}"), other))
    })
}

/// A few questions, each about one or two amounts.
pub fn fresh() -> Generator {
    let text = prop_oneof![5 => amount(), 5 => odd()].prop_map(|text| question("canonical", json!({ "text": text })));
    // Thousandths that a double doesn't hold.
    let large =
        (1_i64 << 44..1 << 51, select(vec!["", ".0005", ".0015", ".001"])).prop_map(|(n, more)| format!("{n}{more}"));
    let one = (select(vec!["value", "milli_value"]), prop_oneof![8 => amount().boxed(), 1 => large.boxed()]);
    let one = one.prop_filter_map("thousandths of it fit", |(call, text)| {
        let fits = call == "value" || size(&text) < (1_i64 << 52) as f64;
        fits.then(|| question(call, json!({ "text": text })))
    });
    let two = (select(vec!["compare", "add", "sub"]), amount(), amount(), any::<bool>());
    let two =
        two.prop_map(|(call, a, b, twice)| question(call, json!({"a": a, "b": if twice { a.clone() } else { b }})));
    let close = close().prop_map(|(a, b)| question("sub", json!({"a": a, "b": b})));
    let neighbours = (select(vec!["compare", "compare", "sub"]), neighbours());
    let neighbours = neighbours.prop_map(|(call, (a, b))| question(call, json!({"a": a, "b": b})));
    several(prop_oneof![8 => text, 6 => one, 8 => two, 1 => close, 3 => neighbours], 8)
}
