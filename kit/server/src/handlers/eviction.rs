//! Evictions: a pod goes only if the budget of its application allows it.
//!
//! Source: `pkg/registry/core/pod/storage/eviction.go`.

use super::query::Query;
use super::{Request, Response, Target, body, success};
use crate::field::Cause;
use crate::{DeleteOptions, Error, Server, registry};
use kit_api::core::Pod;
use kit_api::policy::PodDisruptionBudget;
use kit_api::{disruption_budget, pod, selector, time};
use kit_apimachinery::object::{AsKind, Key, Kind};
use serde_json::Value;

/// More disruptions than this are not taken on before the controller has seen them.
const MAX_DISRUPTED: usize = 2000;
const VIOLATES: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

impl Server {
    pub(super) fn evict(&mut self, target: &Target, request: &Request<'_>, query: &Query) -> Result<Response, Error> {
        let (eviction, _) = body::read(request, "Eviction")?;
        let name = target.name.clone().unwrap_or_default();
        let said = eviction["metadata"]["name"].as_str().unwrap_or_default();
        if !said.is_empty() && said != name {
            return Err(Error::bad_request("name in URL does not match name in Eviction object"));
        }
        let options = &eviction["deleteOptions"];
        let condition = |field: &str| options["preconditions"][field].as_str().map(str::to_string);
        let options = DeleteOptions {
            grace_period_seconds: options["gracePeriodSeconds"].as_i64(),
            uid: condition("uid"),
            resource_version: condition("resourceVersion"),
            dry_run: query.dry_run("CreateOptions")?
                || options["dryRun"].as_array().is_some_and(|list| !list.is_empty()),
            ..DeleteOptions::default()
        };
        self.evict_pod(&target.namespace, &name, &options)?;
        let mut status = success(&Value::Null);
        status["code"] = 201.into();
        Ok(Response::json(201, &status))
    }

    /// Deletes a pod, if its disruption budget allows it.
    ///
    /// # Errors
    ///
    /// 404 if there is no such pod, 429 if the budget says no, 500 if it has more than one budget.
    pub fn evict_pod(&mut self, namespace: &str, name: &str, options: &DeleteOptions) -> Result<(), Error> {
        let key = Key::new(Kind::Pod, namespace, name);
        let pod: Pod = self.fetch(namespace, name)?;
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
        // What is over, not begun, or going anyway disrupts nothing.
        if pod::is_finished(&pod) || phase == "Pending" || pod.metadata.deletion_timestamp.is_some() {
            return self.delete(&key, options).map(|_| ());
        }
        let budgets: Vec<PodDisruptionBudget> = self
            .state
            .list_in(Kind::PodDisruptionBudget, namespace)
            .filter_map(|stored| stored.get::<PodDisruptionBudget>())
            .filter(|budget| {
                let of = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
                of.is_some_and(|of| selector::matches(of, pod.metadata.labels.as_ref()))
            })
            .cloned()
            .collect();
        match &budgets[..] {
            [] => {}
            [budget] => {
                if !may_go_unready(&pod, budget) {
                    self.decrement(budget, name, options.dry_run)?;
                }
            }
            _ => {
                return Err(Error::internal(
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                ));
            }
        }
        if !options.dry_run {
            let mut pod: Pod = self.fetch(namespace, name)?;
            let (reason, message) = (Some("EvictionByEvictionAPI"), Some("Eviction API: evicting"));
            registry::set_condition(&mut pod, "DisruptionTarget", "True", reason, message, self.time());
            self.update_status(pod.into_object())?;
        }
        self.delete(&key, options).map(|_| ())
    }

    fn decrement(&mut self, budget: &PodDisruptionBudget, pod: &str, dry_run: bool) -> Result<(), Error> {
        let name = budget.metadata.name.clone().unwrap_or_default();
        let status = budget.status.clone().unwrap_or_default();
        let cause = |message: String| vec![Cause { reason: "DisruptionBudget", message, field: String::new() }];
        if status.observed_generation.unwrap_or_default() < budget.metadata.generation.unwrap_or_default() {
            let why = format!("The disruption budget {name} is still being processed by the server.");
            return Err(Error::too_many_requests(VIOLATES, cause(why), 10));
        }
        let forbidden = |why: &str| Err(Error::forbidden(&Key::new(Kind::PodDisruptionBudget, "", &name), why));
        if status.disruptions_allowed < 0 {
            return forbidden("pdb disruptions allowed is negative");
        }
        if status.disrupted_pods.as_ref().is_some_and(|pods| pods.len() > MAX_DISRUPTED) {
            return forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
        }
        if status.disruptions_allowed == 0 {
            let why = format!(
                "The disruption budget {name} needs {} healthy pods and has {} currently",
                status.desired_healthy, status.current_healthy
            );
            return Err(Error::too_many_requests(VIOLATES, cause(why), 0));
        }
        if dry_run {
            return Ok(());
        }
        let mut budget = budget.clone();
        let now = self.time();
        let status = budget.status.get_or_insert_default();
        status.disruptions_allowed -= 1;
        if status.disruptions_allowed == 0 {
            disruption_budget::update_condition(status, now);
        }
        status.disrupted_pods.get_or_insert_default().insert(pod.into(), time::seconds(now));
        self.update_status(budget.into_object()).map(|_| ())
    }
}

/// Pods that aren't ready may go if enough others are, or if the budget says so.
fn may_go_unready(pod: &Pod, budget: &PodDisruptionBudget) -> bool {
    let policy = budget.spec.as_ref().and_then(|spec| spec.unhealthy_pod_eviction_policy.as_deref());
    let status = budget.status.clone().unwrap_or_default();
    let enough = status.current_healthy >= status.desired_healthy && status.desired_healthy > 0;
    !pod::is_ready(pod) && (policy == Some("AlwaysAllow") || enough)
}
