//! What is allowed but unwise in an object that is written: whoever sends it is told so, if it is taken.
//!
//! Sources: `WarningsOnCreate` and `WarningsOnUpdate` of `pkg/registry/*/*/strategy.go`, `pkg/api/{pod,node,job,service,
//! persistentvolume,persistentvolumeclaim}` (`warnings.go`, `util.go`), and of custom resources
//! `apiextensions-apiserver/pkg/registry/customresource/{strategy,validator}.go`.

use crate::field::{At, quoted};
use kit_api::{Quantity, name};
use kit_apimachinery::resource::Resource;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Labels of nodes that have other names now.
const OLD_LABELS: [(&str, &str); 7] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    ("scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"),
];

/// Annotations of pods that are fields now.
const OLD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];

/// Kinds of volumes whose drivers are gone or will be, and what is said of them.
const OLD_VOLUMES: [(&str, &str, &str); 9] = [
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

const NO_POD: &str = "a null labelSelector results in matching no pod";

/// What is to be told of an object; `old` is what it was before, if it was there.
pub fn advice(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
    let (mut told, root) = (Vec::new(), At::root(object));
    let t = &mut told;
    if resource.custom {
        finalizers(t, &root, old);
        return told;
    }
    // Templates are looked at again only when something of what is asked for has changed.
    let generation = |object: &Value| object["metadata"]["generation"].clone();
    let looked_at = old.is_none_or(|old| generation(old) != generation(object));
    match resource.kind.as_str() {
        "Pod" if old.is_none() => {
            hosts(t, &root, "the Pod's hostname");
            pod(t, &root);
        }
        kind @ ("Deployment"
        | "ReplicaSet"
        | "ReplicationController"
        | "StatefulSet"
        | "DaemonSet"
        | "Job"
        | "CronJob") => {
            if old.is_none() && !["StatefulSet", "DaemonSet"].contains(&kind) {
                hosts(t, &root, "Pod names and hostnames");
            }
            let spec = if kind == "CronJob" { root.at("spec.jobTemplate.spec") } else { root.get("spec") };
            if looked_at {
                pod(t, &spec.get("template"));
            }
            if kind == "StatefulSet" {
                stateful_set(t, &spec);
            }
        }
        "PodTemplate" if looked_at => pod(t, &root.get("template")),
        "Service" => service(t, &root.get("spec")),
        "Node" => node(t, &root.get("spec")),
        "PersistentVolume" => volume(t, &root.get("spec")),
        "PersistentVolumeClaim" => {
            let spec = root.get("spec");
            amounts(t, &spec.at("resources.requests"), &["storage"]);
            amounts(t, &spec.at("resources.limits"), &["storage"]);
        }
        "Ingress" if old.is_none() => {
            let class = "kubernetes.io/ingress.class";
            if root.at("metadata.annotations").key(class).is_set() && !root.at("spec.ingressClassName").is_set() {
                t.push(format!("annotation {class:?} is deprecated, please use 'spec.ingressClassName' instead"));
            }
        }
        _ => {}
    }
    told
}

fn say(t: &mut Vec<String>, at: &At<'_>, what: &str) {
    t.push(format!("{}: {what}", at.path));
}

/// Names that become names of hosts.
fn hosts(t: &mut Vec<String>, object: &At<'_>, of: &str) {
    let at = object.at("metadata.name");
    let problems = name::dns1123_label(at.text());
    if !problems.is_empty() {
        let why = "which can result in surprising behavior; a DNS label is recommended";
        say(t, &at, &format!("this is used in {of}, {why}: [{}]", problems.join(" ")));
    }
}

/// Finalizers of custom resources belong to somebody, and say to whom.
fn finalizers(t: &mut Vec<String>, object: &At<'_>, old: Option<&Value>) {
    let before = old.map(|old| old["metadata"]["finalizers"].clone()).unwrap_or_default();
    let before = before.as_array().cloned().unwrap_or_default();
    let all = object.at("metadata.finalizers");
    let new: BTreeSet<&str> =
        all.items().iter().filter(|item| !before.contains(item.value)).map(|item| item.text()).collect();
    let known = ["orphan", "foregroundDeletion", "kubernetes"];
    for name in new.into_iter().filter(|name| !name.contains('/') && !known.contains(name)) {
        let why = "prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers";
        say(t, &all, &format!("{}: {why}", quoted(name)));
    }
}

/// Amounts that can't be parts of bytes.
fn amounts(t: &mut Vec<String>, list: &At<'_>, resources: &[&str]) {
    for at in resources.iter().map(|resource| list.key(resource)).filter(At::is_set) {
        let quantity: Quantity = at.text().parse().unwrap_or_default();
        if quantity.milli_value() % 1000 != 0 {
            say(t, &at, &format!("fractional byte value {} is invalid, must be an integer", quoted(at.text())));
        }
    }
}

fn stateful_set(t: &mut Vec<String>, spec: &At<'_>) {
    for claim in spec.get("volumeClaimTemplates").items() {
        for list in ["requests", "limits"] {
            // Told of as if the template had no field for what it asks.
            let of = claim.at("spec.resources").get(list).as_path(format!("{}.resources.{list}", claim.path));
            amounts(t, &of, &["storage"]);
        }
    }
    if spec.get("revisionHistoryLimit").int().is_some_and(|limit| limit < 0) {
        let why = "a negative value retains all historical revisions; a value >= 0 is recommended";
        say(t, &spec.get("revisionHistoryLimit"), why);
    }
}

fn service(t: &mut Vec<String>, spec: &At<'_>) {
    let is_name = spec.get("type").text() == "ExternalName";
    if is_name && !spec.get("externalIPs").is_empty() {
        t.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".into());
    }
    if !is_name && !spec.get("externalName").text().is_empty() {
        t.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".into());
    }
}

fn node(t: &mut Vec<String>, spec: &At<'_>) {
    if spec.get("configSource").is_set() {
        say(t, &spec.get("configSource"), "the feature is removed");
    }
    if !spec.get("externalID").text().is_empty() {
        say(t, &spec.get("externalID"), "this field is deprecated, and is unused by Kubernetes");
    }
}

fn volume(t: &mut Vec<String>, spec: &At<'_>) {
    let policy = spec.get("persistentVolumeReclaimPolicy");
    if policy.text() == "Recycle" {
        let why = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic \
                   provisioning.";
        say(t, &policy, why);
    }
    old_labels(t, &spec.at("nodeAffinity.required.nodeSelectorTerms"), "");
    for (field, name, what) in OLD_VOLUMES.iter().filter(|(field, ..)| !["flocker", "quobyte"].contains(field)) {
        if spec.get(field).is_set() {
            say(t, &spec.get(name), what);
        }
    }
}

/// Old labels in terms that select nodes.
fn old_labels(t: &mut Vec<String>, terms: &At<'_>, inner: &str) {
    for term in terms.items() {
        let term = if inner.is_empty() { term } else { term.get(inner) };
        for requirement in term.get("matchExpressions").items() {
            let key = requirement.get("key");
            if let Some((_, what)) = OLD_LABELS.iter().find(|(label, _)| *label == key.text()) {
                say(t, &key, &format!("{} is {what}", key.text()));
            }
        }
    }
}

/// `warningsForPodSpecAndMeta`, of a pod or a template.
fn pod(t: &mut Vec<String>, pod: &At<'_>) {
    let spec = pod.get("spec");
    for (label, what) in OLD_LABELS {
        let at = spec.get("nodeSelector").key(label);
        if at.is_set() {
            say(t, &at, what);
        }
    }
    let affinity = spec.get("affinity");
    let (required, preferred) =
        ("requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution");
    old_labels(t, &affinity.get("nodeAffinity").get(required).get("nodeSelectorTerms"), "");
    old_labels(t, &affinity.get("nodeAffinity").get(preferred), "preference");
    for constraint in spec.get("topologySpreadConstraints").items() {
        let key = constraint.get("topologyKey");
        if let Some((_, what)) = OLD_LABELS.iter().find(|(label, _)| *label == key.text()) {
            say(t, &key, &format!("{} is {what}", key.text()));
        }
        if !constraint.get("labelSelector").is_set() {
            say(t, &constraint.get("labelSelector"), NO_POD);
        }
    }
    for (annotation, what) in OLD_ANNOTATIONS {
        let at = pod.at("metadata.annotations").key(annotation);
        if at.is_set() {
            say(t, &at, what);
        }
    }
    for volume in spec.get("volumes").items() {
        for (field, name, what) in OLD_VOLUMES {
            if volume.get(field).is_set() {
                say(t, &volume.get(name), what);
            }
        }
    }
    twice(t, &spec.get("hostAliases"), "ip");
    twice(t, &spec.get("imagePullSecrets"), "name");
    for secret in spec.get("imagePullSecrets").items().iter().filter(|secret| secret.get("name").text().is_empty()) {
        say(t, &secret.get("name"), "invalid empty name \"\"");
    }
    amounts(t, &spec.get("overhead"), &["memory", "ephemeral-storage"]);
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let containers: Vec<At<'_>> = lists.iter().flat_map(|list| spec.get(list).items()).collect();
    for container in &containers {
        for resource in ["memory", "ephemeral-storage"] {
            for list in ["limits", "requests"] {
                amounts(t, &container.get("resources").get(list), &[resource]);
            }
        }
        variables(t, &container.get("env"));
    }
    ports(t, &containers);
    for kind in ["podAffinity", "podAntiAffinity"] {
        let terms = affinity.get(kind);
        let wanted = terms.get(preferred).items();
        let all = terms.get(required).items().into_iter().chain(wanted.iter().map(|term| term.get("podAffinityTerm")));
        for selector in all.map(|term| term.get("labelSelector")).filter(|selector| !selector.is_set()) {
            say(t, &selector, NO_POD);
        }
    }
}

/// Items of a list that are there before.
fn twice(t: &mut Vec<String>, list: &At<'_>, field: &str) {
    let mut seen = BTreeSet::new();
    for item in list.items().iter().map(|item| item.get(field)) {
        if !seen.insert(item.text()) {
            say(t, &item, &format!("duplicate {field} {}", quoted(item.text())));
        }
    }
}

/// A variable may be defined by what it was before, and is hidden otherwise.
fn variables(t: &mut Vec<String>, list: &At<'_>) {
    let mut seen = BTreeSet::new();
    for variable in list.items() {
        let name = variable.get("name").text();
        let (own, value) = (format!("$({name})"), variable.get("value").text());
        let hides = variable.get("valueFrom").is_set() || value == own || !value.contains(&own);
        if !seen.insert(name) && hides {
            let what = format!("hides previous definition of {}, which may be dropped when using apply", quoted(name));
            say(t, &variable, &what);
        }
    }
}

fn ports(t: &mut Vec<String>, containers: &[At<'_>]) {
    let all: Vec<At<'_>> = containers.iter().flat_map(|container| container.get("ports").items()).collect();
    let mut seen: BTreeMap<(i64, &str), Vec<&At<'_>>> = BTreeMap::new();
    let number = |port: &At<'_>, field: &str| port.get(field).int().unwrap_or_default();
    for port in &all {
        let (host, ip) = (number(port, "hostPort"), port.get("hostIP").text());
        let others = seen.entry((number(port, "containerPort"), port.get("protocol").text())).or_default();
        for other in others.iter() {
            let (their_host, their_ip) = (number(other, "hostPort"), other.get("hostIP").text());
            let how = match () {
                () if ip == their_ip && host == their_host => "duplicate",
                () if host == 0 || their_host == 0 => "overlapping",
                () if host == their_host && ip.is_empty() != their_ip.is_empty() => "dangerously ambiguous",
                () => continue,
            };
            say(t, port, &format!("{how} port definition with {}", other.path));
        }
        others.push(port);
    }
    let mut names: BTreeMap<&str, &At<'_>> = BTreeMap::new();
    for port in all.iter().filter(|port| !port.get("name").text().is_empty()) {
        let name = port.get("name").text();
        match names.get(name) {
            Some(other) => {
                let (name, other) = (quoted(name), &other.path);
                let what = format!(
                    "duplicate port name {name} with {other}, services and probes that select ports by name will use \
                     {other}"
                );
                say(t, port, &what);
            }
            None => _ = names.insert(name, port),
        }
    }
}
