//! Numbers for people (`template/template.go`).

use crate::number::general;
use jiff::Timestamp;

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

fn four(value: f64) -> String {
    general(value, Some(4))
}

/// `value` in units that are `step` apart, as long as it is not below 1.
fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut unit = String::new();
    for larger in units {
        if value.abs() < step {
            break;
        }
        unit = (*larger).into();
        value /= step;
    }
    four(value) + &unit
}

fn small(mut value: f64) -> String {
    let mut unit = "";
    for smaller in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        unit = smaller;
        value *= 1000.0;
    }
    four(value) + unit
}

/// `humanize`: 1234567 is 1.235M.
pub fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        four(value)
    } else if value.abs() >= 1.0 {
        scaled(value, 1000.0, &LARGE)
    } else {
        small(value)
    }
}

/// `humanize1024`: 1048576 is 1Mi.
pub fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return four(value);
    }
    scaled(value, 1024.0, &["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"])
}

/// `humanizeDuration` of seconds: 3661 is `1h 1m 1s`.
pub fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return four(value);
    }
    if value == 0.0 {
        return four(value) + "s";
    }
    if value.abs() < 1.0 {
        return small(value) + "s";
    }
    let (sign, value) = if value < 0.0 { ("-", -value) } else { ("", value) };
    let whole = value as i64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", four(value))
    }
}

/// `humanizePercentage`: 0.123 is 12.3%.
pub fn humanize_percentage(value: f64) -> String {
    four(value * 100.0) + "%"
}

/// `humanizeTimestamp` of seconds since 1970, as Go prints a time.
pub fn humanize_timestamp(value: f64) -> String {
    if !value.is_finite() {
        return four(value);
    }
    let time = Timestamp::from_nanosecond((value * 1e9) as i128);
    time.map_or_else(|_| four(value), |time| time.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_people() {
        for (value, plain, binary, duration) in [
            (0.0, "0", "0", "0s"),
            (1.0, "1", "1", "1s"),
            (1234567.0, "1.235M", "1.177Mi", "14d 6h 56m 7s"),
            (0.0012, "1.2m", "0.0012", "1.2ms"),
            (-90.0, "-90", "-90", "-1m 30s"),
            (f64::INFINITY, "+Inf", "+Inf", "+Inf"),
        ] {
            assert_eq!(humanize(value), plain);
            assert_eq!(humanize_1024(value), binary);
            assert_eq!(humanize_duration(value), duration);
        }
        assert_eq!(humanize_percentage(0.123456), "12.35%");
        assert_eq!(humanize_timestamp(1435065584.128), "2015-06-23 13:19:44.128 +0000 UTC");
    }
}
