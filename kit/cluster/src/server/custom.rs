//! Custom resources: what a CustomResourceDefinition adds to the API.
//!
//! Source: `apiextensions-apiserver/pkg/apiserver/customresource_handler.go`. Objects are stored as they are sent, but
//! for their metadata; schemas are told by clients and not held against objects here.

use super::{Resource, Server, Subresource};
use crate::object::Kind;
use serde_json::Value;

impl Server {
    /// The kinds in namespaces that definitions define.
    pub(crate) fn custom_kinds(&self) -> impl Iterator<Item = Kind> {
        self.custom.values().filter(|resource| resource.namespaced).map(|resource| resource.as_kind())
    }

    /// Serves what a definition defines, from now on.
    pub(super) fn define(&mut self, definition: &Value) {
        let spec = &definition["spec"];
        let names = &spec["names"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let list = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        for version in spec["versions"].as_array().into_iter().flatten().filter(|version| version["served"] == true) {
            let (group, version_name) = (text(&spec["group"]), text(&version["name"]));
            let kind = text(&names["kind"]);
            let verbs = |verbs: &[&str]| verbs.iter().map(ToString::to_string).collect::<Vec<_>>();
            let singular = names["singular"].as_str().map_or_else(|| kind.to_lowercase(), str::to_string);
            let mut subresources = Vec::new();
            for (name, of) in [("scale", "Scale"), ("status", kind.as_str())] {
                if version["subresources"].get(name).is_some() {
                    let scale = name == "scale";
                    subresources.push(Subresource {
                        name: name.into(),
                        kind: of.into(),
                        group_version: scale.then(|| ("autoscaling".into(), "v1".into())),
                        verbs: verbs(&["get", "patch", "update"]),
                    });
                }
            }
            let resource = Resource {
                api_version: format!("{group}/{version_name}"),
                plural: text(&names["plural"]),
                singular,
                short_names: list(&names["shortNames"]),
                categories: list(&names["categories"]),
                namespaced: spec["scope"] == "Namespaced",
                verbs: verbs(&["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]),
                subresources,
                custom: true,
                group,
                version: version_name,
                kind,
            };
            let key = (resource.group.clone(), resource.version.clone(), resource.plural.clone());
            // A kind is a name that can be copied, so what it names lives as long as the process. Definitions are few,
            // and one that is sent again unchanged is the same resource.
            if self.custom.get(&key).is_none_or(|there| !there.is_like(&resource)) {
                self.custom.insert(key, Box::leak(Box::new(resource)));
            }
        }
    }
}

impl Resource {
    fn is_like(&self, other: &Resource) -> bool {
        (&self.kind, &self.singular, &self.short_names, self.namespaced, &self.subresources)
            == (&other.kind, &other.singular, &other.short_names, other.namespaced, &other.subresources)
    }
}
