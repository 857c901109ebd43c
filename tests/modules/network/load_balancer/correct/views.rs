//! Passes: it copies what a cloud sees of a service or node into types of its own, which are compared as a whole.

use kit::api::core::{ServicePort, SessionAffinityConfig};
use kit::network::LoadBalancerController;
use kit::network::load_balancer::{
    Action, Call, EXCLUDE, FINALIZER, FIRST_DELAY_SECONDS, Happened, Host, LONGEST_DELAY_SECONDS, Node, Reason,
    Service, SyncRequest, SyncResult, TO_BE_DELETED, Task,
};
use std::collections::{BTreeMap, HashSet};

#[derive(Default)]
pub struct Exercise;

/// What the cloud is told of a service that wants a load balancer.
#[derive(PartialEq)]
struct Seen {
    uid: Option<String>,
    annotations: BTreeMap<String, String>,
    sources: Vec<String>,
    external: Vec<String>,
    ports: Vec<ServicePort>,
    affinity: (Option<String>, Option<SessionAffinityConfig>),
    address: Option<String>,
    policy: (Option<String>, Option<i32>),
    families: usize,
}

fn seen(service: &Service) -> Option<Seen> {
    let spec = service.spec.clone()?;
    if spec.type_? != "LoadBalancer" || spec.load_balancer_class.is_some() {
        return None;
    }
    Some(Seen {
        uid: service.metadata.uid.clone(),
        annotations: service.metadata.annotations.clone().unwrap_or_default(),
        sources: spec.load_balancer_source_ranges.unwrap_or_default(),
        external: spec.external_ips.unwrap_or_default(),
        ports: spec.ports.unwrap_or_default(),
        affinity: (spec.session_affinity, spec.session_affinity_config),
        address: spec.load_balancer_ip,
        policy: (spec.external_traffic_policy, spec.health_check_node_port),
        families: spec.ip_families.map_or(0, |families| families.len()),
    })
}

struct Facts {
    wants: bool,
    held: bool,
    cleans_up: bool,
    addresses: Vec<String>,
}

fn facts(service: &Service) -> Facts {
    let finalizers: Vec<String> = service.metadata.finalizers.clone().unwrap_or_default();
    let held = finalizers.iter().any(|name| name.as_str() == FINALIZER);
    let kind = service.spec.as_ref().and_then(|spec| spec.type_.clone()).unwrap_or_default();
    let status = service.status.clone().unwrap_or_default().load_balancer.unwrap_or_default();
    Facts {
        wants: seen(service).is_some(),
        held,
        cleans_up: held && (service.metadata.deletion_timestamp.is_some() || kind != "LoadBalancer"),
        addresses: status.ingress.unwrap_or_default().into_iter().map(|entry| entry.ip.unwrap_or_default()).collect(),
    }
}

fn excluded(node: &Node) -> bool {
    node.metadata.labels.iter().any(|labels| labels.keys().any(|key| key == EXCLUDE))
}

fn host(node: &Node) -> Host {
    let provider_id = node.spec.iter().filter_map(|spec| spec.provider_id.clone()).next().unwrap_or_default();
    Host { name: node.metadata.name.clone().unwrap_or_default(), provider_id }
}

fn event(reason: Reason) -> Vec<Action> {
    vec![Action::Event(reason)]
}

impl Exercise {
    fn end(facts: &Facts) -> Vec<Action> {
        let mut actions = event(Reason::DeletedLoadBalancer);
        if facts.held {
            actions.push(Action::RemoveFinalizer);
        }
        if !facts.addresses.is_empty() {
            actions.push(Action::SetStatus { addresses: vec![] });
        }
        actions
    }

    fn look(&self, request: &SyncRequest, facts: &Facts) -> Vec<Action> {
        if facts.cleans_up || !facts.wants {
            return match request.in_cloud {
                true => vec![Action::Event(Reason::DeletingLoadBalancer), Action::Delete],
                false => Self::end(facts),
            };
        }
        let hosts = self.hosts(&request.nodes);
        let mut actions = Vec::new();
        if !facts.held {
            actions.push(Action::AddFinalizer);
        }
        actions.extend(event(Reason::EnsuringLoadBalancer));
        if hosts.is_empty() {
            actions.extend(event(Reason::UnAvailableLoadBalancer));
        }
        actions.push(Action::Ensure { hosts });
        actions
    }
}

impl LoadBalancerController for Exercise {
    fn task(&self, service: &Service) -> Task {
        match facts(service) {
            Facts { cleans_up: true, .. } => Task::CleanUp,
            Facts { wants: true, .. } => Task::Ensure,
            _ => Task::Nothing,
        }
    }

    fn hosts(&self, nodes: &[Node]) -> Vec<Host> {
        let goes = |node: &Node| {
            let taints = node.spec.clone().unwrap_or_default().taints.unwrap_or_default();
            node.metadata.deletion_timestamp.is_some() || taints.into_iter().any(|taint| taint.key == TO_BE_DELETED)
        };
        nodes.iter().filter(|node| !goes(node) && !excluded(node)).map(host).collect()
    }

    fn service_changed(&self, old: &Service, new: &Service) -> bool {
        seen(old) != seen(new)
    }

    fn node_changed(&self, old: &Node, new: &Node) -> bool {
        (excluded(old), host(old).provider_id) != (excluded(new), host(new).provider_id)
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let facts = facts(&request.service);
        let mut again = None;
        let actions = match &request.happened {
            Happened::Service => self.look(request, &facts),
            Happened::Deleted => Self::end(&facts),
            Happened::Ensured { addresses } => {
                let mut actions = event(Reason::EnsuredLoadBalancer);
                if *addresses != facts.addresses {
                    actions.insert(0, Action::SetStatus { addresses: addresses.clone() });
                }
                actions
            }
            Happened::Nodes => {
                let hosts = self.hosts(&request.nodes);
                let set = |hosts: &[Host]| -> HashSet<(String, String)> {
                    hosts.iter().map(|host| (host.name.clone(), host.provider_id.clone())).collect()
                };
                match facts.wants && set(&hosts) != set(&request.told) {
                    true => vec![Action::UpdateHosts { hosts }],
                    false => vec![],
                }
            }
            Happened::Updated if request.told.is_empty() => event(Reason::UnAvailableLoadBalancer),
            Happened::Updated => event(Reason::UpdatedLoadBalancer),
            Happened::Failed { call: Call::UpdateHosts, .. } if request.in_cloud => {
                again = Some(0);
                event(Reason::UpdateLoadBalancerFailed)
            }
            Happened::Failed { call: Call::UpdateHosts, .. } => vec![],
            Happened::Failed { call, retry_after_seconds } => {
                let doubled = (0..request.failures).try_fold(FIRST_DELAY_SECONDS, |delay, _| {
                    Some(delay * 2).filter(|delay| *delay < LONGEST_DELAY_SECONDS)
                });
                again = Some(doubled.unwrap_or(LONGEST_DELAY_SECONDS));
                if *call == Call::Ensure && retry_after_seconds.is_some() {
                    again = *retry_after_seconds;
                }
                event(Reason::SyncLoadBalancerFailed)
            }
        };
        SyncResult { actions, again_after_seconds: again }
    }
}

kit::exercise!(Exercise: LoadBalancerController);
