//! Nodes and pods in the terms of a module.

use super::{Config, Figures, PodFigures, id, signal};
use kit_api::Quantity;
use kit_api::core::{self, Taint};
use kit_api::eviction;
use kit_api::pod_resources::{Side, kubelet_request};
use kit_api::qos::{self, QosClass};
use kit_api::quantity::Format;
use kit_api::toleration;
use kit_contract::node::eviction::{
    Amounts, Condition, Config as Setup, Container, NewPod, Pod, Resource, Seen, Signal, Threshold,
};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

const NANOS: i64 = 1_000_000;

pub fn ms(at: Instant) -> i64 {
    at.nanos / NANOS
}

pub fn condition(of: Condition) -> &'static str {
    match of {
        Condition::MemoryPressure => "MemoryPressure",
        Condition::DiskPressure => "DiskPressure",
        Condition::PIDPressure => "PIDPressure",
    }
}

pub fn resource(of: Resource) -> &'static str {
    match of {
        Resource::Memory => "memory",
        Resource::EphemeralStorage => "ephemeral-storage",
        Resource::Inodes => "inodes",
        Resource::Pids => "pids",
    }
}

pub fn config(of: &Config) -> Setup {
    Setup {
        thresholds: of.thresholds.iter().filter_map(|one| threshold(one, &of.capacity)).collect(),
        transition_seconds: ms(of.transition) / 1000,
        max_pod_grace_seconds: of.max_grace,
        image_fs: of.image_fs,
    }
}

/// A threshold with amounts instead of parts; none where nobody knows how much there is.
pub fn threshold(of: &eviction::Threshold, capacity: &BTreeMap<String, Quantity>) -> Option<Threshold> {
    let capacity = capacity.get(&of.signal)?;
    Some(Threshold {
        signal: signal(&of.signal)?,
        below: of.value.of(capacity).value(),
        grace_seconds: of.grace_period.nanos / NANOS / 1000,
        min_reclaim: of.min_reclaim.as_ref().map_or(0, |reclaim| reclaim.of(capacity).value()),
    })
}

pub fn available(figures: &Figures) -> BTreeMap<Signal, i64> {
    figures.available.iter().filter_map(|(name, left)| Some((signal(name)?, left.value()))).collect()
}

pub fn seen(figures: &Figures, pods: &[core::Pod], known: &[Option<PodFigures>]) -> Seen {
    Seen {
        measured_ms: ms(figures.measured),
        available: available(figures),
        pods: pods.iter().zip(known).map(|(one, known)| pod(one, known.as_ref())).collect(),
    }
}

fn pod(of: &core::Pod, known: Option<&PodFigures>) -> Pod {
    let spec = of.spec.as_ref();
    let request = |name: &str| kubelet_request(of, name).value();
    let containers = known.iter().flat_map(|known| &known.containers).map(|(name, memory, disk)| Container {
        name: name.clone(),
        requests: Amounts {
            memory: requested(of, name, "memory").value(),
            ephemeral_storage: requested(of, name, "ephemeral-storage").value(),
        },
        uses: Amounts { memory: memory.unwrap_or(0), ephemeral_storage: disk.unwrap_or(0) },
    });
    Pod {
        name: id(of).into(),
        class: qos::class_of(of),
        priority: spec.and_then(|spec| spec.priority).unwrap_or(0),
        critical: qos::is_critical(of),
        // The API server fills it in. Without one, only the kubelet's own bound counts.
        grace_seconds: spec.and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(i64::MAX),
        requests: Amounts { memory: request("memory"), ephemeral_storage: request("ephemeral-storage") },
        uses: known.map(|known| known.usage),
        containers: containers.collect(),
    }
}

/// What a container of a pod asks for.
fn requested(of: &core::Pod, name: &str, resource: &str) -> Quantity {
    let spec = of.spec.iter();
    let mut all = spec.flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    let found = all.find(|container| container.name == name);
    let asked = found.and_then(|container| Side::Requests.of(container).get(resource).cloned());
    asked.unwrap_or_else(|| Quantity::new(0, Format::DecimalSI))
}

pub fn exceeds(of: &core::Pod, name: &str, used: i64, resource: &str) -> String {
    let (used, asked) = (Quantity::new(used, Format::BinarySI), requested(of, name, resource));
    format!("Container {name} was using {used}, request is {asked}, has larger consumption of {resource}. ")
}

pub fn newcomer(of: &core::Pod, class: QosClass) -> NewPod {
    let taint =
        Taint { key: "node.kubernetes.io/memory-pressure".into(), effect: "NoSchedule".into(), ..Taint::default() };
    let mut all = of.spec.iter().flat_map(|spec| spec.tolerations.iter().flatten());
    NewPod {
        class,
        critical: qos::is_critical(of),
        tolerates_memory_pressure: all.any(|one| toleration::tolerates(one, &taint)),
    }
}
