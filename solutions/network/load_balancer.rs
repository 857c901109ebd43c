//! The reference for `network/load_balancer`.
//!
//! The names in parentheses are those of `staging/src/k8s.io/cloud-provider/controllers/service/controller.go`.

use kit::api::core::ServiceSpec;
use kit::network::LoadBalancerController;
use kit::network::load_balancer::{
    Action, Call, EXCLUDE, FINALIZER, FIRST_DELAY_SECONDS, Happened, Host, LONGEST_DELAY_SECONDS, Node, Reason,
    Service, SyncRequest, SyncResult, TO_BE_DELETED, Task,
};
use std::collections::BTreeSet;

// ANCHOR: solution
/// The controller remembers nothing: all that it knows is in the request.
#[derive(Default)]
pub struct Exercise;

impl LoadBalancerController for Exercise {
    fn task(&self, service: &Service) -> Task {
        let is_of_type = spec(service).type_.as_deref() == Some("LoadBalancer");
        let is_going = service.metadata.deletion_timestamp.is_some();
        match has_finalizer(service) && (is_going || !is_of_type) {
            true => Task::CleanUp,
            false if wants(service) => Task::Ensure,
            false => Task::Nothing,
        }
    }

    // ANCHOR: hosts
    fn hosts(&self, nodes: &[Node]) -> Vec<Host> {
        let hosts = nodes.iter().filter(|node| {
            let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
            let is_going = node.metadata.deletion_timestamp.is_some();
            !is_going && !is_excluded(node) && !taints.any(|taint| taint.key == TO_BE_DELETED)
        });
        let name = |node: &Node| node.metadata.name.clone().unwrap_or_default();
        hosts.map(|node| Host { name: name(node), provider_id: provider_id(node) }).collect()
    }
    // ANCHOR_END: hosts

    // ANCHOR: changes
    fn service_changed(&self, old: &Service, new: &Service) -> bool {
        let (before, after) = (spec(old), spec(new));
        match (wants(old), wants(new)) {
            (false, false) => false,
            (true, true) => {
                list(&before.load_balancer_source_ranges) != list(&after.load_balancer_source_ranges)
                    || list(&before.ports) != list(&after.ports)
                    || list(&before.external_ips) != list(&after.external_ips)
                    || before.load_balancer_ip != after.load_balancer_ip
                    || before.session_affinity != after.session_affinity
                    || before.session_affinity_config != after.session_affinity_config
                    || before.external_traffic_policy != after.external_traffic_policy
                    || before.health_check_node_port != after.health_check_node_port
                    || list(&before.ip_families).len() != list(&after.ip_families).len()
                    || old.metadata.annotations.clone().unwrap_or_default()
                        != new.metadata.annotations.clone().unwrap_or_default()
                    || old.metadata.uid != new.metadata.uid
            }
            _ => true,
        }
    }

    fn node_changed(&self, old: &Node, new: &Node) -> bool {
        is_excluded(old) != is_excluded(new) || provider_id(old) != provider_id(new)
    }
    // ANCHOR_END: changes

    // ANCHOR: sync
    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let SyncRequest { service, told, .. } = request;
        match &request.happened {
            Happened::Service if self.task(service) == Task::Ensure => ensure(service, self.hosts(&request.nodes)),
            Happened::Service if request.in_cloud => {
                SyncResult::of([Action::Event(Reason::DeletingLoadBalancer), Action::Delete])
            }
            Happened::Service | Happened::Deleted => cleaned_up(service),
            Happened::Ensured { addresses } => SyncResult::of(
                [Action::Event(Reason::EnsuredLoadBalancer)].into_iter().chain(set_status(service, addresses)),
            ),
            Happened::Nodes => {
                let hosts = self.hosts(&request.nodes);
                let same = hosts.iter().collect::<BTreeSet<_>>() == told.iter().collect();
                SyncResult::of((wants(service) && !same).then_some(Action::UpdateHosts { hosts }))
            }
            Happened::Updated if told.is_empty() => SyncResult::of([Action::Event(Reason::UnAvailableLoadBalancer)]),
            Happened::Updated => SyncResult::of([Action::Event(Reason::UpdatedLoadBalancer)]),
            Happened::Failed { call: Call::UpdateHosts, .. } if !request.in_cloud => SyncResult::default(),
            Happened::Failed { call, retry_after_seconds } => {
                let delay = FIRST_DELAY_SECONDS.saturating_mul(2_u32.saturating_pow(request.failures));
                let delay = delay.min(LONGEST_DELAY_SECONDS);
                let (reason, after) = match call {
                    Call::UpdateHosts => (Reason::UpdateLoadBalancerFailed, 0),
                    // Only the error of `EnsureLoadBalancer` is passed on as it is, with the time in it.
                    Call::Ensure => (Reason::SyncLoadBalancerFailed, retry_after_seconds.unwrap_or(delay)),
                    Call::Delete => (Reason::SyncLoadBalancerFailed, delay),
                };
                SyncResult { again_after_seconds: Some(after), ..SyncResult::of([Action::Event(reason)]) }
            }
        }
    }
    // ANCHOR_END: sync
}

/// The finalizer comes before the load balancer, so that no service can go and leave one behind
/// (`syncLoadBalancerIfNeeded`).
fn ensure(service: &Service, hosts: Vec<Host>) -> SyncResult {
    let mut actions = vec![Action::Event(Reason::EnsuringLoadBalancer)];
    actions.extend((!has_finalizer(service)).then_some(Action::AddFinalizer));
    actions.extend(hosts.is_empty().then_some(Action::Event(Reason::UnAvailableLoadBalancer)));
    actions.push(Action::Ensure { hosts });
    SyncResult::of(actions)
}

/// The finalizer goes after the load balancer, and with it the service may go.
fn cleaned_up(service: &Service) -> SyncResult {
    let finalizer = has_finalizer(service).then_some(Action::RemoveFinalizer);
    let event = Some(Action::Event(Reason::DeletedLoadBalancer));
    SyncResult::of([finalizer, event, set_status(service, &[])].into_iter().flatten())
}

/// The addresses into the status, if they are others than before (`patchStatus`).
fn set_status(service: &Service, addresses: &[String]) -> Option<Action> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|status| status.ingress.as_deref()).unwrap_or_default();
    let same = ingress.iter().map(|entry| entry.ip.as_deref()).eq(addresses.iter().map(|ip| Some(ip.as_str())));
    (!same).then(|| Action::SetStatus { addresses: addresses.to_vec() })
}

/// Whether a service asks this controller for a load balancer (`wantsLoadBalancer`).
fn wants(service: &Service) -> bool {
    let spec = spec(service);
    spec.type_.as_deref() == Some("LoadBalancer") && spec.load_balancer_class.is_none()
}

fn has_finalizer(service: &Service) -> bool {
    service.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

fn is_excluded(node: &Node) -> bool {
    node.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(EXCLUDE))
}

fn provider_id(node: &Node) -> String {
    node.spec.as_ref().and_then(|spec| spec.provider_id.clone()).unwrap_or_default()
}

fn spec(service: &Service) -> ServiceSpec {
    service.spec.clone().unwrap_or_default()
}

/// A list, or an empty one if there is none.
fn list<T>(list: &Option<Vec<T>>) -> &[T] {
    list.as_deref().unwrap_or_default()
}
// ANCHOR_END: solution
