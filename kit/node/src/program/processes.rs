//! The processes that see each other: those of one container, or of all containers of a pod that shares them.
//!
//! A process is there as long as its [`Process`] is kept. Signals are noted here, and heeded by whoever runs the process. Who was started
//! in the foreground ends with the shell that started it.
//!
//! Sources: pid_namespaces(7) (process 1 hears only what it catches, and all others end with it), signal(7) (what a signal does),
//! proc(5), and `init_linux.go` of github.com/opencontainers/runc, whose own first processes have numbers, too.

use super::Surroundings;
use super::files::Files;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

/// The signal that nobody can catch.
pub const KILL: u8 = 9;
/// The signal to end.
pub const TERM: u8 = 15;
/// The signal to stand still, which nobody can catch either,
pub const STOP: u8 = 19;
/// and that to go on.
pub const CONT: u8 = 18;
/// How many numbers pass while a runtime enters a container.
const ENTERING: u32 = 6;
/// Signals by number and name, and what a shell says of a command that one has ended.
const SIGNALS: [(u8, &str, &str); 13] = [
    (1, "HUP", "Hangup"),
    (2, "INT", ""),
    (3, "QUIT", "Quit"),
    (KILL, "KILL", "Killed"),
    (10, "USR1", "User defined signal 1"),
    (12, "USR2", "User defined signal 2"),
    (13, "PIPE", ""),
    (14, "ALRM", "Alarm clock"),
    (TERM, "TERM", "Terminated"),
    (17, "CHLD", ""),
    (CONT, "CONT", ""),
    (STOP, "STOP", ""),
    (28, "WINCH", ""),
];
/// Those that do nothing to a process that doesn't catch them.
const HARMLESS: [u8; 3] = [17, CONT, 28];
/// What is shown of a process below `/proc`.
const SHOWN: [&str; 5] = ["cmdline", "comm", "environ", "root", "status"];

/// The signal of this name or number; 0 asks only whether a process is there.
pub fn signal(word: &str) -> Option<u8> {
    let name = word.strip_prefix("SIG").unwrap_or(word);
    let known = SIGNALS.iter().find(|(_, known, _)| *known == name).map(|(number, ..)| *number);
    known.or_else(|| word.parse().ok().filter(|number| *number < 65))
}

/// The names of all signals.
pub fn names() -> impl Iterator<Item = (u8, &'static str)> {
    SIGNALS.iter().map(|(number, name, _)| (*number, *name))
}

/// What a shell says of a command that a signal has ended; nothing of some.
pub fn obituary(signal: u8) -> &'static str {
    SIGNALS.iter().find(|(number, ..)| *number == signal).map_or("", |(.., text)| text)
}

/// All processes that see each other; copies share them.
#[derive(Debug, Clone, Default)]
pub struct Processes(Rc<RefCell<Table>>);

#[derive(Debug, Default)]
struct Table {
    last: u32,
    entries: BTreeMap<u32, Entry>,
    /// Programs that have something to heed, by their first process.
    stirred: BTreeSet<u32>,
}

/// What can be seen of a process.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who started it; 0 if that is outside.
    pub parent: u32,
    /// Its command.
    pub args: Vec<String>,
    /// Whose it is.
    pub user: String,
    /// Whether it stands still (`T` of `ps`).
    pub stopped: bool,
    /// Thousandths of a CPU and bytes of memory that it uses, if somebody has said so.
    pub uses: (i64, i64),
    /// The first process of its program.
    root: u32,
    files: Rc<Files>,
    environment: Rc<Vec<(String, String)>>,
    caught: BTreeSet<u8>,
    pending: BTreeSet<u8>,
    killed: Option<u8>,
}

/// One process; when this is dropped, it has ended.
#[derive(Debug)]
pub struct Process {
    all: Processes,
    /// Its number.
    pub pid: u32,
}

impl Processes {
    /// The first process of a program: number 1 if it is a container's own and nothing else is there.
    pub fn enter(&self, args: &[String], around: &Surroundings, own: bool) -> Process {
        let mut table = self.0.borrow_mut();
        if table.last > 0 || !own {
            table.last += ENTERING;
        }
        let entry = Entry {
            parent: 0,
            args: args.to_vec(),
            user: around.files.who().name(),
            stopped: false,
            uses: (0, 0),
            root: table.last + 1,
            files: Rc::new(around.files.without_processes()),
            environment: Rc::new(around.environment.clone()),
            caught: BTreeSet::new(),
            pending: BTreeSet::new(),
            killed: None,
        };
        let pid = table.add(entry);
        Process { all: self.clone(), pid }
    }

    /// Sends a signal; `false` if there is no such process.
    pub fn signal(&self, pid: u32, signal: u8) -> bool {
        self.0.borrow_mut().signal(pid, signal)
    }

    /// One of them uses so many thousandths of a CPU and bytes of memory.
    pub fn note(&self, pid: u32, uses: (i64, i64)) {
        self.0.borrow_mut().entries.entry(pid).and_modify(|entry| entry.uses = uses);
    }

    /// Whether these are the same.
    pub fn is(&self, other: &Processes) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// All that are there, by their numbers.
    pub fn all(&self) -> BTreeMap<u32, Entry> {
        self.0.borrow().entries.clone()
    }

    /// Whether a program has something to heed.
    pub fn is_stirred(&self, root: u32) -> bool {
        self.0.borrow().stirred.contains(&root)
    }

    /// A program has heeded what was there.
    pub fn calm(&self, root: u32) {
        self.0.borrow_mut().stirred.remove(&root);
    }

    /// What a file below `/proc` holds; the path is what comes after it.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        let (pid, file) = path.split_once('/')?;
        let pid: u32 = pid.parse().ok()?;
        let table = self.0.borrow();
        let entry = table.entries.get(&pid)?;
        let ended = |words: Vec<String>| words.into_iter().map(|word| word + "\0").collect::<String>();
        let text = match file {
            "cmdline" => ended(entry.args.clone()),
            "comm" => entry.name() + "\n",
            "environ" => ended(entry.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            "status" => entry.status(pid),
            _ => return None,
        };
        Some(text.into_bytes())
    }

    /// The names in a directory below `/proc`.
    pub fn list(&self, path: &str) -> Vec<String> {
        let table = self.0.borrow();
        match path.parse::<u32>() {
            _ if path.is_empty() => table.entries.keys().map(ToString::to_string).collect(),
            Ok(pid) if table.entries.contains_key(&pid) => SHOWN.map(str::to_string).to_vec(),
            _ => Vec::new(),
        }
    }

    /// The files that a process sees.
    pub fn files(&self, pid: &str) -> Option<Files> {
        Some(Files::clone(&self.0.borrow().entries.get(&pid.parse().ok()?)?.files))
    }
}

impl Table {
    fn add(&mut self, entry: Entry) -> u32 {
        self.last += 1;
        self.entries.insert(self.last, entry);
        self.last
    }

    fn signal(&mut self, pid: u32, signal: u8) -> bool {
        let Some(entry) = self.entries.get_mut(&pid) else { return false };
        entry.stopped &= signal != CONT;
        match () {
            () if signal == 0 => return true,
            () if entry.caught.contains(&signal) => _ = entry.pending.insert(signal),
            // Of signals from inside the first process gets only what it catches (`SIGNAL_UNKILLABLE` in `kernel/signal.c`).
            () if pid == 1 && signal != CONT => return true,
            () if signal == STOP => entry.stopped = true,
            () if HARMLESS.contains(&signal) => {}
            () if signal == KILL => entry.killed = Some(KILL),
            () => entry.killed = entry.killed.or(Some(signal)),
        }
        self.stirred.insert(entry.root);
        true
    }
}

impl Entry {
    /// What its program is called.
    pub fn name(&self) -> String {
        let word = self.args.first().map_or("", String::as_str);
        let word = word.split(':').next().unwrap_or_default();
        word.rsplit('/').next().unwrap_or_default().chars().take(15).collect()
    }

    fn status(&self, pid: u32) -> String {
        let mask =
            |signals: &BTreeSet<u8>| signals.iter().filter(|it| **it > 0).fold(0u64, |all, it| all | 1 << (it - 1));
        format!(
            "Name:\t{}\nState:\t{}\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{}\nSigCgt:\t{:016x}\n",
            self.name(),
            if self.stopped { "T (stopped)" } else { "S (sleeping)" },
            self.parent,
            mask(&self.caught)
        )
    }
}

impl Process {
    /// A child, which is the same program so far.
    pub fn fork(&self) -> Process {
        let mut table = self.all.0.borrow_mut();
        let mine = table.entries.get(&self.pid).cloned();
        // Who has been killed starts nothing any more that could be seen.
        let pid = mine.map_or(0, |mine| {
            table.add(Entry {
                parent: self.pid,
                caught: BTreeSet::new(),
                pending: BTreeSet::new(),
                killed: None,
                stopped: false,
                uses: (0, 0),
                ..mine
            })
        });
        Process { all: self.all.clone(), pid }
    }

    /// It becomes another program.
    pub fn become_program(&self, args: &[String]) {
        self.change(|entry| entry.args = args.to_vec());
    }

    /// It becomes somebody else's.
    pub fn belong_to(&self, user: &str) {
        self.change(|entry| entry.user = user.into());
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.all.0.borrow_mut().entries.get_mut(&self.pid) {
            change(entry);
        }
    }

    /// What its program is called.
    pub fn name(&self) -> String {
        self.all.0.borrow().entries.get(&self.pid).map(Entry::name).unwrap_or_default()
    }

    /// All that it sees.
    pub fn all(&self) -> &Processes {
        &self.all
    }

    /// Which signal has ended it, if one has. Who stands still hears only SIGKILL.
    pub fn killed(&self) -> Option<u8> {
        let table = self.all.0.borrow();
        let entry = table.entries.get(&self.pid)?;
        entry.killed.filter(|signal| *signal == KILL || !entry.stopped)
    }

    /// Whether it stands still.
    pub fn is_stopped(&self) -> bool {
        self.all.0.borrow().entries.get(&self.pid).is_some_and(|entry| entry.stopped)
    }

    /// From now on it catches a signal, or doesn't.
    pub fn catch(&self, signal: u8, catches: bool) {
        let mut table = self.all.0.borrow_mut();
        let Some(entry) = table.entries.get_mut(&self.pid) else { return };
        match catches {
            true => _ = entry.caught.insert(signal),
            false => _ = entry.caught.remove(&signal),
        }
    }

    /// Whether a signal waits that it catches.
    pub fn is_called(&self) -> bool {
        self.all.0.borrow().entries.get(&self.pid).is_some_and(|entry| !entry.pending.is_empty())
    }

    /// A signal that it catches and that has come.
    pub fn take_signal(&self) -> Option<u8> {
        let mut table = self.all.0.borrow_mut();
        table.entries.get_mut(&self.pid).filter(|entry| !entry.stopped)?.pending.pop_first()
    }

    /// Does something in this process; the signal that ends it, if one does.
    pub async fn live<T>(&self, what: impl Future<Output = T>) -> Result<T, u8> {
        let mut what = pin!(what);
        poll_fn(|context| match self.killed() {
            Some(signal) => Poll::Ready(Err(signal)),
            None if self.is_stopped() => Poll::Pending,
            None => what.as_mut().poll(context).map(Ok),
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let table = &mut *self.all.0.borrow_mut();
        table.entries.remove(&self.pid);
        let first = u32::from(table.entries.contains_key(&1));
        for (_, other) in table.entries.iter_mut() {
            if other.parent == self.pid {
                other.parent = first;
            }
            if self.pid == 1 {
                other.killed = Some(KILL);
                table.stirred.insert(other.root);
            }
        }
    }
}
