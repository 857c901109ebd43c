//! How requests, events and bills look to people. Sums of `f64` depend on their order, so amounts mean the same if their first
//! nine digits agree.

use super::{
    Attempt, Bill, ClusterCost, ClusterPrices, Config, Dollars, Event, FunctionCost, FunctionPrices, Limit, Next,
    Queue, Reason, Runs, Shape, Span, Start, Usage,
};
use crate::show::nine_digits;
use crate::{Show, flow};

impl Show for Config {
    fn lines(&self) -> Vec<String> {
        let Config { account, provisioned, burst, per_second, .. } = self;
        let reserved = self.reserved.map_or(String::new(), |reserved| format!(", {reserved} reserved"));
        vec![format!(
            "account {account}{reserved}, {provisioned} provisioned, burst {burst}, {per_second} more a second"
        )]
    }
}

impl Show for Start {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Start::Warm(environment) => format!("environment {environment}, warm"),
            Start::Cold(environment) => format!("environment {environment}, cold"),
            Start::Throttled(Limit::Reserved) => "429: what is reserved is in use".into(),
            Start::Throttled(Limit::Account) => "429: what the account has is in use".into(),
            Start::Throttled(Limit::Rate) => "429: no new environment at this moment".into(),
        }]
    }
}

/// A length of time, or a moment, as people say it: `1 h 2 min`, `1.5 s`.
fn time(ms: u64) -> String {
    let (hours, minutes, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
    let seconds = match (rest / 1000, rest % 1000) {
        (0, 0) => String::new(),
        (seconds, 0) => format!("{seconds} s"),
        (seconds, ms) => format!("{} s", format!("{seconds}.{ms:03}").trim_end_matches('0')),
    };
    let parts = [(hours, "h"), (minutes, "min")].map(|(count, unit)| match count {
        0 => String::new(),
        count => format!("{count} {unit}"),
    });
    let parts: Vec<String> = parts.into_iter().chain([seconds]).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "0 s".into() } else { parts.join(" ") }
}

impl Show for Queue {
    fn lines(&self) -> Vec<String> {
        vec![format!("{} retries, up to {}", self.max_retries, time(self.max_age_ms))]
    }
}

impl Show for Event {
    fn lines(&self) -> Vec<String> {
        let Event { came_ms, failures, throttles } = self;
        vec![format!("came at {}, {failures} failures, {throttles} throttles", time(*came_ms))]
    }
}

impl Show for Attempt {
    fn lines(&self) -> Vec<String> {
        vec![format!("{self:?}").to_lowercase()]
    }
}

impl Show for Next {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Next::Done => "done".into(),
            Next::Again(at) => format!("again at {}", time(*at)),
            Next::GivenUp(Reason::Retries) => "given up: it failed too often".into(),
            Next::GivenUp(Reason::Age) => "given up: it would be too old".into(),
        }]
    }
}

impl Show for Runs {
    fn lines(&self) -> Vec<String> {
        let init = if self.init_us > 0 { format!("{} µs and ", self.init_us) } else { String::new() };
        let place = if self.provisioned { ", provisioned" } else { "" };
        vec![format!("{} runs of {init}{} µs{place}", self.count, self.run_us)]
    }
}

impl Show for Usage {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{} MB", self.memory_mb)];
        lines.extend(self.runs.iter().flat_map(Show::lines));
        if self.provisioned > 0 {
            lines.push(format!("{} provisioned for {} s", self.provisioned, self.provisioned_seconds));
        }
        lines
    }
}

/// An amount for people: cents, or three digits if it is less than ten dollars.
fn money(dollars: f64) -> String {
    match dollars.abs() {
        amount if amount < 1e-12 => "$0".into(),
        amount if amount < 10.0 => format!("${}", format!("{dollars:.2e}").parse().unwrap_or(dollars)),
        _ => format!("${dollars:.2}"),
    }
}

impl Show for Dollars {
    fn lines(&self) -> Vec<String> {
        vec![money(self.0)]
    }
    fn meaning(&self) -> String {
        nine_digits(self.0)
    }
}

impl Show for Bill {
    fn lines(&self) -> Vec<String> {
        let parts = [("requests", self.requests), ("duration", self.duration), ("kept", self.kept)];
        parts.into_iter().map(|(what, amount)| format!("{what} {}", money(amount.0))).collect()
    }
    fn meaning(&self) -> String {
        [self.requests, self.duration, self.kept].map(|amount| amount.meaning()).join(" ")
    }
}

impl Show for FunctionPrices {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for ClusterPrices {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for Shape {
    fn lines(&self) -> Vec<String> {
        let Shape { request_us, pod_milli_cpu, pod_mb, target_percent, machine_milli_cpu, machine_mb, .. } = self;
        vec![
            format!(
                "{request_us} µs for a request, pods with {pod_milli_cpu}m and {pod_mb} MB, used to {target_percent} %"
            ),
            format!(
                "machines with {machine_milli_cpu}m and {machine_mb} MB; at least {} pods and {} machines",
                self.least_pods, self.least_machines
            ),
        ]
    }
}

impl Show for Span {
    fn lines(&self) -> Vec<String> {
        vec![format!("{} machines for {} s", self.machines, self.seconds)]
    }
}

impl Show for FunctionCost {
    fn lines(&self) -> Vec<String> {
        vec![format!("{} a million, {} requests free, {} kept", self.million, self.free_requests, self.kept)]
    }
}

impl Show for ClusterCost {
    fn lines(&self) -> Vec<String> {
        let ClusterCost { fixed, machine, machine_requests, least_machines } = self;
        vec![format!("{fixed} fixed, {machine} a machine for {machine_requests} requests, at least {least_machines}")]
    }
}
