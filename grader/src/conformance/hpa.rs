//! Recorded tables of `hpa`.

use super::Check;

pub fn check(_table: &str) -> Option<Check> {
    None
}
