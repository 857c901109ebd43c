//! # Eviction: a node under pressure
//!
//! When a node runs out of memory, disk or process ids, its kubelet sends a pod away before the kernel does worse. You write the
//! manager that decides when that is, what is removed first, which pod has to go, and who may still come.
//!
//! About 60 minutes · builds on nothing · book: "Eviction: a node under pressure" · stuck? `cargo grade hint node/eviction`
//!
//! Given to you:
//!
//! - `kit::node::eviction::Signal::resource: fn(kit::node::eviction::Signal) -> kit::node::eviction::Resource`: what is short where there is too little of this
//! - `kit::node::eviction::Resource::condition: fn(kit::node::eviction::Resource) -> kit::node::eviction::Condition`: the node's condition then
//!
//! All types are in `kit::node::eviction`.

use kit::node::Eviction;
use kit::node::eviction::{Config, Evicted, Look, NewPod, Seen, Signal};
use std::collections::BTreeMap;

/// What is remembered between looks: of each threshold since when it is met, of each condition when it was last seen, when the
/// last figures were measured, and who goes if garbage isn't enough.
struct Exercise {
    config: Config,
}

impl Eviction for Exercise {
    /// The kubelet begins.
    fn new(config: &Config) -> Self {
        Exercise { config: config.clone() }
    }

    /// The kubelet looks, every ten seconds. A signal that isn't in `available` is known to nobody.
    ///
    /// **Thresholds.** A threshold is *crossed* while less than `below` is available of its signal. It is *met* now if it is
    /// crossed. It is also met if it was *due* after the last look, and less than `below + min_reclaim` is available. It has
    /// been met since the first of the looks, without a gap, that found it met. It is *due* if that was `grace_seconds` ago,
    /// or longer.
    ///
    /// **Conditions.** The condition of each threshold that is met is *seen*, due or not. A condition holds as long as it was
    /// last seen less than `transition_seconds` ago.
    ///
    /// **The first.** Figures that are no newer than those of the last look (`measured_ms`) cost nobody anything. Otherwise, if
    /// thresholds are due, the first of them counts: those about memory before all others, then those that are crossed before
    /// those that are only met, then in the order of the configuration. `reclaims` is its resource.
    ///
    /// **Images first.** Where images and containers that nobody needs take up what the first threshold is about,
    /// `collect_garbage` is true and nobody is evicted yet. That is so for `imagefs`, and for `nodefs` and `containerfs` if
    /// images have no file system of their own.
    ///
    /// **The pod.** Else the first pod of this order, leaving out critical ones, is evicted:
    ///
    /// - Memory, ephemeral storage, inodes: those whose usage is not known, among whom only priority counts; those that use
    ///   more than they request; those of lower priority; those that use most beyond what they request. Nobody requests
    ///   inodes.
    /// - Process ids: those of lower priority; those whose usage is not known; those with most processes.
    ///
    /// Its grace is 1 second if the first threshold is hard (`grace_seconds` is 0). Otherwise it is its own, and at most
    /// `max_pod_grace_seconds`. `exceeding` are its containers that use more memory, or more ephemeral storage, than each of
    /// them requests, in their order; without a request that is 0. For inodes and process ids there are none.
    fn look(&mut self, seen: &Seen, now_ms: i64) -> Look {
        let _ = (seen, now_ms, &self.config);
        todo!("begin with hard thresholds: which are crossed, and which conditions are these?")
    }

    /// Garbage was collected, as the last look wanted, and this is available now. If no threshold of the configuration finds
    /// less than `below + min_reclaim`, that was enough. Otherwise the pod is evicted that the last look would have evicted
    /// without garbage. Nothing else changes.
    fn collected(&mut self, available: &BTreeMap<Signal, i64>) -> Option<Evicted> {
        let _ = available;
        todo!("is there enough now? if not, who would have been evicted?")
    }

    /// Whether a pod that was bound to the node is let in, by the conditions that held after the last look.
    ///
    /// - If none holds, or for critical pods: yes.
    /// - If only `MemoryPressure` holds: yes, but for BestEffort pods that don't tolerate it.
    /// - Otherwise: no.
    fn admit(&mut self, pod: &NewPod) -> bool {
        let _ = pod;
        todo!("which conditions hold?")
    }
}

kit::exercise!(Exercise: Eviction);
