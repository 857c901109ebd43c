//! Fresh scenarios of `observability/logs`: parts of files in which two streams overlap, records with and without pods, and a node whose files are written,
//! renamed, compressed, truncated and removed while the sink fails now and then. Some agents begin after a crash. And a sink that fails for long.

use crate::fresh::{Generator, scenario, step};
use kit_contract::Slot;
use kit_contract::observability::LogAgent;
use kit_contract::observability::logs::{Answer, Config, File, Position, Step};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// The last ones hold what libraries take for the end of a line, or for blanks.
const CONTENTS: [&str; 13] = [
    "a",
    "b",
    "",
    "\tat x",
    "  y",
    "Caused by: z",
    "long é",
    "Exception",
    "at",
    "a stdout F b",
    "50%\r100%\r",
    "after ",
    "\u{feff}page\u{c}\u{2028}",
];
const TAGS: [&str; 8] = ["F", "F", "F", "P", "P", "P:x", "F:P", "p"];
const CONTINUATIONS: [&[&str]; 4] = [&[], &["\t", " "], &["\t", "Caused by:"], &["at"]];
const LOGS: [&str; 4] = [
    "/var/log/pods/shop_web-1_u1/app/9.log",
    "/var/log/pods/shop_web-1_u1/app/10.log",
    "/var/log/pods/shop_web-1_u1/proxy/0.log",
    "/var/log/pods/shop_api_u2/main/0.log",
];

/// A line of a file, with its line end.
fn line() -> impl Strategy<Value = String> {
    let stream = prop::bool::weighted(0.65).prop_map(|out| if out { "stdout" } else { "stderr" });
    let whole = (0..60_u8, stream, select(TAGS.to_vec()), select(CONTENTS.to_vec())).prop_map(
        |(second, stream, tag, content)| format!("2026-05-01T10:00:{second:02}.5Z {stream} {tag} {content}\n"),
    );
    let other = select(vec![
        "",
        "x",
        "2026-05-01T10:00:00Z stdin F a",
        "2026-05-01T10:00:00Z stdout F",
        " stdout  ",
        "2026-05-01T10:00:00Z  stdout F a",
        "2026-05-01T10:00:00Z\tstdout\tF\ta",
        // What a file system leaves behind that lost power.
        "\u{0}\u{0}2026-05-01T10:00:00Z stdout F a",
        "\u{feff}2026-05-01T10:00:00Z stdout F a",
    ]);
    prop_oneof![25 => whole, 1 => other.prop_map(|text| format!("{text}\n"))]
}

fn config() -> impl Strategy<Value = Config> {
    let continuation = prop_oneof![1 => Just(CONTINUATIONS[0]), 1 => select(CONTINUATIONS.to_vec())];
    let retry = select(vec![(1_000_i64, 60_000_i64), (1_000, 3_000), (2_000, 2_000), (500, 8_000)]);
    let sizes = (select(vec![3_usize, 1, 2, 5, 100]), select(vec![2_usize, 1, 3, 10]));
    (continuation, sizes, retry, select(vec![5_000_i64, 2_000])).prop_map(
        |(continuation, (buffer, batch), (retry_ms, retry_max_ms), quiet_ms)| Config {
            continuation: continuation.iter().map(ToString::to_string).collect(),
            quiet_ms,
            buffer,
            batch,
            retry_ms,
            retry_max_ms,
            positions: Vec::new(),
        },
    )
}

fn part() -> impl Strategy<Value = Value> {
    let lines = prop_oneof![12 => vec(line(), 0..7), 1 => vec(line(), 65..70)];
    (lines, option::weighted(0.15, line()), any::<bool>()).prop_map(|(lines, torn, is_quiet)| {
        let torn = torn.map_or(String::new(), |line| line.trim_end_matches('\n').to_string());
        step("cut", json!({"part": {"text": lines.concat() + &torn, "is_quiet": is_quiet}}))
    })
}

fn cuts() -> impl Strategy<Value = Value> {
    (config(), vec(part(), 1..4)).prop_map(|(config, parts)| scenario(json!({ "config": config }), parts))
}

fn asked_document() -> impl Strategy<Value = Value> {
    let folder = (select(vec!["shop", "pay"]), select(vec!["web-1", "web-0"]), select(vec!["u1", "u2"]));
    let container = (select(vec!["app", "proxy"]), 0..3_u8);
    let trace = select(vec![
        json!("4bf92f3577b34da6a3ce929d0e0e4736"),
        json!("4bf92f3577b34da6a3ce929d0e0e473"),
        json!("4bf92f3577b34da6a3ce929d0e0e47360"),
        json!("+bf92f3577b34da6a3ce929d0e0e4736"),
        json!("4BF92F3577B34DA6A3CE929D0E0E4736"),
        json!("00000000000000000000000000000000"),
        json!("0000000000000000000000000000000a"),
        json!("4bf92f3577b34da6a3ce929d0e0e473g"),
        json!(7),
        json!(null),
    ]);
    let text = prop_oneof![
        3 => select(vec!["plain", "", "[1]", "7", "null", "{", "{\"a\":1} x", "\"{}\"", "{}", "  {\"a\": {\"b\": [1]}} ", "{\"log\":\"x\",\"stream\":\"y\",\"n\":1.5}"])
            .prop_map(str::to_string),
        2 => trace.prop_map(|trace| json!({"level": "error", "trace_id": trace}).to_string()),
    ];
    let pod = (select(vec!["shop", "pay"]), select(vec!["web-1", "web-0"]), select(vec!["u1", "u2"]), 1..4_u8).prop_map(
        |(namespace, name, uid, number)| {
            json!({"namespace": namespace, "name": name, "uid": uid, "node": format!("node-{number}"), "labels": {"app": format!("v{number}")}})
        },
    );
    // Beyond 32 bits, and beyond what a double holds.
    let place = (select(vec![0_u64, 40, 4096, (1 << 33) + 1]), select(vec![1_u64, 7, (1 << 33) + 1, (1 << 53) + 1]));
    (folder, container, text, vec(pod, 0..5), any::<bool>(), place).prop_map(
        |((namespace, pod, uid), (container, run), text, mut pods, known, (place, inode))| {
            // One pod of a uid: who has the same uid is the same pod.
            let mut uids = vec![uid.to_string()];
            let mut keeps = |pod: &Value| {
                let uid = pod["uid"].as_str().unwrap_or_default().to_string();
                let is_new = !uids.contains(&uid);
                uids.push(uid);
                is_new
            };
            pods.retain(|pod| keeps(pod));
            if known {
                pods.push(json!({"namespace": namespace, "name": pod, "uid": uid, "node": "node-9", "labels": {"app": "own"}}));
            }
            let record = json!({"place": place, "time": "2026-05-01T10:00:00.5Z", "stream": "stdout", "text": text});
            let log = format!("/var/log/pods/{namespace}_{pod}_{uid}/{container}/{run}.log");
            step("document", json!({"entry": {"log": log, "inode": inode, "record": record}, "pods": pods}))
        },
    )
}

fn documents() -> impl Strategy<Value = Value> {
    vec(asked_document(), 1..4).prop_map(|steps| scenario(json!({"config": {}}), steps))
}

/// What happens to the files of a node.
#[derive(Debug, Clone)]
enum Change {
    Write(usize, String),
    /// The runtime still writes into what was renamed last.
    End(usize, String),
    Rename(usize),
    /// The oldest renamed file is compressed, or removed with all others of its log.
    Compress(usize),
    Remove(usize),
    Truncate(usize, usize),
}

/// Some lines, and now and then half of one.
fn written() -> impl Strategy<Value = String> {
    let half = |line: String| line.chars().take(line.len() / 2).collect::<String>();
    let torn = option::weighted(0.1, line().prop_map(half));
    (vec(line(), 1..4), torn).prop_map(|(lines, torn)| lines.concat() + &torn.unwrap_or_default())
}

fn change() -> impl Strategy<Value = Change> {
    let log = || prop_oneof![3 => Just(0_usize), 2 => 0..LOGS.len()];
    prop_oneof![
        6 => (log(), written()).prop_map(|(log, text)| Change::Write(log, text)),
        1 => (log(), written()).prop_map(|(log, text)| Change::End(log, text)),
        2 => log().prop_map(Change::Rename),
        1 => log().prop_map(Change::Compress),
        1 => log().prop_map(Change::Remove),
        1 => (log(), 0..2_usize).prop_map(|(log, lines)| Change::Truncate(log, lines)),
    ]
}

struct Node {
    files: Vec<File>,
    count: usize,
    /// The least inode.
    base: u64,
    /// Nothing is truncated or removed. Only then are there letters of several bytes, as otherwise a position from an old text could be in the middle
    /// of one in the new text.
    calm: bool,
}

impl Node {
    fn change(&mut self, change: &Change) {
        let named = |log: usize| move |file: &File| file.log == LOGS[log];
        let live = |log: usize| move |file: &File| file.log == LOGS[log] && file.rotated.is_none();
        let calm = self.calm;
        let said = |text: &str| text.chars().filter(|letter| calm || letter.is_ascii()).collect::<String>();
        match change {
            Change::Compress(_) | Change::Remove(_) | Change::Truncate(..) if calm => {}
            Change::Write(log, text) => {
                if !self.files.iter().any(live(*log)) {
                    // File systems give an inode again as soon as it is free, and the least one isn't the oldest.
                    let is_free = |inode: &u64| !self.files.iter().any(|file| file.inode == *inode);
                    let inode = (1..64).map(|number| self.base + number * 37 % 64).find(is_free).unwrap_or(0);
                    let file = File { log: LOGS[*log].into(), rotated: None, inode, text: String::new() };
                    // Whoever lists a folder sees it in no order.
                    self.count += 1;
                    self.files.insert(self.count % (self.files.len() + 1), file);
                }
                let file = self.files.iter_mut().find(|file| live(*log)(file));
                file.into_iter().for_each(|file| file.text += &said(text));
            }
            Change::End(log, text) => {
                let renamed = self.files.iter_mut().filter(|file| named(*log)(file) && file.rotated.is_some());
                let newest = renamed.max_by(|one, other| one.rotated.cmp(&other.rotated));
                newest.into_iter().for_each(|file| file.text += &said(text));
            }
            Change::Rename(log) => {
                self.count += 1;
                let time = format!("20260501-1000{:02}", self.count % 60);
                let file = self.files.iter_mut().find(|file| live(*log)(file));
                file.into_iter().for_each(|file| file.rotated = Some(time.clone()));
            }
            Change::Compress(log) => {
                let oldest =
                    self.files.iter().filter(|file| named(*log)(file)).filter_map(|file| file.rotated.clone()).min();
                self.files.retain(|file| !named(*log)(file) || file.rotated.is_none() || file.rotated != oldest);
            }
            Change::Remove(log) => self.files.retain(|file| !named(*log)(file)),
            Change::Truncate(log, lines) => {
                let file = self.files.iter_mut().find(|file| live(*log)(file));
                file.into_iter().for_each(|file| file.text = file.text.split_inclusive('\n').take(*lines).collect());
            }
        }
    }
}

/// One look: what happened before it, how long after the last one, and what becomes of requests that are under way meanwhile.
type Moment = (Vec<Change>, i64, Vec<bool>);

fn moments(most: usize) -> impl Strategy<Value = Vec<Moment>> {
    let after = select(vec![1_000_i64, 1_000, 500, 2_000, 5_000, 4_999]);
    let answers = prop_oneof![1 => Just(Vec::new()), 5 => vec(prop::bool::weighted(0.65), 1..3)];
    vec((vec(change(), 0..3), after, answers), 1..most)
}

/// Plays an agent on a node; what was stored is in `positions` then.
fn play(
    agent: &mut dyn LogAgent,
    (node, now): (&mut Node, &mut i64),
    moments: &[Moment],
    positions: &mut Vec<Position>,
) -> Vec<Value> {
    let (mut steps, mut under_way) = (Vec::new(), false);
    let mut heed = |said: Step, under_way: &mut bool| {
        *under_way |= said.send.is_some();
        for position in said.store {
            positions.retain(|known| known.log != position.log || known.inode != position.inode);
            positions.extend(position.offset.is_some().then_some(position));
        }
    };
    for (changes, after, answers) in moments {
        let parts = answers.len().max(1) as i64;
        for (part, accepted) in (1..).zip(answers) {
            if std::mem::take(&mut under_way) {
                let answer = if *accepted { Answer::Accepted } else { Answer::Failed };
                let then = *now + after * part / parts;
                steps.push(step("answered", json!({"answer": answer, "now_ms": then})));
                heed(agent.answered(&answer, then), &mut under_way);
            }
        }
        *now += after;
        changes.iter().for_each(|change| node.change(change));
        steps.push(step("look", json!({"files": node.files, "now_ms": *now})));
        heed(agent.look(&node.files, *now), &mut under_way);
    }
    steps
}

fn nodes(reference: Slot<dyn LogAgent>) -> impl Strategy<Value = Value> {
    let before = prop_oneof![1 => Just(Vec::new()), 1 => moments(6)];
    let base = select(vec![0_u64, 1 << 33, (1 << 60) + 1]);
    let begin = (base, prop::bool::weighted(0.3), select(vec![0_i64, 1_777_629_600_000]));
    (config(), begin, before, vec(change(), 0..3), moments(12)).prop_map(
        move |(mut config, (base, calm, mut now), before, meanwhile, moments)| {
            let mut node = Node { files: Vec::new(), count: 0, base, calm };
            let mut positions = Vec::new();
            play(&mut *reference.make(&config), (&mut node, &mut now), &before, &mut positions);
            // It crashed, and things went on without it.
            meanwhile.iter().for_each(|change| node.change(change));
            config.positions = positions.clone();
            let steps = play(&mut *reference.make(&config), (&mut node, &mut now), &moments, &mut positions);
            scenario(json!({ "config": config }), steps)
        },
    )
}

/// Requests that fail so many times in a row, and are accepted then; looks come right before each wait is over, and when it is. Longer rows, in which
/// numbers overflow, are for a timeline: nobody reads a history of seventy failures.
fn outages() -> impl Strategy<Value = Value> {
    (config(), select(vec![1_usize, 7]), select(vec![1_usize, 2])).prop_map(|(mut config, first, second)| {
        config.continuation = Vec::new();
        let (mut steps, mut now, mut text) = (Vec::new(), 0, String::new());
        for failures in [first, second] {
            text += "2026-05-01T10:00:00.5Z stdout F a\n";
            let file = File { log: LOGS[0].into(), rotated: None, inode: 7, text: text.clone() };
            let look = |now: i64| step("look", json!({"files": [&file], "now_ms": now}));
            steps.push(look(now));
            let mut wait = config.retry_ms;
            for _ in 0..failures {
                steps.push(step("answered", json!({"answer": Answer::Failed, "now_ms": now})));
                wait = wait.min(config.retry_max_ms);
                steps.extend([look(now + wait - 1), look(now + wait)]);
                now += wait;
                wait *= 2;
            }
            steps.push(step("answered", json!({"answer": Answer::Accepted, "now_ms": now})));
        }
        scenario(json!({ "config": config }), steps)
    })
}

/// Parts, documents, whole nodes, and outages.
pub fn fresh(reference: Slot<dyn LogAgent>) -> Generator {
    let told = |drawn: Generator, read: &'static str, why: &'static str| {
        let tell = move |mut drawn: Value| {
            (drawn["why"], drawn["read"]) = (why.into(), read.into());
            drawn
        };
        drawn.prop_map(tell).boxed()
    };
    let cuts =
        "Pieces and lines are joined as they are, each stream by itself, and a block ends only where nothing is open.";
    let documents =
        "The path says whose a record is, the API server what it knows of this pod, and the text its fields.";
    let nodes =
        "Each file is read in order to its end, whatever becomes of it, and what is stored is what was accepted.";
    let outages = "Each failure in a row doubles the wait, up to retry_max_ms and for as long as it takes; a success ends the row.";
    prop_oneof![
        12 => told(self::cuts().boxed(), "lines-and-pieces", cuts),
        8 => told(self::documents().boxed(), "what-a-document-says", documents),
        20 => told(self::nodes(reference).boxed(), "positions", nodes),
        2 => told(self::outages().boxed(), "retries", outages),
    ]
    .boxed()
}
