//! Whole sessions, played from answers files on a clock of their own.

use anyhow::Result;
use interview::content::{Content, Level};
use interview::desk::{Desk, Host, Keep};
use interview::session::event::{Check, Entry, Event, Role, Run};
use interview::session::plan::{Ask, Part, Plan};
use interview::session::{Action, Session, State};
use interview::terminal::input::{Script, VirtualClock};
use interview::terminal::screen::Screen;
use interview::terminal::{Left, Terminal};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A world in which every module is right that says so, and every cluster is healed at the second look.
#[derive(Default)]
struct World {
    looks: Mutex<usize>,
    open: Mutex<Vec<String>>,
}

impl Host for World {
    fn lay_out(&self, exercise: &str, _: Option<&str>, file: &Path) -> Result<()> {
        std::fs::create_dir_all(file.parent().expect("a folder"))?;
        Ok(std::fs::write(file, format!("// {exercise}"))?)
    }
    fn grade(&self, _: &str, _: Option<&str>, file: &Path) -> Result<Run> {
        let passed = std::fs::read_to_string(file)?.contains("right");
        Ok(Run { passed, right: if passed { 100 } else { 31 }, of: 100, said: "graded".into() })
    }
    fn open_incident(&self, name: &str, _: &Path) -> Result<PathBuf> {
        let mut open = self.open.lock().expect("nobody panicked");
        if open.last().is_none_or(|last| last != name) {
            open.push(name.into());
        }
        Ok("kubeconfig".into())
    }
    fn check(&self) -> Result<Check> {
        let mut looks = self.looks.lock().expect("nobody panicked");
        *looks += 1;
        Ok(Check { healed: *looks > 1, said: vec!["web ready >= 3".into()] })
    }
    fn close_incident(&self) {}
}

/// Keeps events where a test can see them.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Entry>>>);

impl Keep for Kept {
    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        self.0.lock().expect("nobody panicked").extend_from_slice(entries);
        Ok(())
    }
    fn heard(&mut self, _: i64) -> Result<()> {
        Ok(())
    }
}

fn content() -> Arc<Content> {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kit");
    Arc::new(Content::load(&kit).expect("the content can be read"))
}

/// A session of one part of each kind.
fn plan() -> Plan {
    let names = ["taint", "several", "number", "order"].map(|id| format!("test/page/{id}"));
    let part = |minutes, ask| Part { minutes, ask };
    let parts = vec![
        part(5, Ask::Warmup(names.to_vec())),
        part(20, Ask::Code { exercise: "scheduler/taints".into(), variation: None }),
        part(10, Ask::Incident("test".into())),
        part(10, Ask::Design("test".into())),
    ];
    Plan { seed: 1, level: Level::Senior, topics: Vec::new(), interviewer: false, parts }
}

struct Played {
    left: Left,
    session: Session,
    said: String,
    kept: Vec<Entry>,
}

/// Plays an answers file over a session.
fn play(answers: &str) -> Played {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("answers.yaml");
    std::fs::write(&file, answers).expect("it can be written");
    std::fs::write(folder.path().join("right.rs"), "// right").expect("it can be written");
    std::fs::write(
        folder.path().join("answer.md"),
        "The lease is renewed every 10 s.\nAfter 50 s the node is unknown.",
    )
    .expect("it can be written");
    let mut script = Script::read(&file).expect("an answers file");
    let clock = script.clock();
    let kept = Kept::default();
    let session = Session::begin(content(), plan(), interview::desk::Clock::now(&*clock));
    let desk = Desk::new(session, 0, clock, Arc::new(World::default()), Box::new(kept.clone()), folder.path().into());
    let said = Said::default();
    let mut screen = Screen::plain(Box::new(said.clone()));
    let terminal = Terminal::new(desk.expect("a desk"), None, &mut script, &mut screen);
    let (left, desk) = terminal.run().expect("it is played");
    let session = desk.session.clone();
    let said = String::from_utf8(said.0.lock().expect("nobody panicked").clone()).expect("text");
    let said = anstream::adapter::strip_str(&said).to_string();
    let kept = kept.0.lock().expect("nobody panicked").clone();
    Played { left, session, said, kept }
}

#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The number under which an option is shown.
fn place(session: &Session, question: usize, text: &str) -> String {
    let shown = session.question(0, question).expect("a question").shown();
    (shown.options.iter().position(|option| option == text).expect("an option") + 1).to_string()
}

fn whole() -> String {
    let session = Session::begin(content(), plan(), 0);
    let order = ["first", "second", "third"].map(|text| place(&session, 3, text)).join(" ");
    let several = ["good", "better"].map(|text| place(&session, 1, text)).join(" ");
    let one = place(&session, 0, "both");
    format!(
        r#"
begin: 1764417600000
answers:
  - {{after: 20, say: "nine"}}
  - {{after: 1, say: "{one}"}}
  - {{after: 20, say: "{several}"}}
  - {{after: 20, say: "41"}}
  - {{after: 20, say: "{order}"}}
  - {{after: 60, say: run}}
  - {{say: hint}}
  - {{after: 300, file: right.rs}}
  - {{say: run}}
  - {{say: done}}
  - {{after: 30, say: check}}
  - {{say: pause}}
  - {{after: 600, say: check}}
  - {{say: resume}}
  - {{after: 30, say: cause}}
  - {{say: "1"}}
  - {{say: done}}
  - {{after: 60, say: ask how many nodes are there?}}
  - {{after: 60, say: ask who is the king?}}
  - {{after: 60, file: answer.md}}
  - {{after: 600, say: "3"}}
  - {{say: "nobody wrote this"}}
  - {{say: "3"}}
  - {{say: "the lease is renewed every 10 s."}}
  - {{say: "2"}}
  - {{say: "After 50 s the node"}}
  - {{say: "0"}}
  - {{say: ""}}
  - {{say: "4"}}
  - {{say: "the lease is renewed"}}
"#
    )
}

#[test]
fn a_whole_session_is_played_from_a_file() {
    let Played { left, session, said, kept } = play(&whole());
    assert_eq!(left, Left::Finished, "{said}");
    assert_eq!(session.state(), State::Finished);
    assert_eq!(kept, session.entries, "everything was kept");
    let score = session.score();
    let points: Vec<f64> = score.graded.parts.iter().map(|part| (part.points * 1000.0).round() / 1000.0).collect();
    // One of four was wrong; a hint took a tenth of the code; the cluster was healed.
    assert_eq!(points[..2], [0.75, 0.9], "{said}");
    assert!(points[2] >= 0.7, "{said}");
    let judged = score.judged.expect("there was prose");
    assert_eq!(judged.missing, 1, "{said}");
    assert_eq!(score.reached, None, "a mark is missing");
    for (part, minutes) in [(0, 5), (1, 20), (2, 10), (3, 10)] {
        assert!(session.elapsed(part, i64::MAX / 2) <= minutes * 60_000 + 1000, "part {part}");
    }
    for sentence in [
        "an option is a number from 1 to",
        "hint 1",
        "the clock stands still",
        "Nobody knows that",
        "There are 100 nodes.",
        "What happens then?",
        "Time is up for this part.",
        "right: 40 s",
        "41: Nearly.",
        "the answer doesn't say that",
    ] {
        assert!(said.contains(sentence), "{sentence:?} is missing in:\n{said}");
    }
    // Nothing of what is right was told before the end.
    let before = said.split("The end.").next().expect("it begins");
    for secret in ["It is written there", "A model answer", "It was the taint"] {
        assert!(!before.contains(secret) && said.contains(secret), "{secret:?}");
    }
}

#[test]
fn a_session_that_was_cut_off_goes_on_where_it_was() {
    let Played { kept, .. } = play(&whole());
    for cut in 1..=kept.len() {
        let at = kept[cut - 1].at;
        let mut session = Session::over(content(), kept[..cut].to_vec()).expect("it is a session");
        let left = session.clock(at);
        let was_running = session.state() == State::Running;
        session.reopen(at, at + 86_400_000);
        assert_eq!(
            session.clock(at + 86_400_000),
            left,
            "after {cut} events a day is a pause and no time of the session"
        );
        let away = session.entries.iter().any(|entry| matches!(entry.event, Event::Paused { away: true }));
        assert_eq!(away, was_running, "a pause is noted");
        let again = Session::over(content(), session.entries.clone()).expect("it is a session");
        assert_eq!(again.view(at + 86_400_000), session.view(at + 86_400_000));
    }
}

#[test]
fn who_closes_the_lid_is_away() {
    let mut session = Session::begin(content(), plan(), 0);
    session.tick(1000);
    session.tick(3_600_000);
    assert_eq!(session.clock(3_600_000).part, 299_000);
    assert!(session.pauses().iter().any(|pause| pause.away && pause.ms == Some(3_599_000)));
}

#[test]
fn who_stops_typing_can_go_on_later() {
    let Played { left, session, said, .. } = play("answers: [{after: 5, say: '1'}]");
    assert_eq!((left, session.state()), (Left::Unfinished, State::Paused), "{said}");
}

#[test]
fn the_time_of_a_part_ends_it() {
    let mut session = Session::begin(content(), plan(), 0);
    for second in 1..=300 {
        session.tick(second * 1000);
    }
    assert_eq!(session.current(), Some(1));
    assert_eq!(session.parts[0].ended, Some(300_000));
}

#[test]
fn what_is_not_allowed_is_refused_in_words() {
    let begin = || Session::begin(content(), plan(), 0);
    let last = || {
        let mut session = begin();
        for _ in 0..3 {
            session.act(Role::Candidate, Action::Next, 1).expect("a part ends");
        }
        session
    };
    let mark = |mark, evidence: &str| Action::Mark { part: 3, line: "detect".into(), mark, evidence: evidence.into() };
    let cases = [
        (begin(), Role::Candidate, Action::Finish, "there are parts left"),
        (begin(), Role::Candidate, Action::Resume, "the clock runs"),
        (begin(), Role::Candidate, Action::Hint, "no further hint"),
        (begin(), Role::Candidate, Action::Write { text: "x".into() }, "prose is written for a design question"),
        (last(), Role::Candidate, Action::Release { fact: 0 }, "is the interviewer's"),
        (last(), Role::Interviewer, Action::Release { fact: 99 }, "there is no fact 99"),
        (last(), Role::Candidate, Action::Probe { probe: Some(0) }, "is the interviewer's"),
        (last(), Role::Candidate, mark(3, "it is what it is"), "after the last part"),
        (last(), Role::Interviewer, mark(5, "it is what it is"), "a mark is 0, 1, 2, 3 or 4"),
        (last(), Role::Interviewer, mark(3, "short"), "quote it"),
    ];
    for (mut session, role, action, why) in cases {
        let said = session.act(role, action.clone(), 2).expect_err("it is refused");
        assert!(said.contains(why), "{action:?}: {said}");
    }
    let mut session = last();
    session.act(Role::Interviewer, mark(3, "it is what it is"), 2).expect("interviewers hear what nobody wrote");
}

#[test]
fn the_clock_is_the_files() {
    let clock = VirtualClock::default();
    assert_eq!(interview::desk::Clock::now(&clock), 0);
}
