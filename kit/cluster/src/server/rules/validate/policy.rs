//! What limits and configures others: budgets, priorities, quotas, roles, configuration.
//!
//! Sources: `pkg/apis/{policy,scheduling,rbac,coordination}/validation/validation.go`,
//! `pkg/apis/core/validation/validation.go`.

use super::{meta, resources, workloads};
use crate::server::field::{At, Errors, quoted};
use crate::server::go;
use crate::server::schema::named;
use base64::Engine as _;
use kit_api::name;

const DATA_LIMIT: usize = 1024 * 1024;
const HIGHEST_USER_PRIORITY: i64 = 1_000_000_000;

pub fn disruption_budget(e: &mut Errors, spec: &At<'_>) {
    let (least, most) = (spec.get("minAvailable"), spec.get("maxUnavailable"));
    if least.is_set() && most.is_set() {
        let shown = named("policy.PodDisruptionBudgetSpec").map(|of| go::dump(spec.value, of)).unwrap_or_default();
        e.invalid_as(spec, &shown, "minAvailable and maxUnavailable cannot be both set");
    }
    for count in [least, most].iter().filter(|count| count.is_set()) {
        workloads::count_or_percent(e, count);
        workloads::at_most_all(e, count);
    }
    meta::label_selector(e, &spec.get("selector"));
    let policy = spec.get("unhealthyPodEvictionPolicy");
    if policy.is_set() && !["AlwaysAllow", "IfHealthyBudget"].contains(&policy.text()) {
        e.not_supported(&policy, &["AlwaysAllow", "IfHealthyBudget"]);
    }
}

pub fn priority_class(e: &mut Errors, class: &At<'_>) {
    let (name, value) = (class.at("metadata.name"), class.get("value"));
    let system = [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];
    if name.text().starts_with("system-") {
        if !system.iter().any(|(known, at)| name.text() == *known && value.int() == Some(*at)) {
            let why = "priority class names with 'system-' prefix are reserved for system use only. error: \
                       %s is not a known system priority class";
            e.forbidden(&name, &why.replace("%s", name.text()));
        }
    } else if value.int().is_some_and(|value| value > HIGHEST_USER_PRIORITY) {
        e.forbidden(&value, &format!("maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"));
    }
    let policy = class.get("preemptionPolicy");
    if policy.is_set() {
        e.one_of(&policy, &["PreemptLowerPriority", "Never"]);
    }
}

/// What a quota may count that is no resource of containers.
const QUOTA_NAMES: [&str; 22] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
    "resourcequotas",
    "hugepages",
    "requests.hugepages",
    "limits.hugepages",
];

pub fn resource_quota(e: &mut Errors, spec: &At<'_>) {
    for (resource, amount) in spec.get("hard").entries() {
        let problems = name::qualified_name(resource);
        let huge = resource.contains("hugepages-");
        if !problems.is_empty() {
            problems.iter().for_each(|problem| e.invalid_as(&amount, &quoted(resource), problem));
        } else if !resource.contains('/') && !QUOTA_NAMES.contains(&resource) && !huge {
            e.invalid_as(&amount, &quoted(resource), "must be a standard resource type or fully qualified");
            e.invalid_as(&amount, &quoted(resource), "must be a standard resource for quota");
        }
        resources::not_negative(e, &amount);
        let counts = ["pods", "services", "secrets", "configmaps", "persistentvolumeclaims", "replicationcontrollers"];
        let whole = counts.contains(&resource) || resource.starts_with("count/") || resource.starts_with("services.");
        if whole && resources::quantity(&amount).milli_value() % 1000 != 0 {
            e.invalid_as(&amount, &go::quantity(amount.value, "resource.Quantity"), "must be an integer");
        }
    }
    let scopes = spec.get("scopes");
    let known =
        ["BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating"];
    for scope in scopes.items() {
        if !known.contains(&scope.text()) {
            let at = At { value: scope.value, path: scopes.path.clone() };
            e.invalid(&at, "unsupported scope");
        }
    }
    let said = |name: &str| scopes.items().iter().any(|scope| scope.text() == name);
    if (said("BestEffort") && said("NotBestEffort")) || (said("Terminating") && said("NotTerminating")) {
        e.invalid_as(&scopes, &go::dump_list(scopes.value, "core.ResourceQuotaScope"), "conflicting scopes");
    }
}

pub fn limit_range(e: &mut Errors, spec: &At<'_>) {
    let mut types = std::collections::BTreeSet::new();
    for limit in spec.get("limits").items() {
        let type_ = limit.get("type");
        if !types.insert(type_.text()) {
            e.duplicate(&type_, &quoted(type_.text()));
        }
        if type_.text() == "Pod" {
            for field in ["default", "defaultRequest"] {
                if !limit.get(field).is_empty() {
                    e.forbidden(&limit.get(field), "may not be specified when `type` is 'Pod'");
                }
            }
        }
        let storage = |field: &str| limit.get(field).key("storage").is_set();
        if type_.text() == "PersistentVolumeClaim" && !storage("min") && !storage("max") {
            e.required(&limit, "either minimum or maximum storage value is required, but neither was provided");
        }
        let lists = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];
        let names: std::collections::BTreeSet<&str> = lists
            .iter()
            .flat_map(|list| limit.get(list).entries().into_iter().map(|(name, _)| name).collect::<Vec<_>>())
            .collect();
        for name in names {
            limit_of(e, &limit, name);
        }
    }
}

fn limit_of(e: &mut Errors, limit: &At<'_>, name: &str) {
    let at = |list: &str| limit.get(list).key(name);
    let amount = |list: &str| at(list).is_set().then(|| resources::quantity(&at(list)));
    let (min, max) = (amount("min"), amount("max"));
    let (default, request) = (amount("default"), amount("defaultRequest"));
    let mut above = |list: &str, low: &Option<_>, low_name: &str, high: &Option<kit_api::Quantity>, high_name: &str| {
        if let (Some(low), Some(high)) = (low, high)
            && low > high
        {
            let shown = quoted(amount(list).unwrap_or_default());
            e.invalid_as(
                &at(list),
                &shown,
                &format!("{low_name} value {low} is greater than {high_name} value {high}"),
            );
        }
    };
    above("min", &min, "min", &max, "max");
    above("defaultRequest", &min, "min", &request, "default request");
    above("defaultRequest", &request, "default request", &max, "max");
    above("defaultRequest", &request, "default request", &default, "default limit");
    above("default", &min, "min", &default, "default");
    above("default", &default, "default", &max, "max");
    let ratio = amount("maxLimitRequestRatio");
    if ratio.as_ref().is_some_and(|ratio| ratio.milli_value() < 1000) {
        let shown = quoted(ratio.clone().unwrap_or_default());
        e.invalid_as(
            &at("maxLimitRequestRatio"),
            &shown,
            &format!("ratio {} is less than 1", ratio.unwrap_or_default()),
        );
    }
}

pub fn config_map(e: &mut Errors, map: &At<'_>) {
    let (data, binary) = (map.get("data"), map.get("binaryData"));
    let mut size = 0;
    for (key, value) in data.entries() {
        for problem in name::config_map_key(key) {
            e.invalid_as(&value, &quoted(key), &problem);
        }
        if binary.key(key).is_set() {
            e.invalid_as(&value, &quoted(key), "duplicate of key present in binaryData");
        }
        size += value.text().len();
    }
    for (key, value) in binary.entries() {
        for problem in name::config_map_key(key) {
            e.invalid_as(&value, &quoted(key), &problem);
        }
        size += value.text().len() / 4 * 3;
    }
    if size > DATA_LIMIT {
        e.too_long(&At { value: map.value, path: String::new() }, DATA_LIMIT);
    }
}

pub fn secret(e: &mut Errors, secret: &At<'_>) {
    let data = secret.get("data");
    let mut size = 0;
    for (key, value) in data.entries() {
        for problem in name::config_map_key(key) {
            e.invalid_as(&value, &quoted(key), &problem);
        }
        size += value.text().len() / 4 * 3;
    }
    if size > DATA_LIMIT {
        e.too_long(&data, DATA_LIMIT);
    }
    let required = |e: &mut Errors, keys: &[&str]| {
        for key in keys {
            if !data.key(key).is_set() {
                e.required(&data.key(key), "");
            }
        }
    };
    let json = |e: &mut Errors, key: &str| {
        let at = data.key(key);
        match base64::engine::general_purpose::STANDARD.decode(at.text()) {
            Ok(bytes) if at.is_set() && serde_json::from_slice::<serde_json::Value>(&bytes).is_err() => {
                e.invalid_as(&at, "\"<secret contents redacted>\"", "unexpected end of JSON input");
            }
            _ if !at.is_set() => e.required(&at, ""),
            _ => {}
        }
    };
    match secret.get("type").text() {
        "kubernetes.io/tls" => required(e, &["tls.crt", "tls.key"]),
        "kubernetes.io/ssh-auth" => required(e, &["ssh-privatekey"]),
        "kubernetes.io/basic-auth" if !data.key("username").is_set() && !data.key("password").is_set() => {
            required(e, &["username", "password"]);
        }
        "kubernetes.io/dockerconfigjson" => json(e, ".dockerconfigjson"),
        "kubernetes.io/dockercfg" => json(e, ".dockercfg"),
        "kubernetes.io/service-account-token" => {
            let account = secret.at("metadata.annotations").key("kubernetes.io/service-account.name");
            if account.text().is_empty() {
                e.required(&account, "");
            }
        }
        _ => {}
    }
}

pub fn role(e: &mut Errors, role: &At<'_>) {
    for rule in role.get("rules").items() {
        if rule.get("verbs").is_empty() {
            e.required(&rule.get("verbs"), "verbs must contain at least one value");
        }
        if !rule.get("nonResourceURLs").is_empty() {
            let others = ["apiGroups", "resources", "resourceNames"];
            if others.iter().any(|field| !rule.get(field).is_empty()) {
                let list: Vec<String> =
                    rule.get("nonResourceURLs").items().iter().map(|url| quoted(url.text())).collect();
                let why = "rules cannot apply to both regular resources and non-resource URLs";
                e.invalid_as(&rule.get("nonResourceURLs"), &format!("[]string{{{}}}", list.join(", ")), why);
            }
            continue;
        }
        if rule.get("apiGroups").is_empty() {
            e.required(&rule.get("apiGroups"), "resource rules must supply at least one api group");
        }
        if rule.get("resources").is_empty() {
            e.required(&rule.get("resources"), "resource rules must supply at least one resource");
        }
    }
}

pub fn role_binding(e: &mut Errors, binding: &At<'_>) {
    let role = binding.get("roleRef");
    if role.get("apiGroup").text() != "rbac.authorization.k8s.io" {
        e.not_supported(&role.get("apiGroup"), &["rbac.authorization.k8s.io"]);
    }
    if !["Role", "ClusterRole"].contains(&role.get("kind").text()) {
        e.not_supported(&role.get("kind"), &["ClusterRole", "Role"]);
    }
    if role.get("name").text().is_empty() {
        e.required(&role.get("name"), "");
    }
    for subject in binding.get("subjects").items() {
        if subject.get("name").text().is_empty() {
            e.required(&subject.get("name"), "");
        }
        match subject.get("kind").text() {
            "ServiceAccount" => {
                if !subject.get("apiGroup").text().is_empty() {
                    e.not_supported(&subject.get("apiGroup"), &[""]);
                }
                if subject.get("namespace").text().is_empty() {
                    e.required(&subject.get("namespace"), "");
                }
            }
            "User" | "Group" => {
                if subject.get("apiGroup").text() != "rbac.authorization.k8s.io" {
                    e.not_supported(&subject.get("apiGroup"), &["rbac.authorization.k8s.io"]);
                }
            }
            _ => e.not_supported(&subject.get("kind"), &["Group", "ServiceAccount", "User"]),
        }
    }
}

pub fn lease(e: &mut Errors, spec: &At<'_>) {
    let (seconds, transitions) = (spec.get("leaseDurationSeconds"), spec.get("leaseTransitions"));
    if seconds.int().is_some_and(|seconds| seconds <= 0) {
        e.invalid(&seconds, "must be greater than 0");
    }
    if transitions.int().is_some_and(|transitions| transitions < 0) {
        e.invalid(&transitions, "must be greater than or equal to 0");
    }
}

pub fn event(e: &mut Errors, event: &At<'_>) {
    let about = event.at("involvedObject.namespace");
    let namespace = event.at("metadata.namespace");
    let matches = match about.text() {
        "" => ["default", "kube-system", ""].contains(&namespace.text()),
        about => about == namespace.text(),
    };
    if !matches {
        e.invalid_as(&about, &quoted(about.text()), "does not match event.namespace");
    }
}
