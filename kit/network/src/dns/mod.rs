//! Names: what CoreDNS answers, what pods ask, and whom.
//!
//! [`Kubernetes`] is CoreDNS' plugin `kubernetes` over the [`Objects`] of a cluster. The records of services are the
//! exercise's module's; around it stand zones, pods, NS and SOA records, CNAMEs that are followed, and a trace of why.
//! [`resolver`] is the other end: which names a program in a pod tries, and what that costs. [`resolv_conf`] is what the
//! kubelet writes for it, [`cache`] is what a node keeps of the answers, and [`size`] decides when an answer is too large for UDP.

pub mod cache;
mod names;
mod objects;
mod plugin;
pub mod record;
pub mod resolv_conf;
pub mod resolver;
pub mod size;
#[cfg(test)]
mod tests;

pub use objects::Objects;
pub use plugin::{Config, Kubernetes, NoUpstream, PodsMode, Reply, Response, Upstream};
pub use record::{Rcode, RecordData, RecordType, ResourceRecord};
