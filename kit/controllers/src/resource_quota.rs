//! The ResourceQuota controller: counts anew what a namespace uses, so that what goes gives its place back.
//!
//! Admission adds to `status.used` and never takes away. Every five minutes everything is counted anew, whatever was
//! seen. Sources: `pkg/controller/resourcequota/resource_quota_controller.go`, and `pkg/quota/v1/install/update_filter.go`
//! for the changes that give something back.

use kit_api::core::{ResourceQuota, Service};
use kit_api::pod;
use kit_apimachinery::object::{AsKind, Kind, Object};
use kit_client::component::{Component, World};
use kit_server::{COUNTED, Change, ChangeKind};
use kit_time::agenda::Instant;
use std::collections::BTreeSet;

/// `--resource-quota-sync-period`.
const RESYNC: Instant = Instant::seconds(300);

/// Keeps the status of quotas.
#[derive(Default)]
pub struct ResourceQuotas {
    /// Namespaces to be counted.
    due: BTreeSet<String>,
    /// When everything is counted anew.
    resync: Instant,
}

impl Component for ResourceQuotas {
    fn name(&self) -> &'static str {
        "resourcequota-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &COUNTED
    }

    fn observe(&mut self, change: &Change, _world: &mut World<'_>) {
        if change.kind == ChangeKind::Deleted || gives_back(change) {
            self.due.insert(change.object.object.namespace().into());
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        if world.now >= self.resync {
            let all = world.cache.all::<ResourceQuota>();
            self.due.extend(all.filter_map(|quota| quota.metadata.namespace.clone()));
            self.resync = world.now + RESYNC;
        }
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
        Some(self.resync)
    }
}

/// Whether there may be something to count: a quota with other limits, a pod that is over, another type of service, a
/// claim that grew or shrank.
fn gives_back(change: &Change) -> bool {
    let before = change.previous.as_ref().map(|stored| &stored.object);
    match (&change.object.object, before) {
        (Object::ResourceQuota(now), Some(Object::ResourceQuota(before))) => {
            let hard = |quota: &ResourceQuota| quota.spec.as_ref().and_then(|spec| spec.hard.clone());
            hard(now) != hard(before)
        }
        (Object::ResourceQuota(_), _) => true,
        (Object::Pod(now), Some(Object::Pod(before))) => pod::is_finished(now) && !pod::is_finished(before),
        (Object::Service(now), Some(Object::Service(before))) => {
            let type_ = |service: &Service| service.spec.as_ref().and_then(|spec| spec.type_.clone());
            type_(now) != type_(before)
        }
        (Object::PersistentVolumeClaim(_), Some(_)) => true,
        _ => false,
    }
}
