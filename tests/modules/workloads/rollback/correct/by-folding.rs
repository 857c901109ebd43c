//! Passes: keys for everything, folds in place of loops, and templates that lose their hash when they come in.

use kit::workloads::DeploymentHistory;
use kit::workloads::rollback::{
    Annotations, HASH, HISTORY_LENGTH, OWN, PodTemplateSpec, REVISION, REVISION_HISTORY, Rollout, RolloutView, SetView,
    Undo, UndoRequest,
};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::VecDeque;

#[derive(Default)]
struct Exercise;

fn bare(mut template: PodTemplateSpec) -> PodTemplateSpec {
    let meta = template.metadata.take().unwrap_or_default();
    let labels = meta.labels.clone().unwrap_or_default();
    let labels = labels.into_iter().filter(|(key, _)| key != HASH).collect();
    template.metadata = Some(kit::api::meta::ObjectMeta { labels: Some(labels), ..meta });
    template
}

fn revision(annotations: &Annotations) -> Result<i64, std::num::ParseIntError> {
    annotations.get(REVISION).map(String::as_str).unwrap_or("0").parse()
}

impl DeploymentHistory for Exercise {
    fn new_set(&self, template: &PodTemplateSpec, sets: &[SetView]) -> Option<String> {
        let template = bare(template.clone());
        let candidates: BinaryHeap<_> = sets
            .iter()
            .filter(|set| bare(set.template.clone()) == template)
            .map(|set| Reverse((set.created, set.name.clone())))
            .collect();
        candidates.into_sorted_vec().pop().map(|Reverse((_, name))| name)
    }

    fn annotate(&self, deployment: &Annotations, new: &Annotations, old: &[SetView]) -> Annotations {
        let Ok(mine) = revision(new) else { return new.clone() };
        let next = 1 + old.iter().flat_map(|set| revision(&set.annotations)).fold(0, i64::max);
        let shared = deployment.iter().filter(|(key, _)| OWN.iter().all(|own| own != key));
        let mut all = shared.fold(new.clone(), |mut all, (key, value)| {
            *all.entry(key.clone()).or_default() = value.clone();
            all
        });
        if mine < next {
            if let Some(before) = new.get(REVISION).cloned() {
                let known = all.entry(REVISION_HISTORY.into()).or_default();
                let mut parts: VecDeque<&str> = known.split(',').filter(|part| *part != "").collect();
                parts.push_back(&before);
                let mut length = parts.iter().map(|part| part.len() + 1).sum::<usize>() - 1;
                while length > HISTORY_LENGTH {
                    length -= parts.pop_front().map_or(length, |part| part.len() + 1);
                }
                *known = Vec::from(parts).join(",");
            }
            all.insert(REVISION.into(), next.to_string());
        }
        all
    }

    fn forget(&self, limit: i32, old: &[SetView]) -> Vec<String> {
        let alive: Vec<&SetView> = old.iter().filter(|set| !set.deleting).collect();
        let key = |set: &SetView| (revision(&set.annotations).unwrap_or(0), set.created, set.name.clone());
        // A set is a candidate if at least `limit` others come after it.
        let after = |set: &SetView| alive.iter().filter(|other| key(other) > key(set)).count() as i64;
        let idle = |set: &SetView| (set.replicas, set.pods) == (0, 0) && set.observed_generation >= set.generation;
        let mut gone: Vec<&SetView> =
            alive.iter().copied().filter(|set| after(set) >= i64::from(limit) && idle(set)).collect();
        gone.sort_by_cached_key(|set| key(set));
        gone.iter().map(|set| set.name.clone()).collect()
    }

    fn undo(&self, request: &UndoRequest) -> Undo {
        let mut known: Vec<(i64, &SetView)> =
            request.sets.iter().flat_map(|set| revision(&set.annotations).map(|revision| (revision, set))).collect();
        known.sort_by_key(|(revision, _)| Reverse(*revision));
        let (at, missing) = match request.to {
            0 => (Some(1), Undo::NoHistory),
            to => (known.iter().position(|(revision, _)| *revision == to), Undo::NotFound),
        };
        let Some((_, set)) = at.and_then(|at| known.get(at)) else { return missing };
        let template = bare(set.template.clone());
        if request.paused {
            Undo::Paused
        } else if template == bare(request.template.clone()) {
            Undo::Unchanged
        } else {
            let own = |key: &String| OWN.contains(&key.as_str());
            let mut annotations = set.annotations.clone();
            annotations.retain(|key, _| !own(key));
            for key in OWN {
                if let Some(value) = request.annotations.get(key) {
                    annotations.insert(key.into(), value.clone());
                }
            }
            Undo::Patch { template, annotations }
        }
    }

    fn status(&self, rollout: &RolloutView) -> Rollout {
        let RolloutView { generation, observed_generation, replicas, pods, updated, available, progressing } = rollout;
        match progressing.as_deref() {
            _ if observed_generation < generation => Rollout::Unobserved,
            Some("ProgressDeadlineExceeded") => Rollout::Failed,
            _ if updated < replicas => Rollout::Updating,
            _ if updated < pods => Rollout::Terminating,
            _ if available < updated => Rollout::Starting,
            _ => Rollout::Done,
        }
    }
}

kit::exercise!(Exercise: DeploymentHistory);
