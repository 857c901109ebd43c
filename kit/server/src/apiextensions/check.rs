//! Holds a value against a schema, in upstream's order and words.
//!
//! Source: `kube-openapi/pkg/validation/validate`, and `apiextensions-apiserver/pkg/apiserver/validation` for the
//! causes and for what an update is spared: what was wrong before and hasn't changed stays (`ratcheting.go`). How well
//! a value fits counts, since of the alternatives of `anyOf` and `oneOf` the one that fits best is told.

use super::formats;
use super::ratchet::Old;
use super::{child, flag, items, pattern};
use crate::field::{At, Errors, quoted};
use kit_apimachinery::go::{self, float64, number};
use serde_json::{Number, Value};

/// One thing that is wrong.
#[derive(Debug, Clone)]
struct Problem {
    /// Where; none for what is wrong with all alternatives together.
    path: Option<String>,
    what: What,
    /// The sentence that tells problems apart.
    text: String,
}

#[derive(Debug, Clone)]
enum What {
    Required,
    /// Only these are known.
    Unsupported(Value, Vec<String>),
    TooLong(i64),
    TooMany(usize, i64),
    /// Another type than this value's.
    Type(String),
    /// A value as messages show it.
    Invalid(String),
}

#[derive(Debug, Default)]
struct Found {
    problems: Vec<Problem>,
    matches: i64,
}

impl Found {
    fn of(problem: Problem) -> Found {
        Found { problems: vec![problem], matches: 0 }
    }

    fn add(&mut self, problem: Problem) {
        if !self.problems.iter().any(|there| there.text == problem.text) {
            self.problems.push(problem);
        }
    }

    fn merge(&mut self, other: Found) {
        other.problems.into_iter().for_each(|problem| self.add(problem));
        self.matches += other.matches;
    }
}

fn problem(path: &str, what: What, text: String) -> Problem {
    Problem { path: Some(path.into()), what, text }
}

fn together(text: String) -> Problem {
    Problem { path: None, what: What::Invalid("\"\"".into()), text }
}

/// Says what is wrong with a value, which stands at `prefix` in its object. `old` is the value before an update.
pub fn check(e: &mut Errors, value: &Value, old: Option<&Value>, schema: &Value, prefix: &str) {
    let old = old.map(|old| Old { value: old, schema });
    let found = value_or_same(value, old, schema, "");
    for Problem { path, what, text } in found.problems {
        let path = path.as_deref().unwrap_or_default().trim_start_matches('.');
        let path = match (prefix, path) {
            // Upstream has no path for the object itself, and shows it like that.
            ("", "") => "<nil>".to_string(),
            ("", path) => path.to_string(),
            (prefix, "") => prefix.to_string(),
            (prefix, path) => format!("{prefix}.{path}"),
        };
        let at = At { value: &Value::Null, path };
        match what {
            What::Required => e.required(&at, ""),
            What::Unsupported(value, known) => {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let shown = if value.is_null() { "\"null\"".into() } else { go::dump(&value) };
                e.not_supported_as(&at, &shown, &known);
            }
            What::TooLong(most) => e.too_long(&at, usize::try_from(most).unwrap_or_default()),
            What::TooMany(there, most) => e.too_many(&at, there, usize::try_from(most).unwrap_or_default()),
            What::Type(shown) => e.wrong_type(&at, &shown, &text),
            What::Invalid(shown) => e.invalid_as(&at, &shown, &text),
        }
    }
}

fn value_or_same(value: &Value, old: Option<Old<'_>>, schema: &Value, path: &str) -> Found {
    let found = one(value, old, schema, path);
    match old {
        Some(old) if !found.problems.is_empty() && old.is(value) => Found { problems: Vec::new(), ..found },
        _ => found,
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match schema["type"].as_str() {
        _ if flag(schema, "x-kubernetes-int-or-string") => vec!["integer", "string"],
        Some("") | None => Vec::new(),
        Some(of) => vec![of],
    }
}

fn one(value: &Value, old: Option<Old<'_>>, schema: &Value, path: &str) -> Found {
    let mut all = Found::default();
    if value.is_null() {
        all.merge(type_of(value, schema, path));
        all.merge(known(value, schema, path).unwrap_or_default());
        return all;
    }
    let format = formats::known(schema["format"].as_str().unwrap_or_default());
    let mut done = |found: Found| {
        all.merge(found);
        all.matches += 1;
    };
    if !types(schema).is_empty() || !format.is_empty() {
        done(type_of(value, schema, path));
    }
    done(alternatives(value, schema, path));
    if let Value::String(text) = value {
        done(text_problem(text, schema, path).map(Found::of).unwrap_or_default());
        if !format.is_empty() {
            let fits = formats::fits(format, text);
            let text = format!("{path} in body must be of type {format}: {}", quoted(text));
            let wrong = problem(path, What::Type(shown(value)), text);
            done(if fits { Found::default() } else { Found::of(wrong) });
        }
    }
    if let Value::Number(number) = value {
        done(numbers(number, schema, path));
    }
    if let Value::Array(list) = value {
        done(array(list, old, schema, path));
    }
    done(known(value, schema, path).unwrap_or_default());
    if value.is_object() {
        done(object(value, old, schema, path));
    }
    all.matches += 1;
    all
}

/// A simple value as messages show it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "\"\"".into(),
        other => go::dump(other),
    }
}

fn type_of(value: &Value, schema: &Value, path: &str) -> Found {
    let (wanted, format) = (types(schema), formats::known(schema["format"].as_str().unwrap_or_default()));
    let wrong = |wanted: &str, is: &str| {
        let text = format!("{path} in body must be of type {wanted}: {}", quoted(is));
        Found::of(problem(path, What::Type(quoted(is)), text))
    };
    let fine = Found { matches: 1, ..Found::default() };
    let (is, is_format) = match value {
        Value::Null if wanted.is_empty() || flag(schema, "nullable") => return fine,
        Value::Null => return wrong(&wanted.join(","), "null"),
        Value::Bool(_) => ("boolean", ""),
        Value::String(_) => ("string", ""),
        Value::Number(number) if number.is_f64() => ("number", "float64"),
        Value::Number(_) => ("integer", "int64"),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    };
    let whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
    let fits = wanted.contains(&is)
        || (is == "number" && whole && wanted.contains(&"integer"))
        || (is == "integer" && wanted.contains(&"number"));
    let text_or_list = matches!(value, Value::String(_) | Value::Array(_));
    if !format.is_empty() && !text_or_list && !fits && is_format != format {
        return wrong(format, is_format);
    }
    let numeric = wanted.contains(&"number") || wanted.contains(&"integer");
    if fits || (!numeric && !format.is_empty() && text_or_list) { fine } else { wrong(&wanted.join(","), is) }
}

fn text_problem(text: &str, schema: &Value, path: &str) -> Option<Problem> {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let value = Value::from(text);
    if let Some(most) = schema["maxLength"].as_i64().filter(|most| length > *most) {
        let text = format!("{path} in body should be at most {most} chars long");
        return Some(problem(path, What::TooLong(most), text));
    }
    if let Some(least) = schema["minLength"].as_i64().filter(|least| length < *least) {
        let text = format!("{path} in body should be at least {least} chars long");
        return Some(problem(path, What::Invalid(shown(&value)), text));
    }
    let asked = schema["pattern"].as_str().filter(|pattern| !pattern.is_empty())?;
    // What this crate can't read is let through: see `pattern`.
    let fits = pattern(asked).ok().flatten().is_none_or(|pattern| pattern.is_match(text));
    let text = format!("{path} in body should match '{asked}'");
    (!fits).then(|| problem(path, What::Invalid(shown(&value)), text))
}

/// Whole numbers are held against whole bounds, and a bound loses its fraction (`MaximumNativeType`).
fn numbers(of: &Number, schema: &Value, path: &str) -> Found {
    let mut found = Found { matches: 1, ..Found::default() };
    let whole = of.as_i64();
    let value = of.as_f64().unwrap_or_default();
    let bound = |name: &str| schema[name].as_f64();
    let say = |bound: f64| if whole.is_some() { (bound as i64).to_string() } else { float64(bound) };
    let cut = |bound: f64| if whole.is_some() { bound.trunc() } else { bound };
    let is = || What::Invalid(number(of));
    if let Some(factor) = bound("multipleOf") {
        let multiple = match whole {
            Some(whole) => Some(factor as i64).filter(|factor| *factor > 0).map(|factor| whole % factor == 0),
            None => Some(factor).filter(|factor| *factor > 0.0).map(|factor| {
                let times = if factor < 1.0 { 1.0 / factor * value } else { value / factor };
                (times - times.round()).abs() < 1e-9 * times.abs().max(1.0)
            }),
        };
        match multiple {
            None => {
                let text = format!("factor MultipleOf declared for {path} must be positive: {}", say(factor));
                found.add(problem(path, What::Invalid(say(factor)), text));
            }
            Some(false) => {
                found.add(problem(path, is(), format!("{path} in body should be a multiple of {}", say(factor))));
            }
            Some(true) => {}
        }
    }
    if let Some(least) = bound("minimum") {
        let exclusive = flag(schema, "exclusiveMinimum");
        if value < cut(least) || (exclusive && value == cut(least)) {
            let than = if exclusive { "greater than" } else { "greater than or equal to" };
            found.add(problem(path, is(), format!("{path} in body should be {than} {}", say(least))));
        }
    }
    if let Some(most) = bound("maximum") {
        let exclusive = flag(schema, "exclusiveMaximum");
        if value > cut(most) || (exclusive && value == cut(most)) {
            let than = if exclusive { "less than" } else { "less than or equal to" };
            found.add(problem(path, is(), format!("{path} in body should be {than} {}", say(most))));
        }
    }
    found
}

fn array(list: &[Value], old: Option<Old<'_>>, schema: &Value, path: &str) -> Found {
    let mut found = Found::default();
    if let Some(of) = items(schema) {
        for (index, item) in list.iter().enumerate() {
            let old = old.and_then(|old| old.item(item));
            found.merge(value_or_same(item, old, of, &format!("{path}[{index}]")));
        }
    }
    let size = list.len() as i64;
    if let Some(least) = schema["minItems"].as_i64().filter(|least| size < *least) {
        let text = format!("{path} in body should have at least {least} items");
        found.add(problem(path, What::Invalid(size.to_string()), text));
    }
    if let Some(most) = schema["maxItems"].as_i64().filter(|most| size > *most) {
        let text = format!("{path} in body should have at most {most} items");
        found.add(problem(path, What::TooMany(list.len(), most), text));
    }
    found.matches += 1;
    found
}

/// Whether the value is one of `enum`.
fn known(value: &Value, schema: &Value, path: &str) -> Option<Found> {
    let known = schema["enum"].as_array().filter(|known| !known.is_empty())?;
    // A number is taken for the kind of number that it is compared with, and may lose its fraction.
    let is = |there: &Value| match (there, value.as_f64()) {
        (Value::Number(number), Some(value)) if number.is_f64() => number.as_f64() == Some(value),
        (Value::Number(number), Some(value)) => number.as_f64() == Some(value.trunc()),
        _ => there == value,
    };
    if known.iter().any(|there| !there.is_null() && is(there)) {
        return None;
    }
    let said = |known: &Value| known.as_str().map_or_else(|| known.to_string(), str::to_string);
    let known: Vec<String> = known.iter().map(said).collect();
    let text = format!("{path} in body should be one of [{}]", known.join(" "));
    Some(Found::of(problem(path, What::Unsupported(value.clone(), known), text)))
}

fn object(value: &Value, old: Option<Old<'_>>, schema: &Value, path: &str) -> Found {
    let mut found = Found::default();
    let Some(fields) = value.as_object() else { return found };
    let size = fields.len() as i64;
    if let Some(least) = schema["minProperties"].as_i64().filter(|least| size < *least) {
        let text = format!("{path} in body should have at least {least} properties");
        found.add(problem(path, What::Invalid(size.to_string()), text));
    }
    if let Some(most) = schema["maxProperties"].as_i64().filter(|most| size > *most) {
        let text = format!("{path} in body should have at most {most} properties");
        found.add(problem(path, What::TooMany(fields.len(), most), text));
    }
    let was = |name: &str| old.and_then(|old| old.field(name));
    match schema.get("additionalProperties") {
        Some(Value::Bool(false)) => {
            for name in fields.keys().filter(|name| child(schema, name).is_none()) {
                let text = format!("{path}.{name} in body is a forbidden property");
                found.add(problem(path, What::Invalid(quoted(name)), text));
            }
        }
        Some(of @ Value::Object(_)) => {
            for (name, field) in fields.iter().filter(|(name, _)| child(schema, name).is_none()) {
                found.merge(value_or_same(field, was(name), of, &format!("{path}.{name}")));
            }
        }
        _ => {}
    }
    for (name, of) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(field) = fields.get(name) {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            found.merge(value_or_same(field, was(name), of, &path));
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            let path = format!("{path}.{name}");
            found.add(problem(&path, What::Required, format!("{path} in body is required")));
        }
    }
    found
}

/// `anyOf`, `oneOf`, `allOf` and `not`. Here nothing is spared.
fn alternatives(value: &Value, schema: &Value, path: &str) -> Found {
    let mut all = Found::default();
    let each = |name: &str| schema[name].as_array().cloned().unwrap_or_default();
    let named = quoted(path);
    let best = |best: &mut Option<Found>, found: Found| {
        if best.as_ref().is_none_or(|best| found.matches > best.matches) {
            *best = Some(found);
        }
    };
    let any = each("anyOf");
    if !any.is_empty() {
        let (mut failed, mut passed) = (None, None);
        for of in &any {
            let found = one(value, None, of, path);
            if found.problems.is_empty() {
                passed = Some(found);
                break;
            }
            best(&mut failed, found);
        }
        match passed {
            Some(found) => all.merge(found),
            None => {
                all.add(together(format!("{named} must validate at least one schema (anyOf)")));
                all.merge(failed.unwrap_or_default());
            }
        }
    }
    let either = each("oneOf");
    if !either.is_empty() {
        let (mut failed, mut passed, mut count) = (None, None, 0);
        for of in &either {
            let found = one(value, None, of, path);
            if found.problems.is_empty() {
                count += 1;
                failed = None;
                passed.get_or_insert(found);
            } else if count == 0 {
                best(&mut failed, found);
            }
        }
        let of = |count: String| together(format!("{named} must validate one and only one schema (oneOf). {count}"));
        match (count, passed) {
            (1, Some(found)) => all.merge(found),
            (0, _) => {
                all.add(of("Found none valid".into()));
                all.merge(failed.unwrap_or_default());
            }
            _ => all.add(of(format!("Found {count} valid alternatives"))),
        }
    }
    let every = each("allOf");
    if !every.is_empty() {
        let mut passed = 0;
        for of in &every {
            let found = one(value, None, of, path);
            passed += usize::from(found.problems.is_empty());
            all.merge(found);
        }
        if passed != every.len() {
            let none = if passed == 0 { ". None validated" } else { "" };
            all.add(together(format!("{named} must validate all the schemas (allOf){none}")));
        }
    }
    if let Some(not) = schema.get("not").filter(|not| not.is_object())
        && one(value, None, not, path).problems.is_empty()
    {
        all.add(together(format!("{named} must not validate the schema (not)")));
    }
    all.matches += 1;
    all
}
