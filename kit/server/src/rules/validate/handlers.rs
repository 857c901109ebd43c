//! What kubelets do to containers: probes and lifecycle hooks.
//!
//! Source: `validateProbe`, `validateLifecycle` and `validateHandler` of `pkg/apis/core/validation/validation.go`.

use super::pod::port_number_or_name;
use crate::field::{At, Errors};
use kit_api::name;

/// Kinds of probes, in upstream's order.
pub const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// The hooks and probes of a container; `grace` is how long its pod may take to end, in seconds.
pub fn lifecycle_and_probes(e: &mut Errors, container: &At<'_>, grace: i64) {
    let lifecycle = container.get("lifecycle");
    for hook in ["postStart", "preStop"] {
        let hook = lifecycle.get(hook);
        if hook.is_set() {
            handler(e, &hook, &["exec", "httpGet", "tcpSocket", "sleep"], grace);
        }
    }
    for name in PROBES {
        let probe = container.get(name);
        if probe.is_set() {
            self::probe(e, name, &probe, grace);
        }
    }
}

fn probe(e: &mut Errors, name: &str, probe: &At<'_>, pod_grace: i64) {
    handler(e, probe, &["exec", "httpGet", "tcpSocket", "grpc"], pod_grace);
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        e.not_negative(&probe.get(field));
    }
    let (grace, threshold) = (probe.get("terminationGracePeriodSeconds"), probe.get("successThreshold"));
    if grace.int().is_some_and(|value| value <= 0) {
        e.invalid(&grace, "must be greater than 0");
    }
    if name == "readinessProbe" {
        if grace.is_set() {
            e.invalid(&grace, "must not be set for readinessProbes");
        }
    } else if threshold.int().is_some_and(|value| value != 1) {
        e.invalid(&threshold, "must be 1");
    }
}

fn handler(e: &mut Errors, at: &At<'_>, kinds: &[&str], grace: i64) {
    let said: Vec<(&str, At<'_>)> = kinds.iter().map(|kind| (*kind, at.get(kind))).collect();
    let mut said = said.into_iter().filter(|(_, handler)| handler.is_set());
    match said.next() {
        None => e.required(at, "must specify a handler type"),
        Some((kind, handler)) => action(e, kind, &handler, grace),
    }
    for (_, handler) in said {
        e.forbidden(&handler, "may not specify more than 1 handler type");
    }
}

fn action(e: &mut Errors, kind: &str, handler: &At<'_>, grace: i64) {
    match kind {
        "exec" if handler.get("command").is_empty() => e.required(&handler.get("command"), ""),
        "httpGet" => {
            if handler.get("path").text().is_empty() {
                e.required(&handler.get("path"), "");
            }
            port_number_or_name(e, &handler.get("port"));
            if !["HTTP", "HTTPS"].contains(&handler.get("scheme").text()) {
                e.not_supported(&handler.get("scheme"), &["HTTP", "HTTPS"]);
            }
            for header in handler.get("httpHeaders").items() {
                let at = header.get("name").as_path(format!("{}.httpHeaders", handler.path));
                name::http_header(at.text()).iter().for_each(|problem| e.invalid_text(&at, problem));
            }
        }
        "tcpSocket" | "grpc" => port_number_or_name(e, &handler.get("port")),
        "sleep" => {
            let seconds = handler.get("seconds").int().unwrap_or_default();
            if !(0..=grace).contains(&seconds) {
                let why = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                e.invalid_as(handler, &seconds.to_string(), &why);
            }
        }
        _ => {}
    }
}
