//! Pods and their containers.
//!
//! Source: `pkg/apis/core/validation/validation.go` (`ValidatePodSpec`, `validateContainers`).

use super::handlers::{PROBES, lifecycle_and_probes};
use super::volumes::{self, Volumes};
use super::{environment, meta, mounts, resources, scheduling, security};
use crate::field::{At, Errors, quoted};
use crate::go;
use kit_api::name;
use std::collections::BTreeSet;

const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// What an ephemeral container can't have, since it is no part of the pod's plan (`allowedEphemeralContainerFields`).
const NOT_EPHEMERAL: [&str; 8] = [
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

pub fn pod(e: &mut Errors, pod: &At<'_>) {
    let cost = pod.at("metadata.annotations").key(DELETION_COST);
    if cost.is_set() && !is_cost(cost.text()) {
        e.invalid(&cost, "must be a 32bit integer");
    }
    let mirror = pod.at("metadata.annotations").key("kubernetes.io/config.mirror");
    if mirror.is_set() && pod.at("spec.nodeName").text().is_empty() {
        e.invalid(&mirror, "must set spec.nodeName if mirror pod annotation is set");
    }
    let spec = pod.get("spec");
    pod_spec(e, &spec, pod.at("metadata.name").text());
    for container in spec.get("containers").items().iter().chain(&spec.get("initContainers").items()) {
        padded_image(e, container);
    }
    let (gates, ephemeral) = (spec.get("schedulingGates"), spec.get("ephemeralContainers"));
    // Pods get them by their subresource alone (`ValidatePodCreate`).
    if !ephemeral.is_empty() {
        e.forbidden(&ephemeral, "cannot be set on create");
    }
    if !spec.get("nodeName").text().is_empty() && !gates.is_empty() {
        e.forbidden(&spec.get("nodeName"), "cannot be set until all schedulingGates have been cleared");
    }
}

/// What `strconv.ParseInt` and `GetDeletionCostFromPodAnnotations` take: no plus sign, no leading zeros.
fn is_cost(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let leading = (digits.starts_with('0') && text != "0") || text.starts_with('+');
    !leading && text.parse::<i32>().is_ok()
}

/// Spaces around the name of an image (`validateContainerOnlyForPod`).
fn padded_image(e: &mut Errors, container: &At<'_>) {
    let image = container.get("image");
    if image.text().trim() != image.text() {
        e.invalid(&image, "must not have leading or trailing whitespace");
    }
}

/// A template of pods (`ValidatePodTemplateSpec`).
pub fn template(e: &mut Errors, template: &At<'_>) {
    template_metadata(e, template);
    pod_spec(e, &template.get("spec"), "");
    let ephemeral = template.at("spec.ephemeralContainers");
    if !ephemeral.is_empty() {
        e.forbidden(&ephemeral, "ephemeral containers not allowed in pod template");
    }
}

/// The labels and annotations that pods will have.
pub fn template_metadata(e: &mut Errors, template: &At<'_>) {
    // Upstream leaves `metadata` out of these paths.
    for (field, check) in [("labels", meta::labels as fn(&mut Errors, &At<'_>)), ("annotations", meta::annotations)] {
        let mut at = template.at("metadata").get(field);
        at.path = format!("{}.{field}", template.path);
        check(e, &at);
    }
    let cost = template.at("metadata.annotations").key(DELETION_COST);
    if cost.is_set() && !is_cost(cost.text()) {
        e.invalid(&cost.as_path(format!("{}.annotations[{DELETION_COST}]", template.path)), "must be a 32bit integer");
    }
}

fn pod_spec(e: &mut Errors, spec: &At<'_>, pod: &str) {
    let volumes = volumes::volumes(e, &spec.get("volumes"), pod);
    containers(e, spec, &volumes);
    init_containers(e, spec, &volumes);
    ephemeral_containers(e, spec, &volumes);
    host_network(e, spec, !pod.is_empty());
    e.one_of(&spec.get("restartPolicy"), &["Always", "OnFailure", "Never"]);
    let dns = spec.get("dnsPolicy");
    e.one_of(&dns, &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]);
    meta::labels(e, &spec.get("nodeSelector"));
    security::of_pod(e, spec);
    scheduling::affinity(e, &spec.get("affinity"));
    dns_config(e, &spec.get("dnsConfig"), dns.text());
    for gate in spec.get("readinessGates").items() {
        meta::label_name(e, &gate.get("conditionType"));
    }
    scheduling_gates(e, &spec.get("schedulingGates"));
    scheduling::spread(e, &spec.get("topologySpreadConstraints"));
    security::host_process(e, spec);
    security::host_users(e, spec);
    for (field, check) in
        [("serviceAccountName", name::dns1123_subdomain as super::Name), ("nodeName", name::dns1123_subdomain)]
    {
        let at = spec.get(field);
        if !at.text().is_empty() {
            e.all_invalid(&at, check(at.text()));
        }
    }
    let deadline = spec.get("activeDeadlineSeconds");
    if deadline.int().is_some_and(|value| !(1..=i64::from(i32::MAX)).contains(&value)) {
        e.invalid(&deadline, "must be between 1 and 2147483647, inclusive");
    }
    for field in ["hostname", "subdomain"] {
        let at = spec.get(field);
        if !at.text().is_empty() {
            e.all_invalid(&at, name::dns1123_label(at.text()));
        }
    }
    scheduling::tolerations(e, &spec.get("tolerations"));
    for alias in spec.get("hostAliases").items() {
        let ip = alias.get("ip");
        if ip.text().parse::<std::net::IpAddr>().is_err() {
            e.invalid(&ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        }
        for host in alias.get("hostnames").items() {
            e.all_invalid(&host, name::dns1123_subdomain(host.text()));
        }
    }
    let class = spec.get("priorityClassName");
    if !class.text().is_empty() {
        e.all_invalid(&class, name::dns1123_subdomain(class.text()));
    }
    let runtime = spec.get("runtimeClassName");
    if runtime.is_set() {
        e.all_invalid(&runtime, name::dns1123_subdomain(runtime.text()));
    }
    let preemption = spec.get("preemptionPolicy");
    if preemption.is_set() {
        e.one_of(&preemption, &["PreemptLowerPriority", "Never"]);
    }
    resources::overhead(e, &spec.get("overhead"));
    security::operating_system(e, spec);
}

fn containers(e: &mut Errors, spec: &At<'_>, volumes: &Volumes<'_>) {
    let list = spec.get("containers");
    if list.is_empty() {
        return e.required(&list, "");
    }
    let mut names = BTreeSet::new();
    for container in list.items() {
        container_common(e, &container, spec, volumes);
        unique_name(e, &container, &mut names);
        lifecycle_and_probes(e, &container, grace(spec));
        if container.get("restartPolicy").is_set() {
            e.forbidden(&container.get("restartPolicy"), "may not be set for non-init containers");
        }
    }
    host_port_conflicts(e, &list.items());
}

/// How long the pod may take to end, in seconds.
fn grace(spec: &At<'_>) -> i64 {
    spec.get("terminationGracePeriodSeconds").int().unwrap_or_default()
}

fn unique_name(e: &mut Errors, container: &At<'_>, names: &mut BTreeSet<String>) {
    let name = container.get("name");
    if !names.insert(name.text().into()) {
        e.duplicate(&name, &quoted(name.text()));
    }
}

fn names_in(list: &At<'_>) -> BTreeSet<String> {
    list.items().iter().map(|container| container.get("name").text().to_string()).collect()
}

fn init_containers(e: &mut Errors, spec: &At<'_>, volumes: &Volumes<'_>) {
    let list = spec.get("initContainers");
    let mut names = names_in(&spec.get("containers"));
    for container in list.items() {
        container_common(e, &container, spec, volumes);
        let policy = container.get("restartPolicy");
        if policy.is_set() && policy.text() != "Always" {
            e.not_supported(&policy, &["Always"]);
        }
        unique_name(e, &container, &mut names);
        // Each is looked at as if it were the first of the list.
        let alone = container.as_path(format!("{}[0]", list.path));
        host_port_conflicts(e, std::slice::from_ref(&alone));
        if policy.text() == "Always" {
            lifecycle_and_probes(e, &container, grace(spec));
        } else {
            for field in ["lifecycle"].into_iter().chain(PROBES) {
                if container.get(field).is_set() {
                    let why = "may not be set for init containers without restartPolicy=Always";
                    e.forbidden(&container.get(field), why);
                }
            }
        }
    }
}

fn ephemeral_containers(e: &mut Errors, spec: &At<'_>, volumes: &Volumes<'_>) {
    let others: BTreeSet<String> =
        ["containers", "initContainers"].iter().flat_map(|list| names_in(&spec.get(list))).collect();
    let mut names = others.clone();
    for container in spec.get("ephemeralContainers").items() {
        container_common(e, &container, spec, volumes);
        padded_image(e, &container);
        let name = container.get("name");
        if !names.insert(name.text().into()) {
            e.duplicate(&name, &quoted(name.text()));
        }
        let target = container.get("targetContainerName");
        if !target.text().is_empty() && !others.contains(target.text()) {
            e.not_found_as(&target, target.text());
        }
        for field in NOT_EPHEMERAL {
            let at = container.get(field);
            if at.is_set() && !(at.is_empty() && field == "resources") {
                e.forbidden(&at, "cannot be set for an Ephemeral Container");
            }
        }
        for mount in container.get("volumeMounts").items() {
            for field in ["subPath", "subPathExpr"] {
                if !mount.get(field).text().is_empty() {
                    e.forbidden(&mount.get(field), "cannot be set for an Ephemeral Container");
                }
            }
        }
    }
}

fn container_common(e: &mut Errors, container: &At<'_>, spec: &At<'_>, volumes: &Volumes<'_>) {
    let name = container.get("name");
    match name.text() {
        "" => e.required(&name, ""),
        text => e.all_invalid(&name, name::dns1123_label(text)),
    }
    if container.get("image").text().is_empty() {
        e.required(&container.get("image"), "");
    }
    e.one_of(&container.get("terminationMessagePolicy"), &["File", "FallbackToLogsOnError"]);
    ports(e, &container.get("ports"));
    environment::environment(e, container);
    mounts::mounts(e, container, volumes);
    e.one_of(&container.get("imagePullPolicy"), &PULL_POLICIES);
    resources::requirements(e, &container.get("resources"));
    resize_policy(e, &container.get("resizePolicy"), spec.get("restartPolicy").text());
    let host_users = spec.get("hostUsers").value.as_bool().unwrap_or(true);
    security::of_container(e, &container.get("securityContext"), host_users);
}

fn resize_policy(e: &mut Errors, list: &At<'_>, restarts: &str) {
    let mut seen = BTreeSet::new();
    for policy in list.items() {
        // The paths of these have no index.
        let at = |field: &str| policy.get(field).as_path(list.path.clone());
        let (resource, restart) = (at("resourceName"), at("restartPolicy"));
        if !seen.insert(resource.text()) {
            e.duplicate(&policy, resource.text());
        }
        match resource.text() {
            "" => e.required(&resource, ""),
            "cpu" | "memory" => {}
            text => e.not_supported_as(&resource, text, &["cpu", "memory"]),
        }
        e.one_of(&restart, &["NotRequired", "RestartContainer"]);
        if restarts == "Never" && restart.text() != "NotRequired" {
            e.invalid_text(&restart, "must be 'NotRequired' when `restartPolicy` is 'Never'");
        }
    }
}

fn ports(e: &mut Errors, ports: &At<'_>) {
    let mut names = BTreeSet::new();
    for port in ports.items() {
        let name = port.get("name");
        if !name.text().is_empty() {
            let problems = name::port_name(name.text());
            if problems.is_empty() && !names.insert(name.text()) {
                e.duplicate(&name, &quoted(name.text()));
            }
            e.all_invalid(&name, problems);
        }
        let number = port.get("containerPort");
        match number.int().unwrap_or_default() {
            0 => e.required(&number, ""),
            _ => port_number(e, &number),
        }
        if port.get("hostPort").int().unwrap_or_default() != 0 {
            port_number(e, &port.get("hostPort"));
        }
        e.one_of(&port.get("protocol"), &PROTOCOLS);
    }
}

/// A number of a port.
pub fn port_number(e: &mut Errors, at: &At<'_>) {
    if at.int().is_some_and(|value| !(1..=65535).contains(&value)) {
        e.invalid(at, "must be between 1 and 65535, inclusive");
    }
}

fn host_port_conflicts(e: &mut Errors, containers: &[At<'_>]) {
    let mut taken = BTreeSet::new();
    for port in containers.iter().flat_map(|container| container.get("ports").items()) {
        let number = port.get("hostPort").int().unwrap_or_default();
        let claim = format!("{}/{}/{number}", port.get("protocol").text(), port.get("hostIP").text());
        if number != 0 && !taken.insert(claim.clone()) {
            e.duplicate(&port.get("hostPort"), &quoted(claim));
        }
    }
}

/// A container on the network of its node has the ports that it listens on (`validatePodHostNetworkDeps`).
fn host_network(e: &mut Errors, spec: &At<'_>, is_pod: bool) {
    if !spec.get("hostNetwork").flag() {
        return;
    }
    for port in spec.get("containers").items().iter().flat_map(|container| container.get("ports").items()) {
        let host = port.get("hostPort").int().unwrap_or_default();
        if (is_pod || host != 0) && host != port.get("containerPort").int().unwrap_or_default() {
            let why = "must match `containerPort` when `hostNetwork` is true";
            e.invalid_as(&port.get("hostPort"), &host.to_string(), why);
        }
    }
}

/// A port by its number or its name.
pub fn port_number_or_name(e: &mut Errors, at: &At<'_>) {
    match at.value.as_str() {
        Some(text) => e.all_invalid(at, name::port_name(text)),
        None if !at.int().is_some_and(|value| (1..=65535).contains(&value)) => {
            e.invalid(at, "must be between 1 and 65535, inclusive");
        }
        None => {}
    }
}

fn dns_config(e: &mut Errors, config: &At<'_>, policy: &str) {
    if policy == "None" && !config.is_set() {
        return e.required(config, "must provide `dnsConfig` when `dnsPolicy` is None");
    }
    let servers = config.get("nameservers");
    if policy == "None" && servers.is_empty() {
        return e.required(&servers, "must provide at least one DNS nameserver when `dnsPolicy` is None");
    }
    if servers.len() > 3 {
        e.invalid_as(&servers, &go::strings(servers.value), "must not have more than 3 nameservers");
    }
    for server in servers.items() {
        if server.text().parse::<std::net::IpAddr>().is_err() {
            e.invalid(&server, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        }
    }
    let searches = config.get("searches");
    if searches.len() > 32 {
        e.invalid_as(&searches, &go::strings(searches.value), "must not have more than 32 search paths");
    }
    let length = searches.items().iter().map(|search| search.text().len() + 1).sum::<usize>();
    if length > 2048 + 1 {
        let why = "must not have more than 2048 characters (including spaces) in the search list";
        e.invalid_as(&searches, &go::strings(searches.value), why);
    }
    for search in searches.items() {
        let text = search.text().strip_suffix('.').unwrap_or(search.text());
        if search.text() != "." {
            let problems = name::dns1123_subdomain_with_underscore(text);
            problems.iter().for_each(|problem| e.invalid_as(&search, &quoted(text), problem));
        }
    }
    for option in config.get("options").items() {
        if option.get("name").text().is_empty() {
            e.required(&option, "must not be empty");
        }
    }
}

fn scheduling_gates(e: &mut Errors, gates: &At<'_>) {
    let mut seen = BTreeSet::new();
    for gate in gates.items() {
        let name = gate.get("name");
        // The path is the gate, not its name.
        let at = At { value: name.value, path: gate.path.clone() };
        e.all_invalid(&at, name::qualified_name(name.text()));
        if !seen.insert(name.text()) {
            e.duplicate(&gate, &quoted(name.text()));
        }
    }
}
