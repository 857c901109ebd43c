//! Which nodes a pod asks for: `nodeSelector` and required node affinity.
//!
//! Source: `staging/src/k8s.io/component-helpers/scheduling/corev1/nodeaffinity/nodeaffinity.go`.

use crate::core::{Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec};
use crate::selector::{Labels, Operator, Requirement};

/// Whether the node is one that the pod's `nodeSelector` and required affinity both allow (`GetRequiredNodeAffinity`).
pub fn allows(spec: &PodSpec, node: &Node) -> bool {
    let none = Labels::new();
    let labels = node.metadata.labels.as_ref().unwrap_or(&none);
    let selected = spec.node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    selected && required.is_none_or(|selector| matches(selector, node))
}

/// Whether any of the terms holds. A selector without terms matches no node, and neither does an empty term.
pub fn matches(selector: &NodeSelector, node: &Node) -> bool {
    selector.node_selector_terms.iter().any(|term| term_matches(term, node))
}

/// The same of a node of which only name and labels are known.
pub fn matches_labels(selector: &NodeSelector, name: &str, labels: &Labels) -> bool {
    selector.node_selector_terms.iter().any(|term| term_matches_labels(term, name, labels))
}

/// Whether all of one term's requirements hold; one that is invalid never does.
pub fn term_matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let none = Labels::new();
    let labels = node.metadata.labels.as_ref().unwrap_or(&none);
    term_matches_labels(term, node.metadata.name.as_deref().unwrap_or_default(), labels)
}

fn term_matches_labels(term: &NodeSelectorTerm, name: &str, labels: &Labels) -> bool {
    let (expressions, fields) = (term.match_expressions.as_deref(), term.match_fields.as_deref());
    let (expressions, fields) = (expressions.unwrap_or_default(), fields.unwrap_or_default());
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let label = |requirement: &NodeSelectorRequirement| {
        operator(&requirement.operator)
            .and_then(|op| Requirement::new(&requirement.key, op, requirement.values.clone().unwrap_or_default()).ok())
            .is_some_and(|requirement| requirement.matches(labels))
    };
    let field = |requirement: &NodeSelectorRequirement| {
        // The only field that nodes offer.
        let value = if requirement.key == "metadata.name" { name } else { "" };
        match (requirement.operator.as_str(), requirement.values.as_deref().unwrap_or_default()) {
            ("In", [wanted]) => value == wanted,
            ("NotIn", [unwanted]) => value != unwanted,
            _ => false,
        }
    };
    expressions.iter().all(label) && fields.iter().all(field)
}

fn operator(name: &str) -> Option<Operator> {
    Some(match name {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan,
        "Lt" => Operator::LessThan,
        _ => return None,
    })
}
