//! The containers of a pod.

use super::Asked;
use kit_contract::node::pod_lifecycle::{
    Actions, Attempt, Container, Crash, Phase, Pod, Reported, Seen, State, Status,
};

pub fn pod_lifecycle(asked: &Asked<'_>) -> Option<Vec<String>> {
    Some(match asked.call {
        "back_off" => back_off(&asked.arg("crash")?, asked.answer()?),
        "actions" => actions(&asked.arg("pod")?, &asked.answer()?),
        "stop" => stop(&asked.arg("pod")?),
        "status" => status(&asked.arg("pod")?, &asked.answer()?),
        _ => return None,
    })
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn back_off(crash: &Crash, answer: Attempt) -> Vec<String> {
    let Some(before) = crash.before else {
        return vec!["It was never started again before, so it starts at once, and its next delay is 10 s.".into()];
    };
    let (after, waited) = (seconds(crash.ended_ms - before.since_ms), seconds(crash.now_ms - crash.ended_ms));
    let delay = before.delay_seconds;
    vec![match answer {
        Attempt::Wait(_) => {
            format!("It ended {waited} s ago and has to wait {delay} s from then. The whole delay is told.")
        }
        Attempt::Start(_) if crash.ended_ms - before.since_ms > 600_000 => {
            format!("It ended {after} s after it was let through: more than ten minutes, so that all is forgotten.")
        }
        Attempt::Start(next) => format!(
            "It ended {waited} s ago, and its delay of {delay} s is over. The next one is twice as long, at most 300 s: {} s.",
            next.delay_seconds
        ),
    }]
}

fn actions(pod: &Pod, answer: &Actions) -> Vec<String> {
    let begun = |main: &&Container| matches!(main.state, Some(State::Created | State::Running));
    let known = pod.init.iter().rfind(|init| init.state.is_some());
    let mut said = vec![match (pod.containers.iter().find(begun), known, pod.init.first()) {
        (_, _, None) => "It has no init containers, so that all main containers count.".to_string(),
        (Some(main), ..) => format!(
            "{} was created or runs, so the pod is set up: of its init containers only sidecars are looked at.",
            main.name
        ),
        (None, Some(current), _) => format!(
            "No main container was created or runs. {} is the last init container of which something is known: those before it were through.",
            current.name
        ),
        (None, None, Some(first)) => format!("Nothing has begun, so {} is started and nobody else.", first.name),
    }];
    if answer.kill_pod {
        said.push("Nothing is left that runs on or is started again, or an init container failed for good under Never: the pod is killed, sidecars and all.".into());
    } else if !answer.kill.is_empty() {
        said.push("Who has a fault, or may still run, is killed first. Under Never a failed probe is no reason to start again, but a changed spec is.".into());
    }
    said
}

fn stop(pod: &Pod) -> Vec<String> {
    let runs = |it: &&Container| it.state == Some(State::Running);
    let last = pod.init.iter().filter(|init| init.sidecar).rfind(runs);
    vec![match (pod.containers.iter().find(runs), last) {
        (Some(main), _) => {
            format!("{} is a main container and runs: sidecars wait until all of these have ended.", main.name)
        }
        (None, Some(last)) => format!("No main container runs, and {} is the last sidecar that does.", last.name),
        (None, None) => "Neither a main container nor a sidecar runs, and setup containers wait for nobody.".into(),
    }]
}

fn status(pod: &Reported, answer: &Status) -> Vec<String> {
    let lasting = || pod.init.iter().filter(|init| init.sidecar).chain(&pod.containers);
    let open = lasting().find(|it| matches!(it.state, None | Some(Seen::Waiting)));
    let runs = lasting().find(|it| it.state == Some(Seen::Running));
    let phase = match (answer.phase, open, runs) {
        (Phase::Pending, Some(open), _) => format!("{} has never run, so the pod is Pending.", open.name),
        (Phase::Pending, None, _) => "A setup container hasn't ended yet, so the pod is Pending.".into(),
        (Phase::Running, _, Some(runs)) => format!("All have begun, and {} runs.", runs.name),
        (Phase::Running, _, None) => "Nothing runs, but it is started again: a crash loop is Running.".into(),
        (Phase::Succeeded, ..) => "All main containers ended with 0, and nothing is started again.".into(),
        (Phase::Failed, ..) => {
            "Something ended with another code than 0, or waits for a start that won't come; nothing is started again."
                .into()
        }
    };
    let begun = pod.containers.iter().any(|it| matches!(it.state, Some(Seen::Running | Seen::Terminated(_))));
    let mut said = vec![phase];
    if begun && answer.phase != Phase::Succeeded && !pod.init.is_empty() {
        said.push("A main container runs or has ended, so that Initialized holds whatever init containers say.".into());
    }
    said
}
