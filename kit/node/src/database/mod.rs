//! A simulated database, so that one sees what a failover costs.
//!
//! A pod whose first image is called `database` is an [`instance`]: a log of numbered rows on its [disk](kit_client::disk), replicated by
//! streaming, with PostgreSQL's timelines. Its manager reads the object of the database as CloudNativePG's does, and promotes it, stops it
//! or lets it follow. A pod whose image is `database-client` is a [`client`] of the Service that is its first argument. All of them go on
//! once a second. Sources: `internal/management/controller` of `cloudnative-pg/cloudnative-pg`, and of PostgreSQL's documentation
//! "Log-Shipping Standby Servers" and "Continuous Archiving".

mod client;
mod instance;
#[cfg(test)]
mod tests;

use crate::kubelet::processes::{self, Process, Running};
use client::{Book, Client, View};
use instance::{Instance, Orders, Peer};
use kit_api::core::{PersistentVolumeClaim, Pod};
use kit_api::discovery::EndpointSlice;
use kit_api::volume;
use kit_apimachinery::object::{Key, Kind};
use kit_client::component::{Component, World};
use kit_client::database::{API_VERSION, CLUSTER, KIND, Reports, State};
use kit_client::disk::{self, Disks};
use kit_server::{Change, Patch};
use kit_time::agenda::Instant;
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What the images of instances and of clients are called.
pub const PROGRAM: &str = "database";
const CLIENT: &str = "database-client";
/// From one look to the next.
const TICK: Instant = Instant::seconds(1);

/// How databases behave in a cluster.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// How many rows a client writes each second.
    pub rows_per_second: u32,
    /// How many seconds a replica is behind, by the name of its pod. Others are one second behind, or none where commits wait for replicas.
    pub lag_seconds: BTreeMap<String, u32>,
}

impl Default for Shape {
    fn default() -> Self {
        Shape { rows_per_second: 10, lag_seconds: BTreeMap::new() }
    }
}

/// All instances of all databases, and their clients.
pub struct Databases {
    shape: Shape,
    running: processes::Shared,
    reports: Reports,
    shared: disk::Shared,
    /// The same while it works.
    disks: Disks,
    instances: BTreeMap<String, Instance>,
    clients: BTreeMap<String, Client>,
    books: BTreeMap<(String, String), Book>,
    /// What each node knows of Services; one that is cut off knows what it knew.
    views: BTreeMap<String, View>,
    next: Instant,
}

/// Whether two nodes hear each other.
pub(crate) fn reach(running: &Running, one: &str, other: &str) -> bool {
    let hears = |node: &str| running.nodes.get(node).copied();
    match one == other {
        true => hears(one).is_some(),
        false => hears(one) == Some(true) && hears(other) == Some(true),
    }
}

impl Databases {
    /// Databases in the pods that kubelets tell of; the operator reads the reports.
    pub fn new(shape: Shape, running: processes::Shared, reports: Reports, shared: disk::Shared) -> Self {
        Databases {
            shape,
            running,
            reports,
            shared,
            disks: Disks::default(),
            instances: BTreeMap::new(),
            clients: BTreeMap::new(),
            books: BTreeMap::new(),
            views: BTreeMap::new(),
            next: Instant::default(),
        }
    }

    fn tick(&mut self, world: &mut World<'_>) {
        let running = self.running.borrow().clone();
        self.begin_and_end(&running, world);
        let hears = |node: &str| running.nodes.get(node) == Some(&true) && world.server.outage().is_none();
        let heard: Vec<String> =
            self.instances.iter().filter(|(_, it)| hears(&it.process.node)).map(|(uid, _)| uid.clone()).collect();
        for uid in &heard {
            self.obey(uid, &running, world);
        }
        self.stop_who_is_alone(&heard, &running);
        self.serve_clients(&running, world);
        let confirmed = self.replicate(&running);
        for client in self.clients.values_mut() {
            client.hear(&self.instances, &confirmed, &mut self.books);
        }
        for instance in self.instances.values_mut() {
            instance.remember(&mut self.disks);
        }
        let report = |uid: &String| {
            let instance = self.instances.get(uid)?;
            Some((instance.process.pod.clone(), instance.report(&mut self.disks)))
        };
        *self.reports.borrow_mut() = heard.iter().filter_map(report).collect();
    }

    /// Processes that have ended lose what wasn't safe; new ones begin with what is on their disk.
    fn begin_and_end(&mut self, running: &Running, world: &World<'_>) {
        let runs =
            |uid: &str, process: &Process| running.processes.get(uid).is_some_and(|now| now.since == process.since);
        let ended: Vec<String> =
            self.instances.iter().filter(|(uid, it)| !runs(uid, &it.process)).map(|(uid, _)| uid.clone()).collect();
        for instance in ended.iter().filter_map(|uid| self.instances.remove(uid)) {
            self.disks.get(&instance.disk).crash();
        }
        if !ended.is_empty() {
            self.forget_disks(running, world);
        }
        self.clients.retain(|uid, client| runs(uid, &client.process));
        for instance in self.instances.values().filter(|it| it.orders.acknowledges_early) {
            self.disks.get(&instance.disk).sync();
        }
        for (uid, process) in &running.processes {
            match process.program.as_str() {
                PROGRAM if !self.instances.contains_key(uid) => {
                    let Some(database) = process.labels.get(CLUSTER) else { continue };
                    let database = (process.pod.namespace.to_string(), database.clone());
                    let disk = disk_of(uid, process, world);
                    self.instances.insert(uid.clone(), Instance::begin(process, database, disk, &mut self.disks));
                }
                CLIENT if !self.clients.contains_key(uid) => {
                    self.clients.insert(uid.clone(), Client::begin(process));
                }
                _ => {}
            }
        }
        let stopping = |uid: &str| running.processes.get(uid).is_some_and(|process| process.stopping);
        let asked: Vec<String> = self.instances.keys().filter(|uid| stopping(uid)).cloned().collect();
        asked.iter().for_each(|uid| self.shut_down(uid, running));
    }

    fn forget_disks(&mut self, running: &Running, world: &World<'_>) {
        let state = world.server.snapshot();
        let volumes = state.list(Kind::PersistentVolume).map(|stored| disk::of_volume(&stored.key.name));
        let pods = state.list(Kind::Pod).filter_map(|stored| stored.get::<Pod>()?.metadata.uid.as_deref());
        let pods = pods.chain(running.processes.keys().map(String::as_str)).map(disk::of_pod);
        let there: BTreeSet<String> = volumes.chain(pods).collect();
        // Snapshots are the business of those who made them.
        self.disks.retain(|name| there.contains(name) || name.starts_with(&disk::of_snapshot("")));
    }

    /// A primary stops in an orderly way: who follows it has all that it has.
    fn shut_down(&mut self, uid: &str, running: &Running) {
        let Some(instance) = self.instances.get_mut(uid) else { return };
        let was_primary = instance.state == State::Primary;
        instance.shut_down(&mut self.disks);
        if !was_primary {
            return;
        }
        let (log, node) = (instance.log.clone(), instance.process.node.clone());
        let follows = |it: &&mut Instance| it.source.as_ref().is_some_and(|source| source.uid == uid);
        for follower in self.instances.values_mut().filter(follows) {
            if reach(running, &node, &follower.process.node) {
                follower.receive(&log, &mut self.disks);
            }
            follower.source = None;
        }
    }

    /// The manager of an instance reads what the operator wants, and does its part.
    fn obey(&mut self, uid: &str, running: &Running, world: &mut World<'_>) {
        let Some(instance) = self.instances.get(uid) else { return };
        let Some(kind) = world.server.kind_of(API_VERSION, KIND) else { return };
        let key = Key::new(kind, &instance.database.0, &instance.database.1);
        let Ok(object) = world.server.get(&key).map(|stored| stored.to_value()) else { return };
        let orders = Orders::read(&object);
        let me = instance.name().to_string();
        let stopping = running.processes.get(uid).is_some_and(|process| process.stopping);
        let is_new = orders.current.is_none();
        let was_mine = orders.current.as_ref() == Some(&me);
        let is_mine = orders.target.as_ref() == Some(&me) && !stopping;
        let other_writes = self.instances.values().any(|other| {
            other.database == instance.database
                && other.state == State::Primary
                && other.name() != me
                && reach(running, &instance.process.node, &other.process.node)
        });
        let state = instance.state;
        if let Some(instance) = self.instances.get_mut(uid) {
            instance.orders = orders;
        }
        match state {
            State::Primary if !is_mine => self.shut_down(uid, running),
            State::Replica | State::Stopped if is_mine && (is_new || was_mine || !other_writes) => {
                let Some(instance) = self.instances.get_mut(uid) else { return };
                instance.promote(&mut self.disks);
                let status = json!({"status": {"currentPrimary": me, "timelineID": instance.timeline()}});
                instance.orders.current = Some(me);
                _ = world.server.patch(&key, &Patch::Merge(status), true);
            }
            State::Stopped if !is_new && !was_mine && !is_mine && !stopping => {
                self.instances.entry(uid.into()).and_modify(|instance| instance.state = State::Replica);
            }
            _ => {}
        }
    }

    /// Who hears neither the API server nor another instance for long enough stops itself (`.spec.probes.liveness.isolationCheck`).
    fn stop_who_is_alone(&mut self, heard: &[String], running: &Running) {
        let all: Vec<(String, (String, String), String)> = self
            .instances
            .iter()
            .map(|(uid, it)| (uid.clone(), it.database.clone(), it.process.node.clone()))
            .collect();
        for (uid, database, node) in &all {
            let hears = |(other, of, there): &(String, (String, String), String)| {
                other != uid && of == database && reach(running, node, there)
            };
            let is_alone = !heard.contains(uid) && !all.iter().any(hears);
            let Some(instance) = self.instances.get_mut(uid) else { continue };
            instance.alone = if is_alone { instance.alone + 1 } else { 0 };
            let most = instance.orders.isolation_seconds;
            if most.is_some_and(|most| instance.alone >= most) && instance.state == State::Primary {
                self.shut_down(uid, running);
            }
        }
    }

    fn serve_clients(&mut self, running: &Running, world: &World<'_>) {
        let view = view(world);
        let nodes = running.nodes.iter().filter(|(_, connected)| **connected);
        self.views.extend(nodes.map(|(node, _)| (node.clone(), view.clone())));
        for client in self.clients.values_mut() {
            let view = self.views.entry(client.process.node.clone()).or_default();
            client.connect(&self.instances, running, view);
            let rows = u64::from(self.shape.rows_per_second);
            client.write(rows, &mut self.instances, &mut self.books, &mut self.disks);
        }
    }

    /// Replicas follow the primary that they know. The answer says of each primary up to where it may confirm what was written.
    fn replicate(&mut self, running: &Running) -> BTreeMap<String, usize> {
        let primaries: Vec<(String, Instance)> = (self.instances.iter())
            .filter(|(_, it)| it.state == State::Primary)
            .map(|(uid, it)| (uid.clone(), it.clone()))
            .collect();
        for replica in self.instances.values_mut().filter(|it| it.state == State::Replica) {
            let is_source = |(_, it): &&(String, Instance)| {
                it.database == replica.database && replica.orders.current.as_deref() == Some(it.name())
            };
            let source = primaries.iter().find(is_source);
            let heard = source.filter(|(_, it)| reach(running, &replica.process.node, &it.process.node));
            let Some((uid, source)) = heard else {
                let before = replica.source.take();
                replica.source = before.and_then(|it| {
                    let reached = reach(running, &replica.process.node, &it.node);
                    it.unheard(reached)
                });
                continue;
            };
            if replica.source.as_ref().is_none_or(|before| before.uid != *uid) {
                replica.rewind(&source.log, &mut self.disks);
            }
            replica.source = Some(Peer { uid: uid.clone(), node: source.process.node.clone(), silent: 0 });
            let usual = u32::from(source.orders.synchronous == 0);
            let lag = self.shape.lag_seconds.get(replica.name()).copied().unwrap_or(usual);
            let sent = source.sent(lag, &mut self.disks);
            replica.receive(&source.log[..sent.min(source.log.len())], &mut self.disks);
        }
        let confirmed = |(uid, primary): &(String, Instance)| {
            let follows = |it: &&Instance| it.source.as_ref().is_some_and(|it| it.uid == *uid && it.silent == 0);
            let mut have: Vec<usize> = self.instances.values().filter(follows).map(|it| it.log.len()).collect();
            have.sort_unstable_by(|one, other| other.cmp(one));
            let by_replicas = match primary.orders.synchronous.checked_sub(1) {
                None => primary.log.len(),
                Some(last) => have.get(last).copied().unwrap_or(0),
            };
            (uid.clone(), by_replicas)
        };
        primaries.iter().map(confirmed).collect()
    }

    /// Rows that were acknowledged and that the only primary doesn't have.
    fn lost(&self, database: &(String, String)) -> Vec<u64> {
        let mut primaries = self.instances.values().filter(|it| it.database == *database && it.state == State::Primary);
        let (Some(primary), None, Some(book)) = (primaries.next(), primaries.next(), self.books.get(database)) else {
            return Vec::new();
        };
        let there: BTreeSet<u64> = primary.log.iter().filter_map(|entry| entry.row).collect();
        book.acknowledged.difference(&there).copied().collect()
    }
}

/// Where the records of an instance are.
fn disk_of(uid: &str, process: &Process, world: &World<'_>) -> String {
    let claim = |name: &String| world.server.fetch::<PersistentVolumeClaim>(&process.pod.namespace, name).ok();
    let claim = process.claim.as_ref().and_then(claim);
    match claim.as_ref().map(volume::volume_of).filter(|name| !name.is_empty()) {
        Some(volume) => disk::of_volume(volume),
        None => disk::of_pod(uid),
    }
}

/// The pods that are ready behind each Service.
fn view(world: &World<'_>) -> View {
    let mut view: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for slice in world.server.snapshot().list(Kind::EndpointSlice).filter_map(|stored| stored.get::<EndpointSlice>()) {
        let labels = slice.metadata.labels.as_ref();
        let Some(service) = labels.and_then(|labels| labels.get("kubernetes.io/service-name")) else { continue };
        let namespace = slice.metadata.namespace.clone().unwrap_or_default();
        let ready = slice.endpoints.iter().filter(|it| it.conditions.as_ref().is_some_and(|it| it.ready == Some(true)));
        let uids = ready.filter_map(|endpoint| endpoint.target_ref.as_ref()?.uid.clone());
        view.entry((namespace, service.clone())).or_default().extend(uids);
    }
    Rc::new(view)
}

/// `3–7, 9` of numbers in order.
fn ranges(numbers: &[u64]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let range = |(first, last): &(u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first}–{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(", ")
}

impl Component for Databases {
    fn name(&self) -> &'static str {
        "database"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Pod]
    }

    fn observe(&mut self, _: &Change, _: &mut World<'_>) {}

    fn run(&mut self, world: &mut World<'_>) {
        if world.now < self.next {
            return;
        }
        self.disks = self.shared.take();
        self.tick(world);
        self.shared.replace(std::mem::take(&mut self.disks));
        self.next = Instant { nanos: (world.now.nanos / TICK.nanos + 1) * TICK.nanos };
    }

    fn next_wake(&self) -> Option<Instant> {
        (!self.instances.is_empty() || !self.clients.is_empty() || !self.running.borrow().processes.is_empty())
            .then_some(self.next)
    }

    fn shows(&self) -> Vec<(String, String)> {
        let mut shown = Vec::new();
        let databases: BTreeSet<&(String, String)> = self.instances.values().map(|it| &it.database).collect();
        for database in databases {
            let subject = format!("database/{}", database.1);
            let primaries = self.instances.values().filter(|it| it.database == *database && it.state == State::Primary);
            let mut names: Vec<String> =
                primaries.map(|it| format!("{} on timeline {}", it.name(), it.timeline())).collect();
            names.sort();
            let names = if names.is_empty() { "nobody".into() } else { names.join(" and ") };
            shown.push((format!("{subject} accepts writes"), names));
            let lost = self.lost(database);
            if !lost.is_empty() {
                let rows = format!("{} acknowledged rows: {}", lost.len(), ranges(&lost));
                shown.push((format!("{subject} has lost"), rows));
            }
        }
        for client in self.clients.values() {
            let by = client.acknowledged_by.as_ref();
            let answer = by.map_or("no answer".into(), |name| format!("acknowledged by {name}"));
            shown.push((format!("writes of {}", client.process.pod.name), answer));
        }
        shown
    }
}
