//! Fresh scenarios of `scheduler/node_affinity`: requirements of every operator on labels that nearly fit.

use crate::fresh::{Generator, question};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const KEYS: [&str; 4] = ["disk", "zone", "cores", "metadata.name"];
const NODES: [&str; 4] = ["node-1", "node-2", "node-10", "node-3"];

/// Words, and numbers at the edges of 64 bits, of floating point, and of what parses as one.
fn value() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        3 => select(vec!["ssd", "hdd", "", "a", "SSD"]),
        4 => select(vec![
            "8", "08", "9", "10", "-1", "+8", "0", "2147483648", "9007199254740993", "9007199254740992", "9223372036854775807",
            "9223372036854775808", "-9223372036854775808", "8.0", "8.5", " 8", "1e3", "0x8",
        ]),
    ]
}

fn requirement() -> impl Strategy<Value = Value> {
    let operators = select(vec!["In", "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]);
    (select(&KEYS[..]), operators, vec(value(), 1..4)).prop_map(|(key, operator, mut values)| {
        match operator {
            "Exists" | "DoesNotExist" => values.clear(),
            "Gt" | "Lt" => values.truncate(1),
            _ => {}
        }
        json!({"key": key, "operator": operator, "values": values})
    })
}

fn field() -> impl Strategy<Value = Value> {
    (select(vec!["In", "In", "NotIn"]), select(&NODES[..]))
        .prop_map(|(operator, name)| json!({"key": "metadata.name", "operator": operator, "values": [name]}))
}

fn term() -> impl Strategy<Value = Value> {
    let expressions = prop_oneof![2 => Just(Vec::new()), 5 => vec(requirement(), 1..4)];
    let fields = prop_oneof![3 => Just(Vec::new()), 3 => vec(field(), 1..3)];
    (expressions, fields).prop_map(|(expressions, fields)| json!({"expressions": expressions, "fields": fields}))
}

fn labels() -> impl Strategy<Value = Value> {
    btree_map(select(&KEYS[..3]), value(), 0..4).prop_map(|labels| json!(labels))
}

fn pod() -> impl Strategy<Value = Value> {
    let selector = prop_oneof![3 => Just(json!({})), 1 => labels()];
    let preferred = vec((select(vec![1, 2, 50, 100]), term()), 0..4);
    (selector, option::weighted(0.7, vec(term(), 0..4)), preferred).prop_map(|(selector, required, preferred)| {
        let preferred: Vec<Value> =
            preferred.into_iter().map(|(weight, term)| json!({"weight": weight, "term": term})).collect();
        json!({"node_selector": selector, "required": required, "preferred": preferred})
    })
}

/// A pod and a node, which often has just the labels that one of the terms is about.
pub fn fresh() -> Generator {
    let shown = subsequence(vec![0, 1, 2, 3], 0..4);
    (select(vec!["node_names", "filter", "filter", "score"]), pod(), select(&NODES[..]), labels(), shown, any::<bool>())
        .prop_map(|(call, pod, name, mut labels, shown, near)| {
            let terms = pod["required"].as_array().into_iter().flatten();
            let terms = terms.chain(pod["preferred"].as_array().into_iter().flatten().map(|of| &of["term"]));
            for (at, of) in terms.flat_map(|term| term["expressions"].as_array().into_iter().flatten()).enumerate() {
                if near && shown.contains(&at) && of["key"] != "metadata.name" {
                    let last = of["values"].as_array().and_then(|values| values.last());
                    labels[of["key"].as_str().unwrap_or_default()] = last.cloned().unwrap_or_else(|| "".into());
                }
            }
            match call {
                "node_names" => question(call, json!({ "pod": pod })),
                _ => question(call, json!({"pod": pod, "node": {"name": name, "labels": labels}})),
            }
        })
        .boxed()
}
