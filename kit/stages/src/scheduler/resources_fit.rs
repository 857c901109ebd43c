//! Fresh scenarios of `scheduler/resources_fit`: a request beside exactly as much as is left, one less and one more.

use crate::fresh::{Generator, question, several};
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

/// Many devices, of which only the last is short.
fn many() -> impl Strategy<Value = Value> {
    (4..80_usize, 0_i64..2, any::<bool>()).prop_map(|(count, less, lists)| {
        let all = |last: i64| -> serde_json::Map<String, Value> {
            let amount = |n: usize| if n + 1 == count { last } else { 1 };
            (0..count).map(|n| (format!("example.com/device-{n:02}"), amount(n).into())).collect()
        };
        let has = if lists { all(2 - less) } else { serde_json::Map::new() };
        let node = json!({"allocatable": {"scalar": has}, "allowed_pods": 110, "pods": 1});
        question("filter", json!({"pod": {"requests": {"scalar": all(2)}}, "node": node}))
    })
}

/// An amount that a double may not hold.
fn large() -> impl Strategy<Value = Value> {
    prop_oneof![1 => Just(json!({})), 1 => (0_i64..4, select(vec![53_u32, 54, 60])).prop_map(|(more, bits)| {
        let large = (1_i64 << bits) + more;
        json!({"milli_cpu": large, "memory": large, "ephemeral_storage": large})
    })]
}

/// A node that has what it gave away and, of each thing that the pod asks for, about as much more.
pub fn fresh() -> Generator {
    let left = || select(vec![0, 0, 0, 1, -1, -1, 100, -100]);
    let pods = (-2_i64..3, select(vec![0_i64, 1, 2, 110, 250, 256, 300, 40_000, 1 << 31, 1 << 33]));
    let scored = select(vec![0_i64, 100, 1 << 40]).prop_map(|amount| json!({"milli_cpu": amount, "memory": amount}));
    let few = (amounts(), amounts(), large(), [left(), left(), left(), left()], pods, 0..16_u8, scored).prop_map(
        |(mut asked, requested, large, left, (few, allowed), lists, scored)| {
            for (name, amount) in large.as_object().into_iter().flatten() {
                asked[name] = amount.clone();
            }
            let number = |of: &Value, name: &str| of[name].as_i64().unwrap_or_default();
            let beside = |name: &str, left: i64| (number(&asked, name) + number(&requested, name) + left).max(0);
            let mut scalar = serde_json::Map::new();
            for (at, (name, amount)) in asked["scalar"].as_object().into_iter().flatten().enumerate() {
                // Some or all of them are no resources of this node.
                if lists & 9 == 0 || lists >> at & 1 == 0 && lists < 12 {
                    continue;
                }
                let more = amount.as_i64().unwrap_or_default() + number(&requested["scalar"], name) + left[3];
                scalar.insert(name.clone(), more.max(0).into());
            }
            let allocatable = json!({
                "milli_cpu": beside("milli_cpu", left[0]), "memory": beside("memory", left[1]),
                "ephemeral_storage": beside("ephemeral_storage", left[2]), "scalar": scalar,
            });
            let node = json!({
                "allocatable": allocatable, "requested": requested,
                "allowed_pods": allowed, "pods": (allowed - few).max(0), "scored": scored,
            });
            question("filter", json!({"pod": {"requests": asked, "scored": scored}, "node": node}))
        },
    );
    several(prop_oneof![40 => few, 1 => many()], 6)
}
