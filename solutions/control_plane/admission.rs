//! The reference for `control_plane/admission`: fill in, then check, then charge.

use kit::control_plane::Admission;
use kit::control_plane::admission::{
    AdmitRequest, Amounts, Charge, Container, Limit, Operation, Pod, Quantity, Quota, Toleration, ValidateRequest,
};
use std::collections::BTreeSet;

// ANCHOR: solution
/// How long a pod stays on a node that is not ready or unreachable, if it doesn't say.
const TOLERATED_SECONDS: i64 = 300;
/// Once a quota counts one of these, every container must say how much it wants.
const MUST_SAY: [&str; 6] = ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

/// Every answer follows from its question alone.
#[derive(Default)]
pub struct Exercise;

impl Admission for Exercise {
    fn admit(&self, request: &AdmitRequest) -> Result<Pod, String> {
        let mut pod = request.pod.clone();
        if request.operation == Operation::Create {
            fill_in(&mut pod, &request.limits);
            prioritize(&mut pod, request)?;
        }
        tolerate_lost_nodes(&mut pod);
        Ok(pod)
    }

    fn validate(&self, request: &ValidateRequest) -> Result<Vec<Charge>, String> {
        if let Some(pod) = &request.pod {
            check_limits(pod, &request.limits)?;
        }
        let about = request.quotas.iter().map(|quota| Ok((quota, counted(quota, request)?)));
        // All must be said and known before anybody asks for room.
        let about = about.collect::<Result<Vec<_>, String>>()?;
        let charges = about.into_iter().map(|(quota, counted)| charge(quota, &counted, request));
        let charges = charges.collect::<Result<Vec<_>, _>>()?;
        Ok(charges.into_iter().filter(|charge| !charge.add.is_empty()).collect())
    }
}

// ANCHOR: admit
fn fill_in(pod: &mut Pod, limits: &[Limit]) {
    let (mut requests, mut most) = (Amounts::new(), Amounts::new());
    for limit in limits.iter().filter(|limit| limit.type_ == "Container") {
        requests.extend(limit.default_request.clone());
        most.extend(limit.default.clone());
    }
    for container in pod.containers.iter_mut().chain(&mut pod.init_containers) {
        for (own, defaults) in [(&mut container.requests, &requests), (&mut container.limits, &most)] {
            for (name, amount) in defaults {
                own.entry(name.clone()).or_insert_with(|| amount.clone());
            }
        }
    }
}

fn prioritize(pod: &mut Pod, request: &AdmitRequest) -> Result<(), String> {
    let classes = &request.priority_classes;
    let class = match pod.priority_class_name.as_deref().unwrap_or_default() {
        "" => classes.iter().filter(|class| class.global_default).min_by_key(|class| class.value),
        name => {
            let class = classes.iter().find(|class| class.name == name);
            Some(class.ok_or_else(|| format!("no PriorityClass with name {name} was found"))?)
        }
    };
    let computed = class.map_or(0, |class| class.value);
    let policy = class.and_then(|class| class.preemption_policy.clone());
    let policy = policy.unwrap_or_else(|| "PreemptLowerPriority".into());
    const SAID: &str = "must not be provided in pod spec; priority admission controller computed";
    const FROM: &str = "from the given PriorityClass name";
    if let Some(asked) = pod.priority.filter(|asked| *asked != computed) {
        return Err(format!("the integer value of priority ({asked}) {SAID} {computed} {FROM}"));
    }
    if let Some(asked) = pod.preemption_policy.as_ref().filter(|asked| **asked != policy) {
        return Err(format!("the string value of PreemptionPolicy ({asked}) {SAID} {policy} {FROM}"));
    }
    if let Some(class) = class {
        pod.priority_class_name = Some(class.name.clone());
    }
    (pod.priority, pod.preemption_policy) = (Some(computed), Some(policy));
    Ok(())
}

fn tolerate_lost_nodes(pod: &mut Pod) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let empty_or = |field: &Option<String>, value: &str| {
            let field = field.as_deref().unwrap_or_default();
            field.is_empty() || field == value
        };
        let covers = |t: &Toleration| empty_or(&t.key, key) && empty_or(&t.effect, "NoExecute");
        if !pod.tolerations.iter().any(covers) {
            pod.tolerations.push(Toleration {
                key: Some(key.into()),
                operator: Some("Exists".into()),
                effect: Some("NoExecute".into()),
                toleration_seconds: Some(TOLERATED_SECONDS),
                ..Toleration::default()
            });
        }
    }
}
// ANCHOR_END: admit

// ANCHOR: limits
fn check_limits(pod: &Pod, limits: &[Limit]) -> Result<(), String> {
    for range in limits.chunk_by(|one, next| one.range == next.range) {
        let mut problems = Vec::new();
        for limit in range {
            match limit.type_.as_str() {
                "Container" => {
                    for container in pod.containers.iter().chain(&pod.init_containers) {
                        compare(&mut problems, limit, &container.requests, &container.limits);
                    }
                }
                "Pod" => compare(&mut problems, limit, &total(pod, |c| &c.requests), &total(pod, |c| &c.limits)),
                _ => {}
            }
        }
        let mut said = BTreeSet::new();
        problems.retain(|problem| said.insert(problem.clone()));
        match &problems[..] {
            [] => {}
            [one] => return Err(one.clone()),
            many => return Err(format!("[{}]", many.join(", "))),
        }
    }
    Ok(())
}

/// What runs in the end, or the most that is in use before: an init container beside the sidecars that came before it.
fn total(pod: &Pod, side: impl Fn(&Container) -> &Amounts) -> Amounts {
    let add = |to: &mut Amounts, more: &Amounts| {
        for (name, amount) in more {
            to.entry(name.clone()).or_default().add(amount);
        }
    };
    let (mut total, mut sidecars, mut most) = (Amounts::new(), Amounts::new(), Amounts::new());
    pod.containers.iter().for_each(|container| add(&mut total, side(container)));
    for container in &pod.init_containers {
        let mut now = sidecars.clone();
        add(&mut now, side(container));
        if container.sidecar {
            add(&mut total, side(container));
            sidecars = now.clone();
        }
        raise(&mut most, &now);
    }
    raise(&mut total, &most);
    total
}

/// The greater of each amount.
fn raise(to: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let there = to.entry(name.clone()).or_default();
        if amount > there {
            *there = amount.clone();
        }
    }
}

fn compare(problems: &mut Vec<String>, limit: &Limit, requests: &Amounts, limits: &Amounts) {
    let type_ = &limit.type_;
    for (name, least) in &limit.min {
        let problem = match (requests.get(name), limits.get(name)) {
            (None, _) => ".  No request is specified".into(),
            (Some(request), _) if request < least => format!(", but request is {request}"),
            (_, Some(limit)) if limit < least => format!(", but limit is {limit}"),
            _ => continue,
        };
        problems.push(format!("minimum {name} usage per {type_} is {least}{problem}"));
    }
    for (name, most) in &limit.max {
        let problem = match (requests.get(name), limits.get(name)) {
            (_, None) => ".  No limit is specified".into(),
            (_, Some(limit)) if limit > most => format!(", but limit is {limit}"),
            (Some(request), _) if request > most => format!(", but request is {request}"),
            _ => continue,
        };
        problems.push(format!("maximum {name} usage per {type_} is {most}{problem}"));
    }
    for (name, ratio) in &limit.max_limit_request_ratio {
        let more_than_0 = |of: &Amounts| of.get(name).filter(|amount| !amount.is_zero()).map(Quantity::milli_value);
        let problem = match (more_than_0(requests), more_than_0(limits)) {
            (None, _) => "no request is specified or request is 0".into(),
            (_, None) => "no limit is specified or limit is 0".into(),
            (Some(request), Some(limit)) => match limit as f64 / request as f64 {
                provided if provided * 1000.0 > ratio.milli_value() as f64 => {
                    format!("provided ratio is {provided:.6}")
                }
                _ => continue,
            },
        };
        problems.push(format!("{name} max limit to request ratio per {type_} is {ratio}, but {problem}"));
    }
}
// ANCHOR_END: limits

// ANCHOR: quota
/// The resources of a quota that count here, none if it isn't about the object; or what isn't said or known.
fn counted<'a>(quota: &'a Quota, request: &ValidateRequest) -> Result<Vec<&'a String>, String> {
    let Quota { name: title, hard, used, .. } = quota;
    let must_say = |name: &str| request.pod.is_some() && MUST_SAY.contains(&name);
    let counted: Vec<&String> =
        hard.keys().filter(|name| request.usage.contains_key(*name) || must_say(name)).collect();
    if counted.is_empty() || !in_scope(quota, request.pod.as_ref()) {
        return Ok(Vec::new());
    }
    let missing = counted.iter().filter(|name| must_say(name)).filter_map(|name| unsaid(name, request.pod.as_ref()?));
    let missing: Vec<String> = missing.collect();
    if !missing.is_empty() {
        return Err(format!("failed quota: {title}: must specify {}", missing.join("; ")));
    }
    if counted.iter().any(|name| !used.contains_key(*name)) {
        let names: Vec<&str> = counted.iter().map(|name| name.as_str()).collect();
        return Err(format!("status unknown for quota: {title}, resources: {}", names.join(",")));
    }
    Ok(counted)
}

/// What an object adds to one quota, or why there is no room for it.
fn charge(quota: &Quota, counted: &[&String], request: &ValidateRequest) -> Result<Charge, String> {
    let Quota { name: title, hard, used, .. } = quota;
    let mut charge = Charge { quota: title.clone(), ..Charge::default() };
    let mut over = Vec::new();
    for name in counted.iter().copied() {
        let mut more = request.usage.get(name).cloned().unwrap_or_default();
        more.sub(request.old_usage.get(name).unwrap_or(&Quantity::default()));
        if more.sign() <= 0 {
            continue;
        }
        let mut then = used[name].clone();
        then.add(&more);
        if then > hard[name] {
            over.push(name);
        }
        charge.add.insert(name.clone(), more);
    }
    if over.is_empty() {
        return Ok(charge);
    }
    let say = |of: &Amounts| over.iter().map(|name| format!("{name}={}", of[*name])).collect::<Vec<_>>().join(",");
    let (requested, used, limited) = (say(&charge.add), say(used), say(hard));
    Err(format!("exceeded quota: {title}, requested: {requested}, used: {used}, limited: {limited}"))
}

/// Which containers don't say how much of a resource they want, if there are any.
fn unsaid(name: &str, pod: &Pod) -> Option<String> {
    let says = |container: &Container| match name.split_once('.') {
        Some(("limits", name)) => container.limits.contains_key(name),
        Some((_, name)) => container.requests.contains_key(name),
        None => container.requests.contains_key(name),
    };
    let without = pod.containers.iter().chain(&pod.init_containers).filter(|container| !says(container));
    let without: BTreeSet<&str> = without.map(|container| container.name.as_str()).collect();
    let without: Vec<&str> = without.into_iter().collect();
    (!without.is_empty()).then(|| format!("{name} for: {}", without.join(",")))
}

fn in_scope(quota: &Quota, pod: Option<&Pod>) -> bool {
    let Some(pod) = pod else { return quota.scopes.is_empty() && quota.scope_selector.is_empty() };
    let class = pod.priority_class_name.as_deref().unwrap_or_default();
    let plain = |scope: &str| match scope {
        "Terminating" => pod.active_deadline_seconds.is_some(),
        "NotTerminating" => pod.active_deadline_seconds.is_none(),
        "BestEffort" => pod.best_effort,
        "NotBestEffort" => !pod.best_effort,
        "CrossNamespacePodAffinity" => pod.cross_namespace_affinity,
        "PriorityClass" => !class.is_empty(),
        _ => false,
    };
    let selected = quota.scope_selector.iter().all(|term| {
        let named = !class.is_empty() && term.values.iter().any(|value| value == class);
        match (term.scope_name.as_str(), term.operator.as_str()) {
            ("PriorityClass", "In") => named,
            ("PriorityClass", "NotIn") => !named,
            ("PriorityClass", "DoesNotExist") => class.is_empty(),
            (scope, _) => plain(scope),
        }
    });
    quota.scopes.iter().all(|scope| plain(scope)) && selected
}
// ANCHOR_END: quota
// ANCHOR_END: solution
