//! What a recorder takes from an engine. It costs the engine little: objects are shared, and read elsewhere.

use crate::control_plane::View;
use crate::engine::{Engine, Note};
use kit_api::jiff::Timestamp;
use kit_apimachinery::object::{Key, Kind};
use kit_apimachinery::resource::Resource;
use kit_client::explain::Entry;
use kit_server::{Change, Snapshot};
use kit_time::agenda::Instant;
use std::collections::BTreeSet;

/// Looks at an engine, each time at what it has not seen yet.
#[derive(Debug, Default)]
pub struct Watcher {
    seen: Option<usize>,
    decided: u64,
    noted: u64,
    plane: Option<View>,
}

/// What was new at one look.
#[derive(Debug)]
pub struct Sight {
    /// When.
    pub(super) now: Instant,
    /// The calendar time at which the engine's clock stood at zero.
    pub(super) epoch: Timestamp,
    pub(super) changes: Vec<Change>,
    pub(super) decisions: Vec<(Key, Entry)>,
    pub(super) notes: Vec<Note>,
    pub(super) plane: Option<View>,
    /// Everything, and of which kinds there is anything: at the first look, and where the API server has forgotten what
    /// was not seen.
    pub(super) everything: Option<(Snapshot, Vec<Kind>)>,
}

impl Sight {
    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        let Sight { changes, decisions, notes, plane, everything, .. } = self;
        changes.is_empty() && decisions.is_empty() && notes.is_empty() && plane.is_none() && everything.is_none()
    }
}

impl Watcher {
    /// What is new.
    pub fn look(&mut self, engine: &Engine) -> Sight {
        let (server, log, now) = (engine.server(), engine.log(), engine.now());
        let mut changes = Vec::new();
        let mut missed = self.seen.is_none();
        for index in self.seen.unwrap_or(server.end())..server.end() {
            match server.change(index) {
                Ok(Some(change)) => {
                    if super::state::is_watched(change.object.key.kind) {
                        changes.push(change.clone());
                    }
                }
                Ok(None) => {}
                Err(_) => {
                    missed = true;
                    break;
                }
            }
        }
        self.seen = Some(server.end());
        let everything = missed.then(|| {
            changes.clear();
            let kinds: BTreeSet<Kind> = server.resources().map(Resource::as_kind).collect();
            (server.snapshot().clone(), kinds.into_iter().filter(|kind| super::state::is_watched(*kind)).collect())
        });
        let mut decisions = Vec::new();
        if log.count() > self.decided {
            let new = log.since(self.decided).into_iter();
            decisions = new.map(|(key, entry)| (key.clone(), entry.clone())).collect();
            self.decided = log.count();
        }
        let (notes, noted) = engine.notes(self.noted);
        self.noted = noted;
        let plane = engine.hosts();
        let plane = if plane == self.plane { None } else { plane };
        if plane.is_some() {
            self.plane.clone_from(&plane);
        }
        Sight { now, epoch: server.epoch(), changes, decisions, notes, plane, everything }
    }
}
