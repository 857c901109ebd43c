//! A learner's module in a cluster that runs: an edit is taken up, and the reference takes the place of a lost one.

use crate::root;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const EXERCISE: &str = "failure/node_lifecycle";
/// The first build of the cluster's program is a part of it.
const PATIENCE: Duration = Duration::from_secs(300);

struct Cluster {
    name: String,
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn grader(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grader"));
    command.args(["cluster", "--name", name]).args(arguments).current_dir(root()).stdin(Stdio::null());
    command
}

impl Cluster {
    fn up(file: &Path) -> Cluster {
        let name = format!("test-{}", std::process::id());
        let modules = format!("{EXERCISE}={}", file.display());
        let mut command = grader(&name, &["up", "--watch", "--modules", &modules]);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        command.stdout(writer.try_clone().expect("a pipe")).stderr(writer);
        let child = command.spawn().expect("the grader was built for this test");
        drop(command);
        let (sender, lines) = channel();
        let out = BufReader::new(reader);
        std::thread::spawn(move || out.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        Cluster { name, child, lines }
    }

    fn wait(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            seen.push(line);
            if seen.last().is_some_and(|line| line.contains(what)) {
                return;
            }
        }
        panic!("no line with {what:?}:\n{}", seen.join("\n"));
    }

    fn says(&self, command: &str) -> String {
        let output = grader(&self.name, &[command]).output().expect("it can be started");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }
}

/// The reference as a learner's program, with `line` as the first of what is asked about each node.
fn save(file: &PathBuf, line: &str) {
    let read = |room: &str| std::fs::read_to_string(root().join(room).join(EXERCISE).with_extension("rs"));
    let (solution, stub) = (read("solutions").expect("a solution"), read("exercises").expect("a stub"));
    let last = stub.lines().find(|line| line.starts_with("kit::exercise!(")).expect("the stub's last line");
    let call = "fn node_changed(&mut self, node: &ObservedNode) -> Answer {";
    assert!(solution.contains(call));
    let text = format!("{}\n{last}\n", solution.replace(call, &format!("{call}\n{line}")));
    std::fs::write(file.with_extension("new"), text).expect("a file can be written");
    std::fs::rename(file.with_extension("new"), file).expect("a file can be replaced");
}

#[test]
fn a_module_is_replaced_while_the_cluster_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("lifecycle.rs");
    save(&file, "");
    let cluster = Cluster::up(&file);
    cluster.wait("export KUBECONFIG=");
    let yours = format!("{EXERCISE}  yours");
    assert!(cluster.says("status").contains(&yours), "{}", cluster.says("status"));

    save(&file, "let nothing: u8 = \"\";");
    cluster.wait("what was there before goes on");
    assert!(cluster.says("status").contains(&yours));

    save(&file, "if true { panic!(\"enough\") }");
    cluster.wait("begins anew");
    cluster.wait("panic: enough");
    assert!(cluster.says("status").contains("the reference, since yours was lost: panic: enough"));

    save(&file, "// Better.");
    cluster.wait("begins anew");
    assert!(cluster.says("status").contains(&yours));

    assert_eq!(cluster.says("down").trim(), "the cluster ends");
}
