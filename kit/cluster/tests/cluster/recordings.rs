//! Recordings: what they leave out, what they never lose, and how a live one forgets.

use crate::common::{create, deployment, start, wait};
use kit_apimachinery::object::{Key, Kind};
use kit_cluster::engine::Engine;
use kit_cluster::recording::{Change, Mark, MarkKind, Picture, Recorder, Recording, State};
use kit_cluster::timeline::{Step, act};
use kit_server::DeleteOptions;
use kit_time::agenda::Instant;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// That it refers to nothing which isn't there. Its form is checked where all timelines are played.
fn valid(recording: &Recording) {
    let (objects, by) = (recording.objects.len(), recording.by.len());
    assert!(recording.changes.iter().all(|Change(_, id, who, _)| *id < objects && *who < by));
    assert!(recording.changes.is_sorted_by_key(|change| change.0), "changes come in the order of time");
}

/// What is shown of each object, by its name. Places are replaced by names, since they are a recording's own.
fn shown(picture: &Picture) -> BTreeMap<String, State> {
    let name = |id: usize| format!("{}/{}", picture.subjects[id].kind, picture.subjects[id].name);
    let of = |(id, _, state): (usize, _, &State)| {
        let mut state = state.clone();
        for field in ["node", "nominated", "owner"] {
            if let Some(place) = state.get(field).and_then(Value::as_u64) {
                state.insert(field.into(), name(place as usize).into());
            }
        }
        (name(id), state)
    };
    picture.all().map(of).collect()
}

fn step(engine: &mut Engine, step: Value) {
    let step: Step = serde_json::from_value(step).expect("a step");
    act(engine, &step).expect("it can be done");
}

/// Runs so many seconds, and lets the recorders look after each.
fn run(engine: &mut Engine, recorders: &mut [&mut Recorder], seconds: i64) {
    for _ in 0..seconds {
        wait(engine, 1);
        recorders.iter_mut().for_each(|recorder| recorder.look(engine));
    }
}

#[test]
fn heartbeats_and_leases_are_left_out() {
    let mut engine = start();
    create(&mut engine, &deployment(3));
    let mut recorder = Recorder::new("rest", "");
    run(&mut engine, &mut [&mut recorder], 60);
    let before = recorder.recording();
    run(&mut engine, &mut [&mut recorder], 600);
    let recording = recorder.finish();
    assert_eq!((&recording.changes, &recording.events), (&before.changes, &before.events), "nothing but heartbeats");
    assert_eq!(recording.end, 661_000);
    valid(&recording);
}

#[test]
fn what_was_done_and_why_is_told() {
    let mut engine = start();
    let mut recorder = Recorder::new("told", "A sentence.");
    create(&mut engine, &deployment(3));
    run(&mut engine, &mut [&mut recorder], 30);
    recorder.begin(engine.now());
    step(&mut engine, json!({"crash": "node-2"}));
    step(&mut engine, json!({"scale": {"deployment/web": 4}}));
    run(&mut engine, &mut [&mut recorder], 60);
    recorder.mark(MarkKind::Broken, "broken: web ready >= 4 (3)");
    let recording = recorder.finish();
    valid(&recording);
    assert!(recording.changes[0].0 < 0, "what was before has negative times");
    let place = |kind: &str, name: &str| {
        let is = |subject: &kit_cluster::recording::Subject| subject.kind == kind && subject.name == name;
        recording.objects.iter().position(is).expect("it is an object")
    };
    let (node, web) = (place("Node", "node-2"), place("Deployment", "web"));
    let mark = |t, kind, text: &str, about: &[usize]| Mark { t, kind, text: text.into(), about: about.to_vec() };
    assert_eq!(
        recording.marks,
        [
            mark(0, MarkKind::Fault, "crash node-2", &[node]),
            mark(0, MarkKind::Step, "scale deployment/web to 4", &[web]),
            mark(60_000, MarkKind::Broken, "broken: web ready >= 4 (3)", &[]),
        ]
    );
    let mut pods = recording.objects.iter().enumerate().filter(|(_, subject)| subject.kind == "Pod");
    let (last, pod) = pods.next_back().expect("there are pods");
    let set = pod.owner.expect("a pod has an owner");
    assert_eq!(recording.objects[set].kind, "ReplicaSet");
    // It was named before it was seen, so that its own owner is a change.
    let owner = recording.changes.iter().find_map(|Change(_, id, _, state)| state.get("owner").filter(|_| *id == set));
    assert_eq!(owner, Some(&web.into()));
    let reason = recording.reasons.iter().find(|reason| reason.id == last).expect("it was scheduled");
    assert_eq!(recording.by[reason.by], "default-scheduler");
    assert!(reason.text.contains("of 3 nodes fit") && reason.lines.len() >= 3, "{reason:?}");
    let at = |time| shown(&Picture::at(&recording, time))["Node/node-2"].get("ready").cloned();
    assert_eq!((at(0), at(60_000)), (Some(true.into()), Some("Unknown".into())));
}

#[test]
fn a_recording_is_written_and_read() {
    let mut engine = start();
    let mut recorder = Recorder::new("</script><!--", "");
    create(&mut engine, &deployment(2));
    run(&mut engine, &mut [&mut recorder], 10);
    let recording = recorder.finish();
    let text = serde_json::to_string(&recording).expect("JSON");
    assert_eq!(serde_json::from_str::<Recording>(&text).expect("a recording"), recording);
    let page = kit_cluster::recording::page(std::slice::from_ref(&recording), &[], None).expect("a page");
    let data = page.split_once("id=\"recording\">").and_then(|(_, rest)| rest.split_once("</script>"));
    let (data, _) = data.expect("the page has a place for the recording");
    assert_eq!(serde_json::from_str::<Recording>(data).expect("the page has all of it"), recording);
}

#[test]
fn a_live_recording_forgets_the_oldest_and_nothing_else() {
    const ENTRIES: usize = 400;
    let mut engine = start();
    create(&mut engine, &deployment(4));
    let mut full = Recorder::new("all", "");
    let mut live = Recorder::live("live", Instant::seconds(120), ENTRIES);
    run(&mut engine, &mut [&mut full, &mut live], 5);
    // One reader follows all along, from the first recording on.
    let first = live.recording();
    let (mut follows, mut next) = (Picture::at(&first, i64::MAX), first.next.expect("a live one says what comes next"));
    let mut most = 0;
    for round in 0..60 {
        let pods = engine.server().snapshot().list(Kind::Pod).map(|pod| pod.key.clone());
        let pods: Vec<Key> = pods.take(2).collect();
        for pod in pods {
            let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
            engine.request(|server| server.delete(&pod, &now)).expect("it can be deleted");
        }
        match round % 20 {
            5 => step(&mut engine, json!({"crash": "node-3"})),
            15 => step(&mut engine, json!({"restart": "node-3"})),
            _ => {}
        }
        run(&mut engine, &mut [&mut full, &mut live], 10);
        let increment = live.since(next).expect("nothing was missed");
        follows.add(&increment);
        next = increment.next;
        let whole = live.recording();
        valid(&whole);
        let all = shown(&Picture::at(&full.recording(), i64::MAX));
        assert_eq!(shown(&Picture::at(&whole, i64::MAX)), all, "round {round}");
        assert_eq!(shown(&follows), all, "round {round}");
        most = most.max(whole.objects.len());
        if let Some(from) = whole.from {
            assert!(whole.changes.iter().all(|change| change.0 >= from), "round {round}");
        }
    }
    let (whole, all) = (live.recording(), full.recording());
    assert!(whole.from.is_some_and(|from| from >= whole.end - 150_000), "{:?}", whole.from);
    assert!(whole.changes.len() < ENTRIES && all.changes.len() > 3 * ENTRIES, "{}", all.changes.len());
    assert!(most * 2 < all.objects.len(), "{most} of {} numbers", all.objects.len());
    assert_eq!(live.since(0), None, "what is forgotten is not told");
    assert_eq!(live.since(live.next()).expect("nothing new").changes, []);
}
