use super::*;
use serde_json::json;

fn shown(metric: &str, object: &Value) -> Vec<String> {
    let metrics = TABLES.iter().flat_map(|table| table.metrics);
    let of = &metrics.clone().find(|one| one.name == metric).unwrap_or_else(|| panic!("no {metric}")).of;
    let row = |(labels, value): Row| {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} {value}", labels.join(",")).trim().to_string()
    };
    rows(of, object).into_iter().map(row).collect()
}

#[test]
fn series_are_those_that_upstream_makes_of_the_same_object() {
    let status = json!({
        "name": "app", "ready": false, "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2025-06-01T12:00:10Z"}},
    });
    let spec = json!({"name": "app", "resources": {
        "requests": {"cpu": "250m", "memory": "64Mi", "ephemeral-storage": "1Gi", "example.com/gpu": "1", "strange": "1"}}});
    let pod = json!({
        "metadata": {"name": "web-1", "namespace": "default"},
        "spec": {"nodeName": "node-1", "containers": [spec]},
        "status": {"phase": "Running", "containerStatuses": [status], "reason": "Preempting",
            "conditions": [{"type": "Ready", "status": "False", "reason": "Evicted"}, {"type": "PodScheduled", "status": "True"}]},
    });
    let job = json!({"status": {"failed": 2, "conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}});
    let deployment = json!({
        "spec": {"replicas": 3, "strategy": {"rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}},
        "status": {"conditions": [{"type": "Available", "status": "True", "reason": "Odd"}]},
    });
    let cron = json!({"metadata": {"creationTimestamp": "2025-06-01T12:00:10Z"}, "spec": {"schedule": "*/5 * * * *"}});
    let scaler = json!({"spec": {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}});
    let node = json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}});
    for (metric, object, expected) in [
        ("kube_pod_container_status_restarts_total", &pod, &["container=app 3"][..]),
        ("kube_pod_container_status_last_terminated_reason", &pod, &["container=app,reason=OOMKilled 1"]),
        ("kube_pod_container_status_last_terminated_exitcode", &pod, &["container=app 137"]),
        ("kube_pod_container_status_last_terminated_timestamp", &pod, &["container=app 1748779210"]),
        ("kube_pod_container_status_terminated_reason", &pod, &[]),
        ("kube_pod_container_status_waiting_reason", &pod, &["container=app,reason=CrashLoopBackOff 1"]),
        ("kube_pod_container_status_waiting", &pod, &["container=app 1"]),
        ("kube_pod_container_status_running", &pod, &["container=app 0"]),
        (
            "kube_pod_status_phase",
            &pod,
            &["phase=Pending 0", "phase=Succeeded 0", "phase=Failed 0", "phase=Unknown 0", "phase=Running 1"],
        ),
        ("kube_pod_status_ready", &pod, &["condition=true 0", "condition=false 1", "condition=unknown 0"]),
        ("kube_pod_status_reason", &pod, &["reason=Evicted 1", "reason=Other 1"]),
        ("kube_pod_status_unschedulable", &pod, &[]),
        ("kube_pod_owner", &pod, &["owner_kind=,owner_name=,owner_is_controller= 1"]),
        (
            "kube_pod_container_resource_requests",
            &pod,
            &[
                "container=app,node=node-1,resource=cpu,unit=core 0.25",
                "container=app,node=node-1,resource=memory,unit=byte 67108864",
                "container=app,node=node-1,resource=ephemeral_storage,unit=byte 1073741824",
                "container=app,node=node-1,resource=example_com_gpu,unit=integer 1",
            ],
        ),
        (
            "kube_job_status_failed",
            &job,
            &["reason=BackoffLimitExceeded 0", "reason=DeadlineExceeded 1", "reason=Evicted 0"],
        ),
        ("kube_job_status_failed", &json!({"status": {"failed": 2}}), &["reason= 2"]),
        ("kube_job_status_failed", &json!({}), &["0"]),
        ("kube_deployment_spec_strategy_rollingupdate_max_unavailable", &deployment, &["0"]),
        ("kube_deployment_spec_strategy_rollingupdate_max_surge", &deployment, &["1"]),
        (
            "kube_deployment_status_condition",
            &deployment,
            &[
                "reason=unknown,condition=Available,status=true 1",
                "reason=unknown,condition=Available,status=false 0",
                "reason=unknown,condition=Available,status=unknown 0",
            ],
        ),
        ("kube_cronjob_next_schedule_time", &cron, &["1748779500"]),
        (
            "kube_horizontalpodautoscaler_spec_target_metric",
            &scaler,
            &["metric_name=cpu,metric_target_type=utilization,container= 80"],
        ),
        ("kube_horizontalpodautoscaler_spec_min_replicas", &scaler, &["1"]),
        ("kube_node_spec_taint", &node, &["key=a,value=,effect=NoSchedule 1"]),
        ("kube_node_spec_unschedulable", &node, &["0"]),
        ("kube_persistentvolumeclaim_status_phase", &json!({}), &[]),
    ] {
        assert_eq!(shown(metric, object), expected, "{metric}");
    }
}

#[test]
fn names_are_there_once_and_objects_can_be_anything() {
    let mut names: Vec<&str> = TABLES.iter().flat_map(|table| table.metrics).map(|metric| metric.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    for table in TABLES {
        for metric in table.metrics {
            let strange = json!({"spec": [1, null], "status": {"conditions": 7, "phase": {}}, "metadata": "x"});
            rows(&metric.of, &Value::Null);
            rows(&metric.of, &strange);
        }
    }
}
