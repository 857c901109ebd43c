//! `cargo grade cluster`: a cluster on this machine for kubectl, and what can be done to it from outside.
//!
//! `up` runs the cluster in its own process; the other commands talk to that process over a socket in the cluster's folder
//! ([`control`]). It is a package of its own, so that whoever only writes exercises never builds a web server.

mod control;
mod data;
mod incident;
mod modules;
mod real;
mod ui;
mod up;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use control::Order;
use kit_time::agenda::Instant;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Objects come and go in large numbers: see the grader's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs a cluster of the reference on this machine, for kubectl and other clients of Kubernetes 1.33.
#[derive(Parser)]
#[command(name = "cargo grade cluster", bin_name = "cargo grade cluster", version, disable_help_subcommand = true)]
struct Cli {
    /// Which cluster, where there are several; without it the one that KUBECONFIG names, or else `kit`
    #[arg(long, global = true)]
    name: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts a cluster, and runs it until Ctrl-C
    Up(Box<up::Args>),
    /// Ends the cluster
    Down,
    /// Says how it stands
    Status,
    /// Does something to it, as steps of scenarios do: `crash node-1`, `kill pod/web=137`, `lag replicaset-controller=5s`
    #[command(after_help = FAULTS)]
    Fault {
        /// What is done
        verb: String,
        /// To whom, with a value where the verb has one
        #[arg(required = true)]
        targets: Vec<String>,
    },
    /// Stops the cluster's clock, or one component; requests are answered all the same
    Pause { component: Option<String> },
    /// Lets the clock, or a component, go on
    Resume { component: Option<String> },
    /// Lets a clock that stands still go on by so much, at once: `5m`
    Step { span: String },
    /// Lets so many seconds of the cluster pass in one second
    Speed { speed: f64 },
    /// Follows a packet, hop by hop, and the answer to it: from `client`, a node, `pod/shop/web-0` or `deployment/shop/web` to `web.shop:80`,
    /// `10.96.0.20:80`, `service/shop/web:80`, `pod/shop/web-0:8080` or `node-1:30080`
    Packet {
        /// Who sends it
        from: String,
        /// Where to
        to: String,
        /// By UDP instead of TCP
        #[arg(long)]
        udp: bool,
    },
    /// Runs a command in the network namespace of a node or a pod, after `up --real-network`: `enter node-1 -- iptables-save`,
    /// `enter shop/web-0 -- curl catalog`, `enter deployment/shop/web`. Without a command, your shell
    Enter {
        /// Where: a node, `[NAMESPACE/]POD`, a workload for the first of its pods, or `client`
        place: String,
        /// The command and its arguments
        #[arg(last = true)]
        command: Vec<std::ffi::OsString>,
    },
    /// Shows traces of the control plane, after `up --trace-rate` or `up --otlp`: those that are remembered, or, by a part of its first
    /// span's name or of its id, the longest of those that fit, as a waterfall
    Traces {
        which: Option<String>,
        /// Writes a page that shows them all
        #[arg(long, value_name = "FILE", conflicts_with = "which")]
        html: Option<PathBuf>,
    },
    /// Says whether conditions hold, `deployment/shop/web Available`; exits with 1 if not
    Check(incident::Check),
}

const FAULTS: &str = "\
  crash, restart NODE           it loses power, and comes back
  shut_down NODE                it is shut down in order: its pods end first, then it loses power
  partition, heal NODE          it and the control plane don't hear each other, and do again
  kill POD=CODE                 a pod's containers end with this exit code (137: out of memory)
  load WORKLOAD=MILLICPU        a workload gets so much to do
  queue NAME=JOBS               a queue outside gets so many jobs more (with `up --add-on keda` or `prometheus-adapter`)
  requests WORKLOAD=N           a workload gets so many requests a second, which Prometheus counts (the same)
  silence, answer broker        the queues' broker doesn't answer, and does again (the same)
  lag COMPONENT=SPAN            a component's watches show everything so much later
  skew HOST=SPAN                a host's clock is so much ahead
  pause, resume COMPONENT       a component stops, and goes on
  fill, free, compact etcd      its quota is used up, there is room again, it forgets its history
  scale WORKLOAD=N              a workload is to have so many replicas
  stop_agent, start_agent NODE  the network plugin's agent stops, and runs again
  narrow NODE=BYTES, widen NODE its link carries no longer packets, and carries all again
  flood, ebb NODE               there is no room for more connections, and there is again
Hosts are nodes and, with `up --control-planes 3`, control-plane-1 and so on. Pods may be named by place: pod/web#1.";

/// How long a cluster may take to end.
const ENDING: std::time::Duration = std::time::Duration::from_secs(10);

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let all = clusters()?;
    let name = cli.name.clone().or_else(|| exported(&all)).unwrap_or_else(|| "kit".into());
    let folder = folder(&all, &name)?;
    let order = match &cli.command {
        Command::Up(args) => return up::up(&name, &folder, args).map(|()| ExitCode::SUCCESS),
        Command::Check(args) => return incident::check(&folder, args),
        Command::Enter { place, command } => return real::enter(&folder, place, command),
        Command::Down => Order::Down,
        Command::Status => Order::Status,
        Command::Fault { verb, targets } => {
            for step in faults(verb, targets)? {
                println!("{}", control::send(&folder, &Order::Fault(step))?);
            }
            return Ok(ExitCode::SUCCESS);
        }
        Command::Packet { from, to, udp } => Order::Packet { from: from.clone(), to: to.clone(), udp: *udp },
        Command::Pause { component: Some(component) } => Order::Fault(json!({"pause": component})),
        Command::Resume { component: Some(component) } => Order::Fault(json!({"resume": component})),
        Command::Pause { component: None } => Order::Pause(true),
        Command::Resume { component: None } => Order::Pause(false),
        Command::Step { span } => match span.parse::<Instant>() {
            Ok(span) if span > Instant::default() => Order::Step(span.nanos),
            Ok(_) => bail!("time goes on by more than nothing: {span}"),
            Err(why) => bail!("{why}"),
        },
        Command::Traces { html: Some(file), .. } => {
            let page = control::send(&folder, &Order::TracePage)?;
            std::fs::write(file, page).with_context(|| format!("can't write {}", file.display()))?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Traces { which, html: None } => Order::Traces(which.clone()),
        Command::Speed { speed } => Order::Speed(up::speed(*speed)?),
    };
    println!("{}", control::send(&folder, &order)?);
    if matches!(order, Order::Down) {
        // What it writes at its end is there when this is over.
        let since = std::time::Instant::now();
        while control::runs(&folder) && since.elapsed() < ENDING {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where all clusters lie on disk.
fn clusters() -> Result<PathBuf> {
    let target = std::env::current_exe().context("where this program lies is not known")?;
    let target = target.parent().and_then(Path::parent).context("this program lies in no folder of Cargo's")?;
    Ok(target.join("cluster"))
}

/// The cluster whose kubeconfig this shell has exported, as `up` tells people to.
fn exported(all: &Path) -> Option<String> {
    let kubeconfig = PathBuf::from(std::env::var_os("KUBECONFIG")?);
    let name = kubeconfig.strip_prefix(all).ok()?.parent()?.to_str()?;
    (!name.is_empty()).then(|| name.into())
}

/// What lies of a cluster on disk: its kubeconfig, its certificates, its socket.
fn folder(all: &Path, name: &str) -> Result<PathBuf> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        bail!("a cluster's name has letters, digits, `-` and `_`: {name:?}");
    }
    Ok(all.join(name))
}

/// Steps of a scenario, as their verb and what follows it say: one for all targets with a value, or one for each target.
fn faults(verb: &str, targets: &[String]) -> Result<Vec<Value>> {
    let pairs: Option<Map<String, Value>> = targets
        .iter()
        .map(|target| {
            let (name, value) = target.split_once('=')?;
            // As kubectl names them; a load is a Deployment's in any case.
            let name = if matches!(verb, "load" | "requests") {
                name.strip_prefix("deployment/").unwrap_or(name)
            } else {
                name
            };
            let value = value.parse::<i64>().map_or_else(|_| value.into(), Value::from);
            Some((name.to_string(), value))
        })
        .collect();
    match pairs {
        Some(pairs) => Ok(vec![json!({verb: pairs})]),
        None if targets.iter().any(|target| target.contains('=')) => {
            bail!("some targets of `{verb}` have a value and some have none: {}", targets.join(" "))
        }
        None => Ok(targets.iter().map(|target| json!({verb: target})).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_with_values_are_one_step_and_others_one_each() {
        let cases: [(&str, &[&str], &str); 5] = [
            ("crash", &["node-1"], r#"[{"crash":"node-1"}]"#),
            ("crash", &["node-1", "node-2"], r#"[{"crash":"node-1"},{"crash":"node-2"}]"#),
            ("kill", &["pod/web=137", "pod/api=1"], r#"[{"kill":{"pod/web":137,"pod/api":1}}]"#),
            ("load", &["deployment/web=300"], r#"[{"load":{"web":300}}]"#),
            ("kill", &["pod/web=137", "pod/api"], "some targets of `kill` have a value and some have none"),
        ];
        for (verb, targets, expected) in cases {
            let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
            let steps = faults(verb, &targets).map_or_else(|why| why.to_string(), |steps| json!(steps).to_string());
            assert!(steps.starts_with(expected), "{steps}");
        }
    }
}
