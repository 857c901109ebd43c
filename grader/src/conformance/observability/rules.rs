//! Groups of rules over time.

use super::{labels, list, milliseconds, promql, text};
use kit_observability::labels::{Labels, METRIC_NAME, MatchOp, Matcher};
use kit_observability::promql::parse;
use kit_observability::rules::{AlertingRule, Group, RecordingRule, Rule, State};
use kit_observability::storage::{Storage, is_stale};
use serde_json::{Value, json};
use solutions::observability::{alerts as alerting, metrics};

fn rule(told: &Value) -> Result<Rule, String> {
    let expr = parse(text(told, "expr")?).map_err(|error| error.to_string())?;
    if let Some(name) = told["record"].as_str() {
        return Ok(Rule::Recording(RecordingRule { name: name.into(), expr, labels: labels(&told["labels"]) }));
    }
    let mut rule = AlertingRule::new(text(told, "alert")?, expr);
    let duration = |field| if told[field].is_null() { Ok(0) } else { milliseconds(told, field) };
    (rule.hold, rule.keep_firing_for) = (duration("for")?, duration("keep_firing_for")?);
    (rule.labels, rule.annotations) = (labels(&told["labels"]), labels(&told["annotations"]));
    Ok(Rule::Alerting(rule))
}

/// Series of this name that have a sample at `now`, without the name.
fn series(storage: &Storage, name: &str, now: i64) -> Result<Vec<(Labels, f64)>, String> {
    let matchers = [Matcher::new(METRIC_NAME, MatchOp::Equal, name)?];
    let at_now = storage.select(&matchers).filter_map(|(labels, points)| {
        let last = points.last().filter(|point| point.t == now && !is_stale(point.v))?;
        let mut labels = labels.clone();
        labels.remove(METRIC_NAME);
        Some((labels, last.v))
    });
    Ok(at_now.collect())
}

/// What the series `ALERTS` and `ALERTS_FOR_STATE` say, in an order of its own.
fn alerts(storage: &Storage, now: i64) -> Result<Vec<Value>, String> {
    let since = series(storage, "ALERTS_FOR_STATE", now)?;
    let mut all = Vec::new();
    for (mut labels, _) in series(storage, "ALERTS", now)? {
        let state = labels.remove("alertstate");
        let active = since.iter().find(|(known, _)| *known == labels).map(|(_, at)| *at as i64);
        all.push(json!({"state": state, "activeAt": active, "labels": labels}));
    }
    Ok(sorted(all))
}

fn firing(group: &Group) -> Vec<Value> {
    let alerting = group.rules().filter_map(|rule| match rule {
        Rule::Alerting(rule) => Some(rule),
        Rule::Recording(_) => None,
    });
    let firing = alerting.flat_map(|rule| {
        let firing = rule.active().filter(|alert| alert.state == State::Firing);
        firing.map(|alert| json!({"labels": alert.labels, "annotations": rule.said(alert).annotations}))
    });
    sorted(firing.collect())
}

/// The order of alerts says nothing, nor does that of their labels.
fn sorted(mut all: Vec<Value>) -> Vec<Value> {
    all.iter_mut().for_each(Value::sort_all_objects);
    all.sort_by_key(Value::to_string);
    all
}

pub fn alert_rules(case: &Value) -> Result<(), String> {
    let interval = milliseconds(case, "evaluationInterval")?;
    let last = case["lastEvaluation"].as_i64().ok_or("no lastEvaluation")? * 1000;
    let rules = list(case, "rules").iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    let mut group = Group::new(interval, rules);
    let mut changes = list(case, "changes").iter();
    let (mut before, mut now) = (None, 0);
    // Samples up to each evaluation would do; nothing here looks ahead.
    let mut storage = promql::storage(case, last)?;
    while now <= last {
        if let Some(error) = group.eval(&mut storage, &alerting::Exercise, &metrics::Exercise, now).first() {
            return Err(format!("at {} s: {error}", now / 1000));
        }
        let after = (alerts(&storage, now)?, firing(&group));
        if before.as_ref() != Some(&after) {
            let told =
                changes.next().ok_or_else(|| format!("at {} s: expected no change, got {after:?}", now / 1000))?;
            let firing_before = before.as_ref().map_or(&[][..], |(_, firing)| &firing[..]);
            let expected_firing = told["firing"].as_array().map_or(firing_before.to_vec(), |all| sorted(all.clone()));
            let expected = (sorted(list(told, "alerts").to_vec()), expected_firing);
            if told["t"].as_i64() != Some(now / 1000) || expected != after {
                return Err(format!(
                    "{} at {} s: expected {told}, got alerts {} firing {}",
                    case["name"],
                    now / 1000,
                    json!(after.0),
                    json!(after.1)
                ));
            }
        }
        before = Some(after);
        now += interval;
    }
    match changes.next() {
        Some(missing) => Err(format!("{}: expected {missing}, got no change", case["name"])),
        None => Ok(()),
    }
}
