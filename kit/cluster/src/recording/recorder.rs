//! The recorder: from what was seen of an engine to a recording.

use super::form::*;
use super::watcher::{Sight, Watcher};
use super::{reason, state};
use crate::engine::{Engine, Note};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::owner;
use kit_apimachinery::object::{Key, Kind, Object};
use kit_server::{ChangeKind, Stored};
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::slice::from_ref;
use std::sync::Arc;

/// Group, kind, namespace and name.
type Name = (String, String, String, String);

/// One entry of the history, in the order in which they came.
#[derive(Debug, Clone)]
enum Item {
    Change(Change),
    Event(Event),
    Mark(Mark),
    Reason(Reason),
    Plane(i64, Plane),
    Line(Line),
    /// A writer, or an object, that was not known before.
    By(usize),
    Object(usize),
}

/// How much of a live cluster's history is kept.
#[derive(Debug, Clone, Copy)]
struct Keep {
    span: i64,
    items: usize,
}

/// Records a cluster.
#[derive(Debug, Default)]
pub struct Recorder {
    title: String,
    why: String,
    live: bool,
    keep: Option<Keep>,
    watcher: Watcher,
    epoch: Timestamp,
    /// When the clock showed 0, and how far the recording reaches, in milliseconds since the cluster began.
    zero: i64,
    now: i64,
    by: Vec<String>,
    writers: HashMap<String, usize>,
    subjects: Vec<Subject>,
    known: HashMap<Name, usize>,
    /// What every object is like now; none if it is gone.
    states: Vec<Option<State>>,
    /// The number of the last entry that names an object.
    named: Vec<u64>,
    /// The number of the entry with which an object last went.
    left: Vec<u64>,
    /// How every object was before the first entry that is kept, and who made it so.
    base: Vec<Option<(usize, State)>>,
    plane: Option<Plane>,
    from: Option<i64>,
    items: VecDeque<Item>,
    /// How many entries were dropped before those.
    dropped: u64,
    /// Pods that are gone and may still be named by entries; and those whose numbers can be given anew.
    gone: VecDeque<(usize, u64)>,
    free: Vec<usize>,
    /// Of each EndpointSlice: its service, how many endpoints are ready, and how many are not.
    slices: BTreeMap<Key, (usize, usize, usize)>,
    /// The reason that was told last of an object.
    told: HashMap<usize, (String, Vec<String>)>,
}

impl Recorder {
    /// A recorder that has seen nothing yet.
    pub fn new(title: impl Into<String>, why: impl Into<String>) -> Recorder {
        Recorder { title: title.into(), why: why.into(), ..Recorder::default() }
    }

    /// A recorder of a cluster that goes on. It keeps so much time, and so many entries at most; what was before them is
    /// only in the states with which its recordings begin.
    pub fn live(title: impl Into<String>, span: Instant, entries: usize) -> Recorder {
        let keep = Some(Keep { span: span.nanos / 1_000_000, items: entries });
        Recorder { live: true, keep, ..Recorder::new(title, "") }
    }

    /// Says that the clock shows 0 now.
    pub fn begin(&mut self, now: Instant) {
        self.zero = millis(now);
    }

    /// Sees what has happened in an engine since it looked last.
    pub fn look(&mut self, engine: &Engine) {
        let sight = self.watcher.look(engine);
        self.take(sight);
    }

    /// Takes in what a [`Watcher`] has seen. It has to be always the same one.
    pub fn take(&mut self, sight: Sight) {
        let Sight { now, epoch, changes, decisions, notes, plane, everything } = sight;
        let begins = self.live && self.next() == 0;
        self.epoch = epoch;
        self.now = self.now.max(millis(now));
        if let Some((snapshot, kinds)) = everything {
            self.take_all(kinds.iter().flat_map(|kind| snapshot.list(*kind)));
        }
        for change in changes {
            let gone = change.kind == ChangeKind::Deleted;
            self.change(millis(change.at), &change.by, &change.object, gone);
        }
        if begins {
            // What is there at the first look is how the recording begins, and nothing that happens in it.
            while !self.items.is_empty() {
                self.drop_first();
            }
            self.from = Some(self.now);
        }
        for (key, entry) in decisions {
            let (t, by) = (millis(entry.at), self.by(entry.by));
            let id = self.id(&key, None);
            let reason = (reason::sentence(&entry.scheduling), reason::table(&entry.scheduling));
            // A pod that waits is looked at again and again.
            if self.told.get(&id) != Some(&reason) {
                self.told.insert(id, reason.clone());
                let (text, lines) = reason;
                self.push(Item::Reason(Reason { t, id, by, text, lines }));
            }
        }
        for Note { at, kind, text, about } in notes {
            let about = about.iter().map(|key| self.id(key, None)).collect();
            self.push(Item::Mark(Mark { t: millis(at), kind, text, about }));
        }
        if let Some(view) = plane {
            let words = |pairs: Vec<(String, String)>| pairs.into_iter().collect();
            let plane = Plane {
                leader: view.hosts.iter().find(|(_, role)| *role == "leader").map(|(name, _)| name.clone()),
                members: view.hosts.into_iter().map(|(name, role)| (name, role.to_string())).collect(),
                leads: view.processes.into_iter().map(|(name, host)| (name.to_string(), host)).collect(),
                said: words(view.said),
            };
            self.push(Item::Plane(self.now, plane));
        }
        self.forget();
    }

    /// Notes what became of the cluster. It stands at the time of the last look.
    pub fn mark(&mut self, kind: MarkKind, text: impl Into<String>) {
        let mark = Mark { t: self.now, kind, text: text.into(), about: Vec::new() };
        self.push(Item::Mark(mark));
    }

    /// Adds a line of the transcript.
    pub fn line(&mut self, at: Instant, text: impl Into<String>) {
        let line = Line { t: millis(at), text: text.into() };
        self.push(Item::Line(line));
    }

    /// How far it reaches, in milliseconds since the clock showed 0.
    pub fn end(&self) -> i64 {
        self.now - self.zero
    }

    /// How often something was noted so far: what [`Recorder::since`] may be asked for later.
    pub fn next(&self) -> u64 {
        self.dropped + self.items.len() as u64
    }

    /// What has come since; none if it is too long ago, so that only the whole recording tells it.
    pub fn since(&self, since: u64) -> Option<Increment> {
        let skip = usize::try_from(since.checked_sub(self.dropped)?).ok()?;
        if skip > self.items.len() {
            return None;
        }
        let mut increment = Increment {
            recording: VERSION,
            since,
            next: self.next(),
            from: self.from.map(|from| from - self.zero),
            end: self.now - self.zero,
            by: Vec::new(),
            objects: Vec::new(),
            changes: Vec::new(),
            events: Vec::new(),
            marks: Vec::new(),
            reasons: Vec::new(),
            plane: Vec::new(),
        };
        let zero = self.zero;
        for item in self.items.range(skip..) {
            match item.clone() {
                Item::Change(Change(t, id, by, state)) => increment.changes.push(Change(t - zero, id, by, state)),
                Item::Event(Event(t, id, kind, reason, message, count)) => {
                    increment.events.push(Event(t - zero, id, kind, reason, message, count));
                }
                Item::Mark(mark) => increment.marks.push(Mark { t: mark.t - zero, ..mark }),
                Item::Reason(reason) => increment.reasons.push(Reason { t: reason.t - zero, ..reason }),
                Item::Plane(t, plane) => increment.plane.push((t - zero, plane)),
                Item::Line(_) => {}
                Item::By(by) => increment.by.push(self.by[by].clone()),
                Item::Object(id) => increment.objects.push(Numbered(id, self.subjects[id].clone())),
            }
        }
        Some(increment)
    }

    /// What was recorded so far.
    pub fn recording(&self) -> Recording {
        // All that is kept is an increment to the states at its beginning.
        let begin = self.since(self.dropped);
        let zero = self.zero;
        let from = self.from.map(|from| from - zero);
        let states = self.base.iter().enumerate().filter_map(|(id, base)| Some((id, base.as_ref()?)));
        let states = states.map(|(id, (by, state))| Change(from.unwrap_or_default(), id, *by, state.clone()));
        let plane = self.plane.iter().map(|plane| (from.unwrap_or_default(), plane.clone()));
        let (mut changes, mut plane): (Vec<_>, Vec<_>) = (states.collect(), plane.collect());
        let (mut events, mut marks, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(increment) = begin {
            changes.extend(increment.changes);
            plane.extend(increment.plane);
            (events, marks, reasons) = (increment.events, increment.marks, increment.reasons);
        }
        let lines = self.items.iter().filter_map(|item| match item {
            Item::Line(line) => Some(Line { t: line.t - zero, ..line.clone() }),
            _ => None,
        });
        Recording {
            recording: VERSION,
            kubernetes: "1.33".into(),
            title: self.title.clone(),
            why: self.why.clone(),
            epoch: (self.epoch + SignedDuration::from_millis(zero)).to_string(),
            from,
            end: self.now - zero,
            live: self.live,
            next: self.live.then(|| self.next()),
            by: self.by.clone(),
            objects: self.subjects.clone(),
            changes,
            events,
            marks,
            reasons,
            plane,
            lines: lines.collect(),
        }
    }

    /// The recording, at its end.
    pub fn finish(self) -> Recording {
        self.recording()
    }

    /// Takes over everything, whatever was seen before.
    fn take_all<'a>(&mut self, all: impl Iterator<Item = &'a Arc<Stored>>) {
        let mut there = vec![false; self.states.len()];
        let t = self.now;
        for stored in all {
            self.change(t, "", stored, false);
            if state::is_shown(stored.key.kind) {
                let id = self.id(&stored.key, None);
                there.resize(self.states.len().max(there.len()), false);
                there[id] = true;
            }
        }
        let by = self.by("");
        for id in 0..self.states.len() {
            if !there.get(id).copied().unwrap_or_default() && self.states[id].is_some() {
                self.is_gone(t, id, by);
            }
        }
    }

    /// An object is other than before.
    fn change(&mut self, t: i64, by: &str, stored: &Stored, gone: bool) {
        match &stored.object {
            Object::Event(event) if !gone => return self.event(t, event),
            Object::EndpointSlice(slice) => return self.endpoints(t, by, &stored.key, slice, gone),
            _ if !state::is_shown(stored.key.kind) => return,
            _ => {}
        }
        let by = self.by(by);
        let id = self.id(&stored.key, Some(stored));
        if gone {
            return self.is_gone(t, id, by);
        }
        let mut now = state::of(stored, &mut |node| self.id(&Key::new(Kind::Node, "", node), None));
        if stored.key.kind == Kind::Service {
            self.count_endpoints(id, &mut now);
        }
        let owner = self.owner(stored);
        if owner != self.subjects[id].owner {
            now.insert("owner".into(), owner.map_or(false.into(), Into::into));
        }
        self.set(t, id, by, now);
    }

    /// Notes what is other in a state.
    fn set(&mut self, t: i64, id: usize, by: usize, now: State) {
        let change = match &self.states[id] {
            Some(before) => state::difference(before, &now),
            None => now.clone(),
        };
        if self.states[id].is_none() || !change.is_empty() {
            self.push(Item::Change(Change(t, id, by, change)));
        }
        self.states[id] = Some(now);
    }

    fn is_gone(&mut self, t: i64, id: usize, by: usize) {
        if self.states[id].take().is_none() {
            return;
        }
        let gone = State::from_iter([("gone".to_string(), true.into())]);
        if self.keep.is_some() && self.subjects[id].kind == "Pod" {
            self.left[id] = self.next();
            self.gone.push_back((id, self.left[id]));
        }
        self.push(Item::Change(Change(t, id, by, gone)));
        self.told.remove(&id);
    }

    fn event(&mut self, t: i64, event: &kit_api::core::Event) {
        let about = &event.involved_object;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let group = group(about.api_version.as_deref().unwrap_or_default());
        let name = (group, text(&about.kind), text(&about.namespace), text(&about.name));
        let id = self.place(name);
        let count = event.count.or(event.series.as_ref().and_then(|series| series.count)).unwrap_or(1);
        let (kind, reason, message) = (text(&event.type_), text(&event.reason), text(&event.message));
        self.push(Item::Event(Event(t, id, kind, reason, message, count)));
    }

    fn endpoints(&mut self, t: i64, by: &str, key: &Key, slice: &kit_api::discovery::EndpointSlice, gone: bool) {
        let labels = slice.metadata.labels.as_ref();
        let Some(service) = labels.and_then(|labels| labels.get("kubernetes.io/service-name")) else { return };
        let service = self.id(&Key::new(Kind::Service, &key.namespace, service.as_str()), None);
        let ready = |endpoint: &&kit_api::discovery::Endpoint| {
            endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true)
        };
        let ready = slice.endpoints.iter().filter(ready).count();
        match gone {
            true => self.slices.remove(key),
            false => self.slices.insert(key.clone(), (service, ready, slice.endpoints.len() - ready)),
        };
        if let Some(mut now) = self.states[service].clone() {
            let by = self.by(by);
            self.count_endpoints(service, &mut now);
            self.set(t, service, by, now);
        }
    }

    fn count_endpoints(&self, service: usize, state: &mut State) {
        let (mut ready, mut not_ready) = (0, 0);
        for (_, is, is_not) in self.slices.values().filter(|(of, ..)| *of == service) {
            (ready, not_ready) = (ready + is, not_ready + is_not);
        }
        for (name, count) in [("endpoints", ready), ("notReady", not_ready)] {
            state.shift_remove(name);
            if count > 0 {
                state.insert(name.into(), count.into());
            }
        }
    }

    fn by(&mut self, name: &str) -> usize {
        if let Some(by) = self.writers.get(name) {
            return *by;
        }
        let by = self.by.len();
        self.by.push(name.into());
        self.writers.insert(name.into(), by);
        self.push(Item::By(by));
        by
    }

    /// The number of an object; `stored` is the object, if it is at hand when it is first named.
    fn id(&mut self, key: &Key, stored: Option<&Stored>) -> usize {
        let kind = key.kind;
        let name = (group(kind.api_version()), kind.name().into(), key.namespace.to_string(), key.name.to_string());
        let is_new = !self.known.contains_key(&name);
        let id = match stored.filter(|_| is_new) {
            None => self.place(name),
            // What owns it comes before it.
            Some(stored) => {
                let owner = self.owner(stored);
                let id = self.place(name);
                self.subjects[id].owner = owner;
                id
            }
        };
        if let (Some(Object::Node(node)), "") = (stored.map(|stored| &stored.object), &*self.subjects[id].zone) {
            let labels = node.metadata.labels.as_ref();
            let zone = labels.and_then(|labels| labels.get("topology.kubernetes.io/zone"));
            self.subjects[id].zone = zone.cloned().unwrap_or_default();
        }
        id
    }

    fn place(&mut self, name: Name) -> usize {
        if let Some(id) = self.known.get(&name) {
            return *id;
        }
        let (_, kind, namespace, own) = name.clone();
        let subject = Subject { kind, namespace, name: own, owner: None, zone: String::new() };
        let id = match self.free.pop() {
            Some(id) => {
                self.subjects[id] = subject;
                id
            }
            None => {
                self.subjects.push(subject);
                self.states.push(None);
                self.base.push(None);
                self.named.push(0);
                self.left.push(0);
                self.subjects.len() - 1
            }
        };
        self.known.insert(name, id);
        self.push(Item::Object(id));
        id
    }

    /// The number of the object that controls this one.
    fn owner(&mut self, stored: &Stored) -> Option<usize> {
        let owner = owner::controller_of(stored.object.meta())?;
        let group = group(&owner.api_version);
        let namespace = match Kind::named(&owner.kind) {
            Some(kind) if !kind.namespaced() => String::new(),
            _ => stored.key.namespace.to_string(),
        };
        Some(self.place((group, owner.kind.clone(), namespace, owner.name.clone())))
    }

    fn push(&mut self, item: Item) {
        let number = self.next();
        let ids = match &item {
            Item::Change(Change(_, id, ..)) | Item::Event(Event(_, id, ..)) | Item::Object(id) => from_ref(id),
            Item::Reason(reason) => from_ref(&reason.id),
            Item::Mark(mark) => &mark.about,
            Item::Plane(..) | Item::Line(_) | Item::By(_) => &[],
        };
        ids.iter().for_each(|id| self.named[*id] = number);
        self.items.push_back(item);
    }

    /// Drops what is older than what is to be kept.
    fn forget(&mut self) {
        let Some(Keep { span, items }) = self.keep else { return };
        let oldest = self.now - span;
        let mut dropped = None;
        while let Some(item) = self.items.front() {
            let t = match item {
                Item::Change(Change(t, ..)) | Item::Event(Event(t, ..)) | Item::Plane(t, _) => Some(*t),
                Item::Mark(mark) => Some(mark.t),
                Item::Reason(reason) => Some(reason.t),
                Item::Line(line) => Some(line.t),
                Item::By(_) | Item::Object(_) => None,
            };
            if self.items.len() <= items && t.is_none_or(|t| t >= oldest) {
                break;
            }
            dropped = t.or(dropped);
            self.drop_first();
        }
        if let Some(t) = dropped {
            self.from = Some(self.from.unwrap_or(t).max(t));
        }
        while let Some((id, number)) = self.gone.front().copied() {
            // One that is there again under its name keeps its number.
            if self.states[id].is_none() && self.left[id] == number {
                if self.named[id] >= self.dropped {
                    break;
                }
                let name = &self.subjects[id];
                let name = (String::new(), name.kind.clone(), name.namespace.clone(), name.name.clone());
                self.known.remove(&name);
                self.told.remove(&id);
                self.free.push(id);
            }
            self.gone.pop_front();
        }
    }

    fn drop_first(&mut self) {
        self.dropped += 1;
        match self.items.pop_front() {
            Some(Item::Change(Change(_, id, by, change))) => {
                if change.contains_key("gone") {
                    self.base[id] = None;
                } else {
                    let (last, state) = self.base[id].get_or_insert_with(|| (by, State::new()));
                    *last = by;
                    state::lay_over(state, &change);
                }
            }
            Some(Item::Plane(_, plane)) => self.plane = Some(plane),
            _ => {}
        }
    }
}

fn millis(at: Instant) -> i64 {
    at.nanos.div_euclid(1_000_000)
}

fn group(api_version: &str) -> String {
    api_version.split_once('/').map_or("", |(group, _)| group).into()
}
