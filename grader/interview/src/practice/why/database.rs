//! An operator of databases.

use super::{Asked, list};
use kit_contract::failure::database_operator::{
    Action, BackupAction, Backups, Database, Instance, NoRestore, RestorePlan, RoleChange, State,
};

pub fn database_operator(asked: &Asked<'_>) -> Option<Vec<String>> {
    match asked.call {
        "roles" => Some(roles(&asked.arg("database")?, &asked.answer::<Vec<RoleChange>>()?)),
        "next" => Some(next(&asked.arg("database")?, asked.answer()?)),
        "backups" => Some(backups(&asked.arg("backups")?, &asked.answer::<Vec<BackupAction>>()?)),
        _ => Some(vec![restore(&asked.answer()?)]),
    }
}

/// Whether an instance has a pod that is well, and reports to be this.
fn is(instance: &Instance, state: State) -> bool {
    let is_well = instance.pod.as_ref().is_some_and(|pod| pod.ready && !pod.terminating);
    is_well && instance.report.is_some_and(|report| report.state == state)
}

fn named(name: Option<&String>) -> &str {
    name.map_or("nobody", String::as_str)
}

fn roles(database: &Database, answer: &[RoleChange]) -> Vec<String> {
    let (current, target) = (database.status.current_primary.as_ref(), database.status.target_primary.as_ref());
    let mut said = vec![match current == target {
        true => format!(
            "{} is the current primary and the target: it has the label primary, whatever it reports.",
            named(current)
        ),
        false => {
            format!("{} is the current primary, but the target is {}: it has no label.", named(current), named(target))
        }
    }];
    said.push(
        "Any other instance that reports to be a replica has the label replica, and without a pod nothing has one."
            .into(),
    );
    if answer.is_empty() {
        said.push("All labels are right already.".into());
    }
    said
}

fn next(database: &Database, answer: Option<Action>) -> Vec<String> {
    let (spec, status) = (&database.spec, &database.status);
    let target = status.target_primary.as_ref();
    let Some(current) = &status.current_primary else {
        return vec![format!("There is no primary yet: {} is created, and then waited for.", named(target))];
    };
    let done = match &answer {
        None => "waits".to_string(),
        Some(action) => kit_contract::Show::lines(action).concat(),
    };
    let candidates: Vec<_> =
        database.instances.iter().filter(|it| it.name != *current && is(it, State::Replica)).collect();
    let names: Vec<String> = candidates.iter().map(|it| it.name.clone()).collect();
    let complete = match spec.synchronous {
        0 => match spec.max_lag {
            Some(most) => format!("The best one may be {most} records behind {}.", status.primary_lsn),
            None => "However far behind the best one is, it may take over.".to_string(),
        },
        confirm => {
            let all = database.instances.iter().filter(|it| it.name != *current).count();
            let (seen, sum) = (candidates.len(), candidates.len() + confirm as usize);
            let sign = if sum > all { "more than" } else { "not more than" };
            format!("{seen} candidates and {confirm} confirmations are {sum}, {sign} the {all} others.")
        }
    };
    let who = format!("Candidates: {}.", list(&names));
    match target {
        None => {
            let receives = candidates.iter().any(|it| it.report.is_some_and(|report| report.receiving));
            if receives {
                return vec![
                    "A failover has begun. A candidate still receives records, so its log may grow yet.".into(),
                ];
            }
            vec![
                "A failover has begun, and nobody receives any more.".into(),
                who,
                complete,
                format!("So it is: {done}."),
            ]
        }
        Some(target) if target != current => vec![format!(
            "A switchover to {target} is under way. It is waited for as long as that one is healthy: {done}."
        )],
        Some(_) => {
            if database.instance(current).is_some_and(|primary| is(primary, State::Primary)) {
                return vec![
                    format!(
                        "{current} is healthy, so the rest comes in this order: who should be the primary, how many instances, their image."
                    ),
                    who,
                    format!("So it is: {done}."),
                ];
            }
            let (failing, delay) = (status.failing_seconds, spec.failover_delay_seconds);
            vec![
                format!("{current} isn't what it should be, for {failing} s of {delay}."),
                who,
                complete,
                format!("So it is: {done}."),
            ]
        }
    }
}

fn backups(all: &Backups, answer: &[BackupAction]) -> Vec<String> {
    let last = all.backups.iter().max_by_key(|backup| backup.begun_at);
    let mut said = vec![match last {
        None => "There is no backup at all.".into(),
        Some(last) => {
            let ago = all.now - last.begun_at;
            format!("The last one, {}, began {ago} s ago, and one begins every {} s.", last.name, all.every_seconds)
        }
    }];
    let from = all.now - all.window_seconds;
    said.push(format!("The window begins at {from}: the good backup that ended last at or before it is needed, and good ones before that aren't."));
    if answer.iter().any(|action| matches!(action, BackupAction::Test(_))) {
        said.push("Only the last good one is tested, and one at a time.".into());
    }
    said
}

fn restore(answer: &Result<RestorePlan, NoRestore>) -> String {
    match answer {
        Err(NoRestore::NoBackup) => {
            "No good backup has ended by that moment. One that ends later holds what came after it.".into()
        }
        Err(NoRestore::LogEnds(lsn)) => {
            format!("No archived piece begins at {lsn}, and that moment isn't reached yet.")
        }
        Ok(plan) => format!(
            "{} is the good backup that ended last by then. Each piece of the log begins where the one before it ends, of several on the highest timeline, until one reaches that moment.",
            plan.backup
        ),
    }
}
