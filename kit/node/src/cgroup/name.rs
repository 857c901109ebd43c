//! Where the cgroup of a pod is, below the mount of the kernel's hierarchy.
//!
//! Source: `pkg/kubelet/cm/cgroup_manager_linux.go`, `pkg/kubelet/cm/pod_container_manager_linux.go`.

use kit_api::qos::QosClass;

/// Who makes cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// The kubelet itself, as folders.
    Cgroupfs,
    /// systemd, as slices (the default of most distributions).
    Systemd,
}

/// The path of a pod's cgroup, under a root such as `/`.
pub fn of_pod(root: &str, class: QosClass, uid: &str, driver: Driver) -> String {
    let mut parts: Vec<String> = root.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    parts.push("kubepods".into());
    // Guaranteed pods have no class around them.
    match class {
        QosClass::Guaranteed => {}
        QosClass::Burstable => parts.push("burstable".into()),
        QosClass::BestEffort => parts.push("besteffort".into()),
    }
    parts.push(format!("pod{uid}"));
    match driver {
        Driver::Cgroupfs => format!("/{}", parts.join("/")),
        Driver::Systemd => slices(&parts),
    }
}

/// A slice is called after all slices around it, with `-` between them, so a `-` in a name becomes `_` (`escapeSystemdCgroupName`).
fn slices(parts: &[String]) -> String {
    let (mut path, mut name) = (String::new(), String::new());
    for part in parts {
        if !name.is_empty() {
            name.push('-');
        }
        name += &part.replace('-', "_");
        path += &format!("/{name}.slice");
    }
    path
}
