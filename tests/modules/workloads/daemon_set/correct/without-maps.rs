//! Passes: no maps at all: it filters the lists of the request again for each question, and deletes by names.

use kit::api::int_or_percent::{Round, scaled};
use kit::api::toleration::tolerates;
use kit::workloads::DaemonSetController;
use kit::workloads::daemon_set::{
    Node, NodeView, Phase, PodView, Readiness, Status, SyncRequest, SyncResult, Template, Toleration, UpdateStrategy,
    Wants,
};

#[derive(Default)]
struct Exercise;

impl DaemonSetController for Exercise {
    fn tolerations(&self, template: &Template) -> Vec<Toleration> {
        let mut list = template.tolerations.clone();
        let last = if template.host_network { "network-unavailable" } else { "" };
        let keys =
            ["not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable", last];
        for (index, key) in keys.into_iter().enumerate().filter(|(_, key)| !key.is_empty()) {
            let effect = if index < 2 { "NoExecute" } else { "NoSchedule" };
            let new = Toleration {
                key: Some(format!("node.kubernetes.io/{key}")),
                operator: Some("Exists".into()),
                effect: Some(effect.into()),
                ..Default::default()
            };
            let mut found = false;
            for own in &mut list {
                let seconds = own.toleration_seconds.take();
                if !found && *own == new {
                    found = true;
                } else {
                    own.toleration_seconds = seconds;
                }
            }
            if !found {
                list.push(new);
            }
        }
        list
    }

    fn wants(&self, template: &Template, node: &NodeView) -> Wants {
        let is_named = template.node_name.iter().all(|name| *name == node.name);
        let list = self.tolerations(template);
        let kept_out_by = |effect: &str| {
            node.taints.iter().any(|taint| taint.effect == effect && !list.iter().any(|own| tolerates(own, taint)))
        };
        let may_stay = is_named && node.selected && !kept_out_by("NoExecute");
        Wants { should_run: may_stay && !kept_out_by("NoSchedule"), may_stay }
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let mut create: Vec<String> = Vec::new();
        let mut delete: Vec<String> = Vec::new();
        if !request.expected {
            for node in &request.nodes {
                let (more, fewer) = place(request, node);
                create.extend(more.then(|| node.name.clone()));
                delete.extend(fewer);
            }
            let is_lost = |pod: &&PodView| !pod.bound && find(request, &pod.node).is_none();
            delete.extend(request.pods.iter().filter(is_lost).map(|pod| pod.name.clone()));
            if create.is_empty() && delete.is_empty() {
                (create, delete) = update(request);
            }
        }
        SyncResult { create, delete, status: status(request) }
    }
}

fn find<'a>(request: &'a SyncRequest, name: &str) -> Option<&'a Node> {
    request.nodes.iter().find(|node| node.name == name)
}

/// The pods of a node, the first one first.
fn pods_of<'a>(request: &'a SyncRequest, node: &str) -> Vec<&'a PodView> {
    let mut pods: Vec<&PodView> = request.pods.iter().filter(|pod| pod.node == node).collect();
    pods.sort_by(|a, b| (!a.bound, a.created, &a.name).cmp(&(!b.bound, b.created, &b.name)));
    pods
}

fn has_surge(request: &SyncRequest) -> bool {
    match &request.update {
        UpdateStrategy::RollingUpdate { max_surge, .. } => scaled(max_surge, 100, Round::Up) != Ok(0),
        UpdateStrategy::OnDelete => false,
    }
}

/// Whether one is created for the node, and who is deleted.
fn place(request: &SyncRequest, node: &Node) -> (bool, Vec<String>) {
    let all = pods_of(request, &node.name);
    if all.is_empty() {
        return (node.wants.should_run, vec![]);
    }
    let mut alive = all;
    alive.retain(|pod| !pod.terminating);
    let names = |pods: &[&PodView]| pods.iter().map(|pod| pod.name.clone()).collect::<Vec<_>>();
    if !node.wants.may_stay {
        return (false, names(&alive));
    }
    let mut delete = Vec::new();
    let failed = alive.iter().filter(|pod| pod.phase == Phase::Failed).map(|pod| pod.name.clone()).min();
    delete.extend(failed.filter(|_| !node.backing_off));
    delete.extend(alive.iter().filter(|pod| pod.phase == Phase::Succeeded).map(|pod| pod.name.clone()));
    alive.retain(|pod| !matches!(pod.phase, Phase::Failed | Phase::Succeeded));
    if !has_surge(request) {
        delete.extend(names(&alive).into_iter().skip(1));
        return (false, delete);
    }
    if alive.is_empty() {
        return (node.wants.should_run, delete);
    }
    for updated in [true, false] {
        let mut kind = alive.clone();
        kind.retain(|pod| pod.updated == updated);
        delete.extend(names(&kind).into_iter().skip(1));
    }
    let first = |updated| alive.iter().find(|pod| pod.updated == updated);
    if let (Some(new), Some(old)) = (first(true), first(false)) {
        let is_useful = old.readiness != Readiness::NotReady;
        if !is_useful || new.readiness == Readiness::Available {
            delete.push(old.name.clone());
        }
    }
    (false, delete)
}

fn update(request: &SyncRequest) -> (Vec<String>, Vec<String>) {
    let UpdateStrategy::RollingUpdate { max_unavailable, max_surge } = &request.update else {
        return Default::default();
    };
    let should = |name: &str| find(request, name).is_some_and(|node| node.wants.should_run);
    let desired = request.nodes.iter().filter(|node| node.wants.should_run).count() as i32;
    let mut names: Vec<&str> = request.pods.iter().map(|pod| pod.node.as_str()).collect();
    names.extend(request.nodes.iter().map(|node| node.name.as_str()).filter(|name| should(name)));
    names.sort_unstable();
    names.dedup();
    let surge = scaled(max_surge, desired, Round::Up).unwrap_or(0);
    let alive =
        |name: &str| -> Vec<&PodView> { pods_of(request, name).into_iter().filter(|pod| !pod.terminating).collect() };
    let is_untidy = |pods: &[&PodView]| {
        let new = pods.iter().filter(|pod| pod.updated).count();
        new > 1 || pods.len() - new > 1
    };
    let available = |pod: &PodView| pod.readiness == Readiness::Available;
    let (mut create, mut delete) = (Vec::new(), Vec::new());
    if surge == 0 {
        let most = scaled(max_unavailable, desired, Round::Up).unwrap_or(0).max(1) as usize;
        let missing = |name: &&&str| {
            let pods = alive(name);
            is_untidy(&pods) || pods.len() != 1 || !available(pods[0])
        };
        let missing = names.iter().filter(missing).count();
        let mut left = most.saturating_sub(missing);
        for name in names {
            if let [old] = alive(name)[..]
                && !old.updated
            {
                if !available(old) {
                    delete.push(old.name.clone());
                } else if left > 0 {
                    left -= 1;
                    delete.push(old.name.clone());
                }
            }
        }
        return (create, delete);
    }
    let is_lost = |name: &&str| find(request, name).is_none() && matches!(alive(name)[..], [old] if !old.updated);
    if names.iter().any(is_lost) {
        return (create, delete);
    }
    let pair = |name: &str| {
        let pods = alive(name);
        let of = |updated: bool| pods.iter().copied().find(|pod| pod.updated == updated);
        (!is_untidy(&pods)).then(|| (of(true), of(false)))
    };
    let pairs: Vec<(&str, Option<(Option<&PodView>, Option<&PodView>)>)> =
        names.iter().map(|name| (*name, pair(name))).collect();
    let surging = pairs.iter().filter(|(_, pair)| match pair {
        None => true,
        Some((Some(new), Some(_))) => !available(new),
        Some(_) => false,
    });
    let mut free = surge - surging.count() as i32;
    let well = pairs.iter().filter(|(_, pair)| pair.is_some_and(|(new, old)| old.or(new).is_some_and(available)));
    let mut spare = well.count() as i32 - desired;
    for (name, pair) in &pairs {
        match pair {
            Some((Some(new), Some(old))) if available(new) => delete.push(old.name.clone()),
            Some((None, Some(old))) => match (should(name), available(old)) {
                (true, false) => create.push(name.to_string()),
                (false, false) => delete.push(old.name.clone()),
                (true, true) if free > 0 => {
                    free -= 1;
                    create.push(name.to_string());
                }
                (false, true) if spare > 0 => {
                    spare -= 1;
                    delete.push(old.name.clone());
                }
                _ => {}
            },
            _ => {}
        }
    }
    (create, delete)
}

fn status(request: &SyncRequest) -> Status {
    let should: Vec<&Node> = request.nodes.iter().filter(|node| node.wants.should_run).collect();
    let firsts: Vec<&PodView> =
        should.iter().filter_map(|node| pods_of(request, &node.name).first().copied()).collect();
    let count = |is: &dyn Fn(&PodView) -> bool| firsts.iter().filter(|pod| is(pod)).count() as i32;
    let has_pods = |node: &&Node| request.pods.iter().any(|pod| pod.node == node.name);
    let available = count(&|pod| pod.readiness == Readiness::Available);
    Status {
        desired_number_scheduled: should.len() as i32,
        current_number_scheduled: firsts.len() as i32,
        number_misscheduled: request.nodes.iter().filter(|node| !node.wants.should_run).filter(has_pods).count() as i32,
        number_ready: count(&|pod| pod.readiness != Readiness::NotReady),
        number_available: available,
        number_unavailable: should.len() as i32 - available,
        updated_number_scheduled: count(&|pod| pod.updated),
    }
}

kit::exercise!(Exercise: DaemonSetController);
