//! The namespace controller: empties a namespace that is being deleted, and then lets it go.
//!
//! Pods go first, and everything else only when no pod is left (KEP-5080, on in 1.33). What holds an object holds its
//! namespace. Sources: `pkg/controller/namespace/namespace_controller.go`,
//! `pkg/controller/namespace/deletion/namespaced_resources_deleter.go`.

use kit_api::core::{Namespace, NamespaceCondition};
use kit_api::time;
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_apimachinery::resource::Resource;
use kit_client::component::{Component, World};
use kit_client::work_queue::{Tally, WorkQueue};
use kit_server::{Change, DeleteOptions, Propagation};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

/// How long after each event a namespace is looked at: other API servers have to hear of its end first
/// (`namespaceDeletionGracePeriod`).
const GRACE: Instant = Instant::seconds(5);
/// When a namespace that still holds something is looked at again. Upstream guesses how long what is left takes, and waits for
/// half of that.
const LOOK_AGAIN: Instant = Instant::seconds(5);

/// Deletes what is in a namespace that is being deleted.
#[derive(Default)]
pub struct Namespaces {
    queue: WorkQueue<String>,
}

impl Component for Namespaces {
    fn name(&self) -> &'static str {
        "namespace-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Namespace]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let meta = change.object.object.meta();
        if meta.deletion_timestamp.is_some() {
            self.queue.add(change.object.object.name().into(), world.now + GRACE);
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(name) = self.queue.pop(world.now) {
            let key = Key::new(Kind::Namespace, "", &name);
            if world.server.get(&key).is_err() {
                continue;
            }
            let left = empty(&name, world);
            tell(&name, &left, world);
            if left.objects.is_empty() {
                _ = world.server.finalize_namespace(&key, &serde_json::Value::Null);
            }
            self.queue.add(name, world.now + LOOK_AGAIN);
        }
    }

    fn queues(&self, now: Instant) -> Vec<(&'static str, Tally)> {
        vec![("namespace", self.queue.tally(now))]
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}

/// What is left in a namespace.
#[derive(Default)]
struct Left {
    /// How many objects, by resource and group.
    objects: BTreeMap<String, usize>,
    /// How many objects each finalizer holds.
    finalizers: BTreeMap<String, usize>,
}

/// Deletes what is in a namespace, pods first; what is left then.
fn empty(namespace: &str, world: &mut World<'_>) -> Left {
    let mut left = Left::default();
    let options = DeleteOptions { propagation: Propagation::Background, ..DeleteOptions::default() };
    let pods_first = [Kind::Pod];
    let all = Resource::all().iter().filter(|r| r.namespaced && r.verbs.iter().any(|verb| verb == "list"));
    let custom = world.server.custom_kinds().filter(|kind| kind.namespaced());
    let others: Vec<Kind> = all.map(Resource::as_kind).chain(custom).collect();
    for kinds in [&pods_first[..], &others[..]] {
        for kind in kinds {
            let there: Vec<_> = world.server.snapshot().list_in(*kind, namespace).cloned().collect();
            for stored in there.iter().filter(|stored| stored.object.meta().deletion_timestamp.is_none()) {
                _ = world.server.delete(&stored.key, &options);
            }
            for stored in world.server.snapshot().list_in(*kind, namespace) {
                let Resource { plural, group, .. } = kind.resource();
                *left.objects.entry(format!("{plural}.{group}")).or_default() += 1;
                for finalizer in stored.object.meta().finalizers.iter().flatten() {
                    *left.finalizers.entry(finalizer.clone()).or_default() += 1;
                }
            }
        }
        if !left.objects.is_empty() {
            break;
        }
    }
    left
}

/// Writes down how far it is (`conditionUpdater` of `status_condition_utils.go`).
fn tell(name: &str, left: &Left, world: &mut World<'_>) {
    let Ok(mut namespace) = world.server.fetch::<Namespace>("", name) else { return };
    let counted = |counts: &BTreeMap<String, usize>, between: &str| {
        let counts = counts.iter().map(|(what, count)| format!("{what} {between} {count} resource instances"));
        counts.collect::<Vec<_>>().join(", ")
    };
    let content = match left.objects.is_empty() {
        true => ("False", "ContentRemoved", "All content successfully removed".to_string()),
        false => {
            let remaining = counted(&left.objects, "has");
            ("True", "SomeResourcesRemain", format!("Some resources are remaining: {remaining}"))
        }
    };
    let finalizers = match left.finalizers.is_empty() {
        true => ("False", "ContentHasNoFinalizers", "All content-preserving finalizers finished".to_string()),
        false => {
            let remaining = counted(&left.finalizers, "in");
            let why = format!("Some content in the namespace has finalizers remaining: {remaining}");
            ("True", "SomeFinalizersRemain", why)
        }
    };
    let good = |reason, message: &str| ("False", reason, message.to_string());
    let deleted = good("ContentDeleted", "All content successfully deleted, may be waiting on finalization");
    let conditions = [
        ("NamespaceDeletionDiscoveryFailure", good("ResourcesDiscovered", "All resources successfully discovered")),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            good("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        ("NamespaceDeletionContentFailure", deleted),
        ("NamespaceContentRemaining", content),
        ("NamespaceFinalizersRemaining", finalizers),
    ];
    let now = time::seconds(world.time());
    let status = namespace.status.get_or_insert_default();
    let there = status.conditions.clone().unwrap_or_default();
    let list = conditions.into_iter().map(|(type_, (state, reason, message))| {
        let before = there.iter().find(|condition| condition.type_ == type_ && condition.status == state);
        NamespaceCondition {
            type_: type_.into(),
            status: state.into(),
            reason: Some(reason.into()),
            message: Some(message),
            last_transition_time: before.map_or(Some(now.clone()), |before| before.last_transition_time.clone()),
        }
    });
    status.conditions = Some(list.collect());
    _ = world.server.update_status(namespace.into_object());
}
