//! Fresh scenarios of `workloads/rollback`: templates that differ in one place, revisions that sort otherwise as texts, sets that
//! may not go.

use crate::fresh::{Generator, question, several};
use kit_contract::workloads::rollback::{HASH, OWN, REVISION, REVISION_HISTORY};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

/// The last number up to which a double tells all whole ones apart.
const FAR: i64 = 9_007_199_254_740_992;

/// A template: what may differ, and the hash of its set.
fn template(with_hash: bool) -> impl Strategy<Value = Value> {
    let labels = prop_oneof![
        5 => Just(Some(json!({"app": "web"}))),
        2 => Just(Some(json!({"app": "web", "tier": "front"}))),
        1 => Just(Some(json!({}))),
        1 => Just(None),
    ];
    let hash =
        prop_oneof![1 => Just(None), if with_hash { 4 } else { 1 } => select(vec!["5d9f", "77aa"]).prop_map(Some)];
    let spec = prop_oneof![
        4 => Just(json!({})),
        1 => Just(json!({"terminationGracePeriodSeconds": 5})),
        1 => Just(json!({"serviceAccountName": "web"})),
        // Any part of a template may be the only one that differs.
        1 => select(vec![
            json!({"initContainers": [{"name": "wait", "image": "wait:1"}]}),
            json!({"volumes": [{"name": "config", "configMap": {"name": "web"}}]}),
            json!({"nodeSelector": {"disk": "fast"}}),
            json!({"restartPolicy": "Always"}),
        ]),
    ];
    let container = prop_oneof![
        6 => Just(json!({})),
        1 => select(vec![
            json!({"env": [{"name": "LEVEL", "value": "debug"}]}),
            json!({"resources": {"limits": {"cpu": "1"}}}),
            json!({"command": ["web"]}),
        ]),
    ];
    let annotations = prop_oneof![5 => Just(None), 1 => Just(Some(json!({"restartedAt": "noon"})))];
    let image = select(vec!["web:1", "web:1", "web:2"]);
    (labels, hash, spec, annotations, image, container).prop_map(
        |(labels, hash, mut spec, annotations, image, mut container)| {
            let mut meta = json!({});
            if let Some(labels) = labels {
                meta["labels"] = labels;
            }
            if let Some(hash) = hash {
                meta["labels"][HASH] = hash.into();
            }
            if let Some(annotations) = annotations {
                meta["annotations"] = annotations;
            }
            (container["name"], container["image"]) = ("web".into(), image.into());
            spec["containers"] = json!([container]);
            json!({"metadata": meta, "spec": spec})
        },
    )
}

/// Annotations that are copied, that aren't, and that only look so.
fn annotations() -> impl Strategy<Value = Value> {
    let others = [
        "kubernetes.io/change-cause",
        "team",
        "deployment.kubernetes.io/paused-by",
        "kubectl.kubernetes.io/restartedAt",
        "deprecated.deployment.rollback",
    ];
    let keys: Vec<&str> =
        OWN.into_iter().filter(|key| ![REVISION, REVISION_HISTORY].contains(key)).chain(others).collect();
    let values = select(vec!["a", "b", "", "7"]);
    btree_map(select(keys), values, 0..5).prop_map(|all| json!(all))
}

/// The text of a revision, which as a text comes before and after others than as a number.
fn revision() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        1 => Just(None),
        9 => select(vec![1_i64, 2, 3, 8, 9, 10, 11, 99, 100, 2_147_483_648, FAR, FAR + 1]).prop_map(|number| Some(number.to_string())),
    ]
}

/// The same, and now and then no number, or none that is positive.
fn any_revision() -> impl Strategy<Value = Option<String>> {
    let odd = select(vec!["x", "", "-3", "0", "1.5", "007"]).prop_map(|text| Some(text.to_string()));
    prop_oneof![6 => revision(), 1 => odd]
}

fn with_revision(mut annotations: Value, revision: Option<String>) -> Value {
    if let Some(revision) = revision {
        annotations[REVISION] = revision.into();
    }
    annotations
}

/// Sets in no order, with names that say nothing of their age.
fn named(mut sets: Vec<Value>, seed: usize) -> Vec<Value> {
    for (number, set) in sets.iter_mut().enumerate() {
        set["name"] = format!("web-{:02}", (number * 37 + seed) % 100).into();
    }
    sets
}

/// Which set is the new one.
fn new_set() -> impl Strategy<Value = Value> {
    let set = (template(true), 0..4_i64, 0..2_i32).prop_map(
        |(template, created, replicas)| json!({"template": template, "created": created, "replicas": replicas}),
    );
    (template(false), vec(set, 0..6), 0..100_usize).prop_flat_map(|(template, sets, seed)| {
        // Often some sets have just this template, apart from the hash.
        let which = vec(prop_oneof![2 => Just(false), 1 => Just(true)], sets.len());
        which.prop_map(move |which| {
            let mut sets = sets.clone();
            for (set, _) in sets.iter_mut().zip(which).filter(|(_, which)| *which) {
                set["template"] = template.clone();
                set["template"]["metadata"]["labels"][HASH] = "5d9f".into();
            }
            question("new_set", json!({"template": template, "sets": named(sets, seed)}))
        })
    })
}

/// What the new set's annotations become.
fn annotate() -> impl Strategy<Value = Value> {
    let short = vec(1..30_i64, 0..4).prop_map(|all| all.iter().map(i64::to_string).collect::<Vec<_>>().join(","));
    // Just below, at and above what there is room for.
    let long = (0..8_usize, select(vec![1_i64, 10, 100])).prop_map(|(cut, first)| {
        let all: Vec<String> = (first..).map(|number| number.to_string()).take(700).collect();
        let all = all.join(",");
        let text = &all[..1993 + cut];
        text.trim_end_matches(',').to_string()
    });
    let history = prop_oneof![4 => Just(None), 6 => short.prop_map(Some), 1 => long.prop_map(Some)];
    let old = (any_revision(), annotations(), any::<bool>())
        .prop_map(|(revision, annotations, deleting)| json!({"annotations": with_revision(annotations, revision), "deleting": deleting}));
    let new = (annotations(), any_revision(), history, any::<bool>()).prop_map(
        |(annotations, revision, history, is_there)| {
            let mut all = if is_there { with_revision(annotations, revision) } else { json!({}) };
            if let Some(history) = history.filter(|history| is_there && !history.is_empty()) {
                all[REVISION_HISTORY] = history.into();
            }
            all
        },
    );
    (annotations(), any_revision(), new, vec(old, 0..5), 0..100_usize).prop_map(
        |(deployment, revision, new, old, seed)| {
            let deployment = with_revision(deployment, revision);
            question("annotate", json!({"deployment": deployment, "new": new, "old": named(old, seed)}))
        },
    )
}

/// Which sets are forgotten.
fn forget() -> impl Strategy<Value = Value> {
    let size = || prop_oneof![5 => Just(0_i32), 1 => 1..3_i32];
    let generations = prop_oneof![4 => Just((1, 1)), 1 => Just((2, 1)), 1 => Just((1, 2))];
    let set = (revision(), 0..4_i64, size(), size(), generations, prop_oneof![6 => Just(false), 1 => Just(true)]).prop_map(
        |(revision, created, replicas, pods, (generation, observed), deleting)| {
            json!({
                "annotations": with_revision(json!({}), revision), "created": created, "replicas": replicas, "pods": pods,
                "generation": generation, "observed_generation": observed, "deleting": deleting,
            })
        },
    );
    let set = set.boxed();
    let limit = prop_oneof![4 => 0..4_i32, 1 => select(vec![10, i32::MAX])];
    (limit, prop_oneof![6 => vec(set.clone(), 0..7), 1 => vec(set, 10..14)], 0..100_usize)
        .prop_map(|(limit, old, seed)| question("forget", json!({"limit": limit, "old": named(old, seed)})))
}

/// What an undo sends, or why it doesn't.
fn undo() -> impl Strategy<Value = Value> {
    // No two revisions are the same, and at most one set has none.
    let texts: Vec<Option<&str>> =
        [None].into_iter().chain(["x", "1", "2", "3", "9", "10", "11", "100"].map(Some)).collect();
    let revisions = subsequence(texts, 0..6).prop_shuffle();
    let set = (template(true), annotations(), 0..3_i32);
    let to = prop_oneof![3 => Just(0_i64), 4 => select(vec![1_i64, 2, 3, 9, 10, 11, 100])];
    let paused = prop_oneof![6 => Just(false), 1 => Just(true)];
    (to, paused, template(false), annotations(), option::of(Just("10")), vec(set, 6), revisions, 0..100_usize).prop_map(
        |(to, paused, template, annotations, at, sets, revisions, seed)| {
            let sets = sets.into_iter().zip(revisions).map(|((template, annotations, replicas), revision)| {
                let annotations = with_revision(annotations, revision.map(str::to_string));
                json!({"template": template, "annotations": annotations, "replicas": replicas})
            });
            let annotations = with_revision(annotations, at.map(str::to_string));
            let sets = named(sets.collect(), seed);
            let request =
                json!({"to": to, "paused": paused, "template": template, "annotations": annotations, "sets": sets});
            question("undo", json!({"request": request}))
        },
    )
}

/// How a rollout stands.
fn status() -> impl Strategy<Value = Value> {
    let reasons = [
        "ReplicaSetUpdated",
        "NewReplicaSetAvailable",
        "ProgressDeadlineExceeded",
        "DeploymentPaused",
        "ReplicaSetCreateError",
    ];
    let generations = prop_oneof![4 => Just((3, 3)), 1 => Just((3, 2)), 1 => Just((2, 3)), 1 => Just((1, 0))];
    (generations, 0..4_i32, 0..5_i32, 0..4_i32, 0..5_i32, option::weighted(0.9, select(reasons.to_vec()))).prop_map(
        |((generation, observed), replicas, more, missing, unavailable, progressing)| {
            let updated = (replicas - missing.max(1) + 1).max(0);
            let pods = updated + (more - 2).max(0);
            let rollout = json!({
                "generation": generation, "observed_generation": observed, "replicas": replicas, "updated": updated,
                "pods": pods, "available": (pods - (unavailable - 2).max(0)).max(0), "progressing": progressing,
            });
            question("status", json!({"rollout": rollout}))
        },
    )
}

/// Some of the five questions.
pub fn fresh() -> Generator {
    several(prop_oneof![2 => new_set(), 3 => annotate(), 3 => forget(), 3 => undo(), 2 => status()], 4)
}
