//! Modules that hang, die, flood, steal or lie: each is named for what it is, and the grader goes on.
//!
//! What they want to steal, to write and to call belongs to these tests: their texts say `CANARY_…` where a real
//! attacker would have a path or an address, and each gets canaries of its own.

use crate::{document, grader, modules, root, text};
use serde_json::Value;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

const PASSWORD: &str = "canary-a7f3e1";
/// Less memory and less time for the compiler than learners have, so that the set takes two minutes and not five.
const LIMITS: [&str; 6] = ["--memory", "256", "--build-timeout", "20", "--scenario-timeout", "6"];

/// What hostile modules reach for.
struct Canaries {
    folder: tempfile::TempDir,
    listener: TcpListener,
}

impl Canaries {
    /// In the kit's own folder, where solutions and goldens are.
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder for canaries");
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("home/.ssh")).expect("a home");
        for (path, text) in [
            ("home/.ssh/id_ed25519", PASSWORD),
            ("first.golden", "filter  taints none\n    refused\n"),
            ("solution.rs", "pub fn fits() -> kit::scheduler::Verdict { kit::scheduler::Verdict::Fits }\n"),
        ] {
            std::fs::write(at(path), text).expect("a canary");
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        listener.set_nonblocking(true).expect("a listener that doesn't wait");
        Canaries { folder, listener }
    }

    fn path(&self, path: &str) -> String {
        self.folder.path().join(path).to_str().expect("temporary folders are UTF-8").into()
    }

    /// The module with canaries for its placeholders.
    fn plant(&self, module: &Path) -> PathBuf {
        let address = self.listener.local_addr().expect("it is bound").to_string();
        let planted = std::fs::read_to_string(module)
            .expect("a module is a text file")
            .replace("CANARY_GOLDEN", &self.path("first.golden"))
            .replace("CANARY_SOLUTION", &self.path("solution.rs"))
            .replace("CANARY_HOME", &self.path("home"))
            .replace("CANARY_FOLDER", &self.path(""))
            .replace("CANARY_ADDRESS", &address);
        let file = self.folder.path().join(module.file_name().expect("a module has a name"));
        std::fs::write(&file, planted).expect("a copy of the module");
        file
    }

    /// Grades `module` as the exercise that it names, or else as `scheduler/taints`, in an environment that holds a
    /// password.
    fn grade(&self, module: &Path, more: &[&str]) -> Value {
        let file = self.plant(module);
        let source = std::fs::read_to_string(&file).expect("it was just written");
        let exercise = source.lines().nth(1).and_then(|line| line.strip_prefix("//! Exercise: "));
        let exercise = exercise.unwrap_or("scheduler/taints");
        let file = file.to_str().expect("module names are ASCII");
        let args = [&["run", exercise, "--format", "json", "--modules", file], &LIMITS[..], more].concat();
        let mut grader = grader(&args);
        if let (None, Some(home)) = (std::env::var_os("CARGO_HOME"), std::env::home_dir()) {
            grader.env("CARGO_HOME", home.join(".cargo"));
        }
        grader.env("HOME", self.path("home")).env("CANARY_PASSWORD", PASSWORD);
        let out = grader.output().expect("the grader was built for this test");
        let report: Value =
            serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{file}: {e}: {}", text(&out)));
        let expected = if report["status"] == "passed" { 0 } else { 1 };
        assert_eq!(out.status.code(), Some(expected), "{file}: {}", text(&out));
        report["exercises"][0].clone()
    }

    /// Nothing was taken, changed or called.
    fn assert_untouched(&self, module: &str, result: &Value) {
        assert!(!result.to_string().contains(PASSWORD), "{module} has the password: {result:#}");
        assert!(!Path::new(&self.path("written")).exists(), "{module} wrote a file");
        let golden = std::fs::read_to_string(self.path("first.golden"));
        assert!(golden.is_ok_and(|text| text.contains("refused")), "{module} changed a file");
        let called = self.listener.accept().err().map(|e| e.kind());
        assert_eq!(called, Some(ErrorKind::WouldBlock), "{module} called");
    }
}

/// A module of the set, what its first line says, and what became of it.
struct Measured {
    name: String,
    expected: String,
    what: String,
    result: Value,
}

fn measure(file: &Path) -> Measured {
    let source = std::fs::read_to_string(file).expect("a module is a text file");
    let first = source.lines().next().and_then(|line| line.strip_prefix("//! Kind: ")?.split_once(" — "));
    let (expected, what) = first.unwrap_or_else(|| panic!("{}: its first line is `//! Kind: … — …`", file.display()));
    let canaries = Canaries::new();
    let result = canaries.grade(file, &["--sandbox", "require"]);
    let name = file.file_stem().expect("a module has a name").to_string_lossy().into_owned();
    canaries.assert_untouched(&name, &result);
    Measured { name, expected: expected.into(), what: what.into(), result }
}

/// The whole set, graded once for all tests that look at it.
static MEASURED: LazyLock<Vec<Measured>> = LazyLock::new(measure_all);

/// Two at a time: many of them only wait.
fn measure_all() -> Vec<Measured> {
    let files = modules("hostile");
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(measure(file));
        }
        done
    };
    let mut all: Vec<Measured> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("each module is survived")).collect()
    });
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// A correct module of `scheduler/taints`.
fn correct() -> String {
    let file = root().join("tests/modules/scheduler/taints/correct/early-return.rs");
    std::fs::read_to_string(file).expect("a correct module")
}

/// The kind of an error, or the status.
fn outcome(result: &Value) -> &str {
    result["kind"].as_str().or(result["status"].as_str()).unwrap_or("nothing")
}

#[test]
fn each_hostile_module_is_named_and_survived() {
    let all = &*MEASURED;
    assert!(all.len() >= 25, "{} hostile modules", all.len());
    for Measured { name, expected, result, .. } in all {
        // How much a cluster gets done in time depends on the machine; that it is no pass does not.
        let possible: Vec<&str> = expected.split(" or ").collect();
        assert!(possible.contains(&outcome(result)), "{name} should be {expected}: {result:#}");
        let scenarios = result["scenarios"].as_array().expect("scenarios are a list");
        assert!(expected == "compile" || scenarios.len() >= 8, "{name}: the grader stopped early: {result:#}");
        let passes = scenarios.iter().filter(|s| s["status"] == "passed").count();
        assert!(expected == "passed" || passes == 0, "{name} was passed in {passes} scenarios: {result:#}");
    }
    let shown: String = all
        .iter()
        .map(|m| format!("| `{}` | {} | `{}` |\n", m.name, m.what, m.expected.replace(" or ", "` or `")))
        .collect();
    let chapter = std::fs::read_to_string(root().join("book/src/safety.md")).expect("the chapter on safety");
    assert!(chapter.contains(&shown), "book/src/safety.md has another table; measured was:\n{shown}");
}

/// What tries to get out is stopped by a wall, and not by chance.
#[test]
fn walls_say_no() {
    let walled = [
        ("reads_goldens", "Permission denied"),
        ("reads_home", "Permission denied"),
        ("lists_home", "Permission denied"),
        ("writes_files", "Permission denied"),
        ("takes_rights", "Operation not permitted"),
        ("connects_out", "Operation not permitted"),
        ("kills_parent", "Operation not permitted"),
        ("fork_bomb", "Operation not permitted"),
        ("child_stays", "Operation not permitted"),
        ("include_golden", "Permission denied"),
        ("include_home", "Permission denied"),
        ("solution_as_module", "Permission denied"),
        ("env_at_compile_time", "not defined at compile time"),
        ("locks_files", "4 times: Operation not permitted"),
    ];
    for (name, expected) in walled {
        let measured = MEASURED.iter().find(|module| module.name == name);
        let result = &measured.unwrap_or_else(|| panic!("{name} is in the set")).result;
        assert!(result.to_string().contains(expected), "{name}: {result:#}");
    }
}

/// Whatever else an exercise wants to be made of, it hears the same sentence; who only speaks of it does not.
#[test]
fn an_exercise_is_one_file() {
    const ALONE: &str = "an exercise is one file: nothing else is read or linked while it is compiled";
    let taken = [
        "links_library",
        "blames_linker",
        "include_system",
        "include_golden",
        "include_home",
        "solution_as_module",
        "foreign_crate",
    ];
    for name in taken {
        let measured = MEASURED.iter().find(|module| module.name == name);
        let result = &measured.unwrap_or_else(|| panic!("{name} is in the set")).result;
        assert!(result["message"].to_string().contains(ALONE), "{name}: {result:#}");
    }
    let canaries = Canaries::new();
    let module = Path::new(&canaries.path("speaks.rs")).to_path_buf();
    let speaks =
        "// #[link(name = \"m\")] include_str!(\"/etc/passwd\")\ncompile_error!(\"couldn't read: include_str!\");\n";
    std::fs::write(&module, correct() + speaks).expect("a module");
    let result = canaries.grade(&module, &[]);
    assert_eq!(outcome(&result), "compile", "{result:#}");
    assert!(!result["message"].to_string().contains(ALONE), "{result:#}");
}

/// So many arguments that the compiler hands them to the linker in a file, where a line is an argument.
#[test]
fn a_name_gives_no_arguments_to_the_linker() {
    let canaries = Canaries::new();
    let module = Path::new(&canaries.path("arguments.rs")).to_path_buf();
    let golden = canaries.path("first.golden");
    let script = format!("ln -sf {golden} $TMPDIR/module; ln -sf {golden} $TMPDIR/module.d; chmod 0 {golden}; exit 0");
    let name = format!("x\\n-wrapper\\n/bin/sh,-c,{}\\n{}", script, "y".repeat(200_000));
    let text = format!("{}\n#[link(name = \"{name}\")]\nunsafe extern \"C\" {{}}\n", correct());
    std::fs::write(&module, text).expect("a module");
    let result = canaries.grade(&module, &["--sandbox", "require"]);
    assert_eq!(outcome(&result), "compile", "{result:#}");
    canaries.assert_untouched("a name", &result);
    let mode = std::fs::metadata(&golden).expect("it is there").permissions().mode();
    assert_ne!(mode & 0o777, 0, "it took the rights away");
}

/// What is handed in is read once, and is a file of its own.
#[test]
fn only_files_are_handed_in() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("handed")).expect("a folder");
    std::fs::write(at("secret.rs"), PASSWORD).expect("a file");
    std::os::unix::fs::symlink(at("secret.rs"), at("handed/link.rs")).expect("a link");
    let patch =
        modules("scheduler/taints/wrong").into_iter().find(|file| file.extension().is_some_and(|e| e == "patch"));
    std::fs::copy(patch.expect("a patch"), at("handed/solution.patch")).expect("a patch");
    std::fs::write(at("handed/steals.patch"), "--- ../secret.rs\n+++ x\n@@ -1 +1 @@\n-a\n+b\n").expect("a patch");
    // It holds nothing, and would be read for long.
    let huge = std::fs::File::create(at("handed/huge.rs")).expect("a file");
    huge.set_len(1 << 36).expect("a file system that leaves out what is not there");
    for (name, said) in [
        ("link.rs", "is a link that leads out of"),
        ("solution.patch", "is a patch, as only tests/modules may hold"),
        ("steals.patch", "is a patch, as only tests/modules may hold"),
        ("huge.rs", "is larger than 1024 KiB"),
    ] {
        let file = at("handed").join(name).display().to_string();
        let (report, code) = document(&["run", "scheduler/taints", "--modules", &file]);
        assert_eq!((code, &report["exercises"][0]["kind"]), (Some(1), &"compile".into()), "{name}: {report:#}");
        assert!(report.to_string().contains(said), "{name}: {report:#}");
        assert!(!report.to_string().contains(PASSWORD), "{name}: {report:#}");
    }
    let pipe = at("handed/pipe.rs").display().to_string();
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if made.is_ok_and(|status| status.success()) {
        let out = crate::grade(&["run", "scheduler/taints", "--modules", &pipe]);
        assert_eq!(out.status.code(), Some(2), "{}", text(&out));
    }
}

/// The grader may be started with files open that a module must not have.
#[test]
fn open_files_are_not_inherited() {
    let canaries = Canaries::new();
    let module = Path::new(&canaries.path("inherits.rs")).to_path_buf();
    let looks = "for fd in 4..64 { assert_eq!(unsafe { fcntl(fd, 1) }, -1, \"{fd} is open\"); }";
    let filter = "-> Verdict {\n";
    let code = correct().replacen(filter, &format!("{filter}{looks}\n"), 1);
    std::fs::write(&module, code + "unsafe extern \"C\" {\n    fn fcntl(fd: i32, call: i32) -> i32;\n}\n")
        .expect("a module");
    let script = format!("exec 9<'{}'; exec \"$@\"", canaries.path("first.golden"));
    let out = std::process::Command::new("sh")
        .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_grader"), "run", "scheduler/taints", "--modules"])
        .arg(&module)
        .current_dir(root())
        .output()
        .expect("a shell");
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
}

/// What nobody asked for is no better when the last question is answered already.
#[test]
fn an_answer_after_the_last_question_is_heard() {
    let canaries = Canaries::new();
    let module = Path::new(&canaries.path("afterwards.rs")).to_path_buf();
    let keeps = "ANSWERS.get_or_init(|| {
        unsafe { atexit(says) };
        std::fs::OpenOptions::new().write(true).open(\"/proc/self/fd/3\").expect(\"the pipe for answers\")
    });";
    let filter = "-> Verdict {\n";
    let code = correct().replacen(filter, &format!("{filter}{keeps}\n"), 1)
        + "static ANSWERS: std::sync::OnceLock<std::fs::File> = std::sync::OnceLock::new();
        unsafe extern \"C\" { fn atexit(f: extern \"C\" fn()) -> i32; }
        extern \"C\" fn says() {
            use std::io::Write;
            std::thread::sleep(std::time::Duration::from_millis(50));
            let _ = ANSWERS.get().map(|mut pipe| pipe.write_all(b\"one more\\n\"));
        }\n";
    std::fs::write(&module, code).expect("a module");
    let result = canaries.grade(&module, &[]);
    assert_eq!(outcome(&result), "protocol", "{result:#}");
}

/// What is printed and said without end is kept and shown up to a bound.
#[test]
fn what_a_module_says_is_bounded() {
    let canaries = Canaries::new();
    let module = Path::new(&canaries.path("talks.rs")).to_path_buf();
    let talks = "println!(\"{}\", \"x\".repeat(500_000)); panic!(\"{}\", \"y\".repeat(500_000));";
    let filter = "-> Verdict {\n";
    let code = correct().replacen(filter, &format!("{filter}{talks}\n"), 1);
    std::fs::write(&module, format!("#![allow(unreachable_code)]\n{code}")).expect("a module");
    let result = canaries.grade(&module, &[]);
    assert_eq!(outcome(&result), "panic", "{result:#}");
    let scenario = &result["scenarios"][0];
    let (message, printed) = (scenario["message"].to_string(), scenario["difference"]["printed"].to_string());
    assert!(message.len() < 20_000 && message.contains("its message has 500000 bytes"), "{} bytes", message.len());
    assert!(printed.len() < 20_000 && printed.contains("and more, which is not kept"), "{} bytes", printed.len());
}

/// Many schedules, each with processes of its own, are one scenario.
#[test]
fn a_storm_has_no_more_time_than_it_should() {
    let canaries = Canaries::new();
    let module = Path::new(&canaries.path("slow.rs")).to_path_buf();
    let new = "fn new(config: &ElectionConfig) -> Self {\n";
    let file = root().join("tests/modules/control_plane/raft_election/correct/asks-again.rs");
    let code = std::fs::read_to_string(file).expect("a correct module");
    assert!(code.contains(new));
    let slow = format!("{new}std::thread::sleep(std::time::Duration::from_millis(400));\n");
    let code = code.replacen(new, &slow, 1);
    std::fs::write(
        &module,
        format!("//! Slow.\n//! Exercise: control_plane/raft_election\n{}", code.split_once('\n').expect("lines").1),
    )
    .expect("a module");
    let result = canaries.grade(&module, &[]);
    let scenarios = result["scenarios"].as_array().expect("scenarios are a list");
    let storms = scenarios.iter().filter(|s| s["name"].as_str().is_some_and(|name| name.starts_with("storm")));
    assert!(storms.clone().any(|storm| storm["kind"] == "timeout"), "{result:#}");
    assert!(storms.clone().all(|storm| storm["status"] != "passed"), "{result:#}");
}

/// The doors are real: without the walls the same modules get through them.
#[test]
fn without_walls_they_get_through() {
    let golden = Canaries::new().grade(&root().join("tests/modules/hostile/reads_goldens.rs"), &["--sandbox", "off"]);
    assert_eq!(outcome(&golden), "failed", "{golden:#}");
    let canaries = Canaries::new();
    let called = canaries.grade(&root().join("tests/modules/hostile/connects_out.rs"), &["--sandbox", "off"]);
    assert_eq!(outcome(&called), "failed", "{called:#}");
    assert!(canaries.listener.accept().is_ok(), "nobody called");
}

/// A hostile module is nobody else's problem.
#[test]
fn the_next_exercise_is_graded_as_ever() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    let good = folder.path().join("workloads/replica_set.rs");
    for chapter in ["scheduler", "workloads"] {
        std::fs::create_dir_all(folder.path().join(chapter)).expect("a chapter");
    }
    let alternative = &modules("workloads/replica_set/correct")[0];
    std::fs::copy(alternative, good).expect("a correct module");
    for name in ["exit_zero", "panic_twice", "flood_lines", "memory", "thread_bomb", "fork_bomb", "endless_macro"] {
        let hostile = root().join(format!("tests/modules/hostile/{name}.rs"));
        std::fs::copy(hostile, folder.path().join("scheduler/taints.rs")).expect("a hostile module");
        let folder = folder.path().to_str().expect("temporary folders are UTF-8");
        let (report, code) = document(&[&["run", "--modules", folder], &LIMITS[..]].concat());
        let status = |name: &str| {
            let exercises = report["exercises"].as_array().expect("exercises are a list");
            exercises.iter().find(|e| e["name"] == name).map(|e| e["status"].clone())
        };
        assert_eq!(code, Some(1), "{name}: {report:#}");
        assert_eq!(status("scheduler/taints"), Some("error".into()), "{name}: {report:#}");
        assert_eq!(status("workloads/replica_set"), Some("passed".into()), "{name}: {report:#}");
    }
}

/// A handed-in folder holds files and not the way to others.
#[test]
fn links_out_of_a_folder_are_not_followed() {
    let canaries = Canaries::new();
    let folder = tempfile::tempdir().expect("a folder for this test");
    std::fs::create_dir_all(folder.path().join("scheduler")).expect("a chapter");
    let link = folder.path().join("scheduler/taints.rs");
    std::os::unix::fs::symlink(canaries.path("home/.ssh/id_ed25519"), link).expect("a link");
    let folder = folder.path().to_str().expect("temporary folders are UTF-8");
    let (report, code) = document(&["run", "scheduler/taints", "--modules", folder]);
    assert_eq!((code, &report["exercises"][0]["kind"]), (Some(1), &"compile".into()), "{report:#}");
    assert!(report.to_string().contains("is a link that leads out of"), "{report:#}");
    assert!(!report.to_string().contains(PASSWORD), "{report:#}");
}
