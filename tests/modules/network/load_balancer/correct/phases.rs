//! Passes: it writes the rules as tables and phases, with JSON for the comparison of services, and never shares a path between
//! making and deleting.

use kit::api::core::ServiceSpec;
use kit::network::LoadBalancerController;
use kit::network::load_balancer::{
    Action, Call, EXCLUDE, FINALIZER, Happened, Host, Node, Reason, Service, SyncRequest, SyncResult, TO_BE_DELETED,
    Task,
};
use kit::serde_json::{Value, json};

#[derive(Default)]
pub struct Exercise;

fn json_of(service: &Service) -> Value {
    kit::serde_json::to_value(service).unwrap_or_default()
}

fn wants(service: &Service) -> bool {
    matches!(&service.spec, Some(ServiceSpec { type_: Some(kind), load_balancer_class: None, .. }) if kind == "LoadBalancer")
}

fn held(service: &Service) -> bool {
    service.metadata.finalizers.clone().unwrap_or_default().contains(&FINALIZER.to_string())
}

fn status(service: &Service) -> Vec<Value> {
    json_of(service)["status"]["loadBalancer"]["ingress"]
        .as_array()
        .map(|all| all.iter().map(|entry| entry["ip"].clone()).collect())
        .unwrap_or_default()
}

impl LoadBalancerController for Exercise {
    fn task(&self, service: &Service) -> Task {
        let type_ = json_of(service)["spec"]["type"].clone();
        if held(service) {
            if service.metadata.deletion_timestamp.is_some() || type_ != "LoadBalancer" {
                return Task::CleanUp;
            }
        }
        if wants(service) { Task::Ensure } else { Task::Nothing }
    }

    fn hosts(&self, nodes: &[Node]) -> Vec<Host> {
        let mut hosts = Vec::new();
        'nodes: for node in nodes {
            if node.metadata.deletion_timestamp.is_some() {
                continue;
            }
            for label in node.metadata.labels.clone().unwrap_or_default().keys() {
                if label == EXCLUDE {
                    continue 'nodes;
                }
            }
            let spec = node.spec.clone().unwrap_or_default();
            for taint in spec.taints.unwrap_or_default() {
                if taint.key == TO_BE_DELETED {
                    continue 'nodes;
                }
            }
            let name = node.metadata.name.clone().unwrap_or_default();
            hosts.push(Host { name, provider_id: spec.provider_id.unwrap_or_default() });
        }
        hosts
    }

    fn service_changed(&self, old: &Service, new: &Service) -> bool {
        if wants(old) != wants(new) {
            return true;
        }
        let (old_json, new_json) = (json_of(old), json_of(new));
        let told = |service: &Value| {
            let fields = [
                "/spec/loadBalancerSourceRanges",
                "/spec/ports",
                "/spec/sessionAffinity",
                "/spec/sessionAffinityConfig",
                "/spec/loadBalancerIP",
                "/spec/externalIPs",
                "/metadata/annotations",
                "/metadata/uid",
                "/spec/externalTrafficPolicy",
                "/spec/healthCheckNodePort",
            ];
            let mut all: Vec<Value> = fields
                .iter()
                .map(|field| service.pointer(field).cloned().unwrap_or_default())
                .map(|value| if value == json!([]) || value == json!({}) { Value::Null } else { value })
                .collect();
            all.push(service["spec"]["ipFamilies"].as_array().map_or(0, Vec::len).into());
            all
        };
        wants(new) && told(&old_json) != told(&new_json)
    }

    fn node_changed(&self, old: &Node, new: &Node) -> bool {
        let told = |node: &Node| {
            let excluded = node.metadata.labels.iter().flatten().any(|(key, _)| key == EXCLUDE);
            (excluded, node.spec.clone().and_then(|spec| spec.provider_id).filter(|id| !id.is_empty()))
        };
        told(old) != told(new)
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let service = &request.service;
        let mut result = SyncResult::default();
        let mut act = |action: Action| result.actions.push(action);
        let mut ended = false;
        match request.happened.clone() {
            Happened::Service => match self.task(service) {
                Task::Ensure => {
                    if !held(service) {
                        act(Action::AddFinalizer);
                    }
                    let hosts = self.hosts(&request.nodes);
                    if hosts.is_empty() {
                        act(Action::Event(Reason::UnAvailableLoadBalancer));
                    }
                    act(Action::Event(Reason::EnsuringLoadBalancer));
                    act(Action::Ensure { hosts });
                }
                _ if request.in_cloud => {
                    act(Action::Delete);
                    act(Action::Event(Reason::DeletingLoadBalancer));
                }
                _ => ended = true,
            },
            Happened::Deleted => ended = true,
            Happened::Ensured { addresses } => {
                let now: Vec<Value> = addresses.iter().map(|address| address.as_str().into()).collect();
                if now != status(service) {
                    act(Action::SetStatus { addresses });
                }
                act(Action::Event(Reason::EnsuredLoadBalancer));
            }
            Happened::Nodes => {
                let (mut before, mut hosts) = (request.told.clone(), self.hosts(&request.nodes));
                before.sort();
                hosts.sort();
                if wants(service) && before != hosts {
                    act(Action::UpdateHosts { hosts });
                }
            }
            Happened::Updated => act(Action::Event(match request.told.len() {
                0 => Reason::UnAvailableLoadBalancer,
                _ => Reason::UpdatedLoadBalancer,
            })),
            Happened::Failed { call: Call::UpdateHosts, .. } => {
                if request.in_cloud {
                    act(Action::Event(Reason::UpdateLoadBalancerFailed));
                    result.again_after_seconds = Some(0);
                }
            }
            Happened::Failed { call, retry_after_seconds } => {
                act(Action::Event(Reason::SyncLoadBalancerFailed));
                let mut delay = 5;
                for _ in 0..request.failures.min(10) {
                    delay = (delay * 2).min(300);
                }
                let own = retry_after_seconds.filter(|_| call == Call::Ensure);
                result.again_after_seconds = Some(own.unwrap_or(delay));
            }
        }
        if ended {
            if held(service) {
                result.actions.push(Action::RemoveFinalizer);
            }
            if !status(service).is_empty() {
                result.actions.push(Action::SetStatus { addresses: Vec::new() });
            }
            result.actions.push(Action::Event(Reason::DeletedLoadBalancer));
        }
        result
    }
}

kit::exercise!(Exercise: LoadBalancerController);
