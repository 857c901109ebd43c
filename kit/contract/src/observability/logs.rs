//! Logs: from the file of a container to a document that can be searched.
//!
//! Sources: `internal/cri/io/logger.go` of containerd and `cri-client/pkg/logs/logs.go` (lines and their pieces), `pkg/kubelet/logs/container_log_manager.go`
//! and `pkg/kubelet/kuberuntime/helpers.go` (rotation, folders) of Kubernetes 1.33; the documentation of Fluent Bit (tail, multiline, kubernetes filter, buffering) and of OpenTelemetry's
//! `filelog` receiver. Where agents differ, the contract has a rule of its own: a position is always a place between records, and a renamed file is
//! found again after a restart.
//!
//! The kit around the module looks into the folders, sends what the module asks it to send, keeps the positions on disk, and starts the agent again after a
//! crash. It keeps documents by their id, so that one that came twice is there once.

mod show;

use serde::{Deserialize, Serialize};
pub use serde_json::Value;
use std::collections::BTreeMap;

/// What is sent in one request: the records of whole blocks, in order.
pub type Batch = Vec<Entry>;

// ANCHOR: contract
contract! {
    /// The agent on a node that ships what containers write.
    pub trait LogAgent {
        /// An agent that begins, anew or after a crash.
        fn new(config: &Config) -> Self;

        /// The blocks of a part of a file, in order, as far as they are complete. Nothing is remembered.
        ///
        /// **Pieces.** A line of the file is `TIME STREAM TAGS CONTENT`, with one blank between each, and it counts only with its line end, `\n`. The
        /// stream is `stdout` or `stderr`; the others may be any text, even none. Tags are separated by `:`, and if the first one is `P`, the container's line goes on in
        /// the next piece of the same stream; otherwise it ends here. All pieces of a line are joined as they are, and its time is that of the first one.
        ///
        /// **Records.** A line whose first piece begins with one of `continuation` goes on the record before it in its stream, after a `\n`, if there is one in this part.
        /// Any other line begins a record. A record is complete as soon as its stream begins another one; if `continuation` is empty, as soon as its line
        /// ends. If the file `is_quiet`, everything is complete that is there.
        ///
        /// A line of another form is a complete record of its own, with all of it but the line end as its text, and without time and stream. Nothing goes on
        /// in it, and other records go on around it.
        ///
        /// **Blocks.** Records that overlap are one block: a block is the smallest part in which no record begins before it or ends after it. It is complete if all its records are. Only
        /// those blocks are answered before which there is no incomplete one. Places are bytes from the beginning of the part; records are in the order in which they begin.
        fn cut(&mut self, part: &Part) -> Vec<Block>;

        /// What is kept of a record. Nothing is remembered.
        ///
        /// - `entry.log` is `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/RUN.log`. `pods` are those that the API server knows now. `labels` and `host` are those
        ///   of the pod with this namespace, name *and* uid; empty if there is none.
        /// - The id is `UID/CONTAINER/INODE/PLACE/TIME`, with the place where the record begins.
        /// - `fields` are those of the text if it is a JSON object (see [`object`]), or else none. `log` is the text, in any case.
        /// - `trace_id` is the field of that name, if it is a text of 32 digits of `0-9a-f` that aren't all `0`.
        fn document(&mut self, entry: &Entry, pods: &[Pod]) -> Document;

        /// A look at all files that are there, once a second. A file is known by its `log` and its `inode`. One that was renamed is `rotated`, and nothing but its end may still be
        /// written; a newer one has taken its place. Compressed files aren't shown, as they are others.
        ///
        /// First, for all files:
        ///
        /// - One that isn't known is read from its beginning, or from its position in the configuration.
        /// - One that is shorter than at the last look (or, at the first look, than its position) was *truncated*. It is read from 0, and its stored offset is 0 now.
        /// - A file is quiet if its length was the same for `quiet_ms` or longer; one that is seen for the first time, or was truncated, has just changed.
        /// - One that is known, if only from the configuration, and isn't there any more, is forgotten: the store is told, with the offset `None`.
        ///
        /// What was there at the last look and hadn't been read when a file was truncated or forgotten, is `lost`. It is told how many bytes, if there are any. What was read is sent all the same; it changes no stored offset any more.
        ///
        /// Then files are read, those of one `log` one after the other: first those that were rotated, by the time in their name, and last the one that wasn't.
        /// Logs are read in the order of their names, compared as texts. A file is read on block by block, as by `cut`. A file behind which there are newer ones of the same log is read to its end first: as long as it has a line that wasn't read,
        /// the newer ones are left alone.
        ///
        /// The agent holds at most `buffer` records, those under way included. A block that doesn't fit is not read, and nothing behind it at this look, in no file. If nothing is
        /// held at all, any block fits.
        ///
        /// Then something may be sent, see [`answered`](LogAgent::answered).
        fn look(&mut self, files: &[File], now_ms: i64) -> Step;

        /// The request under way was answered. There is one at a time.
        ///
        /// - `Accepted`: its records are held no longer. The stored offset of each of its files is where its last block ended. If anything is held, the next request is sent now.
        /// - `Failed`: nobody knows what has become of it. The same batch is sent again at the first look that comes `retry_ms` after this answer, or later; after each failure in a row twice as
        ///   long as after the one before, but never longer than `retry_max_ms`. Until then nothing is sent.
        ///
        /// A new request is sent when nothing is under way and no failed one waits. It has the oldest blocks that are held, as many as have `batch` records together, but at least one.
        fn answered(&mut self, answer: &Answer, now_ms: i64) -> Step;
    }
}

/// How an agent works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// With what a line begins that goes on a record.
    pub continuation: Vec<String>,
    /// How long a file stays as it is until what is open in it is complete.
    pub quiet_ms: i64,
    /// The most records that are held.
    pub buffer: usize,
    /// The most records of a request.
    pub batch: usize,
    /// How long it waits after a first failure.
    pub retry_ms: i64,
    /// How long it waits at most.
    pub retry_max_ms: i64,
    /// What was stored.
    pub positions: Vec<Position>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            continuation: Vec::new(),
            quiet_ms: 5_000,
            buffer: 100,
            batch: 10,
            retry_ms: 1_000,
            retry_max_ms: 60_000,
            positions: Vec::new(),
        }
    }
}

/// How far a file was shipped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Of the file.
    pub log: String,
    /// Of the file.
    pub inode: u64,
    /// Everything before it was accepted; none if the file is to be forgotten.
    pub offset: Option<u64>,
}

/// A file, with all that is in it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What it is called, or was called before it was renamed.
    pub log: String,
    /// The time in its name, if it was renamed.
    #[serde(default)]
    pub rotated: Option<String>,
    /// Stays the same when it is renamed.
    pub inode: u64,
    /// What is in it.
    pub text: String,
}

/// A part of a file, up to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What is in it.
    pub text: String,
    /// Whether nothing was written for a while.
    #[serde(default)]
    pub is_quiet: bool,
}

/// A part of a file that is read as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// The place behind its last line.
    pub end: u64,
    /// What it holds.
    pub records: Vec<Record>,
}

/// What a container said at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Record {
    /// Where it begins.
    pub place: u64,
    /// When.
    pub time: String,
    /// Where to.
    pub stream: String,
    /// What.
    pub text: String,
}

/// A record, and where it is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Of its file.
    pub log: String,
    /// Of its file.
    pub inode: u64,
    /// The record; its place is that in the file.
    pub record: Record,
}

/// What follows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// What nobody can ship any more, in any order.
    pub lost: Vec<Lost>,
    /// What is stored now, in any order.
    pub store: Vec<Position>,
    /// What is sent.
    pub send: Option<Batch>,
}

/// Bytes that were there and were never read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// Of the file.
    pub log: String,
    /// Of the file.
    pub inode: u64,
    /// How many.
    pub bytes: u64,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// All of it is kept.
    Accepted,
    /// An error, or no answer in time.
    Failed,
}

/// A pod, as the API server knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its node.
    pub node: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// What is kept of a record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Document {
    /// By which it is known.
    pub id: String,
    /// Of the record.
    pub time: String,
    /// Of the record.
    pub stream: String,
    /// The text.
    pub log: String,
    /// What the text says, if it is a JSON object.
    pub fields: BTreeMap<String, Value>,
    /// The trace that it belongs to.
    pub trace_id: Option<String>,
    /// `kubernetes.namespace_name`
    pub namespace: String,
    /// `kubernetes.pod_name`
    pub pod: String,
    /// `kubernetes.pod_id`
    pub uid: String,
    /// `kubernetes.container_name`
    pub container: String,
    /// `kubernetes.host`
    pub host: String,
    /// `kubernetes.labels`
    pub labels: BTreeMap<String, String>,
}
// ANCHOR_END: contract

/// The fields of a text that is a JSON object; none if it is anything else.
pub fn object(text: &str) -> Option<BTreeMap<String, Value>> {
    serde_json::from_str(text).ok()
}

impl Document {
    /// The document as it is indexed: with the names that Fluent Bit gives to fields (`Merge_Log_Key log_processed`). What is empty is left out.
    pub fn source(&self) -> serde_json::Map<String, Value> {
        let text = |text: &str| Value::from(text);
        let labels = self.labels.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let kubernetes = [
            ("namespace_name", text(&self.namespace)),
            ("pod_name", text(&self.pod)),
            ("pod_id", text(&self.uid)),
            ("container_name", text(&self.container)),
            ("host", text(&self.host)),
            ("labels", Value::Object(labels)),
        ];
        let all = [
            ("@timestamp", text(&self.time)),
            ("stream", text(&self.stream)),
            ("log", text(&self.log)),
            ("log_processed", Value::Object(self.fields.clone().into_iter().collect())),
            ("trace_id", self.trace_id.as_deref().map_or(Value::Null, text)),
            ("kubernetes", Value::Object(said(kubernetes))),
        ];
        let mut all = said(all);
        all.entry("log").or_insert_with(|| text(""));
        all
    }
}

fn said<const N: usize>(all: [(&str, Value); N]) -> serde_json::Map<String, Value> {
    let empty = |value: &Value| match value {
        Value::String(text) => text.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        other => other.is_null(),
    };
    all.into_iter().filter(|(_, value)| !empty(value)).map(|(name, value)| (name.to_string(), value)).collect()
}
