//! The pods of a node: from the first sight of one to its last status.

use super::pod_worker::PodWorker;
use super::{Kubelets, Running, cri, network, objects, pod_worker, shutdown, static_pods, traces, volumes};
use crate::admission::Claims;
use crate::eviction::disk_limit::DiskLimits;
use kit_api::core::Pod;
use kit_api::pod;
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_client::component::World;
use kit_contract::observability::traces::Kind as SpanKind;
use kit_server::DeleteOptions;
use std::collections::BTreeSet;

impl Kubelets {
    pub(super) fn see(&mut self, pod: &Pod, gone: bool, world: &mut World<'_>) {
        if !self.begun {
            self.begin(world);
        }
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let Some(node) = pod::node_name(pod).map(str::to_string) else { return };
        let Some(kubelet) = self.nodes.get_mut(&node) else { return };
        if !kubelet.up || !kubelet.connected {
            return;
        }
        if static_pods::mirrored(pod).is_some() {
            return self.see_mirror(&node, pod, gone, world);
        }
        if gone {
            self.ended.remove(&uid);
            if let Some(mut running) = kubelet.pods.remove(&uid) {
                running.net.leave(self.wires.as_ref());
            }
            self.pods.remove(&uid);
            self.drop_volumes(&node, world);
            return;
        }
        if !kubelet.pods.contains_key(&uid) {
            if pod::is_finished(pod) || self.ended.contains(&uid) || !self.admits(&node, pod, world) {
                return;
            }
            self.begin_pod(&node, pod, world);
        }
        if let Some(running) = self.nodes.get_mut(&node).and_then(|kubelet| kubelet.pods.get_mut(&uid))
            && pod::is_terminating(pod)
        {
            running.worker.stop(world.now, world.time(), pod_worker::grace(pod));
        }
        self.update(&node, &uid, pod, world);
        self.note_deadline(&node, &uid, pod, world);
        self.go_on(&node, &uid, world);
    }

    /// A pod begins on a node.
    pub(super) fn begin_pod(&mut self, node: &str, pod: &Pod, world: &mut World<'_>) {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (meta, uid) = (&pod.metadata, text(&pod.metadata.uid));
        let key = Key::new(Kind::Pod, &text(&meta.namespace), &text(&meta.name));
        let Some(kubelet) = self.nodes.get_mut(node) else { return };
        let ip = if self.wires.is_some() { String::new() } else { kubelet.address() };
        let worker = self.worker_of(pod, ip, world).on(self.runtime_of(node));
        // One that ran before the kubelet began doesn't start.
        let started = pod.status.as_ref().is_some_and(|status| status.start_time.is_some());
        let trace = if started { None } else { traces::Sync::begin(node, &key, &uid, world) };
        if let Some(kubelet) = self.nodes.get_mut(node) {
            worker.images().for_each(|image| kubelet.images.insert(image));
            let running = Running {
                key,
                worker,
                timer: None,
                net: network::Interface::new(pod, node),
                volumes: volumes::Claimed::new(pod, self.programs.is_some(), world.now),
                priority: shutdown::priority(pod),
                claims: Claims::of(pod),
                disk_limits: DiskLimits::of(pod),
                failing: None,
                begins: (!started).then_some(world.now),
                trace,
                manifest: static_pods::is_static(pod).then(|| Box::new(pod.clone())),
            };
            kubelet.counts.started_pods += u64::from(!started);
            kubelet.pods.insert(uid.clone(), running);
        }
        self.pods.insert(uid.clone(), node.to_string());
        if self.mount(node, &uid, world) {
            self.plug(node, &uid, world);
            self.trace_sandbox(node, &uid, world);
        }
        self.post(node, &uid, world);
    }

    /// A pod may be another than it was.
    pub(super) fn update(&mut self, node: &str, uid: &str, pod: &Pod, world: &mut World<'_>) {
        let (now, time, network) = (world.now, world.time(), self.wires.is_some());
        let Some(kubelet) = self.nodes.get_mut(node) else { return };
        let Some(running) = kubelet.pods.get_mut(uid) else { return };
        if running.worker.update(pod, &self.registry, network, now, time) {
            self.post(node, uid, world);
        }
        self.resize(node, uid, world);
    }

    pub(super) fn worker_of(&self, pod: &Pod, ip: String, world: &World<'_>) -> PodWorker {
        let worker = PodWorker::new(pod, &self.registry, ip, self.lifecycle.clone(), world.now, world.time());
        match &self.programs {
            Some(slot) => {
                worker.with_programs(pod, &self.registry, self.wires.is_some(), slot, world.now, world.time())
            }
            None => worker,
        }
    }

    /// The container runtime of a node.
    pub(super) fn runtime_of(&self, node: &str) -> cri::Runtime {
        self.nodes.get(node).map(|kubelet| kubelet.images.runtime).unwrap_or_default()
    }

    /// Lets the programs of a pod go on, and sets its timer.
    pub(super) fn go_on(&mut self, node: &str, uid: &str, world: &mut World<'_>) {
        if self.play(node, uid, world) {
            self.post(node, uid, world);
        }
        self.tell(node, uid, Vec::new(), world);
        self.listen(node, uid, world.now);
        self.arm(node, uid);
    }

    /// Records events about a pod, and what its worker has to say.
    pub(super) fn tell(&mut self, node: &str, uid: &str, events: pod_worker::Events, world: &mut World<'_>) {
        let Some(kubelet) = self.nodes.get_mut(node).filter(|kubelet| kubelet.up) else { return };
        kubelet.count(uid, &events);
        if !kubelet.connected {
            return;
        }
        let Some(running) = kubelet.pods.get_mut(uid) else { return };
        if events.is_empty() && !running.worker.backs_off() {
            return;
        }
        let Ok(stored) = world.server.get(&running.key).cloned() else { return };
        let more = stored.get::<Pod>().map(|pod| running.worker.told(pod)).unwrap_or_default();
        kubelet.count(uid, &more);
        let trace = kubelet.pods.get_mut(uid).and_then(|running| running.trace.as_mut());
        Kubelets::trace_events(trace, events.iter().chain(&more), world);
        for (type_, reason, message) in events.into_iter().chain(more) {
            world.server.record(&stored.object, type_, reason, &message);
        }
    }

    /// Lets the programs of a pod go on; `true` if its status is another.
    pub(super) fn play(&mut self, node: &str, uid: &str, world: &World<'_>) -> bool {
        if self.programs.is_none() {
            return false;
        }
        let Some(place) = self.place(node, uid, world) else { return false };
        let running = self.nodes.get_mut(node).and_then(|kubelet| kubelet.pods.get_mut(uid));
        let played = running.map(|running| running.worker.play(world.now, &place)).unwrap_or_default();
        self.show(uid, &played.written);
        played.ended || played.changed
    }

    /// Sets the timer of a pod to what it waits for next.
    pub(super) fn arm(&mut self, node: &str, uid: &str) {
        let Some(running) = self.nodes.get_mut(node).and_then(|kubelet| kubelet.pods.get_mut(uid)) else { return };
        let next = running.worker.next_with_programs().into_iter().chain(running.volumes.renews).min();
        if running.timer == next {
            return;
        }
        if let Some(before) = running.timer {
            self.timers.remove(&(before, node.to_string(), uid.to_string()));
        }
        running.timer = next;
        self.timers.extend(next.map(|at| (at, node.to_string(), uid.to_string())));
    }

    /// Posts the status of a pod, if it is another than the one that is there.
    pub(super) fn post(&mut self, node: &str, uid: &str, world: &mut World<'_>) {
        self.watch_memory(node, world.now);
        if let Some(kubelet) = self.nodes.get_mut(node) {
            kubelet.counts.oom_kills += kubelet.pods.get_mut(uid).map_or(0, |running| running.worker.take_oom_kills());
        }
        let Some(kubelet) = self.nodes.get(node).filter(|kubelet| kubelet.up && kubelet.connected) else { return };
        let Some(running) = kubelet.pods.get(uid) else { return };
        let Ok(mut pod) = world.server.fetch::<Pod>(&running.key.namespace, &running.key.name) else { return };
        if !static_pods::is_of(&pod, uid) {
            return;
        }
        self.unmeasured = true;
        let age = pod.metadata.creation_timestamp.as_ref().map(|created| world.time().duration_since(created.0));
        let age = age.map_or(0.0, |age| age.as_secs_f64());
        self.nodes.entry(node.into()).and_modify(|kubelet| kubelet.has_begun(uid, age, world.now));
        let Some(kubelet) = self.nodes.get(node) else { return };
        let Some(running) = kubelet.pods.get(uid) else { return };
        pod.status = Some(running.worker.status(&pod, &kubelet.shape.address(kubelet.index), world.now, world.time()));
        let ready = pod::is_ready(&pod);
        let context = self.context_of(node, uid);
        world.server.under(context, SpanKind::Internal);
        if world.server.update_status(pod.into_object()).is_err_and(|error| error.code >= 500) {
            self.nodes.entry(node.into()).and_modify(|kubelet| kubelet.behind = true);
        }
        world.server.leave(context);
        self.trace_status(node, uid, ready, world);
    }

    pub(super) fn tick(&mut self, node: &str, uid: &str, world: &mut World<'_>) {
        let Some(kubelet) = self.nodes.get_mut(node).filter(|kubelet| kubelet.up) else { return };
        let Some(running) = kubelet.pods.get_mut(uid) else { return };
        running.timer = None;
        if running.worker.waits_for_network(world.now) {
            if self.mount(node, uid, world) {
                self.plug(node, uid, world);
                self.trace_sandbox(node, uid, world);
            }
            self.post(node, uid, world);
            self.go_on(node, uid, world);
            return;
        }
        self.renew_volumes(node, uid, world);
        let Some(kubelet) = self.nodes.get_mut(node) else { return };
        let Some(running) = kubelet.pods.get_mut(uid) else { return };
        let quiet = running.worker.next().is_none_or(|at| at > world.now);
        self.resize(node, uid, world);
        let Some(kubelet) = self.nodes.get_mut(node) else { return };
        let Some(running) = kubelet.pods.get_mut(uid) else { return };
        if running.worker.asks_for_objects() {
            running.worker.needs = objects::Needs::of(&running.key, world);
        }
        let events = running.worker.advance(world.now, world.time(), &mut kubelet.images);
        let key = running.key.clone();
        let ended = self.play(node, uid, world);
        if self.has_failed(node, uid, world) {
            return;
        }
        let Some(kubelet) = self.nodes.get_mut(node) else { return };
        let Some(running) = kubelet.pods.get_mut(uid) else { return };
        if running.worker.stops_at.is_some_and(|at| at <= world.now) {
            if self.programs.is_some() {
                // What its last hook came to is told of a pod that is still there.
                self.tell(node, uid, events, world);
            }
            let Some(kubelet) = self.nodes.get_mut(node) else { return };
            // The kubelet confirms the end with a grace period of 0, for this very pod.
            let options =
                DeleteOptions { grace_period_seconds: Some(0), uid: Some(uid.into()), ..DeleteOptions::default() };
            if world.server.delete(&key, &options).is_err_and(|error| error.code >= 500) {
                kubelet.behind = true;
                return;
            }
            if let Some(mut running) = kubelet.pods.remove(uid) {
                running.net.leave(self.wires.as_ref());
            }
            self.pods.remove(uid);
            if self.programs.is_some() || self.wires.is_some() {
                self.ended.insert(uid.into());
            }
            self.unmeasured = true;
            self.drop_volumes(node, world);
            return;
        }
        self.tell(node, uid, events, world);
        // A program that only goes on changes nothing that others could see.
        if !quiet || ended {
            self.post(node, uid, world);
            self.drop_volumes(node, world);
        }
        self.listen(node, uid, world.now);
        self.arm(node, uid);
    }

    /// The kubelet hears the control plane again, and tells all that it knows.
    pub(super) fn resync(&mut self, node: &str, world: &mut World<'_>) {
        let pods: Vec<Pod> =
            world.cache.all::<Pod>().filter(|pod| pod::node_name(pod) == Some(node)).cloned().collect();
        let there: BTreeSet<_> = pods.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
        if let Some(kubelet) = self.nodes.get_mut(node) {
            kubelet.behind = false;
            kubelet.pods.retain(|uid, running| {
                let kept = there.contains(uid) || running.manifest.is_some();
                if !kept {
                    running.net.leave(self.wires.as_ref());
                }
                kept
            });
        }
        for pod in &pods {
            self.see(pod, false, world);
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            self.post(node, &uid, world);
        }
        if let Some(kubelet) = self.nodes.get_mut(node) {
            kubelet.reported = None;
            kubelet.heartbeat(world);
        }
        self.drop_volumes(node, world);
    }
}
