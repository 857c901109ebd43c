//! A program that is run to its end, bounded in time and output.

use super::group::end;
use crate::verdict::cancel;
use anyhow::{Context, Result};
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How a program ended.
#[derive(Debug)]
pub enum End {
    Exited(ExitStatus),
    /// It was still running after the time that it had.
    Late,
    /// It said more than is read.
    Flood,
}

/// Runs `command` without input: how it ended, and what it wrote to stdout and stderr, `limit` bytes of each at most.
pub fn capture(mut command: Command, time: Duration, limit: usize) -> Result<(End, Vec<u8>, Vec<u8>)> {
    let deadline = Instant::now() + time;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let running = cancel::register(&child);
    let (stdout, stderr) = (child.stdout.take().context("a pipe")?, child.stderr.take().context("a pipe")?);
    let (sender, results) = channel();
    for (i, pipe) in [Box::new(stdout) as Box<dyn Read + Send>, Box::new(stderr)].into_iter().enumerate() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = pipe.take(limit as u64 + 1).read_to_end(&mut text);
            let _ = sender.send((i, text));
        });
    }
    let mut said = [Vec::new(), Vec::new()];
    for _ in 0..2 {
        match results.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((i, text)) => said[i] = text,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                drop(running);
                end(&mut child);
                return Ok((End::Late, Vec::new(), Vec::new()));
            }
        }
        if said.iter().any(|text| text.len() > limit) {
            drop(running);
            end(&mut child);
            let [stdout, stderr] = said;
            return Ok((End::Flood, stdout, stderr));
        }
    }
    drop(running);
    let ended = wait(&mut child, deadline)?;
    let [stdout, stderr] = said;
    Ok((ended.map_or(End::Late, End::Exited), stdout, stderr))
}

/// Both pipes are closed, so the end is near, unless the program closed them itself.
fn wait(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            end(child);
            return Ok(None);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
