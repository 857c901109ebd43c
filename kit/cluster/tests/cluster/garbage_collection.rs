//! What becomes of dependents: the three propagation policies, several owners, owners that aren't what they seem.

use crate::common::{all, create, deployment, start, template, wait};
use kit_apimachinery::object::{Key, Kind, Object};
use kit_cluster::engine::Engine;
use kit_server::{DeleteOptions, Propagation};
use serde_json::{Value, json};

fn delete(engine: &mut Engine, kind: Kind, name: &str, propagation: Propagation) {
    let options = DeleteOptions { propagation, ..DeleteOptions::default() };
    engine.request(|server| server.delete(&Key::new(kind, "default", name), &options)).expect("it can be deleted");
}

fn counts(engine: &Engine) -> [usize; 3] {
    [Kind::Deployment, Kind::ReplicaSet, Kind::Pod].map(|kind| all(engine, kind).len())
}

fn config_map(name: &str, owners: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": owners}})
}

/// A reference to an existing ConfigMap.
fn owner(engine: &Engine, name: &str) -> Value {
    let maps = all(engine, Kind::ConfigMap);
    let map = maps.iter().find(|map| map["metadata"]["name"] == name).expect("it is there");
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": map["metadata"]["uid"], "blockOwnerDeletion": true})
}

fn names(engine: &Engine) -> Vec<String> {
    all(engine, Kind::ConfigMap).iter().map(|map| map["metadata"]["name"].as_str().unwrap_or_default().into()).collect()
}

#[test]
fn background_deletes_the_owner_first() {
    let mut engine = start();
    create(&mut engine, &deployment(2));
    wait(&mut engine, 5);
    delete(&mut engine, Kind::Deployment, "web", Propagation::Background);
    assert_eq!(counts(&engine)[0], 0);
    wait(&mut engine, 40);
    assert_eq!(counts(&engine), [0, 0, 0]);
}

#[test]
fn foreground_keeps_every_owner_until_what_it_owns_is_gone() {
    let mut engine = start();
    create(&mut engine, &deployment(2));
    wait(&mut engine, 5);
    delete(&mut engine, Kind::Deployment, "web", Propagation::Foreground);
    let mut seen = vec![counts(&engine)];
    while counts(&engine) != [0, 0, 0] {
        assert!(engine.step(engine.now() + kit_time::agenda::Instant::seconds(60)).expect("it goes on"));
        let now = counts(&engine);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    // Both pods of the only set, then the set, then the Deployment; and nobody makes new pods meanwhile.
    assert_eq!(seen.first(), Some(&[1, 1, 2]));
    let in_order = seen.windows(2).all(|pair| pair[0].iter().zip(&pair[1]).all(|(before, after)| before >= after));
    assert!(in_order, "{seen:?}");
    assert!(seen.iter().all(|[owner, set, pods]| owner >= set && (*pods == 0 || *set == 1)), "{seen:?}");
}

#[test]
fn orphan_sets_dependents_free() {
    let mut engine = start();
    create(&mut engine, &deployment(2));
    wait(&mut engine, 5);
    let before = all(&engine, Kind::ReplicaSet)[0]["metadata"]["uid"].clone();
    delete(&mut engine, Kind::Deployment, "web", Propagation::Orphan);
    wait(&mut engine, 40);
    assert_eq!(counts(&engine), [0, 1, 2]);
    assert!(all(&engine, Kind::ReplicaSet)[0]["metadata"]["ownerReferences"].is_null());

    // A new Deployment with the same selector and template takes them over, as they are.
    create(&mut engine, &deployment(2));
    wait(&mut engine, 5);
    let sets = all(&engine, Kind::ReplicaSet);
    assert_eq!((sets.len(), &sets[0]["metadata"]["uid"]), (1, &before));
    assert_eq!(sets[0]["metadata"]["ownerReferences"][0]["kind"], "Deployment");
}

/// The map `owned`, with the maps `one` and `two` as its owners.
fn with_two_owners() -> Engine {
    let mut engine = start();
    for name in ["one", "two"] {
        create(&mut engine, &config_map(name, &[]));
    }
    let owners = [owner(&engine, "one"), owner(&engine, "two")];
    create(&mut engine, &config_map("owned", &owners));
    wait(&mut engine, 1);
    engine
}

#[test]
fn an_object_stays_as_long_as_one_of_its_owners_does() {
    let mut engine = with_two_owners();
    delete(&mut engine, Kind::ConfigMap, "one", Propagation::Background);
    wait(&mut engine, 1);
    assert_eq!(names(&engine), ["owned", "two"]);
    // And it forgets the one that it lost only when it is looked at; a foreground deletion can't wait for it.
    delete(&mut engine, Kind::ConfigMap, "two", Propagation::Foreground);
    wait(&mut engine, 1);
    assert_eq!(names(&engine), Vec::<String>::new());
}

#[test]
fn a_foreground_deletion_does_not_wait_for_what_somebody_else_still_owns() {
    let mut engine = with_two_owners();
    delete(&mut engine, Kind::ConfigMap, "one", Propagation::Foreground);
    wait(&mut engine, 1);
    assert_eq!(names(&engine), ["owned", "two"]);
    let maps = all(&engine, Kind::ConfigMap);
    assert_eq!(maps[0]["metadata"]["ownerReferences"].as_array().map(Vec::len), Some(1));
}

#[test]
fn an_owner_is_its_uid_and_not_its_name() {
    let mut engine = start();
    create(&mut engine, &config_map("owner", &[]));
    let mut wrong = owner(&engine, "owner");
    wrong["uid"] = json!("somebody-else");
    create(&mut engine, &config_map("owned", &[wrong]));
    wait(&mut engine, 1);
    assert_eq!(names(&engine), ["owner"]);
}

#[test]
fn a_circle_can_be_deleted() {
    let mut engine = start();
    create(&mut engine, &config_map("one", &[]));
    let first = [owner(&engine, "one")];
    create(&mut engine, &config_map("two", &first));
    let second = [owner(&engine, "two")];
    let patch = kit_server::Patch::Merge(json!({"metadata": {"ownerReferences": second}}));
    let key = Key::new(Kind::ConfigMap, "default", "one");
    engine.request(|server| server.patch(&key, &patch, false)).expect("a good patch");
    wait(&mut engine, 1);
    assert_eq!(names(&engine), ["one", "two"]);
    delete(&mut engine, Kind::ConfigMap, "one", Propagation::Foreground);
    wait(&mut engine, 5);
    assert_eq!(names(&engine), Vec::<String>::new());
}

#[test]
fn pods_of_a_bare_set_go_with_it() {
    let mut engine = start();
    create(
        &mut engine,
        &json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template("app:1")},
        }),
    );
    wait(&mut engine, 5);
    delete(&mut engine, Kind::ReplicaSet, "web", Propagation::Foreground);
    wait(&mut engine, 40);
    assert_eq!(counts(&engine), [0, 0, 0]);
}

/// Custom resources own and are owned as everything else; so are those whose owner was gone before they came.
#[test]
fn custom_resources_own_and_are_owned() {
    for scope in ["Namespaced", "Cluster"] {
        let mut engine = start();
        create(
            &mut engine,
            &json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "wishes.example.com"},
                "spec": {
                    "group": "example.com", "scope": scope, "names": {"plural": "wishes", "kind": "Wish"},
                    "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}],
                },
            }),
        );
        let kind = engine.server().kind_of("example.com/v1", "Wish").expect("it is served");
        let make = |engine: &mut Engine, name: &str, owners: &[Value]| {
            let wish = json!({
                "apiVersion": "example.com/v1", "kind": "Wish", "metadata": {"name": name, "ownerReferences": owners},
            });
            let object = Object::from_value(kind, wish).expect("an object");
            let stored = engine.request(|server| server.create(object)).expect("it can be created");
            json!({"apiVersion": "example.com/v1", "kind": "Wish", "name": name, "uid": stored.object.uid()})
        };
        let peace = make(&mut engine, "peace", &[]);
        let rest = make(&mut engine, "rest", std::slice::from_ref(&peace));
        create(&mut engine, &config_map("of-peace", std::slice::from_ref(&peace)));
        create(&mut engine, &config_map("of-rest", &[rest]));
        wait(&mut engine, 5);
        assert_eq!(names(&engine), ["of-peace", "of-rest"], "{scope}");
        let namespace = if scope == "Namespaced" { "default" } else { "" };
        let key = Key::new(kind, namespace, "peace");
        engine.request(|server| server.delete(&key, &DeleteOptions::default())).expect("it can be deleted");
        wait(&mut engine, 5);
        assert_eq!((names(&engine).len(), all(&engine, kind).len()), (0, 0), "{scope}");
        create(&mut engine, &config_map("late", &[peace]));
        wait(&mut engine, 5);
        assert_eq!(names(&engine), Vec::<String>::new(), "{scope}");
    }
}
