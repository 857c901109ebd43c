//! The signer of client certificates: whoever's request was approved gets one from the cluster's authority.
//!
//! Upstream it is a controller of the kube-controller-manager; here it stands beside the engine, which has no keys. Only
//! `kubernetes.io/kube-apiserver-client` is signed: no kubelet asks for a certificate. Source:
//! `pkg/controller/certificates/signer/signer.go` and `…/authority/policies.go`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kit_cluster::engine::Engine;
use kit_server::Patch;
use rcgen::{CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SIGNER: &str = "kubernetes.io/kube-apiserver-client";
/// How long a certificate is good for, if it isn't to be less (`--cluster-signing-duration`).
const LONGEST: u64 = 365 * 24 * 3600;
/// No certificate is good for less.
const SHORTEST: u64 = 600;
/// Certificates are good from a little before now on, for clocks that are behind.
const BACKDATE: Duration = Duration::from_secs(300);

/// Who signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// The authority of a certificate and its key, both as PEM.
    ///
    /// # Errors
    ///
    /// If they are broken.
    pub fn new(certificate: &str, key: &str) -> Result<Authority, rcgen::Error> {
        Ok(Authority { issuer: Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key)?)? })
    }

    /// Looks at requests whenever something has changed.
    pub fn pump(self) -> impl FnMut(&mut Engine) -> bool {
        let mut seen = 0;
        move |engine| {
            let end = engine.server().end();
            if end != std::mem::replace(&mut seen, end) {
                self.look(engine);
            }
            true
        }
    }

    fn look(&self, engine: &mut Engine) {
        let server = engine.server();
        let Some(kind) = server.kind_of("certificates.k8s.io/v1", "CertificateSigningRequest") else { return };
        let all = server.snapshot().list(kind).map(|stored| (stored.key.clone(), stored.to_value()));
        let answers: Vec<_> = all.filter_map(|(key, request)| Some((key, self.answer(&request)?))).collect();
        for (key, status) in answers {
            let patch = Patch::Merge(json!({"status": status}));
            if let Err(error) = engine.request(|server| server.patch(&key, &patch, true)) {
                tracing::warn!("{}", error.message);
            }
        }
    }

    /// The status that a request gets; nothing if it isn't its turn.
    fn answer(&self, request: &Value) -> Option<Value> {
        let conditions = request["status"]["conditions"].as_array()?;
        let is = |of: &str| conditions.iter().any(|one| one["type"] == of && one["status"] == "True");
        let done = request["status"]["certificate"].is_string() || is("Failed") || is("Denied");
        if done || !is("Approved") || request["spec"]["signerName"] != SIGNER {
            return None;
        }
        match self.sign(&request["spec"]) {
            Ok(certificate) => Some(json!({"certificate": STANDARD.encode(certificate)})),
            Err(why) => {
                let mut conditions = conditions.clone();
                conditions.push(json!({
                    "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": why,
                    "lastUpdateTime": conditions[0]["lastUpdateTime"],
                    "lastTransitionTime": conditions[0]["lastTransitionTime"],
                }));
                Some(json!({"conditions": conditions}))
            }
        }
    }

    fn sign(&self, spec: &Value) -> Result<String, String> {
        let mut request = params(spec["request"].as_str().unwrap_or_default())?;
        let usages: Vec<&str> = spec["usages"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut key_usages = Vec::new();
        for usage in &usages {
            match *usage {
                "digital signature" => key_usages.push(KeyUsagePurpose::DigitalSignature),
                "key encipherment" => key_usages.push(KeyUsagePurpose::KeyEncipherment),
                "client auth" => {}
                other => return Err(format!("invalid usage for client certificate: {other}")),
            }
        }
        if !usages.contains(&"client auth") {
            return Err("missing required usage for client certificate: client auth".into());
        }
        let seconds = spec["expirationSeconds"].as_u64().map_or(LONGEST, |asked| asked.clamp(SHORTEST, LONGEST));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|why| why.to_string())?;
        let from = rcgen::date_time_ymd(1970, 1, 1) + now.saturating_sub(BACKDATE);
        let params = &mut request.params;
        params.not_before = from;
        params.not_after = from + Duration::from_secs(seconds) + BACKDATE;
        params.key_usages = key_usages;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.is_ca = IsCa::ExplicitNoCa;
        request.signed_by(&self.issuer).map(|certificate| certificate.pem()).map_err(|why| why.to_string())
    }
}

/// What a request for a certificate asks for, as it stands in the object.
fn params(text: &str) -> Result<CertificateSigningRequestParams, String> {
    let pem = STANDARD.decode(text).map_err(|why| why.to_string())?;
    let pem = String::from_utf8(pem).map_err(|why| why.to_string())?;
    CertificateSigningRequestParams::from_pem(&pem).map_err(|why| why.to_string())
}
