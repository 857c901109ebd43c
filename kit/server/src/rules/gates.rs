//! Fields whose features are off by default in 1.33; nobody can set them.
//!
//! Source: `dropDisabledFields` of `pkg/api/pod/util.go`, and the features of `pkg/features/kube_features.go`.

use super::{default_to, inner, items_in};
use serde_json::{Map, Value};

/// What a new specification of a StatefulSet says of `maxUnavailable`. Without the feature it can't be set, but stays where
/// it was set before (`dropStatefulSetDisabledFields` of `pkg/registry/apps/statefulset/strategy.go`); with it, it is 1
/// unless somebody says otherwise (`SetDefaults_StatefulSet`).
pub fn max_unavailable(set: &mut Value, old: Option<&Value>, enabled: bool) {
    const ROLLING: &str = "/spec/updateStrategy/rollingUpdate";
    let was_set = old.and_then(|old| old.pointer(ROLLING)).is_some_and(|old| old.get("maxUnavailable").is_some());
    let Some(rolling) = set.pointer_mut(ROLLING).and_then(Value::as_object_mut) else { return };
    if enabled {
        default_to(rolling, "maxUnavailable", 1);
    } else if !was_set {
        rolling.shift_remove("maxUnavailable");
    }
}

/// Takes out of a new object what its features would need: CoordinatedLeaderElection, MutableCSINodeAllocatableCount and
/// VolumeAttributesClass; and a node's source of configuration, which is gone.
/// What was there before stays.
pub fn drop_disabled_fields(kind: &str, object: &mut Value, old: Option<&Value>) {
    if let Some(path) = pod_spec_of(kind)
        && let Some(spec) = object.pointer_mut(path).and_then(Value::as_object_mut)
    {
        let before = old.and_then(|old| old.pointer(path)).and_then(Value::as_object);
        let in_use = before.is_some_and(|before| {
            let mut kept = before.clone();
            drop_disabled(&mut kept);
            kept != *before
        });
        if !in_use {
            drop_disabled(spec);
        }
    }
    let fields: &[&str] = match kind {
        "CSIDriver" => &["nodeAllocatableUpdatePeriodSeconds"],
        "Lease" => &["preferredHolder", "strategy"],
        "Node" => &["configSource"],
        "PersistentVolume" | "PersistentVolumeClaim" => &["volumeAttributesClassName"],
        _ => return,
    };
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let there = |field: &str| old.is_some_and(|old| !old["spec"][field].is_null());
        fields.iter().filter(|field| !there(field)).for_each(|field| _ = spec.shift_remove(*field));
    }
}

/// Where a kind says what its pods are.
fn pod_spec_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Pod" => "/spec",
        "PodTemplate" => "/template/spec",
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        "DaemonSet" | "Deployment" | "Job" | "ReplicaSet" | "ReplicationController" | "StatefulSet" => {
            "/spec/template/spec"
        }
        _ => return None,
    })
}

/// Which generation a kubelet has seen (PodObservedGenerationTracking).
pub fn drop_observed_generation(status: &mut Value, old: &Value) {
    if old["observedGeneration"].is_null() {
        status.as_object_mut().map(|status| status.shift_remove("observedGeneration"));
    }
}

/// The same of the status of other kinds; what is there stays (`DropDisabledFieldsFromStatus`, `dropDisabledStatusFields`).
pub fn drop_disabled_status(kind: &str, status: &mut Value, old: &Value) {
    let fields: &[&str] = match kind {
        // VolumeAttributesClass.
        "PersistentVolumeClaim" => &["currentVolumeAttributesClassName", "modifyVolumeStatus"],
        // DeploymentReplicaSetTerminatingReplicas.
        "Deployment" | "ReplicaSet" => &["terminatingReplicas"],
        _ => &[],
    };
    for field in fields.iter().filter(|field| old[**field].is_null()) {
        status.as_object_mut().map(|status| status.shift_remove(*field));
    }
}

/// Takes out of a pod's spec what its features would need.
fn drop_disabled(spec: &mut Map<String, Value>) {
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
