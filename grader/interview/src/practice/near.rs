//! Questions and answers that are nearly the same: where wrong options come from.
//!
//! What the reference answers to a question that differs in one thing is what somebody answers who misreads that one
//! thing, or who doesn't know that it matters. So the change says why such an option is wrong, too.

use kit_contract::flow;
use serde_json::{Number, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Words that stand under one name, such as all effects of taints.
pub type Words = BTreeMap<String, BTreeSet<String>>;

/// One change of a value. Large ones have thousands, of which few are tried: none is made before.
#[derive(Debug, Clone)]
pub struct Change {
    pointer: String,
    value: Value,
    /// What is other: `taints[0].effect NoExecute (here NoSchedule)`.
    pub said: String,
}

impl Change {
    /// The value, changed.
    pub fn of(&self, whole: &Value) -> Value {
        let mut changed = whole.clone();
        if let Some(place) = changed.pointer_mut(&self.pointer) {
            *place = self.value.clone();
        }
        changed
    }
}

/// Notes all words of a value under their names.
pub fn learn(value: &Value, words: &mut Words) {
    each(value, "", &mut |name, value| {
        if let Value::String(word) = value {
            words.entry(name.to_string()).or_default().insert(word.clone());
        }
    });
}

/// All words of a value, names included.
pub fn words_of(value: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    collect(value, &mut all);
    all
}

fn collect(value: &Value, all: &mut BTreeSet<String>) {
    match value {
        Value::String(word) => _ = all.insert(word.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, all)),
        Value::Object(fields) => fields.iter().for_each(|(key, item)| {
            all.insert(key.clone());
            collect(item, all);
        }),
        _ => {}
    }
}

/// Goes through all values; items of a list have its name.
fn each(value: &Value, name: &str, see: &mut dyn FnMut(&str, &Value)) {
    see(name, value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| each(item, name, see)),
        Value::Object(fields) => fields.iter().for_each(|(key, item)| each(item, key, see)),
        _ => {}
    }
}

/// All that one change makes of a question's arguments.
pub fn questions(args: &Value, words: &Words) -> Vec<Change> {
    walk(args, &mut |place, name, value| {
        let other = |after: Value| {
            let said = format!("with {place} {} (here {})", short(&after), short(value));
            (after, said)
        };
        match value {
            // Who says it is part of the story.
            _ if place.ends_with(".from") && name == "from" => Vec::new(),
            // Another name is another thing, and no mistake.
            Value::String(_) if ["name", "uid", "container"].contains(&name) => Vec::new(),
            Value::Bool(yes) => vec![other((!yes).into())],
            Value::Number(number) => {
                let least = if AT_LEAST_ONE.contains(&name) { 1 } else { i64::MIN };
                let near = numbers(number).into_iter();
                near.filter(|near| near.as_i64().is_none_or(|near| near >= least)).map(other).collect()
            }
            Value::String(word) => {
                let known =
                    words.get(name).into_iter().flatten().filter(|known| *known != word && !known.is_empty()).cloned();
                let amounts = amounts(name, word);
                let texts = texts(word);
                let few = match (amounts.is_empty(), texts.is_empty()) {
                    (true, true) => known.take(4).collect(),
                    (true, false) => texts,
                    _ => amounts,
                };
                few.into_iter().map(|word| other(word.into())).collect()
            }
            Value::Array(items) => (0..items.len())
                .map(|at| {
                    let mut fewer = items.clone();
                    let gone = fewer.remove(at);
                    let gone = short(&gone);
                    (fewer.into(), format!("without {gone} in {place}"))
                })
                .collect(),
            Value::Object(fields) => fields
                .keys()
                .filter(|key| OPTIONAL.contains(&key.as_str()) && !(place.starts_with("taints") && *key == "effect"))
                .map(|key| {
                    let mut fewer = fields.clone();
                    fewer.remove(key);
                    (fewer.into(), format!("without {key} in {place}"))
                })
                .collect(),
            Value::Null => Vec::new(),
        }
    })
}

/// All that one change makes of an answer. Words that stand in the question stay: they are names.
pub fn answers(answer: &Value, words: &Words, asked: &BTreeSet<String>) -> Vec<Value> {
    let changed = walk(answer, &mut |_, name, value| {
        let plain = |all: Vec<Value>| all.into_iter().map(|value| (value, String::new())).collect();
        match value {
            Value::Bool(yes) => plain(vec![(!yes).into()]),
            Value::Number(number) => plain(numbers(number)),
            Value::String(word) if !asked.contains(word) => {
                let known = words.get(name).into_iter().flatten();
                let known = known.filter(|known| *known != word && is_variant(known) && !asked.contains(*known));
                plain(known.take(6).cloned().chain(amounts(name, word)).map(Value::String).collect())
            }
            Value::Array(items) if items.len() > 1 => plain(
                (0..items.len())
                    .map(|at| {
                        let mut fewer = items.clone();
                        fewer.remove(at);
                        fewer.into()
                    })
                    .collect(),
            ),
            _ => Vec::new(),
        }
    });
    changed.into_iter().map(|change| change.of(answer)).collect()
}

/// The value with one thing in it replaced by what stands beside that thing in a list of the question: another taint of the
/// node, another pod.
pub fn beside(answer: &Value, questions: &[&Value]) -> Vec<Value> {
    let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for question in questions {
        each(question, "", &mut |name, value| {
            let row = rows.entry(name.to_string()).or_default();
            if (value.is_string() || value.is_object()) && !row.contains(&without_null(value)) {
                row.push(without_null(value));
            }
        });
    }
    let changed = walk(answer, &mut |_, _, value| {
        let own = without_null(value);
        if !(own.is_string() || own.is_object()) {
            return Vec::new();
        }
        let row = rows.values().filter(|row| row.contains(&own)).min_by_key(|row| row.len());
        let others = row.into_iter().flatten().filter(|other| **other != own && other.is_string() == own.is_string());
        others.map(|other| (other.clone(), String::new())).collect()
    });
    changed.into_iter().map(|change| change.of(answer)).collect()
}

/// An object without the fields that say nothing.
fn without_null(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        other => other.clone(),
    }
}

/// Fields that may be left out, and then mean something else.
const OPTIONAL: [&str; 20] = [
    "value",
    "operator",
    "effect",
    "limits",
    "requests",
    "min_domains",
    "deletionTimestamp",
    "finalizers",
    "behavior",
    "renew_time_ms",
    "sample",
    "request_milli",
    "required",
    "node_selector",
    "blockOwnerDeletion",
    "priority",
    "defaultRequest",
    "revision",
    "range_end",
    "zone",
];

/// Whether a word is one of a few that a contract knows, such as `NoExecute`.
fn is_variant(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(|c| c.is_ascii_alphanumeric())
}

/// What a selector is taken for; nothing if the word is none.
fn texts(word: &str) -> Vec<String> {
    const SWAPS: [(&str, &str); 6] =
        [(" notin ", " in "), (" in ", " notin "), ("!=", "="), (">", "<"), ("<", ">"), ("==", "!=")];
    if !word.contains([',', '=', '!', '<', '>', '(']) {
        return Vec::new();
    }
    let swapped = SWAPS.iter().filter(|(this, _)| word.contains(this)).map(|(this, that)| word.replacen(this, that, 1));
    let mut near: Vec<String> = swapped.collect();
    near.extend(word.strip_prefix('!').map(String::from));
    near.extend((!word.contains("!=") && word.contains('=')).then(|| word.replacen('=', "!=", 1)));
    near.extend(word.split_once(',').map(|(_, rest)| rest.to_string()));
    near.extend(word.rsplit_once(',').map(|(rest, _)| rest.to_string()));
    near
}

/// Amounts that a contract has at least one of: with less, nothing is ever done.
const AT_LEAST_ONE: [&str; 4] = ["cpu_ms", "max_endpoints", "quota_ms", "threads"];

/// What a number is taken for.
fn numbers(number: &Number) -> Vec<Value> {
    if let Some(whole) = number.as_i64() {
        let step = match whole.unsigned_abs() {
            0..1_000 => 1,
            1_000..1_000_000 => 1_000,
            more => 1 << (more.ilog2().saturating_sub(4)),
        };
        let mut near = vec![whole.checked_add(1), whole.checked_sub(1)];
        if step > 1 {
            near.extend([whole.checked_add(step), whole.checked_sub(step)]);
        }
        // Where a number can't be less than nothing, it isn't.
        near.into_iter().flatten().filter(|near| *near >= 0 || whole <= 0).map(Value::from).collect()
    } else {
        let real = number.as_f64().unwrap_or_default();
        [real * 2.0, real / 2.0].into_iter().filter_map(Number::from_f64).map(Value::Number).collect()
    }
}

/// What an amount such as `1500m` is taken for; nothing if the word is none.
fn amounts(name: &str, word: &str) -> Vec<String> {
    // Where answers have amounts, they have no name.
    const NAMES: [&str; 9] = ["", "Ok", "text", "a", "b", "cpu", "memory", "ephemeral-storage", "example.com/gpu"];
    if !NAMES.contains(&name) {
        let whole = word.parse::<i64>().ok();
        let near = whole.map(|whole| [whole.saturating_add(1), whole.saturating_sub(1)]);
        return near.into_iter().flatten().map(|near| near.to_string()).collect();
    }
    const SUFFIXES: [&str; 8] = ["m", "", "k", "M", "Ki", "Mi", "Gi", "G"];
    let end = word.find(|c: char| !c.is_ascii_digit() && !".+-".contains(c)).unwrap_or(word.len());
    let (digits, suffix) = word.split_at(end);
    let known = SUFFIXES.contains(&suffix) || ["n", "u", "Ti", "T", "P", "E", "Pi", "Ei"].contains(&suffix);
    if digits.is_empty() || !known || digits.parse::<f64>().is_err() {
        return Vec::new();
    }
    let mut near: Vec<String> =
        SUFFIXES.iter().filter(|other| **other != suffix).map(|other| format!("{digits}{other}")).collect();
    near.extend((digits.len() > 1).then(|| format!("{}{suffix}", &digits[..digits.len() - 1])));
    near.push(format!("{digits}0{suffix}"));
    if let Ok(whole) = digits.parse::<i64>() {
        near.extend([
            format!("{}{suffix}", whole.saturating_add(1)),
            format!("{}{suffix}", whole.saturating_sub(1).max(0)),
        ]);
    }
    near
}

/// What else could stand at a place, of this name and with this value, and how that is said.
type Offer<'a> = dyn FnMut(&str, &str, &Value) -> Vec<(Value, String)> + 'a;

/// Each change that is offered at a place of the value.
fn walk(value: &Value, offer: &mut Offer<'_>) -> Vec<Change> {
    let mut all = Vec::new();
    walk_from(value, &Place::default(), offer, &mut all);
    all
}

/// Where a value stands in a greater one.
#[derive(Default)]
struct Place {
    /// For people: `taints[0].effect`.
    said: String,
    /// As a JSON pointer.
    pointer: String,
    /// The name of its field; items of a list have the list's.
    name: String,
}

fn walk_from(value: &Value, place: &Place, offer: &mut Offer<'_>, all: &mut Vec<Change>) {
    let own = offer(&place.said, &place.name, value).into_iter();
    all.extend(own.map(|(value, said)| Change { pointer: place.pointer.clone(), value, said }));
    let pointer = |step: &str| format!("{}/{}", place.pointer, step.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let said = format!("{}[{at}]", place.said);
                let inner = Place { said, pointer: pointer(&at.to_string()), name: place.name.clone() };
                walk_from(item, &inner, offer, all);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                let said = if place.said.is_empty() { key.clone() } else { format!("{}.{key}", place.said) };
                walk_from(item, &Place { said, pointer: pointer(key), name: key.clone() }, offer, all);
            }
        }
        _ => {}
    }
}

/// A value in few words.
fn short(value: &Value) -> String {
    const LONG: usize = 40;
    let text = flow(value);
    match text.char_indices().nth(LONG) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
