//! A session in a terminal, or played from an answers file: lines in, lines out.

mod debrief;
pub mod input;
pub mod screen;

use crate::desk::Desk;
use crate::host::Machine;
use crate::session::event::{Event, Role};
use crate::session::plan::Ask;
use crate::session::question::{Shown, ShownKind};
use crate::session::view::Open;
use crate::session::{Action, State};
use anyhow::{Context, Result};
pub use debrief::explain;
use input::{Input, Line};
use screen::{BOLD, GREEN, RED, Screen, YELLOW, time};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// How a session was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It is over.
    Finished,
    /// It can be taken up again.
    Unfinished,
}

/// A session and who sits at it.
pub struct Terminal<'a> {
    desk: Desk,
    machine: Option<Arc<Machine>>,
    input: &'a mut dyn Input,
    screen: &'a mut Screen,
    /// How many events have been told.
    told: usize,
    /// The part that was shown last.
    shown: Option<usize>,
    /// Minutes of the open part at which the clock is spoken of.
    warned: Option<i64>,
    /// Whether the cursor stands behind a prompt.
    prompted: bool,
}

impl<'a> Terminal<'a> {
    /// Sits down. What concerns the world beyond the session, such as `kubectl` in an incident, is done by `machine`.
    pub fn new(
        desk: Desk,
        machine: Option<Arc<Machine>>,
        input: &'a mut dyn Input,
        screen: &'a mut Screen,
    ) -> Terminal<'a> {
        let told = desk.session.entries.len();
        Terminal { desk, machine, input, screen, told, shown: None, warned: None, prompted: false }
    }

    /// Holds the session until it is over, or nobody types any more.
    ///
    /// # Errors
    ///
    /// If what happened can't be kept, or something that the session needs does not work.
    pub fn run(mut self) -> Result<(Left, Desk)> {
        loop {
            self.tell()?;
            match self.desk.session.state() {
                State::Finished => return Ok((Left::Finished, self.desk)),
                State::Judging => {
                    let left = self.judge()?;
                    self.screen.release();
                    return Ok((left, self.desk));
                }
                State::Running | State::Paused => {}
            }
            match self.input.next() {
                Line::Tick => {
                    self.desk.tick()?;
                    self.read_prose()?;
                }
                Line::End => return self.leave(),
                Line::File(file) => self.take(&file)?,
                Line::Typed(line) if line.trim() == "quit" => return self.leave(),
                Line::Typed(line) => {
                    self.screen.typed((!self.input.is_person()).then_some(&line));
                    self.prompted = false;
                    self.typed(line.trim())?;
                }
            }
        }
    }

    fn leave(mut self) -> Result<(Left, Desk)> {
        if self.desk.session.state() == State::Running {
            _ = self.desk.act(Role::Candidate, Action::Pause)?;
        }
        self.screen.release();
        Ok((Left::Unfinished, self.desk))
    }

    /// Tells what has happened since it was told last.
    fn tell(&mut self) -> Result<()> {
        let before = self.told;
        for at in before..self.desk.session.entries.len() {
            let event = self.desk.session.entries[at].event.clone();
            self.told = at + 1;
            match event {
                Event::Ended { time_up: true, .. } => {
                    self.screen.blank();
                    self.screen.say(&format!("{YELLOW}Time is up for this part.{YELLOW:#}"));
                }
                Event::Probed { part, probe } => {
                    let ask = self.desk.session.design(part).map_or(String::new(), |one| one.probes[probe].ask.clone());
                    self.screen.blank();
                    self.screen.item(&format!("{BOLD}?{BOLD:#}"), &ask);
                }
                Event::Released { part, fact } => {
                    let fact =
                        self.desk.session.design(part).map_or(String::new(), |one| one.facts[fact].answer.clone());
                    self.screen.item("·", &fact);
                }
                Event::Hinted { part } => {
                    let count = self.desk.session.parts[part].hints;
                    let hint = self.desk.session.hints(part).get(count - 1).cloned().unwrap_or_default();
                    self.screen.blank();
                    self.screen.item(&format!("{BOLD}hint {count}{BOLD:#}"), &hint);
                    self.screen.note("It costs a tenth of this part.");
                }
                Event::Paused { away: true } => {
                    self.screen.note("Nobody was here: the clock stood still, and that is noted.")
                }
                Event::Paused { away: false } => {
                    self.screen.note("The clock stands still, and that is noted. `resume` lets it go on.");
                }
                _ => {}
            }
        }
        if self.shown != self.desk.session.current() {
            self.shown = self.desk.session.current();
            self.warned = None;
            if self.shown.is_some() {
                self.show_part()?;
            }
            self.prompted = false;
        }
        self.prompted &= before == self.told;
        self.show_clock();
        if !std::mem::replace(&mut self.prompted, true) {
            self.prompt();
        }
        Ok(())
    }

    fn show_clock(&mut self) {
        let Some(part) = self.desk.session.current() else { return };
        let clock = self.desk.session.clock(self.desk.now());
        let title = self.desk.session.title(part);
        let state = if self.desk.session.state() == State::Paused { "stands still" } else { "left" };
        let all = self.desk.session.parts.len();
        let (of_part, whole) = (time(clock.part), time(clock.whole));
        self.screen.clock(&format!(" {}/{all} {} · {of_part} {state} · {whole} in all ", part + 1, title.kind));
        let minutes = clock.part / 60_000;
        let just_begun = self.desk.session.budget(part) - clock.part < 60_000;
        if [5, 1].contains(&minutes) && clock.part % 60_000 < 1000 && self.warned != Some(minutes) && !just_begun {
            self.warned = Some(minutes);
            self.screen.blank();
            let plural = if minutes == 1 { "minute" } else { "minutes" };
            self.screen.say(&format!("{YELLOW}{minutes} {plural} left for this part.{YELLOW:#}"));
            self.prompted = false;
        }
    }

    fn prompt(&mut self) {
        let Some(part) = self.desk.session.current() else { return };
        let left = time(self.desk.session.clock(self.desk.now()).part);
        let kind = self.desk.session.title(part).kind;
        self.screen.prompt(&format!("{kind} {left}"));
    }

    /// The open part from its beginning.
    fn show_part(&mut self) -> Result<()> {
        let Some(part) = self.desk.session.current() else { return Ok(()) };
        let title = self.desk.session.title(part);
        self.screen.title(&format!("{} · {} · {} min", part + 1, title.kind, title.minutes));
        let file = self.desk.file(part);
        match self.desk.view().open {
            Some(Open::Code { exercise, rule, .. }) => {
                self.screen.blank();
                self.screen.say(&format!("{exercise}: the contract is the exercise's, and so is the book's page."));
                if let Some(rule) = rule {
                    self.screen.blank();
                    self.screen.item(&format!("{YELLOW}!{YELLOW:#}"), &rule);
                }
                self.screen.blank();
                self.screen.say(&format!("    file      {}", file.as_deref().unwrap_or(Path::new("")).display()));
                self.screen.say("    run       grades it; the last run counts\n    hint      costs a tenth of this part\n    done      ends the part early");
            }
            Some(Open::Incident { title, prompt, .. }) => {
                self.screen.blank();
                self.screen.say(&format!("{BOLD}{title}{BOLD:#}"));
                self.screen.blank();
                self.screen.markdown(&prompt);
                self.screen.blank();
                if let Some(kubeconfig) = self.desk.kubeconfig()? {
                    self.screen.raw(&format!("      export KUBECONFIG={}", kubeconfig.display()));
                }
                self.screen.say("    kubectl … works here, too, and in any other terminal\n    check     looks whether it is healed; any fix counts\n    cause     asks for the root cause\n    hint      costs a tenth of this part\n    done      ends the part early");
            }
            Some(Open::Design { title, prompt, .. }) => {
                self.screen.blank();
                self.screen.say(&format!("{BOLD}{title}{BOLD:#}"));
                self.screen.blank();
                self.screen.markdown(&prompt);
                self.screen.blank();
                self.screen.say(&format!("    file      {}", file.as_deref().unwrap_or(Path::new("")).display()));
                self.screen.say("    edit      opens it in $EDITOR; what is saved there is your answer\n    ask …     asks for a fact: how many, how fast, who\n    probe     takes the next question of the interviewer early\n    done      ends the part early\n    Any other line is added to your answer.");
            }
            Some(Open::Warmup { .. }) => {
                self.screen
                    .note("A number, several with spaces, or nothing to skip. What was right is told at the end.");
                self.show_question();
            }
            None => {}
        }
        self.screen.blank();
        Ok(())
    }

    fn show_question(&mut self) {
        let (number, question) = match self.desk.view().open {
            Some(Open::Warmup { number, of, question }) => (format!("{number} of {of}"), question),
            Some(Open::Incident { question: Some(question), .. }) => ("root cause".into(), question),
            _ => return,
        };
        self.screen.blank();
        self.screen.item(&format!("{BOLD}{number}{BOLD:#}"), &question.ask);
        self.show_options(&question);
    }

    fn show_options(&mut self, question: &Shown) {
        if !question.transcript.is_empty() {
            self.screen.blank();
            self.screen.raw(&question.transcript.iter().map(|line| format!("      {line}\n")).collect::<String>());
            self.screen.blank();
        }
        for (at, option) in question.options.iter().enumerate() {
            self.screen.item(&format!("  {}", at + 1), option);
        }
        let how = match question.kind {
            ShownKind::One => String::new(),
            ShownKind::Several => "any number of them, such as `1 3`".into(),
            ShownKind::Number if question.unit.is_empty() => "a number".into(),
            ShownKind::Number => format!("a number, in {}", question.unit),
            ShownKind::Order => "all of them in their order, such as `2 1 3`".into(),
        };
        if !how.is_empty() {
            self.screen.note(&format!("  {how}"));
        }
    }

    fn act(&mut self, action: Action) -> Result<bool> {
        match self.desk.act(Role::Candidate, action)? {
            Ok(()) => Ok(true),
            Err(why) => {
                self.refuse(&why);
                Ok(false)
            }
        }
    }

    fn refuse(&mut self, why: &str) {
        self.screen.say(&format!("{RED}✗{RED:#} {why}"));
    }

    fn typed(&mut self, line: &str) -> Result<()> {
        let Some(part) = self.desk.session.current() else { return Ok(()) };
        match line {
            "help" | "?" => return self.show_part(),
            "time" => return self.show_plan(),
            "pause" => return self.act(Action::Pause).map(drop),
            "resume" => return self.act(Action::Resume).map(drop),
            _ => {}
        }
        match self.desk.session.plan.parts[part].ask.clone() {
            Ask::Warmup(_) => {
                if line == "done" {
                    return self.act(Action::Next).map(drop);
                }
                if self.answer(part, line)? && self.desk.session.current() == Some(part) {
                    self.show_question();
                }
            }
            Ask::Code { .. } => match line {
                "run" => self.grade()?,
                "hint" => _ = self.act(Action::Hint)?,
                "done" => _ = self.act(Action::Next)?,
                "" => {}
                _ => self.refuse("`run`, `hint`, `done`, `pause`, `time`, `help` or `quit`"),
            },
            Ask::Incident(_) => match line {
                "check" => self.grade()?,
                "cause" if self.desk.session.open(part).is_none() => self.refuse("the root cause was answered"),
                "cause" => self.show_question(),
                "hint" => _ = self.act(Action::Hint)?,
                "done" => {
                    // Whoever leaves has healed it, or not.
                    self.grade()?;
                    if self.desk.session.current() == Some(part) && self.desk.session.state() == State::Running {
                        _ = self.act(Action::Next)?;
                    }
                }
                "" => {}
                command if command.starts_with("kubectl ") || command.starts_with("fault ") => self.command(command)?,
                number if number.parse::<usize>().is_ok() && self.desk.session.open(part).is_some() => {
                    if self.answer(part, number)? {
                        self.screen.note("Noted. `check` looks at the cluster, `done` ends the part.");
                    }
                }
                _ => self.refuse("`kubectl …`, `check`, `cause`, `hint`, `done`, `pause`, `time`, `help` or `quit`"),
            },
            Ask::Design(_) => match line {
                "edit" => self.edit(part)?,
                "probe" => _ = self.act(Action::Probe { probe: None })?,
                "done" => _ = self.act(Action::Next)?,
                "" => {}
                _ => match line.strip_prefix("ask ") {
                    Some(text) => {
                        let before = self.desk.session.parts[part].released.len();
                        if self.act(Action::Ask { text: text.trim().into() })?
                            && self.desk.session.parts[part].released.len() == before
                        {
                            self.screen.note("Nobody knows that, or it was told. State an assumption and go on.");
                        }
                    }
                    None => {
                        let text = &self.desk.session.parts[part].text;
                        let text = format!("{text}{line}\n");
                        if self.act(Action::Write { text })? {
                            self.write_prose(part)?;
                        }
                    }
                },
            },
        }
        Ok(())
    }

    /// Answers the open question with what was typed; whether that was an answer.
    fn answer(&mut self, part: usize, line: &str) -> Result<bool> {
        let open = self.desk.session.open(part);
        let answer = open.and_then(|at| self.desk.session.question(part, at)).map(|question| question.parse(line));
        match answer {
            None => Ok(false),
            Some(Err(why)) => {
                self.refuse(&why);
                Ok(false)
            }
            Some(Ok(answer)) => self.act(Action::Answer { answer }),
        }
    }

    /// Grades the module, or looks at the cluster.
    fn grade(&mut self) -> Result<()> {
        let task = match self.desk.task() {
            Ok(task) => task,
            Err(why) => {
                self.refuse(&why);
                return Ok(());
            }
        };
        self.screen.note("…");
        let part = task.part;
        let action = match task.work() {
            Ok(action) => action,
            Err(error) => {
                self.refuse(&format!("{error:#}"));
                return Ok(());
            }
        };
        match &action {
            Action::Ran { run } => self.screen.raw(&run.said),
            Action::Checked { check } if check.healed => self.screen.say(&format!("{GREEN}✓ healed{GREEN:#}")),
            _ => self.screen.say(&format!("{RED}✗ not healed{RED:#}")),
        }
        // Time may have been up while it was done; then it came too late.
        match self.desk.act_in(Some(part), Role::Candidate, action)? {
            Ok(()) => {}
            Err(why) => self.refuse(&why),
        }
        Ok(())
    }

    fn command(&mut self, typed: &str) -> Result<()> {
        let Some(machine) = self.machine.clone() else {
            self.refuse("no cluster is up");
            return Ok(());
        };
        match machine.command(typed) {
            Ok(mut command) => {
                let output = command.output();
                match output {
                    Ok(output) => {
                        self.screen.raw(&String::from_utf8_lossy(&output.stdout));
                        self.screen.raw(&String::from_utf8_lossy(&output.stderr));
                    }
                    Err(error) => self.refuse(&format!("can't run it: {error}")),
                }
            }
            Err(error) => self.refuse(&format!("{error:#}")),
        }
        Ok(())
    }

    /// Takes a file as the answer of the open part.
    fn take(&mut self, file: &Path) -> Result<()> {
        let part = self.desk.session.current().context("no part is open that takes a file")?;
        let own = self.desk.file(part).context("this part takes no file")?;
        if let Some(folder) = own.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::copy(file, &own).with_context(|| format!("can't take {}", file.display()))?;
        self.read_prose()
    }

    /// What is saved in the file of a design question is the answer.
    fn read_prose(&mut self) -> Result<()> {
        let Some(part) = self.desk.session.current() else { return Ok(()) };
        if self.desk.session.design(part).is_none() || self.desk.session.state() != State::Running {
            return Ok(());
        }
        let text = self.desk.file(part).and_then(|file| std::fs::read_to_string(file).ok());
        match text {
            Some(text) if text != self.desk.session.parts[part].text => self.act(Action::Write { text }).map(drop),
            _ => Ok(()),
        }
    }

    fn write_prose(&mut self, part: usize) -> Result<()> {
        let Some(file) = self.desk.file(part) else { return Ok(()) };
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&file, &self.desk.session.parts[part].text)
            .with_context(|| format!("can't write {}", file.display()))
    }

    fn edit(&mut self, part: usize) -> Result<()> {
        self.write_prose(part)?;
        let file = self.desk.file(part).context("prose has a file")?;
        let editor = std::env::var("VISUAL").or_else(|_| std::env::var("EDITOR")).unwrap_or_else(|_| "vi".into());
        let words = shlex::split(&editor).filter(|words| !words.is_empty()).unwrap_or_else(|| vec!["vi".into()]);
        self.screen.release();
        let status = Command::new(&words[0]).args(&words[1..]).arg(&file).status();
        self.screen.take();
        match status {
            Ok(_) => {
                self.desk.tick()?;
                self.read_prose()
            }
            Err(error) => {
                self.refuse(&format!("can't run {}: {error}; open {} yourself", words[0], file.display()));
                Ok(())
            }
        }
    }

    fn show_plan(&mut self) -> Result<()> {
        let view = self.desk.view();
        self.screen.blank();
        for (at, part) in view.parts.iter().enumerate() {
            let mark = match (part.begun, part.ended) {
                (_, true) => "✓",
                (true, false) => "▸",
                _ => " ",
            };
            let title = if part.begun { part.title.as_str() } else { "" };
            self.screen.raw(&format!("  {mark} {} {:<9} {:>3} min  {title}", at + 1, part.kind, part.minutes));
        }
        self.screen.note(&format!("{} left of this part, {} in all.", time(view.clock.part), time(view.clock.whole)));
        Ok(())
    }

    fn line(&mut self) -> Result<Option<String>> {
        loop {
            match self.input.next() {
                Line::Tick | Line::File(_) => _ = self.desk.tick()?,
                Line::End => return Ok(None),
                Line::Typed(line) => {
                    self.screen.typed((!self.input.is_person()).then_some(&line));
                    return Ok(Some(line));
                }
            }
        }
    }
}
