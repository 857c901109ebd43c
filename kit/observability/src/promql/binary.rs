//! Operators between two results (`promql/engine.go`, VectorBinop and its neighbours).

use super::Error;
use super::ast::{BinaryOp, Cardinality, Matching};
use super::engine::{Sample, Value, fail};
use crate::labels::{self, Labels, METRIC_NAME, without_name};
use std::collections::{BTreeMap, BTreeSet};

/// `left op right`.
pub(super) fn apply(
    op: BinaryOp,
    left: Value,
    right: Value,
    return_bool: bool,
    matching: &Matching,
) -> Result<Value, Error> {
    Ok(match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => Value::Scalar(match operate(op, left, right) {
            Outcome::Value(value) => value,
            Outcome::Holds(holds) => f64::from(u8::from(holds)),
        }),
        (Value::Vector(left), Value::Scalar(right)) => {
            Value::Vector(with_scalar(op, left, return_bool, |value| operate(op, value, right)))
        }
        (Value::Scalar(left), Value::Vector(right)) => {
            Value::Vector(with_scalar(op, right, return_bool, |value| operate(op, left, value)))
        }
        (Value::Vector(left), Value::Vector(right)) if op.is_set() => Value::Vector(set(op, left, right, matching)),
        (Value::Vector(left), Value::Vector(right)) => Value::Vector(vectors(op, left, right, return_bool, matching)?),
    })
}

enum Outcome {
    Value(f64),
    Holds(bool),
}

fn operate(op: BinaryOp, left: f64, right: f64) -> Outcome {
    Outcome::Value(match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        BinaryOp::Equal => return Outcome::Holds(left == right),
        BinaryOp::NotEqual => return Outcome::Holds(left != right),
        BinaryOp::Less => return Outcome::Holds(left < right),
        BinaryOp::LessOrEqual => return Outcome::Holds(left <= right),
        BinaryOp::Greater => return Outcome::Holds(left > right),
        BinaryOp::GreaterOrEqual => return Outcome::Holds(left >= right),
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => f64::NAN,
    })
}

/// What a calculation yields is another metric; a filter keeps it. `atan2` keeps the name in 2.42.
fn drops_name(op: BinaryOp) -> bool {
    !op.is_comparison() && op != BinaryOp::Atan2
}

fn with_scalar(op: BinaryOp, samples: Vec<Sample>, return_bool: bool, of: impl Fn(f64) -> Outcome) -> Vec<Sample> {
    let result = samples.into_iter().filter_map(|sample| {
        let value = match of(sample.value) {
            Outcome::Value(value) => value,
            Outcome::Holds(holds) if return_bool => f64::from(u8::from(holds)),
            Outcome::Holds(true) => sample.value,
            Outcome::Holds(false) => return None,
        };
        let labels = if drops_name(op) || return_bool { without_name(sample.labels) } else { sample.labels };
        Some(Sample { labels, value })
    });
    result.collect()
}

/// What must be equal on both sides.
fn signature(labels: &Labels, matching: &Matching) -> Labels {
    let mut signature = labels.clone();
    signature.retain(|name, _| {
        let named = matching.labels.contains(name);
        if matching.on { named } else { !named && name != METRIC_NAME }
    });
    signature
}

fn set(op: BinaryOp, left: Vec<Sample>, right: Vec<Sample>, matching: &Matching) -> Vec<Sample> {
    let signatures = |samples: &[Sample]| -> BTreeSet<Labels> {
        samples.iter().map(|sample| signature(&sample.labels, matching)).collect()
    };
    let among = |sample: &Sample, others: &BTreeSet<Labels>| others.contains(&signature(&sample.labels, matching));
    match op {
        BinaryOp::Or => {
            let there = signatures(&left);
            let more = right.into_iter().filter(|sample| !among(sample, &there));
            left.into_iter().chain(more).collect()
        }
        _ => {
            let others = signatures(&right);
            let wanted = op == BinaryOp::And;
            left.into_iter().filter(|sample| among(sample, &others) == wanted).collect()
        }
    }
}

fn vectors(
    op: BinaryOp,
    left: Vec<Sample>,
    right: Vec<Sample>,
    return_bool: bool,
    matching: &Matching,
) -> Result<Vec<Sample>, Error> {
    if left.is_empty() || right.is_empty() {
        return Ok(Vec::new());
    }
    let swapped = matching.card == Cardinality::OneToMany;
    let (many, one, side) = if swapped { (right, left, "left") } else { (left, right, "right") };
    let mut ones: BTreeMap<Labels, &Sample> = BTreeMap::new();
    for sample in &one {
        let signature = signature(&sample.labels, matching);
        if let Some(other) = ones.insert(signature.clone(), sample) {
            return fail(format!(
                "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}]\
                 ;many-to-many matching not allowed: matching labels must be unique on one side",
                show(&signature),
                show(&sample.labels),
                show(&other.labels),
            ));
        }
    }
    let mut matched: BTreeMap<Labels, BTreeSet<Labels>> = BTreeMap::new();
    let mut result = Vec::new();
    for sample in &many {
        let signature = signature(&sample.labels, matching);
        let Some(partner) = ones.get(&signature) else { continue };
        let (a, b) = if swapped { (partner.value, sample.value) } else { (sample.value, partner.value) };
        let value = match operate(op, a, b) {
            Outcome::Value(value) => value,
            Outcome::Holds(holds) if return_bool => f64::from(u8::from(holds)),
            Outcome::Holds(true) => a,
            Outcome::Holds(false) => continue,
        };
        let mut labels = result_labels(&sample.labels, &partner.labels, op, matching);
        if return_bool {
            labels = without_name(labels);
        }
        let seen = matched.entry(signature).or_default();
        if matching.card == Cardinality::OneToOne && !seen.is_empty() {
            return fail("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)");
        }
        if !seen.insert(labels.clone()) {
            return fail("multiple matches for labels: grouping labels must ensure unique matches");
        }
        result.push(Sample { labels, value });
    }
    Ok(result)
}

fn result_labels(many: &Labels, one: &Labels, op: BinaryOp, matching: &Matching) -> Labels {
    let mut labels = many.clone();
    if drops_name(op) {
        labels.remove(METRIC_NAME);
    }
    if matching.card == Cardinality::OneToOne {
        labels.retain(|name, _| matching.labels.contains(name) == matching.on);
    }
    for name in &matching.include {
        labels::set(&mut labels, name, labels::value(one, name));
    }
    labels
}

fn show(labels: &Labels) -> String {
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}
