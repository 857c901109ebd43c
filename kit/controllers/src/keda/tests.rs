//! From nothing to some and back, with a broker whose queue somebody fills.

use super::operator::Operator;
use super::spec::Spec;
use crate::testing::Bench;
use kit_apimachinery::object::{Key, Kind};
use kit_client::metrics::{Measured, Sources};
use kit_time::agenda::Instant;
use serde_json::{Value, json};

fn scaled_object(spec: Value) -> Value {
    let mut all = json!({"scaleTargetRef": {"name": "worker"}, "triggers": [
        {"type": "rabbitmq", "metadata": {"queueName": "orders", "mode": "QueueLength", "value": "10", "activationValue": "4"}},
    ]});
    spec.as_object().into_iter().flatten().for_each(|(field, value)| all[field] = value.clone());
    let metadata = json!({"name": "worker", "namespace": "default"});
    json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": all})
}

struct Play {
    bench: Bench,
    sources: Sources,
}

impl Play {
    fn begin(replicas: i32, spec: Value) -> Play {
        let sources = Sources::default();
        sources.borrow_mut().queues.insert("orders".into(), 0);
        let mut bench = Bench::new(Operator::new(sources.clone()));
        bench.settle();
        let template =
            json!({"metadata": {"labels": {"app": "worker"}}, "spec": {"containers": [{"name": "c", "image": "app"}]}});
        bench.create(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "worker", "namespace": "default"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "worker"}}, "template": template}}));
        let kind = bench.server.kind_of(super::API_VERSION, super::KIND).expect("it is installed");
        let object = kit_apimachinery::object::Object::from_value(kind, scaled_object(spec)).expect("a good object");
        bench.server.create(object).expect("it can be made");
        bench.settle();
        Play { bench, sources }
    }

    fn queue(&self, jobs: i64) {
        self.sources.borrow_mut().queues.insert("orders".into(), jobs * 1000);
    }

    /// The replicas so many seconds later.
    fn after(&mut self, seconds: i64) -> i64 {
        let now = self.bench.now;
        self.bench.run_until(now + Instant::seconds(seconds));
        let worker = Key::new(Kind::Deployment, "default", "worker");
        self.bench.server.get(&worker).expect("it is there").to_value()["spec"]["replicas"].as_i64().unwrap_or_default()
    }

    fn hpa(&self) -> Option<Value> {
        let key = Key::new(Kind::HorizontalPodAutoscaler, "default", "keda-hpa-worker");
        self.bench.server.get(&key).ok().map(|stored| stored.to_value())
    }

    fn key(&self) -> Key {
        let kind = self.bench.server.kind_of(super::API_VERSION, super::KIND).expect("it is installed");
        Key::new(kind, "default", "worker")
    }

    fn annotate(&mut self, name: &str, value: Option<&str>) {
        let patch = json!({"metadata": {"annotations": {format!("autoscaling.keda.sh/{name}"): value}}});
        self.bench.server.patch(&self.key(), &kit_server::Patch::Merge(patch), false).expect("it can be changed");
        self.bench.settle();
    }

    fn paused_replicas(&self) -> Option<i64> {
        let object = self.bench.server.get(&self.key()).expect("it is there").to_value();
        object["status"]["pausedReplicaCount"].as_i64()
    }

    /// Status and reason of a condition.
    fn condition(&self, type_: &str) -> String {
        let object = self.bench.server.get(&self.key()).expect("it is there").to_value();
        let mut all = object["status"]["conditions"].as_array().into_iter().flatten();
        let found = all.find(|condition| condition["type"] == type_);
        let text = |field: &str| found.and_then(|found| found[field].as_str()).unwrap_or("none").to_string();
        format!("{} {}", text("status"), text("reason"))
    }
}

#[test]
fn a_target_wakes_by_a_queue_and_sleeps_after_the_cooldown() {
    let mut play = Play::begin(0, json!({"pollingInterval": 10, "cooldownPeriod": 60}));
    assert_eq!((play.after(1), play.condition("Active")), (0, "False ScalerNotActive".into()));
    play.queue(4);
    assert_eq!(play.after(20), 0, "as many as the activation value are not enough");
    play.queue(5);
    assert_eq!((play.after(10), play.condition("Active")), (1, "True ScalerActive".into()));
    play.queue(0);
    assert_eq!((play.after(60), play.condition("Active")), (1, "False ScalerCooldown".into()));
    assert_eq!((play.after(15), play.condition("Ready")), (0, "True ScaledObjectReady".into()));
    let events = play.bench.events();
    for event in [
        "Normal ScaledObjectReady ScaledObject is ready for scaling",
        "Normal KEDAScaleTargetActivated Scaled apps/v1.Deployment default/worker from 0 to 1, triggered by rabbitMQScaler",
        "Normal KEDAScaleTargetDeactivated Deactivated apps/v1.Deployment default/worker from 1 to 0",
    ] {
        assert!(events.contains(&event.to_string()), "{event}: {events:#?}");
    }
}

#[test]
fn the_hpa_scales_from_one_up_whatever_the_least_is() {
    for (spec, min, max) in [(json!({}), 1, 100), (json!({"minReplicaCount": 3, "maxReplicaCount": 7}), 3, 7)] {
        let play = Play::begin(3, spec);
        let hpa = play.hpa().expect("it was made");
        let spec = &hpa["spec"];
        assert_eq!((spec["minReplicas"].as_i64(), spec["maxReplicas"].as_i64()), (Some(min), Some(max)));
        let external = &spec["metrics"][0]["external"];
        assert_eq!(external["metric"]["name"], "s0-rabbitmq-orders");
        assert_eq!(external["metric"]["selector"]["matchLabels"]["scaledobject.keda.sh/name"], "worker");
        assert_eq!(external["target"], json!({"type": "AverageValue", "averageValue": "10"}));
        assert_eq!(hpa["metadata"]["ownerReferences"][0]["kind"], "ScaledObject");
    }
}

#[test]
fn the_hpa_is_kept_as_it_should_be() {
    let mut play = Play::begin(1, json!({"maxReplicaCount": 7}));
    let key = Key::new(Kind::HorizontalPodAutoscaler, "default", "keda-hpa-worker");
    let patch = kit_server::Patch::Merge(json!({"spec": {"maxReplicas": 50}}));
    play.bench.server.patch(&key, &patch, false).expect("it can be changed");
    play.after(31);
    assert_eq!(play.hpa().expect("it is there")["spec"]["maxReplicas"], 7);
    let version = play.hpa().expect("it is there")["metadata"]["resourceVersion"].clone();
    play.after(60);
    assert_eq!(
        play.hpa().expect("it is there")["metadata"]["resourceVersion"],
        version,
        "nothing is written for nothing"
    );
}

#[test]
fn idle_replicas_are_kept_while_there_is_nothing_to_do() {
    let mut play = Play::begin(
        1,
        json!({"idleReplicaCount": 1, "minReplicaCount": 4, "cooldownPeriod": 30, "pollingInterval": 5}),
    );
    assert_eq!(play.after(20), 1);
    play.queue(100);
    assert_eq!(play.after(5), 4);
    play.queue(0);
    assert_eq!((play.after(20), play.after(30)), (4, 1));
}

#[test]
fn fewer_than_the_least_are_brought_up_without_a_trigger() {
    let mut play = Play::begin(0, json!({"minReplicaCount": 2}));
    assert_eq!(play.after(1), 2);
}

#[test]
fn a_broker_that_is_silent_changes_nothing() {
    let mut play = Play::begin(0, json!({"cooldownPeriod": 10, "pollingInterval": 5}));
    play.queue(50);
    assert_eq!(play.after(5), 1);
    play.sources.borrow_mut().silent = true;
    assert_eq!((play.after(300), play.condition("Ready")), (1, "False TriggerError".into()));
    play.sources.borrow_mut().silent = false;
    play.queue(0);
    assert_eq!((play.after(30), play.condition("Ready")), (0, "True ScaledObjectReady".into()));
}

#[test]
fn a_pause_leaves_the_target_as_it_is() {
    for word in ["true", "1", "please"] {
        let mut play = Play::begin(0, json!({"pollingInterval": 5, "cooldownPeriod": 10}));
        assert_eq!(play.condition("Paused"), "Unknown none");
        play.annotate("paused", Some(word));
        play.queue(100);
        assert_eq!((play.after(60), play.hpa()), (0, None), "{word}");
        assert_eq!(play.condition("Paused"), "True ScaledObjectPaused");
        assert_eq!(play.condition("Ready"), "True ScaledObjectReady");
        play.annotate("paused", None);
        assert_eq!((play.after(6), play.hpa().is_some()), (1, true), "{word}");
        assert_eq!(play.condition("Paused"), "False ScaledObjectUnpaused");
    }
    let mut play = Play::begin(0, json!({"pollingInterval": 5}));
    play.annotate("paused", Some("false"));
    play.queue(100);
    assert_eq!((play.after(6), play.condition("Paused")), (1, "Unknown none".into()));
}

#[test]
fn a_pause_with_replicas_brings_the_target_there_first() {
    let mut play = Play::begin(2, json!({"pollingInterval": 5, "minReplicaCount": 1}));
    play.annotate("paused-replicas", Some("7"));
    assert_eq!((play.after(10), play.hpa(), play.paused_replicas()), (7, None, Some(7)));
    assert_eq!(play.condition("Paused"), "True ScaledObjectPaused");
    let events = play.bench.events();
    let told = "Warning ScaledObjectCheckFailed ScaledObject paused replicas are being scaled";
    assert!(events.contains(&told.to_string()), "{events:#?}");
    // Another number wakes it for once, with an HPA that allows no other.
    play.annotate("paused-replicas", Some("0"));
    assert_eq!((play.after(10), play.paused_replicas()), (0, Some(0)));
    let bounds = |hpa: Value| (hpa["spec"]["minReplicas"].as_i64(), hpa["spec"]["maxReplicas"].as_i64());
    assert_eq!(play.hpa().map(bounds), Some((Some(1), Some(1))));
    play.annotate("paused-replicas", None);
    assert_eq!((play.after(10), play.paused_replicas()), (1, None));
    assert_eq!(play.hpa().map(bounds), Some((Some(1), Some(100))));
    play.annotate("paused-replicas", Some("many"));
    play.after(1);
    let events = play.bench.events();
    let told = "Warning KEDAScalerFailed strconv.ParseInt: parsing \"many\": invalid syntax";
    assert!(events.contains(&told.to_string()), "{events:#?}");
}

#[test]
fn a_fallback_keeps_who_is_awake_awake() {
    for (fallback, left, ready) in [
        (json!({"failureThreshold": 3, "replicas": 4}), 1, "True ScaledObjectReady"),
        // Without replicas to fall back to, who sleeps is as good.
        (json!({"failureThreshold": 3, "replicas": 0}), 0, "True ScaledObjectReady"),
    ] {
        let mut play = Play::begin(1, json!({"pollingInterval": 5, "cooldownPeriod": 10, "fallback": fallback}));
        play.sources.borrow_mut().silent = true;
        assert_eq!((play.after(60), play.condition("Ready").as_str()), (left, ready), "{fallback}");
    }
}

#[test]
fn what_is_wrong_is_told() {
    for (spec, message) in [
        (json!({"scaleTargetRef": {"name": "nobody"}}), "Target resource doesn't exist"),
        (json!({"minReplicaCount": 5, "maxReplicaCount": 2}), "MinReplicaCount=5 must be less than MaxReplicaCount=2"),
        (
            json!({"idleReplicaCount": 2, "minReplicaCount": 2}),
            "IdleReplicaCount=2 must be less than MinReplicaCount=2",
        ),
        (json!({"triggers": [{"type": "moon", "metadata": {}}]}), "no scaler found for type: moon"),
    ] {
        let play = Play::begin(1, spec);
        assert_eq!(play.condition("Ready"), "False ScaledObjectCheckFailed", "{message}");
        let events = play.bench.events();
        assert!(events.iter().any(|event| event.ends_with(message)), "{message}: {events:#?}");
        assert_eq!(play.hpa(), None, "{message}");
    }
}

#[test]
fn a_query_of_prometheus_is_a_trigger() {
    let trigger = |metadata: Value| {
        let triggers = json!([{"type": "prometheus", "name": "busy", "metadata": metadata}]);
        Spec::read(&scaled_object(json!({ "triggers": triggers })))
    };
    let web = || ("default".to_string(), "web".to_string());
    let measured = Measured {
        requests: [(web(), 90_000)].into(),
        ready: [(web(), ["web-1", "web-2"].map(String::from).into())].into(),
        ..Measured::default()
    };
    let sum = "sum(http_requests_per_second{deployment=\"web\"})";
    let spec =
        trigger(json!({"query": sum, "threshold": "12.5", "activationThreshold": "89.5"})).expect("a good trigger");
    let one = &spec.triggers[0];
    assert_eq!((one.metric.as_str(), one.name.as_str()), ("s0-prometheus", "busy"));
    assert_eq!((one.value_milli(&measured), one.is_active(90_000), one.is_active(89_500)), (Ok(90_000), true, false));
    let target = spec.hpa(&Key::new(Kind::Deployment, "default", "worker"))["metrics"][0]["external"]["target"].clone();
    assert_eq!(target, json!({"type": "AverageValue", "averageValue": "12500m"}));
    let value = |query: &str, ignore: &str| {
        let spec =
            trigger(json!({"query": query, "threshold": "1", "ignoreNullValues": ignore})).expect("a good trigger");
        spec.triggers[0].value_milli(&measured)
    };
    assert_eq!(value("up", "true"), Ok(0));
    assert!(value("up", "false").is_err_and(|why| why.contains("the result is empty")));
    assert!(value("http_requests_per_second", "true").is_err_and(|why| why.contains("multiple elements")));
    assert!(trigger(json!({"query": sum})).is_err_and(|wrong| wrong.why.contains("threshold")));
    assert!(trigger(json!({"query": sum, "threshold": "much"})).is_err_and(|wrong| wrong.why.contains("much")));
}
