//! Leader election by a Lease: of several that could lead, one does.
//!
//! Everybody looks at the lease every two seconds. Who holds it renews it; who doesn't waits until it has not changed
//! for the lease's duration *by its own clock*, since nobody else's can be trusted, and then takes it. The API server
//! decides between two that take it at once: the second has an old version in hand. Who can't renew in time stops
//! before anybody else may begin. Source: `client-go/tools/leaderelection/leaderelection.go`.

use kit_api::coordination::{Lease, LeaseSpec};
use kit_api::jiff::SignedDuration;
use kit_api::meta::ObjectMeta;
use kit_api::time;
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_server::{Error, Server};
use kit_time::agenda::Instant;

/// How patient everybody is. Each must be shorter than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long others wait after the last renewal that they saw.
    pub lease_duration: Instant,
    /// How long the leader tries to renew before it gives up.
    pub renew_deadline: Instant,
    /// How often everybody tries.
    pub retry_period: Instant,
}

impl Default for Timing {
    /// The defaults of kube-controller-manager and kube-scheduler.
    fn default() -> Timing {
        Timing {
            lease_duration: Instant::seconds(15),
            renew_deadline: Instant::seconds(10),
            retry_period: Instant::seconds(2),
        }
    }
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It leads from now on.
    Started,
    /// It leads on.
    Renewed,
    /// It leads no more.
    Stopped,
    /// Somebody else leads, or nobody yet.
    Waiting,
}

/// One candidate.
#[derive(Debug)]
pub struct Elector {
    identity: String,
    lease: Key,
    timing: Timing,
    /// The lease as it was last seen, and when it was first seen so.
    observed: Option<(LeaseSpec, Instant)>,
    /// How far its clock is ahead of the others': it is written into the lease, and nobody goes by it.
    pub skew: Instant,
    /// When it last made or renewed the lease, if it leads.
    renewed: Option<Instant>,
    next: Instant,
}

impl Elector {
    /// A candidate for the lease of this name.
    pub fn new(identity: &str, namespace: &str, name: &str, timing: Timing) -> Elector {
        Elector {
            identity: identity.into(),
            lease: Key::new(Kind::Lease, namespace, name),
            timing,
            observed: None,
            skew: Instant::default(),
            renewed: None,
            next: Instant::default(),
        }
    }

    /// Whether it may act as the leader at this time.
    pub fn leads(&self, now: Instant) -> bool {
        self.renewed.is_some_and(|renewed| now < renewed + self.timing.renew_deadline)
    }

    /// When it wants to try again.
    pub fn next_try(&self) -> Instant {
        self.next
    }

    /// Tries to become or to stay the leader. `server` is none if it can't be reached.
    pub fn try_now(&mut self, server: Option<&mut Server>, now: Instant) -> Turn {
        self.next = now + self.timing.retry_period;
        let led = self.renewed.is_some();
        let held = server.is_some_and(|server| self.acquire_or_renew(server, now).unwrap_or(false));
        if held {
            self.renewed = Some(now);
            return if led { Turn::Renewed } else { Turn::Started };
        }
        if led && !self.leads(now) {
            self.renewed = None;
            return Turn::Stopped;
        }
        if led { Turn::Renewed } else { Turn::Waiting }
    }

    fn acquire_or_renew(&mut self, server: &mut Server, now: Instant) -> Result<bool, Error> {
        let time = server.time() + SignedDuration::from_nanos(self.skew.nanos);
        let time = Some(time::micros(time));
        let mut mine = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some((self.timing.lease_duration.nanos / 1_000_000_000) as i32),
            acquire_time: time.clone(),
            renew_time: time,
            lease_transitions: Some(0),
            ..LeaseSpec::default()
        };
        let mut lease = match server.fetch::<Lease>(&self.lease.namespace, &self.lease.name) {
            Ok(lease) => lease,
            Err(error) if error.is_not_found() => {
                let metadata = ObjectMeta {
                    name: Some(self.lease.name.to_string()),
                    namespace: Some(self.lease.namespace.to_string()),
                    ..ObjectMeta::default()
                };
                server.create(Lease { metadata, spec: Some(mine.clone()) }.into_object())?;
                self.observed = Some((mine, now));
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        let there = lease.spec.clone().unwrap_or_default();
        if self.observed.as_ref().is_none_or(|(seen, _)| *seen != there) {
            self.observed = Some((there.clone(), now));
        }
        let holder = there.holder_identity.clone().unwrap_or_default();
        let since = self.observed.as_ref().map_or(now, |(_, since)| *since);
        let lasts = Instant::seconds(i64::from(there.lease_duration_seconds.unwrap_or(0)));
        if !holder.is_empty() && holder != self.identity && now < since + lasts {
            return Ok(false);
        }
        let transitions = there.lease_transitions.unwrap_or(0);
        if holder == self.identity {
            mine.acquire_time = there.acquire_time;
            mine.lease_transitions = Some(transitions);
        } else {
            mine.lease_transitions = Some(transitions + 1);
        }
        lease.spec = Some(mine.clone());
        server.update(lease.into_object())?;
        self.observed = Some((mine, now));
        Ok(true)
    }

    /// Gives the lease back, so that nobody has to wait for it.
    ///
    /// # Errors
    ///
    /// If somebody else has changed the lease.
    pub fn release(&mut self, server: &mut Server) -> Result<(), Error> {
        if self.renewed.take().is_none() {
            return Ok(());
        }
        let mut lease: Lease = server.fetch(&self.lease.namespace, &self.lease.name)?;
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() == Some(self.identity.as_str()) {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            server.update(lease.into_object())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn candidate(name: &str) -> Elector {
        Elector::new(name, "kube-system", "scheduler", Timing::default())
    }

    /// Lets both try every two seconds; who leads, second by second, from the first change on.
    fn play(
        server: &mut Server,
        a: &mut Elector,
        b: &mut Elector,
        seconds: i64,
        a_is_cut_off: impl Fn(i64) -> bool,
    ) -> Vec<(i64, String)> {
        let mut history: Vec<(i64, String)> = Vec::new();
        for second in 0..seconds {
            let now = Instant::seconds(second);
            server.enter(now, &Arc::from("test"));
            for (elector, cut) in [(&mut *a, a_is_cut_off(second)), (&mut *b, false)] {
                if elector.next_try() <= now {
                    elector.try_now((!cut).then_some(&mut *server), now);
                }
            }
            let leaders: Vec<&str> = [("a", a.leads(now)), ("b", b.leads(now))]
                .iter()
                .filter(|(_, leads)| *leads)
                .map(|(name, _)| *name)
                .collect();
            assert!(leaders.len() < 2, "two lead at {second}s");
            let leader = leaders.concat();
            if history.last().is_none_or(|(_, last)| *last != leader) {
                history.push((second, leader));
            }
        }
        history
    }

    #[test]
    fn another_leads_when_the_lease_has_run_out() {
        let (mut server, mut a, mut b) = (crate::reference_server(), candidate("a"), candidate("b"));
        let history = play(&mut server, &mut a, &mut b, 60, |second| second >= 20);
        let told: Vec<(i64, &str)> = history.iter().map(|(second, leader)| (*second, leader.as_str())).collect();
        // It renewed at 18 s for the last time: it stops after ten seconds, and the other waits for fifteen.
        assert_eq!(told, [(0, "a"), (28, ""), (34, "b")]);
        let lease: Lease = server.fetch("kube-system", "scheduler").expect("it is there");
        assert_eq!(lease.spec.and_then(|spec| spec.lease_transitions), Some(1));
    }

    #[test]
    fn a_short_break_changes_nothing() {
        let (mut server, mut a, mut b) = (crate::reference_server(), candidate("a"), candidate("b"));
        let history = play(&mut server, &mut a, &mut b, 60, |second| (20..26).contains(&second));
        assert_eq!(history, [(0, "a".to_string())]);
    }

    #[test]
    fn a_lease_that_is_given_back_is_free_at_once() {
        let (mut server, mut a, mut b) = (crate::reference_server(), candidate("a"), candidate("b"));
        assert_eq!(a.try_now(Some(&mut server), Instant::default()), Turn::Started);
        assert_eq!(b.try_now(Some(&mut server), Instant::default()), Turn::Waiting);
        a.release(&mut server).expect("nobody changed it");
        assert_eq!(b.try_now(Some(&mut server), Instant::seconds(2)), Turn::Started);
        assert!(!a.leads(Instant::seconds(2)));
    }
}
