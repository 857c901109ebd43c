//! Pods that write more than they may: they are evicted, however much room the node has.
//!
//! Source: `localStorageEviction` of `pkg/kubelet/eviction/eviction_manager.go`. Volumes of the type `emptyDir` are no file systems
//! here whose bytes somebody counts, so that their `sizeLimit` isn't looked at.

use kit_api::Quantity;
use kit_api::core::Pod;
use kit_api::pod_resources::{Side, limits};
use kit_api::qos;

const RESOURCE: &str = "ephemeral-storage";

/// How much a pod may write.
#[derive(Debug, Clone, Default)]
pub struct DiskLimits {
    /// All of its containers together,
    pod: Option<Quantity>,
    /// and each.
    containers: Vec<(String, Quantity)>,
}

impl DiskLimits {
    /// Those of a pod; critical pods are never evicted for them.
    pub fn of(pod: &Pod) -> DiskLimits {
        if qos::is_critical(pod) {
            return DiskLimits::default();
        }
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let limit = |container: &kit_api::core::Container| {
            let limit = Side::Limits.of(container).get(RESOURCE).cloned().filter(|limit| limit.value() != 0);
            limit.map(|limit| (container.name.clone(), limit))
        };
        DiskLimits { pod: limits(pod).get(RESOURCE).cloned(), containers: containers.filter_map(limit).collect() }
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.pod.is_none()
    }

    /// With what message the pod is evicted, whose containers have written so many bytes; none if it may stay.
    pub fn exceeded<'a>(&self, used: impl Iterator<Item = (&'a str, i64)> + Clone) -> Option<String> {
        let all: i64 = used.clone().map(|(_, bytes)| bytes).sum();
        if let Some(limit) = self.pod.as_ref().filter(|limit| all > limit.value()) {
            return Some(format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "));
        }
        used.into_iter().find_map(|(name, bytes)| {
            let (_, limit) = self.containers.iter().find(|(of, limit)| of == name && bytes > limit.value())?;
            Some(format!("Container {name} exceeded its local ephemeral storage limit {:?}. ", limit.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const GI: i64 = 1 << 30;

    #[test]
    fn who_writes_more_than_it_may_goes() {
        let container =
            |name: &str, limit: &str| json!({"name": name, "resources": {"limits": {"ephemeral-storage": limit}}});
        let pod = |containers: serde_json::Value, priority: i32| {
            let value = json!({"metadata": {"name": "p"}, "spec": {"containers": containers, "priority": priority}});
            serde_json::from_value::<Pod>(value).expect("a pod")
        };
        let two = json!([container("a", "1Gi"), container("b", "3Gi")]);
        let cases = [
            (0, [GI, 3 * GI], None),
            (
                0,
                [GI, 3 * GI + 1],
                Some("Pod ephemeral local storage usage exceeds the total limit of containers 4Gi. "),
            ),
            (0, [GI + 1, GI], Some("Container a exceeded its local ephemeral storage limit \"1Gi\". ")),
            (2_000_000_000, [9 * GI, 9 * GI], None),
        ];
        for (priority, [a, b], expected) in cases {
            let limits = DiskLimits::of(&pod(two.clone(), priority));
            assert_eq!(limits.exceeded([("a", a), ("b", b)].into_iter()).as_deref(), expected, "{priority} {a} {b}");
        }
        assert!(DiskLimits::of(&pod(json!([{"name": "a"}]), 0)).is_empty());
    }
}
