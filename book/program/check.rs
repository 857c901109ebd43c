//! Everything that a reader could trip over, as complaints with a file, a line and what to do.

use crate::page::{Page, Piece};
use crate::quiz;
use crate::read;
use crate::render::{Chapter, Contents};
use crate::source::{Block, Part, Source};
use anyhow::Result;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};

/// The subcommands that the book may tell a reader to type.
const COMMANDS: [(&str, &[&str]); 2] = [
    (
        "cargo grade ",
        &[
            "list",
            "run",
            "watch",
            "hint",
            "solution",
            "diff",
            "reset",
            "merge",
            "schema",
            "new",
            "bless",
            "check",
            "conformance",
            "mutants",
            "cluster",
            "explain",
            "play",
            "interview",
            "practice",
        ],
    ),
    ("cargo book ", &["build", "serve", "test"]),
];

/// The folders at the top of the repository: a path that begins with one of them is a promise.
const ROOMS: [&str; 6] = ["kit", "exercises", "solutions", "grader", "book", "tests"];

/// What each chapter of an exercise has, in this order.
const SECTIONS: [&str; 6] = [
    "The interview question",
    "How it works",
    "What goes wrong in production",
    "In the exercise",
    "Follow-up questions",
    "Sources",
];

/// Elements that have no end tag.
const VOID: [&str; 8] = ["area", "br", "col", "hr", "img", "input", "source", "wbr"];

/// Something that a reader could trip over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// Relative to the workspace.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    pub what: String,
    /// What to do about it.
    pub advice: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}\n      {}", self.file.display(), self.line, self.what, self.advice)
    }
}

/// Looks through the book of the workspace `root`, which was rendered into `dest`.
pub fn check(root: &Path, dest: &Path, contents: &Contents) -> Result<Vec<Complaint>> {
    let mut pages = BTreeMap::new();
    for chapter in contents.written() {
        let path = chapter.path.with_extension("html");
        pages.insert(path.clone(), Page::of(&read(&dest.join(path))?));
    }
    let mut complaints = Vec::new();
    let book = Book { root, dest, pages: &pages };
    book.summary(contents, &mut complaints);
    book.names(contents, &mut complaints)?;
    book.questions(&mut complaints)?;
    for chapter in contents.written() {
        let file = Path::new("book/src").join(&chapter.path);
        let source = Source::of(&read(&root.join(&file))?);
        let mut found = Found { file, complaints: &mut complaints };
        book.links(chapter, &source, &mut found);
        book.includes(&source, &mut found);
        book.paths(&source, &mut found);
        elements(&source, &mut found);
        commands(&source, &mut found);
        rust_blocks(&source, &mut found);
        if let Some(exercise) = book.exercise_of(chapter) {
            sections(&exercise, &source, &mut found);
            book.scenarios(&exercise, &pages[&chapter.path.with_extension("html")], &mut complaints)?;
        }
    }
    complaints.sort();
    complaints.dedup();
    Ok(complaints)
}

/// The complaints about one file.
struct Found<'a> {
    file: PathBuf,
    complaints: &'a mut Vec<Complaint>,
}

impl Found<'_> {
    fn at(&mut self, line: usize, what: impl Into<String>, advice: impl Into<String>) {
        self.complaints.push(Complaint { file: self.file.clone(), line, what: what.into(), advice: advice.into() });
    }
}

struct Book<'a> {
    root: &'a Path,
    dest: &'a Path,
    pages: &'a BTreeMap<PathBuf, Page>,
}

impl Book<'_> {
    /// The name of the exercise that a chapter explains.
    fn exercise_of(&self, chapter: &Chapter) -> Option<String> {
        let name = chapter.path.with_extension("").to_string_lossy().into_owned();
        self.root.join(format!("exercises/{name}.rs")).is_file().then_some(name)
    }

    /// The table of contents, the files and the exercises agree.
    fn summary(&self, contents: &Contents, complaints: &mut Vec<Complaint>) {
        let src = self.root.join("book/src");
        let mut found = Found { file: "book/src/SUMMARY.md".into(), complaints };
        for chapter in contents.missing() {
            let what = format!("the chapter {} is not written", chapter.path.display());
            found.at(chapter.line, what, "Write it, or take the line out.");
        }
        let listed = |path: &Path| contents.0.iter().any(|c| c.path == path);
        for path in files_below(&src, "md").iter().filter_map(|f| f.strip_prefix(&src).ok()) {
            if path != Path::new("SUMMARY.md") && !listed(path) {
                let what = format!("{} is in no line of the table of contents", path.display());
                found.at(1, what, "Nobody can reach it: add a line, or remove the file.");
            }
        }
        let exercises = self.root.join("exercises");
        for file in files_below(&exercises, "rs").iter().filter_map(|f| f.strip_prefix(&exercises).ok()) {
            let chapter = file.with_extension("md");
            if file.components().count() == 2 && !listed(&chapter) {
                let what = format!("the exercise exercises/{} has no chapter", file.display());
                found.at(1, what, format!("Write book/src/{0} and add a line for {0}.", chapter.display()));
            }
        }
    }

    /// Links lead somewhere, and pictures say something.
    fn links(&self, chapter: &Chapter, source: &Source, found: &mut Found<'_>) {
        let here = chapter.path.with_extension("html");
        let page = &self.pages[&here];
        for link in &page.links {
            if let Some((what, advice)) = self.broken(&here, link) {
                for line in source.lines_of(link) {
                    found.at(line, &what, advice);
                }
            }
        }
        for silent in &page.silent {
            let what = if silent == "<svg" { "a drawing without a name" } else { "an image without alternative text" };
            let line = source.text.lines().position(|l| l.contains(silent.as_str())).map_or(1, |i| i + 1);
            let advice = "Say what it shows: ![text](file), or <svg role=\"img\" aria-label=\"text\">.";
            found.at(line, what, advice);
        }
    }

    /// What is wrong with a link on the page `here`, and what to do.
    fn broken(&self, here: &Path, link: &str) -> Option<(String, &'static str)> {
        if let Some((scheme, rest)) = link.split_once(':')
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+')
        {
            return match scheme {
                "https" if is_web_address(rest) => None,
                "https" => Some((format!("{link} is not an address"), "Write https://host/path without blanks.")),
                _ => Some((format!("{link} is not https"), "Link to an https address.")),
            };
        }
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() { here.to_path_buf() } else { here.parent()?.join(percent_decoded(path)) };
        let Some(target) = normalized(&target).filter(|t| self.dest.join(t).is_file()) else {
            let from_source = self.root.join("book/src").join(here.parent()?).join(path);
            return Some(match from_source.exists() || from_source.with_extension("md").exists() {
                true if !path.ends_with(".html") => (
                    format!("{link} is a file of the repository and not of the book"),
                    "The rendered book can't reach it: write its path from the top as `code`.",
                ),
                true => (format!("{link} is a chapter that SUMMARY.md does not list"), "List it there."),
                false => (format!("{link} leads nowhere"), "Link to a chapter as ../folder/file.md#heading."),
            });
        };
        let page = self.pages.get(&target)?;
        if anchor.is_empty() || page.ids.contains(&percent_decoded(anchor)) {
            return None;
        }
        let what = format!("{link}: that chapter has no heading #{anchor}");
        Some((what, "An anchor is the heading in lower case, with - for blanks."))
    }

    /// mdBook renders nothing for an anchor that does not exist, and says nothing.
    fn includes(&self, source: &Source, found: &mut Found<'_>) {
        let dir = self.root.join(&found.file);
        let dir = dir.parent().unwrap_or(self.root).to_path_buf();
        for include in &source.includes {
            let name = &include.file;
            let Ok(text) = read(&dir.join(name)) else {
                found.at(include.line, format!("the included file {name} does not exist"), "Correct the path.");
                continue;
            };
            match &include.part {
                Part::All => {}
                Part::Lines(last) => {
                    let n = text.lines().count();
                    if *last > n {
                        let what = format!("line {last} of {name} is included, which has {n}");
                        found.at(include.line, what, "Include an anchor: line numbers change.");
                    }
                }
                Part::Anchor(anchor) => {
                    for mark in ["ANCHOR", "ANCHOR_END"] {
                        if !has_mark(&text, mark, anchor) {
                            let what = format!("{name} has no {mark}: {anchor}");
                            found.at(
                                include.line,
                                what,
                                format!("Add `// {mark}: {anchor}` to it, or correct the name."),
                            );
                        }
                    }
                }
            }
        }
    }

    /// A path in `code` that begins with a room of the repository must be there.
    fn paths(&self, source: &Source, found: &mut Found<'_>) {
        for (line, span) in &source.spans {
            let is_path = span.split_once('/').is_some_and(|(room, _)| ROOMS.contains(&room))
                && span.chars().all(|c| c.is_ascii_alphanumeric() || "/._-#".contains(c));
            let path = span.split('#').next().unwrap_or(span);
            if is_path && !self.root.join(path).exists() {
                found.at(
                    *line,
                    format!("there is no {path}"),
                    "Correct the path; write <name> for a part that varies.",
                );
            }
        }
    }

    /// Where a failing scenario says that its reason can be read.
    fn scenarios(&self, exercise: &str, page: &Page, complaints: &mut Vec<Complaint>) -> Result<()> {
        let dir = Path::new("tests/scenarios").join(exercise);
        for file in files_below(&self.root.join(&dir), "yaml") {
            self.reads(&file, "read:", exercise, page, complaints)?;
        }
        Ok(())
    }

    /// Each file of questions is the quiz of a chapter, and says where in it their answers are explained.
    fn questions(&self, complaints: &mut Vec<Complaint>) -> Result<()> {
        for (name, file) in quiz::files(self.root) {
            match self.pages.get(&Path::new(&name).with_extension("html")) {
                Some(page) if page.ids.contains(quiz::ANCHOR) => {
                    self.reads(&file, "  read:", &name, page, complaints)?
                }
                _ => {
                    let mut found = Found { file: self.relative(&file), complaints };
                    let what = format!("no reader sees these questions: there is no chapter {name}");
                    found.at(1, what, "Name the file as the chapter is named in SUMMARY.md.");
                }
            }
        }
        Ok(())
    }

    /// The headings that the lines with `key` of a file name are headings of a chapter.
    fn reads(&self, file: &Path, key: &str, chapter: &str, page: &Page, complaints: &mut Vec<Complaint>) -> Result<()> {
        let mut found = Found { file: self.relative(file), complaints };
        for (i, line) in read(file)?.lines().enumerate() {
            let Some(anchor) = line.strip_prefix(key) else { continue };
            let anchor = anchor.trim().trim_matches(['"', '\'']);
            if !page.ids.contains(anchor) {
                let what = format!("book/src/{chapter}.md has no heading #{anchor}");
                found.at(i + 1, what, "Name a heading of the chapter, in lower case, with - for blanks.");
            }
        }
        Ok(())
    }

    fn relative(&self, file: &Path) -> PathBuf {
        file.strip_prefix(self.root).unwrap_or(file).to_path_buf()
    }
}

/// Raw HTML is closed, and holds no Markdown that nobody renders.
fn elements(source: &Source, found: &mut Found<'_>) {
    let mut open: Vec<(usize, &str)> = Vec::new();
    for (line, piece) in &source.html {
        match piece {
            Piece::Open { name, closed, .. } if !closed && !VOID.contains(&name.as_str()) => open.push((*line, name)),
            Piece::Close { name } => match open.iter().rposition(|(_, n)| n == name) {
                Some(at) => {
                    for (line, name) in open.drain(at..).skip(1) {
                        unclosed(line, name, found);
                    }
                }
                None => found.at(*line, format!("</{name}> closes nothing"), "Take it out, or open it before."),
            },
            Piece::Text(text) if text.contains('`') => {
                found.at(*line, "a backtick is shown as it is", "Inside of HTML write <code>…</code>.");
            }
            _ => {}
        }
    }
    for (line, name) in open {
        unclosed(line, name, found);
    }
}

fn unclosed(line: usize, name: &str, found: &mut Found<'_>) {
    let advice = format!("Add </{name}>, or write the word between backticks if it is no HTML.");
    found.at(line, format!("<{name}> is not closed"), advice);
}

/// Every command that the book quotes exists.
fn commands(source: &Source, found: &mut Found<'_>) {
    let in_blocks = source.blocks.iter().flat_map(|b| b.text.lines().enumerate().map(|(i, l)| (b.line + 1 + i, l)));
    let in_spans = source.spans.iter().map(|(line, span)| (*line, span.as_str()));
    for (line, text) in in_blocks.chain(in_spans) {
        for (command, known) in COMMANDS {
            for (at, _) in text.match_indices(command) {
                let rest = &text[at + command.len()..];
                let word: String =
                    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
                if word.starts_with(|c: char| c.is_ascii_alphabetic()) && !known.contains(&word.as_str()) {
                    let advice = format!("There are: {}.", known.join(", "));
                    found.at(line, format!("there is no `{command}{word}`"), advice);
                }
            }
        }
    }
}

/// Rust code comes from files that the compiler sees.
fn rust_blocks(source: &Source, found: &mut Found<'_>) {
    let typed = |block: &&Block| {
        let mut words = block.info.split(|c: char| c == ',' || c.is_whitespace());
        let is_rust = words.next() == Some("rust");
        let marked = words.any(|word| word == "ignore" || word == "text");
        let included = block.text.lines().all(|line| line.trim().is_empty() || line.trim().starts_with("{{#"));
        is_rust && !marked && !included
    };
    for block in source.blocks.iter().filter(typed) {
        let advice = "Include it with \\{{#include …}} from a file of the repository, or mark the block `rust,ignore`.";
        found.at(block.line, "Rust code that no compiler sees", advice.replace('\\', ""));
    }
}

/// The chapter of an exercise has all that the others have.
fn sections(exercise: &str, source: &Source, found: &mut Found<'_>) {
    let mut last = 1;
    let mut section = |title: &str, found: &mut Found<'_>| {
        let at = source.sections.iter().find(|(_, t)| t == title).map(|(line, _)| *line);
        match at {
            None => found.at(1, format!("the section \"{title}\" is missing"), format!("Add ## {title}.")),
            Some(line) if line < last => {
                let advice = format!("The order is: {}.", SECTIONS.join(", "));
                found.at(line, format!("the section \"{title}\" is not in its place"), advice);
            }
            Some(line) => last = line,
        }
    };
    for title in SECTIONS {
        section(title, found);
    }
    let folds = source.elements("details");
    let solution = format!("solutions/{exercise}.rs");
    let shown: Vec<usize> = source.includes.iter().filter(|i| i.file.ends_with(&solution)).map(|i| i.line).collect();
    if shown.is_empty() {
        let advice = format!("Include {solution} at the end of \"In the exercise\", inside of <details>.");
        found.at(1, "the reference solution is missing", advice);
    }
    for line in shown {
        if !folds.iter().any(|(from, to)| (*from..=*to).contains(&line)) {
            let advice = "Fold it away: <details><summary>The reference solution</summary> … </details>.";
            found.at(line, "the reference solution is in plain sight", advice);
        }
    }
    let run = format!("cargo grade run {exercise}");
    if !source.text.contains(&run) {
        found.at(1, format!("the chapter never says `{run}`"), "Say under \"In the exercise\" how to run it.");
    }
    if source.elements("figure").is_empty() {
        found.at(1, "there is no diagram", "Add a <figure> with a <figcaption> to \"How it works\".");
    }
}

fn has_mark(text: &str, mark: &str, anchor: &str) -> bool {
    text.lines().any(|line| {
        let after = line.split_once(mark).and_then(|(_, rest)| rest.strip_prefix(':'));
        after.is_some_and(|name| {
            let name = name.trim_start();
            let end = name.find(|c: char| !(c.is_alphanumeric() || "_-".contains(c))).unwrap_or(name.len());
            &name[..end] == anchor
        })
    })
}

/// What follows `https:`: a host with a dot, and nothing that a browser would have to guess at.
fn is_web_address(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix("//") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let labels: Vec<&str> = host.split('.').collect();
    let plain = |label: &&str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    labels.len() > 1
        && labels.iter().all(plain)
        && !rest.contains(|c: char| c.is_whitespace() || "<>\"{}|\\^`".contains(c))
}

/// The path without `.` and `..`; `None` if it leads out of the book.
fn normalized(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(out)
}

/// `%20` as the blank that it stands for.
pub fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, after)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        match after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// All files below `dir` with the extension `ext`, sorted.
fn files_below(dir: &Path, ext: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(files_below(&path, ext));
        } else if path.extension().is_some_and(|e| e == ext) {
            found.push(path);
        }
    }
    found.sort();
    found
}

mod names;
#[cfg(test)]
mod tests;
