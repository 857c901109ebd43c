//! Images that nobody uses go when the disk is nearly full.
//!
//! Sources: `StartGarbageCollection` of `pkg/kubelet/kubelet.go`, `pkg/kubelet/images/image_gc_manager.go`, and the defaults of
//! `pkg/kubelet/apis/config/v1beta1/defaults.go`: images may be of any age (`imageMaximumGCAge` is 0). Of containers that have ended
//! the runs that somebody can still see are kept anyway.

use super::image::Images;
use super::{Kubelet, Kubelets};
use kit_api::Quantity;
use kit_apimachinery::object::{Key, Kind};
use kit_client::component::World;
use kit_time::agenda::Instant;
use std::collections::BTreeSet;

/// How often (`ImageGCPeriod`).
pub const PERIOD: Instant = Instant::seconds(300);
/// From how many percent of the disk on something is done, and down to how many (`imageGCHighThresholdPercent`, `imageGCLowThresholdPercent`).
const HIGH: i64 = 85;
const LOW: i64 = 80;
/// How long an image must have been known (`imageMinimumGCAge`).
const LEAST_AGE: Instant = Instant::seconds(120);

/// What is known of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// When it was seen first, which isn't when it was pulled.
    seen: Option<Instant>,
    /// When it was last seen to be used.
    used: Option<Instant>,
}

impl Images {
    /// Sees which images are there, and which of them are used (`detectImages`).
    fn look(&mut self, needed: &BTreeSet<&str>, now: Instant) {
        for (name, kept) in self.all() {
            kept.seen.get_or_insert(now);
            if needed.contains(name) {
                kept.used = Some(now);
            }
        }
    }

    /// Removes those that weren't used for longest, until so many bytes are won; how many that are (`freeSpace`).
    fn free(&mut self, bytes: i64, now: Instant) -> i64 {
        let of_age = |kept: &Kept| kept.seen.is_some_and(|seen| now - seen >= LEAST_AGE);
        let unused = |kept: &Kept| kept.used.is_none_or(|used| used < now);
        let eligible = self.all().filter(|(_, kept)| of_age(kept) && unused(kept));
        let mut eligible: Vec<_> = eligible.map(|(name, kept)| (kept.used, kept.seen, name.to_string())).collect();
        eligible.sort();
        let mut won = 0;
        for (.., name) in eligible {
            if won >= bytes {
                break;
            }
            won += self.remove(&name);
        }
        won
    }
}

impl Kubelets {
    /// All nodes look at their images, when it is time to.
    pub(super) fn collect_garbage(&mut self, world: &mut World<'_>) {
        if world.now < self.collect {
            return;
        }
        self.collect = world.now + PERIOD;
        self.nodes.values_mut().filter(|kubelet| kubelet.up).for_each(|kubelet| kubelet.collect_images(world));
    }
}

impl Kubelet {
    fn collect_images(&mut self, world: &mut World<'_>) {
        let capacity = self.shape.disk.parse::<Quantity>().map_or(0, |disk| disk.value());
        let needed = self.pods.values().flat_map(|running| running.worker.all_images()).collect();
        self.images.look(&needed, world.now);
        let available = (capacity - self.used(world.now).disk).max(0);
        let share = |percent: i64| capacity / 100 * percent;
        if capacity == 0 || share(100 - HIGH) < available {
            self.collection_failed = false;
            return;
        }
        let wanted = share(100 - LOW) - available;
        let won = self.images.free(wanted, world.now);
        if won >= wanted {
            self.collection_failed = false;
            return;
        }
        let why = format!(
            "Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, but only found {won} bytes eligible to free."
        );
        // The second is said only of what goes on.
        let again = std::mem::replace(&mut self.collection_failed, true);
        if !self.connected {
            return;
        }
        let reasons = ["FreeDiskSpaceFailed"].into_iter().chain(again.then_some("ImageGCFailed"));
        for reason in reasons {
            if let Ok(stored) = world.server.get(&Key::new(Kind::Node, "", &self.shape.name)).cloned() {
                world.server.record(&stored.object, "Warning", reason, &why);
            }
        }
    }
}

#[cfg(test)]
mod tests;
