//! Leases: which keys end with which, and when.
//!
//! Upstream: `server/lease/lessor.go`. Which leases there are, for how long they are granted and which keys hang on them is
//! the same on all members. When one ends only the leader knows; it begins anew with every leader and every start.

use crate::api::LeaseStatus;
use crate::{Bytes, Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// `MaxLeaseTTL`, in seconds.
const MAX_TTL: i64 = 9_000_000_000;
/// The shortest lease, in seconds: one and a half election timeouts of 1 s, rounded up.
const MIN_TTL: i64 = 2;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Lease {
    pub ttl: i64,
    pub keys: BTreeSet<Bytes>,
}

/// The leases.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    leases: BTreeMap<i64, Lease>,
}

impl Leases {
    pub fn get(&self, id: i64) -> Option<&Lease> {
        self.leases.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (i64, &Lease)> {
        self.leases.iter().map(|(&id, lease)| (id, lease))
    }

    /// Grants a lease, and answers for how long.
    pub fn grant(&mut self, id: i64, ttl: i64) -> Result<i64> {
        if ttl > MAX_TTL {
            return Err(Error::LeaseTtlTooLarge);
        }
        if self.leases.contains_key(&id) {
            return Err(Error::LeaseExists);
        }
        let ttl = ttl.max(MIN_TTL);
        self.restore(id, ttl);
        Ok(ttl)
    }

    pub fn restore(&mut self, id: i64, ttl: i64) {
        self.leases.insert(id, Lease { ttl, keys: BTreeSet::new() });
    }

    pub fn remove(&mut self, id: i64) -> Option<Lease> {
        self.leases.remove(&id)
    }

    pub fn attach(&mut self, id: i64, key: &Bytes) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.keys.insert(key.clone());
        }
    }

    pub fn detach(&mut self, id: i64, key: &Bytes) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.keys.remove(key);
        }
    }
}

/// When leases end, on the clock of whoever counts.
#[derive(Debug, Default)]
pub(crate) struct Lessor {
    ends: BTreeMap<i64, Duration>,
}

impl Lessor {
    /// A lessor that begins: every lease lasts for its whole time from now on, as `Promote` has it.
    pub fn begin(leases: &Leases, now: Duration) -> Lessor {
        let mut lessor = Lessor::default();
        leases.iter().for_each(|(id, lease)| lessor.renew(id, lease.ttl, now));
        lessor
    }

    /// Takes note of leases that came and went.
    pub fn reconcile(&mut self, leases: &Leases, now: Duration) {
        self.ends.retain(|&id, _| leases.get(id).is_some());
        for (id, lease) in leases.iter().filter(|(id, _)| !self.ends.contains_key(id)).collect::<Vec<_>>() {
            self.renew(id, lease.ttl, now);
        }
    }

    pub fn renew(&mut self, id: i64, ttl: i64, now: Duration) {
        self.ends.insert(id, now + Duration::from_secs(ttl.max(0) as u64));
    }

    pub fn forget(&mut self, id: i64) {
        self.ends.remove(&id);
    }

    /// What is left of a lease.
    pub fn status(&self, leases: &Leases, id: i64, keys: bool, now: Duration) -> LeaseStatus {
        let Some(lease) = leases.get(id) else { return LeaseStatus { ttl: -1, ..LeaseStatus::default() } };
        let left = self.ends.get(&id).map_or(0, |end| end.saturating_sub(now).as_secs() as i64);
        let keys = if keys { lease.keys.iter().cloned().collect() } else { Vec::new() };
        LeaseStatus { ttl: left, granted_ttl: lease.ttl, keys }
    }

    /// The lease that ends next, and when.
    pub fn next(&self) -> Option<(Duration, i64)> {
        self.ends.iter().map(|(&id, &end)| (end, id)).min()
    }
}
