//! The paper's and the thesis' claims, one by one. Random faults are in `simulation/tests.rs`.

use super::flaw::Flaw;
use super::group::{Done, Group, Machine, Options, TICK};
use super::network::MILLISECOND;
use super::*;
use kit_time::agenda::Instant;
use kit_time::random::Random;
use std::collections::{BTreeMap, BTreeSet};

/// Members whose messages are carried by hand.
struct Bench(BTreeMap<Id, Raft>);

impl Bench {
    fn new(members: u64, change: impl Fn(Config) -> Config, flaw: Option<Flaw>) -> Self {
        Bench((1..=members).map(|id| (id, Bench::raft(id, members, &change, flaw))).collect())
    }

    fn raft(id: Id, founders: u64, change: impl Fn(Config) -> Config, flaw: Option<Flaw>) -> Raft {
        let config = change(Config::new(id, Random::new(1)));
        Raft::new(config, Saved::new(Membership::of(1..=founders))).with_flaw(flaw)
    }

    fn at(&mut self, id: Id) -> &mut Raft {
        self.0.get_mut(&id).expect("a member")
    }

    /// A leader's heartbeats go out, so that it sends again what was lost.
    fn beat(&mut self, id: Id, carries: impl Fn(&Message) -> bool) {
        self.at(id).send_heartbeats(None);
        self.settle(carries);
    }

    /// Carries messages until there are no more; others than these get lost.
    fn settle(&mut self, carries: impl Fn(&Message) -> bool) {
        loop {
            let mut mail = Vec::new();
            for raft in self.0.values_mut() {
                while raft.has_ready() {
                    let ready = raft.ready();
                    for entry in &ready.committed {
                        if let Payload::Change(change) = &entry.payload {
                            raft.apply_change(change).expect("a change that fits");
                        }
                    }
                    raft.advance(&ready);
                    mail.extend(ready.messages);
                }
            }
            if mail.is_empty() {
                return;
            }
            for message in mail.into_iter().filter(|message| carries(message)) {
                self.at(message.to).step(message);
            }
        }
    }

    /// Lets a member stand for election, whatever it was.
    fn elect(&mut self, id: Id, voters: &[Id]) {
        let term = self.0.values().map(Raft::term).max().unwrap_or_default();
        let denied = Body::VoteReply { pre: false, granted: false };
        self.at(id).step(Message { from: 0, to: id, term, body: denied });
        self.at(id).stand_now();
        let voters: BTreeSet<Id> = voters.iter().copied().chain([id]).collect();
        self.settle(|message| {
            let is_vote = matches!(message.body, Body::Vote { .. } | Body::VoteReply { .. });
            is_vote && voters.contains(&message.from) && voters.contains(&message.to)
        });
    }
}

fn to_one_of(message: &Message, ids: &[Id]) -> bool {
    ids.contains(&message.to) && ids.contains(&message.from)
}

/// Figure 8 of the paper, up to the moment that matters; answers how much member 1 believes to be committed, and
/// whether member 5 can lead without it.
fn figure_8(flaw: Option<Flaw>) -> (Index, bool) {
    let mut bench = Bench::new(5, |config| Config { max_entries: 1, ..config }, flaw);
    bench.elect(1, &[2, 3, 4, 5]);
    bench.beat(1, |_| true);
    bench.beat(1, |_| true);
    // (a) Member 1 gets its entry only to member 2.
    bench.at(1).propose((*b"a").into()).expect("it leads");
    bench.settle(|message| to_one_of(message, &[1, 2]));
    // (b) Member 5 leads and writes another entry at the same index, only at home.
    bench.elect(5, &[3, 4]);
    // (c) Member 1 leads again; its old entry is on three members, its new one on two.
    bench.elect(1, &[2, 3, 4]);
    // Member 3 refuses the new entry once, gets the old one, and the new one is lost on its way.
    let refused = std::cell::Cell::new(false);
    let is_new = |entry: &Entry| entry.term == 3;
    bench.beat(1, |message| {
        let new = matches!(&message.body, Body::Append { entries, .. } if entries.iter().any(is_new));
        to_one_of(message, &[1, 2]) || (to_one_of(message, &[1, 3]) && !(new && refused.replace(true)))
    });
    let committed = bench.at(1).log().commit;
    // (d) Member 5 leads with the votes of those who have only old entries.
    bench.elect(5, &[3, 4]);
    bench.beat(5, |message| to_one_of(message, &[3, 4, 5]));
    let lost = bench.at(5).log().term(2) == Some(2) && bench.at(5).log().commit >= 2;
    (committed, lost)
}

#[test]
fn copies_alone_do_not_commit_an_entry_of_an_old_term() {
    assert_eq!(figure_8(None), (1, true), "nothing was committed, so nothing was lost");
    assert_eq!(figure_8(Some(Flaw::NoCurrentTermRule)), (2, true), "the mistake commits what is then lost");
}

#[test]
fn the_new_voters_of_a_joint_membership_elect_nobody_alone() {
    for (flaw, elected) in [(None, false), (Some(Flaw::IgnoresTheOldVoters), true)] {
        let mut bench = Bench::new(3, |config| config, flaw);
        bench.0.extend((4..=5).map(|id| (id, Bench::raft(id, 3, |config| config, flaw))));
        bench.elect(1, &[2, 3]);
        bench.beat(1, |_| true);
        let steps = vec![Step::Remove(1), Step::Remove(2), Step::AddVoter(4), Step::AddVoter(5)];
        bench.at(1).propose_change(Change::Joint { steps, auto_leave: false }).expect("it leads");
        (0..3).for_each(|_| bench.beat(1, |_| true));
        assert!(bench.at(4).members().is_joint());
        bench.elect(4, &[5]);
        assert_eq!(bench.at(4).role() == Role::Leader, elected, "{flaw:?}");
    }
}

#[test]
fn a_conflict_of_many_entries_is_found_in_few_messages() {
    let mut bench = Bench::new(3, |config| config, None);
    bench.elect(1, &[2, 3]);
    bench.beat(1, |_| true);
    for _ in 0..200 {
        bench.at(1).propose((*b"lost").into()).expect("it leads");
    }
    bench.settle(|_| false);
    bench.elect(2, &[3]);
    bench.beat(2, |message| to_one_of(message, &[2, 3]));
    let messages = std::cell::Cell::new(0);
    bench.beat(2, |_| {
        messages.set(messages.get() + 1);
        true
    });
    assert_eq!(bench.at(1).log().last_index(), bench.at(2).log().last_index());
    assert!(messages.get() < 20, "{} messages for 200 entries of one term", messages.get());
}

#[test]
fn a_member_that_was_cut_off_disturbs_nobody_when_it_returns() {
    for (guarded, disturbs) in [(true, false), (false, true)] {
        let change = |config| Config { pre_vote: guarded, check_quorum: guarded, ..config };
        let mut bench = Bench::new(3, change, None);
        bench.elect(1, &[2, 3]);
        bench.settle(|_| true);
        for _ in 0..100 {
            bench.at(3).tick();
            bench.settle(|message| to_one_of(message, &[1, 2]));
        }
        let term = bench.at(1).term();
        for _ in 0..20 {
            bench.at(3).tick();
            bench.beat(1, |_| true);
        }
        assert_eq!(bench.at(1).term() != term, disturbs, "guarded {guarded}");
    }
}

#[test]
fn a_leader_without_a_quorum_steps_down() {
    let mut bench = Bench::new(3, |config| config, None);
    bench.elect(1, &[2, 3]);
    bench.beat(1, |_| true);
    for _ in 0..20 {
        bench.at(1).tick();
        bench.settle(|_| false);
    }
    assert_eq!((bench.at(1).role(), bench.at(1).leader()), (Role::Follower, None));
}

#[test]
fn a_lease_answers_at_once_and_ends_before_anybody_else_can_lead() {
    let mut bench = Bench::new(3, |config| Config { lease_reads: true, ..config }, None);
    bench.elect(1, &[2, 3]);
    bench.at(1).tick();
    bench.settle(|_| true);
    bench.at(1).read_index(7).expect("it leads");
    assert_eq!(bench.at(1).ready().reads, [ReadState { context: 7, index: 1 }]);
    for _ in 0..7 {
        bench.at(1).tick();
        bench.settle(|_| false);
    }
    bench.at(1).read_index(8).expect("it still leads");
    assert_eq!(bench.at(1).ready().reads, [], "the lease is over, so it has to ask");
}

/// Counts commands.
#[derive(Default)]
struct Counter(u64);

impl Machine for Counter {
    type Answer = u64;
    fn apply(&mut self, _: &[u8]) -> u64 {
        self.0 += 1;
        self.0
    }
    fn snapshot(&self) -> Vec<u8> {
        self.0.to_le_bytes().into()
    }
    fn restore(snapshot: &[u8]) -> Self {
        Counter(snapshot.try_into().map_or(0, u64::from_le_bytes))
    }
    fn digest(&self) -> u64 {
        self.0
    }
}

/// Lets a group run, and answers what was carried out.
fn run(group: &mut Group<Counter>, milliseconds: i64) -> Vec<u64> {
    let until = group.now() + Instant { nanos: milliseconds * MILLISECOND };
    let mut applied = Vec::new();
    while let Some(done) = group.next(until) {
        if let Done::Applied { answer, .. } = done {
            applied.push(answer);
        }
    }
    assert_eq!(group.watch.violation, None);
    applied
}

fn write(group: &mut Group<Counter>) -> Result<(), Refusal> {
    let leader = group.leader().ok_or(Refusal::NotLeader(None))?;
    group.propose(leader, (*b"+1").into(), 0)
}

#[test]
fn a_group_survives_as_many_failures_as_leave_a_majority() {
    for (members, survives) in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)] {
        let mut group = Group::<Counter>::new(members, Options::new(members));
        run(&mut group, 1000);
        write(&mut group).expect("a leader");
        assert_eq!(run(&mut group, 100), [1], "{members} members");
        for failed in 0..survives {
            let leader = group.leader().expect("a leader");
            group.crash(leader, 0);
            run(&mut group, 1500);
            write(&mut group).expect("a new leader");
            assert_eq!(run(&mut group, 100), [failed + 2], "{members} members, {} failed", failed + 1);
        }
        // One more, and writes stop. What was acknowledged is still there when it comes back.
        let leader = group.leader().expect("a leader");
        group.crash(leader, 0);
        run(&mut group, 1500);
        let stops = write(&mut group);
        assert_eq!((stops.is_err(), run(&mut group, 1500)), (true, vec![]), "{members} members");
        group.start(leader);
        run(&mut group, 1500);
        write(&mut group).expect("a leader again");
        assert_eq!(run(&mut group, 100), [survives + 2], "{members} members: nothing is lost");
    }
}

#[test]
fn a_leader_hands_over_without_a_pause() {
    let mut group = Group::<Counter>::new(3, Options::new(1));
    run(&mut group, 1000);
    let leader = group.leader().expect("a leader");
    let other = leader % 3 + 1;
    group.transfer_leader(leader, other).expect("it leads");
    run(&mut group, 4 * TICK / MILLISECOND);
    assert_eq!(group.leader(), Some(other), "far sooner than an election timeout");
}

#[test]
fn a_new_member_catches_up_from_a_snapshot_and_then_counts() {
    let mut group = Group::<Counter>::new(3, Options { snapshot_every: 5, ..Options::new(1) });
    run(&mut group, 1000);
    for _ in 0..20 {
        write(&mut group).expect("a leader");
        run(&mut group, 50);
    }
    group.add_host(4);
    let leader = group.leader().expect("a leader");
    group.propose_change(leader, Change::Simple(Step::AddVoter(4))).expect("it leads");
    run(&mut group, 500);
    assert_eq!(group.machine(4).map(|machine| machine.0), Some(20));
    assert!(group.raft(4).is_some_and(|raft| raft.members().votes(4)));
    // Four members need three: with two there is no majority.
    let others: Vec<Id> = (1..=4).filter(|id| *id != leader).collect();
    group.crash(others[0], 0);
    write(&mut group).expect("a leader");
    assert_eq!(run(&mut group, 100), [21]);
    group.crash(others[1], 0);
    _ = write(&mut group);
    assert_eq!(run(&mut group, 1000), [0; 0]);
}

#[test]
fn all_members_are_replaced_at_once_through_joint_consensus() {
    let mut group = Group::<Counter>::new(3, Options::new(1));
    run(&mut group, 1000);
    write(&mut group).expect("a leader");
    run(&mut group, 100);
    (4..=6).for_each(|id| group.add_host(id));
    let steps = (1..=3).map(Step::Remove).chain((4..=6).map(Step::AddVoter)).collect();
    let leader = group.leader().expect("a leader");
    group.propose_change(leader, Change::Joint { steps, auto_leave: true }).expect("it leads");
    assert_eq!(group.propose_change(leader, Change::Simple(Step::AddVoter(1))), Err(Refusal::ChangePending));
    run(&mut group, 2000);
    (1..=3).for_each(|id| group.crash(id, 0));
    run(&mut group, 1000);
    write(&mut group).expect("a new member leads");
    assert_eq!(run(&mut group, 100), [2]);
    assert_eq!(group.raft(4).map(|raft| raft.members().clone()), Some(Membership::of(4..=6)));
}
