//! The documents of an index, and how they are searched.

use super::query::{self, Query, field};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A document, without its `_id`.
pub type Document = Map<String, Value>;

/// The field by which hits are sorted unless something else is asked for.
pub const TIME: &str = "@timestamp";

/// A document that is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// What it says.
    pub source: Document,
    /// How often it was written (`_version`).
    pub version: u64,
    /// The number of the write that it is from (`_seq_no`): later writes have greater ones.
    pub seq_no: u64,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// There was none with this `_id` (201).
    Created,
    /// It took the place of another one (200).
    Updated,
    /// There is one already, and only a new one was wanted (409).
    Conflict,
}

/// All documents.
#[derive(Debug, Clone, Default)]
pub struct Index {
    documents: BTreeMap<String, Stored>,
    writes: u64,
}

/// Which way to sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The smallest first.
    Ascending,
    /// The largest first.
    Descending,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// Which documents.
    pub query: Query,
    /// By which fields they are sorted. What lacks a field comes last.
    pub sort: Vec<(String, Order)>,
    /// How many hits are left out at the beginning.
    pub from: usize,
    /// How many are shown at most.
    pub size: usize,
}

impl Default for Search {
    /// The first ten of all.
    fn default() -> Self {
        Search { query: Query::All, sort: Vec::new(), from: 0, size: 10 }
    }
}

/// A document that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit<'a> {
    /// Its `_id`.
    pub id: &'a str,
    /// The document.
    pub stored: &'a Stored,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hits<'a> {
    /// How many there are, shown or not.
    pub total: usize,
    /// Those that were asked for.
    pub hits: Vec<Hit<'a>>,
}

impl Index {
    /// Writes a document, whether there is one with this `_id` or not (`index` of `_bulk`).
    pub fn put(&mut self, id: &str, source: Document) -> Put {
        let seq_no = self.writes;
        self.writes += 1;
        match self.documents.get_mut(id) {
            Some(stored) => {
                *stored = Stored { source, version: stored.version + 1, seq_no };
                Put::Updated
            }
            None => {
                self.documents.insert(id.into(), Stored { source, version: 1, seq_no });
                Put::Created
            }
        }
    }

    /// Writes a document if there is none with this `_id` (`create` of `_bulk`).
    pub fn create(&mut self, id: &str, source: Document) -> Put {
        if self.documents.contains_key(id) { Put::Conflict } else { self.put(id, source) }
    }

    /// The document with this `_id`.
    pub fn get(&self, id: &str) -> Option<&Stored> {
        self.documents.get(id)
    }

    /// Removes the document with this `_id`; `false` if there is none.
    pub fn delete(&mut self, id: &str) -> bool {
        self.documents.remove(id).is_some()
    }

    /// How many documents there are.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// All documents that fit, by `_id`: for counts and aggregations.
    pub fn matching<'a>(&'a self, query: &'a Query) -> impl Iterator<Item = Hit<'a>> {
        let all = self.documents.iter().map(|(id, stored)| Hit { id, stored });
        all.filter(|hit| query.fits(hit.id, &hit.stored.source))
    }

    /// Searches.
    pub fn search<'a>(&'a self, search: &'a Search) -> Hits<'a> {
        let mut hits: Vec<Hit<'a>> = self.matching(&search.query).collect();
        hits.sort_by(|one, other| search.compare(one, other));
        Hits { total: hits.len(), hits: hits.into_iter().skip(search.from).take(search.size).collect() }
    }
}

impl Search {
    /// Which of two documents comes first.
    pub fn compare(&self, one: &Hit<'_>, other: &Hit<'_>) -> Ordering {
        let usual = [(TIME.to_string(), Order::Ascending)];
        let sort = if self.sort.is_empty() { &usual[..] } else { &self.sort };
        let by_fields = sort.iter().map(|(name, order)| by(one, other, name, *order));
        by_fields.fold(Ordering::Equal, Ordering::then).then(one.stored.seq_no.cmp(&other.stored.seq_no))
    }
}

fn by(one: &Hit<'_>, other: &Hit<'_>, name: &str, order: Order) -> Ordering {
    let value = |hit: &Hit<'_>| field(&hit.stored.source, name).first().map(|value| (*value).clone());
    match (value(one), value(other)) {
        (None, None) => Ordering::Equal,
        (None, _) => Ordering::Greater,
        (_, None) => Ordering::Less,
        (Some(one), Some(other)) => {
            let ascending = query::compare(&one, &other);
            if order == Order::Descending { ascending.reverse() } else { ascending }
        }
    }
}
