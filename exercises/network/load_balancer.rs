//! # LoadBalancers: what a cloud controller does
//!
//! A Service of type LoadBalancer is a wish that somebody else has to grant: the cloud. You write the controller between the
//! two: which services want a load balancer, which nodes it sends traffic to, what change is worth a call, and in which order
//! things are done so that no load balancer is left behind that nobody knows of, but somebody pays for.
//!
//! About 40 minutes · builds on nothing · book: "LoadBalancers: what a cloud controller does" · stuck? `cargo grade hint network/load_balancer`
//!
//! Given to you:
//!
//! - a `SyncResult` of some actions, with nothing to come back for, is made by its function `of`

use kit::network::LoadBalancerController;
use kit::network::load_balancer::{Host, Node, Service, SyncRequest, SyncResult, Task};

/// The controller remembers nothing: all that it knows is in the request.
#[derive(Default)]
struct Exercise;

/// The constants `FINALIZER`, `EXCLUDE`, `TO_BE_DELETED`, `FIRST_DELAY_SECONDS` and `LONGEST_DELAY_SECONDS` stand in
/// `kit::network::load_balancer`, as do `Action`, `Reason`, `Happened` and `Call`.
impl LoadBalancerController for Exercise {
    /// What there is to do for a service, whatever the cloud has.
    ///
    /// A service *wants* a load balancer if its type is `LoadBalancer` and it has no `loadBalancerClass`: with a
    /// class it is another controller's (`wantsLoadBalancer`).
    ///
    /// - `Task::CleanUp` if it has the `FINALIZER`, and is being deleted or is of another type
    ///   (`needsCleanup`). This comes first.
    /// - `Task::Ensure` if it wants one.
    /// - `Task::Nothing` otherwise.
    fn task(&self, service: &Service) -> Task {
        let _ = service;
        todo!("who wants one, and who has a finalizer to get rid of?")
    }

    /// The nodes that a load balancer sends traffic to, in the order in which they are given
    /// (`stableNodeSetPredicates`): all, but for those
    ///
    /// - that are being deleted,
    /// - that have the label `EXCLUDE`, whatever its value,
    /// - that have a taint with the key `TO_BE_DELETED`, whatever its effect.
    ///
    /// Whether a node is ready, cordoned or part of the control plane doesn't matter.
    fn hosts(&self, nodes: &[Node]) -> Vec<Host> {
        let _ = nodes;
        todo!("leave out three kinds of nodes")
    }

    /// Whether a change of a service is one that its load balancer should follow (`needsUpdate`).
    ///
    /// Never if it wanted none and wants none. Otherwise if one of these is another than before:
    ///
    /// - whether it wants one;
    /// - `spec.loadBalancerSourceRanges`, while it wants one; `spec.loadBalancerIP`;
    /// - `spec.ports`, with their order; of each port all fields;
    /// - `spec.sessionAffinity` and `spec.sessionAffinityConfig`;
    /// - `spec.externalIPs`, with their order;
    /// - `metadata.annotations` and `metadata.uid`;
    /// - `spec.externalTrafficPolicy` and `spec.healthCheckNodePort`;
    /// - the **number** of `spec.ipFamilies`.
    ///
    /// A list or map that is empty and one that is absent are the same here. Two that want none stay at none, whatever
    /// else has changed. All other fields don't matter.
    fn service_changed(&self, old: &Service, new: &Service) -> bool {
        let _ = (old, new);
        todo!("first whether each wants one, then field by field")
    }

    /// Whether a change of a node is worth a look at the hosts of all load balancers (`shouldSyncUpdatedNode`): if
    /// it got or lost the label `EXCLUDE`, or if its `spec.providerID` is another.
    ///
    /// The taint `TO_BE_DELETED` alone is not: such a node is left out when the hosts are looked at next, and
    /// may serve its open connections until then.
    fn node_changed(&self, old: &Node, new: &Node) -> bool {
        let _ = (old, new);
        todo!("two things count")
    }

    /// One step for one service: what to do now that this has happened.
    ///
    /// The cloud is called at the end of an answer, and what comes of it is the next question. So an answer has at
    /// most one of the three calls, and whatever must be done before the call stands before it.
    ///
    /// **`Happened::Service`**: the service is new, has changed, or it is time to try again.
    ///
    /// - If there is a load balancer to ensure: the event `EnsuringLoadBalancer`; the finalizer, unless it is there
    ///   already, *before* the call; the event `UnAvailableLoadBalancer` if there are no hosts; the call
    ///   `Action::Ensure` with the hosts, be there none.
    /// - Otherwise there must be none. If the cloud has one: the event `DeletingLoadBalancer` and the call
    ///   `Action::Delete`. If it has none: what follows after `Happened::Deleted`, at once.
    ///
    /// **`Happened::Ensured`**: the event `EnsuredLoadBalancer`, and the addresses into the status if they are
    /// others than those that it has (`patchStatus`).
    ///
    /// **`Happened::Deleted`**: the finalizer is removed if it is there; the event `DeletedLoadBalancer`; the
    /// status is emptied if it has addresses.
    ///
    /// **`Happened::Nodes`**: a node appeared, is gone or has changed. If the service wants a load balancer, even
    /// while it is being deleted, and the hosts are others than the ones that the cloud was told last, by their
    /// names and provider IDs, in any order (`nodesSufficientlyEqual`): the call `Action::UpdateHosts`.
    ///
    /// **`Happened::Updated`**: the event `UpdatedLoadBalancer`, or `UnAvailableLoadBalancer` if the cloud was
    /// told that there are no hosts.
    ///
    /// **`Happened::Failed`**: the call failed.
    ///
    /// - `Ensure` or `Delete`: the event `SyncLoadBalancerFailed`, and again after a delay of 5 seconds, which
    ///   doubles with each failure in a row up to 300 seconds. Where the cloud said when to come again, and the call
    ///   was `Ensure`, that time instead.
    /// - `UpdateHosts`: nothing if the cloud has no load balancer any more. Otherwise the event
    ///   `UpdateLoadBalancerFailed`, and the service is looked at again at once, after 0 seconds.
    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let _ = request;
        todo!("one arm for each thing that can have happened; begin with a new service")
    }
}

kit::exercise!(Exercise: LoadBalancerController);
