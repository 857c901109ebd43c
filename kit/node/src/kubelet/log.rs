//! What a container has written, as the runtime keeps it and the kubelet reads it.
//!
//! Sources: `internal/cri/io/logger.go` of containerd (lines and their pieces), `cri-client/pkg/logs/logs.go` (reading),
//! `pkg/kubelet/logs/container_log_manager.go` (rotation).

pub mod file;
pub mod rotation;

use crate::program::Channel;
use kit_api::jiff::Timestamp;
use kit_server::LogOptions;
use std::collections::VecDeque;

/// The longest piece of a line (`max_container_log_line_size` of containerd).
const LONGEST: usize = 16 << 10;
/// The size at which a file is rotated (`containerLogMaxSize`). Rotated files can't be read through the API, so none is
/// kept here; and the kubelet looks every 10 s, while here the size is never passed.
const LARGEST: usize = 10 << 20;
/// What stands before each line in the file: a time, a stream and a tag.
const HEAD: usize = 45;

/// The log of one run of a container.
#[derive(Debug, Default)]
pub struct Log {
    lines: VecDeque<Line>,
    /// The number of the first line that is still there.
    first: u64,
    size: usize,
    /// What has no end of line yet, of standard output and of standard error.
    open: [Vec<u8>; 2],
}

/// A line, or a piece of one, with its end if it has one.
#[derive(Debug)]
struct Line {
    at: Timestamp,
    /// The zone in which it is shown, in seconds east of UTC.
    zone: i32,
    channel: Channel,
    text: Vec<u8>,
}

/// Somebody who reads a log.
#[derive(Debug)]
pub struct Reader {
    next: u64,
    since: Option<Timestamp>,
    timestamps: bool,
    /// How many bytes may still be read.
    pub left: Option<u64>,
    /// Whether the next piece begins a line.
    fresh: bool,
}

impl Log {
    /// Takes what a container writes.
    pub fn write(&mut self, channel: Channel, bytes: &[u8], at: Timestamp) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut piece = piece;
            loop {
                let open = &mut self.open[channel as usize];
                let (now, later) = piece.split_at(piece.len().min(LONGEST - open.len()));
                open.extend(now);
                if open.ends_with(b"\n") || open.len() >= LONGEST {
                    let text = std::mem::take(open);
                    self.push(Line { at, zone: 0, channel, text });
                }
                if later.is_empty() {
                    break;
                }
                piece = later;
            }
        }
    }

    /// The container has ended: what is left is a line without an end.
    pub fn close(&mut self, at: Timestamp) {
        for channel in [Channel::Stdout, Channel::Stderr] {
            let text = std::mem::take(&mut self.open[channel as usize]);
            if !text.is_empty() {
                self.push(Line { at, zone: 0, channel, text });
            }
        }
    }

    fn push(&mut self, line: Line) {
        if self.size + line.text.len() + HEAD > LARGEST {
            self.forget();
        }
        self.size += line.text.len() + HEAD;
        self.lines.push_back(line);
    }

    /// The lines from this number on as they stand in the file (`TIME STREAM TAG CONTENT`), and the number of the next one.
    pub fn written(&self, from: u64) -> (String, u64) {
        let skip = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let line = |line: &Line| {
            let stream = if line.channel == Channel::Stderr { "stderr" } else { "stdout" };
            // What a container ends with is a full line, even without a line end (`redirectLogs`).
            let tag = if line.text.len() >= LONGEST && !line.text.ends_with(b"\n") { "P" } else { "F" };
            let text = String::from_utf8_lossy(line.text.strip_suffix(b"\n").unwrap_or(&line.text));
            format!("{} {stream} {tag} {text}\n", file::shown(line.at, line.zone))
        };
        (self.lines.iter().skip(skip).map(line).collect(), self.first + self.lines.len() as u64)
    }

    /// Its file was rotated: nobody reads what was written until now.
    pub fn forget(&mut self) {
        self.first += self.lines.len() as u64;
        self.lines.clear();
        self.size = 0;
    }

    /// Begins to read.
    pub fn reader(&self, options: &LogOptions) -> Reader {
        let end = self.first + self.lines.len() as u64;
        let tail = options.tail.unwrap_or(u64::MAX).min(self.lines.len() as u64);
        Reader {
            next: end - tail,
            since: options.since,
            timestamps: options.timestamps,
            left: options.limit,
            fresh: true,
        }
    }

    /// The next piece; none if there is no more now, or the limit is reached.
    pub fn read(&self, reader: &mut Reader) -> Option<(Channel, Vec<u8>)> {
        loop {
            if reader.left == Some(0) {
                return None;
            }
            reader.next = reader.next.max(self.first);
            let line = self.lines.get(usize::try_from(reader.next - self.first).ok()?)?;
            reader.next += 1;
            let fresh = std::mem::replace(&mut reader.fresh, line.text.is_empty() || line.text.ends_with(b"\n"));
            if reader.since.is_some_and(|since| line.at < since) {
                continue;
            }
            let mut text = match reader.timestamps && fresh {
                true => format!("{} ", file::shown(line.at, line.zone)).into_bytes(),
                false => Vec::new(),
            };
            text.extend(&line.text);
            if let Some(left) = &mut reader.left {
                text.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= text.len() as u64;
            }
            return Some((line.channel, text));
        }
    }
}

#[cfg(test)]
mod tests;
