//! Label selectors: requirements on labels, all of which must hold.
//!
//! Source: `staging/src/k8s.io/apimachinery/pkg/labels/selector.go` and `pkg/apis/meta/v1/helpers.go` there.

use crate::meta::LabelSelector;
use crate::{name, withheld};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::fmt;

/// The labels of an object.
pub type Labels = BTreeMap<String, String>;

/// Which objects are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// No object at all: what a selector that isn't there means.
    Nothing,
    /// The objects for which all requirements hold, in the order of their keys; with none, all objects.
    All(Vec<Requirement>),
}

/// One condition on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What must hold.
    pub operator: Operator,
    /// What the label's value is compared with.
    pub values: Vec<String>,
}

/// What a requirement demands of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// It is there, with one of the values.
    In,
    /// It isn't there with one of the values.
    NotIn,
    /// `=`: it is there with the value.
    Equals,
    /// `==`: the same, written otherwise.
    DoubleEquals,
    /// It isn't there with the value.
    NotEquals,
    /// It is there.
    Exists,
    /// It isn't there.
    DoesNotExist,
    /// It is an integer greater than the value.
    GreaterThan,
    /// It is an integer less than the value.
    LessThan,
}

impl Selector {
    /// Whether an object with these labels is meant.
    pub fn matches(&self, labels: &Labels) -> bool {
        match self {
            Selector::Nothing => false,
            Selector::All(requirements) => requirements.iter().all(|requirement| requirement.matches(labels)),
        }
    }

    /// Whether it selects everything, because it requires nothing.
    pub fn is_empty(&self) -> bool {
        matches!(self, Selector::All(requirements) if requirements.is_empty())
    }

    /// Requirements in the order of their keys.
    pub(super) fn sorted(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Selector::All(requirements)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Selector::All(requirements) = self else {
            return Ok(());
        };
        for (i, requirement) in requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

/// As its text, `app in (api,web),!canary`; nothing at all as null.
impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Selector::Nothing => serializer.serialize_none(),
            Selector::All(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            None => Ok(Selector::Nothing),
            Some(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

impl TryFrom<Option<&LabelSelector>> for Selector {
    type Error = String;

    /// `LabelSelectorAsSelector`: none selects nothing, an empty one everything.
    fn try_from(selector: Option<&LabelSelector>) -> Result<Self, String> {
        let Some(selector) = selector else {
            return Ok(Selector::Nothing);
        };
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            requirements.push(Requirement::new(key, Operator::Equals, vec![value.clone()])?);
        }
        for expression in selector.match_expressions.iter().flatten() {
            let operator = match expression.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(format!("{} is not a valid label selector operator", quote(other))),
            };
            let values = expression.values.clone().unwrap_or_default();
            requirements.push(Requirement::new(&expression.key, operator, values)?);
        }
        Ok(Selector::sorted(requirements))
    }
}

impl Requirement {
    /// A valid requirement (`NewRequirement`).
    ///
    /// # Errors
    ///
    /// All that is wrong with it, in upstream's words.
    pub fn new(key: &str, operator: Operator, values: Vec<String>) -> Result<Self, String> {
        withheld::from("objects::selector", "selector");
        use Operator::*;
        let mut wrong: Vec<String> = key_error("key", key).into_iter().collect();
        let count = match operator {
            In | NotIn if values.is_empty() => Some("for 'in', 'notin' operators, values set can't be empty"),
            Equals | DoubleEquals | NotEquals if values.len() != 1 => {
                Some("exact-match compatibility requires one single value")
            }
            Exists | DoesNotExist if !values.is_empty() => {
                Some("values set must be empty for exists and does not exist")
            }
            GreaterThan | LessThan if values.len() != 1 => {
                Some("for 'Gt', 'Lt' operators, exactly one value is required")
            }
            _ => None,
        };
        wrong.extend(count.map(|error| format!("values: Invalid value: {}: {error}", go_list(&values))));
        if matches!(operator, GreaterThan | LessThan) {
            for (i, value) in values.iter().enumerate().filter(|(_, value)| integer(value).is_none()) {
                let error = "for 'Gt', 'Lt' operators, the value must be an integer";
                wrong.push(format!("values[{i}]: Invalid value: {}: {error}", quote(value)));
            }
        }
        for (i, value) in values.iter().enumerate() {
            let errors = name::label_value(value);
            if !errors.is_empty() {
                wrong.push(format!("values[{i}][{key}]: Invalid value: {}: {}", quote(value), errors.join("; ")));
            }
        }
        match wrong.as_slice() {
            [] => Ok(Requirement { key: key.into(), operator, values }),
            [one] => Err(one.clone()),
            many => Err(format!("[{}]", many.join(", "))),
        }
    }

    /// Whether it holds for these labels.
    pub fn matches(&self, labels: &Labels) -> bool {
        withheld::from("objects::selector", "selector");
        let value = labels.get(&self.key);
        let listed = || value.is_some_and(|value| self.values.contains(value));
        let compared = |holds: fn(i64, i64) -> bool| {
            let wanted = self.values.first().and_then(|wanted| integer(wanted));
            value.and_then(|value| integer(value)).zip(wanted).is_some_and(|(a, b)| holds(a, b))
        };
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => listed(),
            Operator::NotIn | Operator::NotEquals => !listed(),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => compared(|a, b| a > b),
            Operator::LessThan => compared(|a, b| a < b),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Requirement { key, operator, values } = self;
        let mut values = values.clone();
        values.sort();
        let list = values.join(",");
        match operator {
            Operator::In => write!(f, "{key} in ({list})"),
            Operator::NotIn => write!(f, "{key} notin ({list})"),
            Operator::Equals => write!(f, "{key}={list}"),
            Operator::DoubleEquals => write!(f, "{key}=={list}"),
            Operator::NotEquals => write!(f, "{key}!={list}"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{list}"),
            Operator::LessThan => write!(f, "{key}<{list}"),
        }
    }
}

/// Whether a selector of an object means an object with these labels; an invalid selector means none.
pub fn matches(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    let none = Labels::new();
    Selector::try_from(Some(selector)).is_ok_and(|selector| selector.matches(labels.unwrap_or(&none)))
}

/// A selector of an object as kubectl prints it (`FormatLabelSelector`).
pub fn format(selector: Option<&LabelSelector>) -> String {
    match Selector::try_from(selector).map(|selector| selector.to_string()) {
        Err(_) => "<error>".into(),
        Ok(text) if text.is_empty() => "<none>".into(),
        Ok(text) => text,
    }
}

pub(super) fn key_error(path: &str, key: &str) -> Option<String> {
    let errors = name::qualified_name(key);
    (!errors.is_empty()).then(|| format!("{path}: Invalid value: {}: {}", quote(key), errors.join("; ")))
}

/// Go's `strconv.ParseInt(text, 10, 64)`.
fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Go's `%q`, for the characters that reach it.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Go's `%#v` of a list of strings.
fn go_list(values: &[String]) -> String {
    if values.is_empty() {
        return "[]string(nil)".into();
    }
    let values: Vec<_> = values.iter().map(|value| quote(value)).collect();
    format!("[]string{{{}}}", values.join(", "))
}
