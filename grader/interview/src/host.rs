//! This machine, as a session needs it: the grader grades, and a cluster of its own is broken and healed.
//!
//! Both are asked as a person would ask them, by `cargo grade run` and `cargo grade cluster`, so that a session sees
//! nothing else than its candidate could see.

use crate::content::FOLDER;
use crate::desk::Host;
use crate::session::event::{Check, Run};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

/// Where the grader says that its program lies.
const GRADER: &str = "CARGO_GRADE";

/// This machine.
pub struct Machine {
    root: PathBuf,
    grader: PathBuf,
    /// The name of the cluster that incidents break.
    cluster: String,
    kubeconfig: Mutex<Option<PathBuf>>,
}

impl Machine {
    /// This machine, for a session of this name.
    ///
    /// # Errors
    ///
    /// If the program was not started by the grader, which has to be there.
    pub fn new(root: &Path, session: &str) -> Result<Machine> {
        let grader = std::env::var_os(GRADER).context("start it as `cargo grade interview`")?;
        let cluster = format!("interview-{session}");
        Ok(Machine { root: root.into(), grader: grader.into(), cluster, kubeconfig: Mutex::default() })
    }

    /// Builds what an incident needs before any clock runs.
    ///
    /// # Errors
    ///
    /// If it can't be built.
    pub fn build_cluster(&self) -> Result<()> {
        let status = self.grade(["cluster", "--help"]).stdout(Stdio::null()).status()?;
        status.success().then_some(()).context("the live cluster can't be built")
    }

    fn grade<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = Command::new(&self.grader);
        command.args(arguments).current_dir(&self.root).stdin(Stdio::null());
        command
    }

    /// A command over the cluster of the open incident, as the candidate types it: `kubectl …` or `fault …`.
    ///
    /// # Errors
    ///
    /// If no cluster is up, or the words make no command.
    pub fn command(&self, typed: &str) -> Result<Command> {
        let words = shlex::split(typed).context("a quote is not closed")?;
        let kubeconfig = self.kubeconfig.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let kubeconfig = kubeconfig.context("no cluster is up")?;
        match words.split_first() {
            Some((program, rest)) if program == "kubectl" => {
                let mut command = Command::new("kubectl");
                command.args(rest).env("KUBECONFIG", kubeconfig);
                Ok(command)
            }
            Some((verb, rest)) if verb == "fault" => {
                let mut command = self.grade(["cluster", "--name", &self.cluster, "fault"]);
                command.args(rest);
                Ok(command)
            }
            _ => bail!("`kubectl …` and `fault …` are run here; anything else in another terminal"),
        }
    }
}

impl Host for Machine {
    fn lay_out(&self, exercise: &str, rule: Option<&str>, file: &Path) -> Result<()> {
        let own = self.root.join("exercises").join(exercise).with_extension("rs");
        let text = std::fs::read_to_string(&own).with_context(|| format!("can't read {}", own.display()))?;
        let rule = rule.map_or(String::new(), |rule| {
            let lines = textwrap::wrap(rule, 100).into_iter().map(|line| format!("// {line}\n"));
            format!("// The rule that is different today:\n{}\n", lines.collect::<String>())
        });
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, rule + &text).with_context(|| format!("can't write {}", file.display()))
    }

    fn grade(&self, exercise: &str, variation: Option<&str>, file: &Path) -> Result<Run> {
        let result = file.with_extension("json");
        let mut command = self.grade(["run", exercise, "--modules"]);
        command.arg(file).args(["--format", "human"]).arg(format!("--format=json={}", result.display()));
        command.args(variation.map(|variation| format!("--variation={variation}")));
        let Output { status, stdout, stderr } = command.output().context("can't run the grader")?;
        let said = String::from_utf8_lossy(&stdout).trim_end().to_string();
        match status.code() {
            Some(code @ 0..=1) => {
                let text = std::fs::read_to_string(&result).context("the grader wrote no result")?;
                _ = std::fs::remove_file(&result);
                let report: Value = serde_json::from_str(&text).context("the grader's result can't be read")?;
                let (right, of) = counts(&report["exercises"][0]);
                Ok(Run { passed: code == 0, right, of, said })
            }
            _ => bail!("{}", String::from_utf8_lossy(&stderr).trim()),
        }
    }

    fn open_incident(&self, name: &str, replay: &Path) -> Result<PathBuf> {
        let mut kubeconfig = self.kubeconfig.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = kubeconfig.as_ref() {
            return Ok(there.clone());
        }
        // One that is left of a session that was cut off is as good as lost: its clock went on.
        self.close();
        let file = self.root.join(FOLDER).join("incidents").join(name).with_extension("yaml");
        let mut command = self.grade(["cluster", "--name", &self.cluster, "up", "--detach", "--incident"]);
        command.arg(file).arg("--html").arg(replay);
        let Output { status, stdout, stderr } = command.output().context("can't run the grader")?;
        if !status.success() {
            bail!("the cluster does not come up: {}", String::from_utf8_lossy(&stderr).trim());
        }
        let said = String::from_utf8_lossy(&stdout);
        let file = said.lines().find_map(|line| line.trim().strip_prefix("export KUBECONFIG="));
        let file = PathBuf::from(file.context("the cluster did not say where its kubeconfig is")?);
        *kubeconfig = Some(file.clone());
        Ok(file)
    }

    fn check(&self) -> Result<Check> {
        let mut command = self.grade(["cluster", "--name", &self.cluster, "check", "--format", "json"]);
        let Output { status, stdout, stderr } = command.output().context("can't run the grader")?;
        if !matches!(status.code(), Some(0..=1)) {
            bail!("{}", String::from_utf8_lossy(&stderr).trim());
        }
        let said: Value = serde_json::from_slice(&stdout).context("the cluster's answer can't be read")?;
        let lines =
            ["conditions", "keep", "always"].iter().flat_map(|list| said[list].as_array().into_iter().flatten());
        let line = |one: &Value| {
            let mark = if one["holds"] == true { "✓" } else { "✗" };
            let seen = one["seen"].as_str().map_or(String::new(), |seen| format!("   {seen}"));
            format!("{mark} {}{seen}", one["text"].as_str().unwrap_or_default())
        };
        Ok(Check { healed: said["healed"] == true && said["kept"] == true, said: lines.map(line).collect() })
    }

    fn close_incident(&self) {
        if self.kubeconfig.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            self.close();
        }
    }
}

impl Machine {
    fn close(&self) {
        // Whether there was one is nobody's business here.
        _ = self
            .grade(["cluster", "--name", &self.cluster, "down"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// How many scenarios were answered as expected before the first that was not, and of how many.
fn counts(exercise: &Value) -> (u64, u64) {
    let passed = |one: &Value| one["status"] == "passed";
    let scenarios: &[Value] = exercise["scenarios"].as_array().map_or(&[], Vec::as_slice);
    let right = scenarios.iter().take_while(|one| passed(one)).count() as u64;
    let fresh = &exercise["fresh"];
    let (played, of) = (fresh["played"].as_u64().unwrap_or(0), fresh["of"].as_u64().unwrap_or(0));
    let fresh_right = if passed(&fresh["scenario"]) { played } else { played.saturating_sub(1) };
    (right + fresh_right, (scenarios.len() as u64 + of).max(1))
}
