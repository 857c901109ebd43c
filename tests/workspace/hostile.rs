//! Modules that hang, die, flood or lie: each is named for what it is, and the grader goes on.

use crate::{document, first_line, modules};

#[test]
fn each_hostile_module_is_named_and_survived() {
    for file in modules("hostile") {
        let expected = first_line(&file, "//! Kind: ");
        let path = file.to_str().expect("module names are ASCII");
        let (report, code) = document(&["run", "scheduler/taints", "--modules", path]);
        let exercise = &report["exercises"][0];
        assert_eq!(code, Some(1), "{path}: {exercise:#}");
        assert_eq!(exercise["status"], "error", "{path}: {exercise:#}");
        assert_eq!(exercise["kind"], *expected, "{path}: {exercise:#}");
        let scenarios = exercise["scenarios"].as_array().expect("scenarios are a list");
        assert!(scenarios.iter().all(|s| s["status"] != "passed"), "{path} was passed: {exercise:#}");
        assert!(expected == "compile" || scenarios.len() >= 8, "{path}: the grader stopped early: {exercise:#}");
    }
}
