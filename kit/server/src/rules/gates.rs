//! Fields of pods whose features are off by default in 1.33; nobody can set them.
//!
//! Source: `dropDisabledFields` of `pkg/api/pod/util.go`, and the features of `pkg/features/kube_features.go`.

use super::{inner, items_in};
use serde_json::{Map, Value};

/// Takes out of a pod's spec what its features would need.
pub fn drop_disabled(spec: &mut Map<String, Value>) {
    // PodLevelResources and DynamicResourceAllocation.
    for field in ["resources", "resourceClaims"] {
        spec.shift_remove(field);
    }
    // ImageVolume.
    items_in(spec, "volumes").for_each(|volume| _ = volume.shift_remove("image"));
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in items_in(spec, list) {
            // DynamicResourceAllocation and ContainerStopSignals.
            inner(container, "resources").into_iter().for_each(|resources| _ = resources.shift_remove("claims"));
            let signal = inner(container, "lifecycle").and_then(|lifecycle| lifecycle.shift_remove("stopSignal"));
            if signal.is_some() && inner(container, "lifecycle").is_some_and(|lifecycle| lifecycle.is_empty()) {
                container.shift_remove("lifecycle");
            }
        }
    }
}
