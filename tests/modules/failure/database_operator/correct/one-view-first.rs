//! Passes: it first writes down how things are, as plain words without references, and decides on these alone.

use kit::failure::DatabaseOperator;
use kit::failure::database_operator::{
    Action, Backup, BackupAction, Backups, Database, Instance, NoRestore, Phase, RestorePlan, Role, RoleChange, State,
    Test,
};
use std::collections::BTreeMap;

#[derive(Default)]
struct Exercise;

/// One who could take over.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// The greatest is the best.
    rank: (u32, u64, std::cmp::Reverse<u32>),
    name: String,
    receives: bool,
    stays: bool,
    outdated: bool,
}

struct Words {
    primary: Option<String>,
    primary_has_pod: bool,
    primary_is_healthy: bool,
    primary_says_primary: bool,
    primary_is_silenced: bool,
    primary_leaves: bool,
    primary_outdated: bool,
    candidates: Vec<Candidate>,
    complete: bool,
}

fn is_healthy(instance: &Instance) -> bool {
    instance.report.is_some() && instance.pod.iter().any(|pod| pod.ready && !pod.terminating)
}

fn words(database: &Database) -> Words {
    let primary = database.status.current_primary.clone();
    let mut candidates: Vec<Candidate> = database
        .instances
        .iter()
        .filter(|instance| Some(&instance.name) != primary.as_ref() && is_healthy(instance))
        .filter_map(|instance| {
            let (report, pod) = (instance.report?, instance.pod.as_ref()?);
            (report.state == State::Replica).then(|| Candidate {
                rank: (report.timeline, report.lsn, std::cmp::Reverse(instance.number)),
                name: instance.name.clone(),
                receives: report.receiving,
                stays: !pod.cordoned,
                outdated: pod.image != database.spec.image,
            })
        })
        .collect();
    candidates.sort();
    candidates.reverse();
    let others = database.instances.iter().filter(|instance| Some(&instance.name) != primary.as_ref()).count();
    let complete = match (candidates.first(), database.spec.synchronous, database.spec.max_lag) {
        (None, ..) => false,
        (_, 0, None) => true,
        (Some(best), 0, Some(most)) => database.status.primary_lsn.saturating_sub(best.rank.1) <= most,
        (_, confirm, _) => candidates.len() + confirm as usize >= others + 1,
    };
    let instance = primary.as_ref().and_then(|name| database.instance(name));
    let pod = instance.and_then(|instance| instance.pod.as_ref());
    let state = instance.and_then(|instance| instance.report).map(|report| report.state);
    let alone = instance.map_or(0, |instance| instance.silent_seconds);
    Words {
        primary_has_pod: pod.is_some(),
        primary_is_healthy: instance.is_some_and(is_healthy),
        primary_says_primary: state == Some(State::Primary),
        primary_is_silenced: pod.is_none_or(|pod| pod.out_of_service)
            || matches!(state, Some(State::Replica | State::Stopped))
            || database.spec.isolation_seconds.is_some_and(|most| most < alone),
        primary_leaves: pod.is_some_and(|pod| pod.cordoned),
        primary_outdated: pod.is_some_and(|pod| pod.image != database.spec.image),
        primary,
        candidates,
        complete,
    }
}

fn to(candidate: &Candidate) -> Action {
    Action::Target(Some(candidate.name.clone()))
}

fn help(words: &Words, name: &str, pending: bool) -> Option<Action> {
    if !words.primary_has_pod {
        Some(Action::Create(name.to_string()))
    } else if pending && words.candidates.is_empty() && words.primary_is_healthy {
        Some(Action::Target(Some(name.to_string())))
    } else {
        None
    }
}

fn instances(database: &Database, primary: &str) -> Option<Action> {
    let by_number: BTreeMap<u32, &Instance> = database.instances.iter().map(|it| (it.number, it)).collect();
    let bare = by_number.values().find(|instance| instance.pod.is_none());
    if let Some(bare) = bare {
        return Some(Action::Create(bare.name.clone()));
    }
    match by_number.len().cmp(&(database.spec.instances as usize)) {
        std::cmp::Ordering::Less => {
            let number = (1..=u32::MAX).find(|number| !by_number.contains_key(number))?;
            Some(Action::Create(format!("{}-{number}", database.name)))
        }
        std::cmp::Ordering::Greater => {
            let surplus = by_number.values().rev().find(|instance| instance.name != primary)?;
            Some(Action::Remove(surplus.name.clone()))
        }
        std::cmp::Ordering::Equal => None,
    }
}

fn upgrade(database: &Database, words: &Words, primary: &str) -> Option<Action> {
    let receiving = words.candidates.iter().filter(|it| it.receives).count();
    if receiving != database.instances.len() - 1 {
        return None;
    }
    let shortest = words.candidates.iter().filter(|it| it.outdated).min_by_key(|it| (it.rank.1, it.rank.2));
    match shortest {
        Some(candidate) => Some(Action::Restart(candidate.name.clone())),
        None if !words.primary_outdated => None,
        None if words.candidates.is_empty() => Some(Action::Restart(primary.to_string())),
        None => words.candidates.iter().find(|it| it.stays).map(to),
    }
}

impl DatabaseOperator for Exercise {
    fn roles(&self, database: &Database) -> Vec<RoleChange> {
        let (current, target) = (&database.status.current_primary, &database.status.target_primary);
        let with_pod = database.instances.iter().filter(|instance| instance.pod.is_some());
        with_pod
            .filter_map(|instance| {
                let is_current = current.as_ref() == Some(&instance.name);
                let follows = matches!(instance.report, Some(report) if report.state == State::Replica);
                let role = match (is_current, current == target, follows) {
                    (true, true, _) => Some(Role::Primary),
                    (true, false, _) | (false, _, false) => None,
                    (false, _, true) => Some(Role::Replica),
                };
                (role != instance.role).then(|| RoleChange { name: instance.name.clone(), role })
            })
            .collect()
    }

    fn next(&self, database: &Database) -> Option<Action> {
        let words = words(database);
        let target = database.status.target_primary.clone();
        let Some(primary) = words.primary.clone() else {
            let target = target?;
            let has_pod = database.instance(&target).is_some_and(|instance| instance.pod.is_some());
            return if has_pod { None } else { Some(Action::Create(target)) };
        };
        match target {
            None => {
                let receiving = words.candidates.iter().any(|it| it.receives);
                let safe = words.complete && (words.primary_is_silenced || database.spec.synchronous != 0);
                match (receiving, safe) {
                    (true, _) => None,
                    (false, true) => words.candidates.first().map(to),
                    (false, false) => help(&words, &primary, true),
                }
            }
            Some(target) if target != primary => {
                let lives = database.instance(&target).is_some_and(is_healthy);
                if lives { None } else { Some(Action::Target(None)) }
            }
            Some(_) if !words.primary_is_healthy || !words.primary_says_primary => {
                let patient = database.spec.failover_delay_seconds > database.status.failing_seconds;
                if words.complete && !patient { Some(Action::Target(None)) } else { help(&words, &primary, false) }
            }
            Some(_) => {
                let successors = || words.candidates.iter().filter(|it| it.receives && it.stays);
                let wish =
                    successors().find(|it| !it.outdated && database.spec.wanted_primary.as_ref() == Some(&it.name));
                let refuge = successors().next().filter(|_| words.primary_leaves);
                wish.or(refuge)
                    .map(to)
                    .or_else(|| instances(database, &primary))
                    .or_else(|| upgrade(database, &words, &primary))
            }
        }
    }

    fn backups(&self, all: &Backups) -> Vec<BackupAction> {
        let good: BTreeMap<i64, &Backup> = good(&all.backups).map(|it| (it.begun_at, it)).collect();
        let last_good = good.last_key_value().map(|(begun, backup)| (*begun, *backup));
        let before_window =
            good.values().filter_map(|it| it.ended_at).filter(|at| *at + all.window_seconds <= all.now).max();
        let mut actions: Vec<BackupAction> = all
            .backups
            .iter()
            .filter(|it| match (good.contains_key(&it.begun_at), it.phase) {
                (true, _) => before_window.is_some_and(|needed| it.ended_at.is_some_and(|at| at < needed)),
                (false, Phase::Running) => false,
                (false, _) => last_good.is_some_and(|(begun, _)| begun > it.begun_at),
            })
            .map(|it| BackupAction::Delete(it.name.clone()))
            .collect();
        let testing = all.backups.iter().filter(|it| it.test == Test::Running).count();
        actions.extend(
            last_good
                .filter(|(_, it)| it.test == Test::None && testing == 0)
                .map(|(_, it)| BackupAction::Test(it.name.clone())),
        );
        let running = all.backups.iter().filter(|it| it.phase == Phase::Running).count();
        let recent = all.backups.iter().any(|it| all.now - it.begun_at < all.every_seconds);
        if running == 0 && !recent {
            actions.push(BackupAction::Start);
        }
        actions
    }

    fn restore(&self, all: &Backups, to: i64) -> Result<RestorePlan, NoRestore> {
        let base = good(&all.backups).filter(|it| it.ended_at.is_some_and(|at| at <= to)).max_by_key(|it| it.ended_at);
        let base = base.ok_or(NoRestore::NoBackup)?;
        // Of each place the newest timeline.
        let mut log = BTreeMap::new();
        for segment in &all.archive {
            let there = log.entry(segment.from).or_insert(segment);
            if there.timeline < segment.timeline {
                *there = segment;
            }
        }
        let mut plan = RestorePlan { backup: base.name.clone(), segments: vec![] };
        let mut at = base.lsn;
        while let Some(segment) = log.get(&at) {
            plan.segments.push((segment.timeline, at));
            if segment.last_at >= to {
                return Ok(plan);
            }
            at = segment.to;
        }
        Err(NoRestore::LogEnds(at))
    }
}

fn good(backups: &[Backup]) -> impl Iterator<Item = &Backup> {
    backups.iter().filter(|it| it.phase == Phase::Done && !matches!(it.test, Test::Failed))
}

kit::exercise!(Exercise: DatabaseOperator);
