//! What texts can do.
//!
//! Sources: `ext/{strings,formatting}.go` of cel-go, `apiserver/pkg/cel/library/regex.go`.

use crate::value::{Failure, Map, Value};
use regex_lite::Regex;

/// A function on texts; nothing if it is none.
pub fn call<'a>(name: &str, args: &[Value<'a>]) -> Option<Result<Value<'a>, Failure>> {
    if let ("join", Some(Value::List(list))) = (name, args.first()) {
        let between = match args.get(1) {
            Some(Value::Text(text)) => text.to_string(),
            _ => String::new(),
        };
        let texts: Option<Vec<String>> = list
            .items()
            .map(|item| if let Value::Text(text) = item { Some(text.into_owned()) } else { None })
            .collect();
        return Some(texts.map(|texts| Value::text(texts.join(&between))).ok_or_else(|| "no such overload".into()));
    }
    let (Value::Text(text), rest) = args.split_first()? else { return None };
    let whole = |value: &Value<'a>| if let Value::Int(value) = value { Some(*value) } else { None };
    let flag = |flag: bool| Some(Ok(Value::Bool(flag)));
    match (name, rest) {
        ("contains", [Value::Text(part)]) => flag(text.contains(&**part)),
        ("startsWith", [Value::Text(part)]) => flag(text.starts_with(&**part)),
        ("endsWith", [Value::Text(part)]) => flag(text.ends_with(&**part)),
        ("matches", [Value::Text(pattern)]) => Some(regex(pattern).map(|regex| Value::Bool(regex.is_match(text)))),
        ("find", [Value::Text(pattern)]) => {
            Some(regex(pattern).map(|regex| Value::text(regex.find(text).map_or("", |found| found.as_str()))))
        }
        ("findAll", [Value::Text(pattern), rest @ ..]) => {
            let most = rest.first().and_then(whole).and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
            Some(regex(pattern).map(|regex| {
                Value::list(regex.find_iter(text).take(most).map(|found| Value::text(found.as_str())).collect())
            }))
        }
        ("lowerAscii", []) => Some(Ok(Value::text(text.to_ascii_lowercase()))),
        ("upperAscii", []) => Some(Ok(Value::text(text.to_ascii_uppercase()))),
        ("trim", []) => Some(Ok(Value::text(text.trim()))),
        ("strings.quote", []) => Some(Ok(Value::text(format!("{:?}", &**text)))),
        ("replace", [Value::Text(from), Value::Text(to), rest @ ..]) => {
            let most = rest.first().and_then(whole).and_then(|most| usize::try_from(most).ok());
            Some(Ok(Value::text(match most {
                Some(most) => text.replacen(&**from, to, most),
                None => text.replace(&**from, to),
            })))
        }
        ("split", [Value::Text(by), rest @ ..]) => Some(Ok(Value::list(split(text, by, rest.first().and_then(whole))))),
        ("charAt", [Value::Int(at)]) => {
            let chars: Vec<char> = text.chars().collect();
            Some(match usize::try_from(*at) {
                Ok(at) if at < chars.len() => Ok(Value::text(chars[at].to_string())),
                Ok(at) if at == chars.len() => Ok(Value::text("")),
                _ => Err(format!("index out of range: {at}")),
            })
        }
        ("substring", [Value::Int(from), rest @ ..]) => {
            let chars: Vec<char> = text.chars().collect();
            let to = rest.first().and_then(whole).unwrap_or(chars.len() as i64);
            let fits = |at: i64| usize::try_from(at).ok().filter(|at| *at <= chars.len());
            Some(match (fits(*from), fits(to)) {
                (Some(from), Some(to)) if from <= to => Ok(Value::text(chars[from..to].iter().collect::<String>())),
                (Some(from), Some(to)) => Err(format!("invalid substring range. start: {from}, end: {to}")),
                (None, _) => Err(format!("index out of range: {from}")),
                _ => Err(format!("index out of range: {to}")),
            })
        }
        ("indexOf" | "lastIndexOf", [Value::Text(part), rest @ ..]) => {
            Some(position(text, part, rest.first().and_then(whole), name == "indexOf").map(Value::Int))
        }
        ("format", [Value::List(args)]) => Some(format(text, &args.items().collect::<Vec<_>>()).map(Value::text)),
        _ => None,
    }
}

fn regex(pattern: &str) -> Result<Regex, Failure> {
    Regex::new(pattern).map_err(|why| format!("error parsing regexp: {why}"))
}

/// `strings.SplitN` of Go.
fn split<'a>(text: &str, by: &str, most: Option<i64>) -> Vec<Value<'a>> {
    let all: Vec<String> = match by {
        "" => text.chars().map(String::from).collect(),
        by => text.split(by).map(str::to_string).collect(),
    };
    let all = match most.map(usize::try_from) {
        Some(Ok(most)) if most < all.len() => {
            let kept = all.len().min(most.saturating_sub(1));
            let rest = (most > 0).then(|| all[kept..].join(by));
            all[..kept].iter().cloned().chain(rest).collect()
        }
        _ => all,
    };
    all.into_iter().map(Value::text).collect()
}

fn position(text: &str, part: &str, from: Option<i64>, first: bool) -> Result<i64, Failure> {
    let chars: Vec<char> = text.chars().collect();
    let part: Vec<char> = part.chars().collect();
    let bound = match from {
        None if first => 0,
        None => chars.len(),
        Some(at) => {
            usize::try_from(at).ok().filter(|at| *at <= chars.len()).ok_or(format!("index out of range: {at}"))?
        }
    };
    let last = chars.len().checked_sub(part.len());
    let Some(last) = last else { return Ok(-1) };
    let is = |at: &usize| chars[*at..].starts_with(&part);
    let found = if first { (bound..=last).find(is) } else { (0..=last.min(bound)).rev().find(is) };
    Ok(found.map_or(-1, |at| at as i64))
}

/// `format`: what stands for each verb.
fn format(text: &str, args: &[Value<'_>]) -> Result<String, Failure> {
    let mut out = String::new();
    let mut args = args.iter().enumerate();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut precision = None;
        if chars.next_if_eq(&'.').is_some() {
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            precision = Some(
                digits.parse::<usize>().map_err(|_| "could not parse formatting clause: invalid precision")?.min(1000),
            );
        }
        let verb = chars.next().ok_or("unexpected end of string")?;
        let missing = |index: usize| format!("index {index} out of range");
        let given = args.len();
        let (_, value) = args.next().ok_or_else(|| missing(given))?;
        out += &clause(verb, precision, value)?;
    }
    Ok(out)
}

fn clause(verb: char, precision: Option<usize>, value: &Value<'_>) -> Result<String, Failure> {
    let not = |what: &str| {
        format!(
            "error during formatting: {what} clause can only be used on {}, was given {}",
            clause_types(verb),
            value.type_name()
        )
    };
    let whole = match value {
        Value::Int(value) => Some(i128::from(*value)),
        Value::Uint(value) => Some(i128::from(*value)),
        Value::Bool(flag) if verb == 'b' => Some(i128::from(*flag)),
        _ => None,
    };
    let signed = |digits: String| if whole.is_some_and(|value| value < 0) { format!("-{digits}") } else { digits };
    let size = whole.map(i128::unsigned_abs);
    Ok(match (verb, size, value) {
        ('s', ..) => spelled(value),
        ('d', Some(_), _) => value.shown(),
        ('d', None, Value::Double(value)) => value.to_string(),
        ('b', Some(size), _) => signed(format!("{size:b}")),
        ('o', Some(size), _) => signed(format!("{size:o}")),
        ('x', Some(size), _) => signed(format!("{size:x}")),
        ('X', Some(size), _) => signed(format!("{size:X}")),
        ('x', _, Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('X', _, Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
        ('f', _, Value::Double(value)) => format!("{value:.*}", precision.unwrap_or(6)),
        ('f', Some(_), _) => format!("{:.*}", precision.unwrap_or(6), whole.unwrap_or_default() as f64),
        ('e', _, Value::Double(value)) => scientific(*value, precision.unwrap_or(6)),
        ('d', ..) => return Err(not("decimal")),
        ('b', ..) => return Err(not("binary")),
        ('o', ..) => return Err(not("octal")),
        ('x' | 'X', ..) => return Err(not("hex")),
        ('f', ..) => return Err(not("fixed-point")),
        ('e', ..) => return Err(not("scientific")),
        _ => return Err(format!("could not parse formatting clause: unrecognized formatting clause \"{verb}\"")),
    })
}

fn clause_types(verb: char) -> &'static str {
    match verb {
        'b' => "integers and bools",
        'x' | 'X' => "integers, byte buffers, and strings",
        'f' | 'e' => "doubles",
        _ => "integers",
    }
}

fn scientific(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let sign = if exponent.starts_with('-') { '-' } else { '+' };
    format!("{digits}e{sign}{:0>2}", exponent.trim_start_matches('-'))
}

/// A value as `%s` spells it.
fn spelled(value: &Value<'_>) -> String {
    let quoted = |value: &Value<'_>| match value {
        Value::Text(text) => format!("{:?}", &**text),
        other => spelled(other),
    };
    match value {
        Value::List(list) => {
            let items: Vec<String> = list.items().map(|item| quoted(&item)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let map: &Map<'_> = map;
            let mut entries: Vec<String> =
                map.entries().iter().map(|(key, value)| format!("{}: {}", quoted(key), quoted(value))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Span(span) => format!("{}s", span.nanos as f64 / 1e9),
        other => other.shown(),
    }
}
