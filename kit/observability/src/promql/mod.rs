//! PromQL: text to an expression, an expression to values at a time.
//!
//! [`parse`] reads and checks types; [`Engine`] evaluates over a [`Storage`](crate::storage::Storage). The parser is
//! written here, not taken from the crate `promql-parser`: that one speaks the dialect of Prometheus 3, and brings a
//! parser generator of thirty crates.

mod aggregation;
mod ast;
mod binary;
mod calendar;
mod engine;
mod functions;
mod instant;
mod lexer;
mod parser;
mod quantile;
mod range;
mod relabel;
mod selector;

pub use ast::{Aggregation, At, BinaryOp, Cardinality, Expr, Kind, Matching, Selector};
pub use engine::{Engine, Sample, Value};
pub use parser::{metric, parse};

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is no expression.
    #[error("{line}:{column}: parse error: {message}")]
    Parse {
        /// Counts from 1.
        line: usize,
        /// Counts from 1, in bytes.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// The values don't allow it.
    #[error("{0}")]
    Evaluation(String),
}
