//! Alerting rules (`rules/alerting.go`).

use super::template;
use crate::labels::{Labels, METRIC_NAME, set};
use crate::promql::{Engine, Error, Expr, Sample};
use crate::storage::named;
use std::collections::BTreeMap;

/// How long a resolved alert is told of, in milliseconds.
pub const RESOLVED_RETENTION: i64 = 15 * 60_000;

/// The label that holds the rule's name.
pub const ALERT_NAME: &str = "alertname";

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It holds no longer.
    Inactive,
    /// It holds, but not for long enough.
    Pending,
    /// It is told of.
    Firing,
}

impl State {
    /// How the label `alertstate` has it.
    pub fn name(self) -> &'static str {
        match self {
            State::Inactive => "inactive",
            State::Pending => "pending",
            State::Firing => "firing",
        }
    }
}

/// One alert of a rule. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What tells it from the rule's others.
    pub labels: Labels,
    /// What it says; may change while it holds.
    pub annotations: Labels,
    /// Where it stands.
    pub state: State,
    /// The value of the last evaluation at which it held.
    pub value: f64,
    /// When it began to hold.
    pub active_at: i64,
    /// Since when it fires.
    pub fired_at: Option<i64>,
    /// Since when it no longer holds, and fires on for a while.
    pub keep_firing_since: Option<i64>,
    /// When it ended.
    pub resolved_at: Option<i64>,
}

/// A rule, and its alerts.
#[derive(Clone, Debug)]
pub struct AlertingRule {
    /// The alerts' name.
    pub name: String,
    /// Each sample of its result is an alert.
    pub expr: Expr,
    /// `for`: how long it must hold before it fires.
    pub hold: i64,
    /// How long it fires on when it holds no longer.
    pub keep_firing_for: i64,
    /// Labels that it adds; templates.
    pub labels: Labels,
    /// What its alerts say; templates.
    pub annotations: Labels,
    active: BTreeMap<Labels, Alert>,
}

impl AlertingRule {
    /// A rule without alerts.
    pub fn new(name: &str, expr: Expr) -> AlertingRule {
        AlertingRule {
            name: name.into(),
            expr,
            hold: 0,
            keep_firing_for: 0,
            labels: Labels::new(),
            annotations: Labels::new(),
            active: BTreeMap::new(),
        }
    }

    /// All alerts that are pending or firing.
    pub fn active(&self) -> impl Iterator<Item = &Alert> {
        self.active.values().filter(|alert| alert.state != State::Inactive)
    }

    /// All alerts, those among them that ended lately.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.active.values()
    }

    /// Evaluates the rule at `now`. Yields the series `ALERTS` and `ALERTS_FOR_STATE`.
    pub fn eval(&mut self, engine: &Engine<'_>, now: i64) -> Result<Vec<Sample>, Error> {
        let held = self.held(engine, now)?;
        let holds: Vec<Labels> = held.keys().cloned().collect();
        for (labels, alert) in held {
            match self.active.get_mut(&labels).filter(|known| known.state != State::Inactive) {
                Some(known) => (known.value, known.annotations) = (alert.value, alert.annotations),
                None => drop(self.active.insert(labels, alert)),
            }
        }
        let (hold, keep) = (self.hold, self.keep_firing_for);
        self.active.retain(|labels, alert| {
            let holds = holds.binary_search(labels).is_ok();
            step(alert, holds, now, hold, keep)
        });
        Ok(self.active().flat_map(|alert| self.series(alert)).collect())
    }

    /// The alerts that hold now, as if each began now.
    fn held(&self, engine: &Engine<'_>, now: i64) -> Result<BTreeMap<Labels, Alert>, Error> {
        let mut held = BTreeMap::new();
        for sample in engine.query(&self.expr, now)?.into_vector() {
            let data = template::Data { labels: &sample.labels, value: sample.value };
            let expand = |text: &str| template::expand(text, &self.name, &data, engine, now);
            let mut labels = sample.labels.clone();
            labels.remove(METRIC_NAME);
            for (name, text) in &self.labels {
                set(&mut labels, name, expand(text));
            }
            set(&mut labels, ALERT_NAME, &self.name[..]);
            let annotations = self.annotations.iter().map(|(name, text)| (name.clone(), expand(text))).collect();
            let alert = Alert {
                labels: labels.clone(),
                annotations,
                state: State::Pending,
                value: sample.value,
                active_at: now,
                fired_at: None,
                keep_firing_since: None,
                resolved_at: None,
            };
            if held.insert(labels, alert).is_some() {
                let message = "vector contains metrics with the same labelset after applying alert labels";
                return Err(Error::Evaluation(message.into()));
            }
        }
        Ok(held)
    }

    /// The labels of a series about an alert. Those of the rule are added as they are written, where the alert has none.
    fn series(&self, alert: &Alert) -> [Sample; 2] {
        let mut labels = self.labels.clone();
        labels.retain(|_, value| !value.is_empty());
        labels.extend(alert.labels.clone());
        let mut state = named("ALERTS", labels.clone());
        set(&mut state, "alertstate", alert.state.name());
        [
            Sample { labels: state, value: 1.0 },
            Sample { labels: named("ALERTS_FOR_STATE", labels), value: alert.active_at.div_euclid(1000) as f64 },
        ]
    }
}

/// What an evaluation makes of an alert; false when it is forgotten.
fn step(alert: &mut Alert, holds: bool, now: i64, hold: i64, keep_firing_for: i64) -> bool {
    if holds {
        alert.keep_firing_since = None;
    } else {
        if alert.state == State::Firing && keep_firing_for > 0 {
            let since = *alert.keep_firing_since.get_or_insert(now);
            if now - since < keep_firing_for {
                return true;
            }
        }
        let forgotten = alert.resolved_at.is_some_and(|resolved| now - resolved > RESOLVED_RETENTION);
        if alert.state == State::Pending || forgotten {
            return false;
        }
        if alert.state != State::Inactive {
            alert.state = State::Inactive;
            alert.resolved_at = Some(now);
        }
        return true;
    }
    if alert.state == State::Pending && now - alert.active_at >= hold {
        alert.state = State::Firing;
        alert.fired_at = Some(now);
    }
    true
}
