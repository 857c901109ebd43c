//! What each call of each exercise is asked with, and which part of its answer.

use super::members::LEADER;
use serde_json::Value;

/// One kind of question.
pub struct Ask {
    /// `chapter/exercise`.
    pub exercise: &'static str,
    /// The call, or what stands for it.
    pub call: &'static str,
    /// The question, to a person.
    pub ask: &'static str,
    /// The heading of the page that explains it, as an anchor.
    pub read: &'static str,
    /// Whether the answer is typed, since it is a number or a word that nobody should guess from a list.
    pub typed: bool,
    /// Which lines of the answer are asked for.
    pub part: Part,
    /// How often it is asked, beside the others of the exercise.
    pub weight: usize,
}

/// A part of an answer.
#[derive(Clone, Copy)]
pub enum Part {
    /// All lines.
    Whole,
    /// The first line.
    First,
    /// All lines but those that begin so.
    Without(&'static str),
    /// What a member of a group saves, applies and says, the same to several members only once.
    Member,
    /// What a leader applies.
    Applied,
}

impl Ask {
    /// The lines of the part that is asked for.
    pub fn part(&self, lines: Vec<String>) -> Vec<String> {
        match self.part {
            Part::Whole => lines,
            Part::First => lines.into_iter().take(1).collect(),
            Part::Without(start) => lines.into_iter().filter(|line| !line.starts_with(start)).collect(),
            Part::Member => member(&lines),
            Part::Applied => {
                let applied: Vec<_> = lines.into_iter().filter(|line| line.starts_with("apply ")).collect();
                if applied.is_empty() { vec!["nothing".into()] } else { applied }
            }
        }
    }
}

fn member(lines: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in lines {
        // When the timer is wound up, and where a follower thinks that logs may agree, members may differ.
        let line = match line.split_once(", may agree at ") {
            Some((before, after)) => format!("{before}, {}", after.split_once(", ").map_or("", |(_, term)| term)),
            None => line.clone(),
        };
        let split = |line: &str| {
            Some(line.strip_prefix("to ")?.split_once(": ")?).map(|(to, what)| (to.to_string(), what.to_string()))
        };
        match (all.last().and_then(|last| split(last)), split(&line)) {
            (Some((others, before)), Some((to, what))) if before == what => {
                all.pop();
                all.push(format!("to {others}, {to}: {what}"));
            }
            _ if line == "reset the election timer" || line == "none" => {}
            _ => all.push(line),
        }
    }
    if all.is_empty() {
        all.push("nothing".into());
    }
    all
}

/// The kinds of questions of an exercise.
pub fn of(exercise: &str) -> impl Iterator<Item = &'static Ask> {
    ALL.iter().filter(move |ask| ask.exercise == exercise)
}

/// The call that begins anew in an exercise whose modules keep nothing beyond it.
pub fn begins(exercise: &str) -> Option<&'static str> {
    match exercise {
        "scheduler/preemption" => Some("select"),
        _ => None,
    }
}

/// Whether a module of the exercise remembers earlier questions.
pub fn remembers(exercise: &str) -> bool {
    const STATES: [&str; 12] = [
        "control_plane/informer",
        "control_plane/raft_election",
        "control_plane/raft_replication",
        "control_plane/store",
        "control_plane/work_queue",
        "design/serverless",
        "failure/leader_election",
        "failure/node_lifecycle",
        "node/eviction",
        "node/probes",
        "scheduler/preemption",
        "scheduler/queue",
    ];
    STATES.contains(&exercise)
}

/// Answers that are always worth an option, as JSON, since there are few.
pub fn always(exercise: &str, call: &str) -> &'static [&'static str] {
    match (exercise, call) {
        ("network/load_balancer", "service_changed" | "node_changed") => &["true", "false"],
        ("network/load_balancer", "task") => &["\"nothing\"", "\"ensure\"", "\"clean_up\""],
        ("node/eviction", "admit") => &["true", "false"],
        ("node/qos", "class") => &["\"Guaranteed\"", "\"Burstable\"", "\"BestEffort\""],
        ("scheduler/node_affinity", "filter") | ("control_plane/informer", "has_synced") => &["true", "false"],
        ("control_plane/work_queue", "drained") => &["true", "false"],
        ("observability/alerts", "mutes") => &["true", "false"],
        ("observability/traces", "broken") => &["null", "\"NotSent\"", "\"Altered\"", "\"Ignored\""],
        ("observability/traces", "decide") => &["\"Sampled\"", "\"NotSampled\"", "\"Dropped\""],
        ("objects/selector", _) => &["{\"Ok\":true}", "{\"Ok\":false}", "{\"Err\":null}"],
        ("objects/quantity", "compare") => &["-1", "0", "1"],
        _ => &[],
    }
}

/// What a module is made with, in words; none where nothing about it is to be known.
pub fn set_up(exercise: &str, config: &Value) -> Option<(&'static str, String)> {
    let number = |field: &str, usual: i64| config[field].as_i64().unwrap_or(usual);
    let members = || config["members"].as_array().map_or(0, Vec::len);
    Some(match exercise {
        "scheduler/queue" => {
            let (first, most) = (number("initial_backoff", 1000), number("max_backoff", 10_000));
            let long = number("max_unschedulable", 300_000);
            ("times", format!("backoff {first} ms, at most {most} ms; unschedulable for at most {long} ms"))
        }
        "control_plane/work_queue" => {
            let (base, most) = (number("base_delay", 5), number("max_delay", 1_000_000));
            let (qps, burst) = (number("qps", 10), number("burst", 100));
            ("limits", format!("delay {base} ms, at most {most} ms; bucket of {burst} tokens, {qps} more a second"))
        }
        "control_plane/informer" => match number("resync", 0) {
            0 => ("informer", "without resync".into()),
            resync => ("informer", format!("with a resync every {resync} ms")),
        },
        "failure/node_lifecycle" => {
            let (grace, start) =
                (number("node_monitor_grace_period_seconds", 50), number("node_startup_grace_period_seconds", 60));
            let part = |field: &str, usual: f64| config[field].as_f64().unwrap_or(usual);
            let (rate, second) = (part("node_eviction_rate", 0.1), part("secondary_node_eviction_rate", 0.01));
            let (share, large) = (part("unhealthy_zone_threshold", 0.55), number("large_cluster_size_threshold", 50));
            let periods = format!("grace period {grace} s, {start} s at start-up; rate {rate} nodes a second, ");
            let zones = format!("{second} where {share} of a zone with more than {large} nodes aren't ready");
            ("flags", periods + &zones)
        }
        "design/serverless" => {
            let config = serde_json::from_value::<kit_contract::design::serverless::Config>(config.clone()).ok()?;
            ("limits", kit_contract::Show::lines(&config).join("; "))
        }
        "node/eviction" => {
            let config = serde_json::from_value::<kit_contract::node::eviction::Config>(config.clone()).ok()?;
            ("thresholds", kit_contract::Show::lines(&config).join("; "))
        }
        "node/probes" => {
            let config = serde_json::from_value::<kit_contract::node::probes::Config>(config.clone()).ok()?;
            ("probes", kit_contract::Show::lines(&config).join("; "))
        }
        "control_plane/raft_election" => {
            let voted = config["ballot"]["voted_for"].as_u64().map_or("nobody".into(), |id| format!("member {id}"));
            let term = config["ballot"]["term"].as_u64().unwrap_or(0);
            let log = match (config["log"]["index"].as_u64().unwrap_or(0), config["log"]["term"].as_u64().unwrap_or(0))
            {
                (0, _) => "its log is empty".to_string(),
                (index, term) => format!("its log ends at index {index} of term {term}"),
            };
            ("begin", format!("member 1 of {}: term {term}, voted for {voted}; {log}", members()))
        }
        "control_plane/raft_replication" => {
            let entries = config["log"].as_array().into_iter().flatten();
            let terms: Vec<_> = entries.map(|entry| entry["term"].to_string()).collect();
            let log =
                if terms.is_empty() { "empty".to_string() } else { format!("entries of terms {}", terms.join(", ")) };
            ("begin", format!("member 1 of {}: term {}, log: {log}", members(), number("term", 0)))
        }
        _ => return None,
    })
}

/// Whether a history can be told with less than all of it.
pub fn can_be_shorter(exercise: &str) -> bool {
    // What the server says follows from what it was asked, as a candidate's outcomes do, one node's questions follow from each other, and so do the
    // messages of a group.
    let whole =
        ["control_plane/informer", "failure/leader_election", "node/eviction", "node/probes", "scheduler/preemption"];
    !whole.contains(&exercise) && !exercise.starts_with("control_plane/raft_")
}

/// Whether a history without some of its steps is one that can happen.
pub fn can_happen(exercise: &str, steps: &[(String, Value)], answers: &[String]) -> bool {
    match exercise {
        // Only workers that got a key are done with it.
        "control_plane/work_queue" => {
            let mut at_work: Vec<String> = Vec::new();
            steps.iter().zip(answers).all(|((call, args), answer)| {
                if call == "get" {
                    let key = serde_json::from_str::<Value>(answer)
                        .ok()
                        .and_then(|next| next["key"].as_str().map(String::from));
                    at_work.extend(key);
                }
                if call != "done" {
                    return true;
                }
                let place = at_work.iter().position(|key| args["key"] == **key);
                place.map(|place| at_work.remove(place)).is_some()
            })
        }
        other => can_be_shorter(other),
    }
}

/// Some calls are of less interest: their names end so that a constant can tell.
const fn weight(call: &str) -> usize {
    match call.as_bytes() {
        b"normalize" | b"has_synced" | b"drained" | b"compare" | b"compact" | b"len" | b"num_requeues" => 1,
        b"filter" | b"monitor" | b"decide" | b"sync" | b"step" | b"range" => 4,
        _ => 2,
    }
}

const fn choose(exercise: &'static str, call: &'static str, ask: &'static str, read: &'static str, part: Part) -> Ask {
    Ask { exercise, call, ask, read, typed: false, part, weight: weight(call) }
}

const fn type_in(exercise: &'static str, call: &'static str, ask: &'static str, read: &'static str) -> Ask {
    Ask { exercise, call, ask, read, typed: true, part: Part::First, weight: weight(call) }
}

use Part::{Applied, First, Member, Whole, Without};

const ALL: &[Ask] = &[
    choose("control_plane/admission", "admit", "What does the pod look like afterwards?", "the-four-plugins", Whole),
    choose("control_plane/admission", "validate", "Is it admitted, and what is charged?", "resourcequota", Whole),
    choose("control_plane/concurrency", "play", "How does it end, when everybody has written?", "conflicts", Whole),
    choose("control_plane/garbage_collector", "process", "What becomes of the object now?", "what-follows", Whole),
    choose("control_plane/informer", "step", "What follows from the last event?", "list-then-watch", Whole),
    choose("control_plane/informer", "has_synced", "Has the informer synced?", "has-synced", Whole),
    choose("control_plane/informer", "get", "What does the cache have under this key?", "events", Whole),
    choose("control_plane/informer", "by_index", "Which keys does the index have under this value?", "indexes", Whole),
    choose("control_plane/raft_election", "step", "What does member 1 save and send now?", "whom-to-vote-for", Member),
    choose(
        "control_plane/raft_replication",
        "step",
        "What does follower 1 save, apply and answer now?",
        "where-logs-differ",
        Member,
    ),
    choose(
        "control_plane/raft_replication",
        LEADER,
        "Which entries does leader 1 apply now?",
        "what-is-committed",
        Applied,
    ),
    choose("control_plane/store", "range", "What does this read show?", "reading-the-past", Whole),
    choose("control_plane/store", "txn", "What does this transaction answer?", "transactions", Whole),
    choose("control_plane/store", "compact", "What does the compaction answer?", "compaction", Whole),
    choose("control_plane/store", "watch", "What becomes of this watch?", "watches-and-compaction", Whole),
    choose("control_plane/store", "events", "Which events are owed now?", "watches", Whole),
    choose("control_plane/work_queue", "get", "What is this worker to do?", "one-key-once", Whole),
    type_in("control_plane/work_queue", "num_requeues", "How many failures of the key count?", "failures"),
    type_in("control_plane/work_queue", "len", "How many keys are queued?", "keys-that-wait"),
    choose("control_plane/work_queue", "drained", "May whoever shut the queue down go on?", "shutting-down", Whole),
    choose("design/serverless", "invoke", "What becomes of the request?", "limits", Whole),
    type_in("design/serverless", "ended", "How many environments are there now?", "environments"),
    choose("design/serverless", "after", "What becomes of the event?", "retries", Whole),
    choose("design/serverless", "bill", "What does the function cost?", "the-bill-of-functions", Whole),
    choose("design/serverless", "machines", "How many machines does it need?", "the-bill-of-a-cluster", Whole),
    choose("design/serverless", "cluster_bill", "What does the cluster cost?", "the-bill-of-a-cluster", Whole),
    choose("design/serverless", "break_even", "How many requests is it?", "where-both-meet", Whole),
    choose("failure/database_operator", "roles", "Which labels change?", "three-services", Whole),
    choose("failure/database_operator", "next", "What does the operator do next?", "when-the-primary-is-silent", Whole),
    choose("failure/database_operator", "backups", "What happens to the backups?", "backups", Whole),
    choose("failure/database_operator", "restore", "With what is it restored?", "point-in-time", Whole),
    choose("failure/disruption", "expected", "How many pods must be healthy?", "what-must-be-there", Whole),
    choose("failure/disruption", "sync", "What is the status of the budget?", "what-is-there", Whole),
    choose("failure/disruption", "evict", "What becomes of the eviction?", "one-eviction", Whole),
    choose("failure/leader_election", "step", "What does the candidate do now?", "getting-the-lease", Whole),
    choose("failure/node_lifecycle", "node_changed", "What does the controller do?", "noschedule-taints", Whole),
    choose("failure/leader_election", "step", "What does the candidate do now?", "getting-the-lease", Whole),
    choose("failure/node_lifecycle", "monitor", "What does this pass of the controller do?", "signs-of-life", Whole),
    choose("failure/node_lifecycle", "taint", "Who gets a NoExecute taint now?", "the-rate-of-a-zone", Whole),
    choose("network/blue_green", "problems", "What do the pods lack?", "what-zero-downtime-needs", Whole),
    choose("network/blue_green", "share", "How many pods of each version?", "canary-by-numbers", Whole),
    choose("network/blue_green", "next", "What does the controller of the release do next?", "how-it-works", Whole),
    choose("network/dns", "answer", "What does the server answer?", "names", Whole),
    choose("network/endpoints", "reconcile", "What does the controller write?", "how-it-works", Whole),
    choose("network/kube_proxy", "rules", "Where does the packet end?", "how-it-works", Whole),
    choose("network/load_balancer", "task", "What is there to do for the service?", "who-wants-one", Whole),
    choose("network/load_balancer", "hosts", "Which nodes are behind a load balancer?", "which-nodes-are-hosts", Whole),
    choose("network/load_balancer", "service_changed", "Is the change worth a call?", "which-changes-count", Whole),
    choose("network/load_balancer", "node_changed", "Is the change worth a look?", "which-changes-count", Whole),
    choose("network/load_balancer", "sync", "What does the controller do?", "the-finalizer-comes-first", Whole),
    choose(
        "network/network_policy",
        "judge",
        "Does the connection pass, and what do the policies of its ends say?",
        "both-sides",
        Whole,
    ),
    choose("network/pod_network", "attach", "Which address does the pod get, and what else?", "addresses", Whole),
    choose("network/pod_network", "sync", "What does the node's agent write?", "how-it-works", Whole),
    choose("node/eviction", "look", "What does the kubelet do after this look?", "how-it-works", Whole),
    choose("node/eviction", "collected", "Is it enough, and if not, who is evicted?", "images-first", Whole),
    choose("node/eviction", "admit", "Is the new pod let in?", "who-is-let-in", Whole),
    choose("node/limits", "container", "What is the runtime told of the container?", "one-container", Whole),
    choose("node/limits", "pod", "What stands in the files of the pod's cgroup?", "the-cgroup-of-a-pod", Whole),
    choose("node/limits", "serve", "What becomes of the requests?", "throttling", Whole),
    choose("node/limits", "out_of_memory", "Whom does the kernel kill?", "who-is-killed", Whole),
    choose("node/probes", "sync", "What does the kubelet make of it?", "started-and-ready", Whole),
    choose("node/probes", "wake", "Which probes are done now, and when is the next tick?", "tickers", Whole),
    choose("node/probes", "outcome", "What follows?", "thresholds", Whole),
    choose("node/pod_lifecycle", "back_off", "May the container start now?", "the-back-off", Whole),
    choose("node/pod_lifecycle", "actions", "What does the kubelet do now?", "how-it-works", Whole),
    choose("node/pod_lifecycle", "stop", "Who is sent SIGTERM by now?", "the-last-to-go", Whole),
    choose("node/pod_lifecycle", "status", "What does the pod's status say?", "phase-and-conditions", Whole),
    choose("node/qos", "class", "Which class does the pod have?", "the-class", Whole),
    type_in("node/qos", "oom_score_adj", "What is the container's oom_score_adj?", "the-score"),
    type_in(
        "objects/quantity",
        "canonical",
        "What is the canonical form? `not a quantity` is an answer, too.",
        "one-amount-one-text",
    ),
    type_in("objects/quantity", "value", "How many whole units are counted?", "exact-and-how-far"),
    type_in("objects/quantity", "milli_value", "How many thousandths are counted?", "exact-and-how-far"),
    choose(
        "objects/quantity",
        "compare",
        "How does a compare with b? -1: less, 0: equal, 1: greater.",
        "two-families",
        Whole,
    ),
    type_in("objects/quantity", "add", "What is the sum, in canonical form?", "sums"),
    type_in("objects/quantity", "sub", "What is the difference, in canonical form?", "sums"),
    choose("objects/selector", "selects", "Does the selector mean the object?", "absent-and-empty", Whole),
    choose("objects/selector", "labels", "Does the selector mean the object?", "a-selector-as-a-text", Whole),
    choose("objects/selector", "fields", "Does the selector mean the object?", "selectors-on-fields", Whole),
    choose("observability/alerts", "evaluate", "Which alerts does the rule have now?", "pending-and-firing", Whole),
    choose("observability/alerts", "send", "What is sent to Alertmanager?", "sent-again-and-again", Whole),
    choose("observability/alerts", "route", "Where does the alert end?", "the-tree-of-routes", Whole),
    choose("observability/alerts", "join", "When is the group flushed?", "when-a-group-is-flushed", Whole),
    choose("observability/alerts", "mutes", "Is the alert muted?", "silences", Whole),
    choose("observability/alerts", "flush", "What follows from the flush?", "what-is-news", Whole),
    choose("observability/logs", "cut", "Which blocks can be read?", "where-a-position-may-be", Whole),
    choose("observability/metrics", "expose", "What does the scrape get?", "a-page", Whole),
    choose("observability/metrics", "latest", "What is the series now?", "now-and-no-longer", Whole),
    choose("observability/metrics", "over_range", "What does it come to?", "how-much-a-counter-rose", Whole),
    choose("observability/metrics", "histogram_quantile", "What is the quantile?", "quantiles-of-histograms", Whole),
    choose("observability/metrics", "figure", "What is the figure?", "the-key-figures", Whole),
    choose("observability/traces", "extract", "What does the header say?", "the-header", Whole),
    choose("observability/traces", "begin", "What is the context of the new span?", "a-span-begins", Whole),
    choose("observability/traces", "tree", "Which rows does the waterfall have?", "spans-to-a-tree", Whole),
    choose("observability/traces", "critical_path", "What is on the critical path?", "the-critical-path", Whole),
    choose("observability/traces", "broken", "What went wrong with the context?", "where-a-context-breaks", Whole),
    choose("observability/traces", "decide", "Is the trace kept?", "policies", Whole),
    choose("scheduler/node_affinity", "node_names", "Which nodes are worth looking at?", "names", Whole),
    choose("scheduler/node_affinity", "filter", "May the pod run on the node?", "required", Whole),
    type_in("scheduler/node_affinity", "score", "What do the preferred terms add up to?", "preferred"),
    choose("scheduler/pod_affinity", "filter", "Where may the pod run?", "near", Whole),
    choose("scheduler/pod_affinity", "score", "What are the raw scores of the candidates?", "wishes", Whole),
    choose("scheduler/pod_affinity", "normalize", "What do the scores become?", "wishes", Whole),
    choose("scheduler/preemption", "select", "What does the plugin want to know first?", "victims-on-a-node", Whole),
    choose("scheduler/preemption", "checked", "What comes next?", "one-by-one", Whole),
    choose("scheduler/preemption", "pick", "On which node is room made?", "the-best-node", Whole),
    choose("scheduler/queue", "pop", "Which pod is tried now?", "who-is-next", Whole),
    choose("scheduler/resources_fit", "filter", "What does the node lack?", "which-resources", Whole),
    type_in("scheduler/score", "allocation", "What is the score, from 0 to 100?", "free-resources"),
    type_in("scheduler/score", "balanced", "What is the score, from 0 to 100?", "balance"),
    type_in("scheduler/score", "image_locality", "What is the score, from 0 to 100?", "images"),
    choose("scheduler/score", "normalize", "What do the scores become?", "from-points-to-a-node", Whole),
    choose("scheduler/taints", "filter", "Which taint keeps the pod away?", "matching", Whole),
    choose("scheduler/topology_spread", "filter", "Where may the pod go?", "the-skew", Whole),
    choose(
        "scheduler/topology_spread",
        "score",
        "What are the raw scores of the candidates?",
        "soft-constraints",
        Whole,
    ),
    choose("scheduler/topology_spread", "normalize", "What do the scores become?", "soft-constraints", Whole),
    choose("storage/claim_binding", "find", "Which volume does the claim get?", "which-volume", Whole),
    choose("storage/claim_binding", "sync_claim", "What does the controller do about the claim?", "four-writes", Whole),
    choose(
        "storage/claim_binding",
        "sync_volume",
        "What does the controller do about the volume?",
        "volumes-and-their-claims",
        Whole,
    ),
    choose(
        "storage/volumes",
        "reconcile",
        "What does the kubelet do about these volumes now?",
        "two-states-of-the-world",
        Without("in use"),
    ),
    choose("storage/volumes", "late", "What is said of the pod that waits?", "what-the-pod-is-told", Whole),
    choose("storage/volumes", "own", "What becomes of the files?", "a-group-for-the-files", Whole),
    choose("storage/volumes", "project", "Which files are there, or what is missing?", "what-the-files-are", Whole),
    choose("storage/volumes", "publish", "What is done in the directory, in which order?", "never-half", Whole),
    choose("workloads/daemon_set", "wants", "What does the DaemonSet want of this node?", "which-nodes", Whole),
    choose("workloads/daemon_set", "sync", "What does this look do?", "what-a-look-does", Without("status ")),
    choose("workloads/hpa", "propose", "What does this metric propose?", "the-formula", First),
    choose("workloads/hpa", "decide", "How many replicas does the target get?", "from-proposals-to-a-decision", First),
    choose("workloads/job", "size", "How many pods are made or deleted?", "how-many-pods", Whole),
    choose("workloads/job", "completed", "Which indexes have succeeded?", "indexes", Whole),
    choose("workloads/job", "pending", "Which indexes get a pod?", "which-index-is-next", Whole),
    choose("workloads/job", "failure", "What does the failure mean?", "what-a-failure-means", Whole),
    choose("workloads/job", "backoff", "How long does the next pod wait?", "how-long-to-wait", Whole),
    choose("workloads/job", "ending", "Does the job end, and why?", "how-a-job-ends", Whole),
    choose("workloads/replica_set", "sync", "What does this sync do?", "create-and-delete", Without("status ")),
    choose("workloads/rollback", "new_set", "Which set is the new one?", "which-set-is-the-new-one", Whole),
    choose("workloads/rollback", "annotate", "What are the new set's annotations?", "revisions", Whole),
    choose("workloads/rollback", "forget", "Which sets are deleted?", "what-is-forgotten", Whole),
    choose("workloads/rollback", "undo", "What does the undo send?", "undo", Whole),
    choose("workloads/rollback", "status", "How does the rollout stand?", "when-to-go-back", Whole),
    choose(
        "workloads/rolling_update",
        "fenceposts",
        "How far may the update go beyond and below?",
        "two-bounds",
        Whole,
    ),
    choose("workloads/rolling_update", "sync", "What does this sync do?", "a-step-of-a-rolling-update", Whole),
    choose("workloads/stateful_set", "sync", "What does this sync do?", "the-wanted-pods", Whole),
    choose("workloads/vpa", "evict", "Which pods are evicted, and in which order?", "who-is-evicted", Whole),
];

#[cfg(test)]
mod tests {
    use super::*;
    use kit_contract::EXERCISES;

    #[test]
    fn all_exercises_are_asked_and_nothing_else() {
        for exercise in EXERCISES {
            assert!(of(exercise).next().is_some(), "{exercise}");
        }
        assert!(ALL.iter().all(|ask| EXERCISES.contains(&ask.exercise)));
    }

    #[test]
    fn what_is_read_is_there() {
        let root = crate::content::root().expect("the kit's folder");
        for Ask { exercise, call, read, .. } in ALL {
            let page = std::fs::read_to_string(root.join(format!("book/src/{exercise}.md"))).expect("a page");
            let anchor = |line: &str| {
                let kept = line.trim_start_matches('#').trim().chars();
                let kept = kept.filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
                kept.collect::<String>().to_lowercase().replace(' ', "-")
            };
            let found = page.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == *read);
            assert!(found, "{exercise}.md has no heading #{read}, where {call} is explained");
        }
    }

    #[test]
    fn what_members_say_to_several_is_said_once() {
        let lines = [
            "save term 2, vote for 1",
            "to 2: heartbeat, term 2",
            "to 3: heartbeat, term 2",
            "reset the election timer",
        ];
        let lines = member(&lines.map(String::from));
        assert_eq!(lines, ["save term 2, vote for 1", "to 2, 3: heartbeat, term 2"]);
        let lines = member(&["to 2: refuses, may agree at 3, term 4".to_string()]);
        assert_eq!(lines, ["to 2: refuses, term 4"]);
        assert_eq!(member(&["none".to_string()]), ["nothing"]);
    }
}
