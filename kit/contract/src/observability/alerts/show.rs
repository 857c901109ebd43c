//! How alerts, routes and groups look to people.

use super::{Alert, Destination, Flush, Group, Labels, Matcher, Quiet, Route, Rule, Sent, State, Timer, Told};
use crate::show::unordered;
use crate::{Show, flow};
use std::collections::BTreeSet;

/// Seconds, or milliseconds where they aren't whole.
pub(in crate::observability) fn time(ms: i64) -> String {
    if ms % 1000 == 0 { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

/// As PromQL writes them: `{alertname="Down", pod="web-1"}`.
pub(in crate::observability) fn labels(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{}={value:?}", flow(name))).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn all(matchers: &[Matcher]) -> String {
    let all: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
    if all.is_empty() { "everything".into() } else { all.join(", ") }
}

/// The lines of a list whose order is open.
fn sorted<T: Ord>(list: &[T], none: &str, line: impl Fn(&T) -> String) -> Vec<String> {
    let mut list: Vec<&T> = list.iter().collect();
    list.sort();
    if list.is_empty() { vec![none.into()] } else { list.into_iter().map(line).collect() }
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

impl Show for Rule {
    fn lines(&self) -> Vec<String> {
        let mut line = format!("for {}", time(self.for_ms));
        if self.keep_firing_for_ms != 0 {
            line += &format!(", keep_firing_for {}", time(self.keep_firing_for_ms));
        }
        if self.interval_ms != 0 || self.resend_delay_ms != 0 {
            line += &format!(", evaluated each {}, ", time(self.interval_ms));
            line += &format!("resend delay {}", time(self.resend_delay_ms));
        }
        vec![line]
    }
}

impl Show for Vec<Alert> {
    fn lines(&self) -> Vec<String> {
        sorted(self, "no alerts", |alert| {
            let mut line = format!("{}: {:?}, active {}", labels(&alert.labels), alert.state, time(alert.active_at_ms));
            for (what, at) in [
                ("fired", alert.fired_at_ms),
                ("kept since", alert.keep_firing_since_ms),
                ("resolved", alert.resolved_at_ms),
                ("sent", alert.last_sent_at_ms),
            ] {
                line += &at.map_or(String::new(), |at| format!(", {what} {}", time(at)));
            }
            line
        })
    }
    fn meaning(&self) -> String {
        unordered(self)
    }
}

impl Show for Vec<Sent> {
    fn lines(&self) -> Vec<String> {
        sorted(self, "nothing is sent", |sent| {
            format!("{}: {} to {}", labels(&sent.labels), time(sent.starts_at_ms), time(sent.ends_at_ms))
        })
    }
    fn meaning(&self) -> String {
        unordered(self)
    }
}

impl Show for Route {
    fn lines(&self) -> Vec<String> {
        let mut line = all(&self.matchers);
        line += &self.receiver.as_ref().map_or(String::new(), |name| format!(" → {}", flow(name)));
        if !self.group_by.is_empty() {
            line += &format!(", group_by {}", flow(&self.group_by));
        }
        for (what, ms) in [
            ("group_wait", self.group_wait_ms),
            ("group_interval", self.group_interval_ms),
            ("repeat_interval", self.repeat_interval_ms),
        ] {
            line += &ms.map_or(String::new(), |ms| format!(", {what} {}", time(ms)));
        }
        line += if self.continues { ", continue" } else { "" };
        let below = self.routes.iter().enumerate().flat_map(|(place, route)| {
            let lines = route.lines().into_iter().enumerate();
            let head = move |row: usize| if row == 0 { format!("  {place}: ") } else { "  ".into() };
            lines.map(move |(row, line)| format!("{}{line}", head(row)))
        });
        std::iter::once(line).chain(below).collect()
    }
}

impl Show for Vec<Destination> {
    fn lines(&self) -> Vec<String> {
        sorted(self, "nobody", |to| {
            let path: Vec<String> = to.path.iter().map(usize::to_string).collect();
            let path = if path.is_empty() { "the root".into() } else { format!("route {}", path.join(".")) };
            let [wait, interval, repeat] = [to.group_wait_ms, to.group_interval_ms, to.repeat_interval_ms].map(time);
            let group = labels(&to.group);
            format!("{path} → {}, group {group}, {wait} / {interval} / {repeat}", flow(&to.receiver))
        })
    }
    fn meaning(&self) -> String {
        unordered(self)
    }
}

impl Show for Timer {
    fn lines(&self) -> Vec<String> {
        let next = self.next_ms.map_or("a new group".into(), |next| format!("to be flushed at {}", time(next)));
        let flushed = if self.flushed { ", flushed before" } else { "" };
        vec![format!("{next}{flushed}, group_wait {}", time(self.group_wait_ms))]
    }
}

impl Show for Quiet {
    fn lines(&self) -> Vec<String> {
        let silences = self.silences.iter().map(|silence| {
            let [from, to] = [silence.starts_at_ms, silence.ends_at_ms].map(time);
            format!("silence {from} to {to}: {}", all(&silence.matchers))
        });
        let rules = self.inhibit_rules.iter().map(|rule| {
            let equal = if rule.equal.is_empty() { String::new() } else { format!(", equal {}", flow(&rule.equal)) };
            format!("inhibit: source {}; target {}{equal}", all(&rule.source), all(&rule.target))
        });
        let lines: Vec<String> = silences.chain(rules).collect();
        if lines.is_empty() { vec!["nothing is quiet".into()] } else { lines }
    }
}

fn each(word: &str, list: &BTreeSet<Labels>) -> Vec<String> {
    list.iter().map(|of| format!("{word} {}", labels(of))).collect()
}

fn told(last: &Option<Told>) -> Vec<String> {
    let Some(last) = last else { return vec!["last: nothing was ever told".into()] };
    let lines = [each("firing", &last.firing), each("resolved", &last.resolved)].concat();
    let head = format!("last told at {}", time(last.at_ms));
    if lines.is_empty() { vec![head] } else { lines.iter().map(|line| format!("{head}: {line}")).collect() }
}

impl Show for Group {
    fn lines(&self) -> Vec<String> {
        let [interval, repeat] = [self.group_interval_ms, self.repeat_interval_ms].map(time);
        let resolved = if self.send_resolved { "" } else { ", send_resolved: false" };
        let mut lines = vec![format!("group_interval {interval}, repeat_interval {repeat}{resolved}")];
        lines.extend(self.alerts.iter().map(|alert| {
            let muted = if alert.muted { ", muted" } else { "" };
            format!("{} ends {}{muted}", labels(&alert.labels), time(alert.ends_at_ms))
        }));
        lines.extend(told(&self.last));
        lines
    }
}

impl Show for Flush {
    fn lines(&self) -> Vec<String> {
        let mut lines = match &self.sends {
            None => vec!["sends nothing".into()],
            Some(sends) => {
                let all = [each("sends: firing", &sends.firing), each("sends: resolved", &sends.resolved)].concat();
                if all.is_empty() { vec!["sends an empty notification".into()] } else { all }
            }
        };
        lines.extend(told(&self.last));
        lines.extend(each("forgets", &self.forgets));
        lines.push(format!("flushed next at {}", time(self.next_ms)));
        lines
    }
}
