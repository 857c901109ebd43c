//! What is searched for: the query language of `_search`, read into a [`Query`] of the index
//! (<https://www.elastic.co/docs/reference/query-languages/querydsl>), as far as logs need it.

use super::failure::Failure;
use super::{date, query_string};
use crate::logs::{Bool, Query, Range};
use serde_json::{Map, Value};

/// So deep queries may lie in each other (`indices.query.bool.max_nested_depth`).
const DEEPEST: usize = 30;

/// Reads a query.
///
/// # Errors
///
/// What is wrong in it.
pub fn parse(query: &Value, now: i64) -> Result<Query, Failure> {
    nested(query, now, 0)
}

fn nested(query: &Value, now: i64, depth: usize) -> Result<Query, Failure> {
    if depth > DEEPEST {
        return Err(Failure::argument(format!(
            "The nested depth of the query exceeds the maximum nested depth for bool queries set in [{}]",
            "indices.query.bool.max_nested_depth"
        )));
    }
    let clause = query.as_object().filter(|clause| !clause.is_empty());
    let clause = clause.ok_or_else(|| Failure::argument("query malformed, empty clause found"))?;
    let mut kinds = clause.iter();
    let (kind, body) = kinds.next().ok_or_else(|| Failure::argument("query malformed, empty clause found"))?;
    if let Some((next, _)) = kinds.next() {
        let why = format!("[{kind}] malformed query, expected [END_OBJECT] but found [FIELD_NAME] [{next}]");
        return Err(Failure::parsing(why));
    }
    let malformed = || Failure::parsing(format!("[{kind}] query malformed, no start_object after query name"));
    let object = body.as_object().ok_or_else(malformed);
    match kind.as_str() {
        "match_all" => Ok(Query::All),
        "match_none" => Ok(Query::Ids(Vec::new())),
        "bool" => boolean(object?, now, depth),
        "exists" => {
            let field = object?.get("field").and_then(Value::as_str);
            let field = field.ok_or_else(|| Failure::parsing("[exists] must be provided with a [field]"))?;
            Ok(Query::Exists(field.into()))
        }
        "ids" => {
            let values = object?.get("values").and_then(Value::as_array).into_iter().flatten();
            Ok(Query::Ids(values.filter_map(Value::as_str).map(str::to_string).collect()))
        }
        "query_string" | "simple_query_string" => query_string::query(object?, now),
        "multi_match" => {
            let object = object?;
            let fields = object.get("fields").and_then(Value::as_array).into_iter().flatten();
            let fields =
                fields.filter_map(Value::as_str).map(|field| Some(field.to_string()).filter(|field| field != "*"));
            let text = plain(object.get("query").unwrap_or(&Value::Null));
            let all = is_and(object, kind)?;
            let query = |field| Query::Match { field, text: text.clone(), all };
            let fields: Vec<Query> = fields.map(query).collect();
            Ok(if fields.is_empty() { query(None) } else { any_of(fields) })
        }
        "terms" => {
            let (field, values) = one(object?.iter().filter(|(name, _)| *name != "boost"), kind)?;
            let why = || Failure::parsing("[terms] query requires an array of values");
            let values = values.as_array().ok_or_else(why)?;
            Ok(any_of(values.iter().map(|value| Query::Term(field.clone(), value.clone())).collect()))
        }
        "term" | "match" | "match_phrase" | "match_phrase_prefix" | "prefix" | "wildcard" | "range" => {
            let (field, body) = one(object?.iter(), kind)?;
            about(kind, field, body, now)
        }
        _ => Err(Failure::parsing(format!("unknown query [{kind}]"))),
    }
}

/// A query about one field names one field.
fn one<'a>(
    mut fields: impl Iterator<Item = (&'a String, &'a Value)>,
    kind: &str,
) -> Result<(&'a String, &'a Value), Failure> {
    let first = fields.next().ok_or_else(|| Failure::argument("field name is null or empty"))?;
    match fields.next() {
        None => Ok(first),
        Some((second, _)) => Err(Failure::parsing(format!(
            "[{kind}] query doesn't support multiple fields, found [{}] and [{second}]",
            first.0
        ))),
    }
}

fn about(kind: &str, field: &str, body: &Value, now: i64) -> Result<Query, Failure> {
    let none = Map::new();
    let options = body.as_object().unwrap_or(&none);
    // The short form has the value alone.
    let value = |name: &str| {
        let value = if body.is_object() { options.get(name) } else { Some(body) };
        value.ok_or_else(|| Failure::argument(format!("[{kind}] requires a value for field [{field}]")))
    };
    let name = Some(field.to_string());
    Ok(match kind {
        "match" => Query::Match { field: name, text: plain(value("query")?), all: is_and(options, kind)? },
        "match_phrase" => Query::Phrase { field: name, text: plain(value("query")?), open: false },
        "match_phrase_prefix" => Query::Phrase { field: name, text: plain(value("query")?), open: true },
        "term" => Query::Term(field.into(), value("value")?.clone()),
        "prefix" => Query::Wildcard { field: name, form: format!("{}*", plain(value("value")?)) },
        "wildcard" => {
            let form = value("value").or_else(|missing| options.get("wildcard").ok_or(missing))?;
            Query::Wildcard { field: name, form: plain(form) }
        }
        _ => Query::Range(field.into(), Box::new(range(options, now)?)),
    })
}

fn is_and(options: &Map<String, Value>, kind: &str) -> Result<bool, Failure> {
    match options.get("operator") {
        None => Ok(false),
        Some(Value::String(operator)) if operator.eq_ignore_ascii_case("and") => Ok(true),
        Some(Value::String(operator)) if operator.eq_ignore_ascii_case("or") => Ok(false),
        Some(other) => {
            Err(Failure::argument(format!("[{kind}] operator needs to be either and or or, but not [{other}]")))
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

fn range(options: &Map<String, Value>, now: i64) -> Result<Range, Failure> {
    let mut range = Range::default();
    for (name, value) in options {
        match name.as_str() {
            "gt" => range.gt = bound(value, now, true),
            "gte" => range.gte = bound(value, now, false),
            "lt" => range.lt = bound(value, now, false),
            "lte" => range.lte = bound(value, now, true),
            "format" | "time_zone" | "boost" | "relation" => {}
            other => return Err(Failure::parsing(format!("[range] query does not support [{other}]"))),
        }
    }
    Ok(range)
}

/// The bound of a range. A date is computed now; of one that says less than it could, such as a day, `gt` and `lte` mean the last
/// moment, and `gte` and `lt` the first.
pub(super) fn bound(value: &Value, now: i64, up: bool) -> Option<Value> {
    let date = value.as_str().and_then(|text| date::computed(text, now, up));
    let value = date.map_or_else(|| value.clone(), |millis| date::shown(millis).into());
    (!value.is_null()).then_some(value)
}

fn boolean(body: &Map<String, Value>, now: i64, depth: usize) -> Result<Query, Failure> {
    let (mut must, mut must_not, mut should, mut least) = (Vec::new(), Vec::new(), Vec::new(), None);
    for (name, value) in body {
        let clauses = || -> Result<Vec<Query>, Failure> {
            let one = std::slice::from_ref(value);
            value.as_array().map_or(one, Vec::as_slice).iter().map(|query| nested(query, now, depth + 1)).collect()
        };
        match name.as_str() {
            "must" | "filter" => must.extend(clauses()?),
            "must_not" => must_not.extend(clauses()?),
            "should" => should.extend(clauses()?),
            "minimum_should_match" => {
                let count = value.as_u64().or_else(|| value.as_str()?.parse().ok());
                let wrong = || Failure::argument(format!("[minimum_should_match] is a number here, and not [{value}]"));
                least = Some(usize::try_from(count.ok_or_else(wrong)?).unwrap_or(usize::MAX));
            }
            "boost" | "_name" => {}
            other => return Err(Failure::parsing(format!("[bool] query does not support [{other}]"))),
        }
    }
    Ok(Query::Bool(Bool { must, should, must_not, minimum_should_match: least }))
}

/// One of these, at least.
fn any_of(should: Vec<Query>) -> Query {
    Query::Bool(Bool { should, minimum_should_match: Some(1), ..Bool::default() })
}
