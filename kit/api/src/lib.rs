//! Kubernetes objects and the arithmetic on them, as Kubernetes 1.33 defines both.

pub use k8s_openapi::api::apps::v1 as apps;
pub use k8s_openapi::api::core::v1 as core;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
