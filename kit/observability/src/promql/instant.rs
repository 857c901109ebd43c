//! Functions of samples of one instant (`promql/functions.go`).

use super::engine::Sample;
use crate::labels::without_name;

/// Each value changed, and none of the metric's name: what is calculated is another metric.
pub(super) fn map(samples: Vec<Sample>, of: impl Fn(f64) -> f64) -> Vec<Sample> {
    let result = samples.into_iter().map(|s| Sample { value: of(s.value), labels: without_name(s.labels) });
    result.collect()
}

/// The function `name` of each sample; `numbers` are its further arguments.
pub(super) fn apply(name: &str, samples: Vec<Sample>, numbers: &[f64]) -> Vec<Sample> {
    if let ("clamp", [min, max]) = (name, numbers)
        && max < min
    {
        return Vec::new();
    }
    match single(name) {
        Some(of) => map(samples, of),
        None => map(samples, |value| with_numbers(name, value, numbers)),
    }
}

fn with_numbers(name: &str, value: f64, numbers: &[f64]) -> f64 {
    match (name, numbers) {
        ("clamp", [min, max]) => larger(*min, smaller(*max, value)),
        ("clamp_min", [min]) => larger(*min, value),
        ("clamp_max", [max]) => smaller(*max, value),
        ("round", []) => (value + 0.5).floor(),
        // Multiplying by the inverse loses less than dividing does.
        ("round", [nearest]) => (value * (1.0 / nearest) + 0.5).floor() / (1.0 / nearest),
        _ => f64::NAN,
    }
}

fn single(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "acos" => f64::acos,
        "acosh" => f64::acosh,
        "asin" => f64::asin,
        "asinh" => f64::asinh,
        "atan" => f64::atan,
        "atanh" => f64::atanh,
        "ceil" => f64::ceil,
        "cos" => f64::cos,
        "cosh" => f64::cosh,
        "deg" => f64::to_degrees,
        "exp" => f64::exp,
        "floor" => f64::floor,
        "ln" => f64::ln,
        "log10" => f64::log10,
        "log2" => f64::log2,
        "rad" => f64::to_radians,
        "sgn" => |value| if value == 0.0 || value.is_nan() { value } else { value.signum() },
        "sin" => f64::sin,
        "sinh" => f64::sinh,
        "sqrt" => f64::sqrt,
        "tan" => f64::tan,
        "tanh" => f64::tanh,
        _ => return None,
    })
}

/// Go's maximum: "not a number" wins, where Rust's loses.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

fn smaller(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}
