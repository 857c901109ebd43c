//! The end of a namespace: in which order it is emptied, and what can't be made in it meanwhile.

use kit_api::core::Pod;
use kit_apimachinery::object::{Key, Kind, Object};
use kit_cluster::cluster::{Config, start};
use kit_cluster::engine::Clock;
use kit_server::DeleteOptions;
use kit_time::agenda::Instant;

fn object(kind: Kind, json: &str) -> Object {
    Object::decode(kind, json).expect("an object")
}

#[test]
fn pods_go_before_everything_else_and_the_namespace_last() {
    let mut engine = start(&Config::default(), &solutions::modules(), Clock::default());
    engine.run_until(Instant::seconds(1)).expect("the reference answers");
    let json = r#"{"metadata":{"name":"shop"}}"#;
    engine.request(|server| server.create(object(Kind::Namespace, json))).expect("a good namespace");
    let json = r#"{"metadata":{"name":"web","namespace":"shop"},"spec":{"containers":[{"name":"c","image":"web:1"}]}}"#;
    engine.request(|server| server.create(object(Kind::Pod, json))).expect("a good pod");
    let json = r#"{"metadata":{"name":"settings","namespace":"shop"}}"#;
    engine.request(|server| server.create(object(Kind::ConfigMap, json))).expect("a good config map");
    engine.run_until(Instant::seconds(10)).expect("the reference answers");
    let key = Key::new(Kind::Namespace, "", "shop");
    engine.request(|server| server.delete(&key, &DeleteOptions::default())).expect("it can be deleted");
    engine.run_until(Instant::millis(10_100)).expect("the reference answers");

    let settings = Key::new(Kind::ConfigMap, "shop", "settings");
    assert!(engine.server().get(&settings).is_ok(), "the pod is still there");
    let refused = engine
        .request(|server| server.create(object(Kind::ConfigMap, r#"{"metadata":{"name":"x","namespace":"shop"}}"#)));
    assert_eq!(refused.map(|_| ()).map_err(|error| error.code), Err(403));

    engine.run_until(Instant::seconds(60)).expect("the reference answers");
    assert!(engine.server().get(&settings).is_err() && engine.server().get(&key).is_err());
    assert_eq!(engine.server().snapshot().list(Kind::Pod).filter_map(|stored| stored.get::<Pod>()).count(), 0);
}
