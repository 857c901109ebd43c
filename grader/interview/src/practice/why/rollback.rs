//! The history of a Deployment.

use super::{Asked, list};
use kit_contract::workloads::rollback::{
    Annotations, HASH, REVISION, Rollout, RolloutView, SetView, Undo, UndoRequest,
};

pub fn rollback(asked: &Asked<'_>) -> Option<Vec<String>> {
    Some(vec![match asked.call {
        "new_set" => new_set(asked.answer()?),
        "annotate" => annotate(&asked.arg("new")?, &asked.arg::<Vec<SetView>>("old")?, &asked.answer()?),
        "forget" => forget(asked.arg("limit")?, &asked.arg::<Vec<SetView>>("old")?, &asked.answer::<Vec<String>>()?),
        "undo" => undo(&asked.arg("request")?, &asked.answer()?),
        _ => status(&asked.arg("rollout")?, &asked.answer()?),
    }])
}

fn revision(annotations: &Annotations) -> &str {
    annotations.get(REVISION).map_or("0", String::as_str)
}

fn revisions<'a>(sets: impl IntoIterator<Item = &'a SetView>) -> String {
    let each = sets.into_iter().map(|set| format!("{} is revision {}", set.name, revision(&set.annotations)));
    list(&each.collect::<Vec<_>>())
}

fn new_set(name: Option<String>) -> String {
    match name {
        Some(name) => format!(
            "{name} has this template, apart from the label {HASH}. If others had it, too, they were created later, or come behind by name."
        ),
        None => format!("No set has this template, even without the label {HASH}."),
    }
}

fn annotate(new: &Annotations, old: &[SetView], answer: &Annotations) -> String {
    let own = revision(new);
    if own.parse::<i64>().is_err() {
        return format!("Its own revision, {own}, is no number, and then nothing changes.");
    }
    let before = revisions(old);
    match (revision(answer), new.contains_key(REVISION)) {
        (now, _) if now == own => {
            format!(
                "Of the old sets {before}. One more than the highest is no more than its own {own}, so that it stays."
            )
        }
        (now, true) => format!(
            "Of the old sets {before}. One more than the highest is {now}, and its own {own} goes to the end of its history."
        ),
        (now, false) => {
            format!(
                "Of the old sets {before}. One more than the highest is {now}; it had none that could go to its history."
            )
        }
    }
}

fn forget(limit: i32, old: &[SetView], answer: &[String]) -> String {
    let there: Vec<_> = old.iter().filter(|set| !set.deleting).collect();
    let surplus = there.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    let ways = format!("{} sets aren't being deleted, and {limit} may stay", there.len());
    if surplus == 0 {
        return format!("{ways}: there is none too many.");
    }
    let gone = list(answer);
    format!(
        "{ways}: {surplus} from the lowest revision up are candidates ({}). Of these only the ones without pods, and with a status of now, go: {gone}.",
        revisions(there)
    )
}

fn undo(request: &UndoRequest, answer: &Undo) -> String {
    let history = revisions(&request.sets);
    match answer {
        Undo::NotFound => format!("No set is revision {}: {history}.", request.to),
        Undo::NoHistory => format!("There is no second highest revision: {history}."),
        Undo::Paused => "There is such a set, but a paused Deployment is never rolled back: resume it first.".into(),
        Undo::Unchanged => format!("{history}. The one that is meant has the Deployment's template already."),
        Undo::Patch { .. } if request.to == 0 => {
            format!("{history}. The previous one is the second highest, wherever the Deployment is.")
        }
        Undo::Patch { .. } => {
            format!("{history}. What the set says goes back, but for its hash and what each has for itself.")
        }
    }
}

fn status(rollout: &RolloutView, answer: &Rollout) -> String {
    let RolloutView { generation, observed_generation, replicas, pods, updated, available, .. } = rollout;
    match answer {
        Rollout::Unobserved => {
            format!(
                "The status is about generation {observed_generation}, and the spec is at {generation}. Nothing else counts before they agree."
            )
        }
        Rollout::Failed => "Progressing says ProgressDeadlineExceeded. That comes before all numbers.".into(),
        Rollout::Updating => format!("{updated} pods are of the new set, and {replicas} are asked for."),
        Rollout::Terminating => format!("There are {pods} pods and {updated} of the new set, so old ones are left."),
        Rollout::Starting => {
            format!("All are updated and no old one is left, but {available} of {updated} are available.")
        }
        Rollout::Done => format!("{updated} are updated, none is old, and {available} are available."),
    }
}
