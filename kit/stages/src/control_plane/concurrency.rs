//! A client with one intent among other clients that write, all at the real API server.
//!
//! The module is asked which request comes next, and told what the server answers. The others write in the moments that
//! hurt: right before the client's own writes. What they have not written by then they write afterwards, so that the object in
//! the end is the same for every correct client, whatever requests it prefers.

use kit_api::jiff::Timestamp;
use kit_contract::control_plane::{ApiRequest, ApiVerb, ClientConfig, Concurrency, Intent, Move, ServerAnswer};
use kit_contract::{Modules, Slot, flow};
use kit_server::{Request, Server};
use kit_time::agenda::Instant;
use kit_time::random::Random;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const PATH: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
/// A client that sends more requests than this goes round in circles.
const TOO_MANY: usize = 40;

/// What is there, and what happens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// What the client is to do.
    pub client: Intent,
    /// Merged into the Deployment `shop/web` as it is at first; null if there is none.
    #[serde(default = "nothing")]
    pub object: Value,
    /// Merged into its status.
    #[serde(default)]
    pub status: Value,
    /// Written after the client's cache has seen the object, before it begins.
    #[serde(default)]
    pub unseen: Vec<Write>,
    /// Written right before each write of the client, one after the other.
    #[serde(default)]
    pub others: Vec<Write>,
    /// Where in the object the intent shows, as JSON pointers.
    pub observe: Vec<String>,
    /// The most requests that it may take.
    pub requests: usize,
}

fn nothing() -> Value {
    json!({})
}

/// What another client does.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// Merges into the object.
    Merge(Value),
    /// Merges into its status.
    MergeStatus(Value),
    /// Merges into it, with lists by their keys.
    Strategic(Value),
    /// Does these operations of a JSON patch.
    Json(Value),
    /// Applies these fields, under this name.
    Apply(String, Value),
    /// Adds one to an annotation.
    Increment(String),
    /// Deletes the object.
    Delete,
    /// Deletes it, and makes one with the same name.
    Replace,
}

struct Play<'a> {
    script: &'a Script,
    server: Server,
    manager: String,
    others: std::slice::Iter<'a, Write>,
    requests: usize,
    writes: usize,
    now: i64,
    /// How long the client has waited since its last write met a conflict.
    waited: Option<i64>,
    hasty: bool,
}

/// Plays a script with the client of the slot. `see` is told of the outcome and of the object in the end.
///
/// # Errors
///
/// A script that can't be played, in words.
pub fn play(
    script: &Script,
    modules: &Modules,
    reference: &Modules,
    see: &mut dyn FnMut(String, Vec<String>),
) -> Result<(), String> {
    let config = ClientConfig::default();
    let server = Server::new(reference.store.make(&()), reference, Random::new(7), Timestamp::UNIX_EPOCH);
    let mut play = Play {
        script,
        server,
        manager: config.field_manager.clone(),
        others: script.others.iter(),
        requests: 0,
        writes: 0,
        now: 0,
        waited: None,
        hasty: false,
    };
    play.set_up()?;
    let cached = play.get();
    for write in &script.unseen {
        play.other(write)?;
    }
    let slot: &Slot<dyn Concurrency> = &modules.concurrency;
    let mut client = slot.make(&config);
    let uid = cached["metadata"]["uid"].as_str().unwrap_or_default();
    let intent = with_uid(&script.client, uid);
    let mut next = client.begin(&intent, &cached);
    let outcome = loop {
        let request = match next {
            Move::Done => break "done".to_string(),
            Move::GiveUp(reason) => break format!("gave up: {}", flow(&reason)),
            Move::Send(request) => request,
        };
        if play.requests == TOO_MANY {
            break format!("stopped after {TOO_MANY} requests");
        }
        let answer = play.send(&request)?;
        next = client.answered(&answer);
    };
    let lines = play.conclude(outcome)?;
    see(format!("{} by {}", flow(&script.client), config.field_manager), lines);
    Ok(())
}

/// The uid of the object isn't known when a script is written.
fn with_uid(intent: &Intent, uid: &str) -> Intent {
    match intent {
        Intent::Delete { uid: asked } if asked.is_empty() => Intent::Delete { uid: uid.into() },
        other => other.clone(),
    }
}

impl Play<'_> {
    fn set_up(&mut self) -> Result<(), String> {
        self.ask("POST", "/api/v1/namespaces", "", "", &json!({"metadata": {"name": "shop"}}))?;
        if self.script.object.is_null() {
            return Ok(());
        }
        self.create()?;
        if !self.script.status.is_null() {
            self.other(&Write::MergeStatus(self.script.status.clone()))?;
        }
        Ok(())
    }

    fn create(&mut self) -> Result<(), String> {
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            }},
        });
        merge(&mut object, &self.script.object);
        let path = PATH.trim_end_matches("/web");
        self.ask("POST", path, "fieldManager=kubectl-create", "", &object)
    }

    fn raw(&mut self, method: &str, path: &str, query: &str, content: &str, body: &Value) -> (u16, String) {
        self.now += 1;
        self.server.enter(Instant::millis(self.now), &Arc::from("test"));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("Content-Type", if content.is_empty() { "application/json" } else { content })];
        let request = Request { method, path, query, headers: &headers, body: body.as_bytes(), user: None };
        let answer = self.server.request(&request);
        (answer.code, answer.as_text().to_string())
    }

    /// A request that must succeed.
    fn ask(&mut self, method: &str, path: &str, query: &str, content: &str, body: &Value) -> Result<(), String> {
        match self.raw(method, path, query, content, body) {
            (200..300, _) => Ok(()),
            (_, answer) => Err(format!("{method} {path} of the script was refused: {answer}")),
        }
    }

    fn get(&mut self) -> Value {
        let (code, answer) = self.raw("GET", PATH, "", "", &Value::Null);
        if code == 200 { serde_json::from_str(&answer).unwrap_or_default() } else { Value::Null }
    }

    fn other(&mut self, write: &Write) -> Result<(), String> {
        const MERGE: &str = "application/merge-patch+json";
        let status = format!("{PATH}/status");
        match write {
            Write::Merge(patch) => self.ask("PATCH", PATH, "fieldManager=other", MERGE, patch),
            Write::MergeStatus(patch) => {
                self.ask("PATCH", &status, "fieldManager=other", MERGE, &json!({"status": patch}))
            }
            Write::Strategic(patch) => {
                self.ask("PATCH", PATH, "fieldManager=other", "application/strategic-merge-patch+json", patch)
            }
            Write::Json(operations) => {
                self.ask("PATCH", PATH, "fieldManager=other", "application/json-patch+json", operations)
            }
            Write::Apply(manager, fields) => {
                let query = format!("fieldManager={manager}&force=true");
                self.ask("PATCH", PATH, &query, "application/apply-patch+yaml", &named(fields))
            }
            Write::Increment(name) => {
                let there = self.get();
                let count = there["metadata"]["annotations"][name].as_str().and_then(|text| text.parse::<i64>().ok());
                let more = (count.unwrap_or_default() + 1).to_string();
                let patch = json!({"metadata": {"annotations": {name: more}}});
                self.ask("PATCH", PATH, "fieldManager=other", MERGE, &patch)
            }
            Write::Delete => self.ask("DELETE", PATH, "", "", &Value::Null),
            Write::Replace => {
                self.ask("DELETE", PATH, "", "", &Value::Null)?;
                self.create()
            }
        }
    }

    fn send(&mut self, request: &ApiRequest) -> Result<ServerAnswer, String> {
        self.requests += 1;
        if request.verb != ApiVerb::Get {
            self.writes += 1;
            self.hasty |= self.waited.take().is_some_and(|waited| waited + request.after < 10);
            if let Some(write) = self.others.next() {
                self.other(write)?;
            }
        }
        self.now += request.after.clamp(0, 60_000);
        if let Some(waited) = &mut self.waited {
            *waited += request.after;
        }
        let (method, content) = match request.verb {
            ApiVerb::Get => ("GET", ""),
            ApiVerb::Update => ("PUT", ""),
            ApiVerb::MergePatch => ("PATCH", "application/merge-patch+json"),
            ApiVerb::JsonPatch => ("PATCH", "application/json-patch+json"),
            ApiVerb::StrategicPatch => ("PATCH", "application/strategic-merge-patch+json"),
            ApiVerb::Apply => ("PATCH", "application/apply-patch+yaml"),
            ApiVerb::Delete => ("DELETE", ""),
        };
        let path = if request.status { format!("{PATH}/status") } else { PATH.to_string() };
        let query = match request.verb {
            ApiVerb::Get | ApiVerb::Delete => String::new(),
            ApiVerb::Apply => format!("fieldManager={}&force={}", self.manager, request.force),
            _ => format!("fieldManager={}", self.manager),
        };
        let (code, answer) = self.raw(method, &path, &query, content, &request.body);
        if code == 409 && request.verb != ApiVerb::Get {
            self.waited = Some(0);
        }
        let body = serde_json::from_str(&answer).unwrap_or(Value::String(answer));
        Ok(ServerAnswer { code: code.into(), body })
    }

    /// The outcome, and the object when everybody has written.
    fn conclude(mut self, outcome: String) -> Result<Vec<String>, String> {
        while let Some(write) = self.others.next() {
            self.other(write)?;
        }
        let mut lines = vec![outcome];
        let allowed = self.script.requests;
        let plural = if allowed == 1 { "request" } else { "requests" };
        lines.push(match self.requests {
            requests if requests <= allowed => format!("in at most {allowed} {plural}"),
            requests => format!("in {requests} requests, where {allowed} will do"),
        });
        if self.writes > 5 {
            lines.push(format!("{} writes, and after five it should give up", self.writes));
        }
        if self.hasty {
            lines.push("a write that met a conflict was tried again without a pause of 10 ms".into());
        }
        let object = self.get();
        if object.is_null() {
            lines.push("the object is gone".into());
            return Ok(lines);
        }
        for pointer in &self.script.observe {
            let text = object.pointer(pointer).map_or("not there".into(), |value| flow(&essence(value)));
            lines.push(format!("{pointer}  {text}"));
        }
        let managers = object["metadata"]["managedFields"].as_array().into_iter().flatten();
        let appliers = managers.filter(|entry| entry["operation"] == "Apply").map(|entry| entry["manager"].to_string());
        let appliers: BTreeSet<String> = appliers.collect();
        if !appliers.is_empty() {
            let appliers: Vec<_> = appliers.iter().map(|name| name.trim_matches('"')).collect();
            lines.push(format!("applied by {}", appliers.join(", ")));
        }
        Ok(lines)
    }
}

/// A value without what no scenario is about: lists in the order of their texts, and of their items the fields that tell
/// them apart and that somebody writes.
fn essence(value: &Value) -> Value {
    let essential =
        |(field, _): &(&String, &Value)| ["name", "image", "command", "type", "status"].contains(&field.as_str());
    let item = |item: &Value| match item {
        Value::Object(fields) => {
            fields.iter().filter(essential).map(|(field, value)| (field.clone(), value.clone())).collect()
        }
        other => other.clone(),
    };
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(item).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

/// The fields of an apply with what names the object.
fn named(fields: &Value) -> Value {
    let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
    merge(&mut object, fields);
    object
}

fn merge(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(script: Value) -> Vec<String> {
        let script: Script = serde_json::from_value(script).expect("a script");
        let modules = solutions::modules();
        let mut lines = Vec::new();
        play(&script, &modules, &modules, &mut |_, seen| lines.extend(seen)).expect("it can be played");
        lines
    }

    #[test]
    fn nothing_that_others_write_is_lost() {
        let lines = played(json!({
            "client": {"increment": {"annotation": "count"}},
            "others": [{"increment": "count"}, {"increment": "count"}],
            "observe": ["/metadata/annotations/count"],
            "requests": 6,
        }));
        assert_eq!(lines, ["done", "in at most 6 requests", "/metadata/annotations/count  3"]);
    }
}
