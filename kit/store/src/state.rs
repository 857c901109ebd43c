//! What a store holds, and how a change changes it: the same on every member of a group, and after every restart.
//!
//! Upstream: `server/mvcc/{kvstore,kvstore_txn,key_index}.go` and `server/etcdserver/apply.go`. There a key's versions are
//! found through an index in memory and read from a file; here they are in memory.

use crate::api::*;
use crate::lease::Leases;
use crate::{Bytes, Error, Result};
use std::collections::{BTreeMap, VecDeque};

/// One version of one key, or the fact that it was deleted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Version {
    /// Its place among the changes of its revision.
    pub sub: i64,
    pub kv: KeyValue,
}

/// The whole state.
#[derive(Debug)]
pub(crate) struct State {
    revision: i64,
    /// The revision of the last compaction; -1 before the first.
    compacted: i64,
    /// All versions of each key that can still be read, oldest first.
    keys: BTreeMap<Bytes, Vec<Version>>,
    /// All versions from the last compaction on, in the order in which they were written.
    history: VecDeque<Version>,
    pub leases: Leases,
    /// What was written since this was last taken.
    changes: Vec<Version>,
}

impl Default for State {
    fn default() -> Self {
        State {
            revision: 1,
            compacted: -1,
            keys: BTreeMap::new(),
            history: VecDeque::new(),
            leases: Leases::default(),
            changes: Vec::new(),
        }
    }
}

impl State {
    /// A state as it was saved: its versions in the order in which they were written, and its leases.
    pub fn load(
        compacted: i64,
        versions: impl IntoIterator<Item = Version>,
        leases: impl IntoIterator<Item = (i64, i64)>,
    ) -> State {
        let mut state = State { compacted, ..State::default() };
        leases.into_iter().for_each(|(id, ttl)| state.leases.restore(id, ttl));
        for version in versions {
            state.revision = version.kv.mod_revision;
            state.write(version);
        }
        state.revision = state.revision.max(compacted);
        state.changes.clear();
        state.history.retain(|version| version.kv.mod_revision >= compacted);
        for (key, versions) in &state.keys {
            if let Some(now) = versions.last().filter(|now| now.kv.lease != 0) {
                state.leases.attach(now.kv.lease, key);
            }
        }
        state
    }

    /// All versions that [`State::load`] needs, in the order in which they were written.
    pub fn versions(&self) -> Vec<Version> {
        let older = |version: &&Version| version.kv.mod_revision < self.compacted;
        let mut versions: Vec<_> = self.keys.values().flatten().filter(older).cloned().collect();
        versions.sort_by_key(|version| (version.kv.mod_revision, version.sub));
        versions.extend(self.history.iter().cloned());
        versions
    }

    pub fn revision(&self) -> i64 {
        self.revision
    }

    pub fn compacted(&self) -> i64 {
        self.compacted
    }

    /// What was written since this was last called.
    pub fn take_changes(&mut self) -> Vec<Version> {
        std::mem::take(&mut self.changes)
    }

    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse> {
        self.range_at(request, self.revision)
    }

    /// A read, where `now` is the revision that a transaction is about to make.
    pub(crate) fn range_at(&self, request: &RangeRequest, now: i64) -> Result<RangeResponse> {
        let at = if request.revision > 0 { request.revision } else { now };
        if at > now {
            return Err(Error::FutureRevision);
        }
        if at < self.compacted {
            return Err(Error::Compacted);
        }
        let RangeRequest { key, range_end, limit, sort_order, sort_target, .. } = request;
        let mut answer = RangeResponse { revision: now, ..RangeResponse::default() };
        if request.count_only {
            answer.count = self.visible(key, range_end, at).count() as i64;
            return Ok(answer);
        }
        let bounds = [
            request.min_mod_revision,
            request.max_mod_revision,
            request.min_create_revision,
            request.max_create_revision,
        ];
        let everything = *limit <= 0 || *sort_order != SortOrder::None || bounds != [0; 4];
        // One more than asked for tells whether there are more.
        let wanted = if everything { usize::MAX } else { *limit as usize + 1 };
        for kv in self.visible(key, range_end, at) {
            answer.count += 1;
            if answer.kvs.len() < wanted {
                answer.kvs.push(kv.clone());
            }
        }
        let [min_mod, max_mod, min_create, max_create] = bounds;
        answer.kvs.retain(|kv| {
            (max_mod == 0 || kv.mod_revision <= max_mod)
                && (min_mod == 0 || kv.mod_revision >= min_mod)
                && (max_create == 0 || kv.create_revision <= max_create)
                && (min_create == 0 || kv.create_revision >= min_create)
        });
        // What isn't ordered by key is ordered even if no order was asked for, though only after the limit.
        if *sort_order != SortOrder::None || *sort_target != SortTarget::Key {
            let order = |a: &KeyValue, b: &KeyValue| match sort_target {
                SortTarget::Key => a.key.cmp(&b.key),
                SortTarget::Version => a.version.cmp(&b.version),
                SortTarget::Create => a.create_revision.cmp(&b.create_revision),
                SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
                SortTarget::Value => a.value.cmp(&b.value),
            };
            match sort_order {
                SortOrder::Descend => answer.kvs.sort_by(|a, b| order(b, a)),
                _ => answer.kvs.sort_by(order),
            }
        }
        if *limit > 0 && answer.kvs.len() > *limit as usize {
            answer.kvs.truncate(*limit as usize);
            answer.more = true;
        }
        if request.keys_only {
            answer.kvs.iter_mut().for_each(|kv| kv.value = Bytes::default());
        }
        Ok(answer)
    }

    /// The keys of a range that exist at a revision, in order.
    pub fn visible<'a>(&'a self, key: &'a Bytes, range_end: &'a Bytes, at: i64) -> impl Iterator<Item = &'a KeyValue> {
        self.keys
            .range::<Bytes, _>(key..)
            .take_while(move |(candidate, _)| covers(key, range_end, candidate))
            .filter_map(move |(_, versions)| last(versions, at))
    }

    /// One key at a revision that was not compacted, if it exists then.
    pub fn get(&self, key: &Bytes, at: i64) -> Option<&KeyValue> {
        last(self.keys.get(key)?, at)
    }

    /// What was written from a revision on.
    pub fn since(&self, revision: i64) -> impl Iterator<Item = &Version> {
        let from = self.history.partition_point(|version| version.kv.mod_revision < revision);
        self.history.range(from..)
    }

    pub(crate) fn put_at(&mut self, request: &PutRequest, at: i64, sub: i64) -> PutResponse {
        let PutRequest { key, prev_kv, ignore_value, ignore_lease, .. } = request;
        let prev = self.get(key, at).cloned();
        let (mut value, mut lease) = (request.value.clone(), request.lease);
        let (mut create_revision, mut version) = (at, 1);
        // The key that is there already, shared with it.
        let mut key = key.clone();
        if let Some(prev) = &prev {
            (create_revision, version) = (prev.create_revision, prev.version + 1);
            key = prev.key.clone();
            if *ignore_value {
                value = prev.value.clone();
            }
            if *ignore_lease {
                lease = prev.lease;
            }
            self.leases.detach(prev.lease, &key);
        }
        self.leases.attach(lease, &key);
        self.write(Version { sub, kv: KeyValue { key, value, create_revision, mod_revision: at, version, lease } });
        PutResponse { revision: at, prev_kv: prev.filter(|_| *prev_kv) }
    }

    /// Deletes, and answers what.
    pub(crate) fn delete_at(&mut self, key: &Bytes, range_end: &Bytes, at: i64, mut sub: i64) -> Vec<KeyValue> {
        let found: Vec<KeyValue> = self.visible(key, range_end, at).cloned().collect();
        for prev in &found {
            self.leases.detach(prev.lease, &prev.key);
            self.write(Version {
                sub,
                kv: KeyValue { key: prev.key.clone(), mod_revision: at, ..KeyValue::default() },
            });
            sub += 1;
        }
        found
    }

    fn write(&mut self, version: Version) {
        self.keys.entry(version.kv.key.clone()).or_default().push(version.clone());
        self.history.push_back(version.clone());
        self.changes.push(version);
    }

    /// Ends a change: everything written in it belongs to this revision.
    pub(crate) fn commit(&mut self, revision: i64) {
        self.revision = revision;
    }

    /// Forgets what only a read below a revision could show, and answers where it was: revision and place in it.
    pub fn compact(&mut self, revision: i64) -> Result<Vec<(i64, i64)>> {
        if revision <= self.compacted {
            return Err(Error::Compacted);
        }
        if revision > self.revision {
            return Err(Error::FutureRevision);
        }
        self.compacted = revision;
        let mut gone = Vec::new();
        let mut forget = |version: Version| {
            if version.kv.mod_revision < revision {
                gone.push((version.kv.mod_revision, version.sub));
            }
        };
        self.keys.retain(|_, versions| {
            // The last version at or before the revision can still be seen there, unless it says “deleted”.
            let seen = versions.partition_point(|version| version.kv.mod_revision <= revision);
            versions.drain(..seen.saturating_sub(1)).for_each(&mut forget);
            if seen > 0 && versions.first().is_some_and(|version| version.kv.is_tombstone()) {
                forget(versions.remove(0));
            }
            !versions.is_empty()
        });
        // Deletes at the revision itself stay for watches that begin there; those before it end here.
        let end = self.history.partition_point(|version| version.kv.mod_revision < revision);
        self.history.drain(..end).filter(|version| version.kv.is_tombstone()).for_each(forget);
        Ok(gone)
    }
}

/// What a read at a revision sees of one key.
fn last(versions: &[Version], at: i64) -> Option<&KeyValue> {
    let seen = match versions.last() {
        Some(now) if now.kv.mod_revision <= at => now,
        _ => &versions[versions.partition_point(|version| version.kv.mod_revision <= at).checked_sub(1)?],
    };
    Some(&seen.kv).filter(|kv| !kv.is_tombstone())
}
