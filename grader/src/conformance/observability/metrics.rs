//! The text format of metrics.

use super::{list, number, same, text};
use crate::conformance::pure::compare;
use kit_observability::exposition::render::{number as written, render as write};
use kit_observability::exposition::{Family, Sample, Type, lint, parse as reader};
use serde_json::{Value, json};

/// A sample in a form that can be sorted: its name, its labels, and its number in the list.
type Row = (String, Vec<(String, String)>, f64, Option<f64>);

fn expected_rows(python: &Value) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for sample in list(python, "families").iter().flat_map(|family| list(family, "samples")) {
        let labels = super::labels(&sample["labels"]).into_iter().collect();
        rows.push((text(sample, "name")?.into(), labels, number(&sample["value"])?, sample["timestamp"].as_f64()));
    }
    Ok(rows)
}

/// The samples as Python's client has them: a counter's samples end with `_total`.
fn rows(families: &[Family]) -> Vec<Row> {
    let row = |family: &Family, sample: &Sample| {
        let bare = family.kind == Type::Counter && !sample.name.ends_with("_total");
        let name = if bare { format!("{}_total", sample.name) } else { sample.name.clone() };
        let mut labels = sample.labels.clone();
        labels.sort();
        (name, labels, sample.value, sample.timestamp.map(|t| t as f64 / 1000.0))
    };
    families.iter().flat_map(|family| family.samples.iter().map(move |sample| row(family, sample))).collect()
}

pub fn parse(case: &Value) -> Result<(), String> {
    let source = text(case, "text")?;
    let parsed = reader::parse(source.as_bytes());
    let (exit, messages) = match &parsed {
        Err(error) => (1, vec![format!("error while linting: {error}")]),
        Ok(families) => {
            let problems = lint::lint(families);
            (if problems.is_empty() { 0 } else { 3 }, problems)
        }
    };
    compare(case, json!({"promtool": {"exit": exit, "messages": messages}}))?;
    let python = &case["python"];
    let (Ok(families), None) = (parsed, python.get("error")) else { return Ok(()) };
    let (mut expected, mut got) = (expected_rows(python)?, rows(&families));
    let key = |row: &Row| (row.0.clone(), row.1.clone(), row.2.to_bits());
    expected.sort_by_key(key);
    got.sort_by_key(key);
    let equal = |(a, b): (&Row, &Row)| a.0 == b.0 && a.1 == b.1 && same(a.2, b.2) && a.3 == b.3;
    if expected.len() == got.len() && expected.iter().zip(&got).all(equal) {
        return Ok(());
    }
    Err(format!("{source:?}: expected {expected:?}, got {got:?}"))
}

/// A metric of Python's client, as far as the recording has it.
struct Metric {
    kind: String,
    name: String,
    help: String,
    options: Vec<String>,
    /// By the values of its labels.
    children: Vec<(Vec<(String, String)>, Child)>,
}

#[derive(Default)]
struct Child {
    value: f64,
    observed: Vec<f64>,
    state: String,
    info: Vec<(String, String)>,
}

impl Metric {
    /// `Kind(name, 'Help.', options)`.
    fn new(text: &str) -> Option<Metric> {
        let (kind, rest) = text.strip_suffix(')')?.split_once('(')?;
        let (name, rest) = rest.split_once(", '")?;
        let (help, rest) = rest.rsplit_once('\'')?;
        let options = rest.split(',').map(str::trim).filter(|option| !option.is_empty()).map(String::from).collect();
        let help = help.replace("\\n", "\n").replace("\\\\", "\\");
        let mut metric = Metric { kind: kind.into(), name: name.into(), help, options, children: Vec::new() };
        if metric.option("labels").is_none() {
            metric.children.push((Vec::new(), Child::default()));
        }
        Some(metric)
    }

    /// The words after the option's name.
    fn option(&self, name: &str) -> Option<Vec<&str>> {
        self.options.iter().find_map(|option| option.strip_prefix(name)).map(|rest| rest.split_whitespace().collect())
    }

    /// `inc 3`, `observe 1 2`, `info(a=b)`; the labels of a child stand beside it as `a=b`, or by their values after `labels`.
    fn operate(&mut self, operation: &str) -> Option<()> {
        let words = operation.split(|c: char| c.is_whitespace() || "(){},".contains(c)).filter(|word| !word.is_empty());
        let words: Vec<&str> = words.collect();
        let verb = words.iter().position(|word| ["state", "observe", "inc", "dec", "set", "info"].contains(word))?;
        let (before, after) = (&words[..verb], &words[verb + 1..]);
        let named = words.iter().filter_map(|word| word.split_once('='));
        let by_place = self.option("labels").unwrap_or_default().into_iter();
        let by_place = by_place.zip(before.iter().skip(1).filter(|word| !word.contains('=')).copied());
        let mut labels: Vec<(String, String)> =
            named.chain(by_place).map(|(name, value)| (name.into(), value.trim_matches('"').into())).collect();
        let info = if words[verb] == "info" { std::mem::take(&mut labels) } else { Vec::new() };
        let index = self.children.iter().position(|(known, _)| *known == labels).unwrap_or(self.children.len());
        if index == self.children.len() {
            self.children.push((labels, Child::default()));
        }
        let child = &mut self.children[index].1;
        let numbers: Vec<f64> = after.iter().filter_map(|word| word.parse().ok()).collect();
        match words[verb] {
            "info" => child.info = info,
            "state" => child.state = after.first()?.to_string(),
            "observe" => child.observed.extend(numbers),
            "inc" => child.value += numbers.first().unwrap_or(&1.0),
            "dec" => child.value -= numbers.first().unwrap_or(&1.0),
            _ => child.value = *numbers.first()?,
        }
        Some(())
    }

    fn families(&self) -> Option<Vec<Family>> {
        let base = self.name.strip_suffix("_total").filter(|_| self.kind == "Counter").unwrap_or(&self.name);
        let (name, kind) = match &self.kind[..] {
            "Counter" => (format!("{base}_total"), Type::Counter),
            "Info" => (format!("{base}_info"), Type::Gauge),
            "Gauge" | "Enum" => (base.to_string(), Type::Gauge),
            "Summary" => (base.to_string(), Type::Summary),
            "Histogram" => (base.to_string(), Type::Histogram),
            _ => return None,
        };
        let mut samples = Vec::new();
        let mut created = Vec::new();
        for (labels, child) in &self.children {
            let mut push = |suffix: &str, more: &[(String, String)], value: f64| {
                let labels = labels.iter().chain(more).cloned().collect();
                samples.push(Sample { name: format!("{name}{suffix}"), labels, value, timestamp: None });
            };
            match kind {
                Type::Summary | Type::Histogram => {
                    let bounds = if kind == Type::Histogram { self.bounds() } else { Vec::new() };
                    for bound in bounds {
                        let below = child.observed.iter().filter(|value| **value <= bound).count();
                        push("_bucket", &[("le".into(), written(bound))], below as f64);
                    }
                    push("_count", &[], child.observed.len() as f64);
                    push("_sum", &[], child.observed.iter().sum());
                }
                _ if self.kind == "Enum" => {
                    for state in self.option("states")? {
                        let is = f64::from(u8::from(state == child.state));
                        push("", &[(self.name.clone(), state.to_string())], is);
                    }
                }
                _ if self.kind == "Info" => push("", &child.info, 1.0),
                _ => push("", &[], child.value),
            }
            if !matches!(&self.kind[..], "Gauge" | "Enum" | "Info") {
                let name = format!("{base}_created");
                created.push(Sample { name, labels: labels.clone(), value: 0.0, timestamp: None });
            }
        }
        let help = Some(self.help.clone());
        let mut families = vec![Family { name, help: help.clone(), kind, samples }];
        if !created.is_empty() {
            families.push(Family { name: format!("{base}_created"), help, kind: Type::Gauge, samples: created });
        }
        Some(families)
    }

    fn bounds(&self) -> Vec<f64> {
        const DEFAULT: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
        let own = self.option("buckets").map(|words| words.iter().filter_map(|word| word.parse().ok()).collect());
        let mut bounds: Vec<f64> = own.unwrap_or(DEFAULT.to_vec());
        if bounds.last() != Some(&f64::INFINITY) {
            bounds.push(f64::INFINITY);
        }
        bounds
    }
}

pub fn render(case: &Value) -> Result<(), String> {
    let mut metrics: Vec<Metric> = Vec::new();
    for operation in list(case, "operations").iter().filter_map(Value::as_str) {
        if let Some(metric) = Metric::new(operation) {
            metrics.push(metric);
            continue;
        }
        let done = metrics.last_mut().and_then(|metric| metric.operate(operation));
        done.ok_or_else(|| format!("what is {operation:?}?"))?;
    }
    let mut families = Vec::new();
    for metric in &metrics {
        families.extend(metric.families().ok_or_else(|| format!("what is a {}?", metric.kind))?);
    }
    let lines = write(&families);
    // The recording has no times.
    let lines = lines.lines().map(|line| match line.rsplit_once(' ') {
        Some((series, _)) if !line.starts_with('#') && series.contains("_created") => format!("{series} <time>\n"),
        _ => format!("{line}\n"),
    });
    compare(case, json!({"text": lines.collect::<String>()}))
}
