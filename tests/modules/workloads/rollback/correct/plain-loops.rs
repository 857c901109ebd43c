//! Passes: loops and comparisons by hand, without sorting anything but the candidates.

use kit::workloads::DeploymentHistory;
use kit::workloads::rollback::{
    Annotations, HASH, HISTORY_LENGTH, OWN, PodTemplateSpec, REVISION, REVISION_HISTORY, Rollout, RolloutView, SetView,
    Undo, UndoRequest,
};
use std::collections::BTreeMap;

#[derive(Default)]
struct Exercise;

/// The labels of a template that count.
fn labels(template: &PodTemplateSpec) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    if let Some(meta) = &template.metadata {
        for (key, value) in meta.labels.iter().flatten() {
            if key != HASH {
                labels.insert(key.clone(), value.clone());
            }
        }
    }
    labels
}

fn same(one: &PodTemplateSpec, other: &PodTemplateSpec) -> bool {
    let rest = |template: &PodTemplateSpec| {
        let mut meta = template.metadata.clone().unwrap_or_default();
        meta.labels = None;
        meta
    };
    one.spec == other.spec && labels(one) == labels(other) && rest(one) == rest(other)
}

fn is_own(key: &str) -> bool {
    OWN.iter().any(|own| *own == key)
}

enum Number {
    Missing,
    Is(i64),
    Word,
}

fn number(annotations: &Annotations) -> Number {
    match annotations.get(REVISION) {
        None => Number::Missing,
        Some(text) => match text.parse::<i64>() {
            Ok(number) => Number::Is(number),
            Err(_) => Number::Word,
        },
    }
}

impl DeploymentHistory for Exercise {
    fn new_set(&self, template: &PodTemplateSpec, sets: &[SetView]) -> Option<String> {
        let mut best: Option<&SetView> = None;
        for set in sets {
            if !same(template, &set.template) {
                continue;
            }
            let earlier = match best {
                None => true,
                Some(best) if set.created == best.created => set.name < best.name,
                Some(best) => set.created < best.created,
            };
            if earlier {
                best = Some(set);
            }
        }
        Some(best?.name.clone())
    }

    fn annotate(&self, deployment: &Annotations, new: &Annotations, old: &[SetView]) -> Annotations {
        let mut highest = 0;
        for set in old {
            if let Number::Is(number) = number(&set.annotations) {
                if number > highest {
                    highest = number;
                }
            }
        }
        let mut result = new.clone();
        let now = match number(new) {
            Number::Word => return result,
            Number::Missing => 0,
            Number::Is(number) => number,
        };
        for (key, value) in deployment {
            if !is_own(key) {
                result.insert(key.clone(), value.clone());
            }
        }
        if now > highest {
            return result;
        }
        result.insert(REVISION.to_string(), format!("{}", highest + 1));
        if let Some(before) = new.get(REVISION) {
            let mut text = match new.get(REVISION_HISTORY) {
                Some(history) => format!("{history},{before}"),
                None => before.clone(),
            };
            while text.len() > HISTORY_LENGTH {
                match text.find(',') {
                    Some(comma) => text = text[comma + 1..].to_string(),
                    None => break,
                }
            }
            result.insert(REVISION_HISTORY.to_string(), text);
        }
        result
    }

    fn forget(&self, limit: i32, old: &[SetView]) -> Vec<String> {
        let mut left = Vec::new();
        for set in old {
            if !set.deleting {
                let revision = match number(&set.annotations) {
                    Number::Is(number) => number,
                    _ => 0,
                };
                left.push((revision, set.created, set.name.clone(), set));
            }
        }
        left.sort_by(|a, b| (a.0, a.1, &a.2).cmp(&(b.0, b.1, &b.2)));
        let mut gone = Vec::new();
        for (index, (_, _, name, set)) in left.iter().enumerate() {
            if (left.len() - index) as i64 <= i64::from(limit) {
                break;
            }
            let settled = set.observed_generation >= set.generation;
            if settled && set.replicas == 0 && set.pods == 0 {
                gone.push(name.clone());
            }
        }
        gone
    }

    fn undo(&self, request: &UndoRequest) -> Undo {
        let (mut first, mut second): (Option<(i64, &SetView)>, Option<(i64, &SetView)>) = (None, None);
        let mut exact = None;
        for set in &request.sets {
            let revision = match number(&set.annotations) {
                Number::Word => continue,
                Number::Missing => 0,
                Number::Is(number) => number,
            };
            if revision == request.to {
                exact = Some(set);
            }
            if first.is_none_or(|(highest, _)| revision > highest) {
                second = first;
                first = Some((revision, set));
            } else if second.is_none_or(|(next, _)| revision > next) {
                second = Some((revision, set));
            }
        }
        let set = if request.to == 0 {
            match second {
                Some((_, set)) => set,
                None => return Undo::NoHistory,
            }
        } else {
            match exact {
                Some(set) => set,
                None => return Undo::NotFound,
            }
        };
        if request.paused {
            return Undo::Paused;
        }
        if same(&set.template, &request.template) {
            return Undo::Unchanged;
        }
        let mut template = set.template.clone();
        if let Some(labels) = template.metadata.as_mut().and_then(|meta| meta.labels.as_mut()) {
            labels.remove(HASH);
        }
        let mut annotations = Annotations::new();
        for (key, value) in &request.annotations {
            if is_own(key) {
                annotations.insert(key.clone(), value.clone());
            }
        }
        for (key, value) in &set.annotations {
            if !is_own(key) {
                annotations.insert(key.clone(), value.clone());
            }
        }
        Undo::Patch { template, annotations }
    }

    fn status(&self, rollout: &RolloutView) -> Rollout {
        if rollout.generation > rollout.observed_generation {
            return Rollout::Unobserved;
        }
        if let Some(reason) = &rollout.progressing {
            if reason == "ProgressDeadlineExceeded" {
                return Rollout::Failed;
            }
        }
        if rollout.replicas > rollout.updated {
            return Rollout::Updating;
        }
        if rollout.pods > rollout.updated {
            return Rollout::Terminating;
        }
        if rollout.updated > rollout.available {
            return Rollout::Starting;
        }
        Rollout::Done
    }
}

kit::exercise!(Exercise: DeploymentHistory);
