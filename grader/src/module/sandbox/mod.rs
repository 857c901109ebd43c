//! Walls around programs that the grader does not trust: modules, and the compiler that reads them.
//!
//! A program is started through a launcher, which is this grader under another name: it sets limits and walls for
//! itself and then becomes the program, so that no line of the program runs without them. On Linux the walls are
//! Landlock (files) and a seccomp filter (sockets, new processes, signals to others); elsewhere there are only limits.

#[cfg(unix)]
mod launch;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod system_calls;

#[cfg(unix)]
pub use launch::launched;

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Once};

/// The first argument that makes the grader a launcher.
const LAUNCHER: &str = "sandbox";
/// What the launcher writes to stdout when all walls stand. Whatever comes after it is the program's.
pub const READY: &[u8] = b"ready\n";
/// What follows it if the program does not start, and then why.
static WORD: LazyLock<String> = LazyLock::new(|| {
    let [a, b] = [0, 1].map(|n| RandomState::new().hash_one(n));
    format!("{a:016x}{b:016x}")
});
/// What to do on other systems.
pub const ONLY_LINUX: &str = "modules are run behind walls that only Linux has; open this folder in the dev container: \
    `.devcontainer/devcontainer.json`, which editors and GitHub Codespaces know";

/// When programs run behind walls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Where the system can; what is missing is said
    #[default]
    Auto,
    /// Nothing is run without all of them
    Require,
    /// Limits of time, memory and output only
    Off,
}

/// Which walls a program gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walls {
    /// Landlock: only listed files can be opened.
    pub files: bool,
    /// Seccomp: no sockets, no processes, no signals to others.
    pub calls: bool,
}

/// What one program may do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Policy {
    /// Filled in by [`Sandbox::command`].
    pub walls: Walls,
    /// What only the launcher knows; filled in as well.
    pub word: String,
    /// Files and folders that can be read and executed, beside the system's libraries.
    pub read: Vec<PathBuf>,
    /// Folders that can be written.
    pub write: Vec<PathBuf>,
    /// Whether it may start other programs, as a compiler does.
    pub children: bool,
    /// Bytes of address space.
    pub memory: u64,
    /// Seconds of processor time.
    pub cpu: u64,
    /// Bytes that a file may have.
    pub file_size: u64,
}

/// The walls of this run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sandbox {
    mode: Mode,
    walls: Walls,
}

impl Sandbox {
    /// The walls that this system can build.
    pub fn new(mode: Mode) -> Self {
        Sandbox { mode, walls: if mode == Mode::Off { Walls::default() } else { probe() } }
    }

    /// Says once which walls are missing; an error if none may be.
    pub fn check(&self) -> Result<()> {
        let Sandbox { mode, walls } = self;
        if cfg!(not(unix)) {
            bail!(ONLY_LINUX);
        }
        let missing: Vec<_> = [
            (walls.files, "files (Landlock, Linux 5.13)"),
            (walls.calls, "network and processes (seccomp, Linux on x86-64 or ARM64)"),
        ]
        .into_iter()
        .filter_map(|(on, name)| (!on).then_some(name))
        .collect();
        if missing.is_empty() || *mode == Mode::Off {
            return Ok(());
        }
        let missing = missing.join("; ");
        if *mode == Mode::Require {
            bail!("`--sandbox require`, but this system has no wall around {missing}");
        }
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            let container = if cfg!(target_os = "linux") { String::new() } else { format!("\n  note: {ONLY_LINUX}") };
            anstream::eprintln!(
                "  note: modules run without a wall around {missing}. Grade only what you trust.{container}"
            );
        });
        Ok(())
    }

    /// The command that starts `program` under `policy`: in an empty environment and a process group of its own.
    pub fn command(&self, mut policy: Policy, program: &Path, args: &[impl AsRef<OsStr>]) -> Result<Command> {
        policy.walls = self.walls;
        policy.word = WORD.clone();
        // The link, not the path behind it: that one is gone when the grader is built anew while it watches.
        let own = Path::new("/proc/self/exe");
        let launcher = if own.exists() { own.to_path_buf() } else { std::env::current_exe()? };
        let mut command = Command::new(launcher);
        command.arg(LAUNCHER).arg(serde_json::to_string(&policy)?).arg(program).args(args);
        command.env_clear();
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        tracing::trace!(?policy, program = %program.display(), "walls");
        Ok(command)
    }
}

/// Why a program did not start, by what was written to stdout after [`READY`].
pub fn not_started(said: &[u8]) -> Option<String> {
    let why = said.strip_prefix(WORD.as_bytes())?;
    Some(String::from_utf8_lossy(why).into_owned())
}

/// Nothing is launched where no module is run.
#[cfg(not(unix))]
pub fn launched() -> Option<std::process::ExitCode> {
    None
}

/// What this system can do, tried on a thread that ends at once.
fn probe() -> Walls {
    #[cfg(target_os = "linux")]
    return std::thread::spawn(linux::probe).join().unwrap_or_default();
    #[cfg(not(target_os = "linux"))]
    Walls::default()
}
