//! The store on disk: what was answered is there after a crash.
//!
//! As in etcd (`server/mvcc/backend`) a table holds every version of every key by the revision that wrote it, and an
//! embedded database keeps it. All of it is in memory too, so reads never wait for the disk. A change is answered once the
//! database has committed it and the disk has confirmed that (`fsync`); watches hear of it after that. Whoever [holds](Kv::hold)
//! changes back from others can let many of them wait for the disk together, as the batches of etcd's backend do
//! (`server/mvcc/backend/batch_tx.go`).

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
type Columns<'a> = (i64, i64, i64, &'a [u8], &'a [u8]);
/// By revision and place in it.
const VERSIONS: TableDefinition<(i64, i64), Columns<'_>> = TableDefinition::new("versions");
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
    /// What is not on disk yet.
    unsaved: Vec<Row>,
    /// Whether changes wait until they are to be saved.
    holds: bool,
    /// Why nothing can be asked any more: what is in memory isn't what is on disk.
    failed: Option<Error>,
}

/// What a change in memory changes on disk.
#[derive(Debug)]
enum Row {
    Version(Version),
    Lease {
        id: i64,
        ttl: i64,
    },
    LeaseEnds(i64),
    /// Its revision, and where the versions are that it takes away.
    Compaction(i64, Vec<(i64, i64)>),
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
        let memory = Memory::over(state, options);
        Ok(Disk { memory, database, unsaved: Vec::new(), holds: false, failed: None })
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

    /// Carries commands out in order, and waits once for the disk, or not at all while changes are held.
    fn run_all(&mut self, commands: &[Command]) -> Vec<Result<Answer>> {
        if let Err(e) = self.sound() {
            return commands.iter().map(|_| Err(e.clone())).collect();
        }
        let outcomes: Vec<_> = commands.iter().map(|command| self.memory.change(command)).collect();
        for (command, outcome) in commands.iter().zip(&outcomes) {
            if let Ok((answer, versions)) = outcome {
                self.unsaved.extend(versions.iter().cloned().map(Row::Version));
                self.unsaved.extend(Row::of(command, answer));
            }
        }
        if !self.holds
            && let Err(e) = self.save()
        {
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

impl Row {
    /// What a command changes besides versions.
    fn of(command: &Command, answer: &Answer) -> Option<Row> {
        match (command, answer) {
            (Command::LeaseGrant { id, .. }, Answer::LeaseGrant(ttl)) => Some(Row::Lease { id: *id, ttl: *ttl }),
            (Command::LeaseRevoke(id), _) => Some(Row::LeaseEnds(*id)),
            (Command::Compact(revision), Answer::Compact(_, gone)) => Some(Row::Compaction(*revision, gone.clone())),
            _ => None,
        }
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

fn save(database: &Database, rows: &[Row]) -> std::result::Result<(), redb::Error> {
    let mut write = database.begin_write()?;
    write.set_durability(Durability::Immediate)?;
    {
        let mut versions = write.open_table(VERSIONS)?;
        for row in rows {
            match row {
                Row::Version(Version { sub, kv }) => {
                    let of = (kv.create_revision, kv.version, kv.lease, &kv.key[..], &kv.value[..]);
                    versions.insert((kv.mod_revision, *sub), of)?;
                }
                Row::Lease { id, ttl } => _ = write.open_table(LEASES)?.insert(id, ttl)?,
                Row::LeaseEnds(id) => _ = write.open_table(LEASES)?.remove(id)?,
                Row::Compaction(revision, gone) => {
                    write.open_table(COMPACTED)?.insert((), revision)?;
                    for at in gone {
                        versions.remove(at)?;
                    }
                }
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

    fn hold(&mut self) {
        self.holds = true;
    }

    fn is_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    fn save(&mut self) -> Result<()> {
        self.sound()?;
        if self.is_unsaved() {
            save(&self.database, &std::mem::take(&mut self.unsaved)).map_err(|e| {
                let e = failed(e);
                self.failed = Some(e.clone());
                e
            })?;
        }
        Ok(())
    }
}
