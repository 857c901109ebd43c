//! Passes: a sweep over the lines, each of which knows to which record it belongs; where no record has lines left, a block ends. The agent keeps one flat
//! list of records, and files are sorted by hand.

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
        sweep(&part.text, &self.config.continuation, part.is_quiet)
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

/// One line of a file, and the line with which its record begins.
struct Line<'a> {
    place: usize,
    words: Option<(&'a str, &'a str, bool, &'a str)>,
    whole: &'a str,
    first: usize,
    joined_by: &'static str,
}

fn sweep(text: &str, continuation: &[String], is_quiet: bool) -> Vec<Block> {
    let mut lines: Vec<Line<'_>> = vec![];
    let mut place = 0;
    for whole in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let line = &whole[..whole.len() - 1];
        let index = lines.len();
        lines.push(Line { place, words: words(line), whole: line, first: index, joined_by: "" });
        place += whole.len();
        let Some((_, stream, _, content)) = lines[index].words else { continue };
        let of_stream = |line: &&Line<'_>| line.words.is_some_and(|(_, of, ..)| of == stream);
        let Some(before) = lines[..index].iter().rev().find(of_stream) else { continue };
        let (first, open) = (before.first, before.words.is_some_and(|(_, _, open, _)| open));
        if open {
            lines[index].first = first;
        } else if continuation.iter().any(|start| content.starts_with(start.as_str())) {
            (lines[index].first, lines[index].joined_by) = (first, "\n");
        }
    }
    let last = |first: usize| lines.iter().rposition(|line| line.first == first).unwrap_or(first);
    let complete = |first: usize| {
        let Some((_, stream, ..)) = lines[first].words else { return true };
        let later = |line: &Line<'_>| line.words.is_some_and(|(_, of, ..)| of == stream) && line.first > first;
        let open = lines[last(first)].words.is_some_and(|(_, _, open, _)| open);
        is_quiet || lines.iter().any(later) || continuation.is_empty() && !open
    };
    let (mut blocks, mut begun) = (vec![], vec![]);
    for (index, line) in lines.iter().enumerate() {
        if line.first == index {
            if !complete(index) {
                break;
            }
            begun.push(index);
        }
        if begun.iter().any(|first| last(*first) > index) {
            continue;
        }
        let end = line.place + line.whole.len() + 1;
        let records = begun.drain(..).map(|first| {
            let of_it = lines.iter().filter(|line| line.first == first);
            let text = of_it.map(|line| {
                let content = line.words.map_or(line.whole, |(.., content)| content);
                format!("{}{content}", line.joined_by)
            });
            let (time, stream) = lines[first].words.map_or(("", ""), |(time, stream, ..)| (time, stream));
            let place = lines[first].place as u64;
            Record { place, time: time.into(), stream: stream.into(), text: text.collect() }
        });
        blocks.push(Block { end: end as u64, records: records.collect() });
    }
    blocks
}

fn words(line: &str) -> Option<(&str, &str, bool, &str)> {
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    let &[time, stream, tags, content] = &words[..] else { return None };
    let open = tags == "P" || tags.starts_with("P:");
    matches!(stream, "stdout" | "stderr").then_some((time, stream, open, content))
}

kit::exercise!(Exercise: LogAgent);
