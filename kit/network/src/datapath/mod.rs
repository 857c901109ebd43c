//! A network that packets walk through, and the plugins that build it.
//!
//! A [`world`] is made of network namespaces (hosts and pods) with interfaces, routes, neighbours and forwarding entries, and of the wires
//! between hosts. A [`walk`] takes one packet through it in the kernel's order and tells each step in a [`trace`]; [`rules`] and
//! [`conntrack`] stand where netfilter has them. A [`cluster`] puts nodes and a plugin behind the verbs of [`cni`] into a world,
//! and [`model`] says whether that is a pod network as Kubernetes asks for one. What a real kernel has to be told of it says [`kernel`].

pub mod calico;
pub mod cilium;
pub mod cluster;
pub mod cni;
pub mod conntrack;
pub mod felix;
pub mod flannel;
pub mod kernel;
pub mod model;
pub mod packet;
pub mod rules;
pub mod sandbox;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod walk;
pub mod world;
