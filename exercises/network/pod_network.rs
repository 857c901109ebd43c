//! # The pod network: addresses, routes and tunnels
//!
//! Each pod has an address of its own, and each reaches each other without translation. On its own node a bridge does that. For the rest
//! each node runs an agent that writes a few lines into the kernel's tables. You are the plugin that gives pods
//! their addresses, and the agent that writes the lines.
//!
//! About 40 minutes · builds on nothing · book: "The pod network: addresses, routes and tunnels" · stuck? `cargo grade hint network/pod_network`
//!
//! Given to you:
//!
//! - `Cidr.address: Ipv4Addr`, `Cidr.prefix: u8`, `Cidr::first(self)`, `Cidr::last(self)`, `Cidr::contains(self, Ipv4Addr)`,
//!   `Cidr::covers(self, Cidr)`; `u32::from(address)` and `Ipv4Addr::from(number)` are of the standard library
//! - `Node.name`, `Node.address: Ipv4Addr`, `Node.subnet: Cidr`, `Node.mtu: u32`, `Node.range: Option<Cidr>`, `Node.mac: Option<String>`
//! - the network of both requests has `pods`, a `Cidr`, and `backend`, a `Backend`
//! - `AttachRequest.node`, `.network`, `.used: Vec<Ipv4Addr>`, `.last: Option<Ipv4Addr>`
//! - `SyncRequest.node`, `.others: Vec<Node>`, `.network`, `.tables: Tables`
//! - `Tables.routes: Vec<Route>`, `.neighbours: Vec<Neighbour>`, `.forwarding: Vec<Forwarding>`

use kit::network::pod_network::{
    AttachRequest, Attachment, Backend, Change, Cidr, Forwarding, Neighbour, Node, PodNetwork, PodRoute, Refusal,
    Route, SyncRequest, Tables,
};
use std::net::Ipv4Addr;

#[derive(Default)]
struct Exercise;

impl PodNetwork for Exercise {
    /// Gives a pod of this node its address (the CNI verb ADD).
    ///
    /// The gateway is the first address after the range's own; it is the bridge's, and no pod's. The pod gets the next free address after `last`, with
    /// the prefix of the range; after the last one that can be given the search goes on from the first. Neither the range's
    /// own address nor its last one can be given. The MTU is the node's less what the backend adds: 50 bytes for VXLAN, 20 for IPIP.
    /// Two routes, both through the gateway: to `network.pods`, and to everything (`0.0.0.0/0`).
    fn attach(&self, request: &AttachRequest) -> Result<Attachment, Refusal> {
        let _ = (request, Cidr { address: Ipv4Addr::UNSPECIFIED, prefix: 0 }, None::<PodRoute>);
        todo!("which addresses of the range may be given at all, and where does the search begin?")
    }

    /// Brings the tables of the node in line with the other nodes. The changes are applied in the order of the answer.
    ///
    /// To a node that is reached directly (host-gw, or `direct: true` and its address lies in `node.subnet`): a route to its range via its
    /// address on `eth0`. With host-gw nodes elsewhere have no route. VXLAN: on `flannel.1` a route via the range's own address,
    /// `onlink`; a neighbour, this address with the node's mac; a forwarding entry, this mac at the node's address. IPIP: on `tunl0` a route via
    /// the node's address, `onlink`. A node without a range is left out, and one without a mac that needs VXLAN.
    ///
    /// The agent's own are routes within `network.pods` but for the node's own range, and all neighbours and forwarding entries on `flannel.1`: what of
    /// these isn't wanted is deleted, all else stays. What is right isn't written again, what is wrong is written over. At no
    /// moment may a route lead to `flannel.1` whose neighbour or forwarding entry isn't there.
    fn sync(&self, request: &SyncRequest) -> Vec<Change> {
        let wanted = Tables::default();
        let _ = (request, wanted, None::<(Node, Backend, Route, Neighbour, Forwarding)>);
        todo!("write down the tables as they should be, then compare")
    }
}

kit::exercise!(Exercise: PodNetwork);
