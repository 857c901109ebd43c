//! TODO: what this module is in Kubernetes.
//!
//! Source: `pkg/…`.

contract! {
    /// TODO: what it decides.
    pub trait Qos {
        /// TODO: what is asked, in which units, and what Kubernetes leaves open.
        fn decide(&self, question: &str) -> String;
    }
}
