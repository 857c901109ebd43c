//! Tables of the states, logs and ends of containers, held against `kit-node`.

use super::super::Check;
use super::super::pure::{compare, field, from};
use super::{list, number};
use kit_api::core::{Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_node::kubelet::log::file::{self, Format};
use kit_node::runtime::State;
use kit_node::runtime::status::{self, Of, Ran};
use kit_node::termination::{self, Ending, Member, Role, Step};
use kit_server::LogOptions;
use kit_time::agenda::Instant;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    Some(match table {
        "container_status" => container_status,
        "cri_log_line" => cri_log_line,
        "pod_termination" => pod_termination,
        "read_logs" => read_logs,
        _ => return None,
    })
}

fn ran(of: &Value) -> Result<Ran, String> {
    let restarts = field(of, "restartCount")?;
    let state = match of["state"].as_str() {
        Some("created") => State::Created,
        Some("running") => State::Running,
        Some("exited") => State::Exited,
        _ => State::Unknown,
    };
    let exit_code = of["exitCode"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or_default();
    let reason = of["reason"].as_str().map(str::to_string);
    let ended = ContainerStateTerminated { exit_code, reason, ..ContainerStateTerminated::default() };
    Ok(Ran { id: format!("r://c-{restarts}"), state, since: None, ended, restarts })
}

/// A state as the table has it: without times.
fn shown(state: Option<&ContainerState>) -> Value {
    let Some(state) = state else { return Value::Null };
    if let Some(ended) = &state.terminated {
        let mut shown = json!({"exitCode": ended.exit_code});
        for (name, text) in [("reason", &ended.reason), ("message", &ended.message)] {
            text.iter().filter(|text| !text.is_empty()).for_each(|text| shown[name] = json!(text));
        }
        return json!({"terminated": shown});
    }
    if let Some(waiting) = &state.waiting {
        let mut shown = json!({});
        for (name, text) in [("reason", &waiting.reason), ("message", &waiting.message)] {
            text.iter().for_each(|text| shown[name] = json!(text));
        }
        return json!({"waiting": shown});
    }
    json!({"running": {}})
}

fn container_status(case: &Value) -> Result<(), String> {
    let container: Container = from(json!({"name": "c"}))?;
    let runs = list(&case["history"]).map(ran).collect::<Result<Vec<_>, _>>()?;
    let (kind, policy): (String, String) = (field(case, "kind")?, field(case, "restartPolicy")?);
    let state = match case["previous"].as_str() {
        Some("running") => Some(json!({"running": {}})),
        Some("waiting") => Some(json!({"waiting": {"reason": "ContainerCreating"}})),
        Some("terminated") => Some(json!({"terminated": {"exitCode": 3, "reason": "Error"}})),
        _ => None,
    };
    let before = |state| {
        from::<ContainerStatus>(json!({
            "name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 2, "containerID": "r://c-2",
            "state": state,
        }))
    };
    let before = state.map(before).transpose()?;
    let failure = case["startFailure"].as_str().map(|reason| (reason.to_string(), format!("message of {reason}")));
    let of = Of {
        policy: &policy,
        deleting: case["deleting"] == true,
        has_init: kind != "main" || case["podHasInitContainers"] == true,
        is_init: kind != "main",
    };
    let said = status::status(&container, of, &runs, before.as_ref(), failure);
    compare(
        case,
        json!({"status": {
            "containerID": said.container_id.unwrap_or_default(), "restartCount": said.restart_count,
            "state": shown(said.state.as_ref()), "lastState": shown(said.last_state.as_ref()),
        }}),
    )
}

fn cri_log_line(case: &Value) -> Result<(), String> {
    let line: String = field(case, "line")?;
    let format = Format::of(&line);
    let name = format.map(|format| if format == Format::Cri { "cri" } else { "docker-json" });
    let entry = format.and_then(|format| format.parse(&line));
    let (log, stream) = entry.as_ref().map(|entry| (entry.text.clone(), entry.stream.clone())).unzip();
    let timestamp = entry.map(|entry| file::shown(entry.at, entry.zone));
    compare(case, json!({"format": name, "log": log, "stream": stream, "timestamp": timestamp}))
}

fn read_logs(case: &Value) -> Result<(), String> {
    let text: String = field(case, "file")?;
    let options = &case["options"];
    let time = |value: &Value| value.as_str().and_then(|time| time.parse::<Timestamp>().ok());
    let ago = options["sinceSeconds"].as_i64().map(SignedDuration::from_secs);
    let options = LogOptions {
        tail: options["tailLines"].as_u64(),
        since: ago.zip(time(&case["now"])).map(|(ago, now)| now - ago).max(time(&options["sinceTime"])),
        timestamps: options["timestamps"] == true,
        limit: options["limitBytes"].as_u64(),
        ..LogOptions::default()
    };
    match file::read(&text, &options) {
        Err(error) => compare(case, json!({"error": error, "stdout": "", "stderr": ""})),
        Ok(out) => {
            let [stdout, stderr] = out.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            compare(case, json!({"error": null, "stdout": stdout, "stderr": stderr}))
        }
    }
}

/// The containers of a case while they end, and what was seen of them.
#[derive(Default)]
struct Leaving {
    hooks: BTreeMap<String, i64>,
    exits: BTreeMap<String, i64>,
    /// What ends by itself, when: hooks and containers.
    due: Vec<(Instant, bool, String)>,
    trace: Vec<Value>,
}

impl Leaving {
    fn see(&mut self, event: &str, container: &str, now: Instant) -> &mut Value {
        self.trace.push(json!({"event": event, "container": container, "t": number(now)}));
        let last = self.trace.len() - 1;
        &mut self.trace[last]
    }

    /// Lets all containers, or hooks, end that are due; `true` if something has.
    fn end(&mut self, hooks: bool, ending: &mut Ending, now: Instant) -> bool {
        let is_due = |(at, is_hook, _): &(Instant, bool, String)| *at <= now && *is_hook == hooks;
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.due).into_iter().partition(is_due);
        self.due = later;
        for (_, is_hook, name) in &due {
            if *is_hook {
                // One that took too long is not waited for, but it goes on with its container.
                ending.hook_ended(name, now);
                self.see("preStopDone", name, now);
            } else if ending.is_stopping(name) {
                ending.exited(name);
                self.due.retain(|(_, _, of)| of != name);
                self.see("exited", name, now);
            }
        }
        !due.is_empty()
    }

    fn carry_out(&mut self, step: &Step, name: &str, now: Instant) {
        match step {
            Step::Hook => {
                self.see("preStop", name, now);
                let ends = now + Instant::seconds(self.hooks.get(name).copied().unwrap_or(0));
                self.due.push((ends, true, name.into()));
            }
            Step::Stop(seconds) => {
                self.see("stop", name, now)["graceLeft"] = json!(seconds);
                let exits = self.exits.get(name).map(|after| now + Instant::seconds(*after));
                self.due.extend(exits.map(|at| (at, false, name.into())));
            }
            Step::Kill => {
                self.due.retain(|(_, _, of)| of != name);
                self.see("killed", name, now);
            }
        }
    }
}

fn pod_termination(case: &Value) -> Result<(), String> {
    let pod: Pod = from(json!({
        "metadata": {"deletionGracePeriodSeconds": case["deletionGracePeriodSeconds"]},
        "spec": {"containers": [], "terminationGracePeriodSeconds": case["terminationGracePeriodSeconds"]},
    }))?;
    let (mut leaving, mut members) = (Leaving::default(), Vec::new());
    for of in list(&case["containers"]).filter(|of| of["running"] == true) {
        let name: String = field(of, "name")?;
        leaving.hooks.extend(of["preStopSeconds"].as_i64().map(|seconds| (name.clone(), seconds)));
        leaving.exits.extend(of["exitsAfterSeconds"].as_i64().map(|seconds| (name.clone(), seconds)));
        let own = termination::grace(&pod, &from(json!({"name": name}))?, None);
        members.push(Member {
            role: match of["kind"].as_str() {
                Some("main") => Role::Main,
                Some("sidecar") => Role::Sidecar,
                _ => Role::Init,
            },
            hook: leaving.hooks.contains_key(&name),
            grace: case["gracePeriodOverride"].as_i64().unwrap_or(own),
            name,
        });
    }
    let mut now = Instant::default();
    let module = solutions::modules().pod_lifecycle.make(&());
    let mut ending = Ending::new(members, now);
    while !ending.is_over() {
        let exited = leaving.end(false, &mut ending, now);
        let steps = ending.advance(now, &*module);
        steps.iter().for_each(|(name, step)| leaving.carry_out(step, name, now));
        let ended = leaving.end(true, &mut ending, now) || exited;
        if steps.is_empty() && !ended {
            let next = leaving.due.iter().map(|(at, ..)| *at).chain(ending.next()).filter(|at| *at > now).min();
            now = next.ok_or("nothing is left to wait for")?;
        }
    }
    // What one container does at one time has no order: a hook may end just when its time is up.
    let key = |event: &Value| {
        let text = |name: &str| event[name].as_str().map(str::to_string);
        (event["t"].as_f64().map(f64::to_bits), text("container"), text("event"))
    };
    let sorted = |mut trace: Vec<Value>| {
        trace.sort_by_key(key);
        trace
    };
    let expected = json!({"doneAt": case["doneAt"], "trace": sorted(list(&case["trace"]).cloned().collect())});
    compare(&expected, json!({"doneAt": number(now), "trace": sorted(leaving.trace)}))
}
