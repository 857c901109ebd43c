//! Disks: what containers write, for as long as the volume lives.
//!
//! A disk is a list of small records that only grows at its end. What was written is safe only when it was synced: what was
//! not is lost with the process that is killed and with the node that loses power.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// One disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disk {
    records: Vec<String>,
    synced: usize,
}

impl Disk {
    /// Writes a record after the others.
    pub fn append(&mut self, record: String) {
        self.records.push(record);
    }

    /// Makes all that was written safe (`fsync`).
    pub fn sync(&mut self) {
        self.synced = self.records.len();
    }

    /// Forgets what was written after so many records, safe or not.
    pub fn truncate(&mut self, records: usize) {
        self.records.truncate(records);
        self.synced = self.synced.min(records);
    }

    /// Loses what isn't safe.
    pub fn crash(&mut self) {
        self.records.truncate(self.synced);
    }

    /// What is on it.
    pub fn records(&self) -> &[String] {
        &self.records
    }

    /// How many records are safe.
    pub fn synced(&self) -> usize {
        self.synced
    }
}

/// The disks of a cluster, by what they belong to: see [`of_volume`] and [`of_pod`].
#[derive(Debug, Clone, Default)]
pub struct Disks(BTreeMap<String, Disk>);

/// Those who write, and those who copy disks.
pub type Shared = Rc<RefCell<Disks>>;

/// The disk of a PersistentVolume: it is there on whatever node the volume is attached to.
pub fn of_volume(volume: &str) -> String {
    format!("volume/{volume}")
}

/// The disk of a pod's `emptyDir`: it goes with the pod.
pub fn of_pod(uid: &str) -> String {
    format!("pod/{uid}")
}

/// What a snapshot has kept, by its handle.
pub fn of_snapshot(handle: &str) -> String {
    format!("snapshot/{handle}")
}

impl Disks {
    /// The disk of this name; an empty one if it is new.
    pub fn get(&mut self, name: &str) -> &mut Disk {
        self.0.entry(name.to_string()).or_default()
    }

    /// Makes a disk as another one would be after a crash now: with what is safe on it.
    pub fn copy(&mut self, from: &str, to: &str) {
        let mut copy = self.get(from).clone();
        copy.crash();
        self.0.insert(to.to_string(), copy);
    }

    /// Keeps only those for which `is_there` holds.
    pub fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| is_there(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(records: &[&str], synced: usize) -> Disk {
        Disk { records: records.iter().map(ToString::to_string).collect(), synced }
    }

    #[test]
    fn what_was_synced_survives_a_crash_and_nothing_else() {
        let mut disk = disk(&[], 0);
        disk.append("a".into());
        disk.sync();
        disk.append("b".into());
        disk.crash();
        assert_eq!((disk.records(), disk.synced()), (&["a".to_string()][..], 1));
    }

    #[test]
    fn what_was_cut_off_is_not_safe_any_more() {
        let mut disk = disk(&["a", "b"], 2);
        disk.truncate(1);
        disk.append("c".into());
        disk.crash();
        assert_eq!(disk.records(), ["a"]);
    }

    #[test]
    fn a_copy_has_what_was_safe_and_goes_its_own_way() {
        let mut disks = Disks::default();
        disks.get("one").append("a".into());
        disks.get("one").sync();
        disks.get("one").append("b".into());
        disks.copy("one", "two");
        disks.get("one").sync();
        assert_eq!(disks.get("two").records(), ["a"]);
        assert_eq!(disks.get("one").records().len(), 2);
    }

    #[test]
    fn disks_go_with_what_they_belong_to() {
        let mut disks = Disks::default();
        disks.get(&of_volume("v")).append("a".into());
        disks.get(&of_pod("u")).append("b".into());
        disks.retain(|name| name != of_pod("u"));
        assert_eq!(disks.get(&of_volume("v")).records().len(), 1);
        assert_eq!(disks.get(&of_pod("u")).records().len(), 0);
    }
}
