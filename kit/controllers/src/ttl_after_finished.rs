//! The TTL-after-finished controller: deletes jobs some time after they have ended, and their pods with them.
//!
//! Source: `pkg/controller/ttlafterfinished/ttlafterfinished_controller.go`.

use crate::job::view;
use kit_api::batch::Job;
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_apimachinery::object::{About, Key, Kind};
use kit_client::component::{Component, World};
use kit_client::work_queue::{Tally, WorkQueue};
use kit_server::{Change, ChangeKind, DeleteOptions, Error, Propagation};
use kit_time::agenda::Instant;

/// Deletes jobs that have outlived their time.
#[derive(Default)]
pub struct TtlAfterFinished {
    queue: WorkQueue<Key>,
}

/// How long a job may still be there; none for ever, or until it ends (`processTTL`).
fn left(job: &Job, now: Timestamp) -> Option<SignedDuration> {
    let ttl = job.spec.as_ref()?.ttl_seconds_after_finished?;
    let ended = view::finished(job).filter(|_| job.metadata.deletion_timestamp.is_none())?;
    let ended = ended.last_transition_time.as_ref()?.0;
    Some(SignedDuration::from_secs(ttl.into()) - now.duration_since(ended))
}

/// Looks at one job as the cache has it, and, before it is deleted, as the API has it. The answer is when its time is
/// over, if that is to come.
///
/// # Errors
///
/// The API server couldn't delete it.
pub fn look_at(job: &Job, world: &mut World<'_>) -> Result<Option<SignedDuration>, Error> {
    let (now, key) = (world.time(), About::from(job).key());
    let fresh = match left(job, now) {
        Some(left) if left <= SignedDuration::ZERO => world.server.fetch::<Job>(&key.namespace, &key.name),
        wait => return Ok(wait),
    };
    let fresh = match fresh {
        Err(error) if error.is_not_found() => return Ok(None),
        fresh => fresh?,
    };
    match left(&fresh, now) {
        Some(left) if left <= SignedDuration::ZERO => {}
        wait => return Ok(wait),
    }
    let uid = fresh.metadata.uid;
    let options = DeleteOptions { uid, propagation: Propagation::Foreground, ..DeleteOptions::default() };
    world.server.delete(&key, &options).map(|_| None)
}

impl Component for TtlAfterFinished {
    fn name(&self) -> &'static str {
        "ttl-after-finished-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Job]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let job = change.object.get::<Job>().filter(|_| change.kind != ChangeKind::Deleted);
        if job.is_some_and(|job| left(job, world.time()).is_some()) {
            self.queue.add(change.object.key.clone(), world.now);
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(key) = self.queue.pop(world.now) {
            let Some(job) = world.cache.fetch::<Job>(&key.namespace, &key.name) else { continue };
            match look_at(job, world) {
                Err(error) if !error.is_not_found() => {
                    self.queue.retry(key, world.now);
                    continue;
                }
                Ok(Some(left)) => self.queue.add(key.clone(), world.now + crate::job::later(left)),
                _ => {}
            }
            self.queue.forget(&key);
        }
    }

    fn queues(&self, now: Instant) -> Vec<(&'static str, Tally)> {
        vec![("ttl_jobs_to_delete", self.queue.tally(now))]
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}
