//! A step of a rolling update: which pods of old revisions go now, and which new ones may stand beside old ones.
//!
//! Source: `rollingUpdate` of `pkg/controller/daemon/update.go`.

use super::pods::{self, by_node};
use super::sync::{Plan, Sync};
use kit_api::core::Pod;
use kit_api::pod;
use kit_apimachinery::object::About;
use kit_server::Error;
use std::collections::BTreeMap;

/// The pods of one node that aren't going.
struct Pair<'p> {
    new: Option<&'p Pod>,
    old: Option<&'p Pod>,
}

/// The pods of a node; none if there are several of a kind, and placement has to tidy up first (`findUpdatedPodsOnNode`).
fn pair<'p>(there: &[&'p Pod], hash: &str) -> Option<Pair<'p>> {
    let mut pair = Pair { new: None, old: None };
    for pod in there.iter().copied().filter(|pod| !pod::is_terminating(pod)) {
        let place = if pods::is_updated(pod, hash) { &mut pair.new } else { &mut pair.old };
        if place.replace(pod).is_some() {
            return None;
        }
    }
    Some(pair)
}

impl Sync<'_, '_> {
    /// Takes the next step.
    pub(super) fn roll(&mut self, pods: &[&Pod], hash: &str) -> Result<(), Error> {
        let mut by_node = by_node(pods.iter().copied());
        let mut desired = 0;
        for node in self.seen.nodes.iter().filter(|node| self.wants(node).should_run) {
            desired += 1;
            by_node.entry(About::from(*node).name()).or_default();
        }
        let (surge, unavailable) = self.limits(desired)?;
        let plan = match surge {
            // The API lets nobody set both to 0; whoever did would wait for ever.
            0 => self.replace(&by_node, unavailable.max(1), hash),
            _ => self.surge(&by_node, (surge, desired), hash)?,
        };
        self.change_pods(&plan, hash)
    }

    /// Deletes as many old pods as may be missing, and those that are of no use now; placement makes the new ones.
    fn replace<'p>(&self, by_node: &BTreeMap<&'p str, Vec<&'p Pod>>, most: i32, hash: &str) -> Plan<'p> {
        let (mut missing, mut useless, mut candidates) = (0, Vec::new(), Vec::new());
        for there in by_node.values() {
            match pair(there, hash) {
                Some(Pair { new: Some(new), old: None }) => missing += i32::from(!self.is_available(new)),
                Some(Pair { new: None, old: Some(old) }) if !self.is_available(old) => {
                    useless.push(old);
                    missing += 1;
                }
                Some(Pair { new: None, old: Some(old) }) => candidates.extend((missing < most).then_some(old)),
                _ => missing += 1,
            }
        }
        let free = (most - missing).max(0) as usize;
        let delete = useless.into_iter().chain(candidates.into_iter().take(free)).collect();
        Plan { create: Vec::new(), delete }
    }

    /// Creates new pods beside old ones, and deletes old ones whose successor is available. On nodes that should have none
    /// any more, a pod goes when there are enough elsewhere.
    fn surge<'p>(
        &self,
        by_node: &BTreeMap<&'p str, Vec<&'p Pod>>,
        (most, desired): (i32, i32),
        hash: &str,
    ) -> Result<Plan<'p>, Error> {
        let mut plan = Plan::default();
        let (mut surging, mut available) = (0, 0);
        let (mut candidates, mut misplaced) = (Vec::new(), Vec::new());
        for (node, there) in by_node {
            let Some(Pair { new, old }) = pair(there, hash) else {
                surging += 1;
                continue;
            };
            available += i32::from(old.or(new).is_some_and(|pod| self.is_available(pod)));
            match (new, old) {
                (_, None) => {}
                (Some(new), Some(old)) if self.is_available(new) => plan.delete.push(old),
                (Some(_), Some(_)) => surging += 1,
                (None, Some(old)) => {
                    let why =
                        || Error::internal(format!("couldn't get node for nodeName {node:?}: node {node:?} not found"));
                    let should_run = self.wants(self.node(node).ok_or_else(why)?).should_run;
                    match (self.is_available(old), should_run) {
                        (false, false) => plan.delete.push(old),
                        (false, true) => plan.create.push(*node),
                        (true, false) => misplaced.push(old),
                        (true, true) => candidates.extend((surging < most).then_some(*node)),
                    }
                }
            }
        }
        plan.delete.extend(misplaced.into_iter().take((available - desired).max(0) as usize));
        plan.create.extend(candidates.into_iter().take((most - surging).max(0) as usize));
        Ok(plan)
    }
}
