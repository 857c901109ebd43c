//! How an eviction manager's questions and answers look to people.

use super::{Config, Evicted, Look, NewPod, Pod, Resource, Seen, Signal, Threshold, Usage};
use crate::{Show, flow};
use std::collections::BTreeMap;

/// An amount as people write it, if that says the same.
fn amount(of: Resource, amount: i64) -> String {
    match of {
        Resource::Inodes | Resource::Pids => amount.to_string(),
        _ if amount != 0 && amount % (1 << 30) == 0 => format!("{}Gi", amount >> 30),
        _ if amount != 0 && amount % (1 << 20) == 0 => format!("{}Mi", amount >> 20),
        _ => amount.to_string(),
    }
}

impl Threshold {
    fn said(&self) -> String {
        let of = self.signal.resource();
        let kind = if self.grace_seconds == 0 { "hard".into() } else { format!("soft after {}s", self.grace_seconds) };
        let more = match self.min_reclaim {
            0 => String::new(),
            more => format!(", at least {} to win back", amount(of, more)),
        };
        format!("{} < {}, {kind}{more}", flow(&self.signal), amount(of, self.below))
    }
}

impl Show for Config {
    fn lines(&self) -> Vec<String> {
        let thresholds = self.thresholds.iter().map(Threshold::said);
        let rest = format!(
            "conditions stay for {}s, pods have at most {}s, {}",
            self.transition_seconds,
            self.max_pod_grace_seconds,
            if self.image_fs { "images have a file system of their own" } else { "one file system" }
        );
        thresholds.chain([rest]).collect()
    }
}

impl Show for BTreeMap<Signal, i64> {
    fn lines(&self) -> Vec<String> {
        let show = |(signal, left): (&Signal, &i64)| format!("{} {}", flow(signal), amount(signal.resource(), *left));
        let all: Vec<String> = self.iter().map(show).collect();
        vec![if all.is_empty() { "nothing is known".into() } else { all.join(", ") }]
    }
}

impl Show for Pod {
    fn lines(&self) -> Vec<String> {
        let pair = |memory: i64, disk: i64| {
            let all = [(Resource::Memory, memory), (Resource::EphemeralStorage, disk)];
            let all = all.into_iter().filter(|(_, of)| *of != 0);
            all.map(|(resource, of)| format!("{} {}", flow(&resource), amount(resource, of))).collect::<Vec<_>>()
        };
        let list = |all: Vec<String>| if all.is_empty() { "nothing".into() } else { all.join(", ") };
        let uses = match &self.uses {
            None => "nobody knows what it uses".into(),
            Some(Usage { memory, ephemeral_storage, inodes, pids }) => {
                let mut all = pair(*memory, *ephemeral_storage);
                all.extend((*inodes != 0).then(|| format!("inodes {inodes}")));
                all.extend((*pids != 0).then(|| format!("pids {pids}")));
                format!("uses {}", list(all))
            }
        };
        let requests = list(pair(self.requests.memory, self.requests.ephemeral_storage));
        let critical = if self.critical { ", critical" } else { "" };
        let mut lines = vec![format!(
            "{} ({}, priority {}{critical}, grace {}s): requests {requests}; {uses}",
            flow(&self.name),
            self.class,
            self.priority,
            self.grace_seconds
        )];
        // One container alone is as its pod.
        for of in self.containers.iter().filter(|_| self.containers.len() > 1) {
            let side = |of: &super::Amounts| list(pair(of.memory, of.ephemeral_storage));
            lines.push(format!(
                "  container {}: requests {}; uses {}",
                flow(&of.name),
                side(&of.requests),
                side(&of.uses)
            ));
        }
        lines
    }
}

impl Show for Seen {
    fn lines(&self) -> Vec<String> {
        let measured = format!("measured at {}s", self.measured_ms as f64 / 1000.0);
        let pods = self.pods.iter().flat_map(Show::lines);
        self.available.lines().into_iter().chain([measured]).chain(pods).collect()
    }
}

impl Show for NewPod {
    fn lines(&self) -> Vec<String> {
        let mut said = self.class.to_string();
        if self.critical {
            said += ", critical";
        }
        if self.tolerates_memory_pressure {
            said += ", tolerates memory pressure";
        }
        vec![said]
    }
}

impl Show for Look {
    fn lines(&self) -> Vec<String> {
        let conditions: Vec<String> = self.conditions.iter().map(|condition| format!("{condition:?}")).collect();
        let conditions = if conditions.is_empty() { "no pressure".into() } else { conditions.join(", ") };
        let reclaims = self.reclaims.iter().map(|resource| format!("attempts to reclaim {}", flow(resource)));
        let garbage = self.collect_garbage.then(|| "removes images and containers that nobody needs".to_string());
        let evict = self.evict.iter().flat_map(Show::lines);
        [conditions].into_iter().chain(reclaims).chain(garbage).chain(evict).collect()
    }
}

impl Show for Evicted {
    fn lines(&self) -> Vec<String> {
        let who = format!("evicts {}, grace {}s, for {}", flow(&self.pod), self.grace_seconds, self.because.said());
        let exceeding =
            (!self.exceeding.is_empty()).then(|| format!("more than requested: {}", self.exceeding.join(", ")));
        [who].into_iter().chain(exceeding).collect()
    }
}
