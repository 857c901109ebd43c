//! Fresh scenarios of `scheduler/node_affinity`: requirements of every operator on labels that nearly fit.

use crate::fresh::{Generator, question, several};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const KEYS: [&str; 5] = ["disk", "zone", "cores", "kubernetes.io/hostname", "metadata.name"];
const NODES: [&str; 4] = ["node-1", "node-2", "node-10", "node-3"];

/// Words, and numbers at the edges of 64 bits, of floating point, and of what parses as one.
fn value() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        3 => select(vec!["ssd", "hdd", "", "a", "SSD", "ssd-2", "node-1"]),
        4 => select(vec![
            "8", "08", "9", "10", "-1", "0", "2147483648", "9007199254740993", "9007199254740992", "9223372036854775807",
            "9223372036854775808", "-9223372036854775808", "8.0", "8.5", "1e3", "0x8",
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
    let fields = prop_oneof![3 => Just(Vec::new()), 3 => vec(field(), 1..4)];
    (expressions, fields).prop_map(|(expressions, fields)| json!({"expressions": expressions, "fields": fields}))
}

fn labels() -> impl Strategy<Value = Value> {
    btree_map(select(&KEYS[..4]), value(), 0..4).prop_map(|labels| json!(labels))
}

fn pod() -> impl Strategy<Value = Value> {
    let selector = prop_oneof![3 => Just(json!({})), 1 => labels()];
    let preferred = vec((select(vec![1, 2, 50, 100, 100]), term()), 0..5);
    let twice = prop_oneof![3 => Just(false), 1 => Just(true)];
    let required = option::weighted(0.7, vec(term(), 0..4));
    (selector, required, preferred, twice).prop_map(|(selector, required, preferred, twice)| {
        let mut preferred: Vec<Value> =
            preferred.into_iter().map(|(weight, term)| json!({"weight": weight, "term": term})).collect();
        if twice {
            preferred.extend(preferred.first().cloned());
        }
        json!({"node_selector": selector, "required": required, "preferred": preferred})
    })
}

/// Two numbers that are nearly the same, and what is nearly a number.
fn numbers() -> impl Strategy<Value = Value> {
    let edge = select(vec![0_i128, 9, 1 << 31, 1 << 32, 1 << 53, (1 << 53) + 1, 1 << 62, 1 << 63, 1 << 64]);
    let near = |edge: i128| (-1_i128..2).prop_map(move |more| (edge + more).to_string());
    let odd = || select(vec!["", "8.0", "8.5", "1e3", "0x8", "08", "a", "10", "9", "1_0", "00"]).prop_map(String::from);
    let one = move |edge: i128| prop_oneof![6 => near(edge), 1 => odd()];
    let two =
        (edge.clone(), edge, 0..4_u8).prop_flat_map(move |(a, b, far)| (one(a), one(if far == 0 { b } else { a })));
    (two, select(vec!["Gt", "Lt"]), any::<bool>()).prop_map(|((wanted, own), operator, scores)| {
        let requirement = json!({"key": "cores", "operator": operator, "values": [wanted]});
        let term = json!({"expressions": [requirement]});
        let node = json!({"name": "node-1", "labels": {"cores": own}});
        if scores {
            return question("score", json!({"pod": {"preferred": [{"weight": 5, "term": term}]}, "node": node}));
        }
        question("filter", json!({"pod": {"required": [term]}, "node": node}))
    })
}

/// More values, terms or requirements than a machine word has bits, where the last one decides.
fn many() -> impl Strategy<Value = Value> {
    let label = select(vec!["ssd", "hdd", "v9"]);
    (0..6_u8, 5..80_usize, label, any::<bool>()).prop_map(|(form, count, own, not)| {
        let requirement = |key: &str, operator: &str, values: Vec<String>| json!({"key": key, "operator": operator, "values": values});
        let words: Vec<String> = (1..count).map(|n| format!("v{n}")).chain(["ssd".to_string()]).collect();
        let other = |operator: &str, n: usize| json!({"expressions": [requirement("disk", operator, vec![format!("w{n}")])]});
        let others = || (1..count).map(|n| other("In", n));
        let last = json!({"expressions": [requirement("disk", "In", vec!["ssd".into()])]});
        let node = json!({"name": "node-1", "labels": {"disk": own}});
        let pod = match form {
            0 => json!({"required": [{"expressions": [requirement("disk", if not { "NotIn" } else { "In" }, words)]}]}),
            1 => json!({"required": others().chain([last]).collect::<Vec<_>>()}),
            2 => {
                let absent = (1..count).map(|n| requirement(&format!("k{n}"), "DoesNotExist", Vec::new()));
                let all: Vec<Value> = absent.chain([requirement("disk", "In", vec!["ssd".into()])]).collect();
                json!({"required": [{"expressions": all}]})
            }
            3 => {
                let others = (1..count).map(|n| requirement("metadata.name", "NotIn", vec![format!("node-{}", n + 1)]));
                let last = if own == "ssd" { "node-1" } else { "node-0" };
                let all: Vec<Value> = others.chain([requirement("metadata.name", "NotIn", vec![last.into()])]).collect();
                json!({"required": [{"fields": all}]})
            }
            4 => {
                let named = |n: usize| json!({"fields": [requirement("metadata.name", "In", vec![format!("node-{n}")])]});
                // A last one without a name lets any node in.
                let last = if not { last } else { named(0) };
                let all: Vec<Value> = (1..count).map(named).chain([last]).collect();
                return question("node_names", json!({"pod": {"required": all}}));
            }
            _ => {
                let others = (1..count).map(|n| other(if not { "NotIn" } else { "In" }, n));
                let all = others.chain([last]).map(|term| json!({"weight": 100, "term": term}));
                let all: Vec<Value> = all.collect();
                return question("score", json!({"pod": {"preferred": all}, "node": node}));
            }
        };
        question("filter", json!({"pod": pod, "node": node}))
    })
}

/// A pod and a node, which often has just the labels that one of the terms is about.
pub fn fresh() -> Generator {
    let shown = subsequence(vec![0, 1, 2, 3, 4, 5], 0..6);
    let near = (any::<bool>(), any::<prop::sample::Index>(), 0..6_u8);
    let call = select(vec!["node_names", "filter", "filter", "score", "score"]);
    let usual = (call, pod(), select(&NODES[..]), labels(), shown, near).prop_map(
        |(call, pod, name, mut labels, shown, (near, which, how))| {
            let selected = pod["node_selector"].as_object().into_iter().flatten().filter(|_| near);
            for (at, (key, value)) in selected.enumerate() {
                labels[key] = if at == 0 && how == 0 { "other".into() } else { value.clone() };
            }
            let terms = pod["required"].as_array().into_iter().flatten();
            let terms = terms.chain(pod["preferred"].as_array().into_iter().flatten().map(|of| &of["term"]));
            for (at, of) in terms.flat_map(|term| term["expressions"].as_array().into_iter().flatten()).enumerate() {
                if near && shown.contains(&at) && of["key"] != "metadata.name" {
                    let values = of["values"].as_array().filter(|values| !values.is_empty());
                    let value = values.and_then(|values| which.get(values).as_str()).unwrap_or_default();
                    let value = match how {
                        0 => value.to_uppercase(),
                        1 => format!("{value}0"),
                        _ => value.to_string(),
                    };
                    labels[of["key"].as_str().unwrap_or_default()] = value.into();
                }
            }
            match call {
                "node_names" => question(call, json!({ "pod": pod })),
                _ => question(call, json!({"pod": pod, "node": {"name": name, "labels": labels}})),
            }
        },
    );
    several(prop_oneof![40 => usual, 8 => numbers(), 4 => many()], 6)
}
