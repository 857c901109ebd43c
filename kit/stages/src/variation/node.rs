//! Variations of the chapter `node`.

use super::{Kind, Param, around, part};
use kit_api::pod_resources::Text;
use kit_contract::node::Qos;
use kit_contract::node::qos::{Pod, QosClass};

pub const KINDS: &[Kind] = &[
    Kind {
        exercise: "node/qos",
        name: "counts",
        minutes: 15,
        params: &[Param::word("resource", &["memory", "cpu"])],
        rule: |values| {
            let (one, other) = match values.word("resource") {
                "memory" => ("memory", "CPU"),
                _ => ("CPU", "memory"),
            };
            format!(
                "Only {one} decides the class; {other} decides nothing. A pod of which no container requests or limits {one} is \
                 `BestEffort`, even if it asks for {other}; one of which every container limits {one}, with requests equal to \
                 limits, is `Guaranteed`; all others are `Burstable`. An amount of 0 still counts as none. The OOM score follows \
                 from the new class, and its formula, which looks at the memory that is requested, stays as it is."
            )
        },
        apply: |values, modules| {
            let resource = values.word("resource");
            around(&mut modules.qos, move |inner| Box::new(Counts { inner, resource }));
        },
    },
    Kind {
        exercise: "node/qos",
        name: "bounds",
        minutes: 10,
        params: &[
            Param::number("least", 4, 499, &[10, 50, 100, 200, 400]),
            Param::number("most", 500, 998, &[990, 950, 900, 800, 600]),
        ],
        rule: |values| {
            let (least, most) = (values.number("least"), values.number("most"));
            format!(
                "What comes out for a container of a Burstable pod is at least {least} and at most {most}, instead of 3 and 999: \
                 one that requests nearly all of the node's memory gets {least}, and one that requests hardly any gets {most}. \
                 Sidecars are held between the same bounds, after the lower of the two scores was taken. The classes, and the \
                 scores of node-critical, Guaranteed and BestEffort pods, stay as they are."
            )
        },
        apply: |values, modules| {
            let (least, most) = (values.number("least"), values.number("most"));
            around(&mut modules.qos, move |inner| Box::new(Bounds { inner, least, most }));
        },
    },
    Kind {
        exercise: "node/qos",
        name: "reserved",
        minutes: 10,
        params: &[Param::number("parts", 2, 20, &[2, 4, 5, 10])],
        rule: |values| {
            let part = part(values.number("parts"));
            format!(
                "One {part} of the node's memory (`memory_capacity` divided by {parts}, rounded down) is reserved for the system: \
                 the score of a Burstable container is calculated with what is left, and not with the whole capacity. So whoever \
                 requests all that is left comes out at 0 before the bounds are applied. Where less is left than is requested the \
                 formula goes on as it is. Classes, bounds, the rule for sidecars and all other scores stay as they are.",
                parts = values.number("parts"),
            )
        },
        apply: |values, modules| {
            let parts = values.number("parts");
            around(&mut modules.qos, move |inner| Box::new(Reserved { inner, parts }));
        },
    },
];

/// Only one of the two resources decides the class.
struct Counts {
    inner: Box<dyn Qos>,
    resource: &'static str,
}

impl Counts {
    /// The pod as it would be if all its containers asked for just so much of the other resource, or for none.
    fn with(&self, pod: &Pod, other: Option<&str>) -> Pod {
        let name = if self.resource == "memory" { "cpu" } else { "memory" };
        let mut pod = pod.clone();
        let Some(spec) = &mut pod.spec else { return pod };
        for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
            let resources = container.resources.get_or_insert_default();
            for side in [&mut resources.requests, &mut resources.limits] {
                let side = side.get_or_insert_default();
                side.remove(name);
                side.extend(other.map(|amount| (name.to_string(), Text(amount.to_string()))));
            }
        }
        pod
    }
}

impl Qos for Counts {
    fn class(&self, pod: &Pod) -> QosClass {
        // With none of the other one, nobody is Guaranteed; with an equal limit everywhere, nobody is BestEffort.
        match self.inner.class(&self.with(pod, None)) {
            QosClass::BestEffort => QosClass::BestEffort,
            _ => self.inner.class(&self.with(pod, Some("1"))),
        }
    }
    fn oom_score_adj(&self, pod: &Pod, container: &str, memory_capacity: i64) -> i64 {
        // A pod that is Burstable by one resource is so by both, too.
        let by_class = match self.class(pod) {
            QosClass::BestEffort => self.with(pod, None),
            QosClass::Guaranteed => self.with(pod, Some("1")),
            QosClass::Burstable => pod.clone(),
        };
        self.inner.oom_score_adj(&by_class, container, memory_capacity)
    }
}

/// Narrower bounds for Burstable.
struct Bounds {
    inner: Box<dyn Qos>,
    least: i64,
    most: i64,
}

impl Qos for Bounds {
    fn class(&self, pod: &Pod) -> QosClass {
        self.inner.class(pod)
    }
    fn oom_score_adj(&self, pod: &Pod, container: &str, memory_capacity: i64) -> i64 {
        match self.inner.oom_score_adj(pod, container, memory_capacity) {
            // What Burstable comes to, and nothing else does.
            score @ 3..=999 => score.clamp(self.least, self.most),
            other => other,
        }
    }
}

/// A node of which the system keeps some memory.
struct Reserved {
    inner: Box<dyn Qos>,
    parts: i64,
}

impl Qos for Reserved {
    fn class(&self, pod: &Pod) -> QosClass {
        self.inner.class(pod)
    }
    fn oom_score_adj(&self, pod: &Pod, container: &str, memory_capacity: i64) -> i64 {
        self.inner.oom_score_adj(pod, container, memory_capacity - memory_capacity / self.parts)
    }
}
