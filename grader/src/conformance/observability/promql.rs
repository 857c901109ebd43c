//! Expressions over series.

use super::{labels, list, milliseconds, number, same, text};
use kit_observability::labels::Labels;
use kit_observability::promql::{Engine, Error, Sample, parse};
use kit_observability::storage::Storage;
use serde_json::Value;
use solutions::observability::metrics::Exercise;

/// promtool evaluates rules each minute, and loads samples up to the last time at which it does.
const EVALUATION_INTERVAL: i64 = 60_000;

/// The series of a case, up to a time.
pub fn storage(case: &Value, until: i64) -> Result<Storage, String> {
    let interval = milliseconds(case, "interval")?;
    let mut storage = Storage::default();
    for series in list(case, "series") {
        let loaded = storage.load(text(series, "series")?, text(series, "values")?, interval, until);
        loaded.map_err(|error| error.to_string())?;
    }
    Ok(storage)
}

fn evaluate(case: &Value) -> Result<Result<Vec<Sample>, Error>, String> {
    let time = milliseconds(case, "evalTime")?;
    let storage = storage(case, time - time % EVALUATION_INTERVAL)?;
    let engine = Engine { storage: &storage, default_step: EVALUATION_INTERVAL, functions: &Exercise };
    let value = parse(text(case, "expr")?).and_then(|expr| engine.query(&expr, time));
    Ok(value.map(|value| value.into_vector()))
}

pub fn promql(case: &Value) -> Result<(), String> {
    let got = evaluate(case)?;
    let wrong = |expected: String, got: String| {
        Err(format!("{} at {}: expected {expected}, got {got}", case["expr"], case["evalTime"]))
    };
    // The words of an error are not compared: a parser may find another mistake first.
    let mut samples = match (got, case.get("error")) {
        (Err(_), Some(_)) => return Ok(()),
        (Err(error), None) => return wrong(case["result"].to_string(), error.to_string()),
        (Ok(samples), Some(error)) => return wrong(error.to_string(), format!("{samples:?}")),
        (Ok(samples), None) => samples,
    };
    samples.sort_by(|a, b| a.labels.cmp(&b.labels));
    let expected = list(case, "result").iter().map(|sample| Ok((labels(&sample["labels"]), number(&sample["value"])?)));
    let mut expected: Vec<(Labels, f64)> = expected.collect::<Result<_, String>>()?;
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    let equal =
        |(sample, (labels, value)): (&Sample, &(Labels, f64))| sample.labels == *labels && same(sample.value, *value);
    if samples.len() == expected.len() && samples.iter().zip(&expected).all(equal) {
        return Ok(());
    }
    wrong(format!("{expected:?}"), format!("{samples:?}"))
}
