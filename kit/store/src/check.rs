//! Requests that are refused for what they are, whatever the store holds: `server/etcdserver/api/v3rpc/key.go`.

use crate::api::{DeleteRangeRequest, Op, PutRequest, RangeRequest, TxnRequest};
use crate::size;
use crate::{Bytes, Error, Result};
use std::collections::BTreeSet;

/// `--max-txn-ops`.
const MAX_TXN_OPS: usize = 128;
/// `--max-request-bytes`.
pub(crate) const MAX_REQUEST_BYTES: usize = 1536 * 1024;

pub(crate) fn range(request: &RangeRequest) -> Result<()> {
    key(&request.key)
}

pub(crate) fn put(request: &PutRequest) -> Result<()> {
    put_op(request)?;
    fits(size::put(request))
}

fn put_op(request: &PutRequest) -> Result<()> {
    key(&request.key)?;
    if request.ignore_value && !request.value.is_empty() {
        return Err(Error::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Error::LeaseProvided);
    }
    Ok(())
}

pub(crate) fn delete_range(request: &DeleteRangeRequest) -> Result<()> {
    key(&request.key)
}

pub(crate) fn txn(request: &TxnRequest) -> Result<()> {
    operations(request, MAX_TXN_OPS)?;
    touched(&request.success)?;
    touched(&request.failure)?;
    fits(size::txn(request))
}

fn key(key: &Bytes) -> Result<()> {
    if key.is_empty() { Err(Error::EmptyKey) } else { Ok(()) }
}

fn fits(size: usize) -> Result<()> {
    if size > MAX_REQUEST_BYTES { Err(Error::RequestTooLarge) } else { Ok(()) }
}

fn operations(request: &TxnRequest, most: usize) -> Result<()> {
    let TxnRequest { compare, success, failure } = request;
    let longest = compare.len().max(success.len()).max(failure.len());
    let left = most.checked_sub(longest).ok_or(Error::TooManyOps)?;
    compare.iter().try_for_each(|compare| key(&compare.key))?;
    success.iter().chain(failure).try_for_each(|op| match op {
        Op::Range(request) => range(request),
        Op::Put(request) => put_op(request),
        Op::DeleteRange(request) => delete_range(request),
        Op::Txn(request) => operations(request, left),
    })
}

/// What a list of operations puts and deletes, transactions within included.
#[derive(Default)]
struct Touched<'a> {
    puts: BTreeSet<&'a Bytes>,
    deletes: Vec<&'a DeleteRangeRequest>,
}

/// No key may be put twice, or put and deleted. Of a transaction within only one branch happens, so its two branches may
/// put the same key. Deletes may overlap.
///
/// etcd's own gap is kept: a delete of all keys from one on (`range_end` `"\0"`) conflicts only with a put of that key.
fn touched(ops: &[Op]) -> Result<Touched<'_>> {
    let mut all = Touched::default();
    all.deletes.extend(ops.iter().filter_map(|op| match op {
        Op::DeleteRange(delete) => Some(delete),
        _ => None,
    }));
    for op in ops {
        let Op::Txn(within) = op else { continue };
        let (then, otherwise) = (touched(&within.success)?, touched(&within.failure)?);
        for &put in &then.puts {
            all.put(put)?;
        }
        for &put in &otherwise.puts {
            if !then.puts.contains(put) || all.deleted(put) {
                all.put(put)?;
            }
        }
        all.deletes.extend(then.deletes);
        all.deletes.extend(otherwise.deletes);
    }
    for op in ops {
        if let Op::Put(put) = op {
            all.put(&put.key)?;
        }
    }
    Ok(all)
}

impl<'a> Touched<'a> {
    fn put(&mut self, key: &'a Bytes) -> Result<()> {
        if self.deleted(key) || !self.puts.insert(key) { Err(Error::DuplicateKey) } else { Ok(()) }
    }

    fn deleted(&self, key: &Bytes) -> bool {
        self.deletes.iter().any(|delete| delete.key == *key || (delete.key < *key && *key < delete.range_end))
    }
}
