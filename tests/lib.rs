//! Workspace tests: everything that looks at more than one crate.
