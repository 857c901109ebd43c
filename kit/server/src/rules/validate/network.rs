//! NetworkPolicies, Ingresses and endpoints.
//!
//! Sources: `pkg/apis/networking/validation/validation.go`, `pkg/apis/discovery/validation/validation.go`.

use super::{meta, pod};
use crate::field::{At, Errors, quoted};
use crate::go;
use kit_api::name;
use std::net::IpAddr;

/// An address and the length of its prefix.
fn cidr(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (IpAddr, u32) = (address.parse().ok()?, length.parse().ok()?);
    let longest = if address.is_ipv4() { 32 } else { 128 };
    (length <= longest).then_some((address, length))
}

/// Whether a text names a range of addresses.
pub fn is_cidr(text: &str) -> bool {
    cidr(text).is_some()
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

fn holds(outer: (IpAddr, u32), inner: (IpAddr, u32)) -> bool {
    let ((outer_bits, width), (inner_bits, other)) = (bits(outer.0), bits(inner.0));
    let shift = width - outer.1;
    let prefix = |bits: u128| bits.checked_shr(shift).unwrap_or_default();
    width == other && outer.1 < inner.1 && prefix(outer_bits) == prefix(inner_bits)
}

pub fn network_policy(e: &mut Errors, spec: &At<'_>) {
    meta::label_selector(e, &spec.get("podSelector"));
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.get(direction).items() {
            for port in rule.get("ports").items() {
                policy_port(e, &port);
            }
            for peer in rule.get(peers).items() {
                policy_peer(e, &peer);
            }
        }
    }
    let types = spec.get("policyTypes");
    if types.len() > 2 {
        let shown = go::dump_list(types.value, "networking.PolicyType");
        return e.invalid_as(&types, &shown, "may not specify more than two policyTypes");
    }
    for type_ in types.items() {
        if !["Ingress", "Egress"].contains(&type_.text()) {
            e.not_supported(&type_, &["Ingress", "Egress"]);
        }
    }
}

fn policy_port(e: &mut Errors, rule: &At<'_>) {
    let (protocol, port, end) = (rule.get("protocol"), rule.get("port"), rule.get("endPort"));
    if protocol.is_set() && !["TCP", "UDP", "SCTP"].contains(&protocol.text()) {
        e.not_supported(&protocol, &["TCP", "UDP", "SCTP"]);
    }
    if !port.is_set() {
        if end.is_set() {
            e.invalid(&end, "may not be specified when `port` is not specified");
        }
        return;
    }
    match port.value.as_str() {
        Some(text) => {
            if end.is_set() {
                let why = "may not be specified when `port` is non-numeric";
                e.invalid(&end, why);
            }
            e.all_invalid(&port, name::port_name(text));
        }
        None => {
            pod::port_number_or_name(e, &port);
            if end.int().is_some_and(|end| end < port.int().unwrap_or_default()) {
                e.invalid(&end, "must be greater than or equal to `port`");
            }
            pod::port_number(e, &end);
        }
    }
}

fn policy_peer(e: &mut Errors, peer: &At<'_>) {
    let selectors = ["podSelector", "namespaceSelector"].map(|field| peer.get(field));
    let said = selectors.iter().filter(|selector| selector.is_set()).count();
    for selector in &selectors {
        meta::label_selector(e, selector);
    }
    let block = peer.get("ipBlock");
    if block.is_set() {
        ip_block(e, &block);
    }
    match (said, block.is_set()) {
        (0, false) => e.required(peer, "must specify a peer"),
        (1.., true) => e.forbidden(peer, "may not specify both ipBlock and another peer"),
        _ => {}
    }
}

fn ip_block(e: &mut Errors, block: &At<'_>) {
    let range = block.get("cidr");
    let invalid = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    if range.text().is_empty() {
        return e.required(&range, "");
    }
    let Some(outer) = cidr(range.text()) else {
        return e.invalid(&range, invalid);
    };
    for except in block.get("except").items() {
        match cidr(except.text()) {
            None => e.invalid(&except, invalid),
            Some(inner) if !holds(outer, inner) => e.invalid(&except, "must be a strict subset of `cidr`"),
            Some(_) => {}
        }
    }
}

pub fn ingress(e: &mut Errors, spec: &At<'_>) {
    let (rules, backend) = (spec.get("rules"), spec.get("defaultBackend"));
    if rules.is_empty() && !backend.is_set() {
        let why = "either `defaultBackend` or `rules` must be specified";
        e.invalid_as(spec, "[]networking.IngressRule(nil)", why);
    }
    if backend.is_set() {
        ingress_backend(e, &backend);
    }
    for rule in rules.items() {
        let host = rule.get("host");
        if !host.text().is_empty() {
            if host.text().parse::<IpAddr>().is_ok() {
                e.invalid(&host, "must be a DNS name, not an IP address");
            }
            let check =
                if host.text().contains('*') { name::wildcard_dns1123_subdomain } else { name::dns1123_subdomain };
            e.all_invalid(&host, check(host.text()));
        }
        let http = rule.get("http");
        if http.is_set() && http.get("paths").is_empty() {
            e.required(&http.get("paths"), "");
        }
        for path in http.get("paths").items() {
            ingress_path(e, &path);
        }
    }
    for tls in spec.get("tls").items() {
        for host in tls.get("hosts").items() {
            let check =
                if host.text().contains('*') { name::wildcard_dns1123_subdomain } else { name::dns1123_subdomain };
            e.all_invalid(&host, check(host.text()));
        }
        let secret = tls.get("secretName");
        if !secret.text().is_empty() {
            e.all_invalid(&secret, name::dns1123_subdomain(secret.text()));
        }
    }
    let class = spec.get("ingressClassName");
    if class.is_set() {
        e.all_invalid(&class, name::dns1123_subdomain(class.text()));
    }
}

/// An object of some kind in the same namespace (`validateIngressTypedLocalObjectReference`).
fn object_reference(e: &mut Errors, reference: &At<'_>) {
    let group = reference.get("apiGroup");
    if group.is_set() {
        e.all_invalid(&group, name::dns1123_subdomain(group.text()));
    }
    for field in ["kind", "name"] {
        let at = reference.get(field);
        match at.text() {
            "" => e.required(&at, &format!("{field} is required")),
            text => e.all_invalid(&at, meta::path_segment(text)),
        }
    }
}

pub fn ingress_class(e: &mut Errors, spec: &At<'_>) {
    let (controller, parameters) = (spec.get("controller"), spec.get("parameters"));
    if controller.text().len() > 250 {
        e.too_long(&controller, 250);
    }
    meta::domain_prefixed_path(e, &controller);
    if !parameters.is_set() {
        return;
    }
    object_reference(e, &parameters);
    let (scope, namespace) = (parameters.get("scope"), parameters.get("namespace"));
    match scope.text() {
        _ if !scope.is_set() => e.required(&scope, ""),
        "Namespace" if !namespace.is_set() => e.required(&namespace, "`parameters.scope` is set to 'Namespace'"),
        "Namespace" => e.all_invalid(&namespace, name::dns1123_label(namespace.text())),
        "Cluster" if namespace.is_set() => e.forbidden(&namespace, "`parameters.scope` is set to 'Cluster'"),
        "Cluster" => {}
        _ => e.not_supported(&scope, &["Cluster", "Namespace"]),
    }
}

fn ingress_path(e: &mut Errors, at: &At<'_>) {
    let (type_, path) = (at.get("pathType"), at.get("path"));
    match type_.text() {
        // Nothing more is looked at then.
        "" => return e.required(&type_, "pathType must be specified"),
        "Exact" | "Prefix" => {
            if !path.text().starts_with('/') {
                e.invalid_text(&path, "must be an absolute path");
            }
            if !path.text().is_empty() {
                for sequence in ["//", "/./", "/../", "%2f", "%2F"] {
                    if path.text().contains(sequence) {
                        e.invalid(&path, &format!("must not contain '{sequence}'"));
                    }
                }
                for suffix in ["/..", "/."] {
                    if path.text().ends_with(suffix) {
                        e.invalid(&path, &format!("cannot end with '{suffix}'"));
                    }
                }
            }
        }
        "ImplementationSpecific" => {
            if !path.text().is_empty() && !path.text().starts_with('/') {
                e.invalid(&path, "must be an absolute path");
            }
        }
        _ => e.not_supported(&type_, &["Exact", "ImplementationSpecific", "Prefix"]),
    }
    ingress_backend(e, &at.get("backend"));
}

fn ingress_backend(e: &mut Errors, backend: &At<'_>) {
    let (service, resource) = (backend.get("service"), backend.get("resource"));
    match (service.is_set(), resource.is_set()) {
        (true, true) => e.invalid_as(backend, "\"\"", "cannot set both resource and service backends"),
        (false, false) => e.invalid_as(backend, "\"\"", "resource or service backend is required"),
        (false, true) => object_reference(e, &resource),
        (true, false) => {
            let name = service.get("name");
            match name.text() {
                "" => e.required(&name, ""),
                text => e.all_invalid(&name, name::dns1035_label(text)),
            }
            let port = service.get("port");
            let (number, named) = (port.get("number"), port.get("name"));
            match (number.int().unwrap_or_default() != 0, !named.text().is_empty()) {
                (true, true) => e.invalid_as(backend, "\"\"", "cannot set both port name & port number"),
                (false, false) => e.required(backend, "port name or number is required"),
                (false, true) => e.all_invalid(&named, name::port_name(named.text())),
                (true, false) => pod::port_number(e, &number),
            }
        }
    }
}

pub fn endpoints(e: &mut Errors, root: &At<'_>) {
    for subset in root.get("subsets").items() {
        if subset.get("addresses").is_empty() && subset.get("notReadyAddresses").is_empty() {
            e.required(&subset, "must specify `addresses` or `notReadyAddresses`");
        }
        for address in ["addresses", "notReadyAddresses"].map(|list| subset.get(list).items()).into_iter().flatten() {
            let ip = address.get("ip");
            if ip.text().parse::<IpAddr>().is_err() {
                e.invalid_text(&ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
            }
            let (host, node) = (address.get("hostname"), address.get("nodeName"));
            if !host.text().is_empty() {
                e.all_invalid(&host, name::dns1123_label(host.text()));
            }
            if node.is_set() {
                e.all_invalid(&node, name::dns1123_subdomain(node.text()));
            }
            match ip.text().parse::<IpAddr>() {
                Ok(_) => super::service::special_address(e, &ip),
                Err(_) => e.invalid_text(&ip, "must be a valid IP address"),
            }
        }
        for port in subset.get("ports").items() {
            let name = port.get("name");
            match name.text() {
                "" if subset.get("ports").len() > 1 => e.required(&name, ""),
                "" => {}
                text => e.all_invalid(&name, name::dns1123_label(text)),
            }
            pod::port_number(e, &port.get("port"));
            e.one_of(&port.get("protocol"), &["SCTP", "TCP", "UDP"]);
        }
    }
}

/// An EndpointSlice (`pkg/apis/discovery/validation/validation.go`).
pub fn endpoint_slice(e: &mut Errors, root: &At<'_>) {
    let type_ = root.get("addressType");
    e.one_of(&type_, &["FQDN", "IPv4", "IPv6"]);
    let mut names = Vec::new();
    for port in root.get("ports").items() {
        let (name, protocol) = (port.get("name"), port.get("appProtocol"));
        if !name.text().is_empty() {
            e.all_invalid(&name, name::dns1123_label(name.text()));
        }
        if names.contains(&name.text()) {
            e.duplicate(&name, &quoted(name.text()));
        }
        names.push(name.text());
        e.one_of(&port.get("protocol"), &["SCTP", "TCP", "UDP"]);
        if protocol.is_set() {
            e.all_invalid(&protocol, name::qualified_name(protocol.text()));
        }
    }
    let endpoints = root.get("endpoints");
    if endpoints.len() > 1000 {
        return e.too_many(&endpoints, endpoints.len(), 1000);
    }
    for endpoint in endpoints.items() {
        let addresses = endpoint.get("addresses");
        match addresses.len() {
            0 => e.required(&addresses, "must contain at least 1 address"),
            there if there > 100 => e.too_many(&addresses, there, 100),
            _ => {}
        }
        for address in addresses.items() {
            endpoint_address(e, &address, &addresses, type_.text());
        }
        let (node, host) = (endpoint.get("nodeName"), endpoint.get("hostname"));
        if node.is_set() {
            e.all_invalid(&node, name::dns1123_subdomain(node.text()));
        }
        if host.is_set() {
            e.all_invalid(&host, name::dns1123_label(host.text()));
        }
    }
}

fn endpoint_address(e: &mut Errors, address: &At<'_>, all: &At<'_>, type_: &str) {
    let shown = quoted(address.text());
    match (type_, address.text().parse::<IpAddr>()) {
        ("IPv4" | "IPv6", Err(_)) => {
            e.invalid_text(address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        }
        ("IPv4" | "IPv6", Ok(parsed)) => {
            match (type_, parsed.is_ipv4()) {
                ("IPv4", false) => e.invalid_as(all, &shown, "must be an IPv4 address"),
                ("IPv6", true) => e.invalid_as(all, &shown, "must be an IPv6 address"),
                _ => {}
            }
            super::service::special_address(e, address);
        }
        ("FQDN", _) => {
            let name = address.text().strip_suffix('.').unwrap_or(address.text());
            let problems = name::dns1123_subdomain(name);
            if address.text().is_empty() {
                e.required(address, "");
            } else if !problems.is_empty() {
                e.invalid_as(address, &quoted(name), &problems.join(","));
            } else if !name.contains('.') {
                e.invalid_as(address, &quoted(name), "should be a domain with at least two segments separated by dots");
            }
        }
        _ => {}
    }
}
