//! Passes: it keys everything by texts in sorted maps, and numbers groups and pods to come back to their order.

use kit::network::EndpointSlices;
use kit::network::endpoints::{
    ContainerPort, Endpoint, NewSlice, Plan, Pod, Port, Request, Role, Service, Slice, Target, Update,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Exercise;

#[derive(Default)]
struct Group {
    first: usize,
    ports: Vec<Port>,
    /// By the number of the pod.
    endpoints: BTreeMap<usize, Endpoint>,
    slices: Vec<usize>,
}

fn identity(endpoint: &Endpoint) -> String {
    format!("{:?}", (&endpoint.pod, &endpoint.address, &endpoint.hostname))
}

fn key(ports: &[Port]) -> BTreeMap<String, usize> {
    let mut key = BTreeMap::new();
    for port in ports {
        *key.entry(format!("{port:?}")).or_default() += 1;
    }
    key
}

fn number(pod: &Pod, name: &str, protocol: &str) -> Option<i32> {
    let find = |role| {
        let ports = pod.containers.iter().filter(|c| c.role == role).flat_map(|c| c.ports.iter());
        let mut ports = ports.filter(|port: &&ContainerPort| port.name == name && port.protocol == protocol);
        ports.next().map(|port| port.port)
    };
    find(Role::Main).or_else(|| find(Role::Sidecar))
}

fn of_pod(service: &Service, pod: &Pod) -> Option<(Vec<Port>, Endpoint)> {
    if ["Succeeded", "Failed"].contains(&pod.phase.as_str()) {
        return None;
    }
    let mut ports = vec![];
    for port in &service.ports {
        let number = match &port.target {
            Target::Number(number) => Some(*number),
            Target::Name(name) => number(pod, name, &port.protocol),
        };
        let (name, protocol, app_protocol) = (port.name.clone(), port.protocol.clone(), port.app_protocol.clone());
        ports.extend(number.map(|port| Port { name, port, protocol, app_protocol }));
    }
    let conditions = match (service.publish_not_ready, pod.ready, pod.terminating) {
        (true, serving, terminating) => (true, serving, terminating),
        (false, true, false) => (true, true, false),
        (false, serving, terminating) => (false, serving, terminating),
    };
    let endpoint = Endpoint {
        pod: pod.name.clone(),
        address: pod.address.clone()?,
        hostname: pod.hostname.clone(),
        node: pod.node.clone(),
        zone: pod.zone.clone(),
        ready: conditions.0,
        serving: conditions.1,
        terminating: conditions.2,
    };
    Some((ports, endpoint))
}

impl EndpointSlices for Exercise {
    fn reconcile(&self, request: &Request) -> Plan {
        let max = request.max_endpoints;
        let mut groups: BTreeMap<BTreeMap<String, usize>, Group> = BTreeMap::new();
        for (index, pod) in request.pods.iter().enumerate() {
            let Some((ports, endpoint)) = of_pod(&request.service, pod) else { continue };
            let group = groups.entry(key(&ports)).or_insert_with(|| Group { first: index, ports, ..Group::default() });
            group.endpoints.insert(index, endpoint);
        }
        let mut gone: BTreeSet<usize> = BTreeSet::new();
        for (index, slice) in request.slices.iter().enumerate() {
            match groups.get_mut(&key(&slice.ports)) {
                Some(group) => group.slices.push(index),
                None => _ = gone.insert(index),
            }
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.sort_by_key(|group| group.first);

        let mut plan = Plan::default();
        for mut group in groups {
            let mut content: BTreeMap<usize, Vec<Endpoint>> = BTreeMap::new();
            let mut written: BTreeSet<usize> = BTreeSet::new();
            for index in group.slices {
                let Slice { endpoints, outdated, .. } = &request.slices[index];
                let mut kept = vec![];
                for old in endpoints {
                    let pod =
                        group.endpoints.iter().find(|(_, new)| identity(new) == identity(old)).map(|(pod, _)| *pod);
                    kept.extend(pod.and_then(|pod| group.endpoints.remove(&pod)));
                }
                if kept.len() < endpoints.len() && kept.is_empty() {
                    gone.insert(index);
                    continue;
                }
                if *outdated || kept != *endpoints {
                    written.insert(index);
                }
                content.insert(index, kept);
            }
            // The fullest first; among equals the smallest number.
            let mut order: Vec<usize> = written.iter().copied().collect();
            order.sort_by(|a, b| content[b].len().cmp(&content[a].len()).then(a.cmp(b)));
            for index in order {
                while content[&index].len() < max {
                    let Some((_, endpoint)) = group.endpoints.pop_first() else { break };
                    content.entry(index).or_default().push(endpoint);
                }
            }
            while !group.endpoints.is_empty() {
                let left = group.endpoints.len();
                let fitting = content
                    .iter()
                    .filter(|(index, there)| !written.contains(index) && left < max && there.len() + left <= max);
                let best = fitting.map(|(index, there)| (usize::MAX - there.len(), *index)).min();
                match best {
                    Some((_, index)) => {
                        written.insert(index);
                        content.entry(index).or_default().extend(std::mem::take(&mut group.endpoints).into_values());
                    }
                    None => {
                        let mut endpoints = vec![];
                        while endpoints.len() < max {
                            let Some((_, endpoint)) = group.endpoints.pop_first() else { break };
                            endpoints.push(endpoint);
                        }
                        plan.create.push(NewSlice { ports: group.ports.clone(), endpoints });
                    }
                }
            }
            for index in written {
                let Slice { name, ports, .. } = request.slices[index].clone();
                let endpoints = content.remove(&index).unwrap_or_default();
                plan.update.push(Update { name, ports, endpoints });
            }
        }

        if plan.create.is_empty() && gone.len() == request.slices.len() {
            if let [Slice { ports, endpoints, outdated: false, .. }] = request.slices.as_slice() {
                if ports.is_empty() && endpoints.is_empty() {
                    return plan;
                }
            }
            plan.create.push(NewSlice { ports: vec![], endpoints: vec![] });
        }
        let mut takers: Vec<usize> = gone.iter().copied().take(plan.create.len()).collect();
        plan.delete = gone.iter().skip(takers.len()).map(|index| request.slices[*index].name.clone()).collect();
        let rest = plan.create.len() - takers.len();
        takers.reverse();
        for (index, new) in takers.into_iter().zip(plan.create.split_off(rest)) {
            let name = request.slices[index].name.clone();
            plan.update.push(Update { name, ports: new.ports, endpoints: new.endpoints });
        }
        plan
    }
}

kit::exercise!(Exercise: kit::network::EndpointSlices);
