//! What a service loses when it is of another type than before.
//!
//! Source: `dropTypeDependentFields` and `patchAllocatedValues` of `pkg/registry/core/service/strategy.go` and `storage/storage.go`.

use super::map_in;
use serde_json::{Value, json};

/// Takes from a changed service what only its old type needed.
pub fn drop_unneeded(new: &mut Value, old: &Value) {
    let type_ = |service: &Value| service["spec"]["type"].as_str().unwrap_or_default().to_string();
    let (now, before) = (type_(new), type_(old));
    let spec = map_in(new, "spec");
    let old = &old["spec"];
    // A client that writes back what it read must not be held to what the old type needed.
    let mut drop = |field: &str| {
        if spec.get(field) == old.get(field) {
            spec.shift_remove(field);
        }
    };
    if before != "ExternalName" && now == "ExternalName" {
        if old.get("clusterIP").is_some() {
            drop("clusterIP");
            drop("clusterIPs");
        }
        for field in ["ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            drop(field);
        }
    }
    let external = |type_: &str| matches!(type_, "NodePort" | "LoadBalancer");
    if external(&before) && !external(&now) {
        drop("externalTrafficPolicy");
        drop("healthCheckNodePort");
    }
    if before == "LoadBalancer" && now != "LoadBalancer" {
        drop("allocateLoadBalancerNodePorts");
        drop("loadBalancerClass");
    }
    let ports = |spec: &Value| -> Vec<Value> {
        spec["ports"].as_array().into_iter().flatten().map(|port| port["nodePort"].clone()).collect()
    };
    let same = ports(&Value::Object(spec.clone())) == ports(old);
    if external(&before) && !external(&now) && same {
        super::items_in(spec, "ports").for_each(|port| _ = port.shift_remove("nodePort"));
    }
    // One of the two names of the address may have changed alone.
    if now == "ExternalName" {
        if spec.get("clusterIP").and_then(Value::as_str).unwrap_or_default().is_empty() {
            spec.shift_remove("clusterIP");
            if spec.get("clusterIPs") == old.get("clusterIPs") {
                spec.shift_remove("clusterIPs");
            }
        }
    } else if spec.get("clusterIP") != old.get("clusterIP") && spec.get("clusterIPs") == old.get("clusterIPs") {
        match spec.get("clusterIP").cloned() {
            Some(Value::String(address)) if !address.is_empty() => {
                spec.insert("clusterIPs".into(), json!([address]));
            }
            _ => {
                for field in ["clusterIP", "clusterIPs"] {
                    if let Some(there) = old.get(field) {
                        spec.insert(field.into(), there.clone());
                    }
                }
            }
        }
    }
}
