//! What watches a cluster: metrics, the rules that alert on them, who is told, and traces.
//!
//! Everything here is a function or a state machine: time comes from outside, in milliseconds, and nothing is read or
//! sent. A scrape is text ([`exposition`]), its samples go to a [`storage::Storage`], expressions are evaluated over it
//! ([`promql`]), rules turn results into alerts ([`rules`]), and an [`alertmanager`] groups, mutes and repeats them.
//! [`trace`] holds what crosses the border of a process. [`logs`] keeps what containers have written, to be searched,
//! and [`elastic`] answers for it as Elasticsearch does.
//!
//! Pinned to Prometheus 2.42 and Alertmanager 0.25, which `tests/conformance/observability` was recorded from.

pub mod alertmanager;
pub mod duration;
pub mod elastic;
pub mod exposition;
pub mod labels;
pub mod logs;
pub mod number;
pub mod promql;
pub mod rules;
pub mod storage;
pub mod trace;
