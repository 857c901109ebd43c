//! A session over a small kit, for tests.

use crate::content::{Content, Level};
use crate::desk::{Clock, Desk, Host, Keep};
use crate::session::Session;
use crate::session::event::{Check, Entry, Run};
use crate::session::plan::{Ask, Part, Plan};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

/// The fourteenth of November 2023, in the evening.
pub const BEGAN: i64 = 1_700_000_000_000;

/// A session of four parts that begins at [`BEGAN`].
pub fn session(interviewer: bool) -> Session {
    let content = Content::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kit")).unwrap();
    let names = ["scheduler/taints/two-taints", "failure/node_lifecycle/grace", "failure/node_lifecycle/lost-node"];
    let parts = [
        (5, Ask::Warmup(names.map(String::from).to_vec())),
        (20, Ask::Code { exercise: "scheduler/taints".into(), variation: None }),
        (10, Ask::Incident("checkout".into())),
        (10, Ask::Design("node-failure".into())),
    ];
    let parts = parts.map(|(minutes, ask)| Part { minutes, ask }).to_vec();
    let plan = Plan { seed: 4711, level: Level::Staff, topics: Vec::new(), interviewer, parts };
    Session::begin(Arc::new(content), plan, BEGAN)
}

/// A clock that stands until it is moved.
pub struct Hand(pub AtomicI64);

impl Clock for Hand {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Keeps events for whoever looks.
#[derive(Clone, Default)]
pub struct Kept(pub Arc<Mutex<Vec<Entry>>>);

impl Keep for Kept {
    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        self.0.lock().unwrap().extend_from_slice(entries);
        Ok(())
    }
    fn heard(&mut self, _: i64) -> Result<()> {
        Ok(())
    }
}

/// Has a verdict as soon as it may.
#[derive(Default)]
pub struct Slow(pub AtomicBool);

impl Host for Slow {
    fn lay_out(&self, _: &str, _: Option<&str>, _: &Path) -> Result<()> {
        Ok(())
    }
    fn grade(&self, _: &str, _: Option<&str>, _: &Path) -> Result<Run> {
        while !self.0.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Ok(Run { passed: false, right: 7, of: 9, said: "✗ empty-key <why>".into() })
    }
    fn open_incident(&self, name: &str, _: &Path) -> Result<PathBuf> {
        Ok(PathBuf::from(format!("/clusters/{name}/kubeconfig")))
    }
    fn check(&self) -> Result<Check> {
        Ok(Check { healed: true, said: vec!["3 of 3 replicas are ready".into()] })
    }
    fn close_incident(&self) {}
}

/// A desk at which time stands, what it keeps, and whether its grader may answer.
pub fn desk(interviewer: bool) -> (Desk, Arc<Hand>, Kept, Arc<Slow>) {
    let (clock, kept, host) = (Arc::new(Hand(AtomicI64::new(BEGAN))), Kept::default(), Arc::new(Slow::default()));
    let folder = PathBuf::from("/session");
    let keep = Box::new(kept.clone());
    let desk = Desk::new(session(interviewer), 0, clock.clone(), host.clone(), keep, folder).unwrap();
    (desk, clock, kept, host)
}
