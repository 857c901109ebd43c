//! Text in braces that stands on one line where it can, and field by field below each other where it can't.

/// go-cmp's messages are not meant to be parsed, and it says so with this kind of blank.
const BLANK: char = '\u{a0}';
/// Longer lines of what came or went are broken.
const WIDTH: usize = 80;

/// A piece of text.
#[derive(Debug, Clone, PartialEq)]
pub enum Text {
    Line(String),
    /// Something between two pieces.
    Wrap(String, Box<Text>, &'static str),
    List(Vec<Row>),
}

/// A line of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// `-` or `+` for what went or came.
    pub sign: Option<char>,
    pub key: String,
    pub text: Text,
    /// Whether no comma follows.
    pub bare: bool,
    /// What was left out.
    pub stats: Option<Stats>,
}

impl Row {
    pub fn new(sign: Option<char>, key: &str, text: Text) -> Row {
        Row { sign, key: key.into(), text, bare: false, stats: None }
    }

    /// A line as it is.
    pub fn bare(sign: Option<char>, text: &str) -> Row {
        Row { bare: true, ..Row::new(sign, "", Text::line(text)) }
    }
}

/// What lies beside each other: equal, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    pub name: &'static str,
    pub identical: usize,
    pub removed: usize,
    pub inserted: usize,
    pub modified: usize,
}

impl Stats {
    pub fn changed(&self) -> usize {
        self.removed + self.inserted + self.modified
    }

    pub fn is_none(&self) -> bool {
        self.identical + self.changed() == 0
    }

    pub fn with(self, other: Stats) -> Stats {
        Stats {
            name: self.name,
            identical: self.identical + other.identical,
            removed: self.removed + other.removed,
            inserted: self.inserted + other.inserted,
            modified: self.modified + other.modified,
        }
    }

    fn say(&self) -> String {
        let counts = [
            (self.identical, "identical"),
            (self.removed, "removed"),
            (self.inserted, "inserted"),
            (self.modified, "modified"),
        ];
        let said: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let name = match (self.identical + self.changed() > 1, self.name) {
            (false, name) => name.to_string(),
            (true, "entry") => "entries".into(),
            (true, name) => format!("{name}s"),
        };
        match said.as_slice() {
            [all @ .., last] if all.len() > 1 => format!("{}, and {last} {name}", all.join(", ")),
            all => format!("{} {name}", all.join(" and ")),
        }
    }
}

/// Says at the end of a list that something was left out.
pub fn ellipsis(rows: &mut Vec<Row>, stats: Stats) {
    match rows.last_mut() {
        Some(Row { text, stats: Some(last), .. }) if *text == Text::line("...") => *last = last.with(stats),
        Some(Row { text, .. }) if *text == Text::line("...") => {}
        _ => rows.push(Row { stats: Some(stats).filter(|stats| !stats.is_none()), ..Row::bare(None, "...") }),
    }
}

fn indent(text: &mut String, sign: Option<char>, depth: usize) {
    text.push(sign.unwrap_or(BLANK));
    text.push(BLANK);
    text.extend(std::iter::repeat_n('\t', depth));
}

impl Text {
    pub fn line(text: &str) -> Text {
        Text::Line(text.into())
    }

    pub fn braces(rows: Vec<Row>) -> Text {
        Text::Wrap("{".into(), Box::new(Text::List(rows)), "}")
    }

    pub fn wrap(before: &str, text: Text, after: &'static str) -> Text {
        Text::Wrap(before.into(), Box::new(text), after)
    }

    /// How long it is on one line.
    pub fn len(&self) -> usize {
        match self {
            Text::Line(text) => text.len(),
            Text::Wrap(before, text, after) => before.len() + text.len() + after.len(),
            Text::List(rows) => {
                let one = |row: &Row| row.text.len() + if row.key.is_empty() { 0 } else { row.key.len() + 2 };
                rows.iter().map(one).sum::<usize>() + 2 * rows.len().saturating_sub(1)
            }
        }
    }

    /// The whole text.
    pub fn render(self) -> String {
        let mut text = String::new();
        indent(&mut text, None, 0);
        self.compact(None).1.expand(&mut text, None, 0);
        text.push('\n');
        text
    }

    /// On one line; and as it is to be shown, with all that fits on one line made one.
    fn compact(self, sign: Option<char>) -> (String, Text) {
        match self {
            Text::Line(text) => (text.clone(), Text::Line(text)),
            Text::Wrap(before, inner, after) => {
                let (line, inner) = inner.compact(sign);
                let line = format!("{before}{line}{after}");
                match inner {
                    Text::Line(_) => (line.clone(), Text::Line(line)),
                    inner => (line, Text::Wrap(before, Box::new(inner), after)),
                }
            }
            Text::List(mut rows) => {
                let mut line = String::new();
                let mut broken = false;
                let count = rows.len();
                for (index, row) in rows.iter_mut().enumerate() {
                    if !row.key.is_empty() {
                        line += &format!("{}: ", row.key);
                    }
                    let inner = std::mem::replace(&mut row.text, Text::line(""));
                    let (part, inner) = inner.compact(row.sign.or(sign));
                    line += &part;
                    broken |= row.sign.is_some() || row.stats.is_some() || !matches!(inner, Text::Line(_));
                    row.text = inner;
                    if index + 1 < count {
                        line += ", ";
                    }
                }
                broken |= sign.is_some() && line.len() > WIDTH;
                match broken {
                    true => (line, Text::List(rows)),
                    false => (line.clone(), Text::Line(line)),
                }
            }
        }
    }

    fn expand(&self, to: &mut String, sign: Option<char>, depth: usize) {
        match self {
            Text::Line(text) => to.push_str(text),
            Text::Wrap(before, text, after) => {
                to.push_str(before);
                text.expand(to, sign, depth);
                to.push_str(after);
            }
            Text::List(rows) => expand(rows, to, sign, depth),
        }
    }
}

fn expand(rows: &[Row], to: &mut String, sign: Option<char>, depth: usize) {
    let break_line = |to: &mut String, sign, depth| {
        to.push('\n');
        indent(to, sign, depth);
    };
    let simple = |row: &Row| match &row.text {
        Text::Line(line) if row.sign.is_none() && row.key.is_empty() && row.stats.is_none() => Some(line.clone()),
        _ => None,
    };
    if let Some(lines) = rows.iter().map(simple).collect::<Option<Vec<String>>>().filter(|lines| !lines.is_empty()) {
        let mut batch = String::new();
        for line in lines {
            if batch.len() + line.len() + 2 > WIDTH && !batch.is_empty() {
                break_line(to, sign, depth + 1);
                *to += std::mem::take(&mut batch).trim_end_matches(' ');
            }
            batch += &format!("{line}, ");
        }
        break_line(to, sign, depth + 1);
        *to += batch.trim_end_matches(' ');
        return break_line(to, sign, depth);
    }
    let pads = align(rows);
    for (row, pad) in rows.iter().zip(pads) {
        let sign = row.sign.or(sign);
        break_line(to, sign, depth + 1);
        if !row.key.is_empty() {
            *to += &format!("{}: ", row.key);
        }
        to.extend(std::iter::repeat_n(' ', pad));
        row.text.expand(to, sign, depth + 1);
        if !row.bare {
            to.push(',');
        }
        if let Some(stats) = &row.stats {
            *to += &format!(" // {}", stats.say());
        }
    }
    break_line(to, sign, depth);
}

/// How many blanks follow each key, so that the values of neighbours stand in one column.
fn align(rows: &[Row]) -> Vec<usize> {
    let mut pads = vec![0; rows.len()];
    let mut start = 0;
    let beside = |row: &Row| !row.key.is_empty() && matches!(row.text, Text::Line(_));
    while start < rows.len() {
        let run = rows[start..].iter().take_while(|row| beside(row)).count();
        let width = |row: &Row| row.key.chars().count();
        let widest = rows[start..start + run].iter().map(width).max().unwrap_or_default();
        for index in start..start + run {
            pads[index] = widest - width(&rows[index]);
        }
        start += run + 1;
    }
    pads
}
