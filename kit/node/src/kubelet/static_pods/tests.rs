use crate::kubelet::Kubelets;
use crate::kubelet::testing::{Bench, with_programs};
use kit_client::fault::Fault;
use serde_json::{Value, json};

fn bench() -> Bench {
    let script = "echo begun; sleep infinity";
    let main = json!({"name": "main", "image": "busybox:1", "command": ["sh", "-c", script]});
    let manifest =
        json!({"metadata": {"name": "etcd", "labels": {"tier": "control-plane"}}, "spec": {"containers": [main]}});
    Bench::new(|kubelets| {
        let mut kubelets: Kubelets = with_programs(kubelets);
        let manifest = serde_json::from_value(manifest).expect("a pod");
        let shape = kubelets.nodes.get_mut("node-1").map(|kubelet| &mut kubelet.shape);
        shape.expect("a node").manifests.push(manifest);
        kubelets
    })
}

const MIRROR: &str = "etcd-node-1";

fn started(bench: &Bench) -> Value {
    bench.status(MIRROR, "/containerStatuses/0/state/running/startedAt")
}

#[test]
fn a_static_pod_has_a_mirror() {
    let mut bench = bench();
    bench.wait(5.0);
    assert_eq!(bench.shown(MIRROR), "Running");
    let pod = serde_json::to_value(bench.get(MIRROR)).expect("JSON");
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(annotations["kubernetes.io/config.source"], "file");
    assert_eq!(annotations["kubernetes.io/config.mirror"], annotations["kubernetes.io/config.hash"]);
    assert_eq!(pod["metadata"]["ownerReferences"][0]["kind"], "Node");
    assert_eq!(
        (&pod["spec"]["nodeName"], &pod["metadata"]["labels"]["tier"]),
        (&json!("node-1"), &json!("control-plane"))
    );
    assert_eq!(bench.log(MIRROR, "main"), "begun\n");
}

#[test]
fn who_deletes_the_mirror_does_not_end_the_pod() {
    let mut bench = bench();
    bench.wait(5.0);
    let (before, began) = (bench.get(MIRROR).metadata.uid, started(&bench));
    assert!(began.is_string());
    bench.delete(MIRROR);
    bench.wait(5.0);
    assert_ne!(bench.get(MIRROR).metadata.uid, before);
    assert_eq!((bench.shown(MIRROR), started(&bench)), ("Running".into(), began));
    assert_eq!(bench.log(MIRROR, "main"), "begun\n");
}

#[test]
fn a_static_pod_runs_without_anybody_and_begins_anew_with_its_node() {
    let mut bench = bench();
    bench.wait(5.0);
    bench.fault(&Fault::Partition("node-1".into()));
    bench.delete(MIRROR);
    bench.wait(30.0);
    bench.fault(&Fault::Heal("node-1".into()));
    bench.wait(11.0);
    assert_eq!(bench.status(MIRROR, "/containerStatuses/0/restartCount"), 0);
    bench.fault(&Fault::Crash("node-1".into()));
    bench.fault(&Fault::Restart("node-1".into()));
    bench.wait(11.0);
    assert_eq!(bench.shown(MIRROR), "Running");
    assert_eq!(bench.status(MIRROR, "/containerStatuses/0/restartCount"), 1);
}

#[test]
fn a_mirror_without_a_manifest_goes() {
    let mut bench = bench();
    let annotations = json!({"kubernetes.io/config.mirror": "0123"});
    let spec = json!({"containers": [{"name": "main", "image": "app"}]});
    bench.annotated_pod("old", annotations, spec);
    bench.wait(2.0);
    assert!(bench.status("old", "").is_null());
}
