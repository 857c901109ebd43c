//! The reference for `objects/quantity`.
//!
//! The cluster itself counts with `kit_api::Quantity`, because objects must be read before there is any module to ask,
//! and because it keeps what Kubernetes does beyond 2^63. A test holds the two equal.

// ANCHOR: solution
use kit::objects::{BINARY_SUFFIXES, DECIMAL_SUFFIXES, NotAQuantity, Quantities};
use std::fmt;

/// Quantities as whole numbers of nanos: there is nothing smaller, and so nothing is ever inexact.
#[derive(Default)]
pub struct Exercise;

impl Quantities for Exercise {
    fn canonical(&self, text: &str) -> Result<String, NotAQuantity> {
        parse(text).map(|quantity| quantity.to_string()).ok_or(NotAQuantity)
    }

    fn value(&self, text: &str) -> i64 {
        divide_away_from_zero(read(text).nanos, ONE) as i64
    }

    fn milli_value(&self, text: &str) -> i64 {
        divide_away_from_zero(read(text).nanos, ONE / 1000) as i64
    }

    fn compare(&self, a: &str, b: &str) -> i32 {
        read(a).nanos.cmp(&read(b).nanos) as i32
    }

    fn add(&self, a: &str, b: &str) -> String {
        let (a, b) = (read(a), read(b));
        Quantity { nanos: a.nanos + b.nanos, family: family(a, b) }.to_string()
    }

    fn sub(&self, a: &str, b: &str) -> String {
        let (a, b) = (read(a), read(b));
        Quantity { nanos: a.nanos - b.nanos, family: family(a, b) }.to_string()
    }
}

/// One unit, in nanos.
const ONE: i128 = 1_000_000_000;

#[derive(Clone, Copy)]
struct Quantity {
    nanos: i128,
    family: Family,
}

/// How an amount is written.
#[derive(Clone, Copy, PartialEq)]
enum Family {
    /// `12M`
    Decimal,
    /// `12Mi`
    Binary,
    /// `12e6`
    Exponent,
}

/// The family of a sum or a difference.
fn family(a: Quantity, b: Quantity) -> Family {
    if a.nanos == 0 { b.family } else { a.family }
}

// ANCHOR: parse
fn parse(text: &str) -> Option<Quantity> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let number_ends = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(number_ends);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // No digit at all, or a second point, is no number here.
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (factor, exponent, family) = unit(suffix)?;

    let digits = digits.checked_mul(factor)?;
    // Of nanos, and counted from the last digit instead of from the point.
    let exponent = exponent.checked_add(9)?.checked_sub(fraction.len() as i32)?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let nanos = if exponent < 0 { divide_away_from_zero(digits, power) } else { digits.checked_mul(power)? };
    Some(Quantity { nanos: if text.starts_with('-') { -nanos } else { nanos }, family })
}

/// What a suffix multiplies by: a factor and a power of ten.
fn unit(suffix: &str) -> Option<(i128, i32, Family)> {
    if let Some(place) = DECIMAL_SUFFIXES.iter().position(|s| *s == suffix) {
        return Some((1, place as i32 * 3 - 9, Family::Decimal));
    }
    if let Some(place) = BINARY_SUFFIXES.iter().position(|s| *s == suffix) {
        return Some((1 << (10 * place), 0, Family::Binary));
    }
    // `E` alone is exa; with a number behind it, it is an exponent.
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((1, exponent, Family::Exponent))
}
// ANCHOR_END: parse

/// For the calls that are only asked about quantities.
fn read(text: &str) -> Quantity {
    parse(text).unwrap_or_else(|| panic!("{text:?} is not a quantity"))
}

fn divide_away_from_zero(number: i128, by: i128) -> i128 {
    number / by + (number % by).signum()
}

// ANCHOR: write
impl fmt::Display for Quantity {
    /// Without a fraction, with the greatest suffix that allows this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        // What is no whole number of bytes, or less than 1Ki of them, is written in decimal.
        if self.family == Family::Binary && self.nanos % ONE == 0 && self.nanos.abs() >= 1024 * ONE {
            let (number, place) = divide_out(self.nanos / ONE, 1024, BINARY_SUFFIXES.len() - 1);
            return write!(f, "{number}{}", BINARY_SUFFIXES[place]);
        }
        let (number, place) = divide_out(self.nanos, 1000, DECIMAL_SUFFIXES.len() - 1);
        match self.family {
            Family::Exponent if DECIMAL_SUFFIXES[place].is_empty() => write!(f, "{number}"),
            Family::Exponent => write!(f, "{number}e{}", place as i32 * 3 - 9),
            Family::Decimal | Family::Binary => write!(f, "{number}{}", DECIMAL_SUFFIXES[place]),
        }
    }
}

/// Divides by `base` while nothing is lost; what is left, and how often.
fn divide_out(mut number: i128, base: i128, most: usize) -> (i128, usize) {
    let mut times = 0;
    while times < most && number % base == 0 {
        number /= base;
        times += 1;
    }
    (number, times)
}
// ANCHOR_END: write
// ANCHOR_END: solution
