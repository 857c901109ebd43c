//! The timelines of an exercise, to be watched in its chapter.
//!
//! Beside each timeline in `tests/scenarios` lies a recording of what happens in it, which `cargo grade bless` writes and
//! `cargo grade check` holds against the engine. Here each becomes a page that shows it, and the chapter a place where
//! that page opens.

use crate::page::escaped;
use crate::read;
use anyhow::{Context, Result};
use mdbook_driver::book::{Book, BookItem};
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the recordings lie, by exercise.
const SCENARIOS: &str = "tests/scenarios";
const RECORDING: &str = ".recording.json";

/// The page without a recording, and the place for one: see `kit/cluster/src/recording/mod.rs`.
const PAGE: &str = "kit/cluster/src/recording/page/page.html";
const PLACE: &str = "/*RECORDING*/";

/// The folder of the pages in the book.
const FOLDER: &str = "timelines";

/// What is to be watched stands before the exercise, or at the end.
const BEFORE: &str = "\n## In the exercise\n";

/// One timeline.
struct Timeline {
    name: String,
    recording: PathBuf,
}

/// Tells each chapter which timelines it has.
pub fn announce(root: &Path, book: &mut Book) -> Result<()> {
    let mut wrong = None;
    book.for_each_mut(|item| {
        let BookItem::Chapter(chapter) = item else { return };
        let Some(exercise) = chapter.path.as_deref().map(|path| path.with_extension("")) else { return };
        let found = timelines(root, &exercise);
        if found.is_empty() {
            return;
        }
        match section(&exercise, &found) {
            Err(e) => wrong = Some(e),
            Ok(section) => {
                let at = chapter.content.find(BEFORE).unwrap_or(chapter.content.len());
                chapter.content.insert_str(at, &section);
            }
        }
    });
    wrong.map_or(Ok(()), Err)
}

/// Writes the pages into the book that was rendered into `dest`.
pub fn draw(root: &Path, dest: &Path) -> Result<()> {
    let Ok(page) = read(&root.join(PAGE)) else { return Ok(()) };
    for chapter in folders(&root.join(SCENARIOS)) {
        for exercise in folders(&chapter) {
            let exercise = exercise.strip_prefix(root.join(SCENARIOS))?.to_path_buf();
            let folder = dest.join(FOLDER).join(&exercise);
            for timeline in timelines(root, &exercise) {
                fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
                // Nothing in a text may end the script element.
                let recording = read(&timeline.recording)?.replace('<', "\\u003c");
                let file = folder.join(&timeline.name).with_extension("html");
                fs::write(&file, page.replacen(PLACE, recording.trim_end(), 1))
                    .with_context(|| file.display().to_string())?;
            }
        }
    }
    // There all chapters are one page at the top.
    let print = dest.join("print.html");
    if print.is_file() {
        fs::write(&print, read(&print)?.replace(&format!("src=\"../{FOLDER}/"), &format!("src=\"{FOLDER}/")))?;
    }
    Ok(())
}

/// The timelines of an exercise, by name.
fn timelines(root: &Path, exercise: &Path) -> Vec<Timeline> {
    let folder = root.join(SCENARIOS).join(exercise);
    let mut found = Vec::new();
    for recording in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let file = recording.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(name) = file.strip_suffix(RECORDING) else { continue };
        found.push(Timeline { name: name.into(), recording });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).collect()
}

fn section(exercise: &Path, timelines: &[Timeline]) -> Result<String> {
    let mut section =
        "\n## Watch it happen\n\nWhole clusters that the exercise is graded with, as the reference runs them. \
                       Space plays, `.` goes to the next change, and a click on anything says why.\n\n"
            .to_string();
    let up = "../".repeat(exercise.components().count() - 1);
    for Timeline { name, recording } in timelines {
        let text: Value = serde_json::from_str(&read(recording)?).with_context(|| recording.display().to_string())?;
        let why = text["why"].as_str().unwrap_or_default();
        let page = format!("{up}{FOLDER}/{}/{name}.html", exercise.display());
        let (why, name) = (escaped(why), escaped(&name.replace('-', " ")));
        let frame =
            format!("<iframe class=\"timeline\" loading=\"lazy\" src=\"{page}\" title=\"{name}, replayed\"></iframe>");
        _ = write!(section, "<details>\n<summary>{name}: {why}</summary>\n{frame}\n</details>\n\n");
    }
    Ok(section)
}
