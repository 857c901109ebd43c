//! What the recommender of the Vertical Pod Autoscaler learns from samples.

use super::Check;
use super::pure::{compare, field};
use kit_api::Quantity;
use kit_api::jiff::Timestamp;
use kit_controllers::vertical::container::{Container, Sample};
use kit_controllers::vertical::histogram::Checkpoint;
use kit_controllers::vertical::{Model, Policy, recommend};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    (table == "vpa_recommender").then_some(recommender as Check)
}

fn recommender(case: &Value) -> Result<(), String> {
    let pods: BTreeMap<String, Vec<String>> = field(case, "containersOfPods")?;
    let mut models: BTreeMap<String, Model> =
        pods.values().flatten().map(|name| (name.clone(), Model::default())).collect();
    let mut containers: BTreeMap<String, Container> = BTreeMap::new();
    let mut samples = case["samples"].as_array().into_iter().flatten().peekable();
    for result in case["results"].as_array().into_iter().flatten() {
        let until: i64 = field(result, "afterT")?;
        while let Some(sample) = samples.next_if(|sample| sample["t"].as_i64().is_some_and(|t| t <= until)) {
            observe(sample, &mut containers, &mut models)?;
        }
        let check = |what: Result<(), String>| what.map_err(|why| format!("{} t={until}: {why}", case["name"]));
        check(compare(result, json!({ "recommendation": recommended(case, &models)? })))?;
        for (name, expected) in result["checkpoints"].as_object().into_iter().flatten() {
            let model = models.get(name).ok_or_else(|| format!("there is no container {name}"))?;
            check(compare_checkpoint(expected, model))?;
        }
    }
    Ok(())
}

fn observe(
    sample: &Value,
    containers: &mut BTreeMap<String, Container>,
    models: &mut BTreeMap<String, Model>,
) -> Result<(), String> {
    let key: String = field(sample, "container")?;
    let name = key.rsplit('/').next().unwrap_or_default();
    let model = models.get_mut(name).ok_or_else(|| format!("there is no container {name}"))?;
    let container = containers.entry(key.clone()).or_default();
    let at = Timestamp::from_second(field(sample, "t")?).map_err(|e| e.to_string())?;
    let of = |what: &str| sample[what].as_i64().map(|amount| Sample { at, amount });
    let dropped = json!({
        "cpuDropped": of("cpuMilli").map(|sample| !container.add_cpu(sample, model)).filter(|dropped| *dropped),
        "memoryDropped": of("memoryBytes").map(|sample| !container.add_memory(sample, model)).filter(|dropped| *dropped),
        "oomDropped": of("oomMemoryBytes").map(|sample| !container.record_oom(sample, model)).filter(|dropped| *dropped),
    });
    compare(sample, dropped)
}

/// What is allowed for a container, or nothing if it isn't looked after.
fn policy(case: &Value, name: &str) -> Result<Option<Policy>, String> {
    let policies = case["resourcePolicy"]["containerPolicies"].as_array().cloned().unwrap_or_default();
    let named = |wanted: &str| policies.iter().find(|policy| policy["containerName"] == wanted);
    let Some(policy) = named(name).or_else(|| named("*")) else { return Ok(Some(Policy::default())) };
    if policy["mode"] == "Off" {
        return Ok(None);
    }
    let limits = |name: &str| -> Result<BTreeMap<String, Quantity>, String> {
        let limits: Option<BTreeMap<String, String>> = field(policy, name)?;
        let read = |(resource, text): (String, String)| Ok((resource, text.parse().map_err(|e| format!("{e}"))?));
        limits.into_iter().flatten().map(read).collect()
    };
    let controlled = field(policy, "controlledResources")?;
    Ok(Some(Policy { min_allowed: limits("minAllowed")?, max_allowed: limits("maxAllowed")?, controlled }))
}

fn recommended(case: &Value, models: &BTreeMap<String, Model>) -> Result<Value, String> {
    let mut policies = BTreeMap::new();
    for name in models.keys() {
        policies.extend(policy(case, name)?.map(|policy| (name.as_str(), policy)));
    }
    let models = policies.keys().map(|name| (*name, &models[*name])).collect();
    let show = |quantities: BTreeMap<&str, Quantity>| {
        quantities.iter().map(|(name, quantity)| (name.to_string(), quantity.to_string().into())).collect::<Map<_, _>>()
    };
    let shown = recommend(&models).into_iter().map(|(name, recommendation)| {
        let policy = &policies[name];
        json!({
            "containerName": name,
            "target": show(policy.capped(recommendation.target)),
            "lowerBound": show(policy.capped(recommendation.lower_bound)),
            "upperBound": show(policy.capped(recommendation.upper_bound)),
            "uncappedTarget": show(policy.controlled(recommendation.target)),
        })
    });
    Ok(shown.collect())
}

fn compare_checkpoint(expected: &Value, model: &Model) -> Result<(), String> {
    let checkpoint = model.checkpoint();
    let seconds = |at: Option<Timestamp>| at.map(Timestamp::as_second);
    compare(
        expected,
        json!({
            "firstSampleStart": seconds(checkpoint.first),
            "lastSampleStart": seconds(checkpoint.last),
            "totalSamplesCount": checkpoint.samples,
        }),
    )?;
    for (name, histogram) in [("cpuHistogram", &checkpoint.cpu), ("memoryHistogram", &checkpoint.memory)] {
        compare_histogram(&expected[name], histogram).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

fn compare_histogram(expected: &Value, histogram: &Checkpoint) -> Result<(), String> {
    let weights: Map<String, Value> =
        histogram.weights.iter().map(|(bucket, weight)| (bucket.to_string(), (*weight).into())).collect();
    let reference = histogram.reference.map(Timestamp::as_second);
    compare(expected, json!({ "bucketWeights": weights, "referenceTimestamp": reference }))?;
    // Powers of two differ in their last digit from one library to the next.
    let total: f64 = field(expected, "totalWeight")?;
    match (total - histogram.total).abs() <= 1e-9 * total.abs() {
        true => Ok(()),
        false => Err(format!("totalWeight: expected {total}, got {}", histogram.total)),
    }
}
