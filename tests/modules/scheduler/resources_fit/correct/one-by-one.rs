//! Passes: plain conditions, one after the other, and an early way out for pods that ask for nothing.

use kit::scheduler::{Lack, NodeResources, PodRequest, ResourcesFit};

#[derive(Default)]
struct Exercise;

impl ResourcesFit for Exercise {
    fn filter(&self, pod: &PodRequest, node: &NodeResources) -> Vec<Lack> {
        let mut lacks = vec![];
        if node.pods >= node.allowed_pods {
            lacks.push(Lack::TooManyPods);
        }
        let asks = &pod.requests;
        if asks.milli_cpu == 0 && asks.memory == 0 && asks.ephemeral_storage == 0 && asks.scalar.is_empty() {
            return lacks;
        }
        if asks.milli_cpu > 0 && node.requested.milli_cpu + asks.milli_cpu > node.allocatable.milli_cpu {
            lacks.push(Lack::Insufficient("cpu".to_string()));
        }
        if asks.memory > 0 && node.requested.memory + asks.memory > node.allocatable.memory {
            lacks.push(Lack::Insufficient("memory".to_string()));
        }
        if asks.ephemeral_storage > 0
            && node.requested.ephemeral_storage + asks.ephemeral_storage > node.allocatable.ephemeral_storage
        {
            lacks.push(Lack::Insufficient("ephemeral-storage".to_string()));
        }
        for (name, amount) in &asks.scalar {
            if *amount == 0 {
                continue;
            }
            let has = *node.allocatable.scalar.get(name).unwrap_or(&0);
            let given = *node.requested.scalar.get(name).unwrap_or(&0);
            if given + amount > has {
                lacks.push(Lack::Insufficient(name.clone()));
            }
        }
        lacks
    }
}

kit::exercise!(Exercise: ResourcesFit);
