//! Dates in documents and queries (`strict_date_optional_time`, and the date maths of
//! <https://www.elastic.co/docs/reference/elasticsearch/rest-apis/common-options#date-math>). All of them in UTC.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan, Unit, ZonedRound};

/// The form of a date without a time.
const DAY: &str = "2025-06-01";

/// Milliseconds since 1970 of a date: `2025-06-01`, `2025-06-01T12:00:00`, `2025-06-01T12:00:00.123456789+02:00`.
pub fn parse(text: &str) -> Option<i64> {
    // Most texts are no dates, and end here.
    if !text.starts_with(|c: char| c.is_ascii_digit()) || !text.is_ascii() || text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    if text.len() == DAY.len() {
        return text.parse::<Date>().ok().and_then(|date| stamp(date.to_datetime(Time::midnight())));
    }
    let zoned = text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
    zoned.or_else(|| text.parse::<DateTime>().ok().and_then(stamp))
}

fn stamp(date: DateTime) -> Option<i64> {
    date.to_zoned(TimeZone::UTC).ok().map(|date| date.timestamp().as_millisecond())
}

/// A date as answers have it.
pub fn shown(millis: i64) -> String {
    Timestamp::from_millisecond(millis).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// A date of a query: `now-15m`, `now/d`, `2025-06-01||+1d/M`, or plain. What is rounded up ends its unit.
pub fn computed(text: &str, now: i64, up: bool) -> Option<i64> {
    let (begin, maths) = match (text.strip_prefix("now"), text.split_once("||")) {
        (Some(maths), _) => (now, maths),
        (None, Some((date, maths))) => (parse(date)?, maths),
        (None, None) if up && text.len() == DAY.len() => (parse(text)?, "/d"),
        (None, None) => return parse(text),
    };
    let mut at = Timestamp::from_millisecond(begin).ok()?.to_zoned(TimeZone::UTC);
    let mut rest = maths;
    while let Some(sign) = rest.chars().next() {
        rest = rest.get(sign.len_utf8()..)?;
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (count, tail) = rest.split_at(digits);
        let unit = tail.chars().next()?;
        rest = tail.get(unit.len_utf8()..)?;
        let count: i64 = if count.is_empty() { 1 } else { count.parse().ok()? };
        let span = span(unit, count)?;
        at = match sign {
            '+' => at.checked_add(span).ok()?,
            '-' => at.checked_sub(span).ok()?,
            '/' if digits == 0 => {
                let floor = floor(&at, unit)?;
                match up {
                    true => floor.checked_add(span).ok()?.checked_sub(1.millisecond()).ok()?,
                    false => floor,
                }
            }
            _ => return None,
        };
    }
    Some(at.timestamp().as_millisecond())
}

fn span(unit: char, count: i64) -> Option<Span> {
    let span = Span::new();
    match unit {
        'y' => span.try_years(count),
        'M' => span.try_months(count),
        'w' => span.try_weeks(count),
        'd' => span.try_days(count),
        'h' | 'H' => span.try_hours(count),
        'm' => span.try_minutes(count),
        's' => span.try_seconds(count),
        _ => return None,
    }
    .ok()
}

fn floor(at: &jiff::Zoned, unit: char) -> Option<jiff::Zoned> {
    let midnight = at.start_of_day().ok()?;
    let day = match unit {
        'y' => midnight.first_of_year().ok(),
        'M' => midnight.first_of_month().ok(),
        'w' => midnight.checked_sub(i64::from(at.weekday().to_monday_zero_offset()).days()).ok(),
        'd' => Some(midnight),
        _ => None,
    };
    let unit = match unit {
        'h' | 'H' => Unit::Hour,
        'm' => Unit::Minute,
        's' => Unit::Second,
        _ => return day,
    };
    at.round(ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Trunc)).ok()
}

/// How wide the buckets of a histogram are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Interval {
    /// Always as many milliseconds.
    Fixed(i64),
    /// As long as the calendar has it.
    Calendar(char),
}

impl Interval {
    /// `500ms`, `30s`, `5m`, `12h`, `7d`.
    pub fn fixed(text: &str) -> Option<Interval> {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (count, unit) = text.split_at(digits);
        let unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        count.parse::<i64>().ok()?.checked_mul(unit).filter(|millis| *millis > 0).map(Interval::Fixed)
    }

    /// `day` or `1d`, and so on.
    pub fn calendar(text: &str) -> Option<Interval> {
        let names = [("minute", "1m"), ("hour", "1h"), ("day", "1d"), ("week", "1w"), ("month", "1M"), ("year", "1y")];
        let (_, short) = names.iter().find(|(long, short)| [*long, *short].contains(&text))?;
        short.chars().nth(1).map(Interval::Calendar)
    }

    /// The begin of the bucket that an instant is in.
    pub fn begin(self, millis: i64) -> Option<i64> {
        match self {
            Interval::Fixed(width) => Some(millis.div_euclid(width) * width),
            Interval::Calendar(unit) => {
                let at = Timestamp::from_millisecond(millis).ok()?.to_zoned(TimeZone::UTC);
                floor(&at, unit).map(|begin| begin.timestamp().as_millisecond())
            }
        }
    }

    /// The begin of the next bucket.
    pub fn next(self, begin: i64) -> Option<i64> {
        match self {
            Interval::Fixed(width) => begin.checked_add(width),
            Interval::Calendar(unit) => {
                let at = Timestamp::from_millisecond(begin).ok()?.to_zoned(TimeZone::UTC);
                at.checked_add(span(unit, 1)?).ok().map(|next| next.timestamp().as_millisecond())
            }
        }
    }
}
