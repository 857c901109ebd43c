//! Amounts such as `500m` and `256Mi`: exact, and written back as they were meant.
//!
//! Source: `staging/src/k8s.io/apimachinery/pkg/api/resource` (`quantity.go`, `amount.go`, `math.go`, `scale_int.go`).
//! As there, small amounts are a 64-bit integer and a power of ten, all others a big decimal. That is not only for
//! speed: the two round differently below zero, and overflow differently.

use num_bigint::BigInt;
use num_bigint::Sign as BigSign;
use num_integer::Integer;
use num_traits::{One, Signed, ToPrimitive, Zero};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The greatest number of decimal digits that the integer form takes.
const INT_DIGITS: i32 = 18;
/// Nothing is smaller than a nano; what is gets rounded up to it.
const NANO: i32 = 9;
/// Upstream computes any power of ten that is asked for; this is where a text stops being an amount and becomes
/// an attack on memory.
const MAX_EXPONENT: i32 = 10_000;

/// An exact amount, with the family of suffixes in which it is written.
#[derive(Debug, Clone)]
pub struct Quantity {
    amount: Amount,
    format: Format,
    /// The text that was parsed, where upstream takes it for canonical.
    text: Option<String>,
}

/// Which suffixes a quantity is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`
    BinarySI,
    /// `12M`
    DecimalSI,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why a text is no quantity. The messages are upstream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It has another form.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// Its number is none.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// Its suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

#[derive(Debug, Clone)]
enum Amount {
    /// `value × 10^exponent`
    Int { value: i64, exponent: i32 },
    /// `unscaled × 10^-scale`
    Dec { unscaled: BigInt, scale: i32 },
}

impl Quantity {
    /// An amount of whole units.
    pub fn new(value: i64, format: Format) -> Self {
        Quantity { amount: Amount::Int { value, exponent: 0 }, format, text: None }
    }

    /// An amount of thousandths, as CPU is counted.
    pub fn from_milli(value: i64, format: Format) -> Self {
        Quantity { amount: Amount::Int { value, exponent: -3 }, format, text: None }
    }

    /// The suffixes it was written with.
    pub fn format(&self) -> Format {
        self.format
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i32 {
        match &self.amount {
            Amount::Int { value, .. } => value.signum() as i32,
            Amount::Dec { unscaled, .. } => match unscaled.sign() {
                BigSign::Minus => -1,
                BigSign::NoSign => 0,
                BigSign::Plus => 1,
            },
        }
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.sign() == 0
    }

    /// Whole units, rounded up.
    pub fn value(&self) -> i64 {
        self.scaled_value(0)
    }

    /// Thousandths, rounded up: CPU in milli-cores.
    pub fn milli_value(&self) -> i64 {
        self.scaled_value(-3)
    }

    /// How many times `10^exponent` it is, rounded up. Overflows silently, as upstream's does.
    pub fn scaled_value(&self, exponent: i32) -> i64 {
        match &self.amount {
            Amount::Int { value, exponent: own } if *own < exponent => reduce(*value, exponent - own).0,
            Amount::Int { value, exponent: own } => enlarge_wrapping(*value, own - exponent),
            Amount::Dec { unscaled, scale } => scaled_big(unscaled, *scale, -exponent),
        }
    }

    /// As a float, with what floats lose (`AsApproximateFloat64`).
    pub fn approximate_f64(&self) -> f64 {
        let (base, exponent) = match &self.amount {
            Amount::Int { value, exponent } => (*value as f64, *exponent),
            Amount::Dec { unscaled, scale } => (unscaled.to_f64().unwrap_or(f64::INFINITY), -scale),
        };
        if exponent == 0 { base } else { base * power_of_ten_f64(exponent) }
    }

    /// Adds `other`. The suffixes stay, but nothing takes those of what is added.
    pub fn add(&mut self, other: &Quantity) {
        self.combine(other, 1);
    }

    /// Subtracts `other`, with the same rule for suffixes.
    pub fn sub(&mut self, other: &Quantity) {
        self.combine(other, -1);
    }

    fn combine(&mut self, other: &Quantity, sign: i64) {
        self.text = None;
        if self.is_zero() {
            self.format = other.format;
        }
        if let (Amount::Int { value, exponent }, Amount::Int { value: more, exponent: theirs }) =
            (&self.amount, &other.amount)
            && let Some((value, exponent)) = add_ints((*value, *exponent), (more.wrapping_mul(sign), *theirs))
        {
            self.amount = Amount::Int { value, exponent };
            return;
        }
        let ((a, a_scale), (b, b_scale)) = (self.decimal(), other.decimal());
        let scale = a_scale.max(b_scale);
        let unscaled = a * power_of_ten(scale - a_scale) + b * power_of_ten(scale - b_scale) * sign;
        self.amount = Amount::Dec { unscaled, scale };
    }

    /// Turns the sign around.
    pub fn neg(&mut self) {
        self.text = None;
        match &mut self.amount {
            Amount::Int { value, .. } => *value = value.wrapping_neg(),
            Amount::Dec { unscaled, .. } => *unscaled = -std::mem::take(unscaled),
        }
    }

    /// Rounds up to whole milli-units, as the API server does with what it stores (`SetDefaults_ResourceList`).
    pub fn round_up_to_milli(&mut self) {
        match &mut self.amount {
            Amount::Int { value, exponent } if *exponent < -3 => {
                *value = reduce(*value, -3 - *exponent).0;
                *exponent = -3;
                self.text = None;
            }
            Amount::Int { .. } => {}
            Amount::Dec { unscaled, scale } => {
                let magnitude = round_up(&unscaled.abs(), *scale, 3);
                *unscaled = if unscaled.is_negative() { -magnitude } else { magnitude };
                *scale = 3;
                self.text = None;
            }
        }
    }

    fn decimal(&self) -> (BigInt, i32) {
        match &self.amount {
            Amount::Int { value, exponent } => (BigInt::from(*value), -exponent),
            Amount::Dec { unscaled, scale } => (unscaled.clone(), *scale),
        }
    }

    /// Number and suffix in canonical form (`CanonicalizeBytes`).
    fn canonical(&self) -> String {
        if self.is_zero() {
            return "0".into();
        }
        if self.format == Format::BinarySI
            // Small amounts keep their digits.
            && (*self <= Quantity::new(-1024, Format::DecimalSI) || *self >= Quantity::new(1024, Format::DecimalSI))
            && let Some(mut whole) = self.whole()
        {
            let mut factors = 0;
            while (&whole % 1024_i32).is_zero() && whole.abs() >= BigInt::from(1024) {
                whole /= 1024;
                factors += 1;
            }
            return format!("{whole}{}", suffix(2, factors * 10));
        }
        let (mut number, scale) = self.decimal();
        let mut exponent = -scale;
        while (&number % 10_i32).is_zero() {
            number /= 10;
            exponent += 1;
        }
        while exponent % 3 != 0 {
            number *= 10;
            exponent -= 1;
        }
        match self.format {
            Format::DecimalExponent if exponent == 0 => number.to_string(),
            Format::DecimalExponent => format!("{number}e{exponent}"),
            // What is no whole number of bytes loses nothing in decimal suffixes.
            _ => format!("{number}{}", suffix(10, exponent)),
        }
    }

    /// The amount, if it is a whole number of units.
    fn whole(&self) -> Option<BigInt> {
        let (number, scale) = self.decimal();
        if scale <= 0 {
            return Some(number * power_of_ten(-scale));
        }
        let (whole, rest) = number.div_rem(&power_of_ten(scale));
        rest.is_zero().then_some(whole)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => f.write_str(text),
            None => f.write_str(&self.canonical()),
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Quantity {}
impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Quantity {
    /// By amount; suffixes play no role.
    fn cmp(&self, other: &Self) -> Ordering {
        let signs = self.sign().cmp(&other.sign());
        if signs != Ordering::Equal {
            return signs;
        }
        let ((a, a_scale), (b, b_scale)) = (self.decimal(), other.decimal());
        let scale = a_scale.max(b_scale);
        (a * power_of_ten(scale - a_scale)).cmp(&(b * power_of_ten(scale - b_scale)))
    }
}

/// In JSON a quantity is a string, `"500m"`; numbers are read, too.
impl serde::Serialize for Quantity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Quantity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        text.parse().map_err(|e| serde::de::Error::custom(format!("{text:?}: {e}")))
    }
}

impl Default for Quantity {
    fn default() -> Self {
        Quantity::new(0, Format::DecimalSI)
    }
}

impl TryFrom<&k8s_openapi::apimachinery::pkg::api::resource::Quantity> for Quantity {
    type Error = ParseError;
    fn try_from(text: &k8s_openapi::apimachinery::pkg::api::resource::Quantity) -> Result<Self, ParseError> {
        text.0.trim().parse()
    }
}

impl From<&Quantity> for k8s_openapi::apimachinery::pkg::api::resource::Quantity {
    fn from(quantity: &Quantity) -> Self {
        Self(quantity.to_string())
    }
}

impl FromStr for Quantity {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        crate::withheld::from("objects::quantity", "Quantity");
        let parts = Parts::of(text)?;
        let Parts { negative, number, fraction, .. } = parts;
        let (base, exponent, format) = interpret(parts.suffix).ok_or(ParseError::Suffix)?;
        if exponent.unsigned_abs() > MAX_EXPONENT.unsigned_abs() || text.len() > MAX_EXPONENT.unsigned_abs() as usize {
            return Err(ParseError::Numeric);
        }
        let digits = number.len() as i32 + fraction.len() as i32;
        // (decimal exponent, factor, digits to spare) of the integer form.
        let (scale, factor, spare) = match base {
            10 => (exponent, 1, INT_DIGITS - digits),
            _ if fraction.is_empty() => (0, 1_i64 << exponent, 15 - digits - exponent * 3 / 10 - 1),
            _ => (0, 1, -1),
        };
        let scale = scale - fraction.len() as i32;
        let shifted = format!("{number}{fraction}");
        if spare >= 0 && scale >= -NANO {
            let parsed: i64 = shifted.parse().map_err(|_| ParseError::Numeric)?;
            if let Some(value) = parsed.checked_mul(factor) {
                let canonical = match format {
                    Format::BinarySI => parsed & 7 != 0,
                    _ => scale % 3 == 0 && !shifted.ends_with("000") && !shifted.starts_with('0'),
                };
                let amount = Amount::Int { value: if negative { -value } else { value }, exponent: scale };
                return Ok(Quantity { amount, format, text: canonical.then(|| text.to_string()) });
            }
        }
        if !parts.has_digits {
            return Err(ParseError::Numeric);
        }
        let mut unscaled: BigInt = shifted.parse().map_err(|_| ParseError::Numeric)?;
        let mut scale = fraction.len() as i32;
        if base == 10 {
            scale -= exponent;
        } else {
            unscaled <<= exponent;
        }
        if !unscaled.is_zero() {
            unscaled = round_up(&unscaled, scale, NANO);
            scale = NANO;
        }
        let mut format = format;
        let max = BigInt::from(i64::MAX) * power_of_ten(scale.max(0));
        if format == Format::BinarySI && unscaled > max {
            (unscaled, scale) = (BigInt::from(i64::MAX), 0);
        }
        if format == Format::BinarySI && !unscaled.is_zero() && unscaled < power_of_ten(scale.max(0)) {
            format = Format::DecimalSI;
        }
        if negative {
            unscaled = -unscaled;
        }
        Ok(Quantity { amount: Amount::Dec { unscaled, scale }, format, text: None })
    }
}

/// A text taken apart (`parseQuantityString`).
struct Parts<'a> {
    negative: bool,
    /// Digits before the point, without leading zeros; at least one.
    number: &'a str,
    fraction: &'a str,
    suffix: &'a str,
    has_digits: bool,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Err(ParseError::Format);
        }
        let negative = text.starts_with('-');
        let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = rest.split_at(digits(rest));
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits(rest)),
            None => ("", rest),
        };
        let has_digits = !number.is_empty() || !fraction.is_empty();
        let significant = number.trim_start_matches('0');
        let number = if significant.is_empty() { "0" } else { significant };
        let letters = suffix.bytes().take_while(|b| b"eEinumkKMGTP".contains(b)).count();
        let tail = &suffix.as_bytes()[letters..];
        let tail = tail.strip_prefix(b"-").or_else(|| tail.strip_prefix(b"+")).unwrap_or(tail);
        if !tail.iter().all(u8::is_ascii_digit) {
            return Err(ParseError::Format);
        }
        Ok(Parts { negative, number, fraction, suffix, has_digits })
    }
}

const SUFFIXES: [(&str, i32, i32); 16] = [
    ("Ki", 2, 10),
    ("Mi", 2, 20),
    ("Gi", 2, 30),
    ("Ti", 2, 40),
    ("Pi", 2, 50),
    ("Ei", 2, 60),
    ("n", 10, -9),
    ("u", 10, -6),
    ("m", 10, -3),
    ("", 10, 0),
    ("k", 10, 3),
    ("M", 10, 6),
    ("G", 10, 9),
    ("T", 10, 12),
    ("P", 10, 15),
    ("E", 10, 18),
];

/// Base, exponent and format of a suffix.
fn interpret(suffix: &str) -> Option<(i32, i32, Format)> {
    if let Some((_, base, exponent)) = SUFFIXES.iter().find(|(text, ..)| *text == suffix) {
        return Some((*base, *exponent, if *base == 2 { Format::BinarySI } else { Format::DecimalSI }));
    }
    let exponent: i64 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    // Go's conversion keeps the low 32 bits.
    Some((10, exponent as i32, Format::DecimalExponent))
}

/// The suffix of a power; nothing where there is none, as upstream.
fn suffix(base: i32, exponent: i32) -> &'static str {
    SUFFIXES.iter().find(|(_, b, e)| (*b, *e) == (base, exponent)).map_or("", |(text, ..)| text)
}

fn power_of_ten(exponent: i32) -> BigInt {
    BigInt::from(10).pow(exponent.max(0).unsigned_abs())
}

/// Go's `math.Pow10`.
fn power_of_ten_f64(exponent: i32) -> f64 {
    format!("1e{exponent}").parse().unwrap_or(f64::INFINITY)
}

/// A positive number at another scale, away from zero where digits are lost.
fn round_up(unscaled: &BigInt, scale: i32, to: i32) -> BigInt {
    if scale <= to {
        return unscaled * power_of_ten(to - scale);
    }
    let (whole, rest) = unscaled.div_rem(&power_of_ten(scale - to));
    if rest.is_zero() { whole } else { whole + BigInt::one() }
}

/// `int64Amount.Add`; none where it overflows.
fn add_ints((a, a_exponent): (i64, i32), (b, b_exponent): (i64, i32)) -> Option<(i64, i32)> {
    if b == 0 {
        return Some((a, a_exponent));
    }
    if a == 0 {
        return Some((b, b_exponent));
    }
    let exponent = a_exponent.min(b_exponent);
    let at = |value: i64, own: i32| {
        let factor = 10_i64.checked_pow((own - exponent).unsigned_abs())?;
        value.checked_mul(factor)
    };
    Some((at(a, a_exponent)?.checked_add(at(b, b_exponent)?)?, exponent))
}

/// Divides by `10^digits`, away from zero where something is lost (`negativeScaleInt64`); whether it was exact.
fn reduce(value: i64, digits: i32) -> (i64, bool) {
    let (whole, rest) = match 10_i64.checked_pow(digits.unsigned_abs()) {
        Some(divisor) => (value / divisor, value % divisor),
        None => (0, value),
    };
    (whole + rest.signum(), rest == 0)
}

/// Multiplies by `10^digits` (`positiveScaleInt64`). Where that overflows, upstream wraps around for some powers and
/// gives up with 0 for the others.
fn enlarge_wrapping(value: i64, digits: i32) -> i64 {
    let exact = 10_i64.checked_pow(digits.unsigned_abs()).and_then(|factor| value.checked_mul(factor));
    match (exact, digits) {
        (Some(exact), _) => exact,
        (None, 1 | 2 | 3 | 6 | 9) if value != i64::MIN => value.wrapping_mul(10_i64.pow(digits.unsigned_abs())),
        (None, _) => 0,
    }
}

/// `scaledValue` of `scale_int.go`: the same number at another scale as an integer, with its overflows.
fn scaled_big(unscaled: &BigInt, scale: i32, to: i32) -> i64 {
    let shift = scale - to;
    if shift <= 0 {
        // 10^19 and more are no int64; amd64 then answers the smallest one.
        let factor = 10_i64.checked_pow(shift.unsigned_abs()).unwrap_or(i64::MIN);
        return low_64_bits(unscaled).wrapping_mul(factor);
    }
    if *unscaled < BigInt::from(i64::MAX) && shift < 19 {
        let (value, divisor) = (low_64_bits(unscaled), 10_i64.pow(shift.unsigned_abs()));
        return value / divisor + i64::from(value % divisor != 0);
    }
    let (whole, rest) = unscaled.div_mod_floor(&power_of_ten(shift));
    low_64_bits(&whole).wrapping_add(i64::from(!rest.is_zero()))
}

/// Go's `big.Int.Int64`.
fn low_64_bits(number: &BigInt) -> i64 {
    let low = number.iter_u64_digits().next().unwrap_or(0) as i64;
    if number.is_negative() { low.wrapping_neg() } else { low }
}
