//! The desk at which a session is held: the session, its clock, what keeps its events, and who does the work in the world.
//!
//! Terminal, pages and answers file all sit at a desk, and none of them knows the others.

use crate::session::event::{Check, Entry, Role, Run};
use crate::session::plan::Ask;
use crate::session::view::{Sheet, View};
use crate::session::{Action, STANDS_STILL, Session, State};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since the beginning of 1970.
    fn now(&self) -> i64;
}

/// This machine's clock.
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as i64)
    }
}

/// Keeps a session's events, so that nothing is lost.
pub trait Keep: Send {
    /// Keeps these, in order, before anybody sees them.
    ///
    /// # Errors
    ///
    /// If they can't be kept.
    fn append(&mut self, entries: &[Entry]) -> Result<()>;
    /// Notes that somebody was there at this time.
    ///
    /// # Errors
    ///
    /// If it can't be noted.
    fn heard(&mut self, now: i64) -> Result<()>;
}

/// Does what a session needs of the world: compilers and clusters. Its answers may take a while, so nobody waits for it
/// while holding the desk.
pub trait Host: Send + Sync {
    /// Puts the exercise's file, as the candidate begins with it, to this place.
    ///
    /// # Errors
    ///
    /// If it can't be written.
    fn lay_out(&self, exercise: &str, rule: Option<&str>, file: &Path) -> Result<()>;
    /// Grades a module.
    ///
    /// # Errors
    ///
    /// If the grader can't be run; a module that doesn't compile is a [`Run`].
    fn grade(&self, exercise: &str, variation: Option<&str>, file: &Path) -> Result<Run>;
    /// Brings up a broken cluster, if it isn't there yet, and says where its kubeconfig lies. When it ends it leaves a page
    /// behind that replays it.
    ///
    /// # Errors
    ///
    /// If it doesn't come up.
    fn open_incident(&self, name: &str, replay: &Path) -> Result<PathBuf>;
    /// How the broken cluster stands.
    ///
    /// # Errors
    ///
    /// If it doesn't answer.
    fn check(&self) -> Result<Check>;
    /// Ends the cluster, if there is one.
    fn close_incident(&self);
}

/// The page that replays an incident, in the session's folder.
pub fn replay(incident: &str) -> String {
    format!("incident-{incident}.html")
}

/// A session and all that it needs.
pub struct Desk {
    /// The session.
    pub session: Session,
    clock: Arc<dyn Clock>,
    host: Arc<dyn Host>,
    keep: Box<dyn Keep>,
    kept: usize,
    /// Where the files of this session lie.
    folder: PathBuf,
}

/// Work in the world that a part asks for, to be done without holding the desk.
pub struct Task {
    /// The part that asks for it.
    pub part: usize,
    host: Arc<dyn Host>,
    what: What,
}

enum What {
    Grade { exercise: String, variation: Option<String>, file: PathBuf },
    Check,
}

impl Task {
    /// Does it. The answer is what [`Desk::act`] is to be told.
    ///
    /// # Errors
    ///
    /// If it can't be done.
    pub fn work(&self) -> Result<Action> {
        Ok(match &self.what {
            What::Grade { exercise, variation, file } => {
                Action::Ran { run: self.host.grade(exercise, variation.as_deref(), file)? }
            }
            What::Check => Action::Checked { check: self.host.check()? },
        })
    }
}

impl Desk {
    /// Sits down at a session, new or taken up again, and keeps what has happened of it already.
    ///
    /// # Errors
    ///
    /// If its events can't be kept, or the part that is open can't be prepared.
    pub fn new(
        session: Session,
        kept: usize,
        clock: Arc<dyn Clock>,
        host: Arc<dyn Host>,
        keep: Box<dyn Keep>,
        folder: PathBuf,
    ) -> Result<Desk> {
        let mut desk = Desk { session, clock, host, keep, kept, folder };
        desk.save()?;
        desk.prepare()?;
        Ok(desk)
    }

    /// The time.
    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    /// Lets time pass; whether anything happened.
    ///
    /// # Errors
    ///
    /// If what happened can't be kept, or the next part can't be prepared.
    pub fn tick(&mut self) -> Result<bool> {
        let now = self.now();
        let before = self.session.current();
        let changed = !self.session.tick(now).is_empty();
        self.keep.heard(now)?;
        self.settle(before)?;
        Ok(changed)
    }

    /// Does something.
    ///
    /// # Errors
    ///
    /// The inner one says that it can't be done now; the outer one that it can't be kept.
    pub fn act(&mut self, role: Role, action: Action) -> Result<Result<(), String>> {
        self.act_in(None, role, action)
    }

    /// Does something that is meant for this part and for no other, as what somebody says who may be behind.
    ///
    /// # Errors
    ///
    /// As for [`Desk::act`]; the inner one, too, if the part is not open.
    pub fn act_in(&mut self, part: Option<usize>, role: Role, action: Action) -> Result<Result<(), String>> {
        let now = self.now();
        let before = self.session.current();
        self.session.tick(now);
        let done = match part.is_some_and(|part| Some(part) != self.session.current()) {
            true => Err("that part has ended".into()),
            false => self.session.act(role, action, now).map(|_| ()),
        };
        self.settle(before)?;
        Ok(done)
    }

    fn settle(&mut self, before: Option<usize>) -> Result<()> {
        self.save()?;
        if before != self.session.current() {
            if let Some(Ask::Incident(_)) = before.map(|part| &self.session.plan.parts[part].ask) {
                self.host.close_incident();
            }
            self.prepare()?;
        }
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        let new = &self.session.entries[self.kept..];
        if !new.is_empty() {
            self.keep.append(new).context("the session can't be kept")?;
            self.kept = self.session.entries.len();
        }
        Ok(())
    }

    /// Makes ready what the open part needs.
    fn prepare(&mut self) -> Result<()> {
        let Some(part) = self.session.current() else { return Ok(()) };
        match &self.session.plan.parts[part].ask {
            Ask::Code { exercise, .. } => {
                let file = self.file(part).context("code has a file")?;
                if !file.exists() {
                    self.host.lay_out(exercise, self.session.rule(part).as_deref(), &file)?;
                }
            }
            Ask::Incident(name) => _ = self.open_incident(name)?,
            _ => {}
        }
        Ok(())
    }

    /// The candidate's file of a part with code, or with prose.
    pub fn file(&self, part: usize) -> Option<PathBuf> {
        match &self.session.plan.parts[part].ask {
            Ask::Code { exercise, .. } => Some(self.folder.join(format!("{exercise}.rs"))),
            Ask::Design(name) => Some(self.folder.join(format!("{name}.md"))),
            _ => None,
        }
    }

    fn open_incident(&self, name: &str) -> Result<PathBuf> {
        self.host.open_incident(name, &self.folder.join(replay(name)))
    }

    /// The page that replays the cluster of an incident, once that has ended.
    pub fn replay(&self, part: usize) -> Option<PathBuf> {
        let incident = self.session.incident(part)?;
        let page = self.folder.join(replay(&incident.name));
        page.is_file().then_some(page)
    }

    /// The kubeconfig of the broken cluster, while an incident is open.
    ///
    /// # Errors
    ///
    /// If the cluster doesn't come up.
    pub fn kubeconfig(&self) -> Result<Option<PathBuf>> {
        let open = self.session.current().and_then(|part| self.session.incident(part));
        open.map(|incident| self.open_incident(&incident.name)).transpose()
    }

    /// What is to be done in the world to grade the module, or to look at the cluster, of the open part.
    ///
    /// # Errors
    ///
    /// If the open part has neither: a sentence that says so.
    pub fn task(&self) -> Result<Task, String> {
        if self.session.state() == State::Paused {
            return Err(STANDS_STILL.into());
        }
        let nothing = "nothing is graded or checked now";
        let part = self.session.current().ok_or(nothing)?;
        let what = match (&self.session.plan.parts[part].ask, self.file(part)) {
            (Ask::Code { exercise, variation }, Some(file)) => {
                What::Grade { exercise: exercise.clone(), variation: variation.clone(), file }
            }
            (Ask::Incident(_), _) => What::Check,
            _ => return Err(nothing.into()),
        };
        Ok(Task { part, host: self.host.clone(), what })
    }

    /// What the candidate sees.
    pub fn view(&self) -> View {
        self.session.view(self.now())
    }

    /// What the interviewer sees.
    pub fn sheet(&self) -> Sheet {
        self.session.sheet(self.now())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.host.close_incident();
    }
}
