//! Drawings: the time line of a session, and how scores went over attempts. Each has a table beside it that says the same.

use super::{Attempt, Moment, MomentKind, Report, title};
use crate::content::design::Dimension;
use crate::page::{clock, safe};
use crate::session::score::{BAR, FLOOR};

const WIDTH: f64 = 840.0;
/// For what stands right of it.
const NAMES: f64 = 160.0;
/// How far apart the rows of marks lie.
const ROW: f64 = 20.0;

/// What is drawn of moments: the row, the sign, its class, what it is called.
struct Sign {
    row: usize,
    shape: Shape,
    class: &'static str,
    name: &'static str,
}

enum Shape {
    Circle,
    Diamond,
    Triangle,
    Square,
}

const ROWS: [&str; 3] = ["answers, runs, checks", "questions and probes", "hints"];

const SIGNS: [Sign; 6] = [
    Sign { row: 0, shape: Shape::Circle, class: "ok", name: "right, passed, healed" },
    Sign { row: 0, shape: Shape::Square, class: "no", name: "wrong, failed, not healed" },
    Sign { row: 0, shape: Shape::Circle, class: "", name: "partly right" },
    Sign { row: 1, shape: Shape::Diamond, class: "", name: "asked or told" },
    Sign { row: 1, shape: Shape::Diamond, class: "probe", name: "probe" },
    Sign { row: 2, shape: Shape::Triangle, class: "hint", name: "hint" },
];

fn sign(moment: &Moment) -> Option<&'static Sign> {
    let what = moment.what.as_str();
    let at = match moment.kind {
        MomentKind::Answer if what.contains(": partly") => 2,
        MomentKind::Answer => usize::from(what.contains(": wrong")),
        MomentKind::Run => usize::from(what.contains("wrong after")),
        MomentKind::Check => usize::from(what.contains("not healed")),
        MomentKind::Fact => 3,
        MomentKind::Probe => 4,
        MomentKind::Hint => 5,
        MomentKind::Part | MomentKind::Pause | MomentKind::Mark | MomentKind::End => return None,
    };
    SIGNS.get(at)
}

impl Sign {
    fn draw(&self, x: f64, y: f64, what: &str) -> String {
        let title = if what.is_empty() { String::new() } else { format!("<title>{}</title>", safe(what)) };
        let class = format!("mark {}", self.class);
        match self.shape {
            Shape::Circle => format!("<circle class='{class}' cx='{x:.1}' cy='{y:.1}' r='5.5'>{title}</circle>"),
            Shape::Square => {
                format!(
                    "<rect class='{class}' x='{:.1}' y='{:.1}' width='10' height='10'>{title}</rect>",
                    x - 5.0,
                    y - 5.0
                )
            }
            Shape::Diamond => {
                format!("<path class='{class}' d='M{x:.1} {:.1}l6 6-6 6-6-6z'>{title}</path>", y - 6.0)
            }
            Shape::Triangle => {
                format!("<path class='{class}' d='M{x:.1} {:.1}l6.5 11h-13z'>{title}</path>", y - 6.5)
            }
        }
    }
}

/// The time line of a session: its parts as bars, pauses in them, and marks below.
pub(super) fn timeline(report: &Report) -> String {
    // Marks are given after the last part, and often much later.
    let ended = report.parts.iter().filter_map(|part| part.ended_ms.or(part.began_ms.map(|_| report.took_ms)));
    let whole = ended.max().unwrap_or(report.took_ms).max(1_000) as f64;
    let x = |ms: i64| (ms as f64 / whole).min(1.0) * WIDTH;
    let (top, bar) = (20.0, 26.0);
    let rows = top + bar + 16.0;
    let height = rows + ROW * ROWS.len() as f64 + 22.0;
    let count = report.parts.iter().filter(|part| part.began_ms.is_some()).count();
    let mut drawing = format!(
        "<svg viewBox='-8 0 {:.0} {height:.0}' role='img' aria-label='The time line of the session: {count} parts in {}. The table below says the same.'>",
        WIDTH + NAMES,
        clock(whole as i64)
    );
    for (row, name) in ROWS.iter().enumerate() {
        let y = rows + ROW * row as f64;
        drawing += &format!("<line class='rule' x1='0' x2='{WIDTH}' y1='{y}' y2='{y}'/>");
        drawing += &format!("<text class='faint' x='{:.0}' y='{:.0}'>{name}</text>", WIDTH + 12.0, y + 4.0);
    }
    for (at, part) in report.parts.iter().enumerate() {
        let Some(began) = part.began_ms else { continue };
        let (from, to) = (x(began), x(part.ended_ms.unwrap_or(report.took_ms)));
        let width = (to - from).max(1.0);
        drawing += &format!("<rect class='bar' x='{from:.1}' y='{top}' width='{width:.1}' height='{bar}'/>");
        drawing += &format!("<line class='edge' x1='{from:.1}' x2='{from:.1}' y1='{top}' y2='{:.1}'/>", height - 20.0);
        let kind = super::markdown::kind(&part.content);
        let said = format!("{}. {kind}, {} of {} min", at + 1, clock(part.used_ms), part.minutes);
        // What doesn't fit is told by the table.
        let room = (width / 6.6) as usize;
        let name = format!("{}. {kind}", at + 1);
        let short =
            [said.as_str(), name.as_str(), ""].into_iter().find(|text| text.chars().count() < room).unwrap_or("");
        drawing += &format!("<text x='{:.1}' y='{:.1}'>{short}</text>", from + 6.0, top + 17.0);
    }
    for pause in &report.pauses {
        let from = x(pause.at_ms);
        let width = (x(pause.at_ms + pause.ms.unwrap_or(report.took_ms - pause.at_ms)) - from).max(2.0);
        let away = if pause.away { "nobody was there" } else { "pause" };
        let title = format!("<title>{away}, {}</title>", pause.ms.map_or("until the end".into(), clock));
        drawing += &format!(
            "<rect class='pause' x='{from:.1}' y='{:.1}' width='{width:.1}' height='{bar}'>{title}</rect>",
            top
        );
    }
    for moment in &report.timeline {
        let Some(sign) = sign(moment) else { continue };
        let said = format!("{} {}", clock(moment.at_ms), moment.what);
        drawing += &sign.draw(x(moment.at_ms), rows + ROW * sign.row as f64, &said);
    }
    // Ticks at round minutes, not more than ten of them.
    let minutes = whole / 60_000.0;
    let step = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0].into_iter().find(|step| minutes / step <= 10.0).unwrap_or(60.0);
    let mut tick = 0.0;
    while tick <= minutes {
        let at = tick / minutes * WIDTH;
        drawing +=
            &format!("<text class='faint' x='{at:.1}' y='{:.0}' text-anchor='middle'>{tick}′</text>", height - 4.0);
        tick += step;
    }
    drawing += "</svg>";
    drawing
}

/// What the signs of the time line mean.
pub(super) fn legend(report: &Report) -> String {
    let mut list = String::from("<ul class='legend'>");
    for (at, one) in SIGNS.iter().enumerate() {
        if report.timeline.iter().filter_map(sign).any(|sign| std::ptr::eq(sign, &SIGNS[at])) {
            let drawn = one.draw(7.0, 7.0, "");
            list += &format!("<li><svg viewBox='0 0 14 14' aria-hidden='true'>{drawn}</svg>{}</li>", one.name);
        }
    }
    if !report.pauses.is_empty() {
        list += "<li><svg viewBox='0 0 14 14' aria-hidden='true'><rect class='pause' width='14' height='14'/></svg>the clock stood still</li>";
    }
    list + "</ul>"
}

/// How one figure went over attempts.
struct Series {
    name: &'static str,
    most: f64,
    limit: f64,
    unit: &'static str,
    values: Vec<Option<f64>>,
}

/// Small charts of the figures over attempts, the oldest first, with a table of the same.
pub(super) fn trend(attempts: &[Attempt], this: &str) -> String {
    let all = |read: &dyn Fn(&Attempt) -> Option<f64>| attempts.iter().map(read).collect::<Vec<_>>();
    let share = |name, values| Series { name, most: 100.0, limit: BAR, unit: " %", values };
    let mut series = vec![share("Graded", all(&|one| one.graded)), share("Judged", all(&|one| one.judged))];
    for dimension in
        [Dimension::Scope, Dimension::Mechanism, Dimension::Failure, Dimension::Operations, Dimension::Communication]
    {
        let values = all(&|one| one.dimensions.get(&dimension).copied());
        series.push(Series { name: title(dimension), most: 4.0, limit: FLOOR, unit: "", values });
    }
    series.retain(|one| one.values.iter().any(Option::is_some));
    let mut page = String::from("<div class='charts'>");
    series.iter().for_each(|one| page += &chart(one, attempts, this));
    page += "</div><details><summary>The same as a table</summary><div class='wide'><table><thead><tr><th>began</th><th>level</th><th class='number'>min</th>";
    series.iter().for_each(|one| page += &format!("<th class='number'>{}</th>", one.name));
    page += "<th>bar</th></tr></thead><tbody>";
    for (at, one) in attempts.iter().enumerate() {
        let day = one.began.get(..10).unwrap_or(&one.began);
        page += &format!("<tr><td>{}</td><td>{}</td><td class='number'>{}</td>", safe(day), one.level, one.minutes);
        for series in &series {
            let value = series.values[at].map_or("–".into(), |value| shown(value, series));
            page += &format!("<td class='number'>{value}</td>");
        }
        let reached = match one.reached {
            Some(true) => "reached",
            Some(false) => "not reached",
            None => "marks missing",
        };
        page += &format!("<td>{reached}</td></tr>");
    }
    page + "</tbody></table></div></details>"
}

fn shown(value: f64, series: &Series) -> String {
    match series.most > 10.0 {
        true => format!("{value:.0}{}", series.unit),
        false => format!("{value:.1}"),
    }
}

fn chart(series: &Series, attempts: &[Attempt], this: &str) -> String {
    let (width, height, edge) = (220.0, 84.0, 8.0);
    let step = (width - 2.0 * edge) / (attempts.len().max(2) - 1) as f64;
    let x = |at: usize| edge + step * at as f64;
    let y = |value: f64| height - edge - value / series.most * (height - 2.0 * edge);
    let points: Vec<(usize, f64)> =
        series.values.iter().enumerate().filter_map(|(at, value)| Some((at, (*value)?))).collect();
    let last = points.last().map_or(String::new(), |(_, value)| shown(*value, series));
    let first = points.first().map_or(String::new(), |(_, value)| shown(*value, series));
    let limit = y(series.limit);
    let mut drawing = format!(
        "<figure><figcaption><span>{}</span><b>{last}</b></figcaption><svg viewBox='0 0 {width} {height}' role='img' aria-label='{}: from {first} to {last} in {} sessions'>",
        series.name,
        series.name,
        points.len()
    );
    drawing += &format!("<rect class='track' width='{width}' height='{height}' rx='4'/>");
    drawing += &format!("<line class='limit' x1='0' x2='{width}' y1='{limit:.1}' y2='{limit:.1}'/>");
    let line: Vec<String> = points.iter().map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value))).collect();
    drawing += &format!("<polyline class='line' points='{}'/>", line.join(" "));
    for (at, value) in points {
        let one = &attempts[at];
        let class = if one.id == this { "dot this" } else { "dot" };
        let title = format!("{}: {}", one.began.get(..10).unwrap_or(&one.began), shown(value, series));
        drawing += &format!(
            "<circle class='{class}' cx='{:.1}' cy='{:.1}' r='4'><title>{}</title></circle>",
            x(at),
            y(value),
            safe(&title)
        );
    }
    drawing + "</svg></figure>"
}
