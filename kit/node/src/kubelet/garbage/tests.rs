use crate::kubelet::image::Images;
use crate::kubelet::testing::{Bench, with_programs};
use serde_json::json;

const IMAGES: [&str; 3] = ["one:1", "two:1", "three:1"];

/// A node whose disk is so full with these images, in percent, after pods of the last two have gone in the order of the images.
fn bench(percent: i64) -> Bench {
    let mut images = Images::default();
    IMAGES.iter().for_each(|image| images.insert(image));
    let bytes = images.size();
    let mut bench = Bench::new(with_programs);
    let disk = (bytes * 100 / percent).to_string();
    bench.kubelets.nodes.values_mut().for_each(|kubelet| kubelet.shape.disk.clone_from(&disk));
    for (image, name) in IMAGES.iter().zip(["a", "b", "c"]) {
        bench.pod(name, json!({"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": image}]}));
    }
    bench.wait(310.0);
    bench.delete("b");
    bench.wait(300.0);
    bench.delete("c");
    bench
}

fn kept(bench: &Bench) -> Vec<&'static str> {
    IMAGES.into_iter().filter(|image| bench.kubelets.nodes["node-1"].images.has(image)).collect()
}

#[test]
fn what_was_not_used_for_longest_goes_first_from_a_disk_that_is_nearly_full() {
    let mut calm = bench(84);
    calm.wait(900.0);
    assert_eq!(kept(&calm), IMAGES);

    let mut full = bench(90);
    assert_eq!(kept(&full), ["one:1", "three:1"], "the second goes with the first look after its pod");
    full.wait(900.0);
    assert_eq!(kept(&full), ["one:1", "three:1"], "that is enough");
    // At the first look all of them were used.
    let told: Vec<String> = full.events("node-1").into_iter().filter(|event| event.contains("garbage")).collect();
    assert!(told.len() == 1 && told[0].ends_with("only found 0 bytes eligible to free."), "{told:?}");
}

#[test]
fn a_node_says_that_it_wins_too_little() {
    let mut bench = bench(3000);
    bench.wait(320.0);
    assert_eq!(kept(&bench), ["one:1"]);
    bench.wait(620.0);
    let said = |reason: &str| {
        let start =
            format!("Warning {reason}: Failed to garbage collect required amount of images. Attempted to free ");
        bench.events("node-1").iter().any(|event| event.starts_with(&start))
    };
    assert!(said("FreeDiskSpaceFailed") && said("ImageGCFailed"), "{:?}", bench.events("node-1"));
}

#[test]
fn a_node_tells_of_its_images() {
    let mut bench = Bench::new(with_programs);
    for (image, name) in IMAGES.iter().zip(["a", "b", "c"]) {
        bench.pod(name, json!({"containers": [{"name": "main", "image": image}]}));
    }
    bench.wait(311.0);
    let images = bench.node("node-1")["status"]["images"].clone();
    let sizes: Vec<i64> =
        images.as_array().into_iter().flatten().filter_map(|image| image["sizeBytes"].as_i64()).collect();
    assert!(sizes.len() == 3 && sizes.is_sorted_by(|a, b| a >= b), "{images}");
    let names: Vec<&str> =
        images.as_array().into_iter().flatten().filter_map(|image| image["names"][1].as_str()).collect();
    assert!(names.contains(&"docker.io/library/one:1"), "{images}");
    assert!(bench.node("node-2")["status"]["images"].is_null());
}
