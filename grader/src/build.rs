//! Where modules come from, and how they become programs that can be asked.

use crate::cancel;
use crate::workspace::{Workspace, bin_name, read, write};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// Whose modules are graded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The learner's files.
    Exercises,
    /// The reference, in the grader's own process.
    Solutions,
    /// A file, or a folder that holds files as `exercises` does.
    Path(PathBuf),
    /// A program of any language, and its arguments.
    Worker(Vec<OsString>),
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

/// One file to build: the name that its program gets, the exercise that it solves, and where it lies.
pub struct Module {
    pub name: String,
    pub exercise: String,
    pub file: PathBuf,
}

impl Module {
    fn is_rust(&self) -> bool {
        is_rust(&self.file)
    }

    /// Its source: what the file holds, or for a patch what it makes of the file that it names.
    fn text(&self, workspace: &Workspace) -> Result<String> {
        let text = read(&self.file)?;
        if self.file.extension().is_some_and(|e| e == "rs") {
            return Ok(text);
        }
        let name = self.file.display();
        let start = text.find("--- ").with_context(|| format!("{name}: a patch has a line `--- FILE`"))?;
        let patch = diffy::Patch::from_str(&text[start..]).with_context(|| name.to_string())?;
        let base = patch.original().with_context(|| format!("{name}: `---` names the file that it changes"))?;
        let patched = diffy::apply(&read(&workspace.root.join(base))?, &patch)
            .with_context(|| format!("{name} does not fit {base} any more: write it anew"))?;
        if patched.contains("kit::exercise!(") {
            return Ok(patched);
        }
        // A solution is a part of a library; the learner's last line makes it a program.
        let exercise = self.exercise.as_str();
        let stub = read(&workspace.exercise_file(exercise))?;
        let last = stub.lines().find(|line| line.starts_with("kit::exercise!("));
        let last = last.with_context(|| format!("exercises/{exercise}.rs has no line `kit::exercise!(…);`"))?;
        Ok(format!("{patched}\n{last}\n"))
    }
}

/// Whether a module's file has to be compiled.
pub fn is_rust(file: &Path) -> bool {
    file.extension().is_some_and(|e| e == "rs" || e == "patch")
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

/// Builds modules. A Rust file is compiled alone against the kit, so that nothing around it (a manifest, a build
/// script, a neighbour that does not compile) takes part, and so that an edit costs one run of rustc and none of
/// Cargo. Any other executable file is a worker as it is.
pub fn build(workspace: &Workspace, modules: &[Module]) -> Result<BTreeMap<String, Program>> {
    let kit = if modules.iter().any(Module::is_rust) { Some(Kit::find(workspace)?) } else { None };
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

/// Sees to it that the kit is built, before modules are built one by one.
pub fn prepare(workspace: &Workspace) -> Result<()> {
    Kit::find(workspace).map(|_| ())
}

/// The kit's library as the exercises link it.
struct Kit {
    library: PathBuf,
    dependencies: PathBuf,
}

impl Kit {
    /// The library as Cargo left it, if nothing of the kit was changed since it was last asked; else as it makes it now.
    fn find(workspace: &Workspace) -> Result<Kit> {
        let stamp = workspace.target().join("grade/kit");
        let sources = ["kit/api", "kit/contract", "Cargo.toml", "Cargo.lock"].map(|path| workspace.root.join(path));
        let library = std::fs::read_to_string(&stamp).map(PathBuf::from).unwrap_or_default();
        let asked = stamp.metadata().and_then(|data| data.modified());
        let changed = sources.iter().chain([&library]).filter_map(|path| newest(path)).max();
        if library.is_file() && asked.is_ok_and(|asked| changed.is_some_and(|changed| asked > changed)) {
            return Ok(Kit::of(library));
        }
        let library = Kit::build(workspace)?;
        write(&stamp, &library.to_string_lossy())?;
        Ok(Kit::of(library))
    }

    fn of(library: PathBuf) -> Kit {
        let dependencies = library.parent().map(|dir| dir.join("deps")).unwrap_or_default();
        Kit { library, dependencies }
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

/// The compiler beside the Cargo that runs us, which spares the detour through rustup.
fn rustc() -> OsString {
    let beside = std::env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name("rustc"));
    let beside = beside.filter(|rustc| rustc.is_file()).map(PathBuf::into_os_string);
    std::env::var_os("RUSTC").or(beside).unwrap_or_else(|| "rustc".into())
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

fn build_file(workspace: &Workspace, kit: Option<&Kit>, module: &Module) -> Result<Program> {
    let file = std::fs::canonicalize(&module.file).with_context(|| module.file.display().to_string())?;
    let (Some(kit), true) = (kit, module.is_rust()) else {
        if !is_executable(&file) {
            bail!("{} is neither a Rust file nor an executable program", file.display());
        }
        return Ok(Program::Ready { command: vec![file.into_os_string()], warnings: String::new() });
    };
    // Modules of one exercise from several places, built at the same time perhaps, must not meet.
    let mut place = DefaultHasher::new();
    file.hash(&mut place);
    let name = format!("{}-{:016x}", bin_name(&module.name), place.finish());
    let dir = workspace.target().join("grade/modules").join(name);
    std::fs::create_dir_all(&dir).with_context(|| format!("can't make {}", dir.display()))?;
    let (program, source) = (dir.join("module"), dir.join("source.rs"));
    let text = module.text(workspace)?;
    let newer = |than: &Path| Some(program.metadata().ok()?.modified().ok()? > than.metadata().ok()?.modified().ok()?);
    let ready = |warnings| Program::Ready { command: vec![program.clone().into_os_string()], warnings };
    if newer(&kit.library) == Some(true) && std::fs::read_to_string(&source).is_ok_and(|built| built == text) {
        return Ok(ready(String::new()));
    }
    let rustc = rustc();
    let fresh = dir.join(format!("module-{}", std::process::id()));
    let input = if file.extension().is_some_and(|e| e == "patch") { dir.join("patched.rs") } else { file };
    if input.starts_with(&dir) {
        write(&input, &text)?;
    }
    let mut library: OsString = "kit=".into();
    library.push(&kit.library);
    let mut dependencies: OsString = "dependency=".into();
    dependencies.push(&kit.dependencies);
    let mut compiler = Command::new(&rustc)
        .arg(&input)
        .args(["--edition", "2024", "--crate-type", "bin", "--crate-name", "module"])
        .args(["--error-format", "json", "--json", "diagnostic-rendered-ansi"])
        .arg("--extern")
        .arg(&library)
        .arg("-L")
        .arg(&dependencies)
        .arg("-o")
        .arg(&fresh)
        .current_dir(&workspace.root)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("can't run {}: is Rust installed? https://rustup.rs", rustc.display()))?;
    let running = cancel::register(&compiler);
    let mut said = String::new();
    compiler.stderr.take().context("a pipe is missing")?.read_to_string(&mut said)?;
    drop(running);
    let status = compiler.wait()?;
    let (mut errors, mut warnings) = (String::new(), String::new());
    for line in said.lines() {
        if let Ok(Diagnostic { level, rendered }) = serde_json::from_str(line) {
            let into = if level.starts_with("error") { &mut errors } else { &mut warnings };
            into.push_str(&rendered.unwrap_or_default());
        }
    }
    if !status.success() {
        // The kit was built by another compiler than the one that is there now.
        if errors.contains("E0514") {
            bail!("the kit was built by another version of Rust; `cargo clean` and try again:\n{errors}");
        }
        if errors.is_empty() {
            bail!("{} ended with {}: {}", rustc.display(), status, said);
        }
        return Ok(Program::Broken { errors });
    }
    std::fs::rename(&fresh, &program).with_context(|| format!("can't write {}", program.display()))?;
    // A module with warnings is built again, so that they are seen again.
    if warnings.is_empty() {
        write(&source, &text)?;
    }
    Ok(ready(warnings))
}

/// The part of rustc's messages that matters here.
#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    rendered: Option<String>,
}
