//! The report as Markdown, for terminals and repositories.

use super::{PartContent, PartReport, QuestionReport, Report, title};
use crate::page::clock;
use crate::session::Session;
use crate::session::score::{BAR, FLOOR};

impl Report {
    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut page = format!(
            "# Mock interview: {} engineer, {} min\n\n{} · session {} · seed {}{}\n\n**{}**\n",
            self.level.title(),
            self.minutes,
            self.began,
            self.id,
            self.seed,
            if self.topics.is_empty() { String::new() } else { format!(" · {}", self.topics.join(", ")) },
            self.verdict()
        );
        page += &self.scores();
        if !self.study.is_empty() {
            page += "\n## What to study next\n\n";
            for one in &self.study {
                let heading = one.heading.as_ref().map_or(String::new(), |heading| format!("#{heading}"));
                page += &format!("- `{}{heading}`\n", one.page);
                one.why.iter().for_each(|why| page += &format!("  - {}\n", line(why)));
            }
        }
        for (at, part) in self.parts.iter().enumerate() {
            page += &part_of(at, part);
        }
        page += "\n## What happened\n\n| time | part | what |\n|---|---|---|\n";
        for moment in &self.timeline {
            let part = moment.part.map_or(String::new(), |part| (part + 1).to_string());
            page += &format!("| {} | {part} | {} |\n", clock(moment.at_ms), cell(&moment.what));
        }
        page
    }

    /// Whether the bar was reached, in a sentence.
    pub fn verdict(&self) -> String {
        let missing = self.score.judged.as_ref().map_or(0, |judged| judged.missing);
        match self.score.reached {
            Some(true) => "The bar was reached.".into(),
            Some(false) => "The bar was not reached.".into(),
            None if missing == 1 => "One mark is missing.".into(),
            None => format!("{missing} marks are missing."),
        }
    }

    fn scores(&self) -> String {
        let mut rows = String::from("\n| what | of 100 | bar |\n|---|---:|---:|\n");
        let graded = &self.score.graded;
        if !graded.parts.is_empty() {
            rows +=
                &format!("| graded by scenarios, end state and right answers | {:.0} | {BAR:.0} |\n", graded.percent);
        }
        if let Some(judged) = &self.score.judged {
            rows += &format!("| judged by people, on the rubric | {:.0} | {BAR:.0} |\n", judged.percent);
            rows += "\n| dimension | mark of 4 | least |\n|---|---:|---:|\n";
            for (dimension, mark) in &judged.dimensions {
                rows += &format!("| {} | {mark:.1} | {FLOOR:.0} |\n", title(*dimension));
            }
        }
        rows
    }
}

fn part_of(at: usize, part: &PartReport) -> String {
    let kind = kind(&part.content);
    let mut page = format!("\n## {}. {}: {}\n\n", at + 1, kind, part.title);
    if part.began_ms.is_none() {
        return page + "It did not begin.\n";
    }
    page += &format!("{} of {} min", clock(part.used_ms), part.minutes);
    if part.time_up {
        page += ", until its time was up";
    }
    if let (Some(points), Some(said)) = (part.points, &part.said) {
        page += &format!(" · {:.0} % ({said}", 100.0 * points);
        match part.hints.len() {
            0 => page += ")",
            1 => page += ", one hint)",
            hints => page += &format!(", {hints} hints)"),
        }
    }
    page += "\n";
    match &part.content {
        PartContent::Warmup { questions } => questions.iter().for_each(|one| page += &question_of(one)),
        PartContent::Code { rule, runs, .. } => {
            page += &rule.as_ref().map_or(String::new(), |rule| format!("\n{rule}\n"));
            if let Some(last) = runs.last() {
                page += &format!("\nThe last run, {}:\n\n{}", clock(last.at_ms), fenced(&last.said));
            }
        }
        PartContent::Incident { prompt, checks, question, debrief, replay, routes, .. } => {
            page += &format!("\n{}\n", quoted(prompt));
            if let Some(last) = checks.last() {
                page += &format!("\nThe last look at it, {}:\n\n", clock(last.at_ms));
                last.said.iter().for_each(|said| page += &format!("- {}\n", line(said)));
            }
            page += &question.as_ref().map_or(String::new(), question_of);
            page += &format!("\n### What happened there\n\n{}\n", debrief.trim());
            page += &replay.as_ref().map_or(String::new(), |replay| format!("\n[Watch the cluster again]({replay})\n"));
            for route in routes {
                page += &format!("\n{}:\n\n{}", line(&route.name), fenced(&route.commands.join("\n")));
            }
        }
        PartContent::Design { prompt, asked, untold, probes, text, rubric, model, .. } => {
            page += &format!("\n{}\n", quoted(prompt));
            for one in asked {
                let text = if one.text.is_empty() { "told unasked" } else { &one.text };
                let told = if one.answers.is_empty() { "nobody knows".into() } else { one.answers.join(" ") };
                page += &format!("\n- {} {}: {}", clock(one.at_ms), line(text), line(&told));
            }
            if !asked.is_empty() {
                page += "\n";
            }
            for probe in probes {
                let when = probe.at_ms.map_or("not asked".into(), clock);
                page += &format!("\n- probe, {when}: {} Good: {}", line(&probe.ask), line(&probe.good));
            }
            page += &format!("\n\n### The answer\n\n{}", fenced(text));
            page += "\n### Marks\n\n| line | weight | mark | rests on |\n|---|---:|---:|---|\n";
            for one in rubric {
                let mark = one.mark.map_or("–".into(), |mark| mark.to_string());
                let by = one.by.map_or(String::new(), |by| format!(" ({})", Session::by(by)));
                let evidence = one.evidence.as_deref().unwrap_or_default();
                page += &format!("| {} | {} | {mark} | {}{by} |\n", cell(&one.name), one.weight, cell(evidence));
            }
            if !untold.is_empty() {
                page += "\n### Nobody asked\n\n";
                untold.iter().for_each(|one| page += &format!("- {} {}\n", line(&one.question), line(&one.answer)));
            }
            page += &format!("\n### A very good answer\n\n{}\n", model.trim());
        }
    }
    page
}

/// What a part is called.
pub(super) fn kind(content: &PartContent) -> &'static str {
    match content {
        PartContent::Warmup { .. } => "Warm-up",
        PartContent::Code { .. } => "Code",
        PartContent::Incident { .. } => "Incident",
        PartContent::Design { .. } => "Design",
    }
}

fn question_of(one: &QuestionReport) -> String {
    let sign = match one.points {
        1.0 => "✓",
        0.0 => "✗",
        _ => "½",
    };
    let mut said = format!("\n- {sign} {}\n", line(&one.ask));
    if one.points < 1.0 {
        said += &format!("  - yours: {}\n", line(one.answer.as_deref().unwrap_or("no answer")));
    }
    said += &format!("  - right: {}\n", line(&one.right));
    one.why.iter().for_each(|why| said += &format!("  - {}\n", line(why)));
    said
}

fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cell(text: &str) -> String {
    line(text).replace('|', "\\|")
}

fn quoted(text: &str) -> String {
    text.trim().lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}

/// A block of what somebody wrote; the fence is longer than any in it.
pub fn fenced(text: &str) -> String {
    let mut longest = 2;
    for run in text.split(|c| c != '`') {
        longest = longest.max(run.len());
    }
    let fence = "`".repeat(longest + 1);
    format!("{fence}text\n{}\n{fence}\n", text.trim_end())
}
