//! Reports of a whole session, over a small kit.

use super::*;
use crate::fixture::{BEGAN, session};
use crate::session::Action;
use crate::session::event::{Check, Run};

const MINUTE: i64 = 60_000;

/// A session with something of everything.
fn held() -> Session {
    let mut session = session(true);
    let mut at = BEGAN;
    let mut act = |wait: i64, role, action| {
        at += wait * MINUTE;
        // Somebody is there all the time.
        for heard in (at - wait * MINUTE..at).step_by(30_000) {
            session.tick(heard);
        }
        session.act(role, action, at).unwrap();
    };
    use Role::{Candidate, Interviewer};
    let chosen = |text: &str| Action::Answer { answer: Answer::Chosen(vec![text.into()]) };
    act(1, Candidate, chosen("Those that tolerate both"));
    act(1, Candidate, Action::Answer { answer: Answer::Number(40.0) });
    act(1, Candidate, Action::Answer { answer: Answer::Skipped });
    let run = |passed| Run { passed, right: 7 + 2 * u64::from(passed), of: 9, said: "✗ empty-key <b>why</b>".into() };
    act(4, Candidate, Action::Ran { run: run(false) });
    act(1, Candidate, Action::Hint);
    act(0, Candidate, Action::Pause);
    act(3, Interviewer, Action::Resume);
    act(3, Candidate, Action::Ran { run: run(true) });
    act(0, Candidate, Action::Next);
    act(2, Candidate, Action::Checked { check: Check { healed: false, said: vec!["0 of 3 are ready".into()] } });
    act(2, Candidate, Action::Checked { check: Check { healed: true, said: vec!["3 of 3 are ready".into()] } });
    act(0, Candidate, chosen("The image can't be pulled"));
    act(0, Candidate, Action::Next);
    act(1, Candidate, Action::Ask { text: "How many nodes are there?".into() });
    act(0, Interviewer, Action::Release { fact: 0 });
    act(1, Interviewer, Action::Probe { probe: Some(1) });
    act(1, Candidate, Action::Write { text: "The lease is renewed every 10 s.\n<script>alert(1)</script> ```".into() });
    act(0, Interviewer, Action::Next);
    for (line, mark, evidence) in [
        ("detect", 3, "The lease is renewed every 10 s."),
        ("fence", 0, ""),
        ("operate", 4, "said: rehearse | measure"),
    ] {
        act(1, Interviewer, Action::Mark { part: 3, line: line.into(), mark, evidence: evidence.into() });
    }
    act(0, Interviewer, Action::Finish);
    session
}

#[test]
fn a_report_is_what_its_schema_says() {
    let schema = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut half = held();
    half = Session::over(content(), half.entries[..12].to_vec()).unwrap();
    for session in [session(false), half, held()] {
        let report = Report::of(&session, "7");
        let json = serde_json::to_value(&report).unwrap();
        let wrong: Vec<String> =
            validator.iter_errors(&json).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report, "it is read as it was written");
    }
    // The schema holds: a document with anything more, or less, is another version.
    for (path, value) in [("", "more"), ("/parts/0", "more"), ("/score/judged", "more"), ("/timeline/0", "kind")] {
        let mut json = serde_json::to_value(Report::of(&held(), "7")).unwrap();
        let place = json.pointer_mut(path).unwrap();
        place[value] = "odd".into();
        assert!(!validator.is_valid(&json), "{path}/{value}");
    }
}

fn content() -> std::sync::Arc<crate::content::Content> {
    let kit = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kit");
    std::sync::Arc::new(crate::content::Content::load(&kit).unwrap())
}

#[test]
fn it_tells_what_happened() {
    let report = Report::of(&held(), "7");
    assert_eq!(report.began, "2023-11-14T22:13:20Z");
    assert_eq!(report.finished.as_deref(), Some("2023-11-14T22:37:20Z"));
    let of = |at: usize| (report.parts[at].used_ms / MINUTE, report.parts[at].points);
    assert_eq!((of(0), of(3)), ((3, Some(1.0 / 3.0)), (3, None)));
    assert_eq!(of(1), (8, Some(0.9)), "a pause is not counted, and a hint takes a tenth");
    assert_eq!(of(2), (4, Some(0.7)));
    let told: Vec<String> = report
        .timeline
        .iter()
        .map(|one| format!("{} {:?} {:?} {}", one.at_ms / MINUTE, one.part, one.kind, one.what))
        .collect();
    for line in [
        "0 Some(0) Part began: warm-up, 3 questions",
        "2 Some(0) Answer question 2: wrong (40)",
        "7 Some(1) Run graded: wrong after 7 of 9",
        "8 Some(1) Hint a hint was taken",
        "8 Some(1) Pause the clock was stopped",
        "11 Some(1) Pause the clock went on",
        "18 Some(2) Check checked: healed",
        "19 Some(3) Fact asked: How many nodes are there?",
        "19 Some(3) Fact told: 400 nodes in three zones, 130 to 135 in each.",
        "24 None End finished",
    ] {
        assert!(told.iter().any(|one| one == line), "{line} is not in {told:#?}");
    }
    assert_eq!(report.pauses, [PauseReport { at_ms: 8 * MINUTE, ms: Some(3 * MINUTE), away: false }]);
    let PartContent::Design { asked, untold, probes, rubric, .. } = &report.parts[3].content else { panic!() };
    assert_eq!((asked[0].answers.len(), untold.len()), (1, 2));
    assert_eq!(probes.iter().map(|one| one.at_ms.is_some()).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(rubric.iter().map(|one| one.mark).collect::<Vec<_>>(), [Some(3), Some(0), Some(4)]);
}

#[test]
fn study_names_what_went_wrong_once_a_page() {
    let report = Report::of(&held(), "7");
    let study: Vec<_> =
        report.study.iter().map(|one| (one.page.as_str(), one.heading.as_deref(), one.why.len())).collect();
    assert_eq!(
        study,
        [
            ("book/src/failure/node_lifecycle.md", Some("detection"), 1),
            ("book/src/failure/node_lifecycle.md", Some("eviction"), 1),
            ("book/src/scheduler/taints.md", None, 1),
            ("book/src/workloads/rolling_update.md", None, 1),
            ("book/src/failure/node_lifecycle.md", None, 1),
        ]
    );
    assert!(report.study[4].why[0].starts_with("Fencing, 0 of 4; one more is: Says that it is dangerous."));
}

#[test]
fn pages_show_what_people_wrote_and_run_none_of_it() {
    let report = Report::of(&held(), "7");
    let attempts = [Attempt { id: "6".into(), reached: Some(false), ..Attempt::from(&report) }, Attempt::from(&report)];
    let page = html(&report, &attempts, Some("../book"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script"), "{page}");
    assert!(page.contains("✗ empty-key &lt;b&gt;why&lt;/b&gt;"));
    assert!(page.contains("href='../book/failure/node_lifecycle.html#eviction'"));
    assert!(!html(&report, &[], None).contains("node_lifecycle.html"), "no link leads nowhere");
    assert!(!page.contains("src="), "a page needs nothing else");
    // What is drawn is told, too, and the reverse: a sign for each of the moments that have one.
    assert_eq!(page.matches("role='img'").count(), 1 + 2 + report.score.judged.as_ref().unwrap().dimensions.len());
    assert_eq!(page.matches("<title>7:00 graded: wrong after 7 of 9</title>").count(), 1);
    assert_eq!(page.matches("<td>graded: wrong after 7 of 9</td>").count(), 1);
    assert!(page.contains("<title>pause, 3:00</title>"));
    assert!(html(&report, &attempts[..1], None).find("Trend").is_none(), "one session is no trend");

    let text = report.markdown();
    for said in [
        "**The bar was not reached.**",
        "said: rehearse \\| measure (interviewer)",
        "````text\nThe lease is renewed every 10 s.",
        "- `book/src/failure/node_lifecycle.md#eviction`",
        "  - 40: That was the default up to 1.31.",
        "90 % (all 9 scenarios, one hint)",
    ] {
        assert!(text.contains(said), "{said} is not in:\n{text}");
    }
}

#[test]
fn an_attempt_is_comparable_or_silent() {
    let mut session = held();
    let attempt = |session: &Session| Attempt::from(&Report::of(session, "7"));
    assert_eq!(attempt(&session).judged, Some(50.0));
    session = Session::over(content(), session.entries[..session.entries.len() - 2].to_vec()).unwrap();
    let one = attempt(&session);
    assert_eq!((one.judged, one.dimensions.len(), one.reached), (None, 0, None), "a line without a mark");
}
