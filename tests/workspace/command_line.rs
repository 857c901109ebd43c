//! Documents, exit codes and the text that a learner reads.

use crate::{document, grade, modules, reference, root, text};
use serde_json::json;

#[test]
fn the_reference_passes() {
    let (report, code) = reference();
    assert_eq!(*code, Some(0), "{report:#}");
    assert_eq!((&report["schema_version"], &report["kubernetes"]), (&json!(1), &json!("1.33")));
    for exercise in report["exercises"].as_array().expect("exercises are a list") {
        assert_eq!(exercise["status"], "passed", "{exercise:#}");
        for scenario in exercise["scenarios"].as_array().expect("scenarios are a list") {
            assert!(scenario["why"].as_str().is_some_and(|why| why.ends_with('.')), "{scenario:#}");
        }
    }
}

#[test]
fn all_rooms_agree() {
    let (report, code) = document(&["check"]);
    assert_eq!(code, Some(0), "{report:#}");
}

#[test]
fn the_reference_agrees_with_recorded_kubernetes() {
    let (report, code) = document(&["conformance"]);
    assert_eq!(code, Some(0), "{report:#}");
    let groups = report["groups"].as_array().expect("groups are a list");
    assert!(!groups.is_empty());
    for group in groups.iter().filter(|g| g["covered"] == true) {
        assert_eq!(group["cases"], group["matched"], "{group:#}");
    }
}

#[test]
fn mistakes_on_the_command_line_are_explained() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    let empty = folder.path().to_str().expect("temporary folders are UTF-8");
    let cases: [(&[&str], &str); 6] = [
        (&["run", "scheduler/taint"], "did you mean `scheduler/taints`?"),
        (&["run", "nothing/like_it"], "`cargo grade list` shows them all"),
        (&["run", "--modules", "no/such/folder"], "there is no no/such/folder"),
        (&["run", "--modules", empty], "no module of any exercise is there"),
        (&["conformance", empty], "no recorded table there"),
        (&["new", "Nonsense"], "is no name for an exercise"),
    ];
    for (args, expected) in cases {
        let out = grade(args);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {}", text(&out));
        assert!(text(&out).contains(expected), "{args:?}: {}", text(&out));
    }
}

/// A program is kept with its source, and only with its own: one with warnings is kept without.
#[test]
fn an_edit_that_is_undone_is_undone() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    let file = folder.path().join("taints.rs");
    let right = root().join("tests/modules/scheduler/taints/correct/early-return.rs");
    let right = std::fs::read_to_string(right).expect("an alternative can be read");
    let wrong = format!("{}\nfn unused() {{}}\n", right.replace("\"NoExecute\"", "\"Never\""));
    for (source, code) in [(&right, 0), (&wrong, 1), (&right, 0)] {
        std::fs::write(&file, source).expect("the folder is writable");
        let out = grade(&["run", "scheduler/taints", "--modules", file.to_str().expect("temporary folders are UTF-8")]);
        assert_eq!(out.status.code(), Some(code), "{}", text(&out));
        assert!(!text(&out).contains("error"), "{}", text(&out));
    }
}

/// What a learner reads is the product: each wrong module's explanation is kept as text.
#[test]
fn wrong_modules_are_explained() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root().join("tests/workspace/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| {
        for file in modules("scheduler/taints/wrong") {
            let name = file.file_stem().expect("a module has a name").to_string_lossy().into_owned();
            let out = grade(&["run", "scheduler/taints", "--modules", file.to_str().expect("module names are ASCII")]);
            assert_eq!(out.status.code(), Some(1), "{}", text(&out));
            let said = text(&out);
            let timeless = |line: &str| match line.rsplit_once("   ") {
                Some((rest, time)) if time.ends_with(" s") && time.starts_with(|c: char| c.is_ascii_digit()) => {
                    rest.to_string()
                }
                _ => line.to_string(),
            };
            let timeless: Vec<_> = said.lines().map(timeless).collect();
            insta::assert_snapshot!(format!("taints_{name}"), timeless.join("\n"));
        }
    });
}
