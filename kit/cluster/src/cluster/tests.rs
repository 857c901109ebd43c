use super::*;
use kit_api::apps::ReplicaSet;
use kit_api::batch::Job;
use kit_api::core::Pod;
use kit_api::pod;
use kit_apimachinery::object::{Key, Kind, Object};
use kit_contract::remote::{Link, Transport, catch_lost};
use kit_node::kubelet::image::Image;
use kit_server::DeleteOptions;
use kit_time::agenda::Instant;

fn web() -> Object {
    let json = r#"{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"web"},"spec":{"replicas":4,
        "selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},
        "spec":{"containers":[{"name":"web","image":"web:1"}]}}}}"#;
    Object::decode(Kind::ReplicaSet, json).expect("a replica set")
}

fn pods(engine: &Engine) -> Vec<(String, bool)> {
    let pods = engine.server().snapshot().list(Kind::Pod).filter_map(|stored| stored.get::<Pod>());
    pods.map(|pod| (pod::node_name(pod).unwrap_or("-").to_string(), pod::is_ready(pod))).collect()
}

fn probed() -> Object {
    let json = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"probed"},"spec":{"nodeName":"node-1",
        "containers":[{"name":"main","image":"web:1","readinessProbe":{"tcpSocket":{"port":80}}}]}}"#;
    Object::decode(Kind::Pod, json).expect("a pod")
}

/// It uses nearly all memory that a node has.
fn hungry() -> Object {
    let json = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"hungry"},"spec":{"nodeName":"node-1",
        "containers":[{"name":"main","image":"hungry"}]}}"#;
    Object::decode(Kind::Pod, json).expect("a pod")
}

/// Takes no question, but notes who would have been asked.
struct Noted(&'static str, Rc<RefCell<Vec<&'static str>>>);

impl Transport for Noted {
    fn ask(&mut self, _: &str, _: &str) -> Option<String> {
        self.1.borrow_mut().push(self.0);
        None
    }
    fn reject(&mut self, _: String) {}
}

#[test]
fn all_modules_that_are_asked_are_known() {
    let asked: Rc<RefCell<Vec<&str>>> = Rc::default();
    for exercise in kit_contract::EXERCISES {
        let mut modules = solutions::modules();
        modules.replace(exercise, Link::new(Rc::new(RefCell::new(Noted(exercise, asked.clone())))));
        // Making it is the first question.
        for plugin in [Plugin::Flannel, Plugin::Calico] {
            let network = Some(NetworkShape { plugin, ..NetworkShape::default() });
            let add_ons = AddOn::ALL.map(|(_, add_on)| add_on).to_vec();
            let databases = Some(DatabaseShape::default());
            let cloud = Some(CloudShape::default());
            let programs = *exercise == "node/probes";
            let images = [("hungry".to_string(), Image { memory: (8 << 30) - (50 << 20), ..Image::default() })].into();
            // Modules that are made when there is a pod to ask about; agents of logs are made at their first look.
            let pod = match *exercise {
                "node/eviction" => Some(hungry()),
                _ => programs.then(probed),
            };
            let config =
                Config { cloud, network, databases, add_ons, images, control_planes: 1, programs, ..Config::default() };
            _ = catch_lost(|| {
                let mut engine = start(&config, &modules, Clock::default());
                let begins = pod.is_some() || *exercise == "observability/logs";
                let began = begins && engine.run_until(Instant::seconds(1)).is_ok();
                if let Some(pod) = pod.filter(|_| began) {
                    _ = engine.request(|server| server.create(pod));
                    _ = engine.run_until(Instant::seconds(21));
                }
            });
        }
    }
    // Of some each plugin asks; others only one of them does.
    asked.borrow_mut().dedup();
    assert_eq!(*asked.borrow(), ASKED.map(|(exercise, _)| exercise));
}

#[test]
fn namespaces_have_accounts_and_the_certificate_if_there_is_one() {
    for (accounts, count) in [(None, 0), (Some("PEM".to_string()), 4)] {
        let config = Config { accounts, ..Config::default() };
        let mut engine = start(&config, &solutions::modules(), Clock::default());
        engine.run_until(Instant::seconds(1)).expect("the reference answers");
        let made = [Kind::ServiceAccount, Kind::ConfigMap].map(|kind| engine.server().snapshot().list(kind).count());
        assert_eq!(made, [count, count]);
    }
}

#[test]
fn a_replica_set_gets_its_pods_and_they_run_on_all_nodes() {
    let mut engine = start(&Config::default(), &solutions::modules(), Clock::default());
    engine.run_until(Instant::seconds(1)).expect("the reference answers");
    engine.request(|server| server.create(web())).expect("a good replica set");
    engine.run_until(Instant::seconds(5)).expect("the reference answers");
    let mut nodes: Vec<_> = pods(&engine).into_iter().filter(|(_, ready)| *ready).map(|(node, _)| node).collect();
    nodes.sort();
    assert_eq!(nodes, ["node-1", "node-1", "node-2", "node-3"]);
    let key = Key::new(Kind::ReplicaSet, "default", "web");
    let set = engine.server().get(&key).expect("it is there").get::<ReplicaSet>().cloned().unwrap_or_default();
    assert_eq!(set.status.and_then(|status| status.available_replicas), Some(4));

    engine.request(|server| server.delete(&key, &DeleteOptions::default())).expect("it can be deleted");
    engine.run_until(Instant::seconds(60)).expect("the reference answers");
    assert_eq!(pods(&engine), []);
}

/// The condition with which each job has ended.
fn ends(engine: &Engine) -> Vec<(String, Option<String>)> {
    let jobs = engine.server().snapshot().list(Kind::Job).filter_map(|stored| stored.get::<Job>());
    let end = |job: &Job| {
        let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.last().map(|last| format!("{} {}", last.type_, last.reason.clone().unwrap_or_default()))
    };
    jobs.map(|job| (job.metadata.name.clone().unwrap_or_default(), end(job))).collect()
}

#[test]
fn jobs_run_until_enough_has_succeeded_or_too_much_has_failed() {
    let mut engine = start(&Config::default(), &solutions::modules(), Clock::default());
    for (name, command, spec) in [
        ("indexed", "work", r#""completions":3,"parallelism":2,"completionMode":"Indexed","#),
        ("broken", "fail", r#""backoffLimit":1,"#),
        ("gone", "work", r#""ttlSecondsAfterFinished":5,"#),
    ] {
        let json = format!(
            r#"{{"apiVersion":"batch/v1","kind":"Job","metadata":{{"name":"{name}"}},"spec":{{{spec}"template":
            {{"spec":{{"restartPolicy":"Never","containers":[{{"name":"c","image":"task","command":["{command}"]}}]}}}}}}}}"#
        );
        let job = Object::decode(Kind::Job, &json).expect("a job");
        engine.request(|server| server.create(job)).expect("a good job");
    }
    engine.run_until(Instant::seconds(60)).expect("the reference answers");
    let expected = [("broken", "Failed BackoffLimitExceeded"), ("indexed", "Complete CompletionsReached")];
    assert_eq!(ends(&engine), expected.map(|(name, end)| (name.to_string(), Some(end.to_string()))));
    let pods = engine.server().snapshot().list(Kind::Pod).filter_map(|stored| stored.get::<Pod>());
    assert_eq!(pods.filter(|pod| pod.metadata.finalizers.is_some()).count(), 0);
}

#[test]
fn pods_of_a_node_that_is_gone_are_taken_away() {
    let mut engine = start(&Config::default(), &solutions::modules(), Clock::default());
    let ghost = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"ghost"},
        "spec":{"nodeName":"nowhere","containers":[{"name":"c","image":"app"}]}}"#;
    let ghost = Object::decode(Kind::Pod, ghost).expect("a pod");
    engine.request(|server| server.create(ghost)).expect("a good pod");
    engine.run_until(Instant::seconds(30)).expect("the reference answers");
    assert_eq!(pods(&engine).len(), 1);
    engine.run_until(Instant::seconds(90)).expect("the reference answers");
    assert_eq!(pods(&engine), []);
}
