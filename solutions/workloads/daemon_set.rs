//! The reference for `workloads/daemon_set`: which nodes, one pod on each, and an update.

use kit::api::int_or_percent::{Round, scaled};
use kit::api::toleration::tolerates;
use kit::workloads::DaemonSetController;
use kit::workloads::daemon_set::{
    IntOrString, Node, NodeView, Phase, PodView, Readiness, Status, SyncRequest, SyncResult, Template, Toleration,
    UpdateStrategy, Wants,
};
use std::collections::BTreeMap;

// ANCHOR: solution
/// The controller remembers nothing: all that it knows is in the request.
#[derive(Default)]
pub struct Exercise;

/// What every pod tolerates, for ever; the last one only with the host's network.
const TOLERATED: [(&str, &str); 7] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ("node.kubernetes.io/network-unavailable", "NoSchedule"),
];

impl DaemonSetController for Exercise {
    fn tolerations(&self, template: &Template) -> Vec<Toleration> {
        let mut all = template.tolerations.clone();
        for (key, effect) in &TOLERATED[..if template.host_network { 7 } else { 6 }] {
            let added = Toleration {
                key: Some(key.to_string()),
                operator: Some("Exists".into()),
                effect: Some(effect.to_string()),
                ..Toleration::default()
            };
            let same = |own: &Toleration| Toleration { toleration_seconds: None, ..own.clone() } == added;
            match all.iter_mut().find(|own| same(own)) {
                Some(own) => *own = added,
                None => all.push(added),
            }
        }
        all
    }

    fn wants(&self, template: &Template, node: &NodeView) -> Wants {
        if template.node_name.as_ref().is_some_and(|name| *name != node.name) || !node.selected {
            return Wants::default();
        }
        let tolerations = self.tolerations(template);
        let all_tolerated = |effects: &[&str]| {
            let mut taints = node.taints.iter().filter(|taint| effects.contains(&taint.effect.as_str()));
            taints.all(|taint| tolerations.iter().any(|toleration| tolerates(toleration, taint)))
        };
        Wants { should_run: all_tolerated(&["NoSchedule", "NoExecute"]), may_stay: all_tolerated(&["NoExecute"]) }
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let sync = Sync::new(request);
        let mut plan = Plan::default();
        if !request.expected {
            plan = sync.place();
            if plan.is_empty() {
                plan = sync.update();
            }
        }
        let names = |pods: Vec<&PodView>| pods.into_iter().map(|pod| pod.name.clone()).collect();
        let create = plan.create.into_iter().map(String::from).collect();
        SyncResult { create, delete: names(plan.delete), status: sync.status() }
    }
}

/// Pods that have to come and to go.
#[derive(Default)]
struct Plan<'a> {
    /// The nodes that need one.
    create: Vec<&'a str>,
    delete: Vec<&'a PodView>,
}

impl Plan<'_> {
    fn is_empty(&self) -> bool {
        self.create.is_empty() && self.delete.is_empty()
    }
}

/// What one sync sees, by node.
struct Sync<'a> {
    request: &'a SyncRequest,
    nodes: BTreeMap<&'a str, &'a Node>,
    /// The pods of each node, in order.
    pods: BTreeMap<&'a str, Vec<&'a PodView>>,
}

impl<'a> Sync<'a> {
    fn new(request: &'a SyncRequest) -> Self {
        let mut pods: BTreeMap<&str, Vec<&PodView>> = BTreeMap::new();
        for pod in &request.pods {
            pods.entry(&pod.node).or_default().push(pod);
        }
        for pods in pods.values_mut() {
            pods.sort_by_key(|pod| (!pod.bound, pod.created, &pod.name));
        }
        Sync { request, nodes: request.nodes.iter().map(|node| (node.name.as_str(), node)).collect(), pods }
    }

    fn on(&self, node: &str) -> &[&'a PodView] {
        self.pods.get(node).map_or(&[], Vec::as_slice)
    }

    /// How many nodes may be without a pod, and how many may have two; nothing with `OnDelete`.
    fn limits(&self, nodes: i32) -> Option<(i32, i32)> {
        let UpdateStrategy::RollingUpdate { max_unavailable, max_surge } = &self.request.update else { return None };
        let count = |limit: &IntOrString| scaled(limit, nodes, Round::Up).unwrap_or(0);
        Some((count(max_unavailable), count(max_surge)))
    }

    /// Pods for nodes that have none, and away with those that shouldn't be where they are.
    fn place(&self) -> Plan<'a> {
        let surges = self.limits(1).is_some_and(|(_, surge)| surge > 0);
        let mut plan = Plan::default();
        for (name, node) in &self.nodes {
            let there = self.on(name);
            if node.wants.should_run && there.is_empty() {
                plan.create.push(name);
                continue;
            }
            let alive: Vec<&PodView> = alive(there).collect();
            if !node.wants.may_stay {
                plan.delete.extend(alive);
                continue;
            }
            let failed = alive.iter().filter(|pod| pod.phase == Phase::Failed && !node.backing_off);
            plan.delete.extend(failed.min_by_key(|pod| &pod.name));
            plan.delete.extend(alive.iter().filter(|pod| pod.phase == Phase::Succeeded));
            let is_over = |pod: &PodView| matches!(pod.phase, Phase::Failed | Phase::Succeeded);
            let running: Vec<&PodView> = alive.into_iter().filter(|pod| !is_over(pod)).collect();
            match running.as_slice() {
                running if !surges => plan.delete.extend(running.iter().skip(1)),
                [] if node.wants.should_run => plan.create.push(name),
                [] | [_] => {}
                running => plan.delete.extend(beyond_two(running)),
            }
        }
        let lost = self.pods.iter().filter(|(node, _)| !self.nodes.contains_key(*node)).flat_map(|(_, pods)| pods);
        plan.delete.extend(lost.filter(|pod| !pod.bound));
        plan
    }

    /// One step of a rolling update.
    fn update(&self) -> Plan<'a> {
        let should_run = |node: &str| self.nodes.get(node).is_some_and(|node| node.wants.should_run);
        let mut pairs: BTreeMap<&str, Option<Pair<'a>>> =
            self.nodes.keys().filter(|node| should_run(node)).map(|node| (*node, pair(&[]))).collect();
        let desired = pairs.len() as i32;
        pairs.extend(self.pods.iter().map(|(node, pods)| (*node, pair(pods))));
        let is_lost = |node: &str, pair: &Option<Pair<'_>>| {
            !self.nodes.contains_key(node) && matches!(pair, Some((None, Some(_))))
        };
        match self.limits(desired) {
            None => Plan::default(),
            Some((unavailable, 0)) => replace(pairs.into_values(), unavailable.max(1)),
            Some(_) if pairs.iter().any(|(node, pair)| is_lost(node, pair)) => Plan::default(),
            Some((_, surge)) => surge_step(&pairs, surge, desired, should_run),
        }
    }

    fn status(&self) -> Status {
        let mut status = Status::default();
        for (name, node) in &self.nodes {
            let first = self.on(name).first();
            if !node.wants.should_run {
                status.number_misscheduled += i32::from(first.is_some());
                continue;
            }
            status.desired_number_scheduled += 1;
            if let Some(pod) = first {
                status.current_number_scheduled += 1;
                status.number_ready += i32::from(pod.readiness >= Readiness::Ready);
                status.number_available += i32::from(is_available(pod));
                status.updated_number_scheduled += i32::from(pod.updated);
            }
        }
        status.number_unavailable = status.desired_number_scheduled - status.number_available;
        status
    }
}

fn alive<'a>(pods: &[&'a PodView]) -> impl Iterator<Item = &'a PodView> {
    pods.iter().copied().filter(|pod| !pod.terminating)
}

fn is_available(pod: &PodView) -> bool {
    pod.readiness == Readiness::Available
}

/// Of each kind the first may stay: both until the new one is available, if the old one is ready.
fn beyond_two<'a>(running: &[&'a PodView]) -> Vec<&'a PodView> {
    let (new, old): (Vec<&PodView>, Vec<&PodView>) = running.iter().copied().partition(|pod| pod.updated);
    let mut delete: Vec<&PodView> = new.iter().skip(1).chain(old.iter().skip(1)).copied().collect();
    if let (Some(new), Some(old)) = (new.first(), old.first())
        && (old.readiness == Readiness::NotReady || is_available(new))
    {
        delete.push(old);
    }
    delete
}

/// The new pod of a node, and the old one.
type Pair<'a> = (Option<&'a PodView>, Option<&'a PodView>);

/// The pods of a node that are alive; nothing if there are two of a kind.
fn pair<'a>(pods: &[&'a PodView]) -> Option<Pair<'a>> {
    let (mut new, mut old) = (None, None);
    for pod in alive(pods) {
        let place = if pod.updated { &mut new } else { &mut old };
        if place.replace(pod).is_some() {
            return None;
        }
    }
    Some((new, old))
}

/// Deletes as many old pods as may be missing, and those that are of no use; placement makes the new ones.
fn replace<'a>(pairs: impl Iterator<Item = Option<Pair<'a>>>, most: i32) -> Plan<'a> {
    let (mut missing, mut delete, mut candidates) = (0, Vec::new(), Vec::new());
    for pair in pairs {
        match pair {
            Some((Some(new), None)) if is_available(new) => {}
            Some((None, Some(old))) if is_available(old) => candidates.push(old),
            Some((None, Some(old))) => {
                delete.push(old);
                missing += 1;
            }
            _ => missing += 1,
        }
    }
    delete.extend(candidates.into_iter().take((most - missing).max(0) as usize));
    Plan { create: Vec::new(), delete }
}

/// Creates new pods beside old ones, and deletes old ones whose successors are available.
fn surge_step<'a>(
    pairs: &BTreeMap<&'a str, Option<Pair<'a>>>,
    most: i32,
    desired: i32,
    should_run: impl Fn(&str) -> bool,
) -> Plan<'a> {
    let mut plan = Plan::default();
    let (mut surging, mut available) = (0, 0);
    let (mut candidates, mut misplaced) = (Vec::new(), Vec::new());
    for (node, pair) in pairs {
        let Some((new, old)) = *pair else {
            surging += 1;
            continue;
        };
        available += i32::from(old.or(new).is_some_and(is_available));
        match (new, old) {
            (_, None) => {}
            (Some(new), Some(old)) if is_available(new) => plan.delete.push(old),
            (Some(_), Some(_)) => surging += 1,
            (None, Some(old)) => match (is_available(old), should_run(node)) {
                (false, false) => plan.delete.push(old),
                (false, true) => plan.create.push(*node),
                (true, false) => misplaced.push(old),
                (true, true) => candidates.push(*node),
            },
        }
    }
    plan.delete.extend(misplaced.into_iter().take((available - desired).max(0) as usize));
    plan.create.extend(candidates.into_iter().take((most - surging).max(0) as usize));
    plan
}
// ANCHOR_END: solution
