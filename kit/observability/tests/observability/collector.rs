//! The collector loses spans where the OpenTelemetry Collector does, and counts each of them.

use kit_contract::observability::Traces;
use kit_contract::observability::traces::{Policy, Status, Tail};
use kit_observability::trace::Span;
use kit_observability::trace::collector::{Answer, Collector, Config, Counts, Retry};
use std::rc::Rc;

fn span(trace: &str, id: usize, status: Status) -> Span {
    Span { trace_id: trace.into(), span_id: format!("{id:x}"), status, ..Span::default() }
}

fn spans(many: usize) -> Vec<Span> {
    (0..many).map(|id| span("t1", id, Status::Unset)).collect()
}

fn collector(config: Config) -> Collector {
    let module: Rc<dyn Traces> = Rc::from(solutions::modules().traces.make(&()));
    Collector::new(config, module)
}

#[test]
fn a_batch_goes_when_it_is_full_or_old() {
    let mut of = collector(Config { send_batch_size: 10, send_batch_max_size: 4, ..Config::default() });
    assert!(of.receive(spans(3), 0));
    assert!(of.poll(199).is_empty());
    assert_eq!(of.poll(200).iter().map(|batch| batch.spans.len()).collect::<Vec<_>>(), [3]);
    assert!(of.receive(spans(10), 300));
    assert_eq!(of.poll(300).iter().map(|batch| batch.spans.len()).collect::<Vec<_>>(), [4, 4, 2]);
}

#[test]
fn who_has_no_room_refuses() {
    let mut of = collector(Config { limit: 5, ..Config::default() });
    assert!(of.receive(spans(4), 0));
    assert!(!of.receive(spans(2), 0));
    let batch = of.poll(200).remove(0);
    of.answered(batch.number, Answer::Stored, 200);
    assert!(of.receive(spans(2), 300));
    assert_eq!(of.counts(), Counts { accepted: 6, refused: 2, sent: 4, ..Counts::default() });
}

#[test]
fn a_batch_is_tried_again_until_it_is_given_up() {
    let retry = Retry { initial_ms: 5_000, max_interval_ms: 10_000, max_elapsed_ms: 30_000 };
    let mut of = collector(Config { retry, timeout_ms: 0, ..Config::default() });
    of.receive(spans(2), 0);
    let mut tried = Vec::new();
    for now in (0..60_000).step_by(500) {
        for batch in of.poll(now) {
            tried.push(now);
            of.answered(batch.number, Answer::Later, now);
        }
    }
    assert_eq!(tried, [0, 5_000, 12_500, 22_500], "each interval is half as long again, up to 10 s");
    assert_eq!((of.counts().send_failed, of.held()), (2, 0));
}

#[test]
fn a_full_queue_drops_and_a_crash_loses_all() {
    let queue = Config { queue_size: 1, num_consumers: 1, send_batch_size: 1, ..Config::default() };
    let mut of = collector(queue);
    for now in 0..4 {
        of.receive(spans(1), now);
        of.poll(now);
    }
    assert_eq!(of.counts().enqueue_failed, 2, "one is under way, one waits");
    assert_eq!(of.crash(), 2);
    assert_eq!(of.held(), 0);
}

#[test]
fn late_spans_follow_a_decision_that_is_remembered() {
    let errors = Policy::StatusCode { status_codes: vec![Status::Error] };
    let tail = Tail { decision_wait_ms: 10, num_traces: 1, policies: vec![errors] };
    for (decision_cache, sent) in [(0, 1), (10, 2)] {
        let mut of = collector(Config { tail: Some(tail.clone()), decision_cache, timeout_ms: 0, ..Config::default() });
        of.receive(vec![span("t1", 1, Status::Error)], 0);
        let first = of.poll(10);
        first.iter().for_each(|batch| of.answered(batch.number, Answer::Stored, 10));
        // Another trace takes the only place.
        of.receive(vec![span("t2", 2, Status::Unset)], 20);
        of.poll(30);
        of.receive(vec![span("t1", 3, Status::Unset)], 40);
        let late = of.poll(60);
        late.iter().for_each(|batch| of.answered(batch.number, Answer::Stored, 60));
        assert_eq!(of.counts().sent, sent, "with a cache for {decision_cache}");
        assert_eq!(of.counts().not_sampled, 3 - sent);
    }
}
