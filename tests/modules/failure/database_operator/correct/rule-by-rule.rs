//! Passes: each rule is a function that says nothing if it doesn't apply, and the first one that says something decides.

use kit::failure::DatabaseOperator;
use kit::failure::database_operator::{
    Action, Backup, BackupAction, Backups, Database, Instance, NoRestore, Phase, RestorePlan, Role, RoleChange, State,
    Test,
};

#[derive(Default)]
struct Exercise;

/// A rule applies or not; if it does, it may say that there is something to wait for.
type Rule = fn(&Seen) -> Option<Option<Action>>;

/// What all rules ask.
struct Seen<'a> {
    database: &'a Database,
    candidates: Vec<&'a Instance>,
    current: Option<&'a Instance>,
}

const RULES: [Rule; 7] = [first, switching, pending, failing, moving, counting, upgrading];

fn healthy(instance: &Instance) -> bool {
    match (&instance.pod, instance.report) {
        (Some(pod), Some(_)) => pod.ready && !pod.terminating,
        _ => false,
    }
}

impl<'a> Seen<'a> {
    fn new(database: &'a Database) -> Seen<'a> {
        let name = database.status.current_primary.clone().unwrap_or_default();
        let mut candidates: Vec<&Instance> = Vec::new();
        for instance in &database.instances {
            let follows = instance.report.is_some_and(|report| report.state == State::Replica);
            if instance.name != name && healthy(instance) && follows {
                candidates.push(instance);
            }
        }
        candidates.sort_by(|a, b| {
            let key = |it: &Instance| it.report.map(|report| (report.timeline, report.lsn));
            key(b).cmp(&key(a)).then(a.number.cmp(&b.number))
        });
        Seen { database, candidates, current: database.instance(&name) }
    }

    fn name(&self) -> String {
        self.database.status.current_primary.clone().unwrap_or_default()
    }

    fn complete(&self) -> bool {
        let spec = &self.database.spec;
        let Some(best) = self.candidates.first() else { return false };
        if spec.synchronous == 0 {
            let has = best.report.map_or(0, |report| report.lsn);
            return match spec.max_lag {
                None => true,
                Some(most) => has.saturating_add(most) >= self.database.status.primary_lsn,
            };
        }
        let n = self.database.instances.iter().filter(|it| it.name != self.name()).count();
        self.candidates.len() + spec.synchronous as usize > n
    }

    fn silenced(&self) -> bool {
        let Some(current) = self.current else { return true };
        let Some(pod) = current.pod.as_ref() else { return true };
        if pod.out_of_service {
            return true;
        }
        match (current.report, self.database.spec.isolation_seconds) {
            (Some(report), _) if report.state != State::Primary => true,
            (_, Some(most)) => current.silent_seconds > most,
            _ => false,
        }
    }

    fn help(&self) -> Option<Action> {
        match self.current {
            None => Some(Action::Create(self.name())),
            Some(current) if current.pod.is_none() => Some(Action::Create(self.name())),
            Some(current)
                if self.database.status.target_primary.is_none() && self.candidates.is_empty() && healthy(current) =>
            {
                Some(Action::Target(Some(self.name())))
            }
            Some(_) => None,
        }
    }

    fn successors(&self) -> Vec<&'a Instance> {
        let fits = |it: &&&Instance| {
            it.report.is_some_and(|report| report.receiving) && !it.pod.as_ref().is_some_and(|pod| pod.cordoned)
        };
        self.candidates.iter().filter(fits).copied().collect()
    }

    fn outdated(&self, instance: &Instance) -> bool {
        instance.pod.as_ref().is_some_and(|pod| pod.image != self.database.spec.image)
    }
}

fn target(instance: &Instance) -> Option<Option<Action>> {
    Some(Some(Action::Target(Some(instance.name.clone()))))
}

fn first(seen: &Seen) -> Option<Option<Action>> {
    let status = &seen.database.status;
    if status.current_primary.is_some() {
        return None;
    }
    let Some(target) = &status.target_primary else { return Some(None) };
    match seen.database.instance(target).and_then(|it| it.pod.as_ref()) {
        Some(_) => Some(None),
        None => Some(Some(Action::Create(target.clone()))),
    }
}

fn switching(seen: &Seen) -> Option<Option<Action>> {
    let target = seen.database.status.target_primary.as_ref()?;
    if *target == seen.name() {
        return None;
    }
    match seen.database.instance(target) {
        Some(there) if healthy(there) => Some(None),
        _ => Some(Some(Action::Target(None))),
    }
}

fn pending(seen: &Seen) -> Option<Option<Action>> {
    if seen.database.status.target_primary.is_some() {
        return None;
    }
    if seen.candidates.iter().any(|it| it.report.is_some_and(|report| report.receiving)) {
        return Some(None);
    }
    if seen.complete() && (seen.database.spec.synchronous > 0 || seen.silenced()) {
        return target(seen.candidates.first()?);
    }
    Some(seen.help())
}

fn failing(seen: &Seen) -> Option<Option<Action>> {
    let is_well = |it: &Instance| healthy(it) && it.report.is_some_and(|report| report.state == State::Primary);
    if seen.current.is_some_and(is_well) {
        return None;
    }
    let patient = seen.database.status.failing_seconds < seen.database.spec.failover_delay_seconds;
    if !patient && seen.complete() {
        return Some(Some(Action::Target(None)));
    }
    Some(seen.help())
}

fn moving(seen: &Seen) -> Option<Option<Action>> {
    for it in seen.successors() {
        if seen.database.spec.wanted_primary.as_ref() == Some(&it.name) && !seen.outdated(it) {
            return target(it);
        }
    }
    let leaves = seen.current?.pod.as_ref()?.cordoned;
    if leaves { target(seen.successors().first()?) } else { None }
}

fn counting(seen: &Seen) -> Option<Option<Action>> {
    let all = &seen.database.instances;
    for it in all {
        if it.pod.is_none() {
            return Some(Some(Action::Create(it.name.clone())));
        }
    }
    let wanted = seen.database.spec.instances as usize;
    if all.len() < wanted {
        let mut number = 1;
        while all.iter().any(|it| it.number == number) {
            number += 1;
        }
        return Some(Some(Action::Create(format!("{}-{}", seen.database.name, number))));
    }
    if all.len() == wanted {
        return None;
    }
    let others = all.iter().filter(|it| it.name != seen.name());
    let last = others.max_by_key(|it| it.number)?;
    Some(Some(Action::Remove(last.name.clone())))
}

fn upgrading(seen: &Seen) -> Option<Option<Action>> {
    let follow = seen.candidates.iter().filter(|it| it.report.is_some_and(|report| report.receiving)).count();
    if follow + 1 != seen.database.instances.len() {
        return Some(None);
    }
    let mut old: Vec<_> = seen.candidates.iter().filter(|it| seen.outdated(it)).collect();
    old.sort_by_key(|it| (it.report.map(|report| report.lsn), u32::MAX - it.number));
    if let Some(it) = old.first() {
        return Some(Some(Action::Restart(it.name.clone())));
    }
    let current = seen.current?;
    if !seen.outdated(current) {
        return None;
    }
    match seen.successors().first() {
        Some(best) => target(best),
        None if seen.candidates.is_empty() => Some(Some(Action::Restart(current.name.clone()))),
        None => Some(None),
    }
}

impl DatabaseOperator for Exercise {
    fn roles(&self, database: &Database) -> Vec<RoleChange> {
        let mut changes = Vec::new();
        for it in database.instances.iter().rev() {
            let mut role = match it.report.map(|report| report.state) {
                Some(State::Replica) => Some(Role::Replica),
                _ => None,
            };
            if database.status.current_primary.as_deref() == Some(it.name.as_str()) {
                role = None;
                if database.status.target_primary.as_deref() == Some(it.name.as_str()) {
                    role = Some(Role::Primary);
                }
            }
            if it.pod.is_some() && it.role != role {
                changes.push(RoleChange { name: it.name.clone(), role });
            }
        }
        changes
    }

    fn next(&self, database: &Database) -> Option<Action> {
        let seen = Seen::new(database);
        RULES.iter().find_map(|rule| rule(&seen)).flatten()
    }

    fn backups(&self, all: &Backups) -> Vec<BackupAction> {
        let good = |it: &&Backup| it.phase == Phase::Done && it.test != Test::Failed;
        let mut sorted: Vec<&Backup> = all.backups.iter().collect();
        sorted.sort_by_key(|it| it.begun_at);
        let mut actions = Vec::new();
        let newest = sorted.iter().copied().filter(good).next_back();
        let begin = all.now - all.window_seconds;
        let mut keep_from = i64::MIN;
        for it in sorted.iter().copied().filter(good) {
            match it.ended_at {
                Some(at) if at <= begin && at > keep_from => keep_from = at,
                _ => {}
            }
        }
        for it in &sorted {
            let gone = if good(it) {
                it.ended_at.is_some_and(|at| at < keep_from)
            } else {
                it.phase != Phase::Running && newest.is_some_and(|newest| newest.begun_at > it.begun_at)
            };
            if gone {
                actions.push(BackupAction::Delete(it.name.clone()));
            }
        }
        if let Some(newest) = newest
            && newest.test == Test::None
            && all.backups.iter().all(|it| it.test != Test::Running)
        {
            actions.push(BackupAction::Test(newest.name.clone()));
        }
        let busy = sorted.iter().any(|it| it.phase == Phase::Running);
        let due = match sorted.last() {
            None => true,
            Some(last) => last.begun_at + all.every_seconds <= all.now,
        };
        if due && !busy {
            actions.push(BackupAction::Start);
        }
        actions
    }

    fn restore(&self, all: &Backups, to: i64) -> Result<RestorePlan, NoRestore> {
        let mut best: Option<&Backup> = None;
        for it in &all.backups {
            let fits = it.phase == Phase::Done && it.test != Test::Failed && it.ended_at.is_some_and(|at| at <= to);
            if fits && best.is_none_or(|best| best.ended_at < it.ended_at) {
                best = Some(it);
            }
        }
        let Some(backup) = best else { return Err(NoRestore::NoBackup) };
        let (mut segments, mut lsn) = (Vec::new(), backup.lsn);
        loop {
            let mut next = None;
            for segment in &all.archive {
                if segment.from == lsn && next.is_none_or(|(timeline, _, _)| timeline < segment.timeline) {
                    next = Some((segment.timeline, segment.to, segment.last_at));
                }
            }
            let Some((timeline, end, last_at)) = next else { return Err(NoRestore::LogEnds(lsn)) };
            segments.push((timeline, lsn));
            lsn = end;
            if last_at >= to {
                return Ok(RestorePlan { backup: backup.name.clone(), segments });
            }
        }
    }
}

kit::exercise!(Exercise: DatabaseOperator);
