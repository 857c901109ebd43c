//! Passes: the node's name becomes one more label, so that expressions and fields are one list.

use kit::scheduler::{NodeAffinity, NodeLabels, NodeNames, NodeOperator, NodeRequirement, NodeTerm, PodNodeAffinity};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Exercise;

/// No label has such a key.
const NAME: &str = " name";

impl NodeAffinity for Exercise {
    fn node_names(&self, pod: &PodNodeAffinity) -> NodeNames {
        let terms = pod.required.clone().unwrap_or_default();
        let mut only = BTreeSet::new();
        for term in &terms {
            let is_naming = |field: &&NodeRequirement| field.operator == NodeOperator::In;
            let naming: Vec<_> = term.fields.iter().filter(is_naming).collect();
            let Some(first) = naming.first() else { return NodeNames::Any };
            only.extend(first.values.iter().filter(|name| naming.iter().all(|f| f.values.contains(name))).cloned());
        }
        if terms.is_empty() { NodeNames::Any } else { NodeNames::Only(only.into_iter().rev().collect()) }
    }

    fn filter(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> bool {
        let all = labels(node);
        let wrong = pod.node_selector.iter().find(|(key, value)| all.get(key.as_str()) != Some(&value.as_str()));
        let refused = pod.required.as_ref().is_some_and(|terms| !terms.iter().any(|term| holds(term, &all)));
        wrong.is_none() && !refused
    }

    fn score(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> i64 {
        let all = labels(node);
        pod.preferred.iter().map(|wish| if holds(&wish.term, &all) { wish.weight } else { 0 }).sum()
    }
}

fn labels(node: &NodeLabels) -> BTreeMap<&str, &str> {
    let own = node.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    own.chain([(NAME, node.name.as_str())]).collect()
}

fn holds(term: &NodeTerm, labels: &BTreeMap<&str, &str>) -> bool {
    let fields = term.fields.iter().map(|field| (NAME, field));
    let all: Vec<_> = term.expressions.iter().map(|e| (e.key.as_str(), e)).chain(fields).collect();
    !all.is_empty()
        && all.into_iter().all(|(key, requirement)| {
            let value = labels.get(key).copied();
            let number = value.and_then(|value| value.parse::<i64>().ok());
            let bound = || requirement.values[0].parse::<i64>().ok();
            match requirement.operator {
                NodeOperator::In => value.is_some_and(|value| requirement.values.iter().any(|v| v == value)),
                NodeOperator::NotIn => !requirement.values.iter().any(|v| Some(v.as_str()) == value),
                NodeOperator::Exists => value.is_some(),
                NodeOperator::DoesNotExist => value.is_none(),
                NodeOperator::Gt => number.is_some_and(|number| bound().is_some_and(|bound| number > bound)),
                NodeOperator::Lt => number.is_some_and(|number| bound().is_some_and(|bound| number < bound)),
            }
        })
}

kit::exercise!(Exercise: NodeAffinity);
