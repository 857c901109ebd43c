//! Contracts of the chapter `design`.

pub mod serverless;

pub use serverless::Serverless;
