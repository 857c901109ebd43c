//! The choices of the scheduler's DefaultPreemption plugin: which pods give way, and on which node.
//!
//! Source: `SelectVictimsOnNode` in `pkg/scheduler/framework/plugins/defaultpreemption/default_preemption.go` and
//! `pickOneNodeForPreemption` in `pkg/scheduler/framework/preemption/preemption.go`.

use crate::show::unordered;
use crate::{Show, flow};
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Makes room for a pod that fits nowhere, by deleting pods of lower priority.
    ///
    /// Whether the pod would fit on a node is for the filters to say, and you don't have them: you say which pods you would take away,
    /// and are told whether the pod fits then. One node is looked at from its `select` to its end before the next.
    pub trait Preemption {
        /// Begins with a node. The first question is always whether the pod fits without *all* pods whose priority is lower than
        /// its own; if there are none, the answer is `NoVictims`.
        fn select(&mut self, node: &PreemptionNode) -> PreemptionStep;

        /// Goes on, now that it is known whether the pod fits without the pods that were asked about last.
        ///
        /// If it doesn't fit without all of them, the node can't help: `NoFit`. Else pods are spared one by one: ask whether the pod
        /// still fits if this one stays too. If so it is spared, else it is a victim. First come the pods whose deletion would break a disruption
        /// budget, then the others, and among both the most important pod first: that of the higher priority, then the one that
        /// has run for longer, then the one that is listed first. When each had its turn, the answer is the victims, the most
        /// important first, and how many of them break a budget.
        ///
        /// Which deletions break a budget: go through all pods of lower priority, the most important first. Subtract
        /// 1 from each budget that counts the pod. If one of these budgets is below 0 now, this pod breaks it.
        fn checked(&mut self, fits: bool) -> PreemptionStep;

        /// The best of the nodes that can help, by these rules, one after the other until one node is left: the
        /// fewest broken budgets; the lowest priority of its most important victim; the lowest sum of `priority +
        /// 2³¹` over its victims; the fewest victims; the latest start, where the start of a candidate is that of the
        /// victim that has run for longest among its victims of the highest priority; the first by name.
        fn pick(&mut self, candidates: &[PreemptionCandidate]) -> String;
    }
}

/// A node on which room may be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreemptionNode {
    /// The priority of the pod that needs room.
    pub priority: i32,
    /// The pods that run on the node.
    pub pods: Vec<RunningPod>,
    /// How many more disruptions each budget allows (`disruptionsAllowed`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<i64>,
}

/// A pod that may have to give way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunningPod {
    /// `namespace/name`.
    pub name: String,
    /// Its priority.
    #[serde(default)]
    pub priority: i32,
    /// When it started, in milliseconds. For a pod that hasn't started yet, the kit gives the time at which it asks.
    #[serde(default)]
    pub started: i64,
    /// The budgets that count it: places in the list of budgets, from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<usize>,
}

/// A node that can help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreemptionCandidate {
    /// Its name.
    pub node: String,
    /// The pods that would have to go, the most important first; at least one.
    pub victims: Vec<RunningPod>,
    /// How many of them break a budget.
    #[serde(default)]
    pub violations: i64,
}

/// What comes next for a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PreemptionStep {
    /// Does the pod fit without these? By name; in any order.
    FitsWithout(Vec<String>),
    /// There is no pod of lower priority.
    NoVictims,
    /// The pod doesn't fit without them either.
    NoFit,
    /// These have to go.
    Victims {
        /// By name, the most important first.
        pods: Vec<String>,
        /// How many of them break a budget.
        violations: i64,
    },
}
// ANCHOR_END: contract

impl Show for PreemptionNode {
    fn lines(&self) -> Vec<String> {
        let head = match self.budgets.is_empty() {
            true => format!("for a pod of priority {}", self.priority),
            false => format!("for a pod of priority {}, budgets {:?}", self.priority, self.budgets),
        };
        std::iter::once(head).chain(self.pods.iter().flat_map(Show::lines)).collect()
    }
}

impl Show for RunningPod {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for PreemptionCandidate {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for PreemptionStep {
    fn lines(&self) -> Vec<String> {
        let list = |names: &[String]| names.iter().map(|name| name.escape_debug().to_string()).collect::<Vec<_>>();
        vec![match self {
            PreemptionStep::FitsWithout(pods) => {
                let mut pods = list(pods);
                pods.sort();
                format!("fits without: {}", if pods.is_empty() { "none".into() } else { pods.join(", ") })
            }
            PreemptionStep::NoVictims => "no victims".into(),
            PreemptionStep::NoFit => "no fit".into(),
            PreemptionStep::Victims { pods, violations } => {
                format!("victims: {} · budgets broken: {violations}", list(pods).join(", "))
            }
        }]
    }
    fn meaning(&self) -> String {
        match self {
            PreemptionStep::FitsWithout(pods) => format!("fits without {}", unordered(pods)),
            other => flow(other),
        }
    }
}
