//! What the operator of databases and their instances know of each other, beside what is in objects.

use kit_apimachinery::object::Key;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// `apiVersion` and `kind` of a database.
pub const API_VERSION: &str = "databases.example.com/v1";
/// See [`API_VERSION`].
pub const KIND: &str = "DatabaseCluster";
/// The label that says of a pod and a claim to which database they belong.
pub const CLUSTER: &str = "databases.example.com/cluster";
/// The label that says of a pod what its instance is.
pub const ROLE: &str = "databases.example.com/role";

/// What an instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It accepts writes.
    Primary,
    /// It follows a primary, or waits for one.
    Replica,
    /// It does nothing until it knows what to do.
    Stopped,
}

/// What an instance answers when its operator asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// What it does.
    pub state: State,
    /// The timeline of its log.
    pub timeline: u32,
    /// How many records of its log are on the disk.
    pub lsn: u64,
    /// Whether it receives records from a primary.
    pub receiving: bool,
}

/// The answers of those that the control plane can reach, by pod. Instances write it, and the operator reads it.
pub type Reports = Rc<RefCell<BTreeMap<Key, Report>>>;
