//! What the scheduler and the controller manager say of themselves.
//!
//! Sources: `pkg/scheduler/metrics/metrics.go`, `pkg/scheduler/metrics/resources/resources.go`,
//! `component-base/metrics/prometheus/workqueue/metrics.go`, `pkg/controller/nodelifecycle/metrics.go`.

use super::{With, family};
use kit_api::core::Pod;
use kit_api::pod_resources::{RequestOptions, Resources, limits, requests};
use kit_api::{Quantity, pod};
use kit_apimachinery::object::Kind;
use kit_client::work_queue::Tally;
use kit_controllers::node_lifecycle::Zone;
use kit_observability::exposition::{Family, Type};
use kit_scheduler::Scheduler;
use kit_scheduler::metrics::Place;
use kit_server::Snapshot;
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

const PROFILE: (&str, &str) = ("profile", "default-scheduler");

/// `/metrics` of the scheduler.
pub fn scheduler(scheduler: &Scheduler, now: Instant) -> Vec<Family> {
    let (places, refused) = scheduler.queued(now);
    let tally = scheduler.tally();
    let mut pending = family(
        "scheduler_pending_pods",
        Type::Gauge,
        "[STABLE] Number of pending pods, by the queue type. 'active' means number of pods in activeQ; 'backoff' means number of pods in backoffQ; 'unschedulable' means number of pods in unschedulablePods that the scheduler attempted to schedule and failed; 'gated' is the number of unschedulable pods that the scheduler never attempted to schedule because they are gated.",
    );
    for (name, place) in Place::ALL {
        pending = pending.with(&[("queue", name)], places.get(&place).copied().unwrap_or_default() as f64);
    }
    let mut unschedulable = family(
        "scheduler_unschedulable_pods",
        Type::Gauge,
        "[ALPHA] The number of unschedulable pods broken down by plugin name. A pod will increment the gauge for all plugins that caused it to not schedule and so this metric have meaning only when broken down by plugin.",
    );
    for (plugin, count) in refused {
        unschedulable = unschedulable.with(&[("plugin", plugin), PROFILE], count as f64);
    }
    let mut attempts = family(
        "scheduler_schedule_attempts_total",
        Type::Counter,
        "[STABLE] Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be scheduled, while 'error' means an internal scheduler problem.",
    );
    for (result, count) in &tally.attempts {
        attempts = attempts.with(&[PROFILE, ("result", result)], *count as f64);
    }
    let mut sli = family(
        "scheduler_pod_scheduling_sli_duration_seconds",
        Type::Histogram,
        "[BETA] E2e latency for a pod being scheduled, from the time the pod enters the scheduling queue and might involve multiple scheduling attempts.",
    );
    for (attempts, histogram) in &tally.sli {
        sli = sli.with_histogram(&[("attempts", attempts)], histogram);
    }
    let needed = "[STABLE] Number of attempts to successfully schedule a pod.";
    let preemptions = "[STABLE] Total preemption attempts in the cluster till now";
    vec![
        family("scheduler_pod_scheduling_attempts", Type::Histogram, needed).with_histogram(&[], &tally.needed),
        sli,
        pending,
        family("scheduler_preemption_attempts_total", Type::Counter, preemptions).with(&[], tally.preemptions as f64),
        family("scheduler_preemption_victims", Type::Histogram, "[STABLE] Number of selected preemption victims")
            .with_histogram(&[], &tally.victims),
        attempts,
        unschedulable,
    ]
}

/// `/metrics/resources` of the scheduler: what it reckons with for each pod that has not ended.
pub fn resources(snapshot: &Snapshot) -> Vec<Family> {
    let mut request = family(
        "kube_pod_resource_request",
        Type::Gauge,
        "[STABLE] Resources requested by workloads on the cluster, broken down by pod. This shows the resource usage the scheduler and kubelet expect per pod for resources along with the unit for the resource if any.",
    );
    let mut limit = family(
        "kube_pod_resource_limit",
        Type::Gauge,
        "[STABLE] Resources limit for workloads on the cluster, broken down by pod. This shows the resource usage the scheduler and kubelet expect per pod for resources along with the unit for the resource if any.",
    );
    let pods = snapshot.list(Kind::Pod).filter_map(|stored| stored.get::<Pod>());
    for pod in pods.filter(|pod| pod::node_name(pod).is_none() || !pod::is_finished(pod)) {
        request = of_pod(request, pod, &requests(pod, &RequestOptions::default()));
        limit = of_pod(limit, pod, &limits(pod));
    }
    vec![limit, request]
}

fn of_pod(mut family: Family, pod: &Pod, amounts: &Resources) -> Family {
    let spec = pod.spec.as_ref();
    let priority = spec.and_then(|spec| spec.priority).map(|priority| priority.to_string()).unwrap_or_default();
    let scheduler = spec.and_then(|spec| spec.scheduler_name.as_deref()).unwrap_or_default();
    let amounts = amounts.iter().filter(|(_, amount): &(_, &Quantity)| !amount.is_zero());
    for (resource, amount) in amounts {
        let unit = match resource.as_str() {
            "cpu" => "cores",
            "memory" | "storage" | "ephemeral-storage" => "bytes",
            name if name.starts_with("hugepages-") => "bytes",
            name if name.starts_with("attachable-volumes-") => "integer",
            _ => "",
        };
        let labels = [
            ("namespace", pod.metadata.namespace.as_deref().unwrap_or_default()),
            ("node", pod::node_name(pod).unwrap_or_default()),
            ("pod", pod.metadata.name.as_deref().unwrap_or_default()),
            ("priority", &priority),
            ("resource", resource),
            ("scheduler", scheduler),
            ("unit", unit),
        ];
        family = family.with(&labels, amount.approximate_f64());
    }
    family
}

/// `/metrics` of the controller manager.
pub fn controllers(queues: &[(&'static str, Tally)], zones: &BTreeMap<String, Zone>) -> Vec<Family> {
    let of_nodes = |name: &str, kind, help: &str, value: fn(&Zone) -> f64| {
        let empty = family(&format!("node_collector_{name}"), kind, help);
        zones.iter().fold(empty, |family, (zone, of)| family.with(&[("zone", &zone_key(zone))], value(of)))
    };
    let of_queues = |name: &str, kind, help: &str, value: fn(&Tally) -> f64| {
        let empty = family(&format!("workqueue_{name}"), kind, help);
        queues.iter().fold(empty, |family, (queue, of)| family.with(&[("name", queue)], value(of)))
    };
    let waited = family(
        "workqueue_queue_duration_seconds",
        Type::Histogram,
        "[BETA] How long in seconds an item stays in workqueue before being requested.",
    );
    vec![
        of_nodes(
            "evictions_total",
            Type::Counter,
            "[STABLE] Number of Node evictions that happened since current instance of NodeController started.",
            |zone| zone.evictions as f64,
        ),
        of_nodes(
            "unhealthy_nodes_in_zone",
            Type::Gauge,
            "[ALPHA] Gauge measuring number of not Ready Nodes per zones.",
            |zone| zone.unhealthy as f64,
        ),
        of_nodes("zone_health", Type::Gauge, "[ALPHA] Gauge measuring percentage of healthy nodes per zone.", |zone| {
            100.0 * (zone.size - zone.unhealthy.min(zone.size)) as f64 / zone.size.max(1) as f64
        }),
        of_nodes("zone_size", Type::Gauge, "[ALPHA] Gauge measuring number of registered Nodes per zones.", |zone| {
            zone.size as f64
        }),
        of_queues("adds_total", Type::Counter, "[BETA] Total number of adds handled by workqueue", |of| of.adds as f64),
        of_queues("depth", Type::Gauge, "[BETA] Current depth of workqueue", |of| of.depth as f64),
        queues.iter().fold(waited, |family, (name, of)| family.with_histogram(&[("name", name)], &of.waited)),
        of_queues("retries_total", Type::Counter, "[BETA] Total number of retries handled by workqueue", |of| {
            of.retries as f64
        }),
        of_queues(
            "unfinished_work_seconds",
            Type::Gauge,
            "[BETA] How many seconds of work has done that is in progress and hasn't been observed by work_duration. Large values indicate stuck threads. One can deduce the number of stuck threads by observing the rate at which this increases.",
            // A look at a key takes no time here.
            |_| 0.0,
        ),
    ]
}

/// A zone as the label has it: region and zone with a colon, a zero byte and a colon between them (`GetZoneKey` of
/// `component-helpers/node/topology/helpers.go`).
fn zone_key(zone: &str) -> String {
    match zone.split_once(':') {
        Some((region, zone)) => format!("{region}:\0:{zone}"),
        None if zone.is_empty() => String::new(),
        None => format!(":\0:{zone}"),
    }
}
