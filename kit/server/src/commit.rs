//! How a write gets into the store: at once, or when the members of etcd have agreed on it; and when it doesn't.
//!
//! The server decides by what it knows, and writes on condition that it is still so: with several servers, or with an answer
//! that came too late, it may not be. Upstream: `GuaranteedUpdate` in `apiserver/pkg/storage/etcd3/store.go`. Errors of
//! etcd reach the client as they are, with code 500 (`api/v3rpc/rpctypes/error.go` of etcd).

use super::{Error, Server, Snapshot, Stored, Written};
use kit_apimachinery::object::{Key, Object};
use kit_contract::control_plane::{Op, RangeRequest};
use kit_raft::quorum::Quorum;
use kit_time::agenda::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

const TIMED_OUT: &str = "etcdserver: request timed out";
const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";

/// The members of etcd, and what they were asked.
pub(super) struct Etcd {
    quorum: Quorum,
    /// Writes that were not agreed on in time; each still may be.
    asked: BTreeMap<u64, Write>,
    now: Instant,
}

struct Write {
    key: Key,
    op: Op,
    /// What the operation puts.
    object: Option<Object>,
    /// The object's resource version, as the server knew it; none if there was no object.
    version: Option<String>,
    by: Arc<str>,
}

impl Server {
    /// The same server over so many members of etcd.
    pub fn with_etcd(mut self, members: u64, seed: u64) -> Server {
        self.etcd = Some(Etcd { quorum: Quorum::new(members, seed), asked: BTreeMap::new(), now: self.now });
        self
    }

    /// The members of etcd, if there are any besides the one store.
    pub fn quorum(&mut self) -> Option<&mut Quorum> {
        self.etcd.as_mut().map(|etcd| &mut etcd.quorum)
    }

    /// How many members of etcd run and hear each other, and how many there are.
    pub fn members_of_etcd(&self) -> Option<(usize, usize)> {
        self.etcd.as_ref().map(|etcd| etcd.quorum.members())
    }

    /// The member of etcd that leads a majority, if there are members and one does.
    pub fn leader_of_etcd(&self) -> Option<u64> {
        self.etcd.as_ref().and_then(|etcd| etcd.quorum.leader())
    }

    /// Whether the server is stopped.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Why nothing can be written now.
    pub fn outage(&self) -> Option<Error> {
        let led = self.etcd.as_ref().is_none_or(|etcd| etcd.quorum.leader().is_some());
        match (self.stopped, led, self.full) {
            (true, ..) => Some(Error::unreachable()),
            (_, false, _) => Some(Error::internal(TIMED_OUT)),
            (_, _, true) => Some(Error::internal(NO_SPACE)),
            _ => None,
        }
    }

    /// The server stops: nobody is answered, and watches end.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.state.stopped = true;
    }

    /// The server comes back. It knows what the store knows, and no history: whoever has not seen the last change has to
    /// list again.
    ///
    /// # Errors
    ///
    /// If the store has something that was never written.
    pub fn start(&mut self) -> Result<(), Error> {
        self.stopped = false;
        self.state.stopped = false;
        if self.store.shared() {
            return self.load();
        }
        let everything =
            RangeRequest { key: "/registry/".into(), range_end: Some("/registry0".into()), ..Default::default() };
        let found = self.store.range(&everything).map_err(Error::internal)?;
        let keys = self.state.objects.values().flat_map(|objects| objects.keys());
        let keys: BTreeMap<String, Key> = keys.map(|key| (key.path(), key.clone())).collect();
        let mut state = Snapshot { revision: found.revision, ..Snapshot::default() };
        for kv in found.kvs {
            let unknown = || Error::internal(format!("the store has {}, which nobody wrote", kv.key));
            let key = keys.get(&kv.key).ok_or_else(unknown)?;
            let object = decode(key, &kv.value, kv.mod_revision)?;
            state.objects.entry(key.kind).or_default().insert(key.clone(), Stored::new(key, object));
        }
        self.state = state;
        self.dropped += self.log.len();
        self.log.clear();
        self.horizon = self.state.revision;
        Ok(())
    }

    /// etcd has used up its quota (`--quota-backend-bytes`), or has room again. Without room only deletes are taken.
    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// From now on the server answers, and shows in its snapshot and its log, what a crash may undo until [`Server::save`].
    /// Whoever passes on what it says has to wait for that, and lets many writes wait for the disk together.
    pub fn hold(&mut self) {
        self.store.hold();
    }

    /// Whether the server has answered something that a crash may undo.
    pub fn is_unsaved(&self) -> bool {
        self.store.is_unsaved()
    }

    /// Waits until a crash can't undo anything that the server has answered.
    ///
    /// # Errors
    ///
    /// If the store's disk fails. The server knows more than the store then, and must not go on.
    pub fn save(&mut self) -> Result<(), Error> {
        self.store.save().map_err(Error::internal)
    }

    /// Writes one key, on condition that its object is what the server knows.
    pub(super) fn commit(&mut self, key: &Key, op: Op, object: Option<Object>) -> Result<(), Error> {
        let traced = self.begin_write(key, object.as_ref());
        let done = self.commit_now(key, op, object);
        self.end_write(traced, &done);
        done
    }

    fn commit_now(&mut self, key: &Key, op: Op, object: Option<Object>) -> Result<(), Error> {
        if self.stopped {
            return Err(Error::unreachable());
        }
        if self.full && matches!(op, Op::Put { .. }) {
            return Err(Error::internal(NO_SPACE));
        }
        self.readable(key)?;
        let by = self.actor.clone();
        let Some(etcd) = &mut self.etcd else { return self.carry_out(key, op, object, &by) };
        let (number, _) = etcd.quorum.agree();
        let version = self.state.get(key).and_then(|stored| stored.object.meta().resource_version.clone());
        etcd.asked.insert(number, Write { key: key.clone(), op, object, version, by });
        self.carry_out_agreed(number).unwrap_or_else(|| Err(Error::internal(TIMED_OUT)))
    }

    /// Lets the members of etcd go on until `now`.
    pub(super) fn let_etcd_pass(&mut self, now: Instant) {
        let Some(etcd) = &mut self.etcd else { return };
        if now > etcd.now {
            etcd.quorum.pass(now - etcd.now);
            etcd.now = now;
            self.carry_out_agreed(0);
        }
    }

    /// Carries out what was agreed on: what came of the write with this number, if it is among them.
    fn carry_out_agreed(&mut self, number: u64) -> Option<Result<(), Error>> {
        let mut mine = None;
        for agreed in self.etcd.as_mut()?.quorum.agreed() {
            let Some(Write { key, op, object, version, by }) = self.etcd.as_mut()?.asked.remove(&agreed) else {
                continue;
            };
            let there = self.state.get(&key).and_then(|stored| stored.object.meta().resource_version.clone());
            let done = match there == version {
                true => self.carry_out(&key, op, object, &by),
                false => Err(Error::conflict(&key, super::write::MODIFIED)),
            };
            if agreed == number {
                mine = Some(done);
            }
        }
        mine
    }

    fn carry_out(&mut self, key: &Key, op: Op, object: Option<Object>, by: &Arc<str>) -> Result<(), Error> {
        let known = self.store.shared().then(|| self.state.get(key).map_or(0, |stored| stored.revision()));
        let done = self.store.write(&op, known).map_err(Error::internal)?;
        let (path, written) = match op {
            Op::Put { key, value } => (key, object.map(|object| (value, object))),
            Op::Delete { key, .. } => (key, None),
        };
        self.follow(key, &path, written, by)?;
        match done {
            Written::Done => Ok(()),
            Written::Late => {
                self.raced = true;
                Err(Error::conflict(key, super::write::MODIFIED))
            }
        }
    }
}

/// The object of a key as it is in the store, where it has no resource version.
pub(super) fn decode(key: &Key, json: &str, revision: i64) -> Result<Object, Error> {
    let wrong = |e| Error::internal(format!("the store's {} can't be read: {e}", key.path()));
    Ok(Object::decode(key.kind, json).map_err(wrong)?.at_revision(revision))
}
