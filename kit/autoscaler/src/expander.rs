//! Which of several groups gets more machines.
//!
//! Sources: `expander/{mostpods,waste,priority,price,random}`.

use crate::scale_up::Choice;
use kit_api::view::Amounts;
use kit_apimachinery::object::{Key, Kind};
use kit_client::component::World;
use kit_time::random::{Purpose, Random};
use regex_lite::Regex;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How a group is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expander {
    /// Any.
    Random,
    /// The one that would have the least CPU and memory left over.
    LeastWaste,
    /// The one that helps most pods.
    MostPods,
    /// The one that a ConfigMap names with the highest number.
    Priority,
    /// The one whose money is spent best.
    Price,
}

/// The ConfigMap of priorities: numbers, and for each the patterns of names of groups.
const PRIORITIES: &str = "cluster-autoscaler-priority-expander";
/// What a pod's requests cost in an hour: Google's price of a core and of a GiB (`cloudprovider/gce/gce_price_info.go`).
const CORE: f64 = 0.033_174;
const GIB: f64 = 0.004_446;
const MIB: f64 = 1024.0 * 1024.0;

/// What a choice depends on beside the choices themselves.
pub struct Circumstances<'a, 'w> {
    /// Where priorities are looked up.
    pub world: &'a World<'w>,
    /// How many nodes the cluster has.
    pub nodes: usize,
    /// What `random` draws from, and which draw it is.
    pub chance: (Random, u64),
}

/// The choice that these expanders pick, one after the other, and chance among those that they leave.
pub fn pick(expanders: &[Expander], mut choices: Vec<Choice>, of: &Circumstances<'_, '_>) -> Option<Choice> {
    for expander in expanders {
        choices = match expander {
            Expander::Random => choices,
            Expander::MostPods => least(choices, |choice| -(choice.pods.len() as f64)),
            Expander::LeastWaste => least(choices, waste),
            Expander::Priority => by_priority(choices, of.world),
            Expander::Price => least(choices, |choice| cost(choice, of.nodes)),
        };
    }
    let (random, attempt) = of.chance;
    let purpose = Purpose { component: "cluster-autoscaler", object: "", reason: "expander", attempt };
    let index = random.below(choices.len() as u64, purpose) as usize;
    (index < choices.len()).then(|| choices.swap_remove(index))
}

/// Those with the smallest number.
fn least(choices: Vec<Choice>, of: impl Fn(&Choice) -> f64) -> Vec<Choice> {
    let least = choices.iter().map(&of).fold(f64::INFINITY, f64::min);
    choices.into_iter().filter(|choice| of(choice) <= least).collect()
}

fn capacity(choice: &Choice) -> Amounts {
    let capacity = choice.group.template.status.as_ref().and_then(|status| status.capacity.as_ref());
    Amounts::from(&kit_api::pod_resources::resources(capacity))
}

/// The share of CPU and the share of memory that would be left over (`expander/waste/waste.go`).
pub fn waste(choice: &Choice) -> f64 {
    let has = capacity(choice);
    let asked = |of: fn(&Amounts) -> i64| choice.pods.iter().map(|pod| of(&pod.class.request.requests)).sum::<i64>();
    let left = |has: i64, asked: i64| {
        let has = has as f64 * choice.nodes as f64;
        if has > 0.0 { (has - asked as f64) / has } else { 0.0 }
    };
    left(has.milli_cpu, asked(|a| a.milli_cpu)) + left(has.memory, asked(|a| a.memory))
}

/// How badly money would be spent (`expander/price/price.go`): what the machines cost for what the pods are worth, and more of it
/// where machines are far from the size that suits the cluster.
pub fn cost(choice: &Choice, cluster: usize) -> f64 {
    let worth = |milli_cpu: f64, bytes: f64| milli_cpu / 1000.0 * CORE + bytes / (1024.0 * MIB) * GIB;
    // A pod of 500m and 500Mi more on both sides, so that pods without requests don't count as worthless.
    let ballast = worth(500.0, 500.0 * MIB);
    let pods = choice.pods.iter().map(|pod| &pod.class.request.requests);
    let pods: f64 = pods.map(|asked| worth(asked.milli_cpu as f64, asked.memory as f64)).sum();
    let machines = choice.group.price * choice.nodes as f64;
    // `expander/price/preferred.go`: twice the size with three times the nodes.
    let preferred = match cluster {
        0..=2 => 1000.0,
        3..=6 => 2000.0,
        7..=20 => 4000.0,
        21..=60 => 8000.0,
        61..=200 => 16_000.0,
        _ => 32_000.0,
    };
    let cpu = (capacity(choice).milli_cpu as f64).max(1.0);
    let unfitness = f64::max(preferred / cpu, cpu / preferred);
    let suppressed = (unfitness - 1.0) * (1.0 - ((choice.nodes as f64 - 1.0) / 15.0).tanh()) + 1.0;
    suppressed * (machines + ballast) / (pods + ballast)
}

/// Those with the highest priority; all, if there are no priorities that can be read (`expander/priority/priority.go`).
fn by_priority(choices: Vec<Choice>, world: &World<'_>) -> Vec<Choice> {
    let Some(priorities) = priorities(world) else { return choices };
    let of = |choice: &Choice| {
        let matching =
            priorities.iter().filter(|(_, patterns)| patterns.iter().any(|p| p.is_match(&choice.group.name)));
        matching.map(|(priority, _)| *priority).max()
    };
    let Some(highest) = choices.iter().filter_map(of).max() else { return choices };
    choices.into_iter().filter(|choice| of(choice) == Some(highest)).collect()
}

fn priorities(world: &World<'_>) -> Option<BTreeMap<i64, Vec<Regex>>> {
    let stored = world.server.get(&Key::new(Kind::ConfigMap, "kube-system", PRIORITIES)).ok()?.to_value();
    let read: BTreeMap<i64, Vec<String>> = serde_yaml::from_str(stored["data"]["priorities"].as_str()?).ok()?;
    let compile = |patterns: Vec<String>| -> Result<Vec<Regex>, regex_lite::Error> {
        patterns.iter().map(|pattern| Regex::new(pattern)).collect()
    };
    let mut priorities = BTreeMap::new();
    for (priority, patterns) in read {
        priorities.insert(priority, compile(patterns).ok()?);
    }
    Some(priorities)
}
