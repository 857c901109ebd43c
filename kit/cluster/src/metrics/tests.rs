use super::*;
use crate::cluster::{self, Config};
use crate::engine::Clock;
use crate::timeline::apply;
use kit_contract::observability::metrics::Page;
use kit_observability::exposition::{parse, render};
use kit_time::agenda::Instant;
use serde_json::{Value, json};

fn cluster(images: Value, manifests: &[Value]) -> Engine {
    let config = Config { images: serde_json::from_value(images).expect("images"), ..Config::default() };
    let mut engine = cluster::start(&config, &solutions::modules(), Clock::default());
    assert!(engine.run_until(Instant::seconds(1)).is_ok());
    for manifest in manifests {
        apply(&mut engine, manifest).expect("it can be made");
    }
    engine
}

fn pod(name: &str, image: &str, resources: Value) -> Value {
    let container = json!({"name": "app", "image": image, "resources": resources});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"nodeName": "node-1", "containers": [container]}})
}

/// The sum of the series of a name whose labels have all of these.
fn value(engine: &mut Engine, endpoint: &Endpoint, name: &str, labels: &[(&str, &str)]) -> f64 {
    let families = scrape(engine, endpoint).expect("it answers");
    // What is written can be read, and is what was written.
    let full = families.iter().filter(|family| !family.samples.is_empty()).count();
    assert_eq!(parse::parse(render::render(&families).as_bytes()).expect("readable").len(), full);
    // The module says the same, in its own order; what is of no type is a gauge to it.
    let lines = |text: &str| -> std::collections::BTreeSet<String> { text.lines().map(str::to_string).collect() };
    let page = solutions::modules().metrics.make(&()).expose(&asked(families.clone()));
    let Page::Text(page) = page else { panic!("{endpoint:?} is refused") };
    let full: Vec<Family> = families.iter().filter(|family| !family.samples.is_empty()).cloned().collect();
    assert_eq!(lines(&page), lines(&render::as_go(&full).replace(" untyped\n", " gauge\n")));
    let samples = families.into_iter().flat_map(|family| family.samples).filter(|sample| sample.name == name);
    let fits = |sample: &Sample| {
        let has = |(label, value): &(&str, &str)| sample.labels.iter().any(|(name, is)| name == label && is == value);
        labels.iter().all(has)
    };
    samples.filter(fits).map(|sample| sample.value).sum()
}

#[test]
fn a_container_in_bursts_is_throttled_though_it_uses_little() {
    let images = json!({"bursty": {"milli_cpu": 0, "bursts": {"every": 1, "threads": 4, "cpu": 0.05}}});
    let limits = json!({"limits": {"cpu": "500m", "memory": "64Mi"}});
    let mut engine = cluster(images, &[pod("web", "bursty", limits)]);
    assert!(engine.run_until(Instant::seconds(101)).is_ok());
    let cadvisor = Endpoint::Kubelet("node-1".into(), "metrics/cadvisor".into());
    let mut of = |name| value(&mut engine, &cadvisor, name, &[("container", "app")]);
    let (cpu, periods, throttled) = (
        of("container_cpu_usage_seconds_total"),
        of("container_cpu_cfs_periods_total"),
        of("container_cpu_cfs_throttled_periods_total"),
    );
    // 0.2 of a CPU on average, of 0.5; each burst needs four periods of 50 ms, and has to stop in the first three.
    assert!((19.0..21.0).contains(&cpu), "{cpu}");
    assert_eq!((periods / cpu, throttled / periods), (20.0, 0.75));
    assert_eq!(of("container_spec_cpu_quota"), 50_000.0);
    let whole = value(&mut engine, &cadvisor, "container_cpu_usage_seconds_total", &[("id", "/")]);
    assert!(whole >= cpu);
}

#[test]
fn load_is_counted_while_it_lasts() {
    let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
            {"name": "app", "image": "idle", "resources": {"limits": {"cpu": "500m"}}}]}}}});
    let mut engine = cluster(json!({"idle": {"milli_cpu": 0}}), &[web]);
    assert!(engine.run_until(Instant::seconds(30)).is_ok());
    let load = |engine: &mut Engine, milli_cpu| {
        let fault = kit_client::fault::Fault::Load { workload: "default/web".into(), milli_cpu };
        engine.fault(&fault).expect("a load");
    };
    load(&mut engine, 1000);
    assert!(engine.run_until(Instant::seconds(130)).is_ok());
    load(&mut engine, 0);
    assert!(engine.run_until(Instant::seconds(230)).is_ok());
    let mut sum = |path: &str, name| {
        let nodes = ["node-1", "node-2", "node-3"];
        let endpoint = |node: &str| Endpoint::Kubelet(node.into(), path.into());
        nodes.iter().map(|node| value(&mut engine, &endpoint(node), name, &[("container", "app")])).sum::<f64>()
    };
    // 100 s of half a CPU: more is not allowed, and what is asked for is twice that.
    assert!((sum("metrics/resource", "container_cpu_usage_seconds_total") - 50.0).abs() < 0.1);
    assert!((sum("metrics/cadvisor", "container_cpu_cfs_throttled_seconds_total") - 50.0).abs() < 0.1);
    let (periods, throttled) = ("container_cpu_cfs_periods_total", "container_cpu_cfs_throttled_periods_total");
    assert_eq!(sum("metrics/cadvisor", throttled), 1000.0);
    assert!(sum("metrics/cadvisor", periods) > 1900.0);
}

#[test]
fn components_tell_what_they_have_done() {
    let images = json!({"leaky": {"memory": 134_217_728, "fills_after": 5}});
    let limits = json!({"limits": {"memory": "64Mi"}});
    let mut huge = pod("huge", "web", json!({"requests": {"cpu": "64"}}));
    huge["spec"]["nodeName"] = Value::Null;
    let mut engine = cluster(images, &[pod("leaky", "leaky", limits), huge]);
    assert!(engine.run_until(Instant::seconds(40)).is_ok());
    let kubelet = Endpoint::Kubelet("node-1".into(), "metrics".into());
    let reason = [("reason", "OOMKilled")];
    for (endpoint, name, labels, expected) in [
        (&Endpoint::State, "kube_pod_container_status_last_terminated_reason", &reason[..], 1.0),
        (&Endpoint::State, "kube_pod_status_unschedulable", &[("pod", "huge")], 1.0),
        (&Endpoint::State, "kube_node_status_condition", &[("condition", "Ready"), ("status", "true")], 3.0),
        (&Endpoint::Scheduler, "scheduler_pending_pods", &[("queue", "unschedulable")], 1.0),
        (&Endpoint::Scheduler, "scheduler_unschedulable_pods", &[("plugin", "NodeResourcesFit")], 1.0),
        (&Endpoint::Resources, "kube_pod_resource_request", &[("pod", "huge"), ("resource", "cpu")], 64.0),
        (&Endpoint::Controllers, "node_collector_zone_size", &[("zone", "")], 3.0),
        (&Endpoint::Controllers, "node_collector_zone_health", &[("zone", "")], 100.0),
        (&kubelet, "kubelet_started_pods_total", &[], 1.0),
        (&kubelet, "kubelet_node_name", &[("node", "node-1")], 1.0),
        (&kubelet, "kubelet_pod_start_duration_seconds_count", &[], 1.0),
    ] {
        assert_eq!(value(&mut engine, endpoint, name, labels), expected, "{name}");
    }
    let started = value(&mut engine, &kubelet, "kubelet_started_containers_total", &[("container_type", "container")]);
    let restarts =
        value(&mut engine, &Endpoint::State, "kube_pod_container_status_restarts_total", &[("pod", "leaky")]);
    assert!(restarts >= 1.0 && (started - restarts - 1.0).abs() <= 1.0, "{started} {restarts}");
    let exporter = Endpoint::Exporter("node-1".into());
    let kills = value(&mut engine, &exporter, "node_vmstat_oom_kill", &[]);
    assert!(kills >= 1.0 && (started - kills).abs() <= 1.0, "{started} {kills}");
    let seconds = value(&mut engine, &exporter, "node_cpu_seconds_total", &[("cpu", "0")]);
    assert!((seconds - 40.0).abs() < 1e-6, "{seconds}");
    for gone in [Endpoint::Exporter("node-9".into()), Endpoint::Kubelet("node-1".into(), "pods".into())] {
        assert_eq!(scrape(&mut engine, &gone), None);
    }
}
