//! Tables of pure functions: each check reads a case, asks `kit-api` and compares.

use super::Check;
use kit_api::int_or_percent::{IntOrString, Round, scaled};
use kit_api::{Quantity, safe_encode, toleration};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    Some(match table {
        "intstr_scaled" => intstr_scaled,
        "quantity_arithmetic" => quantity_arithmetic,
        "quantity_parse" => quantity_parse,
        "safe_encode_string" => safe_encode_string,
        "toleration_tolerates_taint" => toleration_tolerates_taint,
        _ => return None,
    })
}

/// A field of a case as a type.
pub fn field<T: DeserializeOwned>(case: &Value, name: &str) -> Result<T, String> {
    serde_json::from_value(case[name].clone()).map_err(|e| format!("the case's `{name}`: {e}"))
}

/// Compares each field of `answers` with the case's field of that name; `null` and nothing are the same.
pub fn compare(case: &Value, answers: Value) -> Result<(), String> {
    for (name, got) in answers.as_object().into_iter().flatten() {
        let expected = &case[name.as_str()];
        if expected != got {
            return Err(format!("{name}: expected {expected}, got {got} · {}", input(case)));
        }
    }
    Ok(())
}

/// The start of a case, to find it by.
fn input(case: &Value) -> String {
    case.to_string().chars().take(160).collect()
}

fn intstr_scaled(case: &Value) -> Result<(), String> {
    let value: IntOrString = field(case, "value")?;
    let total = field(case, "total")?;
    let (up, down) = (scaled(&value, total, Round::Up), scaled(&value, total, Round::Down));
    compare(case, json!({ "errorUp": up.as_ref().err(), "roundUp": up.as_ref().unwrap_or(&0) }))?;
    match case.get("roundDown") {
        Some(_) => compare(case, json!({ "errorDown": down.as_ref().err(), "roundDown": down.as_ref().unwrap_or(&0) })),
        None => Ok(()),
    }
}

fn quantity_parse(case: &Value) -> Result<(), String> {
    let text: String = field(case, "in")?;
    match text.parse::<Quantity>() {
        Err(error) => compare(case, json!({ "error": error.to_string() })),
        Ok(quantity) => compare(
            case,
            json!({
                "error": null,
                "string": quantity.to_string(),
                "value": quantity.value().to_string(),
                "milliValue": quantity.milli_value().to_string(),
                "format": quantity.format().to_string(),
                "sign": quantity.sign(),
                "isZero": quantity.is_zero(),
                "json": json!(quantity.to_string()).to_string(),
            }),
        )
        .and_then(|()| {
            let (expected, got): (f64, f64) = (field(case, "approxFloat")?, quantity.approximate_f64());
            if expected == got { Ok(()) } else { Err(format!("approxFloat: expected {expected}, got {got} · {text}")) }
        }),
    }
}

fn quantity_arithmetic(case: &Value) -> Result<(), String> {
    let parse = |name| field::<String>(case, name)?.parse::<Quantity>().map_err(|e| format!("{name}: {e}"));
    let (a, b) = (parse("a")?, parse("b")?);
    let (mut sum, mut difference) = (a.clone(), a.clone());
    sum.add(&b);
    difference.sub(&b);
    compare(case, json!({ "add": sum.to_string(), "sub": difference.to_string(), "cmp": a.cmp(&b) as i32 }))
}

fn safe_encode_string(case: &Value) -> Result<(), String> {
    let number: u32 = field(case, "uint32")?;
    compare(case, json!({ "encoded": safe_encode::safe_encode(&number.to_string()) }))
}

fn toleration_tolerates_taint(case: &Value) -> Result<(), String> {
    let tolerates = toleration::tolerates(&field(case, "toleration")?, &field(case, "taint")?);
    compare(case, json!({ "tolerates": tolerates }))
}
