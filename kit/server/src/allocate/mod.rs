//! Addresses and ports that Services get.
//!
//! Source: `pkg/registry/core/service/storage/alloc.go`. Of the [`range`]s one is left with what no other service has, for
//! each request. So there is no record beside the services, and nothing of upstream's repair loops, which every three minutes
//! hold such a record against them (`ipallocator/controller`, `portallocator/controller`).

pub mod range;

use super::field::{At, Errors, quoted};
use super::go::strings;
use super::rules::validate::cluster_ips;
use super::rules::{default_to, map_in};
use super::{Error, Server};
use kit_api::core::ServiceSpec;
use kit_apimachinery::object::{Key, Kind};
use range::{AddressRange, PortRange, Refused};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// `--service-cluster-ip-range`.
pub(crate) const RANGE: &str = "10.96.0.0/16";
/// `--service-node-port-range`.
const NODE_PORTS: (u16, u16) = (30_000, 32_767);
/// The first address is the API server's own: that of the service `kubernetes`, whether it is there yet or not.
const API_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));

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
        families(value, &mut errors);
        if errors.0.is_empty() {
            self.cluster_ip(key, value, old, &mut errors)?;
        }
        if errors.0.is_empty() {
            self.node_ports(key, value, old, &mut errors)?;
        }
        if errors.0.is_empty() { Ok(()) } else { Err(Error::invalid_object(key, errors.0)) }
    }

    fn services<'a>(&'a self, but: &'a Key) -> impl Iterator<Item = &'a ServiceSpec> {
        let others = self.state.list(Kind::Service).filter(move |stored| stored.key != *but);
        others.filter_map(|stored| stored.get::<kit_api::core::Service>()?.spec.as_ref())
    }

    /// The addresses that others have left.
    fn addresses(&self, key: &Key) -> Result<AddressRange, Error> {
        let mut range = AddressRange::new(RANGE).map_err(Error::internal)?;
        let theirs = self.services(key).filter_map(|other| other.cluster_ip.as_deref()?.parse().ok());
        let is_own = (&*key.namespace, &*key.name) == ("default", "kubernetes");
        for address in theirs.chain((!is_own).then_some(API_SERVER)) {
            // Two may have the same from times before there was a rule.
            _ = range.allocate(address);
        }
        Ok(range)
    }

    fn cluster_ip(&self, key: &Key, value: &mut Value, old: Option<&Value>, errors: &mut Errors) -> Result<(), Error> {
        let spec = map_in(value, "spec");
        let text = |spec: &serde_json::Map<String, Value>, field: &str| {
            spec.get(field).and_then(Value::as_str).unwrap_or_default().to_string()
        };
        if text(spec, "type") == "ExternalName" {
            return Ok(());
        }
        let first = spec.get("clusterIPs").and_then(|list| list.get(0)).and_then(Value::as_str).map(str::to_string);
        let asked = Some(text(spec, "clusterIP")).filter(|asked| !asked.is_empty()).or(first);
        let address = match &asked {
            Some(asked) => asked.clone(),
            None => {
                let refused = |why: String| Error::internal(format!("failed to allocate a serviceIP: {why}"));
                let next = self.addresses(key)?.allocate_next().map_err(|e| refused(e.to_string()))?;
                // An address says whose it is.
                if key.name.is_empty() {
                    let why = "is invalid: spec.parentRef.name: Required value";
                    return Err(refused(format!("IPAddress.networking.k8s.io \"{next}\" {why}")));
                }
                next.to_string()
            }
        };
        if !spec.get("clusterIPs").is_some_and(Value::is_array) {
            spec.insert("clusterIPs".into(), json!([address]));
        }
        default_to(spec, "clusterIP", address.as_str());
        default_to(spec, "ipFamilies", json!(["IPv4"]));
        default_to(spec, "ipFamilyPolicy", "SingleStack");
        let before = old.and_then(|old| old["spec"]["clusterIP"].as_str()).unwrap_or_default();
        // Validation will say so if it is no address.
        let Ok(wanted) = address.parse::<Ipv4Addr>() else { return Ok(()) };
        if asked.is_none() || !before.is_empty() {
            return Ok(());
        }
        let mut range = self.addresses(key)?;
        let problem = match range.covers(wanted.into()) {
            false => Some("the provided network does not match the current range".to_string()),
            true => range.allocate(wanted.into()).err().map(|e| format!("failed to allocate IP {wanted}: {e}")),
        };
        if let Some(problem) = problem {
            let at = At { value: &Value::Null, path: "spec.clusterIPs".into() };
            errors.invalid_as(&at, &format!("[]string{{{}}}", quoted(&address)), &problem);
        }
        Ok(())
    }

    /// The ports that others have left; those that this service has had are its own.
    fn ports(&self, key: &Key) -> Result<PortRange, Error> {
        let mut range = PortRange::new(NODE_PORTS.0, NODE_PORTS.1).map_err(Error::internal)?;
        for other in self.services(key) {
            let ports = other.ports.iter().flatten().filter_map(|port| port.node_port);
            for port in ports.chain(other.health_check_node_port) {
                // One port may serve two protocols.
                _ = range.allocate(port.into());
            }
        }
        Ok(range)
    }

    fn node_ports(&self, key: &Key, value: &mut Value, old: Option<&Value>, errors: &mut Errors) -> Result<(), Error> {
        let spec = &value["spec"];
        if spec["ports"].as_array().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        // What has none may not ask for one, and is told so later.
        let wanted = needs_node_ports(spec);
        if !wanted {
            return Ok(());
        }
        let mut ports = self.ports(key)?;
        let full = |e: Refused| Error::internal(format!("failed to allocate a nodePort: {e}"));
        let had = old.map(|old| &old["spec"]).filter(|old| needs_node_ports(old));
        if let Some(had) = had {
            keep_ports(&mut value["spec"], had);
        }
        // Ports of the service with one number share a node port, whatever their protocols (`initNodePorts`).
        let mut shared: BTreeMap<i64, i64> = BTreeMap::new();
        let asked_for = |list: &[Value], number: i64| {
            let same = list.iter().filter(|port| port["port"].as_i64() == Some(number));
            same.filter_map(|port| port["nodePort"].as_i64()).find(|asked| *asked != 0)
        };
        let all = value["spec"]["ports"].as_array().cloned().unwrap_or_default();
        for (index, port) in value["spec"]["ports"].as_array_mut().into_iter().flatten().enumerate() {
            let asked = port["nodePort"].as_i64().unwrap_or_default();
            let number = port["port"].as_i64().unwrap_or_default();
            if asked == 0 && !wanted {
                continue;
            }
            let path = format!("spec.ports[{index}].nodePort");
            let mut claim = |ports: &mut PortRange, asked: i64| {
                if let Err(refused) = ports.allocate(asked) {
                    let at = At { value: &Value::Null, path: path.clone() };
                    errors.invalid_as(&at, &asked.to_string(), &refused.to_string());
                }
            };
            match shared.get(&number) {
                Some(given) if asked == 0 => port["nodePort"] = (*given).into(),
                Some(given) if asked == *given => {}
                // What it asks for or has already, and what one of its ports was given, is its own (`updateNodePorts`).
                Some(_) => claim(&mut ports, asked),
                None => {
                    let given = match asked_for(&all, number) {
                        Some(asked) => {
                            claim(&mut ports, asked);
                            asked
                        }
                        None => ports.allocate_next().map_err(full)?,
                    };
                    shared.insert(number, given);
                    if asked == 0 {
                        port["nodePort"] = given.into();
                    }
                }
            }
        }
        health_check_port(value, old, &mut ports)
    }
}

/// The families of a service's addresses: there is but one here (`initIPFamilyFields` of
/// `pkg/registry/core/service/storage/alloc.go`).
fn families(value: &mut Value, errors: &mut Errors) {
    const FAMILY: &str = "IPv4";
    let spec = map_in(value, "spec");
    if spec.get("type").is_some_and(|type_| type_ == "ExternalName") {
        return;
    }
    default_to(spec, "ipFamilyPolicy", "SingleStack");
    let mut addresses = spec.get("clusterIPs").filter(|list| list.is_array()).cloned().unwrap_or_else(|| json!([]));
    let one = spec.get("clusterIP").and_then(Value::as_str).filter(|address| !address.is_empty());
    if let (Some([]), Some(one)) = (addresses.as_array().map(Vec::as_slice), one) {
        addresses = json!([one]);
    }
    let there = value["spec"].clone();
    let at = At { value: &there, path: "spec".into() };
    cluster_ips(errors, &at);
    if !errors.0.is_empty() {
        return;
    }
    let policy = at.get("ipFamilyPolicy");
    let mut families = at.get("ipFamilies").value.as_array().cloned().unwrap_or_default();
    let addresses = At { value: &addresses, path: "spec.clusterIPs".into() };
    let headless = addresses.items().first().is_some_and(|first| first.text() == "None");
    for address in addresses.items().into_iter().skip(families.len()).filter(|address| address.text().contains(':')) {
        errors.invalid_as(&address, &strings(addresses.value), "IPv6 is not configured on this cluster");
    }
    if !errors.0.is_empty() {
        return;
    }
    // Where nobody selects pods, whoever writes the endpoints decides.
    if headless && at.get("selector").is_empty() {
        if families.is_empty() {
            families.push(FAMILY.into());
        }
        if let ([one], true) = (&families[..], policy.text() != "SingleStack") {
            families.push(if *one == FAMILY { "IPv6" } else { FAMILY }.into());
        }
        value["spec"]["ipFamilies"] = families.into();
        return;
    }
    if policy.text() == "RequireDualStack" {
        errors.invalid(&policy, "this cluster is not configured for dual-stack services");
    }
    for family in at.get("ipFamilies").items().iter().filter(|family| family.text() != FAMILY) {
        errors.invalid(family, "not configured on this cluster");
    }
}

/// Gives the port at which nodes say whether they have a pod of the service, or takes it away
/// (`healthCheckNodePortUpdate`).
fn health_check_port(value: &mut Value, old: Option<&Value>, ports: &mut PortRange) -> Result<(), Error> {
    const FIELD: &str = "healthCheckNodePort";
    let had = old.map(|old| &old["spec"]).filter(|old| needs_health_check(old));
    let had = had.and_then(|old| old[FIELD].as_i64()).unwrap_or_default();
    let spec = &mut value["spec"];
    let asked = spec[FIELD].as_i64().unwrap_or_default();
    match (needs_health_check(spec), asked) {
        (true, 0) if had != 0 => spec[FIELD] = had.into(),
        (true, 0) => {
            let next = ports.allocate_next();
            let refused = |e| Error::internal(format!("failed to allocate a HealthCheck NodePort : {e}"));
            spec[FIELD] = next.map_err(refused)?.into();
        }
        (true, asked) if asked != had => ports
            .allocate(asked)
            .map_err(|e| Error::internal(format!("failed to allocate requested HealthCheck NodePort {asked}: {e}")))?,
        (false, asked) if asked != 0 && asked == had => _ = spec.as_object_mut().map(|spec| spec.remove(FIELD)),
        _ => {}
    }
    Ok(())
}

/// Whether the ports of a service need node ports (`needsNodePort`).
fn needs_node_ports(spec: &Value) -> bool {
    match spec["type"].as_str() {
        Some("NodePort") => true,
        Some("LoadBalancer") => spec["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

/// Whether a load balancer has to ask each node (`NeedsHealthCheck`).
fn needs_health_check(spec: &Value) -> bool {
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

/// A port without a number keeps the one that the port of its name had, unless another asks for it
/// (`patchAllocatedValues`).
fn keep_ports(spec: &mut Value, old: &Value) {
    let list = |spec: &Value| spec["ports"].as_array().cloned().unwrap_or_default();
    let name = |port: &Value| port["name"].as_str().unwrap_or_default().to_string();
    let by_name: BTreeMap<String, i64> =
        list(old).iter().filter_map(|port| Some((name(port), port["nodePort"].as_i64()?))).collect();
    let mut asked: Vec<i64> = list(spec).iter().filter_map(|port| port["nodePort"].as_i64()).collect();
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        let had = by_name.get(&name(port)).filter(|had| !asked.contains(had));
        if let (0, Some(had)) = (port["nodePort"].as_i64().unwrap_or_default(), had) {
            port["nodePort"] = (*had).into();
            asked.push(*had);
        }
    }
}
