//! Each file of questions is a quiz in the rendered book, which can be read without a script and answered with it.

use serde_yaml::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What the browser does on a page, after its own scripts.
const ANSWERS: &str = include_str!("quiz.js");

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the book lies in the workspace").into()
}

/// The book, rendered.
fn book() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_book"))
        .current_dir(workspace())
        .args(["build", "--dest"])
        .arg(dir.path().join("book"))
        .output()
        .expect("the book's program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    dir
}

/// The questions of the kit, by page.
fn questions() -> BTreeMap<String, Vec<Value>> {
    let folder = workspace().join("solutions/interviews/warmups");
    let (mut found, mut open) = (BTreeMap::new(), vec![folder.clone()]);
    while let Some(next) = open.pop() {
        for path in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else {
                let page = path.strip_prefix(&folder).unwrap().with_extension("");
                let all = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
                found.insert(page.to_str().unwrap().to_string(), all);
            }
        }
    }
    found
}

#[test]
fn each_page_asks_all_its_questions_and_tells_no_answer_before_it_is_unfolded() {
    let dir = book();
    let (mut choices, mut first) = (0, 0);
    for (page, all) in questions() {
        let html = fs::read_to_string(dir.path().join("book").join(&page).with_extension("html")).unwrap();
        let fields: Vec<&str> = html.split("<fieldset").skip(1).collect();
        assert_eq!(fields.len(), all.len(), "{page}");
        for (field, question) in fields.iter().zip(&all) {
            let id = question["id"].as_str().unwrap();
            assert!(field.contains(&format!("data-name=\"{page}/{id}\"")), "{page}/{id} has its place");
            let (seen, folded) = field.split_once("<details>").expect("the answer is folded away");
            assert!(!seen.contains("right\"") && !seen.contains("wrong\""), "{page}/{id}: {seen}");
            assert!(folded.contains("data-is=\"right\""), "{page}/{id}");
            assert_eq!(question.get("next").is_some(), seen.contains("quiz-transcript"), "{page}/{id}");
            if seen.contains("type=\"radio\"") {
                choices += 1;
                first += usize::from(folded.contains("data-option=\"A\" data-is=\"right\""));
            }
        }
    }
    assert!(
        (choices / 8..choices / 2).contains(&first),
        "the first of the options is right {first} times of {choices}"
    );
}

/// In a browser without a window, where there is one.
#[test]
fn a_page_is_answered_in_a_browser() {
    let Some(chromium) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).any(|dir| dir.join(name).is_file())
    }) else {
        eprintln!("no chromium here: not answered");
        return;
    };
    let dir = book();
    // Between them these pages have a question of each kind.
    for page in ["scheduler/taints", "cluster"] {
        let file = dir.path().join("book").join(page).with_extension("html");
        let html = fs::read_to_string(&file).unwrap();
        fs::write(&file, html.replace("</body>", &format!("<script>{ANSWERS}</script></body>"))).unwrap();
        let output = Command::new(chromium)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"])
            .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
            .arg(format!("file://{}", file.display()))
            .output()
            .unwrap();
        let dom = String::from_utf8_lossy(&output.stdout);
        let said = dom.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).map(|(title, _)| title);
        assert_eq!(said, Some("all as it should be"), "{page}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
