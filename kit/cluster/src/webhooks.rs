//! Webhooks in the cluster: pods that answer the API server, as their image is described.
//!
//! Nothing is sent over the cluster's network: the server is told what the pod would say. It asks whichever ready endpoint of the
//! service comes first.

use base64::Engine as _;
use kit_apimachinery::object::Kind;
use kit_cel::{Program, Scope, Type, Value as Cel};
use kit_node::kubelet::image::{Registry, Webhook};
use kit_server::{Call, CallTarget, Caller, Reply, Server};
use serde_json::{Value, json};

/// The pods of a cluster whose images answer for webhooks.
pub struct Pods {
    /// How the images behave.
    pub images: Registry,
}

impl Caller for Pods {
    fn call(&self, server: &Server, call: &Call) -> Reply {
        if let CallTarget::Url(_) = &call.target {
            // Nothing outside of the cluster can be reached.
            return Err(call.failed("dial tcp: lookup failed: no such host"));
        }
        let (address, port) = server.endpoint_of(call)?;
        let webhook = self.at(server, &address);
        let webhook =
            webhook.ok_or_else(|| call.failed(&format!("dial tcp {address}:{port}: connect: connection refused")))?;
        if webhook.latency > call.timeout as f64 {
            return Err(call.failed("context deadline exceeded"));
        }
        Ok(answer(webhook, &call.review))
    }
}

impl Pods {
    /// What answers at a pod's address.
    fn at(&self, server: &Server, address: &str) -> Option<&Webhook> {
        let pods = server.snapshot().list(Kind::Pod).map(|stored| stored.to_value());
        let pod = pods.into_iter().find(|pod| pod["status"]["podIP"] == address)?;
        let containers = pod["spec"]["containers"].as_array()?;
        containers.iter().find_map(|container| self.images.get(container["image"].as_str()?)?.webhook.as_ref())
    }
}

fn answer(webhook: &Webhook, review: &Value) -> Value {
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    let allowed = if webhook.allow.is_empty() { Ok(true) } else { allows(&webhook.allow, &review["request"]) };
    let refusal = match allowed {
        Ok(true) => None,
        Ok(false) => Some(webhook.message.clone()),
        Err(why) => Some(why),
    };
    if let Some(message) = refusal {
        response["allowed"] = false.into();
        response["status"] = json!({"code": 403, "message": message});
    } else if !webhook.patch.is_empty() {
        let patch = Value::from(webhook.patch.clone()).to_string();
        response["patchType"] = "JSONPatch".into();
        response["patch"] = base64::engine::general_purpose::STANDARD.encode(patch).into();
    }
    json!({"kind": "AdmissionReview", "apiVersion": review["apiVersion"], "response": response})
}

fn allows(expression: &str, request: &Value) -> Result<bool, String> {
    let program = Program::compile(expression, &[("request", Type::Dyn)])?;
    let scope = Scope::new(vec![("request", Cel::of(request, None))]);
    scope.evaluate(&program).map(|value| matches!(value, Cel::Bool(true)))
}
