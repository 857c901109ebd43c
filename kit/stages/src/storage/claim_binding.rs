//! Fresh scenarios of `storage/claim_binding`: few claims, volumes and classes that nearly fit each other, in every state in which
//! a controller can have been stopped.

use crate::fresh::{Generator, question, several};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const CLAIM: &str = "shop/data";
const UID: &str = "u-2";

/// Amounts that are equal and written in different ways, and two that a double can't tell apart.
fn amount() -> impl Strategy<Value = &'static str> {
    select(vec!["5Gi", "1Gi", "10Gi", "5120Mi", "5119Mi", "5000M", "9007199254740993", "9007199254740992", "0"])
}

fn modes() -> impl Strategy<Value = Value> {
    let all = vec!["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];
    prop_oneof![
        3 => Just(json!(["ReadWriteOnce"])),
        1 => Just(json!(["ReadWriteMany", "ReadWriteOnce"])),
        1 => subsequence(all, 1..=3).prop_shuffle().prop_map(|modes| json!(modes)),
    ]
}

fn mode() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just("Filesystem"), 1 => Just("Block")]
}

fn sometimes(probability: f64) -> impl Strategy<Value = bool> {
    prop::bool::weighted(probability)
}

/// A selector, and labels that it may match.
fn selector() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"matchLabels": {"tier": "gold"}}),
        json!({"matchLabels": {}}),
        json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["gold"]}]}),
        json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}),
    ])
}

fn claim() -> impl Strategy<Value = Value> {
    let class = prop_oneof![6 => Just(Some("fast")), 2 => Just(None), 2 => Just(Some("")), 1 => Just(Some("slow"))];
    let named = option::weighted(0.5, prop_oneof![3 => (0_usize..3).prop_map(name), 1 => Just("pv-gone".to_string())]);
    let was_bound = (sometimes(0.4), sometimes(0.5), select(vec!["Pending", "Pending", "Bound", "Lost"]));
    let which = prop_oneof![8 => Just((CLAIM, UID)), 1 => Just((CLAIM, "u-1")), 1 => Just(("shop/other", UID))];
    let wants = (amount(), modes(), mode(), option::weighted(0.3, selector()));
    (which, class, named, was_bound, wants, option::weighted(0.4, Just("node-1"))).prop_map(
        |((name, uid), class, named, (completed, by, phase), (request, modes, mode, selector), node)| {
            json!({
                "name": name, "uid": uid, "class": class, "access_modes": modes, "volume_mode": mode,
                "request": request, "selector": selector, "volume_name": named, "bind_completed": completed,
                "bound_by_controller": by, "selected_node": node, "phase": phase,
            })
        },
    )
}

fn name(number: usize) -> String {
    // Names in an order that isn't that of numbers.
    format!("pv-{}", ["c", "a", "b"].get(number).map_or(format!("d{number:03}"), ToString::to_string))
}

fn volume() -> impl Strategy<Value = Value> {
    let reference = prop_oneof![
        5 => Just(Value::Null),
        2 => Just(json!({"name": CLAIM, "uid": UID})),
        1 => Just(json!({"name": CLAIM, "uid": null})),
        1 => Just(json!({"name": CLAIM, "uid": "u-1"})),
        1 => select(vec![json!({"name": "shop/other", "uid": UID}), json!({"name": "blog/data", "uid": null})]),
    ];
    let phase = select(vec!["Available", "Available", "Available", "Bound", "Released", "Failed", "Pending"]);
    let labels = select(vec![json!({}), json!({"tier": "gold"}), json!({"tier": "iron"})]);
    let class = prop_oneof![6 => Just("fast"), 2 => Just(""), 1 => Just("slow")];
    let by = option::weighted(
        0.4,
        select(vec!["csi.example.com", "kubernetes.io/host-path", "example.com/kubernetes.io/x"]),
    );
    let policy = select(vec!["Retain", "Delete", "Recycle"]);
    let offers = (amount(), modes(), mode(), class, labels);
    (offers, reference, phase, sometimes(0.1), sometimes(0.5), (by, policy, sometimes(0.3))).prop_map(
        |((capacity, modes, mode, class, labels), reference, phase, deleting, bound, (by, policy, csi))| {
            json!({
                "name": "pv-a", "labels": labels, "class": class, "access_modes": modes, "volume_mode": mode,
                "capacity": capacity, "claim_ref": reference, "bound_by_controller": bound, "provisioned_by": by,
                "csi": csi, "policy": policy, "deleting": deleting, "phase": phase,
            })
        },
    )
}

/// Volumes by name; now and then many, of which most are alike.
fn volumes() -> impl Strategy<Value = Vec<Value>> {
    let many = (vec(volume(), 3..5), 65_usize..70)
        .prop_map(|(some, count)| (0..count).map(|number| some[number * 7 % some.len()].clone()).collect::<Vec<_>>());
    prop_oneof![15 => vec(volume(), 0..6), 1 => many].prop_map(named)
}

/// Volumes that differ in little but their sizes and modes, and a claim that could have most of them.
fn alike() -> impl Strategy<Value = (Value, Vec<Value>)> {
    let modes = select(vec![
        json!(["ReadWriteOnce"]),
        json!(["ReadWriteOnce", "ReadWriteOnce"]),
        json!(["ReadWriteOnce", "ReadWriteMany"]),
        json!(["ReadWriteMany", "ReadWriteOnce"]),
        json!(["ReadOnlyMany", "ReadWriteOnce"]),
    ]);
    let free = (amount(), modes, prop::bool::weighted(0.1)).prop_map(|(capacity, modes, kept)| {
        let mut volume = json!({"class": "fast", "access_modes": modes, "capacity": capacity, "phase": "Available"});
        if kept {
            volume["claim_ref"] = json!({"name": CLAIM});
        }
        volume
    });
    let free = free.boxed();
    let some = (amount(), vec(free.clone(), 2..6));
    // Now and then many are too small, and what fits is anywhere among them.
    let many = (vec(free, 1..4), 65_usize..70, any::<usize>()).prop_map(|(free, count, turn)| {
        let mut volumes = vec![
            json!({"class": "fast", "access_modes": ["ReadWriteOnce"], "capacity": "4Gi", "phase": "Available"});
            count
        ];
        volumes.extend(free);
        let all = volumes.len();
        volumes.rotate_left(turn % all);
        ("5Gi", volumes)
    });
    prop_oneof![12 => some, 1 => many].prop_map(|(request, volumes)| {
        let claim = json!({
            "name": CLAIM, "uid": UID, "class": "fast", "access_modes": ["ReadWriteOnce"], "request": request,
        });
        (claim, named(volumes))
    })
}

/// A claim and volumes, which fit each other or not.
fn claim_and_volumes() -> impl Strategy<Value = (Value, Vec<Value>)> {
    prop_oneof![2 => (claim(), volumes()), 1 => alike()]
}

/// Gives volumes their names, and sorts them by these.
fn named(mut volumes: Vec<Value>) -> Vec<Value> {
    for (number, volume) in volumes.iter_mut().enumerate() {
        volume["name"] = name(number).into();
    }
    volumes.sort_by_key(|volume| volume["name"].as_str().unwrap_or_default().to_string());
    volumes
}

fn classes() -> impl Strategy<Value = Vec<Value>> {
    let provisioner = select(vec![
        "csi.example.com",
        "csi.example.com",
        "kubernetes.io/no-provisioner",
        "example.com/kubernetes.io/x",
    ]);
    let class = (provisioner, any::<bool>(), sometimes(0.5), select(vec![10, 10, 20, 300]));
    (subsequence(vec!["cold", "fast", "slow"], 0..=3), vec(class, 3)).prop_map(|(names, classes)| {
        let class = |(name, (provisioner, waits, is_default, created)): (&str, (&str, bool, bool, i32))| {
            json!({
                "name": name, "provisioner": provisioner, "waits": waits, "is_default": is_default,
                "created_seconds": created,
            })
        };
        names.into_iter().zip(classes).map(class).collect()
    })
}

fn sync_claim() -> impl Strategy<Value = Value> {
    let pods = select(vec![json!([]), json!(["web-0"]), json!(["web-0", "web-1"])]);
    (claim_and_volumes(), classes(), pods).prop_map(|((claim, volumes), classes, pods)| {
        let cluster = json!({"volumes": volumes, "classes": classes, "waiting_pods": pods});
        question("sync_claim", json!({"claim": claim, "cluster": cluster}))
    })
}

fn sync_volume() -> impl Strategy<Value = Value> {
    (volume(), option::weighted(0.8, claim())).prop_map(|(volume, claim)| {
        // The kit shows the claim of this name, and no claim to a volume that names none.
        let reference = &volume["claim_ref"];
        let claim = claim.filter(|_| !reference.is_null()).map(|mut claim| {
            claim["name"] = reference["name"].clone();
            claim
        });
        question("sync_volume", json!({"volume": volume, "claim": claim}))
    })
}

/// A few questions of all kinds.
pub fn fresh() -> Generator {
    let find = (claim_and_volumes(), sometimes(0.25)).prop_map(|((claim, volumes), waits)| {
        question("find", json!({"claim": claim, "volumes": volumes, "waits": waits}))
    });
    several(prop_oneof![3 => find, 4 => sync_claim(), 3 => sync_volume()], 4)
}
