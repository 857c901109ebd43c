//! Addresses and ports that Services get.
//!
//! Sources: `pkg/registry/core/service/storage/alloc.go`, `pkg/registry/core/service/{ipallocator,portallocator}`.
//! Upstream picks at random from the upper part of the range; here it is the first that is free there.

use super::field::{At, Errors, quoted};
use super::rules::{default_to, map_in};
use super::{Error, Server};
use kit_apimachinery::object::{Key, Kind};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// `--service-cluster-ip-range=10.96.0.0/16`.
const RANGE: (Ipv4Addr, u32) = (Ipv4Addr::new(10, 96, 0, 0), 16);
/// The lower part of the range is left to those who ask for an address (`calculateRangeOffset`).
const STATIC: u32 = 256;
/// `--service-node-port-range`, and its part for those who ask.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;
const STATIC_PORTS: i64 = 86;

impl Server {
    /// Gives a Service its addresses and ports, or says why it can't have those that it asks for.
    pub(super) fn allocate(
        &mut self,
        kind: Kind,
        key: &Key,
        value: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Error> {
        if kind != Kind::Service {
            return Ok(());
        }
        let mut errors = Errors::default();
        self.cluster_ip(key, value, old, &mut errors);
        if errors.0.is_empty() {
            self.node_ports(key, value, &mut errors);
        }
        if errors.0.is_empty() { Ok(()) } else { Err(Error::invalid_object(key, errors.0)) }
    }

    fn services<'a>(&'a self, but: &'a Key) -> impl Iterator<Item = &'a kit_api::core::ServiceSpec> {
        let others = self.state.list(Kind::Service).filter(move |stored| stored.key != *but);
        others.filter_map(|stored| stored.get::<kit_api::core::Service>()?.spec.as_ref())
    }

    fn cluster_ip(&self, key: &Key, value: &mut Value, old: Option<&Value>, errors: &mut Errors) {
        let spec = map_in(value, "spec");
        let text = |spec: &serde_json::Map<String, Value>, field: &str| {
            spec.get(field).and_then(Value::as_str).unwrap_or_default().to_string()
        };
        if text(spec, "type") == "ExternalName" {
            return;
        }
        let first = spec.get("clusterIPs").and_then(|list| list.get(0)).and_then(Value::as_str).map(str::to_string);
        let asked = Some(text(spec, "clusterIP")).filter(|asked| !asked.is_empty()).or(first);
        let address = match asked {
            Some(asked) => asked,
            None => self.free_address(key),
        };
        if !spec.get("clusterIPs").is_some_and(Value::is_array) {
            spec.insert("clusterIPs".into(), json!([address]));
        }
        default_to(spec, "clusterIP", address.as_str());
        default_to(spec, "ipFamilies", json!(["IPv4"]));
        default_to(spec, "ipFamilyPolicy", "SingleStack");
        let before = old.and_then(|old| old["spec"]["clusterIP"].as_str()).unwrap_or_default();
        if address == "None" || !before.is_empty() {
            return;
        }
        let problem = match address.parse::<Ipv4Addr>() {
            // Validation will say so.
            Err(_) => return,
            Ok(address) if !within(address) => {
                Some("the provided network does not match the current range".to_string())
            }
            Ok(address) => {
                let text = address.to_string();
                let taken = self.services(key).any(|other| other.cluster_ip.as_deref() == Some(text.as_str()));
                let taken = taken || text == "10.96.0.1";
                taken.then(|| format!("failed to allocate IP {text}: provided IP is already allocated"))
            }
        };
        if let Some(problem) = problem {
            let at = At { value: &Value::Null, path: "spec.clusterIPs".into() };
            errors.invalid_as(&at, &format!("[]string{{{}}}", quoted(&address)), &problem);
        }
    }

    fn free_address(&self, key: &Key) -> String {
        let taken: BTreeSet<&str> = self.services(key).filter_map(|other| other.cluster_ip.as_deref()).collect();
        let all = 1_u32 << (32 - RANGE.1);
        let addresses = (STATIC + 1..all - 1).chain(2..STATIC);
        let mut addresses = addresses.map(|offset| Ipv4Addr::from(u32::from(RANGE.0) + offset).to_string());
        addresses.find(|address| !taken.contains(address.as_str())).unwrap_or_default()
    }

    fn node_ports(&self, key: &Key, value: &mut Value, errors: &mut Errors) {
        let spec = &value["spec"];
        let wanted = match spec["type"].as_str() {
            Some("NodePort") => true,
            Some("LoadBalancer") => spec["allocateLoadBalancerNodePorts"] != false,
            _ => return,
        };
        let local = spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local";
        let others = self.services(key).flat_map(|other| other.ports.iter().flatten());
        let mut taken: BTreeSet<(i64, String)> = others
            .filter_map(|port| Some((i64::from(port.node_port?), port.protocol.clone().unwrap_or_default())))
            .collect();
        let ports = value["spec"]["ports"].as_array_mut();
        for (index, port) in ports.into_iter().flatten().enumerate() {
            let protocol = port["protocol"].as_str().unwrap_or_default().to_string();
            let asked = port["nodePort"].as_i64().unwrap_or_default();
            let path = format!("spec.ports[{index}].nodePort");
            if asked == 0 && wanted {
                let free = free_port(&taken);
                port["nodePort"] = free.into();
                taken.insert((free, protocol));
            } else if asked != 0 && !NODE_PORTS.contains(&asked) {
                let why = "provided port is not in the valid range. The range of valid ports is 30000-32767";
                errors.invalid_as(&At { value: &Value::Null, path }, &asked.to_string(), why);
            } else if asked != 0 && !taken.insert((asked, protocol)) {
                let why = "provided port is already allocated";
                errors.invalid_as(&At { value: &Value::Null, path }, &asked.to_string(), why);
            }
        }
        if local && value["spec"]["healthCheckNodePort"].as_i64().unwrap_or_default() == 0 {
            value["spec"]["healthCheckNodePort"] = free_port(&taken).into();
        }
    }
}

fn within(address: Ipv4Addr) -> bool {
    u32::from(address) >> (32 - RANGE.1) == u32::from(RANGE.0) >> (32 - RANGE.1)
}

fn free_port(taken: &BTreeSet<(i64, String)>) -> i64 {
    let mut ports = (NODE_PORTS.start() + STATIC_PORTS..=*NODE_PORTS.end())
        .chain(*NODE_PORTS.start()..NODE_PORTS.start() + STATIC_PORTS);
    ports.find(|port| !taken.iter().any(|(there, _)| there == port)).unwrap_or_default()
}
