//! Passes: one long function with early returns, names instead of references, and everything searched anew each time.

use kit::failure::DatabaseOperator;
use kit::failure::database_operator::*;

#[derive(Default)]
struct Exercise;

fn find<'a>(database: &'a Database, name: &str) -> Option<&'a Instance> {
    database.instances.iter().find(|instance| instance.name == name)
}

fn state(database: &Database, name: &str) -> Option<State> {
    Some(find(database, name)?.report?.state)
}

fn has_pod(database: &Database, name: &str) -> bool {
    find(database, name).and_then(|instance| instance.pod.as_ref()).is_some()
}

fn ok(database: &Database, name: &str) -> bool {
    let Some(instance) = find(database, name) else { return false };
    let Some(pod) = &instance.pod else { return false };
    if pod.terminating || !pod.ready {
        return false;
    }
    instance.report.is_some()
}

fn receiving(database: &Database, name: &str) -> bool {
    find(database, name).and_then(|instance| instance.report).is_some_and(|report| report.receiving)
}

fn flag(database: &Database, name: &str, flag: fn(&Pod) -> bool) -> bool {
    find(database, name).and_then(|instance| instance.pod.as_ref()).is_some_and(flag)
}

fn old_image(database: &Database, name: &str) -> bool {
    let pod = find(database, name).and_then(|instance| instance.pod.as_ref());
    pod.is_some_and(|pod| pod.image != database.spec.image)
}

/// Bubbles the best one to the front.
fn best_first(database: &Database, names: &mut [String]) {
    let better = |one: &str, other: &str| {
        let (Some(one), Some(other)) = (find(database, one), find(database, other)) else { return false };
        let (Some(a), Some(b)) = (one.report, other.report) else { return false };
        if a.timeline != b.timeline {
            return a.timeline > b.timeline;
        }
        if a.lsn != b.lsn {
            return a.lsn > b.lsn;
        }
        one.number < other.number
    };
    for end in (1..names.len()).rev() {
        for index in 0..end {
            if better(&names[index + 1], &names[index]) {
                names.swap(index, index + 1);
            }
        }
    }
}

impl DatabaseOperator for Exercise {
    fn roles(&self, database: &Database) -> Vec<RoleChange> {
        let mut changes = vec![];
        for instance in &database.instances {
            if instance.pod.is_none() {
                continue;
            }
            let name = Some(instance.name.clone());
            let role = if name == database.status.current_primary {
                if name == database.status.target_primary { Some(Role::Primary) } else { None }
            } else if state(database, &instance.name) == Some(State::Replica) {
                Some(Role::Replica)
            } else {
                None
            };
            if instance.role != role {
                changes.push(RoleChange { name: instance.name.clone(), role });
            }
        }
        changes
    }

    fn next(&self, database: &Database) -> Option<Action> {
        let (spec, status) = (&database.spec, &database.status);
        let Some(primary) = status.current_primary.as_deref() else {
            let target = status.target_primary.clone()?;
            if has_pod(database, &target) {
                return None;
            }
            return Some(Action::Create(target));
        };
        if let Some(target) = status.target_primary.as_deref()
            && target != primary
        {
            if ok(database, target) {
                return None;
            }
            return Some(Action::Target(None));
        }

        let mut candidates: Vec<String> = vec![];
        let mut n = 0;
        for instance in &database.instances {
            if instance.name == primary {
                continue;
            }
            n += 1;
            if ok(database, &instance.name) && state(database, &instance.name) == Some(State::Replica) {
                candidates.push(instance.name.clone());
            }
        }
        best_first(database, &mut candidates);
        let mut complete = !candidates.is_empty();
        if spec.synchronous > 0 {
            complete = complete && candidates.len() as i64 + i64::from(spec.synchronous) > n;
        } else if let (Some(most), Some(best)) = (spec.max_lag, candidates.first()) {
            let lsn = find(database, best)?.report?.lsn;
            if lsn < status.primary_lsn && status.primary_lsn - lsn > most {
                complete = false;
            }
        }

        let well = ok(database, primary) && state(database, primary) == Some(State::Primary);
        let pending = status.target_primary.is_none();
        if pending || !well {
            if pending && candidates.iter().any(|name| receiving(database, name)) {
                return None;
            }
            let silent = find(database, primary).map_or(0, |instance| instance.silent_seconds);
            let mute = !has_pod(database, primary)
                || flag(database, primary, |pod| pod.out_of_service)
                || state(database, primary).is_some_and(|state| state != State::Primary)
                || spec.isolation_seconds.is_some_and(|most| silent > most)
                || spec.synchronous > 0;
            if pending && complete && mute {
                return Some(Action::Target(Some(candidates[0].clone())));
            }
            if !pending && complete && status.failing_seconds >= spec.failover_delay_seconds {
                return Some(Action::Target(None));
            }
            if !has_pod(database, primary) {
                return Some(Action::Create(primary.to_string()));
            }
            if pending && candidates.is_empty() && ok(database, primary) {
                return Some(Action::Target(Some(primary.to_string())));
            }
            return None;
        }

        let mut successors = candidates.clone();
        successors.retain(|name| receiving(database, name) && !flag(database, name, |pod| pod.cordoned));
        if let Some(wanted) = &spec.wanted_primary
            && successors.contains(wanted)
            && !old_image(database, wanted)
        {
            return Some(Action::Target(Some(wanted.clone())));
        }
        if flag(database, primary, |pod| pod.cordoned) && !successors.is_empty() {
            return Some(Action::Target(Some(successors[0].clone())));
        }

        for instance in &database.instances {
            if instance.pod.is_none() {
                return Some(Action::Create(instance.name.clone()));
            }
        }
        let there = database.instances.len();
        if there < spec.instances as usize {
            for number in 1.. {
                let name = format!("{}-{number}", database.name);
                if find(database, &name).is_none() {
                    return Some(Action::Create(name));
                }
            }
        }
        if there > spec.instances as usize {
            let mut surplus = database.instances.clone();
            surplus.retain(|instance| instance.name != primary);
            return surplus.pop().map(|instance| Action::Remove(instance.name));
        }

        if candidates.len() + 1 < there || candidates.iter().any(|name| !receiving(database, name)) {
            return None;
        }
        let mut worst: Option<(u64, u32, String)> = None;
        for name in candidates.iter().filter(|name| old_image(database, name)) {
            let instance = find(database, name)?;
            let (lsn, number) = (instance.report?.lsn, instance.number);
            let is_worse = match &worst {
                None => true,
                Some((least, highest, _)) => lsn < *least || lsn == *least && number > *highest,
            };
            if is_worse {
                worst = Some((lsn, number, name.clone()));
            }
        }
        if let Some((_, _, name)) = worst {
            return Some(Action::Restart(name));
        }
        if !old_image(database, primary) {
            return None;
        }
        if candidates.is_empty() {
            return Some(Action::Restart(primary.to_string()));
        }
        successors.into_iter().next().map(|name| Action::Target(Some(name)))
    }

    fn backups(&self, all: &Backups) -> Vec<BackupAction> {
        let mut actions = vec![];
        let mut running = false;
        let mut last = None;
        let mut last_good: Option<Backup> = None;
        let mut needed = None;
        let mut testing = false;
        for backup in &all.backups {
            running |= backup.phase == Phase::Running;
            testing |= backup.test == Test::Running;
            last = last.max(Some(backup.begun_at));
            if backup.phase == Phase::Done && backup.test != Test::Failed {
                if last_good.as_ref().is_none_or(|good| good.begun_at < backup.begun_at) {
                    last_good = Some(backup.clone());
                }
                if backup.ended_at.is_some_and(|at| at <= all.now - all.window_seconds) {
                    needed = needed.max(backup.ended_at);
                }
            }
        }
        if !running && last.is_none_or(|last| last <= all.now - all.every_seconds) {
            actions.push(BackupAction::Start);
        }
        for backup in &all.backups {
            let is_good = backup.phase == Phase::Done && backup.test != Test::Failed;
            let old = is_good && needed.is_some() && backup.ended_at < needed;
            let bad = !is_good
                && backup.phase != Phase::Running
                && last_good.as_ref().is_some_and(|good| good.begun_at > backup.begun_at);
            if old || bad {
                actions.push(BackupAction::Delete(backup.name.clone()));
            }
        }
        if let Some(good) = last_good
            && good.test == Test::None
            && !testing
        {
            actions.push(BackupAction::Test(good.name));
        }
        actions
    }

    fn restore(&self, all: &Backups, to: i64) -> Result<RestorePlan, NoRestore> {
        let mut backups: Vec<Backup> = all.backups.clone();
        backups
            .retain(|it| it.phase == Phase::Done && it.test != Test::Failed && it.ended_at.is_some_and(|at| at <= to));
        backups.sort_by_key(|it| it.ended_at);
        let Some(backup) = backups.pop() else { return Err(NoRestore::NoBackup) };
        let mut archive: Vec<Segment> = all.archive.clone();
        archive.sort_by_key(|segment| std::cmp::Reverse(segment.timeline));
        let mut segments = vec![];
        let mut from = backup.lsn;
        loop {
            let Some(segment) = archive.iter().find(|segment| segment.from == from) else {
                return Err(NoRestore::LogEnds(from));
            };
            segments.push((segment.timeline, from));
            if to <= segment.last_at {
                break;
            }
            from = segment.to;
        }
        Ok(RestorePlan { backup: backup.name, segments })
    }
}

kit::exercise!(Exercise: DatabaseOperator);
