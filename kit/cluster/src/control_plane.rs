//! The hosts of the control plane: etcd's members, and the processes of which one leads.
//!
//! Every host runs a member of etcd and a candidate of each process. Who leads a process is decided by its Lease; whoever
//! loses it exits and begins anew, with nothing in its memory (`cmd/kube-controller-manager/app/controllermanager.go`). The
//! API server is one for all: it stands for the servers behind a load balancer, and needs one host that runs.

use kit_client::leader_election::{Elector, Timing};
use kit_raft::quorum::Quorum;
use kit_server::{Error, Server};
use kit_time::agenda::Instant;
use std::sync::Arc;

/// The hosts, and the processes of which each host has a candidate.
pub struct ControlPlane {
    hosts: Vec<Host>,
    processes: Vec<Process>,
    /// Whether the API server itself was stopped.
    stopped: bool,
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
    /// So many hosts, `control-plane-1` and so on.
    pub fn new(hosts: usize) -> Self {
        ControlPlane::of((1..=hosts).map(|number| format!("control-plane-{number}")))
    }

    /// Hosts of these names.
    pub fn of(names: impl IntoIterator<Item = String>) -> Self {
        let host = |name| Host { name, up: true, heard: true, skew: Instant::default() };
        ControlPlane { hosts: names.into_iter().map(host).collect(), processes: Vec::new(), stopped: false }
    }

    /// Gives back what its candidates lead, so that others needn't wait (`ReleaseOnCancel`).
    pub fn release(&mut self, server: &mut Server) {
        for process in &mut self.processes {
            process.leader = None;
            // Who can't give it back lets it run out.
            process.candidates.iter_mut().for_each(|candidate| _ = candidate.release(server));
        }
    }

    /// A process by this name, with a candidate on each host.
    pub fn with(mut self, name: &'static str) -> Self {
        let candidates = self.hosts.iter().map(|host| candidate(name, host)).collect();
        self.processes.push(Process { name, actor: name.into(), candidates, leader: None });
        self
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
            if candidate.next_try() <= now {
                candidate.try_now(host.heard.then_some(&mut *server), now);
            }
        }
        let mut candidates = self.hosts.iter().zip(&process.candidates);
        let leader = candidates.position(|(host, candidate)| host.up && candidate.leads(now));
        let term = match (process.leader, leader) {
            (before, now) if before == now => Term::Same,
            (_, Some(_)) => Term::Begins,
            (_, None) => Term::Ends,
        };
        process.leader = leader;
        let running = self.hosts.iter().zip(&process.candidates).filter(|(host, _)| host.up);
        (term, running.map(|(_, candidate)| candidate.next_try()).min())
    }

    /// Does something to a host; `false` if there is none of this name.
    pub fn fault(&mut self, name: &str, fault: HostFault, server: &mut Server) -> Result<bool, Error> {
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
                for process in &mut self.processes {
                    process.candidates[index] = candidate(process.name, host);
                }
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

fn candidate(process: &str, host: &Host) -> Elector {
    let mut elector = Elector::new(&format!("{}_{process}", host.name), "kube-system", process, Timing::default());
    elector.skew = host.skew;
    elector
}
