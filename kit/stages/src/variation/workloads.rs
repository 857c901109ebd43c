//! Variations of the chapter `workloads`.

use super::{Kind, Param, around, counted};
use kit_api::int_or_percent::{IntOrString, Round, scaled};
use kit_api::pod;
use kit_contract::workloads::hpa::{
    DecideRequest, Decision, MetricError, MetricRequest, Proposal, Recommendation, ScalingLimited,
};
use kit_contract::workloads::replica_set::{Action, SyncRequest, SyncResult};
use kit_contract::workloads::rolling_update::{self as rollout, Fenceposts, RollingUpdate, Strategy};
use kit_contract::workloads::{DeploymentController, HorizontalPodAutoscaler, ReplicaSetController};

pub const KINDS: &[Kind] = &[
    Kind {
        exercise: "workloads/hpa",
        name: "ceiling",
        minutes: 10,
        params: &[Param::number("pods", 1, 1000, &[1, 2, 3, 5])],
        rule: |values| {
            let pods = values.number("pods");
            format!(
                "One decision adds no more than {}: if `decide` came to more than `current_replicas` plus {pods}, the answer is \
                 `current_replicas` plus {pods}, and `scaling_limited` says `ScaleUpLimit`, whatever it said. This comes last, after \
                 stabilization, rate and range, with a `behavior` and without. It isn't applied before any metric, so that replicas \
                 below the minimum still become the minimum at once. Going down, `scaling_active`, `able_to_scale` and \
                 `propose` stay as they are.",
                counted(pods, "replica"),
            )
        },
        apply: |values, modules| {
            let how = Scaled::Ceiling(number(values.number("pods")));
            around(&mut modules.hpa, move |inner| Box::new(Autoscaler { inner, how }));
        },
    },
    Kind {
        exercise: "workloads/hpa",
        name: "multiples",
        minutes: 10,
        params: &[Param::number("of", 2, 100, &[2, 3, 5])],
        rule: |values| {
            let of = values.number("of");
            format!(
                "A workload that is spread over {of} zones wants as many replicas in each. So `decide` first rounds every proposal \
                 of a metric up to a multiple of {of}: {} becomes {}, and 0 stays 0. Everything that follows goes by the rounded \
                 proposals, the comparison with `current_replicas` too. Earlier recommendations are taken as they are, and limits \
                 are not rounded, so that the answer need not be a multiple. `propose` stays as it is.",
                of + 1,
                2 * of,
            )
        },
        apply: |values, modules| {
            let how = Scaled::Multiples(number(values.number("of")));
            around(&mut modules.hpa, move |inner| Box::new(Autoscaler { inner, how }));
        },
    },
    Kind {
        exercise: "workloads/hpa",
        name: "winner",
        minutes: 10,
        params: &[Param::word("proposal", &["least", "median"])],
        rule: |values| {
            let (which, example) = match values.word("proposal") {
                "least" => ("the least one", "2"),
                _ => ("the middle one, where the lower of the two in the middle of an even number counts as such", "3"),
            };
            format!(
                "Of several metrics it is no longer the greatest proposal that wins in `decide`, but {which}. Of the proposals 2, \
                 3, 9 and 20 the winner is {example}. Metrics that failed have no proposal and are not among them, and if some failed, nothing changes where \
                 the winner of the rest is below `current_replicas`. Everything else, `propose` too, stays as it is."
            )
        },
        apply: |values, modules| {
            let how = Scaled::Winner(values.word("proposal"));
            around(&mut modules.hpa, move |inner| Box::new(Autoscaler { inner, how }));
        },
    },
    Kind {
        exercise: "workloads/hpa",
        name: "memory",
        minutes: 10,
        params: &[Param::number("seconds", 0, 3600, &[15, 60, 301, 3600])],
        rule: |values| {
            let seconds = values.number("seconds");
            format!(
                "Without a `behavior`, `decide` looks at the recommendations of the last {}, and no longer at those of 300 s: one \
                 that is less than {seconds} seconds old counts, and one of exactly {seconds} seconds doesn't. This call's own \
                 proposal always counts. The greatest of them is taken, as ever. With a `behavior`, the windows and their defaults \
                 stay as they are, and so do rates, ranges, reasons and `propose`.",
                counted(seconds, "second"),
            )
        },
        apply: |values, modules| {
            let how = Scaled::Memory(values.number("seconds"));
            around(&mut modules.hpa, move |inner| Box::new(Autoscaler { inner, how }));
        },
    },
    Kind {
        exercise: "workloads/rolling_update",
        name: "rounding",
        minutes: 10,
        params: &[Param::word("of", &["both", "surge", "unavailable"])],
        rule: |values| {
            let (rule, example) = match values.word("of") {
                "surge" => ("Of `max_surge` it is now rounded down, too", "1 and 1"),
                "unavailable" => ("Of `max_unavailable` it is now rounded up, too", "2 and 2"),
                _ => ("Of `max_surge` it is now rounded down, and of `max_unavailable` up", "1 and 2"),
            };
            format!(
                "A percentage is rounded the other way. {rule}: 25 % and 25 % of 5 replicas come to {example}, in this order. Numbers \
                 that are no percentages stay what they are. If both come to 0 one pod may still be unavailable, and no more than \
                 all replicas can be. It holds for `fenceposts` and wherever `sync` needs the two numbers, also when the Deployment \
                 is scaled. Everything else stays as it is."
            )
        },
        apply: |values, modules| {
            let of = values.word("of");
            around(&mut modules.rolling_update, move |inner| Box::new(Rollout { inner, how: Fenced::Rounding(of) }));
        },
    },
    Kind {
        exercise: "workloads/rolling_update",
        name: "keep",
        minutes: 15,
        params: &[Param::number("pods", 1, 100, &[1, 2, 3])],
        rule: |values| {
            let pods = values.number("pods");
            format!(
                "A rollout keeps at least {} available, whatever `max_unavailable` says: no more pods may be unavailable than \
                 `replicas` less {pods}, and none if that is less than 0. This comes after the rounding and after the rule for two \
                 zeros. If that leaves both numbers at 0, the surge is 1, since otherwise nothing could move: with {pods} replicas \
                 and the numbers 0 and 1, the answer is 1 and 0. It holds for `fenceposts` and wherever `sync` needs the two \
                 numbers. Everything else stays as it is.",
                counted(pods, "pod"),
            )
        },
        apply: |values, modules| {
            let pods = number(values.number("pods"));
            around(&mut modules.rolling_update, move |inner| Box::new(Rollout { inner, how: Fenced::Keep(pods) }));
        },
    },
    Kind {
        exercise: "workloads/replica_set",
        name: "burst",
        minutes: 10,
        params: &[Param::number("pods", 1, 499, &[1, 2, 3]), Param::word("of", &["both", "creates", "deletes"])],
        rule: |values| {
            let what = match values.word("of") {
                "both" => "creates or deletes",
                "creates" => "creates",
                _ => "deletes",
            };
            let pods = values.number("pods");
            format!(
                "One sync {what} at most {}, and no longer 500; what is missing or too much beyond that waits for the next sync. \
                 The kit syncs again by itself, so that there is nothing to ask for. {}Deletes that are made are those that come \
                 first in the order, as ever. Adopting and releasing pods isn't limited. Claims, the order, expectations and the \
                 status stay as they are.",
                counted(pods, "pod"),
                if values.word("of") == "both" { "" } else { "The other direction keeps its limit. " },
            )
        },
        apply: |values, modules| {
            let (pods, of) = (values.count("pods"), values.word("of"));
            around(&mut modules.replica_set, move |inner| Box::new(Burst { inner, pods, of }));
        },
    },
    Kind {
        exercise: "workloads/replica_set",
        name: "drain",
        minutes: 15,
        params: &[Param::word("node", &["node-0", "node-1", "node-2"]), Param::word("its-pods", &["first", "last"])],
        rule: |values| {
            let node = values.word("node");
            let (why, order) = match values.word("its-pods") {
                "first" => ("is to be drained", "before all others"),
                _ => ("is the only one that is paid for anyway", "after all others"),
            };
            format!(
                "The node `{node}` {why}. So when pods are deleted, those on this node go {order}: this is asked before rule 1, and \
                 so before the rule for pods without a node. Among the pods on this node, and among the rest, the eight rules decide \
                 as ever; rule 5 still counts the pods of all nodes. How many are deleted, who is claimed, creates, the status and \
                 everything else stays as it is."
            )
        },
        apply: |values, modules| {
            let (node, first) = (values.word("node"), values.word("its-pods") == "first");
            around(&mut modules.replica_set, move |inner| Box::new(Drain { inner, node, first }));
        },
    },
];

fn number(of: i64) -> i32 {
    i32::try_from(of).unwrap_or(i32::MAX)
}

/// What is decided otherwise.
#[derive(Clone, Copy)]
enum Scaled {
    Ceiling(i32),
    Multiples(i32),
    Winner(&'static str),
    Memory(i64),
}

struct Autoscaler {
    inner: Box<dyn HorizontalPodAutoscaler>,
    how: Scaled,
}

impl HorizontalPodAutoscaler for Autoscaler {
    fn propose(&self, request: &MetricRequest) -> Result<Proposal, MetricError> {
        self.inner.propose(request)
    }
    fn decide(&self, request: &DecideRequest) -> Decision {
        let mut request = request.clone();
        match self.how {
            Scaled::Ceiling(_) => {}
            Scaled::Multiples(of) => {
                for proposal in request.proposals.iter_mut().flatten() {
                    *proposal = (*proposal + of - 1) / of * of;
                }
            }
            Scaled::Winner(which) => {
                let mut proposals: Vec<i32> = request.proposals.iter().copied().flatten().collect();
                proposals.sort_unstable();
                let at = if which == "least" { 0 } else { proposals.len().saturating_sub(1) / 2 };
                let failed = request.proposals.contains(&None);
                request.proposals = proposals.get(at).map(|winner| Some(*winner)).into_iter().collect();
                request.proposals.extend(failed.then_some(None));
            }
            Scaled::Memory(seconds) if request.behavior.is_none() => {
                // What counts is new to the reference, and what doesn't is not there.
                let counts = request.recommendations.iter().filter(|of| of.seconds_ago < seconds);
                request.recommendations = counts.map(|of| Recommendation { seconds_ago: 0, ..*of }).collect();
            }
            Scaled::Memory(_) => {}
        }
        let mut decision = self.inner.decide(&request);
        if let (Scaled::Ceiling(pods), Some(_)) = (self.how, decision.scaling_limited) {
            let most = request.current_replicas.saturating_add(pods);
            if decision.replicas > most {
                decision.replicas = most;
                decision.scaling_limited = Some(ScalingLimited::ScaleUpLimit);
            }
        }
        decision
    }
}

/// What two fences are otherwise.
#[derive(Clone, Copy)]
enum Fenced {
    Rounding(&'static str),
    Keep(i32),
}

struct Rollout {
    inner: Box<dyn DeploymentController>,
    how: Fenced,
}

impl Rollout {
    /// The same update in numbers, of which the reference makes nothing else.
    fn resolved(&self, update: &RollingUpdate, replicas: i32) -> RollingUpdate {
        let Fenceposts { surge, unavailable } = match self.how {
            Fenced::Rounding(of) => {
                let amount = |of: &IntOrString, round: Round| scaled(of, replicas, round).unwrap_or_default();
                let surge = if of == "unavailable" { Round::Up } else { Round::Down };
                let unavailable = if of == "surge" { Round::Down } else { Round::Up };
                Fenceposts {
                    surge: amount(&update.max_surge, surge),
                    unavailable: amount(&update.max_unavailable, unavailable),
                }
            }
            Fenced::Keep(pods) => {
                let Fenceposts { surge, unavailable } = self.inner.fenceposts(update, replicas);
                let unavailable = unavailable.min((replicas - pods).max(0));
                Fenceposts { surge: if surge == 0 && unavailable == 0 { 1 } else { surge }, unavailable }
            }
        };
        RollingUpdate { max_surge: IntOrString::Int(surge), max_unavailable: IntOrString::Int(unavailable) }
    }
}

impl DeploymentController for Rollout {
    fn fenceposts(&self, update: &RollingUpdate, replicas: i32) -> Fenceposts {
        self.inner.fenceposts(&self.resolved(update, replicas), replicas)
    }
    fn sync(&self, request: &rollout::SyncRequest) -> rollout::SyncResult {
        let mut request = request.clone();
        if let Strategy::RollingUpdate(update) = &mut request.strategy {
            *update = self.resolved(update, request.replicas);
        }
        self.inner.sync(&request)
    }
}

/// Fewer pods at once.
struct Burst {
    inner: Box<dyn ReplicaSetController>,
    pods: usize,
    of: &'static str,
}

impl ReplicaSetController for Burst {
    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let mut result = self.inner.sync(request);
        let mut left = self.pods;
        // The reference answers deletes in their order.
        result.actions.retain(|action| {
            let limited = match action {
                Action::CreatePod => self.of != "deletes",
                Action::DeletePod { .. } => self.of != "creates",
                _ => false,
            };
            let stays = !limited || left > 0;
            left -= usize::from(limited && stays);
            stays
        });
        result
    }
}

/// Pods on one node go first or last.
struct Drain {
    inner: Box<dyn ReplicaSetController>,
    node: &'static str,
    first: bool,
}

impl ReplicaSetController for Drain {
    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let mut result = self.inner.sync(request);
        let count = deleted(&result).len();
        // A set of none gives up all its pods, in its order.
        let mut none = request.clone();
        if let Some(spec) = &mut none.replica_set.spec {
            spec.replicas = Some(0);
        }
        let mut order = if count == 0 { Vec::new() } else { deleted(&self.inner.sync(&none)) };
        let is_here = |name: &str| {
            let pod = request.pods.iter().find(|pod| pod.metadata.name.as_deref() == Some(name));
            pod.and_then(pod::node_name) == Some(self.node)
        };
        order.sort_by_key(|name| is_here(name) != self.first);
        result.actions.retain(|action| !matches!(action, Action::DeletePod { .. }));
        result.actions.extend(order.into_iter().take(count).map(|name| Action::DeletePod { name }));
        result
    }
}

/// The pods that are deleted, in their order.
fn deleted(result: &SyncResult) -> Vec<String> {
    let names = result.actions.iter().filter_map(|action| match action {
        Action::DeletePod { name } => Some(name.clone()),
        _ => None,
    });
    names.collect()
}
