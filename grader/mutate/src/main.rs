//! Small plausible mistakes in a Rust file, as JSON on stdout: `mutate FILE`.
//!
//! `cargo grade mutants` asks for them, builds each, and plays the scenarios. It is a program of its own so that nobody
//! who only solves exercises has to compile a parser of Rust.

mod defaults;
mod macros;
mod mutants;
mod omissions;

use anyhow::{Context, bail};

fn main() -> anyhow::Result<()> {
    let Some(path) = std::env::args().nth(1) else { bail!("usage: mutate FILE") };
    let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
    let mutants = mutants::of(&text).with_context(|| path.clone())?;
    println!("{}", serde_json::to_string(&mutants)?);
    Ok(())
}
