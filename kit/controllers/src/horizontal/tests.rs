//! What the controller writes around the decisions of the reference module.

use super::{Around, History, Metrics, PodMetrics, Scale, SyncResult, sync};
use kit_api::autoscaling::HorizontalPodAutoscaler as Object;
use kit_api::core::Pod;
use kit_api::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const START: &str = "2025-06-01T12:00:00Z";

fn now(seconds: i64) -> Timestamp {
    START.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn hpa(spec: Value) -> Object {
    let mut all = json!({"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "default"}, "spec": all})).unwrap()
}

/// Ready pods that request 500m of CPU, and one that isn't of the target.
fn pods(count: usize) -> Vec<Pod> {
    let pod = |i: usize| {
        json!({
            "metadata": {"name": format!("web-{i}"), "labels": {"app": if i == count { "db" } else { "web" }}},
            "spec": {"containers": [{"name": "web", "resources": {"requests": {"cpu": "500m"}}}]},
            "status": {
                "phase": "Running", "startTime": "2025-06-01T11:00:00Z",
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2025-06-01T11:00:05Z"}],
            },
        })
    };
    (0..=count).map(|i| serde_json::from_value(pod(i)).unwrap()).collect()
}

fn cpu(count: usize, milli: i64, seconds: i64) -> Metrics {
    let used = |i| {
        let containers = BTreeMap::from([("web".into(), BTreeMap::from([("cpu".into(), milli)]))]);
        (format!("web-{i}"), PodMetrics { timestamp: now(seconds), window_seconds: 30, containers })
    };
    Metrics { resources: (0..count).map(used).collect(), ..Metrics::default() }
}

fn scale(replicas: i32) -> Scale {
    Scale { spec_replicas: replicas, status_replicas: replicas, selector: "app=web".into() }
}

/// What a sync did, and the new size of the target.
fn run(
    hpa: &mut Object,
    replicas: i32,
    metrics: &Metrics,
    history: &mut History,
    at: i64,
) -> (SyncResult, Option<i32>) {
    let module = solutions::modules().hpa.make(&());
    let (pods, scale, mut desired) = (pods(replicas as usize), scale(replicas), None);
    let mut rescale = |replicas| {
        desired = Some(replicas);
        Ok(())
    };
    let (scale, others) = (Ok(&scale), &BTreeMap::new());
    let pods: Vec<&Pod> = pods.iter().collect();
    let around = Around { scale, pods: &pods, metrics, others, now: now(at), rescale: &mut rescale };
    let result = sync(&*module, hpa, around, history);
    hpa.status = Some(result.status.clone());
    (result, desired)
}

fn conditions(result: &SyncResult) -> Vec<String> {
    let conditions = result.status.conditions.iter().flatten();
    conditions.map(|c| format!("{} {} {}", c.type_, c.status, c.reason.as_deref().unwrap_or_default())).collect()
}

fn events(result: &SyncResult) -> Vec<String> {
    result.events.iter().map(|event| format!("{} {}: {}", event.type_, event.reason, event.message)).collect()
}

#[test]
fn scales_up_and_says_so() {
    let mut hpa = hpa(json!({"maxReplicas": 10, "metrics": [{"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}));
    let mut history = History::default();
    let (result, desired) = run(&mut hpa, 4, &cpu(4, 400, 0), &mut history, 0);
    assert_eq!(desired, Some(7));
    assert_eq!(
        events(&result),
        [
            "Normal SuccessfulRescale: New size: 7; reason: cpu resource utilization (percentage of request) above target"
        ]
    );
    assert_eq!(
        conditions(&result),
        [
            "AbleToScale True SucceededRescale",
            "ScalingActive True ValidMetricFound",
            "ScalingLimited False DesiredWithinRange"
        ]
    );
    let status = serde_json::to_value(&result.status).unwrap();
    assert_eq!(
        status["currentMetrics"],
        json!([{"type": "Resource", "resource": {
            "name": "cpu", "current": {"averageUtilization": 80, "averageValue": "400m"}}}])
    );
    assert_eq!((&status["currentReplicas"], &status["desiredReplicas"]), (&json!(4), &json!(7)));
    assert_eq!(status["lastScaleTime"], START);

    // Five minutes on, 7 has left the window; until then it holds.
    let (held, desired) = run(&mut hpa, 7, &cpu(7, 100, 285), &mut history, 285);
    assert_eq!((desired, held.status.desired_replicas), (None, 7));
    assert_eq!(conditions(&held)[0], "AbleToScale True ScaleDownStabilized");
    assert_eq!(held.events, []);
    let (result, desired) = run(&mut hpa, 7, &cpu(7, 100, 300), &mut history, 300);
    assert_eq!(desired, Some(3));
    assert_eq!(events(&result), ["Normal SuccessfulRescale: New size: 3; reason: All metrics below target"]);
}

#[test]
fn tells_of_metrics_that_failed() {
    let mut hpa = hpa(json!({"maxReplicas": 10, "metrics": [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
        {"type": "External", "external": {
            "metric": {"name": "queue", "selector": {"matchLabels": {"of": "web"}}},
            "target": {"type": "AverageValue", "averageValue": "30"}}},
    ]}));
    let mut metrics = Metrics { external: BTreeMap::from([("queue".into(), vec![30_000])]), ..Metrics::default() };
    let mut history = History::default();
    let (result, desired) = run(&mut hpa, 2, &metrics, &mut history, 0);
    let failed = "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from \
                  resource metrics API";
    assert_eq!(desired, None);
    assert_eq!(
        events(&result),
        [
            format!("Warning FailedGetResourceMetric: {failed}"),
            format!(
                "Warning FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 2), first error is: failed to \
                 get cpu resource metric value: {failed}"
            ),
        ]
    );
    assert_eq!(
        conditions(&result),
        ["AbleToScale True SucceededGetScale", "ScalingActive False FailedGetResourceMetric"]
    );
    assert_eq!(
        result.status.conditions.unwrap()[1].message.as_deref(),
        Some(format!("the HPA was unable to compute the replica count: {failed}").as_str())
    );

    // The queue alone may scale up.
    metrics.external.insert("queue".into(), vec![60_000, 45_000]);
    let (result, desired) = run(&mut hpa, 2, &metrics, &mut history, 15);
    assert_eq!(desired, Some(4));
    let name = "external metric queue(&LabelSelector{MatchLabels:map[string]string{of: web,},MatchExpressions:\
                []LabelSelectorRequirement{},})";
    assert_eq!(events(&result)[1], format!("Normal SuccessfulRescale: New size: 4; reason: {name} above target"));
}

#[test]
fn asks_no_metrics_out_of_range() {
    let cases = [
        (0, None, "ScalingActive False ScalingDisabled", ""),
        (12, Some(10), "AbleToScale True SucceededRescale", "Current number of replicas above Spec.MaxReplicas"),
        (1, Some(2), "AbleToScale True SucceededRescale", "Current number of replicas below Spec.MinReplicas"),
    ];
    for (replicas, wanted, condition, reason) in cases {
        let mut hpa = hpa(json!({"minReplicas": 2, "maxReplicas": 10}));
        let (result, desired) = run(&mut hpa, replicas, &Metrics::default(), &mut History::default(), 0);
        assert_eq!(desired, wanted);
        assert!(conditions(&result).iter().any(|c| c == condition), "{:?}", conditions(&result));
        assert!(events(&result).iter().all(|event| event.ends_with(reason)), "{:?}", events(&result));
    }
}

#[test]
fn needs_a_scale_and_a_selector() {
    let module = solutions::modules().hpa.make(&());
    let object = hpa(json!({"maxReplicas": 10}));
    let sync = |scale: Result<&Scale, &str>| {
        let (metrics, others, mut rescale) = (Metrics::default(), BTreeMap::new(), |_| Ok(()));
        let around =
            Around { scale, pods: &[], metrics: &metrics, others: &others, now: now(0), rescale: &mut rescale };
        sync(&*module, &object, around, &mut History::default())
    };
    let error = "deployments.apps \"web\" not found";
    let result = sync(Err(error));
    assert_eq!(events(&result), [format!("Warning FailedGetScale: {error}")]);
    assert_eq!(conditions(&result), ["AbleToScale False FailedGetScale"]);

    let result = sync(Ok(&Scale { selector: String::new(), ..scale(3) }));
    assert_eq!(
        events(&result),
        [
            "Warning SelectorRequired: selector is required",
            "Warning FailedComputeMetricsReplicas: selector is required"
        ]
    );
    assert_eq!(conditions(&result)[1], "ScalingActive False InvalidSelector");
}
