//! What goes on inside containers: programs that run and write, in a cluster that somebody watches.
//!
//! A container whose command is one that [`program`](crate::program) knows runs it. Any other is described by its image,
//! and writes a few lines of its own. Scenarios do without all of this.

use super::namespaces::{self, Namespaces};
use super::{PodWorker, Run, State, start};
use crate::kubelet::image::Registry;
use crate::kubelet::image::called;
use crate::kubelet::log::Log;
use crate::kubelet::surroundings::{Place, Volumes, expand};
use crate::program::processes::Process;
use crate::program::tree::tree;
use crate::program::{Channel, Program, Surroundings, exists};
use kit_api::core::{Container, ContainerStatus, Pod};
use kit_api::jiff::Timestamp;
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

/// Images that have nothing but a shell, which ends at once if nobody talks to it.
const SHELLS: [(&str, &str); 5] =
    [("busybox", "sh"), ("alpine", "sh"), ("bash", "bash"), ("debian", "bash"), ("ubuntu", "bash")];

/// The inside of one container.
pub struct Life {
    pub(super) container: Container,
    /// Whether its command is run; otherwise its image says what it does.
    command: bool,
    /// Its program, if that is known not to be there.
    pub(super) absent: Option<String>,
    /// Whom its image names as its user.
    user: String,
    /// When the run began that this is about.
    since: Option<Instant>,
    /// The program, while it runs.
    pub program: Option<Program>,
    /// What can be seen of it while it runs, if it has no program.
    pub(super) processes: Vec<Process>,
    /// Whose processes it wants to see.
    pub(super) sees: Option<String>,
    /// What it finds around itself, for those who come later.
    around: Surroundings,
    /// What this run has written, and the one before.
    pub logs: [Log; 2],
    /// How many runs there were.
    runs: u64,
}

/// Something that a container has written.
pub struct Written {
    /// Which container.
    pub container: String,
    /// Where to.
    pub channel: Channel,
    /// What.
    pub bytes: Vec<u8>,
}

/// What came of letting programs go on.
#[derive(Default)]
pub struct Played {
    /// What they wrote.
    pub written: Vec<Written>,
    /// Whether one has ended.
    pub ended: bool,
    /// Whether a probe has changed what others see.
    pub changed: bool,
}

impl Life {
    pub(super) fn new(container: &Container, registry: &Registry, network: bool, user: &str) -> Life {
        let mut container = container.clone();
        let image = container.image.as_deref().unwrap_or_default();
        let shell = SHELLS.iter().find(|(name, _)| *name == called(image));
        let described = registry.contains_key(image);
        let words = || container.command.iter().chain(&container.args).flatten();
        if let (None, Some((_, shell)), false) = (words().next(), shell, described) {
            container.command = Some(vec![shell.to_string()]);
        }
        let words = || container.command.iter().chain(&container.args).flatten();
        let command = !described && words().next().is_some_and(|word| exists(word, network));
        let absent = start::absent(&container).filter(|_| !described && !command);
        Life {
            container,
            command,
            absent,
            user: user.into(),
            since: None,
            program: None,
            processes: Vec::new(),
            sees: None,
            around: Surroundings::default(),
            logs: Default::default(),
            runs: 0,
        }
    }

    fn begin(&mut self, since: Instant, place: &Place<'_>, volumes: &mut Volumes, namespaces: &mut Namespaces) {
        self.since = Some(since);
        self.logs.swap(0, 1);
        self.logs[0] = Log::default();
        self.runs += 1;
        self.around = place.surroundings(&self.container, &self.user, volumes);
        self.around.processes = namespaces.join(&self.container.name, self.sees.as_deref());
        namespaces.show_host(&self.around.processes, &place.host);
        let known: BTreeMap<_, _> = self.around.environment.iter().cloned().collect();
        let words = self.container.command.iter().chain(&self.container.args).flatten();
        let words: Vec<String> = words.map(|word| expand(word, &known)).collect();
        self.program = self.command.then(|| Program::new(words, self.around.clone(), true));
        if !self.command {
            self.processes = namespaces::of_image(&self.container, &self.around);
            self.say("started; this container is simulated, no code of its image runs", place.server.time());
        }
    }

    /// A line of a container that runs no program.
    fn say(&mut self, text: &str, time: Timestamp) -> Vec<u8> {
        let image = self.container.image.as_deref().unwrap_or_default();
        let line = format!("{image}: {text}\n").into_bytes();
        self.logs[0].write(Channel::Stdout, &line, time);
        line
    }

    /// Lets it go on, or begin, or be over. The exit code if its program ends now.
    fn play(
        &mut self,
        running: Option<Instant>,
        now: Instant,
        place: &Place<'_>,
        (volumes, namespaces): (&mut Volumes, &mut Namespaces),
        played: &mut Played,
    ) -> Option<i32> {
        let time = place.server.time();
        if running != self.since.filter(|_| running.is_some()) || running.is_none() {
            if self.program.take().is_some() {
                self.logs[0].close(time);
            }
            self.processes.clear();
            self.begin(running?, place, volumes, namespaces);
        }
        let Some(program) = &mut self.program else {
            let ended = self.heed();
            if ended.is_some() {
                self.processes.clear();
                played.ended = true;
            }
            return ended;
        };
        let ended = program.step(now, time);
        for (channel, bytes) in program.take() {
            self.logs[0].write(channel, &bytes, time);
            played.written.push(Written { container: self.container.name.clone(), channel, bytes });
        }
        if ended.is_some() {
            self.program = None;
            self.logs[0].close(time);
            played.ended = true;
        }
        ended
    }
}

/// A container as somebody from outside sees it.
pub struct Seen<'a> {
    /// Its status.
    pub status: ContainerStatus,
    /// What it has written: this run, and the one before.
    pub logs: Option<&'a [Log; 2]>,
    /// Whether it runs, and since when.
    pub running: Option<Instant>,
}

impl PodWorker {
    fn lives(&self) -> impl Iterator<Item = &Life> {
        self.setup.iter().chain(&self.containers).chain(&self.guests).filter_map(|run| run.life.as_ref())
    }

    /// The logs that are kept, each with its container, the number of its run, counted from 0, and whether that goes on.
    pub fn logs(&self) -> impl Iterator<Item = (&str, u64, bool, &Log)> {
        let runs = self.setup.iter().chain(&self.containers).chain(&self.guests);
        runs.filter_map(|run| Some((run, run.life.as_ref()?))).flat_map(|(run, life)| {
            let kept = [(1, false), (0, run.since().is_some())].into_iter();
            kept.filter_map(move |(index, goes_on)| {
                let number = life.runs.checked_sub(index + 1)?;
                Some((run.name.as_str(), number, goes_on, life.logs.get(index as usize)?))
            })
        })
    }

    /// The log of the run of a container that goes on was rotated.
    pub fn forget_log(&mut self, container: &str) {
        self.inside(container).into_iter().for_each(|life| life.logs[0].forget());
    }

    /// The pod as it is wanted, if somebody watches.
    pub fn pod(&self) -> Option<&Pod> {
        self.live.as_deref()
    }

    /// When a program wants to go on.
    pub(super) fn wake(&self) -> Option<Instant> {
        let programs = self.lives().filter_map(Life::wake);
        programs.chain(self.wake_probes()).chain(self.wake_hooks()).min()
    }

    /// Lets all programs go on.
    pub fn play(&mut self, now: Instant, place: &Place<'_>) -> Played {
        let mut played = Played::default();
        if self.held.is_some() {
            return played;
        }
        let time = place.server.time();
        self.share_processes();
        for run in self.setup.iter_mut().chain(&mut self.containers).chain(&mut self.guests) {
            let since = run.since();
            let Some(life) = &mut run.life else { continue };
            let ended = life.play(since, now, place, (&mut self.volumes, &mut self.namespaces), &mut played);
            let still = life.stands_still();
            run.stand_still(still, now);
            let Some(code) = ended else { continue };
            run.exit(code, now, time, &self.policy);
            run.blame_program();
        }
        if played.ended {
            self.sync(now, time);
        }
        if self.live.is_some() {
            played.changed = self.play_hooks(now, place);
            played.changed |= self.probe(now, place);
        }
        if played.ended {
            self.go_on_ending(now, time);
        }
        played
    }

    /// One container, by its name.
    pub fn see(&self, name: &str, now: Instant) -> Option<Seen<'_>> {
        let inits = self.setup.iter().map(|run| (run, true));
        let mut runs = inits.chain(self.containers.iter().chain(&self.guests).map(|run| (run, false)));
        if let Some((run, is_init)) = runs.find(|(run, _)| run.name == name) {
            let logs = run.life.as_ref().map(|life| &life.logs);
            return Some(Seen { status: run.status(self.of(is_init)), logs, running: run.since() });
        }
        let init = self.inits.iter().find(|init| init.name == name)?;
        let runs = init.runs(now) && self.held.is_none();
        Some(Seen { status: init.status(now), logs: None, running: runs.then_some(init.begins) })
    }

    /// What somebody finds who comes into a container now.
    pub fn visit(&mut self, name: &str, place: &Place<'_>, now: Instant) -> Option<Surroundings> {
        let cgroup = self.cgroup(name, now, place.machine.cpus);
        let cgroup = tree(cgroup.into_iter().map(|(file, text)| (format!("/{file}"), text.into_bytes())));
        let uses = self.usage_of_containers().into_iter().find(|(of, ..)| of == name).map(|(.., uses)| uses);
        let life = self.inside(name)?;
        life.note_usage(uses.unwrap_or_default());
        let mut around = life.around.clone();
        around.files.mount("/sys/fs/cgroup", cgroup, true);
        Some(around)
    }

    /// The inside of a container that runs.
    pub fn inside(&mut self, name: &str) -> Option<&mut Life> {
        let mut all = self.setup.iter_mut().chain(&mut self.containers).chain(&mut self.guests);
        all.find(|run| run.name == name).and_then(|run| run.life.as_mut())
    }
}

impl Life {
    /// What it uses now is what its first process does, or its last worker.
    fn note_usage(&self, uses: (i64, i64)) {
        let of_program = self.program.as_ref().map(Program::pid);
        if let Some(pid) = of_program.or_else(|| self.processes.last().map(|process| process.pid)) {
            self.around.processes.note(pid, uses);
        }
    }

    /// When its program wants to go on, or has something to heed.
    fn wake(&self) -> Option<Instant> {
        let heeds = |process: &Process| process.all().is_stirred(process.pid).then_some(self.since).flatten();
        self.program.as_ref().and_then(Program::wake).or_else(|| self.processes.first().and_then(heeds))
    }

    /// The next run is of another container; what was written so far stays.
    pub(super) fn become_another(&mut self, other: Life) {
        *self = Life { logs: std::mem::take(&mut self.logs), runs: self.runs, ..other };
    }

    /// Whether it runs its command; otherwise its image says what it does.
    pub(super) fn command(&self) -> bool {
        self.command
    }

    /// Its command and arguments.
    pub(super) fn words(&self) -> impl Iterator<Item = &String> {
        self.container.command.iter().chain(&self.container.args).flatten()
    }

    /// The container as it was asked for.
    pub fn container(&self) -> &Container {
        &self.container
    }
}

impl Run {
    /// When the run began that goes on.
    pub(super) fn since(&self) -> Option<Instant> {
        match self.state {
            State::Running { since, .. } => Some(since),
            _ => None,
        }
    }

    /// Sends it the signal to stop.
    pub(super) fn signal(&mut self, time: Timestamp) {
        match self.life.as_mut().map(|life| (life.program.as_mut(), life.command)) {
            Some((Some(program), _)) => program.terminate(),
            Some((None, false)) => _ = self.life.as_mut().map(|life| life.say("received SIGTERM, ending", time)),
            _ => {}
        }
    }

    /// A program that ends with 137 was not killed for its memory.
    pub(super) fn blame_program(&mut self) {
        let ended = match &mut self.state {
            State::Ended(ended) => Some(ended),
            _ => self.last.as_mut(),
        };
        if let Some(ended) = ended.filter(|ended| ended.exit_code == 137) {
            ended.reason = Some("Error".into());
            self.oom_kills = 0;
        }
    }
}
