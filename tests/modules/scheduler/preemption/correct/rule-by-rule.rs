//! Passes: each pod remembers whether it is away, and nodes are ruled out one rule after the other.

use kit::scheduler::{Preemption, PreemptionCandidate, PreemptionNode, PreemptionStep, RunningPod};

#[derive(Default)]
struct Exercise {
    /// The most important first.
    pods: Vec<Victim>,
    /// Places in `pods`, in the order in which they are asked about.
    turns: Vec<usize>,
    /// How many had their turn; none before the first answer.
    asked: Option<usize>,
}

struct Victim {
    pod: RunningPod,
    breaks: bool,
    away: bool,
}

fn more_important(a: &RunningPod, b: &RunningPod) -> std::cmp::Ordering {
    b.priority.cmp(&a.priority).then(a.started.cmp(&b.started))
}

impl Exercise {
    fn question(&self) -> PreemptionStep {
        let away = self.pods.iter().filter(|victim| victim.away);
        PreemptionStep::FitsWithout(away.map(|victim| victim.pod.name.clone()).collect())
    }

    fn next(&mut self, turn: usize) -> PreemptionStep {
        self.asked = Some(turn);
        if let Some(&place) = self.turns.get(turn) {
            self.pods[place].away = false;
            return self.question();
        }
        let victims: Vec<&Victim> = self.pods.iter().filter(|victim| victim.away).collect();
        PreemptionStep::Victims {
            pods: victims.iter().map(|victim| victim.pod.name.clone()).collect(),
            violations: victims.iter().filter(|victim| victim.breaks).count() as i64,
        }
    }
}

impl Preemption for Exercise {
    fn select(&mut self, node: &PreemptionNode) -> PreemptionStep {
        let mut pods = node.pods.clone();
        pods.retain(|pod| pod.priority < node.priority);
        pods.sort_by(more_important);
        let mut left = node.budgets.clone();
        self.pods.clear();
        for pod in pods {
            for &budget in &pod.budgets {
                left[budget] -= 1;
            }
            let breaks = pod.budgets.iter().any(|&budget| left[budget] < 0);
            self.pods.push(Victim { pod, breaks, away: true });
        }
        let (mut first, last): (Vec<usize>, Vec<usize>) =
            (0..self.pods.len()).partition(|&place| self.pods[place].breaks);
        first.extend(last);
        self.turns = first;
        self.asked = None;
        if self.pods.is_empty() { PreemptionStep::NoVictims } else { self.question() }
    }

    fn checked(&mut self, fits: bool) -> PreemptionStep {
        match self.asked {
            None if fits => self.next(0),
            None => PreemptionStep::NoFit,
            Some(turn) => {
                if !fits {
                    self.pods[self.turns[turn]].away = true;
                }
                self.next(turn + 1)
            }
        }
    }

    fn pick(&mut self, candidates: &[PreemptionCandidate]) -> String {
        let highest = |candidate: &PreemptionCandidate| {
            candidate.victims.iter().map(|pod| i64::from(pod.priority)).max().unwrap_or(i64::MIN)
        };
        let sum = |candidate: &PreemptionCandidate| {
            candidate.victims.iter().map(|pod| i64::from(pod.priority) + (1 << 31)).sum::<i64>()
        };
        let started = |candidate: &PreemptionCandidate| {
            let top = highest(candidate);
            let top = candidate.victims.iter().filter(|pod| i64::from(pod.priority) == top);
            top.map(|pod| pod.started).min().unwrap_or(0)
        };
        let mut left: Vec<&PreemptionCandidate> = candidates.iter().collect();
        let mut keep_least = |measure: &dyn Fn(&PreemptionCandidate) -> i64| {
            let least = left.iter().map(|candidate| measure(candidate)).min();
            left.retain(|candidate| Some(measure(candidate)) == least);
        };
        keep_least(&|candidate| candidate.violations);
        keep_least(&highest);
        keep_least(&sum);
        keep_least(&|candidate| candidate.victims.len() as i64);
        keep_least(&|candidate| -started(candidate));
        left.iter().map(|candidate| candidate.node.clone()).min().unwrap_or_default()
    }
}

kit::exercise!(Exercise: Preemption);
