//! A whole cluster: nodes, control plane and the modules in their slots.

mod asked;
mod config;
mod machines;

pub use asked::{API_SERVER, ASKED, ELECTIONS, NODES};
pub use config::{AddOn, CloudShape, Config, NodeGroup, Nodes};

use crate::control_plane::ControlPlane;
use crate::engine::{Clock, Engine};
use crate::pipeline::Pipeline;
use crate::timeline::Logging;
use crate::webhooks::Pods;
use asked::{AUTOSCALER, CLOUD, CONTROLLERS, KEDA, SCHEDULER, VERTICAL};
use kit_autoscaler::ClusterAutoscaler;
use kit_client::component::Component;
use kit_client::database::Reports;
use kit_client::disk;
use kit_client::machine;
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
use kit_controllers::installed::Installed;
use kit_controllers::job::Jobs;
use kit_controllers::keda::operator::Operator as Keda;
use kit_controllers::namespace::Namespaces;
use kit_controllers::node_lifecycle::NodeLifecycle;
use kit_controllers::outside::Outside;
use kit_controllers::pod_garbage_collector::PodGarbageCollector;
use kit_controllers::policy_status::PolicyStatus;
use kit_controllers::replica_set::ReplicaSets;
use kit_controllers::resource_quota::ResourceQuotas;
use kit_controllers::root_ca::RootCa;
use kit_controllers::service_account::ServiceAccounts;
use kit_controllers::state_metrics;
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
use kit_network::cloud::health::HealthChecks;
use kit_network::cloud::lifecycle::Lifecycle;
use kit_network::cloud::node::Nodes as CloudNodes;
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
use kit_node::kubelet::node::NodeShape;
use kit_node::kubelet::processes;
use kit_scheduler::Scheduler;
use kit_server::{Backend, Error, Server};
use kit_time::agenda::Instant;
use kit_time::random::Random;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

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
        server.mount_tokens = true;
    }
    if config.programs {
        server.aggregate_metrics();
    }
    server.max_unavailable = config.max_unavailable_stateful_set;
    server.call_webhooks_with(Box::new(Pods { images: config.images.clone() }));
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
    let groups = config.groups();
    let cloud_shape = config.cloud.clone().or_else(|| (!groups.is_empty()).then(CloudShape::default));
    let cloud = cloud_shape.as_ref().map(|cloud| (cloud.cloud(&shapes), cloud.routes));
    let machines_of_groups = machine::Shared::default();
    let node_groups = cloud.as_ref().zip(cloud_shape).filter(|_| !groups.is_empty()).map(|((cloud, _), shape)| {
        let (cloud, kubelets) = (cloud.clone(), machines_of_groups.clone());
        let random = Random::new(config.seed);
        let machines = machines::Machines::new(&groups, &shape, cloud, kubelets, random, shapes.len());
        Rc::new(RefCell::new(machines))
    });
    let uninitialized = || kit_network::cloud::node::uninitialized();
    if cloud.is_some() {
        // `--cloud-provider=external`
        shapes.iter_mut().for_each(|shape| shape.taints.push(uninitialized()));
    }
    let network = config.network.as_ref().map(|shape| network(shape, modules, config.seed, &clock));
    let databases = config.databases.clone().map(|shape| (shape, processes::Shared::default(), Reports::default()));
    let disks = disk::Shared::default();
    let kubelets = {
        let databases = databases.clone();
        let (images, usage, network) = (config.images.clone(), usage.clone(), network.clone());
        let modules = modules.clone();
        let probes = config.programs.then(|| modules.probes.clone());
        let mut of_groups: BTreeMap<String, NodeShape> =
            groups.iter().map(|group| (group.name.clone(), group.machine.clone())).collect();
        of_groups.values_mut().for_each(|shape| shape.taints.push(uninitialized()));
        move || -> Box<dyn Component> {
            let kubelets = Kubelets::new(shapes.clone(), images.clone(), usage.clone(), &modules);
            let kubelets =
                kubelets.with_machines(machines_of_groups.clone(), of_groups.clone(), modules.eviction.clone());
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
                all.push(Box::new(PolicyStatus::default()));
            }
            all
        }
    };
    let machines = {
        let (cloud, network, modules) = (cloud.clone(), network.clone(), modules.clone());
        let is_served = config.accounts.is_some();
        let pipeline = config.pipeline.clone();
        let has = |add_on| config.add_ons.contains(&add_on);
        let (has_state_metrics, has_logging) = (has(AddOn::KubeStateMetrics), has(AddOn::Logging));
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
            let state_metrics = has_state_metrics.then(state_metrics::installed);
            let installed = state_metrics.into_iter().chain(has_logging.then(Installed::log_index));
            let installed = installed.map(|installed| Box::new(installed) as Box<dyn Component>);
            beside.chain(pipeline).chain(outside).chain(installed).collect()
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
        let engine = match config.add_ons.contains(&AddOn::Logging) {
            true => engine.with_logging(Logging::new(&config.logs, modules, Instant::default()).served()),
            false => engine,
        };
        let engine = match scales_vertically {
            true => engine.with_process(VERTICAL, Box::new(vertical)),
            false => engine,
        };
        let sources = adapters.sources.clone();
        let keda = move || -> Vec<Box<dyn Component>> { vec![Box::new(Keda::new(sources.clone()))] };
        let engine = if adapters.keda { engine.with_process(KEDA, Box::new(keda)) } else { engine };
        let Some(machines) = node_groups.clone().filter(|_| config.add_ons.contains(&AddOn::ClusterAutoscaler)) else {
            return engine;
        };
        let (modules, settings, random) =
            (modules.clone(), config.cluster_autoscaler.clone(), Random::new(config.seed));
        let autoscaler = move || -> Vec<Box<dyn Component>> {
            vec![Box::new(ClusterAutoscaler::new(settings.clone(), machines.clone(), &modules, random))]
        };
        engine.with_process(AUTOSCALER, Box::new(autoscaler))
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
mod tests;
