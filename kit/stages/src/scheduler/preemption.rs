//! Fresh scenarios of `scheduler/preemption`: pods of few priorities that started at few times, so that each rule decides.

use crate::fresh::{Generator, question, scenario, step};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

/// Priorities at the ends of their type, and few between.
fn priority() -> impl Strategy<Value = i32> {
    prop_oneof![6 => select(vec![0, 1, 5, 10]), 1 => select(vec![-1, i32::MIN, i32::MAX, 2_000_000_000, 1_000_000_000])]
}

fn pod() -> impl Strategy<Value = Value> {
    let budgets = prop_oneof![1 => Just(Vec::new()), 1 => subsequence(vec![0, 1, 2], 1..3)];
    (priority(), select(vec![0_i64, 0, 1, 1000, 1001, 1 << 41]), budgets)
        .prop_map(|(priority, started, budgets)| json!({"priority": priority, "started": started, "budgets": budgets}))
}

fn named(pods: &mut [Value]) {
    for (number, pod) in pods.iter_mut().enumerate() {
        pod["name"] = format!("default/pod-{}", number + 1).into();
    }
}

/// A node from `select` to its end, with what a filter might have said; or the choice between nodes.
pub fn fresh() -> Generator {
    let pods = prop_oneof![12 => vec(pod(), 0..7), 1 => vec(pod(), 60..70)];
    let fits = (prop_oneof![8 => Just(true), 1 => Just(false)], vec(any::<bool>(), 70));
    let select_node = (priority(), pods, vec(-1_i64..3, 3), fits).prop_map(|(priority, mut pods, budgets, fits)| {
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
        scenario(json!({}), steps)
    });
    let victims = prop_oneof![12 => vec(pod(), 1..4), 1 => vec(pod(), 60..70)];
    let candidate = (victims, select(vec![0_i64, 0, 0, 1, 2])).prop_map(|(mut victims, violations)| {
        named(&mut victims);
        let number = |pod: &Value, field: &str| pod[field].as_i64().unwrap_or_default();
        victims.sort_by_key(|pod| (-number(pod, "priority"), number(pod, "started")));
        let violations = violations.min(victims.len() as i64);
        json!({"victims": victims, "violations": violations})
    });
    let pick = (vec(candidate, 1..6), any::<bool>()).prop_map(|(mut candidates, back)| {
        for (number, candidate) in candidates.iter_mut().enumerate() {
            candidate["node"] = format!("node-{}", number + 8).into();
        }
        if back {
            candidates.reverse();
        }
        question("pick", json!({ "candidates": candidates }))
    });
    prop_oneof![3 => select_node, 4 => pick].boxed()
}
