//! What a member keeps on its disk.

use super::message::{Entry, HardState, Snapshot};

/// Everything that a member starts again from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// Term, vote and commit.
    pub hard_state: HardState,
    /// The last snapshot; of a new member, the membership that it begins with, at index 0.
    pub snapshot: Snapshot,
    /// The entries after the snapshot.
    pub entries: Vec<Entry>,
}

/// What has to be written before the messages of the same moment may leave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Write {
    /// Replaces the old one.
    pub hard_state: Option<HardState>,
    /// Replaces everything up to its index, and every entry of another history.
    pub snapshot: Option<Snapshot>,
    /// Replace what was there from the first one's index on.
    pub entries: Vec<Entry>,
}

impl Write {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.hard_state.is_none() && self.snapshot.is_none() && self.entries.is_empty()
    }
}

impl Saved {
    /// A new member of a group with these members.
    pub fn new(members: super::Membership) -> Self {
        Saved { snapshot: Snapshot { members, ..Snapshot::default() }, ..Saved::default() }
    }

    /// Takes a write in.
    pub fn take(&mut self, write: &Write) {
        if let Some(snapshot) = &write.snapshot {
            // Entries after the snapshot stay only if they follow from it.
            let at = self.entries.iter().position(|entry| entry.index == snapshot.index);
            match at {
                Some(at) if self.entries[at].term == snapshot.term => _ = self.entries.drain(..=at),
                _ => self.entries.clear(),
            }
            self.snapshot = snapshot.clone();
        }
        if let Some(first) = write.entries.first() {
            self.entries.retain(|entry| entry.index < first.index);
            self.entries.extend(write.entries.iter().cloned());
        }
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
    }
}

/// A disk: what is written may be lost until it is synced.
pub trait Storage {
    /// Writes, without waiting for the disk.
    ///
    /// # Errors
    ///
    /// Those of the disk. A member whose disk fails must stop.
    fn write(&mut self, write: &Write) -> std::io::Result<()>;

    /// Waits until everything that was written is safe.
    ///
    /// # Errors
    ///
    /// Those of the disk. A member whose disk fails must stop.
    fn sync(&mut self) -> std::io::Result<()>;

    /// What is there after a restart.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    fn load(&self) -> std::io::Result<Saved>;
}

/// A simulated disk, which can lose what was not synced.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    safe: Saved,
    unsynced: Vec<Write>,
}

impl MemoryStorage {
    /// A disk that holds this.
    pub fn new(saved: Saved) -> Self {
        MemoryStorage { safe: saved, unsynced: Vec::new() }
    }

    /// Loses power: of the writes that were not synced, the first `kept` got through.
    pub fn lose_power(&mut self, kept: usize) {
        self.unsynced.truncate(kept);
        for write in std::mem::take(&mut self.unsynced) {
            self.safe.take(&write);
        }
    }

    /// How many writes are not synced.
    pub fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// What is safe.
    pub fn safe(&self) -> &Saved {
        &self.safe
    }
}

impl Storage for MemoryStorage {
    fn write(&mut self, write: &Write) -> std::io::Result<()> {
        if !write.is_empty() {
            self.unsynced.push(write.clone());
        }
        Ok(())
    }

    fn sync(&mut self) -> std::io::Result<()> {
        for write in std::mem::take(&mut self.unsynced) {
            self.safe.take(&write);
        }
        Ok(())
    }

    fn load(&self) -> std::io::Result<Saved> {
        Ok(self.safe.clone())
    }
}
