//! Static pods: those that a node runs because a file on it says so, whoever the API server may be.
//!
//! For each there is a mirror pod, by which others can see it. Whoever deletes the mirror doesn't end the pod: it gets another one.
//! Sources: `applyDefaults` of `pkg/kubelet/config/common.go`, `pkg/kubelet/pod/mirror_client.go`, `SyncPod` of `pkg/kubelet/kubelet.go`.

use super::Kubelets;
use kit_api::core::{Node, Pod, Toleration};
use kit_api::meta::OwnerReference;
use kit_api::pod;
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_client::component::World;
use kit_server::DeleteOptions;
use kit_time::random::{Purpose, Random};

const HASH: &str = "kubernetes.io/config.hash";
const MIRROR: &str = "kubernetes.io/config.mirror";
const SOURCE: &str = "kubernetes.io/config.source";

fn annotation<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// The uid of the static pod that a pod mirrors, if it does.
pub fn mirrored(pod: &Pod) -> Option<&str> {
    annotation(pod, MIRROR)
}

/// Whether the API server's pod is the one that a kubelet knows by this uid, or its mirror.
pub fn is_of(pod: &Pod, uid: &str) -> bool {
    mirrored(pod).or(pod.metadata.uid.as_deref()) == Some(uid)
}

/// Whether a pod comes from a file of its node.
pub fn is_static(pod: &Pod) -> bool {
    annotation(pod, SOURCE).is_some_and(|source| source != "api") && mirrored(pod).is_none()
}

/// The pod that a node makes of a manifest.
fn of_manifest(manifest: &Pod, node: &str) -> Pod {
    let mut pod = Pod { status: None, ..manifest.clone() };
    let text = serde_json::to_string(manifest).unwrap_or_default();
    let part = |attempt| Random::new(0).bits(Purpose { component: "kubelet", object: &text, reason: node, attempt });
    let uid = format!("{:016x}{:016x}", part(0), part(1));
    let meta = &mut pod.metadata;
    meta.name = Some(format!("{}-{}", meta.name.as_deref().unwrap_or_default(), node.to_lowercase()));
    meta.namespace.get_or_insert_with(|| "default".into());
    let annotations = meta.annotations.get_or_insert_default();
    annotations.insert(HASH.into(), uid.clone());
    annotations.insert(SOURCE.into(), "file".into());
    meta.uid = Some(uid);
    let spec = pod.spec.get_or_insert_default();
    spec.node_name = Some(node.into());
    let always =
        Toleration { operator: Some("Exists".into()), effect: Some("NoExecute".into()), ..Toleration::default() };
    spec.tolerations.get_or_insert_default().push(always);
    pod
}

impl Kubelets {
    /// Static pods begin, and those without a mirror get one.
    pub(super) fn run_static_pods(&mut self, world: &mut World<'_>) {
        let up = self.nodes.iter().filter(|(_, kubelet)| kubelet.up);
        let manifests = up.flat_map(|(node, kubelet)| kubelet.shape.manifests.iter().map(|of| of_manifest(of, node)));
        for mut pod in manifests.collect::<Vec<_>>() {
            let (node, uid) = (pod::node_name(&pod).unwrap_or_default().to_string(), uid(&pod));
            if !self.pods.contains_key(&uid) {
                // A kubelet that begins anew finds what ran before.
                let there = world.server.fetch::<Pod>(&name(&pod).namespace, &name(&pod).name).ok();
                pod.status = there.filter(|there| is_of(there, &uid)).and_then(|there| there.status);
                self.begin_pod(&node, &pod, world);
                self.go_on(&node, &uid, world);
            }
            self.mirror(&node, &uid, world);
        }
    }

    /// Somebody did something with a mirror.
    pub(super) fn see_mirror(&mut self, node: &str, mirror: &Pod, gone: bool, world: &mut World<'_>) {
        let of = mirrored(mirror).unwrap_or_default().to_string();
        match gone {
            true => _ = self.mirrors.remove(&uid(mirror)),
            false => _ = self.mirrors.insert(uid(mirror), of.clone()),
        }
        let Some(kubelet) = self.nodes.get(node) else { return };
        let mut known = kubelet.shape.manifests.iter().map(|manifest| uid(&of_manifest(manifest, node)));
        match known.any(|uid| uid == of) {
            true if gone || pod::is_terminating(mirror) => self.mirror(node, &of, world),
            true => self.go_on(node, &of, world),
            // Nobody stands behind it.
            false if !gone => remove(mirror, world),
            false => {}
        }
    }

    /// Sees to it that a static pod has its mirror.
    fn mirror(&mut self, node: &str, uid: &str, world: &mut World<'_>) {
        let Some(kubelet) = self.nodes.get(node).filter(|kubelet| kubelet.up && kubelet.connected) else { return };
        let manifest = kubelet.pods.get(uid).and_then(|running| running.manifest.as_deref());
        let (Some(mut pod), Ok(owner)) = (manifest.cloned(), world.server.fetch::<Node>("", node)) else { return };
        if let Ok(there) = world.server.fetch::<Pod>(&name(&pod).namespace, &name(&pod).name) {
            if is_of(&there, uid) && !pod::is_terminating(&there) {
                return;
            }
            remove(&there, world);
        }
        let meta = &mut pod.metadata;
        meta.annotations.get_or_insert_default().insert(MIRROR.into(), uid.into());
        meta.uid = None;
        meta.owner_references = Some(vec![OwnerReference {
            api_version: "v1".into(),
            kind: "Node".into(),
            name: node.into(),
            uid: owner.metadata.uid.unwrap_or_default(),
            controller: Some(true),
            ..OwnerReference::default()
        }]);
        pod.status = None;
        // If nobody takes it now, it is tried again with the next lease.
        if world.server.create(pod.into_object()).is_ok() {
            self.post(node, uid, world);
        }
    }
}

fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}

fn name(pod: &Pod) -> Key {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    Key::new(Kind::Pod, &text(&pod.metadata.namespace), &text(&pod.metadata.name))
}

/// A mirror goes at once: no container depends on it.
fn remove(mirror: &Pod, world: &mut World<'_>) {
    let uid = mirror.metadata.uid.clone();
    let options = DeleteOptions { grace_period_seconds: Some(0), uid, ..DeleteOptions::default() };
    _ = world.server.delete(&name(mirror), &options);
}

#[cfg(test)]
mod tests;
