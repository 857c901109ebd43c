//! Durations as Prometheus writes them: `1h30m`, `500ms`.

/// Units with their milliseconds, in the order in which they may follow one another.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Milliseconds of a duration. Each unit at most once, the larger ones first; only `0` may have none
/// (prometheus/common `model/time.go`, ParseDuration).
pub fn parse(text: &str) -> Result<i64, String> {
    let bad = || format!("not a valid duration string: {text:?}");
    let too_long = || "duration out of range".to_string();
    match text {
        "0" => return Ok(0),
        "" => return Err("empty duration string".into()),
        _ => {}
    }
    let (mut rest, mut next, mut total) = (text, 0, 0i64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let place = UNITS[next..].iter().position(|(name, _)| *name == unit).ok_or_else(bad)? + next;
        let number: i64 = if number.is_empty() { return Err(bad()) } else { number.parse().map_err(|_| too_long())? };
        let part = number.checked_mul(UNITS[place].1).ok_or_else(too_long)?;
        total = total.checked_add(part).filter(|sum| *sum <= i64::MAX / 1_000_000).ok_or_else(too_long)?;
        (rest, next) = (tail, place + 1);
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn durations() {
        for (text, expected) in
            [("5m", 300_000), ("1h30m", 5_400_000), ("1m500ms", 60_500), ("0", 0), ("0s", 0), ("1y", 31_536_000_000)]
        {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for text in ["", "5", "m", "5m5m", "5s1m", "1.5h", "-5m", "5 m", "300y", "99999999999999999999s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
