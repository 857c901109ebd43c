//! A Service under load while the module takes it from one version to the next; and questions about single moments.
//!
//! What is simulated, second by second: pods start, become ready, run their preStop hook and end; the EndpointSlices show a change of pods or of the
//! selector one second later; each node follows after a time of its own, one second at least, as kube-proxy's
//! `minSyncPeriod` has it; new connections go where the rules of their node lead at that moment, to the endpoints in turn instead of at random; open connections stay with their
//! pod. If there are no ready endpoints, those that are terminating and still serve get the connections, as in kube-proxy
//! (`CategorizeEndpoints` of `pkg/proxy/topology.go`).

mod draws;
mod world;

pub use draws::fresh;

use kit_contract::Modules;
use kit_contract::network::Release;
use kit_contract::network::blue_green::{Plan, Service, Template};
use serde::Deserialize;
use std::collections::BTreeMap;
use world::World;

/// A release, what is there before it, and what happens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    release: Plan,
    /// The Service at first.
    released_service: Service,
    #[serde(rename = "old_version")]
    old: Side,
    #[serde(rename = "new_version")]
    new: Side,
    /// How many seconds after the EndpointSlices each node follows; at least 1.
    nodes: BTreeMap<String, u32>,
    #[serde(default)]
    load: Load,
    #[serde(default)]
    events: Vec<Event>,
    /// For how long it is played.
    #[serde(default = "five_minutes")]
    until: u32,
}

fn five_minutes() -> u32 {
    300
}

/// One version.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Side {
    template: Template,
    /// Ready at the beginning.
    #[serde(default)]
    pods: u32,
    /// How long a pod takes until it serves.
    #[serde(default = "ten")]
    start_seconds: u32,
    /// How many of a hundred requests it answers with an error.
    #[serde(default)]
    errors_percent: u32,
}

fn ten() -> u32 {
    10
}

/// What clients do, on each node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Load {
    /// Requests per second, each in a connection of its own.
    #[serde(default = "two")]
    requests: u32,
    /// Connections that are kept.
    #[serde(default)]
    kept: Option<Kept>,
}

fn two() -> u32 {
    2
}

impl Default for Load {
    fn default() -> Self {
        Load { requests: 2, kept: None }
    }
}

/// Connections that are kept open.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// In seconds, from one to the next.
    every: u32,
    /// In seconds.
    lasts: u32,
}

/// Something that happens.
#[derive(Debug, Clone, Deserialize)]
struct Event {
    at: u32,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// All pods of a version end, and start again after so many seconds.
    Crash { version: Which, back_after: u32 },
    /// A version answers so many of a hundred requests with an error from now on.
    Errors { version: Which, percent: u32 },
    /// Somebody says that the release goes back.
    Abort {},
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Which {
    Old,
    New,
    /// Another application, with the same values of the label.
    Other,
}

impl Which {
    fn words(self) -> &'static str {
        match self {
            Which::Old => "the old version",
            Which::New => "the new version",
            Which::Other => "another application",
        }
    }
}

impl Event {
    fn title(&self) -> String {
        let what = match self.what {
            What::Crash { version, back_after } => {
                format!("all pods of {} crash, and start again {back_after} s later", version.words())
            }
            What::Errors { version, percent } => {
                format!("{} fails {percent} % of its requests from now on", version.words())
            }
            What::Abort {} => "somebody aborts the release".into(),
        };
        format!("t={}s  {what}", self.at)
    }
}

impl Script {
    /// How many questions and answers its transcript has.
    pub fn len(&self) -> usize {
        self.events.len() + 2
    }

    /// Whether there is nothing to play, which is never so.
    pub fn is_empty(&self) -> bool {
        false
    }

    fn check(&self) -> Result<(), String> {
        let pods = [self.release.replicas, self.old.pods, self.new.pods];
        if pods.iter().any(|pods| *pods > 100) {
            return Err("a release has at most 100 pods of each version".into());
        }
        if self.until > 3600 || self.load.requests > 100 {
            return Err("it is played for an hour at most, with at most 100 requests per second and node".into());
        }
        if self.nodes.is_empty() || self.nodes.values().any(|lag| *lag == 0 || *lag > 60) {
            return Err("each node follows after 1 to 60 s, and there is at least one node".into());
        }
        if self.load.kept.is_some_and(|kept| kept.every == 0) {
            return Err("`every` is at least 1 s".into());
        }
        if !self.events.is_sorted_by_key(|event| event.at) || self.events.iter().any(|event| event.at > self.until) {
            return Err("events stand in the order of their times, none after `until`".into());
        }
        Ok(())
    }
}

/// Plays a script. `see` is told of the beginning, of each event and of the end, with what was done and seen until the next one.
///
/// # Errors
///
/// A script that can't be played, in words.
pub fn play(script: &Script, modules: &Modules, see: &mut dyn FnMut(String, Vec<String>)) -> Result<(), String> {
    script.check()?;
    play_with(script, modules.blue_green.make(&()).as_ref(), see);
    Ok(())
}

fn play_with(script: &Script, module: &dyn Release, see: &mut dyn FnMut(String, Vec<String>)) {
    let mut world = World::new(script);
    let mut title = "t=0s  the release begins".to_string();
    let mut events = script.events.iter().peekable();
    for at in 0..=script.until {
        world.at = at;
        world.publish();
        while let Some(event) = events.next_if(|event| event.at == at) {
            see(std::mem::replace(&mut title, event.title()), world.told());
            world.happen(&event.what);
        }
        world.pods_go_on();
        world.load();
        world.ask(module);
    }
    see(title, world.told());
    see("the end".into(), world.summary());
}

#[cfg(test)]
mod tests {
    use super::*;
    use kit_contract::network::blue_green::{Action, Labels, Now, Problem, Share};
    use serde_json::{Value, json};

    /// A module that looks at nothing but `next`.
    struct Naive(fn(&Now) -> Option<Action>);

    impl Release for Naive {
        fn problems(&self, _: &Plan, _: &Service, _: &Template) -> Vec<Problem> {
            Vec::new()
        }
        fn share(&self, replicas: u32, _: u32) -> Share {
            Share { old: replicas, new: 0 }
        }
        fn next(&self, now: &Now) -> Option<Action> {
            (self.0)(now)
        }
    }

    fn script(changes: &[(&str, Value)]) -> Script {
        let template = |version: &str| {
            json!({"labels": {"app": "web", "version": version}, "ports": ["http"], "readiness_probe": true,
                "grace_seconds": 30, "longest_request_seconds": 1})
        };
        let mut script = json!({
            "release": {"label": "version", "replicas": 2, "settle_seconds": 5, "deadline_seconds": 100, "max_errors_percent": 0},
            "released_service": {"selector": {"app": "web", "version": "v1"}, "target_port": "http"},
            "old_version": {"template": template("v1"), "pods": 2}, "new_version": {"template": template("v2")},
            "nodes": {"node-1": 1, "node-2": 4}, "until": 60,
        });
        for (pointer, value) in changes {
            let (parent, field) = pointer.rsplit_once('/').expect("a pointer has a parent");
            script.pointer_mut(parent).expect("the parent is there")[field] = value.clone();
        }
        serde_json::from_value(script).expect("the script is one")
    }

    /// Starts the new pods, then selects as soon as `may_select` says so, then deletes as soon as `may_delete` does.
    fn go(now: &Now, may_select: bool, may_delete: bool, selector: &[(&str, &str)]) -> Option<Action> {
        let selector: Labels = selector.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        if now.new.replicas == 0 {
            return Some(Action::ScaleNew(2));
        }
        if now.service.selector != selector {
            return may_select.then_some(Action::Select(selector));
        }
        if now.old.replicas > 0 {
            return may_delete.then_some(Action::ScaleOld(0));
        }
        (now.old.pods == 0).then_some(Action::Done)
    }

    const V2: [(&str, &str); 2] = [("app", "web"), ("version", "v2")];

    #[test]
    fn each_shortcut_fails_connections_in_its_own_way() {
        let patient: fn(&Now) -> Option<Action> =
            |now| go(now, now.new.ready == 2, now.published.old == 0 && now.quiet_seconds > 5, &V2);
        type Case = (&'static str, fn(&Now) -> Option<Action>, Vec<(&'static str, Value)>, &'static str);
        let cases: Vec<Case> = vec![
            ("patient", patient, vec![], "none failed"),
            ("selects at once", |now| go(now, true, false, &V2), vec![], "rejected, since there are no endpoints"),
            (
                "deletes at once",
                |now| go(now, now.new.ready == 2, true, &V2),
                vec![],
                "on node-2: sent to a pod of the old version that is gone",
            ),
            // A hook that is long enough makes up for a deletion that comes too early.
            (
                "deletes at once, with a hook",
                |now| go(now, now.new.ready == 2, true, &V2),
                vec![("/old_version/template/pre_stop_seconds", json!(6))],
                "none failed",
            ),
            (
                "forgets a label",
                |now| go(now, now.new.ready == 2, false, &V2[1..]),
                vec![],
                "answered by another application",
            ),
            ("another port", patient, vec![("/new_version/template/ports", json!(["web"]))], "rejected"),
            ("no probe", patient, vec![("/new_version/template/readiness_probe", json!(false))], "that doesn't listen"),
            (
                "publishes all",
                |now| go(now, true, false, &V2),
                vec![(
                    "/released_service",
                    json!({"selector": {"app": "web", "version": "v1"}, "target_port": "http", "publish_not_ready_addresses": true}),
                )],
                "that doesn't listen",
            ),
        ];
        for (name, next, changes, expected) in cases {
            let mut told = Vec::new();
            play_with(&script(&changes), &Naive(next), &mut |_, lines| told = lines);
            assert!(told.iter().any(|line| line.contains(expected)), "{name}: {told:#?}");
        }
    }

    #[test]
    fn open_connections_stay_with_their_pod() {
        let patient: fn(&Now) -> Option<Action> =
            |now| go(now, now.new.ready == 2, now.published.old == 0 && now.quiet_seconds > 5, &V2);
        let mut with_kept = script(&[]);
        with_kept.load.kept = Some(Kept { every: 1, lasts: 45 });
        let mut told = Vec::new();
        play_with(&with_kept, &Naive(patient), &mut |_, lines| told = lines);
        assert!(told.iter().any(|line| line.contains("kept connections of the old version cut")), "{told:#?}");
    }
}
