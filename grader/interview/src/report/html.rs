//! The report as one page that needs nothing else.

use super::markdown::kind;
use super::{Attempt, LineReport, PartContent, PartReport, QuestionReport, Report, svg, title};
use crate::page::{BASE, clock, inline, markdown, safe};
use crate::session::Session;
use crate::session::score::{BAR, FLOOR, HINT};

/// The page of a session, with the trend over `attempts`, the oldest first, this session among them. `book` is where the book's pages lie, as seen
/// from this one, such as `../../book`; without it, pages are named and not linked.
pub fn html(report: &Report, attempts: &[Attempt], book: Option<&str>) -> String {
    let began = report.began.get(..16).unwrap_or(&report.began).replace('T', " ");
    let heading = format!("Mock interview: {} engineer, {} min", report.level.title(), report.minutes);
    let verdict = match report.score.reached {
        Some(true) => "good",
        Some(false) => "bad",
        None => "warn",
    };
    let topics = if report.topics.is_empty() { String::new() } else { format!(" · {}", report.topics.join(", ")) };
    let mut page = format!(
        "<!doctype html>\n<html lang='en'>\n<meta charset='utf-8'>\n<meta name='viewport' content='width=device-width'>\n<title>{heading}</title>\n\
         <style>\n{BASE}{}</style>\n<header><h1>{heading}</h1><p class='faint'>{} UTC · session {} · seed {}{}</p><p class='verdict {verdict}'>{}</p></header>\n<main>\n",
        include_str!("report.css"),
        safe(&began),
        safe(&report.id),
        report.seed,
        safe(&topics),
        report.verdict()
    );
    page += &scores(report);
    page += &study(report, book);
    page += &format!(
        "<section><h2>Time line</h2><div class='wide' tabindex='0'>{}</div>{}{}</section>\n",
        svg::timeline(report),
        svg::legend(report),
        moments(report)
    );
    if attempts.len() > 1 {
        page += &format!(
            "<section><h2>Trend over {} sessions</h2>{}</section>\n",
            attempts.len(),
            svg::trend(attempts, &report.id)
        );
    }
    report.parts.iter().enumerate().for_each(|(at, part)| page += &part_of(at, part, book));
    page += &format!(
        "</main>\n<footer><p>The bar is {BAR:.0} % of what is graded, {BAR:.0} % of what is judged, and no dimension below {FLOOR:.0} of 4. A hint takes {:.0} % of its \
         part’s points. Prose is judged by people alone.</p><p>Kit {}, document version {}.</p></footer>\n</html>\n",
        100.0 * HINT,
        safe(&report.kit),
        report.schema_version
    );
    page
}

fn meter(share: f64, bar: f64) -> String {
    let low = if share < bar { " low" } else { "" };
    let (share, bar) = (100.0 * share.clamp(0.0, 1.0), 100.0 * bar);
    format!(
        "<div class='meter{low}' aria-hidden='true'><i style='width:{share:.0}%'></i><u style='left:{bar:.0}%'></u></div>"
    )
}

fn scores(report: &Report) -> String {
    let mut page = String::from("<section><h2>Scores</h2><div class='scores'>");
    let graded = &report.score.graded;
    if !graded.parts.is_empty() {
        page += &format!(
            "<div class='score'><div>Graded <span class='faint'>by scenarios, end state, right answers</span></div><b>{:.0} %</b>{}<span class='faint'>the bar is {BAR:.0} %</span></div>",
            graded.percent,
            meter(graded.percent / 100.0, BAR / 100.0)
        );
    }
    let Some(judged) = &report.score.judged else { return page + "</div></section>\n" };
    let missing = match judged.missing {
        0 => String::new(),
        1 => "; one line is not marked".into(),
        missing => format!("; {missing} lines are not marked"),
    };
    page += &format!(
        "<div class='score'><div>Judged <span class='faint'>by people, on the rubric</span></div><b>{:.0} %</b>{}<span class='faint'>the bar is {BAR:.0} %{missing}</span></div></div><div class='dimensions'>",
        judged.percent,
        meter(judged.percent / 100.0, BAR / 100.0)
    );
    for (dimension, mark) in &judged.dimensions {
        page += &format!(
            "<div><span>{} <b>{mark:.1}</b></span>{}</div>",
            title(*dimension),
            meter(mark / 4.0, FLOOR / 4.0)
        );
    }
    page + "</div></section>\n"
}

/// A page of the book, linked if it is known where the book lies.
fn page_link(page: &str, heading: Option<&str>, book: Option<&str>) -> String {
    let heading = heading.map_or(String::new(), |heading| format!("#{heading}"));
    let name = safe(&format!("{page}{heading}"));
    let path = page.strip_prefix("book/src/").and_then(|path| path.strip_suffix(".md"));
    match (book, path) {
        (Some(book), Some(path)) => {
            let link = format!("{}/{path}.html{heading}", book.trim_end_matches('/'));
            format!("<a href='{}'>{}</a>", safe(&link), safe(&format!("{path}{heading}")))
        }
        _ => format!("<code>{name}</code>"),
    }
}

fn study(report: &Report, book: Option<&str>) -> String {
    if report.study.is_empty() {
        return String::new();
    }
    let mut page = String::from("<section><h2>What to study next</h2><ul class='study'>");
    for one in &report.study {
        page += &format!("<li>{}<ul>", page_link(&one.page, one.heading.as_deref(), book));
        one.why.iter().for_each(|why| page += &format!("<li>{}</li>", inline(why)));
        page += "</ul></li>";
    }
    page + "</ul></section>\n"
}

fn moments(report: &Report) -> String {
    let mut page = String::from(
        "<details><summary>The same as a table</summary><table><thead><tr><th>time</th><th>part</th><th>what</th></tr></thead><tbody>",
    );
    for moment in &report.timeline {
        let part = moment.part.map_or(String::new(), |part| (part + 1).to_string());
        page += &format!("<tr><td>{}</td><td>{part}</td><td>{}</td></tr>", clock(moment.at_ms), safe(&moment.what));
    }
    page + "</tbody></table></details>"
}

fn part_of(at: usize, part: &PartReport, book: Option<&str>) -> String {
    let mut small = vec![format!("{} of {} min", clock(part.used_ms), part.minutes)];
    if part.began_ms.is_none() {
        small = vec!["did not begin".into()];
    }
    if part.time_up {
        small.push("its time was up".into());
    }
    if let (Some(points), Some(said)) = (part.points, &part.said) {
        small.push(format!("{:.0} %: {said}", 100.0 * points));
    }
    match part.hints.len() {
        0 => {}
        1 => small.push("one hint".into()),
        hints => small.push(format!("{hints} hints")),
    }
    let mut page = format!(
        "<section class='part'><h2>{}. {}: {} <small>{}</small></h2>",
        at + 1,
        kind(&part.content),
        safe(&part.title),
        safe(&small.join(" · "))
    );
    if part.began_ms.is_some() {
        page += &content_of(&part.content, book);
        if !part.hints.is_empty() {
            page += "<details><summary>The hints that were taken</summary><ol>";
            part.hints.iter().for_each(|hint| page += &format!("<li>{}</li>", markdown(hint)));
            page += "</ol></details>";
        }
    }
    page + "</section>\n"
}

fn content_of(content: &PartContent, book: Option<&str>) -> String {
    let mut page = String::new();
    match content {
        PartContent::Warmup { questions } => questions.iter().for_each(|one| page += &question_of(one, book)),
        PartContent::Code { exercise, rule, runs } => {
            let reading = page_link(&format!("book/src/{exercise}.md"), None, book);
            page += &format!("<p class='faint'>{reading}</p>");
            page += &rule.as_ref().map_or(String::new(), |rule| markdown(rule));
            if let Some((last, earlier)) = runs.split_last() {
                page +=
                    &format!("<p>The last run, {}:</p><pre>{}</pre>", clock(last.at_ms), safe(last.said.trim_end()));
                if !earlier.is_empty() {
                    page += "<details><summary>Earlier runs</summary>";
                    for run in earlier {
                        page += &format!("<p>{}</p><pre>{}</pre>", clock(run.at_ms), safe(run.said.trim_end()));
                    }
                    page += "</details>";
                }
            }
        }
        PartContent::Incident { prompt, checks, question, debrief, replay, routes, .. } => {
            page += &format!("<blockquote>{}</blockquote>", markdown(prompt));
            if let Some(last) = checks.last() {
                page += &format!("<p>The last of {} looks at it, {}:</p><ul>", checks.len(), clock(last.at_ms));
                last.said.iter().for_each(|said| page += &format!("<li>{}</li>", safe(said)));
                page += "</ul>";
            }
            page += &question.as_ref().map_or(String::new(), |one| question_of(one, book));
            page += &format!("<h3>What happened there</h3>{}", markdown(debrief));
            if let Some(replay) = replay {
                page += &format!("<p><a href='{}'>Watch the cluster again</a></p>", safe(replay));
            }
            for route in routes {
                page += &format!("<p>{}</p><pre>{}</pre>", inline(&route.name), safe(&route.commands.join("\n")));
            }
        }
        PartContent::Design { prompt, asked, untold, probes, text, rubric, model, .. } => {
            page += &format!("<blockquote>{}</blockquote>", markdown(prompt));
            page += "<h3>Marks</h3>";
            rubric.iter().for_each(|line| page += &line_of(line));
            page += &format!("<h3>The answer</h3><pre style='white-space:pre-wrap'>{}</pre>", safe(text.trim_end()));
            page += "<h3>Asked and told</h3><ul>";
            for one in asked {
                let text = if one.text.is_empty() { "told unasked" } else { &one.text };
                let told = if one.answers.is_empty() { "nobody knows".into() } else { one.answers.join(" ") };
                page += &format!(
                    "<li><b>{}</b> <span class='faint'>{}</span><br>{}</li>",
                    safe(text),
                    clock(one.at_ms),
                    inline(&told)
                );
            }
            for one in untold {
                page +=
                    &format!("<li class='faint'>Nobody asked: {} {}</li>", inline(&one.question), inline(&one.answer));
            }
            page += "</ul><h3>Probes</h3><ul>";
            for one in probes {
                let when = one.at_ms.map_or("not asked".into(), clock);
                page += &format!(
                    "<li>{} <span class='faint'>{when}</span><br><span class='faint'>A good answer: {}</span></li>",
                    inline(&one.ask),
                    inline(&one.good)
                );
            }
            page += &format!(
                "</ul><details open><summary>A very good answer</summary><div class='prose'>{}</div></details>",
                markdown(model)
            );
        }
    }
    page
}

fn question_of(one: &QuestionReport, book: Option<&str>) -> String {
    let (class, sign) = match one.points {
        1.0 => ("right", "<span class='good'>✓ right</span>"),
        0.0 => ("wrong", "<span class='bad'>✗ wrong</span>"),
        _ => ("partly", "<span class='warn'>½ partly right</span>"),
    };
    let mut page = format!("<div class='question {class}'><p><b>{}</b></p>", inline(&one.ask));
    if !one.transcript.is_empty() {
        page += &format!("<pre>{}</pre>", safe(&one.transcript.join("\n")));
    }
    let answer = one.answer.as_deref().unwrap_or("no answer");
    page += &format!("<p>{sign}: {}</p>", inline(answer));
    if one.points < 1.0 {
        page += &format!("<p>Right is: {}</p>", inline(&one.right));
    }
    page += "<ul class='faint'>";
    one.why.iter().for_each(|why| page += &format!("<li>{}</li>", inline(why)));
    page += "</ul>";
    if let Some(read) = one.read.as_ref().filter(|_| one.points < 1.0) {
        let (file, heading) =
            read.split_once('#').map_or((read.as_str(), None), |(file, heading)| (file, Some(heading)));
        page += &format!("<p>{}</p>", page_link(file, heading, book));
    }
    page + "</div>"
}

fn line_of(line: &LineReport) -> String {
    let pips: String = (1..=4).map(|at| if line.mark >= Some(at) { "<i class='on'></i>" } else { "<i></i>" }).collect();
    let mark = line.mark.map_or("not marked".into(), |mark| format!("{mark} of 4"));
    let mut page = format!(
        "<div class='line'><b>{} <span class='faint'>{} · {}</span></b><span>{mark}<span class='pips' aria-hidden='true'>{pips}</span></span>",
        inline(&line.name),
        title(line.dimension),
        line.weight
    );
    if let Some(mark) = line.mark {
        page += &format!("<p>{}</p>", inline(&line.marks[usize::from(mark)]));
        if let Some(next) = line.marks.get(usize::from(mark) + 1) {
            page += &format!("<p class='faint'>One more would be: {}</p>", inline(next));
        }
    }
    if let Some(evidence) = line.evidence.as_ref().filter(|evidence| !evidence.is_empty()) {
        let by = line.by.map_or("", Session::by);
        page += &format!("<p><q>{}</q> <span class='faint'>({by})</span></p>", safe(evidence));
    }
    page + "</div>"
}
