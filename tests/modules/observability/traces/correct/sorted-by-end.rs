//! Passes: headers are taken apart by place, children are sorted by their end once and passed over one after the other, and each function returns what it found.

use kit::observability::Traces;
use kit::observability::traces::{
    Break, Call, Collected, Context, Decision, Held, Hop, Kind, Policy, Row, Section, Span, Status, Tail,
};
use std::collections::BTreeMap;

#[derive(Default)]
struct Exercise;

fn low(trace_id: &str) -> u128 {
    let last: String = trace_id.chars().rev().take(16).collect::<Vec<_>>().into_iter().rev().collect();
    u128::from_str_radix(&last, 16).unwrap_or(0)
}

fn kept(trace_id: &str, ratio: f64) -> bool {
    low(trace_id) < (ratio * 18_446_744_073_709_551_616.0) as u128
}

type Below<'a> = BTreeMap<&'a str, Vec<&'a Span>>;

/// Those at the top, and the children of each.
fn family(spans: &[Span]) -> (Vec<&Span>, Below<'_>) {
    let mut once: BTreeMap<&str, &Span> = BTreeMap::new();
    for span in spans {
        once.entry(&span.span_id).or_insert(span);
    }
    let mut all: Vec<&Span> = once.values().copied().collect();
    all.sort_by(|a, b| a.start_us.cmp(&b.start_us).then(a.span_id.cmp(&b.span_id)));
    let (mut top, mut below) = (Vec::new(), Below::new());
    for span in all {
        match span.parent_span_id.as_deref().filter(|parent| once.contains_key(parent)) {
            Some(parent) => below.entry(parent).or_default().push(span),
            None => top.push(span),
        }
    }
    (top, below)
}

fn rows(span: &Span, depth: u32, skew_us: i64, below: &Below<'_>) -> Vec<Row> {
    let orphan = depth == 0 && span.parent_span_id.is_some();
    let mut all = vec![Row { span_id: span.span_id.clone(), depth, orphan, skew_us }];
    for child in below.get(&*span.span_id).into_iter().flatten() {
        let moved = if child.host == span.host {
            skew_us
        } else if child.kind == Kind::Consumer {
            0
        } else {
            let begin = span.start_us + skew_us;
            let end = span.end_us + skew_us;
            let (mine, its) = (child.end_us - child.start_us, end - begin);
            if mine > its {
                if child.start_us < begin { begin - child.start_us } else { 0 }
            } else if child.start_us < begin || child.end_us > end {
                begin + (its - mine) / 2 - child.start_us
            } else {
                0
            }
        };
        all.extend(rows(child, depth + 1, moved, below));
    }
    all
}

/// In order of time.
fn path(span: &Span, from: i64, to: i64, below: &Below<'_>) -> Vec<Section> {
    let mut children: Vec<(i64, i64, &Span)> = below
        .get(&*span.span_id)
        .into_iter()
        .flatten()
        .filter(|child| child.kind != Kind::Producer && child.kind != Kind::Consumer)
        .map(|child| (child.end_us.min(to), child.start_us.max(from), *child))
        .filter(|(end, start, _)| start < end)
        .collect();
    children.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.span_id.cmp(&b.2.span_id)));
    let own = |from_us, to_us| Section { span_id: span.span_id.clone(), from_us, to_us };
    let mut pieces = Vec::new();
    let mut now = to;
    for (end, start, child) in children {
        if end > now {
            continue;
        }
        if end < now {
            pieces.push(vec![own(end, now)]);
        }
        pieces.push(path(child, start, end, below));
        now = start;
    }
    if from < now {
        pieces.push(vec![own(from, now)]);
    }
    pieces.into_iter().rev().flatten().collect()
}

fn wants(policy: &Policy, spans: &[Span]) -> bool {
    match policy {
        Policy::AlwaysSample => true,
        Policy::Latency { threshold_ms, upper_threshold_ms } => {
            let first = spans.iter().map(|span| span.start_us).fold(i64::MAX, i64::min);
            let last = spans.iter().map(|span| span.end_us).fold(i64::MIN, i64::max);
            let ms = (last - first).div_euclid(1000);
            if *upper_threshold_ms == 0 { ms >= *threshold_ms } else { *threshold_ms < ms && ms <= *upper_threshold_ms }
        }
        Policy::StatusCode { status_codes } => {
            let all: Vec<Status> = spans.iter().map(|span| span.status).collect();
            status_codes.iter().any(|code| all.contains(code))
        }
        Policy::StringAttribute { key, values } => {
            values.iter().any(|value| spans.iter().any(|span| span.attributes.get(key) == Some(value)))
        }
        Policy::Probabilistic { sampling_percentage } => kept(&spans[0].trace_id, sampling_percentage / 100.0),
        Policy::And(all) | Policy::Drop(all) => all.iter().all(|one| wants(one, spans)),
    }
}

impl Traces for Exercise {
    fn extract(&self, traceparent: &str) -> Option<Context> {
        let bytes = traceparent.as_bytes();
        if bytes.len() < 55 || !traceparent.is_ascii() {
            return None;
        }
        let digit = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
        let fields = [0..2, 3..35, 36..52, 53..55];
        if !fields.iter().all(|field| bytes[field.clone()].iter().all(digit)) || [2, 35, 52].iter().any(|at| bytes[*at] != b'-') {
            return None;
        }
        let more = &traceparent[55..];
        let version = &traceparent[..2];
        let ends_well = more.is_empty() || version != "00" && more.starts_with('-');
        let (trace_id, span_id) = (&traceparent[3..35], &traceparent[36..52]);
        let named = trace_id.contains(|c| c != '0') && span_id.contains(|c| c != '0');
        let flags = u8::from_str_radix(&traceparent[53..55], 16).ok()?;
        (ends_well && named && version != "ff").then(|| Context { trace_id: trace_id.into(), span_id: span_id.into(), flags })
    }

    fn begin(&self, call: &Call) -> Context {
        let span_id = call.new_span_id.clone();
        match &call.parent {
            Some(parent) => {
                let sampled = if call.parent_based { parent.flags % 2 == 1 } else { kept(&parent.trace_id, call.ratio) };
                Context { trace_id: parent.trace_id.clone(), span_id, flags: parent.flags / 2 * 2 + u8::from(sampled) }
            }
            None => {
                let sampled = kept(&call.new_trace_id, call.ratio);
                Context { trace_id: call.new_trace_id.clone(), span_id, flags: sampled.into() }
            }
        }
    }

    fn inject(&self, context: &Context) -> String {
        ["00", &context.trace_id, &context.span_id, &format!("{:02x}", context.flags)].join("-")
    }

    fn tree(&self, spans: &[Span]) -> Vec<Row> {
        let (top, below) = family(spans);
        top.into_iter().flat_map(|span| rows(span, 0, 0, &below)).collect()
    }

    fn critical_path(&self, spans: &[Span]) -> Vec<Section> {
        let (top, below) = family(spans);
        top.first().map_or_else(Vec::new, |root| path(root, root.start_us, root.end_us, &below))
    }

    fn broken(&self, hop: &Hop) -> Option<Break> {
        let caller = (&*hop.caller.trace_id, &*hop.caller.span_id);
        let under = hop.parent_span_id.as_deref().map(|parent| (&*hop.callee.trace_id, parent));
        let linked = hop.links.iter().any(|link| (&*link.trace_id, &*link.span_id) == caller);
        if under == Some(caller) {
            let both = hop.caller.flags ^ hop.callee.flags;
            return if both % 2 == 1 { Some(Break::Resampled) } else { None };
        }
        match hop.header.as_deref().map(|header| self.extract(header)) {
            _ if linked => None,
            None => Some(Break::NotSent),
            Some(None) => Some(Break::Invalid),
            Some(Some(said)) if (&*said.trace_id, &*said.span_id) == caller => Some(Break::Ignored),
            Some(Some(_)) => Some(Break::Altered),
        }
    }

    fn decide(&self, policies: &[Policy], spans: &[Span]) -> Decision {
        let (drops, others): (Vec<_>, Vec<_>) = policies.iter().partition(|policy| matches!(policy, Policy::Drop(_)));
        if drops.iter().any(|policy| wants(policy, spans)) {
            Decision::Dropped
        } else if others.iter().any(|policy| wants(policy, spans)) {
            Decision::Sampled
        } else {
            Decision::NotSampled
        }
    }

    fn collect(&self, tail: &Tail, memory: &[Held], arrived: &[Span], now_ms: i64) -> Collected {
        let (mut memory, mut sent, mut too_early) = (memory.to_vec(), Vec::new(), Vec::new());
        for span in arrived {
            let place = memory.iter().position(|held| held.trace_id == span.trace_id).unwrap_or_else(|| {
                if memory.len() == tail.num_traces {
                    let gone = memory.remove(0);
                    too_early.extend(gone.decision.is_none().then_some(gone.trace_id));
                }
                memory.push(Held { trace_id: span.trace_id.clone(), first_ms: now_ms, decision: None, spans: vec![] });
                memory.len() - 1
            });
            if memory[place].decision.is_none() {
                memory[place].spans.push(span.clone());
            } else if memory[place].decision == Some(Decision::Sampled) {
                sent.push(span.clone());
            }
        }
        for held in memory.iter_mut().filter(|held| held.decision.is_none()) {
            if now_ms - held.first_ms < tail.decision_wait_ms {
                continue;
            }
            let decision = self.decide(&tail.policies, &held.spans);
            held.decision = Some(decision);
            let spans: Vec<Span> = held.spans.drain(..).collect();
            if decision == Decision::Sampled {
                sent.extend(spans);
            }
        }
        Collected { memory, sent, too_early }
    }
}

kit::exercise!(Exercise: Traces);
