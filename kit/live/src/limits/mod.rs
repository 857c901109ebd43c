//! Priority and fairness: who is served next where more is asked for than can be done.
//!
//! Each request has a place ([`schemas`]). A priority level has so many seats; what finds none waits, and flows take turns:
//! somebody with two hundred requests and somebody with one wait for as many of each other's as of their own. What would
//! wait behind too many of its own flow, or has waited too long, is told to come back. A watch gives its seat back once it
//! has begun. Source: `apiserver/pkg/{server/filters/priority-and-fairness.go,util/flowcontrol}`. Where upstream deals the
//! flows of a level onto a number of queues, so that two of them seldom meet, each has a queue of its own here; and since
//! the engine serves one request at a time, levels lend each other no seats.

pub mod schemas;

use kit_server::{RequestInfo, User};
use schemas::{LEVELS, Place, place, seats};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a request may wait: a quarter of `--request-timeout`.
const PATIENCE: Duration = Duration::from_secs(15);

/// The levels as they are now.
#[derive(Default)]
pub struct Limits(Mutex<BTreeMap<&'static str, Line>>);

/// Who is served and who waits at one level.
#[derive(Default)]
struct Line {
    served: usize,
    waiting: BTreeMap<String, VecDeque<oneshot::Sender<Seat>>>,
    /// Flows that wait, in the order of their turns.
    turns: VecDeque<String>,
}

/// A place among those that are served, until it is dropped.
pub struct Seat(Option<(Arc<Limits>, &'static str)>);

/// There are too many requests already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// The priority level where no room is.
    pub level: &'static str,
    /// The flow schema of the request.
    pub schema: &'static str,
    /// `concurrency-limit`, `queue-full` or `time-out`, as metrics name it.
    pub reason: &'static str,
}

impl Limits {
    /// Waits for a seat.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is none, and no room to wait for one.
    pub async fn enter(self: &Arc<Limits>, user: &User, info: &RequestInfo) -> Result<Seat, Full> {
        let Place { level, flow, schema } = place(user, info);
        let full = |reason| Full { level, schema, reason };
        let Some((of, seats)) = LEVELS.iter().find(|of| of.name == level).and_then(|of| Some((of, seats(of)?))) else {
            return Ok(Seat(None));
        };
        // What goes on for as long as it likes, and is no watch, holds nobody up.
        if info.long_running() && info.verb != "watch" {
            return Ok(Seat(None));
        }
        let waits = {
            let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let line = lines.entry(level).or_default();
            if line.served < seats {
                line.served += 1;
                return Ok(Seat(Some((self.clone(), level))));
            }
            let queue = line.waiting.entry(flow.clone()).or_default();
            // Who has gone away meanwhile takes nobody's room.
            queue.retain(|waiting| !waiting.is_closed());
            if queue.len() >= of.waiting {
                if queue.is_empty() {
                    line.waiting.remove(&flow);
                }
                tracing::debug!(schema, level, flow, "too many requests");
                return Err(full(if of.waiting == 0 { "concurrency-limit" } else { "queue-full" }));
            }
            let (tell, told) = oneshot::channel();
            queue.push_back(tell);
            if !line.turns.contains(&flow) {
                line.turns.push_back(flow);
            }
            told
        };
        match tokio::time::timeout(PATIENCE, waits).await {
            Ok(Ok(seat)) => Ok(seat),
            _ => Err(full("time-out")),
        }
    }

    /// Hands a seat that got free to the flow whose turn it is.
    fn leave(self: &Arc<Limits>, level: &'static str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(line) = lines.get_mut(level) else { return };
        line.served = line.served.saturating_sub(1);
        while let Some(flow) = line.turns.pop_front() {
            let Some(queue) = line.waiting.get_mut(&flow) else { continue };
            let next = queue.pop_front();
            match queue.is_empty() {
                true => _ = line.waiting.remove(&flow),
                false => line.turns.push_back(flow),
            }
            let Some(next) = next else { continue };
            match next.send(Seat(Some((self.clone(), level)))) {
                Ok(()) => {
                    line.served += 1;
                    return;
                }
                // Nobody waits there any more; the seat was never taken.
                Err(mut seat) => _ = seat.0.take(),
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some((limits, level)) = self.0.take() {
            limits.leave(level);
        }
    }
}

#[cfg(test)]
mod tests;
