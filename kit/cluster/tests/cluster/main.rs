//! Whole clusters on the virtual clock. One program, since each would be compiled and linked with the whole kit.

mod alerts;
mod book;
mod common;
mod controllers_live;
mod databases;
mod deployments;
mod endpoint_slices;
mod garbage_collection;
mod incidents;
mod metric_sources;
mod namespaces;
mod network;
mod node_autoscaling;
mod nodes;
mod recorded;
mod recordings;
mod reports;
mod seeds;
mod stateful_sets;
mod traces;
mod volumes;
mod webhooks;

/// The clusters write a lot, and so make and drop many objects.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
