//! One value as text, and texts and lists of numbers that changed only in part.

use super::super::field::quoted as quote;
use super::super::schema::Type;
use super::compare::{Form, Node, Of, quantity, scalar};
use super::edits::{Edit, edits};
use super::report::{Mode, Options, Types, key};
use super::text::{Row, Stats, Text, ellipsis};
use serde_json::Value;

/// Shorter texts are shown whole.
const LONG: usize = 32;

/// A text in quotes, or in others if that spares signs before signs.
pub fn quoted(text: &str) -> String {
    let quoted = quote(text);
    let plain = |c: char| c != '`' && c != '\n' && (!c.is_control() || c == '\t');
    if quoted.len() == text.len() + 2 || !text.chars().all(plain) { quoted } else { format!("`{text}`") }
}

/// How a selector writes itself (`generated.pb.go` of `meta/v1`).
fn selector(value: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let mut labels: Vec<String> = value["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}: {},", text(value)))
        .collect();
    labels.sort();
    let requirements = value["matchExpressions"].as_array().into_iter().flatten().map(|one| {
        let values: Vec<String> = one["values"].as_array().into_iter().flatten().map(text).collect();
        let (key, operator) = (text(&one["key"]), text(&one["operator"]));
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{}],}},", values.join(" "))
    });
    let (labels, requirements) = (labels.concat(), requirements.collect::<String>());
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},\
         MatchExpressions:[]LabelSelectorRequirement{{{requirements}}},}}"
    )
}

/// What a value behind a pointer writes of itself.
fn said(value: &Value, of: &Of) -> Option<String> {
    let Of::Type(of) = of else { return None };
    match of {
        Type::Quantity | Type::Time | Type::MicroTime => value.as_str().map(str::to_string),
        Type::IntOrString => Some(value.as_str().map_or_else(|| value.to_string(), str::to_string)),
        _ if of.go() == "v1.LabelSelector" => Some(selector(value)),
        _ => None,
    }
}

impl Options {
    /// A value of a type.
    pub fn show(self, value: &Value, of: &Of) -> Text {
        let all = |most: usize, level: u32, limited: bool| if limited { ((1 << level) >> 1) << 2 } else { most };
        match (of.form(), value) {
            (Form::Pointer(_) | Form::List(_) | Form::Map(_), Value::Null) => self.typed(of, Text::line("nil")),
            (Form::Pointer(to), _) => match said(value, &to).filter(|_| !self.raw) {
                Some(text) => self.text("s", &text),
                None => Text::wrap("&", self.show(value, &to), ""),
            },
            (Form::Atom, _) => match of {
                Of::Type(Type::Quantity) => {
                    let (of, value) = quantity(value);
                    self.show(&value, &of)
                }
                _ => self.text("s", value.as_str().unwrap_or_default()),
            },
            (Form::Struct(members), _) => {
                let most = all(members.len(), self.level(), self.limited);
                let inner = Options { level: self.level - i32::from(self.limited), ..self };
                let mut rows = Vec::new();
                for member in members {
                    let value = member.of(of, value);
                    if member.typed().is_zero(&value) {
                        continue;
                    }
                    if rows.len() == most {
                        ellipsis(&mut rows, Stats::default());
                        break;
                    }
                    let text = inner.with(Types::Some).show(&value, member.typed());
                    rows.push(Row::new(None, &member.name, text));
                }
                self.typed(of, Text::braces(rows))
            }
            (Form::List(item), Value::Array(items)) => {
                let most = all(items.len(), self.level(), self.limited);
                let inner = Options { level: self.level - i32::from(self.limited), types: Types::Never, ..self };
                let shown = items.iter().take(most).map(|value| Row::new(None, "", inner.show(value, &item)));
                let mut rows: Vec<Row> = shown.collect();
                if items.len() > most {
                    ellipsis(&mut rows, Stats::default());
                }
                self.typed(of, Text::braces(rows))
            }
            (Form::Map(item), Value::Object(entries)) => {
                let most = all(entries.len(), self.level(), self.limited);
                let inner = Options { level: self.level - i32::from(self.limited), types: Types::Never, ..self };
                let mut names: Vec<&String> = entries.keys().collect();
                names.sort();
                let shown = names.iter().take(most);
                let shown = shown.map(|name| Row::new(None, &key(name, of), inner.show(&entries[*name], &item)));
                let mut rows: Vec<Row> = shown.collect();
                if entries.len() > most {
                    ellipsis(&mut rows, Stats::default());
                }
                self.typed(of, Text::braces(rows))
            }
            _ => {
                let value = scalar(value, of);
                match &value {
                    Value::String(text) if of.go() == "core.ResourceName" => self.text("s", text),
                    Value::String(text) => {
                        let text = self.text("", text);
                        self.typed(of, text)
                    }
                    other => self.typed(of, Text::Line(other.to_string())),
                }
            }
        }
    }

    /// A text, cut where it is too long; texts of many lines stand between three quotes.
    fn text(self, prefix: &str, text: &str) -> Text {
        let (most, lines) = match self.limited {
            true => ((1 << self.level()) << 5, (1 << self.level()) << 2),
            false => (text.len(), text.matches('\n').count() + 1),
        };
        let sign = match self.mode {
            Mode::Old => Some('-'),
            Mode::New => Some('+'),
            _ => None,
        };
        let split: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).split('\n').collect();
        let fits = |line: &&str| is_free(line.strip_prefix(prefix).unwrap_or(line), line) && line.len() <= most;
        if let Some(sign) = sign.filter(|_| split.len() >= 4 && split.iter().all(fits)) {
            let bare = |text: &str| Row::bare(Some(sign), text);
            let quotes = format!("{prefix}\"\"\"");
            let mut rows = vec![bare(&quotes)];
            rows.extend(split.iter().take(lines).map(|line| bare(line)));
            rows.push(bare(&quotes));
            return Text::wrap("(", Text::List(rows), ")");
        }
        let cut = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        match text.len() > most + 3 {
            true => Text::Line(format!("{prefix}{}...", quoted(&text[..cut]))),
            false => Text::Line(format!("{prefix}{}", quoted(text))),
        }
    }

    /// Long texts and lists of numbers item by item; nothing if a node is told in another way.
    pub fn tell_slices(self, node: &Node) -> Option<Text> {
        let (Some(old), Some(new)) = (&node.old, &node.new) else { return None };
        if self.mode != Mode::Both || node.changed == 0 || node.by_method > 1 {
            return None;
        }
        match (old, new, node.of.form()) {
            (Value::String(old), Value::String(new), Form::Scalar) if old.len() >= LONG && new.len() >= LONG => {
                Some(self.tell_texts(old, new, &node.of))
            }
            (Value::Array(old), Value::Array(new), Form::List(item)) => {
                let Of::Type(item) = item else { return None };
                let name = match item.plain() {
                    Type::Int32 => "int32",
                    Type::Int64 => "int64",
                    Type::Bool => "bool",
                    _ => return None,
                };
                let whole = !old.is_empty() && !new.is_empty();
                let long = old.len() >= LONG && new.len() >= LONG;
                if matches!(item, Type::Pointer(_)) || !whole || (node.changed <= node.same && !long) {
                    return None;
                }
                let shown = |items: &[Value]| items.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
                let size = if name == "bool" { 16 } else { 8 };
                let rows = self.slices(old, new, size, name, &shown);
                Some(self.typed(&node.of, Text::braces(rows)))
            }
            _ => None,
        }
    }

    fn tell_texts(self, old: &str, new: &str, of: &Of) -> Text {
        let named = |text: Text| if of.go() == "string" { text } else { self.typed(of, text) };
        let (x, y): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
        let both = format!("{old}{new}");
        let breaks = both.matches('\n').count();
        let printed = both.chars().all(|c| !c.is_control() || c.is_whitespace());
        let mut by_line = printed && breaks >= 4 && both.split('\n').all(|line| line.len() <= 1024);
        if by_line {
            let cost =
                |edits: &[Edit]| edits.iter().filter(|edit| **edit != Edit::Same).count() as f64 / edits.len() as f64;
            let same = |same: bool| if same { (1, 0) } else { (0, 2) };
            let (a, b) = (old.as_bytes(), new.as_bytes());
            let lines = cost(&edits(x.len(), y.len(), |i, j| same(x[i] == y[j])));
            let bytes = cost(&edits(a.len(), b.len(), |i, j| same(a[i] == b[j])));
            by_line = lines < 4.0 * bytes || quote(&both).len() as f64 / both.len() as f64 > 1.1;
        }
        if !by_line {
            let shown = |bytes: &[u8]| quoted(&String::from_utf8_lossy(bytes));
            let rows = self.slices(old.as_bytes(), new.as_bytes(), 64, "byte", &shown);
            return named(Text::wrap("strings.Join(", Text::braces(rows), ", \"\")"));
        }
        let rows = self.slices(&x, &y, 1, "line", &|lines| lines.concat());
        let left_out = |row: &Row| row.stats.is_some();
        let free = |row: &Row| left_out(row) || matches!(&row.text, Text::Line(line) if is_free(line, line));
        if rows.iter().all(free) && !only_blanks_differ(&rows) {
            let quotes = || Row::bare(None, "\"\"\"");
            let mut inner = vec![quotes()];
            inner.extend(rows.into_iter().map(|row| Row { bare: true, ..row }));
            inner.pop_if(|row| row.sign.is_none() && row.text == Text::line(""));
            inner.push(quotes());
            return named(Text::wrap("(", Text::List(inner), ")"));
        }
        let quote_row = |row: Row| match (row.stats, row.text) {
            (None, Text::Line(line)) => {
                Row { text: Text::Line(quoted(&line)), ..Row::new(row.sign, "", Text::line("")) }
            }
            (stats, text) => Row { stats, text, ..Row::bare(None, "") },
        };
        let rows = rows.into_iter().map(quote_row).collect();
        named(Text::wrap("strings.Join(", Text::braces(rows), ", \"\\n\")"))
    }

    /// Two rows of items in pieces of a size.
    fn slices<T: PartialEq>(
        self,
        mut old: &[T],
        mut new: &[T],
        size: usize,
        name: &'static str,
        show: &dyn Fn(&[T]) -> String,
    ) -> Vec<Row> {
        let most = self.limited.then(|| (1_usize << self.level()) << 2);
        let groups = gather(name, old, new, size / 4);
        let mut rows: Vec<Row> = Vec::new();
        let push = |rows: &mut Vec<Row>, items: &[T], sign: Option<char>| {
            rows.extend(items.chunks(size).map(|items| Row::new(sign, "", Text::Line(show(items)))));
        };
        let (mut told, mut left) = (0, Stats { name, ..Stats::default() });
        let count = groups.len();
        for (index, mut stats) in groups.into_iter().enumerate() {
            if most.is_some_and(|most| told >= most) {
                left = left.with(stats);
                continue;
            }
            let equal = stats.identical;
            if stats.changed() == 0 {
                let low = if index == 0 { 0 } else { (2 * size).min(equal) };
                let mut high = if index + 1 == count { 0 } else { (2 * size).min(equal - low) };
                if equal - low - high <= size {
                    high = equal - low;
                }
                push(&mut rows, &old[..low], None);
                if equal > low + high {
                    stats.identical -= low + high;
                    ellipsis(&mut rows, stats);
                }
                push(&mut rows, &old[equal - high..equal], None);
                (old, new) = (&old[equal..], &new[equal..]);
                continue;
            }
            let before = rows.len();
            let (gone, come) = (equal + stats.removed + stats.modified, equal + stats.inserted + stats.modified);
            push(&mut rows, &old[..gone], Some('-'));
            push(&mut rows, &new[..come], Some('+'));
            (old, new) = (&old[gone..], &new[come..]);
            told += rows.len() - before;
        }
        if !left.is_none() {
            ellipsis(&mut rows, left);
        }
        rows
    }
}

/// Whether a line can stand between three quotes.
fn is_free(start: &str, line: &str) -> bool {
    !start.starts_with("\"\"\"") && !line.starts_with("...") && line.chars().all(|c| !c.is_control() || c == '\t')
}

/// Whether what went and what came beside it looks the same.
fn only_blanks_differ(rows: &[Row]) -> bool {
    let plain = |row: &Row| match &row.text {
        Text::Line(line) => line.chars().filter(|c| !c.is_whitespace()).collect::<String>(),
        _ => String::new(),
    };
    rows.split(|row| row.sign.is_none()).any(|near| {
        let of = |sign| near.iter().filter(move |row| row.sign == Some(sign)).map(plain);
        of('-').any(|gone| of('+').any(|come| come == gone))
    })
}

/// Neighbours that are equal and neighbours that aren't, where few equal ones between others count as changed.
fn gather<T: PartialEq>(name: &'static str, old: &[T], new: &[T], window: usize) -> Vec<Stats> {
    let none = Stats { name, ..Stats::default() };
    let mut groups: Vec<Stats> = Vec::new();
    for edit in edits(old.len(), new.len(), |x, y| if old[x] == new[y] { (1, 0) } else { (0, 2) }) {
        let equal = edit == Edit::Same;
        if groups.last().is_none_or(|last| (last.changed() == 0) != equal) {
            groups.push(none);
        }
        let Some(last) = groups.last_mut() else { continue };
        *match edit {
            Edit::Same => &mut last.identical,
            Edit::Gone => &mut last.removed,
            Edit::Come => &mut last.inserted,
            Edit::Changed => &mut last.modified,
        } += 1;
    }
    let mut joined: Vec<Stats> = Vec::new();
    for next in groups {
        if let [.., before, equal] = joined.as_mut_slice() {
            let gone = before.removed > 0 || next.removed > 0;
            let come = before.inserted > 0 || next.inserted > 0;
            if next.changed() > 0 && gone && come && equal.identical <= window {
                *before = before.with(*equal).with(next);
                joined.pop();
                continue;
            }
        }
        joined.push(next);
    }
    // What is equal at the ends of a group goes to its neighbours.
    let (mut x, mut y) = (0, 0);
    let mut ends = (0, 0);
    for index in 0..joined.len() {
        let group = joined[index];
        if group.changed() == 0 {
            (x, y) = (x + group.identical, y + group.identical);
            continue;
        }
        let mut gone = group.identical + group.removed + group.modified;
        let mut come = group.identical + group.inserted + group.modified;
        let most = gone.min(come);
        let first = (0..most).take_while(|at| old[x + at] == new[y + at]).count();
        let last = (0..most).take_while(|at| old[x + gone - 1 - at] == new[y + come - 1 - at]).count();
        if first + last > 0 {
            *if index > 0 { &mut joined[index - 1].identical } else { &mut ends.0 } += first;
            (x, y) = (x + first, y + first);
            *if index + 1 < joined.len() { &mut joined[index + 1].identical } else { &mut ends.1 } += last;
            (gone, come) = (gone.saturating_sub(first + last), come.saturating_sub(first + last));
            joined[index] = Stats { removed: gone, inserted: come, ..none };
        }
        (x, y) = (x + gone, y + come);
    }
    if ends.0 > 0 {
        joined.insert(0, Stats { identical: ends.0, ..none });
    }
    if ends.1 > 0 {
        joined.push(Stats { identical: ends.1, ..none });
    }
    joined
}
