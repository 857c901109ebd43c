//! `watch`: a verdict each time a file is saved, and none of them late.
//!
//! One thread grades; this one hears of saves and keys, and is never busy. A save during a run cancels the run. What
//! was saved is found by looking at the files; events of the file system only say when to look, so that one that is
//! lost, as on some network drives, costs half a second and not a save.

use crate::commands::picture::Output;
use crate::display::human::{self, BOLD, DIM, exercise, paint};
use crate::display::terminal::{Key, Terminal};
use crate::verdict::cancel;
use crate::verdict::report::{ExerciseResult, Status};
use crate::verdict::suite::Suite;
use crate::workspace::{Entry, Workspace};
use crate::{explain, help, overview};
use anstream::{print, println};
use anyhow::{Context, Result};
use notify::{RecursiveMode, Watcher};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Scope;
use std::time::{Duration, Instant, SystemTime};

/// Editors write a file in several steps; this long nothing may happen before it counts as saved.
const QUIET: Duration = Duration::from_millis(60);
/// How often files are looked at without being told to.
const LOOK: Duration = Duration::from_millis(500);

enum Event {
    /// Something happened in the folder of exercises.
    Touched,
    Key(Key),
    /// The run with this number ended.
    Done(u32, Box<Result<ExerciseResult>>),
}

pub fn watch(workspace: &Workspace, first: Option<&str>) -> Result<ExitCode> {
    let (sender, events) = channel();
    let terminal = Terminal::open(&sender, Event::Key)?;
    // Without events the files are looked at all the same, only later.
    let _watcher = listen(workspace, sender.clone())
        .inspect_err(|e| println!("  {}", paint(DIM, format_args!("{e:#}; files are looked at twice a second"))));
    let first = match first {
        Some(name) => workspace.one(name)?,
        None => next(workspace)?,
    };
    std::thread::scope(|scope| {
        let mut watch = Watch {
            workspace,
            scope,
            sender,
            has_keys: terminal.has_keys(),
            files: Files::look(workspace),
            current: first,
            wanted: Some(Instant::now()),
            run: 0,
            running: false,
            last: None,
        };
        let ended = watch.until_the_end(&events);
        cancel::cancel();
        ended
    })?;
    Ok(ExitCode::SUCCESS)
}

fn listen(workspace: &Workspace, sender: Sender<Event>) -> Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file is an event, too, and the compiler reads them all the time.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = sender.send(Event::Touched);
        }
    })
    .context("this system tells nobody of changed files")?;
    let exercises = workspace.root.join("exercises");
    watcher
        .watch(&exercises, RecursiveMode::Recursive)
        .with_context(|| format!("{} can't be watched", exercises.display()))?;
    Ok(watcher)
}

/// The first exercise that has not passed, or the last one.
fn next(workspace: &Workspace) -> Result<&Entry> {
    let open = overview::standing(workspace)?.iter().position(|result| result.status != Status::Passed);
    let entry = open.map_or(workspace.catalog.last(), |i| workspace.catalog.get(i));
    entry.context("the catalogue is empty")
}

/// When each exercise's file was saved last, and how long it was then.
struct Files(BTreeMap<PathBuf, Option<(SystemTime, u64)>>);

impl Files {
    fn look(workspace: &Workspace) -> Files {
        let state = |path: &PathBuf| {
            let data = path.metadata().ok()?;
            Some((data.modified().ok()?, data.len()))
        };
        let files = workspace.catalog.iter().map(|entry| workspace.exercise_file(&entry.name));
        Files(
            files
                .map(|path| {
                    let seen = state(&path);
                    (path, seen)
                })
                .collect(),
        )
    }

    /// Looks again; the first exercise whose file is there and different.
    fn changed<'a>(&mut self, workspace: &'a Workspace) -> Option<&'a Entry> {
        let before = std::mem::replace(self, Files::look(workspace));
        workspace.catalog.iter().find(|entry| {
            let path = workspace.exercise_file(&entry.name);
            let now = self.0.get(&path).copied().flatten();
            // A file that is gone for a moment is being replaced.
            now.is_some() && before.0.get(&path).copied().flatten() != now
        })
    }
}

struct Watch<'a, 'scope> {
    workspace: &'a Workspace,
    scope: &'scope Scope<'scope, 'a>,
    sender: Sender<Event>,
    has_keys: bool,
    files: Files,
    current: &'a Entry,
    /// From when on the current exercise should be graded.
    wanted: Option<Instant>,
    /// The number of the newest run.
    run: u32,
    running: bool,
    last: Option<ExerciseResult>,
}

impl<'a> Watch<'a, '_> {
    fn until_the_end(&mut self, events: &Receiver<Event>) -> Result<()> {
        loop {
            if !self.running && self.wanted.is_some_and(|at| at <= Instant::now()) {
                self.start();
            }
            let until_wanted = self.wanted.map(|at| at.saturating_duration_since(Instant::now()));
            let patience = until_wanted.filter(|_| !self.running).unwrap_or(LOOK).min(LOOK);
            match events.recv_timeout(patience) {
                Ok(Event::Key(Key::Quit | Key::Char('q'))) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(Event::Key(Key::Char(key))) => self.pressed(key)?,
                Ok(Event::Done(run, result)) => self.done(run, *result),
                Ok(Event::Touched) | Err(RecvTimeoutError::Timeout) => {
                    if let Some(entry) = self.files.changed(self.workspace) {
                        self.want(entry, QUIET);
                    }
                }
            }
        }
    }

    /// Grades `entry` after a while, and cancels what is going on.
    fn want(&mut self, entry: &'a Entry, after: Duration) {
        self.current = entry;
        self.wanted = Some(Instant::now() + after);
        if self.running {
            cancel::cancel();
        }
    }

    fn start(&mut self) {
        self.wanted = None;
        self.running = true;
        self.run += 1;
        self.last = None;
        cancel::reset();
        let (workspace, entry, run, sender) = (self.workspace, self.current, self.run, self.sender.clone());
        clear();
        let file = format!("exercises/{}.rs", entry.name);
        println!("  {}   {}\n", paint(BOLD, &entry.title), paint(DIM, file));
        flush();
        self.scope.spawn(move || {
            let graded = std::panic::catch_unwind(|| Suite::of_one(workspace, entry)?.grade(|_| {}));
            let graded =
                graded.unwrap_or_else(|_| Err(anyhow::anyhow!("the grader panicked; this is no fault of yours")));
            let result = graded.and_then(|results| results.into_iter().next().context("nothing was graded"));
            let _ = sender.send(Event::Done(run, Box::new(result)));
        });
    }

    fn done(&mut self, run: u32, result: Result<ExerciseResult>) {
        assert_eq!(run, self.run, "one run at a time");
        self.running = false;
        // Cancelled, or about to be graded again: what came out of it is of a file that is no more.
        if self.wanted.is_some() {
            return;
        }
        match result {
            Ok(result) => {
                // One at a time fits on a screen.
                print!("{}", exercise(&result, 1));
                if result.status == Status::Passed {
                    println!("\n{}", human::after_a_pass(&result.name));
                    if let Some(next) = self.following() {
                        let how = if self.has_keys { "press n, or save" } else { "save" };
                        println!("      next      {how} exercises/{}.rs · {}", next.name, next.title);
                    }
                }
                self.last = Some(result);
            }
            Err(e) => println!("  {e:#}"),
        }
        self.footer();
    }

    /// The exercise after the current one.
    fn following(&self) -> Option<&'a Entry> {
        self.workspace.catalog.iter().skip_while(|entry| entry.name != self.current.name).nth(1)
    }

    fn pressed(&mut self, key: char) -> Result<()> {
        match key {
            'r' => self.want(self.current, Duration::ZERO),
            'n' => match self.following() {
                Some(next) => self.want(next, Duration::ZERO),
                None => println!("\n  This is the last exercise."),
            },
            // The rest is shown below a verdict, and waits for it.
            _ if self.running || self.wanted.is_some() => {}
            'h' => {
                println!();
                help::hint(self.workspace, &self.current.name, false)?;
                self.footer();
            }
            'l' => {
                println!();
                overview::list(self.workspace, crate::Format::Human)?;
                self.footer();
            }
            'e' => {
                let wrong = self.last.as_ref().and_then(|result| result.wrong().next());
                match wrong {
                    Some(scenario) => {
                        let (exercise, scenario) = (&self.current.name, scenario.name.clone());
                        let output = Output::default();
                        if let Err(e) = explain::explain(self.workspace, exercise, &scenario, None, None, &output) {
                            println!("  {e:#}");
                        }
                    }
                    None => println!("\n  There is no scenario to explain."),
                }
                self.footer();
            }
            _ => {}
        }
        flush();
        Ok(())
    }

    fn footer(&self) {
        let keys = "h hint · n next · l list · e explain · r run again · q quit";
        let none = "graded again when you save an exercise · hints: cargo grade hint · Ctrl-C ends";
        println!("\n  {}", paint(DIM, if self.has_keys { keys } else { none }));
        flush();
    }
}

/// Clears a terminal's screen and what was scrolled away: the next verdict begins at the top.
fn clear() {
    if std::io::stdout().is_terminal() {
        print!("\x1b[2J\x1b[3J\x1b[H");
    } else {
        println!();
    }
}

fn flush() {
    let _ = std::io::stdout().flush();
}
