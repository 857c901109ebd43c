//! Which connections policies refuse: those of Kubernetes, and those of Cilium.

use kit_contract::network::NetworkPolicies;
use kit_contract::network::network_policy::{Connection, End, NamedPort, Pod};
use kit_network::policy::cilium::dns::{NameSelector, Names};
use kit_network::policy::cilium::http::{self, HttpRule, Matcher, Request, Test};
use kit_network::policy::cilium::identity::{Identities, IdentityId, pod_labels};
use kit_network::policy::cilium::repository::{Decision, EndpointPolicy, NamedPorts, Repository};
use kit_network::policy::{Direction, objects};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use solutions::network::network_policy::Exercise;
use std::collections::{BTreeMap, HashMap};

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|e| format!("{e} in {value}"))
}

fn or_default<T: DeserializeOwned + Default>(value: &Value) -> Result<T, String> {
    if value.is_null() { Ok(T::default()) } else { read(value) }
}

fn items<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str, String> {
    value[field].as_str().ok_or_else(|| format!("no {field} in {value}"))
}

/// A pod's key in the recorded tables.
fn key(pod: &Value) -> Result<String, String> {
    Ok(format!("{}/{}", text(pod, "namespace")?, text(pod, "name")?))
}

/// What a recorded flow or request says, under the fields that are ours to find.
fn same(recorded: &Value, fields: &[&str], answer: Value) -> Result<(), String> {
    let expected: Value = fields.iter().map(|field| recorded[field].clone()).collect();
    if expected == answer { Ok(()) } else { Err(format!("{fields:?} is {expected} and not {answer} of {recorded}")) }
}

pub fn network_policy(case: &Value) -> Result<(), String> {
    let policies: Vec<_> =
        items(case, "policies").map(|policy| objects::read(&read(policy)?)).collect::<Result<_, String>>()?;
    let mut ends = HashMap::new();
    for pod in items(case, "pods") {
        let namespace = text(pod, "namespace")?;
        let ports = items(pod, "ports").map(|port| {
            let (name, protocol) = (read(&port["name"])?, read(&port["protocol"])?);
            Ok(NamedPort { name, port: read(&port["containerPort"])?, protocol })
        });
        let of_pod = Pod {
            namespace: namespace.into(),
            name: read(&pod["name"])?,
            labels: or_default(&pod["labels"])?,
            namespace_labels: or_default(&case["namespaces"][namespace])?,
            ports: ports.collect::<Result<_, String>>()?,
        };
        ends.insert(key(pod)?, End { ip: read(&pod["ip"])?, pod: Some(of_pod) });
    }
    let end = |value: &Value| match value["pod"].as_str() {
        Some(pod) => ends.get(pod).cloned().ok_or_else(|| format!("no pod {pod}")),
        None => Ok(End { ip: read(&value["ip"])?, pod: None }),
    };
    for flow in items(case, "flows") {
        let (from, to) = (end(&flow["from"])?, end(&flow["to"])?);
        let connection = Connection { from, to, port: read(&flow["port"])?, protocol: read(&flow["protocol"])? };
        let verdict = Exercise.judge(&policies, &connection);
        let answer = json!([!verdict.egress.refuses(), !verdict.ingress.refuses(), verdict.allowed]);
        same(flow, &["egress", "ingress", "allowed"], answer)?;
    }
    Ok(())
}

/// A cluster of a recorded case, with the policies of its endpoints.
struct Cilium {
    identities: Identities,
    pods: HashMap<String, IdentityId>,
    policies: HashMap<IdentityId, EndpointPolicy>,
}

impl Cilium {
    fn new(case: &Value) -> Result<Self, String> {
        let mut repository = Repository::default();
        for (at, policy) in items(case, "policies").enumerate() {
            repository.add(policy["namespace"].as_str(), &format!("policy-{at}"), read(&policy["spec"])?)?;
        }
        let mut identities = Identities::default();
        let mut pods = HashMap::new();
        for pod in items(case, "pods") {
            let labels = pod_labels(text(pod, "namespace")?, &or_default(&pod["labels"])?, &BTreeMap::new());
            pods.insert(key(pod)?, identities.of_labels(labels));
        }
        repository.know_networks(&mut identities);
        let mut policies = HashMap::new();
        let none = NamedPorts::new();
        for id in pods.values() {
            let subject = identities.get(*id).ok_or("no identity")?;
            policies.insert(*id, repository.resolve(subject, &identities, &none, &none)?);
        }
        Ok(Cilium { identities, pods, policies })
    }

    fn end(&self, value: &Value) -> Result<IdentityId, String> {
        let found = match (value["pod"].as_str(), value["entity"].as_str()) {
            (Some(pod), _) => self.pods.get(pod).copied(),
            (_, Some(entity)) => self.identities.of_entity(entity),
            _ => Some(self.identities.of_address(read(&value["ip"])?)),
        };
        found.ok_or_else(|| format!("nobody is {value}"))
    }

    /// What both sides do with a connection. One without an endpoint lets everything pass.
    fn decide(&self, from: IdentityId, to: IdentityId, protocol: u8, port: u16) -> [Decision; 2] {
        let side = |own: IdentityId, direction, peer| {
            let policy = self.policies.get(&own);
            policy.map_or(Decision::Allowed, |policy| policy.decide(direction, peer, protocol, port))
        };
        [side(from, Direction::Egress, to), side(to, Direction::Ingress, from)]
    }

    /// Whether the proxy of one side lets a request pass, if the connection goes there.
    fn request(
        &self,
        decision: Decision,
        own: IdentityId,
        direction: Direction,
        peer: IdentityId,
        port: u16,
        request: &Request,
    ) -> bool {
        let asked = self.policies.get(&own).zip(self.identities.get(peer)).filter(|_| decision == Decision::Proxied);
        asked.is_none_or(|(policy, peer)| policy.request(direction, peer, port, request))
    }
}

fn passes(decision: Decision) -> bool {
    matches!(decision, Decision::Allowed | Decision::Proxied)
}

pub fn cilium_policy(case: &Value) -> Result<(), String> {
    let cilium = match (Cilium::new(case), case["error"].as_str()) {
        (Err(error), Some(expected)) if error == expected => return Ok(()),
        (Err(error), _) => return Err(error),
        (Ok(_), Some(expected)) => return Err(format!("it must be refused: {expected}")),
        (Ok(cilium), None) => cilium,
    };
    for flow in items(case, "flows") {
        let (from, to) = (cilium.end(&flow["from"])?, cilium.end(&flow["to"])?);
        let protocol = match text(flow, "protocol")? {
            "TCP" => 6,
            "UDP" => 17,
            "SCTP" => 132,
            other => return Err(format!("no protocol {other}")),
        };
        let [egress, ingress] = cilium.decide(from, to, protocol, read(&flow["port"])?).map(passes);
        same(flow, &["egress", "ingress", "allowed"], json!([egress, ingress, egress && ingress]))?;
    }
    for recorded in items(case, "requests") {
        let (from, to, port) = (cilium.end(&recorded["from"])?, cilium.end(&recorded["to"])?, read(&recorded["port"])?);
        let request: Request = read(recorded)?;
        let decisions = cilium.decide(from, to, 6, port);
        let [egress, ingress] = decisions;
        let answer = if !decisions.into_iter().all(passes) {
            json!([false, "L4"])
        } else if !decisions.contains(&Decision::Proxied) {
            json!([true, "L4"])
        } else {
            let out = cilium.request(egress, from, Direction::Egress, to, port, &request);
            let into = cilium.request(ingress, to, Direction::Ingress, from, port, &request);
            json!([out && into, "L7"])
        };
        same(recorded, &["allowed", "decidedBy"], answer)?;
    }
    Ok(())
}

pub fn cilium_http_rules(case: &Value) -> Result<(), String> {
    let rules: Vec<HttpRule> = or_default(&case["rules"])?;
    let refused = rules.iter().find_map(|rule| rule.check().err()).map_or(Value::Null, Value::from);
    same(case, &["error"], json!([refused]))?;
    if refused.is_string() {
        return Ok(());
    }
    let matcher = |Matcher { name, test }: Matcher| match test {
        Test::Regex(regex, _) => json!({"name": name, "regex": regex}),
        Test::Exact(exact) => json!({"name": name, "exact": exact}),
        Test::Present => json!({"name": name, "present": true}),
    };
    let matchers: Vec<Vec<Value>> =
        rules.iter().map(|rule| rule.matchers().into_iter().map(matcher).collect()).collect();
    let expected: Vec<Vec<Value>> = or_default(&case["matchers"])?;
    if matchers != expected {
        return Err(format!("the matchers are {expected:?} and not {matchers:?}"));
    }
    for request in items(case, "requests") {
        same(request, &["allowed"], json!([http::allowed(&rules, &read(request)?)]))?;
    }
    Ok(())
}

fn names(case: &Value, names: Result<Names, String>, field: &str) -> Result<(), String> {
    let names = match names {
        Ok(names) => names,
        Err(error) => return same(case, &["error"], json!([error])),
    };
    same(case, &["error", "regex"], json!([null, names.expression]))?;
    for name in items(case, "names") {
        same(name, &[field], json!([names.contain(text(name, "name")?)]))?;
    }
    Ok(())
}

pub fn cilium_dns_rules(case: &Value) -> Result<(), String> {
    let rules: Vec<NameSelector> = or_default(&case["rules"])?;
    names(case, Names::of_rules(&rules), "allowed")
}

pub fn cilium_fqdn_selectors(case: &Value) -> Result<(), String> {
    names(case, Names::of_selector(&read(&case["selector"])?), "selected")
}
