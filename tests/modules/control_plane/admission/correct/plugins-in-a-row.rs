//! Passes: one plugin after the other, with plain loops and early returns.

use kit::control_plane::Admission;
use kit::control_plane::admission::{
    AdmitRequest, Amounts, Charge, Limit, Operation, Pod, Quantity, Quota, Toleration, ValidateRequest,
};

#[derive(Default)]
struct Exercise;

impl Admission for Exercise {
    fn admit(&self, request: &AdmitRequest) -> Result<Pod, String> {
        let mut pod = request.pod.clone();
        if request.operation == Operation::Create {
            limit_ranger(&mut pod, &request.limits);
            priority(&mut pod, request)?;
        }
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            let mut covered = false;
            for toleration in &pod.tolerations {
                let own = toleration.key.clone().unwrap_or_default();
                let effect = toleration.effect.clone().unwrap_or_default();
                if (own == key || own == "") && (effect == "NoExecute" || effect == "") {
                    covered = true;
                }
            }
            if covered {
                continue;
            }
            let mut toleration = Toleration::default();
            toleration.key = Some(key.to_string());
            toleration.operator = Some("Exists".to_string());
            toleration.effect = Some("NoExecute".to_string());
            toleration.toleration_seconds = Some(300);
            pod.tolerations.push(toleration);
        }
        Ok(pod)
    }

    fn validate(&self, request: &ValidateRequest) -> Result<Vec<Charge>, String> {
        if let Some(pod) = &request.pod {
            let mut problems: Vec<String> = Vec::new();
            let mut range = "";
            for limit in &request.limits {
                if limit.range != range && !problems.is_empty() {
                    break;
                }
                range = &limit.range;
                if limit.type_ == "Container" {
                    for container in pod.containers.iter().chain(pod.init_containers.iter()) {
                        hold(&mut problems, limit, &container.requests, &container.limits);
                    }
                }
                if limit.type_ == "Pod" {
                    let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
                    for container in &pod.containers {
                        plus(&mut requests, &container.requests);
                        plus(&mut limits, &container.limits);
                    }
                    let (mut most_requests, mut most_limits) = (Amounts::new(), Amounts::new());
                    for (at, container) in pod.init_containers.iter().enumerate() {
                        let mut now = container.clone();
                        for sidecar in pod.init_containers[..at].iter().filter(|before| before.sidecar) {
                            plus(&mut now.requests, &sidecar.requests);
                            plus(&mut now.limits, &sidecar.limits);
                        }
                        greater(&mut most_requests, &now.requests);
                        greater(&mut most_limits, &now.limits);
                        if container.sidecar {
                            plus(&mut requests, &container.requests);
                            plus(&mut limits, &container.limits);
                        }
                    }
                    greater(&mut requests, &most_requests);
                    greater(&mut limits, &most_limits);
                    hold(&mut problems, limit, &requests, &limits);
                }
            }
            let mut once: Vec<String> = Vec::new();
            for problem in problems {
                if !once.contains(&problem) {
                    once.push(problem);
                }
            }
            if once.len() == 1 {
                return Err(once.remove(0));
            }
            if once.len() > 1 {
                return Err(format!("[{}]", once.join(", ")));
            }
        }
        let (mut names, mut charges) = (Vec::new(), Vec::new());
        for quota in &request.quotas {
            names.push(ready(quota, request)?);
        }
        for (quota, names) in request.quotas.iter().zip(names) {
            let add = room(quota, names, request)?;
            if !add.is_empty() {
                charges.push(Charge { quota: quota.name.clone(), add });
            }
        }
        Ok(charges)
    }
}

fn limit_ranger(pod: &mut Pod, limits: &[Limit]) {
    for container in pod.containers.iter_mut().chain(pod.init_containers.iter_mut()) {
        // The last limit that names a resource counts, so begin with it.
        for limit in limits.iter().rev().filter(|limit| limit.type_ == "Container") {
            for (name, amount) in &limit.default_request {
                if !container.requests.contains_key(name) {
                    container.requests.insert(name.clone(), amount.clone());
                }
            }
            for (name, amount) in &limit.default {
                if !container.limits.contains_key(name) {
                    container.limits.insert(name.clone(), amount.clone());
                }
            }
        }
    }
}

fn priority(pod: &mut Pod, request: &AdmitRequest) -> Result<(), String> {
    let mut value = 0;
    let mut policy = "PreemptLowerPriority".to_string();
    let mut found = None;
    let wanted = pod.priority_class_name.clone().unwrap_or_default();
    for class in &request.priority_classes {
        let fits = if wanted == "" { class.global_default } else { class.name == wanted };
        if fits && (found.is_none() || class.value < value) {
            found = Some(class.name.clone());
            value = class.value;
            policy = class.preemption_policy.clone().unwrap_or("PreemptLowerPriority".to_string());
        }
    }
    if wanted != "" && found.is_none() {
        return Err(format!("no PriorityClass with name {wanted} was found"));
    }
    let tail = "from the given PriorityClass name";
    let middle = "must not be provided in pod spec; priority admission controller computed";
    if pod.priority.is_some() && pod.priority != Some(value) {
        return Err(format!("the integer value of priority ({}) {middle} {value} {tail}", pod.priority.unwrap()));
    }
    if pod.preemption_policy.as_ref().is_some_and(|own| *own != policy) {
        let own = pod.preemption_policy.clone().unwrap();
        return Err(format!("the string value of PreemptionPolicy ({own}) {middle} {policy} {tail}"));
    }
    if found.is_some() {
        pod.priority_class_name = found;
    }
    pod.priority = Some(value);
    pod.preemption_policy = Some(policy);
    Ok(())
}

fn plus(to: &mut Amounts, from: &Amounts) {
    for (name, amount) in from {
        to.entry(name.clone()).or_default().add(amount);
    }
}

fn greater(to: &mut Amounts, from: &Amounts) {
    for (name, amount) in from {
        if to.get(name).is_none_or(|there| there < amount) {
            to.insert(name.clone(), amount.clone());
        }
    }
}

fn hold(problems: &mut Vec<String>, limit: &Limit, requests: &Amounts, limits: &Amounts) {
    let kind = &limit.type_;
    for (name, min) in &limit.min {
        let start = format!("minimum {name} usage per {kind} is {min}");
        if !requests.contains_key(name) {
            problems.push(format!("{start}.  No request is specified"));
        } else if requests[name] < *min {
            problems.push(format!("{start}, but request is {}", requests[name]));
        } else if limits.get(name).is_some_and(|own| own < min) {
            problems.push(format!("{start}, but limit is {}", limits[name]));
        }
    }
    for (name, max) in &limit.max {
        let start = format!("maximum {name} usage per {kind} is {max}");
        if !limits.contains_key(name) {
            problems.push(format!("{start}.  No limit is specified"));
        } else if limits[name] > *max {
            problems.push(format!("{start}, but limit is {}", limits[name]));
        } else if requests.get(name).is_some_and(|own| own > max) {
            problems.push(format!("{start}, but request is {}", requests[name]));
        }
    }
    for (name, ratio) in &limit.max_limit_request_ratio {
        let start = format!("{name} max limit to request ratio per {kind} is {ratio}, but");
        let request = requests.get(name).map_or(0, |own| own.milli_value());
        let most = limits.get(name).map_or(0, |own| own.milli_value());
        if request == 0 {
            problems.push(format!("{start} no request is specified or request is 0"));
        } else if most == 0 {
            problems.push(format!("{start} no limit is specified or limit is 0"));
        } else {
            let provided = most as f64 / request as f64;
            if provided * 1000.0 > ratio.milli_value() as f64 {
                problems.push(format!("{start} provided ratio is {provided:.6}"));
            }
        }
    }
}

fn ready(quota: &Quota, request: &ValidateRequest) -> Result<Vec<String>, String> {
    let title = &quota.name;
    let is_pod = request.pod.is_some();
    let forced = |name: &String| {
        is_pod
            && matches!(
                name.as_str(),
                "cpu" | "memory" | "requests.cpu" | "requests.memory" | "limits.cpu" | "limits.memory"
            )
    };
    let mut names = Vec::new();
    for name in quota.hard.keys() {
        if forced(name) || request.usage.contains_key(name) {
            names.push(name.clone());
        }
    }
    if names.is_empty() {
        return Ok(Vec::new());
    }
    for scope in &quota.scopes {
        if !matches(request, scope, "Exists", &[]) {
            return Ok(Vec::new());
        }
    }
    for term in &quota.scope_selector {
        if !matches(request, &term.scope_name, &term.operator, &term.values) {
            return Ok(Vec::new());
        }
    }
    let mut missing = Vec::new();
    if let Some(pod) = &request.pod {
        for name in names.iter().filter(|name| forced(name)) {
            let mut silent = Vec::new();
            for container in pod.containers.iter().chain(pod.init_containers.iter()) {
                let own = if name.starts_with("limits.") { &container.limits } else { &container.requests };
                let short = name.trim_start_matches("requests.").trim_start_matches("limits.");
                if !own.contains_key(short) {
                    silent.push(container.name.clone());
                }
            }
            silent.sort();
            silent.dedup();
            if !silent.is_empty() {
                missing.push(format!("{name} for: {}", silent.join(",")));
            }
        }
    }
    if !missing.is_empty() {
        return Err(format!("failed quota: {title}: must specify {}", missing.join("; ")));
    }
    if !names.iter().all(|name| quota.used.contains_key(name)) {
        return Err(format!("status unknown for quota: {title}, resources: {}", names.join(",")));
    }
    Ok(names)
}

fn room(quota: &Quota, names: Vec<String>, request: &ValidateRequest) -> Result<Amounts, String> {
    let title = &quota.name;
    let mut add = Amounts::new();
    let (mut requested, mut used, mut limited) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        let zero = Quantity::default();
        let (new, old) = (request.usage.get(&name).unwrap_or(&zero), request.old_usage.get(&name).unwrap_or(&zero));
        if new <= old {
            continue;
        }
        let mut delta = new.clone();
        delta.sub(old);
        let mut sum = delta.clone();
        sum.add(&quota.used[&name]);
        if quota.hard[&name] < sum {
            requested.push(format!("{name}={delta}"));
            used.push(format!("{name}={}", quota.used[&name]));
            limited.push(format!("{name}={}", quota.hard[&name]));
        }
        add.insert(name, delta);
    }
    if requested.is_empty() {
        return Ok(add);
    }
    let (requested, used, limited) = (requested.join(","), used.join(","), limited.join(","));
    Err(format!("exceeded quota: {title}, requested: {requested}, used: {used}, limited: {limited}"))
}

fn matches(request: &ValidateRequest, scope: &str, operator: &str, values: &[String]) -> bool {
    let Some(pod) = &request.pod else { return false };
    let class = pod.priority_class_name.clone().unwrap_or_default();
    match scope {
        "Terminating" => pod.active_deadline_seconds.is_some(),
        "NotTerminating" => pod.active_deadline_seconds.is_none(),
        "BestEffort" => pod.best_effort,
        "NotBestEffort" => !pod.best_effort,
        "CrossNamespacePodAffinity" => pod.cross_namespace_affinity,
        "PriorityClass" => match operator {
            "In" => class != "" && values.contains(&class),
            "NotIn" => !values.contains(&class),
            "Exists" => class != "",
            _ => class == "",
        },
        _ => false,
    }
}

kit::exercise!(Exercise: kit::control_plane::Admission);
