//! Who gets which address.

use kit_network::ipam::cidr::Cidr;
use kit_network::ipam::host_local::{HostLocal, RangeConfig};
use kit_network::ipam::node_ranges::NodeRanges;
use serde_json::{Value, json};

/// An answer, or the error that there is instead, as recorded steps have it.
fn same(step: usize, expected: &Value, field: &str, answer: Result<Value, String>) -> Result<(), String> {
    let (expected, answer) = match (expected.get("error"), answer) {
        (Some(error), answer) => (error.clone(), answer.err().map_or(Value::Null, Value::from)),
        (None, Ok(answer)) => (expected.get(field).cloned().unwrap_or_default(), answer),
        (None, Err(error)) => (expected.get(field).cloned().unwrap_or_default(), error.into()),
    };
    if expected == answer { Ok(()) } else { Err(format!("step {}: expected {expected}, got {answer}", step + 1)) }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn steps(case: &Value) -> impl Iterator<Item = (usize, &Value)> {
    case["steps"].as_array().into_iter().flatten().enumerate()
}

pub fn node_cidrs(case: &Value) -> Result<(), String> {
    let prefix = case["nodeMaskSize"].as_u64().and_then(|prefix| u8::try_from(prefix).ok()).ok_or("no prefix")?;
    let mut ranges = NodeRanges::new(text(case, "clusterCIDR").parse()?, prefix)?;
    for (at, step) in steps(case) {
        let cidr = |field: &str| text(step, field).parse::<Cidr>();
        let answer = if step.get("allocateNext").is_some() {
            ranges.allocate_next().map(|range| range.to_string().into())
        } else if step.get("occupy").is_some() {
            ranges.occupy(cidr("occupy")?).map(|()| Value::Null)
        } else {
            ranges.release(cidr("release")?).map(|()| Value::Null)
        };
        same(at, step, "cidr", answer)?;
    }
    Ok(())
}

pub fn host_local(case: &Value) -> Result<(), String> {
    let ranges: Vec<RangeConfig> = serde_json::from_value(case["ranges"].clone()).map_err(|e| e.to_string())?;
    let mut node = match HostLocal::new(&ranges) {
        Ok(node) => node,
        Err(error) => return same(0, case, "canonical", Err(error)),
    };
    let canonical = node.ranges().iter().map(|range| {
        json!({
            "gateway": range.gateway, "rangeEnd": range.end, "rangeStart": range.start, "subnet": range.subnet.to_string(),
        })
    });
    same(0, case, "canonical", Ok(canonical.collect()))?;
    for (at, step) in steps(case) {
        if step.get("release").is_some() {
            node.release(text(step, "release"));
            continue;
        }
        let requested = step["requested"].as_str().map(str::parse).transpose().map_err(|_| "no address")?;
        let lease = node.allocate(text(step, "allocate"), requested);
        same(at, step, "address", lease.as_ref().map(|lease| lease.address.to_string().into()).map_err(Clone::clone))?;
        if let Ok(lease) = lease {
            same(at, step, "gateway", Ok(lease.gateway.to_string().into()))?;
        }
    }
    Ok(())
}
