use crate::kubelet::testing::{Bench, with_programs};
use kit_apimachinery::object::{Kind, Object};
use serde_json::{Value, json};

fn config_map(bench: &mut Bench, data: Value) {
    let object = json!({
        "kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "settings", "namespace": "default"}, "data": data,
    });
    bench.server.create(Object::from_value(Kind::ConfigMap, object).expect("good")).expect("it can be made");
}

fn container(more: Value) -> Value {
    let mut container = json!({"name": "main", "image": "busybox:1", "command": ["sh", "-c", "sleep infinity"]});
    for (field, value) in more.as_object().into_iter().flatten() {
        container[field] = value.clone();
    }
    container
}

#[test]
fn a_container_waits_for_what_its_environment_is_made_of() {
    let key = |optional: bool| json!({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a", "optional": optional}}}]});
    let missing = "configmap \"settings\" not found";
    let no_key = "couldn't find key a in ConfigMap default/settings";
    let secret = "secret \"login\" not found";
    /// What a container asks for, what there is, and why it waits.
    type Case<'a> = (Value, Option<Value>, Option<&'a str>);
    let cases: Vec<Case<'_>> = vec![
        (key(false), None, Some(missing)),
        (key(true), None, None),
        (key(false), Some(json!({"b": "1"})), Some(no_key)),
        (key(false), Some(json!({"a": "1"})), None),
        (json!({"envFrom": [{"configMapRef": {"name": "settings"}}]}), None, Some(missing)),
        (json!({"envFrom": [{"secretRef": {"name": "login"}}]}), None, Some(secret)),
        (json!({"env": [{"name": "P", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}), None, None),
    ];
    for (more, data, why) in cases {
        let mut bench = Bench::new(with_programs);
        data.into_iter().for_each(|data| config_map(&mut bench, data));
        bench.pod("pod", json!({"containers": [container(more.clone())]}));
        bench.wait(3.0);
        let expected = if why.is_some() { "CreateContainerConfigError" } else { "Running" };
        assert_eq!(bench.shown("pod"), expected, "{more}");
        let message = bench.status("pod", "/containerStatuses/0/state/waiting/message");
        assert_eq!(message.as_str(), why, "{more}");
        let told = format!("Warning Failed: Error: {}", why.unwrap_or_default());
        assert_eq!(bench.events("pod").contains(&told), why.is_some(), "{:?}", bench.events("pod"));
        if why == Some(missing) {
            config_map(&mut bench, json!({"a": "1"}));
            bench.wait(16.0);
            assert_eq!(bench.shown("pod"), "Running", "{more}");
        }
    }
}

#[test]
fn nothing_of_a_pod_begins_before_its_volumes_can_be_made() {
    let volume = |source: Value| {
        let mut volume = source;
        volume["name"] = "files".into();
        volume
    };
    let plain = json!({"configMap": {"name": "settings"}});
    let item = json!({"configMap": {"name": "settings", "items": [{"key": "x", "path": "x"}]}});
    let projected = json!({"projected": {"sources": [{"secret": {"name": "login"}}]}});
    /// A volume, what there is, and what is said of it.
    type Case<'a> = (Value, Option<Value>, &'a str);
    let cases: Vec<Case<'_>> = vec![
        (plain.clone(), None, "configmap \"settings\" not found"),
        (item, Some(json!({"a": "1"})), "configmap references non-existent config key: x"),
        (projected, None, "secret \"login\" not found"),
        (plain, Some(json!({"a": "1"})), ""),
    ];
    for (source, data, why) in cases {
        let mut bench = Bench::new(with_programs);
        data.into_iter().for_each(|data| config_map(&mut bench, data));
        let main = container(json!({"volumeMounts": [{"name": "files", "mountPath": "/files"}]}));
        bench.pod("pod", json!({"containers": [main], "volumes": [volume(source.clone())]}));
        bench.wait(5.0);
        assert_eq!(bench.shown("pod"), if why.is_empty() { "Running" } else { "ContainerCreating" }, "{source}");
        // It is tried at once, and after half a second, one, two, and so on.
        let told = format!("Warning FailedMount: MountVolume.SetUp failed for volume \"files\" : {why} (x4)");
        assert_eq!(bench.events("pod").contains(&told), !why.is_empty(), "{:?}", bench.events("pod"));
        if why.starts_with("configmap \"settings\"") {
            config_map(&mut bench, json!({"a": "1"}));
            bench.wait(10.0);
            assert_eq!(bench.shown("pod"), "Running", "{source}");
        }
    }
}
