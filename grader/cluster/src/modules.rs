//! The learner's modules in a cluster that runs: each is a process of the grader's, behind its walls, and the reference
//! takes the place of one that doesn't answer.

use anyhow::{Context, Result, bail};
use kit_cluster::cluster::{API_SERVER, ASKED, NODES};
use kit_contract::remote::{Link, Transport};
use kit_contract::wire::{Answer, NEW};
use kit_contract::{Modules, Player};
use kit_live::Door;
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Where the grader says that its program lies.
const GRADER: &str = "CARGO_GRADE";
/// How often a file is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// The one module with a memory that its process can't do without.
const STORE: &str = "control_plane/store";

/// The places in a cluster that the learner's modules take.
#[derive(Clone, Default)]
pub struct Seats(Vec<Arc<Seat>>);

struct Seat {
    exercise: &'static str,
    /// The process of the cluster that asks.
    process: &'static str,
    file: PathBuf,
    grader: PathBuf,
    taken: Mutex<Taken>,
}

/// Who sits there.
#[derive(Default)]
struct Taken {
    /// Counts the programs that were built of the file.
    build: u64,
    /// Why the reference does.
    lost: Option<String>,
    /// Whether a difference was told already: one of a kind is enough.
    told: bool,
}

impl Seats {
    /// Builds the modules of these exercises: `scheduler/queue`, `queue`, all of `scheduler`, `queue=FILE`.
    ///
    /// # Errors
    ///
    /// If a name is none of an exercise that a cluster asks, or a module doesn't build.
    pub fn take(names: &[String]) -> Result<Seats> {
        let mut seats: Vec<Arc<Seat>> = Vec::new();
        for name in names {
            let (name, file) = match name.split_once('=') {
                Some((name, file)) => (name, Some(file)),
                None => (name.as_str(), None),
            };
            let meant = |exercise: &str| {
                let (chapter, own) = exercise.split_once('/').unwrap_or_default();
                name == exercise || name == own || name == chapter && file.is_none()
            };
            let found: Vec<_> = ASKED.into_iter().filter(|(exercise, _)| meant(exercise)).collect();
            if found.is_empty() {
                bail!("{}", unknown(name));
            }
            let grader = std::env::var_os(GRADER).context("`--modules` is for `cargo grade cluster up`")?;
            for (exercise, process) in found {
                if seats.iter().any(|seat| seat.exercise == exercise) {
                    bail!("{exercise} is named twice");
                }
                let file = build(Path::new(&grader), exercise, Path::new(file.unwrap_or("exercises")))?;
                let file = file.with_context(|| format!("{exercise} doesn't build"))?;
                let taken = Mutex::default();
                seats.push(Arc::new(Seat { exercise, process, file, grader: (&grader).into(), taken }));
            }
        }
        Ok(Seats(seats))
    }

    /// Whether the store is among them.
    pub fn have_store(&self) -> bool {
        self.0.iter().any(|seat| seat.exercise == STORE)
    }

    /// The modules of a cluster, for the thread that asks them.
    pub fn modules(&self) -> Modules {
        let mut modules = solutions::modules();
        for seat in &self.0 {
            modules.replace(seat.exercise, Link::new(Rc::new(RefCell::new(Seated(seat.clone())))));
        }
        modules
    }

    /// Builds a module anew each time its file is saved, and lets the process that asks it begin anew. The old one stays until
    /// the new one builds.
    pub fn watch(&self, door: Door) {
        let seats = self.0.clone();
        std::thread::spawn(move || {
            let mut seen: Vec<_> = seats.iter().map(|seat| saved(&seat.file)).collect();
            loop {
                std::thread::sleep(LOOK);
                for (seat, seen) in seats.iter().zip(&mut seen) {
                    let now = saved(&seat.file);
                    // An editor may take a file away before it puts the new one there.
                    if now != *seen && now.is_some() {
                        *seen = now;
                        seat.rebuild(&door);
                    }
                }
            }
        });
    }

    /// A line about each.
    pub fn lines(&self) -> Vec<String> {
        let who = |seat: &Arc<Seat>| match &seat.taken().lost {
            None => format!("yours, {}", seat.file.display()),
            Some(why) => format!("the reference, since yours was lost: {why}"),
        };
        self.0.iter().map(|seat| format!("{}  {}", seat.exercise, who(seat))).collect()
    }
}

fn unknown(name: &str) -> String {
    let is = |exercise: &&&str| **exercise == name || exercise.rsplit('/').next() == Some(name);
    match kit_contract::EXERCISES.iter().find(is) {
        Some(exercise) => format!("nothing in a cluster asks {exercise}; `cargo grade run {exercise}` does"),
        None => {
            let known: Vec<_> = ASKED.iter().map(|(exercise, _)| *exercise).collect();
            format!("`--modules {name}` names no exercise that a cluster asks; there are: {}", known.join(", "))
        }
    }
}

fn saved(file: &Path) -> Option<(SystemTime, u64)> {
    let data = file.metadata().ok()?;
    Some((data.modified().ok()?, data.len()))
}

/// Lets the grader build a module: where its source lies, or nothing if it doesn't build. What the compiler says goes to stderr.
fn build(grader: &Path, exercise: &str, file: &Path) -> Result<Option<PathBuf>> {
    let mut command = Command::new(grader);
    command.args(["worker", exercise, "--build", "--modules"]).arg(file).stderr(Stdio::inherit());
    let built = command.output().with_context(|| format!("can't start {}", grader.display()))?;
    let path = String::from_utf8_lossy(&built.stdout).trim_end().to_string();
    Ok(built.status.success().then(|| path.into()))
}

impl Seat {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reference sits there from now on.
    fn lose(&self, why: String) {
        eprintln!("  {}: {why}\n  The reference takes its place; `cargo grade run {0}` shows more.", self.exercise);
        self.taken().lost = Some(why);
    }

    fn rebuild(&self, door: &Door) {
        let exercise = self.exercise;
        match build(&self.grader, exercise, &self.file) {
            Ok(Some(_)) => {}
            Ok(None) => return eprintln!("  {exercise}: it doesn't build; what was there before goes on"),
            Err(error) => return eprintln!("  {exercise}: {error:#}"),
        }
        if exercise == STORE {
            return eprintln!("  {exercise}: it holds the cluster's objects; the next `up` begins with the new one");
        }
        {
            let mut taken = self.taken();
            *taken = Taken { build: taken.build + 1, ..Taken::default() };
        }
        match self.process {
            API_SERVER | NODES => eprintln!("  {exercise}: built anew"),
            process => {
                eprintln!("  {exercise}: built anew, and {process} begins anew with it");
                door.request(move |driver| _ = driver.restart(process));
            }
        }
    }
}

/// What slots ask for a module.
struct Seated(Arc<Seat>);

impl Transport for Seated {
    /// Each module is asked over a link of its own.
    fn ask(&mut self, _: &str, _: &str) -> Option<String> {
        None
    }

    fn reject(&mut self, _: String) {}

    fn another(&mut self) -> Option<Link> {
        let module: Rc<RefCell<dyn Transport>> = match self.0.process {
            API_SERVER | NODES => Rc::new(RefCell::new(Guarded::new(self.0.clone()))),
            _ => Rc::new(RefCell::new(Single::new(self.0.clone()))),
        };
        Some(Link::new(module))
    }
}

/// Who answers: the learner's worker, as long as there is one, or else the reference.
struct Single {
    seat: Arc<Seat>,
    worker: Option<Worker>,
    reference: Reference,
}

impl Single {
    fn new(seat: Arc<Seat>) -> Single {
        let worker = Worker::of(&seat);
        Single { seat, worker, reference: Reference::default() }
    }
}

impl Transport for Single {
    /// Without an answer the component unwinds, and its process begins anew: then the seat is the reference's.
    fn ask(&mut self, call: &str, args: &str) -> Option<String> {
        match &mut self.worker {
            Some(worker) => worker.ask(call, args).map_err(|why| self.reject(why)).ok(),
            None => self.reference.ask(self.seat.exercise, call, args).ok(),
        }
    }

    fn reject(&mut self, reason: String) {
        self.worker = None;
        self.seat.lose(reason);
    }
}

/// The same for the API server and for what runs on nodes, which can't begin anew: the reference is asked beside the learner's
/// worker, knows what that knows, and answers the very question that it was lost with.
struct Guarded {
    seat: Arc<Seat>,
    worker: Option<Worker>,
    build: u64,
    new: String,
    reference: Reference,
}

impl Guarded {
    fn new(seat: Arc<Seat>) -> Guarded {
        let (worker, build) = (Worker::of(&seat), seat.taken().build);
        Guarded { seat, worker, build, new: String::new(), reference: Reference::default() }
    }

    /// Lets a program take over that was built since.
    fn renew(&mut self) -> Result<(), String> {
        let build = self.seat.taken().build;
        if build != self.build {
            self.build = build;
            self.worker = Worker::of(&self.seat);
            self.worker.as_mut().map(|worker| worker.ask(NEW, &self.new)).transpose()?;
        }
        Ok(())
    }

    fn asked(&mut self, call: &str, args: &str, expected: &str) -> Result<Option<String>, String> {
        self.renew()?;
        let Some(worker) = &mut self.worker else { return Ok(None) };
        let answer = worker.ask(call, args)?;
        if call == NEW || self.reference.same(call, expected, &answer)? {
            return Ok(Some(answer));
        }
        let differs = format!("`{call}` is not answered as Kubernetes does");
        if self.seat.exercise == STORE {
            // From here on both would know different things.
            return Err(differs);
        }
        if !std::mem::replace(&mut self.seat.taken().told, true) {
            eprintln!("  {}: {differs}, and the answer counts", self.seat.exercise);
        }
        Ok(Some(answer))
    }
}

impl Transport for Guarded {
    fn ask(&mut self, call: &str, args: &str) -> Option<String> {
        if call == NEW {
            self.new = args.into();
        }
        let expected = self.reference.ask(self.seat.exercise, call, args).ok()?;
        match self.asked(call, args, &expected) {
            Ok(answer) => Some(answer.unwrap_or(expected)),
            Err(why) => {
                self.reject(why);
                Some(expected)
            }
        }
    }

    fn reject(&mut self, reason: String) {
        self.worker = None;
        self.seat.lose(reason);
    }
}

/// The reference's module, made when it is first asked.
#[derive(Default)]
struct Reference(Option<Box<dyn Player>>);

impl Reference {
    fn ask(&mut self, exercise: &str, call: &str, args: &str) -> Result<String, String> {
        let args = serde_json::from_str(args).map_err(|error| error.to_string())?;
        if call == NEW {
            let mut player = solutions::modules().player(exercise).ok_or("no contract has this name")?;
            player.start(&args)?;
            self.0 = Some(player);
            return Ok("null".into());
        }
        self.0.as_mut().ok_or("the first question is `new`")?.ask(call, &args)
    }

    fn same(&self, call: &str, one: &str, other: &str) -> Result<bool, String> {
        let player = self.0.as_ref().ok_or("the first question is `new`")?;
        player.same(call, one, other).map_err(|error| format!("the answer to `{call}` does not fit: {error}"))
    }
}

/// The grader's process that keeps one module behind its walls and answers in time, whatever the module does.
struct Worker {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    asked: u64,
}

impl Worker {
    /// None if the seat is the reference's.
    fn of(seat: &Seat) -> Option<Worker> {
        if seat.taken().lost.is_some() {
            return None;
        }
        Worker::start(seat).map_err(|error| seat.lose(format!("it can't be started: {error:#}"))).ok()
    }

    fn start(seat: &Seat) -> Result<Worker> {
        let mut command = Command::new(&seat.grader);
        command.args(["worker", seat.exercise, "--modules"]).arg(&seat.file);
        // Ctrl-C is for the cluster, which ends its workers when it needs them no more.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let questions = child.stdin.take().context("a pipe is missing")?;
        let answers = BufReader::new(child.stdout.take().context("a pipe is missing")?);
        Ok(Worker { child, questions, answers, asked: 0 })
    }

    fn ask(&mut self, call: &str, args: &str) -> Result<String, String> {
        let question = format!("{{\"id\":{},\"call\":{call:?},\"args\":{args}}}\n", self.asked);
        self.asked += 1;
        let mut line = String::new();
        let asked = self.questions.write_all(question.as_bytes()).and_then(|()| self.answers.read_line(&mut line));
        if asked.map_or(true, |bytes| bytes == 0) {
            return Err("its process has ended".into());
        }
        let answer: Answer = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        match (answer.answer, answer.error) {
            (Some(answer), _) => Ok(answer.get().into()),
            (None, Some(failure)) => Err(failure.message),
            (None, None) => Err("it gave no answer".into()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
