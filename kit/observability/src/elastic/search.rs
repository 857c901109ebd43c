//! `_search` and `_count`: what is asked, and how hits are shown.

use super::aggregation::Aggregations;
use super::failure::Failure;
use super::{Elastic, Request, date, query, query_string, shards};
use crate::logs::{Document, Hit, Order, Query, Search, field, is_like};
use serde_json::{Map, Value, json};

/// So far hits can be looked at (`index.max_result_window`).
const WINDOW: usize = 10_000;

/// What somebody asks.
struct Asked {
    search: Search,
    /// What of a document is shown; none for all of it, and nothing for nothing.
    source: Option<Source>,
    aggregations: Aggregations,
}

/// Which fields of a document are shown.
#[derive(Debug, Default)]
struct Source {
    includes: Vec<String>,
    excludes: Vec<String>,
    nothing: bool,
}

impl Elastic {
    /// Answers `_search`.
    ///
    /// # Errors
    ///
    /// If there is no such index, or what is asked makes no sense.
    pub(super) fn search(&self, expression: &str, request: &Request<'_>, now: i64) -> Result<Value, Failure> {
        let Asked { search, source, aggregations } = Asked::read(request, now)?;
        let names = self.named(expression, request)?;
        let mut hits: Vec<(&str, Hit<'_>)> = self.matching(&names, &search.query).collect();
        let counted = match aggregations.is_empty() {
            true => None,
            false => Some(aggregations.count(&hits.iter().map(|(_, hit)| *hit).collect::<Vec<_>>())?),
        };
        hits.sort_by(|(_, one), (_, other)| search.compare(one, other));
        let total = hits.len();
        let sorted = !search.sort.is_empty();
        let shown = hits.into_iter().skip(search.from).take(search.size).map(|(index, hit)| {
            let mut shown = Map::from_iter([("_index".into(), json!(index)), ("_id".into(), json!(hit.id))]);
            shown.insert("_score".into(), if sorted { Value::Null } else { json!(1.0) });
            if source.as_ref().is_none_or(|source| !source.nothing) {
                let all = || hit.stored.source.clone();
                shown.insert(
                    "_source".into(),
                    source.as_ref().map_or_else(all, |source| source.of(&hit.stored.source, "")).into(),
                );
            }
            if sorted {
                let keys = search.sort.iter().map(|(name, _)| key(&hit, name));
                shown.insert("sort".into(), keys.collect());
            }
            Value::Object(shown)
        });
        let shown: Vec<Value> = shown.collect();
        let score = if sorted || shown.is_empty() { Value::Null } else { json!(1.0) };
        let mut answer = json!({
            "took": 0, "timed_out": false, "_shards": shards(names.len()),
            "hits": {"total": {"value": total, "relation": "eq"}, "max_score": score, "hits": shown},
        });
        if let Some(counted) = counted {
            answer["aggregations"] = counted;
        }
        Ok(answer)
    }

    /// Answers `_count`.
    ///
    /// # Errors
    ///
    /// As [`search`](Elastic::search).
    pub(super) fn count(&self, expression: &str, request: &Request<'_>, now: i64) -> Result<Value, Failure> {
        let asked = Asked::read(request, now)?;
        let names = self.named(expression, request)?;
        Ok(json!({"count": self.matching(&names, &asked.search.query).count(), "_shards": shards(names.len())}))
    }

    fn matching<'a>(&'a self, names: &[&'a str], query: &'a Query) -> impl Iterator<Item = (&'a str, Hit<'a>)> {
        let indices = names.iter().filter_map(|name| Some((*name, self.indices.get(*name)?)));
        let indices: Vec<_> = indices.collect();
        indices.into_iter().flat_map(move |(name, index)| index.matching(query).map(move |hit| (name, hit)))
    }
}

/// What a hit is sorted by, as it is shown: a date as its milliseconds.
fn key(hit: &Hit<'_>, name: &str) -> Value {
    let values = field(&hit.stored.source, name);
    let Some(value) = values.first() else { return Value::Null };
    value.as_str().and_then(date::parse).map_or_else(|| (*value).clone(), Value::from)
}

impl Asked {
    fn read(request: &Request<'_>, now: i64) -> Result<Asked, Failure> {
        let mut asked = Asked { search: Search::default(), source: None, aggregations: Aggregations::default() };
        if !request.body.trim_ascii().is_empty() {
            let body: Value = serde_json::from_slice(request.body).map_err(|why| {
                Failure::new(400, "x_content_parse_exception", format!("[{}:{}] {why}", why.line(), why.column()))
            })?;
            let body =
                body.as_object().ok_or_else(|| Failure::parsing("Expected [START_OBJECT] but found something else"))?;
            for (name, value) in body {
                asked.take(name, value, now)?;
            }
        }
        let typed = |name: &str| request.parameter(name);
        if let Some(text) = typed("q") {
            let all = typed("default_operator").is_some_and(|operator| operator.eq_ignore_ascii_case("and"));
            asked.search.query = query_string::read(text, typed("df"), all, now)?;
        }
        for name in ["size", "from"] {
            let Some(text) = typed(name) else { continue };
            let number: i64 = text.parse().map_err(|_| {
                Failure::argument(format!("Failed to parse int parameter [{name}] with value [{text}]"))
            })?;
            asked.take(name, &number.into(), now)?;
        }
        if let Some(sort) = typed("sort") {
            let fields = sort.split(',').map(|part| match part.split_once(':') {
                Some((name, way)) => json!({name: way}),
                None => json!(part),
            });
            asked.take("sort", &fields.collect(), now)?;
        }
        if let Some(source) = typed("_source").or_else(|| typed("_source_includes")) {
            let fields = source.split(',').map(Value::from).collect::<Vec<_>>();
            let plain = match source {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => Value::Array(fields),
            };
            asked.take("_source", &plain, now)?;
        }
        let Search { from, size, .. } = asked.search;
        if from.saturating_add(size) > WINDOW {
            return Err(Failure::argument(format!(
                "Result window is too large, from + size must be less than or equal to: [{WINDOW}] but was [{}].",
                from.saturating_add(size)
            )));
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, value: &Value, now: i64) -> Result<(), Failure> {
        let number = || {
            let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
            number.ok_or_else(|| Failure::argument(format!("[{name}] parameter cannot be negative, found [{value}]")))
        };
        match name {
            "query" => self.search.query = query::parse(value, now)?,
            "size" => self.search.size = number()?,
            "from" => self.search.from = number()?,
            "sort" => {
                let one = std::slice::from_ref(value);
                let all = value.as_array().map_or(one, Vec::as_slice).iter().map(sort_by);
                self.search.sort = all.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
            }
            "_source" => self.source = Source::read(value),
            "aggs" | "aggregations" => self.aggregations = Aggregations::parse(value)?,
            // They change how fast an answer comes, or how much of its head is there.
            "track_total_hits" | "timeout" | "track_scores" | "version" | "seq_no_primary_term" => {}
            other => return Err(Failure::parsing(format!("unknown field [{other}] in the body of a search"))),
        }
        Ok(())
    }
}

/// `"@timestamp"`, `{"@timestamp": "desc"}` or `{"@timestamp": {"order": "desc"}}`; none for the order of arrival.
fn sort_by(value: &Value) -> Result<Option<(String, Order)>, Failure> {
    let wrong = || {
        Failure::argument(format!(
            "malformed sort format, within the sort array, an object, or an actual string are allowed: {value}"
        ))
    };
    let (name, way) = match value {
        Value::String(name) => (name.as_str(), None),
        Value::Object(object) => {
            let (name, way) = object.iter().next().ok_or_else(wrong)?;
            let way = way.as_str().or_else(|| way.get("order").and_then(Value::as_str));
            (name.as_str(), way)
        }
        _ => return Err(wrong()),
    };
    let order = match way {
        Some("desc") => Order::Descending,
        Some("asc") | None => Order::Ascending,
        Some(other) => return Err(Failure::argument(format!("Unknown SortOrder [{other}]"))),
    };
    // Nothing is scored, and documents lie in the order in which they came.
    Ok((!["_score", "_doc"].contains(&name)).then(|| (name.to_string(), order)))
}

impl Source {
    /// None for all of it.
    fn read(value: &Value) -> Option<Source> {
        let list = |value: Option<&Value>| match value {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_string).collect(),
            _ => Vec::new(),
        };
        match value {
            Value::Bool(true) => None,
            Value::Bool(false) => Some(Source { nothing: true, ..Source::default() }),
            Value::Object(of) => {
                let (includes, excludes) =
                    (of.get("includes").or(of.get("include")), of.get("excludes").or(of.get("exclude")));
                Some(Source { includes: list(includes), excludes: list(excludes), nothing: false })
            }
            value => Some(Source { includes: list(Some(value)), ..Source::default() }),
        }
    }

    /// The part of an object that is shown. `place` is where it lies, with a dot at its end.
    fn of(&self, object: &Document, place: &str) -> Document {
        let named = |forms: &[String], path: &str| {
            forms.iter().any(|form| is_like(form, path) || is_like(&format!("{form}.*"), path))
        };
        let mut shown = Document::new();
        for (name, value) in object {
            let path = format!("{place}{name}");
            if named(&self.excludes, &path) {
                continue;
            }
            match value {
                Value::Object(inside) => {
                    let inside = self.of(inside, &format!("{path}."));
                    if !inside.is_empty() {
                        shown.insert(name.clone(), inside.into());
                    }
                }
                value if self.includes.is_empty() || named(&self.includes, &path) => {
                    shown.insert(name.clone(), value.clone());
                }
                _ => {}
            }
        }
        shown
    }
}
