//! Services.
//!
//! Source: `ValidateService` of `pkg/apis/core/validation/validation.go`.

use super::{meta, pod};
use crate::field::{At, Errors, quoted};
use crate::go;
use kit_api::name;
use std::collections::BTreeSet;
use std::net::IpAddr;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

pub fn service(e: &mut Errors, spec: &At<'_>) {
    let type_ = spec.get("type").text();
    let (ports, addresses) = (spec.get("ports"), spec.get("clusterIPs"));
    let headless = spec.get("clusterIP").text() == "None";
    if ports.is_empty() && !headless && type_ != "ExternalName" {
        e.required(&ports, "");
    }
    match type_ {
        "LoadBalancer" | "NodePort" if headless => {
            let at = At { value: spec.get("clusterIP").value, path: format!("{}[0]", addresses.path) };
            e.invalid(&at, &format!("may not be set to 'None' for {type_} services"));
        }
        "ExternalName" => {
            if !spec.get("clusterIP").text().is_empty() {
                e.forbidden(&addresses, "may not be set for ExternalName services");
            }
            for field in ["ipFamilies", "ipFamilyPolicy"].iter().map(|field| spec.get(field)) {
                if !field.is_empty() || field.value.is_string() {
                    e.forbidden(&field, "may not be set for ExternalName services");
                }
            }
            let name = spec.get("externalName");
            match name.text().strip_suffix('.').unwrap_or(name.text()) {
                "" => e.required(&name, ""),
                text => e.all_invalid(&name, name::dns1123_subdomain(text)),
            }
        }
        _ => {}
    }
    service_ports(e, &ports, type_);
    meta::labels(e, &spec.get("selector"));
    let affinity = spec.get("sessionAffinity");
    e.one_of(&affinity, &["ClientIP", "None"]);
    if affinity.text() == "ClientIP" {
        let seconds = spec.at("sessionAffinityConfig.clientIP.timeoutSeconds");
        if !seconds.int().is_some_and(|seconds| (1..=86_400).contains(&seconds)) {
            e.invalid(&seconds, "must be greater than 0 and less than 86400");
        }
    }
    cluster_ips(e, spec);
    for address in spec.get("externalIPs").items() {
        special_address(e, &address);
    }
    e.one_of(&spec.get("type"), &TYPES);
    if type_ == "ClusterIP" {
        for port in ports.items() {
            if port.get("nodePort").int().unwrap_or_default() != 0 {
                e.forbidden(&port.get("nodePort"), "may not be used when `type` is 'ClusterIP'");
            }
        }
    }
    load_balancer(e, spec, type_);
    traffic_policies(e, spec, type_);
}

fn service_ports(e: &mut Errors, ports: &At<'_>, type_: &str) {
    let (mut names, mut numbers, mut node_ports) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let several = ports.len() > 1;
    for port in ports.items() {
        let name = port.get("name");
        match name.text() {
            "" if several => e.required(&name, ""),
            "" => {}
            text => {
                e.all_invalid(&name, name::dns1123_label(text));
                if !names.insert(text) {
                    e.duplicate(&name, &quoted(text));
                }
            }
        }
        let (number, protocol) = (port.get("port"), port.get("protocol"));
        pod::port_number(e, &number);
        if number.int().unwrap_or_default() == 0 && !number.is_set() {
            e.invalid_as(&number, "0", "must be between 1 and 65535, inclusive");
        }
        e.one_of(&protocol, &["SCTP", "TCP", "UDP"]);
        pod::port_number_or_name(e, &port.get("targetPort"));
        let application = port.get("appProtocol");
        if application.is_set() {
            e.all_invalid(&application, name::qualified_name(application.text()));
        }
        if !numbers.insert((number.int(), protocol.text())) {
            let short = serde_json::json!({"protocol": protocol.text(), "port": number.value});
            e.duplicate(&port, &go::dump_named(&short, "core.ServicePort"));
        }
        let node_port = port.get("nodePort").int().unwrap_or_default();
        if node_port != 0 && type_ != "ClusterIP" && !node_ports.insert((node_port, protocol.text())) {
            e.duplicate(&port.get("nodePort"), &node_port.to_string());
        }
    }
}

/// What of a service's addresses can be told without knowing the cluster (`ValidateServiceClusterIPsRelatedFields`).
pub fn cluster_ips(e: &mut Errors, spec: &At<'_>) {
    let (families, policy) = (spec.get("ipFamilies"), spec.get("ipFamilyPolicy"));
    let mut seen = BTreeSet::new();
    for family in families.items() {
        if !["IPv4", "IPv6"].contains(&family.text()) {
            e.not_supported(&family, &["IPv4", "IPv6"]);
        }
        if !seen.insert(family.text()) {
            e.duplicate(&family, &quoted(family.text()));
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    if policy.is_set() && !policies.contains(&policy.text()) {
        e.not_supported(&policy, &policies);
    }
    let addresses = spec.get("clusterIPs");
    for (index, address) in addresses.items().iter().enumerate() {
        match address.text() {
            "None" if addresses.len() > 1 && index == 0 => {
                e.invalid(address, "'None' must be the first and only value");
            }
            "None" | "" => {}
            text if text.parse::<IpAddr>().is_err() => {
                e.invalid(address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
            }
            _ => {}
        }
    }
}

/// An address that leads somewhere else (`ValidateNonSpecialIP`).
pub fn special_address(e: &mut Errors, at: &At<'_>) {
    let Ok(address) = at.text().parse::<IpAddr>() else {
        return e.invalid(at, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    };
    if address.is_unspecified() {
        e.invalid(at, &format!("may not be unspecified ({address})"));
    }
    if address.is_loopback() {
        e.invalid(at, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.segments()[0] & 0xffc0 == 0xfe80,
    };
    if link_local {
        e.invalid(at, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if matches!(address, IpAddr::V4(address) if address.octets()[..3] == [224, 0, 0]) {
        e.invalid(at, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

fn load_balancer(e: &mut Errors, spec: &At<'_>, type_: &str) {
    let ranges = spec.get("loadBalancerSourceRanges");
    if !ranges.is_empty() {
        // Upstream writes this path with a capital letter.
        let at = At { value: ranges.value, path: format!("{}.LoadBalancerSourceRanges", spec.path) };
        if type_ != "LoadBalancer" {
            e.forbidden(&at, "may only be used when `type` is 'LoadBalancer'");
        }
        for range in at.items() {
            if !super::network::is_cidr(range.text().trim()) {
                e.invalid(&range, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
            }
        }
    }
    let allocate = spec.get("allocateLoadBalancerNodePorts");
    match (type_, allocate.is_set()) {
        ("LoadBalancer", false) => e.required(&allocate, ""),
        ("LoadBalancer", true) | (_, false) => {}
        _ => e.forbidden(&allocate, "may only be used when `type` is 'LoadBalancer'"),
    }
    let class = spec.get("loadBalancerClass");
    if class.is_set() {
        if type_ != "LoadBalancer" {
            e.forbidden(&class, "may only be used when `type` is 'LoadBalancer'");
        }
        e.all_invalid(&class, name::qualified_name(class.text()));
    }
}

fn traffic_policies(e: &mut Errors, spec: &At<'_>, type_: &str) {
    let external =
        matches!(type_, "LoadBalancer" | "NodePort") || (type_ == "ClusterIP" && !spec.get("externalIPs").is_empty());
    let policy = spec.get("externalTrafficPolicy");
    match (external, policy.text()) {
        (false, "") => {}
        (false, _) => e.invalid(&policy, "may only be set for externally-accessible services"),
        (true, _) => e.one_of(&policy, &["Cluster", "Local"]),
    }
    let check = spec.get("healthCheckNodePort");
    if check.int().unwrap_or_default() != 0 {
        pod::port_number(e, &check);
    }
    if check.int().unwrap_or_default() != 0 && (type_ != "LoadBalancer" || policy.text() != "Local") {
        let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        e.invalid(&check, why);
    }
    let internal = spec.get("internalTrafficPolicy");
    if internal.is_set() && !["Cluster", "Local"].contains(&internal.text()) {
        e.not_supported(&internal, &["Cluster", "Local"]);
    }
    if !internal.is_set() && matches!(type_, "ClusterIP" | "NodePort" | "LoadBalancer") {
        e.required(&internal, "");
    }
    let distribution = spec.get("trafficDistribution");
    if distribution.is_set() && distribution.text() != "PreferClose" {
        e.not_supported(&distribution, &["PreferClose"]);
    }
}
