//! Passes: looks at a pod as the moments of its life, keeps problems and quotas as data until all is known, and compares ratios in whole numbers.

use kit::control_plane::Admission;
use kit::control_plane::admission::{
    AdmitRequest, Amounts, Charge, Container, Limit, Operation, Pod, PriorityClass, Quantity, Quota, ScopeTerm,
    Toleration, ValidateRequest,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};

#[derive(Default)]
struct Exercise;

const PAIRS: [(&str, bool); 2] = [("limits", true), ("requests", false)];

/// A resource that every container has to say something of: its plain name, and whether it is about limits.
fn spoken(name: &str) -> Option<(&str, bool)> {
    let (plain, of_limits) = PAIRS
        .iter()
        .find_map(|(side, of_limits)| Some((name.strip_prefix(side)?.strip_prefix('.')?, *of_limits)))
        .unwrap_or((name, false));
    ["cpu", "memory"].contains(&plain).then_some((plain, of_limits))
}

fn everything(pod: &Pod) -> Vec<&Container> {
    [&pod.containers, &pod.init_containers].into_iter().flatten().collect()
}

impl Admission for Exercise {
    fn admit(&self, request: &AdmitRequest) -> Result<Pod, String> {
        let AdmitRequest { operation, pod, limits, priority_classes } = request;
        let pod = match operation {
            Operation::Update => pod.clone(),
            Operation::Create => with_priority(with_limits(pod.clone(), limits), priority_classes)?,
        };
        Ok(with_tolerations(pod))
    }

    fn validate(&self, request: &ValidateRequest) -> Result<Vec<Charge>, String> {
        request.pod.as_ref().map_or(Ok(()), |pod| hold_to_limits(pod, &request.limits))?;
        let mut ledger = Vec::new();
        for quota in &request.quotas {
            if let Some(names) = names_in(quota, request) {
                complete(quota, &names, request.pod.as_ref())?;
                ledger.push((quota, names));
            }
        }
        let mut charges = Vec::new();
        for (quota, names) in ledger {
            let add = increase(&names, request);
            room(quota, &add)?;
            if !add.is_empty() {
                charges.push(Charge { quota: quota.name.clone(), add });
            }
        }
        Ok(charges)
    }
}

fn with_limits(mut pod: Pod, limits: &[Limit]) -> Pod {
    // From the last to the first: what is there already is what counts.
    for limit in limits.iter().rev().filter(|limit| limit.type_ == "Container") {
        for container in [&mut pod.containers, &mut pod.init_containers].into_iter().flatten() {
            for (name, amount) in &limit.default_request {
                container.requests.entry(name.to_string()).or_insert(amount.clone());
            }
            for (name, amount) in &limit.default {
                container.limits.entry(name.to_string()).or_insert(amount.clone());
            }
        }
    }
    pod
}

fn with_priority(mut pod: Pod, classes: &[PriorityClass]) -> Result<Pod, String> {
    let mut chosen: Option<&PriorityClass> = None;
    match &pod.priority_class_name {
        Some(name) if !name.is_empty() => {
            chosen = classes.iter().find(|class| class.name == *name);
            if chosen.is_none() {
                return Err(format!("no PriorityClass with name {name} was found"));
            }
        }
        _ => {
            for class in classes {
                if class.global_default && chosen.is_none_or(|other| class.value < other.value) {
                    chosen = Some(class);
                }
            }
        }
    }
    let none = PriorityClass::default();
    let PriorityClass { name, value, preemption_policy, .. } = chosen.unwrap_or(&none);
    let policy = preemption_policy.clone().unwrap_or("PreemptLowerPriority".to_string());
    let differs = |what: &str, asked: &str, right: &str| {
        format!(
            "the {what} ({asked}) must not be provided in pod spec; priority admission controller computed {right} from the given PriorityClass name"
        )
    };
    match (pod.priority, &pod.preemption_policy) {
        (Some(asked), _) if asked != *value => {
            return Err(differs("integer value of priority", &asked.to_string(), &value.to_string()));
        }
        (_, Some(asked)) if *asked != policy => {
            return Err(differs("string value of PreemptionPolicy", asked, &policy));
        }
        _ => {}
    }
    pod.priority = Some(*value);
    pod.preemption_policy = Some(policy);
    if !name.is_empty() {
        pod.priority_class_name = Some(name.clone());
    }
    Ok(pod)
}

fn with_tolerations(mut pod: Pod) -> Pod {
    let mut missing = vec!["not-ready", "unreachable"];
    for Toleration { key, effect, .. } in &pod.tolerations {
        let is_about_eviction = matches!(effect.as_deref(), None | Some("" | "NoExecute"));
        missing.retain(|word| {
            let covered = match key.as_deref() {
                None | Some("") => true,
                Some(key) => key.strip_prefix("node.kubernetes.io/") == Some(word),
            };
            !(is_about_eviction && covered)
        });
    }
    pod.tolerations.extend(missing.into_iter().map(|word| Toleration {
        key: Some(format!("node.kubernetes.io/{word}")),
        operator: Some("Exists".to_string()),
        effect: Some("NoExecute".to_string()),
        toleration_seconds: Some(300),
        ..Default::default()
    }));
    pod
}

/// What is in use at each moment: when it runs, and while each of its init containers does.
fn moments(pod: &Pod, side: fn(&Container) -> &Amounts) -> Vec<Amounts> {
    let sum = |containers: &[&Container]| {
        let mut sum = Amounts::new();
        for (name, amount) in containers.iter().flat_map(|container| side(container)) {
            sum.entry(name.clone()).or_default().add(amount);
        }
        sum
    };
    let sidecars_before = |place: usize| pod.init_containers[..place].iter().filter(|container| container.sidecar);
    let last: Vec<&Container> = pod.containers.iter().chain(sidecars_before(pod.init_containers.len())).collect();
    let mut moments = vec![sum(&last)];
    for (place, container) in pod.init_containers.iter().enumerate() {
        let running: Vec<&Container> = sidecars_before(place).chain([container]).collect();
        moments.push(sum(&running));
    }
    moments
}

fn greatest(moments: Vec<Amounts>) -> Amounts {
    let mut greatest: BTreeMap<String, Quantity> = BTreeMap::new();
    for (name, amount) in moments.into_iter().flatten() {
        let there = greatest.entry(name).or_insert_with(|| amount.clone());
        if amount > *there {
            *there = amount;
        }
    }
    greatest
}

fn hold_to_limits(pod: &Pod, limits: &[Limit]) -> Result<(), String> {
    let whole = (greatest(moments(pod, |c| &c.requests)), greatest(moments(pod, |c| &c.limits)));
    let mut at = 0;
    while at < limits.len() {
        let range = &limits[at].range;
        let mut problems: Vec<String> = Vec::new();
        while let Some(limit) = limits.get(at).filter(|limit| limit.range == *range) {
            let held: Vec<(&Amounts, &Amounts)> = match limit.type_.as_str() {
                "Container" => everything(pod).into_iter().map(|c| (&c.requests, &c.limits)).collect(),
                "Pod" => vec![(&whole.0, &whole.1)],
                _ => vec![],
            };
            problems.extend(held.into_iter().flat_map(|(requests, limits)| problems_of(limit, requests, limits)));
            at += 1;
        }
        let mut seen = HashSet::new();
        let problems: Vec<String> = problems.into_iter().filter(|problem| seen.insert(problem.clone())).collect();
        if problems.len() == 1 {
            return Err(problems.concat());
        }
        if !problems.is_empty() {
            return Err(format!("[{}]", problems.join(", ")));
        }
    }
    Ok(())
}

fn problems_of(limit: &Limit, requests: &Amounts, limits: &Amounts) -> Vec<String> {
    let type_ = limit.type_.as_str();
    let mut problems = Vec::new();
    for (name, least) in &limit.min {
        let head = format!("minimum {name} usage per {type_} is {least}");
        match requests.get(name) {
            None => problems.push(format!("{head}.  No request is specified")),
            Some(request) if request < least => problems.push(format!("{head}, but request is {request}")),
            Some(_) => {
                let low = limits.get(name).filter(|limit| *limit < least);
                problems.extend(low.map(|limit| format!("{head}, but limit is {limit}")));
            }
        }
    }
    for (name, most) in &limit.max {
        let head = format!("maximum {name} usage per {type_} is {most}");
        match limits.get(name) {
            None => problems.push(format!("{head}.  No limit is specified")),
            Some(limit) if limit > most => problems.push(format!("{head}, but limit is {limit}")),
            Some(_) => {
                let high = requests.get(name).filter(|request| *request > most);
                problems.extend(high.map(|request| format!("{head}, but request is {request}")));
            }
        }
    }
    for (name, ratio) in &limit.max_limit_request_ratio {
        let head = format!("{name} max limit to request ratio per {type_} is {ratio}, but ");
        let thousandths = |amounts: &Amounts| amounts.get(name).map_or(0, Quantity::milli_value);
        match (thousandths(requests), thousandths(limits)) {
            (0, _) => problems.push(format!("{head}no request is specified or request is 0")),
            (_, 0) => problems.push(format!("{head}no limit is specified or limit is 0")),
            (request, limit) => {
                let allowed = i128::from(request) * i128::from(ratio.milli_value());
                if i128::from(limit) * 1000 > allowed {
                    problems.push(format!("{head}provided ratio is {:.6}", limit as f64 / request as f64));
                }
            }
        }
    }
    problems
}

/// The resources of a quota that count, sorted, if it is about the object.
fn names_in<'a>(quota: &'a Quota, request: &ValidateRequest) -> Option<BTreeSet<&'a str>> {
    let pod = request.pod.as_ref();
    let counts = |name: &&str| request.usage.contains_key(*name) || (pod.is_some() && spoken(name).is_some());
    let names: BTreeSet<&str> = quota.hard.keys().map(String::as_str).filter(counts).collect();
    let exists = quota.scopes.iter().map(|scope| (scope.as_str(), "Exists", &[][..]));
    let mut terms = exists.chain(quota.scope_selector.iter().map(|ScopeTerm { scope_name, operator, values }| {
        (scope_name.as_str(), operator.as_str(), values.as_slice())
    }));
    let fits = terms.all(|(scope, operator, values)| pod.is_some_and(|pod| matches_scope(pod, scope, operator, values)));
    (fits && !names.is_empty()).then_some(names)
}

fn matches_scope(pod: &Pod, scope: &str, operator: &str, values: &[String]) -> bool {
    let class = pod.priority_class_name.as_ref().filter(|class| !class.is_empty());
    match scope {
        "PriorityClass" => match operator {
            "In" => class.is_some_and(|class| values.contains(class)),
            "NotIn" => class.is_none_or(|class| !values.contains(class)),
            "DoesNotExist" => class.is_none(),
            _ => class.is_some(),
        },
        "Terminating" | "NotTerminating" => pod.active_deadline_seconds.is_some() == (scope == "Terminating"),
        "BestEffort" | "NotBestEffort" => pod.best_effort == (scope == "BestEffort"),
        _ => scope == "CrossNamespacePodAffinity" && pod.cross_namespace_affinity,
    }
}

/// Whether all is said, and then whether all is known.
fn complete(quota: &Quota, names: &BTreeSet<&str>, pod: Option<&Pod>) -> Result<(), String> {
    let mut unsaid: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for container in pod.map(everything).unwrap_or_default() {
        for name in names {
            if let Some((plain, of_limits)) = spoken(name) {
                let side = if of_limits { &container.limits } else { &container.requests };
                if !side.contains_key(plain) {
                    unsaid.entry(name).or_default().insert(&container.name);
                }
            }
        }
    }
    if !unsaid.is_empty() {
        let parts = unsaid.into_iter().map(|(name, containers)| {
            let containers: Vec<&str> = containers.into_iter().collect();
            format!("{name} for: {}", containers.join(","))
        });
        let parts: Vec<String> = parts.collect();
        return Err(format!("failed quota: {}: must specify {}", quota.name, parts.join("; ")));
    }
    if names.iter().all(|name| quota.used.contains_key(*name)) {
        return Ok(());
    }
    let names: Vec<&str> = names.iter().copied().collect();
    Err(format!("status unknown for quota: {}, resources: {}", quota.name, names.join(",")))
}

fn increase(names: &BTreeSet<&str>, request: &ValidateRequest) -> Amounts {
    let mut add = Amounts::new();
    for name in names {
        if let Some(usage) = request.usage.get(*name) {
            let mut more = usage.clone();
            request.old_usage.get(*name).into_iter().for_each(|old| more.sub(old));
            if more > Quantity::default() {
                add.insert(name.to_string(), more);
            }
        }
    }
    add
}

fn room(quota: &Quota, add: &Amounts) -> Result<(), String> {
    let mut columns: [Vec<String>; 3] = Default::default();
    for (name, more) in add {
        let (used, hard) = (&quota.used[name], &quota.hard[name]);
        let mut left = hard.clone();
        left.sub(used);
        if *more > left {
            for (column, amount) in columns.iter_mut().zip([more, used, hard]) {
                column.push(format!("{name}={amount}"));
            }
        }
    }
    let [requested, used, limited] = columns.map(|column| column.join(","));
    match requested.as_str() {
        "" => Ok(()),
        _ => Err(format!(
            "exceeded quota: {}, requested: {requested}, used: {used}, limited: {limited}",
            quota.name
        )),
    }
}

kit::exercise!(Exercise: Admission);
