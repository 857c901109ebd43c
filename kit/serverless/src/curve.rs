//! From which load on a cluster is cheaper: the bill of a day over the number of requests.
//!
//! The function's bill grows with the requests. The cluster's is worked out minute by minute, from the pods that the HPA's formula
//! asks for and the nodes that these need; a played day costs somewhat more, since nodes leave only after ten minutes.

use crate::compare::Case;
use crate::prices::Prices;

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
}

impl Curve<'_> {
    /// The bills of a day with so many requests in a second on average.
    pub fn at(&self, rate: f64) -> Point {
        let Case { load, function, shape, .. } = self.case;
        let now = load.average();
        let factor = if now > 0.0 { rate / now } else { 0.0 };
        let seconds = load.rates.len() as f64 * 60.0;
        let requests = rate * seconds;
        let for_each = f64::from(shape.pod_milli_cpu) * f64::from(shape.target_percent) / 100.0;
        let per_node = shape.pods_of_node(load).max(1) as f64;
        let nodes = load.rates.iter().map(|rate| {
            let pods = (rate * factor * load.cpu_ms / for_each).ceil().max(shape.pods.0 as f64);
            (pods / per_node).ceil().max(shape.nodes.0 as f64)
        });
        let prices = &self.prices.cluster;
        let hours = seconds / 3600.0;
        Point {
            rate,
            function: requests / 1e6 * self.million
                + function.kept(seconds) * self.prices.function.provisioned.reserved_gb_second,
            cluster: nodes.sum::<f64>() / 60.0 * prices.node_hour
                + hours * (prices.control_plane_hour + prices.load_balancer_hour),
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
