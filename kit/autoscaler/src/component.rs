//! The loop (`RunOnce` of `core/static_autoscaler.go`): first more nodes, and where none are needed fewer.

use crate::cloud::{Group, Shared};
use crate::expander::{Circumstances, pick};
use crate::removal::{self, Removals};
use crate::scale_down::{Look, Planner};
use crate::scale_up::{self, Choice};
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::status::{Counts, Said, Status};
use kit_api::core::{Node, Pod as ApiPod};
use kit_api::policy::PodDisruptionBudget;
use kit_api::{Name, apps::DaemonSet, node, pod};
use kit_apimachinery::object::Kind;
use kit_client::component::{Component, World};
use kit_contract::Modules;
use kit_scheduler::class::Pod;
use kit_server::Change;
use kit_time::agenda::Instant;
use kit_time::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Pods that are all younger than this wait for one look more: others may come (`unschedulablePodTimeBuffer`).
const YOUNG: i64 = 2;
/// How long a group gets no more machines after the cloud refused, doubled each time (`--initial-node-group-backoff-duration`,
/// `--max-node-group-backoff-duration`, `--node-group-backoff-reset-timeout`).
const BACKOFF: Instant = Instant::seconds(300);
const MOST_BACKOFF: Instant = Instant::seconds(1800);
const BACKOFF_RESET: Instant = Instant::seconds(3 * 3600);

/// Keeps the number of nodes.
pub struct ClusterAutoscaler {
    settings: Settings,
    cloud: Shared,
    snapshot: Snapshot,
    planner: Planner,
    removals: Removals,
    status: Status,
    random: Random,
    scans: u64,
    next: Instant,
    last_scale_up: Option<Instant>,
    last_failure: Option<Instant>,
    backoff: BTreeMap<String, Backoff>,
}

struct Backoff {
    until: Instant,
    lasts: Instant,
    why: String,
}

/// The nodes of groups, by what can be said of them.
#[derive(Default)]
struct Nodes<'a> {
    counts: BTreeMap<String, Counts>,
    /// Those that are ready, with their group.
    ready: Vec<(&'a Node, String)>,
}

impl ClusterAutoscaler {
    /// An autoscaler for this cloud, which asks the scheduler's modules.
    pub fn new(settings: Settings, cloud: Shared, modules: &Modules, random: Random) -> Self {
        ClusterAutoscaler {
            settings,
            cloud,
            snapshot: Snapshot::new(modules),
            planner: Planner::default(),
            removals: Removals::default(),
            status: Status::default(),
            random,
            scans: 0,
            next: Instant::default(),
            last_scale_up: None,
            last_failure: None,
            backoff: BTreeMap::new(),
        }
    }

    fn scan(&mut self, world: &mut World<'_>) {
        self.scans += 1;
        self.backoff.retain(|_, backoff| world.now < backoff.until + BACKOFF_RESET);
        let groups = self.cloud.borrow().groups();
        let nodes = self.nodes(world);
        let mark = self.snapshot.mark();
        let scaled = self.scale_up(&groups, &nodes, world);
        self.snapshot.revert(mark);
        if scaled == Scaled::No || scaled == Scaled::Waits {
            let mark = self.snapshot.mark();
            self.plan(&groups, &nodes, world);
            self.snapshot.revert(mark);
            let cools = |last: Option<Instant>, span: Instant| last.is_some_and(|last| last + span > world.now);
            let in_cooldown = scaled == Scaled::Waits
                || cools(self.last_scale_up, self.settings.scale_down_delay_after_add)
                || cools(self.last_failure, self.settings.scale_down_delay_after_failure);
            if !in_cooldown {
                self.scale_down(&groups, world);
            }
            let unneeded: BTreeSet<&str> = self.planner.unneeded().keys().map(String::as_str).collect();
            removal::avoid(&unneeded, world);
        }
        let groups = self.cloud.borrow().groups();
        let said: Vec<Said> = groups.into_iter().map(|group| self.say(group, &nodes, world.now)).collect();
        self.status.write(&said, world);
    }

    /// What there is of each group.
    fn nodes<'a>(&self, world: &World<'a>) -> Nodes<'a> {
        let cloud = self.cloud.borrow();
        let mut nodes = Nodes::default();
        for node in world.cache.all::<Node>() {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let Some(group) = cloud.group_of(name) else { continue };
            let counts = nodes.counts.entry(group.clone()).or_default();
            if self.removals.has(name) {
                counts.being_deleted += 1;
            } else if node::has_taint(node, node::UNINITIALIZED) || node::condition(node, "Ready").is_none() {
                // It has registered, and isn't ready for pods yet (`StartupTaint` for clouds).
                counts.not_started += 1;
            } else if !node::is_ready(node) {
                counts.unready += 1;
            } else {
                counts.ready += 1;
                nodes.ready.push((node, group));
            }
        }
        nodes
    }

    /// The pods that the scheduler found no node for, as far as machines that are to come don't have room for them.
    fn waiting(&mut self, groups: &[Group], nodes: &Nodes<'_>, daemons: &[ApiPod], world: &World<'_>) -> Vec<ApiPod> {
        let mut open: Vec<Name> =
            world.cache.all::<Node>().filter_map(|node| node.metadata.name.as_ref().map(Name::from)).collect();
        for group in groups {
            let counts = nodes.counts.get(&group.name).copied().unwrap_or_default();
            let there = counts.ready + counts.unready + counts.being_deleted;
            for _ in there..group.target {
                open.push(self.snapshot.add(&group.template, daemons));
            }
        }
        let mut waiting: Vec<&ApiPod> = world.cache.all::<ApiPod>().filter(|api| is_unschedulable(api)).collect();
        let priority = |api: &ApiPod| api.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
        waiting.sort_by_key(|api| {
            (-i64::from(priority(api)), api.metadata.creation_timestamp.clone(), api.metadata.name.clone())
        });
        let mut left = Vec::new();
        for api in waiting {
            let pod = self.snapshot.pod(api);
            match self.snapshot.first_fit(&pod, &open) {
                Some(node) => self.snapshot.place(&pod, node),
                None => left.push(api.clone()),
            }
        }
        left
    }

    fn scale_up(&mut self, groups: &[Group], nodes: &Nodes<'_>, world: &mut World<'_>) -> Scaled {
        let daemons = daemons(world);
        let waiting = self.waiting(groups, nodes, &daemons, world);
        if waiting.is_empty() {
            return Scaled::No;
        }
        let now = world.time();
        let is_young = |api: &ApiPod| {
            let made = api.metadata.creation_timestamp.as_ref();
            made.is_some_and(|made| now.duration_since(made.0).as_secs() < YOUNG)
        };
        if waiting.iter().all(is_young) {
            return Scaled::Waits;
        }
        let pods: Vec<Rc<Pod>> = waiting.iter().map(|api| self.snapshot.pod(api)).collect();
        let unfit = |group: &Group| {
            let backs_off = self.backoff.get(&group.name).is_some_and(|backoff| backoff.until > world.now);
            let is_full = || (group.target >= group.max).then_some("max node group size reached");
            if backs_off { Some("in backoff after failed scale-up") } else { is_full() }
        };
        let found = scale_up::choices(&mut self.snapshot, &pods, groups, &daemons, unfit);
        let circumstances =
            Circumstances { world, nodes: world.cache.all::<Node>().count(), chance: (self.random, self.scans) };
        let Some(choice) = pick(&self.settings.expander, found.choices.clone(), &circumstances) else {
            for (api, pod) in waiting.iter().zip(&pods) {
                let message = format!("pod didn't trigger scale-up: {}", found.why_not(pod));
                world.server.record(api, "Normal", "NotTriggerScaleUp", &message);
            }
            return Scaled::No;
        };
        self.order(&choice, &waiting, world)
    }

    fn order(&mut self, choice: &Choice, waiting: &[ApiPod], world: &mut World<'_>) -> Scaled {
        let Group { name, target, max, .. } = &choice.group;
        let size = (target + choice.nodes).min(*max);
        let ordered = self.cloud.borrow_mut().increase(name, size - target, world.now);
        if let Err(why) = ordered {
            let lasts = self.backoff.get(name).map_or(BACKOFF, |known| (known.lasts + known.lasts).min(MOST_BACKOFF));
            let message = format!("Scale-up failed for group {name}: {why}");
            Status::tell("Warning", "FailedToScaleUpGroup", &message, world);
            self.backoff.insert(name.clone(), Backoff { until: world.now + lasts, lasts, why });
            return Scaled::Failed;
        }
        let message = format!("Scale-up: group {name} size set to {size} instead of {target} (max: {max})");
        Status::tell("Normal", "ScaledUpGroup", &message, world);
        let helped: BTreeSet<&str> = choice.pods.iter().map(|pod| &*pod.key).collect();
        for api in waiting {
            let meta = &api.metadata;
            let key = [&meta.namespace, &meta.name].map(|part| part.clone().unwrap_or_default()).join("/");
            if helped.contains(key.as_str()) {
                let message = format!("pod triggered scale-up: [{{{name} {target}->{size} (max: {max})}}]");
                world.server.record(api, "Normal", "TriggeredScaleUp", &message);
            }
        }
        self.last_scale_up = Some(world.now);
        Scaled::Up
    }

    /// Finds out which nodes nobody needs.
    fn plan(&mut self, groups: &[Group], nodes: &Nodes<'_>, world: &World<'_>) {
        let mut pods: BTreeMap<&str, Vec<&ApiPod>> = BTreeMap::new();
        for api in world.cache.all::<ApiPod>() {
            if let Some(node) = pod::node_name(api) {
                pods.entry(node).or_default().push(api);
            }
        }
        let room =
            |name: &str| groups.iter().find(|group| group.name == name).is_some_and(|group| group.target > group.min);
        let goes = |node: &Node| self.removals.has(node.metadata.name.as_deref().unwrap_or_default());
        let stays = world.cache.all::<Node>().filter(|node| node::is_ready(node) && !goes(node));
        let look = Look {
            now: world.now,
            time: world.time(),
            candidates: nodes.ready.iter().filter(|(_, group)| room(group)).cloned().collect(),
            destinations: stays.filter_map(|node| node.metadata.name.as_ref().map(Name::from)).collect(),
            pods,
            budgets: world.cache.all::<PodDisruptionBudget>().collect(),
        };
        self.planner.look(look, &mut self.snapshot, &self.settings);
    }

    fn scale_down(&mut self, groups: &[Group], world: &mut World<'_>) {
        let of = |node: &str| self.cloud.borrow().group_of(node);
        let removable = self.planner.removable(groups, of, world.now, &self.settings);
        let all = removable.clone();
        for name in self.removals.begin(removable, world) {
            let Some((_, unneeded)) = all.iter().find(|(there, _)| *there == name) else { continue };
            let (reason, message) = if unneeded.pods.is_empty() {
                ("ScaleDownEmpty", format!("Scale-down: removing empty node {name:?}"))
            } else {
                let pods: Vec<&str> = unneeded.pods.iter().map(|(_, pod)| pod.as_str()).collect();
                let (share, pods) = (unneeded.utilization * 100.0, pods.join(","));
                (
                    "ScaleDown",
                    format!("Scale-down: removing node {name}, utilization: {share:.0} %, pods to reschedule: {pods}"),
                )
            };
            Status::tell("Normal", reason, &message, world);
            self.planner.forget(&name);
        }
    }

    fn say(&self, group: Group, nodes: &Nodes<'_>, now: Instant) -> Said {
        let mut counts = nodes.counts.get(&group.name).copied().unwrap_or_default();
        let there = counts.ready + counts.unready + counts.being_deleted + counts.not_started;
        counts.unregistered = group.target.saturating_sub(there);
        let mut unneeded = self.planner.unneeded().keys();
        let cloud = self.cloud.borrow();
        let is_of = |node: &&String| cloud.group_of(node).as_ref() == Some(&group.name);
        Said {
            in_progress: counts.unregistered + counts.not_started > 0,
            backoff: self
                .backoff
                .get(&group.name)
                .filter(|backoff| backoff.until > now)
                .map(|backoff| backoff.why.clone()),
            candidates: unneeded.by_ref().filter(is_of).count(),
            counts,
            group,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scaled {
    /// Nothing was to be done, or nothing could be.
    No,
    /// The pods are too young.
    Waits,
    Up,
    Failed,
}

/// A pod for each DaemonSet, as a new node would have it.
fn daemons(world: &World<'_>) -> Vec<ApiPod> {
    let of = |set: &DaemonSet| {
        let template = set.spec.as_ref()?.template.clone();
        let mut metadata = template.metadata.unwrap_or_default();
        metadata.namespace = set.metadata.namespace.clone();
        Some(ApiPod { metadata, spec: template.spec, status: None })
    };
    world.cache.all::<DaemonSet>().filter_map(of).collect()
}

fn is_unschedulable(api: &ApiPod) -> bool {
    let waits = pod::condition(api, "PodScheduled");
    let waits = waits.is_some_and(|c| c.status == "False" && c.reason.as_deref() == Some("Unschedulable"));
    waits && pod::node_name(api).is_none() && pod::is_active(api)
}

impl Component for ClusterAutoscaler {
    fn name(&self) -> &'static str {
        "cluster-autoscaler"
    }

    fn watches(&self) -> &'static [Kind] {
        &[
            Kind::Pod,
            Kind::Node,
            Kind::Namespace,
            Kind::Service,
            Kind::ReplicaSet,
            Kind::StatefulSet,
            Kind::DaemonSet,
            Kind::PodDisruptionBudget,
            Kind::PersistentVolumeClaim,
            Kind::PersistentVolume,
            Kind::StorageClass,
            Kind::CSINode,
        ]
    }

    fn observe(&mut self, change: &Change, _world: &mut World<'_>) {
        self.snapshot.see(change);
    }

    fn run(&mut self, world: &mut World<'_>) {
        let (failed, told) = self.removals.run(&self.cloud, world);
        if failed {
            self.last_failure = Some(world.now);
        }
        told.iter().for_each(|(reason, message)| Status::tell("Normal", reason, message, world));
        if world.now >= self.next {
            self.scan(world);
            self.next = world.now + self.settings.scan_interval;
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        [Some(self.next), self.removals.due()].into_iter().flatten().min()
    }

    fn shows(&self) -> Vec<(String, String)> {
        let cloud = self.cloud.borrow();
        let groups = cloud.groups().into_iter().map(|group| {
            let Group { name, min, max, target, .. } = group;
            (format!("group/{name}"), format!("{target} machines, {min} to {max}"))
        });
        let needed = self.planner.needed().iter();
        let needed = needed.filter(|(_, why)| !why.starts_with("NotUnderutilized"));
        let needed = needed.map(|(node, why)| (format!("kept/{node}"), why.clone()));
        groups.chain(needed).collect()
    }
}
