//! `cluster up --ui`: the cluster as a picture in a browser, with buttons.

use crate::control::{Order, obey};
use crate::up;
use anyhow::{Context, Result};
use kit_live::ui::{Film, Ui, Wish};
use kit_live::{Door, Driver};
use kit_time::agenda::Instant;
use serde_json::Value;
use std::sync::Arc;

/// Serves the picture from now on, until this is dropped.
///
/// # Errors
///
/// If there is no port for it.
pub fn serve(door: Door, film: Film) -> Result<Ui> {
    Ui::serve(door, film, Arc::new(carry_out)).context("no picture of the cluster can be served")
}

fn carry_out(driver: &mut Driver, wish: Wish) -> Result<String, String> {
    let order = match wish {
        Wish::Fault(step) => Order::Fault(step),
        Wish::Speed(value) => clock(&value)?,
    };
    obey(driver, order, None)
}

/// `{"speed": 10}`, `{"paused": true}` or `{"step": "5m"}`.
fn clock(value: &Value) -> Result<Order, String> {
    let known = || format!("the clock takes a `speed`, `paused` or a `step`, and not {value}");
    let (name, value) = value.as_object().and_then(|fields| fields.iter().next()).ok_or_else(known)?;
    match (name.as_str(), value) {
        ("speed", value) => {
            let speed = value.as_f64().ok_or_else(|| format!("a speed is a number, and not {value}"))?;
            up::speed(speed).map(Order::Speed).map_err(|why| why.to_string())
        }
        ("paused", Value::Bool(paused)) => Ok(Order::Pause(*paused)),
        ("step", Value::String(span)) => match span.parse::<Instant>()? {
            span if span > Instant::default() => Ok(Order::Step(span.nanos)),
            span => Err(format!("time goes on by more than nothing: {span}")),
        },
        _ => Err(known()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_clock_is_set_by_what_makes_sense() {
        let cases = [
            (json!({"speed": 10}), "Ok(Speed(10.0))"),
            (json!({"speed": 0}), "between 0.01 and 10000"),
            (json!({"speed": "fast"}), "a speed is a number"),
            (json!({"paused": true}), "Ok(Pause(true))"),
            (json!({"step": "5m"}), "Ok(Step(300000000000))"),
            (json!({"step": "-5m"}), "more than nothing"),
            (json!({"step": "soon"}), "soon"),
            (json!([]), "and not []"),
            (json!({"fast": true}), "takes a `speed`"),
        ];
        for (value, expected) in cases {
            let order = format!("{:?}", clock(&value));
            assert!(order.contains(expected), "{value}: {order}");
        }
    }
}
