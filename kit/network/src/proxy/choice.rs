//! Which endpoints a node uses for a service port (`CategorizeEndpoints` in `pkg/proxy/topology.go`).

use super::endpoints::Endpoint;
use super::service::PortInfo;

/// The endpoints of a service port that are chosen for one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// For packets under the policy `Cluster`; none where no packet comes under it.
    pub cluster: Option<Vec<Endpoint>>,
    /// For packets under the policy `Local`; none likewise.
    pub local: Option<Vec<Endpoint>>,
    /// Whether any node has an endpoint that could be used.
    pub anywhere: bool,
}

impl Choice {
    /// All endpoints that rules are written for, each once.
    pub fn reachable(&self) -> Vec<&Endpoint> {
        let cluster = self.cluster.iter().flatten();
        let of_cluster =
            |endpoint: &&Endpoint| self.cluster.iter().flatten().any(|other| other.address == endpoint.address);
        cluster.chain(self.local.iter().flatten().filter(|endpoint| !of_cluster(endpoint))).collect()
    }
}

/// Chooses among all endpoints of a service port. `zone` is the node's own; empty if it has none.
pub fn choose(port: &PortInfo, endpoints: &[Endpoint], zone: &str) -> Choice {
    let pick = |which: &dyn Fn(&Endpoint) -> bool| -> Vec<Endpoint> {
        endpoints.iter().filter(|endpoint| which(endpoint)).cloned().collect()
    };
    // While nobody is ready, those that are about to end still answer: better than nothing (KEP-1669).
    let is_last = |endpoint: &Endpoint| endpoint.serving && endpoint.terminating;
    let cluster = port.uses_cluster().then(|| {
        let by_zone = uses_zones(endpoints, zone);
        let ready = pick(&|endpoint| endpoint.ready && (!by_zone || endpoint.zone_hints.contains(zone)));
        if ready.is_empty() { pick(&is_last) } else { ready }
    });
    let local = port.uses_local().then(|| {
        let ready = pick(&|endpoint| endpoint.is_local && endpoint.ready);
        if ready.is_empty() { pick(&|endpoint| endpoint.is_local && is_last(endpoint)) } else { ready }
    });
    let anywhere = match (&cluster, &local) {
        (Some(cluster), None) => !cluster.is_empty(),
        (None, None) => false,
        (_, Some(_)) => endpoints.iter().any(|endpoint| endpoint.ready || is_last(endpoint)),
    };
    Choice { cluster, local, anywhere }
}

/// Whether zone hints are followed: all ready endpoints must have one, and one of them for this zone
/// (`topologyModeFromHints`). Hints by node are behind a gate that is off.
fn uses_zones(endpoints: &[Endpoint], zone: &str) -> bool {
    let mut ready = endpoints.iter().filter(|endpoint| endpoint.ready);
    let has_hints = ready.clone().all(|endpoint| !endpoint.zone_hints.is_empty());
    has_hints && ready.any(|endpoint| endpoint.zone_hints.contains(zone))
}
