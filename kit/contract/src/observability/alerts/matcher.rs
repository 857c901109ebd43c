//! Matchers of Alertmanager: conditions on one label.

use super::Labels;
use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A condition on one label, written as in Alertmanager's configuration: `severity="page"`, `team!="db"`, `service=~"web|api"`, `service!~"test-.*"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Matcher {
    label: String,
    is: bool,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Text(String),
    Pattern(String, Regex),
}

/// The longer signs come first: `=` begins `=~`, too. Each with whether the value must fit, and whether it is a pattern.
const SIGNS: [(&str, bool, bool); 4] =
    [("=~", true, true), ("!~", false, true), ("!=", false, false), ("=", true, false)];

impl Matcher {
    /// Whether an alert with these labels fits. A label that is missing counts as empty, and a pattern must fit the whole value.
    pub fn fits(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.label).map_or("", String::as_str);
        self.is
            == match &self.value {
                Value::Text(text) => text == value,
                Value::Pattern(_, pattern) => pattern.is_match(value),
            }
    }

    /// Reads `name="value"` (Alertmanager, `pkg/labels/parse.go`): the quotes may be left out.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Matcher, String> {
        let bad = || format!("bad matcher format: {text}");
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).ok_or_else(bad)?;
        let (label, rest) = trimmed.split_at(end);
        if label.is_empty() || label.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(bad());
        }
        let rest = rest.trim_start();
        let (sign, is, pattern) = SIGNS.into_iter().find(|(sign, ..)| rest.starts_with(sign)).ok_or_else(bad)?;
        let text = unquote(rest[sign.len()..].trim())?;
        let value = match pattern {
            true => Value::Pattern(text.clone(), whole(&text).map_err(|why| why.to_string())?),
            false => Value::Text(text),
        };
        Ok(Matcher { label: label.into(), is, value })
    }
}

/// A pattern that fits whole values only.
fn whole(pattern: &str) -> Result<Regex, regex_lite::Error> {
    // What closes the group must not close it for the pattern: it is read alone first.
    Regex::new(pattern)?;
    Regex::new(&format!("^(?:{pattern})$"))
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, pattern) = match &self.value {
            Value::Text(text) => (text, false),
            Value::Pattern(text, _) => (text, true),
        };
        let sign = SIGNS.iter().find(|(_, is, of)| (*is, *of) == (self.is, pattern)).map_or("", |(sign, ..)| sign);
        let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        write!(f, "{}{sign}\"{text}\"", self.label)
    }
}

impl From<Matcher> for String {
    fn from(matcher: Matcher) -> String {
        matcher.to_string()
    }
}

impl TryFrom<String> for Matcher {
    type Error = String;
    fn try_from(text: String) -> Result<Matcher, String> {
        Matcher::parse(&text)
    }
}

fn unquote(raw: &str) -> Result<String, String> {
    let stray = || format!("matcher value contains unescaped double quote: {raw}");
    let (inner, mut closing) = match raw.strip_prefix('"') {
        Some(inner) => (inner, true),
        None => (raw, false),
    };
    let mut value = String::new();
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek().copied()) {
            ('\\', Some(next @ ('"' | '\\'))) => {
                value.push(next);
                chars.next();
            }
            ('\\', Some('n')) => {
                value.push('\n');
                chars.next();
            }
            ('"', None) if closing => closing = false,
            ('"', _) => return Err(stray()),
            (other, _) => value.push(other),
        }
    }
    if closing { Err(stray()) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_are_read_and_written() {
        let labels = Labels::from([("a".into(), "x\"y".into())]);
        for (text, fits) in [
            (r#"a="x\"y""#, true),
            ("a=~x.y", true),
            ("a =~ \"x\"", false),
            ("b=\"\"", true),
            ("b!~.+", true),
            ("a!=z", true),
            ("a=~\"z|x.*\"", true),
        ] {
            let matcher = Matcher::parse(text).expect(text);
            assert_eq!(matcher.fits(&labels), fits, "{text}");
            let again = Matcher::parse(&matcher.to_string()).expect(text);
            assert_eq!((again.fits(&labels), again.to_string()), (fits, matcher.to_string()), "{text}");
        }
        for text in ["", "=x", "1a=x", "a", "a=\"x", "a=x\"y", "a=~(", "a=~\"x)(\""] {
            assert!(Matcher::parse(text).is_err(), "{text}");
        }
    }
}
