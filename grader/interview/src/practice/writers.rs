//! One client among others, as `control_plane/concurrency` plays it at a real API server. Which requests the client prefers
//! is open; how the object looks in the end is not, and so that is asked.

use super::reference::quietly;
use kit_contract::flow;
use kit_stages::control_plane::concurrency::{self, Script};
use serde_json::Value;

/// How it may end, as far as the client goes.
pub const OUTCOMES: [&str; 4] = ["done", "gave up: conflict", "gave up: changed", "gave up: not_found"];

/// How it ends: the outcome, and the parts of the object that somebody wrote. None if it can't be played.
pub fn end(script: &Value) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    quietly(|| {
        let script: Script = serde_json::from_value(script.clone()).ok()?;
        let modules = solutions::modules();
        concurrency::play(&script, &modules, &modules, &mut |_, seen| lines.extend(seen)).ok()
    })?;
    let text = [&script["client"], &script["unseen"], &script["others"], &script["object"]].map(flow).concat();
    let about: [(&str, &[&str]); 6] = [
        ("/metadata/annotations", &["annotation", "increment"]),
        ("/metadata/finalizers", &["inalizer"]),
        ("/metadata/labels", &["labels"]),
        ("/spec/replicas", &["replicas", "scale"]),
        ("/spec/minReadySeconds", &["minReadySeconds"]),
        ("/status/conditions", &["ondition"]),
    ];
    let image = ("/spec/template/spec/containers", ["image", "containers"].as_slice());
    let shown = lines.into_iter().filter_map(|line| {
        if line.starts_with("in at most ") {
            return None;
        }
        let Some((pointer, value)) = line.split_once("  ").filter(|(pointer, _)| pointer.starts_with('/')) else {
            return Some(line);
        };
        let known = about.iter().chain([&image]).find(|(known, _)| *known == pointer);
        let named = known.is_none_or(|(_, words)| words.iter().any(|word| text.contains(word)));
        let name = pointer.rsplit('/').next().unwrap_or(pointer);
        named.then(|| format!("{name} {value}"))
    });
    Some(shown.collect())
}

/// What is told before the question.
pub fn told(script: &Value) -> Vec<(String, Vec<String>)> {
    let all = |what: &str| -> Vec<String> { script[what].as_array().into_iter().flatten().map(flow).collect() };
    let mut told = vec![("the object".to_string(), vec![flow(&script["object"])])];
    let mut tell = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            told.push((title.into(), lines));
        }
    };
    tell("not in the cache", all("unseen"));
    tell("the client is to", vec![flow(&script["client"])]);
    tell("before its writes", all("others"));
    told
}
