//! The text format of metrics, version 0.0.4: what `/metrics` says.
//!
//! [`parse`](parse::parse) reads it, [`lint`](lint::lint) says what people will stumble over, [`render`](render::render)
//! writes it. All of them share [`Family`].

pub mod lint;
pub mod parse;
pub mod render;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Type {
    Counter,
    Gauge,
    Summary,
    Untyped,
    Histogram,
    GaugeHistogram,
}

impl Type {
    const ALL: [(&'static str, Type); 6] = [
        ("counter", Type::Counter),
        ("gauge", Type::Gauge),
        ("summary", Type::Summary),
        ("untyped", Type::Untyped),
        ("histogram", Type::Histogram),
        ("gauge_histogram", Type::GaugeHistogram),
    ];

    /// How it is written.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, t)| *t == self).map_or("", |(name, _)| name)
    }
}

/// One line with a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name, with `_bucket` or the like.
    pub name: String,
    /// Labels in the order in which they stand there.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
}

/// All samples of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The name, without what its samples add.
    pub name: String,
    /// What it says of itself.
    pub help: Option<String>,
    /// `TYPE`; [`Type::Untyped`] where there is none.
    pub kind: Type,
    /// In the order of the text.
    pub samples: Vec<Sample>,
}
