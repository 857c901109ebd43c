//! The whole cluster around the modules: deterministic, on a virtual clock, without I/O.
//!
//! The [`engine`] wakes one component at a time. [`control_plane`] has the hosts on which the processes of the control
//! plane run, [`cluster`] puts components and modules together, [`timeline`] plays what scenarios do to them, and an
//! [`incident`] is what is left for somebody to mend. A [`recording`] is what a picture is made of, and [`metrics`] what Prometheus sees.

pub mod cluster;
pub mod control_plane;
pub mod engine;
pub mod incident;
pub mod metrics;
pub mod pipeline;
pub mod recording;
pub mod timeline;
mod webhooks;
