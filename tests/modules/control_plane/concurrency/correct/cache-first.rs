//! Passes: it tries its first write from the cache, as controllers do, and reads only after a conflict or before it does nothing.

use kit::control_plane::{
    ApiRequest, ApiVerb, ClientConfig, Concurrency, Intent, Move, Reason, ServerAnswer,
};
use kit::serde_json::{Value, json};

/// How often a write is tried (`retry.DefaultRetry`).
const STEPS: usize = 5;
/// Between two tries, in milliseconds.
const PAUSE: i64 = 10;

/// A client.
struct Exercise {
    intent: Option<Intent>,
    cached: Value,
    writes: usize,
    /// Whether the last request was a get.
    reading: bool,
}

impl Concurrency for Exercise {
    fn new(_: &ClientConfig) -> Self {
        Exercise { intent: None, cached: Value::Null, writes: 0, reading: false }
    }
    fn begin(&mut self, intent: &Intent, cached: &Value) -> Move {
        self.intent = Some(intent.clone());
        self.cached = cached.clone();
        match intent {
            Intent::Apply { fields, force } => {
                let mut body = fields.clone();
                body["apiVersion"] = json!("apps/v1");
                body["kind"] = json!("Deployment");
                body["metadata"]["name"] = json!("web");
                self.write(ApiRequest { verb: ApiVerb::Apply, body, force: *force, ..ApiRequest::default() })
            }
            Intent::Delete { uid } => self.delete(json!({"uid": uid})),
            Intent::DeleteUnchanged => {
                let meta = &self.cached["metadata"];
                self.delete(json!({"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}))
            }
            _ if cached.is_null() => self.read(0),
            // Only a write may follow from the cache: it is refused if the cache was late.
            _ => match self.change(intent, cached.clone()) {
                Move::Send(request) => Move::Send(request),
                _ => self.read(0),
            },
        }
    }

    fn answered(&mut self, answer: &ServerAnswer) -> Move {
        let conflict = answer.code == 409 && answer.body["reason"] == "Conflict";
        match self.intent.clone() {
            Some(Intent::Apply { .. }) if conflict => Move::GiveUp(Reason::Conflict),
            Some(Intent::Delete { .. }) if conflict || answer.code == 404 => Move::Done,
            Some(Intent::DeleteUnchanged) if conflict => Move::GiveUp(Reason::Changed),
            Some(Intent::DeleteUnchanged) if answer.code == 404 => Move::Done,
            _ if conflict && self.writes < STEPS => self.read(PAUSE),
            _ if conflict => Move::GiveUp(Reason::Conflict),
            _ if answer.code == 404 => Move::GiveUp(Reason::NotFound),
            _ if answer.code >= 300 => Move::GiveUp(Reason::Refused),
            Some(intent) if self.reading => self.change(&intent, answer.body.clone()),
            _ => Move::Done,
        }
    }
}

impl Exercise {
    fn read(&mut self, after: i64) -> Move {
        self.reading = true;
        Move::Send(ApiRequest { after, ..ApiRequest::default() })
    }

    fn write(&mut self, request: ApiRequest) -> Move {
        self.reading = false;
        self.writes += 1;
        Move::Send(request)
    }

    fn delete(&mut self, preconditions: Value) -> Move {
        let body = json!({"preconditions": preconditions});
        self.write(ApiRequest { verb: ApiVerb::Delete, body, ..ApiRequest::default() })
    }
    /// Changes a fresh object and puts it back, with the version that it came with: so it is refused if anybody was faster.
    fn change(&mut self, intent: &Intent, mut object: Value) -> Move {
        let mut status = false;
        match intent {
            Intent::SetAnnotation { name, value } => annotate(&mut object, name, value),
            Intent::Increment { annotation } => {
                let there = object["metadata"]["annotations"][annotation].as_str();
                let count = there.and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
                annotate(&mut object, annotation, &(count + 1).to_string());
            }
            Intent::AddFinalizer(name) => {
                let finalizers = list(&mut object["metadata"]["finalizers"]);
                if finalizers.contains(&json!(name)) {
                    return Move::Done;
                }
                finalizers.push(json!(name));
            }
            Intent::RemoveFinalizer(name) => {
                let finalizers = list(&mut object["metadata"]["finalizers"]);
                if !finalizers.contains(&json!(name)) {
                    return Move::Done;
                }
                finalizers.retain(|there| there != name);
            }
            Intent::SetImage { container, image } => {
                let containers = list(&mut object["spec"]["template"]["spec"]["containers"]);
                match containers.iter_mut().find(|there| there["name"] == *container) {
                    Some(there) => there["image"] = json!(image),
                    None => return Move::GiveUp(Reason::Refused),
                }
            }
            Intent::Scale { from, to } => match object["spec"]["replicas"].as_i64() {
                Some(now) if now == *to => return Move::Done,
                Some(now) if now == *from => object["spec"]["replicas"] = json!(to),
                _ => return Move::GiveUp(Reason::Changed),
            },
            Intent::SetCondition { kind, status: value } => {
                status = true;
                let conditions = list(&mut object["status"]["conditions"]);
                match conditions.iter_mut().find(|there| there["type"] == *kind) {
                    Some(there) => there["status"] = json!(value),
                    None => conditions.push(json!({"type": kind, "status": value})),
                }
            }
            Intent::Apply { .. } | Intent::Delete { .. } | Intent::DeleteUnchanged => return Move::Done,
        }
        self.write(ApiRequest { verb: ApiVerb::Update, status, body: object, ..ApiRequest::default() })
    }
}

fn annotate(object: &mut Value, name: &str, value: &str) {
    let annotations = &mut object["metadata"]["annotations"];
    annotations[name] = json!(value);
}

/// A list that may not be there yet.
fn list(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = json!([]);
    }
    value.as_array_mut().expect("it was made one")
}

kit::exercise!(Exercise: Concurrency);
