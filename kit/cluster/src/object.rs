//! The objects that the cluster holds, each as the type that Kubernetes' API gives it.

use kit_api::meta::{ObjectMeta, OwnerReference};
use kit_api::{apps, autoscaling, coordination, core, discovery};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! objects {
    ($($(#[$doc:meta])* $Kind:ident($Type:ty) $plural:literal $api_version:literal $namespaced:literal;)+) => {
        /// A kind of object.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind {
            $($(#[$doc])* $Kind,)+
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Kind] = &[$(Kind::$Kind),+];

            /// As `kind:` names it.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$Kind => stringify!($Kind),)+ }
            }

            /// As paths of the API name it.
            pub fn plural(self) -> &'static str {
                match self { $(Kind::$Kind => $plural,)+ }
            }

            /// Group and version, as `apiVersion:` has them.
            pub fn api_version(self) -> &'static str {
                match self { $(Kind::$Kind => $api_version,)+ }
            }

            /// Whether its objects live in namespaces.
            pub fn namespaced(self) -> bool {
                match self { $(Kind::$Kind => $namespaced,)+ }
            }
        }

        /// One object of any kind.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Object {
            $($(#[$doc])* $Kind(Box<$Type>),)+
        }

        impl Object {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self { $(Object::$Kind(_) => Kind::$Kind,)+ }
            }

            /// Its metadata.
            pub fn meta(&self) -> &ObjectMeta {
                match self { $(Object::$Kind(object) => &object.metadata,)+ }
            }

            /// Its metadata, to be changed.
            pub fn meta_mut(&mut self) -> &mut ObjectMeta {
                match self { $(Object::$Kind(object) => &mut object.metadata,)+ }
            }

            /// The object in JSON, with `apiVersion` and `kind`.
            pub fn encode(&self) -> String {
                match self { $(Object::$Kind(object) => serde_json::to_string(object),)+ }
                    .expect("API objects have string keys")
            }

            /// Reads an object of `kind`; the error says which field is wrong.
            pub fn decode(kind: Kind, json: &str) -> Result<Object, serde_json::Error> {
                match kind { $(Kind::$Kind => serde_json::from_str(json).map(Object::$Kind),)+ }
            }
        }

        $(
            impl AsKind for $Type {
                const KIND: Kind = Kind::$Kind;
                fn of(object: &Object) -> Option<&Self> {
                    match object { Object::$Kind(object) => Some(object), _ => None }
                }
                fn into_object(self) -> Object {
                    Object::$Kind(Box::new(self))
                }
            }
        )+
    };
}

/// A type of the API that the cluster holds.
pub trait AsKind: Sized {
    /// The kind of its objects.
    const KIND: Kind;
    /// The object as this type, if it is of its kind.
    fn of(object: &Object) -> Option<&Self>;
    /// The object among all kinds.
    fn into_object(self) -> Object;
}

objects! {
    /// A pod.
    Pod(core::Pod) "pods" "v1" true;
    /// A node.
    Node(core::Node) "nodes" "v1" false;
    /// A service.
    Service(core::Service) "services" "v1" true;
    /// A namespace.
    Namespace(core::Namespace) "namespaces" "v1" false;
    /// A config map.
    ConfigMap(core::ConfigMap) "configmaps" "v1" true;
    /// An event.
    Event(core::Event) "events" "v1" true;
    /// A replica set.
    ReplicaSet(apps::ReplicaSet) "replicasets" "apps/v1" true;
    /// A deployment.
    Deployment(apps::Deployment) "deployments" "apps/v1" true;
    /// A horizontal pod autoscaler.
    HorizontalPodAutoscaler(autoscaling::HorizontalPodAutoscaler) "horizontalpodautoscalers" "autoscaling/v2" true;
    /// The heartbeat of a node or of a leader.
    Lease(coordination::Lease) "leases" "coordination.k8s.io/v1" true;
    /// A part of the endpoints of a service.
    EndpointSlice(discovery::EndpointSlice) "endpointslices" "discovery.k8s.io/v1" true;
}

impl Kind {
    /// The kind that a manifest or a path names: `Pod`, `pod` or `pods`.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name().eq_ignore_ascii_case(name) || kind.plural() == name)
    }

    /// The API group; empty for the core group.
    pub fn group(self) -> &'static str {
        self.api_version().rsplit_once('/').map_or("", |(group, _)| group)
    }
}

impl Object {
    /// Its name; empty before it has one.
    pub fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }

    /// Its namespace; empty for objects of the whole cluster.
    pub fn namespace(&self) -> &str {
        self.meta().namespace.as_deref().unwrap_or_default()
    }

    /// Its unique id.
    pub fn uid(&self) -> &str {
        self.meta().uid.as_deref().unwrap_or_default()
    }

    /// Where it is found.
    pub fn key(&self) -> Key {
        Key { kind: self.kind(), namespace: self.namespace().into(), name: self.name().into() }
    }

    /// A reference with which it owns and controls another object (`metav1.NewControllerRef`).
    pub fn controller_ref(&self) -> OwnerReference {
        OwnerReference {
            api_version: self.kind().api_version().into(),
            kind: self.kind().name().into(),
            name: self.name().into(),
            uid: self.uid().into(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }
}

/// Where an object is found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for objects of the whole cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// A key.
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Key {
        Key { kind, namespace: namespace.into(), name: name.into() }
    }

    /// The key of the object in the store (`/registry/…`, where upstream says `minions` for nodes and prefixes
    /// services with `specs`; `pkg/registry/core/rest/storage_core.go`).
    pub fn path(&self) -> String {
        let plural = match self.kind {
            Kind::Node => "minions",
            Kind::Service => "services/specs",
            kind => kind.plural(),
        };
        match self.kind.namespaced() {
            true => format!("/registry/{plural}/{}/{}", self.namespace, self.name),
            false => format!("/registry/{plural}/{}", self.name),
        }
    }
}

impl fmt::Display for Key {
    /// As kubectl and messages name an object: `pods "web-1"` is for errors, `pod/web-1` for everything else.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.name().to_lowercase(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_as_they_were_written() {
        let json = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"default"}}"#;
        let pod = Object::decode(Kind::Pod, json).expect("a pod");
        assert_eq!((pod.encode().as_str(), pod.key().path().as_str()), (json, "/registry/pods/default/web"));
        assert!(Object::decode(Kind::Node, json).is_err());
    }

    #[test]
    fn kinds_have_several_names() {
        for name in ["Deployment", "deployment", "deployments"] {
            assert_eq!(Kind::named(name), Some(Kind::Deployment));
        }
        assert_eq!((Kind::Deployment.group(), Kind::Pod.group()), ("apps", ""));
    }
}
