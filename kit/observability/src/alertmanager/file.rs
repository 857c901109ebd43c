//! What stands in the YAML that Alertmanager loads, as far as it is about who is told and when (`config/config.go`).

use super::{Config, Hours};
use crate::duration;
use kit_contract::observability::alerts::{InhibitRule, Matcher, Route};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A configuration file. Intervals of time are set beside it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The top of the routing tree.
    pub route: RouteOf,
    /// Which alerts keep others quiet.
    #[serde(default)]
    pub inhibit_rules: Vec<InhibitRuleOf>,
    /// Who can be told.
    #[serde(default)]
    pub receivers: Vec<ReceiverOf>,
}

/// A route.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteOf {
    receiver: Option<String>,
    group_by: Vec<String>,
    group_wait: Option<String>,
    group_interval: Option<String>,
    repeat_interval: Option<String>,
    matchers: Vec<Matcher>,
    #[serde(rename = "continue")]
    continues: bool,
    mute_time_intervals: Vec<String>,
    active_time_intervals: Vec<String>,
    routes: Vec<RouteOf>,
}

/// An inhibition.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InhibitRuleOf {
    source_matchers: Vec<Matcher>,
    target_matchers: Vec<Matcher>,
    equal: Vec<String>,
}

/// A receiver.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiverOf {
    name: String,
    /// In Alertmanager it belongs to each of the integrations of a receiver.
    #[serde(default = "yes")]
    send_resolved: bool,
}

fn yes() -> bool {
    true
}

impl File {
    /// What it says.
    ///
    /// # Errors
    ///
    /// A duration that is none.
    pub fn config(&self) -> Result<Config, String> {
        let mut hours = BTreeMap::new();
        let route = self.route.read(&mut Vec::new(), &mut hours)?;
        let inhibit_rules = self.inhibit_rules.iter().map(|rule| InhibitRule {
            source: rule.source_matchers.clone(),
            target: rule.target_matchers.clone(),
            equal: rule.equal.clone(),
        });
        let without = self.receivers.iter().filter(|receiver| !receiver.send_resolved);
        let without_resolved: BTreeSet<String> = without.map(|receiver| receiver.name.clone()).collect();
        let inhibit_rules = inhibit_rules.collect();
        Ok(Config { route, hours, inhibit_rules, time_intervals: BTreeMap::new(), without_resolved })
    }
}

impl RouteOf {
    fn read(&self, path: &mut Vec<usize>, hours: &mut BTreeMap<Vec<usize>, Hours>) -> Result<Route, String> {
        let span = |text: &Option<String>| text.as_deref().map(duration::parse).transpose();
        if !self.mute_time_intervals.is_empty() || !self.active_time_intervals.is_empty() {
            let of = Hours { mute: self.mute_time_intervals.clone(), active: self.active_time_intervals.clone() };
            hours.insert(path.clone(), of);
        }
        let mut routes = Vec::new();
        for (place, below) in self.routes.iter().enumerate() {
            path.push(place);
            routes.push(below.read(path, hours)?);
            path.pop();
        }
        Ok(Route {
            receiver: self.receiver.clone(),
            group_by: self.group_by.clone(),
            group_wait_ms: span(&self.group_wait)?,
            group_interval_ms: span(&self.group_interval)?,
            repeat_interval_ms: span(&self.repeat_interval)?,
            matchers: self.matchers.clone(),
            continues: self.continues,
            routes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        serde_yaml::from_str::<File>(text).map_err(|why| why.to_string())?.config()
    }

    #[test]
    fn files_are_read_or_refused_with_a_reason() {
        let config = read(
            "{route: {receiver: a, group_wait: 10s, routes: [{matchers: ['x=~\"b|c\"'], continue: true, mute_time_intervals: [night]}]},
              inhibit_rules: [{source_matchers: [x=a], target_matchers: [x=b], equal: [node]}],
              receivers: [{name: a, send_resolved: false}, {name: b}]}",
        )
        .expect("a good file");
        assert_eq!((config.route.group_wait_ms, config.route.routes[0].continues), (Some(10_000), true));
        assert_eq!(config.hours[&vec![0]].mute, ["night"]);
        assert_eq!(config.inhibit_rules[0].equal, ["node"]);
        assert_eq!(config.without_resolved.into_iter().collect::<Vec<_>>(), ["a"]);
        for (text, expected) in [
            ("{route: {receiver: a, group_wait: soon}}", "not a valid duration string"),
            ("{route: {receiver: a, matchers: ['=x']}}", "bad matcher format: =x"),
            ("{route: {receivers: a}}", "unknown field `receivers`"),
            ("{}", "missing field `route`"),
        ] {
            let why = read(text).expect_err(text);
            assert!(why.contains(expected), "{text}: {why}");
        }
    }
}
