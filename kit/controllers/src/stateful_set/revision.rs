//! The templates that a set had, as revisions: a patch each, which puts the template back.
//!
//! Source: `getPatch`, `newRevision`, `ApplyRevision` of `pkg/controller/statefulset/stateful_set_utils.go`, and
//! `getStatefulSetRevisions` of `stateful_set_control.go`.

use super::history;
use super::plan::Version;
use kit_api::apps::{ControllerRevision, StatefulSet};
use kit_apimachinery::object::{About, AsKind};
use kit_client::component::World;
use kit_server::Error;
use serde_json::{Value, json};

/// The revisions that count in one look at a set.
pub struct Revisions {
    /// What its pods were before an update began.
    pub current: ControllerRevision,
    /// What they shall be.
    pub update: ControllerRevision,
    /// How many names of revisions were taken by others so far.
    pub collisions: i32,
}

/// The strategic merge patch that puts a set's template back. `template` is the template as the API server shows it.
fn patch(mut template: Value) -> Value {
    template["$patch"] = "replace".into();
    let mut patch = json!({"spec": {"template": template}});
    patch.sort_all_objects();
    patch
}

/// Finds the revision of the set's template, or makes it. A template of before comes back under a new number.
///
/// # Errors
///
/// If the API server refuses.
pub fn follow(set: &StatefulSet, known: &[&ControllerRevision], world: &mut World<'_>) -> Result<Revisions, Error> {
    let about = About::from(set);
    let status = set.status.clone().unwrap_or_default();
    let mut collisions = status.collision_count.unwrap_or(0);
    let shown = match world.cache.get(&about.key()) {
        Some(stored) => stored.to_value(),
        None => set.clone().into_object().to_value(),
    };
    let data = patch(shown["spec"]["template"].clone());
    let next = known.last().map_or(1, |last| last.revision.saturating_add(1));
    let same = known.iter().rposition(|revision| *history::data(revision) == data);
    let update = match same {
        Some(index) if index + 1 == known.len() => known[index].clone(),
        Some(index) => history::renumber(known[index], next, world)?,
        None => {
            let template = set.spec.as_ref().and_then(|spec| spec.template.metadata.clone()).unwrap_or_default();
            let new = history::new(about, &template, data, next, collisions);
            history::create(about, new, &mut collisions, world)?
        }
    };
    let current = known.iter().find(|revision| revision.metadata.name == status.current_revision);
    let current = current.map_or_else(|| update.clone(), |revision| (*revision).clone());
    Ok(Revisions { current, update, collisions })
}

/// The template that a revision puts back.
///
/// # Errors
///
/// If it holds none: others may write revisions, too.
pub fn version(revision: &ControllerRevision) -> Result<Version, Error> {
    let name = About::from(revision).name().to_string();
    let mut template = history::data(revision)["spec"]["template"].clone();
    template.as_object_mut().map(|template| template.shift_remove("$patch"));
    match serde_json::from_value(template) {
        Ok(template) => Ok(Version { name, template }),
        Err(why) => Err(Error::internal(format!("the revision {name} holds no template: {why}"))),
    }
}
