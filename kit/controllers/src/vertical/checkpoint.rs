//! A model as it is stored in a VerticalPodAutoscalerCheckpoint, so that a new recommender knows the past.
//!
//! Sources: `SaveToChekpoint` and `LoadFromCheckpoint` of `pkg/recommender/util/histogram.go` and
//! `pkg/recommender/model/aggregate_container_state.go`.

use super::Model;
use kit_api::jiff::Timestamp;
use kit_contract::workloads::vpa::{Histogram, Resource};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The weight of the heaviest bucket in a checkpoint.
const MOST_WEIGHT: f64 = 10_000.0;
/// What a checkpoint of another version says is not understood (`SupportedCheckpointVersion`).
const VERSION: &str = "v3";

/// The status of a checkpoint (`VerticalPodAutoscalerCheckpointStatus`).
pub fn save(model: &Model, now: Timestamp) -> Value {
    json!({
        "lastUpdateTime": text(Some(now)),
        "version": VERSION,
        "cpuHistogram": histogram(&model.cpu),
        "memoryHistogram": histogram(&model.memory),
        "firstSampleStart": text(model.first),
        "lastSampleStart": text(model.last),
        "totalSamplesCount": model.samples,
    })
}

/// The model of such a status. Weights are kept as whole numbers there, so that it is about the same.
///
/// # Errors
///
/// Another version, or a bucket that no histogram has.
pub fn load(status: &Value) -> Result<Model, String> {
    let version = status["version"].as_str().unwrap_or_default();
    if version != VERSION {
        return Err(format!("unsupported checkpoint version {version}"));
    }
    Ok(Model {
        cpu: loaded(Resource::Cpu, &status["cpuHistogram"])?,
        memory: loaded(Resource::Memory, &status["memoryHistogram"])?,
        first: time(&status["firstSampleStart"]),
        last: time(&status["lastSampleStart"]),
        samples: status["totalSamplesCount"].as_u64().unwrap_or_default(),
    })
}

fn text(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into())
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Buckets whose weight rounds to 0 are left out.
fn histogram(histogram: &Histogram) -> Value {
    let most = histogram.weights.values().copied().fold(0.0, f64::max);
    let scaled = |(bucket, weight): (&u32, &f64)| (bucket.to_string(), (weight * (MOST_WEIGHT / most)).round() as u64);
    let weights = histogram.weights.iter().map(scaled).filter(|(_, weight)| *weight > 0);
    let weights: Map<String, Value> = weights.map(|(bucket, weight)| (bucket, weight.into())).collect();
    let reference = histogram.reference_seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    let total: f64 = histogram.weights.values().sum();
    json!({ "bucketWeights": weights, "totalWeight": total, "referenceTimestamp": text(reference) })
}

fn loaded(resource: Resource, value: &Value) -> Result<Histogram, String> {
    let number = |(bucket, weight): (&String, &Value)| Some((bucket.parse::<u32>().ok()?, weight.as_f64()?));
    let stored = value["bucketWeights"].as_object().into_iter().flatten();
    let stored: BTreeMap<u32, f64> = stored.filter_map(number).collect();
    // The last bucket is the one that everything beyond lies in.
    let last = resource.bucket(i64::MAX);
    if let Some(bucket) = stored.keys().find(|bucket| **bucket > last) {
        return Err(format!("checkpoint has bucket {bucket} that is exceeding histogram buckets {}", last + 1));
    }
    let sum: f64 = stored.values().sum();
    let total = value["totalWeight"].as_f64().unwrap_or_default();
    let weights = stored.into_iter().filter(|_| sum > 0.0).map(|(bucket, weight)| (bucket, weight * (total / sum)));
    let reference_seconds = time(&value["referenceTimestamp"]).map(Timestamp::as_second);
    Ok(Histogram { resource, weights: weights.collect(), reference_seconds })
}
