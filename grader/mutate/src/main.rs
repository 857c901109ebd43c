//! Small plausible mistakes in Rust files, as JSON on stdout: `mutate FILE…` prints a list for each of them.
//!
//! `cargo grade mutants` asks for them, builds each, and plays the scenarios. It is a program of its own so that nobody
//! who only solves exercises has to compile a parser of Rust.

mod defaults;
mod macros;
mod mutants;
mod omissions;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let mut all = Vec::new();
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
        all.push(mutants::of(&text).with_context(|| path.clone())?);
    }
    println!("{}", serde_json::to_string(&all)?);
    Ok(())
}
