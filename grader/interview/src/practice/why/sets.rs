//! The controllers of StatefulSets and DaemonSets.

use super::{Asked, list};
use kit_contract::workloads::daemon_set::{
    self, NodeView, Phase, PodView as DaemonPod, Template, UpdateStrategy, Wants,
};
use kit_contract::workloads::stateful_set::{self, PodManagementPolicy, PodState, PodView, SetView};
use std::ops::Range;

pub fn stateful_set(asked: &Asked<'_>) -> Option<Vec<String>> {
    let stateful_set::SyncRequest { set, pods, .. } = asked.arg("request")?;
    let answer: stateful_set::SyncResult = asked.answer()?;
    if set.deleting {
        return Some(vec!["A set that is being deleted does nothing any more.".into()]);
    }
    let wanted = set.start..set.start + set.replicas;
    let mut said = Vec::new();
    if set.policy == PodManagementPolicy::Parallel {
        said.push("With Parallel no pod waits for another; only an update takes one after the other.".into());
    } else if let Some(why) = first_to_wait_for(wanted.clone(), &pods) {
        return Some(vec![format!("{why}, and with OrderedReady the sync ends there.")]);
    }
    let mut condemned: Vec<&PodView> = pods.iter().filter(|pod| !wanted.contains(&pod.ordinal)).collect();
    condemned.sort_by_key(|pod| pod.ordinal);
    if !condemned.is_empty() {
        let names: Vec<String> = condemned.iter().map(|pod| pod.ordinal.to_string()).collect();
        said.push(format!("Wanted are {} pods from {} on, so that {} too many.", set.replicas, set.start, are(&names)));
    }
    if let (PodManagementPolicy::OrderedReady, Some(last)) = (set.policy, condemned.last()) {
        let goes = answer.actions.contains(&stateful_set::Action::DeletePod { ordinal: last.ordinal });
        said.push(match (goes, last.terminating) {
            (true, _) => format!("The last one, {}, goes.", last.ordinal),
            (false, true) => format!("The last one, {}, is being deleted already, and the others wait.", last.ordinal),
            (false, false) => {
                format!("The last one, {}, isn't available, and it isn't the first sick one.", last.ordinal)
            }
        });
        return Some(said);
    }
    said.push(of_the_update(&set, &pods));
    Some(said)
}

fn are(names: &[String]) -> String {
    format!("{} {}", list(names), if names.len() == 1 { "is" } else { "are" })
}

fn first_to_wait_for(wanted: Range<i32>, pods: &[PodView]) -> Option<String> {
    wanted.into_iter().find_map(|ordinal| {
        let Some(pod) = pods.iter().find(|pod| pod.ordinal == ordinal) else {
            return Some(format!("Pod {ordinal} is missing"));
        };
        match pod.state {
            PodState::Failed | PodState::Succeeded => Some(format!("Pod {ordinal} has ended")),
            _ if pod.terminating => Some(format!("Pod {ordinal} is being deleted")),
            PodState::Available => None,
            _ => Some(format!("Pod {ordinal} isn't available")),
        }
    })
}

fn of_the_update(set: &SetView, pods: &[PodView]) -> String {
    match set.update {
        stateful_set::UpdateStrategy::OnDelete => "With OnDelete nothing is replaced.".into(),
        stateful_set::UpdateStrategy::RollingUpdate { partition, max_unavailable } => {
            let old = pods.iter().filter(|pod| pod.revision != set.update_revision).count();
            let most =
                max_unavailable.map_or(String::new(), |most| format!(" At most {most} may be missing or not healthy."));
            format!(
                "{old} pods are not of {}. An update goes down from the last wanted one to the partition, {partition}.{most}",
                set.update_revision
            )
        }
    }
}

pub fn daemon_set(asked: &Asked<'_>) -> Option<Vec<String>> {
    if asked.call == "wants" {
        let (template, node): (Template, NodeView) = (asked.arg("template")?, asked.arg("node")?);
        return Some(vec![of_a_node(&template, &node, asked.answer()?)]);
    }
    let request: daemon_set::SyncRequest = asked.arg("request")?;
    let answer: daemon_set::SyncResult = asked.answer()?;
    if request.expected {
        return Some(vec!["The cache doesn't show yet what was done before, so that nothing is done now.".into()]);
    }
    let alone = |node: &str| request.pods.iter().all(|pod| pod.node != node);
    let mut said: Vec<String> = (answer.create.iter())
        .map(|node| match alone(node) {
            true => format!("A pod should run on {node}, and there is none."),
            false => format!("On {node} a new pod may come before the old one is gone: there is a surge."),
        })
        .collect();
    let doomed = request.pods.iter().filter(|pod| answer.delete.contains(&pod.name));
    said.extend(doomed.map(|pod| of_a_deletion(pod, &request)));
    if said.is_empty() {
        said.push("Each node has the pods that it may have.".into());
        said.push(match request.update {
            UpdateStrategy::OnDelete => "With OnDelete nothing is replaced.".into(),
            UpdateStrategy::RollingUpdate { .. } => {
                "No old pod may go now: too many are missing already, or there is none.".into()
            }
        });
    }
    Some(said)
}

fn of_a_node(template: &Template, node: &NodeView, wants: Wants) -> String {
    let name = &node.name;
    match wants {
        Wants { should_run: true, .. } => {
            format!("{name} is selected, and the pods tolerate all of its taints that matter.")
        }
        Wants { may_stay: true, .. } => {
            format!("A NoSchedule taint of {name} isn't tolerated. It keeps pods away, and drives none out.")
        }
        _ if template.node_name.as_ref().is_some_and(|wanted| wanted != name) => {
            format!("The template names another node than {name}.")
        }
        _ if !node.selected => format!("{name} isn't selected, so that nothing may stay there."),
        _ => format!("A NoExecute taint of {name} isn't tolerated. It drives pods out."),
    }
}

fn of_a_deletion(pod: &DaemonPod, request: &daemon_set::SyncRequest) -> String {
    let daemon_set::PodView { name, node, phase, updated, .. } = pod;
    match request.nodes.iter().find(|one| one.name == *node) {
        None if !pod.bound => format!("{name} waits for {node}, which isn't there."),
        Some(found) if !found.wants.may_stay => format!("{name} may not stay on {node}."),
        _ if matches!(phase, Phase::Failed | Phase::Succeeded) => format!("{name} has ended."),
        _ if *updated => format!("{name} is one too many on {node}, and not the first in order."),
        _ => format!("{name} is an old pod, or not the first on {node}, and may go now."),
    }
}
