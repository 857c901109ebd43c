//! The store, what stands before it, and who watches it.

use super::{Asked, list};
use kit_contract::flow;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub fn admission(asked: &Asked<'_>) -> Option<Vec<String>> {
    let request = &asked.args["request"];
    if let Some(reason) = asked.answer["Err"].as_str() {
        let plugin = match reason {
            reason if reason.contains("PriorityClass") || reason.contains("priority") => "Priority",
            reason if reason.contains("quota") => "ResourceQuota",
            _ => "LimitRanger",
        };
        return Some(vec![format!("{plugin} refuses it: {reason}.")]);
    }
    if asked.call == "validate" {
        let charged: BTreeSet<&str> =
            asked.answer["Ok"].as_array()?.iter().filter_map(|one| one["quota"].as_str()).collect();
        let mut said = vec!["No limit is broken.".to_string()];
        for quota in request["quotas"].as_array().into_iter().flatten() {
            let name = quota["name"].as_str().unwrap_or_default();
            let scoped = !(quota["scopes"].as_array().is_none_or(Vec::is_empty)
                && quota["scope_selector"].as_array().is_none_or(Vec::is_empty));
            said.push(match (charged.contains(name), scoped) {
                (true, _) => format!("{name} is about it: usage less what was counted before is charged, where that is more than 0 and the quota has a limit."),
                (false, true) => format!("{name} gets nothing: not all of its scopes match (they match only pods), or nothing more is used of what it limits."),
                (false, false) => format!("{name} gets nothing: it limits nothing of which more is used."),
            });
        }
        return Some(said);
    }
    let (before, after) = (&request["pod"], &asked.answer["Ok"]);
    let mut said = Vec::new();
    let create = request["operation"] != "Update";
    if !create {
        said.push("It is an update: LimitRanger and Priority change only new pods.".to_string());
    } else {
        if before["containers"] != after["containers"] || before["init_containers"] != after["init_containers"] {
            said.push("LimitRanger fills in what a container doesn't say, resource by resource: requests from defaultRequest, limits from default; the last limit that names a resource counts.".into());
        }
        let (class, priority) = (&after["priority_class_name"], &after["priority"]);
        said.push(match class.as_str() {
            Some(class) if before["priority_class_name"].as_str().is_some_and(|name| !name.is_empty()) => format!("Its class {class} gives it the priority {priority}."),
            Some(class) => format!("It names no class, so that {class}, the default one of the lowest value, gives it the priority {priority}."),
            None => "Without a class, and without a default one, its priority is 0.".into(),
        });
    }
    let count = |pod: &Value| pod["tolerations"].as_array().map_or(0, Vec::len);
    said.push(match count(after) - count(before).min(count(after)) {
        0 => "Its tolerations cover not-ready and unreachable already.".into(),
        added => format!("{added} toleration(s) for 300 s are added at the end: for not-ready and unreachable, where no toleration with that key (or none) and NoExecute (or no effect) is there."),
    });
    Some(said)
}

pub fn garbage_collector(asked: &Asked<'_>) -> Option<Vec<String>> {
    let item = &asked.args["item"];
    let meta = &item["object"]["metadata"];
    let finalizers =
        |meta: &Value, name: &str| meta["finalizers"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    if !meta["deletionTimestamp"].is_null() {
        let uid = &meta["uid"];
        let blocks = item["dependents"].as_array().into_iter().flatten().filter(|dependent| {
            let owners = dependent["metadata"]["ownerReferences"].as_array().into_iter().flatten();
            owners.into_iter().any(|owner| owner["uid"] == *uid && owner["blockOwnerDeletion"] == true)
        });
        let blocks: Vec<String> = blocks.filter_map(|one| one["metadata"]["name"].as_str().map(String::from)).collect();
        return Some(vec![match () {
            () if finalizers(meta, "orphan") => "It is being deleted with the finalizer orphan: its dependents lose their references to it, and it loses the finalizer.".into(),
            () if finalizers(meta, "foregroundDeletion") && blocks.is_empty() => "It is being deleted in the foreground, and no dependent blocks: it loses the finalizer.".into(),
            () if finalizers(meta, "foregroundDeletion") => format!("It is being deleted in the foreground, and still blocked by {}.", list(&blocks)),
            () => "It is being deleted, and no finalizer asks for anything: deletion doesn't turn back.".into(),
        }]);
    }
    let owners = item["owners"].as_array().cloned().unwrap_or_default();
    if owners.is_empty() {
        return Some(vec!["An object without owner references is left alone.".into()]);
    }
    let mut said = Vec::new();
    let (mut solid, mut waiting, mut unknown) = (false, false, false);
    for owner in &owners {
        let (uid, lookup) = (&owner["reference"]["uid"], &owner["lookup"]);
        let found = &lookup["found"];
        let name = owner["reference"]["name"].as_str().unwrap_or_default();
        let what = match lookup.as_str() {
            Some("failed") => {
                unknown = true;
                "the lookup failed, so nothing is known".to_string()
            }
            Some("no_namespace") => {
                unknown = true;
                "it can't be looked up without a namespace".into()
            }
            Some(_) => "dangling: it was not found".into(),
            None if found["uid"] != *uid => "dangling: what was found has another uid".into(),
            None if !found["deletionTimestamp"].is_null() && finalizers(found, "foregroundDeletion") => {
                waiting = true;
                "waiting: it is being deleted in the foreground".into()
            }
            None => {
                solid = true;
                "solid".to_string()
            }
        };
        said.push(format!("Owner {name} is {what}."));
    }
    said.push(match () {
        () if unknown => "Then nothing is done but a warning; the kit asks again later.".into(),
        () if solid => "With a solid owner it stays, and loses the other references.".into(),
        () if waiting && item["dependents"].as_array().is_some_and(|all| !all.is_empty()) => {
            "No owner is solid, one waits, and it has dependents: it is deleted in the foreground.".into()
        }
        () => "No owner is solid: it is deleted as its own finalizers ask for, else in the background.".into(),
    });
    Some(said)
}

pub fn informer(asked: &Asked<'_>) -> Option<Vec<String>> {
    if asked.call != "step" {
        return Some(vec![match asked.call {
            "has_synced" => "It has synced as soon as its first list is in the cache.".into(),
            "get" => "The cache has what the last list and the events since then say.".into(),
            _ => "An index has the objects of the cache by namespace, also the empty one, or by node; objects on no node are in none.".to_string(),
        }]);
    }
    let event = &asked.args["event"];
    let kind = event.as_str().map(String::from).or_else(|| event.as_object()?.keys().next().cloned())?;
    let answer = flow(asked.answer);
    Some(vec![match kind.as_str() {
        "start" => "It begins with a list from version 0, which any server can answer from its cache.".into(),
        "listed" => "The cache is now what the list says: handlers hear of the items in their order, then of those that are gone, and the watch begins at the version of the list.".into(),
        "watched" if answer.contains("added") => "The object was not in the cache, so it is an addition, whatever the event is called.".into(),
        "watched" if answer.contains("updated") => "The object was in the cache with another version, so it is an update, whatever the event is called.".into(),
        "watched" if answer.contains("deleted") => "The object was in the cache, and is gone. The deletion carries the object of the event.".into(),
        "watched" => "The cache has it so already, or never had it: handlers hear nothing.".into(),
        "bookmark" => "A bookmark is nothing but a version: from there the next watch begins.".into(),
        "list_failed" if answer.contains("pause") => "It is no problem of the version, or even the newest list failed: it pauses (800 ms, then twice as long each time, at most 30 s), then it lists.".into(),
        "list_failed" => "The version was the problem, so that it lists from \"\" at once.".into(),
        "watch_failed" if event["watch_failed"] == "unavailable" => "The server was unavailable: it pauses, and then watches again from its version.".into(),
        "watch_failed" => "Whatever else it was: it pauses, then it lists from its version.".into(),
        "watch_closed" if answer.contains("pause") => "The watch was closed within a second and had no event, which counts as a failure: it pauses, then it lists.".into(),
        "watch_closed" => "The watch has run its time: it watches from its version at once.".into(),
        _ if answer == "[]" => "No pause is over and no resync is due.".into(),
        _ => "A pause is over, and it goes on; or a resync is due, and handlers hear of everything again.".into(),
    }])
}

pub fn raft_election(asked: &Asked<'_>) -> Option<Vec<String>> {
    let event = &asked.args["event"];
    let mut term = asked.script.new["config"]["ballot"]["term"].as_u64()?;
    let mut voted = asked.script.new["config"]["ballot"]["voted_for"].as_u64();
    for answer in &asked.answers[..asked.answers.len() - 1] {
        for output in answer.as_array()? {
            if let Some(saved) = output.get("save") {
                (term, voted) = (saved["term"].as_u64()?, saved["voted_for"].as_u64());
            }
        }
    }
    let members = asked.script.new["config"]["members"].as_array()?.len();
    if event == "election_timeout" {
        let leads = asked.answer.as_array()?.is_empty();
        return Some(vec![match leads {
            true => "A leader has no use for the election timer.".into(),
            false => format!(
                "It stands for election: a new term, {}, its own vote saved before anybody hears of it, and a request to all others.",
                term + 1
            ),
        }]);
    }
    if event == "heartbeat_due" {
        return Some(vec!["Only a leader has anything to do: it tells all others that it is alive.".into()]);
    }
    let (from, message) = (&event["message"]["from"], &event["message"]["message"]);
    let (kind, body) = message.as_object()?.iter().next()?;
    let theirs = body["term"].as_u64()?;
    let mut said = vec![match theirs.cmp(&term) {
        std::cmp::Ordering::Less => format!("Term {theirs} is over: it is in term {term}."),
        std::cmp::Ordering::Equal => format!("The message is of its own term, {term}."),
        std::cmp::Ordering::Greater => {
            format!("Term {theirs} is new: it saves it, has voted for nobody in it, and follows.")
        }
    }];
    if theirs > term {
        voted = None;
    }
    match kind.as_str() {
        "request_vote" if theirs >= term => {
            let end = |log: &Value| (log["term"].as_u64().unwrap_or(0), log["index"].as_u64().unwrap_or(0));
            let (own, other) = (end(&asked.script.new["config"]["log"]), end(&body["log"]));
            said.push(match voted {
                Some(id) if Some(id) != from.as_u64() => format!("It has voted for {id} in this term, and votes once."),
                _ if other < own => format!("The candidate's log ends at index {} of term {}, its own at {} of term {}: the later term wins, then the longer log. No vote.", other.1, other.0, own.1, own.0),
                _ => format!("It has not voted for another, and the candidate's log (index {} of term {}) is at least as up to date as its own (index {} of term {}): it votes.", other.1, other.0, own.1, own.0),
            });
        }
        "request_vote" => said.push("It refuses, and says its own term.".into()),
        "vote" => {
            let wins = flow(asked.answer).contains("heartbeat");
            said.push(match wins {
                true => format!(
                    "With that it has {} of {members} votes, which is a majority: it leads, and says so.",
                    members / 2 + 1
                ),
                false if theirs < term => "A vote of an election that is over counts nothing.".into(),
                false => format!(
                    "It takes {} of {members} votes of this term, its own among them, to lead; one member counts once.",
                    members / 2 + 1
                ),
            });
        }
        "heartbeat" if theirs >= term => {
            said.push("Whoever sends a heartbeat leads in that term: it follows, and answers.".into())
        }
        "heartbeat" => {
            said.push("It answers with its own term, so that a leader of the past learns that it is one.".into())
        }
        _ => said.push("The answer matters only if its term is new.".into()),
    }
    Some(said)
}

pub fn raft_replication(asked: &Asked<'_>) -> Option<Vec<String>> {
    let config = &asked.script.new["config"];
    let mut log: BTreeMap<u64, u64> = BTreeMap::new();
    let entries = |value: &Value| -> Vec<(u64, u64)> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| Some((one["index"].as_u64()?, one["term"].as_u64()?)))
            .collect()
    };
    log.extend(entries(&config["log"]));
    let mut applied = 0;
    for answer in &asked.answers[..asked.answers.len() - 1] {
        for output in answer.as_array()? {
            if let Some(saved) = output.get("save") {
                let saved = entries(saved);
                if let Some((first, _)) = saved.first() {
                    log.retain(|index, _| index < first);
                }
                log.extend(saved);
            }
            applied = output["apply"]["index"].as_u64().unwrap_or(applied);
        }
    }
    let message = &asked.args["event"]["message"]["message"];
    if let Some(append) = message.get("append_entries") {
        let number = |field: &str| append[field].as_u64().unwrap_or(0);
        let (term, prev, before, commit) =
            (number("term"), number("prev_log_index"), number("prev_log_term"), number("leader_commit"));
        let own = config["term"].as_u64().unwrap_or(0);
        if term < own {
            return Some(vec![format!("The leader of term {term} is one of the past: this member is in term {own}.")]);
        }
        let has = log.get(&prev).copied().unwrap_or(0);
        return Some(match () {
            () if prev > 0 && has == 0 => vec![format!(
                "The entries belong after index {prev}, and its log ends at {}: it refuses.",
                log.keys().last().unwrap_or(&0)
            )],
            () if prev > 0 && has != before => vec![format!(
                "At index {prev} it has an entry of term {has}, the leader one of term {before}: it refuses, and the leader goes further back."
            )],
            () => {
                let new = entries(&append["entries"]);
                let conflict = new.iter().find(|(index, term)| log.get(index).is_some_and(|has| has != term));
                let last = prev + new.len() as u64;
                let mut said = vec![match conflict {
                    Some((index, term)) => format!(
                        "Both agree up to {prev}. At {index} it has another term than {term}: that entry and all behind it go."
                    ),
                    None => format!(
                        "Both agree up to {prev}; what it has already is not saved again, and nothing is taken away."
                    ),
                }];
                said.push(format!("Committed is {commit}, and it is sure of what agrees, up to {last}: it applies up to {}, after {applied}.", commit.min(last).max(applied)));
                said
            }
        });
    }
    if let Some(reply) = message.get("append_reply") {
        let term = asked.script.steps.iter().find_map(|(_, args)| args["event"]["elected"]["term"].as_u64())?;
        let mut agrees: BTreeMap<u64, u64> = BTreeMap::new();
        for (_, args) in &asked.script.steps {
            let event = &args["event"]["message"];
            let one = &event["message"]["append_reply"];
            if one["success"] == true && one["term"] == term {
                let place = agrees.entry(event["from"].as_u64()?).or_default();
                *place = one["index"].as_u64()?.max(*place);
            }
        }
        if reply["success"] != true {
            return Some(vec!["A refusal commits nothing; the leader goes further back in what it sends.".into()]);
        }
        let shown: Vec<String> = agrees.iter().map(|(id, index)| format!("{id} up to {index}")).collect();
        let last = log.keys().last().copied().unwrap_or(0);
        let best = agrees.values().max().copied().unwrap_or(0);
        let of = log.get(&best).copied().unwrap_or(0);
        return Some(vec![
            format!(
                "It has all up to {last} itself, and agree with it: {}. Two of three are a majority.",
                list(&shown)
            ),
            match of == term {
                true => format!(
                    "Entry {best} is of its own term {term}, so it is committed, and with it all before it; applied was {applied}."
                ),
                false => format!(
                    "Entry {best} is of term {of}. Entries of earlier terms are never committed by counting, only with one of its own term {term}."
                ),
            },
        ]);
    }
    None
}

pub fn store(asked: &Asked<'_>) -> Option<Vec<String>> {
    let mut compacted = 0;
    for ((call, args), answer) in asked.script.steps.iter().zip(asked.answers) {
        if call == "compact" && answer.get("Err").is_none() {
            compacted = args["revision"].as_i64()?;
        }
    }
    let revisions = asked
        .answers
        .iter()
        .filter_map(|answer| answer["revision"].as_i64().or_else(|| answer["Ok"]["revision"].as_i64()));
    let now = revisions.max().unwrap_or(1);
    let request = &asked.args["request"];
    let history = match compacted {
        0 => "nothing is compacted".to_string(),
        revision => format!("what is older than {revision} is compacted"),
    };
    Some(match asked.call {
        "range" => {
            let asks = request["revision"].as_i64().unwrap_or(0);
            let place = if asks == 0 { "now".to_string() } else { format!("at revision {asks}") };
            let mut said = vec![format!("It reads {place}; the store is at revision {now}, and {history}.")];
            let (key, end) = (flow(&request["key"]), request["range_end"].as_str());
            said.push(match end {
                None => format!("Without an end it is the one key {key}."),
                Some(end) => format!("The range goes from {key} to before {end:?}, by bytes."),
            });
            if asked.answer.get("Ok").is_some() {
                said.push("Each key has the last version that was written at or before that revision. The answer's revision is always the store's now.".into());
            }
            said
        }
        "txn" => vec![
            "All operations together are one change with one revision; a put always changes something, a delete only if it finds a key.".into(),
            "`created` begins anew when a deleted key is put again, `version` counts the puts since then.".into(),
        ],
        "compact" => vec![format!("It asks for {}; the store is at revision {now}, and {history}. At or below that it is compacted already, above {now} it is in the future.", asked.args["revision"])],
        "watch" => vec![format!("It starts at {} (0: the next change); the store is at revision {now}, and {history}. A start below that is cancelled, one in the past is replayed.", request["start_revision"].as_i64().unwrap_or(0))],
        "events" => vec![
            "Each watch is owed the changes of its range since its start that were not delivered yet, in the order of watches and then of revisions.".into(),
            "With prev_kv an event carries the version before, unless there was none or it was compacted when the watch was made.".into(),
        ],
        _ => vec!["It is false where no such watch is running.".into()],
    })
}

pub fn work_queue(asked: &Asked<'_>) -> Option<Vec<String>> {
    let mut queued: Vec<String> = Vec::new();
    let (mut at_work, mut again) = (BTreeSet::new(), BTreeSet::new());
    let mut waits: BTreeMap<String, i64> = BTreeMap::new();
    let mut failures: BTreeMap<String, u64> = BTreeMap::new();
    let (mut down, mut drains) = (false, false);
    let config = &asked.script.new["config"];
    let number = |field: &str, usual: i64| config[field].as_i64().unwrap_or(usual);
    let (base, most) = (number("base_delay", 5), number("max_delay", 1_000_000));
    let mut limited = false;
    let last = asked.script.steps.len() - 1;
    for (at, (call, args)) in asked.script.steps.iter().enumerate() {
        let key = args["key"].as_str().unwrap_or_default().to_string();
        let now = args["now"].as_i64();
        if let Some(now) = now {
            let mut due: Vec<(i64, String)> =
                waits.iter().filter(|(_, due)| **due <= now).map(|(key, due)| (*due, key.clone())).collect();
            due.sort();
            for (_, key) in due {
                waits.remove(&key);
                add(&key, &mut queued, &at_work, &mut again);
            }
        }
        if at == last {
            break;
        }
        match call.as_str() {
            "add" if !down => add(&key, &mut queued, &at_work, &mut again),
            "add_after" | "add_rate_limited" => {
                let delay = match call.as_str() {
                    "add_after" => args["delay"].as_i64()?,
                    _ => {
                        let count = failures.entry(key.clone()).or_default();
                        *count += 1;
                        limited = true;
                        base.checked_mul(1_i64.checked_shl((*count - 1).min(62) as u32)?)
                            .map_or(most, |delay| delay.min(most))
                    }
                };
                if down {
                } else if delay <= 0 {
                    add(&key, &mut queued, &at_work, &mut again);
                } else {
                    let due = now? + delay;
                    let first = waits.entry(key).or_insert(due);
                    *first = due.min(*first);
                }
            }
            "forget" => _ = failures.remove(&key),
            "get" => {
                if let Some(key) = asked.answers[at]["key"].as_str() {
                    queued.retain(|one| one != key);
                    at_work.insert(key.to_string());
                }
            }
            "done" => {
                at_work.remove(&key);
                if again.remove(&key) {
                    queued.push(key);
                }
            }
            "shut_down" => {
                (down, drains) = (true, args["drain"] == true);
                waits.clear();
            }
            _ => {}
        }
    }
    let all = |of: Vec<String>| list(&of);
    let key = asked.args["key"].as_str().unwrap_or_default();
    Some(match asked.call {
        "num_requeues" => vec![format!(
            "Failures of {key} count since it was forgotten last: {}.",
            failures.get(key).copied().unwrap_or(0)
        )],
        "drained" => vec![match (down, drains) {
            (false, _) => "Nobody has shut it down.".into(),
            (true, false) => "It was shut down without waiting for the workers.".into(),
            (true, true) => format!("It waits for the workers, and they have: {}.", all(at_work.into_iter().collect())),
        }],
        _ => {
            let mut said =
                vec![format!("Queued: {}. With workers: {}.", all(queued), all(at_work.into_iter().collect()))];
            if !again.is_empty() {
                said.push(format!(
                    "Added while it was processed, and queued again when it is done: {}.",
                    all(again.into_iter().collect())
                ));
            }
            if !waits.is_empty() {
                let waiting: Vec<String> = waits.iter().map(|(key, due)| format!("{key} until {due}")).collect();
                let bucket = if limited { " (later, where the bucket is empty)" } else { "" };
                said.push(format!("Waiting: {}{bucket}.", list(&waiting)));
            }
            if down {
                said.push(
                    "It was shut down: nothing comes in any more, and what is queued is still handed out.".into(),
                );
            }
            said
        }
    })
}

fn add(key: &str, queued: &mut Vec<String>, at_work: &BTreeSet<String>, again: &mut BTreeSet<String>) {
    if at_work.contains(key) {
        again.insert(key.to_string());
    } else if !queued.iter().any(|one| one == key) {
        queued.push(key.to_string());
    }
}

/// How a client among others comes to its end.
pub fn concurrency(script: &Value, lines: &[String]) -> Vec<String> {
    let outcome = lines.first().map_or("", String::as_str);
    let count = |what: &str| script[what].as_array().map_or(0, Vec::len);
    let (unseen, others) = (count("unseen"), count("others"));
    let client = flow(&script["client"]);
    let mut said = Vec::new();
    said.push(match outcome {
        "gave up: not_found" => "There is no object any more when the client writes.".to_string(),
        "gave up: changed" => "The object is not what the intent takes it for, and the intent says that this ends it.".into(),
        "gave up: conflict" => "Another manager owns a field with another value, and the client doesn't take it away.".into(),
        "gave up: refused" => "The server refuses it, or it makes no sense: that is not tried again.".into(),
        _ if client.contains("apply") => "An apply is one request: the fields that it says belong to the client, all others stay as they are.".into(),
        _ if others > 0 => format!("{others} write(s) of others come right before the client's: a write from an old object meets a conflict (409), and is made again from a fresh one. So nothing of theirs is lost."),
        _ if unseen > 0 => "The cache is late: what others wrote since must stay, so the write is made from a fresh object or changes nothing else.".into(),
        _ => "Nobody is in the way: the intent is carried out once.".into(),
    });
    if unseen > 0 && outcome.starts_with("gave up") {
        said.push(format!("{unseen} write(s) were not in the cache."));
    }
    said
}
