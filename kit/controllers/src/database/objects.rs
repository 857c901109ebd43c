//! What the objects around a database look like.

use kit_client::database::{API_VERSION, CLUSTER, KIND, ROLE};
use serde_json::{Value, json};

/// The port of all instances.
const PORT: u16 = 5432;

/// The definition of the custom resource.
pub fn definition() -> Value {
    let (group, version) = API_VERSION.split_once('/').unwrap_or_default();
    let number = |least: u32| json!({"type": "integer", "minimum": least});
    let text = json!({"type": "string"});
    let column = |name: &str, type_: &str, path: &str| json!({"name": name, "type": type_, "jsonPath": path});
    let spec = json!({
        "type": "object", "required": ["image"], "properties": {
            "instances": {"type": "integer", "minimum": 1, "default": 1},
            "image": {"type": "string", "minLength": 1},
            "storage": {"type": "object", "properties": {"size": text, "storageClassName": text}},
            "synchronous": number(0), "maxLag": number(0), "failoverDelaySeconds": number(0), "isolationSeconds": number(1),
            "primary": text,
            "synchronousCommit": {"type": "string", "enum": ["on", "off"]},
            "restore": {"type": "object", "properties": {"volumeSnapshot": text}},
            "backup": {"type": "object", "required": ["everySeconds", "windowSeconds"], "properties": {
                "everySeconds": number(1), "windowSeconds": number(1), "volumeSnapshotClassName": text,
            }},
        },
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("databaseclusters.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": "databaseclusters", "singular": "databasecluster", "kind": KIND, "shortNames": ["dbc"]},
            "versions": [{
                "name": version, "served": true, "storage": true, "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    column("Instances", "integer", ".spec.instances"), column("Ready", "integer", ".status.readyInstances"),
                    column("Status", "string", ".status.phase"), column("Primary", "string", ".status.currentPrimary"),
                ],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": spec,
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}},
            }],
        },
    })
}

/// Its name, its namespace, and who made it.
fn metadata(database: &Value, name: &str) -> Value {
    let meta = &database["metadata"];
    json!({
        "name": name, "namespace": meta["namespace"], "labels": {CLUSTER: meta["name"]},
        "ownerReferences": [{
            "apiVersion": API_VERSION, "kind": KIND, "name": meta["name"], "uid": meta["uid"],
            "controller": true, "blockOwnerDeletion": true,
        }],
    })
}

fn name_of(database: &Value) -> &str {
    database["metadata"]["name"].as_str().unwrap_or_default()
}

/// The Services: for writes, for reads, and for both.
pub fn services(database: &Value) -> Vec<Value> {
    let service = |(suffix, role): (&str, Option<&str>)| {
        let mut selector = json!({CLUSTER: name_of(database)});
        if let Some(role) = role {
            selector[ROLE] = role.into();
        }
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata(database, &format!("{}-{suffix}", name_of(database))),
            "spec": {"selector": selector, "ports": [{"port": PORT, "targetPort": PORT}]},
        })
    };
    [("rw", Some("primary")), ("ro", Some("replica")), ("r", None)].map(service).to_vec()
}

/// A drain waits until the primary is somewhere else.
pub fn budget(database: &Value) -> Value {
    let selector = json!({"matchLabels": {CLUSTER: name_of(database), ROLE: "primary"}});
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": metadata(database, &format!("{}-primary", name_of(database))),
        "spec": {"minAvailable": 1, "selector": selector},
    })
}

/// The claim of an instance; none if its data go with its pod. Nobody owns it: data outlive the object.
pub fn claim(database: &Value, name: &str) -> Option<Value> {
    let storage = database["spec"].get("storage")?;
    let size = storage["size"].as_str().unwrap_or("1Gi");
    let mut meta = metadata(database, name);
    meta["ownerReferences"] = Value::Null;
    let mut spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}});
    if let Some(class) = storage["storageClassName"].as_str() {
        spec["storageClassName"] = class.into();
    }
    // The first instance begins with what was kept; others copy it.
    let snapshot = database["spec"]["restore"]["volumeSnapshot"].as_str();
    if let Some(snapshot) = snapshot.filter(|_| name == format!("{}-1", name_of(database))) {
        spec["dataSource"] = json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": snapshot});
    }
    Some(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}))
}

/// The pod of an instance. Instances of a database prefer different nodes.
pub fn pod(database: &Value, name: &str) -> Value {
    let volume = match claim(database, name) {
        Some(_) => json!({"name": "data", "persistentVolumeClaim": {"claimName": name}}),
        None => json!({"name": "data", "emptyDir": {}}),
    };
    let term = json!({
        "labelSelector": {"matchLabels": {CLUSTER: name_of(database)}}, "topologyKey": "kubernetes.io/hostname",
    });
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata(database, name),
        "spec": {
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 100, "podAffinityTerm": term},
            ]}},
            "containers": [{
                "name": "database", "image": database["spec"]["image"], "ports": [{"containerPort": PORT}],
                "volumeMounts": [{"name": "data", "mountPath": "/var/lib/postgresql/data"}],
            }],
            "volumes": [volume],
        },
    })
}
