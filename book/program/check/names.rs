//! Who types the name of a field, a reason or a flag finds the chapter that is about it.
//!
//! `book/names.yaml` lists these names by chapter. Each has to stand in the chapter as Kubernetes writes it, and the
//! search of the rendered book has to list the chapter for it.

use super::{Book, Complaint, Found};
use crate::read;
use crate::render::Contents;
use crate::search::Search;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// A chapter with fewer names than this is not about Kubernetes, or its list isn't finished.
const ENOUGH: usize = 8;

const FILE: &str = "book/names.yaml";

impl Book<'_> {
    pub(super) fn names(&self, contents: &Contents, complaints: &mut Vec<Complaint>) -> Result<()> {
        let text = read(&self.root.join(FILE))?;
        let listed: BTreeMap<String, Vec<String>> =
            serde_yaml::from_str(&text).with_context(|| format!("{FILE} is no map from chapters to names"))?;
        let search = Search::of(self.dest)?;
        let mut found = Found { file: FILE.into(), complaints };
        let chapters = || contents.written().map(|c| (c.path.with_extension(""), c));
        for (name, chapter) in chapters().filter_map(|(_, c)| Some((self.exercise_of(c)?, c))) {
            let n = listed.get(&name).map_or(0, Vec::len);
            if n < ENOUGH {
                let what = format!("{name} has {n} names");
                found.at(1, what, format!("List at least {ENOUGH} that {} is about.", chapter.path.display()));
            }
        }
        for (chapter, names) in &listed {
            let start = line_of(&text, 0, &format!("{chapter}:"));
            if !chapters().any(|(path, _)| path == Path::new(chapter)) {
                found.at(start + 1, format!("there is no chapter {chapter}"), "Name one as SUMMARY.md does.");
                continue;
            }
            let source = read(&self.root.join(format!("book/src/{chapter}.md")))?;
            let page = format!("{chapter}.html");
            for name in names {
                let line = line_of(&text, start, name) + 1;
                if !stands_in(&source, name) {
                    let what = format!("book/src/{chapter}.md never says {name}");
                    found.at(line, what, "Write it there where it helps, or take it out of the list.");
                    continue;
                }
                let Some(search) = &search else { continue };
                for query in queries(name) {
                    if !search.ask(&query).iter().any(|url| url.split('#').next() == Some(&page)) {
                        let what = format!("who searches for {query} doesn't find book/src/{chapter}.md");
                        let advice = "Say it once more, in a section that is about it; book/program/search.rs \
                                      says how words are found.";
                        found.at(line, what, advice);
                    }
                }
            }
        }
        Ok(())
    }
}

/// As people type a name: whole, in lower case, and the parts that are names themselves, which a capital letter within shows.
fn queries(name: &str) -> Vec<String> {
    let mut queries = vec![name.to_string(), name.to_lowercase()];
    let parts = name.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_');
    queries.extend(parts.filter(|p| p.chars().skip(1).any(char::is_uppercase)).map(str::to_string));
    queries.dedup();
    queries
}

/// Whether the text has the name, and not only a longer one.
fn stands_in(text: &str, name: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(joins) && !after.is_some_and(joins)
    })
}

/// The first line from `start` on that holds `piece`, from 0.
fn line_of(text: &str, start: usize, piece: &str) -> usize {
    text.lines().skip(start).position(|line| line.contains(piece)).map_or(0, |n| n + start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_with_a_capital_letter_are_names_themselves() {
        let name = "spec.topologySpreadConstraints[].whenUnsatisfiable";
        let expected = [name, &name.to_lowercase(), "topologySpreadConstraints", "whenUnsatisfiable"];
        assert_eq!(queries(name), expected);
        assert_eq!(queries("--max-pods"), ["--max-pods"]);
    }

    #[test]
    fn a_longer_name_is_another_one() {
        assert!(stands_in("It is `Ready`.", "Ready"));
        assert!(!stands_in("It is `NotReady` and `ReadyNodes`.", "Ready"));
    }
}
