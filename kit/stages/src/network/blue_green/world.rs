//! What is simulated around a release, second by second: pods, EndpointSlices, nodes that follow, and connections.

use super::{Kept, Script, Side, What, Which};
use kit_contract::Show;
use kit_contract::network::Release;
use kit_contract::network::blue_green::{Action, Labels, Now, Service, Share, TargetPort, Version};
use std::collections::{BTreeMap, BTreeSet};

/// A pod.
#[derive(Debug, Clone)]
struct Pod {
    number: u32,
    version: Which,
    labels: Labels,
    ready_at: u32,
    serves_at: u32,
    /// When it was deleted.
    deleted: Option<u32>,
}

/// What the EndpointSlices say of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Endpoint {
    pod: u32,
    version: Which,
    is_ready: bool,
}

/// An open connection.
struct Connection {
    pod: u32,
    version: Which,
    ends: u32,
}

/// Requests that failed for one reason.
struct Failed {
    count: u32,
    first: u32,
    last: u32,
}

/// Pods, what nodes know of them, and clients, at one moment of a release.
pub(super) struct World<'a> {
    script: &'a Script,
    pub(super) at: u32,
    step: usize,
    rolling_back: bool,
    over: Option<(u32, String)>,
    service: Service,
    replicas: BTreeMap<Which, u32>,
    errors: BTreeMap<Which, u32>,
    pods: Vec<Pod>,
    next_pod: u32,
    /// What the EndpointSlices showed in each second.
    slices: Vec<Vec<Endpoint>>,
    changed: Option<u32>,
    turns: BTreeMap<String, usize>,
    connections: Vec<Connection>,
    opened: u32,
    requests: u32,
    answered_with_error: u32,
    /// The errors that are due, in hundredths.
    sums: BTreeMap<Which, u32>,
    /// Requests to the new version in each second, and how many of them failed.
    measured: Vec<(u32, u32)>,
    failed: BTreeMap<String, Failed>,
    /// The greatest share of the new version among a node's endpoints in a step, as new ones of all.
    greatest: (usize, usize),
    lines: Vec<String>,
}

/// How far back the metric looks, in seconds.
const WINDOW: usize = 10;

impl<'a> World<'a> {
    pub(super) fn new(script: &'a Script) -> Self {
        let mut world = World {
            script,
            at: 0,
            step: 0,
            rolling_back: false,
            over: None,
            service: script.released_service.clone(),
            replicas: BTreeMap::from([(Which::Old, script.old.pods), (Which::New, script.new.pods)]),
            errors: BTreeMap::from([(Which::Old, script.old.errors_percent), (Which::New, script.new.errors_percent)]),
            pods: Vec::new(),
            next_pod: 1,
            slices: Vec::new(),
            changed: None,
            turns: BTreeMap::new(),
            connections: Vec::new(),
            opened: 0,
            requests: 0,
            answered_with_error: 0,
            sums: BTreeMap::new(),
            measured: Vec::new(),
            failed: BTreeMap::new(),
            greatest: (0, 1),
            lines: Vec::new(),
        };
        for (version, side) in [(Which::Old, &script.old), (Which::New, &script.new)] {
            for _ in 0..side.pods {
                world.start(version, side.template.labels.clone(), 0, 0);
            }
            // A neighbour that a selector by the label alone would find.
            let label = side.template.labels.get(&script.release.label).cloned();
            let labels = [("app".to_string(), "other".to_string())].into_iter();
            let labels = labels.chain(label.map(|value| (script.release.label.clone(), value)));
            world.start(Which::Other, labels.collect(), 0, 0);
        }
        world
    }

    fn side(&self, version: Which) -> &'a Side {
        if version == Which::Old { &self.script.old } else { &self.script.new }
    }

    fn start(&mut self, version: Which, labels: Labels, ready_at: u32, serves_at: u32) {
        self.pods.push(Pod { number: self.next_pod, version, labels, ready_at, serves_at, deleted: None });
        self.next_pod += 1;
    }

    fn tell(&mut self, line: &str) {
        self.lines.push(format!("t={:<6} {line}", format!("{}s", self.at)));
    }

    pub(super) fn told(&mut self) -> Vec<String> {
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() { vec!["nothing".into()] } else { lines }
    }

    fn is_ready(&self, pod: &Pod) -> bool {
        pod.deleted.is_none() && pod.ready_at <= self.at
    }

    /// Whether its process takes new connections.
    fn takes(&self, pod: &Pod) -> bool {
        let hook = self.side(pod.version).template.pre_stop_seconds.unwrap_or(0);
        pod.serves_at <= self.at && pod.deleted.is_none_or(|deleted| self.at < deleted + hook.min(self.grace(pod)))
    }

    fn grace(&self, pod: &Pod) -> u32 {
        self.side(pod.version).template.grace_seconds
    }

    /// The EndpointSlices follow what was written and what pods were until a second ago.
    pub(super) fn publish(&mut self) {
        // The pods as they were in the second before.
        let now = self.at;
        self.at = now.saturating_sub(1);
        let has_port = |pod: &Pod| match &self.service.target_port {
            TargetPort::Number(_) => true,
            TargetPort::Name(name) => {
                pod.version == Which::Other || self.side(pod.version).template.ports.contains(name)
            }
        };
        let is_selected =
            |pod: &&Pod| self.service.selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value));
        let endpoint = |pod: &Pod| {
            let is_ready = self.is_ready(pod) || self.service.publish_not_ready_addresses;
            let serves = pod.deleted.is_some() && self.takes(pod) && pod.ready_at <= self.at;
            (is_ready || serves).then_some(Endpoint { pod: pod.number, version: pod.version, is_ready })
        };
        let slices: Vec<Endpoint> =
            self.pods.iter().filter(is_selected).filter(|pod| has_port(pod)).filter_map(endpoint).collect();
        self.at = now;
        let ready = |slices: &[Endpoint]| slices.iter().filter(|one| one.is_ready).copied().collect::<BTreeSet<_>>();
        let after = ready(&slices);
        if self.slices.last().is_some_and(|before| ready(before) != after) {
            self.changed = Some(now);
            let share = self.published(&slices);
            let others = after.len() - (share.old + share.new) as usize;
            let others = if others == 0 { String::new() } else { format!(", {others} of another application") };
            self.tell(&format!("  EndpointSlices: {}{others}", share.lines().concat()));
        }
        self.slices.push(slices);
        let slowest = self.script.nodes.values().copied().max().unwrap_or(1);
        if self.changed.is_some_and(|changed| changed + slowest == now) {
            self.tell("  all nodes have followed");
        }
    }

    fn published(&self, slices: &[Endpoint]) -> Share {
        let of = |version| slices.iter().filter(|one| one.is_ready && one.version == version).count() as u32;
        Share { old: of(Which::Old), new: of(Which::New) }
    }

    pub(super) fn happen(&mut self, what: &What) {
        match *what {
            What::Crash { version, back_after } => {
                let at = self.at;
                let side = self.side(version);
                let mut crashed = BTreeSet::new();
                for pod in self.pods.iter_mut().filter(|pod| pod.version == version && pod.deleted.is_none()) {
                    pod.serves_at = at + back_after + side.start_seconds;
                    pod.ready_at = if side.template.readiness_probe { pod.serves_at } else { at + back_after };
                    crashed.insert(pod.number);
                }
                self.cut(&crashed);
            }
            What::Errors { version, percent } => _ = self.errors.insert(version, percent),
            What::Abort {} => self.rolling_back = true,
        }
    }

    /// Ends the connections to these pods before their time.
    fn cut(&mut self, pods: &BTreeSet<u32>) {
        let (cut, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.connections).into_iter().partition(|connection| pods.contains(&connection.pod));
        self.connections = open;
        for connection in cut {
            self.fail(&format!("kept connections of {} cut by the end of their pod", connection.version.words()));
        }
    }

    fn fail(&mut self, reason: &str) {
        let at = self.at;
        let failed = self.failed.entry(reason.to_string()).or_insert(Failed { count: 0, first: at, last: at });
        failed.count += 1;
        failed.last = at;
    }

    pub(super) fn pods_go_on(&mut self) {
        let at = self.at;
        self.connections.retain(|connection| connection.ends > at);
        let ended = |pod: &&Pod| {
            let hook = self.side(pod.version).template.pre_stop_seconds.unwrap_or(0);
            let is_busy = self.connections.iter().any(|connection| connection.pod == pod.number);
            pod.deleted.is_some_and(|deleted| at >= deleted + self.grace(pod) || at >= deleted + hook && !is_busy)
        };
        let ended: BTreeSet<u32> = self.pods.iter().filter(ended).map(|pod| pod.number).collect();
        self.cut(&ended);
        self.pods.retain(|pod| !ended.contains(&pod.number));
    }

    /// The endpoints that a node's rules lead to now.
    fn rules(&self, lag: u32) -> Vec<Endpoint> {
        let slices = &self.slices[self.at.saturating_sub(lag) as usize];
        let ready: Vec<Endpoint> = slices.iter().filter(|endpoint| endpoint.is_ready).copied().collect();
        if ready.is_empty() { slices.clone() } else { ready }
    }

    pub(super) fn load(&mut self) {
        let script = self.script;
        let mut measured = (0, 0);
        for (node, lag) in &script.nodes {
            let rules = self.rules(*lag);
            if self.step < script.release.steps.len() && !self.rolling_back && self.over.is_none() {
                let new = rules.iter().filter(|endpoint| endpoint.version == Which::New).count();
                if new * self.greatest.1 > self.greatest.0 * rules.len() {
                    self.greatest = (new, rules.len());
                }
            }
            let is_time = |kept: &Kept| self.at.is_multiple_of(kept.every);
            let kept = script.load.kept.filter(is_time);
            let lasts = (0..script.load.requests).map(|_| None).chain(kept.map(|kept| Some(kept.lasts)));
            for lasts in lasts {
                self.requests += 1;
                let turn = self.turns.entry(node.clone()).or_default();
                *turn += 1;
                let Some(endpoint) = rules.get(*turn % rules.len().max(1)).copied() else {
                    self.fail(&format!("on {node}: rejected, since there are no endpoints"));
                    continue;
                };
                let is_new = endpoint.version == Which::New;
                measured.0 += u32::from(is_new);
                if !self.connect(node, endpoint, lasts) {
                    measured.1 += u32::from(is_new);
                }
            }
        }
        self.measured.push(measured);
    }

    /// A new connection to an endpoint; says whether it is well answered.
    fn connect(&mut self, node: &str, endpoint: Endpoint, lasts: Option<u32>) -> bool {
        let words = endpoint.version.words();
        let pod = self.pods.iter().find(|pod| pod.number == endpoint.pod);
        let why = match pod {
            None => Some(format!("on {node}: sent to a pod of {words} that is gone")),
            Some(_) if endpoint.version == Which::Other => Some(format!("on {node}: answered by {words}")),
            Some(pod) if pod.serves_at > self.at => {
                Some(format!("on {node}: sent to a pod of {words} that doesn't listen"))
            }
            Some(pod) if !self.takes(pod) => Some(format!("on {node}: sent to a pod of {words} that is ending")),
            Some(_) => None,
        };
        if let Some(why) = why {
            self.fail(&why);
            return false;
        }
        if let Some(lasts) = lasts {
            self.opened += 1;
            let connection = Connection { pod: endpoint.pod, version: endpoint.version, ends: self.at + lasts };
            self.connections.push(connection);
            return true;
        }
        // Spread evenly over the version's requests: each time that the sum of the percentages passes a hundred.
        let percent = self.errors.get(&endpoint.version).copied().unwrap_or(0);
        let sum = self.sums.entry(endpoint.version).or_default();
        *sum += percent;
        let is_error = *sum >= 100;
        *sum -= if is_error { 100 } else { 0 };
        self.answered_with_error += u32::from(is_error);
        !is_error
    }

    fn version(&self, which: Which) -> Version {
        let pods = || self.pods.iter().filter(|pod| pod.version == which);
        Version {
            template: self.side(which).template.clone(),
            replicas: self.replicas[&which],
            ready: pods().filter(|pod| self.is_ready(pod)).count() as u32,
            pods: pods().count() as u32,
            connections: self.connections.iter().filter(|connection| connection.version == which).count() as u32,
        }
    }

    fn now(&self) -> Now {
        let window = self.measured.iter().rev().take(WINDOW);
        let (sent, failed) = window.fold((0, 0), |sum, second| (sum.0 + second.0, sum.1 + second.1));
        Now {
            plan: self.script.release.clone(),
            step: self.step,
            rolling_back: self.rolling_back,
            age_seconds: self.at,
            service: self.service.clone(),
            old: self.version(Which::Old),
            new: self.version(Which::New),
            published: self.published(self.slices.last().map_or(&[], Vec::as_slice)),
            quiet_seconds: self.changed.map_or(3600 + self.at, |changed| self.at - changed),
            errors_percent: (failed * 100).checked_div(sent),
        }
    }

    /// Asks until there is nothing to do in this second.
    pub(super) fn ask(&mut self, module: &dyn Release) {
        for _ in 0..20 {
            if self.over.is_some() {
                return;
            }
            let Some(action) = module.next(&self.now()) else { return };
            self.act(&action);
        }
        self.tell("still another action after 20 in one second: the module is not asked any more");
        self.over = Some((self.at, "it never came to rest".into()));
    }

    fn act(&mut self, action: &Action) {
        let mut words = action.lines().concat();
        let is_needless = match action {
            Action::ScaleOld(replicas) => self.replicas.get(&Which::Old) == Some(replicas),
            Action::ScaleNew(replicas) => self.replicas.get(&Which::New) == Some(replicas),
            Action::Select(selector) => *selector == self.service.selector,
            Action::RollBack(_) => self.rolling_back,
            _ => false,
        };
        if is_needless {
            words += ": needless";
        }
        self.tell(&words);
        match action {
            Action::ScaleOld(replicas) => self.scale(Which::Old, *replicas),
            Action::ScaleNew(replicas) => self.scale(Which::New, *replicas),
            Action::Select(selector) => self.service.selector = selector.clone(),
            Action::NextStep => self.step += 1,
            Action::RollBack(_) => self.rolling_back = true,
            Action::Refuse(_) => self.over = Some((self.at, "refused".into())),
            Action::RolledBack | Action::Done => self.over = Some((self.at, words)),
        }
    }

    fn scale(&mut self, version: Which, replicas: u32) {
        // More than a cluster has room for stay pending, and say no more than these.
        let replicas = replicas.min(1000);
        self.replicas.insert(version, replicas);
        let side = self.side(version);
        let there = self.pods.iter().filter(|pod| pod.version == version && pod.deleted.is_none()).count() as u32;
        let serves_at = self.at + side.start_seconds;
        let ready_at = if side.template.readiness_probe { serves_at } else { self.at + 1 };
        for _ in there..replicas {
            self.start(version, side.template.labels.clone(), ready_at, serves_at);
        }
        let at = self.at;
        let of_version = |pod: &&mut Pod| pod.version == version && pod.deleted.is_none();
        let surplus = there.saturating_sub(replicas) as usize;
        for pod in self.pods.iter_mut().rev().filter(of_version).take(surplus) {
            pod.deleted = Some(at);
        }
    }

    pub(super) fn summary(&self) -> Vec<String> {
        let mut lines = vec![match &self.over {
            Some((at, how)) => format!("{how} after {at} s"),
            None => "not at its end".into(),
        }];
        let share = Share { old: self.replicas[&Which::Old], new: self.replicas[&Which::New] };
        let selects = Action::Select(self.service.selector.clone()).lines().concat();
        lines.push(format!("left behind: {}; {selects}", share.lines().concat()));
        let (new, all) = self.greatest;
        if new > 0 {
            lines.push(format!("in the steps the new version was at most {new} of {all} endpoints of a node"));
        }
        if self.answered_with_error > 0 {
            lines.push(format!("{} requests answered with an error of the application", self.answered_with_error));
        }
        let kept = if self.opened > 0 { format!(", {} of them kept open", self.opened) } else { String::new() };
        let failed: u32 = self.failed.values().map(|failed| failed.count).sum();
        let failed = if failed == 0 { "none".into() } else { failed.to_string() };
        lines.push(format!("of {} connections{kept}, {failed} failed", self.requests));
        for (reason, Failed { count, first, last }) in &self.failed {
            let when = if first == last { format!("at t={first}s") } else { format!("from t={first}s to t={last}s") };
            lines.push(format!("  {count} {reason}, {when}"));
        }
        lines
    }
}
