//! Fresh scenarios of `network/dns`: a few services that share names and addresses, and questions that nearly fit.

use crate::fresh::{Generator, question, several};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

const DOMAINS: [&str; 3] = ["cluster.local", "k8s.corp.example", "svc"];
/// Some are names of something else, too.
const NAMESPACES: [&str; 4] = ["shop", "default", "svc", "web"];
const SERVICES: [&str; 4] = ["web", "db", "svc", "a"];
const HOSTS: [&str; 4] = ["db-0", "db-1", "web", "10-0-0-1"];
/// Of IPv6 the longest zeros are left out, of equally long ones the first, and one zero is none.
const ADDRESSES: [&str; 11] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.10",
    "10.1.0.0",
    "fd00::1",
    "fd00::",
    "fd00:1:2:3:4:5:6:7",
    "fd00::1:0:0:1",
    "fd00:0:0:1::1",
    "2001:db8::1:0:0:1",
    "fd00:1:0:3:4:5:6:7",
];
const CLUSTER_IPS: [&str; 5] = ["10.96.0.1", "10.96.0.2", "10.0.0.1", "fd00:96::1", "fd00::1"];
const EXTERNAL: [&str; 6] =
    ["api.example.com", "api.example.com.", "web.shop.svc.cluster.local", "203.0.113.7", "2001:db8::7", "db"];
const PORTS: [&str; 4] = ["", "http", "pg", "tcp"];
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
const TYPES: [&str; 8] = ["A", "A", "AAAA", "SRV", "SRV", "CNAME", "HTTPS", "PTR"];

fn port() -> impl Strategy<Value = Value> {
    (select(&PORTS[..]), select(&PROTOCOLS[..]), select(vec![80, 81, 443, 65535])).prop_map(|(name, protocol, port)| {
        let mut value = json!({"protocol": protocol, "port": port});
        if !name.is_empty() {
            value["name"] = name.into();
        }
        value
    })
}

fn kind() -> impl Strategy<Value = Value> {
    let addresses = vec(select(&CLUSTER_IPS[..]), 1..3).prop_map(|mut addresses| {
        addresses.dedup();
        json!({"cluster_ips": addresses})
    });
    prop_oneof![
        3 => addresses,
        4 => Just(json!("headless")),
        1 => select(&EXTERNAL[..]).prop_map(|name| json!({"external_name": name})),
    ]
}

fn service() -> impl Strategy<Value = Value> {
    (0..3_usize, select(&SERVICES[..]), kind(), vec(port(), 0..4), port()).prop_map(
        |(namespace, name, kind, mut ports, one)| {
            // Only services with a cluster IP must have ports.
            if kind.get("cluster_ips").is_some() && ports.is_empty() {
                ports.push(one);
            }
            json!({"namespace": NAMESPACES[namespace], "name": name, "kind": kind, "ports": ports})
        },
    )
}

fn endpoint() -> impl Strategy<Value = Value> {
    let ready = prop_oneof![4 => Just(Some(true)), 2 => Just(Some(false)), 1 => Just(None)];
    let hostname = prop_oneof![3 => Just(None), 2 => select(&HOSTS[..]).prop_map(Some), 1 => Just(Some(""))];
    (vec(select(&ADDRESSES[..]), 1..3), ready, hostname).prop_map(|(addresses, ready, hostname)| {
        let mut value = json!({"addresses": addresses});
        if let Some(ready) = ready {
            value["ready"] = ready.into();
        }
        if let Some(hostname) = hostname {
            value["hostname"] = hostname.into();
        }
        value
    })
}

/// A service with so many endpoints that a weight would be 0, or that their number doesn't fit into a byte.
fn crowd() -> impl Strategy<Value = Value> {
    let count = select(vec![99_usize, 100, 101, 103, 256, 257]);
    (count, select(vec!["A", "SRV"]), port()).prop_map(|(count, kind, port)| {
        let endpoint = |n: usize| json!({"addresses": [format!("10.7.{}.{}", n / 250, n % 250)], "ready": true});
        let endpoints: Vec<Value> = (0..count).map(endpoint).collect();
        let of = json!({"namespace": "shop", "service": "db", "ports": [port], "endpoints": endpoints});
        let service = json!({"namespace": "shop", "name": "db", "kind": "headless", "ports": [port]});
        let cluster = json!({"domain": DOMAINS[0], "namespaces": ["shop"], "services": [service], "slices": [of]});
        let name = format!("db.shop.svc.{}.", DOMAINS[0]);
        question("answer", json!({"question": {"name": name, "type": kind}, "cluster": cluster}))
    })
}

/// A slice of one of the services, or of a service that isn't there.
fn slice() -> impl Strategy<Value = (Index, bool, Value)> {
    (any::<Index>(), 0..12_u8, vec(port(), 0..3), vec(endpoint(), 0..4))
        .prop_map(|(of, stray, ports, endpoints)| (of, stray == 0, json!({"ports": ports, "endpoints": endpoints})))
}

fn cluster() -> impl Strategy<Value = Value> {
    (select(&DOMAINS[..]), vec(service(), 1..5), vec(slice(), 0..5)).prop_map(|(domain, mut services, slices)| {
        let key = |service: &Value| (service["namespace"].to_string(), service["name"].to_string());
        services.sort_by_key(key);
        services.dedup_by_key(|service| key(service));
        // A cluster IP belongs to one service.
        let mut taken: Vec<Value> = Vec::new();
        for service in &mut services {
            if let Some(addresses) = service["kind"].get_mut("cluster_ips").and_then(Value::as_array_mut) {
                addresses.retain(|address| !taken.contains(address));
                taken.extend(addresses.iter().cloned());
                if addresses.is_empty() {
                    service["kind"] = "headless".into();
                }
            }
        }
        let slices: Vec<Value> = slices
            .into_iter()
            .map(|(of, stray, mut slice)| {
                let service = of.get(&services);
                slice["namespace"] = service["namespace"].clone();
                slice["service"] = if stray { "gone".into() } else { service["name"].clone() };
                slice
            })
            .collect();
        json!({"domain": domain, "namespaces": &NAMESPACES[..3], "services": services, "slices": slices})
    })
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

/// All addresses that the cluster speaks of.
fn addresses(cluster: &Value) -> Vec<String> {
    let of = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(String::from).collect()
    };
    let mut all: Vec<String> = Vec::new();
    for service in cluster["services"].as_array().into_iter().flatten() {
        all.extend(of(&service["kind"]["cluster_ips"]));
    }
    for slice in cluster["slices"].as_array().into_iter().flatten() {
        for endpoint in slice["endpoints"].as_array().into_iter().flatten().take(4) {
            all.extend(of(&endpoint["addresses"]));
        }
    }
    all.push("10.99.99.99".into());
    all
}

fn reverse(address: &str, how: u8) -> String {
    if let Ok(address) = address.parse::<std::net::Ipv6Addr>() {
        let digits: Vec<String> = address.octets().iter().map(|octet| format!("{octet:02x}")).collect();
        let mut labels: Vec<String> = digits.concat().chars().rev().map(String::from).collect();
        match how {
            0 => drop(labels.remove(0)),
            1 => labels.push("0".into()),
            _ => {}
        }
        return format!("{}.ip6.arpa.", labels.join("."));
    }
    let mut labels: Vec<&str> = address.rsplit('.').collect();
    match how {
        0 => drop(labels.remove(0)),
        1 => labels.insert(0, "1"),
        2 => labels.reverse(),
        _ => {}
    }
    format!("{}.in-addr.arpa.", labels.join("."))
}

/// A name that some part of the cluster might have.
fn name(cluster: &Value, service: &Index, part: &Index, form: u8, how: u8) -> String {
    let services = cluster["services"].as_array().cloned().unwrap_or_default();
    let service = service.get(&services);
    let (namespace, own) = (text(service, "namespace"), text(service, "name"));
    let domain = text(cluster, "domain");
    let of_service = format!("{own}.{namespace}.svc.{domain}.");
    let slices = cluster["slices"].as_array().cloned().unwrap_or_default();
    let is_mine = |slice: &&Value| slice["namespace"] == service["namespace"] && slice["service"] == service["name"];
    let mine: Vec<&Value> = slices.iter().filter(is_mine).collect();
    match form {
        0..=3 => of_service,
        4..=6 => {
            let endpoints = mine.iter().flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
            let mut hosts: Vec<String> = HOSTS[..2].iter().map(|host| host.to_string()).collect();
            for endpoint in endpoints.take(4) {
                let hostname = text(endpoint, "hostname");
                if !hostname.is_empty() {
                    hosts.push(hostname.into());
                }
                for address in endpoint["addresses"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    let dashed = address.replace(['.', ':'], "-");
                    hosts.push(if dashed.ends_with('-') { format!("{dashed}0") } else { dashed });
                }
            }
            format!("{}.{of_service}", part.get(&hosts))
        }
        7..=9 => {
            let of_slices = mine.iter().flat_map(|slice| slice["ports"].as_array().into_iter().flatten());
            let ports: Vec<&Value> = of_slices.chain(service["ports"].as_array().into_iter().flatten()).collect();
            let nothing = json!({"name": "http", "protocol": "TCP"});
            let port = if ports.is_empty() { &nothing } else { *part.get(&ports) };
            // A name has no empty label.
            let port_name = Some(text(port, "name")).filter(|name| !name.is_empty()).unwrap_or("http");
            let protocol = text(port, "protocol").to_lowercase();
            match how {
                0 => format!("{port_name}.{protocol}.{of_service}"),
                4 => format!("_{port_name}.{protocol}.{of_service}"),
                5 => format!("{port_name}._{protocol}.{of_service}"),
                1 => format!("_{port_name}._udp.{of_service}"),
                2 => format!("_{protocol}._{port_name}.{of_service}"),
                3 => format!("_x._{protocol}.{of_service}"),
                _ => format!("_{port_name}._{protocol}.{of_service}"),
            }
        }
        10 => match how {
            0 => format!("{domain}."),
            1 => format!("svc.{domain}."),
            2 => format!("{}.svc.{domain}.", NAMESPACES[3]),
            3 => format!("x.{domain}."),
            _ => format!("{namespace}.svc.{domain}."),
        },
        11 => match how {
            0 => format!("{own}x.{namespace}.svc.{domain}."),
            1 => format!("{own}.{}.svc.{domain}.", NAMESPACES[3]),
            2 => format!("{own}.{namespace}.{domain}."),
            3 => format!("{namespace}.{own}.svc.{domain}."),
            _ => format!("gone.{namespace}.svc.{domain}."),
        },
        _ => match how {
            0 => format!("a.b.c.{of_service}"),
            1 => format!("*.{of_service}"),
            2 => format!("www.example.com.{namespace}.svc.{domain}."),
            3 => format!("{own}.{namespace}.svc.{domain}.{domain}."),
            _ => format!("www.example.com.svc.{domain}."),
        },
    }
}

/// Questions about a service, its endpoints and its ports, and about addresses; some names are nearly right.
pub fn fresh() -> Generator {
    let drawn = (any::<Index>(), any::<Index>(), 0..16_u8, 0..12_u8, select(&TYPES[..]));
    let one = (cluster(), drawn).prop_map(|(cluster, (service, part, form, how, kind))| {
        let (name, kind) = if form > 12 {
            let address: String = part.get(&addresses(&cluster)).clone();
            (reverse(&address, how), "PTR")
        } else {
            (name(&cluster, &service, &part, form, how), kind)
        };
        question("answer", json!({"question": {"name": name, "type": kind}, "cluster": cluster}))
    });
    several(prop_oneof![60 => one, 1 => crowd()], 6)
}
