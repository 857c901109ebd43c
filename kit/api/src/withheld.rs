//! What the kit doesn't offer to a module, because that is what its exercise asks for.
//!
//! The cluster needs taints, selectors and quantities before there is any module to ask, so `kit-api` has them, and most
//! modules may use them as they would use client-go. Only the exercise that is about one of them would be one call long. Which
//! exercise a program is for is known when it starts, so this is decided there and not by what it can import.

use std::sync::OnceLock;

static EXERCISE: OnceLock<&'static str> = OnceLock::new();

/// This process runs a module of the exercise, for as long as it lives. The contract's module path says which.
pub fn run_module_of(exercise: &'static str) {
    EXERCISE.get_or_init(|| exercise);
}

/// Goes on, except in a process that runs a module of this exercise.
pub(crate) fn from(exercise: &str, offered: &str) {
    if EXERCISE.get().is_some_and(|running| running.ends_with(exercise)) {
        panic!("`kit::api::{offered}` is what this exercise asks you to write, so it can't be called here");
    }
}
