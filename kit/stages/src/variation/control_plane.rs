//! Variations of the chapter `control_plane`.

use super::{Kind, Param, around, counted};
use kit_contract::control_plane::garbage_collector::{Action, Decision, Item, Propagation};
use kit_contract::control_plane::{
    GarbageCollector, KeyValue, Next, Op, RangeRequest, RangeResponse, RateLimits, Store, StoreError, TxnResponse,
    WatchCreated, WatchRequest, WatchResponse, WorkQueue,
};

pub const KINDS: &[Kind] = &[
    Kind {
        exercise: "control_plane/store",
        name: "page",
        minutes: 10,
        params: &[Param::number("most", 1, 100, &[1, 2, 3])],
        rule: |values| {
            let most = values.number("most");
            format!(
                "The store protects itself from large reads: no answer of `range` has more than {}, whatever `limit` says. A \
                 `limit` that is lower still holds, and 0 no longer means all. `more` says whether either of them left keys out, \
                 and `count` is still the number of all keys in the range: of five keys, a read with limit 0 answers the first \
                 {most}, with count 5. Transactions, compaction and watches stay as they are.",
                counted(most, "key"),
            )
        },
        apply: |values, modules| {
            let most = values.number("most").unsigned_abs();
            around(&mut modules.store, move |inner| Box::new(Reads { inner, how: Read::Page(most) }));
        },
    },
    Kind {
        exercise: "control_plane/store",
        name: "sorted",
        minutes: 15,
        params: &[Param::word("by", &["key-descending", "newest-first", "oldest-first", "most-written-first"])],
        rule: |values| {
            let by = match values.word("by") {
                "key-descending" => "the greatest key first",
                "newest-first" => "the greatest `mod_revision` first",
                "oldest-first" => "the least `create_revision` first",
                _ => "the greatest `version` first",
            };
            format!(
                "`range` answers its keys in another order: {by}, and among equals in key order. The order is that of the \
                 versions that were read, also in a read of the past, and it comes before the limit: with `limit` 1 the answer is \
                 the one key that is first in this order, and `more` says whether others were left out. What deletes answer, \
                 transactions, compaction and watches stay as they are."
            )
        },
        apply: |values, modules| {
            let by = values.word("by");
            around(&mut modules.store, move |inner| Box::new(Reads { inner, how: Read::Sorted(by) }));
        },
    },
    Kind {
        exercise: "control_plane/work_queue",
        name: "gives-up",
        minutes: 10,
        params: &[Param::number("failures", 1, 20, &[1, 2, 3, 5])],
        rule: |values| {
            let failures = values.number("failures");
            format!(
                "A key that has failed {} in a row is given up: from then on `add_rate_limited` does nothing with it. It counts no \
                 failure, takes no token from the bucket and adds nothing, but like every call with a time it first adds the keys \
                 whose delay is over. `forget` ends this, since the next failure is then the first again. So `num_requeues` never \
                 answers more than {failures}. `add` and `add_after` take the key as ever, and all other calls stay as they are.",
                counted(failures, "time"),
            )
        },
        apply: |values, modules| {
            let failures = u32::try_from(values.number("failures")).unwrap_or(u32::MAX);
            around(&mut modules.work_queue, move |inner| Box::new(GivesUp { inner, failures }));
        },
    },
    Kind {
        exercise: "control_plane/garbage_collector",
        name: "default",
        minutes: 10,
        params: &[Param::word("propagation", &["Foreground", "Orphan"])],
        rule: |values| {
            let propagation = values.word("propagation");
            format!(
                "An object whose finalizers ask for nothing is deleted with `{propagation}`, and no longer with `Background`: a pod \
                 without finalizers, of which no owner is left, is deleted with `{propagation}`. What asks for something is served as \
                 before: the finalizers `orphan` and `foregroundDeletion` still decide, and an object that an owner waits for and \
                 that has dependents is still deleted in the foreground. Who is deleted, set free or warned of stays as it is."
            )
        },
        apply: |values, modules| {
            let propagation = match values.word("propagation") {
                "Orphan" => Propagation::Orphan,
                _ => Propagation::Foreground,
            };
            around(&mut modules.garbage_collector, move |inner| Box::new(Default { inner, propagation }));
        },
    },
];

/// How a store reads otherwise.
#[derive(Clone, Copy)]
enum Read {
    Page(u64),
    Sorted(&'static str),
}

/// A store that answers `range` otherwise.
struct Reads {
    inner: Box<dyn Store>,
    how: Read,
}

impl Reads {
    fn sorted(&mut self, request: &RangeRequest, by: &str) -> Result<RangeResponse, StoreError> {
        let mut all = self.inner.range(&RangeRequest { limit: 0, ..request.clone() })?;
        // They come in key order, and sorting keeps the order of equals.
        match by {
            "key-descending" => all.kvs.reverse(),
            by => all.kvs.sort_by_key(|kv: &KeyValue| match by {
                "newest-first" => -kv.mod_revision,
                "oldest-first" => kv.create_revision,
                _ => -kv.version,
            }),
        }
        if request.limit > 0 {
            all.kvs.truncate(usize::try_from(request.limit).unwrap_or(usize::MAX));
        }
        all.more = (all.kvs.len() as u64) < all.count;
        Ok(all)
    }
}

impl Store for Reads {
    fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse, StoreError> {
        match self.how {
            Read::Page(most) => {
                let limit = if request.limit == 0 { most } else { request.limit.min(most) };
                self.inner.range(&RangeRequest { limit, ..request.clone() })
            }
            Read::Sorted(by) => self.sorted(request, by),
        }
    }
    fn txn(&mut self, ops: &[Op]) -> TxnResponse {
        self.inner.txn(ops)
    }
    fn compact(&mut self, revision: i64) -> Result<(), StoreError> {
        self.inner.compact(revision)
    }
    fn watch(&mut self, request: &WatchRequest) -> WatchCreated {
        self.inner.watch(request)
    }
    fn cancel(&mut self, watch_id: i64) -> bool {
        self.inner.cancel(watch_id)
    }
    fn events(&mut self) -> Vec<WatchResponse> {
        self.inner.events()
    }
}

/// A queue that gives up on what fails again and again.
struct GivesUp {
    inner: Box<dyn WorkQueue>,
    failures: u32,
}

impl WorkQueue for GivesUp {
    fn new(_: &RateLimits) -> Self {
        unreachable!("an adapter is made around a module")
    }
    fn add(&mut self, key: &str, now: i64) {
        self.inner.add(key, now);
    }
    fn add_after(&mut self, key: &str, delay: i64, now: i64) {
        self.inner.add_after(key, delay, now);
    }
    fn add_rate_limited(&mut self, key: &str, now: i64) {
        if self.inner.num_requeues(key) < self.failures {
            self.inner.add_rate_limited(key, now);
        } else {
            // Whose delay is over comes in, and nothing else happens.
            self.inner.len(now);
        }
    }
    fn forget(&mut self, key: &str) {
        self.inner.forget(key);
    }
    fn num_requeues(&mut self, key: &str) -> u32 {
        self.inner.num_requeues(key)
    }
    fn get(&mut self, now: i64) -> Next {
        self.inner.get(now)
    }
    fn done(&mut self, key: &str, now: i64) {
        self.inner.done(key, now);
    }
    fn len(&mut self, now: i64) -> u32 {
        self.inner.len(now)
    }
    fn shut_down(&mut self, drain: bool) {
        self.inner.shut_down(drain);
    }
    fn drained(&mut self) -> bool {
        self.inner.drained()
    }
}

/// Another propagation where nobody asked for one.
struct Default {
    inner: Box<dyn GarbageCollector>,
    propagation: Propagation,
}

impl GarbageCollector for Default {
    fn process(&self, item: &Item) -> Decision {
        let mut decision = self.inner.process(item);
        for action in &mut decision.actions {
            if let Action::Delete { propagation: propagation @ Propagation::Background } = action {
                *propagation = self.propagation;
            }
        }
        decision
    }
}
