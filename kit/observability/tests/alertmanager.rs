//! What the recorded scenarios don't show: quiet hours, and groups that are forgotten.

use kit_observability::alertmanager::route::RouteConfig;
use kit_observability::alertmanager::time_interval::TimeInterval;
use kit_observability::alertmanager::{Alert, Alertmanager, Config};
use kit_observability::labels::Labels;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn route() -> RouteConfig {
    RouteConfig {
        receiver: Some("r".into()),
        group_by: Some(vec!["alertname".into()]),
        group_wait: Some(4 * SECOND),
        group_interval: Some(8 * SECOND),
        ..RouteConfig::default()
    }
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
        let mut manager = Alertmanager::new(Config { route: route(), ..Config::default() }, 0);
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
    let config = |mute: &[&str], active: &[&str]| Config {
        route: RouteConfig {
            mute_time_intervals: mute.iter().map(|name| name.to_string()).collect(),
            active_time_intervals: active.iter().map(|name| name.to_string()).collect(),
            ..route()
        },
        time_intervals: [("early".to_string(), vec![first_minutes.clone()])].into(),
        ..Config::default()
    };
    for (mute, active, expected) in [
        (&[][..], &[][..], vec![4]),
        (&["early"], &[], vec![124]),
        (&[], &["early"], vec![4]),
        (&["early"], &["early"], vec![]),
    ] {
        let mut manager = Alertmanager::new(config(mute, active), 0);
        fire(&mut manager);
        assert_eq!(times(&mut manager, 200), expected, "muted {mute:?}, active {active:?}");
    }
}

#[test]
fn an_alert_that_nobody_posts_again_ends() {
    let mut manager = Alertmanager::new(Config { route: route(), ..Config::default() }, 0);
    manager.post(Alert::new(labels(&[("alertname", "A"), ("empty", "")]), None, None, 0));
    let sent = manager.advance(6 * MINUTE);
    let told: Vec<_> = sent.iter().map(|n| (n.at / SECOND, n.status().name())).collect();
    assert_eq!(told, [(4, "firing"), (300, "resolved")]);
    assert_eq!(sent[0].alerts[0].1.labels, labels(&[("alertname", "A")]));
}
