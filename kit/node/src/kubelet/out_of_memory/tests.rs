use crate::kubelet::Kubelets;
use crate::kubelet::image::Image;
use crate::kubelet::testing::{Bench, with_programs};
use serde_json::{Value, json};

const GIB: i64 = 1 << 30;

/// On a node of 8Gi: somebody who holds 6Gi, and two who need up to 7Gi, one of them within three seconds, and the other bit by bit.
fn bench(change: fn(Kubelets) -> Kubelets) -> Bench {
    let fills = |memory: i64, after| Image { memory, fills_after: Some(after), ..Image::default() };
    let images = [
        ("large", Image { memory: 6 * GIB, ..Image::default() }),
        ("quick", fills(7 * GIB, 3.0)),
        ("slow", fills(7 * GIB, 3000.0)),
        // It takes its time to end, and fills meanwhile.
        ("late", Image { stop: 20.0, ..fills(7 * GIB, 3.0) }),
    ];
    let registry = images.map(|(name, image)| (name.to_string(), image)).into();
    Bench::new(|kubelets| change(Kubelets { registry, ..kubelets }))
}

fn runs(image: &str, request: &str) -> Value {
    let resources = json!({"requests": {"memory": request}});
    json!({"containers": [{"name": "main", "image": image, "resources": resources}]})
}

/// The last exit code of a pod and its reason, and its phase.
fn end(bench: &Bench, pod: &str) -> Value {
    let of = |at: &str| bench.status(pod, &format!("/containerStatuses/0/{at}"));
    let last = ["state", "lastState"].map(|state| of(&format!("{state}/terminated")));
    let last = last.into_iter().find(|last| !last.is_null()).unwrap_or_default();
    json!([last["exitCode"], last["reason"], bench.status(pod, "/phase")])
}

/// What kubelets there are, what two pods request, and how each has ended.
type Case<'a> = (fn(Kubelets) -> Kubelets, [&'a str; 2], [&'a Value; 2]);

#[test]
fn the_kernel_is_faster_than_the_kubelet_where_memory_fills_quickly() {
    let none = json!([null, null, "Running"]);
    let killed = json!([137, "OOMKilled", "Running"]);
    let cases: &[Case<'_>] = &[
        (|kubelets| kubelets, ["6Gi", "1Gi"], [&none, &killed]),
        (with_programs, ["6Gi", "1Gi"], [&none, &killed]),
        // Who asked for little is worth little, however long it is there: it may be the one that holds its memory.
        (with_programs, ["0", "7Gi"], [&killed, &none]),
    ];
    for (change, requests, [large, quick]) in cases {
        let mut bench = bench(*change);
        bench.pod("large", runs("large", requests[0]));
        bench.wait(2.5);
        bench.pod("quick", runs("quick", requests[1]));
        bench.wait(1.9);
        assert_eq!((end(&bench, "large"), end(&bench, "quick")), ((*large).clone(), (*quick).clone()), "{requests:?}");
        let events = bench.events("node-1");
        let told: Vec<_> = events.iter().filter(|event| event.contains("SystemOOM")).collect();
        assert_eq!(bench.kubelets.nodes["node-1"].counts.system_ooms, 1);
        let victim = if *large == &killed { "large" } else { "quick" };
        let expected = format!("Warning SystemOOM: System OOM encountered, victim process: {victim}, pid: ");
        assert!(matches!(told[..], [one] if one.starts_with(&expected)), "{told:?}");
        assert!(!events.iter().any(|event| event.contains("EvictionThresholdMet")), "{events:?}");
    }
}

#[test]
fn nothing_begins_again_in_a_pod_that_ends() {
    let mut bench = bench(|kubelets| kubelets);
    bench.pod("large", runs("large", "6Gi"));
    bench.wait(1.0);
    bench.pod("late", runs("late", "1Gi"));
    bench.wait(0.5);
    bench.delete("late");
    bench.wait(2.0);
    assert!(bench.events("node-1").iter().any(|event| event.contains("SystemOOM")));
    let started: Vec<_> = bench.events("late").into_iter().filter(|event| event.contains("Started")).collect();
    assert_eq!(started, ["Normal Started: Started container main"]);
}

#[test]
fn the_kubelet_is_faster_where_it_has_the_time_to_look() {
    let mut bench = bench(|kubelets| kubelets);
    bench.pod("large", runs("large", "6Gi"));
    bench.pod("slow", runs("slow", "1Gi"));
    bench.wait(900.0);
    assert_eq!(["/phase", "/reason"].map(|at| bench.status("slow", at)), ["Failed", "Evicted"]);
    assert_eq!(end(&bench, "large"), json!([null, null, "Running"]));
    assert!(!bench.events("node-1").iter().any(|event| event.contains("SystemOOM")));
}
