//! Conditions: what must be true of a cluster, in words that people write and read.
//!
//! | condition | is true if |
//! |---|---|
//! | `web ready >= 3`, `web pods <= 5` | the workload `web` has so many ready pods, or so many that are neither over nor going |
//! | `pods in shop with app=web ready >= 3` | so many pods are in this state: `all`, `active`, `ready`, `pending`, `running`, `succeeded`, `failed`, `terminating`. `in NAMESPACE`, `with LABELS` (`app=web,tier=api`) and `on NODE` may each be left out |
//! | `deployment/shop/web status.availableReplicas >= 3` | a field of the object is so: `=`, `!=`, `>=`, `<=`, `>`, `<`. Quantities are compared as such |
//! | `quota/shop/team spec.hard[requests.cpu] <= 4` | the same where a name has dots; `containers[web].image` is the element of this name or `type` |
//! | `cronjob/shop/copy status.lastSuccessfulTime younger than 6m` | a time in the object is no longer ago than this |
//! | `node/node-2 Ready`, `job/shop/copy not Failed` | its status has this condition with `True`, or has it not |
//! | `service/shop/web endpoints >= 3` | so many endpoints of the Service are ready, and have a port that it has |
//! | `pod/shop/client reaches web.shop:80`, `client not reaches node-1:30080` | connections from there come about, all of twelve, or none; of a cluster with a `network` only. From `client` (outside), a node, a pod, or all pods of `deployment/shop/web`; to a name as a program there would write it, an address, `service/shop/web:80` or `pod/shop/web-0:80`, each with `/udp` after it if so |
//! | `deployment/shop/web resolves db.shop within 1s` | all of those who ask get an address for the name in this time; of a cluster with a `network` only |
//! | `pod/shop/db-0 runs <= 1` | on so many nodes containers of a pod of this name run, whatever the API server knows of it |
//! | `exists pdb/shop/web`, `no namespace/shop` | there is such an object, or none |
//! | `kube-apiserver answers`, `kube-scheduler leads` | writes are taken, or a process has a leader |
//!
//! Objects are `kind/name` or `kind/namespace/name` as in steps, and `kind` may be short (`deploy`, `pdb`). A field that
//! isn't there is 0, `false` or `none`, since the API leaves out what is empty.

use super::observe::workload;
use super::step::Span;
use crate::engine::Engine;
use kit_api::core::{Pod, Service};
use kit_api::discovery::EndpointSlice;
use kit_api::jiff::Timestamp;
use kit_api::pod;
use kit_api::quantity::Quantity;
use kit_apimachinery::object::{Key, Kind};
use kit_apimachinery::resource::Resource;
use kit_network::fabric::reach::{From as Sender, Target};
use kit_time::agenda::Instant;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The process that answers requests.
const API_SERVER: &str = "kube-apiserver";
/// What is seen of a network where there is none.
const NO_NETWORK: &str = "this cluster simulates no network";
/// What says which Service a slice is about.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// What stands for a field that isn't there.
const NONE: &str = "none";

/// Something that is true of a cluster or not.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Condition {
    text: String,
    what: What,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    Pods { of: Pods, state: State, relation: Relation, bound: i64 },
    Field { object: Key, path: Vec<Part>, relation: Relation, value: String },
    Younger { object: Key, path: Vec<Part>, than: Instant },
    Status { object: Key, type_: String, holds: bool },
    Endpoints { service: Key, relation: Relation, bound: i64 },
    There { object: Key, there: bool },
    Runs { pod: Key, relation: Relation, bound: i64 },
    Reaches { from: Sender, to: Target, holds: bool },
    Resolves { from: Sender, name: String, within: Instant },
    Answers,
    Leads(String),
}

/// Which pods are counted.
#[derive(Debug, Clone, PartialEq, Default)]
struct Pods {
    workload: Option<String>,
    namespace: Option<String>,
    labels: Vec<(String, String)>,
    node: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    All,
    Active,
    Ready,
    Phase(&'static str),
    Terminating,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Relation {
    Is,
    IsNot,
    AtLeast,
    AtMost,
    More,
    Less,
}

/// One step into an object.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    Field(String),
    /// The value of a map, or the element of a list that has this name, type or number.
    Entry(String),
}

/// A condition, whether it holds, and what there is instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The condition.
    pub text: String,
    /// Whether it holds.
    pub holds: bool,
    /// The actual value.
    pub seen: String,
}

impl TryFrom<String> for Condition {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let what = read(&text).map_err(|why| format!("`{text}` is no condition: {why}"))?;
        Ok(Condition { text, what })
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn read(text: &str) -> Result<What, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["exists", target] => Ok(What::There { object: object(target)?, there: true }),
        ["no", target] => Ok(What::There { object: object(target)?, there: false }),
        [from, "reaches", to] => Ok(What::Reaches { from: Sender::read(from)?, to: Target::read(to)?, holds: true }),
        [from, "not", "reaches", to] => {
            Ok(What::Reaches { from: Sender::read(from)?, to: Target::read(to)?, holds: false })
        }
        [from, "resolves", name, "within", span] => {
            let Span(within) = Span::try_from(span.to_string())?;
            Ok(What::Resolves { from: Sender::read(from)?, name: name.into(), within })
        }
        [process, "answers"] if process == API_SERVER => Ok(What::Answers),
        [_, "answers"] => Err(format!("only `{API_SERVER}` answers")),
        [process, "leads"] => Ok(What::Leads(process.into())),
        ["pods", ref which @ .., state, relation, bound] => {
            let (of, state) = (pods(which)?, State::named(state)?);
            Ok(What::Pods { of, state, relation: relation.try_into()?, bound: number(bound)? })
        }
        [target, ref rest @ ..] if target.contains('/') => of_object(object(target)?, rest),
        [workload, state @ ("ready" | "pods"), relation, bound] => {
            let of = Pods { workload: Some(workload.into()), ..Pods::default() };
            let state = if state == "ready" { State::Ready } else { State::Active };
            Ok(What::Pods { of, state, relation: relation.try_into()?, bound: number(bound)? })
        }
        _ => Err("`web ready >= 3`, `pods in shop pending = 0`, `deployment/shop/web Available`, \
                  `deployment/shop/web spec.replicas >= 3`, `service/shop/web endpoints >= 1`, `exists pdb/shop/web`, \
                  `no namespace/shop` and `kube-apiserver answers` are"
            .into()),
    }
}

fn of_object(object: Key, rest: &[&str]) -> Result<What, String> {
    let type_ = |word: &str| match word.starts_with(|c: char| c.is_ascii_uppercase()) {
        true => Ok(word.to_string()),
        false => Err(format!("conditions of a status begin with a capital, as `Ready` does, and not `{word}`")),
    };
    match *rest {
        ["not", word] => Ok(What::Status { object, type_: type_(word)?, holds: false }),
        [word] => Ok(What::Status { object, type_: type_(word)?, holds: true }),
        ["endpoints", relation, bound] if object.kind == Kind::Service => {
            Ok(What::Endpoints { service: object, relation: relation.try_into()?, bound: number(bound)? })
        }
        ["runs", relation, bound] if object.kind == Kind::Pod => {
            Ok(What::Runs { pod: object, relation: relation.try_into()?, bound: number(bound)? })
        }
        [fields, "younger", "than", span] => {
            let Span(than) = Span::try_from(span.to_string())?;
            Ok(What::Younger { object, path: path(fields)?, than })
        }
        [fields, relation, ref value @ ..] if !value.is_empty() => {
            let (relation, value) = (Relation::try_from(relation)?, value.join(" "));
            if !matches!(relation, Relation::Is | Relation::IsNot) && value.parse::<Quantity>().is_err() {
                return Err(format!("`{value}` is no number, and only numbers are more or less than others"));
            }
            Ok(What::Field { object, path: path(fields)?, relation, value })
        }
        _ => {
            Err("after an object comes a condition of its status (`Ready`, `not Ready`), or a field, a relation and a \
                  value (`spec.replicas >= 3`)"
                .into())
        }
    }
}

fn object(target: &str) -> Result<Key, String> {
    let parts: Vec<&str> = target.split('/').collect();
    let (name, namespace, object) = match parts[..] {
        [kind, object] => (kind, "default", object),
        [kind, namespace, object] => (kind, namespace, object),
        _ => return Err(format!("`{target}` names no object; `deployment/shop/web` would")),
    };
    let short = || {
        let resource = Resource::all().iter().find(|resource| resource.short_names.iter().any(|short| short == name));
        resource.and_then(|resource| Kind::named(&resource.kind))
    };
    let kind =
        Kind::named(name).or_else(short).ok_or_else(|| format!("the cluster has no objects of kind `{name}`"))?;
    if !kind.namespaced() && parts.len() == 3 {
        return Err(format!("a {} is in no namespace", kind.name()));
    }
    Ok(Key::new(kind, if kind.namespaced() { namespace } else { "" }, object))
}

fn pods(words: &[&str]) -> Result<Pods, String> {
    let mut of = Pods::default();
    for pair in words.chunks(2) {
        match *pair {
            ["in", namespace] => of.namespace = Some(namespace.into()),
            ["on", node] => of.node = Some(node.into()),
            ["with", labels] => {
                for label in labels.split(',') {
                    let (name, value) =
                        label.split_once('=').ok_or_else(|| format!("a label is `app=web`, and not `{label}`"))?;
                    of.labels.push((name.into(), value.into()));
                }
            }
            _ => {
                return Err(format!("pods are `in NAMESPACE`, `with LABELS`, `on NODE`, and not `{}`", pair.join(" ")));
            }
        }
    }
    Ok(of)
}

fn path(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (entry, after) = inner.split_once(']').ok_or_else(|| format!("`{text}` has a `[` without a `]`"))?;
            parts.push(Part::Entry(entry.into()));
            rest = after;
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end == 0 {
                return Err(format!("`{text}` is no path of fields; `spec.replicas` is"));
            }
            parts.push(Part::Field(rest[..end].into()));
            rest = &rest[end..];
        }
    }
    Ok(parts)
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

impl TryFrom<&str> for Relation {
    type Error = String;
    fn try_from(text: &str) -> Result<Self, String> {
        Ok(match text {
            "=" => Relation::Is,
            "!=" => Relation::IsNot,
            ">=" => Relation::AtLeast,
            "<=" => Relation::AtMost,
            ">" => Relation::More,
            "<" => Relation::Less,
            _ => return Err(format!("`{text}` is none of = != >= <= > <")),
        })
    }
}

impl Relation {
    fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Relation::Is => ordering.is_eq(),
            Relation::IsNot => ordering.is_ne(),
            Relation::AtLeast => ordering.is_ge(),
            Relation::AtMost => ordering.is_le(),
            Relation::More => ordering.is_gt(),
            Relation::Less => ordering.is_lt(),
        }
    }
}

impl State {
    fn named(name: &str) -> Result<State, String> {
        Ok(match name {
            "all" => State::All,
            "active" => State::Active,
            "ready" => State::Ready,
            "pending" => State::Phase("Pending"),
            "running" => State::Phase("Running"),
            "succeeded" => State::Phase("Succeeded"),
            "failed" => State::Phase("Failed"),
            "terminating" => State::Terminating,
            _ => {
                return Err(format!(
                    "pods are all, active, ready, pending, running, succeeded, failed or terminating, and not `{name}`"
                ));
            }
        })
    }

    fn is(self, of: &Pod) -> bool {
        match self {
            State::All => true,
            State::Active => pod::is_active(of),
            State::Ready => pod::is_active(of) && pod::is_ready(of),
            State::Phase(phase) => pod::phase(of) == phase && !pod::is_terminating(of),
            State::Terminating => pod::is_terminating(of),
        }
    }
}

impl Pods {
    fn count(&self, state: State, engine: &Engine) -> usize {
        let snapshot = engine.server().snapshot();
        let all = snapshot.list(Kind::Pod);
        let here = all.filter(|stored| self.namespace.as_deref().is_none_or(|name| name == &*stored.key.namespace));
        let mine = here.filter(|stored| self.workload.as_deref().is_none_or(|name| name == workload(&stored.object)));
        let labelled = |pod: &Pod| {
            let has = pod.metadata.labels.as_ref();
            self.labels.iter().all(|(name, value)| has.and_then(|has| has.get(name)) == Some(value))
        };
        let there = |pod: &Pod| self.node.is_none() || pod::node_name(pod) == self.node.as_deref();
        let pods = mine.filter_map(|stored| stored.get::<Pod>());
        pods.filter(|pod| labelled(pod) && there(pod) && state.is(pod)).count()
    }
}

fn field(object: &Value, path: &[Part]) -> String {
    let mut value = object;
    for part in path {
        value = match (part, value) {
            (Part::Entry(entry), Value::Array(list)) => {
                let is = |item: &&Value| item["name"] == entry.as_str() || item["type"] == entry.as_str();
                let numbered = || entry.parse::<usize>().ok().and_then(|index| list.get(index));
                list.iter().find(is).or_else(numbered).unwrap_or(&Value::Null)
            }
            (Part::Field(name) | Part::Entry(name), value) => &value[name],
        };
    }
    match value {
        Value::Null => NONE.into(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn compare(seen: &str, relation: Relation, value: &str) -> bool {
    let missing = seen == NONE;
    match relation {
        Relation::Is | Relation::IsNot => {
            let equal = seen == value
                || missing && matches!(value, "0" | "false")
                || (seen.parse::<Quantity>().ok())
                    .is_some_and(|seen| value.parse::<Quantity>().is_ok_and(|value| seen == value));
            equal == (relation == Relation::Is)
        }
        relation => {
            let seen = if missing { "0" } else { seen };
            let both = seen.parse::<Quantity>().ok().zip(value.parse::<Quantity>().ok());
            both.and_then(|(seen, value)| seen.partial_cmp(&value)).is_some_and(|ordering| relation.holds(ordering))
        }
    }
}

impl Condition {
    /// Whether it holds now, and what there is.
    pub fn look(&self, engine: &Engine) -> Seen {
        let snapshot = engine.server().snapshot();
        let counted = |count: usize, relation: Relation, bound: i64| {
            (relation.holds((count as i64).cmp(&bound)), count.to_string())
        };
        let value = |key: &Key| snapshot.get(key).map(|stored| stored.to_value());
        let missing = || (false, "it is not there".to_string());
        let (holds, seen) = match &self.what {
            What::Pods { of, state, relation, bound } => counted(of.count(*state, engine), *relation, *bound),
            What::Field { object, path, relation, value: expected } => value(object).map_or_else(missing, |object| {
                let seen = field(&object, path);
                (compare(&seen, *relation, expected), seen)
            }),
            What::Younger { object, path, than } => value(object).map_or_else(missing, |object| {
                let seen = field(&object, path);
                let age = seen.parse::<Timestamp>().ok().map(|at| engine.server().time().duration_since(at));
                let age = age.map(|age| Instant::seconds(age.as_secs()));
                let text = age.map_or(seen, |age| format!("{age} ago"));
                (age.is_some_and(|age| age <= *than), text)
            }),
            What::Status { object, type_, holds } => value(object).map_or_else(missing, |object| {
                let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
                let found = all.iter().find(|condition| condition["type"] == type_.as_str());
                let text = |name: &str| found.and_then(|found| found[name].as_str()).unwrap_or_default();
                let because = if text("reason").is_empty() { String::new() } else { format!(" ({})", text("reason")) };
                let seen = found.map_or(NONE.into(), |_| format!("{}{because}", text("status")));
                ((text("status") == "True") == *holds, seen)
            }),
            What::Endpoints { service, relation, bound } => {
                let slices = snapshot.list_in(Kind::EndpointSlice, &service.namespace);
                let spec = snapshot.get(service).and_then(|stored| stored.get::<Service>()?.spec.as_ref());
                // A pod without the named port that the Service wants is in a slice without ports, where nobody finds it.
                let has_ports = spec.is_some_and(|spec| spec.ports.as_ref().is_some_and(|ports| !ports.is_empty()));
                let slices = slices.filter_map(|stored| stored.get::<EndpointSlice>()).filter(|slice| {
                    let labels = slice.metadata.labels.as_ref();
                    let is_own =
                        labels.and_then(|labels| labels.get(SERVICE_NAME)).is_some_and(|name| **name == *service.name);
                    is_own && (!has_ports || slice.ports.as_ref().is_some_and(|ports| !ports.is_empty()))
                });
                let ready = slices.flat_map(|slice| &slice.endpoints).filter(|endpoint| {
                    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true)
                });
                counted(ready.count(), *relation, *bound)
            }
            What::There { object, there } => {
                let stored = snapshot.get(object);
                let going = stored.is_some_and(|stored| stored.object.meta().deletion_timestamp.is_some());
                let seen = match (stored, going) {
                    (None, _) => "it is not there",
                    (_, false) => "it is there",
                    (_, true) => "it is being deleted",
                };
                (stored.is_some() == *there, seen.to_string())
            }
            What::Runs { pod, relation, bound } => {
                counted(engine.running().iter().filter(|(_, running)| running == pod).count(), *relation, *bound)
            }
            What::Resolves { from, name, within } => match engine.network() {
                None => (false, NO_NETWORK.into()),
                Some(network) => {
                    let looked = network.borrow_mut().resolves(from, name, *within);
                    (looked.all, looked.seen)
                }
            },
            What::Reaches { from, to, holds } => match engine.network() {
                None => (false, NO_NETWORK.into()),
                Some(network) => {
                    let looked = network.borrow_mut().look(from, to);
                    (if *holds { looked.all } else { !looked.any }, looked.seen)
                }
            },
            What::Answers => {
                let outage = engine.server().outage();
                (outage.is_none(), outage.map_or("it does".into(), |error| error.message))
            }
            What::Leads(process) => {
                let table = engine.control_plane();
                let found = table.into_iter().find(|(subject, _)| subject == process).map(|(_, said)| said);
                // Without hosts of their own processes always run.
                let seen = found.unwrap_or_else(|| "it always leads".into());
                (seen != "nobody leads", seen)
            }
        };
        Seen { text: self.text.clone(), holds, seen }
    }

    /// Whether it can change though no object did.
    pub(crate) fn is_of_more_than_objects(&self) -> bool {
        matches!(
            self.what,
            What::Answers
                | What::Leads(_)
                | What::Runs { .. }
                | What::Younger { .. }
                | What::Reaches { .. }
                | What::Resolves { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Config, start};
    use crate::engine::Clock;
    use crate::timeline::{Step, act};
    use serde_json::json;

    #[test]
    fn each_condition_says_what_there_is() {
        let mut engine = start(&Config::default(), &solutions::modules(), Clock::default());
        engine.run_until(Instant::seconds(1)).expect("the reference answers");
        let labels = json!({"app": "web"});
        let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"replicas": 3, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "c", "image": "web:1", "resources": {"requests": {"cpu": "1500m"}}}]}}}});
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"selector": labels, "ports": [{"port": 80}]}});
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        let by_name = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "named", "namespace": "shop"},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": "http"}]}});
        act(&mut engine, &Step::Apply(vec![namespace, web, service, by_name])).expect("good objects");
        engine.run_until(Instant::seconds(10)).expect("the reference answers");
        for (text, holds, seen) in [
            ("web ready >= 3", true, "3"),
            ("web pods < 3", false, "3"),
            ("pods in shop with app=web ready = 3", true, "3"),
            ("pods with app=web,tier=api all = 0", true, "0"),
            ("pods in shop on node-1 running <= 2", true, "1"),
            ("pods in shop pending > 0", false, "0"),
            ("deployment/shop/web status.availableReplicas >= 3", true, "3"),
            ("deploy/shop/web spec.template.spec.containers[c].image = web:1", true, "web:1"),
            ("deploy/shop/web spec.template.spec.containers[0].resources.requests.cpu <= 1", false, "1500m"),
            ("deploy/shop/web spec.template.spec.containers[0].resources.requests.cpu = 1.5", true, "1500m"),
            ("deploy/shop/web spec.paused = false", true, "none"),
            ("deploy/shop/web status.unavailableReplicas < 1", true, "none"),
            ("deploy/shop/web spec.paused != none", false, "none"),
            ("deploy/shop/web Available", true, "True (MinimumReplicasAvailable)"),
            ("deploy/shop/web metadata.creationTimestamp younger than 9s", true, "9s ago"),
            ("deploy/shop/web metadata.name younger than 9s", false, "web"),
            ("deploy/shop/api Available", false, "it is not there"),
            ("node/node-1 Ready", true, "True (KubeletReady)"),
            ("node/node-1 not MemoryPressure", true, "False (KubeletHasSufficientMemory)"),
            ("service/shop/web endpoints >= 4", false, "3"),
            // Its pods are ready, and none of their containers calls a port so.
            ("service/shop/named endpoints >= 1", false, "0"),
            ("exists pdb/shop/web", false, "it is not there"),
            ("no namespace/shop", false, "it is there"),
            ("kube-apiserver answers", true, "it does"),
            ("kube-scheduler leads", true, "it always leads"),
            ("client reaches web.shop:80", false, "this cluster simulates no network"),
            ("pod/shop/client resolves web.shop within 1s", false, "this cluster simulates no network"),
        ] {
            let condition = Condition::try_from(text.to_string()).unwrap_or_else(|why| panic!("{why}"));
            let expected = Seen { text: text.into(), holds, seen: seen.into() };
            assert_eq!(condition.look(&engine), expected);
        }
    }

    #[test]
    fn what_is_no_condition_is_told_why() {
        for (text, why) in [
            ("web", "`web ready >= 3`"),
            ("pods of shop ready >= 3", "and not `of shop`"),
            ("pods in shop happy >= 3", "and not `happy`"),
            ("pods in shop ready >= many", "`many` is no number"),
            ("pods with web ready >= 1", "a label is `app=web`"),
            ("teapot/shop/web Ready", "no objects of kind `teapot`"),
            ("node/shop/node-1 Ready", "in no namespace"),
            ("deployment/shop/web ready", "begin with a capital"),
            ("deployment/shop/web spec..replicas >= 3", "is no path"),
            ("deployment/shop/web spec.replicas => 3", "is none of"),
            ("deployment/shop/web spec.replicas >= three", "`three` is no number"),
            ("kubelet answers", "only `kube-apiserver`"),
            ("pod/a/b/c reaches web:80", "connections come from"),
            ("client not reaches web", "nothing to connect to"),
            ("pod/shop/client resolves web within no time", "is no condition"),
        ] {
            let refused = Condition::try_from(text.to_string()).expect_err(text);
            assert!(refused.contains(why), "{refused}");
        }
    }
}
