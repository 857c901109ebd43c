//! Fresh scenarios of `scheduler/preemption`: pods of few priorities that started at few times, so that each rule decides.

use crate::fresh::{Generator, question, scenario, several, step};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

/// Priorities at the ends of their type, and few between.
fn priority() -> impl Strategy<Value = i32> {
    let odd = vec![-1, -10, i32::MIN, i32::MIN + 1, i32::MAX, i32::MAX - 1, 2_000_000_000, 1_000_000_000];
    prop_oneof![6 => select(vec![0, 1, 5, 10]), 1 => select(odd)]
}

fn pod() -> impl Strategy<Value = Value> {
    let budgets = prop_oneof![1 => Just(Vec::new()), 1 => subsequence(vec![0, 1, 2, 3, 4], 1..4)];
    let started = prop_oneof![
        2 => select(vec![0_i64, 0, 1, 1000, 1001, 1 << 41]),
        // As clocks say it, a second, a millisecond or 32 bits later.
        1 => select(vec![0_i64, 0, 1, 999, 1000, 1 << 31, 1 << 32]).prop_map(|later| 1_748_779_200_000 + later),
    ];
    (priority(), started, budgets)
        .prop_map(|(priority, started, budgets)| json!({"priority": priority, "started": started, "budgets": budgets}))
}

fn named(pods: &mut [Value]) {
    for (number, pod) in pods.iter_mut().enumerate() {
        // In no order that names have, and some where the cluster's own pods are.
        let namespace = if number % 3 == 2 { "kube-system" } else { "default" };
        pod["name"] = format!("{namespace}/pod-{}", number * 7 % 80 + 1).into();
    }
}

/// What a candidate may have otherwise than the one before it, while all else is the same.
fn change(candidate: &mut Value, what: u8) {
    let Some(victims) = candidate["victims"].as_array_mut() else { return };
    let count = victims.len();
    let lowest = victims[count - 1]["priority"].as_i64().unwrap_or_default();
    match what {
        1 => {
            candidate["violations"] =
                (candidate["violations"].as_i64().unwrap_or_default() + 1).min(count as i64).into()
        }
        2 => {
            for pod in victims {
                pod["started"] = (pod["started"].as_i64().unwrap_or_default() + 1).into();
            }
        }
        3 => victims[count - 1]["started"] = (victims[count - 1]["started"].as_i64().unwrap_or_default() + 5000).into(),
        4 if lowest > i32::MIN.into() => victims[count - 1]["priority"] = (lowest - 1).into(),
        // One more victim, but none of them is as important.
        5 if lowest > i32::MIN.into() => {
            for pod in victims.iter_mut() {
                pod["priority"] = (pod["priority"].as_i64().unwrap_or_default() - 1).into();
            }
            let mut more = victims[count - 1].clone();
            more["name"] = format!("default/more-{count}").into();
            victims.push(more);
        }
        // One more victim that adds nothing to the sum, or two for one, which make less.
        7 => {
            let mut more = victims[count - 1].clone();
            (more["name"], more["priority"]) = (format!("default/more-{count}").into(), i32::MIN.into());
            victims.push(more);
        }
        8 if count > 1 && lowest > i64::from(i32::MIN) + 10 => {
            victims[count - 1]["priority"] = (i32::MIN + 5).into();
            let mut more = victims[count - 1].clone();
            (more["name"], more["priority"]) = (format!("default/more-{count}").into(), (i32::MIN + 1).into());
            victims.push(more);
        }
        // What 32 bits don't tell apart.
        6 => {
            for pod in victims {
                pod["started"] = (pod["started"].as_i64().unwrap_or_default() + (1 << 32)).into();
            }
        }
        _ => {}
    }
}

/// A node from `select` to its end, with what a filter might have said; or the choice between nodes.
pub fn fresh() -> Generator {
    // So many that not all of them fit in the bits of a machine word, and that a sort may be another.
    let few = (priority(), vec(pod(), 0..7));
    let many = (Just(i32::MAX), vec(pod(), 66..72));
    let fits = (prop_oneof![8 => Just(true), 1 => Just(false)], vec(any::<bool>(), 72));
    let node = (prop_oneof![24 => few, 1 => many], vec(-1_i64..4, 5), fits).prop_map(
        |((priority, mut pods), budgets, fits)| {
            named(&mut pods);
            let lower = pods.iter().filter(|pod| pod["priority"].as_i64() < Some(priority.into())).count();
            let node = json!({"priority": priority, "pods": pods, "budgets": budgets});
            let checked = |fits: bool| step("checked", json!({ "fits": fits }));
            let (all, each) = fits;
            let mut steps = vec![step("select", json!({ "node": node }))];
            if lower > 0 {
                steps.push(checked(all));
            }
            if all {
                steps.extend(each.into_iter().take(lower).map(checked));
            }
            steps
        },
    );
    let select_nodes = vec(node, 1..4).prop_map(|nodes| scenario(json!({}), nodes.concat()));
    let victims = prop_oneof![24 => vec(pod(), 1..4), 1 => vec(pod(), 60..70)];
    let candidate = (victims, select(vec![0_i64, 0, 0, 1, 2])).prop_map(|(mut victims, violations)| {
        named(&mut victims);
        let number = |pod: &Value, field: &str| pod[field].as_i64().unwrap_or_default();
        victims.sort_by_key(|pod| (-number(pod, "priority"), number(pod, "started")));
        let violations = violations.min(victims.len() as i64);
        json!({"victims": victims, "violations": violations})
    });
    let pick = (vec(candidate, 1..6), vec(0..13_u8, 6), any::<bool>()).prop_map(|(mut candidates, changes, back)| {
        for at in 1..candidates.len() {
            // Half of the candidates are nearly those before them.
            if changes[at] < 9 {
                candidates[at] = candidates[at - 1].clone();
                change(&mut candidates[at], changes[at]);
            }
        }
        for (number, candidate) in candidates.iter_mut().enumerate() {
            candidate["node"] = format!("node-{}", number + 8).into();
        }
        if back {
            candidates.reverse();
        }
        question("pick", json!({ "candidates": candidates }))
    });
    prop_oneof![3 => select_nodes, 4 => several(pick, 4)].boxed()
}
