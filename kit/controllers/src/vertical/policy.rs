//! What users allow the autoscaler, and amounts as they write them.
//!
//! Sources: `pkg/utils/vpa/api.go`, `pkg/utils/vpa/capping.go`.

use kit_api::Quantity;
use kit_api::pod_resources::Text;
use kit_api::quantity::Format;
use kit_contract::workloads::vpa::{Amounts, ContainerPolicy, Recommendation, Resource};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A resource by its name, if it is one of the two.
pub fn resource(name: &str) -> Option<Resource> {
    Resource::ALL.into_iter().find(|resource| resource.name() == name)
}

/// The amount of a quantity, in the resource's unit.
pub fn amount(resource: Resource, quantity: &Quantity) -> i64 {
    match resource {
        Resource::Cpu => quantity.milli_value(),
        Resource::Memory => quantity.value(),
    }
}

/// An amount as the recommender writes it.
pub fn quantity(resource: Resource, amount: i64) -> Quantity {
    match resource {
        Resource::Cpu => Quantity::from_milli(amount, Format::DecimalSI),
        Resource::Memory => Quantity::new(amount, Format::DecimalSI),
    }
}

/// A list of resources, as manifests have it; what can't be read is left out.
pub fn amounts(list: &Value) -> Amounts {
    let read = |(name, text): (&String, &Value)| {
        let resource = resource(name)?;
        Some((resource, amount(resource, &written(text)?)))
    };
    list.as_object().into_iter().flatten().filter_map(read).collect()
}

fn written(value: &Value) -> Option<Quantity> {
    value.as_str().map_or_else(|| value.to_string().parse().ok(), |text| text.parse().ok())
}

/// `spec.resourcePolicy.containerPolicies` for a module.
pub fn policies(spec: &Value) -> Vec<ContainerPolicy> {
    let list = spec["resourcePolicy"]["containerPolicies"].as_array().into_iter().flatten();
    let controlled = |policy: &Value| {
        let names = policy["controlledResources"].as_array()?;
        Some(names.iter().filter_map(|name| resource(name.as_str()?)).collect())
    };
    let policy = |policy: &Value| ContainerPolicy {
        container_name: policy["containerName"].as_str().unwrap_or_default().into(),
        off: policy["mode"] == "Off",
        controlled_resources: controlled(policy),
        min_allowed: amounts(&policy["minAllowed"]),
        max_allowed: amounts(&policy["maxAllowed"]),
    };
    list.map(policy).collect()
}

/// The policy of a container as it was written: its own, or that of all.
pub fn of<'a>(spec: &'a Value, container: &str) -> Option<&'a Value> {
    let list = || spec["resourcePolicy"]["containerPolicies"].as_array().into_iter().flatten();
    let own = list().find(|policy| policy["containerName"] == container);
    own.or_else(|| list().rfind(|policy| policy["containerName"] == "*"))
}

/// Recommendations as the status has them. An amount that is one of the policy's is written as there.
pub fn write(spec: &Value, recommendations: &[Recommendation]) -> Vec<Value> {
    let write = |recommendation: &Recommendation| {
        let name = &recommendation.container_name;
        let limits = of(spec, name).map(|policy| [&policy["minAllowed"], &policy["maxAllowed"]]);
        let list = |amounts: &Amounts, capped: bool| -> Map<String, Value> {
            let write = |(resource, number): (&Resource, &i64)| {
                let limits = limits.into_iter().flatten().filter(|_| capped);
                let mut limits = limits.filter_map(|limits| written(limits.get(resource.name())?));
                let same = limits.find(|limit| amount(*resource, limit) == *number);
                let written = same.unwrap_or_else(|| quantity(*resource, *number));
                (resource.name().to_string(), written.to_string().into())
            };
            amounts.iter().map(write).collect()
        };
        json!({
            "containerName": name,
            "lowerBound": list(&recommendation.lower_bound, true),
            "target": list(&recommendation.target, true),
            "uncappedTarget": list(&recommendation.uncapped_target, false),
            "upperBound": list(&recommendation.upper_bound, true),
        })
    };
    recommendations.iter().map(write).collect()
}

/// The recommendations of a status.
pub fn read(status: &Value) -> Vec<Recommendation> {
    let list = status["recommendation"]["containerRecommendations"].as_array().into_iter().flatten();
    let read = |value: &Value| Recommendation {
        container_name: value["containerName"].as_str().unwrap_or_default().into(),
        target: amounts(&value["target"]),
        lower_bound: amounts(&value["lowerBound"]),
        upper_bound: amounts(&value["upperBound"]),
        uncapped_target: amounts(&value["uncappedTarget"]),
    };
    list.map(read).collect()
}

/// What a container requests or limits, of both resources.
pub fn of_container(list: Option<&BTreeMap<String, Text>>) -> Amounts {
    let read = |(name, text): (&String, &Text)| {
        let resource = resource(name)?;
        Some((resource, amount(resource, &text.0.parse().ok()?)))
    };
    list.into_iter().flatten().filter_map(read).collect()
}
