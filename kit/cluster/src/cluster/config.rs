//! What a cluster is made of: what scenarios and `cargo grade cluster up` can ask for.

use crate::pipeline;
use crate::timeline::LoggingShape;
use kit_api::core::NodeAddress;
use kit_api::jiff::Timestamp;
use kit_network::cloud::Shared;
use kit_network::cloud::provider::{Cloud, Instance};
use kit_network::fabric::Shape as NetworkShape;
use kit_node::database::Shape as DatabaseShape;
use kit_node::kubelet::image::Registry;
use kit_node::kubelet::node::NodeShape;
use serde::Deserialize;
use std::cell::RefCell;
use std::rc::Rc;

/// Where the calendar stands when the virtual clock stands at zero: 2025-06-01, a Sunday, at noon UTC.
const EPOCH: i64 = 1_748_779_200;

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
    /// How the add-on `logging` ships logs, and how kubelets rotate them then.
    pub logs: LoggingShape,
    /// Machines that are alike, of which the add-on `cluster_autoscaler` orders more or gives some back. They need a cloud, and
    /// there is one if nothing is said about it.
    pub node_groups: Vec<NodeGroup>,
    /// The flags of that add-on.
    pub cluster_autoscaler: kit_autoscaler::settings::Settings,
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
            logs: LoggingShape::default(),
            node_groups: Vec::new(),
            cluster_autoscaler: Default::default(),
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
    /// kube-state-metrics of `kubernetes/kube-state-metrics`: the objects of the cluster as metrics.
    KubeStateMetrics,
    /// The Cluster Autoscaler of `kubernetes/autoscaler`: more nodes for pods that fit nowhere, and fewer when nobody needs them.
    ClusterAutoscaler,
    /// An agent on each node that ships what containers write, and an index of it that answers as Elasticsearch does.
    Logging,
}

impl AddOn {
    /// All of them, by the names that users know.
    pub const ALL: [(&str, AddOn); 6] = [
        ("vpa", AddOn::Vpa),
        ("keda", AddOn::Keda),
        ("prometheus-adapter", AddOn::PrometheusAdapter),
        ("kube-state-metrics", AddOn::KubeStateMetrics),
        ("cluster-autoscaler", AddOn::ClusterAutoscaler),
        ("logging", AddOn::Logging),
    ];
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
    pub(super) fn instance(&self, shape: &NodeShape, index: usize) -> Instance {
        Instance {
            name: shape.name.clone(),
            zone: shape.zone.clone(),
            instance_type: self.instance_type.clone(),
            addresses: vec![NodeAddress { type_: "InternalIP".into(), address: shape.address(index) }],
            stopped: false,
        }
    }

    pub(super) fn cloud(&self, shapes: &[NodeShape]) -> Shared {
        let instances = shapes.iter().enumerate().map(|(index, shape)| self.instance(shape, index));
        let mut cloud = Cloud::new(&self.region, instances);
        cloud.quota = self.quota;
        Rc::new(RefCell::new(cloud))
    }
}

/// Machines that are alike.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeGroup {
    /// Its name; its nodes are called after it, `pool-1` and so on.
    pub name: String,
    /// So many there are at least.
    pub min: usize,
    /// So many there are at most.
    pub max: usize,
    /// So many there are at the beginning, if that is more than `min`.
    pub size: usize,
    /// What its nodes are.
    pub machine: NodeShape,
    /// What one costs in an hour.
    pub price: f64,
    /// How long a machine takes from its order to its node, in seconds, more or less: a quarter of it is chance. That of AWS, Google
    /// and Azure lies between half a minute and a few minutes, by image and size.
    pub boot_seconds: i64,
}

impl Default for NodeGroup {
    fn default() -> Self {
        NodeGroup {
            name: "pool".into(),
            min: 0,
            max: 10,
            size: 0,
            machine: NodeShape::default(),
            price: 0.1,
            boot_seconds: 60,
        }
    }
}

impl NodeGroup {
    pub(super) fn node(&self, number: usize) -> NodeShape {
        NodeShape { name: format!("{}-{number}", self.name), ..self.machine.clone() }
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
    pub(super) fn epoch(&self) -> Timestamp {
        self.epoch.unwrap_or(Timestamp::from_second(EPOCH).unwrap_or_default())
    }

    pub(super) fn shapes(&self) -> Vec<NodeShape> {
        let of_groups = self
            .node_groups
            .iter()
            .flat_map(|group| (1..=group.size.max(group.min)).map(move |number| group.node(number)));
        self.single().into_iter().chain(of_groups).collect()
    }

    /// The groups of machines; with the autoscaler there is at least one.
    pub(super) fn groups(&self) -> Vec<NodeGroup> {
        let needs = self.node_groups.is_empty() && self.add_ons.contains(&AddOn::ClusterAutoscaler);
        if needs { vec![NodeGroup::default()] } else { self.node_groups.clone() }
    }

    /// The nodes that belong to no group.
    fn single(&self) -> Vec<NodeShape> {
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
