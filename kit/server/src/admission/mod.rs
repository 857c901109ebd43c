//! Admission: what is completed, and what is refused, by what else there is in the cluster.
//!
//! Plugins in upstream's order (`pkg/kubeapiserver/options/plugins.go`), those that change first: NamespaceLifecycle,
//! LimitRanger, ServiceAccount, TaintNodesByCondition, Priority, DefaultTolerationSeconds, DefaultStorageClass,
//! RuntimeClass, DefaultIngressClass; then those that only check: LimitRanger, PodSecurity, Priority,
//! PersistentVolumeClaimResize, RuntimeClass, what users have said in policies ([`dynamic`]) and, last, ResourceQuota. LimitRanger (for pods), Priority, DefaultTolerationSeconds and
//! ResourceQuota are the module of `control_plane/admission`; what it looks at is made here ([`view`]).

pub(super) mod dynamic;
mod limits;
mod pod_security;
mod quota;
mod runtime_class;
mod service_account;
mod view;

pub(super) use dynamic::Compiled;
pub use dynamic::review::{Call, Caller, Known, Reply, Target as CallTarget};
pub(super) use dynamic::webhooks::Hooks;
pub use quota::COUNTED;

use super::rules::map_in;
use super::write::WriteOptions;
use super::{Error, Server};
use kit_api::core::Namespace;
use kit_api::scheduling::PriorityClass;
use kit_api::storage::StorageClass;
use kit_api::volume;
use kit_apimachinery::object::{Key, Kind};
use kit_contract::control_plane::admission::{self, AdmitRequest, Operation};
use serde_json::{Value, json};

/// A webhook of a MutatingWebhookConfiguration for new pods, in this process: an add-on of the cluster. It comes after the
/// plugins that change something (`MutatingAdmissionWebhook`), and never refuses (`failurePolicy: Ignore`).
pub trait Webhook {
    /// Completes a new pod.
    fn complete(&self, server: &Server, pod: &mut Value);
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// A new object.
    Create,
    /// Another version of an object.
    Update,
}

/// Namespaces that can't be deleted (`NamespaceLifecycle`).
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

fn key_of(kind: Kind, value: &Value) -> Key {
    let text = |field: &str| value["metadata"][field].as_str().unwrap_or_default();
    let name = if text("name").is_empty() { text("generateName") } else { text("name") };
    Key::new(kind, text("namespace"), name)
}

impl Server {
    /// Completes an object, or refuses it.
    pub(super) fn admit(&mut self, verb: Verb, kind: Kind, value: &mut Value) -> Result<(), Error> {
        let key = key_of(kind, value);
        if verb == Verb::Create {
            self.namespace_lives(&key)?;
        }
        match (kind, verb) {
            (Kind::Pod, Verb::Create) => {
                self.give_account(&key, value)?;
                self.admit_pod(verb, &key, value)?;
                self.apply_runtime_class(&key, value)?;
                self.webhooks.iter().for_each(|webhook| webhook.complete(self, value));
            }
            (Kind::Pod, Verb::Update) => self.admit_pod(verb, &key, value)?,
            (Kind::Node, Verb::Create) => taint_until_ready(value),
            (Kind::PersistentVolumeClaim, Verb::Create) => self.default_storage_class(value),
            (Kind::Other(resource), Verb::Create) if resource.kind == "Ingress" && !resource.custom => {
                self.default_ingress_class(value);
            }
            _ => {}
        }
        Ok(())
    }

    /// Refuses what would break a limit. Of subresources only `resize` is looked at (`SupportsAttributes`, `Handles`).
    pub(super) fn check(
        &mut self,
        kind: Kind,
        value: &Value,
        old: Option<&Value>,
        options: &WriteOptions,
    ) -> Result<(), Error> {
        let key = key_of(kind, value);
        self.pod_security(&key, value, old, options)?;
        match kind {
            Kind::PriorityClass if options.subresource.is_none() => self.only_default_class(&key, value, old)?,
            Kind::Pod if old.is_none() => self.check_overhead(&key, value)?,
            _ => {}
        }
        let dying = old.is_some_and(|old| old["metadata"]["deletionTimestamp"].is_string());
        if kind == Kind::PersistentVolumeClaim && options.subresource.is_none() {
            if let Some(old) = old {
                self.may_grow(&key, value, old)?;
            }
            if !dying {
                self.check_claim(&key, value)?;
            }
        }
        if let Some(attributes) = self.attributes(kind, value, old, options) {
            self.check_dynamic(&attributes)?;
        }
        let counted = match options.subresource {
            None if old.is_none() => true,
            None => matches!(kind, Kind::Service | Kind::PersistentVolumeClaim),
            Some(subresource) => kind == Kind::Pod && subresource == "resize",
        };
        let namespaced = !key.namespace.is_empty();
        // Nobody has ever counted events (`DefaultIgnoredResources`).
        if !counted || !namespaced || kind.name() == "Event" {
            return Ok(());
        }
        self.check_limits_and_quotas(&key, value, old, dying, options.dry_run)
    }

    /// Refuses a second class that is everybody's (`plugin/pkg/admission/priority/admission.go`).
    fn only_default_class(&self, key: &Key, value: &Value, old: Option<&Value>) -> Result<(), Error> {
        if value["globalDefault"] != true {
            return Ok(());
        }
        let classes = self.state.list(Kind::PriorityClass).filter_map(|stored| stored.get::<PriorityClass>());
        let defaults = classes.filter(|class| class.global_default == Some(true));
        let there = defaults.min_by_key(|class| class.value).and_then(|class| class.metadata.name.as_deref());
        match there {
            Some(name) if old.is_none() || name != &*key.name => {
                let why = format!("PriorityClass {name} is already marked as default. Only one default can exist");
                Err(Error::forbidden(key, &why))
            }
            _ => Ok(()),
        }
    }

    /// Refuses to let a claim grow unless its class allows it (`plugin/pkg/admission/storage/persistentvolume/resize/admission.go`).
    fn may_grow(&self, key: &Key, value: &Value, old: &Value) -> Result<(), Error> {
        let size = |claim: &Value| {
            let text = claim.pointer("/spec/resources/requests/storage").and_then(Value::as_str).unwrap_or_default();
            text.parse::<kit_api::Quantity>().unwrap_or_default()
        };
        if size(value) <= size(old) {
            return Ok(());
        }
        if old.pointer("/status/phase").and_then(Value::as_str) != Some("Bound") {
            return Err(Error::forbidden(key, "Only bound persistent volume claims can be expanded"));
        }
        let class = |claim: &Value| {
            let beta = claim["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].as_str();
            beta.or(claim["spec"]["storageClassName"].as_str()).unwrap_or_default().to_string()
        };
        let of = self.state.get(&Key::new(Kind::StorageClass, "", &class(value)));
        let allows = of.and_then(|stored| stored.get::<StorageClass>()).and_then(|class| class.allow_volume_expansion);
        if class(value) != class(old) || allows != Some(true) {
            let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                       support resize";
            return Err(Error::forbidden(key, why));
        }
        Ok(())
    }

    /// Refuses to delete what the system can't do without.
    pub(super) fn may_delete(&self, key: &Key) -> Result<(), Error> {
        if key.kind == Kind::Namespace && IMMORTAL.contains(&&*key.name) {
            return Err(Error::forbidden(key, "this namespace may not be deleted"));
        }
        if key.kind == Kind::PriorityClass && key.name.starts_with("system-") {
            return Err(Error::forbidden(key, "this is a system priority class and cannot be deleted"));
        }
        Ok(())
    }

    /// Refuses to put something into a namespace that isn't there, or is being deleted.
    pub(super) fn namespace_lives(&self, key: &Key) -> Result<(), Error> {
        if !key.kind.namespaced() {
            return Ok(());
        }
        let namespace = Key::new(Kind::Namespace, "", &key.namespace);
        let stored = self.get(&namespace)?;
        let ends = stored.get::<Namespace>().is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_some());
        if ends {
            let name = &key.namespace;
            let why = format!("unable to create new content in namespace {name} because it is being terminated");
            let mut error = Error::forbidden(key, &why);
            if let Some(details) = &mut error.details {
                details.causes.push(super::field::Cause {
                    reason: "NamespaceTerminating",
                    message: format!("namespace {name} is being terminated"),
                    field: "metadata.namespace".into(),
                });
            }
            return Err(error);
        }
        Ok(())
    }

    /// The plugins of the module that change pods.
    fn admit_pod(&self, verb: Verb, key: &Key, pod: &mut Value) -> Result<(), Error> {
        let classes = self.state.list(Kind::PriorityClass).filter_map(|stored| stored.get::<PriorityClass>());
        let classes = classes.map(|class| admission::PriorityClass {
            name: class.metadata.name.clone().unwrap_or_default(),
            value: class.value,
            global_default: class.global_default == Some(true),
            preemption_policy: class.preemption_policy.clone(),
        });
        let request = AdmitRequest {
            operation: if verb == Verb::Create { Operation::Create } else { Operation::Update },
            pod: view::pod(pod),
            limits: self.limits_of(&key.namespace),
            priority_classes: classes.collect(),
        };
        let admitted = self.admission.admit(&request).map_err(|why| Error::forbidden(key, &why))?;
        view::change(pod, &request.pod, &admitted);
        Ok(())
    }

    /// `plugin/pkg/admission/network/defaultingressclass/admission.go`: the newest class that says so.
    fn default_ingress_class(&self, ingress: &mut Value) {
        const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
        let said = ingress["metadata"]["annotations"].get("kubernetes.io/ingress.class").is_some();
        if said || !ingress["spec"]["ingressClassName"].is_null() {
            return;
        }
        let Some(kind) = self.kind_of("networking.k8s.io/v1", "IngressClass") else { return };
        let classes = self.state.list(kind).map(|stored| stored.object.meta()).filter(|meta| {
            meta.annotations.as_ref().is_some_and(|all| all.get(DEFAULT).is_some_and(|text| text == "true"))
        });
        let born = |meta: &kit_api::meta::ObjectMeta| meta.creation_timestamp.as_ref().map(|time| time.0);
        let newest = classes.max_by(|one, other| born(one).cmp(&born(other)).then(other.name.cmp(&one.name)));
        if let Some(name) = newest.and_then(|meta| meta.name.as_deref()) {
            map_in(ingress, "spec").insert("ingressClassName".into(), name.into());
        }
    }

    /// `plugin/pkg/admission/storage/storageclass/setdefault/admission.go`: the newest class that says so.
    fn default_storage_class(&self, claim: &mut Value) {
        let spec = map_in(claim, "spec");
        if spec.get("storageClassName").is_some_and(|class| !class.is_null()) {
            return;
        }
        let classes = self.state.list(Kind::StorageClass).filter_map(|stored| stored.get::<StorageClass>());
        let newest = volume::default_class(classes);
        if let Some(name) = newest.and_then(|class| class.metadata.name.clone()) {
            spec.insert("storageClassName".into(), name.into());
        }
    }
}

/// `plugin/pkg/admission/nodetaint/admission.go`: the node controller takes the taint away when the node is ready.
fn taint_until_ready(node: &mut Value) {
    let spec = map_in(node, "spec");
    let taints = spec.entry("taints").or_insert_with(|| json!([]));
    if !taints.is_array() {
        *taints = json!([]);
    }
    let taint = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
    if let Some(taints) = taints.as_array_mut()
        && !taints.iter().any(|there| there["key"] == taint["key"] && there["effect"] == taint["effect"])
    {
        taints.push(taint);
    }
}
