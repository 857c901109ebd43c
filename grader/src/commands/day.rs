//! `play --profile`: one day of traffic, on functions and on a cluster at once.

use crate::Format;
use crate::display::human::{BOLD, DIM, paint};
use crate::display::plain;
use crate::verdict::report::SCHEMA_VERSION;
use anstream::println;
use anyhow::{Context, Result, bail};
use kit_serverless::cluster::Shape;
use kit_serverless::compare::{Case, Compared};
use kit_serverless::curve::Curve;
use kit_serverless::function::{Function, Runtime};
use kit_serverless::load::{Load, profiles};
use kit_serverless::prices::prices;
use kit_serverless::show;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// The day, and what takes its traffic.
#[derive(clap::Args)]
pub struct Args {
    /// Instead of a file: a day of traffic on functions and on a cluster with autoscalers, side by side. `steady`, `diurnal`, `spiky`,
    /// `idle-mostly` or `batch`
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "watch", "recording"])]
    pub profile: Option<String>,
    /// How many requests come in a second, on average over the day
    #[arg(long, requires = "profile", default_value_t = 5.0)]
    rate: f64,
    /// CPU time of a request on one core, in milliseconds
    #[arg(long, requires = "profile", value_name = "MS", default_value_t = 20.0)]
    cpu: f64,
    /// How long a request waits for others, such as a database, in milliseconds
    #[arg(long, requires = "profile", value_name = "MS", default_value_t = 80.0)]
    wait: f64,
    /// Memory of the function and of a pod, in MB
    #[arg(long, requires = "profile", value_name = "MB", default_value_t = 512)]
    function_memory: u32,
    /// What the function is written in: `native`, `node`, `python` or `java`
    #[arg(long, requires = "profile", value_parser = runtime, default_value = "node")]
    runtime: Runtime,
    /// How large its package is, in MB
    #[arg(long, requires = "profile", value_name = "MB", default_value_t = 10.0)]
    package: f64,
    /// How many of its environments are kept ready
    #[arg(long, requires = "profile", value_name = "N", default_value_t = 0)]
    provisioned: u32,
}

fn runtime(name: &str) -> Result<Runtime, String> {
    let found = Runtime::ALL.iter().find(|(known, _)| *known == name);
    let known = || Runtime::ALL.map(|(known, _)| format!("`{known}`")).join(", ");
    found.map(|(_, runtime)| *runtime).ok_or_else(|| format!("there is {}", known()))
}

/// What `--format json` prints.
#[derive(Serialize)]
struct Said<'a> {
    schema_version: u32,
    profile: &'a str,
    rate: f64,
    prices: &'a str,
    #[serde(flatten)]
    compared: &'a Compared,
    break_even: Option<f64>,
}

/// Plays the day on both.
pub fn day(name: &str, args: &Args, format: Format, html: Option<&Path>) -> Result<ExitCode> {
    let profiles = profiles();
    let Some(profile) = profiles.get(name) else {
        let known: Vec<String> = profiles.keys().map(|known| format!("`{known}`")).collect();
        bail!("there is no profile `{name}`; there is {}", known.join(", "));
    };
    let ranges =
        [("rate", args.rate, 0.001, 1000.0), ("cpu", args.cpu, 0.1, 60_000.0), ("wait", args.wait, 0.0, 3.6e6)];
    for (what, value, least, most) in ranges {
        if !(least..=most).contains(&value) {
            bail!("--{what} lies between {least} and {most}: {value}");
        }
    }
    if !(128..=10_240).contains(&args.function_memory) {
        bail!("a function has from 128 to 10240 MB: {}", args.function_memory);
    }
    if !(0.0..=250.0).contains(&args.package) {
        bail!("a package has up to 250 MB: {}", args.package);
    }
    if args.provisioned > 1000 {
        bail!("an account has 1000 environments: {}", args.provisioned);
    }
    let load =
        Load { rates: profile.rates(args.rate), cpu_ms: args.cpu, wait_ms: args.wait, memory_mb: args.function_memory };
    let function = Function {
        memory_mb: args.function_memory,
        runtime: args.runtime,
        package_mb: args.package,
        provisioned: args.provisioned,
        ..Function::default()
    };
    let case = Case { load, function, shape: Shape::default(), seed: 7 };
    let prices = prices();
    let modules = solutions::modules();
    let compared = case.compare(&modules, &prices).map_err(anyhow::Error::msg)?;
    let curve = Curve { case: &case, prices: &prices, million: compared.million, modules: &modules };
    let even = curve.break_even();
    let title = format!("A day with {} requests a second on average", args.rate);
    if let Some(file) = html {
        let page = show::page(&title, &compared, &curve.points(), even, &prices);
        std::fs::write(file, page).with_context(|| format!("can't write {}", plain::name(file)))?;
    }
    match format {
        Format::Json => {
            let (schema_version, rate) = (SCHEMA_VERSION, args.rate);
            let said = Said {
                schema_version,
                profile: name,
                rate,
                prices: &prices.date,
                compared: &compared,
                break_even: even,
            };
            println!("{}", serde_json::to_string_pretty(&said)?);
        }
        Format::Human => {
            println!("\n  {}", paint(BOLD, title));
            println!("  {}\n", paint(DIM, format_args!("{}: {}", name, profile.about)));
            println!("{}", show::table(&compared));
            println!("  {}", show::break_even(even));
            println!("  {}", paint(DIM, format_args!("list prices of {}, us-east-1, without free tiers", prices.date)));
            if let Some(file) = html {
                println!("  {}  {}", paint(DIM, "page"), plain::name(file));
            }
            println!();
        }
    }
    Ok(ExitCode::SUCCESS)
}
