//! Writes the text format as the Python client does (prometheus_client `exposition.py`, generate_latest): each number has a
//! point, where Go's client leaves it out.

use super::{Family, Sample};

/// The text of all families.
pub fn render(families: &[Family]) -> String {
    families.iter().map(family).collect()
}

fn family(family: &Family) -> String {
    let help = family.help.as_deref().unwrap_or_default().replace('\\', r"\\").replace('\n', r"\n");
    let (name, kind) = (&family.name, family.kind.name());
    let samples: String = family.samples.iter().map(sample).collect();
    format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}")
}

fn sample(sample: &Sample) -> String {
    let mut labels = sample.labels.clone();
    labels.sort();
    let escaped = |value: &str| value.replace('\\', r"\\").replace('\n', r"\n").replace('"', "\\\"");
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    let labels = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
    let timestamp = sample.timestamp.map(|t| format!(" {t}")).unwrap_or_default();
    format!("{}{labels} {}{timestamp}\n", sample.name, number(sample.value))
}

/// A number as Python writes it, but with an exponent from a million on, as Go does.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return crate::number::general(value, None);
    }
    let exponential = crate::number::exponential(value, None);
    let (mantissa, exponent) = exponential.split_once('e').unwrap_or((&exponential, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&exponent) {
        return format!("{mantissa}e{exponent:+03}");
    }
    if value > 0.0 && exponent >= 6 {
        return format!("{mantissa}e+{exponent:02}");
    }
    let plain = format!("{value}");
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers() {
        for (value, expected) in [
            (1.0, "1.0"),
            (0.005, "0.005"),
            (123456.5, "123456.5"),
            (1e6, "1e+06"),
            (-1e6, "-1000000.0"),
            (1.7e9, "1.7e+09"),
            (1e-5, "1e-05"),
            (1e21, "1e+21"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(number(value), expected);
        }
    }
}
