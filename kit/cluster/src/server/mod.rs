//! The API server: the only component that talks to the store.
//!
//! A request is checked and completed ([`registry`]), written to the store as JSON, and comes back as an event of
//! the server's own watch. From those events the server keeps every object as it is now and a log of changes;
//! watches read the log at their own pace. [`Snapshot`] is the same state for readers beside the cluster.
//! Upstream: `staging/src/k8s.io/apiserver/pkg/registry/generic/registry/store.go` and `pkg/storage/cacher`.

mod patch;
pub mod registry;
mod resource;
mod status;

pub use patch::Patch;
pub use resource::{Resource, Subresource};
pub use status::Error;

use crate::agenda::Instant;
use crate::object::{AsKind, Key, Kind, Object};
use crate::random::{Purpose, Random};
use imbl::OrdMap;
use kit_api::jiff::Timestamp;
use kit_api::meta::Time;
use kit_contract::control_plane::{EventKind, Op, Store, StoreError, WatchRequest};
use kit_contract::node::Qos;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

/// How long history is kept before it is compacted (`DefaultCompactInterval` of `storagebackend/config.go`).
const COMPACT_AFTER: Instant = Instant { nanos: 300_000_000_000 };

/// What a client asks of a delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// How long the object may take to end, in seconds; none for the object's own default.
    pub grace_period_seconds: Option<i64>,
    /// Delete only the object with this uid.
    pub uid: Option<String>,
    /// What happens to what the object owns.
    pub propagation: Propagation,
}

/// What happens to the dependents of a deleted object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Propagation {
    /// The garbage collector deletes them afterwards.
    #[default]
    Background,
    /// The object stays until they are gone.
    Foreground,
    /// They stay, without their owner.
    Orphan,
}

/// One change of one object, as watches see it.
#[derive(Debug, Clone)]
pub struct Change {
    /// When it was written.
    pub at: Instant,
    /// The revision of the write.
    pub revision: i64,
    /// What happened.
    pub kind: ChangeKind,
    /// The object now; of a deletion, as it was last, with the revision of the deletion.
    pub object: Arc<Stored>,
    /// The object before.
    pub previous: Option<Arc<Stored>>,
    /// Who wrote it.
    pub by: Arc<str>,
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is another than before.
    Modified,
    /// It is gone.
    Deleted,
}

/// An object as it is stored.
#[derive(Debug)]
pub struct Stored {
    /// The object, with its resource version.
    pub object: Object,
    json: OnceLock<String>,
}

impl Stored {
    fn new(object: Object) -> Arc<Stored> {
        Arc::new(Stored { object, json: OnceLock::new() })
    }

    /// The object in JSON, encoded once for all readers.
    pub fn json(&self) -> &str {
        self.json.get_or_init(|| self.object.encode())
    }

    /// The object as its type.
    pub fn get<T: AsKind>(&self) -> Option<&T> {
        T::of(&self.object)
    }
}

/// Namespace and name.
type Name = (String, String);

/// All objects at one revision. A copy costs nothing, and it never changes.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The revision.
    pub revision: i64,
    objects: BTreeMap<Kind, OrdMap<Name, Arc<Stored>>>,
}

impl Snapshot {
    /// One object.
    pub fn get(&self, key: &Key) -> Option<&Arc<Stored>> {
        self.objects.get(&key.kind)?.get(&(key.namespace.clone(), key.name.clone()))
    }

    /// The objects of a kind, by namespace and name.
    pub fn list(&self, kind: Kind) -> impl Iterator<Item = &Arc<Stored>> {
        self.objects.get(&kind).into_iter().flat_map(|objects| objects.values())
    }

    /// The objects of a kind in one namespace, by name.
    pub fn list_in(&self, kind: Kind, namespace: &str) -> impl Iterator<Item = &Arc<Stored>> {
        let from = (namespace.to_string(), String::new());
        let objects = self.objects.get(&kind).into_iter().flat_map(move |objects| objects.range(from.clone()..));
        objects.take_while(move |((at, _), _)| *at == namespace).map(|(_, stored)| stored)
    }
}

/// The API server.
pub struct Server {
    store: Box<dyn Store>,
    qos: Box<dyn Qos>,
    state: Snapshot,
    /// Changes since the last compaction, oldest first.
    log: VecDeque<Change>,
    /// How many changes were dropped from the front of the log.
    dropped: usize,
    random: Random,
    /// How many names and uids were drawn for the same purpose.
    drawn: BTreeMap<String, u64>,
    epoch: Timestamp,
    now: Instant,
    actor: Arc<str>,
    /// The time and the revision at which history will be compacted next.
    compaction: (Instant, i64),
}

impl Server {
    /// A server over an empty store; `qos` classifies new pods. `epoch` is the calendar time at which the virtual clock stands at zero.
    pub fn new(mut store: Box<dyn Store>, qos: Box<dyn Qos>, random: Random, epoch: Timestamp) -> Server {
        let everything =
            WatchRequest { key: "/registry/".into(), range_end: Some("/registry0".into()), ..Default::default() };
        store.watch(&everything);
        Server {
            store,
            qos,
            state: Snapshot::default(),
            log: VecDeque::new(),
            dropped: 0,
            random,
            drawn: BTreeMap::new(),
            epoch,
            now: Instant::default(),
            actor: "".into(),
            compaction: (COMPACT_AFTER, 0),
        }
    }

    /// Moves the server's clock and says who asks from now on.
    pub fn enter(&mut self, now: Instant, actor: &Arc<str>) {
        self.now = now;
        self.actor = actor.clone();
        let (at, revision) = self.compaction;
        if now >= at {
            self.compact(revision);
            self.compaction = (at + COMPACT_AFTER, self.state.revision);
        }
    }

    /// The calendar time.
    pub fn time(&self) -> Timestamp {
        self.epoch + kit_api::jiff::SignedDuration::from_nanos(self.now.nanos)
    }

    /// All objects as they are now.
    pub fn snapshot(&self) -> &Snapshot {
        &self.state
    }

    /// How many changes there ever were: where a watch that starts now begins.
    pub fn end(&self) -> usize {
        self.dropped + self.log.len()
    }

    /// The change number `index`; an error if it is compacted.
    pub fn change(&self, index: usize) -> Result<Option<&Change>, Error> {
        match index.checked_sub(self.dropped) {
            Some(index) => Ok(self.log.get(index)),
            None => Err(Error::expired(format!("too old resource version: {index} ({})", self.dropped))),
        }
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Result<&Arc<Stored>, Error> {
        self.state.get(key).ok_or_else(|| Error::not_found(key))
    }

    /// One object as its type, to be changed and sent back.
    pub fn fetch<T: AsKind + Clone>(&self, namespace: &str, name: &str) -> Result<T, Error> {
        let key = Key::new(T::KIND, namespace, name);
        self.get(&key)?.get::<T>().cloned().ok_or_else(|| Error::not_found(&key))
    }

    /// Stores a new object, completed as its kind asks for.
    pub fn create(&mut self, mut object: Object) -> Result<Arc<Stored>, Error> {
        if object.kind().namespaced() && object.namespace().is_empty() {
            object.meta_mut().namespace = Some("default".into());
        }
        if object.name().is_empty() {
            let Some(base) = object.meta().generate_name.clone() else {
                return Err(Error::invalid(
                    &object.key(),
                    "metadata.name: Required value: name or generateName is required",
                ));
            };
            let suffix = self.suffix(&format!("{}/{}/{base}", object.kind().plural(), object.namespace()));
            object.meta_mut().name = Some(base + &suffix);
        }
        let key = object.key();
        registry::default(&mut object);
        registry::validate(&object)?;
        if self.state.get(&key).is_some() {
            return Err(Error::already_exists(&key));
        }
        let uid = self.uid(&key);
        let created = Time(Timestamp::from_second(self.time().as_second()).unwrap_or_default());
        registry::prepare_for_create(&mut object, self.qos.as_ref());
        let meta = object.meta_mut();
        meta.uid = Some(uid);
        meta.creation_timestamp = Some(created);
        meta.deletion_timestamp = None;
        meta.deletion_grace_period_seconds = None;
        self.write(&key, &mut object)
    }

    /// Stores an object's new specification and metadata; its status stays.
    ///
    /// With a resource version the object must not have changed since; without one the last writer wins. An update
    /// that changes nothing is not written.
    pub fn update(&mut self, object: Object) -> Result<Arc<Stored>, Error> {
        self.replace(object, registry::prepare_for_update)
    }

    /// Stores an object's new status; everything else stays.
    pub fn update_status(&mut self, object: Object) -> Result<Arc<Stored>, Error> {
        self.replace(object, registry::prepare_for_status_update)
    }

    fn replace(&mut self, mut object: Object, prepare: fn(&mut Object, &Object)) -> Result<Arc<Stored>, Error> {
        let key = object.key();
        let old = self.get(&key)?.clone();
        let (new, there) = (object.meta(), old.object.meta());
        let moved = |mine: &Option<String>, theirs: &Option<String>| mine.is_some() && mine != theirs;
        if moved(&new.resource_version, &there.resource_version) {
            let why = "the object has been modified; please apply your changes to the latest version and try again";
            return Err(Error::conflict(&key, why));
        }
        if moved(&new.uid, &there.uid) {
            let why = format!(
                "Precondition failed: UID in precondition: {}, UID in object meta: {}",
                new.uid.as_deref().unwrap_or_default(),
                old.object.uid()
            );
            return Err(Error::conflict(&key, &why));
        }
        prepare(&mut object, &old.object);
        registry::validate_update(&object, &old.object)?;
        object.meta_mut().resource_version = old.object.meta().resource_version.clone();
        let meta = object.meta();
        let ended = meta.deletion_timestamp.is_some()
            && meta.finalizers.as_ref().is_none_or(Vec::is_empty)
            && meta.deletion_grace_period_seconds.unwrap_or(0) == 0;
        if ended {
            return self.remove(&key);
        }
        if object == old.object {
            return Ok(old);
        }
        self.write(&key, &mut object)
    }

    /// Changes parts of an object.
    pub fn patch(&mut self, key: &Key, patch: &Patch, status: bool) -> Result<Arc<Stored>, Error> {
        let object = patch.apply(key, self.get(key)?)?;
        if status { self.update_status(object) } else { self.update(object) }
    }

    /// Assigns a pod to a node (the `binding` subresource; `pkg/registry/core/pod/storage/storage.go`).
    pub fn bind(&mut self, namespace: &str, name: &str, node: &str) -> Result<Arc<Stored>, Error> {
        let key = Key::new(Kind::Pod, namespace, name);
        let mut pod: kit_api::core::Pod = self.fetch(namespace, name)?;
        let assigned = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
        if pod.metadata.deletion_timestamp.is_some() {
            return Err(Error::conflict(&key, &format!("pod {name} is being deleted, cannot be assigned to a host")));
        }
        if !assigned.is_empty() {
            return Err(Error::conflict(&key, &format!("pod {name} is already assigned to node {assigned:?}")));
        }
        pod.spec.get_or_insert_default().node_name = Some(node.into());
        registry::set_condition(&mut pod, "PodScheduled", "True", None, None, self.time());
        self.write(&key, &mut pod.into_object())
    }

    /// Deletes an object, or begins to: see [`DeleteOptions`]. The answer is the object as it is then.
    pub fn delete(&mut self, key: &Key, options: &DeleteOptions) -> Result<Arc<Stored>, Error> {
        let old = self.get(key)?.clone();
        if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != old.object.uid()) {
            let there = old.object.uid();
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {there}");
            return Err(Error::conflict(key, &why));
        }
        let mut object = match registry::begin_deletion(&old.object, options, self.time()) {
            Some(object) => object,
            None => return self.remove(key),
        };
        if object == old.object { Ok(old) } else { self.write(key, &mut object) }
    }

    /// Records an event, or counts one that was recorded before (`client-go/tools/record`).
    pub fn record(&mut self, about: &Object, kind: &str, reason: &str, message: &str) {
        let event = registry::event(about, kind, reason, message, &self.actor, self.time());
        let key = event.key();
        match self.state.get(&key).and_then(|there| there.get::<kit_api::core::Event>()) {
            Some(there) => {
                let mut again = there.clone();
                again.count = Some(again.count.unwrap_or(1) + 1);
                again.last_timestamp = Some(Time(self.time()));
                _ = self.write(&key, &mut again.into_object());
            }
            None => _ = self.create(event),
        }
    }

    fn write(&mut self, key: &Key, object: &mut Object) -> Result<Arc<Stored>, Error> {
        object.meta_mut().resource_version = None;
        self.store.txn(&[Op::Put { key: key.path(), value: object.encode() }]);
        self.follow(key)?;
        self.get(key).cloned()
    }

    fn remove(&mut self, key: &Key) -> Result<Arc<Stored>, Error> {
        self.store.txn(&[Op::Delete { key: key.path(), range_end: None }]);
        self.follow(key)?;
        let last = self.log.back().map(|change| change.object.clone());
        last.ok_or_else(|| Error::not_found(key))
    }

    /// Takes over what the store says has changed; all of it is about `key`, which was just written.
    fn follow(&mut self, key: &Key) -> Result<(), Error> {
        for event in self.store.events().into_iter().flat_map(|response| response.events) {
            if event.kv.key != key.path() {
                let message = format!("the store told of {} where {} was written", event.kv.key, key.path());
                return Err(Error { code: 500, reason: "InternalError", message, key: Some(key.clone()) });
            }
            let revision = event.kv.mod_revision;
            self.state.revision = revision;
            let objects = self.state.objects.entry(key.kind).or_default();
            let name = (key.namespace.clone(), key.name.clone());
            let (kind, object, previous) = match event.kind {
                EventKind::Put => {
                    let mut object = Object::decode(key.kind, &event.kv.value)
                        .map_err(|e| Error::bad_request(format!("the store's {} can't be read: {e}", key.path())))?;
                    object.meta_mut().resource_version = Some(revision.to_string());
                    let stored = Stored::new(object);
                    let previous = objects.insert(name, stored.clone());
                    (if previous.is_some() { ChangeKind::Modified } else { ChangeKind::Added }, stored, previous)
                }
                EventKind::Delete => {
                    let Some(previous) = objects.remove(&name) else { continue };
                    let mut last = previous.object.clone();
                    last.meta_mut().resource_version = Some(revision.to_string());
                    (ChangeKind::Deleted, Stored::new(last), Some(previous))
                }
            };
            self.log.push_back(Change { at: self.now, revision, kind, object, previous, by: self.actor.clone() });
        }
        Ok(())
    }

    fn compact(&mut self, revision: i64) {
        if let Err(StoreError::FutureRevision) = self.store.compact(revision.max(1)) {
            return;
        }
        while self.log.front().is_some_and(|change| change.revision < revision) {
            self.log.pop_front();
            self.dropped += 1;
        }
    }

    /// Random bits for one purpose, others each time.
    fn draw(&mut self, object: &str, reason: &str) -> u64 {
        let attempt = self.drawn.entry(format!("{reason} {object}")).or_default();
        *attempt += 1;
        self.random.bits(Purpose { component: "apiserver", object, reason, attempt: *attempt - 1 })
    }

    /// Five characters for `generateName` (`apiserver/pkg/storage/names/generate.go`).
    fn suffix(&mut self, base: &str) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut bits = self.draw(base, "name-suffix");
        let mut letters = || {
            let letter = LETTERS[(bits % LETTERS.len() as u64) as usize];
            bits /= LETTERS.len() as u64;
            char::from(letter)
        };
        (0..5).map(|_| letters()).collect()
    }

    fn uid(&mut self, key: &Key) -> String {
        let path = key.path();
        let (high, low) = (self.draw(&path, "uid"), self.draw(&path, "uid"));
        // Version 4, variant 1, as a random UUID has them.
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }
}
