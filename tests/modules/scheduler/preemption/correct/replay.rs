//! Passes: it keeps the node and all answers, and works the next question out from the beginning each time.

use kit::scheduler::{Preemption, PreemptionCandidate, PreemptionNode, PreemptionStep, RunningPod};
use std::cmp::Ordering;

#[derive(Default)]
struct Exercise {
    node: Option<PreemptionNode>,
    answers: Vec<bool>,
}

fn by_importance(a: &RunningPod, b: &RunningPod) -> Ordering {
    b.priority.cmp(&a.priority).then(a.started.cmp(&b.started))
}

/// The pods of lower priority, the most important first, and whether each breaks a budget.
fn lower(node: &PreemptionNode) -> Vec<(&RunningPod, bool)> {
    let mut pods: Vec<&RunningPod> = node.pods.iter().filter(|pod| pod.priority < node.priority).collect();
    pods.sort_by(|a, b| by_importance(a, b));
    let broken = |at: usize| {
        pods[at].budgets.iter().any(|budget| {
            let taken = pods[..=at].iter().filter(|pod| pod.budgets.contains(budget)).count() as i64;
            taken > node.budgets[*budget]
        })
    };
    (0..pods.len()).map(|at| (pods[at], broken(at))).collect()
}

impl Exercise {
    fn next(&self) -> PreemptionStep {
        let Some(node) = &self.node else { return PreemptionStep::NoVictims };
        let all = lower(node);
        if all.is_empty() {
            return PreemptionStep::NoVictims;
        }
        let mut turns: Vec<usize> = (0..all.len()).collect();
        turns.sort_by_key(|at| !all[*at].1);
        let mut away = vec![true; all.len()];
        let names = |away: &[bool]| {
            let gone = all.iter().zip(away).filter(|(_, away)| **away);
            gone.map(|((pod, _), _)| pod.name.clone()).collect::<Vec<String>>()
        };
        let mut answers = self.answers.iter();
        match answers.next() {
            None => return PreemptionStep::FitsWithout(names(&away)),
            Some(false) => return PreemptionStep::NoFit,
            Some(true) => {}
        }
        for at in turns {
            away[at] = false;
            match answers.next() {
                None => return PreemptionStep::FitsWithout(names(&away)),
                Some(fits) => away[at] = !fits,
            }
        }
        let violations = all.iter().zip(&away).filter(|((_, breaks), away)| *breaks && **away).count() as i64;
        PreemptionStep::Victims { pods: names(&away), violations }
    }
}

impl Preemption for Exercise {
    fn select(&mut self, node: &PreemptionNode) -> PreemptionStep {
        *self = Exercise { node: Some(node.clone()), answers: Vec::new() };
        self.next()
    }

    fn checked(&mut self, fits: bool) -> PreemptionStep {
        self.answers.push(fits);
        self.next()
    }

    fn pick(&mut self, candidates: &[PreemptionCandidate]) -> String {
        let better = |a: &&PreemptionCandidate, b: &&PreemptionCandidate| {
            let first = |of: &PreemptionCandidate| of.victims.iter().map(|pod| pod.priority).max();
            let sum = |of: &PreemptionCandidate| -> i128 {
                of.victims.iter().map(|pod| i128::from(pod.priority) + (1_i128 << 31)).sum()
            };
            let longest = |of: &PreemptionCandidate| {
                let mut victims: Vec<&RunningPod> = of.victims.iter().collect();
                victims.sort_by(|a, b| by_importance(a, b));
                victims.first().map(|pod| pod.started)
            };
            a.violations
                .cmp(&b.violations)
                .then_with(|| first(a).cmp(&first(b)))
                .then_with(|| sum(a).cmp(&sum(b)))
                .then_with(|| a.victims.len().cmp(&b.victims.len()))
                .then_with(|| longest(b).cmp(&longest(a)))
                .then_with(|| a.node.cmp(&b.node))
        };
        let best = candidates.iter().min_by(better);
        best.map(|best| best.node.clone()).unwrap_or_default()
    }
}

kit::exercise!(Exercise: Preemption);
