//! Whether a node takes a pod that was bound to it. Who binds pods by hand may bind one to a node that is full.
//!
//! Sources: `pkg/kubelet/lifecycle/predicate.go`, `AdmissionCheck` of `pkg/scheduler/scheduler.go` with the plugins that it asks,
//! `pkg/kubelet/preemption/preemption.go`.

use kit_api::Quantity;
use kit_api::core::{Node, Pod};
use kit_api::node_selector;
use kit_api::pod_resources::{RequestOptions, Resources, requests, resources};
use kit_api::preemption::{Missing, victims};
use kit_api::qos;
use kit_api::quantity::Format;
use kit_api::toleration;
use std::collections::BTreeMap;

/// What a pod takes of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// Thousandths of a CPU, and whole units of all else.
    requests: BTreeMap<String, i64>,
    /// Ports of the node: address, protocol, number.
    ports: Vec<(String, String, i32)>,
}

/// Why a pod is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is too little of something.
    Resource {
        /// Of what.
        name: String,
        /// How much it wants,
        requested: i64,
        /// how much the others have,
        used: i64,
        /// and how much there is.
        capacity: i64,
    },
    /// Something else doesn't fit: a plugin of the scheduler and what it says.
    Predicate(&'static str, &'static str),
}

impl Refusal {
    /// The reason in the pod's status.
    pub fn reason(&self) -> String {
        match self {
            Refusal::Resource { name, .. } => format!("OutOf{name}"),
            Refusal::Predicate(name, _) => name.to_string(),
        }
    }

    /// The message of its event.
    pub fn message(&self) -> String {
        match self {
            Refusal::Resource { name, requested, used, capacity } => format!(
                "Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
            ),
            Refusal::Predicate(name, why) => format!("Predicate {name} failed: {why}"),
        }
    }
}

fn amounts(resources: &Resources) -> BTreeMap<String, i64> {
    let amount = |(name, amount): (&String, &kit_api::Quantity)| {
        (name.clone(), if name == "cpu" { amount.milli_value() } else { amount.value() })
    };
    resources.iter().map(amount).collect()
}

impl Claims {
    /// Those of a pod.
    pub fn of(pod: &Pod) -> Claims {
        let mut ports = Vec::new();
        for port in
            pod.spec.iter().flat_map(|spec| &spec.containers).flat_map(|container| container.ports.iter().flatten())
        {
            if let Some(number) = port.host_port.filter(|number| *number > 0) {
                let address = port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".into());
                ports.push((address, port.protocol.clone().unwrap_or_else(|| "TCP".into()), number));
            }
        }
        Claims { requests: amounts(&requests(pod, &RequestOptions::default())), ports }
    }

    /// What it asks for.
    pub fn requests(&self) -> Resources {
        let amount = |(name, amount): (&String, &i64)| {
            let quantity = match name.as_str() {
                "cpu" => Quantity::from_milli(*amount, Format::DecimalSI),
                _ => Quantity::new(*amount, Format::BinarySI),
            };
            (name.clone(), quantity)
        };
        self.requests.iter().map(amount).collect()
    }

    /// Whether both want the same port of the node.
    fn collides(&self, other: &Claims) -> bool {
        let same = |(ip, protocol, number): &(String, String, i32), other: &(String, String, i32)| {
            (protocol, number) == (&other.1, &other.2) && (*ip == other.0 || ip == "0.0.0.0" || other.0 == "0.0.0.0")
        };
        self.ports.iter().any(|port| other.ports.iter().any(|taken| same(port, taken)))
    }
}

/// Why a node can't take a pod beside others that it has; nothing if it can.
pub fn refusals<'a>(pod: &Pod, node: &Node, others: impl Iterator<Item = &'a Claims> + Clone) -> Vec<Refusal> {
    let claims = Claims::of(pod);
    let status = node.status.as_ref();
    let capacity = amounts(&resources(status.and_then(|status| status.allocatable.as_ref())));
    let refused = |name: &str, requested: i64, used: i64, capacity: i64| Refusal::Resource {
        name: name.into(),
        requested,
        used,
        capacity,
    };
    let mut refusals = Vec::new();
    let (count, most) = (others.clone().count() as i64, capacity.get("pods").copied().unwrap_or(0));
    if count + 1 > most {
        refusals.push(refused("pods", 1, count, most));
    }
    let known = ["cpu", "memory", "ephemeral-storage"];
    let more = claims.requests.keys().map(String::as_str).filter(|name| !known.contains(name));
    for name in known.into_iter().chain(more) {
        let requested = claims.requests.get(name).copied().unwrap_or(0);
        // Of resources that a node doesn't know somebody else takes care.
        let Some(capacity) = capacity.get(name).copied().filter(|_| requested > 0) else { continue };
        let used = others.clone().filter_map(|claims| claims.requests.get(name)).sum();
        if requested > capacity - used {
            refusals.push(refused(name, requested, used, capacity));
        }
    }
    if !pod.spec.as_ref().is_none_or(|spec| node_selector::allows(spec, node)) {
        refusals.push(Refusal::Predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector"));
    }
    if others.clone().any(|other| claims.collides(other)) {
        let why = "node(s) didn't have free ports for the requested pod ports";
        refusals.push(Refusal::Predicate("NodePorts", why));
    }
    let annotations = pod.metadata.annotations.as_ref();
    let source = annotations.and_then(|all| all.get("kubernetes.io/config.source"));
    let is_static = source.is_some_and(|source| source != "api");
    let tolerations = || pod.spec.iter().flat_map(|spec| spec.tolerations.iter().flatten());
    let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    if !is_static
        && taints
            .any(|taint| taint.effect == "NoExecute" && !tolerations().any(|one| toleration::tolerates(one, taint)))
    {
        refusals.push(Refusal::Predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate"));
    }
    refusals
}

/// What becomes of a pod that was refused (`HandleAdmissionFailure`): for a critical one others have to go.
///
/// # Errors
///
/// The reason and the message with which it fails.
pub fn make_room<'a>(pod: &Pod, refusals: &[Refusal], running: &[&'a Pod]) -> Result<Vec<&'a Pod>, (String, String)> {
    let Some(first) = refusals.first() else { return Ok(Vec::new()) };
    let is_resource = |refusal: &&Refusal| matches!(refusal, Refusal::Resource { .. });
    let first = match qos::is_critical(pod) {
        false => Some(first),
        // Only what isn't a matter of resources holds it back.
        true => refusals.iter().find(|refusal| !is_resource(refusal)),
    };
    if let Some(first) = first {
        return Err((first.reason(), first.message()));
    }
    let missing = |refusal: &Refusal| match refusal {
        Refusal::Resource { name, requested, used, capacity } => Some((name.clone(), requested - (capacity - used))),
        Refusal::Predicate(..) => None,
    };
    let missing: Missing = refusals.iter().filter_map(missing).collect();
    victims(pod, running, &missing).map_err(|why| {
        let message = format!("Unexpected error while attempting to recover from admission failure: {why}");
        ("UnexpectedAdmissionError".into(), message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(spec: Value) -> Pod {
        let mut spec = spec;
        if spec["containers"].is_null() {
            let requests = spec["requests"].take();
            spec["containers"] = json!([{"name": "c", "resources": {"requests": requests}}]);
        }
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).expect("a pod")
    }

    fn node() -> Node {
        let value = json!({
            "metadata": {"name": "node-1", "labels": {"disk": "ssd"}},
            "spec": {"taints": [{"key": "gone", "effect": "NoExecute"}, {"key": "busy", "effect": "NoSchedule"}]},
            "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "3"}},
        });
        serde_json::from_value(value).expect("a node")
    }

    #[test]
    fn a_node_takes_what_fits() {
        let busy = Claims::of(&pod(json!({"requests": {"cpu": "1500m", "memory": "1Gi"}})));
        let on_port =
            Claims::of(&pod(json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]})));
        let all = json!([{"operator": "Exists"}]);
        /// The pod, the others, and the reasons.
        type Case<'a> = (Value, Vec<&'a Claims>, &'a [&'a str]);
        let cases: Vec<Case<'_>> = vec![
            (json!({"requests": {"cpu": "500m"}, "tolerations": all}), vec![&busy], &[]),
            (json!({"requests": {"cpu": "501m"}, "tolerations": all}), vec![&busy], &["OutOfcpu"]),
            (json!({"requests": {"memory": "4Gi"}, "tolerations": all}), vec![&busy], &["OutOfmemory"]),
            (json!({"requests": {"example.com/gpu": "1"}, "tolerations": all}), vec![], &[]),
            (json!({"tolerations": all}), vec![&busy, &busy, &busy], &["OutOfpods"]),
            (json!({"nodeSelector": {"disk": "hdd"}}), vec![], &["NodeAffinity", "TaintToleration"]),
            (
                json!({"containers": [{"name": "c", "ports": [{"containerPort": 9, "hostPort": 80}]}], "tolerations": all}),
                vec![&on_port],
                &["NodePorts"],
            ),
        ];
        for (spec, others, expected) in cases {
            let reasons: Vec<String> =
                refusals(&pod(spec.clone()), &node(), others.into_iter()).iter().map(Refusal::reason).collect();
            assert_eq!(reasons, expected, "{spec}");
        }
        let refusal = &refusals(&pod(json!({"requests": {"cpu": "1"}})), &node(), [&busy].into_iter())[0];
        assert_eq!(
            refusal.message(),
            "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000"
        );
    }

    #[test]
    fn others_make_room_for_a_critical_pod() {
        let (small, large) = (pod(json!({"requests": {"cpu": "200m"}})), pod(json!({"requests": {"cpu": "1500m"}})));
        let claims = [Claims::of(&small), Claims::of(&large)];
        for (priority, victims) in [(2_000_000_000, Ok(1)), (0, Err("OutOfcpu".to_string()))] {
            let new =
                pod(json!({"requests": {"cpu": "1"}, "priority": priority, "tolerations": [{"operator": "Exists"}]}));
            let refusals = refusals(&new, &node(), claims.iter());
            let made = make_room(&new, &refusals, &[&small, &large]);
            assert_eq!(made.map(|victims| victims.len()).map_err(|(reason, _)| reason), victims);
        }
    }
}
