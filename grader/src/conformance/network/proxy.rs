//! kube-proxy: which endpoints it chooses, and the rules that it writes.

use kit_contract::network::{ProxyPolicy, ServiceProtocol};
use kit_network::proxy::Family;
use kit_network::proxy::choice::choose;
use kit_network::proxy::endpoints::{Endpoint, EndpointCache};
use kit_network::proxy::iptables::{Config, LocalDetector, Proxier, jumps};
use kit_network::proxy::ruleset::Ruleset;
use kit_network::proxy::service::{PortInfo, ports};
use kit_network::proxy::walk::{Host, Packet, Verdict, outcomes};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn objects<T: DeserializeOwned>(value: &Value) -> Result<Vec<T>, String> {
    let all = value.as_array().into_iter().flatten();
    all.map(|object| T::deserialize(object).map_err(|e| e.to_string())).collect()
}

/// Fails with the first field in which two objects differ; what is absent, null or empty is the same.
fn same(what: &str, expected: &Value, answer: &Value) -> Result<(), String> {
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let fields = [expected, answer].into_iter().filter_map(Value::as_object).flat_map(|object| object.keys());
    for field in fields.collect::<BTreeSet<_>>() {
        let (one, other) = (&expected[field], &answer[field]);
        if one != other && !(is_empty(one) && is_empty(other)) {
            return Err(format!("{what}: {field}: expected {one}, got {other}"));
        }
    }
    Ok(())
}

fn addresses<'a>(endpoints: impl IntoIterator<Item = &'a Endpoint>) -> Value {
    let mut all: Vec<String> = endpoints.into_iter().map(|endpoint| endpoint.address.to_string()).collect();
    all.sort();
    all.into()
}

pub fn endpoint_choice(case: &Value) -> Result<(), String> {
    let family = if case["ipFamily"] == "IPv6" { Family::V6 } else { Family::V4 };
    let service = objects(&json!([case["service"]]))?.remove(0);
    let node = &case["node"];
    let mut cache = EndpointCache::default();
    for slice in objects(&case["endpointSlices"])? {
        cache.set(&slice, text(node, "name"), family);
    }
    let name = (text(&case["service"]["metadata"], "namespace"), text(&case["service"]["metadata"], "name"));
    let endpoints = cache.of_service(&(name.0.into(), name.1.into()));
    let infos = ports(&service, family);
    for expected in case["ports"].as_array().into_iter().flatten() {
        let port = text(expected, "port");
        let is_it = |info: &&PortInfo| info.name.port == port;
        let info = infos.iter().find(is_it).ok_or_else(|| format!("the proxy reads no port {port}"))?;
        let none = Vec::new();
        let choice = choose(info, endpoints.get(&info.name).unwrap_or(&none), text(node, "zone"));
        for (field, chosen) in [("cluster", &choice.cluster), ("local", &choice.local)] {
            // Here an empty list says something else than none.
            let chosen = chosen.as_ref().map_or(Value::Null, addresses);
            if expected.get(field).unwrap_or(&Value::Null) != &chosen {
                return Err(format!("{port}: {field}: expected {}, got {chosen}", expected[field]));
            }
        }
        let texts = |ips: &[IpAddr]| ips.iter().map(ToString::to_string).collect::<Vec<_>>();
        let answer = json!({
            "port": port,
            "cluster": choice.cluster.as_ref().map(addresses),
            "local": choice.local.as_ref().map(addresses),
            "reachable": addresses(choice.reachable()),
            "hasAnyEndpoints": choice.anywhere,
            "internalPolicyLocal": info.internal_policy == ProxyPolicy::Local,
            "externalPolicyLocal": info.external_policy == ProxyPolicy::Local,
            "externallyAccessible": info.is_external(),
            "healthCheckNodePort": info.health_check_node_port,
            "stickyMaxAgeSeconds": info.affinity_seconds,
            "loadBalancerVIPs": texts(&info.load_balancer_ips),
            "externalIPs": texts(&info.external_ips),
            "sourceRanges": info.source_ranges.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        same(port, expected, &answer)?;
    }
    Ok(())
}

/// Rules by table and chain. In the chains that all services share, Kubernetes leaves the order open but for the last rule.
fn by_chain(restore: &str) -> BTreeMap<(String, String), Vec<String>> {
    let (mut table, mut chains) = (String::new(), BTreeMap::new());
    for line in restore.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name.into();
        } else if let Some(chain) = line.strip_prefix(':') {
            let chain = chain.split(' ').next().unwrap_or_default();
            chains.insert((table.clone(), chain.to_string()), Vec::new());
        } else if let Some((chain, rule)) = line.strip_prefix("-A ").and_then(|rest| rest.split_once(' ')) {
            chains.entry((table.clone(), chain.to_string())).or_default().push(rule.to_string());
        }
    }
    const SHARED: [&str; 4] = ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL"];
    for ((_, chain), rules) in &mut chains {
        if SHARED.contains(&chain.as_str()) {
            rules.sort_by_key(|rule| (rule.contains("this must be the last rule"), rule.clone()));
        }
    }
    chains
}

pub fn iptables(case: &Value) -> Result<(), String> {
    let mut config = Config::new("test-hostname", Family::V4);
    config.node_ip = Some("192.168.0.2".parse().map_err(|_| "no address")?);
    config.pods = LocalDetector::Range("10.0.0.0/8".parse()?);
    let mut proxier = Proxier::new(config, solutions::modules().kube_proxy.make(&()));
    proxier.set_zone("zone-a");
    for service in objects(&case["services"])? {
        proxier.set_service(&service);
    }
    for slice in objects(&case["endpointSlices"])? {
        proxier.set_slice(&slice);
    }
    let sync = proxier.sync(0, &[]);
    let recorded: Vec<&str> = case["rules"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (expected, answer) = (by_chain(&recorded.join("\n")), by_chain(&sync.restore));
    for chain in expected.keys().chain(answer.keys()) {
        let (one, other) = (expected.get(chain), answer.get(chain));
        if one != other {
            return Err(format!("{} {}: expected {one:#?}, got {other:#?}", chain.0, chain.1));
        }
    }
    let mut rules = Ruleset::default();
    rules.restore(&jumps())?;
    rules.restore(&sync.restore)?;
    case["flows"].as_array().into_iter().flatten().try_for_each(|flow| follow(flow, &rules))
}

/// Holds a traced packet against the ways that it may take through the rules.
fn follow(flow: &Value, rules: &Ruleset) -> Result<(), String> {
    let parse = |field: &str| text(flow, field).parse::<IpAddr>().map_err(|_| format!("{field}: no address"));
    let port = text(flow, "port").parse().map_err(|_| "no port")?;
    let protocol = match text(flow, "protocol") {
        "udp" => ServiceProtocol::Udp,
        "sctp" => ServiceProtocol::Sctp,
        _ => ServiceProtocol::Tcp,
    };
    let destination = SocketAddr::new(parse("to")?, port);
    let packet = Packet { protocol, source: parse("from")?, destination, interface: None };
    let addresses = ["192.168.0.2", "192.168.1.2", "192.168.99.11"].map(str::parse);
    let host = Host { addresses: addresses.into_iter().flatten().collect(), ..Host::default() };
    let (mut reaches, mut is_marked) = (BTreeSet::new(), false);
    for outcome in outcomes(rules, &host, &packet)? {
        let walk = outcome.walk;
        is_marked |= walk.is_marked;
        match walk.verdict {
            Verdict::Dropped => _ = reaches.insert("DROP".to_string()),
            Verdict::Rejected => _ = reaches.insert("REJECT".to_string()),
            _ if walk.is_translated => _ = reaches.insert(walk.destination.to_string()),
            Verdict::Accepted => _ = reaches.insert("ACCEPT".to_string()),
            Verdict::Passes => {}
        }
    }
    let expected: BTreeSet<String> =
        flow["reaches"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect();
    if expected != reaches || flow["masquerade"] != is_marked {
        return Err(format!("{flow}: got {reaches:?}, masquerade {is_marked}"));
    }
    Ok(())
}
