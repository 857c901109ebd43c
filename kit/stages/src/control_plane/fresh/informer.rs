//! Fresh scenarios of `control_plane/informer`: a server whose lists and watches fail in every way, and time that passes.

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

/// What the server may do while the informer waits for it, whatever it waits for.
#[derive(Debug, Clone)]
struct Turn {
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
    (pause, 0_u8..12, select(FAILURES.to_vec()), vec((0_u8..5, 0_u8..3), 0..4), kind, any::<Index>())
        .prop_map(|(pause, what, failure, objects, kind, which)| Turn { pause, what, failure, objects, kind, which })
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
    (resync, vec(turn(), 1..30))
        .prop_map(move |(resync, turns)| {
            let config = InformerConfig { resync };
            let mut informer = reference.make(&config);
            let (mut now, mut version, mut steps) = (1000_i64, 1_u64, Vec::<Value>::new());
            let ask = |informer: &mut dyn Informer, event: InformerEvent, now: i64, steps: &mut Vec<Value>| {
                let outputs = informer.step(&event, now);
                steps.push(step("step", json!({"event": event, "now": now})));
                outputs.into_iter().rev().find(|output| {
                    matches!(output, InformerOutput::List(_) | InformerOutput::Watch(_) | InformerOutput::Pause(_))
                })
            };
            let mut waits = ask(informer.as_mut(), InformerEvent::Start, now, &mut steps);
            for turn in turns {
                now += turn.pause;
                version += 1;
                let event = match (&waits, turn.what) {
                    (_, 0) | (Some(InformerOutput::Pause(_)) | None, _) => InformerEvent::Tick,
                    (Some(InformerOutput::List(_)), 1..=3) => InformerEvent::ListFailed(turn.failure),
                    (Some(InformerOutput::List(_)), _) => {
                        let mut items: Vec<CachedObject> = Vec::new();
                        for drawn in turn.objects {
                            let object = object(drawn, version);
                            if !items.iter().any(|there| there.key() == object.key()) {
                                items.push(object);
                            }
                        }
                        InformerEvent::Listed { resource_version: version.to_string(), items }
                    }
                    (_, 1) => InformerEvent::WatchFailed(turn.failure),
                    (_, 2) => InformerEvent::WatchClosed,
                    (_, 3) => InformerEvent::Bookmark(version.to_string()),
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
                let looked = ["default/a", "default/b", "shop/a", "node-1"][turn.which.index(4)];
                steps.push(step("get", json!({ "key": looked })));
                let (index, value) = [("namespace", "default"), ("namespace", ""), ("node", "node-1"), ("node", "")]
                    [turn.which.index(4)];
                steps.push(step("by_index", json!({"index": index, "value": value})));
                steps.push(step("has_synced", json!({})));
            }
            scenario(json!({ "config": config }), steps)
        })
        .boxed()
}
