//! Variations of the chapter `scheduler`: the plugins that filter nodes by what they have and how they are labeled.

use super::{Kind, Param, around, counted, first, part};
use kit_contract::scheduler::topology_spread::InclusionPolicy;
use kit_contract::scheduler::{
    Lack, Name, NodeAffinity, NodeLabels, NodeNames, NodeOperator, NodeRequirement, NodeResources, NodeTerm,
    PodNodeAffinity, PodRequest, ResourcesFit, SpreadConstraint, SpreadNode, SpreadVerdict, Taint, Taints, Toleration,
    TopologySpread, Verdict,
};
use std::slice;

/// Resources that every node has.
const RESOURCES: &[&str] = &["memory", "cpu", "ephemeral-storage"];

pub const KINDS: &[Kind] = &[
    Kind {
        exercise: "scheduler/taints",
        name: "prefer-refuses",
        minutes: 10,
        params: &[Param::word("where", &["anywhere", "kubernetes", "valued"])],
        rule: |values| {
            let which = match values.word("where") {
                "kubernetes" => "with a key that begins with `node.kubernetes.io/`",
                "valued" => "with a value that isn't empty",
                _ => "of any key",
            };
            format!(
                "A taint {which} and with the effect `PreferNoSchedule` keeps a pod away as well, unless a toleration covers it: \
                 `node.kubernetes.io/maintenance=now:PreferNoSchedule` refuses a pod without tolerations. A toleration of the \
                 effect `PreferNoSchedule`, or of no effect, can cover it, and one of another effect can't. The answer is still \
                 the first taint that keeps the pod away, whatever its effect. All other `PreferNoSchedule` taints keep nobody \
                 away, and the rest stays as it is."
            )
        },
        apply: |values, modules| {
            let whose = values.word("where");
            around(&mut modules.taints, move |inner| Box::new(PreferRefuses { inner, whose }));
        },
    },
    Kind {
        exercise: "scheduler/taints",
        name: "report",
        minutes: 10,
        params: &[Param::word("order", &["last", "no-execute-first", "by-key"])],
        rule: |values| {
            let which = match values.word("order") {
                "last" => "the last one in the order in which the node lists them",
                "no-execute-first" => {
                    "the first one with the effect `NoExecute`, or without such a one the first with `NoSchedule`"
                }
                _ => "the one whose key is the least as strings compare, and of equal keys the first",
            };
            format!(
                "Of several taints that keep the pod away, another one is the answer: {which}. For a pod without tolerations on \
                 a node with the taints `gpu:NoSchedule`, `batch:NoExecute` and `disk:NoSchedule`, that is {}. Which taints keep \
                 a pod away, and what a toleration covers, stays as it is.",
                if values.word("order") == "last" { "`disk:NoSchedule`" } else { "`batch:NoExecute`" },
            )
        },
        apply: |values, modules| {
            let order = values.word("order");
            around(&mut modules.taints, move |inner| Box::new(Report { inner, order }));
        },
    },
    Kind {
        exercise: "scheduler/taints",
        name: "brief",
        minutes: 10,
        params: &[Param::number("seconds", 0, 86_400, &[1, 30, 31, 300, 301])],
        rule: |values| {
            let seconds = counted(values.number("seconds"), "second");
            format!(
                "A pod shouldn't be placed where it would soon be evicted. So a toleration that has `tolerationSeconds` of less \
                 than {seconds} counts for nothing here, as if the pod didn't have it; a negative number is less, too. One with \
                 exactly {seconds}, with more, or without `tolerationSeconds`, counts as ever. If another toleration covers the \
                 taint as well, the pod fits all the same. Everything else stays as it is."
            )
        },
        apply: |values, modules| {
            let seconds = values.number("seconds");
            around(&mut modules.taints, move |inner| Box::new(Brief { inner, seconds }));
        },
    },
    Kind {
        exercise: "scheduler/taints",
        name: "short-values",
        minutes: 10,
        params: &[Param::number("characters", 1, 63, &[1, 2])],
        rule: |values| {
            let characters = values.count("characters");
            format!(
                "The operator `Equal` compares only the {1} of the two values: they are equal if these are, and a value \
                 that is shorter is taken whole. So `{0:x<characters$}-1` covers `{0:x<characters$}-2`, while the empty value covers \
                 only the empty one, or none at all. It holds where no operator is given, too. Keys, effects and the operator `Exists` are compared as ever, and \
                 the answer is still the first taint that keeps the pod away, with its value in full.",
                "",
                first(values.number("characters"), "character"),
            )
        },
        apply: |values, modules| {
            let characters = values.count("characters");
            around(&mut modules.taints, move |inner| Box::new(ShortValues { inner, characters }));
        },
    },
    Kind {
        exercise: "scheduler/resources_fit",
        name: "reserve",
        minutes: 10,
        params: &[Param::word("resource", RESOURCES), Param::number("parts", 2, 100, &[4, 5, 8, 10, 20])],
        rule: |values| {
            let (resource, parts) = (values.word("resource"), values.number("parts"));
            format!(
                "Each node keeps one {} of its {resource} in reserve, which no pod gets: what counts as allocatable is the amount \
                 less that amount divided by {parts}, where the division drops the fraction. Of 1003 units pods share {}. A pod \
                 that asks for no {resource} still doesn't lack any, even where the reserve is used up already. All other \
                 resources, the number of pods, and the order of the answer stay as they are.",
                part(parts),
                1003 - 1003 / parts,
            )
        },
        apply: |values, modules| {
            let (resource, parts) = (values.word("resource"), values.number("parts"));
            let change = move |amount: i64| amount - amount / parts;
            around(&mut modules.resources_fit, move |inner| Box::new(Allocatable { inner, resource, change }));
        },
    },
    Kind {
        exercise: "scheduler/resources_fit",
        name: "overcommit",
        minutes: 10,
        params: &[Param::word("resource", RESOURCES), Param::number("parts", 1, 100, &[2, 4, 5, 10])],
        rule: |values| {
            let (resource, parts) = (values.word("resource"), values.number("parts"));
            format!(
                "Each node gives away more {resource} than it has, since hardly any pod uses all that it asks for: what counts as \
                 allocatable is the amount plus that amount divided by {parts}, where the division drops the fraction. Of 1003 \
                 units pods share {}, and what a node doesn't have at all it can't give away either. All other resources, the \
                 number of pods, and the order of the answer stay as they are.",
                1003 + 1003 / parts,
            )
        },
        apply: |values, modules| {
            let (resource, parts) = (values.word("resource"), values.number("parts"));
            let change = move |amount: i64| amount + amount / parts;
            around(&mut modules.resources_fit, move |inner| Box::new(Allocatable { inner, resource, change }));
        },
    },
    Kind {
        exercise: "scheduler/resources_fit",
        name: "spare-slots",
        minutes: 10,
        params: &[Param::number("pods", 1, 8, &[1, 2]), Param::word("without", &["either", "cpu", "memory"])],
        rule: |values| {
            let who = match values.word("without") {
                "either" => "neither CPU nor memory",
                "cpu" => "no CPU",
                _ => "no memory",
            };
            let pods = values.number("pods");
            format!(
                "A node keeps room for pods that say what they need. For a pod that requests {who}, it must have room for {} more \
                 than this one, or else the answer is `TooManyPods`: on a node that may run 10 pods, such a pod fits only while \
                 at most {} are there. What the pod counts for in scores plays no role. For all other pods the number of pods is \
                 judged as ever, and so are all resources.",
                counted(pods, "pod"),
                9 - pods,
            )
        },
        apply: |values, modules| {
            let (pods, without) = (values.number("pods"), values.word("without"));
            around(&mut modules.resources_fit, move |inner| Box::new(SpareSlots { inner, pods, without }));
        },
    },
    Kind {
        exercise: "scheduler/node_affinity",
        name: "top-terms",
        minutes: 10,
        params: &[Param::number("count", 1, 10, &[1, 2])],
        rule: |values| {
            let count = values.number("count");
            format!(
                "`score` adds up only the {count} greatest of the weights of the preferred terms that match the node, and all of \
                 them if fewer match. If terms of the weights 50, 100, 2 and 50 match, the score is {}. Two terms that are alike \
                 are two terms, with a weight each. Terms that don't match count for nothing, as ever, and so it is with an empty \
                 term. `filter` and `node_names` stay as they are.",
                [100, 150, 200, 202][(count as usize).min(4) - 1],
            )
        },
        apply: |values, modules| {
            let count = values.count("count");
            around(&mut modules.node_affinity, move |inner| Box::new(TopTerms { inner, count }));
        },
    },
    Kind {
        exercise: "scheduler/node_affinity",
        name: "absence",
        minutes: 15,
        params: &[Param::word("rule", &["not-in-needs-it", "empty-is-absent", "both"])],
        rule: |values| {
            let not_in = "`NotIn` holds only where the label is there: `disk not in (hdd)` no longer matches a node without the \
                label `disk`";
            let empty = "a label of the node with an empty value counts as not there, for expressions and for `node_selector`: a \
                node with the label `disk` and no value matches `disk doesn't exist`";
            let rule = match values.word("rule") {
                "not-in-needs-it" => not_in.to_string(),
                "empty-is-absent" => empty.to_string(),
                _ => format!("{not_in}, and {empty}"),
            };
            format!(
                "Labels that aren't there are judged otherwise: {rule}. This goes for required and for preferred terms. Fields, \
                 the other operators, terms without any requirement, and `node_names` stay as they are."
            )
        },
        apply: |values, modules| {
            let rule = values.word("rule");
            let change = move |pod: &mut PodNodeAffinity, node: &mut NodeLabels| {
                if rule != "not-in-needs-it" {
                    node.labels.retain(|_, value| !value.is_empty());
                }
                for term in terms(pod).filter(|_| rule != "empty-is-absent") {
                    let not_in = term.expressions.iter().filter(|of| of.operator == NodeOperator::NotIn);
                    let there = not_in.map(|of| NodeRequirement {
                        key: of.key.clone(),
                        operator: NodeOperator::Exists,
                        values: Vec::new(),
                    });
                    let there: Vec<_> = there.collect();
                    term.expressions.extend(there);
                }
            };
            around(&mut modules.node_affinity, move |inner| Box::new(Asks { inner, change }));
        },
    },
    Kind {
        exercise: "scheduler/node_affinity",
        name: "any-case",
        minutes: 10,
        params: &[Param::word("operator", &["In", "NotIn", "both"])],
        rule: |values| {
            let operators = match values.word("operator") {
                "both" => "The operators `In` and `NotIn` compare",
                "In" => "The operator `In` compares",
                _ => "The operator `NotIn` compares",
            };
            format!(
                "{operators} the values of labels without regard to upper and lower case (of ASCII letters): to it, `SSD`, `Ssd` \
                 and `ssd` are one value. This goes for the expressions of required and of preferred terms. Keys keep their case, \
                 and so do `node_selector`, fields, and operators that aren't named here. A label that isn't there, terms without \
                 any requirement, and `node_names` are treated as ever."
            )
        },
        apply: |values, modules| {
            let operator = values.word("operator");
            let change = move |pod: &mut PodNodeAffinity, node: &mut NodeLabels| {
                let means = |of: &NodeOperator| match of {
                    NodeOperator::In => operator != "NotIn",
                    NodeOperator::NotIn => operator != "In",
                    _ => false,
                };
                for of in terms(pod).flat_map(|term| &mut term.expressions).filter(|of| means(&of.operator)) {
                    // What is nearly the node's own value becomes just that.
                    let Some(own) = node.labels.get(&of.key) else { continue };
                    let alike = |value: &&mut String| value.eq_ignore_ascii_case(own);
                    of.values.iter_mut().filter(alike).for_each(|value| value.clone_from(own));
                }
            };
            around(&mut modules.node_affinity, move |inner| Box::new(Asks { inner, change }));
        },
    },
    Kind {
        exercise: "scheduler/topology_spread",
        name: "crowd",
        minutes: 10,
        params: &[Param::number("most", 1, 100, &[1, 2, 3])],
        rule: |values| {
            let most = values.number("most");
            format!(
                "No node counts for more than {} of each constraint, however many matching pods are there: before anything is \
                 added up, a greater number is taken for {most}. A zone with one node of {} pods and one of none has {most}. This \
                 goes for `filter` and for `score`, for domains and for `kubernetes.io/hostname`. The pod itself still counts as \
                 1 in `filter`. Labels, policies, `min_domains`, weights and `normalize` stay as they are.",
                counted(most, "matching pod"),
                most + 7,
            )
        },
        apply: |values, modules| {
            let most = values.number("most");
            let change = move |_: bool, _: &mut [SpreadConstraint], nodes: &mut [SpreadNode]| {
                nodes.iter_mut().flat_map(|node| &mut node.matching).for_each(|count| *count = most.min(*count));
            };
            around(&mut modules.topology_spread, move |inner| Box::new(Spreads { inner, change }));
        },
    },
    Kind {
        exercise: "scheduler/topology_spread",
        name: "fixed-policies",
        minutes: 10,
        params: &[Param::word("affinity", &["Honor", "Ignore"]), Param::word("taints", &["Honor", "Ignore"])],
        rule: |values| {
            format!(
                "Nobody chooses the policies of a constraint any more: `node_affinity_policy` is {} and `node_taints_policy` is {} \
                 for every constraint, and what the constraint itself says of them plays no role. So whether the pods of a node \
                 count depends on the node alone. This goes wherever policies count, in `filter` and in `score`; for \
                 `kubernetes.io/hostname` they still say nothing in `score`. Everything else stays as it is.",
                values.word("affinity"),
                values.word("taints"),
            )
        },
        apply: |values, modules| {
            let policy = |word: &str| if word == "Honor" { InclusionPolicy::Honor } else { InclusionPolicy::Ignore };
            let (affinity, taints) = (policy(values.word("affinity")), policy(values.word("taints")));
            let change = move |_: bool, constraints: &mut [SpreadConstraint], _: &mut [SpreadNode]| {
                for constraint in constraints {
                    (constraint.node_affinity_policy, constraint.node_taints_policy) = (affinity, taints);
                }
            };
            around(&mut modules.topology_spread, move |inner| Box::new(Spreads { inner, change }));
        },
    },
    Kind {
        exercise: "scheduler/topology_spread",
        name: "lenient",
        minutes: 10,
        params: &[Param::number("more", 1, 10, &[1, 2, 3]), Param::word("over", &["hosts", "others"])],
        rule: |values| {
            let more = values.number("more");
            let (over, others) = match values.word("over") {
                "hosts" => ("whose label is `kubernetes.io/hostname`", "other labels"),
                _ => ("whose label is another than `kubernetes.io/hostname`", "`kubernetes.io/hostname`"),
            };
            format!(
                "In `filter`, a hard constraint {over} is more lenient: it lets domains have {more} more than `max_skew` says. With \
                 a `max_skew` of 1, a domain may have {} more matching pods than the one with the fewest. Constraints on {others} \
                 are as strict as ever, and so is the rule for nodes without the label. How pods are counted, the minimum, `score` \
                 and `normalize` stay as they are.",
                more + 1,
            )
        },
        apply: |values, modules| {
            let (more, over) = (values.number("more"), values.word("over"));
            let change = move |filters: bool, constraints: &mut [SpreadConstraint], _: &mut [SpreadNode]| {
                for constraint in constraints.iter_mut().filter(|_| filters) {
                    let is_host = constraint.topology_key.as_str() == "kubernetes.io/hostname";
                    constraint.max_skew += if is_host == (over == "hosts") { more } else { 0 };
                }
            };
            around(&mut modules.topology_spread, move |inner| Box::new(Spreads { inner, change }));
        },
    },
];

/// Some taints of the effect `PreferNoSchedule` keep pods away.
struct PreferRefuses {
    inner: Box<dyn Taints>,
    whose: &'static str,
}

impl PreferRefuses {
    fn means(&self, taint: &Taint) -> bool {
        match self.whose {
            "kubernetes" => taint.key.starts_with("node.kubernetes.io/"),
            "valued" => taint.value.as_deref().is_some_and(|value| !value.is_empty()),
            _ => true,
        }
    }
}

impl Taints for PreferRefuses {
    fn filter(&self, tolerations: &[Toleration], taints: &[Taint]) -> Verdict {
        // The reference sees the effect as one that keeps pods away, on both sides.
        let as_no_schedule = |toleration: &Toleration| match toleration.effect.as_deref() {
            Some("NoSchedule") => None,
            Some("PreferNoSchedule") => Some(Toleration { effect: Some("NoSchedule".into()), ..toleration.clone() }),
            _ => Some(toleration.clone()),
        };
        let others: Vec<Toleration> = tolerations.iter().filter_map(as_no_schedule).collect();
        let refuses = |taint: &&Taint| {
            let verdict = if taint.effect == "PreferNoSchedule" && self.means(taint) {
                self.inner.filter(&others, &[Taint { effect: "NoSchedule".into(), ..(*taint).clone() }])
            } else {
                self.inner.filter(tolerations, slice::from_ref(*taint))
            };
            verdict != Verdict::Fits
        };
        taints.iter().find(refuses).map_or(Verdict::Fits, |taint| Verdict::Refused(taint.clone()))
    }
}

/// Another one of the taints that keep the pod away.
struct Report {
    inner: Box<dyn Taints>,
    order: &'static str,
}

impl Taints for Report {
    fn filter(&self, tolerations: &[Toleration], taints: &[Taint]) -> Verdict {
        let mut taints = taints.to_vec();
        match self.order {
            "last" => taints.reverse(),
            "no-execute-first" => taints.sort_by_key(|taint| taint.effect != "NoExecute"),
            _ => taints.sort_by(|a, b| a.key.cmp(&b.key)),
        }
        self.inner.filter(tolerations, &taints)
    }
}

/// Without tolerations that end soon.
struct Brief {
    inner: Box<dyn Taints>,
    seconds: i64,
}

impl Taints for Brief {
    fn filter(&self, tolerations: &[Toleration], taints: &[Taint]) -> Verdict {
        let lasts =
            |toleration: &&Toleration| toleration.toleration_seconds.is_none_or(|seconds| seconds >= self.seconds);
        self.inner.filter(&tolerations.iter().filter(lasts).cloned().collect::<Vec<_>>(), taints)
    }
}

/// Only the beginning of values counts.
struct ShortValues {
    inner: Box<dyn Taints>,
    characters: usize,
}

impl Taints for ShortValues {
    fn filter(&self, tolerations: &[Toleration], taints: &[Taint]) -> Verdict {
        let short = |value: &Option<String>| value.as_ref().map(|value| value.chars().take(self.characters).collect());
        let short_toleration = |of: &Toleration| Toleration { value: short(&of.value), ..of.clone() };
        let tolerations: Vec<Toleration> = tolerations.iter().map(short_toleration).collect();
        let refuses = |taint: &&Taint| {
            self.inner.filter(&tolerations, &[Taint { value: short(&taint.value), ..(*taint).clone() }])
                != Verdict::Fits
        };
        taints.iter().find(refuses).map_or(Verdict::Fits, |taint| Verdict::Refused(taint.clone()))
    }
}

/// Another amount of one resource.
struct Allocatable<F> {
    inner: Box<dyn ResourcesFit>,
    resource: &'static str,
    change: F,
}

impl<F: Fn(i64) -> i64> ResourcesFit for Allocatable<F> {
    fn filter(&self, pod: &PodRequest, node: &NodeResources) -> Vec<Lack> {
        let mut node = node.clone();
        let amount = match self.resource {
            "cpu" => &mut node.allocatable.milli_cpu,
            "memory" => &mut node.allocatable.memory,
            _ => &mut node.allocatable.ephemeral_storage,
        };
        *amount = (self.change)(*amount);
        self.inner.filter(pod, &node)
    }
}

/// Room for some more pods than one.
struct SpareSlots {
    inner: Box<dyn ResourcesFit>,
    pods: i64,
    without: &'static str,
}

impl ResourcesFit for SpareSlots {
    fn filter(&self, pod: &PodRequest, node: &NodeResources) -> Vec<Lack> {
        let (cpu, memory) = (pod.requests.milli_cpu > 0, pod.requests.memory > 0);
        let asks = match self.without {
            "cpu" => cpu,
            "memory" => memory,
            _ => cpu || memory,
        };
        let mut node = node.clone();
        node.allowed_pods -= if asks { 0 } else { self.pods };
        self.inner.filter(pod, &node)
    }
}

/// All terms of a pod, required and preferred ones.
fn terms(pod: &mut PodNodeAffinity) -> impl Iterator<Item = &mut NodeTerm> {
    let preferred = pod.preferred.iter_mut().map(|preferred| &mut preferred.term);
    pod.required.iter_mut().flatten().chain(preferred)
}

/// Only the greatest weights.
struct TopTerms {
    inner: Box<dyn NodeAffinity>,
    count: usize,
}

impl NodeAffinity for TopTerms {
    fn node_names(&self, pod: &PodNodeAffinity) -> NodeNames {
        self.inner.node_names(pod)
    }
    fn filter(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> bool {
        self.inner.filter(pod, node)
    }
    fn score(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> i64 {
        let alone = |preferred| PodNodeAffinity { preferred: vec![preferred], ..PodNodeAffinity::default() };
        let mut scores: Vec<i64> =
            pod.preferred.iter().map(|preferred| self.inner.score(&alone(preferred.clone()), node)).collect();
        scores.sort_by_key(|score| -score);
        scores.iter().take(self.count).sum()
    }
}

/// Another question about a pod and a node.
struct Asks<F> {
    inner: Box<dyn NodeAffinity>,
    change: F,
}

impl<F: Fn(&mut PodNodeAffinity, &mut NodeLabels)> Asks<F> {
    fn changed(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> (PodNodeAffinity, NodeLabels) {
        let (mut pod, mut node) = (pod.clone(), node.clone());
        (self.change)(&mut pod, &mut node);
        (pod, node)
    }
}

impl<F: Fn(&mut PodNodeAffinity, &mut NodeLabels)> NodeAffinity for Asks<F> {
    fn node_names(&self, pod: &PodNodeAffinity) -> NodeNames {
        self.inner.node_names(pod)
    }
    fn filter(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> bool {
        let (pod, node) = self.changed(pod, node);
        self.inner.filter(&pod, &node)
    }
    fn score(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> i64 {
        let (pod, node) = self.changed(pod, node);
        self.inner.score(&pod, &node)
    }
}

/// Other constraints and other nodes, as told whether they are for the filter.
struct Spreads<F> {
    inner: Box<dyn TopologySpread>,
    change: F,
}

impl<F: Fn(bool, &mut [SpreadConstraint], &mut [SpreadNode])> Spreads<F> {
    fn changed(
        &self,
        filters: bool,
        constraints: &[SpreadConstraint],
        nodes: &[SpreadNode],
    ) -> (Vec<SpreadConstraint>, Vec<SpreadNode>) {
        let (mut constraints, mut nodes) = (constraints.to_vec(), nodes.to_vec());
        (self.change)(filters, &mut constraints, &mut nodes);
        (constraints, nodes)
    }
}

impl<F: Fn(bool, &mut [SpreadConstraint], &mut [SpreadNode])> TopologySpread for Spreads<F> {
    fn filter(&self, constraints: &[SpreadConstraint], nodes: &[SpreadNode]) -> Vec<(Name, SpreadVerdict)> {
        let (constraints, nodes) = self.changed(true, constraints, nodes);
        self.inner.filter(&constraints, &nodes)
    }
    fn score(
        &self,
        constraints: &[SpreadConstraint],
        nodes: &[SpreadNode],
        candidates: &[Name],
        all_labels: bool,
    ) -> Vec<(Name, Option<i64>)> {
        let (constraints, nodes) = self.changed(false, constraints, nodes);
        self.inner.score(&constraints, &nodes, candidates, all_labels)
    }
    fn normalize(&self, scores: &[Option<i64>]) -> Vec<i64> {
        self.inner.normalize(scores)
    }
}
