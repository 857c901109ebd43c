//! The JSON of Kubernetes' objects, compiled once.
//!
//! Serde's code for these types is generic and large, so whoever calls it compiles it, and that takes longer than the
//! whole cluster. Here each type gets four plain functions, in a crate that hardly ever changes.

use k8s_openapi::api::{
    apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch, coordination::v1 as coordination,
    core::v1 as core, discovery::v1 as discovery, networking::v1 as networking, policy::v1 as policy,
    scheduling::v1 as scheduling, storage::v1 as storage,
};
use serde_json::{Result, Value};
use std::cell::RefCell;

/// An object that is read from JSON and written to it, with `apiVersion` and `kind`. Errors say which field is wrong.
pub trait Json: Sized {
    /// From a text.
    fn from_json(json: &str) -> Result<Self>;
    /// From a value.
    fn from_value(value: Value) -> Result<Self>;
    /// As a text.
    fn to_json(&self) -> Result<String>;
    /// As a value.
    fn to_value(&self) -> Result<Value>;
}

/// A text of just the size that it needs: a cluster keeps many of them.
fn text(write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<String> {
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        write(scratch)?;
        std::str::from_utf8(scratch).map(String::from).map_err(|e| serde_json::Error::io(std::io::Error::other(e)))
    })
}

macro_rules! json {
    ($($Type:ty),+ $(,)?) => {$(
        impl Json for $Type {
            fn from_json(json: &str) -> Result<Self> {
                serde_json::from_str(json)
            }
            fn from_value(value: Value) -> Result<Self> {
                serde_json::from_value(value)
            }
            fn to_json(&self) -> Result<String> {
                text(|json| serde_json::to_writer(json, self))
            }
            fn to_value(&self) -> Result<Value> {
                serde_json::to_value(self)
            }
        }
    )+};
}

json! {
    core::Pod,
    core::Node,
    core::Service,
    core::Namespace,
    core::ConfigMap,
    core::Event,
    apps::ReplicaSet,
    apps::Deployment,
    autoscaling::HorizontalPodAutoscaler,
    coordination::Lease,
    discovery::EndpointSlice,
    policy::PodDisruptionBudget,
    scheduling::PriorityClass,
    apps::StatefulSet,
    apps::DaemonSet,
    apps::ControllerRevision,
    batch::Job,
    batch::CronJob,
    core::PersistentVolumeClaim,
    core::PersistentVolume,
    storage::StorageClass,
    storage::CSIDriver,
    storage::CSINode,
    storage::VolumeAttachment,
    core::ResourceQuota,
    core::LimitRange,
    core::Endpoints,
    core::Secret,
    core::ServiceAccount,
    networking::NetworkPolicy,
}
