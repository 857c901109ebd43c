//! Webhook configurations and admission policies.
//!
//! Sources: `pkg/apis/admissionregistration/validation/validation.go`, `apiserver/pkg/util/webhook/validation.go`.
//! Expressions are read as they will be evaluated ([`expressions`]).

use super::meta::{label_selector, path_segment};
use crate::admission::dynamic::expressions::{Names, compile};
use crate::field::{At, Errors, quoted};
use crate::go;
use kit_api::name;
use kit_cel::{BOOL, NULL, STRING, Type};
use std::collections::BTreeSet;

const POLICIES: [&str; 2] = ["Fail", "Ignore"];
const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const MOST_CONDITIONS: usize = 64;
const MOST_ANNOTATIONS: usize = 20;
const LONGEST_ANNOTATION: usize = 5 * 1024;

/// Both kinds of configurations.
pub fn webhooks(e: &mut Errors, configuration: &At<'_>) {
    let mut names = BTreeSet::new();
    for hook in configuration.get("webhooks").items() {
        webhook(e, &hook);
        review_versions(e, &hook.get("admissionReviewVersions"));
        let name = hook.get("name");
        if !name.text().is_empty() && !names.insert(name.text()) {
            e.duplicate(&name, &quoted(name.text()));
        }
    }
}

fn webhook(e: &mut Errors, hook: &At<'_>) {
    full_name(e, &hook.get("name"));
    hook.get("rules").items().iter().for_each(|rule| rule_with_operations(e, rule));
    known(e, &hook.get("failurePolicy"), &POLICIES);
    known(e, &hook.get("matchPolicy"), &["Equivalent", "Exact"]);
    let effects = hook.get("sideEffects");
    if !effects.is_set() {
        e.required(&effects, "must specify one of None, NoneOnDryRun");
    }
    known(e, &effects, &["None", "NoneOnDryRun"]);
    let seconds = hook.get("timeoutSeconds");
    if seconds.int().is_some_and(|seconds| !(1..=30).contains(&seconds)) {
        e.invalid(&seconds, "the timeout value must be between 1 and 30 seconds");
    }
    label_selector(e, &hook.get("namespaceSelector"));
    label_selector(e, &hook.get("objectSelector"));
    known(e, &hook.get("reinvocationPolicy"), &["IfNeeded", "Never"]);
    let client = hook.get("clientConfig");
    let (url, service) = (client.get("url"), client.get("service"));
    if url.is_set() == service.is_set() {
        e.required(&client, "exactly one of url or service is required");
    } else if url.is_set() {
        webhook_url(e, &url);
    } else {
        webhook_service(e, &service);
    }
    match_conditions(e, &hook.get("matchConditions"), false);
}

/// `IsFullyQualifiedName` of `apimachinery/pkg/util/validation`.
fn full_name(e: &mut Errors, name: &At<'_>) {
    let problems = name::dns1123_subdomain(name.text());
    if name.text().is_empty() {
        e.required(name, "");
    } else if !problems.is_empty() {
        e.invalid(name, &problems.join(","));
    } else if name.text().split('.').count() < 3 {
        e.invalid(name, "should be a domain with at least three segments separated by dots");
    }
}

fn review_versions(e: &mut Errors, versions: &At<'_>) {
    const ACCEPTED: [&str; 2] = ["v1", "v1beta1"];
    if versions.is_empty() {
        return e.required(versions, "must specify one of v1, v1beta1");
    }
    let mut seen = BTreeSet::new();
    for version in versions.items() {
        if seen.insert(version.text()) {
            e.all_invalid(&version, name::dns1035_label(version.text()));
        } else {
            e.invalid(&version, "duplicate version");
        }
    }
    if !ACCEPTED.iter().any(|version| seen.contains(version)) {
        e.invalid_as(versions, &go::strings(versions.value), "must include at least one of v1, v1beta1");
    }
}

fn webhook_url(e: &mut Errors, at: &At<'_>) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (head, fragment) = at.text().split_once('#').unwrap_or((at.text(), ""));
    let (head, query) = head.split_once('?').unwrap_or((head, ""));
    let (scheme, rest) = head.split_once("://").unwrap_or(("", head));
    let authority = if scheme.is_empty() { "" } else { rest.split('/').next().unwrap_or_default() };
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    if scheme != "https" {
        e.invalid_as(at, &quoted(scheme), &format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if host.is_empty() {
        e.invalid_as(at, &quoted(host), &format!("host must be specified{FORM}"));
    }
    if let Some(user) = user {
        e.invalid_as(at, &quoted(user), "user information is not permitted in the URL");
    }
    if !fragment.is_empty() {
        e.invalid_as(at, &quoted(fragment), "fragments are not permitted in the URL");
    }
    if !query.is_empty() {
        e.invalid_as(at, &quoted(query), "query parameters are not permitted in the URL");
    }
}

fn webhook_service(e: &mut Errors, service: &At<'_>) {
    // Upstream passes name and namespace in the wrong order, so each is told of as the other.
    if service.get("namespace").text().is_empty() {
        e.required(&service.get("name"), "service name is required");
    }
    if service.get("name").text().is_empty() {
        e.required(&service.get("namespace"), "service namespace is required");
    }
    port(e, &service.get("port"));
    let path = service.get("path");
    if ["", "/"].contains(&path.text()) {
        return;
    }
    if path.text() == "//" {
        return e.invalid(&path, "segment[0] may not be empty");
    }
    if !path.text().starts_with('/') {
        e.invalid(&path, "must start with a '/'");
    }
    let steps: String = path.text().chars().skip(1).collect();
    for (index, step) in steps.strip_suffix('/').unwrap_or(&steps).split('/').enumerate() {
        if step.is_empty() {
            e.invalid(&path, &format!("segment[{index}] may not be empty"));
            continue;
        }
        for problem in name::dns1123_subdomain(step) {
            e.invalid(&path, &format!("segment[{index}]: {problem}"));
        }
    }
}

/// A port as webhooks and API services tell of it.
pub fn port(e: &mut Errors, port: &At<'_>) {
    if port.int().is_some_and(|port| !(1..=65535).contains(&port)) {
        e.invalid(port, "port is not valid: must be between 1 and 65535, inclusive");
    }
}

/// A field that, if it is there, is one of some.
fn known(e: &mut Errors, at: &At<'_>, values: &[&str]) {
    if at.is_set() && !values.contains(&at.text()) {
        e.not_supported(at, values);
    }
}

fn has_all(list: &At<'_>) -> bool {
    list.items().iter().any(|item| item.text() == "*")
}

fn rule_with_operations(e: &mut Errors, rule: &At<'_>) {
    let operations = rule.get("operations");
    if operations.is_empty() {
        e.required(&operations, "");
    }
    if operations.len() > 1 && has_all(&operations) {
        let shown = go::dump_list(operations.value, "admissionregistration.OperationType");
        e.invalid_as(&operations, &shown, "if '*' is present, must not specify other operations");
    }
    operations.items().iter().for_each(|operation| known(e, operation, &OPERATIONS));
    for (field, others) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let list = rule.get(field);
        if list.is_empty() {
            e.required(&list, "");
        }
        if list.len() > 1 && has_all(&list) {
            let why = format!("if '*' is present, must not specify other {others}");
            e.invalid_as(&list, &go::strings(list.value), &why);
        }
    }
    for version in rule.get("apiVersions").items().iter().filter(|version| version.text().is_empty()) {
        e.required(version, "");
    }
    resources(e, &rule.get("resources"));
    known(e, &rule.get("scope"), &["*", "Cluster", "Namespaced"]);
}

fn resources(e: &mut Errors, list: &At<'_>) {
    if list.is_empty() {
        e.required(list, "");
    }
    let (mut with_all_parts, mut parts_of_all) = (BTreeSet::new(), BTreeSet::new());
    let (mut everything, mut all, mut plain) = (false, false, false);
    for item in list.items() {
        let text = item.text();
        if text.is_empty() {
            e.required(&item, "");
            continue;
        }
        everything |= text == "*/*";
        all |= text == "*";
        let Some((resource, part)) = text.split_once('/') else {
            plain = text != "*";
            continue;
        };
        if with_all_parts.contains(resource) {
            e.invalid(&item, &format!("if '{resource}/*' is present, must not specify {text}"));
        }
        if parts_of_all.contains(part) {
            e.invalid(&item, &format!("if '*/{part}' is present, must not specify {text}"));
        }
        if part == "*" {
            with_all_parts.insert(resource);
        }
        if resource == "*" {
            parts_of_all.insert(part);
        }
    }
    if list.len() > 1 && everything {
        let why = "if '*/*' is present, must not specify other resources";
        e.invalid_as(list, &go::strings(list.value), why);
    }
    if all && plain {
        let why = "if '*' is present, must not specify other resources without subresources";
        e.invalid_as(list, &go::strings(list.value), why);
    }
}

/// An expression that can be read, and gives one of these types; its own type.
fn compiles(e: &mut Errors, at: &At<'_>, names: Names, variables: Option<&Type>, wanted: &[Type]) -> Type {
    match compile(at.text(), names, variables, wanted) {
        Ok(program) => program.result,
        Err(why) => {
            e.invalid(at, &why);
            Type::Dyn
        }
    }
}

fn match_conditions(e: &mut Errors, conditions: &At<'_>, params: bool) {
    if conditions.len() > MOST_CONDITIONS {
        e.too_many(conditions, conditions.len(), MOST_CONDITIONS);
    }
    let mut names = BTreeSet::new();
    for condition in conditions.items() {
        let name = condition.get("name");
        let expression = condition.get("expression");
        if expression.text().trim().is_empty() {
            e.required(&expression, "");
        } else {
            compiles(e, &expression, Names { params, authorizer: true }, None, &[BOOL]);
        }
        match name.text() {
            "" => e.required(&name, ""),
            text => {
                e.all_invalid(&name, name::qualified_name(text));
                if !names.insert(text) {
                    e.duplicate(&name, &quoted(text));
                }
            }
        }
    }
}

/// A ValidatingAdmissionPolicy.
pub fn policy(e: &mut Errors, policy: &At<'_>) {
    let spec = policy.get("spec");
    e.one_of(&spec.get("failurePolicy"), &POLICIES);
    if spec.get("paramKind").is_set() {
        param_kind(e, &spec.get("paramKind"));
    }
    let constraints = spec.get("matchConstraints");
    if constraints.is_set() {
        match_resources(e, &constraints);
        if constraints.get("resourceRules").is_empty() {
            e.required(&constraints.get("resourceRules"), "");
        }
    } else {
        e.required(&constraints, "");
    }
    let params = spec.get("paramKind").is_set();
    let (names, unasked) = (Names { params, authorizer: true }, Names { params, authorizer: false });
    match_conditions(e, &spec.get("matchConditions"), params);
    let mut known = Vec::new();
    for variable in spec.get("variables").items() {
        let (name, expression) = (variable.get("name"), variable.get("expression"));
        if name.text().trim().is_empty() {
            e.required(&name, "name is not specified");
        } else if !is_identifier(name.text()) {
            e.invalid(&name, "name is not a valid CEL identifier");
        }
        if expression.text().trim().is_empty() {
            e.required(&expression, "expression is not specified");
            continue;
        }
        let of = Type::object(known.iter().cloned());
        known.push((name.text().to_string(), compiles(e, &expression, names, Some(&of), &[]).of_variable()));
    }
    let variables = Type::object(known);
    let (validations, annotations) = (spec.get("validations"), spec.get("auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        let why = "validations or auditAnnotations must contain at least one item";
        e.required(&validations, why);
        return e.required(&annotations, why);
    }
    for rule in validations.items() {
        validation(e, &rule);
        let (expression, told) = (rule.get("expression"), rule.get("messageExpression"));
        for (at, names, of) in [(expression, names, BOOL), (told, unasked, STRING)] {
            if !at.text().trim().is_empty() {
                compiles(e, &at, names, Some(&variables), &[of]);
            }
        }
    }
    if annotations.len() > MOST_ANNOTATIONS {
        let shown = go::dump_list(annotations.value, "admissionregistration.AuditAnnotation");
        e.invalid_as(&annotations, &shown, &format!("must not have more than {MOST_ANNOTATIONS} auditAnnotations"));
    }
    let mut keys = BTreeSet::new();
    for annotation in annotations.items() {
        let (key, expression) = (annotation.get("key"), annotation.get("valueExpression"));
        match policy.at("metadata.name").text() {
            "" => e.invalid_text(&key, "requires metadata.name be non-empty"),
            of => {
                let whole = format!("{of}/{}", key.text());
                name::qualified_name(&whole).iter().for_each(|why| e.invalid_as(&key, &quoted(&whole), why));
            }
        }
        match expression.text().trim().len() {
            0 => e.required(&expression, "valueExpression is not specified"),
            1..=LONGEST_ANNOTATION => _ = compiles(e, &expression, unasked, Some(&variables), &[STRING, NULL]),
            _ => e.required(&expression, &format!("must not exceed {LONGEST_ANNOTATION} bytes in length")),
        }
        if !keys.insert(key.text()) {
            e.duplicate(&key, &quoted(key.text()));
        }
    }
}

fn is_identifier(text: &str) -> bool {
    const RESERVED: &str = "true false null in as break const continue else for function if import let loop package \
                            namespace return var void while";
    let first = |c: char| c == '_' || c.is_ascii_alphabetic();
    text.starts_with(first)
        && text.chars().all(|c| first(c) || c.is_ascii_digit())
        && !RESERVED.split_whitespace().any(|reserved| reserved == text)
}

fn validation(e: &mut Errors, rule: &At<'_>) {
    let (message, told) = (rule.get("message"), rule.get("messageExpression"));
    if rule.get("expression").text().trim().is_empty() {
        e.required(&rule.get("expression"), "expression is not specified");
    }
    if !told.text().is_empty() && told.text().trim().is_empty() {
        e.invalid(&told, "must be non-empty if specified");
    }
    if !message.text().is_empty() && message.text().trim().is_empty() {
        e.invalid(&message, "message must be non-empty if specified");
    } else if message.text().trim().contains(['\n', '\r']) {
        e.invalid(&message, "message must not contain line breaks");
    }
    known(e, &rule.get("reason"), &["Forbidden", "Invalid", "RequestEntityTooLarge"]);
}

fn param_kind(e: &mut Errors, of: &At<'_>) {
    let (api_version, kind) = (of.get("apiVersion"), of.get("kind"));
    let text = api_version.text();
    let (group, version) = text.split_once('/').unwrap_or(("", text));
    if text.is_empty() {
        e.required(&api_version, "");
    } else if version.contains('/') {
        e.invalid(&api_version, &format!("unexpected GroupVersion string: {text}"));
    } else {
        let problems = if group.is_empty() { Vec::new() } else { name::dns1123_subdomain(group) };
        if !problems.is_empty() {
            e.invalid_as(&api_version, &quoted(group), &problems.join(","));
        }
        let problems = name::dns1035_label(version);
        if version.is_empty() {
            e.invalid(&api_version, "version must be specified");
        } else if !problems.is_empty() {
            e.invalid_as(&api_version, &quoted(version), &problems.join(","));
        }
    }
    let problems = name::dns1035_label(&kind.text().to_lowercase());
    if kind.text().is_empty() {
        e.required(&kind, "");
    } else if !problems.is_empty() {
        let why = format!("may have mixed case, but should otherwise match: {}", problems.join(","));
        e.invalid(&kind, &why);
    }
}

fn match_resources(e: &mut Errors, of: &At<'_>) {
    e.one_of(&of.get("matchPolicy"), &["Equivalent", "Exact"]);
    for selector in ["namespaceSelector", "objectSelector"] {
        let selector = of.get(selector);
        if selector.is_set() { label_selector(e, &selector) } else { e.required(&selector, "") }
    }
    for rule in ["resourceRules", "excludeResourceRules"].iter().flat_map(|list| of.get(list).items()) {
        let mut names = BTreeSet::new();
        for name in rule.get("resourceNames").items() {
            e.all_invalid(&name, path_segment(name.text()));
            if !names.insert(name.text()) {
                e.duplicate(&name, &quoted(name.text()));
            }
        }
        rule_with_operations(e, &rule);
    }
}

/// A ValidatingAdmissionPolicyBinding.
pub fn binding(e: &mut Errors, spec: &At<'_>) {
    let (policy, of) = (spec.get("policyName"), spec.get("paramRef"));
    match policy.text() {
        "" => e.required(&policy, ""),
        text => e.all_invalid(&policy, name::dns1123_subdomain(text)),
    }
    if of.is_set() {
        let (name, selector) = (of.get("name"), of.get("selector"));
        let exclusive = "name and selector are mutually exclusive";
        if !name.text().is_empty() {
            e.all_invalid(&name, path_segment(name.text()));
            if selector.is_set() {
                e.forbidden(&name, exclusive);
            }
        }
        if selector.is_set() {
            label_selector(e, &selector);
            if !name.text().is_empty() {
                e.forbidden(&selector, exclusive);
            }
        }
        if name.text().is_empty() && !selector.is_set() {
            e.required(&of, "one of name or selector must be specified");
        }
        e.one_of(&of.get("parameterNotFoundAction"), &["Deny", "Allow"]);
    }
    let resources = spec.get("matchResources");
    if resources.is_set() {
        // Upstream's path lacks a letter.
        match_resources(e, &resources.as_path(format!("{}.matchResouces", spec.path)));
    }
    actions(e, &spec.get("validationActions"));
}

fn actions(e: &mut Errors, actions: &At<'_>) {
    let mut seen = BTreeSet::new();
    for action in actions.items() {
        known(e, &action, &["Audit", "Deny", "Warn"]);
        if !seen.insert(action.text()) {
            e.duplicate(&action, &quoted(action.text()));
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        let shown = go::dump_list(actions.value, "admissionregistration.ValidationAction");
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
                   response and headers serves no purpose)";
        e.invalid_as(actions, &shown, why);
    }
    if seen.is_empty() {
        e.required(actions, "at least one validation action is required");
    }
}
