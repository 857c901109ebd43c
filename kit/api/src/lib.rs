//! Kubernetes objects and the arithmetic on them, as Kubernetes 1.33 defines both.
//!
//! Objects are those of `k8s-openapi`. What it leaves out, because the API's schema doesn't say it, is here: one
//! file for each concept, under the name that Kubernetes has for it.

pub mod cidr;
pub mod cron;
pub mod daemon_set;
pub mod disruption_budget;
pub mod duration;
pub mod eviction;
pub mod int_or_percent;
pub mod intern;
pub mod name;
pub mod node;
pub mod node_selector;
pub mod owner;
pub mod pod;
pub mod pod_resources;
pub mod preemption;
pub mod qos;
pub mod quantity;
pub mod safe_encode;
pub mod selector;
pub mod time;
pub mod toleration;
pub mod view;
pub mod volume;
pub mod withheld;

pub use intern::Name;
pub use k8s_openapi::api::apps::v1 as apps;
pub use k8s_openapi::api::autoscaling::v2 as autoscaling;
pub use k8s_openapi::api::batch::v1 as batch;
pub use k8s_openapi::api::coordination::v1 as coordination;
pub use k8s_openapi::api::core::v1 as core;
pub use k8s_openapi::api::discovery::v1 as discovery;
pub use k8s_openapi::api::networking::v1 as networking;
pub use k8s_openapi::api::policy::v1 as policy;
pub use k8s_openapi::api::scheduling::v1 as scheduling;
pub use k8s_openapi::api::storage::v1 as storage;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
pub use k8s_openapi::jiff;
pub use quantity::Quantity;
pub use rustc_hash;
pub use view::{NodeView, PodView};
