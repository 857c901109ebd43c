//! The ResourceQuota controller: counts anew what a namespace uses, so that what goes gives its place back.
//!
//! Admission adds to `status.used` and never takes away. Source: `pkg/controller/resourcequota/resource_quota_controller.go`.

use crate::agenda::Instant;
use crate::engine::{Component, World};
use crate::object::{AsKind, Kind, Object};
use crate::server::{COUNTED, Change, ChangeKind};
use kit_api::core::ResourceQuota;
use kit_api::pod;
use std::collections::BTreeSet;

/// Keeps the status of quotas.
#[derive(Default)]
pub struct ResourceQuotas {
    /// Namespaces to be counted.
    due: BTreeSet<String>,
}

impl Component for ResourceQuotas {
    fn name(&self) -> &'static str {
        "resourcequota-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &COUNTED
    }

    fn observe(&mut self, change: &Change, _world: &mut World<'_>) {
        let finished = |object: &Object| matches!(object, Object::Pod(pod) if pod::is_finished(pod));
        let quota = matches!(change.object.object, Object::ResourceQuota(_));
        if quota || change.kind == ChangeKind::Deleted || finished(&change.object.object) {
            self.due.insert(change.object.object.namespace().into());
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        for namespace in std::mem::take(&mut self.due) {
            let quotas: Vec<ResourceQuota> = world.cache.list(&namespace).cloned().collect();
            for mut quota in quotas {
                let Some(status) = world.server.count_quota(&quota) else { continue };
                if quota.status.as_ref() != Some(&status) {
                    quota.status = Some(status);
                    // Others count at the same time; what is here is the whole count, so the last one is right.
                    quota.metadata.resource_version = None;
                    _ = world.server.update_status(quota.into_object());
                }
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        None
    }
}
