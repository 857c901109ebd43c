//! What limits and configures others: budgets, priorities, quotas, roles, configuration.
//!
//! Sources: `pkg/apis/{policy,scheduling,rbac,coordination}/validation/validation.go`,
//! `pkg/apis/core/validation/validation.go`.

use super::{meta, resources, workloads};
use crate::field::{At, Errors, quoted};
use crate::go;
use base64::Engine as _;
use kit_api::name;

const DATA_LIMIT: usize = 1024 * 1024;
const HIGHEST_USER_PRIORITY: i64 = 1_000_000_000;

pub fn disruption_budget(e: &mut Errors, spec: &At<'_>) {
    let (least, most) = (spec.get("minAvailable"), spec.get("maxUnavailable"));
    if least.is_set() && most.is_set() {
        let shown = go::dump_named(spec.value, "policy.PodDisruptionBudgetSpec");
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
const QUOTA_NAMES: [&str; 19] = [
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
];

/// Amounts that a quota counts, by their names.
pub fn quotas(e: &mut Errors, amounts: &At<'_>) {
    for (resource, amount) in amounts.entries() {
        resources::resource_name(e, &amount, resource);
        if !resource.contains('/') && !is_quota_name(resource) {
            e.invalid_as(&amount, resource, "must be a standard resource for quota");
        }
        resources::amount(e, resource, &amount);
    }
}

pub fn resource_quota(e: &mut Errors, spec: &At<'_>) {
    let hard = spec.get("hard");
    quotas(e, &hard);
    let names: std::collections::BTreeSet<&str> =
        hard.entries().iter().map(|(resource, _)| *resource).filter(|resource| is_quota_name(resource)).collect();
    let scopes = spec.get("scopes");
    let invalid = |e: &mut Errors, at: &At<'_>, why: &str| {
        e.invalid_as(at, &go::dump_list(scopes.value, "core.ResourceQuotaScope"), why);
    };
    for scope in scopes.items() {
        if !SCOPES.contains(&scope.text()) {
            invalid(e, &scopes, "unsupported scope");
        }
        for _ in names.iter().filter(|resource| !in_scope(scope.text(), resource)) {
            invalid(e, &scopes, "unsupported scope applied to resource");
        }
    }
    let said: Vec<&str> = scopes.items().iter().map(At::text).collect();
    conflicts(&said).for_each(|_| invalid(e, &scopes, "conflicting scopes"));
    scope_selector(e, spec, &names);
    let selected = spec.at("scopeSelector.matchExpressions");
    let said: Vec<&str> = selected.items().iter().map(|requirement| requirement.get("scopeName").text()).collect();
    conflicts(&said).for_each(|_| invalid(e, &selected, "conflicting scopes"));
}

const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

fn is_quota_name(resource: &str) -> bool {
    let huge = ["hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    QUOTA_NAMES.contains(&resource) || huge
}

/// Whether a quota of these pods or claims alone can count the resource (`IsResourceQuotaScopeValidForResource`).
fn in_scope(scope: &str, resource: &str) -> bool {
    let compute = ["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => ["persistentvolumeclaims", "requests.storage"].contains(&resource),
        _ if SCOPES.contains(&scope) => resource == "pods" || compute.contains(&resource),
        _ => true,
    }
}

/// Pairs of scopes that have nothing in common.
fn conflicts<'a>(said: &'a [&'a str]) -> impl Iterator<Item = ()> + 'a {
    let pairs = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];
    pairs.into_iter().filter(|pair| pair.iter().all(|scope| said.contains(scope))).map(|_| ())
}

fn scope_selector(e: &mut Errors, spec: &At<'_>, names: &std::collections::BTreeSet<&str>) {
    let selector = spec.get("scopeSelector");
    let requirements = selector.get("matchExpressions");
    for requirement in requirements.items() {
        // The paths of these have no index.
        let at = |field: &str| requirement.get(field).as_path(format!("{}.{field}", requirements.path));
        let (scope, operator, values) = (at("scopeName"), at("operator"), at("values"));
        if !SCOPES.contains(&scope.text()) {
            e.invalid_text(&scope, "unsupported scope");
        }
        for _ in names.iter().filter(|resource| !in_scope(scope.text(), resource)) {
            let shown = go::dump_named(selector.value, "core.ScopeSelector");
            e.invalid_as(&requirements, &shown, "unsupported scope applied to resource");
        }
        let by_presence =
            SCOPES.contains(&scope.text()) && !["PriorityClass", "VolumeAttributesClass"].contains(&scope.text());
        if by_presence && operator.text() != "Exists" {
            let why = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                       ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort \
                       or ResourceQuotaScopeCrossNamespacePodAffinity";
            e.invalid_text(&operator, why);
        }
        match operator.text() {
            "In" | "NotIn" if values.is_empty() => {
                let why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                e.required(&values, why);
            }
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                e.invalid_as(&values, &go::strings(values.value), why);
            }
            "Exists" | "DoesNotExist" => {}
            _ => e.invalid_text(&operator, "not a valid selector operator"),
        }
    }
}

pub fn limit_range(e: &mut Errors, spec: &At<'_>) {
    let mut types = std::collections::BTreeSet::new();
    for limit in spec.get("limits").items() {
        let type_ = limit.get("type");
        let problems = name::qualified_name(type_.text());
        problems.iter().for_each(|problem| e.invalid_text(&type_, problem));
        let standard = ["Container", "PersistentVolumeClaim", "Pod"].contains(&type_.text());
        if problems.is_empty() && !type_.text().contains('/') && !standard {
            e.invalid(&type_, "must be a standard limit type or fully qualified");
        }
        if !types.insert(type_.text()) {
            e.duplicate(&type_, &quoted(type_.text()));
        }
        let of_pod = type_.text() == "Pod";
        let resource_name = match type_.text() {
            "Pod" | "Container" => resources::container_name,
            _ => resources::resource_name,
        };
        let mut names = std::collections::BTreeSet::new();
        for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
            let at = limit.get(list);
            if list == "maxLimitRequestRatio" && type_.text() == "PersistentVolumeClaim" {
                let storage = |field: &str| limit.get(field).key("storage").is_set();
                if !storage("min") && !storage("max") {
                    let why = "either minimum or maximum storage value is required, but neither was provided";
                    e.required(&limit.get("limits"), why);
                }
            }
            if of_pod && list.starts_with("default") {
                if !at.is_empty() {
                    e.forbidden(&at, "may not be specified when `type` is 'Pod'");
                }
                continue;
            }
            for (resource, amount) in at.entries() {
                resource_name(e, &amount, resource);
                names.insert(resource);
            }
        }
        for name in names {
            limit_of(e, &limit, name, of_pod);
        }
    }
}

/// What a limit says of one resource must make sense together.
fn limit_of(e: &mut Errors, limit: &At<'_>, name: &str, of_pod: bool) {
    let at = |list: &str| limit.get(list).key(name);
    let amount = |list: &str| {
        let silent = of_pod && list.starts_with("default");
        (at(list).is_set() && !silent).then(|| resources::quantity(&at(list)))
    };
    let (min, max) = (amount("min"), amount("max"));
    let (default, request) = (amount("default"), amount("defaultRequest"));
    // Where it is told, which value is shown there, and what is more than what.
    let orders = [
        ("min", "min", &min, "min", &max, "max"),
        ("defaultRequest", "defaultRequest", &min, "min", &request, "default request"),
        ("defaultRequest", "defaultRequest", &request, "default request", &max, "max"),
        ("defaultRequest", "defaultRequest", &request, "default request", &default, "default limit"),
        ("default", "min", &min, "min", &default, "default"),
        ("default", "max", &default, "default", &max, "max"),
    ];
    for (list, shown, low, low_name, high, high_name) in orders {
        if let (Some(low), Some(high)) = (low, high)
            && low > high
        {
            let why = format!("{low_name} value {low} is greater than {high_name} value {high}");
            e.invalid_as(&at(list), &go::quantity(at(shown).value), &why);
        }
    }
    if let Some(ratio) = amount("maxLimitRequestRatio") {
        let at = at("maxLimitRequestRatio");
        if ratio.milli_value() < 1000 {
            e.invalid_as(&at, &go::quantity(at.value), &format!("ratio {ratio} is less than 1"));
        }
        if let (Some(min), Some(max)) = (&min, &max) {
            let most = max.milli_value() as f64 / min.milli_value() as f64;
            if ratio.milli_value() as f64 / 1000.0 > most {
                let why = format!("ratio {ratio} is greater than max/min = {most:.6}");
                e.invalid_as(&at, &go::quantity(at.value), &why);
            }
        }
    }
    if let (false, Some(default), Some(request)) = (resources::overcommits(name), &default, &request)
        && default != request
    {
        let why = format!("default value {default} must equal to defaultRequest value {request} in {name}");
        e.invalid_as(&at("defaultRequest"), &go::quantity(at("defaultRequest").value), &why);
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
        "kubernetes.io/ssh-auth" if data.key("ssh-privatekey").text().is_empty() => {
            e.required(&data.key("ssh-privatekey"), "");
        }
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

pub fn role(e: &mut Errors, role: &At<'_>, namespaced: bool) {
    for rule in role.get("rules").items() {
        if rule.get("verbs").is_empty() {
            e.required(&rule.get("verbs"), "verbs must contain at least one value");
        }
        let urls = rule.get("nonResourceURLs");
        if !urls.is_empty() {
            let list: Vec<String> = urls.items().iter().map(|url| quoted(url.text())).collect();
            let shown = format!("[]string{{{}}}", list.join(", "));
            if namespaced {
                e.invalid_as(&urls, &shown, "namespaced rules cannot apply to non-resource URLs");
            }
            let others = ["apiGroups", "resources", "resourceNames"];
            if others.iter().any(|field| !rule.get(field).is_empty()) {
                e.invalid_as(&urls, &shown, "rules cannot apply to both regular resources and non-resource URLs");
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
    let aggregation = role.get("aggregationRule");
    let selectors = aggregation.get("clusterRoleSelectors");
    if aggregation.is_set() && selectors.is_empty() {
        e.required(&selectors, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    }
    for selector in selectors.items() {
        meta::label_selector(e, &selector);
        let parsed: Option<kit_api::meta::LabelSelector> = serde_json::from_value(selector.value.clone()).ok();
        if kit_api::selector::Selector::try_from(parsed.as_ref()).is_err() {
            e.invalid_as(&selector, "\"null\"", "invalid label selector.");
        }
    }
}

pub fn role_binding(e: &mut Errors, binding: &At<'_>, namespaced: bool) {
    let role = binding.get("roleRef");
    if role.get("apiGroup").text() != "rbac.authorization.k8s.io" {
        e.not_supported(&role.get("apiGroup"), &["rbac.authorization.k8s.io"]);
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&role.get("kind").text()) {
        e.not_supported_as(&role.get("kind"), &quoted(role.get("kind").text()), kinds);
    }
    match role.get("name").text() {
        "" => e.required(&role.get("name"), ""),
        text => e.all_invalid(&role.get("name"), meta::path_segment(text)),
    }
    for subject in binding.get("subjects").items() {
        if subject.get("name").text().is_empty() {
            e.required(&subject.get("name"), "");
        }
        match subject.get("kind").text() {
            "ServiceAccount" => {
                if !subject.get("name").text().is_empty() {
                    e.all_invalid(&subject.get("name"), name::dns1123_subdomain(subject.get("name").text()));
                }
                if !subject.get("apiGroup").text().is_empty() {
                    e.not_supported(&subject.get("apiGroup"), &[""]);
                }
                if !namespaced && subject.get("namespace").text().is_empty() {
                    e.required(&subject.get("namespace"), "");
                }
            }
            "User" | "Group" => {
                if subject.get("apiGroup").text() != "rbac.authorization.k8s.io" {
                    e.not_supported(&subject.get("apiGroup"), &["rbac.authorization.k8s.io"]);
                }
            }
            text => e.not_supported_as(&subject.get("kind"), &quoted(text), &["ServiceAccount", "User", "Group"]),
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

/// `legacyValidateEvent` of `pkg/apis/core/validation/events.go`.
pub fn event(e: &mut Errors, event: &At<'_>) {
    let about = event.at("involvedObject.namespace");
    let namespace = event.at("metadata.namespace");
    let new = event.get("eventTime").is_set();
    let matches = match about.text() {
        // Clients of long ago said nothing, or this.
        "" => ["default", if new { "kube-system" } else { "" }].contains(&namespace.text()),
        about => new || about == namespace.text(),
    };
    if !matches {
        e.invalid_as(&about, &quoted(about.text()), "does not match event.namespace");
    }
    if new {
        new_event(e, event);
    }
    name::dns1123_subdomain(namespace.text())
        .iter()
        .for_each(|why| e.invalid_as(&namespace.as_path("namespace".into()), &quoted(namespace.text()), why));
}

/// What clients that say the time of an event have to say beside.
fn new_event(e: &mut Errors, event: &At<'_>) {
    const MOST: usize = 128;
    const LONGEST_NOTE: usize = 1024;
    let long = |e: &mut Errors, at: &At<'_>, most: usize| {
        if at.text().len() > most {
            e.invalid_as(at, "\"\"", &format!("can have at most {most} characters"));
        }
    };
    let controller = event.get("reportingComponent").as_path("reportingController".into());
    if controller.text().is_empty() {
        e.required(&controller, "");
    }
    name::qualified_name(controller.text()).iter().for_each(|why| e.invalid_text(&controller, why));
    for field in ["reportingInstance", "action", "reason"] {
        let at = event.get(field);
        if at.text().is_empty() {
            e.required(&at, "");
        }
        long(e, &at, MOST);
    }
    long(e, &event.get("message"), LONGEST_NOTE);
}
