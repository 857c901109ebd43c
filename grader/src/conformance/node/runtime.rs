//! Tables of what one sync of a pod does, held against `kit-node`.

use super::super::Check;
use super::super::pure::{compare, field, from};
use super::list;
use kit_api::core::{ContainerResizePolicy, Pod};
use kit_api::pod_resources::{Resources, add, resources};
use kit_node::runtime::resize::{self, Pending};
use kit_node::runtime::{self, Found, Known, Sandbox, State, Status, Why};
use kit_node::termination::Reason;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    Some(match table {
        "pod_actions" => pod_actions,
        "resize_actions" => resize_actions,
        "resize_decision" => resize_decision,
        _ => return None,
    })
}

fn found(case: &Value) -> Option<Found> {
    match case.as_str()? {
        "success" => Some(Found::Success),
        "failure" => Some(Found::Failure),
        _ => Some(Found::Unknown),
    }
}

fn status(case: &Value) -> Result<Status, String> {
    let state: String = field(case, "state")?;
    Ok(Status {
        name: field(case, "name")?,
        state: match state.as_str() {
            "created" => State::Created,
            "running" => State::Running,
            "exited" => State::Exited,
            _ => State::Unknown,
        },
        exit_code: case["exitCode"].as_i64().unwrap_or(0) as i32,
        reason: case["reason"].as_str().unwrap_or_default().into(),
        changed: case["definitionChanged"] == true,
        liveness: found(&case["liveness"]),
        startup: found(&case["startup"]),
    })
}

fn pod_actions(case: &Value) -> Result<(), String> {
    let said = &case["pod"];
    let containers = |name: &str| -> Vec<Value> {
        let made = list(&said[name]).map(|of| {
            let mut made = json!({"name": of["name"]});
            if of["sidecar"] == true {
                made["restartPolicy"] = json!("Always");
            }
            for probe in ["livenessProbe", "startupProbe"].into_iter().filter(|probe| of[*probe] == true) {
                made[probe] = json!({});
            }
            made
        });
        made.collect()
    };
    let deleted = (said["deleting"] == true).then_some("2025-01-01T00:00:00Z");
    let pod: Pod = from(json!({
        "metadata": {"deletionTimestamp": deleted},
        "spec": {
            "containers": containers("containers"), "initContainers": containers("initContainers"),
            "ephemeralContainers": containers("ephemeralContainers"), "restartPolicy": said["restartPolicy"],
        },
    }))?;
    let sandbox = |of: &Value| -> Result<Sandbox, String> {
        Ok(Sandbox { attempt: field(of, "attempt")?, ready: of["state"] == "ready", ip: field(of, "ip")? })
    };
    let known = Known {
        sandboxes: list(&case["sandboxes"]).map(sandbox).collect::<Result<_, _>>()?,
        statuses: list(&case["statuses"]).map(status).collect::<Result<_, _>>()?,
    };
    let actions = runtime::actions(&pod, &known, &*solutions::modules().pod_lifecycle.make(&()));
    let names = |of: &str, indexes: &[usize]| -> Vec<Value> {
        indexes.iter().map(|index| said[of][*index]["name"].clone()).collect()
    };
    let mut shown = json!({"killPod": actions.kill_pod, "createSandbox": actions.create_sandbox});
    if actions.create_sandbox {
        shown["attempt"] = json!(actions.attempt);
    }
    let mut kill = actions.kill;
    kill.sort_by(|one, other| one.name.cmp(&other.name));
    let kill = kill.into_iter().map(|kill| {
        let mut shown = json!({"name": kill.name, "message": kill.message});
        let reason = kill.reason.map(|why| match why {
            Why::Unknown => "Unknown",
            Why::Probe(Reason::LivenessProbe) => "LivenessProbe",
            Why::Probe(Reason::StartupProbe) => "StartupProbe",
        });
        if let Some(reason) = reason {
            shown["reason"] = json!(reason);
        }
        shown
    });
    for (name, list) in [
        ("containersToKill", kill.collect::<Vec<_>>()),
        ("containersToStart", names("containers", &actions.start)),
        ("initContainersToStart", names("initContainers", &actions.init)),
        ("ephemeralContainersToStart", names("ephemeralContainers", &actions.ephemeral)),
    ] {
        if !list.is_empty() {
            shown[name] = list.into();
        }
    }
    compare(case, json!({"actions": shown}))
}

fn amounts(case: &Value) -> Result<Resources, String> {
    Ok(resources(Some(&from(case.clone())?)))
}

fn resize_actions(case: &Value) -> Result<(), String> {
    let said: Vec<&Value> = list(&case["containers"]).collect();
    let pod: Pod = from(json!({"spec": {"restartPolicy": "Always",
        "containers": said.iter().map(|of| json!({"name": of["name"]})).collect::<Vec<_>>()}}))?;
    let statuses = said.iter().map(|of| status(of)).collect::<Result<Vec<_>, _>>()?;
    let sandbox = Sandbox { attempt: 0, ready: true, ip: Some("10.0.0.1".into()) };
    let module = solutions::modules().pod_lifecycle.make(&());
    let actions = runtime::actions(&pod, &Known { sandboxes: vec![sandbox], statuses }, &*module);
    let mut start: Vec<&str> = actions.start.iter().filter_map(|index| said[*index]["name"].as_str()).collect();

    let policies = |of: &Value| -> Result<Vec<ContainerResizePolicy>, String> {
        let policies: BTreeMap<String, String> = field(of, "resizePolicy")?;
        let policy = |(resource_name, restart_policy)| ContainerResizePolicy { resource_name, restart_policy };
        Ok(policies.into_iter().map(policy).collect())
    };
    let policies: Vec<_> = said.iter().map(|of| policies(of)).collect::<Result<_, _>>()?;
    let mut running = Vec::new();
    for (of, policies) in said.iter().zip(&policies).filter(|(of, _)| of["state"] == "running") {
        let both = |of: &Value| Ok::<_, String>([amounts(&of["requests"])?, amounts(&of["limits"])?]);
        let (actuated, desired) = (both(&of["actuated"])?, both(&of["desired"])?);
        running.push(resize::Container { name: of["name"].as_str().unwrap_or_default(), actuated, desired, policies });
    }
    let resize = resize::actions(&running);
    start.extend(resize.restart.iter().map(String::as_str));
    start.sort();
    let kill = resize
        .restart
        .iter()
        .map(|name| json!({"name": name, "message": format!("Container {name} resize requires restart")}));
    compare(
        case,
        json!({
            "kill": kill.collect::<Vec<_>>(), "start": start, "update": resize.update,
            "updatePodResources": !resize.restart.is_empty(),
        }),
    )
}

fn resize_decision(case: &Value) -> Result<(), String> {
    let mut others = Resources::new();
    for of in list(&case["otherPodsRequests"]) {
        add(&mut others, &amounts(of)?);
    }
    let unchanged = case["desired"] == case["allocated"];
    let answer = resize::fits(&amounts(&case["desired"]["requests"])?, &amounts(&case["allocatable"])?, &others);
    let pending = |reason: &str, message: String| json!([{"type": "PodResizePending", "status": "True", "reason": reason, "message": message}]);
    let (after, conditions) = match answer {
        _ if unchanged => (&case["allocated"], json!([])),
        Ok(()) => (&case["desired"], json!([{"type": "PodResizeInProgress", "status": "True"}])),
        Err(Pending::Infeasible(message)) => (&case["allocated"], pending("Infeasible", message)),
        Err(Pending::Deferred(message)) => (&case["allocated"], pending("Deferred", message)),
    };
    compare(case, json!({"allocatedAfter": after, "conditions": conditions}))
}
