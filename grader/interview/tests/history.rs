//! The history as two programs at once, an older file and a curious person meet it.

use interview::content::Level;
use interview::desk::Keep;
use interview::history::{History, Review};
use interview::session::event::{Entry, Event};
use interview::session::plan::{Ask, Part, Plan};
use rs_fsrs::Rating;
use rusqlite::Connection;
use serde_json::json;
use std::path::Path;

const DAY: i64 = 86_400_000;
/// Noon of a day in 2025.
const NOW: i64 = 1_748_779_200_000;

fn plan() -> Plan {
    let parts = vec![Part { minutes: 10, ask: Ask::Design("api".into()) }];
    Plan { seed: 7, level: Level::Staff, topics: Vec::new(), interviewer: false, parts }
}

fn open(folder: &Path) -> History {
    History::open(folder).expect("it opens")
}

fn event(at: i64, text: &str) -> Entry {
    Entry { at, event: Event::Wrote { part: 0, text: text.into() } }
}

#[test]
fn a_session_is_taken_up_where_it_was_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = open(folder.path());
    assert_eq!(history.unfinished().expect("it is asked"), None);
    let first = history.begin(&plan(), NOW).expect("it begins");
    let entries =
        vec![Entry { at: NOW, event: Event::Began { plan: plan() } }, event(NOW + 5, "a"), event(NOW + 9, "b")];
    let mut keeper = history.keeper(first).expect("a keeper");
    keeper.append(&entries[..2]).expect("it is kept");
    keeper.append(&entries[2..]).expect("it is kept");
    keeper.heard(NOW + 70_000).expect("it is noted");
    drop(keeper);
    drop(history);

    let history = open(folder.path());
    assert_eq!(history.load(first).expect("it is read"), entries);
    let left = history.unfinished().expect("it is asked").expect("there is one");
    assert_eq!((left.id, left.began, left.heard), (first, NOW, NOW + 70_000));
    // A new keeper goes on after the last event.
    history.keeper(first).expect("a keeper").append(&[event(NOW + 80_000, "c")]).expect("it is kept");
    assert_eq!(history.load(first).expect("it is read").len(), 4);

    history.finish(first, &json!({"score": {"reached": false}}), NOW + 90_000).expect("it ends");
    assert_eq!(history.unfinished().expect("it is asked"), None);
    history.finish(first, &json!({"score": {"reached": true}}), NOW + 95_000).expect("the report is made anew");
    let [attempt] = &history.attempts().expect("they are read")[..] else { panic!("one attempt") };
    assert_eq!(attempt.finished, Some(NOW + 90_000));
    assert_eq!(attempt.report, Some(json!({"score": {"reached": true}})));
    assert!(history.load(99).is_err() && history.keeper(99).is_err() && history.finish(99, &json!({}), 0).is_err());
}

#[test]
fn two_windows_of_one_session_do_not_mix() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = open(folder.path());
    let id = history.begin(&plan(), NOW).expect("it begins");
    let (mut one, mut other) = (history.keeper(id).expect("a keeper"), history.keeper(id).expect("a keeper"));
    one.append(&[event(NOW, "one")]).expect("it is kept");
    let error = other.append(&[event(NOW, "other"), event(NOW, "more")]).expect_err("the other window is first");
    assert!(error.to_string().contains("goes on in another window"), "{error:#}");
    assert_eq!(history.load(id).expect("it is read"), [event(NOW, "one")]);
}

#[test]
fn many_programs_write_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    // All of them find an empty file, and make its tables.
    std::thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                let mut history = open(path);
                let id = history.begin(&plan(), NOW).expect("it begins");
                let mut keeper = history.keeper(id).expect("a keeper");
                for turn in 0..25 {
                    keeper.append(&[event(NOW + turn, "text")]).expect("it is kept");
                    let review = Review { rating: Rating::Good, right: 1.0, ms: 900 };
                    history.review(&format!("card-{number}"), review, NOW + turn * DAY).expect("it is kept");
                }
            });
        }
    });
    let history = open(path);
    let attempts = history.attempts().expect("they are read");
    assert_eq!(attempts.len(), 4);
    assert!(attempts.iter().all(|attempt| history.load(attempt.id).expect("it is read").len() == 25));
    assert_eq!(history.export().expect("it is read")["reviews"].as_array().map(Vec::len), Some(100));
}

/// As version 1 made it, written down here once and for all.
const FIRST: &str = "
    CREATE TABLE sessions (id INTEGER PRIMARY KEY AUTOINCREMENT, began INTEGER NOT NULL, plan TEXT NOT NULL,
        heard INTEGER NOT NULL, finished INTEGER, report TEXT) STRICT;
    CREATE TABLE events (session INTEGER NOT NULL REFERENCES sessions (id), number INTEGER NOT NULL, at INTEGER NOT NULL,
        event TEXT NOT NULL, PRIMARY KEY (session, number)) STRICT, WITHOUT ROWID;
    INSERT INTO sessions VALUES (3, 1000, '{\"level\":\"staff\",\"parts\":[]}', 2000, NULL, NULL);
    INSERT INTO events VALUES (3, 0, 1000, '{\"kind\":\"resumed\"}');
    PRAGMA user_version = 1;";

#[test]
fn an_older_file_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("history.sqlite");
    Connection::open(&file).and_then(|old| old.execute_batch(FIRST)).expect("a file of version 1");
    let mut history = open(folder.path());
    assert_eq!(history.load(3).expect("it is read"), [Entry { at: 1000, event: Event::Resumed }]);
    assert_eq!(history.unfinished().expect("it is asked").map(|left| left.id), Some(3));
    history.review("new", Review { rating: Rating::Good, right: 1.0, ms: 1 }, NOW).expect("the new tables are there");
    let version: i64 = Connection::open(&file)
        .and_then(|one| one.query_row("PRAGMA user_version", [], |row| row.get(0)))
        .expect("it says its version");
    assert_eq!(version, 2);
}

#[test]
fn a_newer_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(folder.path()));
    let file = folder.path().join("history.sqlite");
    Connection::open(&file).and_then(|new| new.pragma_update(None, "user_version", 9)).expect("a newer file");
    let error = History::open(folder.path()).map(|_| ()).expect_err("it is newer");
    assert!(format!("{error:#}").contains("written by a newer version of the kit"), "{error:#}");
}

#[test]
fn all_of_it_can_be_had_and_erased() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut history = open(folder.path());
    let id = history.begin(&plan(), NOW).expect("it begins");
    history.keeper(id).expect("a keeper").append(&[event(NOW, "a very private line")]).expect("it is kept");
    history.review("card", Review { rating: Rating::Again, right: 0.0, ms: 1 }, NOW).expect("it is kept");
    let export = history.export().expect("it is read");
    assert_eq!(export["version"], 1);
    assert_eq!(export["sessions"][0]["events"][0]["event"]["text"], "a very private line");
    assert_eq!(export["sessions"][0]["plan"]["seed"], 7);
    assert_eq!((&export["cards"][0]["card"], &export["reviews"][0]["rating"]), (&json!("card"), &json!(1)));

    history.erase().expect("it is erased");
    let nothing = json!({"version": 1, "sessions": [], "cards": [], "reviews": []});
    assert_eq!(history.export().expect("it is read"), nothing);
    drop(history);
    for entry in std::fs::read_dir(folder.path()).expect("the folder") {
        let bytes = std::fs::read(entry.expect("a file").path()).expect("its bytes");
        assert!(!String::from_utf8_lossy(&bytes).contains("private"), "something is left in the file");
    }
}

#[test]
fn cards_come_again_when_they_are_about_to_be_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut history = open(folder.path());
    let mut review = |name: &str, rating, now| {
        let right = f64::from(u8::from(rating != Rating::Again));
        let due = history.review(name, Review { rating, right, ms: 5_000 }, now).expect("it is kept");
        assert!((now + DAY..now + 3650 * DAY).contains(&due), "{name} comes again after {} ms", due - now);
        due
    };
    // Right every time: each pause is longer than the one before.
    let (mut now, mut pause) = (NOW, 0);
    for _ in 0..6 {
        let due = review("known", Rating::Good, now);
        assert!(due - now > pause, "{} after {pause}", due - now);
        (pause, now) = (due - now, due);
    }
    let known = now;
    // The better the answer, the later it comes; after a mistake, it begins anew.
    let [again, hard, good, easy] = [Rating::Again, Rating::Hard, Rating::Good, Rating::Easy]
        .map(|rating| review(&format!("{rating:?}"), rating, NOW));
    assert!(again <= hard && hard <= good && good < easy, "{again} {hard} {good} {easy}");
    let lapsed = review("known", Rating::Again, known) - known;
    assert!(lapsed < pause / 2, "{lapsed} after {pause}");

    let names = |now| history.due(now).expect("they are read").into_iter().map(|card| card.name).collect::<Vec<_>>();
    assert_eq!(names(NOW), Vec::<String>::new());
    assert_eq!(names(easy).len(), 4, "all but the one that was known for so long");
    assert_eq!(names(known + 3650 * DAY).last().map(String::as_str), Some("known"));
}
