//! The reference for `scheduler/resources_fit`.
//!
//! The names follow `pkg/scheduler/framework/plugins/noderesources/fit.go`.

// ANCHOR: solution
use kit::scheduler::{Lack, NodeResources, PodRequest, ResourcesFit};

/// The filter of the NodeResourcesFit plugin.
#[derive(Default)]
pub struct Exercise;

impl ResourcesFit for Exercise {
    // ANCHOR: filter
    fn filter(&self, pod: &PodRequest, node: &NodeResources) -> Vec<Lack> {
        let mut lacks = Vec::new();
        if node.pods + 1 > node.allowed_pods {
            lacks.push(Lack::TooManyPods);
        }
        let (asked, has, used) = (&pod.requests, &node.allocatable, &node.requested);
        let mut check = |name: &str, asked: i64, has: i64, used: i64| {
            // A node may be over-committed already; that hurts only those who ask for more.
            if asked > 0 && asked > has - used {
                lacks.push(Lack::Insufficient(name.to_string()));
            }
        };
        check("cpu", asked.milli_cpu, has.milli_cpu, used.milli_cpu);
        check("memory", asked.memory, has.memory, used.memory);
        check("ephemeral-storage", asked.ephemeral_storage, has.ephemeral_storage, used.ephemeral_storage);
        for (name, &asked) in &asked.scalar {
            // What a node doesn't list, it has none of.
            let of = |amounts: &kit::scheduler::Amounts| amounts.scalar.get(name).copied().unwrap_or(0);
            check(name, asked, of(has), of(used));
        }
        lacks
    }
    // ANCHOR_END: filter
}
// ANCHOR_END: solution
