//! The routing tree (`dispatch/route.go`).

use crate::labels::{Labels, Matcher};
use std::collections::BTreeSet;

/// By which labels alerts are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// By these.
    Labels(BTreeSet<String>),
    /// By all: each alert is a group.
    All,
}

/// What a route says of the alerts that end at it. Durations are in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Who is told.
    pub receiver: String,
    /// How alerts are grouped.
    pub group_by: GroupBy,
    /// From a group's first alert to the first notification.
    pub group_wait: i64,
    /// Between looks at a group after that.
    pub group_interval: i64,
    /// How long a notification stands before it is repeated.
    pub repeat_interval: i64,
    /// Names of intervals at which nothing is sent.
    pub mute_time_intervals: Vec<String>,
    /// Names of intervals outside of which nothing is sent, if there are any.
    pub active_time_intervals: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            receiver: String::new(),
            group_by: GroupBy::Labels(BTreeSet::new()),
            group_wait: 30_000,
            group_interval: 5 * 60_000,
            repeat_interval: 4 * 3_600_000,
            mute_time_intervals: Vec::new(),
            active_time_intervals: Vec::new(),
        }
    }
}

/// What a route of the configuration says; what it leaves out comes from its parent, but for the time intervals.
#[derive(Clone, Debug, Default)]
pub struct RouteConfig {
    /// Who is told.
    pub receiver: Option<String>,
    /// Labels to group by; `...` stands for all.
    pub group_by: Option<Vec<String>>,
    /// See [`Options`].
    pub group_wait: Option<i64>,
    /// See [`Options`].
    pub group_interval: Option<i64>,
    /// See [`Options`].
    pub repeat_interval: Option<i64>,
    /// See [`Options`].
    pub mute_time_intervals: Vec<String>,
    /// See [`Options`].
    pub active_time_intervals: Vec<String>,
    /// All of them must fit.
    pub matchers: Vec<Matcher>,
    /// Whether routes after this one are looked at, too.
    pub continues: bool,
    /// Below this one.
    pub routes: Vec<RouteConfig>,
}

/// A node of the tree.
#[derive(Clone, Debug)]
pub struct Route {
    /// What holds for alerts that end here.
    pub options: Options,
    matchers: Vec<Matcher>,
    continues: bool,
    routes: Vec<Route>,
    /// Its place in the tree: what a group is known by.
    pub key: String,
}

impl Route {
    /// The tree of a configuration.
    pub fn new(config: &RouteConfig) -> Route {
        Self::below(config, &Options::default(), String::new())
    }

    fn below(config: &RouteConfig, parent: &Options, key: String) -> Route {
        let group_by = config.group_by.as_ref().map(|labels| match labels.iter().any(|label| label == "...") {
            true => GroupBy::All,
            false => GroupBy::Labels(labels.iter().cloned().collect()),
        });
        let options = Options {
            receiver: config.receiver.clone().unwrap_or_else(|| parent.receiver.clone()),
            group_by: group_by.unwrap_or_else(|| parent.group_by.clone()),
            group_wait: config.group_wait.unwrap_or(parent.group_wait),
            group_interval: config.group_interval.unwrap_or(parent.group_interval),
            repeat_interval: config.repeat_interval.unwrap_or(parent.repeat_interval),
            mute_time_intervals: config.mute_time_intervals.clone(),
            active_time_intervals: config.active_time_intervals.clone(),
        };
        let children = config.routes.iter().enumerate();
        let routes = children.map(|(index, child)| Self::below(child, &options, format!("{key}/{index}"))).collect();
        Route { routes, options, matchers: config.matchers.clone(), continues: config.continues, key }
    }

    /// The routes at which an alert ends: of those that fit, the deepest ones, and of neighbours the first, unless it says
    /// to go on.
    pub fn matching(&self, labels: &Labels) -> Vec<&Route> {
        if !self.matchers.iter().all(|matcher| matcher.matches(labels)) {
            return Vec::new();
        }
        let mut all = Vec::new();
        for route in &self.routes {
            let found = route.matching(labels);
            let ends = !found.is_empty() && !route.continues;
            all.extend(found);
            if ends {
                break;
            }
        }
        if all.is_empty() { vec![self] } else { all }
    }
}

impl Options {
    /// The labels of the group that an alert belongs to.
    pub fn group_labels(&self, labels: &Labels) -> Labels {
        let wanted = |name: &String| match &self.group_by {
            GroupBy::All => true,
            GroupBy::Labels(names) => names.contains(name),
        };
        labels.iter().filter(|(name, _)| wanted(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}
