//! The kit's library as modules link it, and the compiler that made it.

use super::cargo::{self, Libraries, Settings};
use crate::workspace::{Workspace, write};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::env::{home_dir, var_os};
use std::ffi::OsStr;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The kit's library, and how a module is compiled against it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kit {
    pub libraries: Libraries,
    pub settings: Settings,
    /// What is different in another build of the library.
    library: State,
    /// When what the library was made of was touched last. If it was, its contents are compared.
    glance: String,
    /// What the library was made of.
    sources: String,
    /// What Cargo's settings depend on.
    surroundings: String,
}

/// So many surroundings are remembered.
const NOTED: usize = 4;

/// When a file was written, and how long it is.
type State = Option<(SystemTime, u64)>;

impl Kit {
    /// The library as Cargo left it, if nothing of the kit and of Cargo's settings was changed since it was last asked;
    /// else as it makes it now. It is contents that are compared: clocks go backwards, and archives keep old times.
    pub fn find(workspace: &Workspace) -> Result<Kit> {
        let stamp = workspace.target().join("grade/kit");
        let all: Vec<Kit> =
            std::fs::read(&stamp).ok().and_then(|noted| serde_json::from_slice(&noted).ok()).unwrap_or_default();
        let glance = sources(workspace, Fingerprint::state);
        // Reading them all takes milliseconds, in every run.
        let unread = all.iter().find(|kit| kit.glance == glance).map(|kit| kit.sources.clone());
        let sources = unread.unwrap_or_else(|| sources(workspace, Fingerprint::file));
        // Cargo sets variables for the programs that it runs, and who starts the grader without Cargo has others.
        let here = |kit: &Kit| kit.surroundings == surroundings(workspace, &kit.settings.compiler);
        let noted = fitting(&all, &sources, here).cloned();
        let toolchain = noted.as_ref().or(all.first()).map(|kit| kit.settings.toolchain.clone());
        if let Some(noted) = noted.as_ref().filter(|kit| here(kit)) {
            tracing::debug!(library = %noted.libraries.kit.display(), "the kit is as it was");
            let kit = Kit { glance, ..noted.clone() };
            if noted.glance != kit.glance {
                kit.note(&stamp, all)?;
            }
            return Ok(kit);
        }
        let settings = cargo::settings(workspace, toolchain.as_deref())?;
        tracing::debug!(?settings, "Cargo's settings");
        let same = |kit: &Kit| {
            kit.settings.compiler == settings.compiler && kit.settings.of_libraries().eq(settings.of_libraries())
        };
        let libraries = match noted.filter(same) {
            Some(kit) => kit.libraries,
            None => cargo::libraries(workspace, &settings)?,
        };
        let surroundings = surroundings(workspace, &settings.compiler);
        let kit = Kit { library: state(&libraries.kit), libraries, settings, glance, sources, surroundings };
        kit.note(&stamp, all)?;
        Ok(kit)
    }

    /// Where a module finds its libraries when it is started, if it doesn't hold them.
    pub fn run_time(&self) -> Vec<PathBuf> {
        if self.libraries.is_dynamic() { vec![self.libraries.folder.clone()] } else { Vec::new() }
    }

    /// Puts it before what is noted of other surroundings.
    fn note(&self, stamp: &Path, all: Vec<Kit>) -> Result<()> {
        let others = all.into_iter().filter(|kit| kit.surroundings != self.surroundings).take(NOTED - 1);
        let all: Vec<Kit> = std::iter::once(self.clone()).chain(others).collect();
        write(stamp, &serde_json::to_string_pretty(&all)?)
    }

    /// What is different where a module has to be compiled anew.
    pub fn identity(&self) -> String {
        format!("{:?} {:?} {:?}", self.libraries.kit, self.library, self.settings)
    }
}

/// Of what was noted, the newest first, the library that fits the present tree: the one of these surroundings, or else
/// the newest.
fn fitting<'a>(all: &'a [Kit], sources: &str, here: impl Fn(&Kit) -> bool) -> Option<&'a Kit> {
    let fits = |kit: &&Kit| kit.sources == sources && kit.library.is_some() && kit.library == state(&kit.libraries.kit);
    all.iter().filter(fits).find(|kit| here(kit)).or_else(|| all.iter().find(fits))
}

/// A name for all files that the library is made of, by what `look` sees of each.
fn sources(workspace: &Workspace, look: fn(&mut Fingerprint, &Path)) -> String {
    let mut seen = Fingerprint::default();
    for path in ["kit/api", "kit/codec", "kit/contract", "Cargo.toml", "Cargo.lock"] {
        seen.tree(&workspace.root.join(path), look);
    }
    seen.text()
}

/// All that Cargo and rustup read to decide how a program is built: variables, files, and which compiler is there.
fn surroundings(workspace: &Workspace, compiler: &Path) -> String {
    let mut seen = Fingerprint::default();
    let mut variables: Vec<_> = std::env::vars_os().filter(|(name, _)| concerns_cargo(name)).collect();
    variables.sort();
    for (name, value) in variables {
        seen.text_of(&name);
        seen.text_of(&value);
    }
    seen.text_of(OsStr::new(&format!("{:?}", state(compiler))));
    let home = home_dir().unwrap_or_default();
    let folder = |variable: &str, name: &str| var_os(variable).map_or(home.join(name), PathBuf::from);
    let (cargo, rustup) = (folder("CARGO_HOME", ".cargo"), folder("RUSTUP_HOME", ".rustup"));
    seen.file(&rustup.join("settings.toml"));
    let here = std::env::current_dir().ok().filter(|here| here.starts_with(&workspace.root));
    let here = here.as_deref().unwrap_or(&workspace.root);
    for above in here.ancestors() {
        ["rust-toolchain.toml", "rust-toolchain"].iter().for_each(|name| seen.file(&above.join(name)));
        ["config.toml", "config"].iter().for_each(|name| seen.file(&above.join(".cargo").join(name)));
    }
    ["config.toml", "config"].iter().for_each(|name| seen.file(&cargo.join(name)));
    seen.text()
}

/// Cargo tells the programs that it runs about their package, and that is no setting.
fn concerns_cargo(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    let own = ["CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "RUST_LOG"];
    name == "CARGO"
        || (name.starts_with("CARGO_") || name.starts_with("RUST"))
            && !told.iter().any(|start| name.starts_with(start))
            && !own.contains(&&*name)
}

fn state(file: &Path) -> State {
    let data = file.metadata().ok()?;
    Some((data.modified().ok()?, data.len()))
}

/// What no program can set back.
#[cfg(unix)]
fn touched(file: &Path) -> Option<(i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    file.metadata().ok().map(|data| (data.ctime(), data.ctime_nsec()))
}

#[cfg(not(unix))]
fn touched(_: &Path) -> Option<(i64, i64)> {
    None
}

/// A short name for a text.
pub fn fingerprint(text: &str) -> String {
    let mut seen = Fingerprint::default();
    seen.text_of(OsStr::new(text));
    seen.text()
}

/// A short name for the contents of many files.
#[derive(Default)]
struct Fingerprint(SipHasher13);

impl Fingerprint {
    fn text_of(&mut self, text: &OsStr) {
        self.bytes(text.as_encoded_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.write_usize(bytes.len());
        self.0.write(bytes);
    }

    /// A file, if it is there.
    fn file(&mut self, path: &Path) {
        match std::fs::read(path) {
            Ok(bytes) => self.bytes(&bytes),
            Err(_) => self.0.write_u8(0),
        }
    }

    /// What changes with a file, and with a copy of it.
    fn state(&mut self, path: &Path) {
        self.text_of(path.as_os_str());
        self.text_of(OsStr::new(&format!("{:?} {:?}", state(path), touched(path))));
    }

    /// A file, or all files in a folder.
    fn tree(&mut self, path: &Path, look: fn(&mut Fingerprint, &Path)) {
        let Ok(entries) = std::fs::read_dir(path) else { return look(self, path) };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            self.text_of(path.file_name().unwrap_or_default());
            self.tree(&path, look);
        }
    }

    fn text(&self) -> String {
        format!("{:032x}", self.0.finish128().as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_of_another_tree_is_passed_over() {
        let folder = tempfile::tempdir().expect("a folder for this test");
        let library = folder.path().join("libkit.rlib");
        std::fs::write(&library, "a library").expect("a library");
        let noted = |sources: &str, surroundings: &str| Kit {
            libraries: Libraries { kit: library.clone(), folder: folder.path().into() },
            settings: Settings::default(),
            library: state(&library),
            glance: String::new(),
            sources: sources.into(),
            surroundings: surroundings.into(),
        };
        let gone = Kit {
            libraries: Libraries { kit: folder.path().join("gone.rlib"), folder: folder.path().into() },
            ..noted("now", "here")
        };
        let found =
            |all: &[Kit]| fitting(all, "now", |kit| kit.surroundings == "here").map(|kit| kit.surroundings.clone());
        assert_eq!(found(&[noted("now", "cargo"), noted("now", "here")]).as_deref(), Some("here"));
        assert_eq!(
            found(&[noted("before", "here"), noted("now", "cargo"), noted("now", "old")]).as_deref(),
            Some("cargo")
        );
        assert_eq!(found(&[gone, noted("now", "cargo")]).as_deref(), Some("cargo"));
        assert_eq!(found(&[noted("before", "here"), noted("before", "cargo")]), None);
    }
}
