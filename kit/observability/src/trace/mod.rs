//! What crosses the border of a process with a call, and which traces are kept.
//!
//! [`context`] is W3C Trace Context, [`baggage`] W3C Baggage, both as the OpenTelemetry SDK for Python reads and writes
//! them; [`sampling`] decides at the start of a trace. Spans ([`Span`]) are what a process says of its work
//! afterwards: [`otlp`] is how they are sent, a [`collector`] stands between those who say so and those who keep it, and
//! [`waterfall`] is how they are looked at.

pub mod baggage;
mod cache;
pub mod collector;
pub mod context;
pub mod otlp;
pub mod sampling;
pub mod waterfall;

pub use kit_contract::observability::traces::{Attributes, Event, Kind, Link, Span, Status};
