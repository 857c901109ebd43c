//! Plain lines on a terminal of 80 columns, or of as many as there are.

pub use crate::terminal::screen::{BOLD, DIM, GREEN, RED};

use super::item::{Item, JOINT};
use anstyle::Style;
use anyhow::Result;
use std::io::{BufRead, Write};
use textwrap::core::display_width;
use textwrap::{Options, WordSplitter};

/// The columns that everything fits into.
pub const WIDTH: usize = 80;
/// So far are lines from the left.
const MARGIN: usize = 2;
/// Titles are at most so wide; what belongs to longer ones begins below them.
const TITLE: usize = 18;

/// Text in a style.
pub fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A line, broken where the screen ends; what follows begins with so many blanks.
pub fn fill(line: &str, indent: usize) -> Vec<String> {
    if display_width(line) <= WIDTH {
        return vec![line.into()];
    }
    let own = line.len() - line.trim_start_matches(' ').len();
    let (start, blanks) = (" ".repeat(own), " ".repeat(indent));
    let options = Options::new(WIDTH).initial_indent(&start).subsequent_indent(&blanks);
    textwrap::wrap(&line[own..], options.word_splitter(WordSplitter::NoHyphenation))
        .into_iter()
        .map(|line| line.trim_end().to_string())
        .collect()
}

/// What is told before a question, as lines of the screen.
pub fn told(parts: &[(String, Vec<String>)]) -> Vec<String> {
    let titles = parts.iter().map(|(title, _)| display_width(title)).filter(|width| *width <= TITLE);
    let width = titles.max().unwrap_or(0);
    let column = MARGIN + if width > 0 { width + 2 } else { 0 };
    let mut lines = Vec::new();
    for (title, texts) in parts {
        let mut title = format!("{}{title}", " ".repeat(MARGIN));
        for text in texts {
            let gap = " ".repeat(column.saturating_sub(display_width(&title)).max(if title.trim().is_empty() {
                0
            } else {
                2
            }));
            lines.extend(fill(&format!("{title}{gap}{text}"), column + 2));
            title.clear();
        }
        if texts.is_empty() {
            lines.push(title);
        }
    }
    lines
}

/// How many lines of the screen that takes.
pub fn rows(parts: &[(String, Vec<String>)]) -> usize {
    told(parts).len()
}

/// The options, each with its number.
pub fn options(item: &Item) -> Vec<String> {
    let numbered = item.options.iter().enumerate();
    numbered.flat_map(|(at, option)| fill(&format!("    {}) {}", at + 1, option.lines.join(JOINT)), 7)).collect()
}

/// A person at a terminal, or lines that were prepared.
pub struct Screen<'a> {
    /// What is typed.
    pub input: &'a mut dyn BufRead,
    /// Where everything is shown.
    pub out: &'a mut dyn Write,
}

/// What somebody typed.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// A line, without blanks around it.
    Line(String),
    /// Ctrl-D, or `quit`.
    Quit,
}

impl Screen<'_> {
    /// Shows lines.
    ///
    /// # Errors
    ///
    /// If nothing can be shown any more.
    pub fn say(&mut self, lines: impl IntoIterator<Item = impl AsRef<str>>) -> Result<()> {
        lines.into_iter().try_for_each(|line| writeln!(self.out, "{}", line.as_ref()))?;
        Ok(())
    }

    /// Asks for a line.
    ///
    /// # Errors
    ///
    /// If nothing can be read any more.
    pub fn ask(&mut self, prompt: &str) -> Result<Typed> {
        write!(self.out, "{prompt}")?;
        self.out.flush()?;
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            writeln!(self.out)?;
            return Ok(Typed::Quit);
        }
        Ok(match line.trim() {
            "quit" | "q" | "exit" => Typed::Quit,
            line => Typed::Line(line.into()),
        })
    }
}
