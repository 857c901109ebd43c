//! Makes of a drawn scenario one that a person can reckon with.
//!
//! Generators aim at what machines get wrong: numbers beyond 32 bits, times of today in milliseconds, names as long as
//! they may be. Here these become the amounts that manifests have. Equal ones stay equal, and it is the reference again
//! that says what follows.

use serde_json::{Map, Value, json};

const MEBI: i64 = 1 << 20;
/// Few enough that sums often come out even, which is where the borders are.
const MILLI_CPU: [i64; 8] = [100, 250, 500, 500, 1000, 1500, 2000, 4000];
const BYTES: [i64; 8] =
    [64 * MEBI, 128 * MEBI, 256 * MEBI, 512 * MEBI, 1024 * MEBI, 1536 * MEBI, 2048 * MEBI, 4096 * MEBI];
const CAPACITY: [i64; 4] = [2048 * MEBI, 4096 * MEBI, 8192 * MEBI, 16_384 * MEBI];
const IMAGE: [i64; 6] = [0, 20 * MEBI, 80 * MEBI, 300 * MEBI, 700 * MEBI, 1500 * MEBI];
const FEW: [i64; 6] = [0, 1, 1, 2, 4, 8];
const PODS: [i64; 4] = [3, 4, 4, 110];
const CPU_TEXT: [&str; 6] = ["100m", "250m", "500m", "1", "1500m", "2"];
const MEMORY_TEXT: [&str; 6] = ["64Mi", "128Mi", "256Mi", "512Mi", "1Gi", "2Gi"];

/// The tamed scenario.
pub fn tamed(exercise: &str, mut scenario: Value) -> Value {
    match exercise {
        "scheduler/resources_fit" | "scheduler/score" | "node/qos" | "control_plane/admission" => {
            amounts(&mut scenario, "", exercise);
        }
        "scheduler/queue" | "control_plane/work_queue" | "control_plane/informer" | "scheduler/preemption" => {
            earlier(&mut scenario, &["now", "started"]);
        }
        "failure/node_lifecycle" => {
            // What a node's clock says is never held against the controller's.
            earlier(&mut scenario, &["now_ms", "created_ms"]);
            earlier(&mut scenario, &["heartbeat_time_ms", "renew_time_ms"]);
        }
        "control_plane/concurrency" => {
            // What the client isn't about is noise.
            let client = scenario["client"].to_string();
            if let Some(meta) = scenario.pointer_mut("/object/metadata").and_then(Value::as_object_mut) {
                if let Some(all) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
                    all.retain(|name, _| client.contains(&format!("\"{name}\"")));
                    let long = all.values_mut().filter(|value| value.as_str().is_some_and(|text| text.len() > 5));
                    long.for_each(|value| *value = json!("41"));
                }
                meta.retain(|_, value| !value.as_object().is_some_and(Map::is_empty) && *value != json!([]));
            }
        }
        "node/pod_lifecycle" => few(&mut scenario, &[("init", 4), ("containers", 3)]),
        _ => {}
    }
    scenario
}

/// Lists of these names are no longer than that.
fn few(value: &mut Value, most: &[(&str, usize)]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| few(item, most)),
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| {
            if let (Value::Array(items), Some((_, most))) = (&mut *value, most.iter().find(|(of, _)| of == name)) {
                items.truncate(*most);
            }
            few(value, most);
        }),
        _ => {}
    }
}

/// One of these, the same for the same value.
fn of<T: Clone>(choices: &[T], value: i64) -> T {
    let mixed = (value as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    choices[mixed as usize % choices.len()].clone()
}

fn amounts(value: &mut Value, name: &str, exercise: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| amounts(item, name, exercise)),
        Value::Object(fields) => {
            let scalar = name == "scalar";
            fields.iter_mut().for_each(|(key, value)| amounts(value, if scalar { "scalar" } else { key }, exercise));
            sensible(fields);
        }
        Value::Number(number) => {
            let Some(is) = number.as_i64() else { return };
            let friendly = match name {
                "milli_cpu" if is != 0 => of(&MILLI_CPU, is),
                "memory" | "ephemeral_storage" if is != 0 => of(&BYTES, is),
                "scalar" => of(&FEW, is),
                "memory_capacity" => of(&CAPACITY, is),
                "size" => of(&IMAGE, is),
                "pods" | "allowed_pods" => of(&PODS, is),
                _ => is,
            };
            *value = friendly.into();
        }
        Value::String(text) => {
            let mixed = text.bytes().fold(7_i64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
            let zero = text.chars().all(|c| !c.is_ascii_digit() || c == '0');
            match name {
                "cpu" if !zero => *text = of(&CPU_TEXT, mixed).into(),
                "memory" | "ephemeral-storage" if !zero => *text = of(&MEMORY_TEXT, mixed).into(),
                _ => {
                    // `cxxxxxxx` is `c8`.
                    let plain = text.trim_end_matches('x');
                    let long = text.len() - plain.len();
                    if long >= 4 && exercise == "node/qos" {
                        *text = format!("{plain}{}", long + 1);
                    }
                }
            }
        }
        _ => {}
    }
}

/// Nobody may ask for more than the most that it may use.
fn sensible(fields: &mut Map<String, Value>) {
    for name in ["cpu", "memory", "ephemeral-storage"] {
        let texts: &[&str] = if name == "cpu" { &CPU_TEXT } else { &MEMORY_TEXT };
        let place = |side: &str| texts.iter().position(|text| fields.get(side).is_some_and(|of| of[name] == *text));
        if let (Some(request), Some(limit)) = (place("requests"), place("limits")) {
            let (less, more) = (texts[request.min(limit)], texts[request.max(limit)]);
            fields["requests"][name] = less.into();
            fields["limits"][name] = more.into();
        }
    }
}

/// Times that begin near 0. Only whole seconds are taken off, since some rules count them.
fn earlier(scenario: &mut Value, names: &[&str]) {
    fn times(value: &mut Value, names: &[&str], see: &mut dyn FnMut(&mut i64)) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| times(item, names, see)),
            Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| {
                match value.as_i64().filter(|time| *time > 1_000_000 && names.contains(&key.as_str())) {
                    Some(mut time) => {
                        see(&mut time);
                        *value = time.into();
                    }
                    None => times(value, names, see),
                }
            }),
            _ => {}
        }
    }
    let mut least = i64::MAX;
    times(scenario, names, &mut |time| least = least.min(*time));
    if least < i64::MAX {
        let off = least / 1000 * 1000 - 1000;
        times(scenario, names, &mut |time| *time -= off);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_machines_get_wrong_becomes_what_manifests_have() {
        let scenario = json!({"steps": [{"filter": {
            "pod": {"requests": {"milli_cpu": 9_007_199_254_740_993_i64, "scalar": {"gpu": 1_i64 << 40}}},
            "node": {"allocatable": {"milli_cpu": 9_007_199_254_740_993_i64, "memory": 0}},
        }}]});
        let tamed = tamed("scheduler/resources_fit", scenario);
        let filter = &tamed["steps"][0]["filter"];
        let cpu = &filter["pod"]["requests"]["milli_cpu"];
        assert!(MILLI_CPU.contains(&cpu.as_i64().expect("a number")), "{tamed}");
        assert_eq!(*cpu, filter["node"]["allocatable"]["milli_cpu"], "what was equal is equal");
        assert_eq!(filter["node"]["allocatable"]["memory"], 0);
    }

    #[test]
    fn times_begin_near_the_beginning() {
        let scenario = json!({"steps": [
            {"pop": {"now": 1_748_779_200_500_i64}}, {"pop": {"now": 1_748_779_202_001_i64}},
        ]});
        let tamed = tamed("scheduler/queue", scenario);
        assert_eq!(tamed, json!({"steps": [{"pop": {"now": 1500}}, {"pop": {"now": 3001}}]}));
    }
}
