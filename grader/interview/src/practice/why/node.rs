//! What a node does with its pods.

use super::{Asked, list};
use kit_contract::api::core::{Container, Pod};
use kit_contract::api::pod_resources::{Side, is_sidecar};
use kit_contract::api::qos::{QosClass, is_critical};

pub fn qos(asked: &Asked<'_>) -> Option<Vec<String>> {
    let pod: Pod = asked.arg("pod")?;
    let spec = pod.spec.clone().unwrap_or_default();
    let inits = spec.init_containers.clone().unwrap_or_default();
    let all: Vec<&Container> = inits.iter().chain(&spec.containers).collect();
    let amount = |container: &Container, side: Side, name: &str| {
        let amounts = side.of(container);
        amounts
            .iter()
            .find(|(known, _)| known.as_str() == name)
            .map(|(_, amount)| amount.clone())
            .filter(|amount| !amount.is_zero())
    };
    let counts = |container: &Container| {
        ["cpu", "memory"]
            .iter()
            .any(|name| [Side::Requests, Side::Limits].into_iter().any(|side| amount(container, side, name).is_some()))
    };
    let unlike: Vec<String> = all
        .iter()
        .flat_map(|container| {
            ["cpu", "memory"].iter().filter_map(move |name| {
                let (request, limit) = (amount(container, Side::Requests, name), amount(container, Side::Limits, name));
                match (request, limit) {
                    (_, None) => Some(format!("{} has no {name} limit", container.name)),
                    (Some(request), Some(limit)) if request.milli_value() != limit.milli_value() => {
                        Some(format!("{} requests {request} of {name} and limits {limit}", container.name))
                    }
                    _ => None,
                }
            })
        })
        .collect();
    let class = match (all.iter().any(|container| counts(container)), unlike.is_empty()) {
        (false, _) => QosClass::BestEffort,
        (true, true) => QosClass::Guaranteed,
        (true, false) => QosClass::Burstable,
    };
    let why = match class {
        QosClass::BestEffort => {
            "BestEffort: no container requests or limits CPU or memory, other resources don't count.".to_string()
        }
        QosClass::Guaranteed => {
            "Guaranteed: every container, init containers included, limits CPU and memory, and requests as much.".into()
        }
        QosClass::Burstable => format!(
            "Burstable, since not all is limited and requested alike: {}.",
            list(&unlike[..unlike.len().min(3)])
        ),
    };
    if asked.call == "class" {
        return (asked.answer == class.to_string().as_str()).then(|| vec![why]);
    }
    let (container, capacity): (String, i64) = (asked.arg("container")?, asked.arg("memory_capacity")?);
    let own = all.iter().find(|one| one.name == container)?;
    if is_critical(&pod) && spec.priority_class_name.as_deref() == Some("system-node-critical") {
        return Some(vec!["A node-critical pod gets -997 whatever it requests.".into()]);
    }
    let bytes = |one: &Container| amount(one, Side::Requests, "memory").map_or(0, |amount| amount.value());
    let formula = |bytes: i64| 1000 - (1000 * i128::from(bytes) / i128::from(capacity)) as i64;
    let mut said = vec![why];
    said.push(match class {
        QosClass::Guaranteed => "Guaranteed pods get -997.".into(),
        QosClass::BestEffort => "BestEffort pods get 1000.".into(),
        QosClass::Burstable => {
            let (mine, mebi) = (bytes(own), |bytes: i64| format!("{}Mi", bytes as f64 / f64::from(1 << 20)));
            format!("1000 − 1000 × {} ÷ {} = {}, held between 3 and 999.", mebi(mine), mebi(capacity), formula(mine))
        }
    });
    if class == QosClass::Burstable && is_sidecar(own) {
        let least = spec.containers.iter().map(bytes).min().unwrap_or(0);
        said.push(format!("It is a sidecar: the score for the smallest request among the regular containers is {}, and the lower one counts.", formula(least)));
    }
    Some(said)
}
