//! Rule files: what stands in the YAML that Prometheus loads (`model/rulefmt/rulefmt.go`).

use super::{AlertingRule, Group, RecordingRule, Rule};
use crate::duration;
use crate::labels::Labels;
use crate::promql::{Expr, parse};
use serde::Deserialize;

/// A rule file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its groups.
    #[serde(default)]
    pub groups: Vec<GroupOf>,
}

/// A group of rules.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupOf {
    /// Its name.
    pub name: String,
    /// How far apart its evaluations are; without it as far as the configuration says.
    #[serde(default)]
    pub interval: Option<String>,
    /// Its rules.
    #[serde(default)]
    pub rules: Vec<RuleOf>,
}

/// A rule: with `record` or with `alert`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleOf {
    /// The series that it writes.
    #[serde(default)]
    pub record: Option<String>,
    /// The alert that it raises.
    #[serde(default)]
    pub alert: Option<String>,
    /// What is evaluated.
    pub expr: String,
    /// How long it must hold.
    #[serde(default, rename = "for")]
    pub hold: Option<String>,
    /// How long it fires on.
    #[serde(default)]
    pub keep_firing_for: Option<String>,
    /// Labels that it adds.
    #[serde(default)]
    pub labels: Labels,
    /// What its alerts say.
    #[serde(default)]
    pub annotations: Labels,
}

impl File {
    /// The groups; those without an interval are evaluated every so many milliseconds.
    ///
    /// # Errors
    ///
    /// What is wrong with a rule, and with which.
    pub fn groups(&self, interval: i64) -> Result<Vec<Group>, String> {
        self.groups.iter().map(|group| group.read(interval)).collect()
    }
}

impl GroupOf {
    fn read(&self, interval: i64) -> Result<Group, String> {
        let own = self.interval.as_deref().map(duration::parse).transpose();
        let interval = own.map_err(|why| format!("group {:?}: {why}", self.name))?.unwrap_or(interval);
        let rule = |(index, rule): (usize, &RuleOf)| {
            let name = rule.record.as_ref().or(rule.alert.as_ref()).map_or("", String::as_str);
            rule.read().map_err(|why| format!("group {:?}, rule {}, {name:?}: {why}", self.name, index + 1))
        };
        let rules = self.rules.iter().enumerate().map(rule).collect::<Result<_, _>>()?;
        Ok(Group::new(interval, rules))
    }
}

impl RuleOf {
    fn read(&self) -> Result<Rule, String> {
        let expr: Expr = parse(&self.expr).map_err(|why| format!("could not parse expression: {why}"))?;
        let span = |text: &Option<String>| text.as_deref().map_or(Ok(0), duration::parse);
        let (hold, keep_firing_for) = (span(&self.hold)?, span(&self.keep_firing_for)?);
        match (&self.record, &self.alert) {
            (Some(_), Some(_)) => Err("only one of 'record' and 'alert' must be set".into()),
            (None, None) => Err("one of 'record' or 'alert' must be set".into()),
            (Some(_), None) if !self.annotations.is_empty() => {
                Err("invalid field 'annotations' in recording rule".into())
            }
            (Some(_), None) if self.hold.is_some() => Err("invalid field 'for' in recording rule".into()),
            (Some(_), None) if self.keep_firing_for.is_some() => {
                Err("invalid field 'keep_firing_for' in recording rule".into())
            }
            (Some(name), None) => {
                Ok(Rule::Recording(RecordingRule { name: name.clone(), expr, labels: self.labels.clone() }))
            }
            (None, Some(name)) => {
                let mut rule = AlertingRule::new(name, expr);
                (rule.hold, rule.keep_firing_for) = (hold, keep_firing_for);
                (rule.labels, rule.annotations) = (self.labels.clone(), self.annotations.clone());
                Ok(Rule::Alerting(rule))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Group>, String> {
        serde_yaml::from_str::<File>(text).map_err(|why| why.to_string())?.groups(60_000)
    }

    #[test]
    fn files_are_read_or_refused_with_a_reason() {
        let group = |rule: &str| format!("groups: [{{name: g, rules: [{{{rule}}}]}}]");
        for (rule, expected) in [
            ("alert: A, expr: up == 0, for: 5m, labels: {severity: page}", Ok(())),
            ("record: r, expr: sum(up)", Ok(())),
            ("expr: up", Err("group \"g\", rule 1, \"\": one of 'record' or 'alert' must be set")),
            ("record: r, alert: A, expr: up", Err("only one of 'record' and 'alert' must be set")),
            ("record: r, expr: up, for: 5m", Err("invalid field 'for' in recording rule")),
            ("alert: A, expr: up ==", Err("could not parse expression: 1:6: parse error")),
            ("alert: A, expr: up, for: soon", Err("not a valid duration string")),
            ("alert: A, expr: up, fro: 5m", Err("unknown field `fro`")),
        ] {
            match (read(&group(rule)), expected) {
                (Ok(_), Ok(())) => {}
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{rule}: {why}"),
                (read, _) => panic!("{rule}: {read:?}"),
            }
        }
        let groups = read("groups: [{name: a, interval: 30s}, {name: b}]").expect("two groups");
        assert_eq!(groups.iter().map(|group| group.interval).collect::<Vec<_>>(), [30_000, 60_000]);
    }
}
