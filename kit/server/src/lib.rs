//! The API server: the only component that talks to the store.
//!
//! A request is checked and completed ([`registry`]), written to the store as JSON, and comes back as an event of
//! the server's own watch. From those events the server keeps every object as it is now and a log of changes;
//! watches read the log at their own pace. [`Snapshot`] is the same state for readers beside the cluster.
//! Upstream: `staging/src/k8s.io/apiserver/pkg/registry/generic/registry/store.go` and `pkg/storage/cacher`.

mod admission;
pub mod allocate;
mod apiextensions;
mod apply;
mod auth;
mod backend;
mod commit;
mod delete;
mod diff;
pub mod field;
mod go;
mod handlers;
mod names;
mod patch;
mod recorder;
pub mod registry;
mod restore;
mod rules;
mod standing;
mod status;
pub mod trace;
mod typed;
mod versions;
mod write;

pub use admission::{COUNTED, Call, CallTarget, Caller, Known, Reply, Webhook};
pub use auth::tokens::{ISSUER, Seal, Signer};
pub use auth::{Credentials, User};
pub use backend::{Backend, Written};
pub use handlers::{
    Body, Connection, Container, Containers, Listing, LogOptions, Metrics, Proxied, Request, RequestInfo, Response,
    Streams, Watch, containers, targets, unescape,
};
pub use kit_apimachinery::schema;
pub use patch::Patch;
pub use status::Error;

use imbl::OrdMap;
use kit_api::jiff::Timestamp;
use kit_apimachinery::object::{AsKind, Key, Kind, Object};
use kit_apimachinery::resource::Resource;
use kit_contract::Modules;
use kit_contract::control_plane::{Admission, EventKind, Op, Store};
use kit_contract::failure::Disruption;
use kit_contract::node::Qos;
use kit_time::agenda::Instant;
use kit_time::random::{Purpose, Random};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

/// How long history is kept before it is compacted (`DefaultCompactInterval` of `storagebackend/config.go`).
const COMPACT_AFTER: Instant = Instant { nanos: 300_000_000_000 };
/// How long watches can go back, if much is written (`DefaultEventFreshDuration` of `cacher/watch_cache.go`, and
/// `resizeCacheLocked` there: a cache of events grows for what is younger, and what is older leaves it).
const FRESH: Instant = Instant::seconds(75);
/// So many changes are kept in any case. Upstream keeps a hundred or more of each resource, and here is one log for all.
const KEPT: usize = 10_000;

/// What a client asks of a delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// How long the object may take to end, in seconds; none for the object's own default.
    pub grace_period_seconds: Option<i64>,
    /// Delete only the object with this uid.
    pub uid: Option<String>,
    /// Delete only this version of the object.
    pub resource_version: Option<String>,
    /// Check everything and change nothing.
    pub dry_run: bool,
    /// What happens to what the object owns.
    pub propagation: Propagation,
}

/// What happens to the dependents of a deleted object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
pub enum Propagation {
    /// As the object's own finalizers have it, or else as `Background`.
    #[default]
    #[serde(skip)]
    Unsaid,
    /// As the object's own finalizers have it, or else as `Orphan`: what clients of Jobs have always been given.
    #[serde(skip)]
    OrphanIfUnsaid,
    /// The garbage collector deletes them afterwards.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
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
    /// Where it is found.
    pub key: Key,
    /// The object, with its resource version.
    pub object: Object,
    json: OnceLock<String>,
}

impl Stored {
    fn new(key: &Key, object: Object) -> Arc<Stored> {
        Arc::new(Stored { key: key.clone(), object, json: OnceLock::new() })
    }

    /// The object in JSON as Go writes it, encoded once for all readers.
    pub fn json(&self) -> &str {
        self.json.get_or_init(|| self.written().to_string())
    }

    /// The same as a value.
    pub fn to_value(&self) -> Value {
        // To read what was written is much less work than to write it anew.
        let read = self.json.get().and_then(|json| serde_json::from_str(json).ok());
        read.unwrap_or_else(|| self.written())
    }

    fn written(&self) -> Value {
        canonical(self.object.kind(), self.object.to_value())
    }

    /// The revision of its last write.
    fn revision(&self) -> i64 {
        let version = self.object.meta().resource_version.as_deref();
        version.and_then(|version| version.parse().ok()).unwrap_or_default()
    }

    /// The object as its type.
    pub fn get<T: AsKind>(&self) -> Option<&T> {
        T::of(&self.object)
    }
}

/// An object as Go writes it. Custom resources are written as they came.
pub(crate) fn canonical(kind: Kind, value: Value) -> Value {
    let resource = kind.resource();
    let of = if resource.custom { None } else { schema::of(&resource.group, &resource.kind) };
    match of {
        Some(of) => schema::fill(value, of),
        None => value,
    }
}

fn is_definition(kind: Kind) -> bool {
    kind.name() == "CustomResourceDefinition"
}

/// All objects at one revision. A copy costs nothing, and it never changes.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The revision.
    pub revision: i64,
    objects: BTreeMap<Kind, OrdMap<Key, Arc<Stored>>>,
    /// Whether the server doesn't answer.
    stopped: bool,
    /// Whether the default roles are among the objects; without them the table of them counts.
    keeps_roles: bool,
}

impl Snapshot {
    /// Whether this is what another one of the same server shows.
    pub fn is_as(&self, other: &Snapshot) -> bool {
        (self.revision, self.stopped) == (other.revision, other.stopped)
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<&Arc<Stored>> {
        self.objects.get(&key.kind)?.get(key)
    }

    /// The objects of a kind, by namespace and name.
    pub fn list(&self, kind: Kind) -> impl Iterator<Item = &Arc<Stored>> {
        self.objects.get(&kind).into_iter().flat_map(|objects| objects.values())
    }

    /// The objects of the kinds with a name, such as one that a definition defines.
    pub fn list_named<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Arc<Stored>> {
        self.objects.iter().filter(move |(there, _)| there.name() == kind).flat_map(|(_, objects)| objects.values())
    }

    /// The objects of a kind in one namespace, by name.
    pub fn list_in(&self, kind: Kind, namespace: &str) -> impl Iterator<Item = &Arc<Stored>> {
        self.list_from(kind, namespace, "")
    }

    /// The same, from a name on.
    fn list_from(&self, kind: Kind, namespace: &str, name: &str) -> impl Iterator<Item = &Arc<Stored>> {
        // No other namespace's name lies between a name and the same with a zero byte.
        let (from, to) = (Key::new(kind, namespace, name), Key::new(kind, &format!("{namespace}\0"), ""));
        let objects =
            self.objects.get(&kind).into_iter().flat_map(move |objects| objects.range(from.clone()..to.clone()));
        objects.map(|(_, stored)| stored)
    }

    /// The first object of a kind in this namespace or a later one, by name.
    fn first_from(&self, kind: Kind, namespace: &str) -> Option<&Arc<Stored>> {
        let objects = self.objects.get(&kind)?;
        objects.range(Key::new(kind, namespace, "")..).next().map(|(_, stored)| stored)
    }
}

/// The API server.
pub struct Server {
    store: Box<dyn Backend>,
    etcd: Option<commit::Etcd>,
    stopped: bool,
    full: bool,
    qos: Box<dyn Qos>,
    admission: Box<dyn Admission>,
    disruption: Box<dyn Disruption>,
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
    recorder: recorder::Recorder,
    /// The time and the revision at which history will be compacted next.
    compaction: (Instant, i64),
    /// Changes up to this revision can't be watched any more.
    horizon: i64,
    /// Nothing is known of what was before this revision.
    compacted: i64,
    /// What CustomResourceDefinitions define, by group, version and plural.
    custom: BTreeMap<(String, String, String), &'static Resource>,
    /// What other servers serve behind this one.
    aggregated: Vec<&'static Resource>,
    /// What the store has and can't be read, by key.
    unreadable: BTreeMap<String, Error>,
    /// Whether somebody else wrote between the last decision and its write.
    raced: bool,
    /// What signs the tokens of service accounts.
    signer: Arc<dyn Signer>,
    webhooks: Vec<Box<dyn Webhook>>,
    /// What is to be told to whoever sent the request that is answered now.
    warnings: Vec<String>,
    /// The same of the kind that it is about.
    deprecated: Vec<String>,
    /// In which other version it was sent.
    form: Option<versions::Form>,
    /// Who sent it, if it came with a user.
    caller: Option<User>,
    /// What admission tells the audit log of it.
    annotations: Vec<(String, String)>,
    policies: admission::Compiled,
    /// Whether admission has been asked about all that is done now.
    admitted: bool,
    hooks: admission::Hooks,
    /// Who collects spans, if somebody does.
    tracer: Option<Box<trace::Tracer>>,
    /// Whether pods get a volume with the token of their service account.
    pub mount_tokens: bool,
    /// Whether watches may ask for the first events (`WatchList`, off in 1.33 where it was recorded).
    pub watch_list: bool,
    /// Whether StatefulSets may say how many pods an update takes at once (`MaxUnavailableStatefulSet`, off in 1.33).
    pub max_unavailable: bool,
}

impl Server {
    /// A server over an empty store; the modules classify new pods, admit objects and decide on evictions. `epoch` is the
    /// calendar time at which the virtual clock stands at zero.
    pub fn new(store: Box<dyn Store>, modules: &Modules, random: Random, epoch: Timestamp) -> Server {
        let mut server = Server::over(Box::new(backend::Module(store)), modules, random, epoch);
        // A module never fails.
        _ = server.store.watch(0);
        server.bootstrap();
        server
    }

    /// A server over a store that may hold objects already: it goes on where the store was left. Its names and uids are
    /// others than those of earlier starts, even from the same chance.
    ///
    /// # Errors
    ///
    /// If the store can't be asked. An object that can't be read is no error: see [`Server::unreadable`].
    pub fn open(store: Box<dyn Backend>, modules: &Modules, random: Random, epoch: Timestamp) -> Result<Server, Error> {
        let mut server = Server::over(store, modules, random, epoch);
        server.load()?;
        let revision = server.state.revision;
        // Whatever was drawn before was written, and moved the revision.
        let start = Purpose { component: "apiserver", object: "", reason: "start", attempt: revision.unsigned_abs() };
        server.random = Random::new(random.bits(start));
        server.bootstrap();
        Ok(server)
    }

    fn over(store: Box<dyn Backend>, modules: &Modules, random: Random, epoch: Timestamp) -> Server {
        Server {
            store,
            etcd: None,
            stopped: false,
            full: false,
            qos: modules.qos.make(&()),
            admission: modules.admission.make(&()),
            disruption: modules.disruption.make(&()),
            state: Snapshot::default(),
            log: VecDeque::new(),
            dropped: 0,
            random,
            drawn: BTreeMap::new(),
            epoch,
            now: Instant::default(),
            actor: "".into(),
            recorder: recorder::Recorder::default(),
            compaction: (COMPACT_AFTER, 0),
            horizon: 0,
            compacted: 0,
            custom: BTreeMap::new(),
            aggregated: Vec::new(),
            unreadable: BTreeMap::new(),
            raced: false,
            signer: Arc::new(Seal::new(random)),
            webhooks: Vec::new(),
            warnings: Vec::new(),
            deprecated: Vec::new(),
            form: None,
            caller: None,
            annotations: Vec::new(),
            policies: admission::Compiled::new(),
            admitted: false,
            hooks: admission::Hooks::default(),
            tracer: None,
            mount_tokens: false,
            watch_list: false,
            max_unavailable: false,
        }
    }

    /// Asks this about each new pod from now on.
    pub fn ask(&mut self, webhook: Box<dyn Webhook>) {
        self.webhooks.push(webhook);
    }

    /// Lets this sign the tokens of service accounts from now on.
    pub fn sign_with(&mut self, signer: Arc<dyn Signer>) {
        self.signer = signer;
    }

    /// Moves the server's clock and says who asks from now on.
    pub fn enter(&mut self, now: Instant, actor: &Arc<str>) {
        self.now = now;
        self.actor = actor.clone();
        self.tracer.iter_mut().for_each(|tracer| tracer.enter());
        self.warnings.clear();
        self.let_etcd_pass(now);
        let (at, revision) = self.compaction;
        if now >= at {
            self.compact(revision);
            self.compaction = (at + COMPACT_AFTER, self.state.revision);
        }
    }

    /// Who is at work now.
    pub fn actor(&self) -> Arc<str> {
        self.actor.clone()
    }

    /// The calendar time at which the virtual clock stands at zero.
    pub fn epoch(&self) -> Timestamp {
        self.epoch
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

    fn write(&mut self, key: &Key, mut object: Object) -> Result<Arc<Stored>, Error> {
        object.meta_mut().resource_version = None;
        let op = Op::Put { key: key.path(), value: object.encode() };
        self.commit(key, op, Some(object))?;
        if is_definition(key.kind) {
            self.definition_written(key)?;
        }
        self.get(key).cloned()
    }

    fn remove(&mut self, key: &Key) -> Result<Arc<Stored>, Error> {
        self.commit(key, Op::Delete { key: key.path(), range_end: None }, None)?;
        let last = self.log.iter().rev().find(|change| change.object.key == *key).map(|change| change.object.clone());
        let last = last.ok_or_else(|| Error::not_found(key))?;
        if is_definition(key.kind) {
            self.definition_removed(&last.to_value());
        } else {
            self.instance_removed(key.kind)?;
        }
        Ok(last)
    }

    /// Takes over what the store says has changed; all of it is about `key`, at `path`, which was just written. `written` is
    /// the object and its JSON: where the store has that very text, it need not be read.
    fn follow(
        &mut self,
        key: &Key,
        path: &str,
        mut written: Option<(String, Object)>,
        by: &Arc<str>,
    ) -> Result<(), Error> {
        for event in self.store.events().map_err(Error::internal)? {
            let same = |json: &str| event.kind == EventKind::Put && json == event.kv.value;
            let mine = match &written {
                Some((json, _)) => same(json),
                None => event.kind == EventKind::Delete,
            };
            if self.store.shared() && !(mine && event.kv.key == path) {
                self.take_foreign(event);
                continue;
            }
            if event.kv.key != path {
                let message = format!("the store told of {} where {path} was written", event.kv.key);
                return Err(Error::internal(message));
            }
            let revision = event.kv.mod_revision;
            let stored = match event.kind {
                EventKind::Put => {
                    let object = match written.take_if(|(json, _)| *json == event.kv.value) {
                        Some((_, object)) => object.at_revision(revision),
                        None => commit::decode(key, &event.kv.value, revision)?,
                    };
                    Some(Stored::new(key, object))
                }
                EventKind::Delete => None,
            };
            self.apply(key, stored, revision, by);
        }
        Ok(())
    }

    /// Compacts the store at its last revision, as an operator may (`etcdctl compact`).
    pub fn forget_history(&mut self) {
        self.compact(self.state.revision);
    }

    fn compact(&mut self, revision: i64) {
        if !self.store.compact(revision.max(1)) {
            return;
        }
        while self.log.front().is_some_and(|change| change.revision < revision) {
            self.drop_first();
        }
        self.horizon = self.horizon.max(revision);
        self.compacted = self.compacted.max(revision);
    }

    /// Drops the oldest change from the log; whoever has not seen it has to list again.
    fn drop_first(&mut self) {
        if let Some(change) = self.log.pop_front() {
            self.dropped += 1;
            self.horizon = self.horizon.max(change.revision);
        }
    }
}
