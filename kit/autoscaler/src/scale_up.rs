//! How many machines of each group would help which pods.
//!
//! Sources: `core/scaleup/orchestrator/orchestrator.go` and `estimator/binpacking_estimator.go`: first fit, the largest pods
//! first. Pods of one template stand for each other.

use crate::cloud::Group;
use crate::snapshot::Snapshot;
use kit_api::Name;
use kit_api::core::Pod as ApiPod;
use kit_api::view::NodeResources;
use kit_scheduler::class::Pod;
use std::collections::BTreeMap;
use std::rc::Rc;

/// So many machines of a group would make room for these pods (`expander.Option`).
#[derive(Debug, Clone)]
pub struct Choice {
    /// The group.
    pub group: Group,
    /// How many machines more.
    pub nodes: usize,
    /// The pods.
    pub pods: Vec<Rc<Pod>>,
}

/// What could be done.
#[derive(Debug, Default)]
pub struct Choices {
    /// The groups that could help.
    pub choices: Vec<Choice>,
    /// Why a group can't help pods, by their class: how many groups for each reason.
    pub refused: BTreeMap<usize, BTreeMap<String, usize>>,
}

impl Choices {
    /// Why a pod is helped by no group (`ReasonsMessage` of `processors/status/eventing_scale_up_processor.go`).
    pub fn why_not(&self, pod: &Pod) -> String {
        let reasons = self.refused.get(&pod.class.id);
        let said: Vec<String> =
            reasons.into_iter().flatten().map(|(reason, groups)| format!("{groups} {reason}")).collect();
        said.join(", ")
    }
}

/// What each group could do for these pods. `unfit` says why a group can't have more machines now.
pub fn choices(
    snapshot: &mut Snapshot,
    pods: &[Rc<Pod>],
    groups: &[Group],
    daemons: &[ApiPod],
    unfit: impl Fn(&Group) -> Option<&'static str>,
) -> Choices {
    let mut templates: BTreeMap<usize, Vec<Rc<Pod>>> = BTreeMap::new();
    pods.iter().for_each(|pod| templates.entry(pod.class.id).or_default().push(pod.clone()));
    let mut all = Choices::default();
    for group in groups {
        let mut refuse = |class: usize, reason: String| {
            *all.refused.entry(class).or_default().entry(reason).or_default() += 1;
        };
        if let Some(why) = unfit(group) {
            templates.keys().for_each(|class| refuse(*class, why.into()));
            continue;
        }
        let mark = snapshot.mark();
        let empty = snapshot.add(&group.template, daemons);
        let mut fitting: Vec<&Vec<Rc<Pod>>> = Vec::new();
        for (class, alike) in &templates {
            match snapshot.refusal(&alike[0], empty) {
                None => fitting.push(alike),
                Some(refusal) => refusal.reasons.into_iter().for_each(|reason| refuse(*class, reason)),
            }
        }
        snapshot.revert(mark);
        let (nodes, helped) = estimate(snapshot, fitting, group, daemons);
        if nodes > 0 {
            all.choices.push(Choice { group: group.clone(), nodes, pods: helped });
        }
    }
    all
}

/// How many machines pods need, and which of them then have room (`BinpackingNodeEstimator.Estimate`).
fn estimate(
    snapshot: &mut Snapshot,
    mut alike: Vec<&Vec<Rc<Pod>>>,
    group: &Group,
    daemons: &[ApiPod],
) -> (usize, Vec<Rc<Pod>>) {
    let has = NodeResources::from(&group.template).allocatable;
    let size = |pods: &&Vec<Rc<Pod>>| {
        let asked = &pods[0].class.request.requests;
        let share = |asked: i64, has: i64| if has > 0 { asked as f64 / has as f64 } else { 0.0 };
        share(asked.milli_cpu, has.milli_cpu) + share(asked.memory, has.memory)
    };
    alike.sort_by(|one, other| size(other).total_cmp(&size(one)));
    let room = group.max.saturating_sub(group.target);
    let mark = snapshot.mark();
    let mut new: Vec<Name> = Vec::new();
    let mut helped: Vec<Rc<Pod>> = Vec::new();
    let mut in_use: Vec<Name> = Vec::new();
    for pods in alike {
        for pod in pods {
            let fits = snapshot.first_fit(pod, &new).or_else(|| {
                // A new node that took no pod helps nobody, and further ones like it don't either.
                let is_empty = new.last().is_some_and(|last| !in_use.contains(last));
                if new.len() == room || is_empty {
                    return None;
                }
                let node = snapshot.add(&group.template, daemons);
                new.push(node);
                snapshot.refusal(pod, node).is_none().then_some(node)
            });
            let Some(node) = fits else { break };
            snapshot.place(pod, node);
            helped.push(pod.clone());
            if !in_use.contains(&node) {
                in_use.push(node);
            }
        }
    }
    snapshot.revert(mark);
    (in_use.len(), helped)
}
