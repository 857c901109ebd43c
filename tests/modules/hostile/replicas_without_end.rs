//! Kind: failed or timeout — it asks for as many replicas as there are numbers
//! Exercise: workloads/hpa

use kit::workloads::HorizontalPodAutoscaler;
use kit::workloads::hpa::{AbleToScale, DecideRequest, Decision, MetricError, MetricRequest, Proposal, ScalingActive};

#[derive(Default)]
struct Exercise;

impl HorizontalPodAutoscaler for Exercise {
    fn propose(&self, _: &MetricRequest) -> Result<Proposal, MetricError> {
        Ok(Proposal { replicas: i32::MAX, current_milli: i64::MIN, utilization_percent: Some(i32::MIN) })
    }

    fn decide(&self, _: &DecideRequest) -> Decision {
        Decision {
            replicas: i32::MAX,
            scaling_active: Some(ScalingActive::ValidMetricFound),
            able_to_scale: Some(AbleToScale::ReadyForNewScale),
            scaling_limited: None,
        }
    }
}

kit::exercise!(Exercise: HorizontalPodAutoscaler);
