//! What the book shows of functions and clusters, as it was measured. `UPDATE=1 cargo test -p kit-serverless --test book` writes
//! it anew.

use kit_serverless::cluster::Shape;
use kit_serverless::compare::{Case, Compared};
use kit_serverless::curve::Curve;
use kit_serverless::function::{Function, Runtime};
use kit_serverless::load::{Load, Request, profiles};
use kit_serverless::measure::Latencies;
use kit_serverless::prices::prices;
use kit_serverless::show::{drawing, money, time};
use std::fmt::Write;
use std::path::Path;

/// The days, and how many requests come in a second on average.
const DAYS: [(&str, f64); 5] =
    [("steady", 20.0), ("diurnal", 20.0), ("spiky", 20.0), ("idle-mostly", 2.0), ("batch", 2.0)];

fn case(profile: &str, rate: f64) -> Case {
    let rates = profiles()[profile].rates(rate);
    let load = Load { rates, cpu_ms: 20.0, wait_ms: 80.0, memory_mb: 512 };
    Case { load, function: Function::default(), shape: Shape::default(), seed: 7 }
}

fn even(case: &Case, compared: &Compared) -> Option<f64> {
    Curve { case, prices: &prices(), million: compared.million, modules: &solutions::modules() }.break_even()
}

/// All days, side by side.
fn days(all: &[(&str, f64, Case, Compared)]) -> String {
    let mut said = format!(
        "{:<13}{:>9}{:>9}{:>9}{:>12}{:>12}{:>10}{:>9}\n",
        "USD for a day", "function", "cluster", "reserved", "p99 func.", "p99 cluster", "slow for", "turns at"
    );
    for (name, _, case, compared) in all {
        let Compared { function, cluster, reserved_cost, .. } = compared;
        let turns = even(case, compared).map_or("–".into(), |rate| format!("{rate:.0}/s"));
        _ = writeln!(
            said,
            "{name:<13}{:>9}{:>9}{:>9}{:>12}{:>12}{:>10}{:>9}",
            money(function.cost),
            money(cluster.cost),
            money(*reserved_cost),
            time(function.p99),
            time(cluster.p99),
            format!("{:.0} s", cluster.slow),
            turns
        );
    }
    said
}

/// Cold starts of a runtime and a size, and nothing else.
fn cold(runtime: Runtime, package_mb: f64) -> Latencies {
    let function = Function { runtime, package_mb, ..Function::default() };
    let mut starts = Latencies::default();
    (0..1000).for_each(|number| {
        let (before, init) = function.cold_start(f64::from(number) / 1000.0);
        starts.add(before + init);
    });
    starts
}

/// The common table of this question, measured.
fn cells(all: &[(&str, f64, Case, Compared)]) -> String {
    let day = |name: &str| &all.iter().find(|(known, ..)| *known == name).expect("it is there").3;
    let (spiky, steady, idle) = (day("spiky"), day("steady"), day("idle-mostly"));
    let (mut quick, mut long) = (cold(Runtime::Native, 5.0), cold(Runtime::Java, 50.0));
    let forty = Request { at: 0, cpu: 1e6, wait: 2400e6 };
    let takes = Function::default().duration(&forty).min(kit_serverless::function::LONGEST) / 60e6;
    let turns = |words: &str| {
        let each = all.iter().map(|(name, _, case, compared)| {
            even(case, compared)
                .map_or_else(|| format!("`{name}` never"), |rate| format!("`{name}` {words} {rate:.0}/s"))
        });
        each.collect::<Vec<_>>().join(", ")
    };
    let rows = [
        [
            "Cold start".into(),
            format!("a pod {} (p50), {} (p95)", time(spiky.cluster.start_p50), time(spiky.cluster.start_p95)),
            format!(
                "{} (native, 5 MB) to {} (Java, 50 MB), p50",
                time(quick.percentile(50.0)),
                time(long.percentile(50.0))
            ),
            "`spiky`".to_string(),
        ],
        [
            "Max duration".into(),
            "a run of 40 min ends by itself".into(),
            format!("it is ended after {takes:.0} min"),
            "one run".into(),
        ],
        [
            "Scaling".into(),
            format!("answers are slow for {:.0} s after a spike", spiky.cluster.slow),
            format!("for {:.0} s", spiky.function.slow),
            "`spiky`".into(),
        ],
        [
            "Cost model".into(),
            format!("{} a day busy, {} idle", money(steady.cluster.cost), money(idle.cluster.cost)),
            format!("{} a day busy, {} idle", money(steady.function.cost), money(idle.function.cost)),
            "`steady`, `idle-mostly`".into(),
        ],
        [
            "Used of what is there".into(),
            format!("{:.0} % of CPU", steady.cluster.utilization * 100.0),
            format!("{:.0} % of time", steady.function.utilization * 100.0),
            "`steady`".into(),
        ],
        ["Debugging".into(), "shell, debugger, node".into(), "logs, metrics, traces".into(), "no number".into()],
        ["Cheaper".into(), turns("above"), turns("below"), "all days".into()],
    ];
    let mut said = "| Factor | Kubernetes | Functions | Measured with |\n|---|---|---|---|\n".to_string();
    rows.iter().for_each(|row: &[String; 4]| _ = writeln!(said, "| {} |", row.join(" | ")));
    said
}

#[test]
fn the_book_shows_what_was_measured() {
    let play = |name: &'static str, rate: f64| {
        let case = case(name, rate);
        let compared = case.compare(&solutions::modules(), &prices()).unwrap_or_else(|why| panic!("{name}: {why}"));
        (name, rate, case, compared)
    };
    // A day is a million requests and ten thousand looks at a cluster; the days know nothing of each other.
    let all: Vec<(&str, f64, Case, Compared)> = std::thread::scope(|scope| {
        let days = DAYS.map(|(name, rate)| scope.spawn(move || play(name, rate)));
        days.map(|day| day.join().expect("the day can be played")).into_iter().collect()
    });
    let prices = prices();
    let (_, _, diurnal, compared) = &all[1];
    let modules = solutions::modules();
    let curve = Curve { case: diurnal, prices: &prices, million: compared.million, modules: &modules };
    let svg = drawing(&curve.points(), curve.break_even());
    // The curve is a formula: it must be near to the day that was played.
    let point = curve.at(20.0);
    assert!((point.cluster / compared.cluster.cost - 1.0).abs() < 0.15, "{point:?} {}", compared.cluster.cost);
    assert!((point.function / compared.function.cost - 1.0).abs() < 0.01, "{point:?} {}", compared.function.cost);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/book");
    let mut stale = Vec::new();
    for (name, said) in [("days.txt", days(&all)), ("cells.md", cells(&all)), ("break_even.svg", svg)] {
        let path = folder.join(name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &said).expect("the file can be written");
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != said {
            stale.push(format!("{}:\n{said}", path.display()));
        }
    }
    assert!(stale.is_empty(), "out of date, UPDATE=1 writes them:\n{}", stale.join("\n"));
}
