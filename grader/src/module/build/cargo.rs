//! What Cargo is asked, so that nothing of its configuration is read here: where the kit's libraries lie, and with
//! which settings it calls the compiler.

use crate::workspace::{Workspace, own_program, write};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::env::{join_paths, split_paths, var_os};
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// What the compiler of modules is called with beside what every module gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The folder of the Rust toolchain, which holds the standard library.
    pub toolchain: PathBuf,
    /// Not rustup's link to it: that one reads its settings in the home directory, and a compiler of modules can't.
    pub compiler: PathBuf,
    /// The target, the linker, and the flags that the user set for all programs.
    pub flags: Vec<String>,
}

impl Settings {
    /// The flags that a library depends on, too.
    pub fn of_libraries(&self) -> impl Iterator<Item = &str> {
        let links = |flag: &&str| flag.starts_with("-Clinker=") || flag.starts_with("-Clink-arg");
        self.flags.iter().map(String::as_str).filter(move |flag| !links(flag))
    }
}

/// The kit's library, and a folder with links to what it is made of and to nothing else: the compiler of modules reads
/// there, and must not find the solutions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Libraries {
    pub kit: PathBuf,
    pub folder: PathBuf,
}

impl Libraries {
    pub fn is_dynamic(&self) -> bool {
        self.kit.extension().is_none_or(|extension| extension != "rlib")
    }
}

/// The package of the kit's library.
const KIT: &str = "kit-contract";

/// In a process with this variable the grader stands in for the compiler, and writes into the file what it was called
/// with.
const RECORD: &str = "GRADE_RECORDS_RUSTC";
const PROBE: &str = "grade_probe";
const MANIFEST: &str = "\
[package]
name = \"grade_probe\"
edition = \"2024\"

[workspace]
";

/// A module must unwind, and link with libraries that hold machine code, whatever the profile says. The alias `grade`
/// says so, too.
const PROFILE: [&str; 4] = ["--config", "profile.dev.panic=\"unwind\"", "--config", "profile.dev.lto=false"];

/// Cargo as the user started it: in the folder that the user is in, since settings are looked for above that one.
fn cargo(workspace: &Workspace, toolchain: Option<&Path>) -> Command {
    let beside = toolchain.map(|toolchain| toolchain.join("bin"));
    let own = beside.as_ref().map(|bin| bin.join("cargo")).filter(|own| own.is_file() && which("cargo").is_none());
    let mut command = Command::new(var_os("CARGO").or(own.map(Into::into)).unwrap_or_else(|| "cargo".into()));
    let here = std::env::current_dir().ok().filter(|here| here.starts_with(&workspace.root));
    command.current_dir(here.as_deref().unwrap_or(&workspace.root)).stdin(Stdio::null());
    // Without any other, the compiler beside Cargo.
    let path = var_os("PATH").unwrap_or_default();
    if let Ok(path) = join_paths(split_paths(&path).chain(beside)) {
        command.env("PATH", path);
    }
    command
}

fn output(command: &mut Command) -> Result<std::process::Output> {
    tracing::debug!(?command, "asks");
    let name = command.get_program().display().to_string();
    command.output().with_context(|| format!("can't run {name}: is Rust installed? https://rustup.rs"))
}

/// Cargo, about to build the program of a package and to run it.
fn running(workspace: &Workspace, package: &str) -> Command {
    let mut command = cargo(workspace, None);
    command.args(["run", "--package", package, "--manifest-path"]).arg(workspace.root.join("Cargo.toml"));
    command.arg("--target-dir").arg(workspace.target());
    // Who needs a module's answers asks this grader for them.
    command.envs(std::env::current_exe().map(|grader| ("CARGO_GRADE", grader)));
    command
}

/// Goes on as the program of another package, which most learners never build. Its first build is told, since it takes a
/// minute.
pub fn become_package(
    workspace: &Workspace,
    package: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<std::process::ExitCode> {
    let mut command = running(workspace, package);
    command.args(PROFILE);
    if workspace.target().join("debug").join(package).is_file() {
        command.arg("--quiet");
    }
    command.arg("--").args(arguments);
    let failed = std::os::unix::process::CommandExt::exec(&mut command);
    Err(failed).with_context(|| format!("can't run {}", command.get_program().display()))
}

/// What a program of a package of its own prints, which only authors need: so the everyday grader is built without a
/// parser of Rust.
pub fn run_package(
    workspace: &Workspace,
    package: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<Vec<u8>> {
    let mut command = running(workspace, package);
    command.args(["--quiet", "--"]).args(arguments);
    let out = output(&mut command)?;
    if !out.status.success() {
        bail!("{package}: {}", String::from_utf8_lossy(&out.stderr).trim_end());
    }
    Ok(out.stdout)
}

/// Cargo unites the features of all packages that are named; with the grader beside it, the kit is built once
/// and not for each of the two again.
pub fn libraries(workspace: &Workspace, settings: &Settings) -> Result<Libraries> {
    let toolchain = settings.toolchain.as_path();
    let mut command = cargo(workspace, Some(toolchain));
    command.args(["build", "--quiet", "--package", "grader", "--package", KIT, "--lib", "--bins"]).args(PROFILE);
    command.arg("--message-format=json-render-diagnostics");
    command.arg("--manifest-path").arg(workspace.root.join("Cargo.toml"));
    command.arg("--target-dir").arg(workspace.target());
    let out = output(&mut command)?;
    let said = || String::from_utf8_lossy(&out.stderr).trim_end().to_string();
    if !out.status.success() {
        bail!("the kit itself does not build:\n{}", said());
    }
    let lines = String::from_utf8_lossy(&out.stdout);
    let artifacts: Vec<Artifact> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let parts = parts(workspace, toolchain)?;
    let is_library = |file: &&PathBuf| {
        file.extension().is_some_and(|e| ["rlib", "rmeta", "so", "dylib", "dll"].iter().any(|kind| e == *kind))
    };
    let of_kit = artifacts.iter().filter(|artifact| parts.contains(&artifact.package_id));
    let files: Vec<&PathBuf> = of_kit.flat_map(|artifact| &artifact.filenames).filter(is_library).collect();
    let is_kit = |file: &&&PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libkit_contract") && name.ends_with(".rlib")
    };
    let kit = files.iter().find(is_kit).with_context(|| format!("Cargo made no library of {KIT}:\n{}", said()))?;
    // Another build of the kit gets another folder, since modules of this one may be running.
    let mut build = DefaultHasher::new();
    (kit, kit.metadata().and_then(|data| data.modified()).ok(), &settings.flags).hash(&mut build);
    let all = workspace.target().join("grade/libraries");
    let (folder, part) =
        (all.join(format!("{:016x}", build.finish())), all.join(format!("part-{}", std::process::id())));
    if !folder.is_dir() {
        std::fs::create_dir_all(&part).with_context(|| format!("can't make {}", part.display()))?;
        for file in &files {
            put(file, &part)?;
        }
        dynamic(settings, &part.join(kit.file_name().unwrap_or_default()), &part);
        if std::fs::rename(&part, &folder).is_err() {
            // Another grader was faster.
            let _ = std::fs::remove_dir_all(&part);
        }
    }
    let dynamic = folder.join(format!("{DLL_PREFIX}kit{DLL_SUFFIX}"));
    let kit = if dynamic.is_file() { dynamic } else { folder.join(kit.file_name().unwrap_or_default()) };
    Ok(Libraries { kit, folder })
}

/// Makes the kit a dynamic library. A learner waits for the linker after each edit, and that is over at once with a library
/// that is linked already. Without one, as for a target that knows none, modules hold the kit's code themselves.
fn dynamic(settings: &Settings, kit: &Path, folder: &Path) -> Option<()> {
    let source = folder.join("kit.rs");
    write(&source, "pub use kit_contract::*;\n").ok()?;
    // Modules find the standard library beside the kit's.
    let mut ask = Command::new(&settings.compiler);
    let of_target = settings.flags.iter().filter(|flag| flag.starts_with("--target") || flag.starts_with("--sysroot"));
    let told = output(ask.args(of_target).args(["--print", "target-libdir"]).stdin(Stdio::null())).ok()?;
    let std = std::fs::read_dir(String::from_utf8_lossy(&told.stdout).trim_end()).ok()?.flatten().find(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with(&format!("{DLL_PREFIX}std-")) && name.ends_with(DLL_SUFFIX)
    })?;
    put(&std.path(), folder).ok()?;
    let named = |name: &str, path: &Path| [OsStr::new(name), path.as_os_str()].join(OsStr::new("="));
    let mut command = Command::new(&settings.compiler);
    command.arg(&source).args([
        "--edition",
        "2024",
        "--crate-type",
        "dylib",
        "--crate-name",
        "kit",
        "-Cprefer-dynamic",
    ]);
    // Its own calls are bound here once, and not again in each process that is started.
    command.arg("-Clink-arg=-Wl,-Bsymbolic");
    command.args(&settings.flags).arg("--extern").arg(named("kit_contract", kit));
    command.arg("-L").arg(named("dependency", folder)).arg("--out-dir").arg(folder).stdin(Stdio::null());
    let out = output(&mut command).ok()?;
    tracing::debug!(linked = out.status.success(), said = %String::from_utf8_lossy(&out.stderr), "the kit as one library");
    Some(())
}

/// Puts a file into a folder, without a copy where that can be.
fn put(file: &Path, folder: &Path) -> Result<PathBuf> {
    let link = folder.join(file.file_name().context("a library has a name")?);
    std::fs::hard_link(file, &link)
        .or_else(|_| std::fs::copy(file, &link).map(|_| ()))
        .with_context(|| format!("can't put {} into {}", file.display(), folder.display()))?;
    Ok(link)
}

/// The ids of all packages that the kit's library is made of.
fn parts(workspace: &Workspace, toolchain: &Path) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Metadata {
        resolve: Resolve,
    }
    #[derive(Deserialize)]
    struct Resolve {
        nodes: Vec<Node>,
    }
    #[derive(Deserialize)]
    struct Node {
        id: String,
        dependencies: Vec<String>,
    }
    let mut command = cargo(workspace, Some(toolchain));
    // Packages of other platforms were never fetched.
    command.args([
        "metadata",
        "--quiet",
        "--format-version",
        "1",
        "--offline",
        "--filter-platform",
        env!("GRADER_TARGET"),
    ]);
    command.arg("--manifest-path").arg(workspace.root.join("Cargo.toml"));
    let out = output(&mut command)?;
    let metadata: Metadata = serde_json::from_slice(&out.stdout).with_context(|| {
        format!("what Cargo says of its packages: {}", String::from_utf8_lossy(&out.stderr).trim_end())
    })?;
    let nodes = metadata.resolve.nodes;
    let is_kit = |id: &str| id.contains(&format!("#{KIT}@"));
    let mut found: BTreeSet<String> = nodes.iter().map(|node| node.id.clone()).filter(|id| is_kit(id)).collect();
    let mut left: Vec<String> = found.iter().cloned().collect();
    while let Some(id) = left.pop() {
        let needed = nodes.iter().filter(|node| node.id == id).flat_map(|node| &node.dependencies);
        left.extend(needed.filter(|id| found.insert((*id).clone())).cloned());
    }
    Ok(found)
}

/// Has Cargo build an empty package with this grader in the compiler's place: then it is known what Cargo makes of
/// its files, its variables and the toolchain's.
pub fn settings(workspace: &Workspace, toolchain: Option<&Path>) -> Result<Settings> {
    let folder = workspace.target().join("grade/probe");
    write(&folder.join("Cargo.toml"), MANIFEST)?;
    write(&folder.join("src/main.rs"), "fn main() {}\n")?;
    let record = folder.join(format!("record-{}", std::process::id()));
    let mut command = cargo(workspace, toolchain);
    command.args(["build", "--quiet", "--offline", "--manifest-path"]).arg(folder.join("Cargo.toml"));
    command.arg("--target-dir").arg(folder.join("target"));
    command.env("RUSTC_WRAPPER", own_program()?).env("RUSTC_WORKSPACE_WRAPPER", "").env(RECORD, &record);
    let out = output(&mut command)?;
    let Ok(called) = std::fs::read_to_string(&record) else {
        bail!("Cargo can't build a program here:\n{}", String::from_utf8_lossy(&out.stderr).trim_end());
    };
    let _ = std::fs::remove_file(&record);
    let called: Vec<&str> = called.split('\0').collect();
    let program = called.iter().take_while(|word| !word.starts_with('-')).last();
    let program = program.context("Cargo called no compiler")?;
    let mut print = Command::new(program);
    print.args(["--print", "sysroot"]).current_dir(&workspace.root).stdin(Stdio::null());
    print.env(
        "PATH",
        command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, path)| path).unwrap_or_default(),
    );
    let out = output(&mut print)?;
    let toolchain = PathBuf::from(String::from_utf8_lossy(&out.stdout).trim_end());
    let own = toolchain.join("bin/rustc").with_extension(std::env::consts::EXE_EXTENSION);
    let compiler = if own.is_file() { own } else { which(program).unwrap_or_else(|| program.into()) };
    Ok(Settings { toolchain, compiler, flags: flags(&called) })
}

/// Stands in for the compiler, if that is what this process is for.
pub fn recorded() -> Option<ExitCode> {
    let record = var_os(RECORD)?;
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let is_probe = args.windows(2).any(|pair| pair[0] == "--crate-name" && pair[1] == PROBE);
    if is_probe {
        let _ = std::fs::write(record, args.join(OsStr::new("\0")).as_encoded_bytes());
        // There is nothing to go on with.
        return Some(ExitCode::FAILURE);
    }
    let status = Command::new(args.first()?).args(&args[1..]).env_remove(RECORD).status();
    Some(if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Those of Cargo's flags that a module needs: where it runs, and how it is linked. What a profile asks for, and which
/// warnings are errors, is no matter of a learner's file.
fn flags(called: &[&str]) -> Vec<String> {
    const LONG: [&str; 4] = ["--target", "--sysroot", "--cfg", "--codegen"];
    const SHORT: [&str; 4] = ["-C", "-L", "-l", "-Z"];
    let mut words = called.iter().copied();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        let long = LONG
            .iter()
            .find(|name| word.strip_prefix(**name).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')));
        let short = SHORT.iter().find(|name| word.starts_with(**name));
        let (name, value) = match (long, short) {
            (Some(name), _) => (*name, word[name.len()..].strip_prefix('=').or_else(|| words.next())),
            (None, Some(name)) => (*name, Some(&word[name.len()..]).filter(|v| !v.is_empty()).or_else(|| words.next())),
            (None, None) => continue,
        };
        let Some(value) = value else { break };
        match name {
            "-C" | "--codegen" if concerns_programs(value) => kept.push(format!("-C{value}")),
            "-C" | "--codegen" => {}
            "-L" if value.starts_with("dependency=") => {}
            _ if long.is_some() => kept.push(format!("{name}={value}")),
            _ => kept.push(format!("{name}{value}")),
        }
    }
    kept
}

fn concerns_programs(codegen: &str) -> bool {
    const PREFIXES: [&str; 6] = ["link", "target-", "relocation-model", "relro-level", "code-model", "default-linker"];
    PREFIXES.iter().any(|prefix| codegen.starts_with(prefix))
}

/// Where a program lies, as a shell would find it.
pub fn which(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let name = Path::new(name.as_ref());
    if name.components().count() > 1 {
        return name.is_file().then(|| name.to_path_buf());
    }
    let path = var_os("PATH")?;
    split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The message of Cargo that matters here.
#[derive(Deserialize)]
struct Artifact {
    package_id: String,
    filenames: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::flags;

    #[test]
    fn a_module_gets_what_concerns_all_programs() {
        let called = "rustc --crate-name grade_probe --edition=2024 src/main.rs --error-format=json --json=artifacts \
            --crate-type bin --emit=dep-info,link -C embed-bitcode=no -C debuginfo=2 --check-cfg cfg(x) -C metadata=1 \
            --out-dir deps --target x86_64-unknown-linux-gnu -C linker=/opt/my-cc -C incremental=i -L dependency=deps \
            -L dependency=host -C target-cpu=native -Clink-arg=-fuse-ld=mold -D warnings -Dunused --cfg=loom -L native=/opt/lib \
            -Cpanic=abort --codegen link-args=-s -Zshare-generics=y";
        assert_eq!(
            flags(&called.split_whitespace().collect::<Vec<_>>()),
            [
                "--target=x86_64-unknown-linux-gnu",
                "-Clinker=/opt/my-cc",
                "-Ctarget-cpu=native",
                "-Clink-arg=-fuse-ld=mold",
                "--cfg=loom",
                "-Lnative=/opt/lib",
                "-Clink-args=-s",
                "-Zshare-generics=y",
            ]
        );
    }
}
