//! What a new pod requests: the recommendation, as far as the pod, its policy and its namespace allow it.
//!
//! Sources: `pkg/admission-controller/resource/pod/patch`, `pkg/utils/vpa/capping.go` and
//! `pkg/utils/vpa/limit_and_request_scaling.go`. Limits of whole pods (`type: Pod` of a LimitRange) aren't looked at.

use super::object::Autoscaler;
use super::policy;
use kit_api::core::LimitRange;
use kit_api::meta::ObjectMeta;
use kit_apimachinery::object::Kind;
use kit_contract::workloads::vpa::{Amounts, Recommendation, Resource};
use kit_server::{Server, Snapshot, Webhook};
use serde_json::{Map, Value, json};

/// The webhook that completes new pods.
pub struct Admission;

impl Webhook for Admission {
    fn complete(&self, server: &Server, pod: &mut Value) {
        let Ok(meta) = serde_json::from_value::<ObjectMeta>(pod["metadata"].clone()) else { return };
        let snapshot = server.snapshot();
        let all = Autoscaler::all(server);
        let Some(of) = Autoscaler::of(&all, &meta, snapshot).filter(|of| of.mode() != "Off") else { return };
        let limits = Limits::of(snapshot, meta.namespace.as_deref().unwrap_or_default());
        let mut updates = Vec::new();
        let mut names = Vec::new();
        for (index, container) in pod["spec"]["containers"].as_array_mut().into_iter().flatten().enumerate() {
            let name = container["name"].as_str().unwrap_or_default().to_string();
            let recommended = policy::read(&of.status).into_iter().find(|one| one.container_name == name);
            let before = Requested::of(container);
            names.push(name);
            let Some(recommended) = recommended else { continue };
            let (recommended, mut notes) = fitted(&recommended, &before, &of.spec, &limits);
            let mut set = |field: &str, what: &str, amounts: &Amounts| {
                for (resource, amount) in amounts {
                    let text = policy::quantity(*resource, *amount).to_string();
                    container["resources"][field][resource.name()] = text.into();
                    notes.push(format!("{} {what}", resource.name()));
                }
            };
            set("requests", "request", &recommended.target);
            if !requests_only(&of.spec, &recommended.container_name) {
                set("limits", "limit", &proportional(&before, &recommended.target, &limits));
            }
            updates.push(format!("container {index}: {}", notes.join(", ")));
        }
        if !pod["metadata"]["annotations"].is_object() {
            pod["metadata"]["annotations"] = Value::Object(Map::new());
        }
        let annotations = &mut pod["metadata"]["annotations"];
        if !updates.is_empty() {
            let text = format!("Pod resources updated by {}: {}", of.stored.key.name, updates.join("; "));
            annotations["vpaUpdates"] = json!(text);
        }
        annotations["vpaObservedContainers"] = json!(names.join(", "));
    }
}

fn requests_only(spec: &Value, container: &str) -> bool {
    policy::of(spec, container).is_some_and(|policy| policy["controlledValues"] == "RequestsOnly")
}

/// What a container requests and may use.
#[derive(Default)]
pub struct Requested {
    /// `resources.requests`
    pub requests: Amounts,
    /// `resources.limits`
    pub limits: Amounts,
}

impl Requested {
    fn of(container: &Value) -> Requested {
        let list = |field: &str| policy::amounts(&container["resources"][field]);
        Requested { requests: list("requests"), limits: list("limits") }
    }
}

/// What the LimitRanges of a namespace say of containers.
#[derive(Default)]
pub struct Limits {
    min: Amounts,
    max: Amounts,
    default: Amounts,
}

impl Limits {
    /// Those of a namespace: of several the strictest (`GetContainerLimitRangeItem`).
    pub fn of(snapshot: &Snapshot, namespace: &str) -> Limits {
        let mut all = Limits::default();
        let Some(kind) = Kind::named("LimitRange") else { return all };
        for stored in snapshot.list_in(kind, namespace) {
            let Ok(range) = serde_json::from_value::<LimitRange>(stored.to_value()) else { continue };
            let items = range.spec.into_iter().flat_map(|spec| spec.limits);
            for item in items.filter(|item| item.type_ == "Container") {
                let merge = |into: &mut Amounts, from, stricter: fn(i64, i64) -> i64| {
                    for (resource, amount) in policy::of_container(from) {
                        into.entry(resource).and_modify(|there| *there = stricter(*there, amount)).or_insert(amount);
                    }
                };
                merge(&mut all.min, item.min.as_ref(), i64::max);
                merge(&mut all.max, item.max.as_ref(), i64::min);
                merge(&mut all.default, item.default.as_ref(), i64::min);
            }
        }
        all
    }

    /// The limit of a container, or the namespace's default.
    fn limit(&self, of: &Requested, resource: Resource) -> Option<i64> {
        let own = of.limits.get(&resource).or_else(|| self.default.get(&resource));
        own.copied().filter(|limit| *limit != 0)
    }

    /// The request with which the limit, in proportion, comes to this (`GetBoundaryRequest`).
    fn boundary(&self, of: &Requested, resource: Resource, boundary: i64) -> Option<i64> {
        let limit = self.limit(of, resource)?;
        Some(match of.requests.get(&resource).filter(|request| **request != 0) {
            Some(request) => scaled(*request, boundary, limit),
            None => boundary,
        })
    }
}

/// `amount × to / from`, rounded down.
fn scaled(amount: i64, to: i64, from: i64) -> i64 {
    let product = i128::from(amount) * i128::from(to) / i128::from(from.max(1));
    i64::try_from(product).unwrap_or(i64::MAX)
}

/// A recommendation as this container can have it, and what was changed (`getCappedRecommendationForContainer`).
pub fn fitted(
    recommendation: &Recommendation,
    container: &Requested,
    spec: &Value,
    limits: &Limits,
) -> (Recommendation, Vec<String>) {
    let name = &recommendation.container_name;
    let allowed =
        |field: &str| policy::of(spec, name).map(|policy| policy::amounts(&policy[field])).unwrap_or_default();
    let (min, max) = (allowed("minAllowed"), allowed("maxAllowed"));
    let only_requests = requests_only(spec, name);
    let mut notes = Vec::new();
    let mut fit = |amounts: &Amounts, told: bool| -> Amounts {
        let mut fitted = amounts.clone();
        for (resource, amount) in &mut fitted {
            let of = |list: &Amounts| list.get(resource).copied().filter(|limit| *limit != 0);
            let most = of(&limits.max).and_then(|most| limits.boundary(container, *resource, most));
            // Request and limit must both be above the namespace's least.
            let least = of(&limits.min)
                .map(|least| least.max(limits.boundary(container, *resource, least).unwrap_or_default()));
            let own = of(&container.limits).filter(|_| only_requests);
            for (bound, at_least, note) in [
                (least, true, "capped to fit Min in container LimitRange"),
                (most, false, "capped to fit Max in container LimitRange"),
                (of(&min), true, "capped to minAllowed"),
                (of(&max), false, "capped to maxAllowed"),
                (own, false, "capped to container limit"),
            ] {
                let Some(bound) = bound.filter(|bound| if at_least { *amount < *bound } else { *amount > *bound })
                else {
                    continue;
                };
                *amount = bound;
                if told {
                    notes.push(format!("{} {note}", resource.name()));
                }
            }
        }
        fitted
    };
    let target = fit(&recommendation.target, true);
    let (lower_bound, upper_bound) = (fit(&recommendation.lower_bound, false), fit(&recommendation.upper_bound, false));
    (Recommendation { target, lower_bound, upper_bound, ..recommendation.clone() }, notes)
}

/// Limits in the proportion to requests that they had (`GetProportionalLimit`).
fn proportional(before: &Requested, target: &Amounts, limits: &Limits) -> Amounts {
    let of = |(resource, request): (&Resource, &i64)| {
        let limit = limits.limit(before, *resource)?;
        Some((
            *resource,
            match before.requests.get(resource).filter(|before| **before != 0) {
                Some(before) => scaled(limit, *request, *before),
                // A limit alone is a request, too.
                None => *request,
            },
        ))
    };
    target.iter().filter_map(of).collect()
}
