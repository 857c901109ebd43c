//! A whole cluster: nodes, control plane and the modules in their slots.

use crate::control_plane::ControlPlane;
use crate::engine::{Clock, Engine};
use crate::pipeline::{self, Pipeline};
use kit_api::core::NodeAddress;
use kit_api::jiff::Timestamp;
use kit_client::component::Component;
use kit_client::database::Reports;
use kit_client::disk;
use kit_client::metrics::Usage;
use kit_contract::Modules;
use kit_controllers::autoscaler::Autoscalers;
use kit_controllers::cluster_role_aggregation::ClusterRoleAggregation;
use kit_controllers::cron_job::CronJobs;
use kit_controllers::csi::CsiDrivers;
use kit_controllers::daemon_set::DaemonSets;
use kit_controllers::database::DatabaseOperator;
use kit_controllers::deployment::Deployments;
use kit_controllers::disruption::Disruptions;
use kit_controllers::garbage_collector::GarbageCollector;
use kit_controllers::horizontal::adapters::Adapters;
use kit_controllers::job::Jobs;
use kit_controllers::keda::operator::Operator as Keda;
use kit_controllers::namespace::Namespaces;
use kit_controllers::node_lifecycle::NodeLifecycle;
use kit_controllers::outside::Outside;
use kit_controllers::pod_garbage_collector::PodGarbageCollector;
use kit_controllers::replica_set::ReplicaSets;
use kit_controllers::resource_quota::ResourceQuotas;
use kit_controllers::root_ca::RootCa;
use kit_controllers::service_account::ServiceAccounts;
use kit_controllers::stateful_set::StatefulSets;
use kit_controllers::taint_eviction::TaintEviction;
use kit_controllers::tokens::Tokens;
use kit_controllers::ttl_after_finished::TtlAfterFinished;
use kit_controllers::vertical::admission::Admission;
use kit_controllers::vertical::recommender::Recommender;
use kit_controllers::vertical::updater::Updater;
use kit_controllers::volume::attach_detach::AttachDetach;
use kit_controllers::volume::binder::PersistentVolumes;
use kit_controllers::volume::ephemeral::EphemeralVolumes;
use kit_controllers::volume::expand::Expansion;
use kit_controllers::volume::protection::{ClaimProtection, VolumeProtection};
use kit_controllers::volume::snapshot::Snapshots;
use kit_network::cloud::Shared;
use kit_network::cloud::health::HealthChecks;
use kit_network::cloud::lifecycle::Lifecycle;
use kit_network::cloud::node::Nodes as CloudNodes;
use kit_network::cloud::provider::{Cloud, Instance};
use kit_network::cloud::route::Routes;
use kit_network::cloud::service::Services;
use kit_network::endpoints::controller::EndpointSlices;
use kit_network::endpoints::kubernetes::KubernetesService;
use kit_network::endpoints::legacy::AllEndpoints;
use kit_network::endpoints::mirroring::MirroredSlices;
use kit_network::fabric::agents::Agents;
use kit_network::fabric::names::CoreDns;
use kit_network::fabric::proxies::Proxies;
use kit_network::fabric::{self, Fabric};
pub use kit_network::fabric::{Kind as Plugin, Shape as NetworkShape};
use kit_network::ipam::controller::NodeIpam;
use kit_node::database::Databases;
pub use kit_node::database::Shape as DatabaseShape;
use kit_node::kubelet::Kubelets;
use kit_node::kubelet::image::Registry;
use kit_node::kubelet::node::NodeShape;
use kit_node::kubelet::processes;
use kit_scheduler::Scheduler;
use kit_server::{Backend, Error, Server};
use kit_time::random::Random;
use serde::Deserialize;
use std::cell::RefCell;
use std::rc::Rc;

/// Where the calendar stands when the virtual clock stands at zero: 2025-06-01, a Sunday, at noon UTC.
const EPOCH: i64 = 1_748_779_200;

/// The modules that a cluster asks, and the process that does.
pub const ASKED: [(&str, &str); 32] = [
    ("control_plane/admission", API_SERVER),
    ("control_plane/garbage_collector", CONTROLLERS),
    ("control_plane/store", API_SERVER),
    ("failure/database_operator", CONTROLLERS),
    ("failure/leader_election", ELECTIONS),
    ("failure/disruption", CONTROLLERS),
    ("failure/node_lifecycle", CONTROLLERS),
    ("network/endpoints", CONTROLLERS),
    ("network/kube_proxy", NODES),
    ("network/network_policy", NODES),
    ("network/dns", NODES),
    ("network/pod_network", NODES),
    ("network/load_balancer", CLOUD),
    ("node/probes", NODES),
    ("node/qos", API_SERVER),
    ("scheduler/node_affinity", SCHEDULER),
    ("scheduler/pod_affinity", SCHEDULER),
    ("scheduler/preemption", SCHEDULER),
    ("scheduler/queue", SCHEDULER),
    ("scheduler/resources_fit", SCHEDULER),
    ("scheduler/score", SCHEDULER),
    ("scheduler/taints", SCHEDULER),
    ("scheduler/topology_spread", SCHEDULER),
    ("storage/claim_binding", CONTROLLERS),
    ("workloads/daemon_set", CONTROLLERS),
    ("workloads/hpa", CONTROLLERS),
    ("workloads/job", CONTROLLERS),
    ("workloads/replica_set", CONTROLLERS),
    ("workloads/rollback", CONTROLLERS),
    ("workloads/rolling_update", CONTROLLERS),
    ("workloads/stateful_set", CONTROLLERS),
    ("workloads/vpa", VERTICAL),
];
/// The process that keeps the objects. It is one, and never begins anew.
pub const API_SERVER: &str = "kube-apiserver";
/// What each process of the control plane does before it acts. It is no process, and only where there are hosts it asks modules.
pub const ELECTIONS: &str = "leader election";
const SCHEDULER: &str = "kube-scheduler";
const CONTROLLERS: &str = "kube-controller-manager";
/// What runs on nodes. It is no process of the control plane, and never begins anew. Most modules of it are asked only where there is a network, that of probes only where containers run programs.
pub const NODES: &str = "nodes";
/// Only where there is a cloud.
const CLOUD: &str = "cloud-controller-manager";
/// Only where the add-on is.
const VERTICAL: &str = "vertical-pod-autoscaler";
/// Only where the add-on is.
const KEDA: &str = "keda-operator";

/// What a cluster is made of.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many nodes, `node-1` and so on, or which.
    pub nodes: Nodes,
    /// How many hosts the control plane has, each with a member of etcd and a candidate of each process. Without them it
    /// never fails: one store, and components that always run.
    pub control_planes: usize,
    /// In how many zones the numbered nodes stand, in turn; 0 for none.
    pub zones: usize,
    /// The source of chance.
    pub seed: u64,
    /// Images that behave in their own way.
    pub images: Registry,
    /// Flags of the node lifecycle controller.
    pub node_lifecycle: kit_contract::failure::node_lifecycle::Config,
    /// Whether `maxUnavailable` of StatefulSets counts: the feature gate `MaxUnavailableStatefulSet`, off in 1.33.
    pub max_unavailable_stateful_set: bool,
    /// The cloud that the nodes stand in; without it services of type LoadBalancer wait for their addresses.
    pub cloud: Option<CloudShape>,
    /// The network of pods: a plugin, kube-proxy on each node, and DNS. Without it pods have addresses that nobody routes.
    pub network: Option<NetworkShape>,
    /// Somebody who deploys with `kubectl rollout`; without it nobody undoes anything.
    pub pipeline: Option<pipeline::Shape>,
    /// Databases, and an operator for them. Without it images called `database` are images like any other.
    pub databases: Option<DatabaseShape>,
    /// What isn't part of Kubernetes itself, and was installed.
    pub add_ons: Vec<AddOn>,
    /// What this process is called among others that share its store: of each process of the control plane one leads, and
    /// the others wait. Nodes are simulated beside the leading kube-controller-manager.
    #[serde(skip)]
    pub candidate: Option<String>,
    /// Whether containers run what their command says, as far as it is known, are probed, and metrics are served: always so in a
    /// cluster that somebody watches. Otherwise they do what their image says and no more.
    pub programs: bool,
    /// The calendar time at the beginning, for a cluster that somebody watches; without it always the same.
    #[serde(skip)]
    pub epoch: Option<Timestamp>,
    /// The certificate of the authority that signed the API server's, in PEM. With it each namespace has its default
    /// service account and a ConfigMap with the certificate, Secrets get tokens, and the default roles and the service
    /// `kubernetes` are objects; scenarios do without.
    #[serde(skip)]
    pub accounts: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            nodes: Nodes::Count(3),
            control_planes: 0,
            zones: 0,
            seed: 7,
            images: Registry::new(),
            node_lifecycle: Default::default(),
            max_unavailable_stateful_set: false,
            cloud: None,
            network: None,
            pipeline: None,
            databases: None,
            add_ons: Vec::new(),
            candidate: None,
            programs: false,
            epoch: None,
            accounts: None,
        }
    }
}

/// What can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddOn {
    /// The Vertical Pod Autoscaler of `kubernetes/autoscaler`: recommender, updater and admission controller.
    Vpa,
    /// KEDA: scales by queues and queries of Prometheus, from nothing and back to it, and answers `external.metrics.k8s.io`.
    Keda,
    /// The Prometheus adapter of `kubernetes-sigs/prometheus-adapter`: answers `custom.metrics.k8s.io`, and without KEDA
    /// `external.metrics.k8s.io`.
    PrometheusAdapter,
}

impl AddOn {
    /// All of them, by the names that users know.
    pub const ALL: [(&str, AddOn); 3] =
        [("vpa", AddOn::Vpa), ("keda", AddOn::Keda), ("prometheus-adapter", AddOn::PrometheusAdapter)];
}

/// A simulated cloud, with the cloud controller manager that speaks with it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CloudShape {
    /// Its region.
    pub region: String,
    /// What all its machines were ordered as.
    pub instance_type: String,
    /// How many load balancers it has room for; any number without it.
    pub quota: Option<usize>,
    /// Whether its network carries the packets of pods, by routes (`--configure-cloud-routes`).
    pub routes: bool,
}

impl Default for CloudShape {
    fn default() -> Self {
        CloudShape { region: "region-1".into(), instance_type: "standard-4".into(), quota: None, routes: false }
    }
}

impl CloudShape {
    fn cloud(&self, shapes: &[NodeShape]) -> Shared {
        let instance = |(index, shape): (usize, &NodeShape)| Instance {
            name: shape.name.clone(),
            zone: shape.zone.clone(),
            instance_type: self.instance_type.clone(),
            addresses: vec![NodeAddress { type_: "InternalIP".into(), address: shape.address(index) }],
            stopped: false,
        };
        let mut cloud = Cloud::new(&self.region, shapes.iter().enumerate().map(instance));
        cloud.quota = self.quota;
        Rc::new(RefCell::new(cloud))
    }
}

/// The nodes of a cluster.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a number of nodes or a list of them")]
pub enum Nodes {
    /// So many alike.
    Count(usize),
    /// These.
    Shapes(Vec<NodeShape>),
}

impl Config {
    fn epoch(&self) -> Timestamp {
        self.epoch.unwrap_or(Timestamp::from_second(EPOCH).unwrap_or_default())
    }

    fn shapes(&self) -> Vec<NodeShape> {
        match &self.nodes {
            Nodes::Shapes(shapes) => shapes.clone(),
            Nodes::Count(count) => (0..*count)
                .map(|index| NodeShape {
                    name: format!("node-{}", index + 1),
                    zone: (self.zones > 0).then(|| format!("zone-{}", index % self.zones + 1)),
                    ..NodeShape::default()
                })
                .collect(),
        }
    }
}

/// A network without nodes, on the cluster's clock.
fn network(shape: &NetworkShape, modules: &Modules, seed: u64, clock: &Clock) -> fabric::Shared {
    let clock = clock.clone();
    let fabric = Fabric::new(shape, modules, Random::new(seed), Box::new(move || clock.now()));
    Rc::new(RefCell::new(fabric))
}

/// A cluster at the beginning of its time, with these modules in the slots. `clock` shows its time from then on.
pub fn start(config: &Config, modules: &Modules, clock: Clock) -> Engine {
    let store = modules.store.make(&());
    let server = Server::new(store, modules, Random::new(config.seed), config.epoch());
    around(config, modules, clock, server, true)
}

/// A cluster over a store that outlives it: its objects are those of the store, and every component begins anew.
///
/// # Errors
///
/// If the store can't be asked.
pub fn open(config: &Config, modules: &Modules, clock: Clock, store: Box<dyn Backend>) -> Result<Engine, Error> {
    let server = Server::open(store, modules, Random::new(config.seed), config.epoch())?;
    Ok(around(config, modules, clock, server, false))
}

/// `is_new` is false for a store in which a lease may stand of a process that is gone.
fn around(config: &Config, modules: &Modules, clock: Clock, mut server: Server, is_new: bool) -> Engine {
    if config.accounts.is_some() {
        server.keep_roles();
        server.keep_all_standing();
    }
    if config.programs {
        server.aggregate_metrics();
    }
    server.max_unavailable = config.max_unavailable_stateful_set;
    let scales_vertically = config.add_ons.contains(&AddOn::Vpa);
    if scales_vertically {
        server.ask(Box::new(Admission));
    }
    let usage = Usage::default();
    let adapters = Adapters {
        prometheus: config.add_ons.contains(&AddOn::PrometheusAdapter),
        keda: config.add_ons.contains(&AddOn::Keda),
        ..Adapters::default()
    };
    let mut shapes = config.shapes();
    let cloud = config.cloud.as_ref().map(|cloud| (cloud.cloud(&shapes), cloud.routes));
    if cloud.is_some() {
        // `--cloud-provider=external`
        shapes.iter_mut().for_each(|shape| shape.taints.push(kit_network::cloud::node::uninitialized()));
    }
    let network = config.network.as_ref().map(|shape| network(shape, modules, config.seed, &clock));
    let databases = config.databases.clone().map(|shape| (shape, processes::Shared::default(), Reports::default()));
    let disks = disk::Shared::default();
    let kubelets = {
        let databases = databases.clone();
        let (images, usage, network) = (config.images.clone(), usage.clone(), network.clone());
        let probes = config.programs.then(|| modules.probes.clone());
        move || -> Box<dyn Component> {
            let kubelets = Kubelets::new(shapes.clone(), images.clone(), usage.clone());
            let kubelets = match &probes {
                Some(probes) => kubelets.with_programs(probes.clone()),
                None => kubelets,
            };
            let kubelets = match &databases {
                Some((_, running, _)) => kubelets.with_processes(running.clone()),
                None => kubelets,
            };
            Box::new(match &network {
                Some(network) => kubelets.with_network(network.clone()),
                None => kubelets,
            })
        }
    };
    let scheduler = {
        let modules = modules.clone();
        move || -> Vec<Box<dyn Component>> { vec![Box::new(Scheduler::new(&modules))] }
    };
    let controllers = {
        let (usage, adapters) = (usage.clone(), adapters.clone());
        let (modules, node_lifecycle) = (modules.clone(), config.node_lifecycle.clone());
        let accounts = config.accounts.clone();
        let has_network = config.network.is_some();
        let reports = databases.as_ref().map(|(.., reports)| reports.clone());
        let max_unavailable = config.max_unavailable_stateful_set;
        move || -> Vec<Box<dyn Component>> {
            let stateful_sets = StatefulSets::new(&modules);
            let stateful_sets = if max_unavailable { stateful_sets.with_max_unavailable() } else { stateful_sets };
            let mut all: Vec<Box<dyn Component>> = vec![
                Box::new(Deployments::new(&modules)),
                Box::new(ReplicaSets::new(&modules)),
                Box::new(DaemonSets::new(&modules)),
                Box::new(Jobs::new(&modules)),
                Box::new(CronJobs::default()),
                Box::new(TtlAfterFinished::default()),
                Box::new(EndpointSlices::new(&modules)),
                Box::new(AllEndpoints::default()),
                Box::new(MirroredSlices::default()),
                Box::new(Disruptions::new(&modules)),
                Box::new(GarbageCollector::new(&modules)),
                Box::new(Namespaces::default()),
                Box::new(ResourceQuotas::default()),
                Box::new(NodeLifecycle::new(&modules, &node_lifecycle)),
                Box::new(TaintEviction::default()),
                Box::new(PodGarbageCollector::default()),
                Box::new(Autoscalers::new(&modules, usage.clone()).with_adapters(adapters.clone())),
                Box::new(stateful_sets),
                Box::new(PersistentVolumes::new(&modules)),
                Box::new(EphemeralVolumes::default()),
                Box::new(AttachDetach::default()),
                Box::new(Expansion::default()),
                Box::new(ClaimProtection::default()),
                Box::new(VolumeProtection::default()),
            ];
            if has_network {
                all.push(Box::new(NodeIpam::new(fabric::pods()).expect("a /16 can be cut into networks of /24")));
            }
            if let Some(reports) = &reports {
                all.push(Box::new(DatabaseOperator::new(&modules, reports.clone())));
            }
            if let Some(ca) = &accounts {
                all.push(Box::new(ServiceAccounts::default()));
                all.push(Box::new(RootCa::new(ca.clone())));
                all.push(Box::new(Tokens::new(ca.clone())));
                all.push(Box::new(ClusterRoleAggregation::default()));
            }
            all
        }
    };
    let machines = {
        let (cloud, network, modules) = (cloud.clone(), network.clone(), modules.clone());
        let is_served = config.accounts.is_some();
        let pipeline = config.pipeline.clone();
        // Whoever is measured stands there as soon as somebody measures.
        let outside = (adapters.keda || adapters.prometheus).then(|| adapters.sources.clone());
        move || -> Vec<Box<dyn Component>> {
            let checks =
                cloud.iter().map(|(cloud, _)| Box::new(HealthChecks::new(cloud.clone())) as Box<dyn Component>);
            let of_network = network.iter().flat_map(|network| -> [Box<dyn Component>; 3] {
                [
                    Box::new(Agents::new(network.clone())),
                    Box::new(Proxies::new(network.clone(), &modules)),
                    Box::new(CoreDns::new(network.clone())),
                ]
            });
            let api = is_served.then(|| Box::new(KubernetesService::default()) as Box<dyn Component>);
            let drivers = if is_served { CsiDrivers::installed() } else { CsiDrivers::default() };
            let drivers: Box<dyn Component> = Box::new(drivers.with_disks(disks.clone()));
            let databases =
                databases.clone().into_iter().flat_map(|(shape, running, reports)| -> [Box<dyn Component>; 2] {
                    [
                        Box::new(Databases::new(shape, running, reports, disks.clone())),
                        Box::new(Snapshots::new(disks.clone())),
                    ]
                });
            let pipeline =
                pipeline.iter().map(|shape| -> Box<dyn Component> { Box::new(Pipeline::new(&modules, shape.clone())) });
            let beside = [kubelets(), drivers].into_iter().chain(databases).chain(checks).chain(api).chain(of_network);
            let outside =
                outside.iter().map(|sources| -> Box<dyn Component> { Box::new(Outside::new(sources.clone())) });
            beside.chain(pipeline).chain(outside).collect()
        }
    };
    let with_network = |engine: Engine| match network.clone() {
        Some(network) => engine.with_network(network),
        None => engine,
    };
    let with_cloud = |engine: Engine| {
        let Some((cloud, routes)) = cloud.clone() else { return engine };
        let modules = modules.clone();
        let manager = move || -> Vec<Box<dyn Component>> {
            let mut all: Vec<Box<dyn Component>> = vec![
                Box::new(CloudNodes::new(cloud.clone())),
                Box::new(Lifecycle::new(cloud.clone())),
                Box::new(Services::new(&modules, cloud.clone())),
            ];
            if routes {
                all.push(Box::new(Routes::new(cloud.clone())));
            }
            all
        };
        engine.with_process(CLOUD, Box::new(manager))
    };
    let hosts = |count| ControlPlane::new(count, &modules.leader_election, Random::new(config.seed));
    let vertical = {
        let (modules, usage) = (modules.clone(), usage.clone());
        move || -> Vec<Box<dyn Component>> {
            vec![Box::new(Recommender::new(&modules, usage.clone())), Box::new(Updater::new(&modules))]
        }
    };
    let with_add_ons = |engine: Engine| {
        let engine = match scales_vertically {
            true => engine.with_process(VERTICAL, Box::new(vertical)),
            false => engine,
        };
        let sources = adapters.sources.clone();
        let keda = move || -> Vec<Box<dyn Component>> { vec![Box::new(Keda::new(sources.clone()))] };
        if adapters.keda { engine.with_process(KEDA, Box::new(keda)) } else { engine }
    };
    if let Some(name) = &config.candidate {
        let controllers_and_nodes = move || controllers().into_iter().chain(machines()).collect();
        let engine = Engine::new(server, Vec::new(), clock)
            .with_process(SCHEDULER, Box::new(scheduler))
            .with_process(CONTROLLERS, Box::new(controllers_and_nodes));
        return with_add_ons(with_network(with_cloud(engine))).with_control_plane(hosts(0).beside_others(name));
    }
    let etcd = config.control_planes > 0;
    let server = if etcd { server.with_etcd(config.control_planes as u64, config.seed) } else { server };
    let engine = Engine::new(server, machines(), clock)
        .with_process(SCHEDULER, Box::new(scheduler))
        .with_process(CONTROLLERS, Box::new(controllers));
    let engine = with_add_ons(with_network(with_cloud(engine)));
    // The leases of a cluster that somebody watches are there with one of each process, too.
    match config.control_planes {
        0 if !(config.programs && is_new) => engine,
        0 => engine.with_control_plane(hosts(1).of_leases_only()),
        count => engine.with_control_plane(hosts(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kit_api::apps::ReplicaSet;
    use kit_api::batch::Job;
    use kit_api::core::Pod;
    use kit_api::pod;
    use kit_apimachinery::object::{Key, Kind, Object};
    use kit_contract::remote::{Link, Transport, catch_lost};
    use kit_server::DeleteOptions;
    use kit_time::agenda::Instant;

    fn web() -> Object {
        let json = r#"{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"web"},"spec":{"replicas":4,
            "selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},
            "spec":{"containers":[{"name":"web","image":"web:1"}]}}}}"#;
        Object::decode(Kind::ReplicaSet, json).expect("a replica set")
    }

    fn pods(engine: &Engine) -> Vec<(String, bool)> {
        let pods = engine.server().snapshot().list(Kind::Pod).filter_map(|stored| stored.get::<Pod>());
        pods.map(|pod| (pod::node_name(pod).unwrap_or("-").to_string(), pod::is_ready(pod))).collect()
    }

    fn probed() -> Object {
        let json = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"probed"},"spec":{"nodeName":"node-1",
            "containers":[{"name":"main","image":"web:1","readinessProbe":{"tcpSocket":{"port":80}}}]}}"#;
        Object::decode(Kind::Pod, json).expect("a pod")
    }

    /// Takes no question, but notes who would have been asked.
    struct Noted(&'static str, Rc<RefCell<Vec<&'static str>>>);

    impl Transport for Noted {
        fn ask(&mut self, _: &str, _: &str) -> Option<String> {
            self.1.borrow_mut().push(self.0);
            None
        }
        fn reject(&mut self, _: String) {}
    }

    #[test]
    fn all_modules_that_are_asked_are_known() {
        let asked: Rc<RefCell<Vec<&str>>> = Rc::default();
        for exercise in kit_contract::EXERCISES {
            let mut modules = solutions::modules();
            modules.replace(exercise, Link::new(Rc::new(RefCell::new(Noted(exercise, asked.clone())))));
            // Making it is the first question.
            for plugin in [Plugin::Flannel, Plugin::Calico] {
                let network = Some(NetworkShape { plugin, ..NetworkShape::default() });
                let add_ons = AddOn::ALL.map(|(_, add_on)| add_on).to_vec();
                let databases = Some(DatabaseShape::default());
                let cloud = Some(CloudShape::default());
                let programs = *exercise == "node/probes";
                let config =
                    Config { cloud, network, databases, add_ons, control_planes: 1, programs, ..Config::default() };
                _ = catch_lost(|| {
                    let mut engine = start(&config, &modules, Clock::default());
                    // One module for each container that has probes.
                    if programs && engine.run_until(Instant::seconds(1)).is_ok() {
                        _ = engine.request(|server| server.create(probed()));
                        _ = engine.run_until(Instant::seconds(9));
                    }
                });
            }
        }
        // Of some each plugin asks; others only one of them does.
        asked.borrow_mut().dedup();
        assert_eq!(*asked.borrow(), ASKED.map(|(exercise, _)| exercise));
    }

    #[test]
    fn namespaces_have_accounts_and_the_certificate_if_there_is_one() {
        for (accounts, count) in [(None, 0), (Some("PEM".to_string()), 4)] {
            let config = Config { accounts, ..Config::default() };
            let mut engine = start(&config, &solutions::modules(), Clock::default());
            engine.run_until(Instant::seconds(1)).expect("the reference answers");
            let made =
                [Kind::ServiceAccount, Kind::ConfigMap].map(|kind| engine.server().snapshot().list(kind).count());
            assert_eq!(made, [count, count]);
        }
    }

    #[test]
    fn a_replica_set_gets_its_pods_and_they_run_on_all_nodes() {
        let mut engine = start(&Config::default(), &solutions::modules(), Clock::default());
        engine.run_until(Instant::seconds(1)).expect("the reference answers");
        engine.request(|server| server.create(web())).expect("a good replica set");
        engine.run_until(Instant::seconds(5)).expect("the reference answers");
        let mut nodes: Vec<_> = pods(&engine).into_iter().filter(|(_, ready)| *ready).map(|(node, _)| node).collect();
        nodes.sort();
        assert_eq!(nodes, ["node-1", "node-1", "node-2", "node-3"]);
        let key = Key::new(Kind::ReplicaSet, "default", "web");
        let set = engine.server().get(&key).expect("it is there").get::<ReplicaSet>().cloned().unwrap_or_default();
        assert_eq!(set.status.and_then(|status| status.available_replicas), Some(4));

        engine.request(|server| server.delete(&key, &DeleteOptions::default())).expect("it can be deleted");
        engine.run_until(Instant::seconds(60)).expect("the reference answers");
        assert_eq!(pods(&engine), []);
    }

    /// The condition with which each job has ended.
    fn ends(engine: &Engine) -> Vec<(String, Option<String>)> {
        let jobs = engine.server().snapshot().list(Kind::Job).filter_map(|stored| stored.get::<Job>());
        let end = |job: &Job| {
            let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
            conditions.last().map(|last| format!("{} {}", last.type_, last.reason.clone().unwrap_or_default()))
        };
        jobs.map(|job| (job.metadata.name.clone().unwrap_or_default(), end(job))).collect()
    }

    #[test]
    fn jobs_run_until_enough_has_succeeded_or_too_much_has_failed() {
        let mut engine = start(&Config::default(), &solutions::modules(), Clock::default());
        for (name, command, spec) in [
            ("indexed", "work", r#""completions":3,"parallelism":2,"completionMode":"Indexed","#),
            ("broken", "fail", r#""backoffLimit":1,"#),
            ("gone", "work", r#""ttlSecondsAfterFinished":5,"#),
        ] {
            let json = format!(
                r#"{{"apiVersion":"batch/v1","kind":"Job","metadata":{{"name":"{name}"}},"spec":{{{spec}"template":
                {{"spec":{{"restartPolicy":"Never","containers":[{{"name":"c","image":"task","command":["{command}"]}}]}}}}}}}}"#
            );
            let job = Object::decode(Kind::Job, &json).expect("a job");
            engine.request(|server| server.create(job)).expect("a good job");
        }
        engine.run_until(Instant::seconds(60)).expect("the reference answers");
        let expected = [("broken", "Failed BackoffLimitExceeded"), ("indexed", "Complete CompletionsReached")];
        assert_eq!(ends(&engine), expected.map(|(name, end)| (name.to_string(), Some(end.to_string()))));
        let pods = engine.server().snapshot().list(Kind::Pod).filter_map(|stored| stored.get::<Pod>());
        assert_eq!(pods.filter(|pod| pod.metadata.finalizers.is_some()).count(), 0);
    }

    #[test]
    fn pods_of_a_node_that_is_gone_are_taken_away() {
        let mut engine = start(&Config::default(), &solutions::modules(), Clock::default());
        let ghost = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"ghost"},
            "spec":{"nodeName":"nowhere","containers":[{"name":"c","image":"app"}]}}"#;
        let ghost = Object::decode(Kind::Pod, ghost).expect("a pod");
        engine.request(|server| server.create(ghost)).expect("a good pod");
        engine.run_until(Instant::seconds(30)).expect("the reference answers");
        assert_eq!(pods(&engine).len(), 1);
        engine.run_until(Instant::seconds(90)).expect("the reference answers");
        assert_eq!(pods(&engine), []);
    }
}
