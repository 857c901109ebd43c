//! Passes: each requirement is compiled into a set or an open interval, and a term is folded over the labels.

use kit::scheduler::{NodeAffinity, NodeLabels, NodeNames, NodeOperator, NodeRequirement, NodeTerm, PodNodeAffinity};
use std::collections::HashSet;

#[derive(Default)]
struct Exercise;

/// What a requirement says of the text that a node has.
enum Demand<'a> {
    OneOf(HashSet<&'a str>, bool),
    There(bool),
    /// Between these two, both excluded.
    Between(i128, i128),
}

impl<'a> Demand<'a> {
    fn of(requirement: &'a NodeRequirement) -> Self {
        let beyond = 1_i128 << 64;
        let bound = requirement.values.first().and_then(|value| value.parse::<i64>().ok()).map(i128::from);
        let listed = || requirement.values.iter().map(String::as_str).collect();
        match (requirement.operator, bound) {
            (NodeOperator::In, _) => Demand::OneOf(listed(), true),
            (NodeOperator::NotIn, _) => Demand::OneOf(listed(), false),
            (NodeOperator::Exists, _) => Demand::There(true),
            (NodeOperator::DoesNotExist, _) => Demand::There(false),
            (NodeOperator::Gt, Some(bound)) => Demand::Between(bound, beyond),
            (NodeOperator::Lt, Some(bound)) => Demand::Between(-beyond, bound),
            (_, None) => Demand::Between(0, 0),
        }
    }

    fn allows(&self, text: Option<&str>) -> bool {
        match self {
            Demand::OneOf(texts, inside) => text.is_some_and(|text| texts.contains(text)) == *inside,
            Demand::There(there) => text.is_some() == *there,
            Demand::Between(low, high) => match text.map(str::parse::<i64>) {
                Some(Ok(number)) => *low < i128::from(number) && i128::from(number) < *high,
                _ => false,
            },
        }
    }
}

/// None for a term that says nothing.
fn verdict(term: &NodeTerm, node: &NodeLabels) -> Option<bool> {
    let labels = term.expressions.iter().map(|e| Demand::of(e).allows(node.labels.get(&e.key).map(String::as_str)));
    let name = term.fields.iter().map(|field| Demand::of(field).allows(Some(&node.name)));
    labels.chain(name).reduce(|all, this| all & this)
}

impl NodeAffinity for Exercise {
    fn node_names(&self, pod: &PodNodeAffinity) -> NodeNames {
        let mut all: Vec<String> = Vec::new();
        let terms = pod.required.iter().flatten();
        let mut count = 0;
        for term in terms {
            count += 1;
            let mut lists = term.fields.iter().filter(|f| f.operator == NodeOperator::In).map(|f| &f.values);
            let Some(mut names) = lists.next().cloned() else { return NodeNames::Any };
            lists.for_each(|list| names.retain(|name| list.contains(name)));
            all.append(&mut names);
        }
        if count == 0 {
            return NodeNames::Any;
        }
        all.sort_unstable();
        all.dedup();
        NodeNames::Only(all)
    }

    fn filter(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> bool {
        let mine = node.labels.iter().filter(|(key, value)| pod.node_selector.get(*key) == Some(*value)).count();
        let terms = pod.required.as_ref().map(|terms| terms.iter().filter_map(|term| verdict(term, node)).max());
        mine == pod.node_selector.len() && terms != Some(None) && terms != Some(Some(false))
    }

    fn score(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> i64 {
        let worth = |sum, wish: &kit::scheduler::PreferredTerm| match verdict(&wish.term, node) {
            Some(true) => sum + wish.weight,
            _ => sum,
        };
        pod.preferred.iter().fold(0, worth)
    }
}

kit::exercise!(Exercise: NodeAffinity);
