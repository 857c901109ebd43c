//! How files, blocks and documents look to people.

use super::{Answer, Block, Config, Document, Entry, File, Lost, Part, Pod, Position, Record, Step};
use crate::show::unordered;
use crate::{Show, flow};

/// `shop_web-1_u1/app/0.log`, and which file of that name.
fn named(log: &str, inode: u64) -> String {
    format!("{} (inode {inode})", log.strip_prefix("/var/log/pods/").unwrap_or(log))
}

fn record(record: &Record) -> String {
    let head = [&record.time, &record.stream].map(String::as_str);
    let head = head.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    format!("at {} {} {:?}", record.place, if head.is_empty() { "another form" } else { &head }, record.text)
}

/// The lines of a file, as they are.
fn text(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split_inclusive('\n').map(|line| match line.strip_suffix('\n') {
        Some(line) => format!("  | {line}"),
        None => format!("  | {line}⋯ no line end"),
    })
}

impl Show for Part {
    fn lines(&self) -> Vec<String> {
        let head = if self.is_quiet { "quiet" } else { "may go on" };
        std::iter::once(format!("{head}, {} bytes", self.text.len())).chain(text(&self.text)).collect()
    }
}

impl Show for Config {
    fn lines(&self) -> Vec<String> {
        let Config { buffer, batch, quiet_ms, retry_ms, retry_max_ms, .. } = self;
        let mut lines = vec![format!(
            "buffer {buffer}, batch {batch}, quiet after {quiet_ms} ms, retry after {retry_ms} to {retry_max_ms} ms"
        )];
        if !self.continuation.is_empty() {
            lines.push(format!("lines that go on a record begin with {}", flow(&self.continuation)));
        }
        lines.extend(stored(&self.positions));
        lines
    }
}

fn stored(positions: &[Position]) -> Vec<String> {
    let mut positions: Vec<&Position> = positions.iter().collect();
    positions.sort();
    let line = |position: &Position| {
        let file = named(&position.log, position.inode);
        position.offset.map_or(format!("forgets {file}"), |offset| format!("stored {offset} of {file}"))
    };
    positions.into_iter().map(line).collect()
}

impl Show for File {
    fn lines(&self) -> Vec<String> {
        let rotated = self.rotated.as_ref().map_or(String::new(), |time| format!(", rotated {time}"));
        let head = format!("{}{rotated}, {} bytes", named(&self.log, self.inode), self.text.len());
        std::iter::once(head).chain(text(&self.text)).collect()
    }
}

impl Show for Block {
    fn lines(&self) -> Vec<String> {
        let records = self.records.iter().map(|one| format!("  {}", record(one)));
        std::iter::once(format!("block up to {}", self.end)).chain(records).collect()
    }
}

impl Show for Entry {
    fn lines(&self) -> Vec<String> {
        vec![format!("{} {}", named(&self.log, self.inode), record(&self.record))]
    }
}

impl Show for Step {
    fn lines(&self) -> Vec<String> {
        let mut lost: Vec<&Lost> = self.lost.iter().collect();
        lost.sort();
        let lost =
            lost.into_iter().map(|lost| format!("lost {} bytes of {}", lost.bytes, named(&lost.log, lost.inode)));
        let mut lines: Vec<String> = lost.chain(stored(&self.store)).collect();
        match &self.send {
            None => lines.push("sends nothing".into()),
            Some(batch) => {
                lines.push(format!("sends {}", batch.len()));
                let mut of = String::new();
                for entry in batch {
                    let file = named(&entry.log, entry.inode);
                    if file != of {
                        lines.push(format!("  {file}"));
                        of = file;
                    }
                    lines.push(format!("    {}", record(&entry.record)));
                }
            }
        }
        lines
    }
    fn meaning(&self) -> String {
        format!("{} {} {}", unordered(&self.lost), unordered(&self.store), unordered([&self.send]))
    }
}

impl Show for Answer {
    fn lines(&self) -> Vec<String> {
        vec![format!("{self:?}")]
    }
}

impl Show for Pod {
    fn lines(&self) -> Vec<String> {
        let Pod { namespace, name, uid, node, labels } = self;
        vec![format!("{namespace}/{name}, uid {uid}, on {node}, labels {}", flow(labels))]
    }
}

impl Show for Document {
    fn lines(&self) -> Vec<String> {
        let source = self.source();
        let fields = source.iter().map(|(name, value)| format!("{name}: {}", flow(value)));
        std::iter::once(format!("_id: {}", self.id)).chain(fields).collect()
    }
}
