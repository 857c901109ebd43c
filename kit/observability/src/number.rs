//! Numbers as Go reads and writes them: Prometheus' formats show them so.

/// Reads a number as Go's `strconv.ParseFloat` does; what is too large is an error, not infinite.
pub fn parse(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.eq_ignore_ascii_case("nan") {
        return (unsigned == text).then_some(f64::NAN);
    }
    if unsigned.eq_ignore_ascii_case("inf") || unsigned.eq_ignore_ascii_case("infinity") {
        return text.parse().ok();
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// The shortest decimal digits of `value`, or `precision` significant ones, and the exponent of the first.
fn digits(value: f64, precision: Option<usize>) -> (String, i32) {
    let text = match precision {
        Some(precision) => format!("{:.*e}", precision.max(1) - 1, value.abs()),
        None => format!("{:e}", value.abs()),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

fn special(value: f64) -> Option<String> {
    let name = if value.is_nan() {
        "NaN"
    } else if value == f64::INFINITY {
        "+Inf"
    } else if value == f64::NEG_INFINITY {
        "-Inf"
    } else {
        return None;
    };
    Some(name.into())
}

fn sign(value: f64) -> &'static str {
    if value.is_sign_negative() { "-" } else { "" }
}

fn exponent_form(digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{first}{point}{rest}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// `%e` with `precision` digits after the point, or as many as needed.
pub fn exponential(value: f64, precision: Option<usize>) -> String {
    special(value).unwrap_or_else(|| {
        let (digits, exponent) = digits(value, precision.map(|p| p + 1));
        format!("{}{}", sign(value), exponent_form(&digits, exponent))
    })
}

/// `%f` with `precision` digits after the point, or as many as needed.
pub fn fixed(value: f64, precision: Option<usize>) -> String {
    special(value).unwrap_or_else(|| match precision {
        Some(precision) => format!("{value:.precision$}"),
        None => format!("{value}"),
    })
}

/// `%g` with `precision` significant digits; without one, how Go prints a number by itself (`%v`): as short as it can be
/// read back, with an exponent below -4 and from 21 on.
pub fn general(value: f64, precision: Option<usize>) -> String {
    match precision {
        None => shortest(value, 21),
        Some(precision) => rounded(value, Some(precision), precision.max(1) as i32),
    }
}

/// As short as it can be read back, with an exponent below -4 and from `limit` on.
pub fn shortest(value: f64, limit: i32) -> String {
    rounded(value, None, limit)
}

fn rounded(value: f64, precision: Option<usize>, limit: i32) -> String {
    special(value).unwrap_or_else(|| {
        let (digits, exponent) = digits(value, precision);
        let digits = if precision.is_some() { digits.trim_end_matches('0') } else { &digits };
        let digits = if digits.is_empty() { "0" } else { digits };
        if exponent < -4 || exponent >= limit {
            return format!("{}{}", sign(value), exponent_form(digits, exponent));
        }
        let text = if exponent < 0 {
            format!("0.{}{digits}", "0".repeat(-exponent as usize - 1))
        } else {
            let whole = exponent as usize + 1;
            match digits.get(whole..) {
                Some("") => digits.to_string(),
                Some(fraction) => format!("{}.{fraction}", &digits[..whole]),
                None => format!("{digits:0<whole$}"),
            }
        };
        format!("{}{text}", sign(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_prints_them() {
        for (value, shortest, four, fixed_2) in [
            (0.0, "0", "0", "0.00"),
            (1.0, "1", "1", "1.00"),
            (1.5, "1.5", "1.5", "1.50"),
            (-0.25, "-0.25", "-0.25", "-0.25"),
            (123456.789, "123456.789", "1.235e+05", "123456.79"),
            (1e21, "1e+21", "1e+21", "1000000000000000000000.00"),
            (1e20, "100000000000000000000", "1e+20", "100000000000000000000.00"),
            (1e-7, "1e-07", "1e-07", "0.00"),
            (0.00012, "0.00012", "0.00012", "0.00"),
            (f64::INFINITY, "+Inf", "+Inf", "+Inf"),
            (f64::NAN, "NaN", "NaN", "NaN"),
        ] {
            assert_eq!(general(value, None), shortest);
            assert_eq!(general(value, Some(4)), four);
            assert_eq!(fixed(value, Some(2)), fixed_2);
        }
        assert_eq!(exponential(123456.0, Some(2)), "1.23e+05");
    }

    #[test]
    fn as_go_reads_them() {
        for text in ["1e309", "0x10", "1_000", "", "+nan", "e5", "."] {
            assert_eq!(parse(text), None, "{text}");
        }
        for (text, expected) in [(".5", 0.5), ("5.", 5.0), ("-Inf", f64::NEG_INFINITY), ("1e3", 1000.0)] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }
}
