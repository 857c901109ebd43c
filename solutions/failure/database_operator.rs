//! The reference for `failure/database_operator`: know that the old primary is silenced, know who has it all, and only then promote.

use kit::failure::DatabaseOperator;
use kit::failure::database_operator::{
    Action, Backup, BackupAction, Backups, Database, Instance, NoRestore, Phase, RestorePlan, Role, RoleChange, State,
    Test,
};
use std::cmp::Reverse;

// ANCHOR: solution
/// It remembers nothing: an operator that restarts in the middle of a failover goes on where it was.
#[derive(Default)]
pub struct Exercise;

impl DatabaseOperator for Exercise {
    fn roles(&self, database: &Database) -> Vec<RoleChange> {
        let status = &database.status;
        let wanted = |instance: &Instance| {
            let is_current = status.current_primary.as_ref() == Some(&instance.name);
            if is_current {
                return (status.target_primary == status.current_primary).then_some(Role::Primary);
            }
            reports(instance, State::Replica).then_some(Role::Replica)
        };
        let instances = database.instances.iter().filter(|instance| instance.pod.is_some());
        let changes = instances.filter(|instance| instance.role != wanted(instance));
        changes.map(|instance| RoleChange { name: instance.name.clone(), role: wanted(instance) }).collect()
    }

    fn next(&self, database: &Database) -> Option<Action> {
        let Some(primary) = &database.status.current_primary else { return begin(database) };
        match &database.status.target_primary {
            None => fail_over(database, primary),
            Some(target) if target != primary => {
                let is_healthy = database.instance(target).is_some_and(is_healthy);
                (!is_healthy).then_some(Action::Target(None))
            }
            Some(_) => match database.instance(primary) {
                Some(there) if is_healthy(there) && reports(there, State::Primary) => work_on(database, there),
                _ => suspect(database, primary),
            },
        }
    }

    // ANCHOR: backups
    fn backups(&self, all: &Backups) -> Vec<BackupAction> {
        let backups = &all.backups;
        let mut actions = Vec::new();
        let last = backups.iter().map(|backup| backup.begun_at).max();
        let is_running = backups.iter().any(|backup| backup.phase == Phase::Running);
        if !is_running && last.is_none_or(|last| all.now - last >= all.every_seconds) {
            actions.push(BackupAction::Start);
        }
        let last_good = backups.iter().filter(|backup| is_good(backup)).max_by_key(|backup| backup.begun_at);
        let is_tested = backups.iter().any(|backup| backup.test == Test::Running);
        if let Some(backup) = last_good.filter(|backup| backup.test == Test::None && !is_tested) {
            actions.push(BackupAction::Test(backup.name.clone()));
        }
        // With it, the window's first moment can be reached.
        let needed = good_by(backups, all.now - all.window_seconds).and_then(|backup| backup.ended_at);
        let is_useless = |backup: &&Backup| match is_good(backup) {
            true => backup.ended_at < needed,
            false => backup.phase != Phase::Running && last_good.is_some_and(|good| good.begun_at > backup.begun_at),
        };
        let useless = backups.iter().filter(is_useless);
        actions.extend(useless.map(|backup| BackupAction::Delete(backup.name.clone())));
        actions
    }

    fn restore(&self, all: &Backups, to: i64) -> Result<RestorePlan, NoRestore> {
        let backup = good_by(&all.backups, to).ok_or(NoRestore::NoBackup)?;
        let mut plan = RestorePlan { backup: backup.name.clone(), segments: Vec::new() };
        let mut lsn = backup.lsn;
        loop {
            let here = all.archive.iter().filter(|segment| segment.from == lsn);
            let segment = here.max_by_key(|segment| segment.timeline).ok_or(NoRestore::LogEnds(lsn))?;
            plan.segments.push((segment.timeline, segment.from));
            if segment.last_at >= to {
                return Ok(plan);
            }
            lsn = segment.to;
        }
    }
    // ANCHOR_END: backups
}

fn reports(instance: &Instance, state: State) -> bool {
    instance.report.is_some_and(|report| report.state == state)
}

fn is_healthy(instance: &Instance) -> bool {
    instance.pod.as_ref().is_some_and(|pod| pod.ready && !pod.terminating) && instance.report.is_some()
}

fn receives(instance: &Instance) -> bool {
    instance.report.is_some_and(|report| report.receiving)
}

fn lsn(instance: &Instance) -> u64 {
    instance.report.map_or(0, |report| report.lsn)
}

/// Who could take over, the best one first.
fn candidates<'a>(database: &'a Database, primary: &str) -> Vec<&'a Instance> {
    let may =
        |instance: &&Instance| instance.name != primary && is_healthy(instance) && reports(instance, State::Replica);
    let mut candidates: Vec<_> = database.instances.iter().filter(may).collect();
    let timeline = |instance: &Instance| instance.report.map_or(0, |report| report.timeline);
    candidates.sort_by_key(|instance| (Reverse(timeline(instance)), Reverse(lsn(instance)), instance.number));
    candidates
}

/// The first primary of a new database.
fn begin(database: &Database) -> Option<Action> {
    let target = database.status.target_primary.as_ref()?;
    let has_pod = database.instance(target).is_some_and(|instance| instance.pod.is_some());
    (!has_pod).then(|| Action::Create(target.clone()))
}

// ANCHOR: failover
/// Whether one of the candidates surely has all that was acknowledged, or as much as must be.
fn is_complete(database: &Database, primary: &str, candidates: &[&Instance]) -> bool {
    let spec = &database.spec;
    if spec.synchronous > 0 {
        let all = database.instances.iter().filter(|instance| instance.name != primary).count();
        return !candidates.is_empty() && candidates.len() + spec.synchronous as usize > all;
    }
    let behind = |best: &&Instance| database.status.primary_lsn.saturating_sub(lsn(best));
    candidates.first().is_some_and(|best| spec.max_lag.is_none_or(|most| behind(best) <= most))
}

fn cannot_write(database: &Database, primary: &str) -> bool {
    let Some(instance) = database.instance(primary) else { return true };
    let Some(pod) = &instance.pod else { return true };
    pod.out_of_service
        || instance.report.is_some_and(|report| report.state != State::Primary)
        || database.spec.isolation_seconds.is_some_and(|most| instance.silent_seconds > most)
}

/// The primary isn't what it should be, and still the target.
fn suspect(database: &Database, primary: &str) -> Option<Action> {
    let is_time = database.status.failing_seconds >= database.spec.failover_delay_seconds;
    if is_time && is_complete(database, primary, &candidates(database, primary)) {
        return Some(Action::Target(None));
    }
    help(database, primary)
}

/// The old primary was told to stop. Nobody is promoted before its end is sure, or its word worth nothing.
fn fail_over(database: &Database, primary: &str) -> Option<Action> {
    let candidates = candidates(database, primary);
    if candidates.iter().any(|candidate| receives(candidate)) {
        return None;
    }
    let is_silenced = database.spec.synchronous > 0 || cannot_write(database, primary);
    if is_silenced && is_complete(database, primary, &candidates) {
        return candidates.first().map(|best| Action::Target(Some(best.name.clone())));
    }
    help(database, primary)
}

/// Its disk may be all that is left.
fn help(database: &Database, primary: &str) -> Option<Action> {
    let instance = database.instance(primary);
    if instance.is_none_or(|instance| instance.pod.is_none()) {
        return Some(Action::Create(primary.into()));
    }
    let is_alone = database.status.target_primary.is_none() && candidates(database, primary).is_empty();
    (is_alone && instance.is_some_and(is_healthy)).then(|| Action::Target(Some(primary.into())))
}
// ANCHOR_END: failover

/// All is well with the primary: what else is there to do?
fn work_on(database: &Database, primary: &Instance) -> Option<Action> {
    let spec = &database.spec;
    let candidates = candidates(database, &primary.name);
    let to = |instance: &Instance| Some(Action::Target(Some(instance.name.clone())));
    let is_cordoned = |instance: &Instance| instance.pod.as_ref().is_some_and(|pod| pod.cordoned);
    let is_old = |instance: &Instance| instance.pod.as_ref().is_some_and(|pod| pod.image != spec.image);
    let successors: Vec<_> = candidates.iter().filter(|it| receives(it) && !is_cordoned(it)).collect();
    let is_wanted = |it: &&&&Instance| spec.wanted_primary.as_ref() == Some(&it.name) && !is_old(it);
    if let Some(wanted) = successors.iter().find(is_wanted) {
        return to(wanted);
    }
    if let Some(best) = successors.first().filter(|_| is_cordoned(primary)) {
        return to(best);
    }

    let instances = &database.instances;
    if let Some(bare) = instances.iter().find(|instance| instance.pod.is_none()) {
        return Some(Action::Create(bare.name.clone()));
    }
    if instances.len() < spec.instances as usize {
        let free = (1..).find(|number| instances.iter().all(|instance| instance.number != *number))?;
        return Some(Action::Create(format!("{}-{free}", database.name)));
    }
    if instances.len() > spec.instances as usize {
        let last = instances.iter().rfind(|instance| instance.name != primary.name)?;
        return Some(Action::Remove(last.name.clone()));
    }

    // ANCHOR: upgrade
    let all_receive = candidates.len() + 1 == instances.len() && candidates.iter().all(|candidate| receives(candidate));
    if !all_receive {
        return None;
    }
    let old = candidates.iter().filter(|candidate| is_old(candidate));
    if let Some(last) = old.min_by_key(|candidate| (lsn(candidate), Reverse(candidate.number))) {
        return Some(Action::Restart(last.name.clone()));
    }
    if is_old(primary) {
        let alone = candidates.is_empty().then(|| Action::Restart(primary.name.clone()));
        return successors.first().map_or(alone, |best| to(best));
    }
    // ANCHOR_END: upgrade
    None
}

fn is_good(backup: &Backup) -> bool {
    backup.phase == Phase::Done && backup.test != Test::Failed
}

/// The good backup that ended last by then.
fn good_by(backups: &[Backup], moment: i64) -> Option<&Backup> {
    let ended = |backup: &&Backup| is_good(backup) && backup.ended_at.is_some_and(|at| at <= moment);
    backups.iter().filter(ended).max_by_key(|backup| backup.ended_at)
}
// ANCHOR_END: solution
