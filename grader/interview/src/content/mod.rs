//! What is asked: data files in `solutions/interviews`, one kind of question a folder.
//!
//! Each item names its chapter, its level and where the fact stands that it asks for. `cargo grade interview check` holds
//! all of them against what they must be, and against what the engine really does.

pub mod check;
pub mod design;
pub mod warmup;

pub use kit_cluster::incident::{Choice, Incident, Level};

use anyhow::{Context, Result, bail};
use design::Design;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use warmup::Warmup;

/// Where the files lie, below the kit's folder.
pub const FOLDER: &str = "solutions/interviews";

/// Everything that can be asked.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// By exercise or page (`scheduler/taints`), in the order of their files.
    pub warmups: BTreeMap<String, Vec<Warmup>>,
    /// By name.
    pub incidents: BTreeMap<String, Incident>,
    /// By name.
    pub designs: BTreeMap<String, Design>,
    /// The hints of each exercise.
    pub hints: BTreeMap<String, Vec<String>>,
}

impl Content {
    /// Reads everything below the kit's folder `root`.
    ///
    /// # Errors
    ///
    /// If a file is not what it must be; the message names the file and the place in it.
    pub fn load(root: &Path) -> Result<Content> {
        let folder = root.join(FOLDER);
        Ok(Content {
            warmups: read_all(&folder.join("warmups"))?,
            incidents: incidents(&folder.join("incidents"))?,
            designs: read_all(&folder.join("design"))?,
            hints: read(&root.join("solutions/hints.yaml"))?,
        })
    }

    /// All warm-up questions with their names, such as `scheduler/taints/two-taints`.
    pub fn each_warmup(&self) -> impl Iterator<Item = (String, &Warmup)> {
        self.warmups.iter().flat_map(|(page, all)| all.iter().map(move |one| (format!("{page}/{}", one.id), one)))
    }

    /// All pages about which something is asked, some of them several times.
    pub fn pages(&self) -> impl Iterator<Item = &str> {
        let warmups = self.warmups.keys().map(String::as_str);
        let incidents = self.incidents.values().map(|one| one.chapter.as_str());
        let designs = self.designs.values().map(|one| one.chapter.as_str());
        warmups.chain(kit_contract::EXERCISES.iter().copied()).chain(incidents).chain(designs)
    }

    /// A warm-up question by its name.
    pub fn warmup(&self, name: &str) -> Option<&Warmup> {
        let (page, id) = name.rsplit_once('/')?;
        self.warmups.get(page)?.iter().find(|one| one.id == id)
    }
}

/// The kit's folder around the current one, or else the one that this program was built from.
///
/// # Errors
///
/// If there is none.
pub fn root() -> Result<PathBuf> {
    let here = std::env::current_dir()?;
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = here.ancestors().chain(built_from.ancestors());
    let root = folders.find(|folder| folder.join("exercises/catalog.yaml").is_file());
    Ok(root.context("this is not a folder of the kit: no exercises/catalog.yaml here or above")?.to_path_buf())
}

fn incidents(folder: &Path) -> Result<BTreeMap<String, Incident>> {
    let all = Incident::load_all(folder).map_err(anyhow::Error::msg)?;
    Ok(all.into_iter().map(|one| (one.name.clone(), one)).collect())
}

/// All `.yaml` files of a folder and of those in it, by their path without the ending.
fn read_all<T: DeserializeOwned>(folder: &Path) -> Result<BTreeMap<String, T>> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        let entries = std::fs::read_dir(&next).with_context(|| format!("can't read {}", next.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            if path.extension().is_none_or(|ending| ending != "yaml") {
                bail!("{}: only .yaml files belong here", path.display());
            }
            let name = path.strip_prefix(folder).unwrap_or(&path).with_extension("");
            all.insert(name.to_string_lossy().into_owned(), read(&path)?);
        }
    }
    Ok(all)
}

/// What a YAML file says.
///
/// # Errors
///
/// If it can't be read, or is something else; the message names the place in it.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
    // Steps of timelines are maps of one key, which YAML reads as enums only when they come as JSON.
    let value: serde_json::Value = serde_yaml::from_str(&text).with_context(|| path.display().to_string())?;
    let read = serde_path_to_error::deserialize(value);
    read.map_err(|error| anyhow::anyhow!("{}: {}: {}", path.display(), error.path(), error.inner()))
}
