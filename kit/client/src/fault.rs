//! What can be done to a cluster: nodes, hosts of the control plane and etcd fail and come back, pods end, loads change.

use kit_time::agenda::Instant;
use serde::Deserialize;
use std::fmt;

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
    /// All drivers of volumes do this from now on when they are called so.
    Volumes(VolumeCall, Conduct),
}

/// What drivers of volumes are called for (`ControllerPublishVolume` and so on of CSI).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeCall {
    /// To attach a volume to a node.
    Attach,
    /// To detach it.
    Detach,
    /// To mount its device on the node.
    Stage,
    /// To give it to a pod there.
    Publish,
}

/// What somebody who is called does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conduct {
    /// What it should.
    #[default]
    Works,
    /// Nothing, and says so at once.
    Fails,
    /// Nothing, and never answers.
    Hangs,
}

impl Conduct {
    /// What gRPC makes of it: the error, or that time is over.
    pub fn error(self) -> &'static str {
        match self {
            Conduct::Works => "",
            Conduct::Fails => "rpc error: code = Internal desc = the driver can't do it now",
            Conduct::Hangs => "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
        }
    }
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

impl fmt::Display for VolumeCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            VolumeCall::Attach => "attach",
            VolumeCall::Detach => "detach",
            VolumeCall::Stage => "stage",
            VolumeCall::Publish => "publish",
        })
    }
}

impl fmt::Display for Conduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Conduct::Works => "works",
            Conduct::Fails => "fails",
            Conduct::Hangs => "hangs",
        })
    }
}
