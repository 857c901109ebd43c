//! How long messages are on the wire, in bytes: protobuf, as `rpc.proto` and `kv.proto` declare them.
//!
//! Two limits of etcd count these bytes: the greatest request, and the response of a watch that is split.

use crate::api::{Compare, DeleteRangeRequest, Event, KeyValue, Op, PutRequest, RangeRequest, Target, TxnRequest};

/// The header of a response: four numbers, of which two are random and long.
const HEADER: usize = 2 + 10 + 1 + 10 + 1 + 4 + 1 + 2;

pub(crate) fn put(request: &PutRequest) -> usize {
    let flags = [request.prev_kv, request.ignore_value, request.ignore_lease];
    bytes(request.key.len())
        + bytes(request.value.len())
        + number(request.lease)
        + flags.map(flag).iter().sum::<usize>()
}

pub(crate) fn txn(request: &TxnRequest) -> usize {
    let ops = request.success.iter().chain(&request.failure);
    let compares: usize = request.compare.iter().map(|compare| message(self::compare(compare))).sum();
    compares + ops.map(|op| message(message(self::op(op)))).sum::<usize>()
}

fn op(op: &Op) -> usize {
    match op {
        Op::Range(RangeRequest { key, range_end, limit, revision, .. }) => {
            bytes(key.len()) + bytes(range_end.len()) + number(*limit) + number(*revision)
        }
        Op::Put(request) => put(request),
        Op::DeleteRange(DeleteRangeRequest { key, range_end, prev_kv }) => {
            bytes(key.len()) + bytes(range_end.len()) + flag(*prev_kv)
        }
        Op::Txn(request) => txn(request),
    }
}

fn compare(compare: &Compare) -> usize {
    let target = match &compare.target {
        Target::Version(n) | Target::CreateRevision(n) | Target::ModRevision(n) | Target::Lease(n) => number(*n),
        Target::Value(value) => bytes(value.len()),
    };
    4 + bytes(compare.key.len()) + bytes(compare.range_end.len()) + target
}

/// A watch's response with these events.
pub(crate) fn watch_response<'a>(events: impl IntoIterator<Item = &'a Event>) -> usize {
    HEADER + 2 + events.into_iter().map(event).sum::<usize>()
}

/// One event within a response.
pub(crate) fn event(event: &Event) -> usize {
    let prev = event.prev_kv.as_ref().map_or(0, |kv| message(key_value(kv)));
    message(2 + message(key_value(&event.kv)) + prev)
}

fn key_value(kv: &KeyValue) -> usize {
    let KeyValue { key, value, create_revision, mod_revision, version, lease } = kv;
    let numbers = [create_revision, mod_revision, version, lease];
    bytes(key.len()) + bytes(value.len()) + numbers.map(|&n| number(n)).iter().sum::<usize>()
}

fn bytes(len: usize) -> usize {
    if len == 0 { 0 } else { message(len) }
}

fn message(len: usize) -> usize {
    1 + varint(len as u64) + len
}

fn number(n: i64) -> usize {
    if n == 0 { 0 } else { 1 + varint(n as u64) }
}

fn flag(flag: bool) -> usize {
    if flag { 2 } else { 0 }
}

fn varint(n: u64) -> usize {
    (64 - (n | 1).leading_zeros() as usize).div_ceil(7)
}
