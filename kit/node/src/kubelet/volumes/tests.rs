use crate::kubelet::testing::{Bench, with_programs};
use kit_apimachinery::object::{Kind, Object};
use serde_json::{Value, json};

fn make(bench: &mut Bench, kind: Kind, name: &str, data: Value) {
    let object = json!({
        "kind": kind.name(), "apiVersion": "v1", "metadata": {"name": name, "namespace": "default"}, "data": data,
    });
    bench.server.create(Object::from_value(kind, object).expect("good")).expect("it can be made");
}

/// A pod that shows these files of a volume.
fn show(bench: &mut Bench, files: &str, sources: Value) {
    let main = json!({
        "name": "main", "image": "busybox:1", "command": ["sh", "-c", format!("cd /files; cat {files}; echo; sleep infinity")],
        "volumeMounts": [{"name": "all", "mountPath": "/files"}],
    });
    bench.pod("pod", json!({"containers": [main], "volumes": [{"name": "all", "projected": {"sources": sources}}]}));
}

#[test]
fn a_projected_volume_tells_of_all_that_is_missing() {
    let mut bench = Bench::new(with_programs);
    make(&mut bench, Kind::ConfigMap, "settings", json!({"a": "1"}));
    let sources = json!([
        {"secret": {"name": "login"}},
        {"configMap": {"name": "settings", "items": [{"key": "b", "path": "b"}]}},
        {"secret": {"name": "login", "items": [{"key": "user", "path": "user"}]}},
        {"secret": {"name": "more", "optional": true}},
    ]);
    show(&mut bench, "b", sources);
    bench.wait(1.0);
    let why = "[secret \"login\" not found, configmap references non-existent config key: b]";
    let told = format!("Warning FailedMount: MountVolume.SetUp failed for volume \"all\" : {why} (x2)");
    assert!(bench.events("pod").contains(&told), "{:?}", bench.events("pod"));
    assert_eq!(bench.shown("pod"), "ContainerCreating");
}

#[test]
fn files_come_from_objects_and_the_pod_and_the_later_source_wins() {
    let mut bench = Bench::new(with_programs);
    make(&mut bench, Kind::ConfigMap, "settings", json!({"a": "from-settings ", "b": "unseen "}));
    make(&mut bench, Kind::Secret, "login", json!({"a": "ZnJvbS1sb2dpbiA="}));
    let sources = json!([
        {"configMap": {"name": "settings", "items": [{"key": "a", "path": "x/y"}, {"key": "b", "path": "a"}]}},
        {"secret": {"name": "login"}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]);
    show(&mut bench, "x/y a name", sources);
    bench.wait(4.0);
    assert_eq!(bench.shown("pod"), "Running", "{:?}", bench.events("pod"));
    assert!(bench.log("pod", "main").contains("from-settings from-login pod"), "{}", bench.log("pod", "main"));
}
