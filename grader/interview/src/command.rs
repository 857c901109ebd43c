//! `cargo grade interview`: what its flags ask for.

use crate::content::{Content, Level};
use crate::desk::{Clock, Desk, Keep, WallClock};
use crate::host::Machine;
use crate::session::Session;
use crate::session::plan::{Ask, Plan, Wish};
use crate::terminal::input::{Input, Keyboard, Script};
use crate::terminal::screen::Screen;
use crate::terminal::{Left, Terminal};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// What a session is to be.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long it takes
    #[arg(long, default_value_t = 45)]
    pub minutes: u32,
    /// For whom it is: senior or staff
    #[arg(long, default_value = "senior")]
    pub level: Level,
    /// What it is about: chapters or pages of the book, such as `scheduler` or `workloads/hpa`
    #[arg(long, value_name = "TOPIC", value_delimiter = ',')]
    pub topics: Vec<String>,
    /// Where its questions are drawn from; the same seed asks the same. Without it another one each time
    #[arg(long)]
    pub seed: Option<u64>,
    /// Goes on with the last session that was not finished
    #[arg(long, conflicts_with_all = ["topics", "seed", "answers", "plan", "sheet"])]
    pub resume: bool,
    /// Plays a whole session from a file, on a clock of its own
    #[arg(long, value_name = "FILE", conflicts_with = "room")]
    pub answers: Option<PathBuf>,
    /// Shows what the session would ask for, and does not begin it
    #[arg(long)]
    pub plan: bool,
    /// Prints the interviewer's sheet as a page, with everything that a candidate must not see
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub sheet: Option<PathBuf>,
    /// Serves two pages over one session, the candidate's and the interviewer's: on this machine, or where asked to
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:0")]
    pub room: Option<std::net::SocketAddr>,
}
