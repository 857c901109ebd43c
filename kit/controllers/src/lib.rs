//! The controllers: each watches, compares what is with what should be, and asks the API server for the difference.
//!
//! A controller here is a [`Component`](kit_client::component::Component) around a decision. Where the decision is an
//! exercise, it stands in a slot of [`Modules`](kit_contract::Modules).

pub mod autoscaler;
mod claim;
pub mod cluster_role_aggregation;
pub mod cron_job;
pub mod csi;
pub mod daemon_set;
pub mod database;
mod definitions;
pub mod deployment;
pub mod disruption;
mod expectations;
pub mod garbage_collector;
pub mod horizontal;
pub mod installed;
pub mod job;
pub mod keda;
mod names;
pub mod namespace;
pub mod node_lifecycle;
pub mod outside;
pub mod pod_garbage_collector;
pub mod policy_status;
pub mod replica_set;
pub mod resource_quota;
pub mod root_ca;
pub mod service_account;
pub mod state_metrics;
pub mod stateful_set;
pub mod taint_eviction;
mod template;
pub mod tokens;
pub mod ttl_after_finished;
pub mod vertical;
pub mod volume;

#[cfg(test)]
mod testing;
