//! How budgets, pods and verdicts look to people.

use super::{
    Amount, Budget, Event, EvictionRequest, Expected, Failure, Phase, Pod, Status, SyncRequest, SyncResult,
    UnhealthyPodPolicy, Verdict, Workload,
};
use crate::show::unordered;
use crate::{Show, flow};

impl Show for Amount {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Amount::Pods(pods) => pods.to_string(),
            Amount::Percent(percent) => format!("{percent}%"),
        }]
    }
}

impl Show for Status {
    fn lines(&self) -> Vec<String> {
        let reason = self.condition.map_or("no condition".into(), |reason| format!("{reason:?}"));
        let mut lines = vec![
            format!("status expectedPods {}", self.expected_pods),
            format!("status desiredHealthy {}", self.desired_healthy),
            format!("status currentHealthy {}", self.current_healthy),
            format!("status disruptionsAllowed {} ({reason})", self.disruptions_allowed),
            format!("status observedGeneration {}", self.observed_generation),
        ];
        if self.disrupted_pods.len() > 20 {
            lines.push(format!("status disruptedPods: {} pods", self.disrupted_pods.len()));
        } else {
            let line = |(pod, since): (&String, &i64)| format!("status disruptedPods {} since {since}s", flow(pod));
            lines.extend(self.disrupted_pods.iter().map(line));
        }
        lines
    }
}

impl Show for Budget {
    fn lines(&self) -> Vec<String> {
        let mut parts = vec![format!("{}:", flow(&self.name))];
        let amount = |amount: &Amount| amount.lines().concat();
        parts.extend(self.min_available.as_ref().map(|min| format!("minAvailable {}", amount(min))));
        parts.extend(self.max_unavailable.as_ref().map(|max| format!("maxUnavailable {}", amount(max))));
        parts.extend((self.unhealthy_pods == UnhealthyPodPolicy::AlwaysAllow).then(|| "AlwaysAllow".into()));
        parts.push(format!("generation {}", self.generation));
        let mut lines = vec![parts.join(" ")];
        if self.status != Status::default() {
            lines.extend(self.status.lines());
        }
        lines
    }
}

/// A pod on one line.
fn pod(pod: &Pod) -> String {
    let mut parts = vec![if pod.ready { "ready" } else { "not ready" }.to_string()];
    parts.extend((pod.phase != Phase::Running).then(|| format!("{:?}", pod.phase)));
    parts.extend(pod.deleting.then(|| "being deleted".into()));
    parts.push(pod.controller.as_ref().map_or("no controller".into(), |uid| format!("of {}", flow(uid))));
    parts.join(", ")
}

impl Show for Pod {
    fn lines(&self) -> Vec<String> {
        vec![format!("{}: {}", flow(&self.name), pod(self))]
    }
}

/// Pods in a row that differ in nothing but their names share a line.
fn pods(all: &[Pod]) -> Vec<String> {
    if all.is_empty() {
        return vec!["no pods".into()];
    }
    let alike = all.chunk_by(|one, other| pod(one) == pod(other));
    let line = |alike: &[Pod]| {
        let names: Vec<_> = alike.iter().map(|pod| flow(&pod.name)).collect();
        let names = match names.as_slice() {
            [first, .., last] if names.len() > 3 => format!("{first} … {last} ({} pods)", names.len()),
            names => names.join(", "),
        };
        format!("{names}: {}", pod(&alike[0]))
    };
    alike.map(line).collect()
}

impl Show for Workload {
    fn lines(&self) -> Vec<String> {
        let replicas = self.replicas.map_or("no scale".into(), |replicas| format!("{replicas} replicas"));
        let of = self.deployment.as_ref().map(|uid| format!(", of {}", flow(uid)));
        vec![format!("{} {}: {replicas}{}", flow(&self.kind), flow(&self.uid), of.unwrap_or_default())]
    }
}

impl Show for Expected {
    fn lines(&self) -> Vec<String> {
        let unmanaged = if self.unmanaged { ", some unmanaged" } else { "" };
        vec![format!("{} pods expected, {} of them healthy{unmanaged}", self.pods, self.healthy)]
    }
}

impl Show for Failure {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Failure::NoController { pod } => format!("found no controllers for pod {}", flow(pod)),
            Failure::NoScale { kind } => format!("{} has no scale", flow(kind)),
        }]
    }
}

impl Show for SyncRequest {
    fn lines(&self) -> Vec<String> {
        let mut lines = self.budget.lines();
        lines.extend(pods(&self.pods));
        lines.extend(self.workloads.iter().flat_map(Show::lines));
        lines.push(format!("now {}s", self.now_seconds));
        lines
    }
}

fn event(event: &Event) -> String {
    match event {
        Event::NoPods => "event NoPods".into(),
        Event::UnmanagedPods => "event UnmanagedPods".into(),
        Event::CalculateExpectedPodCountFailed(why) => {
            format!("event CalculateExpectedPodCountFailed: {}", why.lines().concat())
        }
        Event::NotDeleted { pod } => format!("event NotDeleted: {}", flow(pod)),
    }
}

impl Show for SyncResult {
    fn lines(&self) -> Vec<String> {
        let mut lines = self.status.lines();
        let mut events: Vec<_> = self.events.iter().map(event).collect();
        events.sort();
        lines.extend(events);
        lines.extend(self.again_after_seconds.map(|seconds| format!("again after {seconds}s")));
        lines
    }
    fn meaning(&self) -> String {
        format!("{} {} {:?}", self.status.meaning(), unordered(&self.events), self.again_after_seconds)
    }
}

impl Show for EvictionRequest {
    fn lines(&self) -> Vec<String> {
        let mut lines = self.pod.lines();
        if self.budgets.is_empty() {
            lines.push("no budget".into());
        }
        lines.extend(self.budgets.iter().flat_map(Show::lines));
        let dry_run = if self.dry_run { ", dry run" } else { "" };
        lines.push(format!("now {}s{dry_run}", self.now_seconds));
        lines
    }
}

impl Show for Verdict {
    fn lines(&self) -> Vec<String> {
        match self {
            Verdict::Delete => vec!["the pod is deleted".into()],
            Verdict::Charge { status } => {
                [vec!["the pod is deleted, and the budget charged".into()], status.lines()].concat()
            }
            Verdict::Refuse { code, why, retry_after_seconds } => {
                let again = match retry_after_seconds {
                    0 => String::new(),
                    seconds => format!(", again after {seconds}s"),
                };
                vec![format!("refused with {code}: {}{again}", flow(why))]
            }
        }
    }
}
