//! The service controller of the cloud controller manager: a load balancer in the cloud for each service that wants one.
//!
//! Source: `staging/src/k8s.io/cloud-provider/controllers/service/controller.go`. The names in parentheses are from there.
//!
//! The kit around the controller watches services and nodes, keeps the queue with its back-off, calls the cloud, writes to
//! the API server and to the events. It looks at a service when [`LoadBalancerController::task`] finds something to do for a
//! new one, or [`LoadBalancerController::service_changed`] says so of one that has changed, and at the hosts of all load
//! balancers when a node appears, is gone, or [`LoadBalancerController::node_changed`] says so. If the API server refuses a
//! write, it says so in an event and tries again later, by itself.

use crate::{Show, flow};
pub use kit_api::core::{Node, Service};
use serde::{Deserialize, Serialize};
use serde_json::Value;

// ANCHOR: contract
/// The finalizer that keeps a service until its load balancer is gone (`LoadBalancerCleanupFinalizer`).
pub const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";
/// The label that keeps a node out of all load balancers (`LabelNodeExcludeBalancers`).
pub const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
/// The key of the taint of a node that the cluster autoscaler is about to delete (`ToBeDeletedTaint`).
pub const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";
/// How long to wait after the first failure (`minRetryDelay`).
pub const FIRST_DELAY_SECONDS: u32 = 5;
/// The longest wait (`maxRetryDelay`).
pub const LONGEST_DELAY_SECONDS: u32 = 300;

contract! {
    /// Keeps a load balancer in the cloud for each service that wants one.
    pub trait LoadBalancerController {
        /// What there is to do for a service, whatever the cloud has.
        ///
        /// A service *wants* a load balancer if its type is `LoadBalancer` and it has no `loadBalancerClass`: with a
        /// class it is another controller's (`wantsLoadBalancer`).
        ///
        /// - [`Task::CleanUp`] if it has the [`FINALIZER`], and is being deleted or is of another type
        ///   (`needsCleanup`). This comes first.
        /// - [`Task::Ensure`] if it wants one.
        /// - [`Task::Nothing`] otherwise.
        fn task(&self, service: &Service) -> Task;

        /// The nodes that a load balancer sends traffic to, in the order in which they are given
        /// (`stableNodeSetPredicates`): all, but for those
        ///
        /// - that are being deleted,
        /// - that have the label [`EXCLUDE`], whatever its value,
        /// - that have a taint with the key [`TO_BE_DELETED`], whatever its effect.
        ///
        /// Whether a node is ready, cordoned or part of the control plane doesn't matter.
        fn hosts(&self, nodes: &[Node]) -> Vec<Host>;

        /// Whether a change of a service is one that its load balancer should follow (`needsUpdate`).
        ///
        /// Never if it wanted none and wants none. Otherwise if one of these is another than before:
        ///
        /// - whether it wants one;
        /// - `spec.loadBalancerSourceRanges`, with their order, while it wants one; `spec.loadBalancerIP`;
        /// - `spec.ports`, with their order; of each port all fields;
        /// - `spec.sessionAffinity` and `spec.sessionAffinityConfig`;
        /// - `spec.externalIPs`, with their order;
        /// - `metadata.annotations` and `metadata.uid`;
        /// - `spec.externalTrafficPolicy` and `spec.healthCheckNodePort`;
        /// - the **number** of `spec.ipFamilies`.
        ///
        /// A list or map that is empty and one that is absent are the same here. Two that want none stay at none, whatever
        /// else has changed. All other fields don't matter.
        fn service_changed(&self, old: &Service, new: &Service) -> bool;

        /// Whether a change of a node is worth a look at the hosts of all load balancers (`shouldSyncUpdatedNode`): if
        /// it got or lost the label [`EXCLUDE`], or if its `spec.providerID` is another.
        ///
        /// The taint [`TO_BE_DELETED`] alone is not: such a node is left out when the hosts are looked at next, and
        /// may serve its open connections until then.
        fn node_changed(&self, old: &Node, new: &Node) -> bool;

        /// One step for one service: what to do now that this has happened.
        ///
        /// The cloud is called at the end of an answer, and what comes of it is the next question. So an answer has at
        /// most one of the three calls, and whatever must be done before the call stands before it.
        ///
        /// **[`Happened::Service`]**: the service is new, has changed, or it is time to try again.
        ///
        /// - If there is a load balancer to ensure: the event `EnsuringLoadBalancer`; the finalizer, unless it is there
        ///   already, *before* the call; the event `UnAvailableLoadBalancer` if there are no hosts; the call
        ///   [`Action::Ensure`] with the hosts, be there none.
        /// - Otherwise there must be none. If the cloud has one: the event `DeletingLoadBalancer` and the call
        ///   [`Action::Delete`]. If it has none: what follows after `Happened::Deleted`, at once.
        ///
        /// **[`Happened::Ensured`]**: the event `EnsuredLoadBalancer`, and the addresses into the status if they are
        /// others than those that it has (`patchStatus`).
        ///
        /// **[`Happened::Deleted`]**: the finalizer is removed if it is there; the event `DeletedLoadBalancer`; the
        /// status is emptied if it has addresses.
        ///
        /// **[`Happened::Nodes`]**: a node appeared, is gone or has changed. If the service wants a load balancer, even
        /// while it is being deleted, and the hosts are others than the ones that the cloud was told last, by their
        /// names and provider IDs, in any order (`nodesSufficientlyEqual`): the call [`Action::UpdateHosts`].
        ///
        /// **[`Happened::Updated`]**: the event `UpdatedLoadBalancer`, or `UnAvailableLoadBalancer` if the cloud was
        /// told that there are no hosts.
        ///
        /// **[`Happened::Failed`]**: the call failed.
        ///
        /// - `Ensure` or `Delete`: the event `SyncLoadBalancerFailed`, and again after a delay of 5 seconds, which
        ///   doubles with each failure in a row up to 300 seconds. Where the cloud said when to come again, and the call
        ///   was `Ensure`, that time instead.
        /// - `UpdateHosts`: nothing if the cloud has no load balancer any more. Otherwise the event
        ///   `UpdateLoadBalancerFailed`, and the service is looked at again at once, after 0 seconds.
        fn sync(&self, request: &SyncRequest) -> SyncResult;
    }
}

/// What there is to do for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// It has nothing to do with load balancers, or is another controller's.
    Nothing,
    /// There must be a load balancer as the service says.
    Ensure,
    /// There must be none, and then the finalizer goes.
    CleanUp,
}

/// A node as a cloud knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The node's name.
    pub name: String,
    /// `spec.providerID`: which machine of the cloud it is; empty if that isn't known.
    #[serde(default)]
    pub provider_id: String,
}

/// What one step sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    /// Why there is something to do.
    pub happened: Happened,
    /// The service as the cache shows it.
    pub service: Service,
    /// All nodes as the cache shows them.
    #[serde(default)]
    pub nodes: Vec<Node>,
    /// Whether the cloud has a load balancer of this service.
    #[serde(default)]
    pub in_cloud: bool,
    /// The hosts that the cloud was last told for this service, by a call that succeeded or failed.
    #[serde(default)]
    pub told: Vec<Host>,
    /// How many calls of `Ensure` or `Delete` for this service have failed in a row, before the one that this may be about.
    #[serde(default)]
    pub failures: u32,
}

/// Why there is something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// The service is new, has changed, or it is time to try again.
    Service,
    /// A node appeared, is gone or has changed.
    Nodes,
    /// The cloud has the load balancer now as it was asked for.
    Ensured {
        /// The IP addresses at which it can be reached.
        addresses: Vec<String>,
    },
    /// The load balancer has the hosts that it was given.
    Updated,
    /// The load balancer is gone.
    Deleted,
    /// The call failed.
    Failed {
        /// Which call.
        call: Call,
        /// In how many seconds the cloud wants to be asked again, if it said so (`api.RetryError`).
        retry_after_seconds: Option<u32>,
    },
}

/// A call of the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `EnsureLoadBalancer`
    Ensure,
    /// `UpdateLoadBalancer`
    UpdateHosts,
    /// `EnsureLoadBalancerDeleted`
    Delete,
}

/// What one step decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncResult {
    /// In this order, until one fails. Events may stand anywhere.
    pub actions: Vec<Action>,
    /// In how many seconds to look at the service again even if nothing happens; none if there is no need.
    pub again_after_seconds: Option<u32>,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Tells people. The kit knows type and message.
    Event(Reason),
    /// Adds [`FINALIZER`] to the service.
    AddFinalizer,
    /// Removes [`FINALIZER`] from the service.
    RemoveFinalizer,
    /// Writes `status.loadBalancer`.
    SetStatus {
        /// The `ip` of each entry of `ingress`; none for an empty status.
        addresses: Vec<String>,
    },
    /// Asks the cloud for a load balancer as the service says, with these hosts; there may be one already.
    Ensure {
        /// The nodes to which it sends traffic, in any order.
        hosts: Vec<Host>,
    },
    /// Asks the cloud to send traffic to these hosts from now on.
    UpdateHosts {
        /// The nodes, in any order.
        hosts: Vec<Host>,
    },
    /// Asks the cloud to delete the load balancer.
    Delete,
}

/// The reason of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// The cloud is about to be asked.
    EnsuringLoadBalancer,
    /// The load balancer is there.
    EnsuredLoadBalancer,
    /// It has other hosts now.
    UpdatedLoadBalancer,
    /// It has no hosts.
    UnAvailableLoadBalancer,
    /// The cloud is about to be asked to delete it.
    DeletingLoadBalancer,
    /// There is no load balancer any more.
    DeletedLoadBalancer,
    /// It could not be ensured, or not be deleted.
    SyncLoadBalancerFailed,
    /// It could not be given other hosts.
    UpdateLoadBalancerFailed,
}
// ANCHOR_END: contract

impl Action {
    /// The call of the cloud that this is, if it is one.
    pub fn call(&self) -> Option<Call> {
        match self {
            Action::Ensure { .. } => Some(Call::Ensure),
            Action::UpdateHosts { .. } => Some(Call::UpdateHosts),
            Action::Delete => Some(Call::Delete),
            _ => None,
        }
    }

    /// The same with hosts in the order of their names.
    fn sorted(&self) -> Action {
        let sorted = |hosts: &[Host]| {
            let mut hosts = hosts.to_vec();
            hosts.sort();
            hosts
        };
        match self {
            Action::Ensure { hosts } => Action::Ensure { hosts: sorted(hosts) },
            Action::UpdateHosts { hosts } => Action::UpdateHosts { hosts: sorted(hosts) },
            other => other.clone(),
        }
    }
}

impl SyncResult {
    /// These actions, and nothing to come back for.
    pub fn of(actions: impl IntoIterator<Item = Action>) -> SyncResult {
        SyncResult { actions: actions.into_iter().collect(), again_after_seconds: None }
    }

    /// The events, and the other actions in an order that says no more than what must be done before what: what stands
    /// before a call of the cloud, and what after it.
    fn ordered(&self) -> (Vec<Action>, Vec<Action>) {
        let (mut events, others): (Vec<Action>, Vec<Action>) =
            self.actions.iter().map(Action::sorted).partition(|action| matches!(action, Action::Event(_)));
        events.sort();
        let parts = others.chunk_by(|one, _| one.call().is_none()).map(|part| {
            let mut part = part.to_vec();
            part.sort_by_key(|action| (action.call().is_some(), action.clone()));
            part
        });
        let others = parts.collect::<Vec<_>>().concat();
        (events, others)
    }
}

fn hosts_line(hosts: &[Host]) -> String {
    let host = |host: &Host| match host.provider_id.as_str() {
        "" => flow(&host.name),
        id => format!("{} ({})", flow(&host.name), flow(&id)),
    };
    let hosts: Vec<_> = hosts.iter().map(host).collect();
    if hosts.is_empty() { "no hosts".into() } else { hosts.join(", ") }
}

fn addresses_line(addresses: &[String]) -> String {
    let addresses: Vec<_> = addresses.iter().map(flow).collect();
    if addresses.is_empty() { "no address".into() } else { addresses.join(", ") }
}

impl Show for SyncResult {
    fn lines(&self) -> Vec<String> {
        let (events, others) = self.ordered();
        let mut lines: Vec<String> = (others.iter().chain(&events))
            .map(|action| match action {
                Action::Event(reason) => format!("event {reason:?}"),
                Action::AddFinalizer => "add the finalizer".into(),
                Action::RemoveFinalizer => "remove the finalizer".into(),
                Action::SetStatus { addresses } => format!("status: {}", addresses_line(addresses)),
                Action::Ensure { hosts } => format!("cloud: ensure, with {}", hosts_line(hosts)),
                Action::UpdateHosts { hosts } => format!("cloud: update hosts to {}", hosts_line(hosts)),
                Action::Delete => "cloud: delete".into(),
            })
            .collect();
        if lines.is_empty() {
            lines.push("no action".into());
        }
        lines.extend(self.again_after_seconds.map(|seconds| format!("again after {seconds}s")));
        lines
    }
    fn meaning(&self) -> String {
        let (events, others) = self.ordered();
        let json = serde_json::to_string(&(events, others)).unwrap_or_default();
        format!("{json} {:?}", self.again_after_seconds)
    }
}

impl Show for Task {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Task::Nothing => "nothing to do".into(),
            Task::Ensure => "ensure".into(),
            Task::CleanUp => "clean up".into(),
        }]
    }
}

impl Show for Host {
    fn lines(&self) -> Vec<String> {
        vec![hosts_line(std::slice::from_ref(self))]
    }
}

/// An object on one line, without what its place says already.
fn object_line(object: &impl Serialize) -> String {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        fields.retain(|name, value| name != "apiVersion" && name != "kind" && *value != serde_json::json!({}));
    }
    flow(&value)
}

impl Show for Service {
    fn lines(&self) -> Vec<String> {
        vec![object_line(self)]
    }
}

impl Show for Node {
    fn lines(&self) -> Vec<String> {
        vec![object_line(self)]
    }
}

impl Show for SyncRequest {
    fn lines(&self) -> Vec<String> {
        let happened = match &self.happened {
            Happened::Service => "the service is new, has changed, or is tried again".into(),
            Happened::Nodes => "nodes have changed".into(),
            Happened::Ensured { addresses } => format!("ensured, at {}", addresses_line(addresses)),
            Happened::Updated => "hosts updated".into(),
            Happened::Deleted => "deleted".into(),
            Happened::Failed { call, retry_after_seconds } => {
                let again =
                    retry_after_seconds.map(|seconds| format!(", and wants to be asked again after {seconds}s"));
                format!("the cloud failed to {}{}", flow(call).replace('_', " "), again.unwrap_or_default())
            }
        };
        let mut lines = vec![happened, format!("service {}", object_line(&self.service))];
        lines.extend(self.nodes.iter().map(|node| format!("node {}", object_line(node))));
        if self.nodes.is_empty() {
            lines.push("no nodes".into());
        }
        let there = if self.in_cloud { "has a load balancer" } else { "has no load balancer" };
        lines.push(format!("the cloud {there}, told {}", hosts_line(&self.told)));
        if self.failures > 0 {
            lines.push(format!("{} failures before", self.failures));
        }
        lines
    }
}
