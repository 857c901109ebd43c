//! What an observer sees of a cluster: a table of subjects and what can be said of each, and which lines of it change.
//!
//! Pods are counted, not named: which of two equal pods stands where is nobody's business.

mod budgets;
mod jobs;
mod owners;
mod requests;
mod revisions;
mod stateful;
mod storage;

use super::condition::{Condition, Seen};
use crate::engine::Engine;
use kit_api::apps::{DaemonSet, Deployment, ReplicaSet};
use kit_api::autoscaling::HorizontalPodAutoscaler;
use kit_api::core::{Event, Node, Pod, Service, ServiceSpec};
use kit_api::discovery::EndpointSlice;
use kit_api::{node, owner, pod};
use kit_apimachinery::object::{Key, Kind, Object};
use kit_client::explain::Log;
use kit_server::Snapshot;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What can be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Whether nodes are ready, and their taints.
    Nodes,
    /// How many pods of each workload are on each node, and how they are.
    Pods,
    /// The status of ReplicaSets.
    ReplicaSets,
    /// StatefulSets, their pods by name, since that is what they are known by, and claims.
    StatefulSets,
    /// The status of DaemonSets.
    DaemonSets,
    /// On which nodes the containers of each pod run, whatever the API server knows of it.
    Containers,
    /// The status of Deployments.
    Deployments,
    /// The revisions of Deployments and their ReplicaSets, with images and causes.
    Revisions,
    /// The status of Jobs.
    Jobs,
    /// How many endpoints of each service are ready.
    Endpoints,
    /// What autoscalers ask for.
    Autoscalers,
    /// How long queues outside of the cluster are, and whether ScaledObjects see something to do.
    Queues,
    /// What is recommended for each container, and what the pods of each workload request.
    Requests,
    /// How many pods of each workload are of which quality of service.
    QosClasses,
    /// Why pods wait: the message of their condition PodScheduled, and of containers that can't start.
    Reasons,
    /// Events, by object and reason.
    Events,
    /// Claims and volumes: how they stand, and what they say about each other.
    Volumes,
    /// Which volumes are attached to each node, and which it says are in use.
    Attachments,
    /// The status of disruption budgets.
    Budgets,
    /// What is there, who owns it and what holds it.
    Owners,
    /// The scheduler's decisions about pods, node by node.
    Decisions,
    /// The addresses of services of type LoadBalancer, and what the cloud has behind them.
    LoadBalancers,
    /// How many machines each group has, and why the Cluster Autoscaler keeps nodes with little on them.
    NodeGroups,
    /// Databases: how the operator sees them, who accepts writes, what clients hear, and what was lost.
    Databases,
    /// Whether the API server answers, how many members etcd has, and who leads.
    ControlPlane,
}

impl Subject {
    /// Whether it can change though no object did.
    fn is_of_more_than_objects(self) -> bool {
        use Subject::{Containers, ControlPlane, Databases, LoadBalancers, NodeGroups, Queues};
        matches!(self, ControlPlane | LoadBalancers | Databases | Containers | NodeGroups | Queues)
    }
}

/// What can be seen beside the objects, as far as it is watched.
pub fn beside(engine: &Engine, subjects: &[Subject]) -> Vec<(String, String)> {
    let plane = subjects.contains(&Subject::ControlPlane).then(|| engine.control_plane());
    let beside = |subject: &Subject| {
        use Subject::{Databases, LoadBalancers, NodeGroups, Queues};
        matches!(subject, LoadBalancers | Databases | NodeGroups | Queues)
    };
    let shown = subjects.iter().any(beside).then(|| engine.shows());
    let run = subjects.contains(&Subject::Containers).then(|| stateful::containers(engine));
    plane.into_iter().chain(shown).chain(run).flatten().collect()
}

/// Sees changes.
pub struct Observer {
    subjects: Vec<Subject>,
    invariants: Vec<Condition>,
    broken: BTreeSet<usize>,
    table: BTreeMap<String, String>,
    /// The pods that there were, as far as events are watched, and whether the end of their names was drawn, or is a number of
    /// their workload's.
    pods: BTreeMap<Key, bool>,
    revision: i64,
}

/// The workload that a pod belongs to: the Deployment, else the ReplicaSet, else the pod itself.
pub fn workload(object: &Object) -> &str {
    let meta = object.meta();
    let Some(owner) = owner::controller_of(meta) else { return object.name() };
    let hash = meta.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    let without = hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    without.unwrap_or(&owner.name)
}

impl Observer {
    /// An observer who watches all this and has seen nothing.
    pub fn new(subjects: &[Subject], invariants: &[Condition]) -> Self {
        Observer {
            subjects: subjects.to_vec(),
            invariants: invariants.to_vec(),
            broken: BTreeSet::new(),
            table: BTreeMap::new(),
            pods: BTreeMap::new(),
            revision: 0,
        }
    }

    /// What is different from the last look: `subject: before → now`.
    pub fn look(&mut self, snapshot: &Snapshot, plane: &[(String, String)]) -> Vec<String> {
        let shown = self.subjects.iter().any(|subject| subject.is_of_more_than_objects());
        if snapshot.revision == self.revision && !shown {
            return Vec::new();
        }
        self.revision = snapshot.revision;
        let mut table = BTreeMap::new();
        if self.subjects.contains(&Subject::Events) {
            for stored in
                snapshot.list(Kind::Pod).filter(|stored| !self.pods.contains_key(&stored.key)).collect::<Vec<_>>()
            {
                let meta = stored.object.meta();
                let drawn = owner::controller_of(meta).is_some() || meta.generate_name.is_some();
                self.pods.insert(stored.key.clone(), drawn);
            }
        }
        for subject in &self.subjects {
            tabulate(*subject, snapshot, &self.pods, &mut table);
        }
        table.extend(plane.iter().filter(|_| shown).cloned());
        let mut lines = Vec::new();
        for subject in self.table.keys().chain(table.keys()).collect::<BTreeSet<_>>() {
            match (self.table.get(subject), table.get(subject)) {
                (None, Some(now)) => lines.push(format!("{subject}: {now}")),
                (Some(before), None) => lines.push(format!("{subject}: {before} → none")),
                (Some(before), Some(now)) if before != now => lines.push(format!("{subject}: {before} → {now}")),
                _ => {}
            }
        }
        self.table = table;
        lines
    }

    /// The invariants that broke just now.
    pub fn check(&mut self, engine: &Engine) -> Vec<String> {
        let mut lines = Vec::new();
        for (index, invariant) in self.invariants.iter().enumerate() {
            let Seen { text, holds, seen } = invariant.look(engine);
            if holds {
                self.broken.remove(&index);
            } else if self.broken.insert(index) {
                lines.push(format!("broken: {text} ({seen})"));
            }
        }
        lines
    }
}

fn tabulate(subject: Subject, snapshot: &Snapshot, pods: &BTreeMap<Key, bool>, table: &mut BTreeMap<String, String>) {
    match subject {
        Subject::Nodes => {
            for node in snapshot.list(Kind::Node).filter_map(|stored| stored.get::<Node>()) {
                let name = node.metadata.name.as_deref().unwrap_or_default();
                if let Some(ready) = node::condition(node, "Ready") {
                    let message = ready.message.as_deref().filter(|_| ready.status != "True");
                    let message = message.map_or(String::new(), |message| format!(" ({message})"));
                    table.insert(format!("node/{name} Ready"), format!("{}{message}", ready.status));
                }
                let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).into_iter().flatten();
                let mut taints: Vec<_> = taints.flat_map(kit_contract::Show::lines).collect();
                taints.sort();
                if !taints.is_empty() {
                    table.insert(format!("node/{name} taints"), taints.join(", "));
                }
            }
        }
        Subject::Pods => {
            let mut counts: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
            for stored in snapshot.list(Kind::Pod) {
                let Some(pod) = stored.get::<Pod>() else { continue };
                let place = pod::node_name(pod).map_or("without a node".into(), |node| format!("on {node}"));
                let subject = format!("pods of {} {place}", workload(&stored.object));
                *counts.entry(subject).or_default().entry(health(pod)).or_default() += 1;
            }
            for (subject, counts) in counts {
                let counts: Vec<_> = counts.iter().map(|(health, count)| format!("{count} {health}")).collect();
                table.insert(subject, counts.join(", "));
            }
        }
        Subject::ReplicaSets => {
            for set in snapshot.list(Kind::ReplicaSet).filter_map(|stored| stored.get::<ReplicaSet>()) {
                let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
                let status = set.status.clone().unwrap_or_default();
                let value = format!(
                    "{wanted} wanted, {} there, {} ready, {} available",
                    status.replicas,
                    status.ready_replicas.unwrap_or(0),
                    status.available_replicas.unwrap_or(0)
                );
                table.insert(format!("replicaset/{}", owners::readable(&set.metadata)), value);
            }
        }
        Subject::Deployments => {
            for deployment in snapshot.list(Kind::Deployment).filter_map(|stored| stored.get::<Deployment>()) {
                let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
                let status = deployment.status.clone().unwrap_or_default();
                let value = format!(
                    "{wanted} wanted, {} there, {} updated, {} available",
                    status.replicas.unwrap_or(0),
                    status.updated_replicas.unwrap_or(0),
                    status.available_replicas.unwrap_or(0)
                );
                let name = deployment.metadata.name.as_deref().unwrap_or_default();
                table.insert(format!("deployment/{name}"), value);
                for condition in status.conditions.iter().flatten() {
                    let reason = condition.reason.as_deref().unwrap_or_default();
                    let value = format!("{} ({reason})", condition.status);
                    table.insert(format!("deployment/{name} {}", condition.type_), value);
                }
            }
        }
        Subject::Endpoints => {
            let mut counts: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
            for slice in snapshot.list(Kind::EndpointSlice).filter_map(|stored| stored.get::<EndpointSlice>()) {
                let labels = slice.metadata.labels.as_ref();
                let service = labels.and_then(|labels| labels.get("kubernetes.io/service-name"));
                let (ready, all, terminating) = counts.entry(service.map_or("", String::as_str)).or_default();
                for conditions in slice.endpoints.iter().map(|endpoint| endpoint.conditions.clone().unwrap_or_default())
                {
                    *all += 1;
                    *ready += usize::from(conditions.ready == Some(true));
                    *terminating += usize::from(conditions.terminating == Some(true));
                }
            }
            for (service, (ready, all, terminating)) in counts {
                let value = format!("{ready} ready of {all}, terminating {terminating}");
                table.insert(format!("endpoints of {service}"), value);
            }
        }
        Subject::Autoscalers => {
            let all = snapshot.list(Kind::HorizontalPodAutoscaler);
            for autoscaler in all.filter_map(|stored| stored.get::<HorizontalPodAutoscaler>()) {
                let Some(status) = &autoscaler.status else { continue };
                // Until its controller has looked at it, a new one has a status without anything in it.
                if status.current_replicas.is_none() && status.desired_replicas == 0 {
                    continue;
                }
                let (current, desired) = (status.current_replicas.unwrap_or(0), status.desired_replicas);
                let name = autoscaler.metadata.name.as_deref().unwrap_or_default();
                table.insert(format!("hpa/{name}"), format!("{current} there, {desired} wanted"));
            }
        }
        Subject::Queues => {
            for stored in snapshot.list_named("ScaledObject") {
                let status = stored.to_value()["status"].take();
                let conditions = status["conditions"].as_array().into_iter().flatten();
                // What is never so for most isn't told of them.
                let usual = |condition: &&serde_json::Value| {
                    !matches!(condition["type"].as_str(), Some("Fallback" | "Paused")) || condition["status"] == "True"
                };
                for condition in conditions.filter(usual) {
                    let text = |field: &str| condition[field].as_str().unwrap_or_default();
                    let subject = format!("scaledobject/{} {}", stored.key.name, text("type"));
                    table.insert(subject, format!("{} ({})", text("status"), text("reason")));
                }
            }
        }
        Subject::Requests => requests::tabulate(snapshot, table),
        Subject::QosClasses => {
            let mut counts: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
            for stored in snapshot.list(Kind::Pod) {
                let class = stored.get::<Pod>().and_then(|pod| pod.status.as_ref()?.qos_class.as_deref());
                let subject = format!("class of {}", workload(&stored.object));
                *counts.entry(subject).or_default().entry(class.unwrap_or("none")).or_default() += 1;
            }
            for (subject, counts) in counts {
                let counts: Vec<_> = counts.iter().map(|(class, count)| format!("{count} {class}")).collect();
                table.insert(subject, counts.join(", "));
            }
        }
        Subject::Revisions => revisions::tabulate(snapshot, table),
        Subject::Jobs => jobs::tabulate(snapshot, table),
        Subject::DaemonSets => {
            for set in snapshot.list(Kind::DaemonSet).filter_map(|stored| stored.get::<DaemonSet>()) {
                let status = set.status.clone().unwrap_or_default();
                let [updated, available] =
                    [status.updated_number_scheduled, status.number_available].map(|count| count.unwrap_or(0));
                let value = format!(
                    "{} desired, {} current, {updated} updated, {} ready, {available} available, {} misscheduled",
                    status.desired_number_scheduled,
                    status.current_number_scheduled,
                    status.number_ready,
                    status.number_misscheduled
                );
                table.insert(format!("daemonset/{}", set.metadata.name.as_deref().unwrap_or_default()), value);
            }
        }
        Subject::StatefulSets => stateful::tabulate(snapshot, table),
        Subject::Volumes => storage::tabulate(snapshot, table),
        Subject::Attachments => storage::attachments(snapshot, table),
        Subject::Budgets => budgets::tabulate(snapshot, table),
        Subject::Owners => owners::tabulate(snapshot, table),
        Subject::LoadBalancers => {
            for service in snapshot.list(Kind::Service).filter_map(|stored| stored.get::<Service>()) {
                let is_one = |spec: &ServiceSpec| spec.type_.as_deref() == Some("LoadBalancer");
                let ingress = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
                let ingress = ingress.into_iter().flat_map(|status| status.ingress.iter().flatten());
                let addresses: Vec<_> = ingress.filter_map(|entry| entry.ip.as_deref()).collect();
                if !service.spec.as_ref().is_some_and(is_one) && addresses.is_empty() {
                    continue;
                }
                let name = service.metadata.name.as_deref().unwrap_or_default();
                let said = if addresses.is_empty() { "<pending>".into() } else { addresses.join(",") };
                table.insert(format!("service/{name} external IP"), said);
            }
        }
        // They are no state of an object: see `decisions` and `beside`.
        Subject::Decisions | Subject::ControlPlane | Subject::Databases | Subject::Containers | Subject::NodeGroups => {
        }
        Subject::Reasons => {
            for stored in snapshot.list(Kind::Pod) {
                let Some(pod) = stored.get::<Pod>() else { continue };
                if let Some(reason) = waits(pod) {
                    let of = workload(&stored.object);
                    let subject =
                        if of == stored.object.name() { format!("pod/{of}") } else { format!("a pod of {of}") };
                    table.insert(format!("{subject} waits"), reason);
                }
            }
        }
        Subject::Events => {
            for event in snapshot.list(Kind::Event).filter_map(|stored| stored.get::<Event>()) {
                let about = &event.involved_object;
                let kind = about.kind.as_deref().unwrap_or_default().to_lowercase();
                let mut name = about.name.clone().unwrap_or_default();
                let key = Key::new(Kind::Pod, about.namespace.as_deref().unwrap_or_default(), &name);
                if kind == "pod" && pods.get(&key).copied().unwrap_or(true) {
                    // Random names say nothing; the workload does.
                    name = name.rsplit_once('-').map_or(name.clone(), |(base, _)| base.to_string());
                }
                let reason = event.reason.as_deref().unwrap_or_default();
                let count = event.count.unwrap_or(1);
                let entry: &mut String = table.entry(format!("event {kind}/{name} {reason}")).or_default();
                *entry = (entry.parse::<i32>().unwrap_or(0) + count).to_string();
            }
        }
    }
}

/// The scheduler's decisions after so many, as tables. Pods go by their workload.
pub fn decisions(log: &Log, since: u64, snapshot: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, entry) in log.since(since) {
        let scheduling = &entry.scheduling;
        let of = snapshot.get(key).map_or(&*key.name, |stored| workload(&stored.object));
        let subject = if of == &*key.name { format!("pod/{of}") } else { format!("a pod of {of}") };
        let end = match (&scheduling.chosen, &scheduling.nominated) {
            (Some(node), _) => format!("→ {node}"),
            (None, Some(node)) => format!("makes room on {node}"),
            (None, None) => "waits".to_string(),
        };
        lines.push(format!("{subject} {end} · {}", scheduling.summary()));
        lines.extend(scheduling.lines().iter().map(|line| format!("  {line}")));
    }
    lines
}

/// Why a pod waits: the message of its condition PodScheduled, or of a container that can't start.
pub fn waits(pod: &Pod) -> Option<String> {
    let scheduled = pod::condition(pod, "PodScheduled").filter(|condition| condition.status == "False");
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let mut waiting = statuses.into_iter().flatten().filter_map(|status| status.state.as_ref()?.waiting.as_ref());
    let waiting = || waiting.find(|waiting| waiting.message.is_some())?.reason.clone();
    scheduled.and_then(|condition| condition.message.clone()).or_else(waiting)
}

/// How a pod is, in one phrase.
fn health(pod: &Pod) -> &'static str {
    match (pod::is_terminating(pod), pod::phase(pod), pod::is_ready(pod)) {
        (true, ..) => "terminating",
        (_, "Running", true) => "ready",
        (_, "Running", false) => "not ready",
        (_, "Succeeded", _) => "succeeded",
        (_, "Failed", _) => "failed",
        _ => "pending",
    }
}
