//! Headers of traces, and which are kept.

use super::{labels, text};
use crate::conformance::pure::compare;
use kit_contract::observability::Traces;
use kit_contract::observability::traces::{Call, Context};
use kit_observability::trace::baggage as carried;
use kit_observability::trace::context::SpanContext;
use kit_observability::trace::sampling::{Root, bound};
use serde_json::{Value, json};
use solutions::observability::traces::Exercise;
use std::collections::BTreeMap;

/// One value or several of a header.
fn header<'a>(case: &'a Value, name: &str) -> Vec<&'a str> {
    match &case["headers"][name] {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

pub fn traceparent(case: &Value) -> Result<(), String> {
    let parents = header(case, "traceparent");
    let context = SpanContext::extract(&parents, &header(case, "tracestate"));
    // The SDK trims what it reads, and limits it; the exercise asks for the text of the header itself.
    if let [parent] = parents[..]
        && !parent.contains([' ', '\t'])
    {
        let said = Exercise.extract(parent);
        let wanted = context.as_ref().map(|context| Context {
            trace_id: format!("{:032x}", context.trace_id),
            span_id: format!("{:016x}", context.span_id),
            flags: context.flags,
        });
        if said != wanted {
            return Err(format!("{parent}: expected {wanted:?}, got {said:?}"));
        }
    }
    let Some(context) = context else { return compare(case, json!({"context": null, "injectedAgain": null})) };
    let state: BTreeMap<_, _> = context.state.iter().cloned().collect();
    let mut injected = json!({"traceparent": context.parent_header()});
    if let Some(state) = context.state_header() {
        injected["tracestate"] = state.into();
    }
    let got = json!({
        "context": {
            "traceId": format!("{:032x}", context.trace_id), "spanId": format!("{:016x}", context.span_id),
            "flags": format!("{:02x}", context.flags), "sampled": context.sampled(), "tracestate": state, "remote": true,
        },
        "injectedAgain": injected,
    });
    compare(case, got)
}

pub fn baggage(case: &Value) -> Result<(), String> {
    let header = text(case, "header")?;
    // A long header stands there by its beginning, and its length.
    let full = match header.split_once(",... (") {
        Some((start, length)) => {
            let length: usize = length.trim_end_matches(" characters)").parse().map_err(|_| "no length")?;
            let last = start.rsplit(',').next().unwrap_or_default();
            let more = (length - start.len()) / (last.len() + 1);
            format!("{start}{}", format!(",{last}").repeat(more))
        }
        None => header.into(),
    };
    let entries = carried::extract(&full);
    let injected = carried::inject(&entries);
    let entries: BTreeMap<_, _> = entries.into_iter().collect();
    if entries != labels(&case["entries"]) {
        return Err(format!("{header}: expected {}, got {entries:?}", case["entries"]));
    }
    compare(case, json!({"injected": injected}))
}

pub fn head_sampling(case: &Value) -> Result<(), String> {
    let id = u128::from_str_radix(text(case, "traceId")?, 16).map_err(|error| error.to_string())?;
    let Some(ratio) = case["ratio"].as_f64() else {
        let root = match text(case, "root")? {
            "always_on" => Root::AlwaysOn,
            "always_off" => Root::AlwaysOff,
            other => Root::Ratio(other.trim_start_matches("ratio ").parse().map_err(|_| "no ratio")?),
        };
        let parent = case["parent"].as_str().map(|parent| parent.ends_with("-sampled"));
        return compare(case, json!({"sampled": root.samples_under(parent, id)}));
    };
    let new_trace_id = text(case, "traceId")?.to_string();
    let call = Call { parent: None, new_trace_id, new_span_id: "1".repeat(16), ratio, parent_based: true };
    let begun = Exercise.begin(&call);
    if Some(begun.flags == 1) != case["sampled"].as_bool() {
        return Err(format!("a ratio of {ratio}: expected {}, got {begun:?}", case["sampled"]));
    }
    let low = id & u128::from(u64::MAX);
    let got = json!({
        "bound": bound(ratio).to_string(), "low64": low.to_string(), "sampled": Root::Ratio(ratio).samples(id),
    });
    compare(case, got)
}
