//! Commands and how they are carried out: `server/etcdserver/apply.go`.

use crate::api::*;
use crate::state::State;
use crate::{Bytes, Error, Result, check};
use serde::{Deserialize, Serialize};

/// What changes a state. Everything that decides the outcome is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    Put(PutRequest),
    DeleteRange(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact(i64),
    LeaseGrant { id: i64, ttl: i64 },
    LeaseRevoke(i64),
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Put(PutResponse),
    DeleteRange(DeleteRangeResponse),
    Txn(TxnResponse),
    /// The revision of the store, and the versions that are gone.
    Compact(i64, Vec<(i64, i64)>),
    /// For how many seconds.
    LeaseGrant(i64),
    LeaseRevoke,
}

impl Command {
    /// Refuses what no state would take.
    pub fn check(&self) -> Result<()> {
        match self {
            Command::Put(request) => check::put(request),
            Command::DeleteRange(request) => check::delete_range(request),
            Command::Txn(request) => check::txn(request),
            _ => Ok(()),
        }
    }

    pub fn apply(&self, state: &mut State) -> Result<Answer> {
        Ok(match self {
            Command::Put(request) => {
                check_lease(state, request)?;
                check_key(state, request)?;
                let mut writer = Writer::begin(state);
                let answer = writer.put(request);
                writer.end();
                Answer::Put(answer)
            }
            Command::DeleteRange(request) => {
                let mut writer = Writer::begin(state);
                let answer = writer.delete_range(request);
                writer.end();
                Answer::DeleteRange(answer)
            }
            Command::Txn(request) => {
                let path = Path::choose(state, request);
                path.check(|op| match op {
                    Op::Put(put) => check_key(state, put).and_then(|()| check_lease(state, put)),
                    _ => Ok(()),
                })?;
                path.check(|op| match op {
                    Op::Range(range) => check_range(state, range),
                    _ => Ok(()),
                })?;
                let mut writer = Writer::begin(state);
                let mut answer = writer.run(&path);
                answer.revision = writer.end();
                Answer::Txn(answer)
            }
            Command::Compact(revision) => {
                let gone = state.compact(*revision)?;
                Answer::Compact(state.revision(), gone)
            }
            Command::LeaseGrant { id, ttl } => Answer::LeaseGrant(state.leases.grant(*id, *ttl)?),
            Command::LeaseRevoke(id) => {
                let lease = state.leases.remove(*id).ok_or(Error::LeaseNotFound)?;
                let mut writer = Writer::begin(state);
                for key in lease.keys {
                    writer.delete(&key, &Bytes::default());
                }
                writer.end();
                Answer::LeaseRevoke
            }
        })
    }
}

fn check_key(state: &State, put: &PutRequest) -> Result<()> {
    if (put.ignore_value || put.ignore_lease) && state.get(&put.key, state.revision()).is_none() {
        return Err(Error::KeyNotFound);
    }
    Ok(())
}

fn check_lease(state: &State, put: &PutRequest) -> Result<()> {
    if put.lease != 0 && state.leases.get(put.lease).is_none() {
        return Err(Error::LeaseNotFound);
    }
    Ok(())
}

fn check_range(state: &State, range: &RangeRequest) -> Result<()> {
    match range.revision {
        0 => Ok(()),
        revision if revision > state.revision() => Err(Error::FutureRevision),
        revision if revision < state.compacted() => Err(Error::Compacted),
        _ => Ok(()),
    }
}

/// The operations that a transaction will carry out; all compares are decided before anything is changed.
struct Path<'a> {
    succeeded: bool,
    ops: &'a [Op],
    /// The paths of the transactions within, in order.
    within: Vec<Path<'a>>,
}

impl<'a> Path<'a> {
    fn choose(state: &State, request: &'a TxnRequest) -> Path<'a> {
        let succeeded = request.compare.iter().all(|compare| holds(state, compare));
        let ops = if succeeded { &request.success } else { &request.failure };
        let within = ops.iter().filter_map(|op| match op {
            Op::Txn(request) => Some(Path::choose(state, request)),
            _ => None,
        });
        Path { succeeded, ops, within: within.collect() }
    }

    fn check(&self, check: impl Fn(&Op) -> Result<()> + Copy) -> Result<()> {
        let mut within = self.within.iter();
        self.ops.iter().try_for_each(|op| match op {
            Op::Txn(_) => within.next().map_or(Ok(()), |path| path.check(check)),
            op => check(op),
        })
    }
}

/// Whether a condition holds for all keys of its range.
fn holds(state: &State, compare: &Compare) -> bool {
    let mut keys = state.visible(&compare.key, &compare.range_end, state.revision()).peekable();
    if keys.peek().is_none() {
        return !matches!(compare.target, Target::Value(_)) && compares(&KeyValue::default(), compare);
    }
    keys.all(|kv| compares(kv, compare))
}

fn compares(kv: &KeyValue, compare: &Compare) -> bool {
    let order = match &compare.target {
        Target::Version(n) => kv.version.cmp(n),
        Target::CreateRevision(n) => kv.create_revision.cmp(n),
        Target::ModRevision(n) => kv.mod_revision.cmp(n),
        Target::Lease(n) => kv.lease.cmp(n),
        Target::Value(value) => kv.value.cmp(value),
    };
    match compare.result {
        CompareResult::Equal => order.is_eq(),
        CompareResult::NotEqual => order.is_ne(),
        CompareResult::Greater => order.is_gt(),
        CompareResult::Less => order.is_lt(),
    }
}

/// A change in the making.
struct Writer<'a> {
    state: &'a mut State,
    revision: i64,
    subs: i64,
}

impl<'a> Writer<'a> {
    fn begin(state: &'a mut State) -> Writer<'a> {
        let revision = state.revision();
        Writer { state, revision, subs: 0 }
    }

    /// The revision that reads see: the next one, if anything was changed already.
    fn now(&self) -> i64 {
        self.revision + i64::from(self.subs > 0)
    }

    fn put(&mut self, request: &PutRequest) -> PutResponse {
        let answer = self.state.put_at(request, self.revision + 1, self.subs);
        self.subs += 1;
        answer
    }

    fn delete(&mut self, key: &Bytes, range_end: &Bytes) -> Vec<KeyValue> {
        let deleted = self.state.delete_at(key, range_end, self.revision + 1, self.subs);
        self.subs += deleted.len() as i64;
        deleted
    }

    fn delete_range(&mut self, request: &DeleteRangeRequest) -> DeleteRangeResponse {
        let deleted = self.delete(&request.key, &request.range_end);
        DeleteRangeResponse {
            revision: self.now(),
            deleted: deleted.len() as i64,
            prev_kvs: if request.prev_kv { deleted } else { Vec::new() },
        }
    }

    /// Nothing can fail any more: all of it was checked before.
    fn run(&mut self, path: &Path<'_>) -> TxnResponse {
        let mut within = path.within.iter();
        let responses = path.ops.iter().map(|op| match op {
            Op::Range(request) => OpResponse::Range(self.state.range_at(request, self.now()).unwrap_or_default()),
            Op::Put(request) => OpResponse::Put(self.put(request)),
            Op::DeleteRange(request) => OpResponse::DeleteRange(self.delete_range(request)),
            Op::Txn(_) => OpResponse::Txn(within.next().map(|path| self.run(path)).unwrap_or_default()),
        });
        TxnResponse { revision: 0, succeeded: path.succeeded, responses: responses.collect() }
    }

    fn end(self) -> i64 {
        let revision = self.now();
        self.state.commit(revision);
        revision
    }
}
