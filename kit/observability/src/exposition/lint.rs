//! What `promtool check metrics` complains about (client_golang `prometheus/testutil/promlint`, v1.14).

use super::{Family, Type};

/// All problems of the families, as `name problem`, sorted.
pub fn lint(families: &[Family]) -> Vec<String> {
    let of = |family: &Family| problems(family).into_iter().map(|text| (family.name.clone(), text)).collect::<Vec<_>>();
    let mut all: Vec<_> = families.iter().flat_map(of).collect();
    all.sort();
    all.into_iter().map(|(name, text)| format!("{name} {text}")).collect()
}

const UNITS: [(&str, &str); 24] = [
    ("amperes", "amperes"),
    ("bytes", "bytes"),
    ("celsius", "celsius"),
    ("grams", "grams"),
    ("joules", "joules"),
    ("kelvin", "kelvin"),
    ("meters", "meters"),
    ("metres", "metres"),
    ("seconds", "seconds"),
    ("volts", "volts"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("weeks", "seconds"),
    ("kelvins", "kelvin"),
    ("fahrenheit", "celsius"),
    ("rankine", "celsius"),
    ("inches", "meters"),
    ("yards", "meters"),
    ("miles", "meters"),
    ("bits", "bytes"),
    ("calories", "joules"),
    ("pounds", "grams"),
    ("ounces", "grams"),
];

/// Spelled as upstream spells them.
const PREFIXES: [&str; 19] = [
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mibi", "giga", "gibi",
    "tera", "tebi", "peta", "pebi", "",
];

const ABBREVIATIONS: [&str; 14] = ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];

fn problems(family: &Family) -> Vec<String> {
    let name = &family.name;
    let lower = name.to_lowercase();
    let has_part = |part: &str| lower.contains(&format!("_{part}_")) || lower.ends_with(&format!("_{part}"));
    let mut problems: Vec<String> = Vec::new();
    let mut when = |holds: bool, text: &str| problems.extend(holds.then(|| text.to_string()));

    when(family.help.is_none(), "no help text");
    if let Some((unit, base)) = unit(name) {
        when(unit != base, &format!("use base unit {base:?} instead of {unit:?}"));
    }
    let kind = family.kind;
    let (counter, untyped) = (kind == Type::Counter, kind == Type::Untyped);
    when(counter && !name.ends_with("_total"), "counter metrics should have \"_total\" suffix");
    when(!counter && !untyped && name.ends_with("_total"), "non-counter metrics should not have \"_total\" suffix");
    let (histogram, summary) = (kind == Type::Histogram, kind == Type::Summary);
    when(
        !untyped && !histogram && name.ends_with("_bucket"),
        "non-histogram metrics should not have \"_bucket\" suffix",
    );
    for suffix in ["_count", "_sum"] {
        let odd = !untyped && !histogram && !summary && name.ends_with(suffix);
        when(odd, &format!("non-histogram and non-summary metrics should not have {suffix:?} suffix"));
    }
    for labels in metrics(family) {
        for label in labels {
            when(!untyped && !histogram && label == "le", "non-histogram metrics should not have \"le\" label");
            when(!untyped && !summary && label == "quantile", "non-summary metrics should not have \"quantile\" label");
            when(is_camel_case(label), "label names should be written in 'snake_case' not 'camelCase'");
        }
    }
    for (named, kind) in Type::ALL {
        when(kind != Type::Untyped && has_part(named), &format!("metric name should not include type '{named}'"));
    }
    when(name.contains(':'), "metric names should not contain ':'");
    when(is_camel_case(name), "metric names should be written in 'snake_case' not 'camelCase'");
    for part in ABBREVIATIONS {
        when(has_part(part), "metric names should not contain abbreviated units");
    }
    problems
}

/// The labels of each metric. Samples of one histogram or summary are one metric, whose own label is none.
fn metrics(family: &Family) -> Vec<Vec<&str>> {
    let own = match family.kind {
        Type::Histogram => "le",
        Type::Summary => "quantile",
        _ => return family.samples.iter().map(|s| s.labels.iter().map(|(name, _)| &name[..]).collect()).collect(),
    };
    let mut seen = Vec::new();
    let mut metrics = Vec::new();
    for sample in &family.samples {
        let mut labels: Vec<_> = sample.labels.iter().filter(|(name, _)| name != own).collect();
        let names = labels.iter().map(|(name, _)| &name[..]).collect();
        labels.sort();
        if !seen.contains(&labels) {
            seen.push(labels);
            metrics.push(names);
        }
    }
    metrics
}

/// The unit that a name holds, and the one that should stand there.
fn unit(name: &str) -> Option<(String, &'static str)> {
    let parts: Vec<&str> = name.split('_').collect();
    UNITS.iter().find_map(|(unit, base)| {
        let mut spelled = PREFIXES.iter().map(|prefix| format!("{prefix}{unit}"));
        spelled.find(|spelled| parts.contains(&&spelled[..])).map(|spelled| (spelled, *base))
    })
}

fn is_camel_case(name: &str) -> bool {
    name.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
}
