//! Alerting rules (`rules/alerting.go`). Which alerts a rule has, and which of them are sent, the module of `observability/alerts` decides.

use super::template;
use crate::labels::{Labels, METRIC_NAME, set};
use crate::promql::{Engine, Error, Expr, Sample};
use crate::storage::named;
pub use kit_contract::observability::alerts::{Alert, State};
use kit_contract::observability::alerts::{Alerts, Rule, Sent};
use std::collections::BTreeMap;

/// The label that holds the rule's name.
pub const ALERT_NAME: &str = "alertname";

/// `--rules.alert.resend-delay`
const RESEND_DELAY: i64 = 60_000;

/// What is known of an alert beside where it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// The value of the last evaluation at which it held.
    pub value: f64,
    /// What it says; may change while it holds.
    pub annotations: Labels,
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
    alerts: Vec<Alert>,
    said: BTreeMap<Labels, Said>,
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
            alerts: Vec::new(),
            said: BTreeMap::new(),
        }
    }

    /// All alerts that are pending or firing.
    pub fn active(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(|alert| alert.state != State::Inactive)
    }

    /// All alerts, those among them that ended lately.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter()
    }

    /// What one of the alerts says.
    pub fn said(&self, alert: &Alert) -> Said {
        self.said.get(&alert.labels).cloned().unwrap_or_default()
    }

    /// Evaluates the rule at `now`. Yields the series `ALERTS` and `ALERTS_FOR_STATE`.
    pub fn eval(&mut self, engine: &Engine<'_>, module: &dyn Alerts, now: i64) -> Result<Vec<Sample>, Error> {
        let held = self.held(engine, now)?;
        let holding: Vec<Labels> = held.keys().cloned().collect();
        self.said.extend(held);
        self.alerts = module.evaluate(&self.times(0), &self.alerts, &holding, now);
        self.said.retain(|labels, _| self.alerts.iter().any(|alert| alert.labels == *labels));
        Ok(self.active().flat_map(|alert| self.series(alert)).collect())
    }

    /// What Alertmanager is sent after an evaluation; they are `interval` apart.
    pub fn send(&mut self, module: &dyn Alerts, interval: i64, now: i64) -> Vec<(Sent, Labels)> {
        let sent = module.send(&self.times(interval), &self.alerts, now);
        for alert in &mut self.alerts {
            if sent.iter().any(|sent| sent.labels == alert.labels) {
                alert.last_sent_at_ms = Some(now);
            }
        }
        let said = |sent: &Sent| self.said.get(&sent.labels).map(|said| said.annotations.clone()).unwrap_or_default();
        sent.iter().map(|sent| (sent.clone(), said(sent))).collect()
    }

    fn times(&self, interval: i64) -> Rule {
        Rule {
            for_ms: self.hold,
            keep_firing_for_ms: self.keep_firing_for,
            interval_ms: interval,
            resend_delay_ms: RESEND_DELAY,
        }
    }

    /// The labels for which it holds now, and what is said of each.
    fn held(&self, engine: &Engine<'_>, now: i64) -> Result<BTreeMap<Labels, Said>, Error> {
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
            if held.insert(labels, Said { value: sample.value, annotations }).is_some() {
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
            Sample { labels: named("ALERTS_FOR_STATE", labels), value: alert.active_at_ms.div_euclid(1000) as f64 },
        ]
    }
}
