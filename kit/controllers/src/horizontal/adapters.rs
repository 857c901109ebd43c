//! `custom.metrics.k8s.io` and `external.metrics.k8s.io`: what adapters tell an HPA of what is no pod's CPU or memory.
//!
//! Each of the two is one APIService, and so one program answers. The Prometheus adapter answers the first, with its usual rules: a
//! series that has a pod is the metric of that pod, and of a service the sum over its pods. It answers the second as well, with all
//! series of a name, unless KEDA is there, which tells of its own triggers and of nothing else.
//!
//! Sources: `kubernetes-sigs/prometheus-adapter` `docs/walkthrough.md`, `kedacore/keda` 2.17 `pkg/provider/provider.go`,
//! `staging/src/k8s.io/metrics/pkg/client`. What is measured is read at once: no scrape interval lies between.

use super::Metrics;
use crate::keda;
use kit_api::autoscaling::{ExternalMetricSource, HorizontalPodAutoscaler, ObjectMetricSource};
use kit_api::core::{Pod, Service};
use kit_api::selector;
use kit_apimachinery::object::{Key, Kind};
use kit_client::component::World;
use kit_client::metrics::{Measured, REQUESTS, Sources, workload};
use std::collections::BTreeMap;

/// Which adapters are installed, and what they read.
#[derive(Debug, Clone, Default)]
pub struct Adapters {
    /// What is measured.
    pub sources: Sources,
    /// The Prometheus adapter.
    pub prometheus: bool,
    /// KEDA's.
    pub keda: bool,
}

impl Adapters {
    /// Adds what an HPA asks for, about these pods of its target.
    pub fn fill(&self, metrics: &mut Metrics, hpa: &HorizontalPodAutoscaler, pods: &[&Pod], world: &mut World<'_>) {
        let namespace = hpa.metadata.namespace.as_deref().unwrap_or_default();
        let measured = self.sources.borrow();
        for spec in hpa.spec.iter().flat_map(|spec| spec.metrics.iter().flatten()) {
            if (spec.pods.is_some() || spec.object.is_some()) && !self.prometheus {
                let why = "no custom metrics API (custom.metrics.k8s.io) registered";
                (metrics.refusals.pods, metrics.refusals.objects) = (Some(why.into()), Some(why.into()));
                continue;
            }
            if spec.pods.as_ref().is_some_and(|source| source.metric.name == REQUESTS) {
                let of = |pod: &&Pod| {
                    let name = pod.metadata.name.clone().unwrap_or_default();
                    let value = measured.requests_of(&workload(&pod.metadata), &name)?;
                    Some((name, (world.time(), value)))
                };
                let values: BTreeMap<_, _> = pods.iter().filter_map(of).collect();
                metrics.pods.insert(REQUESTS.into(), values);
            }
            if let Some(source) = &spec.object
                && let Some(value) = of_service(source, namespace, &measured, world)
            {
                let object = &source.described_object;
                let key = (object.kind.clone(), object.name.clone(), source.metric.name.clone());
                metrics.objects.insert(key, value);
            }
            if let Some(source) = &spec.external {
                let values = match (self.keda, self.prometheus) {
                    (true, _) => keda::metric(source, namespace, &measured, world)
                        .map_err(|why| format!("rpc error: code = Unknown desc = {why}")),
                    (false, true) => Ok(of_series(source, &measured)),
                    (false, false) => {
                        let name = &source.metric.name;
                        Err(format!(
                            "the server could not find the requested resource (get {name}.external.metrics.k8s.io)"
                        ))
                    }
                };
                match values {
                    Ok(values) => _ = metrics.external.insert(source.metric.name.clone(), values),
                    Err(why) => metrics.refusals.external = Some(why),
                }
            }
        }
    }
}

/// The sum over the pods of a service; none if it has none that anybody counts.
fn of_service(source: &ObjectMetricSource, namespace: &str, measured: &Measured, world: &World<'_>) -> Option<i64> {
    let object = &source.described_object;
    if object.kind != "Service" || source.metric.name != REQUESTS {
        return None;
    }
    let state = world.server.snapshot();
    let get = |kind, name: &str| state.get(&Key::new(kind, namespace, name));
    let service: &Service = get(Kind::Service, &object.name)?.get()?;
    let selector = service.spec.as_ref()?.selector.as_ref().filter(|selector| !selector.is_empty())?;
    let counted = measured.requests.keys().filter(|of| of.0 == namespace);
    let pods = counted.flat_map(|of| measured.ready.get(of).into_iter().flatten().map(move |pod| (of, pod)));
    let values = pods.filter_map(|(of, name)| {
        let pod: &Pod = get(Kind::Pod, name)?.get()?;
        let labels = pod.metadata.labels.as_ref()?;
        let is_its = selector.iter().all(|(label, value)| labels.get(label) == Some(value));
        measured.requests_of(of, name).filter(|_| is_its)
    });
    let values: Vec<i64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// All series of a name that the selector means.
fn of_series(source: &ExternalMetricSource, measured: &Measured) -> Vec<i64> {
    let meant = |labels: &selector::Labels| {
        source.metric.selector.as_ref().is_none_or(|selector| selector::matches(selector, Some(labels)))
    };
    let series = measured.series(&source.metric.name).into_iter();
    series.filter(|(labels, _)| meant(labels)).map(|(_, value)| value).collect()
}
