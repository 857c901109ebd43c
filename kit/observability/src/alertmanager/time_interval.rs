//! Times of day, week and year (`timeinterval/timeinterval.go`), in UTC.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::ops::RangeInclusive;

/// When routes are quiet, or alone are not. Each list that is not empty must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeInterval {
    /// Minutes of the day; the last one does not belong to it.
    pub times: Vec<(i32, i32)>,
    /// Sunday is 0.
    pub weekdays: Vec<RangeInclusive<i32>>,
    /// The last day of a month is -1.
    pub days_of_month: Vec<RangeInclusive<i32>>,
    /// January is 1.
    pub months: Vec<RangeInclusive<i32>>,
    /// Years.
    pub years: Vec<RangeInclusive<i32>>,
}

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl TimeInterval {
    /// Whether `now`, in milliseconds since 1970, lies within.
    pub fn contains(&self, now: i64) -> bool {
        let Ok(time) = Timestamp::from_millisecond(now) else { return false };
        let time = time.to_zoned(TimeZone::UTC).datetime();
        let minute = i32::from(time.hour()) * 60 + i32::from(time.minute());
        let (day, days) = (i32::from(time.day()), i32::from(time.days_in_month()));
        let within = |ranges: &[RangeInclusive<i32>], value: i32| {
            ranges.is_empty() || ranges.iter().any(|range| range.contains(&value))
        };
        // Days count from the end where they are negative; what begins after the month's end is not in it.
        let from_start = |day: i32| if day < 0 { days + day + 1 } else { day };
        let in_month = |range: &RangeInclusive<i32>| {
            let (begin, end) = (from_start(*range.start()), from_start(*range.end()));
            begin <= days && (begin..=end.min(days)).contains(&day)
        };
        (self.times.is_empty() || self.times.iter().any(|(start, end)| (*start..*end).contains(&minute)))
            && within(&self.weekdays, i32::from(time.weekday().to_sunday_zero_offset()))
            && (self.days_of_month.is_empty() || self.days_of_month.iter().any(in_month))
            && within(&self.months, i32::from(time.month()))
            && within(&self.years, i32::from(time.year()))
    }
}

/// Reads `monday:friday` or `3`; names are those of weekdays, if `of_week`, else of months.
pub fn range(text: &str, of_week: bool) -> Result<RangeInclusive<i32>, String> {
    let lower = text.to_lowercase();
    let member = |word: &str| {
        let names: &[&str] = if of_week { &WEEKDAYS } else { &MONTHS };
        let named = names.iter().position(|name| *name == word).map(|at| at as i32 + i32::from(!of_week));
        let number = word.parse().ok().filter(|_| !of_week);
        let what = if of_week { "weekday" } else { "month" };
        named.or(number).ok_or_else(|| format!("{word} is not a valid {what}"))
    };
    let (start, end) = lower.split_once(':').unwrap_or((&lower, &lower));
    let (start, end) = (member(start)?, member(end)?);
    // Of days, -3 to -1 is a range as well.
    if start > end && (start < 0) == (end < 0) {
        return Err("start day cannot be before end day".into());
    }
    Ok(start..=end)
}

/// Reads minutes of a day: `09:30`; `24:00` is its end.
pub fn minutes(text: &str) -> Result<i32, String> {
    let bad = || format!("couldn't parse timestamp {text}, invalid format");
    let (hours, minutes) = text.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2).ok_or_else(bad)?;
    let (hours, minutes): (u8, u8) = (hours.parse().map_err(|_| bad())?, minutes.parse().map_err(|_| bad())?);
    let total = i32::from(hours) * 60 + i32::from(minutes);
    if minutes > 59 || total > 24 * 60 { Err(bad()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        let office = TimeInterval {
            times: vec![(minutes("09:00").unwrap_or(0), minutes("17:00").unwrap_or(0))],
            weekdays: range("monday:friday", true).into_iter().collect(),
            ..TimeInterval::default()
        };
        let last_days = TimeInterval { days_of_month: vec![-2..=-1], ..TimeInterval::default() };
        let late = TimeInterval { days_of_month: vec![31..=31], ..TimeInterval::default() };
        let may = TimeInterval { months: range("may", false).into_iter().collect(), ..TimeInterval::default() };
        for (interval, time, expected) in [
            (&office, "2024-05-01T09:00:00Z", true),
            (&office, "2024-05-01T17:00:00Z", false),
            (&office, "2024-05-04T10:00:00Z", false),
            (&last_days, "2024-02-28T00:00:00Z", true),
            (&last_days, "2024-02-27T00:00:00Z", false),
            (&late, "2024-02-29T00:00:00Z", false),
            (&may, "2024-05-31T23:59:00Z", true),
            (&may, "2024-06-01T00:00:00Z", false),
        ] {
            let now = time.parse::<Timestamp>().map(Timestamp::as_millisecond).unwrap_or(0);
            assert_eq!(interval.contains(now), expected, "{interval:?} {time}");
        }
        for (text, of_week) in [("moonday", true), ("3", true), ("friday:monday", true), ("13th", false)] {
            assert!(range(text, of_week).is_err(), "{text}");
        }
        for text in ["9:00", "24:01", "12:60", "ab:cd", ""] {
            assert!(minutes(text).is_err(), "{text}");
        }
    }
}
