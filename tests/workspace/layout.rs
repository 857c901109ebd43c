//! The top level, and one build of the kit for all who use it.

use crate::root;
use std::collections::BTreeSet;
use std::process::Command;

fn lines(program: &str, args: &[&str]) -> BTreeSet<String> {
    let out = Command::new(program).args(args).current_dir(root()).output();
    let out = out.unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).lines().map(str::to_string).collect()
}

#[test]
fn the_top_level_is_exactly_this() {
    let files = lines("git", &["ls-files"]);
    let seen: BTreeSet<&str> =
        files.iter().filter_map(|f| f.split('/').next()).filter(|n| !n.starts_with('.')).collect();
    let expected = [
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "book",
        "exercises",
        "grader",
        "kit",
        "solutions",
        "tests",
    ];
    assert_eq!(seen, BTreeSet::from(expected));
}

/// Exercises are built together with the grader (see `build.rs` there), so the kit is built once if the grader
/// alone has the same features as the two together.
#[test]
fn exercises_never_rebuild_the_kit() {
    let tree = |packages: &[&str]| {
        let format = ["tree", "--offline", "--edges", "normal,build,features", "--prefix", "none", "--no-dedupe"];
        let packages = packages.iter().flat_map(|p| ["--package", p]);
        lines(env!("CARGO"), &format.into_iter().chain(packages).collect::<Vec<_>>())
    };
    let both = tree(&["grader", "exercises"]);
    let grader = tree(&["grader"]);
    let more: Vec<_> =
        both.difference(&grader).filter(|line| !line.is_empty() && !line.starts_with("exercises ")).collect();
    assert!(more.is_empty(), "the exercises add features: {more:#?}");
}
