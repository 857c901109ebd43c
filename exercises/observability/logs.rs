//! # Logs: from a file on a node to a search
//!
//! Containers write lines, the runtime puts them into files, and the kubelet renames and removes these files. You write the agent that reads them
//! before they are gone, joins what belongs together, says whose it is, and ships each record at least once, whatever fails.
//!
//! About 60 minutes · builds on nothing · book: "Logs: from a file on a node to a search" · stuck? `cargo grade hint observability/logs`
//!
//! Given to you:
//!
//! - `kit::observability::logs::object: fn(&str) -> Option<std::collections::BTreeMap<String, kit::observability::logs::Value>>`: the fields of a text that is a JSON object
//! - `kit::observability::logs::Value::as_str: fn(&kit::observability::logs::Value) -> Option<&str>`: the text, if a field is one
//!
//! All types are in `kit::observability::logs`.

use kit::observability::LogAgent;
use kit::observability::logs::{Answer, Block, Config, Document, Entry, File, Part, Pod, Step};

/// What the agent remembers between two looks.
#[allow(dead_code)]
struct Exercise {
    config: Config,
}

impl LogAgent for Exercise {
    fn new(config: &Config) -> Self {
        Exercise { config: config.clone() }
    }

    /// The blocks of a part of a file, in order, as far as they are complete. Nothing is remembered.
    ///
    /// **Pieces.** A line of the file is `TIME STREAM TAGS CONTENT`, with one blank between each, and it counts only with its line end, `\n`. The
    /// stream is `stdout` or `stderr`; the others may be any text, even none. Tags are separated by `:`, and if the first one is `P`, the container's line goes on in
    /// the next piece of the same stream; otherwise it ends here. All pieces of a line are joined as they are, and its time is that of the first one.
    ///
    /// **Records.** A line whose first piece begins with one of `continuation` goes on the record before it in its stream, after a `\n`, if there is one in this part.
    /// Any other line begins a record. A record is complete as soon as its stream begins another one; if `continuation` is empty, as soon as its line
    /// ends. If the file `is_quiet`, everything is complete that is there.
    ///
    /// A line of another form is a complete record of its own, with all of it but the line end as its text, and without time and stream. Nothing goes on
    /// in it, and other records go on around it.
    ///
    /// **Blocks.** Records that overlap are one block: a block is the smallest part in which no record begins before it or ends after it. It is complete if all its records are. Only
    /// those blocks are answered before which there is no incomplete one. Places are bytes from the beginning of the part; records are in the order in which they begin.
    fn cut(&mut self, part: &Part) -> Vec<Block> {
        let _ = part;
        todo!("split_inclusive('\\n') gives lines with their ends; begin with whole lines of one stream")
    }

    /// What is kept of a record. Nothing is remembered.
    ///
    /// - `entry.log` is `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/RUN.log`. `pods` are those that the API server knows now. `labels` and `host` are those
    ///   of the pod with this namespace, name *and* uid; empty if there is none.
    /// - The id is `UID/CONTAINER/INODE/PLACE/TIME`, with the place where the record begins.
    /// - `fields` are those of the text if it is a JSON object (see `object`), or else none. `log` is the text, in any case.
    /// - `trace_id` is the field of that name, if it is a text of 32 digits of `0-9a-f` that aren't all `0`.
    fn document(&mut self, entry: &Entry, pods: &[Pod]) -> Document {
        let _ = (entry, pods);
        todo!("split the path at `/`, and the pod's folder at `_`")
    }

    /// A look at all files that are there, once a second. A file is known by its `log` and its `inode`. One that was renamed is `rotated`, and nothing but its end may still be
    /// written; a newer one has taken its place. Compressed files aren't shown, as they are others.
    ///
    /// First, for all files:
    ///
    /// - One that isn't known is read from its beginning, or from its position in the configuration.
    /// - One that is shorter than at the last look (or, at the first look, than its position) was *truncated*. It is read from 0, and its stored offset is 0 now.
    /// - A file is quiet if its length was the same for `quiet_ms` or longer; one that is seen for the first time, or was truncated, has just changed.
    /// - One that is known, if only from the configuration, and isn't there any more, is forgotten: the store is told, with the offset `None`.
    ///
    /// What was there at the last look and hadn't been read when a file was truncated or forgotten, is `lost`. It is told how many bytes, if there are any. What was read is sent all the same; it changes no stored offset any more.
    ///
    /// Then files are read, those of one `log` one after the other: first those that were rotated, by the time in their name, and last the one that wasn't.
    /// Logs are read in the order of their names, compared as texts. A file is read on block by block, as by `cut`. A file behind which there are newer ones of the same log is read to its end first: as long as it has a line that wasn't read,
    /// the newer ones are left alone.
    ///
    /// The agent holds at most `buffer` records, those under way included. A block that doesn't fit is not read, and nothing behind it at this look, in no file. If nothing is
    /// held at all, any block fits.
    ///
    /// Then something may be sent, see `answered`.
    fn look(&mut self, files: &[File], now_ms: i64) -> Step {
        let _ = (files, now_ms);
        todo!("first what is gone, then what is shorter or longer than before, then read, then send")
    }

    /// The request under way was answered. There is one at a time.
    ///
    /// - `Accepted`: its records are held no longer. The stored offset of each of its files is where its last block ended. If anything is held, the next request is sent now.
    /// - `Failed`: nobody knows what has become of it. The same batch is sent again at the first look that comes `retry_ms` after this answer, or later; after each failure in a row twice as
    ///   long as after the one before, but never longer than `retry_max_ms`. Until then nothing is sent.
    ///
    /// A new request is sent when nothing is under way and no failed one waits. It has the oldest blocks that are held, as many as have `batch` records together, but at least one.
    fn answered(&mut self, answer: &Answer, now_ms: i64) -> Step {
        let _ = (answer, now_ms);
        todo!("which blocks are accepted, and where did the last one of each file end?")
    }
}

kit::exercise!(Exercise: LogAgent);
