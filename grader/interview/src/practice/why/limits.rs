//! What requests and limits become.

use super::Asked;
use kit_contract::node::limits::{Load, Node, OomKill, Pod, PodCgroup, Resources, Served};

pub fn limits(asked: &Asked<'_>) -> Option<Vec<String>> {
    match asked.call {
        "container" => Some(container(&asked.arg("resources")?)),
        "pod" => Some(pod(&asked.arg("pod")?, &asked.answer()?)),
        "serve" => Some(serve(&asked.arg("load")?, &asked.answer()?)),
        _ => Some(killed(&asked.arg("node")?, asked.answer().flatten())),
    }
}

fn container(of: &Resources) -> Vec<String> {
    let by = match (of.cpu_request, of.cpu_limit) {
        (Some(_), _) => "the CPU request",
        (None, Some(_)) => "the CPU limit, as no request is there",
        (None, None) => "nothing, so that there are as few as can be",
    };
    vec![
        format!("Shares are 1024 for each CPU, between 2 and 262144. Here they follow from {by}."),
        "The quota is 100 µs for each thousandth of a CPU limit, and at least 1000. A limit of 0 is none, and a memory request is told nobody.".into(),
    ]
}

fn pod(of: &Pod, cgroup: &PodCgroup) -> Vec<String> {
    let mut said = vec![
        "A pod needs the sum of its containers, or as much as its largest init container if that is more, and the overhead on top; each amount by itself."
            .to_string(),
    ];
    for (what, limit) in [("CPU", cgroup.cpu_max_us), ("memory", cgroup.memory_max)] {
        if limit.is_none() {
            said.push(format!("Not every container and init container has a {what} limit, so the pod has none."));
        }
    }
    if cgroup.cpu_weight == 1 && of.overhead_cpu > 0 {
        said.push("Nobody asks for anything: a BestEffort pod has the weight 1, whatever its overhead.".into());
    }
    said
}

fn serve(load: &Load, served: &Served) -> Vec<String> {
    let Some(quota) = load.quota_ms else {
        return vec!["There is no quota, so that nobody is throttled, and nothing is counted.".into()];
    };
    let mut said = vec![format!(
        "In each 100 ms by the clock there are {quota} ms of CPU time, for all {} threads together. What is left is lost.",
        load.threads
    )];
    if served.throttled_ms > 0 {
        said.push(
            "When they are used up, all who have work stop until the next period, and each of them counts.".into(),
        );
    }
    said
}

fn killed(node: &Node, kill: Option<OomKill>) -> Vec<String> {
    let Some(kill) = kill else {
        return vec![
            "Nobody uses more than a limit of a container, of a pod or of the node, or nobody there may be killed."
                .into(),
        ];
    };
    let with = match node.single_process_oom_kill {
        true => "Only the victim goes. Its container has ended if that was the first process.",
        false => "All of its container go with it (memory.oom.group).",
    };
    vec![
        "First containers over their limit count, then pods, then the node.".into(),
        format!(
            "There the process with the most points goes: what it uses, and oom_score_adj thousandths of all that is there. That is one of {}.",
            kill.container
        ),
        with.into(),
    ]
}
