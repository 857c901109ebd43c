//! Passes: for each question it first works out what the world should look like, and then what is missing.

use kit::network::LoadBalancerController;
use kit::network::load_balancer::{
    Action, Call, EXCLUDE, FINALIZER, Happened, Host, Node, Reason, Service, SyncRequest, SyncResult, TO_BE_DELETED,
    Task,
};

#[derive(Default)]
pub struct Exercise;

/// What a service is, as far as this controller goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Balancer,
    Other,
    OfSomebodyElse,
}

fn wish(service: &Service) -> Wish {
    let Some(spec) = &service.spec else { return Wish::Other };
    match (spec.type_.as_deref(), spec.load_balancer_class.as_deref()) {
        (Some("LoadBalancer"), None) => Wish::Balancer,
        (Some("LoadBalancer"), Some(_)) => Wish::OfSomebodyElse,
        _ => Wish::Other,
    }
}

fn has_finalizer(service: &Service) -> bool {
    matches!(&service.metadata.finalizers, Some(all) if all.iter().any(|one| one == FINALIZER))
}

fn given(list: &Option<Vec<String>>) -> Vec<&str> {
    list.iter().flatten().map(String::as_str).collect()
}

/// Brings finalizer and status to what they should be; `None` for the status leaves it alone.
fn settle(service: &Service, finalizer: bool, status: Option<&[String]>) -> Vec<Action> {
    let mut actions = Vec::new();
    match (has_finalizer(service), finalizer) {
        (false, true) => actions.push(Action::AddFinalizer),
        (true, false) => actions.push(Action::RemoveFinalizer),
        _ => {}
    }
    let ingress = service.status.iter().filter_map(|status| status.load_balancer.as_ref());
    let now: Vec<_> =
        ingress.flat_map(|status| status.ingress.iter().flatten()).map(|entry| entry.ip.clone()).collect();
    if let Some(addresses) = status {
        let wanted: Vec<_> = addresses.iter().cloned().map(Some).collect();
        if now != wanted {
            actions.push(Action::SetStatus { addresses: addresses.to_vec() });
        }
    }
    actions
}

impl LoadBalancerController for Exercise {
    fn task(&self, service: &Service) -> Task {
        let going = service.metadata.deletion_timestamp.is_some();
        match (wish(service), has_finalizer(service)) {
            (_, true) if going => Task::CleanUp,
            (Wish::Other, true) => Task::CleanUp,
            (Wish::Balancer, _) => Task::Ensure,
            _ => Task::Nothing,
        }
    }

    fn hosts(&self, nodes: &[Node]) -> Vec<Host> {
        let mut left: Vec<&Node> = nodes.iter().collect();
        left.retain(|node| node.metadata.deletion_timestamp.is_none());
        left.retain(|node| !node.metadata.labels.clone().unwrap_or_default().contains_key(EXCLUDE));
        left.retain(|node| {
            let taints = node.spec.clone().unwrap_or_default().taints.unwrap_or_default();
            taints.iter().all(|taint| taint.key != TO_BE_DELETED)
        });
        let host = |node: &Node| Host {
            name: node.metadata.name.clone().unwrap_or_default(),
            provider_id: node.spec.clone().unwrap_or_default().provider_id.unwrap_or_default(),
        };
        left.into_iter().map(host).collect()
    }

    fn service_changed(&self, old: &Service, new: &Service) -> bool {
        let both = [old, new].map(|service| wish(service) == Wish::Balancer);
        if both != [true, true] {
            return both[0] != both[1];
        }
        let (a, b) = (old.spec.clone().unwrap_or_default(), new.spec.clone().unwrap_or_default());
        let ports = |spec: &kit::api::core::ServiceSpec| spec.ports.clone().unwrap_or_default();
        let notes = |service: &Service| service.metadata.annotations.clone().unwrap_or_default();
        let same = [
            given(&a.load_balancer_source_ranges) == given(&b.load_balancer_source_ranges),
            given(&a.external_ips) == given(&b.external_ips),
            given(&a.ip_families).len() == given(&b.ip_families).len(),
            ports(&a) == ports(&b),
            notes(old) == notes(new),
            old.metadata.uid == new.metadata.uid,
            a.load_balancer_ip == b.load_balancer_ip,
            a.session_affinity == b.session_affinity,
            a.session_affinity_config == b.session_affinity_config,
            a.external_traffic_policy == b.external_traffic_policy,
            a.health_check_node_port == b.health_check_node_port,
        ];
        same.contains(&false)
    }

    fn node_changed(&self, old: &Node, new: &Node) -> bool {
        let bare = |node: &Node| {
            let mut node = node.clone();
            node.metadata.deletion_timestamp = None;
            node.spec.get_or_insert_default().taints = None;
            self.hosts(&[node.clone()])
                .into_iter()
                .next()
                .map_or((false, host_id(&node)), |host| (true, host.provider_id))
        };
        bare(old) != bare(new)
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let service = &request.service;
        let event = Action::Event;
        match &request.happened {
            Happened::Service if self.task(service) == Task::Ensure => {
                let hosts = self.hosts(&request.nodes);
                let mut actions = settle(service, true, None);
                actions.push(event(Reason::EnsuringLoadBalancer));
                if hosts.is_empty() {
                    actions.push(event(Reason::UnAvailableLoadBalancer));
                }
                actions.push(Action::Ensure { hosts });
                SyncResult::of(actions)
            }
            Happened::Service if request.in_cloud => {
                SyncResult::of([event(Reason::DeletingLoadBalancer), Action::Delete])
            }
            Happened::Service | Happened::Deleted => {
                let mut actions = settle(service, false, Some(&[]));
                actions.push(event(Reason::DeletedLoadBalancer));
                SyncResult::of(actions)
            }
            Happened::Ensured { addresses } => {
                let mut actions = settle(service, has_finalizer(service), Some(addresses));
                actions.push(event(Reason::EnsuredLoadBalancer));
                SyncResult::of(actions)
            }
            Happened::Nodes => {
                let hosts = self.hosts(&request.nodes);
                let covered = |one: &[Host], other: &[Host]| one.iter().all(|host| other.contains(host));
                if wish(service) != Wish::Balancer || covered(&hosts, &request.told) && covered(&request.told, &hosts) {
                    return SyncResult::default();
                }
                SyncResult::of([Action::UpdateHosts { hosts }])
            }
            Happened::Updated => {
                let reason =
                    if request.told.is_empty() { Reason::UnAvailableLoadBalancer } else { Reason::UpdatedLoadBalancer };
                SyncResult::of([event(reason)])
            }
            Happened::Failed { call: Call::UpdateHosts, .. } => match request.in_cloud {
                true => {
                    SyncResult { actions: vec![event(Reason::UpdateLoadBalancerFailed)], again_after_seconds: Some(0) }
                }
                false => SyncResult::default(),
            },
            Happened::Failed { call, retry_after_seconds } => {
                let delays = [5, 10, 20, 40, 80, 160];
                let own = delays.get(request.failures as usize).copied().unwrap_or(300);
                let after = match call {
                    Call::Ensure => retry_after_seconds.unwrap_or(own),
                    _ => own,
                };
                SyncResult { actions: vec![event(Reason::SyncLoadBalancerFailed)], again_after_seconds: Some(after) }
            }
        }
    }
}

fn host_id(node: &Node) -> String {
    node.spec.clone().unwrap_or_default().provider_id.unwrap_or_default()
}

kit::exercise!(Exercise: LoadBalancerController);
