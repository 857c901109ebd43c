//! The informer: a copy of what the API server has, kept up to date by a list and a watch.
//!
//! Upstream these are three: a reflector that lists and watches, a queue of deltas, and the shared informer that keeps an
//! indexed cache and tells handlers. Source: `reflector.go`, `delta_fifo.go`, `shared_informer.go`, `thread_safe_store.go` and
//! `store.go` in `client-go/tools/cache`.
//!
//! The module sends nothing itself: it is told what the server answered, and says which request comes next. There is never more than one
//! request or watch at a time, and what belongs to an earlier one doesn't arrive any more.

use crate::{Show, flow};
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Follows all objects of one kind.
    pub trait Informer {
        /// An informer with an empty cache that has asked for nothing yet.
        fn new(config: &InformerConfig) -> Self;

        /// Something happened, at `now` in milliseconds: take it into the cache, and say what follows from it, in this order: what handlers
        /// are told, and then the next request or pause, if there is one.
        ///
        /// **Start.** It lists from version `0`.
        ///
        /// **A list.** The cache is then what the list says. Handlers are told of its items in their order, and then of the objects that are
        /// gone, in order of their keys: what became of them is unknown. The informer watches from the version of the list.
        ///
        /// **An event of the watch.** An object goes into the cache or leaves it. Its version is the informer's version from then on; a bookmark is nothing but
        /// a version.
        ///
        /// **Handlers** are told of an addition if the object was not in the cache, whatever the event is called; of an update if it was and its version is another;
        /// and of a deletion if it was there. Objects are the same if their keys are; versions are never compared but for equality. A deletion carries the object of the event, or if it
        /// follows from a list, the object as the cache had it.
        ///
        /// **A list that failed.** If the version is the problem (`Expired`, `TooLarge`) and the list was not from
        /// version `""`, it lists from `""` at once. Else it pauses, then it lists. Once a list was refused because
        /// of its version, all lists are from `""` until one succeeds. All others are from the informer's version, or
        /// from `0` if it has none. A watch that failed changes nothing about that, even with `Expired`: the list
        /// after it is from the informer's version.
        ///
        /// **A watch that failed**, when it was opened or later. If the server was `Unavailable`, it pauses, then it watches from its version. Else, whatever it was, it pauses, then it lists.
        ///
        /// **A watch that was closed** has run its time: it watches from its version, at once. But a watch that is
        /// closed less than 1000 ms after it was asked for, and that had no event, has failed: the informer pauses,
        /// then it lists. A bookmark is an event, too.
        ///
        /// **A pause** takes 800 ms, and each further one twice as long, at most 30 s; it begins with 800 ms again if the last pause began more than two minutes ago. (Upstream adds up to as much by chance.)
        ///
        /// **A tick.** If a pause is over, it goes on. If a resync is due, handlers are told of an update of each object in the cache, by key, with the same object as old and new. The first is due
        /// `resync` after the first list, and each further one `resync` after the last one was told.
        fn step(&mut self, event: &InformerEvent, now: i64) -> Vec<InformerOutput>;

        /// Whether the first list is in the cache.
        fn has_synced(&mut self) -> bool;

        /// The object with this key: `namespace/name`, or the name alone where there is no namespace.
        fn get(&mut self, key: &str) -> Option<CachedObject>;

        /// The keys of the objects that an index has under a value, in order.
        fn by_index(&mut self, index: &Index, value: &str) -> Vec<String>;
    }
}

/// How it is set up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InformerConfig {
    /// How often handlers are told of everything again, in milliseconds; 0 for never.
    pub resync: i64,
}

/// An object, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CachedObject {
    /// Empty for kinds without namespaces.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Another object with the same name has another one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// `metadata.resourceVersion`: a word of the server, not a number.
    pub resource_version: String,
    /// The node that it is on; empty if it is on none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InformerEvent {
    /// The informer is to begin. This is the first event, and comes once.
    Start,
    /// The answer to a list.
    Listed {
        /// The version of the list.
        resource_version: String,
        /// All objects that there are.
        items: Vec<CachedObject>,
    },
    /// A list was refused.
    ListFailed(RequestFailure),
    /// The watch shows a change.
    Watched {
        /// What it says.
        #[serde(rename = "type")]
        kind: WatchEventType,
        /// The object, as it is; one that is deleted as it was last, with the version of its deletion.
        object: CachedObject,
    },
    /// The watch has seen everything up to this version (`BOOKMARK`).
    Bookmark(String),
    /// The watch was refused, or ended with an `ERROR`.
    WatchFailed(RequestFailure),
    /// The server closed the watch.
    WatchClosed,
    /// Time has passed.
    Tick,
}

/// The types of watch events that carry an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum WatchEventType {
    /// It is there, or has come into the selection.
    Added,
    /// It is another now.
    Modified,
    /// It is gone, or has left the selection.
    Deleted,
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestFailure {
    /// 410, reason `Expired` or `Gone`: the server has forgotten that version.
    Expired,
    /// 504, `Too large resource version`: the server hasn't got that far yet.
    TooLarge,
    /// 429, or nobody listens.
    Unavailable,
    /// Anything else.
    Other,
}

/// What the cache sorts objects by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Index {
    /// The namespace, also the empty one.
    Namespace,
    /// The node. Objects on no node are not in it.
    Node,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InformerOutput {
    /// Handlers: an object is new (`OnAdd`).
    Added {
        /// It.
        object: CachedObject,
        /// Whether it came with the first list (`isInInitialList`).
        initial: bool,
    },
    /// Handlers: an object is another (`OnUpdate`).
    Updated {
        /// As the cache had it.
        old: CachedObject,
        /// As it has it now.
        new: CachedObject,
    },
    /// Handlers: an object is gone (`OnDelete`).
    Deleted {
        /// As it was last seen.
        last: CachedObject,
        /// Whether nobody saw it go (`DeletedFinalStateUnknown`).
        unknown: bool,
    },
    /// Request: list everything, not older than this version; any for `0`, the newest for `""`.
    List(String),
    /// Request: watch what happens after this version, with bookmarks.
    Watch(String),
    /// Nothing for so many milliseconds; then a tick.
    Pause(i64),
}
// ANCHOR_END: contract

impl CachedObject {
    /// `namespace/name`, or the name alone (`MetaNamespaceKeyFunc`).
    pub fn key(&self) -> String {
        match self.namespace.as_str() {
            "" => self.name.clone(),
            namespace => format!("{namespace}/{}", self.name),
        }
    }
}

impl Show for CachedObject {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for InformerEvent {
    fn lines(&self) -> Vec<String> {
        match self {
            InformerEvent::Listed { resource_version, items } => {
                let mut lines = vec![format!("listed as of {}", flow(resource_version))];
                lines.extend(items.iter().flat_map(Show::lines));
                lines
            }
            InformerEvent::Watched { kind, object } => vec![format!("{} {}", flow(kind), flow(object))],
            other => vec![flow(other)],
        }
    }
}

impl Show for Index {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for InformerOutput {
    fn lines(&self) -> Vec<String> {
        match self {
            InformerOutput::Added { object, initial } => {
                vec![format!("added{} {}", if *initial { ", initially" } else { "" }, flow(object))]
            }
            InformerOutput::Updated { old, new } if old == new => vec![format!("updated, as it was {}", flow(new))],
            InformerOutput::Updated { old, new } => {
                vec![format!("updated {}", flow(new)), format!("  was {}", flow(old))]
            }
            InformerOutput::Deleted { last, unknown } => {
                vec![format!("deleted{} {}", if *unknown { ", nobody saw how" } else { "" }, flow(last))]
            }
            InformerOutput::List(version) => vec![format!("list from version {version:?}")],
            InformerOutput::Watch(version) => vec![format!("watch from version {version:?}")],
            InformerOutput::Pause(millis) => vec![format!("pause for {millis} ms")],
        }
    }
}
