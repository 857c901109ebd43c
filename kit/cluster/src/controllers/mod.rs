//! The controllers around the modules.

pub mod horizontal;
