//! What pods use, as `metrics.k8s.io` would say, and what else is measured: queues outside of the cluster, and requests.

use kit_api::meta::ObjectMeta;
use kit_api::owner;
use kit_api::selector::Labels;
use kit_apimachinery::object::Key;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// CPU in thousandths and memory in bytes of each container that runs, by pod. Kubelets write it, and autoscalers read it.
pub type Usage = Rc<RefCell<BTreeMap<Key, Vec<(String, (i64, i64))>>>>;

/// Jobs that wait in a queue of RabbitMQ, as its exporter calls them; labelled `queue`.
pub const QUEUED: &str = "rabbitmq_queue_messages_ready";
/// Requests that a pod gets in a second, as its program counts them; labelled `namespace`, `deployment` and `pod`.
pub const REQUESTS: &str = "http_requests_per_second";

/// How often values were how large, as Prometheus counts them: each bound has a bucket with all values up to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// The bounds, without the last one, which is infinite.
    pub bounds: &'static [f64],
    /// How many values lie between each bound and the one before it; one more than there are bounds.
    pub counts: Vec<u64>,
    /// All values together.
    pub sum: f64,
}

impl Histogram {
    /// Without a value.
    pub fn new(bounds: &'static [f64]) -> Histogram {
        Histogram { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Counts a value.
    pub fn observe(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum += value;
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Namespace and name of what pods belong to.
pub type Workload = (String, String);

/// The workload of a pod: its Deployment, which is its ReplicaSet's name without the hash of the template; else its
/// controller; else the pod itself.
pub fn workload(meta: &ObjectMeta) -> Workload {
    let name = meta.name.as_deref().unwrap_or_default();
    let owner = owner::controller_of(meta).map_or(name, |owner| owner.name.as_str());
    let hash = meta.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    let name = hash.and_then(|hash| owner.strip_suffix(hash.as_str())?.strip_suffix('-')).unwrap_or(owner);
    (meta.namespace.clone().unwrap_or_default(), name.into())
}

/// What is measured that isn't a kubelet's, shared by whoever measures and whoever asks.
pub type Sources = Rc<RefCell<Measured>>;

/// A broker's queues, and what Prometheus counts.
#[derive(Debug, Default)]
pub struct Measured {
    /// Thousandths of the jobs that wait in each queue.
    pub queues: BTreeMap<String, i64>,
    /// Whether the broker doesn't answer.
    pub silent: bool,
    /// Thousandths of the requests that each workload gets in a second.
    pub requests: BTreeMap<Workload, i64>,
    /// The names of the ready pods of each workload, which share its requests.
    pub ready: BTreeMap<Workload, BTreeSet<String>>,
}

impl Measured {
    /// How many jobs wait in a queue.
    ///
    /// # Errors
    ///
    /// The broker doesn't answer, or has no such queue.
    pub fn jobs(&self, queue: &str) -> Result<i64, String> {
        match self.queues.get(queue) {
            _ if self.silent => Err("error establishing rabbitmq connection: dial tcp: i/o timeout".into()),
            None => Err(format!("Exception (404) Reason: \"NOT_FOUND - no queue '{queue}' in vhost '/'\"")),
            Some(milli) => Ok((milli + 999) / 1000),
        }
    }

    /// Thousandths of the requests that a pod gets in a second; none if nobody counts any.
    pub fn requests_of(&self, workload: &Workload, pod: &str) -> Option<i64> {
        let (all, ready) = (self.requests.get(workload)?, self.ready.get(workload)?);
        ready.contains(pod).then(|| all / ready.len() as i64)
    }

    /// All series of a name: their labels, and thousandths of their values. A broker that is silent has none.
    pub fn series(&self, name: &str) -> Vec<(Labels, i64)> {
        let labels =
            |all: &[(&str, &str)]| all.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        match name {
            QUEUED => {
                let queues = self.queues.iter().filter(|_| !self.silent);
                queues.map(|(queue, milli)| (labels(&[("queue", queue)]), (milli + 999) / 1000 * 1000)).collect()
            }
            REQUESTS => {
                let pods = self
                    .requests
                    .keys()
                    .flat_map(|of| self.ready.get(of).into_iter().flatten().map(move |pod| (of, pod)));
                let series = pods.filter_map(|(of, pod)| {
                    let of_pod =
                        labels(&[("namespace", of.0.as_str()), ("deployment", of.1.as_str()), ("pod", pod.as_str())]);
                    Some((of_pod, self.requests_of(of, pod)?))
                });
                series.collect()
            }
            _ => Vec::new(),
        }
    }

    /// What a query comes to, in thousandths: a name with labels, and perhaps the sum of it. Other queries aren't understood.
    ///
    /// # Errors
    ///
    /// What Prometheus would say, or that this is more than it can do here.
    pub fn query(&self, query: &str) -> Result<Vec<i64>, String> {
        let unknown = || format!("only `NAME{{label=\"value\"}}`, and `sum(…)` of it, can be asked here: {query}");
        let inner =
            query.trim().strip_prefix("sum(").map(|rest| rest.strip_suffix(')').ok_or_else(unknown)).transpose()?;
        let (name, labels) = match inner.unwrap_or(query).trim().split_once('{') {
            None => (inner.unwrap_or(query).trim(), ""),
            Some((name, labels)) => (name.trim(), labels.strip_suffix('}').ok_or_else(unknown)?),
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':') {
            return Err(unknown());
        }
        let pairs = labels.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(|pair| {
            let (label, value) = pair.split_once('=').ok_or_else(unknown)?;
            let value = value.trim().strip_prefix('"').and_then(|value| value.strip_suffix('"')).ok_or_else(unknown)?;
            Ok((label.trim(), value))
        });
        let pairs = pairs.collect::<Result<Vec<_>, String>>()?;
        let found = self.series(name).into_iter().filter(|(labels, _)| {
            pairs.iter().all(|(label, value)| labels.get(*label).map_or("", String::as_str) == *value)
        });
        let values: Vec<i64> = found.map(|(_, value)| value).collect();
        Ok(match inner {
            Some(_) if !values.is_empty() => vec![values.iter().sum()],
            _ => values,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_up_to_their_bounds() {
        let mut histogram = Histogram::new(&[1.0, 2.0]);
        [0.5, 1.0, 1.5, 3.0].into_iter().for_each(|value| histogram.observe(value));
        assert_eq!((histogram.counts.as_slice(), histogram.sum, histogram.count()), (&[2, 1, 1][..], 6.0, 4));
    }

    #[test]
    fn queries_are_answered_as_far_as_they_are_understood() {
        let web = || ("shop".to_string(), "web".to_string());
        let measured = Measured {
            queues: BTreeMap::from([("orders".into(), 2_500), ("mail".into(), 0)]),
            requests: BTreeMap::from([(web(), 90_000)]),
            ready: BTreeMap::from([(web(), ["web-1", "web-2"].map(String::from).into())]),
            ..Measured::default()
        };
        for (query, expected) in [
            ("rabbitmq_queue_messages_ready", Ok(vec![0, 3_000])),
            ("sum(rabbitmq_queue_messages_ready{queue=\"orders\"})", Ok(vec![3_000])),
            ("http_requests_per_second{deployment=\"web\", pod=\"web-2\"}", Ok(vec![45_000])),
            ("sum(http_requests_per_second)", Ok(vec![90_000])),
            ("sum(http_requests_per_second{deployment=\"api\"})", Ok(vec![])),
            ("up", Ok(vec![])),
            ("rate(http_requests_total[1m])", Err("only `NAME")),
            ("sum(up", Err("only `NAME")),
            ("up{job=api}", Err("only `NAME")),
        ] {
            match (measured.query(query), expected) {
                (Ok(values), Ok(expected)) => assert_eq!(values, expected, "{query}"),
                (Err(why), Err(expected)) => assert!(why.starts_with(expected), "{why}"),
                (is, _) => panic!("{query}: {is:?}"),
            }
        }
    }
}
