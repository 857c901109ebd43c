//! The commands that containers know. What isn't here is not found, as in an image that doesn't have it.

mod list;
mod net;
mod own;
mod place;
mod process;
mod tar;
mod test;
mod text;
mod top;

use super::parse::{is_name, parse};
use super::processes;
use super::shell::{Flow, Io, Shell, Sink, Source};
use super::system::{Channel, FOREVER};
use super::tree::{Content, PASS, READ};
use kit_api::jiff::fmt::strtime;
use kit_api::jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Commands that have a file in `/bin`.
const PROGRAMS: [&str; 46] = [
    "ash", "bash", "basename", "cat", "chgrp", "chmod", "chown", "cp", "date", "dirname", "echo", "env", "false",
    "grep", "head", "hostname", "id", "kill", "ln", "ls", "mkdir", "mv", "nproc", "pidof", "printenv", "printf", "ps",
    "pwd", "readlink", "rm", "seq", "sh", "sleep", "sort", "tail", "tar", "tee", "test", "top", "touch", "true",
    "uname", "wc", "which", "whoami", "yes",
];
/// Those of them that the shell has itself, so that they are no processes.
const ITS_OWN: [&str; 7] = ["echo", "false", "kill", "printf", "pwd", "test", "true"];
/// Commands that are there only if there is a network.
const NETWORK: [&str; 4] = ["curl", "nc", "nslookup", "wget"];
/// Commands of the shell itself.
const BUILT_IN: [&str; 14] =
    [":", "[", "break", "cd", "command", "continue", "exec", "exit", "export", "read", "set", "shift", "trap", "unset"];
/// Somebody may run a file.
const EXECUTABLE: u32 = 0o111;
/// Where programs are found.
const PATH: [&str; 5] = ["/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin"];

/// The program that a word names; none if there is no such program. Some need a `network`.
pub fn program(word: &str, network: bool) -> Option<&'static str> {
    let name = match word.rsplit_once('/') {
        Some((directory, name)) if PATH.contains(&directory) => name,
        Some(_) => return None,
        None => word,
    };
    let more = if network { &NETWORK[..] } else { &[] };
    PROGRAMS.iter().chain(more).find(|known| **known == name).copied()
}

/// The program's own input and output.
pub fn plain() -> Io {
    Io { stdin: Source::Input, stdout: Sink::Channel(Channel::Stdout), stderr: Sink::Channel(Channel::Stderr) }
}

/// Runs a command with its arguments.
pub async fn run(shell: &mut Shell, words: &[String], io: &Io) -> Flow {
    let Some((first, rest)) = words.split_first() else { return Flow::On };
    let number = |default: usize| rest.first().and_then(|word| word.parse().ok()).unwrap_or(default);
    match first.as_str() {
        "exit" => {
            shell.status = rest.first().and_then(|code| code.parse::<i32>().ok()).unwrap_or(shell.status) & 0xff;
            return Flow::Exit;
        }
        "break" => return Flow::Break(number(1).max(1)),
        "continue" => return Flow::Continue(number(1).max(1)),
        "exec" if rest.is_empty() => return Flow::On,
        "exec" => {
            shell.exits = true;
            _ = Box::pin(run(shell, rest, io)).await;
            return Flow::Exit;
        }
        "command" if rest.first().is_some_and(|word| word != "-v") => return Box::pin(run(shell, rest, io)).await,
        "wait" => {
            shell.status = process::wait(shell, rest).await;
            return Flow::On;
        }
        _ => {}
    }
    let Some(name) =
        BUILT_IN.iter().find(|name| *name == first).copied().or_else(|| program(first, shell.system.network.is_some()))
    else {
        return Box::pin(other(shell, words, io)).await;
    };
    let exits = std::mem::take(&mut shell.exits);
    if BUILT_IN.contains(&name) || ITS_OWN.contains(&name) {
        return Box::pin(built_in(shell, name, words, io)).await;
    }
    if exits {
        shell.process.become_program(words);
        return Box::pin(built_in(shell, name, words, io)).await;
    }
    let child = Rc::new(shell.process.fork());
    child.become_program(words);
    let before = std::mem::replace(&mut shell.process, child.clone());
    let ended = child.live(Box::pin(built_in(shell, name, words, io))).await;
    shell.process = before;
    match ended {
        Ok(flow) => flow,
        Err(signal) => {
            shell.mourn(signal, io).await;
            Flow::On
        }
    }
}

/// Runs a file, or says why it can't: what isn't there is 127, what may not be run 126 (POSIX.1-2017, Shell Command Language, 2.8.2).
async fn other(shell: &mut Shell, words: &[String], io: &Io) -> Flow {
    let word = words.first().map_or("", String::as_str);
    let path = super::files::absolute(&shell.directory, word);
    let files = &shell.system.files;
    let why = match files.look(&path, true) {
        Ok(entry) if word.contains('/') => match entry.content {
            Content::File(_) if entry.mode & EXECUTABLE > 0 && files.may(PASS | READ, &path) => {
                let script = [&["sh".to_string()], words].concat();
                return Box::pin(run(shell, &script, io)).await;
            }
            _ => (126, "Permission denied"),
        },
        _ => (127, "not found"),
    };
    shell.complain(io, &format!("{word}: {}", why.1)).await;
    shell.status = why.0;
    Flow::On
}

/// Runs a command in the process that there is.
async fn built_in(shell: &mut Shell, name: &str, words: &[String], io: &Io) -> Flow {
    let rest = words.get(1..).unwrap_or_default();
    shell.status = match name {
        ":" | "true" => 0,
        "false" => 1,
        "sh" | "ash" | "bash" => inner(shell, words, io).await,
        "sleep" => sleep(shell, rest, io).await,
        "set" => set(shell, rest),
        "unset" => {
            rest.iter().for_each(|name| _ = shell.variables.remove(name));
            0
        }
        "export" => export(shell, rest, io).await,
        "shift" => {
            let count = rest.first().and_then(|word| word.parse().ok()).unwrap_or(1);
            shell.arguments.drain(1..shell.arguments.len().min(1 + count));
            0
        }
        "trap" => trap(shell, rest, io).await,
        "read" => read(shell, rest, io).await,
        "env" => return Box::pin(env(shell, rest, io)).await,
        "printenv" => printenv(shell, rest, io).await,
        "command" | "which" => which(shell, rest, io).await,
        "hostname" => {
            let name = format!("{}\n", shell.system.hostname);
            say(shell, io, &name).await
        }
        "id" | "whoami" => own::who(shell, name, rest, io).await,
        "nproc" => {
            let cpus = format!("{}\n", shell.system.machine.cpus);
            say(shell, io, &cpus).await
        }
        "tar" => tar::run(shell, rest, io).await,
        "top" => top::run(shell, rest, io).await,
        "curl" | "nc" | "nslookup" | "wget" => net::run(shell, name, rest, io).await,
        "uname" => uname(shell, rest, io).await,
        "date" => date(shell, rest, io).await,
        "test" | "[" => test::run(shell, name, rest, io).await,
        "ls" => list::run(shell, rest, io).await,
        "chgrp" | "chmod" | "chown" | "ln" | "readlink" => own::run(shell, name, rest, io).await,
        "cd" | "pwd" | "mkdir" | "rm" | "touch" | "basename" | "dirname" => place::run(shell, name, rest, io).await,
        "cp" | "mv" => place::carry(shell, name, rest, io).await,
        "ps" | "kill" | "pidof" => process::run(shell, name, rest, io).await,
        _ => text::run(shell, name, rest, io).await,
    };
    // A pipe that nobody reads any more ends its writer (SIGPIPE).
    if shell.status == 141 { Flow::Exit } else { Flow::On }
}

/// Writes to the output; 141 if nobody reads it.
async fn say(shell: &mut Shell, io: &Io, text: &str) -> i32 {
    match shell.write(&io.stdout, text.as_bytes()).await {
        true => 0,
        false if matches!(io.stdout, Sink::Pipe(_)) => 141,
        false => 1,
    }
}

/// Complains as a program does, not as the shell.
async fn wrong(shell: &mut Shell, io: &Io, text: &str) -> i32 {
    shell.write(&io.stderr, format!("{text}\n").as_bytes()).await;
    1
}

/// `sh`, with a script or without.
pub(super) async fn inner(shell: &mut Shell, words: &[String], io: &Io) -> i32 {
    let environment: Vec<(String, String)> = shell
        .variables
        .iter()
        .filter(|(_, (_, out))| *out)
        .map(|(name, (value, _))| (name.clone(), value.clone()))
        .collect();
    let mut inner = shell.clone();
    inner.variables = environment.into_iter().map(|(name, value)| (name, (value, true))).collect();
    inner.traps = BTreeMap::new();
    (inner.pid, inner.exits) = (inner.process.pid, false);
    inner.jobs = BTreeMap::new();
    let name = words.first().map_or("sh", |word| word.rsplit('/').next().unwrap_or(word)).to_string();
    let (mut script, mut file) = (None, None);
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        match word.strip_prefix('-') {
            Some(letters) if !letters.is_empty() => {
                inner.strict |= letters.contains('e');
                if letters.contains('c') {
                    script = rest.next().cloned();
                    inner.exits = true;
                    if script.is_none() {
                        return wrong(shell, io, &format!("{name}: -c requires an argument")).await + 1;
                    }
                    break;
                }
            }
            _ => {
                let path = super::files::absolute(&inner.directory, word);
                match inner.system.files.read(&path) {
                    Some(bytes) => (script, file) = (Some(String::from_utf8_lossy(&bytes).into_owned()), Some(word)),
                    None => {
                        return wrong(shell, io, &format!("{name}: can't open '{word}': No such file or directory"))
                            .await
                            + 1;
                    }
                }
                break;
            }
        }
    }
    // What follows a script names it and gives it its arguments; a file names itself.
    let given: Vec<String> = file.into_iter().chain(rest).cloned().collect();
    inner.arguments = if given.is_empty() { vec![name] } else { given };
    match script {
        Some(script) => _ = inner.script(&script, io).await,
        None => inner.read(io).await,
    }
    if let Some(last) = inner.traps.remove(&0) {
        let status = inner.status;
        let flow = inner.run(&last, io).await;
        inner.status = if flow == Flow::Exit { inner.status } else { status };
    }
    inner.status
}

/// `sleep 1.5`, `sleep 2m`, `sleep infinity`.
async fn sleep(shell: &mut Shell, rest: &[String], io: &Io) -> i32 {
    let mut nanos = 0f64;
    for word in rest {
        let (digits, unit) = match word.find(|c: char| c.is_ascii_alphabetic()) {
            Some(at) => word.split_at(at),
            None => (word.as_str(), "s"),
        };
        let factor = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            "inf" | "infinity" if digits.is_empty() => f64::INFINITY,
            _ => f64::NAN,
        };
        let seconds = if digits.is_empty() { Ok(1.0) } else { digits.parse::<f64>() };
        match seconds.map(|seconds| seconds * factor) {
            Ok(seconds) if seconds >= 0.0 => nanos += seconds * 1e9,
            _ => return wrong(shell, io, &format!("sleep: invalid number '{word}'")).await,
        }
    }
    if rest.is_empty() {
        return wrong(shell, io, "sleep: missing operand").await;
    }
    shell.system.sleep(nanos.min(FOREVER as f64) as i64).await;
    if shell.system.interrupted() { 130 } else { 0 }
}

fn set(shell: &mut Shell, rest: &[String]) -> i32 {
    for word in rest {
        match word.split_at_checked(1) {
            Some(("-", letters)) => shell.strict |= letters.contains('e'),
            Some(("+", letters)) => shell.strict &= !letters.contains('e'),
            _ => {}
        }
    }
    0
}

async fn export(shell: &mut Shell, rest: &[String], io: &Io) -> i32 {
    for word in rest {
        let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        if !is_name(name) {
            shell.complain(io, &format!("export: {name}: bad variable name")).await;
            return 2;
        }
        if let Some(value) = value {
            shell.set(name, value);
        }
        shell.variables.entry(name.into()).and_modify(|(_, exported)| *exported = true);
    }
    0
}

/// `trap 'commands' TERM`.
async fn trap(shell: &mut Shell, rest: &[String], io: &Io) -> i32 {
    let [script, signals @ ..] = rest else { return 0 };
    for word in signals {
        let Some(signal) = processes::signal(if word == "EXIT" { "0" } else { word }) else {
            shell.complain(io, &format!("trap: {word}: invalid signal specification")).await;
            return 1;
        };
        let trap = Some(script).filter(|script| *script != "-").and_then(|script| parse(script).ok());
        shell.process.catch(signal, trap.is_some() && signal != processes::KILL);
        match trap {
            Some(trap) => _ = shell.traps.insert(signal, Rc::new(trap)),
            None => _ = shell.traps.remove(&signal),
        }
    }
    0
}

async fn read(shell: &mut Shell, rest: &[String], io: &Io) -> i32 {
    let names: Vec<&String> = rest.iter().filter(|word| is_name(word)).collect();
    let line = shell.line(io).await;
    let text = String::from_utf8_lossy(line.as_deref().unwrap_or_default()).trim_end_matches('\n').to_string();
    let mut left = text.trim();
    for (index, name) in names.iter().enumerate() {
        let (word, after) = match left.split_once(char::is_whitespace) {
            Some((word, after)) if index + 1 < names.len() => (word, after.trim_start()),
            _ => (left, ""),
        };
        shell.set(name, word);
        left = after;
    }
    i32::from(line.is_none())
}

async fn env(shell: &mut Shell, rest: &[String], io: &Io) -> Flow {
    let split = rest.iter().position(|word| !word.split_once('=').is_some_and(|(name, _)| is_name(name)));
    let (assigns, command) = rest.split_at(split.unwrap_or(rest.len()));
    let mut inner = shell.clone();
    inner.exits = true;
    for word in assigns {
        let (name, value) = word.split_once('=').unwrap_or_default();
        inner.variables.insert(name.into(), (value.into(), true));
    }
    let flow = match command.is_empty() {
        true => {
            inner.status = printenv(&mut inner, &[], io).await;
            Flow::On
        }
        false => run(&mut inner, command, io).await,
    };
    shell.status = inner.status;
    if flow == Flow::Exit && shell.status == 141 { flow } else { Flow::On }
}

async fn printenv(shell: &mut Shell, rest: &[String], io: &Io) -> i32 {
    let exported = shell.variables.iter().filter(|(_, (_, exported))| *exported);
    let lines: String = match rest {
        [] => exported.map(|(name, (value, _))| format!("{name}={value}\n")).collect(),
        names => {
            exported.filter(|(name, _)| names.contains(name)).map(|(_, (value, _))| format!("{value}\n")).collect()
        }
    };
    let found = rest.is_empty() || !lines.is_empty();
    say(shell, io, &lines).await.max(i32::from(!found))
}

async fn which(shell: &mut Shell, rest: &[String], io: &Io) -> i32 {
    let mut status = 0;
    for word in rest.iter().filter(|word| *word != "-v") {
        match program(word, shell.system.network.is_some()) {
            Some(name) => status = say(shell, io, &format!("/bin/{name}\n")).await.max(status),
            None => status = 1,
        }
    }
    status
}

async fn uname(shell: &mut Shell, rest: &[String], io: &Io) -> i32 {
    let host = shell.system.hostname.clone();
    let text = match rest.first().map(String::as_str) {
        Some("-a") => format!("Linux {host} simulated #1 SMP x86_64 GNU/Linux\n"),
        Some("-n") => format!("{host}\n"),
        Some("-r") => "simulated\n".into(),
        Some("-m") => "x86_64\n".into(),
        _ => "Linux\n".into(),
    };
    say(shell, io, &text).await
}

async fn date(shell: &mut Shell, rest: &[String], io: &Io) -> i32 {
    let mut format = "%a %b %e %H:%M:%S UTC %Y".to_string();
    for word in rest {
        match word.as_str() {
            "-u" | "--utc" => {}
            "-Iseconds" | "-Is" => format = "%Y-%m-%dT%H:%M:%S+00:00".into(),
            "-I" => format = "%Y-%m-%d".into(),
            word => match word.strip_prefix('+') {
                Some(given) => format = given.replace("%N", "%f"),
                None => return wrong(shell, io, &format!("date: invalid date '{word}'")).await,
            },
        }
    }
    let now = shell.system.time().to_zoned(TimeZone::UTC);
    match strtime::format(&format, &now) {
        Ok(text) => say(shell, io, &(text + "\n")).await,
        Err(_) => wrong(shell, io, &format!("date: invalid format '{format}'")).await,
    }
}
