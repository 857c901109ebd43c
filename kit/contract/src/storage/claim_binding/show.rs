//! How claims, volumes and what is done about them look to people.

use super::{
    AccessMode, Action, Claim, ClaimRef, Class, Cluster, Event, LabelSelector, Mismatch, ReclaimPolicy, Volume,
    VolumeMode,
};
use crate::{Show, flow};
use kit_api::selector;
use std::collections::BTreeMap;

fn modes(modes: &[AccessMode]) -> String {
    let modes: Vec<_> = modes.iter().map(|mode| format!("{mode:?}")).collect();
    if modes.is_empty() { "no access mode".into() } else { modes.join("+") }
}

fn class(class: &str) -> String {
    if class.is_empty() { "no class".into() } else { format!("class {}", flow(&class)) }
}

fn reference(reference: &ClaimRef) -> String {
    match reference.uid.as_deref() {
        Some(uid) => format!("{} (uid {})", flow(&reference.name), flow(&uid)),
        None => format!("{} (any uid)", flow(&reference.name)),
    }
}

/// Labels as a selector for them would be written.
fn labels(labels: &BTreeMap<String, String>) -> String {
    selector::format(Some(&LabelSelector { match_labels: Some(labels.clone()), ..LabelSelector::default() }))
}

impl Show for Claim {
    fn lines(&self) -> Vec<String> {
        let mut parts =
            vec![format!("{} (uid {})", flow(&self.name), flow(&self.uid)), format!("wants {}", self.request)];
        parts.push(modes(&self.access_modes));
        parts.push(match self.class.as_deref() {
            None => "says nothing of a class".into(),
            Some("") => "wants no class".into(),
            Some(name) => class(name),
        });
        parts.extend((self.volume_mode == VolumeMode::Block).then(|| "Block".into()));
        parts.extend(self.selector.as_ref().map(|selector| format!("selector {}", selector::format(Some(selector)))));
        parts.extend(self.volume_name.as_ref().map(|name| format!("names {}", flow(name))));
        parts.extend(self.bind_completed.then(|| "was bound once".into()));
        parts.extend(self.bound_by_controller.then(|| "bound by controller".into()));
        parts.extend(self.selected_node.as_ref().map(|node| format!("selected node {}", flow(node))));
        parts.push(format!("{:?}", self.phase));
        vec![parts.join(", ")]
    }
}

impl Show for Volume {
    fn lines(&self) -> Vec<String> {
        let mut parts = vec![format!("{}: {}", flow(&self.name), self.capacity), modes(&self.access_modes)];
        parts.push(class(&self.class));
        parts.extend((self.volume_mode == VolumeMode::Block).then(|| "Block".into()));
        parts.extend((!self.labels.is_empty()).then(|| labels(&self.labels)));
        parts.extend(self.claim_ref.as_ref().map(|claim| format!("for {}", reference(claim))));
        parts.extend(self.bound_by_controller.then(|| "bound by controller".into()));
        parts.extend(self.provisioned_by.as_ref().map(|by| format!("provisioned by {}", flow(by))));
        parts.extend(self.csi.then(|| "csi".into()));
        parts.extend((self.policy != ReclaimPolicy::Retain).then(|| format!("{:?}", self.policy)));
        parts.extend(self.deleting.then(|| "being deleted".into()));
        parts.push(format!("phase {:?}", self.phase));
        vec![parts.join(", ")]
    }
}

impl Show for Class {
    fn lines(&self) -> Vec<String> {
        let mut text = format!("class {}: provisioner {}", flow(&self.name), flow(&self.provisioner));
        if self.waits {
            text += ", WaitForFirstConsumer";
        }
        if self.is_default {
            text += &format!(", default, created {}s", self.created_seconds);
        }
        vec![text]
    }
}

impl Show for Cluster {
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.volumes.iter().flat_map(Show::lines).collect();
        if lines.is_empty() {
            lines.push("no volumes".into());
        }
        lines.extend(self.classes.iter().flat_map(Show::lines));
        if self.classes.is_empty() {
            lines.push("no classes".into());
        }
        if !self.waiting_pods.is_empty() {
            let pods: Vec<_> = self.waiting_pods.iter().map(flow).collect();
            lines.push(format!("pods without a node: {}", pods.join(", ")));
        }
        lines
    }
}

impl Action {
    fn line(&self) -> String {
        let by = |by: bool| if by { ", by controller" } else { "" };
        match self {
            Action::WriteClaimRef { volume, claim_ref, bound_by_controller } => {
                let claim = claim_ref.as_ref().map_or("nobody".into(), reference);
                format!("volume {}: claimRef {claim}{}", flow(volume), by(*bound_by_controller))
            }
            Action::WriteVolumePhase { volume, phase } => format!("volume {}: phase {phase:?}", flow(volume)),
            Action::WriteVolumeName { volume, bound_by_controller } => {
                format!("claim: volumeName {}, bind completed{}", flow(volume), by(*bound_by_controller))
            }
            Action::WriteClaimPhase { phase } => format!("claim: phase {phase:?}"),
            Action::WriteClass { class } => format!("claim: storageClassName {}", flow(class)),
            Action::WriteProvisioner { provisioner } => format!("claim: ask {} for a volume", flow(provisioner)),
            Action::DeleteVolume { volume } => format!("volume {}: delete", flow(volume)),
            Action::RecycleVolume { volume } => format!("volume {}: recycle", flow(volume)),
            Action::LookAtClaim => "look at the claim".into(),
            Action::Tell(event) => match event {
                Event::VolumeMismatch(why) => format!("event {}: {}", event.reason(), why.text()),
                event if format!("{event:?}") == event.reason() => format!("event {}", event.reason()),
                event => format!("event {} ({event:?})", event.reason()),
            },
        }
    }
}

impl Mismatch {
    fn text(self) -> &'static str {
        match self {
            Mismatch::Deleting => "it is being deleted",
            Mismatch::TooSmall => "too small",
            Mismatch::Class => "another class",
            Mismatch::VolumeMode => "another volume mode",
            Mismatch::AccessModes => "lacks an access mode",
        }
    }
}

/// The writes in their order, then the events, which may stand anywhere.
fn ordered(actions: &[Action]) -> (Vec<&Action>, Vec<&Action>) {
    let (mut events, writes): (Vec<&Action>, Vec<&Action>) =
        actions.iter().partition(|action| matches!(action, Action::Tell(_)));
    events.sort();
    (writes, events)
}

impl Show for Vec<Action> {
    fn lines(&self) -> Vec<String> {
        let (writes, events) = ordered(self);
        let lines: Vec<String> = writes.into_iter().chain(events).map(Action::line).collect();
        if lines.is_empty() { vec!["nothing to do".into()] } else { lines }
    }
    fn meaning(&self) -> String {
        serde_json::to_string(&ordered(self)).unwrap_or_default()
    }
}
