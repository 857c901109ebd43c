//! What is given away, held against what services say that they have.
//!
//! Sources: `pkg/registry/core/service/portallocator/controller/repair.go`, and for addresses
//! `pkg/registry/core/service/ipallocator/controller/repairip.go`. Upstream keeps what is given away beside the services and
//! so has to compare them every three minutes. This server reads it off the services with each request, so nothing can leak
//! here; where a record beside them is kept, this is what mends it.

use super::range::{AddressRange, Numbers, PortRange, number};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// How often a leak must be seen before it is cleaned up: somebody may be about to use what looks leaked
/// (`numRepairsBeforeLeakCleanup`).
const SEEN_BEFORE_CLEAN_UP: u32 = 3;

/// What is wrong with an address or port of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// Nobody gave it away: it is given to the service now. `ClusterIPNotAllocated`, `PortNotAllocated`
    NotAllocated,
    /// Another service has it, too. `ClusterIPAlreadyAllocated`, `PortAlreadyAllocated`
    AlreadyAllocated,
    /// It belongs to no range. `ClusterIPOutOfRange`, `PortOutOfRange`
    OutOfRange,
}

/// Mends a record of what is given away, time after time.
#[derive(Debug, Clone, Default)]
pub struct Repair {
    /// How often each leak is still to be seen before it is cleaned up.
    leaks: BTreeMap<u128, u32>,
}

impl Repair {
    /// Rebuilds a record of addresses from those that services have, and says what was wrong, by the place of the claim.
    pub fn addresses(&mut self, range: &mut AddressRange, claims: &[IpAddr]) -> Vec<(usize, Problem)> {
        let ours = |claim: &IpAddr| if range.covers(*claim) { number(*claim) } else { u128::MAX };
        let claims: Vec<u128> = claims.iter().map(ours).collect();
        self.run(&mut range.numbers, &claims)
    }

    /// Rebuilds a record of ports from those that services have, and says what was wrong, by the place of the claim. A port
    /// that a service has twice for different protocols is one claim.
    pub fn ports(&mut self, range: &mut PortRange, claims: &[i64]) -> Vec<(usize, Problem)> {
        let claims: Vec<u128> = claims.iter().map(|port| u128::try_from(*port).unwrap_or(u128::MAX)).collect();
        self.run(&mut range.numbers, &claims)
    }

    fn run(&mut self, stored: &mut Numbers, claims: &[u128]) -> Vec<(usize, Problem)> {
        let mut rebuilt = stored.emptied();
        let mut unclaimed = stored.used().clone();
        let mut problems = Vec::new();
        for (index, claim) in claims.iter().enumerate() {
            match rebuilt.take(*claim) {
                None => problems.push((index, Problem::OutOfRange)),
                Some(false) => problems.push((index, Problem::AlreadyAllocated)),
                Some(true) => {
                    self.leaks.remove(claim);
                    if !unclaimed.remove(claim) {
                        problems.push((index, Problem::NotAllocated));
                    }
                }
            }
        }
        for leaked in unclaimed {
            let left = self.leaks.entry(leaked).or_insert(SEEN_BEFORE_CLEAN_UP - 1);
            if *left > 0 {
                *left -= 1;
                rebuilt.take(leaked);
            }
        }
        *stored = rebuilt;
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_is_cleaned_up_when_it_is_seen_for_the_third_time() {
        let mut range = PortRange::new(30_000, 30_099).expect("a range");
        let mut repair = Repair::default();
        for port in [30_005, 30_050] {
            range.allocate(port).expect("free");
        }
        for seen in [true, true, false, false] {
            assert_eq!(repair.ports(&mut range, &[30_050]), []);
            assert_eq!((range.has(30_005), range.has(30_050)), (seen, true));
        }
    }

    #[test]
    fn a_leak_that_is_used_after_all_was_none() {
        let mut range = PortRange::new(30_000, 30_099).expect("a range");
        let mut repair = Repair::default();
        range.allocate(30_005).expect("free");
        for claims in [&[][..], &[], &[30_005], &[], &[]] {
            assert_eq!(repair.ports(&mut range, claims), []);
            assert!(range.has(30_005));
        }
    }

    #[test]
    fn what_is_missing_is_added_and_what_is_wrong_is_said() {
        let mut range = AddressRange::new("10.96.0.0/24").expect("a range");
        let claims = ["10.96.0.10", "10.96.0.10", "10.97.0.1", "10.96.0.255", "fd00::1", "10.96.0.20"];
        let claims = claims.map(|claim| claim.parse().expect("an address"));
        range.allocate(claims[5]).expect("free");
        let problems = Repair::default().addresses(&mut range, &claims);
        let (missing, twice, outside) = (Problem::NotAllocated, Problem::AlreadyAllocated, Problem::OutOfRange);
        assert_eq!(problems, [(0, missing), (1, twice), (2, outside), (3, outside), (4, outside)]);
        assert!(range.has(claims[0]) && range.used() == 2);
    }
}
