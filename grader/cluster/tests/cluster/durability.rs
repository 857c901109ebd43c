//! `cluster up --data-dir`: killed in the middle of writes, it comes back with all that it acknowledged.

use crate::client::{Client, Cluster};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const ROUNDS: u64 = 5;
const WRITERS: usize = 2;
/// Names that one writer uses, again and again.
const NAMES: u64 = 7;
const PATIENCE: Duration = Duration::from_secs(60);

/// What a writer knows of an object: the last acknowledged state, and what may have happened since.
#[derive(Debug, Default, Clone)]
struct Known {
    /// Resource version and value; none if it was deleted or never made.
    there: Option<(i64, u64)>,
    /// What was asked for and not answered.
    asked: Option<Option<u64>>,
}

fn name(of: &str) -> String {
    format!("{of}-{}", std::process::id())
}

fn data(folder: &Path) -> [&str; 4] {
    ["--nodes", "1", "--data-dir", folder.to_str().expect("a plain path")]
}

fn version(object: &Value) -> i64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).expect("a resource version")
}

fn value(object: &Value) -> u64 {
    object["data"]["value"].as_str().and_then(|text| text.parse().ok()).expect("a value")
}

/// Creates, replaces and deletes objects until the server is gone: how many writes were acknowledged, and their revisions in
/// the order of the answers.
fn write(
    client: &mut Client,
    (writer, round): (usize, u64),
    known: &mut BTreeMap<String, Known>,
    acknowledged: &AtomicU64,
) -> Vec<i64> {
    let mut revisions = Vec::new();
    for number in 0.. {
        let name = format!("w{writer}-{}", number % NAMES);
        let state = known.entry(name.clone()).or_default();
        let wanted = round * 1_000_000 + number;
        let deletes = state.there.is_some() && number % 3 == 0;
        let map = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": {"value": wanted.to_string()}});
        state.asked = Some((!deletes).then_some(wanted));
        let answer = match (&state.there, deletes) {
            (_, true) => client.ask("DELETE", &format!("{MAPS}/{name}"), &Value::Null),
            (Some(_), false) => client.ask("PUT", &format!("{MAPS}/{name}"), &map),
            (None, false) => client.ask("POST", MAPS, &map),
        };
        let Some((code, answer)) = answer else { return revisions };
        assert!(code == 200 || code == 201, "{name}: {code} {answer}");
        acknowledged.fetch_add(1, Ordering::Relaxed);
        state.asked = None;
        state.there = (!deletes).then(|| (version(&answer), wanted));
        if !deletes {
            revisions.push(version(&answer));
        }
    }
    revisions
}

#[test]
fn what_was_acknowledged_survives_a_kill_in_the_middle_of_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut known: Vec<BTreeMap<String, Known>> = vec![BTreeMap::new(); WRITERS];
    let mut newest = 0;
    let mut first = None;
    let mut uids = BTreeSet::new();
    for round in 0..=ROUNDS {
        let mut cluster = Cluster::up(&name("durability"), &[&data(folder.path())[..], &["--seed", "7"]].concat());
        // The kubeconfig of the first start is good for all of them.
        let config = first.get_or_insert_with(|| cluster.kubeconfig()).clone();
        let mut client = Client::connect(&config);
        let (code, list) = client.ask("GET", MAPS, &Value::Null).expect("an answer");
        assert_eq!(code, 200, "{list}");
        assert!(version(&list) >= newest, "round {round}: revision {} after {newest}", version(&list));
        let there: BTreeMap<String, &Value> = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|map| (map["metadata"]["name"].as_str().unwrap_or_default().to_string(), map))
            .collect();
        for (name, state) in known.iter_mut().flatten() {
            let now = there.get(name).map(|map| (version(map), value(map)));
            let acknowledged = now.map(|(_, value)| value) == state.there.map(|(_, value)| value);
            let asked = state.asked == Some(now.map(|(_, value)| value));
            assert!(acknowledged || asked, "round {round}, {name}: {now:?} is neither of {state:?}");
            if let (Some((now, _)), Some((before, _))) = (now, state.there) {
                assert!(now >= before, "round {round}, {name}: {now} after {before}");
            }
            *state = Known { there: now, asked: None };
        }
        // Names and uids are drawn anew, though the seed is the same.
        let drawn = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"generateName": "drawn-"}});
        let (code, drawn) = client.ask("POST", MAPS, &drawn).expect("an answer");
        assert_eq!(code, 201, "{drawn}");
        assert!(version(&drawn) > newest, "round {round}: {} after {newest}", version(&drawn));
        assert!(uids.insert(drawn["metadata"]["uid"].to_string()), "round {round}: {drawn}");
        newest = version(&drawn);
        if round == ROUNDS {
            break;
        }
        let acknowledged = Arc::new(AtomicU64::new(0));
        let writers: Vec<_> = known
            .drain(..)
            .enumerate()
            .map(|(writer, mut known)| {
                let (mut client, acknowledged) = (Client::connect(&config), acknowledged.clone());
                std::thread::spawn(move || (write(&mut client, (writer, round), &mut known, &acknowledged), known))
            })
            .collect();
        let begun = Instant::now();
        while acknowledged.load(Ordering::Relaxed) < 20 + 7 * round {
            assert!(begun.elapsed() < PATIENCE, "round {round}: nothing is acknowledged any more");
            std::thread::sleep(Duration::from_millis(1));
        }
        cluster.kill();
        for writer in writers {
            let (revisions, state) = writer.join().expect("a writer");
            assert!(revisions.is_sorted_by(|a, b| a < b), "round {round}: {revisions:?}");
            newest = newest.max(revisions.last().copied().unwrap_or(0));
            known.push(state);
        }
    }
}

#[test]
fn one_cluster_at_a_time_uses_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = Cluster::up(&name("folder"), &data(folder.path()));
    let other = Cluster::command(&name("other"), &data(folder.path())).output();
    let other = other.expect("it runs");
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert_eq!(other.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("is in use by another cluster (process {})", one.pid())), "{said}");
}
