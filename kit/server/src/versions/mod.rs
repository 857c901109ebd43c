//! Objects in another group or version than the one in which they are kept: `autoscaling/v1`, `events.k8s.io/v1`.
//!
//! What comes in the other form is told in the kept one before anything is done, and the answer in the other form again. Upstream
//! converts through an internal type; sources: `pkg/apis/autoscaling/v1/conversion.go`, `pkg/apis/events/v1/conversion.go`.

mod autoscaling;
mod events;

use crate::field::Errors;
use crate::schema;
use kit_apimachinery::object::Kind;
use kit_apimachinery::resource::Resource;
use serde_json::{Map, Value};

/// Another form of the objects of a resource.
#[derive(Debug, Clone, Copy)]
pub struct Form(pub &'static Resource);

impl Form {
    /// The form of a kind in a version, unless it is the kept one.
    pub fn of(kind: Kind, api_version: &str) -> Option<Form> {
        let other = matches!(kind, Kind::HorizontalPodAutoscaler | Kind::Event) && api_version != kind.api_version();
        let all = other.then(Resource::served).into_iter().flatten();
        let mut all = all.filter(|resource| resource.api_version == api_version && resource.kind == kind.name());
        all.next().map(Form)
    }

    fn is_event(self) -> bool {
        self.0.kind == "Event"
    }

    /// An object of this form in the kept one.
    pub fn keep(self, mut object: Value) -> Value {
        if self.is_event() {
            events::keep(&mut object)
        } else {
            autoscaling::keep(&mut object)
        }
        let kept = self.0.as_kind().resource();
        object["apiVersion"] = kept.api_version.as_str().into();
        object
    }

    /// An object that is kept, in this form.
    pub fn show(self, mut object: Value) -> Value {
        if self.is_event() {
            events::show(&mut object)
        } else {
            autoscaling::show(&mut object)
        }
        if object.get("apiVersion").is_some() {
            object["apiVersion"] = self.0.api_version.as_str().into();
        }
        match schema::of_version(&self.0.api_version, &self.0.kind) {
            Some(of) => schema::fill(object, of),
            None => object,
        }
    }

    /// An answer in this form: an object, a list, a table with objects, or something that is none of them.
    pub fn answer(self, mut answer: Value) -> Value {
        let kind = answer["kind"].as_str().unwrap_or_default();
        if kind == self.0.kind {
            return self.show(answer);
        }
        if kind.strip_suffix("List") == Some(&self.0.kind) {
            answer["apiVersion"] = self.0.api_version.as_str().into();
        }
        let mut list = |field: &str| answer.get_mut(field).and_then(Value::as_array_mut).map(std::mem::take);
        let (items, mut rows) = (list("items"), list("rows"));
        if let Some(items) = items {
            answer["items"] = items.into_iter().map(|item| self.show(item)).collect();
        }
        for row in rows.iter_mut().flatten() {
            if row["object"]["kind"] == self.0.kind.as_str() {
                row["object"] = self.show(row["object"].take());
            }
        }
        if let Some(rows) = rows {
            answer["rows"] = rows.into();
        }
        answer
    }

    /// The name of a field in selectors, as the kept form has it; none if this form doesn't offer the field.
    pub fn field(self, name: &str) -> Option<String> {
        if self.is_event() { events::field(name) } else { Some(name.into()) }
    }

    /// What is asked of new and changed objects in this form alone; both are in the kept one.
    pub fn check(self, e: &mut Errors, object: &Value, old: Option<&Value>) {
        if self.is_event() {
            events::check(e, object, old);
        }
    }
}

/// Gives a field another name.
fn rename(object: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = object.shift_remove(from) {
        object.insert(to.into(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn form(api_version: &str) -> Form {
        Form(Resource::served().iter().find(|resource| resource.api_version == api_version).expect("it is served"))
    }

    #[test]
    fn autoscalers_come_back_as_they_were_sent() {
        let sent = json!({
            "kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v1",
            "metadata": {"name": "web", "annotations": {
                "autoscaling.alpha.kubernetes.io/metrics":
                    r#"[{"type":"Pods","pods":{"metricName":"hits","targetAverageValue":"5"}}]"#,
            }},
            "spec": {"maxReplicas": 5, "targetCPUUtilizationPercentage": 60},
        });
        let kept = form("autoscaling/v1").keep(sent.clone());
        assert_eq!(kept["apiVersion"], "autoscaling/v2");
        let target = json!({"type": "AverageValue", "averageValue": "5"});
        assert_eq!(kept["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 60);
        assert_eq!(kept["spec"]["metrics"][1]["pods"], json!({"metric": {"name": "hits"}, "target": target}));
        let shown = form("autoscaling/v1").show(kept);
        assert_eq!(shown["metadata"]["annotations"], sent["metadata"]["annotations"]);
        assert_eq!(shown["spec"]["targetCPUUtilizationPercentage"], 60);
        assert_eq!((&shown["spec"]["metrics"], &shown["apiVersion"]), (&Value::Null, &sent["apiVersion"]));
    }

    #[test]
    fn what_the_first_version_can_not_say_stands_in_annotations() {
        let kept = json!({
            "kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2", "metadata": {"name": "web"},
            "spec": {"maxReplicas": 5, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60, "selectPolicy": "Max"}}},
            "status": {"conditions": [{"type": "AbleToScale", "status": "True"}], "currentReplicas": 1},
        });
        let shown = form("autoscaling/v1").show(kept.clone());
        let behavior = &shown["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/behavior"];
        assert_eq!(
            *behavior,
            r#"{"ScaleUp":null,"ScaleDown":{"StabilizationWindowSeconds":60,"SelectPolicy":"Max","Policies":null,"Tolerance":null}}"#
        );
        let back = form("autoscaling/v1").keep(shown);
        assert_eq!(back["spec"]["behavior"], kept["spec"]["behavior"]);
        assert_eq!(back["status"]["conditions"], kept["status"]["conditions"]);
    }

    #[test]
    fn events_have_two_forms() {
        let sent = json!({
            "kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": {"name": "e"}, "note": "n",
            "regarding": {"kind": "Pod"}, "reportingController": "c", "deprecatedCount": 2,
        });
        let kept = form("events.k8s.io/v1").keep(sent.clone());
        assert_eq!((&kept["message"], &kept["reportingComponent"]), (&json!("n"), &json!("c")));
        let shown = form("events.k8s.io/v1").show(kept);
        for field in ["note", "regarding", "reportingController", "deprecatedCount", "apiVersion"] {
            assert_eq!(shown[field], sent[field], "{field}");
        }
        assert_eq!(form("events.k8s.io/v1").field("regarding.name").as_deref(), Some("involvedObject.name"));
        assert_eq!(form("events.k8s.io/v1").field("involvedObject.name"), None);
    }
}
