//! Watches: what changes, as it changes.
//!
//! A watch reads the server's log at its own pace and never holds up a writer. An object that comes into the selection
//! is `ADDED`, one that leaves it `DELETED`, with the revision of the change. Sources:
//! `apiserver/pkg/storage/cacher/{cacher,cache_watcher,watch_cache}.go`, `apiserver/pkg/endpoints/handlers/watch.go`.

use super::list::{Selection, item, version};
use super::query::Query;
use super::view::{View, as_view};
use super::{Body, Request, Response, Target};
use crate::versions::Form;
use crate::{Change, ChangeKind, Error, Server, Stored};
use kit_apimachinery::object::Kind;
use kit_time::agenda::Instant;
use serde_json::{Value, json};
use std::sync::Arc;

/// How often a watch is told where it is, if it wants to be (`bookmarkFrequency` of `cacher.go`).
const BOOKMARK_EVERY: Instant = Instant::seconds(60);
/// And so long before a watch ends (`nextBookmarkTime` of `cacher/cache_watcher.go`).
const LAST_BOOKMARK: Instant = Instant::seconds(2);
/// A bookmark that ends the first events (`metav1.InitialEventsAnnotationKey`).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// A watch that goes on.
#[derive(Debug)]
pub struct Watch {
    kind: Kind,
    namespace: String,
    selection: Selection,
    view: View,
    /// The form of the objects, if it isn't the one in which they are kept.
    form: Option<Form>,
    /// The next change to be looked at.
    cursor: usize,
    /// What is told before any change.
    first: Vec<String>,
    /// Changes up to this revision were told already.
    after: i64,
    bookmarks: bool,
    next_bookmark: Option<Instant>,
    /// When the server ends it.
    pub until: Option<Instant>,
    ended: bool,
}

impl Watch {
    /// Tells of objects in another form from now on, and has told nothing yet.
    pub(super) fn tell_in(&mut self, form: Form) {
        let told = |event: &String| {
            let mut event: Value = serde_json::from_str(event).unwrap_or_default();
            event["object"] = form.answer(event["object"].take());
            format!("{event}\n")
        };
        self.first = self.first.iter().map(told).collect();
        self.form = Some(form);
    }

    /// Whether nothing more will come.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// When a bookmark is due that comes after `now`; none if the watch ends before.
    fn bookmark_after(&self, now: Instant) -> Option<Instant> {
        let regular = now + BOOKMARK_EVERY;
        let due = self.until.map_or(regular, |until| regular.min(until - LAST_BOOKMARK));
        Some(due).filter(|due| *due > now)
    }
}

impl Server {
    pub(super) fn do_watch(
        &mut self,
        target: &Target,
        request: &Request<'_>,
        query: &Query,
    ) -> Result<Response, Error> {
        let timeout = query.int("timeoutSeconds")?;
        query.list_options(true, self.watch_list)?;
        let selection = Selection::of(target.kind, query)?;
        let view = View::of(request)?;
        let asked = version(query).map_err(Error::internal)?;
        let asked = asked.map(|version| i64::try_from(version).unwrap_or(i64::MAX));
        let current = self.state.revision;
        let mut watch = Watch {
            kind: target.kind,
            namespace: target.namespace.clone(),
            selection,
            view,
            form: None,
            cursor: self.end(),
            first: Vec::new(),
            after: asked.unwrap_or_default(),
            bookmarks: query.flag("allowWatchBookmarks"),
            next_bookmark: None,
            until: timeout.map(|seconds| self.now + Instant::seconds(seconds)),
            ended: false,
        };
        watch.next_bookmark = watch.bookmark_after(self.now);
        let initial = query.flag("sendInitialEvents");
        match asked {
            Some(version) if version > 0 && !initial => {
                if version < self.horizon {
                    let gone = Error::expired(format!("too old resource version: {version} ({})", self.horizon));
                    watch.first.push(line("ERROR", &gone.to_json()));
                    watch.ended = true;
                }
                let later = self.log.iter().rev().take_while(|change| change.revision > version).count();
                watch.cursor = self.end() - later;
            }
            _ => {
                let there: Vec<Arc<Stored>> = self.listed(target).cloned().collect();
                for stored in there.iter().filter(|stored| watch.selection.selects(stored)) {
                    let object = self.seen(&watch, stored);
                    watch.first.push(line("ADDED", &object));
                }
                watch.after = current;
                if initial && watch.bookmarks {
                    let mut bookmark = self.bookmark(&watch, current);
                    bookmark["metadata"]["annotations"] = json!({INITIAL_EVENTS_END: "true"});
                    watch.first.push(line(BOOKMARK, &bookmark.to_string()));
                }
            }
        }
        let body = Body::Watch(Box::new(watch));
        Ok(Response {
            code: 200,
            content_type: "application/json",
            warnings: super::verbs::deprecation(target.kind),
            body,
        })
    }

    /// The events that a watch has not seen yet.
    pub fn events(&self, watch: &mut Watch) -> Vec<Value> {
        self.lines(watch).iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The same, each as a line of its stream.
    pub fn lines(&self, watch: &mut Watch) -> Vec<String> {
        let mut events = std::mem::take(&mut watch.first);
        while !watch.ended {
            let change = match self.change(watch.cursor) {
                Ok(Some(change)) => change,
                Ok(None) => break,
                Err(error) => {
                    events.push(line("ERROR", &error.to_json()));
                    watch.ended = true;
                    break;
                }
            };
            watch.cursor += 1;
            if change.revision <= watch.after || change.object.key.kind != watch.kind {
                continue;
            }
            if !watch.namespace.is_empty() && change.object.object.namespace() != watch.namespace {
                continue;
            }
            watch.after = change.revision;
            if let Some((type_, stored)) = selected(watch, change) {
                events.push(line(type_, &self.seen(watch, &stored)));
            }
        }
        if watch.bookmarks && !watch.ended && watch.next_bookmark.is_some_and(|due| self.now >= due) {
            watch.next_bookmark = watch.bookmark_after(self.now);
            events.push(line(BOOKMARK, &self.bookmark(watch, self.state.revision).to_string()));
        }
        watch.ended |= watch.until.is_some_and(|until| self.now >= until);
        events
    }

    fn bookmark(&self, watch: &Watch, revision: i64) -> Value {
        let (kind, api_version) = (watch.kind.name(), watch.kind.api_version());
        let object = json!({
            "kind": kind, "apiVersion": api_version,
            "metadata": {"resourceVersion": revision.to_string(), "creationTimestamp": null},
        });
        let object = crate::canonical(watch.kind, object);
        watch.form.map_or(object.clone(), |form| form.show(object))
    }

    /// An object in the form that the watch asked for. The plain one is written once for all watches.
    fn seen(&self, watch: &Watch, stored: &Stored) -> String {
        match (watch.view, watch.form) {
            (View::Plain, None) => stored.json().to_string(),
            (View::Plain, Some(form)) => form.show(stored.to_value()).to_string(),
            (view, _) => as_view(view, watch.kind, item(watch.kind, stored), self.time()).to_string(),
        }
    }
}

const BOOKMARK: &str = "BOOKMARK";

fn line(type_: &str, object: &str) -> String {
    format!("{{\"type\":\"{type_}\",\"object\":{object}}}\n")
}

/// What a change is to somebody who sees only a selection (`convertToWatchEvent` of `cache_watcher.go`).
fn selected(watch: &Watch, change: &Change) -> Option<(&'static str, Arc<Stored>)> {
    let now = change.kind != ChangeKind::Deleted && watch.selection.selects(&change.object);
    let before = change.previous.as_ref().is_some_and(|previous| watch.selection.selects(previous));
    match (before, now) {
        (false, true) => Some(("ADDED", change.object.clone())),
        (true, true) => Some(("MODIFIED", change.object.clone())),
        (true, false) => {
            // The object as it was when it was last seen, with the revision of the change.
            let previous = change.previous.as_ref()?;
            let last = previous.object.clone().at_revision(change.revision);
            Some(("DELETED", Stored::new(&previous.key, last)))
        }
        (false, false) => None,
    }
}
