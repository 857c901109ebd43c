//! Passes: compares templates as JSON, and keeps the history as a map from revision to set.

use kit::workloads::DeploymentHistory;
use kit::workloads::rollback::{
    Annotations, HASH, HISTORY_LENGTH, OWN, PodTemplateSpec, REVISION, REVISION_HISTORY, Rollout, RolloutView, SetView,
    Undo, UndoRequest,
};
use std::collections::BTreeMap;

#[derive(Default)]
struct Exercise;

/// What a template says, where an empty map says nothing.
fn said(template: &PodTemplateSpec) -> (String, Vec<(String, String)>) {
    let mut template = template.clone();
    let meta = template.metadata.get_or_insert_with(Default::default);
    let labels = meta.labels.take().unwrap_or_default();
    let labels = labels.into_iter().filter(|(key, _)| key.as_str() != HASH).collect();
    (format!("{template:?}"), labels)
}

fn history(sets: &[SetView]) -> BTreeMap<i64, &SetView> {
    let revision = |set: &SetView| match set.annotations.get(REVISION) {
        Some(text) => text.parse().ok(),
        None => Some(0),
    };
    sets.iter().filter_map(|set| revision(set).map(|revision| (revision, set))).collect()
}

fn split(all: &Annotations) -> (Annotations, Annotations) {
    all.clone().into_iter().partition(|(key, _)| OWN.contains(&key.as_str()))
}

impl DeploymentHistory for Exercise {
    fn new_set(&self, template: &PodTemplateSpec, sets: &[SetView]) -> Option<String> {
        let wanted = said(template);
        let mut found: Vec<_> =
            sets.iter().filter(|set| said(&set.template) == wanted).map(|set| (set.created, set.name.clone())).collect();
        found.sort();
        found.into_iter().next().map(|(_, name)| name)
    }

    fn annotate(&self, deployment: &Annotations, new: &Annotations, old: &[SetView]) -> Annotations {
        let before = new.get(REVISION);
        let now: i64 = match before.map(|text| text.parse()) {
            Some(Err(_)) => return new.clone(),
            Some(Ok(number)) => number,
            None => 0,
        };
        let (_, shared) = split(deployment);
        let mut all: Annotations = new.clone().into_iter().chain(shared).collect();
        let highest = history(old).into_keys().next_back().unwrap_or(0).max(0);
        if highest < now {
            return all;
        }
        all.insert(REVISION.into(), (highest + 1).to_string());
        if let Some(before) = before {
            let known = new.get(REVISION_HISTORY).map(String::as_str).unwrap_or("");
            let parts: Vec<&str> = known.split(',').filter(|part| !part.is_empty()).chain([before.as_str()]).collect();
            let fitting = (0..parts.len()).map(|from| parts[from..].join(",")).find(|text| text.len() <= HISTORY_LENGTH);
            all.extend(fitting.map(|text| (REVISION_HISTORY.to_string(), text)));
        }
        all
    }

    fn forget(&self, limit: i32, old: &[SetView]) -> Vec<String> {
        let mut queue: BTreeMap<(i64, i64, String), &SetView> = BTreeMap::new();
        for set in old.iter().filter(|set| !set.deleting) {
            let revision = set.annotations.get(REVISION).and_then(|text| text.parse().ok()).unwrap_or(0);
            queue.insert((revision, set.created, set.name.clone()), set);
        }
        let mut gone = Vec::new();
        while queue.len() as i64 > i64::from(limit.max(0)) {
            let Some((_, set)) = queue.pop_first() else { break };
            if set.replicas == 0 && set.pods == 0 && set.generation <= set.observed_generation {
                gone.push(set.name.clone());
            }
        }
        gone
    }

    fn undo(&self, request: &UndoRequest) -> Undo {
        let mut history = history(&request.sets);
        let set = if request.to == 0 {
            history.pop_last();
            history.pop_last().map(|(_, set)| set).ok_or(Undo::NoHistory)
        } else {
            history.remove(&request.to).ok_or(Undo::NotFound)
        };
        match set {
            Err(why) => why,
            Ok(_) if request.paused => Undo::Paused,
            Ok(set) if said(&set.template) == said(&request.template) => Undo::Unchanged,
            Ok(set) => {
                let mut template = set.template.clone();
                if let Some(meta) = &mut template.metadata {
                    meta.labels.iter_mut().for_each(|labels| labels.retain(|key, _| key.as_str() != HASH));
                }
                let annotations = split(&request.annotations).0.into_iter().chain(split(&set.annotations).1);
                Undo::Patch { template, annotations: annotations.collect() }
            }
        }
    }

    fn status(&self, rollout: &RolloutView) -> Rollout {
        let failed = rollout.progressing.as_deref() == Some("ProgressDeadlineExceeded");
        let checks = [
            (rollout.observed_generation < rollout.generation, Rollout::Unobserved),
            (failed, Rollout::Failed),
            (rollout.updated < rollout.replicas, Rollout::Updating),
            (rollout.pods > rollout.updated, Rollout::Terminating),
            (rollout.available < rollout.updated, Rollout::Starting),
        ];
        checks.into_iter().find(|(holds, _)| *holds).map_or(Rollout::Done, |(_, rollout)| rollout)
    }
}

kit::exercise!(Exercise: DeploymentHistory);
