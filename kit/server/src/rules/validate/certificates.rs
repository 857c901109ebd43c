//! Requests for certificates.
//!
//! Sources: `pkg/apis/certificates/validation/validation.go`, and `ValidateSignerName` of
//! `pkg/apis/core/validation/validation.go`. What the request holds is not looked at, nor its signature.

use crate::field::{At, Errors, quoted};
use base64::Engine as _;
use kit_api::name;
use std::collections::BTreeSet;

const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
const LEAST_SECONDS: i64 = 600;

pub fn request(e: &mut Errors, root: &At<'_>) {
    let spec = root.get("spec");
    let sent = spec.get("request");
    let bytes = base64::engine::general_purpose::STANDARD.decode(sent.text()).unwrap_or_default();
    if !String::from_utf8_lossy(&bytes).contains("-----BEGIN CERTIFICATE REQUEST-----") {
        let shown: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:x}")).collect();
        let shown = match shown[..] {
            [] => "[]byte(nil)".into(),
            _ => format!("[]byte{{{}}}", shown.join(", ")),
        };
        e.invalid_as(&sent, &shown, "PEM block type must be CERTIFICATE REQUEST");
    }
    let usages = spec.get("usages");
    if usages.is_empty() {
        e.required(&usages, "");
    }
    let mut seen = BTreeSet::new();
    for usage in usages.items() {
        if !USAGES.contains(&usage.text()) {
            e.not_supported(&usage, &USAGES);
        } else if !seen.insert(usage.text()) {
            e.duplicate(&usage, &quoted(usage.text()));
        }
    }
    signer(e, &spec.get("signerName"));
    let seconds = spec.get("expirationSeconds");
    if seconds.int().is_some_and(|seconds| seconds < LEAST_SECONDS) {
        e.invalid(&seconds, "may not specify a duration less than 600 seconds (10 minutes)");
    }
    conditions(e, &root.at("status.conditions"));
}

/// Says what is wrong with the status of a request (`ValidateCertificateSigningRequestStatusUpdate`).
pub fn status(e: &mut Errors, new: &At<'_>, old: &At<'_>) {
    request(e, new);
    let conditions = new.at("status.conditions");
    for type_ in ["Approved", "Denied", "Failed"] {
        let count = |at: &At<'_>| at.items().iter().filter(|one| one.get("type").text() == type_).count();
        if count(&conditions) < count(&old.at("status.conditions")) {
            e.forbidden(&conditions, &format!("updates may not remove a condition of type {type_:?}"));
        }
    }
    let (certificate, before) = (new.at("status.certificate"), old.at("status.certificate"));
    if !before.text().is_empty() && certificate.text() != before.text() {
        e.forbidden(&certificate, "updates may not modify existing certificate content");
    }
}

fn signer(e: &mut Errors, at: &At<'_>) {
    if at.text() == "kubernetes.io/legacy-unknown" {
        return e.invalid(at, "the legacy signerName is not allowed via this API version");
    }
    let parts: Vec<&str> = at.text().split('/').collect();
    let (domain, path) = match parts[..] {
        _ if at.text().is_empty() => return e.required(at, ""),
        [domain, path] => (domain, path),
        _ => {
            let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
            return e.invalid(at, why);
        }
    };
    for label in domain.split('.') {
        for why in name::dns1123_label(label) {
            e.invalid_as(at, &quoted(domain), &format!("validating label {label:?}: {why}"));
        }
    }
    if !domain.contains('.') {
        e.invalid_as(at, &quoted(domain), "should be a domain with at least two segments separated by dots");
    }
    for label in path.split('.') {
        for why in name::dns1123_subdomain(label) {
            e.invalid_as(at, &quoted(path), &format!("validating label {label:?}: {why}"));
        }
    }
}

fn conditions(e: &mut Errors, conditions: &At<'_>) {
    let mut seen = BTreeSet::new();
    let mut decided: Option<&str> = None;
    for condition in conditions.items() {
        let (type_, status) = (condition.get("type"), condition.get("status"));
        let text = type_.text();
        if text.is_empty() {
            e.required(&type_, "");
        }
        match (status.text(), ["Approved", "Denied", "Failed"].contains(&text)) {
            ("", _) => e.required(&status, ""),
            ("True", _) | ("False" | "Unknown", false) => {}
            (_, true) => e.not_supported(&status, &["True"]),
            (_, false) => e.not_supported(&status, &["False", "True", "Unknown"]),
        }
        if ["Approved", "Denied"].contains(&text) {
            if decided.is_some_and(|other| other != text) {
                let why = "Approved and Denied conditions are mutually exclusive";
                e.invalid(&type_, why);
            }
            decided = Some(text);
        }
        if !seen.insert(text) {
            e.duplicate(&type_, &quoted(text));
        }
    }
}
