//! What the recommender of the Vertical Pod Autoscaler learns from samples.

use super::Check;
use super::pure::{compare, field};
use kit_api::jiff::Timestamp;
use kit_contract::workloads::VerticalPodAutoscaler;
use kit_contract::workloads::vpa::RecommendRequest;
use kit_controllers::vertical::container::{Container, Sample};
use kit_controllers::vertical::{Model, checkpoint, policy};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    (table == "vpa_recommender").then_some(recommender as Check)
}

fn recommender(case: &Value) -> Result<(), String> {
    let module = solutions::modules().vpa.make(&());
    let module = module.as_ref();
    let pods: BTreeMap<String, Vec<String>> = field(case, "containersOfPods")?;
    let mut models: BTreeMap<String, Model> =
        pods.values().flatten().map(|name| (name.clone(), Model::default())).collect();
    let mut containers: BTreeMap<String, Container> = BTreeMap::new();
    let mut samples = case["samples"].as_array().into_iter().flatten().peekable();
    for result in case["results"].as_array().into_iter().flatten() {
        let until: i64 = field(result, "afterT")?;
        while let Some(sample) = samples.next_if(|sample| sample["t"].as_i64().is_some_and(|t| t <= until)) {
            observe(sample, &mut containers, &mut models, module)?;
        }
        let check = |what: Result<(), String>| what.map_err(|why| format!("{} t={until}: {why}", case["name"]));
        check(compare(result, json!({ "recommendation": recommended(case, &models, module) })))?;
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
    module: &dyn VerticalPodAutoscaler,
) -> Result<(), String> {
    let key: String = field(sample, "container")?;
    let name = key.rsplit('/').next().unwrap_or_default();
    let model = models.get_mut(name).ok_or_else(|| format!("there is no container {name}"))?;
    let container = containers.entry(key.clone()).or_default();
    let at = Timestamp::from_second(field(sample, "t")?).map_err(|e| e.to_string())?;
    let of = |what: &str| sample[what].as_i64().map(|amount| Sample { at, amount });
    let dropped = json!({
        "cpuDropped": of("cpuMilli").map(|sample| !container.add_cpu(sample, model, module)).filter(|dropped| *dropped),
        "memoryDropped": of("memoryBytes").map(|sample| !container.add_memory(sample, model, module)).filter(|dropped| *dropped),
        "oomDropped": of("oomMemoryBytes").map(|sample| !container.record_oom(sample, model, module)).filter(|dropped| *dropped),
    });
    compare(sample, dropped)
}

fn recommended(case: &Value, models: &BTreeMap<String, Model>, module: &dyn VerticalPodAutoscaler) -> Vec<Value> {
    let containers = models.iter().map(|(name, model)| model.history(name)).collect();
    let policies = policy::policies(case);
    policy::write(case, &module.recommend(&RecommendRequest { containers, policies }))
}

fn compare_checkpoint(expected: &Value, model: &Model) -> Result<(), String> {
    let mut written = checkpoint::save(model, Timestamp::default());
    // When it was written is no matter of the model.
    written["lastUpdateTime"] = Value::Null;
    let seconds = |at: &Value| at.as_str().and_then(|at| at.parse().ok()).map(Timestamp::as_second);
    for field in ["firstSampleStart", "lastSampleStart"] {
        written[field] = seconds(&written[field]).into();
    }
    let mut expected = expected.clone();
    for name in ["cpuHistogram", "memoryHistogram"] {
        written[name]["referenceTimestamp"] = seconds(&written[name]["referenceTimestamp"]).into();
        // Powers of two differ in their last digit from one library to the next.
        let total = |of: &Value| of[name]["totalWeight"].as_f64().unwrap_or_default();
        let (wanted, got) = (total(&expected), total(&written));
        if (wanted - got).abs() > 1e-9 * wanted.abs() {
            return Err(format!("{name}: totalWeight: expected {wanted}, got {got}"));
        }
        expected[name]["totalWeight"] = written[name]["totalWeight"].clone();
    }
    compare(&expected, written)
}
