//! In-place resize: whether a node has room for what a running pod now wants, and how its containers get it.
//!
//! Sources: `handlePodResourcesResize` and `canResizePod` of `pkg/kubelet/kubelet.go`, `computePodResizeAction` of
//! `pkg/kubelet/kuberuntime/kuberuntime_manager.go`; the gate `InPlacePodVerticalScaling` is on in 1.33.

use kit_api::core::ContainerResizePolicy;
use kit_api::pod_resources::Resources;
use std::collections::BTreeMap;

/// Why a resize waits: the reason and the message of the condition `PodResizePending`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// The node will never have room.
    Infeasible(String),
    /// It has none now.
    Deferred(String),
}

fn amount(of: &Resources, name: &str) -> i64 {
    of.get(name).map_or(0, |amount| if name == "cpu" { amount.milli_value() } else { amount.value() })
}

/// Whether the node has room for what a pod wants, beside what the other pods hold (`canResizePod`).
///
/// # Errors
///
/// Why the resize waits.
pub fn fits(wanted: &Resources, allocatable: &Resources, others: &Resources) -> Result<(), Pending> {
    // In the other order than below.
    for name in ["memory", "cpu"] {
        let (requested, capacity) = (amount(wanted, name), amount(allocatable, name));
        if requested > capacity {
            let why = format!("{name}, requested: {requested}, capacity: {capacity}");
            return Err(Pending::Infeasible(format!("Node didn't have enough capacity: {why}")));
        }
    }
    for name in ["cpu", "memory"] {
        let (requested, used, capacity) = (amount(wanted, name), amount(others, name), amount(allocatable, name));
        if requested > capacity - used {
            let why = format!("{name}, requested: {requested}, used: {used}, capacity: {capacity}");
            return Err(Pending::Deferred(format!("Node didn't have enough resource: {why}")));
        }
    }
    Ok(())
}

/// A running container with what it has and what it is to have.
#[derive(Debug, Clone)]
pub struct Container<'a> {
    /// Its name.
    pub name: &'a str,
    /// What the runtime was told last: requests and limits.
    pub actuated: [Resources; 2],
    /// What it is to be told.
    pub desired: [Resources; 2],
    /// What a change needs (`resizePolicy`).
    pub policies: &'a [ContainerResizePolicy],
}

/// What is done to get there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resize {
    /// The containers that are changed while they run, by resource, in order: who gets less comes first.
    pub update: BTreeMap<&'static str, Vec<String>>,
    /// Those that are stopped and started again, since their policy asks for it.
    pub restart: Vec<String>,
}

/// How containers get their new resources (`computePodResizeAction`).
pub fn actions(containers: &[Container<'_>]) -> Resize {
    let mut resize = Resize::default();
    for container in containers {
        let change = |name: &'static str, side: usize| {
            let (before, after) = (amount(&container.actuated[side], name), amount(&container.desired[side], name));
            (before != after).then_some(after > before)
        };
        let changes = ["memory", "cpu"].map(|name| (name, [change(name, 0), change(name, 1)]));
        let restarts = |(name, sides): &(&str, [Option<bool>; 2])| {
            let policy = container.policies.iter().find(|policy| policy.resource_name == *name);
            sides.iter().any(Option::is_some)
                && policy.is_some_and(|policy| policy.restart_policy == "RestartContainer")
        };
        if changes.iter().any(restarts) {
            resize.restart.push(container.name.to_owned());
            continue;
        }
        for (name, [request, limit]) in changes {
            // The limit counts where both change.
            let Some(grows) = limit.or(request) else { continue };
            let order = resize.update.entry(name).or_default();
            let place = if grows { order.len() } else { 0 };
            order.insert(place, container.name.to_owned());
        }
    }
    resize
}
