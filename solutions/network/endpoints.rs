//! The reference for `network/endpoints`.
//!
//! The names follow `staging/src/k8s.io/endpointslice/reconciler.go` and `utils.go` there.

// ANCHOR: solution
use kit::network::EndpointSlices;
use kit::network::endpoints::{
    Endpoint, NewSlice, Plan, Pod, Port, Request, Role, Service, ServicePort, Slice, Target, Update,
};
use std::collections::HashMap;

/// The controller remembers nothing: all that it knows is in the request.
#[derive(Default)]
pub struct Exercise;

impl EndpointSlices for Exercise {
    // ANCHOR: reconcile
    fn reconcile(&self, request: &Request) -> Plan {
        let mut plan = Plan::default();
        // Places in the request, so that slices of several groups are deleted in its order.
        let mut unwanted: Vec<usize> = (0..request.slices.len()).collect();
        for group in groups(&request.service, &request.pods) {
            let (mine, others): (Vec<_>, Vec<_>) =
                unwanted.into_iter().partition(|index| sorted(&request.slices[*index].ports) == group.ports);
            unwanted = others;
            unwanted.extend(pack(&group, &mine, request, &mut plan));
        }
        unwanted.sort();

        // An empty slice says that somebody has looked.
        if unwanted.len() == request.slices.len() && plan.create.is_empty() {
            let is_placeholder =
                |slice: &Slice| slice.ports.is_empty() && slice.endpoints.is_empty() && !slice.outdated;
            match unwanted.as_slice() {
                [only] if is_placeholder(&request.slices[*only]) => unwanted.clear(),
                _ => plan.create.push(NewSlice::default()),
            }
        }

        // A delete and a create are two writes, and an update is one.
        for index in unwanted {
            let name = request.slices[index].name.clone();
            match plan.create.pop() {
                Some(NewSlice { ports, endpoints }) => plan.update.push(Update { name, ports, endpoints }),
                None => plan.delete.push(name),
            }
        }
        plan
    }
    // ANCHOR_END: reconcile
}

// ANCHOR: endpoint
/// The endpoint of a pod. Being ready or about to go changes what is said of it, and not whether it is there.
fn endpoint(service: &Service, pod: &Pod) -> Option<Endpoint> {
    let address = pod.address.clone()?;
    if matches!(pod.phase.as_str(), "Succeeded" | "Failed") {
        return None;
    }
    Some(Endpoint {
        pod: pod.name.clone(),
        address,
        hostname: pod.hostname.clone(),
        node: pod.node.clone(),
        zone: pod.zone.clone(),
        ready: service.publish_not_ready || (pod.ready && !pod.terminating),
        serving: pod.ready,
        terminating: pod.terminating,
    })
}
// ANCHOR_END: endpoint

// ANCHOR: ports
/// The ports of a service, with the numbers that they have at this pod.
fn ports(service: &Service, pod: &Pod) -> Vec<Port> {
    let ports = service.ports.iter().filter_map(|port| {
        Some(Port {
            name: port.name.clone(),
            port: number(port, pod)?,
            protocol: port.protocol.clone(),
            app_protocol: port.app_protocol.clone(),
        })
    });
    ports.collect()
}

/// The number at which a pod listens for a port of the service; none if it doesn't have the port.
fn number(port: &ServicePort, pod: &Pod) -> Option<i32> {
    let name = match &port.target {
        Target::Number(number) => return Some(*number),
        Target::Name(name) => name,
    };
    let of = |role: Role| pod.containers.iter().filter(move |container| container.role == role);
    let mut all = of(Role::Main).chain(of(Role::Sidecar)).flat_map(|container| &container.ports);
    all.find(|there| there.name == *name && there.protocol == port.protocol).map(|there| there.port)
}
// ANCHOR_END: ports

// ANCHOR: groups
/// The endpoints that have the same ports, and so may share slices.
struct Group {
    ports: Vec<Port>,
    endpoints: Vec<Endpoint>,
}

fn groups(service: &Service, pods: &[Pod]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for pod in pods {
        let Some(endpoint) = endpoint(service, pod) else { continue };
        let ports = sorted(&ports(service, pod));
        match groups.iter_mut().find(|group| group.ports == ports) {
            Some(group) => group.endpoints.push(endpoint),
            None => groups.push(Group { ports, endpoints: vec![endpoint] }),
        }
    }
    groups
}

fn sorted(ports: &[Port]) -> Vec<Port> {
    let mut ports = ports.to_vec();
    ports.sort();
    ports
}
// ANCHOR_END: groups

// ANCHOR: pack
/// Packs one group into slices, those of `mine` first, and says which of these are left without any endpoint.
fn pack(group: &Group, mine: &[usize], request: &Request, plan: &mut Plan) -> Vec<usize> {
    let Request { slices, max_endpoints, .. } = request;
    let key = |endpoint: &Endpoint| (endpoint.pod.clone(), endpoint.address.clone(), endpoint.hostname.clone());
    let mut wanted: HashMap<_, &Endpoint> = group.endpoints.iter().map(|endpoint| (key(endpoint), endpoint)).collect();

    // What is there and still wanted stays where it is.
    let (mut unwanted, mut changed, mut unchanged) = (Vec::new(), Vec::new(), Vec::new());
    for index in mine {
        let slice = &slices[*index];
        let kept = slice.endpoints.iter().filter_map(|there| wanted.remove(&key(there)));
        let kept: Vec<Endpoint> = kept.cloned().collect();
        let (name, ports) = (slice.name.clone(), slice.ports.clone());
        if kept.is_empty() && !slice.endpoints.is_empty() {
            unwanted.push(*index);
        } else if slice.outdated || kept != slice.endpoints {
            changed.push(Update { name, ports, endpoints: kept });
        } else {
            unchanged.push(Update { name, ports, endpoints: kept });
        }
    }
    let missing = group.endpoints.iter().filter(|endpoint| wanted.contains_key(&key(endpoint))).cloned();
    let mut missing = missing.collect::<Vec<_>>().into_iter();

    // What is missing goes into slices that are written anyway; the sort keeps the order of equally full ones.
    changed.sort_by_key(|slice| std::cmp::Reverse(slice.endpoints.len()));
    for slice in &mut changed {
        let room = max_endpoints.saturating_sub(slice.endpoints.len());
        slice.endpoints.extend(missing.by_ref().take(room));
    }

    // The rest fits into one more slice that is there, or else needs new ones.
    while missing.len() > 0 {
        let fits =
            |slice: &Update| missing.len() < *max_endpoints && slice.endpoints.len() + missing.len() <= *max_endpoints;
        // Of equally full ones `max_by_key` takes the last.
        let fitting = unchanged.iter().enumerate().rev().filter(|(_, slice)| fits(slice));
        match fitting.max_by_key(|(_, slice)| slice.endpoints.len()).map(|(index, _)| index) {
            Some(index) => {
                let mut slice = unchanged.remove(index);
                slice.endpoints.extend(missing.by_ref());
                changed.push(slice);
            }
            None => {
                let endpoints = missing.by_ref().take(*max_endpoints).collect();
                plan.create.push(NewSlice { ports: group.ports.clone(), endpoints });
            }
        }
    }
    plan.update.extend(changed);
    unwanted
}
// ANCHOR_END: pack
// ANCHOR_END: solution
