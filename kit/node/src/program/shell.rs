//! The shell: runs what was parsed, in virtual time.
//!
//! Source: POSIX.1-2017, Shell Command Language, 2.8 to 2.11; the words of its complaints are those of BusyBox.

use super::commands;
use super::processes::{Process, obituary};
use super::syntax::Node;
use super::system::{Channel, Shared, System};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;

/// How deep commands may run in each other.
const DEEPEST: usize = 40;

/// Where input comes from.
#[derive(Clone)]
pub enum Source {
    /// The program's own.
    Input,
    /// Nowhere.
    Null,
    /// A pipe, or a file that was read.
    Pipe(Shared),
}

/// Where output goes.
#[derive(Clone)]
pub enum Sink {
    /// The program's own.
    Channel(Channel),
    /// Nowhere.
    Null,
    /// A pipe.
    Pipe(Shared),
    /// Into a text.
    Kept(Rc<RefCell<Vec<u8>>>),
    /// To the end of a file.
    File(String),
}

/// What a command reads and writes.
#[derive(Clone)]
pub struct Io {
    pub stdin: Source,
    pub stdout: Sink,
    pub stderr: Sink,
}

/// How a command left things.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Flow {
    /// The next one follows.
    On,
    /// Out of so many loops.
    Break(usize),
    /// On with the next round of a loop so far out.
    Continue(usize),
    /// The shell ends.
    Exit,
    /// So it does after an error or Ctrl-C, unless somebody types.
    Wrong,
}

/// A shell; a copy is a subshell.
#[derive(Clone)]
pub struct Shell {
    pub system: Rc<System>,
    /// Values, and whether programs see them.
    pub variables: BTreeMap<String, (String, bool)>,
    /// `$0` and what follows.
    pub arguments: Vec<String>,
    /// `$?`
    pub status: i32,
    pub directory: String,
    /// `set -e`
    pub strict: bool,
    /// What `trap` said of signals; of 0, the end.
    pub traps: BTreeMap<u8, Rc<Node>>,
    /// `$$`
    pub pid: u32,
    /// Where it runs; a subshell has a process of its own, and not its own `$$`.
    pub process: Rc<Process>,
    /// Whether nothing follows, so that the next program takes its place.
    pub exits: bool,
    /// What it has started in the background, and how that has ended.
    pub jobs: BTreeMap<u32, Rc<Cell<Option<i32>>>>,
    /// `$!`
    pub job: Option<u32>,
    /// Whether somebody types.
    pub interactive: bool,
    /// Within a condition failures are fine.
    tested: usize,
    depth: usize,
}

type Running<'a> = Pin<Box<dyn Future<Output = Flow> + 'a>>;

impl Shell {
    pub fn new(system: Rc<System>, environment: &[(String, String)], process: Rc<Process>) -> Shell {
        let variables = environment.iter().map(|(name, value)| (name.clone(), (value.clone(), true))).collect();
        Shell {
            system,
            variables,
            arguments: vec!["sh".into()],
            status: 0,
            directory: "/".into(),
            strict: false,
            traps: BTreeMap::new(),
            pid: process.pid,
            process,
            exits: true,
            jobs: BTreeMap::new(),
            job: None,
            interactive: false,
            tested: 0,
            depth: 0,
        }
    }

    /// A copy of it in a process of its own.
    pub fn fork(&self) -> Shell {
        let process = Rc::new(self.process.fork());
        Shell { process, exits: true, traps: BTreeMap::new(), jobs: BTreeMap::new(), ..self.clone() }
    }

    /// Runs something to its end; what ends a process that a signal has ended, too.
    pub async fn lives(mut self, node: &Node, io: &Io) -> i32 {
        let process = self.process.clone();
        match process.live(self.run(node, io)).await {
            Ok(_) => self.status,
            Err(signal) => 128 + i32::from(signal),
        }
    }

    /// Something in the foreground was ended by this signal, and a shell says so (`dowait` of BusyBox).
    pub async fn mourn(&mut self, signal: u8, io: &Io) {
        self.status = 128 + i32::from(signal);
        let text = obituary(signal);
        if !text.is_empty() {
            self.write(&io.stderr, format!("{text}\n").as_bytes()).await;
        }
    }

    /// A variable's value; empty if there is none.
    pub fn get(&self, name: &str) -> String {
        self.variables.get(name).map(|(value, _)| value.clone()).unwrap_or_default()
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.entry(name.into()).or_default().0 = value.into();
    }

    /// Writes; what can't be written says so in the shell's status.
    pub async fn write(&mut self, sink: &Sink, text: &[u8]) -> bool {
        match sink {
            Sink::Channel(channel) => self.system.put(*channel, text).await,
            Sink::Null => {}
            Sink::Pipe(pipe) => return self.system.pour(pipe, text).await,
            Sink::Kept(kept) => {
                let mut kept = kept.borrow_mut();
                if kept.len() + text.len() <= super::expand::LONGEST {
                    kept.extend(text);
                }
            }
            Sink::File(path) => {
                if let Err(why) = self.system.files.write(path, text, true) {
                    let message = format!("{}: write error: {why}\n", self.name());
                    self.system.put(Channel::Stderr, message.as_bytes()).await;
                    return false;
                }
            }
        }
        true
    }

    pub(super) fn name(&self) -> &str {
        self.arguments.first().map_or("sh", String::as_str)
    }

    /// Says what is wrong.
    pub async fn complain(&mut self, io: &Io, message: &str) {
        let text = format!("{}: {message}\n", self.name());
        self.write(&io.stderr, text.as_bytes()).await;
    }

    /// Runs a command.
    pub fn run<'a>(&'a mut self, node: &'a Node, io: &'a Io) -> Running<'a> {
        Box::pin(async move {
            if self.depth >= DEEPEST {
                self.complain(io, "can't fork: Resource temporarily unavailable").await;
                self.status = 2;
                return Flow::Wrong;
            }
            self.depth += 1;
            let flow = self.one(node, io).await;
            self.depth -= 1;
            if self.system.interrupted() {
                self.status = 130;
                return Flow::Wrong;
            }
            flow
        })
    }

    async fn one(&mut self, node: &Node, io: &Io) -> Flow {
        let exits = std::mem::take(&mut self.exits);
        match node {
            Node::Simple { assigns, words, redirects } => {
                self.system.tick().await;
                // Who is to catch something stays (`evalcommand` of BusyBox).
                self.exits = exits && self.traps.is_empty();
                let flow = self.simple(assigns, words, redirects, io).await;
                self.exits = false;
                if flow == Flow::On
                    && let Some(signal) = self.process.take_signal()
                    && let Some(trap) = self.traps.get(&signal).cloned()
                {
                    return self.run(&trap, io).await;
                }
                if flow == Flow::On && self.strict && self.tested == 0 && self.status != 0 {
                    return Flow::Exit;
                }
                flow
            }
            Node::List(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    self.exits = exits && index + 1 == nodes.len();
                    let flow = self.run(node, io).await;
                    if flow != Flow::On {
                        return flow;
                    }
                }
                Flow::On
            }
            Node::And(left, right) | Node::Or(left, right) => {
                let flow = self.condition(left, io).await;
                let wanted = matches!(node, Node::And(..));
                match flow == Flow::On && (self.status == 0) == wanted {
                    true => {
                        self.exits = exits;
                        self.run(right, io).await
                    }
                    false => flow,
                }
            }
            Node::Not(node) => {
                let flow = self.condition(node, io).await;
                self.status = i32::from(self.status == 0);
                flow
            }
            Node::If { arms, otherwise } => {
                for (condition, body) in arms {
                    let flow = self.condition(condition, io).await;
                    if flow != Flow::On {
                        return flow;
                    }
                    if self.status == 0 {
                        self.exits = exits;
                        return self.run(body, io).await;
                    }
                }
                self.status = 0;
                match otherwise {
                    Some(body) => {
                        self.exits = exits;
                        self.run(body, io).await
                    }
                    None => Flow::On,
                }
            }
            Node::Loop { until, condition, body } => loop {
                self.system.tick().await;
                let flow = self.condition(condition, io).await;
                if flow != Flow::On {
                    return flow;
                }
                if (self.status == 0) == *until {
                    self.status = 0;
                    return Flow::On;
                }
                match self.run(body, io).await {
                    Flow::On | Flow::Continue(1) => {}
                    Flow::Break(1) => return Flow::On,
                    flow => return outwards(flow),
                }
            },
            Node::For { name, words, body } => {
                let words = match self.words(words, io).await {
                    Ok(words) => words,
                    Err(why) => return self.fail(io, &why).await,
                };
                for word in words {
                    self.system.tick().await;
                    self.set(name, &word);
                    match self.run(body, io).await {
                        Flow::On | Flow::Continue(1) => {}
                        Flow::Break(1) => return Flow::On,
                        flow => return outwards(flow),
                    }
                }
                Flow::On
            }
            Node::Subshell(node) => {
                self.status = self.fork().lives(node, io).await;
                Flow::On
            }
            Node::Background(node) => {
                let (shell, node) = (self.fork(), (**node).clone());
                let io = Io { stdin: Source::Null, ..io.clone() };
                let (pid, code) = (shell.process.pid, Rc::new(Cell::new(None)));
                let ended = code.clone();
                let job = Box::pin(async move { ended.set(Some(shell.lives(&node, &io).await)) });
                if !self.system.spawn(job) {
                    return self.fail(&Io { stdin: Source::Null, ..commands::plain() }, "can't fork").await;
                }
                self.jobs.insert(pid, code);
                (self.job, self.status) = (Some(pid), 0);
                Flow::On
            }
            Node::Redirected(node, redirects) => match self.redirect(redirects, io).await {
                Ok(io) => {
                    self.exits = exits;
                    self.run(node, &io).await
                }
                Err(why) => self.fail_softly(io, &why).await,
            },
            Node::Pipeline(nodes) => self.pipeline(nodes, io).await,
        }
    }

    async fn condition(&mut self, node: &Node, io: &Io) -> Flow {
        self.tested += 1;
        let flow = self.run(node, io).await;
        self.tested -= 1;
        flow
    }

    pub(super) async fn fail(&mut self, io: &Io, why: &str) -> Flow {
        self.complain(io, why).await;
        self.status = 2;
        Flow::Wrong
    }

    pub(super) async fn fail_softly(&mut self, io: &Io, why: &str) -> Flow {
        self.complain(io, why).await;
        self.status = 1;
        Flow::On
    }
}

/// What a loop hands on to the one around it.
fn outwards(flow: Flow) -> Flow {
    match flow {
        Flow::Break(loops) if loops > 1 => Flow::Break(loops - 1),
        Flow::Continue(loops) if loops > 1 => Flow::Continue(loops - 1),
        flow => flow,
    }
}
