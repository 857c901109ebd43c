//! The taint eviction controller: deletes pods that don't tolerate the `NoExecute` taints of their node, or not for
//! any longer.
//!
//! Source: `pkg/controller/tainteviction/taint_eviction.go`.

use kit_api::core::{Node, Pod, PodSpec, Taint};
use kit_api::{pod, toleration};
use kit_apimachinery::object::{AsKind, Key, Kind, Object};
use kit_client::component::{Component, World};
use kit_server::{Change, ChangeKind, DeleteOptions, Stored, registry};
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Evicts pods from tainted nodes.
#[derive(Default)]
pub struct TaintEviction {
    /// Pods that may have to go, or may stay after all.
    suspects: BTreeSet<Key>,
    /// When pods will be deleted, and since when that is known.
    timers: BTreeMap<Key, Timer>,
    /// Nodes whose taints are to be held against their pods.
    nodes: BTreeSet<String>,
}

struct Timer {
    since: Instant,
    at: Instant,
    uid: String,
}

/// How a pod stands to the taints of its node.
#[derive(Debug, PartialEq, Eq)]
enum Stay {
    /// It doesn't tolerate one of them.
    No,
    /// It tolerates them all for so long.
    For(Instant),
    /// It tolerates them for ever.
    Forever,
}

/// For how long a pod may stay on a node with these taints (`processPodOnNode` and `getMinTolerationTime`).
fn stay(pod: &Pod, taints: &[&Taint]) -> Stay {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.clone()).unwrap_or_default();
    let covers = |taint: &&&Taint| tolerations.iter().any(|toleration| toleration::tolerates(toleration, taint));
    if !taints.iter().all(|taint| covers(&taint)) {
        return Stay::No;
    }
    let used = tolerations.iter().filter(|t| taints.iter().any(|taint| toleration::tolerates(t, taint)));
    let seconds = used.filter_map(|toleration| toleration.toleration_seconds).min();
    seconds.map_or(Stay::Forever, |seconds| Stay::For(Instant::seconds(seconds.max(0))))
}

/// Whether a change can change what is tolerated: other taints, other tolerations or another node (`PodUpdated` and
/// `NodeUpdated`).
fn matters(change: &Change) -> bool {
    fn taints(stored: &Stored) -> Option<&Vec<Taint>> {
        stored.get::<Node>()?.spec.as_ref()?.taints.as_ref()
    }
    fn spec(stored: &Stored) -> Option<&PodSpec> {
        stored.get::<Pod>()?.spec.as_ref()
    }
    let (now, Some(before)) = (&change.object, &change.previous) else { return true };
    let tolerations = |stored| spec(stored).and_then(|spec| spec.tolerations.as_ref());
    let node = |stored| spec(stored).and_then(|spec| spec.node_name.as_ref());
    now.object.uid() != before.object.uid()
        || taints(now) != taints(before)
        || tolerations(now) != tolerations(before)
        || node(now) != node(before)
}

impl TaintEviction {
    fn look_at(&mut self, key: Key, world: &mut World<'_>) {
        let Some(pod) = world.cache.fetch::<Pod>(&key.namespace, &key.name) else { return };
        let Some(node) = pod::node_name(pod).and_then(|node| world.cache.fetch::<Node>("", node)) else { return };
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).into_iter().flatten();
        let taints: Vec<&Taint> = taints.filter(|taint| taint.effect == "NoExecute").collect();
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let standing = self.timers.get(&key).filter(|timer| timer.uid == uid);
        let at = match stay(pod, &taints) {
            // A deadline that stands isn't moved, whatever the pod tolerates by now; the time counts from when the
            // controller first saw a taint.
            Stay::For(_) if standing.is_some_and(|timer| timer.since < world.now) => return,
            Stay::For(time) => world.now + time,
            stay => {
                if self.timers.remove(&key).is_some() {
                    let message = format!("Cancelling deletion of Pod {}/{}", key.namespace, key.name);
                    world.server.record(pod, "Normal", "TaintManagerEviction", &message);
                }
                if stay == Stay::Forever {
                    return;
                }
                world.now
            }
        };
        self.timers.insert(key, Timer { since: world.now, at, uid });
    }

    fn evict(key: &Key, uid: String, world: &mut World<'_>) {
        let Ok(mut pod) = world.server.fetch::<Pod>(&key.namespace, &key.name) else { return };
        if pod.metadata.uid.as_ref() != Some(&uid) || pod::is_terminating(&pod) {
            return;
        }
        let message = format!("Marking for deletion Pod {}/{}", key.namespace, key.name);
        world.server.record(&pod, "Normal", "TaintManagerEviction", &message);
        let why = "Taint manager: deleting due to NoExecute taint";
        let reason = Some("DeletionByTaintManager");
        registry::set_condition(&mut pod, "DisruptionTarget", "True", reason, Some(why), world.time());
        _ = world.server.update_status(pod.into_object());
        let options = DeleteOptions { uid: Some(uid), ..DeleteOptions::default() };
        _ = world.server.delete(key, &options);
    }
}

impl Component for TaintEviction {
    fn name(&self) -> &'static str {
        "taint-eviction-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Node, Kind::Pod]
    }

    fn observe(&mut self, change: &Change, _world: &mut World<'_>) {
        let object = &change.object.object;
        match object {
            Object::Pod(_) if change.kind == ChangeKind::Deleted => _ = self.timers.remove(&change.object.key),
            _ if !matters(change) => {}
            Object::Pod(_) => _ = self.suspects.insert(change.object.key.clone()),
            _ => _ = self.nodes.insert(object.name().to_string()),
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        let nodes = std::mem::take(&mut self.nodes);
        if !nodes.is_empty() {
            let node_of = |pod: &Stored| pod.get().and_then(pod::node_name).is_some_and(|node| nodes.contains(node));
            let pods = world.cache.stored(Kind::Pod).filter(|pod| node_of(pod));
            self.suspects.extend(pods.map(|pod| pod.key.clone()));
        }
        for key in std::mem::take(&mut self.suspects) {
            self.look_at(key, world);
        }
        let due: Vec<Key> =
            self.timers.iter().filter(|(_, timer)| timer.at <= world.now).map(|(key, _)| key.clone()).collect();
        for key in due {
            if let Some(timer) = self.timers.remove(&key) {
                Self::evict(&key, timer.uid, world);
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.timers.values().map(|timer| timer.at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;
    use kit_server::Patch;
    use serde_json::{Value, json};

    fn taint(key: &str) -> Value {
        json!({"key": key, "effect": "NoExecute"})
    }

    fn tolerates(key: &str, seconds: Value) -> Value {
        json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds})
    }

    /// What changes 10 seconds after a pod that tolerates `a` for 60 seconds has been seen on a node with that taint; and
    /// how many seconds after that first time it is deleted.
    #[test]
    fn a_deadline_that_stands_is_not_moved() {
        let (a, b) = (taint("a"), taint("b"));
        let forever = tolerates("a", Value::Null);
        let cases = [
            ("nothing", json!([a]), json!([]), Some(60)),
            ("the pod tolerates it for less", json!([a]), json!([tolerates("a", json!(20))]), Some(60)),
            ("another taint, tolerated for less", json!([a, b]), json!([tolerates("b", json!(5))]), Some(60)),
            ("another taint, tolerated not at all", json!([a, b]), json!([]), Some(10)),
            ("another taint, tolerated for no time", json!([a, b]), json!([tolerates("b", json!(0))]), Some(60)),
            ("another taint instead, tolerated for ever", json!([b]), json!([tolerates("b", Value::Null)]), None),
            ("no taint", json!([]), json!([forever]), None),
        ];
        for (what, taints, more, expected) in cases {
            let mut bench = Bench::new(TaintEviction::default());
            bench.create(
                json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"taints": [a]}}),
            );
            let first = [tolerates("a", json!(60))];
            bench.create(json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
                "spec": {"nodeName": "n", "tolerations": first, "containers": [{"name": "c", "image": "app"}]},
            }));
            bench.settle();
            bench.run_until(Instant::seconds(10));
            let all: Vec<&Value> = first.iter().chain(more.as_array().expect("a list")).collect();
            let (node, pod) = (Key::new(Kind::Node, "", "n"), Key::new(Kind::Pod, "default", "p"));
            let tolerations = json!({"spec": {"tolerations": all}});
            bench.server.patch(&pod, &Patch::Merge(tolerations), false).expect("tolerations may be added");
            bench.settle();
            bench.server.patch(&node, &Patch::Merge(json!({"spec": {"taints": taints}})), false).expect("it is there");
            bench.settle();
            let gone = (10..200).find(|second| {
                bench.run_until(Instant::seconds(*second));
                bench.server.get(&pod).map_or(true, |pod| pod.object.meta().deletion_timestamp.is_some())
            });
            assert_eq!(gone, expected, "{what}");
        }
    }
}
