//! The pods of a DaemonSet: what one is made of, and for which node it is.
//!
//! Source: `pkg/controller/daemon/util/daemonset_util.go`. The scheduler places the pods, so that a pod names its node in
//! an affinity.

use super::history;
use crate::template;
use kit_api::apps::DaemonSet;
use kit_api::core::{Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec};
use kit_api::{node_selector, pod};
use kit_apimachinery::object::About;
use kit_contract::workloads::DaemonSetController;
use kit_contract::workloads::daemon_set::{NodeView, Template};
use std::collections::BTreeMap;

/// Counts changes of the template; of use to nobody since there are revisions (`DeprecatedTemplateGeneration`).
const GENERATION: &str = "deprecated.daemonset.template.generation";
/// The field of a node that its name is (`metav1.ObjectNameField`).
const NAME: &str = "metadata.name";

/// What matters of the template to the module.
pub fn template_view(template: &PodSpec) -> Template {
    Template {
        node_name: template.node_name.clone().filter(|name| !name.is_empty()),
        host_network: template.host_network == Some(true),
        tolerations: template.tolerations.clone().unwrap_or_default(),
    }
}

/// What matters of a node to the module.
pub fn node_view(template: &PodSpec, node: &Node) -> NodeView {
    NodeView {
        name: About::from(node).name().into(),
        selected: node_selector::allows(template, node),
        taints: node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default(),
    }
}

/// A new pod for a node (`CreatePodTemplate`).
pub(super) fn new(set: &DaemonSet, node: &str, hash: &str, module: &dyn DaemonSetController) -> Pod {
    let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let mut pod = template::pod(template, About::from(set));
    let labels = pod.metadata.labels.get_or_insert_default();
    if let Some(generation) = set.metadata.annotations.as_ref().and_then(|all| all.get(GENERATION)) {
        labels.insert("pod-template-generation".into(), generation.clone());
    }
    labels.insert(history::HASH.into(), hash.into());
    let spec = pod.spec.get_or_insert_default();
    spec.tolerations = Some(module.tolerations(&template_view(spec)));
    let affinity = spec.affinity.get_or_insert_default().node_affinity.get_or_insert_default();
    // What the template asks of nodes was asked of this one already.
    affinity.required_during_scheduling_ignored_during_execution = Some(named(node));
    pod
}

/// Selects one node (`ReplaceDaemonSetPodNodeNameNodeAffinity`).
fn named(node: &str) -> NodeSelector {
    let name =
        NodeSelectorRequirement { key: NAME.into(), operator: "In".into(), values: Some(vec![node.to_string()]) };
    let term = NodeSelectorTerm { match_expressions: None, match_fields: Some(vec![name]) };
    NodeSelector { node_selector_terms: vec![term] }
}

/// The node that a pod is bound to, or is meant for (`GetTargetNodeName`).
pub fn target_node(pod: &Pod) -> Option<&str> {
    pod::node_name(pod).or_else(|| {
        let affinity = pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
        let terms = &affinity.required_during_scheduling_ignored_during_execution.as_ref()?.node_selector_terms;
        let fields = terms.iter().flat_map(|term| term.match_fields.iter().flatten());
        let name = fields.into_iter().find(|field| field.key == NAME && field.operator == "In")?;
        match name.values.as_deref() {
            Some([node]) => Some(node),
            _ => None,
        }
    })
}

/// Pods by the nodes that they are for (`getNodesToDaemonPods`).
pub(super) fn by_node<'p>(pods: impl IntoIterator<Item = &'p Pod>) -> BTreeMap<&'p str, Vec<&'p Pod>> {
    let mut by_node: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in pods {
        if let Some(node) = target_node(pod) {
            by_node.entry(node).or_default().push(pod);
        }
    }
    by_node
}

/// Whether there is nothing to do about a pod any more: it has ended and is being deleted.
pub(super) fn is_over(pod: &Pod) -> bool {
    pod::is_finished(pod) && pod::is_terminating(pod)
}

/// Whether a pod is of the revision with this hash (`IsPodUpdated`). Upstream compares the template's generation too, but
/// with the address of the number, so that it never matches.
pub(super) fn is_updated(pod: &Pod, hash: &str) -> bool {
    !hash.is_empty() && history::hash_of(&pod.metadata) == hash
}
