//! Fresh scenarios of `scheduler/resources_fit`: a request beside exactly as much as is left, one less and one more.

use crate::fresh::{Generator, question};
use crate::values::amount;
use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

pub(super) const SCALARS: [&str; 5] =
    ["nvidia.com/gpu", "nvidia.com/gpu-2", "hugepages-2Mi", "example.com/a", "attachable-volumes-csi"];

/// Amounts of everything, where 0 and absent are common.
pub(super) fn amounts() -> impl Strategy<Value = Value> {
    let or_none = || prop_oneof![2 => Just(0), 3 => amount()];
    (or_none(), or_none(), or_none(), btree_map(select(&SCALARS[..]), or_none(), 0..4)).prop_map(
        |(milli_cpu, memory, ephemeral_storage, scalar)| {
            json!({"milli_cpu": milli_cpu, "memory": memory, "ephemeral_storage": ephemeral_storage, "scalar": scalar})
        },
    )
}

/// A node that has what it gave away and, of each thing that the pod asks for, about as much more.
pub fn fresh() -> Generator {
    let left = || select(vec![0, 0, 0, 1, -1, 100, -100]);
    (amounts(), amounts(), [left(), left(), left(), left()], 0_i64..3, select(vec![0_i64, 1, 2, 110]), any::<bool>())
        .prop_map(|(asked, requested, left, few, allowed, has_scalars)| {
            let number = |of: &Value, name: &str| of[name].as_i64().unwrap_or_default();
            let beside = |name: &str, left: i64| (number(&asked, name) + number(&requested, name) + left).max(0);
            let mut scalar = serde_json::Map::new();
            for (name, amount) in asked["scalar"].as_object().into_iter().flatten().filter(|_| has_scalars) {
                let more = amount.as_i64().unwrap_or_default() + number(&requested["scalar"], name) + left[3];
                scalar.insert(name.clone(), more.max(0).into());
            }
            let allocatable = json!({
                "milli_cpu": beside("milli_cpu", left[0]), "memory": beside("memory", left[1]),
                "ephemeral_storage": beside("ephemeral_storage", left[2]), "scalar": scalar,
            });
            let node = json!({
                "allocatable": allocatable, "requested": requested,
                "allowed_pods": allowed, "pods": (allowed - few).max(0),
            });
            question("filter", json!({"pod": {"requests": asked}, "node": node}))
        })
        .boxed()
}
