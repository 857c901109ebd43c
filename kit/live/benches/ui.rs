//! What a picture costs the cluster: `cargo bench -p kit-live`.
//!
//! 2,000 pods are created, and the time is taken until all of them run, with and without somebody who records it. The
//! clock runs as fast as the engine can.

use kit_api::core::Pod;
use kit_apimachinery::object::{Kind, Object};
use kit_cluster::cluster::{self, Config, Nodes};
use kit_cluster::engine::Clock;
use kit_live::ui::{Film, Ui};
use kit_live::{Live, Options};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PODS: usize = 2000;

fn pods(picture: bool) -> f64 {
    let start = || {
        let config = Config { nodes: Nodes::Count(30), ..Config::default() };
        cluster::start(&config, &solutions::modules(), Clock::default())
    };
    let live = Live::start(start, Options { speed: 10_000.0, ..Options::default() }).expect("it starts");
    let door = live.door();
    let ui = picture.then(|| {
        let film = Film::of(&door, "bench").expect("it looks");
        Ui::serve(door.clone(), film, Arc::new(|_, _| Ok(String::new()))).expect("it serves")
    });
    while door.snapshot().list(Kind::Node).count() < 30 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let began = Instant::now();
    for index in 0..PODS {
        let manifest = json!({"metadata": {"name": format!("pod-{index}"), "namespace": "default"},
            "spec": {"containers": [{"name": "c", "image": "c:1", "resources": {"requests": {"cpu": "10m"}}}]}});
        let pod = Object::decode(Kind::Pod, &manifest.to_string()).expect("a pod");
        door.request(move |driver| _ = driver.engine.request(|server| server.create(pod)));
    }
    let ready = || {
        let pods = door.snapshot();
        pods.list(Kind::Pod).filter(|stored| stored.get::<Pod>().is_some_and(kit_api::pod::is_ready)).count()
    };
    while ready() < PODS {
        std::thread::sleep(Duration::from_millis(2));
    }
    let took = began.elapsed().as_secs_f64();
    drop(ui);
    _ = live.stop();
    took
}

fn main() {
    println!("{PODS} pods until all run, real seconds, the best of five");
    let (mut plain, mut recorded) = (f64::MAX, f64::MAX);
    for _ in 0..5 {
        plain = plain.min(pods(false));
        recorded = recorded.min(pods(true));
    }
    println!("without a picture {plain:.2}   with {recorded:.2}   ratio {:.2}", recorded / plain);
}
