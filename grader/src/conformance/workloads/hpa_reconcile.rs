//! Whole lives of autoscalers, held against the controller around the reference module.

use super::Check;
use super::pure::{compare, field, from};
use kit_api::autoscaling::{HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus};
use kit_api::core::Pod;
use kit_api::jiff::Timestamp;
use kit_controllers::horizontal::metrics::Refusals;
use kit_controllers::horizontal::{Around, History, Metrics, PodMetrics, Scale, sync};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    (table == "hpa_reconcile").then_some(life as Check)
}

/// The start of a case: pods are older.
const BEGIN: i64 = 1_000_000;

fn life(case: &Value) -> Result<(), String> {
    let (mut history, mut status) = (History::default(), Value::Null);
    let mut spec = &case["spec"];
    for tick in case["ticks"].as_array().into_iter().flatten() {
        if tick["spec"].is_object() {
            spec = &tick["spec"];
        }
        let hpa = json!({"metadata": {"name": "hpa", "namespace": "default"}, "spec": spec, "status": status});
        let hpa: HorizontalPodAutoscaler = from(hpa)?;
        let after = self::tick(case, tick, &hpa, &mut history)
            .map_err(|why| format!("{} t={}: {why}", case["name"], tick["t"]))?;
        status = json!(after);
    }
    Ok(())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(BEGIN + seconds).unwrap_or_default()
}

fn pod(case: &Value, seen: &Value, now: i64) -> Result<Pod, String> {
    let ago = |name: &str| field::<Option<i64>>(seen, name).map(|ago| ago.map(|ago| json!(at(now - ago))));
    let names = case["containers"].as_array().into_iter().flatten();
    let requests = seen["cpuRequestMilli"].as_array().cloned().unwrap_or_default();
    let containers = names.enumerate().map(|(index, name)| {
        let request = requests.get(index).and_then(Value::as_i64).map(|milli| json!({"cpu": format!("{milli}m")}));
        json!({"name": name, "resources": {"requests": request}})
    });
    let ready = json!({"type": "Ready", "status": if seen["ready"] == true { "True" } else { "False" },
        "lastTransitionTime": ago("readyTransitionSecondsAgo")?});
    let pod = json!({
        "metadata": {"name": seen["name"], "namespace": "default", "labels": {"app": "web"},
            "deletionTimestamp": (seen["deleting"] == true).then(|| at(now))},
        "spec": {"containers": containers.collect::<Vec<_>>()},
        "status": {"phase": seen["phase"], "startTime": ago("startedSecondsAgo")?, "conditions": [ready]},
    });
    from(pod)
}

fn metrics(case: &Value, tick: &Value, now: i64) -> Result<Metrics, String> {
    let text = |name: &str| tick[name].as_str().map(String::from);
    let objects = "ingresses.custom.metrics.k8s.io \"requests\" not found".to_string();
    let refusals = Refusals {
        resources: text("resourceMetricsError"),
        pods: None,
        objects: Some(objects),
        external: text("externalMetricsError"),
    };
    let mut metrics = Metrics { refusals, ..Metrics::default() };
    let external: Option<Vec<i64>> = field(tick, "externalMetricMilli")?;
    let external = external.filter(|_| metrics.refusals.external.is_none());
    metrics.external.extend(external.into_iter().flat_map(|series| {
        // One series stands for whatever the autoscaler asks for.
        ["queue", "requests"].map(|name| (name.to_string(), series.clone()))
    }));
    let object: Option<i64> = field(tick, "objectMetricMilli")?;
    metrics.objects.extend(object.map(|milli| (("Ingress".into(), "main".into(), "requests".into()), milli)));
    let mut qps = BTreeMap::new();
    for seen in tick["pods"].as_array().into_iter().flatten() {
        let name: String = field(seen, "name")?;
        let milli: Option<i64> = field(seen, "qpsMilli")?;
        qps.extend(milli.map(|milli| (name.clone(), (at(now), milli))));
        let Some(used) = seen["cpuUsageMilli"].as_array() else { continue };
        let names = case["containers"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let used = names.zip(used).filter_map(|(name, milli)| {
            Some((name.to_string(), BTreeMap::from([("cpu".to_string(), milli.as_i64()?)])))
        });
        let measured = PodMetrics { timestamp: at(now - 10), window_seconds: 30, containers: used.collect() };
        metrics.resources.insert(name, measured);
    }
    metrics.pods.insert("qps".into(), qps);
    Ok(metrics)
}

fn tick(
    case: &Value,
    tick: &Value,
    hpa: &HorizontalPodAutoscaler,
    history: &mut History,
) -> Result<HorizontalPodAutoscalerStatus, String> {
    let now: i64 = field(tick, "t")?;
    let pods = tick["pods"].as_array().into_iter().flatten().map(|seen| pod(case, seen, now));
    let pods = pods.collect::<Result<Vec<_>, _>>()?;
    let pods: Vec<_> = pods.iter().collect();
    let selector = tick["scaleSelector"].as_str().unwrap_or("app=web").to_string();
    let scale = Scale {
        spec_replicas: field(tick, "specReplicas")?,
        status_replicas: field(tick, "statusReplicas")?,
        selector,
    };
    let (mut others, other) = (BTreeMap::new(), "app=web".parse()?);
    if tick["anotherHpaSelectsThePods"] == true {
        others.insert("zz-other", &other);
    }
    let mut scaled = None;
    let mut rescale = |replicas: i32| -> Result<(), String> {
        if tick["scaleUpdate"] == "conflict" {
            return Err(
                "Operation cannot be fulfilled on deployments.apps \"web\": the object has been modified; please \
                        apply your changes to the latest version and try again"
                    .into(),
            );
        }
        scaled = Some(replicas);
        Ok(())
    };
    let metrics = metrics(case, tick, now)?;
    let around = Around {
        scale: if tick["scaleGet"] == "notfound" { Err("deployments.apps \"web\" not found") } else { Ok(&scale) },
        pods: &pods,
        metrics: &metrics,
        others: &others,
        now: at(now),
        rescale: &mut rescale,
    };
    let module = solutions::modules().hpa.make(&());
    let result = sync(&*module, hpa, around, history);
    let events = result.events.iter().map(|event| format!("{} {} {}", event.type_, event.reason, event.message));
    let events: Vec<String> = events.collect();
    let written = hpa.status.as_ref() != Some(&result.status);
    compare(
        tick,
        json!({
            "scaledTo": scaled,
            "events": if events.is_empty() { Value::Null } else { json!(events) },
            "error": result.error,
            "status": if written { show(&result.status, now) } else { Value::Null },
        }),
    )?;
    Ok(result.status)
}

/// A status as the recording has it.
fn show(status: &HorizontalPodAutoscalerStatus, now: i64) -> Value {
    let mut shown: Map<String, Value> = json!(status).as_object().cloned().unwrap_or_default();
    let conditions = status.conditions.iter().flatten().map(|condition| {
        let of = |field: &Option<String>| field.clone().unwrap_or_default();
        format!("{}={}:{} {}", condition.type_, condition.status, of(&condition.reason), of(&condition.message))
    });
    shown.insert("conditions".into(), json!(conditions.collect::<Vec<_>>()));
    shown.entry("currentReplicas").or_insert(0.into());
    // Only a new time is told.
    let scaled_now = status.last_scale_time.as_ref().is_some_and(|time| time.0 == at(now));
    shown.shift_remove("lastScaleTime");
    if scaled_now {
        shown.insert("lastScaleTime".into(), "now".into());
    }
    Value::Object(shown)
}
