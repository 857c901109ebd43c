//! The first minute on other people's machines: Cargo's settings, odd folders, downloads without git, disks and
//! terminals.
//!
//! Each test has a copy of the kit whose rooms are links, with a folder `target` of its own that knows where the kit's
//! libraries lie already.

use crate::{grade, root, text};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::time::{Duration, SystemTime};

const EXERCISE: &str = "scheduler/taints";
const CORRECT: &str = "tests/modules/scheduler/taints/correct/early-return.rs";
const TRIPLE: &str = env!("GRADER_TARGET");

/// A copy of the kit in a folder of its own.
struct Kit {
    folder: tempfile::TempDir,
    root: PathBuf,
}

impl Kit {
    fn new() -> Kit {
        Kit::at("kit")
    }

    /// In a folder with this name.
    fn at(name: &str) -> Kit {
        let folder = tempfile::tempdir().expect("a folder for this test");
        let kit = Kit { root: folder.path().join(name), folder };
        for room in ["Cargo.toml", "Cargo.lock", "kit", "solutions", "grader", "book", "tests", "exercises"] {
            kit.link(room);
        }
        kit.write(".cargo/config.toml", &read(&root().join(".cargo/config.toml")));
        kit.write("target/grade/kit", &read(&known()));
        kit
    }

    fn link(&self, room: &str) {
        std::fs::create_dir_all(&self.root).expect("a folder");
        symlink(root().join(room), self.root.join(room)).expect("a link");
    }

    /// A room as files that can be changed.
    fn copy(&self, room: &str) {
        std::fs::remove_file(self.root.join(room)).expect("it was a link");
        copy(&root().join(room), &self.root.join(room));
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        path
    }

    fn script(&self, path: &str, text: &str) -> String {
        let path = self.write(path, text);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("a program");
        path.to_str().expect("temporary folders are UTF-8").into()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grader"));
        command.args(args).current_dir(&self.root).env("NO_COLOR", "1").stdin(Stdio::null());
        command.env_remove("CARGO_TARGET_DIR");
        command
    }

    fn run(&self) -> Command {
        let correct = root().join(CORRECT);
        self.command(&["run", EXERCISE, "--modules", correct.to_str().expect("this path is UTF-8")])
    }

    /// What the compiler of modules is called with.
    fn flags(&self) -> String {
        let noted: serde_json::Value = serde_json::from_str(&read(&self.root.join("target/grade/kit"))).expect("JSON");
        noted[0]["settings"]["flags"].to_string()
    }
}

/// What this grader knows of the kit that it was built from.
fn known() -> PathBuf {
    static KNOWN: Once = Once::new();
    KNOWN.call_once(|| assert_passed(&grade(&["run", EXERCISE, "--modules", CORRECT]), "the kit itself"));
    let target = Path::new(env!("CARGO_BIN_EXE_grader")).ancestors().nth(2).expect("it lies in Cargo's folder");
    let target = if target.ends_with(TRIPLE) { target.parent().expect("a folder above") } else { target };
    target.join("grade/kit")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn copy(from: &Path, to: &Path) {
    let Ok(entries) = from.read_dir() else {
        std::fs::copy(from, to).expect("a copy");
        return;
    };
    std::fs::create_dir_all(to).expect("a folder");
    entries.flatten().for_each(|entry| copy(&entry.path(), &to.join(entry.file_name())));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[track_caller]
fn assert_passed(out: &Output, what: &str) {
    assert_eq!(out.status.code(), Some(0), "{what}: {}", text(out));
    assert!(text(out).contains("20 scenarios"), "{what}: {}", text(out));
}

/// Exit 2, and one message with these words.
#[track_caller]
fn assert_refused(out: &Output, words: &[&str]) {
    let said = text(out);
    assert_eq!(out.status.code(), Some(2), "{words:?}: {said}");
    assert!(said.starts_with("error: "), "{said}");
    words.iter().for_each(|word| assert!(said.contains(word), "{word}: {said}"));
    let first = words.first().map_or(1, |word| said.matches(word).count());
    assert_eq!(first, 1, "said once: {said}");
}

/// A folder of programs with a shell and nothing that links.
fn without_cc(kit: &Kit) -> String {
    let bin = kit.root.join("bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    for program in ["bash", "env", "sh"] {
        let from = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program)).into_iter().find(|p| p.exists());
        symlink(from.expect("a shell"), bin.join(program)).expect("a link");
    }
    bin.to_str().expect("temporary folders are UTF-8").into()
}

const CC: &str = "#!/bin/bash\nPATH=/usr/bin:/bin exec /usr/bin/cc \"$@\"\n";

#[test]
fn the_linker_is_the_one_that_cargo_was_told_of() {
    let variable = format!("CARGO_TARGET_{}_LINKER", TRIPLE.to_uppercase().replace('-', "_"));
    type Tell = fn(&Kit, &mut Command, &str);
    let ways: [(&str, Tell); 6] = [
        ("a file in the kit", |kit, _, linker| {
            kit.write(".cargo/config.toml", &format!("[target.{TRIPLE}]\nlinker = {linker:?}\n"));
        }),
        ("a file above the kit", |kit, _, linker| {
            kit.write("../.cargo/config.toml", &format!("[target.{TRIPLE}]\nlinker = {linker:?}\n"));
        }),
        ("a condition", |kit, _, linker| {
            kit.write("../.cargo/config.toml", &format!("[target.'cfg(unix)']\nlinker = {linker:?}\n"));
        }),
        ("a home of Cargo elsewhere", |kit, command, linker| {
            kit.write("home/config.toml", &format!("[target.{TRIPLE}]\nlinker = {linker:?}\n"));
            command.env("CARGO_HOME", kit.root.join("home"));
        }),
        ("flags in a file", |kit, _, linker| {
            kit.write(".cargo/config.toml", &format!("[build]\nrustflags = [\"-Clinker={linker}\"]\n"));
        }),
        ("flags in a variable", |_, command, linker| {
            command.env("RUSTFLAGS", format!("-C linker={linker}"));
        }),
    ];
    for (what, tell) in ways {
        let kit = Kit::new();
        let linker = kit.script("../linker/my-cc", CC);
        let mut command = kit.run();
        tell(&kit, command.env("PATH", without_cc(&kit)), &linker);
        assert_passed(&command.output().expect("the grader runs"), what);
        assert!(kit.flags().contains("my-cc"), "{what}: {}", kit.flags());
    }
    let kit = Kit::new();
    // A script that starts a link in another folder.
    std::fs::create_dir_all(kit.root.join("other")).expect("a folder");
    let real = kit.script("real/cc.sh", CC);
    symlink(real, kit.root.join("other/cc")).expect("a link");
    let linker = kit.script("linker/my-cc", &format!("#!/bin/bash\nexec '{}/other/cc' \"$@\"\n", kit.root.display()));
    let mut command = kit.run();
    command.env("PATH", without_cc(&kit)).env(&variable, &linker);
    assert_passed(&command.output().expect("the grader runs"), "a variable");
    // Settings that are taken back are gone.
    assert_passed(&kit.run().output().expect("the grader runs"), "no setting");
    assert_eq!(kit.flags(), "[]");
    let out = kit.run().env("PATH", without_cc(&Kit::new())).output().expect("the grader runs");
    let cached = text(&out);
    assert_passed(&out, &cached);
}

#[test]
fn without_a_linker_the_set_up_is_at_fault() {
    let kit = Kit::new();
    let out = kit.run().env("PATH", without_cc(&kit)).output().expect("the grader runs");
    assert_refused(&out, &["modules can't be linked here", "linker `cc` not found"]);
}

/// Whether a process is there that was started with these words.
fn is_running(words: &str) -> bool {
    let processes = Path::new("/proc").read_dir().into_iter().flatten().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).replace('\0', " ").trim_end() == words)
}

#[test]
fn what_a_linker_leaves_behind_is_ended() {
    let kit = Kit::new();
    let (own, away) = (format!("sleep 31{}.5", std::process::id()), format!("sleep 32{}.5", std::process::id()));
    let script = format!(
        "#!/bin/bash\nPATH=/usr/bin:/bin\nexec 3>&1 >/dev/null 2>&1\n{own} 3>&- &\nsetsid {away} 3>&- &\nexec cc \"$@\" >&3 2>&3\n"
    );
    let linker = kit.script("linker/my-cc", &script);
    let mut command = kit.run();
    command.env("RUSTFLAGS", format!("-C linker={linker}"));
    let began = std::time::Instant::now();
    assert_passed(&command.output().expect("the grader runs"), "a linker that leaves something behind");
    assert!(began.elapsed() < Duration::from_secs(25), "it was waited for");
    assert!(!is_running(&own) && !is_running(&away), "it lives on");
}

/// All of them find nothing built, and build the same.
#[test]
fn four_graders_at_once_do_not_meet() {
    let kit = Kit::new();
    let graders: Vec<_> = (0..4)
        .map(|_| kit.run().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the grader runs"))
        .collect();
    for grader in graders {
        assert_passed(&grader.wait_with_output().expect("it ends"), "one of four");
    }
}

#[test]
fn what_an_interrupted_compiler_left_is_gone_after_the_next() {
    let kit = Kit::new();
    let mut gone = Command::new("true").spawn().expect("a program");
    gone.wait().expect("it ends");
    let (left, own) = (format!("work-{}", gone.id()), format!("work-{}", std::process::id()));
    for name in [&left, &own] {
        kit.write(&format!("target/grade/modules/scheduler-taints-0/{name}/module.o"), "");
    }
    assert_passed(&kit.run().output().expect("the grader runs"), "beside the remains");
    let modules = kit.root.join("target/grade/modules/scheduler-taints-0");
    assert!(!modules.join(left).exists(), "the grader is gone");
    assert!(modules.join(own).exists(), "somebody may be writing there");
}

#[test]
fn settings_that_do_not_concern_a_module_do_not_break_it() {
    let kit = Kit::new();
    let wrapper = kit.script("wrapper", "#!/bin/sh\nexec \"$@\"\n");
    let with_warning = format!("{}\nfn unused() {{}}\n", read(&root().join(CORRECT)));
    let module = kit.write("m.rs", &with_warning);
    let module = module.to_str().expect("temporary folders are UTF-8");
    let cases: [(&str, &str, &str); 7] = [
        ("RUSTC_WRAPPER", &wrapper, "[]"),
        ("RUSTC_WORKSPACE_WRAPPER", &wrapper, "[]"),
        ("CARGO_BUILD_RUSTC_WRAPPER", &wrapper, "[]"),
        ("CARGO_INCREMENTAL", "0", "[]"),
        ("CARGO_PROFILE_DEV_DEBUG", "2", "[]"),
        ("RUSTFLAGS", "-D warnings -C link-arg=-s", "[\"-Clink-arg=-s\"]"),
        ("CARGO_ENCODED_RUSTFLAGS", "-Dwarnings\u{1f}-Clink-arg=-s", "[\"-Clink-arg=-s\"]"),
    ];
    for (name, value, flags) in cases {
        let out = kit.command(&["run", EXERCISE, "--modules", module]).env(name, value).output();
        assert_passed(&out.expect("the grader runs"), name);
        assert_eq!(kit.flags(), flags, "{name}");
    }
}

/// What Cargo says of its own settings is passed on, and no learner is blamed.
#[test]
fn a_setting_that_cargo_refuses_is_told_in_its_words() {
    let kit = Kit::new();
    kit.write(".cargo/config.toml", "[build\n");
    let out = kit.run().output().expect("the grader runs");
    assert_refused(&out, &["Cargo can't build a program here", ".cargo/config.toml"]);
}

#[test]
fn odd_names_of_folders_are_names() {
    // LLVM's linker takes a `%` for a place where it may put other letters; nothing can be built there by anyone.
    for name in ["with blanks and 'quotes'", "dollar $HOME `x` \"q\"", "größe 日本 🦀", "-dash", "a=b,c;d&e|f#g"]
    {
        let kit = Kit::at(name);
        assert_passed(&kit.run().output().expect("the grader runs"), name);
        let link = kit.folder.path().join("link");
        symlink(&kit.root, &link).expect("a link");
        let mut command = kit.run();
        assert_passed(&command.current_dir(&link).output().expect("the grader runs"), "through a link");
        let mut command = kit.run();
        let inside = link.join("exercises/scheduler");
        assert_passed(&command.current_dir(inside).output().expect("the grader runs"), "in a folder of it");
    }
}

/// An environment with nothing in it, or with what is not there.
#[test]
fn poor_surroundings_are_enough() {
    let kit = Kit::new();
    let path = std::env::var("PATH").unwrap_or_default();
    let home = std::env::var("HOME").unwrap_or_default();
    let keep = |name: &str, or: String| std::env::var(name).unwrap_or(or);
    type Variables<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, Variables, &[&str]); 4] = [
        ("nowhere to put temporary files", &[("TMPDIR", "/nonexistent")], &[]),
        ("a home that is not there", &[("HOME", "/nonexistent")], &[]),
        ("no home", &[], &["HOME", "USER"]),
        ("a poor terminal", &[("TERM", "dumb"), ("LANG", "C"), ("LC_ALL", "C")], &[]),
    ];
    for (what, set, remove) in cases {
        let mut command = kit.run();
        // Cargo and rustup themselves look there.
        command.env("CARGO_HOME", keep("CARGO_HOME", format!("{home}/.cargo")));
        command.env("RUSTUP_HOME", keep("RUSTUP_HOME", format!("{home}/.rustup")));
        command.env("PATH", &path).envs(set.iter().copied());
        remove.iter().for_each(|name| _ = command.env_remove(name));
        assert_passed(&command.output().expect("the grader runs"), what);
    }
    let correct = root().join(CORRECT);
    for limit in ["ulimit -n 32", "setsid true", "exec 0<&-"] {
        let script = format!("{limit}; exec \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_grader"), "run", EXERCISE, "--modules"]).arg(&correct);
        assert_passed(&command.current_dir(&kit.root).output().expect("a shell"), limit);
    }
}

#[test]
fn whoever_stops_reading_hears_no_complaint() {
    let script = "\"$@\" list | head -1 >/dev/null; \"$@\" explain scheduler/taints | true; \"$@\" list >&-; \
        \"$@\" schema | head -c 10 >/dev/null; \"$@\" list 2>&- >/dev/null";
    let out = Command::new("sh").args(["-c", script, "sh", env!("CARGO_BIN_EXE_grader")]).current_dir(root()).output();
    let out = out.expect("a shell");
    assert_eq!(text(&out), "");
}

#[test]
fn clocks_may_be_wrong() {
    let kit = Kit::new();
    let hour = Duration::from_secs(3600);
    let module = kit.write("m.rs", &read(&root().join(CORRECT)));
    let run = || {
        let path = module.to_str().expect("temporary folders are UTF-8");
        kit.command(&["run", EXERCISE, "-v", "--modules", path]).output().expect("the grader runs")
    };
    let set = |path: &Path, time: SystemTime| {
        let file = std::fs::OpenOptions::new().write(true).open(path).expect("a file");
        file.set_modified(time).expect("a time");
    };
    assert_passed(&run(), "at first");
    let wrong = read(&module).replace("\"NoExecute\"", "\"Never\"");
    for time in [SystemTime::now() + 24 * hour, SystemTime::UNIX_EPOCH + hour, SystemTime::UNIX_EPOCH + 2 * hour] {
        for path in [module.clone(), kit.root.join("target/grade/kit"), kit.root.join(".cargo/config.toml")] {
            set(&path, time);
        }
        let out = run();
        assert_passed(&out, "only times were changed");
        assert!(text(&out).contains("the kit is as it was"), "{}", text(&out));
        assert!(text(&out).contains("built already"), "{}", text(&out));
    }
    // The same times and other contents.
    let time = module.metadata().and_then(|data| data.modified()).expect("a time");
    std::fs::write(&module, wrong).expect("a file");
    set(&module, time);
    assert_eq!(run().status.code(), Some(1), "another module");
}

/// A download as an archive: no history, no git, and on Windows other ends of lines.
#[test]
fn a_download_is_a_kit() {
    let kit = Kit::new();
    kit.copy("exercises");
    kit.copy("tests");
    let stub = read(&kit.root.join("exercises/scheduler/taints.rs"));
    let path = without_cc(&kit);
    std::fs::copy(root().join(CORRECT), kit.root.join("exercises/scheduler/taints.rs")).expect("a copy");
    let out = kit.command(&["reset", EXERCISE]).env("PATH", &path).output().expect("the grader runs");
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    assert!(text(&out).contains("Your version is kept in target/grade/backup"), "{}", text(&out));
    assert_eq!(read(&kit.root.join("exercises/scheduler/taints.rs")), stub);
    let since = ["mutants", "--since", "HEAD"];
    assert_refused(&kit.command(&since).env("PATH", &path).output().expect("it runs"), &["asks git", "can't be run"]);

    for file in
        files(&kit.root.join("tests/scenarios")).into_iter().chain(files(&kit.root.join("tests/modules/scheduler")))
    {
        if let Ok(text) = std::fs::read_to_string(&file) {
            std::fs::write(&file, text.replace('\n', "\r\n")).expect("a file");
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("no program");
        }
    }
    let out = kit.command(&["run", "--modules", "solutions"]).output().expect("the grader runs");
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    assert_passed(&kit.run().output().expect("the grader runs"), "a Rust file");
    let wrong = "tests/modules/scheduler/taints/wrong/exact-key.patch";
    let out = kit.command(&["run", EXERCISE, "--modules", wrong]).output().expect("the grader runs");
    assert_eq!(out.status.code(), Some(1), "{}", text(&out));
    assert!(text(&out).contains("- ") && !text(&out).contains("compile"), "{}", text(&out));
}

/// A file system mounted for one test, by whoever may do that.
struct Mount(PathBuf);

impl Mount {
    fn new(options: &[&str], at: PathBuf) -> Option<Mount> {
        std::fs::create_dir_all(&at).expect("a folder");
        let mounted = Command::new("mount").args(options).arg(&at).stderr(Stdio::null()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Mount(at));
        }
        eprintln!("skipped: `mount` needs the superuser");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_folder_that_programs_can_not_be_started_from_is_named() {
    let kit = Kit::new();
    let known = read(&kit.root.join("target/grade/kit"));
    let options = ["-t", "tmpfs", "-o", "noexec,size=300m", "tmpfs"];
    let Some(_mount) = Mount::new(&options, kit.root.join("target")) else { return };
    kit.write("target/grade/kit", &known);
    let target = kit.root.join("target").display().to_string();
    assert_refused(&kit.run().output().expect("the grader runs"), &["programs can't be started from", &target]);
    // The second time, too, though it is built.
    assert_refused(&kit.run().output().expect("the grader runs"), &["programs can't be started from", &target]);
}

#[test]
fn a_full_disk_is_nobodys_mistake() {
    for size in ["20k", "32k"] {
        let kit = Kit::new();
        let known = read(&kit.root.join("target/grade/kit"));
        let options = ["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"];
        let Some(_mount) = Mount::new(&options, kit.root.join("target")) else { return };
        kit.write("target/grade/kit", &known);
        assert_refused(&kit.run().output().expect("the grader runs"), &[]);
    }
}

#[test]
fn a_kit_that_is_only_read_keeps_its_notes_elsewhere() {
    let kit = Kit::new();
    let target = kit.folder.path().join("elsewhere");
    copy(&kit.root.join("target"), &target);
    let place = kit.folder.path().join("mounted");
    let from = kit.root.to_str().expect("temporary folders are UTF-8");
    let Some(mount) = Mount::new(&["--bind", from], place.clone()) else { return };
    let options = ["-o", "remount,ro,bind"];
    let _again = Command::new("mount").args(options).arg(&place).status();
    let mut command = kit.run();
    command.current_dir(&place);
    assert_refused(&command.output().expect("the grader runs"), &["Read-only file system", "CARGO_TARGET_DIR"]);
    for args in [&["run", EXERCISE, "--modules", CORRECT][..], &["hint", EXERCISE], &["list"]] {
        let out = kit.command(args).current_dir(&place).env("CARGO_TARGET_DIR", &target).output();
        let out = out.expect("the grader runs");
        assert_eq!(out.status.code(), Some(0), "{args:?}: {}", text(&out));
    }
    assert!(target.join("grade/hints.json").is_file());
    drop(mount);
}

/// On a terminal nothing is wider than it, and without one nothing is broken.
#[test]
fn lines_end_where_the_terminal_does() {
    let kit = Kit::new();
    let long = "x".repeat(300);
    let words = "every word of a long sentence ".repeat(10);
    let code = format!(
        "println!(\"{long} {words}\"); println!(\"日本語の長い行は幅で数えられ{words}\"); panic!(\"{words}{long}\")"
    );
    let stub = read(&root().join("exercises/scheduler/taints.rs"));
    let todo = "todo!(\"find the first taint that no toleration covers\")";
    assert!(stub.contains(todo), "the stub is at its start");
    let module = kit.write("m.rs", &stub.replace(todo, &code));
    let module = module.to_str().expect("temporary folders are UTF-8");
    let commands = [
        format!("run {EXERCISE} --all --modules '{module}'"),
        "list".into(),
        String::new(),
        format!("explain {EXERCISE}"),
    ];
    for (columns, arguments) in [40, 80, 200].iter().flat_map(|columns| commands.iter().map(move |c| (columns, c))) {
        let inner = format!("stty cols {columns}; '{}' {arguments}", env!("CARGO_BIN_EXE_grader"));
        let mut script = Command::new("script");
        script.args(["--quiet", "--command", &inner, "/dev/null"]).current_dir(&kit.root).env("TERM", "dumb");
        let Ok(out) = script.stdin(Stdio::null()).output() else {
            eprintln!("skipped: there is no `script` here");
            return;
        };
        let said = text(&out);
        assert!(said.lines().count() > 5, "{inner}: {said}");
        for line in said.lines() {
            assert!(textwrap::core::display_width(line.trim_end()) <= *columns, "{columns} {arguments}: {line}");
        }
    }
}
