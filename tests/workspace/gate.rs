//! The author's gate, over modules that are not what they should be.

use crate::{grade, grader, root, text};
use serde_json::Value;
use std::path::Path;

const EXERCISE: &str = "scheduler/taints";

/// A kit of its own as far as authors write it, with the modules of one exercise, and programs of its own.
fn kit() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder for this test");
    let at = |path: &str| dir.path().join(path);
    for folder in ["tests/modules/scheduler", "target/grade"] {
        std::fs::create_dir_all(at(folder)).expect("a folder");
    }
    let links =
        ["Cargo.toml", "Cargo.lock", "kit", "exercises", "solutions", "book", "tests/scenarios", "target/debug"];
    for name in links {
        std::os::unix::fs::symlink(root().join(name), at(name)).expect("a link");
    }
    for kind in ["wrong", "correct"] {
        let (from, to) = (format!("tests/modules/{EXERCISE}/{kind}"), at(&format!("tests/modules/{EXERCISE}/{kind}")));
        std::fs::create_dir_all(&to).expect("a folder");
        for file in root().join(from).read_dir().expect("modules of the exercise").flatten() {
            std::fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
        }
    }
    // Any run leaves a note of where the kit's library is, and what is noted needs no Cargo.
    grade(&["run", EXERCISE]);
    std::fs::copy(root().join("target/grade/kit"), at("target/grade/kit")).expect("the note of a run");
    dir
}

/// The problems of one check of the exercise, as `check` reports them.
fn problems(kit: &Path, more: &[&str]) -> Vec<(String, String)> {
    let args = [&["check", EXERCISE, "--format", "json"], more].concat();
    let out = grader(&args).current_dir(kit).output().expect("the grader was built for this test");
    let report: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&out)));
    let checks = report["exercises"][0]["checks"].as_array().expect("checks are a list").clone();
    let mut all = Vec::new();
    for check in checks {
        for problem in check["problems"].as_array().expect("problems are a list") {
            let name = check["check"].as_str().expect("a name").to_string();
            all.push((name, problem.as_str().expect("a sentence").to_string()));
        }
    }
    all
}

#[test]
fn each_module_that_is_not_as_it_should_be_is_named() {
    let kit = kit();
    let modules = kit.path().join("tests/modules").join(EXERCISE);
    let right = std::fs::read_to_string(modules.join("correct/early-return.rs")).expect("an alternative");
    let save = |name: &str, text: &str| std::fs::write(modules.join(name), text).expect("a module can be written");
    // By itself it is a crate; among others it is not.
    save("correct/a-crate.rs", &right.replace("Verdict::Fits", "crate::Verdict::Fits"));
    save("correct/no-rust.rs", &right.replace("fn filter", "fn filtre"));
    save("correct/not-correct.rs", &right.replace("\"NoExecute\"", "\"Never\""));
    let patch = std::fs::read_to_string(modules.join("wrong/exact-key.patch")).expect("a wrong module");
    save("wrong/elsewhere.patch", &patch.replacen("empty-key", "default-operator", 1));
    save("wrong/nowhere.patch", &patch.replacen("empty-key", "no-such", 1));
    let found = problems(kit.path(), &[]);
    let expected = [
        ("wrong modules", "elsewhere: it should fail in default-operator, and failed in empty-key"),
        ("wrong modules", "nowhere: there is no scenario no-such"),
        ("alternatives", "no-rust: it should pass, and did not in  error"),
        ("alternatives", "not-correct: it should pass, and did not in "),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((check, problem), (expected_check, beginning)) in found.iter().zip(expected) {
        assert!(check == expected_check && problem.starts_with(beginning), "{check}: {problem}\nnot {beginning}");
    }
    assert!(found[2].1.contains("correct/no-rust.rs:"), "the place is in its own file: {}", found[2].1);
    assert_eq!(found, problems(kit.path(), &["--apart"]), "each by itself is judged alike");
}
