//! The network of pods: their addresses, and the ports that they listen on.
//!
//! A pod gets its address with its sandbox. If the network refuses, the kubelet says so and tries again; meanwhile none of the
//! pod's containers is created. Sources: `pkg/kubelet/kuberuntime/kuberuntime_manager.go` (`SyncPod`, `createPodSandbox`), `pkg/kubelet/kubelet.go`
//! (`HandlePodCleanups`, `SyncTerminatingPod`).

use super::Kubelets;
use super::static_pods::is_of;
use crate::program::link::{Served, Servers, Wires};
use kit_api::core::{Container, Pod};
use kit_client::component::World;
use kit_client::network::{Protocol, Refused, Sandbox, Shared};
use kit_time::agenda::Instant;
use kit_time::random::{Purpose, Random};
use std::collections::BTreeMap;

/// The interface of one pod.
pub struct Interface {
    /// Whose it is.
    pub sandbox: Sandbox,
    /// Whether the pod uses its node's.
    host: bool,
    there: bool,
    /// How often the network was asked for it.
    asked: u64,
    /// The name of the pod's host.
    pub hostname: String,
    serving: Vec<Served>,
}

impl Interface {
    /// The interface that a pod will have.
    pub fn new(pod: &Pod, node: &str) -> Interface {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let meta = &pod.metadata;
        let sandbox = Sandbox {
            node: node.into(),
            namespace: text(&meta.namespace),
            pod: text(&meta.name),
            uid: text(&meta.uid),
        };
        let host = pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or_default();
        let named = pod.spec.as_ref().and_then(|spec| spec.hostname.clone());
        let hostname = named.unwrap_or_else(|| sandbox.pod.clone());
        Interface { sandbox, host, there: false, asked: 0, hostname, serving: Vec::new() }
    }

    /// The pod's address.
    fn enter(&mut self, network: &Shared, node: &str) -> Result<String, Refused> {
        if self.host {
            return Ok(node.into());
        }
        self.asked += 1;
        let ip = network.borrow_mut().add(&self.sandbox)?;
        self.there = true;
        Ok(ip.to_string())
    }

    /// How long the kubelet waits before it tries again.
    fn pause(&self, (least, most): (Instant, Instant)) -> Instant {
        // The uid is drawn from the cluster's seed, so that this differs from seed to seed.
        let purpose =
            Purpose { component: "kubelet", object: &self.sandbox.uid, reason: "sandbox", attempt: self.asked };
        let more = Random::new(0).fraction(purpose) * (most - least).nanos as f64;
        least + Instant { nanos: more as i64 }
    }

    /// From now on the pod serves this.
    pub fn serve(&mut self, wires: Option<&Wires>, serving: Vec<Served>) {
        let Some(wires) = wires.filter(|_| self.serving != serving) else { return };
        let pod = (self.sandbox.namespace.clone(), self.sandbox.pod.clone());
        let ports =
            |serving: &[Served]| serving.iter().map(|served| (served.protocol, served.port)).collect::<Vec<_>>();
        let (before, now) = (ports(&self.serving), ports(&serving));
        match serving.is_empty() {
            true => _ = wires.servers.borrow_mut().remove(&pod),
            false => _ = wires.servers.borrow_mut().insert(pod, serving.clone()),
        }
        if before != now {
            wires.network.borrow_mut().listen(&self.sandbox, now);
        }
        self.serving = serving;
    }

    /// Gives the interface back.
    pub fn leave(&mut self, wires: Option<&Wires>) {
        self.serve(wires, Vec::new());
        if let Some(wires) = wires.filter(|_| std::mem::take(&mut self.there)) {
            wires.network.borrow_mut().del(&self.sandbox);
        }
    }
}

/// The ports that a container declares. It is taken to serve them all while it runs: nobody reads its code.
pub fn ports(container: &Container) -> Vec<(Protocol, u16)> {
    let port = |port: &kit_api::core::ContainerPort| {
        let protocol = match port.protocol.as_deref() {
            None | Some("TCP") => Protocol::Tcp,
            Some("UDP") => Protocol::Udp,
            Some(_) => return None,
        };
        Some((protocol, u16::try_from(port.container_port).ok()?))
    };
    container.ports.iter().flatten().filter_map(port).collect()
}

impl Kubelets {
    /// Kubelets that get the addresses of pods from this network, and tell it what listens. It is not asked for pods in the
    /// network of their node: they have its address.
    pub fn with_network(self, network: Shared) -> Self {
        let wires = Wires { network, servers: Servers::default() };
        Kubelets { wires: Some(wires), ..self }
    }

    /// What the pods of all nodes serve, by namespace and name.
    pub fn serving(&self) -> BTreeMap<(String, String), Vec<Served>> {
        self.wires.as_ref().map(|wires| wires.servers.borrow().clone()).unwrap_or_default()
    }

    /// Gives a pod its interface, or lets it wait for one. Without a network a pod has an address from the beginning.
    pub(super) fn plug(&mut self, node: &str, uid: &str, world: &mut World<'_>) {
        let Some(kubelet) = self.nodes.get_mut(node) else { return };
        let Some(wires) = self.wires.clone() else {
            // It has waited for its volumes: its address comes now.
            if kubelet.pods.get(uid).is_some_and(|running| running.worker.is_held()) {
                let ip = kubelet.address();
                self.plugged(node, uid, ip, world);
            }
            return;
        };
        let address = kubelet.shape.address(kubelet.index);
        let Some(running) = kubelet.pods.get_mut(uid) else { return };
        let refused = match running.net.enter(&wires.network, &address) {
            Ok(ip) => return self.plugged(node, uid, ip, world),
            // It ran before this process did: its sandbox is there.
            Err(_) if !running.worker.ip().is_empty() => return,
            Err(refused) => refused,
        };
        running.worker.hold(world.now + running.net.pause(refused.again));
        self.tell(node, uid, vec![("Warning", refused.reason, refused.message)], world);
    }

    /// A pod has its address: a pod that waited for it begins now.
    fn plugged(&mut self, node: &str, uid: &str, ip: String, world: &World<'_>) {
        let running = |nodes: &super::Nodes| {
            let running = nodes.get(node)?.pods.get(uid)?;
            running.worker.is_held().then(|| (running.key.clone(), running.manifest.as_deref().cloned()))
        };
        let anew = running(&self.nodes).and_then(|(key, manifest)| {
            let pod = manifest.or_else(|| world.server.fetch::<Pod>(&key.namespace, &key.name).ok())?;
            Some(self.worker_of(&pod, String::new(), world).on(self.runtime_of(node)))
        });
        let Some(running) = self.nodes.get_mut(node).and_then(|kubelet| kubelet.pods.get_mut(uid)) else { return };
        if let Some(worker) = anew {
            // What it has waited for is mounted already.
            let volumes = std::mem::take(&mut running.worker.volumes);
            running.worker = worker;
            running.worker.volumes = volumes;
        }
        running.worker.plugged(ip);
    }

    /// Gives all pods of a node that begins anew new interfaces: the old ones are gone with their sandboxes.
    pub(super) fn plug_again(&mut self, node: &str, world: &mut World<'_>) {
        let Some(kubelet) = self.nodes.get_mut(node).filter(|_| self.wires.is_some()) else { return };
        let mut again = Vec::new();
        for (uid, running) in &mut kubelet.pods {
            running.net.leave(self.wires.as_ref());
            let pod = world.cache.fetch::<Pod>(&running.key.namespace, &running.key.name);
            if running.worker.needs_sandbox() && pod.is_some_and(|pod| is_of(pod, uid)) {
                running.worker.plugged(String::new());
                again.push(uid.clone());
            }
        }
        for uid in again {
            // In a cluster that somebody watches the pod worker says it.
            let changed = || "Pod sandbox changed, it will be killed and re-created.".to_string();
            let told = self.programs.is_none().then(|| ("Normal", "SandboxChanged", changed()));
            self.tell(node, &uid, told.into_iter().collect(), world);
            self.plug(node, &uid, world);
        }
    }

    /// Tells the network what a pod listens on now. A pod whose containers have all ended for good has no sandbox any more.
    pub(super) fn listen(&mut self, node: &str, uid: &str, now: Instant) {
        let wires = self.wires.as_ref();
        if wires.is_none() {
            return;
        }
        let Some(running) = self.nodes.get_mut(node).and_then(|kubelet| kubelet.pods.get_mut(uid)) else { return };
        if running.worker.is_over() {
            running.net.leave(wires);
        } else {
            let serving = running.worker.serves(&running.net.hostname, now);
            running.net.serve(wires, serving);
        }
    }
}

#[cfg(test)]
mod tests;
