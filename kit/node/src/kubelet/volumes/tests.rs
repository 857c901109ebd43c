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

/// A pod with this spec, whose container `main` sleeps, sees volumes here, and is somebody.
fn sleeper(bench: &mut Bench, name: &str, user: Value, volumes: Value, mounts: Value) {
    let main = json!({"name": "main", "image": "busybox:1", "command": ["sleep", "infinity"], "volumeMounts": mounts});
    bench.pod(name, json!({"containers": [main], "volumes": volumes, "securityContext": user}));
    bench.wait(4.0);
    assert_eq!(bench.shown(name), "Running", "{:?}", bench.events(name));
}

/// What a script writes, without what is about time and sizes.
fn sh(bench: &mut Bench, pod: &str, script: &str) -> String {
    let (text, _) = bench.exec(pod, "main", &["sh", "-c", script], 0.1);
    let line = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [mode, _, user, group, _, _, _, _, ref name @ ..] => format!("{mode} {user} {group} {}", name.join(" ")),
        _ => line.to_string(),
    };
    text.lines().filter(|line| !line.starts_with("total")).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn files_of_objects_are_links_with_modes_and_the_group_of_the_pod() {
    let mut bench = Bench::new(with_programs);
    make(&mut bench, Kind::ConfigMap, "settings", json!({"a": "1", "b": "2"}));
    let items = json!([{"key": "a", "path": "a"}, {"key": "b", "path": "x/b", "mode": 0o400}]);
    let volumes = json!([
        {"name": "config", "configMap": {"name": "settings", "defaultMode": 0o440, "items": items}},
        {"name": "scratch", "emptyDir": {}},
    ]);
    let mounts = json!([{"name": "config", "mountPath": "/config"}, {"name": "scratch", "mountPath": "/scratch"}]);
    let user = json!({"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000});
    sleeper(&mut bench, "pod", user, volumes, mounts);
    assert_eq!(sh(&mut bench, "pod", "id"), "uid=1000 gid=3000 groups=2000,3000");
    let listed = sh(&mut bench, "pod", "ls -la /config");
    let stamp = listed.split(" ..data -> ").nth(1).and_then(|rest| rest.lines().next()).expect("a link").to_string();
    assert!(stamp.starts_with("..2025_06_01_12_00_0"), "{stamp}");
    let expected = format!(
        "drwxrwsrwx root 2000 .\ndrwxr-xr-x root root ..\ndrwxr-sr-x root 2000 {stamp}\n\
         lrwxrwxrwx root 2000 ..data -> {stamp}\nlrwxrwxrwx root 2000 a -> ..data/a\nlrwxrwxrwx root 2000 x -> ..data/x"
    );
    assert_eq!(listed, expected);
    let inside = "-r--r----- root 2000 a\ndrwxr-sr-x root 2000 x\n-r--r----- root 2000 /config/x/b";
    assert_eq!(sh(&mut bench, "pod", "ls -l /config/..data/; ls -l /config/x/b"), inside);
    assert_eq!(
        sh(&mut bench, "pod", "cat /config/a /config/x/b; echo n > /config/a"),
        "12sh: can't create /config/a: Read-only file system"
    );
    // What is made in a directory with the group's bit has its group; elsewhere this user may write nothing.
    let script = "touch /scratch/f; mkdir /scratch/d; ls -l /scratch; touch /etc/f; cat /root/x";
    let expected = "drwxr-sr-x 1000 2000 d\n-rw-r--r-- 1000 2000 f\n\
                    touch: /etc/f: Permission denied\ncat: can't open '/root/x': Permission denied";
    assert_eq!(sh(&mut bench, "pod", script), expected);
}

#[test]
fn changed_objects_arrive_at_once_with_the_next_look_at_the_pod_and_never_through_a_sub_path() {
    let mut bench = Bench::new(with_programs);
    make(&mut bench, Kind::ConfigMap, "settings", json!({"a": "old ", "gone": "x"}));
    let volumes = json!([{"name": "config", "configMap": {"name": "settings"}}]);
    let mounts = json!([
        {"name": "config", "mountPath": "/config"},
        {"name": "config", "mountPath": "/app/a", "subPath": "a"},
    ]);
    sleeper(&mut bench, "pod", json!({}), volumes, mounts);
    let key = kit_apimachinery::object::Key::new(Kind::ConfigMap, "default", "settings");
    let mut object = bench.server.get(&key).expect("it is there").to_value();
    object["data"] = json!({"a": "new ", "more": "y"});
    bench.server.update(Object::from_value(Kind::ConfigMap, object).expect("good")).expect("it can be changed");
    let script = "cat /config/a /app/a; ls /config";
    bench.wait(40.0);
    assert_eq!(sh(&mut bench, "pod", script), "old old a\ngone");
    bench.wait(100.0);
    assert_eq!(sh(&mut bench, "pod", script), "new old a\nmore");
    // What a pod has it keeps; but it is told.
    bench.server.delete(&key, &kit_server::DeleteOptions::default()).expect("it is there");
    bench.wait(180.0);
    assert_eq!(sh(&mut bench, "pod", script), "new old a\nmore");
    let why = "MountVolume.SetUp failed for volume \"config\" : configmap \"settings\" not found";
    assert!(bench.events("pod").iter().any(|event| event.contains(why)), "{:?}", bench.events("pod"));
}

#[test]
fn a_disk_outlives_its_pod_and_gets_a_group_as_its_driver_and_the_pod_say() {
    let mut bench = Bench::new(with_programs);
    let csi = json!({"driver": "disk.csi", "volumeHandle": "d-1", "fsType": "ext4"});
    let spec = json!({
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "csi": csi,
        "claimRef": {"namespace": "default", "name": "data"},
    });
    let claim = json!({
        "accessModes": ["ReadWriteOnce"], "volumeName": "pv", "storageClassName": "",
        "resources": {"requests": {"storage": "1Gi"}},
    });
    for (kind, version, name, spec) in [
        (Kind::CSIDriver, "storage.k8s.io/v1", "disk.csi", json!({"attachRequired": false})),
        (Kind::PersistentVolume, "v1", "pv", spec),
        (Kind::PersistentVolumeClaim, "v1", "data", claim),
    ] {
        let meta = json!({"name": name, "namespace": if kind.namespaced() { json!("default") } else { Value::Null }});
        let object = json!({"kind": kind.name(), "apiVersion": version, "metadata": meta, "spec": spec});
        bench.server.create(Object::from_value(kind, object).expect("good")).expect("it can be made");
    }
    let key = kit_apimachinery::object::Key::new(Kind::PersistentVolumeClaim, "default", "data");
    let mut claim = bench.server.get(&key).expect("it is there").to_value();
    claim["metadata"]["annotations"] = json!({"pv.kubernetes.io/bind-completed": "yes"});
    let claim = Object::from_value(Kind::PersistentVolumeClaim, claim).expect("good");
    bench.server.update(claim).expect("it can be bound");
    let mount = json!([{"name": "data", "mountPath": "/data"}]);
    let run = |bench: &mut Bench, name: &str, group: Value, read_only: bool| {
        let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": read_only}}]);
        sleeper(bench, name, group, volumes, mount.clone());
    };
    run(&mut bench, "one", json!({}), false);
    assert_eq!(
        sh(&mut bench, "one", "echo kept > /data/f; ls -ld /data; ls -l /data"),
        "drwxr-xr-x root root /data\n-rw-r--r-- root root f"
    );
    bench.delete("one");
    bench.wait(40.0);
    run(&mut bench, "two", json!({"fsGroup": 7}), false);
    assert_eq!(
        sh(&mut bench, "two", "ls -ld /data; ls -l /data; cat /data/f"),
        "drwxrwsr-x root 7 /data\n-rw-rw-r-- root 7 f\nkept"
    );
    // The root is as it should be, so nobody looks at what is below.
    _ = sh(&mut bench, "two", "chgrp 0 /data/f");
    run(&mut bench, "three", json!({"fsGroup": 7, "fsGroupChangePolicy": "OnRootMismatch"}), true);
    assert_eq!(
        sh(&mut bench, "three", "ls -l /data; touch /data/g"),
        "-rw-rw-r-- root root f\ntouch: /data/g: Read-only file system"
    );
}

#[test]
fn a_pod_that_has_waited_for_its_objects_finds_their_files() {
    let mut bench = Bench::new(with_programs);
    show(&mut bench, "a", json!([{"configMap": {"name": "settings"}}]));
    bench.wait(1.0);
    make(&mut bench, Kind::ConfigMap, "settings", json!({"a": "at last"}));
    bench.wait(8.0);
    assert!(bench.log("pod", "main").contains("at last"), "{}", bench.log("pod", "main"));
}

#[test]
fn who_comes_to_a_node_finds_its_files_its_name_and_its_processes() {
    let mut bench = Bench::new(with_programs);
    let mount = json!({"name": "host", "mountPath": "/host"});
    let container =
        json!({"name": "debugger", "image": "busybox", "command": ["sleep", "99"], "volumeMounts": [mount]});
    let volumes = json!([{"name": "host", "hostPath": {"path": "/"}}]);
    bench.pod("web", json!({"containers": [{"name": "web", "image": "nginx"}]}));
    bench.wait(2.0);
    bench.pod("debugger", json!({"hostNetwork": true, "hostPID": true, "containers": [container], "volumes": volumes}));
    bench.wait(2.0);
    let said = bench.exec("debugger", "debugger", &["sh", "-c", "hostname; ls /host; cat /host/etc/hostname"], 0.0).0;
    let ps = bench.exec("debugger", "debugger", &["ps", "-o", "pid,user,args"], 0.0).0;
    let expected = "PID   USER     COMMAND\n    1 root     /sbin/init\n    8 root     /usr/bin/containerd\n   \
                    15 root     /usr/bin/kubelet --config=/var/lib/kubelet/config.yaml\n   22 65535    /pause\n   \
                    29 root     nginx: master process nginx -g daemon off;\n   36 101      nginx: worker process\n   \
                    43 root     sleep 99\n";
    assert!(ps.starts_with(expected), "{ps}");
    assert_eq!(said, "node-1\nbin\netc\nhome\nroot\ntmp\nusr\nvar\nnode-1\n");
}
