//! # The Vertical Pod Autoscaler
//!
//! It learns how much containers use, recommends what they should request, and evicts pods so that new ones get it. You
//! write a histogram that forgets, read recommendations off it, and decide who has to go, and how many at once.
//!
//! About 45 minutes · builds on nothing · book: "Vertical autoscaling: what a pod should request" · stuck? `cargo grade hint workloads/vpa`
//!
//! Given to you:
//!
//! - `Resource::bucket: fn(Resource, i64) -> u32`: the bucket that an amount lies in
//! - `Resource::end: fn(Resource, u32) -> i64`: where a bucket ends

use kit::workloads::VerticalPodAutoscaler;
use kit::workloads::vpa::{
    Amounts, Change, ContainerHistory, ContainerPolicy, ContainerView, EvictRequest, Histogram, PodView,
    RecommendRequest, Recommendation, Requirement, Resource, Sample,
};

/// All that is remembered is in the histograms. Cpu is in thousandths of a core, memory in bytes.
#[derive(Default)]
struct Exercise;

impl VerticalPodAutoscaler for Exercise {
    /// The histogram with one more sample; with a negative weight, without one that was added before.
    ///
    /// A sample counts half as much as one that is a day (86400 s) younger. Old weights aren't touched for that: a sample
    /// weighs `weight × 2^((at − reference) / 86400)`, in `f64`. The first sample sets the reference: its own time, rounded
    /// to a multiple of 86400 (halves up).
    ///
    /// If a sample is more than 100 days after the reference, the reference moves to its time, rounded in the same way, and
    /// first of all the weights are multiplied by 2 to the power of minus the days that it moved.
    ///
    /// If taking back would leave a bucket less than 0.0001, the bucket goes; one that isn't there stays away.
    fn add(&self, histogram: &Histogram, sample: &Sample) -> Histogram {
        let _ = (histogram.resource.bucket(sample.amount), histogram.reference_seconds);
        todo!("the reference first, then the weight of the sample, then its bucket")
    }

    /// What containers should request, in the order of the request.
    ///
    /// The policy of a container is the first with its name, or else the last with the name `*`. Those with `off` are left
    /// out and don't count. Of the others `controlled_resources` are told, or both.
    ///
    /// An estimate is a percentile and 15 percent of it (rounded down). The target is that of 0.9; the lower bound that of
    /// 0.5, times `(1 + 0.001 / confidence)^-2`; the upper bound that of 0.95, times `1 + 1 / confidence`; in `f64`, rounded
    /// down. The confidence is `span_seconds` in days, or samples / 1440 if that is less. If it is 0, the lower bound is 0 and
    /// the upper one is the most; of an empty histogram all are 0.
    ///
    /// All are at most 10^14, and at least 25 (cpu) or 250 MiB (memory), each divided by the number of containers, rounded
    /// down. `uncapped_target` is the target so far; the other three become at least `min_allowed` and then at most
    /// `max_allowed`. An amount of 0 there allows everything.
    fn recommend(&self, request: &RecommendRequest) -> Vec<Recommendation> {
        let _ = (request, policy_of, of_container, percentile, capped);
        todo!("which containers, how many of them, and what for each")
    }

    /// The pods that are to be evicted now, in that order.
    ///
    /// **Who should go.** Only containers with a recommendation count, and of their requests only the resources of its
    /// target. A pod is out of range if a request is below its lower bound, above its upper bound, or missing. Its difference
    /// is, summed over the resources, `|requested − recommended| / requested` of all its containers together, in `f64`, with
    /// at least 1 for what is requested. A pod should go if it is out of range; if one of its containers was out of memory
    /// less than 600 s after its start; or if it started at least 43200 s ago and its difference is at least 0.1. With a
    /// container that was out of memory so soon, it stays if the difference is 0, whatever else is true.
    ///
    /// **Requirements.** All must hold for at least one container with a recommendation: one of the requirement's resources
    /// has a target above (`Higher`) or below (`Lower`) its request (0 for a target that isn't there). A container
    /// without a request for cpu or for memory always passes. Without requirements all pods do.
    ///
    /// **Who goes first.** Pods of which a container should request more of something, or requests nothing; then by the
    /// greater difference; then as in the request.
    ///
    /// **How many.** With fewer pods than `min_replicas`, none. Half of `replicas` (rounded down) may be away. One after the
    /// other, a pod may go if more pods run, without those that were let go before, than must stay; or, if that half is 0,
    /// if all `replicas` run and it is the first. Pending pods don't run; they may always go, and don't count as let go.
    fn evict(&self, request: &EvictRequest) -> Vec<String> {
        let _ = (request, judge, is_wanted);
        todo!("who should go, who first, and how many")
    }
}

/// The policy of a container.
fn policy_of(name: &str, policies: &[ContainerPolicy]) -> ContainerPolicy {
    let _ = (name, policies);
    todo!("the first with its name, or the last for all")
}

/// The recommendation for one of so many containers.
fn of_container(container: &ContainerHistory, policy: &ContainerPolicy, count: i64) -> Recommendation {
    let _ = (container, policy, count, Resource::ALL);
    todo!("the confidence, then three estimates of each resource")
}

/// The end of the first bucket up to whose end there is at least this part of all weight. A millionth of all weight less is
/// enough, since sums are rounded. 0 of an empty histogram.
fn percentile(histogram: &Histogram, part: f64) -> i64 {
    let _ = (histogram, part);
    todo!("add the weights up, from the first bucket on")
}

/// Amounts within what the policy allows.
fn capped(amounts: &Amounts, policy: &ContainerPolicy) -> Amounts {
    let _ = (amounts, policy);
    todo!("at least min_allowed, then at most max_allowed")
}

/// What is to be said of a pod.
#[derive(Default)]
struct Verdict {
    /// Whether it should go at all.
    goes: bool,
    /// Whether a container should request more.
    grows: bool,
    difference: f64,
}

/// Looks at one pod.
fn judge(pod: &PodView, recommendations: &[Recommendation]) -> Verdict {
    let _ = (pod, recommendations);
    let verdict = Verdict::default();
    let _ = (verdict.goes, verdict.grows, verdict.difference);
    todo!("resource by resource: what is requested, what is recommended, and the range")
}

/// Whether all requirements hold for one of the containers.
fn is_wanted(pod: &PodView, request: &EvictRequest) -> bool {
    let _ = (pod, request, Change::Higher);
    let _ =
        |container: &ContainerView, requirement: &Requirement| (container.requests.len(), requirement.resources.len());
    todo!("no requirements, or a container for which all of them hold")
}

kit::exercise!(Exercise: VerticalPodAutoscaler);
