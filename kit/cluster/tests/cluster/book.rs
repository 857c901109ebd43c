//! What the book shows of clusters beside the scenarios of exercises: each `tests/book/FOLDER/NAME.yaml` is a timeline, and its
//! transcript lies beside it, as a page includes it. `UPDATE=1 cargo test -p kit-cluster --test cluster book` writes them anew.

use kit_cluster::engine::Clock;
use kit_cluster::timeline::{Play, Timeline};
use std::path::{Path, PathBuf};

/// Longer lines don't fit on a page.
const LONG: usize = 100;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.sort();
    paths
}

/// What happens, without what was there when the clock began, and without what comes with every pod.
fn transcript(timeline: &Timeline) -> String {
    let modules = solutions::modules();
    let (mut play, _) = Play::start(timeline, &modules, Clock::default()).expect("it starts");
    let mut lines = Vec::new();
    while let Some((step, seen)) = play.step().expect("it goes on") {
        // A pod whole is longer than what becomes of it.
        let step = if step.len() > LONG { format!("{} …", &step[..LONG]) } else { step };
        lines.extend(Some(step).filter(|step| !step.contains(" run ")));
        lines.extend(seen);
    }
    let usual = [" Scheduled:", " SuccessfulCreate:", " SuccessfulDelete:", " ScalingReplicaSet:"];
    let is_usual = |line: &str| usual.iter().any(|reason| line.contains(reason)) || line.ends_with(" Started: 1");
    lines.retain(|line: &String| !line.contains("event ") || !is_usual(line));
    lines.join("\n") + "\n"
}

#[test]
fn the_book_shows_what_happens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/book");
    let mut stale = Vec::new();
    for path in files(&folder).iter().flat_map(|folder| files(folder)) {
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("it can be read");
        // Steps are written as maps, and not as YAML's tags.
        let value: serde_json::Value = serde_yaml::from_str(&text).expect("it is YAML");
        let timeline = serde_json::from_value(value).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        let (said, golden) = (transcript(&timeline), path.with_extension("golden"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&golden, &said).expect("the file can be written");
        }
        if std::fs::read_to_string(&golden).unwrap_or_default() != said {
            stale.push(format!("{}: {said}", golden.display()));
        }
    }
    assert!(stale.is_empty(), "out of date, UPDATE=1 writes them:\n{}", stale.join("\n"));
}
