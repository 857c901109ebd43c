//! `/metrics` of the API server, in the text format of Prometheus.
//!
//! Names, labels, buckets and words are upstream's: `apiserver/pkg/endpoints/metrics/metrics.go`,
//! `apiserver/pkg/storage/etcd3/metrics/metrics.go`. The crate `prometheus` writes that format; the one that is named after
//! it, `prometheus-client`, writes OpenMetrics, where counters and help have other forms than a 1.33 server gives them.

use kit_apimachinery::object::Kind;
use kit_apimachinery::resource::Resource;
use kit_server::{RequestInfo, Snapshot};
use prometheus::{
    Counter, Encoder, Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::time::Duration;

const BUCKETS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0,
];
/// What every request's series says, in order.
const ABOUT: [&str; 7] = ["verb", "group", "version", "resource", "subresource", "scope", "component"];
/// The media type of the answer.
pub const MEDIA: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is counted.
pub struct Metrics {
    registry: Registry,
    total: IntCounterVec,
    duration: HistogramVec,
    inflight: IntGaugeVec,
    long: IntGaugeVec,
    deprecated: IntGaugeVec,
    rejected: IntCounterVec,
    stored: IntGaugeVec,
    process: OfProcess,
}

/// What is known of the process; of other systems than Linux nothing is.
struct OfProcess {
    cpu: Counter,
    gauges: Vec<(Gauge, Of)>,
}

type Of = fn(&Process) -> Option<f64>;

impl Metrics {
    /// Nothing counted yet.
    ///
    /// # Errors
    ///
    /// If two metrics had one name.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let with = |more: &[&'static str]| ABOUT.iter().chain(more).copied().collect::<Vec<_>>();
        let total = "[STABLE] Counter of apiserver requests broken out for each verb, dry run value, group, version, \
                     resource, scope, component, and HTTP response code.";
        let duration = "[STABLE] Response latency distribution in seconds for each verb, dry run value, group, version, \
                        resource, subresource, scope and component.";
        let inflight = "[STABLE] Maximal number of currently used inflight request limit of this apiserver per request kind \
                        in last second.";
        let long = "[STABLE] Gauge of all active long-running apiserver requests broken out by verb, group, version, \
                    resource, scope and component. Not all requests are tracked this way.";
        let deprecated = "[STABLE] Gauge of deprecated APIs that have been requested, broken out by API group, version, \
                          resource, subresource, and removed_release.";
        let rejected = "[BETA] Number of requests rejected by API Priority and Fairness subsystem";
        let stored = "[STABLE] Number of stored objects at the time of last check split by kind. In case of a fetching \
                      error, the value will be -1.";
        let buckets = HistogramOpts::new("apiserver_request_duration_seconds", duration).buckets(BUCKETS.to_vec());
        let metrics = Metrics {
            total: IntCounterVec::new(Opts::new("apiserver_request_total", total), &with(&["dry_run", "code"]))?,
            duration: HistogramVec::new(buckets, &with(&["dry_run"]))?,
            inflight: IntGaugeVec::new(Opts::new("apiserver_current_inflight_requests", inflight), &["request_kind"])?,
            long: IntGaugeVec::new(Opts::new("apiserver_longrunning_requests", long), &ABOUT)?,
            deprecated: IntGaugeVec::new(
                Opts::new("apiserver_requested_deprecated_apis", deprecated),
                &["group", "version", "resource", "subresource", "removed_release"],
            )?,
            rejected: IntCounterVec::new(
                Opts::new("apiserver_flowcontrol_rejected_requests_total", rejected),
                &["priority_level", "flow_schema", "reason"],
            )?,
            stored: IntGaugeVec::new(Opts::new("apiserver_storage_objects", stored), &["resource"])?,
            process: process()?,
            registry,
        };
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.total.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.inflight.clone()))?;
        registry.register(Box::new(metrics.long.clone()))?;
        registry.register(Box::new(metrics.deprecated.clone()))?;
        registry.register(Box::new(metrics.rejected.clone()))?;
        registry.register(Box::new(metrics.stored.clone()))?;
        registry.register(Box::new(metrics.process.cpu.clone()))?;
        for (gauge, _) in &metrics.process.gauges {
            registry.register(Box::new(gauge.clone()))?;
        }
        for kind in ["mutating", "readOnly"] {
            metrics.inflight.with_label_values(&[kind]).set(0);
        }
        Ok(metrics)
    }

    /// A request begins; it ends when this is dropped.
    pub fn begin(&self, info: &RequestInfo, apply: bool) -> Going {
        let about = about(info, apply);
        let known = !info.is_resource || is_served(info);
        let gauge = match info.long_running() {
            true if known => self.long.with_label_values(&about),
            true => self.long.with_label_values(&unknown(&about)),
            false if info.read_only() || info.verb == "head" => self.inflight.with_label_values(&["readOnly"]),
            false => self.inflight.with_label_values(&["mutating"]),
        };
        gauge.inc();
        let old = [("", "v1", "endpoints"), ("", "v1", "componentstatuses")];
        if old.contains(&(info.group.as_str(), info.version.as_str(), info.resource.as_str())) {
            let labels = [&info.group, &info.version, &info.resource, &info.subresource, ""];
            self.deprecated.with_label_values(&labels).set(1);
        }
        Going { gauge, about, known }
    }

    /// A request has been answered.
    pub fn answered(&self, going: &Going, dry_run: &str, code: u16, took: Duration) {
        // Whoever asks for what isn't there makes no series of it, however often.
        let about = if going.known || code < 400 { going.about.clone() } else { unknown(&going.about) };
        let code = code.to_string();
        let labels = |more: &[&str]| -> Vec<String> {
            about.iter().cloned().chain(more.iter().map(ToString::to_string)).collect()
        };
        self.total.with_label_values(&labels(&[dry_run, &code])).inc();
        self.duration.with_label_values(&labels(&[dry_run])).observe(took.as_secs_f64());
    }

    /// A request found no room.
    pub fn rejected(&self, level: &str, schema: &str, reason: &str) {
        self.rejected.with_label_values(&[level, schema, reason]).inc();
    }

    /// All series as text, with what the objects are now.
    pub fn text(&self, snapshot: &Snapshot) -> String {
        for &kind in Kind::ALL {
            let resource = kind.resource();
            self.stored.with_label_values(&[resource.qualified()]).set(snapshot.list(kind).count() as i64);
        }
        if let Some(process) = Process::read() {
            if let Some(ticks) = process.field(14).zip(process.field(15)) {
                // What was counted is known as a whole.
                self.process.cpu.reset();
                self.process.cpu.inc_by((ticks.0 + ticks.1) / TICKS);
            }
            for (gauge, value) in &self.process.gauges {
                if let Some(value) = value(&process) {
                    gauge.set(value);
                }
            }
        }
        let mut text = Vec::new();
        _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

/// A request that goes on.
pub struct Going {
    gauge: prometheus::IntGauge,
    about: [String; 7],
    /// Whether there is such a resource, as far as is known before somebody answers.
    known: bool,
}

impl Drop for Going {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// What a request's series says, as [`ABOUT`] has it.
fn about(info: &RequestInfo, apply: bool) -> [String; 7] {
    let of = |value: &str| if info.is_resource { value.to_string() } else { String::new() };
    // Of paths that are no resource only those are told apart that everybody knows.
    let part = if info.is_resource { &info.subresource } else { plain(&info.path) };
    let scope = scope(info).to_string();
    let (group, version, resource) = (of(&info.group), of(&info.version), of(&info.resource));
    [verb(info, apply).into(), group, version, resource, part.into(), scope, "apiserver".into()]
}

/// The same of something that isn't there.
fn unknown(about: &[String; 7]) -> [String; 7] {
    let [verb, .., component] = about;
    [verb.as_str(), "", "", "", "", "", component].map(str::to_string)
}

fn is_served(info: &RequestInfo) -> bool {
    Resource::all().iter().any(|resource| {
        resource.plural == info.resource
            && resource.group == info.group
            && resource.version == info.version
            && (info.subresource.is_empty() || resource.subresource(&info.subresource).is_some())
    })
}

/// `CanonicalVerb` and `cleanVerb`.
fn verb(info: &RequestInfo, apply: bool) -> &'static str {
    match info.verb.as_str() {
        "get" | "head" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        _ if ["exec", "attach", "portforward", "proxy"].contains(&info.subresource.as_str()) => "CONNECT",
        "create" | "post" => "POST",
        "update" | "put" => "PUT",
        "patch" if apply => "APPLY",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        _ => "other",
    }
}

/// `CleanScope`.
fn scope(info: &RequestInfo) -> &'static str {
    match (info.name.is_empty(), info.namespace.is_empty(), info.is_resource) {
        (_, _, false) => "",
        (false, ..) => "resource",
        _ if info.verb == "create" => "resource",
        (true, false, _) => "namespace",
        _ => "cluster",
    }
}

fn plain(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "/healthz" | "/livez" | "/readyz" | "/version" | "/metrics" | "/openapi/v2" | "/openapi/v3" => path,
        _ => "",
    }
}

/// What the system says of this process.
struct Process {
    stat: Vec<String>,
    boot: f64,
}

/// How many ticks a second has where Linux counts them for programs (`USER_HZ`).
const TICKS: f64 = 100.0;

impl Process {
    fn read() -> Option<Process> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The name, in parentheses, may hold anything.
        let stat = stat.rsplit_once(')')?.1.split_whitespace().map(str::to_string).collect();
        let boot = std::fs::read_to_string("/proc/stat").ok()?;
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        Some(Process { stat, boot })
    }

    /// A field by its number in `proc(5)`.
    fn field(&self, number: usize) -> Option<f64> {
        self.stat.get(number.checked_sub(3)?)?.parse().ok()
    }
}

fn process() -> Result<OfProcess, prometheus::Error> {
    // Of a line such as `VmRSS:  1024 kB`, the number.
    fn number(file: &str, name: &str) -> Option<f64> {
        let text = std::fs::read_to_string(file).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    }
    let all: [(&str, &str, Of); 5] = [
        ("process_open_fds", "Number of open file descriptors.", |_| {
            Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as f64)
        }),
        ("process_max_fds", "Maximum number of open file descriptors.", |_| {
            number("/proc/self/limits", "Max open files")
        }),
        ("process_resident_memory_bytes", "Resident memory size in bytes.", |_| {
            Some(number("/proc/self/status", "VmRSS:")? * 1024.0)
        }),
        ("process_virtual_memory_bytes", "Virtual memory size in bytes.", |process| process.field(23)),
        ("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", |process| {
            Some(process.boot + process.field(22)? / TICKS)
        }),
    ];
    let gauges = all.into_iter().map(|(name, help, of)| Ok((Gauge::new(name, help)?, of)));
    let cpu = Counter::new("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.")?;
    Ok(OfProcess { cpu, gauges: gauges.collect::<Result<_, prometheus::Error>>()? })
}
