//! The screen: plain lines that scroll, and on a terminal a last line that stands still and shows the clock.

use anstyle::{AnsiColor, Style};
use std::io::{IsTerminal, Write};
use textwrap::Options;

/// Right.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// Wrong.
pub const RED: Style = AnsiColor::Red.on_default();
/// Look here.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Less important.
pub const DIM: Style = Style::new().dimmed();
/// More important.
pub const BOLD: Style = Style::new().bold();

/// Where a session is shown.
pub struct Screen {
    out: Box<dyn Write>,
    /// Rows and columns of a terminal.
    size: Option<(u16, u16)>,
    /// What the last line shows.
    clock: String,
    /// Whether the cursor stands behind a prompt.
    prompted: bool,
}

impl Screen {
    /// The terminal, or whatever standard output is.
    pub fn stdout() -> Screen {
        let is_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        let mut screen =
            Screen { out: Box::new(anstream::stdout()), size: None, clock: String::new(), prompted: false };
        if is_terminal {
            screen.fit();
        }
        screen
    }

    /// Anything else, without a clock.
    pub fn plain(out: Box<dyn Write>) -> Screen {
        Screen { out, size: None, clock: String::new(), prompted: false }
    }

    fn columns(&self) -> usize {
        self.size.map_or(80, |(_, columns)| usize::from(columns)).clamp(40, 100)
    }

    /// Text in paragraphs, indented; lines that begin with four spaces stay as they are.
    pub fn say(&mut self, text: &str) {
        self.lines("  ", "  ", text);
    }

    /// Markdown: paragraphs and items are wrapped, code and tables stay as they are.
    pub fn markdown(&mut self, text: &str) {
        let mut paragraph = String::new();
        let mut fenced = false;
        for line in text.trim_end().lines() {
            let plain = line.trim_start();
            let item = plain.split_once(' ').filter(|(mark, _)| {
                ["-", "*"].contains(mark) || mark.strip_suffix('.').is_some_and(|number| number.parse::<u8>().is_ok())
            });
            let fence = plain.starts_with("```");
            let raw = fenced || fence || plain.starts_with('|') || (paragraph.is_empty() && line.starts_with("    "));
            // An item, a heading and an empty line end what stood before; other lines go on with it.
            if raw || item.is_some() || plain.is_empty() || plain.starts_with('#') {
                self.paragraph(&std::mem::take(&mut paragraph));
            }
            fenced ^= fence;
            match plain {
                "" if !fenced => self.blank(),
                _ if fence => {}
                _ if raw => self.raw(&format!("      {line}")),
                heading if heading.starts_with('#') => {
                    let heading = heading.trim_start_matches('#').trim();
                    self.say(&format!("{BOLD}{heading}{BOLD:#}"));
                }
                more if paragraph.is_empty() => paragraph.push_str(more),
                more => {
                    paragraph.push(' ');
                    paragraph.push_str(more);
                }
            }
        }
        self.paragraph(&paragraph);
    }

    fn paragraph(&mut self, text: &str) {
        let item = text.split_once(' ').filter(|(mark, _)| {
            ["-", "*"].contains(mark) || mark.strip_suffix('.').is_some_and(|number| number.parse::<u8>().is_ok())
        });
        match item {
            _ if text.is_empty() => {}
            Some((mark, text)) => self.item(mark, text),
            None => self.say(text),
        }
    }

    /// A title above what follows.
    pub fn title(&mut self, text: &str) {
        self.blank();
        self.lines("  ", "  ", &format!("{BOLD}{text}{BOLD:#}"));
    }

    /// Something small.
    pub fn note(&mut self, text: &str) {
        self.lines("  ", "  ", &format!("{DIM}{text}{DIM:#}"));
    }

    /// Text after a mark or a number, later lines below its beginning.
    pub fn item(&mut self, mark: &str, text: &str) {
        let first = format!("  {mark} ");
        let rest = " ".repeat(textwrap::core::display_width(&first));
        self.lines(&first, &rest, text);
    }

    /// Lines as they are.
    pub fn raw(&mut self, text: &str) {
        self.leave_prompt();
        text.lines().for_each(|line| _ = writeln!(self.out, "{line}"));
    }

    /// An empty line.
    pub fn blank(&mut self) {
        self.leave_prompt();
        _ = writeln!(self.out);
    }

    /// Whoever typed something has left the prompt; lines that came from a file are shown as if they had been typed.
    pub fn typed(&mut self, echo: Option<&str>) {
        if let Some(line) = echo {
            _ = writeln!(self.out, "{line}");
        }
        self.prompted = false;
    }

    fn leave_prompt(&mut self) {
        if std::mem::take(&mut self.prompted) {
            _ = writeln!(self.out);
        }
    }

    fn lines(&mut self, first: &str, rest: &str, text: &str) {
        self.leave_prompt();
        let columns = self.columns();
        let mut indent = first;
        for line in text.trim_end().lines() {
            if line.starts_with("    ") || line.is_empty() {
                _ = writeln!(self.out, "{}", if line.is_empty() { String::new() } else { format!("{rest}{line}") });
            } else {
                let options = Options::new(columns).initial_indent(indent).subsequent_indent(rest);
                textwrap::wrap(line, options).iter().for_each(|line| _ = writeln!(self.out, "{line}"));
            }
            indent = rest;
        }
    }

    /// What stands before the place where somebody types.
    pub fn prompt(&mut self, text: &str) {
        self.leave_prompt();
        self.prompted = true;
        _ = write!(self.out, "  {text} > ");
        _ = self.out.flush();
    }

    /// Shows the clock in the last line.
    pub fn clock(&mut self, text: &str) {
        if self.size.is_none() || self.clock == text {
            return;
        }
        self.clock = text.into();
        self.fit();
        if let Some((rows, columns)) = self.size {
            let shown: String = text.chars().take(usize::from(columns)).collect();
            // Save the cursor, go to the last row, empty it, write, and go back.
            _ = write!(self.out, "\x1b7\x1b[{rows};1H\x1b[2K\x1b[7m{shown}\x1b[0m\x1b8");
            _ = self.out.flush();
        }
    }

    /// Keeps the last row out of what scrolls, also after the window was resized.
    fn fit(&mut self) {
        let Ok(size) = rustix::termios::tcgetwinsize(std::io::stdout()) else { return };
        let size = (size.ws_row, size.ws_col);
        if size.0 < 5 || self.size == Some(size) {
            return;
        }
        // Make room, so that nothing is written over; then the region that scrolls is all but the last row.
        _ = write!(self.out, "\n\x1b7\x1b[1;{}r\x1b8\x1b[1A", size.0 - 1);
        _ = self.out.flush();
        self.size = Some(size);
    }

    /// Lets the whole terminal scroll again: for another program, or at the end.
    pub fn release(&mut self) {
        if let Some((rows, _)) = self.size.take() {
            _ = write!(self.out, "\x1b7\x1b[{rows};1H\x1b[2K\x1b[r\x1b8");
            _ = self.out.flush();
            self.clock.clear();
        }
    }

    /// Takes the last line back after [`Screen::release`].
    pub fn take(&mut self) {
        if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
            self.fit();
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.release();
    }
}

/// Minutes and seconds.
pub fn time(ms: i64) -> String {
    let seconds = (ms + 999) / 1000;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}
