//! Passes: loops that leave as soon as they know, and names kept in a list.

use kit::scheduler::{NodeAffinity, NodeLabels, NodeNames, NodeOperator, NodeRequirement, NodeTerm, PodNodeAffinity};

#[derive(Default)]
struct Exercise;

impl NodeAffinity for Exercise {
    fn node_names(&self, pod: &PodNodeAffinity) -> NodeNames {
        let Some(terms) = &pod.required else { return NodeNames::Any };
        if terms.is_empty() {
            return NodeNames::Any;
        }
        let mut names: Vec<String> = Vec::new();
        for term in terms {
            let mut allowed: Option<Vec<String>> = None;
            for field in &term.fields {
                if field.operator != NodeOperator::In || field.key != "metadata.name" {
                    continue;
                }
                allowed = Some(match allowed {
                    None => field.values.clone(),
                    Some(before) => before.into_iter().filter(|name| field.values.contains(name)).collect(),
                });
            }
            let Some(allowed) = allowed else { return NodeNames::Any };
            for name in allowed {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        NodeNames::Only(names)
    }

    fn filter(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> bool {
        for (key, value) in &pod.node_selector {
            match node.labels.get(key) {
                Some(there) if there == value => {}
                _ => return false,
            }
        }
        match &pod.required {
            None => true,
            Some(terms) => terms.iter().any(|term| term_matches(term, node)),
        }
    }

    fn score(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> i64 {
        let mut sum = 0;
        for preferred in &pod.preferred {
            if term_matches(&preferred.term, node) {
                sum += preferred.weight;
            }
        }
        sum
    }
}

fn term_matches(term: &NodeTerm, node: &NodeLabels) -> bool {
    let mut looked_at_any = false;
    for expression in &term.expressions {
        looked_at_any = true;
        if !requirement_matches(expression, node.labels.get(&expression.key).map(String::as_str)) {
            return false;
        }
    }
    for field in &term.fields {
        looked_at_any = true;
        if !requirement_matches(field, Some(&node.name)) {
            return false;
        }
    }
    looked_at_any
}

fn requirement_matches(requirement: &NodeRequirement, value: Option<&str>) -> bool {
    use NodeOperator::*;
    match (requirement.operator, value) {
        (DoesNotExist | NotIn, None) | (Exists, Some(_)) => true,
        (DoesNotExist, Some(_)) | (_, None) => false,
        (In, Some(value)) => requirement.values.iter().any(|wanted| wanted == value),
        (NotIn, Some(value)) => requirement.values.iter().all(|unwanted| unwanted != value),
        (Gt | Lt, Some(value)) => {
            let (Ok(value), Ok(bound)) = (value.parse::<i64>(), requirement.values[0].parse::<i64>()) else {
                return false;
            };
            if requirement.operator == Gt { value > bound } else { value < bound }
        }
    }
}

kit::exercise!(Exercise: NodeAffinity);
