//! Passes: it gives each slice that is there a fate, one slice after the other, and only then looks at the groups.

use kit::network::EndpointSlices;
use kit::network::endpoints::{Endpoint, NewSlice, Plan, Pod, Port, Request, Role, Service, Target, Update};

#[derive(Default)]
struct Exercise;

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Same,
    Changed,
    Gone,
}

struct There {
    ports: Vec<Port>,
    endpoints: Vec<Endpoint>,
    fate: Fate,
}

impl EndpointSlices for Exercise {
    fn reconcile(&self, request: &Request) -> Plan {
        let max = request.max_endpoints;
        let mut open: Vec<(Vec<Port>, Endpoint)> = Vec::new();
        let mut groups: Vec<Vec<Port>> = Vec::new();
        for pod in &request.pods {
            let Some(address) = &pod.address else { continue };
            if pod.phase == "Succeeded" || pod.phase == "Failed" {
                continue;
            }
            let mut ports = ports(&request.service, pod);
            ports.sort();
            if !groups.contains(&ports) {
                groups.push(ports.clone());
            }
            open.push((ports, endpoint(&request.service, pod, address)));
        }

        let mut all: Vec<There> = Vec::new();
        for slice in &request.slices {
            let mut ports = slice.ports.clone();
            ports.sort();
            let mut there = There { ports, endpoints: Vec::new(), fate: Fate::Same };
            let mut changed = slice.outdated;
            for old in &slice.endpoints {
                let found = open.iter().position(|(ports, new)| {
                    *ports == there.ports
                        && (&new.pod, &new.address, &new.hostname) == (&old.pod, &old.address, &old.hostname)
                });
                match found {
                    Some(index) => {
                        let (_, new) = open.remove(index);
                        changed |= new != *old;
                        there.endpoints.push(new);
                    }
                    None => changed = true,
                }
            }
            let emptied = there.endpoints.is_empty() && !slice.endpoints.is_empty();
            if emptied || !groups.contains(&there.ports) {
                there.fate = Fate::Gone;
            } else if changed {
                there.fate = Fate::Changed;
            }
            all.push(there);
        }

        let mut create = Vec::new();
        for ports in &groups {
            let (mine, others): (Vec<_>, Vec<_>) = open.into_iter().partition(|(there, _)| there == ports);
            open = others;
            let mut missing: Vec<Endpoint> = mine.into_iter().map(|(_, endpoint)| endpoint).collect();
            let mut changed: Vec<usize> =
                (0..all.len()).filter(|i| all[*i].ports == *ports && all[*i].fate == Fate::Changed).collect();
            changed.sort_by_key(|i| (usize::MAX - all[*i].endpoints.len(), *i));
            for i in changed {
                let room = max.saturating_sub(all[i].endpoints.len()).min(missing.len());
                all[i].endpoints.extend(missing.drain(..room));
            }
            while !missing.is_empty() {
                let mut best: Option<usize> = None;
                for i in 0..all.len() {
                    let fits = all[i].ports == *ports
                        && all[i].fate == Fate::Same
                        && missing.len() < max
                        && all[i].endpoints.len() + missing.len() <= max;
                    if fits && best.is_none_or(|best| all[i].endpoints.len() > all[best].endpoints.len()) {
                        best = Some(i);
                    }
                }
                if let Some(i) = best {
                    all[i].endpoints.append(&mut missing);
                    all[i].fate = Fate::Changed;
                } else {
                    let count = missing.len().min(max);
                    create.push(NewSlice { ports: ports.clone(), endpoints: missing.drain(..count).collect() });
                }
            }
        }

        if all.iter().all(|there| there.fate == Fate::Gone) && create.is_empty() {
            let only = request.slices.len() == 1 && {
                let slice = &request.slices[0];
                slice.ports.is_empty() && slice.endpoints.is_empty() && !slice.outdated
            };
            if only {
                return Plan::default();
            }
            create.push(NewSlice { ports: vec![], endpoints: vec![] });
        }
        let mut plan = Plan::default();
        for (slice, there) in request.slices.iter().zip(all) {
            let name = slice.name.clone();
            match there.fate {
                Fate::Same => {}
                Fate::Changed => {
                    plan.update.push(Update { name, ports: there.ports, endpoints: there.endpoints });
                }
                Fate::Gone => match create.pop() {
                    Some(new) => plan.update.push(Update { name, ports: new.ports, endpoints: new.endpoints }),
                    None => plan.delete.push(name),
                },
            }
        }
        plan.create = create;
        plan
    }
}

fn endpoint(service: &Service, pod: &Pod, address: &str) -> Endpoint {
    Endpoint {
        pod: pod.name.clone(),
        address: address.to_string(),
        hostname: pod.hostname.clone(),
        node: pod.node.clone(),
        zone: pod.zone.clone(),
        ready: if service.publish_not_ready { true } else { pod.ready && !pod.terminating },
        serving: pod.ready,
        terminating: pod.terminating,
    }
}

fn ports(service: &Service, pod: &Pod) -> Vec<Port> {
    let mut ports = Vec::new();
    for port in &service.ports {
        let mut number = None;
        match &port.target {
            Target::Number(fixed) => number = Some(*fixed),
            Target::Name(name) => {
                for role in [Role::Main, Role::Sidecar] {
                    for container in &pod.containers {
                        for there in &container.ports {
                            let fits = there.name == *name && there.protocol == port.protocol;
                            if container.role == role && fits && number.is_none() {
                                number = Some(there.port);
                            }
                        }
                    }
                }
            }
        }
        if let Some(number) = number {
            ports.push(Port {
                name: port.name.clone(),
                port: number,
                protocol: port.protocol.clone(),
                app_protocol: port.app_protocol.clone(),
            });
        }
    }
    ports
}

kit::exercise!(Exercise: kit::network::EndpointSlices);
