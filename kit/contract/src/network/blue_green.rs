//! The controller of a release: it takes a Service from one version of its pods to the next, all at once (blue-green) or in
//! steps (canary), with nothing but labels and numbers of replicas.
//!
//! Nothing in Kubernetes itself does this. What is asked for is what such controllers have in common; Argo Rollouts is the one to
//! compare with (`rollout/bluegreen.go`, `rollout/canary.go`, `utils/replicaset/canary.go` of argoproj/argo-rollouts), where
//! `settle_seconds` and `bake_seconds` are one number, `scaleDownDelaySeconds`.
//!
//! Each version is a Deployment of its own. The kit around the controller watches them, the Service and its EndpointSlices, keeps the
//! step and whether the release goes back in a status, and asks again after each action and each second.

use crate::show::unordered;
use crate::{Show, flow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Labels, or a selector.
pub type Labels = BTreeMap<String, String>;

// ANCHOR: contract
contract! {
    /// Decides the next action of a release.
    pub trait Release {
        /// What pods of this template lack for a release without a failed request; in any order.
        ///
        /// - [`Problem::Labels`]: the selector wouldn't find them. They need the label `plan.label`, with any value, and
        ///   each label of the selector but for that one.
        /// - [`Problem::NamedPort`]: `target_port` is a name, and none of the ports has it. (A number needs no entry among the ports.)
        /// - [`Problem::NoReadinessProbe`]: they would count as ready as soon as their containers run.
        /// - [`Problem::NotReadyPublished`]: the Service publishes addresses that aren't ready.
        ///
        /// With steps, pods are stopped while the Service still leads to them. Then there are two more:
        ///
        /// - [`Problem::StopsTooSoon`]: the preStop hook is shorter than `plan.settle_seconds`; without a hook it is 0 s.
        /// - [`Problem::KilledWhileServing`]: the grace period is shorter than the preStop hook and the longest request together:
        ///   the hook counts, too.
        fn problems(&self, plan: &Plan, service: &Service, template: &Template) -> Vec<Problem>;

        /// How many pods of both versions give the new one at most `percent` of all connections (0 to 100), when the Service leads
        /// to all of them alike.
        ///
        /// The new version gets `replicas × percent / 100`, rounded down, but at least one pod if `percent` isn't 0. The old version
        /// gets as few as possible so that there are at least `replicas` together, and the new ones are at most `percent` of them.
        fn share(&self, replicas: u32, percent: u32) -> Share;

        /// The next action; none if there is something to wait for, or nothing to do.
        ///
        /// Where the release goes:
        ///
        /// | | old pods | new pods | the selector |
        /// |---|---|---|---|
        /// | back, if `rolling_back` | `replicas` | 0 | with `plan.label`, value of the old version |
        /// | to a step, if there is a step number `step`, counted from 0 | as `share` says | as `share` says | without `plan.label` |
        /// | to the end | 0 | `replicas` | with `plan.label`, value of the new version |
        ///
        /// The value of a version is the one that its template has. All other labels of the selector stay as they are.
        ///
        /// The first rule that applies decides:
        ///
        /// 1. Not on the way back, and a template has problems: [`Action::Refuse`] with those of the new version; if it has none, with those
        ///    of the old one.
        /// 2. Not on the way back: [`Action::RollBack`] for the first of these reasons. `errors_percent` is more than
        ///    `max_errors_percent`. The selector leads to the new version alone, and none of its pods is ready. `age_seconds` has
        ///    reached `deadline_seconds`, and the old version still has replicas.
        /// 3. The plan has no steps, the release isn't on the way back, and the selector is without the label: select the old version, so
        ///    that pods of the new one get no request as soon as they are ready.
        /// 4. The old version has fewer replicas than it should: scale it.
        /// 5. It has fewer ready pods than it should: wait.
        /// 6. Not on the way back, and the new version has more or fewer replicas than it should: scale it.
        /// 7. Not on the way back, and it has more or fewer ready pods than it should: wait.
        /// 8. The selector isn't as it should be: select.
        /// 9. Wait until the EndpointSlices show just what is ready and selected, of both versions, and haven't changed for
        ///    `settle_seconds`: then all nodes have followed. What comes next takes away.
        /// 10. Not on the way back, and nothing was measured (`errors_percent` is none): wait.
        /// 11. A version has more replicas than it should: scale it, the old version first. On the way to the end and on the way back it leaves for good.
        ///     Wait then until it has no connections any more, or the EndpointSlices haven't changed for
        ///     `drain_seconds`; on the way to the end also until they haven't changed for `bake_seconds`. (On the way back
        ///     more old pods than `replicas` don't leave for good. They needn't wait.)
        /// 12. A version has more or fewer pods than it should: wait.
        /// 13. Back: [`Action::RolledBack`]. At the end: [`Action::Done`]. In a step: [`Action::NextStep`] as soon as the EndpointSlices haven't changed for its
        ///     `pause_seconds`, and wait until then.
        fn next(&self, now: &Now) -> Option<Action>;
    }
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The key of the label that tells the versions apart.
    pub label: String,
    /// How many pods serve.
    pub replicas: u32,
    /// The steps of a canary release; none: blue-green.
    #[serde(default)]
    pub steps: Vec<CanaryStep>,
    /// How long after a change of the EndpointSlices a node may still send connections as before.
    pub settle_seconds: u32,
    /// How long the old version is kept at the end, so that going back is quick.
    #[serde(default)]
    pub bake_seconds: u32,
    /// How long open connections of a version that leaves are waited for at most.
    #[serde(default)]
    pub drain_seconds: u32,
    /// How old the release may become.
    pub deadline_seconds: u32,
    /// How many of a hundred requests to the new version may fail.
    pub max_errors_percent: u32,
}

/// One step of a canary release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryStep {
    /// The new version's share of all connections, at most; from 1 to 99.
    pub percent: u32,
    /// How long to look at it.
    pub pause_seconds: u32,
}

/// The Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// `spec.selector`
    pub selector: Labels,
    /// `targetPort` of its port.
    pub target_port: TargetPort,
    /// `spec.publishNotReadyAddresses`
    #[serde(default)]
    pub publish_not_ready_addresses: bool,
}

/// A port of pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TargetPort {
    /// By number.
    Number(u16),
    /// By the name of a container's port.
    Name(String),
}

/// The pod template of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// `metadata.labels`
    pub labels: Labels,
    /// The names of the containers' ports.
    #[serde(default)]
    pub ports: Vec<String>,
    /// Whether each container has a readiness probe.
    pub readiness_probe: bool,
    /// How long the preStop hook sleeps; none without a hook.
    #[serde(default)]
    pub pre_stop_seconds: Option<u32>,
    /// `spec.terminationGracePeriodSeconds`
    pub grace_seconds: u32,
    /// How long its longest request takes, as measured.
    pub longest_request_seconds: u32,
}

/// What pods lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Problem {
    /// A label that the selector asks for, or the one that tells the versions apart.
    Labels,
    /// The port that the Service names.
    NamedPort,
    /// A readiness probe.
    NoReadinessProbe,
    /// A Service that leads to ready pods only.
    NotReadyPublished,
    /// Time between their deletion and the end of their process.
    StopsTooSoon,
    /// Time for the requests that they have when they are deleted.
    KilledWhileServing,
}

/// Pods of both versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Of the old one.
    pub old: u32,
    /// Of the new one.
    pub new: u32,
}

/// What is there now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Now {
    /// What was asked for.
    pub plan: Plan,
    /// How many steps are behind it, by [`Action::NextStep`].
    #[serde(default)]
    pub step: usize,
    /// Whether it goes back, by [`Action::RollBack`] or because somebody said so.
    #[serde(default)]
    pub rolling_back: bool,
    /// How old the release is.
    #[serde(default)]
    pub age_seconds: u32,
    /// The Service. Its selector is without `plan.label`, or has the value of one of both versions there.
    pub service: Service,
    /// The version that served before.
    pub old: Version,
    /// The version that shall serve.
    pub new: Version,
    /// How many ready endpoints of each version the EndpointSlices of the Service show.
    pub published: Share,
    /// How long ago the EndpointSlices last changed.
    pub quiet_seconds: u32,
    /// How many of a hundred requests to the new version failed lately; none if there were no requests to it.
    #[serde(default)]
    pub errors_percent: Option<u32>,
}

/// One version: its Deployment, its pods, and what a metric says of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// `spec.template`
    pub template: Template,
    /// `spec.replicas`
    pub replicas: u32,
    /// `status.readyReplicas`
    pub ready: u32,
    /// How many pods are there, ready or not, those that are being stopped among them.
    pub pods: u32,
    /// Connections that are open to its pods.
    #[serde(default)]
    pub connections: u32,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Ends the release before it has begun.
    Refuse(Vec<Problem>),
    /// Sets `spec.replicas` of the old version.
    ScaleOld(u32),
    /// Sets `spec.replicas` of the new version.
    ScaleNew(u32),
    /// Sets `spec.selector` of the Service, as a whole.
    Select(Labels),
    /// Notes that a step is over: `step` is one more from now on.
    NextStep,
    /// Notes that the release goes back from now on, and why.
    RollBack(Reason),
    /// Ends the release: the old version serves alone again.
    RolledBack,
    /// Ends the release: the new version serves alone.
    Done,
}

/// Why a release goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Too many requests to the new version failed.
    Errors,
    /// Nobody serves.
    NotReady,
    /// It took too long.
    Deadline,
}
// ANCHOR_END: contract

fn problems_line(problems: &[Problem]) -> String {
    let mut problems = problems.to_vec();
    problems.sort();
    let words: Vec<String> = problems.iter().map(|problem| format!("{problem:?}")).collect();
    if words.is_empty() { "no problem".into() } else { words.join(", ") }
}

/// Labels as `kubectl` writes them.
fn labels_line(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{}={}", flow(key), flow(value))).collect();
    if pairs.is_empty() { "nothing".into() } else { pairs.join(",") }
}

impl Show for Problem {
    fn lines(&self) -> Vec<String> {
        vec![format!("{self:?}")]
    }
    fn meaning_of_list(list: &[Problem]) -> String {
        unordered(list)
    }
}

impl Show for Share {
    fn lines(&self) -> Vec<String> {
        vec![format!("{} old, {} new", self.old, self.new)]
    }
}

impl Show for Action {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Action::Refuse(problems) => format!("refuse: {}", problems_line(problems)),
            Action::ScaleOld(replicas) => format!("scale the old version to {replicas}"),
            Action::ScaleNew(replicas) => format!("scale the new version to {replicas}"),
            Action::Select(selector) => format!("select {}", labels_line(selector)),
            Action::NextStep => "the step is over".into(),
            Action::RollBack(reason) => format!("roll back: {}", flow(reason).replace('_', " ")),
            Action::RolledBack => "rolled back".into(),
            Action::Done => "done".into(),
        }]
    }
    fn meaning(&self) -> String {
        match self {
            Action::Refuse(problems) => format!("refuse {}", unordered(problems)),
            other => serde_json::to_string(other).unwrap_or_default(),
        }
    }
}

impl Show for Plan {
    fn lines(&self) -> Vec<String> {
        let Plan { label, replicas, settle_seconds, bake_seconds, drain_seconds, .. } = self;
        let step = |step: &CanaryStep| format!("{} % for {} s", step.percent, step.pause_seconds);
        let steps: Vec<String> = self.steps.iter().map(step).collect();
        let way = if steps.is_empty() { "blue-green".into() } else { format!("canary: {}", steps.join(", ")) };
        vec![format!(
            "{replicas} replicas by label {}, {way}; settle {settle_seconds} s, bake {bake_seconds} s, drain {drain_seconds} s, \
             deadline {} s, errors at most {} %",
            flow(label),
            self.deadline_seconds,
            self.max_errors_percent
        )]
    }
}

impl Show for Service {
    fn lines(&self) -> Vec<String> {
        let not_ready = if self.publish_not_ready_addresses { ", publishes what isn't ready" } else { "" };
        vec![format!("{} → port {}{not_ready}", labels_line(&self.selector), flow(&self.target_port))]
    }
}

impl Show for Template {
    fn lines(&self) -> Vec<String> {
        let probe = if self.readiness_probe { "" } else { "no " };
        let pre_stop = self.pre_stop_seconds.map_or("none".into(), |seconds| format!("{seconds} s"));
        vec![format!(
            "{}; ports {}; {probe}readiness probe; preStop {pre_stop}, grace {} s, longest request {} s",
            labels_line(&self.labels),
            flow(&self.ports),
            self.grace_seconds,
            self.longest_request_seconds
        )]
    }
}

impl Version {
    fn line(&self) -> String {
        let Version { replicas, ready, pods, connections, .. } = self;
        format!("{replicas} replicas, {pods} pods, {ready} ready, {connections} connections")
    }
}

impl Show for Now {
    fn lines(&self) -> Vec<String> {
        let back = if self.rolling_back { ", rolling back" } else { "" };
        let errors = self.errors_percent.map_or("not measured".into(), |percent| format!("{percent} %"));
        let mut lines = self.plan.lines();
        lines.push(format!("after {} s, {} steps behind it{back}; errors {errors}", self.age_seconds, self.step));
        lines.extend(self.service.lines().into_iter().map(|line| format!("service {line}")));
        for (name, version) in [("old", &self.old), ("new", &self.new)] {
            lines.push(format!("{name}: {}", version.line()));
            lines.extend(version.template.lines().into_iter().map(|line| format!("  {line}")));
        }
        lines.push(format!("published for {} s: {}", self.quiet_seconds, self.published.lines().concat()));
        lines
    }
}
