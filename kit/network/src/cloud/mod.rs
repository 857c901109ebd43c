//! A cloud that is simulated, and the cloud controller manager that speaks with it.
//!
//! The [`provider`] has instances, load balancers with health checks, and routes; its calls take time and can fail. The loops
//! of the manager are components: [`service`] keeps load balancers, [`node`] tells nodes what the cloud knows of them,
//! [`lifecycle`] deletes the nodes whose instances are gone, [`route`] sends the addresses of pods to their nodes.
//! [`health`] is the cloud's own: it asks the targets of load balancers whether they want traffic.

pub mod health;
pub mod lifecycle;
pub mod node;
pub mod provider;
pub mod route;
pub mod service;
#[cfg(test)]
mod tests;

use provider::Cloud;
use std::cell::RefCell;
use std::rc::Rc;

/// One cloud for all who speak with it.
pub type Shared = Rc<RefCell<Cloud>>;
