//! Which endpoints a rule means.
//!
//! Sources: `pkg/policy/api/selector.go` and `pkg/k8s/apis/cilium.io/utils/utils.go`, which puts namespaces into selectors.

use super::identity::Labels;
use kit_api::meta::LabelSelector;

/// The label of a pod with the name of its namespace.
pub const NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Labels of the namespace stand behind this prefix.
pub const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
/// The label of a pod with the name of its cluster.
pub const CLUSTER: &str = "io.cilium.k8s.policy.cluster";

/// `k8s:app`: a label by its key, and by who set it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelKey {
    /// `k8s`, `reserved`, …; `any` where nobody wrote one.
    pub source: String,
    /// The key.
    pub key: String,
}

impl LabelKey {
    /// A key of a source.
    pub fn new(source: &str, key: &str) -> Self {
        LabelKey { source: source.into(), key: key.into() }
    }

    fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((source, key)) => LabelKey::new(source, key),
            None => LabelKey::new("any", text),
        }
    }
}

/// What a label must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// All of its requirements must hold; without any, everything is selected.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointSelector(Vec<(LabelKey, Operator, Vec<String>)>);

impl EndpointSelector {
    /// As it is written.
    ///
    /// # Errors
    ///
    /// An operator that is none, or values where there must be none, or the other way round.
    pub fn new(selector: &LabelSelector) -> Result<Self, String> {
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            requirements.push((LabelKey::parse(key), Operator::In, vec![value.clone()]));
        }
        for expression in selector.match_expressions.iter().flatten() {
            let values = expression.values.clone().unwrap_or_default();
            let (operator, valued) = match expression.operator.as_str() {
                "In" => (Operator::In, true),
                "NotIn" => (Operator::NotIn, true),
                "Exists" => (Operator::Exists, false),
                "DoesNotExist" => (Operator::DoesNotExist, false),
                other => {
                    return Err(format!("invalid label selector: {other:?} is not a valid label selector operator"));
                }
            };
            if valued == values.is_empty() {
                let must = if valued { "needs values" } else { "takes no values" };
                return Err(format!(
                    "invalid label selector: {} of key {:?} {must}",
                    expression.operator, expression.key
                ));
            }
            requirements.push((LabelKey::parse(&expression.key), operator, values));
        }
        requirements.sort();
        Ok(EndpointSelector(requirements))
    }

    /// Endpoints with a label of that source: `reserved:host`.
    pub fn label(source: &str, key: &str, value: &str) -> Self {
        EndpointSelector(vec![(LabelKey::new(source, key), Operator::In, vec![value.into()])])
    }

    fn has_key(&self, sources: &[&str], key: &str) -> bool {
        self.0.iter().any(|(label, ..)| label.key == key && sources.contains(&label.source.as_str()))
    }

    /// Pods that start have no labels yet, not even that of their namespace.
    pub fn is_about_init(&self) -> bool {
        self.has_key(&["reserved"], "init")
    }

    fn require(mut self, key: &str, operator: Operator, values: &[&str]) -> Self {
        self.0.push((LabelKey::new("k8s", key), operator, values.iter().map(ToString::to_string).collect()));
        self.0.sort();
        self
    }

    /// The `endpointSelector` of a policy: always in the namespace of the policy, whatever it says itself.
    pub fn of_subject(selector: &LabelSelector, namespace: Option<&str>) -> Result<Self, String> {
        let mut own = EndpointSelector::new(selector)?;
        match namespace {
            Some(namespace) if !own.is_about_init() => {
                own.0.retain(|(label, ..)| (label.source.as_str(), label.key.as_str()) != ("k8s", NAMESPACE));
                Ok(own.require(NAMESPACE, Operator::In, &[namespace]))
            }
            _ => Ok(own),
        }
    }

    /// `fromEndpoints` and `toEndpoints` mean the policy's own namespace unless they name one; those of a clusterwide
    /// policy mean pods, which have a namespace.
    pub fn of_peer(selector: &LabelSelector, namespace: Option<&str>, about_init: bool) -> Result<Self, String> {
        let own = EndpointSelector::new(selector)?;
        let reserved = own.0.iter().any(|(label, ..)| label.source == "reserved");
        if reserved || about_init || own.has_key(&["k8s", "any"], NAMESPACE) {
            return Ok(own);
        }
        Ok(match namespace {
            Some(namespace) => own.require(NAMESPACE, Operator::In, &[namespace]),
            None => own.require(NAMESPACE, Operator::Exists, &[]),
        })
    }

    /// Whether it selects everything.
    pub fn is_wildcard(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it selects what has these labels.
    pub fn selects(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(key, operator, values)| {
            let value = match key.source.as_str() {
                "any" => labels.iter().find(|(label, _)| label.key == key.key).map(|(_, value)| value),
                _ => labels.get(key),
            };
            let listed = || value.is_some_and(|value| values.contains(value));
            match operator {
                Operator::In => listed(),
                Operator::NotIn => !listed(),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }
}
