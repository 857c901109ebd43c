//! Durations as Go writes them: `1h30m`, `500ms`.
//!
//! Source: Go's `time.ParseDuration` and `Duration.String`, which `metav1.Duration` uses.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

/// A span of time in nanoseconds; it can be negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    /// Nanoseconds.
    pub nanos: i64,
}

impl Duration {
    /// So many seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Duration { nanos: seconds * 1_000_000_000 }
    }

    /// So many thousandths of a second.
    pub const fn millis(millis: i64) -> Self {
        Duration { nanos: millis * 1_000_000 }
    }
}

impl Add for Duration {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Duration { nanos: self.nanos + other.nanos }
    }
}

impl Sub for Duration {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Duration { nanos: self.nanos - other.nanos }
    }
}

const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("time: invalid duration {text:?}");
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        if unsigned == "0" {
            return Ok(Duration::default());
        }
        if unsigned.is_empty() {
            return Err(invalid());
        }
        let mut rest = unsigned;
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, after) = rest.split_at(end);
            let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
            if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
                return Err(invalid());
            }
            let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            if unit.is_empty() {
                return Err(format!("time: missing unit in duration {text:?}"));
            }
            let (_, nanos) = UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?;
            let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
            // Digits beyond a nanosecond of an hour change nothing.
            let digits = &fraction[..fraction.len().min(18)];
            let part: i128 = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| invalid())? };
            let part = part * i128::from(*nanos) / 10_i128.pow(digits.len() as u32);
            total = whole.checked_mul((*nanos).into()).and_then(|n| n.checked_add(part + total)).ok_or_else(invalid)?;
            if total > i128::from(i64::MAX) + 1 {
                return Err(invalid());
            }
            rest = after;
        }
        let signed = if text.starts_with('-') { -total } else { total };
        Ok(Duration { nanos: i64::try_from(signed).map_err(|_| invalid())? })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.nanos < 0 { "-" } else { "" };
        let nanos = self.nanos.unsigned_abs();
        let decimal = |nanos: u64, unit: u64| {
            let width = unit.to_string().len() - 1;
            let text = format!("{}.{:0width$}", nanos / unit, nanos % unit);
            text.trim_end_matches('0').trim_end_matches('.').to_string()
        };
        match nanos {
            0 => write!(f, "0s"),
            1..1_000 => write!(f, "{sign}{nanos}ns"),
            1_000..1_000_000 => write!(f, "{sign}{}µs", decimal(nanos, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{sign}{}ms", decimal(nanos, 1_000_000)),
            _ => {
                let (minutes, seconds) = (nanos / 60_000_000_000, decimal(nanos % 60_000_000_000, 1_000_000_000));
                match (minutes / 60, minutes % 60) {
                    (0, 0) => write!(f, "{sign}{seconds}s"),
                    (0, minutes) => write!(f, "{sign}{minutes}m{seconds}s"),
                    (hours, minutes) => write!(f, "{sign}{hours}h{minutes}m{seconds}s"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn texts_as_go_reads_and_writes_them() {
        let cases = [
            ("0", Ok("0s")),
            ("5s", Ok("5s")),
            ("90s", Ok("1m30s")),
            ("1h", Ok("1h0m0s")),
            ("1.5h", Ok("1h30m0s")),
            ("-1m0.25s", Ok("-1m0.25s")),
            ("100ms", Ok("100ms")),
            ("1.5us", Ok("1.5µs")),
            (".5s", Ok("500ms")),
            ("1m30.5s", Ok("1m30.5s")),
            ("", Err("time: invalid duration \"\"")),
            ("30", Err("time: missing unit in duration \"30\"")),
            ("1d", Err("time: unknown unit \"d\" in duration \"1d\"")),
            (".s", Err("time: invalid duration \".s\"")),
            ("9999999h", Err("time: invalid duration \"9999999h\"")),
        ];
        for (text, expected) in cases {
            let got = text.parse::<Duration>().map(|duration| duration.to_string());
            assert_eq!(got, expected.map(String::from).map_err(String::from), "{text}");
        }
    }
}
