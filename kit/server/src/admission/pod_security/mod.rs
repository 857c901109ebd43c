//! PodSecurity: what pods of a namespace may do, by the namespace's labels.
//!
//! Without labels everything is allowed, and nobody is exempt. Sources: `pod-security-admission/admission/admission.go` and
//! `api/helpers.go`, `pkg/kubeapiserver/options/plugins.go`.

mod standards;

use super::super::{Error, Server};
use crate::field::{At, Errors};
use crate::write::WriteOptions;
use kit_apimachinery::object::{Key, Kind};
use serde_json::Value;
use standards::{Pod, Problem, problems};
use std::collections::BTreeMap;
use std::fmt;

const LABEL: &str = "pod-security.kubernetes.io/";
/// The version of this API server, which is what `latest` means.
const LATEST: u32 = 33;
/// How many pods are looked at when a namespace gets another level (`defaultNamespaceMaxPodsToCheck`).
const MOST_PODS: usize = 3_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// A level as it was in a minor version; none for the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    level: Level,
    version: Option<u32>,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        match self.version {
            Some(minor) => write!(f, "{level}:v1.{minor}"),
            None => write!(f, "{level}:latest"),
        }
    }
}

impl Rule {
    fn problems(self, pod: Pod<'_>) -> Vec<Problem> {
        match self.level {
            Level::Privileged => Vec::new(),
            level => problems(level == Level::Restricted, self.version.unwrap_or(LATEST).min(LATEST), pod),
        }
    }

    /// What breaks the rule, in words; none if nothing does.
    fn details(self, pod: Pod<'_>) -> Option<String> {
        let told = self.problems(pod).into_iter().map(|problem| match problem.detail.is_empty() {
            true => problem.reason,
            false => format!("{} ({})", problem.reason, problem.detail),
        });
        Some(told.collect::<Vec<_>>().join(", ")).filter(|told| !told.is_empty())
    }
}

/// What the labels of a namespace ask for.
struct Policy {
    enforce: Rule,
    warn: Rule,
}

/// Reads labels (`PolicyToEvaluate`). What can't be read counts as the strictest level where it would refuse something.
fn policy(labels: &Value, errors: &mut Errors) -> Policy {
    let mut read = |mode: &str, wrong: Level| {
        let mut rule = Rule { level: Level::Privileged, version: None };
        let mut invalid = |name: &str, value: &Value, why: &str| {
            let path = format!("metadata.labels[{name}]");
            errors.invalid(&At { value, path }, why);
        };
        let name = format!("{LABEL}{mode}");
        let level = labels[&name].as_str().map(|text| match text {
            "privileged" => Some(Level::Privileged),
            "baseline" => Some(Level::Baseline),
            "restricted" => Some(Level::Restricted),
            _ => None,
        });
        if level == Some(None) {
            invalid(&name, &labels[&name], "must be one of privileged, baseline, restricted");
        }
        rule.level = level.map_or(Level::Privileged, |level| level.unwrap_or(wrong));
        let name = format!("{LABEL}{mode}-version");
        let version = labels[&name].as_str();
        if let Some(text) = version.filter(|text| *text != "latest") {
            let digits = text.strip_prefix("v1.").filter(|rest| *rest == "0" || !rest.starts_with('0'));
            rule.version =
                digits.filter(|rest| rest.bytes().all(|b| b.is_ascii_digit())).and_then(|rest| rest.parse().ok());
            if rule.version.is_none() {
                invalid(&name, &labels[&name], "must be \"latest\" or \"v1.x\"");
            }
        }
        (rule, level.flatten().is_some(), level.is_some(), version.is_some())
    };
    let (enforce, fits, ..) = read("enforce", Level::Restricted);
    read("audit", Level::Privileged);
    let (mut warn, _, says_level, says_version) = read("warn", Level::Privileged);
    if !says_level && fits && enforce.level > warn.level {
        warn.level = enforce.level;
        if !says_version {
            warn.version = enforce.version;
        }
    }
    Policy { enforce, warn }
}

/// The pod in an object of a kind that makes pods.
fn pod_in(kind: Kind, value: &Value) -> Option<Pod<'_>> {
    let pod = match kind {
        Kind::Pod => value,
        Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet | Kind::DaemonSet | Kind::Job => {
            &value["spec"]["template"]
        }
        Kind::CronJob => &value["spec"]["jobTemplate"]["spec"]["template"],
        Kind::Other(resource) if resource.kind == "ReplicationController" => &value["spec"]["template"],
        Kind::Other(resource) if resource.kind == "PodTemplate" => &value["template"],
        _ => return None,
    };
    pod.is_object().then(|| Pod { annotations: &pod["metadata"]["annotations"], spec: &pod["spec"] })
}

/// Whether an update of a pod changes something that matters (`isSignificantPodUpdate`).
fn matters(new: &Value, old: &Value) -> bool {
    let images = |pod: &Value, list: &str| -> Vec<(Value, Value)> {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers.map(|container| (container["name"].clone(), container["image"].clone())).collect()
    };
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    lists.iter().any(|list| images(new, list) != images(old, list))
}

impl Server {
    /// Refuses pods that break the level of their namespace, and warns of those that would be refused.
    pub(super) fn pod_security(
        &mut self,
        key: &Key,
        value: &Value,
        old: Option<&Value>,
        options: &WriteOptions,
    ) -> Result<(), Error> {
        if key.kind == Kind::Namespace && options.subresource.is_none() {
            return self.namespace_security(key, value, old);
        }
        let is_pod = key.kind == Kind::Pod;
        let ignored = match options.subresource {
            None => false,
            Some(part) => !is_pod || ["status", "binding", "eviction"].contains(&part),
        };
        if ignored {
            return Ok(());
        }
        let Some(pod) = pod_in(key.kind, value) else { return Ok(()) };
        let Some(namespace) = self.state.get(&Key::new(Kind::Namespace, "", &key.namespace)) else { return Ok(()) };
        let labels = namespace.object.meta().labels.as_ref();
        if !labels.is_some_and(|labels| labels.keys().any(|name| name.starts_with(LABEL))) {
            return Ok(());
        }
        let labels = serde_json::to_value(labels).unwrap_or_default();
        let policy = policy(&labels, &mut Errors::default());
        if is_pod && old.is_some_and(|old| !matters(value, old)) {
            return Ok(());
        }
        if let Some(details) = policy.enforce.details(pod).filter(|_| is_pod) {
            return Err(Error::forbidden(key, &format!("violates PodSecurity \"{}\": {details}", policy.enforce)));
        }
        if let Some(details) = policy.warn.details(pod) {
            self.warnings.push(format!("would violate PodSecurity \"{}\": {details}", policy.warn));
        }
        Ok(())
    }

    fn namespace_security(&mut self, key: &Key, value: &Value, old: Option<&Value>) -> Result<(), Error> {
        let (mut errors, mut before) = (Errors::default(), Errors::default());
        let new = policy(&value["metadata"]["labels"], &mut errors);
        let Some(old) = old else {
            return if errors.0.is_empty() { Ok(()) } else { Err(Error::invalid_object(key, errors.0)) };
        };
        let was = policy(&old["metadata"]["labels"], &mut before).enforce;
        if !errors.0.is_empty() && errors.0 != before.0 {
            return Err(Error::invalid_object(key, errors.0));
        }
        let now = new.enforce;
        let stricter =
            now != was && now.level != Level::Privileged && (now.version != was.version || now.level > was.level);
        if stricter {
            let warnings = self.pods_against(now, &key.name);
            self.warnings.extend(warnings);
        }
        Ok(())
    }

    /// What is to be said of the pods that are there when a namespace gets another level (`EvaluatePodsInNamespace`).
    fn pods_against(&self, rule: Rule, namespace: &str) -> Vec<String> {
        let pods: Vec<_> = self.state.list_in(Kind::Pod, namespace).collect();
        let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for stored in pods.iter().take(MOST_PODS) {
            let value = stored.to_value();
            let Some(pod) = pod_in(Kind::Pod, &value) else { continue };
            let reasons: Vec<String> = rule.problems(pod).into_iter().map(|problem| problem.reason).collect();
            if !reasons.is_empty() {
                found.entry(reasons.join(", ")).or_default().push(stored.object.name());
            }
        }
        let mut told = Vec::new();
        if pods.len() > MOST_PODS {
            let all = pods.len();
            let what = "new PodSecurity enforce level only checked against the first";
            told.push(format!("{what} {MOST_PODS} of {all} existing pods"));
        }
        if !found.is_empty() {
            let what = "violate the new PodSecurity enforce level";
            told.push(format!("existing pods in namespace {namespace:?} {what} \"{rule}\""));
        }
        let mut lines: Vec<String> = found
            .into_iter()
            .map(|(reasons, mut names)| {
                names.sort_unstable();
                match names[..] {
                    [name] => format!("{name}: {reasons}"),
                    [first, _] => format!("{first} (and 1 other pod): {reasons}"),
                    _ => format!("{} (and {} other pods): {reasons}", names[0], names.len() - 1),
                }
            })
            .collect();
        lines.sort();
        told.append(&mut lines);
        told
    }
}
