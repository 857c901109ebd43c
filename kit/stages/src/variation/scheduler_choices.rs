//! Variations of the chapter `scheduler`: scores, the queue and preemption, which choose among what is possible.

use super::{Kind, Param, around, counted, first};
use kit_contract::Slot;
use kit_contract::scheduler::{
    ContainerImage, Hint, NodeResources, PendingPod, PodRequest, Preemption, PreemptionCandidate, PreemptionNode,
    PreemptionStep, QueueConfig, SchedulingQueue, Score, Strategy,
};

pub const KINDS: &[Kind] = &[
    Kind {
        exercise: "scheduler/score",
        name: "weights",
        minutes: 10,
        params: &[
            Param::word("resource", &["memory", "cpu", "ephemeral-storage"]),
            Param::number("times", 2, 100, &[2, 3, 10]),
        ],
        rule: |values| {
            let (resource, times) = (values.word("resource"), values.number("times"));
            format!(
                "In `allocation`, the weight of `{resource}` counts {times} times, whatever the strategy: with weights of 1 for \
                 `{resource}` and 1 for another resource, the mean is taken with {times} and 1. Where the resource is left out, \
                 its weight is left out with it, as ever. A strategy that doesn't list it stays as it is, and so do the scores of \
                 each resource, the roundings, `balanced`, `image_locality` and `normalize`.",
            )
        },
        apply: |values, modules| {
            let (resource, times) = (values.word("resource"), values.number("times"));
            around(&mut modules.score, move |inner| Box::new(Scores { inner, how: How::Weights(resource, times) }));
        },
    },
    Kind {
        exercise: "scheduler/score",
        name: "steps",
        minutes: 10,
        params: &[Param::number("size", 2, 50, &[5, 10, 20, 25])],
        rule: |values| {
            let size = values.number("size");
            format!(
                "Scores that differ by little shouldn't decide: what `allocation` and `balanced` come to is rounded down to a \
                 multiple of {size} in the end. A mean of {} becomes {}, and 100 {}. The scores of single resources, from which the \
                 mean is made, are not rounded so. `image_locality` and `normalize` stay as they are.",
                size + 1,
                size,
                if 100 % size == 0 { "stays".to_string() } else { format!("becomes {}", 100 - 100 % size) },
            )
        },
        apply: |values, modules| {
            let size = values.number("size");
            around(&mut modules.score, move |inner| Box::new(Scores { inner, how: How::Steps(size) }));
        },
    },
    Kind {
        exercise: "scheduler/score",
        name: "few-images",
        minutes: 10,
        params: &[Param::number("count", 1, 8, &[1, 2]), Param::word("of", &["first", "largest"])],
        rule: |values| {
            let count = values.number("count");
            let of = match values.word("of") {
                "first" => "the first in the list",
                _ => "those with the greatest size, and of equal sizes those that come first",
            };
            format!(
                "`image_locality` looks at no more than {} of the pod: {of}. It is as if the pod had only {}, so that the upper \
                 bound of the sum, which grows with the number of containers, grows with those that are looked at. A pod that has \
                 no more containers than that is scored as ever, and so is one without any. `allocation`, `balanced` and \
                 `normalize` stay as they are.",
                counted(count, "container"),
                if count == 1 { "that one" } else { "those" },
            )
        },
        apply: |values, modules| {
            let (count, of) = (values.count("count"), values.word("of"));
            around(&mut modules.score, move |inner| Box::new(Scores { inner, how: How::Images(count, of) }));
        },
    },
    Kind {
        exercise: "scheduler/queue",
        name: "bands",
        minutes: 10,
        params: &[Param::number("width", 2, 1_000_000, &[2, 5, 11])],
        rule: |values| {
            let width = values.number("width");
            format!(
                "Priorities are compared by bands of {width}: those from 0 to {} are equal to each other, so are those from {width} \
                 to {}, and so on, also below 0, where the first band is -{width} to -1. A pod of a higher band goes first, and within \
                 a band the pod that joined the queue first. It holds wherever the queue compares priorities, among active pods and \
                 among those whose backoffs end in the same second. Everything else stays as it is.",
                width - 1,
                2 * width - 1,
            )
        },
        apply: |values, modules| {
            let width = i32::try_from(values.number("width")).unwrap_or(i32::MAX);
            around(&mut modules.queue, move |inner| Box::new(Queue { inner, how: Queued::Bands(width) }));
        },
    },
    Kind {
        exercise: "scheduler/queue",
        name: "short-hints",
        minutes: 10,
        params: &[Param::number("pods", 1, 100, &[1, 2])],
        rule: |values| {
            let pods = values.number("pods");
            format!(
                "A change in the cluster wakes fewer pods at once: of each hint only the {} of its list {}, whether the queue \
                 knows them or not, and whatever place they are in. The rest of the list says nothing. Several hints of one change \
                 are cut one by one, also those of the same plugin. Pods in flight are remembered by the same rule. `flush` and \
                 everything else stays as it is.",
                first(pods, "pod"),
                if pods == 1 { "counts" } else { "count" },
            )
        },
        apply: |values, modules| {
            let pods = values.count("pods");
            around(&mut modules.queue, move |inner| Box::new(Queue { inner, how: Queued::Hints(pods) }));
        },
    },
    Kind {
        exercise: "scheduler/queue",
        name: "short-doubling",
        minutes: 10,
        params: &[Param::number("times", 1, 4, &[1, 2])],
        rule: |values| {
            let times = values.number("times");
            format!(
                "The backoff stops growing early: it takes `initial_backoff` after the first attempt and twice as long after each \
                 further one, but never more than {} `initial_backoff`, and never more than `max_backoff` either. With an initial \
                 backoff of 1000 ms it is {} ms after the third attempt, and after the tenth. When a backoff is over, and everything \
                 else, stays as it is.",
                if times == 1 { "one".to_string() } else { format!("{times} times") },
                1000 * times,
            )
        },
        apply: |values, modules| {
            let times = values.number("times");
            let slot = modules.queue.clone();
            modules.queue = Slot::by(move |config: &QueueConfig| {
                let most = config.initial_backoff.saturating_mul(times);
                slot.make(&QueueConfig { max_backoff: config.max_backoff.min(most), ..*config })
            });
        },
    },
    Kind {
        exercise: "scheduler/preemption",
        name: "first",
        minutes: 10,
        params: &[Param::word("rule", &["fewest-victims", "lowest-sum", "latest-start", "lowest-priority"])],
        rule: |values| {
            let rule = match values.word("rule") {
                "fewest-victims" => "the fewest victims",
                "lowest-sum" => "the lowest sum of `priority + 2³¹` over all victims",
                "latest-start" => {
                    "the latest start, which is that of the victim that has run for longest among its victims of the \
                    highest priority"
                }
                _ => "the lowest priority of its most important victim",
            };
            format!(
                "`pick` begins with another rule: first of all it looks for {rule}. Only between nodes that are equal in this it \
                 goes on with the rules as they were, broken budgets first, down to the first by name. So a node that is best by \
                 the new rule is picked even if it breaks more budgets than all others. How victims are selected on each node stays \
                 as it is."
            )
        },
        apply: |values, modules| {
            let rule = values.word("rule");
            around(&mut modules.preemption, move |inner| Box::new(Preempts { inner, how: Preempted::First(rule) }));
        },
    },
    Kind {
        exercise: "scheduler/preemption",
        name: "lenient-budgets",
        minutes: 10,
        params: &[Param::number("broken", 1, 100, &[1, 2])],
        rule: |values| {
            let broken = values.number("broken");
            format!(
                "`pick` forgives {} on each node: only what is broken beyond that counts in its first rule. Nodes that break {} and \
                 none are equal there, so that the priority of their most important victims decides between them, while one that \
                 breaks {} counts as one that breaks 1. How victims are selected on each node, which of them break a budget, and \
                 all other rules of `pick` stay as they are.",
                counted(broken, "broken budget"),
                broken,
                broken + 1,
            )
        },
        apply: |values, modules| {
            let broken = values.number("broken");
            around(&mut modules.preemption, move |inner| Box::new(Preempts { inner, how: Preempted::Lenient(broken) }));
        },
    },
    Kind {
        exercise: "scheduler/preemption",
        name: "importance",
        minutes: 10,
        params: &[Param::word("by", &["youngest", "listed"])],
        rule: |values| {
            let by = match values.word("by") {
                "youngest" => {
                    "the one that started later is the more important, and of pods that started together the one that is \
                    listed first"
                }
                _ => "the one that is listed first is the more important, whenever they started",
            };
            format!(
                "While victims are selected on a node, pods of the same priority are told apart otherwise: {by}. It holds wherever \
                 `select` and `checked` go by importance: in the order in which budgets are used up, in the order in which pods are \
                 spared, and in the order of the answer. A higher priority still comes first, and `pick` stays as it is."
            )
        },
        apply: |values, modules| {
            let by = values.word("by");
            around(&mut modules.preemption, move |inner| Box::new(Preempts { inner, how: Preempted::Importance(by) }));
        },
    },
];

/// What is scored otherwise.
#[derive(Clone, Copy)]
enum How {
    Weights(&'static str, i64),
    Steps(i64),
    Images(usize, &'static str),
}

struct Scores {
    inner: Box<dyn Score>,
    how: How,
}

impl Scores {
    fn step(&self, score: i64) -> i64 {
        match self.how {
            How::Steps(size) => score - score % size,
            _ => score,
        }
    }
}

impl Score for Scores {
    fn allocation(&self, strategy: &Strategy, pod: &PodRequest, node: &NodeResources) -> i64 {
        let mut strategy = strategy.clone();
        if let How::Weights(resource, times) = self.how {
            let resources = match &mut strategy {
                Strategy::LeastAllocated(resources) | Strategy::MostAllocated(resources) => resources,
                Strategy::RequestedToCapacityRatio { resources, .. } => resources,
            };
            resources.iter_mut().filter(|of| of.name == resource).for_each(|of| of.weight *= times);
        }
        self.step(self.inner.allocation(&strategy, pod, node))
    }
    fn balanced(&self, pod: &PodRequest, node: &NodeResources) -> i64 {
        self.step(self.inner.balanced(pod, node))
    }
    fn image_locality(&self, containers: &[ContainerImage], nodes: i64) -> i64 {
        let mut containers = containers.to_vec();
        if let How::Images(count, of) = self.how {
            if of == "largest" {
                containers.sort_by_key(|image| -image.size);
            }
            containers.truncate(count);
        }
        self.inner.image_locality(&containers, nodes)
    }
    fn normalize(&self, scores: &[i64], reverse: bool) -> Vec<i64> {
        self.inner.normalize(scores, reverse)
    }
}

/// What the queue is told otherwise.
#[derive(Clone, Copy)]
enum Queued {
    Bands(i32),
    Hints(usize),
}

struct Queue {
    inner: Box<dyn SchedulingQueue>,
    how: Queued,
}

impl SchedulingQueue for Queue {
    fn new(_: &QueueConfig) -> Self {
        unreachable!("an adapter is made around a module")
    }
    fn add(&mut self, pod: &PendingPod, now: i64) {
        let mut pod = pod.clone();
        if let Queued::Bands(width) = self.how {
            pod.priority = pod.priority.div_euclid(width);
        }
        self.inner.add(&pod, now);
    }
    fn remove(&mut self, pod: &str) {
        self.inner.remove(pod);
    }
    fn pop(&mut self, now: i64) -> Option<String> {
        self.inner.pop(now)
    }
    fn failed(&mut self, pod: &str, plugins: &[String], now: i64) {
        self.inner.failed(pod, plugins, now);
    }
    fn changed(&mut self, hints: &[Hint], now: i64) {
        let mut hints = hints.to_vec();
        if let Queued::Hints(most) = self.how {
            hints.iter_mut().for_each(|hint| hint.pods.truncate(most));
        }
        self.inner.changed(&hints, now);
    }
    fn flush(&mut self, now: i64) {
        self.inner.flush(now);
    }
}

/// What is chosen otherwise.
#[derive(Clone, Copy)]
enum Preempted {
    First(&'static str),
    Lenient(i64),
    Importance(&'static str),
}

struct Preempts {
    inner: Box<dyn Preemption>,
    how: Preempted,
}

impl Preemption for Preempts {
    fn select(&mut self, node: &PreemptionNode) -> PreemptionStep {
        let mut node = node.clone();
        if let Preempted::Importance(by) = self.how {
            for pod in &mut node.pods {
                pod.started = if by == "youngest" { -pod.started } else { 0 };
            }
        }
        self.inner.select(&node)
    }
    fn checked(&mut self, fits: bool) -> PreemptionStep {
        self.inner.checked(fits)
    }
    fn pick(&mut self, candidates: &[PreemptionCandidate]) -> String {
        let mut candidates = candidates.to_vec();
        match self.how {
            Preempted::First(rule) => {
                let best = candidates.iter().map(|candidate| rank(rule, candidate)).min();
                candidates.retain(|candidate| Some(rank(rule, candidate)) == best);
            }
            Preempted::Lenient(broken) => {
                for candidate in &mut candidates {
                    candidate.violations = (candidate.violations - broken).max(0);
                }
            }
            Preempted::Importance(_) => {}
        }
        self.inner.pick(&candidates)
    }
}

/// By one of the rules, the less the better.
fn rank(rule: &str, PreemptionCandidate { victims, .. }: &PreemptionCandidate) -> i64 {
    let highest = victims.iter().map(|pod| pod.priority).max().unwrap_or_default();
    match rule {
        "fewest-victims" => victims.len() as i64,
        "lowest-sum" => victims.iter().map(|pod| i64::from(pod.priority) + (1 << 31)).sum(),
        "latest-start" => {
            let of_the_highest = victims.iter().filter(|pod| pod.priority == highest);
            -of_the_highest.map(|pod| pod.started).min().unwrap_or_default()
        }
        _ => highest.into(),
    }
}
