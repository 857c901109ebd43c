//! The plugins in their order: which nodes a pod can go to, and which of these is best.
//!
//! Source: `pkg/scheduler/framework/runtime/framework.go` and the default profile of
//! `pkg/scheduler/apis/config/v1/default_plugins.go`.

use super::class::{Class, Pod, Spread};
use super::nodes::{Node, Nodes};
use super::objects::Objects;
use super::tables::{AffinityTable, SpreadTables, affinity_pod};
use super::volume_limits;
use kit_api::core::Taint;
use kit_api::selector::Selector;
use kit_api::{Name, toleration};
use kit_contract::scheduler::{
    AffinityVerdict, ContainerImage, InclusionPolicy, InterPodAffinity, NodeAffinity, NodeNames, ResourcesFit, Score,
    SpreadConstraint, SpreadVerdict, Strategy, Taints, TopologySpread, Verdict,
};
use kit_contract::{Modules, Show};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a profile of the scheduler's configuration can change.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// How NodeResourcesFit scores.
    pub strategy: Strategy,
    /// Leaves out the rules of spreading that a cluster has by default (`defaultingType: List`, with no constraints).
    pub no_default_spreading: bool,
    /// How many nodes must be found before the search ends, in percent; 0 for the adaptive default.
    pub percentage_of_nodes_to_score: i64,
}

/// A plugin that filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // They are named as upstream names them.
pub enum Filter {
    NodeUnschedulable,
    NodeName,
    TaintToleration,
    NodeAffinity,
    NodePorts,
    NodeResourcesFit,
    VolumeRestrictions,
    NodeVolumeLimits,
    VolumeBinding,
    VolumeZone,
    PodTopologySpread,
    InterPodAffinity,
}

impl Filter {
    /// All of them, in their order.
    pub const ALL: [Filter; 12] = [
        Filter::NodeUnschedulable,
        Filter::NodeName,
        Filter::TaintToleration,
        Filter::NodeAffinity,
        Filter::NodePorts,
        Filter::NodeResourcesFit,
        Filter::VolumeRestrictions,
        Filter::NodeVolumeLimits,
        Filter::VolumeBinding,
        Filter::VolumeZone,
        Filter::PodTopologySpread,
        Filter::InterPodAffinity,
    ];

    /// The plugin's name.
    pub fn name(self) -> &'static str {
        match self {
            Filter::NodeUnschedulable => "NodeUnschedulable",
            Filter::NodeName => "NodeName",
            Filter::TaintToleration => "TaintToleration",
            Filter::NodeAffinity => "NodeAffinity",
            Filter::NodePorts => "NodePorts",
            Filter::NodeResourcesFit => "NodeResourcesFit",
            Filter::VolumeRestrictions => "VolumeRestrictions",
            Filter::NodeVolumeLimits => "NodeVolumeLimits",
            Filter::VolumeBinding => "VolumeBinding",
            Filter::VolumeZone => "VolumeZone",
            Filter::PodTopologySpread => "PodTopologySpread",
            Filter::InterPodAffinity => "InterPodAffinity",
        }
    }

    /// Whether it has anything to do for a pod; upstream's PreFilter returns Skip where not.
    fn applies(self, pod: &Pod, nodes: &Nodes) -> bool {
        let class = &pod.class;
        match self {
            Filter::NodeUnschedulable | Filter::TaintToleration | Filter::NodeResourcesFit => true,
            Filter::NodeName => pod.node_name.is_some(),
            Filter::NodeAffinity => {
                class.node_affinity.required.is_some() || !class.node_affinity.node_selector.is_empty()
            }
            Filter::NodePorts => !class.ports.is_empty(),
            Filter::VolumeRestrictions | Filter::NodeVolumeLimits | Filter::VolumeBinding | Filter::VolumeZone => {
                !class.claims.is_empty()
            }
            Filter::PodTopologySpread => class.spread.iter().any(|spread| spread.hard),
            Filter::InterPodAffinity => {
                let required = !class.terms.affinity.is_empty() || !class.terms.anti_affinity.is_empty();
                required || nodes.classes().any(|class| !class.terms.anti_affinity.is_empty())
            }
        }
    }
}

/// Plugins that score, and their weights.
pub const SCORES: [(&str, i64); 7] = [
    ("TaintToleration", 3),
    ("NodeAffinity", 2),
    ("NodeResourcesFit", 1),
    ("PodTopologySpread", 2),
    ("InterPodAffinity", 2),
    ("NodeResourcesBalancedAllocation", 1),
    ("ImageLocality", 1),
];

/// The weight of a plugin's scores.
pub fn weight_of(plugin: &str) -> i64 {
    SCORES.iter().find(|(known, _)| *known == plugin).map_or(1, |(_, weight)| *weight)
}

/// Why a node can't take a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The plugin that refuses.
    pub plugin: &'static str,
    /// Its reasons, in the words of the event FailedScheduling.
    pub reasons: Vec<String>,
    /// Whether no pod that goes away could help (`UnschedulableAndUnresolvable`).
    pub unresolvable: bool,
}

/// The scores of one plugin for the nodes that can take the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginScores {
    /// The plugin.
    pub plugin: &'static str,
    /// Before normalization, if the plugin normalizes.
    pub raw: Option<Vec<i64>>,
    /// Normalized and weighted.
    pub weighted: Vec<i64>,
}

/// The answers about one pod that hold for all nodes, while they don't change.
pub struct Cycle {
    pod: Rc<Pod>,
    filters: Vec<Filter>,
    spread: Option<Vec<(Name, SpreadVerdict)>>,
    affinity: Option<Vec<(Name, AffinityVerdict)>>,
}

impl Cycle {
    /// Leaves InterPodAffinity out if it was left out for the nodes as they are.
    pub fn with_affinity(mut self, asked: bool) -> Self {
        self.filters.retain(|filter| asked || *filter != Filter::InterPodAffinity);
        self
    }
}

/// The modules in their places.
pub struct Framework {
    /// What can be configured.
    pub profile: Profile,
    taints: Box<dyn Taints>,
    node_affinity: Box<dyn NodeAffinity>,
    resources_fit: Box<dyn ResourcesFit>,
    topology_spread: Box<dyn TopologySpread>,
    pod_affinity: Box<dyn InterPodAffinity>,
    score: Box<dyn Score>,
    spread_tables: SpreadTables,
    affinity_table: AffinityTable,
    default_selectors: BTreeMap<usize, Option<Selector>>,
    default_selectors_version: u64,
}

impl Framework {
    /// The modules of the slots.
    pub fn new(modules: &Modules, profile: Profile) -> Self {
        Framework {
            profile,
            taints: modules.taints.make(&()),
            node_affinity: modules.node_affinity.make(&()),
            resources_fit: modules.resources_fit.make(&()),
            topology_spread: modules.topology_spread.make(&()),
            pod_affinity: modules.pod_affinity.make(&()),
            score: modules.score.make(&()),
            spread_tables: SpreadTables::default(),
            affinity_table: AffinityTable::default(),
            default_selectors: BTreeMap::new(),
            default_selectors_version: 0,
        }
    }

    /// The only nodes worth looking at, if the pod names them (PreFilter of NodeAffinity).
    pub fn node_names(&self, pod: &Pod) -> Option<Vec<String>> {
        pod.class.node_affinity.required.as_ref()?;
        match self.node_affinity.node_names(&pod.class.node_affinity) {
            NodeNames::Any => None,
            NodeNames::Only(names) => Some(names),
        }
    }

    /// Begins with a pod: which filters have something to do.
    pub fn cycle(&self, pod: &Rc<Pod>, nodes: &Nodes) -> Cycle {
        let filters = Filter::ALL.into_iter().filter(|filter| filter.applies(pod, nodes)).collect();
        Cycle { pod: pod.clone(), filters, spread: None, affinity: None }
    }

    /// The first plugin that refuses a node (`RunFilterPlugins`).
    pub fn filter(&mut self, cycle: &mut Cycle, place: usize, nodes: &Nodes, objects: &Objects) -> Option<Refusal> {
        (0..cycle.filters.len()).find_map(|i| self.ask_filter(cycle.filters[i], cycle, place, nodes, objects))
    }

    /// What one plugin says of a node.
    pub fn ask_filter(
        &mut self,
        filter: Filter,
        cycle: &mut Cycle,
        place: usize,
        nodes: &Nodes,
        objects: &Objects,
    ) -> Option<Refusal> {
        let (pod, node) = (&cycle.pod, &nodes.list()[place]);
        let class = &pod.class;
        let (unresolvable, reason) = match filter {
            Filter::NodeUnschedulable => {
                let tolerated = || class.tolerations.iter().any(|t| toleration::tolerates(t, &cordoned()));
                (node.unschedulable && !tolerated()).then(|| (true, "node(s) were unschedulable".into()))
            }
            Filter::NodeName => {
                let other = pod.node_name.is_some_and(|name| name != node.name);
                other.then(|| (true, "node(s) didn't match the requested node name".into()))
            }
            Filter::TaintToleration if node.taints.is_empty() => None,
            Filter::TaintToleration => match self.taints.filter(&class.tolerations, &node.taints) {
                Verdict::Fits => None,
                Verdict::Refused(Taint { key, value, .. }) => {
                    Some((true, format!("node(s) had untolerated taint {{{key}: {}}}", value.unwrap_or_default())))
                }
            },
            Filter::NodeAffinity => {
                let matches = self.node_affinity.filter(&class.node_affinity, &node.labels);
                (!matches).then(|| (true, "node(s) didn't match Pod's node affinity/selector".into()))
            }
            Filter::NodePorts => {
                let taken = node.has_port_of(&class.ports);
                taken.then(|| (false, "node(s) didn't have free ports for the requested pod ports".into()))
            }
            Filter::NodeResourcesFit => {
                let lacks = self.resources_fit.filter(&class.request, &node.resources);
                if lacks.is_empty() {
                    return None;
                }
                let reasons = lacks.iter().flat_map(Show::lines).collect();
                return Some(Refusal { plugin: filter.name(), reasons, unresolvable: false });
            }
            Filter::VolumeRestrictions => {
                objects.volumes.is_taken(class, nodes).then(|| (false, volume_limits::ALONE.into()))
            }
            Filter::NodeVolumeLimits => {
                objects.volumes.are_too_many(class, node).then(|| (false, volume_limits::LIMIT.into()))
            }
            Filter::VolumeZone => {
                objects.volumes.is_elsewhere(class, &node.labels).then(|| (true, volume_limits::ZONE.into()))
            }
            Filter::VolumeBinding => {
                let reasons = objects.volumes.plan(&class.namespace, &class.claims, &node.labels).err()?;
                return Some(Refusal { plugin: filter.name(), reasons, unresolvable: true });
            }
            Filter::PodTopologySpread => match self.spread_verdict(cycle, place, nodes) {
                SpreadVerdict::Fits => None,
                SpreadVerdict::Skewed => {
                    Some((false, "node(s) didn't match pod topology spread constraints".to_string()))
                }
                SpreadVerdict::NoLabel => {
                    let missing = "(missing required label)";
                    Some((true, format!("node(s) didn't match pod topology spread constraints {missing}")))
                }
            },
            Filter::InterPodAffinity => match self.affinity_verdict(cycle, place, nodes, objects) {
                AffinityVerdict::Fits => None,
                AffinityVerdict::Affinity => Some((true, "node(s) didn't match pod affinity rules".to_string())),
                AffinityVerdict::AntiAffinity => {
                    Some((false, "node(s) didn't match pod anti-affinity rules".to_string()))
                }
                AffinityVerdict::ExistingAntiAffinity => {
                    Some((false, "node(s) didn't satisfy existing pods anti-affinity rules".to_string()))
                }
            },
        }?;
        Some(Refusal { plugin: filter.name(), reasons: vec![reason], unresolvable })
    }

    fn spread_verdict(&mut self, cycle: &mut Cycle, place: usize, nodes: &Nodes) -> SpreadVerdict {
        if cycle.spread.is_none() {
            let class = &cycle.pod.class;
            let hard: Vec<Spread> = class.spread.iter().filter(|spread| spread.hard).cloned().collect();
            let table = self.spread_tables.get(class, &hard, true, 0, nodes, &*self.node_affinity);
            cycle.spread = Some(self.topology_spread.filter(&table.constraints, &table.nodes));
        }
        let name = nodes.list()[place].name;
        answer(cycle.spread.as_deref(), place, name).unwrap_or(SpreadVerdict::Skewed)
    }

    fn affinity_verdict(
        &mut self,
        cycle: &mut Cycle,
        place: usize,
        nodes: &Nodes,
        objects: &Objects,
    ) -> AffinityVerdict {
        if cycle.affinity.is_none() {
            self.affinity_table.update(&cycle.pod.class, nodes, objects);
            let (pod, table) = (affinity_pod(&cycle.pod.class, objects, None), &self.affinity_table);
            cycle.affinity = Some(self.pod_affinity.filter(&pod, &table.groups, &table.nodes));
        }
        let name = nodes.list()[place].name;
        answer(cycle.affinity.as_deref(), place, name).unwrap_or(AffinityVerdict::Affinity)
    }

    /// The scores of all plugins that have something to say (`RunScorePlugins`), for nodes in ascending order.
    pub fn scores(&mut self, pod: &Pod, places: &[usize], nodes: &Nodes, objects: &Objects) -> Vec<PluginScores> {
        let mut all = Vec::with_capacity(SCORES.len());
        for (plugin, weight) in SCORES {
            let asked = self.ask_score(plugin, pod, places, nodes, objects);
            if let Some((raw, mut weighted)) = asked {
                // A module may answer anything.
                weighted.iter_mut().for_each(|score| *score = score.saturating_mul(weight));
                all.push(PluginScores { plugin, raw, weighted });
            }
        }
        all
    }

    /// Raw scores, if the plugin normalizes, and scores from 0 to 100; none if it skips.
    fn ask_score(
        &mut self,
        plugin: &str,
        pod: &Pod,
        places: &[usize],
        nodes: &Nodes,
        objects: &Objects,
    ) -> Option<(Option<Vec<i64>>, Vec<i64>)> {
        let class = &pod.class;
        let list = nodes.list();
        let each = |score: &dyn Fn(&Node) -> i64| places.iter().map(|place| score(&list[*place])).collect::<Vec<i64>>();
        match plugin {
            "TaintToleration" => {
                let raw = each(&|node| intolerable(class, node));
                let scores = self.score.normalize(&raw, true);
                Some((Some(raw), scores))
            }
            "NodeAffinity" if !class.node_affinity.preferred.is_empty() => {
                let raw = each(&|node| self.node_affinity.score(&class.node_affinity, &node.labels));
                let scores = self.score.normalize(&raw, false);
                Some((Some(raw), scores))
            }
            "NodeResourcesFit" => {
                let strategy = &self.profile.strategy;
                Some((None, each(&|node| self.score.allocation(strategy, &class.request, &node.resources))))
            }
            "NodeResourcesBalancedAllocation" => {
                let asked = &class.request.requests;
                let asks = asked.milli_cpu != 0 || asked.memory != 0;
                asks.then(|| (None, each(&|node| self.score.balanced(&class.request, &node.resources))))
            }
            "ImageLocality" => {
                let known = class.images.iter().any(|image| nodes.nodes_with_image(image) > 0);
                let image = |node: &Node, image: &String| match node.images.get(image) {
                    Some(size) => ContainerImage { size: *size, nodes: nodes.nodes_with_image(image) },
                    None => ContainerImage::default(),
                };
                let score = |node: &Node| {
                    let images: Vec<_> = class.images.iter().map(|name| image(node, name)).collect();
                    self.score.image_locality(&images, list.len() as i64)
                };
                Some((None, if known { each(&score) } else { vec![0; places.len()] }))
            }
            "PodTopologySpread" => self.spread_scores(class, places, nodes, objects),
            "InterPodAffinity" => {
                let terms = |class: &Rc<Class>| {
                    let terms = &class.terms;
                    !terms.preferred_affinity.is_empty() || !terms.preferred_anti_affinity.is_empty()
                };
                let others = |class: &Rc<Class>| terms(class) || !class.terms.affinity.is_empty();
                if !terms(class) && !nodes.classes().any(others) {
                    return None;
                }
                self.affinity_table.update(class, nodes, objects);
                let (pod, table) = (affinity_pod(class, objects, None), &self.affinity_table);
                let names: Vec<Name> = places.iter().map(|place| list[*place].name).collect();
                let scores = self.pod_affinity.score(&pod, &table.groups, &table.nodes, &names)?;
                let raw = in_order(&names, &scores);
                let scores = self.pod_affinity.normalize(&raw);
                Some((Some(raw), scores))
            }
            _ => None,
        }
    }

    fn spread_scores(
        &mut self,
        class: &Rc<Class>,
        places: &[usize],
        nodes: &Nodes,
        objects: &Objects,
    ) -> Option<(Option<Vec<i64>>, Vec<i64>)> {
        let own = !class.spread.is_empty();
        let version = if own { 0 } else { objects.version() + 1 };
        let soft = if own {
            class.spread.iter().filter(|spread| !spread.hard).cloned().collect()
        } else {
            self.default_spreads(class, objects)
        };
        if soft.is_empty() {
            return None;
        }
        let table = self.spread_tables.get(class, &soft, false, version, nodes, &*self.node_affinity);
        let names: Vec<Name> = places.iter().map(|place| nodes.list()[*place].name).collect();
        let scores = self.topology_spread.score(&table.constraints, &table.nodes, &names, own);
        let raw = in_order(&names, &scores);
        let scores = self.topology_spread.normalize(&raw);
        Some((Some(raw.into_iter().map(|score| score.unwrap_or(0)).collect()), scores))
    }

    /// The rules that hold for pods without their own (`systemDefaultConstraints`), if something selects the pod.
    fn default_spreads(&mut self, class: &Class, objects: &Objects) -> Vec<Spread> {
        if self.profile.no_default_spreading {
            return Vec::new();
        }
        if self.default_selectors_version != objects.version() || self.default_selectors.len() > 4096 {
            self.default_selectors.clear();
            self.default_selectors_version = objects.version();
        }
        let selector = self.default_selectors.entry(class.id).or_insert_with(|| objects.default_selector(class));
        let Some(selector) = selector else { return Vec::new() };
        let rule = |key: &str, max_skew| Spread {
            hard: false,
            constraint: SpreadConstraint {
                max_skew,
                topology_key: Name::from(key),
                min_domains: 1,
                node_affinity_policy: InclusionPolicy::Honor,
                node_taints_policy: InclusionPolicy::Ignore,
                self_match: selector.matches(&class.labels),
            },
            selector: selector.clone(),
        };
        vec![rule("kubernetes.io/hostname", 3), rule("topology.kubernetes.io/zone", 5)]
    }
}

/// What was said of a node: at its place, or wherever a module put it.
fn answer<T: Copy>(answers: Option<&[(Name, T)]>, place: usize, name: Name) -> Option<T> {
    let answers = answers?;
    let there = answers.get(place).filter(|(known, _)| *known == name);
    there.or_else(|| answers.iter().find(|(known, _)| *known == name)).map(|(_, said)| *said)
}

/// Scores in the order of the names. A node that a module left out gets nothing.
fn in_order<T: Copy + Default>(names: &[Name], scores: &[(Name, T)]) -> Vec<T> {
    let score = |(at, name): (usize, &Name)| answer(Some(scores), at, *name).unwrap_or_default();
    names.iter().enumerate().map(score).collect()
}

/// The taint that a cordoned node stands for (`plugins/nodeunschedulable`).
fn cordoned() -> Taint {
    Taint { key: "node.kubernetes.io/unschedulable".into(), effect: "NoSchedule".into(), ..Taint::default() }
}

/// How many taints that only ask for distance are not tolerated (`countIntolerableTaintsPreferNoSchedule`).
fn intolerable(class: &Class, node: &Node) -> i64 {
    let soft = node.taints.iter().filter(|taint| taint.effect == "PreferNoSchedule");
    let tolerated = |taint: &&Taint| class.tolerations.iter().any(|t| toleration::tolerates(t, taint));
    soft.filter(|taint| !tolerated(taint)).count() as i64
}
