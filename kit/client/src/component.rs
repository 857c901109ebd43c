//! A part of the cluster, and what it sees and touches while it is awake.

use crate::cache::Cache;
use crate::explain::Log;
use crate::fault::Fault;
use crate::work_queue::Tally;
use kit_api::jiff::Timestamp;
use kit_apimachinery::object::Kind;
use kit_server::{Change, Server};
use kit_time::agenda::Instant;
use std::any::Any;

/// A part of the control plane, without any input or output of its own.
pub trait Component: Any {
    /// Its name in events and traces, as upstream calls itself there.
    fn name(&self) -> &'static str;
    /// The kinds that it watches.
    fn watches(&self) -> &'static [Kind];
    /// Whether it watches custom resources as well, of whatever kinds there are.
    fn watches_custom(&self) -> bool {
        false
    }
    /// Its watch shows a change; the cache has it already.
    fn observe(&mut self, change: &Change, world: &mut World<'_>);
    /// Does all that is due.
    fn run(&mut self, world: &mut World<'_>);
    /// When it has something to do again, if nothing changes until then.
    fn next_wake(&self) -> Option<Instant>;
    /// What can be seen of it that is in no object, by subject.
    fn shows(&self) -> Vec<(String, String)> {
        Vec::new()
    }
    /// What its work queues have done until now, by the names that upstream's controllers give them.
    fn queues(&self, _now: Instant) -> Vec<(&'static str, Tally)> {
        Vec::new()
    }
    /// Something that was done to the cluster; `false` if it is none of this component's business.
    fn fault(&mut self, _fault: &Fault, _world: &mut World<'_>) -> Result<bool, String> {
        Ok(false)
    }
}

/// What a component can see and touch while it is awake.
pub struct World<'a> {
    /// The time since the cluster began.
    pub now: Instant,
    /// The API server.
    pub server: &'a mut Server,
    /// What the component's watches have shown.
    pub cache: &'a Cache,
    /// Where it says why.
    pub log: &'a mut Log,
}

impl World<'_> {
    /// The calendar time.
    pub fn time(&self) -> Timestamp {
        self.server.time()
    }
}
