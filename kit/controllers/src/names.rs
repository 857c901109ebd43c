//! What controllers look at, by its name.

use kit_api::meta::{ObjectMeta, OwnerReference};
use kit_apimachinery::object::AsKind;
use kit_client::cache::Cache;

/// Namespace and name.
pub type Name = (String, String);

/// Namespace and name of an object.
pub fn name_of(meta: &ObjectMeta) -> Name {
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// What an owner reference of an object in a namespace means, if it is there: by kind, name and uid
/// (`resolveControllerRef`).
pub fn resolve<'a, T: AsKind + 'static>(owner: &OwnerReference, namespace: &str, cache: &'a Cache) -> Option<&'a T> {
    let object = cache.fetch::<T>(namespace, &owner.name).filter(|_| owner.kind == T::KIND.name())?;
    (object.meta().uid.as_ref() == Some(&owner.uid)).then_some(object)
}
