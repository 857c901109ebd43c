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

impl Module {
    fn is_rust(&self) -> bool {
        self.file.extension().is_some_and(|e| e == "rs")
    }
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
    let mut args = vec!["--package", "exercises"];
    args.extend(bins.iter().flat_map(|bin| ["--bin", bin]));
    let (artifacts, mut said) = cargo_build(&workspace.root, &args)?;
    let mut executables: BTreeMap<String, PathBuf> =
        artifacts.into_iter().filter_map(|a| Some((a.target.name, a.executable?))).collect();
    let mut programs = BTreeMap::new();
    for (name, bin) in names.iter().zip(&bins) {
        let program = match (executables.remove(bin), said.errors.remove(bin)) {
            (_, Some(errors)) => Program::Broken { errors },
            (Some(path), None) => {
                let warnings = said.warnings.remove(bin).unwrap_or_default();
                Program::Ready { command: vec![path.into_os_string()], warnings }
            }
            // No word about this program: something before it is broken, and that isn't the learner's fault.
            (None, None) => bail!("Cargo did not build exercises/{name}.rs:\n{}", said.text()),
        };
        programs.insert(name.to_string(), program);
    }
    Ok(programs)
}

/// Builds files from anywhere. A Rust file is compiled alone against the kit, so that nothing around it (a
/// manifest, a build script) takes part; any other executable file is a worker as it is.
pub fn build_files(workspace: &Workspace, modules: &[Module]) -> Result<BTreeMap<String, Program>> {
    let kit = if modules.iter().any(Module::is_rust) { Some(Kit::build(workspace)?) } else { None };
    let mut jobs: Vec<(&Module, Result<Program>)> = Vec::new();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(module) = modules.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            done.push((module, build_file(workspace, kit.as_ref(), module)));
        }
        done
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        jobs.extend(workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()));
    });
    jobs.into_iter().map(|(module, program)| Ok((module.name.clone(), program?))).collect()
}

/// The kit's library as the exercises link it.
struct Kit {
    library: PathBuf,
    dependencies: PathBuf,
}

impl Kit {
    fn build(workspace: &Workspace) -> Result<Kit> {
        let (artifacts, said) = cargo_build(&workspace.root, &["--package", "kit-contract", "--lib"])?;
        let files = artifacts.into_iter().filter(|a| a.target.name == "kit_contract").flat_map(|a| a.filenames);
        let library = files.into_iter().find(|file| file.extension().is_some_and(|e| e == "rlib"));
        let library = library.with_context(|| format!("the kit itself does not build:\n{}", said.text()))?;
        let dependencies = library.parent().map(|dir| dir.join("deps")).unwrap_or_default();
        Ok(Kit { library, dependencies })
    }
}

fn build_file(workspace: &Workspace, kit: Option<&Kit>, module: &Module) -> Result<Program> {
    let file = std::fs::canonicalize(&module.file).with_context(|| module.file.display().to_string())?;
    let (Some(kit), true) = (kit, module.is_rust()) else {
        if !is_executable(&file) {
            bail!("{} is neither a Rust file nor an executable program", file.display());
        }
        return Ok(Program::Ready { command: vec![file.into_os_string()], warnings: String::new() });
    };
    let name = bin_name(&module.name);
    let dir = workspace.target().join("grade/modules").join(&name);
    std::fs::create_dir_all(&dir).with_context(|| format!("can't make {}", dir.display()))?;
    let (program, source) = (dir.join("module"), dir.join("source.rs"));
    let text = read(&file)?;
    let newer = |than: &Path| Some(program.metadata().ok()?.modified().ok()? > than.metadata().ok()?.modified().ok()?);
    let ready = |warnings| Program::Ready { command: vec![program.clone().into_os_string()], warnings };
    if newer(&kit.library) == Some(true) && std::fs::read_to_string(&source).is_ok_and(|built| built == text) {
        return Ok(ready(String::new()));
    }
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut library: OsString = "kit=".into();
    library.push(&kit.library);
    let mut dependencies: OsString = "dependency=".into();
    dependencies.push(&kit.dependencies);
    let out = Command::new(&rustc)
        .arg(&file)
        .args(["--edition", "2024", "--crate-type", "bin", "--crate-name", "module"])
        .args(["--error-format", "json", "--json", "diagnostic-rendered-ansi"])
        .arg("--extern")
        .arg(&library)
        .arg("-L")
        .arg(&dependencies)
        .arg("-o")
        .arg(&program)
        .current_dir(&workspace.root)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't run {}: is Rust installed? https://rustup.rs", rustc.display()))?;
    let (mut errors, mut warnings) = (String::new(), String::new());
    for line in String::from_utf8_lossy(&out.stderr).lines() {
        if let Ok(diagnostic) = serde_json::from_str::<Diagnostic>(line) {
            diagnostic.sort(&mut errors, &mut warnings);
        }
    }
    if !out.status.success() {
        if errors.is_empty() {
            bail!("{} ended with {}: {}", rustc.display(), out.status, String::from_utf8_lossy(&out.stderr));
        }
        return Ok(Program::Broken { errors });
    }
    // A module with warnings is built again, so that they are seen again.
    if warnings.is_empty() {
        write(&source, &text)?;
    }
    Ok(ready(warnings))
}

/// The part of Cargo's messages that matters here.
#[derive(Deserialize)]
#[serde(tag = "reason")]
enum Message {
    #[serde(rename = "compiler-artifact")]
    Artifact(Artifact),
    #[serde(rename = "compiler-message")]
    Compiler {
        target: Target,
        message: Diagnostic,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Artifact {
    target: Target,
    executable: Option<PathBuf>,
    filenames: Vec<PathBuf>,
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

impl Diagnostic {
    fn sort(self, errors: &mut String, warnings: &mut String) {
        let into = if self.level.starts_with("error") { errors } else { warnings };
        into.push_str(&self.rendered.unwrap_or_default());
    }
}

/// What the compiler said, by target, and Cargo itself.
#[derive(Default)]
struct Said {
    errors: BTreeMap<String, String>,
    warnings: BTreeMap<String, String>,
    cargo: String,
}

impl Said {
    fn text(&self) -> String {
        self.errors.values().cloned().chain([self.cargo.clone()]).collect()
    }
}

/// Builds something of the workspace. The grader is always named beside it, because Cargo unites the features
/// of all packages that are named: so the kit is built once, and not for each of the two again.
fn cargo_build(root: &Path, args: &[&str]) -> Result<(Vec<Artifact>, Said)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut child = Command::new(&cargo)
        .args(["build", "--keep-going", "--quiet", "--message-format=json-diagnostic-rendered-ansi"])
        .args(["--package", "grader"])
        .args(args)
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("can't run {}: is Rust installed? https://rustup.rs", cargo.display()))?;
    let mut stderr = child.stderr.take().context("a pipe is missing")?;
    let cargo_said = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    let (mut artifacts, mut said) = (Vec::new(), Said::default());
    for line in BufReader::new(child.stdout.take().context("a pipe is missing")?).lines() {
        // Build scripts may print lines of their own.
        match serde_json::from_str(&line?).unwrap_or(Message::Other) {
            Message::Artifact(artifact) => artifacts.push(artifact),
            Message::Compiler { target, message } => {
                let errors = said.errors.entry(target.name.clone()).or_default();
                message.sort(errors, said.warnings.entry(target.name).or_default());
            }
            Message::Other => {}
        }
    }
    said.errors.retain(|_, text| !text.is_empty());
    said.cargo = cargo_said.join().unwrap_or_default();
    child.wait()?;
    Ok((artifacts, said))
}
