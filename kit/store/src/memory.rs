//! The store in memory: gone when it is dropped.

use crate::api::*;
use crate::kv::{Kv, Options, unexpected};
use crate::lease::Lessor;
use crate::state::{State, Version};
use crate::txn::{Answer, Command};
use crate::watch::Hub;
use crate::{Result, check};
use std::time::Duration;

/// The store in memory.
#[derive(Debug)]
pub struct Memory {
    pub(crate) state: State,
    hub: Hub,
    lessor: Lessor,
    now: Duration,
    granted: i64,
}

impl Default for Memory {
    fn default() -> Self {
        Memory::new(Options::default())
    }
}

impl Memory {
    /// An empty store.
    pub fn new(options: Options) -> Memory {
        Memory::over(State::default(), options)
    }

    pub(crate) fn over(state: State, options: Options) -> Memory {
        let lessor = Lessor::begin(&state.leases, Duration::ZERO);
        Memory { state, hub: Hub::new(options.progress_interval), lessor, now: Duration::ZERO, granted: 0 }
    }

    /// Carries a command out, but tells no watch yet.
    pub(crate) fn change(&mut self, command: &Command) -> Result<(Answer, Vec<Version>)> {
        command.check()?;
        let answer = command.apply(&mut self.state)?;
        match (command, &answer) {
            (Command::LeaseGrant { id, .. }, Answer::LeaseGrant(ttl)) => self.lessor.renew(*id, *ttl, self.now),
            (Command::LeaseRevoke(id), _) => self.lessor.forget(*id),
            _ => {}
        }
        Ok((answer, self.state.take_changes()))
    }

    pub(crate) fn notify(&mut self, changes: &[Version]) {
        self.hub.notify(&self.state, changes);
    }

    /// An id that no lease has.
    pub(crate) fn free_lease(&mut self) -> i64 {
        loop {
            self.granted += 1;
            if self.state.leases.get(self.granted).is_none() {
                return self.granted;
            }
        }
    }

    /// The lease that ends first within the next so much time; the clock goes on to that moment, or to the end of the time.
    pub(crate) fn ends_within(&mut self, time: &mut Duration) -> Option<i64> {
        let until = self.now + *time;
        let ended = self.lessor.next().filter(|&(end, _)| end <= until);
        let step = ended.map_or(until, |(end, _)| end.max(self.now)) - self.now;
        self.now += step;
        *time -= step;
        self.hub.pass(&self.state, step);
        ended.map(|(_, id)| id)
    }

    fn run(&mut self, command: &Command) -> Result<Answer> {
        let (answer, changes) = self.change(command)?;
        self.notify(&changes);
        Ok(answer)
    }
}

/// A store that carries out commands one by one has etcd's calls.
macro_rules! kv_by_commands {
    () => {
        fn put(&mut self, request: &PutRequest) -> Result<PutResponse> {
            match self.run(&Command::Put(request.clone()))? {
                Answer::Put(answer) => Ok(answer),
                _ => unexpected(),
            }
        }

        fn delete_range(&mut self, request: &DeleteRangeRequest) -> Result<DeleteRangeResponse> {
            match self.run(&Command::DeleteRange(request.clone()))? {
                Answer::DeleteRange(answer) => Ok(answer),
                _ => unexpected(),
            }
        }

        fn txn(&mut self, request: &TxnRequest) -> Result<TxnResponse> {
            match self.run(&Command::Txn(request.clone()))? {
                Answer::Txn(answer) => Ok(answer),
                _ => unexpected(),
            }
        }

        fn compact(&mut self, revision: i64) -> Result<i64> {
            match self.run(&Command::Compact(revision))? {
                Answer::Compact(revision, _) => Ok(revision),
                _ => unexpected(),
            }
        }

        fn lease_grant(&mut self, id: i64, ttl: i64) -> Result<(i64, i64)> {
            let id = if id == 0 { self.free_lease() } else { id };
            match self.run(&Command::LeaseGrant { id, ttl })? {
                Answer::LeaseGrant(ttl) => Ok((id, ttl)),
                _ => unexpected(),
            }
        }

        fn lease_revoke(&mut self, id: i64) -> Result<()> {
            self.run(&Command::LeaseRevoke(id)).map(drop)
        }
    };
}
pub(crate) use kv_by_commands;

impl Kv for Memory {
    kv_by_commands!();

    fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse> {
        check::range(request)?;
        self.state.range(request)
    }

    fn lease_keep_alive(&mut self, id: i64) -> Result<i64> {
        let Some(lease) = self.state.leases.get(id) else { return Ok(0) };
        self.lessor.renew(id, lease.ttl, self.now);
        Ok(lease.ttl)
    }

    fn lease_time_to_live(&mut self, id: i64, keys: bool) -> Result<LeaseStatus> {
        Ok(self.lessor.status(&self.state.leases, id, keys, self.now))
    }

    fn leases(&mut self) -> Result<Vec<i64>> {
        Ok(self.state.leases.iter().map(|(id, _)| id).collect())
    }

    fn watch(&mut self, request: &WatchRequest) -> Result<WatchCreated> {
        Ok(self.hub.watch(&self.state, request))
    }

    fn cancel(&mut self, watch_id: i64) -> Result<bool> {
        Ok(self.hub.cancel(watch_id))
    }

    fn request_progress(&mut self) -> Result<()> {
        self.hub.request_progress();
        Ok(())
    }

    fn poll(&mut self) -> Result<Vec<WatchResponse>> {
        Ok(self.hub.poll(&self.state))
    }

    fn pass(&mut self, mut time: Duration) -> Result<()> {
        while let Some(id) = self.ends_within(&mut time) {
            self.lease_revoke(id)?;
        }
        Ok(())
    }
}
