//! `cluster up --etcd`: two of them on one etcd are one cluster, and each is enough.

use crate::client::{Client, Cluster};
use kit_etcd::Server;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const WEB: &str = "/apis/apps/v1/namespaces/default/deployments";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager";
/// Five times as fast as life, a lease has run out after three seconds.
const SPEED: &str = "5";
const PATIENCE: Duration = Duration::from_secs(60);

fn up(server: &Server, name: &str) -> (Cluster, Value) {
    let name = format!("etcd-{name}-{}", std::process::id());
    let cluster = Cluster::up(&name, &["--nodes", "2", "--speed", SPEED, "--etcd", server.endpoint()]);
    let config = cluster.kubeconfig();
    (cluster, config)
}

fn ask(client: &mut Client, method: &str, path: &str, body: &Value) -> (u16, Value) {
    client.ask(method, path, body).expect("the server is there")
}

fn map(name: &str) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}})
}

/// The uids of the pods that run, and whether those are so many.
fn running(client: &mut Client, count: usize) -> Option<BTreeSet<String>> {
    let (_, list) = ask(client, "GET", PODS, &Value::Null);
    let pods = list["items"].as_array().cloned().unwrap_or_default();
    let running: BTreeSet<String> = pods
        .iter()
        .filter(|pod| pod["status"]["phase"] == "Running" && pod["status"]["containerStatuses"][0]["restartCount"] == 0)
        .map(|pod| pod["metadata"]["uid"].to_string())
        .collect();
    (running.len() == count && pods.len() == count).then_some(running)
}

fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn holder(client: &mut Client) -> Option<String> {
    let (code, lease) = ask(client, "GET", LEASE, &Value::Null);
    let holder = lease["spec"]["holderIdentity"].as_str().filter(|holder| code == 200 && !holder.is_empty());
    holder.map(str::to_string)
}

#[test]
fn two_clusters_on_one_etcd_are_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let etcd = Server::start(folder.path(), &[]).unwrap_or_else(|e| panic!("{e}"));
    let (first, first_config) = up(&etcd, "one");
    let (second, second_config) = up(&etcd, "two");
    let (mut one, mut two) = (Client::connect(&first_config), Client::connect(&second_config));

    // What one has answered the other has, at once.
    for number in 0..20 {
        let name = format!("map-{number}");
        let (code, made) = ask(&mut one, "POST", MAPS, &map(&name));
        assert_eq!(code, 201, "{made}");
        assert_eq!(ask(&mut two, "GET", &format!("{MAPS}/{name}"), &Value::Null), (200, made));
        assert_eq!(ask(&mut two, "DELETE", &format!("{MAPS}/{name}"), &Value::Null).0, 200);
        assert_eq!(ask(&mut one, "GET", &format!("{MAPS}/{name}"), &Value::Null).0, 404);
    }

    // Of two that change the same version one comes too late.
    let (_, mut old) = ask(&mut one, "POST", MAPS, &map("shared"));
    let shared = format!("{MAPS}/shared");
    old["data"] = json!({"by": "one"});
    assert_eq!(ask(&mut one, "PUT", &shared, &old).0, 200);
    old["data"] = json!({"by": "two"});
    let (code, late) = ask(&mut two, "PUT", &shared, &old);
    assert_eq!((code, &late["reason"]), (409, &json!("Conflict")), "{late}");

    // Both at once: every change of a part happens, and of each name there is one object.
    let both = [&first_config, &second_config].map(|config| {
        let (mut client, who) = (Client::connect(config), config["current-context"].to_string());
        let path = shared.clone();
        std::thread::spawn(move || {
            let mut made = 0;
            for number in 0..30 {
                let key = format!("{}-{number}", who.trim_matches('"'));
                let patch = json!({"data": {key: "yes"}});
                let (code, answer) = client.patch(&path, &patch).expect("the server is there");
                assert_eq!(code, 200, "{answer}");
                let (code, answer) = ask(&mut client, "POST", MAPS, &map(&format!("raced-{number}")));
                match code {
                    201 => made += 1,
                    _ => assert_eq!((code, &answer["reason"]), (409, &json!("AlreadyExists")), "{answer}"),
                }
            }
            made
        })
    });
    let made: Vec<usize> = both.into_iter().map(|thread| thread.join().expect("a client")).collect();
    assert_eq!(made.iter().sum::<usize>(), 30, "{made:?}");
    let (_, merged) = ask(&mut one, "GET", &shared, &Value::Null);
    assert_eq!(merged["data"].as_object().map(|data| data.len()), Some(61), "{merged}");

    // One of them runs what makes pods of it, and when that one is killed, the other.
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}});
    let spec = json!({"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template});
    let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec});
    assert_eq!(ask(&mut two, "POST", WEB, &web).0, 201);
    let pods = wait("three pods", || running(&mut one, 3));
    let leader = holder(&mut one).expect("somebody leads");
    let first_leads = leader.starts_with("etcd-one-");
    let (mut leading, other, mut client) = if first_leads { (first, second, two) } else { (second, first, one) };
    leading.kill();
    let scale = json!({"spec": {"replicas": 5}});
    assert_eq!(client.patch(&format!("{WEB}/web"), &scale).map(|(code, _)| code), Some(200));
    let more = wait("five pods", || running(&mut client, 5));
    assert!(more.is_superset(&pods), "the pods that ran run on");
    wait("another leader", || holder(&mut client).filter(|now| *now != leader));
    drop(other);
}
