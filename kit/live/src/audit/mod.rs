//! The audit log: who did what when, one event of `audit.k8s.io/v1` a line.
//!
//! A [`Trail`] goes along with one request and tells of each stage that the policy ([`policy`]) doesn't leave out. Sources:
//! `apiserver/pkg/endpoints/filters/audit.go`, `apiserver/pkg/audit/request.go`, `apiserver/plugin/pkg/audit/log`.

pub mod policy;

use hyper::http::request::Parts;
use kit_server::{Error, RequestInfo, User};
use policy::{Level, Policy, Told};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where events go, and which.
#[derive(Debug)]
pub struct Audit {
    policy: Policy,
    file: Mutex<File>,
}

impl Audit {
    /// A log that is appended to `file`.
    ///
    /// # Errors
    ///
    /// If the file can't be opened.
    pub fn to_file(file: &Path, policy: Policy) -> std::io::Result<Audit> {
        let file = File::options().create(true).append(true).open(file)?;
        Ok(Audit { policy, file: Mutex::new(file) })
    }

    fn write(&self, event: &Value) {
        let line = event.to_string() + "\n";
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::warn!(%error, "the audit log can't be written");
        }
    }
}

/// Who sends a request, and from where.
pub struct Sender<'a> {
    /// Who sends it.
    pub user: &'a User,
    /// For whom it is done, if that is somebody else.
    pub other: Option<&'a User>,
    /// The address.
    pub address: &'a str,
}

/// What is told of one request, as it goes on.
pub struct Trail {
    audit: Arc<Audit>,
    told: Told,
    event: Value,
    /// Whether the answer goes on after it has begun.
    long: bool,
}

impl Trail {
    /// Begins to tell of a request; none if nothing is told. `id` is its audit id.
    pub fn begin(audit: &Arc<Audit>, head: &Parts, info: &RequestInfo, sender: &Sender<'_>, id: &str) -> Option<Trail> {
        let told = audit.policy.told(sender.user, info);
        if told.level == Level::None {
            return None;
        }
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": told.level.name(), "auditID": id, "stage": "",
            "requestURI": head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            "verb": info.verb, "user": sender.user.to_value(),
        });
        if let Some(other) = sender.other {
            event["impersonatedUser"] = other.to_value();
        }
        event["sourceIPs"] = json!([sender.address]);
        // `maxUserAgentLength` of `apiserver/pkg/audit/request.go`.
        event["userAgent"] = match text("user-agent") {
            long if long.len() > 1024 => format!("{}...TRUNCATED", long.get(..1024).unwrap_or_default()).into(),
            short => short.into(),
        };
        if info.is_resource {
            let fields = [
                ("resource", &info.resource),
                ("namespace", &info.namespace),
                ("name", &info.name),
                ("apiGroup", &info.group),
                ("apiVersion", &info.version),
                ("subresource", &info.subresource),
            ];
            let said = fields.into_iter().filter(|(_, value)| !value.is_empty());
            event["objectRef"] = said.map(|(name, value)| (name.to_string(), Value::from(value.as_str()))).collect();
        }
        event["requestReceivedTimestamp"] = now().into();
        let trail = Trail { audit: audit.clone(), told, event, long: info.long_running() };
        trail.tell("RequestReceived");
        Some(trail)
    }

    /// What the request holds.
    pub fn sent(&mut self, body: &[u8]) {
        if self.event["objectRef"].is_object()
            && let Ok(object) = serde_json::from_slice::<Value>(body)
        {
            // What the path doesn't say, the object may (`LogRequestObject`).
            for field in ["namespace", "name", "uid", "resourceVersion"] {
                let said = &object["metadata"][field];
                if said.is_string() && self.event["objectRef"][field].is_null() {
                    self.event["objectRef"][field] = said.clone();
                }
            }
        }
        if self.told.level >= Level::Request {
            self.object("requestObject", body);
        }
    }

    /// The answer has begun.
    pub fn answered(&mut self, code: u16, body: Option<&[u8]>) {
        let read = || body.and_then(|body| serde_json::from_slice::<Value>(body).ok());
        let mut status = json!({"metadata": {}, "code": code});
        if code >= 400
            && let Some(said) = read().filter(|said| said["kind"] == "Status")
        {
            for field in ["status", "message", "reason", "details"] {
                if !said[field].is_null() {
                    status[field] = said[field].clone();
                }
            }
        }
        self.event["responseStatus"] = status;
        if let Some(body) = body.filter(|_| self.told.level == Level::RequestResponse) {
            self.object("responseObject", body);
        }
        if self.long {
            self.tell("ResponseStarted");
        }
    }

    /// Whether the answer to a request is allowed, and why (`authorization.k8s.io/decision`).
    pub fn decided(&mut self, allowed: &Result<String, Error>) {
        let (decision, reason) = match allowed {
            Ok(reason) => ("allow", reason.as_str()),
            Err(_) => ("forbid", ""),
        };
        self.event["annotations"] =
            json!({"authorization.k8s.io/decision": decision, "authorization.k8s.io/reason": reason});
    }

    /// Admission has something to tell of the request.
    pub fn annotate(&mut self, annotations: Vec<(String, String)>) {
        for (key, value) in annotations {
            self.event["annotations"][key] = value.into();
        }
    }

    /// The answer has been given.
    pub fn complete(self) {
        self.tell("ResponseComplete");
    }

    /// Nobody knows who asks (`WithFailedAuthenticationAudit` of `filters/authn_audit.go`).
    pub fn unknown(&mut self) {
        self.event["responseStatus"] = json!({
            "metadata": {}, "status": "Failure", "message": "Authentication failed, attempted: bearer",
            "reason": "Unauthorized", "code": 401,
        });
        self.tell("ResponseStarted");
    }

    fn object(&mut self, field: &str, body: &[u8]) {
        let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return };
        if self.told.without_managed_fields {
            let forget = |value: &mut Value| {
                if let Some(metadata) = value["metadata"].as_object_mut() {
                    metadata.shift_remove("managedFields");
                }
            };
            if value.is_object() {
                forget(&mut value);
                value["items"].as_array_mut().into_iter().flatten().filter(|item| item.is_object()).for_each(forget);
                if value["items"].is_null() {
                    value.as_object_mut().map(|value| value.shift_remove("items"));
                }
            }
        }
        self.event[field] = value;
    }

    fn tell(&self, stage: &str) {
        if self.told.omitted.iter().any(|omitted| omitted == stage) {
            return;
        }
        let mut event = self.event.clone();
        event["stage"] = stage.into();
        event["stageTimestamp"] = now().into();
        let mut fields: Vec<_> = event.as_object().into_iter().flatten().collect();
        fields.sort_by_key(|(name, _)| position(name));
        self.audit.write(&fields.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect());
    }
}

/// The id of a request: the client's own, if it sent one, or a random one (`filters/audit_init.go`).
pub fn id(sent: &str) -> String {
    if !sent.is_empty() {
        // `MaxAuditIDLength`.
        return sent.chars().take(64).collect();
    }
    let mut bytes = [0; 16];
    _ = SystemRandom::new().fill(&mut bytes);
    let bits = u128::from_be_bytes(bytes) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    parts.map(|(from, to)| hex.get(from..to).unwrap_or_default()).join("-")
}

/// Where a field stands in an event (`apiserver/pkg/apis/audit/v1/types.go`).
fn position(field: &str) -> usize {
    const ORDER: [&str; 18] = [
        "kind",
        "apiVersion",
        "level",
        "auditID",
        "stage",
        "requestURI",
        "verb",
        "user",
        "impersonatedUser",
        "sourceIPs",
        "userAgent",
        "objectRef",
        "responseStatus",
        "requestObject",
        "responseObject",
        "requestReceivedTimestamp",
        "stageTimestamp",
        "annotations",
    ];
    ORDER.iter().position(|there| *there == field).unwrap_or(ORDER.len())
}

/// The time with microseconds, as `metav1.MicroTime` writes it.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = kit_api::jiff::Timestamp::from_microsecond(since.as_micros() as i64).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
