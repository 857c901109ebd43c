//! The example programs of the book do what the book says.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Plays the conversation that the chapter on the wire shows: `→` are questions, `←` the answers.
#[test]
fn the_worker_in_python_answers_as_shown() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    if Command::new("/usr/bin/env")
        .arg("python3")
        .arg("--version")
        .env_clear()
        .output()
        .is_ok_and(|o| !o.status.success())
    {
        eprintln!("no python3 here: not played");
        return;
    }
    let conversation = std::fs::read_to_string(examples.join("taints.txt")).unwrap();
    let said = |sign: &str| -> Vec<&str> { conversation.lines().filter_map(|line| line.strip_prefix(sign)).collect() };
    // As the grader starts it: by itself, in an empty environment.
    let mut worker = Command::new(examples.join("taints.py"))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example is executable");
    let questions = said("→ ").join("\n") + "\n";
    worker.stdin.take().unwrap().write_all(questions.as_bytes()).unwrap();
    let output = worker.wait_with_output().unwrap();
    assert!(output.status.success(), "it ends when its stdin does");
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().collect::<Vec<_>>(), said("← "));
}
