//! `tar`, which `kubectl cp` calls on both sides: makes, unpacks and lists archives, and compresses none.
//!
//! Source: `archival/tar.c` of BusyBox 1.36 for what it says; the options are those of `kubectl cp` (`pkg/cmd/cp/cp.go`).

use super::super::files::{Files, absolute};
use super::super::shell::{Io, Shell};
use super::super::tree::{Content, Entry};
use super::{place::with_those_above, say, wrong};
use ::tar::{Archive, Builder, EntryType, Header};
use std::io::{Error, Read as _};

/// The most that is read of an archive, in bytes; no container has so much room.
const MOST: usize = 4 << 20;

#[derive(Default)]
struct Asked {
    /// `c`, `x` or `t`
    what: Option<char>,
    loud: bool,
    archive: Option<String>,
    directory: Option<String>,
    names: Vec<String>,
}

impl Asked {
    /// The options, or the one that nobody knows.
    fn parse(words: &[String]) -> Result<Asked, String> {
        let mut asked = Asked::default();
        let mut rest = words.iter().enumerate();
        while let Some((index, word)) = rest.next() {
            // Owners and modes are taken as they come.
            if word.starts_with("--no-same-") || word == "--" {
                continue;
            }
            let letters = match word.strip_prefix('-') {
                Some(letters) if !letters.is_empty() => letters,
                // The first word may do without its dash.
                None if index == 0 => word,
                _ => {
                    asked.names.push(word.clone());
                    continue;
                }
            };
            for letter in letters.chars() {
                match letter {
                    'c' | 'x' | 't' => asked.what = Some(letter),
                    'v' => asked.loud = true,
                    'm' | 'p' | 'o' => {}
                    'f' => asked.archive = rest.next().map(|(_, word)| word.clone()),
                    'C' => asked.directory = rest.next().map(|(_, word)| word.clone()),
                    _ => return Err(format!("tar: option '{letter}' is not simulated here")),
                }
            }
        }
        Ok(asked)
    }
}

pub async fn run(shell: &mut Shell, words: &[String], io: &Io) -> i32 {
    let asked = match Asked::parse(words) {
        Ok(asked) => asked,
        Err(why) => return wrong(shell, io, &why).await,
    };
    let here = shell.directory.clone();
    let at = asked.directory.as_deref().map_or(here.clone(), |directory| absolute(&here, directory));
    if !shell.system.files.is_directory(&at) {
        let to = asked.directory.as_deref().unwrap_or_default();
        return wrong(shell, io, &format!("tar: can't change directory to '{to}': No such file or directory")).await;
    }
    match asked.what {
        Some('c') => create(shell, &asked, &at, io).await,
        Some(what) => unpack(shell, &asked, &at, what == 'x', io).await,
        None => wrong(shell, io, "Usage: tar c|x|t [-vmo] [-f TARFILE] [-C DIR] [FILE]...").await,
    }
}

async fn create(shell: &mut Shell, asked: &Asked, at: &str, io: &Io) -> i32 {
    let (files, time) = (shell.system.files.clone(), shell.system.time().as_second());
    let mut archive = Builder::new(Vec::new());
    let (mut said, mut status, mut names) = (String::new(), 0, Vec::new());
    if asked.names.iter().any(|name| name.starts_with('/')) {
        said.push_str("tar: removing leading '/' from member names\n");
    }
    for name in &asked.names {
        let path = absolute(at, name);
        match files.look(&path, false) {
            Ok(entry) => {
                let name = name.trim_matches('/');
                let name = if name.is_empty() { "." } else { name };
                let done = add(
                    &mut archive,
                    &files,
                    (name, &path),
                    &entry,
                    u64::try_from(time).unwrap_or_default(),
                    &mut names,
                );
                if let Err(why) = done {
                    said.push_str(&format!("tar: {name}: {why}\n"));
                    status = 1;
                }
            }
            Err(why) => {
                said.push_str(&format!("tar: {name}: {why}\ntar: error exit delayed from previous errors\n"));
                status = 1;
            }
        }
    }
    if asked.loud {
        names.iter().for_each(|name| said.push_str(&format!("{name}\n")));
    }
    if !said.is_empty() {
        shell.write(&io.stderr, said.as_bytes()).await;
    }
    let bytes = archive.into_inner().unwrap_or_default();
    match asked.archive.as_deref() {
        None | Some("-") => {
            // A reader who has enough is fine.
            shell.write(&io.stdout, &bytes).await;
            status
        }
        Some(name) => match files.write(&absolute(&shell.directory, name), &bytes, false) {
            Ok(()) => status,
            Err(why) => wrong(shell, io, &format!("tar: can't open '{name}': {why}")).await,
        },
    }
}

/// A file, or a directory with all that is in it.
fn add(
    archive: &mut Builder<Vec<u8>>,
    files: &Files,
    (name, path): (&str, &str),
    entry: &Entry,
    time: u64,
    names: &mut Vec<String>,
) -> Result<(), Error> {
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(entry.uid.into());
    header.set_gid(entry.gid.into());
    header.set_mtime(time);
    header.set_size(0);
    names.push(name.into());
    match &entry.content {
        Content::File(_) => {
            let bytes = files.open(path).map_err(Error::other)?;
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes.as_slice())
        }
        Content::Link(to) => {
            header.set_entry_type(EntryType::Symlink);
            archive.append_link(&mut header, name, to)
        }
        Content::Directory => {
            header.set_entry_type(EntryType::Directory);
            archive.append_data(&mut header, format!("{name}/"), std::io::empty())?;
            for inner in files.list(path) {
                let below = absolute(path, &inner);
                if let Ok(entry) = files.look(&below, false) {
                    add(archive, files, (&format!("{name}/{inner}"), &below), &entry, time, names)?;
                }
            }
            Ok(())
        }
    }
}

async fn unpack(shell: &mut Shell, asked: &Asked, at: &str, extracts: bool, io: &Io) -> i32 {
    let bytes = match asked.archive.as_deref() {
        None | Some("-") => shell.all(io, MOST).await,
        Some(name) => match shell.system.files.open(&absolute(&shell.directory, name)) {
            Ok(bytes) => bytes,
            Err(why) => return wrong(shell, io, &format!("tar: can't open '{name}': {why}")).await,
        },
    };
    let files = shell.system.files.clone();
    let (mut names, mut trouble) = (String::new(), None);
    let mut archive = Archive::new(bytes.as_slice());
    for member in archive.entries().into_iter().flatten() {
        let read = member.and_then(|mut member| {
            let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
            let content = match member.header().entry_type() {
                EntryType::Directory => Some(Content::Directory),
                EntryType::Symlink => {
                    member.link_name_bytes().map(|to| Content::Link(String::from_utf8_lossy(&to).into_owned()))
                }
                EntryType::Regular => {
                    let mut bytes = Vec::new();
                    member.read_to_end(&mut bytes)?;
                    Some(Content::File(bytes))
                }
                _ => None,
            };
            Ok((name, content, member.header().mode()? & 0o7777))
        });
        match read {
            Ok((name, content, mode)) => {
                names.push_str(&format!("{name}\n"));
                let Some(content) = content.filter(|_| extracts) else { continue };
                if let Err(why) = put(&files, &absolute(at, name.trim_start_matches('/')), content, mode) {
                    trouble = Some(format!("tar: can't open '{name}': {why}"));
                    break;
                }
            }
            Err(_) => {
                trouble = Some("tar: short read".into());
                break;
            }
        }
    }
    let shown = !extracts || asked.loud;
    let status = if shown { say(shell, io, &names).await } else { 0 };
    match trouble {
        Some(why) => wrong(shell, io, &why).await,
        None if bytes.is_empty() => wrong(shell, io, "tar: short read").await,
        None => status,
    }
}

/// Makes a file, a directory or a link, with the directories above it.
fn put(files: &Files, path: &str, content: Content, mode: u32) -> Result<(), &'static str> {
    if let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
        with_those_above(files, above)?;
    }
    match content {
        Content::Directory => with_those_above(files, path)?,
        Content::File(bytes) => files.write(path, &bytes, false)?,
        Content::Link(_) => {
            _ = files.remove(path, false);
            return files.make(path, content);
        }
    }
    // What is there already may be another's.
    _ = files.change(path, |entry| entry.mode = mode);
    Ok(())
}
