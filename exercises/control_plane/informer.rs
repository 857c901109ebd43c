//! # The informer: a cache that follows the API server
//!
//! A controller never asks the API server what there is. It lists once, watches from there on, and keeps a copy that it can ask. You keep that copy,
//! say which request comes next, and tell handlers what is different; also when the watch breaks, or the server has forgotten what you missed.
//!
//! About 40 minutes · builds on nothing · book: "The informer: a cache that follows the API server" · stuck? `cargo grade hint control_plane/informer`
//!
//! Given to you:
//!
//! - `kit::control_plane::CachedObject::key: fn(&kit::control_plane::CachedObject) -> String`

#[allow(unused_imports)] // Until you need them.
use kit::control_plane::{
    CachedObject, Index, Informer, InformerConfig, InformerEvent, InformerOutput, RequestFailure, WatchEventType,
};

struct Exercise;

impl Informer for Exercise {
    /// An informer with an empty cache that has asked for nothing yet.
    fn new(config: &InformerConfig) -> Self {
        let _ = config;
        todo!("an empty cache")
    }

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
    /// version `""`, it lists from `""` at once. Else it pauses, then it lists. Once a list was refused because of
    /// its version, all lists are from `""` until one succeeds. All others are from the informer's version, or from
    /// `0` if it has none. A watch that failed changes nothing about that, even with `Expired`: the list after it is
    /// from the informer's version.
    ///
    /// **A watch that failed**, when it was opened or later. If the server was `Unavailable`, it pauses, then it watches from its version. Else, whatever it was, it pauses, then it lists.
    ///
    /// **A watch that was closed** has run its time: it watches from its version, at once. But a watch that is closed
    /// less than 1000 ms after it was asked for, and that had no event, has failed: the informer pauses, then it
    /// lists. A bookmark is an event, too.
    ///
    /// **A pause** takes 800 ms, and each further one twice as long, at most 30 s; it begins with 800 ms again if the last pause began more than two minutes ago. (Upstream adds up to as much by chance.)
    ///
    /// **A tick.** If a pause is over, it goes on. If a resync is due, handlers are told of an update of each object in the cache, by key, with the same object as old and new. The first is due
    /// `resync` after the first list, and each further one `resync` after the last one was told.
    fn step(&mut self, event: &InformerEvent, now: i64) -> Vec<InformerOutput> {
        let _ = (event, now);
        todo!("take it into the cache, tell the handlers, and say which request comes next")
    }

    /// Whether the first list is in the cache.
    fn has_synced(&mut self) -> bool {
        todo!("has a list been answered?")
    }

    /// The object with this key: `namespace/name`, or the name alone where there is no namespace.
    fn get(&mut self, key: &str) -> Option<CachedObject> {
        let _ = key;
        todo!("the object with this key")
    }

    /// The keys of the objects that an index has under a value, in order.
    fn by_index(&mut self, index: &Index, value: &str) -> Vec<String> {
        let _ = (index, value);
        todo!("the keys under this value")
    }
}

kit::exercise!(Exercise: Informer);
