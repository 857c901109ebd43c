//! Discovery: what the server serves.
//!
//! Source: `apiserver/pkg/endpoints/discovery`.

use super::Response;
use crate::Server;
use kit_apimachinery::resource::Resource;
use serde_json::{Value, json};

/// What a client is told to look for in `Accept` and in the answer.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `GET /version`.
pub fn version() -> Value {
    json!({
        "major": "1", "minor": "33", "emulationMajor": "1", "emulationMinor": "33", "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "32", "gitVersion": "v1.33.0", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "2025-04-23T00:00:00Z", "goVersion": "", "compiler": "", "platform": "",
    })
}

impl Server {
    /// The answer to a path of discovery; none if it names nothing.
    pub(super) fn discover(&self, parts: &[&str], accept: &str) -> Option<Response> {
        let aggregated = accept.split(',').next().is_some_and(|first| first.contains("as=APIGroupDiscoveryList"));
        match *parts {
            ["api"] if aggregated => Some(self.aggregated(true)),
            ["apis"] if aggregated => Some(self.aggregated(false)),
            ["api"] => Some(Response::json(
                200,
                &json!({
                    "kind": "APIVersions", "versions": ["v1"],
                    "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}],
                }),
            )),
            ["apis"] => {
                let groups: Vec<Value> =
                    self.groups().iter().filter(|name| !name.is_empty()).map(|g| self.group(g)).collect();
                Some(Response::json(200, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})))
            }
            ["apis", name] if self.groups().iter().any(|group| group == name) => {
                let mut group = self.group(name);
                group["kind"] = "APIGroup".into();
                group["apiVersion"] = "v1".into();
                Some(Response::json(200, &group))
            }
            ["api", version] => self.resource_list(version),
            ["apis", group, version] => self.resource_list(&format!("{group}/{version}")),
            _ => None,
        }
    }

    fn groups(&self) -> Vec<String> {
        let mut groups: Vec<String> = Vec::new();
        for resource in self.resources() {
            if !groups.contains(&resource.group) {
                groups.push(resource.group.clone());
            }
        }
        groups
    }

    fn versions(&self, group: &str) -> Vec<String> {
        let mut versions: Vec<String> = Vec::new();
        for resource in self.resources().filter(|resource| resource.group == group) {
            if !versions.contains(&resource.version) {
                versions.push(resource.version.clone());
            }
        }
        versions
    }

    fn group(&self, name: &str) -> Value {
        let version = |version: &String| json!({"groupVersion": format!("{name}/{version}"), "version": version});
        let versions: Vec<Value> = self.versions(name).iter().map(version).collect();
        json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
    }

    fn resource_list(&self, api_version: &str) -> Option<Response> {
        let mut entries: Vec<(String, Value)> = Vec::new();
        for resource in self.resources().filter(|resource| resource.api_version == api_version) {
            let mut entry = json!({
                "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
                "kind": resource.kind, "verbs": resource.verbs,
            });
            if resource.verbs.iter().any(|verb| verb == "watch") {
                entry["storageVersionHash"] = resource.storage_version_hash().into();
            }
            for (field, names) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
                if !names.is_empty() {
                    entry[field] = names.clone().into();
                }
            }
            entries.push((resource.plural.clone(), entry));
            for sub in &resource.subresources {
                let name = format!("{}/{}", resource.plural, sub.name);
                let mut entry = json!({
                    "name": name, "singularName": "", "namespaced": resource.namespaced, "kind": sub.kind,
                    "verbs": sub.verbs,
                });
                if let Some((group, version)) = &sub.group_version {
                    entry["group"] = group.as_str().into();
                    entry["version"] = version.as_str().into();
                }
                entries.push((name, entry));
            }
        }
        if entries.is_empty() {
            return None;
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let resources: Vec<Value> = entries.into_iter().map(|(_, entry)| entry).collect();
        let mut list = json!({"kind": "APIResourceList", "groupVersion": api_version, "resources": resources});
        if api_version != "v1" {
            list["apiVersion"] = "v1".into();
        }
        Some(Response::json(200, &list))
    }

    /// All groups in one answer (KEP-3352), as kubectl asks for it.
    fn aggregated(&self, core: bool) -> Response {
        let groups = self.groups().into_iter().filter(|group| group.is_empty() == core);
        let items: Vec<Value> = groups
            .map(|group| {
                let versions: Vec<Value> = self
                    .versions(&group)
                    .iter()
                    .map(|version| {
                        let mine = self.resources().filter(|r| r.group == group && r.version == *version);
                        let resources: Vec<Value> = mine.map(aggregated_resource).collect();
                        json!({"version": version, "freshness": "Current", "resources": resources})
                    })
                    .collect();
                let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
                json!({"metadata": metadata, "versions": versions})
            })
            .collect();
        let list = json!({
            "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
        });
        let mut response = Response::json(200, &list);
        response.content_type = AGGREGATED;
        response
    }
}

fn aggregated_resource(resource: &Resource) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut entry = json!({
        "resource": resource.plural, "responseKind": kind(&resource.group, &resource.version, &resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" }, "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    for (field, names) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
        if !names.is_empty() {
            entry[field] = names.clone().into();
        }
    }
    let subresource = |sub: &kit_apimachinery::resource::Subresource| {
        let (group, version) = resource.group_version_of(sub);
        json!({"subresource": sub.name, "responseKind": kind(group, version, &sub.kind), "verbs": sub.verbs})
    };
    if !resource.subresources.is_empty() {
        entry["subresources"] = resource.subresources.iter().map(subresource).collect();
    }
    entry
}
