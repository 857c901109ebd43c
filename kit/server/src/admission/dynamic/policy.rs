//! ValidatingAdmissionPolicies: who breaks a rule is refused, warned, or told of to the audit log.
//!
//! Sources: `apiserver/pkg/admission/plugin/policy/validating/{dispatcher,validator}.go`,
//! `apiserver/pkg/admission/plugin/policy/generic/policy_dispatcher.go`.

use super::expressions::{BUDGET, Input, Policy, Rule};
use super::{Attributes, kind};
use crate::field::Cause;
use crate::{Error, Server};
use kit_api::meta::LabelSelector;
use kit_api::selector;
use kit_apimachinery::object::Key;
use kit_cel::{Decision, Question, Scope, Value as Cel};
use serde_json::{Value, json};
use std::sync::Arc;

/// The longest message that an expression may give (`MaxEvaluatedMessageExpressionSizeBytes`).
const LONGEST_MESSAGE: usize = 5 * 1024;
/// The longest value of an annotation (`maxAuditAnnotationValueLength`).
const LONGEST_VALUE: usize = 10 * 1024;

/// What one rule says of a request.
struct Verdict {
    message: String,
    reason: String,
    /// Which rule it was.
    index: usize,
}

/// Why a request is refused, and by whom.
struct Refusal {
    binding: Option<String>,
    message: String,
    reason: String,
}

impl Server {
    /// Asks all policies that are bound.
    pub(super) fn check_policies(&mut self, attributes: &Attributes) -> Result<(), Error> {
        let (Some(policies), Some(bindings)) =
            (kind("ValidatingAdmissionPolicy"), kind("ValidatingAdmissionPolicyBinding"))
        else {
            return Ok(());
        };
        let bindings: Vec<Value> = self.state.list(bindings).map(|stored| stored.to_value()).collect();
        if bindings.is_empty() {
            return Ok(());
        }
        let policies: Vec<_> = self.state.list(policies).cloned().collect();
        for stored in policies {
            let name = &*stored.key.name;
            let mine: Vec<&Value> = bindings.iter().filter(|binding| binding["spec"]["policyName"] == name).collect();
            if mine.is_empty() {
                continue;
            }
            let (object, policy) = (stored.to_value(), self.compiled(&stored));
            if let Some(refusal) = self.check_policy(name, &object, &policy, &mine, attributes)? {
                return Err(refused(attributes, name, refusal));
            }
        }
        Ok(())
    }

    /// A policy as it was read, once for each version of it.
    fn compiled(&mut self, stored: &crate::Stored) -> Arc<Policy> {
        let version = stored.object.meta().resource_version.clone().unwrap_or_default();
        match self.policies.get(&stored.key) {
            Some((of, policy)) if *of == version => policy.clone(),
            _ => {
                let policy = Arc::new(Policy::of(&stored.to_value()));
                self.policies.insert(stored.key.clone(), (version, policy.clone()));
                policy
            }
        }
    }

    /// The first refusal of a policy. Warnings and annotations of all its bindings are told in any case.
    fn check_policy(
        &mut self,
        name: &str,
        object: &Value,
        policy: &Policy,
        bindings: &[&Value],
        attributes: &Attributes,
    ) -> Result<Option<Refusal>, Error> {
        let spec = &object["spec"];
        let Some(told) = self.matches(&spec["matchConstraints"], attributes)? else { return Ok(None) };
        let input = self.input(attributes, told);
        let mut first: Option<Refusal> = None;
        let mut warnings = Vec::new();
        for binding in bindings {
            let binding_name = binding["metadata"]["name"].as_str().unwrap_or_default().to_string();
            let misconfigured = |why: String| Refusal {
                binding: Some(binding_name.clone()),
                message: format!("failed to configure binding: {why}"),
                reason: "Invalid".into(),
            };
            let bound = &binding["spec"];
            let constraints = &bound["matchResources"];
            if constraints.is_object() && self.matches(constraints, attributes)?.is_none() {
                continue;
            }
            let params = match self.params(&spec["paramKind"], &bound["paramRef"], &attributes.namespace) {
                Ok(params) => params,
                Err(_) if policy.lenient => continue,
                Err(why) => {
                    first.get_or_insert(misconfigured(why));
                    continue;
                }
            };
            let actions: Vec<&str> =
                bound["validationActions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for param in &params {
                let ask = |question: &Question| self.decide(&attributes.user, question);
                let verdicts = self.verdicts(policy, &input, param, &ask);
                for verdict in verdicts.broken {
                    for action in &actions {
                        match *action {
                            "Deny" => {
                                first.get_or_insert_with(|| Refusal {
                                    binding: Some(binding_name.clone()),
                                    message: verdict.message.clone(),
                                    reason: verdict.reason.clone(),
                                });
                            }
                            "Warn" => warnings.push(format!(
                                "Validation failed for ValidatingAdmissionPolicy '{name}' with binding '{binding_name}': {}",
                                verdict.message
                            )),
                            _ => self.annotations.push((
                                "validation.policy.admission.k8s.io/validation_failure".into(),
                                json!([{
                                    "message": verdict.message, "policy": name, "binding": binding_name,
                                    "expressionIndex": verdict.index, "validationActions": actions,
                                }])
                                .to_string(),
                            )),
                        }
                    }
                }
                for (key, value) in verdicts.annotations {
                    self.annotations.push((format!("{name}/{key}"), value));
                }
                if let Some(why) = verdicts.failed {
                    let binding = Some(binding_name.clone());
                    first.get_or_insert(Refusal { binding, message: why, reason: "Invalid".into() });
                }
            }
        }
        self.warnings.extend(warnings);
        Ok(first)
    }

    /// The parameters of a binding; one that is null if it has none (`CollectParams`).
    fn params(&self, of: &Value, by: &Value, namespace: &str) -> Result<Vec<Value>, String> {
        if of.is_null() || by.is_null() {
            return Ok(vec![Value::Null]);
        }
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_string();
        let (api_version, kind_name) = (text(of, "apiVersion"), text(of, "kind"));
        let unknown = || format!("paramKind kind `&ParamKind{{APIVersion:{api_version},Kind:{kind_name},}}` not known");
        let kind = self.kind_of(&api_version, &kind_name).ok_or_else(unknown)?;
        let (own, name) = (text(by, "namespace"), text(by, "name"));
        let namespace = match (kind.namespaced(), own.as_str()) {
            (true, "") if namespace.is_empty() => {
                return Err(
                    "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".into()
                );
            }
            (true, "") => namespace,
            (true, own) => own,
            (false, "") => "",
            (false, _) => return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".into()),
        };
        let found: Vec<Value> = match name.as_str() {
            "" => {
                let selector: LabelSelector =
                    serde_json::from_value(by["selector"].clone()).map_err(|why| why.to_string())?;
                let all = self.state.list_in(kind, namespace);
                let selected = all.filter(|stored| selector::matches(&selector, stored.object.meta().labels.as_ref()));
                selected.map(|stored| stored.to_value()).collect()
            }
            name => {
                let stored = self.state.get(&Key::new(kind, namespace, name));
                stored.map(|stored| stored.to_value()).into_iter().collect()
            }
        };
        if found.is_empty() && by["parameterNotFoundAction"] == "Deny" {
            return Err("no params found for policy binding with `Deny` parameterNotFoundAction".into());
        }
        Ok(found)
    }

    /// What a policy says of a request, with one object of parameters.
    fn verdicts(&self, policy: &Policy, input: &Input, param: &Value, ask: &dyn Fn(&Question) -> Decision) -> Verdicts {
        let mut said = Verdicts::default();
        let scope = || input.scope(Some(param)).with_authorizer(ask);
        match policy.conditions.hold(&scope(), policy.lenient) {
            Ok(true) => {}
            Ok(false) => return said,
            Err(message) => {
                said.broken.push(Verdict { message, reason: "Invalid".into(), index: 0 });
                return said;
            }
        }
        let scope = scope().with_variables(&policy.variables);
        for (index, rule) in policy.rules.iter().enumerate() {
            let verdict = match rule.expression.evaluate(&scope, BUDGET) {
                Ok(Cel::Bool(true)) => continue,
                Ok(_) => Verdict { message: rule.message(&scope), reason: rule.reason.clone(), index },
                Err(_) if policy.lenient => continue,
                Err(why) => Verdict { message: why.why(), reason: "Invalid".into(), index },
            };
            said.broken.push(verdict);
        }
        for (key, expression) in &policy.annotations {
            match expression.evaluate(&scope, BUDGET) {
                Ok(Cel::Text(text)) if !text.trim().is_empty() => {
                    said.annotations.push((key.clone(), text.trim().chars().take(LONGEST_VALUE).collect()));
                }
                Ok(Cel::Text(_) | Cel::Null) => {}
                Err(_) if policy.lenient => {}
                Ok(other) => {
                    said.failed.get_or_insert(format!(
                        "valueExpression '{}' resulted in unsupported return type: {}. Return type must be either \
                         string or null.",
                        expression.text,
                        other.type_name()
                    ));
                }
                Err(why) => _ = said.failed.get_or_insert(why.why()),
            }
        }
        said
    }
}

/// What a policy says of a request.
#[derive(Default)]
struct Verdicts {
    broken: Vec<Verdict>,
    annotations: Vec<(String, String)>,
    /// What went wrong with an annotation.
    failed: Option<String>,
}

impl Rule {
    /// What is said of a request that breaks it: by an expression, in words, or as the rule itself.
    fn message(&self, scope: &Scope<'_>) -> String {
        let told = self.told.as_ref().and_then(|told| match told.evaluate(scope, BUDGET) {
            Ok(Cel::Text(text)) => Some(text.trim().to_string()),
            _ => None,
        });
        let told = told.filter(|text| !text.is_empty() && text.len() <= LONGEST_MESSAGE && !text.contains('\n'));
        told.unwrap_or_else(|| match self.message.trim() {
            "" => format!("failed expression: {}", self.expression.text.trim()),
            message => message.into(),
        })
    }
}

fn refused(attributes: &Attributes, policy: &str, refusal: Refusal) -> Error {
    let with = refusal.binding.map(|binding| format!(" with binding '{binding}'")).unwrap_or_default();
    let message = format!("ValidatingAdmissionPolicy '{policy}'{with} denied request: {}", refusal.message);
    let mut error = Error::forbidden(&attributes.key(), &message);
    (error.code, error.reason) = match refusal.reason.as_str() {
        "Forbidden" => (403, "Forbidden"),
        "Unauthorized" => (401, "Unauthorized"),
        "RequestEntityTooLarge" => (413, "RequestEntityTooLarge"),
        _ => (422, "Invalid"),
    };
    if let Some(details) = &mut error.details {
        details.causes.push(Cause { reason: "", message, field: String::new() });
    }
    error
}
