//! Fresh scenarios of `scheduler/taints`: a few taints, and tolerations that nearly fit.

use crate::fresh::{Generator, question, several};
use crate::values::value;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const KEYS: [&str; 6] =
    ["dedicated", "gpu", "example.com/gpu", "node.kubernetes.io/not-ready", "node.kubernetes.io/unschedulable", "ded"];

/// What Kubernetes itself taints nodes with. To this filter they are taints as any other.
const KNOWN: [&str; 10] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/network-unavailable",
    "node.kubernetes.io/unschedulable",
    "node.kubernetes.io/out-of-service",
    "node.cloudprovider.kubernetes.io/uninitialized",
    "node-role.kubernetes.io/control-plane",
];
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

fn taint() -> impl Strategy<Value = Value> {
    let key = prop_oneof![2 => select(&KEYS[..]), 1 => select(&KNOWN[..])];
    (key, option::of(value()), select(&EFFECTS[..])).prop_map(|(key, value, effect)| {
        let mut taint = json!({"key": key, "effect": effect});
        if let Some(value) = value {
            taint["value"] = value.into();
        }
        taint
    })
}

/// Whatever the API server lets through: an empty key goes with `Exists` only, `Exists` has no value, and seconds go with
/// `NoExecute` only (`ValidateTolerations`).
fn toleration() -> impl Strategy<Value = Value> {
    let key = prop_oneof![1 => Just(None), 6 => select(&KEYS[..]).prop_map(Some)];
    let operator = select(vec![None, Some("Equal"), Some("Exists")]);
    let effect = prop_oneof![2 => Just(None), 4 => select(&EFFECTS[..]).prop_map(Some)];
    (key, operator, option::of(value()), effect, option::of(select(vec![-1, 0, 30, 300]))).prop_map(
        |(key, operator, value, effect, seconds)| {
            let operator = if key.is_none() { Some("Exists") } else { operator };
            let fields = [
                ("key", key.map(Value::from)),
                ("operator", operator.map(Value::from)),
                ("value", value.filter(|_| operator != Some("Exists")).map(Value::from)),
                ("effect", effect.map(Value::from)),
                ("tolerationSeconds", seconds.filter(|_| effect == Some("NoExecute")).map(Value::from)),
            ];
            fields.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect()
        },
    )
}

/// A value that is nearly the same.
fn near(value: &str, how: u8) -> String {
    match how {
        0 => format!("{value}b"),
        1 => value.to_uppercase(),
        2 => value.chars().take(1).collect(),
        3 => format!("0{value}"),
        _ => String::new(),
    }
}

/// So many taints that nobody has them, each with its toleration, but perhaps one.
fn many() -> impl Strategy<Value = Value> {
    (prop_oneof![1 => 9..64_usize, 2 => 66..80_usize], 0..4_u8, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(count, which, index, back)| {
            let taint = |n: usize| json!({"key": format!("key-{n}"), "effect": EFFECTS[n % 2 * 2]});
            let without = match which {
                0 => None,
                1 => Some(index.index(count)),
                _ => Some(count - 1),
            };
            let tolerations = (0..count).filter(|n| Some(*n) != without);
            let mut tolerations: Vec<Value> =
                tolerations.map(|n| json!({"key": format!("key-{n}"), "operator": "Exists"})).collect();
            if back {
                tolerations.reverse();
            }
            question("filter", json!({"tolerations": tolerations, "taints": (0..count).map(taint).collect::<Vec<_>>()}))
        },
    )
}

/// The tolerations of a pod and the taints of a node; some tolerations are made from a taint, and one part of them is changed.
pub fn fresh() -> Generator {
    let nearly = vec((any::<prop::sample::Index>(), 0..12_u8, 0..5_u8), 0..5);
    let few = (vec(taint(), 0..6), vec(toleration(), 0..4), nearly).prop_map(|(taints, mut tolerations, nearly)| {
        for (index, change, how) in nearly {
            if taints.is_empty() {
                break;
            }
            let taint = index.get(&taints);
            let mut toleration = taint.clone();
            match change {
                0 => toleration["operator"] = "Equal".into(),
                1 => toleration = json!({"key": taint["key"], "operator": "Exists"}),
                2 => toleration = json!({"key": taint["key"], "operator": "Exists", "effect": taint["effect"]}),
                3 | 6 => toleration["value"] = near(taint["value"].as_str().unwrap_or("a"), how).into(),
                4 => toleration = json!({"key": taint["key"], "value": taint["value"]}),
                // What is empty is as good as what isn't there.
                5 => {
                    toleration =
                        json!({"key": "", "operator": "Exists", "effect": if how < 2 { "" } else { "NoSchedule" }})
                }
                7 => toleration = json!({"key": taint["key"], "operator": "", "value": taint["value"], "effect": ""}),
                8 => toleration["operator"] = ["exists", "equal", "Exists ", "In", "EXISTS"][how as usize].into(),
                9 => toleration["effect"] = taint["effect"].as_str().unwrap_or_default().to_lowercase().into(),
                10 if taint["effect"] == "NoExecute" => {
                    toleration["tolerationSeconds"] = [-1, 0, 1, 300, i64::MAX][how as usize].into();
                }
                _ => {}
            }
            if toleration["value"].is_null() {
                toleration.as_object_mut().and_then(|fields| fields.remove("value"));
            }
            tolerations.push(toleration);
        }
        question("filter", json!({"tolerations": tolerations, "taints": taints}))
    });
    several(prop_oneof![40 => few, 1 => many()], 8)
}
