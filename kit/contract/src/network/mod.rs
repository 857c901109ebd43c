//! Contracts of the chapter `network`.

pub mod kube_proxy;

pub use kube_proxy::*;
