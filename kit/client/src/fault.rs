//! What can be done to a cluster: nodes, hosts of the control plane and etcd fail and come back, pods end, loads change.

use kit_time::agenda::Instant;

/// What can be done to a cluster. Each has its counterpart.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// A node loses power: its kubelet and all its containers stop. So do hosts of the control plane, and the API server.
    Crash(String),
    /// It comes back; containers start anew.
    Restart(String),
    /// A node is shut down in order: its kubelet ends the pods first, and then its power goes. It comes back by `Restart`.
    ShutDown(String),
    /// A node and the control plane don't hear each other any more; containers run on.
    Partition(String),
    /// They hear each other again.
    Heal(String),
    /// The clock of a node, or of a host of the control plane, is ahead.
    Skew {
        /// The node or host.
        of: String,
        /// By how much; negative if it is behind.
        by: Instant,
    },
    /// etcd uses up its quota.
    Fill,
    /// It has room again.
    Free,
    /// etcd forgets all history but the last revision.
    Compact,
    /// The containers of a pod end with this exit code.
    Kill {
        /// `namespace/name` of the pod.
        pod: String,
        /// The exit code; 137 for out of memory.
        exit_code: i32,
    },
    /// A workload gets so much work to do, shared by its ready pods.
    Load {
        /// `namespace/name` of the Deployment.
        workload: String,
        /// Thousandths of a CPU.
        milli_cpu: i64,
    },
    /// Something is wrong with the cloud.
    Cloud(CloudFault),
    /// Something is wrong with the network of pods.
    Network(NetworkFault),
    /// Something comes from outside of the cluster, or what stands there fails.
    Source(SourceFault),
}

/// What comes from outside of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceFault {
    /// So many jobs more in a queue.
    Queue {
        /// The queue, which is there from its first jobs on.
        name: String,
        /// How many; negative if some are taken away.
        jobs: i64,
    },
    /// A workload gets so many requests, shared by its ready pods.
    Requests {
        /// `namespace/name` of the Deployment.
        workload: String,
        /// How many in a second.
        per_second: i64,
    },
    /// The broker doesn't answer.
    Silence,
    /// It does again.
    Answer,
}

/// What can be wrong with the network of pods on one node. Each has its counterpart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkFault {
    /// The plugin's agent stops; what it has written stays.
    StopAgent(String),
    /// It runs again.
    StartAgent(String),
    /// The node's link carries no packet that is longer than so many bytes, and tells nobody.
    Narrow {
        /// The node.
        node: String,
        /// So many bytes.
        mtu: u32,
    },
    /// It carries what the node's interface sends.
    Widen(String),
    /// There is no room in the node's table of connections.
    Flood(String),
    /// There is room again.
    Ebb(String),
}

/// What can be wrong with a cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloudFault {
    /// Each call takes so much longer.
    Slow(Instant),
    /// Each call fails.
    Failing,
    /// Calls about load balancers are refused, to be made again after so many seconds.
    Throttling(u32),
    /// There may be no more load balancers than so many.
    Quota(usize),
    /// All is well again.
    Fine,
    /// An instance is deleted, and with it its node, which must have crashed.
    Delete(String),
}
