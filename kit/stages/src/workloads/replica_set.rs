//! Fresh scenarios of `workloads/replica_set`: pods of every state and owner, which some rule always tells apart: times by their
//! logarithms, or, where all times differ, by the uid.

use crate::fresh::{Generator, question};
use kit_api::jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Noon of the day on which all of them play.
const NOON: i64 = 1_714_564_800;

/// One pod, by what may tell it from others.
#[derive(Debug, Clone)]
struct Drawn {
    labels: u8,
    owner: u8,
    phase: u8,
    node: Option<u8>,
    deleting: bool,
    /// Whether it is ready, and the place of the time since then among [`ages`].
    ready: Option<(bool, u8)>,
    cost: Option<&'static str>,
    restarts: (u8, u8),
}

fn pod() -> impl Strategy<Value = Drawn> {
    let labels = prop_oneof![8 => Just(0_u8), 1 => Just(1), 1 => Just(2), 1 => Just(3)];
    let owner = prop_oneof![8 => Just(0_u8), 1 => Just(1), 1 => Just(2), 1 => Just(3)];
    let phase = prop_oneof![7 => Just(0_u8), 2 => Just(1), 1 => Just(2), 1 => Just(3), 1 => Just(4)];
    let cost = option::weighted(
        0.4,
        select(vec![
            "0",
            "1",
            "-1",
            "10",
            "+5",
            "1.5",
            "-2147483648",
            "2147483647",
            "2147483648",
            "-2147483649",
            "99999999999",
            "007",
            "",
        ]),
    );
    let deleting = prop_oneof![9 => Just(false), 1 => Just(true)];
    let ready = option::weighted(0.9, (prop_oneof![4 => Just(true), 1 => Just(false)], 0_u8..5));
    let restarts = (prop_oneof![3 => Just(0_u8), 1 => 0_u8..4], prop_oneof![3 => Just(0_u8), 1 => 0_u8..4]);
    (labels, owner, phase, option::weighted(0.9, 0_u8..3), deleting, ready, cost, restarts).prop_map(
        |(labels, owner, phase, node, deleting, ready, cost, restarts)| Drawn {
            labels,
            owner,
            phase,
            node,
            deleting,
            ready,
            cost,
            restarts,
        },
    )
}

/// Seconds whose logarithms differ by more than one, so that no uid decides and no circle can arise.
fn age(place: usize) -> i64 {
    3 * 8_i64.pow(u32::try_from(place).unwrap_or(0))
}

/// Seconds no two of which are equal, while many logarithms are: the uid decides, and no circle can arise either. Logarithms of
/// seconds change at other places than those of nanoseconds. Some are still to come.
fn close_age(place: usize) -> i64 {
    [60, -63, 65, -1, 130, 0, 1030, -7, -1100, 68][place % 10] + 2000 * (place / 10) as i64
}

fn ago(seconds: i64) -> String {
    (Timestamp::from_second(NOON).unwrap_or_default() - SignedDuration::from_secs(seconds)).to_string()
}

fn json_of(drawn: &Drawn, name: &str, uid: usize, created: i64, ready_since: Option<i64>) -> Value {
    let labels = [json!({"app": "web"}), json!({"app": "web", "tier": "front"}), json!({"app": "db"}), json!({})];
    let reference = |kind: &str, uid: &str, controller: bool| json!({"apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": uid, "controller": controller});
    let owners = match drawn.owner {
        0 => json!([reference("ReplicaSet", "rs-web", true)]),
        1 => json!([]),
        2 => json!([reference("ReplicaSet", "rs-other", true)]),
        _ => json!([reference("ReplicaSet", "rs-web", false)]),
    };
    let phase = ["Running", "Pending", "Unknown", "Succeeded", "Failed"][usize::from(drawn.phase)];
    let mut pod = json!({
        "metadata": {
            "name": name, "uid": format!("u-{uid:03}"), "labels": labels[usize::from(drawn.labels)],
            "ownerReferences": owners, "creationTimestamp": ago(created),
        },
        "spec": {"containers": [{"name": "c"}]},
        "status": {"phase": phase},
    });
    if drawn.deleting {
        pod["metadata"]["deletionTimestamp"] = ago(1).into();
    }
    if let Some(cost) = drawn.cost {
        pod["metadata"]["annotations"] = json!({"controller.kubernetes.io/pod-deletion-cost": cost});
    }
    if let Some(node) = drawn.node {
        pod["spec"]["nodeName"] = format!("node-{node}").into();
    }
    if let Some((ready, since)) = drawn.ready {
        let status = if ready { "True" } else { "False" };
        let since = ago(ready_since.unwrap_or_else(|| age(usize::from(since))));
        pod["status"]["conditions"] = json!([{"type": "Ready", "status": status, "lastTransitionTime": since}]);
    }
    let (restarts, of_sidecar) = drawn.restarts;
    let status =
        |name: &str, count: u8| json!({"name": name, "restartCount": count, "ready": true, "image": "", "imageID": ""});
    if restarts > 0 {
        pod["status"]["containerStatuses"] = json!([status("c", restarts)]);
    }
    if of_sidecar > 0 {
        pod["spec"]["initContainers"] = json!([{"name": "s", "restartPolicy": "Always"}, {"name": "i"}]);
        pod["status"]["initContainerStatuses"] = json!([status("s", of_sidecar), status("i", 9)]);
    }
    pod
}

/// One sync: a set that asks for more or fewer pods than are there.
pub fn fresh() -> Generator {
    let usually_zero = || prop_oneof![5 => Just(0), 1 => 1..3];
    let deleting = prop_oneof![8 => Just(false), 1 => Just(true)];
    let set = (0_i64..7, select(vec![0_i64, 0, 0, 3, 24, 1536]), deleting, any::<bool>(), select(vec![0_i64, 1, 7]));
    let close = prop_oneof![2 => Just((false, false)), 1 => Just((true, false)), 1 => Just((true, true))];
    // Alike but for their times.
    let close = (close, prop_oneof![2 => Just(false), 1 => Just(true)]);
    (set, vec(pod(), 0..8), (usually_zero(), usually_zero()), any::<bool>(), any::<u64>(), close)
        .prop_map(
            |(
                (replicas, min_ready, deleting, tier, generation),
                drawn,
                (creations, deletions),
                related,
                order,
                close,
            )| {
                let mut template = json!({"app": "web"});
                if tier {
                    template["tier"] = "front".into();
                }
                let mut set = json!({
                    "metadata": {"name": "web", "uid": "rs-web", "generation": generation},
                    "spec": {
                        "replicas": replicas, "minReadySeconds": min_ready, "selector": {"matchLabels": {"app": "web"}},
                        "template": {"metadata": {"labels": template}},
                    },
                });
                if deleting {
                    set["metadata"]["deletionTimestamp"] = ago(1).into();
                }
                // Each pod has an age of its own, in no order that their names tell.
                let mut ages: Vec<usize> = (0..drawn.len()).collect();
                ages.sort_by_key(|age| order.rotate_left(7 * *age as u32) % 1009);
                let ((close_created, close_ready), alike) = close;
                let first = drawn.first().filter(|_| alike).cloned();
                let drawn: Vec<Drawn> = drawn.into_iter().map(|drawn| first.clone().unwrap_or(drawn)).collect();
                let pods = drawn.iter().zip(ages).enumerate().map(|(n, (drawn, place))| {
                    let created = if close_created { close_age(place) } else { age(place) };
                    let ready = close_ready.then(|| close_age((place * 3 + 1) % 10));
                    json_of(drawn, &format!("web-{n}"), (n * 37 + 11) % 100, created, ready)
                });
                let pods: Vec<Value> = pods.collect();
                let related = if related {
                    json!([{"matchLabels": {"app": "web"}}, {"matchLabels": {"app": "db"}}])
                } else {
                    json!([])
                };
                let request = json!({
                    "replica_set": set, "pods": pods, "related": related,
                    "expectations": {"creations": creations, "deletions": deletions}, "now": ago(0),
                });
                question("sync", json!({ "request": request }))
            },
        )
        .boxed()
}
