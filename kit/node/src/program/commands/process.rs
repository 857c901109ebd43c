//! Commands about processes: `ps`, `kill`, `pidof`, and the shell's `wait`.
//!
//! Source: the columns of `ps` and what `kill` complains of are those of BusyBox (`procps/ps.c`, `procps/kill.c`).

use super::super::processes::{self, Entry, TERM};
use super::super::shell::{Io, Shell};
use super::{say, wrong};

/// A column of `ps`: its name, its header, its width, and whether its values stand on the right.
const COLUMNS: [(&str, &str, usize, bool); 7] = [
    ("pid", "PID", 5, true),
    ("ppid", "PPID", 5, true),
    ("user", "USER", 8, false),
    ("time", "TIME", 5, true),
    ("stat", "STAT", 4, false),
    ("comm", "COMMAND", 16, false),
    ("args", "COMMAND", 0, false),
];
/// What `ps` shows unless it is asked for something else.
const USUAL: &str = "pid,user,time,args";

pub async fn run(shell: &mut Shell, name: &str, words: &[String], io: &Io) -> i32 {
    match name {
        "ps" => ps(shell, words, io).await,
        "kill" => kill(shell, words, io).await,
        _ => pidof(shell, words, io).await,
    }
}

async fn ps(shell: &mut Shell, words: &[String], io: &Io) -> i32 {
    let asked = words.iter().position(|word| word == "-o").and_then(|at| words.get(at + 1));
    let mut columns = Vec::new();
    for name in asked.map_or(USUAL, String::as_str).split(',') {
        match COLUMNS.iter().find(|(known, ..)| *known == name) {
            Some(column) => columns.push(*column),
            None => {
                let known = COLUMNS.map(|(name, ..)| name).join(",");
                return wrong(shell, io, &format!("ps: bad -o argument '{name}', supported arguments: {known}")).await;
            }
        }
    }
    let line = |value: &dyn Fn(&str, &str) -> String, header: bool| {
        let cell = |(name, title, width, right): &(&str, &str, usize, bool)| match *right && !header {
            true => format!("{:>width$}", value(name, title)),
            false => format!("{:<width$}", value(name, title)),
        };
        let cells: Vec<String> = columns.iter().map(cell).collect();
        format!("{}\n", cells.join(" ").trim_end())
    };
    let mut text = line(&|_, title| title.to_string(), true);
    for (pid, entry) in shell.process.all().all() {
        text.push_str(&line(&|name, _| shown(pid, &entry, name), false));
    }
    say(shell, io, &text).await
}

/// What a column says of a process. Nothing here uses time that anybody counts.
fn shown(pid: u32, entry: &Entry, column: &str) -> String {
    match column {
        "pid" => pid.to_string(),
        "ppid" => entry.parent.to_string(),
        "user" => entry.user.clone(),
        "time" => "0:00".into(),
        "stat" => if entry.stopped { "T" } else { "S" }.into(),
        "comm" => entry.name(),
        _ => entry.args.join(" "),
    }
}

async fn kill(shell: &mut Shell, words: &[String], io: &Io) -> i32 {
    let me = shell.process.name();
    let complain = |what: String| format!("{me}: {what}");
    let (mut signal, mut rest) = (TERM, words);
    match words {
        [list, ..] if list == "-l" => {
            let all: String = processes::names().map(|(number, name)| format!("{number:>2}) {name}\n")).collect();
            return say(shell, io, &all).await;
        }
        [option, name, left @ ..] if option == "-s" => {
            let Some(known) = processes::signal(name) else {
                let what = complain(format!("bad signal name '{name}'"));
                return wrong(shell, io, &what).await;
            };
            (signal, rest) = (known, left);
        }
        [option, left @ ..] if option.starts_with('-') && option.len() > 1 => {
            let name = option.trim_start_matches('-');
            let Some(known) = processes::signal(name) else {
                let what = complain(format!("bad signal name '{name}'"));
                return wrong(shell, io, &what).await;
            };
            (signal, rest) = (known, left);
        }
        _ => {}
    }
    if rest.is_empty() {
        let what = complain("you need to specify whom to kill".into());
        return wrong(shell, io, &what).await;
    }
    let mut status = 0;
    for word in rest {
        let what = match word.parse::<u32>() {
            Ok(pid) if shell.process.all().signal(pid, signal) => continue,
            Ok(pid) => complain(format!("can't kill pid {pid}: No such process")),
            Err(_) => complain(format!("invalid number '{word}'")),
        };
        status = wrong(shell, io, &what).await;
    }
    // Whoever was meant may be this shell.
    shell.system.give_way().await;
    status
}

async fn pidof(shell: &mut Shell, words: &[String], io: &Io) -> i32 {
    let all = shell.process.all().all();
    let mine = shell.process.pid;
    let found = all.iter().rev().filter(|(pid, entry)| **pid != mine && words.contains(&entry.name()));
    let found: Vec<String> = found.map(|(pid, _)| pid.to_string()).collect();
    match found.is_empty() {
        true => 1,
        false => say(shell, io, &format!("{}\n", found.join(" "))).await,
    }
}

/// Until what runs in the background has ended, or these of it, or a signal comes: the exit code of the last.
pub async fn wait(shell: &mut Shell, words: &[String]) -> i32 {
    let asked: Vec<u32> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let meant = |pid: &u32| asked.is_empty() || asked.contains(pid);
    let jobs: Vec<_> = shell.jobs.iter().filter(|(pid, _)| meant(pid)).map(|(_, code)| code.clone()).collect();
    let process = shell.process.clone();
    shell.system.until(|| process.is_called() || jobs.iter().all(|code| code.get().is_some())).await;
    match asked.last().map(|pid| shell.jobs.get(pid).map(|code| code.get())) {
        None => 0,
        Some(None) => 127,
        Some(Some(code)) => code.unwrap_or(128),
    }
}
