//! LimitRanges: what containers get that don't say it, and how much is too much or too little.
//!
//! Source: `plugin/pkg/admission/limitranger/admission.go`.

use super::super::rules::{items_in, map_in};
use super::super::{Error, Server};
use crate::object::{Key, Kind};
use kit_api::Quantity;
use kit_api::core::{LimitRange, LimitRangeItem};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

type Amounts = BTreeMap<String, Quantity>;

fn amounts(value: &Value) -> Amounts {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(name, amount)| Some((name.clone(), amount.as_str()?.parse().ok()?))).collect()
}

fn list(of: &Option<BTreeMap<String, kit_api::pod_resources::Text>>) -> Amounts {
    of.iter().flatten().filter_map(|(name, amount)| Some((name.clone(), amount.0.parse().ok()?))).collect()
}

/// What a container, a pod or a claim asks for.
struct Asked {
    requests: Amounts,
    limits: Amounts,
}

impl Asked {
    fn of(resources: &Value) -> Asked {
        Asked { requests: amounts(&resources["requests"]), limits: amounts(&resources["limits"]) }
    }

    /// `podRequests` and `podLimits`: the sum of the containers, or the greatest init container.
    fn of_pod(pod: &Value) -> Asked {
        let of = |list: &str| -> Vec<Asked> {
            let containers = pod["spec"][list].as_array().into_iter().flatten();
            containers.map(|container| Asked::of(&container["resources"])).collect()
        };
        let mut total = Asked { requests: Amounts::new(), limits: Amounts::new() };
        for asked in of("containers") {
            for (into, from) in [(&mut total.requests, asked.requests), (&mut total.limits, asked.limits)] {
                from.into_iter().for_each(|(name, amount)| into.entry(name).or_default().add(&amount));
            }
        }
        for asked in of("initContainers") {
            for (into, from) in [(&mut total.requests, asked.requests), (&mut total.limits, asked.limits)] {
                for (name, amount) in from {
                    let there = into.entry(name).or_default();
                    if amount > *there {
                        *there = amount;
                    }
                }
            }
        }
        total
    }
}

impl Server {
    fn limits_of(&self, namespace: &str) -> Vec<LimitRangeItem> {
        let ranges = self.state.list_in(Kind::LimitRange, namespace).filter_map(|stored| stored.get::<LimitRange>());
        ranges.flat_map(|range| range.spec.iter().flat_map(|spec| spec.limits.clone())).collect()
    }

    /// Gives containers what they don't say themselves.
    pub(super) fn limit_defaults(&self, key: &Key, pod: &mut Value) {
        let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
        for limit in self.limits_of(&key.namespace).iter().filter(|limit| limit.type_ == "Container") {
            requests.extend(list(&limit.default_request));
            limits.extend(list(&limit.default));
        }
        let mut said = Vec::new();
        let spec = map_in(pod, "spec");
        for (field, title) in [("containers", "container"), ("initContainers", "init container")] {
            for container in items_in(spec, field) {
                let name = container.get("name").and_then(Value::as_str).unwrap_or_default().to_string();
                let resources = container.entry("resources").or_insert_with(|| json!({}));
                for (kind, word, defaults) in [("requests", "request", &requests), ("limits", "limit", &limits)] {
                    let there = map_in(resources, kind);
                    let missing: Vec<&str> =
                        defaults.keys().map(String::as_str).filter(|name| !there.contains_key(*name)).collect();
                    for resource in &missing {
                        there.insert(resource.to_string(), defaults[*resource].to_string().into());
                    }
                    if !missing.is_empty() {
                        said.push(format!("{} {word} for {title} {name}", missing.join(", ")));
                    }
                    if there.is_empty() {
                        resources.as_object_mut().map(|resources| resources.shift_remove(kind));
                    }
                }
            }
        }
        if !said.is_empty() {
            let metadata = pod["metadata"].as_object_mut();
            let annotations = metadata.map(|metadata| metadata.entry("annotations").or_insert_with(|| json!({})));
            if let Some(annotations) = annotations {
                annotations[ANNOTATION] = format!("LimitRanger plugin set: {}", said.join("; ")).into();
            }
        }
    }

    /// Refuses a pod or a claim that asks for too much or too little.
    pub(super) fn check_limits(&self, key: &Key, value: &Value) -> Result<(), Error> {
        let limits = match key.kind {
            Kind::Pod | Kind::PersistentVolumeClaim => self.limits_of(&key.namespace),
            _ => return Ok(()),
        };
        let mut problems = Vec::new();
        for limit in &limits {
            match (key.kind, limit.type_.as_str()) {
                (Kind::PersistentVolumeClaim, "PersistentVolumeClaim") => {
                    claim(&mut problems, limit, &Asked::of(&value["spec"]["resources"]));
                }
                (Kind::Pod, "Container") => {
                    for field in ["containers", "initContainers"] {
                        for container in value["spec"][field].as_array().into_iter().flatten() {
                            compare(&mut problems, limit, &Asked::of(&container["resources"]));
                        }
                    }
                }
                (Kind::Pod, "Pod") => compare(&mut problems, limit, &Asked::of_pod(value)),
                _ => {}
            }
        }
        match &problems[..] {
            [] => Ok(()),
            [one] => Err(Error::forbidden(key, one)),
            many => Err(Error::forbidden(key, &format!("[{}]", many.join(", ")))),
        }
    }
}

fn claim(problems: &mut Vec<String>, limit: &LimitRangeItem, asked: &Asked) {
    let storage = asked.requests.get("storage").cloned().unwrap_or_default();
    for (name, least) in list(&limit.min) {
        if storage < least {
            problems.push(format!("minimum {name} usage per {} is {least}, but request is {storage}", limit.type_));
        }
    }
    for (name, most) in list(&limit.max) {
        if storage > most {
            problems.push(format!("maximum {name} usage per {} is {most}, but request is {storage}", limit.type_));
        }
    }
}

fn compare(problems: &mut Vec<String>, limit: &LimitRangeItem, asked: &Asked) {
    let type_ = &limit.type_;
    let both = |name: &str| (asked.requests.get(name), asked.limits.get(name));
    for (name, least) in list(&limit.min) {
        let head = format!("minimum {name} usage per {type_} is {least}");
        match both(&name) {
            (None, _) => problems.push(format!("{head}.  No request is specified")),
            (Some(request), _) if *request < least => problems.push(format!("{head}, but request is {request}")),
            (_, Some(limit)) if *limit < least => problems.push(format!("{head}, but limit is {limit}")),
            _ => {}
        }
    }
    for (name, most) in list(&limit.max) {
        let head = format!("maximum {name} usage per {type_} is {most}");
        match both(&name) {
            (_, None) => problems.push(format!("{head}.  No limit is specified")),
            (_, Some(limit)) if *limit > most => problems.push(format!("{head}, but limit is {limit}")),
            (Some(request), _) if *request > most => problems.push(format!("{head}, but request is {request}")),
            _ => {}
        }
    }
    for (name, ratio) in list(&limit.max_limit_request_ratio) {
        let head = format!("{name} max limit to request ratio per {type_} is {ratio}");
        match both(&name) {
            (None, _) => problems.push(format!("{head}, but no request is specified or request is 0")),
            (Some(request), _) if request.is_zero() => {
                problems.push(format!("{head}, but no request is specified or request is 0"));
            }
            (_, None) => problems.push(format!("{head}, but no limit is specified or limit is 0")),
            (_, Some(limit)) if limit.is_zero() => {
                problems.push(format!("{head}, but no limit is specified or limit is 0"));
            }
            (Some(request), Some(limit)) => {
                let provided = limit.milli_value() as f64 / request.milli_value() as f64;
                if provided > ratio.approximate_f64() {
                    problems.push(format!("{head}, but provided ratio is {provided:.6}"));
                }
            }
        }
    }
}
