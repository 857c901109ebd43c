//! The kit's library as modules link it, and the compiler that made it.

use crate::workspace::{Workspace, write};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// The kit's library as the exercises link it.
pub struct Kit {
    pub library: PathBuf,
    pub dependencies: PathBuf,
    /// The folder of the Rust toolchain, which holds `bin/rustc` and the standard library.
    pub toolchain: PathBuf,
}

impl Kit {
    /// The library as Cargo left it, if nothing of the kit was changed since it was last asked; else as it makes it now.
    pub fn find(workspace: &Workspace) -> Result<Kit> {
        let stamp = workspace.target().join("grade/kit");
        let sources = ["kit/api", "kit/contract", "Cargo.toml", "Cargo.lock"].map(|path| workspace.root.join(path));
        let noted = std::fs::read_to_string(&stamp).unwrap_or_default();
        let mut noted = noted.lines().map(PathBuf::from);
        let (library, toolchain) = (noted.next().unwrap_or_default(), noted.next().unwrap_or_default());
        let asked = stamp.metadata().and_then(|data| data.modified());
        let changed = sources.iter().chain([&library]).filter_map(|path| newest(path)).max();
        let fresh = asked.is_ok_and(|asked| changed.is_some_and(|changed| asked > changed));
        let same = beside_cargo().is_none_or(|beside| beside == toolchain);
        if library.is_file() && fresh && same && compiler(&toolchain).is_file() {
            return Ok(Kit::of(library, toolchain));
        }
        let library = Kit::build(workspace)?;
        let toolchain = toolchain_of(workspace)?;
        write(&stamp, &format!("{}\n{}\n", library.display(), toolchain.display()))?;
        Ok(Kit::of(library, toolchain))
    }

    fn of(library: PathBuf, toolchain: PathBuf) -> Kit {
        let dependencies = library.parent().map(|dir| dir.join("deps")).unwrap_or_default();
        Kit { library, dependencies, toolchain }
    }

    pub fn compiler(&self) -> PathBuf {
        compiler(&self.toolchain)
    }

    /// Cargo unites the features of all packages that are named; with the grader beside it, the kit is built once
    /// and not for each of the two again.
    fn build(workspace: &Workspace) -> Result<PathBuf> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let out = Command::new(&cargo)
            .args(["build", "--quiet", "--package", "grader", "--package", "kit-contract", "--lib"])
            .arg("--message-format=json-render-diagnostics")
            .current_dir(&workspace.root)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("can't run {}: is Rust installed? https://rustup.rs", cargo.display()))?;
        let messages = String::from_utf8_lossy(&out.stdout);
        messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Artifact>(line).ok())
            .filter(|artifact| artifact.target.name == "kit_contract")
            .flat_map(|artifact| artifact.filenames)
            .find(|file| file.extension().is_some_and(|e| e == "rlib"))
            .with_context(|| format!("the kit itself does not build:\n{}", String::from_utf8_lossy(&out.stderr)))
    }
}

fn compiler(toolchain: &Path) -> PathBuf {
    toolchain.join("bin/rustc")
}

/// The toolchain of the Cargo that runs us.
fn beside_cargo() -> Option<PathBuf> {
    let bin = PathBuf::from(std::env::var_os("CARGO")?).parent()?.to_path_buf();
    // Where rustup's links are, there is no compiler: each of them is rustup.
    let real = bin.join("rustc").is_file() && !bin.join("rustup").exists();
    real.then(|| bin.parent().map(Path::to_path_buf)).flatten()
}

/// The toolchain itself and not rustup's link to it: that one reads its settings in the home directory, and a compiler
/// of modules can't.
fn toolchain_of(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(beside) = beside_cargo() {
        return Ok(beside);
    }
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let out = Command::new(&rustc)
        .args(["--print", "sysroot"])
        .current_dir(&workspace.root)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't run {}: is Rust installed? https://rustup.rs", rustc.display()))?;
    Ok(PathBuf::from(String::from_utf8_lossy(&out.stdout).trim_end()))
}

/// When anything at or below `path` was changed last.
fn newest(path: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let own = path.metadata().and_then(|data| data.modified()).ok();
    entries.filter_map(|entry| newest(&entry.path())).chain(own).max()
}

/// The message of Cargo that matters here.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}
