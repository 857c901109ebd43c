//! One run of the compiler over a file that nobody trusts.
//!
//! A source file can read others while it is compiled (`include_str!`, `#[path]`), print what it read as an error, and
//! keep the compiler busy for ever. So the compiler runs behind walls as a module does: it reads the toolchain, the
//! kit's libraries and this one file, and writes one folder. What the walls let through, such as a file of the system,
//! is found in what the compiler tells of itself.

use super::kit::Kit;
use super::{Work, linker};
use crate::commands::settings::{BUILD_FILE, BUILD_MEMORY, BUILD_OUTPUT};
use crate::module::process::{End, capture};
use crate::module::sandbox::{Policy, READY, not_started};
use crate::workspace::{Workspace, make, read, write};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// The name of the program in the folder that is written.
pub const OUTPUT: &str = "module";
/// Beside it: the files that were read, and what the linker was called with.
const FILES: &str = "module.d";
const LINKED: &str = "linked";
/// What an exercise may be made of.
const ALONE: &str = "error: an exercise is one file: nothing else is read or linked while it is compiled";
/// So many times as long as the processor works for it, the compiler may take where it has to share it with others.
const PATIENCE: u32 = 8;
/// What compiles wherever modules do.
const PROBE: &str = "extern crate kit;\n\nfn main() {}\n";

/// Where systems keep the linker, and the interpreters of other languages. Node does not start without what it reads of
/// OpenSSL; keys lie beside that file, and not in it.
pub const SYSTEM: [&str; 9] = [
    "/usr",
    "/bin",
    "/etc/alternatives",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/ssl/openssl.cnf",
    "/Library",
    "/System",
];

pub enum Compiled {
    Program {
        warnings: Vec<Remark>,
    },
    /// What people should read, and all that was said.
    Errors {
        errors: String,
        remarks: Vec<Remark>,
    },
}

/// What the compiler says about a place, with colours.
pub struct Remark {
    /// Which file, as the compiler was told of it; none for what it says at the end.
    pub file: Option<PathBuf>,
    pub text: String,
    is_error: bool,
}

/// How a run of the compiler ended, and what it said.
struct Ran {
    end: End,
    stdout: Vec<u8>,
    stderr: String,
    /// Of the processor, at most.
    time: Duration,
}

impl Ran {
    fn is_success(&self) -> bool {
        matches!(&self.end, End::Exited(status) if status.success())
    }
}

/// Compiles `input`, which holds so many modules, against the kit into the folder `out` that it lies in. Errors and
/// panics call it `shown`.
pub fn compile(
    workspace: &Workspace,
    kit: &Kit,
    input: &Path,
    shown: Option<&Path>,
    modules: u32,
    out: &Path,
) -> Result<Compiled> {
    let ran = run(workspace, kit, input, shown, modules, out)?;
    let Ran { end, stdout, stderr: said, time } = &ran;
    let diagnostics = said.lines().filter_map(|line| serde_json::from_str::<Diagnostic>(line).ok());
    let diagnostics: Vec<Diagnostic> = diagnostics.collect();
    let fault = diagnostics.iter().find_map(Diagnostic::fault);
    let blames_file = diagnostics.iter().any(Diagnostic::blames_file);
    let reaches_out = diagnostics.iter().any(Diagnostic::reaches_out);
    let remarks: Vec<Remark> = diagnostics.into_iter().map(Remark::from).collect();
    let errors: String = remarks.iter().filter(|remark| remark.is_error).map(|remark| remark.text.as_str()).collect();
    let failed = matches!(end, End::Exited(status) if !status.success());
    if failed && !blames_file && is_full(out) {
        bail!("the disk is full: there is no room for a program in {}", out.display());
    }
    // The words may be the module's own. What is wrong with the machine is wrong without the module, too.
    if let Some(fault) = fault.filter(|_| failed)
        && !is_fit(workspace, kit, out)?
    {
        bail!("{fault}:\n{errors}");
    }
    if let Some(why) = stdout.strip_prefix(READY).and_then(not_started) {
        bail!("the compiler does not start: {why}");
    }
    // A line of its own, and no message about the module's text.
    let wants_memory = |line: &str| line.starts_with("memory allocation of ");
    let mut shortened = true;
    let stopped = match end {
        // The compiler had too little of this machine, and no module can be to blame.
        End::Late(Some(had)) if *had < *time && modules == 1 => bail!(
            "it was not compiled within {} s, of which the compiler had the processor for {:.1} s: this machine is busy; \
             try again, or give it more with --build-timeout",
            (*time * PATIENCE).as_secs_f32(),
            had.as_secs_f32()
        ),
        End::Late(had) => {
            let had = had.map_or(String::new(), |had| {
                format!("; the compiler had the processor for {:.1} s", had.as_secs_f32())
            });
            format!("error: it was not compiled within {} s{had}", (*time * PATIENCE).as_secs_f32())
        }
        End::Exited(status) if used_up(status) => {
            format!("error: it was not compiled within {} s of the processor's time", time.as_secs_f32())
        }
        End::Flood => format!("error: the compiler said more than {} MiB; here is its beginning", BUILD_OUTPUT >> 20),
        End::Exited(_) if !stdout.starts_with(READY) => bail!("the launcher of the compiler: {}", said.trim_end()),
        End::Exited(status) if status.success() => match foreign(kit, out, shown)? {
            Some(what) => format!("{ALONE}; this one takes {what}"),
            None => return Ok(Compiled::Program { warnings: remarks }),
        },
        End::Exited(_) if said.lines().any(wants_memory) => {
            format!("error: the compiler asked for more than {} MiB for it", BUILD_MEMORY >> 20)
        }
        End::Exited(_) if errors.contains("E0601") => {
            "error: the last line of an exercise makes a program of it, `kit::exercise!(Exercise: …);`, and is missing"
                .into()
        }
        End::Exited(_) if !errors.is_empty() => {
            shortened = false;
            if reaches_out { ALONE.into() } else { String::new() }
        }
        End::Exited(status) => format!("error: the compiler ended with {status}: {}", tail(said)),
    };
    let mut shown: String = errors.chars().take(if shortened { SHOWN } else { LONGEST }).collect();
    if shown.len() < errors.len() {
        shown += "\nThe compiler said more, which is not shown.";
    }
    let remarks = remarks.into_iter().filter(|remark| remark.is_error).collect();
    Ok(Compiled::Errors { errors: format!("{stopped}\n{shown}").trim().to_string(), remarks })
}

/// Whether the compiler was ended since it had all the processor's time that it may have.
#[cfg(unix)]
fn used_up(status: &std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(rustix::process::Signal::XCPU.as_raw())
}

#[cfg(not(unix))]
fn used_up(_: &std::process::ExitStatus) -> bool {
    false
}

/// Whether a program that nobody can blame compiles here. It lies beside `out`, where no compiler may have left a link.
fn is_fit(workspace: &Workspace, kit: &Kit, out: &Path) -> Result<bool> {
    let work = Work(out.with_extension("probe"));
    make(&work.0)?;
    let probe = work.0.join("probe.rs");
    write(&probe, PROBE)?;
    Ok(run(workspace, kit, &probe, None, 1, &work.0)?.is_success())
}

/// A file that the compiler left. The linker can be talked into leaving a link to something else.
pub fn left(out: &Path, name: &str) -> Option<PathBuf> {
    let file = out.join(name);
    file.symlink_metadata().is_ok_and(|data| data.is_file()).then_some(file)
}

/// What went into a program beside the kit and its own file: a file that was read, or a library that was linked.
fn foreign(kit: &Kit, out: &Path, shown: Option<&Path>) -> Result<Option<String>> {
    if shown.is_none() {
        // The grader wrote it, with a file for each module.
        return Ok(None);
    }
    let (Some(files), Some(_)) = (left(out, FILES), left(out, OUTPUT)) else {
        return Ok(Some("the linker's own ways".into()));
    };
    let files = read(&files)?;
    let is_own = |file: &Path| file.starts_with(out) && !file.components().any(|part| part == Component::ParentDir);
    // After the list there is a line for each file.
    let listed = files.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.strip_suffix(':'));
    let file = listed.map(|file| file.replace("\\ ", " ")).find(|file| !is_own(Path::new(file)));
    // Its own libraries come before those that it depends on.
    let linked = left(out, LINKED).and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
    let linked = String::from_utf8_lossy(&linked);
    let end = [".rlib\"", ".so\""].iter().filter_map(|end| linked.find(end)).min();
    let own = linked[..end.unwrap_or(0)].split(" \"").filter_map(|word| word.strip_prefix("-l"));
    let is_set = |name: &str| kit.settings.flags.iter().any(|flag| flag.contains(name));
    let library = own.map(|name| name.trim_end_matches('"')).find(|name| !is_set(name));
    Ok(file.or(library.map(|name| format!("the library {name}"))))
}

fn run(workspace: &Workspace, kit: &Kit, input: &Path, shown: Option<&Path>, modules: u32, out: &Path) -> Result<Ran> {
    let limits = &workspace.limits;
    // What modules have in common is most of it.
    let time = Duration::from_secs(limits.build.as_secs_f32().ceil() as u64) * (1 + modules / 10);
    let named = |name: &str, path: &Path| [OsStr::new(name), path.as_os_str()].join(OsStr::new("="));
    // Short, since errors and panics name it.
    let mut args: Vec<OsString> = match shown {
        None => vec![input.strip_prefix(&workspace.root).unwrap_or(input).into()],
        Some(shown) => {
            let both = [input.as_os_str(), shown.as_os_str()].join(OsStr::new("="));
            vec![input.into(), "--remap-path-prefix".into(), both]
        }
    };
    args.extend(["--edition", "2024", "--crate-type", "bin", "--crate-name", OUTPUT].map(OsString::from));
    args.extend(["--error-format", "json", "--json", "diagnostic-rendered-ansi", "--extern"].map(OsString::from));
    args.push(named("kit", &kit.libraries.kit));
    args.extend(["-L".into(), named("dependency", &kit.libraries.folder)]);
    for folder in kit.run_time() {
        let words = ["-Clink-arg=-Xlinker".into(), "-Clink-arg=-rpath".into(), "-Clink-arg=-Xlinker".into()];
        args.extend(words.into_iter().chain([named("-Clink-arg", &folder)]));
    }
    args.extend(kit.settings.flags.iter().map(OsString::from));
    args.extend(["--out-dir".into(), out.into(), "--emit".into(), "link,dep-info".into()]);
    args.extend(["--print".into(), named("link-args", &out.join(LINKED))]);
    let mut readable: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    readable.extend([kit.settings.toolchain.clone(), kit.settings.compiler.clone(), kit.libraries.folder.clone()]);
    readable.extend(linker::readable(workspace, &kit.settings.flags));
    readable.extend_from_slice(&limits.readable);
    let policy = Policy {
        walls: Default::default(),
        word: String::new(),
        read: readable,
        write: vec![out.into()],
        children: true,
        memory: BUILD_MEMORY,
        cpu: time.as_secs(),
        file_size: BUILD_FILE,
    };
    let mut command = limits.sandbox.command(policy, &kit.settings.compiler, &args)?;
    // `env!` can show a module nothing else.
    command.envs(std::env::vars_os().filter(|(name, _)| concerns_linkers(name)));
    command.env("TMPDIR", out).current_dir(&workspace.root);
    tracing::trace!(?command, "compiles");
    let began = Instant::now();
    let (end, stdout, stderr) = capture(command, time * PATIENCE, BUILD_OUTPUT).context("can't start the compiler")?;
    tracing::debug!(module = %input.display(), ms = began.elapsed().as_millis(), ?end, "compiled");
    Ok(Ran { end, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned(), time })
}

/// What compilers' drivers and linkers read, and nobody keeps a secret in.
fn concerns_linkers(name: &std::ffi::OsStr) -> bool {
    const NAMES: [&str; 9] = [
        "PATH",
        "LD_LIBRARY_PATH",
        "LIBRARY_PATH",
        "COMPILER_PATH",
        "GCC_EXEC_PREFIX",
        "RUSTC_BOOTSTRAP",
        "SDKROOT",
        "DEVELOPER_DIR",
        "MACOSX_DEPLOYMENT_TARGET",
    ];
    const NIX: [&str; 5] = ["NIX_LDFLAGS", "NIX_CFLAGS_", "NIX_CC", "NIX_BINTOOLS", "NIX_HARDENING_ENABLE"];
    let name = name.to_string_lossy();
    NAMES.contains(&&*name) || NIX.iter().any(|start| name.starts_with(start))
}

/// Bytes that a program and what the linker makes on the way to it may need.
const ROOM: usize = 16 << 20;

/// Whether there is no room for a program. The compiler's words could be the module's.
fn is_full(out: &Path) -> bool {
    let room = out.with_extension("room");
    let tried = std::fs::write(&room, vec![0; ROOM]);
    let _ = std::fs::remove_file(room);
    tried.is_err_and(|e| matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

/// So many characters are shown of what a compiler said that never came to an end.
const SHOWN: usize = 4000;

/// So many are shown of what it said in all.
const LONGEST: usize = 64 << 10;

fn tail(said: &str) -> String {
    let lines: Vec<_> = said.lines().rev().take(12).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// The part of rustc's messages that matters here.
#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    message: String,
    rendered: Option<String>,
    code: Option<Code>,
    /// Without one, nothing in the file is what it is about.
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    file_name: PathBuf,
    is_primary: bool,
    /// The lines that it covers.
    text: Vec<Line>,
    /// Where the macro is called, if the place is in one.
    expansion: Option<Expansion>,
}

#[derive(Deserialize)]
struct Expansion {
    span: Box<Span>,
}

/// A line of the file.
#[derive(Deserialize)]
struct Line {
    text: String,
}

impl Span {
    fn file(self) -> PathBuf {
        self.expansion.map_or(self.file_name, |called| called.span.file())
    }
}

impl From<Diagnostic> for Remark {
    fn from(Diagnostic { level, rendered, spans, .. }: Diagnostic) -> Self {
        let file = spans.into_iter().find(|span| span.is_primary).map(Span::file);
        Remark { file, text: rendered.unwrap_or_default(), is_error: level.starts_with("error") }
    }
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

impl Diagnostic {
    /// Whether it is an error that stands somewhere in the file.
    fn blames_file(&self) -> bool {
        self.level.starts_with("error") && !self.spans.is_empty()
    }

    /// Whether it is about a file or a library that is not the module's.
    fn reaches_out(&self) -> bool {
        match self.code.as_ref().map(|code| code.code.as_str()) {
            Some("E0455" | "E0458" | "E0459" | "E0463" | "E0583") => true,
            Some(_) => false,
            None if self.spans.is_empty() => {
                ["linking with `", "could not find native"].iter().any(|start| self.message.starts_with(start))
            }
            None => self.message.starts_with("couldn't read") && !self.is_of_module(),
        }
    }

    /// Whether the module itself says so.
    fn is_of_module(&self) -> bool {
        self.spans.iter().flat_map(|span| &span.text).any(|line| line.text.contains("compile_error!"))
    }

    /// What may be wrong with this machine or the kit's build, and so with no module.
    fn fault(&self) -> Option<&'static str> {
        let about = |words: &[&str]| words.iter().any(|word| self.message.contains(word));
        match self.code.as_ref().map(|code| code.code.as_str()) {
            // The kit was built by another compiler than the one that is there now.
            Some("E0514") => Some("the kit was built by another version of Rust; `cargo clean` and try again"),
            Some("E0460" | "E0461" | "E0462" | "E0786") => Some(UNFIT),
            Some("E0463") if about(&["`kit`", "which `kit"]) => Some(UNFIT),
            None if !self.spans.is_empty() => None,
            None if about(&["linker `"]) && about(&["not found", "could not exec"]) => Some(
                "modules can't be linked here; install a linker, or tell Cargo of yours, as in `target.<triple>.linker`",
            ),
            None if self.message.starts_with("linking with `") => {
                const MISSING: [&str; 6] = [
                    "cannot find 'ld'",
                    "cannot find ‘ld’",
                    "invalid linker name",
                    "crt1.o",
                    "crti.o",
                    "Permission denied",
                ];
                let rendered = self.rendered.as_deref().unwrap_or_default();
                let missing = MISSING.iter().any(|word| rendered.contains(word));
                missing.then_some(
                    "the linker lacks a part of itself here; a folder that it needs can be named with `--readable`",
                )
            }
            _ => None,
        }
    }
}

/// Their names are in the compiler's message below it.
const UNFIT: &str = "the kit's libraries do not fit together; `cargo clean` and try again";
