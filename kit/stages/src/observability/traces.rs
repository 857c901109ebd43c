//! Fresh scenarios of `observability/traces`: headers with one thing wrong; spans whose times meet, overlap and stick out of
//! their parents, from two hosts; collectors that remember few traces.

use crate::fresh::{Generator, scenario, several, step};
use kit_contract::Slot;
use kit_contract::observability::Traces;
use kit_contract::observability::traces::{Context, Held, Kind, Link, Policy, Span, Status, Tail};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// The last 16 digits decide: a quarter, half, just not half, nearly all, none but the first, just an eighth, both sides of a
/// tenth, and all.
const TRACES: [&str; 11] = [
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "ffffffffffffffff3fffffffffffffff",
    "ffffffffffffffff4000000000000000",
    "00000000000000017fffffffffffffff",
    "00000000000000018000000000000000",
    "0000000000000001ffffffffffffffff",
    "ffffffffffffffff0000000000000001",
    "ffffffffffffffff1fffffffffffffff",
    "00000000000000011999999900000000",
    "000000000000000119999999ffffffff",
    "4bf92f3577b34da60000000000000000",
];
const SPANS: [&str; 3] = ["00f067aa0ba902b7", "0000000000000001", "53ce929d0e0e4736"];
const RATIOS: [f64; 6] = [0.5, 0.25, 1.0, 0.0, 0.1, 0.75];

fn context() -> impl Strategy<Value = Context> {
    (select(TRACES.to_vec()), select(SPANS.to_vec()), select(vec![1_u8, 0, 3, 2, 255]))
        .prop_map(|(trace_id, span_id, flags)| Context { trace_id: trace_id.into(), span_id: span_id.into(), flags })
}

fn written(of: &Context) -> String {
    format!("00-{}-{}-{:02x}", of.trace_id, of.span_id, of.flags)
}

/// A header, and mostly something wrong with it, or strange.
fn header() -> impl Strategy<Value = String> {
    (context(), 0..23_usize, any::<Index>()).prop_map(|(of, wrong, place)| {
        let right = written(&of);
        let rest = &right[2..];
        let last = &right[..right.len() - 2];
        match wrong {
            0..4 => right,
            4 => format!("{}{rest}", ["01", "fe", "f0", "0f"][place.index(4)]),
            5 => format!("cc{rest}-what-comes-later"),
            6 => format!("{right}-more"),
            7 => format!("ff{rest}"),
            8 => format!("01{rest}more"),
            9 => format!("01{rest}-"),
            10 => format!("{right}-"),
            11 => format!("00-{}-{}-01", "0".repeat(32), of.span_id),
            12 => format!("00-{}-{}-01", of.trace_id, "0".repeat(16)),
            13 => right[..right.len() - 1].into(),
            14 => format!("{last}0g"),
            15 => format!("{last}+1"),
            16 => {
                let place = place.index(right.len());
                format!("{}{}", &right[..place], &right[place + 1..])
            }
            17 => {
                let letters: Vec<usize> =
                    right.match_indices(|c: char| c.is_ascii_lowercase()).map(|(at, _)| at).collect();
                letters.first().map_or_else(String::new, |_| {
                    let at = letters[place.index(letters.len())];
                    format!("{}{}{}", &right[..at], right[at..=at].to_uppercase(), &right[at + 1..])
                })
            }
            18 => right.replace('-', ":"),
            19 | 20 => {
                let (place, other) = (place.index(right.len()), ["g", "٣", "é", "_", "+"][place.index(5)]);
                format!("{}{other}{}", &right[..place], &right[place + 1..])
            }
            // As many bytes as a header has, and no character begins where a field does.
            21 => format!("{}1", "é".repeat(27)),
            _ => String::new(),
        }
    })
}

fn call() -> impl Strategy<Value = Value> {
    let new = (select(TRACES.to_vec()), select(SPANS.to_vec()));
    (option::weighted(0.7, context()), new, select(RATIOS.to_vec()), any::<bool>()).prop_map(
        |(parent, (trace, span), ratio, based)| {
            json!({"call": {"parent": parent, "new_trace_id": trace, "new_span_id": span, "ratio": ratio, "parent_based": based}})
        },
    )
}

/// One span below another, or below none: what it takes over from it, and where it lies.
#[derive(Debug, Clone)]
struct Draw {
    parent: Index,
    kind: Kind,
    host: usize,
    after: i64,
    length: i64,
    /// 0: it has no parent; 1: it has one that is missing.
    top: u8,
}

fn draw() -> impl Strategy<Value = Draw> {
    let kind = prop_oneof![
        4 => Just(Kind::Client), 3 => Just(Kind::Server), 3 => Just(Kind::Internal),
        1 => Just(Kind::Consumer), 1 => Just(Kind::Producer),
    ];
    let after = select(vec![0_i64, 10_000, 20_000, 5_000, 30_000, 60_000, -10_000, 25_001, 100_000, -30_000]);
    let length = select(vec![10_000_i64, 20_000, 40_000, 0, 5_000, 100_000, 1, 25_000, 3_000_000_000]);
    (any::<Index>(), kind, 0..3_usize, after, length, 0..24_u8)
        .prop_map(|(parent, kind, host, after, length, top)| Draw { parent, kind, host, after, length, top })
}

/// Who is below whom.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// As it was drawn.
    Any,
    /// Each below the one before.
    Deep,
    /// All below the root, one after the other.
    Wide,
}

/// The spans of one trace, each once, in any order. Ids are in no order either, and not all of one length.
fn spans(most: usize) -> impl Strategy<Value = Vec<Span>> {
    let ids: Vec<String> = (0..81).map(|number| format!("{:x}", (number * 13 + 7) % 81 + 220)).collect();
    let root = (
        select(vec![100_000_i64, 50_000, 10_000, 0, 4_000_000_000]),
        select(vec![0_i64, 1_000_000, 1_764_000_000_000_000]),
        prop_oneof![8 => Just(Kind::Server), 1 => Just(Kind::Consumer), 1 => Just(Kind::Producer)],
    );
    let many = prop_oneof![10 => vec(draw(), 0..most), 1 => vec(draw(), 10..80)];
    let shape = prop_oneof![10 => Just(Shape::Any), 1 => Just(Shape::Deep), 1 => Just(Shape::Wide)];
    (many, root, shape).prop_map(move |(draws, (length, start, kind), shape)| {
        let mut all = vec![Span {
            trace_id: "t1".into(),
            span_id: ids[0].clone(),
            name: "GET".into(),
            service: "web".into(),
            host: "node-1".into(),
            kind,
            start_us: start,
            end_us: start + length,
            ..Span::default()
        }];
        for (draw, id) in draws.iter().zip(&ids[1..]) {
            let last = all.len() - 1;
            let parent = match shape {
                Shape::Any => draw.parent.get(&all).clone(),
                Shape::Deep => all[last].clone(),
                Shape::Wide => all[0].clone(),
            };
            let begin = match shape {
                Shape::Any => parent.start_us + draw.after,
                Shape::Deep => parent.start_us,
                Shape::Wide if last == 0 => parent.start_us,
                Shape::Wide => all[last].end_us,
            };
            all.push(Span {
                span_id: id.clone(),
                parent_span_id: match draw.top {
                    23 => None,
                    22 => Some("lost".into()),
                    _ => Some(parent.span_id.clone()),
                },
                service: ["web", "cart", "db"][draw.host].into(),
                host: ["node-1", "node-2", "node-1"][draw.host].into(),
                kind: draw.kind,
                start_us: begin,
                end_us: begin + draw.length,
                ..parent
            });
        }
        if let Shape::Wide = shape {
            all[0].end_us = all.iter().map(|span| span.end_us).max().unwrap_or(start);
        }
        all
    })
}

fn tree() -> impl Strategy<Value = Value> {
    let again = (any::<Index>(), any::<Index>(), select(vec![0_i64, 10_000, -20_000]));
    (spans(8).prop_shuffle(), option::weighted(0.3, again)).prop_map(|(mut spans, again)| {
        if let Some((which, place, later)) = again {
            let mut twice = which.get(&spans).clone();
            // One that isn't the same shows which of them counts.
            twice.start_us += later;
            twice.end_us += later;
            spans.insert(place.index(spans.len() + 1), twice);
        }
        json!({"spans": spans})
    })
}

fn hop() -> impl Strategy<Value = Value> {
    let header = (0..8_usize, header());
    let callee = (0..4_usize, 0..4_usize, select(vec![1_u8, 0, 3]), 0..8_usize);
    (context(), context(), header, callee).prop_map(|(caller, other, (which, strange), (trace, parent, flags, link))| {
        let header = match which {
            0 => None,
            1 | 2 => Some(written(&caller)),
            3 => Some(written(&other)),
            4 => Some(written(&Context { span_id: other.span_id.clone(), ..caller.clone() })),
            5 => Some(written(&Context { flags: other.flags, ..caller.clone() })),
            6 => Some(format!("01{}", &written(&caller)[2..])),
            _ => Some(strange),
        };
        let trace_id = if trace < 3 { &caller.trace_id } else { &other.trace_id };
        let callee = Context { trace_id: trace_id.clone(), span_id: "b7ad6b7169203331".into(), flags };
        let parent = [Some(&caller.span_id), Some(&caller.span_id), Some(&other.span_id), None][parent];
        let links: Vec<Link> = match link {
            0 => vec![(&other.trace_id, &other.span_id), (&caller.trace_id, &caller.span_id)],
            1 => vec![(&caller.trace_id, &other.span_id)],
            2 => vec![(&other.trace_id, &caller.span_id)],
            _ => Vec::new(),
        }
        .into_iter()
        .map(|(trace, span)| Link { trace_id: trace.clone(), span_id: span.clone() })
        .collect();
        json!({"hop": {"caller": caller, "header": header, "callee": callee, "parent_span_id": parent, "links": links}})
    })
}

fn simple() -> impl Strategy<Value = Policy> {
    let latency = (select(vec![50_i64, 100, 10, 0]), select(vec![0_i64, 100, 150]));
    let codes = select(vec![vec![Status::Error], vec![Status::Error, Status::Ok], vec![Status::Unset]]);
    let values = (select(vec!["route", "tenant"]), select(vec![vec!["/pay"], vec!["/pay", "gold"], vec!["/healthz"]]));
    prop_oneof![
        3 => latency.prop_map(|(threshold_ms, upper_threshold_ms)| Policy::Latency { threshold_ms, upper_threshold_ms }),
        3 => codes.prop_map(|status_codes| Policy::StatusCode { status_codes }),
        3 => values.prop_map(|(key, values)| Policy::StringAttribute {
            key: key.into(),
            values: values.into_iter().map(String::from).collect(),
        }),
        2 => select(vec![50.0, 25.0, 100.0, 0.0, 12.5, 10.0]).prop_map(|sampling_percentage| Policy::Probabilistic { sampling_percentage }),
        1 => Just(Policy::AlwaysSample),
    ]
}

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let policy = prop_oneof![
        5 => simple(),
        1 => vec(simple(), 1..4).prop_map(Policy::And),
        1 => vec(simple(), 1..3).prop_map(Policy::Drop),
    ];
    vec(policy, 0..4)
}

/// A span of a trace that policies look at.
fn looked_at(trace: &'static str) -> impl Strategy<Value = Span> {
    let status = select(vec![Status::Unset, Status::Ok, Status::Error]);
    let start = select(vec![0_i64, 20_000, 60_000, 600]);
    let length = select(vec![10_000_i64, 50_000, 90_000, 100_000, 100_999, 49_999, 150_000, 151_000]);
    let route = option::weighted(0.6, select(vec!["/pay", "/healthz", "gold", "/payment", "/Pay"]));
    let tenant = option::weighted(0.4, select(vec!["gold", "/pay", "free"]));
    let other = option::weighted(0.1, select(vec!["/pay", "gold"]));
    // Few ids, so that they meet: in one trace, where a span was sent again, and in several.
    let id = 0..6_u8;
    (status, start, length, (route, tenant, other), id).prop_map(
        move |(status, start, length, (route, tenant, other), id)| {
            let attributes = [("route", route), ("tenant", tenant), ("Tenant", other)];
            let attributes =
                attributes.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?.to_string())));
            Span {
                trace_id: trace.into(),
                span_id: format!("{id}"),
                name: "GET".into(),
                service: "web".into(),
                start_us: 1_000_000 + start,
                end_us: 1_000_000 + start + length,
                status,
                attributes: attributes.collect(),
                ..Span::default()
            }
        },
    )
}

fn decided() -> impl Strategy<Value = Value> {
    let spans = |trace| prop_oneof![12 => vec(looked_at(trace), 1..5), 1 => vec(looked_at(trace), 5..70)];
    let spans = select(TRACES.to_vec()).prop_flat_map(spans);
    (policies(), spans).prop_map(|(policies, spans)| json!({"policies": policies, "spans": spans}))
}

/// A collector for a while; what it remembers is what the reference answered.
fn collected(reference: Slot<dyn Traces>) -> impl Strategy<Value = Value> {
    let wait = select(vec![10_000_i64, 30_000, 0]);
    let span = || select(TRACES[..4].to_vec()).prop_flat_map(looked_at);
    let arrived = prop_oneof![6 => vec(span(), 0..4), 1 => vec(span(), 4..12)];
    let begin = select(vec![0_i64, 1_764_000_000_000]);
    let looks = vec((arrived, select(vec![0_i64, 10_000, 5_000, 9_999, 10_001, 30_000])), 1..8);
    (wait, select(vec![2_usize, 3, 1, 100]), policies(), begin, looks).prop_map(
        move |(wait, most, policies, begin, looks)| {
            let module = reference.make(&());
            let tail = Tail { decision_wait_ms: wait, num_traces: most, policies };
            let (mut memory, mut now, mut steps): (Vec<Held>, i64, Vec<Value>) = (Vec::new(), begin, Vec::new());
            for (arrived, after) in looks {
                now += after;
                let args = json!({"tail": tail, "memory": memory, "arrived": arrived, "now_ms": now});
                steps.push(step("collect", args));
                memory = module.collect(&tail, &memory, &arrived, now).memory;
            }
            scenario(json!({}), steps)
        },
    )
}

/// A few questions about headers, trees, paths, hops and policies; or a collector for a while.
pub fn fresh(reference: Slot<dyn Traces>) -> Generator {
    let of = |call: &'static str, args: BoxedStrategy<Value>| {
        args.prop_map(move |args| scenario(json!({}), vec![step(call, args)])).boxed()
    };
    let headed = (any::<bool>(), header(), context()).prop_map(|(reads, header, context)| match reads {
        true => scenario(json!({}), vec![step("extract", json!({"traceparent": header}))]),
        false => scenario(json!({}), vec![step("inject", json!({"context": context}))]),
    });
    let group = |why: &'static str, read: &'static str, questions: Generator, most: usize| {
        several(questions, most)
            .prop_map(move |mut drawn| {
                (drawn["why"], drawn["read"]) = (why.into(), read.into());
                drawn
            })
            .boxed()
    };
    prop_oneof![
        2 => group("A header is valid to the letter, or it isn't there.", "the-header", headed.boxed(), 6),
        1 => group("A trace is kept by whoever began it, or by its id.", "a-span-begins", of("begin", call().boxed()), 4),
        3 => group("Rows follow from parents, starts and ids, whatever the order in which spans came.", "spans-to-a-tree", of("tree", tree().boxed()), 2),
        4 => group("At each moment of the root, one span was waited for.", "the-critical-path",
            of("critical_path", spans(8).prop_shuffle().prop_map(|spans| json!({"spans": spans})).boxed()), 2),
        2 => group("What the callee began, what arrived, and what the caller is tell where a context broke.", "where-a-context-breaks",
            of("broken", hop().boxed()), 4),
        2 => group("One policy that drops is enough, then one that samples.", "policies", of("decide", decided().boxed()), 3),
        2 => collected(reference).prop_map(|mut drawn| {
            (drawn["why"], drawn["read"]) = ("A trace is decided once, after its wait, and remembered while there is room.".into(), "waiting-for-a-trace".into());
            drawn
        }),
    ]
    .boxed()
}
