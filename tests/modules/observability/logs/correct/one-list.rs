//! Passes: one list of all records that are held, the last one of each block with the place behind it; a block is found by letting it grow until nothing
//! overlaps any more; and no request is kept, only how many records it has.

use kit::observability::LogAgent;
use kit::observability::logs::{
    Answer, Batch, Block, Config, Document, Entry, File, Lost, Part, Pod, Position, Record, Step, Value, object,
};

struct Tail {
    log: String,
    inode: u64,
    at: u64,
    size: u64,
    last_change: i64,
    met: bool,
}

struct Held {
    entry: Entry,
    /// Only for the last record of a block.
    ends: bool,
    offset: Option<u64>,
}

struct Exercise {
    config: Config,
    tails: Vec<Tail>,
    held: Vec<Held>,
    under_way: usize,
    failed: Option<i64>,
    failures: u32,
}

impl LogAgent for Exercise {
    fn new(config: &Config) -> Self {
        let tails = config.positions.iter().map(|stored| Tail {
            log: stored.log.clone(),
            inode: stored.inode,
            at: stored.offset.unwrap_or(0),
            size: stored.offset.unwrap_or(0),
            last_change: 0,
            met: false,
        });
        Exercise {
            tails: tails.collect(),
            config: config.clone(),
            held: vec![],
            under_way: 0,
            failed: None,
            failures: 0,
        }
    }

    fn cut(&mut self, part: &Part) -> Vec<Block> {
        let mut blocks = vec![];
        let mut all = pieces(&part.text, &self.config, part.is_quiet);
        while !all.is_empty() {
            let mut end = all[0].1;
            let mut count = 1;
            while count < all.len() && all[count].0.place < end {
                end = end.max(all[count].1);
                count += 1;
            }
            if all[..count].iter().any(|(.., complete)| !complete) {
                break;
            }
            blocks.push(Block { end, records: all.drain(..count).map(|(record, ..)| record).collect() });
        }
        blocks
    }

    fn document(&mut self, entry: &Entry, pods: &[Pod]) -> Document {
        let parts: Vec<&str> = entry.log.trim_start_matches("/var/log/pods/").split('/').collect();
        let mut document = Document {
            time: entry.record.time.clone(),
            stream: entry.record.stream.clone(),
            log: entry.record.text.clone(),
            fields: object(&entry.record.text).unwrap_or_default(),
            container: parts[1].to_string(),
            ..Document::default()
        };
        let names: Vec<&str> = parts[0].splitn(3, '_').collect();
        document.namespace = names[0].to_string();
        document.pod = names[1].to_string();
        document.uid = names[2].to_string();
        document.id =
            [names[2], parts[1], &entry.inode.to_string(), &entry.record.place.to_string(), &entry.record.time]
                .join("/");
        for pod in pods {
            if (pod.namespace.as_str(), pod.name.as_str(), pod.uid.as_str()) == (names[0], names[1], names[2]) {
                document.host = pod.node.clone();
                document.labels = pod.labels.clone();
            }
        }
        if let Some(id) = document.fields.get("trace_id").and_then(Value::as_str) {
            let good = id.chars().all(|digit| "0123456789abcdef".contains(digit));
            if good && id.len() == 32 && id != "0".repeat(32) {
                document.trace_id = Some(id.to_string());
            }
        }
        document
    }

    fn look(&mut self, files: &[File], now_ms: i64) -> Step {
        let mut step = Step::default();
        let mut index = 0;
        while index < self.tails.len() {
            let Tail { log, inode, at, size, .. } = &self.tails[index];
            if files.iter().any(|file| file.inode == *inode && file.log == *log) {
                index += 1;
                continue;
            }
            if size > at {
                step.lost.push(Lost { log: log.clone(), inode: *inode, bytes: size - at });
            }
            step.store.push(Position { log: log.clone(), inode: *inode, offset: None });
            let (log, inode) = (log.clone(), *inode);
            self.keep_no_offset(&log, inode);
            self.tails.remove(index);
        }
        for file in files {
            let size = file.text.len() as u64;
            let known = self.tails.iter_mut().find(|tail| tail.log == file.log && tail.inode == file.inode);
            match known {
                None => self.tails.push(Tail {
                    log: file.log.clone(),
                    inode: file.inode,
                    at: 0,
                    size,
                    last_change: now_ms,
                    met: true,
                }),
                Some(tail) => {
                    if !tail.met || tail.size != size {
                        tail.last_change = now_ms;
                    }
                    tail.met = true;
                    let before = tail.size;
                    tail.size = size;
                    if size < before {
                        let unread = before - tail.at;
                        tail.at = 0;
                        if unread != 0 {
                            step.lost.push(Lost { log: file.log.clone(), inode: file.inode, bytes: unread });
                        }
                        step.store.push(Position { log: file.log.clone(), inode: file.inode, offset: Some(0) });
                        self.keep_no_offset(&file.log, file.inode);
                    }
                }
            }
        }
        self.read(files, now_ms);
        match self.failed {
            None => step.send = self.ask(),
            Some(until) if until <= now_ms => {
                self.failed = None;
                step.send = Some(self.batch());
            }
            Some(_) => {}
        }
        step
    }

    fn answered(&mut self, answer: &Answer, now_ms: i64) -> Step {
        if answer == &Answer::Failed {
            let mut wait = self.config.retry_ms;
            for _ in 0..self.failures {
                wait = (wait + wait).min(self.config.retry_max_ms);
            }
            self.failures += 1;
            self.failed = Some(now_ms + wait.min(self.config.retry_max_ms));
            return Step::default();
        }
        self.failures = 0;
        let mut step = Step::default();
        for held in self.held.drain(..std::mem::take(&mut self.under_way)) {
            if let (true, Some(offset)) = (held.ends, held.offset) {
                let (log, inode) = (held.entry.log, held.entry.inode);
                step.store.retain(|known| known.log != log || known.inode != inode);
                step.store.push(Position { log, inode, offset: Some(offset) });
            }
        }
        step.send = self.ask();
        step
    }
}

impl Exercise {
    fn keep_no_offset(&mut self, log: &str, inode: u64) {
        for held in &mut self.held {
            if held.entry.log == log && held.entry.inode == inode {
                held.offset = None;
            }
        }
    }

    fn read(&mut self, files: &[File], now_ms: i64) {
        let mut order: Vec<usize> = (0..files.len()).collect();
        order.sort_by(|one, other| {
            let key = |index: &usize| (files[*index].log.clone(), files[*index].rotated.clone().unwrap_or("~".into()));
            key(one).cmp(&key(other))
        });
        let mut skip = String::new();
        for file in order.into_iter().map(|index| &files[index]) {
            if file.log == skip {
                continue;
            }
            let Some(index) = self.tails.iter().position(|tail| tail.log == file.log && tail.inode == file.inode)
            else {
                continue;
            };
            let base = self.tails[index].at;
            let is_quiet = self.tails[index].last_change + self.config.quiet_ms <= now_ms;
            for block in self.cut(&Part { text: file.text[base as usize..].to_string(), is_quiet }) {
                if !self.held.is_empty() && self.held.len() + block.records.len() > self.config.buffer {
                    return;
                }
                let offset = base + block.end;
                self.tails[index].at = offset;
                for mut record in block.records {
                    record.place += base;
                    let entry = Entry { log: file.log.clone(), inode: file.inode, record };
                    self.held.push(Held { entry, ends: false, offset: Some(offset) });
                }
                self.held.last_mut().unwrap().ends = true;
            }
            if file.text[self.tails[index].at as usize..].contains('\n') {
                skip = file.log.clone();
            }
        }
    }

    fn ask(&mut self) -> Option<Batch> {
        if self.under_way > 0 || self.held.is_empty() {
            return None;
        }
        let ends = self.held.iter().enumerate().filter(|(_, held)| held.ends).map(|(index, _)| index + 1);
        let ends: Vec<usize> = ends.collect();
        let fits = ends.iter().rev().find(|count| **count <= self.config.batch);
        self.under_way = *fits.unwrap_or(&ends[0]);
        Some(self.batch())
    }

    fn batch(&self) -> Batch {
        self.held[..self.under_way].iter().map(|held| held.entry.clone()).collect()
    }
}

/// Each record, where it ends, and whether it is complete.
fn pieces(text: &str, config: &Config, is_quiet: bool) -> Vec<(Record, u64, bool)> {
    let mut all: Vec<(Record, u64, bool)> = vec![];
    let mut goes_on = [false, false];
    let whole = text.rfind('\n').map_or("", |at| &text[..=at]);
    let mut end = 0;
    for line in whole.lines_of() {
        let place = end;
        end += line.len() as u64 + 1;
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let number = match words[..] {
            [_, "stdout", _, _] => 0,
            [_, "stderr", _, _] => 1,
            _ => {
                all.push((Record { place, text: line.to_string(), ..Record::default() }, end, true));
                continue;
            }
        };
        let tag = words[2].split(':').next().unwrap_or_default();
        let before = all.iter_mut().rev().find(|(record, ..)| record.stream == words[1]);
        let open = std::mem::replace(&mut goes_on[number], tag == "P");
        let follows = config.continuation.iter().any(|start| words[3].starts_with(start));
        let complete = is_quiet || config.continuation.is_empty() && tag != "P";
        match before {
            Some(before) if open || follows => {
                if !open {
                    before.0.text += "\n";
                }
                before.0.text += words[3];
                (before.1, before.2) = (end, complete);
            }
            before => {
                before.into_iter().for_each(|before| before.2 = true);
                let [time, stream, text] = [words[0], words[1], words[3]].map(str::to_string);
                all.push((Record { place, time, stream, text }, end, complete));
            }
        }
    }
    all
}

trait Lines {
    /// Without their ends, and with what `str::lines` takes for a part of the end.
    fn lines_of(&self) -> impl Iterator<Item = &str>;
}

impl Lines for str {
    fn lines_of(&self) -> impl Iterator<Item = &str> {
        let count = self.matches('\n').count();
        self.split('\n').take(count)
    }
}

kit::exercise!(Exercise: LogAgent);
