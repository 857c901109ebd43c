//! `cluster up --incident` and `cluster check`: a cluster that something is wrong with, and whether it is mended.

use crate::control::{self, Order};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use kit_api::jiff::SignedDuration;
use kit_cluster::cluster::Config;
use kit_cluster::engine::Engine;
use kit_cluster::incident::{Incident, Judge, Verdict};
use kit_cluster::timeline::{Condition, Failure, Seen, Span};
use kit_live::{Door, Driver};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often it is asked whether conditions still hold.
const AGAIN: Duration = Duration::from_millis(50);

/// The incident that a cluster was started with.
#[derive(Clone)]
pub struct Case {
    /// What its file says.
    pub incident: Arc<Incident>,
    judge: Arc<Mutex<Judge>>,
}

impl Case {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is wrong in it, and where.
    pub fn load(path: &Path) -> Result<Case> {
        let incident = Incident::load(path).map_err(|why| anyhow::anyhow!("{why}"))?;
        let judge = Arc::new(Mutex::new(Judge::new(&incident)));
        Ok(Case { incident: Arc::new(incident), judge })
    }

    /// The cluster of the incident, and otherwise as `config` has it. It began so long ago that what has happened by now
    /// lies in the past.
    pub fn config(&self, config: Config) -> Config {
        let played = SignedDuration::from_nanos(self.incident.played().nanos);
        let Config { nodes, control_planes, zones, images, node_lifecycle, cloud, network, databases, logs, .. } =
            self.incident.cluster.clone();
        let add_ons = [config.add_ons, self.incident.cluster.add_ons.clone()].concat();
        let epoch = config.epoch.and_then(|now| now.checked_sub(played).ok());
        Config {
            nodes,
            control_planes,
            zones,
            images,
            node_lifecycle,
            cloud,
            network,
            databases,
            logs,
            add_ons,
            epoch,
            ..config
        }
    }

    /// Lets it happen.
    ///
    /// # Errors
    ///
    /// If it can't happen in this cluster.
    pub fn begin(&self, engine: &mut Engine) -> Result<(), String> {
        self.incident.begin(engine).map_err(|failure| match failure {
            Failure::Lost => format!("{}: a module was lost before it began", self.incident.name),
            Failure::Wrong(why) => format!("{}: {why}", self.incident.name),
        })
    }

    /// Watches the cluster from now on.
    pub fn watch(&self, door: &Door) {
        let judge = self.judge.clone();
        door.request(move |driver| {
            driver.pump(move |engine| {
                judge.lock().unwrap_or_else(PoisonError::into_inner).look(engine);
                true
            });
        });
    }

    /// How the cluster stands.
    fn verdict(&self, engine: &Engine) -> Verdict {
        self.judge.lock().unwrap_or_else(PoisonError::into_inner).verdict(engine)
    }
}

/// What is asked of a cluster.
#[derive(clap::Args)]
pub struct Check {
    /// An incident's file, or conditions such as `web ready >= 3`; without any, those of `up --incident`
    conditions: Vec<String>,
    /// For how long of the cluster's time they must hold: `30s`
    #[arg(long, value_name = "SPAN")]
    hold: Option<String>,
    /// Waits until they do, at the longest for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
    /// How it is written
    #[arg(long, value_name = "FORM", value_enum, default_value = "human")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
}

/// Conditions, and those that count at the end.
type Asked = (Vec<String>, Vec<String>);

/// Answers [`Order::Check`]: the verdict as JSON.
pub fn verdict(driver: &Driver, case: Option<&Case>, (healed, keep): &Asked) -> Result<String, String> {
    let verdict = if healed.is_empty() {
        let none = "this cluster was started without an incident: say which conditions, as `web ready >= 3`";
        case.ok_or(none)?.verdict(&driver.engine)
    } else {
        let look = |texts: &[String]| -> Result<Vec<Seen>, String> {
            texts.iter().map(|text| Condition::try_from(text.clone()).map(|it| it.look(&driver.engine))).collect()
        };
        let (conditions, keep) = (look(healed)?, look(keep)?);
        let holds = |all: &[Seen]| all.iter().all(|seen| seen.holds);
        let (healed, kept) = (holds(&conditions), holds(&keep));
        // Nobody has watched: for how long, whoever asks has to find out.
        Verdict { healed, held: None, kept, solved: healed && kept, conditions, keep, always: Vec::new() }
    };
    serde_json::to_string(&(driver.engine.now().nanos, verdict)).map_err(|error| error.to_string())
}

fn asked(conditions: &[String]) -> Result<Asked> {
    match conditions {
        [file] if file.ends_with(".yaml") || file.ends_with(".yml") => {
            let incident = Incident::load(&PathBuf::from(file)).map_err(|why| anyhow::anyhow!("{why}"))?;
            let texts = |all: &[Condition]| all.iter().map(Condition::to_string).collect();
            Ok((texts(&incident.healed), texts(&incident.keep)))
        }
        conditions => Ok((conditions.to_vec(), Vec::new())),
    }
}

/// Asks whether conditions hold.
///
/// # Errors
///
/// If no cluster runs, or what is asked is no condition.
pub fn check(folder: &Path, args: &Check) -> Result<ExitCode> {
    let asked = asked(&args.conditions)?;
    let hold = args.hold.clone().map(Span::try_from).transpose().map_err(|why| anyhow::anyhow!("--hold: {why}"))?;
    let hold = hold.map(|span| span.0.nanos as f64 / 1e9);
    let (mut since, began) = (None, std::time::Instant::now());
    let (verdict, good) = loop {
        let said = control::send(folder, &Order::Check(asked.clone()))?;
        let (now, mut verdict): (i64, Verdict) = serde_json::from_str(&said).context("an answer that nobody knows")?;
        let holds = verdict.healed && verdict.kept;
        since = since.filter(|_| holds).or(holds.then_some(now));
        if verdict.held.is_none() {
            verdict.held = since.map(|since| (now - since) as f64 / 1e9);
        }
        let long_enough = hold.is_none_or(|hold| verdict.held.is_some_and(|held| held >= hold));
        let hopeless = verdict.always.iter().any(|seen| !seen.holds);
        let waits = if holds { !long_enough } else { !hopeless && began.elapsed().as_secs() < args.wait };
        if !waits {
            break (verdict, holds);
        }
        std::thread::sleep(AGAIN);
    };
    match args.format {
        Format::Json => println!("{}", serde_json::to_string(&verdict)?),
        Format::Human => {
            for seen in [&verdict.conditions, &verdict.keep, &verdict.always].into_iter().flatten() {
                println!("  {} {}   {}", if seen.holds { '✓' } else { '✗' }, seen.text, seen.seen);
            }
        }
    }
    if verdict.conditions.is_empty() {
        bail!("there is nothing to check");
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
