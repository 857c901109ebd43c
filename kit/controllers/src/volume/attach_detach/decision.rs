//! Which volumes are to be attached and detached now.
//!
//! Source: `reconcile` of `pkg/controller/volume/attachdetach/reconciler/reconciler.go`, which holds what pods want against what is
//! attached. Detaching goes first, so that a volume is free for a pod that moves.

use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// How long a volume may stay mounted on a node that isn't ready, once nobody wants it there
/// (`DefaultTimerConfig`, `ReconcilerMaxWaitForUnmountDuration`).
pub const MAX_WAIT_FOR_UNMOUNT: Instant = Instant::seconds(360);

/// The names of a volume and of a node.
pub type Place = (String, String);

/// A pod: namespace, name, uid.
pub type User = (String, String, String);

/// A volume that pods want on a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those pods.
    pub pods: Vec<User>,
    /// Whether several nodes may have it at once (`IsMultiAttachAllowed`).
    pub shared: bool,
}

/// A volume that is attached to a node, or about to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attached {
    /// Whether it is on its way away.
    pub detaching: bool,
    /// Whether the node says that it uses it.
    pub in_use: bool,
}

/// What a node says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// It is ready.
    pub ready: bool,
    /// Somebody knows that it is off for good (`node.kubernetes.io/out-of-service`).
    pub out_of_service: bool,
}

/// What is seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// What pods want.
    pub wanted: BTreeMap<Place, Wanted>,
    /// What is.
    pub attached: BTreeMap<Place, Attached>,
    /// The nodes that there are.
    pub nodes: BTreeMap<String, Health>,
}

/// What the controller remembers.
#[derive(Debug, Default)]
pub struct Memory {
    /// Since when nobody wants a volume on a node.
    pub unwanted: BTreeMap<Place, Instant>,
    /// What was refused because another node has the volume: told once.
    pub told: BTreeSet<Place>,
}

/// What to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Attach these.
    pub attach: Vec<Place>,
    /// Detach these.
    pub detach: Vec<Place>,
    /// These pods can't have a volume yet; why.
    pub refused: Vec<(User, String)>,
}

/// What to do now.
pub fn decide(seen: &Seen, memory: &mut Memory, now: Instant) -> Decision {
    let mut decision = Decision::default();
    memory.unwanted.retain(|place, _| seen.attached.contains_key(place) && !seen.wanted.contains_key(place));
    memory.told.retain(|place| seen.wanted.contains_key(place));
    for (place, attached) in &seen.attached {
        if seen.wanted.contains_key(place) || attached.detaching {
            continue;
        }
        let since = *memory.unwanted.entry(place.clone()).or_insert(now);
        let health = seen.nodes.get(&place.1).copied().unwrap_or_default();
        let forced = !health.ready && now > since + MAX_WAIT_FOR_UNMOUNT;
        if !attached.in_use || forced || health.out_of_service {
            decision.detach.push(place.clone());
        }
    }
    let mut there: Vec<Place> = seen.attached.keys().cloned().collect();
    for (place, wanted) in &seen.wanted {
        if there.contains(place) {
            continue;
        }
        let elsewhere: Vec<&Place> = there.iter().filter(|(volume, _)| *volume == place.0).collect();
        if wanted.shared || elsewhere.is_empty() {
            there.push(place.clone());
            decision.attach.push(place.clone());
        } else if memory.told.insert(place.clone()) {
            let users: Vec<&User> =
                elsewhere.iter().filter_map(|place| seen.wanted.get(*place)).flat_map(|wanted| &wanted.pods).collect();
            decision.refused.extend(wanted.pods.iter().map(|pod| (pod.clone(), refusal(&place.0, pod, &users))));
        }
    }
    decision
}

/// Why a pod has to wait (`reportMultiAttachError`). It isn't told of pods in other namespaces by name.
fn refusal(volume: &str, pod: &User, users: &[&User]) -> String {
    let own: Vec<&str> = users.iter().filter(|user| user.0 == pod.0).map(|user| user.1.as_str()).collect();
    let others = users.len() - own.len();
    let why = match (own.is_empty(), others) {
        (true, 0) => "Volume is already exclusively attached to one node and can't be attached to another".into(),
        (true, others) => format!("Volume is already used by {others} pod(s) in different namespaces"),
        (false, 0) => format!("Volume is already used by pod(s) {}", own.join(", ")),
        (false, others) => {
            format!("Volume is already used by pod(s) {} and {others} pod(s) in different namespaces", own.join(", "))
        }
    };
    format!("Multi-Attach error for volume {volume:?} {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(volume: &str, node: &str) -> Place {
        (volume.into(), node.into())
    }

    fn user(namespace: &str, name: &str) -> User {
        (namespace.into(), name.into(), format!("uid-{name}"))
    }

    fn wanted(pods: &[(&str, &str)], shared: bool) -> Wanted {
        Wanted { pods: pods.iter().map(|(namespace, name)| user(namespace, name)).collect(), shared }
    }

    fn seen(wanted: &[(&str, &str, Wanted)], attached: &[(&str, &str, bool)], health: Health) -> Seen {
        Seen {
            wanted: wanted.iter().map(|(volume, node, wanted)| (place(volume, node), wanted.clone())).collect(),
            attached: (attached.iter())
                .map(|(volume, node, in_use)| (place(volume, node), Attached { in_use: *in_use, detaching: false }))
                .collect(),
            nodes: ["a", "b"].map(|node| (node.to_string(), health)).into(),
        }
    }

    const READY: Health = Health { ready: true, out_of_service: false };

    #[test]
    fn a_volume_is_attached_where_a_pod_wants_it_and_detached_where_none_does() {
        let mut memory = Memory::default();
        let seen = seen(&[("disk", "a", wanted(&[("x", "web")], false))], &[("old", "b", false)], READY);
        let decision = decide(&seen, &mut memory, Instant::default());
        assert_eq!((decision.attach, decision.detach), (vec![place("disk", "a")], vec![place("old", "b")]));
    }

    #[test]
    fn a_volume_of_one_node_is_refused_to_others_and_that_is_told_once() {
        let all = "Multi-Attach error for volume \"disk\" Volume is already ";
        for (users, why) in [
            (&[][..], "exclusively attached to one node and can't be attached to another"),
            (&[("x", "one"), ("x", "two")], "used by pod(s) one, two"),
            (&[("y", "one")], "used by 1 pod(s) in different namespaces"),
            (&[("x", "one"), ("y", "two")], "used by pod(s) one and 1 pod(s) in different namespaces"),
        ] {
            let mut memory = Memory::default();
            let there = [("disk", "a", wanted(users, false)), ("disk", "b", wanted(&[("x", "new")], false))];
            let there = if users.is_empty() { &there[1..] } else { &there[..] };
            let seen = seen(there, &[("disk", "a", true)], READY);
            let decision = decide(&seen, &mut memory, Instant::default());
            assert_eq!(decision.refused, [(user("x", "new"), format!("{all}{why}"))]);
            assert_eq!(decide(&seen, &mut memory, Instant::seconds(1)), Decision::default());
        }
        let there = [("disk", "a", wanted(&[("x", "one")], true)), ("disk", "b", wanted(&[("x", "new")], true))];
        let seen = seen(&there, &[("disk", "a", true)], READY);
        assert_eq!(decide(&seen, &mut Memory::default(), Instant::default()).attach, [place("disk", "b")]);
    }

    #[test]
    fn a_mounted_volume_is_waited_for_unless_the_node_is_lost() {
        let lost = Health::default();
        let gone = Health { ready: false, out_of_service: true };
        for (health, after, detached) in [(READY, 1000, false), (lost, 359, false), (lost, 361, true), (gone, 0, true)]
        {
            let mut memory = Memory::default();
            let seen = seen(&[], &[("disk", "a", true)], health);
            decide(&seen, &mut memory, Instant::default());
            let decision = decide(&seen, &mut memory, Instant::seconds(after));
            assert_eq!(!decision.detach.is_empty(), detached, "{health:?} after {after}");
        }
    }
}
