//! A number that may be infinite, or none.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A number that may also be `NaN`, `+Inf` or `-Inf`, which in JSON are strings. It is written as Prometheus' clients in Go write it: `0.25`, `3`, `1.5e+06`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Number(pub f64);

/// As `strconv.AppendFloat(f, 'g', -1, 64)`: as short as it can be read back, with an exponent below -4 and from 6 on.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if value.is_nan() {
            return f.write_str("NaN");
        }
        if value.is_infinite() {
            return f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        }
        let exponential = format!("{value:e}");
        let (mantissa, exponent) = exponential.split_once('e').unwrap_or((&exponential, "0"));
        match exponent.parse::<i32>().unwrap_or(0) {
            _ if value == 0.0 => f.write_str("0"),
            exponent if (-4..6).contains(&exponent) => write!(f, "{value}"),
            exponent => write!(f, "{mantissa}e{exponent:+03}"),
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() { serializer.serialize_f64(self.0) } else { serializer.serialize_str(&self.to_string()) }
    }
}

/// A number as JSON has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Finite(f64),
    Other(String),
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = match Written::deserialize(deserializer)? {
            Written::Finite(value) => value,
            Written::Other(text) => match &*text {
                "NaN" => f64::NAN,
                "+Inf" => f64::INFINITY,
                "-Inf" => f64::NEG_INFINITY,
                _ => return Err(D::Error::custom(format!("{text:?} is no number, NaN, +Inf or -Inf"))),
            },
        };
        Ok(Number(value))
    }
}
