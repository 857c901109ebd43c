//! Random histories, played to kit-store's store and to a real etcd, whose answers must be the same.

#![cfg(feature = "client")]

use kit_etcd::{Etcd, Server};
use kit_store::api::*;
use kit_store::{Bytes, Kv, Memory};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many histories are played.
const HISTORIES: u32 = 64;
/// How many requests a history has.
const LENGTH: usize = 60;

#[derive(Debug, Clone)]
enum Request {
    Put(PutRequest),
    Range(RangeRequest),
    Delete(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact(i64),
    Grant(i64, i64),
    Revoke(i64),
    TimeToLive(i64),
    Watch(WatchRequest),
    Cancel(i64),
}

fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "b/", "b/1", "b0", "c"]).prop_map(Bytes::from),
        1 => Just(Bytes::from(vec![0xff, 0])),
    ]
}

fn range_end() -> impl Strategy<Value = Bytes> {
    prop_oneof![4 => Just(Bytes::default()), 4 => key(), 2 => Just(Bytes::from("\0"))]
}

fn value() -> impl Strategy<Value = Bytes> {
    prop::sample::select(vec!["", "x", "y", "z"]).prop_map(Bytes::from)
}

/// Revisions of a history's beginning; those of its store are these and where it began.
fn revision() -> impl Strategy<Value = i64> {
    prop_oneof![4 => Just(0), 6 => 1..40i64, 1 => -3..0i64]
}

fn lease() -> impl Strategy<Value = i64> {
    prop_oneof![6 => Just(0), 3 => 1..4i64]
}

fn put() -> impl Strategy<Value = PutRequest> {
    let odd = prop::bool::weighted(0.1);
    (key(), value(), lease(), any::<bool>(), odd, odd).prop_map(
        |(key, value, lease, prev_kv, ignore_value, ignore_lease)| PutRequest {
            key,
            value,
            lease,
            prev_kv,
            ignore_value,
            ignore_lease,
        },
    )
}

fn range() -> impl Strategy<Value = RangeRequest> {
    let order = prop::sample::select(vec![SortOrder::None, SortOrder::None, SortOrder::Ascend, SortOrder::Descend]);
    let target = prop::sample::select(vec![
        SortTarget::Key,
        SortTarget::Key,
        SortTarget::Version,
        SortTarget::Create,
        SortTarget::Mod,
        SortTarget::Value,
    ]);
    let bound = || prop_oneof![6 => Just(0), 1 => 1..40i64];
    let bounds = (bound(), bound(), bound(), bound());
    let flags = (prop::bool::weighted(0.2), prop::bool::weighted(0.1));
    (key(), range_end(), 0..4i64, revision(), order, target, bounds, flags).prop_map(
        |(key, range_end, limit, revision, sort_order, sort_target, bounds, (keys_only, count_only))| RangeRequest {
            key,
            range_end,
            limit,
            revision,
            sort_order,
            sort_target,
            serializable: false,
            keys_only,
            count_only,
            min_mod_revision: bounds.0,
            max_mod_revision: bounds.1,
            min_create_revision: bounds.2,
            max_create_revision: bounds.3,
        },
    )
}

fn delete() -> impl Strategy<Value = DeleteRangeRequest> {
    (key(), range_end(), any::<bool>()).prop_map(|(key, range_end, prev_kv)| DeleteRangeRequest {
        key,
        range_end,
        prev_kv,
    })
}

fn compare() -> impl Strategy<Value = Compare> {
    let target = prop_oneof![
        (0..4i64).prop_map(Target::Version),
        (0..40i64).prop_map(Target::CreateRevision),
        (0..40i64).prop_map(Target::ModRevision),
        lease().prop_map(Target::Lease),
        value().prop_map(Target::Value),
    ];
    let result = prop::sample::select(vec![
        CompareResult::Equal,
        CompareResult::NotEqual,
        CompareResult::Greater,
        CompareResult::Less,
    ]);
    let range_end = prop_oneof![3 => Just(Bytes::default()), 1 => range_end()];
    (key(), range_end, result, target).prop_map(|(key, range_end, result, target)| Compare {
        key,
        range_end,
        result,
        target,
    })
}

fn txn(ops: impl Strategy<Value = Op> + Clone) -> impl Strategy<Value = TxnRequest> {
    let list = || prop::collection::vec(ops.clone(), 0..4);
    (prop::collection::vec(compare(), 0..3), list(), list()).prop_map(|(compare, success, failure)| TxnRequest {
        compare,
        success,
        failure,
    })
}

fn transaction() -> impl Strategy<Value = TxnRequest> {
    let op = prop_oneof![
        2 => range().prop_map(Op::Range),
        4 => put().prop_map(Op::Put),
        // A delete whose end isn't after its key confuses the tree in which etcd looks for conflicts.
        2 => delete().prop_filter("a range", |d| d.range_end.is_empty() || d.range_end > d.key).prop_map(Op::DeleteRange),
    ];
    let within = op.clone().boxed();
    txn(prop_oneof![8 => op, 1 => txn(within).prop_map(Op::Txn)].boxed())
}

fn watch() -> impl Strategy<Value = WatchRequest> {
    let filters = prop::sample::subsequence(vec![EventKind::Put, EventKind::Delete], 0..2);
    (key(), range_end(), prop_oneof![2 => Just(0), 3 => 1..40i64], filters, any::<bool>()).prop_map(
        |(key, range_end, start_revision, filters, prev_kv)| WatchRequest {
            key,
            range_end,
            start_revision,
            filters,
            prev_kv,
            ..Default::default()
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        20 => put().prop_map(Request::Put),
        20 => range().prop_map(Request::Range),
        8 => delete().prop_map(Request::Delete),
        20 => transaction().prop_map(Request::Txn),
        2 => (0..40i64).prop_map(Request::Compact),
        4 => (1..4i64, 500..900i64).prop_map(|(id, ttl)| Request::Grant(id, ttl)),
        2 => (1..4i64).prop_map(Request::Revoke),
        3 => (1..4i64).prop_map(Request::TimeToLive),
        2 => watch().prop_map(Request::Watch),
        1 => (0..3i64).prop_map(Request::Cancel),
    ]
}

/// The stores go on from history to history, so that revisions grow; each history begins with no keys, leases and watches.
struct Pair {
    ours: Memory,
    etcd: Etcd,
    /// The revision at which the present history began.
    began: i64,
    compacted: i64,
    /// Everything that watches heard, by watch.
    heard: [BTreeMap<i64, Vec<WatchResponse>>; 2],
    watches: Vec<i64>,
    /// Whether a watch was made since etcd's were waited for.
    may_read_the_past: bool,
}

impl Pair {
    fn begin(&mut self) {
        for store in [&mut self.ours as &mut dyn Kv, &mut self.etcd] {
            for id in &self.watches {
                store.cancel(*id).expect("a watch ends");
            }
            for id in store.leases().expect("leases") {
                store.lease_revoke(id).expect("a lease ends");
            }
            let all = DeleteRangeRequest { key: "\0".into(), range_end: "\0".into(), prev_kv: false };
            self.began = store.delete_range(&all).expect("a delete").revision;
            store.poll().expect("nothing is left over");
        }
        self.watches.clear();
        self.heard = Default::default();
    }

    fn at(&self, revision: i64) -> i64 {
        if revision > 0 { self.began + revision } else { revision }
    }

    /// Plays one request to both, and answers what they said.
    fn ask(&mut self, request: &Request) -> [String; 2] {
        let request = self.moved(request);
        let mut answers = [String::new(), String::new()];
        let stores = [&mut self.ours as &mut dyn Kv, &mut self.etcd];
        for (store, answer) in stores.into_iter().zip(&mut answers) {
            *answer = match &request {
                Request::Put(request) => format!("{:?}", store.put(request)),
                Request::Range(request) => format!("{:?}", store.range(request)),
                Request::Delete(request) => format!("{:?}", store.delete_range(request)),
                Request::Txn(request) => format!("{:?}", store.txn(request)),
                Request::Compact(revision) => format!("{:?}", store.compact(*revision)),
                Request::Grant(id, ttl) => format!("{:?}", store.lease_grant(*id, *ttl)),
                Request::Revoke(id) => format!("{:?}", store.lease_revoke(*id)),
                Request::TimeToLive(id) => {
                    let status = store.lease_time_to_live(*id, true).map(|status| (status.granted_ttl, status.keys));
                    format!("{status:?}")
                }
                Request::Watch(request) => format!("{:?}", store.watch(request)),
                Request::Cancel(n) => {
                    let id = self.watches.get(*n as usize).copied().unwrap_or(i64::MAX);
                    format!("{:?}", store.cancel(id))
                }
            };
        }
        match &request {
            Request::Compact(revision) if answers[0].starts_with("Ok") => self.compacted = *revision,
            // etcd's replay of the past runs beside everything else, and so is waited for.
            Request::Watch(_) => {
                self.may_read_the_past = true;
                if let Some(id) =
                    answers[0].split("watch_id: ").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok())
                {
                    self.watches.push(id);
                }
                self.listen(false);
            }
            Request::Cancel(n) if (*n as usize) < self.watches.len() => {
                let id = self.watches.remove(*n as usize);
                self.heard.iter_mut().for_each(|heard| drop(heard.remove(&id)));
            }
            _ => {}
        }
        answers
    }

    /// The request with the history's revisions made those of the stores.
    fn moved(&mut self, request: &Request) -> Request {
        let mut request = request.clone();
        match &mut request {
            Request::Range(range) => self.move_range(range),
            Request::Txn(txn) => self.move_txn(txn),
            // A watch that still reads the past when it is compacted ends, and how long it reads is a matter of luck.
            Request::Compact(revision) => {
                *revision = self.at(*revision);
                let reads = std::mem::take(&mut self.may_read_the_past);
                self.listen(reads);
            }
            // What is there of the deletes at the compaction itself etcd 3.4 doesn't know, nor do later ones before 3.5.18.
            Request::Watch(watch) => {
                watch.start_revision = self.at(watch.start_revision);
                if watch.start_revision == self.compacted {
                    watch.start_revision += 1;
                }
            }
            // What a watch still gets when it is cancelled is a matter of luck.
            Request::Cancel(_) => self.listen(false),
            _ => {}
        }
        request
    }

    fn move_range(&self, range: &mut RangeRequest) {
        let bounds = [
            &mut range.min_mod_revision,
            &mut range.max_mod_revision,
            &mut range.min_create_revision,
            &mut range.max_create_revision,
        ];
        bounds.into_iter().for_each(|bound| *bound = self.at(*bound));
        range.revision = self.at(range.revision);
    }

    fn move_txn(&self, txn: &mut TxnRequest) {
        for compare in &mut txn.compare {
            if let Target::CreateRevision(revision) | Target::ModRevision(revision) = &mut compare.target {
                *revision = self.at(*revision);
            }
        }
        for op in txn.success.iter_mut().chain(&mut txn.failure) {
            match op {
                Op::Range(range) => self.move_range(range),
                Op::Txn(txn) => self.move_txn(txn),
                _ => {}
            }
        }
    }

    /// Waits until etcd's watches have heard as much as ours, and `longer` until its next round through those that read
    /// the past, a tenth of a second later at most: whether they hear more.
    fn listen(&mut self, longer: bool) {
        let begun = Instant::now();
        let patience = Duration::from_secs(5);
        loop {
            for (store, heard) in [&mut self.ours as &mut dyn Kv, &mut self.etcd].into_iter().zip(&mut self.heard) {
                for response in store.poll().expect("events") {
                    heard.entry(response.watch_id).or_default().push(response);
                }
            }
            let counts = self
                .heard
                .each_ref()
                .map(|heard| heard.values().flatten().map(|r| r.events.len().max(1)).sum::<usize>());
            let enough = counts[1] >= counts[0];
            if enough && !(longer && begun.elapsed() < Duration::from_millis(130)) || begun.elapsed() > patience {
                return;
            }
        }
    }

    /// What watches heard, whatever it was packed in.
    fn told(&self) -> [Vec<String>; 2] {
        self.heard.each_ref().map(|heard| {
            let told = heard.iter().flat_map(|(id, responses)| {
                responses.iter().flat_map(move |response| {
                    let ended =
                        response.canceled.then(|| format!("{id}: ends, compacted at {}", response.compact_revision));
                    response.events.iter().map(move |event| format!("{id}: {event:?}")).chain(ended)
                })
            });
            told.collect()
        })
    }
}

#[test]
fn random_histories_have_the_same_answers_as_in_etcd() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).unwrap_or_else(|e| panic!("{e}"));
    let etcd = server.connect().unwrap_or_else(|e| panic!("{e}"));
    let pair = Pair {
        ours: Memory::default(),
        etcd,
        began: 1,
        compacted: -1,
        heard: Default::default(),
        watches: Vec::new(),
        may_read_the_past: false,
    };
    let pair = RefCell::new(pair);
    // Once the stores differ a shorter history would find them so from the start.
    let config = Config { cases: HISTORIES, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let histories = prop::collection::vec(request(), LENGTH);
    let outcome = TestRunner::new(config).run(&histories, |history| {
        let mut pair = pair.borrow_mut();
        pair.begin();
        for request in &history {
            let [ours, etcds] = pair.ask(request);
            prop_assert_eq!(ours, etcds, "to {:?}, ours and etcd's", request);
        }
        pair.listen(true);
        let [ours, etcds] = pair.told();
        prop_assert_eq!(ours, etcds, "what watches heard, ours and etcd's");
        Ok(())
    });
    outcome.unwrap_or_else(|e| panic!("{e}"));
}
