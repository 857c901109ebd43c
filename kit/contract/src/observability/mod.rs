//! Contracts of the chapter `observability`.

pub mod alerts;
pub mod logs;
pub mod traces;

pub use alerts::Alerts;
pub use logs::LogAgent;
pub use traces::Traces;

pub use alerts::Alerts;
pub use logs::LogAgent;
