//! Commands about files and directories.

use super::super::files::{Files, absolute};
use super::super::shell::{Io, Shell};
use super::super::tree::{Content, PASS};
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
            let files = &shell.system.files;
            let why = match () {
                () if !files.is_directory(&path) => files.look(&path, true).err().unwrap_or("Not a directory"),
                () if !files.may(PASS, &path) => "Permission denied",
                () => {
                    shell.directory = path;
                    return 0;
                }
            };
            shell.complain(io, &format!("cd: can't cd to {to}: {why}")).await;
            2
        }
        ("basename", [path, ..]) => {
            say(shell, io, &format!("{}\n", path.trim_end_matches('/').rsplit('/').next().unwrap_or_default())).await
        }
        ("dirname", [path, ..]) => {
            let parent = path.trim_end_matches('/').rsplit_once('/').map_or(".", |(parent, _)| parent);
            say(shell, io, &format!("{}\n", if parent.is_empty() { "/" } else { parent })).await
        }
        (_, []) => wrong(shell, io, &format!("{name}: missing operand")).await,
        (_, names) => {
            let mut status = 0;
            for given in names {
                let path = absolute(&shell.directory, given);
                let files = &shell.system.files;
                let done = match name {
                    "touch" if files.is_directory(&path) => Ok(()),
                    "touch" => files.write(&path, b"", true),
                    "mkdir" if flags.contains('p') => with_those_above(files, &path),
                    "mkdir" if files.look(&path, false).is_ok() => Err("File exists"),
                    "mkdir" => files.make(&path, Content::Directory),
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

/// Makes a directory, and those above it that aren't there.
pub(super) fn with_those_above(files: &Files, path: &str) -> Result<(), &'static str> {
    let ends = path.match_indices('/').skip(1).map(|(end, _)| &path[..end]);
    ends.chain([path])
        .filter(|path| !files.is_directory(path))
        .try_for_each(|path| files.make(path, Content::Directory))
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
        files.make(to, Content::Directory)?;
    }
    files.list(from).iter().try_for_each(|name| copy(files, &format!("{from}/{name}"), &format!("{to}/{name}")))
}
