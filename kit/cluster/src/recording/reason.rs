//! A decision of the scheduler in a sentence, and a table that stays short in a large cluster.

use kit_client::explain::scheduling::{Row, Scheduling};

/// So many nodes are shown one by one. Of more, the best so many are, and the others are counted.
const NODES: usize = 10;
const BEST: usize = 5;

/// What was decided, in a sentence.
pub fn sentence(decision: &Scheduling) -> String {
    let Scheduling { nodes, feasible, chosen, nominated, rows, .. } = decision;
    let all = if *nodes == 1 { "1 node".into() } else { format!("{nodes} nodes") };
    let Some(chosen) = chosen else {
        let then = match nominated {
            Some(node) => format!("room is made on {node}"),
            None => "it waits".into(),
        };
        return match nodes {
            0 => format!("there are no nodes; {then}"),
            1 => format!("the only node does not fit; {then}"),
            _ => format!("none of {all} fits; {then}"),
        };
    };
    match (rows.iter().find(|row| row.node == *chosen), feasible) {
        (Some(row), 2..) => format!("{feasible} of {all} fit; {chosen} is best with {}", row.total),
        (None, 2..) => format!("{feasible} of {all} fit; {chosen} is best"),
        _ => format!("1 of {all} fits: {chosen}"),
    }
}

/// Of each node what refused it, or its scores.
pub fn table(decision: &Scheduling) -> Vec<String> {
    if decision.rows.len() <= NODES {
        return decision.lines();
    }
    let mut scored: Vec<&Row> = decision.rows.iter().filter(|row| row.refused.is_none()).collect();
    // The best first; the order of equal ones stays.
    scored.sort_by_key(|row| (decision.chosen != Some(row.node), -row.total));
    let others = scored.split_off(BEST.min(scored.len()));
    let best = Scheduling { rows: scored.into_iter().cloned().collect(), ..decision.clone() };
    let mut lines = best.lines();
    let totals = || others.iter().map(|row| row.total);
    if let (Some(least), Some(most)) = (totals().min(), totals().max()) {
        let range = if least == most { format!("{least}") } else { format!("{least} to {most}") };
        lines.push(format!("{} more nodes fit, with {range}", others.len()));
    }
    let mut refusals: Vec<(String, usize)> = Vec::new();
    for (plugin, reasons) in decision.rows.iter().filter_map(|row| row.refused.as_ref()) {
        let text = format!("{plugin}: {}", reasons.join(", "));
        match refusals.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => refusals.push((text, 1)),
        }
    }
    let refused = refusals.into_iter().map(|(text, count)| match count {
        1 => format!("1 node does not: {text}"),
        _ => format!("{count} nodes do not: {text}"),
    });
    lines.extend(refused);
    // The log has rows for the first hundred only.
    match decision.nodes.saturating_sub(decision.rows.len()) {
        0 => {}
        more => lines.push(format!("{more} more nodes are not listed")),
    }
    lines
}
