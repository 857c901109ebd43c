//! Passes: a selector becomes a list of conditions, each a function of the labels; the parser is a state machine over characters.

use kit::objects::{Expression, Fields, LabelSelector, Labels, NotASelector, Selectors, is_key, is_value};
use std::collections::BTreeSet;

#[derive(Default)]
struct Exercise;

type Condition = Box<dyn Fn(Option<&String>) -> bool>;
type Conditions = Vec<(String, Condition)>;

impl Selectors for Exercise {
    fn selects(&self, selector: &Option<LabelSelector>, labels: &Labels) -> Result<bool, NotASelector> {
        match selector {
            None => Ok(false),
            Some(selector) => Ok(hold(&conditions(selector)?, labels)),
        }
    }

    fn labels(&self, text: &str, labels: &Labels) -> Result<bool, NotASelector> {
        let mut parts = parts(text).into_iter().peekable();
        let mut conditions = Conditions::new();
        while parts.peek().is_some() {
            let mut requirement = Vec::new();
            let mut inside = false;
            let mut ended = true;
            for part in parts.by_ref() {
                inside = (inside || part == "(") && part != ")";
                ended = part != "," || inside;
                if !ended {
                    break;
                }
                requirement.push(part);
            }
            if !ended && parts.peek().is_none() {
                return Err(NotASelector);
            }
            let requirement: Vec<&str> = requirement.iter().map(String::as_str).collect();
            conditions.push(match requirement.as_slice() {
                ["!", key] => condition(key, "DoesNotExist", [])?,
                [key] => condition(key, "Exists", [])?,
                [key, "=" | "==", rest @ ..] => condition(key, "In", [one(rest)?])?,
                [key, "!=", rest @ ..] => condition(key, "NotIn", [one(rest)?])?,
                [key, ">", rest @ ..] => condition(key, "Gt", [one(rest)?])?,
                [key, "<", rest @ ..] => condition(key, "Lt", [one(rest)?])?,
                [key, "in", "(", list @ .., ")"] => condition(key, "In", values(list)?)?,
                [key, "notin", "(", list @ .., ")"] => condition(key, "NotIn", values(list)?)?,
                _ => return Err(NotASelector),
            });
        }
        Ok(hold(&conditions, labels))
    }

    fn fields(&self, text: &str, fields: &Fields) -> Result<bool, NotASelector> {
        let characters: Vec<char> = text.chars().collect();
        let mut terms = vec![String::new()];
        let mut at = 0;
        while at < characters.len() {
            match characters[at] {
                ',' => terms.push(String::new()),
                c => terms.last_mut().expect("one").push(c),
            }
            if characters[at] == '\\' && at + 1 < characters.len() {
                at += 1;
                terms.last_mut().expect("one").push(characters[at]);
            }
            at += 1;
        }
        let mut answers = BTreeSet::new();
        for term in terms {
            let Some(at) = term.find('=') else {
                if term.is_empty() {
                    continue;
                }
                return Err(NotASelector);
            };
            let negated = term[..at].ends_with('!');
            let field = &term[..at - usize::from(negated)];
            let mut value = term[at + 1..].to_string();
            if !negated && value.starts_with('=') {
                value.remove(0);
            }
            let value = plain(&value)?;
            if !field.is_empty() || !value.is_empty() {
                let own = fields.get(field).ok_or(NotASelector)?;
                answers.insert(negated != (*own == value));
            }
        }
        Ok(!answers.contains(&false))
    }
}

fn plain(value: &str) -> Result<String, NotASelector> {
    let Some(at) = value.find(['\\', ',', '=']) else { return Ok(value.into()) };
    let (before, special) = value.split_at(at);
    let special = special.strip_prefix('\\').ok_or(NotASelector)?;
    let rest = special.strip_prefix(['\\', ',', '=']).ok_or(NotASelector)?;
    Ok(format!("{before}{}{}", &special[..1], plain(rest)?))
}

fn conditions(selector: &LabelSelector) -> Result<Conditions, NotASelector> {
    let mut all = Conditions::new();
    for Expression { key, operator, values } in &selector.match_expressions {
        if operator == "Gt" || operator == "Lt" {
            return Err(NotASelector);
        }
        all.push(condition(key, operator, values.clone())?);
    }
    for (key, value) in &selector.match_labels {
        all.push(condition(key, "In", [value.clone()])?);
    }
    Ok(all)
}

fn condition(
    key: &str,
    operator: &str,
    values: impl IntoIterator<Item = String>,
) -> Result<(String, Condition), NotASelector> {
    let values: BTreeSet<String> = values.into_iter().collect();
    if !is_key(key) || values.iter().any(|value| !is_value(value)) {
        return Err(NotASelector);
    }
    let number = values.first().and_then(|value| value.parse::<i64>().ok());
    let own = |own: Option<&String>| own.and_then(|own| own.parse::<i64>().ok());
    let condition: Condition = match (operator, values.len(), number) {
        ("In", 1.., _) => Box::new(move |own| own.is_some_and(|own| values.contains(own))),
        ("NotIn", 1.., _) => Box::new(move |own| own.is_none_or(|own| !values.contains(own))),
        ("Exists", 0, _) => Box::new(|own| own.is_some()),
        ("DoesNotExist", 0, _) => Box::new(|own| own.is_none()),
        ("Gt", 1, Some(number)) => Box::new(move |label| own(label).is_some_and(|own| own > number)),
        ("Lt", 1, Some(number)) => Box::new(move |label| own(label).is_some_and(|own| own < number)),
        _ => return Err(NotASelector),
    };
    Ok((key.into(), condition))
}

fn hold(conditions: &Conditions, labels: &Labels) -> bool {
    conditions.iter().all(|(key, holds)| holds(labels.get(key)))
}

/// The value behind an operator, which may be left out.
fn one(parts: &[&str]) -> Result<String, NotASelector> {
    match parts {
        [] => Ok(String::new()),
        [value] if !is_sign(value) => Ok(value.to_string()),
        _ => Err(NotASelector),
    }
}

fn values(list: &[&str]) -> Result<Vec<String>, NotASelector> {
    list.split(|part| *part == ",").map(one).collect()
}

fn is_sign(part: &str) -> bool {
    part.starts_with(['=', '!', '>', '<', '(', ')', ','])
}

fn parts(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut grows = false;
    for c in text.chars() {
        let is_word = !"=!(),><".contains(c);
        match c {
            ' ' | '\t' | '\r' | '\n' => {
                grows = false;
                continue;
            }
            '=' if grows && parts.last().is_some_and(|last| last == "=" || last == "!") => {
                parts.last_mut().expect("one").push('=');
                grows = false;
                continue;
            }
            _ if is_word && grows && parts.last().is_some_and(|last| !is_sign(last)) => {
                parts.last_mut().expect("one").push(c);
            }
            _ => parts.push(c.to_string()),
        }
        grows = true;
    }
    parts
}

kit::exercise!(Exercise: Selectors);
