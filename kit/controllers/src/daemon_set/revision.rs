//! The revisions of a DaemonSet: one for each template that it had, and pods that carry the hash of theirs.
//!
//! Source: `pkg/controller/daemon/update.go`.

use super::history;
use super::sync::Sync;
use crate::claim::change;
use crate::deployment::revision::hash;
use kit_api::apps::{ControllerRevision, DaemonSet};
use kit_api::core::Pod;
use kit_api::meta::ObjectMeta;
use kit_apimachinery::object::{About, AsKind};
use kit_server::{DeleteOptions, Error};
use serde_json::Value;
use std::collections::BTreeSet;

/// What a DaemonSet is and was.
pub(super) struct History {
    /// The hash of the current revision.
    pub hash: String,
    /// The revisions of other templates.
    pub old: Vec<ControllerRevision>,
}

impl Sync<'_, '_> {
    /// Finds the revisions, and sees to it that the current one is there and has the highest number
    /// (`constructHistory`). A template of old that comes back is numbered anew.
    pub(super) fn history(&mut self, pods: &[&Pod]) -> Result<History, Error> {
        let patch = history::patch(&self.spec.template);
        let (mut current, mut old) = (Vec::new(), Vec::new());
        for revision in self.own(self.seen.revisions)? {
            let mut revision = revision.clone();
            if history::hash_of(&revision.metadata).is_empty() {
                let name = revision.metadata.name.clone().unwrap_or_default();
                revision.metadata.labels.get_or_insert_default().insert(history::HASH.into(), name);
                revision = self.write(revision)?;
            }
            let list = if history::holds(&revision, &patch) { &mut current } else { &mut old };
            list.push(revision);
        }
        let number = history::next_number(&old);
        // The last one with the highest number stays.
        current.sort_by_key(|revision: &ControllerRevision| revision.revision);
        let mut current = match current.pop() {
            None => self.snapshot(patch, number)?,
            Some(kept) => {
                self.merge(&kept, &current, pods)?;
                kept
            }
        };
        if current.revision < number {
            current.revision = number;
            current = self.write(current)?;
        }
        Ok(History { hash: history::hash_of(&current.metadata).into(), old })
    }

    fn write(&mut self, revision: ControllerRevision) -> Result<ControllerRevision, Error> {
        let stored = self.world.server.update(revision.clone().into_object())?;
        Ok(stored.get().cloned().unwrap_or(revision))
    }

    /// Makes a revision of the template.
    fn snapshot(&mut self, patch: Value, number: i64) -> Result<ControllerRevision, Error> {
        let meta = &self.set.metadata;
        let (set, namespace) = (About::from(self.set).name(), About::from(self.set).namespace());
        let collisions = self.set.status.as_ref().and_then(|status| status.collision_count);
        let hash = hash(&self.spec.template, collisions);
        let name = format!("{set}-{hash}");
        let mut labels = self.spec.template.metadata.clone().unwrap_or_default().labels.unwrap_or_default();
        labels.insert(history::HASH.into(), hash);
        let revision = ControllerRevision {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(namespace.into()),
                labels: Some(labels),
                annotations: meta.annotations.clone(),
                owner_references: Some(vec![About::from(self.set).controller_ref()]),
                ..ObjectMeta::default()
            },
            data: serde_json::from_value(patch.clone()).ok(),
            revision: number,
        };
        match self.world.server.create(revision.clone().into_object()) {
            Ok(stored) => Ok(stored.get().cloned().unwrap_or(revision)),
            Err(error) if error.reason == "AlreadyExists" => {
                let there: ControllerRevision = self.world.server.fetch(namespace, &name)?;
                if history::holds(&there, &patch) {
                    return Ok(there);
                }
                // Another template has this hash: the next attempt takes another name, unless the cache is just late.
                let mut fresh: DaemonSet = self.world.server.fetch(namespace, set)?;
                let status = fresh.status.get_or_insert_default();
                if status.collision_count == collisions {
                    status.collision_count = Some(collisions.unwrap_or(0) + 1);
                    self.world.server.update_status(fresh.into_object())?;
                }
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes all pods pods of one revision, and deletes others of the same template (`dedupCurHistories`).
    fn merge(&mut self, kept: &ControllerRevision, same: &[ControllerRevision], pods: &[&Pod]) -> Result<(), Error> {
        if same.is_empty() {
            return Ok(());
        }
        let hash = history::hash_of(&kept.metadata);
        for pod in pods.iter().filter(|pod| history::hash_of(&pod.metadata) != hash) {
            change(About::from(*pod), self.world, |pod| {
                pod.meta_mut().labels.get_or_insert_default().insert(history::HASH.into(), hash.into());
            })?;
        }
        for revision in same {
            self.world.server.delete(&About::from(revision).key(), &DeleteOptions::default())?;
        }
        Ok(())
    }

    /// Deletes the oldest revisions over the limit that no pod is of (`cleanupHistory`).
    pub(super) fn clean_up(&mut self, mut old: Vec<ControllerRevision>, pods: &[&Pod]) -> Result<(), Error> {
        let limit = self.spec.revision_history_limit.unwrap_or(10).max(0) as usize;
        let surplus = old.len().saturating_sub(limit);
        let alive: BTreeSet<&str> = pods.iter().map(|pod| history::hash_of(&pod.metadata)).collect();
        old.sort_by_key(|revision| revision.revision);
        let unused = old.iter().filter(|revision| !alive.contains(history::hash_of(&revision.metadata)));
        for revision in unused.take(surplus) {
            self.world.server.delete(&About::from(revision).key(), &DeleteOptions::default())?;
        }
        Ok(())
    }
}
