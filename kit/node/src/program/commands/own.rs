//! Commands about who somebody is, and whose files are: `id`, `chown`, `chmod`, and about links.
//!
//! Sources: `coreutils/{id,chown,chmod,ln,readlink}.c` of BusyBox for what they complain of; POSIX.1-2017, `chmod`, for modes.

use super::super::files::{Files, absolute};
use super::super::shell::{Io, Shell};
use super::super::tree::{Content, Entry, name};
use super::{say, wrong};

/// What may be done, as letters and bits, with which the letters of a mode are made.
const BITS: [(char, u32); 3] = [('r', 0o444), ('w', 0o222), ('x', 0o111)];
const WHOSE: [(char, u32); 4] = [('u', 0o700), ('g', 0o070), ('o', 0o007), ('a', 0o777)];

/// `id` and `whoami`.
pub async fn who(shell: &mut Shell, command: &str, words: &[String], io: &Io) -> i32 {
    let who = shell.system.files.who().clone();
    let named = |id: u32| if id == 0 { "0(root)".to_string() } else { id.to_string() };
    let mut groups = who.groups.clone();
    groups.insert(who.gid);
    let all = |show: &dyn Fn(u32) -> String, by: &str| groups.iter().map(|id| show(*id)).collect::<Vec<_>>().join(by);
    let text = match words.first().map(String::as_str) {
        _ if command == "whoami" && who.uid > 0 => {
            return wrong(shell, io, &format!("whoami: unknown uid {}", who.uid)).await;
        }
        _ if command == "whoami" => "root".into(),
        Some("-u") => who.uid.to_string(),
        Some("-g") => who.gid.to_string(),
        Some("-G") => all(&|id| id.to_string(), " "),
        Some("-un" | "-nu") => name(who.uid),
        _ => format!("uid={} gid={} groups={}", named(who.uid), named(who.gid), all(&named, ",")),
    };
    say(shell, io, &format!("{text}\n")).await
}

pub async fn run(shell: &mut Shell, command: &str, words: &[String], io: &Io) -> i32 {
    let is_flag = |word: &&String| word.starts_with('-') && word.chars().skip(1).all(|c| "Rfhnsv".contains(c));
    let flags: String = words.iter().filter(is_flag).map(|word| &word[1..]).collect();
    let names: Vec<&String> = words.iter().filter(|word| !is_flag(word)).collect();
    let files = shell.system.files.clone();
    let here = shell.directory.clone();
    let at = |name: &str| absolute(&here, name);
    match (command, names.as_slice()) {
        ("ln", [to, name]) => {
            let place = at(name);
            let inside = || absolute(&place, to.rsplit('/').next().unwrap_or_default());
            let place = if files.is_directory(&place) { inside() } else { place };
            if flags.contains('f') {
                _ = files.remove(&place, false);
            }
            let made = match () {
                () if files.look(&place, false).is_ok() => Err("File exists"),
                () if flags.contains('s') => files.make(&place, Content::Link(to.to_string())),
                () => files.open(&at(to)).and_then(|bytes| files.write(&place, &bytes, false)),
            };
            match made {
                Ok(()) => 0,
                Err(why) => wrong(shell, io, &format!("ln: {name}: {why}")).await,
            }
        }
        ("readlink", [path]) => {
            let to = match files.look(&at(path), false).map(|entry| entry.content) {
                _ if flags.contains('f') => files.real(&at(path)),
                Ok(Content::Link(to)) => Some(to),
                _ => None,
            };
            match to {
                Some(to) => say(shell, io, &format!("{to}\n")).await,
                None => 1,
            }
        }
        ("chown" | "chgrp" | "chmod", [how, paths @ ..]) if !paths.is_empty() => {
            let Some(change) = change(command, how) else {
                let what =
                    if command == "chmod" { format!("invalid mode '{how}'") } else { format!("unknown user {how}") };
                return wrong(shell, io, &format!("{command}: {what}")).await;
            };
            let mut status = 0;
            for path in paths {
                if let Err(why) = each(&files, &at(path), flags.contains('R'), &change) {
                    status = wrong(shell, io, &format!("{command}: {path}: {why}")).await;
                }
            }
            status
        }
        ("readlink", _) => 1,
        _ => wrong(shell, io, &format!("{command}: missing operand")).await,
    }
}

type Change = Box<dyn Fn(&mut Entry)>;

/// Changes what is at a path, and all below it if that is asked for.
fn each(files: &Files, path: &str, all: bool, change: &Change) -> Result<(), &'static str> {
    files.change(path, change)?;
    let below = if all && files.is_directory(path) { files.list(path) } else { Vec::new() };
    let real = |path: &String| files.look(path, false).is_ok_and(|it| !matches!(it.content, Content::Link(_)));
    below.iter().map(|name| absolute(path, name)).filter(real).try_for_each(|path| each(files, &path, all, change))
}

/// What an owner, a group or a mode changes; none if it is no such thing.
fn change(command: &str, how: &str) -> Option<Change> {
    let id = |word: &str| if word == "root" { Some(0) } else { word.parse::<u32>().ok() };
    match command {
        "chmod" => mode(how),
        "chgrp" => id(how).map(|gid| -> Change { Box::new(move |entry| entry.gid = gid) }),
        _ => {
            let (user, group) = how.split_once([':', '.']).map_or((how, None), |(user, group)| (user, Some(group)));
            let uid = if user.is_empty() { None } else { Some(id(user)?) };
            let gid = group.map(id).map_or(Some(None), |gid| gid.map(Some))?;
            Some(Box::new(move |entry| (entry.uid, entry.gid) = (uid.unwrap_or(entry.uid), gid.unwrap_or(entry.gid))))
        }
    }
}

/// `640`, or `g+w,o-rwx`.
fn mode(how: &str) -> Option<Change> {
    if let Some(bits) = u32::from_str_radix(how, 8).ok().filter(|bits| *bits <= 0o7777) {
        return Some(Box::new(move |entry| entry.mode = bits));
    }
    let mut steps = Vec::new();
    for part in how.split(',') {
        let at = part.find(['+', '-', '='])?;
        let (whose, what) = part.split_at(at);
        let sum = |known: &[(char, u32)], letters: &str| {
            letters.chars().try_fold(0, |all, c| Some(all | known.iter().find(|(letter, _)| *letter == c)?.1))
        };
        let mask = if whose.is_empty() { 0o777 } else { sum(&WHOSE, whose)? };
        steps.push((what.chars().next()?, mask, sum(&BITS, &what[1..])? & mask));
    }
    Some(Box::new(move |entry| {
        for (sign, mask, bits) in &steps {
            entry.mode = match sign {
                '+' => entry.mode | bits,
                '-' => entry.mode & !bits,
                _ => entry.mode & !mask | bits,
            };
        }
    }))
}
