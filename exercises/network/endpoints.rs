//! # EndpointSlices: who stands behind a service
//!
//! A Service is a name and a selector. Which pods that means now, at which ports, and which of them may get requests,
//! stands in EndpointSlices, and kube-proxy and DNS read nothing else. You write the core of the controller that keeps
//! them: from the pods and the slices that are there to the few slices that have to be written.
//!
//! About 45 minutes · builds on nothing · book: "EndpointSlices: who stands behind a service" · stuck? `cargo grade hint network/endpoints`

// All types of the questions and answers; the book's chapter lists them.
use kit::network::endpoints::*;

/// The controller remembers nothing between two looks: all that it knows is in the request.
#[derive(Default)]
struct Exercise;

impl EndpointSlices for Exercise {
    /// The slices to write.
    ///
    /// - **Groups.** Pods whose endpoints have the same ports, in whatever order, share slices. A slice whose ports no
    ///   endpoint has now is deleted.
    /// - **What is there.** Slices of a group, in the request's order: an endpoint stays if a pod of the group has one
    ///   with the same pod, address and hostname, and gets its new conditions, node and zone; all others go, and so does
    ///   what stands in the group a second time. A slice that loses its last endpoint this way is deleted. A slice in
    ///   which anything changed is updated, and so is one that is `outdated`. Nothing moves from slice to slice.
    /// - **What is missing**, in the order of the pods: into slices that are updated anyway, the fullest first, of equally
    ///   full ones the earlier; the rest into one unchanged slice of the group, if fewer than `max_endpoints` are left and
    ///   all of them fit, the fullest of these and of equally full ones the earliest; else into a new slice, and so on.
    /// - **An empty one.** Where no slice would be left and none created, create one without ports and endpoints. But where
    ///   just one would be deleted, and it has no ports and no endpoints and isn't outdated, leave it.
    /// - **Few writes.** A slice that would be deleted is updated to one that would be created. The first of the request
    ///   takes over the last new one, the next the last but one. New ones are in the order in which they were filled, and
    ///   groups in the order of their first pod.
    fn reconcile(&self, request: &Request) -> Plan {
        let _ = (request, endpoint, ports);
        todo!("group the endpoints by their ports, pack each group, then see what would be deleted and created")
    }
}

/// The endpoint of a pod, if it has one: it has an address, and has not finished (phase `Succeeded` or `Failed`).
///
/// `serving`: the pod is ready. `terminating`: it is being deleted. `ready`: serving and not terminating, or true in any
/// case if the service publishes addresses that are not ready.
fn endpoint(service: &Service, pod: &Pod) -> Option<Endpoint> {
    let _ = (service, pod);
    todo!("ready, serving and terminating, and where the pod is")
}

/// The ports of a service, in its order, with the numbers that they have at this pod. What the pod doesn't have is left
/// out.
///
/// A number means itself. A name means the first port with this name and the service port's protocol, of the main
/// containers, and then of the sidecars; other init containers don't count.
fn ports(service: &Service, pod: &Pod) -> Vec<Port> {
    let _ = (service, pod);
    todo!("find the number of each port at this pod")
}

kit::exercise!(Exercise: kit::network::EndpointSlices);
