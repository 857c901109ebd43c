//! The probes of a container.

use super::Asked;
use kit_contract::node::probes::{Answer, Config, Done, Kind, Outcome, Synced};

pub fn probes(asked: &Asked<'_>) -> Option<Vec<String>> {
    let config: Config = serde_json::from_value(asked.script.new["config"].clone()).ok()?;
    match asked.call {
        "sync" => Some(sync(&config, &asked.answer()?)),
        "outcome" => outcome(&config, asked.arg("done")?, &asked.answer()?),
        _ => Some(wake(&asked.answer()?)),
    }
}

fn sync(config: &Config, synced: &Synced) -> Vec<String> {
    let mut said = vec![match (synced.started, synced.ready) {
        (false, _) if config.startup.is_some() => "It has started only with a success of the startup probe for this very container.",
        (false, _) => "It doesn't run, so that it hasn't started.",
        (true, false) => "It has started, and readiness has no success for this container yet. So its worker looks at once, and its ticker begins anew.",
        (true, true) => "All that it has of startup and readiness have succeeded for this container; a probe that it doesn't have counts as a success.",
    }
    .to_string()];
    if let Some(kill) = &synced.kill {
        let because = format!("{:?}", kill.because).to_lowercase();
        said.push(format!(
            "The {because} probe has failed for it. It is killed, with the grace of the probe, or else of the pod, and never less than 2 s."
        ));
    }
    said
}

fn outcome(config: &Config, done: Done, answer: &Answer) -> Option<Vec<String>> {
    let probe = config.probe(done.probe)?;
    let (word, most) = match done.outcome {
        Outcome::Errored => return Some(vec!["It could not be tried: that counts for nothing.".into()]),
        Outcome::Passed | Outcome::Warned => ("successes", probe.success_threshold),
        Outcome::Failed | Outcome::TimedOut => ("failures", probe.failure_threshold),
    };
    let mut said = vec![match answer.results.contains_key(&done.probe) {
        true => format!("{most} {word} in a row are a result."),
        false => format!("It takes {most} {word} in a row, and only a result that is another one is told."),
    }];
    if done.probe != Kind::Readiness {
        said.push(
            "A liveness probe that has failed, and a startup probe with any result, wait for another container.".into(),
        );
    }
    Some(said)
}

fn wake(answer: &Answer) -> Vec<String> {
    vec![match answer.probe.is_empty() {
        true => "Nothing is probed: what the last sync saw doesn't run, is too young, waits for its startup probe, or has had its verdict. Tickers go on in their rhythm.".into(),
        false => "Tickers began with the pod and tick once in each period; several missed ticks are one. Startup is for what hasn't started, the others for what has.".into(),
    }]
}
