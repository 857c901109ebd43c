//! One run of the compiler over a file that nobody trusts.
//!
//! A source file can read others while it is compiled (`include_str!`, `#[path]`), print what it read as an error, and
//! keep the compiler busy for ever. So the compiler runs behind walls as a module does: it reads the toolchain, the
//! kit's libraries and this one file, and writes one folder.

use super::kit::Kit;
use crate::commands::settings::{BUILD_FILE, BUILD_MEMORY, BUILD_OUTPUT};
use crate::module::process::{End, capture};
use crate::module::sandbox::{Policy, READY};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The name of the program in the folder that is written.
pub const OUTPUT: &str = "module";

/// Where systems keep the linker, and the interpreters of other languages.
pub const SYSTEM: [&str; 8] = [
    "/usr",
    "/bin",
    "/etc/alternatives",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
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

/// Compiles `input`, which holds so many modules, against the kit into `out`.
pub fn compile(workspace: &Workspace, kit: &Kit, input: &Path, modules: u32, out: &Path) -> Result<Compiled> {
    let limits = &workspace.limits;
    // What modules have in common is most of it.
    let time = limits.build * (1 + modules / 10);
    let named = |name: &str, path: &Path| [OsString::from(name), path.into()].join(std::ffi::OsStr::new("="));
    // Short, since errors and panics name it.
    let mut args: Vec<OsString> = vec![input.strip_prefix(&workspace.root).unwrap_or(input).into()];
    args.extend(["--edition", "2024", "--crate-type", "bin", "--crate-name", "module"].map(OsString::from));
    args.extend(["--error-format", "json", "--json", "diagnostic-rendered-ansi", "--extern"].map(OsString::from));
    args.extend([named("kit", &kit.library), "-L".into(), named("dependency", &kit.dependencies)]);
    args.extend(["-o".into(), out.join(OUTPUT).into_os_string()]);
    let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    read.extend([kit.toolchain.clone(), kit.library.clone(), kit.dependencies.clone(), input.into()]);
    read.extend_from_slice(&limits.readable);
    let policy = Policy {
        walls: Default::default(),
        read,
        write: vec![out.into()],
        children: true,
        memory: BUILD_MEMORY,
        cpu: 4 * time.as_secs() + 4,
        file_size: BUILD_FILE,
    };
    let mut command = limits.sandbox.command(policy, &kit.compiler(), &args)?;
    // For the linker; `env!` can show a module nothing else.
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TMPDIR", out).current_dir(&workspace.root);
    let (end, stdout, stderr) = capture(command, time, BUILD_OUTPUT).context("can't start the compiler")?;
    let said = String::from_utf8_lossy(&stderr);
    let diagnostics = said.lines().filter_map(|line| serde_json::from_str::<Diagnostic>(line).ok());
    let remarks: Vec<Remark> = diagnostics.map(Remark::from).collect();
    let errors: String = remarks.iter().filter(|remark| remark.is_error).map(|remark| remark.text.as_str()).collect();
    let stopped = match &end {
        End::Late => format!("error: it was not compiled within {} s", time.as_secs_f32()),
        End::Flood => format!("error: the compiler said more than {} MiB; here is its beginning", BUILD_OUTPUT >> 20),
        End::Exited(_) if !stdout.starts_with(READY) => bail!("the launcher of the compiler: {}", said.trim_end()),
        End::Exited(status) if status.success() => return Ok(Compiled::Program { warnings: remarks }),
        // The kit was built by another compiler than the one that is there now.
        End::Exited(_) if errors.contains("E0514") => {
            bail!("the kit was built by another version of Rust; `cargo clean` and try again:\n{errors}")
        }
        End::Exited(_) if errors.contains("linker `") && errors.contains("not found") => {
            bail!(
                "modules can't be linked here; a linker outside of the system's folders needs `--readable`:\n{errors}"
            )
        }
        End::Exited(_) if said.contains("memory allocation of") => {
            format!("error: the compiler asked for more than {} MiB for it", BUILD_MEMORY >> 20)
        }
        End::Exited(_) if errors.contains("E0601") => {
            "error: the last line of an exercise makes a program of it, `kit::exercise!(Exercise: …);`, and is missing"
                .into()
        }
        End::Exited(_) if !errors.is_empty() => String::new(),
        End::Exited(status) => format!("error: the compiler ended with {status}: {}", tail(&said)),
    };
    let shown: String = errors.chars().take(if stopped.is_empty() { usize::MAX } else { SHOWN }).collect();
    let remarks = remarks.into_iter().filter(|remark| remark.is_error).collect();
    Ok(Compiled::Errors { errors: format!("{stopped}\n{shown}").trim().to_string(), remarks })
}

/// So many characters are shown of what a compiler said that never came to an end.
const SHOWN: usize = 4000;

fn tail(said: &str) -> String {
    let lines: Vec<_> = said.lines().rev().take(12).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// The part of rustc's messages that matters here.
#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    rendered: Option<String>,
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    file_name: PathBuf,
    is_primary: bool,
    /// Where the macro is called, if the place is in one.
    expansion: Option<Expansion>,
}

#[derive(Deserialize)]
struct Expansion {
    span: Box<Span>,
}

impl Span {
    fn file(self) -> PathBuf {
        self.expansion.map_or(self.file_name, |called| called.span.file())
    }
}

impl From<Diagnostic> for Remark {
    fn from(Diagnostic { level, rendered, spans }: Diagnostic) -> Self {
        let file = spans.into_iter().find(|span| span.is_primary).map(Span::file);
        Remark { file, text: rendered.unwrap_or_default(), is_error: level.starts_with("error") }
    }
}
