//! Who an object belongs to.

use crate::meta::{ObjectMeta, OwnerReference};

/// The owner that manages the object: at most one reference says `controller: true` (`metav1.GetControllerOf`).
pub fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}
