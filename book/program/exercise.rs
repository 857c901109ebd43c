//! What the chapter of an exercise says of its grader, counted and not written: scenarios come and go.

use crate::read;
use anyhow::{Context, Result};
use mdbook_driver::book::{Book, BookItem};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The section that it belongs to, and the block in it before which it stands.
const SECTION: &str = "\n## In the exercise\n";
const BEFORE: &str = "\n```console\n";

/// Puts a paragraph on what is checked into the chapter of each exercise.
pub fn tell_what_is_checked(root: &Path, book: &mut Book) -> Result<()> {
    let path = root.join("exercises/catalog.yaml");
    // A book without exercises has nothing to tell.
    if !path.is_file() {
        return Ok(());
    }
    let catalog: Value = serde_yaml::from_str(&read(&path)?).with_context(|| path.display().to_string())?;
    for exercise in catalog["exercises"].as_array().into_iter().flatten() {
        let name = exercise["name"].as_str().unwrap_or_default();
        let scenarios = root.join("tests/scenarios").join(name);
        let count = fs::read_dir(&scenarios).into_iter().flatten().flatten().filter(|file| is_scenario(&file.path()));
        let told = what_is_checked(count.count(), exercise);
        let chapter = Path::new(name).with_extension("md");
        book.for_each_mut(|item| {
            if let BookItem::Chapter(item) = item
                && item.path.as_deref() == Some(&chapter)
            {
                insert(&mut item.content, &told);
            }
        });
    }
    Ok(())
}

/// Files that begin with `_` hold what scenarios have in common.
fn is_scenario(file: &Path) -> bool {
    file.extension().is_some_and(|e| e == "yaml")
        && !file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('_'))
}

fn what_is_checked(scenarios: usize, exercise: &Value) -> String {
    let stages: Vec<&str> =
        exercise["stages"].as_array().into_iter().flatten().filter_map(|stage| stage["name"].as_str()).collect();
    let stages = match stages.as_slice() {
        [] => String::new(),
        [first @ .., last] => format!(", in {} stages ({} and {last})", stages.len(), first.join(", ")),
    };
    format!(
        "**What is checked:** {scenarios} scenarios{stages}, each of which explains one rule, and after them \
         [fresh ones](../working.md#fresh-scenarios), which nobody wrote down and which prove the rules together. What no \
         grader checks is how your code reads, and how fast it is in a large cluster.\n"
    )
}

/// Without its section, or a block in it, a chapter stays as it is; the tests of the book ask for both.
fn insert(chapter: &mut String, paragraph: &str) {
    let Some(section) = chapter.find(SECTION) else { return };
    let Some(block) = chapter[section..].find(BEFORE) else { return };
    chapter.insert_str(section + block, &format!("\n{paragraph}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_stands_before_the_commands_and_counts() {
        let mut chapter =
            "# A\n```console\nno\n```\n\n## In the exercise\n\nWrite it.\n\n```console\n$ run\n```\n".to_string();
        let stages = json!({"stages": [{"name": "ranges"}, {"name": "compaction"}, {"name": "watches"}]});
        insert(&mut chapter, &what_is_checked(31, &stages));
        let told = "Write it.\n\n**What is checked:** 31 scenarios, in 3 stages (ranges, compaction and watches), each";
        assert!(chapter.contains(told) && chapter.contains("cluster.\n\n```console\n$ run"), "{chapter}");
        assert!(what_is_checked(8, &json!({})).contains("8 scenarios, each"));
    }
}
