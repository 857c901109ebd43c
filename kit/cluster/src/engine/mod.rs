//! The engine: wakes components one at a time, in one order, on the virtual clock.
//!
//! A component is woken when its watch shows a change, or when it asked to be. It looks at its [`Cache`], sends
//! requests to the API server, and says when it wants to be woken again. Nothing else moves the cluster.

mod fault;

use crate::cluster::ELECTIONS;
use crate::control_plane::{ControlPlane, Term, View};
use crate::recording::MarkKind;
use crate::timeline::Logging;
use kit_apimachinery::object::{Key, Kind};
use kit_client::cache::Cache;
use kit_client::component::{Component, World};
use kit_client::explain::Log;
use kit_client::work_queue::Tally;
use kit_contract::observability::traces::Span;
use kit_contract::remote::catch_lost;
use kit_network::fabric;
use kit_node::kubelet::Kubelets;
use kit_server::trace::Tracer;
use kit_server::{Change, ChangeKind, Server};
use kit_time::agenda::{Agenda, Instant};
use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How long it takes until a watch shows a change, unless a scenario says otherwise.
pub const WATCH_LAG: Instant = Instant::millis(2);
/// How long a component waits that can't reach the API server, or has no right to act.
const TRY_AGAIN: Instant = Instant::seconds(1);

/// The cluster's clock, for those beside it who want to know what time it is, or to stop it.
#[derive(Clone, Default)]
pub struct Clock(Rc<Cell<Instant>>, Arc<AtomicBool>);

impl Clock {
    /// The time since the cluster began.
    pub fn now(&self) -> Instant {
        self.0.get()
    }

    /// Once it is true, the cluster stands still as if a module were lost. A cluster can be given more to do than
    /// anybody waits for, and it doesn't know real time itself.
    pub fn stop(&self) -> Arc<AtomicBool> {
        self.1.clone()
    }
}

/// So many changes a component may sleep through. The server keeps more of them, however old they are.
const FAR: usize = 5_000;

/// What a process makes its components with, each time it begins.
pub type Make = Box<dyn Fn() -> Vec<Box<dyn Component>>>;

/// A module was lost: it didn't answer. The cluster stands still from here on, unless it [recovers](Engine::recover).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

/// Something that was done to the cluster from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Instant,
    /// What sort of thing it is.
    pub kind: MarkKind,
    /// What it is.
    pub text: String,
    /// The objects that it is about.
    pub about: Vec<Key>,
}

/// So many notes are kept: the last ones.
const NOTES: usize = 1000;

struct Running {
    component: Box<dyn Component>,
    actor: Arc<str>,
    cache: Cache,
    /// The next change to be shown.
    cursor: usize,
    lag: Instant,
    paused: bool,
    wake: Option<Instant>,
    /// The process that it is a part of, if that can begin anew.
    process: Option<usize>,
}

impl Running {
    fn new(component: Box<dyn Component>, process: Option<usize>) -> Running {
        let actor = component.name().into();
        let cache = Cache::default();
        Running { component, actor, cache, cursor: 0, lag: WATCH_LAG, paused: false, wake: None, process }
    }

    fn watches(&self, kind: Kind) -> bool {
        self.component.watches().contains(&kind) || self.component.watches_custom() && kind.resource().custom
    }
}

/// Components, their clock and the API server.
pub struct Engine {
    server: Server,
    /// Numbers of components, and after them of processes.
    agenda: Agenda<usize>,
    components: Vec<Running>,
    /// How the components of each process are made.
    processes: Vec<(&'static str, Make)>,
    control_plane: Option<ControlPlane>,
    network: Option<fabric::Shared>,
    /// What ships the logs of containers, if anything does.
    logging: Option<Box<Logging>>,
    clock: Clock,
    log: Log,
    notes: VecDeque<Note>,
    /// How many notes there ever were.
    noted: u64,
    user: Arc<str>,
    lost: bool,
    /// The process that was at work when a module was lost, and whether that was over its election.
    broken: Option<usize>,
    broken_election: bool,
}

impl Engine {
    /// An engine with `components`, each awake from the start.
    pub fn new(server: Server, components: Vec<Box<dyn Component>>, clock: Clock) -> Engine {
        let components = components.into_iter().map(|component| Running::new(component, None));
        let mut engine = Engine {
            server,
            agenda: Agenda::default(),
            components: components.collect(),
            processes: Vec::new(),
            control_plane: None,
            network: None,
            logging: None,
            clock,
            log: Log::default(),
            notes: VecDeque::new(),
            noted: 0,
            user: "user".into(),
            lost: false,
            broken: None,
            broken_election: false,
        };
        for index in 0..engine.components.len() {
            engine.wake(index, Instant::default());
        }
        engine
    }

    /// The same engine with the components of one process more.
    pub fn with_process(mut self, name: &'static str, make: Make) -> Engine {
        let (begin, process) = (self.components.len(), self.processes.len());
        self.components.extend(make().into_iter().map(|component| Running::new(component, Some(process))));
        self.processes.push((name, make));
        for index in begin..self.components.len() {
            self.wake(index, Instant::default());
        }
        self
    }

    /// The same engine with hosts for its processes; of each, one host's work at a time.
    pub fn with_control_plane(mut self, hosts: ControlPlane) -> Engine {
        let names = self.processes.iter().map(|(name, _)| *name);
        self.control_plane = Some(names.fold(hosts, ControlPlane::with));
        for running in &mut self.components {
            // Until somebody leads.
            running.wake = running.wake.filter(|_| running.process.is_none());
        }
        for process in 0..self.processes.len() {
            self.agenda.put(Instant::default(), self.components.len() + process);
        }
        self
    }

    /// The same engine with the network that its components share.
    pub fn with_network(self, network: fabric::Shared) -> Engine {
        Engine { network: Some(network), ..self }
    }

    /// The same engine with something that ships the logs of containers.
    pub fn with_logging(self, logging: Logging) -> Engine {
        Engine { logging: Some(Box::new(logging)), ..self }
    }

    /// What ships the logs of containers, if anything does.
    pub fn logging(&mut self) -> Option<&mut Logging> {
        self.logging.as_deref_mut()
    }

    /// The network of its pods, if this cluster has one.
    pub fn network(&self) -> Option<&fabric::Shared> {
        self.network.as_ref()
    }

    /// Follows a connection between two ends, as [conditions](crate::timeline::Condition) name them: its first packet and the answer, hop by hop.
    ///
    /// # Errors
    ///
    /// If there is no network, or one of the ends is none.
    pub fn packet(&self, from: &str, to: &str, udp: bool) -> Result<Vec<String>, String> {
        let network = self.network().ok_or("this cluster simulates no network")?;
        let (from, to) = (fabric::reach::From::read(from)?, fabric::reach::Target::read(to)?);
        network.borrow_mut().follow(&from, &if udp { to.by_udp() } else { to })
    }

    /// Where somebody is in the network, by the name there: a node, `[NAMESPACE/]POD`, or the first pod of `deployment/NAMESPACE/NAME`.
    ///
    /// # Errors
    ///
    /// If there is no network, or nobody of this name in it.
    pub fn place(&self, who: &str) -> Result<String, String> {
        self.network().ok_or("this cluster simulates no network")?.borrow().place(who)
    }

    /// Gives back what this control plane leads: it ends, and others go on.
    pub fn leave(&mut self) {
        if let Some(plane) = &mut self.control_plane {
            self.server.enter(self.agenda.now(), &self.user);
            plane.cancel(&mut self.server, self.agenda.now());
        }
    }

    /// What can be said of the control plane, by subject; nothing if it has no hosts.
    pub fn control_plane(&self) -> Vec<(String, String)> {
        self.plane_that_fails().map(|plane| plane.table(&self.server)).unwrap_or_default()
    }

    /// What can be seen of components that is in no object, by subject.
    pub fn shows(&self) -> Vec<(String, String)> {
        self.components.iter().flat_map(|running| running.component.shows()).collect()
    }

    /// What the work queues of all controllers have done until now, by their names.
    pub fn queues(&self) -> Vec<(&'static str, Tally)> {
        let now = self.agenda.now();
        self.components.iter().flat_map(|running| running.component.queues(now)).collect()
    }

    /// The pods whose containers run, each with the node where they do, whatever the API server knows of it.
    pub fn running(&self) -> Vec<(String, Key)> {
        let kubelets = self.components.iter();
        let kubelets =
            kubelets.filter_map(|running| (running.component.as_ref() as &dyn Any).downcast_ref::<Kubelets>());
        let pods = kubelets.flat_map(Kubelets::running);
        pods.map(|(node, pod)| (node.to_string(), pod.clone())).collect()
    }

    /// How the hosts of the control plane are, if it has any.
    pub fn hosts(&self) -> Option<View> {
        self.plane_that_fails().map(|plane| plane.view(&self.server))
    }

    fn plane_that_fails(&self) -> Option<&ControlPlane> {
        self.control_plane.as_ref().filter(|plane| plane.can_fail())
    }

    /// The time since the cluster began.
    pub fn now(&self) -> Instant {
        self.agenda.now()
    }

    /// The API server, for reading.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Collects spans of what is done from now on.
    pub fn trace_with(&mut self, tracer: Tracer) {
        self.server.trace_with(tracer);
    }

    /// The spans that have ended since the last time, and how many more there were than anybody has room for.
    pub fn take_spans(&mut self) -> (Vec<Span>, u64) {
        self.server.take_spans()
    }

    /// Why components did what they did.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Notes something that was done to the cluster, for recordings of it.
    pub fn note(&mut self, kind: MarkKind, text: impl Into<String>, about: Vec<Key>) {
        if self.notes.len() == NOTES {
            self.notes.pop_front();
        }
        self.notes.push_back(Note { at: self.agenda.now(), kind, text: text.into(), about });
        self.noted += 1;
    }

    /// The notes after so many, as far as they are kept, and how many there are by now.
    pub fn notes(&self, since: u64) -> (Vec<Note>, u64) {
        let new = usize::try_from(self.noted.saturating_sub(since)).unwrap_or(NOTES).min(self.notes.len());
        (self.notes.range(self.notes.len() - new..).cloned().collect(), self.noted)
    }

    /// A request from outside of the cluster, now.
    pub fn request<T>(&mut self, request: impl FnOnce(&mut Server) -> T) -> T {
        let begin = self.server.end();
        self.server.enter(self.agenda.now(), &self.user);
        let answer = request(&mut self.server);
        self.tell(begin);
        answer
    }

    /// Asks a component directly, as the API server asks kubelets; none if this cluster has none of this type.
    pub fn with<T: Component, A>(&mut self, ask: impl FnOnce(&mut T, &mut World<'_>) -> A) -> Option<A> {
        let is = |running: &Running| (running.component.as_ref() as &dyn Any).is::<T>();
        let index = self.components.iter().position(is)?;
        let begin = self.server.end();
        let answer = self.touch(index, |component, world| {
            let component = (component as &mut dyn Any).downcast_mut::<T>()?;
            Some(ask(component, world))
        });
        self.tell(begin);
        self.ask_for_wake(index);
        answer
    }

    /// Makes a component's watches slower or faster.
    pub fn set_lag(&mut self, component: &str, lag: Instant) -> Result<(), String> {
        let index = self.index(component)?;
        self.components[index].lag = lag;
        tracing::debug!(t = %self.agenda.now(), component, %lag, "a watch's lag");
        self.wake(index, self.agenda.now());
        Ok(())
    }

    /// Stops a component, or lets it go on.
    pub fn pause(&mut self, component: &str, paused: bool) -> Result<(), String> {
        let index = self.index(component)?;
        let running = &mut self.components[index];
        running.paused = paused;
        tracing::debug!(t = %self.agenda.now(), component, paused, "paused");
        // What it wanted to be woken for while it was stopped is over.
        running.wake = None;
        self.wake(index, self.agenda.now());
        Ok(())
    }

    fn index(&self, component: &str) -> Result<usize, String> {
        let names = || self.components.iter().map(|running| running.component.name());
        names().position(|name| name == component).ok_or_else(|| {
            let known: Vec<_> = names().collect();
            format!("there is no component `{component}`; there are: {}", known.join(", "))
        })
    }

    /// When something will happen next.
    pub fn due(&self) -> Option<Instant> {
        let shipping = self.logging.as_ref().map(|logging| logging.due());
        if self.lost { None } else { self.agenda.due().into_iter().chain(shipping).min() }
    }

    /// Lets one component do what is due at or before `until`; `false` if there is nothing, and then it is `until`.
    pub fn step(&mut self, until: Instant) -> Result<bool, Lost> {
        self.lost |= self.clock.1.load(Ordering::Relaxed);
        if self.lost {
            return Err(Lost);
        }
        let shipping = self.logging.as_ref().map(|logging| logging.due());
        if let Some(due) = shipping.filter(|due| *due <= until && self.agenda.due().is_none_or(|next| next > *due)) {
            self.agenda.take(due);
            self.ship();
            return Ok(true);
        }
        let Some(index) = self.agenda.take(until) else {
            return Ok(false);
        };
        let now = self.agenda.now();
        self.clock.0.set(now);
        if let Some(process) = index.checked_sub(self.components.len()) {
            return match catch_lost(|| self.elect(process)) {
                Some(()) => Ok(true),
                None => {
                    self.broken_election = true;
                    Err(self.lose(Some(process)))
                }
            };
        }
        let running = &mut self.components[index];
        if running.paused || running.wake.is_none_or(|wake| wake > now) {
            return Ok(true);
        }
        running.wake = None;
        tracing::trace!(t = %now, component = running.component.name(), "woken");
        if let (Some(process), Some(plane)) = (running.process, &self.control_plane)
            && (!plane.acts(process) || self.server.outage().is_some())
        {
            self.wake(index, now + TRY_AGAIN);
            return Ok(true);
        }
        let begin = self.server.end();
        let done = catch_lost(|| self.awake(index));
        self.tell(begin);
        let wrote = self.server.end() - begin;
        if wrote > 0 {
            tracing::debug!(t = %now, component = self.components[index].component.name(), wrote, "a sync");
        }
        if done.is_none() {
            return Err(self.lose(self.components[index].process));
        }
        self.ask_for_wake(index);
        Ok(true)
    }

    /// Lets agents look at logs. Where a module is lost, its agents begin anew at the next look.
    fn ship(&mut self) {
        self.clock.0.set(self.agenda.now());
        let Some(mut logging) = self.logging.take() else { return };
        if catch_lost(|| logging.look(self)).is_none() {
            logging.restart();
        }
        self.logging = Some(logging);
    }

    fn lose(&mut self, process: Option<usize>) -> Lost {
        tracing::debug!(t = %self.agenda.now(), ?process, "a module was lost");
        (self.lost, self.broken) = (true, process);
        Lost
    }

    /// Goes on after a module was lost: the process that needed it begins anew, with modules that are made anew, too.
    ///
    /// # Errors
    ///
    /// [`Lost`] if what was lost is a part of no process, or one of the new modules is lost as well.
    pub fn recover(&mut self) -> Result<(), Lost> {
        let Some(process) = self.broken.filter(|_| self.lost) else { return Err(Lost) };
        if std::mem::take(&mut self.broken_election) {
            catch_lost(|| self.elect_anew(Some(process))).ok_or(Lost)?;
        }
        catch_lost(|| self.renew(process)).ok_or(Lost)?;
        (self.lost, self.broken) = (false, None);
        Ok(())
    }

    /// Lets the candidates of a process begin anew, or those of all; until one leads again, nobody does.
    fn elect_anew(&mut self, only: Option<usize>) {
        let now = self.agenda.now();
        let processes = 0..self.processes.len();
        for process in processes.filter(|process| only.is_none_or(|only| only == *process)) {
            self.control_plane.iter_mut().for_each(|plane| plane.restart(process, now));
            self.agenda.put(now, self.components.len() + process);
        }
    }

    /// Lets a process begin anew, with nothing in its memory.
    ///
    /// # Errors
    ///
    /// [`Lost`] if one of its new modules is lost.
    pub fn restart(&mut self, process: &str) -> Result<(), Lost> {
        if process == ELECTIONS {
            return catch_lost(|| self.elect_anew(None)).ok_or_else(|| self.lose(None));
        }
        let Some(process) = self.processes.iter().position(|(name, _)| *name == process) else { return Ok(()) };
        catch_lost(|| self.renew(process)).ok_or_else(|| self.lose(Some(process)))
    }

    /// A process begins with nothing but what it lists.
    fn renew(&mut self, process: usize) {
        let begin = self.server.end();
        let new = (self.processes[process].1)();
        let mine = |index: &usize| self.components[*index].process == Some(process);
        let mine: Vec<usize> = (0..self.components.len()).filter(mine).collect();
        for (index, component) in mine.into_iter().zip(new) {
            let running = &mut self.components[index];
            running.component = component;
            self.server.forget_events_of(&running.actor);
            running.cache = Cache::default();
            self.relist(index);
            self.wake(index, self.agenda.now());
        }
        self.tell(begin);
    }

    /// Lets the candidates of a process try; a new leader begins with nothing but what it lists.
    fn elect(&mut self, process: usize) {
        let (now, begin) = (self.agenda.now(), self.server.end());
        let Some(plane) = &mut self.control_plane else { return };
        let (term, next) = plane.elect(process, &mut self.server, now);
        // Without any host that runs somebody must look again when one is back.
        self.agenda.put(next.unwrap_or(now + TRY_AGAIN).max(now + TRY_AGAIN), self.components.len() + process);
        if term == Term::Begins {
            tracing::debug!(t = %now, process, "a leader begins");
            self.renew(process);
        }
        self.tell(begin);
    }

    /// Runs until `until`.
    pub fn run_until(&mut self, until: Instant) -> Result<(), Lost> {
        while self.step(until)? {}
        self.clock.0.set(self.agenda.now());
        Ok(())
    }

    /// Shows a component what its watches are due to show, and lets it work.
    fn awake(&mut self, index: usize) {
        let now = self.agenda.now();
        let lag = self.components[index].lag;
        loop {
            let running = &mut self.components[index];
            let change = match self.server.change(running.cursor) {
                Ok(Some(change)) if change.at + lag <= now => {
                    running.cursor += 1;
                    match running.watches(change.object.key.kind) {
                        true => change.clone(),
                        false => continue,
                    }
                }
                Ok(_) => break,
                // What it missed is compacted: it reads everything anew, as a reflector does after 410 Gone.
                Err(_) => {
                    self.relist(index);
                    continue;
                }
            };
            running.cache.apply(&change);
            self.touch(index, |component, world| component.observe(&change, world));
        }
        self.touch(index, |component, world| component.run(world));
    }

    fn relist(&mut self, index: usize) {
        tracing::debug!(t = %self.agenda.now(), component = self.components[index].component.name(), "lists anew");
        let snapshot = self.server.snapshot().clone();
        let running = &mut self.components[index];
        let custom = self.server.custom_kinds().filter(|_| running.component.watches_custom());
        let kinds: Vec<Kind> = running.component.watches().iter().copied().chain(custom).collect();
        running.cursor = self.server.end();
        let mut changes = Vec::new();
        for kind in kinds {
            for stored in snapshot.list(kind) {
                let previous = running.cache.get(&stored.key).cloned();
                let version = |stored: &Arc<kit_server::Stored>| stored.object.meta().resource_version.clone();
                if previous.as_ref().map(version) != Some(version(stored)) {
                    let kind = if previous.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
                    changes.push((kind, stored.clone(), previous));
                }
            }
            for stored in running.cache.stored(kind) {
                if snapshot.get(&stored.key).is_none() {
                    changes.push((ChangeKind::Deleted, stored.clone(), Some(stored.clone())));
                }
            }
        }
        let (at, revision) = (self.agenda.now(), snapshot.revision);
        for (kind, object, previous) in changes {
            let change = Change { at, revision, kind, object, previous, by: "relist".into() };
            self.components[index].cache.apply(&change);
            self.touch(index, |component, world| component.observe(&change, world));
        }
    }

    fn touch<T>(&mut self, index: usize, f: impl FnOnce(&mut dyn Component, &mut World<'_>) -> T) -> T {
        let now = self.agenda.now();
        let running = &mut self.components[index];
        self.server.enter(now, &running.actor);
        let mut world = World { now, server: &mut self.server, cache: &running.cache, log: &mut self.log };
        f(running.component.as_mut(), &mut world)
    }

    /// Sees to it that everybody who watches hears of the changes since `begin`.
    fn tell(&mut self, begin: usize) {
        let mut kinds: Vec<Kind> = Vec::new();
        for index in begin..self.server.end() {
            if let Ok(Some(change)) = self.server.change(index) {
                let kind = change.object.key.kind;
                tracing::trace!(t = %change.at, by = %change.by, what = ?change.kind, key = ?change.object.key, "changed");
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
        if kinds.is_empty() {
            return;
        }
        for index in 0..self.components.len() {
            let running = &self.components[index];
            if kinds.iter().any(|kind| running.watches(*kind)) {
                self.wake(index, self.agenda.now() + running.lag);
            } else if self.server.end() - running.cursor > FAR {
                self.pass_over(index);
            }
        }
    }

    /// A component sees off what is none of its business, before the server forgets it and all has to be listed anew.
    fn pass_over(&mut self, index: usize) {
        let running = &mut self.components[index];
        while let Ok(Some(change)) = self.server.change(running.cursor)
            && !running.watches(change.object.key.kind)
        {
            running.cursor += 1;
        }
    }

    fn ask_for_wake(&mut self, index: usize) {
        let running = &self.components[index];
        let lag = running.lag;
        // What the watch will show later stays in the log until then.
        let shown = match self.server.change(running.cursor) {
            Ok(Some(change)) => Some(change.at + lag),
            _ => None,
        };
        for at in [running.component.next_wake(), shown].into_iter().flatten() {
            self.wake(index, at);
        }
    }

    fn wake(&mut self, index: usize, at: Instant) {
        let at = at.max(self.agenda.now());
        let running = &mut self.components[index];
        if running.wake.is_none_or(|wake| at < wake) {
            running.wake = Some(at);
            self.agenda.put(at, index);
        }
    }
}
