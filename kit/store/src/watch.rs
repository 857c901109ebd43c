//! Watches: who wants to hear of what, and what waits for them.
//!
//! Upstream: `server/mvcc/{watchable_store,watcher}.go` and `server/etcdserver/api/v3rpc/watch.go`. A watch that keeps up
//! is told of each change at once. One that doesn't fetch what waits for it is left behind: it remembers only where it has
//! to go on, and catches up from history. If a compaction overtakes it, it is cancelled.

use crate::api::*;
use crate::check::MAX_REQUEST_BYTES;
use crate::size;
use crate::state::{State, Version};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How many changes wait for a watch before it is left behind (`chanBufLen`).
const BUFFER: usize = 1024;
/// The longest response of a watch that wants them split: the greatest request, and what gRPC may add (`grpcOverheadBytes`).
const FRAGMENT: usize = MAX_REQUEST_BYTES + 512 * 1024;
/// How many revisions a watch that catches up gets in one response (`watchBatchMaxRevs`).
const BATCH: usize = 1000;

#[derive(Debug)]
struct Watch {
    request: WatchRequest,
    waiting: VecDeque<WatchResponse>,
    /// The first revision that isn't in what waits, of a watch that was left behind.
    behind: Option<i64>,
    /// When it is told next how far it is.
    progress: Duration,
}

/// All watches of one client.
#[derive(Debug)]
pub(crate) struct Hub {
    watches: BTreeMap<i64, Watch>,
    next: i64,
    progress_asked: u32,
    progress_interval: Duration,
    now: Duration,
}

impl Hub {
    pub fn new(progress_interval: Duration) -> Hub {
        let now = Duration::ZERO;
        Hub { watches: BTreeMap::new(), next: 0, progress_asked: 0, progress_interval, now }
    }

    pub fn watch(&mut self, state: &State, request: &WatchRequest) -> WatchCreated {
        let WatchRequest { key, range_end, start_revision, .. } = request;
        let refused = |reason: &str| WatchCreated {
            watch_id: -1,
            revision: state.revision(),
            cancel_reason: Some(reason.into()),
        };
        if !range_end.is_empty() && **range_end != [0] && key >= range_end {
            return refused("mvcc: watcher range is empty");
        }
        let mut watch_id = request.watch_id;
        if watch_id == 0 {
            while self.watches.contains_key(&self.next) {
                self.next += 1;
            }
            watch_id = self.next;
            self.next += 1;
        } else if self.watches.contains_key(&watch_id) {
            return refused("mvcc: duplicate watch ID provided on the WatchStream");
        }
        let mut request = request.clone();
        if request.key.is_empty() {
            // The least key.
            request.key = (&[0u8][..]).into();
        }
        let behind = Some(*start_revision).filter(|&start| start != 0 && start <= state.revision());
        let progress = self.now + self.progress_interval;
        self.watches.insert(watch_id, Watch { request, waiting: VecDeque::new(), behind, progress });
        WatchCreated { watch_id, revision: state.revision(), cancel_reason: None }
    }

    pub fn cancel(&mut self, watch_id: i64) -> bool {
        self.watches.remove(&watch_id).is_some()
    }

    /// The first name that this hub would choose for a watch.
    pub fn next_name(&self) -> i64 {
        self.next
    }

    /// Chooses no name before this one, as a hub that goes on for another.
    pub fn names_from(&mut self, next: i64) {
        self.next = self.next.max(next);
    }

    /// The next poll tells how far all watches are.
    pub fn request_progress(&mut self) {
        self.progress_asked += 1;
    }

    /// Time passes.
    pub fn pass(&mut self, state: &State, time: Duration) {
        self.now += time;
        for (&watch_id, watch) in &mut self.watches {
            while watch.request.progress_notify && watch.progress <= self.now {
                watch.progress += self.progress_interval;
                if watch.behind.is_none() && watch.waiting.is_empty() {
                    watch.waiting.push_back(WatchResponse {
                        watch_id,
                        revision: state.revision(),
                        ..WatchResponse::default()
                    });
                }
            }
        }
    }

    /// Tells of a change that was just made.
    pub fn notify(&mut self, state: &State, changes: &[Version]) {
        // The state may be further already: several changes can wait for the disk together.
        let Some(revision) = changes.first().map(|version| version.kv.mod_revision) else { return };
        for (&watch_id, watch) in &mut self.watches {
            if watch.behind.is_some() || !changes.iter().any(|version| watch.wants(&version.kv)) {
                continue;
            }
            if watch.waiting.len() >= BUFFER {
                watch.behind = Some(revision);
                continue;
            }
            let events = changes.iter().filter(|version| watch.wants(&version.kv));
            let events = events.map(|version| watch.event(state, &version.kv)).collect();
            // Whoever hears of a change needn't be told how far it is.
            watch.progress = self.now + self.progress_interval;
            watch.waiting.push_back(WatchResponse { watch_id, revision, events, ..WatchResponse::default() });
        }
    }

    /// What waits for the watches.
    pub fn poll(&mut self, state: &State) -> Vec<WatchResponse> {
        let mut responses = Vec::new();
        self.watches.retain(|&watch_id, watch| {
            let fragment = watch.request.fragment;
            watch.waiting.drain(..).for_each(|response| send(response, fragment, &mut responses));
            let Some(from) = watch.behind.take() else { return true };
            let revision = state.revision();
            if from < state.compacted() {
                let compact_revision = state.compacted();
                let ended =
                    WatchResponse { watch_id, revision, canceled: true, compact_revision, ..Default::default() };
                responses.push(ended);
                return false;
            }
            for batch in watch.missed(state, from) {
                let response = WatchResponse { watch_id, revision, events: batch, ..WatchResponse::default() };
                send(response, fragment, &mut responses);
            }
            true
        });
        for _ in 0..std::mem::take(&mut self.progress_asked) {
            let revision = state.revision();
            responses.push(WatchResponse { watch_id: -1, revision, ..WatchResponse::default() });
        }
        responses
    }
}

impl Watch {
    fn wants(&self, kv: &KeyValue) -> bool {
        let WatchRequest { key, range_end, start_revision, filters, .. } = &self.request;
        kv.mod_revision >= *start_revision && covers(key, range_end, &kv.key) && !filters.contains(&kind(kv))
    }

    fn event(&self, state: &State, kv: &KeyValue) -> Event {
        let before = kv.mod_revision - 1;
        let is_new = !kv.is_tombstone() && kv.create_revision == kv.mod_revision;
        let known = self.request.prev_kv && !is_new && before >= state.compacted();
        let prev_kv = if known { state.get(&kv.key, before).cloned() } else { None };
        Event { kind: kind(kv), kv: kv.clone(), prev_kv }
    }

    /// The events from a revision on, in batches.
    fn missed(&self, state: &State, from: i64) -> Vec<Vec<Event>> {
        let mut batches = Vec::new();
        let mut batch = Vec::new();
        let (mut revisions, mut last) = (0, 0);
        for version in state.since(from).filter(|version| self.wants(&version.kv)) {
            if version.kv.mod_revision > last {
                (revisions, last) = (revisions + 1, version.kv.mod_revision);
            }
            if revisions > BATCH {
                batches.push(std::mem::take(&mut batch));
                revisions = 1;
            }
            batch.push(self.event(state, &version.kv));
        }
        batches.push(batch);
        batches.retain(|batch| !batch.is_empty());
        batches
    }
}

fn kind(kv: &KeyValue) -> EventKind {
    if kv.is_tombstone() { EventKind::Delete } else { EventKind::Put }
}

/// Splits a response that is too long, if the watch wants that.
fn send(mut response: WatchResponse, fragment: bool, to: &mut Vec<WatchResponse>) {
    while fragment && response.events.len() > 1 && size::watch_response(&response.events) >= FRAGMENT {
        let mut size = size::watch_response([]);
        let fit = response.events.iter().take_while(|event| {
            size += size::event(event);
            size < FRAGMENT
        });
        // One event is sent however long it is.
        let rest = response.events.split_off(fit.count().max(1));
        to.push(WatchResponse { fragment: true, ..response.clone() });
        response.events = rest;
    }
    to.push(response);
}
