//! A cluster as a table of 80 columns and 24 lines: nodes beside workloads, the pods that changed last, the last events.

use crate::display::human::{BOLD, DIM, GREEN, RED, YELLOW, pad, paint};
use anstyle::Style;
use kit_cluster::recording::{Change, Event, Increment, Picture, State, Subject};
use std::collections::{BTreeMap, VecDeque};
use textwrap::core::display_width;

/// How wide it is, and how wide its left half.
const WIDTH: usize = 80;
const HALF: usize = 41;
/// So many nodes and workloads are shown.
const ROWS: usize = 9;
/// So many pods, and so many events.
const LAST: usize = 4;

/// What is shown, as it comes.
#[derive(Default)]
pub struct Table {
    picture: Picture,
    /// The pods that changed last, the latest first, and when.
    pods: VecDeque<(i64, usize)>,
    /// The last events, the latest first.
    events: VecDeque<Event>,
}

impl Table {
    /// Takes in what has happened.
    pub fn add(&mut self, increment: &Increment) {
        self.picture.add(increment);
        for Change(t, id, ..) in &increment.changes {
            if self.picture.subjects[*id].kind == "Pod" {
                self.pods.retain(|(_, known)| known != id);
                self.pods.push_front((*t, *id));
                self.pods.truncate(LAST);
            }
        }
        for event in &increment.events {
            self.events.push_front(event.clone());
            self.events.truncate(LAST);
        }
    }

    /// The lines, below one that says what is played and when.
    pub fn lines(&self, title: &str) -> Vec<String> {
        let mut lines = vec![cut(title, WIDTH), String::new()];
        let (nodes, workloads) = (self.nodes(), self.workloads());
        let heads = [
            row(&[("NODE", 15), ("ZONE", 8), ("STATUS", 9), ("PODS", 5)]),
            row(&[("WORKLOAD", 21), ("WANT", 5), ("READY", 6), ("NEW", 4)]),
        ];
        lines.push(format!("{}{}", paint(DIM, pad(&heads[0], HALF)), paint(DIM, &heads[1])));
        for index in 0..nodes.len().max(workloads.len()) {
            let (left, right) = (nodes.get(index), workloads.get(index));
            let left = left.map_or_else(|| " ".repeat(HALF), |(style, text)| paint(*style, pad(text, HALF)));
            let right = right.map_or_else(String::new, |(style, text)| paint(*style, text));
            lines.push(format!("{left}{right}").trim_end().to_string());
        }
        lines.extend([String::new(), paint(DIM, "PODS THAT CHANGED LAST")]);
        for (t, id) in &self.pods {
            let state = self.picture.states[*id].as_ref();
            let status = state.map_or("gone", |state| text(state, "status"));
            let node = state.and_then(|state| state.get("node")?.as_u64()).and_then(|node| usize::try_from(node).ok());
            let place = node.map_or(String::new(), |node| format!("on {}", self.picture.subjects[node].name));
            let waits = state.map_or("", |state| text(state, "reason"));
            let more = if place.is_empty() { waits } else { &place };
            let name = cut(&self.picture.subjects[*id].name, 29);
            let line = cut(&format!("{:<8} {} {status:<18} {more}", seconds(*t), pad(&name, 29)), WIDTH);
            lines.push(if state.is_some_and(ready) { line } else { paint(YELLOW, line) });
        }
        lines.extend([String::new(), paint(DIM, "LAST EVENTS")]);
        for Event(t, id, kind, reason, message, count) in &self.events {
            let Subject { kind: of, name, .. } = &self.picture.subjects[*id];
            let times = if *count > 1 { format!(" ×{count}") } else { String::new() };
            let line = format!("{:<8} {reason}{times} {}/{name}: {message}", seconds(*t), of.to_lowercase());
            let line = cut(&line.replace('\n', " "), WIDTH);
            lines.push(if kind == "Warning" { paint(YELLOW, line) } else { line });
        }
        lines
    }

    /// Nodes that are not well come first.
    fn nodes(&self) -> Vec<(Style, String)> {
        let mut pods: BTreeMap<usize, usize> = BTreeMap::new();
        for (.., state) in self.picture.all().filter(|(_, subject, _)| subject.kind == "Pod") {
            let over = ["Succeeded", "Failed"].contains(&text(state, "phase"));
            let node = state.get("node").and_then(|node| usize::try_from(node.as_u64()?).ok());
            if let (Some(node), false) = (node, over) {
                *pods.entry(node).or_default() += 1;
            }
        }
        let mut rows: Vec<(u8, Style, String)> = Vec::new();
        for (id, Subject { name, zone, .. }, state) in self.picture.all().filter(|(_, of, _)| of.kind == "Node") {
            let (rank, style, status) = match (ready(state), state.contains_key("cordoned")) {
                (false, _) => (0, RED, "NotReady"),
                (true, true) => (1, YELLOW, "cordoned"),
                (true, false) => (2, Style::new(), "Ready"),
            };
            let count = pods.get(&id).copied().unwrap_or_default().to_string();
            rows.push((rank, style, row(&[(name, 15), (zone, 8), (status, 9), (&count, 5)])));
        }
        shorten(rows, "nodes")
    }

    /// Workloads that are not as they should be come first.
    fn workloads(&self) -> Vec<(Style, String)> {
        let mut rows = Vec::new();
        for (_, Subject { kind, name, owner, .. }, state) in self.picture.all() {
            let short = match (kind.as_str(), owner) {
                ("Deployment", _) => "deploy",
                ("StatefulSet", _) => "sts",
                ("DaemonSet", _) => "ds",
                ("ReplicaSet", None) => "rs",
                ("Job", _) => "job",
                ("HorizontalPodAutoscaler", _) => "hpa",
                _ => continue,
            };
            let number = |field: &str| state.get(field).and_then(|number| number.as_i64()).unwrap_or_default();
            let is = number(match short {
                "hpa" => "now",
                "job" => "succeeded",
                _ => "ready",
            });
            let done = is == number("want");
            let updated =
                if ["deploy", "sts", "ds"].contains(&short) { number("updated").to_string() } else { "".into() };
            let (rank, style) = if done { (1, GREEN) } else { (0, YELLOW) };
            let cells = [number("want").to_string(), is.to_string()];
            let name = format!("{short}/{name}");
            rows.push((rank, style, row(&[(&name, 21), (&cells[0], 5), (&cells[1], 6), (&updated, 4)])));
        }
        shorten(rows, "workloads")
    }
}

/// The first rows by their rank, and how many more there are.
fn shorten(mut rows: Vec<(u8, Style, String)>, what: &str) -> Vec<(Style, String)> {
    rows.sort_by_key(|(rank, ..)| *rank);
    let more = rows.split_off(if rows.len() > ROWS { ROWS - 1 } else { rows.len() });
    let mut shown: Vec<_> = rows.into_iter().map(|(_, style, row)| (style, row)).collect();
    if !more.is_empty() {
        shown.push((DIM, format!("… and {} more {what}", more.len())));
    }
    shown
}

fn row(cells: &[(&str, usize)]) -> String {
    cells.iter().map(|(text, width)| pad(&cut(text, width - 1), *width)).collect::<String>().trim_end().to_string()
}

fn ready(state: &State) -> bool {
    state.get("ready").is_some_and(|ready| *ready == true)
}

fn text<'a>(state: &'a State, field: &str) -> &'a str {
    state.get(field).and_then(|text| text.as_str()).unwrap_or_default()
}

fn seconds(millis: i64) -> String {
    format!("t={}s", millis.div_euclid(1000))
}

/// The beginning of a text, if it is too long.
fn cut(text: &str, width: usize) -> String {
    if display_width(text) <= width {
        return text.into();
    }
    let mut cut = String::new();
    for c in text.chars() {
        if display_width(&cut) + display_width(c.encode_utf8(&mut [0; 4])) >= width {
            break;
        }
        cut.push(c);
    }
    cut + "…"
}

/// The title of a table, in bold up to its first gap.
pub fn title(name: &str, now: i64, end: i64, step: &str) -> String {
    let (minutes, of) = (seconds(now), seconds(end));
    format!("{}  {minutes} of {}  {step}", paint(BOLD, name), &of[2..])
}
