//! # Blue-green and canary: a release without a failed request
//!
//! The next version stands beside the one that serves, and a label in the Service's selector says which of them gets the
//! connections. Changing it is one patch; it takes seconds until all nodes have followed, and open connections don't follow at all. You are the
//! controller that knows what must come before what, forward and back.
//!
//! About 45 minutes · builds on nothing · book: "Blue-green and canary: a release without a failed request" · stuck? `cargo grade hint network/blue_green`
//!
//! Given to you:
//!
//! - `Labels` is a `BTreeMap<String, String>`
//! - `Plan.label: String`, `.replicas: u32`, `.steps: Vec<CanaryStep>`, `.settle_seconds: u32`, `.bake_seconds: u32`, `.drain_seconds: u32`,
//!   `.deadline_seconds: u32`, `.max_errors_percent: u32`; `CanaryStep.percent: u32`, `.pause_seconds: u32`
//! - `Service.selector: Labels`, `.target_port: TargetPort`, `.publish_not_ready_addresses: bool`
//! - `Template.labels: Labels`, `.ports: Vec<String>`, `.readiness_probe: bool`, `.pre_stop_seconds: Option<u32>`, `.grace_seconds: u32`,
//!   `.longest_request_seconds: u32`
//! - `Now.plan`, `.step: usize`, `.rolling_back: bool`, `.age_seconds: u32`, `.service`, `.old: Version`, `.new: Version`, `.published: Share`,
//!   `.quiet_seconds: u32`, `.errors_percent: Option<u32>`
//! - `Version.template`, `.replicas: u32`, `.ready: u32`, `.pods: u32`, `.connections: u32`; `Share.old: u32`, `.new: u32`

use kit::network::Release;
use kit::network::blue_green::{
    Action, CanaryStep, Labels, Now, Plan, Problem, Reason, Service, Share, TargetPort, Template, Version,
};

#[derive(Default)]
struct Exercise;

impl Release for Exercise {
    /// What pods of this template lack for a release without a failed request; in any order.
    ///
    /// - `Labels`: they need `plan.label`, with any value, and each label of the selector but for that one.
    /// - `NamedPort`: `target_port` is a name, and none of the ports has it.
    /// - `NoReadinessProbe`, and `NotReadyPublished` if the Service publishes addresses that aren't ready.
    ///
    /// Only with steps: `StopsTooSoon` if the preStop hook (0 s without one) is shorter than `settle_seconds`; `KilledWhileServing` if the
    /// grace period is shorter than the hook and the longest request together.
    fn problems(&self, plan: &Plan, service: &Service, template: &Template) -> Vec<Problem> {
        let _ = (plan, service, template, None::<(TargetPort, Labels)>);
        todo!("which labels of the selector stay the same during the release?")
    }

    /// How many pods of both versions give the new one at most `percent` (0 to 100) of all connections.
    ///
    /// New: `replicas × percent / 100`, rounded down, but at least one unless `percent` is 0. Old: as few as possible so that there are
    /// at least `replicas` together, and the new ones are at most `percent` of them.
    fn share(&self, replicas: u32, percent: u32) -> Share {
        let _ = (replicas, percent);
        todo!("with 3 replicas and 10 %: how many old pods does one new pod need beside it?")
    }

    /// The next action; none to wait. Where it goes:
    ///
    /// - back (`rolling_back`): `replicas` old pods, no new one, the selector with the old version's value of `plan.label`;
    /// - to a step (there is one with the number `step`): as `share` says, the selector without `plan.label`;
    /// - to the end: no old pod, `replicas` new ones, the selector with the new version's value.
    ///
    /// The first rule that applies decides. *Forward* means: not on the way back.
    ///
    /// 1. Forward, and a template has problems: `Refuse` with the new version's; if it has none, with the old one's.
    /// 2. Forward: `RollBack` with `Errors` if `errors_percent` is more than `max_errors_percent`; with `NotReady` if the selector leads to the
    ///    new version alone and it has no ready pod; with `Deadline` if `age_seconds` has reached `deadline_seconds` and the old version has replicas.
    /// 3. Forward, no steps in the plan, and the selector without the label: select the old version.
    /// 4. Fewer old replicas than there should be: `ScaleOld`.
    /// 5. Fewer old pods ready than there should be: wait.
    /// 6. Forward, and more or fewer new replicas than there should be: `ScaleNew`.
    /// 7. Forward, and more or fewer new pods ready than there should be: wait.
    /// 8. Another selector than it should be: `Select`.
    /// 9. Wait until `published` shows just what is ready and selected, of both versions, and `quiet_seconds` has reached `settle_seconds`.
    /// 10. Forward, and `errors_percent` is none: wait.
    /// 11. More replicas than there should be: scale, old first. To the end and back a version leaves for good: wait until it has no connections or `quiet_seconds` has reached
    ///     `drain_seconds`; to the end also until it has reached `bake_seconds`. (Old pods that are too many on the way back don't wait.)
    /// 12. More or fewer `pods` than there should be: wait.
    /// 13. Back: `RolledBack`. At the end: `Done`. In a step: `NextStep` as soon as `quiet_seconds` has reached `pause_seconds`.
    fn next(&self, now: &Now) -> Option<Action> {
        let _ = (now, None::<(Action, Reason, Version, CanaryStep)>);
        todo!("first the goal: how many old and new pods, and which selector? Then the first thing that is not so yet")
    }
}

kit::exercise!(Exercise: Release);
