//! What people and programs see: a terminal, and formats for CI.

pub mod format;
pub mod human;
pub mod progress;
pub mod terminal;
