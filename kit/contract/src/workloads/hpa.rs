//! The HorizontalPodAutoscaler: from a metric to a number of replicas.
//!
//! Sources: `pkg/controller/podautoscaler/replica_calculator.go` (what one metric proposes),
//! `pkg/controller/podautoscaler/horizontal.go` (what is made of the proposals), and
//! `pkg/apis/autoscaling/v2/defaults.go` (the defaults of `behavior`).
//!
//! The kit around the module does the rest: it reads the scale of the target and the metrics every 15 seconds,
//! remembers the recommendations and the changes of scale, writes the scale and the status. All times are whole
//! seconds before now. Values are in thousandths ("milli") of the metric's unit: 250 is a quarter of a CPU, and a
//! byte of memory is 1000.

mod show;

use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Decides how many replicas a workload should have.
    pub trait HorizontalPodAutoscaler {
        /// How many replicas one metric asks for, before any limit.
        ///
        /// **Tolerance.** A ratio of current to target from 0.9 to 1.1, both included, changes nothing: the proposal
        /// is `spec_replicas` (of the two `…AverageValue` metrics of an object or external: `status_replicas`).
        ///
        /// **Metrics of pods** (`Resource…`, `PodsAverageValue`). The pods are told apart, by the first that applies:
        ///
        /// 1. *ignored*: being deleted, or phase `Failed`;
        /// 2. *unready*: phase `Pending`;
        /// 3. *missing*: without a sample;
        /// 4. *unready*, only if the resource is `cpu`: without a start time or a condition `Ready`; or started less
        ///    than 300 s ago, and not ready or its sample taken less than `window_seconds` after it last turned ready
        ///    or not ready; or started earlier, not ready, and it last turned so less than 30 s after its start (so
        ///    it was never ready);
        /// 5. *counted*: all others.
        ///
        /// Without any counted pod the metric fails. The utilization of pods is `100 × sum of their values / sum of
        /// their requests`, and their average `sum of their values / number of pods`, both in integers, without the
        /// fraction. The ratio is this integer divided by the target, in floating point.
        ///
        /// The ratio of the counted pods comes first. If no pod is missing and none is unready while the ratio is
        /// above 1, the proposal is the tolerance's or `ceil(ratio × counted pods)`. Otherwise pods are added to the
        /// counted ones, with values that hold against the first ratio:
        ///
        /// - first ratio below 1: each missing pod is added. It uses 100 % of its request, or the target's percentage
        ///   of it if that is more (in integers, without the fraction); with an average as the target it uses the
        ///   target. Unready pods are not added.
        /// - first ratio exactly 1: no pod is added.
        /// - first ratio above 1: each missing and each unready pod is added, and uses 0.
        ///
        /// The second ratio is that of the counted and the added pods together. The proposal is `ceil(second ratio ×
        /// number of these pods)`, but `spec_replicas` if
        ///
        /// - the second ratio is within the tolerance,
        /// - or it is on the other side of 1 than the first,
        /// - or the proposal would go the other way: above `spec_replicas` with a second ratio below 1, or below
        ///   `spec_replicas` with one above 1.
        ///
        /// **Value of an object, sum of the values of an external metric.** `…Value`: the ratio is `value / target`,
        /// and the proposal `ceil(ratio × number of pods that are Running and ready)`; with `spec_replicas` 0 it is
        /// `ceil(ratio)`, without a tolerance. It fails if there are no pods and they are needed. `…AverageValue`:
        /// the ratio is `value / (target × status_replicas)`, and the proposal `ceil(value / target)`; no pod is
        /// looked at. With 0 `status_replicas` no value is within the tolerance.
        ///
        /// Calculate ratios and products in `f64`, as upstream does; then its rounding is yours.
        fn propose(&self, request: &MetricRequest) -> Result<Proposal, MetricError>;

        /// How many replicas the target gets, out of what all metrics propose.
        ///
        /// **Before any metric.** With 0 replicas and a minimum that isn't 0, autoscaling is off, and 0 it stays.
        /// Replicas above the maximum become the maximum, those below the minimum the minimum, at once.
        ///
        /// **Metrics.** The greatest proposal wins. If all metrics failed, or some failed and the greatest of the
        /// rest is below `current_replicas`, nothing changes.
        ///
        /// **Stabilization.** A recommendation counts if it is *less* than the window's seconds old. This call's
        /// proposal is a recommendation too. With a `behavior`: the replicas go up to no more than the least
        /// recommendation of the up window, down to no less than the greatest one of the down window, and stay where
        /// they are between these two. Without: the greatest recommendation of the last 300 s is taken, even if it is
        /// above `current_replicas`. `able_to_scale` says `ReadyForNewScale` if that is what the metrics proposed;
        /// else `ScaleDownStabilized` without a behavior; with one `ScaleUpStabilized` if the metrics proposed
        /// `current_replicas` or more, and `ScaleDownStabilized` if less.
        ///
        /// **Rate.** With a `behavior`, the replicas at the start of a policy's period are `current_replicas` without
        /// the scale events that are *less* than `period_seconds` old. Going up a policy allows these plus `value` pods
        /// or percent, rounded up; going down these less `value` pods or percent, rounded towards zero. Percent are
        /// `start × (1 ± value / 100)`, in `f64`. `Max` takes the policy that allows the greater change, `Min` the lesser, `Disabled` allows none. A limit never turns
        /// the direction: it is at least (going down: at most) `current_replicas`. Without a `behavior`: up to twice
        /// `current_replicas` or 4, whichever is more, in one step; down without a limit.
        ///
        /// **Range.** Up to `max_replicas`, down to `min_replicas`. If the limit of the rate is stricter, its reason is
        /// told, else the range's (`TooManyReplicas`, `TooFewReplicas`). With a `behavior`, replicas that stay as they
        /// are meet no limit.
        ///
        /// **Defaults of a `behavior`.** Up: window 0 s; 4 pods or 100 percent per 15 s. Down: 300 s; 100
        /// percent per 15 s. Both: `Max`. A field that is given replaces just its own default; `policies` as a whole.
        fn decide(&self, request: &DecideRequest) -> Decision;
    }
}

/// One metric of an HPA with what was measured, and the pods of its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricRequest {
    /// The metric.
    pub metric: Metric,
    /// `spec.replicas` of the target's scale.
    pub spec_replicas: i32,
    /// `status.replicas` of the target's scale.
    pub status_replicas: i32,
    /// All pods that the scale's selector matches.
    pub pods: Vec<PodSample>,
}

/// What is measured and which target it has; targets are greater than 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Metric {
    /// `type: Resource` with `averageUtilization`: percent of what the pods request.
    ResourceUtilization {
        /// `cpu`, `memory` or another.
        resource: String,
        /// In percent.
        target_percent: i32,
    },
    /// `type: Resource` with `averageValue`.
    ResourceAverageValue {
        /// `cpu`, `memory` or another.
        resource: String,
        /// For one pod.
        target_milli: i64,
    },
    /// `type: Pods`: a custom metric that each pod has.
    PodsAverageValue {
        /// For one pod.
        target_milli: i64,
    },
    /// `type: Object` with `value`: a metric of one object, such as an Ingress.
    ObjectValue {
        /// As measured.
        value_milli: i64,
        /// For all pods together.
        target_milli: i64,
    },
    /// `type: Object` with `averageValue`.
    ObjectAverageValue {
        /// As measured.
        value_milli: i64,
        /// For one pod.
        target_milli: i64,
    },
    /// `type: External` with `value`: series from outside the cluster, such as the length of a queue.
    ExternalValue {
        /// As measured, one for each series.
        values_milli: Vec<i64>,
        /// For all pods together.
        target_milli: i64,
    },
    /// `type: External` with `averageValue`.
    ExternalAverageValue {
        /// As measured, one for each series.
        values_milli: Vec<i64>,
        /// For one pod.
        target_milli: i64,
    },
}

/// A pod as far as autoscaling looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodSample {
    /// `metadata.name`.
    pub name: String,
    /// `Pending`, `Running`, `Succeeded` or `Failed`.
    pub phase: String,
    /// Whether it has a deletion timestamp.
    #[serde(default)]
    pub deleting: bool,
    /// `status.startTime`; none before a kubelet knows of the pod.
    #[serde(default)]
    pub started_seconds_ago: Option<i64>,
    /// Whether its condition `Ready` is true.
    #[serde(default)]
    pub ready: bool,
    /// When that last changed; none if it has no condition `Ready`.
    #[serde(default)]
    pub ready_transition_seconds_ago: Option<i64>,
    /// What its containers request of the resource; none if one of them requests nothing.
    #[serde(default)]
    pub request_milli: Option<i64>,
    /// What was measured, if anything was.
    #[serde(default)]
    pub sample: Option<Sample>,
}

/// A measured value of one pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// What the pod uses.
    pub value_milli: i64,
    /// When the window of the measurement ended.
    pub seconds_ago: i64,
    /// How long it was.
    pub window_seconds: i64,
}

/// What one metric asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// How many replicas.
    pub replicas: i32,
    /// What the status shows as current: the average of the counted pods (rounded towards zero); the value of the
    /// object or the sum of the external values; of the two `AverageValue` metrics of these, that divided by
    /// `status_replicas`, rounded up (undivided if there are none).
    pub current_milli: i64,
    /// The utilization of the counted pods; only with [`Metric::ResourceUtilization`].
    pub utilization_percent: Option<i32>,
}

/// Why a metric proposes nothing. Where several apply, the first is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricError {
    /// There are no pods, and the metric needs them.
    NoPods,
    /// There are pods, but none is counted.
    NoCountedPods,
    /// A utilization needs the requests of *all* pods, ignored ones too; this is the first pod without one.
    MissingRequest {
        /// The pod.
        pod: String,
    },
    /// The requests of the counted pods add up to 0.
    NothingRequested,
}

/// All that one decision sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideRequest {
    /// `spec.replicas` of the target's scale.
    pub current_replicas: i32,
    /// `spec.minReplicas`, 1 if it wasn't given.
    pub min_replicas: i32,
    /// `spec.maxReplicas`.
    pub max_replicas: i32,
    /// `spec.behavior` as the user wrote it.
    #[serde(default)]
    pub behavior: Option<Behavior>,
    /// What each metric proposes; none where it failed. At least one, unless no metric was asked because of the range.
    pub proposals: Vec<Option<i32>>,
    /// What the metrics proposed before, unstabilized; among them `current_replicas` of the very first decision.
    #[serde(default)]
    pub recommendations: Vec<Recommendation>,
    /// How the replicas were changed before.
    #[serde(default)]
    pub scale_events: Vec<ScaleEvent>,
}

/// A number of replicas that the metrics once asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recommendation {
    /// How many.
    pub replicas: i32,
    /// When.
    pub seconds_ago: i64,
}

/// A change of the target's scale by this HPA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleEvent {
    /// Replicas that were added; negative where some were taken away.
    pub change: i32,
    /// When.
    pub seconds_ago: i64,
}

/// How fast to scale in both directions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Behavior {
    /// Going up.
    #[serde(default)]
    pub scale_up: Option<ScalingRules>,
    /// Going down.
    #[serde(default)]
    pub scale_down: Option<ScalingRules>,
}

/// How fast to scale in one direction. A field that is none has the direction's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingRules {
    /// For how long a recommendation counts.
    #[serde(default)]
    pub stabilization_window_seconds: Option<i32>,
    /// Which policy counts.
    #[serde(default)]
    pub select_policy: Option<SelectPolicy>,
    /// At least one.
    #[serde(default)]
    pub policies: Option<Vec<Policy>>,
}

/// Which of the policies counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelectPolicy {
    /// The one that allows the greatest change.
    Max,
    /// The one that allows the least change.
    Min,
    /// None: no scaling in this direction.
    Disabled,
}

/// By how much the replicas may change in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// What `value` counts.
    #[serde(rename = "type")]
    pub kind: PolicyType,
    /// Pods, or percent of the replicas at the period's start.
    pub value: i32,
    /// The period.
    pub period_seconds: i32,
}

/// What the value of a policy counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyType {
    /// Pods.
    Pods,
    /// Percent.
    Percent,
}

/// The new scale, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// How many replicas the target gets; `current_replicas` if nothing changes.
    pub replicas: i32,
    /// The reason of the condition `ScalingActive`; none where no metric was asked because of the range.
    pub scaling_active: Option<ScalingActive>,
    /// The reason of the condition `AbleToScale`; only with [`ScalingActive::ValidMetricFound`].
    pub able_to_scale: Option<AbleToScale>,
    /// The reason of the condition `ScalingLimited`; only with [`ScalingActive::ValidMetricFound`].
    pub scaling_limited: Option<ScalingLimited>,
}

/// Whether the replicas follow the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScalingActive {
    /// True.
    ValidMetricFound,
    /// False: there are 0 replicas.
    ScalingDisabled,
    /// False: all metrics failed, or some did and the others would scale down. Upstream gives the reason of the first
    /// that failed, for example `FailedGetResourceMetric`; the kit fills it in.
    MetricFailed,
}

/// Whether the replicas are what the metrics propose; the condition is true in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AbleToScale {
    /// No earlier recommendation stands in the way.
    ReadyForNewScale,
    /// Lower recommendations of the window hold the replicas down.
    ScaleUpStabilized,
    /// Higher recommendations of the window hold the replicas up.
    ScaleDownStabilized,
}

/// What limits the replicas; the condition is true but for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScalingLimited {
    /// Nothing.
    DesiredWithinRange,
    /// `minReplicas`.
    TooFewReplicas,
    /// `maxReplicas`.
    TooManyReplicas,
    /// The rate of going up.
    ScaleUpLimit,
    /// The rate of going down.
    ScaleDownLimit,
}
// ANCHOR_END: contract
