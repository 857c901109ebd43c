//! Fresh scenarios of `failure/database_operator`: databases in all moments of their life in which one or two things are not as they
//! should be, and backups around the ends of their window.

use crate::fresh::{Generator, question, several};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const NEW: &str = "database:17.5";
const OLD: &str = "database:17.4";

/// Where a database is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Well,
    /// Its primary isn't.
    Failing,
    /// It has no target.
    Pending,
    /// The target isn't the primary yet.
    Switching,
    /// There was no primary yet.
    New,
}

/// What is odd about an instance.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Odd {
    Nothing,
    NotReady,
    Terminating,
    Cordoned,
    OutOfService,
    Silent(u32),
    NoPod,
    Gone,
    Outdated,
    Deaf,
    Stopped,
    Another,
}

fn odd() -> impl Strategy<Value = Odd> {
    use Odd::*;
    let rare = vec![
        NotReady,
        Terminating,
        Cordoned,
        OutOfService,
        Silent(0),
        Silent(29),
        Silent(30),
        Silent(31),
        NoPod,
        Gone,
        Outdated,
        Outdated,
        Deaf,
        Stopped,
        Another,
    ];
    prop_oneof![5 => Just(Nothing), 4 => select(rare)]
}

/// What is odd about a primary that isn't well: mostly it is silent, and only its pod and its node say more.
fn of_the_primary() -> impl Strategy<Value = (Odd, Odd)> {
    use Odd::*;
    let silence = select(vec![Silent(29), Silent(30), Silent(30), Silent(31)]);
    let more = select(vec![Nothing, Nothing, OutOfService, Terminating, NotReady, Cordoned]);
    prop_oneof![4 => (silence, more), 1 => select(vec![(NoPod, Nothing), (Gone, Nothing), (Stopped, Nothing), (Nothing, NotReady)])]
}

/// Number, what is odd, timeline, position in the log, label.
type Drawn = (Odd, Odd, u32, u64, Option<&'static str>);

fn instance(database: &str, number: usize, drawn: Drawn, moment: Moment, is_primary: bool) -> Option<Value> {
    let (one, other, timeline, lsn, label) = drawn;
    let is = |odd: Odd| one == odd || other == odd;
    if is(Odd::Gone) {
        return None;
    }
    let silent = [one, other].into_iter().find_map(|odd| match odd {
        Odd::Silent(seconds) => Some(seconds),
        _ => None,
    });
    let name = format!("{database}-{number}");
    let pod = (!is(Odd::NoPod)).then(|| {
        json!({
            "image": if is(Odd::Outdated) { OLD } else { NEW }, "ready": !is(Odd::NotReady), "terminating": is(Odd::Terminating),
            "cordoned": is(Odd::Cordoned), "out_of_service": is(Odd::OutOfService),
        })
    });
    let well = moment == Moment::Well || moment == Moment::Failing;
    let state = match is_primary {
        _ if is(Odd::Stopped) => "stopped",
        true if well != is(Odd::Another) => "primary",
        true => "stopped",
        false if is(Odd::Another) => "primary",
        false => "replica",
    };
    let receiving = state == "replica" && moment == Moment::Well && !is(Odd::Deaf)
        || state == "replica" && moment != Moment::Well && is(Odd::Deaf);
    let report = (pod.is_some() && silent.is_none())
        .then(|| json!({"state": state, "timeline": timeline, "lsn": lsn, "receiving": receiving}));
    let silent = if report.is_some() { 0 } else { silent.unwrap_or(3) };
    Some(json!({
        "number": number, "name": name, "role": label.filter(|_| pod.is_some()), "pod": pod, "report": report, "silent_seconds": silent,
    }))
}

fn database() -> impl Strategy<Value = Value> {
    use Moment::*;
    let moment = prop_oneof![
        4 => Just(Well), 4 => Just(Failing), 4 => Just(Pending), 1 => Just(Switching), 1 => Just(New),
    ];
    let lsn = select(vec![100_u64, 100, 101, 90, 80, 120, 79, 81]);
    let label = select(vec![Some("replica"), Some("replica"), None, Some("primary")]);
    let drawn = (odd(), odd(), select(vec![1_u32, 1, 1, 2]), lsn, label);
    let asked = (
        select(vec![0_i64, 0, 0, 1, -1]),
        select(vec![0_u32, 0, 1, 1, 2, 3]),
        option::of(select(vec![20_u64, 0, 19, 21, 1000])),
        select(vec![0_u32, 0, 30]),
        option::weighted(0.4, Just(30_u32)),
        option::weighted(0.3, 1..=4_usize),
    );
    let rest = (select(vec![0_u32, 5, 29, 30, 31]), select(vec![100_u64, 101, 90]), 1..=4_usize, 1..=4_usize);
    let calm = (prop::bool::weighted(0.6), of_the_primary(), prop::bool::weighted(0.5));
    // As texts, orders-10 comes before orders-9.
    let named = (select(vec!["orders", "orders", "db-2"]), select(vec![1_usize, 1, 1, 2, 8]));
    (moment, vec(drawn, 1..=4), asked, rest, calm, named).prop_map(|(moment, mut drawn, asked, rest, (is_calm, of_primary, is_fenced), (database, from))| {
        let (failing, lsn, primary, target) = rest;
        let (more, synchronous, max_lag, delay, isolation, wanted) = asked;
        // Only who confirms nothing needs a fence.
        let (synchronous, isolation) = match moment {
            Pending if is_calm && is_fenced => (0, Some(30)),
            _ => (synchronous, isolation),
        };
        let instances = (drawn.len() as i64 + more).max(1);
        let name = |place: usize| format!("{database}-{}", from + place - 1);
        let primary = (primary - 1) % drawn.len() + 1;
        let target = match moment {
            Well | Failing => Some(primary),
            Pending => None,
            Switching | New => Some((target - 1) % drawn.len() + 1),
        };
        // Where too much is odd at once the same rule decides each time.
        let harmless = |odd: Odd| if matches!(odd, Odd::Cordoned | Odd::Outdated) { odd } else { Odd::Nothing };
        for (number, drawn) in (1..).zip(&mut drawn) {
            let is_primary = number == primary;
            (drawn.0, drawn.1) = match moment {
                Well if is_primary || is_calm => (harmless(drawn.0), harmless(drawn.1)),
                Failing | Pending if is_primary && is_calm => of_primary,
                Failing | Pending if is_calm && drawn.0 != Odd::NoPod => (Odd::Nothing, Odd::Nothing),
                _ => (drawn.0, drawn.1),
            };
        }
        let there = (1..).zip(drawn).filter_map(|(place, drawn)| {
            instance(database, from + place - 1, drawn, moment, place == primary)
        });
        json!({
            "name": database,
            "spec": {
                "instances": instances, "image": NEW, "synchronous": synchronous, "max_lag": max_lag, "failover_delay_seconds": delay,
                "isolation_seconds": isolation, "wanted_primary": wanted.map(name),
            },
            "status": {
                "current_primary": (moment != New).then(|| name(primary)), "target_primary": target.map(name),
                "failing_seconds": if moment == Well { 0 } else { failing }, "primary_lsn": lsn,
            },
            "instances": there.collect::<Vec<Value>>(),
        })
    })
}

/// Backups that began one after the other, in another order, and a log with gaps and branches.
fn backups() -> impl Strategy<Value = Value> {
    let phase = prop_oneof![5 => Just("done"), 1 => Just("failed"), 1 => Just("running")];
    let test = select(vec!["none", "none", "passed", "passed", "failed", "running"]);
    let backup = (phase, test, select(vec![30_i64, 5, 130, 250]));
    let segment = (prop::bool::weighted(0.9), prop::bool::weighted(0.25), prop::bool::weighted(0.2));
    let times = (select(vec![100_i64, 99, 101, 300]), select(vec![200_i64, 0, 170, 230, 400, 1000]), 0..=3_i64);
    // Names say nothing of when they began, nor does their place in the list.
    let names = Just(["e", "b", "d", "a", "c"]).prop_shuffle();
    (vec(backup, 0..=5), vec(segment, 1..=10), times, 0..5_usize, names).prop_map(
        |(drawn, log, (every, window, later), turned, names)| {
            let count = drawn.len() as i64;
            let mut ends = std::collections::BTreeSet::new();
            let mut backups: Vec<Value> = (0..)
                .zip(drawn)
                .map(|(index, (phase, test, takes))| {
                    let begun = index * 100;
                    let ended = (begun + takes..).find(|end| ends.insert(*end)).filter(|_| phase != "running");
                    let test = if phase == "done" { test } else { "none" };
                    json!({
                        "name": format!("backup-{}", names[index as usize]), "begun_at": begun, "phase": phase, "ended_at": ended, "lsn": index * 10,
                        "test": test,
                    })
                })
                .collect();
            let mut archive: Vec<Value> = Vec::new();
            let mut timeline = 1;
            for (index, (is_there, forks, is_short)) in (0_i64..).zip(log) {
                let (from, last_at) = (index * 10, index * 60 + 50);
                let segment = |timeline: u32, to: i64| json!({"timeline": timeline, "from": from, "to": to, "last_at": last_at});
                // The last one of the old timeline, and the first one of the new one, begin alike.
                if forks {
                    archive.push(segment(timeline, from + if is_short { 7 } else { 10 }));
                    timeline += 1;
                }
                if is_there {
                    archive.push(segment(timeline, from + 10));
                }
            }
            if turned > 2 {
                backups.reverse();
                archive.reverse();
            }
            let by = turned % backups.len().max(1);
            backups.rotate_left(by);
            let now = (count - 1).max(0) * 100 + [30, 99, 100, 101][later as usize];
            json!({"now": now, "every_seconds": every, "window_seconds": window, "backups": backups, "archive": archive})
        },
    )
}

/// Questions of all kinds.
pub fn fresh() -> Generator {
    let next = database().prop_map(|database| question("next", json!({ "database": database })));
    let roles = database().prop_map(|database| question("roles", json!({ "database": database })));
    let keep = backups().prop_map(|backups| question("backups", json!({ "backups": backups })));
    let to = select(vec![130_i64, 30, 29, 31, 110, 50, 230, 250, 290, 350, 1000, 5]);
    let restore = (backups(), to).prop_map(|(backups, to)| question("restore", json!({"backups": backups, "to": to})));
    several(prop_oneof![6 => next, 2 => roles, 2 => keep, 2 => restore], 4)
}
