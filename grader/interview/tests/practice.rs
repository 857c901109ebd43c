//! Practice, played by people who are lines in a buffer.

use interview::content::Content;
use interview::desk::Clock;
use interview::history::History;
use interview::practice::deck::Deck;
use interview::practice::item::{Given, Item};
use interview::practice::screen::{self, Screen};
use interview::practice::{Place, command, daily, drill};
use jiff::tz::TimeZone;
use kit_contract::EXERCISES;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

const DAY: i64 = 86_400_000;
/// Noon of a day in 2025.
const NOW: i64 = 1_748_779_200_000;
/// What a person sees at once.
const HEIGHT: usize = 24;

/// A clock that goes on by ten seconds whenever somebody looks.
struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn now(&self) -> i64 {
        self.0.fetch_add(10_000, Ordering::Relaxed)
    }
}

fn place<'a>(folder: &Path, clock: &'a Ticks) -> Place<'a> {
    Place { clock, history: History::open(folder).expect("it opens"), zone: TimeZone::UTC }
}

/// What is shown, without colours, for these lines.
fn session(lines: &str, play: impl FnOnce(&mut Screen<'_>)) -> String {
    let mut out = anstream::StripStream::new(Vec::new());
    let mut input = lines.as_bytes();
    play(&mut Screen { input: &mut input, out: &mut out });
    String::from_utf8(out.into_inner()).expect("text")
}

fn drilled(folder: &Path, exercise: &str, count: Option<u64>, lines: &str) -> String {
    let clock = Ticks(NOW.into());
    session(lines, |screen| {
        drill::drill(exercise, "s", count, &mut place(folder, &clock), screen).expect("it is played");
    })
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What must hold of a question.
fn check(item: &Item) -> Result<(), String> {
    let right = item.options.iter().filter(|option| option.right).count();
    let texts: BTreeSet<String> = item.options.iter().map(|option| words(&option.text())).collect();
    if right != 1 || texts.len() != item.options.len() || texts.len() < 2 || texts.contains("") {
        return Err("exactly one of several different options is right".into());
    }
    // The head, a blank line, the question, where to type.
    let page: Vec<String> = screen::told(&item.told).into_iter().chain(screen::options(item)).collect();
    if page.len() + 4 > HEIGHT {
        return Err(format!("it takes {} lines", page.len() + 4));
    }
    // A word that is longer than a line is all that may go beyond.
    if let Some(wide) = page.iter().find(|line| line.chars().count() > screen::WIDTH) {
        return Err(format!("a line is too long: {wide}"));
    }
    let answers = (0..item.options.len()).map(Given::Chosen).chain([Given::Skipped, Given::Typed("x".into())]);
    for given in answers {
        let said = item.explained(&given);
        if said.is_empty() || said.iter().any(|line| line.trim().len() < 8) {
            return Err(format!("nothing is said of {given:?}"));
        }
    }
    if item.is_right(&Given::Skipped) || item.is_right(&Given::Typed(item.right())) {
        return Err("what is not among the options is right".into());
    }
    Ok(())
}

fn each_question_of(chapter: &str) {
    for exercise in EXERCISES.iter().filter(|exercise| exercise.starts_with(chapter)) {
        let mut deck = Deck::of(exercise).expect("it has questions");
        let (mut asked, mut few) = (BTreeSet::new(), 0);
        for number in 1..=20 {
            let item = deck.item("check", number).expect("a question");
            if let Err(what) = check(&item) {
                panic!("{exercise} --seed check, question {number}: {what}\n{item:#?}");
            }
            few += usize::from(item.options.len() < 3);
            asked.insert(format!("{:?} {}", item.told, item.ask));
        }
        assert!(asked.len() >= 14, "{exercise}: only {} of 20 questions are different", asked.len());
        // Whether a pod may run on a node has two answers, and of admission's long ones often only two fit the screen.
        let short = ["scheduler/node_affinity", "control_plane/admission"].contains(exercise);
        assert!(few <= if short { 12 } else { 6 }, "{exercise}: {few} of 20 have two options");
    }
}

#[test]
fn questions_about_objects_and_nodes_are_sound() {
    ["objects/", "node/", "failure/"].into_iter().for_each(each_question_of);
}

#[test]
fn questions_about_the_scheduler_are_sound() {
    each_question_of("scheduler/");
}

#[test]
fn questions_about_workloads_and_storage_are_sound() {
    ["storage/", "workloads/"].into_iter().for_each(each_question_of);
}

#[test]
fn questions_about_networks_observability_and_design_are_sound() {
    ["network/", "observability/", "design/"].into_iter().for_each(each_question_of);
}

#[test]
fn questions_about_the_control_plane_are_sound() {
    each_question_of("control_plane/");
}

#[test]
fn a_number_of_a_seed_is_one_question_forever() {
    for exercise in ["scheduler/queue", "control_plane/raft_election", "control_plane/concurrency", "objects/quantity"]
    {
        let (mut one, mut other) = (Deck::of(exercise).expect("a deck"), Deck::of(exercise).expect("a deck"));
        let first = one.item("a", 3).expect("a question");
        other.item("a", 1).expect("another one before");
        assert_eq!(first, other.item("a", 3).expect("a question"), "{exercise}");
        let differs = (1..6).any(|number| one.item("a", number).ok() != other.item("b", number).ok());
        assert!(differs, "{exercise}: another seed has other questions");
    }
}

#[test]
fn right_answers_are_counted_and_wrong_ones_come_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut deck = Deck::of("scheduler/taints").expect("a deck");
    let mut pick = |number: u64, right: bool| {
        let item = deck.item("s", number).expect("a question");
        let at = item.options.iter().position(|option| option.right == right).expect("an option");
        (format!("{}\n", at + 1), item.right())
    };
    let ((first, _), (second, right), (third, _)) = (pick(1, true), pick(2, false), pick(3, true));
    let shown = drilled(folder.path(), "scheduler/taints", None, &format!("{first}\n7\nx\n{second}y\n{third}n\n"));
    assert!(shown.contains("✓ Right."), "{shown}");
    assert_eq!(shown.matches("a number from 1 to").count(), 2, "what is no answer is asked again: {shown}");
    assert!(words(&shown).contains(&words(&format!("✗ Not so. Right is: {right}"))), "{right}: {shown}");
    assert!(shown.contains("read book/src/scheduler/taints.md#matching"), "{shown}");
    assert!(
        shown.contains("right 2 of 3 · next one? [Y/n]")
            && shown.contains("cargo grade practice scheduler/taints --seed s"),
        "{shown}"
    );
    let history = History::open(folder.path()).expect("it opens");
    let cards = history.cards().expect("cards");
    assert_eq!(cards.iter().map(|card| card.name.as_str()).collect::<Vec<_>>(), ["fresh/scheduler/taints/s/2"]);
    assert_eq!(history.export().expect("an export")["reviews"].as_array().map(Vec::len), Some(3));
}

#[test]
fn whoever_leaves_keeps_what_was_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    // A line that is skipped counts as wrong; then the end of the input, in the middle of a question.
    let shown = drilled(folder.path(), "objects/selector", Some(5), "skip\n");
    assert!(shown.contains("right 0 of 1. The other one comes again"), "{shown}");
    let shown = drilled(folder.path(), "objects/selector", Some(5), "quit\n");
    assert!(shown.contains("right 0 of 0"), "{shown}");
    assert_eq!(History::open(folder.path()).and_then(|history| history.cards()).expect("cards").len(), 1);
}

#[test]
fn answers_can_be_typed() {
    let mut deck = Deck::of("objects/quantity").expect("a deck");
    let typed = (1..60).filter_map(|number| deck.item("typed", number).ok()).filter(|item| item.typed);
    let mut count = 0;
    for item in typed {
        let right = item.right();
        let given = item.parse(&format!("  {right} "), false).expect("an answer");
        assert!(item.is_right(&given), "{right} is right in {item:#?}");
        let wrong = item.parse("123456789", false).expect("an answer");
        assert_eq!(item.is_right(&wrong), right == "123456789");
        let place = item.options.iter().position(|option| option.right).expect("a right one") + 1;
        assert!(item.is_right(&item.parse(&place.to_string(), true).expect("an option")), "{item:#?}");
        count += 1;
    }
    assert!(count > 20, "{count}");
    let folder = tempfile::tempdir().expect("a folder");
    let shown = drilled(folder.path(), "scheduler/score", Some(3), "?\n1\n?\n1\n?\n1\n");
    assert!(shown.contains("Type it, or `?` for options.") && shown.contains("    1) "), "{shown}");
}

/// Three questions, one of each of the kinds that are typed differently.
fn content() -> Content {
    let yaml = |text: &str| serde_yaml::from_str(text).expect("questions");
    let taints = "
- {id: one, level: senior, source: book/x, ask: One?, one: [{text: right, right: true, why: Because it is.}, {text: wrong, why: It is not so.}]}
- {id: several, level: senior, source: book/x, ask: Several?, several: [{text: a, right: true, why: It is a.}, {text: b, right: true, why: It is b.}, {text: c, why: It is not c.}, {text: d, why: It is not d.}]}";
    let quantity = "
- {id: number, level: senior, source: book/x, ask: How many?, number: {is: 50, unit: s, why: It is fifty., wrong: [{is: 40, why: That was before.}]}}";
    let mut content = Content::default();
    content.warmups.insert("scheduler/taints".into(), yaml(taints));
    content.warmups.insert("objects/quantity".into(), yaml(quantity));
    content
}

fn practiced(folder: &Path, at: i64, lines: &str) -> String {
    let clock = Ticks(at.into());
    let catalogue = ["objects/quantity".to_string(), "scheduler/taints".to_string()];
    session(lines, |screen| {
        daily::daily(&content(), &catalogue, 10, &mut place(folder, &clock), screen).expect("it is played");
    })
}

#[test]
fn days_bring_back_what_was_wrong_first() {
    let folder = tempfile::tempdir().expect("a folder");
    // In the order in which exercises are learned: the number first. It is right, the others are skipped.
    let shown = practiced(folder.path(), NOW, "fifty\n50\n\n\n");
    assert!(shown.contains("0 due · 3 new"), "{shown}");
    assert!(shown.find("How many?") < shown.find("One?"), "{shown}");
    assert!(shown.contains("a number, in s") && shown.contains("It is fifty."), "{shown}");
    assert!(shown.contains("It is: right"), "{shown}");
    assert!(shown.contains("right 1 of 3"), "{shown}");
    assert!(shown.contains("come back   2 tomorrow · 1 in 3 days"), "{shown}");
    assert!(shown.contains("book/src/scheduler/taints.md"), "{shown}");

    let shown = practiced(folder.path(), NOW + 3_600_000, "");
    assert!(shown.contains("Nothing is due. The next question comes tomorrow."), "{shown}");

    // The next day the two come, and the one that was right doesn't. Whoever leaves after one finds the other still due.
    let shown = practiced(folder.path(), NOW + DAY + 3_600_000, "\n");
    assert!(shown.contains("2 due · 0 new") && !shown.contains("How many?"), "{shown}");
    let shown = practiced(folder.path(), NOW + DAY + 7_200_000, "");
    assert!(shown.contains("1 due · 0 new") && shown.contains("Nothing was answered, and nothing is lost."), "{shown}");
    let shown = practiced(folder.path(), NOW + 4 * DAY, "\n\n50\n");
    assert!(shown.contains("3 due") && shown.contains("How many?"), "{shown}");
}

#[test]
fn wrong_answers_to_fresh_questions_are_due_too() {
    let folder = tempfile::tempdir().expect("a folder");
    drilled(folder.path(), "scheduler/taints", Some(1), "\n");
    let mut deck = Deck::of("scheduler/taints").expect("a deck");
    let item = deck.item("s", 1).expect("a question");
    let shown = practiced(folder.path(), NOW + 2 * DAY, "");
    let page = words(&screen::told(&item.told).join("\n"));
    assert!(shown.contains("1 due") && words(&shown).contains(&page), "{page}\n{shown}");
    // A card whose question can't be asked any more goes.
    let mut history = History::open(folder.path()).expect("it opens");
    let review = drill::Marked { points: 0.0, ms: 1, helped: false }.review();
    history.review("fresh/scheduler/gone/s/1", review, NOW).expect("a card");
    history.review("scheduler/taints/gone", review, NOW).expect("a card");
    drop(history);
    practiced(folder.path(), NOW + 3 * DAY, "\n\n\n\n\n");
    let cards = History::open(folder.path()).and_then(|history| history.cards()).expect("cards");
    assert!(cards.iter().all(|card| !card.name.contains("gone")), "{cards:?}");
}

#[test]
fn time_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Ticks(NOW.into());
    let shown = session("50\n1\n1\n", |screen| {
        let mut place = place(folder.path(), &clock);
        daily::daily(&content(), &[], 1, &mut place, screen).expect("it is played");
    });
    assert!(shown.contains("Time is up after 1 minute; 2 left for next time."), "{shown}");
}

#[test]
fn help_is_for_people() {
    let help = |args: &[&str]| command::parse(args.iter().map(Into::into)).expect_err("help").to_string();
    let text = help(&["practice", "--help"]);
    assert!(text.contains("Usage: cargo grade practice [OPTIONS] [EXERCISE]"), "{text}");
    assert!(help(&["practice", "--seed", "a"]).contains("EXERCISE"));
    assert!(help(&["practice", "--minutes", "0"]).contains("1..=240"));
}
