//! What the grader and its clusters do, for those who ask: `-v`, or a filter such as `GRADE_LOG=kit_cluster=trace`.

use std::io::IsTerminal;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::time::uptime;
use tracing_subscriber::prelude::*;

/// Writes to stderr from here on, if that was asked for. A cluster's events carry its own time, `t`.
pub fn begin(verbose: u8) {
    let asked = std::env::var("GRADE_LOG").ok().and_then(|filter| filter.parse::<Targets>().ok());
    let filter = match (verbose, asked) {
        (0, None) => return,
        (0, Some(filter)) => filter,
        (1, _) => Targets::new().with_target("grader", LevelFilter::DEBUG),
        (2, _) => Targets::new().with_default(LevelFilter::DEBUG),
        _ => Targets::new().with_default(LevelFilter::TRACE),
    };
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours).with_timer(uptime());
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}
