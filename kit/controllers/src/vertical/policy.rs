//! What users allow the autoscaler.
//!
//! Source: `pkg/utils/vpa/capping.go`.

use super::Amounts;
use kit_api::Quantity;
use kit_api::quantity::Format;
use std::collections::BTreeMap;

/// What is allowed for one container (`ContainerResourcePolicy`). That named `*` is for all that have none of their own.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// At least this much, by resource.
    pub min_allowed: BTreeMap<String, Quantity>,
    /// At most this much; it beats the least.
    pub max_allowed: BTreeMap<String, Quantity>,
    /// The resources that are looked after; none for all.
    pub controlled: Option<Vec<String>>,
}

impl Policy {
    /// The amounts as quantities, of those resources that are looked after.
    pub fn controlled(&self, amounts: Amounts) -> BTreeMap<&'static str, Quantity> {
        let cpu = Quantity::from_milli(amounts.cpu, Format::DecimalSI);
        let both = [("cpu", cpu), ("memory", Quantity::new(amounts.memory, Format::DecimalSI))];
        let is_controlled =
            |resource: &str| self.controlled.as_ref().is_none_or(|only| only.iter().any(|one| one == resource));
        both.into_iter().filter(|(resource, _)| is_controlled(resource)).collect()
    }

    /// The same, within what is allowed. A limit of 0 is none.
    pub fn capped(&self, amounts: Amounts) -> BTreeMap<&'static str, Quantity> {
        let mut capped = self.controlled(amounts);
        for (resource, amount) in &mut capped {
            let limit =
                |limits: &BTreeMap<String, Quantity>| limits.get(*resource).filter(|limit| !limit.is_zero()).cloned();
            if let Some(least) = limit(&self.min_allowed).filter(|least| *amount < *least) {
                *amount = least;
            }
            if let Some(most) = limit(&self.max_allowed).filter(|most| *amount > *most) {
                *amount = most;
            }
        }
        capped
    }
}
