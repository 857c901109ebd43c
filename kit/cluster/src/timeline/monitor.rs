//! Prometheus beside a cluster: it scrapes, evaluates rules, and says which alerts come and go, on the cluster's clock.
//!
//! It looks at the end of a second, as the observer does. Targets and their labels are those of kube-prometheus; labels of a
//! sample win over those of its target (`honor_labels`).

use super::step::Span;
use crate::engine::Engine;
use crate::metrics::{Endpoint, scrape};
use kit_apimachinery::object::Kind;
use kit_observability::labels::{Labels, set, value};
use kit_observability::number::general;
use kit_observability::promql::{Engine as Prometheus, parse};
use kit_observability::rules::file::{File, GroupOf};
use kit_observability::rules::{Group, Rule, State};
use kit_observability::storage::{Point, STALE, Storage, named};
use kit_time::agenda::Instant;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What is asked of Prometheus.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Monitoring {
    /// How often it scrapes, and evaluates groups that say nothing else.
    #[serde(default = "minute_quarter")]
    pub every: Span,
    /// Its rules, as a rule file has them.
    #[serde(default)]
    pub groups: Vec<GroupOf>,
}

fn minute_quarter() -> Span {
    Span(Instant::seconds(15))
}

/// Labels that tell alerts apart for people.
const TOLD: [&str; 5] = ["namespace", "pod", "container", "persistentvolumeclaim", "node"];

/// A Prometheus with all that it has seen.
pub struct Monitor {
    every: Instant,
    next: Instant,
    storage: Storage,
    /// Each with the time of its next evaluation.
    groups: Vec<(Group, i64)>,
    /// The series of each target at the last scrape.
    seen: BTreeMap<Labels, BTreeSet<Labels>>,
    /// How each alert stood when it was last told.
    told: BTreeMap<String, State>,
}

impl Monitor {
    /// One that has seen nothing yet, and begins now.
    ///
    /// # Errors
    ///
    /// What is wrong with a rule.
    pub fn new(of: &Monitoring, now: Instant) -> Result<Monitor, String> {
        let every = of.every.0.max(Instant::seconds(1));
        let groups = File { groups: of.groups.clone() }.groups(every.nanos / 1_000_000)?;
        let groups = groups.into_iter().map(|group| (group, i64::MIN)).collect();
        let (seen, told) = (BTreeMap::new(), BTreeMap::new());
        Ok(Monitor { every, next: now, storage: Storage::default(), groups, seen, told })
    }

    /// When it scrapes next.
    pub fn due(&self) -> Instant {
        self.next
    }

    /// All samples, of targets and of rules.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Scrapes and evaluates what is due; the alerts that stand otherwise than before.
    pub fn look(&mut self, engine: &mut Engine) -> Vec<String> {
        while self.next <= engine.now() {
            self.next = self.next + self.every;
        }
        let now = self.scrape(engine);
        let mut lines = Vec::new();
        for (group, next) in &mut self.groups {
            // Half a second of grace: what is looked at is the end of a second.
            if now + 500 < *next {
                continue;
            }
            *next = now + group.interval;
            lines.extend(group.eval(&mut self.storage, now).into_iter().map(|why| format!("rule failed: {why}")));
        }
        lines.extend(self.changes());
        lines
    }

    /// What an expression comes to now, a line for each sample.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn ask(&mut self, expr: &str, engine: &mut Engine) -> Result<Vec<String>, String> {
        let parsed = parse(expr).map_err(|why| format!("{expr}: {why}"))?;
        let now = self.scrape(engine);
        let prometheus = Prometheus { storage: &self.storage, default_step: self.every.nanos / 1_000_000 };
        let samples = prometheus.query(&parsed, now).map_err(|why| format!("{expr}: {why}"))?.into_vector();
        let line = |sample: &kit_observability::promql::Sample| {
            let labels: Vec<_> = sample.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            format!("{{{}}} {}", labels.join(", "), general(sample.value, Some(4)))
        };
        Ok(if samples.is_empty() { vec!["no samples".into()] } else { samples.iter().map(line).collect() })
    }

    /// Asks all targets; the time in milliseconds.
    fn scrape(&mut self, engine: &mut Engine) -> i64 {
        let now = engine.request(|server| server.time()).as_millisecond();
        for (labels, endpoint) in targets(engine) {
            let families = scrape(engine, &endpoint);
            let mut there = BTreeSet::new();
            for sample in families.iter().flatten().flat_map(|family| &family.samples) {
                let mut own = labels.clone();
                sample.labels.iter().for_each(|(name, value)| set(&mut own, name, value.as_str()));
                let own = named(&sample.name, own);
                self.storage.append(&own, Point { t: now, v: sample.value });
                there.insert(own);
            }
            let up = f64::from(u8::from(families.is_some()));
            self.storage.append(&named("up", labels.clone()), Point { t: now, v: up });
            let before = self.seen.insert(labels, there.clone()).unwrap_or_default();
            before.difference(&there).for_each(|gone| self.storage.append(gone, Point { t: now, v: STALE }));
        }
        now
    }

    fn changes(&mut self) -> Vec<String> {
        let mut now = BTreeMap::new();
        for (group, _) in &self.groups {
            for rule in group.rules() {
                let Rule::Alerting(rule) = rule else { continue };
                for alert in rule.active() {
                    now.insert(called(&rule.name, &alert.labels), (alert.state, alert.value));
                }
            }
        }
        let mut lines = Vec::new();
        for (name, (state, value)) in &now {
            if self.told.get(name) != Some(state) {
                let value = general(*value, Some(3));
                lines.push(format!("alert {name} is {} at {value}", state.name()));
            }
        }
        for (name, state) in self.told.iter().filter(|(name, _)| !now.contains_key(*name)) {
            let end = if *state == State::Firing { "is resolved" } else { "is no longer pending" };
            lines.push(format!("alert {name} {end}"));
        }
        self.told = now.into_iter().map(|(name, (state, _))| (name, state)).collect();
        lines
    }
}

fn called(name: &str, labels: &Labels) -> String {
    let told = |all: &[&str]| -> Vec<String> {
        all.iter().map(|label| value(labels, label)).filter(|value| !value.is_empty()).map(str::to_string).collect()
    };
    let (of, job) = (told(&TOLD), told(&["job"]));
    match if of.is_empty() { job } else { of } {
        told if told.is_empty() => name.into(),
        told => format!("{name} ({})", told.join("/")),
    }
}

/// Whom it scrapes: all that a usual installation finds.
fn targets(engine: &Engine) -> Vec<(Labels, Endpoint)> {
    let labels = |all: &[(&str, &str)]| -> Labels {
        all.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    };
    let mut all = vec![
        (labels(&[("job", "kube-state-metrics"), ("instance", "kube-state-metrics:8080")]), Endpoint::State),
        (labels(&[("job", "kube-scheduler"), ("instance", "kube-scheduler:10259")]), Endpoint::Scheduler),
        (
            labels(&[("job", "kube-controller-manager"), ("instance", "kube-controller-manager:10257")]),
            Endpoint::Controllers,
        ),
    ];
    for node in engine.server().snapshot().list(Kind::Node) {
        let (name, instance) = (&*node.key.name, format!("{}:10250", node.key.name));
        for path in ["metrics", "metrics/cadvisor"] {
            let of =
                [("job", "kubelet"), ("instance", &instance), ("node", name), ("metrics_path", &format!("/{path}"))];
            all.push((labels(&of), Endpoint::Kubelet(name.into(), path.into())));
        }
    }
    all
}
