//! `printf` (Go's `fmt`), as far as alerts need it.

use super::Value;
use crate::number;

/// Widths and precisions beyond this are taken for a typing error.
const WIDEST: usize = 1000;

struct Verb {
    minus: bool,
    plus: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    verb: char,
}

/// The text of `format` with its arguments.
pub fn sprintf(format: &str, arguments: &[Value]) -> String {
    let mut output = String::new();
    let mut arguments = arguments.iter();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        output.push_str(before);
        let (verb, after) = verb(after);
        rest = after;
        match verb {
            None => output.push_str("%!(NOVERB)"),
            Some(Verb { verb: '%', .. }) => output.push('%'),
            Some(verb) => match arguments.next() {
                None => output.push_str(&format!("%!{}(MISSING)", verb.verb)),
                Some(value) => output.push_str(&padded(&verb, value)),
            },
        }
    }
    output.push_str(rest);
    let extra: Vec<_> = arguments.map(|value| format!("{}={}", value.type_name(), value.show())).collect();
    if !extra.is_empty() {
        output.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    output
}

fn verb(text: &str) -> (Option<Verb>, &str) {
    let mut verb = Verb { minus: false, plus: false, zero: false, width: 0, precision: None, verb: 'v' };
    let mut chars = text.char_indices();
    for (at, c) in chars.by_ref() {
        let digit = c.to_digit(10).map(|digit| digit as usize);
        match (c, digit, &mut verb.precision) {
            ('-', ..) => verb.minus = true,
            ('+', ..) => verb.plus = true,
            ('0', _, None) if verb.width == 0 => verb.zero = true,
            ('.', ..) => verb.precision = Some(0),
            (_, Some(digit), Some(precision)) => *precision = (*precision * 10 + digit).min(WIDEST),
            (_, Some(digit), None) => verb.width = (verb.width * 10 + digit).min(WIDEST),
            (' ' | '#', ..) => {}
            _ => {
                verb.verb = c;
                return (Some(verb), &text[at + c.len_utf8()..]);
            }
        }
    }
    (None, "")
}

fn padded(verb: &Verb, value: &Value) -> String {
    let text = formatted(verb, value);
    let signed = verb.plus && matches!(value, Value::Int(_) | Value::Float(_)) && !text.starts_with(['-', '+']);
    let text = if signed { format!("+{text}") } else { text };
    let missing = verb.width.saturating_sub(text.chars().count());
    let number = matches!(value, Value::Int(_)) || matches!(value, Value::Float(value) if value.is_finite());
    if verb.minus {
        text + &" ".repeat(missing)
    } else if verb.zero && number {
        let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
        format!("{sign}{}{digits}", "0".repeat(missing))
    } else {
        " ".repeat(missing) + &text
    }
}

fn formatted(verb: &Verb, value: &Value) -> String {
    let cut = |text: &str| match verb.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_string(),
    };
    match (verb.verb, value) {
        ('f' | 'F', Value::Float(value)) => number::fixed(*value, Some(verb.precision.unwrap_or(6))),
        ('e', Value::Float(value)) => number::exponential(*value, Some(verb.precision.unwrap_or(6))),
        ('g', Value::Float(value)) if verb.precision.is_none() => number::shortest(*value, 6),
        ('g' | 'v', Value::Float(value)) => number::general(*value, verb.precision),
        ('d' | 'v', Value::Int(value)) => value.to_string(),
        ('x', Value::Int(value)) => format!("{value:x}"),
        ('c', Value::Int(value)) => u32::try_from(*value).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').into(),
        ('T', value) => value.type_name().into(),
        ('t', Value::Bool(value)) => value.to_string(),
        ('q', Value::Text(text)) => format!("{:?}", cut(text)),
        ('s' | 'v', Value::Text(text)) => cut(text),
        ('v', value) => value.show(),
        ('s', Value::Map(_)) => value.show(),
        (verb, Value::Nil) => format!("%!{verb}(<nil>)"),
        (verb, value) => format!("%!{verb}({}={})", value.type_name(), value.show()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs() {
        for (format, value, expected) in [
            ("%.1f", Value::Float(5.0), "5.0"),
            ("%5.2f|", Value::Float(1.234), " 1.23|"),
            ("%-6.1f|", Value::Float(1.0), "1.0   |"),
            ("%06.1f", Value::Float(-1.5), "-001.5"),
            ("%d", Value::Float(5.0), "%!d(float64=5)"),
            ("%d%%", Value::Int(7), "7%"),
            ("%.3g", Value::Float(1234.5), "1.23e+03"),
            ("%s", Value::Float(1.5), "%!s(float64=1.5)"),
            ("%q", Value::Text("a\"b".into()), r#""a\"b""#),
            ("%v", Value::Float(1e21), "1e+21"),
            ("no verb", Value::Int(1), "no verb%!(EXTRA int=1)"),
        ] {
            assert_eq!(sprintf(format, &[value]), expected, "{format}");
        }
        assert_eq!(sprintf("%s %", &[]), "%!s(MISSING) %!(NOVERB)");
    }
}
