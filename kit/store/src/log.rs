//! The log in front of the store on disk: what is to be safe at once is appended to it, and comes into the database with
//! much else.
//!
//! A commit of the database changes pages in many places. An append to a file whose blocks are there already is one write
//! and one sync, which is why etcd has a log in front of its database as well (`server/storage/wal`). The log begins anew,
//! at the beginning of its file, each time that the database has taken over all of it; a number in every record, and in the
//! database, tells the records of now from those of before. A record that the disk did not get as a whole was never
//! answered, and nothing after it was.

use crate::api::KeyValue;
use crate::disk::Row;
use crate::state::Version;
use redb::StorageBackend;
use std::io::Result;

/// How large the file is, in bytes.
const SIZE: usize = 8 << 20;
/// Before the rows of a record: their length, a check of all that follows, and the number of the log's beginning.
const HEAD: usize = 4 + 4 + 8;

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
    file: Box<dyn StorageBackend>,
    /// Which beginning of the log its records belong to.
    turn: u64,
    /// Where the next record goes.
    end: usize,
    /// A record as it is written.
    record: Vec<u8>,
}

impl Log {
    /// Takes a file as it is, and answers the rows that are in it and in no database yet: one whose last change began
    /// the log for this `turn`.
    pub fn open(file: Box<dyn StorageBackend>, turn: u64) -> Result<(Log, Vec<Row>)> {
        let there = usize::try_from(file.len()?).unwrap_or(usize::MAX).min(SIZE);
        let mut text = vec![0; there];
        file.read(0, &mut text)?;
        let (mut end, mut rows) = (0, Vec::new());
        while let Some((length, found)) = record(&text[end..], turn) {
            rows.extend(found);
            end += length;
        }
        if there < SIZE {
            // Later appends find their blocks there, and have no others to ask for.
            file.set_len(SIZE as u64)?;
            file.write(there as u64, &vec![0; SIZE - there])?;
            file.sync_data()?;
        }
        Ok((Log { file, turn, end, record: Vec::new() }, rows))
    }

    /// The number of the log's next beginning.
    pub fn next_turn(&self) -> u64 {
        self.turn + 1
    }

    /// Begins anew: all that is in it is in the database, together with the number of this beginning.
    pub fn begin(&mut self) {
        self.turn += 1;
        self.end = 0;
    }

    /// Appends rows and waits for the disk; `false` if there is no room for them.
    pub fn append(&mut self, rows: &[Row]) -> Result<bool> {
        let record = &mut self.record;
        record.clear();
        record.extend([0; HEAD]);
        rows.iter().for_each(|row| write(row, record));
        let Ok(length) = u32::try_from(record.len() - HEAD) else { return Ok(false) };
        if self.end + record.len() > SIZE {
            return Ok(false);
        }
        record[..4].copy_from_slice(&length.to_le_bytes());
        record[8..HEAD].copy_from_slice(&self.turn.to_le_bytes());
        let check = check(length, &record[8..]);
        record[4..8].copy_from_slice(&check.to_le_bytes());
        self.file.write(self.end as u64, record)?;
        self.file.sync_data()?;
        self.end += record.len();
        Ok(true)
    }
}

/// The record at the beginning of a text, and its length; none if there is none, or one of another turn.
fn record(text: &[u8], turn: u64) -> Option<(usize, Vec<Row>)> {
    let mut head = Reader(text.get(..HEAD)?);
    let (length, checked, of) = (head.u32()?, head.u32()?, head.u64()?);
    let end = HEAD.checked_add(usize::try_from(length).ok()?)?;
    let rest = text.get(8..end)?;
    if of != turn || length == 0 || check(length, rest) != checked {
        return None;
    }
    let mut reader = Reader(&rest[8..]);
    let mut rows = Vec::new();
    while !reader.0.is_empty() {
        rows.push(read(&mut reader)?);
    }
    Some((end, rows))
}

/// CRC-32C, bit by bit from a table, of a length and what follows it.
fn check(length: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let (mut value, mut bit) = (at as u32, 0);
            while bit < 8 {
                value = if value & 1 == 1 { (value >> 1) ^ 0x82f6_3b78 } else { value >> 1 };
                bit += 1;
            }
            table[at] = value;
            at += 1;
        }
        table
    };
    let step = |crc: u32, byte: &u8| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8);
    !bytes.iter().fold(length.to_le_bytes().iter().fold(!0, step), step)
}

fn write(row: &Row, to: &mut Vec<u8>) {
    let number = |to: &mut Vec<u8>, number: i64| to.extend(number.to_le_bytes());
    let text = |to: &mut Vec<u8>, text: &[u8]| {
        to.extend((text.len() as u64).to_le_bytes());
        to.extend_from_slice(text);
    };
    match row {
        Row::Version(Version { sub, kv }) => {
            to.push(1);
            let KeyValue { key, value, create_revision, mod_revision, version, lease } = kv;
            [sub, create_revision, mod_revision, version, lease].into_iter().for_each(|at| number(to, *at));
            text(to, key);
            text(to, value);
        }
        Row::Lease { id, ttl } => {
            to.push(2);
            number(to, *id);
            number(to, *ttl);
        }
        Row::LeaseEnds(id) => {
            to.push(3);
            number(to, *id);
        }
        Row::Compaction(revision, gone) => {
            to.push(4);
            number(to, *revision);
            number(to, gone.len() as i64);
            for (revision, sub) in gone {
                number(to, *revision);
                number(to, *sub);
            }
        }
    }
}

fn read(from: &mut Reader<'_>) -> Option<Row> {
    Some(match from.take(1)?[0] {
        1 => {
            let sub = from.i64()?;
            let (create_revision, mod_revision, version, lease) = (from.i64()?, from.i64()?, from.i64()?, from.i64()?);
            let (key, value) = (from.text()?.into(), from.text()?.into());
            Row::Version(Version { sub, kv: KeyValue { key, value, create_revision, mod_revision, version, lease } })
        }
        2 => Row::Lease { id: from.i64()?, ttl: from.i64()? },
        3 => Row::LeaseEnds(from.i64()?),
        4 => {
            let (revision, count) = (from.i64()?, from.i64()?);
            let gone = (0..count).map(|_| Some((from.i64()?, from.i64()?)));
            Row::Compaction(revision, gone.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.u64().map(|number| number as i64)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.u64()?;
        self.take(usize::try_from(length).ok()?)
    }
}

/// The log as a file beside the database; another process that has it open can't be, since the database is locked.
#[derive(Debug)]
pub(crate) struct Plain(std::fs::File);

impl Plain {
    pub fn open(path: &std::path::Path) -> Result<Plain> {
        let file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        // So that its name is there after a crash, too.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        std::fs::File::open(folder.unwrap_or(std::path::Path::new(".")))?.sync_all()?;
        Ok(Plain(file))
    }
}

impl StorageBackend for Plain {
    fn len(&self) -> Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        use std::os::unix::fs::FileExt;
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        use std::os::unix::fs::FileExt;
        self.0.write_all_at(data, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_is_crc_32c() {
        // RFC 3720, B.4: 32 bytes of zeros; here the length is four of them.
        assert_eq!(check(0, &[0; 28]), 0x8a91_36aa);
    }
}
