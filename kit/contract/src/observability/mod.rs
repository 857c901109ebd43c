//! Contracts of the chapter `observability`.

pub mod alerts;
pub mod logs;
pub mod metrics;
pub mod traces;

pub use alerts::Alerts;
pub use logs::LogAgent;
pub use metrics::Metrics;
pub use traces::Traces;
