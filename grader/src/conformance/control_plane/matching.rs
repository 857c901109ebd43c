//! Compares what was recorded with what came back, but for what no two servers have in common.

use serde_json::Value;
use std::collections::BTreeMap;

/// The values that placeholders stand for, in one case.
pub struct Bindings {
    known: BTreeMap<String, String>,
    managers: bool,
    /// What the name of the last new object begins with.
    base: String,
}

impl Bindings {
    /// No values yet; `managers` says whether who owns which field is compared.
    pub fn new(managers: bool) -> Bindings {
        Bindings { known: BTreeMap::new(), managers, base: String::new() }
    }

    /// Says that the server chose a name that begins so.
    pub fn generated(&mut self, base: &str) {
        self.base = base.into();
    }

    /// A body with the values in the place of their placeholders.
    pub fn fill(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if text == "<time>" => Value::Null,
            Value::String(text) if text.starts_with('<') => match self.known.get(text) {
                Some(known) => known.as_str().into(),
                None => "1".into(),
            },
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), self.fill(value))).collect(),
            other => other.clone(),
        }
    }

    /// Says where `got` is not what was recorded.
    pub fn check(&mut self, path: &str, expected: &Value, got: &Value) -> Result<(), String> {
        let differs = || Err(format!("{path}: expected {expected}, got {got}"));
        match (expected, got) {
            (Value::String(count), Value::Array(items)) if *count == format!("({})", items.len()) => Ok(()),
            (Value::String(text), _) if text == "(version)" => Ok(()),
            (Value::String(text), Value::String(there)) => {
                if self.text(text, there) {
                    Ok(())
                } else {
                    differs()
                }
            }
            (Value::Array(expected), Value::Array(got)) => {
                if expected.len() != got.len() {
                    return Err(format!("{path}: expected {} items, got {}: {got:?}", expected.len(), got.len()));
                }
                let mut pairs = expected.iter().zip(got).enumerate();
                pairs.try_for_each(|(index, (expected, got))| self.check(&format!("{path}[{index}]"), expected, got))
            }
            (Value::Object(expected), Value::Object(got)) => {
                let ignored = |name: &str| match name {
                    "managedFields" => !self.managers,
                    // What columns mean was not recorded.
                    "description" => path.contains("columnDefinitions"),
                    "serverAddress" => true,
                    _ => false,
                };
                let extra = got.keys().find(|name| !expected.contains_key(*name) && !ignored(name));
                if let Some(name) = extra {
                    return Err(format!("{path}.{name}: not expected, got {}", got[name]));
                }
                for (name, expected) in expected.iter().filter(|(name, _)| !ignored(name)).collect::<Vec<_>>() {
                    let missing = || format!("{path}.{name}: expected {expected}, got nothing");
                    let got = got.get(name).ok_or_else(missing)?;
                    self.check(&format!("{path}.{name}"), expected, got)?;
                }
                Ok(())
            }
            _ if expected == got => Ok(()),
            _ => differs(),
        }
    }

    /// Whether a text is the recorded one, with values in the place of placeholders.
    fn text(&mut self, expected: &str, got: &str) -> bool {
        let drawn = !expected.contains("<rand>");
        let uids = !expected.contains("<uid-");
        let (expected, got) = (self.tame(expected, drawn, uids), self.tame(got, drawn, uids));
        let mut rest = got.as_str();
        let mut left = expected.as_str();
        let mut found = Vec::new();
        while let Some((before, name, after)) = placeholder(left) {
            let Some(tail) = rest.strip_prefix(before) else { return false };
            // A value ends where the text that follows it begins.
            let literal = placeholder(after).map_or(after, |(literal, _, _)| literal);
            let end = if literal.is_empty() { tail.len() } else { tail.find(literal).unwrap_or(tail.len()) };
            found.push((name.to_string(), tail[..end].to_string()));
            (rest, left) = (&tail[end..], after);
        }
        rest == left && found.into_iter().all(|(name, value)| self.bind(&name, value))
    }

    /// Whether a value can be what a placeholder stands for.
    fn bind(&mut self, name: &str, value: String) -> bool {
        match name {
            "<time>" => value.parse::<kit_api::jiff::Timestamp>().is_ok(),
            "<token>" => !value.is_empty(),
            "<rand>" => value.len() == 5,
            _ => {
                // Two placeholders never stand for one value.
                let taken = self.known.iter().any(|(other, known)| other != name && *known == value);
                let known = self.known.entry(name.into()).or_insert_with(|| value.clone());
                *known == value && !(taken && name.starts_with("<uid-"))
            }
        }
    }

    /// A text without addresses, ages, versions in messages, and, where no placeholder stands for them, endings of
    /// names that were drawn and uids.
    fn tame(&self, text: &str, drawn: bool, uids: bool) -> String {
        let mut text = text.to_string();
        if let Some(number) = text.strip_suffix('s').filter(|number| number.parse::<u32>().is_ok()) {
            return format!("{}s", "#".repeat(usize::from(!number.is_empty())));
        }
        if drawn && !self.base.is_empty() {
            let mut parts = text.split(&self.base);
            let mut tamed = parts.next().unwrap_or_default().to_string();
            for part in parts {
                let drawn =
                    part.len() >= 5 && part.bytes().take(5).all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                tamed += &self.base;
                tamed += if drawn { &part[5..] } else { part };
            }
            text = tamed;
        }
        let words =
            ["ResourceVersion in the precondition (", "ResourceVersion in record (", "too old resource version: 1 ("];
        for (head, is) in words.map(|word| (word, char::is_numeric as fn(char) -> bool)) {
            text = cut(&text, head, is);
        }
        text = cut(&text, "current: ", char::is_numeric);
        let numbers = [
            "ResourceVersion in the precondition (",
            "ResourceVersion in record (",
            "too old resource version: 1 (",
            "current: ",
        ];
        for head in numbers {
            text = cut(&text, head, char::is_numeric);
        }
        text = cut(&text, "(0x", |c| c.is_ascii_hexdigit());
        if uids { uuids(&text) } else { text }
    }
}

/// The text before the first placeholder, the placeholder, and the text after it.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let starts = ["<uid-", "<rv-", "<time>", "<token>", "<rand>"];
    let start = starts.iter().filter_map(|start| text.find(start)).min()?;
    let end = start + text[start..].find('>')? + 1;
    Some((&text[..start], &text[start..end], &text[end..]))
}

/// Takes away what follows each `head`, as long as it is of one sort.
fn cut(text: &str, head: &str, is: impl Fn(char) -> bool) -> String {
    let mut parts = text.split(head);
    let mut cut = parts.next().unwrap_or_default().to_string();
    for part in parts {
        cut += head;
        cut += part.trim_start_matches(&is);
    }
    cut
}

/// Replaces uids that stand in the middle of a text.
fn uuids(text: &str) -> String {
    let is_uuid = |text: &str| {
        text.len() == 36
            && text
                .char_indices()
                .all(|(i, c)| if [8, 13, 18, 23].contains(&i) { c == '-' } else { c.is_ascii_hexdigit() })
    };
    if is_uuid(text) {
        return text.to_string();
    }
    let mut tamed = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let zero = rest.starts_with("00000000-");
        match rest.get(..36).filter(|head| is_uuid(head) && !zero && tamed.ends_with('"')) {
            Some(_) => {
                tamed += "uid";
                rest = &rest[36..];
            }
            None => {
                tamed.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    tamed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_placeholder_stands_for_one_value() {
        let mut bindings = Bindings::new(false);
        let expected = json!({"a": "<rv-1>", "b": "uid <uid-1>.", "c": "<rv-1>"});
        let answer = |c: &str| json!({"a": "7", "b": "uid x-y.", "c": c, "managedFields": []});
        assert_eq!(bindings.check("", &expected, &answer("7")), Ok(()));
        assert!(bindings.check("", &expected, &answer("8")).is_err());
        assert_eq!(bindings.fill(&json!(["<rv-1>"])), json!(["7"]));
    }

    #[test]
    fn what_is_missing_or_too_much_is_told() {
        let mut bindings = Bindings::new(false);
        let why = bindings.check("body", &json!({"a": 1}), &json!({"a": 1, "b": 2}));
        assert_eq!(why, Err("body.b: not expected, got 2".into()));
        assert!(bindings.check("body", &json!({"a": "<time>"}), &json!({"a": "soon"})).is_err());
    }
}
