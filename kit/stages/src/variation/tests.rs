//! Each kind says in one paragraph what is different, is what it says, and is noticed by the scenarios of its exercise.

use super::*;
use crate::fresh::Fresh;
use kit_contract::{Args, Player};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// The variations of an exercise that so many seeds draw, each once.
fn drawn(exercise: &str, seeds: u64) -> Vec<Variation> {
    let mut names = BTreeSet::new();
    let all = (0..seeds).filter_map(|seed| draw(exercise, seed));
    all.filter(|variation| names.insert(variation.name.clone())).collect()
}

/// Whether two modules answer the same to all questions of a scenario.
fn agree(exercise: &str, scenario: &Json, one: &Modules, other: &Modules) -> bool {
    let player = |modules: &Modules| modules.player(exercise).expect("the exercise has a contract");
    let (mut one, mut other) = (player(one), player(other));
    let start = |player: &mut dyn Player| {
        let new = scenario["new"].to_string();
        let args: Args<'_> = serde_json::from_str(&new).expect("arguments have names");
        player.start(&args).expect("a module is made");
    };
    start(&mut *one);
    start(&mut *other);
    scenario["steps"].as_array().expect("a scenario has steps").iter().all(|step| {
        let (call, args) = step.as_object().and_then(|step| step.iter().next()).expect("a step is a call");
        let args = args.to_string();
        let args: Args<'_> = serde_json::from_str(&args).expect("arguments have names");
        let [a, b] = [&mut one, &mut other].map(|player| player.ask(call, &args).expect("a valid question"));
        one.same(call, &a, &b).expect("answers can be compared")
    })
}

/// So many scenarios of each verdict tell a variation from the standard rule, at least.
const NOTICED: usize = 5;

/// How many of the scenarios that go with a verdict about the variation do so, of which no more than that are looked for.
fn noticed(variation: &Variation, seed: &str) -> usize {
    let reference = solutions::modules();
    let varied = variation.modules(&reference);
    let (generator, count) = variation.scenarios(&varied).expect("the exercise has a generator");
    let scenarios = (1..=count)
        .map(|number| Fresh::draw(&generator, variation.exercise, seed, number).expect("it draws").scenario());
    let different = scenarios.filter(|scenario| !agree(variation.exercise, scenario, &reference, &varied));
    let different: Vec<Json> = different.take(NOTICED).collect();
    for scenario in &different {
        assert!(agree(variation.exercise, scenario, &varied, &varied), "{} {scenario:#}", variation.name);
    }
    different.len()
}

#[test]
fn there_are_enough() {
    assert!(kinds().count() >= 12 && exercises().len() >= 9);
    let mut names = BTreeSet::new();
    assert!(kinds().all(|kind| names.insert((kind.exercise, kind.name))), "no kind is there twice");
    for kind in kinds() {
        assert!(EXERCISES.contains(&kind.exercise), "{}", kind.exercise);
        assert!((1..=3).contains(&kind.params.len()) && (5..=30).contains(&kind.minutes), "{}", kind.name);
        assert!(kind.params.iter().all(|param| param.count() > 1), "{}: parameters can be chosen", kind.name);
    }
}

#[test]
fn all_kinds_are_drawn_and_a_seed_draws_one_forever() {
    for exercise in EXERCISES {
        let all: BTreeSet<&str> = all(exercise).into_iter().collect();
        let variations = drawn(exercise, 400);
        let seen: BTreeSet<&str> = variations.iter().map(|variation| variation.kind.name).collect();
        assert_eq!(seen, all, "{exercise}");
        assert!((0..20).all(|seed| draw(exercise, seed) == draw(exercise, seed)));
    }
    let pinned = [("scheduler/taints", 7), ("workloads/hpa", 7), ("node/qos", 4711)]
        .map(|(exercise, seed)| draw(exercise, seed).map(|variation| variation.name).unwrap_or_default());
    assert_eq!(
        pinned,
        ["brief:seconds=301", "winner:proposal=least", "reserved:parts=5"],
        "every machine draws the same"
    );
}

#[test]
fn names_say_all_that_there_is_to_say() {
    for variation in EXERCISES.iter().flat_map(|exercise| drawn(exercise, 400)) {
        let Variation { exercise, name, rule, .. } = &variation;
        let again = parse(exercise, name).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((&again, &again.rule), (&variation, rule));
        let words = rule.split_whitespace().count();
        assert!((30..=120).contains(&words), "{exercise} {name}: {words} words: {rule}");
        assert!(!rule.contains('\n') && !rule.contains("  ") && rule.ends_with('.'), "{exercise} {name}: {rule}");
    }
}

#[test]
fn mistakes_in_names_are_explained() {
    let cases = [
        ("scheduler/pod_affinity", "anything", "scheduler/pod_affinity has no variations; these have: control_plane/"),
        ("scheduler/taints", "prefers", "there are: prefer-refuses, report, brief, short-values"),
        ("scheduler/taints", "brief:second=3", "has no parameter `second`; it has: seconds"),
        ("scheduler/taints", "brief:seconds", "takes a whole number from 0 to 86400, and not ``"),
        ("scheduler/taints", "brief:seconds=99999999999999999999", "takes a whole number from 0 to 86400"),
        ("scheduler/taints", "report:order=first", "takes last or no-execute-first or by-key, and not `first`"),
    ];
    for (exercise, text, expected) in cases {
        let error = parse(exercise, text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    let names = [
        ("brief", "brief:seconds=1"),
        ("reserve: parts = 8 ", "reserve:resource=memory,parts=8"),
        ("reserve:parts=8,resource=cpu", "reserve:resource=cpu,parts=8"),
    ];
    for (text, name) in names {
        let exercise = if text == "brief" { "scheduler/taints" } else { "scheduler/resources_fit" };
        assert_eq!(parse(exercise, text).map(|variation| variation.name), Ok(name.to_string()));
    }
}

/// A candidate who ignores the paragraph must not pass, whatever the seed of the fresh scenarios.
#[test]
fn the_standard_rule_does_not_pass() {
    let mut missed = Vec::new();
    for variation in EXERCISES.iter().flat_map(|exercise| drawn(exercise, 16)) {
        for seed in ["1.33-1", "autumn", "4711"] {
            let noticed = noticed(&variation, seed);
            if noticed < NOTICED {
                missed.push(format!("{} {}, seed {seed}: {noticed}", variation.exercise, variation.name));
            }
        }
    }
    assert!(missed.is_empty(), "hardly noticed:\n{}", missed.join("\n"));
}
