//! Passes: pods stand in two queues, victims are sorted at the end, and nodes are compared in pairs.

use kit::scheduler::{Preemption, PreemptionCandidate, PreemptionNode, PreemptionStep, RunningPod};
use std::cmp::Ordering;
use std::collections::VecDeque;

#[derive(Default)]
enum Exercise {
    #[default]
    Idle,
    /// Asked about all of them, with those that break a budget first.
    All(VecDeque<Ranked>, VecDeque<Ranked>),
    /// Asked about sparing one.
    One { asked: Ranked, breaking: VecDeque<Ranked>, harmless: VecDeque<Ranked>, victims: Vec<Ranked> },
}

#[derive(Clone)]
struct Ranked {
    rank: usize,
    name: String,
    breaks: bool,
}

fn names<'a>(pods: impl Iterator<Item = &'a Ranked>) -> Vec<String> {
    pods.map(|pod| pod.name.clone()).collect()
}

fn go_on(
    mut breaking: VecDeque<Ranked>,
    mut harmless: VecDeque<Ranked>,
    mut victims: Vec<Ranked>,
) -> (Exercise, PreemptionStep) {
    match breaking.pop_front().or_else(|| harmless.pop_front()) {
        Some(asked) => {
            let step = PreemptionStep::FitsWithout(names(victims.iter().chain(&breaking).chain(&harmless)));
            (Exercise::One { asked, breaking, harmless, victims }, step)
        }
        None => {
            victims.sort_by_key(|pod| pod.rank);
            let violations = victims.iter().map(|pod| i64::from(pod.breaks)).sum();
            (Exercise::Idle, PreemptionStep::Victims { pods: names(victims.iter()), violations })
        }
    }
}

impl Preemption for Exercise {
    fn select(&mut self, node: &PreemptionNode) -> PreemptionStep {
        let mut pods: Vec<&RunningPod> = Vec::new();
        for pod in node.pods.iter().filter(|pod| pod.priority < node.priority) {
            // Insertion behind all that are at least as important.
            let important = |other: &&RunningPod| (other.priority, -other.started) >= (pod.priority, -pod.started);
            let at = pods.partition_point(important);
            pods.insert(at, pod);
        }
        if pods.is_empty() {
            *self = Exercise::Idle;
            return PreemptionStep::NoVictims;
        }
        let mut used = vec![0; node.budgets.len()];
        let (mut breaking, mut harmless) = (VecDeque::new(), VecDeque::new());
        for (rank, pod) in pods.into_iter().enumerate() {
            let mut breaks = false;
            for &budget in &pod.budgets {
                used[budget] += 1;
                breaks = breaks || used[budget] > node.budgets[budget];
            }
            let ranked = Ranked { rank, name: pod.name.clone(), breaks };
            if breaks { breaking.push_back(ranked) } else { harmless.push_back(ranked) }
        }
        let step = PreemptionStep::FitsWithout(names(breaking.iter().chain(&harmless)));
        *self = Exercise::All(breaking, harmless);
        step
    }

    fn checked(&mut self, fits: bool) -> PreemptionStep {
        let (state, step) = match std::mem::take(self) {
            Exercise::All(breaking, harmless) if fits => go_on(breaking, harmless, Vec::new()),
            Exercise::One { asked, breaking, harmless, mut victims } => {
                if !fits {
                    victims.push(asked);
                }
                go_on(breaking, harmless, victims)
            }
            _ => (Exercise::Idle, PreemptionStep::NoFit),
        };
        *self = state;
        step
    }

    fn pick(&mut self, candidates: &[PreemptionCandidate]) -> String {
        let better = |a: &&PreemptionCandidate, b: &&PreemptionCandidate| -> Ordering {
            let sum = |c: &PreemptionCandidate| -> i128 {
                c.victims.iter().map(|pod| i128::from(pod.priority) + 2_147_483_648).sum()
            };
            // The victims come with the most important first.
            let first = |c: &PreemptionCandidate| c.victims.first().map_or((i32::MIN, 0), |pod| (pod.priority, pod.started));
            (a.violations.cmp(&b.violations))
                .then(first(a).0.cmp(&first(b).0))
                .then(sum(a).cmp(&sum(b)))
                .then(a.victims.len().cmp(&b.victims.len()))
                .then(first(b).1.cmp(&first(a).1))
                .then(a.node.cmp(&b.node))
        };
        candidates.iter().min_by(better).map_or(String::new(), |candidate| candidate.node.clone())
    }
}

kit::exercise!(Exercise: Preemption);
