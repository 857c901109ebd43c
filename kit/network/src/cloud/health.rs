//! The health checks of load balancers: the cloud asks each target whether it wants traffic.
//!
//! Sources: `pkg/proxy/healthcheck/service_health.go` and `proxy_health.go` for what nodes answer,
//! `legacy-cloud-providers/gce/gce_loadbalancer_internal.go` for how often they are asked. A node answers for a service with
//! `externalTrafficPolicy: Local` if it has a ready endpoint of it, and otherwise if its kube-proxy is well and the node is to
//! stay (KEP-3836). So traffic avoids a node without the controller, which doesn't look at readiness, having a part in it.

use super::Shared;
use super::provider::{CHECK_INTERVAL, HealthCheck, Target, UNHEALTHY_THRESHOLD};
use kit_api::core::Node;
use kit_api::discovery::EndpointSlice;
use kit_api::node::has_taint;
use kit_apimachinery::object::Kind;
use kit_client::cache::Cache;
use kit_client::component::{Component, World};
use kit_contract::network::load_balancer::TO_BE_DELETED;
use kit_server::Change;
use kit_time::agenda::Instant;

/// Asks the targets.
pub struct HealthChecks {
    cloud: Shared,
    next: Option<Instant>,
}

impl HealthChecks {
    /// The health checks of this cloud.
    pub fn new(cloud: Shared) -> Self {
        HealthChecks { cloud, next: None }
    }
}

/// Whether a node answers a health check with 200, as long as its machine runs.
pub fn answers(check: HealthCheck, service: &str, node: &Node, cache: &Cache) -> bool {
    match check {
        HealthCheck::KubeProxy => node.metadata.deletion_timestamp.is_none() && !has_taint(node, TO_BE_DELETED),
        HealthCheck::Local { .. } => {
            let (namespace, name) = service.split_once('/').unwrap_or_default();
            let of_service = |slice: &&EndpointSlice| {
                let labels = slice.metadata.labels.as_ref();
                labels.and_then(|labels| labels.get("kubernetes.io/service-name")).is_some_and(|of| of == name)
            };
            let mut endpoints =
                cache.list::<EndpointSlice>(namespace).filter(of_service).flat_map(|slice| &slice.endpoints);
            endpoints.any(|endpoint| {
                let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready);
                endpoint.node_name == node.metadata.name && ready != Some(false)
            })
        }
    }
}

impl Target {
    /// Notes an answer, or that there was none.
    pub fn note(&mut self, answered: bool) {
        self.failures = if answered { 0 } else { self.failures.saturating_add(1) };
        if answered {
            self.healthy = Some(true);
        } else if self.failures >= UNHEALTHY_THRESHOLD || self.healthy.is_none() {
            self.healthy = Some(false);
        }
    }
}

impl Component for HealthChecks {
    fn name(&self) -> &'static str {
        "cloud-health-checks"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Service, Kind::Node, Kind::EndpointSlice]
    }

    fn observe(&mut self, _change: &Change, world: &mut World<'_>) {
        // Without a load balancer there is nobody to ask.
        let any = self.cloud.borrow().balancers().next().is_some();
        self.next = self.next.or(any.then_some(world.now));
    }

    fn run(&mut self, world: &mut World<'_>) {
        if self.next.is_none_or(|next| next > world.now) {
            return;
        }
        let mut cloud = self.cloud.borrow_mut();
        let nodes: Vec<(&Node, bool)> = (world.cache.all::<Node>())
            .map(|node| (node, cloud.runs(node.metadata.name.as_deref().unwrap_or_default())))
            .collect();
        let mut any = false;
        for balancer in cloud.balancers_mut() {
            any = true;
            let (check, service) = (balancer.check, balancer.service.clone());
            for (name, target) in &mut balancer.targets {
                let node = nodes.iter().find(|(node, _)| node.metadata.name.as_deref() == Some(name));
                let answered = node.is_some_and(|(node, runs)| *runs && answers(check, &service, node, world.cache));
                target.note(answered);
            }
        }
        self.next = any.then(|| world.now + CHECK_INTERVAL);
    }

    fn next_wake(&self) -> Option<Instant> {
        self.next
    }

    fn shows(&self) -> Vec<(String, String)> {
        let cloud = self.cloud.borrow();
        let lines = cloud.balancers().map(|balancer| {
            let name = balancer.service.strip_prefix("default/").unwrap_or(&balancer.service);
            let listeners: Vec<_> = (balancer.listeners.iter())
                .map(|listener| format!("{}/{} to {}", listener.port, listener.protocol, listener.node_port))
                .collect();
            let with = |healthy| {
                let targets = balancer.targets.iter().filter(move |(_, target)| target.healthy == healthy);
                let names: Vec<_> = targets.map(|(name, _)| name.as_str()).collect();
                names.join(" ")
            };
            let states = [(Some(true), "healthy"), (Some(false), "unhealthy"), (None, "not asked yet")];
            let states =
                states.map(|(healthy, said)| (with(healthy), said)).into_iter().filter(|(names, _)| !names.is_empty());
            let mut states: Vec<_> = states.map(|(names, said)| format!("{said}: {names}")).collect();
            if states.is_empty() {
                states.push("no targets".into());
            }
            let text = format!("{}, {}, {}", balancer.address, listeners.join(" "), states.join(", "));
            (format!("cloud: load balancer of {name}"), text)
        });
        lines.collect()
    }
}
