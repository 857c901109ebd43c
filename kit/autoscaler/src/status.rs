//! The ConfigMap `cluster-autoscaler-status`, from which people see what the autoscaler thinks.
//!
//! Sources: `clusterstate/api/types.go`, `clusterstate/utils/status.go`, `GetStatus` of `clusterstate/clusterstate.go`. Upstream
//! writes it at each look; here only what is new is written, so that a cluster can come to rest.

use crate::cloud::Group;
use kit_api::jiff::Timestamp;
use kit_apimachinery::object::{Key, Kind, Object};
use kit_client::component::World;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NAME: &str = "cluster-autoscaler-status";
/// `ConfigMapLastUpdatedKey`.
const UPDATED: &str = "cluster-autoscaler.kubernetes.io/last-updated";

/// How many nodes of a group there are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Nodes that are ready.
    pub ready: usize,
    /// Nodes that have registered and can't take pods yet.
    pub not_started: usize,
    /// Nodes that have been ready before, and aren't.
    pub unready: usize,
    /// Nodes whose machines go.
    pub being_deleted: usize,
    /// Machines without a node.
    pub unregistered: usize,
}

/// What is said of one group.
pub struct Said {
    /// The group.
    pub group: Group,
    /// Its nodes.
    pub counts: Counts,
    /// Whether machines are to come.
    pub in_progress: bool,
    /// Why there will be no more machines for a while.
    pub backoff: Option<String>,
    /// How many of its nodes are unneeded.
    pub candidates: usize,
}

/// Keeps the ConfigMap.
#[derive(Default)]
pub struct Status {
    /// What each condition was, and since when.
    since: BTreeMap<String, (String, Timestamp)>,
    written: Option<Value>,
}

impl Status {
    /// Writes what is to be said, if it is new; the ConfigMap, for events about the cluster as a whole.
    pub fn write(&mut self, said: &[Said], world: &mut World<'_>) {
        let now = world.time();
        let groups: Vec<Value> = said.iter().map(|said| self.group(said, now)).collect();
        let total = said.iter().fold(Counts::default(), |sum, said| sum.and(said.counts));
        let candidates = said.iter().map(|said| said.candidates).sum();
        let up = if said.iter().any(|said| said.in_progress) { "InProgress" } else { "NoActivity" };
        let mut health = self.condition("", "health", "Healthy", now);
        health["nodeCounts"] = total.to_value();
        let cluster = json!({
            "health": health,
            "scaleUp": self.condition("", "scaleUp", up, now),
            "scaleDown": self.scale_down("", candidates, now),
        });
        let body = json!({"autoscalerStatus": "Running", "clusterWide": cluster, "nodeGroups": groups});
        let there = Self::object(world).is_some();
        if there && self.written.as_ref() == Some(&body) {
            return;
        }
        let mut text = json!({"time": time(now)});
        text.as_object_mut().into_iter().for_each(|all| all.extend(body.as_object().cloned().unwrap_or_default()));
        let value = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": "kube-system", "name": NAME, "annotations": {UPDATED: time(now)}},
            "data": {"status": serde_yaml::to_string(&text).unwrap_or_default()},
        });
        let Ok(map) = Object::from_value(Kind::ConfigMap, value) else { return };
        let done = if there { world.server.update(map) } else { world.server.create(map) };
        if done.is_ok() {
            self.written = Some(body);
        }
    }

    /// Tells of something that is about no pod and no node: an event of the ConfigMap (`LogEventRecorder`).
    pub fn tell(kind: &str, reason: &str, message: &str, world: &mut World<'_>) {
        if let Some(map) = Self::object(world) {
            world.server.record(&map, kind, reason, message);
        }
    }

    fn object(world: &World<'_>) -> Option<Object> {
        world.server.get(&Key::new(Kind::ConfigMap, "kube-system", NAME)).ok().map(|stored| stored.object.clone())
    }

    fn group(&mut self, said: &Said, now: Timestamp) -> Value {
        let Said { group, counts, in_progress, backoff, candidates } = said;
        let up = match (in_progress, backoff) {
            (true, _) => "InProgress",
            (false, Some(_)) => "Backoff",
            _ => "NoActivity",
        };
        let mut health = self.condition(&group.name, "health", "Healthy", now);
        health["nodeCounts"] = counts.to_value();
        health["cloudProviderTarget"] = group.target.into();
        (health["minSize"], health["maxSize"]) = (group.min.into(), group.max.into());
        let mut scale_up = self.condition(&group.name, "scaleUp", up, now);
        if let Some(why) = backoff {
            scale_up["backoffInfo"] = json!({"errorCode": "cloudProviderError", "errorMessage": why});
        }
        let scale_down = self.scale_down(&group.name, *candidates, now);
        json!({"name": group.name, "health": health, "scaleUp": scale_up, "scaleDown": scale_down})
    }

    fn scale_down(&mut self, of: &str, candidates: usize, now: Timestamp) -> Value {
        let status = if candidates > 0 { "CandidatesPresent" } else { "NoCandidates" };
        let mut condition = self.condition(of, "scaleDown", status, now);
        if candidates > 0 {
            condition["candidates"] = candidates.into();
        }
        condition
    }

    fn condition(&mut self, of: &str, what: &str, status: &str, now: Timestamp) -> Value {
        let known = self.since.entry(format!("{of}/{what}")).or_insert_with(|| (status.into(), now));
        if known.0 != status {
            *known = (status.into(), now);
        }
        json!({"status": status, "lastTransitionTime": time(known.1)})
    }
}

impl Counts {
    fn and(self, other: Counts) -> Counts {
        Counts {
            ready: self.ready + other.ready,
            not_started: self.not_started + other.not_started,
            unready: self.unready + other.unready,
            being_deleted: self.being_deleted + other.being_deleted,
            unregistered: self.unregistered + other.unregistered,
        }
    }

    fn to_value(self) -> Value {
        let total = self.ready + self.not_started + self.unready + self.being_deleted;
        json!({
            "registered": {
                "total": total,
                "ready": self.ready,
                "notStarted": self.not_started,
                "beingDeleted": self.being_deleted,
                "unready": {"total": self.unready, "resourceUnready": 0},
            },
            "longUnregistered": 0,
            "unregistered": self.unregistered,
        })
    }
}

fn time(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}
