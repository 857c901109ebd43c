//! The log files of a node, and how the kubelet rotates them.
//!
//! Source: `pkg/kubelet/logs/container_log_manager.go` (`rotateLog`, `cleanupUnusedLogs`, `removeExcessLogs`, `compressLog`,
//! `rotateLatestLog`).

/// When a log is rotated, and what stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `containerLogMaxSize`, in bytes.
    pub max_size: usize,
    /// `containerLogMaxFiles`.
    pub max_files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_size: 10 << 20, max_files: 5 }
    }
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// What it is called, or was called before it was renamed.
    pub log: String,
    /// The time in its name, if it was renamed.
    pub rotated: Option<String>,
    /// Whether it was compressed: then it is another file than before.
    pub compressed: bool,
    /// Its inode.
    pub inode: u64,
    /// What is in it.
    pub text: String,
}

/// The log files of one node.
#[derive(Debug, Default)]
pub struct Folder {
    files: Vec<LogFile>,
    inodes: u64,
}

impl Folder {
    /// All files, the rotated ones of a log before the one that is written.
    pub fn files(&self) -> &[LogFile] {
        &self.files
    }

    fn inode(&mut self) -> u64 {
        self.inodes += 1;
        self.inodes
    }

    /// What a container wrote.
    pub fn write(&mut self, log: &str, text: &str) {
        if let Some(file) = self.files.iter_mut().find(|file| file.log == log && file.rotated.is_none()) {
            file.text += text;
            return;
        }
        let inode = self.inode();
        self.files.push(LogFile { log: log.into(), rotated: None, compressed: false, inode, text: text.into() });
    }

    /// The kubelet looks at the log of a container that runs; `true` if it was rotated.
    pub fn rotate(&mut self, log: &str, limits: Limits, time: &str) -> bool {
        let is_live = |file: &LogFile| file.log == log && file.rotated.is_none();
        if !self.files.iter().any(|file| is_live(file) && file.text.len() >= limits.max_size) {
            return false;
        }
        let rotated = |file: &LogFile| file.log == log && file.rotated.is_some();
        // The file that is renamed now and the one that takes its place are among those that stay.
        let most = limits.max_files.saturating_sub(2);
        let excess = self.files.iter().filter(|file| rotated(file)).count().saturating_sub(most);
        let mut seen = 0;
        self.files.retain(|file| {
            seen += usize::from(rotated(file));
            !rotated(file) || seen > excess
        });
        let mut inodes = self.inodes;
        for file in self.files.iter_mut().filter(|file| rotated(file) && !file.compressed) {
            inodes += 1;
            (file.compressed, file.inode) = (true, inodes);
        }
        self.inodes = inodes;
        if let Some(at) = self.files.iter().position(is_live) {
            let mut file = self.files.remove(at);
            file.rotated = Some(time.into());
            self.files.push(file);
        }
        // The runtime opens a new file.
        self.write(log, "");
        true
    }

    /// Removes the files of logs that aren't kept any more.
    pub fn retain(&mut self, keeps: impl Fn(&str) -> bool) {
        self.files.retain(|file| keeps(&file.log));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_rotated_file_stays_as_it_was_until_the_next_rotation() {
        let (mut folder, limits) = (Folder::default(), Limits { max_size: 10, max_files: 3 });
        let mut look = |text: &str, time: &str| {
            folder.write("0.log", text);
            folder.rotate("0.log", limits, time);
            let name = |file: &LogFile| {
                let time = file.rotated.as_ref().map_or(String::new(), |time| format!(".{time}"));
                format!("0.log{time}{} {} {}", if file.compressed { ".gz" } else { "" }, file.inode, file.text)
            };
            folder.files().iter().map(name).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(look("123456789", "a"), "0.log 1 123456789");
        assert_eq!(look("0", "b"), "0.log.b 1 1234567890; 0.log 2 ");
        assert_eq!(look("second one", "c"), "0.log.b.gz 3 1234567890; 0.log.c 2 second one; 0.log 4 ");
        assert_eq!(look("the third one", "d"), "0.log.c.gz 5 second one; 0.log.d 4 the third one; 0.log 6 ");
        folder.retain(|_| false);
        assert_eq!(folder.files(), []);
    }
}
