//! How an object is deleted: at once, or marked until its finalizers are gone and its time is over.
//!
//! Sources: `apiserver/pkg/registry/generic/registry/store.go` (`Delete`, `updateForGracefulDeletionAndFinalizers`),
//! `apiserver/pkg/registry/rest/delete.go` (`BeforeDelete`), `pkg/registry/core/namespace/storage/storage.go`.

use super::rules::defaults;
use super::write::held_by_spec;
use super::{DeleteOptions, Error, Propagation, Server, Stored, is_definition};
use kit_api::core::Pod;
use kit_api::jiff::Timestamp;
use kit_api::meta::ObjectMeta;
use kit_apimachinery::object::{Key, Kind, Object};
use std::collections::BTreeSet;
use std::sync::Arc;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// How much time an object is given.
enum Grace {
    /// Its kind knows no such thing, or the time is over.
    None,
    /// It has been given some before, and no less is asked for.
    Pending,
    /// So many seconds from now on.
    Seconds(i64),
}

impl Server {
    /// Deletes an object, or begins to. The answer is the object as it is then, and whether it is gone.
    pub(crate) fn delete_object(&mut self, key: &Key, options: &DeleteOptions) -> Result<(Arc<Stored>, bool), Error> {
        let old = self.get(key)?.clone();
        preconditions(key, &old.object, options)?;
        self.may_delete(key)?;
        self.admit_deletion(&old, options.dry_run)?;
        if is_definition(key.kind) && old.object.meta().deletion_timestamp.is_none() {
            return Ok((self.end_definition(key, &old, options.dry_run)?, false));
        }
        let mut object = old.object.clone();
        let now = self.time();
        if key.kind == Kind::Namespace && held_by_spec(key.kind, &object.to_value()) {
            // It ends when its own finalizers are gone, and a second deletion changes nothing.
            if object.meta().deletion_timestamp.is_none() {
                set_finalizers(&mut object, options.propagation);
                object.meta_mut().deletion_timestamp = Some(kit_api::time::seconds(now));
                if let Object::Namespace(namespace) = &mut object {
                    namespace.status.get_or_insert_default().phase = Some("Terminating".into());
                }
            }
            return Ok((self.marked(key, &old, object, options.dry_run)?, false));
        }
        let grace = begin(&mut object, options.grace_period_seconds, now);
        if matches!(grace, Grace::Pending) {
            return Ok((old, false));
        }
        set_finalizers(&mut object, options.propagation);
        let held = object.meta().finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
        match grace {
            Grace::Seconds(seconds) => {
                let marked = self.marked(key, &old, object, options.dry_run)?;
                if held || seconds > 0 {
                    return Ok((marked, false));
                }
                Ok((if options.dry_run { marked } else { self.remove(key)? }, true))
            }
            _ if held => {
                mark(object.meta_mut(), now);
                Ok((self.marked(key, &old, object, options.dry_run)?, false))
            }
            _ => Ok((if options.dry_run { old } else { self.remove(key)? }, true)),
        }
    }

    fn marked(&mut self, key: &Key, old: &Arc<Stored>, object: Object, dry_run: bool) -> Result<Arc<Stored>, Error> {
        match (dry_run, object == old.object) {
            (_, true) => Ok(old.clone()),
            (true, _) => Ok(Stored::new(key, object)),
            (false, _) => self.write(key, object),
        }
    }
}

/// Whether the object is the one, and the version of it, that is meant.
pub(super) fn preconditions(key: &Key, object: &Object, options: &DeleteOptions) -> Result<(), Error> {
    let there = object.meta().resource_version.as_deref().unwrap_or_default();
    let uid = options.uid.as_deref().filter(|uid| *uid != object.uid());
    let version = options.resource_version.as_deref().filter(|version| *version != there);
    if key.kind == Kind::Namespace || is_definition(key.kind) {
        let conflict = |what: &str, said: &str, there: &str| {
            let why = format!("Precondition failed: {what} in precondition: {said}, {what} in object meta: {there}");
            Err(Error::conflict(key, &why))
        };
        return match (uid, version) {
            (Some(uid), _) => conflict("UID", uid, object.uid()),
            (None, Some(version)) => conflict("ResourceVersion", version, there),
            (None, None) => Ok(()),
        };
    }
    let conflict = |why: String| Err(Error::conflict_on_kind(key, &why));
    if let Some(uid) = uid {
        return conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            object.uid()
        ));
    }
    match version {
        Some(version) => conflict(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record \
             ({there}). The object might have been modified"
        )),
        None => Ok(()),
    }
}

/// Gives a pod its time, or less than it has been given before.
fn begin(object: &mut Object, asked: Option<i64>, now: Timestamp) -> Grace {
    let Object::Pod(pod) = object else { return Grace::None };
    let asked = asked.map(|seconds| if seconds < 0 { 1 } else { seconds });
    let Some(end) = pod.metadata.deletion_timestamp.clone() else {
        let seconds = grace_period(pod, asked);
        let meta = &mut pod.metadata;
        meta.generation = meta.generation.map(|at| at + 1);
        set_end(meta, now.as_second().saturating_add(seconds), seconds, now);
        return Grace::Seconds(seconds);
    };
    let given = match pod.metadata.deletion_grace_period_seconds.unwrap_or_default() {
        0 => return Grace::None,
        seconds if seconds < 0 => 1,
        seconds => seconds,
    };
    let Some(seconds) = asked.filter(|asked| *asked < given) else { return Grace::Pending };
    let (end, now_second) = (end.0.as_second() - given + seconds, now.as_second());
    // Somebody must still end the pod, if it isn't to be gone at once.
    let (end, seconds) = if end < now_second { (now_second, seconds.min(1)) } else { (end, seconds) };
    set_end(&mut pod.metadata, end, seconds, now);
    Grace::Seconds(seconds)
}

fn set_end(meta: &mut ObjectMeta, end: i64, seconds: i64, now: Timestamp) {
    let end = Timestamp::from_second(end).unwrap_or(now);
    meta.deletion_timestamp = Some(kit_api::time::seconds(end));
    meta.deletion_grace_period_seconds = Some(seconds);
}

/// `podStrategy.CheckGracefulDelete` of `pkg/registry/core/pod/strategy.go`.
fn grace_period(pod: &Pod, asked: Option<i64>) -> i64 {
    let own =
        pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(defaults::GRACE_SECONDS);
    match asked.unwrap_or(own) {
        // Nobody would confirm the end of a pod that never ran, or that is over.
        _ if kit_api::pod::node_name(pod).is_none() || kit_api::pod::is_finished(pod) => 0,
        seconds if seconds < 0 => 1,
        seconds => seconds,
    }
}

/// Says that an object is being deleted, and that only its finalizers hold it (`markAsDeleting`).
fn mark(meta: &mut ObjectMeta, now: Timestamp) {
    if meta.deletion_timestamp.is_none() {
        meta.generation = meta.generation.map(|at| at + 1);
    }
    if meta.deletion_timestamp.as_ref().is_none_or(|end| end.0 > now) {
        meta.deletion_timestamp = Some(kit_api::time::seconds(now));
    }
    meta.deletion_grace_period_seconds = Some(0);
}

/// Sets the two finalizers that the garbage collector knows: as the deletion says, or else as they are
/// (`deletionFinalizersForGarbageCollection`, `shouldOrphanDependents`, `shouldDeleteDependents`).
fn set_finalizers(object: &mut Object, propagation: Propagation) {
    // Nobody owns anything through an event (`eventStrategy.DefaultGarbageCollectionPolicy`).
    let unsupported = matches!(object, Object::Event(_));
    let there = object.meta().finalizers.clone().unwrap_or_default();
    let said = there.iter().find(|name| [ORPHAN, FOREGROUND].contains(&name.as_str()));
    let wanted = match (propagation, said) {
        _ if unsupported => None,
        (Propagation::Background, _) | (Propagation::Unsaid, None) => None,
        (Propagation::Foreground, _) => Some(FOREGROUND),
        (Propagation::Orphan, _) | (Propagation::OrphanIfUnsaid, None) => Some(ORPHAN),
        (Propagation::Unsaid | Propagation::OrphanIfUnsaid, Some(said)) => Some(said.as_str()),
    };
    let kept = there.iter().map(String::as_str).filter(|name| ![ORPHAN, FOREGROUND].contains(name));
    let finalizers: Vec<String> = kept.chain(wanted).map(str::to_string).collect();
    // Their order alone is no change.
    if finalizers.iter().collect::<BTreeSet<_>>() != there.iter().collect::<BTreeSet<_>>() {
        object.meta_mut().finalizers = Some(finalizers).filter(|finalizers| !finalizers.is_empty());
    }
}
