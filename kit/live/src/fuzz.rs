//! Everything that reads what clients send, fed with what real clients sent and what chance makes of it.
//!
//! Requests recorded from a real control plane are changed here and there: their paths, queries, headers and bodies, as text
//! and as trees; protobuf as bytes. Whatever comes of it, the server answers and doesn't grow. A few seconds in each run;
//! `KIT_FUZZ_SECONDS` asks for more, and `KIT_FUZZ_SEED` for another beginning.

use crate::protobuf;
use crate::protobuf::tests::CAPTURED;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kit_server::{Body, Request, RequestInfo, Server};
use kit_time::random::Random;
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// How many requests one server gets: then it begins anew, so that the last ones are enough to see what happened.
const ROUND: usize = 400;
/// How much more memory a whole run may hold than its first round did.
const GROWTH: usize = 512 << 20;
/// The longest body: mutations make longer ones of each other.
const LONGEST: usize = 64 << 10;

const MEDIA: [&str; 9] = [
    "application/json",
    "application/yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/vnd.kubernetes.protobuf",
    "",
    "a/b; c=d",
];
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
const ACCEPT: [&str; 5] = [
    "application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/yaml",
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
];
/// What is put into paths, queries and texts.
const WORDS: [&str; 42] = [
    "",
    "/",
    "%",
    "%2",
    "%00",
    "%ff",
    "..",
    "*",
    "=",
    "==",
    "!=",
    "!",
    ",",
    "(",
    ")",
    " in ",
    " notin (a,b)",
    "a=b,c!=d",
    "\u{0}",
    "\u{1f600}",
    "é",
    "-1",
    "0",
    "9223372036854775808",
    "1e400",
    "null",
    "[",
    "{",
    "\"",
    "\\u0000",
    "$patch",
    "~1",
    "~0",
    "~2",
    "-",
    "spec",
    "metadata.name=",
    "status.phase!=",
    "namespaces",
    "watch",
    "true",
    "&limit=1&continue=",
];
const QUERIES: [&str; 16] = [
    "labelSelector=app%3Dweb",
    "labelSelector=a+in+(b,c),!d",
    "fieldSelector=metadata.name%3Da,metadata.namespace!%3Db",
    "fieldSelector=spec.nodeName%3Dn",
    "limit=1",
    "limit=1&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhXHUwMDAwIn0",
    "resourceVersion=1&resourceVersionMatch=Exact",
    "watch=1&resourceVersion=1&timeoutSeconds=1",
    "watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
    "dryRun=All",
    "fieldManager=me&force=true",
    "fieldValidation=Strict",
    "gracePeriodSeconds=0&propagationPolicy=Foreground",
    "orphanDependents=true",
    "pretty=true",
    "exclude=etcd&verbose",
];

/// A source of chance that goes on and on.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// A request as it is sent.
#[derive(Debug, Clone)]
struct Sample {
    method: String,
    path: String,
    query: String,
    media: String,
    accept: String,
    body: Vec<u8>,
}

/// The requests of the recordings.
fn samples() -> Vec<Sample> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance/apiserver");
    let mut samples = Vec::new();
    for name in ["semantics", "defaulting", "validation_errors", "watch"] {
        let text = std::fs::read_to_string(format!("{folder}/{name}.json")).expect("a recording");
        let table: Value = serde_json::from_str(&text).expect("JSON");
        let steps = table["cases"].as_array().expect("cases").iter().flat_map(|case| case["steps"].as_array());
        for request in steps.flatten().map(|step| &step["request"]) {
            let text = |field: &str| request[field].as_str().unwrap_or_default().to_string();
            let path = text("path");
            let (path, query) = path.split_once('?').unwrap_or((&path, ""));
            let body = match &request["body"] {
                Value::Null => text("rawBody"),
                Value::String(text) => text.clone(),
                body => body.to_string(),
            };
            samples.push(Sample {
                method: text("method"),
                path: path.into(),
                query: query.into(),
                media: text("contentType"),
                accept: String::new(),
                body: body.into(),
            });
        }
    }
    assert!(samples.len() > 300, "only {} samples", samples.len());
    samples
}

fn server(seed: u64) -> Server {
    let modules = solutions::modules();
    let store = modules.store.make(&());
    let epoch = kit_api::jiff::Timestamp::from_second(1_748_779_200).expect("a time");
    let mut server = Server::new(store, &modules, Random::new(seed), epoch);
    for name in ["sem", "shop", "watch"] {
        let body = json!({"metadata": {"name": name}}).to_string();
        server.request(&Request {
            method: "POST",
            path: "/api/v1/namespaces",
            body: body.as_bytes(),
            ..Request::default()
        });
    }
    server
}

/// Changes bytes: some are lost, doubled, replaced, or something else is put between them.
fn bytes(chance: &mut Chance, bytes: &mut Vec<u8>, other: &[u8]) {
    let (from, length) = (chance.below(bytes.len() + 1), 1 + chance.below(8));
    let to = (from + length).min(bytes.len());
    match chance.below(7) {
        0 => _ = bytes.drain(from..to),
        1 => bytes.splice(from..from, WORDS[chance.below(WORDS.len())].bytes().collect::<Vec<_>>()).for_each(drop),
        2 if from < bytes.len() => bytes[from] ^= 1 << chance.below(8),
        3 => {
            let part = bytes[from..to].repeat(1 + chance.below(40));
            bytes.splice(from..from, part).for_each(drop);
        }
        4 if !other.is_empty() => {
            let at = chance.below(other.len());
            let part = other[at..(at + chance.below(64)).min(other.len())].to_vec();
            bytes.splice(from..to, part).for_each(drop);
        }
        5 => bytes.truncate(from),
        // Deep, as nobody means it.
        _ => {
            let open = chance.one(&["[", "{\"a\":", "- ", "\n"]).repeat(chance.below(3000));
            bytes.splice(from..from, open.into_bytes()).for_each(drop);
        }
    }
    bytes.truncate(LONGEST);
}

fn text(chance: &mut Chance, text: &mut String, other: &str) {
    let mut changed = std::mem::take(text).into_bytes();
    bytes(chance, &mut changed, other.as_bytes());
    *text = String::from_utf8_lossy(&changed).into_owned();
}

/// Changes a tree: a part of it is lost, or becomes something of another kind.
fn tree(chance: &mut Chance, value: &mut Value, other: &Value) {
    let deeper = chance.below(5) > 0;
    match value {
        Value::Object(fields) if deeper && !fields.is_empty() => {
            let index = chance.below(fields.len());
            if let Some((_, field)) = fields.iter_mut().nth(index) {
                return tree(chance, field, other);
            }
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let index = chance.below(items.len());
            return tree(chance, &mut items[index], other);
        }
        Value::Array(items) if chance.below(2) == 0 => {
            let again = items.clone();
            return items.extend(again.into_iter().take(8));
        }
        _ => {}
    }
    *value = match chance.below(9) {
        0 => Value::Null,
        1 => json!(i64::MIN),
        2 => json!(u64::MAX),
        3 => json!(1.5e300),
        4 => json!({}),
        5 => json!([]),
        6 => json!([{}, null, [1]]),
        7 => json!(WORDS[chance.below(WORDS.len())]),
        _ => {
            let mut part = other;
            while let Some(inner) = part.as_object().filter(|fields| !fields.is_empty()) {
                let index = chance.below(inner.len());
                part = inner.values().nth(index).unwrap_or(&Value::Null);
                if chance.below(3) == 0 {
                    break;
                }
            }
            part.clone()
        }
    };
}

fn changed(chance: &mut Chance, samples: &[Sample]) -> Sample {
    let mut sample = samples[chance.below(samples.len())].clone();
    let other = &samples[chance.below(samples.len())];
    for _ in 0..=chance.below(3) {
        match chance.below(10) {
            0 => sample.method = chance.one(&METHODS).into(),
            1 => sample.path.clone_from(&other.path),
            2 => text(chance, &mut sample.path, &other.path),
            3 => {
                let more = chance.one(&QUERIES);
                sample.query = if sample.query.is_empty() { more.into() } else { format!("{}&{more}", sample.query) };
            }
            4 => text(chance, &mut sample.query, &other.query),
            5 => sample.media = chance.one(&MEDIA).into(),
            6 => bytes(chance, &mut sample.body, &other.body),
            7 => sample.accept = chance.one(&ACCEPT).into(),
            _ => {
                if let Ok(mut value) = serde_json::from_slice(&sample.body) {
                    let other = serde_json::from_slice(&other.body).unwrap_or_default();
                    tree(chance, &mut value, &other);
                    sample.body = value.to_string().into();
                }
            }
        }
    }
    sample
}

fn send(server: &mut Server, sample: &Sample) {
    RequestInfo::of(&sample.method, &sample.path, &sample.query);
    let headers = [("content-type", sample.media.as_str()), ("accept", sample.accept.as_str())];
    let answer = server.request(&Request {
        method: &sample.method,
        path: &sample.path,
        query: &sample.query,
        headers: &headers[..if sample.media.is_empty() { 0 } else { 2 }],
        body: &sample.body,
        user: None,
    });
    assert!((200..600).contains(&answer.code), "the code {}", answer.code);
    match answer.body {
        Body::Text(_) => {}
        Body::Watch(mut watch) => assert!(server.events(&mut watch).len() <= 10 * ROUND),
        // What a kubelet answers is another's.
        Body::List(_) | Body::Connect(_) => {}
    }
}

fn wanted(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// What this process holds, in bytes; 0 where the system doesn't say.
fn held() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()));
    pages.unwrap_or(0) * 4096
}

/// Runs rounds until time is up; each gets a chance of its own, so that one can be played again alone.
fn rounds(mut round: impl FnMut(u64)) {
    let (began, seed) = (Instant::now(), wanted("KIT_FUZZ_SEED", 1));
    let time = Duration::from_secs(wanted("KIT_FUZZ_SECONDS", 3));
    let mut before = 0;
    for seed in seed.. {
        round(seed);
        let now = held();
        before = if before == 0 { now } else { before };
        assert!(
            now < before + GROWTH,
            "it holds {now} bytes, and {before} after the first round (KIT_FUZZ_SEED={seed})"
        );
        if began.elapsed() > time {
            return;
        }
    }
}

#[test]
fn every_request_is_answered() {
    let samples = samples();
    rounds(|seed| {
        let (mut chance, mut server) = (Chance(seed), server(seed));
        for _ in 0..ROUND {
            let sample = changed(&mut chance, &samples);
            let done = catch_unwind(AssertUnwindSafe(|| send(&mut server, &sample)));
            assert!(done.is_ok(), "KIT_FUZZ_SEED={seed}: {sample:?}\n{}", String::from_utf8_lossy(&sample.body));
        }
    });
}

#[test]
fn every_protobuf_is_read_or_refused() {
    let bodies: Vec<Vec<u8>> =
        CAPTURED.iter().map(|(body, _)| STANDARD.decode(body.replace([' ', '\n'], "")).expect("base64")).collect();
    rounds(|seed| {
        let mut chance = Chance(seed);
        for _ in 0..ROUND {
            let mut body = bodies[chance.below(bodies.len())].clone();
            let other = bodies[chance.below(bodies.len())].clone();
            for _ in 0..=chance.below(4) {
                // The prefix stays most of the time, or nothing behind it would ever be read.
                let mut rest =
                    if chance.below(20) > 0 { body.split_off(4.min(body.len())) } else { std::mem::take(&mut body) };
                bytes(&mut chance, &mut rest, &other);
                body.extend(rest);
            }
            let done = catch_unwind(AssertUnwindSafe(|| protobuf::decode(&body).map(|value| value.to_string().len())));
            let shown = STANDARD.encode(&body);
            let read = done.unwrap_or_else(|_| panic!("KIT_FUZZ_SEED={seed}: {shown}"));
            // A message of two bytes may stand for some fields with their names, and for no more than that.
            assert!(read.unwrap_or(0) <= 4096 + 512 * body.len(), "KIT_FUZZ_SEED={seed}: {shown}");
        }
    });
}
