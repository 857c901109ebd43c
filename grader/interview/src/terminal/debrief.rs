//! After the last part: what was right, what very good answers look like, and the marks that one gives oneself.

use super::screen::{BOLD, GREEN, RED, Screen, YELLOW};
use super::{Left, Terminal};
use crate::session::Action;
use crate::session::plan::Ask;
use crate::session::question::Question;
use anyhow::Result;

impl Terminal<'_> {
    /// After the last part: what was right, and the marks.
    pub(super) fn judge(&mut self) -> Result<Left> {
        self.screen.release();
        self.screen.title("The end. What was right, and why:");
        for part in 0..self.desk.session.parts.len() {
            self.debrief(part);
        }
        for part in 0..self.desk.session.parts.len() {
            if self.desk.session.design(part).is_some() && !self.mark(part)? {
                return Ok(Left::Unfinished);
            }
        }
        _ = self.act(Action::Finish)?;
        Ok(Left::Finished)
    }

    fn debrief(&mut self, part: usize) {
        let session = &self.desk.session;
        let title = session.title(part);
        self.screen.title(&format!("{} · {}", title.kind, title.title));
        match &session.plan.parts[part].ask {
            Ask::Warmup(names) => {
                for at in 0..names.len() {
                    let given = session.parts[part].answers.get(&at).cloned();
                    if let Some(question) = session.question(part, at) {
                        explain(self.screen, &question, given.as_ref());
                    }
                }
            }
            Ask::Code { exercise, .. } => {
                let said = match session.parts[part].runs.last() {
                    Some(run) if run.passed => format!("{GREEN}✓{GREEN:#} all {} scenarios", run.of),
                    Some(run) => format!("{RED}✗{RED:#} wrong after {} of {} scenarios", run.right, run.of),
                    None => format!("{RED}✗{RED:#} never graded"),
                };
                self.screen.say(&said);
                self.screen.say(&format!(
                    "the standard rule: book/src/{exercise}.md · cargo grade solution {exercise} --spoil"
                ));
            }
            Ask::Incident(_) => {
                let Some(incident) = session.incident(part) else { return };
                let check = session.parts[part].checks.last();
                let healed = check.is_some_and(|check| check.healed);
                self.screen.say(&if healed {
                    format!("{GREEN}✓ healed{GREEN:#}")
                } else {
                    format!("{RED}✗ not healed{RED:#}")
                });
                check
                    .into_iter()
                    .flat_map(|check| &check.said)
                    .for_each(|line| self.screen.raw(&format!("    {line}")));
                self.screen.blank();
                self.screen.markdown(&incident.debrief);
                if let Some(page) = self.desk.replay(part) {
                    self.screen.note(&format!("replay  {}", page.display()));
                }
                for route in &incident.routes {
                    self.screen.blank();
                    self.screen.say(&route.name);
                    route.kubectl.iter().for_each(|line| self.screen.raw(&format!("      {line}")));
                }
                let given = session.parts[part].answers.get(&0).cloned();
                if let Some(question) = session.question(part, 0) {
                    self.screen.blank();
                    explain(self.screen, &question, given.as_ref());
                }
            }
            Ask::Design(_) => {
                let Some(design) = session.design(part) else { return };
                self.screen.note("A very good answer:");
                self.screen.blank();
                self.screen.markdown(&design.model);
                self.screen.blank();
                for flag in &design.red_flags {
                    self.screen.item(&format!("{RED}⚑{RED:#}"), &format!("{} — {}", flag.says, flag.why));
                }
            }
        }
    }

    /// Asks for the marks of a design question; false if nobody types any more.
    fn mark(&mut self, part: usize) -> Result<bool> {
        let lines = self.desk.session.design(part).map_or(Vec::new(), |design| design.rubric.clone());
        self.screen.title("Mark your answer: 0 to 4, then a line of it that shows it. Nothing leaves a line open.");
        for line in lines {
            if self.desk.session.parts[part].marks.contains_key(&line.id) {
                continue;
            }
            self.screen.blank();
            self.screen.say(&format!("{BOLD}{}{BOLD:#} · {} of 100", line.name, line.weight));
            for (mark, looks) in line.marks.iter().enumerate() {
                self.screen.item(&format!("  {mark}"), looks);
            }
            loop {
                self.screen.prompt("mark");
                let Some(typed) = self.line()? else { return Ok(false) };
                if typed.trim().is_empty() {
                    break;
                }
                let Ok(mark) = typed.trim().parse::<u8>() else {
                    self.refuse("a mark is 0, 1, 2, 3 or 4");
                    continue;
                };
                let mut evidence = String::new();
                if mark > 0 {
                    self.screen.prompt("quote");
                    match self.line()? {
                        Some(quote) => evidence = quote,
                        None => return Ok(false),
                    }
                }
                if self.act(Action::Mark { part, line: line.id.clone(), mark, evidence })? {
                    break;
                }
            }
        }
        Ok(true)
    }
}

/// What was right of a question, and why.
pub fn explain(screen: &mut Screen, question: &Question<'_>, given: Option<&(crate::session::event::Answer, f64)>) {
    let points = given.map_or(0.0, |(_, points)| *points);
    let mark = match points {
        1.0 => format!("{GREEN}✓{GREEN:#}"),
        points if points > 0.0 => format!("{YELLOW}~{YELLOW:#}"),
        _ => format!("{RED}✗{RED:#}"),
    };
    screen.item(&mark, question.shown().ask.trim());
    if points < 1.0 {
        screen.say(&format!("  right: {}", question.right()));
        let skipped = crate::session::event::Answer::Skipped;
        for why in question.why(given.map_or(&skipped, |(answer, _)| answer)) {
            screen.item(" ·", why.trim());
        }
        if let Some(read) = question.read() {
            screen.note(&format!("  read  {read}"));
        }
    }
    screen.blank();
}
