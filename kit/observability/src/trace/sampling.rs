//! Whether a trace is kept, decided where it begins (`opentelemetry-sdk/src/opentelemetry/sdk/trace/sampling.py`).

/// How the first span of a trace decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Root {
    /// Keeps all.
    AlwaysOn,
    /// Keeps none.
    AlwaysOff,
    /// Keeps this share, from 0 to 1: the same traces in every service that has the same share.
    Ratio(f64),
}

impl Root {
    /// Whether the trace with this id is kept.
    pub fn samples(self, trace_id: u128) -> bool {
        match self {
            Root::AlwaysOn => true,
            Root::AlwaysOff => false,
            Root::Ratio(ratio) => (trace_id & u128::from(u64::MAX)) < bound(ratio),
        }
    }

    /// Whether it is kept by a sampler that asks the parent first: whoever began the trace decided for all.
    pub fn samples_under(self, parent: Option<bool>, trace_id: u128) -> bool {
        parent.unwrap_or_else(|| self.samples(trace_id))
    }
}

/// The low half of a trace's id must be less than this.
pub fn bound(ratio: f64) -> u128 {
    (ratio.clamp(0.0, 1.0) * 2f64.powi(64)).round_ties_even() as u128
}
