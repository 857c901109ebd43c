//! Which folders the linker needs behind the walls: people have it in other places than the system's.

use super::{cargo::which, is_harmless};
use crate::workspace::Workspace;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Scripts that start scripts are followed so far.
const DEPTH: usize = 4;
/// A longer program is no script that somebody wrote to start a linker.
const SCRIPT: u64 = 64 << 10;

/// Files and folders of all programs and libraries that linking with these flags may need.
pub fn readable(workspace: &Workspace, flags: &[String]) -> BTreeSet<PathBuf> {
    let mut found = Found { workspace, paths: BTreeSet::new() };
    let linker = flags.iter().rev().find_map(|flag| flag.strip_prefix("-Clinker="));
    found.named(linker.unwrap_or("cc"));
    found.named("ld");
    for flag in flags {
        if let Some((_, name)) = flag.split_once("-fuse-ld=") {
            found.named(name);
            found.named(&format!("ld.{name}"));
        }
        found.mentioned(flag, 0);
    }
    found.paths
}

struct Found<'a> {
    workspace: &'a Workspace,
    paths: BTreeSet<PathBuf>,
}

impl Found<'_> {
    fn named(&mut self, program: &str) {
        if let Some(file) = which(program) {
            self.program(&file, 0);
        }
    }

    /// The program, what it is a link to, what lies beside it, and if it is a script, the programs that it names.
    fn program(&mut self, file: &Path, depth: usize) {
        let Ok(real) = std::fs::canonicalize(file) else { return };
        if depth > DEPTH || !self.paths.insert(real.clone()) {
            return;
        }
        for folder in [file.parent(), real.parent()].into_iter().flatten() {
            self.folder(folder);
            if folder.ends_with("bin") {
                let beside = folder.parent().and_then(|above| std::fs::read_dir(above).ok());
                beside
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|entry| entry.path())
                    .filter(|path| holds_parts(path))
                    .for_each(|path| self.folder(&path));
            }
        }
        let is_short = real.metadata().is_ok_and(|data| data.len() <= SCRIPT);
        if let Some(script) = std::fs::read(&real).ok().filter(|bytes| is_short && bytes.starts_with(b"#!")) {
            self.mentioned(&String::from_utf8_lossy(&script), depth + 1);
        }
    }

    /// All paths in a text.
    fn mentioned(&mut self, text: &str, depth: usize) {
        let ends = |c: char| c.is_whitespace() || "\"'`=,:;()|&<>#!@".contains(c);
        for word in text.split(ends) {
            let Some(path) = word.find('/').map(|at| Path::new(&word[at..])).filter(|path| path.is_absolute()) else {
                continue;
            };
            // `-L/opt/lib` and `-B/opt/bin` name folders.
            if path.is_dir() && word.starts_with("-") {
                self.folder(path);
            } else if path.is_file() {
                self.program(path, depth);
            }
        }
    }

    fn folder(&mut self, path: &Path) {
        if let Some(real) = std::fs::canonicalize(path).ok().filter(|real| is_harmless(self.workspace, real)) {
            self.paths.insert(real);
        }
    }
}

/// Beside `bin`, compilers keep their libraries, their helpers, and folders named after a target.
fn holds_parts(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("lib") || name == "sysroot" || name.starts_with(std::env::consts::ARCH)
}
