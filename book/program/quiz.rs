//! The quiz of a page: the warm-up questions of mock interviews about it, to be answered while one reads.
//!
//! The questions are data files in `solutions/interviews/warmups`, which `cargo grade interview check` holds against the
//! engine. Here they become HTML that needs no script: fields to answer with, and an answer that is folded away. What
//! marks an answer stands in the folded part alone, where `book/theme/quiz.js` reads it.

use crate::page::escaped;
use crate::read;
use anyhow::{Context, Result, bail};
use mdbook_driver::book::{Book, BookItem};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the questions lie, by the path of their page.
pub const WARMUPS: &str = "solutions/interviews/warmups";

/// What the engine shows of questions that ask what happens next.
const TRANSCRIPTS: &str = "solutions/interviews/transcripts.json";

/// The heading over a quiz.
pub const ANCHOR: &str = "check-yourself";
const HEADING: &str = "## Check yourself";

/// A quiz is about all that is explained, and so it stands behind it.
const BEFORE: &str = "\n## Sources\n";

/// Where paths in upstream's tree lead.
const UPSTREAM: &str = "https://github.com/kubernetes/kubernetes/blob/v1.33.0/";

#[derive(Deserialize)]
struct Question {
    id: String,
    level: String,
    source: String,
    read: Option<String>,
    ask: String,
    one: Option<Vec<Choice>>,
    several: Option<Vec<Choice>>,
    number: Option<Number>,
    order: Option<Order>,
    next: Option<Next>,
}

#[derive(Deserialize)]
struct Choice {
    text: String,
    #[serde(default)]
    right: bool,
    why: String,
}

#[derive(Deserialize)]
struct Number {
    is: f64,
    #[serde(default)]
    give: f64,
    #[serde(default)]
    unit: String,
    why: String,
    wrong: Vec<WrongNumber>,
}

#[derive(Deserialize)]
struct WrongNumber {
    is: f64,
    why: String,
}

#[derive(Deserialize)]
struct Order {
    first_to_last: Vec<String>,
    why: String,
    /// What people put first, the other, and why it comes later.
    wrong: Vec<[String; 3]>,
}

#[derive(Deserialize)]
struct Next {
    options: Vec<Choice>,
}

#[derive(Deserialize)]
struct Shown {
    transcript: Vec<String>,
}

/// Puts a heading and an empty quiz into each chapter that has questions.
pub fn announce(root: &Path, book: &mut Book) {
    for page in files(root).keys() {
        let chapter = Path::new(page).with_extension("md");
        book.for_each_mut(|item| {
            if let BookItem::Chapter(item) = item
                && item.path.as_deref() == Some(&chapter)
            {
                let at = item.content.find(BEFORE).unwrap_or(item.content.len());
                let also = "Mock interviews ask these, too, and `cargo grade practice` brings back what you got wrong.";
                item.content.insert_str(at, &format!("\n{HEADING}\n\n{also}\n\n{}\n", empty(page)));
            }
        });
    }
}

/// A quiz without its questions, as it stands in a chapter and in the page that is made of it.
fn empty(page: &str) -> String {
    format!("<div class=\"quiz\" data-page=\"{}\"></div>", escaped(page))
}

/// Fills the quizzes of the book that was rendered into `dest`.
///
/// Questions are no part of the chapters, so that the search doesn't know them: most options are wrong. And it takes
/// no time to render them.
pub fn ask(root: &Path, dest: &Path) -> Result<()> {
    let all = files(root);
    if all.is_empty() {
        return Ok(());
    }
    let path = root.join(TRANSCRIPTS);
    let transcripts = serde_json::from_str(&read(&path)?).with_context(|| path.display().to_string())?;
    let whole = dest.join("print.html");
    let mut print = if whole.is_file() { Some(read(&whole)?) } else { None };
    for (page, file) in all {
        let rendered = dest.join(&page).with_extension("html");
        // The check of the book names questions without a chapter.
        if !rendered.is_file() {
            continue;
        }
        let questions: Vec<Question> =
            serde_yaml::from_str(&read(&file)?).with_context(|| file.display().to_string())?;
        let html = read(&rendered)?;
        let quiz = quiz(&page, &questions, &transcripts, &html).with_context(|| file.display().to_string())?;
        fs::write(&rendered, html.replacen(&empty(&page), &quiz, 1))?;
        if let Some(print) = &mut print {
            // There all chapters are one page, and headings of one name are in many of them.
            let quiz = quiz.replace("href=\"#", &format!("href=\"{page}.html#"));
            *print = print.replacen(&empty(&page), &quiz, 1);
        }
    }
    if let Some(print) = print {
        fs::write(&whole, print)?;
    }
    Ok(())
}

/// The files of questions by their page, `scheduler/taints`.
pub fn files(root: &Path) -> BTreeMap<String, PathBuf> {
    let folder = root.join(WARMUPS);
    let mut found = BTreeMap::new();
    let mut open = vec![folder.clone()];
    while let Some(next) = open.pop() {
        for path in fs::read_dir(next).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "yaml") {
                let page = path.strip_prefix(&folder).unwrap_or(&path).with_extension("");
                found.insert(page.to_string_lossy().into_owned(), path);
            }
        }
    }
    found
}

/// The quiz of a page, which was rendered as `html`.
fn quiz(page: &str, questions: &[Question], transcripts: &BTreeMap<String, Shown>, html: &str) -> Result<String> {
    let mut quiz = empty(page).trim_end_matches("</div>").to_string() + "\n";
    for (i, question) in questions.iter().enumerate() {
        let name = format!("{page}/{}", question.id);
        let transcript = match (&question.next, transcripts.get(&name)) {
            (None, _) => None,
            (Some(_), Some(shown)) => Some(shown.transcript.join("\n")),
            (Some(_), None) => bail!("{TRANSCRIPTS} has no {name}: run `cargo grade interview check --write`"),
        };
        let heading = question.read.as_ref().and_then(|anchor| Some((anchor.as_str(), heading(html, anchor)?)));
        one(&mut quiz, i + 1, &name, question, transcript, heading).context(name)?;
    }
    Ok(quiz + "</div>")
}

/// What a heading says, as HTML.
fn heading<'a>(html: &'a str, anchor: &str) -> Option<&'a str> {
    let (_, rest) = html.split_once(&format!("<a class=\"header\" href=\"#{anchor}\">"))?;
    Some(rest.split_once("</a>")?.0)
}

fn one(
    html: &mut String,
    number: usize,
    name: &str,
    question: &Question,
    transcript: Option<String>,
    heading: Option<(&str, &str)>,
) -> Result<()> {
    let Question { one, several, number: count, order, next, .. } = question;
    let choices = one.as_ref().or(next.as_ref().map(|next| &next.options));
    let (kind, (fields, answer)) = match (choices, several, count, order) {
        (Some(choices), None, None, None) => ("radio", choose("radio", name, choices)),
        (None, Some(choices), None, None) => ("checkbox", choose("checkbox", name, choices)),
        (None, None, Some(count), None) => ("number", enter(name, count)),
        (None, None, None, Some(order)) => ("order", sort(name, order)),
        _ => bail!("a question has exactly one of `one`, `several`, `number`, `order` and `next`"),
    };
    let asked = inline(&question.ask);
    // An answer that was kept belongs to the question as it was worded then.
    let version = hash(&[name, &asked, &fields]);
    let level = if question.level == "staff" { " <span class=\"quiz-level\">staff</span>" } else { "" };
    writeln!(html, "<fieldset data-name=\"{0}\" data-kind=\"{kind}\" data-version=\"{version:x}\">", escaped(name))?;
    writeln!(html, "<legend><span class=\"quiz-number\">{number}</span>{level} {asked}</legend>")?;
    if let Some(transcript) = transcript {
        writeln!(html, "<pre class=\"quiz-transcript\">{}</pre>", escaped(&transcript))?;
    }
    html.push_str(&fields);
    writeln!(html, "<details><summary>Answer</summary>\n{answer}")?;
    html.push_str("<p class=\"quiz-read\">");
    if let Some((anchor, title)) = heading {
        write!(html, "Explained under <a href=\"#{}\">{}</a> · ", escaped(anchor), title)?;
    }
    let source = &question.source;
    let (address, text) = match source.starts_with("https://") {
        true => (source.clone(), source.trim_start_matches("https://").trim_end_matches('/')),
        false => (format!("{UPSTREAM}{source}"), source.as_str()),
    };
    writeln!(html, "Source: <a href=\"{}\">{}</a></p>\n</details>\n</fieldset>", escaped(&address), escaped(text))?;
    Ok(())
}

/// The letter of an option.
fn letter(at: usize) -> char {
    char::from_u32('A' as u32 + at as u32).unwrap_or('?')
}

/// Options, and what is to be said of each. Here and below: first what is seen at once, then what is folded away.
fn choose(kind: &str, name: &str, choices: &[Choice]) -> (String, String) {
    let choices = shuffled(name, choices, |choice| &choice.text);
    let hint = if kind == "checkbox" { "<p class=\"quiz-hint\">Several may be right.</p>\n" } else { "" };
    let mut fields = format!("{hint}<ol class=\"quiz-options\">\n");
    let (mut right, mut wrong) = (String::new(), String::new());
    for (at, choice) in choices.iter().enumerate() {
        let letter = letter(at);
        let _ = writeln!(
            fields,
            "<li><label><input type=\"{kind}\" name=\"{}\" value=\"{letter}\" autocomplete=\"off\"> \
             <span><b>{letter}</b> {}</span></label></li>",
            escaped(name),
            inline(&choice.text)
        );
        let (list, verdict) = if choice.right { (&mut right, "right") } else { (&mut wrong, "wrong") };
        let _ = writeln!(
            list,
            "<p data-option=\"{letter}\" data-is=\"{verdict}\"><b>{letter} is {verdict}.</b> {}</p>",
            inline(&choice.why)
        );
    }
    fields.push_str("</ol>\n");
    (fields, right + &wrong)
}

fn enter(name: &str, number: &Number) -> (String, String) {
    let unit = inline(&number.unit);
    let fields = format!(
        "<p class=\"quiz-options\"><label><span class=\"quiz-hidden\">Your answer</span> <input type=\"number\" \
         step=\"any\" name=\"{}\" autocomplete=\"off\"> {unit}</label></p>\n",
        escaped(name)
    );
    let mut answer = format!(
        "<p data-number=\"{}\" data-give=\"{}\" data-is=\"right\"><b>{} {unit}</b>. {}</p>\n",
        number.is,
        number.give,
        number.is,
        inline(&number.why)
    );
    for wrong in &number.wrong {
        let _ = writeln!(
            answer,
            "<p data-number=\"{0}\" data-is=\"wrong\"><b>Not {0}.</b> {1}</p>",
            wrong.is,
            inline(&wrong.why)
        );
    }
    (fields, answer)
}

fn sort(name: &str, order: &Order) -> (String, String) {
    let sorted: Vec<&String> = order.first_to_last.iter().collect();
    let mut things: Vec<&String> = shuffled(name, &order.first_to_last, |thing| thing);
    if things == sorted {
        things.rotate_left(1);
    }
    let place = |thing: &String| things.iter().position(|one| *one == thing).map_or('?', letter);
    let places: String =
        (1..=things.len()).map(|place| format!("<option value=\"{place}\">{place}</option>")).collect();
    let mut fields = "<p class=\"quiz-hint\">Give each its place.</p>\n<ol class=\"quiz-options\">\n".to_string();
    for (at, thing) in things.iter().enumerate() {
        let letter = letter(at);
        let _ = writeln!(
            fields,
            "<li><label><select name=\"{}/{letter}\" data-option=\"{letter}\" autocomplete=\"off\">\
             <option value=\"\">–</option>{places}</select> <span>{}</span></label></li>",
            escaped(name),
            inline(thing)
        );
    }
    fields.push_str("</ol>\n");
    let mut answer = "<ol class=\"quiz-order\">\n".to_string();
    for thing in sorted {
        let _ = writeln!(answer, "<li data-option=\"{}\">{}</li>", place(thing), inline(thing));
    }
    let _ = writeln!(answer, "</ol>\n<p data-is=\"right\">{}</p>", inline(&order.why));
    for [first, second, why] in &order.wrong {
        let _ = writeln!(
            answer,
            "<p data-before=\"{}\" data-after=\"{}\" data-is=\"wrong\"><b>Not “{}” before “{}”.</b> {}</p>",
            place(first),
            place(second),
            inline(first),
            inline(second),
            inline(why)
        );
    }
    (fields, answer)
}

/// In an order that is always the same and says nothing.
fn shuffled<'a, T>(name: &str, all: &'a [T], text: impl Fn(&T) -> &String) -> Vec<&'a T> {
    let mut shuffled: Vec<&T> = all.iter().collect();
    shuffled.sort_by_key(|one| hash(&[name, text(one)]));
    shuffled
}

/// FNV-1a with 64 bits, and its bits mixed as in SplitMix64, so that texts of a like beginning don't stay together. The
/// hash of the standard library may be another one after an update.
fn hash(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// A text of the questions as HTML: code stands between backticks, and everything else is as it is written.
fn inline(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts: Vec<&str> = text.split('`').collect();
    let mut html = String::new();
    for (i, part) in parts.iter().enumerate() {
        match i % 2 == 1 {
            true if i + 1 < parts.len() => html += &format!("<code>{}</code>", escaped(part)),
            true => html += &format!("`{}", escaped(part)),
            false => html += &escaped(part),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One question of each kind, with texts that would be HTML if nobody escaped them.
    fn page() -> String {
        let questions: Vec<Question> = serde_yaml::from_str(
            r#"
- {id: one, level: senior, source: "https://kubernetes.io/docs/", read: how-it-works, ask: "What is `<a>` & <b>?",
   one: [{text: "<i>x</i> `y`", right: true, why: "Since <u>."}, {text: "a lone ` and {{#include x}}", why: No.}]}
- {id: several, level: staff, source: pkg/a.go, ask: Which?,
   several: [{text: a, right: true, why: Yes.}, {text: b, why: No.}, {text: c, right: true, why: Yes.}]}
- {id: number, level: senior, source: pkg/a.go, read: nowhere, ask: How many?,
   number: {is: 7.5, give: 0.5, unit: "%", why: So., wrong: [{is: 100, why: Never.}]}}
- {id: order, level: senior, source: pkg/a.go, ask: In which order?,
   order: {first_to_last: [p, q, r], why: So., wrong: [[q, p, It waits.]]}}
- {id: next, level: senior, source: pkg/a.go, ask: What next?,
   next: {play: {exercise: x, steps: []}, options: [{text: fits, right: true, why: Yes.}, {text: refused, why: No.}]}}
"#,
        )
        .unwrap();
        let transcript = Shown { transcript: vec!["filter <none>".into(), String::new(), "    fits".into()] };
        let transcripts = BTreeMap::from([("a/b/next".to_string(), transcript)]);
        let html = "<h2 id=\"how-it-works\"><a class=\"header\" href=\"#how-it-works\">How <em>it</em> works</a></h2>";
        quiz("a/b", &questions, &transcripts, html).unwrap()
    }

    /// What stands between two pieces of text, each time.
    fn between<'a>(text: &'a str, from: &str, to: &str) -> Vec<&'a str> {
        text.split(from).skip(1).filter_map(|rest| Some(rest.split_once(to)?.0)).collect()
    }

    #[test]
    fn texts_are_text_and_code_is_code() {
        let page = page();
        assert!(page.contains("What is <code>&lt;a&gt;</code> &amp; &lt;b&gt;?</legend>"), "{page}");
        assert!(page.contains("&lt;i&gt;x&lt;/i&gt; <code>y</code></span>"), "{page}");
        assert!(page.contains("a lone ` and {{#include x}}</span>"), "{page}");
        assert!(page.contains("filter &lt;none&gt;\n\n    fits</pre>"), "{page}");
        assert!(!["<i>", "<u>", "<none>"].iter().any(|html| page.contains(html)));
    }

    #[test]
    fn nothing_that_is_seen_at_once_tells_what_is_right() {
        for seen in between(&page(), "<fieldset", "<details") {
            assert!(!seen.contains("right\"") && !seen.contains("wrong\"") && !seen.contains("7.5"), "{seen}");
        }
        assert_eq!(between(&page(), "data-is=\"right\"", ">").len(), 6);
    }

    #[test]
    fn links_lead_to_headings_that_are_there_and_to_sources() {
        let page = page();
        let links = between(&page, "href=\"", "\"");
        let upstream = format!("{UPSTREAM}pkg/a.go");
        assert_eq!(links[..3], ["#how-it-works", "https://kubernetes.io/docs/", &upstream]);
        assert!(page.contains(">How <em>it</em> works</a>"), "{page}");
        assert!(!page.contains("#nowhere"), "the check names it, where it is written");
    }

    #[test]
    fn things_are_shown_in_another_order_than_theirs() {
        let things = ["p", "q", "r", "s"].map(String::from);
        let places = (0..200).map(|i| {
            let shuffled = shuffled(&i.to_string(), &things, |thing| thing);
            shuffled.iter().position(|thing| *thing == "p").unwrap()
        });
        let first = places.filter(|place| *place == 0).count();
        assert!((30..70).contains(&first), "the first of four is shown first {first} times in 200");
        let page = page();
        let shown = between(&page, "</select> <span>", "</span>");
        assert!(shown.len() == 3 && shown != ["p", "q", "r"], "{shown:?}");
    }

    #[test]
    fn a_transcript_that_is_missing_is_named() {
        let next = "[{id: n, level: staff, source: pkg/a.go, ask: x, next: {options: []}}]";
        let questions: Vec<Question> = serde_yaml::from_str(next).unwrap();
        let error = quiz("a/b", &questions, &BTreeMap::new(), "").unwrap_err().to_string();
        assert!(error.contains("a/b/n: run `cargo grade interview check --write`"), "{error}");
    }
}
