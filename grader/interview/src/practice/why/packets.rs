//! Packets: whom policies let through, which way leads to a pod, and what becomes of a service's address.

use super::{Asked, list};
use kit_contract::network::{network_policy, pod_network};
use serde_json::Value;

/// More sentences are too many.
const FEW: usize = 3;

pub fn network_policy(asked: &Asked<'_>) -> Option<Vec<String>> {
    let policies = asked.arg::<Vec<network_policy::Policy>>("policies")?;
    let network_policy::Connection { from, to, .. } = asked.arg("connection")?;
    let verdict = asked.answer::<network_policy::Verdict>()?;
    let name = |end: &network_policy::End| end.pod.as_ref().map(|pod| format!("{}/{}", pod.namespace, pod.name));
    if name(&from).is_some() && name(&from) == name(&to) {
        return Some(vec!["It is a pod's connection to itself: no policy is asked.".into()]);
    }
    let side = |end: &network_policy::End, way: &str, side: &network_policy::Side| match name(end) {
        None => format!("{} is no pod's address, and policies isolate pods only.", end.ip),
        Some(pod) if side.isolated_by.is_empty() => format!("No policy isolates {pod} for {way}."),
        Some(pod) if side.admitted_by.is_empty() => {
            format!(
                "{pod} is isolated for {way} by {}, and no rule there has both this peer and this port.",
                list(&side.isolated_by)
            )
        }
        Some(pod) => {
            format!("{pod} is isolated for {way}, and one policy that admits is enough: {}.", side.admitted_by[0])
        }
    };
    let mut said = vec![side(&from, "egress", &verdict.egress), side(&to, "ingress", &verdict.ingress)];
    if policies.iter().any(|policy| policy.policy_types.is_empty()) {
        said.push(
            "Without policyTypes a policy is about ingress, and about egress only if it has egress rules.".into(),
        );
    }
    Some(said)
}

pub fn pod_network(asked: &Asked<'_>) -> Option<Vec<String>> {
    match asked.call {
        "attach" => attach(&asked.arg("request")?, &asked.answer::<Result<_, _>>()?),
        _ => Some(tables(&asked.arg("request")?, &asked.answer::<Vec<pod_network::Change>>()?)),
    }
}

fn attach(
    request: &pod_network::AttachRequest,
    answer: &Result<pod_network::Attachment, pod_network::Refusal>,
) -> Option<Vec<String>> {
    use pod_network::Backend;
    let Some(range) = request.node.range else {
        return Some(vec!["The node has no range yet, and so no address to give.".into()]);
    };
    let Ok(given) = answer else {
        return Some(vec![format!(
            "No address of {range} is free: its own, the gateway's and the last one are given to no pod."
        )]);
    };
    let address = given.address.address;
    let first = match request.last.filter(|last| range.contains(*last)) {
        Some(last) => {
            format!("After {last} the next free one is {address}; behind the last one it goes on from the first.")
        }
        None => format!("No address of {range} was given last: {address} is the first free one after the gateway's."),
    };
    let less = match request.network.backend {
        Backend::Vxlan { .. } => "50 bytes for VXLAN",
        Backend::Ipip { .. } => "20 bytes for IPIP",
        Backend::HostGw => "nothing for host-gw",
    };
    Some(vec![
        first,
        format!("The MTU is {} less {less}, whichever way single nodes are reached.", request.node.mtu),
        format!("Both routes go through the gateway, the first address after the range's own: {}.", given.gateway),
    ])
}

fn tables(request: &pod_network::SyncRequest, changes: &[pod_network::Change]) -> Vec<String> {
    use pod_network::{Backend, Change};
    let mut said: Vec<String> = Vec::new();
    let without: Vec<String> = request.others.iter().filter(|o| o.range.is_none()).map(|o| o.name.clone()).collect();
    said.push(
        match request.network.backend {
            Backend::HostGw => "With host-gw a node next door has one route, on eth0, and nodes elsewhere have none.",
            Backend::Ipip { direct: true } => "A node next door has a route on eth0, each other one a route on tunl0.",
            Backend::Ipip { direct: false } => "With IPIP each node has one route, on tunl0, and nothing else.",
            Backend::Vxlan { direct: true } => {
                "A node next door has a route on eth0; through VXLAN there are three entries, for those with a mac."
            }
            Backend::Vxlan { direct: false } => "With VXLAN each node that has a mac has three entries on flannel.1.",
        }
        .into(),
    );
    if !without.is_empty() {
        said.push(format!("Without a range nothing leads there: {}.", list(&without)));
    }
    let deletes = |change: &Change| {
        matches!(change, Change::DeleteRoute(_) | Change::DeleteNeighbour(_) | Change::DeleteForwarding(_))
    };
    if changes.is_empty() {
        said.push("All of that is there, and nothing else that is the agent's own.".into());
    } else if changes.iter().any(deletes) {
        said.push(format!(
            "Other routes to parts of {}, but for the node's own range, and other neighbours and forwarding entries on flannel.1 go.",
            request.network.pods
        ));
    } else {
        said.push("What is right isn't written again, and what is wrong is written over.".into());
    }
    said
}

/// Why a packet to a service port ends where it does.
pub fn kube_proxy(script: &Value, packet: &str, ends: &[String]) -> Vec<String> {
    let service = &script["service"];
    let is_local = |policy: &str| service[policy] == "Local";
    let some = |field: &str| service[field].as_array().is_some_and(|all| !all.is_empty());
    let end = ends.first().map_or("", String::as_str);
    let to = |door: &str| packet.contains(&format!(" to {door} "));
    if to("what isn't the service's,") {
        return vec![
            "That isn't an address, port and protocol of this service, so its rules leave the packet alone.".into(),
        ];
    }
    if to("the health check") {
        return vec!["At the node's port for health checks its rules accept TCP packets, and no others.".into()];
    }
    let mut said: Vec<String> = Vec::new();
    let ranges = some("source_ranges") && to("the load balancer");
    said.push(match end {
        "rejected" => "There is no endpoint on any node: then packets to all addresses of the service are rejected.".into(),
        "dropped" if ranges => "There are endpoints. A load balancer's packets are dropped outside the source ranges, or if the policy allows no endpoint here.".into(),
        "dropped" => "There are endpoints, but the policy allows none of them here: dropped, not rejected.".into(),
        _ if !end.contains("to ") => "No rule of this service sends it anywhere, rejects it or drops it.".into(),
        _ if to("the cluster IP") && is_local("internal_policy") => {
            "The internal policy is Local: one of the endpoints of this node, each with the same probability.".into()
        }
        _ if to("the cluster IP") => {
            "The internal policy is Cluster: one of the endpoints of the cluster, each with the same probability.".into()
        }
        _ if is_local("external_policy") => "The external policy is Local: endpoints of this node, without masquerade. Pods that the node can tell, and the node itself, are let round it to those of the cluster, the node masqueraded.".into(),
        _ => "The external policy is Cluster: one of the endpoints of the cluster, masqueraded, as it may be elsewhere.".into(),
    });
    if to("the cluster IP") && end.contains("to ") {
        said.push("There it is masqueraded with masquerade_all, or if the node can tell that no pod sent it.".into());
    }
    if packet.starts_with("from the endpoint ") && end.contains("to ") {
        said.push("What goes back to the endpoint that sent it is masqueraded, whichever way it came.".into());
    }
    if let Some(seconds) = service["affinity_seconds"].as_u64().filter(|_| end.contains("to ")) {
        said.push(format!("An endpoint keeps a client for {seconds} s, from each time it was sent there."));
    }
    said.truncate(FEW);
    said
}
