//! What client-go is upstream: how a component sees the API server and acts on it.
//!
//! A [`component`] is woken with its [`cache`], which the cluster feeds from its watches, and keeps what it has to do in a
//! [`work_queue`]; what fails is tried again after a [`back_off`]. [`leader_election`] lets one of several act, [`informer`] is a client that lists and watches by itself,
//! [`metrics`] is what `metrics.k8s.io` would answer, [`network`] what pods send through, [`disk`] what they write to, and [`explain`] is where a component says why.

pub mod back_off;
pub mod cache;
pub mod component;
pub mod database;
pub mod disk;
pub mod explain;
pub mod fault;
pub mod informer;
pub mod leader_election;
pub mod machine;
pub mod metrics;
pub mod network;
pub mod selectors;
pub mod work_queue;

/// A server with the reference's modules.
#[cfg(test)]
fn reference_server() -> kit_server::Server {
    let modules = solutions::modules();
    let store = modules.store.make(&());
    let random = kit_time::random::Random::new(1);
    kit_server::Server::new(store, &modules, random, kit_api::jiff::Timestamp::UNIX_EPOCH)
}
