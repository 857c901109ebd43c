//! Which containers of a pod see each other's processes, and what can be seen of containers that run no program.
//!
//! Sources: `namespacesForPod` of `pkg/kubelet/kuberuntime/util/util.go` (`shareProcessNamespace`, `targetContainerName`); the pause
//! container reaps as process 1 then (`build/pause/linux/pause.c`).

use super::PodWorker;
use super::life::Life;
use crate::kubelet::image::called;
use crate::program::processes::{Process, Processes, TERM};
use crate::program::{Program, Surroundings};
use kit_api::core::Container;
use std::collections::BTreeMap;

/// The signals on which a container that runs no program ends well.
const HEEDED: [u8; 3] = [2, 3, TERM];
/// The program of pause containers, and their user.
const PAUSE: (&str, &str) = ("/pause", "65535");
/// A process: whose it is, and what it is called.
type Shown = (&'static str, &'static str);
/// What the processes of some images are called when they are started without a command.
const TITLES: [(&str, &[Shown]); 4] = [
    ("nginx", &[("root", "nginx: master process nginx -g daemon off;"), ("101", "nginx: worker process")]),
    ("redis", &[("999", "redis-server *:6379")]),
    ("postgres", &[("999", "postgres")]),
    ("httpd", &[("root", "httpd -DFOREGROUND"), ("33", "httpd -DFOREGROUND")]),
];

/// The processes of a pod, by container.
#[derive(Default)]
pub struct Namespaces {
    /// The pause container, if all see each other.
    pause: Option<Process>,
    /// Those of each container that has begun.
    of: BTreeMap<String, Processes>,
    /// What runs on the node, for those who see that: as it was when they began.
    host: Vec<Process>,
}

impl Namespaces {
    /// What a container that begins now sees; it may want to see another one.
    pub(super) fn join(&mut self, container: &str, other: Option<&str>) -> Processes {
        let joined = match &self.pause {
            Some(pause) => pause.all().clone(),
            None => other.and_then(|other| self.of.get(other)).cloned().unwrap_or_default(),
        };
        self.of.insert(container.into(), joined.clone());
        joined
    }

    /// Shows who begins what runs on the node.
    pub(super) fn show_host(&mut self, processes: &Processes, host: &[(String, Vec<String>)]) {
        let begins = processes.all().is_empty();
        for (user, command) in host.iter().filter(|_| begins) {
            let process = processes.enter(command, &Surroundings::default(), true);
            process.belong_to(user);
            self.host.push(process);
        }
    }

    /// The processes of all containers, each once.
    fn all(&self) -> Vec<(String, Vec<String>)> {
        let mut tables: Vec<&Processes> = self.pause.iter().map(Process::all).collect();
        for table in self.of.values() {
            if !tables.iter().any(|known| known.is(table)) {
                tables.push(table);
            }
        }
        let shown =
            |table: &Processes| table.all().into_values().map(|entry| (entry.user, entry.args)).collect::<Vec<_>>();
        tables.into_iter().flat_map(shown).collect()
    }
}

impl PodWorker {
    /// Lets all containers see each other, if the pod asks for it.
    pub(super) fn share_processes(&mut self) {
        let spec = self.live.as_ref().and_then(|pod| pod.spec.as_ref());
        let shares = spec.is_some_and(|spec| spec.share_process_namespace == Some(true));
        if shares && self.namespaces.pause.is_none() {
            let pause = Processes::default().enter(&[PAUSE.0.into()], &Surroundings::default(), true);
            pause.belong_to(PAUSE.1);
            self.namespaces.pause = Some(pause);
        }
    }

    /// What runs in its containers: whose, and with which command. In each sandbox there is a pause container.
    pub fn processes(&self) -> Vec<(String, Vec<String>)> {
        let all = self.namespaces.all();
        let pause = (PAUSE.1.to_string(), vec![PAUSE.0.to_string()]);
        let missing = (!all.is_empty() && self.namespaces.pause.is_none()).then_some(pause);
        missing.into_iter().chain(all).collect()
    }

    /// In a new sandbox nothing of the last one goes on.
    pub(super) fn forget_processes(&mut self) {
        self.namespaces = Namespaces::default();
    }

    /// Which container an ephemeral one wants to see.
    pub(super) fn note_targets(&mut self) {
        let spec = self.live.iter().filter_map(|pod| pod.spec.as_ref());
        for guest in spec.flat_map(|spec| spec.ephemeral_containers.iter().flatten()) {
            let run = self.guests.iter_mut().find(|run| run.name == guest.name);
            if let Some(life) = run.and_then(|run| run.life.as_mut()) {
                life.sees.clone_from(&guest.target_container_name);
            }
        }
    }
}

/// The processes of a container that runs no program.
pub(super) fn of_image(container: &Container, around: &Surroundings) -> Vec<Process> {
    let image = called(container.image.as_deref().unwrap_or_default());
    let words: Vec<String> = container.command.iter().chain(&container.args).flatten().cloned().collect();
    let words = if words.is_empty() { vec![image.to_string()] } else { words };
    let first = around.processes.enter(&words, around, true);
    HEEDED.iter().for_each(|signal| first.catch(*signal, true));
    if let [(user, title), ..] = titles(container) {
        first.become_program(&[title.to_string()]);
        first.belong_to(user);
    }
    let mut all = vec![first];
    start_workers(&mut all, container);
    all
}

fn titles(container: &Container) -> &'static [Shown] {
    let image = called(container.image.as_deref().unwrap_or_default());
    let plain = container.command.iter().chain(&container.args).flatten().next().is_none();
    TITLES.iter().find(|(name, _)| *name == image && plain).map_or(&[], |(_, titles)| titles)
}

/// What the first process of a container starts.
fn start_workers(all: &mut Vec<Process>, container: &Container) {
    for (user, title) in titles(container).get(1..).unwrap_or_default() {
        let Some(worker) = all.first().map(Process::fork) else { return };
        worker.become_program(&[title.to_string()]);
        worker.belong_to(user);
        all.push(worker);
    }
}

impl Life {
    /// Whether nobody in it works: its workers stand still, or its first process if it has none.
    pub(super) fn stands_still(&self) -> bool {
        let of_program = self.program.as_ref().map(Program::is_stopped);
        of_program.or_else(|| self.processes.last().map(Process::is_stopped)).unwrap_or_default()
    }

    /// The exit code of a container that runs no program, if a signal from inside ends it.
    pub(super) fn heed(&mut self) -> Option<i32> {
        let first = self.processes.first()?;
        first.all().calm(first.pid);
        let code = match (first.killed(), first.take_signal()) {
            (Some(signal), _) => Some(128 + i32::from(signal)),
            (None, Some(_)) => Some(0),
            (None, None) => None,
        };
        // Who has workers starts others.
        let lost = self.processes.iter().skip(1).any(|worker| worker.killed().is_some());
        if lost && code.is_none() {
            self.processes.truncate(1);
            start_workers(&mut self.processes, &self.container);
        }
        code
    }
}

#[cfg(test)]
mod tests;
