//! Traces of a kubelet: how a pod comes up, and the calls to the container runtime for that.
//!
//! Upstream (`KubeletTracing`) each sync of a pod is a trace of its own, named `syncPod` (`pkg/kubelet/kubelet.go`), and `otelgrpc` names the
//! calls of the CRI. Here syncs aren't told apart: one span lasts until all containers have begun, and belongs to the trace of
//! the write that bound the pod. The steps of a container are known by the events that tell of them.

use super::Kubelets;
use kit_apimachinery::object::Key;
use kit_client::component::World;
use kit_contract::observability::traces::Kind;
use kit_server::trace::{Context, Going};
use std::collections::BTreeMap;

const PULL: &str = "runtime.v1.ImageService/PullImage";
const SANDBOX: &str = "runtime.v1.RuntimeService/RunPodSandbox";
const CREATE: &str = "runtime.v1.RuntimeService/CreateContainer";
const START: &str = "runtime.v1.RuntimeService/StartContainer";

/// A pod on its way, in its trace.
pub(super) struct Sync {
    /// Under what the kubelet heard of the pod.
    parent: Context,
    /// The sync; none once all containers have begun.
    sync: Option<Going>,
    /// The sync, for what comes after it.
    context: Context,
    sandbox: Option<Going>,
    /// Calls that aren't over, by the image or container that they are about.
    calls: BTreeMap<String, Going>,
}

impl Sync {
    /// A kubelet has heard of a pod; nothing if nobody traces it.
    pub(super) fn begin(node: &str, key: &Key, uid: &str, world: &mut World<'_>) -> Option<Box<Sync>> {
        let parent = world.server.hear_of(uid)?;
        let mut sync = world.server.child_span(parent, "syncPod", Kind::Internal)?;
        let attributes = [
            ("k8s.pod.uid", uid.into()),
            ("k8s.pod", format!("{}/{}", key.namespace, key.name)),
            ("k8s.pod.name", key.name.to_string()),
            ("k8s.pod.update_type", "create".into()),
            ("k8s.namespace.name", key.namespace.to_string()),
            ("k8s.node.name", node.into()),
        ];
        sync.span.attributes = attributes.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let context = sync.context;
        let sandbox = world.server.child_span(context, SANDBOX, Kind::Client);
        Some(Box::new(Sync { parent, sync: Some(sync), context, sandbox, calls: BTreeMap::new() }))
    }

    fn call(&mut self, about: &str, name: &str, world: &mut World<'_>) {
        if let Some(span) = world.server.child_span(self.context, name, Kind::Client) {
            self.calls.insert(about.into(), span);
        }
    }

    fn answered(&mut self, about: &str, error: Option<String>, world: &mut World<'_>) {
        let Some(mut call) = self.calls.remove(about) else { return };
        let of = if call.span.name == PULL { "container.image.name" } else { "k8s.container.name" };
        call.span.attributes.extend([("rpc.system".into(), "grpc".into()), (of.into(), about.into())]);
        world.server.end_child(call, error);
    }

    /// Something was told of the pod.
    fn note(&mut self, (reason, message): (&str, &str), world: &mut World<'_>) {
        let quoted = message.split('"').nth(1).unwrap_or_default();
        let last = message.rsplit(' ').next().unwrap_or_default();
        match reason {
            "Pulling" => self.call(quoted, PULL, world),
            "Pulled" => self.answered(quoted, None, world),
            "Failed" if message.starts_with("Failed to pull image") => {
                self.answered(quoted, Some(message.into()), world);
                // Upstream the sync ends with the error, and another one tries again.
                if let Some(sync) = &self.sync {
                    let mut again = world.server.child_span(self.parent, &sync.span.name, sync.span.kind);
                    again.iter_mut().for_each(|again| again.span.attributes.clone_from(&sync.span.attributes));
                    self.end(Some(message.into()), world);
                    self.context = again.as_ref().map_or(self.context, |span| span.context);
                    self.sync = again;
                }
            }
            "Created" => {
                self.call(last, CREATE, world);
                self.answered(last, None, world);
                self.call(last, START, world);
            }
            "Started" => self.answered(last, None, world),
            _ => {}
        }
    }

    fn end(&mut self, error: Option<String>, world: &mut World<'_>) {
        if let Some(sync) = self.sync.take() {
            world.server.end_child(sync, error);
        }
    }
}

impl Kubelets {
    fn sync_of(&mut self, node: &str, uid: &str) -> Option<&mut Box<Sync>> {
        self.nodes.get_mut(node)?.pods.get_mut(uid)?.trace.as_mut()
    }

    /// The span that a pod's status is written under.
    pub(super) fn context_of(&mut self, node: &str, uid: &str) -> Option<Context> {
        self.sync_of(node, uid).map(|sync| sync.context)
    }

    /// The pod has its sandbox, if it doesn't wait for its network any more.
    pub(super) fn trace_sandbox(&mut self, node: &str, uid: &str, world: &mut World<'_>) {
        let running = self.nodes.get_mut(node).and_then(|kubelet| kubelet.pods.get_mut(uid));
        let Some(running) = running.filter(|running| !running.worker.is_held()) else { return };
        if let Some(span) = running.trace.as_mut().and_then(|sync| sync.sandbox.take()) {
            world.server.end_child(span, None);
        }
    }

    /// Events were told of the pod.
    pub(super) fn trace_events<'a>(
        sync: Option<&mut Box<Sync>>,
        events: impl Iterator<Item = &'a (&'static str, &'static str, String)>,
        world: &mut World<'_>,
    ) {
        let Some(sync) = sync else { return };
        events.for_each(|(_, reason, message)| sync.note((reason, message), world));
    }

    /// The sync is over when all containers have begun, and the trace when the pod is ready.
    pub(super) fn trace_status(&mut self, node: &str, uid: &str, ready: bool, world: &mut World<'_>) {
        let Some(running) = self.nodes.get_mut(node).and_then(|kubelet| kubelet.pods.get_mut(uid)) else { return };
        let begun = running.begins.is_none();
        let Some(sync) = running.trace.as_mut().filter(|_| begun) else { return };
        sync.end(None, world);
        if ready {
            running.trace = None;
        }
    }
}
