//! Routes, and notifications over time.

use super::{labels, list, text};
use kit_contract::observability::Alerts;
use kit_contract::observability::alerts::{Matcher, Route, Silence};
use kit_observability::alertmanager::file::File;
use kit_observability::alertmanager::{Alert, Alertmanager, Notification};
use serde_json::{Value, json};
use solutions::observability::alerts::Exercise;
use std::rc::Rc;

fn read(case: &Value) -> Result<File, String> {
    let of = |field: &str| case.get(field).cloned().unwrap_or_else(|| json!([]));
    let file = json!({"route": case["route"], "inhibit_rules": of("inhibit_rules")});
    serde_json::from_value(file).map_err(|why| why.to_string())
}

pub fn routes(case: &Value) -> Result<(), String> {
    let tree = read(case)?.config()?.route;
    let got: Vec<_> = Exercise.route(&tree, &labels(&case["labels"])).into_iter().map(|to| to.receiver).collect();
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
        let ends_at_ms = now + seconds(&action["seconds"]).unwrap_or(0);
        let id = action["name"].as_str().map_or_else(|| format!("at {now}"), String::from);
        let matchers = list(action, "silence").iter().filter_map(Value::as_str).map(Matcher::parse);
        let matchers = matchers.collect::<Result<_, _>>()?;
        manager.silence(&id, Silence { matchers, starts_at_ms: now, ends_at_ms });
    }
    if let Some(id) = action["expire"].as_str() {
        manager.expire(id);
    }
    Ok(())
}

fn show(notification: &Notification) -> Value {
    let alerts = [("firing", &notification.firing), ("resolved", &notification.resolved)];
    let alerts = alerts
        .into_iter()
        .flat_map(|(status, alerts)| alerts.iter().map(move |alert| json!({"status": status, "labels": alert.labels})));
    let mut shown = json!({
        "receiver": notification.receiver, "status": notification.status(),
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
fn interval(route: &Route, receiver: &str, parent: i64) -> Option<i64> {
    let own = route.group_interval_ms.unwrap_or(parent);
    let below = || route.routes.iter().find_map(|child| interval(child, receiver, own));
    if route.receiver.as_deref() == Some(receiver) { Some(own) } else { below() }
}

pub fn scenarios(case: &Value) -> Result<(), String> {
    let config = read(case)?.config()?;
    let route = config.route.clone();
    let mut manager = Alertmanager::new(config, Rc::new(Exercise), 0);
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
        let interval = interval(&route, text(told, "receiver")?, 300_000).unwrap_or(300_000);
        // Deliveries are late, never early, and come before the next flush.
        let fits = |(nominal, shown): &(i64, Value)| *shown == expected && *nominal <= at && at < nominal + interval;
        match left.iter().position(fits) {
            Some(index) => drop(left.remove(index)),
            None => return Err(format!("{name}: expected {told}, got {left:?}")),
        }
    }
    if left.is_empty() { Ok(()) } else { Err(format!("{name}: nothing more was expected, got {left:?}")) }
}
