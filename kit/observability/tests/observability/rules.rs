//! What the recorded rules don't show: rules that fail, and hostile text.

use kit_observability::promql::{Engine, parse};
use kit_observability::rules::{AlertingRule, Group, RecordingRule, Rule, State};
use kit_observability::storage::Storage;
use solutions::observability::{alerts, metrics};

const MINUTE: i64 = 60_000;

fn storage(series: &[(&str, &str)]) -> Storage {
    let mut storage = Storage::default();
    for (labels, values) in series {
        storage.load(labels, values, MINUTE, i64::MAX).expect("a series");
    }
    storage
}

fn alert(name: &str, expr: &str) -> AlertingRule {
    AlertingRule::new(name, parse(expr).expect("an expression"))
}

#[test]
fn a_rule_that_fails_keeps_its_alerts_and_the_others_go_on() {
    let mut storage = storage(&[(r#"m{pod="a"}"#, "1 1 1"), (r#"m{pod="b"}"#, "_ 1 stale")]);
    let mut clash = alert("Clash", "m");
    clash.labels = [("pod".to_string(), "one".to_string())].into();
    let mut group = Group::new(MINUTE, vec![Rule::Alerting(clash), Rule::Alerting(alert("Fine", "m"))]);
    let firing = |group: &Group, index: usize| match group.rules().nth(index) {
        Some(Rule::Alerting(rule)) => rule.active().filter(|alert| alert.state == State::Firing).count(),
        _ => 0,
    };
    for (now, errors, counts) in [(0, 0, [1, 1]), (MINUTE, 1, [1, 2]), (2 * MINUTE, 0, [1, 1])] {
        assert_eq!(group.eval(&mut storage, &alerts::Exercise, &metrics::Exercise, now).len(), errors, "at {now}");
        assert_eq!([firing(&group, 0), firing(&group, 1)], counts, "at {now}");
    }
}

#[test]
fn a_recording_rule_marks_the_end_of_its_series() {
    let mut storage = storage(&[("m", "1 stale")]);
    let rule = RecordingRule { name: "r".into(), expr: parse("m").expect("an expression"), labels: Default::default() };
    let mut group = Group::new(MINUTE, vec![Rule::Recording(rule)]);
    let expr = parse("r").expect("an expression");
    for (now, expected) in [(0, 1), (MINUTE, 0)] {
        assert_eq!(group.eval(&mut storage, &alerts::Exercise, &metrics::Exercise, now), []);
        let engine = Engine { storage: &storage, default_step: MINUTE, functions: &metrics::Exercise };
        assert_eq!(engine.query(&expr, now).map(|value| value.into_vector().len()), Ok(expected));
    }
}

#[test]
fn a_resolved_alert_is_remembered_for_15_minutes() {
    let mut storage = storage(&[("m", "1 stale")]);
    let mut group = Group::new(MINUTE, vec![Rule::Alerting(alert("A", "m"))]);
    for now in 0..=20 {
        group.eval(&mut storage, &alerts::Exercise, &metrics::Exercise, now * MINUTE);
        let Some(Rule::Alerting(rule)) = group.rules().next() else { panic!("a rule") };
        assert_eq!(rule.alerts().count(), usize::from(now <= 16), "after {now} minutes");
    }
}

#[test]
fn no_text_makes_it_panic() {
    let storage = storage(&[("m", "1 2 3")]);
    let engine = Engine { storage: &storage, default_step: MINUTE, functions: &metrics::Exercise };
    let long = ["1+".repeat(10_000) + "1", "1^".repeat(10_000) + "1", "m-".repeat(240) + "m"];
    let deep = ["(".repeat(10_000), "-".repeat(10_000), "sum(".repeat(10_000), format!("m{}", "[5m:]".repeat(500))];
    let odd = [
        "m[292y]",
        "m @ -9e15",
        "m offset 292y @ 9e15",
        "m[100y:1ms]",
        "sum_over_time(m[1y:1w] @ -9.3e15)",
        "rate(m[200y] @ -9.2e18)",
        "max_over_time(m[1y:1y] @ 9e18 offset -292y)",
        "\"\\xff\"",
        "m{a=\"\\",
        "é",
        "1 ^ é",
        "#",
    ];
    for text in deep.iter().chain(&long).map(String::as_str).chain(odd) {
        if let Ok(expr) = parse(text) {
            let _ = engine.query(&expr, MINUTE);
        }
    }
    let templates =
        ["{{", "{{ (", "{{ \"\\", "{{ .é }}", "{{ $é }}", "{{ printf \"%9999999999f\" 1.0 }}", "{{-", "{{ - }}"];
    let nested = ["{{ (".repeat(10_000), "{{ if true }}".repeat(10_000), "{{ if }}{{ else if }}".repeat(1000)];
    for text in templates.iter().map(|text| text.to_string()).chain(nested) {
        let labels = Default::default();
        let data = kit_observability::rules::template::Data { labels: &labels, value: 1.0 };
        kit_observability::rules::template::expand(&text, "A", &data, &engine, 0);
    }
}
