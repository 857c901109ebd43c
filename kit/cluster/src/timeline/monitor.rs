//! Prometheus beside a cluster: it scrapes, evaluates rules, and says which alerts come and go, on the cluster's clock. Beside it an
//! Alertmanager, if it is set up, which tells receivers.
//!
//! It looks at the end of a second, as the observer does. Targets and their labels are those of kube-prometheus; labels of a
//! sample win over those of its target (`honor_labels`).

use super::step::Span;
use crate::engine::Engine;
use crate::metrics::{Endpoint, asked, scrape};
use kit_apimachinery::object::Kind;
use kit_contract::Modules;
use kit_contract::Show;
use kit_contract::observability::metrics::{Figure, Number, Page, Sample, Series};
use kit_contract::observability::{Alerts, Metrics};
use kit_observability::alertmanager::file::File as Alerting;
use kit_observability::alertmanager::{Alert, Alertmanager, Notification};
use kit_observability::exposition::parse;
use kit_observability::labels::{Labels, METRIC_NAME, set, value, without_name};
use kit_observability::number::general;
use kit_observability::promql::{self, Engine as Prometheus};
use kit_observability::rules::alerting::ALERT_NAME;
use kit_observability::rules::file::{File, GroupOf};
use kit_observability::rules::{Group, Rule, State};
use kit_observability::storage::{Point, STALE, Storage, is_stale, named};
use kit_time::agenda::Instant;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

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
    /// Who is told of alerts, as Alertmanager's configuration has it.
    #[serde(default)]
    pub alertmanager: Option<Alerting>,
}

fn minute_quarter() -> Span {
    Span(Instant::seconds(15))
}

/// So far back key figures look.
const HOUR_MS: i64 = 3_600_000;

/// Labels that tell alerts apart for people.
const TOLD: [&str; 5] = ["namespace", "pod", "container", "persistentvolumeclaim", "node"];

/// A Prometheus with all that it has seen.
pub struct Monitor {
    every: Instant,
    next: Instant,
    storage: Storage,
    module: Rc<dyn Alerts>,
    /// Writes the pages that are scraped, and knows what to make of samples.
    metrics: Box<dyn Metrics>,
    alertmanager: Option<Alertmanager>,
    /// When the next group of alerts is flushed.
    flush: Option<Instant>,
    /// Each with the time of its next evaluation.
    groups: Vec<(Group, i64)>,
    /// The series of each target at the last scrape.
    seen: BTreeMap<Labels, BTreeSet<Labels>>,
    /// How each alert stood when it was last told.
    told: BTreeMap<String, State>,
    /// Why a target that answers can't be scraped.
    failing: BTreeMap<Labels, String>,
}

impl Monitor {
    /// One that has seen nothing yet, and begins now.
    ///
    /// # Errors
    ///
    /// What is wrong with a rule.
    pub fn new(of: &Monitoring, modules: &Modules, engine: &mut Engine) -> Result<Monitor, String> {
        let every = of.every.0.max(Instant::seconds(1));
        let groups = File { groups: of.groups.clone() }.groups(every.nanos / 1_000_000)?;
        let module: Rc<dyn Alerts> = Rc::from(modules.alerts.make(&()));
        let now = time(engine);
        let alerting = of.alertmanager.as_ref().map(Alerting::config).transpose()?;
        Ok(Monitor {
            every,
            next: engine.now(),
            storage: Storage::default(),
            alertmanager: alerting.map(|config| Alertmanager::new(config, module.clone(), now)),
            module,
            metrics: modules.metrics.make(&()),
            flush: None,
            groups: groups.into_iter().map(|group| (group, i64::MIN)).collect(),
            seen: BTreeMap::new(),
            told: BTreeMap::new(),
            failing: BTreeMap::new(),
        })
    }

    /// When it scrapes next, or tells somebody.
    pub fn due(&self) -> Instant {
        self.flush.map_or(self.next, |flush| flush.min(self.next))
    }

    /// All samples, of targets and of rules.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Scrapes and evaluates what is due; the alerts that stand otherwise than before, and who is told of them.
    pub fn look(&mut self, engine: &mut Engine) -> Vec<String> {
        let mut lines = Vec::new();
        if self.next <= engine.now() {
            lines.extend(self.evaluate(engine));
        }
        let now = time(engine);
        if let Some(alertmanager) = &mut self.alertmanager {
            lines.extend(alertmanager.advance(now).iter().flat_map(told));
            self.flush = alertmanager.next_flush().map(|at| engine.now() + Instant { nanos: (at - now) * 1_000_000 });
        }
        lines
    }

    fn evaluate(&mut self, engine: &mut Engine) -> Vec<String> {
        while self.next <= engine.now() {
            self.next = self.next + self.every;
        }
        let (now, mut lines) = self.scrape(engine);
        for (group, next) in &mut self.groups {
            // Half a second of grace: what is looked at is the end of a second.
            if now + 500 < *next {
                continue;
            }
            *next = now + group.interval;
            let failed = group.eval(&mut self.storage, &*self.module, &*self.metrics, now);
            lines.extend(failed.into_iter().map(|why| format!("rule failed: {why}")));
            let sent = group.send(&*self.module, now);
            let Some(alertmanager) = &mut self.alertmanager else { continue };
            alertmanager.set_clock(now);
            for (sent, annotations) in sent {
                let mut alert = Alert::new(sent.labels, Some(sent.starts_at_ms), Some(sent.ends_at_ms), now);
                alert.annotations = annotations;
                alertmanager.post(alert);
            }
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
        let parsed = promql::parse(expr).map_err(|why| format!("{expr}: {why}"))?;
        let (now, mut lines) = self.scrape(engine);
        let default_step = self.every.nanos / 1_000_000;
        let prometheus = Prometheus { storage: &self.storage, default_step, functions: &*self.metrics };
        let samples = prometheus.query(&parsed, now).map_err(|why| format!("{expr}: {why}"))?.into_vector();
        let line = |sample: &kit_observability::promql::Sample| {
            let labels: Vec<_> = sample.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            format!("{{{}}} {}", labels.join(", "), general(sample.value, Some(4)))
        };
        if samples.is_empty() {
            lines.push("no samples".into());
        }
        lines.extend(samples.iter().map(line));
        Ok(lines)
    }

    /// One of the key figures now, a line for each value.
    pub fn figure(&mut self, figure: Figure, engine: &mut Engine) -> Vec<String> {
        let (now, mut lines) = self.scrape(engine);
        let wanted = |(labels, points): (&Labels, &[Point])| {
            let name = value(labels, METRIC_NAME).to_string();
            let recent = points.iter().filter(|point| now - point.t <= HOUR_MS);
            let sample =
                |point: &Point| Sample { at_ms: point.t, value: (!is_stale(point.v)).then_some(Number(point.v)) };
            let samples: Vec<Sample> = recent.map(sample).collect();
            let known = figure.needs().contains(&name.as_str()) && !samples.is_empty();
            known.then(|| Series { name, labels: without_name(labels.clone()), samples })
        };
        let series: Vec<Series> = self.storage.select(&[]).filter_map(wanted).collect();
        lines.extend(self.metrics.figure(&figure, &series, now).lines());
        lines
    }

    /// Asks all targets. The time in milliseconds, and which targets that answer can no longer be scraped, and why.
    fn scrape(&mut self, engine: &mut Engine) -> (i64, Vec<String>) {
        let now = time(engine);
        let mut lines = Vec::new();
        for (labels, endpoint) in targets(engine) {
            let page = scrape(engine, &endpoint).map(|families| self.metrics.expose(&asked(families)));
            let read = page.map(|page| match page {
                Page::Text(text) => parse::parse(text.as_bytes()).map_err(|why| why.to_string()),
                Page::Refused => Err("the target refuses to say what it has counted".into()),
            });
            match &read {
                Some(Err(why)) if self.failing.get(&labels) != Some(why) => {
                    let (job, instance) = (value(&labels, "job"), value(&labels, "instance"));
                    lines.push(format!("scrape of {job} ({instance}{}) fails: {why}", value(&labels, "metrics_path")));
                    self.failing.insert(labels.clone(), why.clone());
                }
                Some(Err(_)) => {}
                _ => drop(self.failing.remove(&labels)),
            }
            let families = read.and_then(Result::ok);
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
        (now, lines)
    }

    fn changes(&mut self) -> Vec<String> {
        let mut now = BTreeMap::new();
        for (group, _) in &self.groups {
            for rule in group.rules() {
                let Rule::Alerting(rule) = rule else { continue };
                for alert in rule.active() {
                    now.insert(called(&rule.name, &alert.labels), (alert.state, rule.said(alert).value));
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

/// The server's time in milliseconds.
fn time(engine: &mut Engine) -> i64 {
    engine.request(|server| server.time()).as_millisecond()
}

/// A line for each alert that somebody hears of.
fn told(notification: &Notification) -> Vec<String> {
    let all = [("firing", &notification.firing), ("resolved", &notification.resolved)];
    let lines = all.into_iter().flat_map(|(word, alerts)| alerts.iter().map(move |alert| (word, &alert.labels)));
    let name = |labels: &Labels| called(value(labels, ALERT_NAME), labels);
    lines.map(|(word, labels)| format!("{} is told: {} {word}", notification.receiver, name(labels))).collect()
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
