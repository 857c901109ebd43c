//! What the autoscaler asks of a cloud (`cloudprovider/cloud_provider.go`: `CloudProvider`, `NodeGroup`).

use kit_api::core::Node;
use kit_time::agenda::Instant;
use std::cell::RefCell;
use std::rc::Rc;

/// Machines that are alike, of which there can be more or fewer.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// So many there are at least.
    pub min: usize,
    /// So many there are at most.
    pub max: usize,
    /// So many the cloud wants there to be now.
    pub target: usize,
    /// A new node of it, ready, before anything runs there.
    pub template: Node,
    /// What one machine costs in an hour.
    pub price: f64,
}

/// A cloud with groups of machines.
pub trait Cloud {
    /// All groups, by name.
    fn groups(&self) -> Vec<Group>;

    /// The group that the machine of a node belongs to; none if it belongs to none, or is gone.
    fn group_of(&self, node: &str) -> Option<String>;

    /// Orders so many machines more.
    ///
    /// # Errors
    ///
    /// What the cloud says.
    fn increase(&mut self, group: &str, by: usize, now: Instant) -> Result<(), String>;

    /// Gives the machine of a node back; its group wants one machine less from then on.
    ///
    /// # Errors
    ///
    /// What the cloud says.
    fn delete(&mut self, node: &str) -> Result<(), String>;
}

/// One cloud for all who speak with it.
pub type Shared = Rc<RefCell<dyn Cloud>>;
