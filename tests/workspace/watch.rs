//! `watch` hears of every save, also of those during a run.

use crate::root;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const EXERCISE: &str = "scheduler/taints";

/// A copy of the exercises with the kit around it, so that the learner's own files are left alone.
struct Kit(tempfile::TempDir);

impl Kit {
    fn new() -> Kit {
        let dir = tempfile::tempdir().expect("a folder for this test");
        for name in ["Cargo.toml", "Cargo.lock", "kit", "solutions", "tests", "book", "target"] {
            std::os::unix::fs::symlink(root().join(name), dir.path().join(name)).expect("a link");
        }
        let kit = Kit(dir);
        let from = root().join("exercises");
        for chapter in std::iter::once(from.clone()).chain(folders(&from)) {
            let to = kit.0.path().join("exercises").join(chapter.strip_prefix(&from).expect("it lies in there"));
            std::fs::create_dir_all(&to).expect("a folder");
            for file in chapter.read_dir().expect("a folder").flatten().filter(|f| f.path().is_file()) {
                std::fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
            }
        }
        kit
    }

    /// Saves the exercise with this instead of its `todo!()`, as editors do: a new file takes the old one's place.
    fn save(&self, body: &str) {
        let stub = std::fs::read_to_string(root().join("exercises").join(EXERCISE).with_extension("rs"));
        let stub = stub.expect("the stub is there");
        let todo = "todo!(\"find the first taint that no toleration covers\")";
        assert!(stub.contains(todo), "the stub is at its start");
        let file = self.0.path().join("exercises").join(EXERCISE).with_extension("rs");
        std::fs::write(file.with_extension("new"), stub.replace(todo, body)).expect("a file can be written");
        std::fs::rename(file.with_extension("new"), file).expect("a file can be replaced");
    }

    fn watch(&self) -> Watch {
        let mut child = Command::new(env!("CARGO_BIN_EXE_grader"))
            .args(["watch", EXERCISE])
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the grader was built for this test");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        Watch { child, lines }
    }
}

fn folders(dir: &Path) -> Vec<PathBuf> {
    dir.read_dir().expect("a folder").flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watch {
    /// Waits for a line with `what` in it; fails on one with `never`.
    fn wait(&self, what: &str, never: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            assert!(never.is_empty() || !line.contains(never), "{line}\n{seen:#?}");
            let found = line.contains(what);
            seen.push(line);
            if found {
                return;
            }
        }
        panic!("{what:?} did not come: {seen:#?}");
    }
}

#[test]
fn a_save_during_a_run_is_not_lost() {
    let kit = Kit::new();
    let watch = kit.watch();
    watch.wait("not started", "");
    // Left alone, a module that hangs takes six seconds: two in each of three scenarios.
    kit.save("loop {}");
    watch.wait("Taints and tolerations", "");
    std::thread::sleep(Duration::from_millis(900));
    kit.save("Verdict::Fits");
    watch.wait("- refused by dedicated=batch:NoSchedule", "timeout");
    // Of many saves in a row the last one counts, wherever in a run it comes.
    for round in 0..15 {
        kit.save(&format!("Verdict::Refused(taints[{round}].clone())"));
        std::thread::sleep(Duration::from_millis(40 + 20 * round));
    }
    kit.save("panic!(\"this was saved last\")");
    watch.wait("this was saved last", "");
}
