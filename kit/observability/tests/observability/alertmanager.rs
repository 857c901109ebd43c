//! What the recorded scenarios don't show: quiet hours, and groups that are forgotten.

use kit_contract::observability::alerts::Route;
use kit_observability::alertmanager::time_interval::TimeInterval;
use kit_observability::alertmanager::{Alert, Alertmanager, Config, Hours};
use kit_observability::labels::Labels;
use solutions::observability::alerts::Exercise;
use std::collections::BTreeMap;
use std::rc::Rc;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn route() -> Route {
    Route {
        receiver: Some("r".into()),
        group_by: vec!["alertname".into()],
        group_wait_ms: Some(4 * SECOND),
        group_interval_ms: Some(8 * SECOND),
        ..Route::default()
    }
}

fn manager(config: Config) -> Alertmanager {
    Alertmanager::new(config, Rc::new(Exercise), 0)
}

fn fire(manager: &mut Alertmanager) {
    let now = manager.now();
    manager.post(Alert::new(labels(&[("alertname", "A")]), Some(now), Some(now + 60 * MINUTE), now));
}

fn resolve(manager: &mut Alertmanager) {
    let now = manager.now();
    manager.post(Alert::new(labels(&[("alertname", "A")]), None, Some(now), now));
}

/// When notifications came, in seconds.
fn times(manager: &mut Alertmanager, until: i64) -> Vec<i64> {
    manager.advance(until * SECOND).iter().map(|notification| notification.at / SECOND).collect()
}

#[test]
fn a_group_that_was_emptied_goes_on_until_it_is_forgotten() {
    // Groups without alerts are forgotten each 30 s.
    for (again, expected) in [(14, vec![20]), (31, vec![35])] {
        let mut manager = self::manager(Config { route: route(), ..Config::default() });
        fire(&mut manager);
        assert_eq!(times(&mut manager, 6), [4]);
        resolve(&mut manager);
        assert_eq!(times(&mut manager, again), [12]);
        fire(&mut manager);
        assert_eq!(times(&mut manager, again + 10), expected, "again after {again} s");
    }
}

#[test]
fn quiet_hours_hold_notifications_back() {
    let first_minutes = TimeInterval { times: vec![(0, 2)], ..TimeInterval::default() };
    let names = |all: &[&str]| all.iter().map(|name| name.to_string()).collect();
    let config = |mute: &[&str], active: &[&str]| Config {
        route: route(),
        hours: BTreeMap::from([(Vec::new(), Hours { mute: names(mute), active: names(active) })]),
        time_intervals: [("early".to_string(), vec![first_minutes.clone()])].into(),
        ..Config::default()
    };
    for (mute, active, expected) in [
        (&[][..], &[][..], vec![4]),
        (&["early"], &[], vec![124]),
        (&[], &["early"], vec![4]),
        (&["early"], &["early"], vec![]),
    ] {
        let mut manager = self::manager(config(mute, active));
        fire(&mut manager);
        assert_eq!(times(&mut manager, 200), expected, "muted {mute:?}, active {active:?}");
    }
}

#[test]
fn an_alert_that_nobody_posts_again_ends() {
    let mut manager = self::manager(Config { route: route(), ..Config::default() });
    manager.post(Alert::new(labels(&[("alertname", "A"), ("empty", "")]), None, None, 0));
    let sent = manager.advance(6 * MINUTE);
    let told: Vec<_> = sent.iter().map(|n| (n.at / SECOND, n.status())).collect();
    assert_eq!(told, [(4, "firing"), (300, "resolved")]);
    assert_eq!(sent[0].firing[0].labels, labels(&[("alertname", "A")]));
}
