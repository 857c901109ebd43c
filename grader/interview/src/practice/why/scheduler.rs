//! The scheduler's filters, scores and queue.

use super::{Asked, list};
use kit_contract::api::quantity::{Format, Quantity};
use kit_contract::scheduler::{
    ContainerImage, NodeLabels, NodeOperator, NodeRequirement, NodeResources, NodeTerm, PodNodeAffinity, PodRequest,
    PreemptionCandidate, PreemptionNode, QueueConfig, SpreadConstraint, SpreadNode, Taint, Toleration, Verdict,
};
use kit_contract::{Show, flow};

use std::collections::{BTreeMap, BTreeSet};

pub fn taints(asked: &Asked<'_>) -> Option<Vec<String>> {
    let (tolerations, taints): (Vec<Toleration>, Vec<Taint>) = (asked.arg("tolerations")?, asked.arg("taints")?);
    let verdict: Verdict = asked.answer()?;
    let refused = match &verdict {
        Verdict::Refused(taint) => Some(taint),
        Verdict::Fits => None,
    };
    let before = taints.iter().take_while(|taint| Some(*taint) != refused);
    let mut said: Vec<String> = before.map(|taint| passes(taint, &tolerations)).collect();
    match refused {
        Some(taint) => {
            let near: Vec<String> = tolerations.iter().filter_map(|one| misses(one, taint)).collect();
            let near = if near.is_empty() { "none has its key".to_string() } else { near.join("; ") };
            said.push(format!("{} keeps pods away, and no toleration covers it: {near}.", name(taint)));
        }
        None if taints.is_empty() => said.push("There is no taint.".into()),
        None => {}
    }
    said.dedup();
    Some(said)
}

fn name(taint: &Taint) -> String {
    taint.lines().concat()
}

/// Why a taint lets the pod pass.
fn passes(taint: &Taint, tolerations: &[Toleration]) -> String {
    let name = name(taint);
    if !["NoSchedule", "NoExecute"].contains(&taint.effect.as_str()) {
        return format!("{name} keeps nobody away: that effect is a matter of score.");
    }
    match tolerations.iter().find(|one| misses(one, taint).is_none() && covers(one, taint)) {
        Some(toleration) => format!("{name} is covered by {}.", flow(toleration)),
        None => format!("{name} is covered."),
    }
}

fn covers(toleration: &Toleration, taint: &Taint) -> bool {
    kit_contract::api::toleration::tolerates(toleration, taint)
}

/// What keeps a toleration from covering a taint that it seems to be about; nothing if it is about others.
fn misses(toleration: &Toleration, taint: &Taint) -> Option<String> {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (key, effect, operator) = (text(&toleration.key), text(&toleration.effect), text(&toleration.operator));
    if covers(toleration, taint) || (!key.is_empty() && key != taint.key) {
        return None;
    }
    let shown = flow(toleration);
    Some(match operator.as_str() {
        _ if !effect.is_empty() && effect != taint.effect => format!("{shown} is for {effect}"),
        "" | "Equal" => {
            let value =
                |value: String| if value.is_empty() { "no value".to_string() } else { format!("the value {value}") };
            format!(
                "{shown} asks for {}, and the taint has {}",
                value(text(&toleration.value)),
                value(text(&taint.value))
            )
        }
        other => format!("{shown} has the operator {other:?}, which covers nothing"),
    })
}

pub fn resources_fit(asked: &Asked<'_>) -> Option<Vec<String>> {
    let (pod, node): (PodRequest, NodeResources) = (asked.arg("pod")?, asked.arg("node")?);
    let mut said = Vec::new();
    let room = node.allowed_pods - node.pods;
    match room {
        ..=0 => said.push(format!("There is no room for one more pod: {} of {}.", node.pods, node.allowed_pods)),
        room => said.push(format!("There is room for {room} more pods.")),
    }
    let (asks, has, used) = (&pod.requests, &node.allocatable, &node.requested);
    let cpu = |milli| Quantity::from_milli(milli, Format::DecimalSI).to_string();
    let bytes = |bytes| Quantity::new(bytes, Format::BinarySI).to_string();
    let plain = |amount: i64| amount.to_string();
    type Row<'a> = (String, i64, i64, i64, &'a dyn Fn(i64) -> String);
    let mut rows: Vec<Row<'_>> = vec![
        ("cpu".into(), asks.milli_cpu, has.milli_cpu, used.milli_cpu, &cpu),
        ("memory".into(), asks.memory, has.memory, used.memory, &bytes),
        ("ephemeral-storage".into(), asks.ephemeral_storage, has.ephemeral_storage, used.ephemeral_storage, &bytes),
    ];
    for (name, &amount) in &asks.scalar {
        let of = |amounts: &kit_contract::scheduler::Amounts| amounts.scalar.get(name).copied().unwrap_or(0);
        rows.push((name.to_string(), amount, of(has), of(used), &plain));
    }
    for (name, asks, has, used, show) in rows {
        let free = has - used;
        if asks == 0 {
            if free < 0 {
                said.push(format!("{name}: not asked for, so it can't lack."));
            }
            continue;
        }
        let verdict = if asks > free { "too little" } else { "enough" };
        said.push(format!(
            "{name}: asks for {}, free {} ({} − {}): {verdict}.",
            show(asks),
            show(free),
            show(has),
            show(used)
        ));
    }
    Some(said)
}

pub fn node_affinity(asked: &Asked<'_>) -> Option<Vec<String>> {
    let pod: PodNodeAffinity = asked.arg("pod")?;
    if asked.call == "node_names" {
        let terms = pod.required.unwrap_or_default();
        let named = |term: &NodeTerm| term.fields.iter().any(|one| one.operator == NodeOperator::In);
        return Some(vec![match terms.iter().find(|term| !named(term)) {
            _ if terms.is_empty() => "Without required terms it is any node.".into(),
            Some(term) => format!("“{term}” names no node, so any node may do."),
            None => "Each required term names nodes by metadata.name with In; those of one term must all hold, and together they are the only ones.".into(),
        }]);
    }
    let node: NodeLabels = asked.arg("node")?;
    if asked.call == "score" {
        let all = pod.preferred.iter().map(|one| match unmet(&one.term, &node) {
            None => format!("{}: “{}” matches", one.weight, one.term),
            Some(why) => format!("0: {why}"),
        });
        let all: Vec<_> = all.collect();
        return Some(vec![if all.is_empty() {
            "Nothing is preferred.".into()
        } else {
            format!("{}.", all.join("; "))
        }]);
    }
    let mut said = Vec::new();
    for (key, value) in &pod.node_selector {
        if node.labels.get(key) != Some(value) {
            said.push(format!("The selector wants {key}={value}, and the node has {}.", has(&node, key)));
        }
    }
    match &pod.required {
        None if said.is_empty() => said.push("All of the selector holds, and nothing else is required.".into()),
        None => {}
        Some(terms) if terms.is_empty() => said.push("Required affinity without terms matches no node.".into()),
        Some(terms) => match terms.iter().find(|term| unmet(term, &node).is_none()) {
            Some(term) => said.push(format!("One term is enough: “{term}” matches.")),
            None => said.extend(terms.iter().filter_map(|term| unmet(term, &node)).map(|why| format!("No: {why}."))),
        },
    }
    said.truncate(4);
    Some(said)
}

fn has(node: &NodeLabels, key: &str) -> String {
    node.labels.get(key).map_or(format!("no label {key}"), |value| format!("{key}={value}"))
}

/// What of a term doesn't hold.
fn unmet(term: &NodeTerm, node: &NodeLabels) -> Option<String> {
    if term.expressions.is_empty() && term.fields.is_empty() {
        return Some("a term without requirements matches no node".into());
    }
    let fields =
        NodeLabels { name: node.name.clone(), labels: [("metadata.name".to_string(), node.name.clone())].into() };
    let label = term.expressions.iter().find(|one| !holds(one, node)).map(|one| (one, has(node, &one.key)));
    let field =
        || term.fields.iter().find(|one| !holds(one, &fields)).map(|one| (one, format!("the name {}", node.name)));
    label.or_else(field).map(|(one, has)| format!("“{one}” doesn't hold, the node has {has}"))
}

fn holds(one: &NodeRequirement, node: &NodeLabels) -> bool {
    let value = node.labels.get(&one.key);
    let number = |text: &str| text.parse::<i64>().ok().filter(|_| !text.starts_with('+'));
    let both = || Some((number(value?)?, number(one.values.first()?)?));
    match one.operator {
        NodeOperator::In => value.is_some_and(|value| one.values.contains(value)),
        NodeOperator::NotIn => !value.is_some_and(|value| one.values.contains(value)),
        NodeOperator::Exists => value.is_some(),
        NodeOperator::DoesNotExist => value.is_none(),
        NodeOperator::Gt => both().is_some_and(|(label, than)| label > than),
        NodeOperator::Lt => both().is_some_and(|(label, than)| label < than),
    }
}

pub fn pod_affinity(asked: &Asked<'_>) -> Option<Vec<String>> {
    if asked.call == "normalize" {
        let scores: Vec<i64> = asked.arg("scores")?;
        let (least, greatest) = (scores.iter().min()?, scores.iter().max()?);
        return Some(vec![match least == greatest {
            true => "All are equal, so that all become 0.".into(),
            false => format!(
                "100 × (score − {least}) ÷ ({greatest} − {least}), rounded down: the least becomes 0, the greatest 100."
            ),
        }]);
    }
    if asked.call == "score" {
        return Some(vec![
            "Each pod adds to all candidates in its domain: the weights of the new pod's preferred terms that mean it (minus for anti-affinity), of its own preferred terms that mean the new pod, and 1 for each of its own required terms that does."
                .into(),
        ]);
    }
    let answers: Vec<(String, String)> = asked.answer()?;
    let nodes = asked.args["nodes"].as_array()?;
    let mut said = Vec::new();
    for (name, verdict) in answers {
        let labels =
            nodes.iter().find(|node| node["name"] == *name).map(|node| flow(&node["topology"])).unwrap_or_default();
        let keys = |field: &str| -> Vec<String> {
            let terms = asked.args["pod"][field].as_array().into_iter().flatten();
            terms
                .map(|term| {
                    format!(
                        "{} by {}",
                        term["selector"].as_str().unwrap_or_default(),
                        term["topology_key"].as_str().unwrap_or_default()
                    )
                })
                .collect()
        };
        said.push(match verdict.as_str() {
            "Affinity" => format!("{name} {labels}: it has not all of the labels, or no pod that all of these mean is in its domain: {}.", list(&keys("affinity"))),
            "AntiAffinity" => format!("{name} {labels}: a pod that one of these means is in its domain: {}.", list(&keys("anti_affinity"))),
            "ExistingAntiAffinity" => format!("{name} {labels}: a pod in its domain wants to be far from pods like the new one. That holds though the new pod says nothing."),
            _ if asked.args["pod"]["affinity"].as_array().is_none_or(Vec::is_empty) => format!("{name}: no term asks for a pod nearby, and none refuses."),
            _ => format!("{name}: the pods it must be near are in its domain, or it is the first of its kind; none refuses."),
        });
    }
    said.truncate(4);
    Some(said)
}

pub fn preemption(asked: &Asked<'_>) -> Option<Vec<String>> {
    match asked.call {
        "select" => {
            let node: PreemptionNode = asked.arg("node")?;
            let lower = node.pods.iter().filter(|pod| pod.priority < node.priority);
            let lower: Vec<String> = lower.map(|pod| format!("{} ({})", pod.name, pod.priority)).collect();
            Some(vec![match lower.is_empty() {
                true => format!("No pod has a priority below {}.", node.priority),
                false => {
                    format!("First all pods below priority {} are taken away at once: {}.", node.priority, list(&lower))
                }
            }])
        }
        "checked" => {
            let node: PreemptionNode = serde_json::from_value(asked.script.steps.first()?.1["node"].clone()).ok()?;
            let mut order: Vec<_> = node.pods.iter().filter(|pod| pod.priority < node.priority).collect();
            order.sort_by_key(|pod| (std::cmp::Reverse(pod.priority), pod.started));
            let mut budgets = node.budgets.clone();
            let mut breaks = Vec::new();
            for pod in &order {
                let broken = pod.budgets.iter().filter(|at| {
                    budgets.get_mut(**at).is_some_and(|left| {
                        *left -= 1;
                        *left < 0
                    })
                });
                if broken.count() > 0 {
                    breaks.push(pod.name.as_str());
                }
            }
            let (first, then): (Vec<_>, Vec<_>) =
                order.iter().map(|pod| pod.name.as_str()).partition(|name| breaks.contains(name));
            let turns: Vec<String> = first.iter().chain(&then).map(ToString::to_string).collect();
            let mut said = vec![format!("Pods are spared one by one in this order: {}.", list(&turns))];
            let breaks: Vec<String> = breaks.iter().map(ToString::to_string).collect();
            said.push(match breaks.is_empty() {
                true => "No budget would be broken, so the most important pod is spared first.".into(),
                false => format!("Those that would break a budget come first: {}.", list(&breaks)),
            });
            if asked.answer == "NoFit" {
                said = vec!["It doesn't fit even without all of them, so that the node can't help.".into()];
            }
            Some(said)
        }
        _ => pick(&asked.arg::<Vec<PreemptionCandidate>>("candidates")?),
    }
}

/// The rules in their order, and where the nodes come apart.
fn pick(candidates: &[PreemptionCandidate]) -> Option<Vec<String>> {
    type Rule = (&'static str, fn(&PreemptionCandidate) -> i128);
    let highest = |one: &PreemptionCandidate| one.victims.iter().map(|pod| i128::from(pod.priority)).max().unwrap_or(0);
    const LATEST: fn(&PreemptionCandidate) -> i128 = |one| {
        let highest = one.victims.iter().map(|pod| pod.priority).max();
        let important = one.victims.iter().filter(|pod| Some(pod.priority) == highest);
        // The later the better: less is better everywhere else.
        -important.map(|pod| i128::from(pod.started)).min().unwrap_or(0)
    };
    let rules: [Rule; 5] = [
        ("broken budgets", |one| one.violations.into()),
        ("the priority of the most important victim", highest),
        ("the sum of priority + 2³¹ over the victims", |one| {
            one.victims.iter().map(|pod| i128::from(pod.priority) + (1 << 31)).sum()
        }),
        ("the number of victims", |one| one.victims.len() as i128),
        ("the latest start of the most important victims", LATEST),
    ];
    let mut left: Vec<&PreemptionCandidate> = candidates.iter().collect();
    let mut said = Vec::new();
    for (name, value) in rules {
        let best = left.iter().map(|one| value(one)).min()?;
        if left.iter().all(|one| value(one) == best) {
            continue;
        }
        let values = left.iter().map(|one| {
            format!(
                "{} {}",
                one.node,
                value(one).unsigned_abs() as i128
                    * value(one).signum()
                    * if name.starts_with("the latest") { -1 } else { 1 }
            )
        });
        said.push(format!("By {name}: {}.", values.collect::<Vec<_>>().join(", ")));
        left.retain(|one| value(one) == best);
        if left.len() == 1 {
            break;
        }
    }
    if left.len() > 1 {
        said.push(format!(
            "{} are alike in all that counts; the first by name is taken.",
            list(&left.iter().map(|one| one.node.clone()).collect::<Vec<_>>())
        ));
    }
    if said.is_empty() {
        said.push("There is only this one.".into());
    }
    Some(said)
}

/// Where a pod is, played after the contract.
#[derive(Debug, Clone, PartialEq)]
enum Where {
    Active,
    BacksOff { until: i64, error: bool },
    Unschedulable,
    Gated,
    InFlight,
}

struct Pod {
    priority: i64,
    joined: usize,
    attempts: u32,
    place: Where,
    refused: BTreeSet<String>,
    /// When the backoff of the last attempt is over, and when it failed.
    over: i64,
    failed: i64,
}

pub fn queue(asked: &Asked<'_>) -> Option<Vec<String>> {
    let config: QueueConfig = serde_json::from_value(asked.script.new["config"].clone()).ok()?;
    let mut pods: BTreeMap<String, Pod> = BTreeMap::new();
    let mut meanwhile: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let (mut joined, mut early) = (0, false);
    let second = |time: i64| time.div_euclid(1000);
    let steps = &asked.script.steps;
    for (at, (call, args)) in steps.iter().enumerate() {
        let now = args["now"].as_i64().unwrap_or(0);
        match call.as_str() {
            "add" => {
                let (name, gated) = (args["pod"]["name"].as_str()?.to_string(), args["pod"]["gated"] == true);
                let priority = args["pod"]["priority"].as_i64().unwrap_or(0);
                joined += 1;
                match pods.get_mut(&name) {
                    Some(pod) => {
                        pod.priority = priority;
                        if pod.place == Where::Gated && !gated {
                            (pod.place, pod.joined) = (Where::Active, joined);
                        }
                    }
                    None => {
                        let place = if gated { Where::Gated } else { Where::Active };
                        let pod = Pod {
                            priority,
                            joined,
                            attempts: 0,
                            place,
                            refused: BTreeSet::new(),
                            over: now,
                            failed: now,
                        };
                        pods.insert(name, pod);
                    }
                }
            }
            "remove" => _ = pods.remove(args["pod"].as_str()?),
            "pop" => {
                early = false;
                for pod in pods.values_mut() {
                    if matches!(pod.place, Where::BacksOff { until, .. } if second(now) > second(until)) {
                        pod.place = Where::Active;
                    }
                }
                if at + 1 == steps.len() {
                    let active = pods.values().any(|pod| pod.place == Where::Active);
                    early = !active && asked.answer.is_string();
                    break;
                }
                if let Some(pod) = asked.answers[at].as_str().and_then(|name| pods.get_mut(name)) {
                    pod.attempts += 1;
                    pod.place = Where::InFlight;
                    meanwhile.push((asked.answers[at].as_str()?.to_string(), Vec::new()));
                }
            }
            "failed" => {
                let name = args["pod"].as_str()?;
                let Some(pod) = pods.get_mut(name).filter(|pod| pod.place == Where::InFlight) else { continue };
                joined += 1;
                pod.joined = joined;
                pod.refused =
                    args["plugins"].as_array()?.iter().filter_map(|one| one.as_str().map(String::from)).collect();
                let backoff =
                    config.initial_backoff.saturating_mul(1 << (pod.attempts - 1).min(40)).min(config.max_backoff);
                (pod.failed, pod.over) = (now, now + backoff);
                let flight = meanwhile.iter().position(|(one, _)| one == name).map(|at| meanwhile.remove(at).1);
                let helped =
                    flight.unwrap_or_default().iter().any(|(plugin, who)| who == name && pod.refused.contains(plugin));
                let error = pod.refused.is_empty();
                pod.place =
                    if error || helped { Where::BacksOff { until: pod.over, error } } else { Where::Unschedulable };
            }
            "changed" | "flush" => {
                let hints = args["hints"].as_array().into_iter().flatten();
                let hints: Vec<(String, String)> = hints
                    .flat_map(|hint| {
                        let plugin = hint["plugin"].as_str().unwrap_or_default().to_string();
                        let pods = hint["pods"].as_array().cloned().unwrap_or_default();
                        pods.into_iter().map(move |pod| (plugin.clone(), pod.as_str().unwrap_or_default().to_string()))
                    })
                    .collect();
                meanwhile.iter_mut().for_each(|(_, all)| all.extend(hints.clone()));
                for (name, pod) in pods.iter_mut().filter(|(_, pod)| pod.place == Where::Unschedulable) {
                    let named = hints.iter().any(|(plugin, who)| who == name && pod.refused.contains(plugin));
                    let long = call == "flush" && now - pod.failed > config.max_unschedulable;
                    if named || long {
                        let over = second(now) > second(pod.over);
                        pod.place =
                            if over { Where::Active } else { Where::BacksOff { until: pod.over, error: false } };
                    }
                }
            }
            _ => {}
        }
    }
    let next =
        pods.iter().filter(|(_, pod)| pod.place == Where::Active).min_by_key(|(_, pod)| (-pod.priority, pod.joined));
    let next = next.or_else(|| {
        let waits = pods.iter().filter_map(|(name, pod)| match pod.place {
            Where::BacksOff { until, error: false } => Some(((second(until), -pod.priority, pod.joined), (name, pod))),
            _ => None,
        });
        waits.min_by_key(|(key, _)| *key).map(|(_, found)| found)
    });
    // Where this play comes to another pod than the reference, it has nothing to say.
    if next.map(|(name, _)| name.as_str()) != asked.answer.as_str() {
        return None;
    }
    let each = pods.iter().filter(|(name, _)| !name.starts_with("crowd/")).map(|(name, pod)| {
        let place = match &pod.place {
            Where::Active => format!("active with priority {}", pod.priority),
            Where::BacksOff { until, error } => {
                let end = (second(*until) + 1) * 1000;
                let error = if *error { ", after an error, and is never taken early" } else { "" };
                format!("backs off from {} for {} ms, which is over at {end}{error}", pod.failed, until - pod.failed)
            }
            Where::Unschedulable => format!("unschedulable since {}, and no hint of its plugins named it", pod.failed),
            Where::Gated => "gated".into(),
            Where::InFlight => "in flight".into(),
        };
        format!("{name}: {place}.")
    });
    let mut said: Vec<String> = each.collect();
    if early {
        said.push("No pod is active, so the one whose backoff ends first is taken early.".into());
    }
    if said.is_empty() {
        said.push("No pod is there.".into());
    }
    Some(said)
}

pub fn score(asked: &Asked<'_>) -> Option<Vec<String>> {
    match asked.call {
        "normalize" => {
            let scores: Vec<i64> = asked.arg("scores")?;
            let greatest = scores.iter().max().copied().unwrap_or(0);
            let reverse = asked.args["reverse"] == true;
            Some(vec![match (greatest, reverse) {
                (0, true) => "All are 0, and with reverse all become 100.".into(),
                (0, false) => "All are 0, and stay so.".into(),
                (_, true) => {
                    format!("100 − 100 × score ÷ {greatest}, the quotient in integers: the least is the best.")
                }
                (_, false) => format!("100 × score ÷ {greatest} in integers."),
            }])
        }
        "image_locality" => {
            let (containers, nodes): (Vec<ContainerImage>, i64) = (asked.arg("containers")?, asked.arg("nodes")?);
            let mebi = |bytes: i64| format!("{:.1} Mi", bytes as f64 / f64::from(1 << 20));
            let counts = |image: &ContainerImage| (image.size as f64 * (image.nodes as f64 / nodes as f64)) as i64;
            let sum: i64 = containers.iter().map(counts).sum();
            let parts: Vec<_> =
                containers.iter().map(|image| format!("{} × {}/{nodes}", mebi(image.size), image.nodes)).collect();
            let most = 1000 * containers.len().max(1);
            let held = sum.clamp(23 << 20, (most as i64) << 20);
            let parts = if parts.is_empty() { "nothing".to_string() } else { parts.join(" + ") };
            Some(vec![
                format!("{parts} = {}, held between 23 Mi and {most} Mi: {}.", mebi(sum), mebi(held)),
                format!("100 × ({} − 23) ÷ ({most} − 23) = {}.", mebi(held).trim_end_matches(" Mi"), asked.answer),
            ])
        }
        "balanced" => {
            let (pod, node): (PodRequest, NodeResources) = (asked.arg("pod")?, asked.arg("node")?);
            let part = |name: &str, asks: i64, used: i64, has: i64| {
                (has > 0).then(|| {
                    format!("{name} ({used} + {asks}) ÷ {has} = {:.3}", ((asks + used) as f64 / has as f64).min(1.0))
                })
            };
            let (asks, used, has) = (&pod.requests, &node.requested, &node.allocatable);
            let parts = [
                part("cpu", asks.milli_cpu, used.milli_cpu, has.milli_cpu),
                part("memory", asks.memory >> 20, used.memory >> 20, has.memory >> 20),
            ];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            Some(vec![match parts.len() {
                2 => format!(
                    "{}, at most 1 each; (1 − distance ÷ 2) × 100, rounded down, is {}.",
                    parts.join(", "),
                    asked.answer
                ),
                _ => "With one resource or none there is nothing to balance: 100.".into(),
            }])
        }
        _ => allocation(asked),
    }
}

fn allocation(asked: &Asked<'_>) -> Option<Vec<String>> {
    let (pod, node): (PodRequest, NodeResources) = (asked.arg("pod")?, asked.arg("node")?);
    let (name, strategy) = asked.args["strategy"].as_object()?.iter().next()?;
    let resources = strategy.as_array().or_else(|| strategy["resources"].as_array())?;
    let mut said = Vec::new();
    for resource in resources {
        let (of, weight) = (resource["name"].as_str()?, resource["weight"].as_i64()?);
        let (asks, used, has, scalar) = match of {
            "cpu" => (pod.scored.milli_cpu, node.scored.milli_cpu, node.allocatable.milli_cpu, false),
            "memory" => (pod.scored.memory, node.scored.memory, node.allocatable.memory, false),
            "ephemeral-storage" => (
                pod.requests.ephemeral_storage,
                node.requested.ephemeral_storage,
                node.allocatable.ephemeral_storage,
                false,
            ),
            other => {
                let of = |amounts: &kit_contract::scheduler::Amounts| {
                    amounts.scalar.iter().find(|(name, _)| **name == *other).map_or(0, |(_, amount)| *amount)
                };
                (of(&pod.requests), of(&node.requested), of(&node.allocatable), true)
            }
        };
        let requested = asks + used;
        if has == 0 || (scalar && asks == 0) {
            let why = if has == 0 { "the node has none" } else { "the pod asks for none" };
            said.push(format!("{of} is left out, with its weight: {why}."));
            continue;
        }
        let (show, scale): (fn(i64, i64) -> String, i64) = match of {
            "memory" | "ephemeral-storage" if has >= 1 << 20 => {
                (|amount, scale| format!("{}Mi", amount / scale), 1 << 20)
            }
            "cpu" => (|amount, _| format!("{amount}m"), 1),
            _ => (|amount, _| amount.to_string(), 1),
        };
        let (asked_for, there) = (show(requested, scale), show(has, scale));
        let over = requested > has;
        said.push(match name.as_str() {
            "LeastAllocated" if over => {
                format!("{of}: {asked_for} of {there} is more than there is: 0 (weight {weight}).")
            }
            "LeastAllocated" => format!(
                "{of}: ({there} − {asked_for}) × 100 ÷ {there} = {} (weight {weight}).",
                i128::from(has - requested) * 100 / i128::from(has)
            ),
            _ if over => format!("{of}: {asked_for} of {there} is more than there is: 100 % used (weight {weight})."),
            _ => format!(
                "{of}: {asked_for} × 100 ÷ {there} = {} % used (weight {weight}).",
                i128::from(requested) * 100 / i128::from(has)
            ),
        });
    }
    said.push(match name.as_str() {
        "RequestedToCapacityRatio" => format!(
            "By the curve {}, without those that get 0, the mean by weights is {}.",
            flow(&strategy["shape"]),
            asked.answer
        ),
        _ => format!("The mean by weights, rounded down, is {}.", asked.answer),
    });
    Some(said)
}

pub fn topology_spread(asked: &Asked<'_>) -> Option<Vec<String>> {
    if asked.call == "normalize" {
        let scores: Vec<Option<i64>> = asked.arg("scores")?;
        let known: Vec<i64> = scores.into_iter().flatten().collect();
        let (least, greatest) = (known.iter().min(), known.iter().max());
        return Some(vec![match (least, greatest) {
            (Some(_), Some(0)) => "All are 0, so that all become 100; ignored ones get 0.".into(),
            (Some(least), Some(greatest)) => format!(
                "100 × ({greatest} + {least} − score) ÷ {greatest} in integers: fewer pods are better. Ignored ones get 0."
            ),
            _ => "All are ignored, and get 0.".into(),
        }]);
    }
    let (constraints, nodes): (Vec<SpreadConstraint>, Vec<SpreadNode>) =
        (asked.arg("constraints")?, asked.arg("nodes")?);
    if asked.call == "score" {
        return Some(vec![
            "Of each constraint whose label the candidate has: matching pods in its domain × ln(domains + 2) + (maxSkew − 1); the sum is rounded. With all_labels, a node that lacks a label of any constraint is ignored.".into(),
        ]);
    }
    let label = |node: &SpreadNode, key: &str| -> Option<String> {
        serde_json::to_value(&node.topology).ok()?.get(key)?.as_str().map(String::from)
    };
    let verdicts: Vec<(String, String)> = asked.answer()?;
    let mut said = Vec::new();
    for (at, one) in constraints.iter().enumerate() {
        let key = one.topology_key.to_string();
        let honor = |policy: &kit_contract::scheduler::InclusionPolicy| flow(policy) == "Honor";
        let counted = nodes.iter().filter(|node| {
            constraints.iter().all(|other| label(node, &other.topology_key.to_string()).is_some())
                && (node.affinity || !honor(&one.node_affinity_policy))
                && (node.tolerated || !honor(&one.node_taints_policy))
        });
        let mut domains: BTreeMap<String, i64> = BTreeMap::new();
        for node in counted {
            *domains.entry(label(node, &key)?).or_default() += node.matching.get(at).copied().unwrap_or(0);
        }
        let few = (domains.len() as i64) < one.min_domains;
        let least = if few { 0 } else { domains.values().min().copied().unwrap_or(0) };
        let shown: Vec<_> = domains.iter().map(|(name, count)| format!("{} {count}", quoted(name))).collect();
        let why = if few { format!(", since there are fewer than {} domains", one.min_domains) } else { String::new() };
        said.push(format!(
            "By {key}: {}; the minimum is {least}{why}, and at most {} more are allowed.",
            if shown.is_empty() { "no domain counts".into() } else { shown.join(", ") },
            one.max_skew
        ));
        for node in &nodes {
            let Some((name, verdict)) = verdicts.iter().find(|(name, _)| *name == node.name.to_string()) else {
                continue;
            };
            let Some(domain) = label(node, &key) else {
                if verdict == "NoLabel" {
                    said.push(format!("{name} has no label {key}."));
                }
                continue;
            };
            let count = domains.get(&domain).copied().unwrap_or(0);
            let skew = count + i64::from(one.self_match) - least;
            if skew > one.max_skew && verdict == "Skewed" {
                let own = if one.self_match { " + 1" } else { "" };
                said.push(format!("{name}: {count}{own} − {least} = {skew} > {}.", one.max_skew));
            }
        }
    }
    said.truncate(7);
    Some(said)
}

fn quoted(name: &str) -> String {
    if name.is_empty() { "\"\"".into() } else { name.to_string() }
}
