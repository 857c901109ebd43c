//! Functions of times: parts of a date in UTC (`promql/functions.go`, dateWrapper).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The function `name` of seconds since 1970, if it is one of these.
pub(super) fn part(name: &str) -> Option<impl Fn(f64) -> f64 + use<>> {
    let part: fn(DateTime) -> i16 = match name {
        "minute" => |at| at.minute().into(),
        "hour" => |at| at.hour().into(),
        "day_of_month" => |at| at.day().into(),
        "day_of_week" => |at| at.weekday().to_sunday_zero_offset().into(),
        "day_of_year" => |at| at.day_of_year(),
        "days_in_month" => |at| at.days_in_month().into(),
        "month" => |at| at.month().into(),
        "year" => |at| at.year(),
        _ => return None,
    };
    Some(move |seconds: f64| {
        // What no calendar has is no number.
        let time = Timestamp::from_second(seconds as i64).ok().filter(|_| seconds.is_finite());
        time.map_or(f64::NAN, |time| part(time.to_zoned(TimeZone::UTC).datetime()).into())
    })
}
