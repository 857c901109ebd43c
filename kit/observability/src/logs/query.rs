//! Which documents are wanted.

use super::index::Document;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// Which documents are wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// All of them (`match_all`).
    All,
    /// A field has exactly this value (`term`). Numbers and texts that look alike are equal, as a mapping would make them.
    Term(String, Value),
    /// A field has one of these words, or all of them (`match`); big and small letters are alike.
    Match {
        /// The field; none for all fields.
        field: Option<String>,
        /// What is looked for.
        text: String,
        /// Whether all words must be there (`operator: and`).
        all: bool,
    },
    /// A field has these words one after the other (`match_phrase`).
    Phrase {
        /// The field; none for all fields.
        field: Option<String>,
        /// What is looked for.
        text: String,
        /// Whether the last word may go on (`match_phrase_prefix`).
        open: bool,
    },
    /// A field has this form, or a word of it has: `*` is anything, `?` one character (`wildcard`, `prefix`).
    Wildcard {
        /// The field; none for all fields.
        field: Option<String>,
        /// The form.
        form: String,
    },
    /// A field lies between two values (`range`).
    Range(String, Box<Range>),
    /// A field is there (`exists`).
    Exists(String),
    /// One of these `_id`s (`ids`).
    Ids(Vec<String>),
    /// What comes of other queries (`bool`).
    Bool(Bool),
}

/// The ends of a range. Times are compared as times, numbers as numbers, anything else as text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Range {
    /// Greater than.
    pub gt: Option<Value>,
    /// Greater than or equal to.
    pub gte: Option<Value>,
    /// Less than.
    pub lt: Option<Value>,
    /// Less than or equal to.
    pub lte: Option<Value>,
}

/// Queries together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bool {
    /// All of them fit (`must` and `filter`).
    pub must: Vec<Query>,
    /// Some of them fit: at least `minimum_should_match`.
    pub should: Vec<Query>,
    /// None of them fits.
    pub must_not: Vec<Query>,
    /// How many of `should`; if nothing is said, one, or none if there is a `must`.
    pub minimum_should_match: Option<usize>,
}

impl Query {
    /// Whether a document fits.
    pub fn fits(&self, id: &str, source: &Document) -> bool {
        match self {
            Query::All => true,
            Query::Term(name, value) => field(source, name).into_iter().any(|has| same(has, value)),
            Query::Match { field: name, text, all } => {
                let values = values(source, name.as_deref());
                let there: Vec<String> = values.into_iter().flat_map(words_of).collect();
                let mut wanted = words(text).peekable();
                let has = |word: String| there.contains(&word);
                wanted.peek().is_some() && if *all { wanted.all(has) } else { wanted.any(has) }
            }
            Query::Phrase { field: name, text, open } => {
                let wanted: Vec<String> = words(text).collect();
                let is_there = |value| {
                    let there: Vec<String> = words_of(value).collect();
                    there.windows(wanted.len().max(1)).any(|there| is_phrase(there, &wanted, *open))
                };
                values(source, name.as_deref()).into_iter().any(is_there)
            }
            Query::Wildcard { field: name, form } => values(source, name.as_deref()).into_iter().any(|value| {
                is_like(form, &plain(value)) || words_of(value).any(|word| is_like(&form.to_lowercase(), &word))
            }),
            Query::Range(name, range) => field(source, name).into_iter().any(|value| range.holds(value)),
            Query::Exists(name) => field(source, name).into_iter().any(|value| !value.is_null()),
            Query::Ids(ids) => ids.iter().any(|wanted| wanted == id),
            Query::Bool(of) => {
                let least = of.minimum_should_match;
                let least = least.unwrap_or(usize::from(of.must.is_empty() && !of.should.is_empty()));
                of.must.iter().all(|query| query.fits(id, source))
                    && !of.must_not.iter().any(|query| query.fits(id, source))
                    && of.should.iter().filter(|query| query.fits(id, source)).count() >= least
            }
        }
    }
}

impl Range {
    fn holds(&self, value: &Value) -> bool {
        let all = [
            (&self.gt, [Ordering::Greater].as_slice()),
            (&self.gte, &[Ordering::Greater, Ordering::Equal]),
            (&self.lt, &[Ordering::Less]),
            (&self.lte, &[Ordering::Less, Ordering::Equal]),
        ];
        all.into_iter().all(|(end, good)| end.as_ref().is_none_or(|end| good.contains(&compare(value, end))))
    }
}

/// All values of a field, by its path.
pub fn field<'a>(source: &'a Document, name: &str) -> Vec<&'a Value> {
    let found = in_map(source, name);
    match name.strip_suffix(".keyword") {
        Some(bare) if found.is_empty() => in_map(source, bare),
        _ => found,
    }
}

fn in_map<'a>(map: &'a Map<String, Value>, path: &str) -> Vec<&'a Value> {
    if let Some(value) = map.get(path) {
        return each(value);
    }
    // A key may have dots itself.
    let ends = path.match_indices('.').map(|(at, _)| at);
    ends.flat_map(|at| map.get(&path[..at]).into_iter().flat_map(each).map(move |value| (value, &path[at + 1..])))
        .flat_map(|(value, rest)| value.as_object().map(|map| in_map(map, rest)).unwrap_or_default())
        .collect()
}

fn each(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(all) => all.iter().flat_map(each).collect(),
        one => vec![one],
    }
}

/// The words of a text, in small letters: what stands between anything that is no letter, no digit and no `_`.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let parts = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    parts.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

fn words_of(value: &Value) -> impl Iterator<Item = String> {
    words(&plain(value)).collect::<Vec<_>>().into_iter()
}

/// All values of a field, or of all fields.
fn values<'a>(source: &'a Document, name: Option<&str>) -> Vec<&'a Value> {
    match name {
        Some(name) => field(source, name),
        None => source.values().flat_map(leaves).collect(),
    }
}

fn leaves(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(map) => map.values().flat_map(leaves).collect(),
        Value::Array(all) => all.iter().flat_map(leaves).collect(),
        one => vec![one],
    }
}

fn is_phrase(there: &[String], wanted: &[String], open: bool) -> bool {
    let Some(((last, first), (end, begin))) = wanted.split_last().zip(there.split_last()) else { return false };
    begin == first && (end == last || open && end.starts_with(last.as_str()))
}

/// Whether a text has a form: `*` is anything, `?` one character.
pub fn is_like(form: &str, text: &str) -> bool {
    let (form, text): (Vec<char>, Vec<char>) = (form.chars().collect(), text.chars().collect());
    // Where the last `*` stands, and where what comes after it began to be tried.
    let (mut at, mut place, mut star) = (0, 0, None);
    while let Some(letter) = text.get(place) {
        match form.get(at) {
            Some('*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(c) if *c == '?' || c == letter => (at, place) = (at + 1, place + 1),
            _ => {
                let Some((of, tried)) = &mut star else { return false };
                *tried += 1;
                (at, place) = (*of + 1, *tried);
            }
        }
    }
    form[at..].iter().all(|c| *c == '*')
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

fn same(one: &Value, other: &Value) -> bool {
    plain(one) == plain(other) || matches!((number(one), number(other)), (Some(one), Some(other)) if one == other)
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// Which of two values comes first.
pub fn compare(one: &Value, other: &Value) -> Ordering {
    let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    if let (Some(one), Some(other)) = (time(one), time(other)) {
        return one.cmp(&other);
    }
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        _ => plain(one).cmp(&plain(other)),
    }
}
