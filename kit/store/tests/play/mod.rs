//! Plays stories to a store and writes down what it answers.

use kit_store::api::*;
use kit_store::{Kv, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// One story: a file of the suite.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    #[serde(skip)]
    pub name: String,
    pub why: String,
    pub steps: Vec<Step>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    Range(RangeRequest),
    Put(PutRequest),
    DeleteRange(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact(i64),
    LeaseGrant {
        id: i64,
        ttl: i64,
    },
    LeaseRevoke(i64),
    LeaseKeepAlive(i64),
    LeaseTimeToLive {
        id: i64,
        #[serde(default)]
        keys: bool,
    },
    Leases {},
    Watch(WatchRequest),
    Cancel(i64),
    Progress {},
    /// What the watches heard since the last time.
    Events {},
    /// Seconds.
    Wait(f64),
}

/// All stories, by name.
pub fn stories() -> Vec<Story> {
    let mut stories: Vec<Story> = std::fs::read_dir(folder())
        .expect("the suite's folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).expect("a story");
            // By way of JSON, where an operation is an object with one field.
            let json: serde_json::Value = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            let story: Story = serde_json::from_value(json).unwrap_or_else(|e| panic!("{name}: {e}"));
            Story { name, ..story }
        })
        .collect();
    stories.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(stories.len() >= 25, "the suite is incomplete");
    stories
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../store/tests/suite"))
}

impl Story {
    /// Where the answers are that etcd gave.
    pub fn golden(&self) -> PathBuf {
        folder().join(format!("{}.golden", self.name))
    }

    /// The answers that etcd gave.
    pub fn expected(&self) -> String {
        std::fs::read_to_string(self.golden()).unwrap_or_else(|e| panic!("{}: {e}", self.golden().display()))
    }

    /// Plays the story. A store that answers in its own time gets as long as `patience` to tell its watches what is expected.
    pub fn play(&self, store: &mut dyn Kv, expected: Option<&str>, patience: Duration) -> String {
        let mut transcript = format!("# {}\n", self.why);
        for step in self.steps.iter().chain(&[Step::Events {}]) {
            _ = writeln!(transcript, "{}", kit_contract::flow(step));
            let answer = match step {
                Step::Events {} => events(store, patience, |answer| {
                    let so_far = format!("{transcript}{}", indented(answer));
                    // What follows the events is the next question, or nothing.
                    expected.and_then(|all| all.strip_prefix(&so_far)).is_some_and(|rest| !rest.starts_with(' '))
                }),
                step => ask(store, step).unwrap_or_else(|e| vec![e.to_string()]),
            };
            transcript += &indented(&answer);
        }
        transcript
    }
}

fn indented(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |text, line| text + "  " + line + "\n")
}

/// Polls until the answer is the expected one, or no longer than patience allows.
fn events(store: &mut dyn Kv, patience: Duration, expected: impl Fn(&[String]) -> bool) -> Vec<String> {
    let begun = Instant::now();
    let mut heard: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    loop {
        for response in store.poll().unwrap_or_else(|e| panic!("{e}")) {
            let lines = heard.entry(response.watch_id).or_default();
            for line in show_response(&response) {
                // How often a watch is told how far it is depends on the clock.
                if lines.last() != Some(&line) {
                    lines.push(line);
                }
            }
        }
        let named =
            heard.iter().flat_map(|(watch, lines)| lines.iter().map(move |line| format!("watch {watch} {line}")));
        let answer: Vec<String> = named.collect();
        let enough = if answer.is_empty() { SILENCE.min(patience) } else { patience };
        if begun.elapsed() >= enough || (!answer.is_empty() && expected(&answer)) {
            return answer;
        }
    }
}

/// After so long a real server has nothing more to say: watches that are behind are looked after every 100 ms.
const SILENCE: Duration = Duration::from_millis(300);

fn ask(store: &mut dyn Kv, step: &Step) -> Result<Vec<String>> {
    Ok(match step {
        Step::Range(request) => show_range(&store.range(request)?),
        Step::Put(request) => show_put(&store.put(request)?),
        Step::DeleteRange(request) => show_delete(&store.delete_range(request)?),
        Step::Txn(request) => show_txn(&store.txn(request)?),
        Step::Compact(revision) => vec![format!("revision {}", store.compact(*revision)?)],
        Step::LeaseGrant { id, ttl } => {
            let (id, ttl) = store.lease_grant(*id, *ttl)?;
            vec![format!("lease {id} for {ttl} s")]
        }
        Step::LeaseRevoke(id) => store.lease_revoke(*id).map(|()| vec!["revoked".to_string()])?,
        Step::LeaseKeepAlive(id) => vec![format!("{} s", store.lease_keep_alive(*id)?)],
        Step::LeaseTimeToLive { id, keys } => {
            let LeaseStatus { ttl, granted_ttl, keys } = store.lease_time_to_live(*id, *keys)?;
            // What is left depends on the clock.
            let ttl = if ttl < 0 { ttl.to_string() } else { "some".into() };
            vec![format!("{ttl} of {granted_ttl} s, keys {}", kit_contract::flow(&keys))]
        }
        Step::Leases {} => vec![format!("{:?}", store.leases()?)],
        Step::Watch(request) => {
            let WatchCreated { watch_id, revision, cancel_reason } = store.watch(request)?;
            let reason = cancel_reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            vec![format!("watch {watch_id} at revision {revision}{reason}")]
        }
        Step::Cancel(id) => vec![if store.cancel(*id)? { "cancelled" } else { "no such watch" }.to_string()],
        Step::Progress {} => store.request_progress().map(|()| Vec::new())?,
        Step::Events {} => unreachable!("is asked elsewhere"),
        Step::Wait(seconds) => store.pass(Duration::from_secs_f64(*seconds)).map(|()| Vec::new())?,
    })
}

fn show_kv(kv: &KeyValue) -> String {
    let KeyValue { key, value, create_revision, mod_revision, version, lease } = kv;
    let lease = if *lease == 0 { String::new() } else { format!(", lease {lease}") };
    let (key, value) = (kit_contract::flow(key), kit_contract::flow(value));
    format!("{key} = {value}  (created {create_revision}, modified {mod_revision}, version {version}{lease})")
}

fn show_range(answer: &RangeResponse) -> Vec<String> {
    let more = if answer.more { ", and there are more" } else { "" };
    let mut lines = vec![format!("revision {}, {} in all{more}", answer.revision, answer.count)];
    lines.extend(answer.kvs.iter().map(show_kv));
    lines
}

fn show_put(answer: &PutResponse) -> Vec<String> {
    let mut lines = vec![format!("revision {}", answer.revision)];
    lines.extend(answer.prev_kv.iter().map(|kv| format!("replaced {}", show_kv(kv))));
    lines
}

fn show_delete(answer: &DeleteRangeResponse) -> Vec<String> {
    let mut lines = vec![format!("revision {}, {} deleted", answer.revision, answer.deleted)];
    lines.extend(answer.prev_kvs.iter().map(|kv| format!("deleted {}", show_kv(kv))));
    lines
}

fn show_txn(answer: &TxnResponse) -> Vec<String> {
    let which = if answer.succeeded { "success" } else { "failure" };
    let mut lines = vec![format!("revision {}, {which}", answer.revision)];
    for response in &answer.responses {
        let of = match response {
            OpResponse::Range(answer) => show_range(answer),
            OpResponse::Put(answer) => show_put(answer),
            OpResponse::DeleteRange(answer) => show_delete(answer),
            OpResponse::Txn(answer) => show_txn(answer),
        };
        lines.extend(of.iter().enumerate().map(|(i, line)| format!("{} {line}", if i == 0 { "-" } else { " " })));
    }
    lines
}

fn show_response(response: &WatchResponse) -> Vec<String> {
    if response.compact_revision != 0 {
        return vec![format!("is cancelled: history begins at revision {}", response.compact_revision)];
    }
    if response.canceled {
        return vec!["is cancelled".into()];
    }
    if response.events.is_empty() {
        return vec![format!("knows everything up to revision {}", response.revision)];
    }
    let events = response.events.iter().map(|event| {
        let was = event.prev_kv.as_ref().map(|kv| format!(", was {}", show_kv(kv))).unwrap_or_default();
        match event.kind {
            EventKind::Put => format!("put {}{was}", show_kv(&event.kv)),
            EventKind::Delete => format!("delete {}{was}", show_kv(&event.kv)),
        }
    });
    events.collect()
}
