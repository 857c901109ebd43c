//! What the scheduler looked at for one pod, to be told to people.

use kit_api::Name;
use serde::Serialize;

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scheduling {
    /// CPU that the pod asks for, in milli-cores.
    pub milli_cpu: i64,
    /// Memory that it asks for, in bytes.
    pub memory: i64,
    /// How many nodes there were.
    pub nodes: usize,
    /// How many could take the pod, of those that were looked at.
    pub feasible: usize,
    /// The plugins that scored, and the weight of each.
    pub plugins: Vec<(&'static str, i64)>,
    /// What was found of each node that was looked at, by name; only the first hundred.
    pub rows: Vec<Row>,
    /// The node that was chosen.
    pub chosen: Option<Name>,
    /// Where room could be made, and which pods would have to go there, if nothing fitted.
    pub room: Vec<(String, Vec<String>)>,
    /// The node on which room is made.
    pub nominated: Option<String>,
}

/// What was found of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The node.
    pub node: Name,
    /// The plugin that refused it, and why.
    pub refused: Option<(&'static str, Vec<String>)>,
    /// Normalized scores, before they are weighted, in the order of the plugins; none if it was the only node left.
    pub scores: Vec<i64>,
    /// The sum of the weighted scores.
    pub total: i64,
}

impl Scheduling {
    /// `250m CPU, 256Mi · 6 nodes, 4 feasible`
    pub fn summary(&self) -> String {
        const MIB: i64 = 1 << 20;
        let memory = match self.memory {
            0 => String::new(),
            bytes if bytes % MIB == 0 => format!(", {}Mi", bytes / MIB),
            bytes => format!(", {bytes} bytes"),
        };
        let nodes = if self.nodes == 1 { "1 node".into() } else { format!("{} nodes", self.nodes) };
        format!("{}m CPU{memory} · {nodes}, {} feasible", self.milli_cpu, self.feasible)
    }

    /// A table: of each node what refused it, or its scores.
    pub fn lines(&self) -> Vec<String> {
        let heads: Vec<String> = self.plugins.iter().map(|(plugin, weight)| head(plugin, *weight)).collect();
        let width = self.rows.iter().map(|row| row.node.len()).max().unwrap_or(0).max("node".len());
        let mut lines = Vec::new();
        if !heads.is_empty() {
            lines.push(format!("{:<width$}  {}  total", "node", heads.join("  ")));
        }
        for Row { node, refused, scores, total } in &self.rows {
            let mark = if self.chosen == Some(*node) { "  ◀ chosen" } else { "" };
            let said = match refused {
                Some((plugin, reasons)) => format!("{plugin}: {}", reasons.join(", ")),
                None if heads.is_empty() => "the only one that fits".into(),
                None => {
                    let cell =
                        |(score, head): (&i64, &String)| format!("{score:>width$}", width = head.chars().count());
                    let cells: Vec<String> = scores.iter().zip(&heads).map(cell).collect();
                    format!("{}  {total:>5}", cells.join("  "))
                }
            };
            lines.push(format!("{node:<width$}  {said}{mark}"));
        }
        for (node, pods) in &self.room {
            let mark = if self.nominated.as_ref() == Some(node) { "  ◀ nominated" } else { "" };
            lines.push(format!("{node:<width$}  fits without {}{mark}", pods.join(", ")));
        }
        lines
    }
}

fn head(plugin: &str, weight: i64) -> String {
    let short = match plugin {
        "TaintToleration" => "Taints",
        "NodeResourcesFit" => "Fit",
        "NodeResourcesBalancedAllocation" => "Balanced",
        "PodTopologySpread" => "Spread",
        "InterPodAffinity" => "PodAffinity",
        "ImageLocality" => "Image",
        other => other,
    };
    if weight == 1 { short.into() } else { format!("{short}×{weight}") }
}
