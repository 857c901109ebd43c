//! One instance of a database: its log, and what its manager makes of the orders that it hears.

use crate::kubelet::processes::Process;
use kit_client::database::{Report, State};
use kit_client::disk::{Disk, Disks};
use serde_json::Value;
use std::collections::VecDeque;

/// How long a replica believes in a primary that it doesn't hear any more, and a client waits for an answer, in seconds: CloudNativePG's
/// default of `wal_receiver_timeout`.
pub const TIMEOUT: u32 = 5;
/// How far back one can lag.
const MOST_LAG: usize = 600;

/// One record of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The timeline on which it was written.
    pub timeline: u32,
    /// The row that it adds; none for the beginning of a timeline.
    pub row: Option<u64>,
}

impl Entry {
    fn to_record(self) -> String {
        format!("{} {}", self.timeline, self.row.map_or("-".into(), |row| row.to_string()))
    }

    fn of_record(record: &str) -> Option<Entry> {
        let (timeline, row) = record.split_once(' ')?;
        Some(Entry { timeline: timeline.parse().ok()?, row: row.parse().ok() })
    }
}

/// What the manager of an instance has read last in the object of its database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orders {
    pub current: Option<String>,
    /// Who should be the primary; none while a failover waits.
    pub target: Option<String>,
    /// How many replicas must have flushed a commit.
    pub synchronous: usize,
    pub isolation_seconds: Option<u32>,
    /// Whether clients hear of a commit before it is on the disk (`synchronous_commit = off`).
    pub acknowledges_early: bool,
}

impl Orders {
    /// As the object says.
    pub fn read(object: &Value) -> Orders {
        let (spec, status) = (&object["spec"], &object["status"]);
        let name = |value: &Value| value.as_str().filter(|name| !name.is_empty()).map(str::to_string);
        Orders {
            current: name(&status["currentPrimary"]),
            target: name(&status["targetPrimary"]).filter(|target| target != "pending"),
            synchronous: spec["synchronous"].as_u64().unwrap_or(0) as usize,
            isolation_seconds: spec["isolationSeconds"].as_u64().map(|seconds| seconds as u32),
            acknowledges_early: spec["synchronousCommit"] == "off",
        }
    }
}

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its pod's uid.
    pub uid: String,
    pub node: String,
    /// For how many seconds it wasn't heard.
    pub silent: u32,
}

impl Peer {
    /// Nothing came in this second: what is left of the connection. If the other node can be `reached` it says that nobody is there;
    /// if not, one waits for some time.
    pub fn unheard(self, reached: bool) -> Option<Peer> {
        (!reached && self.silent + 1 < TIMEOUT).then(|| Peer { silent: self.silent + 1, ..self })
    }
}

/// One instance that runs.
#[derive(Debug, Clone)]
pub struct Instance {
    pub process: Process,
    /// Its namespace, and the name of its database.
    pub database: (String, String),
    pub disk: String,
    pub state: State,
    pub orders: Orders,
    /// What is on its disk, safe or not.
    pub log: Vec<Entry>,
    /// How long the safe part of it was at the end of the last seconds, the newest first.
    pub past: VecDeque<usize>,
    /// Whom it receives from.
    pub source: Option<Peer>,
    /// For how many seconds it hears nobody.
    pub alone: u32,
}

impl Instance {
    /// A process that has just begun, with what its disk has.
    pub fn begin(process: &Process, database: (String, String), disk: String, disks: &mut Disks) -> Instance {
        let log = disks.get(&disk).records().iter().filter_map(|record| Entry::of_record(record)).collect();
        Instance {
            process: process.clone(),
            database,
            disk,
            state: State::Stopped,
            orders: Orders::default(),
            log,
            past: VecDeque::new(),
            source: None,
            alone: 0,
        }
    }

    /// The name of its pod.
    pub fn name(&self) -> &str {
        &self.process.pod.name
    }

    /// The timeline of its last record; 0 for an empty log.
    pub fn timeline(&self) -> u32 {
        self.log.last().map_or(0, |entry| entry.timeline)
    }

    /// Writes a record, and makes it safe unless it may be lost.
    pub fn write(&mut self, row: Option<u64>, timeline: u32, disks: &mut Disks) {
        let entry = Entry { timeline, row };
        self.log.push(entry);
        let disk = disks.get(&self.disk);
        disk.append(entry.to_record());
        if !self.orders.acknowledges_early {
            disk.sync();
        }
    }

    /// Becomes the primary, on a new timeline unless it was the last one who was it.
    pub fn promote(&mut self, disks: &mut Disks) {
        if self.log.is_empty() || self.orders.current.as_deref() != Some(self.name()) {
            self.write(None, self.timeline() + 1, disks);
            disks.get(&self.disk).sync();
        }
        (self.state, self.source) = (State::Primary, None);
    }

    /// Shuts down in an orderly way.
    pub fn shut_down(&mut self, disks: &mut Disks) {
        disks.get(&self.disk).sync();
        (self.state, self.source) = (State::Stopped, None);
    }

    /// How many of its records are safe.
    pub fn flushed(&self, disks: &mut Disks) -> usize {
        disks.get(&self.disk).synced()
    }

    /// How much of its log others may have who are so many seconds late.
    pub fn sent(&self, lag: u32, disks: &mut Disks) -> usize {
        match (lag as usize).checked_sub(1) {
            None => self.flushed(disks),
            Some(ago) => self.past.get(ago).copied().unwrap_or(0),
        }
    }

    /// Notes how long its log is now.
    pub fn remember(&mut self, disks: &mut Disks) {
        self.past.push_front(disks.get(&self.disk).synced());
        self.past.truncate(MOST_LAG);
    }

    /// Gives up what it has written and its source hasn't (`pg_rewind`).
    pub fn rewind(&mut self, source: &[Entry], disks: &mut Disks) {
        let same = self.log.iter().zip(source).take_while(|(mine, theirs)| mine == theirs).count();
        self.log.truncate(same);
        disks.get(&self.disk).truncate(same);
    }

    /// Takes over records of its source, and flushes them.
    pub fn receive(&mut self, source: &[Entry], disks: &mut Disks) {
        let new = source.get(self.log.len()..).unwrap_or_default();
        self.log.extend(new);
        let disk: &mut Disk = disks.get(&self.disk);
        new.iter().for_each(|entry| disk.append(entry.to_record()));
        disk.sync();
    }

    /// What it answers when it is asked how it is.
    pub fn report(&self, disks: &mut Disks) -> Report {
        let lsn = self.flushed(disks) as u64;
        Report { state: self.state, timeline: self.timeline(), lsn, receiving: self.source.is_some() }
    }
}
