//! The disruption controller: how many pods of each budget may be disrupted now.
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
use kit_api::int_or_percent::{IntOrString, Round, scaled};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::meta::{LabelSelector, OwnerReference, Time};
use kit_api::owner::controller_of;
use kit_api::policy::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use kit_api::selector::{self, Selector};
use kit_api::{pod, time};
use kit_apimachinery::object::{AsKind, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::work_queue::WorkQueue;
use kit_server::{Change, ChangeKind, Error, Request};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

/// After so long a pod that should have been deleted counts again (`DeletionTimeout`).
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);
/// After so long a pod that should have been deleted is no target any more (`stalePodDisruptionTimeout`).
const STALE_AFTER: SignedDuration = SignedDuration::from_secs(120);
const TARGET: &str = "DisruptionTarget";

/// Keeps the status of disruption budgets.
#[derive(Default)]
pub struct Disruptions {
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
            Object::PodDisruptionBudget(_) => self.queue.add(name, world.now),
            Object::Pod(pod) => {
                if let Some(budget) = budget_of(pod, world) {
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

    fn next_wake(&self) -> Option<Instant> {
        [self.queue.next(), self.recheck.next(), self.stale.next()].into_iter().flatten().min()
    }
}

impl Disruptions {
    fn sync(&mut self, name: &Name, world: &mut World<'_>) -> Result<(), Error> {
        let Some(budget) = world.cache.fetch::<PodDisruptionBudget>(&name.0, &name.1) else { return Ok(()) };
        match self.try_sync(budget, name, world) {
            // Somebody else was faster, most often an eviction: what it wrote will be seen soon.
            Err(error) if error.code != 409 => fail_safe(budget, &error, world),
            result => result,
        }
    }

    fn try_sync(&mut self, budget: &PodDisruptionBudget, name: &Name, world: &mut World<'_>) -> Result<(), Error> {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let labels = match Selector::try_from(selector) {
            Ok(selector) => selector,
            Err(why) => {
                world.server.record(budget, "Warning", "NoPods", &format!("Failed to get pods: {why}"));
                return Err(Error::internal(why));
            }
        };
        let no_labels = BTreeMap::new();
        let selects = |pod: &&Pod| labels.matches(pod.metadata.labels.as_ref().unwrap_or(&no_labels));
        let pods: Vec<&Pod> = world.cache.list::<Pod>(&name.0).filter(selects).collect();
        if pods.is_empty() {
            world.server.record(budget, "Normal", "NoPods", "No matching pods found");
        }
        let expected = match expected(budget, &pods, world) {
            Ok(expected) => expected,
            Err(why) => {
                let message = format!("Failed to calculate the number of expected pods: {why}");
                world.server.record(budget, "Warning", "CalculateExpectedPodCountFailed", &message);
                return Err(Error::internal(why));
            }
        };
        if expected.unmanaged {
            let message = format!(
                "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the \
                 status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account \
                 for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.",
                dump(selector)
            );
            world.server.record(budget, "Warning", "UnmanagedPods", &message);
        }
        let now = world.time();
        let (disrupted, recheck) = disrupted(budget, &pods, world);
        write(budget, healthy(&pods, &disrupted, now), &expected, disrupted, world)?;
        if let Some(at) = recheck {
            self.recheck.add(name.clone(), after(world.now, at.duration_since(now)));
        }
        Ok(())
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

/// The name of the budget of a pod, of several the first (`getPdbForPod`).
fn budget_of(pod: &Pod, world: &mut World<'_>) -> Option<String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let is_its = |budget: &&PodDisruptionBudget| {
        let of = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        of.is_some_and(|of| selector::matches(of, pod.metadata.labels.as_ref()))
    };
    let mut budgets = world.cache.list::<PodDisruptionBudget>(namespace).filter(is_its);
    let first = budgets.next()?.metadata.name.clone().unwrap_or_default();
    if budgets.next().is_some() {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let message =
            format!("Pod {namespace:?}/{name:?} matches multiple PodDisruptionBudgets.  Chose {first:?} arbitrarily.");
        world.server.record(pod, "Warning", "MultiplePodDisruptionBudgets", &message);
    }
    Some(first)
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

/// What a budget asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expected {
    /// How many pods there should be.
    pods: i32,
    /// How many of them should be healthy.
    healthy: i32,
    /// Whether pods without a controller are in the way of that count.
    unmanaged: bool,
}

/// `getExpectedPodCount`: a number of pods that must be there is compared with those that are there, and everything
/// else with what their controllers ask for. Shares are rounded up, both ways.
fn expected(budget: &PodDisruptionBudget, pods: &[&Pod], world: &mut World<'_>) -> Result<Expected, String> {
    let spec = budget.spec.clone().unwrap_or_default();
    if let Some(max_unavailable) = &spec.max_unavailable {
        let (pods, unmanaged) = expected_scale(pods, world)?;
        let healthy = pods.wrapping_sub(scaled(max_unavailable, pods, Round::Up)?).max(0);
        return Ok(Expected { pods, healthy, unmanaged });
    }
    match &spec.min_available {
        None => Ok(Expected::default()),
        Some(IntOrString::Int(healthy)) => {
            Ok(Expected { pods: i32::try_from(pods.len()).unwrap_or(i32::MAX), healthy: *healthy, unmanaged: false })
        }
        Some(share) => {
            let (pods, unmanaged) = expected_scale(pods, world)?;
            Ok(Expected { pods, healthy: scaled(share, pods, Round::Up)?, unmanaged })
        }
    }
}

/// How many pods the controllers of these pods ask for, and whether there are pods without one (`getExpectedScale`).
fn expected_scale(pods: &[&Pod], world: &mut World<'_>) -> Result<(i32, bool), String> {
    let mut scales: BTreeMap<String, i32> = BTreeMap::new();
    let mut unmanaged = false;
    for pod in pods {
        let Some(owner) = controller_of(&pod.metadata) else {
            unmanaged = true;
            continue;
        };
        if scales.contains_key(&owner.uid) {
            continue;
        }
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let Some((uid, scale)) = scale_of(owner, namespace, world)? else {
            return Err(format!("found no controllers for pod {:?}", pod.metadata.name.as_deref().unwrap_or_default()));
        };
        scales.insert(uid, scale);
    }
    Ok((scales.values().fold(0, |sum, scale| sum.wrapping_add(*scale)), unmanaged))
}

/// The uid of whoever decides how many there are of a pod, and how many: its Deployment, ReplicaSet or StatefulSet, or
/// whatever else has a scale.
fn scale_of(owner: &OwnerReference, namespace: &str, world: &mut World<'_>) -> Result<Option<(String, i32)>, String> {
    let is_apps = |owner: &OwnerReference| {
        matches!(owner.api_version.split_once('/').map(|(group, _)| group), Some("apps" | "extensions"))
    };
    let known = match owner.kind.as_str() {
        "ReplicaSet" if is_apps(owner) => {
            let set = world.cache.fetch::<ReplicaSet>(namespace, &owner.name);
            let set = set.filter(|set| set.metadata.uid.as_ref() == Some(&owner.uid));
            match set.map(|set| (set, controller_of(&set.metadata))) {
                Some((_, Some(above))) if above.kind == "Deployment" => {
                    let deployment = world.cache.fetch::<Deployment>(namespace, &above.name).filter(|_| is_apps(above));
                    let deployment = deployment.filter(|there| there.metadata.uid.as_ref() == Some(&above.uid));
                    deployment.map(|there| (&above.uid, there.spec.as_ref().and_then(|spec| spec.replicas)))
                }
                Some((set, _)) => Some((&owner.uid, set.spec.as_ref().and_then(|spec| spec.replicas))),
                None => None,
            }
        }
        "StatefulSet" if is_apps(owner) => {
            let set = world.cache.fetch::<StatefulSet>(namespace, &owner.name);
            let set = set.filter(|set| set.metadata.uid.as_ref() == Some(&owner.uid));
            set.map(|set| (&owner.uid, set.spec.as_ref().and_then(|spec| spec.replicas)))
        }
        _ => None,
    };
    match known {
        Some((uid, replicas)) => Ok(Some((uid.clone(), replicas.unwrap_or(1)))),
        None => ask_for_scale(owner, namespace, world),
    }
}

/// The scale subresource of an owner, if it has one and is that owner (`getScaleController`).
fn ask_for_scale(
    owner: &OwnerReference,
    namespace: &str,
    world: &mut World<'_>,
) -> Result<Option<(String, i32)>, String> {
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
            Ok(Some((owner.uid.clone(), i32::try_from(replicas).unwrap_or(i32::MAX))))
        }
        404 if resource.subresource("scale").is_some() => Ok(None),
        404 => Err(format!("{} does not implement the scale subresource", resource.qualified())),
        _ => Err(scale["message"].as_str().unwrap_or_default().into()),
    }
}

/// Pods that are ready and not about to go (`countHealthyPods`).
fn healthy(pods: &[&Pod], disrupted: &BTreeMap<String, Time>, now: Timestamp) -> i32 {
    let goes = |pod: &Pod| {
        let since = pod.metadata.name.as_ref().and_then(|name| disrupted.get(name));
        pod::is_terminating(pod) || since.is_some_and(|since| since.0 + DELETION_TIMEOUT > now)
    };
    let count = pods.iter().filter(|pod| !goes(pod) && pod::is_ready(pod)).count();
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Those of the disrupted pods that are still to be deleted, and when to look again (`buildDisruptedPodMap`).
fn disrupted(
    budget: &PodDisruptionBudget,
    pods: &[&Pod],
    world: &mut World<'_>,
) -> (BTreeMap<String, Time>, Option<Timestamp>) {
    let before = budget.status.as_ref().and_then(|status| status.disrupted_pods.as_ref());
    let (mut left, mut recheck) = (BTreeMap::new(), None::<Timestamp>);
    for pod in pods.iter().filter(|pod| !pod::is_terminating(pod)) {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let Some(since) = before.and_then(|before| before.get(&name)) else { continue };
        let until = since.0 + DELETION_TIMEOUT;
        if until < world.time() {
            // The namespace stands there twice upstream too.
            let namespace = budget.metadata.namespace.as_deref().unwrap_or_default();
            let message = format!("Pod was expected by PDB {namespace}/{namespace} to be deleted but it wasn't");
            world.server.record(*pod, "Warning", "NotDeleted", &message);
        } else {
            recheck = Some(recheck.map_or(until, |at| at.min(until)));
            left.insert(name, since.clone());
        }
    }
    (left, recheck)
}

/// Writes the status if it is another one than before (`updatePdbStatus`). Without any expected pod nothing may be
/// disrupted: the first ones may be there before they are counted.
fn write(
    budget: &PodDisruptionBudget,
    current_healthy: i32,
    expected: &Expected,
    disrupted_pods: BTreeMap<String, Time>,
    world: &mut World<'_>,
) -> Result<(), Error> {
    let before = budget.status.clone().unwrap_or_default();
    let allowed = current_healthy.wrapping_sub(expected.healthy);
    let mut status = PodDisruptionBudgetStatus {
        conditions: before.conditions.clone(),
        current_healthy,
        desired_healthy: expected.healthy,
        disrupted_pods: Some(disrupted_pods).filter(|pods| !pods.is_empty()),
        disruptions_allowed: if expected.pods <= 0 { 0 } else { allowed.max(0) },
        expected_pods: expected.pods,
        observed_generation: budget.metadata.generation,
    };
    let before =
        PodDisruptionBudgetStatus { disrupted_pods: before.disrupted_pods.filter(|pods| !pods.is_empty()), ..before };
    if status == before && disruption_budget::condition_is_up_to_date(budget) {
        return Ok(());
    }
    disruption_budget::update_condition(&mut status, world.time());
    let budget = PodDisruptionBudget { status: Some(status), ..budget.clone() };
    world.server.update_status(budget.into_object()).map(drop)
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
