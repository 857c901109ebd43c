//! HorizontalPodAutoscalers in their first version, which `kubectl autoscale` before 1.33 writes.
//!
//! The server keeps them in version 2; what comes in the first is told in the second, and the answer in the first again
//! (`pkg/apis/autoscaling/v1/conversion.go`). It is not in discovery, so that nobody who has a choice takes it.

use serde_json::{Value, json};

const FIRST: &str = "/apis/autoscaling/v1/";
const SECOND: &str = "/apis/autoscaling/v2/";
/// What the first version asks for where it doesn't say (`autoscaling.DefaultCPUUtilization`).
const CPU: i64 = 80;

/// The path in the second version of a path in the first.
pub fn second(path: &str) -> Option<String> {
    path.strip_prefix(FIRST)
        .filter(|rest| rest.contains("horizontalpodautoscalers"))
        .map(|rest| format!("{SECOND}{rest}"))
}

/// A body of the first version in the second. What is no object of the first stays as it is, such as a merge patch of
/// labels.
pub fn to_second(body: &[u8]) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    if value["kind"] != "HorizontalPodAutoscaler" || value["apiVersion"] != "autoscaling/v1" {
        return None;
    }
    value["apiVersion"] = "autoscaling/v2".into();
    let spec = value["spec"].as_object_mut()?;
    let percent = spec.shift_remove("targetCPUUtilizationPercentage").and_then(|percent| percent.as_i64());
    let target = json!({"type": "Utilization", "averageUtilization": percent.unwrap_or(CPU)});
    spec.insert("metrics".into(), json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]));
    value.as_object_mut()?.shift_remove("status");
    Some(value.to_string().into_bytes())
}

/// An answer of the second version, an object or a list, in the first.
pub fn to_first(text: &str) -> Option<String> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    match value["kind"].as_str()? {
        "HorizontalPodAutoscaler" => first(&mut value),
        "HorizontalPodAutoscalerList" => {
            value["apiVersion"] = "autoscaling/v1".into();
            value["items"].as_array_mut()?.iter_mut().for_each(first);
        }
        _ => return None,
    }
    Some(value.to_string())
}

fn first(object: &mut Value) {
    let of_cpu = |list: &Value, part: &str| {
        let mut metrics = list.as_array().into_iter().flatten();
        let cpu = metrics.find(|metric| metric["type"] == "Resource" && metric["resource"]["name"] == "cpu");
        cpu.and_then(|metric| metric["resource"][part]["averageUtilization"].as_i64())
    };
    object["apiVersion"] = "autoscaling/v1".into();
    let target = of_cpu(&object["spec"]["metrics"], "target");
    let current = of_cpu(&object["status"]["currentMetrics"], "current");
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.shift_remove("metrics");
        spec.shift_remove("behavior");
        spec.extend(target.map(|percent| ("targetCPUUtilizationPercentage".to_string(), percent.into())));
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.shift_remove("currentMetrics");
        status.shift_remove("conditions");
        status.extend(current.map(|percent| ("currentCPUUtilizationPercentage".to_string(), percent.into())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_version_comes_back_as_it_was_sent() {
        let sent = json!({
            "kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v1", "metadata": {"name": "web"},
            "spec": {"maxReplicas": 5, "targetCPUUtilizationPercentage": 60},
        });
        let second = to_second(sent.to_string().as_bytes()).expect("a first version");
        let second = String::from_utf8(second).expect("text");
        assert!(second.contains(r#""averageUtilization":60"#) && second.contains("autoscaling/v2"), "{second}");
        let back: Value = serde_json::from_str(&to_first(&second).expect("a second version")).expect("JSON");
        assert_eq!(back, sent);
        assert_eq!(to_second(br#"{"metadata":{"labels":{"a":"b"}}}"#), None);
        assert_eq!(
            super::second("/apis/autoscaling/v1/namespaces/a/horizontalpodautoscalers").as_deref(),
            Some("/apis/autoscaling/v2/namespaces/a/horizontalpodautoscalers")
        );
    }
}
