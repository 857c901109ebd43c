//! The table of probes over time: the workers of one container, in a small world that plays the rest of the kubelet.

use super::super::Check;
use super::super::pure::{compare, field};
use super::{list, number};
use kit_node::prober::{self, Kind, Look, Seen, Settings, TRIES, Worker};
use kit_node::runtime::Found;
use kit_time::agenda::Instant;
use serde_json::{Value, json};

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    (table == "probe_timelines").then_some(probe_timelines as Check)
}

/// A sync comes so much later than what it is about.
const SYNC: Instant = Instant::millis(50);

fn instant(of: &Value) -> Instant {
    // Tenths of a millisecond are enough for all that the table holds, and free of what floats add.
    Instant { nanos: (of.as_f64().unwrap_or_default() * 10_000.0).round() as i64 * 100_000 }
}

struct World<'a> {
    case: &'a Value,
    workers: Vec<Worker>,
    now: Instant,
    /// When the run began that goes on, or went on last.
    since: Option<Instant>,
    running: bool,
    /// How many runs there were before.
    run: usize,
    /// The next start, the next end, and the next sync.
    starts: Option<Instant>,
    ends: Option<Instant>,
    syncs: Option<Instant>,
    killing: bool,
    /// What the status says, and how it was written.
    seen: Option<Seen>,
    status: Value,
    timeline: Vec<Value>,
}

fn probe_timelines(case: &Value) -> Result<(), String> {
    let mut workers = Vec::new();
    for probe in list(&case["probes"]) {
        let threshold = |name: &str| field::<u32>(probe, name);
        let settings = Settings {
            kind: match probe["kind"].as_str() {
                Some("startup") => Kind::Startup,
                Some("liveness") => Kind::Liveness,
                _ => Kind::Readiness,
            },
            initial_delay: instant(&probe["initialDelaySeconds"]),
            period: instant(&probe["periodSeconds"]),
            successes: threshold("successThreshold")?,
            failures: threshold("failureThreshold")?,
        };
        workers.push(Worker::new(settings, Instant::default()));
    }
    let mut world = World {
        case,
        workers,
        now: Instant::default(),
        since: None,
        running: false,
        run: 0,
        starts: Some(instant(&case["containerStartsAt"])),
        ends: None,
        syncs: None,
        killing: false,
        seen: None,
        status: Value::Null,
        timeline: Vec::new(),
    };
    let until = instant(&case["until"]);
    while let Some(next) = world.next().filter(|next| *next < until) {
        world.now = next;
        world.go_on();
    }
    let kind = |event: &Value| event["probe"].as_str().unwrap_or_default().to_string();
    let time = |event: &Value| event["t"].as_f64().map(f64::to_bits);
    world.timeline.sort_by_key(|event| (time(event), kind(event), event["event"] == "result"));
    compare(case, json!({"timeline": world.timeline}))
}

fn name(kind: Kind) -> String {
    format!("{kind:?}").to_lowercase()
}

impl World<'_> {
    fn next(&self) -> Option<Instant> {
        let ticks = self.workers.iter().filter(|worker| !worker.over).map(|worker| worker.next);
        ticks.chain([self.starts, self.ends, self.syncs].into_iter().flatten()).min()
    }

    fn go_on(&mut self) {
        let now = self.now;
        let trigger = self.syncs.take_if(|at| *at <= now).is_some() && self.sync();
        for at in 0..self.workers.len() {
            if !self.workers[at].over && self.workers[at].next <= now {
                self.wake(at, Worker::tick);
            }
        }
        let readiness = self.workers.iter().position(|worker| worker.kind() == Kind::Readiness && !worker.over);
        if let Some(at) = readiness.filter(|_| trigger) {
            self.wake(at, Worker::trigger);
        }
        if self.ends.take_if(|at| *at <= now).is_some() {
            self.end();
        }
        if self.starts.take_if(|at| *at <= now).is_some() {
            self.start();
        }
    }

    fn tell(&mut self, event: Value) {
        let mut event = event;
        event["t"] = number(self.now);
        self.timeline.push(event);
    }

    fn start(&mut self) {
        (self.since, self.running, self.killing) = (Some(self.now), true, false);
        self.tell(json!({"event": "started"}));
        let after = &self.case["exitsAfterSeconds"][self.run];
        self.ends = (!after.is_null()).then(|| self.now + instant(after));
        self.syncs = Some(self.now + SYNC);
    }

    fn again(&self) -> bool {
        self.case["restartPolicy"] != "Never" || self.case["sidecar"] == true
    }

    fn end(&mut self) {
        self.running = false;
        self.ends = None;
        self.tell(json!({"event": "exited"}));
        self.write(false, false);
        let delay = &self.case["restartDelays"][self.run];
        self.starts = (self.again() && !delay.is_null()).then(|| self.now + instant(delay));
        self.run += 1;
    }

    /// Writes the status, if it is another one.
    fn write(&mut self, started: bool, ready: bool) {
        let runs = self.run;
        let status = json!({
            "event": "status", "running": self.running, "started": started, "ready": ready, "restartCount": runs,
        });
        let (running, again) = (self.running, self.again());
        self.seen = self.since.map(|since| Seen { since, running, started, again, deleting: false });
        if self.status != status {
            self.status = status.clone();
            self.tell(status);
        }
    }

    /// Whether readiness is asked now.
    fn sync(&mut self) -> bool {
        let Some(since) = self.since.filter(|_| self.running) else { return false };
        let stand = prober::stand(self.workers.iter(), since);
        self.write(stand.started, stand.ready);
        let failed = |kind: Kind| {
            let mut workers = self.workers.iter().filter(|worker| worker.kind() == kind);
            workers.any(|worker| worker.found(since) == Some(Found::Failure)).then_some(kind)
        };
        let because = failed(Kind::Liveness).or_else(|| failed(Kind::Startup));
        if let Some(kind) = because.filter(|_| !self.killing) {
            self.killing = true;
            self.tell(json!({"event": "kill", "because": name(kind)}));
            let ends = self.now + instant(&self.case["killTakesSeconds"]);
            self.ends = Some(self.ends.map_or(ends, |before| before.min(ends)));
        }
        stand.trigger
    }

    fn wake(&mut self, at: usize, how: fn(&mut Worker, Option<Seen>, Instant) -> Look) {
        let (now, seen) = (self.now, self.seen);
        let before = self.workers[at].result;
        seen.iter().for_each(|seen| self.workers[at].meet(seen.since));
        self.see_result(at, before);
        let before = self.workers[at].result;
        let look = how(&mut self.workers[at], seen, now);
        self.see_result(at, before);
        if look == Look::Ask {
            let kind = name(self.workers[at].kind());
            let outcome = self.outcome(&kind);
            for _ in 0..if outcome == "error" { TRIES } else { 1 } {
                self.tell(json!({"event": "probe", "probe": kind, "outcome": outcome}));
            }
            let before = self.workers[at].result;
            if outcome != "error" {
                self.workers[at].count(outcome == "ok");
            }
            self.see_result(at, before);
        }
    }

    fn see_result(&mut self, at: usize, before: Option<(Instant, Found)>) {
        let worker = &self.workers[at];
        let Some((_, found)) = worker.result.filter(|result| Some(*result) != before) else { return };
        let kind = name(worker.kind());
        self.syncs = self.syncs.or(Some(self.now + SYNC));
        self.tell(json!({"event": "result", "probe": kind, "result": format!("{found:?}").to_lowercase()}));
    }

    /// What a probe answers now.
    fn outcome(&self, kind: &str) -> String {
        let probe = list(&self.case["probes"]).find(|probe| probe["kind"] == kind);
        let runs: Vec<&Value> = probe.map(|probe| list(&probe["script"]).collect()).unwrap_or_default();
        let age = self.now - self.since.unwrap_or_default();
        let script = runs.get(self.run).or(runs.last());
        let said = script.into_iter().flat_map(|run| list(run)).take_while(|part| instant(&part["from"]) <= age).last();
        said.and_then(|part| part["outcome"].as_str()).unwrap_or_default().to_string()
    }
}
