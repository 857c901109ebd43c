//! The replicated store answers as the embedded one does, also while members fail.

use kit_cluster::raft::Id;
use kit_cluster::random::{Purpose, Random};
use kit_cluster::store::{Replicated, Unavailable};
use kit_contract::control_plane::{Op, RangeRequest, Store, WatchRequest};
use solutions::control_plane::store::Exercise;

const SECOND: i64 = 1_000_000_000;

fn put(key: &str, value: impl ToString) -> Op {
    Op::Put { key: key.into(), value: value.to_string() }
}

fn all() -> RangeRequest {
    RangeRequest { key: "a".into(), range_end: Some("\0".into()), ..RangeRequest::default() }
}

/// The same random requests to both, with a member or two failing in turn; every answer must be the same.
fn compare(members: u64, failures: u64, seed: u64) {
    let mut replicated = Replicated::<Exercise>::new(members, seed);
    let mut embedded = Exercise::default();
    let random = Random::new(seed);
    let mut drawn = 0;
    let mut draw = |below: u64| {
        drawn += 1;
        random.below(below, Purpose { component: "test", object: "", reason: "", attempt: drawn })
    };
    let mut down: Vec<Id> = Vec::new();
    for step in 0..150 {
        let key = ["a", "b", "c", "d"][draw(4) as usize];
        let revision = draw(30) as i64;
        match draw(8) {
            0..3 => {
                let ops = [put(key, step), put("z", draw(9))];
                assert_eq!(replicated.txn(&ops), Ok(embedded.txn(&ops)));
            }
            3 => {
                let ops = [Op::Delete { key: key.into(), range_end: None }];
                assert_eq!(replicated.txn(&ops), Ok(embedded.txn(&ops)));
            }
            4 => {
                let request = RangeRequest { revision, ..all() };
                assert_eq!(replicated.range(&request), Ok(embedded.range(&request)));
            }
            5 => {
                let watch = WatchRequest { key: key.into(), start_revision: revision, ..WatchRequest::default() };
                assert_eq!(replicated.watch(&watch), Ok(embedded.watch(&watch)));
                assert_eq!(replicated.events(), Ok(embedded.events()));
            }
            6 if revision > 0 => assert_eq!(replicated.compact(revision), Ok(embedded.compact(revision))),
            _ => {
                if down.len() as u64 == failures {
                    replicated.group.start(down.remove(0));
                }
                // Between two requests, so that no request is under way whose outcome nobody would know.
                let leader = replicated.group.leader().filter(|id| !down.contains(id) && draw(2) == 0);
                let victim = leader.unwrap_or(1 + draw(members));
                if !down.contains(&victim) {
                    replicated.group.crash(victim, 0);
                    down.push(victim);
                }
            }
        }
    }
    assert_eq!(replicated.group.watch.violation, None);
}

#[test]
fn three_members_answer_like_one_while_one_fails() {
    (0..6).for_each(|seed| compare(3, 1, seed));
}

#[test]
fn five_members_answer_like_one_while_two_fail() {
    (0..6).for_each(|seed| compare(5, 2, seed));
}

#[test]
fn without_a_quorum_writes_stop_and_nothing_is_lost() {
    let mut store = Replicated::<Exercise>::new(3, 1);
    let written = store.txn(&[put("a", 1)]).expect("a quorum");
    store.group.crash(1, 0);
    store.group.crash(2, 0);
    assert_eq!(store.txn(&[put("a", 2)]), Err(Unavailable));
    assert_eq!(store.range(&all()), Err(Unavailable), "a linearizable read needs a quorum as well");
    store.group.start(1);
    store.run(2 * SECOND);
    let range = store.range(&all()).expect("a quorum").expect("the present");
    assert_eq!(range.kvs[0].create_revision, written.revision);
    // The write that timed out may have happened since: that is what the error says.
    assert!(["1", "2"].contains(&&*range.kvs[0].value));
}
