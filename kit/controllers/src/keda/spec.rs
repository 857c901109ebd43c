//! What a ScaledObject asks for.

use super::fallback::Fallback;
use super::pause;
use kit_api::Quantity;
use kit_api::quantity::Format;
use kit_apimachinery::object::Key;
use kit_client::component::World;
use kit_client::metrics::Measured;
use kit_time::agenda::Instant;
use serde_json::{Value, json};

/// The spec of a ScaledObject, with its defaults (`apis/keda/v1alpha1/scaledobject_types.go`,
/// `pkg/scaling/executor/scale_executor.go`).
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) target: String,
    pub(super) polling: Instant,
    pub(super) cooldown_seconds: i64,
    pub(super) initial_cooldown_seconds: i64,
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) idle: Option<i64>,
    pub(super) triggers: Vec<Trigger>,
    /// None if what it asks for can't be.
    pub(super) fallback: Option<Fallback>,
    /// Whether there is one, be it good or not.
    pub(super) asks_for_fallback: bool,
    /// How many replicas there are to be while it is paused.
    pub(super) paused: Option<i64>,
    hpa_name: String,
    behavior: Value,
}

/// What is wrong with a ScaledObject.
#[derive(Debug, PartialEq)]
pub(super) struct Wrong {
    /// What its condition says.
    pub(super) message: &'static str,
    /// What the operator knows beyond that.
    pub(super) why: String,
}

/// A trigger.
#[derive(Debug)]
pub(super) struct Trigger {
    /// What the HPA's metric is called.
    pub(super) metric: String,
    /// What an event calls it.
    pub(super) name: String,
    source: Source,
    /// So much for each pod, or in all.
    target_milli: i64,
    target_type: &'static str,
    /// With more than this the target wakes.
    activation_milli: i64,
}

/// Where a trigger reads.
#[derive(Debug)]
enum Source {
    Queue(String),
    Query { query: String, ignores_null: bool },
}

impl Spec {
    pub(super) fn read(object: &Value) -> Result<Spec, Wrong> {
        let spec = &object["spec"];
        let number = |field: &str, default: i64| spec[field].as_i64().unwrap_or(default);
        let text = |value: &Value, default: &str| {
            value.as_str().filter(|text| !text.is_empty()).unwrap_or(default).to_string()
        };
        let (min, max, idle) =
            (number("minReplicaCount", 0), number("maxReplicaCount", 100), spec["idleReplicaCount"].as_i64());
        // `CheckReplicaCountBoundsAreValid`
        let bounds =
            |why| Wrong { message: "ScaledObject doesn't have correct Idle/Min/Max Replica Counts specification", why };
        if min > max {
            return Err(bounds(format!("MinReplicaCount={min} must be less than MaxReplicaCount={max}")));
        }
        if let Some(idle) = idle.filter(|idle| *idle >= min) {
            return Err(bounds(format!("IdleReplicaCount={idle} must be less than MinReplicaCount={min}")));
        }
        let triggers = spec["triggers"].as_array().into_iter().flatten().enumerate();
        let triggers = triggers.map(|(index, trigger)| Trigger::read(index, trigger));
        let triggers = triggers.collect::<Result<_, _>>();
        let config = &spec["advanced"]["horizontalPodAutoscalerConfig"];
        let default_name = format!("keda-hpa-{}", object["metadata"]["name"].as_str().unwrap_or_default());
        Ok(Spec {
            api_version: text(&spec["scaleTargetRef"]["apiVersion"], "apps/v1"),
            kind: text(&spec["scaleTargetRef"]["kind"], "Deployment"),
            target: text(&spec["scaleTargetRef"]["name"], ""),
            polling: Instant::seconds(number("pollingInterval", 30).clamp(1, 1_000_000)),
            cooldown_seconds: number("cooldownPeriod", 300),
            initial_cooldown_seconds: number("initialCooldownPeriod", 0),
            min,
            max,
            idle,
            fallback: Fallback::read(spec),
            asks_for_fallback: spec["fallback"].is_object(),
            paused: pause::replicas(object)?,
            triggers: triggers
                .map_err(|why| Wrong { message: "failed to ensure HPA is correctly created for ScaledObject", why })?,
            hpa_name: text(&config["name"], &default_name),
            behavior: config["behavior"].clone(),
        })
    }

    /// The target; none if things of its kind aren't known.
    pub(super) fn target_key(&self, namespace: &str, world: &World<'_>) -> Option<Key> {
        let kind = world.server.kind_of(&self.api_version, &self.kind)?;
        Some(Key::new(kind, namespace, &self.target))
    }

    /// The name of the HPA (`getHPAName`).
    pub(super) fn hpa_name(&self) -> &str {
        &self.hpa_name
    }

    /// The spec of the HPA. Below one replica the operator is in charge (`GetHPAMinReplicas`).
    pub(super) fn hpa(&self, key: &Key) -> Value {
        let metric = |trigger: &Trigger| {
            let value: String = Quantity::from_milli(trigger.target_milli, Format::DecimalSI).to_string();
            let field = if trigger.target_type == "Value" { "value" } else { "averageValue" };
            json!({"type": "External", "external": {
                "metric": {"name": trigger.metric, "selector": {"matchLabels": {super::OWNER: &*key.name}}},
                "target": {"type": trigger.target_type, field: value},
            }})
        };
        let metrics: Vec<Value> = self.triggers.iter().map(metric).collect();
        let target = json!({"apiVersion": self.api_version, "kind": self.kind, "name": self.target});
        let (min, max) = self.paused.map_or((self.min, self.max), |paused| (paused, paused.max(1)));
        let mut spec =
            json!({"scaleTargetRef": target, "minReplicas": min.max(1), "maxReplicas": max, "metrics": metrics});
        if self.behavior.is_object() {
            spec["behavior"] = self.behavior.clone();
        }
        spec
    }
}

impl Trigger {
    fn read(index: usize, trigger: &Value) -> Result<Trigger, String> {
        let (type_, metadata) = (trigger["type"].as_str().unwrap_or_default(), &trigger["metadata"]);
        let text = |field: &str| metadata[field].as_str().map(str::trim);
        let missing = |field: &str| {
            format!("error parsing {type_} metadata: missing required parameter {field:?} in [triggerMetadata]")
        };
        let milli = |field: &str| match text(field) {
            None => Ok(None),
            Some(value) => match value.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Some((number * 1000.0) as i64)),
                _ => Err(format!("error parsing {type_} metadata: unable to set param {field:?} value {value:?}")),
            },
        };
        let (source, metric, go_type, target, activation) = match type_ {
            "rabbitmq" => {
                let queue = text("queueName").ok_or_else(|| missing("queueName"))?.to_string();
                if let Some(mode) = text("mode").filter(|mode| *mode != "QueueLength") {
                    return Err(format!("the mode {mode} isn't simulated; QueueLength is"));
                }
                let length = milli("value")?.or(milli("queueLength")?).unwrap_or(20_000);
                let metric = format!("rabbitmq-{queue}");
                (Source::Queue(queue), metric, "rabbitMQScaler", length, milli("activationValue")?)
            }
            "prometheus" => {
                let query = text("query").ok_or_else(|| missing("query"))?.to_string();
                let ignores_null = text("ignoreNullValues") != Some("false");
                let threshold = milli("threshold")?.ok_or_else(|| missing("threshold"))?;
                let activation = milli("activationThreshold")?;
                (Source::Query { query, ignores_null }, "prometheus".into(), "prometheusScaler", threshold, activation)
            }
            _ => return Err(format!("no scaler found for type: {type_}")),
        };
        let target_type = match trigger["metricType"].as_str() {
            None | Some("" | "AverageValue") => "AverageValue",
            Some("Value") => "Value",
            Some(other) => {
                return Err(format!("unsupported metric type {other}, allowed values are 'Value' or 'AverageValue'"));
            }
        };
        Ok(Trigger {
            // `GenerateMetricNameWithIndex`, `NormalizeString`
            metric: format!("s{index}-{}", metric.replace(['/', '.', ':', '%', '(', ')'], "-")),
            name: trigger["name"].as_str().filter(|name| !name.is_empty()).unwrap_or(go_type).into(),
            source,
            // An HPA divides by it.
            target_milli: target.max(1),
            target_type,
            activation_milli: activation.unwrap_or(0),
        })
    }

    /// What it reads, in thousandths.
    ///
    /// # Errors
    ///
    /// What the scaler says of a source that doesn't answer, or answers with what is no number.
    pub(super) fn value_milli(&self, measured: &Measured) -> Result<i64, String> {
        match &self.source {
            Source::Queue(queue) => measured.jobs(queue).map(|jobs| jobs * 1000),
            Source::Query { query, ignores_null } => match measured.query(query)?[..] {
                [value] => Ok(value),
                [] if *ignores_null => Ok(0),
                [] => Err("prometheus metrics 'prometheus' target may be lost, the result is empty".into()),
                _ => Err(format!("prometheus query {query} returned multiple elements")),
            },
        }
    }

    /// Its target for each pod; none if it isn't divided by them, for which there is no fallback (`isFallbackEnabled`).
    pub(super) fn averaged_milli(&self) -> Option<i64> {
        (self.target_type == "AverageValue").then_some(self.target_milli)
    }

    pub(super) fn is_active(&self, value_milli: i64) -> bool {
        value_milli > self.activation_milli
    }
}
