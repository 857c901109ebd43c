//! Making room: where pods of lower priority could go, and which of these places costs least.
//!
//! Source: `pkg/scheduler/framework/preemption/preemption.go` and `plugins/defaultpreemption/default_preemption.go`. The
//! module of `scheduler/preemption` chooses; here it is asked, and told whether the pod would fit.

use super::class::Pod;
use super::cycle::{Found, State};
use super::framework::{Framework, Refusal};
use super::message;
use kit_api::rustc_hash::FxHashSet;
use kit_contract::scheduler::{Preemption, PreemptionCandidate, PreemptionNode, PreemptionStep, RunningPod};
use std::collections::BTreeMap;
use std::rc::Rc;

/// At least so many candidates are looked for, or a tenth of the nodes (`MinCandidateNodesAbsolute`, `…Percentage`).
const LEAST_CANDIDATES: usize = 100;
const NO_VICTIMS: &str = "No preemption victims found for incoming pod";
const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";

/// What came of it.
#[derive(Debug, Default)]
pub struct Preempted {
    /// Where room can be made.
    pub candidates: Vec<PreemptionCandidate>,
    /// Why it can't elsewhere, by name of the node.
    pub not_candidates: BTreeMap<String, Refusal>,
    /// What the event says of it, if there is no candidate.
    pub message: String,
    /// The node that was chosen.
    pub node: Option<String>,
    /// The pod may not push out others, or waits for those who are going: what it was promised stays.
    pub not_eligible: bool,
}

impl State {
    /// Looks for a place where the pod would fit if others gave way (`Evaluator.Preempt`). `now` is calendar time in milliseconds.
    pub fn preempt(
        &mut self,
        pod: &Rc<Pod>,
        found: &Found,
        framework: &mut Framework,
        module: &mut dyn Preemption,
        now: i64,
    ) -> Preempted {
        let mut preempted = Preempted::default();
        if let Some(why) = self.not_eligible(pod, found) {
            preempted.message = format!("preemption: {why}");
            preempted.not_eligible = true;
            return preempted;
        }
        let count = self.nodes.list().len();
        let enough = (count / 10).max(LEAST_CANDIDATES);
        // Only where a pod that goes away could help.
        let places: Vec<usize> =
            found.refused.iter().filter(|(_, refusal)| !refusal.unresolvable).map(|(place, _)| *place).collect();
        for place in places {
            if preempted.candidates.len() == enough && preempted.candidates.iter().any(|c| c.violations == 0) {
                break;
            }
            let name = self.nodes.list()[place].name.to_string();
            match self.victims(pod, place, framework, module, now) {
                Ok((victims, violations)) => {
                    preempted.candidates.push(PreemptionCandidate { node: name, victims, violations });
                }
                Err(refusal) => _ = preempted.not_candidates.insert(name, refusal),
            }
        }
        if preempted.candidates.is_empty() {
            let tried = preempted.not_candidates.values().flat_map(|refusal| &refusal.reasons);
            let others = count - preempted.not_candidates.len();
            let reasons = tried.map(|reason| (reason.as_str(), 1)).chain((others > 0).then_some((NOT_HELPFUL, others)));
            preempted.message = format!("preemption: {}", message::fit_error(count, reasons));
        } else {
            let node = module.pick(&preempted.candidates);
            preempted.node = preempted.candidates.iter().any(|c| c.node == node).then_some(node);
        }
        preempted
    }

    /// Why the pod may not push out others now (`PodEligibleToPreemptOthers`).
    fn not_eligible(&self, pod: &Pod, found: &Found) -> Option<&'static str> {
        if !pod.preempts {
            return Some("not eligible due to preemptionPolicy=Never.");
        }
        let place = pod.nominated.and_then(|name| self.nodes.place(name))?;
        // Where nothing can help any more, it may look elsewhere: on a node that was never looked at, too.
        let hopeless = found.refused.get(&place).is_none_or(|refusal| refusal.unresolvable);
        let going = |other: &&Rc<Pod>| other.preempted && other.priority < pod.priority;
        let waits = !hopeless && self.nodes.list()[place].pods.iter().any(|other| going(&other));
        waits.then_some("not eligible due to a terminating pod on the nominated node.")
    }

    /// The pods that would have to go from one node, and how many of them break a budget (`SelectVictimsOnNode`).
    fn victims(
        &mut self,
        pod: &Rc<Pod>,
        place: usize,
        framework: &mut Framework,
        module: &mut dyn Preemption,
        now: i64,
    ) -> Result<(Vec<RunningPod>, i64), Refusal> {
        let unresolvable =
            |reason: &str| Refusal { plugin: "DefaultPreemption", reasons: vec![reason.into()], unresolvable: true };
        let node = self.preemption_node(pod, place, now);
        let mut step = module.select(&node);
        let mut refused = None;
        // Each pod has one turn, and there is one question before the first: a module that asks more is at fault.
        for _ in 0..node.pods.len() + 2 {
            match step {
                PreemptionStep::NoVictims => return Err(unresolvable(NO_VICTIMS)),
                PreemptionStep::NoFit => return Err(refused.unwrap_or_else(|| unresolvable(NO_VICTIMS))),
                PreemptionStep::Victims { pods, violations } => {
                    let by_name = |name: &String| node.pods.iter().find(|pod| pod.name == *name).cloned();
                    return Ok((pods.iter().filter_map(by_name).collect(), violations));
                }
                PreemptionStep::FitsWithout(names) => {
                    let away: FxHashSet<Rc<str>> = names.iter().map(|name| name.as_str().into()).collect();
                    refused = self.refusal_without(pod, place, &away, framework);
                    step = module.checked(refused.is_none());
                }
            }
        }
        Err(unresolvable(NO_VICTIMS))
    }

    fn preemption_node(&self, pod: &Pod, place: usize, now: i64) -> PreemptionNode {
        let budgets: Vec<_> = self.objects.budgets().collect();
        let running = |other: &Rc<Pod>| {
            let name = other.key.split_once('/').map_or("", |(_, name)| name);
            let counts = budgets.iter().enumerate().filter(|(_, budget)| budget.counts(name, &other.class));
            RunningPod {
                name: other.key.to_string(),
                priority: other.priority,
                started: other.started.unwrap_or(now),
                budgets: counts.map(|(i, _)| i).collect(),
            }
        };
        // Two pods that haven't started are compared as if each had just done so, which puts the later one of the list first
        // (`GetPodStartTime` of `pkg/scheduler/util/utils.go`).
        let (mut pods, mut waiting): (Vec<_>, Vec<_>) =
            self.nodes.list()[place].pods.iter().partition(|other| other.started.is_some());
        waiting.reverse();
        pods.append(&mut waiting);
        PreemptionNode {
            priority: pod.priority,
            pods: pods.into_iter().map(running).collect(),
            budgets: budgets.iter().map(|budget| budget.allowed).collect(),
        }
    }

    /// What would still refuse the node without some of its pods, with those on their way there and without them.
    fn refusal_without(
        &mut self,
        pod: &Rc<Pod>,
        place: usize,
        away: &FxHashSet<Rc<str>>,
        framework: &mut Framework,
    ) -> Option<Refusal> {
        let coming = self.coming(pod, place);
        let passes = if coming.is_empty() { vec![Vec::new()] } else { vec![coming, Vec::new()] };
        let apart = self.has_affinity(pod);
        let objects = &self.objects;
        passes.into_iter().find_map(|more| {
            self.nodes.suppose(place, &more, away, |nodes| {
                framework.filter(&mut framework.cycle(pod, nodes).with_affinity(apart), place, nodes, objects)
            })
        })
    }
}
