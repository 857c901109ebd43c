//! The Vertical Pod Autoscaler: what containers should request, learnt from what they used, and which pods are replaced for it.
//!
//! Sources: `vertical-pod-autoscaler/pkg` of `kubernetes/autoscaler`, 1.5: `recommender/util` (histograms),
//! `recommender/logic` (estimators), `utils/vpa/capping.go`, `updater/priority` and `updater/restriction`; all with their
//! default settings.
//!
//! The kit around it does the rest of the work: it takes a sample of each container every minute, keeps only the highest
//! use of memory of a day, writes the status and the checkpoints, evicts by the API, so that budgets count, and sets the
//! requests of new pods at admission.

use crate::Show;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

// ANCHOR: contract
contract! {
    /// Learns from samples, recommends requests, and decides which pods make room for pods with better ones.
    pub trait VerticalPodAutoscaler {
        /// The histogram with one more sample; with a negative weight, without one that was added before.
        ///
        /// **Decay.** A sample counts half as much as one that is a day younger. Old weights aren't touched for that.
        /// Instead a sample weighs `weight × 2^((at − reference) / 86400)`, in `f64`. The first sample of all sets
        /// the reference to its own time, rounded to a multiple of 86400 (halves up).
        ///
        /// **A reference that moves.** If a sample is more than 100 days (of 86400 s) after the reference, the reference
        /// becomes the time of the sample, rounded in the same way, and all weights are first multiplied by 2 to the
        /// power of minus the days that it moved. (Otherwise numbers would grow without end.)
        ///
        /// **Taking back.** If that would leave a bucket less than 0.0001, nothing is left, and the bucket goes.
        /// A bucket that isn't there stays away.
        fn add(&self, histogram: &Histogram, sample: &Sample) -> Histogram;

        /// What containers should request, in the order of the request. Amounts are thousandths of a core, or bytes.
        ///
        /// **Policies.** That of a container is the first with its name, or else the last with the name `*`. Containers with
        /// `off` are left out, and don't count anywhere. Of the others `controlled_resources` are told, or both.
        ///
        /// **Percentile.** The end of the first bucket up to whose end there is at least that part of all weight.
        /// A millionth of all weight less is enough, since sums are rounded. 0 if the histogram is empty.
        ///
        /// **Margin.** An estimate is a percentile and 15 percent of it, these rounded down.
        ///
        /// **Three estimates.** The target is that of 0.9. The lower bound is that of 0.5, times
        /// `(1 + 0.001 / confidence)^-2`; the upper bound that of 0.95, times `1 + 1 / confidence`: with little history
        /// the bounds are far apart. Both are calculated in `f64` and rounded down. The confidence is the time from the
        /// first to the last sample in days, or the number of samples / 1440 if that is less. If it is 0, the lower bound
        /// is 0 and the upper one is the most. Of an empty histogram all three are 0.
        ///
        /// **The least and the most.** At most 10^14. At least 25 thousandths of a core and 250 MiB, each divided by the
        /// number of containers and rounded down: pods are meant, not containers.
        ///
        /// **What is allowed.** `uncapped_target` is the target so far. The other three become at least `min_allowed`,
        /// and then at most `max_allowed`. An amount of 0 there, as one that isn't there, allows everything.
        fn recommend(&self, request: &RecommendRequest) -> Vec<Recommendation>;

        /// The pods that are to be evicted now, in that order. The pods of the request are those of one controller.
        ///
        /// **What is compared.** Only containers with a recommendation count, and of their requests only the resources
        /// of its target.
        ///
        /// **Who should go.** A pod is *out of range* if a request is below its lower bound or above its upper bound, or
        /// missing. Its *difference* is, summed over the resources, `|requested − recommended| / requested`, in `f64`:
        /// what its containers request and what is their target, together, with at least 1 for what is requested.
        /// A pod should go if
        ///
        /// - it is out of range,
        /// - or one of its containers was out of memory within less than 600 s of its start,
        /// - or it started at least 43200 s ago (12 hours) and its difference is at least 0.1.
        ///
        /// A container that was out of memory is no reason if the difference is 0, whatever else is true.
        ///
        /// **Requirements.** All of `requirements` must hold for at least one container with a recommendation: one of the
        /// requirement's resources has a target above (`Higher`) or below (`Lower`) its request. A container without a
        /// request for cpu or for memory always passes. Without requirements, all pods do.
        ///
        /// **Who goes first.** Pods of which a container should request more of something, or requests nothing; then by
        /// the greater difference; then as in the request.
        ///
        /// **How many.** If there are fewer pods than `min_replicas`, none. Half of `replicas` (rounded down) may be away.
        /// One after the other, a pod may go if there are more running pods, without those that were let go before, than
        /// must stay; or, if half of `replicas` is 0, if all `replicas` run and it is the first. Pods that are pending don't
        /// run: they may always go, and don't count as let go.
        fn evict(&self, request: &EvictRequest) -> Vec<String>;
    }
}

/// What a container uses and requests: cpu in thousandths of a core, memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Thousandths of a core.
    Cpu,
    /// Bytes.
    Memory,
}

/// Amounts of resources, in their units.
pub type Amounts = BTreeMap<Resource, i64>;

/// Each bucket is so much wider than the one before it.
const GROWTH: f64 = 1.05;

impl Resource {
    /// Both.
    pub const ALL: [Resource; 2] = [Resource::Cpu, Resource::Memory];

    /// As `resources.requests` names it.
    pub fn name(self) -> &'static str {
        match self {
            Resource::Cpu => "cpu",
            Resource::Memory => "memory",
        }
    }

    /// The bucket that an amount lies in. The first one ends at 10 thousandths of a core, or at 10 MB, and each is 5 percent
    /// wider than the one before it; the last one has no end.
    pub fn bucket(self, amount: i64) -> u32 {
        let (first, units, most) = self.scale();
        let value = amount as f64 / units;
        let of = |value: f64| (value * (GROWTH - 1.0) / first + 1.0).ln() / GROWTH.ln();
        if value < first { 0 } else { (of(value) as u32).min(of(most).ceil() as u32) }
    }

    /// Where a bucket ends, rounded down; of the last one, where it begins.
    pub fn end(self, bucket: u32) -> i64 {
        let (first, units, most) = self.scale();
        let last = ((most * (GROWTH - 1.0) / first + 1.0).ln() / GROWTH.ln()).ceil() as u32;
        // By squaring, as Go's `math.Pow` does it: the last digit matters where amounts are cut to whole numbers.
        let (mut base, mut exponent, mut power) = (GROWTH, bucket.saturating_add(1).min(last), 1.0);
        while exponent > 0 {
            if exponent % 2 == 1 {
                power *= base;
            }
            base *= base;
            exponent /= 2;
        }
        (first * (power - 1.0) / (GROWTH - 1.0) * units) as i64
    }

    /// The width of the first bucket, how many units a core or a byte is, and what the last bucket begins above
    /// (`aggregations_config.go`).
    fn scale(self) -> (f64, f64, f64) {
        match self {
            Resource::Cpu => (0.01, 1000.0, 1000.0),
            Resource::Memory => (1e7, 1.0, 1e12),
        }
    }
}

/// How often how much was used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// Of what.
    pub resource: Resource,
    /// The weight of each bucket that isn't empty.
    #[serde(default)]
    pub weights: BTreeMap<u32, f64>,
    /// At this time a sample weighs what it weighs: seconds since 1970. None before the first sample.
    #[serde(default)]
    pub reference_seconds: Option<i64>,
}

/// What was used at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// How much.
    pub amount: i64,
    /// How much it counts; negative to take it back.
    pub weight: f64,
    /// When: seconds since 1970.
    pub at_seconds: i64,
}

/// All that a recommendation is made from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecommendRequest {
    /// The containers of a pod; all those of one name are one here.
    pub containers: Vec<ContainerHistory>,
    /// `spec.resourcePolicy.containerPolicies`.
    #[serde(default)]
    pub policies: Vec<ContainerPolicy>,
}

/// What is known of the containers of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerHistory {
    /// Their name.
    pub name: String,
    /// How often they used how much of a core.
    pub cpu: Histogram,
    /// The peaks of memory of their days.
    pub memory: Histogram,
    /// From the first sample to the last.
    #[serde(default)]
    pub span_seconds: i64,
    /// How many samples there were.
    #[serde(default)]
    pub samples: u64,
}

/// What is allowed for one container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerPolicy {
    /// Its name, or `*` for all without a policy of their own.
    pub container_name: String,
    /// Whether `mode` is `Off`.
    #[serde(default)]
    pub off: bool,
    /// The resources that are looked after; none for both.
    #[serde(default)]
    pub controlled_resources: Option<Vec<Resource>>,
    /// At least this much.
    #[serde(default)]
    pub min_allowed: Amounts,
    /// At most this much; it beats the least.
    #[serde(default)]
    pub max_allowed: Amounts,
}

/// What the containers of one name should request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recommendation {
    /// Their name.
    pub container_name: String,
    /// What they should request.
    pub target: Amounts,
    /// Who requests less is replaced.
    #[serde(default)]
    pub lower_bound: Amounts,
    /// Who requests more is replaced.
    #[serde(default)]
    pub upper_bound: Amounts,
    /// The target, if everything were allowed.
    #[serde(default)]
    pub uncapped_target: Amounts,
}

/// The pods of one controller, and what is recommended for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvictRequest {
    /// `spec.replicas` of the controller.
    pub replicas: u32,
    /// With fewer pods than this nobody is evicted: `spec.updatePolicy.minReplicas`, or 2.
    pub min_replicas: u32,
    /// Within the policy.
    pub recommendations: Vec<Recommendation>,
    /// `spec.updatePolicy.evictionRequirements`.
    #[serde(default)]
    pub requirements: Vec<Requirement>,
    /// Its pods, without those that are being deleted.
    pub pods: Vec<PodView>,
}

/// A condition of evictions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// One of them is enough.
    pub resources: Vec<Resource>,
    /// Which way the request would change.
    pub change: Change,
}

/// Which way a request changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// `TargetHigherThanRequests`
    Higher,
    /// `TargetLowerThanRequests`
    Lower,
}

/// A pod, as far as evictions look at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Whether its phase is `Pending`.
    #[serde(default)]
    pub pending: bool,
    /// `status.startTime`; none before a kubelet knows of the pod.
    #[serde(default)]
    pub started_seconds_ago: Option<i64>,
    /// Its containers.
    pub containers: Vec<ContainerView>,
}

/// A container, as far as evictions look at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerView {
    /// Its name.
    pub name: String,
    /// What it requests.
    #[serde(default)]
    pub requests: Amounts,
    /// If it was killed last because it was out of memory: so many seconds after its start.
    #[serde(default)]
    pub out_of_memory_after_seconds: Option<i64>,
}
// ANCHOR_END: contract

/// An amount as people read it.
fn amount(resource: Resource, amount: i64) -> String {
    match resource {
        Resource::Cpu => format!("{amount}m"),
        Resource::Memory if amount % (1 << 20) == 0 => format!("{}Mi", amount >> 20),
        Resource::Memory => amount.to_string(),
    }
}

fn amounts(amounts: &Amounts) -> String {
    let all: Vec<String> = amounts.iter().map(|(of, much)| format!("{} {}", of.name(), amount(*of, *much))).collect();
    if all.is_empty() { "nothing".into() } else { all.join(", ") }
}

fn plural(count: u64, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}

impl Show for Histogram {
    fn lines(&self) -> Vec<String> {
        // What two ways to calculate disagree on is left out, and what is next to nothing.
        let bucket = |(bucket, weight): (&u32, &f64)| {
            let end = amount(self.resource, self.resource.end(*bucket));
            format!("bucket {bucket} (up to {end}): {:e}", format!("{weight:.6e}").parse::<f64>().unwrap_or(*weight))
        };
        let reference = self.reference_seconds.map_or("no reference".into(), |at| format!("reference {at}"));
        let first = format!("{}, {reference}", self.resource.name());
        std::iter::once(first).chain(self.weights.iter().filter(|(_, weight)| **weight > 1e-12).map(bucket)).collect()
    }
    fn meaning(&self) -> String {
        self.lines().join("\n")
    }
}

impl Show for Sample {
    fn lines(&self) -> Vec<String> {
        vec![format!("{} with weight {} at {}", self.amount, self.weight, self.at_seconds)]
    }
}

impl Show for Recommendation {
    fn lines(&self) -> Vec<String> {
        let Recommendation { container_name, target, lower_bound, upper_bound, uncapped_target } = self;
        let line = |what: &str, of: &Amounts| format!("{container_name} {what} {}", amounts(of));
        let all = [("target", target), ("lower bound", lower_bound), ("upper bound", upper_bound)];
        let uncapped = Some(("uncapped target", uncapped_target)).filter(|(_, uncapped)| !uncapped.is_empty());
        all.into_iter().chain(uncapped).map(|(what, of)| line(what, of)).collect()
    }
    fn meaning(&self) -> String {
        format!("{self:?}")
    }
}

impl Show for ContainerHistory {
    fn lines(&self) -> Vec<String> {
        let first = format!("container {}: {} in {} s", self.name, plural(self.samples, "sample"), self.span_seconds);
        let histogram = |of: &Histogram| of.lines().into_iter().map(|line| format!("  {line}")).collect::<Vec<_>>();
        [vec![first], histogram(&self.cpu), histogram(&self.memory)].concat()
    }
}

impl Show for ContainerPolicy {
    fn lines(&self) -> Vec<String> {
        let mut line = format!("policy of {}:", self.container_name);
        if self.off {
            line += " Off";
        }
        if let Some(only) = &self.controlled_resources {
            let names: Vec<&str> = only.iter().map(|resource| resource.name()).collect();
            line += &format!(" controls [{}]", names.join(", "));
        }
        for (what, of) in [("at least", &self.min_allowed), ("at most", &self.max_allowed)] {
            if !of.is_empty() {
                line += &format!(" {what} {}", amounts(of));
            }
        }
        vec![line]
    }
}

impl Show for RecommendRequest {
    fn lines(&self) -> Vec<String> {
        self.containers.iter().flat_map(Show::lines).chain(self.policies.iter().flat_map(Show::lines)).collect()
    }
}

impl Show for PodView {
    fn lines(&self) -> Vec<String> {
        let mut line = format!("pod {}", self.name);
        if self.pending {
            line += ", pending";
        }
        if let Some(seconds) = self.started_seconds_ago {
            line += &format!(", started {seconds} s ago");
        }
        for container in &self.containers {
            line += &format!(", {} requests {}", container.name, amounts(&container.requests));
            if let Some(after) = container.out_of_memory_after_seconds {
                line += &format!(" (out of memory after {after} s)");
            }
        }
        vec![line]
    }
}

impl Show for EvictRequest {
    fn lines(&self) -> Vec<String> {
        let mut lines =
            vec![format!("{}, at least {} pods there", plural(self.replicas.into(), "replica"), self.min_replicas)];
        lines.extend(self.recommendations.iter().flat_map(Show::lines));
        for Requirement { resources, change } in &self.requirements {
            let names: Vec<&str> = resources.iter().map(|resource| resource.name()).collect();
            lines.push(format!("only if the target of [{}] is {change:?}", names.join(", ")));
        }
        lines.extend(self.pods.iter().flat_map(Show::lines));
        lines
    }
}
