//! The table of what probes do to a container, held against the reference of `node/probes` in the same small world around it.

use super::super::Check;
use super::super::pure::{field, from};
use kit_contract::node::Prober;
use kit_contract::node::probes::{Answer, Config, Container, Done, Kind, Outcome, Probe, RestartPolicy, Synced};
use serde_json::{Value, json};
use solutions::node::probes::Exercise;
use std::collections::BTreeMap;

/// How long it takes until the kubelet looks.
const SYNC_MS: i64 = 50;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    (table == "probe_timelines").then_some(probe_timelines as Check)
}

enum Event {
    Start,
    Exit(u32),
    Sync,
}

struct World<'a> {
    case: &'a Value,
    module: Exercise,
    agenda: BTreeMap<(i64, usize), Event>,
    count: usize,
    container: Container,
    /// To the millisecond.
    started_ms: i64,
    sync_due: bool,
    dying: bool,
    wake_ms: Option<i64>,
    status: Value,
    events: Vec<(i64, Value)>,
    /// A tick and a sync fell together, and Go's `select` chooses at random.
    open: bool,
}

fn ms(seconds: &Value) -> i64 {
    (seconds.as_f64().unwrap_or_default() * 1000.0).round() as i64
}

impl<'a> World<'a> {
    fn put(&mut self, at: i64, event: Event) {
        self.count += 1;
        self.agenda.insert((at, self.count), event);
    }

    fn sync(&mut self, now: i64) -> Result<(), String> {
        let Synced { started, ready, kill, answer } = self.module.sync(&self.container, now);
        let running = self.container.started_at_ms.is_some();
        let restarts = self.container.run - 1;
        let status = json!({"event": "status", "started": started, "ready": ready, "running": running, "restartCount": restarts});
        if status != self.status {
            self.status = status.clone();
            self.events.push((now, status));
        }
        if let Some(kill) = kill.filter(|_| !std::mem::replace(&mut self.dying, true)) {
            self.events.push((now, json!({"event": "kill", "because": kill.because})));
            self.put(now + ms(&self.case["killTakesSeconds"]), Event::Exit(self.container.run));
        }
        self.open |= self.wake_ms == Some(now) && answer.probe.contains(&Kind::Readiness);
        self.take(answer, now)
    }

    fn take(&mut self, answer: Answer, now: i64) -> Result<(), String> {
        self.wake_ms = answer.wake_at_ms;
        for (probe, result) in answer.results {
            self.events.push((now, json!({"event": "result", "probe": probe, "result": result})));
            if !std::mem::replace(&mut self.sync_due, true) {
                self.put(now + SYNC_MS, Event::Sync);
            }
        }
        for probe in answer.probe {
            let outcome = self.finds(probe, now)?;
            let tries = if outcome == "error" { 3 } else { 1 };
            let event = json!({"event": "probe", "outcome": outcome, "probe": probe});
            self.events.extend((0..tries).map(|_| (now, event.clone())));
            let outcome = match outcome {
                "ok" => Outcome::Passed,
                "fail" => Outcome::Failed,
                _ => Outcome::Errored,
            };
            let answer = self.module.outcome(&Done { probe, outcome }, now);
            self.take(answer, now)?;
        }
        Ok(())
    }

    /// What the script says of a container of this age.
    fn finds(&self, probe: Kind, now: i64) -> Result<&'a str, String> {
        let all = self.case["probes"].as_array().into_iter().flatten();
        let script = all.into_iter().find(|spec| spec["kind"] == json!(probe)).map(|spec| &spec["script"]);
        let runs = script.and_then(Value::as_array).ok_or("a probe has no script")?;
        let of_run = runs.get(self.container.run as usize - 1).or(runs.last()).and_then(Value::as_array);
        let from = |entry: &&Value| ms(&entry["from"]) <= now - self.started_ms;
        let found = of_run.into_iter().flatten().rfind(from).and_then(|entry| entry["outcome"].as_str());
        found.ok_or_else(|| "a script says nothing of this age".into())
    }

    fn handle(&mut self, event: Event, now: i64) -> Result<(), String> {
        let at = |list: &str, index: usize| self.case[list].as_array().and_then(|list| list.get(index).or(list.last()));
        match event {
            Event::Start => {
                let run = self.container.run + 1;
                self.container = Container { run, started_at_ms: Some(now / 1000 * 1000), deleting: false };
                (self.started_ms, self.dying) = (now, false);
                self.events.push((now, json!({"event": "started"})));
                if let Some(after) = self.case["exitsAfterSeconds"].get(run as usize - 1).map(ms) {
                    self.put(now + after, Event::Exit(run));
                }
                if !std::mem::replace(&mut self.sync_due, true) {
                    self.put(now + SYNC_MS, Event::Sync);
                }
                Ok(())
            }
            Event::Exit(run) => {
                if self.container.run != run || self.container.started_at_ms.is_none() {
                    return Ok(());
                }
                let delay = at("restartDelays", run as usize - 1).map_or(0, ms);
                self.container.started_at_ms = None;
                self.events.push((now, json!({"event": "exited"})));
                if self.case["restartPolicy"] != "Never" || self.case["sidecar"] == true {
                    self.put(now + delay, Event::Start);
                }
                self.sync(now)
            }
            Event::Sync => {
                self.sync_due = false;
                self.sync(now)
            }
        }
    }
}

fn probe_timelines(case: &Value) -> Result<(), String> {
    let probe = |kind: Kind| -> Result<Option<Probe>, String> {
        let all = case["probes"].as_array().into_iter().flatten();
        let Some(spec) = all.into_iter().find(|spec| spec["kind"] == json!(kind)) else { return Ok(None) };
        Ok(Some(Probe {
            initial_delay_seconds: field(spec, "initialDelaySeconds")?,
            period_seconds: field(spec, "periodSeconds")?,
            success_threshold: field(spec, "successThreshold")?,
            failure_threshold: field(spec, "failureThreshold")?,
            termination_grace_period_seconds: None,
        }))
    };
    let restart_policy: RestartPolicy = match case["sidecar"] == true {
        true => RestartPolicy::Always,
        false => from(case["restartPolicy"].clone())?,
    };
    let config = Config {
        startup: probe(Kind::Startup)?,
        liveness: probe(Kind::Liveness)?,
        readiness: probe(Kind::Readiness)?,
        restart_policy,
        ..Config::default()
    };
    let wake_ms = Kind::ALL.into_iter().filter_map(|kind| config.probe(kind)).map(|probe| probe.period_seconds * 1000);
    let mut world = World {
        case,
        wake_ms: wake_ms.min(),
        module: Exercise::new(&config),
        agenda: BTreeMap::new(),
        count: 0,
        container: Container::default(),
        started_ms: 0,
        sync_due: false,
        dying: false,
        status: Value::Null,
        events: Vec::new(),
        open: false,
    };
    world.put(ms(&case["containerStartsAt"]), Event::Start);
    let until = ms(&case["until"]);
    loop {
        let next = world.agenda.keys().next().copied().filter(|key| world.wake_ms.is_none_or(|wake| key.0 <= wake));
        let Some(now) = next.map(|key| key.0).or(world.wake_ms).filter(|now| *now < until) else { break };
        match next.and_then(|key| world.agenda.remove(&key)) {
            Some(event) => world.handle(event, now)?,
            None => {
                let answer = world.module.wake(now);
                world.take(answer, now)?;
            }
        }
    }
    let recorded: Vec<Value> = field(case, "timeline")?;
    let recorded = recorded.into_iter().map(|mut event| {
        let at = ms(&event["t"]);
        event.as_object_mut().map(|event| event.remove("t"));
        (at, event)
    });
    let (mine, recorded) = (ordered(world.events), ordered(recorded.collect()));
    let different = mine.iter().zip(&recorded).find(|(mine, recorded)| mine != recorded);
    match different {
        _ if world.open => Ok(()),
        None if mine.len() == recorded.len() => Ok(()),
        None => Err(format!("{} events, recorded {}", mine.len(), recorded.len())),
        Some((mine, recorded)) => Err(format!("{mine}, recorded {recorded}")),
    }
}

/// An event with its fields in one order.
fn line(event: &Value) -> String {
    let fields: BTreeMap<_, _> = event.as_object().into_iter().flatten().collect();
    json!(fields).to_string()
}

/// What happens at one moment has no order; of the results of one worker at one moment the last counts.
fn ordered(events: Vec<(i64, Value)>) -> Vec<String> {
    let of_later = |index: usize, (at, event): &(i64, Value)| {
        let same = |other: &&(i64, Value)| {
            other.0 == *at && other.1["event"] == "result" && other.1["probe"] == event["probe"]
        };
        event["event"] == "result" && events[index + 1..].iter().any(|other| same(&other))
    };
    let kept = events.iter().enumerate().filter(|(index, event)| !of_later(*index, event));
    let mut lines: Vec<(i64, String)> = kept.map(|(_, (at, event))| (*at, line(event))).collect();
    lines.sort();
    lines.into_iter().map(|(at, event)| format!("{:.3}s {event}", at as f64 / 1000.0)).collect()
}
