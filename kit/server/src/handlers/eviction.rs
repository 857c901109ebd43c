//! Evictions: a pod goes only if the budget of its application allows it, as the module decides.
//!
//! Source: `pkg/registry/core/pod/storage/eviction.go`.

use super::query::Query;
use super::{Request, Response, Target, body, success};
use crate::delete::preconditions;
use crate::field::Cause;
use crate::{DeleteOptions, Error, Server, registry};
use kit_api::core::Pod;
use kit_api::policy::PodDisruptionBudget;
use kit_api::selector;
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_contract::failure::disruption::{Budget, EvictionRequest, Verdict};
use serde_json::Value;

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
        let key = Key::new(Kind::Pod, &target.namespace, &name);
        self.admit_part("CREATE", &key, "eviction", eviction.clone(), options.dry_run)?;
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
        // Admission was asked about the eviction, and isn't about what it does (`ValidateAllObjectFunc`).
        self.admitted(|server| server.evict_now(namespace, name, options))
    }

    fn evict_now(&mut self, namespace: &str, name: &str, options: &DeleteOptions) -> Result<(), Error> {
        let key = Key::new(Kind::Pod, namespace, name);
        let pod: Pod = self.fetch(namespace, name)?;
        let selects = |budget: &&PodDisruptionBudget| {
            let of = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            of.is_some_and(|of| selector::matches(of, pod.metadata.labels.as_ref()))
        };
        let budgets = self.state.list_in(Kind::PodDisruptionBudget, namespace);
        let budgets: Vec<PodDisruptionBudget> =
            budgets.filter_map(|stored| stored.get::<PodDisruptionBudget>()).filter(selects).cloned().collect();
        let verdict = self.disruption.evict(&EvictionRequest {
            pod: (&pod).into(),
            budgets: budgets.iter().map(Budget::from).collect(),
            dry_run: options.dry_run,
            now_seconds: self.time().as_second(),
        });
        let budget = budgets.first();
        match (verdict, budget) {
            (Verdict::Delete, _) | (Verdict::Charge { .. }, None) => {}
            (Verdict::Charge { status }, Some(budget)) => {
                let status = status.over(&budget.status.clone().unwrap_or_default(), "", self.time());
                self.update_status(PodDisruptionBudget { status: Some(status), ..budget.clone() }.into_object())?;
            }
            (Verdict::Refuse { code, why, retry_after_seconds }, _) => {
                return Err(refusal(code, why, retry_after_seconds, budget));
            }
        }
        let mut options = options.clone();
        if !options.dry_run {
            // Whoever meant another pod, or another version of it, finds this one as it was (`addConditionAndDeletePod`).
            preconditions(&key, &self.get(&key)?.object, &options)?;
            let mut pod: Pod = self.fetch(namespace, name)?;
            let (reason, message) = (Some("EvictionByEvictionAPI"), Some("Eviction API: evicting"));
            registry::set_condition(&mut pod, "DisruptionTarget", "True", reason, message, self.time());
            let marked = self.update_status(pod.into_object())?;
            if options.resource_version.is_some() {
                options.resource_version.clone_from(&marked.object.meta().resource_version);
            }
        }
        self.delete(&key, &options).map(|_| ())
    }
}

fn refusal(code: u16, why: String, retry_after_seconds: u32, budget: Option<&PodDisruptionBudget>) -> Error {
    let name = budget.and_then(|budget| budget.metadata.name.as_deref()).unwrap_or_default();
    match code {
        429 => {
            let cause = Cause { reason: "DisruptionBudget", message: why, field: String::new() };
            Error::too_many_requests(VIOLATES, vec![cause], i32::try_from(retry_after_seconds).unwrap_or(i32::MAX))
        }
        403 => Error::forbidden(&Key::new(Kind::PodDisruptionBudget, "", name), &why),
        _ => Error::internal(why),
    }
}
