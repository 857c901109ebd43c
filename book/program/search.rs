//! The search of the book: mdBook's index, made again so that it knows the parts of a name.
//!
//! mdBook splits text at blanks and hyphens only. So `spec.strategy.rollingUpdate.maxSurge` is one word to it, and a
//! reader who types `maxSurge` finds nothing: the browser looks for words that begin with what was typed. Here each
//! word is entered under all that it could be looked for by. What the browser does with a query stays as it is, and
//! [`Search::ask`] does the same, so that a test knows what a reader would find.

use crate::read;
use anyhow::{Context, Result};
use elasticlunr::lang::English;
use elasticlunr::{Index, IndexBuilder, Language, Pipeline};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The parts of a document, in the order in which they are entered.
const FIELDS: [&str; 3] = ["title", "body", "breadcrumbs"];

/// Longer ones are pasted hashes and whole expressions, which nobody types.
const LONGEST: usize = 80;

/// How mdBook wraps the index into a script.
const SCRIPT: (&str, &str) = ("window.search = Object.assign(window.search, JSON.parse('", "'));");

/// Replaces the index of the book that was rendered into `dest`.
pub fn rebuild(dest: &Path) -> Result<()> {
    let Some(path) = script(dest)? else { return Ok(()) };
    let mut content = content(&path)?;
    let old = &mut content["index"];
    let documents = old["documentStore"]["docs"].as_object().context("the search index holds no documents")?;
    let mut index = IndexBuilder::with_language(Box::new(Names)).add_fields(FIELDS).build();
    for (id, document) in documents {
        index.add_doc(id, FIELDS.map(|field| document[field].as_str().unwrap_or_default()));
    }
    *old = as_json(&index, &old["pipeline"])?;
    let json = content.to_string().replace('\\', "\\\\").replace('\'', "\\'");
    fs::write(&path, [SCRIPT.0, &json, SCRIPT.1].concat()).with_context(|| format!("can't write {}", path.display()))
}

/// The new index, with the old pipeline: that one is for queries.
fn as_json(index: &Index, pipeline: &Value) -> Result<Value> {
    let mut json = serde_json::to_value(index)?;
    json["pipeline"] = pipeline.clone();
    Ok(json)
}

/// The script that holds the index. Its name has a hash in it; a book without search has none.
fn script(dest: &Path) -> Result<Option<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dest).with_context(|| format!("can't read {}", dest.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("searchindex") && name.ends_with(".js") {
            found.push(path);
        }
    }
    Ok(found.pop())
}

fn content(path: &Path) -> Result<Value> {
    let script = read(path)?;
    let json = script.strip_prefix(SCRIPT.0).and_then(|rest| rest.strip_suffix(SCRIPT.1));
    let json = json.with_context(|| format!("{} is no search index as mdBook wrote it so far", path.display()))?;
    // Every backslash is doubled, so one that stands alone belongs to a quote.
    let json = json.replace("\\'", "'").replace("\\\\", "\\");
    serde_json::from_str(&json).with_context(|| format!("{} holds no JSON", path.display()))
}

/// English as mdBook reads it, with the parts of names as words of their own.
struct Names;

impl Language for Names {
    fn name(&self) -> String {
        English::new().name()
    }

    fn code(&self) -> String {
        English::new().code()
    }

    fn tokenize(&self, text: &str) -> Vec<String> {
        let pipeline = English::new().make_pipeline();
        words(text).flat_map(|word| entries(&word, &pipeline)).collect()
    }

    /// `tokenize` has done it.
    fn make_pipeline(&self) -> Pipeline {
        Pipeline { queue: Vec::new() }
    }
}

/// Text as elasticlunr splits it, queries as well.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| c.is_whitespace() || c == '-').map(str::to_lowercase).filter(|word| !word.is_empty())
}

/// What stands between the parts of a name.
fn separator(c: char) -> bool {
    !c.is_alphanumeric() && c != '_'
}

/// What a word can be found by: itself, what follows each separator in it, and each part between two.
///
/// Since the browser completes words, what follows a separator also finds every path that begins there. Parts are
/// entered as they are and as their stem: the one is found while it is typed, the other when it is complete.
fn entries(word: &str, pipeline: &Pipeline) -> BTreeSet<String> {
    let word = word.trim_matches(separator);
    let mut found = BTreeSet::new();
    let mut enter = |text: &str| {
        let stem = pipeline.run(vec![text.to_string()]);
        if text.len() <= LONGEST && stem.iter().any(|stem| !stem.is_empty()) {
            found.insert(text.to_string());
            found.extend(stem);
        }
    };
    let mut before = None;
    for (at, c) in word.char_indices() {
        if before.is_none_or(separator) && !separator(c) {
            let rest = &word[at..];
            enter(rest);
            enter(rest.split(separator).next().unwrap_or_default());
        }
        before = Some(c);
    }
    found
}

/// What the search of a rendered book answers, as elasticlunr.js 0.9.5 computes it in the browser.
pub struct Search {
    content: Value,
}

impl Search {
    /// The search of the book in `dest`; `None` for a book without one.
    pub fn of(dest: &Path) -> Result<Option<Search>> {
        script(dest)?.map(|path| Ok(Search { content: content(&path)? })).transpose()
    }

    /// The headings that are listed for a query, as addresses, the best first.
    ///
    /// A path that nothing spells out is looked for without its beginning; in the browser, `book/theme/search.js` does
    /// that.
    pub fn ask(&self, query: &str) -> Vec<&str> {
        let joint = |c: char| separator(c) && c != '-';
        let mut rest = query;
        loop {
            let found = self.listed(rest);
            let shorter = rest.find(joint).map_or("", |at| rest[at..].trim_start_matches(joint));
            if !found.is_empty() || shorter.is_empty() || query.contains(char::is_whitespace) {
                return found;
            }
            rest = shorter;
        }
    }

    fn listed(&self, query: &str) -> Vec<&str> {
        let limit = self.content["results_options"]["limit_results"].as_u64().unwrap_or_default();
        let tokens = English::new().make_pipeline().run(words(query).collect());
        let mut scores: BTreeMap<usize, f64> = BTreeMap::new();
        for field in FIELDS {
            let boost = self.content["search_options"]["fields"][field]["boost"].as_f64().unwrap_or_default();
            for (document, score) in self.in_field(field, &tokens) {
                *scores.entry(document).or_default() += boost * score;
            }
        }
        let mut order: Vec<(usize, f64)> = scores.into_iter().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        let urls = &self.content["doc_urls"];
        order.into_iter().take(limit as usize).filter_map(|(document, _)| urls[document].as_str()).collect()
    }

    /// The documents that have all tokens in one field, with their scores.
    fn in_field(&self, field: &str, tokens: &[String]) -> BTreeMap<usize, f64> {
        let mut scores: Option<BTreeMap<usize, f64>> = None;
        let mut exact: BTreeMap<usize, usize> = BTreeMap::new();
        for token in tokens {
            let mut now: BTreeMap<usize, f64> = BTreeMap::new();
            for (length, node) in completions(&self.content["index"]["index"][field]["root"], token) {
                for (document, frequency) in documents(node) {
                    let whole = length == token.chars().count();
                    *exact.entry(document).or_default() += usize::from(whole);
                    *now.entry(document).or_default() +=
                        self.weight(field, document, frequency, node) * nearness(token.chars().count(), length);
                }
            }
            scores = Some(match scores {
                None => now,
                Some(so_far) => {
                    now.into_iter().filter_map(|(d, score)| so_far.get(&d).map(|s| (d, s + score))).collect()
                }
            });
        }
        // Whoever has some of the words as they were typed is measured by how many.
        let coordinated = |(document, score): (usize, f64)| match exact.get(&document) {
            None | Some(0) => (document, score),
            Some(n) => (document, score * *n as f64 / tokens.len() as f64),
        };
        scores.unwrap_or_default().into_iter().map(coordinated).collect()
    }

    fn weight(&self, field: &str, document: usize, frequency: f64, node: &Value) -> f64 {
        let store = &self.content["index"]["documentStore"];
        let all = store["length"].as_f64().unwrap_or_default();
        let having = node["df"].as_f64().unwrap_or_default();
        let length = store["docInfo"][document.to_string()][field].as_f64().unwrap_or_default();
        let norm = if length == 0.0 { 1.0 } else { 1.0 / length.sqrt() };
        frequency * (1.0 + (all / (having + 1.0)).ln()) * norm
    }
}

/// What a longer word is worth that begins with the token.
fn nearness(token: usize, word: usize) -> f64 {
    if token == word { 1.0 } else { (1.0 - (word - token) as f64 / word as f64) * 0.15 }
}

/// The nodes of all words in the tree that begin with `token`, and how long these words are.
fn completions<'a>(root: &'a Value, token: &str) -> Vec<(usize, &'a Value)> {
    let start = token.chars().try_fold(root, |node, c| node.get(&*c.encode_utf8(&mut [0; 4])));
    let mut open: Vec<(usize, &Value)> = start.map(|node| (token.chars().count(), node)).into_iter().collect();
    let mut found = Vec::new();
    while let Some((length, node)) = open.pop() {
        found.push((length, node));
        let below = node.as_object().into_iter().flatten().filter(|(key, _)| *key != "docs" && *key != "df");
        open.extend(below.map(|(_, child)| (length + 1, child)));
    }
    found
}

/// The documents that have a word, and how often (as a square root).
fn documents(node: &Value) -> impl Iterator<Item = (usize, f64)> {
    node["docs"].as_object().into_iter().flatten().filter_map(|(id, d)| Some((id.parse().ok()?, d["tf"].as_f64()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A book with one page, and what is found on it.
    fn finds(text: &str, query: &str) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join("book").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("book.toml", "[book]\ntitle = \"T\"\n");
        write("src/SUMMARY.md", "# Summary\n\n- [Page](page.md)\n- [Other](other.md)\n");
        write("src/page.md", &format!("# Page\n\n## Here\n\n{text}\n"));
        write("src/other.md", "# Other\n\nIt's a \"quoted\" \\ word.\n");
        let dest = dir.path().join("out");
        crate::render::render(dir.path(), &dest).unwrap();
        let search = Search::of(&dest).unwrap().unwrap();
        assert_eq!(search.ask("quoted"), ["other.html#other"], "the index survives quotes and backslashes");
        search.ask(query).contains(&"page.html#here")
    }

    #[test]
    fn a_name_is_found_by_its_parts_and_while_it_is_typed() {
        let text = "Set `spec.topologySpreadConstraints[].whenUnsatisfiable` of a pod.";
        for query in [
            "spec.topologySpreadConstraints[].whenUnsatisfiable",
            "topologySpreadConstraints[].whenUnsatisfiable",
            "topologySpreadConstraints",
            "topologyspreadconstraints",
            "whenUnsatisfiable",
            "TopologySpread whenUnsatisfiable",
            "pod.spec.topologySpreadConstraints",
            "deployment.spec.template.spec.topologySpreadConstraints[0].whenUnsatisfiable",
        ] {
            assert!(finds(text, query), "{query}");
        }
        // "when" alone is a word that no search looks for.
        for end in 5.."whenunsatisfiable".len() {
            assert!(finds(text, &"whenUnsatisfiable"[..end]), "the first {end} letters");
        }
        assert!(!finds(text, "unsatisfied"), "another word");
        assert!(!finds(text, "spec.unsatisfied"), "nor at the end of a path");
        assert!(!finds(text, "topologySpreadConstraints minDomains"), "all words have to be there");
    }

    #[test]
    fn punctuation_of_manifests_and_commands_hides_nothing() {
        for (text, query) in [
            ("```yaml\npreemptionPolicy: Never\n```", "preemptionPolicy"),
            ("`preemptionPolicy=Never`", "preemptionPolicy"),
            ("Either (`maxSurge`/`maxUnavailable`) or none.", "maxUnavailable"),
            ("The taint `node.kubernetes.io/unreachable:NoExecute`.", "node.kubernetes.io/unreachable"),
            ("The taint `node.kubernetes.io/unreachable:NoExecute`.", "unreachable"),
            ("The taint `node.kubernetes.io/unreachable:NoExecute`.", "noexecute"),
            ("The flag `--node-monitor-grace-period`.", "--node-monitor-grace-period"),
            ("The flag `--node-monitor-grace-period`.", "node-monitor-grace-period"),
            ("| `scheduler_pending_pods{queue=\"gated\"}` |", "scheduler_pending_pods"),
            ("A pod in `CrashLoopBackOff`, that is.", "crashloopbackoff"),
            ("Its policies say so.", "policy"),
        ] {
            let table = text.replace("| `", "| a |\n| - |\n| `");
            assert!(finds(&table, query), "{query} in {text}");
        }
    }
}
