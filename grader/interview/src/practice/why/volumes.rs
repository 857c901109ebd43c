//! Volumes on a node.

use super::Asked;
use kit_contract::storage::volumes::{
    Change, Files, GroupPolicy, Kind, Late, Look, Missing, Node, Operation, Ownership, Payload,
};

pub fn volumes(asked: &Asked<'_>) -> Option<Vec<String>> {
    Some(match asked.call {
        "reconcile" => reconcile(&asked.arg("node")?, &asked.answer()?),
        "late" => vec![late(asked.answer()?)],
        "own" => vec![own(&asked.arg("files")?, &asked.answer()?)],
        "project" => vec![project(&asked.answer::<Result<Payload, Vec<Missing>>>()?)],
        _ => vec![publish(&asked.answer::<Vec<Change>>()?)],
    })
}

fn reconcile(node: &Node, look: &Look) -> Vec<String> {
    let because = |operation: &Operation| {
        let volume = operation.volume();
        match operation {
            Operation::TearDown { pod, .. } => {
                format!("{pod} isn't on the node any more, or doesn't have {volume}: its mount comes off first.")
            }
            Operation::MountDevice { .. } => {
                format!(
                    "A pod wants {volume}, and its device isn't mounted for sure: that comes before any pod's mount."
                )
            }
            Operation::SetUp { pod, .. } => {
                format!(
                    "{pod} is the first that wants {volume} and doesn't have it, or not surely, or not as it is now."
                )
            }
            Operation::Map { pod, .. } => format!("{volume} is a raw device: {pod} gets it without a mount."),
            Operation::UnmountDevice { .. } => {
                format!("No pod has {volume} and no mount is left: its device is unmounted, even if nobody is sure.")
            }
        }
    };
    let mut said: Vec<String> = look.operations.iter().map(because).collect();
    for (name, volume) in node.volumes.iter().filter(|(_, volume)| volume.attach) {
        let known = node.reported.contains(name) && node.attached.contains_key(name);
        let mounts = |of: &Operation| of.volume() == name && of.kind() == Kind::Mount;
        if volume.attach && !known && !look.operations.iter().any(mounts) {
            said.push(format!("{name} can't be mounted before it is attached, and reported in use."));
        }
    }
    said.extend(look.again_ms.map(|at| format!("A step has failed, and is held up until {at} ms.")));
    if said.is_empty() {
        said.push("What pods want and what is there agree.".into());
    }
    said
}

fn late(late: Option<Late>) -> String {
    match late {
        None => "The pod has a sure mount of each of its volumes.".into(),
        Some(late) if !late.unprocessed.is_empty() => {
            "Without a known volume there is nothing to attach: such a one is unmounted and not processed.".into()
        }
        Some(late) if !late.unattached.is_empty() => {
            "What its driver attaches is unattached until the node's status has it in both lists.".into()
        }
        Some(_) => "All is attached that has to be; a mount that isn't sure doesn't count.".into(),
    }
}

fn own(files: &Files, own: &Ownership) -> String {
    let Some(driver) = files.driver.as_ref().filter(|_| files.fs_group.is_some()) else {
        return match files.fs_group {
            None => "Without an fsGroup nothing is done.".into(),
            Some(_) if own.changed.is_empty() => "All, or with OnRootMismatch the root, is as it should be.".into(),
            Some(_) => "Every entry gets the group, and bits are only added; links keep their mode.".into(),
        };
    };
    if own.told.is_some() {
        return "A driver that mounts with a group is told it, and the kubelet changes nothing.".into();
    }
    match driver.policy {
        _ if !own.changed.is_empty() => {
            "The driver's policy lets the kubelet give the group; bits are only added, and links keep their mode."
                .into()
        }
        _ if files.read_only => "What is read-only is not changed.".into(),
        GroupPolicy::None => "The policy is None.".into(),
        GroupPolicy::ReadWriteOnceWithFSType if driver.fs_type.is_empty() => "It has no fsType.".into(),
        GroupPolicy::ReadWriteOnceWithFSType | GroupPolicy::File => {
            "Either no access mode is for one node or pod, or the files, or with OnRootMismatch the root, fit already."
                .into()
        }
    }
}

fn project(answer: &Result<Payload, Vec<Missing>>) -> String {
    match answer {
        Ok(_) => "Nothing is missing that isn't optional; where two sources have a path the later one wins.".into(),
        Err(_) => {
            "Something is missing that isn't optional, so there are no files at all; each thing is told once.".into()
        }
    }
}

fn publish(changes: &[Change]) -> String {
    let writes = changes.iter().any(|change| matches!(change, Change::Write { .. }));
    match changes {
        [] => "Paths and texts are the same and all links are there; modes don't count.".into(),
        _ if writes => {
            "Paths or texts differ: written beside, shown by one rename, then links that come, links that go, the old directory.".into()
        }
        _ => "Nothing is to be written, but links are missing.".into(),
    }
}
