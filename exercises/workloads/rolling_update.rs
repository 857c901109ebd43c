//! # How a Deployment replaces its pods
//!
//! A Deployment owns a replica set for each template that it ever had, and all that it does is to set their sizes. You
//! decide the sizes: how a rollout creeps forward between two bounds, how one that is stuck is undone, and how a
//! Deployment is scaled in the middle of it.
//!
//! About 45 minutes · builds on nothing · book: "Deployments: rolling updates" · stuck? `cargo grade hint workloads/rolling_update`
//!
//! Given to you:
//!
//! - `kit::api::int_or_percent::scaled: fn(&kit::workloads::rolling_update::IntOrString, i32, Round) -> Result<i32, String>`: the amount, the whole, how to round

use kit::api::int_or_percent::{Round, scaled};
use kit::workloads::DeploymentController;
use kit::workloads::rolling_update::{Action, Fenceposts, RollingUpdate, Strategy, SyncRequest, SyncResult};

/// The controller remembers nothing between two syncs: all that it knows is in the request. The size of a replica set
/// is its `replicas`; it is active if its size isn't 0. The one with `new: true` is the new one, all others are old.
#[derive(Default)]
struct Exercise;

impl DeploymentController for Exercise {
    /// How many pods more than `replicas` there may be, and how many of them may be unavailable.
    ///
    /// A percentage of the surge is rounded up, one of the unavailable pods down. If both come to 0, one pod may be
    /// unavailable. No more than `replicas` can be.
    fn fenceposts(&self, update: &RollingUpdate, replicas: i32) -> Fenceposts {
        let _ = (update, replicas, scaled, Round::Up);
        todo!("let `scaled` round each of the two, then look at both")
    }

    /// What to do now. An action names only a set whose size changes.
    ///
    /// If the Deployment is paused, or an active set has `desired_replicas` other than `replicas`: `scale`. Otherwise
    /// what the strategy says.
    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let _ = (Strategy::Recreate, Action::CreateNew { replicas: request.replicas });
        let _ = (scale, roll, recreate);
        todo!("scale, roll or recreate?")
    }
}

/// The next step of a rolling update.
///
/// 1. *The new set.* If it isn't there, create it as large as is possible: at most `replicas`, and at most the room
///    that the sizes of all sets leave below `replicas` plus surge; with 0 if there is no room. If it is smaller than
///    `replicas`, it grows by as much of the difference as there is room for; if it is larger, it shrinks to
///    `replicas`. If it grew or shrank, do nothing else. If it was created, go on with it; none of its pods is available.
/// 2. *How many.* The active old sets may lose, together, the sum of all sizes less `min_available` (`replicas` less
///    the pods that may be unavailable), less the pods of the new set that aren't available (its size less its
///    available pods). If that isn't more than 0, do nothing else.
/// 3. *The unhealthy ones first.* From the oldest to the youngest, each active old set loses its pods that aren't
///    available, up to that number for all together; when it is used up, go on with 4. If, before that, one has more
///    available pods than its size, its status is behind: do nothing else.
/// 4. *The others.* What is available beyond `min_available`, in the new set and in the sets that were active, the
///    old ones lose, from the oldest to the youngest, none below 0.
fn roll(request: &SyncRequest, posts: Fenceposts) -> Vec<Action> {
    let _ = (request, posts);
    todo!("the new set first; then how many pods the old ones may lose, and which")
}

/// The next step where all old pods have to be gone before a new one comes.
///
/// If old sets are active, they get the size 0, and that is all. While `old_pods_running`, nothing is done. Then the new
/// set is created with `replicas`, or gets that size.
fn recreate(request: &SyncRequest) -> Vec<Action> {
    let _ = request;
    todo!("first down, then wait, then up")
}

/// Another number of replicas in the middle of a rollout, or while the Deployment is paused. Never creates a set.
/// `posts` is none with the strategy `Recreate`.
///
/// 1. If at most one set is active, it gets the size `replicas`. If none is: the new set, or without one the youngest.
/// 2. If the size, the `desired_replicas` and the available pods of the new set are all equal to `replicas`, the
///    active old sets get the size 0, and that is all.
/// 3. With `Recreate` nothing else is done. With `RollingUpdate`, what is missing to `replicas` plus surge (to 0 if
///    `replicas` is 0), or what is above it, is shared out among the active sets, largest first; of equally large
///    ones the younger first to grow, the older first to shrink. The share of a set is its size × (`replicas` +
///    surge) ÷ its `max_replicas`, rounded to the nearest whole number, less its size. If `replicas` is 0 it is minus
///    its size; otherwise, if `max_replicas` is 0, it is 0. A share is never more than what is left: while sets grow
///    it is at most what is left, while they shrink it is no further below 0 than what is left. (A share may have the
///    other sign. Then more is left than before.) As soon as nothing is left, every further share is 0. What is left
///    after the last set is added to the first one, whose size doesn't fall below 0.
fn scale(request: &SyncRequest, posts: Option<Fenceposts>) -> Vec<Action> {
    let _ = (request, posts);
    todo!("one active set? a saturated one? otherwise in proportion")
}

kit::exercise!(Exercise: DeploymentController);
