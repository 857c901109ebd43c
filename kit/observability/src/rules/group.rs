//! Groups of rules (`rules/manager.go`, Group.Eval; `rules/recording.go`).

use super::alerting::AlertingRule;
use crate::labels::{Labels, set};
use crate::promql::{Engine, Error, Expr, Sample};
use crate::storage::{Point, STALE, Storage, named};
use kit_contract::observability::alerts::Sent;
use kit_contract::observability::{Alerts, Metrics};
use std::collections::BTreeSet;

/// Writes the result of an expression as a series.
#[derive(Clone, Debug)]
pub struct RecordingRule {
    /// The name of the series.
    pub name: String,
    /// What is evaluated.
    pub expr: Expr,
    /// Labels that are added.
    pub labels: Labels,
}

impl RecordingRule {
    fn eval(&self, engine: &Engine<'_>, now: i64) -> Result<Vec<Sample>, Error> {
        let mut seen = BTreeSet::new();
        let mut samples = engine.query(&self.expr, now)?.into_vector();
        for sample in &mut samples {
            sample.labels = named(&self.name, std::mem::take(&mut sample.labels));
            for (name, value) in &self.labels {
                set(&mut sample.labels, name, &value[..]);
            }
            if !seen.insert(sample.labels.clone()) {
                let message = "vector contains metrics with the same labelset after applying rule labels";
                return Err(Error::Evaluation(message.into()));
            }
        }
        Ok(samples)
    }
}

/// A rule of either kind.
#[derive(Clone, Debug)]
pub enum Rule {
    /// Writes series.
    Recording(RecordingRule),
    /// Raises alerts.
    Alerting(AlertingRule),
}

/// Rules that are evaluated together, in order: a rule sees what those before it wrote.
#[derive(Clone, Debug, Default)]
pub struct Group {
    rules: Vec<(Rule, BTreeSet<Labels>)>,
    /// How far apart evaluations are, in milliseconds; also the step of subqueries that name none.
    pub interval: i64,
}

impl Group {
    /// A group of these rules.
    pub fn new(interval: i64, rules: Vec<Rule>) -> Group {
        Group { rules: rules.into_iter().map(|rule| (rule, BTreeSet::new())).collect(), interval }
    }

    /// Its rules.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|(rule, _)| rule)
    }

    /// Evaluates all rules at `now` and writes their series; one that a rule yields no longer is marked as ended. A rule
    /// that fails keeps its state, and the others go on; the errors are told.
    pub fn eval(
        &mut self,
        storage: &mut Storage,
        alerts: &dyn Alerts,
        functions: &dyn Metrics,
        now: i64,
    ) -> Vec<Error> {
        let mut errors = Vec::new();
        for (rule, before) in &mut self.rules {
            let engine = Engine { storage, default_step: self.interval, functions };
            let result = match rule {
                Rule::Recording(rule) => rule.eval(&engine, now),
                Rule::Alerting(rule) => rule.eval(&engine, alerts, now),
            };
            let samples = match result {
                Ok(samples) => samples,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            for sample in &samples {
                storage.append(&sample.labels, Point { t: now, v: sample.value });
            }
            let written: BTreeSet<Labels> = samples.into_iter().map(|sample| sample.labels).collect();
            for ended in before.difference(&written) {
                storage.append(ended, Point { t: now, v: STALE });
            }
            *before = written;
        }
        errors
    }

    /// What Alertmanager is sent after an evaluation, with annotations.
    pub fn send(&mut self, module: &dyn Alerts, now: i64) -> Vec<(Sent, Labels)> {
        let interval = self.interval;
        let sent = self.rules.iter_mut().map(|(rule, _)| match rule {
            Rule::Alerting(rule) => rule.send(module, interval, now),
            Rule::Recording(_) => Vec::new(),
        });
        sent.flatten().collect()
    }
}
