//! Where the rooms of an exercise are, and what the catalogue says of it.

use crate::commands::settings::Limits;
use crate::verdict::fresh::Plan;
use crate::verdict::scenario::Scenario;
use anyhow::{Context, Result, bail};
use kit_contract::Modules;
use kit_stages::variation::Variation;
use serde::Deserialize;
use similar::get_close_matches;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How alike two names must be, from 0 to 1, for one to be taken for the other mistyped.
pub const NEAR: f32 = 0.7;

/// The file with all hints.
pub const HINTS: &str = "solutions/hints.yaml";

/// The kit's folder.
#[derive(Clone)]
pub struct Workspace {
    pub root: PathBuf,
    /// All exercises in learning order.
    pub catalog: Vec<Entry>,
    /// What modules may use.
    pub limits: Limits,
    /// Which fresh scenarios are played.
    pub fresh: Plan,
    /// The changed rule that an exercise is graded by, if it is.
    pub variation: Option<Variation>,
    target: PathBuf,
}

/// One exercise of `exercises/catalog.yaml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `chapter/exercise`.
    pub name: String,
    pub title: String,
    pub minutes: u32,
    /// 1 to 3 stars.
    pub difficulty: u8,
    #[serde(default)]
    pub builds_on: Vec<String>,
    /// The steps in which a long exercise can be written.
    #[serde(default)]
    pub stages: Vec<Stage>,
}

/// One step of a long exercise.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    pub name: String,
    /// The headings of the chapter, as anchors, that it is about: scenarios that are explained there belong to it.
    pub read: Vec<String>,
}

impl Entry {
    pub fn chapter(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// Whether `name` is this exercise's, with or without the chapter.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.name.split_once('/').is_some_and(|(_, own)| own == name)
    }

    /// The place of the stage that is about a heading of the chapter; headings of no stage come last.
    pub fn stage(&self, heading: &str) -> usize {
        let found = self.stages.iter().position(|stage| stage.read.iter().any(|read| read == heading));
        found.unwrap_or(self.stages.len())
    }

    pub fn stars(&self) -> String {
        "★".repeat(self.difficulty as usize)
    }
}

/// The name of an exercise's program: Cargo allows no `/` in it.
pub fn bin_name(exercise: &str) -> String {
    exercise.replace('/', "-")
}

impl Workspace {
    /// The workspace around the current folder, or else the one that this grader was built from.
    pub fn find(limits: Limits, fresh: Plan) -> Result<Self> {
        let here = std::env::current_dir()?;
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here
            .ancestors()
            .chain(built_from.ancestors())
            .find(|dir| dir.join("exercises/catalog.yaml").is_file())
            .context("this is not a folder of the kit: no exercises/catalog.yaml here or above")?
            .to_path_buf();
        let path = root.join("exercises/catalog.yaml");
        #[derive(Deserialize)]
        struct Catalog {
            exercises: Vec<Entry>,
        }
        let catalog: Catalog = serde_yaml::from_str(&read(&path)?).with_context(|| path.display().to_string())?;
        let target = target(&root);
        Ok(Workspace { root, catalog: catalog.exercises, limits, fresh, variation: None, target })
    }

    /// The same with other fresh scenarios.
    pub fn with_fresh(&self, fresh: Plan) -> Self {
        Workspace { fresh, ..self.clone() }
    }

    /// The same, where an exercise is graded by a changed rule.
    pub fn with_variation(&self, variation: Variation) -> Self {
        Workspace { variation: Some(variation), ..self.clone() }
    }

    /// The changed rule that this exercise is graded by, if it is.
    pub fn variation_of(&self, entry: &Entry) -> Option<&Variation> {
        self.variation.as_ref().filter(|variation| variation.exercise == entry.name)
    }

    /// The modules that are right when this exercise is graded.
    pub fn reference(&self, entry: &Entry) -> Modules {
        let standard = solutions::modules();
        self.variation_of(entry).map_or_else(|| standard.clone(), |variation| variation.modules(&standard))
    }

    /// The catalogue's entries for `names` in learning order, or all of them.
    pub fn select(&self, names: &[String]) -> Result<Vec<&Entry>> {
        for name in names {
            if !self.catalog.iter().any(|e| e.is(name) || e.chapter() == name) {
                match self.near(name) {
                    Some(near) => bail!("there is no exercise `{name}`; did you mean `{near}`?"),
                    None => bail!("there is no exercise `{name}`; `cargo grade list` shows them all"),
                }
            }
        }
        let chosen = |e: &&Entry| names.is_empty() || names.iter().any(|n| e.is(n) || e.chapter() == n);
        Ok(self.catalog.iter().filter(chosen).collect())
    }

    /// The exercise or chapter that was probably meant.
    fn near(&self, name: &str) -> Option<&str> {
        let own = |e: &'_ Entry| e.name.len() - e.name.split_once('/').map_or(0, |(_, own)| own.len());
        let part = |e: &&Entry| e.name.contains(name) || name.contains(&e.name[own(e)..]);
        let known = || self.catalog.iter().flat_map(|e| [&e.name, &e.name[own(e)..], e.chapter()]);
        let close = || get_close_matches(name, &known().collect::<Vec<_>>(), 1, NEAR).pop();
        self.catalog.iter().find(part).map(|e| e.name.as_str()).or_else(close)
    }

    /// Where an exercise stands in learning order; unknown ones come last.
    pub fn place(&self, name: &str) -> usize {
        self.catalog.iter().position(|entry| entry.name == name).unwrap_or(usize::MAX)
    }

    pub fn one(&self, name: &str) -> Result<&Entry> {
        match self.select(&[name.to_string()])?.as_slice() {
            [entry] => Ok(entry),
            _ => bail!("`{name}` is a chapter; name one exercise"),
        }
    }

    /// The hints of all exercises by name, from a nudge to nearly the answer. They lie beside the solutions, where nobody
    /// reads them by accident.
    pub fn all_hints(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let path = self.root.join(HINTS);
        serde_yaml::from_str(&read(&path)?).with_context(|| path.display().to_string())
    }

    /// The hints of one exercise.
    pub fn hints(&self, entry: &Entry) -> Result<Vec<String>> {
        let hints = self.all_hints()?.remove(&entry.name);
        hints.with_context(|| format!("{HINTS} has no hints for {}", entry.name))
    }

    pub fn exercise_file(&self, name: &str) -> PathBuf {
        self.root.join("exercises").join(format!("{name}.rs"))
    }
    pub fn solution_file(&self, name: &str) -> PathBuf {
        self.root.join("solutions").join(format!("{name}.rs"))
    }
    pub fn contract_file(&self, name: &str) -> PathBuf {
        self.root.join("kit/contract/src").join(format!("{name}.rs"))
    }
    /// An exercise's scenarios in the order in which they are played: by stages, and the simplest first.
    pub fn scenarios(&self, entry: &Entry) -> Result<Vec<Scenario>> {
        let mut scenarios = Scenario::load_all(&self.scenarios_dir(&entry.name))?;
        scenarios.sort_by_key(|scenario| entry.stage(&scenario.read));
        Ok(scenarios)
    }

    pub fn scenarios_dir(&self, name: &str) -> PathBuf {
        self.root.join("tests/scenarios").join(name)
    }
    pub fn chapter_file(&self, name: &str) -> PathBuf {
        self.root.join("book/src").join(format!("{name}.md"))
    }
    /// Wrong, alternative and hostile modules: `kind` is `wrong` or `correct`.
    pub fn modules_dir(&self, name: &str, kind: &str) -> PathBuf {
        self.root.join("tests/modules").join(name).join(kind)
    }
    /// Where Cargo builds, and where all that the grader remembers lies: the kit itself may be read-only.
    pub fn target(&self) -> &Path {
        &self.target
    }
}

/// This grader as a program that others can start. A newer one may have taken its place, as when Cargo builds the kit's
/// library for it.
pub fn own_program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("where this program lies is not known")?;
    let name = own.to_string_lossy();
    Ok(name.strip_suffix(" (deleted)").map_or(own.clone(), PathBuf::from))
}

/// Cargo knows many ways to name the folder. Of the kit that this grader was built from, it is the one that this
/// grader lies in.
fn target(root: &Path) -> PathBuf {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(real);
    let own = own_program().ok().filter(|_| built_from.is_some() && built_from == real(root));
    // It lies in a folder for the profile, and that one in a folder for the target if a target was named.
    let own = own.filter(|own| own.with_extension("d").is_file());
    if let Some(folder) = own.as_deref().and_then(|own| own.ancestors().nth(2)) {
        let is_named = folder.file_name().is_some_and(|name| name == env!("GRADER_TARGET"));
        return folder.parent().filter(|_| is_named).unwrap_or(folder).to_path_buf();
    }
    let named = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"].into_iter().find_map(std::env::var_os);
    let named = named.filter(|name| !name.is_empty()).and_then(|name| std::path::absolute(name).ok());
    named.unwrap_or_else(|| root.join("target"))
}

/// Reads a text file; the error names it. Lines end as they do on Unix, whatever a checkout made of them.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map(lines).with_context(|| format!("can't read {}", path.display()))
}

/// The text with the ends of lines that Unix has.
pub fn lines(text: String) -> String {
    if text.contains("\r\n") { text.replace("\r\n", "\n") } else { text }
}

/// Writes a file whole or not at all, and makes its folder.
pub fn write(path: &Path, text: &str) -> Result<()> {
    make(path.parent().context("a file needs a folder")?)?;
    // Another grader may be writing it, too.
    let part = path.with_extension(format!("part-{}", std::process::id()));
    let written = std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, path));
    written.with_context(|| format!("can't write {}{}", path.display(), elsewhere(path)))
}

/// Makes a folder and those above it.
pub fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("can't make {}{}", folder.display(), elsewhere(folder)))
}

/// What helps where the grader's own files can't be written.
fn elsewhere(path: &Path) -> &'static str {
    let own = path.components().any(|part| part.as_os_str() == "grade");
    if own { " (another folder can be named with CARGO_TARGET_DIR)" } else { "" }
}

/// The files in `dir` with the extension `ext`, sorted by name; none if there is no such folder.
pub fn files(dir: &Path, ext: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(dir).map(|entries| entries.flatten().map(|e| e.path()).collect()).unwrap_or_default();
    found.retain(|p| p.extension().is_some_and(|e| e == ext));
    found.sort();
    found
}

/// A file's name without folder and extension.
pub fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
