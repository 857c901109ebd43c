//! Fresh scenarios of `control_plane/admission`: pods, LimitRanges and quotas whose amounts meet exactly, or nearly.
//!
//! Amounts that are added up are written as they print, and in one suffix family: how a sum prints is a matter of
//! `objects/quantity`. All others are written in several ways. Ratios are such that no fraction has to be rounded.

use crate::fresh::{Generator, question};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

const RESOURCES: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "example.com/gpu"];
const MUST_SAY: [&str; 6] = ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
const CLASSES: [&str; 4] = ["low", "high", "batch", "web"];
const POLICIES: [&str; 2] = ["PreemptLowerPriority", "Never"];

/// An amount in thousandths of a CPU, in mebibytes, or in pieces.
fn amount() -> impl Strategy<Value = u64> {
    select(vec![0, 1, 2, 64, 100, 128, 250, 500, 512, 999, 1000, 1001, 1024, 1500, 2000, 2048])
}

/// The text of an amount: way 0 is how it prints, others are other words for the same.
fn text(resource: &str, amount: u64, way: u8) -> Value {
    let name = resource.trim_start_matches("requests.").trim_start_matches("limits.");
    match name {
        "cpu" => match way {
            0 if amount.is_multiple_of(1000) => (amount / 1000).to_string(),
            0 | 1 => format!("{amount}m"),
            _ => format!("{}.{:03}", amount / 1000, amount % 1000),
        },
        "memory" | "ephemeral-storage" => match way {
            0 if amount == 0 => "0".into(),
            0 if amount.is_multiple_of(1024) => format!("{}Gi", amount / 1024),
            0 | 1 => format!("{amount}Mi"),
            2 => format!("{}Ki", amount << 10),
            _ => (amount << 20).to_string(),
        },
        "example.com/gpu" if amount > 0 && amount.is_multiple_of(1000) => format!("{}k", amount / 1000),
        _ => amount.to_string(),
    }
    .into()
}

/// What two containers say of one resource. A limit is no less than its request, and where there is a limit there is a
/// request unless a LimitRange gave the limit.
fn said() -> impl Strategy<Value = (Option<u64>, Option<u64>)> {
    let (one, other) = (amount(), amount());
    (one, other, 0..9_u8).prop_map(|(one, other, which)| {
        let (less, more) = (one.min(other), one.max(other));
        match which {
            0 | 1 => (None, None),
            2 => (Some(less), None),
            3 => (None, Some(more)),
            4 => (Some(less), Some(less)),
            // Twice and two and a half times as much: ratios of some limits.
            5 => (Some(less * 2), Some(less * 4)),
            6 => (Some(less * 2), Some(less * 5)),
            // A hair more than twice as much, less than a thousandth.
            7 => (Some(1001 + less), Some(2003 + less * 2)),
            _ => (Some(less), Some(more)),
        }
    })
}

/// A container; `default` says whether the API server has made requests of limits, as it has before `admit`.
fn container(name: String, said: &[(Option<u64>, Option<u64>)], way: u8, default: bool) -> Value {
    let (mut requests, mut limits) = (json!({}), json!({}));
    for (resource, (request, limit)) in RESOURCES.iter().zip(said) {
        if let Some(amount) = request.or(limit.filter(|_| default)) {
            requests[resource] = text(resource, amount, way);
        }
        if let Some(amount) = limit {
            limits[resource] = text(resource, *amount, way);
        }
    }
    json!({"name": name, "requests": requests, "limits": limits})
}

/// The containers and init containers of a pod, by what they say, and which of the init containers are sidecars.
type Parts = (Vec<Vec<(Option<u64>, Option<u64>)>>, Vec<(Vec<(Option<u64>, Option<u64>)>, bool)>);

fn parts() -> impl Strategy<Value = Parts> {
    (vec(vec(said(), RESOURCES.len()), 1..4), vec((vec(said(), RESOURCES.len()), any::<bool>()), 0..4))
}

fn pod_of((containers, init): &Parts, way: u8, default: bool) -> Value {
    let named = |prefix: &str, n: usize, said: &[_]| container(format!("{prefix}{n}"), said, way, default);
    let containers: Vec<Value> = containers.iter().enumerate().map(|(n, said)| named("c", n, said)).collect();
    let init = init.iter().enumerate().map(|(n, (said, sidecar))| {
        let mut container = named("i", n, said);
        if *sidecar {
            container["sidecar"] = true.into();
        }
        container
    });
    json!({"containers": containers, "init_containers": init.collect::<Vec<_>>()})
}

/// An entry of a LimitRange: for each resource five amounts in their order, from the least to the most, and which of
/// them there are (`ValidateLimitRange`).
fn limit() -> impl Strategy<Value = Value> {
    let type_ = select(vec!["Container", "Container", "Container", "Pod", "Pod", "example.com/widget"]);
    let ratio = select(vec!["1", "1.5", "2", "2000m", "2500m", "4", "10"]);
    let of_one = (option::weighted(0.6, vec(amount(), 4)), 0..32_u8, ratio, 0..4_u8);
    (type_, vec(of_one, RESOURCES.len())).prop_map(|(type_, all)| {
        let mut limit = json!({"type": type_});
        for (resource, (amounts, there, ratio, way)) in RESOURCES.iter().zip(all) {
            let Some(mut amounts) = amounts else { continue };
            amounts.sort_unstable();
            let fields = ["min", "default_request", "default", "max"];
            for (bit, (field, amount)) in fields.iter().zip(amounts).enumerate() {
                // A pod as a whole has no defaults.
                if there & (1 << bit) != 0 && (type_ != "Pod" || !field.starts_with("default")) {
                    limit[*field][resource] = text(resource, amount, way);
                }
            }
            // Both bounds may leave no room for it.
            if there & 16 != 0 && there & 9 != 9 {
                limit["max_limit_request_ratio"][resource] = ratio.into();
            }
        }
        limit
    })
}

/// The limits of one to three LimitRanges, by name.
fn limits(most: usize) -> impl Strategy<Value = Vec<Value>> {
    vec((limit(), any::<bool>()), 0..most).prop_map(|limits| {
        let mut range = 0;
        let named = limits.into_iter().map(|(mut limit, next)| {
            range += usize::from(next);
            limit["range"] = format!("range-{range}").into();
            limit
        });
        named.collect()
    })
}

/// No two classes have one value, so that of two defaults one is the lower one.
fn classes() -> impl Strategy<Value = Vec<Value>> {
    let class = (select(vec![-100, 0, 50, 100, 1000]), prop::bool::weighted(0.4), option::of(select(&POLICIES[..])));
    (vec(class, 0..5), Just(CLASSES.to_vec()).prop_shuffle()).prop_map(|(classes, names)| {
        let classes = classes.into_iter().zip(names).zip(0..).map(|(((value, default, policy), name), n)| {
            json!({"name": name, "value": value + n, "global_default": default, "preemption_policy": policy})
        });
        classes.collect()
    })
}

/// As in `scheduler/taints`: whatever the API server lets through.
fn toleration() -> impl Strategy<Value = Value> {
    let key = select(vec!["", "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "dedicated"]);
    let effect = select(vec!["", "NoExecute", "NoExecute", "NoSchedule"]);
    (key, any::<bool>(), effect, option::of(select(vec![0, 30, 300]))).prop_map(|(key, exists, effect, seconds)| {
        let mut toleration = json!({"operator": if exists || key.is_empty() { "Exists" } else { "Equal" }});
        for (field, value) in [("key", key), ("effect", effect)] {
            if !value.is_empty() {
                toleration[field] = value.into();
            }
        }
        if let Some(seconds) = seconds.filter(|_| effect == "NoExecute") {
            toleration["tolerationSeconds"] = seconds.into();
        }
        toleration
    })
}

fn admit() -> impl Strategy<Value = Value> {
    let class = option::of(select([&CLASSES[..], &["", "nobody"]].concat()));
    let priority = option::weighted(0.4, (any::<Index>(), any::<bool>()));
    let policy = option::weighted(0.3, select(&POLICIES[..]));
    let pod = (parts(), 0..4_u8, class, priority, policy, vec(toleration(), 0..3));
    (pod, limits(5), classes(), prop::bool::weighted(0.2)).prop_map(|(drawn, limits, classes, update)| {
        let (parts, way, class, priority, policy, tolerations) = drawn;
        let mut pod = pod_of(&parts, way, true);
        pod["tolerations"] = tolerations.into();
        if let Some(class) = class {
            pod["priority_class_name"] = class.into();
        }
        if let Some((index, any)) = priority {
            // Often that of a class, and the one that is named.
            let named = classes.iter().find(|of| of["name"] == pod["priority_class_name"]).filter(|_| !any);
            let other = classes.get(index.index(classes.len() + 1));
            pod["priority"] = named.or(other).map_or(0.into(), |class| class["value"].clone());
        }
        if let Some(policy) = policy {
            pod["preemption_policy"] = policy.into();
        }
        let operation = if update { "Update" } else { "Create" };
        let request = json!({"operation": operation, "pod": pod, "limits": limits, "priority_classes": classes});
        question("admit", json!({ "request": request }))
    })
}

/// What a quota says of one resource: how far `hard` is from what will be used, and how both are written.
fn counted() -> impl Strategy<Value = (u64, i64, u8, u8)> {
    (amount(), select(vec![-1000, -1, 0, 0, 1, 1000, 5000, 5000]), 0..4_u8, 0..4_u8)
}

/// Scopes of which the API server takes all at once (`ValidateResourceQuota`), in the list or the selector.
fn scopes() -> impl Strategy<Value = (Vec<Value>, Vec<Value>)> {
    let scope = |one, other| option::weighted(0.25, (select(vec![one, other]), any::<bool>()));
    let class = option::weighted(0.4, (0..5_u8, proptest::sample::subsequence(&CLASSES[..], 1..3)));
    let plain = (
        scope("Terminating", "NotTerminating"),
        scope("BestEffort", "NotBestEffort"),
        scope("CrossNamespacePodAffinity", "CrossNamespacePodAffinity"),
    );
    (plain, class).prop_map(|((deadline, quality, affinity), class)| {
        let (mut scopes, mut selector): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
        for (scope, selected) in [deadline, quality, affinity].into_iter().flatten() {
            if selected {
                selector.push(json!({"scope_name": scope, "operator": "Exists"}));
            } else {
                scopes.push(scope.into());
            }
        }
        let mut term = |operator: &str, values: Vec<&str>| {
            selector.push(json!({"scope_name": "PriorityClass", "operator": operator, "values": values}));
        };
        match class {
            None => {}
            Some((0, _)) => scopes.push("PriorityClass".into()),
            Some((1, values)) => term("In", values),
            Some((2, values)) => term("NotIn", values),
            Some((3, _)) => term("Exists", Vec::new()),
            Some(_) => term("DoesNotExist", Vec::new()),
        }
        (scopes, selector)
    })
}

/// A quota of some of `names`, which are counted with what is used by now and `added`.
fn quota(names: &[&str], drawn: Vec<Option<(u64, i64, u8, u8)>>, known: bool, added: &Map<String, Value>) -> Value {
    let (mut hard, mut used) = (json!({}), json!({}));
    for (name, of) in names.iter().zip(drawn) {
        let Some((there, rest, way, other)) = of else { continue };
        let more = added.get(*name).and_then(Value::as_u64).unwrap_or_default();
        hard[*name] = text(name, (there + more).saturating_add_signed(rest), way);
        if known || rest < 5000 {
            used[*name] = text(name, there, other);
        }
    }
    json!({"hard": hard, "used": used})
}

fn validate() -> impl Strategy<Value = Value> {
    const OF_PODS: [&str; 9] = [
        "count/pods",
        "cpu",
        "limits.cpu",
        "limits.memory",
        "memory",
        "pods",
        "requests.cpu",
        "requests.example.com/gpu",
        "requests.memory",
    ];
    const OF_SERVICES: [&str; 4] = ["count/services", "pods", "services", "services.nodeports"];
    let class = option::of(prop_oneof![4 => select(&CLASSES[..]), 1 => Just("")]);
    let about = (parts(), 0..4_u8, class, option::weighted(0.3, Just(30)), prop::bool::weighted(0.3));
    let usage = vec((option::weighted(0.8, amount()), amount()), OF_PODS.len());
    let few = vec(option::weighted(0.3, counted()), OF_PODS.len());
    // Most resources, and no room for any.
    let full = vec(option::weighted(0.9, (amount(), Just(-1_i64), 0..4_u8, 0..4_u8)), OF_PODS.len());
    let quotas = vec((prop_oneof![5 => few, 1 => full], scopes(), prop::bool::weighted(0.9)), 0..4);
    let speaks = prop::bool::weighted(0.5);
    let kind = (prop::bool::weighted(0.85), prop::bool::weighted(0.2), speaks);
    (about, limits(4), usage, quotas, kind).prop_map(|(about, limits, usage, quotas, (is_pod, was_there, speaks))| {
        let (mut parts, way, class, deadline, affinity) = about;
        let names = if is_pod { &OF_PODS[..] } else { &OF_SERVICES[..] };
        // A silent container is refused by most quotas, so that half of the pods have none.
        let all = parts.0.iter_mut().chain(parts.1.iter_mut().map(|(said, _)| said));
        for (request, limit) in all.flat_map(|said| said.iter_mut()).filter(|_| speaks) {
            let usual = request.or(*limit).unwrap_or(100);
            (*request, *limit) = (Some(usual), Some(limit.unwrap_or(usual)));
        }
        let (mut new, mut old, mut added) = (json!({}), json!({}), Map::new());
        for (name, (now, before)) in names.iter().zip(usage) {
            let Some(now) = now.or(Some(1).filter(|_| name.contains("pods") && is_pod)) else { continue };
            new[*name] = text(name, now, 0);
            if was_there {
                old[*name] = text(name, before, 0);
            }
            let before = if was_there { before } else { 0 };
            added.insert(name.to_string(), now.saturating_sub(before).into());
        }
        let quotas = quotas.into_iter().enumerate().map(|(n, (drawn, (scopes, selector), known))| {
            let best_effort = scopes.iter().chain(selector.iter().map(|term| &term["scope_name"]));
            // Who is of the class `BestEffort` can only be counted.
            let only_counted = best_effort.into_iter().any(|scope| scope == "BestEffort");
            let countable = |name: &str| !only_counted || !MUST_SAY.contains(&name);
            let drawn = drawn.into_iter().zip(names).map(|(drawn, name)| drawn.filter(|_| countable(name))).collect();
            let mut quota = quota(names, drawn, known, &added);
            quota["name"] = format!("quota-{n}").into();
            quota["scopes"] = scopes.into();
            quota["scope_selector"] = selector.into();
            quota
        });
        let mut request = json!({"usage": new, "old_usage": old, "quotas": quotas.collect::<Vec<_>>()});
        if is_pod {
            let summed = limits.iter().any(|limit| limit["type"] == "Pod");
            let mut pod = pod_of(&parts, if summed { 0 } else { way }, false);
            let all = parts.0.iter().chain(parts.1.iter().map(|(said, _)| said));
            let asks = all
                .flat_map(|said| &said[..2])
                .any(|(request, limit)| request.or(*limit) > Some(0) || *limit > Some(0));
            pod["best_effort"] = (!asks).into();
            pod["cross_namespace_affinity"] = affinity.into();
            for (field, value) in [
                ("priority_class_name", class.map(Value::from)),
                ("active_deadline_seconds", deadline.map(Value::from)),
            ] {
                if let Some(value) = value {
                    pod[field] = value;
                }
            }
            request["pod"] = pod;
            // Limits are for new pods.
            request["limits"] = if was_there { Vec::new() } else { limits }.into();
        }
        question("validate", json!({ "request": request }))
    })
}

/// A pod that is held against limits that tell what it comes to as a whole.
fn whole() -> impl Strategy<Value = Value> {
    let part = || vec(said(), RESOURCES.len());
    let parts = (vec(part(), 1..3), vec((part(), any::<bool>()), 1..5));
    (parts, any::<bool>()).prop_map(|(parts, least)| {
        let mut limit = json!({"range": "range-1", "type": "Pod"});
        for resource in RESOURCES {
            let (field, amount) = if least { ("min", 1_000_001) } else { ("max", 0) };
            limit[field][resource] = text(resource, amount, 0);
        }
        question("validate", json!({"request": {"pod": pod_of(&parts, 0, false), "limits": [limit]}}))
    })
}

/// A pod to fill in, or an object to hold against limits and quotas.
pub fn fresh() -> Generator {
    prop_oneof![4 => admit(), 6 => validate(), 2 => whole()].boxed()
}
