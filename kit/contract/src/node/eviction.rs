//! The eviction manager of a kubelet: when a node is short of something, what is removed, and which pod has to go.
//!
//! Sources: `pkg/kubelet/eviction/eviction_manager.go` (`synchronize`, `Admit`) and `helpers.go` (`thresholdsMet`, the functions that
//! rank pods, `buildSignalToNodeReclaimFuncs`). There, one function looks, removes images and looks again. Here the module answers that images are to be
//! removed, and is told what is left then.
//!
//! Two things are simpler: limits of single volumes and containers (`emptyDir.sizeLimit`, limits of `ephemeral-storage`) are the business of others,
//! and with a file system for images alone all files of a pod count for both. Two things are left open upstream and have a rule here: of thresholds that are
//! crossed at the same time, and of pods that are ranked alike, the first in the list comes first.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

// ANCHOR: contract
contract! {
    /// The eviction manager of one node. Times are milliseconds.
    pub trait Eviction {
        /// The kubelet begins.
        fn new(config: &Config) -> Self;

        /// The kubelet looks, every ten seconds. A signal that isn't in `available` is known to nobody.
        ///
        /// **Thresholds.** A threshold is *crossed* while less than `below` is available of its signal. It is *met* now if it is crossed. It is also
        /// met if it was *due* after the last look, and less than `below + min_reclaim` is available. It has been met since
        /// the first of the looks, without a gap, that found it met. It is *due* if that was `grace_seconds` ago, or longer.
        ///
        /// **Conditions.** The condition of each threshold that is met is *seen*, due or not. A condition holds as long as it was last
        /// seen less than `transition_seconds` ago.
        ///
        /// **The first.** Figures that are no newer than those of the last look (`measured_ms`) cost nobody anything. Otherwise, if
        /// thresholds are due, the first of them counts: those about memory before all others, then those that are crossed before
        /// those that are only met, then in the order of the configuration. `reclaims` is its resource.
        ///
        /// **Images first.** Where images and containers that nobody needs take up what the first threshold is about,
        /// `collect_garbage` is true and nobody is evicted yet. That is so for `imagefs`, and for `nodefs` and `containerfs`
        /// if images have no file system of their own.
        ///
        /// **The pod.** Else the first pod of this order, leaving out critical ones, is evicted:
        ///
        /// - Memory, ephemeral storage, inodes: those whose usage is not known, among whom only priority counts; those that use more than they request; those of lower priority;
        ///   those that use most beyond what they request. Nobody requests inodes.
        /// - Process ids: those of lower priority; those whose usage is not known; those with most processes.
        ///
        /// Its grace is 1 second if the first threshold is hard (`grace_seconds` is 0). Otherwise it is its own, and at most
        /// `max_pod_grace_seconds`. `exceeding` are its containers that use more memory, or more ephemeral storage, than each of them requests,
        /// in their order; without a request that is 0. For inodes and process ids there are none.
        fn look(&mut self, seen: &Seen, now_ms: i64) -> Look;

        /// Garbage was collected, as the last look wanted, and this is available now. If no threshold of the configuration finds less than
        /// `below + min_reclaim`, that was enough. Otherwise the pod is evicted that the last look would have evicted without garbage. Nothing else changes.
        fn collected(&mut self, available: &BTreeMap<Signal, i64>) -> Option<Evicted>;

        /// Whether a pod that was bound to the node is let in, by the conditions that held after the last look.
        ///
        /// - If none holds, or for critical pods: yes.
        /// - If only `MemoryPressure` holds: yes, but for BestEffort pods that don't tolerate it.
        /// - Otherwise: no.
        fn admit(&mut self, pod: &NewPod) -> bool;
    }
}

/// How a kubelet is set up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `evictionHard` and `evictionSoft`. No two are alike.
    pub thresholds: Vec<Threshold>,
    /// `evictionPressureTransitionPeriod`
    pub transition_seconds: i64,
    /// `evictionMaxPodGracePeriod`
    #[serde(default)]
    pub max_pod_grace_seconds: i64,
    /// Whether images have a file system of their own.
    #[serde(default)]
    pub image_fs: bool,
}

/// One threshold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// What it watches.
    pub signal: Signal,
    /// Bytes, or a number.
    pub below: i64,
    /// `evictionSoftGracePeriod`; 0 if it is hard.
    #[serde(default)]
    pub grace_seconds: i64,
    /// `evictionMinimumReclaim`
    #[serde(default)]
    pub min_reclaim: i64,
}

/// What a kubelet watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Signal {
    /// Memory of the node.
    #[serde(rename = "memory.available")]
    Memory,
    /// Memory that pods may use together.
    #[serde(rename = "allocatableMemory.available")]
    AllocatableMemory,
    /// The file system of volumes and logs.
    #[serde(rename = "nodefs.available")]
    Nodefs,
    /// Its inodes.
    #[serde(rename = "nodefs.inodesFree")]
    NodefsInodes,
    /// The file system of images.
    #[serde(rename = "imagefs.available")]
    Imagefs,
    /// Its inodes.
    #[serde(rename = "imagefs.inodesFree")]
    ImagefsInodes,
    /// The file system of what containers write.
    #[serde(rename = "containerfs.available")]
    Containerfs,
    /// Its inodes.
    #[serde(rename = "containerfs.inodesFree")]
    ContainerfsInodes,
    /// Process ids.
    #[serde(rename = "pid.available")]
    Pid,
}

/// What a node is short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Resource {
    /// Bytes of memory.
    #[serde(rename = "memory")]
    Memory,
    /// Bytes on disk.
    #[serde(rename = "ephemeral-storage")]
    EphemeralStorage,
    /// Files.
    #[serde(rename = "inodes")]
    Inodes,
    /// Processes.
    #[serde(rename = "pids")]
    Pids,
}

/// A condition of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Condition {
    /// Too little memory.
    MemoryPressure,
    /// Too little space or too few inodes.
    DiskPressure,
    /// Too few process ids.
    PIDPressure,
}

/// What is known of the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// When it was measured.
    pub measured_ms: i64,
    /// What is left, by signal.
    pub available: BTreeMap<Signal, i64>,
    /// The pods that run, or are about to. One that is being evicted isn't among them.
    #[serde(default)]
    pub pods: Vec<Pod>,
}

/// A pod of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// No other has it.
    pub name: String,
    /// `status.qosClass`
    pub class: QosClass,
    /// `spec.priority`
    #[serde(default)]
    pub priority: i32,
    /// Whether it is static, or has one of the two system priorities.
    #[serde(default)]
    pub critical: bool,
    /// `terminationGracePeriodSeconds`
    #[serde(default = "usual_grace")]
    pub grace_seconds: i64,
    /// What it requests in all.
    #[serde(default)]
    pub requests: Amounts,
    /// What it uses in all, if that is known.
    #[serde(default)]
    pub uses: Option<Usage>,
    /// Of each of its containers.
    #[serde(default)]
    pub containers: Vec<Container>,
}

/// Of a pod or a container, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Amounts {
    /// Memory.
    pub memory: i64,
    /// What containers write, logs and local volumes.
    pub ephemeral_storage: i64,
}

/// What a pod uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// The working set, in bytes.
    pub memory: i64,
    /// What containers write, logs and local volumes, in bytes.
    pub ephemeral_storage: i64,
    /// Files.
    pub inodes: i64,
    /// Processes.
    pub pids: i64,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// No other of its pod has it.
    pub name: String,
    /// What it requests; 0 without a request.
    #[serde(default)]
    pub requests: Amounts,
    /// What it uses.
    #[serde(default)]
    pub uses: Amounts,
}

/// A pod that was bound to the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPod {
    /// Its class.
    pub class: QosClass,
    /// Whether it is static, or has one of the two system priorities.
    #[serde(default)]
    pub critical: bool,
    /// Whether it tolerates the taint `node.kubernetes.io/memory-pressure` with the effect `NoSchedule`.
    #[serde(default)]
    pub tolerates_memory_pressure: bool,
}

/// What follows from a look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Look {
    /// Those that hold.
    pub conditions: BTreeSet<Condition>,
    /// What the kubelet tries to win back, which is an event of the node.
    pub reclaims: Option<Resource>,
    /// Whether unused images and containers that have ended are removed.
    pub collect_garbage: bool,
    /// Who has to go.
    pub evict: Option<Evicted>,
}

/// A pod that has to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evicted {
    /// Its name.
    pub pod: String,
    /// How long it has to end by itself.
    pub grace_seconds: i64,
    /// The threshold that counted.
    pub because: Threshold,
    /// The names of its containers that use more than they request.
    pub exceeding: Vec<String>,
}

impl Signal {
    /// What is short where there is too little of this.
    pub fn resource(self) -> Resource {
        match self {
            Signal::Memory | Signal::AllocatableMemory => Resource::Memory,
            Signal::Nodefs | Signal::Imagefs | Signal::Containerfs => Resource::EphemeralStorage,
            Signal::NodefsInodes | Signal::ImagefsInodes | Signal::ContainerfsInodes => Resource::Inodes,
            Signal::Pid => Resource::Pids,
        }
    }
}

impl Resource {
    /// The condition of a node that is short of it.
    pub fn condition(self) -> Condition {
        match self {
            Resource::Memory => Condition::MemoryPressure,
            Resource::EphemeralStorage | Resource::Inodes => Condition::DiskPressure,
            Resource::Pids => Condition::PIDPressure,
        }
    }
}
// ANCHOR_END: contract

pub use kit_api::qos::QosClass;

/// `DefaultTerminationGracePeriodSeconds`
fn usual_grace() -> i64 {
    30
}

mod show;
