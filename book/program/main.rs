//! `cargo book`: renders, previews and tests the book with mdBook's own libraries, so that nobody has to install mdBook.
//!
//! [`render`] turns `book/src` into pages with a [`search`], [`serve`] shows them on this machine and follows every edit, [`check`]
//! looks for everything that a reader could trip over.

mod check;
mod exercise;
mod page;
mod quiz;
mod render;
mod search;
mod serve;
mod source;
mod timeline;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The book: render it, read it, test it.
#[derive(Parser)]
#[command(name = "cargo book", bin_name = "cargo book", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Render the book as HTML
    Build {
        /// Where the pages go; an empty folder, or one that was built before
        #[arg(long, value_name = "DIR", default_value = "target/book")]
        dest: PathBuf,
    },
    /// Show the book on http://127.0.0.1 and follow every edit
    Serve {
        /// The port to listen on; 0 takes any free one
        #[arg(long, default_value_t = 3000)]
        port: u16,
    },
    /// Look for everything that a reader could trip over
    Test,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("  error: {e:#}");
            ExitCode::from(2)
        }
    }
}

/// Exit code 1 is a book with complaints; an error is exit code 2.
fn run(command: Command) -> Result<ExitCode> {
    let root = workspace()?;
    match command {
        Command::Build { dest } => {
            // The default belongs to the workspace, a folder that was named belongs to the current one.
            let dest = if dest == Path::new("target/book") { root.join(dest) } else { dest };
            let contents = render::render(&root, &dest)?;
            for chapter in contents.missing() {
                println!("  not written yet: {} (book/src/{})", chapter.title, chapter.path.display());
            }
            println!("  {} chapters: {}", contents.written().count(), dest.join("index.html").display());
        }
        Command::Serve { port } => serve::serve(&root, port)?,
        Command::Test => {
            let dest = root.join("target/book");
            let contents = render::render(&root, &dest)?;
            let complaints = check::check(&root, &dest, &contents)?;
            for complaint in &complaints {
                println!("  {complaint}\n");
            }
            match complaints.len() {
                0 => println!("  ✓ {} chapters", contents.written().count()),
                n => {
                    println!("  ✗ {n} {}", if n == 1 { "complaint" } else { "complaints" });
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The workspace around the current folder, or else the one that this program was built from.
fn workspace() -> Result<PathBuf> {
    let here = std::env::current_dir()?;
    here.ancestors()
        .chain(Path::new(env!("CARGO_MANIFEST_DIR")).ancestors())
        .find(|dir| dir.join("book/book.toml").is_file())
        .map(Path::to_path_buf)
        .context("this is not a folder of the kit: no book/book.toml here or above")
}

/// Reads a text file; the error names it.
fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))
}
