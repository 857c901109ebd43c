//! Contracts of the chapter `observability`.

pub mod alerts;
pub mod traces;

pub use alerts::Alerts;
pub use traces::Traces;
pub mod logs;

pub use alerts::Alerts;
pub use logs::LogAgent;
