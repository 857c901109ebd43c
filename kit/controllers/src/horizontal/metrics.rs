//! From a metric of an HPA's spec to a question for the module, and from its answer to a status.
//!
//! Sources: `pkg/controller/podautoscaler/replica_calculator.go`, `pkg/controller/podautoscaler/horizontal.go` (the
//! `computeStatusFor…` functions) and `pkg/controller/podautoscaler/metrics/client.go`.

use super::{Scale, seconds_ago};
use kit_api::autoscaling::{
    ContainerResourceMetricStatus, ExternalMetricSource, ExternalMetricStatus, HorizontalPodAutoscaler as Object,
    MetricIdentifier, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus, ObjectMetricSource,
    ObjectMetricStatus, PodsMetricSource, PodsMetricStatus, ResourceMetricStatus,
};
use kit_api::core::{Container, Pod};
use kit_api::jiff::Timestamp;
use kit_api::meta::LabelSelector;
use kit_api::pod_resources::is_sidecar;
use kit_api::quantity::Format;
use kit_api::{Quantity, pod};
use kit_contract::workloads::HorizontalPodAutoscaler;
use kit_contract::workloads::hpa::{Metric, MetricError, MetricRequest, PodSample, Proposal, Sample};
use std::collections::BTreeMap;

/// What the three metrics APIs have for one namespace, in thousandths of the metrics' units. The `selector` of a
/// metric is not looked at: the caller names only the series that it means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    /// `metrics.k8s.io`: what the pods use, by their names.
    pub resources: BTreeMap<String, PodMetrics>,
    /// `custom.metrics.k8s.io`: by the metric's and the pod's name.
    pub pods: BTreeMap<String, BTreeMap<String, (Timestamp, i64)>>,
    /// `custom.metrics.k8s.io`: by the object's kind and name, and the metric's name.
    pub objects: BTreeMap<(String, String, String), i64>,
    /// `external.metrics.k8s.io`: all series, by the metric's name.
    pub external: BTreeMap<String, Vec<i64>>,
    /// What they say where they have nothing.
    pub refusals: Refusals,
}

/// What APIs answer instead of metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusals {
    /// `metrics.k8s.io`; none if it answers with an empty list.
    pub resources: Option<String>,
    /// `custom.metrics.k8s.io`, about pods; none if it answers with an empty list.
    pub pods: Option<String>,
    /// `custom.metrics.k8s.io`, about an object.
    pub objects: Option<String>,
    /// `external.metrics.k8s.io`; none if it answers with an empty list.
    pub external: Option<String>,
}

/// A pod in `metrics.k8s.io`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodMetrics {
    /// When the window ended.
    pub timestamp: Timestamp,
    /// How long it was.
    pub window_seconds: i64,
    /// What each container uses of each resource.
    pub containers: BTreeMap<String, BTreeMap<String, i64>>,
}

/// The window of a custom metric that names none (`metricServerDefaultMetricWindow`).
const DEFAULT_WINDOW_SECONDS: i64 = 60;

/// What one metric came to.
pub(super) struct Evaluation {
    pub(super) replicas: i32,
    /// As the events call the metric.
    pub(super) name: String,
    pub(super) status: MetricStatus,
}

/// Why one metric came to nothing.
pub(super) struct Failure {
    pub(super) reason: &'static str,
    /// What the metric's own event and the condition say.
    pub(super) message: String,
    /// What the event about all metrics says.
    pub(super) error: String,
}

/// What is scaled.
pub(super) struct Target<'a> {
    pub(super) hpa: &'a Object,
    pub(super) scale: &'a Scale,
    /// Those that the scale's selector matches.
    pub(super) pods: &'a [&'a Pod],
    pub(super) now: Timestamp,
}

impl Target<'_> {
    pub(super) fn evaluate(
        &self,
        module: &dyn HorizontalPodAutoscaler,
        spec: &MetricSpec,
        metrics: &Metrics,
    ) -> Result<Evaluation, Failure> {
        let mut status = MetricStatus { type_: spec.type_.clone(), ..MetricStatus::default() };
        if let Some(source) = &spec.resource {
            let inner = self.resource(module, &source.name, None, &source.target, metrics);
            let (name, proposal, current) = inner.map_err(|message| Failure {
                reason: "FailedGetResourceMetric",
                error: format!("failed to get {} resource metric value: {message}", source.name),
                message,
            })?;
            status.resource = Some(ResourceMetricStatus { name: source.name.clone(), current });
            return Ok(Evaluation { replicas: proposal.replicas, name, status });
        }
        if let Some(source) = &spec.container_resource {
            let inner = self.resource(module, &source.name, Some(&source.container), &source.target, metrics);
            let (name, proposal, current) = inner.map_err(|message| Failure {
                reason: "FailedGetContainerResourceMetric",
                error: format!("failed to get {} container metric value: {message}", source.container),
                message,
            })?;
            let (name_, container) = (source.name.clone(), source.container.clone());
            status.container_resource = Some(ContainerResourceMetricStatus { name: name_, container, current });
            return Ok(Evaluation { replicas: proposal.replicas, name, status });
        }
        if let Some(source) = &spec.pods {
            return self.pods_metric(module, source, metrics, status);
        }
        if let Some(source) = &spec.object {
            return self.object(module, source, metrics, status);
        }
        if let Some(source) = &spec.external {
            return self.external(module, source, metrics, status);
        }
        let message = format!("unknown metric source type {:?}", spec.type_);
        Err(Failure { reason: "InvalidMetricSourceType", error: message.clone(), message })
    }

    /// A resource of the pods, or of one container in each.
    fn resource(
        &self,
        module: &dyn HorizontalPodAutoscaler,
        resource: &str,
        container: Option<&str>,
        target: &MetricTarget,
        metrics: &Metrics,
    ) -> Result<(String, Proposal, MetricValueStatus), String> {
        let (metric, what, name) = match (target.average_value.as_ref(), target.average_utilization) {
            (Some(average), _) => {
                let metric = Metric::ResourceAverageValue { resource: resource.into(), target_milli: milli(average) };
                (metric, "usage", format!("{resource} resource"))
            }
            (None, Some(target_percent)) => {
                let metric = Metric::ResourceUtilization { resource: resource.into(), target_percent };
                let of = if container.is_some() { "container resource" } else { "resource" };
                (metric, "utilization", format!("{resource} {of} utilization (percentage of request)"))
            }
            (None, None) => {
                return Err("invalid resource metric source: neither an average utilization target nor an average \
                            value (usage) target was set"
                    .into());
            }
        };
        let failed = |error: String| format!("failed to get {resource} {what}: {error}");
        let sample = |pod: &str| {
            let measured = metrics.resources.get(pod)?;
            let used = measured.containers.iter().filter(|(name, _)| container.is_none_or(|c| c == name.as_str()));
            let used: Option<Vec<i64>> = used.map(|(_, used)| used.get(resource).copied()).collect();
            let value_milli = used.filter(|used| !used.is_empty())?.iter().sum();
            let seconds_ago = seconds_ago(measured.timestamp, self.now);
            Some(Sample { value_milli, seconds_ago, window_seconds: measured.window_seconds })
        };
        let pods = self.samples(&sample, &|pod| request(pod, resource, container));
        let refusal = metrics.refusals.resources.as_ref();
        if refusal.is_some() || pods.iter().all(|pod| !metrics.resources.contains_key(&pod.name)) {
            let error = match refusal {
                Some(refusal) => format!("unable to fetch metrics from resource metrics API: {refusal}"),
                None => "no metrics returned from resource metrics API".into(),
            };
            return Err(failed(format!("unable to get metrics for resource {resource}: {error}")));
        }
        let proposal = module.propose(&self.request(metric, pods)).map_err(|error| {
            failed(match error {
                MetricError::MissingRequest { pod } => self.missing_request(&pod, resource, container),
                error => text(&error),
            })
        })?;
        let current = MetricValueStatus {
            average_utilization: proposal.utilization_percent,
            average_value: Some(quantity(proposal.current_milli)),
            value: None,
        };
        Ok((name, proposal, current))
    }

    /// A custom metric that each pod has.
    fn pods_metric(
        &self,
        module: &dyn HorizontalPodAutoscaler,
        source: &PodsMetricSource,
        metrics: &Metrics,
        mut status: MetricStatus,
    ) -> Result<Evaluation, Failure> {
        let name = &source.metric.name;
        let failure = |message: String| Failure {
            reason: "FailedGetPodsMetric",
            error: format!("failed to get pods metric value: {message}"),
            message,
        };
        let of_pods = metrics.pods.get(name);
        let sample = |pod: &str| {
            let (time, value_milli) = *of_pods?.get(pod)?;
            Some(Sample {
                value_milli,
                seconds_ago: seconds_ago(time, self.now),
                window_seconds: DEFAULT_WINDOW_SECONDS,
            })
        };
        if of_pods.is_none_or(BTreeMap::is_empty) {
            let error = match &metrics.refusals.pods {
                Some(refusal) => format!("unable to fetch metrics from custom metrics API: {refusal}"),
                None => "no metrics returned from custom metrics API".into(),
            };
            return Err(failure(format!("unable to get metric {name}: {error}")));
        }
        let target_milli = source.target.average_value.as_ref().map_or(0, milli);
        let request = self.request(Metric::PodsAverageValue { target_milli }, self.samples(&sample, &|_| None));
        let proposal = module.propose(&request).map_err(|error| failure(text(&error)))?;
        status.pods = Some(PodsMetricStatus { metric: source.metric.clone(), current: average(&proposal) });
        Ok(Evaluation { replicas: proposal.replicas, name: format!("pods metric {name}"), status })
    }

    /// A metric of one object.
    fn object(
        &self,
        module: &dyn HorizontalPodAutoscaler,
        source: &ObjectMetricSource,
        metrics: &Metrics,
        mut status: MetricStatus,
    ) -> Result<Evaluation, Failure> {
        let (object, metric) = (&source.described_object, &source.metric);
        let reason = "FailedGetObjectMetric";
        let is_value = source.target.type_ == "Value" && source.target.value.is_some();
        let failure = |message: String| {
            let error = if is_value {
                format!("failed to get object metric value: {message}")
            } else {
                format!("failed to get object metric value: failed to get {} object metric: {message}", metric.name)
            };
            Failure { reason, message, error }
        };
        let key = (object.kind.clone(), object.name.clone(), metric.name.clone());
        let Some(value_milli) = metrics.objects.get(&key).copied() else {
            let namespace = self.hpa.metadata.namespace.as_deref().unwrap_or_default();
            let (kind, name) = (&object.kind, &object.name);
            let refusal = metrics.refusals.objects.as_deref().unwrap_or("the server could not find the metric");
            let error = format!("unable to fetch metrics from custom metrics API: {refusal}");
            return Err(failure(format!("unable to get metric {}: {kind} on {namespace} {name}/{error}", metric.name)));
        };
        let asked = match &source.target {
            MetricTarget { value: Some(target), .. } if is_value => {
                Metric::ObjectValue { value_milli, target_milli: milli(target) }
            }
            MetricTarget { type_, average_value: Some(target), .. } if type_ == "AverageValue" => {
                Metric::ObjectAverageValue { value_milli, target_milli: milli(target) }
            }
            _ => {
                let message =
                    "invalid object metric source: neither a value target nor an average value target was set";
                let error = format!("failed to get object metric value: {message}");
                return Err(Failure { reason, message: message.into(), error });
            }
        };
        let proposal = module.propose(&self.request(asked, self.samples(&|_| None, &|_| None)));
        let proposal =
            proposal.map_err(|error| failure(format!("unable to calculate ready pods: {}", text(&error))))?;
        let (described_object, current, name) = if is_value {
            (object.clone(), value(&proposal), format!("{} metric {}", object.kind, metric.name))
        } else {
            // Upstream calls the metric external here.
            (object.clone(), self.average(&proposal), external_name(metric))
        };
        status.object = Some(ObjectMetricStatus { described_object, metric: metric.clone(), current });
        Ok(Evaluation { replicas: proposal.replicas, name, status })
    }

    /// A metric from outside the cluster.
    fn external(
        &self,
        module: &dyn HorizontalPodAutoscaler,
        source: &ExternalMetricSource,
        metrics: &Metrics,
        mut status: MetricStatus,
    ) -> Result<Evaluation, Failure> {
        let (metric, target) = (&source.metric, &source.target);
        let reason = "FailedGetExternalMetric";
        let failure = |message: String| {
            let error = match target.average_value {
                Some(_) => format!("failed to get {} external metric: {message}", metric.name),
                None => format!("failed to get external metric {}: {message}", metric.name),
            };
            let error = format!("failed to get {} external metric value: {error}", metric.name);
            Failure { reason, message, error }
        };
        let values_milli = metrics.external.get(&metric.name).cloned().unwrap_or_default();
        if values_milli.is_empty() && (target.average_value.is_some() || target.value.is_some()) {
            let namespace = self.hpa.metadata.namespace.as_deref().unwrap_or_default();
            let of = format!("{namespace}/{}/{}", metric.name, go_selector(metric.selector.as_ref()));
            let error = match &metrics.refusals.external {
                Some(refusal) => format!("unable to fetch metrics from external metrics API: {refusal}"),
                None => "no metrics returned from external metrics API".into(),
            };
            return Err(failure(format!("unable to get external metric {of}: {error}")));
        }
        let asked = match (&target.average_value, &target.value) {
            (Some(target), _) => Metric::ExternalAverageValue { values_milli, target_milli: milli(target) },
            (None, Some(target)) => Metric::ExternalValue { values_milli, target_milli: milli(target) },
            (None, None) => {
                let message =
                    "invalid external metric source: neither a value target nor an average value target was set";
                let error = format!("failed to get {} external metric value: {message}", metric.name);
                return Err(Failure { reason, message: message.into(), error });
            }
        };
        let proposal = module.propose(&self.request(asked, self.samples(&|_| None, &|_| None)));
        let proposal =
            proposal.map_err(|error| failure(format!("unable to calculate ready pods: {}", text(&error))))?;
        let current = if target.average_value.is_some() { self.average(&proposal) } else { value(&proposal) };
        status.external = Some(ExternalMetricStatus { metric: metric.clone(), current });
        Ok(Evaluation { replicas: proposal.replicas, name: external_name(metric), status })
    }

    fn request(&self, metric: Metric, pods: Vec<PodSample>) -> MetricRequest {
        let Scale { spec_replicas, status_replicas, .. } = *self.scale;
        MetricRequest { metric, spec_replicas, status_replicas, pods }
    }

    /// An average over pods. That over no pod is infinite, which Go makes the least integer of (on amd64).
    fn average(&self, proposal: &Proposal) -> MetricValueStatus {
        let of_none = Proposal { current_milli: i64::MIN, ..*proposal };
        average(if self.scale.status_replicas == 0 { &of_none } else { proposal })
    }

    fn samples(
        &self,
        sample: &dyn Fn(&str) -> Option<Sample>,
        request: &dyn Fn(&Pod) -> Option<i64>,
    ) -> Vec<PodSample> {
        let of = |object: &&Pod| {
            let name = object.metadata.name.clone().unwrap_or_default();
            let ready = pod::condition(object, "Ready");
            let started = object.status.as_ref().and_then(|status| status.start_time.as_ref());
            PodSample {
                phase: pod::phase(object).into(),
                deleting: pod::is_terminating(object),
                started_seconds_ago: started.map(|time| seconds_ago(time.0, self.now)),
                ready: pod::is_ready(object),
                ready_transition_seconds_ago: ready
                    .map(|ready| ready.last_transition_time.as_ref().map_or(0, |time| seconds_ago(time.0, self.now))),
                request_milli: request(object),
                sample: sample(&name),
                name,
            }
        };
        self.pods.iter().map(of).collect()
    }

    /// Names the container without a request.
    fn missing_request(&self, name: &str, resource: &str, container: Option<&str>) -> String {
        let pod = self.pods.iter().find(|pod| pod.metadata.name.as_deref() == Some(name));
        let mut lacking = (pod.into_iter().flat_map(|pod| containers(pod)))
            .filter(|c| container.is_none_or(|container| c.name == container))
            .filter(|c| container_request(c, resource).is_none());
        match (lacking.next(), container) {
            (Some(lacking), _) => format!("missing request for {resource} in container {} of Pod {name}", lacking.name),
            (None, container) => format!("container {} not found in Pod {name}", container.unwrap_or_default()),
        }
    }
}

/// The containers that run all the time, sidecars last.
fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.as_ref();
    let sidecars = spec.and_then(|spec| spec.init_containers.as_ref()).into_iter().flatten().filter(|c| is_sidecar(c));
    spec.into_iter().flat_map(|spec| &spec.containers).chain(sidecars)
}

fn container_request(container: &Container, resource: &str) -> Option<i64> {
    container.resources.as_ref()?.requests.as_ref()?.get(resource).map(milli)
}

/// The requests of all these containers, or of the one that is named; none if one has none, or isn't there.
fn request(pod: &Pod, resource: &str, container: Option<&str>) -> Option<i64> {
    let mut asked = containers(pod).filter(|c| container.is_none_or(|name| c.name == name)).peekable();
    if container.is_some() {
        asked.peek()?;
    }
    asked.map(|container| container_request(container, resource)).sum()
}

fn text(error: &MetricError) -> String {
    match error {
        MetricError::NoPods => "no pods returned by selector while calculating replica count".into(),
        MetricError::NoCountedPods => "did not receive metrics for targeted pods (pods might be unready)".into(),
        MetricError::MissingRequest { pod } => format!("missing request of Pod {pod}"),
        MetricError::NothingRequested => "no metrics returned matched known pods".into(),
    }
}

fn milli<T>(quantity: &T) -> i64
where
    for<'a> Quantity: TryFrom<&'a T>,
{
    Quantity::try_from(quantity).map_or(0, |quantity| quantity.milli_value())
}

fn quantity<T>(milli: i64) -> T
where
    for<'a> T: From<&'a Quantity>,
{
    T::from(&Quantity::from_milli(milli, Format::DecimalSI))
}

fn average(proposal: &Proposal) -> MetricValueStatus {
    MetricValueStatus { average_value: Some(quantity(proposal.current_milli)), ..MetricValueStatus::default() }
}

fn value(proposal: &Proposal) -> MetricValueStatus {
    MetricValueStatus { value: Some(quantity(proposal.current_milli)), ..MetricValueStatus::default() }
}

fn external_name(metric: &MetricIdentifier) -> String {
    format!("external metric {}({})", metric.name, go_selector(metric.selector.as_ref()))
}

/// A selector as Go prints the struct.
fn go_selector(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".into() };
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}: {value},"));
    let expressions = selector.match_expressions.iter().flatten().map(|expression| {
        let values = expression.values.as_deref().unwrap_or_default().join(" ");
        format!(
            "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},",
            expression.key, expression.operator
        )
    });
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{{}}},}}",
        labels.collect::<String>(),
        expressions.collect::<String>()
    )
}
