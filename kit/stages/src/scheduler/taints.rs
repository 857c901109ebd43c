//! Fresh scenarios of `scheduler/taints`: a few taints, and tolerations that nearly fit.

use crate::fresh::{Generator, question};
use crate::values::value;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const KEYS: [&str; 5] = ["dedicated", "gpu", "node.kubernetes.io/not-ready", "node.kubernetes.io/unschedulable", "ded"];
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

fn taint() -> impl Strategy<Value = Value> {
    (select(&KEYS[..]), option::of(value()), select(&EFFECTS[..])).prop_map(|(key, value, effect)| {
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

/// The tolerations of a pod and the taints of a node; some tolerations are made from a taint, and one part of them is changed.
pub fn fresh() -> Generator {
    (vec(taint(), 0..6), vec(toleration(), 0..4), vec((any::<prop::sample::Index>(), 0..6_u8), 0..5))
        .prop_map(|(taints, mut tolerations, nearly)| {
            for (index, change) in nearly {
                if taints.is_empty() {
                    break;
                }
                let taint = index.get(&taints);
                let mut toleration = taint.clone();
                match change {
                    0 => toleration["operator"] = "Equal".into(),
                    1 => toleration = json!({"key": taint["key"], "operator": "Exists"}),
                    2 => toleration = json!({"key": taint["key"], "operator": "Exists", "effect": taint["effect"]}),
                    3 => toleration["value"] = "other".into(),
                    4 => toleration = json!({"key": taint["key"], "value": taint["value"]}),
                    _ => {}
                }
                if toleration["value"].is_null() {
                    toleration.as_object_mut().and_then(|fields| fields.remove("value"));
                }
                tolerations.push(toleration);
            }
            question("filter", json!({"tolerations": tolerations, "taints": taints}))
        })
        .boxed()
}
