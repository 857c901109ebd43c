//! Variations: modules that were written by hand for the changed rule pass, and those for the rule of Kubernetes don't.

use crate::{document, grade, root, text};
use serde_json::json;
use std::path::{Path, PathBuf};

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All patches below a folder.
fn patches(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| if path.is_dir() { patches(&path) } else { vec![path] }).collect()
}

/// Each patch makes a correct module one for a variation: its first line names which, and how it was done. The module was
/// written without the solutions, and so it says whether the adapter around these does what the paragraph says.
#[test]
fn modules_for_a_changed_rule_pass_by_that_rule_alone() {
    let folder = root().join("tests/variations");
    let scratch = tempfile::tempdir().expect("a folder for this test");
    let all = patches(&folder);
    assert!(all.len() >= 4);
    for path in all {
        let exercise = path.strip_prefix(&folder).ok().and_then(Path::parent).expect("it lies below the folder");
        let exercise = exercise.to_str().expect("names are ASCII");
        let patch = read(&path);
        let name = patch.strip_prefix("Varies: ").and_then(|rest| rest.split_whitespace().next());
        let name = name.unwrap_or_else(|| panic!("{}: its first line is `Varies: NAME — …`", path.display()));
        let kind = path.file_stem().and_then(|stem| stem.to_str());
        assert_eq!(name.split(':').next(), kind, "{}", path.display());
        let start = patch.find("\n---").expect("a patch") + 1;
        let patch = diffy::Patch::from_str(&patch[start..]).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let base = root().join(patch.original().expect("a patch names what it changes"));
        let varied = diffy::apply(&read(&base), &patch);
        let varied = varied.unwrap_or_else(|e| panic!("{} fits no more: {e}", path.display()));
        let file = scratch.path().join(exercise.replace('/', "-")).with_extension("rs");
        std::fs::write(&file, varied).expect("a temporary file can be written");
        let file = file.to_str().expect("temporary folders are UTF-8");
        for (modules, status) in [(file, "passed"), ("solutions", "failed")] {
            let (report, _) = document(&["run", exercise, "--variation", name, "--modules", modules]);
            let result = &report["exercises"][0];
            assert_eq!(result["status"], status, "{exercise} {name} with {modules}: {result:#}");
            assert_eq!(result["variation"]["name"], name);
            assert_eq!(result["scenarios"], json!([]), "goldens tell another rule");
        }
    }
}

#[test]
fn a_variation_is_told_before_what_is_wrong() {
    let args = ["run", "taints", "--modules", "solutions", "--variation"];
    let run = |name: &str| grade(&[&args[..], &[name]].concat());
    let out = run("brief:seconds=301");
    assert_eq!(out.status.code(), Some(1), "{}", text(&out));
    let said = text(&out);
    let places = ["scheduler/taints · brief:seconds=301", "less than 301 seconds", "expected", "yours", "again"];
    let places = places.map(|words| said.find(words).unwrap_or_else(|| panic!("no {words}: {said}")));
    assert!(places.is_sorted(), "{said}");
    let again = said.lines().find_map(|line| line.trim().strip_prefix("again")).expect("how to play it again");
    let again: Vec<&str> = again.split_whitespace().skip(2).chain(["--modules", "solutions"]).collect();
    assert!(again.contains(&"--variation"), "{again:?}");
    let timeless = |said: &str| said.lines().filter(|line| !line.ends_with(" s")).map(String::from).collect::<Vec<_>>();
    assert_eq!(timeless(&text(&grade(&again))), timeless(&said), "the same once more");
}

#[test]
fn variations_are_listed_and_mistakes_explained() {
    let list = grade(&["run", "scheduler/taints", "--variation", "list"]);
    assert_eq!(list.status.code(), Some(0));
    for words in
        ["prefer-refuses:where=anywhere", "`PreferNoSchedule` keeps a pod away", "where: anywhere or kubernetes"]
    {
        assert!(text(&list).contains(words), "{words}: {}", text(&list));
    }
    let cases: [(&[&str], &str); 5] = [
        (&["run", "--variation", "brief"], "`--variation` is of one exercise"),
        (&["run", "taints", "score", "--variation", "brief"], "`--variation` is of one exercise"),
        (&["run", "scheduler", "--variation", "brief"], "is a chapter; name one exercise"),
        (&["run", "taints", "--variation", "briefly"], "there are: prefer-refuses, report, brief, short-values"),
        (&["run", "taints", "--variation", "brief", "--fresh", "0"], "leaves nothing to play"),
    ];
    for (args, expected) in cases {
        let out = grade(args);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {}", text(&out));
        assert!(text(&out).contains(expected), "{args:?}: {}", text(&out));
    }
}
