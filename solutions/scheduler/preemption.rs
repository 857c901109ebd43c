//! The reference for `scheduler/preemption`.
//!
//! The names follow `pkg/scheduler/framework/plugins/defaultpreemption/default_preemption.go` and
//! `pkg/scheduler/framework/preemption/preemption.go`.

// ANCHOR: solution
use kit::scheduler::{Preemption, PreemptionCandidate, PreemptionNode, PreemptionStep, RunningPod};
use std::cmp::Reverse;

/// The choices of the DefaultPreemption plugin.
#[derive(Default)]
pub struct Exercise {
    /// The pods of lower priority, the most important first, each with whether it breaks a budget.
    lower: Vec<(RunningPod, bool)>,
    /// Those that are still away, as places in `lower`.
    away: Vec<usize>,
    /// Those whose turn is still to come, the next one last.
    to_spare: Vec<usize>,
    /// The one that was asked about last; none when all of them were.
    asked: Option<usize>,
}

impl Preemption for Exercise {
    // ANCHOR: select
    fn select(&mut self, node: &PreemptionNode) -> PreemptionStep {
        let mut lower: Vec<RunningPod> = node.pods.iter().filter(|pod| pod.priority < node.priority).cloned().collect();
        if lower.is_empty() {
            return PreemptionStep::NoVictims;
        }
        lower.sort_by_key(importance);
        let mut budgets = node.budgets.clone();
        let breaks = |pod: &RunningPod| {
            let mut breaks = false;
            for &budget in &pod.budgets {
                budgets[budget] -= 1;
                breaks |= budgets[budget] < 0;
            }
            breaks
        };
        let breaks: Vec<bool> = lower.iter().map(breaks).collect();
        self.lower = lower.into_iter().zip(breaks).collect();
        self.away = (0..self.lower.len()).collect();
        let (first, then): (Vec<usize>, Vec<usize>) = self.away.iter().partition(|&&i| self.lower[i].1);
        self.to_spare = first.into_iter().chain(then).rev().collect();
        self.asked = None;
        self.without(&self.away)
    }
    // ANCHOR_END: select

    // ANCHOR: checked
    fn checked(&mut self, fits: bool) -> PreemptionStep {
        match self.asked {
            None if !fits => return PreemptionStep::NoFit,
            Some(spared) if fits => self.away.retain(|&i| i != spared),
            _ => {}
        }
        self.asked = self.to_spare.pop();
        match self.asked {
            Some(next) => self.without(&self.away.iter().copied().filter(|&i| i != next).collect::<Vec<_>>()),
            None => PreemptionStep::Victims {
                pods: self.away.iter().map(|&i| self.lower[i].0.name.clone()).collect(),
                violations: self.away.iter().filter(|&&i| self.lower[i].1).count() as i64,
            },
        }
    }
    // ANCHOR_END: checked

    // ANCHOR: pick
    fn pick(&mut self, candidates: &[PreemptionCandidate]) -> String {
        let rank = |candidate: &&PreemptionCandidate| {
            let victims = &candidate.victims;
            let highest = victims.iter().map(|pod| pod.priority).max();
            let sum: i64 = victims.iter().map(|pod| i64::from(pod.priority) + (1 << 31)).sum();
            let earliest = victims.iter().filter(|pod| Some(pod.priority) == highest).map(|pod| pod.started).min();
            (candidate.violations, highest, sum, victims.len(), Reverse(earliest), candidate.node.clone())
        };
        candidates.iter().min_by_key(rank).map(|candidate| candidate.node.clone()).unwrap_or_default()
    }
    // ANCHOR_END: pick
}

/// The most important first; a stable sort keeps the order of equals.
fn importance(pod: &RunningPod) -> (Reverse<i32>, i64) {
    (Reverse(pod.priority), pod.started)
}

impl Exercise {
    fn without(&self, away: &[usize]) -> PreemptionStep {
        PreemptionStep::FitsWithout(away.iter().map(|&i| self.lower[i].0.name.clone()).collect())
    }
}
// ANCHOR_END: solution
