//! Fresh scenarios of `node/pod_lifecycle`: crashes around the ends of delays, and pods at every point of their life.

use crate::fresh::{Generator, question, several};
use kit_contract::node::pod_lifecycle::{
    BackOff, Container, ContainerStatus, Crash, Fault, Pod, Reported, RestartPolicy, Seen, State,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

const POLICIES: [RestartPolicy; 3] = [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never];
const CODES: [i32; 6] = [0, 1, 137, 143, 255, -1];

fn crash() -> impl Strategy<Value = Crash> {
    let delay = select(vec![10_i64, 20, 40, 80, 160, 300]);
    let since = select(vec![0_i64, 1000, 12_345, 86_400_000, 5_000_000_000]);
    let ran = select(vec![
        0_i64,
        1000,
        299_999,
        300_001,
        400_000,
        599_999,
        600_000,
        600_001,
        601_000,
        7_200_000,
        3_000_000_000,
    ]);
    // Around the end of some delay, if not of its own.
    let waited = prop_oneof![
        2 => select(vec![0_i64, 1, 5000]).prop_map(|waited| (waited, false)),
        5 => select(vec![-1_i64, 0, 1, -5000, 5000]).prop_map(|more| (more, true)),
        1 => select(vec![9999_i64, 10_000, 20_000, 300_000, 599_000, 601_000]).prop_map(|waited| (waited, false)),
    ];
    let known = prop_oneof![1 => Just(false), 6 => Just(true)];
    (delay, since, ran, waited, known).prop_map(|(delay_seconds, since_ms, ran, (waited, own), known)| {
        let ended_ms = since_ms + ran;
        let now_ms = ended_ms + waited + if own { delay_seconds * 1000 } else { 0 };
        Crash { before: known.then_some(BackOff { delay_seconds, since_ms }), ended_ms, now_ms }
    })
}

/// What a container is at random; what doesn't fit its state is left out.
#[derive(Debug, Clone)]
struct Drawn {
    sidecar: bool,
    state: u32,
    code: i32,
    fault: Option<Fault>,
    flag: bool,
    other: bool,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let code = prop_oneof![4 => Just(0), 3 => select(&CODES[..]), 1 => Just(-1)];
    let fault = option::weighted(0.3, select(vec![Fault::Changed, Fault::Probe]));
    (any::<bool>(), 0..100_u32, code, fault, any::<bool>(), any::<bool>())
        .prop_map(|(sidecar, state, code, fault, flag, other)| Drawn { sidecar, state, code, fault, flag, other })
}

/// How far a pod is: whether each of its main containers has no state, has ended, runs, or is in any state.
fn mains() -> impl Strategy<Value = u32> {
    select(vec![0_u32, 0, 1, 2, 3, 3])
}

/// Names that say nothing about places, in no order.
fn name(kind: &str, place: usize) -> String {
    format!("{kind}-{}", (place * 7 + 5) % 101)
}

fn container(is_init: bool, place: usize, drawn: &Drawn) -> Container {
    let state = match drawn.state {
        0..20 => None,
        20..28 => Some(State::Created),
        28..60 => Some(State::Running),
        60..90 => Some(State::Exited(drawn.code)),
        _ => Some(State::Unknown),
    };
    let sidecar = is_init && drawn.sidecar;
    let runs = state == Some(State::Running);
    Container {
        // Which kind it is can't be told by its name.
        name: name(if drawn.other { "db" } else { "web" }, place + if is_init { 0 } else { 20 }),
        sidecar,
        state,
        fault: drawn.fault.filter(|_| runs && (sidecar || !is_init)),
        started: sidecar && runs && drawn.flag,
    }
}

fn names_are_apart(init: &mut [String], main: &mut [String]) {
    let all = init.iter_mut().chain(main.iter_mut());
    let mut seen = std::collections::BTreeSet::new();
    for name in all {
        while !seen.insert(name.clone()) {
            name.push('x');
        }
    }
}

fn pod() -> impl Strategy<Value = Pod> {
    let init = prop_oneof![30 => vec(drawn(), 0..4), 40 => vec(drawn(), 1..5), 8 => vec(drawn(), 9..12), 1 => vec(drawn(), 65..69)];
    let main = prop_oneof![120 => vec(drawn(), 1..4), 9 => vec(drawn(), 9..12), 1 => vec(drawn(), 65..69)];
    // The first so many init containers are known only.
    let known = select(vec![1_usize, 2, 3, 4, 99, 99]);
    (select(&POLICIES[..]), init, main, mains(), known).prop_map(|(restart_policy, init, main, mains, known)| {
        let mut init: Vec<Container> =
            init.iter().enumerate().map(|(place, drawn)| container(true, place, drawn)).collect();
        for container in init.iter_mut().skip(known) {
            (container.state, container.fault, container.started) = (None, None, false);
        }
        let mut containers: Vec<Container> =
            main.iter().enumerate().map(|(place, drawn)| container(false, place, drawn)).collect();
        for (container, drawn) in containers.iter_mut().zip(&main) {
            container.state = match mains {
                0 => None,
                1 => Some(State::Exited(drawn.code)),
                2 => Some(State::Running),
                _ => continue,
            };
            container.fault = drawn.fault.filter(|_| container.state == Some(State::Running));
        }
        let mut of_init: Vec<String> = init.iter().map(|it| it.name.clone()).collect();
        let mut of_main: Vec<String> = containers.iter().map(|it| it.name.clone()).collect();
        names_are_apart(&mut of_init, &mut of_main);
        let all = init.iter_mut().chain(&mut containers);
        all.zip(of_init.into_iter().chain(of_main)).for_each(|(container, name)| container.name = name);
        Pod { restart_policy, init, containers }
    })
}

fn status(is_init: bool, place: usize, drawn: &Drawn, often: u32) -> ContainerStatus {
    let state = match (often, drawn.state) {
        (0, 0..80) => Some(Seen::Running),
        (1, 0..80) => Some(Seen::Terminated(drawn.code)),
        (2, 0..80) => Some(Seen::Waiting),
        (4, 0..90) => Some(Seen::Terminated(0)),
        // All have ended, well or not.
        (5, _) => Some(Seen::Terminated(drawn.code)),
        (_, 0..10) => None,
        (_, 10..25) => Some(Seen::Waiting),
        (_, 25..50) => Some(Seen::Running),
        (_, 50..75) => Some(Seen::Terminated(drawn.code)),
        _ => Some(Seen::BackingOff(drawn.code)),
    };
    let sidecar = is_init && drawn.sidecar;
    let runs = state == Some(Seen::Running);
    ContainerStatus {
        name: name(if drawn.other { "db" } else { "web" }, place + if is_init { 0 } else { 20 }),
        sidecar,
        state,
        started: runs && (!is_init || sidecar) && (drawn.flag || drawn.fault.is_some()),
        ready: if is_init && !sidecar { state == Some(Seen::Terminated(0)) } else { runs && drawn.flag },
    }
}

fn reported() -> impl Strategy<Value = Reported> {
    let init = prop_oneof![30 => Just(Vec::new()), 60 => vec(drawn(), 1..4), 9 => vec(drawn(), 9..12), 1 => vec(drawn(), 65..69)];
    let main = prop_oneof![120 => vec(drawn(), 1..4), 9 => vec(drawn(), 9..12), 1 => vec(drawn(), 65..69)];
    let ending = prop_oneof![3 => Just(false), 1 => Just(true)];
    (select(&POLICIES[..]), ending, init, main, 0..6_u32, 0..6_u32).prop_map(
        |(restart_policy, ending, init, main, inits, mains)| {
            let mut init: Vec<ContainerStatus> =
                init.iter().enumerate().map(|(place, drawn)| status(true, place, drawn, inits)).collect();
            let mut containers: Vec<ContainerStatus> =
                main.iter().enumerate().map(|(place, drawn)| status(false, place, drawn, mains)).collect();
            let mut of_init: Vec<String> = init.iter().map(|it| it.name.clone()).collect();
            let mut of_main: Vec<String> = containers.iter().map(|it| it.name.clone()).collect();
            names_are_apart(&mut of_init, &mut of_main);
            let all = init.iter_mut().chain(&mut containers);
            all.zip(of_init.into_iter().chain(of_main)).for_each(|(container, name)| container.name = name);
            Reported { restart_policy, ending, init, containers }
        },
    )
}

/// Questions of all four kinds.
pub fn fresh() -> Generator {
    let one = prop_oneof![
        2 => crash().prop_map(|crash| question("back_off", json!({"crash": crash}))),
        5 => pod().prop_map(|pod| question("actions", json!({"pod": pod}))),
        1 => (pod(), 0..4_u32).prop_map(|(mut pod, all)| {
            if all == 0 {
                pod.containers.retain(|main| main.state == Some(State::Running));
            }
            question("stop", json!({"pod": pod}))
        }),
        4 => reported().prop_map(|pod| question("status", json!({"pod": pod}))),
    ];
    several(one, 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh::Fresh;

    #[test]
    fn pods_meet_everything() {
        let module = solutions::modules().pod_lifecycle.make(&());
        let generator = fresh();
        let mut answered = String::new();
        for number in 1..400 {
            let drawn = Fresh::draw(&generator, "node/pod_lifecycle", "a", number).expect("it draws").scenario();
            for step in drawn["steps"].as_array().into_iter().flatten() {
                if let Ok(crash) = serde_json::from_value(step["back_off"]["crash"].clone()) {
                    answered += &format!("{:?}", module.back_off(&crash));
                } else if let Ok(pod) = serde_json::from_value(step["actions"]["pod"].clone()) {
                    answered += &format!("{:?}", module.actions(&pod));
                } else if let Ok(pod) = serde_json::from_value(step["stop"]["pod"].clone()) {
                    answered += &format!("{:?}", module.stop(&pod));
                } else if let Ok(pod) = serde_json::from_value(step["status"]["pod"].clone()) {
                    answered += &format!("{:?}", module.status(&pod));
                }
            }
        }
        for word in [
            "Wait(10)",
            "Wait(300)",
            "delay_seconds: 300",
            "delay_seconds: 10",
            "kill_pod: true, kill: {}, start: []",
            "kill_pod: true, kill: {\"",
            "Pending",
            "Running",
            "Succeeded",
            "phase: Failed",
            "ContainersNotInitialized",
        ] {
            assert!(answered.contains(word), "{word}");
        }
    }
}
