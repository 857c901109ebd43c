//! The store on disk: what was answered is there after a crash.
//!
//! As in etcd (`server/mvcc/backend`) a table holds every version of every key by the revision that wrote it, and an
//! embedded database keeps it. All of it is in memory too, so reads never wait for the disk. A change is answered once the
//! database has committed it and the disk has confirmed that (`fsync`); watches hear of it after that.

use crate::api::*;
use crate::kv::{Kv, Options, unexpected};
use crate::memory::{Memory, kv_by_commands};
use crate::state::{State, Version};
use crate::txn::{Answer, Command};
use crate::{Error, Result};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};
use std::path::Path;
use std::time::Duration;

/// The revision that created the key, version, lease, key, value.
type Row<'a> = (i64, i64, i64, &'a [u8], &'a [u8]);
/// By revision and place in it.
const VERSIONS: TableDefinition<(i64, i64), Row<'_>> = TableDefinition::new("versions");
/// Id to time in seconds.
const LEASES: TableDefinition<i64, i64> = TableDefinition::new("leases");
/// The revision of the last compaction.
const COMPACTED: TableDefinition<(), i64> = TableDefinition::new("compacted");

/// How much of the file is kept in memory besides the state itself, in bytes.
const CACHE: usize = 64 << 20;

/// The store on disk.
#[derive(Debug)]
pub struct Disk {
    memory: Memory,
    database: Database,
    /// Why nothing can be asked any more: what is in memory isn't what is on disk.
    failed: Option<Error>,
}

/// A change that was made in memory.
struct Change<'a> {
    command: &'a Command,
    answer: &'a Answer,
    versions: &'a [Version],
}

impl Disk {
    /// Opens a file, or makes it. Leases last for their whole time from now on.
    ///
    /// # Errors
    ///
    /// If it can't be read or isn't a store, and if another process has it open.
    pub fn open(path: &Path, options: Options) -> Result<Disk> {
        let database = Database::builder().set_cache_size(CACHE).create(path);
        Disk::over(database.map_err(|e| Error::Other(format!("{}: {e}", path.display())))?, options)
    }

    /// Opens a store that lies elsewhere than in a file.
    ///
    /// # Errors
    ///
    /// As [`Disk::open`].
    pub fn open_on(backend: impl StorageBackend, options: Options) -> Result<Disk> {
        Disk::over(Database::builder().create_with_backend(backend).map_err(failed)?, options)
    }

    fn over(database: Database, options: Options) -> Result<Disk> {
        let state = load(&database).map_err(failed)?;
        Ok(Disk { memory: Memory::over(state, options), database, failed: None })
    }

    fn sound(&self) -> Result<()> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn free_lease(&mut self) -> i64 {
        self.memory.free_lease()
    }

    fn run(&mut self, command: &Command) -> Result<Answer> {
        self.run_all(std::slice::from_ref(command)).pop().unwrap_or_else(unexpected)
    }

    /// Carries commands out in order, and waits once for the disk.
    fn run_all(&mut self, commands: &[Command]) -> Vec<Result<Answer>> {
        if let Err(e) = self.sound() {
            return commands.iter().map(|_| Err(e.clone())).collect();
        }
        let outcomes: Vec<_> = commands.iter().map(|command| self.memory.change(command)).collect();
        let changes = commands.iter().zip(&outcomes).filter_map(|(command, outcome)| {
            let (answer, versions) = outcome.as_ref().ok()?;
            Some(Change { command, answer, versions })
        });
        let changes: Vec<_> = changes.filter(Change::is_any).collect();
        if !changes.is_empty()
            && let Err(e) = save(&self.database, &changes)
        {
            let e = failed(e);
            self.failed = Some(e.clone());
            return commands.iter().map(|_| Err(e.clone())).collect();
        }
        let told = outcomes.into_iter().map(|outcome| {
            let (answer, versions) = outcome?;
            self.memory.notify(&versions);
            Ok(answer)
        });
        told.collect()
    }
}

impl Change<'_> {
    fn is_any(&self) -> bool {
        !self.versions.is_empty() || !matches!(self.answer, Answer::Put(_) | Answer::DeleteRange(_) | Answer::Txn(_))
    }
}

fn failed(error: impl Into<redb::Error>) -> Error {
    Error::Other(format!("the store's disk: {}", error.into()))
}

fn load(database: &Database) -> std::result::Result<State, redb::Error> {
    // So that the tables are there to be read.
    let write = database.begin_write()?;
    write.open_table(VERSIONS)?;
    write.open_table(LEASES)?;
    write.open_table(COMPACTED)?;
    write.commit()?;
    let read = database.begin_read()?;
    let compacted = read.open_table(COMPACTED)?.get(())?.map_or(-1, |revision| revision.value());
    let mut leases = Vec::new();
    for lease in read.open_table(LEASES)?.iter()? {
        let (id, ttl) = lease?;
        leases.push((id.value(), ttl.value()));
    }
    let mut versions = Vec::new();
    for version in read.open_table(VERSIONS)?.iter()? {
        let (at, of) = version?;
        let ((mod_revision, sub), (create_revision, version, lease, key, value)) = (at.value(), of.value());
        let kv = KeyValue { key: key.into(), value: value.into(), create_revision, mod_revision, version, lease };
        versions.push(Version { sub, kv });
    }
    Ok(State::load(compacted, versions, leases))
}

fn save(database: &Database, changes: &[Change<'_>]) -> std::result::Result<(), redb::Error> {
    let mut write = database.begin_write()?;
    write.set_durability(Durability::Immediate)?;
    {
        let mut versions = write.open_table(VERSIONS)?;
        for Change { command, answer, versions: written } in changes {
            for Version { sub, kv } in *written {
                let of = (kv.create_revision, kv.version, kv.lease, &kv.key[..], &kv.value[..]);
                versions.insert((kv.mod_revision, *sub), of)?;
            }
            match (command, answer) {
                (Command::LeaseGrant { id, .. }, Answer::LeaseGrant(ttl)) => {
                    write.open_table(LEASES)?.insert(id, ttl)?;
                }
                (Command::LeaseRevoke(id), _) => {
                    write.open_table(LEASES)?.remove(id)?;
                }
                (Command::Compact(revision), Answer::Compact(_, gone)) => {
                    write.open_table(COMPACTED)?.insert((), revision)?;
                    for at in gone {
                        versions.remove(at)?;
                    }
                }
                _ => {}
            }
        }
    }
    Ok(write.commit()?)
}

impl Kv for Disk {
    kv_by_commands!();

    fn txns(&mut self, requests: &[TxnRequest]) -> Vec<Result<TxnResponse>> {
        let commands: Vec<_> = requests.iter().map(|request| Command::Txn(request.clone())).collect();
        let answers = self.run_all(&commands).into_iter().map(|answer| match answer? {
            Answer::Txn(answer) => Ok(answer),
            _ => unexpected(),
        });
        answers.collect()
    }

    fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse> {
        self.sound()?;
        self.memory.range(request)
    }

    fn lease_keep_alive(&mut self, id: i64) -> Result<i64> {
        self.sound()?;
        self.memory.lease_keep_alive(id)
    }

    fn lease_time_to_live(&mut self, id: i64, keys: bool) -> Result<LeaseStatus> {
        self.sound()?;
        self.memory.lease_time_to_live(id, keys)
    }

    fn leases(&mut self) -> Result<Vec<i64>> {
        self.sound()?;
        self.memory.leases()
    }

    fn watch(&mut self, request: &WatchRequest) -> Result<WatchCreated> {
        self.sound()?;
        self.memory.watch(request)
    }

    fn cancel(&mut self, watch_id: i64) -> Result<bool> {
        self.memory.cancel(watch_id)
    }

    fn request_progress(&mut self) -> Result<()> {
        self.memory.request_progress()
    }

    fn poll(&mut self) -> Result<Vec<WatchResponse>> {
        self.sound()?;
        self.memory.poll()
    }

    fn pass(&mut self, mut time: Duration) -> Result<()> {
        while let Some(id) = self.memory.ends_within(&mut time) {
            self.lease_revoke(id)?;
        }
        Ok(())
    }
}
