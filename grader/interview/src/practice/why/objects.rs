//! Quantities and selectors.

use super::Asked;
use kit_contract::api::quantity::Quantity;
use kit_contract::objects::{LabelSelector, Labels, is_key, is_value};

pub fn quantity(asked: &Asked<'_>) -> Option<Vec<String>> {
    let text = |name: &str| asked.args[name].as_str().unwrap_or_default();
    Some(match asked.call {
        "canonical" => match text("text").parse::<Quantity>() {
            Err(_) => {
                vec!["It isn't a sign, digits with at most one point, and then one known suffix or exponent.".into()]
            }
            Ok(_) => vec![
                spelled(text("text")),
                "The canonical form has the largest suffix of its family that leaves a whole number, and no point."
                    .into(),
            ],
        },
        "value" => vec![spelled(text("text")), "Whole units are counted, rounded away from zero.".into()],
        "milli_value" => vec![spelled(text("text")), "Thousandths are counted, rounded away from zero.".into()],
        "compare" => {
            let (a, b) = (text("a").parse::<Quantity>().ok()?, text("b").parse::<Quantity>().ok()?);
            vec![format!("a is {}, b is {}.", plain(&a), plain(&b)), "How they are written plays no role.".into()]
        }
        call => {
            let sign = if call == "add" { "+" } else { "−" };
            let (a, b) = (text("a").parse::<Quantity>().ok()?, text("b").parse::<Quantity>().ok()?);
            let family = if a.is_zero() { "b, since a is zero" } else { "a" };
            vec![format!("{} {sign} {}, exactly; the result is in the family of {family}.", plain(&a), plain(&b))]
        }
    })
}

/// An amount as a plain number.
fn plain(amount: &Quantity) -> String {
    match amount.scaled_value(0) {
        whole if amount.milli_value() == whole.saturating_mul(1000) => whole.to_string(),
        _ => format!("{} thousandths", amount.milli_value()),
    }
}

/// What a suffix stands for.
fn spelled(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_digit() && !".+-".contains(c)).unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let factor = match suffix {
        "" => return format!("{text} has no suffix: whole units."),
        "n" => "10⁻⁹",
        "u" => "10⁻⁶",
        "m" => "10⁻³",
        "k" => "1000",
        "M" => "10⁶",
        "G" => "10⁹",
        "T" => "10¹²",
        "P" => "10¹⁵",
        "E" => "10¹⁸",
        "Ki" => "1024",
        "Mi" => "1024²",
        "Gi" => "1024³",
        "Ti" => "1024⁴",
        "Pi" => "1024⁵",
        "Ei" => "1024⁶",
        exponent => {
            return format!("{text} is {digits} × 10 to the power of {}.", exponent.trim_start_matches(['e', 'E']));
        }
    };
    format!("{text} is {digits} × {factor}.")
}

pub fn selector(asked: &Asked<'_>) -> Option<Vec<String>> {
    if asked.answer.get("Err").is_some() {
        return Some(vec![match asked.call {
            "selects" => refused(&asked.arg::<Option<LabelSelector>>("selector")?.unwrap_or_default()),
            "labels" => "It is no selector: each part between commas is a key with or without `!`, a key and a value, or a key with `in (…)`, `notin (…)`, `> N` or `< N`, of valid keys and values.".into(),
            _ => "It is no selector: a term needs `=`, `==` or `!=`, a field that can be asked for, and a backslash before `,`, `=` and a backslash in a value.".into(),
        }]);
    }
    match asked.call {
        "selects" => {
            let (selector, labels): (Option<LabelSelector>, Labels) = (asked.arg("selector")?, asked.arg("labels")?);
            let Some(selector) = selector else { return Some(vec!["No selector at all means no object.".into()]) };
            if selector.match_labels.is_empty() && selector.match_expressions.is_empty() {
                return Some(vec!["A selector without requirements means every object.".into()]);
            }
            let has = |key: &String| labels.get(key).map_or(format!("no label {key}"), |value| format!("{key}={value:?}"));
            let mut wrong: Vec<String> = Vec::new();
            for (key, value) in &selector.match_labels {
                if labels.get(key) != Some(value) {
                    wrong.push(format!("It wants {key}={value:?}, and the object has {}.", has(key)));
                }
            }
            for one in &selector.match_expressions {
                let value = labels.get(&one.key);
                let among = value.is_some_and(|value| one.values.contains(value));
                let holds = match one.operator.as_str() {
                    "In" => among,
                    "NotIn" => !among,
                    "Exists" => value.is_some(),
                    _ => value.is_none(),
                };
                if !holds {
                    wrong.push(format!("{} {} {:?} doesn't hold: the object has {}.", one.key, one.operator, one.values, has(&one.key)));
                }
            }
            if wrong.is_empty() {
                wrong.push("All requirements hold. NotIn and DoesNotExist also hold where the label isn't there.".into());
            }
            Some(wrong)
        }
        "labels" => Some(match asked.answer["Ok"] == true {
            true => vec!["All requirements hold; `!=` and `notin` also hold where the label isn't there.".into()],
            false => vec!["All requirements between the commas must hold, and one of them doesn't. Only `!=`, `notin` and `!key` hold where the label isn't there.".into()],
        }),
        _ => Some(match asked.answer["Ok"] == true {
            true => vec!["All terms hold.".into()],
            false => vec!["All terms must hold, and one of them doesn't. All behind the operator is the value, blanks too.".into()],
        }),
    }
}

fn refused(selector: &LabelSelector) -> String {
    for (key, value) in &selector.match_labels {
        if !is_key(key) {
            return format!("{key:?} is no key of a label.");
        }
        if !is_value(value) {
            return format!("{value:?} is no value of a label.");
        }
    }
    for one in &selector.match_expressions {
        match (one.operator.as_str(), one.values.is_empty()) {
            ("In" | "NotIn", true) => return format!("{} needs a value.", one.operator),
            ("Exists" | "DoesNotExist", false) => return format!("{} has no values.", one.operator),
            ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => {}
            (other, _) => {
                return format!(
                    "{other:?} is no operator; there are In, NotIn, Exists and DoesNotExist, and case matters."
                );
            }
        }
        if !is_key(&one.key) {
            return format!("{:?} is no key of a label.", one.key);
        }
    }
    "A value is none of a label: at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends."
        .into()
}
