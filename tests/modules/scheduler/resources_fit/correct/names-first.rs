//! Passes: all names that are asked for are put in order first, and what is left of each is a sum of one list.

use kit::scheduler::{Amounts, Lack, NodeResources, PodRequest, ResourcesFit};

#[derive(Default)]
struct Exercise;

/// The place of a resource among the reasons, its name and how much of it.
type Entry = (u8, String, i128);

fn entries(amounts: &Amounts, sign: i128, into: &mut Vec<Entry>) {
    let mut push = |place, name: &str, amount: i64| into.push((place, name.to_string(), sign * i128::from(amount)));
    for (name, amount) in amounts.scalar.iter().rev() {
        push(3, name, *amount);
    }
    push(2, "ephemeral-storage", amounts.ephemeral_storage);
    push(1, "memory", amounts.memory);
    push(0, "cpu", amounts.milli_cpu);
}

impl ResourcesFit for Exercise {
    fn filter(&self, pod: &PodRequest, node: &NodeResources) -> Vec<Lack> {
        let (mut asked, mut left) = (Vec::new(), Vec::new());
        entries(&pod.requests, 1, &mut asked);
        entries(&node.allocatable, 1, &mut left);
        entries(&node.requested, -1, &mut left);
        asked.sort();
        let mut lacks: Vec<Lack> = asked
            .into_iter()
            .filter(|(place, name, amount)| {
                let same = left.iter().filter(|(other, own, _)| other == place && own == name);
                *amount > 0 && same.map(|(_, _, amount)| amount).sum::<i128>() < *amount
            })
            .map(|(_, name, _)| Lack::Insufficient(name))
            .collect();
        if node.allowed_pods <= node.pods {
            lacks.insert(0, Lack::TooManyPods);
        }
        lacks
    }
}

kit::exercise!(Exercise: kit::scheduler::ResourcesFit);
