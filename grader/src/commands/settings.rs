//! How long, how much and behind which walls: the flags that all commands share.

use crate::module::sandbox::{Mode, Sandbox};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args)]
#[command(next_help_heading = "Limits of modules")]
pub struct Flags {
    /// Whether modules and the compiler run behind walls
    #[arg(long, global = true, value_enum, default_value_t)]
    sandbox: Mode,
    /// Another file or folder that modules and the compiler may read, such as a language's runtime
    #[arg(long, global = true, value_name = "PATH")]
    readable: Vec<PathBuf>,
    /// Seconds of real time for one answer
    #[arg(long, global = true, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    question_timeout: Duration,
    /// Seconds of real time for one scenario
    #[arg(long, global = true, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    scenario_timeout: Duration,
    /// Seconds of the processor's time for compiling one module; it may take eight times as long
    #[arg(long, global = true, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    build_timeout: Duration,
    /// MiB of address space for a module
    #[arg(long, global = true, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(64..=1 << 20))]
    memory: u64,
    /// Says what the grader does; -vv what its clusters do, and -vvv all of it
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = "Options")]
    pub verbose: u8,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds, such as 2 or 0.5".to_string())?;
    if (0.01..=86_400.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("between 0.01 seconds and a day".into())
    }
}

/// What a module, and the compiler that builds it, may use.
#[derive(Debug, Clone)]
pub struct Limits {
    pub sandbox: Sandbox,
    /// What the user allows to be read, as absolute paths.
    pub readable: Vec<PathBuf>,
    /// Real time for one answer.
    pub question: Duration,
    /// Real time for all answers of a scenario.
    pub scenario: Duration,
    /// The processor's time for one run of the compiler.
    pub build: Duration,
    /// Bytes of address space of a module.
    pub memory: u64,
    /// Bytes that one answer may have, and that may be printed between two answers.
    pub output: usize,
    /// Threads that a module may have at one time.
    pub threads: usize,
}

/// Bytes of address space of the compiler, and of the linker that it starts. A module of the kit takes a tenth of it.
pub const BUILD_MEMORY: u64 = 3 << 30;
/// Bytes that a file of the compiler may have: a program with all its debugging tables has a tenth of it.
pub const BUILD_FILE: u64 = 256 << 20;
/// Bytes of what the compiler says that are read.
pub const BUILD_OUTPUT: usize = 4 << 20;
/// Bytes that are kept of what a module prints for one question, and of a message that it has: more is not shown.
pub const SHOWN: usize = 16 << 10;
/// Bytes that are kept of what it prints in one scenario.
pub const PRINTED: usize = 1 << 20;
/// Bytes that a source file may have.
pub const SOURCE: u64 = 1 << 20;

impl Flags {
    pub fn limits(self) -> Result<Limits> {
        let readable = self
            .readable
            .iter()
            .map(|path| std::fs::canonicalize(path).map_err(|e| anyhow::anyhow!("--readable {}: {e}", path.display())));
        Ok(Limits {
            readable: readable.collect::<Result<_>>()?,
            sandbox: Sandbox::new(self.sandbox),
            question: self.question_timeout,
            scenario: self.scenario_timeout,
            build: self.build_timeout,
            memory: self.memory << 20,
            output: 1 << 20,
            threads: 64,
        })
    }
}
