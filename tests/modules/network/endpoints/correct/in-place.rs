//! Passes: it changes a copy of the slices until it is right, and compares it with what was there in the end.

use kit::network::EndpointSlices;
use kit::network::endpoints::{Endpoint, NewSlice, Plan, Port, Request, Role, Slice, Target, Update};

#[derive(Default)]
struct Exercise;

struct Wanted {
    ports: Vec<Port>,
    endpoint: Endpoint,
    placed: bool,
}

fn alike(one: &[Port], other: &[Port]) -> bool {
    let has = |ports: &[Port], port: &Port| ports.iter().filter(|there| *there == port).count();
    one.len() == other.len() && one.iter().all(|port| has(one, port) == has(other, port))
}

impl EndpointSlices for Exercise {
    fn reconcile(&self, request: &Request) -> Plan {
        let service = &request.service;
        let mut wanted: Vec<Wanted> = Vec::new();
        for pod in &request.pods {
            let over = matches!(pod.phase.as_str(), "Failed" | "Succeeded");
            let Some(address) = pod.address.clone().filter(|_| !over) else { continue };
            let find = |name: &str, protocol: &str| {
                let mut all: Vec<_> = pod.containers.iter().filter(|container| container.role != Role::Init).collect();
                // Stable: sidecars come after the others, each in their order.
                all.sort_by_key(|container| container.role == Role::Sidecar);
                let mut all = all.into_iter().flat_map(|container| &container.ports);
                all.find(|port| port.name == name && port.protocol == protocol).map(|port| port.port)
            };
            let ports = service.ports.iter().flat_map(|port| {
                let number = match &port.target {
                    Target::Number(number) => Some(*number),
                    Target::Name(name) => find(name, &port.protocol),
                };
                number.map(|number| Port {
                    name: port.name.clone(),
                    port: number,
                    protocol: port.protocol.clone(),
                    app_protocol: port.app_protocol.clone(),
                })
            });
            let ports = ports.collect();
            let endpoint = Endpoint {
                pod: pod.name.clone(),
                address,
                hostname: pod.hostname.clone(),
                node: pod.node.clone(),
                zone: pod.zone.clone(),
                ready: service.publish_not_ready | (pod.ready & !pod.terminating),
                serving: pod.ready,
                terminating: pod.terminating,
            };
            wanted.push(Wanted { ports, endpoint, placed: false });
        }

        let mut slices: Vec<Option<Slice>> = request.slices.iter().cloned().map(Some).collect();
        for place in &mut slices {
            let Some(slice) = place else { continue };
            if !wanted.iter().any(|wanted| alike(&wanted.ports, &slice.ports)) {
                *place = None;
                continue;
            }
            let before = slice.endpoints.len();
            for old in std::mem::take(&mut slice.endpoints) {
                let mut found = wanted.iter_mut().filter(|wanted| {
                    let new = &wanted.endpoint;
                    !wanted.placed
                        && new.pod == old.pod
                        && new.address == old.address
                        && new.hostname == old.hostname
                        && alike(&wanted.ports, &slice.ports)
                });
                if let Some(found) = found.next() {
                    found.placed = true;
                    slice.endpoints.push(found.endpoint.clone());
                }
            }
            if before > 0 && slice.endpoints.is_empty() {
                *place = None;
            }
        }
        let mut touched: Vec<bool> = slices
            .iter()
            .zip(&request.slices)
            .map(|(new, old)| new.as_ref().is_some_and(|new| old.outdated || new.endpoints != old.endpoints))
            .collect();

        let mut create: Vec<NewSlice> = Vec::new();
        let groups: Vec<Vec<Port>> = wanted.iter().map(|wanted| wanted.ports.clone()).collect();
        for ports in groups {
            // The group of a later pod may be done already.
            let mut missing: Vec<Endpoint> = Vec::new();
            for wanted in wanted.iter_mut().filter(|wanted| !wanted.placed && alike(&wanted.ports, &ports)) {
                wanted.placed = true;
                missing.push(wanted.endpoint.clone());
            }
            missing.reverse();
            let size = |slices: &[Option<Slice>], index: usize| {
                slices[index].as_ref().map_or(0, |slice| slice.endpoints.len())
            };
            let of_group = |slices: &[Option<Slice>], index: usize| {
                slices[index].as_ref().is_some_and(|slice| alike(&slice.ports, &ports))
            };
            let mut order: Vec<usize> =
                (0..slices.len()).filter(|index| touched[*index] && of_group(&slices, *index)).collect();
            order.sort_by_key(|index| std::cmp::Reverse(size(&slices, *index)));
            for index in order {
                let Some(slice) = &mut slices[index] else { continue };
                while slice.endpoints.len() < request.max_endpoints {
                    let Some(next) = missing.pop() else { break };
                    slice.endpoints.push(next);
                }
            }
            while !missing.is_empty() {
                let left = missing.len();
                let fits = |index: &usize| {
                    !touched[*index]
                        && of_group(&slices, *index)
                        && left < request.max_endpoints
                        && size(&slices, *index) + left <= request.max_endpoints
                };
                let fitting: Vec<usize> = (0..slices.len()).filter(fits).collect();
                let fullest = fitting.iter().map(|index| size(&slices, *index)).max();
                match fitting.into_iter().find(|index| Some(size(&slices, *index)) == fullest) {
                    Some(index) => {
                        touched[index] = true;
                        if let Some(slice) = &mut slices[index] {
                            slice.endpoints.extend(missing.drain(..).rev());
                        }
                    }
                    None => {
                        let from = left.saturating_sub(request.max_endpoints);
                        let endpoints = missing.drain(from..).rev().collect();
                        create.push(NewSlice { ports: ports.clone(), endpoints });
                    }
                }
            }
        }

        if create.is_empty() && slices.iter().all(Option::is_none) {
            let [Slice { outdated: false, ports, endpoints, .. }] = &request.slices[..] else {
                create.push(NewSlice { ports: vec![], endpoints: vec![] });
                return finish(request, slices, touched, create);
            };
            if !ports.is_empty() || !endpoints.is_empty() {
                create.push(NewSlice { ports: vec![], endpoints: vec![] });
            } else {
                slices[0] = request.slices.first().cloned();
            }
        }
        finish(request, slices, touched, create)
    }
}

fn finish(request: &Request, slices: Vec<Option<Slice>>, touched: Vec<bool>, mut create: Vec<NewSlice>) -> Plan {
    let mut plan = Plan::default();
    for (index, slice) in slices.into_iter().enumerate() {
        let name = request.slices[index].name.clone();
        match (slice, touched[index]) {
            (Some(slice), true) => plan.update.push(Update { name, ports: slice.ports, endpoints: slice.endpoints }),
            (Some(_), false) => {}
            (None, _) => match create.pop() {
                Some(new) => plan.update.push(Update { name, ports: new.ports, endpoints: new.endpoints }),
                None => plan.delete.push(name),
            },
        }
    }
    plan.create = create;
    plan
}

kit::exercise!(Exercise: kit::network::EndpointSlices);
