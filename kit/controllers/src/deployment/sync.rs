//! One look at a Deployment.
//!
//! Source: `syncDeployment` of `pkg/controller/deployment/deployment_controller.go` and `sync.go`. Upstream writes the
//! status several times in one sync, and starts again where that conflicts; here it is written once, at the end.

use super::revision::{self, DESIRED_REPLICAS, HASH, MAX_REPLICAS, REVISION};
use super::{claim, pods_of, rollback, status};
use crate::names::Name;
use kit_api::apps::{Deployment, ReplicaSet, ReplicaSetSpec};
use kit_api::int_or_percent::IntOrString;
use kit_api::jiff::Timestamp;
use kit_api::meta::{LabelSelector, ObjectMeta};
use kit_api::owner::controller_of;
use kit_api::pod;
use kit_apimachinery::object::{About, AsKind, Key, Kind};
use kit_client::component::World;
use kit_contract::workloads::rollback::Annotations;
use kit_contract::workloads::rolling_update::{
    Action, Fenceposts, ReplicaSetView, RollingUpdate, Strategy, SyncRequest,
};
use kit_contract::workloads::{DeploymentController, DeploymentHistory};
use kit_server::{DeleteOptions, Error};
use kit_time::agenda::Instant;

/// What a sync knows.
pub(super) struct Sync<'a, 'w> {
    pub deployment: Deployment,
    /// The Deployment's replica sets as they were found, the oldest first.
    pub sets: Vec<ReplicaSet>,
    /// Which one has its template.
    new: Option<usize>,
    strategy: Strategy,
    posts: Fenceposts,
    history: &'a dyn DeploymentHistory,
    pub world: &'a mut World<'w>,
}

/// Looks at a Deployment. The answer is when to look again even if nothing happens.
pub fn sync(
    module: &dyn DeploymentController,
    history: &dyn DeploymentHistory,
    name: &Name,
    world: &mut World<'_>,
) -> Result<Option<Instant>, Error> {
    let Some(deployment) = world.cache.fetch::<Deployment>(&name.0, &name.1).cloned() else {
        return Ok(None);
    };
    let before = deployment.clone();
    if selector(&deployment) == LabelSelector::default() {
        let message = "This deployment is selecting all pods. A non-empty selector is required.";
        world.server.record(&deployment, "Warning", "SelectingAll", message);
        return Ok(None);
    }
    let sets = claim(&deployment, world);
    let new = find_new(history, &deployment, &sets);
    let strategy = strategy(&deployment);
    let posts = match &strategy {
        Strategy::RollingUpdate(update) => module.fenceposts(update, replicas(&deployment)),
        Strategy::Recreate => Fenceposts::default(),
    };
    let mut sync = Sync { deployment, sets, new, strategy, posts, history, world };
    if before.metadata.deletion_timestamp.is_some() {
        sync.follow_revision()?;
        return sync.write_status(&before, false);
    }
    let now = sync.now();
    status::note_pause(&mut sync.deployment, now);
    sync.follow_revision()?;
    let scaling = sync.is_scaling();
    let request = sync.request();
    if let Some(revision) = rollback::wanted(&sync.deployment).filter(|_| !request.paused) {
        // The template of now becomes a revision before it is left.
        let actions = module.sync(&rollback::creating(request)).actions;
        let create = actions.into_iter().filter(|action| matches!(action, Action::CreateNew { .. }));
        sync.act(&create.collect::<Vec<_>>(), false)?;
        return sync.roll_back(revision, &before).map(|()| None);
    }
    let actions = module.sync(&request).actions;
    if let Err(error) = sync.act(&actions, scaling) {
        // What was noted of it is for the user to see, even if the rest has to wait.
        if sync.deployment != before {
            _ = sync.world.server.update_status(sync.deployment.into_object());
        }
        return Err(error);
    }
    sync.clean_up(&actions, scaling)?;
    sync.write_status(&before, !scaling)
}

/// Which of the sets has the Deployment's template.
fn find_new(history: &dyn DeploymentHistory, deployment: &Deployment, sets: &[ReplicaSet]) -> Option<usize> {
    let views: Vec<_> = sets.iter().map(revision::view).collect();
    let name = history.new_set(&deployment.spec.as_ref()?.template, &views)?;
    sets.iter().position(|set| set.metadata.name.as_ref() == Some(&name))
}

fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn size(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn selector(deployment: &Deployment) -> LabelSelector {
    deployment.spec.as_ref().map(|spec| spec.selector.clone()).unwrap_or_default()
}

fn strategy(deployment: &Deployment) -> Strategy {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.clone()).unwrap_or_default();
    if strategy.type_.as_deref() == Some("Recreate") {
        return Strategy::Recreate;
    }
    let rolling = strategy.rolling_update.unwrap_or_default();
    let or_zero = |value: Option<IntOrString>| value.unwrap_or(IntOrString::Int(0));
    Strategy::RollingUpdate(RollingUpdate {
        max_surge: or_zero(rolling.max_surge),
        max_unavailable: or_zero(rolling.max_unavailable),
    })
}

impl Sync<'_, '_> {
    fn now(&self) -> Timestamp {
        // Times of the API are whole seconds.
        Timestamp::from_second(self.world.time().as_second()).unwrap_or_default()
    }

    fn old(&self) -> impl Iterator<Item = &ReplicaSet> {
        let sets = self.sets.iter().enumerate();
        sets.filter(|(index, _)| Some(*index) != self.new).map(|(_, set)| set)
    }

    /// The annotations of the new set, which has these now.
    fn annotations(&self, now: &ObjectMeta) -> Annotations {
        let old: Vec<_> = self.old().map(revision::view).collect();
        let deployment = revision::annotations(&self.deployment.metadata);
        self.history.annotate(&deployment, &revision::annotations(now), &old)
    }

    /// Brings the annotations of an existing new set up to date, or else the Deployment's revision to that of the set: one
    /// after the other, in two looks (`getNewReplicaSet`).
    fn follow_revision(&mut self) -> Result<(), Error> {
        let Some(index) = self.new else { return Ok(()) };
        let mut set = self.sets[index].clone();
        set.metadata.annotations = Some(self.annotations(&set.metadata));
        let min_ready_seconds = self.deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds);
        let before = set.spec.get_or_insert_default().min_ready_seconds;
        let as_before = before.unwrap_or(0) == min_ready_seconds.unwrap_or(0);
        if !as_before || set.metadata.annotations != Some(revision::annotations(&self.sets[index].metadata)) {
            set.spec.get_or_insert_default().min_ready_seconds = min_ready_seconds;
            self.sets[index] = self.update(set)?;
            return Ok(());
        }
        let set = &self.sets[index];
        let name = set.metadata.name.clone().unwrap_or_default();
        if let Some(revision) = set.metadata.annotations.as_ref().and_then(|all| all.get(REVISION)).cloned() {
            self.deployment.metadata.annotations.get_or_insert_default().insert(REVISION.into(), revision);
        }
        let now = self.now();
        status::note_found(&mut self.deployment, &name, now);
        Ok(())
    }

    fn update(&mut self, set: ReplicaSet) -> Result<ReplicaSet, Error> {
        let updated = self.world.server.update(set.clone().into_object())?;
        Ok(updated.get().cloned().unwrap_or(set))
    }

    /// Whether the Deployment is paused, or got another number of replicas since a set was last sized
    /// (`isScalingEvent`). It is the module that decides by this; here it says which status is written.
    fn is_scaling(&self) -> bool {
        let resized = |set: &&ReplicaSet| {
            let desired = revision::number(&set.metadata, DESIRED_REPLICAS);
            desired.is_some_and(|desired| desired != replicas(&self.deployment))
        };
        self.is_paused() || self.sets.iter().filter(|set| size(set) > 0).any(|set| resized(&set))
    }

    fn is_paused(&self) -> bool {
        self.deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or(false)
    }

    fn request(&self) -> SyncRequest {
        let there = self.deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
        let view = |(index, set): (usize, &ReplicaSet)| ReplicaSetView {
            name: set.metadata.name.clone().unwrap_or_default(),
            new: Some(index) == self.new,
            replicas: size(set),
            available: set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0),
            desired_replicas: revision::number(&set.metadata, DESIRED_REPLICAS),
            max_replicas: revision::number(&set.metadata, MAX_REPLICAS).filter(|most| *most != 0).unwrap_or(there),
        };
        SyncRequest {
            replicas: replicas(&self.deployment),
            paused: self.is_paused(),
            strategy: self.strategy.clone(),
            replica_sets: self.sets.iter().enumerate().map(view).collect(),
            old_pods_running: self.strategy == Strategy::Recreate && self.old_pods_running(),
        }
    }

    /// Whether old pods may still be running (`oldPodsRunning` of `recreate.go`).
    fn old_pods_running(&self) -> bool {
        let new = self.new.and_then(|index| self.sets[index].metadata.uid.as_deref());
        let old = |pod: &&kit_api::core::Pod| controller_of(&pod.metadata).is_some_and(|o| Some(o.uid.as_str()) != new);
        self.old().any(|set| set.status.as_ref().is_some_and(|status| status.replicas > 0))
            || pods_of(self.world.cache, &self.deployment.metadata).filter(old).any(|pod| !pod::is_finished(pod))
    }

    fn act(&mut self, actions: &[Action], scaling: bool) -> Result<(), Error> {
        // The status counts what was found: sets are changed beside it.
        let mut sized = self.sets.clone();
        for action in actions {
            match action {
                Action::CreateNew { replicas } if self.new.is_none() => self.create(*replicas)?,
                Action::CreateNew { .. } => {}
                Action::Scale { name, replicas } => {
                    // A module may name sets that don't exist; then there is nothing to do.
                    if let Some(set) = sized.iter_mut().find(|set| set.metadata.name.as_ref() == Some(name)) {
                        *set = self.scale(set, *replicas)?;
                    }
                }
            }
        }
        // Sets that keep their size in proportion are told of the new number all the same.
        let active: Vec<usize> = (0..sized.len()).filter(|index| size(&self.sets[*index]) > 0).collect();
        if scaling && active.len() > 1 && self.strategy != Strategy::Recreate {
            for index in active {
                self.scale(&sized[index], size(&sized[index]))?;
            }
        }
        Ok(())
    }

    /// Gives a set another size and says for which number of replicas (`scaleReplicaSet`).
    fn scale(&mut self, set: &ReplicaSet, replicas: i32) -> Result<ReplicaSet, Error> {
        let mut scaled = set.clone();
        let before = size(set);
        scaled.spec.get_or_insert_default().replicas = Some(replicas);
        self.annotate_size(&mut scaled);
        if scaled == *set {
            return Ok(scaled);
        }
        let scaled = self.update(scaled)?;
        if before != replicas {
            let way = if replicas > before { "up" } else { "down" };
            let name = scaled.metadata.name.as_deref().unwrap_or_default();
            self.record(
                "Normal",
                "ScalingReplicaSet",
                &format!("Scaled {way} replica set {name} from {before} to {replicas}"),
            );
        }
        Ok(scaled)
    }

    fn annotate_size(&self, set: &mut ReplicaSet) {
        let desired = replicas(&self.deployment);
        let annotations = set.metadata.annotations.get_or_insert_default();
        annotations.insert(DESIRED_REPLICAS.into(), desired.to_string());
        annotations.insert(MAX_REPLICAS.into(), desired.saturating_add(self.posts.surge).to_string());
    }

    /// Creates the set for the template of now, or finds that it is there already and the cache didn't know.
    fn create(&mut self, replicas: i32) -> Result<(), Error> {
        let set = self.new_set(replicas);
        let name = set.metadata.name.clone().unwrap_or_default();
        let now = self.now();
        let revision = set.metadata.annotations.as_ref().and_then(|all| all.get(REVISION)).cloned();
        let (set, is_new) = match self.world.server.create(set.into_object()) {
            Ok(created) => (created.get::<ReplicaSet>().cloned(), true),
            Err(error) if error.reason == "AlreadyExists" => {
                let namespace = self.deployment.metadata.namespace.clone().unwrap_or_default();
                let there: ReplicaSet =
                    self.world.cache.fetch(&namespace, &name).cloned().ok_or_else(|| error.clone())?;
                if !self.is_ours(&there) {
                    // Another template has this hash: the next attempt takes another name.
                    *self.deployment.status.get_or_insert_default().collision_count.get_or_insert(0) += 1;
                    return Err(error);
                }
                (Some(there), false)
            }
            Err(error) => {
                let message = format!("Failed to create new replica set {name:?}: {error}");
                status::note(&mut self.deployment, "False", "ReplicaSetCreateError", message.clone(), now);
                self.record("Warning", "ReplicaSetCreateError", &message);
                return Err(error);
            }
        };
        if is_new {
            if replicas > 0 {
                let message = format!("Scaled up replica set {name} from 0 to {replicas}");
                self.record("Normal", "ScalingReplicaSet", &message);
            }
            let message = format!("Created new replica set {name:?}");
            status::note(&mut self.deployment, "True", "NewReplicaSetCreated", message, now);
        }
        let revision = revision.map(|revision| (REVISION.into(), revision));
        self.deployment.metadata.annotations.get_or_insert_default().extend(revision);
        self.new = Some(self.sets.len());
        self.sets.extend(set);
        Ok(())
    }

    fn new_set(&self, replicas: i32) -> ReplicaSet {
        let meta = &self.deployment.metadata;
        let spec = self.deployment.spec.clone().unwrap_or_default();
        let collisions = self.deployment.status.as_ref().and_then(|status| status.collision_count);
        let hash = revision::hash(&spec.template, collisions);
        let mut template = spec.template;
        let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
        labels.insert(HASH.into(), hash.clone());
        let labels = labels.clone();
        let mut selector = spec.selector;
        selector.match_labels.get_or_insert_default().insert(HASH.into(), hash.clone());
        let mut set = ReplicaSet {
            metadata: ObjectMeta {
                name: Some(format!("{}-{hash}", meta.name.as_deref().unwrap_or_default())),
                namespace: meta.namespace.clone(),
                labels: Some(labels),
                owner_references: Some(vec![About::from(&self.deployment).controller_ref()]),
                ..ObjectMeta::default()
            },
            spec: Some(ReplicaSetSpec {
                replicas: Some(replicas),
                min_ready_seconds: spec.min_ready_seconds,
                selector,
                template: Some(template),
            }),
            status: None,
        };
        set.metadata.annotations = Some(self.annotations(&set.metadata));
        self.annotate_size(&mut set);
        set
    }

    fn is_ours(&self, set: &ReplicaSet) -> bool {
        let own = controller_of(&set.metadata).is_some_and(|o| Some(&o.uid) == self.deployment.metadata.uid.as_ref());
        let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
        let wanted = self.deployment.spec.as_ref().map(|spec| &spec.template);
        own && template.zip(wanted).is_some_and(|(template, wanted)| revision::is_same(template, wanted))
    }

    /// Deletes what is beyond the history limit: when a rollout is complete, or while the Deployment is paused.
    fn clean_up(&mut self, actions: &[Action], scaling: bool) -> Result<(), Error> {
        let resized = actions.iter().any(|action| matches!(action, Action::Scale { .. }));
        let status = self.deployment.status.clone().unwrap_or_default();
        let complete = !scaling && !resized && status::is_complete(&self.deployment, &status);
        if !self.is_paused() && !complete {
            return Ok(());
        }
        let limit = self.deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit);
        let Some(limit) = limit else { return Ok(()) };
        let old: Vec<_> = self.old().map(revision::view).collect();
        let namespace = self.deployment.metadata.namespace.clone().unwrap_or_default();
        for name in self.history.forget(limit, &old) {
            let key = Key::new(Kind::ReplicaSet, &namespace, &name);
            match self.world.server.delete(&key, &DeleteOptions::default()) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes the status if it is another one than before, and else says when to look again.
    fn write_status(mut self, before: &Deployment, rolling: bool) -> Result<Option<Instant>, Error> {
        let now = self.now();
        let new = self.new.and_then(|index| self.sets.get(index));
        let mut after = status::calculate(&self.deployment, &self.sets, new, self.posts.unavailable, now);
        if rolling {
            status::estimate_progress(&self.deployment, &mut after, &self.sets, new, now);
        }
        self.deployment.status = Some(after.clone());
        if self.deployment == *before {
            return Ok(status::look_again(&self.deployment, &after, now).filter(|_| rolling));
        }
        self.world.server.update_status(self.deployment.into_object())?;
        Ok(None)
    }

    pub(super) fn record(&mut self, kind: &str, reason: &str, message: &str) {
        self.world.server.record(&self.deployment, kind, reason, message);
    }
}
