//! Counts over what was found: `terms` and `date_histogram`, each inside of another
//! (<https://www.elastic.co/docs/reference/aggregations/>).

use super::date::{self, Interval};
use super::failure::Failure;
use crate::logs::{Hit, compare, field};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// So many buckets there are at most (`search.max_buckets`).
const MOST: usize = 65_536;
/// So deep aggregations may lie in each other.
const DEEPEST: usize = 10;

/// Aggregations by their names, each with those inside of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Aggregations(Vec<(String, Kind, Aggregations)>);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// The most frequent values, or the first ones.
    Terms { field: String, size: usize, by_key: bool, ascending: bool, least: u64 },
    /// Counts over time.
    Histogram { field: String, interval: Interval, least: u64 },
}

impl Aggregations {
    /// Reads `aggs`.
    ///
    /// # Errors
    ///
    /// What is wrong in it.
    pub fn parse(value: &Value) -> Result<Aggregations, Failure> {
        Aggregations::nested(value, 0)
    }

    fn nested(value: &Value, depth: usize) -> Result<Aggregations, Failure> {
        if depth > DEEPEST {
            return Err(Failure::argument("aggregations lie too deep in each other"));
        }
        let wrong = || Failure::parsing("Unexpected token in [aggs]: it is an object");
        let all = value.as_object().ok_or_else(wrong)?.iter().map(|(name, body)| {
            let wrong = || Failure::parsing(format!("Aggregation definition for [{name}] is no object"));
            let (mut kind, mut inside) = (None, Aggregations::default());
            for (key, body) in body.as_object().ok_or_else(wrong)? {
                match key.as_str() {
                    "aggs" | "aggregations" => inside = Aggregations::nested(body, depth + 1)?,
                    "meta" => {}
                    "terms" => kind = Some(terms(name, body)?),
                    "date_histogram" => kind = Some(histogram(name, body)?),
                    other => {
                        let why = format!("Unknown aggregation type [{other}]; there is terms, date_histogram");
                        return Err(Failure::parsing(why));
                    }
                }
            }
            let missing = || Failure::parsing(format!("Missing definition for aggregation [{name}]"));
            Ok((name.clone(), kind.ok_or_else(missing)?, inside))
        });
        all.collect::<Result<_, _>>().map(Aggregations)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts.
    ///
    /// # Errors
    ///
    /// If there would be too many buckets.
    pub fn count(&self, hits: &[Hit<'_>]) -> Result<Value, Failure> {
        let mut answer = Map::new();
        for (name, kind, inside) in &self.0 {
            answer.insert(name.clone(), kind.count(hits, inside)?);
        }
        Ok(Value::Object(answer))
    }
}

fn named(name: &str, body: &Value) -> Result<String, Failure> {
    let field = body.get("field").and_then(Value::as_str).map(str::to_string);
    field.ok_or_else(|| {
        Failure::argument(format!("Required one of fields [field, script], but none were specified in [{name}]"))
    })
}

fn terms(name: &str, body: &Value) -> Result<Kind, Failure> {
    let number = |key: &str, other| body.get(key).and_then(Value::as_u64).unwrap_or(other);
    let order = body.get("order").and_then(Value::as_object).and_then(|order| order.iter().next());
    let (by_key, ascending) = match order.map(|(by, way)| (by.as_str(), way.as_str() == Some("asc"))) {
        None => (false, false),
        Some((by @ ("_key" | "_count"), ascending)) => (by == "_key", ascending),
        Some((other, _)) => {
            return Err(Failure::argument(format!("terms are ordered by [_key] or [_count], and not [{other}]")));
        }
    };
    let size = usize::try_from(number("size", 10)).unwrap_or(usize::MAX);
    Ok(Kind::Terms { field: named(name, body)?, size, by_key, ascending, least: number("min_doc_count", 1) })
}

fn histogram(name: &str, body: &Value) -> Result<Kind, Failure> {
    let text = |key| body.get(key).and_then(Value::as_str);
    let interval = match (text("fixed_interval"), text("calendar_interval")) {
        (Some(fixed), None) => Interval::fixed(fixed).ok_or(("fixed_interval", fixed)),
        (None, Some(calendar)) => Interval::calendar(calendar).ok_or(("calendar_interval", calendar)),
        _ => {
            return Err(Failure::argument(
                "Invalid interval specified, must be non-null and non-empty: one of [fixed_interval, calendar_interval]",
            ));
        }
    };
    let wrong =
        |(key, value)| Failure::argument(format!("The supplied interval [{value}] could not be parsed as a {key}."));
    let least = body.get("min_doc_count").and_then(Value::as_u64).unwrap_or(0);
    Ok(Kind::Histogram { field: named(name, body)?, interval: interval.map_err(wrong)?, least })
}

impl Kind {
    fn count(&self, hits: &[Hit<'_>], inside: &Aggregations) -> Result<Value, Failure> {
        let bucket = |key: Value, shown: Option<String>, hits: &[Hit<'_>]| -> Result<Value, Failure> {
            let mut bucket = Map::from_iter([("key".to_string(), key)]);
            shown.map(|shown| bucket.insert("key_as_string".into(), shown.into()));
            bucket.insert("doc_count".into(), hits.len().into());
            if let (false, Value::Object(more)) = (inside.is_empty(), inside.count(hits)?) {
                bucket.extend(more);
            }
            Ok(Value::Object(bucket))
        };
        match self {
            Kind::Terms { field: path, size, by_key, ascending, least } => {
                let mut groups: BTreeMap<String, (&Value, Vec<Hit<'_>>)> = BTreeMap::new();
                for hit in hits {
                    for value in field(&hit.stored.source, path).into_iter().filter(|value| is_key(value)) {
                        let (_, those) = groups.entry(value.to_string()).or_insert((value, Vec::new()));
                        // A document counts once, whatever it says twice.
                        if those.last().is_none_or(|last| !std::ptr::eq(last.stored, hit.stored)) {
                            those.push(*hit);
                        }
                    }
                }
                let mut groups: Vec<_> = groups.into_values().filter(|(_, hits)| hits.len() as u64 >= *least).collect();
                groups.sort_by(|(one, _), (other, _)| compare(one, other));
                match (by_key, ascending) {
                    (true, true) => {}
                    (true, false) => groups.reverse(),
                    (false, true) => groups.sort_by_key(|(_, hits)| hits.len()),
                    (false, false) => groups.sort_by_key(|(_, hits)| std::cmp::Reverse(hits.len())),
                }
                let others: usize = groups.iter().skip(*size).map(|(_, hits)| hits.len()).sum();
                let buckets = groups.into_iter().take(*size).map(|(value, hits)| match value.as_bool() {
                    // Yes and no are numbers to Lucene.
                    Some(yes) => bucket(u8::from(yes).into(), Some(yes.to_string()), &hits),
                    None => bucket(value.clone(), None, &hits),
                });
                let buckets: Vec<Value> = buckets.collect::<Result<_, _>>()?;
                Ok(json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": others, "buckets": buckets}))
            }
            Kind::Histogram { field: path, interval, least } => {
                let mut groups: BTreeMap<i64, Vec<Hit<'_>>> = BTreeMap::new();
                for hit in hits {
                    let dates = field(&hit.stored.source, path).into_iter();
                    let dates = dates.filter_map(|value| value.as_i64().or_else(|| date::parse(value.as_str()?)));
                    let mut begins: Vec<i64> = dates.filter_map(|date| interval.begin(date)).collect();
                    begins.dedup();
                    begins.into_iter().for_each(|begin| groups.entry(begin).or_default().push(*hit));
                }
                let (mut at, last) = (groups.keys().next().copied(), groups.keys().next_back().copied());
                let mut buckets = Vec::new();
                while let Some(begin) = at.filter(|begin| Some(*begin) <= last) {
                    let hits = groups.get(&begin).map_or(&[][..], Vec::as_slice);
                    if hits.len() as u64 >= *least {
                        buckets.push(bucket(begin.into(), Some(date::shown(begin)), hits)?);
                    }
                    if buckets.len() > MOST {
                        let why = format!("Trying to create too many buckets. Must be less than or equal to: [{MOST}]");
                        return Err(Failure::new(400, "too_many_buckets_exception", why));
                    }
                    // Without empty ones between them the next is the next that has anything.
                    at = match least {
                        0 => interval.next(begin),
                        _ => groups.range(begin + 1..).next().map(|(begin, _)| *begin),
                    };
                }
                Ok(json!({"buckets": buckets}))
            }
        }
    }
}

/// Whether a value can be counted.
fn is_key(value: &Value) -> bool {
    value.is_string() || value.is_number() || value.is_boolean()
}
