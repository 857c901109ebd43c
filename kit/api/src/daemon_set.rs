//! Where a DaemonSet's pods run, and how many of them an update may touch.
//!
//! Source: `pkg/controller/daemon/daemon_controller.go` and `pkg/controller/daemon/util/daemonset_util.go`.

use crate::core::{Node, PodSpec, Taint, Toleration};
use crate::int_or_percent::{IntOrString, Round, scaled};
use crate::node_selector;
use crate::toleration::tolerates;

/// What a DaemonSet wants of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShouldRun {
    /// A pod should be there.
    pub should_run: bool,
    /// A pod that is there may stay.
    pub should_continue_running: bool,
}

/// Whether a pod of this template belongs on the node (`NodeShouldRunDaemonPod`).
pub fn should_run(template: &PodSpec, node: &Node) -> ShouldRun {
    let no = ShouldRun { should_run: false, should_continue_running: false };
    let wanted = template.node_name.as_deref().unwrap_or_default();
    if !wanted.is_empty() && node.metadata.name.as_deref() != Some(wanted) || !node_selector::allows(template, node) {
        return no;
    }
    let tolerations = tolerations(template);
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let refused = |effects: &[&str]| {
        let counts = |taint: &&Taint| effects.contains(&taint.effect.as_str());
        taints.iter().filter(counts).any(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
    };
    ShouldRun {
        should_run: !refused(&["NoSchedule", "NoExecute"]),
        // A taint without NoExecute keeps new pods away, but drives none out.
        should_continue_running: !refused(&["NoExecute"]),
    }
}

/// The template's tolerations, and those that the controller adds to every pod (`AddOrUpdateDaemonPodTolerations`).
pub fn tolerations(template: &PodSpec) -> Vec<Toleration> {
    let mut tolerations = template.tolerations.clone().unwrap_or_default();
    let network = ("node.kubernetes.io/network-unavailable", "NoSchedule");
    let always = [
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ];
    let host_network = template.host_network == Some(true);
    for (key, effect) in always.into_iter().chain(host_network.then_some(network)) {
        let added = Toleration {
            key: Some(key.into()),
            operator: Some("Exists".into()),
            effect: Some(effect.into()),
            ..Toleration::default()
        };
        // One that differs only in its seconds is replaced.
        let same = |t: &Toleration| Toleration { toleration_seconds: None, ..t.clone() } == added;
        match tolerations.iter_mut().find(|t| same(t)) {
            Some(there) => *there = added,
            None => tolerations.push(added),
        }
    }
    tolerations
}

/// `maxUnavailable` for so many nodes, rounded up (`UnavailableCount`).
///
/// # Errors
///
/// That of [`scaled`].
pub fn unavailable_count(max_unavailable: &IntOrString, nodes: i32) -> Result<i32, String> {
    scaled(max_unavailable, nodes, Round::Up)
}

/// `maxSurge` for so many nodes, rounded up (`SurgeCount`).
///
/// # Errors
///
/// That of [`scaled`].
pub fn surge_count(max_surge: &IntOrString, nodes: i32) -> Result<i32, String> {
    scaled(max_surge, nodes, Round::Up)
}
