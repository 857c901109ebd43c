//! The cluster as it would be: nodes that don't exist yet, and pods in other places, to ask the scheduler's filters about.
//!
//! Source: `simulator/clustersnapshot`: what was supposed since a mark can be taken back (`Fork`, `Revert`).

use kit_api::Name;
use kit_api::core::{Node as ApiNode, Pod as ApiPod};
use kit_api::pod;
use kit_apimachinery::object::Object;
use kit_contract::Modules;
use kit_scheduler::class::{Classes, Pod};
use kit_scheduler::cycle::State;
use kit_scheduler::framework::{Filter, Framework, Profile, Refusal};
use kit_scheduler::nodes::Node;
use kit_server::{Change, ChangeKind};
use std::rc::Rc;

/// The cluster, kept up to date by its changes, and what is supposed of it.
pub struct Snapshot {
    state: State,
    classes: Classes,
    framework: Framework,
    undo: Vec<Undo>,
    made: usize,
}

enum Undo {
    Added(Name),
    Placed(Rc<str>),
    Taken(Name, Rc<Pod>),
}

/// Where suppositions began.
#[derive(Debug, Clone, Copy)]
pub struct Mark(usize);

impl Snapshot {
    /// An empty cluster, with the scheduler's modules.
    pub fn new(modules: &Modules) -> Self {
        Snapshot {
            state: State::default(),
            classes: Classes::default(),
            framework: Framework::new(modules, Profile::default()),
            undo: Vec::new(),
            made: 0,
        }
    }

    /// Takes over a change of the cluster.
    pub fn see(&mut self, change: &Change) {
        let gone = change.kind == ChangeKind::Deleted;
        match &change.object.object {
            Object::Pod(api) => {
                let pod = self.classes.pod(api);
                match pod.node_name.filter(|_| !gone && !pod::is_finished(api)) {
                    Some(node) => self.state.nodes.set_pod(node, pod),
                    None => _ = self.state.nodes.remove_pod(&pod.key),
                }
            }
            Object::Node(node) if gone => {
                self.state.nodes.remove_node(node.metadata.name.as_deref().unwrap_or_default());
            }
            Object::Node(node) => _ = self.state.nodes.set_node(node),
            object => self.state.objects.set(object, gone),
        }
    }

    /// A pod as the scheduler sees it, wherever it is.
    pub fn pod(&mut self, api: &ApiPod) -> Rc<Pod> {
        Rc::new(Pod { node_name: None, nominated: None, ..self.classes.pod(api) })
    }

    /// A node by its name.
    pub fn node(&self, name: Name) -> Option<&Node> {
        self.state.nodes.place(name).map(|place| &self.state.nodes.list()[place])
    }

    /// Supposes a node like this one, with the pods that every node like it has.
    pub fn add(&mut self, template: &ApiNode, daemons: &[ApiPod]) -> Name {
        self.made += 1;
        let mut node = template.clone();
        // No object can have this name.
        let name = format!("template node {}", self.made);
        node.metadata.labels.get_or_insert_default().insert("kubernetes.io/hostname".into(), name.clone());
        node.metadata.name = Some(name.clone());
        self.state.nodes.set_node(&node);
        let name = Name::from(&name);
        self.undo.push(Undo::Added(name));
        for (number, daemon) in daemons.iter().enumerate() {
            let mut daemon = daemon.clone();
            daemon.metadata.name = Some(format!("daemon {number} of {name}"));
            let pod = self.pod(&daemon);
            if self.refusal(&pod, name).is_none() {
                self.place(&pod, name);
            }
        }
        name
    }

    /// Why a node can't take a pod.
    pub fn refusal(&mut self, pod: &Rc<Pod>, node: Name) -> Option<Refusal> {
        self.state.nodes.arrange();
        let hopeless = |reason: String| Refusal {
            plugin: Filter::VolumeBinding.name(),
            reasons: vec![reason],
            unresolvable: true,
        };
        let volumes = &self.state.objects.volumes;
        if let Err(why) = volumes.pre_filter(&pod.class.namespace, &pod.class.claims) {
            return Some(hopeless(why));
        }
        let Some(place) = self.state.nodes.place(node) else { return Some(hopeless(format!("{node} is gone"))) };
        let mut cycle = self.framework.cycle(pod, &self.state.nodes);
        self.framework.filter(&mut cycle, place, &self.state.nodes, &self.state.objects)
    }

    /// The first of these nodes that can take a pod.
    pub fn first_fit(&mut self, pod: &Rc<Pod>, nodes: &[Name]) -> Option<Name> {
        nodes.iter().copied().find(|node| self.refusal(pod, *node).is_none())
    }

    /// Supposes a pod on a node.
    pub fn place(&mut self, pod: &Rc<Pod>, node: Name) {
        self.state.nodes.set_pod(node, Pod { node_name: Some(node), ..(**pod).clone() });
        self.undo.push(Undo::Placed(pod.key.clone()));
    }

    /// Supposes a pod away from its node.
    pub fn take(&mut self, key: &str) {
        let Some((_, pod)) = self.state.nodes.pod(key).cloned() else { return };
        if let Some(node) = self.state.nodes.remove_pod(key) {
            self.undo.push(Undo::Taken(node, pod));
        }
    }

    /// Where suppositions begin that may be taken back.
    pub fn mark(&self) -> Mark {
        Mark(self.undo.len())
    }

    /// Takes back what was supposed since.
    pub fn revert(&mut self, to: Mark) {
        for undo in self.undo.split_off(to.0.min(self.undo.len())).into_iter().rev() {
            match undo {
                Undo::Added(name) => self.state.nodes.remove_node(name.as_str()),
                Undo::Placed(key) => _ = self.state.nodes.remove_pod(&key),
                Undo::Taken(node, pod) => self.state.nodes.set_pod(node, (*pod).clone()),
            }
        }
    }
}
