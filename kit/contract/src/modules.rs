//! One slot for each contract: the place where a cluster gets its modules from.

use crate::remote::Link;
use crate::{Args, Contract, Make, worker};
use std::process::ExitCode;
use std::rc::Rc;

/// A factory for the modules of one contract.
pub struct Slot<C: Contract + ?Sized>(Rc<Factory<C>>);

type Factory<C> = dyn Fn(&<C as Contract>::Config) -> Box<C>;

impl<C: Contract + ?Sized> Clone for Slot<C> {
    fn clone(&self) -> Self {
        Slot(self.0.clone())
    }
}

impl<C: Contract + ?Sized + 'static> Slot<C> {
    /// Modules of the type `M`, in this process.
    pub fn of<M: Make<C> + 'static>() -> Self {
        Slot(Rc::new(M::make))
    }

    /// Modules that this makes, in this process.
    pub fn by(make: impl Fn(&C::Config) -> Box<C> + 'static) -> Self {
        Slot(Rc::new(make))
    }

    /// Modules behind `link`, in another process.
    pub fn remote(link: Link) -> Self {
        Slot(Rc::new(move |config| C::remote(link.another(), config)))
    }

    /// A new module.
    pub fn make(&self, config: &C::Config) -> Box<C> {
        (self.0)(config)
    }

    pub(crate) fn player(&self) -> Box<dyn Player> {
        Box::new(Slotted { slot: self.clone(), module: None })
    }
}

/// A module asked by the name of a call and JSON arguments: how scenarios speak, whatever the contract.
pub trait Player {
    /// Makes a new instance from the arguments of `new`.
    fn start(&mut self, args: &Args<'_>) -> Result<(), String>;
    /// Asks one call and returns the answer's JSON; an error means that the scenario is wrong.
    fn ask(&mut self, call: &str, args: &Args<'_>) -> Result<String, String>;
    /// See [`Contract::show_answer`].
    fn show_answer(&self, call: &str, answer: &str) -> Result<Vec<String>, String>;
    /// See [`Contract::same`].
    fn same(&self, call: &str, one: &str, other: &str) -> Result<bool, String>;
    /// See [`Contract::show_args`].
    fn show_args(&self, call: &str, args: &Args<'_>) -> Result<Vec<(&'static str, Vec<String>)>, String>;
}

struct Slotted<C: Contract + ?Sized> {
    slot: Slot<C>,
    module: Option<Box<C>>,
}

impl<C: Contract + ?Sized + 'static> Player for Slotted<C> {
    fn start(&mut self, args: &Args<'_>) -> Result<(), String> {
        self.module = None;
        self.module = Some(self.slot.make(&*C::config(args)?));
        Ok(())
    }
    fn ask(&mut self, call: &str, args: &Args<'_>) -> Result<String, String> {
        C::dispatch(self.module.as_mut().ok_or("the first question must be `new`")?, call, args)
    }
    fn show_answer(&self, call: &str, answer: &str) -> Result<Vec<String>, String> {
        C::show_answer(call, answer)
    }
    fn same(&self, call: &str, one: &str, other: &str) -> Result<bool, String> {
        C::same(call, one, other)
    }
    fn show_args(&self, call: &str, args: &Args<'_>) -> Result<Vec<(&'static str, Vec<String>)>, String> {
        C::show_args(call, args)
    }
}

macro_rules! modules {
    ($($(#[$meta:meta])* $name:literal $field:ident: $Trait:path;)+) => {
        /// The names of all exercises that have a contract, in alphabetical order.
        pub const EXERCISES: &[&str] = &[$($name),+];

        /// One slot for each contract.
        #[derive(Clone)]
        pub struct Modules {
            $($(#[$meta])* pub $field: Slot<dyn $Trait>,)+
        }

        impl Modules {
            /// Puts the worker behind `link` into the slot of one exercise; `false` if there is no such exercise.
            pub fn replace(&mut self, exercise: &str, link: Link) -> bool {
                match exercise {
                    $($name => self.$field = Slot::remote(link),)+
                    _ => return false,
                }
                true
            }

            /// The module of one exercise, to be asked by name.
            pub fn player(&self, exercise: &str) -> Option<Box<dyn Player>> {
                match exercise {
                    $($name => Some(self.$field.player()),)+
                    _ => None,
                }
            }
        }

        /// Runs the worker of one exercise over modules of this process; `None` if there is no such exercise.
        pub fn serve(exercise: &str, modules: &Modules) -> Option<ExitCode> {
            match exercise {
                $($name => Some(worker::serve(modules.$field.player())),)+
                _ => None,
            }
        }
    };
}

modules! {
    /// Four plugins of the admission chain.
    "control_plane/admission" admission: crate::control_plane::Admission;
    /// A client that writes what others write, too.
    "control_plane/concurrency" concurrency: crate::control_plane::Concurrency;
    /// The garbage collector.
    "control_plane/garbage_collector" garbage_collector: crate::control_plane::GarbageCollector;
    /// A copy of what the API server has, and whom it tells of changes.
    "control_plane/informer" informer: crate::control_plane::Informer;
    /// One member of a Raft group, as far as it elects.
    "control_plane/raft_election" raft_election: crate::control_plane::RaftElection;
    /// One member of a Raft group, as far as it replicates.
    "control_plane/raft_replication" raft_replication: crate::control_plane::RaftReplication;
    /// The revisioned key-value store.
    "control_plane/store" store: crate::control_plane::Store;
    /// The work queue of a controller.
    "control_plane/work_queue" work_queue: crate::control_plane::WorkQueue;
    /// A platform for functions, and what is paid for it and for a cluster.
    "design/serverless" serverless: crate::design::Serverless;
    /// The operator of a database.
    "failure/database_operator" database_operator: crate::failure::DatabaseOperator;
    /// A candidate in a leader election.
    "failure/leader_election" leader_election: crate::failure::LeaderElection;
    /// The disruption controller, and the API server's evictions.
    "failure/disruption" disruption: crate::failure::Disruption;
    /// The node lifecycle controller.
    "failure/node_lifecycle" node_lifecycle: crate::failure::NodeLifecycle;
    /// The core of the EndpointSlice controller.
    "network/endpoints" endpoints: crate::network::EndpointSlices;
    /// What kube-proxy writes for one service port.
    "network/kube_proxy" kube_proxy: crate::network::KubeProxy;
    /// The verdict of network policies on a connection.
    "network/network_policy" network_policy: crate::network::NetworkPolicies;
    /// What the cluster's DNS server answers.
    "network/dns" dns: crate::network::Dns;
    /// A node's part of the pod network.
    "network/pod_network" pod_network: crate::network::PodNetwork;
    /// The service controller of the cloud controller manager.
    "network/load_balancer" load_balancer: crate::network::LoadBalancerController;
    /// The controller of a release.
    "network/blue_green" blue_green: crate::network::Release;
    /// The eviction manager of a kubelet.
    "node/eviction" eviction: crate::node::Eviction;
    /// What requests and limits become, and what they do.
    "node/limits" limits: crate::node::Limits;
    /// The probes of a container.
    "node/probes" probes: crate::node::Prober;
    /// What becomes of the containers of a pod.
    "node/pod_lifecycle" pod_lifecycle: crate::node::PodLifecycle;
    /// The class of a pod and the OOM scores of its containers.
    "node/qos" qos: crate::node::Qos;
    /// The arithmetic of quantities.
    "objects/quantity" quantity: crate::objects::Quantities;
    /// What selectors mean.
    "objects/selector" selector: crate::objects::Selectors;
    /// What becomes of a rule's alerts, and who is told of them.
    "observability/alerts" alerts: crate::observability::Alerts;
    /// How a request is followed through processes, and which traces are kept.
    "observability/traces" traces: crate::observability::Traces;
    /// The agent that ships the logs of a node.
    "observability/logs" logs: crate::observability::LogAgent;
    /// What is counted, how it is told, and what figures come of it.
    "observability/metrics" metrics: crate::observability::Metrics;
    /// The NodeAffinity plugin.
    "scheduler/node_affinity" node_affinity: crate::scheduler::NodeAffinity;
    /// The InterPodAffinity plugin.
    "scheduler/pod_affinity" pod_affinity: crate::scheduler::InterPodAffinity;
    /// The choices of the DefaultPreemption plugin.
    "scheduler/preemption" preemption: crate::scheduler::Preemption;
    /// The scheduling queue.
    "scheduler/queue" queue: crate::scheduler::SchedulingQueue;
    /// The filter of the NodeResourcesFit plugin.
    "scheduler/resources_fit" resources_fit: crate::scheduler::ResourcesFit;
    /// The scores by resources and images.
    "scheduler/score" score: crate::scheduler::Score;
    /// The filter of the TaintToleration plugin.
    "scheduler/taints" taints: crate::scheduler::Taints;
    /// The PodTopologySpread plugin.
    "scheduler/topology_spread" topology_spread: crate::scheduler::TopologySpread;
    /// The persistent volume controller.
    "storage/claim_binding" claim_binding: crate::storage::ClaimBinding;
    /// The volume manager of a kubelet.
    "storage/volumes" volumes: crate::storage::Volumes;
    /// The DaemonSet controller.
    "workloads/daemon_set" daemon_set: crate::workloads::DaemonSetController;
    /// The decision of the HorizontalPodAutoscaler.
    "workloads/hpa" hpa: crate::workloads::HorizontalPodAutoscaler;
    /// The Job controller.
    "workloads/job" job: crate::workloads::JobController;
    /// The ReplicaSet controller.
    "workloads/replica_set" replica_set: crate::workloads::ReplicaSetController;
    /// What a Deployment remembers, and how it goes back.
    "workloads/rollback" rollback: crate::workloads::DeploymentHistory;
    /// The Deployment controller.
    "workloads/rolling_update" rolling_update: crate::workloads::DeploymentController;
    /// The StatefulSet controller.
    "workloads/stateful_set" stateful_set: crate::workloads::StatefulSetController;
    /// The Vertical Pod Autoscaler: recommender and updater.
    "workloads/vpa" vpa: crate::workloads::VerticalPodAutoscaler;
}
