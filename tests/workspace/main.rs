//! The kit as a whole, used as its users do: by its command line.

mod command_line;
mod formats;
mod gate;
#[cfg(unix)]
mod hostile;
mod layout;
#[cfg(unix)]
mod live;
mod names;
mod quantities;
mod selectors;
#[cfg(unix)]
mod set_up;
mod variations;
mod watch;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the grader lies in the workspace").to_path_buf()
}

/// The grader in the workspace's root, without a terminal and without colours.
fn grader(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grader"));
    command.args(args).current_dir(root()).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn grade(args: &[&str]) -> Output {
    grader(args).output().expect("the grader was built for this test")
}

fn text(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// The document that the grader prints with `--format json`, and its exit code.
fn document(args: &[&str]) -> (Value, Option<i32>) {
    let out = grade(&[args, &["--format", "json"]].concat());
    let document = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&out)));
    (document, out.status.code())
}

/// What a run of the reference says of all exercises; it is played once for all who look at it.
fn reference() -> &'static (Value, Option<i32>) {
    static RUN: OnceLock<(Value, Option<i32>)> = OnceLock::new();
    RUN.get_or_init(|| document(&["run", "--modules", "solutions"]))
}

/// The files of a folder of modules, sorted.
fn modules(folder: &str) -> Vec<PathBuf> {
    let dir = root().join("tests/modules").join(folder);
    let mut files: Vec<_> =
        dir.read_dir().unwrap_or_else(|e| panic!("{}: {e}", dir.display())).flatten().map(|e| e.path()).collect();
    files.sort();
    files
}
