//! The expand controller: of volumes that a driver grows it only says that somebody else does.
//!
//! Source: `pkg/controller/volume/expand/expand_controller.go`.

use kit_api::core::{PersistentVolume, PersistentVolumeClaim};
use kit_api::volume::{claim_phase, requested, storage, volume_of};
use kit_apimachinery::object::{Key, Kind};
use kit_client::component::{Component, World};
use kit_server::{Change, ChangeKind};
use kit_time::agenda::Instant;
use std::collections::BTreeSet;

/// Looks after claims that want to grow.
#[derive(Default)]
pub struct Expansion {
    grown: BTreeSet<Key>,
}

/// Whether a bound claim asks for more than it has.
fn wants_more(claim: &PersistentVolumeClaim) -> bool {
    let has = claim.status.as_ref().and_then(|status| storage(status.capacity.as_ref()));
    claim_phase(claim) == "Bound" && has.is_some_and(|has| requested(claim) > has)
}

impl Component for Expansion {
    fn name(&self) -> &'static str {
        "volume_expand"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::PersistentVolumeClaim]
    }

    fn observe(&mut self, change: &Change, _: &mut World<'_>) {
        let grew = |claim: &PersistentVolumeClaim| {
            let before = change.previous.as_ref().and_then(|before| before.get::<PersistentVolumeClaim>());
            before.is_none_or(|before| requested(claim) > requested(before))
        };
        let claim = change.object.get::<PersistentVolumeClaim>().filter(|_| change.kind != ChangeKind::Deleted);
        if claim.is_some_and(|claim| wants_more(claim) && grew(claim)) {
            self.grown.insert(change.object.key.clone());
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        for key in std::mem::take(&mut self.grown) {
            let Some(claim) = world.cache.fetch::<PersistentVolumeClaim>(&key.namespace, &key.name) else { continue };
            let Ok(volume) = world.server.fetch::<PersistentVolume>("", volume_of(claim)) else { continue };
            let csi = volume.spec.is_some_and(|spec| spec.csi.is_some());
            if wants_more(claim) {
                // No plugin at all is told of in the same words, but as a warning.
                let type_ = if csi { "Normal" } else { "Warning" };
                let why = "waiting for an external controller to expand this PVC";
                world.server.record(claim, type_, "ExternalExpanding", why);
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        None
    }
}
