//! What the recorded tables leave out; these are played by `cargo grade conformance`.

use super::cache::{Cache, Limits};
use super::names::{reverse_name, reversed_address};
use super::resolver::{Library, Resolver};
use super::size::{Transport, fit};
use super::*;
use kit_api::core::Service;
use kit_api::discovery::EndpointSlice;
use serde_json::{Value, json};

fn service(name: &str, cluster_ip: &str) -> Service {
    let ports = json!([{"name": "pg", "port": 5432, "protocol": "TCP"}]);
    let spec = json!({"type": "ClusterIP", "clusterIP": cluster_ip, "clusterIPs": [cluster_ip], "ports": ports});
    serde_json::from_value(json!({"metadata": {"namespace": "shop", "name": name}, "spec": spec})).expect("a service")
}

fn slice(name: &str, service: &str, addresses: &[String]) -> EndpointSlice {
    let endpoints: Vec<Value> = addresses.iter().map(|address| json!({"addresses": [address]})).collect();
    let metadata = json!({"namespace": "shop", "name": name, "labels": {"kubernetes.io/service-name": service}});
    let ports = json!([{"name": "pg", "port": 5432, "protocol": "TCP"}]);
    let slice = json!({"addressType": "IPv4", "metadata": metadata, "endpoints": endpoints, "ports": ports});
    serde_json::from_value(slice).expect("a slice")
}

fn addresses(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("10.244.{}.{}", n / 250, n % 250)).collect()
}

/// A namespace with the service `web` and the headless service `db`, which has as many endpoints.
fn cluster(endpoints: usize) -> Kubernetes {
    let mut server = Kubernetes::new(Config::default(), solutions::modules().dns.make(&()));
    let namespace = serde_json::from_value(json!({"metadata": {"name": "shop"}})).expect("a namespace");
    server.objects.set_namespace(&namespace);
    server.objects.set_service(&service("web", "10.96.0.20"));
    server.objects.set_service(&service("db", "None"));
    server.objects.set_slice(&slice("db-1", "db", &addresses(endpoints)));
    server
}

fn ask(server: &Kubernetes, name: &str, record_type: RecordType) -> Response {
    // The name exists outside, with one address.
    let outside = || Response {
        rcode: Rcode::NoError,
        answer: vec![ResourceRecord { name: name.into(), ttl: 30, data: RecordData::A([203, 0, 113, 10].into()) }],
        authority: Vec::new(),
        additional: Vec::new(),
    };
    server.answer(name, record_type, &NoUpstream).response.unwrap_or_else(outside)
}

fn resolver(library: Library, more: &[&str]) -> Resolver {
    let search = ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"].iter().chain(more);
    let search: Vec<String> = search.map(|path| path.to_string()).collect();
    Resolver::new(&search, &["ndots:5".to_string()], library)
}

#[test]
fn a_lookup_outside_takes_five_names() {
    let server = cluster(1);
    let walk = resolver(Library::Glibc, &["corp.cluster.local"])
        .walk("api.example.com", |name, record_type| ask(&server, name, record_type));
    let lines = [
        "1. api.example.com.shop.svc.cluster.local. A: NXDOMAIN",
        "2. api.example.com.shop.svc.cluster.local. AAAA: NXDOMAIN",
        "3. api.example.com.svc.cluster.local. A: NXDOMAIN",
        "4. api.example.com.svc.cluster.local. AAAA: NXDOMAIN",
        "5. api.example.com.cluster.local. A: NXDOMAIN",
        "6. api.example.com.cluster.local. AAAA: NXDOMAIN",
        "7. api.example.com.corp.cluster.local. A: NXDOMAIN",
        "8. api.example.com.corp.cluster.local. AAAA: NXDOMAIN",
        "9. api.example.com. A: 1 record",
        "10. api.example.com. AAAA: NODATA",
    ];
    assert_eq!(walk.lines(), lines);
    assert_eq!(walk.found.as_deref(), Some("api.example.com."));
    let with_dot = resolver(Library::Glibc, &[]).walk("api.example.com.", |name, kind| ask(&server, name, kind));
    assert_eq!(with_dot.queries.len(), 2);
}

#[test]
fn musl_gives_up_where_glibc_goes_on() {
    let server = cluster(1);
    // A namespace exists without addresses: `shop` with the path svc.cluster.local.
    let names = |library| {
        let walk = resolver(library, &[]).walk("shop", |name, kind| ask(&server, name, kind));
        (walk.queries.len() / 2, walk.found)
    };
    assert_eq!(names(Library::Musl), (2, None));
    assert_eq!(names(Library::Glibc), (4, Some("shop.".to_string())));
    let long = "_pg._tcp.db.shop.svc.cluster.local";
    assert_eq!(resolver(Library::Musl, &[]).tries(long), [format!("{long}.")]);
    assert_eq!(resolver(Library::Glibc, &[]).tries(long).len(), 4);
}

#[test]
fn objects_that_are_gone_are_not_answered() {
    let mut server = cluster(2);
    let rcode = |server: &Kubernetes, name: &str, kind| ask(server, name, kind).rcode;
    assert_eq!(ask(&server, "db.shop.svc.cluster.local.", RecordType::A).answer.len(), 2);
    server.objects.set_slice(&slice("db-1", "db", &addresses(1)));
    assert_eq!(ask(&server, "db.shop.svc.cluster.local.", RecordType::A).answer.len(), 1);
    assert_eq!(rcode(&server, "2.0.244.10.in-addr.arpa.", RecordType::PTR), Rcode::NxDomain);
    server.objects.remove_slice("shop", "db-1");
    assert_eq!(rcode(&server, "db.shop.svc.cluster.local.", RecordType::A), Rcode::NxDomain);
    assert_eq!(rcode(&server, "1.0.244.10.in-addr.arpa.", RecordType::PTR), Rcode::NxDomain);
    server.objects.set_service(&service("web", "10.96.0.21"));
    assert_eq!(rcode(&server, "20.0.96.10.in-addr.arpa.", RecordType::PTR), Rcode::NxDomain);
    assert_eq!(rcode(&server, "21.0.96.10.in-addr.arpa.", RecordType::PTR), Rcode::NoError);
    server.objects.remove_service("shop", "web");
    assert_eq!(rcode(&server, "21.0.96.10.in-addr.arpa.", RecordType::PTR), Rcode::NxDomain);
    server.objects.remove_namespace("shop");
    assert_eq!(rcode(&server, "shop.svc.cluster.local.", RecordType::A), Rcode::NxDomain);
}

#[test]
fn an_answer_says_why() {
    let server = cluster(2);
    let why = |name: &str, kind| server.answer(name, kind, &NoUpstream).why.join("; ");
    assert_eq!(
        why("db.shop.svc.cluster.local.", RecordType::AAAA),
        "the zone is cluster.local.; the service shop/db is headless: 2 of 2 addresses of its endpoints are ready; \
         the name exists, without AAAA records: NODATA"
    );
    assert_eq!(
        why("wbe.shop.svc.cluster.local.", RecordType::A),
        "the zone is cluster.local.; there is no service shop/wbe: NXDOMAIN"
    );
}

#[test]
fn answers_are_cut_to_what_udp_holds() {
    let name = "db.shop.svc.cluster.local.";
    // The header has 12 bytes, the question 31, and each record 16, its name being a pointer: 29 of them fit into 512.
    for (count, edns, tcp, kept) in
        [(29, None, false, 29), (30, None, false, 29), (100, Some(1232), false, 73), (100, None, true, 100)]
    {
        let mut response = ask(&cluster(count), name, RecordType::A);
        let truncated = fit(name, &mut response, Transport { tcp, edns });
        assert_eq!((response.answer.len(), truncated), (kept, kept < count), "{count} records");
    }
    // Additional records go first.
    let mut response = ask(&cluster(8), name, RecordType::SRV);
    assert!(fit(name, &mut response, Transport { tcp: false, edns: Some(100) }));
    assert!(!response.answer.is_empty() && response.additional.is_empty());
}

#[test]
fn hostile_names_are_just_names() {
    let server = cluster(1);
    let long = "a.".repeat(200) + "cluster.local.";
    let names = ["", ".", "..", "...svc.cluster.local.", "\\.svc.cluster.local.", "é.shop.svc.cluster.local.", &long]
        .into_iter()
        .chain(["ns.dns.", "_._.db.shop.svc.cluster.local.", "-.shop.pod.cluster.local.", "éé.local.", "f.ip6.arpa."]);
    for name in names {
        for number in 0..260 {
            server.answer(name, RecordType(number), &NoUpstream);
        }
    }
}

#[test]
fn addresses_are_read_backwards() {
    for address in ["10.96.0.20", "fd00:10:96::14", "::1"] {
        let address = address.parse().expect("an address");
        assert_eq!(reversed_address(&reverse_name(address)), Some(address));
    }
    for name in ["96.10.in-addr.arpa.", "x.ip6.arpa.", "256.0.0.1.in-addr.arpa.", "cluster.local."] {
        assert_eq!(reversed_address(name), None, "{name}");
    }
}

#[test]
fn a_no_is_forgotten_before_a_yes() {
    let (server, mut cache) = (cluster(1), Cache::new(Limits { capacity: 2, success: 30, denial: 3 }));
    let (web, wbe) = ("web.shop.svc.cluster.local.", "wbe.shop.svc.cluster.local.");
    for name in [web, wbe] {
        cache.put(name, RecordType::A, ask(&server, name, RecordType::A), 100);
    }
    let ttl =
        |cache: &Cache, now| cache.get("WEB.shop.svc.cluster.local.", RecordType::A, now).map(|r| r.answer[0].clone());
    let record = ttl(&cache, 104).expect("it holds for 5 s, as its TTL says");
    assert_eq!(record.to_string(), "WEB.shop.svc.cluster.local. 1 IN A 10.96.0.20");
    assert_eq!(ttl(&cache, 105), None);
    assert_eq!(cache.get(web, RecordType::AAAA, 100), None);
    let no = cache.get(wbe, RecordType::A, 102).expect("it holds for 3 s, as the cache says");
    assert_eq!((no.rcode, no.authority[0].ttl), (Rcode::NxDomain, 1));
    assert_eq!(cache.get(wbe, RecordType::A, 103), None);
    // A third answer takes the place of the first.
    for (number, name) in [web, "db.shop.svc.cluster.local.", "1.0.244.10.in-addr.arpa."].into_iter().enumerate() {
        let kind = if number == 2 { RecordType::PTR } else { RecordType::A };
        cache.put(name, kind, ask(&server, name, kind), 200 + number as u64);
    }
    assert_eq!(cache.get(web, RecordType::A, 202), None);
    assert!(cache.get("db.shop.svc.cluster.local.", RecordType::A, 202).is_some());
}
