//! The reference for `observability/logs`.

// ANCHOR: solution
use kit::observability::LogAgent;
use kit::observability::logs::{
    Answer, Batch, Block, Config, Document, Entry, File, Lost, Part, Pod, Position, Record, Step, object,
};
use std::collections::{BTreeMap, VecDeque};

/// The name of a file and its inode: by both it is known.
type Known = (String, u64);

/// How far a file was read, how long it was at the last look, and since when.
#[derive(Default)]
struct Tail {
    at: u64,
    size: u64,
    changed_ms: i64,
}

/// A block that was read and not accepted yet; what was forgotten or truncated since stores no `end`.
struct Held {
    file: Known,
    end: Option<u64>,
    entries: Vec<Entry>,
}

/// What the agent remembers between two looks.
pub struct Exercise {
    config: Config,
    tails: BTreeMap<Known, Tail>,
    held: VecDeque<Held>,
    /// How many blocks the last request has, until it is accepted.
    sent: usize,
    /// When it is sent again if it failed, and how long it waits after the next failure.
    again_ms: Option<i64>,
    wait_ms: i64,
}

impl LogAgent for Exercise {
    fn new(config: &Config) -> Self {
        let tail = |position: &Position| {
            let at = position.offset?;
            Some(((position.log.clone(), position.inode), Tail { at, size: at, ..Tail::default() }))
        };
        Exercise {
            tails: config.positions.iter().filter_map(tail).collect(),
            config: config.clone(),
            held: VecDeque::new(),
            sent: 0,
            again_ms: None,
            wait_ms: config.retry_ms,
        }
    }

    fn cut(&mut self, part: &Part) -> Vec<Block> {
        blocks(records(&part.text, &self.config.continuation), part.is_quiet)
    }

    fn document(&mut self, entry: &Entry, pods: &[Pod]) -> Document {
        let mut folders = entry.log.rsplit('/').skip(1);
        let (container, pod) = (folders.next().unwrap_or_default(), folders.next().unwrap_or_default());
        let mut names = pod.split('_').map(str::to_string);
        let [namespace, pod, uid] = std::array::from_fn(|_| names.next().unwrap_or_default());
        let known = pods.iter().find(|known| known.uid == uid && known.name == pod && known.namespace == namespace);
        let fields = object(&entry.record.text).unwrap_or_default();
        let is_trace = |id: &&str| {
            let digits = id.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit));
            id.len() == 32 && digits && id.bytes().any(|digit| digit != b'0')
        };
        let trace_id = fields.get("trace_id").and_then(|id| id.as_str()).filter(is_trace).map(str::to_string);
        Document {
            id: format!("{uid}/{container}/{}/{}/{}", entry.inode, entry.record.place, entry.record.time),
            time: entry.record.time.clone(),
            stream: entry.record.stream.clone(),
            log: entry.record.text.clone(),
            fields,
            trace_id,
            namespace,
            pod,
            uid,
            container: container.into(),
            host: known.map_or(String::new(), |pod| pod.node.clone()),
            labels: known.map_or(BTreeMap::new(), |pod| pod.labels.clone()),
        }
    }

    fn look(&mut self, files: &[File], now_ms: i64) -> Step {
        let mut step = Step::default();
        self.forget(files, &mut step);
        for file in files {
            self.notice(file, now_ms, &mut step);
        }
        self.read(files, now_ms);
        step.send = match self.again_ms {
            Some(again) if now_ms < again => None,
            Some(_) => {
                self.again_ms = None;
                Some(self.under_way())
            }
            None => self.next(),
        };
        step
    }

    fn answered(&mut self, answer: &Answer, now_ms: i64) -> Step {
        let mut step = Step::default();
        if *answer == Answer::Failed {
            let wait = self.wait_ms.min(self.config.retry_max_ms);
            self.again_ms = Some(now_ms + wait);
            self.wait_ms = wait.saturating_mul(2);
            return step;
        }
        let mut ends = BTreeMap::new();
        for held in self.held.drain(..self.sent) {
            if held.end.is_some() {
                ends.insert(held.file, held.end);
            }
        }
        step.store = ends.into_iter().map(|((log, inode), offset)| Position { log, inode, offset }).collect();
        self.sent = 0;
        self.wait_ms = self.config.retry_ms;
        step.send = self.next();
        step
    }
}

impl Exercise {
    /// Forgets the files that aren't there any more.
    fn forget(&mut self, files: &[File], step: &mut Step) {
        let is_there = |known: &Known| files.iter().any(|file| file.log == known.0 && file.inode == known.1);
        let gone: Vec<Known> = self.tails.keys().filter(|known| !is_there(known)).cloned().collect();
        for file in gone {
            let Some(tail) = self.tails.remove(&file) else { continue };
            self.give_up(&file, tail.size - tail.at, None, step);
        }
    }

    /// Takes note of how long a file is now.
    fn notice(&mut self, file: &File, now_ms: i64, step: &mut Step) {
        let known = (file.log.clone(), file.inode);
        let tail = self.tails.entry(known.clone()).or_default();
        let (size, before) = (file.text.len() as u64, tail.size);
        if size != before {
            (tail.size, tail.changed_ms) = (size, now_ms);
        }
        if size < before {
            let unread = before - std::mem::take(&mut tail.at);
            self.give_up(&known, unread, Some(0), step);
        }
    }

    /// What of a file hadn't been read can't be read any more; what was read stores no place in it.
    fn give_up(&mut self, file: &Known, bytes: u64, offset: Option<u64>, step: &mut Step) {
        let (log, inode) = file.clone();
        step.store.push(Position { log: log.clone(), inode, offset });
        if bytes > 0 {
            step.lost.push(Lost { log, inode, bytes });
        }
        self.held.iter_mut().filter(|held| held.file == *file).for_each(|held| held.end = None);
    }

    /// Reads what is new, as far as there is room.
    fn read(&mut self, files: &[File], now_ms: i64) {
        let mut files: Vec<&File> = files.iter().collect();
        files.sort_by_key(|file| (&file.log, file.rotated.is_none(), &file.rotated));
        let mut unfinished: Option<&str> = None;
        for file in files {
            if unfinished == Some(&file.log) {
                continue;
            }
            let known = (file.log.clone(), file.inode);
            let Some(tail) = self.tails.get_mut(&known) else { continue };
            let begin = tail.at;
            let rest = |at: u64| file.text.get(at as usize..).unwrap_or_default();
            let is_quiet = now_ms - tail.changed_ms >= self.config.quiet_ms;
            for block in blocks(records(rest(begin), &self.config.continuation), is_quiet) {
                let room = self.config.buffer.saturating_sub(self.held.iter().map(|held| held.entries.len()).sum());
                if block.records.len() > room && !self.held.is_empty() {
                    return;
                }
                let entry = |record: Record| Entry {
                    log: file.log.clone(),
                    inode: file.inode,
                    record: Record { place: begin + record.place, ..record },
                };
                tail.at = begin + block.end;
                let entries = block.records.into_iter().map(entry).collect();
                self.held.push_back(Held { file: known.clone(), end: Some(tail.at), entries });
            }
            if rest(tail.at).contains('\n') {
                unfinished = Some(&file.log);
            }
        }
    }

    /// The next request, if there is anything to send and nothing under way.
    fn next(&mut self) -> Option<Batch> {
        if self.sent > 0 || self.held.is_empty() {
            return None;
        }
        let mut records = 0;
        let fits = self.held.iter().take_while(|held| {
            records += held.entries.len();
            records <= self.config.batch
        });
        self.sent = fits.count().max(1);
        Some(self.under_way())
    }

    fn under_way(&self) -> Batch {
        self.held.iter().take(self.sent).flat_map(|held| held.entries.clone()).collect()
    }
}

/// A record, and how far it is known.
struct Found {
    record: Record,
    end: u64,
    /// Whether its last line goes on in a further piece.
    open: bool,
    complete: bool,
}

/// All records of a text, in the order in which they begin.
fn records(text: &str, continuation: &[String]) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    // The record at which each stream is.
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    let mut place = 0;
    for line in text.split_inclusive('\n') {
        let Some(content) = line.strip_suffix('\n') else { break };
        let (begin, end) = (place, place + line.len() as u64);
        place = end;
        let Some((time, stream, open, content)) = parse(content) else {
            let record = Record { place: begin, text: content.into(), ..Record::default() };
            all.push(Found { record, end, open: false, complete: true });
            continue;
        };
        if let Some(found) = last.get(stream).and_then(|index| all.get_mut(*index)) {
            let joins = continuation.iter().any(|begin| content.starts_with(begin));
            if found.open || joins {
                found.record.text += if found.open { "" } else { "\n" };
                found.record.text += content;
                (found.end, found.open) = (end, open);
                found.complete = continuation.is_empty() && !open;
                continue;
            }
            found.complete = true;
        }
        last.insert(stream, all.len());
        let record = Record { place: begin, time: time.into(), stream: stream.into(), text: content.into() };
        all.push(Found { record, end, open, complete: continuation.is_empty() && !open });
    }
    all
}

/// Time, stream, whether it goes on, and content of a line.
fn parse(line: &str) -> Option<(&str, &str, bool, &str)> {
    let mut words = line.splitn(4, ' ');
    let (time, stream, tags, content) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let known = ["stdout", "stderr"].contains(&stream);
    known.then_some((time, stream, tags.split(':').next() == Some("P"), content))
}

/// Those blocks before which, and in which, nothing is incomplete.
fn blocks(records: Vec<Found>, is_quiet: bool) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for Found { record, end, complete, .. } in records {
        match blocks.last_mut() {
            Some(block) if record.place < block.end => {
                block.end = block.end.max(end);
                block.records.push(record);
            }
            _ => blocks.push(Block { end, records: vec![record] }),
        }
        if !complete && !is_quiet {
            blocks.pop();
            break;
        }
    }
    blocks
}
// ANCHOR_END: solution
