//! Routes, and notifications over time.

use super::{labels, list, milliseconds, text};
use kit_observability::alertmanager::route::{Route, RouteConfig};
use kit_observability::alertmanager::silence::Silence;
use kit_observability::alertmanager::{Alert, Alertmanager, Config, InhibitRule, Notification};
use kit_observability::labels::Matcher;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn strings(value: &Value, field: &str) -> Vec<String> {
    list(value, field).iter().filter_map(Value::as_str).map(String::from).collect()
}

fn matchers(value: &Value, field: &str) -> Result<Vec<Matcher>, String> {
    strings(value, field).iter().map(|text| Matcher::parse(text)).collect()
}

fn route(told: &Value) -> Result<RouteConfig, String> {
    let duration = |field| if told[field].is_null() { Ok(None) } else { milliseconds(told, field).map(Some) };
    Ok(RouteConfig {
        receiver: told["receiver"].as_str().map(String::from),
        group_by: told.get("group_by").map(|_| strings(told, "group_by")),
        group_wait: duration("group_wait")?,
        group_interval: duration("group_interval")?,
        repeat_interval: duration("repeat_interval")?,
        mute_time_intervals: strings(told, "mute_time_intervals"),
        active_time_intervals: strings(told, "active_time_intervals"),
        matchers: matchers(told, "matchers")?,
        continues: told["continue"] == true,
        routes: list(told, "routes").iter().map(route).collect::<Result<_, _>>()?,
    })
}

pub fn routes(case: &Value) -> Result<(), String> {
    let tree = Route::new(&route(&case["route"])?);
    let got: Vec<_> = tree.matching(&labels(&case["labels"])).iter().map(|r| &r.options.receiver[..]).collect();
    super::super::pure::compare(case, json!({"receivers": got}))
}

/// Seconds as milliseconds.
fn seconds(value: &Value) -> Option<i64> {
    value.as_f64().map(|seconds| (seconds * 1000.0).round() as i64)
}

/// Alerts last so long after they were posted.
const LASTS: i64 = 600_000;

fn act(manager: &mut Alertmanager, action: &Value) -> Result<(), String> {
    let now = manager.now();
    for fired in list(action, "fire") {
        let started = now - seconds(&action["startedAgo"]).unwrap_or(0);
        let ends = now + seconds(&action["endsIn"]).unwrap_or(LASTS);
        let mut alert = Alert::new(labels(fired), Some(started), Some(ends), now);
        alert.annotations = labels(&action["annotations"]);
        manager.post(alert);
    }
    for resolved in list(action, "resolve") {
        manager.post(Alert::new(labels(resolved), None, Some(now), now));
    }
    if action.get("silence").is_some() {
        let ends_at = now + seconds(&action["seconds"]).unwrap_or(0);
        let id = action["name"].as_str().map_or_else(|| format!("at {now}"), String::from);
        manager.silence(Silence { id, matchers: matchers(action, "silence")?, starts_at: now, ends_at });
    }
    if let Some(id) = action["expire"].as_str() {
        manager.expire(id);
    }
    Ok(())
}

fn show(notification: &Notification) -> Value {
    let alerts =
        notification.alerts.iter().map(|(status, alert)| json!({"status": status.name(), "labels": alert.labels}));
    let mut shown = json!({
        "receiver": notification.receiver, "status": notification.status().name(),
        "groupLabels": notification.group_labels, "alerts": sorted(alerts.collect()),
    });
    shown.sort_all_objects();
    shown
}

fn sorted(mut alerts: Vec<Value>) -> Vec<Value> {
    alerts.iter_mut().for_each(Value::sort_all_objects);
    alerts.sort_by_key(Value::to_string);
    alerts
}

/// How far apart the flushes of a receiver's groups are.
fn interval(route: &RouteConfig, receiver: &str, parent: i64) -> Option<i64> {
    let own = route.group_interval.unwrap_or(parent);
    let below = || route.routes.iter().find_map(|child| interval(child, receiver, own));
    if route.receiver.as_deref() == Some(receiver) { Some(own) } else { below() }
}

pub fn scenarios(case: &Value) -> Result<(), String> {
    let config = route(&case["route"])?;
    let rules = list(case, "inhibit_rules").iter().map(|rule| {
        Ok(InhibitRule {
            source: matchers(rule, "source_matchers")?,
            target: matchers(rule, "target_matchers")?,
            equal: strings(rule, "equal"),
        })
    });
    let inhibit_rules = rules.collect::<Result<_, String>>()?;
    let mut manager =
        Alertmanager::new(Config { route: config.clone(), inhibit_rules, time_intervals: BTreeMap::new() }, 0);
    let mut sent = Vec::new();
    for action in list(case, "actions") {
        let at = seconds(&action["at"]).ok_or("an action without a time")?;
        // What happens at the time of a flush comes before it, as flushes are late.
        sent.extend(manager.advance(at - 1));
        manager.set_clock(at);
        act(&mut manager, action)?;
    }
    sent.extend(manager.advance(seconds(&case["until"]).ok_or("no end")?));
    let name = text(case, "name")?;
    let mut left: Vec<_> = sent.iter().map(|notification| (notification.at, show(notification))).collect();
    for told in list(case, "notifications") {
        let mut expected = told.clone();
        if let Some(fields) = expected.as_object_mut() {
            fields.retain(|field, _| field != "t" && field != "tMax");
            fields.insert("alerts".into(), sorted(list(told, "alerts").to_vec()).into());
        }
        expected.sort_all_objects();
        let at = seconds(&told["t"]).ok_or("no time")?;
        let interval = interval(&config, text(told, "receiver")?, 300_000).unwrap_or(300_000);
        // Deliveries are late, never early, and come before the next flush.
        let fits = |(nominal, shown): &(i64, Value)| *shown == expected && *nominal <= at && at < nominal + interval;
        match left.iter().position(fits) {
            Some(index) => drop(left.remove(index)),
            None => return Err(format!("{name}: expected {told}, got {left:?}")),
        }
    }
    if left.is_empty() { Ok(()) } else { Err(format!("{name}: nothing more was expected, got {left:?}")) }
}
