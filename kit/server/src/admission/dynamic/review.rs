//! Questions to webhooks, and what their answers mean.
//!
//! Sources: `apiserver/pkg/admission/plugin/webhook/{request/admissionreview,errors/statuserror}.go`,
//! `apiserver/pkg/util/webhook/client.go`.

use crate::field::Cause;
use crate::patch::json::Operations;
use crate::status::Details;
use crate::{Error, Server};
use base64::Engine as _;
use serde_json::Value;

/// A call of a webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The name of the webhook.
    pub name: String,
    /// Who is called.
    pub target: Target,
    /// Who may have signed the certificate, as PEM; empty if anybody that the system trusts.
    pub ca_bundle: Vec<u8>,
    /// How many seconds it may take.
    pub timeout: u64,
    /// The AdmissionReview.
    pub review: Value,
}

/// Who is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A URL.
    Url(String),
    /// A service of the cluster: namespace, name, port and path.
    Service(String, String, u16, String),
}

/// What came of a call: the AdmissionReview that was sent back, or why there is none, in a client's words.
pub type Reply = Result<Value, String>;

/// What some webhooks say.
pub type Known = Vec<(Call, Reply)>;

/// Somebody who calls webhooks for the server.
pub trait Caller {
    /// Calls one, and waits for what it says. `server` is there to find the pods of a service.
    fn call(&self, server: &Server, call: &Call) -> Reply;
}

impl Call {
    /// The URL, as errors tell of it.
    pub fn url(&self) -> String {
        match &self.target {
            Target::Url(url) => url.clone(),
            Target::Service(namespace, name, port, path) => format!("https://{name}.{namespace}.svc:{port}{path}"),
        }
    }

    /// An error of the client that made the call.
    pub fn failed(&self, why: &str) -> String {
        format!("Post \"{}?timeout={}s\": {why}", self.url(), self.timeout)
    }

    /// Whether both ask the same: times and the id of the question are others each time.
    pub(super) fn asks_as(&self, other: &Call) -> bool {
        let plain = |call: &Call| {
            let mut review = call.review.clone();
            if let Some(request) = review["request"].as_object_mut() {
                request.shift_remove("uid");
            }
            for object in ["object", "oldObject"] {
                if let Some(metadata) = review["request"][object]["metadata"].as_object_mut() {
                    ["creationTimestamp", "managedFields", "uid"]
                        .iter()
                        .for_each(|field| _ = metadata.shift_remove(*field));
                }
            }
            review
        };
        self.name == other.name && self.target == other.target && plain(self) == plain(other)
    }
}

/// What a webhook says of a request.
pub(super) struct Verdict {
    pub allowed: bool,
    pub status: Value,
    pub patch: Option<Operations>,
    pub warnings: Vec<String>,
    pub annotations: Vec<(String, String)>,
}

/// What an answer says (`VerifyAdmissionResponse`).
pub(super) fn read(reply: &Value, uid: &str, version: &str, mutating: bool) -> Result<Verdict, String> {
    let expected = format!("admission.k8s.io/{version}");
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_string();
    let (api_version, kind) = (text(reply, "apiVersion"), text(reply, "kind"));
    if api_version != expected || kind != "AdmissionReview" {
        return Err(format!(
            "expected webhook response of {expected}, Kind=AdmissionReview, got {api_version}, Kind={kind}"
        ));
    }
    let response = &reply["response"];
    if !response.is_object() {
        return Err("webhook response was absent".into());
    }
    let (bytes, of) = (text(response, "patch"), text(response, "patchType"));
    if version == "v1" {
        let said = text(response, "uid");
        if said != uid {
            return Err(format!("expected response.uid={uid:?}, got {said:?}"));
        }
        match (mutating, bytes.is_empty(), of.is_empty()) {
            (false, false, _) => return Err("validating webhook may not return response.patch".into()),
            (false, true, false) => return Err("validating webhook may not return response.patchType".into()),
            (true, false, true) => return Err("webhook returned response.patch but not response.patchType".into()),
            (true, true, false) => return Err("webhook returned response.patchType but not response.patch".into()),
            _ => {}
        }
        if !of.is_empty() && of != "JSONPatch" {
            return Err(format!("webhook returned invalid response.patchType of {of:?}"));
        }
    }
    let patch = match bytes.is_empty() {
        true => None,
        false => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(&bytes).map_err(|why| why.to_string())?;
            let value: Value = serde_json::from_slice(&bytes).map_err(|why| why.to_string())?;
            Some(Operations::read(&value, false)?)
        }
    };
    let texts = |value: &Value| {
        value.as_array().into_iter().flatten().filter_map(|item| Some(item.as_str()?.to_string())).collect()
    };
    let annotations = response["auditAnnotations"].as_object().into_iter().flatten();
    Ok(Verdict {
        allowed: response["allowed"] == true,
        status: response["status"].clone(),
        patch,
        warnings: texts(&response["warnings"]),
        annotations: annotations.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_string()))).collect(),
    })
}

/// The reasons that a refusal may have, for programs.
const REASONS: [&str; 12] = [
    "Unauthorized",
    "Forbidden",
    "NotFound",
    "AlreadyExists",
    "Conflict",
    "Gone",
    "Invalid",
    "Timeout",
    "TooManyRequests",
    "BadRequest",
    "MethodNotAllowed",
    "InternalError",
];

/// A refusal, with what the webhook says of it (`ToStatusErr`).
pub(super) fn denied(name: &str, status: &Value) -> Error {
    let text = |field: &str| status[field].as_str().unwrap_or_default();
    let code = status["code"].as_i64().and_then(|code| i32::try_from(code).ok()).filter(|code| *code >= 400);
    let by = format!("admission webhook {name:?} denied the request");
    let message = match (text("message"), text("reason")) {
        ("", "") => format!("{by} without explanation"),
        ("", reason) => format!("{by}: {reason}"),
        (message, _) => format!("{by}: {message}"),
    };
    let mut error = Error::internal(message);
    error.code = code.unwrap_or(400);
    error.reason = REASONS.into_iter().find(|reason| *reason == text("reason")).unwrap_or_default();
    let details = &status["details"];
    if details.is_object() {
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_string();
        let causes = details["causes"].as_array().into_iter().flatten();
        error.details = Some(Box::new(Details {
            name: text(details, "name"),
            group: text(details, "group"),
            kind: text(details, "kind"),
            causes: causes
                .map(|cause| Cause { reason: "", message: text(cause, "message"), field: text(cause, "field") })
                .collect(),
            ..Details::default()
        }));
    }
    error
}
