//! `ls`. Source: `coreutils/ls.c` of BusyBox.

use super::super::files::{Files, MISSING, absolute};
use super::super::shell::{Io, Shell};
use super::super::tree::{Content, Entry, READ, name};
use super::{say, wrong};

/// What a directory takes, and of what a multiple each file does, in bytes.
const BLOCK: usize = 4096;

pub async fn run(shell: &mut Shell, words: &[String], io: &Io) -> i32 {
    let flags: String = words.iter().filter_map(|word| word.strip_prefix('-')).collect();
    let given: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    let given = if given.is_empty() { vec!["."] } else { given };
    let files = shell.system.files.clone();
    let (mut status, mut text) = (0, String::new());
    for shown in &given {
        let path = absolute(&shell.directory, shown);
        let whole = !flags.contains('d') && files.is_directory(&path);
        // Of a link itself is told only with all that there is to tell.
        let found = match whole {
            true if !files.may(READ, &path) => Err((true, "Permission denied")),
            true => Ok(inside(&files, &path, &flags)),
            false => {
                files.look(&path, !flags.contains('l')).map(|_| vec![shown.to_string()]).map_err(|why| (false, why))
            }
        };
        match found {
            Err((opens, why)) => {
                let verb = if opens { "can't open " } else { "" };
                let shown = if opens { format!("'{shown}'") } else { shown.to_string() };
                status = wrong(shell, io, &format!("ls: {verb}{shown}: {why}")).await;
            }
            Ok(found) => {
                if whole && given.len() > 1 {
                    text.push_str(&format!("{shown}:\n"));
                }
                let place = if whole { path } else { shell.directory.clone() };
                text.push_str(&lines(shell, &files, &place, &found, &flags, whole));
            }
        }
    }
    say(shell, io, &text).await.max(status)
}

/// The names in a directory that are shown.
fn inside(files: &Files, path: &str, flags: &str) -> Vec<String> {
    let hidden = flags.contains(['a', 'A']);
    let dots = [".", ".."].into_iter().filter(|_| flags.contains('a')).map(str::to_string);
    dots.chain(files.list(path).into_iter().filter(|name| hidden || !name.starts_with('.'))).collect()
}

fn lines(shell: &Shell, files: &Files, place: &str, names: &[String], flags: &str, whole: bool) -> String {
    let ends = |names: &[String]| names.iter().map(|name| format!("{name}\n")).collect();
    if !flags.contains(['l', 'n']) {
        let row = shell.system.tty && !flags.contains('1') && !names.is_empty();
        return if row { format!("{}\n", names.join("  ")) } else { ends(names) };
    }
    let day = shell.system.time().strftime("%b %e %H:%M").to_string();
    let number = flags.contains('n');
    let id = |id: u32| if number { id.to_string() } else { name(id) };
    let (mut blocks, mut text) = (0, String::new());
    for name in names {
        let path = absolute(place, name);
        let Ok(entry) = files.look(&path, false) else {
            text.push_str(&format!("ls: {name}: {MISSING}\n"));
            continue;
        };
        blocks += size(&entry).div_ceil(BLOCK) * usize::from(!matches!(entry.content, Content::Link(_)));
        let to = if let Content::Link(to) = &entry.content { format!(" -> {to}") } else { String::new() };
        let (letters, size, links) = (entry.letters(), size(&entry), links(files, &path, &entry));
        let (user, group) = (id(entry.uid), id(entry.gid));
        text.push_str(&format!("{letters} {links:>4} {user:<8} {group:<8} {size:>9} {day} {name}{to}\n"));
    }
    if whole { format!("total {}\n{text}", blocks * BLOCK / 1024) } else { text }
}

fn size(entry: &Entry) -> usize {
    entry.size().unwrap_or(BLOCK)
}

/// How many names it has: a directory also that in itself, and those in the directories in it.
fn links(files: &Files, path: &str, entry: &Entry) -> usize {
    let is_directory = |path: String| files.look(&path, false).is_ok_and(|entry| entry.content == Content::Directory);
    match entry.content {
        Content::Directory => 2 + files.list(path).iter().filter(|name| is_directory(absolute(path, name))).count(),
        _ => 1,
    }
}
