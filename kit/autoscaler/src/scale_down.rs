//! Which nodes nobody needs, since when, and why the others are needed.
//!
//! Sources: `core/scaledown/planner/planner.go`, `core/scaledown/eligibility`, `core/scaledown/unneeded`,
//! `simulator/cluster.go`.

use crate::cloud::Group;
use crate::drainability::{Drain, drain};
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use kit_api::core::{Node as ApiNode, Pod as ApiPod};
use kit_api::jiff::Timestamp;
use kit_api::policy::PodDisruptionBudget;
use kit_api::{Name, pod};
use kit_scheduler::nodes::Node;
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

/// With this annotation a node is never removed.
pub const DISABLED: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";
/// How long a node whose removal was tried in vain is not looked at (`--unremovable-node-recheck-timeout`).
const RECHECK: Instant = Instant::seconds(300);

/// What is known of nodes from one look to the next.
#[derive(Debug, Default)]
pub struct Planner {
    /// Since when each unneeded node is, and the pods that would have to move.
    unneeded: BTreeMap<String, Unneeded>,
    /// Until when a node counts as needed without a look, and why.
    recheck: BTreeMap<String, (Instant, String)>,
    /// Why each node was needed at the last look.
    needed: BTreeMap<String, String>,
}

/// A node that nobody needs.
#[derive(Debug, Clone)]
pub struct Unneeded {
    /// Since when.
    pub since: Instant,
    /// Namespace and name of the pods that must move.
    pub pods: Vec<(String, String)>,
    /// The larger one of the shares of CPU and memory that are asked for.
    pub utilization: f64,
}

/// What a look is at.
pub struct Look<'a> {
    /// When.
    pub now: Instant,
    /// The calendar time.
    pub time: Timestamp,
    /// The nodes that may be removed, each with its group.
    pub candidates: Vec<(&'a ApiNode, String)>,
    /// Where pods may go.
    pub destinations: Vec<Name>,
    /// The pods on each node.
    pub pods: BTreeMap<&'a str, Vec<&'a ApiPod>>,
    /// All budgets.
    pub budgets: Vec<&'a PodDisruptionBudget>,
}

impl Planner {
    /// Finds out which nodes are unneeded (`categorizeNodes`).
    pub fn look(&mut self, of: Look<'_>, snapshot: &mut Snapshot, settings: &Settings) {
        self.recheck.retain(|_, (until, _)| *until > of.now);
        self.needed.clear();
        let mut unneeded: BTreeMap<String, Unneeded> = BTreeMap::new();
        let mut destinations = of.destinations.clone();
        let mut candidates: Vec<(&str, f64)> = Vec::new();
        for (node, _) in &of.candidates {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            if let Some((_, why)) = self.recheck.get(name) {
                self.needed.insert(name.into(), why.clone());
                continue;
            }
            let utilization = snapshot.node(Name::from(name)).map_or(1.0, utilization);
            if is_disabled(node) {
                self.needed.insert(name.into(), "ScaleDownDisabledAnnotation".into());
            } else if utilization > settings.scale_down_utilization_threshold {
                self.needed
                    .insert(name.into(), format!("NotUnderutilized, {:.0} % are asked for", utilization * 100.0));
            } else {
                candidates.push((name, utilization));
            }
        }
        // Empty nodes first, then those that were unneeded before (`processors/scaledowncandidates`).
        let is_empty = |name: &str| of.pods.get(name).is_none_or(Vec::is_empty);
        candidates.sort_by_key(|(name, _)| (!is_empty(name), !self.unneeded.contains_key(*name)));
        for (name, utilization) in candidates {
            match simulate(name, &of, &destinations, snapshot) {
                Ok(pods) => {
                    destinations.retain(|node| node.as_str() != name);
                    let since = self.unneeded.get(name).map_or(of.now, |known| known.since);
                    unneeded.insert(name.into(), Unneeded { since, pods, utilization });
                }
                Err(why) => {
                    self.recheck.insert(name.into(), (of.now + RECHECK, why.clone()));
                    self.needed.insert(name.into(), why);
                }
            }
        }
        self.unneeded = unneeded;
    }

    /// Forgets how long nodes were unneeded.
    pub fn forget(&mut self, node: &str) {
        self.unneeded.remove(node);
    }

    /// The nodes that are unneeded now.
    pub fn unneeded(&self) -> &BTreeMap<String, Unneeded> {
        &self.unneeded
    }

    /// Why the other nodes were needed at the last look.
    pub fn needed(&self) -> &BTreeMap<String, String> {
        &self.needed
    }

    /// The nodes that have been unneeded for long enough, and are more than their group must have (`NodesToDelete`).
    pub fn removable(
        &self,
        groups: &[Group],
        of: impl Fn(&str) -> Option<String>,
        now: Instant,
        settings: &Settings,
    ) -> Vec<(String, Unneeded)> {
        let mut sizes: BTreeMap<&str, (usize, usize)> =
            groups.iter().map(|group| (group.name.as_str(), (group.target, group.min))).collect();
        let mut all: Vec<_> = self.unneeded.iter().collect();
        all.sort_by_key(|(_, unneeded)| !unneeded.pods.is_empty());
        let is_due = |(name, unneeded): &(&String, &Unneeded)| {
            if unneeded.since + settings.scale_down_unneeded_time >= now {
                return false;
            }
            let group = of(name);
            let Some((size, min)) = group.as_deref().and_then(|group| sizes.get_mut(group)) else { return false };
            if *size <= *min {
                return false;
            }
            *size -= 1;
            true
        };
        all.into_iter().filter(is_due).map(|(name, unneeded)| (name.clone(), unneeded.clone())).collect()
    }
}

/// Whether a node has the annotation that keeps it.
fn is_disabled(node: &ApiNode) -> bool {
    let annotations = node.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(DISABLED)).is_some_and(|value| value == "true")
}

/// The larger one of the shares of CPU and memory that pods ask for (`simulator/utilization/info.go`).
fn utilization(node: &Node) -> f64 {
    let share = |asked: i64, has: i64| if has > 0 { asked as f64 / has as f64 } else { 0.0 };
    let (asked, has) = (&node.resources.requested, &node.resources.allocatable);
    f64::max(share(asked.milli_cpu, has.milli_cpu), share(asked.memory, has.memory))
}

/// Tries to move the pods of a node elsewhere; if that can be done, they are supposed to be there from then on
/// (`SimulateNodeRemoval`).
fn simulate(
    name: &str,
    of: &Look<'_>,
    destinations: &[Name],
    snapshot: &mut Snapshot,
) -> Result<Vec<(String, String)>, String> {
    let mut moving: Vec<&ApiPod> = Vec::new();
    for api in of.pods.get(name).into_iter().flatten() {
        match drain(api, &of.budgets, of.time) {
            Drain::Skip => {}
            Drain::Move => moving.push(api),
            Drain::Blocked(why) => {
                let pod = api.metadata.name.as_deref().unwrap_or_default();
                return Err(format!("BlockedByPod {pod}, {why}"));
            }
        }
    }
    let mark = snapshot.mark();
    let elsewhere: Vec<Name> = destinations.iter().copied().filter(|node| node.as_str() != name).collect();
    let pods: Vec<_> = moving.iter().filter(|api| !pod::is_finished(api)).map(|api| snapshot.pod(api)).collect();
    pods.iter().for_each(|pod| snapshot.take(&pod.key));
    for pod in &pods {
        let Some(node) = snapshot.first_fit(pod, &elsewhere) else {
            snapshot.revert(mark);
            return Err("NoPlaceToMovePods".into());
        };
        snapshot.place(pod, node);
    }
    let named = |api: &&ApiPod| {
        let meta = &api.metadata;
        (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    };
    Ok(moving.iter().map(named).collect())
}
