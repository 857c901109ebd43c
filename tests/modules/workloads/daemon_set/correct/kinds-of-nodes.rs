//! Passes: it says of each node which of seven kinds it is for an update, and then only counts kinds.

use kit::api::int_or_percent::{Round, scaled};
use kit::api::toleration::tolerates;
use kit::workloads::DaemonSetController;
use kit::workloads::daemon_set::{
    NodeView, Phase, PodView, Readiness, Status, SyncRequest, SyncResult, Template, Toleration, UpdateStrategy, Wants,
};
use std::collections::BTreeMap;

#[derive(Default)]
struct Exercise;

enum Kind {
    Done { available: bool },
    Empty,
    Untidy,
    Old { pod: String, available: bool },
    Both { old: String, old_available: bool, new_available: bool },
}

impl DaemonSetController for Exercise {
    fn tolerations(&self, template: &Template) -> Vec<Toleration> {
        const ADDED: &[(&str, &str, bool)] = &[
            ("node.kubernetes.io/not-ready", "NoExecute", false),
            ("node.kubernetes.io/unreachable", "NoExecute", false),
            ("node.kubernetes.io/disk-pressure", "NoSchedule", false),
            ("node.kubernetes.io/memory-pressure", "NoSchedule", false),
            ("node.kubernetes.io/pid-pressure", "NoSchedule", false),
            ("node.kubernetes.io/unschedulable", "NoSchedule", false),
            ("node.kubernetes.io/network-unavailable", "NoSchedule", true),
        ];
        let added = ADDED.iter().filter(|(.., network)| !network || template.host_network);
        added.fold(template.tolerations.clone(), |mut all, (key, effect, _)| {
            let is = |own: &&mut Toleration| {
                own.key.as_deref() == Some(*key)
                    && own.effect.as_deref() == Some(*effect)
                    && own.operator.as_deref() == Some("Exists")
                    && own.value.is_none()
            };
            if let Some(own) = all.iter_mut().find(is) {
                own.toleration_seconds = None;
                return all;
            }
            let (key, effect) = (Some(key.to_string()), Some(effect.to_string()));
            all.push(Toleration { key, effect, operator: Some("Exists".into()), ..Toleration::default() });
            all
        })
    }

    fn wants(&self, template: &Template, node: &NodeView) -> Wants {
        let mut wants = Wants { should_run: node.selected, may_stay: node.selected };
        if let Some(name) = &template.node_name
            && *name != node.name
        {
            wants = Wants::default();
        }
        let tolerations = self.tolerations(template);
        for taint in &node.taints {
            if tolerations.iter().any(|toleration| tolerates(toleration, taint)) {
                continue;
            }
            match taint.effect.as_str() {
                "NoSchedule" => wants.should_run = false,
                "NoExecute" => wants = Wants::default(),
                _ => {}
            }
        }
        wants
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let mut by_node: BTreeMap<String, Vec<PodView>> = BTreeMap::new();
        for pod in &request.pods {
            by_node.entry(pod.node.clone()).or_default().push(pod.clone());
        }
        for pods in by_node.values_mut() {
            pods.sort_by(|a, b| a.name.cmp(&b.name));
            pods.sort_by_key(|pod| pod.created);
            pods.sort_by_key(|pod| !pod.bound);
        }
        let mut result = SyncResult { status: counts(request, &by_node), ..SyncResult::default() };
        if request.expected {
            return result;
        }
        let desired = result.status.desired_number_scheduled;
        let surge_of = |nodes: i32| match &request.update {
            UpdateStrategy::RollingUpdate { max_surge, .. } => scaled(max_surge, nodes, Round::Up).unwrap_or(0),
            UpdateStrategy::OnDelete => 0,
        };
        for node in &request.nodes {
            let none = Vec::new();
            let pods = by_node.get(&node.name).unwrap_or(&none);
            if pods.is_empty() && node.wants.should_run {
                result.create.push(node.name.clone());
            }
            let mut alive: Vec<&PodView> = pods.iter().filter(|pod| !pod.terminating).collect();
            if !node.wants.may_stay {
                result.delete.extend(alive.iter().map(|pod| pod.name.clone()));
                continue;
            }
            if pods.is_empty() {
                continue;
            }
            let mut failures: Vec<&String> =
                alive.iter().filter(|pod| pod.phase == Phase::Failed).map(|pod| &pod.name).collect();
            failures.sort();
            if let (Some(first), false) = (failures.first(), node.backing_off) {
                result.delete.push(first.to_string());
            }
            for pod in &alive {
                if pod.phase == Phase::Succeeded {
                    result.delete.push(pod.name.clone());
                }
            }
            alive.retain(|pod| [Phase::Running, Phase::Pending].contains(&pod.phase));
            if surge_of(1) == 0 {
                result.delete.extend(alive.iter().skip(1).map(|pod| pod.name.clone()));
            } else if alive.is_empty() {
                if node.wants.should_run {
                    result.create.push(node.name.clone());
                }
            } else {
                let (mut new, mut old): (Option<&PodView>, Option<&PodView>) = (None, None);
                for pod in alive {
                    let kept = if pod.updated { &mut new } else { &mut old };
                    match kept {
                        None => *kept = Some(pod),
                        Some(_) => result.delete.push(pod.name.clone()),
                    }
                }
                if let (Some(new), Some(old)) = (new, old)
                    && (new.readiness == Readiness::Available || old.readiness == Readiness::NotReady)
                {
                    result.delete.push(old.name.clone());
                }
            }
        }
        for pod in &request.pods {
            let is_there = request.nodes.iter().any(|node| node.name == pod.node);
            if !is_there && !pod.bound {
                result.delete.push(pod.name.clone());
            }
        }
        if !(result.create.is_empty() && result.delete.is_empty()) {
            return result;
        }
        let UpdateStrategy::RollingUpdate { max_unavailable, .. } = &request.update else { return result };
        let mut nodes: BTreeMap<String, (Option<bool>, Kind)> = BTreeMap::new();
        for node in request.nodes.iter().filter(|node| node.wants.should_run) {
            nodes.insert(node.name.clone(), (Some(true), Kind::Empty));
        }
        for (name, pods) in &by_node {
            let should = request.nodes.iter().find(|node| node.name == *name).map(|node| node.wants.should_run);
            nodes.insert(name.clone(), (should, kind(pods)));
        }
        if surge_of(desired) > 0 {
            surge(nodes, surge_of(desired), desired, &mut result);
        } else {
            let most = scaled(max_unavailable, desired, Round::Up).unwrap_or(0).max(1);
            roll(nodes, most, &mut result);
        }
        result
    }
}

fn kind(pods: &[PodView]) -> Kind {
    let is_available = |pod: &PodView| pod.readiness == Readiness::Available;
    let mut new = pods.iter().filter(|pod| !pod.terminating && pod.updated);
    let mut old = pods.iter().filter(|pod| !pod.terminating && !pod.updated);
    match (new.next(), new.next(), old.next(), old.next()) {
        (_, Some(_), ..) | (.., Some(_)) => Kind::Untidy,
        (None, _, None, _) => Kind::Empty,
        (Some(new), _, None, _) => Kind::Done { available: is_available(new) },
        (None, _, Some(old), _) => Kind::Old { pod: old.name.clone(), available: is_available(old) },
        (Some(new), _, Some(old), _) => {
            Kind::Both { old: old.name.clone(), old_available: is_available(old), new_available: is_available(new) }
        }
    }
}

fn roll(nodes: BTreeMap<String, (Option<bool>, Kind)>, most: i32, result: &mut SyncResult) {
    let is_well = |kind: &Kind| matches!(kind, Kind::Done { available: true } | Kind::Old { available: true, .. });
    let missing = nodes.values().filter(|(_, kind)| !is_well(kind)).count() as i32;
    let mut left = most - missing;
    for (_, kind) in nodes.into_values() {
        if let Kind::Old { pod, available } = kind {
            left -= i32::from(available);
            if !available || left >= 0 {
                result.delete.push(pod);
            }
        }
    }
}

fn surge(nodes: BTreeMap<String, (Option<bool>, Kind)>, most: i32, desired: i32, result: &mut SyncResult) {
    if nodes.values().any(|(should, kind)| should.is_none() && matches!(kind, Kind::Old { .. })) {
        return;
    }
    let is_surging = |kind: &Kind| matches!(kind, Kind::Untidy | Kind::Both { new_available: false, .. });
    let is_served = |kind: &Kind| match kind {
        Kind::Done { available } | Kind::Old { available, .. } => *available,
        Kind::Both { old_available, .. } => *old_available,
        Kind::Empty | Kind::Untidy => false,
    };
    let mut free = most - nodes.values().filter(|(_, kind)| is_surging(kind)).count() as i32;
    let mut spare = nodes.values().filter(|(_, kind)| is_served(kind)).count() as i32 - desired;
    for (name, (should, kind)) in nodes {
        match (kind, should == Some(true)) {
            (Kind::Both { old, new_available: true, .. }, _) => result.delete.push(old),
            (Kind::Old { available: false, .. }, true) => result.create.push(name),
            (Kind::Old { pod, available: false }, false) => result.delete.push(pod),
            (Kind::Old { available: true, .. }, true) => {
                if free > 0 {
                    result.create.push(name);
                }
                free -= 1;
            }
            (Kind::Old { pod, available: true }, false) => {
                if spare > 0 {
                    result.delete.push(pod);
                }
                spare -= 1;
            }
            _ => {}
        }
    }
}

fn counts(request: &SyncRequest, by_node: &BTreeMap<String, Vec<PodView>>) -> Status {
    request.nodes.iter().fold(Status::default(), |mut status, node| {
        let first = by_node.get(&node.name).and_then(|pods| pods.first());
        if node.wants.should_run {
            status.desired_number_scheduled += 1;
            status.number_unavailable += 1;
            if let Some(pod) = first {
                status.current_number_scheduled += 1;
                status.number_ready += i32::from(pod.readiness != Readiness::NotReady);
                let available = i32::from(pod.readiness == Readiness::Available);
                status.number_available += available;
                status.number_unavailable -= available;
                status.updated_number_scheduled += i32::from(pod.updated);
            }
        } else if first.is_some() {
            status.number_misscheduled += 1;
        }
        status
    })
}

kit::exercise!(Exercise: DaemonSetController);
