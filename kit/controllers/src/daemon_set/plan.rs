//! What one look decides, and what is done about it.
//!
//! The module of `workloads/daemon_set` is asked. Source: `manage` and `podsShouldBeOnNode` of
//! `pkg/controller/daemon/daemon_controller.go`, and `rollingUpdate` of `update.go`.

use super::pods::{self, by_node};
use super::sync::{Plan, Sync};
use kit_api::core::Pod;
use kit_api::int_or_percent::IntOrString;
use kit_api::{daemon_set, pod};
use kit_apimachinery::object::About;
use kit_contract::workloads::daemon_set::{
    Node, Phase, PodView, Readiness, Status, SyncRequest, SyncResult, UpdateStrategy, Wants,
};
use kit_server::Error;
use std::collections::{BTreeMap, BTreeSet};

/// What the module says, and of what.
pub(super) struct Decision {
    request: SyncRequest,
    create: Vec<String>,
    delete: Vec<String>,
    pub status: Status,
}

impl Sync<'_, '_> {
    /// Asks the module.
    pub(super) fn decide(&self, pods: &[&Pod], hash: &str) -> Result<Decision, Error> {
        let update = self.strategy()?;
        let nodes = self.nodes();
        let pods = pods.iter().filter_map(|pod| self.view(pod, hash)).collect();
        let request = SyncRequest { update, nodes, pods, expected: self.memory.waits };
        let SyncResult { create, delete, status } = self.seen.module.sync(&request);
        Ok(Decision { request, create, delete, status })
    }

    fn strategy(&self) -> Result<UpdateStrategy, Error> {
        let strategy = self.spec.update_strategy.as_ref().filter(|_| self.is_rolling());
        if strategy.is_none() {
            return Ok(UpdateStrategy::OnDelete);
        }
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.clone()).unwrap_or_default();
        let or_zero = |value: Option<IntOrString>| value.unwrap_or(IntOrString::Int(0));
        let (max_unavailable, max_surge) = (or_zero(rolling.max_unavailable), or_zero(rolling.max_surge));
        daemon_set::unavailable_count(&max_unavailable, 1)
            .map_err(|why| Error::internal(format!("invalid value for MaxUnavailable: {why}")))?;
        daemon_set::surge_count(&max_surge, 1)
            .map_err(|why| Error::internal(format!("invalid value for MaxSurge: {why}")))?;
        Ok(UpdateStrategy::RollingUpdate { max_unavailable, max_surge })
    }

    fn nodes(&self) -> Vec<Node> {
        let template = pods::template_view(&self.template);
        let node = |node: &&kit_api::core::Node| {
            let name = About::from(*node).name();
            let Wants { should_run, may_stay } =
                self.seen.module.wants(&template, &pods::node_view(&self.template, node));
            let backing_off = self.memory.backoff.waits(self.observed(), name, self.now()).is_some();
            Node { name: name.into(), wants: Wants { should_run, may_stay }, backing_off }
        };
        self.seen.nodes.iter().map(node).collect()
    }

    fn observed(&self) -> i64 {
        self.set.status.as_ref().and_then(|status| status.observed_generation).unwrap_or(0)
    }

    fn view(&self, pod: &Pod, hash: &str) -> Option<PodView> {
        let phase = match pod::phase(pod) {
            "Failed" => Phase::Failed,
            "Succeeded" => Phase::Succeeded,
            "Running" => Phase::Running,
            _ => Phase::Pending,
        };
        let readiness = match (pod::is_available(pod, self.min_ready_seconds(), self.now()), pod::is_ready(pod)) {
            (true, _) => Readiness::Available,
            (false, true) => Readiness::Ready,
            (false, false) => Readiness::NotReady,
        };
        Some(PodView {
            name: About::from(pod).name().into(),
            node: pods::target_node(pod)?.into(),
            bound: pod::node_name(pod).is_some(),
            created: pod.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
            updated: pods::is_updated(pod, hash),
            phase,
            readiness,
            terminating: pod::is_terminating(pod),
        })
    }

    /// Does what was decided.
    pub(super) fn carry_out(&mut self, decision: &Decision, pods: &[&Pod], hash: &str) -> Result<(), Error> {
        let doomed: BTreeSet<&str> = decision.delete.iter().map(String::as_str).collect();
        self.tell_of_ends(decision, pods, &doomed);
        let by_name: BTreeMap<&str, &Pod> = pods.iter().map(|pod| (About::from(*pod).name(), *pod)).collect();
        // A module may name pods and nodes that don't exist.
        let known: BTreeSet<&str> = self.seen.nodes.iter().map(|node| About::from(*node).name()).collect();
        let create: BTreeSet<&str> = decision.create.iter().map(String::as_str).collect();
        let plan = Plan {
            create: create.into_iter().filter(|node| known.contains(node)).collect(),
            delete: doomed.iter().filter_map(|name| by_name.get(name)).copied().collect(),
        };
        if plan.create.is_empty()
            && plan.delete.is_empty()
            && let Some(node) = self.lost(decision, &known)
        {
            return Err(Error::internal(format!("couldn't get node for nodeName {node:?}: node {node:?} not found")));
        }
        self.change_pods(&plan, hash)
    }

    /// What upstream's update with a surge stumbles over: a node that isn't there, and whose old pod is alone.
    fn lost<'d>(&self, decision: &'d Decision, known: &BTreeSet<&str>) -> Option<&'d str> {
        let UpdateStrategy::RollingUpdate { max_surge, .. } = &decision.request.update else { return None };
        if daemon_set::surge_count(max_surge, 1).unwrap_or(0) == 0 {
            return None;
        }
        let mut alive: BTreeMap<&str, Vec<&PodView>> = BTreeMap::new();
        for pod in decision.request.pods.iter().filter(|pod| !pod.terminating && !known.contains(pod.node.as_str())) {
            alive.entry(&pod.node).or_default().push(pod);
        }
        alive.into_iter().find(|(_, pods)| matches!(pods[..], [pod] if !pod.updated)).map(|(node, _)| node)
    }

    /// Tells of pods that have ended and are deleted, and keeps the waits of those that failed.
    fn tell_of_ends(&mut self, decision: &Decision, pods: &[&Pod], doomed: &BTreeSet<&str>) {
        let by_node = by_node(pods.iter().copied());
        for node in decision.request.nodes.iter().filter(|node| node.wants.may_stay) {
            let there = by_node.get(node.name.as_str()).into_iter().flatten();
            for pod in there.filter(|pod| !pod::is_terminating(pod)) {
                let is_doomed = doomed.contains(About::from(*pod).name());
                match pod::phase(pod) {
                    "Failed" => self.failed(pod, &node.name, is_doomed),
                    "Succeeded" if is_doomed => self.tell_end(pod, &node.name, ("Normal", "Succeeded", "delete")),
                    _ => {}
                }
            }
        }
    }

    /// On each node failed pods wait longer after each failure.
    fn failed(&mut self, pod: &Pod, node: &str, is_doomed: bool) {
        let (generation, now) = (self.observed(), self.now());
        if let Some(wait) = self.memory.backoff.waits(generation, node, now) {
            // The whole wait, not what is left of it.
            self.again.push(wait);
        } else if is_doomed {
            self.memory.backoff.begin(generation, node, now);
            self.tell_end(pod, node, ("Warning", "Failed", "kill"));
        }
    }

    fn tell_end(&mut self, pod: &Pod, node: &str, (kind, end, verb): (&str, &str, &str)) {
        let (namespace, name) = (About::from(pod).namespace(), About::from(pod).name());
        let what = end.to_lowercase();
        let message = format!("Found {what} daemon pod {namespace}/{name} on node {node}, will try to {verb} it");
        self.world.server.record(self.set, kind, &format!("{end}DaemonPod"), &message);
    }
}
