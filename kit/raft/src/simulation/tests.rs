//! Thousands of runs: without a violation if Raft is right, and with one for each deliberate mistake.

use super::*;

/// How many seeds are played: `RAFT_SEEDS`, or few enough for every day.
fn seeds() -> u64 {
    std::env::var("RAFT_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

#[test]
fn no_schedule_of_faults_breaks_a_promise() {
    let mut total = Summary::default();
    for seed in 0..seeds() {
        let Summary { answered, unknown, terms, faults } =
            play(Plan::of(seed)).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        total.answered += answered;
        total.unknown += unknown;
        total.terms += terms;
        total.faults += faults;
    }
    println!("{} seeds: {total:?}", seeds());
    // A simulation in which nothing happens would find nothing.
    assert!(total.answered > 100 * seeds() && total.faults > 10 * seeds() && total.terms > 2 * seeds(), "{total:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..5 {
        assert_eq!(play(Plan::of(seed)), play(Plan::of(seed)));
    }
}

/// Mistakes that chance finds too rarely, since a whole schedule has to come together, have tests of their own.
const SCRIPTED: [Flaw; 2] = [Flaw::NoCurrentTermRule, Flaw::IgnoresTheOldVoters];

#[test]
fn every_deliberate_mistake_is_found() {
    let mut missed = Vec::new();
    for flaw in Flaw::ALL.into_iter().filter(|flaw| !SCRIPTED.contains(flaw)) {
        let found = (0..3000).find_map(|seed| {
            let mut plan = Plan { flaw: Some(flaw), ..Plan::of(seed) };
            // A leader that steps down by itself leaves little time for such a read.
            plan.guarded &= flaw != Flaw::ReadsWithoutQuorum;
            play(plan).err().filter(|violation| violation.property != Property::Progress).map(|found| (seed, found))
        });
        match found {
            Some((seed, violation)) => println!("{flaw:?}: seed {seed}: {violation}"),
            None => missed.push(flaw),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
