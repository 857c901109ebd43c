//! # A database operator: failover without losing a write
//!
//! A primary that says nothing may be dead, or may be taking orders from clients whom you don't hear. You write the decisions of an operator
//! of databases: who is the primary, when somebody else may take over, how to upgrade and drain, and which backups a restore needs.
//!
//! About 55 minutes · builds on nothing · book: "A database operator: failover without losing a write" · stuck? `cargo grade hint failure/database_operator`
//!
//! Given to you:
//!
//! - `Database.name: String`, `.spec: Spec`, `.status: Status`, `.instances: Vec<Instance>` by their numbers; `Database::instance: fn(&Database, &str) -> Option<&Instance>`
//! - `kit::failure::database_operator::Spec.instances: u32`, `.image: String`, `.synchronous: u32`, `.max_lag: Option<u64>`, `.failover_delay_seconds: u32`,
//!   `.isolation_seconds: Option<u32>`, `.wanted_primary: Option<String>`
//! - `kit::failure::database_operator::Status.current_primary: Option<String>`, `.target_primary: Option<String>`, `.failing_seconds: u32`, `.primary_lsn: u64`
//! - `Instance.number: u32`, `.name: String`, `.pod: Option<Pod>`, `.role: Option<Role>` (its label), `.report: Option<Report>`, `.silent_seconds: u32`
//! - `kit::failure::database_operator::Pod.image: String`, `.ready`, `.terminating`, `.cordoned`, `.out_of_service: bool`; `Report.state: State`, `.timeline: u32`, `.lsn: u64`, `.receiving: bool`
//! - `Backups.now`, `.every_seconds`, `.window_seconds: i64`, `.backups: Vec<Backup>`, `.archive: Vec<Segment>`
//! - `Backup.name: String`, `.begun_at: i64`, `.phase: Phase`, `.ended_at: Option<i64>`, `.lsn: u64`, `.test: Test`; `Segment.timeline: u32`, `.from`, `.to: u64`, `.last_at: i64`

use kit::failure::DatabaseOperator;
use kit::failure::database_operator::{
    Action, Backup, BackupAction, Backups, Database, Instance, NoRestore, Phase, RestorePlan, Role, RoleChange, State,
    Test,
};

#[derive(Default)]
struct Exercise;

impl DatabaseOperator for Exercise {
    /// Which labels are to change, in any order; no change for a label that is right, and none for an instance without a pod.
    ///
    /// - `Primary`: the current primary, as long as it is the target, too, whatever it reports. As soon as it isn't the target any more, it
    ///   has no label.
    /// - `Replica`: any other instance that reports `State::Replica`.
    /// - All others have none.
    fn roles(&self, database: &Database) -> Vec<RoleChange> {
        let _ = (database, None::<(RoleChange, Role, State)>);
        todo!("which label should each instance have, and which has it?")
    }

    /// The next action; none if there is something to wait for, or nothing to do.
    ///
    /// - An instance is *healthy* if it has a pod that is ready and not terminating, and it reports.
    /// - A *candidate* is a healthy instance that reports `Replica` and isn't the current primary. The *best* of several has the highest
    ///   timeline; of these, the highest position in the log; of these, the lowest number.
    /// - The current primary *can't write* if there is no such instance, or it has no pod; if its pod's node is out of service; if it reports and
    ///   is not `Primary`; or if there are `isolation_seconds`, and it has been silent for longer.
    /// - The candidates are *complete* if there is one, and one of them surely has what was acknowledged to clients. With `synchronous` above 0
    ///   that is R + W > N, with R the number of candidates, W `synchronous`, N the number of all instances but the current primary, with and
    ///   without pods. Otherwise the best one's log must be at most `max_lag` records behind `primary_lsn`, if there is a `max_lag`.
    ///
    /// The first rule that applies decides:
    ///
    /// 1. There is no current primary yet: create the target, unless it has a pod; then wait.
    /// 2. The target is another instance than the current primary: wait if it is healthy. If not, the target becomes none.
    /// 3. The target is none, so a failover waits for its moment. Wait while any candidate still receives. Then, if the candidates are complete,
    ///    and `synchronous` is above 0 or the current primary can't write, the target becomes the best one. If not: *help* the old one.
    /// 4. The target is the current primary, and it isn't healthy or doesn't report `Primary`. If `failing_seconds` has reached
    ///    `failover_delay_seconds` and the candidates are complete, the target becomes none. If not: *help* it.
    /// 5. A candidate is a *successor* if it receives and isn't on a cordoned node. `wanted_primary` is a successor with the image that is asked
    ///    for: it becomes the target. Otherwise, if the current primary is on a cordoned node: the best successor becomes it.
    /// 6. An instance has no pod: create it, the lowest number first. There are fewer instances than asked for: create the lowest number that is
    ///    free, counted from 1 (`orders-1`). There are more: remove the highest number that isn't the current primary.
    /// 7. Another image is asked for, and all instances but the current primary are candidates that receive. Restart the replica with another
    ///    image whose log is the shortest; of these, the one with the highest number. If only the current primary has another image: the best
    ///    successor becomes the target; if there is no candidate at all, restart the primary.
    ///
    /// To *help* the current primary: if it has no pod, create it. If there is no target and no candidate, and it is healthy, it becomes the
    /// target again. Otherwise wait.
    fn next(&self, database: &Database) -> Option<Action> {
        let _ = (database, None::<(Action, Instance)>);
        todo!("is there a primary, is it the target, is it well? Three questions lead to the rule")
    }

    /// What to do with backups now, in any order.
    ///
    /// A backup is *good* if it is done and its test hasn't failed. No two begin, and no two end, at the same moment.
    ///
    /// - `Start` if none is running, and there is none at all, or the last one, however it went, began `every_seconds` ago or longer.
    /// - `Test` the good one that began last, if it wasn't tested and no test is running.
    /// - `Delete`: it must be possible to restore to each moment of the last `window_seconds`. The good backup that ended last at or before the
    ///   window's beginning is needed for that; a good one that ended before that one isn't needed. One that isn't good, and isn't running, is
    ///   deleted if a good one began after it.
    fn backups(&self, backups: &Backups) -> Vec<BackupAction> {
        let _ = (backups, None::<(BackupAction, Backup, Phase, Test)>);
        todo!("which backup does a restore to the first moment of the window begin with?")
    }

    /// With what the database is brought back as it was at the moment `to`.
    ///
    /// It begins with the good backup that ended last at or before `to`. Then come segments of the archived log: the first one begins at the
    /// backup's `lsn`, each further one where the one before it ends. Where several begin, the highest timeline is taken. The first segment
    /// whose last record is of `to` or later is the last one.
    fn restore(&self, backups: &Backups, to: i64) -> Result<RestorePlan, NoRestore> {
        let _ = (backups, to, None::<(RestorePlan, NoRestore)>);
        todo!("which segment begins at the backup's lsn? And then?")
    }
}

kit::exercise!(Exercise: DatabaseOperator);
