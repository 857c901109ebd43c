//! Passes: the critical path is painted, each child over its parent; rows are put behind their parents level by level; traces are numbered as they come.

use kit::observability::Traces;
use kit::observability::traces::{
    Break, Call, Collected, Context, Decision, Held, Hop, Kind, Policy, Row, Section, Span, Tail,
};
use std::collections::{BTreeMap, HashMap, HashSet};

#[derive(Default)]
struct Exercise;

/// Reads a header from left to right.
struct Reader<'a>(std::str::Bytes<'a>);

impl Reader<'_> {
    fn digits(&mut self, many: usize) -> Option<String> {
        (0..many).map(|_| self.0.next().filter(|b| b"0123456789abcdef".contains(b)).map(char::from)).collect()
    }

    /// None at the end; otherwise whether it is the one that is wanted.
    fn is(&mut self, wanted: u8) -> Option<bool> {
        self.0.next().map(|b| b == wanted)
    }

    fn id(&mut self, many: usize) -> Option<String> {
        self.is(b'-').filter(|is| *is)?;
        self.digits(many).filter(|id| u128::from_str_radix(id, 16) != Ok(0))
    }
}

/// Who has which part of the time: its start, and with it the end and the owner.
struct Painted<'a>(BTreeMap<i64, (i64, &'a Span)>);

impl<'a> Painted<'a> {
    /// What lies there belongs to one owner, who keeps what is left on both sides.
    fn paint(&mut self, from: i64, to: i64, span: &'a Span) {
        if let Some((start, (end, owner))) = self.0.range(..=from).next_back().map(|(start, rest)| (*start, *rest)) {
            self.0.remove(&start);
            for (start, end) in [(start, from), (to, end)] {
                if start < end {
                    self.0.insert(start, (end, owner));
                }
            }
        }
        self.0.insert(from, (to, span));
    }
}

struct Family<'a> {
    tops: Vec<&'a Span>,
    below: HashMap<&'a str, Vec<&'a Span>>,
}

impl<'a> Family<'a> {
    fn of(spans: &'a [Span]) -> Self {
        let mut seen = HashSet::new();
        let mut all: Vec<&Span> = spans.iter().filter(|span| seen.insert(span.span_id.as_str())).collect();
        all.sort_by(|a, b| a.start_us.cmp(&b.start_us).then_with(|| a.span_id.cmp(&b.span_id)));
        let mut family = Family { tops: Vec::new(), below: HashMap::new() };
        for span in all {
            match span.parent_span_id.as_deref().filter(|parent| seen.contains(parent)) {
                Some(parent) => family.below.entry(parent).or_default().push(span),
                None => family.tops.push(span),
            }
        }
        family
    }

    fn below(&self, span: &Span) -> &[&'a Span] {
        self.below.get(span.span_id.as_str()).map_or(&[], Vec::as_slice)
    }
}

/// The clock of the child's host, when the parent's is behind by so much.
fn behind(parent: &Span, moved: i64, child: &Span) -> i64 {
    let length = |span: &Span| span.end_us - span.start_us;
    let early = parent.start_us + moved - child.start_us;
    let late = child.end_us - (parent.end_us + moved);
    if parent.host == child.host {
        moved
    } else if child.kind == Kind::Consumer || early.max(late) <= 0 {
        0
    } else if length(child) > length(parent) {
        early.max(0)
    } else {
        early + (length(parent) - length(child)).div_euclid(2)
    }
}

fn share(trace_id: &str, ratio: f64) -> bool {
    let half = u128::from_str_radix(trace_id, 16).map_or(u64::MAX, |id| id as u64);
    match ratio {
        1.0.. => true,
        ratio => half < (ratio * u64::MAX as f64) as u64,
    }
}

fn wants(policy: &Policy, spans: &[Span]) -> bool {
    match policy {
        Policy::AlwaysSample => true,
        Policy::Latency { threshold_ms, upper_threshold_ms } => {
            let (first, last) = spans.iter().fold((i64::MAX, i64::MIN), |(first, last), span| {
                (first.min(span.start_us), last.max(span.end_us))
            });
            // Without the upper one there is no end, and the lower one itself is in.
            let took = (last - first) / 1000;
            let (lowest, highest) = match upper_threshold_ms {
                0 => (*threshold_ms, i64::MAX),
                upper => (threshold_ms + 1, *upper),
            };
            lowest <= took && took <= highest
        }
        Policy::StatusCode { status_codes } => status_codes.iter().any(|code| spans.iter().any(|span| span.status == *code)),
        Policy::StringAttribute { key, values } => {
            values.iter().any(|value| spans.iter().any(|span| span.attributes.get(key) == Some(value)))
        }
        Policy::Probabilistic { sampling_percentage } => share(&spans[spans.len() - 1].trace_id, sampling_percentage / 100.0),
        Policy::And(all) | Policy::Drop(all) => !all.iter().any(|policy| !wants(policy, spans)),
    }
}

impl Traces for Exercise {
    fn extract(&self, traceparent: &str) -> Option<Context> {
        let mut reader = Reader(traceparent.bytes());
        let version = reader.digits(2).filter(|version| version != "ff")?;
        let trace_id = reader.id(32)?;
        let span_id = reader.id(16)?;
        reader.is(b'-').filter(|is| *is)?;
        let flags = reader.digits(2)?.chars().filter_map(|digit| digit.to_digit(16)).fold(0, |flags, digit| flags << 4 | digit as u8);
        let fits = match reader.is(b'-') {
            None => true,
            Some(goes_on) => goes_on && version != "00",
        };
        fits.then_some(Context { trace_id, span_id, flags })
    }

    fn begin(&self, call: &Call) -> Context {
        let began = Context { trace_id: call.new_trace_id.clone(), span_id: String::new(), flags: 0 };
        let from = call.parent.as_ref().unwrap_or(&began);
        let asked = !call.parent_based || call.parent.is_none();
        let mut bits: [bool; 8] = std::array::from_fn(|bit| from.flags >> bit & 1 == 1);
        if asked {
            bits[0] = share(&from.trace_id, call.ratio);
        }
        let flags = bits.iter().rev().fold(0, |flags, bit| flags * 2 + u8::from(*bit));
        Context { trace_id: from.trace_id.clone(), span_id: call.new_span_id.clone(), flags }
    }

    fn inject(&self, context: &Context) -> String {
        let flags = format!("{:03x}", u16::from(context.flags) + 0x100);
        ["00", &context.trace_id, &context.span_id, &flags[1..]].join("-")
    }

    fn tree(&self, spans: &[Span]) -> Vec<Row> {
        let family = Family::of(spans);
        let row = |span: &Span, depth, orphan, skew_us| Row { span_id: span.span_id.clone(), depth, orphan, skew_us };
        let mut rows: Vec<Row> = family.tops.iter().map(|top| row(top, 0, top.parent_span_id.is_some(), 0)).collect();
        let mut level = family.tops.clone();
        while !level.is_empty() {
            let mut next = Vec::new();
            for parent in level {
                let Some(place) = rows.iter().position(|row| row.span_id == parent.span_id) else { continue };
                let (depth, skew) = (rows[place].depth, rows[place].skew_us);
                for child in family.below(parent).iter().rev() {
                    rows.insert(place + 1, row(child, depth + 1, false, behind(parent, skew, child)));
                    next.push(*child);
                }
            }
            level = next;
        }
        rows
    }

    fn critical_path(&self, spans: &[Span]) -> Vec<Section> {
        let family = Family::of(spans);
        let mut painted = Painted(BTreeMap::new());
        let mut open: Vec<(&Span, i64, i64)> = family.tops.iter().take(1).map(|top| (*top, top.start_us, top.end_us)).collect();
        while let Some((span, from, to)) = open.pop() {
            if from >= to {
                continue;
            }
            painted.paint(from, to, span);
            let mut children: Vec<(i64, i64, &Span)> = family
                .below(span)
                .iter()
                .filter(|child| child.kind != Kind::Producer && child.kind != Kind::Consumer)
                .map(|child| (child.end_us.min(to), child.start_us.max(from), *child))
                .filter(|(end, start, _)| start < end)
                .collect();
            children.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.span_id.cmp(&b.2.span_id)));
            let mut now = to;
            for (end, start, child) in children {
                if end <= now {
                    open.push((child, start, end));
                    now = start;
                }
            }
        }
        let section = |(from_us, (to_us, span)): (i64, (i64, &Span))| Section { span_id: span.span_id.clone(), from_us, to_us };
        painted.0.into_iter().map(section).collect()
    }

    fn broken(&self, hop: &Hop) -> Option<Break> {
        let caller = format!("{} {}", hop.caller.trace_id, hop.caller.span_id);
        let parent = hop.parent_span_id.as_ref().map(|parent| format!("{} {parent}", hop.callee.trace_id));
        let links: Vec<String> = hop.links.iter().map(|link| format!("{} {}", link.trace_id, link.span_id)).collect();
        if parent.as_ref() == Some(&caller) {
            let sampled = [&hop.caller, &hop.callee].map(|context| context.flags & 1);
            return Some(Break::Resampled).filter(|_| sampled[0] != sampled[1]);
        }
        if links.contains(&caller) {
            return None;
        }
        let found = hop.header.as_ref().ok_or(Break::NotSent).and_then(|header| self.extract(header).ok_or(Break::Invalid));
        Some(match found.map(|said| format!("{} {}", said.trace_id, said.span_id)) {
            Err(lost) => lost,
            Ok(said) if said == caller => Break::Ignored,
            Ok(_) => Break::Altered,
        })
    }

    fn decide(&self, policies: &[Policy], spans: &[Span]) -> Decision {
        let mut decision = Decision::NotSampled;
        for policy in policies.iter().filter(|policy| wants(policy, spans)) {
            if let Policy::Drop(_) = policy {
                return Decision::Dropped;
            }
            decision = Decision::Sampled;
        }
        decision
    }

    fn collect(&self, tail: &Tail, memory: &[Held], arrived: &[Span], now_ms: i64) -> Collected {
        let (mut sent, mut too_early) = (Vec::new(), Vec::new());
        // By number, the oldest first; and the number of each trace.
        let mut held: BTreeMap<usize, Held> = memory.iter().cloned().enumerate().collect();
        let mut numbers: HashMap<String, usize> = held.iter().map(|(number, held)| (held.trace_id.clone(), *number)).collect();
        let mut next = held.len();
        for span in arrived {
            let number = *numbers.entry(span.trace_id.clone()).or_insert(next);
            if number == next {
                next += 1;
                if held.len() == tail.num_traces {
                    let Some((_, oldest)) = held.pop_first() else { continue };
                    numbers.remove(&oldest.trace_id);
                    if oldest.decision.is_none() {
                        too_early.push(oldest.trace_id);
                    }
                }
                let new = Held { trace_id: span.trace_id.clone(), first_ms: now_ms, decision: None, spans: Vec::new() };
                held.insert(number, new);
            }
            match held.get_mut(&number) {
                Some(Held { decision: None, spans, .. }) => spans.push(span.clone()),
                Some(Held { decision: Some(Decision::Sampled), .. }) => sent.push(span.clone()),
                _ => {}
            }
        }
        for held in held.values_mut().filter(|held| held.decision.is_none()) {
            if now_ms - tail.decision_wait_ms >= held.first_ms {
                let spans: Vec<Span> = held.spans.drain(..).collect();
                held.decision = Some(self.decide(&tail.policies, &spans));
                sent.extend(spans.into_iter().filter(|_| held.decision == Some(Decision::Sampled)));
            }
        }
        Collected { memory: held.into_values().collect(), sent, too_early }
    }
}

kit::exercise!(Exercise: Traces);
