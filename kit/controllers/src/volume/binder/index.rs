//! The volumes, and which of them may matter to a claim.
//!
//! Upstream looks through all volumes that have the claim's access modes (`persistentVolumeOrderedIndex`). Most of many belong
//! to other claims, and most of the rest are alike, so that a look at each for each claim would grow with their square.

use super::view;
use kit_api::core::PersistentVolume;
use kit_contract::storage::claim_binding::{Claim, Volume};
use std::collections::{BTreeMap, BTreeSet};

/// What volumes differ in, but for their names.
type Shape = Volume;

/// All volumes.
#[derive(Debug, Default)]
pub struct Volumes {
    all: BTreeMap<String, PersistentVolume>,
    /// The names of those that refer to no claim, by their class, and by what else there is to them.
    free: BTreeMap<String, BTreeMap<Shape, BTreeSet<String>>>,
    /// The names of the others by the claim, as `namespace/name`.
    taken: BTreeMap<String, BTreeSet<String>>,
}

impl Volumes {
    /// A volume.
    pub fn get(&self, name: &str) -> Option<&PersistentVolume> {
        self.all.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &PersistentVolume)> {
        self.all.iter()
    }

    /// Takes over a volume as it is now.
    pub fn insert(&mut self, name: String, volume: PersistentVolume) {
        self.remove(&name);
        let shape = shape(&volume);
        let names = match &shape.claim_ref {
            Some(claim) => self.taken.entry(claim.name.clone()).or_default(),
            None => self.free.entry(shape.class.clone()).or_default().entry(shape).or_default(),
        };
        names.insert(name.clone());
        self.all.insert(name, volume);
    }

    /// Forgets a volume, and says what was known of it.
    pub fn remove(&mut self, name: &str) -> Option<PersistentVolume> {
        let volume = self.all.remove(name)?;
        let shape = shape(&volume);
        if let Some(claim) = &shape.claim_ref {
            drop_name(&mut self.taken, &claim.name, name);
        } else if let Some(shapes) = self.free.get_mut(&shape.class) {
            drop_name(shapes, &shape, name);
            if shapes.is_empty() {
                self.free.remove(&shape.class);
            }
        }
        Some(volume)
    }

    /// The volumes that may matter to a claim, by name: the one that it names, those that refer to it, and the free ones of its
    /// class, of those that are alike the first.
    pub fn of(&self, claim: &Claim) -> Vec<Volume> {
        let free = self.free.get(claim.class.as_deref().unwrap_or_default()).into_iter();
        let free = free.flat_map(|shapes| shapes.values()).filter_map(|names| names.first());
        let taken = self.taken.get(&claim.name).into_iter().flatten();
        let names: BTreeSet<&String> = free.chain(taken).chain(&claim.volume_name).collect();
        names.into_iter().filter_map(|name| self.all.get(name)).map(view::volume).collect()
    }
}

fn shape(volume: &PersistentVolume) -> Shape {
    Volume { name: String::new(), ..view::volume(volume) }
}

fn drop_name<K: Ord>(all: &mut BTreeMap<K, BTreeSet<String>>, of: &K, name: &str) {
    if let Some(names) = all.get_mut(of) {
        names.remove(name);
        if names.is_empty() {
            all.remove(of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn volume(name: &str, spec: serde_json::Value) -> PersistentVolume {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).expect("a good volume")
    }

    #[test]
    fn only_what_may_matter_to_a_claim_is_shown() {
        let mut volumes = Volumes::default();
        let free = |class: &str, size: &str| json!({"storageClassName": class, "capacity": {"storage": size}});
        let of = |name: &str| json!({"claimRef": {"namespace": "shop", "name": name}});
        let all = [
            ("a", free("fast", "2Gi")),
            ("b", free("fast", "1Gi")),
            ("c", free("fast", "1Gi")),
            ("d", free("slow", "1Gi")),
            ("e", of("data")),
            ("f", of("other")),
            ("g", of("other")),
        ];
        all.into_iter().for_each(|(name, spec)| volumes.insert(name.into(), volume(name, spec)));
        let claim = Claim {
            name: "shop/data".into(),
            class: Some("fast".into()),
            volume_name: Some("g".into()),
            ..Claim::default()
        };
        let names = |volumes: &Volumes| volumes.of(&claim).into_iter().map(|one| one.name).collect::<Vec<_>>();
        assert_eq!(names(&volumes), ["a", "b", "e", "g"]);
        // The first of two that are alike is taken, and the next one steps forward.
        volumes.insert("b".into(), volume("b", of("other")));
        assert_eq!(names(&volumes), ["a", "c", "e", "g"]);
        ["a", "c", "e", "g"].iter().for_each(|name| assert!(volumes.remove(name).is_some()));
        assert_eq!(names(&volumes), Vec::<String>::new());
        ["b", "d", "f"].iter().for_each(|name| assert!(volumes.remove(name).is_some()));
        assert!(volumes.free.is_empty() && volumes.taken.is_empty());
    }
}
