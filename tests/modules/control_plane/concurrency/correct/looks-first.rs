//! Passes: reads before every write and every delete, changes single places by JSON patches, and writes nothing that is there already.

use kit::control_plane::{ApiRequest, ApiVerb, ClientConfig, Concurrency, Intent, Move, Reason, ServerAnswer};
use kit::serde_json::{Value, json};

struct Exercise {
    task: Option<(Intent, Value)>,
    left: u32,
    looking: bool,
}

/// What has to be done to an object that was read.
enum Plan {
    End(Move),
    /// Operations of a JSON patch, and whether they are for the status.
    Patch(Vec<Value>, bool),
    Delete(Value),
}

fn pointer(parts: &[&str]) -> String {
    parts.iter().map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1"))).collect()
}

/// Sets a value at a path whose parents may be missing: the first one that is missing is added with all below it.
fn add(object: &Value, path: &[&str], value: Value) -> Value {
    let mut there = object;
    for depth in 1..path.len() {
        let Some(next) = there.get(path[depth - 1]).filter(|next| !next.is_null()) else {
            let whole = path[depth..].iter().rev().fold(value, |below, name| match *name {
                "-" => json!([below]),
                name => json!({name: below}),
            });
            return json!({"op": "add", "path": pointer(&path[..depth]), "value": whole});
        };
        there = next;
    }
    json!({"op": "add", "path": pointer(path), "value": value})
}

fn place(list: &Value, is_it: impl Fn(&Value) -> bool) -> Option<usize> {
    list.as_array()?.iter().position(is_it)
}

fn plan(intent: &Intent, cached: &Value, object: &Value) -> Plan {
    let meta = &object["metadata"];
    match intent {
        Intent::SetAnnotation { name, value } => match meta["annotations"].get(name) {
            Some(there) if there == value => Plan::End(Move::Done),
            _ => Plan::Patch(vec![add(object, &["metadata", "annotations", name], json!(value))], false),
        },
        Intent::Increment { annotation } => {
            let count = match &meta["annotations"][annotation] {
                Value::String(text) => text.parse::<i64>().unwrap_or_default(),
                _ => 0,
            };
            let next = json!((count + 1).to_string());
            Plan::Patch(vec![add(object, &["metadata", "annotations", annotation], next)], false)
        }
        Intent::AddFinalizer(name) => match place(&meta["finalizers"], |there| there == name) {
            Some(_) => Plan::End(Move::Done),
            None => Plan::Patch(vec![add(object, &["metadata", "finalizers", "-"], json!(name))], false),
        },
        Intent::RemoveFinalizer(name) => match place(&meta["finalizers"], |there| there == name) {
            None => Plan::End(Move::Done),
            Some(at) => {
                Plan::Patch(vec![json!({"op": "remove", "path": format!("/metadata/finalizers/{at}")})], false)
            }
        },
        Intent::SetImage { container, image } => {
            let containers = &object["spec"]["template"]["spec"]["containers"];
            match place(containers, |there| there["name"] == *container) {
                None => Plan::End(Move::GiveUp(Reason::Refused)),
                Some(at) if containers[at]["image"] == *image => Plan::End(Move::Done),
                Some(at) => {
                    let path = format!("/spec/template/spec/containers/{at}/image");
                    Plan::Patch(vec![json!({"op": "add", "path": path, "value": image})], false)
                }
            }
        }
        Intent::Scale { from, to } => match &object["spec"]["replicas"] {
            now if now == to => Plan::End(Move::Done),
            now if now == from => {
                Plan::Patch(vec![json!({"op": "replace", "path": "/spec/replicas", "value": to})], false)
            }
            _ => Plan::End(Move::GiveUp(Reason::Changed)),
        },
        Intent::SetCondition { kind, status } => {
            let conditions = &object["status"]["conditions"];
            match place(conditions, |there| there["type"] == *kind) {
                None => {
                    let new = json!({"type": kind, "status": status});
                    Plan::Patch(vec![add(object, &["status", "conditions", "-"], new)], true)
                }
                Some(at) if conditions[at]["status"] == *status => Plan::End(Move::Done),
                Some(at) => {
                    let path = format!("/status/conditions/{at}/status");
                    Plan::Patch(vec![json!({"op": "replace", "path": path, "value": status})], true)
                }
            }
        }
        Intent::Delete { uid } if meta["uid"] == *uid => Plan::Delete(json!({"uid": uid})),
        Intent::Delete { .. } => Plan::End(Move::Done),
        Intent::DeleteUnchanged => {
            let id = |object: &Value| json!({"uid": object["metadata"]["uid"], "resourceVersion": object["metadata"]["resourceVersion"]});
            if id(object) == id(cached) { Plan::Delete(id(cached)) } else { Plan::End(Move::GiveUp(Reason::Changed)) }
        }
        Intent::Apply { .. } => Plan::End(Move::Done),
    }
}

impl Exercise {
    fn look(&mut self, after: i64) -> Move {
        self.looking = true;
        Move::Send(ApiRequest { after, ..ApiRequest::default() })
    }

    fn act(&mut self, object: &Value) -> Move {
        self.looking = false;
        self.left -= 1;
        let Some((intent, cached)) = &self.task else { return Move::Done };
        match plan(intent, cached, object) {
            Plan::End(end) => end,
            Plan::Delete(preconditions) => {
                let body = json!({"preconditions": preconditions});
                Move::Send(ApiRequest { verb: ApiVerb::Delete, body, ..ApiRequest::default() })
            }
            Plan::Patch(mut operations, status) => {
                // The version in the patch is compared with the one that is there: another one is a conflict.
                let version = &object["metadata"]["resourceVersion"];
                operations.insert(0, json!({"op": "add", "path": "/metadata/resourceVersion", "value": version}));
                let body = Value::Array(operations);
                Move::Send(ApiRequest { verb: ApiVerb::JsonPatch, status, body, ..ApiRequest::default() })
            }
        }
    }
}

impl Concurrency for Exercise {
    fn new(_: &ClientConfig) -> Self {
        Exercise { task: None, left: 5, looking: false }
    }

    fn begin(&mut self, intent: &Intent, cached: &Value) -> Move {
        self.task = Some((intent.clone(), cached.clone()));
        let Intent::Apply { fields, force } = intent else { return self.look(0) };
        let mut body = fields.clone();
        let head = [("/apiVersion", "apps/v1"), ("/kind", "Deployment")];
        for (path, value) in head {
            body[&path[1..]] = Value::from(value);
        }
        body["metadata"]["name"] = Value::from("web");
        Move::Send(ApiRequest { verb: ApiVerb::Apply, body, force: *force, ..ApiRequest::default() })
    }

    fn answered(&mut self, answer: &ServerAnswer) -> Move {
        let Some((intent, _)) = &self.task else { return Move::Done };
        let is_delete = matches!(intent, Intent::Delete { .. } | Intent::DeleteUnchanged);
        match (answer.code, intent) {
            (200..300, _) if self.looking => self.act(&answer.body),
            (200..300, _) => Move::Done,
            (404, _) if is_delete => Move::Done,
            (404, _) => Move::GiveUp(Reason::NotFound),
            (409, _) if answer.body["reason"] != "Conflict" => Move::GiveUp(Reason::Refused),
            (409, Intent::Delete { .. }) => Move::Done,
            (409, Intent::DeleteUnchanged) => Move::GiveUp(Reason::Changed),
            (409, Intent::Apply { .. }) => Move::GiveUp(Reason::Conflict),
            (409, _) if self.left == 0 => Move::GiveUp(Reason::Conflict),
            (409, _) => self.look(10),
            _ => Move::GiveUp(Reason::Refused),
        }
    }
}

kit::exercise!(Exercise: Concurrency);
