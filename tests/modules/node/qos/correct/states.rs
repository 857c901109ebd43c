//! Passes: the class is a state that each amount moves on, and the score is counted from the greatest request.

use kit::api::Quantity;
use kit::api::core::{Container, Pod};
use kit::api::qos::is_critical;
use kit::node::Qos;
use kit::node::qos::QosClass;

#[derive(Default)]
struct Exercise;

fn parsed(container: &Container, name: &str) -> [Quantity; 2] {
    let resources = container.resources.clone().unwrap_or_default();
    [resources.requests, resources.limits].map(|side| {
        let amount = side.unwrap_or_default().get(name).and_then(|amount| Quantity::try_from(amount).ok());
        amount.unwrap_or_default()
    })
}

/// Where a class stands after one more pair of request and limit.
fn next(before: Option<QosClass>, [request, limit]: &[Quantity; 2]) -> Option<QosClass> {
    let this = match (request.is_zero(), limit.is_zero()) {
        (true, true) => QosClass::BestEffort,
        (false, false) if request == limit => QosClass::Guaranteed,
        _ => QosClass::Burstable,
    };
    match before {
        Some(before) if before != this => Some(QosClass::Burstable),
        _ => Some(this),
    }
}

impl Qos for Exercise {
    fn class(&self, pod: &Pod) -> QosClass {
        let spec = pod.spec.clone().unwrap_or_default();
        let mut all = spec.init_containers.unwrap_or_default();
        all.extend(spec.containers);
        let pairs = all.iter().flat_map(|container| ["memory", "cpu"].map(|name| parsed(container, name)));
        pairs.fold(None, |before, pair| next(before, &pair)).unwrap_or(QosClass::BestEffort)
    }

    fn oom_score_adj(&self, pod: &Pod, container: &str, memory_capacity: i64) -> i64 {
        let spec = pod.spec.clone().unwrap_or_default();
        let class = if is_critical(pod) && spec.priority_class_name.as_deref() == Some("system-node-critical") {
            QosClass::Guaranteed
        } else {
            self.class(pod)
        };
        let bytes = |container: &Container| i128::from(parsed(container, "memory")[0].value());
        let own = spec.containers.iter().find(|c| c.name == container).map(bytes);
        let request = own.or_else(|| {
            let init = spec.init_containers.iter().flatten().find(|c| c.name == container)?;
            let beside = spec.containers.iter().map(bytes).min().filter(|_| init.restart_policy.is_some());
            Some(beside.unwrap_or(0).max(bytes(init)))
        });
        match class {
            QosClass::Guaranteed => -997,
            QosClass::BestEffort => 1000,
            QosClass::Burstable => {
                let less = 1000 * request.unwrap_or(0) / i128::from(memory_capacity);
                1000 - less.clamp(1, 997) as i64
            }
        }
    }
}

kit::exercise!(Exercise: kit::node::Qos);
