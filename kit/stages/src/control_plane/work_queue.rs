//! The workers of a controller around the work queue of a module.
//!
//! Objects change, a handler adds their keys, and workers reconcile one key after the other; that takes them time, and it may
//! fail. A worker sees the object as it was when it began, as one that reads its informer's cache does. So a change that comes
//! while the key is being processed is seen only if the queue hands the key out again.
//! Source: `processNextWorkItem` of any controller under `pkg/controller`.

use kit_api::duration::Duration;
use kit_contract::control_plane::{Next, RateLimits, WorkQueue};
use kit_contract::{Modules, Slot};
use serde::Deserialize;
use std::collections::BTreeMap;

/// After so many reconciles, or questions that led to none, something spins.
const TOO_MANY: usize = 500;

/// What happens to a controller.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// How many workers, and how they work.
    pub workers: Setup,
    /// What happens, in this order, at these times.
    pub play: Vec<Step>,
}

/// A controller.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// How many workers (`--concurrent-replicaset-syncs` and its like).
    pub count: usize,
    /// How long a reconcile takes, in milliseconds, at least 1.
    pub takes: i64,
    /// Of keys whose reconciles take another time.
    #[serde(default)]
    pub takes_of: BTreeMap<String, i64>,
    /// How many reconciles of a key fail, from the first on.
    #[serde(default)]
    pub failures: BTreeMap<String, u32>,
    /// Of the queue.
    #[serde(default)]
    pub limits: RateLimits,
}

/// One step.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// These objects change now, and the handler adds their keys.
    Change(Vec<String>),
    /// Every object of the cache is told of again.
    Resync,
    /// So many milliseconds pass.
    Run(i64),
    /// The controller is told to stop, and waits for its workers.
    Stop,
}

struct Object {
    key: String,
    /// How often it changed.
    version: u32,
    /// What was made of it.
    reconciled: u32,
    attempts: u32,
}

struct Job {
    key: String,
    version: u32,
    ends: i64,
}

struct Controller<'a> {
    setup: &'a Setup,
    queue: Box<dyn WorkQueue>,
    objects: Vec<Object>,
    jobs: Vec<Option<Job>>,
    /// When an idle worker is to ask again although nothing happened.
    ask_again: Option<i64>,
    now: i64,
    stopped: bool,
    spent: usize,
    lines: Vec<String>,
}

/// Plays a script with the queue of the slot. `see` is told of each step and what was seen then.
///
/// # Errors
///
/// A script that can't be played, in words.
pub fn play(script: &Script, modules: &Modules, see: &mut dyn FnMut(String, Vec<String>)) -> Result<(), String> {
    let setup = &script.workers;
    let takes = setup.takes_of.values().chain([&setup.takes]);
    if setup.count == 0 || takes.copied().min() < Some(1) {
        return Err("a controller has at least one worker, and a reconcile takes at least a millisecond".into());
    }
    let slot: &Slot<dyn WorkQueue> = &modules.work_queue;
    let mut controller = Controller {
        setup,
        queue: slot.make(&setup.limits),
        objects: Vec::new(),
        jobs: (0..setup.count).map(|_| None).collect(),
        ask_again: None,
        now: 0,
        stopped: false,
        spent: 0,
        lines: Vec::new(),
    };
    for step in &script.play {
        let title = controller.step(step);
        see(title, std::mem::take(&mut controller.lines));
    }
    Ok(())
}

impl Controller<'_> {
    fn step(&mut self, step: &Step) -> String {
        let at = at(self.now);
        match step {
            Step::Change(keys) => {
                for key in keys {
                    self.change(key);
                    self.queue.add(key, self.now);
                }
                self.hand_out();
                format!("{at}  {} changed", keys.join(", "))
            }
            Step::Resync => {
                for key in self.objects.iter().map(|object| object.key.clone()).collect::<Vec<_>>() {
                    self.queue.add(&key, self.now);
                }
                self.hand_out();
                format!("{at}  resync")
            }
            Step::Stop => {
                self.queue.shut_down(true);
                self.stopped = true;
                self.hand_out();
                format!("{at}  stop")
            }
            Step::Run(millis) => {
                self.run(self.now + millis);
                self.summary();
                format!("{at}  run {}", Duration::millis(*millis))
            }
        }
    }

    fn change(&mut self, key: &str) {
        match self.objects.iter_mut().find(|object| object.key == key) {
            Some(object) => object.version += 1,
            None => self.objects.push(Object { key: key.into(), version: 1, reconciled: 0, attempts: 0 }),
        }
    }

    /// Lets time pass: reconciles end, and delays are over.
    fn run(&mut self, until: i64) {
        loop {
            let ends = self.jobs.iter().flatten().map(|job| job.ends);
            let next = ends.chain(self.ask_again).min().filter(|next| *next <= until);
            let (Some(next), true) = (next, self.spent < TOO_MANY) else { break };
            self.now = self.now.max(next);
            for worker in 0..self.jobs.len() {
                if self.jobs[worker].as_ref().is_some_and(|job| job.ends <= self.now) {
                    self.end(worker);
                }
            }
            self.hand_out();
        }
        if self.spent >= TOO_MANY {
            self.lines.push(format!("stopped at {}: {TOO_MANY} reconciles and questions are too many", at(self.now)));
        }
        self.now = until;
    }

    fn end(&mut self, worker: usize) {
        let Some(Job { key, version, .. }) = self.jobs[worker].take() else { return };
        let Some(object) = self.objects.iter_mut().find(|object| object.key == key) else { return };
        let fails = object.attempts <= self.setup.failures.get(&key).copied().unwrap_or_default();
        let head = format!("{}  worker {}  {key}", at(self.now), worker + 1);
        if fails {
            self.queue.add_rate_limited(&key, self.now);
            let requeues = self.queue.num_requeues(&key);
            self.lines.push(format!("{head} failed, requeued {requeues} in a row"));
        } else {
            object.reconciled = version;
            self.queue.forget(&key);
            self.lines.push(format!("{head} reconciled as of version {version}"));
        }
        self.queue.done(&key, self.now);
    }

    /// Gives each idle worker a key, as long as there are any.
    fn hand_out(&mut self) {
        self.ask_again = None;
        for worker in 0..self.jobs.len() {
            if self.jobs[worker].is_some() || self.spent >= TOO_MANY {
                continue;
            }
            self.spent += 1;
            match self.queue.get(self.now) {
                Next::Key(key) => self.begin(worker, key),
                // A queue that says "now" although it has nothing is asked again a little later.
                Next::Wait(due) => {
                    self.ask_again = due.map(|due| due.max(self.now + 1)).into_iter().chain(self.ask_again).min()
                }
                Next::ShutDown => {
                    if !self.stopped {
                        self.lines.push(format!(
                            "{}  worker {} stopped, and nobody asked it to",
                            at(self.now),
                            worker + 1
                        ));
                    }
                }
            }
        }
    }

    fn begin(&mut self, worker: usize, key: String) {
        let head = format!("{}  worker {}  {key}", at(self.now), worker + 1);
        if let Some(other) = self.jobs.iter().position(|job| job.as_ref().is_some_and(|job| job.key == key)) {
            self.lines.push(format!("{head} is being processed by worker {} at the same time", other + 1));
        }
        let Some(object) = self.objects.iter_mut().find(|object| object.key == key) else {
            self.lines.push(format!("{head} is no key that was added"));
            self.queue.done(&key, self.now);
            return;
        };
        object.attempts += 1;
        let takes = self.setup.takes_of.get(&key).unwrap_or(&self.setup.takes);
        self.jobs[worker] = Some(Job { key, version: object.version, ends: self.now + takes });
    }

    /// How things stand when time has passed.
    fn summary(&mut self) {
        for Object { key, version, reconciled, attempts } in &self.objects {
            let busy = self.jobs.iter().flatten().any(|job| job.key == *key);
            let state = match (busy, reconciled == version) {
                (true, _) => "being reconciled".into(),
                (_, true) => "up to date".into(),
                (_, false) => format!("out of date: version {version}, reconciled as of {reconciled}"),
            };
            let attempts = if *attempts == 1 { "1 attempt".into() } else { format!("{attempts} attempts") };
            self.lines.push(format!("{key}  {state}, {attempts}"));
        }
        if self.stopped {
            let drained = if self.queue.drained() { "the controller has stopped" } else { "the controller waits" };
            self.lines.push(drained.into());
        }
    }
}

fn at(millis: i64) -> String {
    format!("t={}", Duration::millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn played(script: serde_json::Value) -> Vec<String> {
        let script: Script = serde_json::from_value(script).expect("a script");
        let mut lines = Vec::new();
        play(&script, &solutions::modules(), &mut |_, seen| lines.extend(seen)).expect("it can be played");
        lines
    }

    #[test]
    fn a_change_while_the_key_is_processed_is_not_lost() {
        let lines = played(json!({
            "workers": {"count": 2, "takes": 100},
            "play": [{"change": ["shop/web"]}, {"run": 50}, {"change": ["shop/web"]}, {"run": 1000}],
        }));
        assert!(lines.iter().any(|line| line == "t=200ms  worker 1  shop/web reconciled as of version 2"), "{lines:?}");
        assert_eq!(lines.last().map(String::as_str), Some("shop/web  up to date, 2 attempts"));
    }

    #[test]
    fn failures_are_tried_again_later_each_time() {
        let lines = played(json!({
            "workers": {"count": 1, "takes": 1, "failures": {"a": 3}},
            "play": [{"change": ["a"]}, {"run": 60}],
        }));
        let times: Vec<_> = lines.iter().filter_map(|line| line.split("  ").next()).collect();
        assert_eq!(times, ["t=1ms", "t=7ms", "t=18ms", "t=39ms", "a"]);
    }
}
