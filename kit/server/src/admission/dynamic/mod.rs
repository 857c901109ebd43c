//! Admission that users write themselves: policies in CEL, and webhooks.
//!
//! Both see the same of a request ([`Attributes`]), say in the same way which requests they are about ([`matching`]), and
//! have conditions in CEL ([`expressions`]).

pub mod expressions;
mod matching;
mod policy;
pub mod review;
mod type_checking;
pub mod webhooks;

use super::Verb;
use crate::auth::User;
use crate::write::WriteOptions;
use crate::{Error, Server, Stored};
use expressions::Policy;
use kit_apimachinery::object::{Key, Kind};
use kit_apimachinery::resource::Resource;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use webhooks::Round;

/// What a request is, as admission looks at it (`admission.Attributes`).
pub struct Attributes {
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: &'static str,
    /// The resource.
    pub resource: &'static Resource,
    /// The subresource; empty if it is about the whole object.
    pub subresource: String,
    /// Group, version and kind of what is sent.
    pub kind: [String; 3],
    /// The namespace; that of a namespace is itself.
    pub namespace: String,
    /// The name, as far as it is known.
    pub name: String,
    /// The object; null of a deletion.
    pub object: Value,
    /// The object as it was; null if there was none.
    pub old: Value,
    /// `CreateOptions` and the like.
    pub options: Value,
    /// Whether nothing is changed in any case.
    pub dry_run: bool,
    /// Who asks.
    pub user: User,
}

/// Policies that were compiled, by their key, with the version of the object.
pub(crate) type Compiled = BTreeMap<Key, (String, Arc<Policy>)>;

const GROUP: &str = "admissionregistration.k8s.io";

/// The kinds of which requests are told to nobody, so that they can always be mended
/// (`IsExemptAdmissionConfigurationResource`).
const EXEMPT: [&str; 4] = [
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// Each write looks whether there is one of these.
static ASKED: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let names = ["ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"];
    names.into_iter().filter_map(kind).collect()
});

fn kind(name: &str) -> Option<Kind> {
    let is = |resource: &&Resource| resource.group == GROUP && resource.kind == name;
    Resource::all().iter().find(is).map(Resource::as_kind)
}

impl Attributes {
    /// Group, version and plural of the resource.
    fn gvr(resource: &Resource) -> Value {
        json!({"group": resource.group, "version": resource.version, "resource": resource.plural})
    }

    fn gvk([group, version, kind]: &[String; 3]) -> Value {
        json!({"group": group, "version": version, "kind": kind})
    }

    /// The request without its objects (`CreateAdmissionRequest`), as one that is told of in another version.
    pub fn request(&self, told: &'static Resource) -> Value {
        let mut kind = self.kind.clone();
        if kind[2] == self.resource.kind {
            kind = [told.group.clone(), told.version.clone(), told.kind.clone()];
        }
        let mut request = json!({
            "kind": Attributes::gvk(&kind), "resource": Attributes::gvr(told),
            "requestKind": Attributes::gvk(&self.kind), "requestResource": Attributes::gvr(self.resource),
        });
        let texts = [
            ("subResource", &self.subresource),
            ("requestSubResource", &self.subresource),
            ("name", &self.name),
            ("namespace", &self.namespace),
        ];
        for (field, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            request[field] = text.as_str().into();
        }
        request["operation"] = self.operation.into();
        request["userInfo"] = self.user.to_value();
        request["dryRun"] = self.dry_run.into();
        request["options"] = self.options.clone();
        request
    }

    /// The key that errors name.
    fn key(&self) -> Key {
        let text = |field: &str| self.object["metadata"][field].as_str().filter(|text| !text.is_empty());
        let name = Some(self.name.as_str()).filter(|name| !name.is_empty());
        let name = name.or(text("name")).or(text("generateName")).unwrap_or("Unknown");
        Key::new(self.resource.as_kind(), &self.namespace, name)
    }
}

impl Server {
    /// Whether anybody wants to be asked about requests.
    pub(crate) fn is_asked(&self) -> bool {
        !self.admitted && ASKED.iter().any(|kind| self.state.list(*kind).next().is_some())
    }

    /// Does something that nobody is asked about any more.
    pub(crate) fn admitted<T>(&mut self, act: impl FnOnce(&mut Server) -> T) -> T {
        let before = std::mem::replace(&mut self.admitted, true);
        let done = act(self);
        self.admitted = before;
        done
    }

    /// What a write is; nothing if nobody wants to know.
    pub(crate) fn attributes(
        &self,
        kind: Kind,
        object: &Value,
        old: Option<&Value>,
        options: &WriteOptions,
    ) -> Option<Attributes> {
        let resource = kind.resource();
        if !self.is_asked() || resource.group == GROUP && EXEMPT.contains(&resource.kind.as_str()) {
            return None;
        }
        let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
        let subresource = options.subresource.or(options.through).unwrap_or_default();
        let mut sent = (resource.api_version.clone(), resource.kind.clone(), object.clone(), old.cloned());
        if subresource == "scale" {
            let scale = |object: &Value| crate::handlers::scale_of(kind, object);
            sent = ("autoscaling/v1".into(), "Scale".into(), scale(object), old.map(scale));
        }
        let (api_version, name, mut object, old) = sent;
        object["apiVersion"] = api_version.as_str().into();
        object["kind"] = name.as_str().into();
        let mut attributes = self.about(operation, kind, object, old.unwrap_or_default(), options.dry_run);
        attributes.subresource = subresource.into();
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        attributes.kind = [group.into(), version.into(), name];
        if let Some(manager) = &options.manager {
            attributes.options["fieldManager"] = manager.as_str().into();
        }
        Some(attributes)
    }

    fn about(&self, operation: &'static str, kind: Kind, object: Value, old: Value, dry_run: bool) -> Attributes {
        let resource = kind.resource();
        let of = |field: &str| {
            let text = |value: &Value| value["metadata"][field].as_str().unwrap_or_default().to_string();
            Some(text(&object)).filter(|text| !text.is_empty()).unwrap_or_else(|| text(&old))
        };
        let name = of("name");
        let namespace = if kind == Kind::Namespace { name.clone() } else { of("namespace") };
        let options = match operation {
            "CREATE" => "CreateOptions",
            "UPDATE" => "UpdateOptions",
            "DELETE" => "DeleteOptions",
            _ => "",
        };
        let mut options = match options {
            "" => Value::Null,
            kind => json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"}),
        };
        if dry_run {
            options["dryRun"] = json!(["All"]);
        }
        Attributes {
            operation,
            resource,
            subresource: String::new(),
            kind: [resource.group.clone(), resource.version.clone(), resource.kind.clone()],
            namespace,
            name,
            object,
            old,
            options,
            dry_run,
            user: self.who(),
        }
    }

    /// Asks about a deletion.
    pub(crate) fn admit_deletion(&mut self, old: &Arc<Stored>, dry_run: bool) -> Result<(), Error> {
        let resource = old.key.kind.resource();
        if !self.is_asked() || resource.group == GROUP && EXEMPT.contains(&resource.kind.as_str()) {
            return Ok(());
        }
        let mut attributes = self.about("DELETE", old.key.kind, Value::Null, old.to_value(), dry_run);
        self.mutate(&mut attributes, &mut Round::default())?;
        self.check_dynamic(&attributes)
    }

    /// Asks about something that has no object of its own: a binding, an eviction, a way into a container.
    pub(crate) fn admit_part(
        &mut self,
        operation: &'static str,
        key: &Key,
        subresource: &str,
        sent: Value,
        dry_run: bool,
    ) -> Result<(), Error> {
        if !self.is_asked() {
            return Ok(());
        }
        let text = |field: &str| sent[field].as_str().unwrap_or_default().to_string();
        let (api_version, name) = (text("apiVersion"), text("kind"));
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let kind = [group.to_string(), version.to_string(), name];
        let mut attributes = self.about(operation, key.kind, sent, Value::Null, dry_run);
        (attributes.name, attributes.namespace) = (key.name.to_string(), key.namespace.to_string());
        attributes.subresource = subresource.into();
        attributes.kind = kind;
        self.mutate(&mut attributes, &mut Round::default())?;
        self.check_dynamic(&attributes)
    }

    /// Asks about the binding of a pod to a node.
    pub(crate) fn admit_binding(&mut self, pod: &Key, node: &str, dry_run: bool) -> Result<(), Error> {
        let binding = json!({
            "kind": "Binding", "apiVersion": "v1", "metadata": {"name": &*pod.name, "namespace": &*pod.namespace},
            "target": {"kind": "Node", "name": node},
        });
        self.admit_part("CREATE", pod, "binding", binding, dry_run)
    }

    /// Asks those who only check.
    pub(crate) fn check_dynamic(&mut self, attributes: &Attributes) -> Result<(), Error> {
        self.check_policies(attributes)?;
        self.check_webhooks(attributes)
    }

    /// Asks those who may change what is sent, and then again those who want to see what others have changed.
    pub(crate) fn mutate_dynamic(
        &mut self,
        kind: Kind,
        value: &mut Value,
        old: Option<&Value>,
        options: &WriteOptions,
    ) -> Result<(), Error> {
        let Some(mut attributes) = self.attributes(kind, value, old, options) else { return Ok(()) };
        let mut round = Round::default();
        if !self.mutate(&mut attributes, &mut round)? {
            return Ok(());
        }
        let whole = attributes.subresource.is_empty();
        if whole {
            // The plugins look again, too.
            self.complete(kind, &mut attributes.object)?;
            let before = attributes.object.clone();
            self.admit(if old.is_some() { Verb::Update } else { Verb::Create }, kind, &mut attributes.object)?;
            if attributes.object != before {
                round.changed();
            }
        }
        round.second = true;
        self.mutate(&mut attributes, &mut round)?;
        if whole {
            self.complete(kind, &mut attributes.object)?;
        }
        // Of a part that is told as another kind only the whole object is kept.
        if attributes.kind[2] == kind.name() {
            *value = attributes.object;
        }
        Ok(())
    }

    /// Gives an object that somebody has changed the form of its type, and its defaults.
    fn complete(&self, kind: Kind, object: &mut Value) -> Result<(), Error> {
        let resource = kind.resource();
        crate::write::give_shape(resource, object)?;
        crate::rules::defaults::default(&resource.kind, object);
        *object = crate::canonical(kind, object.take());
        Ok(())
    }

    /// Who sent what is answered now. Components in the same process are known by their names, as their certificates or
    /// tokens have them upstream.
    fn who(&self) -> User {
        const ALL: &str = "system:authenticated";
        if let Some(user) = &self.caller {
            return user.clone();
        }
        match &*self.actor {
            "" | "user" | "test" => User::admin(),
            actor if actor.contains("scheduler") => User::new("system:kube-scheduler", &[ALL]),
            "kubelet" => User::new("system:node", &["system:nodes", ALL]),
            actor => User::account("kube-system", actor),
        }
    }
}
