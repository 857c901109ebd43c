//! Which waiting pods a change could help.
//!
//! Each plugin that refused a pod is asked about the changes that it is registered for; it errs on the side of another attempt.
//! Source: `EventsToRegister` of each plugin in `pkg/scheduler/framework/plugins`.

use super::class::{Class, HostPort, Pod, Term};
use super::objects::Objects;
use kit_api::core::Node;
use kit_api::pod_resources::resources;
use kit_api::toleration;
use kit_api::view::{Amounts, NodeResources};
use kit_contract::scheduler::{NodeLabels, PodNodeAffinity};

/// Something that happened.
pub enum Event<'a> {
    /// A node came, or is different.
    Node {
        /// As it was.
        old: Option<&'a Node>,
        /// As it is.
        new: &'a Node,
    },
    /// A node is gone.
    NodeGone(&'a Node),
    /// A pod was put on a node, or is different.
    Pod {
        /// As it was, if it was on the node before.
        old: Option<&'a Pod>,
        /// As it is.
        new: &'a Pod,
    },
    /// A pod is gone from its node.
    PodGone(&'a Pod),
    /// A claim for a volume came, or is different: its namespace and name.
    Claim(&'a str, &'a str),
    /// A volume or a storage class came, or is different.
    Storage,
}

/// Whether the change could help a pod that this plugin refused. `fits` says whether node affinity would let the pod in.
pub fn helps(
    plugin: &str,
    event: &Event<'_>,
    pod: &Pod,
    objects: &Objects,
    fits: &dyn Fn(&PodNodeAffinity, &NodeLabels) -> bool,
) -> bool {
    let class = &*pod.class;
    match (plugin, event) {
        ("NodeUnschedulable", Event::Node { old, new }) => old.is_none_or(cordoned) && !cordoned(new),
        ("NodeName", Event::Node { old: None, .. }) => true,
        ("TaintToleration", Event::Node { old, new }) => untaints(old, new, class),
        ("NodeAffinity", Event::Node { old, new }) => {
            let matches = |node: &Node| fits(&class.node_affinity, &labels_of(node));
            matches(new) && !old.is_some_and(matches)
        }
        ("NodePorts", Event::Node { old: None, .. }) => true,
        ("NodePorts", Event::PodGone(gone)) => share(&class.ports, &gone.class.ports),
        ("NodeResourcesFit", Event::PodGone(_)) => true,
        ("NodeResourcesFit", Event::Pod { old: Some(old), new }) => {
            let amounts = |pod: &Pod| pod.class.request.requests.clone();
            any_greater(&amounts(old), &amounts(new))
        }
        ("NodeResourcesFit", Event::Node { old, new }) => {
            could_hold(class, new) && old.is_none_or(|old| grew(old, new))
        }
        ("VolumeBinding" | "VolumeZone" | "NodeVolumeLimits", Event::Storage) => true,
        ("VolumeRestrictions" | "NodeVolumeLimits", Event::PodGone(gone)) => {
            gone.class.namespace == class.namespace && !gone.class.claims.is_empty()
        }
        ("VolumeRestrictions" | "NodeVolumeLimits", Event::Node { old: None, .. }) => true,
        ("VolumeBinding" | "VolumeZone" | "VolumeRestrictions", Event::Claim(namespace, name)) => {
            class.namespace == *namespace && class.claims.iter().any(|claim| claim.name == *name)
        }
        ("VolumeBinding" | "VolumeZone", Event::Node { old, new }) => {
            old.is_none_or(|old| old.metadata.labels != new.metadata.labels)
        }
        ("PodTopologySpread", Event::Pod { old, new }) => {
            old.is_none_or(|old| old.class.labels != new.class.labels)
                && (counts(class, new) || old.is_some_and(|old| counts(class, old)))
        }
        ("PodTopologySpread", Event::PodGone(gone)) => counts(class, gone),
        ("PodTopologySpread", Event::NodeGone(node)) => has_topology(class, node),
        ("PodTopologySpread", Event::Node { old, new }) => {
            let changed = |old: &Node| {
                class
                    .spread
                    .iter()
                    .any(|s| label(old, &s.constraint.topology_key) != label(new, &s.constraint.topology_key))
            };
            (has_topology(class, new) || old.is_some_and(|old| has_topology(class, old))) && old.is_none_or(changed)
        }
        ("InterPodAffinity", Event::Pod { old, new }) => {
            let near = |other: &Pod| means_all(&class.terms.affinity, &other.class, objects);
            let far = |other: &Pod| apart(class, &other.class, objects);
            match old {
                None => near(new),
                Some(old) => !near(old) && near(new) || far(old) && !far(new),
            }
        }
        ("InterPodAffinity", Event::PodGone(gone)) => apart(class, &gone.class, objects),
        ("InterPodAffinity", Event::Node { old, new }) => {
            let terms = || class.terms.affinity.iter().chain(&class.terms.anti_affinity);
            let differs = |term: &Term| {
                let value = label(new, &term.topology_key);
                value.is_some() && old.and_then(|old| label(old, &term.topology_key)) != value
            };
            old.is_none() || terms().any(differs)
        }
        _ => false,
    }
}

fn cordoned(node: &Node) -> bool {
    node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true))
}

/// Whether a taint kept the pod away, and none does now.
fn untaints(old: &Option<&Node>, new: &Node, class: &Class) -> bool {
    let keeps_away = |node: &Node| {
        let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        let mut hard = taints.filter(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
        hard.any(|taint| !class.tolerations.iter().any(|t| toleration::tolerates(t, taint)))
    };
    old.is_none_or(keeps_away) && !keeps_away(new)
}

fn labels_of(node: &Node) -> NodeLabels {
    let metadata = node.metadata.clone();
    NodeLabels { name: metadata.name.unwrap_or_default(), labels: metadata.labels.unwrap_or_default() }
}

fn label<'a>(node: &'a Node, key: &str) -> Option<&'a String> {
    node.metadata.labels.as_ref()?.get(key)
}

fn share(wanted: &[HostPort], freed: &[HostPort]) -> bool {
    wanted.iter().any(|port| freed.iter().any(|other| port.conflicts_with(other)))
}

fn any_greater(one: &Amounts, other: &Amounts) -> bool {
    one.milli_cpu > other.milli_cpu
        || one.memory > other.memory
        || one.ephemeral_storage > other.ephemeral_storage
        || one.scalar.iter().any(|(name, amount)| *amount > other.scalar.get(name).copied().unwrap_or(0))
}

/// Whether the node, empty, has enough of everything (`isFit`).
fn could_hold(class: &Class, node: &Node) -> bool {
    let NodeResources { allocatable, allowed_pods, .. } = NodeResources::from(node);
    allowed_pods >= 1 && !any_greater(&class.request.requests, &allocatable)
}

/// Whether there is more of anything (`haveAnyRequestedResourcesIncreased`).
fn grew(old: &Node, new: &Node) -> bool {
    let allocatable = |node: &Node| resources(node.status.as_ref().and_then(|status| status.allocatable.as_ref()));
    let (old, new) = (allocatable(old), allocatable(new));
    new.iter().any(|(name, amount)| old.get(name).is_none_or(|before| amount > before))
}

fn counts(class: &Class, other: &Pod) -> bool {
    class.namespace == other.class.namespace
        && class.spread.iter().any(|spread| spread.selector.matches(&other.class.labels))
}

fn has_topology(class: &Class, node: &Node) -> bool {
    class.spread.iter().all(|spread| label(node, &spread.constraint.topology_key).is_some())
}

fn means(term: &Term, class: &Class, objects: &Objects) -> bool {
    objects.resolve(term, Some(&class.namespace)).namespaces.contains(&class.namespace)
        && term.selector.matches(&class.labels)
}

fn means_all(terms: &[Term], class: &Class, objects: &Objects) -> bool {
    !terms.is_empty() && terms.iter().all(|term| means(term, class, objects))
}

/// Whether one of them wants to be far from the other.
fn apart(one: &Class, other: &Class, objects: &Objects) -> bool {
    one.terms.anti_affinity.iter().any(|term| means(term, other, objects))
        || other.terms.anti_affinity.iter().any(|term| means(term, one, objects))
}
