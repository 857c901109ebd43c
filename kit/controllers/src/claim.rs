//! What belongs to an owner: it takes in objects that match and belong to nobody, and lets go of its own that
//! don't match.
//!
//! Source: `pkg/controller/controller_ref_manager.go`.

use kit_api::meta::ObjectMeta;
use kit_api::owner::controller_of;
use kit_apimachinery::object::{About, AsKind, Object};
use kit_client::component::World;
use kit_server::Error;

/// The objects that are the owner's own, in the order in which they came (`ClaimObject`).
///
/// # Errors
///
/// The API server refused to let an object change its owner: the first one that it was. The others are claimed all the same.
pub(crate) fn claim<'a, T: AsKind + 'a>(
    owner: About<'_>,
    matches: impl Fn(&ObjectMeta) -> bool,
    objects: impl IntoIterator<Item = &'a T>,
    world: &mut World<'_>,
) -> Result<Vec<&'a T>, Error> {
    let owner_goes = owner.meta.deletion_timestamp.is_some();
    let (mut own, mut done) = (Vec::new(), Ok(()));
    for object in objects {
        let meta = object.meta();
        let matches = matches(meta);
        let is_own = match controller_of(meta) {
            Some(there) if there.uid != owner.uid() => false,
            Some(_) if matches => true,
            Some(_) => {
                if !owner_goes {
                    done = done.and(unless_gone(release(owner, About::from(object), world)).map(drop));
                }
                false
            }
            None if owner_goes || !matches || meta.deletion_timestamp.is_some() => false,
            None => match unless_gone(adopt(owner, About::from(object), world)) {
                Ok(is_there) => is_there,
                Err(error) => {
                    done = done.and(Err(error));
                    false
                }
            },
        };
        own.extend(is_own.then_some(object));
    }
    done.map(|()| own)
}

/// Whether it was done; what is gone needs nothing any more.
fn unless_gone(result: Result<(), Error>) -> Result<bool, Error> {
    match result {
        Err(error) if error.is_not_found() => Ok(false),
        result => result.map(|()| true),
    }
}

/// Takes an object in, if the owner is still what the cache says (`RecheckDeletionTimestamp`).
pub(crate) fn adopt(owner: About<'_>, object: About<'_>, world: &mut World<'_>) -> Result<(), Error> {
    let fresh = world.server.get(&owner.key())?.object.meta();
    if fresh.uid != owner.meta.uid || fresh.deletion_timestamp.is_some() {
        return Err(Error::internal(format!("{} is being deleted, or another one", owner.name())));
    }
    let reference = owner.controller_ref();
    change(object, world, |fresh| fresh.meta_mut().owner_references.get_or_insert_default().push(reference))
}

fn release(owner: About<'_>, object: About<'_>, world: &mut World<'_>) -> Result<(), Error> {
    change(object, world, |fresh| {
        let owners = &mut fresh.meta_mut().owner_references;
        owners.iter_mut().for_each(|owners| owners.retain(|reference| reference.uid != owner.uid()));
        *owners = owners.take().filter(|owners| !owners.is_empty());
    })
}

/// Changes an object, if it is still the same one.
pub(crate) fn change(object: About<'_>, world: &mut World<'_>, change: impl FnOnce(&mut Object)) -> Result<(), Error> {
    let mut fresh = world.server.get(&object.key())?.object.clone();
    if fresh.meta().uid != object.meta.uid {
        return Err(Error::not_found(&object.key()));
    }
    change(&mut fresh);
    world.server.update(fresh).map(drop)
}
