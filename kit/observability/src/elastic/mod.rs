//! An index of logs as Elasticsearch serves it, for as much of its API as shippers and people who search logs need.
//!
//! [`Elastic`] answers requests that somebody else has read from HTTP: `GET /`, `_bulk`, `_doc`, `_search`, `_count`,
//! `_cat/indices`, `_cluster/health`. Each of its [indices](crate::logs::Index) is searched as a whole, document by document: what fits into a
//! laptop's memory is searched in milliseconds that way, and an engine such as Tantivy would take learners longer to build than to read.
//! There is room for so many bytes of documents; beyond that the oldest go, as they do upstream by a lifecycle policy.
//!
//! What is there is upstream's, down to its messages. What is not is refused, never ignored. There is no mapping: see
//! [`logs`](crate::logs). Source: <https://www.elastic.co/docs/api/doc/elasticsearch/v9>.

mod aggregation;
mod bulk;
mod date;
mod failure;
mod query;
mod query_string;
mod search;

pub use failure::Failure;
pub use query_string::read as typed;

use crate::logs::{Document, Index, Put};
use bulk::{Action, Verb};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};

/// The version of Elasticsearch that this is like.
const VERSION: &str = "9.0.0";
/// What takes its place where somebody asks who has the data.
const UUID: &str = "kit-logs";

/// Indices, by their names.
#[derive(Debug, Default)]
pub struct Elastic {
    indices: BTreeMap<String, Index>,
    /// What was written, the oldest first: the index, the document, the number of the write, its size.
    written: VecDeque<(String, String, u64, usize)>,
    size: usize,
    room: usize,
    named: u64,
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `GET` and so on.
    pub method: &'a str,
    /// The parts of its path, decoded.
    pub path: &'a [String],
    /// What follows the `?`, decoded.
    pub query: &'a [(String, String)],
    /// Its body.
    pub body: &'a [u8],
}

/// What is answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The code of HTTP.
    pub status: u16,
    /// The body.
    pub body: Body,
}

/// The body of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// JSON.
    Json(Value),
    /// A table for people.
    Text(String),
}

impl Answer {
    fn json(status: u16, body: Value) -> Answer {
        Answer { status, body: Body::Json(body) }
    }
}

impl Request<'_> {
    /// A parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
    }

    /// Whether a parameter says yes.
    pub fn flag(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|value| value != "false")
    }
}

impl Elastic {
    /// Without any index, with room for documents of so many bytes.
    pub fn new(room: usize) -> Elastic {
        Elastic { room, ..Elastic::default() }
    }

    /// Answers a request. `now` is the time in milliseconds since 1970.
    pub fn answer(&mut self, request: &Request<'_>, now: i64) -> Answer {
        self.route(request, now).unwrap_or_else(|failure| Answer::json(failure.status, failure.answer()))
    }

    fn route(&mut self, request: &Request<'_>, now: i64) -> Result<Answer, Failure> {
        let ok = |body| Ok(Answer::json(200, body));
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        match (request.method, &path[..]) {
            ("GET" | "HEAD", []) => ok(about()),
            ("POST" | "PUT", ["_bulk"]) => self.bulk(request.body, None).map(|body| Answer::json(200, body)),
            ("POST" | "PUT", [index, "_bulk"]) => {
                self.bulk(request.body, Some(index)).map(|body| Answer::json(200, body))
            }
            ("GET" | "POST", ["_search"]) => ok(self.search("_all", request, now)?),
            ("GET" | "POST", [index, "_search"]) => ok(self.search(index, request, now)?),
            ("GET" | "POST", ["_count"]) => ok(self.count("_all", request, now)?),
            ("GET" | "POST", [index, "_count"]) => ok(self.count(index, request, now)?),
            // Whatever is written is found at once.
            ("GET" | "POST", ["_refresh"]) => ok(json!({"_shards": shards(self.indices.len())})),
            ("GET" | "POST", [index, "_refresh"]) => {
                let found = self.named(index, request)?.len();
                ok(json!({"_shards": shards(found)}))
            }
            ("GET", ["_cluster", "health"]) => ok(self.health()),
            ("GET", ["_cat", "indices"]) => self.table("_all", request),
            ("GET", ["_cat", "indices", index]) => self.table(index, request),
            ("POST", [index, "_doc"]) => self.one(Verb::Index, index, None, request.body),
            ("PUT" | "POST", [index, "_doc", id]) => {
                let verb = if request.parameter("op_type") == Some("create") { Verb::Create } else { Verb::Index };
                self.one(verb, index, Some(id), request.body)
            }
            ("PUT" | "POST", [index, "_create", id]) => self.one(Verb::Create, index, Some(id), request.body),
            ("DELETE", [index, "_doc", id]) => self.one(Verb::Delete, index, Some(id), request.body),
            ("GET" | "HEAD", [index, "_doc", id]) => self.document(index, id),
            ("PUT", [index]) if !index.starts_with('_') => self.make(index),
            ("HEAD", [index]) => {
                let there = !self.named(index, request)?.is_empty();
                Ok(Answer::json(if there { 200 } else { 404 }, Value::Null))
            }
            ("DELETE", [index]) if !index.starts_with('_') => {
                let names: Vec<String> = self.named(index, request)?.into_iter().map(str::to_string).collect();
                names.iter().for_each(|name| self.remove(name));
                ok(json!({"acknowledged": true}))
            }
            _ => {
                let (method, path) = (request.method, path.join("/"));
                Ok(Answer::json(
                    400,
                    json!({"error": format!("no handler found for uri [/{path}] and method [{method}]")}),
                ))
            }
        }
    }

    /// The names that an expression stands for: `logs-2025.06.01`, `logs-*,other`, `_all`.
    fn named(&self, expression: &str, request: &Request<'_>) -> Result<Vec<&str>, Failure> {
        let mut found = Vec::new();
        for part in expression.split(',').filter(|part| !part.is_empty()) {
            let form = if part == "_all" { "*" } else { part };
            let those = self.indices.keys().map(String::as_str).filter(|name| crate::logs::is_like(form, name));
            let before = found.len();
            found.extend(those);
            let concrete = !form.contains('*') && found.len() == before;
            if concrete && !request.flag("ignore_unavailable") {
                return Err(Failure::no_index(part));
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn make(&mut self, name: &str) -> Result<Answer, Failure> {
        valid(name)?;
        if self.indices.contains_key(name) {
            let why = format!("index [{name}/{UUID}] already exists");
            return Err(Failure::new(400, "resource_already_exists_exception", why));
        }
        self.indices.insert(name.into(), Index::default());
        Ok(Answer::json(200, json!({"acknowledged": true, "shards_acknowledged": true, "index": name})))
    }

    fn remove(&mut self, name: &str) {
        self.indices.remove(name);
        let (gone, rest) =
            std::mem::take(&mut self.written).into_iter().partition::<VecDeque<_>, _>(|one| one.0 == name);
        self.written = rest;
        self.size -= gone.iter().map(|one| one.3).sum::<usize>();
    }

    /// Writes many documents: an answer about each.
    ///
    /// # Errors
    ///
    /// If it can't be read where they begin.
    pub fn bulk(&mut self, body: &[u8], index: Option<&str>) -> Result<Value, Failure> {
        let actions = bulk::read(body, index)?;
        let mut errors = false;
        let mut items = Vec::new();
        for action in actions {
            let (verb, index) = (action.verb.name(), action.index.clone());
            let id = action.id.clone().unwrap_or_else(|| self.name());
            let item = self.act(action, &id).unwrap_or_else(|failure| {
                errors = true;
                (
                    failure.status,
                    json!({"_index": index, "_id": id, "status": failure.status, "error": failure.cause()}),
                )
            });
            let (status, mut about) = item;
            about["status"] = status.into();
            items.push(json!({verb: about}));
        }
        Ok(json!({"errors": errors, "took": 0, "items": items}))
    }

    /// A name for a document that came without one.
    fn name(&mut self) -> String {
        self.named += 1;
        format!("kit-{:016x}", self.named)
    }

    fn one(&mut self, verb: Verb, index: &str, id: Option<&&str>, body: &[u8]) -> Result<Answer, Failure> {
        let source = if verb == Verb::Delete { Ok(Map::new()) } else { bulk::document(body) };
        let id = id.map_or_else(|| self.name(), |id| (*id).to_string());
        let (status, body) = self.act(Action { verb, index: index.into(), id: None, source }, &id)?;
        Ok(Answer::json(status, body))
    }

    /// Writes a document, whether there is one with this name or not.
    pub fn put(&mut self, index: &str, id: &str, source: Document) -> Put {
        let size = size(&source);
        let there = self.indices.entry(index.into()).or_default();
        let put = there.put(id, source);
        let number = there.get(id).map_or(0, |stored| stored.seq_no);
        self.note(index, id, number, size);
        put
    }

    /// A document was written.
    fn note(&mut self, index: &str, id: &str, number: u64, size: usize) {
        self.written.push_back((index.into(), id.into(), number, size));
        self.size += size;
        self.trim();
    }

    /// Carries out a write: the code and the answer.
    fn act(&mut self, action: Action, id: &str) -> Result<(u16, Value), Failure> {
        let name = action.index;
        valid(&name)?;
        let source = action.source?;
        let index = self.indices.entry(name.clone()).or_default();
        let size = size(&source);
        let before = index.get(id).map_or(0, |stored| stored.version);
        let (status, result) = match action.verb {
            Verb::Delete if index.delete(id) => (200, "deleted"),
            Verb::Delete => (404, "not_found"),
            verb => match if verb == Verb::Create { index.create(id, source) } else { index.put(id, source) } {
                Put::Created => (201, "created"),
                Put::Updated => (200, "updated"),
                Put::Conflict => {
                    let why = format!("[{id}]: version conflict, document already exists (current version [{before}])");
                    let mut failure = Failure::new(409, "version_conflict_engine_exception", why);
                    let more = [("index_uuid", UUID), ("shard", "0"), ("index", name.as_str())];
                    failure.more.extend(more.map(|(key, value)| (key.to_string(), value.into())));
                    return Err(failure);
                }
            },
        };
        let number = index.get(id).map_or(0, |stored| stored.seq_no);
        if action.verb != Verb::Delete {
            self.note(&name, id, number, size);
        }
        let answer = json!({
            "_index": name, "_id": id, "_version": before + 1, "result": result,
            "_shards": {"total": 1, "successful": 1, "failed": 0}, "_seq_no": number, "_primary_term": 1,
        });
        Ok((status, answer))
    }

    /// Lets the oldest go until the rest has room.
    fn trim(&mut self) {
        while self.size > self.room
            && let Some((name, id, number, size)) = self.written.pop_front()
        {
            self.size -= size;
            let Some(index) = self.indices.get_mut(&name) else { continue };
            // It may have been written anew since.
            if index.get(&id).is_some_and(|stored| stored.seq_no == number) {
                index.delete(&id);
            }
        }
    }

    fn document(&self, name: &str, id: &str) -> Result<Answer, Failure> {
        let index = self.indices.get(name).ok_or_else(|| Failure::no_index(name))?;
        Ok(match index.get(id) {
            None => Answer::json(404, json!({"_index": name, "_id": id, "found": false})),
            Some(stored) => Answer::json(
                200,
                json!({
                    "_index": name, "_id": id, "_version": stored.version, "_seq_no": stored.seq_no, "_primary_term": 1,
                    "found": true, "_source": stored.source,
                }),
            ),
        })
    }

    fn health(&self) -> Value {
        let shards = self.indices.len();
        json!({
            "cluster_name": "kit", "status": "green", "timed_out": false, "number_of_nodes": 1, "number_of_data_nodes": 1,
            "active_primary_shards": shards, "active_shards": shards, "relocating_shards": 0, "initializing_shards": 0,
            "unassigned_shards": 0, "active_shards_percent_as_number": 100.0,
        })
    }

    /// `_cat/indices`: a line for each, or JSON.
    fn table(&self, expression: &str, request: &Request<'_>) -> Result<Answer, Failure> {
        const COLUMNS: [&str; 7] = ["health", "status", "index", "pri", "rep", "docs.count", "store.size"];
        let rows = self.named(expression, request)?.into_iter().map(|name| {
            let bytes: usize = self.written.iter().filter(|one| one.0 == name).map(|one| one.3).sum();
            let count = self.indices.get(name).map_or(0, Index::len);
            ["green".into(), "open".into(), name.to_string(), "1".into(), "0".into(), count.to_string(), shown(bytes)]
        });
        let rows: Vec<[String; 7]> = rows.collect();
        if request.parameter("format") == Some("json") {
            let objects =
                rows.into_iter().map(|row| COLUMNS.into_iter().map(str::to_string).zip(row.map(Value::from)).collect());
            return Ok(Answer::json(200, Value::Array(objects.map(Value::Object).collect())));
        }
        let head = request.flag("v").then(|| COLUMNS.map(str::to_string));
        let rows: Vec<_> = head.into_iter().chain(rows).collect();
        let widths: Vec<usize> =
            (0..COLUMNS.len()).map(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or(0)).collect();
        let line = |row: &[String; 7]| {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            format!("{}\n", cells.join(" ").trim_end())
        };
        Ok(Answer { status: 200, body: Body::Text(rows.iter().map(line).collect()) })
    }
}

/// What is said to whoever asks who this is. Clients of Elastic go on only if it is theirs.
fn about() -> Value {
    json!({
        "name": "kit", "cluster_name": "kit", "cluster_uuid": UUID,
        "version": {
            "number": VERSION, "build_flavor": "default", "build_type": "kit", "build_hash": "none",
            "build_date": "2025-04-08T15:13:46Z", "build_snapshot": false, "lucene_version": "10.1.0",
            "minimum_wire_compatibility_version": "8.18.0", "minimum_index_compatibility_version": "8.0.0",
        },
        "tagline": "You Know, for Search",
    })
}

fn shards(count: usize) -> Value {
    json!({"total": count, "successful": count, "skipped": 0, "failed": 0})
}

fn size(document: &Document) -> usize {
    serde_json::to_string(document).map_or(0, |text| text.len())
}

/// Bytes as `_cat` shows them.
fn shown(bytes: usize) -> String {
    let units = [("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)];
    let unit = units.into_iter().find(|(_, unit)| bytes >= *unit);
    unit.map_or_else(|| format!("{bytes}b"), |(name, unit)| format!("{:.1}{name}", bytes as f64 / unit as f64))
}

/// Whether an index may be called so (`MetadataCreateIndexService.validateIndexOrAliasName`).
fn valid(name: &str) -> Result<(), Failure> {
    let why = match name {
        _ if name.chars().any(char::is_uppercase) => "must be lowercase",
        _ if name.starts_with(['_', '-', '+']) => "must not start with '_', '-', or '+'",
        "" | "." | ".." => "must not be '.' or '..'",
        _ if name.contains(['\\', '/', '*', '?', '"', '<', '>', '|', ' ', ',', '#', ':']) => {
            "must not contain the following characters ['\\','/','*','?','\"','<','>','|',' ',',']"
        }
        _ if name.len() > 255 => "index name is too long, (it is longer than 255 bytes)",
        _ => return Ok(()),
    };
    Err(Failure::new(400, "invalid_index_name_exception", format!("Invalid index name [{name}], {why}")))
}
