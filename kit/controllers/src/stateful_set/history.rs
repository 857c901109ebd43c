//! ControllerRevisions: the templates that a workload had, each under a name that is a hash of it.
//!
//! Source: `pkg/controller/history/controller_history.go`.

use kit_api::apps::ControllerRevision;
use kit_api::meta::ObjectMeta;
use kit_api::safe_encode::safe_encode;
use kit_api::selector::{Labels, Selector};
use kit_apimachinery::object::{About, AsKind};
use kit_client::cache::Cache;
use kit_client::component::World;
use kit_server::{DeleteOptions, Error};
use serde_json::Value;

/// The label with a revision's hash.
pub const HASH: &str = "controller.kubernetes.io/hash";
/// Longer names of owners are cut in names of revisions (`ControllerRevisionName`).
const LONGEST_PREFIX: usize = 223;

/// What a revision holds.
pub fn data(revision: &ControllerRevision) -> &Value {
    revision.data.as_ref().map_or(&Value::Null, |data| &data.0)
}

/// The revisions that a workload has, or might adopt, the first one first (`ListControllerRevisions`).
pub fn list<'a>(cache: &'a Cache, owner: About<'a>, selector: &Selector) -> Vec<&'a ControllerRevision> {
    let none = Labels::new();
    let of = |uid: &'a str| cache.controlled_by::<ControllerRevision>(owner.namespace(), uid);
    let revisions = [owner.uid(), ""].into_iter().flat_map(of);
    let matches = |one: &&ControllerRevision| selector.matches(one.metadata.labels.as_ref().unwrap_or(&none));
    let mut revisions: Vec<_> = revisions.filter(matches).collect();
    revisions.sort_by_key(|one| (one.revision, one.metadata.creation_timestamp.clone(), one.metadata.name.clone()));
    revisions
}

/// The hash of what a revision holds: FNV-1 of the JSON that Go would write, and of the collisions so far
/// (`HashControllerRevision`).
pub fn hash(data: &Value, collisions: i32) -> String {
    let mut sorted = data.clone();
    sorted.sort_all_objects();
    let mut text = sorted.to_string();
    // Go's encoder takes care that JSON may stand in HTML.
    for (plain, escaped) in
        [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")]
    {
        text = text.replace(plain, escaped);
    }
    text.push_str(&collisions.to_string());
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(byte));
    safe_encode(&hash.to_string())
}

fn name(owner: About<'_>, hash: &str) -> String {
    let prefix: String = owner.name().chars().take(LONGEST_PREFIX).collect();
    format!("{prefix}-{hash}")
}

/// A new revision of a workload, with the labels of its template (`NewControllerRevision`).
pub fn new(owner: About<'_>, template: &ObjectMeta, data: Value, number: i64, collisions: i32) -> ControllerRevision {
    let hash = hash(&data, collisions);
    let mut labels = template.labels.clone().unwrap_or_default();
    labels.insert(HASH.into(), hash.clone());
    let mut revision = ControllerRevision { revision: number, ..ControllerRevision::default() };
    revision.metadata = ObjectMeta {
        name: Some(name(owner, &hash)),
        namespace: Some(owner.namespace().into()),
        labels: Some(labels),
        annotations: owner.meta.annotations.clone().filter(|annotations| !annotations.is_empty()),
        owner_references: Some(vec![owner.controller_ref()]),
        ..ObjectMeta::default()
    };
    revision.data.get_or_insert_default().0 = data;
    revision
}

/// Stores a new revision. Where its name is taken by another one, the collision is counted and makes another name
/// (`CreateControllerRevision`).
///
/// # Errors
///
/// If the API server refuses.
pub fn create(
    owner: About<'_>,
    mut revision: ControllerRevision,
    collisions: &mut i32,
    world: &mut World<'_>,
) -> Result<ControllerRevision, Error> {
    loop {
        let name = name(owner, &hash(data(&revision), *collisions));
        revision.metadata.name = Some(name.clone());
        match world.server.create(revision.clone().into_object()) {
            Ok(stored) => return Ok(stored.get::<ControllerRevision>().cloned().unwrap_or(revision)),
            Err(error) if error.reason == "AlreadyExists" => {
                let there: ControllerRevision = world.server.fetch(owner.namespace(), &name)?;
                if data(&there) == data(&revision) {
                    return Ok(there);
                }
                *collisions = collisions.saturating_add(1);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Gives a revision another number (`UpdateControllerRevision`).
///
/// # Errors
///
/// If it is gone, or the API server refuses.
pub fn renumber(
    revision: &ControllerRevision,
    number: i64,
    world: &mut World<'_>,
) -> Result<ControllerRevision, Error> {
    let about = About::from(revision);
    let mut fresh: ControllerRevision = world.server.fetch(about.namespace(), about.name())?;
    fresh.revision = number;
    world.server.update(fresh.clone().into_object())?;
    Ok(fresh)
}

/// Deletes the oldest revisions that nobody is at, down to so many (`truncateHistory`). A negative limit keeps all.
///
/// # Errors
///
/// If one can't be deleted.
pub fn truncate(
    revisions: &[&ControllerRevision],
    is_live: impl Fn(&str) -> bool,
    limit: i32,
    world: &mut World<'_>,
) -> Result<(), Error> {
    let Ok(limit) = usize::try_from(limit) else { return Ok(()) };
    let dead: Vec<_> = revisions.iter().filter(|revision| !is_live(About::from(**revision).name())).collect();
    let surplus = dead.len().saturating_sub(limit);
    dead[..surplus].iter().try_for_each(|revision| {
        world.server.delete(&About::from(**revision).key(), &DeleteOptions::default()).map(drop)
    })
}
