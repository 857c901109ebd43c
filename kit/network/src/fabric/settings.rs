//! What agents are told: each reads its plugin's ConfigMap when it starts, and never again while it runs.
//!
//! The ConfigMap and the DaemonSet that runs the agents are objects of the plugin's own manifest. Where nobody has applied one, agents run
//! all the same, and go by what they find on their nodes. Sources: `Documentation/kube-flannel.yml` and `pkg/backend/vxlan` of flannel,
//! `charts/calico/templates/calico-config.yaml` of Calico, `install/kubernetes/cilium` and `pkg/mtu` of Cilium.

use super::Kind;
use crate::datapath::world::IPIP_OVERHEAD;
use kit_api::core::{ConfigMap, Pod};
use kit_api::meta::ObjectMeta;
use kit_api::pod;
use std::collections::BTreeMap;

/// Where a plugin's manifest has what.
struct Manifest {
    namespace: &'static str,
    config: &'static str,
    /// The label of its agents' pods.
    label: (&'static str, &'static str),
}

fn manifest(kind: Kind) -> Manifest {
    let (namespace, config, label) = match kind {
        Kind::Flannel => ("kube-flannel", "kube-flannel-cfg", ("app", "flannel")),
        Kind::Calico => ("kube-system", "calico-config", ("k8s-app", "calico-node")),
        Kind::Cilium => ("kube-system", "cilium-config", ("k8s-app", "cilium")),
    };
    Manifest { namespace, config, label }
}

/// What a pod of the DaemonSet has done.
#[derive(Debug, PartialEq, Eq)]
pub enum Agent {
    /// It began to run, on this node.
    Started(String),
    /// It is gone from there.
    Ended(String),
}

/// What the API says about a plugin's agents.
pub struct Settings {
    kind: Kind,
    mtu: Option<u32>,
    /// The pod of each node's agent, and how often its containers began anew.
    pods: BTreeMap<String, (String, i32)>,
}

impl Settings {
    /// Nothing is said yet.
    pub fn new(kind: Kind) -> Settings {
        Settings { kind, mtu: None, pods: BTreeMap::new() }
    }

    /// What an agent that starts now takes its node's link for; none if it looks for itself.
    pub fn mtu(&self) -> Option<u32> {
        self.mtu
    }

    /// Reads a ConfigMap, if it is the plugin's.
    pub fn read(&mut self, map: &ConfigMap, gone: bool) {
        let Manifest { namespace, config, .. } = manifest(self.kind);
        if map.metadata.namespace.as_deref() == Some(namespace) && map.metadata.name.as_deref() == Some(config) {
            let said = map.data.as_ref().filter(|_| !gone).and_then(|data| said(self.kind, data));
            // Neither 0 nor what no packet of IPv4 fits through (RFC 791) is a length.
            self.mtu = said.filter(|mtu| *mtu >= 68);
        }
    }

    /// Looks at a pod, if it is one of the plugin's agents.
    pub fn see(&mut self, pod: &Pod, gone: bool) -> Option<Agent> {
        let Manifest { namespace, label: (name, value), .. } = manifest(self.kind);
        let ObjectMeta { labels, uid, .. } = &pod.metadata;
        let is_agent = pod.metadata.namespace.as_deref() == Some(namespace)
            && labels.as_ref().and_then(|labels| labels.get(name)).is_some_and(|own| own == value);
        let node = pod::node_name(pod).filter(|_| is_agent)?.to_string();
        let uid = uid.clone().unwrap_or_default();
        let known = self.pods.get(&node);
        if gone || pod::is_finished(pod) {
            known.filter(|(known, _)| *known == uid)?;
            self.pods.remove(&node);
            return Some(Agent::Ended(node));
        }
        let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let began = (uid, containers.map(|container| container.restart_count).sum());
        if pod::phase(pod) != "Running" || known == Some(&began) {
            return None;
        }
        self.pods.insert(node.clone(), began);
        Some(Agent::Started(node))
    }
}

/// What a ConfigMap says about the length of packets, as that of packets on the link.
fn said(kind: Kind, data: &BTreeMap<String, String>) -> Option<u32> {
    match kind {
        Kind::Flannel => {
            let conf: serde_json::Value = serde_json::from_str(data.get("net-conf.json")?).ok()?;
            conf["Backend"]["MTU"].as_u64()?.try_into().ok()
        }
        // That of pods and of the tunnel; 0 is none.
        Kind::Calico => {
            let inner: u32 = data.get("veth_mtu")?.parse().ok()?;
            (inner > 0).then_some(inner.saturating_add(IPIP_OVERHEAD))
        }
        Kind::Cilium => data.get("mtu")?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn each_plugin_has_its_own_word_for_it() {
        let flannel = |backend: &str| json!({"net-conf.json": format!("{{\"Network\": \"10.244.0.0/16\", \"Backend\": {backend}}}")});
        for (kind, name, data, mtu) in [
            (
                Kind::Flannel,
                "kube-flannel/kube-flannel-cfg",
                flannel("{\"Type\": \"vxlan\", \"MTU\": 1400}"),
                Some(1400),
            ),
            (Kind::Flannel, "kube-flannel/kube-flannel-cfg", flannel("{\"Type\": \"vxlan\"}"), None),
            (Kind::Flannel, "kube-flannel/kube-flannel-cfg", flannel("{"), None),
            (Kind::Flannel, "kube-system/kube-flannel-cfg", flannel("{\"MTU\": 1400}"), None),
            (Kind::Calico, "kube-system/calico-config", json!({"veth_mtu": "1380"}), Some(1400)),
            (Kind::Calico, "kube-system/calico-config", json!({"veth_mtu": "0"}), None),
            (Kind::Calico, "kube-system/calico-config", json!({"veth_mtu": "wide"}), None),
            (Kind::Cilium, "kube-system/cilium-config", json!({"mtu": "1400"}), Some(1400)),
            (Kind::Cilium, "kube-system/cilium-config", json!({"mtu": "0"}), None),
        ] {
            let (namespace, config) = name.split_once('/').expect("a namespace and a name");
            let map = json!({"metadata": {"namespace": namespace, "name": config}, "data": data});
            let map: ConfigMap = serde_json::from_value(map).expect("a ConfigMap");
            let mut settings = Settings::new(kind);
            settings.read(&map, false);
            assert_eq!(settings.mtu(), mtu, "{kind:?} {map:?}");
            settings.read(&map, true);
            assert_eq!(settings.mtu(), None);
        }
    }

    #[test]
    fn an_agent_starts_with_each_new_pod_and_container() {
        let pod = |uid: &str, phase: &str, restarts: i32, labels: Value| -> Pod {
            let json = json!({"metadata": {"namespace": "kube-flannel", "name": "f", "uid": uid, "labels": labels},
                "spec": {"nodeName": "node-1", "containers": []},
                "status": {"phase": phase, "containerStatuses": [{"name": "f", "image": "f", "imageID": "f", "ready": true, "restartCount": restarts}]}});
            serde_json::from_value(json).expect("a pod")
        };
        let flannel = || json!({"app": "flannel"});
        let mut settings = Settings::new(Kind::Flannel);
        let (started, ended) = (Some(Agent::Started("node-1".into())), Some(Agent::Ended("node-1".into())));
        for (pod, gone, expected) in [
            (pod("a", "Pending", 0, flannel()), false, None),
            (pod("a", "Running", 0, json!({"app": "web"})), false, None),
            (pod("a", "Running", 0, flannel()), false, started),
            (pod("a", "Running", 0, flannel()), false, None),
            (pod("a", "Running", 1, flannel()), false, Some(Agent::Started("node-1".into()))),
            (pod("b", "Pending", 0, flannel()), true, None),
            (pod("a", "Running", 1, flannel()), true, ended),
            (pod("a", "Running", 1, flannel()), true, None),
        ] {
            let shown = format!("{pod:?} {gone}");
            assert_eq!(settings.see(&pod, gone), expected, "{shown}");
        }
    }
}
