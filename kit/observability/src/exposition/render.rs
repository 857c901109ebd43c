//! Writes the text format: as the Python client does (prometheus_client `exposition.py`, generate_latest), where each number
//! has a point, and as Go's does (`expfmt/text_create.go`), which leaves it out.

use super::{Family, Sample};
use kit_contract::observability::metrics::Number;

/// The text of all families, as the Python client writes it.
pub fn render(families: &[Family]) -> String {
    families.iter().map(|of| family(of, &number)).collect()
}

/// The same as Go's client writes it.
pub fn as_go(families: &[Family]) -> String {
    families.iter().map(|of| family(of, &|value| Number(value).to_string())).collect()
}

fn family(family: &Family, number: &dyn Fn(f64) -> String) -> String {
    let help = family.help.as_deref().unwrap_or_default().replace('\\', r"\\").replace('\n', r"\n");
    let (name, kind) = (&family.name, family.kind.name());
    let samples: String = family.samples.iter().map(|of| sample(of, number)).collect();
    format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}")
}

fn sample(sample: &Sample, number: &dyn Fn(f64) -> String) -> String {
    let mut labels = sample.labels.clone();
    // The bound of a bucket is no label of its metric, and comes last.
    labels.sort_by(|a, b| (a.0 == "le", a).cmp(&(b.0 == "le", b)));
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
    use super::{as_go, number};
    use crate::exposition::{Family, Sample, Type};

    #[test]
    fn go_leaves_the_point_out() {
        let sample =
            |value| Sample { name: "m".into(), labels: vec![("a".into(), "b".into())], value, timestamp: None };
        let samples = vec![sample(3.0), sample(0.25), sample(16_777_216.0)];
        let family = Family { name: "m".into(), help: Some("Help.".into()), kind: Type::Gauge, samples };
        let expected = "# HELP m Help.\n# TYPE m gauge\nm{a=\"b\"} 3\nm{a=\"b\"} 0.25\nm{a=\"b\"} 1.6777216e+07\n";
        assert_eq!(as_go(&[family]), expected);
    }

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
