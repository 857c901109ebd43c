//! Passes: it makes one view of each node, with its pods sorted into kinds, and asks only these.

use kit::api::int_or_percent::{Round, scaled};
use kit::api::toleration::tolerates;
use kit::workloads::DaemonSetController;
use kit::workloads::daemon_set::{
    NodeView, Phase, PodView, Readiness, Status, SyncRequest, SyncResult, Template, Toleration, UpdateStrategy, Wants,
};
use std::collections::{BTreeSet, HashMap};

#[derive(Default)]
struct Exercise;

#[derive(Default)]
struct Place<'a> {
    name: &'a str,
    is_there: bool,
    should: bool,
    may: bool,
    patient: bool,
    all: Vec<&'a PodView>,
}

impl<'a> Place<'a> {
    fn alive(&self) -> Vec<&'a PodView> {
        self.all.iter().copied().filter(|pod| !pod.terminating).collect()
    }

    /// New and old pods that are alive.
    fn kinds(&self) -> (Vec<&'a PodView>, Vec<&'a PodView>) {
        self.alive().into_iter().partition(|pod| pod.updated)
    }
}

fn toleration(key: &str, effect: &str) -> Toleration {
    Toleration {
        key: Some(format!("node.kubernetes.io/{key}")),
        operator: Some(String::from("Exists")),
        value: None,
        effect: Some(effect.to_string()),
        toleration_seconds: None,
    }
}

impl DaemonSetController for Exercise {
    fn tolerations(&self, template: &Template) -> Vec<Toleration> {
        let mut added: Vec<Toleration> =
            ["not-ready", "unreachable"].iter().map(|key| toleration(key, "NoExecute")).collect();
        for key in ["disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"] {
            added.push(toleration(key, "NoSchedule"));
        }
        if template.host_network {
            added.push(toleration("network-unavailable", "NoSchedule"));
        }
        let mut result = template.tolerations.clone();
        for one in added {
            let place = result.iter().position(|own| {
                own.key == one.key && own.operator == one.operator && own.effect == one.effect && own.value.is_none()
            });
            if let Some(place) = place {
                result[place] = one;
            } else {
                result.push(one);
            }
        }
        result
    }

    fn wants(&self, template: &Template, node: &NodeView) -> Wants {
        let named = template.node_name.as_deref();
        if !node.selected || (named.is_some() && named != Some(node.name.as_str())) {
            return Wants { should_run: false, may_stay: false };
        }
        let all = self.tolerations(template);
        let bad: BTreeSet<&str> = (node.taints.iter())
            .filter(|taint| !all.iter().any(|toleration| tolerates(toleration, taint)))
            .map(|taint| taint.effect.as_str())
            .collect();
        let may_stay = !bad.contains("NoExecute");
        Wants { should_run: may_stay && !bad.contains("NoSchedule"), may_stay }
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let places = places(request);
        let mut result = SyncResult { status: count(&places), ..SyncResult::default() };
        if request.expected {
            return result;
        }
        let desired = places.iter().filter(|place| place.should).count() as i32;
        let (most_missing, most_surging) = match &request.update {
            UpdateStrategy::OnDelete => (None, 0),
            UpdateStrategy::RollingUpdate { max_unavailable, max_surge } => (
                scaled(max_unavailable, desired, Round::Up).ok(),
                scaled(max_surge, desired.max(1), Round::Up).unwrap_or(0),
            ),
        };
        tidy(&places, most_surging > 0, &mut result);
        if !result.create.is_empty() || !result.delete.is_empty() {
            return result;
        }
        match most_missing {
            None => {}
            Some(_) if most_surging > 0 => {
                let surge = match &request.update {
                    UpdateStrategy::RollingUpdate { max_surge, .. } => {
                        scaled(max_surge, desired, Round::Up).unwrap_or(0)
                    }
                    UpdateStrategy::OnDelete => 0,
                };
                if surge > 0 {
                    beside(&places, surge, desired, &mut result);
                } else {
                    // No node should run one, and so the percentage of them is nothing.
                    instead(&places, most_missing.unwrap_or(0).max(1), &mut result);
                }
            }
            Some(most) => instead(&places, most.max(1), &mut result),
        }
        result
    }
}

fn places(request: &SyncRequest) -> Vec<Place<'_>> {
    let mut places: HashMap<&str, Place<'_>> = HashMap::new();
    for node in &request.nodes {
        let place = Place {
            name: &node.name,
            is_there: true,
            should: node.wants.should_run,
            may: node.wants.may_stay,
            patient: node.backing_off,
            all: vec![],
        };
        places.insert(&node.name, place);
    }
    for pod in &request.pods {
        let place = places.entry(&pod.node).or_default();
        place.name = &pod.node;
        place.all.push(pod);
    }
    let mut places: Vec<Place<'_>> = places.into_values().collect();
    places.sort_by_key(|place| place.name);
    for place in &mut places {
        place
            .all
            .sort_by(|a, b| b.bound.cmp(&a.bound).then(a.created.cmp(&b.created)).then_with(|| a.name.cmp(&b.name)));
    }
    places
}

fn count(places: &[Place<'_>]) -> Status {
    let mut status = Status::default();
    for place in places.iter().filter(|place| place.is_there) {
        match (place.should, place.all.first()) {
            (false, None) => {}
            (false, Some(_)) => status.number_misscheduled += 1,
            (true, None) => {
                status.desired_number_scheduled += 1;
                status.number_unavailable += 1;
            }
            (true, Some(pod)) => {
                status.desired_number_scheduled += 1;
                status.current_number_scheduled += 1;
                let (ready, available) = match pod.readiness {
                    Readiness::NotReady => (0, 0),
                    Readiness::Ready => (1, 0),
                    Readiness::Available => (1, 1),
                };
                status.number_ready += ready;
                status.number_available += available;
                status.number_unavailable += 1 - available;
                status.updated_number_scheduled += if pod.updated { 1 } else { 0 };
            }
        }
    }
    status
}

fn tidy(places: &[Place<'_>], surges: bool, result: &mut SyncResult) {
    let mut delete: Vec<&PodView> = Vec::new();
    for place in places {
        let alive = place.alive();
        if !place.is_there {
            delete.extend(place.all.iter().copied().filter(|pod| !pod.bound));
        } else if place.all.is_empty() {
            if place.should {
                result.create.push(place.name.to_string());
            }
        } else if !place.may {
            delete.extend(alive);
        } else {
            let mut failed: Vec<&PodView> = alive.iter().copied().filter(|pod| pod.phase == Phase::Failed).collect();
            failed.sort_by_key(|pod| pod.name.clone());
            if !place.patient {
                delete.extend(failed.first().copied());
            }
            delete.extend(alive.iter().copied().filter(|pod| pod.phase == Phase::Succeeded));
            let runs = |pod: &&PodView| pod.phase == Phase::Running || pod.phase == Phase::Pending;
            let run: Vec<&PodView> = alive.into_iter().filter(runs).collect();
            if surges {
                if run.is_empty() && place.should {
                    result.create.push(place.name.to_string());
                }
                let new: Vec<&PodView> = run.iter().copied().filter(|pod| pod.updated).collect();
                let old: Vec<&PodView> = run.iter().copied().filter(|pod| !pod.updated).collect();
                delete.extend(new.iter().copied().skip(1));
                delete.extend(old.iter().copied().skip(1));
                if let [new, ..] = new[..]
                    && let [old, ..] = old[..]
                    && (new.readiness == Readiness::Available || old.readiness == Readiness::NotReady)
                {
                    delete.push(old);
                }
            } else {
                delete.extend(run.into_iter().skip(1));
            }
        }
    }
    result.delete.extend(delete.into_iter().map(|pod| pod.name.clone()));
}

fn instead(places: &[Place<'_>], most: i32, result: &mut SyncResult) {
    let mut room = most;
    let mut may_go = Vec::new();
    for place in places.iter().filter(|place| place.should || !place.all.is_empty()) {
        let (new, old) = place.kinds();
        match (&new[..], &old[..]) {
            ([], [old]) if old.readiness == Readiness::Available => may_go.push(old.name.clone()),
            ([], [old]) => {
                result.delete.push(old.name.clone());
                room -= 1;
            }
            ([new], []) if new.readiness == Readiness::Available => {}
            _ => room -= 1,
        }
    }
    result.delete.extend(may_go.into_iter().take(usize::try_from(room).unwrap_or(0)));
}

fn beside(places: &[Place<'_>], most: i32, desired: i32, result: &mut SyncResult) {
    let (mut room, mut spare) = (most, -desired);
    let (mut create, mut delete) = (Vec::new(), Vec::new());
    let (mut may_surge, mut may_go) = (Vec::new(), Vec::new());
    for place in places.iter().filter(|place| place.should || !place.all.is_empty()) {
        let (new, old) = place.kinds();
        if new.len() > 1 || old.len() > 1 {
            room -= 1;
            continue;
        }
        let well = |pods: &[&PodView]| pods.iter().any(|pod| pod.readiness == Readiness::Available);
        spare += i32::from(if old.is_empty() { well(&new) } else { well(&old) });
        let Some(first) = old.first() else { continue };
        if !new.is_empty() {
            if well(&new) {
                delete.push(first.name.clone());
            } else {
                room -= 1;
            }
            continue;
        }
        if !place.is_there {
            return;
        }
        match (place.should, well(&old)) {
            (true, true) => may_surge.push(place.name.to_string()),
            (true, false) => create.push(place.name.to_string()),
            (false, true) => may_go.push(first.name.clone()),
            (false, false) => delete.push(first.name.clone()),
        }
    }
    create.extend(may_surge.into_iter().take(usize::try_from(room).unwrap_or(0)));
    delete.extend(may_go.into_iter().take(usize::try_from(spare).unwrap_or(0)));
    result.create.extend(create);
    result.delete.extend(delete);
}

kit::exercise!(Exercise: DaemonSetController);
