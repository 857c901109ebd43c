//! The reference for `workloads/rollback`: numbers for templates, and a way back.

use kit::workloads::DeploymentHistory;
use kit::workloads::rollback::{
    Annotations, HASH, HISTORY_LENGTH, OWN, PodTemplateSpec, REVISION, REVISION_HISTORY, Rollout, RolloutView, SetView,
    Undo, UndoRequest,
};

// ANCHOR: solution
/// The history is on the replica sets; the module remembers nothing.
#[derive(Default)]
pub struct Exercise;

impl DeploymentHistory for Exercise {
    fn new_set(&self, template: &PodTemplateSpec, sets: &[SetView]) -> Option<String> {
        let template = without_hash(template);
        let same = sets.iter().filter(|set| without_hash(&set.template) == template);
        same.min_by_key(|set| (set.created, &set.name)).map(|set| set.name.clone())
    }

    fn annotate(&self, deployment: &Annotations, new: &Annotations, old: &[SetView]) -> Annotations {
        let Some(now) = revision(new) else { return new.clone() };
        let mut annotations = new.clone();
        annotations.extend(copied(deployment));
        let next = old.iter().filter_map(|set| revision(&set.annotations)).max().unwrap_or(0).max(0) + 1;
        if next > now {
            let before = annotations.insert(REVISION.into(), next.to_string());
            if let Some(before) = before {
                let history = annotations.remove(REVISION_HISTORY).unwrap_or_default();
                annotations.insert(REVISION_HISTORY.into(), remember(&history, &before));
            }
        }
        annotations
    }

    fn forget(&self, limit: i32, old: &[SetView]) -> Vec<String> {
        let mut candidates: Vec<_> = old.iter().filter(|set| !set.deleting).collect();
        candidates.sort_by_key(|set| (revision(&set.annotations), set.created, &set.name));
        let surplus = candidates.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        let unused = candidates.into_iter().take(surplus).filter(|set| !is_used(set));
        unused.map(|set| set.name.clone()).collect()
    }

    fn undo(&self, request: &UndoRequest) -> Undo {
        let mut history: Vec<_> =
            request.sets.iter().filter_map(|set| Some((revision(&set.annotations)?, set))).collect();
        history.sort_by_key(|(revision, _)| *revision);
        let found = match request.to {
            0 => history.iter().nth_back(1),
            to => history.iter().find(|(revision, _)| *revision == to),
        };
        let Some((_, set)) = found else {
            return if request.to == 0 { Undo::NoHistory } else { Undo::NotFound };
        };
        let template = without_hash(&set.template);
        match () {
            () if request.paused => Undo::Paused,
            () if template == without_hash(&request.template) => Undo::Unchanged,
            () => {
                let mut annotations = request.annotations.clone();
                annotations.retain(|key, _| OWN.contains(&key.as_str()));
                annotations.extend(copied(&set.annotations));
                Undo::Patch { template, annotations }
            }
        }
    }

    fn status(&self, rollout: &RolloutView) -> Rollout {
        match rollout {
            RolloutView { generation, observed_generation, .. } if observed_generation < generation => {
                Rollout::Unobserved
            }
            RolloutView { progressing: Some(reason), .. } if reason == "ProgressDeadlineExceeded" => Rollout::Failed,
            RolloutView { updated, replicas, .. } if updated < replicas => Rollout::Updating,
            RolloutView { pods, updated, .. } if pods > updated => Rollout::Terminating,
            RolloutView { available, updated, .. } if available < updated => Rollout::Starting,
            _ => Rollout::Done,
        }
    }
}

/// A template as its Deployment has it.
fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.remove(HASH);
    template
}

/// The revision of a set, 0 if it has none yet; none if it has something else there.
fn revision(annotations: &Annotations) -> Option<i64> {
    annotations.get(REVISION).map_or(Some(0), |text| text.parse().ok())
}

/// The annotations that a Deployment and its sets share.
fn copied(annotations: &Annotations) -> impl Iterator<Item = (String, String)> {
    let shared = annotations.iter().filter(|(key, _)| !OWN.contains(&key.as_str()));
    shared.map(|(key, value)| (key.clone(), value.clone()))
}

/// The history with one more revision, without its oldest ones if it gets too long.
fn remember(history: &str, revision: &str) -> String {
    let mut all: Vec<&str> = history.split(',').filter(|revision| !revision.is_empty()).collect();
    all.push(revision);
    while all.join(",").len() > HISTORY_LENGTH {
        all.remove(0);
    }
    all.join(",")
}

/// Whether a set has pods, should have some, or may have some that its status doesn't tell of yet.
fn is_used(set: &SetView) -> bool {
    set.replicas != 0 || set.pods != 0 || set.observed_generation < set.generation
}
// ANCHOR_END: solution
