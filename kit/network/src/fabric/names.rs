//! Names: CoreDNS behind the Service kube-dns, and the resolver of each pod.
//!
//! A question is a packet like any other: it goes to the address of the Service, to one of CoreDNS' pods, and back. Where that fails the
//! resolver waits, and asks again. Sources: `resolv/res_send.c` of glibc, `cmd/kubeadm/app/phases/addons/dns/manifests.go`.

use super::sandboxes::ROUND_TRIP;
use super::{Fabric, Shared};
use crate::datapath::cluster::CLIENT;
use crate::datapath::packet::Protocol;
use crate::datapath::trace::{Reason, Walk};
use crate::dns::resolv_conf::{Kubelet, ResolvConf};
use crate::dns::resolver::{Library, Resolver};
use crate::dns::{Config, Kubernetes, NoUpstream, PodsMode, RecordData, RecordType};
use kit_api::core::Pod;
use kit_api::meta::ObjectMeta;
use kit_apimachinery::object::{Kind, Object};
use kit_client::component::{Component, World};
use kit_client::network::{NotResolved, Resolved, Sandbox};
use kit_contract::Modules;
use kit_server::{Change, ChangeKind};
use kit_time::agenda::Instant;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The address of the Service kube-dns, as kubelets are told (`--cluster-dns`).
pub const SERVER: &str = "10.96.0.10";
/// Where CoreDNS runs.
const NAMESPACE: &str = "kube-system";
/// The names of its pods begin so.
const DEPLOYMENT: &str = "coredns";
/// How long a resolver waits for a server, and how often it asks all of them (`RES_TIMEOUT`, `RES_DFLRETRY`).
const TIMEOUT: Instant = Instant::seconds(5);
const ATTEMPTS: usize = 2;
const PORT: u16 = 53;

/// What is known of names.
pub struct Names {
    server: Kubernetes,
    confs: BTreeMap<(String, String), ResolvConf>,
}

impl Names {
    /// A server without objects. Records of services are the module's.
    pub fn new(modules: &Modules) -> Names {
        // As kubeadm's Corefile has it.
        let config = Config { pods: PodsMode::Insecure, ttl: 30, ..Config::default() };
        Names { server: Kubernetes::new(config, modules.dns.make(&())), confs: BTreeMap::new() }
    }

    /// Notes what stands in a pod's `resolv.conf`.
    pub fn configure(&mut self, pod: &Pod, gone: bool) {
        let key = (pod.metadata.namespace.clone().unwrap_or_default(), pod.metadata.name.clone().unwrap_or_default());
        match kubelet().resolv_conf(pod) {
            Ok((conf, _)) if !gone => _ = self.confs.insert(key, conf),
            _ => _ = self.confs.remove(&key),
        }
    }

    /// What stands there.
    pub fn conf_of(&self, namespace: &str, pod: &str) -> ResolvConf {
        self.confs.get(&(namespace.to_string(), pod.to_string())).cloned().unwrap_or_else(|| usual(namespace))
    }

    /// The cluster IPs of a Service.
    pub fn addresses_of(&self, namespace: &str, service: &str) -> Option<Vec<IpAddr>> {
        use kit_contract::network::dns::ServiceKind;
        match &self.server.objects.service(namespace, service)?.kind {
            ServiceKind::ClusterIps(addresses) => Some(addresses.iter().filter_map(|text| text.parse().ok()).collect()),
            ServiceKind::Headless | ServiceKind::ExternalName(_) => None,
        }
    }

    /// What CoreDNS answers.
    fn answer(&self, name: &str) -> Vec<IpAddr> {
        let records = |kind| self.server.answer(name, kind, &NoUpstream).response.map(|response| response.answer);
        let address = |data: &RecordData| match data {
            RecordData::A(address) => Some(IpAddr::from(*address)),
            RecordData::Aaaa(address) => Some(IpAddr::from(*address)),
            _ => None,
        };
        let all = [RecordType::A, RecordType::AAAA].into_iter().filter_map(records).flatten();
        all.filter_map(|record| address(&record.data)).collect()
    }
}

/// The resolver of a machine outside, who knows no name of a cluster.
fn outside() -> ResolvConf {
    let nameservers = vec![crate::datapath::cluster::CLIENT_ADDRESS.to_string()];
    ResolvConf { nameservers, ..ResolvConf::default() }
}

fn kubelet() -> Kubelet {
    Kubelet {
        cluster_dns: SERVER.parse().into_iter().collect(),
        cluster_domain: "cluster.local".into(),
        node_addresses: Vec::new(),
        host_resolv_conf: Some(outside().to_string()),
    }
}

/// What a pod has about which nothing special is said.
fn usual(namespace: &str) -> ResolvConf {
    let metadata = ObjectMeta { namespace: Some(namespace.into()), ..ObjectMeta::default() };
    kubelet().resolv_conf(&Pod { metadata, ..Pod::default() }).map(|(conf, _)| conf).unwrap_or_default()
}

impl Fabric {
    /// What is in the `resolv.conf` of a pod, a node or the client, by its name in the world.
    pub(super) fn conf_of(&self, place: &str) -> ResolvConf {
        self.sandbox_at(place).map_or_else(outside, |sandbox| self.names.conf_of(&sandbox.namespace, &sandbox.pod))
    }

    /// What a resolver finds.
    pub(super) fn resolve_by(&mut self, place: &str, conf: &ResolvConf, name: &str) -> Resolved {
        let mut took = Instant::default();
        if let Ok(address) = name.parse() {
            return Resolved { addresses: Ok(vec![address]), name: name.into(), took };
        }
        let resolver = Resolver::new(&conf.searches, &conf.options, Library::Glibc);
        for candidate in resolver.tries(name) {
            let Some(addresses) = self.question(place, &conf.nameservers, &candidate, &mut took) else {
                // Who gets no answer at all doesn't try the other names.
                return Resolved { addresses: Err(NotResolved::Silence), name: candidate, took };
            };
            if !addresses.is_empty() {
                return Resolved { addresses: Ok(addresses), name: candidate, took };
            }
        }
        Resolved { addresses: Err(NotResolved::Unknown), name: name.into(), took }
    }

    /// One question, to one server after the other; none if nobody answers.
    fn question(&mut self, place: &str, servers: &[String], name: &str, took: &mut Instant) -> Option<Vec<IpAddr>> {
        for _ in 0..ATTEMPTS {
            for server in servers.iter().filter_map(|text| text.parse::<IpAddr>().ok()) {
                let (there, back) = self.ask(place, server);
                let is_back = back.is_some_and(|back| back.delivered_to() == Some(place));
                match there.delivered_to().filter(|_| is_back) {
                    Some(to) if self.is_server(to) => {
                        *took = *took + ROUND_TRIP;
                        return Some(self.names.answer(name));
                    }
                    Some(CLIENT) => {
                        *took = *took + ROUND_TRIP;
                        return Some(Vec::new());
                    }
                    // An ICMP error reaches the socket, and the next server is asked at once.
                    _ if is_told(&there) => *took = *took + ROUND_TRIP,
                    _ => *took = *took + TIMEOUT,
                }
            }
        }
        None
    }

    /// The way of a question to the first server that a place asks: for whoever wants to know why names don't work.
    pub(super) fn question_to_server(&mut self, place: &str) -> Vec<String> {
        let server = self.conf_of(place).nameservers.iter().find_map(|text| text.parse::<IpAddr>().ok());
        let Some(server) = server else { return vec![format!("{place} has no server to ask")] };
        let (there, back) = self.ask(place, server);
        let back = back.iter().flat_map(Walk::lines);
        there.lines().into_iter().chain(back).collect()
    }

    /// A question on its way to a server, and the answer on its way back.
    fn ask(&mut self, place: &str, server: IpAddr) -> (Walk, Option<Walk>) {
        let packet = self.first_packet(place, Protocol::Udp, (server, PORT));
        let walks = self.exchange(place, packet);
        self.close(place, Protocol::Udp);
        walks
    }

    pub(super) fn is_server(&self, place: &str) -> bool {
        self.sandbox_at(place).is_some_and(|Sandbox { namespace, pod, .. }| {
            let labels = self.policies.labels(&format!("{namespace}/{pod}"));
            namespace == NAMESPACE && labels.get("k8s-app").is_some_and(|app| app == "kube-dns")
        })
    }
}

fn is_told(walk: &Walk) -> bool {
    let refused = matches!(walk.reason(), Some(Reason::Refused(..) | Reason::NobodyListens(_)));
    refused && walk.answer.as_ref().is_some_and(|answer| answer.delivered_to() == Some(walk.from.as_str()))
}

/// CoreDNS: it hears of all that has a name. Its Deployment and its Service are there from the start, as kubeadm has them.
pub struct CoreDns {
    fabric: Shared,
    begun: bool,
}

impl CoreDns {
    /// The server of this network.
    pub fn new(fabric: Shared) -> Self {
        CoreDns { fabric, begun: false }
    }
}

fn addons() -> [(Kind, Value); 2] {
    let labels = json!({"k8s-app": "kube-dns"});
    let port =
        |name: &str, port: i32, protocol: &str| json!({"name": name, "containerPort": port, "protocol": protocol});
    let container = json!({"name": DEPLOYMENT, "image": "registry.k8s.io/coredns/coredns:v1.12.0",
        "ports": [port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP"), port("metrics", 9153, "TCP")],
        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}}});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": DEPLOYMENT, "namespace": NAMESPACE, "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {"metadata": {"labels": labels}, "spec": {"dnsPolicy": "Default", "containers": [container]}}}});
    let port = |name: &str, port: i32, protocol: &str| json!({"name": name, "port": port, "targetPort": port, "protocol": protocol});
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": NAMESPACE,
            "labels": {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}},
        "spec": {"clusterIP": SERVER, "selector": labels,
            "ports": [port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP"), port("metrics", 9153, "TCP")]}});
    [(Kind::Service, service), (Kind::Deployment, deployment)]
}

impl Component for CoreDns {
    fn name(&self) -> &'static str {
        "coredns"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Namespace, Kind::Service, Kind::EndpointSlice]
    }

    fn observe(&mut self, change: &Change, _world: &mut World<'_>) {
        let mut fabric = self.fabric.borrow_mut();
        let objects = &mut fabric.names.server.objects;
        match change.kind {
            ChangeKind::Deleted => objects.remove(&change.object.key),
            ChangeKind::Added | ChangeKind::Modified => objects.set(&change.object.object),
        }
        fabric.names.server.serial = u32::try_from(change.revision).unwrap_or(u32::MAX);
        fabric.changed();
    }

    fn run(&mut self, world: &mut World<'_>) {
        if self.begun {
            return;
        }
        self.begun = true;
        for (kind, manifest) in addons() {
            let object = Object::from_value(kind, manifest).expect("the manifests are well formed");
            if world.server.get(&object.key()).is_err()
                && let Err(error) = world.server.create(object)
            {
                // Somebody else has the address, or the namespace isn't there yet.
                self.begun = error.code < 500 && error.code != 404;
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        None
    }
}
