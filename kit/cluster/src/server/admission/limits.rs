//! LimitRanges: what containers get that don't say it, and how much is too much or too little.
//!
//! What follows for pods is the module's; claims are checked here. Source:
//! `plugin/pkg/admission/limitranger/admission.go`.

use super::super::{Error, Server};
use super::view::{amounts, list};
use crate::object::{Key, Kind};
use kit_api::Quantity;
use kit_api::core::LimitRange;
use kit_contract::control_plane::admission::Limit;
use serde_json::Value;

impl Server {
    /// The limits of a namespace.
    pub(super) fn limits_of(&self, namespace: &str) -> Vec<Limit> {
        let ranges = self.state.list_in(Kind::LimitRange, namespace).filter_map(|stored| stored.get::<LimitRange>());
        let items = ranges.flat_map(|range| range.spec.iter().flat_map(|spec| &spec.limits));
        let limits = items.map(|item| Limit {
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
        let storage: Quantity = requests.get("storage").cloned().unwrap_or_default();
        let mut problems = Vec::new();
        for limit in self.limits_of(&key.namespace).iter().filter(|limit| limit.type_ == "PersistentVolumeClaim") {
            for (name, least) in limit.min.iter().filter(|(_, least)| storage < **least) {
                problems.push(format!("minimum {name} usage per {} is {least}, but request is {storage}", limit.type_));
            }
            for (name, most) in limit.max.iter().filter(|(_, most)| storage > **most) {
                problems.push(format!("maximum {name} usage per {} is {most}, but request is {storage}", limit.type_));
            }
        }
        match &problems[..] {
            [] => Ok(()),
            [one] => Err(Error::forbidden(key, one)),
            many => Err(Error::forbidden(key, &format!("[{}]", many.join(", ")))),
        }
    }
}
