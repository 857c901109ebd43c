//! Traces: what a request did in all the processes that it went through.

mod span;

pub use span::{Attributes, Event, Kind, Link, Span, Status};
