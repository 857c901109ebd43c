//! The disruption controller around the module that counts how many pods of each budget may be disrupted now.
//!
//! Evictions take from `status.disruptionsAllowed` and write down in `status.disruptedPods` which pods they are about
//! to delete; this controller counts anew, and forgets those that are gone or were not deleted after all. It also takes
//! the condition DisruptionTarget back from pods that nobody deleted.
//!
//! Source: `pkg/controller/disruption/disruption.go`.

use crate::names::Name;
use kit_api::apps::{Deployment, ReplicaSet, StatefulSet};
use kit_api::core::{Pod, PodCondition};
use kit_api::disruption_budget;
use kit_api::int_or_percent::IntOrString;
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::meta::{LabelSelector, OwnerReference};
use kit_api::owner::controller_of;
use kit_api::policy::PodDisruptionBudget;
use kit_api::selector::Selector;
use kit_api::{pod, time};
use kit_apimachinery::object::{AsKind, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::selectors::Selectors;
use kit_client::work_queue::{Tally, WorkQueue};
use kit_contract::Modules;
use kit_contract::failure::Disruption;
use kit_contract::failure::disruption::{self as module, Event, Failure, Reason, Status, SyncRequest, Workload};
use kit_server::{Change, ChangeKind, Error, Request};
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// After so long a pod that should have been deleted is no target any more (`stalePodDisruptionTimeout`).
const STALE_AFTER: SignedDuration = SignedDuration::from_secs(120);
const TARGET: &str = "DisruptionTarget";

/// Keeps the status of disruption budgets.
pub struct Disruptions {
    module: Box<dyn Disruption>,
    /// What each budget selects.
    budgets: Selectors,
    queue: WorkQueue<Name>,
    /// Budgets with pods that should be deleted soon.
    recheck: WorkQueue<Name>,
    /// Pods that are a target and aren't being deleted.
    stale: WorkQueue<Name>,
}

impl Component for Disruptions {
    fn name(&self) -> &'static str {
        "controllermanager"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::PodDisruptionBudget, Kind::Pod, Kind::ReplicaSet, Kind::Deployment, Kind::StatefulSet]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let object = &change.object.object;
        let name = (object.namespace().to_string(), object.name().to_string());
        match object {
            Object::PodDisruptionBudget(budget) => {
                let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
                let selector = selector.filter(|_| change.kind != ChangeKind::Deleted);
                self.budgets.set(&name, selector.and_then(|selector| Selector::try_from(Some(selector)).ok()));
                self.queue.add(name, world.now);
            }
            Object::Pod(pod) => {
                if let Some(budget) = self.budget_of(pod, world) {
                    self.queue.add((name.0.clone(), budget), world.now);
                }
                if let Some(wait) = stale_in(pod, world.time()).filter(|_| change.kind != ChangeKind::Deleted) {
                    self.stale.add(name, after(world.now, wait));
                }
            }
            // Nobody looks when a scale changes, only when pods do.
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(name) = self.recheck.pop(world.now) {
            self.queue.retry(name, world.now);
        }
        while let Some(name) = self.queue.pop(world.now) {
            let done = self.sync(&name, world);
            self.queue.done(name, &done, world.now);
        }
        while let Some(name) = self.stale.pop(world.now) {
            let done = self.take_back(&name, world);
            self.stale.done(name, &done, world.now);
        }
    }

    fn queues(&self, now: Instant) -> Vec<(&'static str, Tally)> {
        vec![
            ("disruption", self.queue.tally(now)),
            ("disruption_recheck", self.recheck.tally(now)),
            ("stale_pod_disruption", self.stale.tally(now)),
        ]
    }

    fn next_wake(&self) -> Option<Instant> {
        [self.queue.next(), self.recheck.next(), self.stale.next()].into_iter().flatten().min()
    }
}

impl Disruptions {
    /// A controller with the module of the slot.
    pub fn new(modules: &Modules) -> Self {
        Disruptions {
            module: modules.disruption.make(&()),
            budgets: Selectors::default(),
            queue: WorkQueue::default(),
            recheck: WorkQueue::default(),
            stale: WorkQueue::default(),
        }
    }

    fn sync(&mut self, name: &Name, world: &mut World<'_>) -> Result<(), Error> {
        let Some(budget) = world.cache.fetch::<PodDisruptionBudget>(&name.0, &name.1) else { return Ok(()) };
        match self.try_sync(budget, name, world) {
            // Somebody else was faster, most often an eviction: what it wrote will be seen soon.
            Err(error) if error.code != 409 => fail_safe(budget, &error, world),
            result => result,
        }
    }

    fn try_sync(&mut self, budget: &PodDisruptionBudget, name: &Name, world: &mut World<'_>) -> Result<(), Error> {
        let spec = budget.spec.clone().unwrap_or_default();
        let labels = match Selector::try_from(spec.selector.as_ref()) {
            Ok(selector) => selector,
            Err(why) => {
                world.server.record(budget, "Warning", "NoPods", &format!("Failed to get pods: {why}"));
                return Err(Error::internal(why));
            }
        };
        let pods = world.cache.selected(&name.0, &labels);
        // What has a scale may have to be asked for, and a number of pods is counted without.
        let counts = matches!(&spec.min_available, Some(IntOrString::Int(_))) && spec.max_unavailable.is_none();
        let mut workloads = Workloads::default();
        if !counts {
            pods.iter().for_each(|pod| workloads.add(pod, world));
        }
        let request = SyncRequest {
            budget: budget.into(),
            pods: pods.iter().map(|pod| module::Pod::from(*pod)).collect(),
            workloads: workloads.known,
            now_seconds: world.time().as_second(),
        };
        let answer = self.module.sync(&request);
        let mut message = String::new();
        for event in &answer.events {
            if let Event::CalculateExpectedPodCountFailed(failure) = event {
                message = failure_text(failure, &workloads.without_scale);
            }
            tell(event, &message, budget, &pods, world);
        }
        let before = budget.status.clone().unwrap_or_default();
        let fails = answer.status.condition == Some(Reason::SyncFailed);
        if fails || Status::from(&before) != answer.status || !disruption_budget::condition_is_up_to_date(budget) {
            let status = Some(answer.status.over(&before, &message, world.time()));
            world.server.update_status(PodDisruptionBudget { status, ..budget.clone() }.into_object())?;
        }
        if let Some(seconds) = answer.again_after_seconds {
            self.recheck.add(name.clone(), after(world.now, SignedDuration::from_secs(seconds)));
        }
        Ok(())
    }

    /// The name of the budget of a pod, of several the first (`getPdbForPod`).
    fn budget_of(&self, pod: &Pod, world: &mut World<'_>) -> Option<String> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let mut budgets = self.budgets.matching(namespace, pod.metadata.labels.as_ref()).into_keys();
        let first = budgets.next()?.to_string();
        if budgets.next().is_some() {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let message = format!(
                "Pod {namespace:?}/{name:?} matches multiple PodDisruptionBudgets.  Chose {first:?} arbitrarily."
            );
            world.server.record(pod, "Warning", "MultiplePodDisruptionBudgets", &message);
        }
        Some(first)
    }

    /// A pod that should have gone long ago is no target any more (`syncStalePodDisruption`).
    fn take_back(&mut self, name: &Name, world: &mut World<'_>) -> Result<(), Error> {
        let Some(pod) = world.cache.fetch::<Pod>(&name.0, &name.1) else { return Ok(()) };
        let Some(wait) = stale_in(pod, world.time()) else { return Ok(()) };
        if wait > SignedDuration::ZERO {
            self.stale.add(name.clone(), after(world.now, wait));
            return Ok(());
        }
        let mut pod = pod.clone();
        let conditions = pod.status.get_or_insert_default().conditions.iter_mut().flatten();
        for condition in conditions.filter(|condition| condition.type_ == TARGET) {
            *condition = PodCondition {
                type_: TARGET.into(),
                status: "False".into(),
                last_transition_time: Some(time::seconds(world.time())),
                ..PodCondition::default()
            };
        }
        world.server.update_status(pod.into_object()).map(drop)
    }
}

fn after(now: Instant, wait: SignedDuration) -> Instant {
    now + Instant { nanos: i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX).max(0) }
}

/// How long a pod may still be a target without being deleted; none if that is no matter
/// (`nonTerminatingPodHasStaleDisruptionCondition`). The kubelet may take as long as it wants.
fn stale_in(pod: &Pod, now: Timestamp) -> Option<SignedDuration> {
    let target = pod::condition(pod, TARGET).filter(|condition| condition.status == "True")?;
    if pod::is_terminating(pod) || pod::is_finished(pod) || target.reason.as_deref() == Some("TerminationByKubelet") {
        return None;
    }
    let since = target.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    Some((STALE_AFTER - now.duration_since(since)).max(SignedDuration::ZERO))
}

/// The workloads of pods, each once.
#[derive(Default)]
struct Workloads {
    known: Vec<Workload>,
    /// Why some have no scale, by their kinds.
    without_scale: BTreeMap<String, String>,
    /// The controllers that were looked for.
    asked: BTreeSet<String>,
}

impl Workloads {
    /// The controller of a pod and, if that is a ReplicaSet, the Deployment above.
    fn add(&mut self, pod: &Pod, world: &mut World<'_>) {
        let Some(owner) = controller_of(&pod.metadata).filter(|owner| self.asked.insert(owner.uid.clone())) else {
            return;
        };
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let of = |uid: &String, kind: &str, replicas: Option<i32>, deployment: Option<String>| {
            let replicas = Some(i64::from(replicas.unwrap_or(1)));
            Workload { uid: uid.clone(), kind: kind.into(), replicas, deployment }
        };
        match owner.kind.as_str() {
            "ReplicaSet" if is_apps(owner) => {
                let set = world.cache.fetch::<ReplicaSet>(namespace, &owner.name);
                if let Some(set) = set.filter(|set| set.metadata.uid.as_ref() == Some(&owner.uid)) {
                    let above =
                        controller_of(&set.metadata).filter(|above| above.kind == "Deployment" && is_apps(above));
                    let replicas = set.spec.as_ref().and_then(|spec| spec.replicas);
                    self.known.push(of(&owner.uid, "ReplicaSet", replicas, above.map(|above| above.uid.clone())));
                    let Some(above) = above.filter(|above| self.asked.insert(above.uid.clone())) else { return };
                    let deployment = world.cache.fetch::<Deployment>(namespace, &above.name);
                    if let Some(there) = deployment.filter(|there| there.metadata.uid.as_ref() == Some(&above.uid)) {
                        let replicas = there.spec.as_ref().and_then(|spec| spec.replicas);
                        self.known.push(of(&above.uid, "Deployment", replicas, None));
                    }
                    return;
                }
            }
            "StatefulSet" if is_apps(owner) => {
                let set = world.cache.fetch::<StatefulSet>(namespace, &owner.name);
                if let Some(set) = set.filter(|set| set.metadata.uid.as_ref() == Some(&owner.uid)) {
                    let replicas = set.spec.as_ref().and_then(|spec| spec.replicas);
                    return self.known.push(of(&owner.uid, "StatefulSet", replicas, None));
                }
            }
            _ => {}
        }
        match ask_for_scale(owner, namespace, world) {
            Ok(Some(replicas)) => self.known.push(of(&owner.uid, &owner.kind, Some(replicas), None)),
            Ok(None) => {}
            Err(why) => {
                self.without_scale.insert(owner.kind.clone(), why);
                self.known.push(Workload { replicas: None, ..of(&owner.uid, &owner.kind, None, None) });
            }
        }
    }
}

fn is_apps(owner: &OwnerReference) -> bool {
    matches!(owner.api_version.split_once('/').map(|(group, _)| group), Some("apps" | "extensions"))
}

/// The scale subresource of an owner, if it has one and is that owner (`getScaleController`).
fn ask_for_scale(owner: &OwnerReference, namespace: &str, world: &mut World<'_>) -> Result<Option<i32>, String> {
    let OwnerReference { api_version, kind, .. } = owner;
    let Some(resource) = world.server.kind_of(api_version, kind).map(Kind::resource) else {
        return Err(format!("no matches for kind {kind:?} in version {api_version:?}"));
    };
    let path = format!("/{}/namespaces/{namespace}/{}/{}/scale", resource.root(), resource.plural, owner.name);
    let answer = world.server.request(&Request { method: "GET", path: &path, ..Request::default() });
    let scale: serde_json::Value = serde_json::from_str(answer.as_text()).unwrap_or_default();
    match answer.code {
        200 if scale["metadata"]["uid"] != owner.uid.as_str() => Ok(None),
        200 => {
            let replicas = scale["spec"]["replicas"].as_i64().unwrap_or_default();
            Ok(Some(i32::try_from(replicas).unwrap_or(i32::MAX)))
        }
        404 if resource.subresource("scale").is_some() => Ok(None),
        404 => Err(format!("{} does not implement the scale subresource", resource.qualified())),
        _ => Err(scale["message"].as_str().unwrap_or_default().into()),
    }
}

/// Why a budget can't be counted, in upstream's words.
fn failure_text(failure: &Failure, without_scale: &BTreeMap<String, String>) -> String {
    match failure {
        Failure::NoController { pod } => format!("found no controllers for pod {pod:?}"),
        Failure::NoScale { kind } => without_scale.get(kind).cloned().unwrap_or_default(),
    }
}

/// Sends an event with upstream's message.
fn tell(event: &Event, failure: &str, budget: &PodDisruptionBudget, pods: &[&Pod], world: &mut World<'_>) {
    let (type_, reason, message) = match event {
        Event::NoPods => ("Normal", "NoPods", "No matching pods found".into()),
        Event::CalculateExpectedPodCountFailed(_) => {
            let message = format!("Failed to calculate the number of expected pods: {failure}");
            ("Warning", "CalculateExpectedPodCountFailed", message)
        }
        Event::UnmanagedPods => {
            let selector = dump(budget.spec.as_ref().and_then(|spec| spec.selector.as_ref()));
            let message = format!(
                "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, \
                 the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account \
                 for these pods please set \".spec.minAvailable\" field of the PDB to an integer value."
            );
            ("Warning", "UnmanagedPods", message)
        }
        Event::NotDeleted { pod } => {
            let Some(pod) = pods.iter().find(|there| there.metadata.name.as_ref() == Some(pod)) else { return };
            // The namespace stands there twice upstream too.
            let namespace = budget.metadata.namespace.as_deref().unwrap_or_default();
            let message = format!("Pod was expected by PDB {namespace}/{namespace} to be deleted but it wasn't");
            return world.server.record(*pod, "Warning", "NotDeleted", &message);
        }
    };
    world.server.record(budget, type_, reason, &message);
}

/// When a budget can't be counted, nothing may be disrupted (`failSafe`).
fn fail_safe(budget: &PodDisruptionBudget, error: &Error, world: &mut World<'_>) -> Result<(), Error> {
    let mut budget = budget.clone();
    let status = budget.status.get_or_insert_default();
    status.disruptions_allowed = 0;
    disruption_budget::set_condition(status, "False", "SyncFailed", &error.message, world.time());
    world.server.update_status(budget.into_object()).map(drop)
}

/// A selector as Go prints one in an event (`LabelSelector.String` of `generated.pb.go`).
fn dump(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".into() };
    let labels = selector.match_labels.iter().flatten();
    let labels: String = labels.map(|(key, value)| format!("{key}: {value},")).collect();
    let expressions = selector.match_expressions.iter().flatten().map(|term| {
        let values = term.values.clone().unwrap_or_default().join(" ");
        format!("LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},", term.key, term.operator)
    });
    let expressions: String = expressions.collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},\
         MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

#[cfg(test)]
mod tests;
