//! A room over a small kit, without compilers and clusters: for tests of its pages, and to look at them.
//!
//! `cargo run -p interview --example room -- FOLDER [SPEED]` prints the addresses of both pages. The module passes when its
//! file in FOLDER has no `todo!()` any more; the cluster is healed when there is a file `healed`. At the end the
//! report and the sheet lie in FOLDER.

use anyhow::{Context, Result, anyhow};
use interview::content::{Content, Level};
use interview::desk::{Clock, Desk, Host, Keep, WallClock};
use interview::report::{self, Attempt, Report};
use interview::room::{self, Setup};
use interview::session::Session;
use interview::session::event::{Check, Entry, Run};
use interview::session::plan::{Ask, Part, Plan};
use interview::sheet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A clock that runs faster than this machine's.
struct Fast {
    began: i64,
    speed: i64,
}

impl Clock for Fast {
    fn now(&self) -> i64 {
        self.began + (WallClock.now() - self.began) * self.speed
    }
}

struct InMemory;

impl Keep for InMemory {
    fn append(&mut self, _: &[Entry]) -> Result<()> {
        Ok(())
    }
    fn heard(&mut self, _: i64) -> Result<()> {
        Ok(())
    }
}

struct Folder(PathBuf);

impl Host for Folder {
    fn lay_out(&self, exercise: &str, _: Option<&str>, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(file, format!("// {exercise}\nfn filter() {{ todo!() }}\n"))?)
    }
    fn grade(&self, exercise: &str, _: Option<&str>, file: &Path) -> Result<Run> {
        std::thread::sleep(Duration::from_millis(1500));
        let passed = !fs::read_to_string(file)?.contains("todo!()");
        let said = match passed {
            true => format!("  ✓ {exercise}   9 of 9 scenarios                                             0.31 s"),
            false => format!(
                "  ✗ {exercise}   7 of 9 scenarios                                             0.34 s\n\n  \
                 ✗ empty-key   A toleration with operator Exists and no key tolerates every taint.\n\n      \
                 node-2   dedicated=batch:NoSchedule\n    - fits                                        expected\n    \
                 + refused by dedicated=batch:NoSchedule       yours"
            ),
        };
        Ok(Run { passed, right: if passed { 9 } else { 7 }, of: 9, said })
    }
    fn open_incident(&self, name: &str, _: &Path) -> Result<PathBuf> {
        Ok(self.0.join(name).join("kubeconfig"))
    }
    fn check(&self) -> Result<Check> {
        let healed = self.0.join("healed").exists();
        let said = |yes: bool, what: &str| format!("{} {what}", if yes { "✓" } else { "✗" });
        let said = vec![said(healed, "three replicas of checkout are ready"), said(true, "nothing else was deleted")];
        Ok(Check { healed, said })
    }
    fn close_incident(&self) {}
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("usage: room FOLDER [SPEED]")?);
    let speed = arguments.next().map_or(Ok(1), |speed| speed.parse()).context("SPEED is a whole number")?;
    let content = Content::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kit"))?;
    let warmups = [
        "scheduler/taints/two-taints",
        "scheduler/taints/effects",
        "failure/node_lifecycle/grace",
        "failure/node_lifecycle/lost-node",
    ];
    let parts = [
        (5, Ask::Warmup(warmups.map(String::from).to_vec())),
        (20, Ask::Code { exercise: "scheduler/taints".into(), variation: None }),
        (10, Ask::Incident("checkout".into())),
        (10, Ask::Design("node-failure".into())),
    ];
    let parts = parts.map(|(minutes, ask)| Part { minutes, ask }).to_vec();
    let plan = Plan { seed: 4711, level: Level::Staff, topics: Vec::new(), interviewer: true, parts };
    let clock = Fast { began: WallClock.now(), speed };
    let session = Session::begin(Arc::new(content), plan, clock.now());
    fs::write(folder.join("sheet.html"), sheet::html(&session.sheet(clock.now())))?;
    fs::write(folder.join("sheet.md"), sheet::markdown(&session.sheet(clock.now())))?;
    let host = Arc::new(Folder(folder.clone()));
    let desk = Desk::new(session, 0, Arc::new(clock), host, Box::new(InMemory), folder.clone())?;
    let desk = Arc::new(Mutex::new(desk));
    let room = room::open(desk.clone(), Setup { attempts: earlier(), ..Setup::here("7") })?;
    println!("{}\n{}", room.candidate, room.interviewer);
    room.wait()?;
    let desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
    let report = Report::of(&desk.session, "7");
    let mut attempts = earlier();
    attempts.push(Attempt::from(&report));
    fs::write(folder.join("report.json"), serde_json::to_string_pretty(&report)?)?;
    fs::write(folder.join("report.md"), report.markdown())?;
    fs::write(folder.join("report.html"), report::html(&report, &attempts, Some("../book")))?;
    Ok(())
}

/// Sessions that were held before.
fn earlier() -> Vec<Attempt> {
    let held = |(at, (graded, marks)): (usize, (f64, [f64; 3]))| {
        let dimensions = serde_json::json!({"mechanism": marks[0], "failure": marks[1], "operations": marks[2]});
        let judged = (marks[0] * 40.0 + marks[1] * 40.0 + marks[2] * 20.0) / 4.0;
        Ok(Attempt {
            id: (at + 1).to_string(),
            began: format!("2026-10-{:02}T18:00:00Z", 2 + 5 * at),
            level: Level::Staff,
            minutes: 45,
            graded: Some(graded),
            judged: Some(judged),
            dimensions: serde_json::from_value(dimensions).map_err(|error| anyhow!(error))?,
            reached: Some(graded >= 70.0 && judged >= 70.0),
        })
    };
    let all = [(41.0, [1.0, 1.0, 2.0]), (55.0, [2.0, 1.0, 2.0]), (50.0, [2.0, 2.0, 3.0]), (68.0, [3.0, 2.0, 3.0])];
    let all: Result<Vec<Attempt>> = all.into_iter().enumerate().map(held).collect();
    all.unwrap_or_default()
}
