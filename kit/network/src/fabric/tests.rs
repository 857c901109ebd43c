//! Nodes, pods and Services of an API server, and the packets between them.

mod ebpf;

use super::agents::Agents;
use super::names::CoreDns;
use super::proxies::Proxies;
use super::reach::{From, Target};
use super::{Fabric, Kind as Plugin, Shape, Shared, pods};
use crate::endpoints::controller::EndpointSlices;
use crate::ipam::controller::NodeIpam;
use kit_apimachinery::object::{Key, Kind, Object};
use kit_client::cache::Cache;
use kit_client::component::{Component, World};
use kit_client::explain::Log;
use kit_client::fault::{Fault, NetworkFault};
use kit_client::network::{Network, Protocol, Sandbox};
use kit_contract::Modules;
use kit_contract::network::{IptablesRule, IptablesTarget, KubeProxy, ProxyNode, ProxyPort};
use kit_server::{DeleteOptions, Patch, Server};
use kit_time::agenda::Instant;
use kit_time::random::Random;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

struct Part {
    component: Box<dyn Component>,
    cache: Cache,
    cursor: usize,
}

/// An API server with the parts of the network. Watches show everything at once.
struct Bench {
    server: Server,
    clock: Rc<Cell<Instant>>,
    fabric: Shared,
    parts: Vec<Part>,
    log: Log,
    pods: BTreeMap<String, Sandbox>,
}

fn modules() -> Modules {
    solutions::modules()
}

impl Bench {
    fn new(shape: &Shape, modules: &Modules) -> Bench {
        let store = modules.store.make(&());
        let epoch = kit_api::jiff::Timestamp::from_second(1_748_779_200).expect("a time");
        let server = Server::new(store, modules, Random::new(1), epoch);
        let clock: Rc<Cell<Instant>> = Rc::default();
        let time = clock.clone();
        let fabric: Shared =
            Rc::new(RefCell::new(Fabric::new(shape, modules, Random::new(1), Box::new(move || time.get()))));
        let components: Vec<Box<dyn Component>> = vec![
            Box::new(NodeIpam::new(pods()).expect("it can be cut")),
            Box::new(EndpointSlices::new(modules)),
            Box::new(Agents::new(fabric.clone())),
            Box::new(Proxies::new(fabric.clone(), modules)),
            Box::new(CoreDns::new(fabric.clone())),
        ];
        let part = |component| Part { component, cache: Cache::default(), cursor: 0 };
        let parts = components.into_iter().map(part).collect();
        let mut bench = Bench { server, clock, fabric, parts, log: Log::default(), pods: BTreeMap::new() };
        for at in 1..=3 {
            bench.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node-{at}")},
                "status": {"addresses": [{"type": "InternalIP", "address": format!("192.168.0.{at}")}],
                    "conditions": [{"type": "Ready", "status": "True"}]}}));
        }
        for name in ["shop", "kube-system"] {
            let key = Key::new(Kind::Namespace, "", name);
            if bench.server.get(&key).is_err() {
                bench.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
            }
        }
        bench.run(5);
        bench.pod("kube-system/coredns-1-a", "node-3", json!({"k8s-app": "kube-dns"}), &[(Protocol::Udp, 53)]);
        bench.run(5);
        bench
    }

    fn create(&mut self, json: Value) {
        let kind = Kind::named(json["kind"].as_str().unwrap_or_default()).expect("a kind");
        let object = Object::from_value(kind, json.clone()).expect("a good object");
        let mut value = self.server.create(object).expect("it can be made").to_value();
        if !json["status"].is_null() {
            value["status"] = json["status"].clone();
            self.server
                .update_status(Object::from_value(kind, value).expect("a good object"))
                .expect("it has a status");
        }
        self.settle();
    }

    fn patch(&mut self, kind: Kind, name: &str, patch: Value, status: bool) {
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        let key = Key::new(kind, namespace, name);
        self.server.patch(&key, &Patch::Merge(patch), status).expect("it can be changed");
        self.settle();
    }

    /// A pod that runs, as its kubelet brings it up and tells of it.
    fn pod(&mut self, name: &str, node: &str, labels: Value, ports: &[(Protocol, u16)]) {
        let (namespace, pod) = name.split_once('/').expect("a namespace and a name");
        self.create(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod, "namespace": namespace, "labels": labels},
            "spec": {"nodeName": node, "containers": [{"name": "c", "image": "app"}]}}));
        let uid = self.server.get(&Key::new(Kind::Pod, namespace, pod)).expect("it is there").object.uid().to_string();
        let sandbox = Sandbox { node: node.into(), namespace: namespace.into(), pod: pod.into(), uid };
        let address = self.fabric.borrow_mut().add(&sandbox).expect("the plugin gives an address");
        self.fabric.borrow_mut().listen(&sandbox, ports.to_vec());
        self.pods.insert(name.into(), sandbox);
        self.patch(
            Kind::Pod,
            name,
            json!({"status": {"phase": "Running", "podIP": address.to_string(),
            "podIPs": [{"ip": address.to_string()}], "conditions": [{"type": "Ready", "status": "True"}]}}),
            true,
        );
    }

    fn stop(&mut self, name: &str) {
        let sandbox = self.pods.remove(name).expect("a pod");
        self.fabric.borrow_mut().del(&sandbox);
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        self.server.delete(&Key::new(Kind::Pod, &sandbox.namespace, &sandbox.pod), &options).expect("it can go");
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            let before = self.server.end();
            for part in &mut self.parts {
                self.server.enter(self.clock.get(), &part.component.name().into());
                while let Ok(Some(change)) = self.server.change(part.cursor) {
                    part.cursor += 1;
                    let change = change.clone();
                    if part.component.watches().contains(&change.object.key.kind) {
                        part.cache.apply(&change);
                        let (now, server, log) = (self.clock.get(), &mut self.server, &mut self.log);
                        part.component.observe(&change, &mut World { now, server, cache: &part.cache, log });
                    }
                }
                let (now, server, log) = (self.clock.get(), &mut self.server, &mut self.log);
                part.component.run(&mut World { now, server, cache: &part.cache, log });
            }
            if self.server.end() == before {
                return;
            }
        }
    }

    fn run(&mut self, seconds: i64) {
        let until = self.clock.get() + Instant::seconds(seconds);
        self.settle();
        while let Some(wake) =
            self.parts.iter().filter_map(|part| part.component.next_wake()).min().filter(|at| *at <= until)
        {
            self.clock.set(wake.max(self.clock.get()));
            self.settle();
        }
        self.clock.set(until);
    }

    fn fault(&mut self, fault: Fault) {
        for part in &mut self.parts {
            let (now, server, log) = (self.clock.get(), &mut self.server, &mut self.log);
            part.component
                .fault(&fault, &mut World { now, server, cache: &part.cache, log })
                .expect("it knows the node");
        }
    }

    /// Whether all connections come about, whether some do, and what is seen.
    fn look(&self, from: &str, to: &str) -> (bool, bool, String) {
        let (from, to) = (From::read(from).expect("a sender"), Target::read(to).expect("a target"));
        let looked = self.fabric.borrow_mut().look(&from, &to);
        (looked.all, looked.any, looked.seen)
    }

    fn assert(&self, from: &str, to: &str, all: bool, seen: &str) {
        let looked = self.look(from, to);
        let fits = looked.0 == all && looked.2.contains(seen);
        assert!(fits, "{from} to {to}: {looked:?}, expected {all} and {seen:?}\n{}", self.way(from, to));
    }

    fn way(&self, from: &str, to: &str) -> String {
        let (from, to) = (From::read(from).expect("a sender"), Target::read(to).expect("a target"));
        self.fabric.borrow_mut().follow(&from, &to).map_or_else(|why| why, |lines| lines.join("\n"))
    }
}

const WEB: [(Protocol, u16); 1] = [(Protocol::Tcp, 8080)];

/// The Service shop/web before two pods on different nodes, and a pod that asks.
fn shop(plugin: Plugin, modules: &Modules, spec: Value) -> Bench {
    shop_on(&Shape { plugin, ..Shape::default() }, modules, spec)
}

fn shop_on(shape: &Shape, modules: &Modules, spec: Value) -> Bench {
    let mut bench = Bench::new(shape, modules);
    for (name, node, ports) in [("web-1", "node-1", &WEB[..]), ("web-2", "node-2", &WEB[..]), ("asks", "node-1", &[])] {
        let app = name.split('-').next();
        bench.pod(&format!("shop/{name}"), node, json!({"app": app}), ports);
    }
    let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    for (field, value) in spec.as_object().expect("fields") {
        service["spec"][field] = value.clone();
    }
    bench.create(service);
    bench.run(5);
    bench
}

fn deny(egress: Option<Value>) -> Value {
    let mut policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "tight", "namespace": "shop"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}});
    if let Some(egress) = egress {
        policy["spec"]["policyTypes"] = json!(["Egress"]);
        policy["spec"]["egress"] = egress;
    }
    policy
}

const PLUGINS: [Plugin; 3] = [Plugin::Flannel, Plugin::Calico, Plugin::Cilium];

#[test]
fn a_service_leads_to_its_endpoints_by_every_plugin() {
    for plugin in PLUGINS {
        let bench = shop(plugin, &modules(), json!({}));
        bench.assert("pod/shop/asks", "web.shop:80", true, "web-1, web-2 answers");
        bench.assert("pod/shop/asks", "web:80", true, "web-1, web-2 answers");
        bench.assert("node-3", "service/shop/web:80", true, "web-1, web-2 answers");
        bench.assert("pod/shop/web-1", "web:80", true, "web-1, web-2 answers");
        bench.assert("pod/shop/asks", "web:81", false, "");
        bench.assert("pod/shop/asks", "pod/shop/web-2:81", false, "refused (shop/web-2: nobody listens on");
        bench.assert("pod/shop/asks", "api:80", false, "no name api is known");
        let way = bench.way("pod/shop/asks", "web.shop:80");
        for part in ["looks for web.shop.svc.cluster.local.", "KUBE-SERVICES → KUBE-SVC-", "(shop/web)", "(rule "] {
            assert!(way.contains(part), "{plugin:?} {part}\n{way}");
        }
    }
}

#[test]
fn policies_count_where_the_plugin_enforces_them() {
    for plugin in PLUGINS {
        let mut bench = shop(plugin, &modules(), json!({}));
        bench.create(deny(None));
        bench.run(1);
        let enforced = plugin.enforces();
        let seen = if enforced { "no answer" } else { "answers" };
        bench.assert("pod/shop/asks", "service/shop/web:80", !enforced, seen);
        // What a node sends to its own pods is never refused.
        bench.assert("node-1", "pod/shop/web-1:8080", true, "web-1");
        if enforced {
            let way = bench.way("pod/shop/asks", "pod/shop/web-2:8080");
            assert!(way.contains("ingress of shop/web-2: TCP 8080 is not admitted by tight"), "{way}");
            // An agent that doesn't run hears nothing of a policy that is gone.
            bench.fault(Fault::Network(NetworkFault::StopAgent("node-2".into())));
            bench
                .server
                .delete(&Key::new(Kind::NetworkPolicy, "shop", "tight"), &DeleteOptions::default())
                .expect("it goes");
            bench.run(1);
            bench.assert("pod/shop/asks", "pod/shop/web-1:8080", true, "web-1");
            bench.assert("pod/shop/asks", "pod/shop/web-2:8080", false, "no answer");
            bench.fault(Fault::Network(NetworkFault::StartAgent("node-2".into())));
            bench.run(1);
            bench.assert("pod/shop/asks", "pod/shop/web-2:8080", true, "web-2");
        }
    }
}

#[test]
fn an_egress_policy_that_forgets_dns_leaves_addresses_only() {
    for plugin in [Plugin::Calico, Plugin::Cilium] {
        let mut bench = shop(plugin, &modules(), json!({}));
        let web = json!([{"to": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]);
        bench.create(deny(Some(web.clone())));
        bench.run(1);
        bench.assert("pod/shop/asks", "service/shop/web:80", true, "web-1");
        bench.assert("pod/shop/asks", "web:80", false, "no DNS server answers within 10s");
        let dns = json!({"to": [{"namespaceSelector": {}}], "ports": [{"protocol": "UDP", "port": 53}]});
        bench.patch(Kind::NetworkPolicy, "shop/tight", json!({"spec": {"egress": [web[0], dns]}}), false);
        bench.run(1);
        bench.assert("pod/shop/asks", "web:80", true, "web-1");
    }
}

#[test]
fn endpoints_of_a_crashed_node_are_tried_until_they_are_taken_out() {
    for plugin in PLUGINS {
        let mut bench = shop(plugin, &modules(), json!({}));
        bench.fault(Fault::Crash("node-2".into()));
        bench.assert("pod/shop/asks", "service/shop/web:80", false, "of 12 connections fail");
        bench.patch(
            Kind::Pod,
            "shop/web-2",
            json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
            true,
        );
        bench.run(2);
        bench.assert("pod/shop/asks", "service/shop/web:80", true, "web-1 answers");
        bench.fault(Fault::Restart("node-2".into()));
        bench.run(2);
        bench.assert("pod/shop/asks", "pod/shop/web-2:8080", true, "web-2");
        bench.assert("node-2", "service/shop/web:80", true, "web-1");
    }
}

#[test]
fn a_node_that_hears_nothing_keeps_its_rules() {
    let mut bench = shop(Plugin::Flannel, &modules(), json!({}));
    bench.fault(Fault::Partition("node-1".into()));
    bench.stop("shop/web-2");
    bench.run(5);
    bench.assert("pod/shop/asks", "service/shop/web:80", false, "connections fail");
    bench.assert("node-3", "service/shop/web:80", true, "web-1 answers");
    bench.fault(Fault::Heal("node-1".into()));
    bench.run(5);
    bench.assert("pod/shop/asks", "service/shop/web:80", true, "web-1 answers");
}

#[test]
fn with_affinity_a_client_keeps_its_endpoint() {
    let mut bench = shop(Plugin::Flannel, &modules(), json!({"sessionAffinity": "ClientIP"}));
    let sandbox = bench.pods["shop/asks"].clone();
    let connect = |bench: &mut Bench| {
        let service = bench.fabric.borrow().names.addresses_of("shop", "web").expect("addresses")[0];
        let attempt = bench.fabric.borrow_mut().connect(&sandbox, Protocol::Tcp, (service, 80).into());
        attempt.end.expect("somebody answers").pod.expect("a pod").1
    };
    let first = connect(&mut bench);
    for _ in 0..10 {
        assert_eq!(connect(&mut bench), first);
    }
    bench.run(10_801);
    let later: Vec<String> = (0..20)
        .map(|_| {
            bench.run(10_801);
            connect(&mut bench)
        })
        .collect();
    assert!(later.iter().any(|pod| *pod != first), "{later:?}");
}

#[test]
fn under_the_policy_local_only_nodes_with_an_endpoint_answer_outside() {
    let spec = json!({"type": "NodePort", "externalTrafficPolicy": "Local",
        "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30080}]});
    let mut bench = shop(Plugin::Flannel, &modules(), spec);
    bench.assert("client", "node-1:30080", true, "web-1 answers");
    bench.assert("client", "node-3:30080", false, "no answer");
    let way = bench.way("client", "node-1:30080");
    assert!(way.contains("KUBE-NODEPORTS → KUBE-EXT-") && way.contains("TCP 10.244.0.2:8080 → 203.0.113.9"), "{way}");
    bench.patch(Kind::Service, "shop/web", json!({"spec": {"externalTrafficPolicy": "Cluster"}}), false);
    bench.run(2);
    bench.assert("client", "node-3:30080", true, "web-1, web-2 answers");
    assert!(bench.way("client", "node-3:30080").contains("marked for masquerade"));
}

#[test]
fn without_endpoints_connections_are_refused() {
    let mut bench = shop(Plugin::Flannel, &modules(), json!({}));
    bench.stop("shop/web-1");
    bench.run(5);
    bench.assert("pod/shop/asks", "service/shop/web:80", true, "web-2 answers");
    bench.stop("shop/web-2");
    bench.run(5);
    bench.assert("pod/shop/asks", "service/shop/web:80", false, "refused");
    assert!(bench.way("pod/shop/asks", "service/shop/web:80").contains("REJECT: shop/web has no endpoints"));
}

#[test]
fn kube_proxy_writes_once_a_second() {
    let mut bench = shop(Plugin::Flannel, &modules(), json!({}));
    // Both pods go at once; the first of two syncs has seen one of them.
    bench.stop("shop/web-1");
    bench.stop("shop/web-2");
    let refused = |bench: &Bench| bench.look("pod/shop/asks", "service/shop/web:80").2;
    assert!(
        refused(&bench).starts_with("no answer") || refused(&bench).starts_with("unreachable"),
        "{}",
        refused(&bench)
    );
    bench.run(3);
    assert!(refused(&bench).starts_with("refused"), "{}", refused(&bench));
}

#[test]
fn flows_to_dns_follow_its_pods() {
    let mut bench = shop(Plugin::Flannel, &modules(), json!({}));
    let sandbox = bench.pods["shop/asks"].clone();
    let resolve = |bench: &Bench| bench.fabric.borrow_mut().resolve(&sandbox, "web.shop");
    assert_eq!(resolve(&bench).name, "web.shop.svc.cluster.local.");
    let file = bench.fabric.borrow().resolv_conf(&sandbox);
    let usual =
        "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";
    assert_eq!(file.as_deref(), Some(usual));
    bench.pod("kube-system/coredns-1-b", "node-2", json!({"k8s-app": "kube-dns"}), &[(Protocol::Udp, 53)]);
    bench.stop("kube-system/coredns-1-a");
    bench.run(5);
    let gone = |bench: &Bench| {
        let fabric = bench.fabric.borrow();
        let connections =
            fabric.cluster.world.namespaces["node-1"].conntrack.as_ref().expect("a table").connections.clone();
        connections.iter().any(|connection| connection.reply.source.address.to_string() == "10.244.2.2")
    };
    assert!(!gone(&bench));
    assert!(resolve(&bench).addresses.is_ok());
}

#[test]
fn a_narrow_link_loses_what_is_long() {
    for plugin in PLUGINS {
        let mut bench = shop(plugin, &modules(), json!({}));
        bench.fault(Fault::Network(NetworkFault::Narrow { node: "node-2".into(), mtu: 1450 }));
        bench.assert("pod/shop/asks", "pod/shop/web-2:8080", false, "no answer (node-2: ");
        bench.assert("pod/shop/asks", "pod/shop/web-1:8080", true, "web-1");
        bench.fault(Fault::Network(NetworkFault::Widen("node-2".into())));
        bench.assert("pod/shop/asks", "pod/shop/web-2:8080", true, "web-2");
        bench.fault(Fault::Network(NetworkFault::Flood("node-2".into())));
        bench.assert("pod/shop/asks", "pod/shop/web-2:8080", false, "table full");
        bench.fault(Fault::Network(NetworkFault::Ebb("node-2".into())));
        bench.assert("pod/shop/asks", "pod/shop/web-2:8080", true, "web-2");
    }
}

#[test]
fn agents_read_how_long_packets_may_be_when_they_start() {
    for (plugin, config, data) in [
        (
            Plugin::Flannel,
            "kube-flannel/kube-flannel-cfg",
            json!({"net-conf.json": "{\"Backend\": {\"Type\": \"vxlan\", \"MTU\": 1400}}"}),
        ),
        (Plugin::Calico, "kube-system/calico-config", json!({"veth_mtu": "1380"})),
        (Plugin::Cilium, "kube-system/cilium-config", json!({"mtu": "1400"})),
    ] {
        let mut bench = shop(plugin, &modules(), json!({}));
        for at in 1..=3 {
            bench.fault(Fault::Network(NetworkFault::Narrow { node: format!("node-{at}"), mtu: 1400 }));
        }
        let (namespace, name) = config.split_once('/').expect("a namespace and a name");
        if namespace != "kube-system" {
            bench.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        }
        bench.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}));
        // Whoever runs has read it before.
        bench.pod("shop/web-3", "node-2", json!({"app": "web"}), &WEB);
        bench.assert("pod/shop/asks", "pod/shop/web-3:8080", false, "no answer (node-2: ");
        for at in 1..=3 {
            bench.fault(Fault::Network(NetworkFault::StartAgent(format!("node-{at}"))));
        }
        // Pods keep their interfaces. A host whose tunnel has become narrower tells them, where it was made so.
        bench.assert("pod/shop/asks", "pod/shop/web-3:8080", plugin == Plugin::Calico, "");
        bench.stop("shop/web-3");
        bench.pod("shop/web-4", "node-2", json!({"app": "web"}), &WEB);
        bench.assert("pod/shop/asks", "pod/shop/web-4:8080", true, "web-4");
        bench.assert("node-3", "pod/shop/web-4:8080", true, "web-4");
    }
}

#[test]
fn a_node_whose_agents_pod_is_gone_hears_nothing_new() {
    let mut bench = shop(Plugin::Calico, &modules(), json!({}));
    bench.pod("kube-system/calico-node-x", "node-2", json!({"k8s-app": "calico-node"}), &[]);
    bench.stop("kube-system/calico-node-x");
    bench.create(deny(None));
    bench.run(1);
    bench.assert("pod/shop/asks", "pod/shop/web-1:8080", false, "no answer");
    bench.assert("pod/shop/asks", "pod/shop/web-2:8080", true, "web-2");
    bench.pod("kube-system/calico-node-y", "node-2", json!({"k8s-app": "calico-node"}), &[]);
    bench.run(1);
    bench.assert("pod/shop/asks", "pod/shop/web-2:8080", false, "no answer");
}

/// Sends to the port of the Service at the pod, too.
struct KeepsThePort;

impl KubeProxy for KeepsThePort {
    fn rules(&self, service: &ProxyPort, node: &ProxyNode) -> Vec<IptablesRule> {
        let mut rules = solutions::modules().kube_proxy.make(&()).rules(service, node);
        for rule in &mut rules {
            if let IptablesTarget::Dnat { port, .. } = &mut rule.target {
                *port = service.port;
            }
        }
        rules
    }
}

#[test]
fn a_wrong_module_shows_in_the_way_of_a_packet() {
    let mut modules = modules();
    modules.kube_proxy = kit_contract::Slot::by(|()| -> Box<dyn KubeProxy> { Box::new(KeepsThePort) });
    let bench = shop(Plugin::Flannel, &modules, json!({}));
    bench.assert("pod/shop/asks", "service/shop/web:80", false, "nobody listens on 10.244.");
    assert!(bench.way("pod/shop/asks", "service/shop/web:80").contains("nobody listens on 10.244."));
}

#[test]
fn what_is_no_connection_is_told_why() {
    for text in ["pod/a/b/c", "deployment/a/b/c", "teapot/shop/web", ""] {
        assert!(From::read(text).is_err_and(|why| why.contains("and not") || why.contains("no workload")), "{text}");
    }
    for text in ["web", "web:http", "web:0", "a/b/c/d:80", ":80"] {
        assert!(Target::read(text).is_err(), "{text}");
    }
}

#[test]
fn a_kernel_is_told_of_names_ports_and_rules() {
    use crate::datapath::kernel::Names;
    let bench = shop(Plugin::Flannel, &modules(), json!({}));
    let fabric = bench.fabric.borrow();
    let wanted = fabric.wanted(&Names::new("t")).expect("tables can do it");
    let place =
        |name: &str| wanted.places.get(name).unwrap_or_else(|| panic!("{name} is missing: {:?}", wanted.places.keys()));
    let of = |name: &str| ("shop".to_string(), name.to_string());
    let listens: Vec<_> = place("t:shop:web-1").pods[&of("web-1")].iter().map(|(_, port)| *port).collect();
    assert_eq!(listens, [8080]);
    assert!(place("t:shop:asks").pods[&of("asks")].is_empty());
    assert!(place("t:kube-system:coredns-1-a").answers_dns && !place("t:shop:web-1").answers_dns);
    assert!(place("t:shop:asks").resolv_conf.contains("search shop.svc.cluster.local"));
    assert!(format!("{:?}", wanted.rules["t:node-2"]).contains("KUBE-SVC-"));
    for (who, at) in [
        ("node-1", Ok("node-1")),
        ("shop/web-1", Ok("shop/web-1")),
        ("pod/shop/web-1", Ok("shop/web-1")),
        ("daemonset/shop/web", Ok("shop/web-1")),
        ("client", Ok("client")),
        ("web-1", Err("pod/default/web-1 is no node, and no pod with a network")),
        ("deployment/shop/none", Err("deployment/shop/none is no node, and no pod with a network")),
        (
            "a/b/c/d",
            Err("connections come from `client`, a node, `pod/shop/web` or `deployment/shop/web`, and not `a/b/c/d`"),
        ),
    ] {
        assert_eq!(fabric.place(who).as_deref().map_err(String::as_str), at, "{who}");
    }
}

#[test]
fn programs_are_not_for_kernels() {
    assert!(Plugin::Flannel.is_for_kernels().is_ok() && Plugin::Calico.is_for_kernels().is_ok());
    assert!(Plugin::Cilium.is_for_kernels().is_err_and(|why| why.contains("--network flannel")));
}
