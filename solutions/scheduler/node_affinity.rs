//! The reference for `scheduler/node_affinity`.
//!
//! The names follow `pkg/scheduler/framework/plugins/nodeaffinity/node_affinity.go`.

// ANCHOR: solution
use kit::scheduler::{NodeAffinity, NodeLabels, NodeNames, NodeOperator, NodeRequirement, NodeTerm, PodNodeAffinity};
use std::collections::BTreeSet;

/// The NodeAffinity plugin.
#[derive(Default)]
pub struct Exercise;

impl NodeAffinity for Exercise {
    // ANCHOR: node_names
    fn node_names(&self, pod: &PodNodeAffinity) -> NodeNames {
        let terms = pod.required.as_deref().unwrap_or_default();
        // One term that names no node lets any node in.
        let names: Option<Vec<_>> = terms.iter().map(named_by).collect();
        match names {
            Some(names) if !names.is_empty() => {
                let together: BTreeSet<&String> = names.into_iter().flatten().collect();
                NodeNames::Only(together.into_iter().cloned().collect())
            }
            _ => NodeNames::Any,
        }
    }
    // ANCHOR_END: node_names

    // ANCHOR: filter
    fn filter(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> bool {
        let selected = pod.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value));
        selected && pod.required.as_ref().is_none_or(|terms| terms.iter().any(|term| matches(term, node)))
    }
    // ANCHOR_END: filter

    fn score(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> i64 {
        pod.preferred.iter().filter(|preferred| matches(&preferred.term, node)).map(|preferred| preferred.weight).sum()
    }
}

/// The names that all of a term's `metadata.name In` fields allow; none if it has no such field.
fn named_by(term: &NodeTerm) -> Option<BTreeSet<&String>> {
    let fields = term.fields.iter().filter(|field| field.key == "metadata.name" && field.operator == NodeOperator::In);
    fields.map(|field| field.values.iter().collect::<BTreeSet<_>>()).reduce(|a, b| &a & &b)
}

// ANCHOR: matches
fn matches(term: &NodeTerm, node: &NodeLabels) -> bool {
    let label = |requirement: &NodeRequirement| holds(requirement, node.labels.get(&requirement.key));
    let field =
        |requirement: &NodeRequirement| holds(requirement, (requirement.key == "metadata.name").then_some(&node.name));
    let is_empty = term.expressions.is_empty() && term.fields.is_empty();
    !is_empty && term.expressions.iter().all(label) && term.fields.iter().all(field)
}

fn holds(requirement: &NodeRequirement, value: Option<&String>) -> bool {
    let listed = value.is_some_and(|value| requirement.values.contains(value));
    let number = |text: &String| text.parse::<i64>().ok();
    let wanted = requirement.values.first().and_then(number);
    let compared = |holds: fn(&i64, &i64) -> bool| {
        value.and_then(number).zip(wanted).is_some_and(|(value, wanted)| holds(&value, &wanted))
    };
    match requirement.operator {
        NodeOperator::In => listed,
        NodeOperator::NotIn => !listed,
        NodeOperator::Exists => value.is_some(),
        NodeOperator::DoesNotExist => value.is_none(),
        NodeOperator::Gt => compared(i64::gt),
        NodeOperator::Lt => compared(i64::lt),
    }
}
// ANCHOR_END: matches
// ANCHOR_END: solution
