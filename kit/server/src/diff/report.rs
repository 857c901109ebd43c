//! A tree of what is equal and what isn't as text: what changed, with two of its neighbours on either side.

use super::compare::{Form, Node, Of};
use super::text::{Row, Stats, Text, ellipsis};
use serde_json::Value;

/// How many equal fields or items are shown around a change.
const CONTEXT: usize = 2;
/// With so much more detail two texts must differ.
const MOST_DETAIL: i32 = 6;

/// Which side is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Both,
    Identical,
    Old,
    New,
}

/// Whether types are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Types {
    Always,
    Never,
    /// Those with braces, where something changed.
    Some,
}

/// How a tree is told.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub mode: Mode,
    pub types: Types,
    /// The more, the longer lists and texts are.
    pub level: i32,
    pub limited: bool,
    /// Whether values are shown that write themselves otherwise.
    pub raw: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { mode: Mode::Both, types: Types::Always, level: 0, limited: false, raw: false }
    }
}

impl Options {
    pub fn level(&self) -> u32 {
        self.level.clamp(0, 16) as u32
    }

    pub fn with(self, types: Types) -> Options {
        Options { types, ..self }
    }

    fn only(self, mode: Mode) -> Options {
        Options { mode, ..self }
    }

    /// With more detail, as long as two texts are the same.
    fn more(self, step: i32) -> Options {
        Options { level: self.level() as i32 + 2 * step, raw: self.raw || step > 0, ..self }
    }

    /// A node as text.
    pub fn tell(mut self, node: &Node) -> Option<Text> {
        if self.mode == Mode::Identical {
            (self.level, self.limited) = (1, true);
        } else if self.level() < 3 {
            (self.level, self.limited) = (3, true);
        }
        if let Some(text) = self.tell_slices(node) {
            return Some(text);
        }
        if node.depth == 0 {
            return self.tell_leaf(node);
        }
        if let Some(target) = &node.target {
            return self.tell(target).map(|text| Text::wrap("&", text, ""));
        }
        let rows = self.rows(node);
        Some(self.typed(&node.of, Text::braces(rows)))
    }

    fn side(self, node: &Node, old: bool) -> Option<Text> {
        let value = if old { &node.old } else { &node.new };
        value.as_ref().map(|value| self.show(value, &node.of))
    }

    fn tell_leaf(self, node: &Node) -> Option<Text> {
        match self.mode {
            Mode::Old => self.side(node, true),
            Mode::New => self.side(node, false),
            _ if node.changed == 0 => {
                let (old, new) = (self.side(node, true)?, self.side(node, false)?);
                Some(if old.len() < new.len() { old } else { new })
            }
            _ => {
                let bare = self.with(Types::Never);
                let rows = bare.sides("", |options, old| options.side(node, old));
                Some(self.with(Types::Always).typed(&node.of, Text::List(rows)))
            }
        }
    }

    /// Both sides, with as much detail as it takes to see a difference.
    fn sides(self, key: &str, show: impl Fn(Options, bool) -> Option<Text>) -> Vec<Row> {
        let mut pair = (show(self.only(Mode::Old), true), show(self.only(Mode::New), false));
        for step in 0..=MOST_DETAIL {
            if pair.0.is_none() || pair.0 != pair.1 {
                break;
            }
            let more = self.more(step);
            pair = (show(more.only(Mode::Old), true), show(more.only(Mode::New), false));
        }
        let rows = [(pair.0, '-'), (pair.1, '+')];
        rows.into_iter().filter_map(|(text, sign)| text.map(|text| Row::new(Some(sign), key, text))).collect()
    }

    fn rows(mut self, node: &Node) -> Vec<Row> {
        let form = node.of.form();
        let (name, types) = match form {
            Form::Struct(_) => ("field", Types::Some),
            Form::Map(_) => ("entry", Types::Never),
            _ => ("element", Types::Never),
        };
        self.types = types;
        let key = |name: &str| match form {
            Form::Map(_) => key(name, &node.of),
            _ => name.to_string(),
        };
        let most = self.limited.then(|| match self.mode {
            Mode::Identical => ((1 << self.level()) >> 1) << 2,
            _ => (1_usize << self.level()) << 1,
        });
        self.level -= i32::from(self.limited);
        if self.mode != Mode::Both {
            return self.one_side(node, most, &key);
        }
        let mut rows = Vec::new();
        let (mut told, mut left) = (0, Stats { name, ..Stats::default() });
        let groups = groups(name, node);
        let mut parts = node.parts.as_slice();
        for (index, mut stats) in groups.iter().copied().enumerate() {
            if most.is_some_and(|most| told >= most) {
                left = left.with(stats);
                continue;
            }
            let equal = stats.identical;
            if stats.changed() == 0 {
                let low = if index == 0 { 0 } else { CONTEXT.min(equal) };
                let mut high = if index + 1 == groups.len() { 0 } else { CONTEXT.min(equal - low) };
                // One that is left out takes as much room as one that is shown.
                high += usize::from(equal - low - high == 1);
                let show = |parts: &[(String, Node)], rows: &mut Vec<Row>| {
                    for (name, part) in parts {
                        let text = self.only(Mode::Identical).tell(part);
                        rows.extend(text.map(|text| Row::new(None, &key(name), text)));
                    }
                };
                show(&parts[..low], &mut rows);
                if equal > low + high {
                    stats.identical -= low + high;
                    ellipsis(&mut rows, stats);
                }
                show(&parts[equal - high..equal], &mut rows);
                parts = &parts[equal..];
                continue;
            }
            let (changed, rest) = parts.split_at(stats.changed());
            for (name, part) in changed {
                let key = key(name);
                if let Some(text) = self.tell_slices(part) {
                    rows.push(Row::new(None, &key, text));
                } else if part.below == part.depth {
                    rows.extend(self.sides(&key, |options, _| options.tell(part)));
                } else {
                    rows.extend(self.tell(part).map(|text| Row::new(None, &key, text)));
                }
            }
            parts = rest;
            told += changed.len();
        }
        if !left.is_none() {
            ellipsis(&mut rows, left);
        }
        rows
    }

    /// What is there on one side, or is the same on both.
    fn one_side(self, node: &Node, most: Option<usize>, key: &dyn Fn(&str) -> String) -> Vec<Row> {
        let mut rows = Vec::new();
        let is_struct = matches!(node.of.form(), Form::Struct(_));
        for (name, part) in &node.parts {
            if Some(rows.len()) == most {
                ellipsis(&mut rows, Stats::default());
                break;
            }
            let zero = |side: &Option<Value>| side.as_ref().is_some_and(|value| part.of.is_zero(value));
            let empty = match self.mode {
                Mode::Old => zero(&part.old),
                Mode::New => zero(&part.new),
                _ => zero(&part.old) || zero(&part.new),
            };
            if is_struct && empty {
                continue;
            }
            rows.extend(self.tell(part).map(|text| Row::new(None, &key(name), text)));
        }
        rows
    }

    /// With the type before it, where that is said.
    pub fn typed(self, of: &Of, text: Text) -> Text {
        let braces = matches!(of.form(), Form::Struct(_) | Form::Atom | Form::List(_) | Form::Map(_));
        let silent = match self.types {
            Types::Never => true,
            Types::Some => !braces || text == Text::line("nil") || self.mode == Mode::Identical,
            Types::Always => false,
        };
        if silent {
            return text;
        }
        let mut name = of.go();
        if name.starts_with('*') {
            name = format!("({name})");
        }
        let wrapped = matches!(&text, Text::Wrap(before, _, after)
            if (before.starts_with('(') && after.ends_with(')')) || (before.starts_with('{') && after.ends_with('}')));
        Text::wrap(&name, if wrapped { text } else { Text::wrap("(", text, ")") }, "")
    }
}

/// The key of an entry; those of a named type write themselves.
pub fn key(name: &str, of: &Of) -> String {
    let quoted = super::show::quoted(name);
    if of.go() == "core.ResourceList" { format!("s{quoted}") } else { quoted }
}

/// Neighbours that are equal, and neighbours that aren't.
fn groups(name: &'static str, node: &Node) -> Vec<Stats> {
    let mut groups: Vec<Stats> = Vec::new();
    for (_, part) in &node.parts {
        let equal = part.changed == 0;
        if groups.last().is_none_or(|last| (last.changed() == 0) != equal) {
            groups.push(Stats { name, ..Stats::default() });
        }
        let Some(last) = groups.last_mut() else { continue };
        *match (equal, &part.old, &part.new) {
            (true, ..) => &mut last.identical,
            (_, _, None) => &mut last.removed,
            (_, None, _) => &mut last.inserted,
            _ => &mut last.modified,
        } += 1;
    }
    groups
}
