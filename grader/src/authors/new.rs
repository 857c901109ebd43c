//! `new`: the files of a new exercise, and the lines that name it.

use crate::workspace::{HINTS, Workspace, bin_name, read, write};
use anstream::println;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::ExitCode;

/// Writes all rooms of a new exercise, small but working, and the lines that name it.
pub fn new(workspace: &Workspace, name: &str, trait_name: Option<&str>) -> Result<ExitCode> {
    let (chapter, exercise) = name.split_once('/').filter(|(c, e)| is_name(c) && is_name(e)).with_context(|| {
        format!("`{name}` is no name for an exercise; it is `chapter/exercise` in lower case, such as `node/probes`")
    })?;
    let trait_name = trait_name.map_or_else(|| camel_case(exercise), str::to_string);
    let fill = |text: &str| {
        text.replace("CHAPTER", chapter)
            .replace("EXERCISE", exercise)
            .replace("BIN", &bin_name(name))
            .replace("Trait", &trait_name)
    };
    let mut files: Vec<(PathBuf, String)> = vec![
        (workspace.contract_file(name), fill(CONTRACT)),
        (workspace.exercise_file(name), fill(STUB)),
        (workspace.solution_file(name), fill(SOLUTION)),
        (workspace.scenarios_dir(name).join("first.yaml"), fill(SCENARIO)),
        (workspace.chapter_file(name), fill(CHAPTER)),
    ];
    if let Some((there, _)) = files.iter().find(|(path, _)| path.exists()) {
        bail!("{} is there already", there.display());
    }
    let at = |path: &str| workspace.root.join(path);
    let text = |path: &str| read(&at(path));

    let module = format!("kit/contract/src/{chapter}/mod.rs");
    if at(&module).is_file() {
        let lines = text(&module)? + &fill("pub mod EXERCISE;\npub use EXERCISE::*;\n");
        files.push((at(&module), lines));
    } else {
        files.push((
            at(&module),
            fill("//! Contracts of the chapter `CHAPTER`.\n\npub mod EXERCISE;\n\npub use EXERCISE::*;\n"),
        ));
        let lib = "kit/contract/src/lib.rs";
        files.push((at(lib), before(&text(lib)?, "mod modules;", &fill("pub mod CHAPTER;\n"), lib)?));
    }
    let slots = "kit/contract/src/modules.rs";
    let slot =
        fill("    /// TODO: what stands in this slot.\n    \"CHAPTER/EXERCISE\" EXERCISE: crate::CHAPTER::Trait;\n");
    files.push((at(slots), before_last(&text(slots)?, "}", &slot, slots)?));

    let lib = "solutions/lib.rs";
    let mut solutions = text(lib)?;
    let block = fill("pub mod CHAPTER {\n");
    solutions = match solutions.find(&block) {
        Some(start) => {
            let end = start + solutions[start..].find("\n}").context("solutions/lib.rs: a `mod` has no end")? + 1;
            format!("{}{}{}", &solutions[..end], fill("    pub mod EXERCISE;\n"), &solutions[end..])
        }
        None => {
            let block =
                fill("pub mod CHAPTER {\n    //! TODO: what this chapter is about.\n    pub mod EXERCISE;\n}\n");
            before(&solutions, "\nuse kit::", &block, lib)?
        }
    };
    let fill_slot = fill("        EXERCISE: Slot::of::<CHAPTER::EXERCISE::Exercise>(),\n");
    files.push((at(lib), before_last(&solutions, "    }\n}", &fill_slot, lib)?));

    let manifest = "exercises/Cargo.toml";
    files.push((at(manifest), text(manifest)? + &fill("\n[[bin]]\nname = \"BIN\"\npath = \"CHAPTER/EXERCISE.rs\"\n")));
    let catalog = "exercises/catalog.yaml";
    files.push((at(catalog), text(catalog)? + &fill(ENTRY)));
    files.push((at(HINTS), text(HINTS)? + &fill(TOLD)));
    let book = "book/src/SUMMARY.md";
    files.push((at(book), text(book)?.trim_end().to_string() + &fill("\n- [Trait](CHAPTER/EXERCISE.md)\n")));

    files.extend(generator(workspace, name, &fill)?);
    let names = "book/names.yaml";
    files.push((at(names), text(names)?.trim_end().to_string() + &fill(NAMES)));

    for (path, text) in &files {
        write(path, text)?;
        println!("  wrote {}", path.strip_prefix(&workspace.root).unwrap_or(path).display());
    }
    // The lines were added where they are easy to find; where they belong is rustfmt's business.
    let _ = std::process::Command::new("cargo").args(["fmt", "--all"]).current_dir(&workspace.root).status();
    println!("\n  Now: the contract first, then the solution and the scenarios.");
    println!("       cargo grade bless {name}    writes the goldens");
    println!("       cargo grade check {name}    says what is missing");
    println!(
        "       cargo grade run {name} --modules FILE --fresh 2000    tries one of the modules below on fresh scenarios"
    );
    println!("\n  Then, in tests/modules/{name}:");
    println!("       wrong/MISTAKE.patch     at least eight, each with the scenario that must catch it");
    println!("       correct/APPROACH.rs     at least three, each written really differently");
    Ok(ExitCode::SUCCESS)
}

/// The generator of fresh scenarios, and the lines that name it.
fn generator(workspace: &Workspace, name: &str, fill: &impl Fn(&str) -> String) -> Result<Vec<(PathBuf, String)>> {
    let stages = workspace.root.join("kit/stages/src");
    let (chapter, exercise) = name.split_once('/').context("a name has a chapter")?;
    // Chapters with stages of their own keep generators apart from them.
    let apart = stages.join(chapter).join("fresh").is_dir();
    let folder = if apart { stages.join(chapter).join("fresh") } else { stages.join(chapter) };
    let mut files = vec![(folder.join(format!("{exercise}.rs")), fill(GENERATOR))];
    let module = folder.join("mod.rs");
    if module.is_file() {
        files.push((module.clone(), read(&module)? + &fill("pub mod EXERCISE;\n")));
    } else {
        files.push((module, fill("//! Generators of the chapter `CHAPTER`.\n\npub mod EXERCISE;\n")));
        let lib = stages.join("lib.rs");
        let lines = before(&read(&lib)?, "mod values;", &fill("pub mod CHAPTER;\n"), "kit/stages/src/lib.rs")?;
        files.push((lib, lines));
    }
    let path = if apart { "crate::CHAPTER::fresh::EXERCISE" } else { "crate::CHAPTER::EXERCISE" };
    let line = fill(&format!("        \"CHAPTER/EXERCISE\" => ({path}::fresh(), 400),\n"));
    let fresh = stages.join("fresh.rs");
    let lines = before(&read(&fresh)?, "        _ => return None,", &line, "kit/stages/src/fresh.rs")?;
    files.push((fresh, lines));
    Ok(files)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn camel_case(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('_').filter(|w| !w.is_empty()).map(word).collect()
}

fn before(text: &str, marker: &str, insert: &str, file: &str) -> Result<String> {
    let at =
        text.find(marker).with_context(|| format!("{file} has no {marker:?}; add this there yourself:\n{insert}"))?;
    Ok(format!("{}{insert}{}", &text[..at], &text[at..]))
}

fn before_last(text: &str, marker: &str, insert: &str, file: &str) -> Result<String> {
    let at =
        text.rfind(marker).with_context(|| format!("{file} has no {marker:?}; add this there yourself:\n{insert}"))?;
    Ok(format!("{}{insert}{}", &text[..at], &text[at..]))
}

const CONTRACT: &str = r#"//! TODO: what this module is in Kubernetes.
//!
//! Source: `pkg/…`.

contract! {
    /// TODO: what it decides.
    pub trait Trait {
        /// TODO: what is asked, in which units, and what Kubernetes leaves open.
        fn decide(&self, question: &str) -> String;
    }
}
"#;

const STUB: &str = r#"//! # TODO: title
//!
//! TODO: what it is, in three lines.
//!
//! About 30 minutes · builds on nothing · book: "Trait" · stuck? `cargo grade hint CHAPTER/EXERCISE`

use kit::CHAPTER::Trait;

#[derive(Default)]
struct Exercise;

impl Trait for Exercise {
    /// TODO: what to answer.
    fn decide(&self, question: &str) -> String {
        let _ = question;
        todo!("answer the question")
    }
}

kit::exercise!(Exercise: Trait);
"#;

const SOLUTION: &str = r#"//! The reference for `CHAPTER/EXERCISE`.

// ANCHOR: solution
use kit::CHAPTER::Trait;

/// TODO: how it works.
#[derive(Default)]
pub struct Exercise;

impl Trait for Exercise {
    fn decide(&self, question: &str) -> String {
        question.to_string()
    }
}
// ANCHOR_END: solution
"#;

const SCENARIO: &str = r#"why: TODO one sentence that a learner reads when this fails.
read: how-it-works
steps:
  - decide: {question: "TODO"}
"#;

const CHAPTER: &str = r#"# Trait

TODO: why it matters, in one paragraph.

## The interview question

## How it works

## What goes wrong in production

## In the exercise

## Follow-up questions

## Sources
"#;

const ENTRY: &str = r#"
  - name: CHAPTER/EXERCISE
    title: Trait
    minutes: 30
    difficulty: 2
    builds_on: []
"#;

const TOLD: &str = r#"
CHAPTER/EXERCISE:
  - TODO a nudge
  - TODO the idea
  - TODO nearly the answer
"#;

const GENERATOR: &str = r#"//! Fresh scenarios of `CHAPTER/EXERCISE`: TODO which corners they are aimed at.

use crate::fresh::{Generator, question};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

/// TODO: one valid question, drawn so that a small slip changes the answer.
pub fn fresh() -> Generator {
    let text = select(vec!["", "TODO"]);
    text.prop_map(|text| question("decide", json!({"question": text}))).boxed()
}
"#;

const NAMES: &str = r#"

CHAPTER/EXERCISE:
  - TODO at least eight names, as Kubernetes writes them
"#;
