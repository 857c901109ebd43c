//! Tables of what a kubelet decides, held against `kit-node`.

use super::super::Check;
use super::super::pure::{compare, field, from};
use super::list;
use kit_api::Quantity;
use kit_api::core::{Container, Pod, ResourceRequirements};
use kit_api::eviction::ThresholdConfig;
use kit_api::pod_resources::Side;
use kit_api::qos::QosClass;
use kit_api::quantity::Format;
use kit_contract::node::eviction::Usage;
use kit_contract::node::{Limits, Qos, limits};
use kit_node::cgroup::name::{self, Driver};
use kit_node::cgroup::throttling::{self, Demand, Limit};
use kit_node::cgroup::{self, container, pod};
use kit_node::eviction::{Config, Figures, Manager, Node, PodFigures};
use kit_node::kubelet::back_off::CrashLoop;
use kit_node::shutdown::{self, Group};
use kit_node::termination::{self, Reason};
use kit_time::agenda::Instant;
use serde_json::{Value, json};
use solutions::node::{limits::Exercise as Reference, qos};
use std::collections::BTreeMap;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    Some(match table {
        "container_cgroup" => container_cgroup,
        "cpu_shares_quota" => cpu_shares_quota,
        "cpu_throttling_model" => cpu_throttling_model,
        "crashloop_backoff" => crashloop_backoff,
        "eviction_admission" => eviction_admission,
        "eviction_sync" => eviction_sync,
        "graceful_node_shutdown" => graceful_node_shutdown,
        "kill_grace_period" => kill_grace_period,
        "pod_cgroup" => pod_cgroup,
        "pod_cgroup_names" => pod_cgroup_names,
        _ => return None,
    })
}

fn cpu_shares_quota(case: &Value) -> Result<(), String> {
    let milli = field(case, "milliCPU")?;
    let shares = cgroup::shares(milli);
    let weight = cgroup::weight(shares);
    let asks = limits::Resources {
        cpu_request: Some(milli),
        cpu_limit: Some(milli),
        memory_request: Some(1),
        ..Default::default()
    };
    let told = Reference.container(&asks);
    let of_pod = Reference.pod(&limits::Pod { containers: vec![asks], ..Default::default() });
    compare(
        case,
        json!({
            "shares": told.cpu_shares, "weight": of_pod.cpu_weight, "quota100ms": told.cpu_quota_us.unwrap_or(0),
        }),
    )?;
    compare(
        case,
        json!({
            "shares": shares, "weight": weight, "sharesFromWeight": cgroup::shares_of_weight(weight),
            "runtimeWeight": cgroup::runtime_weight(shares),
            "quota100ms": cgroup::quota(milli, 100_000), "quota10ms": cgroup::quota(milli, 10_000),
            "quota5ms": cgroup::quota(milli, 5_000), "quota1s": cgroup::quota(milli, 1_000_000),
        }),
    )
}

/// What the reference of `node/limits` is asked about a container of a case.
fn resources(of: &Value) -> Result<limits::Resources, String> {
    let container: Container =
        from(json!({"name": "c", "resources": {"requests": of["requests"], "limits": of["limits"]}}))?;
    let (requests, limits) = (Side::Requests.of(&container), Side::Limits.of(&container));
    Ok(limits::Resources {
        cpu_request: requests.get("cpu").map(Quantity::milli_value),
        cpu_limit: limits.get("cpu").map(Quantity::milli_value),
        memory_request: requests.get("memory").map(Quantity::value),
        memory_limit: limits.get("memory").map(Quantity::value),
    })
}

fn container_cgroup(case: &Value) -> Result<(), String> {
    const GIBIBYTES: i64 = 1 << 30;
    let resources = json!({"requests": case["requests"], "limits": case["limits"]});
    let of: Container = from(json!({"name": "c", "resources": resources}))?;
    let whole: ResourceRequirements = from(case.get("podResources").cloned().unwrap_or_else(|| json!({})))?;
    // The exercise knows no resources of pods as a whole: what a container gets of them may not make it Guaranteed.
    let counted =
        if case["podResources"].is_null() { resources.clone() } else { json!({"requests": case["requests"]}) };
    let pod: Pod = from(json!({"spec": {"containers": [{"name": "c", "resources": counted}], "resources": whole}}))?;
    let (requests, limits) = (Side::Requests.of(&of), container::limits_in(&whole, Side::Limits.of(&of)));
    let score = match case["qos"].as_str() {
        Some("Guaranteed") => -997,
        _ => qos::Exercise.oom_score_adj(&container::shared_out(&pod), "c", 32 * GIBIBYTES),
    };
    let told = |setup: container::Setup| container::told(&requests, &limits, &setup);
    let shown = |told: container::Told| {
        let mut shown = json!({
            "cpuPeriod": told.cpu_period, "cpuQuota": told.cpu_quota, "cpuShares": told.cpu_shares,
            "memoryLimitInBytes": told.memory_limit, "oomScoreAdj": score,
        });
        if !told.unified.is_empty() {
            shown["unified"] = json!(told.unified);
        }
        shown
    };
    // It knows no resources of pods as a whole.
    if case["podResources"].is_null() {
        let told = Reference.container(&self::resources(case)?);
        compare(
            &case["cgroupV2"],
            json!({
                "cpuQuota": told.cpu_quota_us.unwrap_or(0), "cpuShares": told.cpu_shares,
                "memoryLimitInBytes": told.memory_max.unwrap_or(0),
            }),
        )?;
    }
    let v2 = container::Setup::default();
    let v1 = container::Setup { v2: false, ..v2 };
    let memory = container::Setup { memory_qos: Some((0.9, 32 * GIBIBYTES)), ..v2 };
    let own = container::told(&requests, &Side::Limits.of(&of), &memory).unified;
    compare(
        case,
        json!({
            "cgroupV1": shown(told(v1)), "cgroupV2": shown(told(v2)),
            "memoryQoS": own,
        }),
    )
}

fn pod_cgroup(case: &Value) -> Result<(), String> {
    let containers = |list: &str| -> Vec<Value> {
        let all = case["pod"][list].as_array().into_iter().flatten().enumerate();
        let made = all.map(|(number, of)| {
            let mut made = json!({"name": format!("{list}-{number}"), "resources": of});
            if of["sidecar"] == true {
                made["restartPolicy"] = json!("Always");
            }
            made
        });
        made.collect()
    };
    let pod: Pod = from(json!({"spec": {
        "containers": containers("containers"), "initContainers": containers("initContainers"),
        "overhead": case["pod"]["overhead"], "resources": case["pod"]["podResources"],
    }}))?;
    let class: QosClass = field(case, "qos")?;
    let is_sidecar = |of: &Value| of["sidecar"] == true;
    if case["pod"]["podResources"].is_null() && !list(&case["pod"]["initContainers"]).any(is_sidecar) {
        let overhead = resources(&json!({"requests": case["pod"]["overhead"]}))?;
        let told = Reference.pod(&limits::Pod {
            containers: list(&case["pod"]["containers"]).map(resources).collect::<Result<_, _>>()?,
            init_containers: list(&case["pod"]["initContainers"]).map(resources).collect::<Result<_, _>>()?,
            overhead_cpu: overhead.cpu_request.unwrap_or(0),
            overhead_memory: overhead.memory_request.unwrap_or(0),
        });
        compare(&case["cgroup"], json!({"cpuQuota": told.cpu_max_us, "memory": told.memory_max}))?;
        let weight = case["cgroup"]["cpuShares"].as_i64().map(cgroup::weight);
        compare(&json!({ "weight": weight }), json!({ "weight": told.cpu_weight }))?;
    }
    let setup = pod::Setup { memory_qos: true, pod_level_resources: true, ..pod::Setup::default() };
    let config = pod::config(&pod, class, &setup);
    let free = pod::config(&pod, class, &pod::Setup { cpu_quota: false, ..setup });
    let mut shown = json!({
        "cpuPeriod": config.cpu_period, "cpuQuota": config.cpu_quota, "cpuShares": config.cpu_shares,
        "memory": config.memory,
    });
    if !config.huge_pages.is_empty() {
        let pages: BTreeMap<String, i64> =
            config.huge_pages.iter().map(|(size, most)| (size.to_string(), *most)).collect();
        shown["hugepages"] = json!(pages);
    }
    let unified = Some(config.unified).filter(|unified| !unified.is_empty());
    compare(case, json!({"cgroup": shown, "memoryQoS": unified, "withoutCPUQuota": free.cpu_quota}))
}

fn pod_cgroup_names(case: &Value) -> Result<(), String> {
    let (root, uid): (String, String) = (field(case, "cgroupRoot")?, field(case, "uid")?);
    let name = |driver| Ok::<_, String>(name::of_pod(&root, field(case, "qos")?, &uid, driver));
    compare(case, json!({"cgroupfs": name(Driver::Cgroupfs)?, "systemd": name(Driver::Systemd)?}))
}

fn cpu_throttling_model(case: &Value) -> Result<(), String> {
    let requests: Vec<BTreeMap<String, f64>> = field(case, "requests")?;
    let demands: Vec<Demand> = requests.iter().map(|of| Demand { at: of["atMs"], cpu: of["cpuMs"] }).collect();
    let limit = Limit { period: field(case, "periodMs")?, quota: field(case, "quotaMs")?, cpus: field(case, "cpus")? };
    let outcome = throttling::run(&limit, &demands);
    // The table has microseconds of milliseconds, and whole numbers as such.
    let shown = |number: f64| {
        let rounded = (number * 1e6).round() / 1e6;
        if rounded.fract() == 0.0 { json!(rounded as i64) } else { json!(rounded) }
    };
    let finished: Vec<Value> = outcome.finished.iter().map(|at| shown(*at)).collect();
    compare(
        case,
        json!({
            "finishedAtMs": finished, "periodsWithDemand": outcome.periods,
            "throttledPeriods": outcome.throttled_periods, "throttledMs": shown(outcome.throttled),
        }),
    )
}

fn eviction_admission(case: &Value) -> Result<(), String> {
    let toleration: String = field(case, "toleration")?;
    let pressure = |of: &str| format!("node.kubernetes.io/{of}");
    let tolerations = match toleration.split_once(':') {
        _ if toleration == "none" => json!([]),
        _ if toleration == "everything" => json!([{"operator": "Exists"}]),
        Some((of, effect)) => json!([{"key": pressure(of), "operator": "Exists", "effect": effect}]),
        None => json!([{"key": pressure(&toleration), "operator": "Exists"}]),
    };
    let pod: Pod = from(json!({"spec": {"containers": [], "priority": case["priority"], "tolerations": tolerations}}))?;
    let conditions: Vec<String> = field(case, "conditions")?;
    // A node of which each condition is seen, if it is one of the case.
    let capacity = |of: i64| Quantity::new(of, Format::BinarySI);
    let signals = ["memory.available", "nodefs.available", "pid.available"];
    let hard = signals.map(|signal| (signal.to_string(), "10".to_string()));
    let thresholds = ThresholdConfig { eviction_hard: Some(hard.into()), ..ThresholdConfig::default() }.parse()?;
    let config = Config {
        thresholds,
        capacity: signals.map(|signal| (signal.to_string(), capacity(100))).into(),
        transition: Instant::seconds(60),
        ..Config::default()
    };
    let mut manager = Manager::new(config, solutions::modules().eviction);
    let left = |name: &str| if conditions.iter().any(|one| one == name) { 0 } else { 100 };
    let left = ["MemoryPressure", "DiskPressure", "PIDPressure"].map(left);
    let available = signals.iter().zip(left).map(|(signal, left)| (signal.to_string(), capacity(left))).collect();
    let figures = Figures { available, ..Figures::default() };
    let mut node = Tick { said: &Value::Null, figures: figures.clone(), collected: false };
    manager.look(Instant::default(), &figures, &[], &mut node);
    let answer = manager.admit(&pod, field(case, "qos")?);
    let reason = answer.is_err().then_some("Evicted");
    compare(case, json!({"admit": answer.is_ok(), "message": answer.err(), "reason": reason}))
}

fn kill_grace_period(case: &Value) -> Result<(), String> {
    let probe = |of: &str| match &case[format!("{of}ProbeTerminationGracePeriodSeconds")] {
        Value::Null => Value::Null,
        seconds => json!({"terminationGracePeriodSeconds": seconds}),
    };
    let container = json!({"name": "c", "livenessProbe": probe("liveness"), "startupProbe": probe("startup")});
    let pod: Pod = from(json!({
        "metadata": {"deletionGracePeriodSeconds": case["deletionGracePeriodSeconds"]},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": case["terminationGracePeriodSeconds"]},
    }))?;
    let reason = match case["reason"].as_str() {
        Some("LivenessProbe") => Some(Reason::LivenessProbe),
        Some("StartupProbe") => Some(Reason::StartupProbe),
        _ => None,
    };
    compare(case, json!({"grace": termination::grace(&pod, &from(container)?, reason)}))
}

fn crashloop_backoff(case: &Value) -> Result<(), String> {
    let runs: Vec<i64> = field(case, "runSeconds")?;
    let mut memory = CrashLoop::new(solutions::modules().pod_lifecycle.make(&()).into());
    let (mut now, mut restarts) = (Instant::default(), Vec::new());
    for (index, run) in runs.iter().enumerate() {
        let started = now;
        now = now + Instant::seconds(*run);
        let ended = now;
        let delay = memory.delay(ended);
        let mut restart = json!({
            "restart": index + 1, "startedAt": started.nanos / 1_000_000_000, "finishedAt": ended.nanos / 1_000_000_000,
            "delay": delay.map_or(0, |delay| delay.nanos / 1_000_000_000),
        });
        if let Some(delay) = delay {
            restart["error"] = json!("CrashLoopBackOff");
            restart["message"] = json!(format!("back-off {delay} restarting failed container=c pod=p_ns(u)"));
            now = now + delay;
        }
        memory.start(ended, now);
        restarts.push(restart);
    }
    compare(case, json!({"restarts": restarts}))
}

/// A pod of a case: name, priority, its own grace period, and how long it takes.
type Leaving = (String, i32, Option<i64>, Option<i64>);

fn graceful_node_shutdown(case: &Value) -> Result<(), String> {
    let mut groups: Vec<Group> = Vec::new();
    for of in case["shutdownGracePeriodByPodPriority"].as_array().into_iter().flatten() {
        groups.push(Group { priority: field(of, "priority")?, seconds: field(of, "shutdownGracePeriodSeconds")? });
    }
    if case["shutdownGracePeriod"].is_i64() {
        groups =
            shutdown::two_groups(field(case, "shutdownGracePeriod")?, field(case, "shutdownGracePeriodCriticalPods")?);
    }
    groups.sort_by_key(|group| group.priority);
    let pod = |of: &Value| -> Result<Leaving, String> {
        let (own, takes) = (field(of, "terminationGracePeriodSeconds")?, field(of, "exitsAfterSeconds")?);
        Ok((field(of, "name")?, field(of, "priority")?, own, takes))
    };
    let pods: Vec<Leaving> = case["pods"].as_array().into_iter().flatten().map(pod).collect::<Result<_, _>>()?;
    let (mut now, mut timeline) = (0, Vec::new());
    for (index, group) in groups.iter().enumerate() {
        let mut last = now;
        for (name, _, own, takes) in pods.iter().filter(|pod| shutdown::group_of(&groups, pod.1) == index) {
            let grace = shutdown::grace(*group, *own);
            let gone = now + takes.map_or(grace, |takes| takes.min(grace));
            timeline.push(json!({"event": "kill", "gracePeriodSeconds": grace, "pod": name, "t": now}));
            timeline.push(json!({"event": "gone", "pod": name, "t": gone}));
            last = last.max(gone);
        }
        now = last;
    }
    timeline.sort_by_key(|event| (event["t"].as_i64(), event["event"].to_string(), event["pod"].to_string()));
    let shown = groups.iter().map(|group| json!({"priority": group.priority, "seconds": group.seconds}));
    compare(
        case,
        json!({
            "groups": shown.collect::<Vec<_>>(), "inhibitorSeconds": shutdown::delay(&groups), "doneAt": now,
            "timeline": timeline,
        }),
    )
}

/// The node of a case at one tick.
struct Tick<'a> {
    said: &'a Value,
    figures: Figures,
    collected: bool,
}

impl Node for Tick<'_> {
    fn usage(&self, pod: &Pod) -> Option<PodFigures> {
        let name = pod.metadata.name.as_deref()?;
        let amount = |of: &str| {
            let said = &self.said[of][name];
            said.as_i64().or_else(|| Some(said.as_str()?.parse::<Quantity>().ok()?.value()))
        };
        let (memory, disk, processes) = (amount("memory"), amount("rootfs"), amount("processes"));
        let usage = Usage {
            memory: memory.unwrap_or(0),
            ephemeral_storage: disk.unwrap_or(0),
            inodes: 0,
            pids: processes.unwrap_or(0),
        };
        Some(PodFigures { usage, containers: vec![("c".into(), memory, disk)] })
    }

    fn collect_garbage(&mut self) -> Figures {
        self.collected = true;
        self.figures.clone()
    }
}

/// Amounts of a node by the signals that watch them.
fn by_signal(of: &Value, image_fs: bool) -> BTreeMap<String, Quantity> {
    let mut all = BTreeMap::new();
    for (signal, of_case, format) in [
        ("memory.available", "memory", Format::BinarySI),
        ("nodefs.available", "nodefs", Format::BinarySI),
        ("nodefs.inodesFree", "nodefsInodes", Format::DecimalSI),
        ("imagefs.available", "imagefs", Format::BinarySI),
        ("pid.available", "pids", Format::DecimalSI),
    ] {
        let amount = of[of_case].as_str().and_then(|text| text.parse::<Quantity>().ok());
        all.extend(amount.map(|amount| (signal.to_string(), Quantity::new(amount.value(), format))));
    }
    // Without one of their own, images are on the node's file system.
    for of in ["available", "inodesFree"].into_iter().filter(|_| !image_fs) {
        let nodefs = all.get(&format!("nodefs.{of}")).cloned();
        all.extend(nodefs.map(|nodefs| (format!("imagefs.{of}"), nodefs)));
    }
    all
}

fn eviction_sync(case: &Value) -> Result<(), String> {
    let seconds = |of: &Value| Instant::seconds(of.as_i64().unwrap_or(0));
    let thresholds: ThresholdConfig = field(case, "config")?;
    let image_fs = case["dedicatedImageFs"] == true;
    let config = Config {
        thresholds: thresholds.parse()?,
        capacity: by_signal(&case["capacity"], image_fs),
        transition: seconds(&case["config"]["pressureTransitionPeriodSeconds"]),
        max_grace: field(&case["config"], "maxPodGracePeriodSeconds")?,
        image_fs,
    };
    let mut manager = Manager::new(config, solutions::modules().eviction);
    let pod = |of: &Value| -> Result<Pod, String> {
        let source = (of["static"] == true).then_some(json!({"kubernetes.io/config.source": "file"}));
        let memory = |of: &Value| if of.is_null() { json!({}) } else { json!({"memory": of}) };
        from(json!({
            "metadata": {"name": of["name"], "annotations": source},
            "spec": {
                "priority": of["priority"], "terminationGracePeriodSeconds": of["terminationGracePeriodSeconds"],
                "containers": [{"name": "c", "resources":
                    {"requests": memory(&of["memoryRequest"]), "limits": memory(&of["memoryLimit"])}}],
            },
        }))
    };
    let mut pods: Vec<Pod> = case["pods"].as_array().into_iter().flatten().map(pod).collect::<Result<_, _>>()?;
    let mut before = Instant::default();
    for tick in case["ticks"].as_array().into_iter().flatten() {
        let now = seconds(&tick["t"]);
        let measured = if tick["staleStats"] == true { before } else { now };
        let figures = Figures { available: by_signal(&tick["available"], image_fs), measured };
        before = measured;
        let mut node = Tick { said: tick, figures: figures.clone(), collected: false };
        let outcome = manager.look(now, &figures, &pods, &mut node);
        let mut shown = json!({"conditions": outcome.conditions});
        if let Some(resource) = outcome.reclaims {
            shown["nodeEvents"] = json!([format!("Warning EvictionThresholdMet Attempting to reclaim {resource}")]);
        }
        if node.collected {
            (shown["containerGC"], shown["imageGC"]) = (json!(true), json!(true));
        }
        if let Some(evicted) = outcome.evicted {
            pods.retain(|pod| pod.metadata.name.as_ref() != Some(&evicted.pod));
            shown["evicted"] = json!({
                "pod": evicted.pod, "gracePeriodSeconds": evicted.grace, "message": evicted.message, "phase": "Failed",
                "reason": "Evicted", "condition": "DisruptionTarget=True TerminationByKubelet",
            });
        }
        compare(tick, json!({"out": shown}))?;
    }
    Ok(())
}
