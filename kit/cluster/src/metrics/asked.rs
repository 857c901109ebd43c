//! Families as the module of `observability/metrics` is asked to expose them.

use kit_contract::observability::metrics::{self as asked, Histogram, Kind, Labels, Metric, Number, Reading};
use kit_observability::exposition::{Family, Sample, Type};
use kit_observability::number;
use std::collections::BTreeMap;

/// The same families, with histograms that are not added up yet. The module knows three types, and Prometheus asks for none: what
/// is of no type is a gauge here.
pub fn asked(families: Vec<Family>) -> Vec<asked::Family> {
    let family = |family: Family| {
        let (kind, metrics) = match family.kind {
            Type::Histogram => (Kind::Histogram, histograms(&family)),
            Type::Counter => (Kind::Counter, family.samples.into_iter().map(metric).collect()),
            _ => (Kind::Gauge, family.samples.into_iter().map(metric).collect()),
        };
        asked::Family { name: family.name, help: family.help, kind, metrics }
    };
    families.into_iter().map(family).collect()
}

fn metric(sample: Sample) -> Metric {
    Metric { labels: sample.labels.into_iter().collect(), value: Reading::Number(Number(sample.value)) }
}

fn histograms(family: &Family) -> Vec<Metric> {
    let mut all: BTreeMap<Labels, (Histogram, u64)> = BTreeMap::new();
    for sample in &family.samples {
        let mut labels: Labels = sample.labels.iter().cloned().collect();
        let le = labels.remove("le").and_then(|le| number::parse(&le));
        let empty = || (Histogram { bounds: Vec::new(), counts: Vec::new(), sum: Number(0.0) }, 0);
        let (histogram, below) = all.entry(labels).or_insert_with(empty);
        match le {
            Some(le) => {
                let count = sample.value as u64;
                histogram.counts.push(count.saturating_sub(*below));
                *below = count;
                histogram.bounds.extend(le.is_finite().then_some(Number(le)));
            }
            None if sample.name.ends_with("_sum") => histogram.sum = Number(sample.value),
            None => {}
        }
    }
    all.into_iter().map(|(labels, (histogram, _))| Metric { labels, value: Reading::Histogram(histogram) }).collect()
}
