//! The filter of the scheduler's NodeResourcesFit plugin.
//!
//! Source: `fitsRequest` in `pkg/scheduler/framework/plugins/noderesources/fit.go`.

use crate::Show;
use kit_api::quantity::{Format, Quantity};
pub use kit_api::view::{Amounts, NodeResources, PodRequest, Usage};
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Decides whether a node has enough left of everything that a pod asks for.
    pub trait ResourcesFit {
        /// All that the node lacks; nothing if the pod fits.
        ///
        /// In this order: room for one more pod, CPU, memory, ephemeral storage, then other resources in the
        /// order of their names as strings compare (Kubernetes leaves the order of the last open). What a pod doesn't ask for, it can't lack.
        fn filter(&self, pod: &PodRequest, node: &NodeResources) -> Vec<Lack>;
    }
}

/// One thing of which a node has too little left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lack {
    /// The node runs as many pods as it may.
    TooManyPods,
    /// The resource by its name: `cpu`, `memory`, `ephemeral-storage`, `nvidia.com/gpu` …
    Insufficient(String),
}
// ANCHOR_END: contract

impl Show for Lack {
    /// In the words of the event FailedScheduling.
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Lack::TooManyPods => "Too many pods".into(),
            Lack::Insufficient(resource) => format!("Insufficient {}", resource.escape_debug()),
        }]
    }
}

impl Show for PodRequest {
    /// Without what is not asked for.
    fn lines(&self) -> Vec<String> {
        let asked = amounts(&self.requests).into_iter().map(|(name, amount)| format!("{name} {amount}"));
        vec![list(asked.chain(scored(&self.scored)))]
    }
}

impl Show for NodeResources {
    /// Of each resource what was requested of what there is.
    fn lines(&self) -> Vec<String> {
        let (has, used) = (amounts(&self.allocatable), amounts(&self.requested));
        let of = |amounts: &[(String, Quantity)], name: &str| {
            amounts.iter().find(|(n, _)| n == name).map_or_else(|| "0".into(), |(_, amount)| amount.to_string())
        };
        let only_used = used.iter().filter(|(name, _)| !has.iter().any(|(n, _)| n == name));
        let names = has.iter().chain(only_used).map(|(name, _)| name);
        let resources = names.map(|name| format!("{name} {} of {}", of(&used, name), of(&has, name)));
        let pods = format!("pods {} of {}", self.pods, self.allowed_pods);
        vec![list(resources.chain([pods]).chain(scored(&self.scored)))]
    }
}

/// Names and amounts as in manifests, without those that are zero unless they were named.
fn amounts(amounts: &Amounts) -> Vec<(String, Quantity)> {
    let mut all = Vec::new();
    let mut add = |name: &str, amount: Quantity| all.push((name.to_string(), amount));
    if amounts.milli_cpu != 0 {
        add("cpu", Quantity::from_milli(amounts.milli_cpu, Format::DecimalSI));
    }
    for (name, bytes) in [("memory", amounts.memory), ("ephemeral-storage", amounts.ephemeral_storage)] {
        if bytes != 0 {
            add(name, Quantity::new(bytes, Format::BinarySI));
        }
    }
    for (name, &amount) in &amounts.scalar {
        let format = if name.starts_with("hugepages-") { Format::BinarySI } else { Format::DecimalSI };
        add(&name.escape_debug().to_string(), Quantity::new(amount, format));
    }
    all
}

fn scored(usage: &Usage) -> Option<String> {
    let cpu = Quantity::from_milli(usage.milli_cpu, Format::DecimalSI);
    let memory = Quantity::new(usage.memory, Format::BinarySI);
    (*usage != Usage::default()).then(|| format!("scored as cpu {cpu}, memory {memory}"))
}

fn list(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() { "nothing".into() } else { parts.join(", ") }
}
