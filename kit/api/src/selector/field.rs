//! Field selectors: `status.phase!=Running,spec.nodeName=node-1`.
//!
//! Source: `staging/src/k8s.io/apimachinery/pkg/fields/selector.go`.

use crate::withheld;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Conditions on fields, all of which must hold. Which fields a resource offers is the API server's matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector {
    /// In upstream's order: by the text of the term.
    pub terms: Vec<Term>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The field's path.
    pub field: String,
    /// `!=` rather than `=`.
    pub negated: bool,
    /// The value, without escapes.
    pub value: String,
}

impl FieldSelector {
    /// Whether all terms hold. A field that is absent has the empty value.
    pub fn matches(&self, fields: &BTreeMap<String, String>) -> bool {
        let holds = |term: &Term| (fields.get(&term.field).map_or("", String::as_str) == term.value) != term.negated;
        self.terms.iter().all(holds)
    }
}

impl FromStr for FieldSelector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        withheld::from("objects::selector", "selector");
        let mut parts = split_terms(text);
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let (field, operator, value) =
                split_term(part).ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{part}'"))?;
            let value = unescape(value)?;
            // `Transform`: nothing compared with nothing is no condition.
            if !field.is_empty() || !value.is_empty() {
                terms.push(Term { field: field.into(), negated: operator == "!=", value });
            }
        }
        Ok(FieldSelector { terms })
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Term { field, negated, value }) in self.terms.iter().enumerate() {
            let value = value.replace('\\', r"\\").replace(',', r"\,").replace('=', r"\=");
            write!(f, "{}{field}{}{value}", if i > 0 { "," } else { "" }, if *negated { "!=" } else { "=" })?;
        }
        Ok(())
    }
}

/// Splits at commas that no backslash stands before.
fn split_terms(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (Vec::new(), 0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

/// Field, operator and value, at the first operator.
fn split_term(term: &str) -> Option<(&str, &str, &str)> {
    term.char_indices().find_map(|(i, _)| {
        let operator = ["!=", "==", "="].into_iter().find(|operator| term[i..].starts_with(operator))?;
        Some((&term[..i], operator, &term[i + operator.len()..]))
    })
}

fn unescape(value: &str) -> Result<String, String> {
    let mut plain = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => plain.push(c),
                Some(c) => return Err(format!("invalid field selector: invalid escape sequence: \\{c}")),
                None => return Err("invalid field selector: invalid escape sequence: \\".into()),
            },
            // Upstream prints the number of the character.
            ',' | '=' => return Err(format!("invalid field selector: unescaped character in value: {}", c as u32)),
            c => plain.push(c),
        }
    }
    Ok(plain)
}
