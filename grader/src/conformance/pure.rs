//! Tables of pure functions: each check reads a case, asks `kit-api` and compares.

use super::Check;
use kit_api::core::{Node, Pod, PodSpec};
use kit_api::eviction::{Level, ThresholdConfig};
use kit_api::int_or_percent::{IntOrString, Round, scaled};
use kit_api::meta::LabelSelector;
use kit_api::pod_resources::{self, RequestOptions, Resources, kubelet_request};
use kit_api::qos::QosClass;
use kit_api::selector::{self, FieldSelector, Labels, Selector};
use kit_api::{Quantity, daemon_set, name, preemption, qos, safe_encode, toleration};
use kit_contract::node::eviction::{Amounts, Config, Pod as Candidate, Seen, Signal, Threshold, Usage};
use kit_controllers::daemon_set::pods;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    Some(match table {
        "daemonset_counts" => daemonset_counts,
        "daemonset_node_should_run" => daemonset_node_should_run,
        "daemonset_pod_tolerations" => daemonset_pod_tolerations,
        "eviction_ranking" => eviction_ranking,
        "eviction_thresholds" => eviction_thresholds,
        "field_selector_parse" => field_selector_parse,
        "intstr_scaled" => intstr_scaled,
        "kubelet_critical_pod_preemption" => kubelet_critical_pod_preemption,
        "label_selector_object" => label_selector_object,
        "label_selector_parse" => label_selector_parse,
        "name_validation" => name_validation,
        "pod_qos_resources_oom" => pod_qos_resources_oom,
        "quantity_arithmetic" => quantity_arithmetic,
        "quantity_parse" => quantity_parse,
        "safe_encode_string" => safe_encode_string,
        "toleration_tolerates_taint" => toleration_tolerates_taint,
        _ => return None,
    })
}

/// A field of a case as a type.
pub fn field<T: DeserializeOwned>(case: &Value, name: &str) -> Result<T, String> {
    serde_json::from_value(case[name].clone()).map_err(|e| format!("the case's `{name}`: {e}"))
}

/// A value that was made of a case as a type.
pub fn from<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|e| e.to_string())
}

/// Compares each field of `answers` with the case's field of that name; `null` and nothing are the same.
pub fn compare(case: &Value, answers: Value) -> Result<(), String> {
    for (name, got) in answers.as_object().into_iter().flatten() {
        let expected = &case[name.as_str()];
        if expected != got {
            return Err(format!("{name}: expected {expected}, got {got} · {}", input(case)));
        }
    }
    Ok(())
}

/// The start of a case, to find it by.
fn input(case: &Value) -> String {
    case.to_string().chars().take(160).collect()
}

fn intstr_scaled(case: &Value) -> Result<(), String> {
    let value: IntOrString = field(case, "value")?;
    let total = field(case, "total")?;
    let (up, down) = (scaled(&value, total, Round::Up), scaled(&value, total, Round::Down));
    compare(case, json!({ "errorUp": up.as_ref().err(), "roundUp": up.as_ref().unwrap_or(&0) }))?;
    match case.get("roundDown") {
        Some(_) => compare(case, json!({ "errorDown": down.as_ref().err(), "roundDown": down.as_ref().unwrap_or(&0) })),
        None => Ok(()),
    }
}

fn quantity_parse(case: &Value) -> Result<(), String> {
    let text: String = field(case, "in")?;
    match text.parse::<Quantity>() {
        Err(error) => compare(case, json!({ "error": error.to_string() })),
        Ok(quantity) => compare(
            case,
            json!({
                "error": null,
                "string": quantity.to_string(),
                "value": quantity.value().to_string(),
                "milliValue": quantity.milli_value().to_string(),
                "format": quantity.format().to_string(),
                "sign": quantity.sign(),
                "isZero": quantity.is_zero(),
                "json": json!(quantity.to_string()).to_string(),
            }),
        )
        .and_then(|()| {
            let (expected, got): (f64, f64) = (field(case, "approxFloat")?, quantity.approximate_f64());
            if expected == got { Ok(()) } else { Err(format!("approxFloat: expected {expected}, got {got} · {text}")) }
        }),
    }
}

fn quantity_arithmetic(case: &Value) -> Result<(), String> {
    let parse = |name| field::<String>(case, name)?.parse::<Quantity>().map_err(|e| format!("{name}: {e}"));
    let (a, b) = (parse("a")?, parse("b")?);
    let (mut sum, mut difference) = (a.clone(), a.clone());
    sum.add(&b);
    difference.sub(&b);
    compare(case, json!({ "add": sum.to_string(), "sub": difference.to_string(), "cmp": a.cmp(&b) as i32 }))
}

fn safe_encode_string(case: &Value) -> Result<(), String> {
    let number: u32 = field(case, "uint32")?;
    compare(case, json!({ "encoded": safe_encode::safe_encode(&number.to_string()) }))
}

fn toleration_tolerates_taint(case: &Value) -> Result<(), String> {
    let tolerates = toleration::tolerates(&field(case, "toleration")?, &field(case, "taint")?);
    compare(case, json!({ "tolerates": tolerates }))
}

fn daemonset_counts(case: &Value) -> Result<(), String> {
    let (value, nodes): (IntOrString, i32) = (field(case, "value")?, field(case, "numberToSchedule")?);
    let answers = [daemon_set::unavailable_count(&value, nodes), daemon_set::surge_count(&value, nodes)];
    let [unavailable, surge] = answers.each_ref().map(|answer| answer.as_ref().unwrap_or(&0));
    let errors = answers.each_ref().map(|answer| answer.as_ref().err().map_or("<nil>", String::as_str)).join(" ");
    compare(case, json!({ "unavailableCount": unavailable, "surgeCount": surge, "errors": errors }))
}

fn daemonset_node_should_run(case: &Value) -> Result<(), String> {
    let (template, node): (PodSpec, Node) = (field(case, "daemonSetPodSpec")?, field(case, "node")?);
    let module = solutions::modules().daemon_set.make(&());
    let answer = module.wants(&pods::template_view(&template), &pods::node_view(&template, &node));
    compare(case, json!({ "shouldRun": answer.should_run, "shouldContinueRunning": answer.may_stay }))
}

fn daemonset_pod_tolerations(case: &Value) -> Result<(), String> {
    let template = PodSpec { host_network: Some(field(case, "hostNetwork")?), ..PodSpec::default() };
    let module = solutions::modules().daemon_set.make(&());
    compare(case, json!({ "tolerations": module.tolerations(&pods::template_view(&template)) }))
}

fn names(pods: &[&Pod]) -> Vec<String> {
    pods.iter().map(|pod| pod.metadata.name.clone().unwrap_or_default()).collect()
}

fn eviction_ranking(case: &Value) -> Result<(), String> {
    let mut pods: Vec<Pod> = field(case, "pods")?;
    let signal = match case["pressure"].as_str() {
        Some("memory") => Signal::Memory,
        Some("pid") => Signal::Pid,
        _ => Signal::Nodefs,
    };
    let view = |pod: &Pod| {
        let stats = pod.metadata.name.as_deref().and_then(|name| case["stats"].get(name));
        let uses = stats.map(|stats| {
            let sum = |names: &[&str]| names.iter().filter_map(|name| stats[*name].as_i64()).sum();
            let disk = sum(&["rootfsUsedBytes", "logsUsedBytes", "localVolumesUsedBytes", "volumesUsedBytes"]);
            let (memory, pids) = (sum(&["workingSetBytes"]), sum(&["processCount"]));
            Usage { memory, ephemeral_storage: disk, inodes: 0, pids }
        });
        let request = |name: &str| kubelet_request(pod, name).value();
        Candidate {
            name: pod.metadata.name.clone().unwrap_or_default(),
            class: QosClass::BestEffort,
            priority: pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0),
            // They are ranked like all others, and only then left out.
            critical: false,
            grace_seconds: 30,
            requests: Amounts { memory: request("memory"), ephemeral_storage: request("ephemeral-storage") },
            uses,
            containers: Vec::new(),
        }
    };
    // The manager says who is first, again and again.
    let threshold = Threshold { signal, below: 1, grace_seconds: 0, min_reclaim: 0 };
    let config =
        Config { thresholds: vec![threshold], transition_seconds: 0, max_pod_grace_seconds: 0, image_fs: true };
    let mut module = solutions::modules().eviction.make(&config);
    let mut order = Vec::new();
    for now in 0..pods.len() as i64 {
        let seen = Seen { measured_ms: now, available: [(signal, 0)].into(), pods: pods.iter().map(view).collect() };
        let Some(evicted) = module.look(&seen, now).evict else { break };
        pods.retain(|pod| pod.metadata.name.as_ref() != Some(&evicted.pod));
        order.push(evicted.pod);
    }
    compare(case, json!({ "evictionOrder": order }))
}

fn eviction_thresholds(case: &Value) -> Result<(), String> {
    let config: ThresholdConfig = from(case.clone())?;
    let level = |level: &Level| match level {
        Level::Quantity(quantity) => quantity.to_string(),
        Level::Percentage(part) => part.to_string(),
    };
    let thresholds = match config.parse() {
        Err(error) => return compare(case, json!({ "error": error, "thresholds": null })),
        Ok(thresholds) => thresholds,
    };
    let thresholds: Vec<Value> = thresholds
        .iter()
        .map(|threshold| {
            let mut shown = json!({
                "gracePeriod": threshold.grace_period.to_string(),
                "operator": "LessThan",
                "signal": threshold.signal,
                "value": level(&threshold.value),
            });
            if let Some(reclaim) = &threshold.min_reclaim {
                shown["minReclaim"] = level(reclaim).into();
            }
            shown
        })
        .collect();
    // The recording is sorted by signal, hard thresholds and soft ones together; none is written as null.
    let sorted = |list: &[Value]| {
        let mut list: Vec<String> = list.iter().map(canonical).collect();
        list.sort();
        list
    };
    compare(case, json!({ "error": null }))?;
    let expected = case["thresholds"].as_array().map(Vec::as_slice).unwrap_or_default();
    if sorted(expected) == sorted(&thresholds) {
        return Ok(());
    }
    compare(case, json!({ "thresholds": thresholds }))
}

/// A value's text, whatever the order of its fields.
fn canonical(value: &Value) -> String {
    let fields: BTreeMap<&String, &Value> = value.as_object().into_iter().flatten().collect();
    json!(fields).to_string()
}

fn kubelet_critical_pod_preemption(case: &Value) -> Result<(), String> {
    let mut pods: Vec<Pod> = field(case, "pods")?;
    let classes = solutions::modules().qos.make(&());
    for pod in &mut pods {
        let class = classes.class(pod).to_string();
        pod.status.get_or_insert_default().qos_class.get_or_insert(class);
    }
    let missing: BTreeMap<String, i64> = field(case, "insufficient")?;
    let mut preemptor = Pod::default();
    let spec = preemptor.spec.get_or_insert_default();
    spec.priority = Some(qos::SYSTEM_CRITICAL_PRIORITY + 1000);
    spec.priority_class_name = Some("system-node-critical".into());
    let running: Vec<&Pod> = pods.iter().collect();
    match preemption::victims(&preemptor, &running, &missing.into_iter().collect()) {
        Err(error) => compare(case, json!({ "error": error })),
        Ok(victims) => {
            compare(case, json!({ "error": null }))?;
            let expected: Option<BTreeSet<String>> = field(case, "victims")?;
            let got: BTreeSet<String> = names(&victims).into_iter().collect();
            if got == expected.unwrap_or_default() { Ok(()) } else { compare(case, json!({ "victims": got })) }
        }
    }
}

/// The labels that each recorded selector is tried on, as the tables' `what` lists them.
fn label_sets() -> Vec<Labels> {
    let sets: [&[(&str, &str)]; 8] = [
        &[],
        &[("app", "web")],
        &[("app", "web"), ("tier", "front")],
        &[("app", "db"), ("env", "prod"), ("tier", "back")],
        &[("env", "prod"), ("n", "5")],
        &[("app.kubernetes.io/name", "x"), ("env", "dev"), ("n", "12")],
        &[("app", "")],
        &[("n", "abc")],
    ];
    sets.into_iter().map(labels).collect()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn label_selector_parse(case: &Value) -> Result<(), String> {
    match field::<String>(case, "in")?.parse::<Selector>() {
        Err(error) => compare(case, json!({ "error": error })),
        Ok(selector) => {
            let matches: Vec<bool> = label_sets().iter().map(|labels| selector.matches(labels)).collect();
            let (string, empty) = (selector.to_string(), selector.is_empty());
            compare(case, json!({ "error": null, "string": string, "empty": empty, "matches": matches }))
        }
    }
}

fn label_selector_object(case: &Value) -> Result<(), String> {
    let object: Option<LabelSelector> = field(case, "in")?;
    match Selector::try_from(object.as_ref()) {
        Err(error) => compare(case, json!({ "error": error })),
        Ok(parsed) => {
            let matches: Vec<bool> = label_sets().iter().map(|labels| parsed.matches(labels)).collect();
            let formatted = selector::format(object.as_ref());
            compare(
                case,
                json!({ "error": null, "string": parsed.to_string(), "formatted": formatted, "matches": matches }),
            )
        }
    }
}

fn field_selector_parse(case: &Value) -> Result<(), String> {
    let sets = [
        labels(&[]),
        labels(&[
            ("metadata.name", "web-0"),
            ("metadata.namespace", "shop"),
            ("spec.nodeName", ""),
            ("status.phase", "Running"),
        ]),
        labels(&[("metadata.name", "db"), ("spec.nodeName", "worker-a-1"), ("status.phase", "Pending")]),
    ];
    match field::<String>(case, "in")?.parse::<FieldSelector>() {
        Err(error) => compare(case, json!({ "error": error })),
        Ok(selector) => {
            let terms: Vec<Value> = selector
                .terms
                .iter()
                .map(|t| json!({ "field": t.field, "op": if t.negated { "!=" } else { "=" }, "value": t.value }))
                .collect();
            let requirements = if terms.is_empty() { Value::Null } else { json!(terms) };
            let matches: Vec<bool> = sets.iter().map(|fields| selector.matches(fields)).collect();
            compare(
                case,
                json!({
                    "error": null, "string": selector.to_string(), "requirements": requirements, "matches": matches,
                }),
            )
        }
    }
}

fn name_validation(case: &Value) -> Result<(), String> {
    let text: String = field(case, "in")?;
    compare(
        case,
        json!({
            "configMapKey": name::config_map_key(&text),
            "dns1035Label": name::dns1035_label(&text),
            "dns1123Label": name::dns1123_label(&text),
            "dns1123Subdomain": name::dns1123_subdomain(&text),
            "envVarName": name::env_var_name(&text),
            "labelValue": name::label_value(&text),
            "portName": name::port_name(&text),
            "qualifiedName": name::qualified_name(&text),
            "wildcardDNS1123Subdomain": name::wildcard_dns1123_subdomain(&text),
        }),
    )
}

fn pod_qos_resources_oom(case: &Value) -> Result<(), String> {
    const MEMORY: i64 = 16 << 30;
    let mut pod: Pod = field(case, "pod")?;
    pod_resources::set_defaults(&mut pod);
    let text = |resources: Resources| -> Map<String, Value> {
        resources.into_iter().map(|(name, amount)| (name, amount.to_string().into())).collect()
    };
    let requests = |exclude_overhead, non_missing| {
        text(pod_resources::requests(&pod, &RequestOptions { exclude_overhead, non_missing, ..Default::default() }))
    };
    let spec = pod.spec.as_ref().ok_or("the pod has no spec")?;
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let module = solutions::modules().qos.make(&());
    let scores: Map<String, Value> =
        containers.map(|c| (c.name.clone(), module.oom_score_adj(&pod, &c.name, MEMORY).into())).collect();
    compare(
        case,
        json!({
            "qos": module.class(&pod).to_string(),
            "requests": requests(false, Resources::new()),
            "requestsExcludeOverhead": requests(true, Resources::new()),
            "requestsForScoring": requests(false, pod_resources::non_missing()),
            "limits": text(pod_resources::limits(&pod)),
            "oomScoreAdj16Gi": scores,
        }),
    )
}
