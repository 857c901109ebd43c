//! Texts in tables.

use kit_api::jiff::Timestamp;
use kit_api::meta::LabelSelector;
use serde_json::Value;

/// A value without quotes; nothing for null.
pub fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// How long ago something was, as people say it (`duration.HumanDuration`).
pub fn age(since: &Value, now: Timestamp) -> String {
    match since.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(since) => human(now.as_second() - since.as_second()),
        None => "<unknown>".into(),
    }
}

/// A span of so many seconds (`apimachinery/pkg/util/duration`).
pub fn human(seconds: i64) -> String {
    let two = |large: i64, l: &str, small: i64, s: &str| match small {
        0 => format!("{large}{l}"),
        _ => format!("{large}{l}{small}{s}"),
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..-1 => "<invalid>".into(),
        -1 => "0s".into(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => two(days, "d", hours % 24, "h"),
        _ if days < 365 * 2 => format!("{days}d"),
        _ if days < 365 * 8 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// Labels as `a=b,c=d`.
pub fn labels(labels: &Value) -> String {
    let entries = labels.as_object().filter(|labels| !labels.is_empty());
    match entries {
        None => "<none>".into(),
        Some(entries) => {
            let mut entries: Vec<String> =
                entries.iter().map(|(name, value)| format!("{name}={}", word(value))).collect();
            entries.sort();
            entries.join(",")
        }
    }
}

/// A selector of an object.
pub fn selector(of: &Value) -> String {
    let selector: Option<LabelSelector> = serde_json::from_value(of.clone()).ok();
    kit_api::selector::format(selector.as_ref())
}

/// Texts with commas between them, or `<none>`.
pub fn list_or_none(texts: &[String]) -> String {
    if texts.is_empty() { "<none>".into() } else { texts.join(",") }
}

/// The owner that controls an object, as `kind/name`.
pub fn controller(meta: &Value) -> String {
    let owners = meta["ownerReferences"].as_array().into_iter().flatten();
    let controller = owners.into_iter().find(|owner| owner["controller"] == true);
    controller.map_or_else(
        || "<none>".into(),
        |owner| {
            let group = word(&owner["apiVersion"]).rsplit_once('/').map(|(group, _)| group.to_string());
            let kind = word(&owner["kind"]).to_lowercase();
            let dotted = group.map_or(kind.clone(), |group| format!("{kind}.{group}"));
            format!("{dotted}/{}", word(&owner["name"]))
        },
    )
}

/// How much of a quota is used, requests and limits apart.
pub fn quota(status: &Value) -> (String, String) {
    let hard = status["hard"].as_object().cloned().unwrap_or_default();
    let mut names: Vec<&String> = hard.keys().collect();
    names.sort();
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for name in names {
        let used = status["used"].get(name).map_or_else(|| "0".into(), word);
        let text = format!("{name}: {used}/{}", word(&hard[name]));
        if name.starts_with("limits.") { limits.push(text) } else { requests.push(text) }
    }
    (requests.join(", "), limits.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_as_people_say_them() {
        let said: Vec<String> =
            [0, 119, 120, 125, 599, 3_600, 10_800, 10_860, 100_000, 180_000, 900_000].map(human).into();
        assert_eq!(said, ["0s", "119s", "2m", "2m5s", "9m59s", "60m", "3h", "3h1m", "27h", "2d2h", "10d"]);
    }
}
