//! Which versions of its own slices a controller has to see before it may trust its cache.
//!
//! Source: `staging/src/k8s.io/endpointslice/util/endpointslice_tracker.go`.

use super::{Name, SERVICE_NAME, label};
use kit_api::discovery::EndpointSlice;
use std::collections::BTreeMap;

/// What the cache must have shown of one slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// This generation, or a later one.
    Generation(i64),
    /// That it is gone.
    Deletion,
}

/// The generations of the slices that a controller wrote, by service and uid.
#[derive(Debug, Default)]
pub struct Tracker {
    services: BTreeMap<Name, BTreeMap<String, Expected>>,
}

pub(super) fn service_of(slice: &EndpointSlice) -> Name {
    (slice.metadata.namespace.clone().unwrap_or_default(), label(slice, SERVICE_NAME).to_string())
}

fn uid(slice: &EndpointSlice) -> String {
    slice.metadata.uid.clone().unwrap_or_default()
}

fn generation(slice: &EndpointSlice) -> i64 {
    slice.metadata.generation.unwrap_or_default()
}

impl Tracker {
    fn expected(&self, slice: &EndpointSlice) -> Option<Expected> {
        self.services.get(&service_of(slice))?.get(&uid(slice)).copied()
    }

    /// Whether it knows anything of a slice.
    pub fn has(&self, slice: &EndpointSlice) -> bool {
        self.expected(slice).is_some()
    }

    /// Whether a slice is one that somebody else wrote.
    pub fn should_sync(&self, slice: &EndpointSlice) -> bool {
        match self.expected(slice) {
            None | Some(Expected::Deletion) => true,
            Some(Expected::Generation(known)) => generation(slice) > known,
        }
    }

    /// Whether the cache is behind: it shows an older generation than was written, a slice that was deleted, or not yet
    /// one that was created.
    pub fn is_stale(&self, service: &Name, slices: &[&EndpointSlice]) -> bool {
        let Some(expected) = self.services.get(service) else { return false };
        let there: BTreeMap<String, i64> = slices.iter().map(|slice| (uid(slice), generation(slice))).collect();
        expected.iter().any(|(uid, expected)| match (expected, there.get(uid)) {
            (Expected::Deletion, there) => there.is_some(),
            (Expected::Generation(known), there) => there.is_none_or(|there| known > there),
        })
    }

    /// A slice was written, and this came back.
    pub fn written(&mut self, slice: &EndpointSlice) {
        self.expect(slice, Expected::Generation(generation(slice)));
    }

    /// A slice was deleted.
    pub fn deleted(&mut self, slice: &EndpointSlice) {
        self.expect(slice, Expected::Deletion);
    }

    fn expect(&mut self, slice: &EndpointSlice, expected: Expected) {
        self.services.entry(service_of(slice)).or_default().insert(uid(slice), expected);
    }

    /// The cache shows that a slice is gone: whether that was expected.
    pub fn gone(&mut self, slice: &EndpointSlice) -> bool {
        let known = self.services.get_mut(&service_of(slice)).and_then(|slices| slices.remove(&uid(slice)));
        known.is_none_or(|known| known == Expected::Deletion)
    }

    /// The service is gone.
    pub fn forget(&mut self, service: &Name) {
        self.services.remove(service);
    }
}
