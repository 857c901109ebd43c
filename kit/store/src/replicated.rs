//! The store behind Raft: every change is an entry of the log, and all members apply it to a store of their own.
//!
//! Upstream: `server/etcdserver/v3_server.go` (proposals, linearizable reads, renewals) and `apply.go`; `server/lease` for
//! the leader's lessor; `client/v3/watch.go` for how a watch goes on elsewhere. Network, disks and clocks are simulated, the
//! members are not. Two things are simpler than in etcd. A snapshot is the whole state in JSON. And [`Kv::poll`] waits until
//! the member that tells the watches knows everything that this client was answered, or looks for one that does.

use crate::api::*;
use crate::kv::{Kv, Options, unexpected};
use crate::lease::Lessor;
use crate::memory::kv_by_commands;
use crate::state::{State, Version};
use crate::txn::{Answer, Command};
use crate::watch::Hub;
use crate::{Error, Result, check};
use kit_raft::client::{Client, PATIENCE, Unavailable};
use kit_raft::group::{Group, Machine, Options as GroupOptions};
use kit_raft::{Id, Term};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often somebody looks who leads, in nanoseconds.
const LOOK: i64 = 100_000_000;
/// How long a member may take to hear what others know already, in nanoseconds.
const LAG: i64 = 1_000_000_000;
/// How long the end of a lease may take before it is tried again, in nanoseconds.
const REVOKE: i64 = 1_000_000_000;
/// After how many entries a member takes a snapshot and forgets its log.
const SNAPSHOT_EVERY: u64 = 1000;

/// One member's store. Its watches are its own: they end with the process, and with a snapshot that replaces the state.
pub struct Member {
    state: State,
    hub: Arc<Mutex<Hub>>,
    digest: u64,
}

/// A member's state, whole.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    digest: u64,
    compacted: i64,
    versions: Vec<(i64, KeyValue)>,
    leases: Vec<(i64, i64)>,
}

impl Default for Member {
    fn default() -> Self {
        Member::over(State::default(), 0)
    }
}

impl Member {
    fn over(state: State, digest: u64) -> Member {
        Member { state, hub: Arc::new(Mutex::new(Hub::new(Options::default().progress_interval))), digest }
    }
}

impl Machine for Member {
    type Answer = Result<Answer>;

    fn apply(&mut self, command: &[u8]) -> Result<Answer> {
        let parsed = serde_json::from_slice::<Command>(command);
        let answer = parsed.map_err(|e| Error::Other(e.to_string())).and_then(|command| command.apply(&mut self.state));
        let changes = self.state.take_changes();
        if let Ok(mut hub) = self.hub.lock() {
            hub.notify(&self.state, &changes);
        }
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.digest);
        hasher.write(command);
        // Members whose states differ answer differently sooner or later, and then their digests do.
        hasher.write(&serde_json::to_vec(&answer).unwrap_or_default());
        self.digest = hasher.finish();
        answer
    }

    fn snapshot(&self) -> Vec<u8> {
        let versions = self.state.versions().into_iter().map(|Version { sub, kv }| (sub, kv));
        let snapshot = Snapshot {
            digest: self.digest,
            compacted: self.state.compacted(),
            versions: versions.collect(),
            leases: self.state.leases.iter().map(|(id, lease)| (id, lease.ttl)).collect(),
        };
        serde_json::to_vec(&snapshot).unwrap_or_default()
    }

    fn restore(snapshot: &[u8]) -> Self {
        let Ok(snapshot) = serde_json::from_slice::<Snapshot>(snapshot) else { return Member::default() };
        let versions = snapshot.versions.into_iter().map(|(sub, kv)| Version { sub, kv });
        Member::over(State::load(snapshot.compacted, versions, snapshot.leases), snapshot.digest)
    }

    fn digest(&self) -> u64 {
        self.digest
    }
}

/// Where this client's watches are told: one member, as long as it is the same process.
struct Stream {
    member: Id,
    hub: Arc<Mutex<Hub>>,
    /// The clock of the watches, in nanoseconds.
    now: i64,
}

/// A replicated store and its client, which looks for the leader and waits, on the group's virtual clock.
pub struct Replicated {
    client: Client<Member>,
    options: Options,
    /// The leader's count of when leases end, with the leader and its term.
    lessor: Option<(Id, Term, Lessor)>,
    stream: Option<Stream>,
    /// Each watch as it would be begun again.
    watches: BTreeMap<i64, WatchRequest>,
    progress_asked: u32,
    /// The latest revision, and the latest compaction, that this client heard of.
    seen: i64,
    compacted: i64,
    granted: i64,
}

impl Replicated {
    /// A store of 1, 3 or 5 members, or of any other number, with chance from a seed.
    pub fn new(members: u64, seed: u64, options: Options) -> Replicated {
        let mut group = GroupOptions::new(seed);
        group.snapshot_every = SNAPSHOT_EVERY;
        Replicated {
            client: Client::new(members, group),
            options,
            lessor: None,
            stream: None,
            watches: BTreeMap::new(),
            progress_asked: 0,
            seen: 1,
            compacted: -1,
            granted: 0,
        }
    }

    /// The group, to lose members and links.
    pub fn group(&mut self) -> &mut Group<Member> {
        &mut self.client.group
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.client.group.now().nanos as u64)
    }

    fn free_lease(&mut self) -> i64 {
        let taken = |id| {
            self.client
                .group
                .leader()
                .and_then(|id| self.client.group.machine(id))
                .is_some_and(|m| m.state.leases.get(id).is_some())
        };
        self.granted = (self.granted + 1..).find(|&id| !taken(id)).unwrap_or(i64::MAX);
        self.granted
    }

    fn run(&mut self, command: &Command) -> Result<Answer> {
        command.check()?;
        let text = serde_json::to_vec(command).map_err(|e| Error::Other(e.to_string()))?;
        let answer = self.client.propose(&text, PATIENCE).map_err(|Unavailable| Error::Timeout)??;
        self.seen = self.seen.max(match &answer {
            Answer::Put(answer) => answer.revision,
            Answer::DeleteRange(answer) => answer.revision,
            Answer::Txn(answer) => answer.revision,
            Answer::Compact(revision, _) => *revision,
            Answer::LeaseGrant(_) | Answer::LeaseRevoke => 0,
        });
        if let (Command::Compact(revision), Answer::Compact(..)) = (command, &answer) {
            self.compacted = self.compacted.max(*revision);
        }
        self.look();
        Ok(answer)
    }

    /// A member that knows everything that was answered before.
    fn current(&mut self) -> Result<(Id, &Member)> {
        self.client.read().map_err(|Unavailable| Error::Timeout)
    }

    /// Looks who leads. A new leader counts every lease anew; one that goes on takes note of those that came and went.
    fn look(&mut self) {
        let now = self.now();
        let group = &self.client.group;
        let Some(leader) = group.leader() else { return };
        let (Some(raft), Some(member)) = (group.raft(leader), group.machine(leader)) else { return };
        let leases = &member.state.leases;
        match &mut self.lessor {
            Some((of, term, lessor)) if (*of, *term) == (leader, raft.term()) => lessor.reconcile(leases, now),
            lessor => *lessor = Some((leader, raft.term(), Lessor::begin(leases, now))),
        }
    }

    /// The end of the lease that ends next.
    fn next_end(&self) -> Option<(i64, i64)> {
        let (end, id) = self.lessor.as_ref()?.2.next()?;
        Some((end.as_nanos() as i64, id))
    }

    fn knows(&self, member: &Member) -> bool {
        member.state.revision() >= self.seen && member.state.compacted() >= self.compacted
    }

    /// Whether the watches' member still is the process that it was, has a leader, and knows what this client knows.
    fn follows(&self) -> bool {
        let Some(stream) = &self.stream else { return false };
        let raft = self.client.group.raft(stream.member);
        let member = self.client.group.machine(stream.member);
        raft.is_some_and(|raft| raft.leader().is_some())
            && member.is_some_and(|m| self.knows(m) && Arc::ptr_eq(&m.hub, &stream.hub))
    }

    /// Makes sure that a member tells the watches, if there is one that can.
    fn attach(&mut self) -> Result<()> {
        let deadline = self.client.group.now().nanos + LAG;
        while self.stream.is_some() && !self.follows() && self.client.group.now().nanos < deadline {
            self.client.run(LOOK / 10);
        }
        if self.follows() {
            return Ok(());
        }
        let names = self.stream.take().and_then(|stream| Some(stream.hub.lock().ok()?.next_name()));
        let interval = self.options.progress_interval;
        let watches = self.watches.clone();
        let now = self.client.group.now().nanos;
        let (id, member) = self.current()?;
        let mut hub = Hub::new(interval);
        for (&watch_id, request) in &watches {
            hub.watch(&member.state, &WatchRequest { watch_id, ..request.clone() });
        }
        hub.names_from(names.unwrap_or(0));
        if let Ok(mut of) = member.hub.lock() {
            *of = hub;
        }
        let hub = member.hub.clone();
        self.stream = Some(Stream { member: id, hub, now });
        Ok(())
    }

    /// Asks the hub of the watches' member.
    fn hub<T>(&mut self, ask: impl FnOnce(&mut Hub, &State) -> T) -> Result<T> {
        self.attach()?;
        let now = self.client.group.now().nanos;
        let (Some(stream), group) = (&mut self.stream, &self.client.group) else { return unexpected() };
        let (Some(member), Ok(mut hub)) = (group.machine(stream.member), stream.hub.lock()) else {
            return unexpected();
        };
        hub.pass(&member.state, Duration::from_nanos((now - stream.now) as u64));
        stream.now = now;
        Ok(ask(&mut hub, &member.state))
    }
}

impl Kv for Replicated {
    kv_by_commands!();

    fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse> {
        check::range(request)?;
        let answer = if request.serializable {
            // Whoever is asked answers, without asking the others.
            let any = self.client.group.ids().into_iter().find(|&id| self.client.group.raft(id).is_some());
            any.and_then(|id| self.client.group.machine(id)).ok_or(Error::Timeout)?.state.range(request)?
        } else {
            self.current()?.1.state.range(request)?
        };
        self.seen = self.seen.max(answer.revision);
        Ok(answer)
    }

    fn lease_keep_alive(&mut self, id: i64) -> Result<i64> {
        let Some(ttl) = self.current()?.1.state.leases.get(id).map(|lease| lease.ttl) else { return Ok(0) };
        self.look();
        let now = self.now();
        if let Some((_, _, lessor)) = &mut self.lessor {
            lessor.renew(id, ttl, now);
        }
        Ok(ttl)
    }

    fn lease_time_to_live(&mut self, id: i64, keys: bool) -> Result<LeaseStatus> {
        let (leader, _) = self.current()?;
        self.look();
        let (Some((_, _, lessor)), Some(member)) = (&self.lessor, self.client.group.machine(leader)) else {
            return Err(Error::Timeout);
        };
        Ok(lessor.status(&member.state.leases, id, keys, self.now()))
    }

    fn leases(&mut self) -> Result<Vec<i64>> {
        Ok(self.current()?.1.state.leases.iter().map(|(id, _)| id).collect())
    }

    fn watch(&mut self, request: &WatchRequest) -> Result<WatchCreated> {
        let created = self.hub(|hub, state| hub.watch(state, request))?;
        if created.watch_id >= 0 {
            // What a watch “from now on” wants is decided now, wherever it goes on later.
            let from_now = if request.start_revision == 0 { created.revision + 1 } else { request.start_revision };
            self.watches.insert(created.watch_id, WatchRequest { start_revision: from_now, ..request.clone() });
        }
        Ok(created)
    }

    fn cancel(&mut self, watch_id: i64) -> Result<bool> {
        let running = self.watches.remove(&watch_id).is_some();
        self.hub(|hub, _| hub.cancel(watch_id))?;
        Ok(running)
    }

    fn request_progress(&mut self) -> Result<()> {
        self.progress_asked += 1;
        Ok(())
    }

    fn poll(&mut self) -> Result<Vec<WatchResponse>> {
        let asked = std::mem::take(&mut self.progress_asked);
        let (responses, revision) = self.hub(|hub, state| {
            (0..asked).for_each(|_| hub.request_progress());
            (hub.poll(state), state.revision())
        })?;
        self.seen = self.seen.max(revision);
        for response in responses.iter().filter(|response| response.canceled) {
            self.watches.remove(&response.watch_id);
        }
        // Nothing waits any more, so that all of them know everything up to here.
        for watch in self.watches.values_mut() {
            watch.start_revision = watch.start_revision.max(revision + 1);
        }
        Ok(responses)
    }

    fn pass(&mut self, time: Duration) -> Result<()> {
        let until = self.client.group.now().nanos + time.as_nanos() as i64;
        loop {
            self.look();
            let now = self.client.group.now().nanos;
            if now >= until {
                return Ok(());
            }
            match self.next_end() {
                Some((end, id)) if end <= now => {
                    let text = serde_json::to_vec(&Command::LeaseRevoke(id)).unwrap_or_default();
                    // Without a quorum the lease stays, and is looked at again.
                    _ = self.client.propose(&text, REVOKE);
                }
                next => {
                    let stop = next.map_or(until, |(end, _)| end.min(until)).min(now + LOOK);
                    self.client.run(stop - now);
                }
            }
        }
    }
}
