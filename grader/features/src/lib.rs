//! One set of features for all programs, so that each finds the kit that another has built: see `Cargo.toml`.
