//! Commands about files and directories.

use super::super::files::{Files, absolute};
use super::super::shell::{Io, Shell};
use super::{say, wrong};

pub async fn run(shell: &mut Shell, name: &str, words: &[String], io: &Io) -> i32 {
    let flags: String = words.iter().filter_map(|word| word.strip_prefix('-')).collect();
    let names: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    match (name, names.as_slice()) {
        ("pwd", _) => {
            let line = format!("{}\n", shell.directory);
            say(shell, io, &line).await
        }
        ("cd", _) => {
            let to = names.first().map_or_else(|| shell.get("HOME"), ToString::to_string);
            let path = absolute(&shell.directory, &to);
            if !shell.system.files.is_directory(&path) {
                shell.complain(io, &format!("cd: can't cd to {to}: No such file or directory")).await;
                return 2;
            }
            shell.directory = path;
            0
        }
        ("basename", [path, ..]) => {
            say(shell, io, &format!("{}\n", path.trim_end_matches('/').rsplit('/').next().unwrap_or_default())).await
        }
        ("dirname", [path, ..]) => {
            let parent = path.trim_end_matches('/').rsplit_once('/').map_or(".", |(parent, _)| parent);
            say(shell, io, &format!("{}\n", if parent.is_empty() { "/" } else { parent })).await
        }
        ("ls", _) => list(shell, &flags, &names, io).await,
        (_, []) => wrong(shell, io, &format!("{name}: missing operand")).await,
        (_, names) => {
            let mut status = 0;
            for given in names {
                let path = absolute(&shell.directory, given);
                let files = &shell.system.files;
                let done = match name {
                    "touch" if files.is_directory(&path) => Ok(()),
                    "touch" => files.write(&path, b"", true),
                    "mkdir" if files.is_directory(&path) && flags.contains('p') => Ok(()),
                    "mkdir" if files.is_directory(&path) || files.read(&path).is_some() => Err("File exists"),
                    "mkdir" => files.make_directory(&path),
                    _ => files.remove(&path, flags.contains(['r', 'R'])),
                };
                match done {
                    Ok(()) => {}
                    Err(_) if name == "rm" && flags.contains('f') => {}
                    Err(why) => status = wrong(shell, io, &format!("{name}: {given}: {why}")).await,
                }
            }
            status
        }
    }
}

async fn list(shell: &mut Shell, flags: &str, names: &[&String], io: &Io) -> i32 {
    let here = ".".to_string();
    let several = names.len() > 1;
    let (mut status, mut text) = (0, String::new());
    for given in if names.is_empty() { vec![&here] } else { names.to_vec() } {
        let path = absolute(&shell.directory, given);
        let files = shell.system.files.clone();
        let mut found = if files.is_directory(&path) && !flags.contains('d') {
            if several {
                text.push_str(&format!("{given}:\n"));
            }
            files.list(&path)
        } else if files.read(&path).is_some() || files.is_directory(&path) {
            vec![given.to_string()]
        } else {
            status = wrong(shell, io, &format!("ls: {given}: No such file or directory")).await;
            continue;
        };
        found.retain(|name| !name.starts_with('.') || flags.contains(['a', 'A']) || name == given);
        if flags.contains('l') {
            for name in &found {
                let file = absolute(&path, name);
                let size = files.read(&file).map(|bytes| bytes.len());
                let mode = if size.is_some() || !files.is_directory(&file) { "-rw-r--r--" } else { "drwxr-xr-x" };
                let day = shell.system.time().strftime("%b %e %H:%M").to_string();
                text.push_str(&format!("{mode}    1 root     root     {:>9} {day} {name}\n", size.unwrap_or(4096)));
            }
        } else if shell.system.tty && !flags.contains('1') {
            text.push_str(&found.join("  "));
            text.push_str(if found.is_empty() { "" } else { "\n" });
        } else {
            found.iter().for_each(|name| text.push_str(&format!("{name}\n")));
        }
    }
    say(shell, io, &text).await.max(status)
}

/// `cp` and `mv`, of files and whole directories.
pub async fn carry(shell: &mut Shell, name: &str, words: &[String], io: &Io) -> i32 {
    let flags: String = words.iter().filter_map(|word| word.strip_prefix('-')).collect();
    let names: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let [from @ .., to] = names.as_slice() else { return wrong(shell, io, &format!("{name}: missing operand")).await };
    if from.is_empty() {
        return wrong(shell, io, &format!("{name}: missing operand")).await;
    }
    let files = shell.system.files.clone();
    let target = absolute(&shell.directory, to);
    let into = files.is_directory(&target);
    if from.len() > 1 && !into {
        return wrong(shell, io, &format!("{name}: target '{to}' is not a directory")).await;
    }
    let whole = name == "mv" || flags.contains(['r', 'R', 'a']);
    let mut status = 0;
    for given in from {
        let path = absolute(&shell.directory, given);
        let last = path.rsplit('/').next().unwrap_or_default();
        let place = if into { absolute(&target, last) } else { target.clone() };
        let called = if into { format!("{}/{last}", to.trim_end_matches('/')) } else { to.to_string() };
        let done = match () {
            () if files.read(&path).is_none() && !files.is_directory(&path) => {
                let verb = if name == "mv" { "rename" } else { "stat" };
                Err(format!("can't {verb} '{given}': No such file or directory"))
            }
            () if files.is_directory(&path) && !whole => Err(format!("omitting directory '{given}'")),
            () if place == path => Err(format!("'{given}' and '{called}' are the same file")),
            () if place.starts_with(&format!("{path}/")) => {
                Err(format!("recursion detected, omitting directory '{given}'"))
            }
            () => copy(&files, &path, &place).map_err(|why| format!("can't create '{called}': {why}")),
        };
        let done = done.and_then(|()| match name {
            "mv" => files.remove(&path, true).map_err(|why| format!("can't remove '{given}': {why}")),
            _ => Ok(()),
        });
        if let Err(why) = done {
            status = wrong(shell, io, &format!("{name}: {why}")).await;
        }
    }
    status
}

/// Copies a file, or a directory with all in it.
fn copy(files: &Files, from: &str, to: &str) -> Result<(), &'static str> {
    if let Some(bytes) = files.read(from) {
        return files.write(to, &bytes, false);
    }
    if !files.is_directory(to) {
        files.make_directory(to)?;
    }
    files.list(from).iter().try_for_each(|name| copy(files, &format!("{from}/{name}"), &format!("{to}/{name}")))
}
