//! A program that is run to its end, bounded in time and output.

use super::group::Leader;
use anyhow::{Context, Result};
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// How a program ended.
#[derive(Debug)]
pub enum End {
    Exited(ExitStatus),
    /// It was still running after the time that it had; how much of the processor it had in that time, if that is known.
    Late(Option<Duration>),
    /// It said more than is read.
    Flood,
}

/// How often a program whose pipes are open is looked at: what it left behind may hold them.
const LOOK: Duration = Duration::from_millis(50);

/// Runs `command` without input: how it ended, and what it wrote to stdout and stderr, `limit` bytes of each at most.
pub fn capture(mut command: Command, time: Duration, limit: usize) -> Result<(End, Vec<u8>, Vec<u8>)> {
    let deadline = Instant::now() + time;
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut leader = Leader::of(child);
    let pipes = (leader.child.stdout.take(), leader.child.stderr.take());
    let (stdout, stderr) = (pipes.0.context("a pipe")?, pipes.1.context("a pipe")?);
    let (sender, results) = channel();
    for (i, pipe) in [Box::new(stdout) as Box<dyn Read + Send>, Box::new(stderr)].into_iter().enumerate() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = pipe.take(limit as u64 + 1).read_to_end(&mut text);
            let _ = sender.send((i, text));
        });
    }
    let mut said = [None, None];
    while said.iter().any(Option::is_none) {
        let left = deadline.saturating_duration_since(Instant::now());
        match results.recv_timeout(left.min(LOOK)) {
            Ok((i, text)) => {
                let is_flood = text.len() > limit;
                said[i] = Some(text);
                if is_flood {
                    let [stdout, stderr] = said.map(Option::unwrap_or_default);
                    return Ok((End::Flood, stdout, stderr));
                }
            }
            Err(_) if left.is_zero() => return Ok((End::Late(leader.processor_time()), Vec::new(), Vec::new())),
            Err(_) if leader.has_ended() => leader.end_others(),
            Err(_) => {}
        }
    }
    let [stdout, stderr] = said.map(Option::unwrap_or_default);
    // Both pipes are closed, so the end is near, unless the program closed them itself.
    while !leader.has_ended() {
        if Instant::now() >= deadline {
            return Ok((End::Late(leader.processor_time()), stdout, stderr));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok((End::Exited(leader.end()?), stdout, stderr))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;

    #[test]
    fn who_is_late_by_its_own_work_is_told_from_who_waits() {
        let run = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).process_group(0);
            capture(command, Duration::from_millis(1500), 100).expect("a shell")
        };
        let (End::Late(Some(waited)), ..) = run("sleep 60; true") else { panic!("it sleeps for a minute") };
        let (End::Late(Some(worked)), ..) = run("while :; do :; done & wait") else { panic!("it works for ever") };
        assert!(worked > waited + Duration::from_millis(100), "{worked:?} of work, {waited:?} of waiting");
    }
}
