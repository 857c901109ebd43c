//! What was acknowledged is there after a crash.

use kit_store::api::*;
use kit_store::{Bytes, Disk, Kv, Options};
use proptest::prelude::*;
use redb::StorageBackend;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Error, ErrorKind, Result, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where the child writes, if this process is the child.
const CHILD: &str = "KIT_STORE_CRASH_TEST";
const ROUNDS: u64 = 25;

fn open(path: &Path) -> Disk {
    Disk::open(path, Options::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn put(n: i64) -> PutRequest {
    // Few keys, so that versions and compactions matter too.
    PutRequest { key: format!("key-{}", n % 7).into(), value: n.to_string().into(), ..Default::default() }
}

/// Not a test of its own: the process that is killed. It writes until then, and says what was acknowledged.
#[test]
fn child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let mut store = open(Path::new(&path));
    let mut out = std::io::stdout().lock();
    for n in 1.. {
        let revision = match n % 10 {
            0 => {
                let ops = (0..3).map(|key| Op::Put(put(n + key))).collect();
                store.txn(&TxnRequest { success: ops, ..Default::default() }).expect("a transaction").revision
            }
            9 => {
                let all = DeleteRangeRequest { key: "key-3".into(), range_end: "key-5".into(), prev_kv: false };
                store.delete_range(&all).expect("a delete").revision
            }
            _ => store.put(&put(n)).expect("a put").revision,
        };
        if n % 50 == 0 {
            store.compact(revision - 20).expect("a compaction");
        }
        writeln!(out, "ack {revision}").expect("the parent reads");
        out.flush().expect("the parent reads");
    }
}

/// `kill -9` in the middle of writing, again and again with the same file.
#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.redb");
    let mut acknowledged = 1;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the child starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut ack = || loop {
            let line = lines.next()?.ok()?;
            if let Some(revision) = line.split("ack ").nth(1).and_then(|revision| revision.trim().parse::<i64>().ok()) {
                return Some(revision);
            }
        };
        let before = acknowledged;
        // Not before it writes, and at another moment of its work each time.
        acknowledged = ack().expect("the child writes");
        std::thread::sleep(Duration::from_micros(1000 + round * 7919 % 60_000));
        child.kill().expect("the child is killed");
        while let Some(revision) = ack() {
            acknowledged = revision;
        }
        child.wait().expect("the child has ended");
        assert!(acknowledged > before, "round {round}: nothing was written");
        check(&mut open(&path), acknowledged);
    }
}

/// Everything up to the acknowledged revision is there, and no revision is missing.
fn check(store: &mut Disk, acknowledged: i64) {
    let all = RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    let now = store.range(&all).expect("a read");
    assert!(now.revision >= acknowledged, "at revision {}, but {acknowledged} was acknowledged", now.revision);
    let start_revision = (acknowledged - 15).max(1);
    let watch = WatchRequest { key: "\0".into(), range_end: "\0".into(), start_revision, ..Default::default() };
    let watch = store.watch(&watch).expect("a watch");
    let responses = store.poll().expect("events");
    assert!(responses.iter().all(|response| !response.canceled), "history ends too early");
    let mut known: BTreeMap<Bytes, KeyValue> = BTreeMap::new();
    let mut last = start_revision.max(2) - 1;
    for event in responses.into_iter().flat_map(|response| response.events) {
        let at = event.kv.mod_revision;
        assert!(at == last || at == last + 1, "revision {at} follows {last}");
        last = at;
        known.insert(event.kv.key.clone(), event.kv);
    }
    assert_eq!(last, now.revision, "history and present end together");
    // What history says last of a key is what is there now.
    for kv in known.into_values() {
        let there = now.kvs.iter().find(|there| there.key == kv.key);
        assert_eq!(there, Some(&kv).filter(|kv| !kv.is_tombstone()));
    }
    assert!(store.cancel(watch.watch_id).expect("the watch ends"));
}

/// A disk that keeps what was written in its cache until it is told to sync.
#[derive(Debug, Clone, Default)]
struct Platter(Arc<Mutex<Cached>>);

#[derive(Debug, Clone, Default)]
struct Cached {
    safe: Vec<u8>,
    seen: Vec<u8>,
    unsynced: Vec<Unsynced>,
    /// Fails after so many more operations that change something.
    left: Option<usize>,
}

#[derive(Debug, Clone)]
enum Unsynced {
    Len(usize),
    Write(usize, Vec<u8>),
}

impl Unsynced {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Unsynced::Len(len) => to.resize(*len, 0),
            Unsynced::Write(at, data) => {
                to.resize(to.len().max(at + data.len()), 0);
                to[*at..at + data.len()].copy_from_slice(data);
            }
        }
    }
}

impl Platter {
    fn change(&self, change: Unsynced) -> Result<()> {
        let mut cached = self.0.lock().expect("one thread");
        cached.count()?;
        change.apply(&mut cached.seen);
        cached.unsynced.push(change);
        Ok(())
    }

    /// Of what wasn't synced, some arrived and some didn't, in whatever order the disk liked.
    fn after_power_loss(&self, arrived: u64) -> Platter {
        let Cached { mut safe, unsynced, .. } = self.0.lock().expect("one thread").clone();
        for (i, change) in unsynced.iter().enumerate() {
            if arrived.rotate_right(i as u32) & 1 == 1 {
                change.apply(&mut safe);
            }
        }
        Platter(Arc::new(Mutex::new(Cached { seen: safe.clone(), safe, ..Cached::default() })))
    }
}

impl Cached {
    fn count(&mut self) -> Result<()> {
        match &mut self.left {
            Some(0) => return Err(Error::new(ErrorKind::BrokenPipe, "the power is gone")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }
}

impl StorageBackend for Platter {
    fn len(&self) -> Result<u64> {
        Ok(self.0.lock().expect("one thread").seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let cached = self.0.lock().expect("one thread");
        let from = cached.seen.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(from.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.change(Unsynced::Len(len as usize))
    }

    fn sync_data(&self) -> Result<()> {
        let mut cached = self.0.lock().expect("one thread");
        cached.count()?;
        cached.safe = cached.seen.clone();
        cached.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.change(Unsynced::Write(offset as usize, data.to_vec()))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// A power loss takes what the disk has not confirmed, which a killed process can't show: what it wrote is in the
    /// system's memory.
    #[test]
    fn a_power_loss_takes_nothing_that_was_acknowledged(left in 0..400usize, arrived in any::<u64>()) {
        let platter = Platter::default();
        let mut store = Disk::open_on(platter.clone(), Options::default()).expect("a new store");
        platter.0.lock().expect("one thread").left = Some(left);
        let mut acknowledged = 1;
        // Each of them reaches the disk at least once, so that all of them are never acknowledged.
        for n in 1..=400 {
            match store.put(&put(n)) {
                Ok(answer) => acknowledged = answer.revision,
                Err(_) => break,
            }
            if n % 30 == 0 && store.compact(acknowledged - 20).is_err() {
                break;
            }
        }
        // Once it failed it answers nothing any more, since its memory may hold what the disk doesn't.
        let after = store.range(&RangeRequest { key: "key-1".into(), ..Default::default() });
        prop_assert!(after.is_err());
        let found = platter.after_power_loss(arrived);
        drop(store);
        check(&mut Disk::open_on(found, Options::default()).expect("the store is whole"), acknowledged);
    }
}

/// Power is lost while many changes wait for the disk together.
#[test]
fn a_power_loss_takes_nothing_that_was_saved_together() {
    let mut failed = 0;
    for left in 0..120 {
        let platter = Platter::default();
        let mut store = Disk::open_on(platter.clone(), Options::default()).expect("a new store");
        store.hold();
        platter.0.lock().expect("one thread").left = Some(left);
        let (mut saved, mut n) = (1, 0);
        for _ in 0..9 {
            let mut last = saved;
            for _ in 0..11 {
                n += 1;
                last = store.put(&put(n)).expect("it needs no disk").revision;
            }
            assert!(store.is_unsaved());
            if n % 33 == 0 {
                store.compact(last - 20).expect("it needs no disk");
            }
            match store.save() {
                Ok(()) => saved = last,
                Err(_) => {
                    failed += 1;
                    assert!(
                        store.put(&put(n)).is_err() && store.save().is_err(),
                        "its memory holds what the disk doesn't"
                    );
                    break;
                }
            }
            assert!(!store.is_unsaved());
        }
        let found = platter.after_power_loss((left as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        drop(store);
        check(&mut Disk::open_on(found, Options::default()).expect("the store is whole"), saved);
    }
    assert!(failed > 50, "the power went too late to show anything: {failed}");
}

/// Leases, compactions and the gap in a history outlive a restart.
#[test]
fn a_store_that_is_opened_again_is_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.redb");
    let all = RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    let mut store = open(&path);
    store.lease_grant(5, 10).expect("a lease");
    store.lease_grant(6, 10).expect("a lease");
    store.put(&PutRequest { key: "a".into(), value: "1".into(), lease: 5, ..Default::default() }).expect("a put");
    store.put(&PutRequest { key: "b".into(), lease: 6, ..Default::default() }).expect("a put");
    store.lease_revoke(6).expect("a lease that ends");
    store.put(&put(1)).expect("a put");
    store.compact(4).expect("a compaction");
    store.pass(Duration::from_secs(9)).expect("time passes");
    let before = store.range(&all).expect("a read");
    drop(store);

    let mut store = open(&path);
    assert_eq!(store.range(&all).expect("a read"), before);
    let old = RangeRequest { revision: 3, ..all.clone() };
    assert_eq!(store.range(&old).expect_err("is compacted").to_string(), kit_store::Error::Compacted.to_string());
    // The delete at the compacted revision is there for a watch that begins there.
    let from = WatchRequest { key: "\0".into(), range_end: "\0".into(), start_revision: 4, ..Default::default() };
    store.watch(&from).expect("a watch");
    let events: Vec<_> = store.poll().expect("events").into_iter().flat_map(|response| response.events).collect();
    assert_eq!(
        events.iter().map(|event| (event.kind, event.kv.mod_revision)).collect::<Vec<_>>(),
        [(EventKind::Delete, 4), (EventKind::Put, 5)]
    );
    // The lease begins anew: 9 of its 10 seconds were over.
    assert_eq!(store.leases().expect("leases"), [5]);
    store.pass(Duration::from_secs(9)).expect("time passes");
    assert_eq!(store.range(&all).expect("a read").count, 2);
    store.pass(Duration::from_secs(1)).expect("time passes");
    assert_eq!(store.range(&all).expect("a read").count, 1);
}

/// Two processes never write to one file.
#[test]
fn a_store_is_open_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.redb");
    let _store = open(&path);
    let again = Disk::open(&path, Options::default());
    assert!(again.is_err_and(|e| e.to_string().contains("store.redb")));
}
