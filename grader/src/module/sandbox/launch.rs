//! The launcher: limits and walls for itself, then it becomes the program.

use super::{LAUNCHER, Policy, READY};
use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Bytes of stack of the main thread: the usual limit, set so that a recursion ends alike on all machines.
const STACK: u64 = 8 << 20;
/// Open files.
const FILES: u64 = 256;

/// Launches a program if that is what this process is for. Does not return if the program starts.
///
/// It comes before the command line is read, since a process is started for every scenario.
pub fn launched() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != LAUNCHER {
        return None;
    }
    let args: Vec<OsString> = args.collect();
    Some(match launch(&args) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("{e:#}");
            ExitCode::FAILURE
        }
    })
}

fn launch(args: &[OsString]) -> Result<ExitCode> {
    let [policy, program, args @ ..] = args else { bail!("usage: {LAUNCHER} POLICY PROGRAM [ARGUMENT]…") };
    let policy: Policy = serde_json::from_slice(policy.as_encoded_bytes()).context("the policy")?;
    // Whoever started the grader may have files open, and not know who else gets them.
    close_fds::set_fds_cloexec_threadsafe(3, &[]);
    limit(&policy).context("can't set limits")?;
    #[cfg(target_os = "linux")]
    super::linux::restrict(&policy, program.as_ref()).context("can't set up the sandbox")?;
    let mut stdout = std::io::stdout();
    stdout.write_all(READY).and_then(|()| stdout.flush()).context("can't write to stdout")?;
    let error = Command::new(program).args(args).exec();
    // The program would not know this word: it stood among the arguments of the launcher, which it would have replaced.
    print!("{}{}: {error}", policy.word, program.display());
    stdout.flush().context("can't write to stdout")?;
    Ok(ExitCode::FAILURE)
}

fn limit(policy: &Policy) -> Result<()> {
    let limits = [
        (Resource::Core, 0),
        (Resource::Stack, STACK),
        (Resource::Nofile, FILES),
        (Resource::Fsize, policy.file_size),
        (Resource::Cpu, policy.cpu),
        (Resource::As, policy.memory),
    ];
    for (resource, limit) in limits {
        // Whoever started the grader may have set less.
        let set = getrlimit(resource).maximum;
        let bounded = |limit: u64| Some(set.map_or(limit, |set| set.min(limit)));
        // Whoever uses up the processor is told so first, and killed a second later.
        let most = limit + u64::from(resource == Resource::Cpu);
        let limit = Rlimit { current: bounded(limit), maximum: bounded(most) };
        match setrlimit(resource, limit) {
            Ok(()) => {}
            // macOS knows the name of this limit and nothing else of it.
            Err(_) if resource == Resource::As && cfg!(target_os = "macos") => {}
            Err(e) => bail!("{resource:?}: {e}"),
        }
    }
    Ok(())
}
