//! Passes: both sides become tables by name, what is left is one subtraction, and the lacks are sorted at the end.

use kit::scheduler::{Amounts, Lack, NodeResources, PodRequest, ResourcesFit};
use std::collections::BTreeMap;

#[derive(Default)]
struct Exercise;

/// The order of the reasons; names in front of the alphabet come before all names.
fn table(amounts: &Amounts) -> BTreeMap<(u8, String), i64> {
    let own = [
        (0, "cpu", amounts.milli_cpu),
        (1, "memory", amounts.memory),
        (2, "ephemeral-storage", amounts.ephemeral_storage),
    ];
    let scalar = amounts.scalar.iter().map(|(name, amount)| ((3, name.clone()), *amount));
    own.into_iter().map(|(rank, name, amount)| ((rank, name.to_string()), amount)).chain(scalar).collect()
}

impl ResourcesFit for Exercise {
    fn filter(&self, pod: &PodRequest, node: &NodeResources) -> Vec<Lack> {
        let mut left = table(&node.allocatable);
        for (name, amount) in table(&node.requested) {
            *left.entry(name).or_insert(0) -= amount;
        }
        let full = (node.pods >= node.allowed_pods).then_some(Lack::TooManyPods);
        let short = table(&pod.requests)
            .into_iter()
            .filter(|(name, amount)| *amount != 0 && left.get(name).unwrap_or(&0) < amount)
            .map(|((_, name), _)| Lack::Insufficient(name));
        full.into_iter().chain(short).collect()
    }
}

kit::exercise!(Exercise: ResourcesFit);
