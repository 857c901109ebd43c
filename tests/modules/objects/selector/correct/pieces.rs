//! Passes: it splits at the commas outside of parentheses, and takes each piece apart around its operator.

use kit::objects::{Fields, LabelSelector, Labels, NotASelector, Selectors, is_key, is_value};

#[derive(Default)]
struct Exercise;

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

impl Selectors for Exercise {
    fn selects(&self, selector: &Option<LabelSelector>, labels: &Labels) -> Result<bool, NotASelector> {
        let Some(selector) = selector else { return Ok(false) };
        let pairs = selector.match_labels.iter();
        let pairs = pairs.map(|(key, value)| is_one_of(key, &[value], labels));
        let expressions = selector.match_expressions.iter().map(|expression| {
            let values: Vec<&str> = expression.values.iter().map(String::as_str).collect();
            match (expression.operator.as_str(), values.as_slice()) {
                ("In", [_, ..]) => is_one_of(&expression.key, &values, labels),
                ("NotIn", [_, ..]) => is_one_of(&expression.key, &values, labels).map(|is| !is),
                ("Exists", []) => exists(&expression.key, labels),
                ("DoesNotExist", []) => exists(&expression.key, labels).map(|is| !is),
                _ => Err(NotASelector),
            }
        });
        all(pairs.chain(expressions))
    }

    fn labels(&self, text: &str, labels: &Labels) -> Result<bool, NotASelector> {
        if text.trim_matches(BLANKS).is_empty() {
            return Ok(true);
        }
        let mut depth = 0;
        let pieces = text.split(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            c == ',' && depth == 0
        });
        all(pieces.map(|piece| requirement(piece.trim_matches(BLANKS), labels)))
    }

    fn fields(&self, text: &str, fields: &Fields) -> Result<bool, NotASelector> {
        // What is escaped becomes a character of its own first, so that what is left of the three has its meaning.
        const SECRET: [char; 3] = ['\u{f0000}', '\u{f0001}', '\u{f0002}'];
        const PLAIN: [&str; 3] = [r"\", ",", "="];
        let mut text = text.to_string();
        for (plain, secret) in PLAIN.into_iter().zip(SECRET) {
            text = text.replace(&format!(r"\{plain}"), &secret.to_string());
        }
        let terms = text.split(',').filter(|term| !["", "=", "==", "!="].contains(term));
        all(terms.map(|term| {
            let (field, value) = term.split_once('=').ok_or(NotASelector)?;
            let (field, value, equal) = match (field.strip_suffix('!'), value.strip_prefix('=')) {
                (Some(field), _) => (field, value, false),
                (None, Some(value)) => (field, value, true),
                (None, None) => (field, value, true),
            };
            if value.contains(['\\', '=']) {
                return Err(NotASelector);
            }
            let mut value = value.to_string();
            for (plain, secret) in PLAIN.into_iter().zip(SECRET) {
                value = value.replace(secret, plain);
            }
            Ok((*fields.get(field).ok_or(NotASelector)? == value) == equal)
        }))
    }
}

/// Whether all hold; an error if one is an error, whatever the others say.
fn all(answers: impl Iterator<Item = Result<bool, NotASelector>>) -> Result<bool, NotASelector> {
    answers.collect::<Result<Vec<_>, _>>().map(|answers| !answers.contains(&false))
}

fn requirement(piece: &str, labels: &Labels) -> Result<bool, NotASelector> {
    if let Some(key) = piece.strip_prefix('!') {
        return exists(key.trim_start_matches(BLANKS), labels).map(|is| !is);
    }
    let Some(at) = piece.find(['=', '!', '>', '<', '(']) else { return exists(piece, labels) };
    let (head, tail) = (piece[..at].trim_end_matches(BLANKS), &piece[at..]);
    if let Some(list) = tail.strip_prefix('(') {
        let list = list.strip_suffix(')').ok_or(NotASelector)?;
        let values: Vec<_> = list.split(',').map(|value| value.trim_matches(BLANKS)).collect();
        let (key, operator) = head.rsplit_once(BLANKS).ok_or(NotASelector)?;
        let listed = is_one_of(key.trim_end_matches(BLANKS), &values, labels)?;
        return match operator {
            "in" => Ok(listed),
            "notin" => Ok(!listed),
            _ => Err(NotASelector),
        };
    }
    let behind = |sign: &str| tail.strip_prefix(sign).map(|value| value.trim_matches(BLANKS));
    if let Some(value) = behind("==").or_else(|| behind("=")) {
        return is_one_of(head, &[value], labels);
    }
    if let Some(value) = behind("!=") {
        return is_one_of(head, &[value], labels).map(|is| !is);
    }
    let value = behind(">").or_else(|| behind("<")).ok_or(NotASelector)?;
    is_one_of(head, &[value], labels)?;
    let wanted = value.parse::<i64>().map_err(|_| NotASelector)?;
    let own = labels.get(head).and_then(|own| own.parse::<i64>().ok());
    Ok(own.is_some_and(|own| if tail.starts_with('>') { own > wanted } else { own < wanted }))
}

fn exists(key: &str, labels: &Labels) -> Result<bool, NotASelector> {
    if is_key(key) { Ok(labels.contains_key(key)) } else { Err(NotASelector) }
}

fn is_one_of(key: &str, values: &[&str], labels: &Labels) -> Result<bool, NotASelector> {
    if !values.iter().all(|value| is_value(value)) || !is_key(key) {
        return Err(NotASelector);
    }
    Ok(labels.get(key).is_some_and(|own| values.contains(&own.as_str())))
}

kit::exercise!(Exercise: Selectors);
