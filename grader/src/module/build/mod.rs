//! Where modules come from, and how they become programs that can be asked.

mod cargo;
mod kit;
mod linker;
mod rustc;
mod together;

pub use together::{SHARED, Text, together};

pub use cargo::{become_package, recorded, run_package};
pub use kit::fingerprint;

use crate::commands::settings;
use crate::display::plain;
use crate::module::process::Start;
use crate::workspace::{Workspace, bin_name, lines, make, read, write};
use anyhow::{Context, Result, bail};
use kit::Kit;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::{Once, OnceLock};

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
    /// How its worker is started, and what the compiler warned of.
    Ready { start: Start, warnings: String },
    /// The compiler's errors, with colours.
    Broken { errors: String },
}

/// One file to build.
pub struct Module {
    /// The name that its program gets.
    pub name: String,
    /// The exercise that it solves.
    exercise: String,
    pub file: PathBuf,
    /// The folder that was handed in; the file must not be a link that leads out of it.
    folder: Option<PathBuf>,
    /// Its source, or why it is not taken.
    text: OnceLock<Result<String, String>>,
}

impl Module {
    /// A module that solves `exercise` and goes by the same name.
    pub fn of(exercise: &str, file: PathBuf) -> Self {
        Module { name: exercise.into(), exercise: exercise.into(), file, folder: None, text: OnceLock::new() }
    }

    /// One of several modules of an exercise.
    pub fn named(self, name: String) -> Self {
        Module { name, ..self }
    }

    /// From somebody else, who handed in a folder or this one file.
    pub fn within(self, path: &Path) -> Self {
        let above = path.parent().filter(|_| self.is_rust()).map(|above| Path::new(".").join(above));
        Module { folder: if path.is_dir() { Some(path.into()) } else { above }, ..self }
    }

    fn is_rust(&self) -> bool {
        is_rust(&self.file)
    }

    fn is_patch(&self) -> bool {
        self.file.extension().is_some_and(|e| e == "patch")
    }

    /// Where it lies, or why it is not taken.
    fn place(&self, workspace: &Workspace) -> Result<Result<PathBuf, String>> {
        let name = plain::name(&self.file);
        let file = std::fs::canonicalize(&self.file).with_context(|| name.clone())?;
        if let Some(folder) = &self.folder
            && !file.starts_with(std::fs::canonicalize(folder)?)
        {
            return Ok(Err(format!(
                "error: {name} is a link that leads out of {}; hand in the file",
                plain::name(folder)
            )));
        }
        let kept = || std::fs::canonicalize(workspace.root.join("tests/modules"));
        if self.is_patch() && !kept().is_ok_and(|kept| file.starts_with(kept)) {
            return Ok(Err(format!("error: {name} is a patch, as only tests/modules may hold; hand in a Rust file")));
        }
        Ok(Ok(file))
    }

    /// Its source: what the file holds, or for a patch what it makes of the file that it names. The file is read once, so
    /// that what was looked at is what is compiled.
    pub fn text(&self, workspace: &Workspace) -> Result<Result<String, String>> {
        if let Some(text) = self.text.get() {
            return Ok(text.clone());
        }
        let text = match self.place(workspace)? {
            Ok(file) => self.read(workspace, &file)?,
            Err(refused) => Err(refused),
        };
        Ok(self.text.get_or_init(|| text).clone())
    }

    fn read(&self, workspace: &Workspace, file: &Path) -> Result<Result<String, String>> {
        let name = plain::name(&self.file);
        let cannot = || format!("can't read {name}");
        // A pipe would be waited for.
        if !file.metadata().with_context(cannot)?.is_file() {
            return Ok(Err(format!("error: {name} is no file")));
        }
        let mut bytes = Vec::new();
        let opened = std::fs::File::open(file).with_context(cannot)?;
        opened.take(settings::SOURCE + 1).read_to_end(&mut bytes).with_context(cannot)?;
        if bytes.len() as u64 > settings::SOURCE {
            return Ok(Err(format!("error: {name} is larger than {} KiB", settings::SOURCE >> 10)));
        }
        let Ok(text) = String::from_utf8(bytes) else {
            return Ok(Err(format!("error: {name} is not UTF-8")));
        };
        if self.is_patch() { self.patched(workspace, &lines(text)).map(Ok) } else { Ok(Ok(text)) }
    }

    /// The learner's own text, for who looks for a place in it.
    pub fn own_text(&self) -> Option<&str> {
        self.text.get().filter(|_| !self.is_patch())?.as_deref().ok()
    }

    fn patched(&self, workspace: &Workspace, text: &str) -> Result<String> {
        let name = plain::name(&self.file);
        let start = text.find("--- ").with_context(|| format!("{name}: a patch has a line `--- FILE`"))?;
        let patch = diffy::Patch::from_str(&text[start..]).with_context(|| name.clone())?;
        let base = patch.original().with_context(|| format!("{name}: `---` names the file that it changes"))?;
        if !Path::new(base).components().all(|part| matches!(part, Component::Normal(_))) {
            bail!("{name}: `---` names a file of the kit");
        }
        let patched = diffy::apply(&read(&workspace.root.join(base))?, &patch)
            .with_context(|| format!("{name} does not fit {base} any more: write it anew"))?;
        as_program(workspace, &self.exercise, &patched)
    }
}

/// A solution is a part of a library; the learner's last line makes it a program.
pub fn as_program(workspace: &Workspace, exercise: &str, text: &str) -> Result<String> {
    if text.contains("kit::exercise!(") {
        return Ok(text.to_string());
    }
    let stub = read(&workspace.exercise_file(exercise))?;
    let last = stub.lines().find(|line| line.starts_with("kit::exercise!("));
    let last = last.with_context(|| format!("exercises/{exercise}.rs has no line `kit::exercise!(…);`"))?;
    Ok(format!("{text}\n{last}\n"))
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

/// Whether it is a program by itself.
#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file() && file.extension().is_some_and(|e| e == std::env::consts::EXE_EXTENSION)
}

/// Some linkers do it by the file's path, as nothing may behind the walls.
#[cfg(unix)]
fn make_executable(program: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if let Ok(mut permissions) = program.metadata().map(|data| data.permissions()) {
        permissions.set_mode(permissions.mode() | 0o700);
        let _ = std::fs::set_permissions(program, permissions);
    }
}

#[cfg(not(unix))]
fn make_executable(_: &Path) {}

/// Whether the file system that a program lies on lets it be one.
#[cfg(unix)]
fn can_be_started(program: &Path) -> bool {
    rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn can_be_started(program: &Path) -> bool {
    program.is_file()
}

/// Builds modules. A Rust file is compiled alone against the kit, so that nothing around it (a manifest, a build
/// script, a neighbour that does not compile) takes part, and so that an edit costs one run of rustc and none of
/// Cargo. Any other executable file is a worker as it is.
pub fn build(workspace: &Workspace, modules: &[Module]) -> Result<BTreeMap<String, Program>> {
    if modules.is_empty() {
        return Ok(BTreeMap::new());
    }
    workspace.limits.sandbox.check()?;
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

/// A program of any language, started in the folder where the grader was.
pub fn worker(workspace: &Workspace, command: &[OsString]) -> Program {
    let mut readable: Vec<PathBuf> = rustc::SYSTEM.iter().map(PathBuf::from).collect();
    let files = command.iter().filter_map(|word| std::fs::canonicalize(word).ok());
    for file in files.filter(|file| file.is_file()) {
        // An interpreter in a folder of its own keeps its library beside `bin`.
        let neighbours =
            file.parent().map(|folder| if folder.ends_with("bin") { folder.parent() } else { Some(folder) });
        readable.extend(neighbours.flatten().filter(|folder| is_harmless(workspace, folder)).map(Path::to_path_buf));
        readable.push(file);
    }
    let start = Start { command: command.to_vec(), readable, folder: std::env::current_dir().ok() };
    Program::Ready { start, warnings: String::new() }
}

/// Whether `folder` has nothing to do with the answers, and holds no home.
fn is_harmless(workspace: &Workspace, folder: &Path) -> bool {
    let real = |path: PathBuf| std::fs::canonicalize(path).ok();
    let homes = std::env::home_dir().and_then(real);
    let mut answers = ["solutions", "tests"].iter().filter_map(|room| real(workspace.root.join(room)));
    !homes.is_some_and(|home| home.starts_with(folder))
        && !answers.any(|room| room.starts_with(folder) || folder.starts_with(&room))
}

fn build_file(workspace: &Workspace, kit: Option<&Kit>, module: &Module) -> Result<Program> {
    let file = match module.place(workspace)? {
        Ok(file) => file,
        Err(errors) => return Ok(Program::Broken { errors }),
    };
    let (Some(kit), true) = (kit, module.is_rust()) else {
        if !is_executable(&file) {
            bail!("{} is neither a Rust file nor an executable program", plain::name(&file));
        }
        return Ok(worker(workspace, &[file.into_os_string()]));
    };
    let text = match module.text(workspace)? {
        Ok(text) => text,
        Err(errors) => return Ok(Program::Broken { errors }),
    };
    // Modules of one exercise from several places, built at the same time perhaps, must not meet.
    let mut place = DefaultHasher::new();
    file.hash(&mut place);
    let name = format!("{}-{:016x}", bin_name(&module.name), place.finish());
    let dir = workspace.target().join("grade/modules").join(name);
    let (program, source) = (dir.join("module"), dir.join("source"));
    let command = vec![program.clone().into_os_string()];
    let readable = kit.run_time();
    let ready = |warnings| Program::Ready { start: Start { command, readable, folder: None }, warnings };
    let made_of = format!("{}\n{text}", kit.identity());
    // Another grader may be building the same one.
    make(&dir)?;
    let folder = std::fs::File::open(&dir);
    let _turn = folder.and_then(|folder| folder.lock().map(|()| folder));
    if can_be_started(&program) && std::fs::read_to_string(&source).is_ok_and(|built| built == made_of) {
        tracing::debug!(module = module.name, "built already");
        return Ok(ready(String::new()));
    }
    let work = Work::new(&dir)?;
    let input = work.0.join("exercise.rs");
    write(&input, &text)?;
    let shown = file.strip_prefix(&workspace.root).unwrap_or(&file);
    let shown = if module.is_patch() { Path::new("patched.rs") } else { shown };
    let warnings: String = match rustc::compile(workspace, kit, &input, Some(shown), 1, &work.0)? {
        rustc::Compiled::Program { warnings } => warnings.into_iter().map(|warning| warning.text).collect(),
        rustc::Compiled::Errors { errors, .. } => return Ok(Program::Broken { errors }),
    };
    let built = rustc::left(&work.0, rustc::OUTPUT).context("the compiler made no program")?;
    make_executable(&built);
    // From here on the program is another one; the old source may come back, and must not find it.
    let _ = std::fs::remove_file(&source);
    std::fs::rename(built, &program).with_context(|| format!("can't write {}", program.display()))?;
    if !can_be_started(&program) {
        bail!(
            "programs can't be started from {}, as on a file system that is mounted noexec; name another folder with \
             CARGO_TARGET_DIR",
            workspace.target().display()
        );
    }
    // A module with warnings is built again, so that they are seen again.
    if warnings.is_empty() {
        write(&source, &made_of)?;
    }
    Ok(ready(warnings))
}

/// The folder that one run of the compiler may write, gone when it is over.
struct Work(PathBuf);

impl Work {
    fn new(dir: &Path) -> Result<Self> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| dir.parent().into_iter().for_each(sweep));
        let work = dir.join(format!("{WORK}{}", std::process::id()));
        make(&work)?;
        Ok(Work(work))
    }
}

/// How the names of such folders begin; the number of the grader follows.
const WORK: &str = "work-";

/// Takes away what graders left behind that were interrupted.
fn sweep(all: &Path) {
    let folders = |of: &Path| std::fs::read_dir(of).into_iter().flatten().flatten().map(|entry| entry.path());
    for work in folders(all).flat_map(|module| folders(&module)) {
        let name = work.file_name().unwrap_or_default().to_string_lossy();
        let grader = name.strip_prefix(WORK).and_then(|rest| rest.split('.').next()?.parse().ok());
        if grader.is_some_and(is_gone) {
            let _ = std::fs::remove_dir_all(&work);
        }
    }
}

#[cfg(unix)]
fn is_gone(process: i32) -> bool {
    use rustix::process::{Pid, test_kill_process};
    Pid::from_raw(process).is_some_and(|process| test_kill_process(process) == Err(rustix::io::Errno::SRCH))
}

#[cfg(not(unix))]
fn is_gone(_: i32) -> bool {
    false
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
