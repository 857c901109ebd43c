//! Recorded tables of `deployment`.

use super::Check;

pub fn check(_table: &str) -> Option<Check> {
    None
}
