//! How pages, samples and figures look to people. Sums of `f64` depend on their order, so numbers mean the same if their first
//! nine digits agree.

use super::super::alerts::show::{labels, time};
use super::{Bucket, Family, Figure, Function, Kind, Number, Page, Reading, Sample, Series, Value};
use crate::Show;
use crate::show::nine_digits;

/// A number for people, with six digits.
fn short(number: Number) -> String {
    let rounded = format!("{:.5e}", number.0).parse().map_or(number, Number);
    if rounded.0.abs() < 1e-12 { "0".into() } else { rounded.to_string() }
}

/// A line of a text as it stands there, with what can't be seen in quotes.
fn visible(line: &str) -> String {
    if line.chars().all(|c| !c.is_control()) && line.trim() == line && !line.is_empty() {
        line.into()
    } else {
        format!("{line:?}")
    }
}

impl Show for Number {
    fn lines(&self) -> Vec<String> {
        vec![short(*self)]
    }
    fn meaning(&self) -> String {
        nine_digits(self.0)
    }
}

impl Show for Figure {
    fn lines(&self) -> Vec<String> {
        vec![format!("{self:?}")]
    }
}

impl Show for Function {
    fn lines(&self) -> Vec<String> {
        vec![format!("{self:?}")]
    }
}

impl Show for Page {
    fn lines(&self) -> Vec<String> {
        let Page::Text(text) = self else { return vec!["refused: the scrape fails".into()] };
        let mut lines: Vec<String> = text.split('\n').map(visible).collect();
        match lines.pop() {
            _ if text.is_empty() => vec!["an empty page".into()],
            Some(rest) if !text.ends_with('\n') => {
                lines.extend([rest, "(the last line does not end)".into()]);
                lines
            }
            _ => lines,
        }
    }
}

impl Show for Family {
    fn lines(&self) -> Vec<String> {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = self.help.as_ref().map_or(String::new(), |help| format!(": {help:?}"));
        let metrics = self.metrics.iter().map(|metric| {
            let value = match &metric.value {
                Reading::Number(number) => number.to_string(),
                Reading::Histogram(of) => {
                    let bounds = of.bounds.iter().map(|bound| format!("to {bound}"));
                    let names = bounds.chain(["above".to_string()]);
                    let counts: Vec<_> =
                        names.zip(&of.counts).map(|(name, count)| format!("{name}: {count}")).collect();
                    format!("{}, sum {}", counts.join(", "), of.sum)
                }
            };
            format!("  {} {value}", labels(&metric.labels))
        });
        std::iter::once(format!("{kind} {}{help}", visible(&self.name))).chain(metrics).collect()
    }
}

fn samples(all: &[Sample]) -> String {
    let one = |sample: &Sample| {
        let value = sample.value.map_or("ended".into(), short);
        format!("{value} @{}", time(sample.at_ms))
    };
    let all: Vec<_> = all.iter().map(one).collect();
    if all.is_empty() { "no samples".into() } else { all.join(", ") }
}

impl Show for Sample {
    fn lines(&self) -> Vec<String> {
        vec![samples(std::slice::from_ref(self))]
    }
}

impl Show for Bucket {
    fn lines(&self) -> Vec<String> {
        vec![format!("le {}: {}", short(self.le), short(self.count))]
    }
}

impl Show for Series {
    fn lines(&self) -> Vec<String> {
        vec![format!("{}{} {}", self.name, labels(&self.labels), samples(&self.samples))]
    }
}

impl Show for Vec<Value> {
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> =
            self.iter().map(|value| format!("{} {}", labels(&value.labels), short(value.value))).collect();
        lines.sort();
        if lines.is_empty() { vec!["nothing".into()] } else { lines }
    }
    fn meaning(&self) -> String {
        let mut all: Vec<_> =
            self.iter().map(|value| format!("{:?} {}", value.labels, nine_digits(value.value.0))).collect();
        all.sort();
        format!("{all:?}")
    }
}
