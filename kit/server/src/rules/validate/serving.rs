//! What the API server itself goes by: who serves what, and whose requests come first.
//!
//! Sources: `kube-aggregator/pkg/apis/apiregistration/validation/validation.go`,
//! `pkg/apis/flowcontrol/validation/validation.go`.

use super::admission::port;
use super::{flow_defaults, meta};
use crate::field::{At, Errors, quoted};
use crate::go;
use kit_api::name;
use kit_apimachinery::managed::equal;
use std::collections::BTreeSet;

/// Says what is wrong with an APIService.
pub fn api_service(e: &mut Errors, root: &At<'_>) {
    let spec = root.get("spec");
    let (group, version) = (spec.get("group"), spec.get("version"));
    let wanted = format!("{}.{}", version.text(), group.text());
    for name in [root.at("metadata.generateName"), root.at("metadata.name")] {
        if !name.text().is_empty() && meta::path_segment(name.text()).is_empty() && name.text() != wanted {
            e.invalid(&name, &format!("must be `spec.version+\".\"+spec.group`: {wanted:?}"));
        }
    }
    if group.text().is_empty() && version.text() != "v1" {
        e.required(&group, "only v1 may have an empty group and it better be legacy kube");
    }
    if !group.text().is_empty() {
        e.all_invalid(&group, name::dns1123_subdomain(group.text()));
    }
    name::dns1035_label(version.text()).iter().for_each(|why| e.invalid_text(&version, why));
    for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1_000)] {
        let priority = spec.get(field);
        let number = priority.int().unwrap_or_default();
        if !(1..=most).contains(&number) {
            e.invalid_as(&priority, &number.to_string(), &format!("must be positive and less than {most}"));
        }
    }
    let (service, bundle, insecure) = (spec.get("service"), spec.get("caBundle"), spec.get("insecureSkipTLSVerify"));
    if !service.is_set() {
        if !bundle.text().is_empty() {
            let shown = quoted(format!("{} bytes", bundle.text().trim_end_matches('=').len() * 3 / 4));
            e.invalid_as(&bundle, &shown, "local APIServices may not have a caBundle");
        }
        if insecure.flag() {
            e.invalid(&insecure, "local APIServices may not have insecureSkipTLSVerify");
        }
        return;
    }
    for field in ["namespace", "name"] {
        if service.get(field).text().is_empty() {
            e.required(&service.get(field), "");
        }
    }
    port(e, &service.get("port"));
    if insecure.flag() && !bundle.text().is_empty() {
        e.invalid(&insecure, "may not be true if caBundle is present");
    }
}

/// Objects whose specification nobody may change (`internalbootstrap`).
fn mandatory(e: &mut Errors, root: &At<'_>, kind: &str, go_name: &str) {
    let name = root.at("metadata.name").text();
    let fixed = flow_defaults::MANDATORY.contains(&name).then(|| flow_defaults::named(kind, name)).flatten();
    if fixed.is_some_and(|fixed| !equal(&fixed["spec"], &root.value["spec"])) {
        let spec = root.get("spec");
        let shown = go::dump_named(spec.value, go_name);
        e.invalid_as(&spec, &shown, &format!("spec of '{name}' must equal the fixed value"));
    }
}

/// Says what is wrong with a FlowSchema.
pub fn flow_schema(e: &mut Errors, root: &At<'_>) {
    const MOST: i64 = 10_000;
    let spec = root.get("spec");
    let precedence = spec.get("matchingPrecedence");
    let number = precedence.int().unwrap_or_default();
    if number <= 0 {
        e.invalid_as(&precedence, &number.to_string(), "must be a positive value");
    }
    if number > MOST {
        e.invalid(&precedence, &format!("must not be greater than {MOST}"));
    }
    if number == 1 && root.at("metadata.name").text() != "exempt" {
        e.invalid(&precedence, "only the schema named 'exempt' may have matchingPrecedence 1");
    }
    let method = spec.get("distinguisherMethod");
    if method.is_set() && !["ByNamespace", "ByUser"].contains(&method.get("type").text()) {
        let shown = format!("flowcontrol.FlowDistinguisherMethod{{Type:{}}}", quoted(method.get("type").text()));
        e.not_supported_as(&method.get("type"), &shown, &["ByNamespace", "ByUser"]);
    }
    let level = spec.at("priorityLevelConfiguration.name");
    match level.text() {
        "" => e.required(&level, "must reference a priority level"),
        text => e.all_invalid(&level, name::dns1123_subdomain(text)),
    }
    for rule in spec.get("rules").items() {
        let (subjects, resources, others) =
            (rule.get("subjects"), rule.get("resourceRules"), rule.get("nonResourceRules"));
        if subjects.is_empty() {
            e.required(&subjects, "subjects must contain at least one value");
        }
        subjects.items().iter().for_each(|subject| flow_subject(e, subject));
        if resources.is_empty() && others.is_empty() {
            e.required(&rule, "at least one of resourceRules and nonResourceRules has to be non-empty");
        }
        resources.items().iter().for_each(|rule| resource_rule(e, rule));
        others.items().iter().for_each(|rule| other_rule(e, rule));
    }
    mandatory(e, root, "FlowSchema", "flowcontrol.FlowSchemaSpec");
    conditions(e, &root.at("status.conditions"));
}

fn flow_subject(e: &mut Errors, subject: &At<'_>) {
    const KINDS: [(&str, &str); 3] = [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];
    let kind = subject.get("kind");
    let Some((_, own)) = KINDS.iter().find(|(known, _)| *known == kind.text()) else {
        return e.not_supported_as(&kind, &quoted(kind.text()), &["Group", "ServiceAccount", "User"]);
    };
    let at = subject.get(own);
    let name = at.get("name");
    if !at.is_set() {
        e.required(&at, &format!("{own} is required when subject kind is '{}'", kind.text()));
    } else if name.text().is_empty() {
        e.required(&name, "");
    } else if *own == "serviceAccount" && name.text() != "*" {
        e.all_invalid(&name, name::dns1123_subdomain(name.text()));
    }
    if at.is_set() && *own == "serviceAccount" {
        match at.get("namespace").text() {
            "" => e.required(&at.get("namespace"), "must specify namespace for service account"),
            text => e.all_invalid(&at.get("namespace"), name::dns1123_label(text)),
        }
    }
    for (other, field) in ["User", "ServiceAccount", "Group"].iter().filter_map(|k| KINDS.iter().find(|o| o.0 == *k)) {
        if field != own && subject.get(field).is_set() {
            e.forbidden(&subject.get(field), &format!("{field} is forbidden when subject kind is not '{other}'"));
        }
    }
}

fn has_all(list: &At<'_>) -> bool {
    list.items().iter().any(|item| item.text() == "*")
}

/// A list that is `*` alone or holds no `*`; whether it names things one by one.
fn all_or_some(e: &mut Errors, list: &At<'_>, others: &str) -> bool {
    let all = has_all(list);
    if all && list.len() > 1 {
        let why = format!("if '*' is present, must not specify other {others}");
        e.invalid_as(list, &go::strings(list.value), &why);
    }
    !all
}

fn verbs(e: &mut Errors, verbs: &At<'_>) {
    const KNOWN: [&str; 9] =
        ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
    if verbs.is_empty() {
        e.required(verbs, "verbs must contain at least one value");
    } else if all_or_some(e, verbs, "verbs") && verbs.items().iter().any(|verb| !KNOWN.contains(&verb.text())) {
        e.not_supported_as(verbs, &go::strings(verbs.value), &KNOWN);
    }
}

fn resource_rule(e: &mut Errors, rule: &At<'_>) {
    verbs(e, &rule.get("verbs"));
    for (field, missing, others) in [
        ("apiGroups", "resource rules must supply at least one api group", "api groups"),
        ("resources", "resource rules must supply at least one resource", "resources"),
    ] {
        let list = rule.get(field);
        if list.is_empty() {
            e.required(&list, missing);
        } else {
            all_or_some(e, &list, others);
        }
    }
    let namespaces = rule.get("namespaces");
    if namespaces.is_empty() && !rule.get("clusterScope").flag() {
        let why = "resource rules that are not cluster scoped must supply at least one namespace";
        e.required(&namespaces, why);
    } else if all_or_some(e, &namespaces, "namespaces") {
        for namespace in namespaces.items() {
            for problem in name::dns1123_label(namespace.text()) {
                let why = format!("each member of this list must be '*' or a DNS-1123 label; {problem}");
                e.invalid(&namespace, &why);
            }
        }
    }
}

fn other_rule(e: &mut Errors, rule: &At<'_>) {
    verbs(e, &rule.get("verbs"));
    let urls = rule.get("nonResourceURLs");
    if urls.is_empty() {
        e.required(&urls, "nonResourceURLs must contain at least one value");
    } else if all_or_some(e, &urls, "non-resource URLs") {
        for url in urls.items() {
            let (text, stars) = (url.text(), url.text().matches('*').count());
            let why = match text {
                "" => "must not be empty",
                "/" => continue,
                _ if !text.starts_with('/') => "must start with slash",
                _ if text.contains(' ') => "must not contain white-space",
                _ if text.contains("//") => "must not contain double slash",
                _ if stars > 1 || (stars == 1 && !text.ends_with("/*")) => "wildcard can only do suffix matching",
                _ => continue,
            };
            e.invalid(&url, why);
        }
    }
}

fn conditions(e: &mut Errors, conditions: &At<'_>) {
    let mut types = BTreeSet::new();
    for type_ in conditions.items().iter().map(|condition| condition.get("type")) {
        if !types.insert(type_.text()) {
            e.duplicate(&type_, &quoted(type_.text()));
        }
        if type_.text().is_empty() {
            e.required(&type_, "must not be empty");
        }
    }
}

/// Says what is wrong with a PriorityLevelConfiguration.
pub fn priority_level(e: &mut Errors, root: &At<'_>) {
    let spec = root.get("spec");
    let (type_, limited, exempt) = (spec.get("type"), spec.get("limited"), spec.get("exempt"));
    if (root.at("metadata.name").text() == "exempt") != (type_.text() == "Exempt") {
        e.invalid_text(&type_, "type must be 'Exempt' if and only if name is 'exempt'");
    }
    match type_.text() {
        "Exempt" => {
            if limited.is_set() {
                e.forbidden(&limited, "must be nil if the type is not Limited");
            }
            shares(e, &exempt);
            lendable(e, &exempt);
        }
        "Limited" => {
            if exempt.is_set() {
                e.forbidden(&exempt, "must be nil if the type is Limited");
            }
            if !limited.is_set() {
                e.required(&limited, "must not be empty when type is Limited");
            } else {
                limits(e, &limited);
            }
        }
        text => e.not_supported_as(&type_, &quoted(text), &["Exempt", "Limited"]),
    }
    mandatory(e, root, "PriorityLevelConfiguration", "flowcontrol.PriorityLevelConfigurationSpec");
    conditions(e, &root.at("status.conditions"));
}

fn shares(e: &mut Errors, level: &At<'_>) {
    let shares = level.get("nominalConcurrencyShares");
    if shares.int().is_some_and(|shares| shares < 0) {
        e.invalid(&shares, "must be a non-negative integer");
    }
}

fn lendable(e: &mut Errors, level: &At<'_>) {
    let lendable = level.get("lendablePercent");
    if lendable.int().is_some_and(|percent| !(0..=100).contains(&percent)) {
        e.invalid(&lendable, "must be between 0 and 100, inclusive");
    }
}

fn limits(e: &mut Errors, limited: &At<'_>) {
    shares(e, limited);
    let response = limited.get("limitResponse");
    let (type_, queuing) = (response.get("type"), response.get("queuing"));
    match type_.text() {
        "Reject" if queuing.is_set() => {
            e.forbidden(&queuing, "must be nil if limited.limitResponse.type is not Limited");
        }
        "Reject" => {}
        "Queue" if !queuing.is_set() => {
            e.required(&queuing, "must not be empty if limited.limitResponse.type is Limited");
        }
        "Queue" => queues(e, &queuing),
        text => e.not_supported_as(&type_, &quoted(text), &["Queue", "Reject"]),
    }
    lendable(e, limited);
    let borrowing = limited.get("borrowingLimitPercent");
    if borrowing.int().is_some_and(|percent| percent < 0) {
        e.invalid(&borrowing, "if specified, must be a non-negative integer");
    }
}

fn queues(e: &mut Errors, queuing: &At<'_>) {
    const MOST_QUEUES: i64 = 10_000_000;
    const MOST_BITS: u32 = 60;
    let number = |field: &str| queuing.get(field).int().unwrap_or_default();
    let (queues, hand) = (number("queues"), number("handSize"));
    let mut invalid = |field: &str, why: &str| e.invalid_as(&queuing.get(field), &number(field).to_string(), why);
    if number("queueLengthLimit") <= 0 {
        invalid("queueLengthLimit", "must be positive");
    }
    if queues <= 0 {
        invalid("queues", "must be positive");
    } else if queues > MOST_QUEUES {
        invalid("queues", &format!("must not be greater than {MOST_QUEUES}"));
    }
    if hand <= 0 {
        invalid("handSize", "must be positive");
    } else if hand > queues {
        invalid("handSize", &format!("should not be greater than queues ({queues})"));
    } else {
        // `RequiredEntropyBits` of `shufflesharding`: the logarithm of queues · (queues - 1) · … .
        let bits: f64 = (0..hand).map(|dealt| ((queues - dealt) as f64).log2()).sum();
        if bits.ceil() as u32 > MOST_BITS {
            let why = format!(
                "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {MOST_BITS}"
            );
            invalid("handSize", &why);
        }
    }
}
