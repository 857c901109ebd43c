//! What files a container sees: its own, and what is mounted.

use super::processes::Processes;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The most that can be written to one tree, in bytes.
const LARGEST: usize = 1 << 20;

/// Files by their path below the mount; a directory that holds nothing ends with `/`.
pub type Tree = Rc<RefCell<BTreeMap<String, Vec<u8>>>>;

/// A tree at its place.
#[derive(Debug, Clone)]
struct Mount {
    at: String,
    tree: Tree,
    read_only: bool,
}

/// The files of one container; copies share them.
#[derive(Debug, Clone)]
pub struct Files {
    own: Tree,
    mounts: Vec<Mount>,
    /// What `/proc` shows.
    processes: Option<Processes>,
}

impl Default for Files {
    /// The directories of a small image, and nothing in them.
    fn default() -> Files {
        let names = ["bin", "dev", "etc", "home", "opt", "proc", "root", "sys", "tmp", "usr", "var", "var/log"];
        let own = names.map(|name| (format!("/{name}/"), Vec::new())).into();
        Files { own: Rc::new(RefCell::new(own)), mounts: Vec::new(), processes: None }
    }
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

impl Files {
    /// Mounts a tree at a path.
    pub fn mount(&mut self, at: &str, tree: Tree, read_only: bool) {
        self.mounts.push(Mount { at: absolute("/", at), tree, read_only });
    }

    /// The files of one, and the mounts of another.
    pub fn joined(own: &Files, mounts: &Files) -> Files {
        Files { own: own.own.clone(), mounts: mounts.mounts.clone(), processes: own.processes.clone() }
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
        let rest = path.strip_prefix("/proc").filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        Some((self.processes.as_ref()?, rest.trim_start_matches('/')))
    }

    /// The files that a path leads to, and where it does: `/proc/1/root/tmp` is `/tmp` of process 1.
    fn through<'a>(&self, path: &'a str) -> Option<(Files, &'a str)> {
        let (processes, rest) = self.proc(path)?;
        let (pid, inside) = rest.split_once('/')?;
        let inside = inside.strip_prefix("root").filter(|inside| inside.is_empty() || inside.starts_with('/'))?;
        Some((processes.files(pid)?, if inside.is_empty() { "/" } else { inside }))
    }

    fn find(&self, path: &str) -> (&Tree, bool, String) {
        let below = |at: &str| {
            path.strip_prefix(at)
                .filter(|rest| at == "/" || rest.is_empty() || rest.starts_with('/'))
                .map(str::to_string)
        };
        let found = self.mounts.iter().filter_map(|mount| Some((mount, below(&mount.at)?)));
        match found.max_by_key(|(mount, _)| mount.at.len()) {
            Some((mount, rest)) => (&mount.tree, mount.read_only, rest),
            None => (&self.own, false, path.to_string()),
        }
    }

    /// What a file holds.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        if let Some((files, path)) = self.through(path) {
            return files.read(path);
        }
        if let Some((processes, rest)) = self.proc(path) {
            return processes.read(rest);
        }
        let (tree, _, rest) = self.find(path);
        tree.borrow().get(&rest).cloned()
    }

    /// Whether a directory of this path exists.
    pub fn is_directory(&self, path: &str) -> bool {
        if let Some((files, path)) = self.through(path) {
            return files.is_directory(path);
        }
        let mounted = |mount: &Mount| mount.at == path && !mount.tree.borrow().contains_key("");
        let (tree, _, rest) = self.find(path);
        let marked = tree.borrow().contains_key(&format!("{rest}/"));
        path == "/" || marked || self.mounts.iter().any(mounted) || !self.list(path).is_empty()
    }

    /// The names in a directory.
    pub fn list(&self, path: &str) -> Vec<String> {
        if let Some((files, path)) = self.through(path) {
            return files.list(path);
        }
        if let Some((processes, rest)) = self.proc(path) {
            return processes.list(rest);
        }
        let prefix = if path == "/" { "/".to_string() } else { format!("{path}/") };
        let mut names: Vec<String> = Vec::new();
        let (tree, _, rest) = self.find(path);
        let inside = if rest == "/" { rest } else { format!("{rest}/") };
        let tree = tree.borrow();
        let below = tree.keys().filter_map(|file| file.strip_prefix(&inside));
        let mounted = self.mounts.iter().filter_map(|mount| mount.at.strip_prefix(&prefix));
        for name in below.chain(mounted).filter_map(|rest| rest.split('/').next()).filter(|name| !name.is_empty()) {
            names.push(name.to_string());
        }
        names.sort();
        names.dedup();
        names
    }

    /// Writes a file, or appends to it; the error is what the system says.
    pub fn write(&self, path: &str, bytes: &[u8], append: bool) -> Result<(), &'static str> {
        if let Some((files, path)) = self.through(path) {
            return files.write(path, bytes, append);
        }
        if self.proc(path).is_some() {
            return Err("No such file or directory");
        }
        if self.is_directory(path) {
            return Err("Is a directory");
        }
        let parent = path.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent });
        if !self.is_directory(parent) {
            return Err("No such file or directory");
        }
        let (tree, read_only, rest) = self.find(path);
        if read_only {
            return Err("Read-only file system");
        }
        let mut tree = tree.borrow_mut();
        let size: usize = tree.values().map(Vec::len).sum();
        if size + bytes.len() > LARGEST || tree.len() > 1000 {
            return Err("No space left on device");
        }
        let file = tree.entry(rest).or_default();
        if !append {
            file.clear();
        }
        file.extend_from_slice(bytes);
        Ok(())
    }

    /// Makes a directory, and those above it.
    pub fn make_directory(&self, path: &str) -> Result<(), &'static str> {
        if let Some((files, path)) = self.through(path) {
            return files.make_directory(path);
        }
        if self.proc(path).is_some() {
            return Err("No such file or directory");
        }
        let (tree, read_only, rest) = self.find(path);
        if read_only {
            return Err("Read-only file system");
        }
        if tree.borrow().len() > 1000 {
            return Err("No space left on device");
        }
        tree.borrow_mut().insert(format!("{rest}/"), Vec::new());
        Ok(())
    }

    /// Removes a file, or a directory with all in it.
    pub fn remove(&self, path: &str, all: bool) -> Result<(), &'static str> {
        if let Some((files, path)) = self.through(path) {
            return files.remove(path, all);
        }
        if self.proc(path).is_some() {
            return Err("Operation not permitted");
        }
        let (tree, read_only, rest) = self.find(path);
        let inside = format!("{rest}/");
        match () {
            () if read_only => Err("Read-only file system"),
            () if tree.borrow_mut().remove(&rest).is_some() => Ok(()),
            () if !self.is_directory(path) => Err("No such file or directory"),
            () if !all => Err("Is a directory"),
            () => {
                tree.borrow_mut().retain(|file, _| !file.starts_with(&inside));
                Ok(())
            }
        }
    }
}
