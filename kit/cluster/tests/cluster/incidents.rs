//! Every incident is broken, stays broken, and is healed by each of its routes; its shortcuts are refused.

use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::{Clock, Engine};
use kit_cluster::incident::{Incident, Judge, Route, Verdict, play};
use kit_time::agenda::Instant;
use std::cell::Cell;
use std::path::Path;

/// How long waiting is tried: longer than the longest back-off, which is that of a ReplicaSet's creations.
const WAITING: Instant = Instant::seconds(1200);
/// How long a route may take.
const PATIENCE: Instant = Instant::seconds(600);

/// All files, or the one that the variable INCIDENT names.
fn all() -> Vec<Incident> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../solutions/interviews/incidents"));
    let all = match std::env::var("INCIDENT") {
        Ok(name) => Incident::load(&folder.join(format!("{name}.yaml"))).map(|one| vec![one]),
        Err(_) => Incident::load_all(folder),
    };
    all.unwrap_or_else(|why| panic!("{why}"))
}

struct Cluster {
    engine: Engine,
    judge: Judge,
}

impl Cluster {
    /// The cluster when somebody is called.
    fn begin(incident: &Incident) -> Cluster {
        let config = Config { programs: true, ..incident.cluster.clone() };
        let mut engine = cluster::start(&config, &solutions::modules(), Clock::default());
        let name = &incident.name;
        incident.begin(&mut engine).unwrap_or_else(|failure| panic!("{name}: break: {failure:?}"));
        assert_eq!(engine.now(), incident.played(), "{name}");
        Cluster { engine, judge: Judge::new(incident) }
    }

    fn verdict(&mut self) -> Verdict {
        self.judge.verdict(&self.engine)
    }

    /// Lets time pass until more of it changes nothing, at the longest so much.
    fn wait(&mut self, span: Instant) -> Verdict {
        let until = self.engine.now() + span;
        while self.engine.step(until).expect("the reference answers") {
            self.judge.look(&self.engine);
            if self.judge.is_decided(self.engine.now()) {
                break;
            }
        }
        self.verdict()
    }

    fn play(&mut self, incident: &Incident, route: &Route) {
        let Incident { name, .. } = incident;
        for step in &route.steps {
            let done = play(&mut self.engine, std::slice::from_ref(step));
            done.unwrap_or_else(|failure| panic!("{name}: {}: {failure:?}", route.name));
            self.judge.look(&self.engine);
        }
    }
}

fn shown(verdict: &Verdict) -> String {
    let all = [&verdict.conditions, &verdict.keep, &verdict.always].into_iter().flatten();
    all.map(|seen| format!("\n  {} {}: {}", if seen.holds { '✓' } else { '✗' }, seen.text, seen.seen)).collect()
}

/// What is wrong with all of them, at once.
fn judge(wrong: impl Fn(&Incident, &mut Vec<String>)) {
    let mut found = Vec::new();
    for incident in all() {
        wrong(&incident, &mut found);
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn each_belongs_to_an_exercise() {
    let catalog = concat!(env!("CARGO_MANIFEST_DIR"), "/../../exercises/catalog.yaml");
    let catalog = std::fs::read_to_string(catalog).expect("it is there");
    let known = |chapter: &str| catalog.lines().any(|line| line.trim() == format!("- name: {chapter}"));
    judge(|incident, wrong| {
        if !known(&incident.chapter) {
            wrong.push(format!("{}: there is no exercise {}", incident.name, incident.chapter));
        }
    });
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_place() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../solutions/interviews/incidents/");
    let good = std::fs::read_to_string(format!("{folder}storefront-image.yaml")).expect("it is there");
    for (from, to, why) in [
        ("level: senior", "level: junior", "level: unknown variant `junior`"),
        ("minutes: 6", "minuten: 6", "unknown field `minuten`"),
        ("endpoints >= 4", "endpoints > four", "healed[0]: `service/web/storefront endpoints > four` is no condition"),
        ("  - run: 5m", "  - run: five minutes", "break[1]"),
        ("      right: true\n", "", "question.options: one is `right: true`"),
        (
            "      - kubectl -n web rollout undo",
            "      - helm -n web rollback",
            "route `undo the rollout`: kubectl: its lines",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let refused = Incident::read(&good.replacen(from, to, 1)).expect_err(why);
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn it_is_broken_and_waiting_does_not_help() {
    judge(|incident, wrong| {
        let name = &incident.name;
        let mut cluster = Cluster::begin(incident);
        let verdict = cluster.verdict();
        if verdict.healed || !verdict.kept {
            wrong.push(format!("{name}: nothing is broken, or more than what is to be mended{}", shown(&verdict)));
        }
        let verdict = cluster.wait(WAITING);
        if verdict.healed || verdict.solved {
            wrong.push(format!("{name}: it heals by itself{}", shown(&verdict)));
        }
    });
}

#[test]
fn each_route_heals_it() {
    judge(|incident, wrong| {
        for route in &incident.routes {
            let mut cluster = Cluster::begin(incident);
            cluster.play(incident, route);
            let verdict = cluster.wait(PATIENCE);
            if !verdict.solved {
                wrong.push(format!("{}: {} is no way out{}", incident.name, route.name, shown(&verdict)));
            }
        }
    });
}

#[test]
fn no_shortcut_is_accepted() {
    let refused = Cell::new(0);
    judge(|incident, wrong| {
        for route in &incident.shortcuts {
            let mut cluster = Cluster::begin(incident);
            cluster.play(incident, route);
            let verdict = cluster.wait(PATIENCE);
            if verdict.solved {
                wrong.push(format!("{}: {} is accepted{}", incident.name, route.name, shown(&verdict)));
            }
            refused.update(|count| count + usize::from(verdict.healed && !verdict.kept));
        }
    });
    // Otherwise nothing here would show that `keep` and `always` are looked at.
    assert!(
        std::env::var("INCIDENT").is_ok() || refused.get() > 1,
        "{} were refused for what they cost",
        refused.get()
    );
}
