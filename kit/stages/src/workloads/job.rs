//! Fresh scenarios of `workloads/job`: numbers around each limit, spans that touch, failures around a success.

use crate::fresh::{Generator, question, several};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn yes(one_of: u32) -> impl Strategy<Value = bool> {
    prop_oneof![one_of - 1 => Just(false), 1 => Just(true)]
}

/// How many pods to make or to delete.
fn size() -> impl Strategy<Value = Value> {
    let number = || prop_oneof![6 => 0..7_i32, 1 => select(vec![500, 501, 70_000])];
    // What people write may be as large as it can be; what is there isn't.
    let asked = || prop_oneof![9 => number(), 1 => Just(i32::MAX)];
    (asked(), option::weighted(0.75, asked()), yes(8), any::<bool>(), number(), 0..4_i32, number()).prop_map(
        |(parallelism, completions, suspended, only_failed, active, terminating, succeeded)| {
            let request = json!({
                "parallelism": parallelism, "completions": completions, "suspended": suspended, "only_failed": only_failed,
                "active": active, "terminating": terminating, "succeeded": succeeded,
            });
            question("size", json!({ "request": request }))
        },
    )
}

/// Indexes that are often next to each other.
fn indexes() -> impl Strategy<Value = BTreeSet<i64>> {
    let runs = vec((0..14_i64, 1..5_i64), 0..4)
        .prop_map(|runs| runs.into_iter().flat_map(|(first, count)| first..first + count).collect::<BTreeSet<i64>>());
    let far = (99_990..99_999_i64, 1..6_i64).prop_map(|(first, count)| (first..first + count).collect());
    prop_oneof![4 => btree_set(0..14_i64, 0..8), 5 => runs, 1 => far]
}

/// How a status writes them.
fn text(indexes: &BTreeSet<i64>) -> String {
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for index in indexes {
        match spans.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => spans.push((*index, *index)),
        }
    }
    let span = |(first, last): (i64, i64)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    spans.into_iter().map(span).collect::<Vec<_>>().join(",")
}

/// What a status says after more indexes have succeeded.
fn completed() -> impl Strategy<Value = Value> {
    (indexes(), vec(prop_oneof![9 => 0..16_i64, 1 => 99_990..100_000_i64], 0..6))
        .prop_map(|(before, succeeded)| question("completed", json!({"before": text(&before), "succeeded": succeeded})))
}

/// Which indexes get a pod.
fn pending() -> impl Strategy<Value = Value> {
    let completions = prop_oneof![6 => 0..16_i64, 1 => Just(100_000_i64)];
    let some = || btree_set(0..14_i64, 0..4);
    (completions, indexes(), prop_oneof![2 => Just(BTreeSet::new()), 1 => indexes()], some(), 0..7_i64, any::<bool>())
        .prop_map(|(completions, completed, failed, taken, count, all)| {
            // In a large job it is the end that is missing, and some before it.
            let first = if completions > 100 { completions - 20 } else { 0 };
            let late = |indexes: &BTreeSet<i64>| within(&indexes.iter().map(|index| first + index).collect(), completions);
            let mut completed = text(&late(&completed));
            if first > 0 {
                let all = if count % 2 == 0 { format!("0-{}", first - 2) } else { format!("0-70,72-{}", first - 2) };
                completed = [all, completed].iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(",");
            }
            let failed = if all { BTreeSet::new() } else { late(&failed) };
            let mut taken: Vec<i64> = late(&taken).into_iter().collect();
            taken.reverse();
            let request = json!({
                "completions": completions, "completed": completed, "failed": text(&failed), "taken": taken, "count": count,
            });
            question("pending", json!({ "request": request }))
        })
}

fn within(indexes: &BTreeSet<i64>, completions: i64) -> BTreeSet<i64> {
    indexes.iter().copied().filter(|index| *index < completions).collect()
}

/// What a failure means.
fn failure() -> impl Strategy<Value = Value> {
    let code = || select(vec![1_i32, 42, 137, 143, 255, 298, -1_073_741_510]);
    let name = || select(vec!["main", "side", "init"]);
    let values = vec(code(), 1..3);
    let on_codes = (option::weighted(0.4, name()), select(vec!["In", "NotIn"]), values, yes(4)).prop_map(
        |(name, operator, mut values, zero)| {
            // Only among those that are not to be may there be a 0.
            if zero && operator == "NotIn" {
                values.push(0);
            }
            values.sort_unstable();
            values.dedup();
            let mut codes = json!({"operator": operator, "values": values});
            if let Some(name) = name {
                codes["containerName"] = name.into();
            }
            json!({ "onExitCodes": codes })
        },
    );
    let condition = || {
        let type_ = select(vec!["DisruptionTarget", "ConfigIssue", "Ready"]);
        (type_, prop_oneof![4 => Just("True"), 2 => Just("False"), 1 => Just("Unknown")])
            .prop_map(|(type_, status)| json!({"type": type_, "status": status}))
    };
    let on_conditions = vec(condition(), 1..3).prop_map(|patterns| json!({ "onPodConditions": patterns }));
    let action = select(vec!["FailJob", "FailIndex", "Ignore", "Count"]);
    let rule = (prop_oneof![3 => on_codes, 2 => on_conditions], action).prop_map(|(mut rule, action)| {
        rule["action"] = action.into();
        rule
    });
    let exit = prop_oneof![3 => code().prop_map(Some), 2 => Just(Some(0)), 1 => Just(None)];
    let containers = vec(exit, 3).prop_map(|exits| {
        let names = ["main", "side", "init"];
        names.iter().zip(exits).map(|(name, exit)| json!({"name": name, "exit_code": exit})).collect::<Vec<_>>()
    });
    let rule = rule.boxed();
    let rules = prop_oneof![9 => vec(rule.clone(), 0..4), 1 => vec(rule, 15..20)];
    (rules, containers, 0..4_usize, vec(condition(), 0..3)).prop_map(|(rules, mut containers, count, conditions)| {
        containers.truncate(count);
        question("failure", json!({"rules": rules, "pod": {"containers": containers, "conditions": conditions}}))
    })
}

/// How long to wait.
fn backoff() -> impl Strategy<Value = Value> {
    const START: i64 = 1_748_779_200_000;
    // Times that meet: the moment of a success is asked for, too.
    let at = || prop_oneof![5 => (0..6_i64).prop_map(|step| step * 5_000), 1 => 0..30_000_i64];
    let ended = (at(), yes(4)).prop_map(|(at, succeeded)| json!({"at": START + at, "succeeded": succeeded}));
    let later = prop_oneof![
        3 => (0..12_i64).prop_map(|step| step * 5_000),
        2 => select(vec![19_999, 20_000, 80_000, 160_000, 320_000, 599_999, 600_000, 640_000]),
    ];
    let failures = prop_oneof![8 => 0..12_i64, 1 => select(vec![63_i64, 64, 65, 1000])];
    // The last failure of before may have been later than some that are new.
    let before = prop_oneof![3 => Just(-15_000_i64), 1 => at(), 1 => -600_000..0_i64];
    (failures, any::<bool>(), before, vec(ended, 0..5), later).prop_map(|(failures, known, before, ended, later)| {
        let failures = if known { failures } else { 0 };
        let last = (failures > 0).then_some(START + before);
        let request = json!({"failures": failures, "last": last, "ended": ended, "now": START + 25_000 + later});
        question("backoff", json!({ "request": request }))
    })
}

/// What ends a job.
fn ending() -> impl Strategy<Value = Value> {
    let rule = (option::weighted(0.6, indexes()), option::weighted(0.5, 0..5_i64)).prop_map(|(indexes, count)| {
        // A rule may name no index at all, and ask for none.
        match indexes.map(|all| within(&all, 14)) {
            Some(all) => json!({"succeeded_indexes": text(&all), "succeeded_count": count.map(|count| count.min(all.len() as i64))}),
            None => json!({"succeeded_count": count.unwrap_or(2)}),
        }
    });
    let failures =
        (yes(12), 0..4_i32, prop_oneof![1 => 0..3_i32, 3 => 3..7_i32], prop_oneof![3 => Just(0), 1 => 1..5_i32]);
    let times =
        (yes(5), option::of(select(vec![0_i64, 59_999, 60_000, 60_001])), option::of(select(vec![60_i64, 61, 60, 1])));
    let rule = rule.boxed();
    let rules = prop_oneof![7 => vec(rule.clone(), 0..3), 1 => vec(rule, 5..12)];
    let indexed = (indexes(), option::weighted(0.4, 0..4_i64), option::of(0..3_i64), rules);
    let ends = (option::weighted(0.7, 1..6_i32), 0..6_i32, prop_oneof![3 => Just(0), 1 => 1..3_i32], any::<bool>());
    (failures, times, indexed, ends).prop_map(
        |((fails_job, failed, limit, restarts), (suspended, active_ms, deadline), (completed, failed_indexes, most, rules), (completions, succeeded, active, is_indexed))| {
            let mut request = json!({
                "fails_job": fails_job, "failed": failed, "backoff_limit": limit, "restarts": restarts, "suspended": suspended,
                "active_ms": active_ms, "deadline_seconds": deadline, "completions": completions, "succeeded": succeeded,
                "active": active,
            });
            if is_indexed {
                let completed = within(&completed, 14);
                let failed = failed_indexes.unwrap_or(0);
                // Around the number that ends it.
                request["completions"] = (completed.len() as i64 + failed + i64::from(succeeded % 3) - 1).max(1).into();
                request["succeeded"] = completed.len().into();
                request["completed"] = text(&completed).into();
                request["failed_indexes"] = json!(failed_indexes);
                request["max_failed_indexes"] = json!(most.filter(|_| failed_indexes.is_some()));
                request["success_rules"] = json!(rules);
            }
            question("ending", json!({ "request": request }))
        },
    )
}

/// Some of the six questions.
pub fn fresh() -> Generator {
    several(
        prop_oneof![2 => size(), 2 => completed(), 2 => pending(), 3 => failure(), 2 => backoff(), 4 => ending()],
        4,
    )
}
