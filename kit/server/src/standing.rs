//! Objects that stand in every cluster without anybody having asked for them: API services, flow schemas and priority levels,
//! ranges and addresses of services.
//!
//! Upstream's controllers in the API server make them when it starts and keep them right from then on
//! (`kube-aggregator/pkg/controllers/autoregister`, `apiserver/pkg/util/flowcontrol/apf_controller.go`,
//! `pkg/registry/core/service/ipallocator`, `pkg/controlplane/controller/defaultservicecidr`). Here they are made right
//! when somebody asks for some of their kind, so that a scenario in which nobody does has no writes for them.

use super::rules::flow_defaults;
use super::write::WriteOptions;
use super::{Server, allocate, canonical};
use kit_apimachinery::object::{Key, Kind};
use kit_apimachinery::resource::Resource;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The kinds.
const KINDS: [&str; 5] = ["APIService", "FlowSchema", "IPAddress", "PriorityLevelConfiguration", "ServiceCIDR"];
/// The priority of each group; those of one group's versions follow (`pkg/controlplane/apiserver/aggregator.go`).
const PRIORITIES: [(&str, i64); 19] = [
    ("", 18_000),
    ("apps", 17_800),
    ("events.k8s.io", 17_750),
    ("authentication.k8s.io", 17_700),
    ("authorization.k8s.io", 17_600),
    ("autoscaling", 17_500),
    ("batch", 17_400),
    ("certificates.k8s.io", 17_300),
    ("networking.k8s.io", 17_200),
    ("policy", 17_100),
    ("rbac.authorization.k8s.io", 17_000),
    ("storage.k8s.io", 16_800),
    ("apiextensions.k8s.io", 16_700),
    ("admissionregistration.k8s.io", 16_700),
    ("scheduling.k8s.io", 16_600),
    ("coordination.k8s.io", 16_500),
    ("node.k8s.io", 16_300),
    ("discovery.k8s.io", 16_200),
    ("flowcontrol.apiserver.k8s.io", 16_100),
];
const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
const IP_FAMILY: &str = "ipaddress.kubernetes.io/ip-family";
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";

/// Whether objects of a kind stand without anybody having made them.
pub(crate) fn stand(kind: Kind) -> bool {
    matches!(kind, Kind::Other(resource) if !resource.custom && KINDS.contains(&resource.kind.as_str()))
}

impl Server {
    /// Makes all of them, for a cluster that somebody watches.
    pub fn keep_all_standing(&mut self) {
        let kinds = Resource::all().iter().map(Resource::as_kind).filter(|kind| stand(*kind));
        kinds.for_each(|kind| self.keep_standing(kind));
    }

    /// Makes the standing objects of a kind right.
    pub(crate) fn keep_standing(&mut self, kind: Kind) {
        match kind.name() {
            _ if !stand(kind) || self.stopped => {}
            "APIService" => self.keep_api_services(kind),
            "FlowSchema" => {
                self.keep_flow_control();
                self.tell_dangling(kind);
            }
            "PriorityLevelConfiguration" => self.keep_flow_control(),
            "ServiceCIDR" => {
                let message = "Kubernetes default Service CIDR is ready";
                let condition = json!({
                    "type": "Ready", "status": "True", "lastTransitionTime": self.stamp(), "reason": "",
                    "message": message,
                });
                let range = json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": [allocate::RANGE]}});
                self.stand_up(kind, range, Some(json!({"conditions": [condition]})));
            }
            _ => self.keep_addresses(kind),
        }
    }

    /// Makes an object unless there is one of its name; its status is written apart.
    fn stand_up(&mut self, kind: Kind, mut object: Value, status: Option<Value>) {
        let key = Key::new(kind, "", object["metadata"]["name"].as_str().unwrap_or_default());
        if self.state.get(&key).is_some() {
            return;
        }
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.name().into();
        let made = self.create_value(kind, canonical(kind, object), &WriteOptions::default());
        if let (Ok(stored), Some(status)) = (made, status) {
            let mut value = stored.to_value();
            value["status"] = status;
            let options = WriteOptions { subresource: Some("status"), ..Default::default() };
            _ = self.update_value(&key, value, &options);
        }
    }

    fn keep_api_services(&mut self, kind: Kind) {
        let mut served: BTreeMap<(String, String), (bool, i64, i64)> = BTreeMap::new();
        for resource in self.resources().filter(|resource| resource.group != "apiregistration.k8s.io") {
            let priority = PRIORITIES.iter().find(|(group, _)| *group == resource.group);
            let of = match (resource.custom, priority, resource.group.as_str(), resource.version.as_str()) {
                // What stands behind this server has an API service of its own.
                (true, ..) if resource.definition.is_none() => continue,
                (false, Some((_, of)), "", _) => (false, *of, 1),
                (false, Some((_, of)), "autoscaling", "v2") => (false, *of, 30),
                (false, Some((_, of)), "flowcontrol.apiserver.k8s.io", _) => (false, *of, 21),
                (false, Some((_, of)), ..) => (false, *of, 15),
                _ => (true, 1_000, 100),
            };
            served.insert((resource.group.clone(), resource.version.clone()), of);
        }
        for ((group, version), (custom, group_priority, version_priority)) in &served {
            let label = if *custom { "true" } else { "onstart" };
            let mut spec = json!({"groupPriorityMinimum": group_priority, "version": version});
            spec["versionPriority"] = (*version_priority).into();
            if !group.is_empty() {
                spec["group"] = group.as_str().into();
            }
            let metadata = json!({"name": format!("{version}.{group}"), "labels": {AUTOMANAGED: label}});
            self.stand_up(kind, json!({"metadata": metadata, "spec": spec}), None);
        }
        let gone = self.state.list(kind).filter(|stored| {
            let value = stored.to_value();
            let text = |field: &str| value["spec"][field].as_str().unwrap_or_default().to_string();
            let automatic = value["metadata"]["labels"][AUTOMANAGED] == "true";
            automatic && !served.contains_key(&(text("group"), text("version")))
        });
        let gone: Vec<Key> = gone.map(|stored| stored.key.clone()).collect();
        gone.iter().for_each(|key| _ = self.delete_object(key, &Default::default()));
        self.tell_unavailable(kind);
    }

    /// Says of API services whose Service isn't there that nobody serves them
    /// (`kube-aggregator/pkg/controllers/status/remote/remote_available_controller.go`).
    fn tell_unavailable(&mut self, kind: Kind) {
        let services: Vec<Value> = self.state.list(kind).map(|stored| stored.to_value()).collect();
        for mut service in services.into_iter().filter(|service| service["spec"]["service"].is_object()) {
            let text = |field: &str| service["spec"]["service"][field].as_str().unwrap_or_default().to_string();
            let (namespace, name) = (text("namespace"), text("name"));
            let there = self.state.get(&Key::new(Kind::Service, &namespace, &name)).is_some();
            let mut known = service["status"]["conditions"].as_array().into_iter().flatten();
            if there || known.any(|condition| condition["reason"] == "ServiceNotFound") {
                continue;
            }
            service["status"]["conditions"] = json!([{
                "type": "Available", "status": "False", "lastTransitionTime": self.stamp(), "reason": "ServiceNotFound",
                "message": format!("service/{name} in {namespace:?} is not present"),
            }]);
            let key = Key::new(kind, "", service["metadata"]["name"].as_str().unwrap_or_default());
            let options = WriteOptions { subresource: Some("status"), ..Default::default() };
            _ = self.update_value(&key, service, &options);
        }
    }

    fn keep_flow_control(&mut self) {
        for object in flow_defaults::all() {
            let kind = object["kind"].as_str().unwrap_or_default();
            if let Some(kind) = self.kind_of("flowcontrol.apiserver.k8s.io/v1", kind) {
                self.stand_up(kind, object.clone(), None);
            }
        }
    }

    /// Says of each flow schema whether its level is there (`syncOne` of `apf_controller.go`).
    fn tell_dangling(&mut self, kind: Kind) {
        let Some(levels) = self.kind_of("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration") else {
            return;
        };
        let schemas: Vec<_> = self.state.list(kind).map(|stored| stored.to_value()).collect();
        for mut schema in schemas {
            let level = schema["spec"]["priorityLevelConfiguration"]["name"].as_str().unwrap_or_default().to_string();
            let there = self.state.get(&Key::new(levels, "", &level)).is_some();
            let (status, reason, what) = match there {
                true => ("False", "Found", "and it exists"),
                false => ("True", "NotFound", "but there is no such object"),
            };
            let known = schema["status"]["conditions"].as_array().into_iter().flatten();
            if known.into_iter().any(|condition| condition["type"] == "Dangling" && condition["status"] == status) {
                continue;
            }
            let message =
                format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?} {what}");
            schema["status"]["conditions"] = json!([{
                "type": "Dangling", "status": status, "lastTransitionTime": self.stamp(), "reason": reason,
                "message": message,
            }]);
            let key = Key::new(kind, "", schema["metadata"]["name"].as_str().unwrap_or_default());
            let options = WriteOptions { subresource: Some("status"), ..Default::default() };
            _ = self.update_value(&key, schema, &options);
        }
    }

    /// An object for each address that a Service has.
    fn keep_addresses(&mut self, kind: Kind) {
        let mut wanted: BTreeMap<String, (String, String)> = BTreeMap::new();
        for stored in self.state.list(Kind::Service) {
            let spec = stored.get::<kit_api::core::Service>().and_then(|service| service.spec.as_ref());
            let addresses = spec.and_then(|spec| spec.cluster_ips.as_deref()).unwrap_or_default();
            for address in addresses.iter().filter(|address| !["", "None"].contains(&address.as_str())) {
                let about = (stored.object.namespace().to_string(), stored.object.name().to_string());
                wanted.insert(address.clone(), about);
            }
        }
        let managed = self.state.list(kind).filter(|stored| {
            let labels = stored.object.meta().labels.as_ref();
            labels.is_some_and(|labels| labels.contains_key(MANAGED_BY)) && !wanted.contains_key(stored.object.name())
        });
        let gone: Vec<Key> = managed.map(|stored| stored.key.clone()).collect();
        gone.iter().for_each(|key| _ = self.delete_object(key, &Default::default()));
        for (address, (namespace, name)) in wanted {
            let family = if address.contains(':') { "IPv6" } else { "IPv4" };
            let object = json!({
                "metadata": {"name": address, "labels": {IP_FAMILY: family, MANAGED_BY: "ipallocator.k8s.io"}},
                "spec": {"parentRef": {"resource": "services", "namespace": namespace, "name": name}},
            });
            self.stand_up(kind, object, None);
        }
    }
}
