//! The interviewer's sheet on paper: everything that the page in the room shows, to be printed before the session.
//!
//! As a page for A4 ([`html`]) and as Markdown for terminals ([`markdown`]). The answers stand on the last pages.

use crate::page::{BASE, inline, markdown as rendered, safe};
use crate::report::{fenced, title};
use crate::session::view::{Sheet, SheetLine, SheetPart, SheetProbe, SheetQuestion};

const STYLE: &str = include_str!("sheet.css");

/// After how many minutes something at this share of a part comes.
fn minute(share: u8, minutes: u32) -> u32 {
    u32::from(share) * minutes / 100
}

/// The sheet as a page that needs nothing else.
pub fn html(sheet: &Sheet) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang='en'>\n<meta charset='utf-8'>\n<meta name='viewport' content='width=device-width'>\n<title>Interviewer’s sheet</title>\n\
         <style>\n{BASE}{STYLE}</style>\n<main>\n<header><h1>Interviewer’s sheet</h1><p>{}</p>\
         <p class='fill'><span>Candidate</span><span>Interviewer</span><span>Date</span></p></header>\n",
        safe(&sheet.view.head)
    );
    page += "<table class='plan'><thead><tr><th>part</th><th>what</th><th class='number'>min</th><th>began</th><th>ended</th></tr></thead><tbody>";
    for (at, part) in sheet.view.parts.iter().enumerate() {
        let what = named(&sheet.parts, at).unwrap_or(&part.title);
        let kind = &part.kind;
        page += &format!(
            "<tr><td>{}. {kind}</td><td>{}</td><td class='number'>{}</td><td class='write'></td><td class='write'></td></tr>",
            at + 1,
            safe(what),
            part.minutes
        );
    }
    page += "</tbody></table>\n";
    for (at, part) in sheet.parts.iter().enumerate() {
        let Some(head) = sheet.view.parts.get(at) else { continue };
        page += &format!("<section><h2>{}. {} <small>{} min</small></h2>", at + 1, of(head, part), head.minutes);
        page += &asked(part, head.minutes);
        page += "</section>\n";
    }
    for (at, part) in sheet.parts.iter().enumerate() {
        let Some(head) = sheet.view.parts.get(at) else { continue };
        let good = good(part);
        if !good.is_empty() {
            page += &format!(
                "<section class='answer'><h2>{}. {}: what good looks like</h2>{good}</section>\n",
                at + 1,
                of(head, part)
            );
        }
    }
    page + "</main>\n</html>\n"
}

/// A part's title; incidents and design questions have one before they begin, too.
fn named(parts: &[SheetPart], at: usize) -> Option<&String> {
    match parts.get(at)? {
        SheetPart::Incident { title, .. } | SheetPart::Design { title, .. } => Some(title),
        SheetPart::Warmup { .. } | SheetPart::Code { .. } => None,
    }
}

fn of(head: &crate::session::view::PartTitle, part: &SheetPart) -> String {
    let title = named(std::slice::from_ref(part), 0).unwrap_or(&head.title);
    let mut kind = head.kind.clone();
    if let Some(first) = kind.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("{}: {}", safe(&kind), safe(title))
}

fn asked(part: &SheetPart, minutes: u32) -> String {
    let mut page = String::new();
    match part {
        SheetPart::Warmup { questions } => {
            page += "<ol>";
            questions.iter().for_each(|one| page += &format!("<li>{}</li>", question(one)));
            page += "</ol>";
        }
        SheetPart::Code { exercise, rule, hints, .. } => {
            page += &format!("<p><code>exercises/{}.rs</code></p>", safe(exercise));
            page += &rule.as_ref().map_or(String::new(), |rule| rendered(rule));
            page += &listed("Hints, each a tenth of the part", hints);
        }
        SheetPart::Incident { prompt, hints, question: cause, .. } => {
            page += &format!("<blockquote>{}</blockquote><h3>The root cause</h3>{}", rendered(prompt), question(cause));
            page += &listed("Hints, each a tenth of the part", hints);
        }
        SheetPart::Design { prompt, facts, probes, rubric, red_flags, .. } => {
            page += &format!("<blockquote>{}</blockquote>", rendered(prompt));
            page += "<h3>Facts, told when asked for</h3><table><tbody>";
            for fact in facts {
                page += &format!(
                    "<tr><td class='box'></td><td><b>{}</b></td><td>{}</td></tr>",
                    inline(&fact.question),
                    inline(&fact.answer)
                );
            }
            page += "</tbody></table><h3>Probes</h3><table><thead><tr><th></th><th class='number'>minute</th><th>ask</th><th>a good answer</th></tr></thead><tbody>";
            for SheetProbe { probe, .. } in probes {
                page += &format!(
                    "<tr><td class='box'></td><td class='number'>{}</td><td>{} <span class='faint'>({})</span></td><td>{}</td></tr>",
                    minute(probe.at, minutes),
                    inline(&probe.ask),
                    safe(&probe.lines.join(", ")),
                    inline(&probe.good)
                );
            }
            page += "</tbody></table><h3>Red flags</h3><table><tbody>";
            for flag in red_flags {
                page += &format!(
                    "<tr><td class='box'></td><td><b>{}</b></td><td>{}</td></tr>",
                    inline(&flag.says),
                    inline(&flag.why)
                );
            }
            page += "</tbody></table><h3>Rubric</h3><p class='faint'>Tick one mark in each line, and write down the words that it rests on. The bar is 70 %, and no dimension below 2.</p>";
            rubric.iter().for_each(|line| page += &line_of(line));
        }
    }
    page
}

fn line_of(line: &SheetLine) -> String {
    let mut page = format!(
        "<div class='line'><p><b>{}</b> <span class='faint'>{} · {}</span></p><table class='marks'><tbody>",
        inline(&line.name),
        title(line.dimension),
        line.weight
    );
    for (mark, anchor) in line.marks.iter().enumerate() {
        page += &format!("<tr><td class='box'></td><td class='number'>{mark}</td><td>{}</td></tr>", inline(anchor));
    }
    page + "</tbody></table><p class='evidence'>Evidence</p><p class='evidence'></p></div>"
}

fn listed(title: &str, all: &[String]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let all: String = all.iter().map(|one| format!("<li>{}</li>", rendered(one))).collect();
    format!("<h3>{title}</h3><ol>{all}</ol>")
}

fn question(one: &SheetQuestion) -> String {
    let mut page = format!("<p><b>{}</b></p>", inline(&one.shown.ask));
    if !one.shown.transcript.is_empty() {
        page += &format!("<pre>{}</pre>", safe(&one.shown.transcript.join("\n")));
    }
    page += "<ul class='options'>";
    one.shown.options.iter().for_each(|option| page += &format!("<li>{}</li>", inline(option)));
    page + "</ul>"
}

fn good(part: &SheetPart) -> String {
    match part {
        SheetPart::Warmup { questions } => {
            let mut page = String::from("<ol>");
            for one in questions {
                page += &format!("<li>{}<ul>", inline(&one.right));
                one.why.iter().for_each(|why| page += &format!("<li class='faint'>{}</li>", inline(why)));
                page += "</ul></li>";
            }
            page + "</ol>"
        }
        SheetPart::Code { .. } => String::new(),
        SheetPart::Incident { debrief, routes, question, .. } => {
            let mut page = format!("<p><b>Root cause: {}</b></p>{}", inline(&question.right), rendered(debrief));
            for (name, commands) in routes {
                page += &format!("<p>{}</p><pre>{}</pre>", inline(name), safe(&commands.join("\n")));
            }
            page
        }
        SheetPart::Design { model, .. } => rendered(model),
    }
}

/// The sheet as Markdown.
pub fn markdown(sheet: &Sheet) -> String {
    let mut page = format!("# Interviewer's sheet\n\n{}\n", sheet.view.head);
    let parts = || sheet.view.parts.iter().zip(&sheet.parts).enumerate();
    let heading = |at: usize, head: &crate::session::view::PartTitle, part: &SheetPart| {
        format!("{}. {}: {}", at + 1, head.kind, named(std::slice::from_ref(part), 0).unwrap_or(&head.title))
    };
    for (at, (head, part)) in parts() {
        page += &format!("\n## {} ({} min)\n", heading(at, head, part), head.minutes);
        match part {
            SheetPart::Warmup { questions } => questions.iter().for_each(|one| page += &question_lines(one)),
            SheetPart::Code { exercise, rule, hints, .. } => {
                page += &format!("\n`exercises/{exercise}.rs`\n");
                page += &rule.as_ref().map_or(String::new(), |rule| format!("\n{rule}\n"));
                page += &hint_lines(hints);
            }
            SheetPart::Incident { prompt, hints, question, .. } => {
                page += &format!("\n{}\n{}{}", prompt.trim(), question_lines(question), hint_lines(hints));
            }
            SheetPart::Design { prompt, facts, probes, rubric, red_flags, .. } => {
                page += &format!("\n{}\n\n### Facts, told when asked for\n\n", prompt.trim());
                facts.iter().for_each(|fact| page += &format!("- [ ] {} {}\n", fact.question, fact.answer));
                page += "\n### Probes\n\n";
                for SheetProbe { probe, .. } in probes {
                    let at = minute(probe.at, head.minutes);
                    page += &format!(
                        "- [ ] minute {at} ({}): {}\n  Good: {}\n",
                        probe.lines.join(", "),
                        probe.ask,
                        probe.good
                    );
                }
                page += "\n### Red flags\n\n";
                red_flags.iter().for_each(|flag| page += &format!("- [ ] {} ({})\n", flag.says, flag.why));
                page += "\n### Rubric\n";
                for line in rubric {
                    page += &format!("\n{} ({}, {})\n\n", line.name, title(line.dimension), line.weight);
                    line.marks
                        .iter()
                        .enumerate()
                        .for_each(|(mark, anchor)| page += &format!("- [ ] {mark}: {anchor}\n"));
                    page += "\nEvidence:\n";
                }
            }
        }
    }
    for (at, (head, part)) in parts() {
        let good = match part {
            SheetPart::Warmup { questions } => {
                questions.iter().map(|one| format!("- {} {}\n", one.right, one.why.join(" "))).collect()
            }
            SheetPart::Code { .. } => continue,
            SheetPart::Incident { debrief, routes, question, .. } => {
                let routes: String =
                    routes.iter().map(|(name, all)| format!("\n{name}:\n\n{}", fenced(&all.join("\n")))).collect();
                format!("Root cause: {}\n\n{}\n{routes}", question.right, debrief.trim())
            }
            SheetPart::Design { model, .. } => format!("{}\n", model.trim()),
        };
        page += &format!("\n## What good looks like: {}\n\n{good}", heading(at, head, part));
    }
    page
}

fn question_lines(one: &SheetQuestion) -> String {
    let mut page = format!("\n- {}\n", one.shown.ask);
    one.shown.transcript.iter().for_each(|line| page += &format!("      {line}\n"));
    one.shown.options.iter().enumerate().for_each(|(at, option)| page += &format!("  {}. {option}\n", at + 1));
    page
}

fn hint_lines(hints: &[String]) -> String {
    if hints.is_empty() {
        return String::new();
    }
    let hints: String = hints.iter().map(|hint| format!("1. {}\n", hint.trim().replace('\n', "\n   "))).collect();
    format!("\nHints, each a tenth of the part:\n\n{hints}")
}

#[cfg(test)]
mod tests {
    use crate::fixture;

    #[test]
    fn everything_that_an_interviewer_needs_is_on_paper() {
        let session = fixture::session(true);
        let sheet = session.sheet(fixture::BEGAN);
        for page in [super::html(&sheet), super::markdown(&sheet)] {
            let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is missing in:\n{page}"));
            // The prompt, a fact, a probe at its minute, a line with its anchors, a red flag; the model answer behind all.
            at("How does Kubernetes handle");
            at("How many nodes are there?");
            at("The node of a database is silent");
            at("Names the lease and the grace period.");
            at("Five minutes in total");
            assert!(at("the lease is what is missed") > at("Evidence"), "answers stand on the last pages");
        }
        let page = super::html(&sheet);
        assert!(
            !page.contains("src=") && !page.contains("<link") && !page.contains("<script"),
            "a page on paper needs nothing else"
        );
        assert_eq!(page.matches("class='evidence'>Evidence").count(), 3);
        assert!(page.contains("<td class='number'>6</td>"), "a probe at 60 % of 10 minutes comes in minute 6");
    }
}
