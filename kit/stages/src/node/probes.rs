//! Fresh scenarios of `node/probes`: a container that comes up, is probed, exits or is killed, and is started again. The reference
//! is played along, since it says which probes are done.

use crate::fresh::{Generator, scenario, step};
use kit_contract::Slot;
use kit_contract::node::Prober;
use kit_contract::node::probes::{Answer, Config, Container, Done, Kind, Outcome, Probe, RestartPolicy, Synced};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most questions of a scenario.
const STEPS: usize = 70;

#[derive(Debug, Clone)]
struct Plan {
    config: Config,
    /// When the first container starts.
    start_ms: i64,
    /// How long each container lives if nobody kills it, and how long after its end the next one starts. The last container lives on.
    lives: Vec<(i64, i64)>,
    /// What probes find, in order and again from the beginning, and how long each takes.
    outcomes: Vec<(Outcome, i64)>,
    /// How long it takes until the kubelet looks, and how late the kit wakes the module.
    sync_ms: i64,
    late_ms: Vec<i64>,
    /// Looks without a reason.
    looks: Vec<i64>,
    kill_ms: i64,
    delete_ms: Option<i64>,
}

/// What happens next.
enum Event {
    Start,
    Exit(u32),
    Sync,
    Look,
    Done(Done),
    Delete,
}

struct World<'a> {
    plan: &'a Plan,
    module: Box<dyn Prober>,
    agenda: BTreeMap<(i64, usize), Event>,
    count: usize,
    container: Container,
    sync_due: bool,
    dying: bool,
    probed: usize,
    woken: usize,
    wake_ms: Option<i64>,
    steps: Vec<Value>,
}

impl World<'_> {
    fn put(&mut self, at: i64, event: Event) {
        self.count += 1;
        self.agenda.insert((at, self.count), event);
    }

    fn want_sync(&mut self, now: i64) {
        if !std::mem::replace(&mut self.sync_due, true) {
            self.put(now + self.plan.sync_ms, Event::Sync);
        }
    }

    fn sync(&mut self, now: i64) {
        if self.container.run == 0 {
            return;
        }
        self.steps.push(step("sync", json!({"container": self.container, "now_ms": now})));
        let Synced { kill, answer, .. } = self.module.sync(&self.container, now);
        if kill.is_some() && !std::mem::replace(&mut self.dying, true) {
            self.put(now + self.plan.kill_ms, Event::Exit(self.container.run));
        }
        self.take(answer, now);
    }

    fn take(&mut self, answer: Answer, now: i64) {
        for probe in answer.probe {
            let (outcome, took) = self.plan.outcomes[self.probed % self.plan.outcomes.len()];
            self.probed += 1;
            self.put(now + took, Event::Done(Done { probe, outcome }));
        }
        if !answer.results.is_empty() {
            self.want_sync(now);
        }
        let late = self.plan.late_ms[self.woken % self.plan.late_ms.len()];
        self.wake_ms = answer.wake_at_ms.map(|at| at.max(now) + late);
    }

    fn handle(&mut self, event: Event, now: i64) {
        match event {
            Event::Start => {
                let run = self.container.run + 1;
                let started_at_ms = Some(now / 1000 * 1000);
                self.container = Container { run, started_at_ms, deleting: self.container.deleting };
                self.dying = false;
                if let Some((lives, _)) = self.plan.lives.get(run as usize - 1) {
                    self.put(now + lives, Event::Exit(run));
                }
                self.want_sync(now);
            }
            Event::Exit(run) => {
                if self.container.run != run || self.container.started_at_ms.is_none() {
                    return;
                }
                self.container.started_at_ms = None;
                self.sync(now);
                let again = self.plan.config.restart_policy != RestartPolicy::Never && !self.container.deleting;
                let rest = self.plan.lives.get(run as usize - 1).map_or(2000, |(_, rest)| *rest);
                if again {
                    self.put(now + rest, Event::Start);
                }
            }
            Event::Sync => {
                self.sync_due = false;
                self.sync(now);
            }
            Event::Look => self.sync(now),
            Event::Done(done) => {
                self.steps.push(step("outcome", json!({"done": done, "now_ms": now})));
                let answer = self.module.outcome(&done, now);
                self.take(answer, now);
            }
            Event::Delete => {
                self.container.deleting = true;
                self.sync(now);
            }
        }
    }
}

fn play(plan: &Plan, reference: &Slot<dyn Prober>) -> Vec<Value> {
    let mut world = World {
        plan,
        module: reference.make(&plan.config),
        agenda: BTreeMap::new(),
        count: 0,
        container: Container::default(),
        sync_due: false,
        dying: false,
        probed: 0,
        woken: 0,
        // A kubelet that was never told of a container asks, too.
        wake_ms: Some(1000),
        steps: Vec::new(),
    };
    world.put(plan.start_ms, Event::Start);
    plan.looks.iter().for_each(|at| world.put(*at, Event::Look));
    if let Some(at) = plan.delete_ms {
        world.put(at, Event::Delete);
    }
    while world.steps.len() < STEPS {
        let next = world.agenda.keys().next().copied();
        match (next, world.wake_ms) {
            (Some(key), wake) if wake.is_none_or(|wake| key.0 <= wake) => {
                if let Some(event) = world.agenda.remove(&key) {
                    world.handle(event, key.0);
                }
            }
            (_, Some(now)) => {
                world.steps.push(step("wake", json!({"now_ms": now})));
                world.woken += 1;
                let answer = world.module.wake(now);
                world.take(answer, now);
            }
            (None, None) => break,
            // The guard above takes every event without a wake before it.
            (Some(_), None) => break,
        }
    }
    world.steps
}

fn probe(kind: Kind) -> impl Strategy<Value = Probe> {
    let success = if kind == Kind::Readiness { vec![1_i64, 1, 2, 3] } else { vec![1] };
    let grace = if kind == Kind::Readiness { vec![None] } else { vec![None, None, Some(1), Some(5), Some(90)] };
    let delay = select(vec![0_i64, 0, 0, 1, 4, 7, 15]);
    let period = select(vec![10_i64, 5, 3, 1, 2]);
    (delay, period, select(success), select(vec![3_i64, 1, 2, 5]), select(grace)).prop_map(
        |(
            initial_delay_seconds,
            period_seconds,
            success_threshold,
            failure_threshold,
            termination_grace_period_seconds,
        )| {
            Probe {
                initial_delay_seconds,
                period_seconds,
                success_threshold,
                failure_threshold,
                termination_grace_period_seconds,
            }
        },
    )
}

fn config() -> impl Strategy<Value = Config> {
    let policy = select(vec![
        RestartPolicy::Always,
        RestartPolicy::Always,
        RestartPolicy::Always,
        RestartPolicy::OnFailure,
        RestartPolicy::Never,
    ]);
    let (startup, liveness) = (option::of(probe(Kind::Startup)), option::weighted(0.6, probe(Kind::Liveness)));
    let readiness = option::weighted(0.7, probe(Kind::Readiness));
    (startup, liveness, readiness, policy, select(vec![30_i64, 0, 1, 2, 3, 60])).prop_map(
        |(startup, liveness, readiness, restart_policy, termination_grace_period_seconds)| Config {
            startup,
            liveness,
            readiness,
            restart_policy,
            termination_grace_period_seconds,
        },
    )
}

/// The life of a container under its probes.
pub fn fresh(reference: Slot<dyn Prober>) -> Generator {
    let outcome = prop_oneof![
        5 => Just(Outcome::Passed),
        5 => Just(Outcome::Failed),
        1 => Just(Outcome::Warned),
        1 => Just(Outcome::TimedOut),
        1 => Just(Outcome::Errored),
    ];
    // Most are over at once; some take longer than a period.
    let took = prop_oneof![5 => select(vec![0_i64, 10]), 1 => select(vec![700_i64, 1000, 2500, 6000])];
    // Runs of one kind, since few thresholds are reached by alternating.
    let run = (outcome, took, 1..5_usize).prop_map(|(outcome, took, times)| vec![(outcome, took); times]);
    let outcomes = vec(run, 1..6).prop_map(|runs| runs.concat());
    let lives = vec((select(vec![400_i64, 3000, 9000, 14_000, 31_000]), select(vec![300_i64, 2000, 10_300])), 0..4);
    let times =
        (select(vec![1300_i64, 0, 999, 4700, 12_000]), select(vec![50_i64, 0, 900]), select(vec![1400_i64, 0, 4000]));
    let late = prop_oneof![3 => Just(vec![0_i64]), 1 => vec(select(vec![0_i64, 0, 1, 400, 7000]), 1..5)];
    let looks = vec((0..60_i64, select(vec![0_i64, 1, 500])).prop_map(|(s, ms)| s * 1000 + ms), 0..4);
    let delete = option::weighted(0.2, (1..50_i64).prop_map(|seconds| seconds * 1000));
    let plan = (config(), outcomes, lives, times, late, looks, delete).prop_map(
        |(config, outcomes, lives, (start_ms, sync_ms, kill_ms), late_ms, looks, delete_ms)| Plan {
            config,
            start_ms,
            lives,
            outcomes,
            sync_ms,
            late_ms,
            looks,
            kill_ms,
            delete_ms,
        },
    );
    plan.prop_map(move |plan| {
        let mut drawn = scenario(json!({"config": plan.config}), play(&plan, &reference));
        let why = "Whatever a container goes through, each probe is done when it is due, and results follow from what it found.";
        (drawn["why"], drawn["read"]) = (why.into(), "how-it-works".into());
        drawn
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh::Fresh;

    #[test]
    fn probes_meet_everything() {
        let slot = solutions::modules().probes;
        let generator = fresh(slot.clone());
        let (mut asked, mut answered) = (String::new(), String::new());
        for number in 1..150 {
            let drawn = Fresh::draw(&generator, "node/probes", "a", number).expect("it draws").scenario();
            let config = serde_json::from_value(drawn["new"]["config"].clone()).expect("a configuration");
            let mut module = slot.make(&config);
            for step in drawn["steps"].as_array().into_iter().flatten() {
                asked += &step.to_string();
                let at = |call: &str| step[call]["now_ms"].as_i64().unwrap_or_default();
                if let Ok(container) = serde_json::from_value(step["sync"]["container"].clone()) {
                    let synced = module.sync(&container, at("sync"));
                    answered += &format!("{synced:?}");
                } else if let Ok(done) = serde_json::from_value(step["outcome"]["done"].clone()) {
                    answered += &format!("{:?}", module.outcome(&done, at("outcome")));
                } else {
                    answered += &format!("{:?}", module.wake(at("wake")));
                }
            }
        }
        for word in ["\"sync\"", "\"wake\"", "\"passed\"", "\"errored\"", "\"deleting\":true", "\"started_at_ms\":null"]
        {
            assert!(asked.contains(word), "{word}");
        }
        for word in ["because: Liveness", "because: Startup", "restarts: false", "ready: true", "Liveness: Failure"] {
            assert!(answered.contains(word), "{word}");
        }
    }
}
