//! The proxy from objects to rules, and the rules by what they do. What it writes for hundreds of services is held against
//! recordings of Kubernetes in `cargo grade conformance`; here is what those don't show.

use kit_contract::network::{IptablesTable, ServiceProtocol};
use kit_network::ipam::cidr::Cidr;
use kit_network::proxy::Family;
use kit_network::proxy::conntrack::Flow;
use kit_network::proxy::iptables::{Config, LocalDetector, Proxier, Sync, jumps};
use kit_network::proxy::ruleset::{Fraction, Ruleset};
use kit_network::proxy::walk::{Connection, Host, Packet, Verdict, Walk, outcomes, walk};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address with a port")
}

fn config() -> Config {
    let mut config = Config::new("node-1", Family::V4);
    config.pods = LocalDetector::Range("10.244.0.0/16".parse::<Cidr>().expect("a range"));
    config.node_ip = Some(ip("192.168.0.2"));
    config
}

/// A proxy, and the host whose rules it writes.
struct Stage {
    proxier: Proxier,
    rules: Ruleset,
    host: Host,
    now: i64,
}

impl Stage {
    fn new(config: Config) -> Self {
        let mut rules = Ruleset::default();
        rules.restore(&jumps()).expect("the jumps are good");
        let host = Host { addresses: vec![ip("192.168.0.2")], ..Host::default() };
        Stage { proxier: Proxier::new(config, solutions::modules().kube_proxy.make(&())), rules, host, now: 0 }
    }

    fn service(&mut self, name: &str, spec: Value) -> bool {
        let service = json!({"metadata": {"namespace": "shop", "name": name}, "spec": spec});
        self.proxier.set_service(&serde_json::from_value(service).expect("a service"))
    }

    fn endpoints(&mut self, service: &str, endpoints: &[&str]) -> bool {
        let endpoints: Vec<Value> = endpoints.iter().map(|text| endpoint(text)).collect();
        let slice = json!({
            "metadata": {"namespace": "shop", "name": format!("{service}-1"), "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"name": "", "port": 8080, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}],
        });
        self.proxier.set_slice(&serde_json::from_value(slice).expect("a slice"))
    }

    /// Syncs, and loads what comes.
    fn sync(&mut self) -> Sync {
        let existing: Vec<String> = self.rules.chains(IptablesTable::Nat).cloned().collect();
        let sync = self.proxier.sync(self.now, &existing);
        self.rules.restore(&sync.restore).expect("iptables takes it");
        sync
    }

    fn first(&self, from: &str, to: &str) -> Walk {
        self.send(&packet(from, to), Connection::New)
    }

    fn send(&self, packet: &Packet, connection: Connection) -> Walk {
        walk(&self.rules, &mut self.host.clone(), packet, connection, &mut |_| true)
    }

    /// Everywhere that a packet may end, as text.
    fn ends(&self, from: &str, to: &str) -> Vec<String> {
        let all = outcomes(&self.rules, &self.host, &packet(from, to)).expect("few ways");
        let mut all: Vec<String> = all.iter().map(|o| format!("{} {}", o.chance, o.walk.destination)).collect();
        all.sort();
        all
    }
}

fn packet(from: &str, to: &str) -> Packet {
    Packet { protocol: ServiceProtocol::Tcp, source: ip(from), destination: socket(to), interface: None }
}

/// `10.244.1.5@node-1 not-ready serving`: an address, its node, and what differs from an endpoint that is ready.
fn endpoint(text: &str) -> Value {
    let mut words = text.split(' ');
    let (address, node) = words.next().and_then(|first| first.split_once('@')).expect("address@node");
    let mut conditions = json!({"ready": true, "serving": true, "terminating": false});
    for word in words {
        match word.strip_prefix("not-") {
            Some(field) => conditions[field] = false.into(),
            None => conditions[word] = true.into(),
        }
    }
    json!({"addresses": [address], "nodeName": node, "conditions": conditions})
}

fn cluster_ip(ip: &str) -> Value {
    json!({"clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"], "ports": [{"port": 80, "protocol": "TCP"}]})
}

fn chains_of(sync: &Sync, prefix: &str) -> usize {
    sync.restore.lines().filter(|line| line.starts_with(&format!(":{prefix}"))).count()
}

#[test]
fn a_later_sync_writes_only_what_was_changed_and_deletes_what_is_left_over() {
    let mut stage = Stage::new(config());
    for (name, address, endpoints) in [
        ("web", "10.96.0.1", ["10.244.0.1@node-1", "10.244.1.1@node-2"]),
        ("api", "10.96.0.2", ["10.244.0.2@node-1", "10.244.1.2@node-2"]),
    ] {
        assert!(stage.service(name, cluster_ip(address)));
        assert!(!stage.service(name, cluster_ip(address)), "nothing new");
        assert!(stage.endpoints(name, &endpoints));
        assert!(!stage.endpoints(name, &endpoints), "nothing new");
    }
    let sync = stage.sync();
    assert!(sync.is_full);
    assert_eq!((chains_of(&sync, "KUBE-SVC-"), chains_of(&sync, "KUBE-SEP-")), (2, 4));
    assert_eq!(stage.ends("10.244.9.9", "10.96.0.1:80"), ["1/2 10.244.0.1:8080", "1/2 10.244.1.1:8080"]);

    // One endpoint is replaced: only its service is written, and the chain of the old one goes.
    stage.endpoints("web", &["10.244.0.1@node-1", "10.244.1.9@node-2"]);
    let sync = stage.sync();
    assert!(!sync.is_full);
    assert_eq!(chains_of(&sync, "KUBE-SVC-"), 1);
    assert_eq!(sync.deleted.len(), 1);
    assert!(sync.restore.contains("shop/api cluster IP"), "shared chains are emptied by being named");
    assert_eq!(stage.ends("10.244.9.9", "10.96.0.1:80"), ["1/2 10.244.0.1:8080", "1/2 10.244.1.9:8080"]);
    assert_eq!(stage.ends("10.244.9.9", "10.96.0.2:80"), ["1/2 10.244.0.2:8080", "1/2 10.244.1.2:8080"]);

    // Nothing happens: nothing but the shared chains.
    let sync = stage.sync();
    assert_eq!((chains_of(&sync, "KUBE-SVC-"), sync.deleted.len()), (0, 0));

    // All endpoints are gone: the chains are, too.
    stage.endpoints("web", &[]);
    assert_eq!(stage.sync().deleted.len(), 3);
    assert_eq!(stage.first("10.244.9.9", "10.96.0.1:80").verdict, Verdict::Rejected);

    // After a failure, after an hour, and when the node's zone changes, everything is written.
    for (what, change) in [
        ("failure", (|stage: &mut Stage| stage.proxier.failed()) as fn(&mut Stage)),
        ("an hour", |stage| stage.now += 3_600_001),
        ("the zone", |stage| stage.proxier.set_zone("zone-a")),
    ] {
        assert!(!stage.sync().is_full, "before {what}");
        change(&mut stage);
        assert!(stage.sync().is_full, "{what}");
    }

    let service = json!({"metadata": {"namespace": "shop", "name": "api"}});
    assert!(stage.proxier.remove_service(&serde_json::from_value(service).expect("a service")));
    stage.sync();
    assert_eq!(stage.rules.chains(IptablesTable::Nat).filter(|chain| chain.starts_with("KUBE-S")).count(), 1);
}

#[test]
fn large_clusters_spare_comments_on_endpoints_and_clean_up_now_and_then() {
    let mut stage = Stage::new(config());
    stage.service("web", cluster_ip("10.96.0.1"));
    let many =
        |count: usize| (0..count).map(|at| format!("10.244.{}.{}@node-2", at / 250, at % 250)).collect::<Vec<_>>();
    let set = |stage: &mut Stage, count| {
        let all = many(count);
        stage.endpoints("web", &all.iter().map(String::as_str).collect::<Vec<_>>());
    };
    set(&mut stage, 1000);
    assert!(stage.sync().restore.contains("\"shop/web -> 10.244.0.1:8080\""));
    set(&mut stage, 1002);
    let sync = stage.sync();
    assert!(!sync.restore.contains(" -> "));
    assert!(sync.restore.contains("\"shop/web cluster IP\""));
    set(&mut stage, 1001);
    stage.now += 30_000;
    assert!(stage.sync().deleted.is_empty(), "too early");
    stage.now += 1;
    assert_eq!(stage.sync().deleted.len(), 1);
}

#[test]
fn only_the_first_packet_is_translated_by_rules() {
    let mut stage = Stage::new(config());
    stage.service("web", cluster_ip("10.96.0.1"));
    stage.endpoints("web", &["10.244.0.1@node-1"]);
    stage.sync();
    let packet = packet("10.244.9.9", "10.96.0.1:80");
    let to = socket("10.244.7.7:8080");
    let later = stage.send(&packet, Connection::Established(to));
    assert_eq!((later.destination, later.verdict), (to, Verdict::Accepted), "it goes where the first one went");
    assert_eq!(stage.send(&packet, Connection::Invalid).verdict, Verdict::Dropped);
}

#[test]
fn local_addresses_are_guarded() {
    let cases = [
        // A packet from the wire that claims to be for 127.0.0.1.
        (true, "192.168.0.9", "127.0.0.1:9999", Verdict::Dropped),
        // A node port there is fine for the node itself.
        (true, "127.0.0.1", "127.0.0.1:30080", Verdict::Passes),
        (false, "127.0.0.1", "127.0.0.1:30080", Verdict::Passes),
    ];
    for (localhost, from, to, verdict) in cases {
        let mut stage = Stage::new(Config { localhost_node_ports: localhost, ..config() });
        let mut spec = cluster_ip("10.96.0.1");
        spec["type"] = "NodePort".into();
        spec["ports"][0]["nodePort"] = 30080.into();
        stage.service("web", spec);
        stage.endpoints("web", &["10.244.0.1@node-1"]);
        stage.sync();
        let walk = stage.first(from, to);
        assert_eq!(walk.verdict, verdict, "{from} {to}");
        assert_eq!(walk.is_translated, localhost && to.ends_with("30080"), "{from} {to} {localhost}");
    }
}

#[test]
fn settings_show_in_the_rules() {
    let mut node_port = cluster_ip("10.96.0.1");
    node_port["type"] = "NodePort".into();
    node_port["externalTrafficPolicy"] = "Local".into();
    node_port["ports"][0]["nodePort"] = 30080.into();
    /// What is set, how, and a text that is in the rules then, or isn't.
    type Case = (&'static str, fn(&mut Config), &'static str, bool);
    let cases: [Case; 9] = [
        ("bridge", |c| c.pods = LocalDetector::Interface("cbr0".into()), "! -i cbr0 -j KUBE-MARK-MASQ", true),
        ("prefix", |c| c.pods = LocalDetector::InterfacePrefix("cali".into()), " -i cali+ -j KUBE-SVC-", true),
        ("none", |c| c.pods = LocalDetector::None, "pod traffic for", false),
        ("fully", |c| c.random_fully = true, "-j MASQUERADE --random-fully", true),
        ("bit", |c| c.masquerade_mark = 1 << 15, "--or-mark 0x8000", true),
        ("liberal", |c| c.tcp_be_liberal = true, "INVALID", false),
        ("counters", |c| c.counters = false, "nfacct", false),
        (
            "addresses",
            |c| c.node_port_addresses = Some(vec![ip("192.168.0.2")]),
            "-d 192.168.0.2 -j KUBE-NODEPORTS",
            true,
        ),
        (
            "addresses",
            |c| c.node_port_addresses = Some(vec![ip("192.168.0.2")]),
            "--dst-type LOCAL -j KUBE-NODEPORTS",
            false,
        ),
    ];
    for (what, change, text, is_there) in cases {
        let mut config = config();
        change(&mut config);
        let mut stage = Stage::new(config);
        stage.service("web", node_port.clone());
        stage.endpoints("web", &["10.244.0.1@node-1"]);
        let sync = stage.sync();
        assert_eq!(sync.restore.contains(text), is_there, "{what}: {}", sync.restore);
    }
}

#[test]
fn the_balancers_own_address_may_come_in_where_the_node_may() {
    for (range, is_in) in [("192.168.0.0/24", true), ("203.0.113.0/24", false)] {
        let mut stage = Stage::new(config());
        let mut spec = cluster_ip("10.96.0.1");
        spec["type"] = "LoadBalancer".into();
        spec["loadBalancerSourceRanges"] = json!([range]);
        let service = json!({
            "metadata": {"namespace": "shop", "name": "web"}, "spec": spec,
            "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.1"}]}},
        });
        stage.proxier.set_service(&serde_json::from_value(service).expect("a service"));
        stage.endpoints("web", &["10.244.0.1@node-1"]);
        stage.sync();
        let walk = stage.first("198.51.100.1", "198.51.100.1:80");
        assert_eq!(walk.is_translated, is_in, "{range}");
        assert_eq!(walk.verdict == Verdict::Dropped, !is_in, "{range}");
    }
}

#[test]
fn services_without_an_address_have_no_rules() {
    let cases = [
        ("headless", json!({"clusterIP": "None", "ports": [{"port": 80}]}), json!({})),
        (
            "external name",
            json!({"type": "ExternalName", "externalName": "example.org", "clusterIP": "10.96.0.1", "ports": [{"port": 80}]}),
            json!({}),
        ),
        ("not yet", json!({"ports": [{"port": 80}]}), json!({})),
        (
            "the other family",
            json!({"clusterIP": "fd00::1", "clusterIPs": ["fd00::1"], "ipFamilies": ["IPv6"], "ports": [{"port": 80}]}),
            json!({}),
        ),
        ("another proxy's", cluster_ip("10.96.0.1"), json!({"service.kubernetes.io/service-proxy-name": "other"})),
    ];
    for (what, spec, labels) in cases {
        let mut stage = Stage::new(config());
        let service = json!({"metadata": {"namespace": "shop", "name": "web", "labels": labels}, "spec": spec});
        assert!(!stage.proxier.set_service(&serde_json::from_value(service).expect("a service")), "{what}");
        assert!(!stage.sync().restore.contains("shop/web"), "{what}");
    }
}

#[test]
fn an_endpoint_that_moves_from_slice_to_slice_is_there_once() {
    let mut stage = Stage::new(config());
    stage.service("web", cluster_ip("10.96.0.1"));
    stage.endpoints("web", &["10.244.0.1@node-1"]);
    let slice = json!({
        "metadata": {"namespace": "shop", "name": "web-2", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "endpoints": [endpoint("10.244.0.1@node-1"), endpoint("10.244.1.1@node-2")],
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    });
    let slice = serde_json::from_value(slice).expect("a slice");
    assert!(stage.proxier.set_slice(&slice));
    stage.sync();
    assert_eq!(stage.ends("10.244.9.9", "10.96.0.1:80"), ["1/2 10.244.0.1:8080", "1/2 10.244.1.1:8080"]);
    assert!(stage.proxier.remove_slice(&slice));
    assert!(!stage.proxier.remove_slice(&slice));
    stage.sync();
    assert_eq!(stage.ends("10.244.9.9", "10.96.0.1:80"), ["1/1 10.244.0.1:8080"]);
}

#[test]
fn udp_flows_to_nobody_are_forgotten() {
    let mut stage = Stage::new(config());
    let mut spec = cluster_ip("10.96.0.10");
    spec["type"] = "NodePort".into();
    spec["ports"] =
        json!([{"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053}, {"port": 80, "protocol": "TCP"}]);
    stage.service("dns", spec);
    stage.endpoints(
        "dns",
        &["10.244.0.1@node-1", "10.244.1.1@node-2 not-ready terminating", "10.244.2.1@node-2 not-ready not-serving"],
    );
    assert!(stage.sync().cleans_flows);
    assert!(!stage.sync().cleans_flows, "nothing was changed");
    let flow = |protocol, to: &str, from: &str| {
        let to = socket(to);
        Flow { protocol, source: ip("10.244.9.9"), destination: to.ip(), port: to.port(), replies_from: ip(from) }
    };
    let (udp, tcp) = (ServiceProtocol::Udp, ServiceProtocol::Tcp);
    let cases = [
        ("still ready", flow(udp, "10.96.0.10:53", "10.244.0.1"), false),
        ("ends, but serves", flow(udp, "10.96.0.10:53", "10.244.1.1"), false),
        ("does not serve", flow(udp, "10.96.0.10:53", "10.244.2.1"), true),
        ("is gone", flow(udp, "10.96.0.10:53", "10.244.7.7"), true),
        ("was never translated", flow(udp, "10.96.0.10:53", "10.96.0.10"), true),
        ("a node port", flow(udp, "192.168.0.2:30053", "10.244.7.7"), true),
        ("TCP breaks by itself", flow(tcp, "10.96.0.10:80", "10.244.7.7"), false),
        ("nobody's", flow(udp, "10.96.0.99:53", "10.244.7.7"), false),
    ];
    for (what, flow, is_stale) in cases {
        assert_eq!(stage.proxier.stale_flows(&[flow]), if is_stale { vec![flow] } else { vec![] }, "{what}");
    }
}

#[test]
fn health_checks_count_ready_endpoints_of_the_node() {
    let mut stage = Stage::new(config());
    let mut spec = cluster_ip("10.96.0.1");
    spec["type"] = "LoadBalancer".into();
    spec["externalTrafficPolicy"] = "Local".into();
    spec["healthCheckNodePort"] = 32000.into();
    stage.service("web", spec);
    for (endpoints, count) in [
        (vec!["10.244.0.1@node-1", "10.244.0.2@node-1", "10.244.1.1@node-2"], 2),
        (vec!["10.244.0.1@node-1 not-ready terminating", "10.244.1.1@node-2"], 0),
    ] {
        stage.endpoints("web", &endpoints);
        stage.sync();
        let checks = stage.proxier.health_checks();
        assert_eq!(checks.get(&32000), Some(&(("shop".to_string(), "web".to_string()), count)));
    }
}

#[test]
fn what_iptables_would_refuse_is_refused() {
    let cases = [
        ("*nat\n-A KUBE-NO -j RETURN\nCOMMIT\n", "there is no chain KUBE-NO"),
        ("*nat\n:A -\n-A A -j B\nCOMMIT\n", "a rule jumps to B, which is no chain"),
        ("*nat\n:A -\n:B -\n-A A -j B\n-A B -j A\nCOMMIT\n", "leads back to itself"),
        ("*nat\n:A -\n-A A -j DROP\nCOMMIT\n", "DROP has no place in this table"),
        ("*filter\n:A -\n-A A -p tcp -j DNAT --to-destination 10.0.0.1:80\nCOMMIT\n", "DNAT has no place in filter"),
        ("*nat\n:A -\n-A A --dport 80 -j RETURN\nCOMMIT\n", "--dport needs a protocol"),
        ("*nat\n:KUBE-SVC-AAAAAAAAAAAAAAAAAAAAAAAA -\nCOMMIT\n", "1 to 28 characters"),
        ("*nat\n:A -\n-A A -j RETURN\n-X A\nCOMMIT\n", "A still has rules"),
        ("*nat\n-X OUTPUT\nCOMMIT\n", "OUTPUT can't be deleted"),
        ("*nat\n:A -\n-A A -m comment --comment \"open\nCOMMIT\n", "a quote is not closed"),
        ("*nat\n:A -\n", "not committed"),
        (":A -\n", "no table is open"),
    ];
    for (text, why) in cases {
        let mut rules = Ruleset::default();
        let error = rules.restore(text).expect_err(why);
        assert!(error.contains(why), "{text}: {error}");
        assert_eq!(rules.chain(IptablesTable::Nat, "A"), None, "nothing of it is loaded");
    }
}

#[test]
fn fractions_are_exact() {
    let third = Fraction::new(1, 3);
    assert_eq!(third.rest().and(Fraction::new(1, 2)), Some(third));
    assert_eq!(third.or(Fraction::new(2, 3)), Some(Fraction::ONE));
    assert_eq!(Fraction::new(u128::MAX - 1, u128::MAX).and(Fraction::new(u128::MAX - 2, u128::MAX)), None);
}
