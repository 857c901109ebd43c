//! Traces: contexts, trees, critical paths, and who keeps what.

use super::Asked;
use kit_contract::observability::traces::{
    Break, Call, Context, Decision, Hop, Kind, Policy, Row, Section, Span, Status,
};

pub fn traces(asked: &Asked<'_>) -> Option<Vec<String>> {
    match asked.call {
        "extract" => Some(vec![extract(&asked.arg::<String>("traceparent")?, asked.answer::<Context>().as_ref())]),
        "begin" => begin(&asked.arg("call")?, &asked.answer()?),
        "tree" => Some(tree(&asked.arg::<Vec<Span>>("spans")?, &asked.answer::<Vec<Row>>()?)),
        "critical_path" => Some(path(&asked.arg::<Vec<Span>>("spans")?, &asked.answer::<Vec<Section>>()?)),
        "broken" => Some(vec![broken(&asked.arg("hop")?, asked.answer()).into()]),
        "decide" => Some(vec![decide(&asked.arg::<Vec<Policy>>("policies")?, asked.answer()?).into()]),
        _ => None,
    }
}

fn extract(header: &str, said: Option<&Context>) -> String {
    let fields: Vec<&str> = header.split('-').collect();
    let digits = |text: &&str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |text: &str| text.bytes().all(|b| b == b'0');
    if let Some(context) = said {
        let sampled = if context.flags & 1 == 1 { "sampled" } else { "not sampled" };
        let more = if fields.len() > 4 { "; what a later version says behind them is ignored" } else { "" };
        return format!("All four fields are valid, and bit 0 of the flags says {sampled}{more}.");
    }
    let lengths: Vec<usize> = fields.iter().take(4).map(|field| field.len()).collect();
    match fields.as_slice() {
        _ if lengths != [2, 32, 16, 2] => "There must be four fields of 2, 32, 16 and 2 digits.".into(),
        fields if !fields[..4].iter().all(digits) => "Only the digits 0 to 9 and a to f are valid, no capitals.".into(),
        ["ff", ..] => "There is no version ff.".into(),
        [_, trace, span, ..] if zero(trace) || zero(span) => "An id of zeros is no id.".into(),
        _ => "Version 00 ends with the flags.".into(),
    }
}

fn begin(call: &Call, context: &Context) -> Option<Vec<String>> {
    let sampled = if context.flags & 1 == 1 { "kept" } else { "not kept" };
    let whose = match &call.parent {
        Some(_) => "The trace is the caller's, the span its own.",
        None => "Nobody called: a trace begins.",
    };
    let why = match &call.parent {
        Some(_) if call.parent_based => format!("The caller decided that it is {sampled}."),
        _ => {
            let last = context.trace_id.get(16..)?;
            let share = u64::from_str_radix(last, 16).ok()? as f64 / 2f64.powi(64);
            format!("The last 16 digits are at {share:.3} of all, and the ratio is {}: {sampled}.", call.ratio)
        }
    };
    Some(vec![whose.into(), why])
}

fn tree(spans: &[Span], rows: &[Row]) -> Vec<String> {
    let find = |id: &str| spans.iter().find(|span| span.span_id == id);
    let mut said: Vec<String> = Vec::new();
    for row in rows {
        let Some(span) = find(&row.span_id) else { continue };
        if row.orphan {
            said.push(format!("The parent of {} isn't there.", row.span_id));
        }
        let parent = span.parent_span_id.as_deref().and_then(find);
        if let Some(parent) = parent.filter(|parent| row.skew_us != 0 && parent.host != span.host) {
            said.push(format!("{} doesn't lie within {}, which is of another host.", row.span_id, parent.span_id));
        }
    }
    if spans.len() > rows.len() {
        said.push("A span that came twice is one row.".into());
    }
    if said.is_empty() {
        said.push("Each row is below its parent, in order of starts, then of ids.".into());
    }
    said.truncate(4);
    said
}

fn path(spans: &[Span], path: &[Section]) -> Vec<String> {
    let mut said = Vec::new();
    let on = |id: &str| path.iter().any(|section| section.span_id == id);
    for span in spans.iter().filter(|span| span.parent_span_id.is_some() && !on(&span.span_id)) {
        let why = match span.kind {
            Kind::Producer | Kind::Consumer => "nobody waits behind a queue",
            _ if span.start_us == span.end_us => "it has no length",
            _ => continue,
        };
        said.push(format!("{} isn't on it: {why}.", span.span_id));
    }
    if let Some(last) = path.last() {
        said.insert(0, format!("Walk back from the end at {} us, where {} is waited for.", last.to_us, last.span_id));
    }
    said.truncate(4);
    said
}

fn broken(hop: &Hop, found: Option<Break>) -> &'static str {
    let below = hop.callee.trace_id == hop.caller.trace_id && hop.parent_span_id.as_ref() == Some(&hop.caller.span_id);
    match found {
        None if below => "The callee is in the caller's trace, below the caller's span.",
        None => "The callee has a link to the caller's span, as is done behind queues.",
        Some(Break::Resampled) => "It is below the caller, but only one of them is sampled.",
        Some(Break::NotSent) => "It is elsewhere, and there was no header to follow.",
        Some(Break::Invalid) => "It is elsewhere, and the header can't be read.",
        Some(Break::Altered) => "The header names another trace or span than the caller's.",
        Some(Break::Ignored) => "The header is right, and the callee isn't below the caller's span.",
    }
}

fn decide(policies: &[Policy], decision: Decision) -> &'static str {
    let errors = policies
        .iter()
        .any(|policy| matches!(policy, Policy::StatusCode { status_codes } if status_codes.contains(&Status::Error)));
    match decision {
        Decision::Dropped => "All that one drop asks for holds, and drop is stronger than all others.",
        Decision::Sampled => "One policy that wants it is enough, and no drop holds.",
        Decision::NotSampled if policies.is_empty() => "There is no policy, so none wants it.",
        Decision::NotSampled if errors => "No policy wants it: no error, and nothing else that is asked for.",
        Decision::NotSampled => "No policy wants it.",
    }
}
