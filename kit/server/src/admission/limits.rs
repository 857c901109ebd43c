//! LimitRanges: what containers get that don't say it, and how much is too much or too little.
//!
//! What follows for pods is the module's; claims are checked here. Source:
//! `plugin/pkg/admission/limitranger/admission.go`. Upstream takes several LimitRanges in whatever order its cache
//! lists them; here they are taken by name.

use super::super::status::aggregate;
use super::super::{Error, Server};
use super::view::{amounts, list};
use kit_api::Quantity;
use kit_api::core::LimitRange;
use kit_apimachinery::object::{Key, Kind};
use kit_contract::control_plane::admission::Limit;
use serde_json::Value;

/// The type of limits that are about claims.
const CLAIM: &str = "PersistentVolumeClaim";

impl Server {
    /// The limits of a namespace.
    pub(super) fn limits_of(&self, namespace: &str) -> Vec<Limit> {
        let ranges = self.state.list_in(Kind::LimitRange, namespace).filter_map(|stored| stored.get::<LimitRange>());
        let items = ranges.flat_map(|range| {
            let items = range.spec.iter().flat_map(|spec| &spec.limits);
            items.map(|item| (range.metadata.name.clone().unwrap_or_default(), item))
        });
        let limits = items.map(|(range, item)| Limit {
            range,
            type_: item.type_.clone(),
            default: list(&item.default),
            default_request: list(&item.default_request),
            min: list(&item.min),
            max: list(&item.max),
            max_limit_request_ratio: list(&item.max_limit_request_ratio),
        });
        limits.collect()
    }

    /// Refuses a claim that asks for too much or too little.
    pub(super) fn check_claim(&self, key: &Key, value: &Value) -> Result<(), Error> {
        let requests = amounts(&value["spec"]["resources"]["requests"]);
        let problem = |name: &str, over: fn(&Quantity, &Quantity) -> bool, bound: &Quantity| match requests.get(name) {
            None => Some(".  No request is specified".to_string()),
            Some(request) => over(request, bound).then(|| format!(", but request is {request}")),
        };
        let limits = self.limits_of(&key.namespace);
        for range in limits.chunk_by(|one, next| one.range == next.range) {
            let mut problems = Vec::new();
            for Limit { min, max, .. } in range.iter().filter(|limit| limit.type_ == CLAIM) {
                for (name, least) in min {
                    let problem = problem(name, |request, least| request < least, least);
                    problems.extend(problem.map(|why| format!("minimum {name} usage per {CLAIM} is {least}{why}")));
                }
                for (name, most) in max {
                    let problem = problem(name, |request, most| request > most, most);
                    problems.extend(problem.map(|why| format!("maximum {name} usage per {CLAIM} is {most}{why}")));
                }
            }
            if !problems.is_empty() {
                return Err(Error::forbidden(key, &aggregate(problems)));
            }
        }
        Ok(())
    }
}
