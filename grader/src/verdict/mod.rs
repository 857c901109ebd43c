//! From a module to a verdict: scenarios, who plays them, and what was found.
//!
//! [`scenario`] reads what is asked, [`grade`] asks one module and compares, [`suite`] does so for many exercises side by
//! side, and [`report`] is what came out, whatever form it is shown in.

pub mod cancel;
pub mod fresh;
pub mod grade;
pub mod manifest;
pub mod passes;
pub mod record;
pub mod report;
pub mod scenario;
pub mod suite;
