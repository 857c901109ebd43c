//! The core of an operator of databases: who is the primary, what to do when it is lost, and what backups are worth.
//!
//! Modelled on CloudNativePG: `internal/controller/replicas.go` (failover), `internal/controller/replicas_quorum.go` (R + W > N),
//! `internal/controller/cluster_upgrade.go` (replicas first) and `internal/controller/primary_lease.go`; on PostgreSQL's
//! `continuous-archiving` for the restore, and on Barman's recovery window for what is kept.
//!
//! The kit around it asks the instances how they are, keeps the times, makes pods and claims, and writes the status. A manager in each
//! instance reads the status and acts on it by itself: who is the target promotes itself once the old primary has stopped or can't be
//! reached, and becomes the current primary; a primary that isn't the target any more stops, and follows the new one. Whoever can't
//! reach the API server reads nothing, and goes on as it was.

use crate::show::unordered;
use crate::{Show, flow};
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Decides for one database at a time. It remembers nothing: all that matters is in what it is shown.
    pub trait DatabaseOperator {
        /// Which labels are to change, in any order; no change for a label that is right, and none for an instance without a pod.
        ///
        /// The Service `-rw` leads to the label `primary`, `-ro` to `replica`.
        ///
        /// - `primary`: the current primary, as long as it is the target, too, whatever it reports. As soon as it isn't the target any
        ///   more, it has no label.
        /// - `replica`: any other instance that reports [`State::Replica`].
        /// - All others have none.
        fn roles(&self, database: &Database) -> Vec<RoleChange>;

        /// The next action; none if there is something to wait for, or nothing to do.
        ///
        /// - An instance is *healthy* if it has a pod that is ready and not terminating, and it reports.
        /// - A *candidate* is a healthy instance that reports `Replica` and isn't the current primary. The *best* of several has the
        ///   highest timeline; of these, the highest position in the log; of these, the lowest number.
        /// - The current primary *can't write* if there is no such instance, or it has no pod; if its pod's node is out of service; if it
        ///   reports and is not `Primary`; or if there are `isolation_seconds`, and it has been silent for longer.
        /// - The candidates are *complete* if there is one, and one of them surely has what was acknowledged to clients. With `synchronous` above
        ///   0 that is R + W > N, with R the number of candidates, W `synchronous`, N the number of all instances but the current primary, with
        ///   and without pods. Otherwise the best one's log must be at most `max_lag` records behind `primary_lsn`, if there is a `max_lag`.
        ///
        /// The first rule that applies decides:
        ///
        /// 1. There is no current primary yet: create the target, unless it has a pod; then wait.
        /// 2. The target is another instance than the current primary: wait if it is healthy. If not, the target becomes none.
        /// 3. The target is none, so a failover waits for its moment. Wait while any candidate still receives. Then, if the candidates are
        ///    complete, and `synchronous` is above 0 or the current primary can't write, the target becomes the best one. If not: *help* the old one.
        /// 4. The target is the current primary, and it isn't healthy or doesn't report `Primary`. If `failing_seconds` has reached
        ///    `failover_delay_seconds` and the candidates are complete, the target becomes none. If not: *help* it.
        /// 5. A candidate is a *successor* if it receives and isn't on a cordoned node. `wanted_primary` is a successor with the image that is asked
        ///    for: it becomes the target. Otherwise, if the current primary is on a cordoned node: the best successor becomes it.
        /// 6. An instance has no pod: create it, the lowest number first. There are fewer instances than asked for: create the lowest number that
        ///    is free, counted from 1. There are more: remove the highest number that isn't the current primary.
        /// 7. Another image is asked for, and all instances but the current primary are candidates that receive. Restart the replica with
        ///    another image whose log is the shortest; of these, the one with the highest number. If only the current primary has another image:
        ///    the best successor becomes the target; if there is no candidate at all, restart the primary.
        ///
        /// To *help* the current primary: if it has no pod, create it. If there is no target and no candidate, and it is healthy, it becomes
        /// the target again. Otherwise wait. An instance that is created has the claim of its name, and what is on it, if there is one.
        fn next(&self, database: &Database) -> Option<Action>;

        /// What to do with backups now, in any order.
        ///
        /// A backup is *good* if it is done and its test hasn't failed. No two begin, and no two end, at the same moment.
        ///
        /// - `Start` if none is running, and there is none at all, or the last one, however it went, began `every_seconds` ago or longer.
        /// - `Test` the good one that began last, if it wasn't tested and no test is running.
        /// - `Delete`: it must be possible to restore to each moment of the last `window_seconds`. The good backup that ended last at or before the
        ///   window's beginning is needed for that; a good one that ended before that one isn't needed. One that isn't good, and isn't running,
        ///   is deleted if a good one began after it.
        fn backups(&self, backups: &Backups) -> Vec<BackupAction>;

        /// With what the database is brought back as it was at the moment `to`.
        ///
        /// It begins with the good backup that ended last at or before `to`. Then come segments of the archived log: the first one begins at
        /// the backup's `lsn`, each further one where the one before it ends. Where several begin, the highest timeline is taken: what was written
        /// on the older one after that is what a failover has lost. The first segment whose last record is of `to` or later is the last one.
        fn restore(&self, backups: &Backups, to: i64) -> Result<RestorePlan, NoRestore>;
    }
}

/// A database as its operator sees it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// What its instances' names begin with: number 2 of `orders` is `orders-2`.
    pub name: String,
    /// What is asked for.
    pub spec: Spec,
    /// What was decided and seen so far.
    pub status: Status,
    /// Its instances by their numbers: what has a pod, or a claim that a pod left behind.
    pub instances: Vec<Instance>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// How many instances; at least 1.
    pub instances: u32,
    /// Their image.
    pub image: String,
    /// How many replicas must have flushed a commit before a client hears of it; 0 for none (`ANY n` of `synchronous_standby_names`).
    #[serde(default)]
    pub synchronous: u32,
    /// How many records may be lost in a failover when nobody confirms commits; none for any number.
    #[serde(default)]
    pub max_lag: Option<u64>,
    /// How long the primary must have failed before somebody else takes over.
    #[serde(default)]
    pub failover_delay_seconds: u32,
    /// After how long an instance stops itself that hears neither the API server nor another instance; none if it never does.
    #[serde(default)]
    pub isolation_seconds: Option<u32>,
    /// Who should be the primary, if somebody has a wish.
    #[serde(default)]
    pub wanted_primary: Option<String>,
}

/// What was decided and seen so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The last one that became the primary; none before the first one did.
    #[serde(default)]
    pub current_primary: Option<String>,
    /// Who should be it; none while a failover waits for its moment (CloudNativePG writes `pending`). It is set when the database is new.
    #[serde(default)]
    pub target_primary: Option<String>,
    /// How long the current primary has not been healthy; 0 if it is.
    #[serde(default)]
    pub failing_seconds: u32,
    /// The position in the log that the current primary reported last.
    #[serde(default)]
    pub primary_lsn: u64,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Its number, 1 or more.
    pub number: u32,
    /// The name of its pod and of its claim.
    pub name: String,
    /// Its pod; none if only its claim is left.
    #[serde(default)]
    pub pod: Option<Pod>,
    /// The label that tells Services its role.
    #[serde(default)]
    pub role: Option<Role>,
    /// What its manager says; none if it doesn't answer.
    #[serde(default)]
    pub report: Option<Report>,
    /// How long it hasn't answered; 0 if it does.
    #[serde(default)]
    pub silent_seconds: u32,
}

/// The pod of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// Its image.
    pub image: String,
    /// Its condition `Ready`.
    pub ready: bool,
    /// Whether it was deleted and isn't gone yet. On a node that is silent it stays so.
    #[serde(default)]
    pub terminating: bool,
    /// Whether nothing new is placed on its node (`spec.unschedulable`).
    #[serde(default)]
    pub cordoned: bool,
    /// Whether its node has the taint `node.kubernetes.io/out-of-service`: somebody knows that the machine is off.
    #[serde(default)]
    pub out_of_service: bool,
}

/// A label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Clients write there.
    Primary,
    /// Clients may read there.
    Replica,
}

/// What an instance says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// What it does.
    pub state: State,
    /// The timeline of its log: each promotion begins a new one.
    pub timeline: u32,
    /// How many records its log has on the disk.
    pub lsn: u64,
    /// Whether it receives records from a primary.
    #[serde(default)]
    pub receiving: bool,
}

/// What an instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It accepts writes.
    Primary,
    /// It follows a primary, or waits for one.
    Replica,
    /// It was a primary or has just started, and does nothing until it knows what to do.
    Stopped,
}

/// The label of an instance is to be another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoleChange {
    /// The instance.
    pub name: String,
    /// The label that it should have.
    pub role: Option<Role>,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Makes the pod of an instance, and its claim if there is none.
    Create(String),
    /// Deletes the pod and the claim of an instance.
    Remove(String),
    /// Deletes the pod of an instance, so that it begins anew on its claim.
    Restart(String),
    /// Sets the target.
    Target(Option<String>),
}

/// The backups of a database, and its archived log. Times are in seconds since some moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backups {
    /// The time now.
    pub now: i64,
    /// How often a backup begins.
    pub every_seconds: i64,
    /// How far back one must be able to restore.
    pub window_seconds: i64,
    /// All backups, in any order.
    #[serde(default)]
    pub backups: Vec<Backup>,
    /// The archived log, in any order.
    #[serde(default)]
    pub archive: Vec<Segment>,
}

/// One backup of all data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Its name.
    pub name: String,
    /// When it began.
    pub begun_at: i64,
    /// How it went.
    pub phase: Phase,
    /// When it ended, well or not; none while it is running.
    #[serde(default)]
    pub ended_at: Option<i64>,
    /// The position in the log where it began: recovery needs the log from there.
    #[serde(default)]
    pub lsn: u64,
    /// Whether somebody restored it.
    #[serde(default)]
    pub test: Test,
}

/// How a backup went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It isn't over.
    Running,
    /// All is there.
    Done,
    /// It was given up.
    Failed,
}

/// Whether a backup was restored to try it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Not yet.
    #[default]
    None,
    /// A scratch instance is being made of it.
    Running,
    /// All rows were there.
    Passed,
    /// They weren't.
    Failed,
}

/// A piece of the log that was archived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Its timeline.
    pub timeline: u32,
    /// Where it begins.
    pub from: u64,
    /// Where it ends, and the next one begins; after `from`.
    pub to: u64,
    /// When its last record was written.
    pub last_at: i64,
}

/// Something to do about backups.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupAction {
    /// Begins one.
    Start,
    /// Restores one to a scratch instance and counts its rows.
    Test(String),
    /// Deletes one.
    Delete(String),
}

/// What a database is restored with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePlan {
    /// The backup.
    pub backup: String,
    /// Timeline and beginning of each segment, in order.
    pub segments: Vec<(u32, u64)>,
}

/// Why there is no way back to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoRestore {
    /// No good backup ended by then.
    NoBackup,
    /// No segment begins at this position, and the moment isn't reached.
    LogEnds(u64),
}
// ANCHOR_END: contract

impl Database {
    /// The instance of this name.
    pub fn instance(&self, name: &str) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.name == name)
    }
}

fn word(value: &impl Serialize) -> String {
    flow(value).replace('_', " ")
}

fn or_none(name: &Option<String>) -> &str {
    name.as_deref().unwrap_or("none")
}

impl Show for Database {
    fn lines(&self) -> Vec<String> {
        let Spec { instances, image, synchronous, max_lag, failover_delay_seconds, isolation_seconds, wanted_primary } =
            &self.spec;
        let mut asked = vec![format!("{} asks for {instances} × {image}", self.name)];
        if *synchronous > 0 {
            asked.push(format!("{synchronous} confirm each commit"));
        }
        asked.extend(max_lag.map(|lag| format!("at most {lag} records behind")));
        if *failover_delay_seconds > 0 {
            asked.push(format!("failover after {failover_delay_seconds} s"));
        }
        asked.extend(isolation_seconds.map(|seconds| format!("stops itself after {seconds} s alone")));
        asked.extend(wanted_primary.as_ref().map(|name| format!("wants {name}")));
        let Status { current_primary, target_primary, failing_seconds, primary_lsn } = &self.status;
        let failing = if *failing_seconds > 0 { format!(", failing for {failing_seconds} s") } else { String::new() };
        let status = format!(
            "primary {}, target {}, last at {primary_lsn}{failing}",
            or_none(current_primary),
            or_none(target_primary)
        );
        [asked.join(", "), status].into_iter().chain(self.instances.iter().flat_map(Show::lines)).collect()
    }
}

impl Show for Instance {
    fn lines(&self) -> Vec<String> {
        let mut words = vec![match &self.pod {
            None => "no pod".to_string(),
            Some(pod) => {
                let is = [
                    (pod.ready, "ready"),
                    (!pod.ready, "not ready"),
                    (pod.terminating, "terminating"),
                    (pod.cordoned, "on a cordoned node"),
                    (pod.out_of_service, "on a node out of service"),
                ];
                let is = is.iter().filter(|(is, _)| *is).map(|(_, word)| *word);
                format!("{} {}", pod.image, is.collect::<Vec<_>>().join(", "))
            }
        }];
        words.push(self.role.map_or("no label".into(), |role| format!("label {}", word(&role))));
        words.push(match &self.report {
            None => format!("silent for {} s", self.silent_seconds),
            Some(report) => report.lines().concat(),
        });
        let name = &self.name;
        let number =
            if name.ends_with(&format!("-{}", self.number)) { String::new() } else { format!(" ({})", self.number) };
        vec![format!("{name}{number}: {}", words.join("; "))]
    }
}

impl Show for Report {
    fn lines(&self) -> Vec<String> {
        let receiving = if self.receiving { ", receives" } else { "" };
        vec![format!("{} at {} of timeline {}{receiving}", word(&self.state), self.lsn, self.timeline)]
    }
}

impl Show for RoleChange {
    fn lines(&self) -> Vec<String> {
        vec![format!("{}: {}", self.name, self.role.map_or("no label".into(), |role| format!("label {}", word(&role))))]
    }
    fn meaning_of_list(list: &[RoleChange]) -> String {
        unordered(list)
    }
}

impl Show for Action {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Action::Create(name) => format!("create {}", flow(name)),
            Action::Remove(name) => format!("remove {}", flow(name)),
            Action::Restart(name) => format!("restart {}", flow(name)),
            Action::Target(None) => "target: none, a failover begins".into(),
            Action::Target(Some(name)) => format!("target: {}", flow(name)),
        }]
    }
}

impl Show for Backups {
    fn lines(&self) -> Vec<String> {
        let Backups { now, every_seconds, window_seconds, .. } = self;
        let first = format!("now {now}; a backup every {every_seconds} s, a window of {window_seconds} s");
        let backup = |backup: &Backup| {
            let Backup { name, begun_at, phase, ended_at, lsn, test } = backup;
            let ended = ended_at.map_or(String::new(), |at| format!(" to {at}"));
            let tested = if *test == Test::None { String::new() } else { format!(", test {}", word(test)) };
            format!("{name}: {}, from {begun_at}{ended}, log from {lsn}{tested}", word(phase))
        };
        let segment = |segment: &Segment| {
            let Segment { timeline, from, to, last_at } = segment;
            format!("log {from}–{to} of timeline {timeline}, last at {last_at}")
        };
        let (backups, archive) = (self.backups.iter().map(backup), self.archive.iter().map(segment));
        std::iter::once(first).chain(backups).chain(archive).collect()
    }
}

impl Show for BackupAction {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            BackupAction::Start => "start a backup".into(),
            BackupAction::Test(name) => format!("test {}", flow(name)),
            BackupAction::Delete(name) => format!("delete {}", flow(name)),
        }]
    }
    fn meaning_of_list(list: &[BackupAction]) -> String {
        unordered(list)
    }
}

impl Show for RestorePlan {
    fn lines(&self) -> Vec<String> {
        let segment = |(timeline, from): &(u32, u64)| format!("log from {from} of timeline {timeline}");
        std::iter::once(format!("backup {}", flow(&self.backup))).chain(self.segments.iter().map(segment)).collect()
    }
}

impl Show for NoRestore {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            NoRestore::NoBackup => "no backup from before that moment".into(),
            NoRestore::LogEnds(lsn) => format!("the log ends at {lsn}"),
        }]
    }
}
