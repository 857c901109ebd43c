//! Fresh scenarios of `failure/leader_election`: a few candidates and one lease, a network that loses requests and answers,
//! processes that are paused, killed and asked to stop, and people who write into the lease. What happens to one of the
//! candidates are the questions.

mod world;

use crate::fresh::{Generator, scenario};
use kit_contract::Slot;
use kit_contract::failure::LeaderElection;
use kit_contract::failure::leader_election::{Config, Record};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use world::{Fault, Plan, play};

/// A number of seconds, now and then with a bit more.
fn span(most: i64) -> impl Strategy<Value = i64> {
    (0..=most, select(vec![0_i64, 0, 1, 500, 999])).prop_map(|(seconds, millis)| seconds * 1000 + millis)
}

fn fault() -> impl Strategy<Value = Fault> {
    let who = || 0..3_usize;
    let record = (select(vec!["", "a", "b", "somebody"]), select(vec![0_i64, 1, 4, 15, 40]), 0..3_i64).prop_map(
        |(holder, lease_duration_seconds, lease_transitions)| Record {
            holder_identity: holder.into(),
            lease_duration_seconds,
            acquire_time_ms: 7,
            renew_time_ms: 8,
            lease_transitions,
        },
    );
    prop_oneof![
        3 => span(25).prop_map(Fault::Down),
        3 => span(25).prop_map(Fault::Deaf),
        3 => span(12).prop_map(Fault::Unheard),
        2 => (who(), span(40)).prop_map(|(who, span)| Fault::Pause(who, span)),
        2 => (who(), span(20)).prop_map(|(who, span)| Fault::Kill(who, span)),
        2 => (who(), any::<bool>()).prop_map(|(who, again)| Fault::Cancel(who, again)),
        1 => Just(Fault::Delete),
        2 => record.prop_map(Fault::Write),
        1 => (0..2_i64).prop_map(Fault::Touch),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let times = select(vec![
        (15_i64, 10_000_i64, 2000_i64),
        (15, 10_000, 2000),
        // A lease that runs out while its leader is still in a round.
        (11, 10_000, 3000),
        (4, 3000, 1000),
        (60, 30_001, 333),
    ]);
    (times, any::<bool>()).prop_map(|((lease_duration_seconds, renew_deadline_ms, retry_period_ms), release)| Config {
        identity: "a".into(),
        lease_duration_seconds,
        renew_deadline_ms,
        retry_period_ms,
        release_on_cancel: release,
    })
}

/// What happens to the first of up to three candidates. The reference is played along as all of them.
pub fn fresh(reference: Slot<dyn LeaderElection>) -> Generator {
    let latency = prop_oneof![4 => select(vec![0_i64, 1, 5, 40]), 1 => select(vec![900_i64, 2600, 6000])];
    // Without both, things happen at the very moment at which something runs out.
    let latencies = prop_oneof![3 => vec(latency, 1..9), 1 => Just(vec![0])];
    let draws = prop_oneof![3 => vec(0.0..1.0_f64, 1..6), 1 => Just(vec![0.0])];
    let faults = vec((span(20), fault()), 0..7);
    let first = option::weighted(0.3, (select(vec!["", "a", "b", "gone"]), select(vec![1_i64, 15]), 0..4_i64));
    let begins = vec(span(5), 3);
    let clock = select(vec![0_i64, 90_000, 1_748_779_200_000]);
    let plan = (config(), 1..=3_usize, begins, clock, latencies, draws, faults, first);
    plan.prop_map(move |(config, count, begins, clock_ms, latencies, draws, faults, first)| {
        let first = first.map(|(holder, lease_duration_seconds, lease_transitions)| Record {
            holder_identity: holder.into(),
            lease_duration_seconds,
            acquire_time_ms: 3,
            renew_time_ms: 4,
            lease_transitions,
        });
        let begins_ms = begins.into_iter().take(count).collect();
        let plan = Plan { config, begins_ms, clock_ms, latencies, draws, faults, first, until_ms: 150_000, steps: 60 };
        let story = play(&plan, &reference);
        let why = match story.two_led() {
            true => "A lease is no fence: here two lead at once for a while, and each does what a candidate does.",
            false => "Whatever is lost, late, or written by others, a candidate does what its own clock tells it.",
        };
        let mut drawn = scenario(json!({ "config": plan.config }), story.questions);
        (drawn["why"], drawn["read"]) = (why.into(), "in-the-exercise".into());
        drawn
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh::Fresh;
    use proptest::test_runner::{Config as Runs, TestRunner};

    fn plan(faults: Vec<(i64, Fault)>) -> Plan {
        Plan {
            config: Config::default(),
            begins_ms: vec![0, 700, 1400],
            clock_ms: 0,
            latencies: vec![1, 5, 40],
            draws: vec![0.1, 0.9, 0.5],
            faults,
            first: None,
            until_ms: 200_000,
            steps: usize::MAX,
        }
    }

    /// What is lost, late or killed never makes two leaders, and when it is over one leads.
    #[test]
    fn at_most_one_leads_whatever_is_lost() {
        let fault = prop_oneof![
            span(25).prop_map(Fault::Down),
            span(25).prop_map(Fault::Deaf),
            span(12).prop_map(Fault::Unheard),
            (0..3_usize, span(20)).prop_map(|(who, span)| Fault::Kill(who, span)),
            (0..2_i64).prop_map(Fault::Touch),
        ];
        let mut runner = TestRunner::new(Runs { cases: 200, failure_persistence: None, ..Runs::default() });
        let slot = solutions::modules().leader_election;
        let held = runner.run(&vec((span(20), fault), 0..7), |faults| {
            let story = play(&plan(faults), &slot);
            prop_assert!(!story.two_led(), "{:?}", story.reigns);
            prop_assert!(story.reigns.iter().any(|reign| reign.until_ms.is_none()), "{:?}", story.reigns);
            Ok(())
        });
        held.expect("the promise is kept");
    }

    /// A lease doesn't fence: who is paused doesn't know that its time is over.
    #[test]
    fn a_paused_leader_and_its_successor_lead_at_once() {
        let story = play(&plan(vec![(20_000, Fault::Pause(0, 40_000))]), &solutions::modules().leader_election);
        assert!(story.two_led(), "{:?}", story.reigns);
    }

    #[test]
    fn candidates_meet_everything() {
        let generator = fresh(solutions::modules().leader_election);
        let mut seen = String::new();
        for number in 1..200 {
            let drawn = Fresh::draw(&generator, "failure/leader_election", "a", number).expect("it draws");
            seen += &drawn.scenario().to_string();
        }
        for event in ["wake", "found", "not_found", "written", "refused", "lost", "cancel"] {
            assert!(seen.contains(&format!("\"{event}\"")), "{event}");
        }
    }
}
