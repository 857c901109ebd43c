//! Log files as container runtimes write them, and what of them is read.
//!
//! Source: `cri-client/pkg/logs/logs.go` (`parseCRILog`, `parseDockerJSONLog`, `ReadLogs`) and `tail.go` beside it.

use super::{Channel, Line, Log};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_server::LogOptions;
use regex_lite::Regex;
use serde_json::Value;
use std::sync::LazyLock;

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `TIME STREAM TAG CONTENT`
    Cri,
    /// Docker's JSON.
    Docker,
}

/// One line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was written.
    pub at: Timestamp,
    /// The zone of that, in seconds east of UTC.
    pub zone: i32,
    /// `stdout` or `stderr`; Docker's lines may say anything.
    pub stream: String,
    /// What was written, with its line end if it has one.
    pub text: String,
}

/// A time as it stands before a line.
pub fn shown(at: Timestamp, zone: i32) -> String {
    let local = at.checked_add(SignedDuration::from_secs(zone.into())).unwrap_or(at);
    let suffix = match zone {
        0 => "Z".to_string(),
        _ => {
            let minutes = zone.abs() / 60;
            format!("{}{:02}:{:02}", if zone < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
        }
    };
    format!("{}{suffix}", local.strftime("%Y-%m-%dT%H:%M:%S.%9f"))
}

/// A time as Go reads RFC 3339, and its zone.
fn time(text: &str) -> Option<(Timestamp, i32)> {
    static FORM: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9])(?:[.,]([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})$",
        )
        .ok()
    });
    let found = FORM.as_ref()?.captures(text)?;
    let part = |index: usize| found.get(index).map_or("", |part| part.as_str());
    // Nanoseconds are all that counts.
    let fraction: String = part(2).chars().take(9).collect();
    let at: Timestamp = format!("{}.{fraction:0<1}{}", part(1), part(3)).parse().ok()?;
    let zone = match part(3).split_once(':') {
        Some((hours, minutes)) => {
            let (sign, hours) = hours.split_at(1);
            let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
            if sign == "-" { -seconds } else { seconds }
        }
        None => 0,
    };
    Some((at, zone))
}

impl Format {
    /// Reads a line, with its line end; none if it has another form.
    pub fn parse(self, line: &str) -> Option<Entry> {
        match self {
            Format::Cri => cri(line),
            Format::Docker => docker(line),
        }
    }

    /// The form of a line, if it has one.
    pub fn of(line: &str) -> Option<Format> {
        [Format::Cri, Format::Docker].into_iter().find(|format| format.parse(line).is_some())
    }
}

fn cri(line: &str) -> Option<Entry> {
    let (stamp, rest) = line.split_once(' ')?;
    let (at, zone) = time(stamp)?;
    let (stream, rest) = rest.split_once(' ')?;
    if !["stdout", "stderr"].contains(&stream) {
        return None;
    }
    let (tags, text) = rest.split_once(' ')?;
    let partial = tags.split(':').next() == Some("P");
    let text = if partial { text.strip_suffix('\n').unwrap_or(text) } else { text };
    Some(Entry { at, zone, stream: stream.into(), text: text.into() })
}

fn docker(line: &str) -> Option<Entry> {
    let said: Value = serde_json::from_str(line).ok().filter(|said: &Value| said.is_object() || said.is_null())?;
    let text = |name: &str| match said.get(name) {
        None | Some(Value::Null) => Some(""),
        Some(said) => said.as_str(),
    };
    let (at, zone) = match said.get("time") {
        None | Some(Value::Null) => time("0001-01-01T00:00:00Z")?,
        Some(said) => time(said.as_str()?)?,
    };
    Some(Entry { at, zone, stream: text("stream")?.into(), text: text("log")?.into() })
}

/// What is read of a file, of standard output and of standard error (`ReadLogs` without `follow`).
///
/// # Errors
///
/// Why nothing can be read: the first line has no form that anybody knows.
pub fn read(file: &str, options: &LogOptions) -> Result<[Vec<u8>; 2], String> {
    let ends = file.matches('\n').count();
    let tail = options.tail.and_then(|tail| usize::try_from(tail).ok()).unwrap_or(usize::MAX);
    let mut log = Log::default();
    let mut format = None;
    for line in file.split_inclusive('\n').skip(ends.saturating_sub(tail)) {
        if log.lines.len() >= tail {
            break;
        }
        let known = format.or_else(|| Format::of(line));
        let known = known.ok_or_else(|| format!("failed to get parse function: unsupported log format: {line:?}"))?;
        format = Some(known);
        let Some(Entry { at, zone, stream, text }) = known.parse(line) else { continue };
        let channel = match stream.as_str() {
            "stdout" => Channel::Stdout,
            "stderr" => Channel::Stderr,
            _ => return Err(format!("unexpected stream type {stream:?}")),
        };
        log.push(Line { at, zone, channel, text: text.into_bytes() });
    }
    let mut reader = log.reader(&LogOptions { tail: None, ..options.clone() });
    let mut out = [Vec::new(), Vec::new()];
    while let Some((channel, text)) = log.read(&mut reader) {
        if let Some(out) = out.get_mut(channel as usize) {
            out.extend(text);
        }
    }
    Ok(out)
}
