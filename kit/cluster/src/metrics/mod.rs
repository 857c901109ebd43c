//! What the components of a cluster say at their `/metrics`, computed when somebody asks.
//!
//! [`state`] is kube-state-metrics, which needs nothing but the objects; [`node`] is what a kubelet and the node exporter say,
//! [`control_plane`] what the scheduler and the controller manager say. Times and durations are those of the cluster's clock, on
//! which the work of a component takes no time. Samples have no timestamps, which cAdvisor's and `/metrics/resource` have: the
//! cluster's clock may run faster than that of whoever asks.

mod asked;
pub mod control_plane;
pub mod node;
pub mod state;

pub use asked::asked;

use crate::engine::Engine;
use kit_client::metrics::Histogram;
use kit_contract::observability::metrics::Number;
use kit_controllers::node_lifecycle::NodeLifecycle;
use kit_node::kubelet::Kubelets;
use kit_observability::exposition::{Family, Sample, Type};
use kit_scheduler::Scheduler;

/// Something that Prometheus looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `/metrics` of kube-state-metrics.
    State,
    /// `/metrics` of the scheduler.
    Scheduler,
    /// `/metrics/resources` of the scheduler.
    Resources,
    /// `/metrics` of the controller manager.
    Controllers,
    /// A path of a node's kubelet: `metrics`, `metrics/cadvisor`, `metrics/resource` or `metrics/probes`.
    Kubelet(String, String),
    /// `/metrics` of the node exporter of a node.
    Exporter(String),
}

/// What an endpoint says; nothing if there is no such endpoint, or it doesn't answer. A metric without series isn't there, but in
/// kube-state-metrics.
pub fn scrape(engine: &mut Engine, endpoint: &Endpoint) -> Option<Vec<Family>> {
    let mut families = match endpoint {
        Endpoint::State => return Some(state::families(engine.server().snapshot())),
        Endpoint::Resources => Some(control_plane::resources(engine.server().snapshot())),
        Endpoint::Scheduler => {
            engine.with(|scheduler: &mut Scheduler, world| control_plane::scheduler(scheduler, world.now))
        }
        Endpoint::Controllers => {
            let queues = engine.queues();
            let zones = engine.with(|nodes: &mut NodeLifecycle, _| nodes.zones()).unwrap_or_default();
            Some(control_plane::controllers(&queues, &zones))
        }
        Endpoint::Kubelet(name, path) => {
            let page = node::Page::of(path)?;
            let (reading, now) = read(engine, name)?;
            Some(page.families(name, &reading, now))
        }
        Endpoint::Exporter(name) => {
            let (reading, now) = read(engine, name)?;
            Some(node::exporter(name, &reading, now))
        }
    }?;
    families.retain(|family| !family.samples.is_empty());
    Some(families)
}

fn read(engine: &mut Engine, node: &str) -> Option<(kit_node::kubelet::metrics::Reading, node::Now)> {
    let asked = engine.with(|kubelets: &mut Kubelets, world| {
        Some((kubelets.reading(node, world)?, node::Now { since: world.now, time: world.time() }))
    });
    asked.flatten()
}

/// A metric that has these labels, and no series yet.
fn family(name: &str, kind: Type, help: &str) -> Family {
    Family { name: name.into(), help: Some(help.into()), kind, samples: Vec::new() }
}

fn labels(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// The same metric with one series more.
trait With: Sized {
    fn with(self, labels: &[(&str, &str)], value: f64) -> Self;
    fn with_histogram(self, labels: &[(&str, &str)], histogram: &Histogram) -> Self;
}

impl With for Family {
    fn with(mut self, of: &[(&str, &str)], value: f64) -> Family {
        self.samples.push(Sample { name: self.name.clone(), labels: labels(of), value, timestamp: None });
        self
    }

    fn with_histogram(mut self, of: &[(&str, &str)], histogram: &Histogram) -> Family {
        let name = self.name.clone();
        let sample =
            |part: &str, labels, value| Sample { name: format!("{name}{part}"), labels, value, timestamp: None };
        let mut count = 0;
        for (index, more) in histogram.counts.iter().enumerate() {
            count += more;
            let bound = histogram.bounds.get(index).map_or("+Inf".into(), |bound| Number(*bound).to_string());
            let of = [of, &[("le", bound.as_str())]].concat();
            self.samples.push(sample("_bucket", labels(&of), count as f64));
        }
        self.samples.push(sample("_sum", labels(of), histogram.sum));
        self.samples.push(sample("_count", labels(of), count as f64));
        self
    }
}

#[cfg(test)]
mod tests;
