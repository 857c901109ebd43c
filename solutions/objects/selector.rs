//! The reference for `objects/selector`.
//!
//! The cluster itself selects with `kit_api::selector`, because queries are answered before there is any module to ask, and
//! because clients want upstream's messages. A test holds the two equal.

// ANCHOR: solution
use kit::objects::{Fields, LabelSelector, Labels, NotASelector, Selectors, is_key, is_value};

/// Selectors are read whole, into requirements, before the object is looked at: half a selector selects nothing.
#[derive(Default)]
pub struct Exercise;

impl Selectors for Exercise {
    fn selects(&self, selector: &Option<LabelSelector>, labels: &Labels) -> Result<bool, NotASelector> {
        let Some(selector) = selector else {
            return Ok(false);
        };
        let mut requirements = Vec::new();
        for (key, value) in &selector.match_labels {
            requirements.push(requirement(key, Operator::In, vec![value])?);
        }
        for expression in &selector.match_expressions {
            let operator = match expression.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                _ => return Err(NotASelector),
            };
            let values = expression.values.iter().map(String::as_str).collect();
            requirements.push(requirement(&expression.key, operator, values)?);
        }
        Ok(requirements.iter().all(|requirement| requirement.holds(labels)))
    }

    fn labels(&self, text: &str, labels: &Labels) -> Result<bool, NotASelector> {
        let requirements = Parser { tokens: tokens(text) }.selector()?;
        Ok(requirements.iter().all(|requirement| requirement.holds(labels)))
    }

    fn fields(&self, text: &str, fields: &Fields) -> Result<bool, NotASelector> {
        let mut all = true;
        for term in terms(text).into_iter().filter(|term| !term.is_empty()) {
            let at = term.find('=').ok_or(NotASelector)?;
            let (field, value) = (&term[..at], &term[at + 1..]);
            let (field, negated) = field.strip_suffix('!').map_or((field, false), |field| (field, true));
            let value = if negated { value } else { value.strip_prefix('=').unwrap_or(value) };
            let value = unescape(value)?;
            if field.is_empty() && value.is_empty() {
                continue;
            }
            let own = fields.get(field).ok_or(NotASelector)?;
            all &= (*own == value) != negated;
        }
        Ok(all)
    }
}

// ANCHOR: requirement
#[derive(Clone, Copy, PartialEq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

struct Requirement<'a> {
    key: &'a str,
    operator: Operator,
    values: Vec<&'a str>,
}

/// A requirement, if it makes sense.
fn requirement<'a>(key: &'a str, operator: Operator, values: Vec<&'a str>) -> Result<Requirement<'a>, NotASelector> {
    let enough = match operator {
        Operator::In | Operator::NotIn => !values.is_empty(),
        Operator::Exists | Operator::DoesNotExist => values.is_empty(),
        Operator::GreaterThan | Operator::LessThan => values.iter().all(|value| value.parse::<i64>().is_ok()),
    };
    let valid = is_key(key) && values.iter().all(|value| is_value(value));
    if enough && valid { Ok(Requirement { key, operator, values }) } else { Err(NotASelector) }
}

impl Requirement<'_> {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(self.key);
        let listed = value.is_some_and(|value| self.values.contains(&value.as_str()));
        let number = |text: &str| text.parse::<i64>().ok();
        // Two numbers, unless one of them is none.
        let numbers = || Some((number(value?)?, number(self.values.first()?)?));
        match self.operator {
            Operator::In => listed,
            // Also where the label isn't there.
            Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => numbers().is_some_and(|(own, wanted)| own > wanted),
            Operator::LessThan => numbers().is_some_and(|(own, wanted)| own < wanted),
        }
    }
}
// ANCHOR_END: requirement

// ANCHOR: parser
/// Words and signs, the last one first.
fn tokens(text: &str) -> Vec<&str> {
    let blank = |c: char| " \t\r\n".contains(c);
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(blank);
    while let Some(first) = rest.chars().next() {
        let end = if rest.starts_with("==") || rest.starts_with("!=") {
            2
        } else if is_sign(first) {
            1
        } else {
            rest.find(|c| blank(c) || is_sign(c)).unwrap_or(rest.len())
        };
        tokens.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(blank);
    }
    tokens.reverse();
    tokens
}

fn is_sign(c: char) -> bool {
    "=!(),><".contains(c)
}

struct Parser<'a> {
    /// What is still to be read, from the end.
    tokens: Vec<&'a str>,
}

impl<'a> Parser<'a> {
    fn selector(&mut self) -> Result<Vec<Requirement<'a>>, NotASelector> {
        let mut requirements = Vec::new();
        while !self.tokens.is_empty() {
            requirements.push(self.requirement()?);
            match self.tokens.pop() {
                None => break,
                // A comma has something behind it.
                Some(",") if !self.tokens.is_empty() => {}
                Some(_) => return Err(NotASelector),
            }
        }
        Ok(requirements)
    }

    fn requirement(&mut self) -> Result<Requirement<'a>, NotASelector> {
        if self.tokens.pop_if(|token| *token == "!").is_some() {
            return requirement(self.word().ok_or(NotASelector)?, Operator::DoesNotExist, Vec::new());
        }
        let key = self.word().ok_or(NotASelector)?;
        let Some(sign) = self.tokens.pop_if(|token| *token != ",") else {
            return requirement(key, Operator::Exists, Vec::new());
        };
        let operator = match sign {
            "=" | "==" | "in" => Operator::In,
            "!=" | "notin" => Operator::NotIn,
            ">" => Operator::GreaterThan,
            "<" => Operator::LessThan,
            _ => return Err(NotASelector),
        };
        let values = if sign.ends_with("in") { self.list()? } else { vec![self.value()] };
        requirement(key, operator, values)
    }

    fn list(&mut self) -> Result<Vec<&'a str>, NotASelector> {
        if self.tokens.pop() != Some("(") {
            return Err(NotASelector);
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value());
            match self.tokens.pop() {
                Some(",") => {}
                Some(")") => return Ok(values),
                _ => return Err(NotASelector),
            }
        }
    }

    /// A value may be left out. What stands there instead of one is the next to be read, and fits nowhere.
    fn value(&mut self) -> &'a str {
        self.word().unwrap_or_default()
    }

    fn word(&mut self) -> Option<&'a str> {
        self.tokens.pop_if(|token| !token.starts_with(is_sign))
    }
}
// ANCHOR_END: parser

// ANCHOR: fields
/// Splits at the commas that no backslash stands before.
fn terms(text: &str) -> Vec<&str> {
    let mut escaped = false;
    let separates = |c: char| {
        let separates = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        separates
    };
    text.split(separates).collect()
}

fn unescape(value: &str) -> Result<String, NotASelector> {
    let mut plain = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.push(chars.next().filter(|c| is_special(*c)).ok_or(NotASelector)?),
            c if is_special(c) => return Err(NotASelector),
            c => plain.push(c),
        }
    }
    Ok(plain)
}

fn is_special(c: char) -> bool {
    ['\\', ',', '='].contains(&c)
}
// ANCHOR_END: fields
// ANCHOR_END: solution
