//! Logs beside a cluster: what containers write goes into files, kubelets rotate them, an agent on each node ships them, and an index keeps
//! them, on the cluster's clock.
//!
//! All of them look at the end of a second. An agent hears the answer to a request a second later. The index may be `silent` in two ways: `index` takes nothing, and
//! of `answers` only the answer is lost.

use crate::engine::Engine;
use kit_api::core::Pod;
use kit_apimachinery::object::Kind;
use kit_contract::observability::LogAgent;
use kit_contract::observability::logs::{Answer, Batch, Config, File, Pod as Known, Position, Step};
use kit_contract::{Modules, Slot};
use kit_node::kubelet::Kubelets;
use kit_node::kubelet::log::rotation::{Folder, Limits};
use kit_observability::elastic::{self, Elastic};
use kit_observability::logs::{Bool, Document, Index, Put, Query, Search, TIME, field};
use kit_time::agenda::Instant;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How often a kubelet looks how long logs are (`containerLogMonitorInterval`), in seconds.
const MONITOR_INTERVAL: i64 = 10;
/// How many bytes of documents an index has room for that somebody asks over HTTP.
const ROOM: usize = 32 << 20;
/// So many hits are shown.
const SHOWN: usize = 5;

/// How logs are rotated and shipped.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shape {
    /// `containerLogMaxSize`, in bytes.
    pub max_size: usize,
    /// `containerLogMaxFiles`.
    pub max_files: usize,
    /// How agents are set up.
    pub agent: Config,
}

impl Default for Shape {
    fn default() -> Self {
        let Limits { max_size, max_files } = Limits::default();
        Shape { max_size, max_files, agent: Config::default() }
    }
}

/// What is searched for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    /// Fields and their values.
    #[serde(rename = "where")]
    pub fields: BTreeMap<String, Value>,
    /// Words of the text, all of them.
    pub words: String,
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields = self.fields.iter().map(|(name, value)| format!("{name}={value}"));
        let words = Some(&self.words).filter(|words| !words.is_empty()).map(|words| format!("{words:?}"));
        let all: Vec<String> = fields.chain(words).collect();
        f.write_str(if all.is_empty() { "everything".into() } else { all.join(" ") }.as_str())
    }
}

/// One node's files, and the agent on it.
#[derive(Default)]
struct Node {
    folder: Folder,
    /// How far each log of a kubelet went into its file.
    written: BTreeMap<String, u64>,
    agent: Option<Box<dyn LogAgent>>,
    /// What it has asked for, and whether the index has kept it.
    request: Option<Batch>,
    /// What it stored.
    positions: BTreeMap<(String, u64), u64>,
    /// Whether nobody starts it.
    stopped: bool,
}

/// The files, agents and index of a cluster.
pub struct Logging {
    shape: Shape,
    slot: Slot<dyn LogAgent>,
    next: Instant,
    nodes: BTreeMap<String, Node>,
    index: Index,
    /// What keeps documents in place of it, if somebody asks over HTTP.
    served: Option<Elastic>,
    /// Whether the index takes nothing, and whether its answers are lost.
    down: bool,
    deaf: bool,
    /// Lines that containers wrote.
    lines: usize,
    /// Documents that the index had already.
    again: usize,
}

impl Logging {
    /// Agents that have seen nothing yet.
    pub fn new(shape: &Shape, modules: &Modules, now: Instant) -> Logging {
        Logging {
            shape: shape.clone(),
            slot: modules.logs.clone(),
            next: now,
            nodes: BTreeMap::new(),
            index: Index::default(),
            served: None,
            down: false,
            deaf: false,
            lines: 0,
            again: 0,
        }
    }

    /// The same, for people who ask over HTTP: there is an index for each day, as Fluent Bit names them (`Logstash_Format`).
    pub fn served(mut self) -> Logging {
        // Lessons have small agents; people's containers may write a lot.
        let agent = &mut self.shape.agent;
        (agent.buffer, agent.batch) = (agent.buffer.max(10_000), agent.batch.max(1_000));
        Logging { served: Some(Elastic::new(ROOM)), ..self }
    }

    /// Answers what somebody asks over HTTP; nothing if nobody may.
    pub fn answer(&mut self, request: &elastic::Request<'_>, now_ms: i64) -> Option<elastic::Answer> {
        self.served.as_mut().map(|elastic| elastic.answer(request, now_ms))
    }

    /// The log files of each node.
    pub fn folders(&self) -> impl Iterator<Item = (&str, &Folder)> {
        self.nodes.iter().map(|(name, node)| (name.as_str(), &node.folder))
    }

    /// Something has become of the agents: they begin anew.
    pub fn restart(&mut self) {
        self.nodes.values_mut().for_each(|node| (node.agent, node.request) = (None, None));
    }

    /// When it looks next.
    pub fn due(&self) -> Instant {
        self.next
    }

    /// What was shipped.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Something goes wrong, or is right again: `index`, `answers`, or `agent/NODE`. `false` if it is none of these.
    pub fn fault(&mut self, name: &str, well: bool) -> bool {
        match name.strip_prefix("agent/") {
            Some(node) => {
                let node = self.nodes.entry(node.into()).or_default();
                (node.stopped, node.agent, node.request) = (!well, None, None);
            }
            None if name == "index" => self.down = !well,
            None if name == "answers" => self.deaf = !well,
            None => return false,
        }
        true
    }

    /// A second has passed; what was lost.
    pub fn look(&mut self, engine: &mut Engine) -> Vec<String> {
        while self.next <= engine.now() {
            self.next = self.next + Instant::seconds(1);
        }
        let time = engine.request(|server| server.time());
        let rotates = time.as_second() % MONITOR_INTERVAL == 0;
        let stamp = time.strftime("%Y%m%d-%H%M%S").to_string();
        let limits = Limits { max_size: self.shape.max_size, max_files: self.shape.max_files };
        let (nodes, lines) = (&mut self.nodes, &mut self.lines);
        engine.with(|kubelets: &mut Kubelets, _| {
            let mut rotated = BTreeSet::new();
            for (name, logs) in kubelets.logs_of_nodes() {
                let node = nodes.entry(name.into()).or_default();
                let Some(logs) = logs else {
                    // Without power there is no agent, and what it held is gone.
                    (node.agent, node.request) = (None, None);
                    continue;
                };
                let there: BTreeSet<&str> = logs.iter().map(|kept| kept.path.as_str()).collect();
                node.folder.retain(|log| there.contains(log));
                node.written.retain(|log, _| there.contains(log.as_str()));
                for kept in &logs {
                    let from = node.written.entry(kept.path.clone()).or_default();
                    let (text, next) = kept.log.written(*from);
                    *from = next;
                    *lines += text.lines().count();
                    node.folder.write(&kept.path, &text);
                    if rotates && kept.goes_on && node.folder.rotate(&kept.path, limits, &stamp) {
                        rotated.insert(kept.path.clone());
                    }
                }
                if node.agent.is_none() && !node.stopped {
                    let positions = node.positions.iter().map(|((log, inode), offset)| Position {
                        log: log.clone(),
                        inode: *inode,
                        offset: Some(*offset),
                    });
                    let config = Config { positions: positions.collect(), ..self.shape.agent.clone() };
                    node.agent = Some(self.slot.make(&config));
                }
            }
            // `kubectl logs` reads the file that is written, and no other.
            kubelets.forget_logs(&rotated);
        });
        // Only what is kept now asks for them.
        let asked = self.nodes.values().any(|node| node.request.is_some());
        let pods = if asked { pods(engine) } else { Vec::new() };
        let now_ms = time.as_millisecond();
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        names.iter().flat_map(|name| self.ship(name, &pods, now_ms)).collect()
    }

    /// The answer to what the agent of a node sent, and its next look.
    fn ship(&mut self, name: &str, pods: &[Known], now_ms: i64) -> Vec<String> {
        let Some(mut node) = self.nodes.remove(name) else { return Vec::new() };
        let mut told = Vec::new();
        if let Some(mut agent) = node.agent.take() {
            if let Some(batch) = node.request.take() {
                let answer = self.keep(&mut *agent, &batch, pods);
                let step = agent.answered(&answer, now_ms);
                told.extend(note(&mut node, step));
            }
            let files = node.folder.files().iter().filter(|file| !file.compressed).map(|file| File {
                log: file.log.clone(),
                rotated: file.rotated.clone(),
                inode: file.inode,
                text: file.text.clone(),
            });
            let files: Vec<File> = files.collect();
            let step = agent.look(&files, now_ms);
            told.extend(note(&mut node, step));
            node.agent = Some(agent);
        }
        self.nodes.insert(name.into(), node);
        told.into_iter().map(|line| format!("{name}: {line}")).collect()
    }

    /// What the index makes of a request.
    fn keep(&mut self, agent: &mut dyn LogAgent, batch: &Batch, pods: &[Known]) -> Answer {
        if self.down {
            return Answer::Failed;
        }
        for entry in batch {
            let document = agent.document(entry, pods);
            let (id, source) = (&document.id, document.source());
            let put = match &mut self.served {
                Some(elastic) => elastic.put(&of_day(&source), id, source),
                None => self.index.put(id, source),
            };
            self.again += usize::from(put == Put::Updated);
        }
        if self.deaf { Answer::Failed } else { Answer::Accepted }
    }

    /// What is found, and how much was shipped of what was written.
    pub fn search(&self, wanted: &Wanted) -> Vec<String> {
        let terms = wanted.fields.iter().map(|(name, value)| Query::Term(name.clone(), value.clone()));
        let words = Some(&wanted.words).filter(|words| !words.is_empty()).map(|words| Query::Match {
            field: Some("log".into()),
            text: words.clone(),
            all: true,
        });
        let must: Vec<Query> = terms.chain(words).collect();
        let all = must.is_empty();
        let query = Query::Bool(Bool { must, ..Bool::default() });
        let search = Search { query, size: SHOWN, ..Search::default() };
        let hits = self.index.search(&search);
        if all {
            let (lines, again) = (self.lines, self.again);
            return vec![format!("{} documents of {lines} lines, {again} came again", hits.total)];
        }
        let mut found = vec![format!("{} documents", hits.total)];
        found.extend(hits.hits.iter().map(|hit| {
            let said = |name: &str| {
                let values = field(&hit.stored.source, name);
                values.first().and_then(|value| value.as_str()).unwrap_or_default().to_string()
            };
            let time = said("@timestamp");
            format!("{} {}: {:?}", time.get(11..19).unwrap_or_default(), said("kubernetes.pod_name"), said("log"))
        }));
        found
    }
}

/// The index of a document's day.
fn of_day(source: &Document) -> String {
    let day = source.get(TIME).and_then(|time| time.as_str()?.get(..10));
    format!("logstash-{}", day.unwrap_or("undated").replace('-', "."))
}

/// Does what an agent says: stores, and sends.
fn note(node: &mut Node, step: Step) -> Vec<String> {
    for Position { log, inode, offset } in step.store {
        match offset {
            Some(offset) => node.positions.insert((log, inode), offset),
            None => node.positions.remove(&(log, inode)),
        };
    }
    node.request = node.request.take().or(step.send);
    let short = |log: &str| log.strip_prefix("/var/log/pods/").unwrap_or(log).to_string();
    step.lost.iter().map(|lost| format!("lost {} bytes of {}", lost.bytes, short(&lost.log))).collect()
}

/// All pods, as agents hear of them.
fn pods(engine: &Engine) -> Vec<Known> {
    let pods = engine.server().snapshot().list(Kind::Pod).filter_map(|stored| stored.get::<Pod>());
    let known = pods.map(|pod| Known {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name: pod.metadata.name.clone().unwrap_or_default(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        node: kit_api::pod::node_name(pod).unwrap_or_default().into(),
        labels: pod.metadata.labels.clone().unwrap_or_default(),
    });
    known.collect()
}
