//! Histories of one member of a Raft group: what happens to it, up to the event that is asked about.
//!
//! The generators of these exercises draw storms around whole groups, which nobody plays in the head. So a history is drawn
//! here, with the reference as the member, and only events that can happen to a member in a group that follows the rules.

use super::dice::Dice;
use super::reference::{Reference, Script};
use serde_json::{Value, json};

/// The question what a leader applies: see [`super::table`].
pub const LEADER: &str = "step of a leader";

/// A history that ends with the event that is asked about; none if the dice fell badly.
pub fn draw(exercise: &str, reference: &mut Reference, dice: &mut Dice) -> Option<Script> {
    match exercise {
        "control_plane/raft_election" => Some(election(reference, dice)),
        "control_plane/raft_replication" if dice.chance(1, 2) => Some(follower(dice)),
        "control_plane/raft_replication" => Some(leader(dice)),
        _ => None,
    }
}

/// What the member with the number 1 knows when it starts.
fn script(config: Value) -> Script {
    Script { new: json!({ "config": config }), steps: Vec::new(), kind: "step".into() }
}

fn message(from: u64, message: Value) -> Value {
    json!({"message": {"from": from, "message": message}})
}

fn election(reference: &mut Reference, dice: &mut Dice) -> Script {
    let members = if dice.chance(1, 3) { 5 } else { 3 };
    let term = dice.between(1, 4);
    let voted = if dice.chance(1, 2) { Some(dice.between(2, members)) } else { None };
    let log_term = dice.between(0, term);
    let log_index = if log_term == 0 { 0 } else { dice.between(1, 7) };
    let all: Vec<u64> = (1..=members).collect();
    let mut script = script(json!({
        "id": 1, "members": all, "ballot": {"term": term, "voted_for": voted}, "log": {"term": log_term, "index": log_index},
    }));
    // What the member is now, as far as it shows in what it does.
    let (mut now, mut stands, mut leads) = (term, false, false);
    let mut leaders = std::collections::BTreeMap::new();
    let mut voters = Vec::new();
    for _ in 0..dice.between(1, 4) {
        let other = dice.between(2, members);
        let fresh: Vec<u64> = (2..=members).filter(|id| !voters.contains(id)).collect();
        let event = match dice.below(10) {
            0..2 => json!("election_timeout"),
            2..4 if stands && !fresh.is_empty() => {
                let from = dice.one(&fresh).unwrap_or(2);
                voters.push(from);
                message(from, json!({"vote": {"term": now, "granted": dice.chance(2, 3)}}))
            }
            // A vote of an election that is over.
            4 if now > 1 => message(other, json!({"vote": {"term": now - 1, "granted": true}})),
            5 if leads => json!("heartbeat_due"),
            5..7 => {
                let term = dice.between((now - 1).max(1), now + 1);
                let from = *leaders.entry(term).or_insert(other);
                if from == 1 {
                    continue;
                }
                message(from, json!({"heartbeat": {"term": term}}))
            }
            _ => {
                let asks = dice.between((now - 1).max(1), now + 2);
                let last = dice.between(log_term.saturating_sub(1), (log_term + 1).min(asks.saturating_sub(1)));
                let index = if last == 0 { 0 } else { dice.between(log_index.saturating_sub(1).max(1), log_index + 2) };
                message(other, json!({"request_vote": {"term": asks, "log": {"term": last, "index": index}}}))
            }
        };
        script.steps.push(("step".into(), json!({ "event": event })));
        let answers = reference.play(&script).unwrap_or_default();
        let outputs: Vec<Value> = answers.last().and_then(|last| serde_json::from_str(last).ok()).unwrap_or_default();
        for output in outputs {
            if let Some(term) = output["save"]["term"].as_u64().filter(|term| *term > now) {
                (now, stands, leads) = (term, false, false);
                voters.clear();
            }
            let said = &output["send"]["message"];
            stands |= !said["request_vote"].is_null();
            if !said["heartbeat"].is_null() {
                leads = true;
                leaders.insert(now, 1);
            }
        }
    }
    if script.steps.is_empty() {
        script.steps.push(("step".into(), json!({"event": "election_timeout"})));
    }
    script
}

/// Entries from an index on, with these terms.
fn entries(from: u64, terms: &[u64]) -> Vec<Value> {
    let entry =
        |(index, term): (u64, &u64)| json!({"term": term, "index": index, "command": format!("set-{term}-{index}")});
    (from..).zip(terms).map(entry).collect()
}

/// So many terms, none less than the one before, and none above `most`.
fn terms(dice: &mut Dice, count: u64, least: u64, most: u64) -> Vec<u64> {
    let mut all: Vec<u64> = (0..count).map(|_| dice.between(least, most)).collect();
    all.sort_unstable();
    all
}

fn replica(dice: &mut Dice, count: u64) -> (Script, Vec<u64>, u64) {
    let log = terms(dice, count, 1, 3);
    let term = log.last().copied().unwrap_or(1) + dice.between(0, 1);
    let script = script(json!({"id": 1, "members": [1, 2, 3], "term": term, "log": entries(1, &log)}));
    (script, log, term)
}

/// A leader's messages, one or two.
fn follower(dice: &mut Dice) -> Script {
    let count = dice.between(1, 5);
    let (mut script, mut log, term) = replica(dice, count);
    let lead = term + dice.between(0, 1);
    let mut committed = 0;
    for _ in 0..dice.between(1, 2) {
        let length = log.len() as u64;
        let stale = dice.chance(1, 6) && term > 1;
        let prev = dice.between(committed, length + 1);
        let own = if prev == 0 { 0 } else { log.get(prev as usize - 1).copied().unwrap_or(0) };
        let before = match own {
            own if own > 0 && (prev <= committed || dice.chance(2, 3)) => own,
            _ if prev == 0 => 0,
            own => dice.between(own.max(1), lead),
        };
        let more = dice.between(0, 2);
        let new = terms(dice, more, before.max(1), lead);
        let last = prev + new.len() as u64;
        let commit = dice.between(committed, last.max(committed));
        let sent = if stale { term - 1 } else { lead };
        script.steps.push((
            "step".into(),
            json!({"event": message(2, json!({"append_entries": {
                "term": sent, "prev_log_index": prev, "prev_log_term": before, "entries": entries(prev + 1, &new),
                "leader_commit": commit,
            }}))}),
        ));
        if stale || (prev > 0 && own != before) {
            continue;
        }
        for (at, term) in (prev as usize..).zip(&new) {
            if log.get(at) != Some(term) {
                log.truncate(at);
                log.push(*term);
            }
        }
        committed = commit.max(committed);
    }
    script
}

/// A leader, and what its followers say.
fn leader(dice: &mut Dice) -> Script {
    let count = dice.between(0, 3);
    let (mut script, log, term) = replica(dice, count);
    script.kind = LEADER.into();
    let lead = term + 1;
    let step = |event: Value| ("step".to_string(), json!({ "event": event }));
    script.steps.push(step(json!({"elected": {"term": lead}})));
    // Its first entry is the empty one.
    let mut last = log.len() as u64 + 1;
    for _ in 0..dice.below(3) {
        script.steps.push(step(json!({"propose": {"command": format!("set-{lead}-{}", last + 1)}})));
        last += 1;
    }
    for _ in 0..dice.between(1, 2) {
        let from = dice.between(2, 3);
        let refuses = dice.chance(1, 5);
        let index = if refuses { dice.between(0, log.len() as u64) } else { dice.between(1, last) };
        let reply = json!({"append_reply": {"term": lead, "success": !refuses, "index": index}});
        script.steps.push(step(message(from, reply)));
    }
    script
}
