//! Schedules of CronJobs, as far as it takes to say what is wrong with one.
//!
//! Source: the parser of `github.com/robfig/cron/v3` (`parser.go`), whose words reach the client.

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

/// What is wrong with a schedule.
///
/// # Errors
///
/// The parser's message.
pub fn schedule(spec: &str) -> Result<(), String> {
    if let Some(word) = spec.strip_prefix('@') {
        return match word {
            "yearly" | "annually" | "monthly" | "weekly" | "daily" | "midnight" | "hourly" => Ok(()),
            _ if word.starts_with("every ") => Ok(()),
            _ => Err(format!("unrecognized descriptor: {spec}")),
        };
    }
    let spec = match spec.split_once(' ') {
        Some((first, rest)) if first.starts_with("TZ=") || first.starts_with("CRON_TZ=") => rest,
        _ => spec,
    };
    let words: Vec<&str> = spec.split_whitespace().collect();
    if words.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", words.len(), words.join(" ")));
    }
    FIELDS.iter().zip(words).try_for_each(|(field, word)| word.split(',').try_for_each(|part| range(part, field)))
}

fn range(part: &str, field: &Field) -> Result<(), String> {
    let (span, step) = part.split_once('/').map_or((part, None), |(span, step)| (span, Some(step)));
    if step.is_some_and(|step| step.contains('/')) {
        return Err(format!("too many slashes: {part}"));
    }
    let (low, high) = span.split_once('-').map_or((span, None), |(low, high)| (low, Some(high)));
    if high.is_some_and(|high| high.contains('-')) {
        return Err(format!("too many hyphens: {part}"));
    }
    let (start, mut end) = match low {
        "*" | "?" => (field.least, field.most),
        _ => {
            let start = value(low, field)?;
            (start, high.map_or(Ok(start), |high| value(high, field))?)
        }
    };
    let step = match step {
        None => 1,
        Some(step) => {
            if high.is_none() {
                end = field.most;
            }
            number(step)?
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
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read_as_cron_reads_them() {
        for good in ["*/5 * * * *", "@daily", "0 9-17 * jan,feb mon-fri", "1/2 ? * * 0"] {
            assert_eq!(schedule(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("61 * * * *", "end of range (61) above maximum (59): 61"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ] {
            assert_eq!(schedule(bad), Err(why.to_string()));
        }
    }
}
