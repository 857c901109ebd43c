//! Passes: a record is a list of spans of the part, and its text is only put together in the end; where a block ends is read off the greatest end so far.
//! Each log is a shelf of its files, and blocks that are held point to a slot in which their file's name may be struck out.

use kit::observability::LogAgent;
use kit::observability::logs::{
    Answer, Batch, Block, Config, Document, Entry, File, Lost, Part, Pod, Position, Record, Step, Value, object,
};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// What was read of one file, until it is truncated or gone; then another cursor follows, if any.
struct Cursor {
    log: String,
    inode: u64,
    at: usize,
    length: usize,
    /// None before the first look.
    still_since: Option<i64>,
    is_over: bool,
}

#[derive(Clone, Copy)]
enum Link {
    Free,
    Asked(usize),
    Resting(usize, i64),
}

struct Exercise {
    config: Config,
    /// Never removed from, so that a number is a name for ever.
    cursors: Vec<Cursor>,
    held: VecDeque<(usize, Block)>,
    link: Link,
    pause_ms: i64,
}

impl LogAgent for Exercise {
    fn new(config: &Config) -> Self {
        let cursors = config.positions.iter().map(|Position { log, inode, offset }| {
            let at = offset.unwrap_or(0) as usize;
            Cursor { log: log.clone(), inode: *inode, at, length: at, still_since: None, is_over: false }
        });
        Exercise {
            cursors: cursors.collect(),
            config: config.clone(),
            held: VecDeque::new(),
            link: Link::Free,
            pause_ms: config.retry_ms,
        }
    }

    fn cut(&mut self, part: &Part) -> Vec<Block> {
        let drafts = drafts(&part.text, &self.config.continuation);
        let safe = |draft: &Draft| part.is_quiet || draft.is_over || self.config.continuation.is_empty() && !draft.open;
        // Where it goes on behind each record, and whether all up to it are complete.
        let so_far = drafts.iter().scan((0, true), |(end, all_safe), draft| {
            *end = draft.end().max(*end);
            *all_safe &= safe(draft);
            Some((*end, *all_safe))
        });
        let so_far: Vec<(usize, bool)> = so_far.collect();
        let mut blocks = Vec::new();
        let mut first = 0;
        for (index, &(end, all_safe)) in so_far.iter().enumerate() {
            let next_begins = drafts.get(index + 1).map_or(usize::MAX, |next| next.whole.start);
            if next_begins < end {
                continue;
            }
            if !all_safe {
                break;
            }
            let records = drafts[first..=index].iter().map(|draft| draft.record(&part.text)).collect();
            blocks.push(Block { end: end as u64, records });
            first = index + 1;
        }
        blocks
    }

    fn document(&mut self, entry: &Entry, pods: &[Pod]) -> Document {
        let Entry { log, inode, record } = entry;
        let path = log.strip_prefix("/var/log/pods/").unwrap_or(log);
        let (folder, file) = path.split_once('/').unwrap_or((path, ""));
        let (namespace, name) = folder.split_once('_').unwrap_or((folder, ""));
        let (name, uid) = name.split_once('_').unwrap_or((name, ""));
        let container = file.split('/').next().unwrap_or("");
        let pod = pods.iter().filter(|pod| pod.uid == uid).find(|pod| pod.namespace == namespace && pod.name == name);
        let pod = pod.cloned().unwrap_or_default();
        let fields = object(&record.text).unwrap_or_default();
        let trace_id = match fields.get("trace_id") {
            Some(Value::String(id)) if is_trace(id) => Some(id.clone()),
            _ => None,
        };
        Document {
            id: format!("{uid}/{container}/{inode}/{}/{}", record.place, record.time),
            time: record.time.clone(),
            stream: record.stream.clone(),
            log: record.text.clone(),
            fields,
            trace_id,
            namespace: namespace.into(),
            pod: name.into(),
            uid: uid.into(),
            container: container.into(),
            host: pod.node,
            labels: pod.labels,
        }
    }

    fn look(&mut self, files: &[File], now_ms: i64) -> Step {
        let mut step = Step::default();
        for cursor in self.cursors.iter_mut().filter(|cursor| !cursor.is_over) {
            if !files.iter().any(|file| (&file.log, file.inode) == (&cursor.log, cursor.inode)) {
                end(cursor, None, &mut step);
            }
        }
        let mut shelves: BTreeMap<&str, Vec<(&File, usize)>> = BTreeMap::new();
        for file in files {
            let length = file.text.len();
            let is_it = |cursor: &Cursor| !cursor.is_over && cursor.inode == file.inode && cursor.log == file.log;
            let mut known = self.cursors.iter().position(is_it);
            if let Some(number) = known.filter(|number| length < self.cursors[*number].length) {
                end(&mut self.cursors[number], Some(0), &mut step);
                known = None;
            }
            let number = known.unwrap_or_else(|| {
                let (log, inode) = (file.log.clone(), file.inode);
                self.cursors.push(Cursor { log, inode, at: 0, length, still_since: None, is_over: false });
                self.cursors.len() - 1
            });
            let cursor = &mut self.cursors[number];
            if cursor.length != length || cursor.still_since.is_none() {
                (cursor.length, cursor.still_since) = (length, Some(now_ms));
            }
            shelves.entry(&file.log).or_default().push((file, number));
        }
        self.read(shelves, now_ms);
        step.send = match self.link {
            Link::Free => self.ask(),
            Link::Resting(count, until) if until <= now_ms => Some(self.ask_for(count)),
            Link::Asked(_) | Link::Resting(..) => None,
        };
        step
    }

    fn answered(&mut self, answer: &Answer, now_ms: i64) -> Step {
        let Link::Asked(count) = self.link else { return Step::default() };
        if *answer == Answer::Failed {
            self.link = Link::Resting(count, now_ms + self.pause_ms.min(self.config.retry_max_ms));
            self.pause_ms = self.pause_ms.saturating_mul(2);
            return Step::default();
        }
        (self.link, self.pause_ms) = (Link::Free, self.config.retry_ms);
        let ends: BTreeMap<usize, u64> = self.held.drain(..count).map(|(number, block)| (number, block.end)).collect();
        let store = ends.into_iter().map(|(number, end)| (&self.cursors[number], end));
        let store = store.filter(|(cursor, _)| !cursor.is_over).map(|(cursor, end)| place(cursor, Some(end)));
        Step { store: store.collect(), send: self.ask(), ..Step::default() }
    }
}

fn place(cursor: &Cursor, offset: Option<u64>) -> Position {
    Position { log: cursor.log.clone(), inode: cursor.inode, offset }
}

fn end(cursor: &mut Cursor, offset: Option<u64>, step: &mut Step) {
    cursor.is_over = true;
    step.store.push(place(cursor, offset));
    let bytes = (cursor.length - cursor.at) as u64;
    let lost = Lost { log: cursor.log.clone(), inode: cursor.inode, bytes };
    step.lost.extend((bytes > 0).then_some(lost));
}

fn is_trace(id: &str) -> bool {
    let small = |digit: char| matches!(digit, '0'..='9' | 'a'..='f');
    id.chars().count() == 32 && id.chars().all(small) && id.chars().any(|digit| digit != '0')
}

impl Exercise {
    fn read(&mut self, shelves: BTreeMap<&str, Vec<(&File, usize)>>, now_ms: i64) {
        for mut shelf in shelves.into_values() {
            shelf.sort_by(|(one, _), (other, _)| match (&one.rotated, &other.rotated) {
                (Some(one), Some(other)) => one.cmp(other),
                (one, other) => other.is_some().cmp(&one.is_some()),
            });
            for (file, number) in shelf {
                let Cursor { at, still_since, .. } = self.cursors[number];
                let is_quiet = now_ms - still_since.unwrap_or(now_ms) >= self.config.quiet_ms;
                let text = file.text[at..].to_string();
                for mut block in self.cut(&Part { text, is_quiet }) {
                    let held: usize = self.held.iter().map(|(_, block)| block.records.len()).sum();
                    if held > 0 && held + block.records.len() > self.config.buffer {
                        return;
                    }
                    block.end += at as u64;
                    block.records.iter_mut().for_each(|record| record.place += at as u64);
                    self.cursors[number].at = block.end as usize;
                    self.held.push_back((number, block));
                }
                if file.text[self.cursors[number].at..].contains('\n') {
                    break;
                }
            }
        }
    }

    fn ask(&mut self) -> Option<Batch> {
        let mut records = 0;
        let fits = self.held.iter().map_while(|(_, block)| {
            records += block.records.len();
            (records <= self.config.batch).then_some(())
        });
        let count = fits.count().max(1);
        (matches!(self.link, Link::Free) && !self.held.is_empty()).then(|| self.ask_for(count))
    }

    fn ask_for(&mut self, count: usize) -> Batch {
        self.link = Link::Asked(count);
        let mut batch = Batch::new();
        for (number, block) in self.held.iter().take(count) {
            let Cursor { log, inode, .. } = &self.cursors[*number];
            batch.extend(block.records.iter().map(|record| Entry {
                log: log.clone(),
                inode: *inode,
                record: record.clone(),
            }));
        }
        batch
    }
}

/// A record as spans of the text, with what stands before each.
struct Draft {
    whole: Range<usize>,
    time: Range<usize>,
    stream: &'static str,
    spans: Vec<(&'static str, Range<usize>)>,
    open: bool,
    is_over: bool,
}

impl Draft {
    fn end(&self) -> usize {
        self.whole.end
    }
    fn record(&self, text: &str) -> Record {
        let said: Vec<&str> = self.spans.iter().flat_map(|(before, span)| [*before, &text[span.clone()]]).collect();
        Record {
            place: self.whole.start as u64,
            time: text[self.time.clone()].into(),
            stream: self.stream.into(),
            text: said.concat(),
        }
    }
}

fn drafts(text: &str, continuation: &[String]) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut begin = 0;
    for (end, _) in text.match_indices('\n') {
        let line = begin..end;
        begin = end + 1;
        let blanks: Vec<usize> = text[line.clone()].match_indices(' ').take(3).map(|(at, _)| line.start + at).collect();
        let form = match blanks[..] {
            [one, two, three] => match &text[one + 1..two] {
                "stdout" => Some(("stdout", one, two + 1..three, three + 1..end)),
                "stderr" => Some(("stderr", one, two + 1..three, three + 1..end)),
                _ => None,
            },
            _ => None,
        };
        let whole = line.start..end + 1;
        let Some((stream, time, tags, content)) = form else {
            let time = line.start..line.start;
            drafts.push(Draft { whole, time, stream: "", spans: vec![("", line)], open: false, is_over: true });
            continue;
        };
        let open = text[tags].split(':').next() == Some("P");
        let goes_on = continuation.iter().any(|start| text[content.clone()].starts_with(&start[..]));
        match drafts.iter_mut().rfind(|draft| draft.stream == stream) {
            Some(draft) if draft.open || goes_on => {
                draft.spans.push((if draft.open { "" } else { "\n" }, content));
                (draft.whole.end, draft.open) = (end + 1, open);
            }
            before => {
                before.into_iter().for_each(|before| before.is_over = true);
                let time = line.start..time;
                drafts.push(Draft { whole, time, stream, spans: vec![("", content)], open, is_over: false });
            }
        }
    }
    drafts
}

kit::exercise!(Exercise: LogAgent);
