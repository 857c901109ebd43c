//! The form of a recording: what is written, and read again by the page and by tests.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The version of the form.
pub const VERSION: u32 = 1;

/// What is shown of an object. A number that is missing is 0, a flag false, a text and a list empty.
pub type State = Map<String, Value>;

/// What happened in a cluster. All times are milliseconds since the clock showed 0; what was before has negative ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// The version of the form.
    pub recording: u32,
    /// The version of Kubernetes.
    pub kubernetes: String,
    /// Of the timeline, the incident or the cluster.
    pub title: String,
    /// One sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The calendar time when the clock showed 0.
    pub epoch: String,
    /// Since when everything is kept; what was before is only in the states at this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// How far it reaches.
    pub end: i64,
    /// Whether more will come.
    pub live: bool,
    /// Of a live one: what is to be asked for next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// Who wrote; empty where nobody knows.
    pub by: Vec<String>,
    /// The objects, referred to by their place.
    pub objects: Vec<Subject>,
    /// What changed of which object.
    pub changes: Vec<Change>,
    /// What components told.
    pub events: Vec<Event>,
    /// What was done to the cluster.
    pub marks: Vec<Mark>,
    /// Why components did what they did.
    pub reasons: Vec<Reason>,
    /// How the hosts of the control plane are, each time that something is other than before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plane: Vec<(i64, Plane)>,
    /// The transcript, as the terminal shows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
}

/// An object, as far as it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its kind.
    pub kind: String,
    /// Its namespace, if it has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The object that controlled it when it was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<usize>,
    /// The zone of a node.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub zone: String,
}

/// A change: when, of which object, by whom, and the fields that are other than before; null takes one away, and
/// `gone` all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change(pub i64, pub usize, pub usize, pub State);

/// An event: when, about which object, `Normal` or `Warning`, the reason, the message, and how often so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event(pub i64, pub usize, pub String, pub String, pub String, pub i32);

/// Something that was done to the cluster, or became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// When.
    pub t: i64,
    /// What sort of thing it is.
    pub kind: MarkKind,
    /// What it is.
    pub text: String,
    /// The objects that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<usize>,
}

/// A sort of mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// A step that anybody may take: apply, scale, drain.
    Step,
    /// Something fails.
    Fault,
    /// It is well again.
    Heal,
    /// Something that the reader should know: a step that was refused, a recording that ends early.
    Note,
    /// An invariant does not hold any more, or a module was lost.
    Broken,
}

/// A decision and what led to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// When.
    pub t: i64,
    /// The object that it is about.
    pub id: usize,
    /// Who decided.
    pub by: usize,
    /// One sentence.
    pub text: String,
    /// A table, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

/// How the hosts of the control plane are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plane {
    /// The host whose member of etcd leads.
    pub leader: Option<String>,
    /// What each host's member is: `leader`, `follower`, `cut off`, `down`.
    pub members: std::collections::BTreeMap<String, String>,
    /// The host that leads each process.
    pub leads: std::collections::BTreeMap<String, Option<String>>,
    /// The same in words, by subject.
    pub said: std::collections::BTreeMap<String, String>,
}

/// A line of the transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// When.
    pub t: i64,
    /// The line.
    pub text: String,
}

/// Where two recordings part: the first second whose lines are not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// When.
    pub t: i64,
    /// What was to be seen.
    pub expected: Vec<String>,
    /// What was seen.
    pub yours: Vec<String>,
}

/// An object, and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered(pub usize, pub Subject);

/// What has come to a live recording since it was last asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Increment {
    /// The version of the form.
    pub recording: u32,
    /// What was asked for.
    pub since: u64,
    /// What is to be asked for next.
    pub next: u64,
    /// Since when everything is kept. What a reader has from before it has to forget: numbers of objects are given anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// How far it reaches now.
    pub end: i64,
    /// Who else wrote, after those that were there.
    pub by: Vec<String>,
    /// New objects. One with a number that another had takes its place.
    pub objects: Vec<Numbered>,
    /// As in a recording, and so on.
    pub changes: Vec<Change>,
    /// Events.
    pub events: Vec<Event>,
    /// Marks.
    pub marks: Vec<Mark>,
    /// Reasons.
    pub reasons: Vec<Reason>,
    /// The control plane.
    pub plane: Vec<(i64, Plane)>,
}
