//! Claims and volumes.

use super::Asked;
use kit_contract::storage::claim_binding::{Action, Claim, Cluster, Event, Volume};

pub fn claim_binding(asked: &Asked<'_>) -> Option<Vec<String>> {
    Some(vec![match asked.call {
        "find" => {
            find(&asked.arg("claim")?, &asked.arg::<Vec<Volume>>("volumes")?, asked.arg("waits")?, asked.answer()?)
        }
        "sync_claim" => {
            let cluster: Cluster = asked.arg("cluster")?;
            sync_claim(&asked.arg("claim")?, &cluster, &asked.answer::<Vec<Action>>()?)
        }
        _ => sync_volume(&asked.arg("volume")?, asked.arg::<Option<Claim>>("claim")?, &asked.answer::<Vec<Action>>()?),
    }])
}

fn find(claim: &Claim, volumes: &[Volume], waits: bool, answer: Option<String>) -> String {
    let kept = |volume: &Volume| volume.claim_ref.as_ref().is_some_and(|kept| kept.name == claim.name);
    match answer.and_then(|name| volumes.iter().find(|volume| volume.name == name)) {
        None if waits => {
            "The class waits for a pod, and no volume that is large enough and has the modes is kept for this claim."
                .into()
        }
        None => {
            "No volume has all modes, the size, the class and the labels, and is free or kept for this claim.".into()
        }
        Some(volume) if kept(volume) => format!(
            "{} is kept for this claim: a person has chosen, and in its group it wins over any that is free.",
            volume.name
        ),
        Some(volume) => format!(
            "{} is free and fits. The volumes with the fewest access modes are looked at first, and of these the smallest that is large enough is taken.",
            volume.name
        ),
    }
}

fn sync_claim(claim: &Claim, cluster: &Cluster, answer: &[Action]) -> String {
    let event = answer.iter().find_map(|action| match action {
        Action::Tell(event) => Some(event),
        _ => None,
    });
    let volume = claim.volume_name.as_deref().unwrap_or("a volume");
    let class = claim.class.as_deref().unwrap_or_default();
    if answer.iter().any(|action| matches!(action, Action::WriteVolumeName { .. })) {
        return "It is bound by four writes: reference, phase of the volume, name, phase of the claim. Each may be the last one before a crash, so all are said again.".into();
    }
    if answer.iter().any(|action| matches!(action, Action::WriteClass { .. })) {
        return "It says nothing of a class and no volume fits: it gets the default that was created last, and nothing else now.".into();
    }
    match event {
        None if answer.is_empty() => "It is lost already, and stays so.".into(),
        None if claim.bind_completed => "It is lost.".into(),
        None => format!("It names {volume}, which isn't there, or belongs to another claim: it waits."),
        Some(Event::LostName) => "It was bound once, and names no volume any more: lost.".into(),
        Some(Event::LostVolume) => format!("It was bound once, and {volume} is gone: lost."),
        Some(Event::Misbound) => format!("It was bound once, and {volume} refers to another claim by now: lost."),
        Some(Event::Taken) => {
            format!("{volume} belongs to another claim. A claim that the controller has bound keeps its phase.")
        }
        Some(Event::VolumeMismatch(_)) => format!(
            "It names {volume}, which is free and doesn't fit. The first reason is told, in the order of the page."
        ),
        Some(Event::WaitForFirstConsumer | Event::WaitForPodScheduled) => {
            format!("The class {class} waits until a pod has a node, and none was selected yet.")
        }
        Some(Event::NoClass) => {
            format!("No volume fits, and of the {} classes none is {class:?}.", cluster.classes.len())
        }
        Some(Event::NoProvisioner) => {
            format!("No volume fits, and the provisioner of {class} is one of Kubernetes' own, which are gone.")
        }
        Some(Event::ExternalProvisioning) => {
            format!("No volume fits, so the driver of the class {class} is asked to make one.")
        }
        Some(_) => "No volume fits, and without a class nobody makes one.".into(),
    }
}

fn sync_volume(volume: &Volume, claim: Option<Claim>, answer: &[Action]) -> String {
    let Some(uid) = volume.claim_ref.as_ref().and_then(|kept| kept.uid.as_ref()) else {
        return "Its reference has no uid, or it has none: it is free, or kept for a claim that will find it.".into();
    };
    let names = claim.as_ref().filter(|claim| claim.uid == *uid).map(|claim| claim.volume_name.as_deref());
    match names {
        None => format!(
            "The claim with the uid {uid} is gone: it is released, and then its policy, {:?}, decides. A driver deletes its own volumes.",
            volume.policy
        ),
        Some(None) if answer.iter().any(|action| matches!(action, Action::Tell(_))) => {
            "The claim names no volume yet, and the volume modes differ.".into()
        }
        Some(None) => "The claim names no volume: binding was interrupted, and the claim is looked at again.".into(),
        Some(Some(name)) if name == volume.name => "Both name each other: bound.".into(),
        Some(Some(name)) => format!(
            "The claim names {name}. Was this one made for it by a provisioner, with the policy Delete, it is released; otherwise its binding is taken back, and what a person wrote stays."
        ),
    }
}
