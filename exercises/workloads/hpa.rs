//! # Autoscaling: from a metric to a number of replicas
//!
//! Every 15 seconds a HorizontalPodAutoscaler asks two questions. How many replicas does each metric want, when some
//! pods have no sample and others just start? And how many does the workload get, when the numbers jump up and down?
//! You answer both: the replica calculator, then stabilization, scaling policies and the range.
//!
//! About 45 minutes · builds on nothing · book: "Autoscaling: from a metric to a number of replicas" · stuck? `cargo grade hint workloads/hpa`

use kit::workloads::HorizontalPodAutoscaler;
use kit::workloads::hpa::{DecideRequest, Decision, MetricError, MetricRequest, Proposal};

/// The autoscaler remembers nothing: all that it knows is in the request. Times are whole seconds before now, values
/// are thousandths.
#[derive(Default)]
struct Exercise;

impl HorizontalPodAutoscaler for Exercise {
    /// How many replicas one metric asks for, before any limit. `kit/contract/src/workloads/hpa.rs` has the rules in full.
    ///
    /// - **Pods.** Tell the pods apart: ignored, unready, missing (no sample), counted. For `cpu` a young pod is unready
    ///   until it is ready and its sample is from after that.
    /// - **Ratio.** Current divided by target, of the counted pods. Utilization and average are integers, without the
    ///   fraction. From 0.9 to 1.1 nothing changes. Else the proposal is the ratio times the pods that it is about,
    ///   rounded up. Calculate in `f64`.
    /// - **Doubt.** If pods are missing, or the ratio is above 1 and pods are unready, take a second ratio. Below 1,
    ///   add the missing pods with all of their request (or the target's percentage of it, if that is more), and no
    ///   unready one; above 1 add both with 0; at 1 add none. Don't move if the second ratio disagrees with the
    ///   first.
    /// - **Objects and external metrics.** With a `Value` the ratio applies to the ready pods; with an `AverageValue` the
    ///   proposal is the value divided by the target.
    fn propose(&self, request: &MetricRequest) -> Result<Proposal, MetricError> {
        let _ = request;
        todo!("tell the pods apart, then take the ratio of current to target")
    }

    /// How many replicas the target gets. `kit/contract/src/workloads/hpa.rs` has the rules in full.
    ///
    /// - **Range first.** 0 replicas stay 0 (unless the minimum is 0); replicas outside of the range go to its edge.
    /// - **Metrics.** The greatest proposal wins; if one failed, the others may scale up but not down.
    /// - **Stabilization.** Not above the least recommendation of the up window, not below the greatest of the down
    ///   window. A recommendation as old as the window is out of it.
    /// - **Rate and range.** The policies count from the replicas at the start of their period. The stricter of rate and
    ///   range limits, and the range is named if both are equal.
    /// - Without a `behavior` the rules are older and simpler: see the same file.
    fn decide(&self, request: &DecideRequest) -> Decision {
        let _ = request;
        todo!("take the greatest proposal, stabilize it, then limit it")
    }
}

kit::exercise!(Exercise: HorizontalPodAutoscaler);
