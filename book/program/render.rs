//! From `book/src` to pages, with mdBook's HTML renderer.

use crate::{exercise, quiz, read, search, timeline};
use anyhow::{Context, Result, bail};
use mdbook_driver::MDBook;
use mdbook_driver::config::Config;
use mdbook_summary::{Summary, SummaryItem, parse_summary};
use std::fs;
use std::path::{Path, PathBuf};

/// A file that only this program writes: the proof that a folder may be replaced.
const MARKER: &str = ".built-by-cargo-book";

/// One chapter of `SUMMARY.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chapter {
    pub title: String,
    /// Its file, relative to `book/src`.
    pub path: PathBuf,
    /// Its line in `SUMMARY.md`, from 1.
    pub line: usize,
    pub written: bool,
}

/// The chapters in reading order.
#[derive(Debug, Clone, Default)]
pub struct Contents(pub Vec<Chapter>);

impl Contents {
    pub fn written(&self) -> impl Iterator<Item = &Chapter> {
        self.0.iter().filter(|c| c.written)
    }

    pub fn missing(&self) -> impl Iterator<Item = &Chapter> {
        self.0.iter().filter(|c| !c.written)
    }
}

/// Renders the book of the workspace `root` into `dest`, whole or not at all.
///
/// The chapters of exercises say what their graders check and show their timelines, and chapters with questions end in a
/// quiz. A chapter that is listed but not written stays in the table of contents, in grey.
pub fn render(root: &Path, dest: &Path) -> Result<Contents> {
    let dest = std::path::absolute(dest)?;
    may_replace(&dest)?;
    let book = root.join("book");
    let path = book.join("src/SUMMARY.md");
    let text = read(&path)?;
    let mut summary = parse_summary(&text).with_context(|| format!("{} is no table of contents", path.display()))?;
    let contents = contents(&mut summary, &text, &book.join("src"));
    let mut config = Config::from_disk(book.join("book.toml"))?;
    let new = beside(&dest, "new")?;
    // mdBook would write the chapters that are missing, and those must stay visibly missing.
    config.build.create_missing = false;
    config.build.build_dir = new.clone();
    let built = MDBook::load_with_config_and_summary(&book, config, summary).and_then(|mut book| {
        exercise::tell_what_is_checked(root, &mut book.book)?;
        timeline::announce(root, &mut book.book)?;
        quiz::announce(root, &mut book.book);
        book.build()
    });
    let finished = built
        .and_then(|()| quiz::ask(root, &new))
        .and_then(|()| timeline::draw(root, &new))
        .and_then(|()| search::rebuild(&new))
        .and_then(|()| swap(&new, &dest));
    if let Err(e) = finished {
        let _ = fs::remove_dir_all(&new);
        return Err(e.context("the book can't be rendered"));
    }
    Ok(contents)
}

/// Lists the chapters, and takes the files of those that are missing out of the summary.
fn contents(summary: &mut Summary, text: &str, src: &Path) -> Contents {
    fn go(items: &mut [SummaryItem], text: &str, src: &Path, chapters: &mut Vec<Chapter>) {
        for item in items {
            let SummaryItem::Link(link) = item else { continue };
            if let Some(path) = &link.location {
                let target = format!("({})", path.display());
                let line = text.lines().position(|l| l.contains(&target)).map_or(1, |i| i + 1);
                let written = src.join(path).is_file();
                chapters.push(Chapter { title: link.name.clone(), path: path.clone(), line, written });
                if !written {
                    link.location = None;
                }
            }
            go(&mut link.nested_items, text, src, chapters);
        }
    }
    let mut chapters = Vec::new();
    for items in [&mut summary.prefix_chapters, &mut summary.numbered_chapters, &mut summary.suffix_chapters] {
        go(items, text, src, &mut chapters);
    }
    Contents(chapters)
}

/// Rendering replaces the whole folder, so it must be one that holds nothing else.
fn may_replace(dest: &Path) -> Result<()> {
    if !dest.exists() {
        return Ok(());
    }
    if !dest.is_dir() {
        bail!("{} is not a folder", dest.display());
    }
    let empty = fs::read_dir(dest)?.next().is_none();
    if empty || (dest.join(MARKER).is_file() && !dest.join(".git").exists()) {
        return Ok(());
    }
    bail!("{} holds other files, and rendering would replace them all; name an empty folder", dest.display())
}

/// A name in the same folder, so that renaming stays within one file system.
fn beside(dest: &Path, role: &str) -> Result<PathBuf> {
    let name = dest.file_name().context("the file system's root can't be a book")?.to_string_lossy();
    Ok(dest.with_file_name(format!(".{name}.{role}.{}", std::process::id())))
}

fn swap(new: &Path, dest: &Path) -> Result<()> {
    fs::write(new.join(MARKER), "cargo book build replaces this folder.\n")?;
    let old = beside(dest, "old")?;
    if dest.exists() {
        fs::rename(dest, &old)?;
    }
    fs::rename(new, dest)?;
    if old.exists() {
        fs::remove_dir_all(&old)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_other_files_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        assert!(may_replace(dir.path()).is_ok(), "an empty folder");
        assert!(may_replace(&dir.path().join("new")).is_ok(), "a new folder");
        fs::write(dir.path().join("thesis.txt"), "").unwrap();
        assert!(may_replace(dir.path()).is_err());
        fs::write(dir.path().join(MARKER), "").unwrap();
        assert!(may_replace(dir.path()).is_ok(), "a book of ours");
        fs::create_dir(dir.path().join(".git")).unwrap();
        assert!(may_replace(dir.path()).is_err(), "a repository, even with a book in it");
    }

    #[test]
    fn missing_chapters_are_listed_and_not_created() {
        let dir = tempfile::tempdir().unwrap();
        let text = "# Summary\n\n[Start](start.md)\n\n# Part\n\n- [One](a/one.md)\n  - [Two](a/two.md)\n";
        fs::write(dir.path().join("start.md"), "# Start").unwrap();
        let mut summary = parse_summary(text).unwrap();
        let contents = contents(&mut summary, text, dir.path());
        let seen: Vec<_> = contents.0.iter().map(|c| (c.title.as_str(), c.line, c.written)).collect();
        assert_eq!(seen, [("Start", 3, true), ("One", 7, false), ("Two", 8, false)]);
        assert!(!dir.path().join("a").exists());
    }
}
