//! Rules about Services: agents turn each into rules about its pods, or, where a Service selects none, about its addresses.
//!
//! Sources: `pkg/policy/api/service.go`, and `pkg/policy/k8s/service.go` for how one is resolved, anew whenever a Service changes.

use super::rule::{Peer, Spec};
use super::selector::{EndpointSelector, NAMESPACE};
use kit_api::cidr::{Cidr, bits};
use kit_api::meta::LabelSelector;
use kit_api::selector::{self, Labels};
use serde::Deserialize;
use std::net::IpAddr;

/// Services that a rule means.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ServiceRule {
    /// By their labels; it comes first if both are written.
    pub k8s_service_selector: Option<ByLabels>,
    /// By name.
    pub k8s_service: Option<ByName>,
}

/// Services with these labels. An empty namespace is any.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct ByLabels {
    pub selector: LabelSelector,
    pub namespace: String,
}

/// The Service of this name. An empty namespace is any.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct ByName {
    pub service_name: String,
    pub namespace: String,
}

/// A Service as an agent knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// What it selects pods by. Without any somebody else keeps its endpoints, and it is external.
    pub selector: Labels,
    /// The addresses of its endpoints.
    pub endpoints: Vec<IpAddr>,
}

impl ServiceRule {
    fn means(&self, service: &Service) -> bool {
        let is_in = |namespace: &str| namespace.is_empty() || namespace == service.namespace;
        match (&self.k8s_service_selector, &self.k8s_service) {
            (Some(by), _) => is_in(&by.namespace) && selector::matches(&by.selector, Some(&service.labels)),
            (None, Some(by)) => is_in(&by.namespace) && by.service_name == service.name,
            (None, None) => false,
        }
    }
}

impl Service {
    fn peers(&self) -> Vec<Peer> {
        if self.selector.is_empty() {
            let network =
                |address: &IpAddr| Peer::Network(Cidr { address: *address, prefix: bits(*address) }, Vec::new());
            return self.endpoints.iter().map(network).collect();
        }
        let mut pods = LabelSelector { match_labels: Some(self.selector.clone()), ..LabelSelector::default() };
        let labels = pods.match_labels.get_or_insert_default();
        labels.insert(format!("k8s:{NAMESPACE}"), self.namespace.clone());
        EndpointSelector::new(&pods).map(Peer::Labels).into_iter().collect()
    }
}

impl Spec {
    /// Turns what the policy says about Services into peers. Only rules that admit are, as upstream.
    pub fn resolve_services(&mut self, services: &[Service]) {
        for rule in self.egress.iter_mut().flatten().filter(|rule| rule.to_services.is_some()) {
            let wanted: Vec<_> = rule.to_services.iter().flatten().collect();
            let meant = services.iter().filter(|service| wanted.iter().any(|rule| rule.means(service)));
            rule.of_services = meant.flat_map(Service::peers).collect();
        }
    }
}
