//! `cargo grade interview`: what its flags ask for.

use crate::content::{Content, Level};
use crate::desk::{self, Clock, Desk, Keep, WallClock};
use crate::history::{self, History, Unfinished};
use crate::host::Machine;
use crate::report::{self, PartContent, Report};
use crate::room::{self, Setup};
use crate::session::event::Role;
use crate::session::plan::{Ask, Plan, Wish};
use crate::session::{Action, Session, State};
use crate::sheet;
use crate::terminal::input::{Input, Keyboard, Line, Script};
use crate::terminal::screen::Screen;
use crate::terminal::{Left, Terminal};
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// What a session is to be.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long it takes
    #[arg(long, default_value_t = 45)]
    pub minutes: u32,
    /// For whom it is: senior or staff
    #[arg(long, default_value = "senior")]
    pub level: Level,
    /// What it is about: chapters or pages of the book, such as `scheduler` or `workloads/hpa`
    #[arg(long, value_name = "TOPIC", value_delimiter = ',')]
    pub topics: Vec<String>,
    /// Where its questions are drawn from; the same seed asks the same. Without it another one each time
    #[arg(long)]
    pub seed: Option<u64>,
    /// Goes on with the last session that was not finished
    #[arg(long, conflicts_with_all = ["topics", "seed", "answers", "plan", "sheet"])]
    pub resume: bool,
    /// Plays a whole session from a file, on a clock of its own
    #[arg(long, value_name = "FILE", conflicts_with = "room")]
    pub answers: Option<PathBuf>,
    /// Shows what the session would ask for, and does not begin it
    #[arg(long)]
    pub plan: bool,
    /// Prints the interviewer's sheet as a page, with everything that a candidate must not see
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub sheet: Option<PathBuf>,
    /// Serves two pages over one session, the candidate's and the interviewer's: on this machine, or where asked to
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:0")]
    pub room: Option<SocketAddr>,
}

/// Holds a session, or shows what it would be.
///
/// # Errors
///
/// If the flags ask for something that can't be, or something that the session needs does not work.
pub fn run(root: &Path, content: Content, args: &Args) -> Result<ExitCode> {
    let content = Arc::new(content);
    if args.resume {
        return resume(root, &content, args);
    }
    let seed = args.seed.unwrap_or_else(|| WallClock.now().unsigned_abs() % 1_000_000);
    let wish = Wish { minutes: args.minutes, level: args.level, topics: args.topics.clone(), seed };
    let mut plan = Plan::draw(&content, &wish).map_err(anyhow::Error::msg)?;
    plan.interviewer = args.room.is_some();
    let mut screen = Screen::stdout();
    if args.plan {
        show(&mut screen, &plan, &content, true);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(file) = &args.sheet {
        return print_sheet(file, Session::begin(content, plan, 0));
    }
    let mut script = args.answers.as_deref().map(Script::read).transpose()?;
    let clock: Arc<dyn Clock> = match &script {
        Some(script) => script.clock(),
        None => Arc::new(WallClock),
    };
    show(&mut screen, &plan, &content, false);
    let history = History::open(&history::folder()?)?;
    let mut keyboard = None;
    let input: &mut dyn Input = match &mut script {
        Some(script) => script,
        None => keyboard.insert(Keyboard::new()?),
    };
    let has_incident = plan.parts.iter().any(|part| matches!(part.ask, Ask::Incident(_)));
    if has_incident {
        // Nobody waits for a compiler while the clock runs.
        Machine::new(root, "")?.build_cluster()?;
    }
    if input.is_person() && args.room.is_none() {
        screen.note("Enter begins, Ctrl-C leaves; nothing is lost then, and `--resume` goes on.");
        loop {
            match input.next() {
                Line::Tick => {}
                Line::End => return Ok(ExitCode::from(1)),
                _ => break,
            }
        }
    }
    let id = history.begin(&plan, clock.now())?;
    let session = Session::begin(content, plan, clock.now());
    let place = Place { root, history: &history, id, clock };
    place.hold(session, 0, input, &mut screen, args)
}

/// Goes on with the last session that has no end.
fn resume(root: &Path, content: &Arc<Content>, args: &Args) -> Result<ExitCode> {
    let history = History::open(&history::folder()?)?;
    let Some(Unfinished { id, heard, .. }) = history.unfinished()? else {
        bail!("every session has an end; `cargo grade interview` begins another one");
    };
    let entries = history.load(id)?;
    let kept = entries.len();
    let mut session = Session::over(content.clone(), entries).map_err(anyhow::Error::msg)?;
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    session.reopen(heard, clock.now());
    let mut screen = Screen::stdout();
    screen.title(&format!("{} · session {id}", session.plan.head()));
    if session.state() == State::Paused {
        screen.note("The clock stands still; `resume` lets it go on.");
    }
    let has_incident = session.current().is_some_and(|part| session.incident(part).is_some());
    if has_incident {
        screen.note("The cluster of the incident is made anew, as broken as it was.");
        Machine::new(root, "")?.build_cluster()?;
        session.reopen(clock.now(), clock.now());
    }
    let mut keyboard = Keyboard::new()?;
    Place { root, history: &history, id, clock }.hold(session, kept, &mut keyboard, &mut screen, args)
}

/// Where a session is held.
struct Place<'a> {
    root: &'a Path,
    history: &'a History,
    id: i64,
    clock: Arc<dyn Clock>,
}

impl Place<'_> {
    /// Holds a session, so many events of which are kept already, and says what came of it.
    fn hold(
        &self,
        session: Session,
        kept: usize,
        input: &mut dyn Input,
        screen: &mut Screen,
        args: &Args,
    ) -> Result<ExitCode> {
        let machine = Arc::new(Machine::new(self.root, &self.id.to_string())?);
        let folder = history::folder()?.join("sessions").join(self.id.to_string());
        std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        let keep: Box<dyn Keep> = Box::new(self.history.keeper(self.id)?);
        let desk = Desk::new(session, kept, self.clock.clone(), machine.clone(), keep, folder.clone())?;
        let (left, session) = match args.room {
            None => {
                let (left, desk) = Terminal::new(desk, Some(machine), input, screen).run()?;
                (left, desk.session.clone())
            }
            Some(address) => self.room(desk, address, screen)?,
        };
        if left == Left::Unfinished {
            screen.blank();
            screen.say("The session is kept as it stands: `cargo grade interview --resume` goes on with it.");
            return Ok(ExitCode::from(1));
        }
        let mut report = Report::of(&session, &self.id.to_string());
        for part in &mut report.parts {
            if let PartContent::Incident { name, replay, .. } = &mut part.content {
                *replay = Some(desk::replay(name)).filter(|page| folder.join(page).is_file());
            }
        }
        self.history.finish(self.id, &serde_json::to_value(&report)?, self.clock.now())?;
        let attempts = attempts(self.history)?;
        let write = |name: &str, text: &str| {
            let file = folder.join(name);
            std::fs::write(&file, text).with_context(|| format!("can't write {}", file.display()))
        };
        write("report.json", &serde_json::to_string_pretty(&report)?)?;
        write("report.md", &report.markdown())?;
        write("report.html", &report::html(&report, &attempts, Some(&book(self.root))))?;
        screen.title(&report.verdict());
        screen.blank();
        for part in &report.parts {
            let said = part.said.clone().unwrap_or_else(|| "judged by the rubric".into());
            let points = part.points.map_or("  –".to_string(), |points| format!("{:3.0}", points * 100.0));
            screen.raw(&format!("  {points}   {:>3} min   {} · {said}", part.minutes, part.title));
        }
        screen.blank();
        for one in &report.study {
            let heading = one.heading.as_ref().map_or(String::new(), |heading| format!("#{heading}"));
            screen.item("→", &format!("{}{heading} · {}", one.page, one.why.join(" · ")));
        }
        screen.note(&format!("report  {}", folder.join("report.html").display()));
        Ok(ExitCode::SUCCESS)
    }

    /// Serves both pages until the session is over, or somebody ends the program.
    fn room(&self, desk: Desk, address: SocketAddr, screen: &mut Screen) -> Result<(Left, Session)> {
        let desk = Arc::new(Mutex::new(desk));
        let attempts = attempts(self.history)?;
        let room = room::open(desk.clone(), Setup { address, id: self.id.to_string(), attempts })?;
        screen.blank();
        screen.raw(&format!("  candidate    {}\n  interviewer  {}", room.candidate, room.interviewer));
        screen.note("Ctrl-C ends the session; nothing is lost, and `--resume --room` goes on.");
        room.wait()?;
        let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
        if desk.session.state() == State::Running {
            _ = desk.act(Role::Interviewer, Action::Pause)?;
        }
        let left = if desk.session.state() == State::Finished { Left::Finished } else { Left::Unfinished };
        Ok((left, desk.session.clone()))
    }
}

/// Where the book's pages lie, for links.
fn book(root: &Path) -> String {
    root.join("target/book").display().to_string()
}

/// The sessions that have an end, the oldest first.
fn attempts(history: &History) -> Result<Vec<report::Attempt>> {
    let reports = history.attempts()?.into_iter().filter_map(|attempt| attempt.report);
    // A report of a form that this version does not know shows no trend.
    Ok(reports.filter_map(|report| serde_json::from_value::<Report>(report).ok()).map(|one| (&one).into()).collect())
}

/// What a session asks for; with `all`, also what it is about.
fn show(screen: &mut Screen, plan: &Plan, content: &Arc<Content>, all: bool) {
    let session = Session::begin(content.clone(), plan.clone(), 0);
    screen.title(&plan.head());
    screen.note("Pauses are noted, hints cost a tenth of their part, and nothing is told before the end.");
    screen.blank();
    for (at, part) in plan.parts.iter().enumerate() {
        let title = session.title(at);
        let about = match &part.ask {
            Ask::Warmup(_) | Ask::Code { .. } => title.title.clone(),
            Ask::Incident(_) if !all => format!("“{}” A cluster is up; use kubectl. Any fix counts.", title.title),
            Ask::Design(_) | Ask::Incident(_) => title.title.clone(),
        };
        screen.item(&format!("{} {:<9} {:>3} min ", at + 1, title.kind, part.minutes), &about);
        if all {
            let names: Vec<String> = match &part.ask {
                Ask::Warmup(names) => names.clone(),
                Ask::Code { variation, .. } => variation.iter().cloned().collect(),
                Ask::Incident(name) | Ask::Design(name) => vec![name.clone()],
            };
            names.iter().for_each(|name| screen.note(&format!("    {name}")));
        }
    }
    screen.blank();
}

/// The interviewer's sheet, as a page in a file, or as text.
fn print_sheet(file: &Path, session: Session) -> Result<ExitCode> {
    if file == Path::new("-") {
        print!("{}", sheet::markdown(&session.sheet(0)));
        return Ok(ExitCode::SUCCESS);
    }
    std::fs::write(file, sheet::html(&session.sheet(0))).with_context(|| format!("can't write {}", file.display()))?;
    println!("  {}", file.display());
    Ok(ExitCode::SUCCESS)
}
