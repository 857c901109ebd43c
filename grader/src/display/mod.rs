//! What people and programs see: a terminal, and formats for CI.

pub mod cluster;
pub mod format;
pub mod human;
pub mod log;
pub mod plain;
pub mod progress;
#[cfg(unix)]
pub mod terminal;
#[cfg(not(unix))]
#[path = "terminal_elsewhere.rs"]
pub mod terminal;
