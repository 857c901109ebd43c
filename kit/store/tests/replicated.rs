//! The replicated store answers as one in memory does, also while members fail. Network, disks and clocks are simulated.

use kit_raft::Id;
use kit_store::api::*;
use kit_store::{Error, Kv, Memory, Options, Replicated};
use kit_time::random::{Purpose, Random};
use std::collections::BTreeSet;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn put(key: &str, value: impl ToString) -> PutRequest {
    PutRequest { key: key.into(), value: value.to_string().into(), ..Default::default() }
}

fn all() -> RangeRequest {
    RangeRequest { key: "a".into(), range_end: "\0".into(), ..Default::default() }
}

fn watch_all() -> WatchRequest {
    WatchRequest { key: "a".into(), range_end: "\0".into(), prev_kv: true, ..Default::default() }
}

fn new(members: u64, seed: u64) -> Replicated {
    Replicated::new(members, seed, Options::default())
}

fn events(store: &mut dyn Kv) -> Vec<(i64, Event)> {
    let responses = store.poll().expect("events");
    responses.into_iter().flat_map(|r| r.events.into_iter().map(move |event| (r.watch_id, event))).collect()
}

/// The same random requests to both, with a member or two failing in turn; every answer must be the same, and watches must
/// hear the same, whichever members told them.
fn compare(members: u64, failures: usize, seed: u64) {
    let mut replicated = new(members, seed);
    let mut memory = Memory::default();
    let random = Random::new(seed);
    let mut drawn = 0;
    let mut draw = |below: u64| {
        drawn += 1;
        random.below(below, Purpose { component: "test", object: "", reason: "", attempt: drawn })
    };
    let mut down: Vec<Id> = Vec::new();
    let mut heard = [Vec::new(), Vec::new()];
    for step in 0..150 {
        // What isn't fetched before a member fails can be compacted before another one tells it.
        heard[0].extend(events(&mut replicated));
        heard[1].extend(events(&mut memory));
        let key = ["a", "b", "c", "d"][draw(4) as usize];
        let revision = draw(30) as i64;
        match draw(9) {
            0..2 => assert_eq!(replicated.put(&put(key, step)), memory.put(&put(key, step))),
            2 => {
                let compare = Compare {
                    key: key.into(),
                    range_end: Default::default(),
                    result: CompareResult::Greater,
                    target: Target::Version(1),
                };
                let delete = DeleteRangeRequest { key: key.into(), prev_kv: true, ..Default::default() };
                let txn = TxnRequest {
                    compare: vec![compare],
                    success: vec![Op::DeleteRange(delete), Op::Range(all())],
                    failure: vec![Op::Put(put(key, step)), Op::Put(put("z", draw(9)))],
                };
                assert_eq!(replicated.txn(&txn), memory.txn(&txn));
            }
            3 => {
                let delete = DeleteRangeRequest { key: key.into(), range_end: "c".into(), prev_kv: true };
                assert_eq!(replicated.delete_range(&delete), memory.delete_range(&delete));
            }
            4 => {
                let request = RangeRequest { revision, ..all() };
                assert_eq!(replicated.range(&request), memory.range(&request));
            }
            5 => {
                let watch = WatchRequest { key: key.into(), start_revision: revision, ..Default::default() };
                assert_eq!(replicated.watch(&watch), memory.watch(&watch));
            }
            6 if revision > 0 => assert_eq!(replicated.compact(revision), memory.compact(revision)),
            7 => {
                let id = 1 + draw(3) as i64;
                let lease = (id, 1000);
                assert_eq!(replicated.lease_grant(lease.0, lease.1), memory.lease_grant(lease.0, lease.1));
                let put = PutRequest { lease: id, ..put(key, step) };
                assert_eq!(replicated.put(&put), memory.put(&put));
                let revoked = 1 + draw(6) as i64;
                assert_eq!(replicated.lease_revoke(revoked), memory.lease_revoke(revoked));
                assert_eq!(replicated.leases(), memory.leases());
            }
            _ => {
                if down.len() == failures {
                    replicated.group().start(down.remove(0));
                }
                // Between two requests, so that no request is under way whose outcome nobody would know.
                let leader = replicated.group().leader().filter(|id| !down.contains(id) && draw(2) == 0);
                let victim = leader.unwrap_or(1 + draw(members));
                if !down.contains(&victim) {
                    replicated.group().crash(victim, 0);
                    down.push(victim);
                }
            }
        }
    }
    heard[0].extend(events(&mut replicated));
    heard[1].extend(events(&mut memory));
    let differ = heard[0].iter().zip(&heard[1]).find(|(replicated, memory)| replicated != memory);
    assert_eq!(differ, None, "seed {seed}");
    assert_eq!(heard[0].len(), heard[1].len(), "seed {seed}");
    assert_eq!(replicated.group().watch.violation, None);
}

#[test]
fn three_members_answer_like_one_while_one_fails() {
    (0..8).for_each(|seed| compare(3, 1, seed));
}

#[test]
fn five_members_answer_like_one_while_two_fail() {
    (0..8).for_each(|seed| compare(5, 2, seed));
}

/// N members survive (N - 1) / 2 failures, rounded down: four no more than three.
#[test]
fn a_group_survives_the_failure_of_less_than_half() {
    for (members, survived) in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)] {
        let mut store = new(members, 7);
        store.put(&put("a", 0)).expect("a quorum");
        for failures in 1..=survived {
            store.group().crash(failures, 0);
            assert!(store.put(&put("a", failures)).is_ok(), "{members} members without {failures}");
        }
        store.group().crash(survived + 1, 0);
        assert_eq!(store.put(&put("a", "lost?")), Err(Error::Timeout), "{members} members without {}", survived + 1);
    }
}

#[test]
fn without_a_quorum_writes_stop_and_nothing_is_lost() {
    let mut store = new(3, 1);
    let written = store.put(&put("a", 1)).expect("a quorum");
    store.group().crash(1, 0);
    store.group().crash(2, 0);
    assert_eq!(store.put(&put("a", 2)), Err(Error::Timeout));
    assert_eq!(store.range(&all()), Err(Error::Timeout), "a linearizable read needs a quorum as well");
    let old = store.range(&RangeRequest { serializable: true, ..all() }).expect("one member's word");
    assert_eq!(old.kvs[0].value, "1".into());
    store.group().start(1);
    store.pass(2 * SECOND).expect("time passes");
    let range = store.range(&all()).expect("a quorum");
    assert_eq!(range.kvs[0].create_revision, written.revision);
    // The write that timed out may have happened since: that is what the error says.
    assert!(["1".into(), "2".into()].contains(&range.kvs[0].value));
}

/// A watch goes on at another member where it stopped: nothing is missing and nothing comes twice.
#[test]
fn a_watch_survives_the_member_that_told_it() {
    let mut store = new(3, 5);
    store.watch(&watch_all()).expect("a watch");
    let mut heard = Vec::new();
    for n in 0..30 {
        store.put(&put("a", n)).expect("a quorum");
        if n % 2 == 0 {
            heard.extend(events(&mut store));
        }
        if n % 7 == 3 {
            let leader = store.group().leader().expect("a leader");
            store.group().crash(leader, 0);
            store.pass(2 * SECOND).expect("time passes");
            store.group().start(leader);
        }
    }
    heard.extend(events(&mut store));
    let values: Vec<_> = heard.iter().map(|(_, event)| event.kv.value.text()).collect();
    assert_eq!(values, (0..30).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// A leader that is cut off hears of nothing, and a client doesn't listen to it any longer.
#[test]
fn a_watch_leaves_a_member_that_is_cut_off() {
    let mut store = new(5, 9);
    store.put(&put("a", 0)).expect("a quorum");
    store.watch(&watch_all()).expect("a watch");
    let leader = store.group().leader().expect("a leader");
    let others: BTreeSet<Id> = store.group().ids().into_iter().filter(|&id| id != leader).collect();
    store.group().links().part(&BTreeSet::from([leader]), &others);
    store.pass(3 * SECOND).expect("time passes");
    store.put(&put("a", 1)).expect("a quorum without the old leader");
    assert_eq!(events(&mut store).len(), 1);
}

/// A new leader doesn't know when its predecessor would have ended a lease, so it grants the whole time again.
#[test]
fn leases_end_by_the_log_and_begin_anew_with_a_leader() {
    let mut store = new(3, 3);
    store.lease_grant(7, 10).expect("a lease");
    store.put(&PutRequest { lease: 7, ..put("a", 1) }).expect("a put");
    store.pass(8 * SECOND).expect("time passes");
    let leader = store.group().leader().expect("a leader");
    store.group().crash(leader, 0);
    store.pass(8 * SECOND).expect("time passes");
    assert_eq!(store.range(&all()).expect("a read").count, 1, "16 s after a lease of 10 s was granted");
    store.pass(4 * SECOND).expect("time passes");
    assert_eq!(store.range(&all()).expect("a read").count, 0);
    assert_eq!(store.leases(), Ok(vec![]));
}

/// Without a quorum no lease can end: its end is an entry of the log like everything else.
#[test]
fn no_lease_ends_without_a_quorum() {
    let mut store = new(3, 4);
    store.lease_grant(7, 3).expect("a lease");
    store.put(&PutRequest { lease: 7, ..put("a", 1) }).expect("a put");
    let leader = store.group().leader().expect("a leader");
    let others: Vec<Id> = store.group().ids().into_iter().filter(|&id| id != leader).collect();
    others.iter().for_each(|&id| store.group().crash(id, 0));
    store.pass(20 * SECOND).expect("time passes");
    let there = store.range(&RangeRequest { serializable: true, ..all() }).expect("one member's word");
    assert_eq!(there.count, 1);
    others.iter().for_each(|&id| store.group().start(id));
    store.pass(10 * SECOND).expect("time passes");
    assert_eq!(store.range(&all()).expect("a quorum").count, 0);
}

/// A member that was away for longer than the log reaches back gets the state itself, with its history and its leases.
#[test]
fn a_member_that_was_long_away_gets_a_snapshot() {
    let mut store = new(3, 6);
    store.put(&put("a", 0)).expect("a quorum");
    store.lease_grant(7, 1000).expect("a lease");
    store.group().crash(3, 0);
    for n in 1..2500 {
        store.put(&PutRequest { lease: 7, ..put(["a", "b"][n % 2], n) }).expect("a quorum");
    }
    store.compact(1200).expect("a compaction");
    let before = store.range(&RangeRequest { revision: 1200, ..all() }).expect("a read");
    store.group().start(3);
    store.pass(5 * SECOND).expect("time passes");
    store.group().crash(1, 0);
    store.pass(5 * SECOND).expect("time passes");
    assert_eq!(store.range(&RangeRequest { revision: 1200, ..all() }), Ok(before));
    let from = WatchRequest { start_revision: 2400, ..watch_all() };
    store.watch(&from).expect("a watch");
    assert!(events(&mut store).len() > 90);
    let status = store.lease_time_to_live(7, true).expect("a lease");
    assert_eq!(status.keys, ["a".into(), "b".into()]);
    assert_eq!(store.group().watch.violation, None);
}
