//! The hosts of the control plane: etcd's members, and the processes of which one leads.
//!
//! Every host runs a member of etcd and a candidate of each process. Who leads a process is decided by its Lease; whoever
//! loses it exits and begins anew, with nothing in its memory (`cmd/kube-controller-manager/app/controllermanager.go`). The
//! API server is one for all: it stands for the servers behind a load balancer, and needs one host that runs.

use kit_client::leader_election::{Election, Elector};
use kit_contract::Slot;
use kit_contract::failure::LeaderElection;
use kit_raft::quorum::Quorum;
use kit_server::{Error, Server};
use kit_time::agenda::Instant;
use kit_time::random::Random;
use std::sync::Arc;

/// Its process tells of itself under another name.
const SCHEDULER: (&str, &str) = ("kube-scheduler", "default-scheduler");

/// The hosts, and the processes of which each host has a candidate.
pub struct ControlPlane {
    hosts: Vec<Host>,
    processes: Vec<Process>,
    module: Slot<dyn LeaderElection>,
    random: Random,
    /// Whether everything gives back what it leads when it is asked to stop. Otherwise kube-scheduler does, and
    /// kube-controller-manager and cloud-controller-manager don't.
    releases: bool,
    /// Whether the API server itself was stopped.
    stopped: bool,
    /// Whether something can happen to its hosts. Otherwise all that is seen of it are its leases.
    can_fail: bool,
}

struct Host {
    name: String,
    up: bool,
    heard: bool,
    /// How far its clock is ahead.
    skew: Instant,
}

struct Process {
    name: &'static str,
    actor: Arc<str>,
    candidates: Vec<Elector>,
    leader: Option<usize>,
}

/// How the control plane is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its hosts, and what each one's member of etcd is: `leader`, `follower`, `cut off` or `down`.
    pub hosts: Vec<(String, &'static str)>,
    /// Its processes, and the host that leads each.
    pub processes: Vec<(&'static str, Option<String>)>,
    /// The same in words, by subject: [`ControlPlane::table`].
    pub said: Vec<(String, String)>,
}

/// What can be done to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostFault {
    /// It loses power.
    Crash,
    /// It comes back.
    Restart,
    /// It hears nobody, and nobody hears it.
    Partition,
    /// It hears and is heard again.
    Heal,
    /// Its clock is so much ahead.
    Skew(Instant),
}

/// What came of an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// Everything is as it was.
    Same,
    /// The process begins anew, on another host or on the same.
    Begins,
    /// Nobody leads any more.
    Ends,
}

impl ControlPlane {
    /// So many hosts, `control-plane-1` and so on, whose processes elect with modules of this slot.
    pub fn new(hosts: usize, module: &Slot<dyn LeaderElection>, random: Random) -> Self {
        let host =
            |number| Host { name: format!("control-plane-{number}"), up: true, heard: true, skew: Instant::default() };
        let (hosts, module) = ((1..=hosts).map(host).collect(), module.clone());
        ControlPlane { hosts, processes: Vec::new(), module, random, releases: false, stopped: false, can_fail: true }
    }

    /// One host of this name, beside others that are elsewhere. Whoever stops here gives back what it leads.
    pub fn beside_others(self, name: &str) -> Self {
        let host = Host { name: name.into(), up: true, heard: true, skew: Instant::default() };
        ControlPlane { hosts: vec![host], releases: true, ..self }
    }

    /// The same, and nothing can happen to its hosts.
    pub fn of_leases_only(self) -> Self {
        ControlPlane { can_fail: false, ..self }
    }

    /// Whether something can happen to its hosts.
    pub fn can_fail(&self) -> bool {
        self.can_fail
    }

    /// Asks its candidates to stop.
    pub fn cancel(&mut self, server: &mut Server, now: Instant) {
        for process in &mut self.processes {
            process.leader = None;
            for (host, candidate) in self.hosts.iter().zip(&mut process.candidates) {
                candidate.cancel(server, host.up && host.heard, now);
            }
        }
    }

    /// A process by this name, with a candidate on each host.
    pub fn with(mut self, name: &'static str) -> Self {
        let is_scheduler = name == SCHEDULER.0;
        let election = Election {
            module: self.module.clone(),
            lease: ("kube-system".into(), name.into()),
            recorder: if is_scheduler { SCHEDULER.1 } else { name }.into(),
            release_on_cancel: self.releases || is_scheduler,
            random: self.random,
        };
        let candidates = self.hosts.iter().map(|host| Elector::new(&election, &host.name)).collect();
        self.processes.push(Process { name, actor: name.into(), candidates, leader: None });
        self
    }

    /// The candidates of a process begin anew.
    pub fn restart(&mut self, process: usize, now: Instant) {
        let process = &mut self.processes[process];
        process.leader = None;
        process.candidates.iter_mut().for_each(|candidate| candidate.restart(now));
    }

    /// Whether a process has a leader that can reach the API server.
    pub fn acts(&self, process: usize) -> bool {
        self.processes[process].leader.is_some_and(|leader| self.hosts[leader].up && self.hosts[leader].heard)
    }

    /// Lets the candidates of a process try whose turn it is: what came of it, and when the next one wants to try.
    pub fn elect(&mut self, process: usize, server: &mut Server, now: Instant) -> (Term, Option<Instant>) {
        let process = &mut self.processes[process];
        server.enter(now, &process.actor);
        for (host, candidate) in self.hosts.iter().zip(&mut process.candidates).filter(|(host, _)| host.up) {
            candidate.act(server, host.heard, now);
        }
        let leads: Vec<usize> =
            (0..self.hosts.len()).filter(|index| self.hosts[*index].up && process.candidates[*index].leads()).collect();
        // One that is cut off may still believe that it does.
        let leader = leads.iter().find(|index| self.hosts[**index].heard).or(leads.first()).copied();
        let term = match (process.leader, leader) {
            (before, now) if before == now => Term::Same,
            (_, Some(_)) => Term::Begins,
            (_, None) => Term::Ends,
        };
        process.leader = leader;
        let running = self.hosts.iter().zip(&process.candidates).filter(|(host, _)| host.up);
        (term, running.filter_map(|(_, candidate)| candidate.due()).min())
    }

    /// Does something to a host; `false` if there is none of this name.
    pub fn fault(&mut self, name: &str, fault: HostFault, server: &mut Server, now: Instant) -> Result<bool, Error> {
        let Some(index) = self.hosts.iter().position(|host| host.name == name) else { return Ok(false) };
        let member = index as u64 + 1;
        let host = &mut self.hosts[index];
        let quorum = |server: &mut Server, act: fn(&mut Quorum, u64)| {
            server.quorum().into_iter().for_each(|quorum| act(quorum, member));
        };
        match fault {
            HostFault::Crash => {
                host.up = false;
                for process in &mut self.processes {
                    process.leader = process.leader.filter(|leader| *leader != index);
                }
                quorum(server, Quorum::crash);
            }
            HostFault::Restart => {
                host.up = true;
                self.processes.iter_mut().for_each(|process| process.candidates[index].restart(now));
                quorum(server, Quorum::restart);
            }
            HostFault::Partition => {
                host.heard = false;
                quorum(server, Quorum::part);
            }
            HostFault::Heal => {
                host.heard = true;
                quorum(server, Quorum::heal);
            }
            HostFault::Skew(by) => {
                host.skew = by;
                self.processes.iter_mut().for_each(|process| process.candidates[index].skew = by);
            }
        }
        self.serve(server)?;
        Ok(true)
    }

    /// Stops the API server, or starts it again.
    pub fn stop_server(&mut self, stopped: bool, server: &mut Server) -> Result<(), Error> {
        self.stopped = stopped;
        self.serve(server)
    }

    fn serve(&self, server: &mut Server) -> Result<(), Error> {
        match self.stopped || !self.hosts.iter().any(|host| host.up) {
            true => server.stop(),
            false if server.is_stopped() => server.start()?,
            false => {}
        }
        Ok(())
    }

    /// How its hosts are, and what each leads.
    pub fn view(&self, server: &Server) -> View {
        let etcd = server.leader_of_etcd();
        let host = |(index, host): (usize, &Host)| {
            let role = match (host.up, host.heard) {
                (false, _) => "down",
                (_, false) => "cut off",
                _ if etcd == Some(index as u64 + 1) => "leader",
                _ => "follower",
            };
            (host.name.clone(), role)
        };
        let led = |process: &Process| (process.name, process.leader.map(|leader| self.hosts[leader].name.clone()));
        View {
            hosts: self.hosts.iter().enumerate().map(host).collect(),
            processes: self.processes.iter().map(led).collect(),
            said: self.table(server),
        }
    }

    /// What can be said of it, by subject.
    pub fn table(&self, server: &Server) -> Vec<(String, String)> {
        let answers = server.outage().map_or("serves".into(), |outage| match server.is_stopped() {
            true => "down".into(),
            false => format!("answers to writes: {}", outage.message),
        });
        let mut table = vec![("kube-apiserver".to_string(), answers)];
        if let Some((heard, all)) = server.members_of_etcd() {
            let state = if heard * 2 > all { "quorum" } else { "no quorum" };
            table.push(("etcd".into(), format!("{heard} of {all} members, {state}")));
        }
        for process in &self.processes {
            let leader =
                process.leader.map_or("nobody leads".into(), |host| format!("{} leads", self.hosts[host].name));
            table.push((process.name.into(), leader));
        }
        table
    }
}
