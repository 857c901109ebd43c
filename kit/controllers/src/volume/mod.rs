//! Claims and volumes: binding them to each other, keeping what is in use, making claims for pods, attaching volumes to nodes.
//!
//! Each file is a controller of `pkg/controller/volume`. As far as they can they don't watch pods before there is a
//! claim: a cluster without claims is none of their business.

pub mod attach_detach;
pub mod binder;
pub mod ephemeral;
pub mod expand;
pub mod protection;
pub mod snapshot;
mod users;
