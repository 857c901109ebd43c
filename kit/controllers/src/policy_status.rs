//! The controller of policies' status: it says which expressions of a ValidatingAdmissionPolicy don't fit the kinds that the
//! policy is about.
//!
//! Source: `pkg/controller/validatingadmissionpolicystatus/controller.go`.

use kit_apimachinery::object::{Key, Kind};
use kit_apimachinery::resource::Resource;
use kit_client::component::{Component, World};
use kit_client::work_queue::WorkQueue;
use kit_server::{Change, Error, Patch};
use kit_time::agenda::Instant;
use serde_json::{Value, json};
use std::sync::LazyLock;

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    Resource::all().iter().filter(|of| of.kind == "ValidatingAdmissionPolicy").map(Resource::as_kind).collect()
});

/// Keeps the status of policies.
#[derive(Default)]
pub struct PolicyStatus {
    /// Names of policies.
    queue: WorkQueue<String>,
}

fn sync(name: &str, world: &mut World<'_>) -> Result<(), Error> {
    let Some(&kind) = KINDS.first() else { return Ok(()) };
    let key = Key::new(kind, "", name);
    let Some(policy) = world.cache.get(&key).map(|policy| policy.to_value()) else { return Ok(()) };
    let generation = policy["metadata"]["generation"].as_i64();
    if generation <= policy["status"]["observedGeneration"].as_i64() {
        return Ok(());
    }
    let warnings = world.server.type_warnings(&policy);
    let warnings: Vec<Value> =
        warnings.iter().map(|(field, warning)| json!({"fieldRef": field, "warning": warning})).collect();
    // A status without warnings says with an empty `typeChecking` that the types were checked.
    let warnings = if warnings.is_empty() { Value::Null } else { json!(warnings) };
    let status = json!({"observedGeneration": generation, "typeChecking": {"expressionWarnings": warnings}});
    Error::ignore_not_found(world.server.patch(&key, &Patch::Merge(json!({"status": status})), true))
}

impl Component for PolicyStatus {
    fn name(&self) -> &'static str {
        "validatingadmissionpolicy-status-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &KINDS
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        self.queue.add(change.object.key.name.to_string(), world.now);
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(name) = self.queue.pop(world.now) {
            let done = sync(&name, world);
            self.queue.done(name, &done, world.now);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    /// Group, version and resource that a policy is about, its expression, a variable, and what is said of it. Cases of
    /// `typechecking_test.go`, and what the published schemas of built-in kinds make of others.
    const CASES: [(&str, &str, &str, &str, &str, &str); 16] = [
        ("apps", "v1", "deployments", "object.spec.replicas > 1", "", ""),
        (
            "apps",
            "v1",
            "deployments",
            "object.foo == 'bar'",
            "",
            "apps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'foo'",
        ),
        (
            "apps",
            "v1",
            "deployments",
            "object.spec.replicas == 'a'",
            "",
            "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_==_' applied to '(int, string)'",
        ),
        ("apps", "v1", "*", "object.foo == 'bar'", "", ""),
        ("apps", "*", "deployments", "object.foo == 'bar'", "", ""),
        ("", "v1", "pods/status", "object.foo == 'bar'", "", ""),
        (
            "",
            "v1",
            "pods",
            "object.spec.containers.all(c, c.image.startsWith('a') && c.nothing == 'b')",
            "",
            "/v1, Kind=Pod: ERROR: <input>:1:59: undefined field 'nothing'",
        ),
        (
            "",
            "v1",
            "pods",
            "object.spec.containers[0].resources.limits.size() > 0",
            "",
            "/v1, Kind=Pod: ERROR: <input>:1:36: undefined field 'limits'",
        ),
        ("", "v1", "services", "object.spec.ports.all(p, p.targetPort == 80 || p.targetPort == 'http')", "", ""),
        ("", "v1", "pods", "object.metadata.creationTimestamp < timestamp('2025-01-01T00:00:00Z')", "", ""),
        ("", "v1", "pods", "object.metadata.labels.app == 'a' && object.metadata.__namespace__ == 'b'", "", ""),
        (
            "",
            "v1",
            "pods",
            "authorizer.allowed()",
            "",
            "/v1, Kind=Pod: ERROR: <input>:1:19: found no matching overload for 'allowed' applied to 'kubernetes.authorization.Authorizer.()'",
        ),
        ("", "v1", "pods", "authorizer.group('').resource('endpoints').check('create').allowed()", "", ""),
        (
            "",
            "v1",
            "pods",
            "variables.v > 1",
            "'a'",
            "/v1, Kind=Pod: ERROR: <input>:1:13: found no matching overload for '_>_' applied to '(string, int)'",
        ),
        ("", "v1", "pods", "variables.v.anything", "object.spec", ""),
        ("", "v1", "pods", "variables.w", "true", "/v1, Kind=Pod: ERROR: <input>:1:10: undefined field 'w'"),
    ];

    fn policy(rules: &Value, expression: &str, variable: &str) -> Value {
        let variables = if variable.is_empty() { json!([]) } else { json!([{"name": "v", "expression": variable}]) };
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "p"},
            "spec": {
                "matchConstraints": {"resourceRules": rules}, "variables": variables,
                "validations": [{"expression": expression}],
            },
        })
    }

    fn rule(group: &str, version: &str, resource: &str) -> Value {
        json!({"apiGroups": [group], "apiVersions": [version], "operations": ["CREATE"], "resources": [resource]})
    }

    #[test]
    fn a_policy_is_held_against_the_kinds_that_it_is_about() {
        let bench = Bench::new(PolicyStatus::default());
        for (group, version, resource, expression, variable, expected) in CASES {
            let policy = policy(&json!([rule(group, version, resource)]), expression, variable);
            let found = bench.server.type_warnings(&policy);
            let first = found.first().map_or("", |(_, warning)| warning.lines().next().unwrap_or_default());
            assert_eq!(first, expected, "{expression}");
        }
    }

    #[test]
    fn each_kind_is_told_of_once_and_in_order() {
        let bench = Bench::new(PolicyStatus::default());
        let rules = [rule("apps", "v1", "statefulsets"), rule("", "v1", "events"), rule("apps", "v1", "statefulsets")];
        let found = bench.server.type_warnings(&policy(&json!(rules), "object.spec.foo == 1", ""));
        let heads: Vec<&str> = found[0].1.lines().filter(|line| line.contains("Kind=")).collect();
        assert_eq!(
            heads,
            [
                "/v1, Kind=Event: ERROR: <input>:1:7: undefined field 'spec'",
                "apps/v1, Kind=StatefulSet: ERROR: <input>:1:12: undefined field 'foo'",
                "events.k8s.io/v1, Kind=Event: ERROR: <input>:1:7: undefined field 'spec'",
            ]
        );
        assert_eq!(found[0].0, "spec.validations[0].expression");
    }

    #[test]
    fn the_status_follows_the_spec() {
        let mut bench = Bench::new(PolicyStatus::default());
        let key = Key::new(KINDS[0], "", "p");
        bench.create(policy(&json!([rule("", "v1", "pods")]), "object.foo == 1", ""));
        bench.settle();
        let status = |bench: &Bench| bench.server.get(&key).expect("it is there").to_value()["status"].clone();
        let warning = "/v1, Kind=Pod: ERROR: <input>:1:7: undefined field 'foo'\n | object.foo == 1\n | ......^\n";
        assert_eq!(
            status(&bench),
            json!({"observedGeneration": 1, "typeChecking": {"expressionWarnings": [
                {"fieldRef": "spec.validations[0].expression", "warning": warning},
            ]}})
        );
        let mended = json!({"spec": {"validations": [{"expression": "object.kind == 'Pod'"}]}});
        bench.server.patch(&key, &Patch::Merge(mended), false).expect("it can be mended");
        bench.settle();
        assert_eq!(status(&bench), json!({"observedGeneration": 2, "typeChecking": {}}));
    }
}
