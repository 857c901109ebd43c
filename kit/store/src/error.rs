//! What a store refuses, in etcd's words.

use serde::{Deserialize, Serialize};

/// Why a request was refused. The texts are those of `api/v3rpc/rpctypes/error.go`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Error {
    /// The revision is below the last compaction.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    /// The revision is still to come.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
    /// There is no such lease.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    /// There is a lease with this id.
    #[error("etcdserver: lease already exists")]
    LeaseExists,
    /// More than 9,000,000,000 seconds were asked for.
    #[error("etcdserver: too large lease TTL")]
    LeaseTtlTooLarge,
    /// A request without a key.
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    /// The value or the lease of a key is to stay as it is, but there is no such key.
    #[error("etcdserver: key not found")]
    KeyNotFound,
    /// A value, although the present one is to stay.
    #[error("etcdserver: value is provided")]
    ValueProvided,
    /// A lease, although the present one is to stay.
    #[error("etcdserver: lease is provided")]
    LeaseProvided,
    /// More than 128 operations, nested transactions included.
    #[error("etcdserver: too many operations in txn request")]
    TooManyOps,
    /// A transaction that puts a key twice, or puts and deletes it.
    #[error("etcdserver: duplicate key given in txn request")]
    DuplicateKey,
    /// More than 1.5 MiB.
    #[error("etcdserver: request is too large")]
    RequestTooLarge,
    /// No answer in time. A change may have happened all the same, or still happen.
    #[error("etcdserver: request timed out")]
    Timeout,
    /// Anything else: the disk failed, the network failed, an answer can't be read.
    #[error("{0}")]
    Other(String),
}

impl Error {
    const ALL: [Error; 13] = [
        Error::Compacted,
        Error::FutureRevision,
        Error::LeaseNotFound,
        Error::LeaseExists,
        Error::LeaseTtlTooLarge,
        Error::EmptyKey,
        Error::KeyNotFound,
        Error::ValueProvided,
        Error::LeaseProvided,
        Error::TooManyOps,
        Error::DuplicateKey,
        Error::RequestTooLarge,
        Error::Timeout,
    ];

    /// The error with etcd's text.
    pub fn from_text(text: &str) -> Error {
        let known = Error::ALL.into_iter().find(|error| error.to_string() == text);
        known.unwrap_or_else(|| Error::Other(text.into()))
    }
}

/// A store's answer.
pub type Result<T> = std::result::Result<T, Error>;
