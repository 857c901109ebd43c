//! Passes: three passes over a part (lines, then the records of each stream by itself, then the places where nothing is open), requests as a
//! state of its own that owns its blocks, and files by log in a map of maps.

use kit::observability::LogAgent;
use kit::observability::logs::{
    Answer, Batch, Block, Config, Document, Entry, File, Lost, Part, Pod, Position, Record, Step, Value, object,
};
use std::collections::{BTreeMap, HashMap, VecDeque};

#[derive(Clone)]
struct Item {
    log: String,
    inode: u64,
    /// Which life of the file it was read in.
    life: u64,
    block: Block,
    base: u64,
}

enum Request {
    Idle,
    UnderWay(Vec<Item>),
    Waits(Vec<Item>, i64),
}

#[derive(Default)]
struct Seen {
    at: u64,
    size: u64,
    since: Option<i64>,
    life: u64,
}

struct Exercise {
    config: Config,
    seen: HashMap<(String, u64), Seen>,
    queue: VecDeque<Item>,
    request: Request,
    wait: i64,
    lives: u64,
}

impl LogAgent for Exercise {
    fn new(config: &Config) -> Self {
        let mut seen = HashMap::new();
        for position in &config.positions {
            let at = position.offset.unwrap_or_default();
            seen.insert((position.log.clone(), position.inode), Seen { at, size: at, ..Seen::default() });
        }
        Exercise {
            config: config.clone(),
            seen,
            queue: VecDeque::new(),
            request: Request::Idle,
            wait: config.retry_ms,
            lives: 1,
        }
    }

    fn cut(&mut self, part: &Part) -> Vec<Block> {
        self.blocks(&part.text, part.is_quiet)
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
        let mut by_log: BTreeMap<&str, BTreeMap<(bool, &str), &File>> = BTreeMap::new();
        for file in files {
            let place = (file.rotated.is_none(), file.rotated.as_deref().unwrap_or(""));
            by_log.entry(&file.log).or_default().insert(place, file);
        }
        let there =
            |log: &str, inode: u64| by_log.get(log).is_some_and(|files| files.values().any(|file| file.inode == inode));
        self.seen.retain(|(log, inode), seen| {
            if there(log, *inode) {
                return true;
            }
            step.store.push(Position { log: log.clone(), inode: *inode, offset: None });
            if seen.size > seen.at {
                step.lost.push(Lost { log: log.clone(), inode: *inode, bytes: seen.size - seen.at });
            }
            false
        });
        for file in files {
            let lives = &mut self.lives;
            let seen = self.seen.entry((file.log.clone(), file.inode)).or_default();
            if seen.life == 0 {
                *lives += 1;
                seen.life = *lives;
            }
            let size = file.text.len() as u64;
            if size < seen.size {
                if seen.size > seen.at {
                    step.lost.push(Lost { log: file.log.clone(), inode: file.inode, bytes: seen.size - seen.at });
                }
                step.store.push(Position { log: file.log.clone(), inode: file.inode, offset: Some(0) });
                *lives += 1;
                *seen = Seen { at: 0, size, since: Some(now_ms), life: *lives };
            } else if seen.since.is_none() || size > seen.size {
                seen.size = size;
                seen.since = Some(now_ms);
            }
        }
        'all: for files in by_log.values() {
            for file in files.values() {
                let key = (file.log.clone(), file.inode);
                let Seen { at, since, life, .. } = self.seen[&key];
                let quiet = since.is_some_and(|since| since + self.config.quiet_ms <= now_ms);
                let mut end = at;
                for block in self.blocks(&file.text[at as usize..], quiet) {
                    let held = self.held();
                    if held > 0 && held + block.records.len() > self.config.buffer {
                        self.seen.get_mut(&key).unwrap().at = end;
                        break 'all;
                    }
                    end = at + block.end;
                    self.queue.push_back(Item { log: key.0.clone(), inode: key.1, life, base: at, block });
                }
                self.seen.get_mut(&key).unwrap().at = end;
                if file.text[end as usize..].bytes().any(|byte| byte == b'\n') {
                    break;
                }
            }
        }
        step.send = match std::mem::replace(&mut self.request, Request::Idle) {
            Request::Idle => self.begin(),
            Request::Waits(items, until) if now_ms >= until => Some(self.ask(items)),
            other => {
                self.request = other;
                None
            }
        };
        step
    }

    fn answered(&mut self, answer: &Answer, now_ms: i64) -> Step {
        let mut step = Step::default();
        let Request::UnderWay(items) = std::mem::replace(&mut self.request, Request::Idle) else { return step };
        if let Answer::Failed = answer {
            self.request = Request::Waits(items, now_ms + self.wait.min(self.config.retry_max_ms));
            self.wait = (self.wait * 2).min(1 << 50);
            return step;
        }
        self.wait = self.config.retry_ms;
        for (index, item) in items.iter().enumerate() {
            let same = |other: &Item| other.log == item.log && other.inode == item.inode && other.life == item.life;
            let current = self.seen.get(&(item.log.clone(), item.inode)).is_some_and(|seen| seen.life == item.life);
            if current && !items[index + 1..].iter().any(same) {
                let offset = Some(item.base + item.block.end);
                step.store.push(Position { log: item.log.clone(), inode: item.inode, offset });
            }
        }
        step.send = self.begin();
        step
    }
}

impl Exercise {
    fn held(&self) -> usize {
        let under_way = match &self.request {
            Request::Idle => &[][..],
            Request::UnderWay(items) | Request::Waits(items, _) => items,
        };
        self.queue.iter().chain(under_way).map(|item| item.block.records.len()).sum()
    }

    fn ask(&mut self, items: Vec<Item>) -> Batch {
        let mut batch = Batch::new();
        for item in &items {
            for record in &item.block.records {
                let record = Record { place: item.base + record.place, ..record.clone() };
                batch.push(Entry { log: item.log.clone(), inode: item.inode, record });
            }
        }
        self.request = Request::UnderWay(items);
        batch
    }

    fn begin(&mut self) -> Option<Batch> {
        let mut items = vec![self.queue.pop_front()?];
        let mut records = items[0].block.records.len();
        while let Some(next) = self.queue.front() {
            records += next.block.records.len();
            if records > self.config.batch {
                break;
            }
            items.extend(self.queue.pop_front());
        }
        Some(self.ask(items))
    }

    fn blocks(&self, text: &str, quiet: bool) -> Vec<Block> {
        // Begin, end, stream, tag and content of each line.
        let mut lines = Vec::new();
        let mut begin = 0;
        while let Some(length) = text[begin..].find('\n') {
            lines.push((begin, begin + length + 1, &text[begin..begin + length]));
            begin += length + 1;
        }
        let continues =
            |content: &str| self.config.continuation.iter().any(|start| content.starts_with(start.as_str()));
        // Each record, where it ends, and whether it is complete.
        let mut records: Vec<(Record, u64, bool)> = Vec::new();
        for stream in ["stdout", "stderr"] {
            let mut current: Option<(Record, u64)> = None;
            let mut partial = false;
            for (begin, end, line) in &lines {
                let Some((time, of, tag, content)) = fields(line) else { continue };
                if of != stream {
                    continue;
                }
                let starts = !partial && !(current.is_some() && continues(content));
                if starts {
                    records.extend(current.take().map(|(record, end)| (record, end, true)));
                    let record =
                        Record { place: *begin as u64, time: time.into(), stream: of.into(), text: content.into() };
                    current = Some((record, *end as u64));
                } else if let Some((record, upto)) = &mut current {
                    if !partial {
                        record.text.push('\n');
                    }
                    record.text.push_str(content);
                    *upto = *end as u64;
                }
                partial = tag == "P" || tag.starts_with("P:");
            }
            let sure = quiet || self.config.continuation.is_empty() && !partial;
            records.extend(current.map(|(record, end)| (record, end, sure)));
        }
        for (begin, end, line) in &lines {
            if fields(line).is_none() {
                let record = Record { place: *begin as u64, text: line.to_string(), ..Record::default() };
                records.push((record, *end as u64, true));
            }
        }
        records.sort_by_key(|(record, ..)| record.place);
        // A place is free if every record ends before it or begins behind it.
        let free = |place: u64| records.iter().all(|(record, end, _)| *end <= place || record.place >= place);
        let mut blocks = Vec::new();
        let mut block = Vec::new();
        for (record, _, complete) in &records {
            if !block.is_empty() && free(record.place) {
                blocks.push(std::mem::take(&mut block));
            }
            if !complete {
                block.clear();
                break;
            }
            block.push(record.place);
        }
        if !block.is_empty() {
            blocks.push(block);
        }
        let whole = |places: Vec<u64>| {
            let of: Vec<_> = records.iter().filter(|(record, ..)| places.contains(&record.place)).collect();
            let end = of.iter().map(|(_, end, _)| *end).max().unwrap_or_default();
            Block { end, records: of.into_iter().map(|(record, ..)| record.clone()).collect() }
        };
        blocks.into_iter().map(whole).collect()
    }
}

fn fields(line: &str) -> Option<(&str, &str, &str, &str)> {
    let (time, rest) = line.split_once(' ')?;
    let (stream, rest) = rest.split_once(' ')?;
    let (tag, content) = rest.split_once(' ')?;
    (stream == "stdout" || stream == "stderr").then_some((time, stream, tag, content))
}

kit::exercise!(Exercise: LogAgent);
