//! Tables of what happens to nodes and on them, held against the reference modules and the kit.

mod containers;
mod kubelet;
mod probes;
mod runtime;

use super::Check;
use super::pure::{compare, field, from};
use kit_api::Quantity;
use kit_api::core::{ContainerStatus, Pod, PodCondition, PodSpec};
use kit_api::eviction::{Threshold, ThresholdConfig};
use kit_api::quantity::Format;
use kit_contract::failure::NodeLifecycle;
use kit_contract::failure::node_lifecycle::Config;
use kit_contract::workloads::job::BackoffRequest;
use kit_node::eviction::{Config as Kubelet, Figures, Manager, Node, PodFigures};
use kit_node::runtime::phase::{self, Said};
use kit_time::agenda::Instant;
use serde_json::{Value, json};
use solutions::failure::node_lifecycle;
use std::collections::BTreeMap;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    match table {
        "eviction_thresholds_met" => Some(eviction_thresholds_met),
        "job_pod_backoff" => Some(job_pod_backoff),
        "node_zone_state" => Some(node_zone_state),
        "pod_phase_and_conditions" => Some(pod_phase_and_conditions),
        _ => [kubelet::check, runtime::check, containers::check, probes::check].iter().find_map(|check| check(table)),
    }
}

/// The entries of a list; none where it is `null`.
fn list(case: &Value) -> impl Iterator<Item = &Value> {
    case.as_array().into_iter().flatten()
}

/// A time in seconds, as the tables have numbers.
fn number(at: Instant) -> Value {
    const SECOND: i64 = 1_000_000_000;
    if at.nanos % SECOND == 0 { json!(at.nanos / SECOND) } else { json!(at.nanos as f64 / SECOND as f64) }
}

fn node_zone_state(case: &Value) -> Result<(), String> {
    let controller = node_lifecycle::Exercise::new(&Config::default());
    let (nodes, not_ready): (usize, usize) = (field(case, "nodes")?, field(case, "notReady")?);
    // The table has rates as whole numbers where they are 0.
    let rate = |rate: f64| if rate == 0.0 { json!(0) } else { json!(rate) };
    let state = controller.state(nodes - not_ready, not_ready);
    compare(
        case,
        json!({
            "zoneState": format!("{state:?}"),
            "notReadyCount": not_ready,
            "reducedEvictionQPS": rate(controller.reduced_rate(nodes)),
        }),
    )
}

/// A container of a case as its spec and, unless nothing is known of it, its status.
fn container(case: &Value) -> Result<(Value, Option<ContainerStatus>), String> {
    let name = &case["name"];
    let sidecar = case["sidecar"] == true;
    let mut spec = json!({ "name": name });
    if sidecar {
        spec["restartPolicy"] = "Always".into();
    }
    let state: String = field(case, "state")?;
    let mut words = state.split(',');
    let word = words.next().unwrap_or_default();
    let flag = |flag: &str| state.split(',').any(|word| word == flag);
    let exit = |word: &str| {
        word.split_once('=').map_or(json!(null), |(_, code)| json!({ "exitCode": code.parse::<i32>().ok() }))
    };
    let mut status =
        json!({ "name": name, "image": "", "imageID": "", "restartCount": 0, "ready": flag("ready=true") });
    match word.split('=').next().unwrap_or_default() {
        "noStatus" => return Ok((spec, None)),
        "running" => {
            status["state"] = json!({ "running": {} });
            status["started"] = flag("started=true").into();
        }
        "exited" => status["state"] = json!({ "terminated": exit(word) }),
        "waiting" => {
            status["state"] = json!({ "waiting": {} });
            if let Some(last) = words.next() {
                status["lastState"] = json!({ "terminated": exit(last) });
            }
        }
        other => return Err(format!("the case's state `{other}` is unknown")),
    }
    Ok((spec, Some(from(status)?)))
}

fn pod_phase_and_conditions(case: &Value) -> Result<(), String> {
    let mut statuses: Vec<ContainerStatus> = Vec::new();
    let mut specs = |list: &str| -> Result<Vec<Value>, String> {
        let containers = case[list].as_array().into_iter().flatten();
        let mut specs = Vec::new();
        for case in containers {
            let (spec, status) = container(case)?;
            specs.push(spec);
            statuses.extend(status);
        }
        Ok(specs)
    };
    let mut spec = json!({
        "initContainers": specs("initContainers")?,
        "containers": specs("containers")?,
        "restartPolicy": case["restartPolicy"],
    });
    let mut conditions: Vec<PodCondition> = Vec::new();
    if let Some(gate) = case["readinessGate"].as_str() {
        spec["readinessGates"] = json!([{ "conditionType": gate }]);
        let status: Option<String> = field(case, "gateCondition")?;
        let condition = |status| PodCondition { type_: gate.into(), status, ..PodCondition::default() };
        conditions.extend(status.map(condition));
    }
    let spec: PodSpec = from(spec)?;
    let module = solutions::modules().pod_lifecycle.make(&());
    let summary = phase::summary(
        &spec,
        &field::<String>(case, "restartPolicy")?,
        &statuses,
        field(case, "podIsTerminal")?,
        &*module,
    );
    let ready = phase::ready(&spec, &conditions, &summary.containers_ready);
    let said = |said: Said| {
        let mut value = json!({ "status": said.status() });
        value.as_object_mut().into_iter().for_each(|value| {
            value.extend(said.reason.map(|reason| ("reason".to_string(), reason.into())));
            value.extend(said.message.clone().map(|message| ("message".to_string(), message.into())));
        });
        value
    };
    compare(
        case,
        json!({
            "phase": summary.phase,
            "containersReady": said(summary.containers_ready),
            "ready": said(ready),
            "initialized": said(summary.initialized),
        }),
    )
}

fn eviction_thresholds_met(case: &Value) -> Result<(), String> {
    let config = json!({ "evictionHard": case["evictionHard"], "evictionMinimumReclaim": case["minimumReclaim"] });
    let config: ThresholdConfig = from(config)?;
    let amounts = |name: &str| -> Result<BTreeMap<String, Quantity>, String> {
        let texts: BTreeMap<String, String> = field(case, name)?;
        let parse =
            |(signal, text): (String, String)| Ok((signal, text.parse::<Quantity>().map_err(|e| e.to_string())?));
        texts.into_iter().map(parse).collect()
    };
    let (capacity, available) = (amounts("capacity")?, amounts("available")?);
    let none: BTreeMap<String, Quantity> =
        capacity.keys().map(|signal| (signal.clone(), Quantity::new(0, Format::DecimalSI))).collect();
    let thresholds = config.parse()?;
    // A node with one threshold, whose condition tells whether it is met: at once, or after nothing was left.
    let signals = |before: &[&BTreeMap<String, Quantity>]| {
        let is_met = |threshold: &&Threshold| {
            let config = Kubelet {
                thresholds: vec![(*threshold).clone()],
                capacity: capacity.clone(),
                transition: Instant::seconds(1),
                ..Kubelet::default()
            };
            let mut manager = Manager::new(config, solutions::modules().eviction);
            for (look, available) in (0..).zip(before.iter().copied().chain([&available])) {
                let measured = Instant::seconds(look * 10);
                let figures = Figures { available: available.clone(), measured };
                manager.look(measured, &figures, &[], &mut Quiet);
            }
            manager.conditions().next().is_some()
        };
        let signals: Vec<&str> = thresholds.iter().filter(is_met).map(|threshold| threshold.signal.as_str()).collect();
        if signals.is_empty() { Value::Null } else { json!(signals) }
    };
    compare(case, json!({ "met": signals(&[]), "metWithMinReclaim": signals(&[&none]) }))
}

/// A node without pods, where nothing changes.
struct Quiet;

impl Node for Quiet {
    fn usage(&self, _: &Pod) -> Option<PodFigures> {
        None
    }
    fn collect_garbage(&mut self) -> Figures {
        Figures::default()
    }
}

fn job_pod_backoff(case: &Value) -> Result<(), String> {
    let failures = field(case, "failures")?;
    let request = BackoffRequest { failures, last: Some(0), ended: Vec::new(), now: 0 };
    let seconds = solutions::modules().job.make(&()).backoff(&request).wait / 1000;
    compare(case, json!({ "seconds": seconds }))
}
