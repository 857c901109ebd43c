//! Requests and responses recorded from a real API server, played through the door of the cluster's own.
//!
//! A case is a sequence of steps. What it finds already there isn't in the recording; [`world`] puts it there before
//! the first step. What differs between two servers by nature (uids, versions, times, random names) is compared by
//! [`matching`]: the same placeholder stands for the same value in all of a case.

mod matching;
mod world;

use self::matching::Bindings;
use super::Check;
use kit_api::jiff::Timestamp;
use kit_server::{Body, Request, Response, Server};
use kit_time::agenda::Instant;
use kit_time::random::Random;
use serde_json::{Value, json};
use std::sync::Arc;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    match table {
        "api_defaulting" | "api_validation" | "api_semantics" | "api_watch" => Some(play),
        _ => None,
    }
}

/// When the virtual clock of these cases begins.
const EPOCH: i64 = 1_750_000_000;

/// A server with the client that plays a case on it.
struct Session {
    server: Server,
    steps: i64,
    /// The version before the first step.
    begin: i64,
    /// The token of the last page.
    next: String,
    bindings: Bindings,
}

fn play(case: &Value) -> Result<(), String> {
    let modules = solutions::modules();
    let epoch = Timestamp::from_second(EPOCH).map_err(|e| e.to_string())?;
    let server = Server::new(modules.store.make(&()), &modules, Random::new(1), epoch);
    let mut session =
        Session { server, steps: 0, begin: 0, next: String::new(), bindings: Bindings::new(has_managers(case)) };
    let steps = case["steps"].as_array().ok_or("a case has steps")?;
    world::prepare(&mut session, steps);
    session.begin = session.server.snapshot().revision;
    for (index, step) in steps.iter().enumerate() {
        let request = &step["request"];
        let at = || {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
            format!("{} [{index}] {} {}", text(&case["name"]), text(&request["method"]), text(&request["path"]))
        };
        let answer = session.send(request);
        session.compare(request, &step["response"], &answer).map_err(|why| format!("{}: {why}", at()))?;
    }
    Ok(())
}

/// Who owns which field was recorded only where it is what the case is about.
fn has_managers(case: &Value) -> bool {
    case.to_string().contains("\"fieldsV1\"")
}

/// What came back, with what can be compared of it.
struct Answer {
    code: u16,
    body: Value,
    warnings: Vec<String>,
    events: Option<Vec<Value>>,
}

impl Session {
    fn send(&mut self, request: &Value) -> Answer {
        self.steps += 1;
        self.server.enter(Instant::millis(self.steps * 10), &Arc::from("conformance"));
        let path = request["path"].as_str().unwrap_or_default();
        let path = path.replace("<before the writes>", &self.begin.to_string());
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let query: Vec<String> = query.split('&').map(|pair| self.page(pair)).collect();
        let media = request["contentType"].as_str().unwrap_or("application/json");
        let mut headers = vec![("Content-Type", media)];
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            headers.push((name, value.as_str().unwrap_or_default()));
        }
        let body = match (&request["rawBody"], &request["body"]) {
            (Value::String(text), _) => text.clone(),
            (_, Value::Null) => String::new(),
            (_, body) => self.bindings.fill(body).to_string(),
        };
        let answer = self.server.request(&Request {
            method: request["method"].as_str().unwrap_or_default(),
            path,
            query: &query.join("&"),
            headers: &headers,
            body: body.as_bytes(),
            user: None,
        });
        let answer = self.read(answer);
        if let Some(token) = answer.body.pointer("/metadata/continue").and_then(Value::as_str) {
            self.next = token.into();
        }
        answer
    }

    /// A token of the recorded server means nothing to this one; the last one that it gave does.
    fn page(&self, pair: &str) -> String {
        match pair.strip_prefix("continue=") {
            Some(token) if token.starts_with("eyJ") && !self.next.is_empty() => format!("continue={}", self.next),
            _ => pair.to_string(),
        }
    }

    fn read(&self, answer: Response) -> Answer {
        let Response { code, warnings, body, .. } = answer;
        match body {
            Body::Text(text) => {
                let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
                Answer { code, body, warnings, events: None }
            }
            Body::Watch(mut watch) => {
                let events = self.server.events(&mut watch);
                Answer { code, body: Value::Null, warnings, events: Some(events) }
            }
            Body::List(_) | Body::Connect(_) => Answer { code, body: Value::Null, warnings, events: None },
        }
    }

    fn compare(&mut self, request: &Value, expected: &Value, answer: &Answer) -> Result<(), String> {
        let code = expected["code"].as_u64().unwrap_or_default();
        let shown = || if answer.events.is_some() { json!(answer.events) } else { answer.body.clone() };
        if code != u64::from(answer.code) {
            return Err(format!("code: expected {code}, got {} · {}", answer.code, shown()));
        }
        let generated = request["body"]["metadata"]["generateName"].as_str().unwrap_or_default();
        self.bindings.generated(generated);
        if let Some(events) = expected["events"].as_array() {
            let got = answer.events.clone().unwrap_or_else(|| vec![answer.body.clone()]);
            return self.bindings.check("events", &Value::Array(events.clone()), &Value::Array(got));
        }
        self.bindings.check("body", &expected["body"], &answer.body)?;
        let warned: Vec<String> = answer.warnings.iter().map(|text| format!("299 - {text:?}")).collect();
        match expected["warning"].as_str() {
            Some(text) if text != warned.join(", ") => Err(format!("warning: expected {text}, got {warned:?}")),
            _ => Ok(()),
        }
    }
}
