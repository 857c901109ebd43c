//! A candidate of a leader election.

use super::Asked;
use kit_contract::failure::leader_election::{Config, Event, Output, Record};

pub fn leader_election(asked: &Asked<'_>) -> Option<Vec<String>> {
    let config: Config = serde_json::from_value(asked.script.new["config"].clone()).unwrap_or_default();
    let (event, outputs): (Event, Vec<Output>) = (asked.arg("event")?, asked.answer()?);
    let mut said: Vec<String> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::NewLeader { .. } => Some("Whom the observed record names isn't whom it told of last.".to_string()),
            Output::Started => Some(
                "It holds the lease for the first time: it leads, and the first try to renew follows at once.".into(),
            ),
            _ => None,
        })
        .collect();
    said.push(match (&event, outputs.last()) {
        (Event::Cancel, None) => "It gives the lease back already: a second word changes nothing.".into(),
        (_, None) => "Nothing is left to do.".into(),
        (Event::Cancel, Some(Output::Get { .. })) => {
            "It leads and is to give the lease back: first it looks whether it still is its own.".into()
        }
        (Event::Cancel, Some(_)) => {
            "It doesn't lead, or doesn't give leases back: it ends at once, and the lease runs out.".into()
        }
        (Event::Found { record, .. }, Some(output)) => found(&config, record, output),
        (_, Some(Output::Update { .. })) => {
            "The observed record names it and is valid: it writes at once, without reading.".into()
        }
        (Event::Refused | Event::Lost, Some(Output::Get { .. })) => {
            "The fast path has failed: what it knew is old, so it reads.".into()
        }
        (_, Some(Output::Get { .. })) => {
            "The observed record doesn't name it, or isn't valid any more: a try begins by reading.".into()
        }
        (_, Some(Output::Create { .. })) => "There is no lease: it is created, with 0 transitions.".into(),
        (Event::Written { .. }, Some(Output::Wait { .. })) => {
            format!("The try has succeeded: the next round begins after exactly {} ms.", config.retry_period_ms)
        }
        (_, Some(output)) => failed(&config, output),
    });
    Some(said)
}

fn found(config: &Config, record: &Record, output: &Output) -> String {
    let holder = &record.holder_identity;
    match output {
        Output::Update { record, .. } if record.holder_identity.is_empty() => {
            "The lease still is its own, and it gives it back: nobody's, for 1 s.".into()
        }
        Output::Update { .. } if *holder == config.identity => {
            "The record names it, so it keeps since when, and the transitions.".into()
        }
        Output::Update { .. } if holder.is_empty() => {
            "The record names nobody, and binds nobody: one more transition.".into()
        }
        Output::Update { .. } => format!(
            "{holder} has let {} s pass without any change that this candidate saw: the record isn't valid, and it takes over with one more transition.",
            record.lease_duration_seconds
        ),
        Output::Wait { .. } if *holder != config.identity => format!(
            "{holder} holds it, and the record was observed less than {} s ago: the try has failed. Its own times say nothing here.",
            record.lease_duration_seconds
        ),
        output => failed(config, output),
    }
}

fn failed(config: &Config, output: &Output) -> String {
    match output {
        Output::Wait { least_ms, most_ms } if least_ms == most_ms => format!(
            "The try to renew has failed: it waits {} ms, but never beyond the deadline of its round.",
            config.retry_period_ms
        ),
        Output::Wait { .. } => {
            "The try has failed: it waits one to 2.2 retry periods, so that candidates don't keep step.".into()
        }
        Output::Get { .. } => "The round is lost: it gives the lease back if it still is its own.".into(),
        _ => format!(
            "The round of {} ms is lost, or the lease is given back: it leads no more.",
            config.renew_deadline_ms
        ),
    }
}
