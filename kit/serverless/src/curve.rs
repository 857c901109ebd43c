//! From which load on a cluster is cheaper: the bill of a day over the number of requests.
//!
//! The function's bill grows with the requests. The cluster's is worked out minute by minute, from the pods that the HPA's formula
//! asks for and the nodes that these need; a played day costs somewhat more, since nodes leave only after ten minutes.

use crate::compare::Case;
use crate::load::Load;
use crate::prices::Prices;
use kit_contract::Modules;
use kit_contract::design::Serverless;
use kit_contract::design::serverless::{Config, Shape, Span};

/// One point: requests in a second on average, and USD for a day on functions and on the cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Requests in a second.
    pub rate: f64,
    /// The function's bill.
    pub function: f64,
    /// The cluster's bill.
    pub cluster: f64,
}

/// The bill over the load, for days of one shape.
pub struct Curve<'a> {
    /// The day.
    pub case: &'a Case,
    /// The prices.
    pub prices: &'a Prices,
    /// What a million requests cost on functions.
    pub million: f64,
    /// Who is asked.
    pub modules: &'a Modules,
}

/// The machines of a day, minute by minute, with so many times its requests; none where no pod fits on one.
pub fn machines(module: &mut dyn Serverless, shape: &Shape, load: &Load, factor: f64) -> Option<Vec<Span>> {
    let mut spans: Vec<Span> = Vec::new();
    for rate in &load.rates {
        let machines = module.machines(shape, (rate * factor * 3600.0).round() as u64)?;
        match spans.last_mut() {
            Some(last) if last.machines == machines => last.seconds += 60,
            _ => spans.push(Span { machines, seconds: 60 }),
        }
    }
    Some(spans)
}

impl Curve<'_> {
    /// The bills of a day with so many requests in a second on average.
    pub fn at(&self, rate: f64) -> Point {
        let Case { load, function, shape, .. } = self.case;
        let now = load.average();
        let factor = if now > 0.0 { rate / now } else { 0.0 };
        let seconds = load.rates.len() as f64 * 60.0;
        let requests = rate * seconds;
        let mut module = self.modules.serverless.make(&Config::default());
        let spans = machines(module.as_mut(), &shape.asked(load), load, factor).unwrap_or_default();
        let kept = module.bill(&function.kept(seconds as u64), &self.prices.function.listed()).kept;
        Point {
            rate,
            function: requests / 1e6 * self.million + kept.0,
            cluster: module.cluster_bill(&spans, 0, &self.prices.cluster.listed()).0,
        }
    }

    /// Points for a drawing, from one request in a hundred seconds to a thousand in one.
    pub fn points(&self) -> Vec<Point> {
        let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0];
        let decades = [0.01, 0.1, 1.0, 10.0, 100.0];
        let rates = decades.iter().flat_map(|decade| steps.iter().map(move |step| decade * step));
        rates.chain([1000.0]).map(|rate| self.at(rate)).collect()
    }

    /// The load from which on the cluster is cheaper; none if it never is up to a thousand requests a second.
    pub fn break_even(&self) -> Option<f64> {
        let is_cheaper = |rate: f64| self.at(rate).cluster <= self.at(rate).function;
        let points = self.points();
        let first = points.iter().position(|point| point.cluster <= point.function)?;
        let mut low = first.checked_sub(1).map_or(0.0, |before| points[before].rate);
        let mut high = points[first].rate;
        for _ in 0..40 {
            let middle = (low + high) / 2.0;
            if is_cheaper(middle) { high = middle } else { low = middle }
        }
        Some(high)
    }
}
