//! `schema`: what goes over the wire, as JSON Schema.

use crate::module::build;
use crate::workspace::Workspace;
use anyhow::Result;
use std::process::ExitCode;

/// Prints the schema of an exercise's wire, or of the result document.
pub fn schema(workspace: &Workspace, exercise: Option<&str>) -> Result<ExitCode> {
    let exercise = exercise.map(|name| workspace.one(name)).transpose()?;
    let schema = build::run_package(workspace, "schema", exercise.map(|entry| &entry.name))?;
    anstream::print!("{}", String::from_utf8_lossy(&schema));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
