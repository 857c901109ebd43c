//! The top level, the layers of the kit, and one build of the kit for all who use it.

use crate::root;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

fn lines(program: &str, args: &[&str]) -> BTreeSet<String> {
    let out = Command::new(program).args(args).current_dir(root()).output();
    let out = out.unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).lines().map(str::to_string).collect()
}

#[test]
fn the_top_level_is_exactly_this() {
    if !root().join(".git").exists() {
        eprintln!("a download without git: what else lies in it is not known");
        return;
    }
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

/// What Cargo selects for `packages`: each package with its features. What runs on the host stands beside what doesn't.
fn selected(packages: &[&str], edges: &str) -> BTreeSet<String> {
    let format = ["tree", "--offline", "--prefix", "none", "--no-dedupe", "--format", "{p} {f}", "--edges", edges];
    let packages = packages.iter().flat_map(|package| ["--package", package]);
    lines(env!("CARGO"), &format.into_iter().chain(packages).collect::<Vec<_>>())
}

/// A crate with other features is another crate, and so is all that stands on it. So the kit that one program or the
/// tests have built serves the next only if all of them ask for the same: see `grader/features`. Exercises are built
/// together with the grader (see `build.rs` there).
#[test]
fn the_kit_is_built_once_for_all_programs() {
    let grader = selected(&["grader"], "normal,build");
    let with_exercises = selected(&["grader", "exercises"], "normal,build");
    let tests = selected(&[], "normal,build,dev");
    let programs = ["grader", "cluster", "interview", "book"];
    let programs = programs.map(|program| (program.to_string(), selected(&[program], "normal,build")));
    let kit = LAYERS.concat().into_iter().map(|name| format!("kit-{name}"));
    let kit = kit.map(|name| (format!("a test of {name}"), selected(&[&name], "normal,build,dev")));
    let selections = programs.into_iter().chain(kit).map(|(name, crates)| (name, crates, &tests));
    for (name, crates, shared) in selections.chain([("grader with exercises".into(), with_exercises, &grader)]) {
        let own: Vec<_> =
            crates.difference(shared).filter(|line| !line.is_empty() && !line.starts_with("exercises ")).collect();
        assert!(own.is_empty(), "{name} has crates with features of its own, which grader/features lacks: {own:#?}");
    }
}

/// The crates of the kit by layer: each may depend on those of the layers above its own.
const LAYERS: [&[&str]; 14] = [
    &["api"],
    &["cel", "codec", "time"],
    &["contract", "raft"],
    &["store"],
    &["etcd"],
    &["apimachinery"],
    &["server"],
    &["client"],
    &["scheduler", "controllers", "node", "network", "observability"],
    &["autoscaler"],
    &["cluster"],
    &["serverless"],
    &["stages"],
    &["live"],
];

/// Direction of dependencies, those of tests left out. Whoever adds a crate gives it a layer and a line in `kit/README.md`.
#[test]
fn the_layers_of_the_kit_have_one_direction() {
    let layer = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo answers");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).expect("cargo writes JSON");
    let mut crates: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let Some(name) = package["name"].as_str().and_then(|name| name.strip_prefix("kit-")) else { continue };
        let needed = package["dependencies"].as_array().expect("dependencies").iter();
        let needed = needed.filter(|dependency| dependency["kind"] != "dev").filter_map(|dependency| {
            Some(dependency["name"].as_str()?.strip_prefix("kit-").unwrap_or_default().to_string())
        });
        crates.insert(name.into(), needed.filter(|name| !name.is_empty()).collect());
    }
    let folders = std::fs::read_dir(root().join("kit")).expect("the kit is there").flatten();
    let folders = folders.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().into_string());
    let folders: BTreeSet<String> = folders.map(|name| name.expect("crates have plain names")).collect();
    assert_eq!(crates.keys().cloned().collect::<BTreeSet<_>>(), folders, "one crate, one folder");
    assert_eq!(LAYERS.concat().into_iter().map(String::from).collect::<BTreeSet<_>>(), folders, "each has a layer");
    let readme = std::fs::read_to_string(root().join("kit/README.md")).expect("kit/README.md");
    for (name, needed) in &crates {
        for other in needed {
            assert!(layer(other) < layer(name), "kit/{name} depends on kit/{other}, which does not stand above it");
        }
        let drawn = |line: &str| line.trim_start_matches([' ', '│', '├', '└', '─']).starts_with(&format!("{name} "));
        assert!(readme.lines().any(drawn), "kit/README.md doesn't draw {name}");
    }
}
