//! Fresh scenarios of `objects/selector`: all three forms of a selector, objects that nearly fit, and texts with a part too few or too many.

use crate::fresh::{Generator, question, several};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

const KEYS: [&str; 7] = ["app", "n", "in", "notin", "tier", "example.com/app", "App"];
const NO_KEYS: [&str; 6] = ["", "a b", "Example.com/app", "/app", "a/b/c", "-app"];
const WORDS: [&str; 8] = ["", "web", "db", "in", "notin", "Web", "webs", "we"];
const NUMBERS: [&str; 9] =
    ["5", "10", "05", "0", "9", "9223372036854775806", "9223372036854775807", "9223372036854775808", "0x10"];
const NO_VALUES: [&str; 5] = ["a b", "-5", "+5", "web-", "é"];

/// 63 characters are allowed, and one more isn't.
fn long() -> impl Strategy<Value = String> {
    (63..65_usize).prop_map(|length| "x".repeat(length))
}

fn key() -> impl Strategy<Value = String> {
    let (valid, odd) = (select(&KEYS[..]), select(&NO_KEYS[..]));
    prop_oneof![48 => valid.prop_map(str::to_string), 1 => odd.prop_map(str::to_string), 1 => long()]
}

fn value() -> impl Strategy<Value = String> {
    let (word, number, odd) = (select(&WORDS[..]), select(&NUMBERS[..]), select(&NO_VALUES[..]));
    prop_oneof![
        36 => word.prop_map(str::to_string),
        12 => number.prop_map(str::to_string),
        1 => odd.prop_map(str::to_string),
        1 => long(),
    ]
}

fn labels() -> impl Strategy<Value = Value> {
    let word = btree_map(select(&KEYS[..]), select(&WORDS[..]), 0..4);
    (word, prop::option::of(select(&NUMBERS[..]))).prop_map(|(mut labels, number)| {
        if let Some(number) = number {
            labels.insert("n", number);
        }
        json!(labels)
    })
}

/// `spec.selector`: absent, empty, or with up to five requirements.
fn object() -> impl Strategy<Value = Option<Value>> {
    let operator = prop_oneof![
        12 => select(vec!["In", "NotIn", "Exists", "DoesNotExist"]),
        2 => select(vec!["in", "exists", "Equals", "Gt", "", "In ", " Exists", "NOTIN", "NotExists"]),
    ];
    let expression = (key(), operator, vec(value(), 1..4), 0..8_u8).prop_map(|(key, operator, mut values, any)| {
        // As many values as the operator takes, but now and then.
        if operator.to_lowercase().ends_with("in") == (any == 0) {
            values.clear();
        }
        json!({"key": key, "operator": operator, "values": values})
    });
    let selector = (btree_map(key(), value(), 0..3), vec(expression, 0..3), any::<bool>());
    let selector = selector.prop_map(|(labels, mut expressions, same_key)| {
        // Two requirements on one label, both of which must hold.
        if let (Some(key), Some(first), true) = (labels.keys().next(), expressions.first_mut(), same_key) {
            first["key"] = key.clone().into();
        }
        json!({"matchLabels": labels, "matchExpressions": expressions})
    });
    prop_oneof![1 => Just(None), 12 => selector.prop_map(Some)]
}

/// The parts of one requirement.
fn requirement() -> impl Strategy<Value = Vec<String>> {
    let parts = |parts: &[&str]| parts.iter().map(|part| part.to_string()).collect::<Vec<_>>();
    let list = vec(value(), 0..4).prop_map(|values| values.join("\u{0},\u{0}"));
    prop_oneof![
        1 => key().prop_map(move |key| parts(&[&key])),
        2 => key().prop_map(move |key| parts(&["!", &key])),
        4 => (key(), select(vec!["=", "==", "!="]), value()).prop_map(move |(key, sign, value)| parts(&[&key, sign, &value])),
        3 => (select(vec!["n", "n", "n", "app"]), select(vec!["<", ">"]), select([&NUMBERS[..], &["", "web"]].concat()))
            .prop_map(move |(key, sign, value)| parts(&[key, sign, value])),
        4 => (key(), select(vec!["in", "notin"]), list).prop_map(move |(key, sign, list)| {
            let list = list.split('\u{0}').map(str::to_string);
            [parts(&[&key, sign, "("]), list.collect(), parts(&[")"])].concat()
        }),
    ]
}

/// A number, and one that nearly is the same.
fn number() -> impl Strategy<Value = (String, Value)> {
    let pair = (select(&NUMBERS[..]), select([&NUMBERS[..], &["", "web", "5.5"]].concat()), 0..4_u8);
    (pair, select(vec!["<", ">"])).prop_map(|((wanted, own, same), sign)| {
        (format!("n{sign}{wanted}"), json!({"n": if same == 0 { wanted } else { own }}))
    })
}

/// A label selector as a text: requirements, blanks between their parts, and sometimes a mistake.
fn text() -> impl Strategy<Value = String> {
    let odd = select(vec![
        ",", "!", "=", "(", ")", "in", "notin", "web", ">", "==", // Blanks elsewhere, but not here.
        "\u{b}", "\u{c}", "\u{c}", "\u{a0}", "\u{2003}",
    ]);
    let blanks = vec(select(vec!["", "", "", " ", "  ", "\t", "\n", "\r", "\r\n"]), 12);
    (vec(requirement(), 0..4), 0..16_u8, any::<Index>(), odd, blanks).prop_map(
        |(requirements, mistake, at, odd, blanks)| {
            let mut parts = requirements.join(&",".to_string());
            let at = at.index(parts.len() + 1);
            match mistake {
                1 => parts.insert(at, odd.into()),
                2 => parts.push(odd.into()),
                3 => parts.push(",".into()),
                4 if at < parts.len() => _ = parts.remove(at),
                5 if at < parts.len() => parts[at] = odd.into(),
                _ => {}
            }
            let is_word = |c: char| !"=!(),><".contains(c);
            let mut text = String::new();
            for (part, blank) in parts.iter().filter(|part| !part.is_empty()).zip(blanks.iter().cycle()) {
                text += blank;
                // Two words would be one.
                if text.ends_with(|c: char| is_word(c) && !c.is_whitespace()) && part.starts_with(is_word) {
                    text.push(' ');
                }
                text += part;
            }
            text + blanks[0]
        },
    )
}

const FIELDS: [&str; 4] = ["metadata.name", "spec.nodeName", "status.phase", "spec.color"];
const SPECIAL: [&str; 14] =
    ["", "Running", "node-1", "a,b", "a=b", r"a\b", r"\,", " x", "!b", "==", "x", "x ", "running", "node-10"];

/// A field selector and the fields of an object.
fn fields() -> impl Strategy<Value = (String, Value)> {
    let own = vec(select(&SPECIAL[..]), FIELDS.len());
    let term = (0..FIELDS.len(), select(vec!["=", "==", "!="]), prop::option::of(select(&SPECIAL[..])), 0..8_u8);
    let odd = select(vec![
        "",
        "=",
        "!=",
        "==",
        "spec.color",
        "=x",
        "spec.nope=x",
        "spec.nope=",
        "spec.color =",
        r"spec.color=a\",
        r"spec.color!=\x",
        "!spec.color=",
        r"spec.color=\=\,\\",
        r"spec.color=\ x",
        r"spec.color=a\n",
        r"spec.color=\!b",
        "spec.color=x=!x",
        "Spec.color=x",
        "spec.color!",
        "!==",
        " ",
        " spec.color=x",
    ]);
    let term = prop_oneof![5 => term.prop_map(Ok), 2 => odd.prop_map(Err)];
    (own, vec(term, 0..4)).prop_map(|(own, terms)| {
        let term = |term: &Result<(usize, &str, Option<&str>, u8), &str>| match *term {
            Err(odd) => odd.to_string(),
            Ok((field, sign, value, raw)) => {
                let value = value.unwrap_or(own[field]);
                let escaped = value.replace('\\', r"\\").replace(',', r"\,").replace('=', r"\=");
                format!("{}{sign}{}", FIELDS[field], if raw == 0 { value } else { &escaped })
            }
        };
        let text = terms.iter().map(term).collect::<Vec<_>>().join(",");
        let fields: serde_json::Map<_, _> =
            FIELDS.iter().zip(&own).map(|(field, value)| (field.to_string(), json!(value))).collect();
        (text, fields.into())
    })
}

/// More requirements or values than a machine word has bits, where the last one decides.
fn many() -> impl Strategy<Value = Value> {
    let label = (select(vec!["app", "tier", "none"]), select(vec!["web", "v9", "v70"]));
    (0..5_u8, 9..80_usize, label, labels()).prop_map(|(form, count, (key, value), labels)| {
        let words: Vec<String> = (1..count).map(|n| format!("v{n}")).chain([value.to_string()]).collect();
        let others: Vec<String> = (1..count).map(|n| format!("k{n}")).collect();
        let expression =
            |key: &str, operator: &str, values: &[String]| json!({"key": key, "operator": operator, "values": values});
        let text = |text: String| question("labels", json!({"text": text, "labels": labels}));
        let object =
            |all: Vec<Value>| question("selects", json!({"selector": {"matchExpressions": all}, "labels": labels}));
        match form {
            0 => text(format!("{key} in ({})", words.join(","))),
            1 => text(format!("{key} notin ({})", words.join(","))),
            2 => text(format!("!{},{key}={value}", others.join(",!"))),
            3 => object(vec![expression(key, if count % 2 == 0 { "In" } else { "NotIn" }, &words)]),
            _ => {
                let all = others.iter().map(|other| expression(other, "DoesNotExist", &[]));
                object(all.chain([expression(key, "In", &[value.to_string()])]).collect())
            }
        }
    })
}

/// A few questions, each about one selector and one object.
pub fn fresh() -> Generator {
    let selects = (object(), labels())
        .prop_map(|(selector, labels)| question("selects", json!({"selector": selector, "labels": labels})));
    let text = prop_oneof![3 => (text(), labels()), 1 => number()];
    let text = text.prop_map(|(text, labels)| question("labels", json!({"text": text, "labels": labels})));
    let fields = fields().prop_map(|(text, fields)| question("fields", json!({"text": text, "fields": fields})));
    several(prop_oneof![12 => selects, 20 => text, 12 => fields, 1 => many()], 8)
}
