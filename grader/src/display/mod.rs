//! What people and programs see: terminal, formats for CI, and the schema of what goes over the wire.

pub mod format;
pub mod human;
pub mod progress;
pub mod schema;
pub mod terminal;
