//! Passes: rows are sorted by the chain of their ancestors, and for each moment of the root it is asked anew who was waited for.

use kit::observability::Traces;
use kit::observability::traces::{
    Break, Call, Collected, Context, Decision, Held, Hop, Kind, Policy, Row, Section, Span, Tail,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Exercise;

type All<'a> = BTreeMap<&'a str, &'a Span>;

fn known(spans: &[Span]) -> All<'_> {
    spans.iter().rev().map(|span| (span.span_id.as_str(), span)).collect()
}

fn parent<'a>(span: &Span, all: &All<'a>) -> Option<&'a Span> {
    all.get(span.parent_span_id.as_deref()?).copied()
}

/// From the top down to the span.
fn chain<'a>(span: &'a Span, all: &All<'a>) -> Vec<&'a Span> {
    let mut chain = vec![span];
    while let Some(above) = parent(chain[chain.len() - 1], all) {
        chain.push(above);
    }
    chain.reverse();
    chain
}

fn skew(chain: &[&Span]) -> i64 {
    chain.windows(2).fold(0, |moved, pair| {
        let (above, below) = (pair[0], pair[1]);
        let window = above.start_us + moved..=above.end_us + moved;
        let longer = (below.end_us - below.start_us) - (above.end_us - above.start_us);
        if above.host == below.host {
            return moved;
        }
        match below.kind {
            Kind::Consumer => 0,
            _ if window.contains(&below.start_us) && window.contains(&below.end_us) => 0,
            _ if longer > 0 => 0.max(window.start() - below.start_us),
            _ => window.start() - longer / 2 - below.start_us,
        }
    })
}

/// Whom a span waits for, each with its times.
fn awaited<'a>(span: &Span, from: i64, to: i64, all: &All<'a>) -> Vec<(&'a Span, i64, i64)> {
    let mut found = Vec::new();
    let mut until = to;
    let below: Vec<&Span> = all.values().copied().filter(|child| child.parent_span_id.as_ref() == Some(&span.span_id)).collect();
    loop {
        let cut = below.iter().filter(|child| !matches!(child.kind, Kind::Consumer | Kind::Producer)).filter_map(|child| {
            let (start, end) = (child.start_us.max(from), child.end_us.min(to));
            (start < end && end <= until).then_some((-end, start, child.span_id.as_str()))
        });
        let Some((end, start, id)) = cut.min() else { return found };
        found.push((all[id], start, -end));
        until = start;
    }
}

fn owner<'a>(span: &'a Span, window: (i64, i64), moment: (i64, i64), all: &All<'a>) -> &'a Span {
    let children = awaited(span, window.0, window.1, all);
    let busy = children.into_iter().find(|(_, start, end)| *start <= moment.0 && moment.1 <= *end);
    busy.map_or(span, |(child, start, end)| owner(child, (start, end), moment, all))
}

fn share(trace_id: &str, of_all: f64) -> bool {
    let id = u128::from_str_radix(trace_id, 16).unwrap_or(0);
    of_all >= 1.0 || {
        (id & 0xffff_ffff_ffff_ffff) < (of_all * 2f64.powi(64)) as u128
    }
}

fn any(spans: &[Span], holds: impl Fn(&Span) -> bool) -> bool {
    !spans.iter().all(|span| !holds(span))
}

fn verdict(policy: &Policy, spans: &[Span]) -> Decision {
    let yes = |holds: bool| if holds { Decision::Sampled } else { Decision::NotSampled };
    let together = |parts: &[Policy]| parts.iter().map(|part| verdict(part, spans)).max() == Some(Decision::Sampled)
        && parts.iter().all(|part| verdict(part, spans) == Decision::Sampled);
    match policy {
        Policy::AlwaysSample => yes(true),
        Policy::StatusCode { status_codes } => yes(any(spans, |span| status_codes.contains(&span.status))),
        Policy::StringAttribute { key, values } => {
            yes(any(spans, |span| span.attributes.get(key).is_some_and(|value| values.contains(value))))
        }
        Policy::Latency { threshold_ms, upper_threshold_ms } => {
            let times: BTreeSet<i64> = spans.iter().flat_map(|span| [span.start_us, span.end_us]).collect();
            let took = times.last().zip(times.first()).map_or(0, |(last, first)| (last - first) / 1000);
            yes(match *upper_threshold_ms {
                0 => *threshold_ms <= took,
                upper => (*threshold_ms + 1..=upper).contains(&took),
            })
        }
        Policy::Probabilistic { sampling_percentage } => yes(share(&spans[0].trace_id, sampling_percentage / 100.0)),
        Policy::And(parts) => yes(together(parts)),
        Policy::Drop(parts) if together(parts) => Decision::Dropped,
        Policy::Drop(_) => Decision::NotSampled,
    }
}

impl Traces for Exercise {
    fn extract(&self, traceparent: &str) -> Option<Context> {
        let mut rest = traceparent;
        let mut fields = Vec::new();
        for (place, many) in [2, 32, 16, 2].into_iter().enumerate() {
            if place > 0 {
                rest = rest.strip_prefix('-')?;
            }
            let field = rest.get(..many)?;
            if field.contains(|c: char| !matches!(c, '0'..='9' | 'a'..='f')) {
                return None;
            }
            fields.push(field);
            rest = &rest[many..];
        }
        let all_zero = |field: &str| field.chars().all(|c| c == '0');
        let bad = fields[0] == "ff" || all_zero(fields[1]) || all_zero(fields[2]);
        let tail = rest.is_empty() || fields[0] != "00" && rest.starts_with('-');
        if bad || !tail {
            return None;
        }
        let flags = u8::from_str_radix(fields[3], 16).ok()?;
        Some(Context { trace_id: fields[1].into(), span_id: fields[2].into(), flags })
    }

    fn begin(&self, call: &Call) -> Context {
        let (trace_id, flags) = match &call.parent {
            Some(parent) => (&parent.trace_id, parent.flags),
            None => (&call.new_trace_id, 0),
        };
        let follows = call.parent_based && call.parent.is_some();
        let bit = if follows { flags & 1 } else { share(trace_id, call.ratio).into() };
        Context { trace_id: trace_id.clone(), span_id: call.new_span_id.clone(), flags: (flags & 0xfe) + bit }
    }

    fn inject(&self, context: &Context) -> String {
        let Context { trace_id, span_id, flags } = context;
        format!("00-{trace_id}-{span_id}-{flags:0>2x}")
    }

    fn tree(&self, spans: &[Span]) -> Vec<Row> {
        let all = known(spans);
        let mut chains: Vec<Vec<&Span>> = all.values().map(|span| chain(span, &all)).collect();
        chains.sort_by_key(|chain| chain.iter().map(|span| (span.start_us, span.span_id.clone())).collect::<Vec<_>>());
        let row = |chain: Vec<&Span>| {
            let span = chain[chain.len() - 1];
            Row {
                span_id: span.span_id.clone(),
                depth: chain.len() as u32 - 1,
                orphan: span.parent_span_id.is_some() && chain.len() == 1,
                skew_us: skew(&chain),
            }
        };
        chains.into_iter().map(row).collect()
    }

    fn critical_path(&self, spans: &[Span]) -> Vec<Section> {
        let all = known(spans);
        let tops = all.values().filter(|span| parent(span, &all).is_none());
        let Some(root) = tops.min_by_key(|span| (span.start_us, &span.span_id)) else { return Vec::new() };
        let times: BTreeSet<i64> = spans.iter().flat_map(|span| [span.start_us, span.end_us]).collect();
        let times: Vec<i64> = times.range(root.start_us..=root.end_us).copied().collect();
        let mut path: Vec<Section> = Vec::new();
        for moment in times.windows(2) {
            let span = owner(root, (root.start_us, root.end_us), (moment[0], moment[1]), &all);
            match path.last_mut() {
                Some(last) if last.span_id == span.span_id => last.to_us = moment[1],
                _ => path.push(Section { span_id: span.span_id.clone(), from_us: moment[0], to_us: moment[1] }),
            }
        }
        path
    }

    fn broken(&self, hop: &Hop) -> Option<Break> {
        let caller = [&hop.caller.trace_id, &hop.caller.span_id];
        let is = |trace, span| [trace, span] == caller;
        let below = hop.parent_span_id.iter().any(|span| is(&hop.callee.trace_id, span));
        let linked = hop.links.iter().any(|link| is(&link.trace_id, &link.span_id));
        let said = hop.header.as_ref().map(|header| self.extract(header));
        match (below, linked, said) {
            (true, _, _) if hop.caller.flags % 2 != hop.callee.flags % 2 => Some(Break::Resampled),
            (true, _, _) | (_, true, _) => None,
            (_, _, None) => Some(Break::NotSent),
            (_, _, Some(None)) => Some(Break::Invalid),
            (_, _, Some(Some(said))) if is(&said.trace_id, &said.span_id) => Some(Break::Ignored),
            _ => Some(Break::Altered),
        }
    }

    fn decide(&self, policies: &[Policy], spans: &[Span]) -> Decision {
        let all: BTreeSet<Decision> = policies.iter().map(|policy| verdict(policy, spans)).collect();
        if all.contains(&Decision::Dropped) {
            return Decision::Dropped;
        }
        all.first().copied().unwrap_or(Decision::NotSampled)
    }

    fn collect(&self, tail: &Tail, memory: &[Held], arrived: &[Span], now_ms: i64) -> Collected {
        let mut answer = Collected::default();
        let mut memory: std::collections::VecDeque<Held> = memory.iter().cloned().collect();
        for span in arrived {
            if memory.iter().all(|held| held.trace_id != span.trace_id) {
                let held = Held { trace_id: span.trace_id.clone(), first_ms: now_ms, decision: None, spans: Vec::new() };
                memory.push_back(held);
                if memory.len() > tail.num_traces {
                    let gone = memory.pop_front().filter(|gone| gone.decision.is_none());
                    answer.too_early.extend(gone.map(|gone| gone.trace_id));
                }
            }
            let Some(held) = memory.iter_mut().find(|held| held.trace_id == span.trace_id) else { continue };
            held.spans.push(span.clone());
            // What was decided holds no spans.
            if let Some(decision) = held.decision {
                let late = std::mem::take(&mut held.spans);
                answer.sent.extend(late.into_iter().filter(|_| decision == Decision::Sampled));
            }
        }
        for mut held in memory {
            if held.decision.is_none() && now_ms >= held.first_ms + tail.decision_wait_ms {
                let spans = std::mem::take(&mut held.spans);
                held.decision = Some(self.decide(&tail.policies, &spans));
                if held.decision == Some(Decision::Sampled) {
                    answer.sent.extend(spans);
                }
            }
            answer.memory.push(held);
        }
        answer
    }
}

kit::exercise!(Exercise: Traces);
