//! The functions of CEL itself: arithmetic, conversions, and what lists and sets can do.
//!
//! Sources: `common/stdlib/standard.go`, `common/types/*.go`, `ext/sets.go` of cel-go;
//! `apiserver/pkg/cel/library/lists.go`.

use crate::value::{Failure, List, Map, NO_OVERLOAD, Value};
use crate::{kinds, strings};
use kit_api::duration::Duration;
use kit_api::jiff::tz::TimeZone;
use kit_api::jiff::{SignedDuration, Timestamp};
use std::cmp::Ordering;

/// The result of a function or an operator.
///
/// # Errors
///
/// Why it has none.
pub fn call<'a>(name: &str, args: &[Value<'a>]) -> Result<Value<'a>, Failure> {
    let found = operator(name, args).or_else(|| conversion(name, args)).or_else(|| of_time(name, args));
    let found = found.or_else(|| strings::call(name, args)).or_else(|| kinds::call(name, args));
    found.or_else(|| of_list(name, args)).or_else(|| optional(name, args)).unwrap_or_else(|| Err(NO_OVERLOAD.into()))
}

type Found<'a> = Option<Result<Value<'a>, Failure>>;

fn checked<'a, T>(value: Option<T>, make: fn(T) -> Value<'a>, wrong: &str) -> Found<'a> {
    Some(value.map(make).ok_or_else(|| wrong.into()))
}

fn operator<'a>(name: &str, args: &[Value<'a>]) -> Found<'a> {
    let flag = |flag: bool| Some(Ok(Value::Bool(flag)));
    match (name, args) {
        ("!_", [Value::Bool(of)]) => flag(!of),
        ("_==_", [one, other]) => flag(one.is(other)),
        ("_!=_", [one, other]) => flag(!one.is(other)),
        ("_<_" | "_<=_" | "_>_" | "_>=_", [one, other]) => Some(one.order(other).map(|order| {
            Value::Bool(match name {
                "_<_" => order == Ordering::Less,
                "_<=_" => order != Ordering::Greater,
                "_>_" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            })
        })),
        ("@in", [item, Value::List(list)]) => flag(list.items().any(|there| there.is(item))),
        ("@in", [key, Value::Map(map)]) => flag(map.get(key).is_some()),
        ("size", [of]) => size(of).map(|size| Ok(Value::Int(size as i64))),
        ("-_", [Value::Int(of)]) => checked(of.checked_neg(), Value::Int, "integer overflow"),
        ("-_", [Value::Double(of)]) => Some(Ok(Value::Double(-of))),
        ("-_", [Value::Span(of)]) => checked(of.nanos.checked_neg(), span, "duration overflow"),
        (name, [one, other]) if name.starts_with('_') => arithmetic(name, one, other),
        _ => None,
    }
}

fn span<'a>(nanos: i64) -> Value<'a> {
    Value::Span(Duration { nanos })
}

/// Arithmetic of whole numbers, signed ones or not.
macro_rules! whole {
    ($name:expr, $one:expr, $other:expr, $kind:expr, $overflow:expr) => {{
        let (value, by_zero) = match $name {
            "_+_" => ($one.checked_add(*$other), false),
            "_-_" => ($one.checked_sub(*$other), false),
            "_*_" => ($one.checked_mul(*$other), false),
            "_/_" => ($one.checked_div(*$other), *$other == 0),
            "_%_" => ($one.checked_rem(*$other), *$other == 0),
            _ => return None,
        };
        let zero = if $name == "_/_" { "division by zero" } else { "modulus by zero" };
        checked(value, $kind, if by_zero { zero } else { $overflow })
    }};
}

fn arithmetic<'a>(name: &str, one: &Value<'a>, other: &Value<'a>) -> Found<'a> {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => whole!(name, one, other, Value::Int, "integer overflow"),
        (Value::Uint(one), Value::Uint(other)) => whole!(name, one, other, Value::Uint, "unsigned integer overflow"),
        (Value::Double(one), Value::Double(other)) => Some(Ok(Value::Double(match name {
            "_+_" => one + other,
            "_-_" => one - other,
            "_*_" => one * other,
            "_/_" => one / other,
            _ => return None,
        }))),
        (Value::Time(one), Value::Time(other)) if name == "_-_" => {
            let nanos = i64::try_from(one.duration_since(*other).as_nanos()).ok();
            checked(nanos, span, "duration overflow")
        }
        (Value::Time(time), Value::Span(by)) if name == "_+_" || name == "_-_" => {
            let nanos = if name == "_+_" { Some(by.nanos) } else { by.nanos.checked_neg() };
            let moved = nanos.and_then(|nanos| time.checked_add(SignedDuration::from_nanos(nanos)).ok());
            checked(moved, Value::Time, "timestamp overflow")
        }
        (Value::Span(_), Value::Time(_)) if name == "_+_" => arithmetic(name, other, one),
        (Value::Span(one), Value::Span(other)) => {
            let nanos = match name {
                "_+_" => one.nanos.checked_add(other.nanos),
                "_-_" => one.nanos.checked_sub(other.nanos),
                _ => return None,
            };
            checked(nanos, span, "duration overflow")
        }
        (Value::Text(one), Value::Text(other)) if name == "_+_" => Some(Ok(Value::text(format!("{one}{other}")))),
        (Value::Bytes(one), Value::Bytes(other)) if name == "_+_" => {
            Some(Ok(Value::Bytes([&**one, &**other].concat().into())))
        }
        (Value::List(one), Value::List(other)) if name == "_+_" => {
            Some(Ok(Value::list(one.items().chain(other.items()).collect())))
        }
        _ => None,
    }
}

/// How many there are in a value.
pub fn size(value: &Value<'_>) -> Option<usize> {
    Some(match value {
        Value::Text(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        _ => return None,
    })
}

fn conversion<'a>(name: &str, args: &[Value<'a>]) -> Found<'a> {
    let [of] = args else { return None };
    let named = |names: &str| names.split(' ').any(|known| known == name);
    if named("int uint double string bool bytes timestamp duration") && of.type_name().ends_with(name) {
        return Some(Ok(of.clone()));
    }
    match (name, of) {
        ("dyn", of) => Some(Ok(of.clone())),
        ("type", of) => Some(Ok(Value::Type(of.type_name()))),
        ("timestamp", Value::Time(_)) | ("duration", Value::Span(_)) => Some(Ok(of.clone())),
        ("int", Value::Uint(value)) => checked(i64::try_from(*value).ok(), Value::Int, "integer overflow"),
        ("int", Value::Double(value)) => {
            let fits = *value > i64::MIN as f64 && *value < i64::MAX as f64;
            checked(fits.then_some(*value as i64), Value::Int, "integer overflow")
        }
        ("int", Value::Text(text)) => {
            let why = format!("strconv.ParseInt: parsing {text:?}: invalid syntax");
            checked(text.parse().ok(), Value::Int, &why)
        }
        ("int", Value::Time(time)) => Some(Ok(Value::Int(time.as_second()))),
        ("int", Value::Span(span)) => Some(Ok(Value::Int(span.nanos))),
        ("uint", Value::Int(value)) => checked(u64::try_from(*value).ok(), Value::Uint, "unsigned integer overflow"),
        ("uint", Value::Double(value)) => {
            let fits = *value >= 0.0 && *value < u64::MAX as f64;
            checked(fits.then_some(*value as u64), Value::Uint, "unsigned integer overflow")
        }
        ("uint", Value::Text(text)) => {
            let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
            checked(text.parse().ok(), Value::Uint, &why)
        }
        ("double", Value::Int(value)) => Some(Ok(Value::Double(*value as f64))),
        ("double", Value::Uint(value)) => Some(Ok(Value::Double(*value as f64))),
        ("double", Value::Text(text)) => {
            let why = format!("strconv.ParseFloat: parsing {text:?}: invalid syntax");
            checked(text.parse().ok(), Value::Double, &why)
        }
        ("bool", Value::Text(text)) => Some(match &**text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
            _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
        }),
        ("bytes", Value::Text(text)) => Some(Ok(Value::Bytes(text.as_bytes().into()))),
        ("string", Value::Bytes(bytes)) => {
            let text = String::from_utf8(bytes.to_vec()).ok();
            checked(text, Value::text, "invalid UTF-8 in bytes, cannot convert to string")
        }
        ("string", Value::Kind(kind)) => kind.text().map(|text| Ok(Value::text(text))),
        ("string", Value::Span(span)) => Some(Ok(Value::text(format!("{}s", span.nanos as f64 / 1e9)))),
        ("string", Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Time(_)) => {
            Some(Ok(Value::text(of.shown())))
        }
        ("timestamp", Value::Int(second)) => {
            checked(Timestamp::from_second(*second).ok(), Value::Time, "timestamp overflow")
        }
        ("timestamp", Value::Text(text)) => {
            let why =
                format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\"");
            checked(text.parse().ok(), Value::Time, &why)
        }
        ("duration", Value::Int(nanos)) => Some(Ok(span(*nanos))),
        ("duration", Value::Text(text)) => Some(text.parse().map(Value::Span)),
        _ => None,
    }
}

fn of_time<'a>(name: &str, args: &[Value<'a>]) -> Found<'a> {
    if let [Value::Span(span)] = args {
        let unit = match name {
            "getHours" => 3_600_000_000_000,
            "getMinutes" => 60_000_000_000,
            "getSeconds" => 1_000_000_000,
            "getMilliseconds" => 1_000_000,
            _ => return None,
        };
        return Some(Ok(Value::Int(span.nanos / unit)));
    }
    let (time, zone) = match args {
        [Value::Time(time)] => (time, TimeZone::UTC),
        [Value::Time(time), Value::Text(zone)] => match TimeZone::get(zone) {
            Ok(zone) => (time, zone),
            Err(_) => return Some(Err(format!("unknown time zone {zone}"))),
        },
        _ => return None,
    };
    let at = time.to_zoned(zone);
    Some(Ok(Value::Int(match name {
        "getFullYear" => at.year().into(),
        "getMonth" => i64::from(at.month()) - 1,
        "getDate" => at.day().into(),
        "getDayOfMonth" => i64::from(at.day()) - 1,
        "getDayOfWeek" => at.weekday().to_sunday_zero_offset().into(),
        "getDayOfYear" => i64::from(at.day_of_year()) - 1,
        "getHours" => at.hour().into(),
        "getMinutes" => at.minute().into(),
        "getSeconds" => at.second().into(),
        "getMilliseconds" => at.millisecond().into(),
        _ => return None,
    })))
}

fn of_list<'a>(name: &str, args: &[Value<'a>]) -> Found<'a> {
    let flag = |flag: bool| Some(Ok(Value::Bool(flag)));
    let holds = |list: &List<'a>, item: &Value<'a>| list.items().any(|there| there.is(item));
    match (name, args) {
        ("sets.contains", [Value::List(list), Value::List(part)]) => flag(part.items().all(|item| holds(list, &item))),
        ("sets.equivalent", [Value::List(one), Value::List(other)]) => {
            flag(one.items().all(|item| holds(other, &item)) && other.items().all(|item| holds(one, &item)))
        }
        ("sets.intersects", [Value::List(one), Value::List(other)]) => {
            flag(one.items().any(|item| holds(other, &item)))
        }
        ("indexOf" | "lastIndexOf", [Value::List(list), item]) => {
            let mut found = list.items().enumerate().filter(|(_, there)| there.is(item)).map(|(index, _)| index as i64);
            let index = if name == "indexOf" { found.next() } else { found.last() };
            Some(Ok(Value::Int(index.unwrap_or(-1))))
        }
        ("isSorted", [Value::List(list)]) => {
            let items: Vec<Value<'a>> = list.items().collect();
            let mut orders = items.windows(2).map(|pair| pair[0].order(&pair[1]));
            Some(orders.try_fold(true, |so_far, order| Ok(so_far && order? != Ordering::Greater)).map(Value::Bool))
        }
        ("min" | "max", [Value::List(list)]) => {
            let wanted = if name == "min" { Ordering::Less } else { Ordering::Greater };
            let mut items = list.items();
            let Some(mut best) = items.next() else { return Some(Err(format!("{name} called on empty list"))) };
            for item in items {
                match item.order(&best) {
                    Ok(order) if order == wanted => best = item,
                    Ok(_) => {}
                    Err(why) => return Some(Err(why)),
                }
            }
            Some(Ok(best))
        }
        ("sum", [Value::List(list)]) => {
            let mut items = list.items();
            // Upstream begins with a zero of the list's type, which nothing tells here.
            let first = items.next().unwrap_or(Value::Int(0));
            Some(items.try_fold(first, |sum, item| arithmetic("_+_", &sum, &item).unwrap_or(Err(NO_OVERLOAD.into()))))
        }
        _ => None,
    }
}

fn optional<'a>(name: &str, args: &[Value<'a>]) -> Found<'a> {
    Some(Ok(match (name, args) {
        ("optional.of", [of]) => of.clone().some(),
        ("optional.ofNonZeroValue", [of]) if of.is_zero() => Value::Optional(None),
        ("optional.ofNonZeroValue", [of]) => of.clone().some(),
        ("optional.none", []) => Value::Optional(None),
        ("hasValue", [Value::Optional(of)]) => Value::Bool(of.is_some()),
        ("value", [Value::Optional(None)]) => return Some(Err("optional.none() dereference".into())),
        ("value", [Value::Optional(Some(of))]) | ("orValue", [Value::Optional(Some(of)), _]) => (**of).clone(),
        ("or", [Value::Optional(None), other]) | ("orValue", [Value::Optional(None), other]) => other.clone(),
        ("or", [there, _]) => there.clone(),
        _ => return None,
    }))
}

/// What stands at an index, or under a key.
///
/// # Errors
///
/// If nothing does.
pub fn index<'a>(of: &Value<'a>, index: &Value<'a>) -> Result<Value<'a>, Failure> {
    match of {
        Value::List(list) => {
            let at = match index {
                Value::Int(at) => *at,
                Value::Uint(at) => i64::try_from(*at).unwrap_or(i64::MAX),
                Value::Double(at) if at.fract() == 0.0 => *at as i64,
                other => return Err(format!("unsupported index type '{}' in list", other.type_name())),
            };
            let found = usize::try_from(at).ok().and_then(|at| list.get(at));
            found.ok_or_else(|| format!("index out of bounds: {at}"))
        }
        Value::Map(map) => map.get(index).ok_or_else(|| format!("no such key: {}", index.shown())),
        Value::Optional(None) => Ok(Value::Optional(None)),
        Value::Optional(Some(of)) => Ok(match self::index(of, index) {
            Ok(found) => found.some(),
            Err(_) => Value::Optional(None),
        }),
        _ => Err(format!("no such key: {}", index.shown())),
    }
}

/// Whether a value is there, for `has`.
pub fn has<'a>(of: &Value<'a>, field: &str) -> bool {
    match of {
        Value::Map(map) => map.get(&Value::text(field)).is_some(),
        Value::Optional(Some(of)) => has(of, field),
        _ => false,
    }
}

/// The entries of what a macro goes over: indexes or keys, and values.
///
/// # Errors
///
/// If it can't be gone over.
pub fn entries<'a>(range: &Value<'a>) -> Result<Vec<(Value<'a>, Value<'a>)>, Failure> {
    match range {
        Value::List(list) => {
            Ok(list.items().enumerate().map(|(index, item)| (Value::Int(index as i64), item)).collect())
        }
        Value::Map(Map::New(entries)) => Ok(entries.to_vec()),
        Value::Map(map) => Ok(map.entries()),
        other => Err(format!("got '{}', expected iterable type", other.type_name())),
    }
}
