//! Passes: nothing calls itself for a span; the tree is a stack of work, the path a list of what is left to walk, and policies are counted.

use kit::observability::Traces;
use kit::observability::traces::{
    Break, Call, Collected, Context, Decision, Held, Hop, Kind, Policy, Row, Section, Span, Tail,
};

#[derive(Default)]
struct Exercise;

/// What is still to be put on the path, the next one last.
enum Work<'a> {
    /// A span between two times.
    Walk(&'a Span, i64, i64, i64),
    Own(&'a Span, i64, i64),
}

fn unique(spans: &[Span]) -> Vec<Span> {
    let mut all: Vec<Span> = spans.to_vec();
    for place in (1..all.len()).rev() {
        if all[..place].iter().any(|earlier| earlier.span_id == all[place].span_id) {
            all.remove(place);
        }
    }
    all.sort_by(|a, b| (a.start_us, a.span_id.as_str()).cmp(&(b.start_us, b.span_id.as_str())));
    all
}

fn is_top(span: &Span, all: &[Span]) -> bool {
    match &span.parent_span_id {
        None => true,
        Some(parent) => !all.iter().any(|other| &other.span_id == parent),
    }
}

fn is_child(child: &Span, parent: &Span) -> bool {
    child.parent_span_id.as_deref() == Some(parent.span_id.as_str())
}

fn in_share(trace_id: &str, share: f64) -> bool {
    let mut number: u64 = 0;
    for digit in trace_id.bytes().skip(16) {
        number = number << 4 | u64::from(char::from(digit).to_digit(16).unwrap_or(0));
    }
    if share >= 1.0 { true } else { number < (share * 2f64.powi(64)) as u64 }
}

fn simple(policy: &Policy, spans: &[Span]) -> bool {
    match policy {
        Policy::AlwaysSample => true,
        Policy::Latency { threshold_ms: lower, upper_threshold_ms: upper } => {
            let mut ends: Vec<i64> = spans.iter().map(|span| span.end_us).collect();
            let mut starts: Vec<i64> = spans.iter().map(|span| span.start_us).collect();
            ends.sort();
            starts.sort();
            let took = (ends[ends.len() - 1] - starts[0]) / 1000;
            (*upper == 0 && took >= *lower) || (*upper != 0 && took > *lower && took <= *upper)
        }
        Policy::StatusCode { status_codes } => {
            spans.iter().filter(|span| status_codes.iter().any(|code| *code == span.status)).count() > 0
        }
        Policy::StringAttribute { key, values } => {
            let mut found = false;
            for span in spans {
                for (name, value) in &span.attributes {
                    found |= name == key && values.iter().any(|wanted| wanted == value);
                }
            }
            found
        }
        Policy::Probabilistic { sampling_percentage } => in_share(&spans[0].trace_id, sampling_percentage / 100.0),
        Policy::And(_) | Policy::Drop(_) => false,
    }
}

impl Traces for Exercise {
    fn extract(&self, traceparent: &str) -> Option<Context> {
        let fields: Vec<&str> = traceparent.split('-').collect();
        let lengths: Vec<usize> = fields.iter().map(|field| field.len()).collect();
        if fields.len() < 4 || lengths[..4] != [2, 32, 16, 2] {
            return None;
        }
        let good = fields[..4].concat().chars().all(|c| "0123456789abcdef".contains(c));
        let zero = fields[1].trim_matches('0').is_empty() || fields[2].trim_matches('0').is_empty();
        let known = match fields[0] {
            "00" => fields.len() == 4,
            "ff" => false,
            _ => true,
        };
        if !good || zero || !known {
            return None;
        }
        let nibble = |at: usize| fields[3].as_bytes().get(at).and_then(|b| char::from(*b).to_digit(16));
        let flags = (nibble(0)? * 16 + nibble(1)?) as u8;
        Some(Context { trace_id: fields[1].to_string(), span_id: fields[2].to_string(), flags })
    }

    fn begin(&self, call: &Call) -> Context {
        let mut context = call.parent.clone().unwrap_or(Context {
            trace_id: call.new_trace_id.clone(),
            span_id: String::new(),
            flags: 0,
        });
        context.span_id = call.new_span_id.clone();
        if call.parent.is_none() || !call.parent_based {
            let keeps = in_share(&context.trace_id, call.ratio);
            context.flags = if keeps { context.flags | 1 } else { context.flags & 254 };
        }
        context
    }

    fn inject(&self, context: &Context) -> String {
        let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
        format!("00-{}-{}-{}{}", context.trace_id, context.span_id, digit(context.flags >> 4), digit(context.flags & 15))
    }

    fn tree(&self, spans: &[Span]) -> Vec<Row> {
        let all = unique(spans);
        let mut work: Vec<(&Span, u32, i64)> = all.iter().filter(|span| is_top(span, &all)).rev().map(|span| (span, 0, 0)).collect();
        let mut rows = Vec::new();
        while let Some((span, depth, skew_us)) = work.pop() {
            let orphan = depth == 0 && span.parent_span_id.is_some();
            rows.push(Row { span_id: span.span_id.clone(), depth, orphan, skew_us });
            for child in all.iter().rev().filter(|child| is_child(child, span)) {
                let early = span.start_us + skew_us - child.start_us;
                let late = child.end_us - span.end_us - skew_us;
                // Both together are how much longer the child is.
                let skew = if child.host == span.host {
                    skew_us
                } else if child.kind == Kind::Consumer || early <= 0 && late <= 0 {
                    0
                } else if early + late > 0 {
                    early.max(0)
                } else {
                    early + (-early - late) / 2
                };
                work.push((child, depth + 1, skew));
            }
        }
        rows
    }

    fn critical_path(&self, spans: &[Span]) -> Vec<Section> {
        let all = unique(spans);
        let Some(root) = all.iter().find(|span| is_top(span, &all)) else { return Vec::new() };
        let mut work = vec![Work::Walk(root, root.start_us, root.end_us, root.end_us)];
        let mut path: Vec<Section> = Vec::new();
        while let Some(next) = work.pop() {
            match next {
                Work::Own(span, from_us, to_us) => {
                    if to_us > from_us {
                        path.insert(0, Section { span_id: span.span_id.clone(), from_us, to_us });
                    }
                }
                Work::Walk(span, from, to, now) => {
                    let mut best: Option<(&Span, i64, i64)> = None;
                    for child in all.iter().filter(|child| is_child(child, span)) {
                        if [Kind::Producer, Kind::Consumer].contains(&child.kind) {
                            continue;
                        }
                        let (start, end) = (child.start_us.max(from), child.end_us.min(to));
                        if start >= end || end > now {
                            continue;
                        }
                        let better = match best {
                            None => true,
                            Some((_, _, other)) if end != other => end > other,
                            Some((_, other, _)) if start != other => start < other,
                            Some((other, _, _)) => child.span_id < other.span_id,
                        };
                        if better {
                            best = Some((child, start, end));
                        }
                    }
                    match best {
                        None => work.push(Work::Own(span, from, now)),
                        Some((child, start, end)) => {
                            work.push(Work::Walk(span, from, to, start));
                            work.push(Work::Walk(child, start, end, end));
                            work.push(Work::Own(span, end, now));
                        }
                    }
                }
            }
        }
        path
    }

    fn broken(&self, hop: &Hop) -> Option<Break> {
        let same_trace = hop.callee.trace_id == hop.caller.trace_id;
        if same_trace && hop.parent_span_id.as_ref() == Some(&hop.caller.span_id) {
            return if (hop.caller.flags & 1) == (hop.callee.flags & 1) { None } else { Some(Break::Resampled) };
        }
        for link in &hop.links {
            if link.trace_id == hop.caller.trace_id && link.span_id == hop.caller.span_id {
                return None;
            }
        }
        if hop.header.is_none() {
            return Some(Break::NotSent);
        }
        let said = hop.header.as_ref().and_then(|header| self.extract(header));
        Some(match said {
            None => Break::Invalid,
            Some(said) if said.trace_id == hop.caller.trace_id && said.span_id == hop.caller.span_id => Break::Ignored,
            Some(_) => Break::Altered,
        })
    }

    fn decide(&self, policies: &[Policy], spans: &[Span]) -> Decision {
        let (mut dropped, mut sampled) = (0, 0);
        for policy in policies {
            match policy {
                Policy::Drop(parts) if !parts.iter().any(|part| !simple(part, spans)) => dropped += 1,
                Policy::Drop(_) => {}
                Policy::And(parts) if parts.iter().filter(|part| simple(part, spans)).count() == parts.len() => sampled += 1,
                other if simple(other, spans) => sampled += 1,
                _ => {}
            }
        }
        match (dropped, sampled) {
            (0, 0) => Decision::NotSampled,
            (0, _) => Decision::Sampled,
            _ => Decision::Dropped,
        }
    }

    fn collect(&self, tail: &Tail, memory: &[Held], arrived: &[Span], now_ms: i64) -> Collected {
        let mut all = Collected { memory: memory.to_vec(), sent: Vec::new(), too_early: Vec::new() };
        for span in arrived {
            let known = all.memory.iter().any(|held| held.trace_id == span.trace_id);
            if !known {
                all.memory.push(Held { trace_id: span.trace_id.clone(), first_ms: now_ms, decision: None, spans: Vec::new() });
                let over = all.memory.len().saturating_sub(tail.num_traces);
                for gone in all.memory.drain(..over).collect::<Vec<_>>() {
                    if gone.decision.is_none() {
                        all.too_early.push(gone.trace_id);
                    }
                }
            }
            for held in all.memory.iter_mut().filter(|held| held.trace_id == span.trace_id) {
                match held.decision {
                    None => held.spans.push(span.clone()),
                    Some(Decision::Sampled) => all.sent.push(span.clone()),
                    Some(Decision::NotSampled | Decision::Dropped) => {}
                }
            }
        }
        let mut memory = Vec::new();
        for held in all.memory {
            if held.decision.is_some() || now_ms < held.first_ms + tail.decision_wait_ms {
                memory.push(held);
                continue;
            }
            let decision = self.decide(&tail.policies, &held.spans);
            if decision == Decision::Sampled {
                all.sent.extend(held.spans.iter().cloned());
            }
            memory.push(Held { decision: Some(decision), spans: Vec::new(), ..held });
        }
        Collected { memory, ..all }
    }
}

kit::exercise!(Exercise: Traces);
