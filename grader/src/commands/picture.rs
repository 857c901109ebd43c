//! Recordings of timelines: for programs as JSON, for people as a page that shows them.

use crate::display::human::{DIM, page as fill, paint};
use crate::display::plain;
use crate::verdict::scenario::Seen;
use anstream::println;
use anyhow::{Context, Result};
use kit_cluster::recording::{Parts, Recording, json, page};
use std::path::{Path, PathBuf};

/// Where a picture goes.
#[derive(Debug, Default, clap::Args)]
pub struct Output {
    /// Writes a page that replays it, with everything in it
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Writes what happened, as JSON
    #[arg(long, value_name = "FILE")]
    pub recording: Option<PathBuf>,
}

impl Output {
    /// Whether a picture is asked for.
    pub fn is_wanted(&self) -> bool {
        self.html.is_some() || self.recording.is_some()
    }

    /// Writes one recording, or several under their names, and says where.
    pub fn write(&self, recordings: &[Recording], names: &[&str], parts: Option<&Parts>) -> Result<()> {
        if let Some(file) = &self.html {
            write(file, "page", &page(recordings, names, parts)?)?;
        }
        if let Some(file) = &self.recording {
            write(file, "recording", &json(recordings, names, parts)?)?;
        }
        Ok(())
    }
}

fn write(file: &Path, what: &str, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("can't write {}", plain::name(file)))?;
    let size = text.len().div_ceil(1024);
    println!(
        "{}",
        fill(&format!(
            "  {}  {}   {}",
            paint(DIM, format_args!("{what:<9}")),
            plain::name(file),
            paint(DIM, format_args!("{size} KiB"))
        ))
    );
    Ok(())
}

/// Where two transcripts part: the first second whose lines are not the same.
pub fn parts(expected: &[Seen], yours: &[Seen]) -> Option<Parts> {
    let step = expected.iter().zip(yours).position(|(expected, yours)| expected.answer != yours.answer);
    let Some(step) = step else {
        // A module that was lost leaves the rest unseen.
        let next = expected.get(yours.len())?;
        let t = time(next.asked.first()?)?;
        return Some(Parts { t, expected: next.asked.clone(), yours: vec!["it ends here".into()] });
    };
    let (asked, expected, yours) = (&expected[step].asked, &expected[step].answer, &yours[step].answer);
    let same = expected.iter().zip(yours).take_while(|(expected, yours)| expected == yours).count();
    let begin = asked.first().and_then(|asked| time(asked)).unwrap_or_default();
    let differ = [expected.get(same), yours.get(same)].into_iter().flatten().filter_map(|line| time(line)).min();
    let t = differ.unwrap_or(begin);
    let here = |lines: &[String]| -> Vec<String> {
        lines[same..].iter().take_while(|line| time(line).is_none_or(|at| at <= t)).cloned().collect()
    };
    Some(Parts { t, expected: here(expected), yours: here(yours) })
}

/// The time with which a line begins, `t=1m5s`, in milliseconds.
fn time(line: &str) -> Option<i64> {
    let span: kit_time::agenda::Instant = line.split_whitespace().next()?.strip_prefix("t=")?.parse().ok()?;
    Some(span.nanos / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::scenario::{Scenario, Script};
    use crate::workspace::files;
    use kit_apimachinery::object::Kind;
    use kit_cluster::engine::{Clock, Engine};
    use kit_cluster::recording::{Picture, Recorder, SCHEMA};
    use kit_cluster::timeline::Play;
    use serde_json::Value;
    use std::collections::{BTreeMap, BTreeSet};

    /// What objects of some kinds are like, in the engine: what a recording of it must end with.
    fn objects(engine: &Engine) -> BTreeMap<String, String> {
        let snapshot = engine.server().snapshot();
        let all = |kind| snapshot.list(kind).map(|stored| (stored.key.clone(), stored.to_value()));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let int = |value: &Value| value.as_i64().unwrap_or_default();
        let condition = |object: &Value, type_: &str| {
            let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
            conditions.filter(|c| c["type"] == type_).map(|c| text(&c["status"])).collect::<String>()
        };
        let mut objects = BTreeMap::new();
        for (key, pod) in all(Kind::Pod) {
            let ready = condition(&pod, "Ready") == "True";
            let said = format!("{} {} {ready}", text(&pod["spec"]["nodeName"]), text(&pod["status"]["phase"]));
            objects.insert(format!("Pod {}/{}", key.namespace, key.name), said);
        }
        for (key, node) in all(Kind::Node) {
            let taints = node["spec"]["taints"].as_array().map_or(0, Vec::len);
            let ready = condition(&node, "Ready") == "True";
            objects.insert(format!("Node {}", key.name), format!("{ready} {taints}"));
        }
        for (key, set) in all(Kind::ReplicaSet).chain(all(Kind::Deployment)) {
            let status = &set["status"];
            let [ready, available] = [&status["readyReplicas"], &status["availableReplicas"]].map(int);
            let said = format!("{} {ready} {available}", int(&set["spec"]["replicas"]));
            objects.insert(format!("{} {}/{}", key.kind.name(), key.namespace, key.name), said);
        }
        for (key, _) in all(Kind::Service) {
            let slices = all(Kind::EndpointSlice).filter(|(slice, _)| slice.namespace == key.namespace);
            let slices = slices.filter(|(_, s)| s["metadata"]["labels"]["kubernetes.io/service-name"] == *key.name);
            let ends = slices.flat_map(|(_, slice)| slice["endpoints"].as_array().cloned().unwrap_or_default());
            let ready = ends.filter(|end| end["conditions"]["ready"] == true).count();
            objects.insert(format!("Service {}/{}", key.namespace, key.name), ready.to_string());
        }
        objects
    }

    /// The same, as a recording has it.
    fn recorded(picture: &Picture) -> BTreeMap<String, String> {
        let mut objects = BTreeMap::new();
        for (_, subject, state) in picture.all() {
            let text = |field: &str| state.get(field).and_then(Value::as_str).unwrap_or_default();
            let int = |field: &str| state.get(field).and_then(Value::as_i64).unwrap_or_default();
            let ready = state.get("ready") == Some(&Value::Bool(true));
            let name = format!("{} {}/{}", subject.kind, subject.namespace, subject.name);
            match subject.kind.as_str() {
                "Pod" => {
                    let node = state.get("node").and_then(Value::as_u64);
                    let node = node.map_or("", |node| &picture.subjects[node as usize].name);
                    objects.insert(name, format!("{node} {} {ready}", text("phase")));
                }
                "Node" => {
                    let taints = state.get("taints").and_then(Value::as_array).map_or(0, Vec::len);
                    objects.insert(format!("Node {}", subject.name), format!("{ready} {taints}"));
                }
                "ReplicaSet" | "Deployment" => {
                    let said = format!("{} {} {}", int("want"), int("ready"), int("available"));
                    objects.insert(name, said);
                }
                "Service" => _ = objects.insert(name, int("endpoints").to_string()),
                _ => {}
            }
        }
        objects
    }

    #[test]
    fn every_golden_timeline_has_a_recording_that_ends_as_its_cluster_does() {
        let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
        let schema = jsonschema::validator_for(&schema).expect("the schema is one");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
        let folders = |path: &Path| -> BTreeSet<PathBuf> {
            let entries = path.read_dir().expect("a folder").flatten().map(|entry| entry.path());
            entries.filter(|path| path.is_dir()).collect()
        };
        let exercises = folders(&root).into_iter().flat_map(|chapter| folders(&chapter));
        let (mut played, mut again) = (0, BTreeSet::new());
        for folder in exercises.filter(|folder| !files(folder, "yaml").is_empty()) {
            for scenario in Scenario::load_all(&folder).expect("good scenarios") {
                let Script::Timeline(timeline) = &scenario.script else { continue };
                let name = scenario.path.display();
                let modules = solutions::modules();
                let record = || {
                    let mut recorder = Recorder::new(&scenario.name, &scenario.why);
                    let (mut play, _) =
                        Play::recorded(timeline, &modules, Clock::default(), Some(&mut recorder)).expect("it starts");
                    while play.step().expect("it goes on").is_some() {}
                    let end = objects(play.engine());
                    drop(play);
                    (recorder.finish(), end)
                };
                let (one, end) = record();
                assert_eq!(recorded(&Picture::at(&one, i64::MAX)), end, "{name}");
                let value = serde_json::to_value(&one).expect("a recording is JSON");
                let wrong: Vec<_> =
                    schema.iter_errors(&value).take(3).map(|e| format!("{}: {e}", e.instance_path())).collect();
                assert!(wrong.is_empty(), "{name}: {wrong:#?}");
                // One of each exercise, since it takes a while.
                if again.insert(folder.clone()) {
                    let [one, two] = [one, record().0].map(|recording| json(&[recording], &[], None).expect("JSON"));
                    assert!(one == two, "{name}: two plays give two recordings");
                }
                played += 1;
            }
        }
        assert!(played > 40, "only {played} timelines");
    }

    fn seen(asked: &str, answer: &[&str]) -> Seen {
        Seen { say: None, asked: vec![asked.into()], answer: answer.iter().map(|line| line.to_string()).collect() }
    }

    #[test]
    fn two_transcripts_part_in_the_first_second_that_is_not_the_same() {
        let begin = seen("t=0s     begin", &["t=0s     web: 1"]);
        let run = |answer: &[&str]| [begin.clone(), seen("t=5s     run 60s", answer)];
        let all = run(&["t=7s     web: 2", "t=65s    web: 3", "t=65s    api: 3", "t=66s    web: 4"]);
        assert_eq!(parts(&all, &all), None);
        type Case = (&'static [&'static str], i64, &'static [&'static str], &'static [&'static str]);
        let cases: [Case; 3] = [
            (
                &["t=7s     web: 2", "t=65s    web: 9"],
                65_000,
                &["t=65s    web: 3", "t=65s    api: 3"],
                &["t=65s    web: 9"],
            ),
            (&["t=7s     web: 2", "t=1m0s   web: 9"], 60_000, &[], &["t=1m0s   web: 9"]),
            (&["nothing changes"], 7_000, &["t=7s     web: 2"], &["nothing changes"]),
        ];
        for (yours, t, expected, shown) in cases {
            let parts = parts(&all, &run(yours)).expect("they part");
            let lines = |lines: &[String]| lines.join("\n");
            assert_eq!(
                (parts.t, lines(&parts.expected), lines(&parts.yours)),
                (t, expected.join("\n"), shown.join("\n"))
            );
        }
        let lost = parts(&all, &all[..1]).expect("they part");
        assert_eq!((lost.t, &*lost.expected[0]), (5_000, "t=5s     run 60s"));
    }
}
