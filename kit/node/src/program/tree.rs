//! Files, directories and links, whose they are, and who may do what with them.
//!
//! Sources: `path_resolution(7)`, `inode(7)` (a directory with the bit for the group gives its group to what is made in it) and
//! `credentials(7)` of Linux.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The bits of a mode that say who may read, write, and pass.
pub const READ: u32 = 4;
/// To write, or to make and remove what is in a directory.
pub const WRITE: u32 = 2;
/// To pass through a directory.
pub const PASS: u32 = 1;
/// What is made in such a directory has its group.
const GIVES_GROUP: u32 = 0o2000;

/// Entries by their path below the root, whose own path is empty. Directories may go without an entry of their own.
pub type Tree = Rc<RefCell<BTreeMap<String, Entry>>>;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file, with what it holds.
    File(Vec<u8>),
    /// A directory.
    Directory,
    /// A symbolic link, with where it leads to.
    Link(String),
}

/// A file, a directory or a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub content: Content,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Who may do what with it.
    pub mode: u32,
}

/// Somebody: a user with groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    /// The user; 0 may do all.
    pub uid: u32,
    /// The first group.
    pub gid: u32,
    /// All of the groups.
    pub groups: BTreeSet<u32>,
}

impl Entry {
    /// Of root, with the usual mode.
    pub fn of(content: Content) -> Entry {
        let mode = match content {
            Content::File(_) => 0o644,
            Content::Directory => 0o755,
            Content::Link(_) => 0o777,
        };
        Entry { content, uid: 0, gid: 0, mode }
    }

    /// The same with this mode.
    pub fn with_mode(self, mode: u32) -> Entry {
        Entry { mode, ..self }
    }

    /// What somebody makes in a directory.
    pub fn made_by(who: &Who, content: Content, parent: &Entry) -> Entry {
        let own = Entry::of(content);
        let gives = parent.mode & GIVES_GROUP > 0;
        let gid = if gives { parent.gid } else { who.gid };
        let bit = if gives && own.content == Content::Directory { GIVES_GROUP } else { 0 };
        Entry { uid: who.uid, gid, mode: own.mode | bit, ..own }
    }

    /// How many bytes it holds; none if it is a directory.
    pub fn size(&self) -> Option<usize> {
        match &self.content {
            Content::File(bytes) => Some(bytes.len()),
            Content::Link(to) => Some(to.len()),
            Content::Directory => None,
        }
    }

    /// Its kind and mode, as `ls` writes them.
    pub fn letters(&self) -> String {
        let kind = match self.content {
            Content::File(_) => '-',
            Content::Directory => 'd',
            Content::Link(_) => 'l',
        };
        let special = [(0o4000, 6, 's'), (0o2000, 3, 's'), (0o1000, 0, 't')];
        let triple = |(bit, shift, letter): (u32, u32, char)| {
            let three = self.mode >> shift & 7;
            let last = match (self.mode & bit > 0, three & PASS > 0) {
                (true, true) => letter,
                (true, false) => letter.to_ascii_uppercase(),
                (false, true) => 'x',
                (false, false) => '-',
            };
            [if three & READ > 0 { 'r' } else { '-' }, if three & WRITE > 0 { 'w' } else { '-' }, last]
        };
        [kind].into_iter().chain(special.into_iter().flat_map(triple)).collect()
    }
}

impl Who {
    /// Whether somebody may do this.
    pub fn may(&self, what: u32, entry: &Entry) -> bool {
        let shift = match () {
            () if self.uid == 0 => return true,
            () if self.uid == entry.uid => 6,
            () if self.gid == entry.gid || self.groups.contains(&entry.gid) => 3,
            () => 0,
        };
        entry.mode >> shift & what == what
    }

    /// The user's name, or its number.
    pub fn name(&self) -> String {
        name(self.uid)
    }
}

/// What a number is called: of all users and groups images only know root.
pub fn name(id: u32) -> String {
    if id == 0 { "root".into() } else { id.to_string() }
}

/// A tree of plain files.
pub fn tree(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Tree {
    Rc::new(RefCell::new(files.into_iter().map(|(path, bytes)| (path, Entry::of(Content::File(bytes)))).collect()))
}
