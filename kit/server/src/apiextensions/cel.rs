//! Rules in CEL (`x-kubernetes-validations`): read when a definition is written, held against each object.
//!
//! Sources: `apiextensions-apiserver/pkg/apiserver/schema/cel/{compilation,validation}.go`, and for what a definition may say
//! `ValidateCustomResourceDefinitionOpenAPISchema`. What a rule will cost at most is not estimated; what it costs is
//! bounded. Upstream warns of broken rules about what hasn't changed; here nothing is said of them.

use super::ratchet::Old;
use super::{child, items, of_field, rest};
use crate::field::{At, Errors, quoted};
use kit_cel::{BOOL, OUT_OF_BUDGET, Program, STRING, Scope, Type, Value as Cel};
use serde_json::Value;

const RULES: &str = "x-kubernetes-validations";
/// What all rules of an object together may cost (`RuntimeCELCostBudget`).
const BUDGET: i64 = 10_000_000;
const LONGEST_MESSAGE: usize = 5 * 1024;
const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// The names that a rule may use, and their types.
fn names(of: &Type, optional: bool) -> [(&'static str, Type); 2] {
    let old = if optional { of.clone().optional() } else { of.clone() };
    [("self", of.clone()), ("oldSelf", old)]
}

fn compile_rule(rule: &Value, of: &Type) -> Result<Program, String> {
    let text = rule["rule"].as_str().unwrap_or_default();
    let names = names(of, rule["optionalOldSelf"] == true);
    let program = Program::compile(text, &names).map_err(|why| format!("compilation failed: {why}"))?;
    if program.gives(&BOOL) { Ok(program) } else { Err("cel expression must evaluate to a bool".into()) }
}

fn compile_message(rule: &Value, of: &Type) -> Result<Program, String> {
    let text = rule["messageExpression"].as_str().unwrap_or_default();
    let names = names(of, rule["optionalOldSelf"] == true);
    let program =
        Program::compile(text, &names).map_err(|why| format!("messageExpression compilation failed: {why}"))?;
    if program.gives(&STRING) { Ok(program) } else { Err("messageExpression must evaluate to a string".into()) }
}

/// Says what is wrong with the rules of a schema: with their words in `words`, with their expressions in `e`. `resource` is
/// whether it is the schema of a whole object, and `apart` where the list is whose items can't be found again.
pub fn check_definition(words: &mut Errors, e: &mut Errors, at: &At<'_>, resource: bool, apart: Option<&str>) {
    let rules = at.get(RULES).items();
    let before = words.0.len();
    for rule in &rules {
        check_words(words, rule, at.value);
    }
    if rules.is_empty() || words.0.len() > before {
        return;
    }
    let Some(of) = Type::of_schema(at.value, resource) else { return };
    for rule in rules {
        let (text, told) = (rule.get("rule"), rule.get("messageExpression"));
        let program = compile_rule(rule.value, &of);
        if let Err(why) = &program {
            e.invalid_as(&text, &dump(rule.value), why);
        }
        if !told.text().is_empty()
            && let Err(why) = compile_message(rule.value, &of)
        {
            e.invalid_as(&told, &dump(rule.value), &why);
        }
        match (program.is_ok_and(|program| program.uses("oldSelf")), apart) {
            (true, Some(path)) => {
                e.invalid(
                    &text,
                    &format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {path}"),
                );
            }
            (false, _) if rule.get("optionalOldSelf").is_set() => {
                e.invalid(&rule.get("optionalOldSelf"), "may not be set if oldSelf is not used in rule");
            }
            _ => {}
        }
    }
}

fn check_words(e: &mut Errors, rule: &At<'_>, schema: &Value) {
    let (text, message) = (rule.get("rule"), rule.get("message"));
    let lines = |text: &str| text.contains(['\n', '\r']);
    if text.text().trim().is_empty() {
        e.required(&text, "rule is not specified");
    } else if !message.text().is_empty() && message.text().trim().is_empty() {
        e.invalid(&message, "message must be non-empty if specified");
    } else if lines(message.text().trim()) {
        e.invalid(&message, "message must not contain line breaks");
    } else if lines(text.text().trim()) && message.text().trim().is_empty() {
        e.required(&message, "message must be specified if rule contains line breaks");
    }
    let told = rule.get("messageExpression");
    if !told.text().is_empty() && told.text().trim().is_empty() {
        e.required(&told, "messageExpression must be non-empty if specified");
    }
    let reason = rule.get("reason");
    if reason.is_set() && !REASONS.contains(&reason.text()) {
        e.not_supported(&reason, &REASONS);
    }
    let path = rule.get("fieldPath");
    if !path.text().is_empty() && path.text().trim().is_empty() {
        e.invalid(&path, "fieldPath must be non-empty if specified");
    }
    if lines(path.text()) {
        e.invalid(&path, "fieldPath must not contain line breaks");
    }
    if !path.text().is_empty() && named(path.text(), schema).is_none() {
        e.invalid(&path, "fieldPath must be a valid path");
    }
}

/// A rule as `%#v` shows it.
fn dump(rule: &Value) -> String {
    let text = |field: &str| quoted(rule[field].as_str().unwrap_or_default());
    let pointer = |field: &str, of: &str| match rule.get(field) {
        Some(value) if !value.is_null() => format!("(*{of})(0xc000000000)"),
        _ => format!("(*{of})(nil)"),
    };
    format!(
        "apiextensions.ValidationRule{{Rule:{}, Message:{}, MessageExpression:{}, Reason:{}, FieldPath:{}, \
         OptionalOldSelf:{}}}",
        text("rule"),
        text("message"),
        text("messageExpression"),
        pointer("reason", "apiextensions.FieldValueErrorReason"),
        text("fieldPath"),
        pointer("optionalOldSelf", "bool"),
    )
}

/// The path of a field that a rule names, as errors have it; nothing if the schema has no such field (`ValidFieldPath`).
fn named(path: &str, schema: &Value) -> Option<String> {
    let (mut rest, mut schema, mut found) = (path, schema, String::new());
    while !rest.is_empty() {
        let name = match rest.strip_prefix("['") {
            Some(inner) => {
                let (name, after) = inner.split_once("']")?;
                rest = after;
                name
            }
            None => {
                let inner = rest.strip_prefix('.')?;
                let end = inner.find(['.', '[']).unwrap_or(inner.len());
                rest = &inner[end..];
                &inner[..end]
            }
        };
        match (child(schema, name), super::rest(schema)) {
            (Some(of), _) => {
                found += &if found.is_empty() { name.to_string() } else { format!(".{name}") };
                schema = of;
            }
            (None, Some(of)) => {
                found += &format!("[{name}]");
                schema = of;
            }
            (None, None) => return None,
        }
    }
    Some(found)
}

/// Holds an object against the rules of its schema, unless it is too wrong for that.
pub fn check(e: &mut Errors, schema: &Value, object: &Value, old: Option<&Value>) {
    if !has_rules(schema) {
        return;
    }
    let blocking = [
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    ];
    if e.0.iter().any(|cause| blocking.contains(&cause.reason)) {
        let why = "some validation rules were not checked because the object was invalid; correct the existing errors to \
                   complete validation";
        return e.invalid(&At { value: &Value::Null, path: "<nil>".into() }, why);
    }
    let old = old.map(|value| Old { value, schema });
    let here = Here { path: String::new(), value: object, old, nearest: old, resource: true };
    Checker { e, left: BUDGET }.walk(schema, &here);
}

fn has_rules(schema: &Value) -> bool {
    let list = |name: &str| schema[name].as_array().into_iter().flatten();
    let fields = schema["properties"].as_object().into_iter().flat_map(|fields| fields.values());
    !schema[RULES].as_array().is_none_or(Vec::is_empty)
        || items(schema).is_some_and(has_rules)
        || rest(schema).is_some_and(has_rules)
        || fields.chain(list("allOf")).any(has_rules)
}

/// A value in an object.
struct Here<'a> {
    path: String,
    value: &'a Value,
    /// What stood in its place before.
    old: Option<Old<'a>>,
    /// The same, or what stood in the place of the nearest one around it that had something.
    nearest: Option<Old<'a>>,
    /// Whether it is a whole object.
    resource: bool,
}

impl<'a> Here<'a> {
    fn deeper(&self, path: String, value: &'a Value, old: Option<Old<'a>>, schema: &Value) -> Here<'a> {
        let nearest = old.or(self.nearest);
        Here { path, value, old, nearest, resource: schema["x-kubernetes-embedded-resource"] == true }
    }
}

struct Checker<'e> {
    e: &'e mut Errors,
    left: i64,
}

impl Checker<'_> {
    /// Looks at a value and all in it, until there is nothing left to spend.
    fn walk(&mut self, schema: &Value, here: &Here<'_>) {
        if here.value.is_null() || self.left < 0 {
            return;
        }
        let of = Type::of_schema(schema, here.resource);
        if let Some(of) = of.filter(|_| schema[RULES].is_array()) {
            self.rules(schema, schema, &of, here);
        }
        for part in schema["allOf"].as_array().into_iter().flatten().filter(|part| part[RULES].is_array()) {
            if let Some(of) = Type::of_schema(schema, here.resource) {
                self.rules(part, schema, &of, here);
            }
        }
        match here.value {
            Value::Array(list) => {
                let Some(of) = items(schema).filter(|of| has_rules(of)) else { return };
                for (index, item) in list.iter().enumerate() {
                    let old = here.old.and_then(|old| old.item(item));
                    self.walk(of, &here.deeper(format!("{}[{index}]", here.path), item, old, of));
                }
            }
            Value::Object(fields) => {
                let atomic = schema["x-kubernetes-map-type"] == "atomic";
                for (name, value) in fields {
                    let Some(of) = of_field(schema, name).filter(|of| has_rules(of)) else { continue };
                    let path = match child(schema, name) {
                        None => format!("{}[{name}]", here.path),
                        Some(_) if here.path.is_empty() => name.clone(),
                        Some(_) => format!("{}.{name}", here.path),
                    };
                    let old = here.old.filter(|_| !atomic).and_then(|old| old.field(name));
                    self.walk(of, &here.deeper(path, value, old, of));
                }
            }
            _ => {}
        }
    }

    fn rules(&mut self, says: &Value, schema: &Value, of: &Type, here: &Here<'_>) {
        let type_ = quoted(schema["type"].as_str().unwrap_or_default());
        let path = if here.path.is_empty() { "<nil>".to_string() } else { here.path.clone() };
        let at = At { value: here.value, path };
        // A whole object has its metadata, whatever the schema says of it.
        let whole = here.resource.then(|| with_meta(schema));
        let schema = whole.as_ref().unwrap_or(schema);
        for rule in says[RULES].as_array().into_iter().flatten() {
            let program = match compile_rule(rule, of) {
                Ok(program) => program,
                Err(why) => {
                    self.e.invalid_as(&at, &type_, &format!("rule compile error: {why}"));
                    continue;
                }
            };
            let (transition, optional) = (program.uses("oldSelf"), rule["optionalOldSelf"] == true);
            if transition && here.old.is_none() && !optional {
                continue;
            }
            let old = here.old.map(|old| Cel::of(old.value, Some(schema)));
            let old = match optional {
                true => Some(old.map_or(Cel::Optional(None), Cel::some)),
                false => old,
            };
            let mut names = vec![("self", Cel::of(here.value, Some(schema)))];
            names.extend(old.map(|old| ("oldSelf", old)));
            let scope = Scope::new(names);
            let found = scope.evaluate(&program);
            self.left -= scope.cost();
            if self.left < 0 {
                let why =
                    "validation failed due to running out of cost budget, no further validation rules will be run";
                return self.e.invalid_as(&at, &type_, why);
            }
            match found {
                Ok(Cel::Bool(true)) => continue,
                Ok(_) => {}
                Err(why) => {
                    let shown = shown(rule);
                    if why == OUT_OF_BUDGET {
                        self.left = -1;
                        let why = format!(
                            "'{why}': no further validation rules will be run due to call cost exceeds limit for rule: {shown}"
                        );
                        return self.e.invalid_as(&at, &type_, &why);
                    }
                    let why = match why.starts_with("no such overload") {
                        true => format!(
                            "'{why}': call arguments did not match a supported operator, function or macro signature for rule: {shown}"
                        ),
                        false => format!("{why} evaluating rule: {shown}"),
                    };
                    self.e.invalid_as(&at, &type_, &why);
                    continue;
                }
            }
            // What was there before and hasn't changed is let be.
            let parent = here.old.or(here.nearest).is_some_and(|old| old.is(here.value));
            if !transition && parent {
                continue;
            }
            let detail = message(rule, of, &scope).unwrap_or_else(|| match rule["message"].as_str() {
                Some(text) if !text.is_empty() => text.trim().into(),
                _ => format!("failed rule: {}", shown(rule)),
            });
            let field = rule["fieldPath"].as_str().and_then(|path| named(path, schema)).filter(|path| !path.is_empty());
            let at = match field {
                Some(field) if here.path.is_empty() => at.as_path(field),
                Some(field) => at.as_path(format!("{}.{field}", here.path)),
                None => at.clone(),
            };
            match rule["reason"].as_str() {
                Some("FieldValueForbidden") => self.e.forbidden(&at, &detail),
                Some("FieldValueRequired") => self.e.required(&at, &detail),
                Some("FieldValueDuplicate") => self.e.duplicate(&at, &type_),
                _ => self.e.invalid_as(&at, &type_, &detail),
            }
        }
    }
}

/// A rule as errors tell of it.
fn shown(rule: &Value) -> &str {
    let text = |field: &str| rule[field].as_str().unwrap_or_default().trim();
    if text("message").is_empty() { text("rule") } else { text("message") }
}

fn message(rule: &Value, of: &Type, scope: &Scope<'_>) -> Option<String> {
    rule["messageExpression"].as_str()?;
    let program = compile_message(rule, of).ok()?;
    let Ok(Cel::Text(text)) = scope.evaluate(&program) else { return None };
    let text = text.trim();
    (!text.is_empty() && text.len() <= LONGEST_MESSAGE && !text.contains('\n')).then(|| text.to_string())
}

/// The schema of a whole object, with what all of them have (`WithTypeAndObjectMeta`).
fn with_meta(schema: &Value) -> Value {
    let text = serde_json::json!({"type": "string"});
    let mut schema = schema.clone();
    schema["properties"]["apiVersion"] = text.clone();
    schema["properties"]["kind"] = text.clone();
    schema["properties"]["metadata"] =
        serde_json::json!({"type": "object", "properties": {"name": text, "generateName": text}});
    schema
}
