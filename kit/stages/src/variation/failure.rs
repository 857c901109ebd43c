//! Variations of the chapter `failure`.

use super::{Kind, Param, around, counted};
use kit_contract::Slot;
use kit_contract::failure::NodeLifecycle;
use kit_contract::failure::node_lifecycle::{Answer, Config, ObservedNode, Status};

/// The conditions that taint a node where they are `True`.
const TROUBLES: [&str; 4] = ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];

pub const KINDS: &[Kind] = &[
    Kind {
        exercise: "failure/node_lifecycle",
        name: "doubt",
        minutes: 10,
        params: &[Param::word(
            "condition",
            &["any", "MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"],
        )],
        rule: |values| {
            let which = match values.word("condition") {
                "any" => {
                    "Any of the conditions MemoryPressure, DiskPressure, PIDPressure and NetworkUnavailable".to_string()
                }
                condition => format!("The condition {condition}"),
            };
            format!(
                "{which} also taints a node while nobody knows: in `node_changed`, the status `Unknown` of it asks for the same \
                 `NoSchedule` taint as the status `True`. So a node that fell silent keeps or gets that taint beside \
                 `unreachable`, and loses it only when the status is `False` or the condition is gone. `Ready`, cordoned nodes, \
                 conditions that aren't named here, `monitor` and `taint` stay as they are."
            )
        },
        apply: |values, modules| {
            let condition = values.word("condition");
            around(&mut modules.node_lifecycle, move |inner| Box::new(Doubt { inner, condition }));
        },
    },
    Kind {
        exercise: "failure/node_lifecycle",
        name: "grace",
        minutes: 10,
        params: &[Param::number("more", 1, 300, &[5, 10, 20, 40]), Param::word("of", &["silence", "start-up", "both"])],
        rule: |values| {
            let which = match values.word("of") {
                "silence" => "`node_monitor_grace_period_seconds`, but not `node_startup_grace_period_seconds`,",
                "start-up" => "`node_startup_grace_period_seconds`, but not `node_monitor_grace_period_seconds`,",
                _ => "Each of the two grace periods",
            };
            format!(
                "Nodes are given more time than the flags say: {which} counts as if it were {} longer. A node is silent when it \
                 was heard more than that long ago, so with a flag of 50 seconds one that was heard exactly {} seconds ago isn't \
                 silent yet. It holds in every pass. What follows from silence, taints, zones, rates and queues stay as they are.",
                counted(values.number("more"), "second"),
                50 + values.number("more"),
            )
        },
        apply: |values, modules| {
            let (more, of) = (values.number("more"), values.word("of"));
            let slot = modules.node_lifecycle.clone();
            modules.node_lifecycle = Slot::by(move |config: &Config| {
                let mut config = config.clone();
                config.node_monitor_grace_period_seconds += if of == "start-up" { 0 } else { more };
                config.node_startup_grace_period_seconds += if of == "silence" { 0 } else { more };
                slot.make(&config)
            });
        },
    },
];

/// Not to know is as bad as to know that it holds.
struct Doubt {
    inner: Box<dyn NodeLifecycle>,
    condition: &'static str,
}

impl NodeLifecycle for Doubt {
    fn new(_: &Config) -> Self {
        unreachable!("an adapter is made around a module")
    }
    fn node_changed(&mut self, node: &ObservedNode) -> Answer {
        let mut node = node.clone();
        for (condition, status) in &mut node.conditions {
            let means = TROUBLES.contains(&condition.as_str()) && ["any", condition.as_str()].contains(&self.condition);
            if means && *status == Status::Unknown {
                *status = Status::True;
            }
        }
        self.inner.node_changed(&node)
    }
    fn monitor(&mut self, now_ms: i64, nodes: &[ObservedNode]) -> Answer {
        self.inner.monitor(now_ms, nodes)
    }
    fn taint(&mut self, now_ms: i64, nodes: &[ObservedNode]) -> Answer {
        self.inner.taint(now_ms, nodes)
    }
}
