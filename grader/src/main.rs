//! `cargo grade`: grades modules of a Kubernetes control plane, and shows where they differ from Kubernetes.

mod authors;
mod commands;
mod conformance;
mod display;
mod module;
mod verdict;
mod workspace;

use authors::{bless, check, mutants, new};
use clap::{Parser, Subcommand, ValueEnum};
use commands::{explain, help, overview, picture, play, run, schema, settings, watch, worker};
use display::{human, log, plain};
use module::build::Source;
use module::{build, sandbox};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use verdict::fresh::Plan;
use workspace::Workspace;

/// A cluster is many small objects that come and go, and takes a third less time with this allocator than with glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Grades your modules of a Kubernetes control plane. Without a command: where you stand and what comes next.
///
/// Exit codes: 0 all that was asked passed · 1 something did not · 2 a usage or set-up error · 3 the grader's own fault.
#[derive(Parser)]
#[command(name = "cargo grade", bin_name = "cargo grade", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: settings::Flags,
    #[command(flatten)]
    fresh: Plan,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Lists all exercises in learning order
    List {
        #[arg(long, value_enum, default_value = "human")]
        format: Format,
    },
    /// Grades exercises and explains what is wrong
    Run(run::RunArgs),
    /// Puts the results of several runs together, such as those of all parts of a `--partition`
    Merge(run::MergeArgs),
    /// Grades an exercise each time you save it
    Watch {
        /// The exercise to begin with; without it the next one that has not passed
        exercise: Option<String>,
    },
    /// Shows a scenario from beginning to end, your answers beside the reference's
    Explain {
        exercise: String,
        /// Without it: all scenarios of the exercise, and why each exists
        scenario: Option<String>,
        /// Instead: what the reference's scheduler decided about this pod or workload, node by node
        #[arg(long, requires = "scenario")]
        pod: Option<String>,
        /// Another file than yours, or a folder that holds files as `exercises` does
        #[arg(long)]
        modules: Option<PathBuf>,
        #[command(flatten)]
        output: picture::Output,
    },
    /// Plays a timeline from any file with the reference modules, or a day of traffic on functions and on a cluster
    Play(play::Args),
    /// Shows the next hint
    Hint {
        exercise: String,
        /// Starts again with the first hint
        #[arg(long)]
        restart: bool,
    },
    /// Shows the reference solution, after yours passed
    Solution {
        exercise: String,
        /// Before it passed, too
        #[arg(long)]
        spoil: bool,
    },
    /// Shows your file beside the reference solution, after yours passed
    Diff {
        exercise: String,
        /// Before it passed, too
        #[arg(long)]
        spoil: bool,
    },
    /// Puts an exercise back to where it started, and keeps a copy of your file
    Reset { exercise: String },
    /// Plays conformance data recorded from Kubernetes through the reference
    Conformance {
        /// Folders or files; without one, the data that the kit holds
        paths: Vec<PathBuf>,
        #[arg(long, value_enum, default_value = "human")]
        format: Format,
    },
    /// Runs a cluster on this machine for kubectl: `up`, `down`, `status`, `fault` and more
    #[command(disable_help_flag = true)]
    Cluster {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Asks you instead of your module: small questions about one exercise, or what is due
    #[command(disable_help_flag = true)]
    Practice {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// A mock interview: warm-up, code, an incident, a design question
    #[command(disable_help_flag = true)]
    Interview {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Prints the JSON Schema of what goes over the wire; without an exercise, of the result that `run` writes
    Schema { exercise: Option<String> },
    /// For authors: writes the files of a new exercise and the lines that name it
    New {
        /// `chapter/exercise`
        exercise: String,
        /// The name of the contract's trait; without it, made from the exercise's name
        #[arg(long = "trait")]
        trait_name: Option<String>,
    },
    /// For authors: writes the reference's answers as goldens, and shows what changed
    Bless { exercises: Vec<String> },
    /// For authors: holds all rooms of all exercises against each other
    Check {
        exercises: Vec<String>,
        /// Compiles each module by itself, which takes much longer; the verdicts are the same
        #[arg(long)]
        apart: bool,
        #[arg(long, value_enum, default_value = "human")]
        format: Format,
    },
    /// For authors: makes small mistakes in the solutions, and shows those that no scenario notices
    Mutants {
        exercises: Vec<String>,
        /// Only exercises that have an equivalent.yaml, and whose solution or scenarios are other than in this commit
        #[arg(long, value_name = "COMMIT")]
        since: Option<String>,
        /// Compiles each mutant by itself, which takes much longer; the verdicts are the same
        #[arg(long)]
        apart: bool,
        #[arg(long, value_enum, default_value = "human")]
        format: Format,
    },
    /// Serves a module of an exercise on stdin and stdout: the reference, or one that is built and runs behind the walls
    #[command(hide = true)]
    Worker {
        exercise: String,
        #[arg(long)]
        modules: Option<Source>,
        /// Only builds it, and prints where its source lies
        #[arg(long, requires = "modules")]
        build: bool,
    },
}

fn main() -> ExitCode {
    if let Some(code) = sandbox::launched().or_else(build::recorded) {
        return code;
    }
    say_what_cannot_be_printed();
    match command(Cli::parse()) {
        Ok(code) => code,
        Err(e) => {
            // It may name files that others named.
            let said = plain::clean(&format!("{e:#}"));
            let _ = writeln!(anstream::stderr(), "{} {said}", human::paint(human::RED, "error:"));
            ExitCode::from(2)
        }
    }
}

/// A disk that is full, and other reasons why nothing can be printed, are errors of the set-up and no bug. Whoever
/// stopped reading, as `head` does, has seen enough.
fn say_what_cannot_be_printed() {
    /// What shells show of a program that was ended by a pipe without a reader: 128 and the signal's number.
    const UNREAD: i32 = 128 + 13;
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload().downcast_ref::<String>().filter(|m| m.starts_with("failed printing to std"));
        if let Some(message) = message {
            if message.contains("os error 32") {
                std::process::exit(UNREAD);
            }
            let _ = writeln!(anstream::stderr(), "{} {message}", human::paint(human::RED, "error:"));
            std::process::exit(2);
        }
        usual(panic);
    }));
}

fn command(Cli { command, settings, fresh }: Cli) -> anyhow::Result<ExitCode> {
    if let Some(Command::Worker { exercise, modules: None, .. }) = &command {
        let served = kit_contract::serve(exercise, &solutions::modules());
        return served.ok_or_else(|| anyhow::anyhow!("no contract is named {exercise}"));
    }
    log::begin(settings.verbose);
    let workspace = Workspace::find(settings.limits()?, fresh)?;
    match command {
        None => overview::progress(&workspace),
        Some(Command::List { format }) => overview::list(&workspace, format),
        Some(Command::Run(args)) => run::run(&workspace, &args),
        Some(Command::Merge(args)) => run::merge(&workspace, &args),
        Some(Command::Watch { exercise }) => watch::watch(&workspace, exercise.as_deref()),
        Some(Command::Explain { exercise, scenario, pod, modules, output }) => match scenario {
            Some(scenario) => {
                explain::explain(&workspace, &exercise, &scenario, pod.as_deref(), modules.as_deref(), &output)
            }
            None if output.is_wanted() => anyhow::bail!("a picture is of one scenario: name it after {exercise}"),
            None => explain::list(&workspace, &exercise),
        },
        Some(Command::Play(args)) => play::play(&args),
        Some(Command::Hint { exercise, restart }) => help::hint(&workspace, &exercise, restart),
        Some(Command::Solution { exercise, spoil }) => help::solution(&workspace, &exercise, spoil),
        Some(Command::Diff { exercise, spoil }) => help::diff(&workspace, &exercise, spoil),
        Some(Command::Cluster { arguments }) => build::become_package(&workspace, "cluster", arguments),
        Some(Command::Practice { arguments }) => {
            let arguments = std::iter::once("practice".into()).chain(arguments);
            build::become_package(&workspace, "interview", arguments)
        }
        Some(Command::Interview { arguments }) => build::become_package(&workspace, "interview", arguments),
        Some(Command::Schema { exercise }) => schema::schema(&workspace, exercise.as_deref()),
        Some(Command::Reset { exercise }) => help::reset(&workspace, &exercise),
        Some(Command::Conformance { paths, format }) => conformance::conformance(&workspace, &paths, format),
        Some(Command::New { exercise, trait_name }) => new::new(&workspace, &exercise, trait_name.as_deref()),
        Some(Command::Bless { exercises }) => bless::bless(&workspace, &exercises),
        Some(Command::Mutants { exercises, since, apart, format }) => {
            mutants::mutants(&workspace, &exercises, since.as_deref(), apart, format)
        }
        Some(Command::Check { exercises, apart, format }) => check::check(&workspace, &exercises, apart, format),
        Some(Command::Worker { exercise, modules, build }) => {
            worker::serve(&workspace, &exercise, &modules.unwrap_or(Source::Exercises), build)
        }
    }
}
