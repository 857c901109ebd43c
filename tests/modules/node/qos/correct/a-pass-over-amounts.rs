//! Passes: one pass over all amounts that collects facts, and wide integers that are narrowed at the end.

use kit::api::core::Pod;
use kit::api::pod_resources::{Side, is_sidecar};
use kit::api::qos::is_critical;
use kit::node::Qos;
use kit::node::qos::QosClass::{self, *};
use std::collections::HashMap;

#[derive(Default)]
struct Exercise;

impl Qos for Exercise {
    fn class(&self, pod: &Pod) -> QosClass {
        let spec = pod.spec.clone().unwrap_or_default();
        let mut something = false;
        let mut promised = true;
        for container in spec.init_containers.unwrap_or_default().iter().chain(&spec.containers) {
            let mut seen: HashMap<(String, bool), i128> = HashMap::new();
            for (side, is_limit) in [(Side::Requests, false), (Side::Limits, true)] {
                for (name, amount) in side.of(container) {
                    // Admission rounds amounts up to thousandths, so that this loses nothing.
                    seen.insert((name, is_limit), i128::from(amount.milli_value()));
                }
            }
            seen.retain(|(name, _), milli| *milli != 0 && ["cpu", "memory"].contains(&name.as_str()));
            something |= !seen.is_empty();
            for name in ["cpu", "memory"] {
                let get = |limit| seen.get(&(name.to_string(), limit));
                promised &= get(true).is_some() && get(true) == get(false);
            }
        }
        match (something, promised) {
            (false, _) => BestEffort,
            (true, true) => Guaranteed,
            (true, false) => Burstable,
        }
    }

    fn oom_score_adj(&self, pod: &Pod, container: &str, memory_capacity: i64) -> i64 {
        let spec = pod.spec.clone().unwrap_or_default();
        let mut scores: HashMap<String, i128> = HashMap::new();
        let score = |container: &kit::api::core::Container| {
            let request = Side::Requests.of(container).remove("memory").unwrap_or_default().value();
            1000 - 1000 * i128::from(request) / i128::from(memory_capacity)
        };
        for c in &spec.containers {
            scores.insert(c.name.clone(), score(c));
        }
        let highest = scores.values().copied().max().unwrap_or(1000);
        for c in spec.init_containers.iter().flatten() {
            let own = score(c);
            scores.insert(c.name.clone(), if is_sidecar(c) && own > highest { highest } else { own });
        }
        let spared = is_critical(pod) && spec.priority_class_name == Some("system-node-critical".into());
        match self.class(pod) {
            Guaranteed => -997,
            _ if spared => -997,
            BestEffort => 1000,
            Burstable => scores[container].max(3).min(999) as i64,
        }
    }
}

kit::exercise!(Exercise: kit::node::Qos);
