//! Placeholder.
pub fn check(_: &str) -> Option<super::Check> { None }
