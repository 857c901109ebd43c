//! The reference for `observability/traces`.

// ANCHOR: solution
use kit::observability::Traces;
use kit::observability::traces::{
    Break, Call, Collected, Context, Decision, Held, Hop, Kind, Policy, Row, Section, Span, Tail,
};
use std::cmp::Reverse;

/// Nothing is remembered.
#[derive(Default)]
pub struct Exercise;

impl Traces for Exercise {
    fn extract(&self, traceparent: &str) -> Option<Context> {
        let mut fields = traceparent.split('-');
        let version = digits(fields.next()?, 2)?;
        let trace_id = digits(fields.next()?, 32)?;
        let span_id = digits(fields.next()?, 16)?;
        let flags = digits(fields.next()?, 2)?;
        let goes_on = fields.next().is_some();
        if version == "ff" || version == "00" && goes_on || [trace_id, span_id].iter().any(|id| zero(id)) {
            return None;
        }
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Context { trace_id: trace_id.into(), span_id: span_id.into(), flags })
    }

    fn begin(&self, call: &Call) -> Context {
        let parent = call.parent.as_ref();
        let trace_id = parent.map_or(&call.new_trace_id, |parent| &parent.trace_id).clone();
        let sampled = u8::from(chosen(&trace_id, call.ratio));
        let flags = match parent {
            Some(parent) if call.parent_based => parent.flags,
            Some(parent) => parent.flags & !1 | sampled,
            None => sampled,
        };
        Context { trace_id, span_id: call.new_span_id.clone(), flags }
    }

    fn inject(&self, context: &Context) -> String {
        format!("00-{}-{}-{:02x}", context.trace_id, context.span_id, context.flags)
    }

    fn tree(&self, spans: &[Span]) -> Vec<Row> {
        let spans = in_order(spans);
        let mut rows = Vec::new();
        for top in spans.iter().filter(|span| parent_of(span, &spans).is_none()) {
            rows_of(top, 0, 0, &spans, &mut rows);
        }
        rows
    }

    fn critical_path(&self, spans: &[Span]) -> Vec<Section> {
        let spans = in_order(spans);
        let mut path = Vec::new();
        if let Some(root) = spans.iter().find(|span| parent_of(span, &spans).is_none()) {
            walk(root, root.start_us, root.end_us, &spans, &mut path);
        }
        path.reverse();
        path
    }

    fn broken(&self, hop: &Hop) -> Option<Break> {
        let (caller, callee) = (&hop.caller, &hop.callee);
        let is_caller = |trace_id: &str, span_id: &str| trace_id == caller.trace_id && span_id == caller.span_id;
        if hop.parent_span_id.as_ref().is_some_and(|parent| is_caller(&callee.trace_id, parent)) {
            return (caller.flags & 1 != callee.flags & 1).then_some(Break::Resampled);
        }
        if hop.links.iter().any(|link| is_caller(&link.trace_id, &link.span_id)) {
            return None;
        }
        let Some(header) = &hop.header else { return Some(Break::NotSent) };
        Some(match self.extract(header) {
            None => Break::Invalid,
            Some(said) if !is_caller(&said.trace_id, &said.span_id) => Break::Altered,
            Some(_) => Break::Ignored,
        })
    }

    fn decide(&self, policies: &[Policy], spans: &[Span]) -> Decision {
        let said: Vec<Decision> = policies.iter().map(|policy| says(policy, spans)).collect();
        let first = [Decision::Dropped, Decision::Sampled].into_iter().find(|decision| said.contains(decision));
        first.unwrap_or(Decision::NotSampled)
    }

    fn collect(&self, tail: &Tail, memory: &[Held], arrived: &[Span], now_ms: i64) -> Collected {
        let mut answer = Collected { memory: memory.to_vec(), ..Collected::default() };
        for span in arrived {
            let held = match answer.memory.iter_mut().find(|held| held.trace_id == span.trace_id) {
                Some(held) => held,
                None => {
                    remember(&mut answer, tail, &span.trace_id, now_ms);
                    let Some(newest) = answer.memory.last_mut() else { continue };
                    newest
                }
            };
            match held.decision {
                None => held.spans.push(span.clone()),
                Some(Decision::Sampled) => answer.sent.push(span.clone()),
                Some(_) => {}
            }
        }
        for held in &mut answer.memory {
            if held.decision.is_none() && held.first_ms + tail.decision_wait_ms <= now_ms {
                let spans = std::mem::take(&mut held.spans);
                let decision = self.decide(&tail.policies, &spans);
                held.decision = Some(decision);
                if decision == Decision::Sampled {
                    answer.sent.extend(spans);
                }
            }
        }
        answer
    }
}

/// The text, if it is so many digits of a header.
fn digits(text: &str, many: usize) -> Option<&str> {
    let valid = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == many && valid).then_some(text)
}

fn zero(id: &str) -> bool {
    id.bytes().all(|digit| digit == b'0')
}

/// Whether a trace belongs to the share that is kept: by its id, so that all who keep the same share keep the same traces.
fn chosen(trace_id: &str, ratio: f64) -> bool {
    let last = &trace_id[trace_id.len().saturating_sub(16)..];
    let number = u64::from_str_radix(last, 16).unwrap_or(u64::MAX);
    u128::from(number) < (ratio * 2f64.powi(64)) as u128
}

/// Each span once, in the order in which rows with the same parent stand.
fn in_order(spans: &[Span]) -> Vec<&Span> {
    let mut all: Vec<&Span> = Vec::new();
    for span in spans {
        if all.iter().all(|known| known.span_id != span.span_id) {
            all.push(span);
        }
    }
    all.sort_by_key(|span| (span.start_us, &span.span_id));
    all
}

fn parent_of<'a>(span: &Span, spans: &[&'a Span]) -> Option<&'a Span> {
    let parent = span.parent_span_id.as_ref()?;
    spans.iter().find(|other| other.span_id == *parent).copied()
}

fn children_of<'a>(span: &Span, spans: &[&'a Span]) -> impl Iterator<Item = &'a Span> {
    spans.iter().copied().filter(|child| child.parent_span_id.as_ref() == Some(&span.span_id))
}

fn rows_of(span: &Span, depth: u32, skew_us: i64, spans: &[&Span], rows: &mut Vec<Row>) {
    let orphan = depth == 0 && span.parent_span_id.is_some();
    rows.push(Row { span_id: span.span_id.clone(), depth, orphan, skew_us });
    for child in children_of(span, spans) {
        rows_of(child, depth + 1, skew_below(span, skew_us, child), spans, rows);
    }
}

/// How far a child is moved, below a parent that is moved itself.
fn skew_below(parent: &Span, skew_us: i64, child: &Span) -> i64 {
    if child.host == parent.host {
        return skew_us;
    }
    let (start, end) = (parent.start_us + skew_us, parent.end_us + skew_us);
    let spare = (end - start) - (child.end_us - child.start_us);
    let within = child.start_us >= start && child.end_us <= end;
    match spare {
        _ if within || child.kind == Kind::Consumer => 0,
        // It outlived the call, which was given up perhaps. But it didn't begin before it.
        ..0 => (start - child.start_us).max(0),
        // The way there took as long as the way back.
        _ => start + spare / 2 - child.start_us,
    }
}

/// Adds what is waited for between `from` and `to`, the last first.
fn walk(span: &Span, from: i64, to: i64, spans: &[&Span], path: &mut Vec<Section>) {
    let cut = |child: &Span| (child.start_us.max(from), child.end_us.min(to));
    let awaited = |child: &&Span| !matches!(child.kind, Kind::Producer | Kind::Consumer);
    let section = |from_us: i64, to_us: i64, path: &mut Vec<Section>| {
        if from_us < to_us {
            path.push(Section { span_id: span.span_id.clone(), from_us, to_us });
        }
    };
    let mut now = to;
    loop {
        let ended = children_of(span, spans).filter(awaited).map(|child| (child, cut(child)));
        let ended = ended.filter(|(_, (start, end))| start < end && *end <= now);
        let last = ended.max_by_key(|(child, (start, end))| (*end, Reverse(*start), Reverse(&child.span_id)));
        let Some((child, (start, end))) = last else { break };
        section(end, now, path);
        walk(child, start, end, spans, path);
        now = start;
    }
    section(from, now, path);
}

/// What one policy says of a trace.
fn says(policy: &Policy, spans: &[Span]) -> Decision {
    let all_sample = |policies: &[Policy]| policies.iter().all(|policy| says(policy, spans) == Decision::Sampled);
    let sampled = match policy {
        Policy::Drop(policies) if all_sample(policies) => return Decision::Dropped,
        Policy::Drop(_) => false,
        Policy::And(policies) => all_sample(policies),
        Policy::AlwaysSample => true,
        Policy::Latency { threshold_ms, upper_threshold_ms } => {
            let start = spans.iter().map(|span| span.start_us).min().unwrap_or_default();
            let end = spans.iter().map(|span| span.end_us).max().unwrap_or_default();
            let took = (end - start) / 1000;
            match upper_threshold_ms {
                0 => took >= *threshold_ms,
                upper => took > *threshold_ms && took <= *upper,
            }
        }
        Policy::StatusCode { status_codes } => spans.iter().any(|span| status_codes.contains(&span.status)),
        Policy::StringAttribute { key, values } => {
            spans.iter().filter_map(|span| span.attributes.get(key)).any(|value| values.contains(value))
        }
        Policy::Probabilistic { sampling_percentage } => {
            spans.first().is_some_and(|span| chosen(&span.trace_id, sampling_percentage / 100.0))
        }
    };
    if sampled { Decision::Sampled } else { Decision::NotSampled }
}

/// A trace more, and perhaps the oldest one less.
fn remember(answer: &mut Collected, tail: &Tail, trace_id: &str, now_ms: i64) {
    answer.memory.push(Held { trace_id: trace_id.into(), first_ms: now_ms, decision: None, spans: Vec::new() });
    while answer.memory.len() > tail.num_traces {
        let oldest = answer.memory.remove(0);
        if oldest.decision.is_none() {
            answer.too_early.push(oldest.trace_id);
        }
    }
}
// ANCHOR_END: solution
