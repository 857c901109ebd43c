//! The program behind `cargo grade interview` and `cargo grade practice`.
//!
//! It is a package of its own, so that whoever only writes exercises builds neither a database nor a web server.

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use interview::content::{self, Content, check};
use interview::desk::WallClock;
use interview::practice::command as practice_command;
use interview::{command, history};
use std::process::ExitCode;

/// Mock interviews, and practice.
#[derive(Parser)]
#[command(name = "cargo grade interview", bin_name = "cargo grade interview", version, disable_help_subcommand = true)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    session: command::Args,
}

#[derive(Subcommand)]
enum Command {
    /// Sessions of the past
    History(history::command::HistoryArgs),
    /// For authors: holds all questions against what they must be, and against what the engine does
    Check {
        /// Writes down first what the engine shows now, for the quiz of the book
        #[arg(long)]
        write: bool,
    },
    /// For authors: plays the transcript of one warm-up question, `scheduler/taints/two-taints`
    Play { question: String },
    /// For authors: plays all transcripts, and prints them as JSON
    Transcripts,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let done = match arguments.first().is_some_and(|first| first == "practice") {
        true => practice(arguments),
        false => run(&Cli::parse()),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn practice(arguments: Vec<std::ffi::OsString>) -> Result<ExitCode> {
    let args = practice_command::parse(arguments).unwrap_or_else(|error| error.exit());
    practice_command::run(&args, &WallClock, &mut std::io::stdin().lock(), &mut anstream::stdout())?;
    Ok(ExitCode::SUCCESS)
}

fn run(cli: &Cli) -> Result<ExitCode> {
    if let Some(Command::History(args)) = &cli.command {
        history::command::run(args, &mut std::io::stdin().lock(), &mut anstream::stdout())?;
        return Ok(ExitCode::SUCCESS);
    }
    let root = content::root()?;
    let content = Content::load(&root)?;
    match &cli.command {
        Some(Command::Check { write }) => {
            if *write {
                check::write(&root, &content)?;
            }
            let wrong = check::check(&root, &content);
            wrong.iter().for_each(|what| println!("  ✗ {what}"));
            let (warmups, incidents, designs) =
                (content.each_warmup().count(), content.incidents.len(), content.designs.len());
            println!("  {warmups} warm-up questions, {incidents} incidents, {designs} design questions");
            Ok(ExitCode::from(u8::from(!wrong.is_empty())))
        }
        Some(Command::Play { question }) => {
            let Some(next) = content.warmup(question).and_then(|one| one.next.as_ref()) else {
                bail!("no question {question} plays a transcript");
            };
            let shown = next.shown().map_err(anyhow::Error::msg)?;
            shown.transcript.iter().for_each(|line| println!("{line}"));
            println!("    {}", shown.answer);
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Transcripts) => {
            print!("{}", check::transcripts(&content)?);
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::History(_)) => Ok(ExitCode::SUCCESS),
        None => command::run(&root, content, &cli.session),
    }
}
