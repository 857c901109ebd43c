//! Logs of a cluster at the place where they are searched.
//!
//! An agent on each node ships documents (`kit_contract::observability::logs`); an [`Index`] keeps them. It is a small part of
//! what Elasticsearch does, as a plain struct without input or output: whoever serves it over HTTP turns `_bulk` into
//! [`Index::put`] and [`Index::create`], and the query language into a [`Query`].
//!
//! - A document is a JSON object with an `_id`. The same `_id` again is the same document: it is replaced, its version
//!   goes up, and there is still one. That is what makes it harmless to ship something twice.
//! - A field is named by its path: `kubernetes.pod_name`. A key may have dots itself, as labels do
//!   (`kubernetes.labels.app.kubernetes.io/name`). If there is a list on the way, any of its elements will do. The ending
//!   `.keyword` of a name is left out if there is no such field: there is no mapping here, and each value is both, text and keyword.
//! - There are no scores: hits come in the order that was asked for, and otherwise the oldest first, by [`TIME`]
//!   and then in the order in which they came.
//!
//! Source: the reference of Elasticsearch 8 (Query DSL: `term`, `match`, `match_phrase`, `range`, `exists`, `bool`; `sort`; `_bulk`).

mod index;
mod query;

pub use index::{Document, Hit, Hits, Index, Order, Put, Search, Stored, TIME};
pub use query::{Bool, Query, Range, compare, field, is_like, words};
