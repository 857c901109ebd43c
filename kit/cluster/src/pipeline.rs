//! Whoever deploys with `kubectl rollout`: undoes when told to, and, as a pipeline does it, whatever rollout fails.

use kit_api::apps::{Deployment, ReplicaSet};
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_client::component::{Component, World};
use kit_contract::Modules;
use kit_contract::workloads::DeploymentHistory;
use kit_contract::workloads::rollback::{Rollout, RolloutView, Undo, UndoRequest};
use kit_controllers::deployment::revision;
use kit_server::{Change, ChangeKind, Error};
use kit_time::agenda::Instant;
use serde::Deserialize;
use std::collections::BTreeSet;

/// How it is used.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// Whether it follows all rollouts, and undoes those that fail: `kubectl rollout status || kubectl rollout undo`.
    pub undo_failed: bool,
}

/// A client beside the control plane.
pub struct Pipeline {
    history: Box<dyn DeploymentHistory>,
    shape: Shape,
    /// The Deployments that have changed.
    changed: BTreeSet<Key>,
}

impl Pipeline {
    /// A pipeline with the module of the slot.
    pub fn new(modules: &Modules, shape: Shape) -> Self {
        Pipeline { history: modules.rollback.make(&()), shape, changed: BTreeSet::new() }
    }

    /// What `kubectl rollout undo` does; 0 stands for the previous revision.
    ///
    /// # Errors
    ///
    /// What kubectl would say, or the API server.
    pub fn undo(&mut self, key: &Key, to: i64, world: &mut World<'_>) -> Result<(), Error> {
        let mut deployment: Deployment = world.server.fetch(&key.namespace, &key.name)?;
        let uid = deployment.metadata.uid.clone().unwrap_or_default();
        let spec = deployment.spec.clone().unwrap_or_default();
        let request = UndoRequest {
            to,
            paused: spec.paused.unwrap_or(false),
            template: spec.template,
            annotations: revision::annotations(&deployment.metadata),
            sets: world.cache.controlled_by::<ReplicaSet>(&key.namespace, &uid).map(revision::view).collect(),
        };
        let why = match self.history.undo(&request) {
            Undo::Patch { template, annotations } => {
                deployment.spec.get_or_insert_default().template = template;
                deployment.metadata.annotations = Some(annotations);
                return world.server.update(deployment.into_object()).map(|_| ());
            }
            Undo::Unchanged => return Ok(()),
            Undo::Paused => "you cannot rollback a paused deployment".into(),
            Undo::NoHistory => format!("no rollout history found for deployment {:?}", key.name),
            Undo::NotFound => format!("unable to find specified revision {to} in history"),
        };
        Err(Error::bad_request(why))
    }
}

/// How a Deployment's rollout stands, as far as a client can see.
fn view(deployment: &Deployment) -> RolloutView {
    let status = deployment.status.clone().unwrap_or_default();
    let mut conditions = status.conditions.into_iter().flatten();
    RolloutView {
        generation: deployment.metadata.generation.unwrap_or(0),
        observed_generation: status.observed_generation.unwrap_or(0),
        replicas: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
        pods: status.replicas.unwrap_or(0),
        updated: status.updated_replicas.unwrap_or(0),
        available: status.available_replicas.unwrap_or(0),
        progressing: conditions.find(|condition| condition.type_ == "Progressing").and_then(|found| found.reason),
    }
}

impl Component for Pipeline {
    fn name(&self) -> &'static str {
        "pipeline"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Deployment, Kind::ReplicaSet]
    }

    fn observe(&mut self, change: &Change, _: &mut World<'_>) {
        if self.shape.undo_failed && change.object.key.kind == Kind::Deployment && change.kind != ChangeKind::Deleted {
            self.changed.insert(change.object.key.clone());
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        for key in std::mem::take(&mut self.changed) {
            let Some(deployment) = world.cache.fetch::<Deployment>(&key.namespace, &key.name) else { continue };
            if self.history.status(&view(deployment)) == Rollout::Failed {
                // One that can't be undone stays as it is, for a person to look at.
                _ = self.undo(&key, 0, world);
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        None
    }
}
