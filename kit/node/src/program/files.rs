//! What files a container sees: its own, and what is mounted.

use super::processes::Processes;
use super::tree::{Content, Entry, PASS, READ, Tree, WRITE, Who};
use std::cell::RefCell;
use std::rc::Rc;

/// The most that can be written to one tree, in bytes and in files.
const LARGEST: usize = 1 << 20;
const MOST: usize = 1000;
/// What is written there is gone.
const NULL: &str = "/dev/null";
/// So many links may lead to each other (`MAXSYMLINKS`).
const HOPS: usize = 40;
/// Directories of a small image that not everybody may see or not only their owner may write to.
const MODES: [(&str, u32); 4] = [("proc", 0o555), ("root", 0o700), ("sys", 0o555), ("tmp", 0o1777)];

/// What the system says.
pub type Refusal = &'static str;
/// There is nothing at a path.
pub const MISSING: Refusal = "No such file or directory";
const DENIED: Refusal = "Permission denied";
const READ_ONLY: Refusal = "Read-only file system";
const FULL: Refusal = "No space left on device";
const LOOP: Refusal = "Symbolic link loop";
const DIRECTORY: Refusal = "Is a directory";
const NOT_PERMITTED: Refusal = "Operation not permitted";

/// A part of a tree at its place.
#[derive(Debug, Clone)]
struct Mount {
    at: String,
    tree: Tree,
    /// Where the part begins.
    below: String,
    read_only: bool,
}

/// The files of one container; copies share them.
#[derive(Debug, Clone)]
pub struct Files {
    own: Tree,
    mounts: Vec<Mount>,
    /// What `/proc` shows.
    processes: Option<Processes>,
    /// Who looks at them.
    who: Who,
}

impl Default for Files {
    /// The directories of a small image, and nothing in them.
    fn default() -> Files {
        let names = ["bin", "dev", "etc", "home", "opt", "proc", "root", "sys", "tmp", "usr", "var", "var/log"];
        let mode = |name| MODES.iter().find(|(known, _)| *known == name).map_or(0o755, |(_, mode)| *mode);
        let entry = |name| (format!("/{name}"), Entry::of(Content::Directory).with_mode(mode(name)));
        let null = (NULL.to_string(), Entry::of(Content::File(Vec::new())).with_mode(0o666));
        let own = names.into_iter().map(entry).chain([null]).collect();
        Files { own: Rc::new(RefCell::new(own)), mounts: Vec::new(), processes: None, who: Who::default() }
    }
}

/// A place in a tree.
struct Spot<'a> {
    tree: &'a Tree,
    path: String,
    read_only: bool,
}

/// The path from the root, without `.`, `..` and double slashes.
pub fn absolute(directory: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_string() } else { format!("{directory}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// What comes after a path, if another one is there or below it.
fn after<'a>(path: &'a str, at: &str) -> Option<&'a str> {
    path.strip_prefix(at.trim_end_matches('/')).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent })
}

impl Files {
    /// Mounts a tree at a path.
    pub fn mount(&mut self, at: &str, tree: Tree, read_only: bool) {
        self.mount_part(at, tree, "", read_only);
    }

    /// Mounts what is below a path in a tree.
    pub fn mount_part(&mut self, at: &str, tree: Tree, below: &str, read_only: bool) {
        self.mounts.push(Mount { at: absolute("/", at), tree, below: below.into(), read_only });
    }

    /// The same files as somebody else sees them.
    pub fn seen_by(self, who: Who) -> Files {
        Files { who, ..self }
    }

    /// Who sees them.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// The same, with these processes below `/proc`.
    pub fn with_processes(self, processes: &Processes) -> Files {
        Files { processes: Some(processes.clone()), ..self }
    }

    /// The same, with nothing below `/proc`.
    pub fn without_processes(&self) -> Files {
        Files { processes: None, ..self.clone() }
    }

    /// What is below `/proc`, if a path leads there.
    fn proc<'a>(&self, path: &'a str) -> Option<(&Processes, &'a str)> {
        Some((self.processes.as_ref()?, after(path, "/proc")?.trim_start_matches('/')))
    }

    /// The files that a path leads to, and where it does: `/proc/1/root/tmp` is `/tmp` of process 1.
    fn through<'a>(&self, path: &'a str) -> Option<(Files, &'a str)> {
        let (processes, rest) = self.proc(path)?;
        let (pid, inside) = rest.split_once('/')?;
        let inside = after(inside, "root")?;
        Some((processes.files(pid)?.seen_by(self.who.clone()), if inside.is_empty() { "/" } else { inside }))
    }

    fn find(&self, path: &str) -> Spot<'_> {
        let found = self.mounts.iter().filter_map(|mount| Some((mount, after(path, &mount.at)?)));
        match found.max_by_key(|(mount, _)| mount.at.len()) {
            Some((mount, rest)) => {
                Spot { tree: &mount.tree, path: format!("{}{rest}", mount.below), read_only: mount.read_only }
            }
            None => Spot { tree: &self.own, path: path.trim_end_matches('/').into(), read_only: false },
        }
    }

    /// What is at a path that has no links in it.
    fn at(&self, path: &str) -> Option<Entry> {
        let spot = self.find(path);
        let found = spot.tree.borrow().get(&spot.path).cloned();
        let implied = || path == "/" || self.mounts.iter().any(|mount| mount.at == path) || self.has_any(path);
        found.or_else(|| implied().then(|| Entry::of(Content::Directory)))
    }

    fn has_any(&self, path: &str) -> bool {
        let spot = self.find(path);
        let inside = format!("{}/", spot.path);
        let below = |mount: &Mount| after(&mount.at, path).is_some();
        spot.tree.borrow().range(inside.clone()..).next().is_some_and(|(key, _)| key.starts_with(&inside))
            || self.mounts.iter().any(below)
    }

    /// Where a path leads to if one follows its links; that of its last part only if one asks for it.
    fn resolve(&self, path: &str, last: bool) -> Result<String, Refusal> {
        let mut left: Vec<String> = path.split('/').rev().map(str::to_string).collect();
        let (mut done, mut hops) = (String::new(), 0);
        while let Some(part) = left.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    done.truncate(done.rfind('/').unwrap_or_default());
                    continue;
                }
                _ => {}
            }
            let here = if done.is_empty() { "/" } else { &done };
            if self.who.uid > 0 && self.at(here).is_some_and(|entry| !self.who.may(PASS, &entry)) {
                return Err(DENIED);
            }
            let next = format!("{done}/{part}");
            let follows = last || left.iter().any(|part| !part.is_empty());
            match self.at(&next).filter(|_| follows).map(|entry| entry.content) {
                Some(Content::Link(to)) => {
                    hops += 1;
                    if hops > HOPS {
                        return Err(LOOP);
                    }
                    if to.starts_with('/') {
                        done.clear();
                    }
                    left.extend(to.split('/').rev().map(str::to_string));
                }
                _ => done = next,
            }
        }
        Ok(if done.is_empty() { "/".into() } else { done })
    }

    /// The path without links, if there is anything at its end.
    pub fn real(&self, path: &str) -> Option<String> {
        self.resolve(path, true).ok().filter(|path| self.at(path).is_some())
    }

    /// What is at a path: a link itself, or what it leads to.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn look(&self, path: &str, follow: bool) -> Result<Entry, Refusal> {
        if let Some((files, path)) = self.through(path) {
            return files.look(path, follow);
        }
        if let Some((processes, rest)) = self.proc(path) {
            let file = processes.read(rest).map(|bytes| Entry::of(Content::File(bytes)).with_mode(0o444));
            let directory = || {
                let there = rest.is_empty() || !processes.list(rest).is_empty();
                there.then(|| Entry::of(Content::Directory).with_mode(0o555))
            };
            return file.or_else(directory).ok_or(MISSING);
        }
        self.at(&self.resolve(path, follow)?).ok_or(MISSING)
    }

    /// What a file holds.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open(&self, path: &str) -> Result<Vec<u8>, Refusal> {
        let entry = self.look(path, true)?;
        match &entry.content {
            _ if !self.who.may(READ, &entry) => Err(DENIED),
            Content::File(bytes) => Ok(bytes.clone()),
            _ => Err(DIRECTORY),
        }
    }

    /// What a file holds, if it is there and can be read.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.open(path).ok()
    }

    /// Whether this may be done with what is at a path.
    pub fn may(&self, what: u32, path: &str) -> bool {
        self.look(path, true).is_ok_and(|entry| self.who.may(what, &entry))
    }

    /// Whether a directory of this path exists.
    pub fn is_directory(&self, path: &str) -> bool {
        self.look(path, true).is_ok_and(|entry| entry.content == Content::Directory)
    }

    /// The names in a directory, none if it can't be read.
    pub fn list(&self, path: &str) -> Vec<String> {
        if let Some((files, path)) = self.through(path) {
            return files.list(path);
        }
        if let Some((processes, rest)) = self.proc(path) {
            return processes.list(rest);
        }
        let Ok(path) = self.resolve(path, true) else { return Vec::new() };
        if self.at(&path).is_none_or(|entry| !self.who.may(READ, &entry)) {
            return Vec::new();
        }
        let spot = self.find(&path);
        let (inside, tree) = (format!("{}/", spot.path), spot.tree.borrow());
        let below = tree.range(inside.clone()..).map_while(|(key, _)| key.strip_prefix(&inside));
        let mounted = self.mounts.iter().filter_map(|mount| after(&mount.at, &path)?.strip_prefix('/'));
        let names = below.chain(mounted).filter_map(|rest| rest.split('/').next()).filter(|name| !name.is_empty());
        let mut names: Vec<String> = names.map(str::to_string).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Where something new may be made, and what the directory is in which it is.
    fn place(&self, path: &str) -> Result<(Spot<'_>, Entry), Refusal> {
        let above = self.at(parent(path)).filter(|above| above.content == Content::Directory).ok_or(MISSING)?;
        let spot = self.find(path);
        match () {
            () if spot.read_only => Err(READ_ONLY),
            () if !self.who.may(WRITE, &above) => Err(DENIED),
            () if spot.tree.borrow().len() > MOST => Err(FULL),
            () => Ok((spot, above)),
        }
    }

    /// Writes a file, or appends to it.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn write(&self, path: &str, bytes: &[u8], append: bool) -> Result<(), Refusal> {
        if let Some((files, path)) = self.through(path) {
            return files.write(path, bytes, append);
        }
        if self.proc(path).is_some() {
            return Err(MISSING);
        }
        let path = self.resolve(path, true)?;
        let (spot, entry) = match self.at(&path) {
            Some(Entry { content: Content::Directory, .. }) => return Err(DIRECTORY),
            Some(entry) => (self.find(&path), entry),
            None => {
                let (spot, above) = self.place(&path)?;
                (spot, Entry::made_by(&self.who, Content::File(Vec::new()), &above))
            }
        };
        let mut tree = spot.tree.borrow_mut();
        let is_new = !tree.contains_key(&spot.path);
        if spot.read_only {
            return Err(READ_ONLY);
        }
        if !is_new && !self.who.may(WRITE, &entry) {
            return Err(DENIED);
        }
        let size: usize = tree.values().filter_map(Entry::size).sum();
        if size + bytes.len() > LARGEST {
            return Err(FULL);
        }
        if path == NULL {
            return Ok(());
        }
        if let Content::File(held) = &mut tree.entry(spot.path).or_insert(entry).content {
            if !append {
                held.clear();
            }
            held.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Makes a directory, or a link.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn make(&self, path: &str, content: Content) -> Result<(), Refusal> {
        if let Some((files, path)) = self.through(path) {
            return files.make(path, content);
        }
        if self.proc(path).is_some() {
            return Err(MISSING);
        }
        let path = self.resolve(path, false)?;
        let (spot, above) = self.place(&path)?;
        spot.tree.borrow_mut().insert(spot.path, Entry::made_by(&self.who, content, &above));
        Ok(())
    }

    /// Changes what is at a path: its owner, its group, its mode.
    ///
    /// # Errors
    ///
    /// What the system says: only the owner may.
    pub fn change(&self, path: &str, change: impl FnOnce(&mut Entry)) -> Result<(), Refusal> {
        let path = self.resolve(path, true)?;
        let mut entry = self.at(&path).ok_or(MISSING)?;
        let spot = self.find(&path);
        match () {
            () if self.proc(&path).is_some() => Err(NOT_PERMITTED),
            () if spot.read_only => Err(READ_ONLY),
            () if self.who.uid > 0 && self.who.uid != entry.uid => Err(NOT_PERMITTED),
            () => {
                let before = entry.clone();
                change(&mut entry);
                // Nobody else gives files away, or to a group of others.
                let gives = entry.uid != before.uid || entry.gid != before.gid && !self.who.groups.contains(&entry.gid);
                if self.who.uid > 0 && gives {
                    return Err(NOT_PERMITTED);
                }
                spot.tree.borrow_mut().insert(spot.path, entry);
                Ok(())
            }
        }
    }

    /// Removes a file or a link, or a directory with all in it.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn remove(&self, path: &str, all: bool) -> Result<(), Refusal> {
        if let Some((files, path)) = self.through(path) {
            return files.remove(path, all);
        }
        if self.proc(path).is_some() {
            return Err(NOT_PERMITTED);
        }
        let path = self.resolve(path, false)?;
        let (spot, entry) = (self.find(&path), self.at(&path));
        let above = self.at(parent(&path));
        match entry.map(|entry| entry.content) {
            _ if spot.read_only => Err(READ_ONLY),
            None => Err(MISSING),
            _ if above.is_some_and(|above| !self.who.may(WRITE, &above)) => Err(DENIED),
            Some(Content::Directory) if !all => Err(DIRECTORY),
            Some(_) => {
                let inside = format!("{}/", spot.path);
                spot.tree.borrow_mut().retain(|file, _| *file != spot.path && !file.starts_with(&inside));
                Ok(())
            }
        }
    }
}
