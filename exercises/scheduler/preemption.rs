//! # Preemption: making room
//!
//! No node fits, but there are pods of lower priority. You choose the pods that have to go: as few and as unimportant as possible,
//! with respect for disruption budgets where there is a choice, and on the node where it hurts least.
//!
//! About 35 minutes · builds on `scheduler/resources_fit` · book: "Preemption: making room" · stuck? `cargo grade hint scheduler/preemption`

#[allow(unused_imports)] // Until you need them.
use kit::scheduler::RunningPod;
use kit::scheduler::{Preemption, PreemptionCandidate, PreemptionNode, PreemptionStep};

#[derive(Default)]
struct Exercise;

impl Preemption for Exercise {
    /// Begins with a node. The first question is always whether the pod fits without *all* pods whose priority is lower than
    /// its own; if there are none, the answer is `NoVictims`.
    fn select(&mut self, node: &PreemptionNode) -> PreemptionStep {
        let _ = node;
        todo!("whom could the pod push out, and in which order are they spared?")
    }

    /// Goes on, now that it is known whether the pod fits without the pods that were asked about last.
    ///
    /// If it doesn't fit without all of them, the node can't help: `NoFit`. Else pods are spared one by one: ask whether the pod
    /// still fits if this one stays too. If so it is spared, else it is a victim. First come the pods whose deletion would break a disruption
    /// budget, then the others, and among both the most important pod first: that of the higher priority, then the one that
    /// has run for longer, then the one that is listed first. When each had its turn, the answer is the victims, the most
    /// important first, and how many of them break a budget.
    ///
    /// Which deletions break a budget: go through all pods of lower priority, the most important first. Subtract 1
    /// from each budget that counts the pod. If one of these budgets is below 0 now, this pod breaks it.
    fn checked(&mut self, fits: bool) -> PreemptionStep {
        let _ = fits;
        todo!("spare the pod that was asked about, or not; then the next")
    }

    /// The best of the nodes that can help, by these rules, one after the other until one node is left: the fewest
    /// broken budgets; the lowest priority of its most important victim; the lowest sum of `priority + 2³¹` over its
    /// victims; the fewest victims; the latest start, where the start of a candidate is that of the victim that has
    /// run for longest among its victims of the highest priority; the first by name.
    fn pick(&mut self, candidates: &[PreemptionCandidate]) -> String {
        let _ = candidates;
        todo!("one rule after the other")
    }
}

kit::exercise!(Exercise: Preemption);
