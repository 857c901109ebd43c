//! Schedules of CronJobs: when they come next, and what is wrong with one.
//!
//! Source: `github.com/robfig/cron/v3` (`parser.go`, `spec.go`, `constantdelay.go`), whose parser's words reach the client. Its
//! days match if the day of the month or that of the week does, unless one of them is `*` or `?`; then both must.

use crate::duration::Duration;
use crate::jiff::civil::{Date, DateTime};
use crate::jiff::tz::TimeZone;
use crate::jiff::{SignedDuration, Span, Timestamp};

/// A field of a schedule: the least and the greatest value, and the names of values.
struct Field {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { least: 0, most: 59, names: &[] },
    Field { least: 0, most: 23, names: &[] },
    Field { least: 1, most: 31, names: &[] },
    Field { least: 1, most: 12, names: MONTHS },
    Field { least: 0, most: 6, names: DAYS },
];
/// Besides its values, the bit of a field that says that it was `*` or `?`.
const STAR: u64 = 1 << 63;
/// A search ends after so many years (`yearLimit`).
const YEARS: i16 = 5;

/// A schedule that can be followed.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// So long after the time before, in whole seconds.
    Every(SignedDuration),
    /// At these minutes, hours, days, months and days of the week, of this zone: sets of bits.
    Fields([u64; 5], TimeZone),
}

impl Schedule {
    /// Reads a schedule; its times are those of `zone`, unless it begins with another one.
    ///
    /// # Errors
    ///
    /// The parser's message.
    pub fn parse(spec: &str, zone: &TimeZone) -> Result<Schedule, String> {
        if spec.is_empty() {
            return Err("empty spec string".into());
        }
        let (mut spec, mut zone) = (spec, zone.clone());
        if let Some(rest) = spec.strip_prefix("TZ=").or_else(|| spec.strip_prefix("CRON_TZ=")) {
            let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            zone = time_zone(name).map_err(|why| format!("provided bad location {name}: {why}"))?;
            spec = rest.trim();
        }
        if spec.starts_with('@') {
            return descriptor(spec, zone);
        }
        let words: Vec<&str> = spec.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = words[..] else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", words.len(), words.join(" ")));
        };
        let mut bits = [0; 5];
        for ((bits, field), word) in bits.iter_mut().zip(&FIELDS).zip([minute, hour, day, month, weekday]) {
            *bits = set(word, field)?;
        }
        Ok(Schedule::Fields(bits, zone))
    }

    /// The first time after this one; none if there is none within five years.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Schedule::Every(delay) => {
                let seconds = after.as_second().checked_add(delay.as_secs())?;
                Timestamp::from_second(seconds).ok()
            }
            Schedule::Fields(bits, zone) => search(bits, zone, after.as_second() + 1),
        }
    }
}

/// A time zone of the IANA, by its name; empty is UTC (`time.LoadLocation`).
///
/// # Errors
///
/// There is no such zone.
pub fn time_zone(name: &str) -> Result<TimeZone, String> {
    match name {
        "" | "UTC" => Ok(TimeZone::UTC),
        _ => TimeZone::get(name).map_err(|_| format!("unknown time zone {name}")),
    }
}

fn descriptor(spec: &str, zone: TimeZone) -> Result<Schedule, String> {
    let fields = match spec {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            let delay = spec.strip_prefix("@every ").ok_or_else(|| format!("unrecognized descriptor: {spec}"))?;
            let delay: Duration = delay.parse().map_err(|why| format!("failed to parse duration {spec}: {why}"))?;
            return Ok(Schedule::Every(SignedDuration::from_secs((delay.nanos / 1_000_000_000).max(1))));
        }
    };
    Schedule::parse(fields, &zone)
}

fn set(word: &str, field: &Field) -> Result<u64, String> {
    // As `strings.FieldsFunc` splits it: nothing between two commas is nothing.
    word.split(',').filter(|part| !part.is_empty()).try_fold(0, |bits, part| Ok(bits | range(part, field)?))
}

fn range(part: &str, field: &Field) -> Result<u64, String> {
    let (span, step) = part.split_once('/').map_or((part, None), |(span, step)| (span, Some(step)));
    let (low, high) = span.split_once('-').map_or((span, None), |(low, high)| (low, Some(high)));
    let mut star = 0;
    let (start, mut end) = match low {
        "*" | "?" => {
            star = STAR;
            (field.least, field.most)
        }
        _ if high.is_some_and(|high| high.contains('-')) => return Err(format!("too many hyphens: {part}")),
        _ => {
            let start = value(low, field)?;
            (start, high.map_or(Ok(start), |high| value(high, field))?)
        }
    };
    let step = match step {
        None => 1,
        Some(step) if step.contains('/') => return Err(format!("too many slashes: {part}")),
        Some(step) => {
            let step = number(step)?;
            if high.is_none() {
                end = field.most;
            }
            if step > 1 {
                star = 0;
            }
            step
        }
    };
    if start < field.least {
        return Err(format!("beginning of range ({start}) below minimum ({}): {part}", field.least));
    }
    if end > field.most {
        return Err(format!("end of range ({end}) above maximum ({}): {part}", field.most));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {part}"));
    }
    Ok((start..=end).step_by(step as usize).fold(star, |bits, value| bits | 1 << value))
}

fn value(text: &str, field: &Field) -> Result<u32, String> {
    let named = field.names.iter().position(|name| text.eq_ignore_ascii_case(name));
    named.map_or_else(|| number(text), |place| Ok(place as u32 + field.least))
}

fn number(text: &str) -> Result<u32, String> {
    match text.parse::<i64>() {
        Ok(number) => u32::try_from(number).map_err(|_| format!("negative number ({number}) not allowed: {text}")),
        Err(_) => Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")),
    }
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// What a clock in the zone shows at a time, in seconds.
fn local(zone: &TimeZone, at: i64) -> Option<DateTime> {
    Some(zone.to_datetime(Timestamp::from_second(at).ok()?))
}

/// When a clock in the zone shows this. Where it never does, or does twice, as Go decides it (`time.Date`): the offset
/// before or after a change of clocks, whichever holds at the time that the other would give.
fn moment(zone: &TimeZone, shown: DateTime) -> Option<i64> {
    let offset = |at: i64| Some(i64::from(zone.to_offset(Timestamp::from_second(at).ok()?).seconds()));
    let as_utc = TimeZone::UTC.to_timestamp(shown).ok()?.as_second();
    match offset(as_utc)? {
        0 => Some(as_utc),
        first => Some(as_utc - offset(as_utc - first)?),
    }
}

fn has(bits: u64, value: i8) -> bool {
    bits & 1 << value != 0
}

fn day_matches(bits: &[u64; 5], date: Date) -> bool {
    let weekday = has(bits[4], date.weekday().to_sunday_zero_offset());
    let day = has(bits[2], date.day());
    if (bits[2] | bits[4]) & STAR != 0 { day && weekday } else { day || weekday }
}

/// The first time at or after `at` that matches (`SpecSchedule.Next`): the month first, then the day, the hour and the
/// minute, and again from the month whenever one of them runs over.
fn search(bits: &[u64; 5], zone: &TimeZone, mut at: i64) -> Option<Timestamp> {
    let last_year = local(zone, at)?.year().checked_add(YEARS)?;
    // Whether what is smaller than the field at hand was set to its least value.
    let mut added = false;
    'again: loop {
        let mut shown = local(zone, at)?;
        if shown.year() > last_year {
            return None;
        }
        while !has(bits[3], shown.month()) {
            if !added {
                added = true;
                shown = local(zone, moment(zone, shown.date().first_of_month().at(0, 0, 0, 0))?)?;
            }
            at = moment(zone, shown.checked_add(Span::new().months(1)).ok()?)?;
            shown = local(zone, at)?;
            if shown.month() == 1 {
                continue 'again;
            }
        }
        while !day_matches(bits, shown.date()) {
            if !added {
                added = true;
                shown = local(zone, moment(zone, shown.date().at(0, 0, 0, 0))?)?;
            }
            at = moment(zone, shown.checked_add(Span::new().days(1)).ok()?)?;
            shown = local(zone, at)?;
            // Where there is no midnight, the clock shows one o'clock, or still eleven.
            match i64::from(shown.hour()) {
                0 => {}
                hour if hour > 12 => at += (24 - hour) * HOUR,
                hour => at -= hour * HOUR,
            }
            shown = local(zone, at)?;
            if shown.day() == 1 {
                continue 'again;
            }
        }
        while !has(bits[1], shown.hour()) {
            if !added {
                added = true;
                at = moment(zone, shown.date().at(shown.hour(), 0, 0, 0))?;
            }
            at += HOUR;
            shown = local(zone, at)?;
            if shown.hour() == 0 {
                continue 'again;
            }
        }
        while !has(bits[0], shown.minute()) {
            if !added {
                added = true;
                at -= at.rem_euclid(MINUTE);
            }
            at += MINUTE;
            shown = local(zone, at)?;
            if shown.minute() == 0 {
                continue 'again;
            }
        }
        if shown.second() != 0 {
            at += i64::from(60 - shown.second());
            added = true;
            continue 'again;
        }
        return Timestamp::from_second(at).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read_as_cron_reads_them() {
        for good in ["*/5 * * * *", "@daily", "0 9-17 * jan,feb mon-fri", "1/2 ? * * 0", "@every 90m"] {
            assert!(Schedule::parse(good, &TimeZone::UTC).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("61 * * * *", "end of range (61) above maximum (59): 61"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("@often", "unrecognized descriptor: @often"),
            ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
            ("TZ=Mars/Base * * * * *", "provided bad location Mars/Base: unknown time zone Mars/Base"),
        ] {
            assert_eq!(Schedule::parse(bad, &TimeZone::UTC).err(), Some(why.to_string()));
        }
    }

    /// The zone, the schedule, a time and the two that follow.
    #[test]
    fn times_follow_each_other_also_where_clocks_change() {
        for (zone, spec, after, next) in [
            ("UTC", "*/15 * * * *", "2026-01-05T10:00:00.5Z", ["2026-01-05T10:15:00Z", "2026-01-05T10:30:00Z"]),
            ("UTC", "0 12 13 * fri", "2026-02-01T00:00:00Z", ["2026-02-06T12:00:00Z", "2026-02-13T12:00:00Z"]),
            ("UTC", "0 12 13 * ?", "2026-02-14T00:00:00Z", ["2026-03-13T12:00:00Z", "2026-04-13T12:00:00Z"]),
            ("UTC", "0 0 */10 * 1", "2026-02-01T00:00:00Z", ["2026-02-02T00:00:00Z", "2026-02-09T00:00:00Z"]),
            ("UTC", "@every 1h30m", "2026-01-05T10:00:30.9Z", ["2026-01-05T11:30:30Z", "2026-01-05T13:00:30Z"]),
            ("UTC", "0 0 29 2 *", "2025-01-01T00:00:00Z", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
            // Half past two is left out in spring and comes twice in autumn.
            ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00:00Z", ["2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]),
            ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00:00Z", ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]),
            // A day without midnight.
            (
                "America/Sao_Paulo",
                "0 1 * * *",
                "2018-11-03T12:00:00Z",
                ["2018-11-04T03:00:00Z", "2018-11-05T03:00:00Z"],
            ),
        ] {
            let schedule = Schedule::parse(spec, &time_zone(zone).expect("a zone")).expect("a schedule");
            let mut at: Timestamp = after.parse().expect("a time");
            for next in next {
                at = schedule.next(at).expect("there is a next time");
                assert_eq!(at.to_string(), next, "{spec} in {zone} after {after}");
            }
        }
        let never = Schedule::parse("0 0 31 2 *", &TimeZone::UTC).expect("a schedule");
        assert_eq!(never.next(Timestamp::UNIX_EPOCH), None);
    }
}
