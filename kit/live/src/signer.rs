//! The signers of certificates: whoever's request was approved gets one from the cluster's authority.
//!
//! Upstream they are controllers of the kube-controller-manager; here they stand beside the engine, which has no keys. Source:
//! `pkg/controller/certificates/signer/signer.go` and `…/authority/policies.go`, `pkg/apis/certificates/helpers.go`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kit_cluster::engine::Engine;
use kit_server::Patch;
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
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
        let signer = request["spec"]["signerName"].as_str().unwrap_or_default();
        if done || !is("Approved") || ![CLIENT, KUBELET_CLIENT, KUBELET_SERVING].contains(&signer) {
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
        verify(spec["signerName"].as_str().unwrap_or_default(), &request.params, &usages)?;
        let asks = |usage: &str| usages.contains(&usage);
        let all = [
            (KeyUsagePurpose::DigitalSignature, "digital signature"),
            (KeyUsagePurpose::KeyEncipherment, "key encipherment"),
        ];
        let key_usages = all.into_iter().filter(|(_, name)| asks(name)).map(|(usage, _)| usage).collect();
        let all = [
            (ExtendedKeyUsagePurpose::ClientAuth, "client auth"),
            (ExtendedKeyUsagePurpose::ServerAuth, "server auth"),
        ];
        let extended = all.into_iter().filter(|(_, name)| asks(name)).map(|(usage, _)| usage).collect();
        let seconds = spec["expirationSeconds"].as_u64().map_or(LONGEST, |asked| asked.clamp(SHORTEST, LONGEST));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|why| why.to_string())?;
        let from = rcgen::date_time_ymd(1970, 1, 1) + now.saturating_sub(BACKDATE);
        let params = &mut request.params;
        params.not_before = from;
        params.not_after = from + Duration::from_secs(seconds) + BACKDATE;
        params.key_usages = key_usages;
        params.extended_key_usages = extended;
        params.is_ca = IsCa::ExplicitNoCa;
        request.signed_by(&self.issuer).map(|certificate| certificate.pem()).map_err(|why| why.to_string())
    }
}

/// Whether a signer signs such a request.
fn verify(signer: &str, params: &CertificateParams, usages: &[&str]) -> Result<(), String> {
    if signer == CLIENT {
        return of_client(usages);
    }
    let serving = signer == KUBELET_SERVING;
    let name = |of: DnType| match params.distinguished_name.get(&of) {
        Some(DnValue::Utf8String(text)) => text.as_str(),
        Some(DnValue::PrintableString(text)) => text.as_str(),
        _ => "",
    };
    let has = |of: fn(&SanType) -> bool| params.subject_alt_names.iter().any(of);
    let dns = has(|name| matches!(name, SanType::DnsName(_)));
    let ip = has(|name| matches!(name, SanType::IpAddress(_)));
    let purpose = if serving { "server auth" } else { "client auth" };
    // What a key of RSA asks for besides, others needn't.
    let wanted = ["digital signature", "key encipherment", purpose];
    let asked = usages.iter().all(|usage| wanted.contains(usage))
        && ["digital signature", purpose].iter().all(|usage| usages.contains(usage));
    let mut shown = wanted;
    shown.sort_unstable();
    let usages = (!asked, format!("usages did not match [{}]", shown.join(" ")));
    let common_name = (
        !name(DnType::CommonName).starts_with("system:node:"),
        "subject common name does not begin with system:node:".to_string(),
    );
    let last = if serving { [usages, common_name] } else { [common_name, usages] };
    let reasons = [
        (name(DnType::OrganizationName) != "system:nodes", "subject organization is not system:nodes"),
        (serving && !dns && !ip, "DNS or IP subjectAltName is required"),
        (!serving && dns, "DNS subjectAltNames are not allowed"),
        (has(|name| matches!(name, SanType::Rfc822Name(_))), "Email subjectAltNames are not allowed"),
        (!serving && ip, "IP subjectAltNames are not allowed"),
        (has(|name| matches!(name, SanType::URI(_))), "URI subjectAltNames are not allowed"),
    ];
    let reasons = reasons.map(|(holds, why)| (holds, why.to_string()));
    match reasons.into_iter().chain(last).find(|(holds, _)| *holds) {
        Some((_, why)) => Err(why),
        None => Ok(()),
    }
}

fn of_client(usages: &[&str]) -> Result<(), String> {
    let known = ["digital signature", "key encipherment", "client auth"];
    if let Some(other) = usages.iter().find(|usage| !known.contains(usage)) {
        return Err(format!("invalid usage for client certificate: {other}"));
    }
    match usages.contains(&"client auth") {
        true => Ok(()),
        false => Err("missing required usage for client certificate: client auth".into()),
    }
}

/// What a request for a certificate asks for, as it stands in the object.
fn params(text: &str) -> Result<CertificateSigningRequestParams, String> {
    let pem = STANDARD.decode(text).map_err(|why| why.to_string())?;
    let pem = String::from_utf8(pem).map_err(|why| why.to_string())?;
    CertificateSigningRequestParams::from_pem(&pem).map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(organization: &str, name: &str, names: &[&str]) -> CertificateParams {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::OrganizationName, organization);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    /// Signer, organization, name, other names, usages, and why it isn't signed.
    #[test]
    fn each_signer_signs_what_it_is_for() {
        let (nodes, node) = ("system:nodes", "system:node:n");
        let (client, serving) = (["digital signature", "client auth"], ["digital signature", "server auth"]);
        let rsa = ["key encipherment", "digital signature", "server auth"];
        let none: &[&str] = &[];
        for (signer, organization, name, names, usages, expected) in [
            (CLIENT, "developers", "jane", none, &client[..], ""),
            (CLIENT, "developers", "jane", none, &serving[..], "invalid usage for client certificate: server auth"),
            (CLIENT, "", "jane", none, &[], "missing required usage for client certificate: client auth"),
            (KUBELET_CLIENT, nodes, node, none, &client[..], ""),
            (KUBELET_CLIENT, nodes, node, &["n"], &client[..], "DNS subjectAltNames are not allowed"),
            (KUBELET_CLIENT, nodes, node, &["10.0.0.1"], &client[..], "IP subjectAltNames are not allowed"),
            (KUBELET_CLIENT, nodes, "n", none, &[], "subject common name does not begin with system:node:"),
            (
                KUBELET_CLIENT,
                nodes,
                node,
                none,
                &serving[..],
                "usages did not match [client auth digital signature key encipherment]",
            ),
            (KUBELET_SERVING, nodes, node, &["n", "10.0.0.1"], &serving[..], ""),
            (KUBELET_SERVING, nodes, node, &["n"], &rsa[..], ""),
            (KUBELET_SERVING, nodes, node, none, &serving[..], "DNS or IP subjectAltName is required"),
            (KUBELET_SERVING, "developers", node, &["n"], &serving[..], "subject organization is not system:nodes"),
            (
                KUBELET_SERVING,
                nodes,
                "n",
                &["n"],
                &["server auth"],
                "usages did not match [digital signature key encipherment server auth]",
            ),
        ] {
            let found = verify(signer, &request(organization, name, names), usages).err().unwrap_or_default();
            assert_eq!(found, expected, "{signer} {name} {names:?} {usages:?}");
        }
    }
}
