//! Passes: patches as small as possible, and versions in them only where what is written depends on what was read.

use kit::control_plane::{ApiRequest, ApiVerb, ClientConfig, Concurrency, Intent, Move, Reason, ServerAnswer};
use kit::serde_json::{Value, json};

struct Exercise {
    intent: Intent,
    cached: Value,
    tries: u32,
    stage: Stage,
}

#[derive(PartialEq)]
enum Stage {
    Reads,
    Writes,
}

fn patch(verb: ApiVerb, body: Value) -> ApiRequest {
    ApiRequest { verb, body, ..ApiRequest::default() }
}

impl Exercise {
    /// What can be written without looking at the object.
    fn blind(&self) -> Option<ApiRequest> {
        Some(match &self.intent {
            Intent::SetAnnotation { name, value } => {
                patch(ApiVerb::MergePatch, json!({"metadata": {"annotations": {name: value}}}))
            }
            Intent::AddFinalizer(name) => patch(ApiVerb::StrategicPatch, json!({"metadata": {"finalizers": [name]}})),
            Intent::RemoveFinalizer(name) => {
                patch(ApiVerb::StrategicPatch, json!({"metadata": {"$deleteFromPrimitiveList/finalizers": [name]}}))
            }
            Intent::SetCondition { kind, status } => {
                let condition = json!({"type": kind, "status": status});
                let body = json!({"status": {"conditions": [condition]}});
                ApiRequest { status: true, ..patch(ApiVerb::StrategicPatch, body) }
            }
            Intent::Apply { fields, force } => {
                let mut body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
                for (field, value) in fields.as_object()? {
                    if field == "metadata" {
                        for (field, value) in value.as_object()? {
                            body["metadata"][field] = value.clone();
                        }
                    } else {
                        body[field] = value.clone();
                    }
                }
                ApiRequest { force: *force, ..patch(ApiVerb::Apply, body) }
            }
            Intent::Delete { uid } => patch(ApiVerb::Delete, json!({"preconditions": {"uid": uid}})),
            Intent::DeleteUnchanged => {
                let version = &self.cached["metadata"]["resourceVersion"];
                let uid = &self.cached["metadata"]["uid"];
                let preconditions = json!({"uid": uid, "resourceVersion": version});
                patch(ApiVerb::Delete, json!({"preconditions": preconditions}))
            }
            Intent::Increment { .. } | Intent::SetImage { .. } | Intent::Scale { .. } => return None,
        })
    }

    /// What is to be written to this object; the version in it makes the server refuse it if it isn't this object any more.
    fn seen(&self, object: &Value) -> Result<ApiRequest, Move> {
        let version = &object["metadata"]["resourceVersion"];
        match &self.intent {
            Intent::Increment { annotation } => {
                let there = object["metadata"]["annotations"].get(annotation);
                let count: i64 = there.and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or_default();
                let annotations = json!({annotation: format!("{}", count + 1)});
                let meta = json!({"resourceVersion": version, "annotations": annotations});
                Ok(patch(ApiVerb::MergePatch, json!({"metadata": meta})))
            }
            Intent::SetImage { container, image } => {
                let containers = object["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
                let mut paths = containers.enumerate().filter(|(_, there)| there["name"] == *container);
                let Some((at, _)) = paths.next() else { return Err(Move::GiveUp(Reason::Refused)) };
                let path = format!("/spec/template/spec/containers/{at}/image");
                let version = json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version});
                let change = json!({"op": "replace", "path": path, "value": image});
                Ok(patch(ApiVerb::JsonPatch, json!([version, change])))
            }
            Intent::Scale { from, to } => match object["spec"]["replicas"].as_i64() {
                Some(there) if there == *to => Err(Move::Done),
                Some(there) if there != *from => Err(Move::GiveUp(Reason::Changed)),
                _ => {
                    let body = json!({"metadata": {"resourceVersion": version}, "spec": {"replicas": to}});
                    Ok(patch(ApiVerb::StrategicPatch, body))
                }
            },
            _ => Err(Move::Done),
        }
    }

    fn attempt(&mut self, after: i64) -> Move {
        self.stage = if self.blind().is_some() { Stage::Writes } else { Stage::Reads };
        let request = self.blind().unwrap_or_default();
        self.tries += 1;
        Move::Send(ApiRequest { after, ..request })
    }
}

impl Concurrency for Exercise {
    fn new(_: &ClientConfig) -> Self {
        let intent = Intent::DeleteUnchanged;
        Exercise { intent, cached: Value::Null, tries: 0, stage: Stage::Reads }
    }

    fn begin(&mut self, intent: &Intent, cached: &Value) -> Move {
        self.intent = intent.clone();
        self.cached = cached.clone();
        self.attempt(0)
    }

    fn answered(&mut self, answer: &ServerAnswer) -> Move {
        match answer.code {
            200..=299 if self.stage == Stage::Writes => Move::Done,
            200..=299 => match self.seen(&answer.body) {
                Ok(request) => {
                    self.stage = Stage::Writes;
                    Move::Send(request)
                }
                Err(end) => end,
            },
            404 => match self.intent {
                Intent::Delete { .. } | Intent::DeleteUnchanged => Move::Done,
                _ => Move::GiveUp(Reason::NotFound),
            },
            409 => match self.intent {
                Intent::Apply { .. } => Move::GiveUp(Reason::Conflict),
                Intent::Delete { .. } => Move::Done,
                Intent::DeleteUnchanged => Move::GiveUp(Reason::Changed),
                _ if self.tries < 5 => self.attempt(10),
                _ => Move::GiveUp(Reason::Conflict),
            },
            _ => Move::GiveUp(Reason::Refused),
        }
    }
}

kit::exercise!(Exercise: Concurrency);
