//! The objects that the cluster holds: those that components work with as the type that Kubernetes' API gives them,
//! and all others, custom resources among them, as JSON ([`Unstructured`]).

use crate::resource::Resource;
use kit_api::meta::{ObjectMeta, OwnerReference};
use kit_api::{apps, autoscaling, batch, coordination, core, discovery, networking, policy, scheduling, storage};
use kit_codec::Json;
use serde::ser::SerializeStruct;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

macro_rules! objects {
    ($($(#[$doc:meta])* $Kind:ident($Type:ty) $plural:literal $api_version:literal $namespaced:literal;)+) => {
        /// A kind of object.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $Kind,)+
            /// Any other kind that the API server serves.
            Other(&'static Resource),
        }

        impl Kind {
            /// Every kind that has a type here.
            pub const ALL: &[Kind] = &[$(Kind::$Kind),+];

            /// As `kind:` names it.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$Kind => stringify!($Kind),)+ Kind::Other(resource) => &resource.kind }
            }

            /// As paths of the API name it.
            pub fn plural(self) -> &'static str {
                match self { $(Kind::$Kind => $plural,)+ Kind::Other(resource) => &resource.plural }
            }

            /// Group and version, as `apiVersion:` has them.
            pub fn api_version(self) -> &'static str {
                match self { $(Kind::$Kind => $api_version,)+ Kind::Other(resource) => &resource.api_version }
            }

            /// Whether its objects live in namespaces.
            pub fn namespaced(self) -> bool {
                match self { $(Kind::$Kind => $namespaced,)+ Kind::Other(resource) => resource.namespaced }
            }
        }

        /// One object of any kind.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Object {
            $($(#[$doc])* $Kind(Box<$Type>),)+
            /// An object of any other kind.
            Other(Box<Unstructured>),
        }

        impl Object {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self { $(Object::$Kind(_) => Kind::$Kind,)+ Object::Other(object) => object.kind }
            }

            /// Its metadata.
            pub fn meta(&self) -> &ObjectMeta {
                match self { $(Object::$Kind(object) => &object.metadata,)+ Object::Other(object) => &object.metadata }
            }

            /// Its metadata, to be changed.
            pub fn meta_mut(&mut self) -> &mut ObjectMeta {
                match self { $(Object::$Kind(object) => &mut object.metadata,)+ Object::Other(object) => &mut object.metadata }
            }

            /// The object in JSON, with `apiVersion` and `kind`.
            pub fn encode(&self) -> String {
                match self { $(Object::$Kind(object) => object.to_json(),)+
                    Object::Other(object) => serde_json::to_string(&object.to_value()) }
                    .expect("API objects have string keys")
            }

            /// The object as a JSON value, with `apiVersion` and `kind`.
            pub fn to_value(&self) -> Value {
                match self { $(Object::$Kind(object) => object.to_value(),)+
                    Object::Other(object) => Ok(object.to_value()) }
                    .expect("API objects have string keys")
            }

            /// An object of `kind` from its JSON value; the error says which field is wrong.
            pub fn from_value(kind: Kind, value: Value) -> Result<Object, serde_json::Error> {
                match kind { $(Kind::$Kind => <$Type>::from_value(value).map(|object| Object::$Kind(Box::new(object))),)+
                    Kind::Other(_) => Unstructured::from_value(kind, value).map(|object| Object::Other(Box::new(object))) }
            }

            /// Reads an object of `kind`; the error says which field is wrong.
            pub fn decode(kind: Kind, json: &str) -> Result<Object, serde_json::Error> {
                match kind { $(Kind::$Kind => <$Type>::from_json(json).map(|object| Object::$Kind(Box::new(object))),)+
                    Kind::Other(_) => Object::from_value(kind, serde_json::from_str(json)?) }
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
                fn meta(&self) -> &ObjectMeta {
                    &self.metadata
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
    /// Its metadata.
    fn meta(&self) -> &ObjectMeta;
}

/// An object without a type of its own here.
#[derive(Debug, Clone, PartialEq)]
pub struct Unstructured {
    /// Its kind.
    pub kind: Kind,
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// All other fields at its top.
    pub fields: Map<String, Value>,
}

impl Unstructured {
    fn to_value(&self) -> Value {
        let mut value = Map::new();
        value.insert("apiVersion".into(), self.kind.api_version().into());
        value.insert("kind".into(), self.kind.name().into());
        value.insert("metadata".into(), serde_json::to_value(&self.metadata).unwrap_or_default());
        value.extend(self.fields.clone());
        Value::Object(value)
    }

    fn from_value(kind: Kind, value: Value) -> Result<Unstructured, serde_json::Error> {
        let mut fields: Map<String, Value> = serde_json::from_value(value)?;
        let metadata = fields.shift_remove("metadata").unwrap_or_else(|| Map::new().into());
        fields.retain(|name, _| name != "apiVersion" && name != "kind");
        Ok(Unstructured { kind, metadata: serde_json::from_value(metadata)?, fields })
    }
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
    /// How many pods of an application may be disrupted.
    PodDisruptionBudget(policy::PodDisruptionBudget) "poddisruptionbudgets" "policy/v1" true;
    /// A name for a priority.
    PriorityClass(scheduling::PriorityClass) "priorityclasses" "scheduling.k8s.io/v1" false;
    /// A stateful set.
    StatefulSet(apps::StatefulSet) "statefulsets" "apps/v1" true;
    /// A daemon set.
    DaemonSet(apps::DaemonSet) "daemonsets" "apps/v1" true;
    /// A revision of a stateful set or a daemon set.
    ControllerRevision(apps::ControllerRevision) "controllerrevisions" "apps/v1" true;
    /// A job.
    Job(batch::Job) "jobs" "batch/v1" true;
    /// A job that runs again and again.
    CronJob(batch::CronJob) "cronjobs" "batch/v1" true;
    /// A claim for a volume.
    PersistentVolumeClaim(core::PersistentVolumeClaim) "persistentvolumeclaims" "v1" true;
    /// A volume.
    PersistentVolume(core::PersistentVolume) "persistentvolumes" "v1" false;
    /// A class of volumes.
    StorageClass(storage::StorageClass) "storageclasses" "storage.k8s.io/v1" false;
    /// How much a namespace may use.
    ResourceQuota(core::ResourceQuota) "resourcequotas" "v1" true;
    /// How much one object of a namespace may use.
    LimitRange(core::LimitRange) "limitranges" "v1" true;
    /// The endpoints of a service, in one object.
    Endpoints(core::Endpoints) "endpoints" "v1" true;
    /// A secret.
    Secret(core::Secret) "secrets" "v1" true;
    /// Who a pod is to the API server.
    ServiceAccount(core::ServiceAccount) "serviceaccounts" "v1" true;
    /// Which traffic pods accept.
    NetworkPolicy(networking::NetworkPolicy) "networkpolicies" "networking.k8s.io/v1" true;
    /// A driver that makes and attaches volumes.
    CSIDriver(storage::CSIDriver) "csidrivers" "storage.k8s.io/v1" false;
    /// The drivers that are at work on a node.
    CSINode(storage::CSINode) "csinodes" "storage.k8s.io/v1" false;
    /// That a volume is to be attached to a node, and whether it is.
    VolumeAttachment(storage::VolumeAttachment) "volumeattachments" "storage.k8s.io/v1" false;
}

impl Kind {
    /// The kind that a manifest or a path names: `Pod`, `pod` or `pods`.
    pub fn named(name: &str) -> Option<Kind> {
        let is = |kind: &Kind| kind.name().eq_ignore_ascii_case(name) || kind.plural() == name;
        Kind::ALL.iter().copied().find(is).or_else(|| Resource::all().iter().map(Resource::as_kind).find(is))
    }

    /// What the API server says of the kind in discovery.
    pub fn resource(self) -> &'static Resource {
        match self {
            Kind::Other(resource) => resource,
            kind => Resource::of(kind),
        }
    }

    /// Where its objects are in the store, below `/registry/`: upstream says `minions` for nodes and prefixes services with
    /// `specs` (`pkg/registry/core/rest/storage_core.go`).
    pub fn directory(self) -> Cow<'static, str> {
        match self {
            Kind::Node => "minions".into(),
            Kind::Service => "services/specs".into(),
            Kind::Endpoints => "services/endpoints".into(),
            // Groups with a dot in their name, other than those of Kubernetes' beginning, stand before the plural.
            Kind::Other(resource) if resource.custom => format!("{}/{}", resource.group, resource.plural).into(),
            kind => kind.plural().into(),
        }
    }

    /// The API group; empty for the core group.
    pub fn group(self) -> &'static str {
        self.api_version().rsplit_once('/').map_or("", |(group, _)| group)
    }
}

impl serde::Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Object {
    /// Its name; empty before it has one.
    pub fn name(&self) -> &str {
        About::from(self).name()
    }

    /// Its namespace; empty for objects of the whole cluster.
    pub fn namespace(&self) -> &str {
        About::from(self).namespace()
    }

    /// Its unique id.
    pub fn uid(&self) -> &str {
        About::from(self).uid()
    }

    /// The object as readers see it when it was written with this revision.
    pub fn at_revision(mut self, revision: i64) -> Object {
        self.meta_mut().resource_version = Some(revision.to_string());
        self
    }

    /// Where it is found.
    pub fn key(&self) -> Key {
        About::from(self).key()
    }

    /// A reference with which it owns and controls another object.
    pub fn controller_ref(&self) -> OwnerReference {
        About::from(self).controller_ref()
    }
}

/// Which object something is about: what it takes to name it.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Its kind.
    pub kind: Kind,
    /// Its metadata.
    pub meta: &'a ObjectMeta,
}

impl<'a> From<&'a Object> for About<'a> {
    fn from(object: &'a Object) -> Self {
        About { kind: object.kind(), meta: object.meta() }
    }
}

impl<'a, T: AsKind> From<&'a T> for About<'a> {
    fn from(object: &'a T) -> Self {
        About { kind: T::KIND, meta: object.meta() }
    }
}

impl<'a> About<'a> {
    /// The object's name; empty before it has one.
    pub fn name(self) -> &'a str {
        self.meta.name.as_deref().unwrap_or_default()
    }

    /// Its namespace; empty for objects of the whole cluster.
    pub fn namespace(self) -> &'a str {
        self.meta.namespace.as_deref().unwrap_or_default()
    }

    /// Its unique id.
    pub fn uid(self) -> &'a str {
        self.meta.uid.as_deref().unwrap_or_default()
    }

    /// Where it is found.
    pub fn key(self) -> Key {
        Key::new(self.kind, self.namespace(), self.name())
    }

    /// A reference with which it owns and controls another object (`metav1.NewControllerRef`).
    pub fn controller_ref(self) -> OwnerReference {
        OwnerReference {
            api_version: self.kind.api_version().into(),
            kind: self.kind.name().into(),
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
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl Key {
    /// A key.
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Key {
        Key { kind, namespace: namespace.into(), name: name.into() }
    }

    /// The key of the object in the store: `/registry/…`.
    pub fn path(&self) -> String {
        let directory = self.kind.directory();
        match self.kind.namespaced() {
            true => format!("/registry/{directory}/{}/{}", self.namespace, self.name),
            false => format!("/registry/{directory}/{}", self.name),
        }
    }
}

impl serde::Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Key", 3)?;
        fields.serialize_field("kind", &self.kind)?;
        fields.serialize_field("namespace", &*self.namespace)?;
        fields.serialize_field("name", &*self.name)?;
        fields.end()
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
