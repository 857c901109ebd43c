//! One result in many forms: each is well-formed, says the same, and can't be forged by what a module prints.

use crate::{document, grade, reference, root, text};
use serde_json::{Value, json};
use std::path::Path;

const WRONG: &str = "tests/modules/scheduler/taints/wrong/exact-key.patch";

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The document without what differs from run to run.
fn timeless(mut report: Value) -> Value {
    for exercise in report["exercises"].as_array_mut().expect("exercises are a list") {
        exercise["duration_ms"] = json!(0);
    }
    report
}

#[test]
fn results_fit_the_published_schema() {
    let schema: Value = serde_json::from_slice(&grade(&["schema"]).stdout).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is a schema");
    let holds = |report: &Value, what: &[&str]| {
        let problems: Vec<String> =
            validator.iter_errors(report).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(problems.is_empty(), "{what:?}: {problems:#?}");
    };
    holds(&reference().0, &["the reference"]);
    let runs: [&[&str]; 5] = [
        &["run", "scheduler/taints", "--modules", WRONG, "--variation", "report"],
        &["run", "scheduler/taints", "--modules", WRONG],
        &["run", "scheduler/taints", "--modules", "tests/modules/hostile/does_not_compile.rs"],
        &[
            "run",
            "workloads/replica_set",
            "--modules",
            "tests/modules/workloads/replica_set/wrong/trusts-the-cache.patch",
        ],
        &["run", "objects", "--partition", "slice:1/2", "--modules", "solutions"],
    ];
    for args in runs {
        holds(&document(args).0, args);
    }
    let example = text_of(&root().join("book/examples/result.json"));
    let example: Value = serde_json::from_str(&example).expect("the book's example is JSON");
    assert!(validator.is_valid(&example), "{:#?}", validator.iter_errors(&example).collect::<Vec<_>>());
    let mut broken = reference().0.clone();
    broken["exercises"][0]["status"] = json!("excellent");
    assert!(!validator.is_valid(&broken), "a schema that takes anything is none");
}

#[test]
fn all_forms_come_from_one_run() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    let file = |name: &str| folder.path().join(name);
    let outputs = ["json", "junit", "markdown", "gradescope", "github", "human"]
        .map(|form| format!("--format={form}={}", file(form).display()));
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let out = grade(&[&["run", "scheduler/taints", "--modules", WRONG], &outputs[..]].concat());
    assert_eq!(out.status.code(), Some(1), "{}", text(&out));
    assert!(text(&out).contains("✗ scheduler/taints"), "files don't take the text away: {}", text(&out));

    let report: Value = serde_json::from_str(&text_of(&file("json"))).expect("the document is JSON");
    let scenarios = report["exercises"][0]["scenarios"].as_array().expect("scenarios are a list");
    let failed: Vec<&str> =
        scenarios.iter().filter(|s| s["status"] == "failed").filter_map(|s| s["name"].as_str()).collect();
    assert!(!failed.is_empty());

    let junit = quick_junit::Report::deserialize_from_str(&text_of(&file("junit"))).expect("JUnit's XML");
    assert_eq!((junit.tests, junit.failures, junit.errors), (scenarios.len(), failed.len(), 0));
    let points: Value = serde_json::from_str(&text_of(&file("gradescope"))).expect("Gradescope's JSON");
    let test = &points["tests"][0];
    let share = (scenarios.len() - failed.len()) as f64 / scenarios.len() as f64;
    assert!((test["score"].as_f64().expect("a score") - 10.0 * share).abs() < 0.011, "{test:#}");
    let markdown = text_of(&file("markdown"));
    let passed = scenarios.len() - failed.len();
    let row = format!("| ❌ | scheduler/taints | failed | {passed} of {} |", scenarios.len());
    assert!(markdown.contains(&row), "{markdown}");
    let github = text_of(&file("github"));
    assert!(github.starts_with(&format!("::error file={WRONG},title=scheduler/taints%3A failed::")), "{github}");
    for form in ["junit", "markdown", "github", "human"] {
        assert!(text_of(&file(form)).contains(failed[0]), "{form} names the first failing scenario");
    }
}

/// A variation has no scenarios in files, so that what counts is how many fresh ones came before the one that failed.
#[test]
fn all_forms_name_a_variation() {
    const NAME: &str = "prefer-refuses:where=valued";
    let run = |form: &str| {
        text(&grade(&["run", "scheduler/taints", "--modules", WRONG, "--variation", NAME, "--format", form]))
    };
    for form in ["human", "json", "junit", "markdown", "gradescope", "github"] {
        let said = run(form).replace("%3A", ":");
        assert!(said.contains(NAME) && said.contains("with a value that isn't empty") || form == "junit", "{said}");
    }
    let junit = quick_junit::Report::deserialize_from_str(&run("junit")).expect("JUnit's XML");
    assert_eq!((junit.tests, junit.failures, junit.errors), (1, 1, 0));
    let points: Value = serde_json::from_str(&run("gradescope")).expect("Gradescope's JSON");
    assert!(points["tests"][0]["score"].as_f64().is_some_and(|score| score < 10.0), "{points:#}");
    let wrong = ["run", "scheduler/taints", "--modules", "tests/modules/scheduler/taints/correct/early-return.rs"];
    let passed =
        text(&grade(&[&wrong[..], &["--variation", "brief:seconds=0", "--fresh", "1", "--format", "junit"]].concat()));
    assert!(passed.contains("failures=\"0\""), "{passed}");
}

#[test]
fn annotations_stand_at_the_line_to_look_at() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    let module = folder.path().join("taints.rs");
    let stub = text_of(&root().join("exercises/scheduler/taints.rs"));
    let line_of = |text: &str, what: &str| text.lines().position(|l| l.contains(what)).expect("the line is there") + 1;
    let cases = [
        ("todo!(\"find the first taint that no toleration covers\")", "Verdict::Fits", "impl Taints for", "failed"),
        ("todo!(\"find the first taint that no toleration covers\")", "panic!(\"no\")", "panic!(", "error%3A panic"),
        ("todo!(\"find the first taint that no toleration covers\")", "nothing()", "nothing()", "error%3A compile"),
    ];
    for (from, to, at, verdict) in cases {
        let code = stub.replace(from, to);
        std::fs::write(&module, &code).expect("a temporary file can be written");
        let path = module.to_str().expect("temporary folders are UTF-8");
        let out = grade(&["run", "scheduler/taints", "--modules", path, "--format", "github"]);
        let said = text(&out);
        let expected = format!("::error file={path},line={},title=scheduler/taints%3A {verdict}::", line_of(&code, at));
        assert!(said.lines().any(|line| line.starts_with(&expected)), "{expected}\n{said}");
    }
}

/// GitHub's runner obeys commands in whatever is printed, so that what a module prints stands inside a fence.
#[test]
fn a_module_gives_no_command_to_the_runner() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    let (module, summary) = (folder.path().join("taints.rs"), folder.path().join("summary.md"));
    let stub = text_of(&root().join("exercises/scheduler/taints.rs"));
    let command = "println!(\"fine\\n::notice::all passed\\n```\\n</details>\\n# All passed\"); Verdict::Fits";
    let code = stub.replace("todo!(\"find the first taint that no toleration covers\")", command);
    std::fs::write(&module, code).expect("a temporary file can be written");
    let path = module.to_str().expect("temporary folders are UTF-8");
    let out = crate::grader(&["run", "scheduler/taints", "--modules", path, "--format", "github"])
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .expect("the grader runs");
    let said = text(&out);
    let mut lines = said.lines();
    let token = lines.next().and_then(|line| line.strip_prefix("::stop-commands::")).expect("a fence comes first");
    let end = format!("::{token}::");
    let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
    assert!(inside.iter().any(|line| line.trim_start().starts_with("::notice")), "{said}");
    assert!(lines.all(|line| line.starts_with("::error ")), "{said}");
    let summary = text_of(&summary);
    let fence = summary.find("\n````diff\n").expect("the fence is longer than what was printed");
    let forged = summary.find("# All passed").expect("what was printed is shown");
    assert!(fence < forged && summary[forged..].contains("\n````\n"), "{summary}");
}

#[test]
fn parts_add_up_to_the_whole() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    // More exercises would say nothing more.
    let run = ["run", "objects", "scheduler"];
    let (whole, code) = document(&run);
    for rule in ["hash", "slice"] {
        let mut paths = Vec::new();
        for part in 1..=3 {
            let path = folder.path().join(format!("{rule}-{part}.json")).display().to_string();
            let (partition, output) = (format!("{rule}:{part}/3"), format!("json={path}"));
            grade(&[&run[..], &["--partition", &partition, "--format", &output]].concat());
            paths.push(path);
        }
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let (merged, merged_code) = document(&[&["merge"], &paths[..]].concat());
        assert_eq!(timeless(merged), timeless(whole.clone()), "{rule}");
        assert_eq!(merged_code, code);
        let out = grade(&["merge", paths[0], paths[2]]);
        assert_eq!(out.status.code(), Some(2), "{}", text(&out));
        assert!(text(&out).contains(&format!("the result of {rule}:2/3 is missing")), "{}", text(&out));
        let twice = grade(&["merge", paths[0], paths[1], paths[2], paths[1]]);
        assert_eq!(twice.status.code(), Some(2), "{}", text(&twice));
    }
}

#[test]
fn only_what_is_required_fails_a_run() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    let list = folder.path().join("required.txt");
    let path = list.to_str().expect("temporary folders are UTF-8");
    let cases = [
        ("# nothing yet\n", Some(0), "passed"),
        ("control_plane/store  # next week\n", Some(0), "passed"),
        ("scheduler\n", Some(1), "failed"),
    ];
    for (required, code, status) in cases {
        std::fs::write(&list, required).expect("a temporary file can be written");
        // The folder holds a wrong module of one exercise, and a correct one of another.
        let modules = folder.path().join("modules");
        for (name, module) in [
            ("scheduler/taints", "hostile/panic.rs"),
            ("control_plane/store", "control_plane/store/correct/one-log.rs"),
        ] {
            let file = modules.join(format!("{name}.rs"));
            std::fs::create_dir_all(file.parent().expect("a file has a folder")).expect("a temporary folder");
            std::fs::copy(root().join("tests/modules").join(module), file).expect("a temporary file");
        }
        let modules = modules.to_str().expect("temporary folders are UTF-8");
        let (report, exit) = document(&["run", "--modules", modules, "--required", path]);
        assert_eq!((exit, &report["status"]), (code, &json!(status)), "{required}: {report:#}");
    }
    // What must pass and isn't there has not passed.
    std::fs::write(&list, "workloads/hpa\n").expect("a temporary file can be written");
    let modules = folder.path().join("modules");
    let (report, exit) = document(&["run", "--modules", modules.to_str().expect("UTF-8"), "--required", path]);
    assert_eq!(exit, Some(1), "{report:#}");
    // A name that is misspelt would require nothing.
    std::fs::write(&list, "scheduler/taint\n").expect("a temporary file can be written");
    let out = grade(&["run", "--required", path]);
    assert_eq!(out.status.code(), Some(2), "{}", text(&out));
    assert!(text(&out).contains("did you mean `scheduler/taints`?"), "{}", text(&out));
}

/// The book's example in Python, started by its command as a learner would.
#[test]
fn another_language_is_graded_by_the_same_scenarios() {
    let asked = std::process::Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let Some(python) = asked.ok().filter(|out| out.status.success()) else {
        eprintln!("no python3 here: not graded");
        return;
    };
    let python = String::from_utf8_lossy(&python.stdout).trim().to_string();
    let (report, code) = document(&["run", "taints", "--worker", &format!("{python} book/examples/taints.py")]);
    assert_eq!((code, &report["status"]), (Some(0), &json!("passed")), "{report:#}");
    let mistakes: [(&[&str], &str); 3] = [
        (&["run", "--worker", &python], "name the exercise"),
        (&["run", "taints", "--worker", "no-such-program x"], "there is no program `no-such-program`"),
        (&["run", "taints", "--worker", "python3 'open"], "a quotation mark is missing"),
    ];
    for (args, expected) in mistakes {
        let out = grade(args);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {}", text(&out));
        assert!(text(&out).contains(expected), "{args:?}: {}", text(&out));
    }
}

/// A runtime with threads of its own and many ideas of what it may ask the system.
#[test]
fn node_starts_behind_the_walls() {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|bin| bin.join("node"));
    let Some(node) = found.filter_map(|node| node.canonicalize().ok()).find(|node| node.is_file()) else {
        eprintln!("no node here: not graded");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder for this test");
    let script = folder.path().join("taints.js");
    let code = "require('readline').createInterface({ input: process.stdin }).on('line', line => {
        const { id, call } = JSON.parse(line);
        console.log(JSON.stringify({ id, answer: call === 'new' ? null : 'Fits' }));
    });";
    std::fs::write(&script, code).expect("a temporary file can be written");
    let command = format!("'{}' '{}'", node.display(), script.display());
    let (report, _) = document(&["run", "taints", "--worker", &command, "--memory", "8192"]);
    assert_eq!(report["exercises"][0]["status"], "failed", "it answers, and mostly wrongly: {report:#}");
}

/// The page on the wire shows a schema; it is the one that the grader prints.
#[test]
fn the_book_shows_the_schema_of_a_wire() {
    let shown = text_of(&root().join("book/examples/taints.schema.json"));
    let printed = grade(&["schema", "scheduler/taints"]);
    assert_eq!(shown, String::from_utf8_lossy(&printed.stdout), "`cargo grade schema scheduler/taints` says otherwise");
}

#[test]
fn colours_are_for_terminals_and_for_who_asks() {
    let run = |variables: &[(&str, &str)]| {
        let mut command = crate::grader(&["run", "scheduler/taints", "--modules", WRONG]);
        command.env_remove("NO_COLOR").env_remove("TERM").envs(variables.iter().copied());
        text(&command.output().expect("the grader runs"))
    };
    assert!(!run(&[]).contains('\u{1b}'));
    assert!(!run(&[("NO_COLOR", "1"), ("TERM", "xterm-256color")]).contains('\u{1b}'));
    assert!(run(&[("CLICOLOR_FORCE", "1")]).contains("\u{1b}[31m"));
}

/// What a module prints, panics with or answers may hold any character.
#[test]
fn odd_characters_break_no_form() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    let file = |name: &str| folder.path().join(name);
    let stub = text_of(&root().join("exercises/scheduler/taints.rs"));
    let todo = "todo!(\"find the first taint that no toleration covers\")";
    assert!(stub.contains(todo), "the stub is at its start");
    let odd = "\\u{fffe}\\u{ffff}\\u{0}\\u{8}\\u{1b}[31m\\u{202e}]]>\\r\\n::error::%0A|`<&\\\"'\\u{2028}\\u{10ffff}";
    let panics = format!(
        "use std::io::Write; let _ = std::io::stderr().write_all(b\"\\xff\\xfe\\n\"); println!(\"{odd}\"); panic!(\"{odd}\")"
    );
    let answers = "Verdict::Refused(Taint { key: \"".to_string() + odd + "\".into(), ..taints[0].clone() })";
    for (body, may_print) in [(panics, true), (answers, false)] {
        let code =
            stub.replace(todo, &body).replace("use kit::scheduler::{", "#[allow(unused)]\nuse kit::scheduler::{");
        std::fs::write(file("taints.rs"), code).expect("a temporary file can be written");
        let module = file("taints.rs").display().to_string();
        let forms = ["json", "junit", "markdown", "gradescope", "github", "human"];
        let outputs = forms.map(|form| format!("--format={form}={}", file(form).display()));
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        let out = grade(&[&["run", "scheduler/taints", "--all", "--modules", &module], &outputs[..]].concat());
        assert_eq!(out.status.code(), Some(1), "{}", text(&out));
        assert!(!text(&out).contains("error: compile"), "{}", text(&out));
        for name in ["json", "gradescope"] {
            serde_json::from_str::<Value>(&text_of(&file(name))).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        let junit = text_of(&file("junit"));
        quick_junit::Report::deserialize_from_str(&junit).expect("JUnit's XML");
        let github = text_of(&file("github"));
        assert_eq!(github.lines().count(), 1, "one annotation: {github}");
        for (name, shown) in
            [("junit", junit), ("github", github), ("markdown", text_of(&file("markdown"))), ("human", text(&out))]
        {
            let wrong = |c: char| {
                c.is_control() && c != '\n'
                    || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{10ffff}' | '\u{202e}' | '\u{2028}')
            };
            assert!(!shown.contains(wrong), "{name}: {shown:?}");
            assert!(!may_print || shown.contains("\\u{202e}"), "{name}: what is taken away is shown: {shown}");
        }
    }
}

/// Who hands in a file names it, too.
#[test]
fn odd_names_of_files_break_no_form() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    let file = |name: &str| folder.path().join(name);
    let stub = text_of(&root().join("exercises/scheduler/taints.rs"));
    let todo = "todo!(\"find the first taint that no toleration covers\")";
    let odd = "ta\n::error::\u{1b}[31m\u{8}\u{202e}\u{200f}ints<b>`|.rs";
    std::fs::write(file(odd), stub.replace(todo, "panic!()")).expect("a temporary file can be written");
    let module = file(odd).display().to_string();
    let forms = ["json", "junit", "markdown", "gradescope", "github", "human"];
    let outputs = forms.map(|form| format!("--format={form}={}", file(form).display()));
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let out = grade(&[&["run", "scheduler/taints", "--modules", &module], &outputs[..]].concat());
    assert_eq!(out.status.code(), Some(1), "{}", text(&out));
    let report: Value = serde_json::from_str(&text_of(&file("json"))).expect("the document is JSON");
    assert_eq!(report["exercises"][0]["file"], json!(module), "the document is exact");
    assert_eq!(report["exercises"][0]["kind"], json!("panic"), "{report:#}");
    let junit = text_of(&file("junit"));
    quick_junit::Report::deserialize_from_str(&junit).expect("JUnit's XML");
    assert_eq!(text_of(&file("github")).lines().count(), 1, "one annotation");
    let gone = grade(&["run", "scheduler/taints", "--modules", &file("no\n::error::\u{202e}").display().to_string()]);
    let shown = ["github", "markdown", "gradescope"].map(|name| text_of(&file(name)));
    for shown in shown.iter().chain([&junit, &text(&out), &text(&gone)]) {
        let wrong = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202e}' | '\u{200f}');
        assert!(!shown.contains(wrong), "{shown:?}");
    }
    for shown in [text(&out), text(&gone)] {
        assert!(!shown.lines().any(|line| line.starts_with("::error::")), "{shown}");
    }
}
