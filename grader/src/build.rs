//! Where modules come from, and how they become programs that can be asked.

use crate::workspace::{Workspace, bin_name, read, write};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whose modules are graded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The learner's files.
    Exercises,
    /// The reference, in the grader's own process.
    Solutions,
    /// A file, or a folder that holds files as `exercises` does.
    Path(PathBuf),
}

impl std::str::FromStr for Source {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "exercises" => Source::Exercises,
            "solutions" => Source::Solutions,
            path => Source::Path(path.into()),
        })
    }
}

/// A module that can be started, or what the compiler said.
#[derive(Debug, Clone)]
pub enum Program {
    /// The command that starts its worker, and what the compiler warned of.
    Ready { command: Vec<OsString>, warnings: String },
    /// The compiler's errors, with colours.
    Broken { errors: String },
}

/// One file to build: the name that its program gets, and where it lies.
pub struct Module {
    pub name: String,
    pub file: PathBuf,
}

/// The file of `exercise` under `path`, if there is one.
pub fn find_module(path: &Path, exercise: &str) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_path_buf());
    }
    let rust = path.join(format!("{exercise}.rs"));
    if rust.is_file() {
        return Some(rust);
    }
    let (folder, stem) = (rust.parent()?, Path::new(exercise).file_name()?);
    let mut programs: Vec<PathBuf> = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    programs.sort();
    programs.into_iter().find(|file| file.file_stem() == Some(stem) && is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Builds the learner's own files: by exercise, in one run of Cargo.
pub fn build_exercises(workspace: &Workspace, names: &[&str]) -> Result<BTreeMap<String, Program>> {
    let bins: Vec<String> = names.iter().map(|name| bin_name(name)).collect();
    let mut args: Vec<OsString> = vec!["--package".into(), "exercises".into()];
    args.extend(bins.iter().flat_map(|bin| ["--bin".into(), bin.into()]));
    let mut built = cargo_build(&workspace.root, &args, &bins)?;
    Ok(names.iter().filter_map(|name| Some((name.to_string(), built.remove(&bin_name(name))?))).collect())
}

/// Builds files from anywhere. Rust files are copied into a package of their own, so that nothing around
/// them (a manifest, a build script) takes part; any other executable file is a worker as it is.
pub fn build_files(workspace: &Workspace, package: &str, modules: &[Module]) -> Result<BTreeMap<String, Program>> {
    let mut programs = BTreeMap::new();
    let mut bins = Vec::new();
    let scratch = workspace.target().join("grade").join(package);
    let mut manifest = scratch_manifest(workspace)?;
    for module in modules {
        if module.file.extension().is_none_or(|e| e != "rs") {
            if !is_executable(&module.file) {
                bail!("{} is neither a Rust file nor an executable program", module.file.display());
            }
            let command = vec![std::fs::canonicalize(&module.file)?.into_os_string()];
            programs.insert(module.name.clone(), Program::Ready { command, warnings: String::new() });
            continue;
        }
        let bin = bin_name(&module.name);
        manifest.push_str(&format!("\n[[bin]]\nname = {bin:?}\npath = {:?}\n", format!("{bin}.rs")));
        write_if_new(&scratch.join(format!("{bin}.rs")), &read(&module.file)?)?;
        bins.push((module.name.clone(), bin));
    }
    if bins.is_empty() {
        return Ok(programs);
    }
    write_if_new(&scratch.join("Cargo.toml"), &manifest)?;
    let lock = scratch.join("Cargo.lock");
    if !lock.is_file() {
        write(&lock, &read(&workspace.root.join("Cargo.lock"))?)?;
    }
    let names: Vec<String> = bins.iter().map(|(_, bin)| bin.clone()).collect();
    let args = ["--bins".into(), "--offline".into()];
    let mut built = cargo_build(&scratch, &args, &names)?;
    programs.extend(bins.into_iter().filter_map(|(name, bin)| Some((name, built.remove(&bin)?))));
    Ok(programs)
}

/// A package of its own workspace over the same kit, with the same profiles.
fn scratch_manifest(workspace: &Workspace) -> Result<String> {
    let root = read(&workspace.root.join("Cargo.toml"))?;
    let profiles: String = root
        .split_inclusive('\n')
        .skip_while(|line| !line.starts_with("[profile."))
        .take_while(|line| !line.starts_with('[') || line.starts_with("[profile."))
        .collect();
    let kit = workspace.root.join("kit/contract");
    Ok(format!(
        "[workspace]\n\n[package]\nname = \"modules\"\nversion = \"0.0.0\"\nedition = \"2024\"\nautobins = false\n\n\
         [dependencies]\nkit = {{ package = \"kit-contract\", path = {kit:?} }}\n\n{profiles}"
    ))
}

/// Cargo builds what is newer; a file that stays the same must keep its time.
fn write_if_new(path: &Path, text: &str) -> Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    write(path, text)
}

/// The part of Cargo's messages that matters here.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact {
        target: Target,
        executable: Option<PathBuf>,
    },
    CompilerMessage {
        target: Target,
        message: Diagnostic,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    rendered: Option<String>,
}

fn cargo_build(dir: &Path, args: &[OsString], bins: &[String]) -> Result<BTreeMap<String, Program>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut child = Command::new(&cargo)
        .args(["build", "--keep-going", "--quiet", "--message-format=json-diagnostic-rendered-ansi"])
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("can't run {}: is Rust installed? https://rustup.rs", cargo.display()))?;
    let mut stderr = child.stderr.take().context("a pipe is missing")?;
    let said = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    let mut executables: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut errors: BTreeMap<String, String> = BTreeMap::new();
    let mut warnings: BTreeMap<String, String> = BTreeMap::new();
    for line in BufReader::new(child.stdout.take().context("a pipe is missing")?).lines() {
        // Build scripts may print lines of their own.
        match serde_json::from_str(&line?).unwrap_or(Message::Other) {
            Message::CompilerArtifact { target, executable: Some(path) } => _ = executables.insert(target.name, path),
            Message::CompilerMessage { target, message } => {
                let into = if message.level.starts_with("error") { &mut errors } else { &mut warnings };
                into.entry(target.name).or_default().push_str(&message.rendered.unwrap_or_default());
            }
            _ => {}
        }
    }
    let status = child.wait()?;
    let said = said.join().unwrap_or_default();
    let mut programs = BTreeMap::new();
    for bin in bins {
        let program = match (executables.remove(bin), errors.remove(bin)) {
            (Some(path), None) => {
                let warnings = warnings.remove(bin).unwrap_or_default();
                Program::Ready { command: vec![path.into_os_string()], warnings }
            }
            (_, Some(errors)) => Program::Broken { errors },
            (None, None) => {
                // No word about this program: something before it is broken, and that isn't the learner's fault.
                let elsewhere: String = errors.values().cloned().collect();
                bail!("cargo build in {} ended with {status}:\n{elsewhere}{said}", dir.display())
            }
        };
        programs.insert(bin.clone(), program);
    }
    Ok(programs)
}
