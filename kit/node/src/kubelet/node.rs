//! What a kubelet says of its node: the Node object, its conditions and its lease.
//!
//! Sources: `pkg/kubelet/kubelet_node_status.go`, `pkg/kubelet/nodestatus/setters.go`,
//! `component-helpers/apimachinery/lease/controller.go`.

use crate::program::Machine;
use kit_api::Quantity;
use kit_api::coordination::{Lease, LeaseSpec};
use kit_api::core::{Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo};
use kit_api::eviction::{Threshold, ThresholdConfig};
use kit_api::jiff::Timestamp;
use kit_api::meta::ObjectMeta;
use kit_api::node::condition;
use kit_api::time;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The namespace of nodes' leases.
pub const LEASES: &str = "kube-node-lease";

/// What a node is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeShape {
    /// Its name.
    pub name: String,
    /// CPU for pods, as a quantity.
    pub cpu: String,
    /// Memory for pods, as a quantity.
    pub memory: String,
    /// How many pods it may run.
    pub pods: u32,
    /// Its disk, as a quantity.
    pub disk: String,
    /// How many processes it may have; unlimited if 0.
    pub pids: i64,
    /// When its kubelet evicts pods.
    pub eviction: Eviction,
    /// Its zone (the label `topology.kubernetes.io/zone`).
    pub zone: Option<String>,
    /// More labels.
    pub labels: BTreeMap<String, String>,
    /// What runs its containers.
    pub runtime: super::cri::Runtime,
    /// Pods that its kubelet runs by itself, from files.
    pub manifests: Vec<kit_api::core::Pod>,
    /// Taints, from the start.
    pub taints: Vec<kit_api::core::Taint>,
}

/// When a kubelet evicts pods, in the words of its configuration. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Eviction {
    /// `evictionHard`
    pub hard: BTreeMap<String, String>,
    /// `evictionSoft`
    pub soft: BTreeMap<String, String>,
    /// `evictionSoftGracePeriod`
    pub soft_grace_period: BTreeMap<String, String>,
    /// `evictionMinimumReclaim`
    pub minimum_reclaim: BTreeMap<String, String>,
    /// `evictionMaxPodGracePeriod`
    pub max_pod_grace: i64,
    /// `evictionPressureTransitionPeriod`
    pub transition: i64,
}

impl Default for Eviction {
    fn default() -> Self {
        let hard = [
            ("memory.available", "100Mi"),
            ("nodefs.available", "10%"),
            ("nodefs.inodesFree", "5%"),
            ("imagefs.available", "15%"),
            ("imagefs.inodesFree", "5%"),
        ];
        Eviction {
            hard: hard.map(|(signal, level)| (signal.into(), level.into())).into(),
            soft: BTreeMap::new(),
            soft_grace_period: BTreeMap::new(),
            minimum_reclaim: BTreeMap::new(),
            max_pod_grace: 0,
            transition: 300,
        }
    }
}

impl Eviction {
    /// The thresholds.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in the kubelet's words.
    pub fn thresholds(&self) -> Result<Vec<Threshold>, String> {
        let config = ThresholdConfig {
            eviction_hard: Some(self.hard.clone()),
            eviction_soft: Some(self.soft.clone()),
            eviction_soft_grace_period: Some(self.soft_grace_period.clone()),
            eviction_minimum_reclaim: Some(self.minimum_reclaim.clone()),
        };
        config.parse()
    }
}

impl Default for NodeShape {
    fn default() -> Self {
        NodeShape {
            name: "node".into(),
            cpu: "4".into(),
            memory: "8Gi".into(),
            pods: 110,
            disk: "100Gi".into(),
            pids: 0,
            eviction: Eviction::default(),
            zone: None,
            labels: BTreeMap::new(),
            runtime: super::cri::Runtime::default(),
            manifests: Vec::new(),
            taints: Vec::new(),
        }
    }
}

/// The status of a node's condition Ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// The kubelet says that it is.
    True,
    /// The kubelet says that it isn't.
    False,
    /// The kubelet says nothing.
    Unknown,
}

/// Whether a node is ready; unknown if it never said.
pub fn ready(node: &Node) -> Ready {
    match condition(node, "Ready").map(|ready| ready.status.as_str()) {
        Some("True") => Ready::True,
        Some("False") => Ready::False,
        _ => Ready::Unknown,
    }
}

/// What is said of a condition: its reason, its message, and the reason of an event when it changes.
type Says = (&'static str, &'static str, &'static str);

/// Conditions of a node, and what is said of each when it doesn't hold, and when it does.
const CONDITIONS: [(&str, [Says; 2]); 4] = [
    (
        "MemoryPressure",
        [
            ("KubeletHasSufficientMemory", "kubelet has sufficient memory available", "NodeHasSufficientMemory"),
            ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available", "NodeHasInsufficientMemory"),
        ],
    ),
    (
        "DiskPressure",
        [
            ("KubeletHasNoDiskPressure", "kubelet has no disk pressure", "NodeHasNoDiskPressure"),
            ("KubeletHasDiskPressure", "kubelet has disk pressure", "NodeHasDiskPressure"),
        ],
    ),
    (
        "PIDPressure",
        [
            ("KubeletHasSufficientPID", "kubelet has sufficient PID available", "NodeHasSufficientPID"),
            ("KubeletHasInsufficientPID", "kubelet has insufficient PID available", "NodeHasInsufficientPID"),
        ],
    ),
    (
        "Ready",
        [
            ("KubeletNotReady", "node is shutting down", "NodeNotReady"),
            ("KubeletReady", "kubelet is posting ready status", "NodeReady"),
        ],
    ),
];

/// Reasons of events that tell what changes when these conditions are what holds now.
pub fn changes(node: &Node, holding: &BTreeSet<&str>) -> Vec<&'static str> {
    let there = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let change = |(type_, says): &(&str, [Says; 2])| {
        let now = usize::from(holding.contains(type_));
        let before = there.iter().find(|condition| condition.type_ == *type_)?;
        // Readiness is told of by others.
        (before.status != STATUSES[now] && before.status != "Unknown" && *type_ != "Ready").then_some(says[now].2)
    };
    CONDITIONS.iter().filter_map(change).collect()
}

const STATUSES: [&str; 2] = ["False", "True"];

/// The first three numbers of the addresses of pods on a node. `10.244.0.0` and what follows is enough for 3,072 nodes; those after
/// them share the range that providers keep for themselves (RFC 6598).
pub fn subnet(index: usize) -> String {
    const FIRST: usize = (256 - 244) * 256;
    match index.checked_sub(FIRST) {
        None => format!("10.{}.{}", 244 + index / 256, index % 256),
        Some(index) => format!("100.{}.{}", 64 + index / 256 % 64, index % 256),
    }
}

impl NodeShape {
    /// How many CPUs it has, at least one.
    pub fn cpus(&self) -> usize {
        let cpus = self.cpu.parse::<Quantity>().map_or(0, |cpu| cpu.milli_value() / 1000);
        usize::try_from(cpus).unwrap_or_default().max(1)
    }

    /// What programs find there.
    pub fn machine(&self) -> Machine {
        let memory = self.memory.parse::<Quantity>().map_or(0, |memory| memory.value());
        Machine { cpus: self.cpus(), memory, ..Machine::default() }
    }

    /// The node's own address.
    pub fn address(&self, index: usize) -> String {
        format!("192.168.{}.{}", index / 250, index % 250 + 1)
    }

    /// The object with which the node registers.
    pub fn node(&self, index: usize) -> Node {
        let mut labels = self.labels.clone();
        for (key, value) in [
            ("kubernetes.io/hostname", self.name.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", "amd64"),
        ] {
            labels.insert(key.into(), value.into());
        }
        if let Some(zone) = &self.zone {
            labels.insert("topology.kubernetes.io/zone".into(), zone.clone());
        }
        Node {
            metadata: ObjectMeta { name: Some(self.name.clone()), labels: Some(labels), ..ObjectMeta::default() },
            spec: Some(NodeSpec {
                pod_cidr: Some(format!("{}.0/24", subnet(index))),
                taints: Some(self.taints.clone()).filter(|taints| !taints.is_empty()),
                ..NodeSpec::default()
            }),
            status: None,
        }
    }

    /// The disk without what a hard threshold keeps free (`GetNodeAllocatableReservation`).
    fn disk_for_pods(&self) -> String {
        let Ok(disk) = self.disk.parse::<Quantity>() else { return self.disk.clone() };
        let thresholds = self.eviction.thresholds().unwrap_or_default();
        let hard = |threshold: &&Threshold| threshold.signal == "nodefs.available" && threshold.grace_period.nanos == 0;
        let kept = thresholds.iter().find(hard).map_or(0, |threshold| threshold.value.of(&disk).value());
        (disk.value() - kept).max(0).to_string()
    }

    /// Writes what the kubelet reports into the node's status.
    /// `holding` are the conditions that hold.
    pub fn report(&self, node: &mut Node, index: usize, holding: &BTreeSet<&str>, time: Timestamp) {
        let amounts = |disk: String| -> BTreeMap<_, _> {
            let amounts = [
                ("cpu", self.cpu.clone()),
                ("ephemeral-storage", disk),
                ("memory", self.memory.clone()),
                ("pods", self.pods.to_string()),
            ];
            amounts.map(|(name, amount)| (name.to_string(), kit_api::pod_resources::Text(amount))).into()
        };
        let before = node.status.take().unwrap_or_default();
        let there = before.conditions.unwrap_or_default();
        let conditions = CONDITIONS.map(|(type_, says)| {
            let holds = usize::from(holding.contains(type_));
            let (status, (reason, message, _)) = (STATUSES[holds], says[holds]);
            let same = there.iter().find(|c| c.type_ == type_ && c.status == status);
            NodeCondition {
                type_: type_.into(),
                status: status.into(),
                reason: Some(reason.into()),
                message: Some(message.into()),
                last_heartbeat_time: Some(time::seconds(time)),
                last_transition_time: same.map_or(Some(time::seconds(time)), |same| same.last_transition_time.clone()),
            }
        });
        // Conditions of others, such as NetworkUnavailable, stay as they are.
        let others = there.iter().filter(|c| !conditions.iter().any(|own| own.type_ == c.type_)).cloned();
        let conditions = conditions.iter().cloned().chain(others).collect();
        let address = |type_: &str, address: String| NodeAddress { type_: type_.into(), address };
        node.status = Some(NodeStatus {
            capacity: Some(amounts(self.disk.clone())),
            allocatable: Some(amounts(self.disk_for_pods())),
            node_info: Some(NodeSystemInfo {
                architecture: "amd64".into(),
                container_runtime_version: self.runtime.version().into(),
                kernel_version: "simulated".into(),
                kubelet_version: "v1.33.0".into(),
                operating_system: "linux".into(),
                os_image: "simulated".into(),
                ..NodeSystemInfo::default()
            }),
            addresses: Some(vec![address("InternalIP", self.address(index)), address("Hostname", self.name.clone())]),
            conditions: Some(conditions),
            ..before
        });
    }

    /// The node's lease, renewed now.
    pub fn lease(&self, time: Timestamp) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(LEASES.into()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.name.clone()),
                lease_duration_seconds: Some(40),
                renew_time: Some(time::micros(time)),
                ..LeaseSpec::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_of_a_large_cluster_has_addresses_of_its_own() {
        let first =
            [(0, "10.244.0"), (256, "10.245.0"), (3_071, "10.255.255"), (3_072, "100.64.0"), (4_999, "100.71.135")];
        for (index, expected) in first {
            assert_eq!(subnet(index), expected);
        }
        assert_eq!((0..15_000).map(subnet).collect::<BTreeSet<_>>().len(), 15_000);
    }
}
