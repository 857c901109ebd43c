//! Pods and their containers.
//!
//! Source: `pkg/apis/core/validation/validation.go` (`ValidatePodSpec`, `validateContainers`).

use super::{meta, resources, scheduling, volumes};
use crate::server::field::{At, Errors, quoted};
use kit_api::name;
use std::collections::BTreeSet;

const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
/// Kinds of probes, in upstream's order.
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

pub fn pod(e: &mut Errors, pod: &At<'_>) {
    let spec = pod.get("spec");
    pod_spec(e, &spec);
    let gates = spec.get("schedulingGates");
    if !spec.get("nodeName").text().is_empty() && !gates.is_empty() {
        e.forbidden(&spec.get("nodeName"), "cannot be set until all schedulingGates have been cleared");
    }
}

/// A template of pods (`ValidatePodTemplateSpec`).
pub fn template(e: &mut Errors, template: &At<'_>) {
    // Upstream leaves `metadata` out of these paths.
    for (field, check) in [("labels", meta::labels as fn(&mut Errors, &At<'_>)), ("annotations", meta::annotations)] {
        let mut at = template.at("metadata").get(field);
        at.path = format!("{}.{field}", template.path);
        check(e, &at);
    }
    pod_spec(e, &template.get("spec"));
    let ephemeral = template.at("spec.ephemeralContainers");
    if !ephemeral.is_empty() {
        e.forbidden(&ephemeral, "ephemeral containers not allowed in pod template");
    }
}

pub fn pod_spec(e: &mut Errors, spec: &At<'_>) {
    let volumes = volumes::volumes(e, &spec.get("volumes"));
    containers(e, &spec.get("containers"), &volumes);
    init_containers(e, &spec.get("initContainers"), &spec.get("containers"), &volumes);
    ephemeral_containers(e, spec);
    e.one_of(&spec.get("restartPolicy"), &["Always", "OnFailure", "Never"]);
    let dns = spec.get("dnsPolicy");
    e.one_of(&dns, &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]);
    meta::labels(e, &spec.get("nodeSelector"));
    security_context(e, spec);
    for secret in spec.get("imagePullSecrets").items() {
        if secret.get("name").text().is_empty() {
            e.required(&secret.get("name"), "");
        }
    }
    scheduling::affinity(e, &spec.get("affinity"));
    dns_config(e, &spec.get("dnsConfig"), dns.text());
    for gate in spec.get("readinessGates").items() {
        meta::label_name(e, &gate.get("conditionType"));
    }
    scheduling_gates(e, &spec.get("schedulingGates"));
    scheduling::spread(e, &spec.get("topologySpreadConstraints"));
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
    let preemption = spec.get("preemptionPolicy");
    if preemption.is_set() {
        e.one_of(&preemption, &["PreemptLowerPriority", "Never"]);
    }
    resources::list(e, &spec.get("overhead"));
    operating_system(e, spec);
}

fn containers(e: &mut Errors, list: &At<'_>, volumes: &BTreeSet<String>) {
    if list.is_empty() {
        return e.required(list, "");
    }
    let mut names = BTreeSet::new();
    for container in list.items() {
        container_common(e, &container, volumes);
        unique_name(e, &container, &mut names);
        lifecycle_and_probes(e, &container);
        if container.get("restartPolicy").is_set() {
            e.forbidden(&container.get("restartPolicy"), "may not be set for non-init containers");
        }
    }
    host_port_conflicts(e, list);
}

fn unique_name(e: &mut Errors, container: &At<'_>, names: &mut BTreeSet<String>) {
    let name = container.get("name");
    if !name.text().is_empty() && !names.insert(name.text().into()) {
        e.duplicate(&name, &quoted(name.text()));
    }
}

fn init_containers(e: &mut Errors, list: &At<'_>, regular: &At<'_>, volumes: &BTreeSet<String>) {
    let mut names: BTreeSet<String> = regular.items().iter().map(|c| c.get("name").text().to_string()).collect();
    for container in list.items() {
        container_common(e, &container, volumes);
        unique_name(e, &container, &mut names);
        let policy = container.get("restartPolicy");
        if policy.is_set() && policy.text() != "Always" {
            e.not_supported(&policy, &["Always"]);
        }
        if policy.text() == "Always" {
            lifecycle_and_probes(e, &container);
        } else {
            for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                if container.get(field).is_set() {
                    let why = "may not be set for init containers without restartPolicy=Always";
                    e.forbidden(&container.get(field), why);
                }
            }
        }
        host_port_conflicts_of(e, std::slice::from_ref(&container));
    }
}

fn ephemeral_containers(e: &mut Errors, spec: &At<'_>) {
    let list = spec.get("ephemeralContainers");
    // Pods get them by their subresource alone (`ValidatePodCreate`); templates tell it themselves.
    if !list.is_empty() && list.path == "spec.ephemeralContainers" {
        e.forbidden(&list, "cannot be set on create");
    }
}

fn container_common(e: &mut Errors, container: &At<'_>, volumes: &BTreeSet<String>) {
    let name = container.get("name");
    match name.text() {
        "" => e.required(&name, ""),
        text => e.all_invalid(&name, name::dns1123_label(text)),
    }
    let image = container.get("image");
    match image.text() {
        "" => e.required(&image, ""),
        text if text.trim() != text => e.invalid(&image, "must not have leading or trailing whitespace"),
        _ => {}
    }
    e.one_of(&container.get("terminationMessagePolicy"), &["FallbackToLogsOnError", "File"]);
    ports(e, &container.get("ports"));
    environment(e, container);
    volumes::mounts(e, &container.get("volumeMounts"), volumes);
    e.one_of(&container.get("imagePullPolicy"), &PULL_POLICIES);
    resources::requirements(e, &container.get("resources"));
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

fn host_port_conflicts(e: &mut Errors, list: &At<'_>) {
    host_port_conflicts_of(e, &list.items());
}

fn host_port_conflicts_of(e: &mut Errors, containers: &[At<'_>]) {
    let mut taken = BTreeSet::new();
    for port in containers.iter().flat_map(|container| container.get("ports").items()) {
        let number = port.get("hostPort").int().unwrap_or_default();
        let claim = format!("{}/{}/{number}", port.get("protocol").text(), port.get("hostIP").text());
        if number != 0 && !taken.insert(claim.clone()) {
            e.duplicate(&port.get("hostPort"), &quoted(claim));
        }
    }
}

fn environment(e: &mut Errors, container: &At<'_>) {
    for variable in container.get("env").items() {
        let name = variable.get("name");
        match name.text() {
            "" => e.required(&name, ""),
            text => e.all_invalid(&name, name::env_var_name(text)),
        }
        let from = variable.get("valueFrom");
        if !from.is_set() {
            continue;
        }
        let sources = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"];
        let said = sources.iter().filter(|source| from.get(source).is_set()).count();
        let value = variable.get("value").text();
        if !value.is_empty() && said > 0 {
            e.invalid_as(&from, "\"\"", "may not be specified when `value` is not empty");
        } else if said > 1 {
            e.invalid_as(&from, "\"\"", "may not have more than one field specified at a time");
        } else if said == 0 {
            let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
            e.invalid_as(&from, "\"\"", why);
        }
        for source in ["configMapKeyRef", "secretKeyRef"] {
            let source = from.get(source);
            if source.is_set() {
                if source.get("name").text().is_empty() {
                    e.required(&source.get("name"), "");
                }
                match source.get("key").text() {
                    "" => e.required(&source.get("key"), ""),
                    key => e.all_invalid(&source.get("key"), name::config_map_key(key)),
                }
            }
        }
        volumes::field_reference(e, &from.get("fieldRef"), &volumes::ENVIRONMENT_FIELDS);
    }
    for source in container.get("envFrom").items() {
        let said = ["configMapRef", "secretRef"].iter().filter(|field| source.get(field).is_set()).count();
        match said {
            0 => e.invalid_as(&source, "\"\"", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => e.invalid_as(&source, "\"\"", "may not have more than one field specified at a time"),
        }
        for field in ["configMapRef", "secretRef"] {
            if source.get(field).is_set() && source.get(field).get("name").text().is_empty() {
                e.required(&source.get(field).get("name"), "");
            }
        }
    }
}

fn lifecycle_and_probes(e: &mut Errors, container: &At<'_>) {
    let lifecycle = container.get("lifecycle");
    for hook in ["postStart", "preStop"] {
        let hook = lifecycle.get(hook);
        if hook.is_set() {
            handler(e, &hook, &["exec", "httpGet", "tcpSocket", "sleep"]);
        }
    }
    for name in PROBES {
        let probe = container.get(name);
        if !probe.is_set() {
            continue;
        }
        handler(e, &probe, &["exec", "httpGet", "tcpSocket", "grpc"]);
        for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
        {
            e.not_negative(&probe.get(field));
        }
        let grace = probe.get("terminationGracePeriodSeconds");
        if grace.int().is_some_and(|value| value <= 0) {
            e.invalid(&grace, "must be greater than 0");
        }
        let threshold = probe.get("successThreshold");
        if name != "readinessProbe" && threshold.int().is_some_and(|value| value != 1) {
            e.invalid(&threshold, "must be 1");
        }
        if name == "readinessProbe" && grace.is_set() {
            e.invalid(&grace, "must not be set for readinessProbes");
        }
    }
}

fn handler(e: &mut Errors, at: &At<'_>, kinds: &[&str]) {
    let mut said = 0;
    for kind in kinds {
        let handler = at.get(kind);
        if !handler.is_set() {
            continue;
        }
        said += 1;
        if said > 1 {
            e.forbidden(&handler, "may not specify more than 1 handler type");
            continue;
        }
        match *kind {
            "exec" if handler.get("command").is_empty() => e.required(&handler.get("command"), ""),
            "httpGet" => {
                if handler.get("path").text().is_empty() {
                    e.required(&handler.get("path"), "");
                }
                port_number_or_name(e, &handler.get("port"));
                e.one_of(&handler.get("scheme"), &["HTTP", "HTTPS"]);
            }
            "tcpSocket" | "grpc" => port_number_or_name(e, &handler.get("port")),
            _ => {}
        }
    }
    if said == 0 {
        e.required(at, "must specify a handler type");
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
        e.required(&servers, "must provide at least one DNS nameserver when `dnsPolicy` is None");
    }
    if servers.len() > 3 {
        e.invalid(&servers, "must not have more than 3 nameservers");
    }
    for server in servers.items() {
        if server.text().parse::<std::net::IpAddr>().is_err() {
            e.invalid(&server, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        }
    }
    for option in config.get("options").items() {
        if option.get("name").text().is_empty() {
            e.required(&option.get("name"), "must not be empty");
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

fn security_context(e: &mut Errors, spec: &At<'_>) {
    let context = spec.get("securityContext");
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        let id = context.get(field);
        if id.int().is_some_and(|id| !(0..=i64::from(i32::MAX)).contains(&id)) {
            e.invalid(&id, "must be between 0 and 2147483647, inclusive");
        }
    }
    if spec.get("hostPID").flag() && spec.get("shareProcessNamespace").flag() {
        let at = At { value: spec.get("shareProcessNamespace").value, path: "spec.shareProcessNamespace".into() };
        e.invalid(&at, "ShareProcessNamespace and HostPID cannot both be enabled");
    }
}

/// Fields that make sense for one operating system alone (`validateWindows`, `validateLinux`).
fn operating_system(e: &mut Errors, spec: &At<'_>) {
    let os = spec.at("os.name");
    if !spec.get("os").is_set() {
        return;
    }
    let forbid = |e: &mut Errors, at: &At<'_>, fields: &[&str], system: &str| {
        for field in fields {
            if at.get(field).is_set() {
                e.forbidden(&at.get(field), &format!("cannot be set for a {system} pod"));
            }
        }
    };
    let contexts = || {
        let containers = ["initContainers", "containers"].map(|list| spec.get(list).items());
        containers.into_iter().flatten().map(|container| container.get("securityContext"))
    };
    match os.text() {
        "" => e.required(&os, "cannot be empty"),
        "linux" => {
            forbid(e, &spec.get("securityContext"), &["windowsOptions"], "linux");
            contexts().for_each(|context| forbid(e, &context, &["windowsOptions"], "linux"));
        }
        "windows" => {
            forbid(e, spec, &["hostPID", "hostIPC", "hostNetwork"], "windows");
            let shared = ["appArmorProfile", "seccompProfile", "seLinuxOptions", "runAsUser", "runAsGroup"];
            let own = ["supplementalGroupsPolicy", "fsGroup", "fsGroupChangePolicy", "sysctls", "supplementalGroups"];
            let context = spec.get("securityContext");
            for fields in [&shared[..3], &["fsGroup", "fsGroupChangePolicy", "sysctls"], &["shareProcessNamespace"]] {
                forbid(e, &context, fields, "windows");
            }
            forbid(e, &context, &["runAsUser", "runAsGroup", "supplementalGroups", own[0]], "windows");
            let more =
                ["capabilities", "readOnlyRootFilesystem", "privileged", "allowPrivilegeEscalation", "procMount"];
            contexts().for_each(|context| {
                forbid(e, &context, &shared[..3], "windows");
                forbid(e, &context, &more, "windows");
                forbid(e, &context, &shared[3..], "windows");
            });
        }
        _ => e.not_supported(&os, &["linux", "windows"]),
    }
}
