//! Fresh scenarios of `control_plane/informer`: a server whose lists and watches fail in every way, and time that passes. Some rows
//! are long: failures in a row, watches that are closed in a row, more objects and events than fit into a byte.

use crate::fresh::{Generator, scenario, step};
use kit_contract::Slot;
use kit_contract::control_plane::{
    CachedObject, Informer, InformerConfig, InformerEvent, InformerOutput, RequestFailure, WatchEventType,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

const FAILURES: [RequestFailure; 4] =
    [RequestFailure::Expired, RequestFailure::TooLarge, RequestFailure::Unavailable, RequestFailure::Other];

/// Some of the things that the server may do to a watch.
const FAILED: u8 = 1;
const CLOSED: u8 = 2;
const BOOKMARK: u8 = 3;
const EVENT: u8 = 4;

/// What the server may do while the informer waits for it, whatever it waits for.
#[derive(Debug, Clone)]
struct Turn {
    /// How often it happens in a row, without a pause between them.
    often: usize,
    /// How many objects a list has beside those that are drawn.
    more: usize,
    pause: i64,
    what: u8,
    failure: RequestFailure,
    objects: Vec<(u8, u8)>,
    kind: WatchEventType,
    which: Index,
}

fn turn() -> impl Strategy<Value = Turn> {
    let pause = select(vec![0_i64, 0, 1, 500, 799, 800, 801, 999, 1000, 1001, 1600, 30_000, 119_999, 120_001]);
    let kind = select(vec![WatchEventType::Added, WatchEventType::Modified, WatchEventType::Deleted]);
    let often = prop_oneof![5 => Just(1_usize), 1 => Just(2)];
    (often, pause, 0_u8..12, select(FAILURES.to_vec()), vec((0_u8..5, 0_u8..3), 0..4), kind, any::<Index>()).prop_map(
        |(often, pause, what, failure, objects, kind, which)| Turn {
            often,
            more: 0,
            pause,
            what,
            failure,
            objects,
            kind,
            which,
        },
    )
}

/// A long list, a watch of so many events that a byte begins anew, and what follows.
fn long() -> impl Strategy<Value = Vec<Turn>> {
    let event = select(vec![BOOKMARK, EVENT]);
    (vec(turn(), 6), event, select(vec![0_usize, 130, 130]), 0_i64..2).prop_map(|(mut turns, event, more, pause)| {
        for (turn, what) in turns.iter_mut().zip([EVENT, event, CLOSED]) {
            (turn.what, turn.often, turn.pause) = (what, 1, pause);
        }
        (turns[0].more, turns[1].often) = (more, 256);
        turns
    })
}

/// So many failures in a row that nothing can be doubled for each of them.
fn failures() -> impl Strategy<Value = Vec<Turn>> {
    (vec(turn(), 5), 0_usize..3).prop_map(|(mut turns, at)| {
        (turns[at].what, turns[at].often) = (FAILED, 70);
        turns
    })
}

/// One of five names, on one of the nodes or none; its version says when it was written.
fn object((name, node): (u8, u8), version: u64) -> CachedObject {
    CachedObject {
        namespace: ["default", "default", "shop", "", "default"][usize::from(name)].into(),
        name: ["a", "b", "a", "node-1", "a-1"][usize::from(name)].into(),
        uid: format!("u-{}", version % 3),
        resource_version: format!("{}", version * 7 % 100),
        node: ["", "node-1", "node-2"][usize::from(node)].into(),
    }
}

/// A life of one informer. What can happen depends on what it waits for, so the reference is played along.
pub fn fresh(reference: Slot<dyn Informer>) -> Generator {
    let resync = select(vec![0_i64, 0, 1000, 30_000]);
    let begin = select(vec![1000_i64, 2_147_483_000, 1_748_779_200_500]);
    (resync, begin, prop_oneof![8 => vec(turn(), 1..30), 3 => long(), 1 => failures()])
        .prop_map(move |(resync, begin, turns)| {
            let config = InformerConfig { resync };
            let mut informer = reference.make(&config);
            let (mut now, mut version, mut steps) = (begin, 1_u64, Vec::<Value>::new());
            let ask = |informer: &mut dyn Informer, event: InformerEvent, now: i64, steps: &mut Vec<Value>| {
                let outputs = informer.step(&event, now);
                steps.push(step("step", json!({"event": event, "now": now})));
                outputs.into_iter().rev().find(|output| {
                    matches!(output, InformerOutput::List(_) | InformerOutput::Watch(_) | InformerOutput::Pause(_))
                })
            };
            let mut waits = ask(informer.as_mut(), InformerEvent::Start, now, &mut steps);
            let rows = turns.iter().flat_map(|turn| (0..turn.often).map(move |time| (turn, time)));
            for (turn, time) in rows {
                now += if time == 0 { turn.pause } else { 0 };
                version += 1;
                let event = match (&waits, turn.what) {
                    (_, 0) | (Some(InformerOutput::Pause(_)) | None, _) => InformerEvent::Tick,
                    (Some(InformerOutput::List(_)), 1..=3) => InformerEvent::ListFailed(turn.failure),
                    (Some(InformerOutput::List(_)), _) => {
                        let mut items: Vec<CachedObject> = Vec::new();
                        for drawn in turn.objects.iter().copied() {
                            let object = object(drawn, version);
                            if !items.iter().any(|there| there.key() == object.key()) {
                                items.push(object);
                            }
                        }
                        items.extend(
                            (0..turn.more)
                                .map(|n| CachedObject { name: format!("many-{n}"), ..object((0, 1), version) }),
                        );
                        InformerEvent::Listed { resource_version: version.to_string(), items }
                    }
                    (_, FAILED) => InformerEvent::WatchFailed(turn.failure),
                    (_, CLOSED) => InformerEvent::WatchClosed,
                    (_, BOOKMARK) => InformerEvent::Bookmark(version.to_string()),
                    (_, _) => {
                        let drawn = turn.objects.first().copied().unwrap_or_default();
                        InformerEvent::Watched { kind: turn.kind, object: object(drawn, version) }
                    }
                };
                // A pause is over after its time, and a tick comes then at the earliest.
                let next = ask(informer.as_mut(), event, now, &mut steps);
                waits = next.or(waits);
                if let Some(InformerOutput::Pause(pause)) = &waits {
                    now += pause;
                    waits = ask(informer.as_mut(), InformerEvent::Tick, now, &mut steps).or(waits);
                }
                if time + 1 < turn.often {
                    continue;
                }
                let looked = ["default/a", "default/b", "shop/a", "node-1"][turn.which.index(4)];
                steps.push(step("get", json!({ "key": looked })));
                let (index, value) = [("namespace", "default"), ("namespace", ""), ("node", "node-1"), ("node", "")]
                    [turn.which.index(4)];
                steps.push(step("by_index", json!({"index": index, "value": value})));
                steps.push(step("has_synced", json!({})));
                if turn.more > 0 {
                    for key in ["default/many-0", "default/many-99"] {
                        steps.push(step("get", json!({ "key": key })));
                    }
                    steps.push(step("by_index", json!({"index": "namespace", "value": "default"})));
                }
            }
            scenario(json!({ "config": config }), steps)
        })
        .boxed()
}
