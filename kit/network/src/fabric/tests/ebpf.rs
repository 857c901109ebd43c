//! The same Services by iptables and kube-proxy, and by Calico's programs.

use super::*;
use crate::fabric::{Dataplane, ExternalServiceMode};
use std::net::{IpAddr, SocketAddr};

const CLIENT: IpAddr = IpAddr::V4(crate::datapath::cluster::CLIENT_ADDRESS);

fn iptables() -> Shape {
    Shape { plugin: Plugin::Calico, ..Shape::default() }
}

fn ebpf(external_service_mode: ExternalServiceMode) -> Shape {
    Shape { dataplane: Dataplane::Bpf, external_service_mode, ..iptables() }
}

fn node_port(policy: &str) -> Value {
    json!({"type": "NodePort", "externalTrafficPolicy": policy,
        "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30080}]})
}

impl Bench {
    /// Opens a connection: the pod that answers, what it takes the sender for, and the way of packets.
    fn connect(&self, from: &str, to: &str) -> (Option<String>, Option<IpAddr>, String) {
        let to: SocketAddr = to.parse().expect("an address with a port");
        let attempt = self.fabric.borrow_mut().connect_from(from, crate::datapath::packet::Protocol::Tcp, to);
        let reached = attempt.end.as_ref().ok();
        let pod = reached.and_then(|reached| reached.pod.clone()).map(|(_, pod)| pod);
        (pod, reached.map(|reached| reached.from.ip()), attempt.trace.join("\n"))
    }

    fn address_of(&self, pod: &str) -> IpAddr {
        self.fabric.borrow().cluster.address(pod).expect("an address")
    }
}

/// Twelve connections of the client to a node's port: who answers, and what they take the client for.
fn twelve(bench: &Bench, to: &str) -> (Vec<String>, Vec<IpAddr>) {
    let all: Vec<_> = (0..12).map(|_| bench.connect("client", to)).collect();
    let mut pods: Vec<String> = all.iter().filter_map(|(pod, ..)| pod.clone()).collect();
    let mut sources: Vec<IpAddr> = all.iter().filter_map(|(_, source, _)| *source).collect();
    pods.sort();
    pods.dedup();
    sources.sort();
    sources.dedup();
    (pods, sources)
}

#[test]
fn programs_keep_the_address_of_a_client() {
    let dsr = ExternalServiceMode::Dsr;
    let tunnel = ExternalServiceMode::Tunnel;
    // web-1 runs on node-1, web-2 on node-2, and nothing on node-3.
    for (shape, policy, at, pods, keeps) in [
        (iptables(), "Cluster", 3, &["web-1", "web-2"][..], false),
        (ebpf(tunnel), "Cluster", 3, &["web-1", "web-2"], true),
        (ebpf(dsr), "Cluster", 3, &["web-1", "web-2"], true),
        (iptables(), "Cluster", 1, &["web-1", "web-2"], false),
        (ebpf(tunnel), "Cluster", 1, &["web-1", "web-2"], true),
        (ebpf(dsr), "Cluster", 1, &["web-1", "web-2"], true),
        (iptables(), "Local", 1, &["web-1"], true),
        (ebpf(tunnel), "Local", 1, &["web-1"], true),
        (iptables(), "Local", 3, &[], true),
        (ebpf(tunnel), "Local", 3, &[], true),
    ] {
        let bench = shop_on(&shape, &modules(), node_port(policy));
        let (answering, seen) = twelve(&bench, &format!("192.168.0.{at}:30080"));
        let shown = format!("{shape:?} {policy} node-{at}: {answering:?} {seen:?}");
        assert_eq!(answering, pods, "{shown}");
        let fabric = bench.fabric.borrow();
        let node = &fabric.cluster.world.namespaces[&format!("node-{at}")];
        // One that doesn't keep the client's shows its own: that of the interface which leads to the pod.
        assert!(seen.iter().all(|source| if keeps { *source == CLIENT } else { node.owns(*source) }), "{shown}");
    }
}

#[test]
fn what_a_node_passes_on_comes_back_through_it_or_directly() {
    for (mode, through_node_3) in [(ExternalServiceMode::Tunnel, true), (ExternalServiceMode::Dsr, false)] {
        let bench = shop_on(&ebpf(mode), &modules(), node_port("Cluster"));
        let (pod, _, way) = bench.connect("client", "192.168.0.3:30080");
        let node = if pod.as_deref() == Some("web-1") { "node-1" } else { "node-2" };
        let walks: Vec<&str> = way.split("\n\n").collect();
        let [there, back, ..] = walks[..] else { panic!("{way}") };
        for line in [
            "cali_v4_nat_fe TCP 192.168.0.3:30080: id ",
            "cali_v4_nat_be ",
            "cali_v4_routes 10.244.",
            "remote workload, next hop 192.168.0.",
            "vxlan (VNI 13242816, 192.168.0.3",
            "cali_v4_nat_fe TCP 255.255.255.255:30080: id ",
            "local workload, cali",
        ] {
            assert!(there.contains(line), "{line}\n{way}");
        }
        assert!(there.lines().any(|line| line.trim_start().starts_with(node) && line.contains("DNAT")), "{way}");
        let is_at = |node: &str| back.lines().any(|line| line.trim_start().starts_with(node));
        assert_eq!(is_at("node-3"), through_node_3, "{mode:?}\n{way}");
        assert!(back.contains("TCP 192.168.0.3:30080 → 203.0.113.9"), "{way}");
    }
}

#[test]
fn load_balancers_and_source_ranges() {
    let spec = json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["203.0.113.0/28"],
        "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30080}]});
    let mut bench = shop_on(&ebpf(ExternalServiceMode::Tunnel), &modules(), spec);
    bench.patch(
        Kind::Service,
        "shop/web",
        json!({"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.80"}]}}}),
        true,
    );
    // The router outside sends the balancer's address to a node.
    let to = crate::datapath::world::To::Gateway { via: [192, 168, 0, 3].into(), device: "eth1".into(), onlink: true };
    let route = crate::datapath::world::Route::new("198.51.100.80/32".parse().expect("a network"), to);
    bench.fabric.borrow_mut().cluster.world.namespaces.get_mut("router").expect("it is there").routes.push(route);
    bench.run(2);
    assert_eq!(twelve(&bench, "198.51.100.80:80"), (vec!["web-1".into(), "web-2".into()], vec![CLIENT]));
    bench.patch(Kind::Service, "shop/web", json!({"spec": {"loadBalancerSourceRanges": ["192.0.2.0/24"]}}), false);
    bench.run(2);
    let (pod, _, way) = bench.connect("client", "198.51.100.80:80");
    assert!(pod.is_none() && way.contains("203.0.113.9 is in none of the source ranges"), "{way}");
    // Node ports don't mind.
    assert_eq!(twelve(&bench, "192.168.0.3:30080").1, [CLIENT]);
}

#[test]
fn sockets_of_pods_and_nodes_connect_to_endpoints() {
    let bench = shop_on(&ebpf(ExternalServiceMode::Tunnel), &modules(), node_port("Cluster"));
    for (from, to) in [
        ("pod/shop/asks", "web.shop:80"),
        ("pod/shop/web-1", "web:80"),
        ("node-3", "service/shop/web:80"),
        ("node-3", "node-3:30080"),
        ("pod/shop/asks", "node-2:30080"),
    ] {
        bench.assert(from, to, true, "web-1, web-2 answers");
    }
    let way = bench.way("pod/shop/asks", "service/shop/web:80");
    assert!(way.contains("connect4") && !way.contains("KUBE-"), "{way}");
    // Questions for names are UDP, and are looked up when they come out of the pod.
    let question = bench.fabric.borrow_mut().question_to_server("shop/asks").join("\n");
    assert!(question.contains("cali_v4_nat_fe UDP 10.96.0.10:53"), "{question}");
}

#[test]
fn without_backends_a_sender_is_told() {
    let mut bench = shop_on(&ebpf(ExternalServiceMode::Tunnel), &modules(), node_port("Cluster"));
    bench.stop("shop/web-1");
    bench.run(5);
    bench.assert("pod/shop/asks", "service/shop/web:80", true, "web-2 answers");
    bench.stop("shop/web-2");
    bench.run(5);
    for from in ["pod/shop/asks", "node-1", "client"] {
        let to = if from == "client" { "node-1:30080" } else { "service/shop/web:80" };
        bench.assert(from, to, false, "refused");
    }
}

#[test]
fn a_client_with_affinity_keeps_its_backend() {
    let mut spec = node_port("Cluster");
    spec["sessionAffinity"] = json!("ClientIP");
    let mut bench = shop_on(&ebpf(ExternalServiceMode::Tunnel), &modules(), spec);
    let answering = |bench: &Bench| bench.connect("shop/asks", &service(bench)).0;
    let first = answering(&bench).expect("a pod");
    for _ in 0..10 {
        assert_eq!(answering(&bench).as_ref(), Some(&first));
    }
    bench.stop(&format!("shop/{first}"));
    bench.run(5);
    assert!(answering(&bench).is_some_and(|other| other != first));
}

fn service(bench: &Bench) -> String {
    let address = bench.fabric.borrow().names.addresses_of("shop", "web").expect("addresses")[0];
    format!("{address}:80")
}

#[test]
fn policies_see_the_client_behind_a_node_port() {
    for (shape, admitted) in [(iptables(), false), (ebpf(ExternalServiceMode::Tunnel), true)] {
        let mut bench = shop_on(&shape, &modules(), node_port("Cluster"));
        let mut policy = deny(None);
        policy["spec"]["ingress"] = json!([{"from": [{"ipBlock": {"cidr": format!("{CLIENT}/32")}}]}]);
        bench.create(policy);
        bench.run(1);
        let remote = bench.address_of("shop/web-2");
        // Only what goes on to node-2 counts: a node always reaches its own pods.
        let tried = (0..12).map(|_| bench.connect("client", "192.168.0.1:30080"));
        let to_web_2: Vec<_> = tried.filter(|(.., way)| way.contains(&remote.to_string())).collect();
        assert!(!to_web_2.is_empty());
        for (pod, _, way) in to_web_2 {
            assert_eq!(pod.is_some(), admitted, "{way}");
        }
    }
}

#[test]
fn long_answers_fit_into_the_tunnel() {
    // Pods behind IPIP send 1480 bytes, and the tunnel between nodes takes 1450: they are told.
    let bench = shop_on(&ebpf(ExternalServiceMode::Tunnel), &modules(), node_port("Cluster"));
    bench.assert("client", "node-3:30080", true, "web-1, web-2 answers");
}
